-- What report_html() shows, for machines.  docs/report_json.schema.json says what
-- each key means; a test compares the two.

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
	'docs/report_json.schema.json describes each key. Statements of other roles are shown to members of pg_read_all_stats. Error: a run_id that does not exist.';

REVOKE ALL ON FUNCTION pgmaint.report_json(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.report_json(bigint) TO pg_monitor;
