-- What queries did between two snapshots of pg_stat_statements, and which of
-- them have become slower: from figures that are made up.

SET client_min_messages = warning;
TRUNCATE pgmaint.runs, pgmaint_internal.statement_snapshots RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.statement_texts, pgmaint.query_plans;
RESET client_min_messages;

-- where pg_stat_statements does not count, it says what to do
SELECT * FROM pgmaint.slow_queries();
SELECT pgmaint_internal.take_statement_snapshot() IS NULL AS none, count(*) FROM pgmaint_internal.statement_snapshots;
SELECT * FROM pgmaint_internal.statement_changes(NULL, NULL);
SELECT * FROM pgmaint.slow_queries(order_by => 'beauty');
SELECT * FROM pgmaint.slow_queries(order_by => NULL);
\set VERBOSITY terse
SELECT * FROM pgmaint.slow_queries(-1);
SELECT * FROM pgmaint.slow_queries(since => '-1 day');
SELECT * FROM pgmaint.slow_queries(since => '178000000 years');
\set VERBOSITY default

SELECT pgmaint_internal.short_query(E'  SELECT 1,\n\t\t2  ', 60), pgmaint_internal.short_query('SELECT 1234567890', 10), pgmaint_internal.short_query(NULL, 10);
SELECT q, pgmaint_internal.is_own_statement(q) AS own FROM unnest(ARRAY['SELECT * FROM pgmaint.runs', 'UPDATE pgmaint_internal.uploads SET', 'SELECT 1 FROM my_pgmaint.runs', NULL]) WITH ORDINALITY a (q, nth) ORDER BY nth;

CREATE TABLE present AS SELECT now() AS t;
-- a snapshot so many days ago, of statements with so many calls of so many milliseconds
CREATE FUNCTION snapshot(days numeric, figures jsonb, reset_days numeric DEFAULT 100, evicted bigint DEFAULT 0) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	taken bigint;
BEGIN
	INSERT INTO pgmaint_internal.statement_snapshots (taken_at, counted_since, evicted, statements, total_ms)
	SELECT present.t - days * interval '24 hours', present.t - reset_days * interval '24 hours', evicted, 1, 1 FROM present RETURNING snapshot_id INTO taken;
	INSERT INTO pgmaint_internal.statement_figures (snapshot_id, userid, queryid, calls, rows, total_ms, shared_hit, stats_since)
	SELECT taken, 10, f.key::bigint, (f.value ->> 0)::bigint, (f.value ->> 0)::bigint, (f.value ->> 1)::float8, (f.value ->> 0)::bigint,
		present.t - (f.value ->> 2)::numeric * interval '24 hours'
	FROM jsonb_each(figures) f, present;
	INSERT INTO pgmaint_internal.statement_texts SELECT f.key::bigint, format('SELECT %s FROM pgmaint_t%s', f.key, f.key) FROM jsonb_each(figures) f
	ON CONFLICT DO NOTHING;
	RETURN taken;
END
$$;
CREATE FUNCTION changes(bigint, bigint) RETURNS TABLE (queryid bigint, calls bigint, total_ms float8, rows bigint, shared_hit bigint)
LANGUAGE sql AS $$
	SELECT c.queryid, c.calls, c.total_ms, c.rows, c.shared_hit FROM pgmaint_internal.statement_changes($1, $2) c ORDER BY c.queryid
$$;

