-- Which indexes the statements that pg_stat_statements counted would gain from.

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
	'indexes that the counted statements would gain from, the best first; none is created, and no statement is executed';

-- How many rows were written to each table.  The counters alone tell no rate: a
-- table is loaded once.
CREATE TABLE pgmaint_internal.table_writes (
	relation oid PRIMARY KEY,
	writes bigint NOT NULL,
	noted_at timestamptz NOT NULL,
	writes_before bigint,
	noted_before timestamptz
);

COMMENT ON TABLE pgmaint_internal.table_writes IS 'rows that had been written to each table, as an index would notice it, noted with snapshots of statements once a week';
COMMENT ON COLUMN pgmaint_internal.table_writes.writes IS 'rows written by then, since the counters began';
COMMENT ON COLUMN pgmaint_internal.table_writes.noted_at IS 'when that was noted';
COMMENT ON COLUMN pgmaint_internal.table_writes.writes_before IS 'what the note before said; null where the counters have begun anew since';
COMMENT ON COLUMN pgmaint_internal.table_writes.noted_before IS 'when that was noted; null where writes_before is';

CREATE VIEW pgmaint_internal.table_write_counters AS
SELECT
	s.relid AS relation,
	-- updates that touch no index leave a further one alone, too, as far as can be told
	s.n_tup_ins + s.n_tup_upd - s.n_tup_hot_upd + s.n_tup_del AS writes,
	least(s.n_tup_ins, s.n_live_tup) AS loaded
FROM pg_catalog.pg_stat_user_tables s
WHERE s.schemaname NOT IN ('pgmaint', 'pgmaint_internal') AND s.schemaname !~ '^pg_temp';

COMMENT ON VIEW pgmaint_internal.table_write_counters IS 'rows written to each table since the counters began, and how many of these may be what it was loaded with';
COMMENT ON COLUMN pgmaint_internal.table_write_counters.writes IS 'rows inserted, deleted, and updated in a way that changes indexes, since the counters began';
COMMENT ON COLUMN pgmaint_internal.table_write_counters.loaded IS 'how many of these may be what the table was loaded with: inserted rows that are still live';

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

COMMENT ON FUNCTION pgmaint_internal.note_table_writes() IS 'notes how many rows were written to each table so far, where the last note is a week old';

-- Since the older of two notes; where there is none yet, since the counters began,
-- but for the rows that may have come with the load.
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
	'rows that are written to a table and its partitions a day, as an index would notice it, apart from what it was loaded with';

-- What the action index_advice has advised, and what became of it.
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

COMMENT ON TABLE pgmaint_internal.index_advices IS 'which indexes the action index_advice has advised, and whether they helped once somebody had made them';
COMMENT ON COLUMN pgmaint_internal.index_advices.relation IS 'OID of the table';
COMMENT ON COLUMN pgmaint_internal.index_advices.object IS 'name of the table when the advice was given';
COMMENT ON COLUMN pgmaint_internal.index_advices.statement IS 'the CREATE INDEX that was advised';
COMMENT ON COLUMN pgmaint_internal.index_advices.given_at IS 'when it was advised first';
COMMENT ON COLUMN pgmaint_internal.index_advices.last_given_at IS 'when it was advised last';
COMMENT ON COLUMN pgmaint_internal.index_advices.gain_ms_per_day IS 'milliseconds a day that the index was expected to save';
COMMENT ON COLUMN pgmaint_internal.index_advices.index_bytes IS 'size in bytes that the index was expected to have';
COMMENT ON COLUMN pgmaint_internal.index_advices.query_ids IS 'statements that were to gain from it';
COMMENT ON COLUMN pgmaint_internal.index_advices.mean_ms_before IS 'the mean time of these when the advice was given last';
COMMENT ON COLUMN pgmaint_internal.index_advices.calls_then IS 'how often the statements had been executed when the index was noticed; null: it was not';
COMMENT ON COLUMN pgmaint_internal.index_advices.total_ms_then IS 'what that had taken, in milliseconds; null: it was not';
COMMENT ON COLUMN pgmaint_internal.index_advices.mean_ms_after IS 'the mean time of their calls since then';
COMMENT ON COLUMN pgmaint_internal.index_advices."index" IS 'the index, once there is one that begins as advised';
COMMENT ON COLUMN pgmaint_internal.index_advices.noticed_at IS 'when that was first seen; calls_then and total_ms_then are what the statements had come to';
COMMENT ON COLUMN pgmaint_internal.index_advices.outcome IS 'helped, no help (the statements take as long as before), not used (the index was never read); null: not known yet';

-- What became of earlier advice: a row for each of which something is new.
CREATE FUNCTION pgmaint_internal.review_index_advice()
RETURNS TABLE (object text, message text, helped boolean)
LANGUAGE sql VOLATILE ROWS 20 COST 1000000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	DELETE FROM pgmaint_internal.index_advices v
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = v.relation);
	-- an index that begins as advised; parentheses and blanks are a matter of taste
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
			-- counters that are lower than they were began anew
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
		WHEN 'helped' THEN pg_catalog.format('index %I was made as advised, and helped: %s calls since took %s ms on average, %s ms before; it was read %s times',
			j.relname, j.calls, pg_catalog.round(j.mean_ms_after::numeric, 2), pg_catalog.round(j.mean_ms_before::numeric, 2), j.scans)
		WHEN 'not used' THEN pg_catalog.format('index %I was made as advised, but was never read in %s calls: consider dropping it', j.relname, j.calls)
		ELSE pg_catalog.format('index %I was made as advised, but did not help: %s calls since took %s ms on average, %s ms before',
			j.relname, j.calls, pg_catalog.round(j.mean_ms_after::numeric, 2), pg_catalog.round(j.mean_ms_before::numeric, 2)) END,
		j.outcome = 'helped'
	FROM judged j
	WHERE j.outcome IS DISTINCT FROM j.before
	ORDER BY j.advice_id;
END;

COMMENT ON FUNCTION pgmaint_internal.review_index_advice() IS
	'looks which indexes were made as index_advice had advised, and whether their statements became faster';

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

COMMENT ON FUNCTION pgmaint_internal.last_index_advice() IS 'when the action index_advice last began a review of statements; null if the ledger has none';

REVOKE ALL ON FUNCTION pgmaint_internal.review_index_advice(), pgmaint_internal.note_table_writes(), pgmaint_internal.writes_per_day(oid),
	pgmaint_internal.last_index_advice() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.writes_per_day(oid), pgmaint_internal.last_index_advice() TO pg_monitor;
REVOKE ALL ON FUNCTION pgmaint.index_advice(bigint, double precision, double precision, bigint, bigint) FROM PUBLIC;
