-- Checks of tables, indexes and sequences.

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('bloat', 'warning', '0.3', 'number', 'share of bloat in all tables and indexes by their last measurement'),
	('bloat', 'critical', '0.6', 'number', 'share of bloat in all tables and indexes by their last measurement'),
	('bloat_measured', 'warning', '35 days', 'interval', 'bloat was not measured for longer than this'),
	('statistics', 'warning', '1', 'number', 'number of tables whose statistics are missing, or of which half the rows have changed since'),
	('wraparound', 'warning', '500000000', 'number', 'age of the oldest transaction ID, or multixact ID, of a database'),
	('wraparound', 'critical', '1500000000', 'number', 'age of the oldest transaction ID, or multixact ID, of a database'),
	('checksums_enabled', 'warning', '1', 'number', 'data checksums (1: enabled, 0: disabled) are below this value'),
	('checksum_failures', 'critical', '1', 'number', 'number of pages with a wrong checksum that were read since the statistics were reset'),
	('invalid_indexes', 'warning', '1', 'number', 'number of invalid indexes that are not being built'),
	('sequences', 'warning', '0.75', 'number', 'share of the values of a sequence, or of the column that it fills, that are used'),
	('sequences', 'critical', '0.9', 'number', 'share of the values of a sequence, or of the column that it fills, that are used')
) AS d (check_id, threshold, value, kind, description);

-- Few relations are measured, but each of them many times: the query looks up the
-- newest row of one relation after the other in the index.
CREATE VIEW pgmaint_internal.latest_bloat AS
WITH RECURSIVE latest AS (
	(SELECT m.* FROM pgmaint_internal.bloat_measurements m ORDER BY m.relation DESC, m.measured_at DESC LIMIT 1)
	UNION ALL
	SELECT n.*
	FROM latest l
	CROSS JOIN LATERAL (
		SELECT m.*
		FROM pgmaint_internal.bloat_measurements m
		WHERE m.relation < l.relation
		ORDER BY m.relation DESC, m.measured_at DESC
		LIMIT 1
	) n
)
SELECT l.*
FROM latest l
WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = l.relation);

COMMENT ON VIEW pgmaint_internal.latest_bloat IS 'the newest measurement of each existing table and index';