-- what went on, what stood still, what is new, and what is gone
SELECT snapshot(20, '{"1": [100, 1000], "2": [7, 70], "3": [5, 5]}') AS a, snapshot(19, '{"1": [150, 1600], "2": [7, 70], "4": [3, 9]}') AS b \gset
SELECT * FROM changes(:a, :b);
SELECT * FROM changes(NULL, :b);
SELECT * FROM changes(:b, NULL);
-- a reset of everything: known by its time, and by figures that are smaller than before
SELECT snapshot(18, '{"1": [400, 4000], "2": [2, 20]}', 18.5) AS c \gset
SELECT * FROM changes(:b, :c);
-- versions that do not tell it say no more than that the server has started
SELECT snapshot(17, '{"1": [10, 100], "2": [20, 200]}', 50, NULL) AS d, snapshot(16, '{"1": [5, 50], "2": [30, 500]}', 16.5, NULL) AS e \gset
SELECT * FROM changes(:d, :e);
-- one statement was reset, or was forgotten and came again; from 17 on it is known even where it has more calls now
SELECT snapshot(15, '{"1": [10, 100, 50], "2": [10, 100, 50]}') AS f, snapshot(14, '{"1": [15, 150, 14.5], "2": [15, 150, 50]}') AS g \gset
SELECT * FROM changes(:f, :g);
-- less time in more calls is a new beginning, too
SELECT snapshot(13, '{"1": [10, 1000]}') AS h, snapshot(12, '{"1": [11, 900]}') AS i \gset
SELECT * FROM changes(:h, :i);
SELECT bool_and(c.calls > 0 AND c.rows >= 0 AND c.total_ms >= 0 AND c.shared_hit >= 0) AS never_negative
FROM pgmaint_internal.statement_snapshots s, pgmaint_internal.statement_snapshots e, pgmaint_internal.statement_changes(s.snapshot_id, e.snapshot_id) c;

-- degradation: nothing to compare without maintenance, or without snapshots from both sides of it
SET client_min_messages = warning;
TRUNCATE pgmaint_internal.statement_snapshots RESTART IDENTITY CASCADE;
RESET client_min_messages;
CREATE TABLE pgmaint_t1 (a int);
CREATE TABLE pgmaint_t2 (a int);
SELECT * FROM pgmaint.degraded_queries();
INSERT INTO pgmaint.runs (plan, requested_by, role, database, steps, settings, state, started_at, finished_at)
VALUES ('weekly', 'nobody', 10, 1, '[]', '{}', 'succeeded', now() - interval '96 hours', now() - interval '73 hours') RETURNING run_id \gset
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, started_at, finished_at, relation, relations)
SELECT :run_id, 1, a, c.relname, upper(a) || ' ' || c.relname, '', s, now() - interval '96 hours', now() - interval '73 hours', c.oid, ARRAY[c.oid]
FROM (VALUES ('vacuum', 'pgmaint_t1', 'succeeded'), ('analyze', 'pgmaint_t1', 'failed'), ('vacuum', 'pgmaint_t2', 'succeeded'),
	('bloat_report', 'pgmaint_t1', 'succeeded')) AS v (a, t, s)
JOIN pg_class c ON c.oid = v.t::regclass;
SELECT run_id FROM pgmaint_internal.last_maintenance();
SELECT snapshot(30, '{"1": [100, 100000]}'), snapshot(12, '{"1": [1000, 101000], "2": [100, 1000], "3": [100, 100], "4": [100, 1000], "5": [100, 1000]}'),
	snapshot(5, '{"1": [1100, 102000], "2": [200, 2000], "3": [200, 200], "4": [110, 1100], "5": [200, 2000]}') \g /dev/null
SELECT run_id FROM pgmaint_internal.last_maintenance();
SELECT snapshot(3, '{"1": [2000, 200000], "2": [300, 9000], "3": [300, 300], "4": [200, 9000], "5": [300, 9000]}') \g /dev/null
SELECT run_id FROM pgmaint_internal.last_maintenance();
SELECT * FROM pgmaint.degraded_queries();
SELECT snapshot(1, '{"1": [2050, 201500], "2": [400, 10900], "3": [400, 700], "4": [300, 12000], "5": [319, 10900]}') \g /dev/null
SELECT run_id, plan, date_trunc('hour', now() - finished_at) AS ago, before_that, until_then, from_then, until_now FROM pgmaint_internal.last_maintenance();
-- 1 is three times as slow; 2 is 1.9 times, 3 quick all the same, 4 was seldom called before, 5 seldom since
SELECT query, times, mean_before_ms, mean_ms, calls_before, calls, run_id, tasks, role, queryid FROM pgmaint.degraded_queries();
SELECT query, times FROM pgmaint.degraded_queries(factor => 1.8);
SELECT query, times FROM pgmaint.degraded_queries(min_mean_ms => 2);
SELECT query, times FROM pgmaint.degraded_queries(min_calls => 10);
SELECT query, times FROM pgmaint.degraded_queries(factor => 3.1, min_calls => 1, min_mean_ms => 5);
-- what pgmaint asks, and maintenance, is not looked at
UPDATE pgmaint_internal.statement_texts SET query = 'SELECT pgmaint.tick()' WHERE queryid = 1;
SELECT query FROM pgmaint.degraded_queries();
UPDATE pgmaint_internal.statement_texts SET query = 'vacuum pgmaint_t1' WHERE queryid = 1;
SELECT query FROM pgmaint.degraded_queries();


