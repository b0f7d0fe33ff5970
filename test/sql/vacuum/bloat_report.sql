--
-- bloat_report: what it measures, keeps and finds
--
SET client_min_messages = warning;
CREATE SCHEMA report;
SET search_path = report;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.bloat_measurements;
CREATE PROCEDURE count_now() LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('server_version_num')::int >= 150000 THEN
		PERFORM pg_stat_force_next_flush();
	ELSE
		PERFORM pg_sleep(1.5);
	END IF;
END
$$;
CREATE TABLE bloated (id int PRIMARY KEY, filler text);
INSERT INTO bloated SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g;
CREATE INDEX bloated_filler ON bloated (filler, id);
CREATE TABLE compact (id int);
INSERT INTO compact SELECT generate_series(1, 20000);
CREATE TABLE tiny (id int PRIMARY KEY);
INSERT INTO tiny VALUES (1);
CREATE TABLE parent (id int) PARTITION BY RANGE (id);
CREATE TABLE child PARTITION OF parent FOR VALUES FROM (0) TO (100000);
INSERT INTO parent SELECT generate_series(1, 20000);
CREATE MATERIALIZED VIEW matview AS SELECT * FROM compact;
CREATE UNLOGGED TABLE unlogged AS SELECT * FROM compact;
-- from 16 on these begin with room for more
VACUUM FULL matview, unlogged;
CREATE TEMP TABLE temporary AS SELECT * FROM compact;
DELETE FROM bloated WHERE id > 10000;
CALL count_now();
VACUUM (TRUNCATE false) bloated;

-- everything from a size on, each table with its indexes in one task
SELECT pgmaint.define_plan('measure', '[{"action": "bloat_report", "options": {"schemas": "report", "min_size": "100 kB", "bloat_threshold": 0.3, "max_age": 0}}]');
CALL pgmaint.run_and_wait('measure');
SELECT target, command, reason, state, bytes_before = pg_table_size(relation) AS size FROM pgmaint.tasks ORDER BY target COLLATE "C";
SELECT object, kind, method, total_bytes = pg_relation_size(relation) AS size, bloat_ratio BETWEEN 0.3 AND 0.7 AS half, bloat_ratio < 0.1 AS little,
	bloat_bytes = 0 OR abs(bloat_bytes / total_bytes::float8 - bloat_ratio) < 0.01 AS agree,
	margin < 0.01 AS precise, sampled_blocks = total_blocks AS all_read, live_bytes > 0 AS live, dead_bytes, free_bytes IS NOT NULL AS free, leaf_density IS NOT NULL AS density
FROM pgmaint_internal.bloat_measurements ORDER BY object COLLATE "C";
SELECT array(SELECT jsonb_object_keys(evidence) ORDER BY 1) AS evidence, array(SELECT jsonb_object_keys(result) ORDER BY 1) AS result FROM pgmaint.tasks LIMIT 1;
SELECT target, (result->>'indexes')::int AS indexes, (result->>'bloat_ratio')::float8 BETWEEN 0.3 AND 0.7 AS half, (result->>'index_bloat_bytes')::bigint > 100000 AS index_bloat
FROM pgmaint.tasks WHERE target IN ('report.bloated', 'report.compact') ORDER BY target;

-- a finding where a rewrite would free much
SELECT check_id, severity, object, regexp_replace(message, '\d+ [kM]B', 'N', 'g') ~ '^(table has \d\d % bloat: a rewrite|index has \d\d % bloat: a rebuild) would free N of N$' AS message,
	array(SELECT jsonb_object_keys(detail) ORDER BY 1) AS detail FROM pgmaint.findings ORDER BY check_id, object COLLATE "C";
