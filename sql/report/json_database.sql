-- What report_json() has of how the database stands.

CREATE FUNCTION pgmaint_internal.json_checks(OUT counts jsonb, OUT checks jsonb)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH checked AS MATERIALIZED (
		SELECT v.*, row_number() OVER (PARTITION BY v.status = 'ok' ORDER BY array_position(ARRAY['critical', 'warning', 'ok'], v.status), v.check_id, v.object) AS nth
		FROM pgmaint.validate() v
	)
	SELECT
		jsonb_build_object(
			'critical', count(*) FILTER (WHERE c.status = 'critical'),
			'warning', count(*) FILTER (WHERE c.status = 'warning'),
			'ok', count(*) FILTER (WHERE c.status = 'ok')),
		coalesce(jsonb_agg(jsonb_build_object(
			'check_id', c.check_id,
			'status', c.status,
			'object', c.object,
			'detail', c.detail,
			'expected', c.expected,
			'remedy', CASE WHEN c.status <> 'ok' THEN g.remedy END) ORDER BY c.status = 'ok', c.nth) FILTER (WHERE c.nth <= 40), '[]')
	FROM checked c
	LEFT JOIN pgmaint_internal.check_guide() g USING (check_id);
END;

COMMENT ON FUNCTION pgmaint_internal.json_checks() IS 'what validate() finds now, as report_json() has it: all checks are counted, at most 80 named';

CREATE FUNCTION pgmaint_internal.json_queries(run_id bigint)
RETURNS jsonb
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT jsonb_build_object(
		'since', pgmaint_internal.json_time(min(q.since)),
		'until', pgmaint_internal.json_time(min(q.until)),
		'compared', bool_and(q.compared),
		'statements', min(q.statements),
		'seconds', min(q.total_ms) / 1000,
		'own_seconds', coalesce(min(q.own_ms), 0) / 1000,
		'worst', jsonb_agg(jsonb_build_object(
			-- larger than the integers of JavaScript
			'queryid', q.queryid::text,
			'role', pg_get_userbyid(q.userid),
			'query', q.query,
			'hidden', q.hidden,
			'outline', q.outline,
			'calls', q.calls,
			'seconds', q.query_ms / 1000,
			'mean_seconds', q.mean_ms / 1000,
			'mean_seconds_before', q.mean_ms_before / 1000) ORDER BY q.nth))
	FROM pgmaint_internal.run_queries(json_queries.run_id) q
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.json_queries(bigint) IS 'the queries that took most of the time before a run, as report_json() has them; null without snapshots of statements';

CREATE FUNCTION pgmaint_internal.json_advice()
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce(jsonb_agg(jsonb_build_object(
		'advice_id', a.advice_id,
		'object', a.object,
		'command', CASE WHEN pgmaint.may_be_copied(a.statement) THEN a.statement END,
		'saved_seconds_per_day', a.gain_ms_per_day / 1000,
		'index_bytes', a.index_bytes,
		'queries', cardinality(a.query_ids),
		'advised_at', pgmaint_internal.json_time(a.last_given_at),
		'current', NOT coalesce(a.past, false),
		'index', a.relname,
		'outcome', a.outcome,
		'mean_seconds_before', a.mean_ms_before / 1000,
		'mean_seconds_after', a.mean_ms_after / 1000) ORDER BY a.nth), '[]')
	FROM (
		SELECT v.*, c.relname, v.last_given_at < r.last AS past,
			row_number() OVER (ORDER BY v."index" IS NOT NULL, v.last_given_at < r.last, v.gain_ms_per_day DESC, v.advice_id) AS nth
		FROM pgmaint_internal.index_advices v
		CROSS JOIN (SELECT pgmaint_internal.last_index_advice() AS last) r
		LEFT JOIN pg_class c ON c.oid = v."index"
	) a
	WHERE a.nth <= 20;
END;

COMMENT ON FUNCTION pgmaint_internal.json_advice() IS 'up to 20 indexes that were advised, as report_json() has them';

CREATE FUNCTION pgmaint_internal.json_bloat()
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT jsonb_build_object(
		'total', count(*),
		'total_bytes', coalesce(sum(b.total_bytes), 0),
		'bloat_bytes', coalesce(sum(b.bloat_bytes), 0),
		'measured_at', pgmaint_internal.json_time(max(b.measured_at)),
		'objects', coalesce(jsonb_agg(jsonb_build_object(
			'object', b.object,
			'kind', b.kind,
			'method', b.method,
			'total_bytes', b.total_bytes,
			'bloat_bytes', b.bloat_bytes,
			'bloat_ratio', b.bloat_ratio,
			'margin', b.margin,
			'measured_at', pgmaint_internal.json_time(b.measured_at)) ORDER BY b.nth) FILTER (WHERE b.nth <= 15), '[]'))
	FROM (
		SELECT m.*, row_number() OVER (ORDER BY m.bloat_bytes DESC, m.relation) AS nth
		FROM pgmaint_internal.latest_bloat m
	) b;
