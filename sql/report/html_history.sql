-- The parts of the page of report_html() that show bloat, backups and archives, now
-- and over time.  Each is null where it would be empty.

CREATE FUNCTION pgmaint_internal.html_bloat()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH latest AS (
		SELECT
			l.*,
			row_number() OVER (ORDER BY l.bloat_bytes DESC, l.relation) AS nth,
			row_number() OVER (PARTITION BY l.kind ORDER BY l.bloat_bytes DESC, l.relation) AS nth_of_kind,
			count(*) OVER () AS total
		FROM (
			SELECT x.*
			FROM pg_class c
			CROSS JOIN LATERAL (
				SELECT m.*
				FROM pgmaint_internal.bloat_measurements m
				WHERE m.relation = c.oid
				ORDER BY m.measured_at DESC
				LIMIT 1
			) x
		) l
	),
	plots AS (
		SELECT l.kind, l.nth, concat(
			format('<figure><figcaption><b>%s</b>: bloat %s of %s (%s %%)', pgmaint_internal.html_text(pgmaint.one_line(l.object)),
				pg_size_pretty(l.bloat_bytes), pg_size_pretty(l.total_bytes), round((100 * l.bloat_ratio)::numeric, 1)),
			CASE WHEN h.times = 1 THEN ', measured once' END,
			E'</figcaption>\n',
			pgmaint_internal.svg_series('bloat-' || l.nth, format('Bloat of %s over time', l.object),
				format('Measured %s, between %s and %s. Bloat was %s at first, and is %s of %s.', CASE WHEN h.times = 1 THEN 'once' ELSE h.times || ' times' END,
					to_char(h.since, 'YYYY-MM-DD'), to_char(l.measured_at, 'YYYY-MM-DD'),
					pg_size_pretty(h.first_bloat), pg_size_pretty(l.bloat_bytes), pg_size_pretty(l.total_bytes)),
				'bytes', ARRAY['bloat', 'size'], jsonb_build_array(h.bloat, h.size)),
			E'</figure>\n') AS plot
		FROM latest l
		CROSS JOIN LATERAL (
			SELECT
				count(*) AS times,
				min(m.measured_at) AS since,
				(array_agg(m.bloat_bytes ORDER BY m.measured_at))[1] AS first_bloat,
				jsonb_agg(jsonb_build_object('at', extract(epoch FROM m.measured_at), 'value', m.bloat_bytes)) AS bloat,
				jsonb_agg(jsonb_build_object('at', extract(epoch FROM m.measured_at), 'value', m.total_bytes)) AS size
			FROM pgmaint_internal.bloat_measurements m
			WHERE m.relation = l.relation
		) h
		WHERE l.nth_of_kind <= 3 AND l.bloat_bytes > 0
	)
	SELECT pgmaint_internal.html_section('bloat', 'Bloat', pgmaint_internal.html_fold(
		format('%s of %s (%s %%) in %s measured %s', pg_size_pretty(sum(l.bloat_bytes)), pg_size_pretty(sum(l.total_bytes)),
			round((100 * sum(l.bloat_bytes) / nullif(sum(l.total_bytes), 0))::numeric, 1), pgmaint.count_text(count(*)), CASE count(*) WHEN 1 THEN 'object' ELSE 'objects' END),
		concat(
		pgmaint_internal.html_table(CASE WHEN min(l.total) > 15 THEN format('The 15 of %s measured tables and indexes with most bloat, by their last measurement', pgmaint.count_text(min(l.total)))
				ELSE 'Tables and indexes, by their last measurement' END, ARRAY['Object', 'Kind', '#Bloat', '#Of', '#Share', 'Measured'],
			array_agg(ARRAY[
				pgmaint_internal.html_name(l.object),
				pgmaint_internal.html_name(l.kind, 'span'),
				pg_size_pretty(l.bloat_bytes),
				pg_size_pretty(l.total_bytes),
				format('%s &#177; %s %%', round((100 * l.bloat_ratio)::numeric, 1), round((100 * l.margin)::numeric, 1)),
				pgmaint_internal.html_time(l.measured_at)
			] ORDER BY l.nth) FILTER (WHERE l.nth <= 15)),
		(SELECT concat(
			'<ul class="legend"><li><svg aria-hidden="true" viewBox="0 0 14 14"><rect class="area" width="14" height="14"/><path class="line s1" d="M0,2H14"/></svg>bloat</li>',
			'<li><svg aria-hidden="true" viewBox="0 0 14 14"><path class="line s2" d="M0,7H14"/></svg>size</li></ul>', E'\n',
			string_agg(k.plots, '' ORDER BY k.kind DESC))
		FROM (
			SELECT p.kind, format(E'<h3>%s with most bloat over time</h3>\n<div class="charts">\n%s</div>\n',
				CASE p.kind WHEN 'table' THEN 'Tables' ELSE 'Indexes' END, string_agg(p.plot, '' ORDER BY p.nth)) AS plots
			FROM plots p
			GROUP BY p.kind
		) k
		HAVING count(*) > 0))))
	FROM latest l
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.html_bloat() IS 'the measured bloat, now and over time';

