--
-- vacuum_candidates: which tables are due for VACUUM, and why
--
SET client_min_messages = warning;
CREATE SCHEMA candidates;
SET search_path = candidates;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
-- what validate() says of this server is not the matter here
SELECT pgmaint.define_plan('weekly', '["bloat_report", "retention", "vacuum", "vacuum_full", "analyze"]');

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
CREATE FUNCTION due(VARIADIC tables text[]) RETURNS TABLE (relation text, reason text, causes text[]) LANGUAGE sql AS $$
	SELECT c.relation::text, c.reason, c.causes FROM pgmaint.vacuum_candidates() c
	JOIN pg_class p ON p.oid = c.relation
	WHERE p.relnamespace = 'candidates'::regnamespace AND (tables = '{}' OR p.relname = ANY (tables))
	ORDER BY c.relation::text COLLATE "C"
$$;
CREATE FUNCTION due() RETURNS TABLE (relation text, reason text, causes text[]) LANGUAGE sql AS $$ SELECT * FROM due(VARIADIC '{}'::text[]) $$;

--
-- Dead rows, at least 1,000 and 5 %
--
CREATE TABLE clean (id int);
INSERT INTO clean SELECT generate_series(1, 30000);
CREATE TABLE few_dead (id int);
INSERT INTO few_dead SELECT generate_series(1, 10000);
CREATE TABLE small_part (id int);
INSERT INTO small_part SELECT generate_series(1, 30000);
CREATE TABLE dead (id int);
INSERT INTO dead SELECT generate_series(1, 20000);
CREATE TABLE updated (id int, n int) WITH (fillfactor = 50);
INSERT INTO updated SELECT g, 0 FROM generate_series(1, 10000) g;
CALL count_now();
VACUUM ANALYZE clean, few_dead, small_part, dead, updated;
DELETE FROM few_dead WHERE id <= 999;
DELETE FROM small_part WHERE id <= 1400;
DELETE FROM dead WHERE id % 10 = 0;
UPDATE updated SET n = 1 WHERE id <= 1000;
CALL count_now();
SELECT * FROM due();
SELECT relation, size, dead_rows, dead_ratio, inserted_rows, last_vacuum > now() - interval '1 hour' AS vacuumed, total_bytes = pg_relation_size(relation) AS size_now,
	xid_age BETWEEN 0 AND 100000 AS young, multixact_age BETWEEN 0 AND 100000 AS multixacts_young, wraparound_ratio BETWEEN 0 AND 0.01 AS ratio, may_maintain
FROM pgmaint.vacuum_candidates() WHERE relation = 'dead'::regclass;
-- other thresholds
SELECT relation, reason FROM pgmaint.vacuum_candidates(min_dead_rows => 500) WHERE relation = 'few_dead'::regclass;
SELECT relation, reason FROM pgmaint.vacuum_candidates(min_dead_ratio => 0.01) WHERE relation = 'small_part'::regclass;
SELECT relation FROM pgmaint.vacuum_candidates(min_dead_rows => 3000, min_dead_ratio => 0.0) WHERE relation::text IN ('dead', 'updated');
SELECT relation FROM pgmaint.vacuum_candidates(min_dead_ratio => 0.2) WHERE relation::text IN ('dead', 'updated');
SELECT step, command, reason FROM pgmaint.dry_run('weekly', '{"schemas": "candidates", "min_dead_rows": 900, "vacuum": {"min_dead_ratio": 0.09}}');
-- all
SELECT relation, reason, causes FROM pgmaint.vacuum_candidates(everything => true)
WHERE relation::text IN ('clean', 'dead') ORDER BY relation::text;
-- those that were vacuumed longest ago come first
SELECT coalesce(bool_and(a.last_vacuum IS NULL OR a.last_vacuum <= b.last_vacuum), true) AS oldest_first
FROM (SELECT last_vacuum, row_number() OVER () AS n FROM pgmaint.vacuum_candidates(everything => true)) a
JOIN (SELECT last_vacuum, row_number() OVER () AS n FROM pgmaint.vacuum_candidates(everything => true)) b ON b.n = a.n + 1;

-- in TOAST
CREATE TABLE toasted (id int, wide text);
ALTER TABLE toasted ALTER wide SET STORAGE external;
INSERT INTO toasted SELECT g, repeat('x', 4000) FROM generate_series(1, 800) g;
CALL count_now();
VACUUM ANALYZE toasted;
DELETE FROM toasted WHERE id % 2 = 0;
CALL count_now();
SELECT * FROM due('toasted');
VACUUM toasted;
SELECT * FROM due('toasted');

