-- What report_json() has of a run.

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

REVOKE ALL ON FUNCTION
	pgmaint_internal.json_time(timestamptz),
	pgmaint_internal.json_steps(bigint),
	pgmaint_internal.json_tasks(bigint),
	pgmaint_internal.json_findings(bigint),
	pgmaint_internal.json_previous_runs(bigint)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.json_time(timestamptz),
	pgmaint_internal.json_steps(bigint),
	pgmaint_internal.json_tasks(bigint),
	pgmaint_internal.json_findings(bigint),
	pgmaint_internal.json_previous_runs(bigint)
TO pg_monitor;