-- the action says what it could not look at, and succeeds
SET client_min_messages = warning;
TRUNCATE pgmaint_internal.statement_snapshots CASCADE;
\o /dev/null
SELECT pgmaint.define_plan('review', '["review_queries"]');
CALL pgmaint.run_and_wait('review');
\o
RESET client_min_messages;
SELECT target, command, reason, state, result FROM pgmaint.tasks WHERE action = 'review_queries';
SELECT check_id, severity, object, message FROM pgmaint.findings;
SELECT pgmaint.drop_plan('review') \g /dev/null
SELECT pgmaint.run_action('review_queries', '{"degradation_factor": 1}');

-- an outline is what tells plans from each other; servers name InitPlans differently
SELECT pg_catalog.regexp_replace(pgmaint_internal.plan_outline(pgmaint.generic_plan(
	'SELECT a FROM pgmaint_t1 UNION ALL SELECT (SELECT max(a) FROM pgmaint_t2) FROM pgmaint_t2')), 'InitPlan \w+:', 'InitPlan:') AS plan_outline;
SELECT pgmaint_internal.plan_outline(NULL) IS NULL AS none, pgmaint_internal.plan_outline(pgmaint.generic_plan('SELECT $1'));
CREATE FUNCTION keep(cost float8, node text) RETURNS TABLE (changed boolean, cost_before float8, cost_now float8, outline_before text, outline text)
LANGUAGE sql AS $$
	SELECT k.changed_since IS NOT NULL, k.cost_before, k.cost, k.outline_before, k.outline
	FROM pgmaint_internal.keep_query_plan(7, 10, 'SELECT 7', jsonb_build_array(jsonb_build_object('Plan', jsonb_build_object('Node Type', node, 'Total Cost', cost))), NULL) k
$$;
SELECT * FROM keep(1.5, 'Result');
SELECT * FROM keep(2.5, 'Result');
SELECT * FROM keep(9, 'Seq Scan');
SELECT * FROM keep(3, 'Result');
SELECT queryid, role, cost, outline, query, first_seen_at < last_seen_at AS seen_again FROM pgmaint.query_plans ORDER BY plan_id;
TRUNCATE pgmaint.query_plans;
DROP FUNCTION keep(float8, text);

-- who may read them
SELECT relname, pg_catalog.has_table_privilege('pg_monitor', oid, 'SELECT') AS monitor, pg_catalog.has_table_privilege('pg_read_all_data', oid, 'INSERT') AS written,
	relacl::text !~ '[{,]=' AS not_for_all
FROM pg_class WHERE oid IN ('pgmaint_internal.statement_snapshots'::regclass, 'pgmaint_internal.statement_figures'::regclass, 'pgmaint_internal.statement_texts'::regclass, 'pgmaint.query_plans'::regclass)
ORDER BY relname;

SET client_min_messages = warning;
TRUNCATE pgmaint_internal.statement_snapshots RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.statement_texts;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
DROP TABLE pgmaint_t1, pgmaint_t2, present;
DROP FUNCTION snapshot(numeric, jsonb, numeric, bigint), changes(bigint, bigint);
