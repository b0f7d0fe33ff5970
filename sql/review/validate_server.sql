-- Checks of the server.

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('replication_lag', 'warning', '5 minutes', 'interval', 'a standby is behind by longer than this'),
	('replication_lag', 'critical', '1 hour', 'interval', 'a standby is behind by longer than this'),
	('replication_slots', 'warning', '1073741824', 'bytes', 'WAL that a replication slot retains'),
	('replication_slots', 'critical', '10737418240', 'bytes', 'WAL that a replication slot retains'),
	('archiver', 'warning', '5 minutes', 'interval', 'archiving of WAL has failed for longer than this'),
	('archiver', 'critical', '1 hour', 'interval', 'archiving of WAL has failed for longer than this'),
	('disk_headroom', 'warning', '0.2', 'number', 'ratio of free space in the file system of a tablespace to the size of the tablespace is below this'),
	('disk_headroom', 'critical', '0.05', 'number', 'ratio of free space in the file system of a tablespace to the size of the tablespace is below this'),
	('disk_free', 'warning', '2147483648', 'bytes', 'free space in the file system of a tablespace is below this'),
	('disk_free', 'critical', '536870912', 'bytes', 'free space in the file system of a tablespace is below this'),
	('long_transactions', 'warning', '1 hour', 'interval', 'a transaction of a session is open for longer than this'),
	('long_transactions', 'critical', '12 hours', 'interval', 'a transaction of a session is open for longer than this'),
	('prepared_transactions', 'warning', '1 hour', 'interval', 'a prepared transaction is open for longer than this'),
	('prepared_transactions', 'critical', '1 day', 'interval', 'a prepared transaction is open for longer than this'),
	('connections', 'warning', '0.8', 'number', 'share of the connections available to roles other than superusers that are in use'),
	('connections', 'critical', '0.95', 'number', 'share of the connections available to roles other than superusers that are in use'),
	('pending_restart', 'warning', '1', 'number', 'number of changed settings that wait for a restart'),
	('extensions', 'warning', '1', 'number', 'number of extensions with a newer version installed on the server')
) AS d (check_id, threshold, value, kind, description);

-- For checks where lower values are worse.
CREATE FUNCTION pgmaint_internal.judge_rest(check_id text, measured numeric)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE
		WHEN judge_rest.measured < pgmaint_internal.threshold(judge_rest.check_id, 'critical')::numeric THEN 'critical'
		WHEN judge_rest.measured < pgmaint_internal.threshold(judge_rest.check_id, 'warning')::numeric THEN 'warning'
		ELSE 'ok' END;
END;

COMMENT ON FUNCTION pgmaint_internal.judge_rest(text, numeric) IS
	'status of a number by the thresholds of a check, where lower is worse: critical, warning or ok';

