-- What report_html() shows, for machines.  docs/report_json.schema.json says what
-- each key means; a test compares the two.

CREATE FUNCTION pgmaint_internal.json_time(at timestamptz)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN isfinite(at) THEN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END;
END;

COMMENT ON FUNCTION pgmaint_internal.json_time(timestamptz) IS 'a time in UTC as ISO 8601 has it; null where it is infinite';

CREATE FUNCTION pgmaint_internal.json_steps(run_id bigint)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce(jsonb_agg(jsonb_build_object(
		'step', s.step,
		'action', s.action,
		'reached', s.reached,
		'total', s.planned,
		'succeeded', s.succeeded,
		'failed', s.failed,
		'skipped', s.skipped,
		'stopped', s.stopped,
		'open', s.open,
		'started_at', pgmaint_internal.json_time(s.started_at),
		'seconds', s.seconds,
		'returned_bytes', coalesce(s.returned_bytes, 0),
		'remarks', coalesce(s.remarks, '{}')) ORDER BY s.step), '[]')
	FROM pgmaint.step_results s
	WHERE s.run_id = json_steps.run_id;
END;

COMMENT ON FUNCTION pgmaint_internal.json_steps(bigint) IS 'the steps of a run, as report_json() has them';

CREATE FUNCTION pgmaint_internal.json_tasks(run_id bigint)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH counts AS (
		SELECT
			count(*) AS total,
			count(*) FILTER (WHERE t.state = 'succeeded') AS succeeded,
			count(*) FILTER (WHERE t.state = 'failed') AS failed,
			count(*) FILTER (WHERE t.state = 'skipped') AS skipped,
			count(*) FILTER (WHERE t.state IN ('cancelled', 'interrupted')) AS stopped,
			count(*) FILTER (WHERE t.state IN ('pending', 'running')) AS open
		FROM pgmaint.tasks t
		WHERE t.run_id = json_tasks.run_id
	),
	shown AS MATERIALIZED (
		SELECT s.nth, s.done, s.alike, t.*, r.returned_bytes, r.removed_rows, r.left_rows, r.archived_bytes
		FROM pgmaint.shown_tasks(json_tasks.run_id) s
		JOIN pgmaint.tasks t ON t.task_id = s.task_id
		CROSS JOIN LATERAL (SELECT x.* FROM pgmaint.task_results x WHERE x.task_id = s.task_id LIMIT 1) r
	),
	told AS (
		SELECT s.done, jsonb_agg(jsonb_build_object(
			'task_id', s.task_id,
			'step', s.step,
			'action', s.action,
			'target', s.target,
			'command', s.command,
			'reason', s.reason,
			'state', s.state,
			'attempt', s.attempt,
			'started_at', pgmaint_internal.json_time(s.started_at),
			'finished_at', pgmaint_internal.json_time(s.finished_at),
			'seconds', extract(epoch FROM s.finished_at - s.started_at))
			|| CASE WHEN s.done THEN jsonb_build_object(
				'outcome', s.outcome,
				'bytes_before', s.bytes_before,
				'bytes_after', s.bytes_after,
				'returned_bytes', s.returned_bytes,
				'removed_rows', s.removed_rows,
				'deleted_rows', s.left_rows,
				'archived_bytes', s.archived_bytes)
			ELSE jsonb_build_object('error', s.error, 'sqlstate', s.sqlstate, 'alike', s.alike) END ORDER BY s.nth) AS tasks
		FROM shown s
		GROUP BY s.done
	)
	SELECT jsonb_build_object(
		'total', c.total,
		'succeeded', c.succeeded,
		'failed', c.failed,
		'skipped', c.skipped,
		'stopped', c.stopped,
		'open', c.open,
		'not_done', coalesce((SELECT t.tasks FROM told t WHERE NOT t.done), '[]'),
		'done', coalesce((SELECT t.tasks FROM told t WHERE t.done), '[]'))
	FROM counts c;
END;

COMMENT ON FUNCTION pgmaint_internal.json_tasks(bigint) IS 'the tasks of a run, as report_json() has them: all are counted, at most 100 named';

