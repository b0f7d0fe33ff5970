--
-- stale_statistics: which tables need ANALYZE, and why
--
SET client_min_messages = warning;
CREATE SCHEMA statistics;
SET search_path = statistics;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
-- what validate() says of this server is not the matter here
SELECT pgmaint.define_plan('weekly', '["bloat_report", "retention", "vacuum", "vacuum_full", "analyze"]');
-- other tests have changed many of its rows
ANALYZE pgmaint.tasks;

-- from PostgreSQL 15 on the counters are there at once when they are asked for
CREATE PROCEDURE count_now() LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('server_version_num')::int >= 150000 THEN
		PERFORM pg_stat_force_next_flush();
	ELSE
		PERFORM pg_sleep(1.5);
	END IF;
END
$$;
CREATE VIEW stale AS
	SELECT s.relation::text COLLATE "C" AS relation, s.reason, s.estimated_rows, s.modified_rows,
		s.last_analyze > now() - interval '1 hour' AS analyzed, s.may_maintain
	FROM pgmaint.stale_statistics() s JOIN pg_class c ON c.oid = s.relation
	WHERE c.relnamespace = 'statistics'::regnamespace;

--
-- Never made, and stale from 100 rows and 5 % on
--
CREATE TABLE empty (id int);
CREATE TABLE never (id int);
INSERT INTO never SELECT generate_series(1, 10);
CREATE TABLE fresh (id int);
INSERT INTO fresh SELECT generate_series(1, 10000);
CREATE TABLE few (id int);
INSERT INTO few SELECT generate_series(1, 500);
CREATE TABLE small_part (id int);
INSERT INTO small_part SELECT generate_series(1, 10000);
CREATE TABLE changed (id int, n int);
INSERT INTO changed SELECT g, 0 FROM generate_series(1, 1000) g;
CREATE TABLE grown (id int);
INSERT INTO grown SELECT generate_series(1, 1000);
CALL count_now();
ANALYZE fresh, few, small_part, changed, grown;
DELETE FROM few WHERE id < 100;
UPDATE small_part SET id = id WHERE id < 400;
UPDATE changed SET n = 1 WHERE id <= 100;
INSERT INTO grown SELECT generate_series(1, 3000);
CALL count_now();
SELECT * FROM stale ORDER BY relation;
-- those that were never made come first, then those that changed most
SELECT s.relation FROM pgmaint.stale_statistics() WITH ORDINALITY s JOIN pg_class c ON c.oid = s.relation
WHERE c.relnamespace = 'statistics'::regnamespace ORDER BY s.ordinality;
-- other thresholds
SELECT relation, reason FROM pgmaint.stale_statistics(min_modified_rows => 99) WHERE relation::text = 'few';
SELECT relation, reason FROM pgmaint.stale_statistics(min_modified_ratio => 0.03) WHERE relation::text = 'small_part';
SELECT relation FROM pgmaint.stale_statistics(min_modified_ratio => 1) WHERE relation::text IN ('changed', 'grown', 'never');
SELECT relation, reason FROM pgmaint.stale_statistics(everything => true) WHERE relation::text IN ('changed', 'fresh', 'empty') ORDER BY relation::text;
SELECT command, reason FROM pgmaint.dry_run('weekly', '{"schemas": "statistics", "min_modified_rows": 200, "vacuum": {"min_inserted_ratio": 10}}') ORDER BY target COLLATE "C";

-- a crash clears the counters: what has changed since the last ANALYZE is not known
SELECT pg_stat_reset_single_table_counters('fresh'::regclass);
SELECT pg_stat_reset_single_table_counters('never'::regclass);
SELECT * FROM stale WHERE relation IN ('fresh', 'never');
-- a table without columns has no statistics to make, and is not asked for twice
CREATE TABLE columnless ();
INSERT INTO columnless DEFAULT VALUES;
CALL count_now();
SELECT relation, reason FROM stale WHERE relation = 'columnless';
ANALYZE columnless;
SELECT relation, reason FROM stale WHERE relation = 'columnless';