--
-- Inserts, at least 1,000 and 20 %: without a VACUUM nothing sets the pages
-- all-visible, and everything is frozen at once some day
--
CREATE TABLE filled (id int);
INSERT INTO filled SELECT generate_series(1, 10000);
CREATE TABLE too_few (id int);
INSERT INTO too_few SELECT generate_series(1, 999);
INSERT INTO clean SELECT generate_series(1, 5000);
CALL count_now();
SELECT * FROM due('filled', 'too_few', 'clean');
SELECT relation, reason, causes FROM pgmaint.vacuum_candidates(min_inserted_ratio => 0.1) WHERE relation = 'clean'::regclass;
SELECT reason, causes FROM pgmaint.vacuum_candidates(min_inserted_ratio => 1.5) WHERE relation = 'filled'::regclass;
VACUUM filled;
SELECT * FROM due('filled');
-- without ANALYZE the server still counts the rows
DELETE FROM filled WHERE id <= 2000;
INSERT INTO filled SELECT generate_series(1, 3000);
CALL count_now();
SELECT * FROM due('filled');

--
-- Age: a share of the way to the VACUUM that the server forces
--
CREATE TABLE old (id int) WITH (autovacuum_freeze_max_age = 100000);
INSERT INTO old VALUES (1);
SELECT relation, wraparound_ratio BETWEEN 0.00001 AND 0.05 AS ratio, causes
FROM pgmaint.vacuum_candidates(min_wraparound_ratio => 0.00001) WHERE relation = 'old'::regclass;
CREATE FUNCTION burn(transactions int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. transactions LOOP
		BEGIN
			INSERT INTO candidates.old VALUES (2);
			RAISE EXCEPTION 'undo';
		EXCEPTION WHEN OTHERS THEN
		END;
	END LOOP;
	RETURN transactions;
END
$$;
SELECT burn(900);
SELECT relation, regexp_replace(reason, 'age [\d,]*\d', 'age N', 'g') AS reason, causes, wraparound_ratio > 0.005 AS ratio, xid_age > 900 AS aged
FROM pgmaint.vacuum_candidates(min_wraparound_ratio => 0.005) WHERE relation = 'old'::regclass;
-- such tables come first, and are frozen
SELECT relation::text FROM pgmaint.vacuum_candidates(min_wraparound_ratio => 0.005) LIMIT 1;
SELECT command FROM pgmaint.dry_run('weekly', '{"schemas": "candidates", "min_wraparound_ratio": 0.005}') WHERE target = 'candidates.old';
CALL pgmaint.run_and_wait('weekly', '{"schemas": "candidates", "min_wraparound_ratio": 0.005, "min_size": "1 TB"}');
SELECT command, state, (result->>'xid_age_before')::int > 900 AS was_old, (result->>'xid_age_after')::int < 100 AS is_young
FROM pgmaint.tasks WHERE target = 'candidates.old' AND action = 'vacuum';
SELECT relation FROM pgmaint.vacuum_candidates(min_wraparound_ratio => 0.005) WHERE relation = 'old'::regclass;
-- a share of 0 is every table
SELECT count(*) = (SELECT count(*) FROM pgmaint.vacuum_candidates(everything => true)) AS every_table
FROM pgmaint.vacuum_candidates(min_wraparound_ratio => 0);

--
-- Counters are lost in a crash; bloat_report saw the dead rows in the pages
--
CREATE TABLE forgotten (id int, filler text);
INSERT INTO forgotten SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g;
CALL count_now();
VACUUM ANALYZE forgotten;
DELETE FROM forgotten WHERE id % 2 = 0;
CALL count_now();
SELECT pg_stat_reset_single_table_counters('forgotten'::regclass);
SELECT * FROM due('forgotten');
SELECT action, target, reason FROM pgmaint.dry_run('weekly', '{"schemas": "candidates"}') WHERE target LIKE '%forgotten';
CALL pgmaint.run_and_wait('weekly', '{"tables": "forgotten", "scope": "due", "min_size": 0}');
SELECT command, regexp_replace(reason, '\d+ kB', 'N kB') AS reason, state FROM pgmaint.tasks WHERE run_id = 2 ORDER BY task_id;
SELECT * FROM due('forgotten');

--
-- After the work nothing is due, and tables that were not due were let alone
--
CALL pgmaint.run_and_wait('weekly', '{"schemas": "candidates"}');
SELECT * FROM due();
SELECT relname, pg_stat_get_vacuum_count(oid) AS vacuumed FROM pg_class
WHERE oid IN ('clean'::regclass, 'few_dead'::regclass, 'small_part'::regclass, 'dead'::regclass) ORDER BY relname COLLATE "C";

--
-- What there is to judge: all kinds of tables, each once
--
CREATE TABLE parent (id int) PARTITION BY RANGE (id);
CREATE TABLE child PARTITION OF parent FOR VALUES FROM (0) TO (10);
CREATE MATERIALIZED VIEW matview AS SELECT 1 AS one;
CREATE VIEW view AS SELECT 1 AS one;
CREATE UNLOGGED TABLE unlogged (id int);
CREATE TEMP TABLE temporary (id int);
SELECT c.relation::text FROM pgmaint.vacuum_candidates(everything => true) c JOIN pg_class p ON p.oid = c.relation
WHERE p.relnamespace = 'candidates'::regnamespace ORDER BY c.relation::text COLLATE "C";
SELECT count(*), count(DISTINCT c.relation) = count(*) AS each_once FROM pgmaint.vacuum_candidates(everything => true) c
WHERE c.relation::text ~ 'temporary|pg_toast' OR c.relation IS NULL;
SELECT count(*) = (SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'm') AND relpersistence <> 't') AS all_there
FROM pgmaint.vacuum_candidates(everything => true);
SELECT count(*) FROM pgmaint.vacuum_candidates(everything => true) WHERE relation IN ('pg_class'::regclass, 'pg_authid'::regclass);

