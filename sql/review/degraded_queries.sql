-- Queries that became slower with the last maintenance.

CREATE FUNCTION pgmaint_internal.may_change_plans(action text)
RETURNS boolean
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT may_change_plans.action IN ('vacuum', 'vacuum_full', 'compact', 'analyze', 'reindex');
END;

COMMENT ON FUNCTION pgmaint_internal.may_change_plans(text) IS
	'whether an action maintains tables, after which plans of queries may change';

-- The last maintenance with snapshots before its first task, after its last task,
-- and later.
CREATE FUNCTION pgmaint_internal.last_maintenance(
	OUT run_id bigint,
	OUT plan text,
	OUT finished_at timestamptz,
	OUT before_that bigint,
	OUT until_then bigint,
	OUT from_then bigint,
	OUT until_now bigint
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT r.run_id, r.plan, m.finished_at, b.snapshot_id, u.snapshot_id, f.snapshot_id, n.snapshot_id
	FROM pgmaint.runs r
	CROSS JOIN LATERAL (
		SELECT min(t.started_at) AS started_at, max(t.finished_at) AS finished_at
		FROM pgmaint.tasks t
		WHERE t.run_id = r.run_id AND t.state = 'succeeded' AND pgmaint_internal.may_change_plans(t.action)
	) m
	CROSS JOIN LATERAL (
		SELECT s.snapshot_id, s.taken_at FROM pgmaint_internal.statement_snapshots s WHERE s.taken_at <= m.started_at ORDER BY s.taken_at DESC LIMIT 1
	) u
	CROSS JOIN LATERAL (
		SELECT s.snapshot_id, s.taken_at FROM pgmaint_internal.statement_snapshots s WHERE s.taken_at >= m.finished_at ORDER BY s.taken_at LIMIT 1
	) f
	CROSS JOIN LATERAL (
		SELECT s.snapshot_id FROM pgmaint_internal.statement_snapshots s WHERE s.taken_at > f.taken_at ORDER BY s.taken_at DESC LIMIT 1
	) n
	LEFT JOIN LATERAL (
		SELECT s.snapshot_id FROM pgmaint_internal.statement_snapshots s WHERE s.taken_at <= u.taken_at - interval '7 days' ORDER BY s.taken_at DESC LIMIT 1
	) b ON true
	WHERE r.finished_at IS NOT NULL
	ORDER BY r.finished_at DESC, r.run_id DESC
	LIMIT 1;
END;

COMMENT ON FUNCTION pgmaint_internal.last_maintenance() IS
	'the last run that maintained tables and has snapshots to compare: snapshots from a week before it, right before it, right after it, and the latest';

CREATE FUNCTION pgmaint.degraded_queries(factor double precision DEFAULT 2, min_calls bigint DEFAULT 20, min_mean_ms double precision DEFAULT 5)
RETURNS TABLE (
	query text,
	times numeric,
	mean_before_ms numeric,
	mean_ms numeric,
	calls_before bigint,
	calls bigint,
	run_id bigint,
	maintained_at timestamptz,
	tasks text[],
	role name,
	queryid bigint,
	full_query text
)
LANGUAGE sql VOLATILE ROWS 10 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT
		pgmaint_internal.short_query(a.query, 60),
		round((a.mean / b.mean)::numeric, 1),
		round(b.mean::numeric, 3),
		round(a.mean::numeric, 3),
		b.calls,
		a.calls,
		m.run_id,
		m.finished_at,
		coalesce(done.tasks, '{}'),
		pg_get_userbyid(a.userid),
		a.queryid,
		a.query
	FROM pgmaint_internal.last_maintenance() m
	CROSS JOIN LATERAL (
		SELECT c.*, c.total_ms / c.calls AS mean FROM pgmaint_internal.statement_changes(m.from_then, m.until_now) c
	) a
	JOIN LATERAL (
		SELECT c.*, c.total_ms / c.calls AS mean FROM pgmaint_internal.statement_changes(m.before_that, m.until_then) c
	) b ON b.queryid = a.queryid AND b.userid = a.userid AND b.toplevel = a.toplevel
	LEFT JOIN LATERAL (
		-- tasks on tables that the query names
		SELECT array_agg(DISTINCT t.command) AS tasks
		FROM pgmaint.tasks t
		CROSS JOIN LATERAL unnest(t.relations) AS r (oid)
		JOIN pg_class c ON c.oid = r.oid
		WHERE t.run_id = m.run_id AND t.state = 'succeeded' AND pgmaint_internal.may_change_plans(t.action)
			AND a.query ~* (E'\\m' || regexp_replace(c.relname, E'([][*+?^$|(){}\\\\.])', E'\\\\\\1', 'g') || E'\\M')
	) done ON true
	WHERE m.run_id IS NOT NULL AND a.mean > degraded_queries.factor * b.mean AND a.mean >= degraded_queries.min_mean_ms
		AND a.calls >= degraded_queries.min_calls AND b.calls >= degraded_queries.min_calls
		-- neither maintenance nor queries of pgmaint itself
		AND a.query !~* E'^\\s*(VACUUM|ANALYZE|REINDEX|CLUSTER|CREATE|ALTER|DROP|CHECKPOINT|REPACK)\\M' AND NOT pgmaint_internal.is_own_statement(a.query)
	ORDER BY (a.mean - b.mean) * a.calls DESC, a.queryid;
END;

COMMENT ON FUNCTION pgmaint.degraded_queries(double precision, bigint, double precision) IS
	'Lists queries that became slower with the last run that maintained tables, those that cost most time first. '
	'A query is listed if its mean time, from the end of that run until the last snapshot, is more than factor times its mean time in the week before the run. '
	'Queries with fewer than min_calls calls in one of the two periods, or with a mean time below min_mean_ms milliseconds since the run, are left out. '
	'times is the ratio of the two means, mean_before_ms and mean_ms are in milliseconds, run_id is the run, and tasks are its commands on tables that the query names. '
	'query is the beginning of the text, full_query the whole text.';

REVOKE ALL ON FUNCTION
	pgmaint_internal.may_change_plans(text),
	pgmaint_internal.last_maintenance(),
	pgmaint.degraded_queries(double precision, bigint, double precision)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.may_change_plans(text),
	pgmaint_internal.last_maintenance(),
	pgmaint.degraded_queries(double precision, bigint, double precision)
TO pg_monitor;
