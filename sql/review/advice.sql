-- Indexes that statements counted by pg_stat_statements would gain from.

CREATE FUNCTION pgmaint.index_advice(
	min_calls bigint DEFAULT 5,
	min_mean_ms double precision DEFAULT 1,
	min_gain double precision DEFAULT 0.3,
	min_size bigint DEFAULT 1048576,
	max_statements bigint DEFAULT 200)
RETURNS TABLE (
	relation regclass,
	statement text,
	gain text,
	price text,
	queries text,
	note text,
	checked text,
	gain_ms_per_day double precision,
	write_ms_per_day double precision,
	index_bytes bigint,
	query_ids bigint[],
	cost_left double precision[]
)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 20 COST 1000000
AS 'MODULE_PATHNAME', 'pgmaint_index_advice';

COMMENT ON FUNCTION pgmaint.index_advice(bigint, double precision, double precision, bigint, bigint) IS
	'Lists indexes that the statements counted by pg_stat_statements would gain from, best first, with the command that creates each; it creates no index and executes no statement. '
	'It examines the max_statements (1 to 10000) statements that took most time among those with at least min_calls calls and a mean time of min_mean_ms milliseconds. '
	'An index is listed if it saves at least the share min_gain (0.01 to 1) of a statement''s cost, on a table of at least min_size bytes. '
	'gain is the time saved a day, price the size of the index and the rows written a day, queries the statements with their costs before and after, checked how the gain was determined. '
	'gain_ms_per_day and write_ms_per_day are in milliseconds a day, index_bytes in bytes; query_ids are the identifiers of the statements, and cost_left the share of the cost of each that is left, from 0 to 1. '
	'A NOTICE names statements without advice and the reasons. '
	'Superusers and roles with EXECUTE may call it; statements are planned only if the caller has the rights of the role that executed them.';

-- Numbers of rows written to each table at two times.  The counters alone give
-- no rate: a table is loaded once.
CREATE TABLE pgmaint_internal.table_writes (
	relation oid PRIMARY KEY,
	writes bigint NOT NULL,
	noted_at timestamptz NOT NULL,
	writes_before bigint,
	noted_before timestamptz
);

COMMENT ON TABLE pgmaint_internal.table_writes IS 'number of rows written to each table that change its indexes, noted with snapshots of statements once a week';
COMMENT ON COLUMN pgmaint_internal.table_writes.writes IS 'number of rows written when noted_at was, since the counters began';
COMMENT ON COLUMN pgmaint_internal.table_writes.noted_at IS 'when writes was noted';
COMMENT ON COLUMN pgmaint_internal.table_writes.writes_before IS 'number of rows written at noted_before; null where the counters were reset since';
COMMENT ON COLUMN pgmaint_internal.table_writes.noted_before IS 'when writes_before was noted; null where writes_before is null';

CREATE VIEW pgmaint_internal.table_write_counters AS
SELECT
	s.relid AS relation,
	-- updates that change no index are assumed not to change a new one
	s.n_tup_ins + s.n_tup_upd - s.n_tup_hot_upd + s.n_tup_del AS writes,
	least(s.n_tup_ins, s.n_live_tup) AS loaded
FROM pg_catalog.pg_stat_user_tables s
WHERE s.schemaname NOT IN ('pgmaint', 'pgmaint_internal') AND s.schemaname !~ '^pg_temp';

COMMENT ON VIEW pgmaint_internal.table_write_counters IS 'rows written to each table since the counters began, and how many of them may be from the initial load';
COMMENT ON COLUMN pgmaint_internal.table_write_counters.writes IS 'rows inserted, deleted, and updated in a way that changes indexes, since the counters began';
COMMENT ON COLUMN pgmaint_internal.table_write_counters.loaded IS 'how many of these rows may be from the initial load: inserted rows that are still live';

CREATE FUNCTION pgmaint_internal.note_table_writes()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	DELETE FROM pgmaint_internal.table_writes w
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = w.relation);
	INSERT INTO pgmaint_internal.table_writes AS w (relation, writes, noted_at)
	SELECT c.relation, c.writes, clock_timestamp()
	FROM pgmaint_internal.table_write_counters c
	LEFT JOIN pgmaint_internal.table_writes o ON o.relation = c.relation
	WHERE o.relation IS NULL OR o.writes > c.writes OR o.noted_at < clock_timestamp() - interval '7 days'
	ON CONFLICT (relation) DO UPDATE SET
		writes_before = CASE WHEN w.writes <= excluded.writes THEN w.writes END,
		noted_before = CASE WHEN w.writes <= excluded.writes THEN w.noted_at END,
		writes = excluded.writes, noted_at = excluded.noted_at;
END;

COMMENT ON FUNCTION pgmaint_internal.note_table_writes() IS
	'notes the number of rows written to each table, where the last note is at least a week old';