CREATE FUNCTION pgmaint_internal.html_backups()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH made AS (
		SELECT
			b.*,
			b.database || CASE WHEN b.selection IS NULL THEN '' ELSE ' (parts)' END AS what,
			concat(pgmaint_internal.duration_text(extract(epoch FROM b.restore_duration)),
				' (' || replace(split_part(pgmaint.one_line(b.restore_settings), ',', 1), ':', ',') || ')') AS restored_in
		FROM pgmaint.backups b
		WHERE b.kind = 'database'
	),
	series AS (
		SELECT
			m.what,
			row_number() OVER (ORDER BY max(m.bytes) FILTER (WHERE m.state = 'succeeded') DESC NULLS LAST, m.what) AS nth,
			count(*) OVER () AS total,
			count(*) FILTER (WHERE m.state = 'succeeded') AS there,
			sum(m.bytes) FILTER (WHERE m.state = 'succeeded') AS bytes,
			count(*) FILTER (WHERE m.state IN ('failed', 'interrupted')) AS failed,
			max(m.started_at) FILTER (WHERE m.state IN ('failed', 'interrupted')) AS failed_at,
			max(m.backup_id) FILTER (WHERE m.state = 'succeeded') AS newest,
			max(m.verified_at) AS verified_at,
			(array_agg(m.restored_in ORDER BY m.verified_at DESC NULLS LAST) FILTER (WHERE m.restore_duration IS NOT NULL))[1] AS restored_in,
			(array_agg(m.safe_restore_duration ORDER BY m.safe_restored_at DESC) FILTER (WHERE m.safe_restore_duration IS NOT NULL))[1] AS safe_restore_duration,
			jsonb_agg(jsonb_build_object('at', extract(epoch FROM m.started_at), 'value', m.bytes)) FILTER (WHERE m.finished_at IS NOT NULL) AS sizes,
			jsonb_agg(jsonb_build_object('at', extract(epoch FROM m.started_at), 'value', extract(epoch FROM m.finished_at - m.started_at)))
				FILTER (WHERE m.bytes IS NOT NULL) AS durations,
			jsonb_agg(jsonb_build_object('at', extract(epoch FROM coalesce(m.verified_at, m.started_at)), 'value', extract(epoch FROM m.restore_duration)))
				FILTER (WHERE m.restore_duration IS NOT NULL) AS restores
		FROM made m
		GROUP BY m.what
	)
	SELECT pgmaint_internal.html_section('backups', 'Backups', pgmaint_internal.html_fold(
		concat(CASE count(*) WHEN 1 THEN '1 database' ELSE pgmaint.count_text(count(*)) || ' databases' END, ', ',
			pgmaint_internal.html_state(CASE WHEN count(s.newest) < count(*) THEN 'warning' ELSE 'ok' END, pgmaint.count_text(count(s.newest)) || ' with a backup'), ', ',
			pgmaint_internal.html_state(CASE WHEN count(*) FILTER (WHERE n.verification = 'not restorable') > 0 THEN 'critical' WHEN count(s.verified_at) < count(*) THEN 'warning' ELSE 'ok' END,
				pgmaint.count_text(count(s.verified_at)) || ' proven'),
			CASE WHEN sum(s.failed) > 0 THEN ', ' || pgmaint_internal.html_state('failed', pgmaint.count_text(sum(s.failed)::bigint) || ' failed') END),
		concat(
		pgmaint_internal.html_table(CASE WHEN min(s.total) > 20 THEN format('20 of %s databases: the newest backup of each', min(s.total)) ELSE 'The newest backup of each database' END,
			ARRAY['Database', 'Newest', '#Size', '#Took', 'Proven', '#Kept', '#Failed'],
			array_agg(ARRAY[
				pgmaint_internal.html_name(s.what, 'span'),
				coalesce(pgmaint_internal.html_time(n.started_at), 'none'),
				pg_size_pretty(n.bytes),
				pgmaint_internal.duration_text(extract(epoch FROM n.finished_at - n.started_at)),
				CASE WHEN n.verification = 'not restorable' THEN pgmaint_internal.html_state('not restorable') || ' '
					WHEN s.verified_at IS NULL THEN pgmaint_internal.html_state('warning', 'never') ELSE '' END || coalesce(pgmaint_internal.html_time(s.verified_at), '')
					|| coalesce(', restored in ' || pgmaint_internal.html_text(s.restored_in), ''),
				concat_ws(', ', pgmaint.count_text(s.there), pg_size_pretty(s.bytes)),
				CASE WHEN s.failed > 0 THEN format('<b class="bad">%s</b>', pgmaint.count_text(s.failed)) END
			] ORDER BY s.nth) FILTER (WHERE s.nth <= 20)),
		string_agg(concat(
			format(E'<h3>%s over time</h3>\n<div class="charts">\n', pgmaint_internal.html_text(s.what)),
			'<figure><figcaption>Size of the backups</figcaption>', pgmaint_internal.svg_series('backup-size-' || s.nth, format('Size of the backups of %s', s.what),
				format('The newest has %s.', pg_size_pretty(n.bytes)), 'bytes', ARRAY['size'], jsonb_build_array(coalesce(s.sizes, '[]'))), E'</figure>\n',
			'<figure><figcaption>Duration: ',
			'<svg class="key" aria-hidden="true" viewBox="0 0 14 14"><path class="line s1" d="M0,7H14"/></svg> to make',
			CASE WHEN s.restores IS NOT NULL THEN ', <svg class="key" aria-hidden="true" viewBox="0 0 14 14"><path class="line s2" d="M0,7H14"/></svg> to restore when they were proven' END,
			'</figcaption>', pgmaint_internal.svg_series('backup-time-' || s.nth, format('How long backups of %s and proving them by restoring took', s.what),
				concat_ws(' ', format('The newest took %s.', pgmaint_internal.duration_text(extract(epoch FROM n.finished_at - n.started_at))),
					'Restoring one to prove it took ' || s.restored_in || '.',
					'Restoring one in this server, with fsync on, took ' || pgmaint_internal.duration_text(extract(epoch FROM s.safe_restore_duration)) || '.'),
				'seconds', ARRAY['backup', 'restore'], jsonb_build_array(coalesce(s.durations, '[]'), coalesce(s.restores, '[]'))), E'</figure>\n</div>\n'),
			'' ORDER BY s.nth) FILTER (WHERE s.nth <= 4 AND s.sizes IS NOT NULL)),
		count(*) FILTER (WHERE n.backup_id IS NULL OR n.verification = 'not restorable' OR s.failed_at > n.started_at OR s.verified_at IS NULL) > 0))
	FROM series s
	LEFT JOIN pgmaint.backups n ON n.backup_id = s.newest
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.html_backups() IS 'the backups of each database: size, time to make, time to restore, now and over time';