CREATE FUNCTION pgmaint_internal.validate_replication()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 5 COST 1000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	WITH here AS MATERIALIZED (
		SELECT
			pg_is_in_recovery() AS standby,
			CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn
	),
	standbys AS (
		SELECT
			coalesce(nullif(r.application_name, ''), r.client_addr::text, 'process ' || r.pid) AS name,
			coalesce(r.replay_lag, interval '0') AS lag,
			h.lsn - r.replay_lsn AS bytes,
			r.state
		FROM pg_stat_replication r
		CROSS JOIN here h
		WHERE r.state <> 'backup'
	),
	slots AS (
		SELECT
			s.slot_name::text AS name,
			s.active,
			s.wal_status,
			h.lsn - s.restart_lsn AS bytes
		FROM pg_replication_slots s
		CROSS JOIN here h
	),
	judged_slots AS (
		SELECT s.*, CASE WHEN s.wal_status IN ('lost', 'unreserved') THEN 'critical' ELSE pgmaint_internal.judge('replication_slots', s.bytes) END AS status
		FROM slots s
	),
	archiver AS (
		SELECT
			current_setting('archive_mode') AS mode,
			a.last_failed_wal,
			a.last_archived_time,
			CASE WHEN a.last_failed_time > coalesce(a.last_archived_time, '-infinity')
				THEN clock_timestamp() - coalesce(a.last_archived_time, a.stats_reset, a.last_failed_time) END AS failing_for
		FROM pg_stat_archiver a
	)
	SELECT
		'recovery',
		CASE WHEN h.standby THEN 'warning' ELSE 'ok' END,
		CASE WHEN NOT h.standby THEN 'the server is a primary'
			ELSE format('the server is in recovery (a standby, or being restored); the last replayed transaction is of %s',
				coalesce(date_trunc('second', pg_last_xact_replay_timestamp())::text, 'an unknown time')) END,
		'a primary',
		NULL
	FROM here h
	UNION ALL
	SELECT
		'replication_lag',
		pgmaint_internal.judge('replication_lag', s.lag),
		format('standby %s is %s behind: %s of WAL, %s', quote_ident(s.name), date_trunc('milliseconds', s.lag),
			coalesce(pg_size_pretty(s.bytes), 'an unknown amount'), s.state),
		pgmaint_internal.expectation('replication_lag', 'less than %s behind'),
		quote_ident(s.name)
	FROM standbys s
	UNION ALL
	SELECT 'replication_lag', 'ok', 'no standby is connected', pgmaint_internal.expectation('replication_lag', 'less than %s behind'), NULL
	WHERE NOT EXISTS (SELECT FROM standbys s)
	UNION ALL
	SELECT
		'replication_slots',
		s.status,
		format('replication slot %s %s%s', quote_ident(s.name),
			CASE
				WHEN s.wal_status = 'lost' THEN 'has lost WAL that it needs: set up its standby or subscription again'
				ELSE format('retains %s of WAL', pg_size_pretty(s.bytes)) END,
			CASE WHEN NOT s.active THEN ' and is not in use' ELSE '' END),
		pgmaint_internal.expectation('replication_slots', 'less than %s of WAL'),
		quote_ident(s.name)
	FROM judged_slots s
	WHERE s.status <> 'ok'
	UNION ALL
	SELECT
		'replication_slots',
		'ok',
		CASE count(*) WHEN 0 THEN 'no replication slots'
			ELSE format('%s replication %s at most %s of WAL', count(*), CASE count(*) WHEN 1 THEN 'slot retains' ELSE 'slots retain' END,
				coalesce(pg_size_pretty(max(s.bytes)), '0 bytes')) END,
		pgmaint_internal.expectation('replication_slots', 'less than %s of WAL'),
		NULL
	FROM judged_slots s
	HAVING count(*) FILTER (WHERE s.status <> 'ok') = 0
	UNION ALL
	SELECT
		'archiver',
		pgmaint_internal.judge('archiver', a.failing_for),
		CASE
			WHEN a.mode = 'off' THEN 'archiving of WAL is off'
			WHEN a.failing_for IS NOT NULL THEN format('archiving of WAL has failed for %s, last for %s; see the server''s log',
				date_trunc('second', a.failing_for), a.last_failed_wal)
			WHEN a.last_archived_time IS NULL THEN 'no WAL had to be archived yet'
			ELSE format('WAL was archived %s ago', date_trunc('second', clock_timestamp() - a.last_archived_time)) END,
		'no failures of archiving',
		NULL
	FROM archiver a;
END;

COMMENT ON FUNCTION pgmaint_internal.validate_replication() IS
	'checks of replication: recovery, standbys, replication slots, archiving of WAL';