CREATE FUNCTION pgmaint_internal.validate_data()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql VOLATILE ROWS 10 COST 10000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	-- dropped relations do not count
	WITH measured AS MATERIALIZED (
		SELECT m.* FROM pgmaint_internal.latest_bloat m
	),
	bloat AS (
		SELECT
			count(*) AS relations,
			sum(m.bloat_bytes) AS bytes,
			sum(m.bloat_bytes) / nullif(sum(m.total_bytes), 0) AS ratio,
			max(m.measured_at) AS measured_at,
			(SELECT string_agg(format('%s (%s of %s)', w.object, pg_size_pretty(w.bloat_bytes), pg_size_pretty(w.total_bytes)), ', '
					ORDER BY w.bloat_bytes DESC)
				FROM (SELECT x.* FROM measured x WHERE x.bloat_bytes > 0 ORDER BY x.bloat_bytes DESC LIMIT 3) w) AS worst
		FROM measured m
	),
	stale AS (
		SELECT
			count(*) AS tables,
			string_agg(s.relation::text, ', ' ORDER BY s.nth) FILTER (WHERE s.nth <= 3) AS largest
		FROM (
			SELECT x.relation, row_number() OVER (ORDER BY pgmaint_internal.file_size(c.relfilenode, c.reltablespace, c.relpages) DESC, x.relation::text) AS nth
			FROM pgmaint.stale_statistics(1000, 0.5) x
			JOIN pg_class c ON c.oid = x.relation
			WHERE c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pgmaint', 'pgmaint_internal')
		) s
	),
	ages AS (
		SELECT d.datname, x.kind, x.age
		FROM pg_database d
		CROSS JOIN LATERAL (VALUES ('transaction ID', age(d.datfrozenxid)), ('multixact ID', mxid_age(d.datminmxid))) AS x (kind, age)
		ORDER BY x.age DESC, d.datname
		LIMIT 1
	),
	failures AS (
		SELECT
			coalesce(sum(s.checksum_failures), 0) AS pages,
			string_agg(coalesce(quote_ident(s.datname), 'the objects that all databases share'), ', ' ORDER BY s.datname)
				FILTER (WHERE s.checksum_failures > 0) AS databases,
			max(s.checksum_last_failure) AS last_failure
		FROM pg_stat_database s
	),
	invalid AS (
		SELECT
			count(*) AS indexes,
			concat_ws('; ',
				string_agg(x.name, ', ' ORDER BY x.name) FILTER (WHERE x.detail IS NULL) || ': rebuild with the action reindex',
				string_agg(format('%s: %s', x.name, x.detail), '; ' ORDER BY x.name) FILTER (WHERE x.detail IS NOT NULL)
					|| ': pgmaint.index_usage() lists the commands') AS faults
		FROM (
			SELECT i.indexrelid::regclass::text AS name, NULL AS detail
			FROM pg_index i
			JOIN pg_class c ON c.oid = i.indexrelid
			WHERE NOT i.indisvalid
				AND c.relkind = 'i'
				AND NOT EXISTS (
					SELECT FROM pg_stat_progress_create_index p
					WHERE p.datname = current_database() AND p.relid = i.indrelid)
			UNION ALL
			SELECT p.name, p.detail
			FROM pgmaint_internal.invalid_partitioned_indexes() p
			WHERE NOT p.being_built
		) x
	),
	sequences AS (
		SELECT
			max(u.used_ratio) AS ratio,
			count(*) FILTER (WHERE u.used_ratio >= l.lowest) AS many,
			string_agg(format('%s has used %s %% of its values, for %s', u.sequence, round(100 * u.used_ratio, 1), CASE WHEN u.table IS NULL THEN 'no column' ELSE format('%s.%I', u.table, u.column) END), ', '
				ORDER BY u.used_ratio DESC, u.sequence::text) FILTER (WHERE u.used_ratio >= l.lowest) AS worst,
			-- as sequence_usage has it
			(SELECT count(DISTINCT w.relation) FROM pg_locks w JOIN pg_class c ON c.oid = w.relation AND c.relkind = 'S'
				WHERE w.locktype = 'relation' AND w.pid <> pg_backend_pid()
					AND w.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
					AND w.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')) AS locked
		FROM pgmaint.sequence_usage u
		CROSS JOIN (
			SELECT least(pgmaint_internal.threshold('sequences', 'warning')::numeric, pgmaint_internal.threshold('sequences', 'critical')::numeric) AS lowest
			OFFSET 0
		) l
		WHERE NOT u.cycles
	)
	SELECT
		'bloat',
		pgmaint_internal.judge('bloat', b.ratio),
		CASE WHEN b.relations = 0 THEN 'no bloat was measured yet'
			ELSE format('%s %% of the measured tables and indexes, %s, is bloat%s', round(100 * b.ratio, 1), pg_size_pretty(b.bytes), ': ' || b.worst) END,
		pgmaint_internal.expectation('bloat', 'bloat below %s of the measured size'),
		NULL
	FROM bloat b
	UNION ALL
	SELECT
		'bloat_measured',
		pgmaint_internal.judge('bloat_measured', clock_timestamp() - coalesce(greatest(b.measured_at, r.last_report), r.first)),
		CASE
			WHEN b.relations > 0 THEN format('bloat was measured %s ago', date_trunc('minute', clock_timestamp() - b.measured_at))
			WHEN r.last_report IS NOT NULL THEN format('no bloat was measured, and the action bloat_report last ran %s ago', date_trunc('minute', clock_timestamp() - r.last_report))
			ELSE 'bloat was not measured yet; measure it with SELECT pgmaint.run_action(''bloat_report'')' END,
		pgmaint_internal.expectation('bloat_measured', 'measured within %s'),
		NULL
	FROM bloat b
	-- the action leaves out what is small, so that a small database has no figures
	CROSS JOIN (
		SELECT
			min(x.requested_at) AS first,
			max(x.finished_at) FILTER (WHERE x.state = 'succeeded' AND x.steps @> '[{"action": "bloat_report"}]') AS last_report
		FROM pgmaint.runs x
	) r
	UNION ALL
	SELECT
		'statistics',
		pgmaint_internal.judge('statistics', s.tables),
		CASE
			WHEN s.tables = 0 THEN 'all tables have current statistics'
			ELSE format('%s %s missing or stale statistics: %s%s', s.tables, CASE WHEN s.tables = 1 THEN 'table has' ELSE 'tables have' END,
				s.largest, CASE WHEN s.tables > 3 THEN ', ...' END) END,
		pgmaint_internal.expectation('statistics', 'fewer than %s tables with missing or stale statistics'),
		NULL
	FROM stale s
	UNION ALL
	SELECT
		'wraparound',
		pgmaint_internal.judge('wraparound', a.age),
		format('the oldest %s of database %I is %s transactions old; the server stops accepting writes at 2 billion', a.kind, a.datname,
			pgmaint.count_text(a.age)),
		pgmaint_internal.expectation('wraparound', 'younger than %s'),
		quote_ident(a.datname)
	FROM ages a
	UNION ALL
	SELECT
		'checksums_enabled',
		CASE WHEN c.has < pgmaint_internal.threshold('checksums_enabled', 'critical')::numeric THEN 'critical'
			WHEN c.has < pgmaint_internal.threshold('checksums_enabled', 'warning')::numeric THEN 'warning' ELSE 'ok' END,
		CASE WHEN c.has = 1 THEN 'pages have checksums'
			ELSE 'pages have no checksums: damage by the disk goes undetected; ' || pgmaint_internal.checksums_hint() END,
		'pages with checksums',
		NULL
	FROM (SELECT CASE WHEN current_setting('data_checksums') = 'on' THEN 1 ELSE 0 END AS has) c
	UNION ALL
	SELECT
		'checksum_failures',
		pgmaint_internal.judge('checksum_failures', f.pages),
		CASE WHEN f.pages = 0 THEN 'no checksum failures'
			ELSE format('%s %s with a wrong checksum %s read in %s, the last %s', f.pages, CASE WHEN f.pages = 1 THEN 'page' ELSE 'pages' END,
				CASE WHEN f.pages = 1 THEN 'was' ELSE 'were' END, f.databases, date_trunc('second', f.last_failure)) END,
		'no page with a wrong checksum',
		NULL
	FROM failures f
	UNION ALL
	SELECT
		'invalid_indexes',
		pgmaint_internal.judge('invalid_indexes', i.indexes),
		CASE WHEN i.indexes = 0 THEN 'no invalid indexes'
			ELSE i.faults END,
		pgmaint_internal.expectation('invalid_indexes', 'fewer than %s invalid indexes'),
		NULL
	FROM invalid i
	UNION ALL
	SELECT
		'sequences',
		pgmaint_internal.judge('sequences', s.ratio),
		CASE WHEN s.many = 0 OR s.many IS NULL THEN format('no sequence has used more than %s %% of its values', coalesce(round(100 * s.ratio, 1), 0)) ELSE s.worst END
			|| coalesce('; not read, as locked by other sessions: ' || nullif(s.locked, 0), ''),
		pgmaint_internal.expectation('sequences', 'less than %s of the values used'),
		NULL
	FROM sequences s;
END;

COMMENT ON FUNCTION pgmaint_internal.validate_data() IS
	'checks of tables, indexes and sequences: bloat, statistics, transaction ID age, checksums, invalid indexes, sequences';

REVOKE ALL ON pgmaint_internal.latest_bloat FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.latest_bloat TO pg_monitor;
REVOKE ALL ON FUNCTION pgmaint_internal.validate_data() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.validate_data() TO pg_monitor;