CREATE FUNCTION pgmaint_internal.html_retention()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH told AS (
		SELECT
			a.relation,
			CASE WHEN a.in_force THEN a.keep::text ELSE 'policy dropped' END AS keep,
			CASE WHEN a.archive THEN nullif(array_to_string(a.storages, ', '), '') ELSE 'not archived' END AS storages,
			a.objects,
			least(a.rows, 1e15)::bigint AS rows,
			a.bytes,
			a.range_from,
			a.range_to
		FROM pgmaint_internal.archived_by_policy() a
	)
	SELECT pgmaint_internal.html_section('retention', 'Retention', pgmaint_internal.html_fold(
		format('%s, %s rows archived in %s', CASE count(*) WHEN 1 THEN '1 table' ELSE pgmaint.count_text(count(*)) || ' tables' END,
			pgmaint.count_text(least(coalesce(sum(t.rows), 0), 1e15)::bigint), pg_size_pretty(coalesce(sum(t.bytes), 0))),
		concat(
		pgmaint_internal.html_table('Retention policies and their archives', ARRAY['Table', 'Kept for', 'Archived in', '#Rows', '#Size', '#Objects', 'From', 'Until'],
			(array_agg(ARRAY[
				pgmaint_internal.html_name(t.relation),
				pgmaint_internal.html_name(t.keep, 'span'),
				pgmaint_internal.html_name(t.storages, 'span'),
				pgmaint.count_text(t.rows),
				pg_size_pretty(t.bytes),
				pgmaint.count_text(t.objects),
				pgmaint_internal.html_time(t.range_from),
				pgmaint_internal.html_time(t.range_to)
			] ORDER BY t.bytes DESC NULLS LAST, t.relation))[1 : 50]),
		CASE WHEN count(*) > 50 THEN format(E'<p>%s more: <code>SELECT * FROM pgmaint.retention_policies</code></p>\n', count(*) - 50) END,
		CASE WHEN sum(t.rows) > 0 THEN format(E'<p>In all, %s rows in %s in storages.</p>\n', pgmaint.count_text(least(sum(t.rows), 1e15)::bigint), pg_size_pretty(sum(t.bytes))) END)))
	FROM told t
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.html_retention() IS 'the retention policies, and what has been archived';

REVOKE ALL ON FUNCTION pgmaint_internal.html_bloat(), pgmaint_internal.html_backups(), pgmaint_internal.html_retention() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.html_bloat(), pgmaint_internal.html_backups(), pgmaint_internal.html_retention() TO pg_monitor;