-- A command that names with line breaks make ambiguous is left out, as on the page:
-- a reader may print it.
CREATE FUNCTION pgmaint_internal.json_findings(run_id bigint)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce(jsonb_agg(jsonb_build_object(
		'finding_id', f.finding_id,
		'check_id', f.check_id,
		'title', g.title,
		'severity', f.severity,
		'object', f.object,
		'message', f.message,
		'created_at', pgmaint_internal.json_time(f.created_at),
		'commands', coalesce(c.commands, '[]'),
		'more_commands', greatest(c.total - 10, 0),
		'remedy', g.remedy,
		'alike', s.alike,
		'more', s.more,
		'more_objects', coalesce(to_jsonb(array_remove(s.more_objects, NULL)), '[]'),
		'alert', a.alert) ORDER BY s.nth), '[]')
	FROM pgmaint.shown_findings(json_findings.run_id) s
	JOIN pgmaint.findings f ON f.finding_id = s.finding_id
	LEFT JOIN pgmaint_internal.check_guide() g ON g.check_id = f.check_id
	CROSS JOIN LATERAL (
		SELECT
			jsonb_agg(jsonb_build_object(
				'command', CASE WHEN pgmaint.may_be_copied(o.value ->> 'command') THEN o.value ->> 'command' END,
				'bytes', (o.value ->> 'bytes')::bigint,
				'detail', o.value ->> 'detail') ORDER BY o.nth) FILTER (WHERE o.nth <= 10) AS commands,
			count(*) AS total
		FROM jsonb_array_elements(CASE WHEN f.detail ? 'command' THEN jsonb_build_array(f.detail)
			WHEN jsonb_typeof(f.detail -> 'objects') = 'array' THEN f.detail -> 'objects' END) WITH ORDINALITY AS o (value, nth)
		WHERE o.value ? 'command'
	) c
	LEFT JOIN LATERAL (
		SELECT jsonb_build_object(
			'alert_id', x.alert_id,
			'state', x.state,
			'severity', x.severity,
			'condition', x.condition,
			'occurrences', x.occurrences,
			'first_seen', pgmaint_internal.json_time(x.first_seen),
			'level', x.level,
			'next_contact', x.next_contact,
			'next_step', pgmaint_internal.json_time(x.next_step),
			'acknowledged_by', x.acknowledged_by,
			'acknowledged_at', pgmaint_internal.json_time(x.acknowledged_at),
			'resolved_at', pgmaint_internal.json_time(x.resolved_at),
			'resolution', x.resolution) AS alert
		FROM pgmaint.alerts x
		WHERE x.alert_id = f.alert_id
		LIMIT 1
	) a ON true;
END;

COMMENT ON FUNCTION pgmaint_internal.json_findings(bigint) IS 'the findings of a run that its reports show, as report_json() has them';

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
	WITH archived AS (
		SELECT
			a.policy_id,
			max(a.relation) AS relation,
			array_agg(DISTINCT a.storage::text) AS storages,
			count(*) AS objects,
			-- the rows of an adopted archive are what its manifest says
			sum(a.rows) AS rows,
			sum(a.bytes) AS bytes,
			min(a.range_from) AS range_from,
			max(a.range_to) AS range_to
		FROM pgmaint.archives a
		GROUP BY a.policy_id
	),
	told AS (
		SELECT
			coalesce(p.policy_id, a.policy_id) AS policy_id,
			p.policy_id IS NOT NULL AS in_force,
			coalesce(p.relation::text, a.relation) AS relation,
			p.keep,
			coalesce(p.archive, true) AS archive,
			coalesce(a.storages, array_remove(ARRAY[p.storage::text], NULL)) AS storages,
			coalesce(a.objects, 0) AS objects,
			coalesce(a.rows, 0) AS rows,
			coalesce(a.bytes, 0) AS bytes,
			a.range_from,
			a.range_to
		FROM pgmaint.retention_policies p
		FULL JOIN archived a ON a.policy_id = p.policy_id
	)
	SELECT coalesce(jsonb_agg(jsonb_build_object(
		'policy_id', t.policy_id,
		'in_force', t.in_force,
		'relation', t.relation,
		'keep', t.keep::text,
		'archive', t.archive,
		'storages', t.storages,
		'objects', t.objects,
		'rows', t.rows,
		'bytes', t.bytes,
		'from', pgmaint_internal.json_time(t.range_from),
		'until', pgmaint_internal.json_time(t.range_to)) ORDER BY t.bytes DESC, t.relation, t.policy_id), '[]')
	FROM (SELECT x.* FROM told x ORDER BY x.bytes DESC, x.relation, x.policy_id LIMIT 50) t;
END;

COMMENT ON FUNCTION pgmaint_internal.json_archives() IS 'up to 50 retention policies with their archives, as report_json() has them';

CREATE FUNCTION pgmaint_internal.json_previous_runs(run_id bigint)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce(jsonb_agg(jsonb_build_object(
		'run_id', p.previous_run,
		'state', p.state,
		'started_at', pgmaint_internal.json_time(p.started_at),
		'finished_at', pgmaint_internal.json_time(p.finished_at),
		'seconds', p.seconds,
		'returned_bytes', p.returned_bytes,
		'findings', jsonb_build_object('critical', p.critical, 'warning', p.warning, 'info', p.info),
		'failed', p.failed,
		'skipped', p.skipped,
		'bloat_bytes', p.bloat_bytes) ORDER BY p.nth), '[]')
	FROM pgmaint_internal.previous_runs(json_previous_runs.run_id) p
	WHERE p.nth > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.json_previous_runs(bigint) IS 'up to five runs of the same plan before a run, as report_json() has them';