-- pgmaint's own tables are judged less strictly, so that it does not find work in what it wrote itself
INSERT INTO pgmaint_internal.bloat_measurements (relation, object, kind, method, total_bytes, bloat_bytes, bloat_ratio, margin, sampled_blocks, total_blocks)
SELECT 1, 'x', 'table', 'heap', 1, 1, 1, 1, 1, 1 FROM generate_series(1, 2000);
CALL count_now();
SELECT relation FROM pgmaint.vacuum_candidates() WHERE relation = 'pgmaint_internal.bloat_measurements'::regclass;
DELETE FROM pgmaint_internal.bloat_measurements WHERE relation = 1;

-- the states that this rests on
SELECT name, kind, schema, toast <> 0 AS toast, estimated_rows, live_rows, dead_rows, toast_live_rows, inserted_rows, modified_rows
FROM pgmaint_internal.table_states('postgres'::regrole) WHERE relation IN ('toasted'::regclass, 'parent'::regclass, 'matview'::regclass) ORDER BY name COLLATE "C";

-- the size of a file is that of the relation
CREATE INDEX ON dead (id);
SELECT count(*) > 100 AS many, count(*) FILTER (WHERE f.bytes IS DISTINCT FROM pg_relation_size(c.oid)) AS wrong
FROM pg_class c CROSS JOIN LATERAL (SELECT pgmaint_internal.file_size(c.relfilenode, c.reltablespace, c.relpages) AS bytes) f
WHERE c.relfilenode <> 0 AND c.relpersistence <> 't';
SELECT pgmaint_internal.file_size(f, t, 7) / current_setting('block_size')::int AS pages FROM (VALUES (1, 0), (1, 1), (0, 1664), (1, 1664), (NULL, 0)) AS v (f, t);

--
-- Where the counters and times were lost, dead rows are unknown: a table that
-- could have enough of them is due, once
--
CREATE TABLE lost (id int);
INSERT INTO lost SELECT generate_series(1, 20000);
CREATE TABLE lost_but_small (id int);
INSERT INTO lost_but_small SELECT generate_series(1, 500);
ANALYZE lost, lost_but_small;
DELETE FROM lost WHERE id % 8 <> 0;
CALL count_now();
SELECT pg_stat_reset_single_table_counters(oid) FROM pg_class WHERE oid IN ('lost'::regclass, 'lost_but_small'::regclass) \g /dev/null
SELECT * FROM due('lost', 'lost_but_small');
-- some changes since do not tell of those before
DELETE FROM lost WHERE id % 16 = 0 AND id < 160;
CALL count_now();
SELECT * FROM due('lost', 'lost_but_small');
CALL pgmaint.run_and_wait('weekly', '{"tables": ["lost", "lost_but_small"]}');
SELECT command, state, result -> 'dead_rows_after' AS dead FROM pgmaint.tasks WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs) ORDER BY task_id;
SELECT * FROM due('lost', 'lost_but_small');

-- xmin_holders: only a prepared transaction is in the way here
CREATE FUNCTION holders() RETURNS TABLE (kind text, holder text, old boolean, since boolean, database boolean, pid boolean) LANGUAGE sql AS $$
	SELECT h.kind, regexp_replace(h.holder, 'of role .*', 'of role …'), h.xmin_age > 0, h.since <= now(), h.database = current_database(), h.pid IS NOT NULL
	FROM pgmaint.xmin_holders() h WHERE h.kind <> 'session'
$$;
SELECT * FROM holders();
BEGIN;
DROP TABLE unlogged;
PREPARE TRANSACTION 'pgmaint "candidates"';
SELECT * FROM holders();
ROLLBACK PREPARED 'pgmaint "candidates"';
SELECT * FROM holders();
DROP SCHEMA candidates CASCADE;
SELECT pgmaint.drop_plan('weekly');
