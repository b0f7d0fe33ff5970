--
-- Plans of statements whose parameters have no values
--
SET client_min_messages = warning;
CREATE SCHEMA generic_plan;
SET search_path = generic_plan;
CREATE TABLE t (id int PRIMARY KEY, kind text, n numeric);
INSERT INTO t SELECT g, 'kind ' || g % 10, g FROM generate_series(1, 1000) g;
CREATE INDEX t_kind ON t (kind);
CREATE TABLE parent (id int, filler text) PARTITION BY RANGE (id);
CREATE TABLE child_1 PARTITION OF parent FOR VALUES FROM (0) TO (10);
CREATE TABLE child_2 PARTITION OF parent FOR VALUES FROM (10) TO (20);
ANALYZE t, parent;
RESET client_min_messages;

-- a plan in a line: nodes, what they scan, and their conditions
CREATE FUNCTION outline(plan jsonb, depth int DEFAULT 0) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT repeat('  ', depth) || concat_ws(' ', plan ->> 'Node Type', plan ->> 'Operation', plan ->> 'Index Name', plan ->> 'Relation Name',
		coalesce(plan ->> 'Index Cond', plan ->> 'Recheck Cond', plan ->> 'Filter'))
	UNION ALL
	SELECT x.line FROM jsonb_array_elements(plan -> 'Plans') WITH ORDINALITY AS p (child, nth)
	CROSS JOIN LATERAL outline(p.child, depth + 1) WITH ORDINALITY AS x (line, row)
$$;
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT outline(e -> 'Plan') FROM jsonb_array_elements(pgmaint.generic_plan(query)) e
$$;
\pset format unaligned
\pset tuples_only on

-- it is what EXPLAIN (FORMAT JSON) gives
SELECT jsonb_typeof(p), jsonb_array_length(p), p -> 0 -> 'Plan' ->> 'Node Type', p -> 0 -> 'Plan' ? 'Total Cost', p -> 0 ? 'Execution Time'
	FROM pgmaint.generic_plan('SELECT 1') p;
SELECT pg_typeof(pgmaint.generic_plan('SELECT $1'));

-- every kind of statement
SELECT plan_of('SELECT * FROM t WHERE id = $1');
SELECT plan_of('SELECT * FROM t WHERE kind = $1 AND n > $2 ORDER BY id LIMIT $3');
SELECT plan_of('INSERT INTO t (id, kind) VALUES ($1, $2)');
SELECT plan_of('INSERT INTO t (id, kind) SELECT id + $1, kind FROM t WHERE id = $2 ON CONFLICT (id) DO NOTHING RETURNING *');
SELECT plan_of('UPDATE t SET kind = $1 WHERE id = $2');
SELECT plan_of('DELETE FROM t WHERE id = $1 RETURNING kind');
SELECT plan_of('VALUES ($1, $2), ($3, $4)');
SELECT plan_of('TABLE t');
SELECT plan_of('WITH gone AS (DELETE FROM t WHERE id = $1 RETURNING *) SELECT count(*) FROM gone WHERE kind = $2');
SELECT plan_of('(SELECT id FROM t WHERE id = $1) UNION ALL SELECT $2');
SELECT plan_of('SELECT * FROM t WHERE id = $1 FOR UPDATE');
SELECT plan_of(E'/* from the application */ select *\n\tfrom t where id = $1; -- the end\n');
SELECT current_setting('server_version_num')::int >= 150000 AS has_merge \gset
\if :has_merge
SELECT string_agg(line, ', ') LIKE 'ModifyTable Merge t,%' FROM plan_of('MERGE INTO t USING (SELECT $1::int AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE') line;
\else
SELECT true;
\endif

-- what pg_stat_statements makes of a list, from 18 on and before
SELECT plan_of('SELECT * FROM t WHERE id IN ($1 /*, ... */)');
SELECT plan_of('SELECT * FROM t WHERE id IN ($1, $2, $3)');
SELECT plan_of('SELECT * FROM t WHERE id = ANY ($1)');

