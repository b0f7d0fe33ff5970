--
-- dry_run: the tasks that a run would do now
--
SET client_min_messages = warning;
CREATE SCHEMA dry_run;
CREATE SCHEMA "Dry.Run";
SET search_path = dry_run;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
-- what validate() says of this server is not the matter here
SELECT pgmaint.define_plan('weekly', '["bloat_report", "retention", "vacuum", "vacuum_full", "analyze"]');
CREATE PROCEDURE count_now() LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('server_version_num')::int >= 150000 THEN
		PERFORM pg_stat_force_next_flush();
	ELSE
		PERFORM pg_sleep(1.5);
	END IF;
END
$$;
CREATE TABLE a (id int);
INSERT INTO a SELECT generate_series(1, 2000);
CREATE TABLE b (id int);
INSERT INTO b SELECT generate_series(1, 50);
CREATE TABLE "Dry.Run"."Tab ""le""" (id int);
INSERT INTO "Dry.Run"."Tab ""le""" SELECT generate_series(1, 300);
CREATE TABLE "Dry.Run"."größe; DROP TABLE dry_run.a" (id int);
INSERT INTO "Dry.Run"."größe; DROP TABLE dry_run.a" SELECT generate_series(1, 200);
CALL count_now();

-- on the first night: what was never looked after
SELECT step, action, target, command, reason, estimate_bytes = pg_relation_size(target::regclass) AS bytes, estimate_duration
FROM pgmaint.dry_run('weekly', '{"schemas": ["dry_run", "Dry.Run"]}') ORDER BY step, target COLLATE "C";
-- nothing has been written, nothing has been done
SELECT (SELECT count(*) FROM pgmaint.runs) AS runs, (SELECT count(*) FROM pgmaint.tasks) AS tasks,
	(SELECT count(*) FROM pgmaint.findings) AS findings, pg_stat_get_vacuum_count('a'::regclass) AS vacuumed;

-- all tables, tables by name, tables of a schema
SELECT step, command FROM pgmaint.dry_run('weekly', '{"schemas": "dry_run", "scope": "all"}') ORDER BY step, target COLLATE "C";
SELECT step, command FROM pgmaint.dry_run('weekly', '{"tables": ["b", "\"Dry.Run\".\"Tab \"\"le\"\"\""]}') ORDER BY step, target COLLATE "C";
SELECT step, command FROM pgmaint.dry_run('weekly', '{"tables": "b", "scope": "due"}') ORDER BY step, target COLLATE "C";
SELECT step, command FROM pgmaint.dry_run('weekly', '{"tables": ["a", "b"], "schemas": "Dry.Run"}');
SELECT step, command FROM pgmaint.dry_run('weekly', '{"schemas": "Dry.Run", "min_size": "8 kB", "vacuum": {"schemas": "nowhere"}, "analyze": {"tables": "\"Dry.Run\".\"größe; DROP TABLE dry_run.a\""}}') ORDER BY step, target COLLATE "C";
SELECT count(*) > 60 AS many FROM pgmaint.dry_run('weekly', '{"scope": "all"}') WHERE action = 'vacuum';
SELECT command FROM pgmaint.dry_run('weekly', '{"tables": ["pg_class", "pg_authid", "pg_statistic"], "min_size": "1 TB"}') ORDER BY command COLLATE "C";
SELECT action, command FROM pgmaint.dry_run('weekly', '{"tables": ["pgmaint.runs"], "min_size": "1 TB"}') ORDER BY command;
-- large enough to measure: the table with its TOAST table, or one of its indexes
SELECT target FROM pgmaint.dry_run('weekly', '{"schemas": "dry_run", "min_size": 65536}') WHERE step = 1;
SELECT target FROM pgmaint.dry_run('weekly', '{"schemas": "dry_run", "min_size": "100 kB"}') WHERE step = 1;
CREATE INDEX ON a (repeat(id::text, 20));
SELECT target FROM pgmaint.dry_run('weekly', '{"schemas": "dry_run", "min_size": "100 kB"}') WHERE step = 1;

-- what VACUUM is told, by name
CREATE FUNCTION command(options jsonb) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT command FROM pgmaint.dry_run('weekly', jsonb_build_object('tables', 'dry_run.b', 'min_size', '1 TB', 'analyze', '{"schemas": "nowhere"}'::jsonb, 'vacuum', options))
$$;
SELECT o, command(o) FROM unnest(ARRAY['{}', '{"analyze": "auto"}', '{"analyze": "on"}', '{"analyze": true}', '{"analyze": "off"}', '{"analyze": false}',
	'{"analyze": "off", "freeze": true}', '{"analyze": "off", "freeze": false}', '{"freeze": true, "analyze": true}']::jsonb[]) o;
SELECT o, command('{"analyze": "off"}' || o) FROM unnest(ARRAY['{"parallel": 0}', '{"parallel": 4}', '{"parallel": 1e1}', '{"index_cleanup": "auto"}', '{"index_cleanup": "off"}',
	'{"index_cleanup": true}', '{"truncate": false}', '{"truncate": true}', '{"process_toast": false}', '{"disable_page_skipping": true}', '{"truncate": null}',
	'{"freeze": true, "truncate": false, "parallel": 2, "process_toast": true, "index_cleanup": "on", "disable_page_skipping": false}']::jsonb[]) o;
-- and the server understands it
SELECT pgmaint.define_plan('try', '[{"action": "vacuum", "options": {"tables": "dry_run.b", "analyze": true, "freeze": true, "truncate": false, "parallel": 2, "process_toast": true, "index_cleanup": "on", "disable_page_skipping": true}},
	{"action": "vacuum", "options": {"tables": "dry_run.a", "analyze": false, "index_cleanup": "auto", "process_toast": false, "parallel": 0}}]');
CALL pgmaint.run_and_wait('try');
SELECT command, state, error FROM pgmaint.tasks ORDER BY task_id;
SELECT pgmaint.drop_plan('try');

-- after a run there is a duration to go by
SELECT bool_and(estimate_duration >= interval '0') AS known FROM pgmaint.dry_run('weekly', '{"tables": ["a", "b"], "min_size": "1 TB", "analyze": {"schemas": "nowhere"}}');
SELECT bool_or(estimate_duration IS NOT NULL) = (current_setting('server_version_num')::int >= 180000) AS known_to_18 FROM pgmaint.dry_run('weekly', '{"tables": ["a", "b"], "min_size": "1 TB", "vacuum": {"schemas": "nowhere"}}');

-- the caller's search path is not the workers'
SET search_path = "Dry.Run";
CREATE TABLE a (id int);
SELECT step, command FROM pgmaint.dry_run('weekly', '{"tables": "a", "min_size": "1 TB"}');
CALL pgmaint.run_and_wait('weekly', '{"tables": ["a", "\"Tab \"\"le\"\"\"", "\"größe; DROP TABLE dry_run.a\""], "min_size": "1 TB"}');
SELECT command, target, state FROM pgmaint.tasks WHERE run_id = 2 ORDER BY task_id;
CALL pgmaint.run_and_wait('weekly', '{"schemas": "Dry.Run", "scope": "all", "min_size": 0}');
SELECT command, state FROM pgmaint.tasks WHERE run_id = 3 ORDER BY command COLLATE "C";
SELECT object, kind FROM pgmaint.bloat_history ORDER BY object COLLATE "C";
RESET search_path;
DROP SCHEMA "Dry.Run", dry_run CASCADE;
SELECT pgmaint.drop_plan('weekly');