-- an ANALYZE makes them fresh, one by one
CALL pgmaint.run_and_wait('weekly', '{"tables": ["changed"], "min_size": "1 TB", "vacuum": {"schemas": "nowhere"}}');
SELECT command, reason, state, result FROM pgmaint.tasks WHERE run_id = 1;
CALL pgmaint.run_and_wait('weekly', '{"schemas": "statistics", "vacuum": {"analyze": "off"}}');
SELECT action, command, reason, state FROM pgmaint.tasks WHERE run_id = 2 ORDER BY step, target COLLATE "C";
SELECT * FROM stale;

--
-- VACUUM makes them in the same command where they are stale, and they are not made twice
--
INSERT INTO grown SELECT generate_series(1, 10000);
UPDATE small_part SET id = id WHERE id < 4000;
INSERT INTO few SELECT generate_series(1, 500);
CALL count_now();
SELECT command FROM pgmaint.dry_run('weekly', '{"schemas": "statistics"}') ORDER BY command COLLATE "C";
SELECT command FROM pgmaint.dry_run('weekly', '{"schemas": "statistics", "vacuum": {"analyze": "off"}}') ORDER BY command COLLATE "C";
SELECT command FROM pgmaint.dry_run('weekly', '{"schemas": "statistics", "vacuum": {"analyze": false, "scope": "all"}, "analyze": {"scope": "due"}}') ORDER BY command COLLATE "C";
CALL pgmaint.run_and_wait('weekly', '{"schemas": "statistics"}');
SELECT step, command, state, result->'analyzed' AS analyzed FROM pgmaint.tasks WHERE run_id = 3 ORDER BY command COLLATE "C";
SELECT * FROM stale;
SELECT relname, pg_stat_get_analyze_count(oid) AS analyzed, pg_stat_get_vacuum_count(oid) AS vacuumed
FROM pg_class WHERE relnamespace = 'statistics'::regnamespace AND relkind = 'r' ORDER BY relname COLLATE "C";

--
-- Partitioned tables: only ANALYZE of the parent makes the statistics of the whole
--
CREATE TABLE parent (id int, n int) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF parent FOR VALUES FROM (0) TO (1000);
CREATE TABLE part_2 PARTITION OF parent FOR VALUES FROM (1000) TO (5000) PARTITION BY RANGE (id);
CREATE TABLE part_2_1 PARTITION OF part_2 FOR VALUES FROM (1000) TO (2000);
CREATE TABLE part_2_2 PARTITION OF part_2 FOR VALUES FROM (2000) TO (5000);
CREATE TABLE part_3 PARTITION OF parent FOR VALUES FROM (5000) TO (6000);
CREATE TABLE childless (id int) PARTITION BY LIST (id);
SELECT relation FROM stale WHERE relation ~ 'part|parent|child';
INSERT INTO parent SELECT g, 0 FROM generate_series(0, 2999) g;
CALL count_now();
SELECT relation, reason, estimated_rows FROM stale WHERE relation ~ 'part|parent' ORDER BY relation;
-- partitions that have theirs do not make those of the whole
ANALYZE part_1, part_2_1, part_2_2;
SELECT relation, reason, estimated_rows FROM stale WHERE relation ~ 'part|parent' ORDER BY relation;
SELECT count(*) FROM pgmaint.dry_run('weekly', '{"tables": "parent"}') WHERE action = 'analyze' AND target = 'statistics.parent';
CALL pgmaint.run_and_wait('weekly', '{"schemas": "statistics", "vacuum": {"analyze": "off"}}');
SELECT count(*) FROM pgmaint.tasks WHERE run_id = 4 AND target = 'statistics.parent' AND state = 'succeeded';
SELECT relation, reason FROM stale;
SELECT count(DISTINCT stainherit) FROM pg_statistic WHERE starelid = 'parent'::regclass;
-- changes in the partitions count for the parent, whether these have been analyzed since or not
UPDATE parent SET n = 1 WHERE id < 300;
CALL count_now();
SELECT relation, reason, estimated_rows, modified_rows FROM stale ORDER BY relation;
SELECT DISTINCT target FROM pgmaint.dry_run('weekly', '{"schemas": "statistics"}') WHERE action = 'analyze' AND target = 'statistics.parent';
CALL pgmaint.run_and_wait('weekly', '{"schemas": "statistics"}');
SELECT * FROM stale;
-- so does growth that an ANALYZE of the partition has counted
INSERT INTO parent SELECT 5000, g FROM generate_series(1, 500) g;
CALL count_now();
ANALYZE part_3;
SELECT relation, reason FROM stale ORDER BY relation;
-- the task of the parent covers the partitions: no other task has them at the same time
SELECT cardinality(relations) FROM pgmaint.tasks WHERE run_id = 5 AND target = 'statistics.parent';
-- which have files, where it has none: ANALYZE gives nothing back
SELECT t.bytes_before > 0, t.bytes_after, r.gain FROM pgmaint.tasks t JOIN pgmaint.task_results r USING (task_id) WHERE t.run_id = 5 AND t.target = 'statistics.parent';
-- the parent stands for its partitions
SELECT command FROM pgmaint.dry_run('weekly', '{"tables": "part_2", "min_size": "1 TB"}') WHERE action = 'vacuum' ORDER BY command COLLATE "C";
SELECT count(*) FROM pgmaint.dry_run('weekly', '{"tables": "childless", "min_size": "1 TB"}') WHERE action <> 'analyze';