-- Counted since the older of two notes; without a note, since the counters began,
-- without the rows that may be those of the initial load.
CREATE FUNCTION pgmaint_internal.writes_per_day(relation oid)
RETURNS double precision
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce(sum(86400 * CASE
			WHEN n.noted_at IS NULL THEN (c.writes - c.loaded) / greatest(3600, extract(epoch FROM clock_timestamp() - r.counted_since)::float8)
			ELSE (c.writes - n.writes) / extract(epoch FROM clock_timestamp() - n.noted_at)::float8 END), 0)
	FROM pgmaint_internal.table_write_counters c
	CROSS JOIN (
		SELECT coalesce(d.stats_reset, b.stats_reset, pg_postmaster_start_time()) AS counted_since
		FROM pg_stat_bgwriter b
		LEFT JOIN pg_stat_database d ON d.datname = current_database()
	) r
	LEFT JOIN LATERAL (
		SELECT x.writes, x.noted_at
		FROM pgmaint_internal.table_writes w
		CROSS JOIN LATERAL (VALUES (w.writes_before, w.noted_before), (w.writes, w.noted_at)) AS x (writes, noted_at)
		WHERE w.relation = c.relation AND w.writes <= c.writes AND x.noted_at < clock_timestamp() - interval '1 hour'
		ORDER BY x.noted_at
		LIMIT 1
	) n ON true
	WHERE c.relation = writes_per_day.relation OR EXISTS (
		SELECT FROM pg_class p CROSS JOIN LATERAL pg_partition_ancestors(p.oid) a
		WHERE p.oid = c.relation AND p.relispartition AND a.relid = writes_per_day.relation);
END;

COMMENT ON FUNCTION pgmaint_internal.writes_per_day(oid) IS
	'rows a day that are written to a table and its partitions and change indexes, without the initial load';

-- Advice of the action index_advice, and whether the indexes have helped.
CREATE TABLE pgmaint_internal.index_advices (
	advice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	relation oid NOT NULL,
	object text NOT NULL,
	statement text NOT NULL,
	given_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	last_given_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	gain_ms_per_day double precision NOT NULL,
	index_bytes bigint NOT NULL,
	query_ids bigint[] NOT NULL,
	mean_ms_before double precision,
	"index" oid,
	noticed_at timestamptz,
	calls_then bigint,
	total_ms_then double precision,
	mean_ms_after double precision,
	outcome text CHECK (outcome IN ('helped', 'no help', 'not used')),
	UNIQUE (relation, statement)
);

COMMENT ON TABLE pgmaint_internal.index_advices IS 'indexes that the action index_advice has advised, and whether those that were created have helped';
COMMENT ON COLUMN pgmaint_internal.index_advices.relation IS 'OID of the table';
COMMENT ON COLUMN pgmaint_internal.index_advices.object IS 'name of the table when the advice was given';
COMMENT ON COLUMN pgmaint_internal.index_advices.statement IS 'the advised CREATE INDEX command';
COMMENT ON COLUMN pgmaint_internal.index_advices.given_at IS 'when the index was first advised';
COMMENT ON COLUMN pgmaint_internal.index_advices.last_given_at IS 'when the index was last advised';
COMMENT ON COLUMN pgmaint_internal.index_advices.gain_ms_per_day IS 'milliseconds a day that the index was expected to save';
COMMENT ON COLUMN pgmaint_internal.index_advices.index_bytes IS 'size in bytes that the index was expected to have';
COMMENT ON COLUMN pgmaint_internal.index_advices.query_ids IS 'identifiers of the statements that should gain from the index';
COMMENT ON COLUMN pgmaint_internal.index_advices.mean_ms_before IS 'mean time of these statements in milliseconds when the index was last advised';
COMMENT ON COLUMN pgmaint_internal.index_advices.calls_then IS 'number of executions of these statements when the index was first seen; null: no such index was seen';
COMMENT ON COLUMN pgmaint_internal.index_advices.total_ms_then IS 'time of these executions in milliseconds; null: no such index was seen';
COMMENT ON COLUMN pgmaint_internal.index_advices.mean_ms_after IS 'mean time of later executions in milliseconds';
COMMENT ON COLUMN pgmaint_internal.index_advices."index" IS 'OID of the index that was created as advised; null: there is none';
COMMENT ON COLUMN pgmaint_internal.index_advices.noticed_at IS 'when that index was first seen; null: never';
COMMENT ON COLUMN pgmaint_internal.index_advices.outcome IS 'helped, no help (the statements take as long as before), not used (the index was never read); null: not known yet';