-- parameters get their types from where they stand; gaps and repetitions are no matter
SELECT plan_of('SELECT * FROM t WHERE id = $3 AND $3 < 10');
SELECT plan_of('SELECT $1');
SELECT plan_of('SELECT $1 || $2 FROM t WHERE kind LIKE $3');
\set VERBOSITY terse
SELECT plan_of('SELECT * FROM t WHERE id = $1 AND kind = $1');
SELECT plan_of('SELECT $1 IS NULL AND $1 = 5');
SELECT plan_of('SELECT sum($1)');
\set VERBOSITY default

-- the plan is for any value, not for one: all partitions are there, whatever is known of the rows
SELECT plan_of('SELECT * FROM parent WHERE id = $1');
SELECT plan_of('SELECT * FROM parent WHERE id = 5 AND filler = $1');
SELECT plan_of('SELECT * FROM parent WHERE id >= $1 ORDER BY id');
SELECT plan_of('SELECT (SELECT count(*) FROM parent WHERE id = $1), s.* FROM (SELECT id FROM parent WHERE id < $2 OFFSET 0) s');
SELECT plan_of('DELETE FROM parent WHERE id = $1');
SET plan_cache_mode = force_custom_plan;
SELECT plan_of('SELECT * FROM t WHERE id = $1');
RESET plan_cache_mode;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SELECT plan_of('SELECT * FROM t WHERE id = $1');
RESET enable_indexscan;
RESET enable_bitmapscan;

-- rules and views
CREATE VIEW v AS SELECT id FROM t WHERE kind = 'kind 1';
SELECT plan_of('SELECT * FROM v WHERE id = $1');
CREATE RULE also AS ON DELETE TO t DO ALSO INSERT INTO parent VALUES (OLD.id % 20, 'was deleted');
SELECT jsonb_array_length(pgmaint.generic_plan('DELETE FROM t WHERE id = $1'));
DROP RULE also ON t;

