-- A run beside the runs of the same plan before it.

-- Of bloat, what was known when the run ended counts: the newest measurement of each
-- table and index until then, where the run has measured any.
CREATE FUNCTION pgmaint_internal.previous_runs(run_id bigint)
RETURNS TABLE (
	nth bigint,
	previous_run bigint,
	state text,
	started_at timestamptz,
	finished_at timestamptz,
	seconds numeric,
	returned_bytes bigint,
	critical bigint,
	warning bigint,
	info bigint,
	failed bigint,
	skipped bigint,
	bloat_bytes bigint
)
LANGUAGE sql STABLE ROWS 6
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH chosen AS MATERIALIZED (
		SELECT r.run_id, r.state, r.started_at, r.finished_at, r.run_id <> previous_runs.run_id AS earlier
		FROM pgmaint.runs r
		WHERE r.plan = (SELECT x.plan FROM pgmaint.runs x WHERE x.run_id = previous_runs.run_id)
			AND r.run_id <= previous_runs.run_id AND r.started_at IS NOT NULL
			AND (r.finished_at IS NOT NULL OR r.run_id = previous_runs.run_id)
		ORDER BY r.run_id DESC
		LIMIT 6
	),
	-- what was dropped since counts for no run
	measured AS MATERIALIZED (
		SELECT m.bloat_bytes, m.measured_at, lead(m.measured_at) OVER (PARTITION BY m.relation ORDER BY m.measured_at) AS until
		FROM pgmaint_internal.bloat_measurements m
		WHERE EXISTS (SELECT FROM pg_class c WHERE c.oid = m.relation)
	)
	SELECT
		row_number() OVER (ORDER BY c.run_id DESC) - 1 + CASE WHEN bool_or(NOT c.earlier) OVER () THEN 0 ELSE 1 END,
		c.run_id,
		c.state,
		c.started_at,
		c.finished_at,
		extract(epoch FROM coalesce(c.finished_at, clock_timestamp()) - c.started_at),
		t.returned_bytes,
		f.critical,
		f.warning,
		f.info,
		t.failed,
		t.skipped,
		CASE WHEN EXISTS (SELECT FROM pgmaint_internal.bloat_measurements m WHERE m.run_id = c.run_id)
			THEN (SELECT sum(m.bloat_bytes) FROM measured m
				WHERE m.measured_at <= coalesce(c.finished_at, clock_timestamp()) AND coalesce(m.until > c.finished_at, m.until IS NULL)) END::bigint
	FROM chosen c
	CROSS JOIN LATERAL (
		SELECT
			coalesce(sum(x.returned_bytes) FILTER (WHERE x.state = 'succeeded'), 0)::bigint AS returned_bytes,
			count(*) FILTER (WHERE x.state IN ('failed', 'cancelled', 'interrupted')) AS failed,
			count(*) FILTER (WHERE x.state = 'skipped') AS skipped
		FROM pgmaint.task_results x
		WHERE x.run_id = c.run_id
	) t
	CROSS JOIN LATERAL (
		SELECT
			count(*) FILTER (WHERE x.severity = 'critical') AS critical,
			count(*) FILTER (WHERE x.severity = 'warning') AS warning,
			count(*) FILTER (WHERE x.severity = 'info') AS info
		FROM pgmaint.findings x
		-- those about tasks are counted as tasks
		WHERE x.run_id = c.run_id AND x.check_id NOT IN ('failed', 'skipped')
	) f;
END;

COMMENT ON FUNCTION pgmaint_internal.previous_runs(bigint) IS
	'a run (nth 0) and up to five runs of the same plan before it that have ended (1 to 5): duration in seconds, sizes in bytes, findings by severity, tasks that failed or were stopped or skipped; bloat_bytes is null where the run measured none';