CALL pgmaint.run_and_wait('measure', '{"bloat_threshold": 0.9}');
SELECT count(*) FROM pgmaint.findings WHERE run_id = 2;
-- the ratio alone does not make one
CALL pgmaint.run_and_wait('measure', '{"min_size": "100 MB", "tables": "bloated"}');
SELECT count(*) FROM pgmaint.tasks WHERE run_id = 3;
-- tables that are named are measured whatever their size
SELECT pgmaint.define_plan('measure', '[{"action": "bloat_report", "options": {"max_age": 0}}]');
CALL pgmaint.run_and_wait('measure', '{"tables": ["tiny", "parent"]}');
SELECT target, regexp_replace(reason, '\d\d\d\d-\d\d-\d\d', 'DATE') AS reason, state FROM pgmaint.tasks WHERE run_id = 4 ORDER BY target COLLATE "C";
-- those that were measured longest ago come first
CALL pgmaint.run_and_wait('measure', '{"schemas": "report", "min_size": "8 kB"}');
SELECT count(*) > 0 AS some, min(task_id) FILTER (WHERE target ~ 'tiny|child') > max(task_id) FILTER (WHERE target !~ 'tiny|child') AS last
FROM pgmaint.tasks WHERE run_id = 5;

-- growth from one measurement to the next
INSERT INTO compact SELECT generate_series(1, 20000);
DELETE FROM bloated WHERE id <= 5000;
CALL pgmaint.run_and_wait('measure', '{"tables": ["compact", "bloated"]}');
SELECT object, kind, run_id, size = pg_size_pretty(total_bytes) AS size, bloat = pg_size_pretty(bloat_bytes) AS bloat,
	bloat_percent BETWEEN 0 AND 100 AS percent, size_growth, bloat_growth ~ '^\d+ [kM]B$' AS bloat_grew
FROM pgmaint.bloat_history WHERE object IN ('report.compact', 'report.bloated') AND run_id IN (1, 2, 6) ORDER BY object COLLATE "C", measured_at;
SELECT object, total_bytes > lag(total_bytes) OVER w AS grew, bloat_bytes > lag(bloat_bytes) OVER w AS more_bloat
FROM pgmaint.bloat_history WHERE kind = 'table' AND object IN ('report.compact', 'report.bloated') AND run_id IN (5, 6)
WINDOW w AS (PARTITION BY object ORDER BY measured_at) ORDER BY object COLLATE "C", measured_at;
-- a table that is gone keeps its history
DROP TABLE compact CASCADE;
SELECT count(*) > 0 AS still_there FROM pgmaint.bloat_history WHERE object = 'report.compact';
-- so does a run
DELETE FROM pgmaint.runs WHERE run_id < 6;
SELECT count(*) > 0 AS still_there FROM pgmaint.bloat_history WHERE run_id IS NULL;

-- what cannot be measured is no error, and no finding: half of a new GIN index is free
CREATE INDEX ON bloated USING hash (id);
CREATE INDEX ON bloated USING brin (id);
CREATE INDEX ON bloated USING gin ((ARRAY[id, id / 2]));
CALL pgmaint.run_and_wait('measure', '{"tables": "bloated"}');
SELECT object, method FROM pgmaint_internal.bloat_measurements WHERE run_id = 7 ORDER BY object COLLATE "C";
SELECT state, result ->> 'indexes' AS indexes FROM pgmaint.tasks WHERE run_id = 7;
SELECT object FROM pgmaint.findings WHERE run_id = 7 AND object !~ 'pkey|filler|bloated$';
CALL pgmaint.run_and_wait('measure', '{"tables": ["pg_class", "pg_authid"]}');
SELECT target, state FROM pgmaint.tasks WHERE run_id = 8 ORDER BY target;