-- nothing is executed: neither the statement, nor a function that might write; planning may call functions that say that they do not
CREATE TABLE called (name text);
CREATE FUNCTION writes(x int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN INSERT INTO called VALUES ('volatile'); RETURN x; END $$;
CREATE FUNCTION folds(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'folded as %', current_user; RETURN x; END $$;
CREATE FUNCTION lies(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN INSERT INTO called VALUES ('immutable'); RETURN x; END $$;
CREATE TRIGGER fires BEFORE INSERT OR UPDATE OR DELETE ON t EXECUTE FUNCTION suppress_redundant_updates_trigger();
SELECT plan_of('SELECT writes($1), writes(2) FROM t WHERE id = writes($2)');
SELECT plan_of('INSERT INTO t (id) SELECT writes(g) FROM generate_series(5000, 5010) g');
SELECT plan_of('WITH x AS (UPDATE t SET n = writes(0) RETURNING id) SELECT nextval($1::regclass) FROM x');
SELECT plan_of('DELETE FROM t');
SELECT * FROM called;
SELECT count(*), sum(n) FROM t;
SELECT plan_of('SELECT * FROM t WHERE id = folds(5)');
SELECT plan_of('SELECT * FROM t WHERE id = folds($1)');
SELECT plan_of('SELECT * FROM t WHERE id = lies(5)');

-- in a transaction that may not write
BEGIN READ ONLY;
SELECT plan_of('UPDATE t SET kind = $1 WHERE id = $2');
SELECT plan_of('SELECT nextval($1)');
COMMIT;

-- nothing is left behind, after an error neither
SELECT pgmaint.generic_plan('SELECT * FROM t WHERE id = $1 AND nothing');
SELECT * FROM pg_prepared_statements;
PREPARE pruned AS SELECT * FROM parent WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE pruned (5);
RESET plan_cache_mode;
DEALLOCATE pruned;

-- with the caller's rights, and the caller's view of names and rows
CREATE ROLE pgmaint_regress_planner;
GRANT USAGE ON SCHEMA generic_plan, pgmaint TO pgmaint_regress_planner;
SELECT has_function_privilege('pgmaint_regress_planner', 'pgmaint.generic_plan(text)', 'EXECUTE');
SET ROLE pgmaint_regress_planner;
SELECT pgmaint.generic_plan('SELECT 1');
RESET ROLE;
GRANT EXECUTE ON FUNCTION pgmaint.generic_plan(text) TO pgmaint_regress_planner;
SET ROLE pgmaint_regress_planner;
SELECT plan_of('SELECT $1::int + folds(5)');
SELECT pgmaint.generic_plan('SELECT * FROM t WHERE id = $1');
RESET ROLE;
GRANT SELECT ON t TO pgmaint_regress_planner;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON t USING (kind = 'kind 1');
SET ROLE pgmaint_regress_planner;
SELECT plan_of('SELECT * FROM t WHERE id = $1');
SELECT pgmaint.generic_plan('DELETE FROM t WHERE id = $1');
RESET ROLE;
ALTER TABLE t DISABLE ROW LEVEL SECURITY;
DROP POLICY p ON t;
SET search_path = pg_catalog;
SELECT pgmaint.generic_plan('SELECT * FROM t WHERE id = $1');
SET search_path = generic_plan;

-- whatever is not one statement with a plan is refused, and not touched
CREATE FUNCTION refusal(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	PERFORM pgmaint.generic_plan(query);
	RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN sqlstate || ' ' || sqlerrm || coalesce(E'\n' || nullif(hint, ''), '');
END
$$;
SELECT q, refusal(q) FROM unnest(ARRAY[NULL, '', ' ; ', '-- nothing', 'SELECT 1; SELECT 2', 'SELECT 1; DROP TABLE t']) q;
SELECT q, refusal(q) FROM unnest(ARRAY['EXPLAIN ANALYZE DELETE FROM t', 'EXPLAIN (ANALYZE) DELETE FROM t', 'EXPLAIN SELECT 1',
	'CREATE TABLE x AS SELECT 1', 'SELECT 1 INTO x', 'SELECT 1 INTO x UNION SELECT 2', '(SELECT 1 INTO x) LIMIT 1', 'CREATE MATERIALIZED VIEW x AS SELECT 1', 'DECLARE x CURSOR FOR SELECT 1',
	'PREPARE x AS SELECT 1', 'EXECUTE x', 'DEALLOCATE ALL', 'COPY t TO STDOUT', 'VACUUM t', 'TRUNCATE t', 'DROP TABLE t',
	'BEGIN', 'COMMIT', 'ROLLBACK', 'SET work_mem = 1', 'RESET ALL', 'CALL x()', 'DO ''''', 'REFRESH MATERIALIZED VIEW x', 'LOCK t', 'NOTIFY x']) q;
SELECT q, refusal(q) FROM unnest(ARRAY['ANALYZE SELECT 1', '(ANALYZE) DELETE FROM t', '(ANALYZE, FORMAT JSON) SELECT 1', 'ANALYZE DELETE FROM t',
	'VERBOSE SELECT 1', ') SELECT 1', 'SELECT 1 /*', 'SELECT ''', 'SELEC 1', 'SELECT $0', 'SELECT $', 'SELECT interval $1', 'SELECT 1 +']) q;
SELECT count(*) FROM t;

-- where an error is, is said of the query that was given
SELECT pgmaint.generic_plan('SELECT * FROM t WHERE idd = $1');
SELECT pgmaint.generic_plan('SELECT * FORM t');

DROP OWNED BY pgmaint_regress_planner;
DROP ROLE pgmaint_regress_planner;
SET client_min_messages = warning;
DROP SCHEMA generic_plan CASCADE;