-- One row for each piece of advice whose outcome has changed.
CREATE FUNCTION pgmaint_internal.review_index_advice()
RETURNS TABLE (object text, message text, helped boolean)
LANGUAGE sql VOLATILE ROWS 20 COST 1000000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	DELETE FROM pgmaint_internal.index_advices v
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = v.relation);
	-- an index as advised; parentheses and blanks may differ
	UPDATE pgmaint_internal.index_advices v
	SET "index" = m.indexrelid, noticed_at = pg_catalog.clock_timestamp(), calls_then = s.calls, total_ms_then = s.total_ms
	FROM pgmaint_internal.index_advices w
	CROSS JOIN LATERAL (
		SELECT i.indexrelid
		FROM pg_catalog.pg_index i
		WHERE i.indrelid = w.relation AND i.indisvalid
			AND pg_catalog.regexp_replace(pg_catalog.pg_get_indexdef(i.indexrelid), '^.* USING btree |[() ]', '', 'g')
				= pg_catalog.regexp_replace(w.statement, '^.*CREATE INDEX (CONCURRENTLY )?ON [^(]*|[() ]', '', 'g')
		ORDER BY i.indexrelid DESC LIMIT 1
	) m
	CROSS JOIN LATERAL (
		SELECT coalesce(pg_catalog.sum(x.calls), 0)::bigint AS calls, coalesce(pg_catalog.sum(x.total_ms), 0) AS total_ms
		FROM pgmaint_internal.statement_statistics() x WHERE x.queryid = ANY (w.query_ids)
	) s
	WHERE v.advice_id = w.advice_id AND v."index" IS NULL;
	UPDATE pgmaint_internal.index_advices v SET "index" = NULL, noticed_at = NULL, outcome = NULL, mean_ms_after = NULL
	WHERE v."index" IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = v."index");
	WITH now AS (
		SELECT w.advice_id, w.outcome AS before, coalesce(u.idx_scan, 0) AS scans, c.relname,
			-- counters that are lower than before were reset
			CASE WHEN s.calls < w.calls_then THEN s.calls ELSE s.calls - w.calls_then END AS calls,
			CASE WHEN s.calls < w.calls_then THEN s.total_ms ELSE s.total_ms - w.total_ms_then END AS total_ms
		FROM pgmaint_internal.index_advices w
		JOIN pg_catalog.pg_class c ON c.oid = w."index"
		LEFT JOIN pg_catalog.pg_stat_all_indexes u ON u.indexrelid = w."index"
		CROSS JOIN LATERAL (
			SELECT coalesce(pg_catalog.sum(x.calls), 0)::bigint AS calls, coalesce(pg_catalog.sum(x.total_ms), 0) AS total_ms
			FROM pgmaint_internal.statement_statistics() x WHERE x.queryid = ANY (w.query_ids)
		) s
	),
	judged AS (
		UPDATE pgmaint_internal.index_advices v
		SET mean_ms_after = n.total_ms / n.calls,
			outcome = CASE WHEN n.scans = 0 THEN 'not used'
				WHEN n.total_ms / n.calls <= 0.8 * v.mean_ms_before THEN 'helped' ELSE 'no help' END
		FROM now n
		WHERE n.advice_id = v.advice_id AND n.calls >= 5
		RETURNING v.*, n.before, n.scans, n.relname, n.calls
	)
	SELECT j.object, CASE j.outcome
		WHEN 'helped' THEN pg_catalog.format('index %I was created as advised and has helped: %s calls since took %s ms on average, %s ms before; the index was read %s times',
			j.relname, j.calls, pg_catalog.round(j.mean_ms_after::numeric, 2), pg_catalog.round(j.mean_ms_before::numeric, 2), j.scans)
		WHEN 'not used' THEN pg_catalog.format('index %I was created as advised, but %s calls have not read the index: consider dropping the index', j.relname, j.calls)
		ELSE pg_catalog.format('index %I was created as advised, but has not helped: %s calls since took %s ms on average, %s ms before',
			j.relname, j.calls, pg_catalog.round(j.mean_ms_after::numeric, 2), pg_catalog.round(j.mean_ms_before::numeric, 2)) END,
		j.outcome = 'helped'
	FROM judged j
	WHERE j.outcome IS DISTINCT FROM j.before
	ORDER BY j.advice_id;
END;

COMMENT ON FUNCTION pgmaint_internal.review_index_advice() IS
	'reports indexes that were created as index_advice had advised, and whether their statements became faster; one row for each change';

REVOKE ALL ON pgmaint_internal.index_advices, pgmaint_internal.table_writes, pgmaint_internal.table_write_counters FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.index_advices, pgmaint_internal.table_writes, pgmaint_internal.table_write_counters TO pg_monitor;
CREATE FUNCTION pgmaint_internal.last_index_advice()
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT max(t.started_at)
	FROM pgmaint.tasks t
	WHERE t.action = 'index_advice' AND t.state = 'succeeded' AND t.result ? 'reviewed';
END;

COMMENT ON FUNCTION pgmaint_internal.last_index_advice() IS
	'when the action index_advice last began a review of statements; null if the ledger has no such run';

REVOKE ALL ON FUNCTION pgmaint_internal.review_index_advice(), pgmaint_internal.note_table_writes(), pgmaint_internal.writes_per_day(oid),
	pgmaint_internal.last_index_advice() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.writes_per_day(oid), pgmaint_internal.last_index_advice() TO pg_monitor;
REVOKE ALL ON FUNCTION pgmaint.index_advice(bigint, double precision, double precision, bigint, bigint) FROM PUBLIC;