-- the figures of tables that have hardly changed stand; of these, the one that
-- was measured longest ago is measured
CREATE SCHEMA kept;
SET search_path = kept, report;
CREATE TABLE emptied (id int, filler text) WITH (autovacuum_enabled = off);
INSERT INTO emptied SELECT g, repeat('x', 50) FROM generate_series(1, 20000) g;
CREATE TABLE written (LIKE emptied) WITH (autovacuum_enabled = off);
INSERT INTO written SELECT * FROM emptied;
CREATE TABLE rewritten (LIKE emptied) WITH (autovacuum_enabled = off);
INSERT INTO rewritten SELECT * FROM emptied;
CREATE TABLE indexed (LIKE emptied) WITH (autovacuum_enabled = off);
INSERT INTO indexed SELECT * FROM emptied;
DELETE FROM emptied WHERE id % 2 = 0;
CALL count_now();
VACUUM emptied;
SELECT pgmaint.define_plan('measure', '[{"action": "bloat_report", "options": {"schemas": "kept", "min_size": "8 kB", "bloat_threshold": 0.3}}]');
CREATE VIEW last_run AS
SELECT count(*) AS tasks, array_remove(array_agg(CASE WHEN target ~ current_setting('kept.changed') THEN target END ORDER BY target COLLATE "C"), NULL) AS changed
FROM pgmaint.tasks WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs);
CREATE VIEW last_findings AS
SELECT check_id, severity, regexp_replace(regexp_replace(message, '\d\d\d\d-\d\d-\d\d', 'DATE', 'g'), '(on DATE|from DATE to DATE)$', 'then') AS message
FROM pgmaint.findings WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs) AND check_id = 'bloat_kept';
SET kept.changed = 'none';
CALL pgmaint.run_and_wait('measure');
SELECT * FROM last_run;
CALL pgmaint.run_and_wait('measure');
SELECT * FROM last_run;
SELECT * FROM last_findings;
-- bloat is a finding in every run, with the day that it was measured on
CALL pgmaint.run_and_wait('measure');
CALL pgmaint.run_and_wait('measure');
SELECT r.run_id - min(r.run_id) OVER () AS nth, f.check_id, f.object,
	regexp_replace(f.message, '^(.*has )\d+( % bloat).*', '\1N\2') AS message, (f.message ~ ', measured on \d\d\d\d-\d\d-\d\d: ') = (f.detail ? 'measured_at') AS agree