-- where the counters do not cover its rows, the number of changes is unknown
ANALYZE parent;
SELECT relation FROM stale WHERE relation ~ 'part|parent';
SELECT pg_stat_reset_single_table_counters('parent'::regclass);
SELECT relation, reason FROM stale WHERE relation ~ 'part|parent';
CALL pgmaint.run_and_wait('weekly', '{"tables": ["parent"]}');
SELECT relation, reason FROM stale WHERE relation ~ 'part|parent';
-- nor how many rows partitions have that were never analyzed
CREATE TABLE unknown_parent (id int) PARTITION BY RANGE (id);
CREATE TABLE unknown_1 PARTITION OF unknown_parent FOR VALUES FROM (0) TO (1000);
INSERT INTO unknown_parent SELECT g FROM generate_series(0, 999) g;
CALL count_now();
SELECT pg_stat_reset_single_table_counters('unknown_1'::regclass);
SELECT relation, reason, estimated_rows FROM stale WHERE relation ~ 'unknown' ORDER BY relation;

--
-- Other kinds
--
CREATE MATERIALIZED VIEW matview AS SELECT g AS id FROM generate_series(1, 200) g;
CREATE UNLOGGED TABLE unlogged (id int);
INSERT INTO unlogged SELECT generate_series(1, 200);
CREATE TEMP TABLE temporary (id int);
INSERT INTO temporary SELECT generate_series(1, 200);
CALL count_now();
SELECT relation, reason FROM stale WHERE relation IN ('matview', 'unlogged') ORDER BY relation;
SELECT count(*) FROM pgmaint.stale_statistics(everything => true) WHERE relation IN ('temporary'::regclass, 'pg_statistic'::regclass, 'stale'::regclass);
SELECT count(*) FROM pgmaint.stale_statistics(everything => true) WHERE relation IN ('pg_class'::regclass, 'pg_authid'::regclass);
-- pgmaint's own ledger changes with every run
SELECT relation FROM pgmaint.stale_statistics() WHERE relation::text ~ '^pgmaint';
DROP SCHEMA statistics CASCADE;
SELECT pgmaint.drop_plan('weekly');
