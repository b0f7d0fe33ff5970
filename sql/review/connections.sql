-- Connections: their use, their peak, and the recommended max_connections.

CREATE TABLE pgmaint_internal.connection_samples (
	sampled_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp() PRIMARY KEY,
	connections integer NOT NULL,
	active integer NOT NULL,
	idle_in_transaction integer NOT NULL,
	longest_idle_in_transaction interval,
	max_connections integer NOT NULL
);

COMMENT ON TABLE pgmaint_internal.connection_samples IS 'samples of the number of client sessions of the server, taken by tick() and the action connection_review';
COMMENT ON COLUMN pgmaint_internal.connection_samples.connections IS 'client sessions of the whole server';
COMMENT ON COLUMN pgmaint_internal.connection_samples.active IS 'how many of these sessions were executing a command';
COMMENT ON COLUMN pgmaint_internal.connection_samples.idle_in_transaction IS 'how many of these sessions were idle in a transaction, aborted or not';
COMMENT ON COLUMN pgmaint_internal.connection_samples.longest_idle_in_transaction IS 'longest time that one of these sessions had been idle in its transaction; null: none was';
COMMENT ON COLUMN pgmaint_internal.connection_samples.max_connections IS 'value of the setting max_connections';

CREATE VIEW pgmaint_internal.connection_use AS
SELECT
	a.datname AS database,
	a.usename AS role,
	a.application_name AS application,
	coalesce(a.state, 'not known') AS state,
	pg_catalog.count(*) AS connections,
	pg_catalog.round(100.0 * pg_catalog.count(*) / pg_catalog.sum(pg_catalog.count(*)) OVER (), 1) AS percent,
	pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - pg_catalog.min(a.state_change)) AS longest_in_state
FROM pg_catalog.pg_stat_activity a
WHERE a.backend_type = 'client backend'
GROUP BY a.datname, a.usename, a.application_name, a.state
ORDER BY connections DESC, a.datname, a.usename, a.application_name, a.state;

COMMENT ON VIEW pgmaint_internal.connection_use IS 'number of client sessions by database, role, application and state, with their share of all sessions';
COMMENT ON COLUMN pgmaint_internal.connection_use.database IS 'database of the sessions; null: none';
COMMENT ON COLUMN pgmaint_internal.connection_use.role IS 'role of the sessions';
COMMENT ON COLUMN pgmaint_internal.connection_use.application IS 'application_name of the sessions';
COMMENT ON COLUMN pgmaint_internal.connection_use.state IS 'state in pg_stat_activity; not known: the caller may not see it';
COMMENT ON COLUMN pgmaint_internal.connection_use.connections IS 'number of sessions';
COMMENT ON COLUMN pgmaint_internal.connection_use.percent IS 'share of all client sessions in percent, 0 to 100';
COMMENT ON COLUMN pgmaint_internal.connection_use.longest_in_state IS 'longest time that one of these sessions has been in this state';

CREATE FUNCTION pgmaint_internal.memory_of_machine()
RETURNS bigint
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_memory_of_machine';

COMMENT ON FUNCTION pgmaint_internal.memory_of_machine() IS
	'bytes of memory of the machine, or the limit of the server''s control group if that is lower';

CREATE FUNCTION pgmaint_internal.reserved_connections()
RETURNS integer
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	-- the second from PostgreSQL 16 on
	SELECT current_setting('superuser_reserved_connections')::integer
		+ coalesce(current_setting('reserved_connections', true)::integer, 0);
END;

COMMENT ON FUNCTION pgmaint_internal.reserved_connections() IS
	'how many of max_connections are reserved for superusers and members of pg_use_reserved_connections';