CREATE FUNCTION pgmaint_internal.html_previous_runs(run_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH runs AS MATERIALIZED (
		SELECT p.* FROM pgmaint_internal.previous_runs(html_previous_runs.run_id) p
	),
	compared AS (
		SELECT concat(format('<p>Compared with run %s of %s: ', o.previous_run, pgmaint_internal.html_time(o.started_at)), coalesce(nullif(concat_ws(', ',
			-- a tenth, or less than a second, is no difference
			CASE WHEN abs(n.seconds - o.seconds) >= greatest(1, o.seconds / 10) THEN
				format('%s %s', pgmaint_internal.duration_text(abs(n.seconds - o.seconds)), CASE WHEN n.seconds > o.seconds THEN 'longer' ELSE 'shorter' END) END,
			CASE WHEN n.returned_bytes <> o.returned_bytes THEN
				format('%s %s returned', pg_size_pretty(abs(n.returned_bytes - o.returned_bytes)), CASE WHEN n.returned_bytes > o.returned_bytes THEN 'more' ELSE 'less' END) END,
			(SELECT string_agg(format('%s %s %s', pgmaint.count_text(abs(d.now - d.before)), CASE WHEN d.now > d.before THEN 'more' ELSE 'fewer' END,
				CASE WHEN abs(d.now - d.before) = 1 THEN d.one ELSE d.many END), ', ' ORDER BY d.nth)
			FROM (VALUES
				(1, n.critical, o.critical, 'critical finding', 'critical findings'),
				(2, n.warning, o.warning, 'warning', 'warnings'),
				(3, n.failed, o.failed, 'failed task', 'failed tasks'),
				(4, n.skipped, o.skipped, 'skipped task', 'skipped tasks')) AS d (nth, now, before, one, many)
			WHERE d.now <> d.before),
			CASE WHEN n.bloat_bytes <> o.bloat_bytes THEN
				format('%s %s bloat', pg_size_pretty(abs(n.bloat_bytes - o.bloat_bytes)), CASE WHEN n.bloat_bytes > o.bloat_bytes THEN 'more' ELSE 'less' END) END), ''), 'no difference'),
			E'.</p>\n') AS words
		FROM runs n
		JOIN runs o ON o.nth = 1
		WHERE n.nth = 0
	)
	SELECT pgmaint_internal.html_section('runs', 'Earlier runs', concat(
		(SELECT c.words FROM compared c),
		pgmaint_internal.html_table('This run, and runs of the same plan before it',
			ARRAY['Run', 'State', 'Began', '#Time', '#Returned', '#Critical', '#Warnings', '#Failed', '#Skipped'] || CASE WHEN count(r.bloat_bytes) > 0 THEN ARRAY['#Bloat'] ELSE '{}' END,
			array_agg(ARRAY[
				CASE WHEN r.nth = 0 THEN format('<b>run %s</b>', r.previous_run) ELSE 'run ' || r.previous_run END,
				pgmaint_internal.html_state(r.state),
				pgmaint_internal.html_time(r.started_at),
				pgmaint_internal.duration_text(r.seconds),
				pg_size_pretty(r.returned_bytes),
				CASE WHEN r.critical > 0 THEN format('<b class="bad">%s</b>', pgmaint.count_text(r.critical)) ELSE '0' END,
				CASE WHEN r.warning > 0 THEN format('<b class="poor">%s</b>', pgmaint.count_text(r.warning)) ELSE '0' END,
				CASE WHEN r.failed > 0 THEN format('<b class="bad">%s</b>', pgmaint.count_text(r.failed)) ELSE '0' END,
				pgmaint.count_text(r.skipped)
			] || CASE WHEN m.measured THEN ARRAY[pg_size_pretty(r.bloat_bytes)] ELSE '{}' END ORDER BY r.nth))))
	FROM runs r
	CROSS JOIN (SELECT count(x.bloat_bytes) > 0 AS measured FROM runs x) m
	HAVING count(*) FILTER (WHERE r.nth > 0) > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.html_previous_runs(bigint) IS 'a run beside up to five runs of its plan before it, with the difference to the last of them in words; null if there are none';

REVOKE ALL ON FUNCTION pgmaint_internal.previous_runs(bigint), pgmaint_internal.html_previous_runs(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.previous_runs(bigint), pgmaint_internal.html_previous_runs(bigint) TO pg_monitor;
