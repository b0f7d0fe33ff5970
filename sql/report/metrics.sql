-- Samples for a monitoring system, in the naming of Prometheus: base units, times as
-- seconds since 1970, few values for each label.

CREATE FUNCTION pgmaint_internal.metric_families()
RETURNS TABLE (name text, type text, help text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 30
BEGIN ATOMIC
	VALUES
		('pgmaint_info'::text, 'gauge'::text, 'The version of pgmaint; always 1.'::text),
		('pgmaint_runs', 'gauge', 'Runs in the ledger, which keeps them for pgmaint.keep_history.'),
		('pgmaint_last_run_start_timestamp_seconds', 'gauge', 'When the last run of a plan that has ended began.'),
		('pgmaint_last_run_duration_seconds', 'gauge', 'How long the last run of a plan that has ended took.'),
		('pgmaint_last_run_success', 'gauge', 'Whether the last run of a plan that has ended succeeded: 1 or 0.'),
		('pgmaint_last_run_tasks', 'gauge', 'Tasks of the last run of a plan that has ended.'),
		('pgmaint_last_run_findings', 'gauge', 'Findings of the last run of a plan that has ended.'),
		('pgmaint_last_run_returned_bytes', 'gauge', 'Bytes that the last run of a plan that has ended returned to the file system.'),
		('pgmaint_last_success_timestamp_seconds', 'gauge', 'When the last run of a plan that succeeded ended.'),
		('pgmaint_archived_rows_total', 'counter', 'Rows that were archived from a table and deleted.'),
		('pgmaint_archived_bytes_total', 'counter', 'Size of the objects with the rows that were archived from a table.'),
		('pgmaint_bloat_bytes', 'gauge', 'Bloat of the 50 tables and indexes with most of it, when they were last measured.'),
		('pgmaint_bloat_ratio', 'gauge', 'Bloat of these as a share of their size, 0 to 1.'),
		('pgmaint_backups', 'gauge', 'Backups of a whole database in the ledger.'),
		('pgmaint_backup_start_timestamp_seconds', 'gauge', 'When the newest backup of a whole database was begun.'),
		('pgmaint_backup_bytes', 'gauge', 'Size of the newest backup of a whole database.'),
		('pgmaint_backup_duration_seconds', 'gauge', 'How long the newest backup of a whole database took.'),
		('pgmaint_backup_verified_timestamp_seconds', 'gauge', 'When a backup of a whole database was last restored to prove it.'),
		('pgmaint_backup_restore_duration_seconds', 'gauge', 'How long the last proof of a backup of a whole database took to restore it, which may be faster than in an emergency.'),
		('pgmaint_backup_safe_restore_duration_seconds', 'gauge', 'How long the last restore of a backup of a whole database in this live server with fsync on took.'),
		('pgmaint_schedule_late_seconds', 'gauge', 'How long a scheduled run has been due without having begun; 0 if none is.'),
		('pgmaint_alerts', 'gauge', 'Alerts that are not resolved.'),
		('pgmaint_troubles', 'gauge', 'Deprecated, the same as pgmaint_alerts: goes with the next version.'),
		('pgmaint_unsent_messages', 'gauge', 'Messages to contacts that wait to be sent, or could not be sent so far.'),
		('pgmaint_oldest_unsent_message_age_seconds', 'gauge', 'How old the oldest message to a contact is that was not sent so far; 0 if there is none.'),
		('pgmaint_check_status', 'gauge', 'Status of a check when the action validate last ran: 0 ok, 1 warning, 2 critical.'),
		('pgmaint_last_validation_timestamp_seconds', 'gauge', 'When the action validate last ran.'),
		('pgmaint_transaction_id_age', 'gauge', 'Transactions since the oldest unfrozen transaction ID of a database.'),
		('pgmaint_multixact_id_age', 'gauge', 'Multixacts since the oldest multixact ID of a database.');
END;

COMMENT ON FUNCTION pgmaint_internal.metric_families() IS 'the names of the metrics, with their types and meanings';

CREATE VIEW pgmaint.metrics AS
WITH last_runs AS MATERIALIZED (
	SELECT DISTINCT ON (r.plan) r.plan, r.run_id, r.state, r.started_at, r.finished_at
	FROM pgmaint.runs r
	WHERE r.finished_at IS NOT NULL AND r.started_at IS NOT NULL
	ORDER BY r.plan, r.run_id DESC
),
bloat AS (
	SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS object, m.kind, m.bloat_bytes, m.bloat_ratio
	FROM (
		SELECT b.relation, b.kind, b.bloat_bytes, b.bloat_ratio
		FROM pgmaint_internal.latest_bloat b
		ORDER BY b.bloat_bytes DESC, b.relation
		LIMIT 50
	) m
	JOIN pg_catalog.pg_class c ON c.oid = m.relation
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
),
backups AS MATERIALIZED (
	SELECT b.database, b.state, b.backup_id, b.started_at, b.finished_at, b.bytes, b.verified_at, b.restore_duration,
		b.safe_restored_at, b.safe_restore_duration
	FROM pgmaint.backups b
	WHERE b.kind = 'database' AND b.selection IS NULL
),
newest_backups AS (
	SELECT DISTINCT ON (b.database) b.*
	FROM backups b
	WHERE b.state = 'succeeded'
	ORDER BY b.database, b.started_at DESC
),
schedules AS (
	SELECT
		s.plan,
		s.scheduled_by,
		CASE WHEN r.busy THEN 0
			ELSE greatest(pg_catalog.extract('epoch', pg_catalog.clock_timestamp()
				- pgmaint.next_run(s.schedule, greatest(r.requested_at, s.scheduled_at))), 0) END AS late
	FROM pgmaint_internal.plan_schedules s
	CROSS JOIN LATERAL (
		SELECT pg_catalog.max(x.requested_at) AS requested_at, coalesce(pg_catalog.bool_or(x.state IN ('queued', 'running')), false) AS busy
		FROM pgmaint.runs x
		WHERE x.plan = s.plan
	) r
	WHERE s.plan <> 'tick' AND s.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
),
unsent AS MATERIALIZED (
	SELECT n.state, n.created_at
	FROM pgmaint.notifications n
	JOIN pgmaint.contacts c ON c.name = n.contact
	WHERE n.state IN ('pending', 'failed')
),
validation AS MATERIALIZED (
	SELECT v.check_id, v.status, v.validated_at
	FROM pgmaint_internal.last_validation v
	WHERE v.identity = (SELECT o.identity FROM pgmaint_internal.own_identities o WHERE o.state = 'current')
),
samples (name, labels, value) AS (
	SELECT 'pgmaint_info', pg_catalog.jsonb_build_object('version', e.extversion), 1::double precision
	FROM pg_catalog.pg_extension e
	WHERE e.extname = 'pgmaint'
	UNION ALL
	SELECT 'pgmaint_runs', pg_catalog.jsonb_build_object('plan', r.plan, 'state', r.state), pg_catalog.count(*)
	FROM pgmaint.runs r
	GROUP BY r.plan, r.state
	UNION ALL
	SELECT v.name, pg_catalog.jsonb_build_object('plan', r.plan), v.value
	FROM last_runs r
	CROSS JOIN LATERAL (VALUES
		('pgmaint_last_run_start_timestamp_seconds', pg_catalog.extract('epoch', r.started_at)),
		('pgmaint_last_run_duration_seconds', pg_catalog.extract('epoch', r.finished_at - r.started_at)),
		('pgmaint_last_run_success', (r.state = 'succeeded')::integer),
		('pgmaint_last_run_returned_bytes', (
			SELECT coalesce(pg_catalog.sum(t.returned_bytes), 0)
			FROM pgmaint.task_results t
			WHERE t.run_id = r.run_id AND t.state = 'succeeded'))) AS v (name, value)
	UNION ALL
	SELECT 'pgmaint_last_run_tasks', pg_catalog.jsonb_build_object('plan', r.plan, 'action', t.action, 'state', t.state), t.number
	FROM last_runs r
	-- by the index of each run: a join would read the tasks of all runs
	CROSS JOIN LATERAL (
		SELECT x.action, x.state, pg_catalog.count(*) AS number
		FROM pgmaint.tasks x
		WHERE x.run_id = r.run_id
		GROUP BY x.action, x.state
	) t
	UNION ALL
	SELECT 'pgmaint_last_run_findings', pg_catalog.jsonb_build_object('plan', r.plan, 'severity', s.severity), pg_catalog.count(f.finding_id)
	FROM last_runs r
	CROSS JOIN (VALUES ('critical'), ('warning'), ('info')) AS s (severity)
	LEFT JOIN pgmaint.findings f ON f.run_id = r.run_id AND f.severity = s.severity
	GROUP BY r.plan, s.severity
	UNION ALL
	SELECT 'pgmaint_last_success_timestamp_seconds', pg_catalog.jsonb_build_object('plan', r.plan), pg_catalog.extract('epoch', pg_catalog.max(r.finished_at))
	FROM pgmaint.runs r
	WHERE r.state = 'succeeded'
	GROUP BY r.plan
	UNION ALL
	SELECT v.name, pg_catalog.jsonb_build_object('relation', a.relation), v.value
	FROM (
		SELECT x.relation, pg_catalog.sum(x.rows) AS rows, pg_catalog.sum(x.bytes) AS bytes
		FROM pgmaint.archives x
		GROUP BY x.relation
		ORDER BY 2 DESC, 1
		LIMIT 50
	) a
	CROSS JOIN LATERAL (VALUES ('pgmaint_archived_rows_total', a.rows), ('pgmaint_archived_bytes_total', a.bytes)) AS v (name, value)
	UNION ALL
	SELECT v.name, pg_catalog.jsonb_build_object('object', b.object, 'kind', b.kind), v.value
	FROM bloat b
	CROSS JOIN LATERAL (VALUES ('pgmaint_bloat_bytes', b.bloat_bytes), ('pgmaint_bloat_ratio', b.bloat_ratio)) AS v (name, value)
	UNION ALL
	SELECT 'pgmaint_backups', pg_catalog.jsonb_build_object('database', b.database, 'state', b.state), pg_catalog.count(*)
	FROM backups b
	GROUP BY b.database, b.state
	UNION ALL
	SELECT v.name, pg_catalog.jsonb_build_object('database', b.database), v.value
	FROM newest_backups b
	CROSS JOIN LATERAL (VALUES
		('pgmaint_backup_start_timestamp_seconds', pg_catalog.extract('epoch', b.started_at)),
		('pgmaint_backup_bytes', b.bytes),
		('pgmaint_backup_duration_seconds', pg_catalog.extract('epoch', b.finished_at - b.started_at))) AS v (name, value)
	UNION ALL
	SELECT v.name, pg_catalog.jsonb_build_object('database', b.database), v.value
	FROM (
		SELECT DISTINCT ON (x.database) x.database, x.verified_at, x.restore_duration
		FROM backups x
		WHERE x.verified_at IS NOT NULL
		ORDER BY x.database, x.verified_at DESC
	) b
	CROSS JOIN LATERAL (VALUES
		('pgmaint_backup_verified_timestamp_seconds', pg_catalog.extract('epoch', b.verified_at)),
		('pgmaint_backup_restore_duration_seconds', pg_catalog.extract('epoch', b.restore_duration))) AS v (name, value)
	UNION ALL
	SELECT 'pgmaint_backup_safe_restore_duration_seconds', pg_catalog.jsonb_build_object('database', b.database), pg_catalog.extract('epoch', b.safe_restore_duration)
	FROM (
		SELECT DISTINCT ON (x.database) x.database, x.safe_restore_duration
		FROM backups x
		WHERE x.safe_restored_at IS NOT NULL
		ORDER BY x.database, x.safe_restored_at DESC
	) b
	UNION ALL
	SELECT 'pgmaint_schedule_late_seconds', pg_catalog.jsonb_build_object('plan', s.plan, 'scheduled_by', s.scheduled_by), s.late
	FROM schedules s
	UNION ALL
	SELECT n.name, pg_catalog.jsonb_build_object('state', c.state, 'severity', c.severity), c.alerts
	FROM (
		SELECT s.state, v.severity, pg_catalog.count(e.alert_id) AS alerts
		FROM (VALUES ('open'), ('notified'), ('escalated'), ('acknowledged')) AS s (state)
		CROSS JOIN (VALUES ('critical'), ('warning')) AS v (severity)
		LEFT JOIN pgmaint.alerts e ON e.resolved_at IS NULL AND e.state = s.state AND e.severity = v.severity
		GROUP BY s.state, v.severity
	) c
	CROSS JOIN (VALUES ('pgmaint_alerts'), ('pgmaint_troubles')) AS n (name)
	UNION ALL
	SELECT 'pgmaint_unsent_messages', pg_catalog.jsonb_build_object('state', s.state), pg_catalog.count(u.state)
	FROM (VALUES ('pending'), ('failed')) AS s (state)
	LEFT JOIN unsent u ON u.state = s.state
	GROUP BY s.state
	UNION ALL
	SELECT 'pgmaint_oldest_unsent_message_age_seconds', '{}',
		coalesce(greatest(pg_catalog.extract('epoch', pg_catalog.clock_timestamp() - pg_catalog.min(u.created_at)), 0), 0)
	FROM unsent u
	UNION ALL
	SELECT 'pgmaint_check_status', pg_catalog.jsonb_build_object('check', v.check_id),
		CASE v.status WHEN 'ok' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END
	FROM validation v
	UNION ALL
	SELECT 'pgmaint_last_validation_timestamp_seconds', '{}', pg_catalog.extract('epoch', pg_catalog.min(v.validated_at))
	FROM validation v
	UNION ALL
	SELECT v.name, pg_catalog.jsonb_build_object('database', d.datname), v.value
	FROM pg_catalog.pg_database d
	CROSS JOIN LATERAL (VALUES
		('pgmaint_transaction_id_age', pg_catalog.age(d.datfrozenxid)),
		('pgmaint_multixact_id_age', pg_catalog.mxid_age(d.datminmxid))) AS v (name, value)
)
SELECT s.name, s.labels, s.value, f.type, f.help
FROM samples s
JOIN pgmaint_internal.metric_families() f USING (name)
WHERE s.value IS NOT NULL;

COMMENT ON VIEW pgmaint.metrics IS 'samples for a monitoring system, one in each row, in the naming of Prometheus';
COMMENT ON COLUMN pgmaint.metrics.name IS 'name of the metric';
COMMENT ON COLUMN pgmaint.metrics.labels IS 'labels of the sample, a JSON object of names and values';
COMMENT ON COLUMN pgmaint.metrics.value IS 'value of the sample in the base unit of the metric: bytes, seconds, seconds since 1970-01-01 UTC, a share from 0 to 1, or a number';
COMMENT ON COLUMN pgmaint.metrics.type IS 'gauge, or counter: a value that only grows';
COMMENT ON COLUMN pgmaint.metrics.help IS 'meaning of the metric';

CREATE FUNCTION pgmaint.metrics_text()
RETURNS text
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT string_agg(g.lines, E'\n' ORDER BY g.name)
	FROM (
		SELECT m.name, format(E'# HELP %s %s\n# TYPE %s %s\n', m.name, m.help, m.name, m.type)
			|| string_agg(concat(m.name, '{' || l.labels || '}', ' ', m.value), E'\n' ORDER BY l.labels) AS lines
		FROM pgmaint.metrics m
		CROSS JOIN LATERAL (
			SELECT string_agg(format('%s="%s"', e.key, replace(replace(replace(e.value, E'\\', E'\\\\'), '"', E'\\"'), E'\n', E'\\n')), ',' ORDER BY e.key) AS labels
			FROM jsonb_each_text(m.labels) e
		) l
		GROUP BY m.name, m.help, m.type
	) g;
END;

COMMENT ON FUNCTION pgmaint.metrics_text() IS
	'Returns pgmaint.metrics in the text format of Prometheus. Sizes are in bytes, durations in seconds, times in seconds since 1970.';

REVOKE ALL ON pgmaint.metrics FROM PUBLIC;
REVOKE ALL ON FUNCTION pgmaint_internal.metric_families(), pgmaint.metrics_text() FROM PUBLIC;
GRANT SELECT ON pgmaint.metrics TO pg_monitor;
GRANT EXECUTE ON FUNCTION pgmaint_internal.metric_families(), pgmaint.metrics_text() TO pg_monitor;