FROM pgmaint.runs r LEFT JOIN pgmaint.findings f ON f.run_id = r.run_id AND f.check_id = 'F004'
WHERE r.run_id > (SELECT max(run_id) - 4 FROM pgmaint.runs) ORDER BY r.run_id;
SELECT bool_or(f.detail ? 'measured_at') AS kept FROM pgmaint.findings f
WHERE f.run_id > (SELECT max(run_id) - 4 FROM pgmaint.runs) AND f.check_id = 'F004';
-- a few rows are not enough to measure again, more of them are, and so are other files
INSERT INTO written SELECT g, 'few' FROM generate_series(1, 50) g;
CALL count_now();
CALL pgmaint.run_and_wait('measure');
SELECT tasks FROM last_run;
SET kept.changed = 'written|indexed';
INSERT INTO written SELECT g, 'many' FROM generate_series(1, 200) g;
VACUUM FULL rewritten;
CREATE INDEX ON indexed (id);
CALL count_now();
CALL pgmaint.run_and_wait('measure');
SELECT tasks BETWEEN 3 AND 4 AS some, changed FROM last_run;
-- few rows may have most of what a TOAST table has
CREATE TABLE stored (id int, document text) WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off);
ALTER TABLE stored ALTER document SET STORAGE EXTERNAL;
INSERT INTO stored SELECT g, CASE WHEN g <= 20 THEN repeat('x', 50000) END FROM generate_series(1, 10000) g;
CREATE TABLE purged (LIKE emptied) WITH (autovacuum_enabled = off);
INSERT INTO purged SELECT g, repeat('x', 50) FROM generate_series(1, 4000) g;
CALL count_now();
VACUUM stored, purged;
SET kept.changed = 'stored|purged';
CALL pgmaint.run_and_wait('measure');
SELECT changed FROM last_run;
CALL pgmaint.run_and_wait('measure');
SELECT changed FROM last_run;
DELETE FROM stored WHERE id < 20;
CALL count_now();
VACUUM stored;
CALL pgmaint.run_and_wait('measure');
SELECT changed FROM last_run;
SELECT bloat_ratio > 0.5 AS noticed FROM pgmaint_internal.latest_bloat WHERE object = 'kept.stored';
-- counters that begin anew know nothing, even where they come to the same numbers
SELECT pg_stat_reset_single_table_counters('purged'::regclass);
DELETE FROM purged WHERE id % 10 <> 0;
CALL count_now();
VACUUM purged;
UPDATE purged SET filler = repeat('y', 50);
CALL count_now();
VACUUM purged;
CALL pgmaint.run_and_wait('measure');
SELECT changed FROM last_run;
SELECT bloat_ratio > 0.4 AS noticed FROM pgmaint_internal.latest_bloat WHERE object = 'kept.purged';
-- dead rows may have been kept by a snapshot when they were measured
DELETE FROM written WHERE id % 2 = 0;
SET kept.changed = '\.written';
CALL count_now();
CALL pgmaint.run_and_wait('measure');
SELECT changed FROM last_run;
CALL pgmaint.run_and_wait('measure');
SELECT changed FROM last_run;
-- all of them
CALL pgmaint.run_and_wait('measure', '{"max_age": 0}');
SELECT tasks FROM last_run;
CALL pgmaint.run_and_wait('measure', '{"max_margin": 0.005}');
SELECT tasks FROM last_run;
-- the figures are of the table that was measured, whatever its name is, and not of
-- one that has taken its name
CREATE INDEX emptied_id ON emptied (id);
ALTER INDEX emptied_id SET (fillfactor = 10);
REINDEX INDEX emptied_id;
ALTER INDEX emptied_id RESET (fillfactor);
CALL pgmaint.run_and_wait('measure', '{"max_age": 0}');
CALL pgmaint.run_and_wait('measure', '{"tables": "kept.emptied"}');
ALTER TABLE emptied RENAME TO "Moved on";
ALTER INDEX emptied_id RENAME TO "Index too";
CREATE TABLE emptied (id int PRIMARY KEY);
CREATE INDEX emptied_id ON emptied (id);
CALL count_now();
CALL pgmaint.run_and_wait('measure');
SELECT check_id, object, detail ? 'measured_at' AS kept FROM pgmaint.findings
WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs) AND check_id ~ '^F00' AND object !~ 'written' ORDER BY check_id;
-- an index that is too small to be measured, now that it was rebuilt, has no figures
CREATE TABLE rebuilt (LIKE written) WITH (autovacuum_enabled = off);
INSERT INTO rebuilt SELECT g, repeat('x', 50) FROM generate_series(1, 20000) g;
CREATE INDEX rebuilt_id ON rebuilt (id) WITH (fillfactor = 10);
ALTER INDEX rebuilt_id RESET (fillfactor);
CREATE VIEW of_rebuilt AS
SELECT (SELECT count(*) FROM pgmaint.tasks t WHERE t.run_id = r.run_id AND t.target = 'kept.rebuilt') AS tasks,
	(SELECT count(*) FROM pgmaint.findings f WHERE f.run_id = r.run_id AND f.object = 'kept.rebuilt_id') AS findings
FROM pgmaint.runs r WHERE r.run_id = (SELECT max(run_id) FROM pgmaint.runs);
CALL count_now();
CALL pgmaint.run_and_wait('measure', '{"min_size": "1 MB"}');
SELECT * FROM of_rebuilt;
CALL pgmaint.run_and_wait('measure', '{"min_size": "1 MB"}');
SELECT * FROM of_rebuilt;
REINDEX INDEX rebuilt_id;
CALL pgmaint.run_and_wait('measure', '{"min_size": "1 MB"}');
SELECT * FROM of_rebuilt;
CALL pgmaint.run_and_wait('measure', '{"min_size": "1 MB"}');
SELECT * FROM of_rebuilt;
SELECT pgmaint.define_plan('measure', '[{"action": "bloat_report", "options": {"tables": ["kept.emptied", "kept.rewritten"]}}]');
CALL pgmaint.run_and_wait('measure');
SELECT tasks FROM last_run;
DROP SCHEMA kept CASCADE;
SELECT pgmaint.drop_plan('measure');
TRUNCATE pgmaint_internal.bloat_measurements;
DROP SCHEMA report CASCADE;
