--
-- Options of runs and of steps: whatever is wrong is said before anything is done
--
SET client_min_messages = warning;
CREATE SCHEMA options;
SET search_path = options;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
CREATE TABLE t (id int PRIMARY KEY);
CREATE TABLE parent (id int) PARTITION BY RANGE (id);
CREATE TABLE child PARTITION OF parent FOR VALUES FROM (0) TO (10);
CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;
CREATE VIEW v AS SELECT 1 AS one;
CREATE SEQUENCE s;
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE f (id int) SERVER nowhere;

-- is an option taken?
CREATE FUNCTION try(action text, options jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	explanation text;
	hint text;
BEGIN
	PERFORM pgmaint.define_plan('try', jsonb_build_array(
		jsonb_build_object('action', action, 'options', options)));
	RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, explanation = PG_EXCEPTION_DETAIL;
	-- not every server has these
	hint := replace(hint, ', process_main, skip_database_stats, buffer_usage_limit', '');
	hint := replace(hint, '"bytes", "B",', '"bytes",');
	RETURN sqlstate || ' ' || sqlerrm || coalesce(E'\n' || nullif(explanation, ''), '') || coalesce(E'\n' || nullif(hint, ''), '');
END
$$;
\pset format unaligned
\pset tuples_only on
\set try 'SELECT o, try(a, o) FROM (SELECT :''action'' AS a, unnest(ARRAY[:values]::jsonb[]) AS o) x;'

-- what this server may be too old for
SELECT try('vacuum', '{"process_main": true}') = CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'taken'
	ELSE E'0A000 option "process_main" of action "vacuum" requires PostgreSQL 16 or later\nRemove the option.' END AS as_the_server;

\set action analyze
\set values '''{}'', ''{"nonsense": 1}'', ''{"Scope": "all"}'', ''{"freeze": true}'', ''{"": 1}'''
:try

-- names of tables
\set values '''{"tables": "t"}'', ''{"tables": "options.t"}'', ''{"tables": "T"}'', ''{"tables": "\\"T\\""}'', ''{"tables": ["t", "parent", "child", "m", "pg_class"]}'''
:try
\set values '''{"tables": "nowhere"}'', ''{"tables": ["t", "elsewhere.t"]}'', ''{"tables": ["t", "v"]}'', ''{"tables": "s"}'', ''{"tables": "t_pkey"}'', ''{"tables": "f"}'''
:try
\set values '''{"tables": []}'', ''{"tables": {}}'', ''{"tables": 1}'', ''{"tables": true}'', ''{"tables": ["t", 1]}'', ''{"tables": ["t", ["t"]]}'', ''{"tables": null}'', ''{"tables": ""}'', ''{"tables": "a.b.c.d"}'', ''{"tables": "t; DROP TABLE t"}'''
:try

-- names of schemas
\set values '''{"schemas": "options"}'', ''{"schemas": ["options", "nowhere"]}'', ''{"schemas": []}'', ''{"schemas": 1}'', ''{"schemas": [1]}'', ''{"schemas": {"a": 1}}'''
:try

-- one of several words
\set values '''{"scope": "all"}'', ''{"scope": "due"}'', ''{"scope": "ALL"}'', ''{"scope": "some"}'', ''{"scope": true}'', ''{"scope": ""}'', ''{"scope": ["all"]}'', ''{"scope": null}'''
:try

-- integers
\set values '''{"min_modified_rows": 0}'', ''{"min_modified_rows": 1e3}'', ''{"min_modified_rows": -1}'', ''{"min_modified_rows": 1.5}'', ''{"min_modified_rows": "10"}'', ''{"min_modified_rows": 1e16}'', ''{"min_modified_rows": true}'', ''{"min_modified_rows": {}}'''
:try

-- numbers
\set values '''{"min_modified_ratio": 0.1}'', ''{"min_modified_ratio": -0.1}'', ''{"min_modified_ratio": 1e7}'', ''{"min_modified_ratio": "0.1"}'', ''{"min_modified_ratio": [0.1]}'''
:try

-- true or false
\set action vacuum
\set values '''{"freeze": true}'', ''{"freeze": false}'', ''{"freeze": "on"}'', ''{"freeze": 1}'', ''{"freeze": null}'''
:try

-- switches
\set values '''{"index_cleanup": "auto"}'', ''{"index_cleanup": "on"}'', ''{"index_cleanup": "off"}'', ''{"index_cleanup": true}'', ''{"index_cleanup": false}'', ''{"index_cleanup": "true"}'', ''{"index_cleanup": 1}'', ''{"index_cleanup": "Off"}'''
:try
\set values '''{"parallel": 0}'', ''{"parallel": 1024}'', ''{"parallel": 1025}'', ''{"parallel": -1}'', ''{"min_dead_ratio": 1.1}'', ''{"full": true}'', ''{"verbose": true}'', ''{"skip_locked": true}'''
:try

-- bytes
\set action bloat_report
\set values '''{"min_size": 0}'', ''{"min_size": 65536}'', ''{"min_size": "64 kB"}'', ''{"min_size": "1.5 GB"}'', ''{"min_size": -1}'', ''{"min_size": "-1 MB"}'', ''{"min_size": "64 stones"}'', ''{"min_size": "much"}'', ''{"min_size": true}'', ''{"min_size": ["8 MB"]}'''
:try
\set values '''{"max_margin": 0.0005}'', ''{"max_margin": 0.2}'', ''{"max_margin": 0}'', ''{"max_margin": 0.3}'', ''{"bloat_threshold": 2}'''
:try

-- settings of the tasks' sessions: those that exist, that are not kept at a safe value
\set action vacuum
\set values '''{"settings": {}}'', ''{"settings": {"maintenance_work_mem": "64MB", "vacuum_cost_delay": 0, "default_statistics_target": "50"}}'', ''{"settings": {"statement_timeout": "1h"}}'', ''{"settings": {"log_statement": "all"}}'', ''{"settings": {"my.own": "value"}}'''
:try
\set values '''{"settings": {"nonsense": 1}}'', ''{"settings": {"maintenance_work_mem": "much"}}'', ''{"settings": {"default_statistics_target": 0}}'', ''{"settings": {"maintenance_work_mem": null}}'', ''{"settings": {"maintenance_work_mem": ["64MB"]}}'', ''{"settings": {"maintenance_work_mem": {"value": 1}}}'', ''{"settings": "maintenance_work_mem"}'', ''{"settings": ["maintenance_work_mem"]}'''
:try
\set values '''{"settings": {"search_path": "options"}}'', ''{"settings": {"SEARCH_PATH": "options"}}'', ''{"settings": {"role": "postgres"}}'', ''{"settings": {"session_authorization": "postgres"}}'', ''{"settings": {"lock_timeout": 0}}'', ''{"settings": {"session_replication_role": "replica"}}'', ''{"settings": {"jit": true}}'', ''{"settings": {"zero_damaged_pages": true}}'', ''{"settings": {"shared_buffers": "1GB"}}'', ''{"settings": {"server_version": "1"}}'', ''{"settings": {"work_mem": "64MB", "port": 1}}'''
:try
-- checking a setting does not set it
SHOW maintenance_work_mem;
SHOW statement_timeout;

-- the options of a run go to the steps that know them, or under the name of an action to its steps
\pset tuples_only off
\pset format aligned
SELECT pgmaint.define_plan('try', '[{"action": "vacuum", "options": {"scope": "all", "min_dead_rows": 5}}, "analyze", "bloat_report"]');
BEGIN;
SELECT pgmaint.run('try', '{"tables": "t", "scope": "due", "min_dead_rows": 7, "bloat_report": {"min_size": "1 MB"}, "analyze": {"scope": "all"}}') > 0 AS queued;
SELECT step FROM (SELECT * FROM pgmaint.runs ORDER BY run_id DESC LIMIT 1) r, jsonb_array_elements(steps) step;
SELECT options FROM pgmaint.runs ORDER BY run_id DESC LIMIT 1;
-- what is null is not given
SELECT pgmaint.run_action('analyze', '{"scope": null, "tables": null}') > 0 AS queued;
SELECT plan, options, steps FROM pgmaint.runs ORDER BY run_id DESC LIMIT 1;
ROLLBACK;
SELECT pgmaint.define_plan('try', '["analyze", "bloat_report"]');
SELECT pgmaint.run('try', '{"nonsense": 1}');
SELECT pgmaint.run('try', '{"analyze": {"min_size": 1}}');
SELECT pgmaint.run('try', '{"analyze": 1}');
SELECT pgmaint.run('try', '{"reindex": {}}');
SELECT pgmaint.run('try', '{"scope": "some"}');
SELECT pgmaint.run('try', '{"tables": "v"}');
SELECT pgmaint.run('try', '[]');
SELECT pgmaint.run('try', '1');
SELECT pgmaint.run('try', 'null');
SELECT pgmaint.run_action('analyze', '[]');
SELECT pgmaint.run_action('analyze', '"scope"');
SELECT pgmaint.run_action('analyze', '{"freeze": true}');
SELECT pgmaint.run_action('defragment');
SELECT pgmaint.run_action('weekly');
SELECT pgmaint.run_action(NULL);
SELECT pgmaint.run(NULL);
SELECT * FROM pgmaint.dry_run(NULL);
SELECT * FROM pgmaint.dry_run('try', '{"nonsense": 1}');
CALL pgmaint.run_and_wait(NULL);
CALL pgmaint.run_and_wait('try', '{"nonsense": 1}');
SELECT pgmaint.drop_plan('try');
SELECT count(*) FROM pgmaint.runs;
DROP SCHEMA options CASCADE;
DROP FOREIGN DATA WRAPPER nothing CASCADE;
