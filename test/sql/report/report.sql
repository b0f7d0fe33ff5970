--
-- report: what a run did, for a person
--
SET client_min_messages = warning;
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
CREATE SCHEMA report;
SET search_path = report;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
-- what validate() says of this server is not the matter here
SELECT pgmaint.define_plan('weekly', '["bloat_report", "retention", "vacuum", "vacuum_full", "analyze"]');
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
-- times and sizes differ, and how bloat is estimated is not for this test
CREATE FUNCTION masked(run_id bigint DEFAULT NULL) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(replace(r, current_user, 'me'),
		'\d\d\d\d-\d\d-\d\d \d\d:\d\d:\d\d[+-][\d:]+', 'TIME', 'g'), '\d\d:\d\d:\d\d(\.\d+)?', 'DURATION', 'g'), '\d+\.\d s', 'N s', 'g'), '\d+ (bytes|kB|MB)', 'SIZE', 'g'), '(is |has |\()\d+(\.\d)? %( ± \d+\.\d)?', '\1N %\3', 'g')
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
DO $$ BEGIN FOR i IN 1 .. 9000 LOOP EXIT WHEN EXISTS (SELECT FROM pgmaint.runs WHERE run_id = 4 AND state = 'cancelled'); COMMIT; PERFORM pg_sleep(0.02); END LOOP; END $$;
SELECT masked(4);

-- of a long one, what matters is shown, and all is counted
\set nasty '\'x\nNot done\n  failed: %s \\1 <b>\''
INSERT INTO pgmaint.runs (plan, requested_by, requested_at, started_at, finished_at, state, role, database, steps, current_step, settings)
VALUES ('long', 'me', 'epoch', 'epoch', 'epoch', 'failed', 10, 5, '[{"action": "vacuum"}, {"action": "check_corruption"}, {"action": "escalate"}]', 3, '{}')
RETURNING run_id AS long \gset
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, attempt, started_at, finished_at, bytes_before, bytes_after, result, error)
SELECT :long, 1, 'vacuum', t.name, 'VACUUM ' || t.name, 'asked for', t.state, 1, 'epoch', 'epoch'::timestamptz + CASE WHEN g > 133 THEN g ELSE 1 END * interval '1 s',
	CASE WHEN g BETWEEN 54 AND 123 THEN g * 1048576 END, 0,
	CASE WHEN g BETWEEN 124 AND 133 THEN jsonb_build_object('dead_rows_before', g, 'dead_rows_after', 0) END,
	CASE WHEN t.state = 'succeeded' THEN NULL WHEN g = 31 THEN 'another cause' WHEN t.state = 'failed' THEN format('no room: %s of %s bytes', g, g * 10) ELSE format('no lock on %s within 5000 ms', t.name) END
FROM generate_series(1, 250) g
CROSS JOIN LATERAL (SELECT CASE WHEN g % 16 = 1 THEN :nasty || g ELSE 't' || g END AS name,
	CASE WHEN g <= 31 THEN 'failed' WHEN g <= 51 THEN 'skipped' WHEN g = 52 THEN 'cancelled' WHEN g = 53 THEN 'interrupted' ELSE 'succeeded' END AS state) t;
