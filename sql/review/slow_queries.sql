-- Queries that take most time.

-- A query in one line.
CREATE FUNCTION pgmaint_internal.short_query(query text, length integer)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN length(l.line) > short_query.length
		THEN left(l.line, short_query.length - 3) || '...' ELSE l.line END
	FROM (SELECT btrim(regexp_replace(short_query.query, E'\\s+', ' ', 'g')) AS line) l;
END;

COMMENT ON FUNCTION pgmaint_internal.short_query(text, integer) IS 'the beginning of a query, in one line';

CREATE FUNCTION pgmaint.slow_queries("limit" integer DEFAULT 20, since interval DEFAULT NULL, order_by text DEFAULT 'total')
RETURNS TABLE (
	query text,
	calls bigint,
	total_percent numeric,
	mean_ms numeric,
	max_ms numeric,
	rows_per_call numeric,
	hit_percent numeric,
	temp_per_call text,
	wal_per_call text,
	mean_before_ms numeric,
	change_percent numeric,
	role name,
	queryid bigint,
	full_query text
)
LANGUAGE plpgsql VOLATILE ROWS 20 COST 10000
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	missing text;
	choices CONSTANT text[] := ARRAY['total', 'mean', 'max', 'calls', 'rows', 'reads', 'temp', 'wal', 'change'];
	first record;
	previous bigint;
	counted timestamptz;
BEGIN
	-- after a rename, names may lead to objects of other roles; parsed bodies are safe
	IF NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgmaint' AND e.extnamespace = to_regnamespace('pgmaint')
		WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_namespace'::regclass AND d.objid = to_regnamespace('pgmaint_internal')) THEN
		RAISE EXCEPTION 'schema "pgmaint" or "pgmaint_internal" of extension "pgmaint" was renamed'
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call the function tick() of the extension: its error message has the command that renames the schema back.';
	END IF;
	missing := pgmaint_internal.statements_missing();
	IF NOT coalesce(slow_queries.order_by = ANY (choices), false) THEN
		RAISE EXCEPTION USING
			ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('invalid order "%s"', coalesce(slow_queries.order_by, 'null')),
			HINT = format('Valid orders are: %s.', array_to_string(choices, ', '));
	END IF;
	IF slow_queries."limit" < 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'limit must not be negative';
	END IF;
	PERFORM pgmaint_internal.check_duration('since', coalesce(slow_queries.since, interval '1 hour'));
	IF missing IS NOT NULL THEN
		RAISE NOTICE 'no queries to show: %', missing;
		RETURN;
	END IF;
	SELECT s.* INTO first
	FROM pgmaint_internal.statement_snapshots s
	WHERE s.taken_at <= clock_timestamp() - coalesce(slow_queries.since, interval '1 hour')
	ORDER BY s.taken_at DESC
	LIMIT 1;
	counted := (SELECT i.counted_since FROM pgmaint_internal.statements_since() i);
	IF first.snapshot_id IS NULL AND slow_queries.since IS NOT NULL THEN
		RAISE NOTICE 'no snapshot is older than "since": showing all that pg_stat_statements has counted';
	ELSIF first.snapshot_id IS NOT NULL AND counted > first.taken_at THEN
		RAISE NOTICE 'pg_stat_statements was reset at %: showing what was counted since', date_trunc('second', counted);
	END IF;
	-- a period of the same length before, as far as there are snapshots
	previous := (
		SELECT s.snapshot_id
		FROM pgmaint_internal.statement_snapshots s
		WHERE s.taken_at <= first.taken_at - (clock_timestamp() - first.taken_at)
		ORDER BY s.taken_at DESC
		LIMIT 1);
	RETURN QUERY
	WITH now AS MATERIALIZED (
		SELECT c.*, c.total_ms / c.calls AS mean
		FROM pgmaint_internal.statement_changes(first.snapshot_id, NULL) c
		-- this command waits for others that are counted themselves
		WHERE coalesce(c.query, '') !~* E'^\\s*CALL\\s+pgmaint\\.run_and_wait\\M'
	),
	before AS MATERIALIZED (
		SELECT c.userid, c.toplevel, c.queryid, c.total_ms / c.calls AS mean
		FROM pgmaint_internal.statement_changes(previous, first.snapshot_id) c
		WHERE first.snapshot_id IS NOT NULL
	)
	SELECT
		pgmaint_internal.short_query(n.query, 60),
		n.calls,
		-- the time of nested statements is part of the outer ones
		round((100 * n.total_ms / nullif((SELECT sum(o.total_ms) FROM now o WHERE o.toplevel), 0))::numeric, 1),
		round(n.mean::numeric, 3),
		round(n.max_ms::numeric, 3),
		round(n.rows::numeric / n.calls, 1),
		round(100.0 * n.shared_hit / nullif(n.shared_hit + n.shared_read, 0), 1),
		pg_size_pretty(n.temp_blocks * current_setting('block_size')::bigint / n.calls),
		pg_size_pretty(round(n.wal_bytes / n.calls)),
		round(b.mean::numeric, 3),
		round((100 * (n.mean / nullif(b.mean, 0) - 1))::numeric),
		pg_get_userbyid(n.userid),
		n.queryid,
		n.query
	FROM now n
	LEFT JOIN before b ON b.queryid = n.queryid AND b.userid = n.userid AND b.toplevel = n.toplevel
	ORDER BY CASE slow_queries.order_by
		WHEN 'total' THEN n.total_ms
		WHEN 'mean' THEN n.mean
		WHEN 'max' THEN n.max_ms
		WHEN 'calls' THEN n.calls
		WHEN 'rows' THEN n.rows
		WHEN 'reads' THEN n.shared_read
		WHEN 'temp' THEN n.temp_blocks
		WHEN 'wal' THEN n.wal_bytes
		ELSE n.mean / nullif(b.mean, 0) END DESC NULLS LAST, n.total_ms DESC, n.queryid
	LIMIT slow_queries."limit";
END
$$;

COMMENT ON FUNCTION pgmaint.slow_queries(integer, interval, text) IS
	'Lists the queries that took most time since a snapshot of pg_stat_statements, with their mean time in the period before. '
	'limit is the number of rows (null: all); the period begins with the last snapshot that is at least as old as since (null: 1 hour, and all that was counted where there is no such snapshot). '
	'order_by is total, mean, max, calls, rows, reads, temp, wal or change. '
	'Times are in milliseconds; total_percent is the share of the time of all queries, hit_percent the share of blocks found in shared buffers, both from 0 to 100; max_ms is the maximum since the statement is counted; change_percent compares mean_ms with mean_before_ms. '
	'query is the beginning of the text, full_query the whole text, null where pg_stat_statements has none. '
	'Where pg_stat_statements cannot be read there are no rows, and a NOTICE tells why. Errors: an unknown order, a negative limit or since.';

REVOKE ALL ON FUNCTION
	pgmaint_internal.short_query(text, integer),
	pgmaint.slow_queries(integer, interval, text)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.short_query(text, integer),
	pgmaint.slow_queries(integer, interval, text)
TO pg_monitor;
