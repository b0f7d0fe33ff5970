--
-- report: what a run did, for a person
--
SET client_min_messages = warning;
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
CREATE SCHEMA report;
SET search_path = report;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
TRUNCATE pgmaint.bloat_measurements;
CREATE PROCEDURE count_now() LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('server_version_num')::int >= 150000 THEN
		PERFORM pg_stat_force_next_flush();
	ELSE
		PERFORM pg_sleep(1.5);
	END IF;
END
$$;
-- times and sizes differ, and how bloat is estimated is not for this test
CREATE FUNCTION masked(run_id bigint DEFAULT NULL) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(replace(r, current_user, 'me'),
		'\d\d\d\d-\d\d-\d\d \d\d:\d\d:\d\d[+-][\d:]+', 'TIME', 'g'), '\d\d:\d\d:\d\d(\.\d+)?', 'DURATION', 'g'), '\d+\.\d s', 'N s', 'g'), '\d+ (bytes|kB|MB)', 'SIZE', 'g'), '(is |\()\d+(\.\d)? %( ± \d+\.\d)?', '\1N %\3', 'g')
	FROM pgmaint.report(run_id) r
$$;
\pset format unaligned
\pset tuples_only on

SELECT pgmaint.report();
SELECT pgmaint.report(17);

CREATE TABLE dirty (id int PRIMARY KEY, name text);
INSERT INTO dirty SELECT g, md5(g::text) FROM generate_series(1, 30000) g;
CREATE TABLE unknown (id int);
INSERT INTO unknown SELECT generate_series(1, 500);
CALL count_now();
VACUUM ANALYZE dirty;
DELETE FROM dirty WHERE id > 3000;
CALL count_now();
CALL pgmaint.run_and_wait('weekly', '{"schemas": "report", "bloat_report": {"min_size": "64 kB"}}');
SELECT masked();

-- nothing to do
CALL pgmaint.run_and_wait('weekly', '{"schemas": "report"}');
SELECT masked(2);
SELECT masked(1) LIMIT 1;

-- failures, tasks that were not done, findings
CREATE FUNCTION trip(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE INDEX ON unknown (trip(id));
CREATE OR REPLACE FUNCTION trip(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'tripped'; END $$;
\set VERBOSITY terse
CALL pgmaint.run_and_wait('weekly', '{"schemas": "report", "scope": "all", "vacuum": {"analyze": "off"}}');
\set VERBOSITY default
SELECT masked(3);
INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message) VALUES
	(3, 'F004', 'info', 'report.dirty', 'an information'), (3, 'F005', 'critical', NULL, 'something bad'),
	(3, 'skipped', 'warning', 'report.dirty', 'told as a task already');
UPDATE pgmaint.tasks SET state = 'skipped', attempt = 3, error = 'no lock within 5000 ms' WHERE run_id = 3 AND command = 'ANALYZE report.dirty';
SELECT masked(3);

-- cancelled before it began
BEGIN;
SELECT pgmaint.cancel(pgmaint.run('weekly'));
COMMIT;
DO $$ BEGIN FOR i IN 1 .. 1500 LOOP EXIT WHEN EXISTS (SELECT FROM pgmaint.runs WHERE run_id = 4 AND state = 'cancelled'); COMMIT; PERFORM pg_sleep(0.02); END LOOP; END $$;
SELECT masked(4);

-- a long one is cut short
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, started_at, finished_at, bytes_before, bytes_after, result)
SELECT 2, 2, 'vacuum', 't' || g, 'VACUUM t' || g, 'asked for', 'succeeded', 'epoch', 'epoch'::timestamptz + interval '1 s', 9000000, 1000000,
	'{"dead_rows_before": 1500, "dead_rows_after": 500, "xid_age_before": 150000000, "xid_age_after": 7, "analyzed": true}'
FROM generate_series(1, 53) g;
SELECT count(*) FROM masked(2) m WHERE m LIKE '  VACUUM t%';
SELECT m FROM masked(2) m WHERE m ~ 'VACUUM t5?1 |more|dead rows removed|vacuum ' LIMIT 4;
SELECT m FROM masked(2) m WHERE m ~ 'more';

DROP SCHEMA report CASCADE;