-- those that are never told one by one
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, started_at, finished_at, bytes_before, outcome, shown_as)
SELECT :long, 2, 'check_corruption', 'c' || g, 'check c' || g, 'asked for', 'succeeded', 'epoch'::timestamptz, 'epoch'::timestamptz, 8192, 'sound', 'count' FROM generate_series(1, 1500) g
UNION ALL SELECT :long, 3, 'escalate', 'x', 'x', 'x', 'succeeded', 'epoch', 'epoch', NULL, 'told', 'step';
INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message, detail)
SELECT :long, 'F004', 'warning', CASE WHEN g % 16 = 1 THEN :nasty || g ELSE 't' || g END, format('table has %s %% bloat: %s of %s', g % 90, pg_size_pretty(g * 1000::bigint), pg_size_pretty(g * 99000::bigint)), jsonb_build_object('bloat_bytes', g)
FROM generate_series(1, 1200) g
UNION ALL SELECT :long, 'index_advice', 'info', 't' || g, format('an index would save %s.5 s', g), jsonb_build_object('command', 'CREATE INDEX ON t' || g) FROM generate_series(1, 25) g
UNION ALL SELECT :long, 'void', 'info', NULL, format('%s of them', g), NULL FROM generate_series(1, 9) g
UNION ALL SELECT :long, 'two', 'critical', 't' || g, format('t%s is odd', g), NULL FROM generate_series(1, 2) g
UNION ALL SELECT :long, E'a\nb', 'critical', NULL, E'one\nalone', NULL
UNION ALL SELECT :long, 'failed', 'warning', 't' || g, 'told as a task', NULL FROM generate_series(1, 31) g;
SELECT m FROM masked(:long) WITH ORDINALITY AS r (m, nth) WHERE nth < (SELECT min(nth) FROM masked(:long) WITH ORDINALITY AS r (m, nth) WHERE m = 'Done');
SELECT count(*) AS lines, max(length(m)) < 400 AS short, count(*) FILTER (WHERE m ~ '^Not done$') AS heads, count(*) FILTER (WHERE m ~ '^  VACUUM ') AS tasks, count(*) FILTER (WHERE m ~ 'told as a task') AS twice FROM masked(:long) m;
-- those that gave back most, that removed most rows, that took longest
SELECT string_agg(substring(m from '(\d+) \(N s\)$'), ' ' ORDER BY nth) FROM masked(:long) WITH ORDINALITY AS r (m, nth) WHERE m ~ '^  VACUUM ';
SELECT m FROM masked(:long) WITH ORDINALITY AS r (m, nth) WHERE m ~ 'of \d+,?\d* tasks shown' ORDER BY nth;
-- of what is only counted, a step says what came of all of it, or of none
BEGIN;
UPDATE pgmaint.tasks SET outcome = E'sound\nNot done' WHERE run_id = :long AND step = 2;
SELECT m FROM masked(:long) m WHERE m ~ '^  2\. ';
UPDATE pgmaint.tasks SET outcome = target WHERE run_id = :long AND step = 2;
SELECT m FROM masked(:long) m WHERE m ~ '^  2\. ';
ROLLBACK;
SELECT count(*) FILTER (WHERE NOT done) AS not_done, count(*) FILTER (WHERE done) AS done, count(DISTINCT task_id) FROM pgmaint.shown_tasks(:long);
-- tasks that 0.2 carried out have no outcome: what they have is told
UPDATE pgmaint.tasks SET bytes_before = 9000000, bytes_after = 1000000, result = '{"dead_rows_before": 1500, "dead_rows_after": 500, "xid_age_before": 150000000, "xid_age_after": 7, "analyzed": true}'
WHERE run_id = :long AND target = 't250';
SELECT gain, returned_bytes, removed_rows, one_of_many, one_for_all FROM pgmaint.task_results WHERE run_id = :long AND target = 't250';
-- only what is shown is put into words
SET track_functions = 'all';
BEGIN;
SELECT count(*) FROM masked(:long);
SELECT calls BETWEEN 100 AND 2000 AS few FROM pg_stat_xact_user_functions WHERE schemaname = 'pgmaint' AND funcname = 'one_line';
COMMIT;
BEGIN;
SELECT pgmaint.report_html(:long) LIKE '%100 of 1,751 tasks shown%' AS page;
SELECT calls BETWEEN 100 AND 4000 AS few FROM pg_stat_xact_user_functions WHERE schemaname = 'pgmaint' AND funcname = 'one_line';
COMMIT;
RESET track_functions;
-- where no two are alike, one of each kind
INSERT INTO pgmaint.runs (plan, requested_by, requested_at, started_at, finished_at, state, role, database, steps, current_step, settings)
VALUES ('unlike', 'me', 'epoch', 'epoch', 'epoch', 'failed', 10, 5, '[{"action": "vacuum"}]', 1, '{}')
RETURNING run_id AS unlike \gset
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, started_at, finished_at, error)
SELECT :unlike, 1, 'vacuum', 't' || g, 'VACUUM t' || g, 'asked for', CASE WHEN g > 140 THEN 'failed' ELSE 'skipped' END, 'epoch'::timestamptz, 'epoch'::timestamptz, CASE WHEN g > 150 THEN 'x' ELSE repeat('y', g) END FROM generate_series(1, 180) g
UNION ALL SELECT :unlike, 1, 'vacuum', 'done', 'VACUUM done', 'asked for', 'succeeded', 'epoch', 'epoch', NULL;
INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message)
SELECT :unlike, 'c' || g, CASE WHEN g > 140 THEN 'critical' ELSE 'warning' END, 't' || g, repeat('y', g) FROM generate_series(1, 150) g;
SELECT count(*) AS lines, count(*) FILTER (WHERE m ~ '^  failed:') AS failed, count(*) FILTER (WHERE m ~ '^  skipped:') AS skipped, count(*) FILTER (WHERE m ~ '^  CRITICAL') AS critical, count(*) FILTER (WHERE m ~ '^  WARNING') AS warning FROM masked(:unlike) m;
SELECT m FROM masked(:unlike) WITH ORDINALITY AS r (m, nth) WHERE m ~ '^  tasks:|findings?:|like it|warnings: |critical: |shown' ORDER BY nth;