-- The recommendation is 1.5 times the peak.  A lower max_connections is only
-- recommended after four weeks of samples.  Each connection counts with work_mem
-- and 8 MB; all of them and shared_buffers may take four fifths of the memory.
CREATE FUNCTION pgmaint_internal.connection_limit(
	OUT current integer,
	OUT reserved integer,
	OUT in_use integer,
	OUT peak integer,
	OUT peak_at timestamptz,
	OUT since timestamptz,
	OUT samples bigint,
	OUT connection_bytes bigint,
	OUT memory_bytes bigint,
	OUT affordable integer,
	OUT recommended integer,
	OUT reason text
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH now AS MATERIALIZED (
		SELECT clock_timestamp() AS sampled_at, count(*)::integer AS connections
		FROM pg_stat_activity a
		WHERE a.backend_type = 'client backend'
	),
	seen AS (
		SELECT s.sampled_at, s.connections
		FROM pgmaint_internal.connection_samples s
		WHERE s.sampled_at > clock_timestamp() - interval '90 days'
		UNION ALL
		SELECT n.sampled_at, n.connections FROM now n
	),
	peak AS (
		SELECT
			max(s.connections) AS connections,
			(array_agg(s.sampled_at ORDER BY s.connections DESC, s.sampled_at DESC))[1] AS sampled_at,
			min(s.sampled_at) AS since,
			count(*) AS samples
		FROM seen s
	),
	limits AS (
		SELECT
			current_setting('max_connections')::integer AS current,
			pgmaint_internal.reserved_connections() AS reserved,
			-- the value of new sessions, in kB
			(SELECT w.reset_val::bigint * 1024 FROM pg_settings w WHERE w.name = 'work_mem') + 8 * 1024 * 1024 AS connection_bytes,
			pg_size_bytes(current_setting('shared_buffers')) AS shared_bytes,
			pgmaint_internal.memory_of_machine() AS memory_bytes
	),
	reckoned AS (
		SELECT
			l.*,
			p.*,
			n.connections AS in_use,
			(ceil((p.connections * 1.5 + l.reserved) / 10) * 10)::integer AS wanted,
			greatest(least(floor((0.8 * l.memory_bytes - l.shared_bytes) / l.connection_bytes), 262143), 0)::integer AS affordable
		FROM limits l
		CROSS JOIN peak p
		CROSS JOIN now n
	),
	decided AS (
		SELECT
			r.*,
			CASE
				WHEN r.connections > 0.8 * (r.current - r.reserved) THEN greatest(least(r.wanted, r.affordable), r.current)
				WHEN r.current > r.affordable OR (r.current > 200 AND r.wanted < r.current / 2 AND r.sampled_at - r.since >= interval '28 days')
					THEN least(greatest(r.wanted, 100), r.current)
				ELSE r.current END AS recommended
		FROM reckoned r
	)
	SELECT
		d.current,
		d.reserved,
		d.in_use,
		d.connections,
		d.sampled_at,
		d.since,
		d.samples,
		d.connection_bytes,
		d.memory_bytes,
		d.affordable,
		d.recommended,
		CASE
			WHEN d.connections > 0.8 * (d.current - d.reserved) AND d.recommended = d.current THEN format(
				'a peak of %s comes close to the %s available connections, but memory does not suffice for more: let clients share connections through a pooler, such as PgBouncer',
				d.connections, d.current - d.reserved)
			WHEN d.recommended > d.current THEN format('1.5 times the peak of %s, and %s reserved; %s connections could take %s of %s of memory',
				d.connections, d.reserved, d.recommended, pg_size_pretty(d.shared_bytes + d.recommended * d.connection_bytes), pg_size_pretty(d.memory_bytes))
			WHEN d.recommended < d.current AND d.current > d.affordable THEN format(
				'%s connections could take %s of %s of memory, and the peak is %s',
				d.current, pg_size_pretty(d.shared_bytes + d.current * d.connection_bytes), pg_size_pretty(d.memory_bytes), d.connections)
			WHEN d.recommended < d.current THEN format('the peak is %s since %s', d.connections, to_char(d.since, 'YYYY-MM-DD'))
			WHEN d.current > d.affordable THEN format(
				'unchanged; but all connections could take %s of %s of memory: reduce work_mem, or use a connection pooler',
				pg_size_pretty(d.shared_bytes + d.current * d.connection_bytes), pg_size_pretty(d.memory_bytes))
			ELSE format('unchanged: a peak of %s leaves room', d.connections) END
	FROM decided d;
END;

COMMENT ON FUNCTION pgmaint_internal.connection_limit() IS
	'the recommended max_connections, by the peak of the last 90 days and the memory of the machine, with the figures that it is computed from';

-- A standby stops replaying WAL when its primary has a larger max_connections,
-- until it is restarted with at least the same value.
CREATE FUNCTION pgmaint_internal.physical_standbys()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT string_agg(s.name, ', ' ORDER BY s.name)
	FROM (
		SELECT concat('standby "', r.application_name, '"', ' at ' || host(r.client_addr)) AS name
		FROM pg_stat_replication r
		WHERE r.state <> 'backup'
			AND NOT EXISTS (SELECT FROM pg_replication_slots x WHERE x.active_pid = r.pid AND x.slot_type = 'logical')
		UNION ALL
		SELECT format('the standby of slot "%s", which is not connected', x.slot_name)
		FROM pg_replication_slots x
		WHERE x.slot_type = 'physical' AND NOT x.active AND x.restart_lsn IS NOT NULL
	) s;
END;

COMMENT ON FUNCTION pgmaint_internal.physical_standbys() IS
	'standbys that are connected to this server, or have a slot; null: none';

CREATE FUNCTION pgmaint.connection_review()
RETURNS TABLE (topic text, item text, connections bigint, detail text)
LANGUAGE sql STABLE ROWS 20 COST 10000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	WITH l AS MATERIALIZED (
		SELECT * FROM pgmaint_internal.connection_limit()
	),
	use AS MATERIALIZED (
		SELECT u.*, row_number() OVER () AS nth FROM pgmaint_internal.connection_use u
	),
	idle AS (
		SELECT
			count(*) AS sessions,
			max(clock_timestamp() - a.state_change) AS longest,
			(array_agg(format('process %s of role %s in database %s%s', a.pid, quote_ident(a.usename), quote_ident(a.datname),
				coalesce(' (' || nullif(a.application_name, '') || ')', '')) ORDER BY a.state_change))[1] AS holder
		FROM pg_stat_activity a
		WHERE a.backend_type = 'client backend' AND a.state LIKE 'idle in transaction%'
	),
	lines AS (
		SELECT 1 AS part, 0::bigint AS nth, 'limit' AS topic, 'max_connections' AS item, l.current::bigint AS connections,
			format('%s reserved for superusers and members of pg_use_reserved_connections', l.reserved) AS detail
		FROM l
		UNION ALL
		SELECT 2, 0, 'in use', 'all', l.in_use,
			format('%s %% of the %s available to other roles', round(100.0 * l.in_use / nullif(l.current - l.reserved, 0)), l.current - l.reserved)
		FROM l
		UNION ALL
		SELECT 3, u.nth, 'in use', concat_ws(', ', 'database ' || quote_ident(u.database), 'role ' || quote_ident(u.role), nullif(u.application, ''), u.state),
			u.connections, format('%s %% of all, the longest for %s', u.percent, u.longest_in_state)
		FROM use u
		WHERE u.nth <= 20
		UNION ALL
		SELECT 4, 0, 'in use', format('%s more groups: SELECT * FROM pgmaint_internal.connection_use', count(*)), sum(u.connections)::bigint, ''
		FROM use u
		WHERE u.nth > 20
		HAVING count(*) > 0
		UNION ALL
		SELECT 5, 0, 'idle in transaction', 'all', i.sessions,
			CASE WHEN i.sessions = 0 THEN 'none' ELSE format('the longest for %s: %s', date_trunc('second', i.longest), i.holder) END
		FROM idle i
		UNION ALL
		SELECT 6, 0, 'peak', format('since %s', date_trunc('minute', l.since)), l.peak,
			format('at %s; %s samples', date_trunc('minute', l.peak_at), l.samples)
		FROM l
		UNION ALL
		SELECT 7, 0, 'memory', format('%s MB for each connection', l.connection_bytes / 1048576), l.affordable,
			format('connections fit, with shared_buffers of %s, into four fifths of %s', current_setting('shared_buffers'), pg_size_pretty(l.memory_bytes))
		FROM l
		UNION ALL
		SELECT 8, 0, 'recommendation', 'max_connections', l.recommended, l.reason
		FROM l
		UNION ALL
		SELECT 9, 0, 'command', format('ALTER SYSTEM SET max_connections = %s', l.recommended), l.recommended,
			CASE
				WHEN s.names IS NULL THEN 'takes effect after a restart of the server'
				WHEN l.recommended > l.current THEN 'on each standby first, with a restart of it, then on this server, with a restart: ' || s.names
				ELSE 'on this server first, with a restart, then on each standby: ' || s.names END
		FROM l
		CROSS JOIN (SELECT pgmaint_internal.physical_standbys() AS names) s
		WHERE l.recommended <> l.current
		UNION ALL
		SELECT 10, 0, 'restart', 'max_connections', l.current, 'was changed; restart the server to apply the change'
		FROM l
		JOIN pg_settings s ON s.name = 'max_connections' AND s.pending_restart
	)
	SELECT n.topic, n.item, n.connections, n.detail
	FROM lines n
	ORDER BY n.part, n.nth;
END;

COMMENT ON FUNCTION pgmaint.connection_review() IS
	'Reviews the use of connections and recommends max_connections; it changes nothing. '
	'Each row has a topic (limit, in use, idle in transaction, peak, memory, recommendation, command, restart), the item, a number of connections, and detail. '
	'The recommendation is computed from the peak of the last 90 days and the memory of the machine. '
	'It shows the sessions that the caller may see: members of pg_monitor see all.';

REVOKE ALL ON pgmaint_internal.connection_samples, pgmaint_internal.connection_use FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint_internal.memory_of_machine(),
	pgmaint_internal.reserved_connections(),
	pgmaint_internal.connection_limit(),
	pgmaint_internal.physical_standbys(),
	pgmaint.connection_review()
FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.connection_samples, pgmaint_internal.connection_use TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.memory_of_machine(),
	pgmaint_internal.reserved_connections(),
	pgmaint_internal.connection_limit(),
	pgmaint_internal.physical_standbys(),
	pgmaint.connection_review()
TO pg_monitor;