END;

COMMENT ON FUNCTION pgmaint_internal.json_bloat() IS 'the newest measurements of bloat, as report_json() has them: the sums, and the 15 tables and indexes with most of it';

CREATE FUNCTION pgmaint_internal.json_backups()
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH series AS (
		SELECT
			b.database,
			b.selection IS NOT NULL AS part,
			row_number() OVER (ORDER BY max(b.bytes) FILTER (WHERE b.state = 'succeeded') DESC NULLS LAST, b.database, b.selection IS NOT NULL) AS nth,
			count(*) FILTER (WHERE b.state = 'succeeded') AS kept,
			coalesce(sum(b.bytes) FILTER (WHERE b.state = 'succeeded'), 0) AS kept_bytes,
			count(*) FILTER (WHERE b.state IN ('failed', 'interrupted')) AS failed,
			max(b.started_at) FILTER (WHERE b.state IN ('failed', 'interrupted')) AS failed_at,
			max(b.backup_id) FILTER (WHERE b.state = 'succeeded') AS newest,
			max(b.verified_at) AS verified_at,
			(array_agg(b.restore_duration ORDER BY b.verified_at DESC NULLS LAST) FILTER (WHERE b.restore_duration IS NOT NULL))[1] AS restored_in,
			(array_agg(b.safe_restore_duration ORDER BY b.safe_restored_at DESC) FILTER (WHERE b.safe_restore_duration IS NOT NULL))[1] AS safely_restored_in
		FROM pgmaint.backups b
		WHERE b.kind = 'database'
		GROUP BY b.database, b.selection IS NOT NULL
	)
	SELECT coalesce(jsonb_agg(jsonb_build_object(
		'database', s.database,
		'part', s.part,
		'kept', s.kept,
		'kept_bytes', s.kept_bytes,
		'failed', s.failed,
		'last_failed_at', pgmaint_internal.json_time(s.failed_at),
		'proven_at', pgmaint_internal.json_time(s.verified_at),
		'restore_seconds', extract(epoch FROM s.restored_in),
		'safe_restore_seconds', extract(epoch FROM s.safely_restored_in),
		'newest', CASE WHEN n.backup_id IS NOT NULL THEN jsonb_build_object(
			'backup_id', n.backup_id,
			'storage', n.storage,
			'key', n.key,
			'started_at', pgmaint_internal.json_time(n.started_at),
			'seconds', extract(epoch FROM n.finished_at - n.started_at),
			'bytes', n.bytes,
			'verification', n.verification) END) ORDER BY s.nth), '[]')
	FROM series s
	LEFT JOIN pgmaint.backups n ON n.backup_id = s.newest
	WHERE s.nth <= 20;
END;

COMMENT ON FUNCTION pgmaint_internal.json_backups() IS 'the backups of up to 20 databases, as report_json() has them';

CREATE FUNCTION pgmaint_internal.json_archives()
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET intervalstyle = 'iso_8601'
BEGIN ATOMIC
	SELECT coalesce(jsonb_agg(jsonb_build_object(
		'policy_id', t.policy_id,
		'in_force', t.in_force,
		'relation', t.relation,
		'keep', t.keep::text,
		'archive', t.archive,
		'storages', t.storages,
		'objects', coalesce(t.objects, 0),
		'rows', coalesce(t.rows, 0),
		'bytes', coalesce(t.bytes, 0),
		'from', pgmaint_internal.json_time(t.range_from),
		'until', pgmaint_internal.json_time(t.range_to)) ORDER BY t.bytes DESC NULLS LAST, t.relation, t.policy_id), '[]')
	FROM (SELECT x.* FROM pgmaint_internal.archived_by_policy() x ORDER BY x.bytes DESC NULLS LAST, x.relation, x.policy_id LIMIT 50) t;
END;

COMMENT ON FUNCTION pgmaint_internal.json_archives() IS 'up to 50 retention policies with their archives, as report_json() has them';

REVOKE ALL ON FUNCTION
	pgmaint_internal.json_checks(),
	pgmaint_internal.json_queries(bigint),
	pgmaint_internal.json_advice(),
	pgmaint_internal.json_bloat(),
	pgmaint_internal.json_backups(),
	pgmaint_internal.json_archives()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.json_checks(),
	pgmaint_internal.json_queries(bigint),
	pgmaint_internal.json_advice(),
	pgmaint_internal.json_bloat(),
	pgmaint_internal.json_backups(),
	pgmaint_internal.json_archives()
TO pg_monitor;