-- what a result says in words, of each action
CREATE FUNCTION words(action text, VARIADIC results jsonb[]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT coalesce(pgmaint_internal.describe_result(words.action, 'the target', r), 'NULL') FROM unnest(results) WITH ORDINALITY AS x (r, nth) ORDER BY nth
$$;
SELECT words('vacuum', '{"dead_rows_before": 1500, "dead_rows_after": 500, "xid_age_before": 150000000, "xid_age_after": 7, "returned_bytes": 8000000, "analyzed": true}',
	'{"dead_rows_before": 1, "dead_rows_after": 0, "xid_age_before": 1000006, "xid_age_after": 7, "returned_bytes": 0, "analyzed": false}', '{"dead_rows_before": 1, "dead_rows_after": 7}');
SELECT words('vacuum_full', '{"dead_rows_before": 0, "dead_rows_after": 0, "returned_bytes": 1048576000, "analyzed": false}');
SELECT words('analyze', '{"modified_rows_before": 5, "modified_rows_after": 0, "analyzed": true}');
SELECT words('reindex', '{"returned_bytes": 20480}', '{"returned_bytes": 0}');
SELECT words('bloat_report', '{"bloat_bytes": 819200, "bloat_ratio": 0.5204, "margin": 0.0125, "total_blocks": 200, "indexes": 1, "index_bloat_bytes": 8192}', '{"bloat_bytes": 0, "bloat_ratio": 0, "margin": 0, "total_blocks": 0, "indexes": 0}');
SELECT words('retention', '{"deleted_rows": 1234567, "archived_bytes": 204800}', '{"deleted_rows": 1}', '{"deleted_rows": 3, "archived_bytes": 100, "dropped": true}', '{"dropped": true}');
SELECT words('check_corruption', '{"problems": 0, "found": "sound"}', '{}');
SELECT words('backup', '{"bytes": 1048576, "dump_bytes": 20971520, "key": "daily/a \"b\".dump.gz"}');
SELECT words('expire_backups', '{"removed": true, "bytes": 20480}', '{"removed": false, "found": "the object was gone already"}');
-- a proof tells restoring, comparing and checking apart, as far as they were measured
SELECT words('verify_backup', b || '{}', b || '{"settings": "private server, fsync off, wal_level minimal, 512 MB", "server_seconds": 0.4, "comparison_seconds": 3.04, "check_seconds": 82.15}',
	b || '{"settings": "live server: fsync on", "comparison_seconds": 0, "check_seconds": null}', '{"bytes": 1024}')
FROM (SELECT '{"restore_seconds": 21.06, "rows": 1234567, "tables": 3, "indexes": 1}'::jsonb) x (b);
SELECT words('restore_backup', '{"database": "d", "restore_seconds": 0.5, "rows": 1, "tables": 1, "indexes": 0}');
SELECT words('validate', '{"checks": 25, "warnings": 1, "critical": 2}', '{"checks": 25, "warnings": 0, "critical": 0}',
	'{"known": 30, "missing": 1, "differing": 2, "archives_read": 1}', '{"known": 0, "missing": 0, "differing": 0, "archives_read": 0}');
SELECT words('connection_review', '{"peak": 93, "current": 100, "recommended": 150, "applied": false}', '{"peak": 3, "current": 100, "recommended": 50, "applied": true}', '{"peak": 3, "current": 100, "recommended": 100, "applied": false}');
SELECT words('review_queries', '{"queries": 1041, "plans": 20, "plans_changed": 2, "degraded": 1, "not_planned": {}}', '{"queries": 1, "plans": 1, "plans_changed": 0, "degraded": 0, "not_planned": {}}', '{"queries": 0}');
SELECT words('index_advice', '{"looked_at": 12, "advised": 3, "reviewed": 2}', '{"looked_at": 1, "advised": 1, "reviewed": 0}', '{"advised": 0, "looked_at": 0}');
SELECT words('index_usage', '{"indexes": 34, "found": 5}', '{"indexes": 1, "found": 0}');
SELECT words('escalate', '{"sent": 2, "failed": 1, "contacts": 2, "alerts": 3}', '{"sent": 0, "failed": 0, "contacts": 0, "alerts": 0}',
	'{"sent": 0, "failed": 0, "contacts": 1, "alerts": 1, "left_to_others": true, "held_up": true}', '{"sent": 0, "failed": 0, "contacts": 1, "alerts": 0}');
-- no result makes it fail
SELECT DISTINCT a.action FROM pgmaint.actions() a CROSS JOIN (VALUES ('{}'::jsonb), ('[]'), ('"x"'), ('null'), ('{"found": 1, "settings": [], "key": {}, "rows": "many", "returned_bytes": "NaN", "checks": null}')) AS x (result)
WHERE a.option IS NULL AND pgmaint_internal.describe_result(a.action, 'x', x.result) IS NULL;
SELECT words('of another version', '{}');

-- reviews are told with their steps, and what they found with the commands for it
CREATE FUNCTION review(results jsonb[]) RETURNS bigint LANGUAGE sql AS $$
	WITH actions AS (
		SELECT a.action, results[a.nth] AS result, a.nth
		FROM unnest(ARRAY['review_queries', 'index_advice', 'index_usage', 'connection_review', 'validate', 'escalate']) WITH ORDINALITY AS a (action, nth)
	),
	made AS (
		INSERT INTO pgmaint.runs (plan, requested_by, requested_at, started_at, finished_at, state, role, database, steps, current_step, settings)
		SELECT 'quarterly', 'me', 'epoch', 'epoch', 'epoch', 'succeeded', 10, 5, jsonb_agg(jsonb_build_object('action', a.action) ORDER BY a.nth), 6, '{}'
		FROM actions a
		RETURNING run_id
	)
	INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, started_at, finished_at, result, outcome, shown_as)
	SELECT m.run_id, a.nth, a.action, 'x', 'x', 'x', 'succeeded', 'epoch', 'epoch'::timestamptz + interval '0.3 s', a.result, pgmaint_internal.describe_result(a.action, 'x', a.result), 'step'
	FROM made m, actions a
	RETURNING run_id