CREATE FUNCTION pgmaint_internal.validate_server()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql VOLATILE ROWS 10 COST 1000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	-- Tablespaces in one file system share its free space.  The size of a
	-- tablespace is computed only where it matters, since that reads every file's
	-- size.
	WITH tablespaces AS MATERIALIZED (
		SELECT
			t.oid,
			t.spcname::text AS name,
			pgmaint_internal.free_bytes_of_tablespace(t.oid) AS free,
			pgmaint_internal.used_bytes_of_tablespace(t.oid) AS used
		FROM pg_tablespace t
		WHERE t.spcname <> 'pg_global'
	),
	disk AS MATERIALIZED (
		SELECT
			t.name,
			t.free,
			t.used,
			CASE WHEN pgmaint_internal.judge_rest('disk_headroom', t.free / nullif(t.used, 0)::numeric) <> 'ok' THEN pg_tablespace_size(t.oid) END AS bytes
		FROM tablespaces t
	),
	transactions AS (
		SELECT a.pid, a.xact_start, clock_timestamp() - a.xact_start AS age,
			format('process %s of role %s in database %s%s, %s', a.pid, quote_ident(a.usename), quote_ident(a.datname),
				coalesce(' (' || nullif(a.application_name, '') || ')', ''), coalesce(a.state, 'in an unknown state')) AS holder
		FROM pg_stat_activity a
		WHERE a.backend_type = 'client backend' AND a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid()
		ORDER BY a.xact_start
		LIMIT 1
	),
	prepared AS (
		SELECT p.gid, clock_timestamp() - p.prepared AS age, p.owner, p.database
		FROM pg_prepared_xacts p
		ORDER BY p.prepared
		LIMIT 1
	),
	connections AS (
		SELECT
			count(*) FILTER (WHERE a.backend_type = 'client backend') AS used,
			current_setting('max_connections')::integer - pgmaint_internal.reserved_connections() AS available
		FROM pg_stat_activity a
	),
	restarts AS (
		SELECT count(*) AS settings, string_agg(s.name, ', ' ORDER BY s.name) AS names
		FROM pg_settings s
		WHERE s.pending_restart
	),
	outdated AS (
		SELECT
			count(*) AS extensions,
			string_agg(format('%s has version %s, and version %s is installed on the server: ALTER EXTENSION %1$s UPDATE', quote_ident(e.extname), e.extversion, v.default_version), '; '
				ORDER BY e.extname) AS which
		FROM pg_extension e
		JOIN pg_available_extensions v ON v.name = e.extname
		WHERE v.default_version <> e.extversion
	)
	SELECT
		'disk_headroom',
		CASE WHEN d.bytes IS NULL THEN 'ok' ELSE pgmaint_internal.judge_rest('disk_headroom', d.free / nullif(d.bytes, 0)::numeric) END,
		CASE
			WHEN d.bytes IS NULL THEN format('file system of tablespace %s: %s used, %s free', quote_ident(d.name), pg_size_pretty(d.used), pg_size_pretty(d.free))
			ELSE format('tablespace %s: %s in size, %s free in its file system', quote_ident(d.name), pg_size_pretty(d.bytes), pg_size_pretty(d.free)) END,
		pgmaint_internal.expectation('disk_headroom', 'free space of at least %s of its size'),
		quote_ident(d.name)
	FROM disk d
	UNION ALL
	SELECT
		'disk_free',
		pgmaint_internal.judge_rest('disk_free', d.free),
		format('%s free in the file system of tablespace %s', pg_size_pretty(d.free), quote_ident(d.name)),
		pgmaint_internal.expectation('disk_free', 'at least %s free'),
		quote_ident(d.name)
	FROM disk d
	UNION ALL
	SELECT
		'long_transactions',
		pgmaint_internal.judge('long_transactions', t.age),
		CASE WHEN t.pid IS NULL THEN 'no open transactions'
			ELSE format('the oldest transaction has been open for %s: %s', date_trunc('second', t.age), t.holder) END,
		pgmaint_internal.expectation('long_transactions', 'none open for %s'),
		NULL
	FROM (VALUES (1)) AS one (row)
	LEFT JOIN transactions t ON true
	UNION ALL
	SELECT
		'prepared_transactions',
		pgmaint_internal.judge('prepared_transactions', p.age),
		CASE WHEN p.gid IS NULL THEN 'no prepared transactions'
			ELSE format('the oldest prepared transaction, %L of role %s in database %s, has been open for %s: end it with COMMIT PREPARED or ROLLBACK PREPARED',
				p.gid, quote_ident(p.owner), quote_ident(p.database), date_trunc('second', p.age)) END,
		pgmaint_internal.expectation('prepared_transactions', 'none open for %s'),
		NULL
	FROM (VALUES (1)) AS one (row)
	LEFT JOIN prepared p ON true
	UNION ALL
	SELECT
		'connections',
		pgmaint_internal.judge('connections', c.used / nullif(c.available, 0)::numeric),
		format('%s of %s connections are in use', c.used, c.available),
		pgmaint_internal.expectation('connections', 'less than %s of the available connections'),
		NULL
	FROM connections c
	UNION ALL
	SELECT
		'pending_restart',
		pgmaint_internal.judge('pending_restart', r.settings),
		CASE WHEN r.settings = 0 THEN 'no settings wait for a restart'
			ELSE format('%s for a restart: %s', CASE WHEN r.settings = 1 THEN '1 setting waits' ELSE r.settings || ' settings wait' END, r.names) END,
		'no settings that wait for a restart',
		NULL
	FROM restarts r
	UNION ALL
	SELECT
		'extensions',
		pgmaint_internal.judge('extensions', o.extensions),
		coalesce(o.which, 'all extensions have the version that is installed on the server'),
		'no extension older than the version that is installed on the server',
		NULL
	FROM outdated o;
END;

COMMENT ON FUNCTION pgmaint_internal.validate_server() IS
	'checks of the server: disk space, long and prepared transactions, connections, settings that wait for a restart, extensions';

REVOKE ALL ON FUNCTION
	pgmaint_internal.judge_rest(text, numeric),
	pgmaint_internal.validate_replication(),
	pgmaint_internal.validate_server()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.judge_rest(text, numeric),
	pgmaint_internal.validate_replication(),
	pgmaint_internal.validate_server(),
	pgmaint_internal.free_bytes_of_tablespace(oid),
	pgmaint_internal.used_bytes_of_tablespace(oid)
TO pg_monitor;