-- What is SQL cannot raise an error.
CREATE FUNCTION pgmaint_internal.refuse_unknown_run(run_id bigint)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION 'run % does not exist', run_id
		USING ERRCODE = 'undefined_object',
			HINT = 'To list the runs: SELECT run_id, plan, state, requested_at FROM pgmaint.runs.';
END
$$;

COMMENT ON FUNCTION pgmaint_internal.refuse_unknown_run(bigint) IS 'raises the error of a report on a run that does not exist';

CREATE FUNCTION pgmaint.report_json(run_id bigint DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
-- to compile these expressions would take longer than to evaluate them
SET jit = off
BEGIN ATOMIC
	WITH chosen AS MATERIALIZED (
		SELECT coalesce(report_json.run_id, (SELECT max(x.run_id) FROM pgmaint.runs x)) AS run_id
	)
	SELECT CASE
		WHEN report_json.run_id IS NOT NULL AND r.run_id IS NULL THEN pgmaint_internal.refuse_unknown_run(report_json.run_id)
		ELSE (
			SELECT jsonb_build_object(
				'format', 1,
				'pgmaint', (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'pgmaint'),
				'generated_at', pgmaint_internal.json_time(clock_timestamp()),
				'database', current_database(),
				'server_version', current_setting('server_version'),
				'run', CASE WHEN r.run_id IS NOT NULL THEN jsonb_build_object(
					'run_id', r.run_id,
					'plan', r.plan,
					'state', r.state,
					'requested_by', r.requested_by,
					'requested_at', pgmaint_internal.json_time(r.requested_at),
					'started_at', pgmaint_internal.json_time(r.started_at),
					'finished_at', pgmaint_internal.json_time(r.finished_at),
					'seconds', extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - r.started_at),
					'error', r.error,
					'options', r.options,
					'resumes', r.resumes) END,
				'steps', pgmaint_internal.json_steps(c.run_id),
				'tasks', pgmaint_internal.json_tasks(c.run_id),
				'finding_counts', (
					SELECT jsonb_build_object(
						'critical', count(*) FILTER (WHERE f.severity = 'critical'),
						'warning', count(*) FILTER (WHERE f.severity = 'warning'),
						'info', count(*) FILTER (WHERE f.severity = 'info'))
					FROM pgmaint.findings f
					-- these stand in tasks
					WHERE f.run_id = c.run_id AND f.check_id NOT IN ('skipped', 'failed')),
				'findings', pgmaint_internal.json_findings(c.run_id),
				'check_counts', v.counts,
				'checks', v.checks,
				'queries', pgmaint_internal.json_queries(c.run_id),
				'advice', pgmaint_internal.json_advice(),
				'bloat', pgmaint_internal.json_bloat(),
				'backups', pgmaint_internal.json_backups(),
				'archives', pgmaint_internal.json_archives(),
				'previous_runs', pgmaint_internal.json_previous_runs(c.run_id))
			FROM pgmaint_internal.json_checks() v)
		END
	FROM chosen c
	LEFT JOIN pgmaint.runs r ON r.run_id = c.run_id;
END;

COMMENT ON FUNCTION pgmaint.report_json(bigint) IS
	'Returns what report_html() shows of a run (null: the latest) as a JSON object, for machines: the run, its steps, tasks and findings, what validate() finds now, queries, advice, bloat, backups, archives and previous runs. '
	'Times are ISO 8601 in UTC, sizes numbers of bytes, durations numbers of seconds; nothing is formatted. '
	'At most 100 tasks and 100 findings are named, all are counted. run is null where there has been no run. '
	'docs/report_json.schema.json describes each key. For members of pg_monitor; statements of others are for members of pg_read_all_stats. Error: a run_id that does not exist.';

REVOKE ALL ON FUNCTION
	pgmaint_internal.json_time(timestamptz),
	pgmaint_internal.json_steps(bigint),
	pgmaint_internal.json_tasks(bigint),
	pgmaint_internal.json_findings(bigint),
	pgmaint_internal.json_checks(),
	pgmaint_internal.json_queries(bigint),
	pgmaint_internal.json_advice(),
	pgmaint_internal.json_bloat(),
	pgmaint_internal.json_backups(),
	pgmaint_internal.json_archives(),
	pgmaint_internal.json_previous_runs(bigint),
	pgmaint_internal.refuse_unknown_run(bigint),
	pgmaint.report_json(bigint)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.json_time(timestamptz),
	pgmaint_internal.json_steps(bigint),
	pgmaint_internal.json_tasks(bigint),
	pgmaint_internal.json_findings(bigint),
	pgmaint_internal.json_checks(),
	pgmaint_internal.json_queries(bigint),
	pgmaint_internal.json_advice(),
	pgmaint_internal.json_bloat(),
	pgmaint_internal.json_backups(),
	pgmaint_internal.json_archives(),
	pgmaint_internal.json_previous_runs(bigint),
	pgmaint_internal.refuse_unknown_run(bigint),
	pgmaint.report_json(bigint)
TO pg_monitor;