$$;
SELECT review(ARRAY[
	'{"queries": 1041, "plans": 20, "plans_changed": 2, "degraded": 1, "remarks": ["7 without a plan: commands have none", "5 without a plan: c\nd", "2 without a plan for other reasons"]}',
	'{"looked_at": 12, "advised": 3, "reviewed": 2}', '{"indexes": 34, "found": 5}', '{"peak": 93, "current": 100, "recommended": 150, "applied": false}',
	'{"checks": 25, "warnings": 1, "critical": 2}', '{"sent": 2, "failed": 1, "contacts": 2, "alerts": 3}']::jsonb[]) AS review \gset
INSERT INTO pgmaint_internal.alert_records (alert_id, check_id, object, severity, condition, message, occurrences, first_seen, last_seen, severe_since, first_finding, last_finding, level, resolved_at, resolution)
SELECT 100 + n, 'life', n::text, 'critical', 'it goes on', 'm', n, '2026-11-01', '2026-11-22', '2026-11-08', 1, 1, n - 1, CASE WHEN n = 4 THEN '2026-11-22'::timestamptz END, CASE WHEN n = 4 THEN 'over' END
FROM generate_series(1, 4) n;
INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message, detail) VALUES
	(:review, 'H004', 'info', NULL, 'told otherwise', jsonb_build_object('summary', '12 indexes', 'objects',
		(SELECT jsonb_agg(jsonb_build_object('command', 'DROP INDEX i' || g, 'bytes', 1048576 * 11, 'detail', E'the same as "x\nDROP TABLE y; --"')) FROM generate_series(1, 12) g))),
	(:review, 'index_advice', 'info', 'public.o', 'told otherwise', jsonb_build_object('summary', 'an index would save much', 'command', E'CREATE INDEX CONCURRENTLY ON "p\\1" (a);\nCREATE INDEX ON p (a)')),
	(:review, 'index_advice', 'info', E'x\nFindings', 'nasty', jsonb_build_object('command', E'DROP INDEX "a;\nDROP TABLE b; --"')),
	(:review, 'index_advice', 'info', NULL, E'of some:\nwhy (1)\nwhy not (2)', NULL),
	(:review, 'connections', 'warning', 'max_connections', 'max_connections should be more', '{"command": "ALTER SYSTEM SET max_connections = 150"}');
INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message, alert_id)
SELECT :review, t.check_id, CASE t.object WHEN '2' THEN 'warning' ELSE 'critical' END, t.object, 'alert', t.alert_id
FROM pgmaint_internal.alert_records t WHERE t.check_id = 'life' ORDER BY t.alert_id;
INSERT INTO pgmaint_internal.acknowledgements (finding_id, alert_id, severity, acknowledged_by)
SELECT 1, t.alert_id, 'critical', 'bob' FROM pgmaint_internal.alert_records t WHERE t.check_id = 'life' AND t.object = '1';
SELECT regexp_replace(m, 'finding_id = \d+', 'finding_id = N') FROM masked(:review) m;
-- without an outcome, there is but the task
SELECT m FROM masked(review(ARRAY['{"queries": 0}', NULL, '{"indexes": 1, "found": 0}']::jsonb[])) m WHERE m ~ '^  \d\.';
-- as 0.2 has written them
INSERT INTO pgmaint.runs (plan, requested_by, requested_at, started_at, finished_at, state, role, database, steps, current_step, settings)
VALUES ('older', 'me', 'epoch', 'epoch', 'epoch', 'succeeded', 10, 5, '[{"action": "retention"}, {"action": "check_corruption"}, {"action": "validate"}, {"action": "review_queries"}]', 4, '{}')
RETURNING run_id AS older \gset
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, attempt, started_at, finished_at, bytes_before, bytes_after, relation, result)
SELECT :older, x.step, x.action, x.target, x.target, 'due', 'succeeded', 1, 'epoch'::timestamptz, 'epoch'::timestamptz + interval '0.5 s', x.before, x.after, x.relation, x.result::jsonb
FROM (VALUES
	(1, 'retention', 'a', 8192, 8192, 5, '{"rows": 5, "archive_id": 7, "bytes": 200, "content_bytes": 900}'),
	(1, 'retention', 'b', NULL, NULL, 0, '{"removed": false}'),
	(2, 'check_corruption', 'a', 1048576, 1048576, 5, '{"problems": 0, "next_block": 128, "blocks": 128, "found": "sound"}'),
	(2, 'check_corruption', 'sequences', NULL, NULL, 0, '{"sequences": 3, "near_end": 0, "found": "0 of 3 sequences near their end"}'),
	(3, 'validate', 'd', NULL, NULL, 0, '{"checks": 25, "warnings": 1, "critical": 2}'),
	(4, 'review_queries', 'queries', NULL, NULL, 0, '{"queries": 1, "plans": 0, "plans_changed": 0, "degraded": 0, "not_planned": {"c\nd": 1}}'))
	x (step, action, target, before, after, relation, result);
SELECT masked(:older);
SELECT pgmaint.report_html(:older) ~ '>{&quot;checks&quot;: 25, &quot;critical&quot;: 2, &quot;warnings&quot;: 1}<' AS page;
-- a name with a line break is no command
SELECT c, pgmaint.may_be_copied(c) FROM unnest(ARRAY['DROP INDEX "a"', E'DROP INDEX a;\nDROP INDEX b', E'DROP INDEX "a;\nDROP INDEX b"', E'DROP INDEX "a""b" ;\nDROP INDEX c',
	E'CREATE INDEX ON a (b) WHERE c = \';\n\'', E'a\tb']) WITH ORDINALITY AS x (c, nth) ORDER BY nth;
TRUNCATE pgmaint_internal.alert_records CASCADE;
DROP SCHEMA report CASCADE;
SELECT pgmaint.drop_plan('weekly');
