-- Snapshots of pg_stat_statements, whose counters never end: the difference of two
-- gives the figures of a period.

CREATE TABLE pgmaint_internal.statement_snapshots (
	snapshot_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	taken_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	run_id bigint REFERENCES pgmaint.runs ON DELETE SET NULL,
	counted_since timestamptz NOT NULL,
	evicted bigint,
	statements bigint NOT NULL,
	total_ms double precision NOT NULL
);

CREATE INDEX statement_snapshots_time ON pgmaint_internal.statement_snapshots (taken_at);
CREATE INDEX statement_snapshots_run ON pgmaint_internal.statement_snapshots (run_id);

COMMENT ON TABLE pgmaint_internal.statement_snapshots IS 'snapshots of pg_stat_statements, taken by tick() every six hours, and by runs';
COMMENT ON COLUMN pgmaint_internal.statement_snapshots.run_id IS 'the run in pgmaint.runs that took the snapshot; null: tick() took it, or the run was removed';
COMMENT ON COLUMN pgmaint_internal.statement_snapshots.counted_since IS 'when pg_stat_statements was last reset before the snapshot, by pgmaint_internal.statements_since()';
COMMENT ON COLUMN pgmaint_internal.statement_snapshots.evicted IS 'how often pg_stat_statements had evicted statements for lack of room; null: this version does not count that';
COMMENT ON COLUMN pgmaint_internal.statement_snapshots.statements IS 'number of statements in pg_stat_statements; the snapshot has those that took most time';
COMMENT ON COLUMN pgmaint_internal.statement_snapshots.total_ms IS 'time of all statements in milliseconds';

CREATE TABLE pgmaint_internal.statement_figures (
	snapshot_id bigint NOT NULL REFERENCES pgmaint_internal.statement_snapshots ON DELETE CASCADE,
	userid oid NOT NULL,
	queryid bigint NOT NULL,
	toplevel boolean NOT NULL DEFAULT true,
	calls bigint NOT NULL,
	rows bigint NOT NULL DEFAULT 0,
	total_ms double precision NOT NULL,
	max_ms double precision NOT NULL DEFAULT 0,
	shared_hit bigint NOT NULL DEFAULT 0,
	shared_read bigint NOT NULL DEFAULT 0,
	temp_blocks bigint NOT NULL DEFAULT 0,
	wal_bytes numeric,
	stats_since timestamptz,
	PRIMARY KEY (snapshot_id, queryid, userid, toplevel)
);

COMMENT ON TABLE pgmaint_internal.statement_figures IS 'counters of each statement in a snapshot';
COMMENT ON COLUMN pgmaint_internal.statement_figures.userid IS 'OID of the role that executed the statement';
COMMENT ON COLUMN pgmaint_internal.statement_figures.queryid IS 'identifier of the statement in pg_stat_statements';
COMMENT ON COLUMN pgmaint_internal.statement_figures.toplevel IS 'true: executed by a client; false: within a function';
COMMENT ON COLUMN pgmaint_internal.statement_figures.total_ms IS 'execution time in milliseconds';
COMMENT ON COLUMN pgmaint_internal.statement_figures.max_ms IS 'longest execution in milliseconds';
COMMENT ON COLUMN pgmaint_internal.statement_figures.shared_hit IS 'blocks found in shared buffers';
COMMENT ON COLUMN pgmaint_internal.statement_figures.shared_read IS 'blocks read from outside shared buffers';
COMMENT ON COLUMN pgmaint_internal.statement_figures.temp_blocks IS 'blocks of temporary files read and written';
COMMENT ON COLUMN pgmaint_internal.statement_figures.wal_bytes IS 'bytes of WAL; null: this version does not count them';
COMMENT ON COLUMN pgmaint_internal.statement_figures.stats_since IS 'since when the statement is counted; null: this version does not tell';

CREATE TABLE pgmaint_internal.statement_texts (
	queryid bigint PRIMARY KEY,
	query text NOT NULL
);

COMMENT ON TABLE pgmaint_internal.statement_texts IS 'texts of the statements in pgmaint_internal.statement_figures, as pg_stat_statements shows them, up to 10000 characters';

CREATE FUNCTION pgmaint_internal.take_statement_snapshot(run_id bigint DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	taken bigint;
BEGIN
	IF pgmaint_internal.statements_missing() IS NOT NULL THEN
		RETURN NULL;
	END IF;
	PERFORM pgmaint_internal.note_table_writes();
	INSERT INTO pgmaint_internal.statement_snapshots (run_id, counted_since, evicted, statements, total_ms)
	SELECT take_statement_snapshot.run_id, i.counted_since, i.evicted, 0, 0
	FROM pgmaint_internal.statements_since() i
	RETURNING snapshot_id INTO taken;
	WITH counted AS MATERIALIZED (
		SELECT s.*
		FROM pgmaint_internal.statement_statistics() s
		WHERE s.queryid IS NOT NULL AND s.userid IS NOT NULL
	),
	kept AS MATERIALIZED (
		SELECT c.* FROM counted c ORDER BY c.total_ms DESC, c.queryid LIMIT 500
	),
	figures AS (
		INSERT INTO pgmaint_internal.statement_figures (snapshot_id, userid, queryid, toplevel, calls, rows, total_ms, max_ms,
			shared_hit, shared_read, temp_blocks, wal_bytes, stats_since)
		SELECT taken, k.userid, k.queryid, coalesce(k.toplevel, true), k.calls, k.rows, k.total_ms, k.max_ms,
			k.shared_hit, k.shared_read, k.temp_read + k.temp_written, k.wal_bytes, k.stats_since
		FROM kept k
	),
	texts AS (
		INSERT INTO pgmaint_internal.statement_texts (queryid, query)
		SELECT DISTINCT ON (k.queryid) k.queryid, left(k.query, 10000)
		FROM kept k
		WHERE k.query IS NOT NULL
		ON CONFLICT DO NOTHING
	)
	UPDATE pgmaint_internal.statement_snapshots s
	SET statements = c.statements, total_ms = c.total_ms
	FROM (SELECT count(*) AS statements, coalesce(sum(o.total_ms), 0) AS total_ms FROM counted o) c
	WHERE s.snapshot_id = taken;
	-- snapshots between runs are needed for a shorter time
	DELETE FROM pgmaint_internal.statement_snapshots s
	WHERE s.taken_at < clock_timestamp() - CASE WHEN s.run_id IS NULL THEN interval '35 days' ELSE interval '400 days' END
		OR s.snapshot_id IN (SELECT o.snapshot_id FROM pgmaint_internal.statement_snapshots o ORDER BY o.taken_at DESC OFFSET 500);
	IF found THEN
		DELETE FROM pgmaint_internal.statement_texts t
		WHERE NOT EXISTS (SELECT FROM pgmaint_internal.statement_figures f WHERE f.queryid = t.queryid);
	END IF;
	DELETE FROM pgmaint.query_plans p WHERE p.last_seen_at < clock_timestamp() - interval '400 days';
	RETURN taken;
END
$$;

COMMENT ON FUNCTION pgmaint_internal.take_statement_snapshot(bigint) IS
	'stores the counters of the 500 statements that took most time, and removes old snapshots; null where pg_stat_statements cannot be read';

-- The counters of a statement continue from one snapshot to the next, unless
-- pg_stat_statements has evicted the statement or was reset in between; then they
-- began at zero, as did those of a statement that the first snapshot lacks.
CREATE FUNCTION pgmaint_internal.statement_changes(start_snapshot bigint, end_snapshot bigint)
RETURNS TABLE (
	userid oid,
	toplevel boolean,
	queryid bigint,
	query text,
	calls bigint,
	rows bigint,
	total_ms double precision,
	max_ms double precision,
	shared_hit bigint,
	shared_read bigint,
	temp_blocks bigint,
	wal_bytes numeric
)
LANGUAGE sql VOLATILE ROWS 500 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH latest AS (
		SELECT f.userid, f.toplevel, f.queryid, t.query, f.calls, f.rows, f.total_ms, f.max_ms, f.shared_hit, f.shared_read,
			f.temp_blocks, f.wal_bytes, f.stats_since, h.counted_since, h.evicted
		FROM pgmaint_internal.statement_snapshots h
		JOIN pgmaint_internal.statement_figures f ON f.snapshot_id = h.snapshot_id
		LEFT JOIN pgmaint_internal.statement_texts t ON t.queryid = f.queryid
		WHERE h.snapshot_id = statement_changes.end_snapshot
		UNION ALL
		SELECT s.userid, coalesce(s.toplevel, true), s.queryid, s.query, s.calls, s.rows, s.total_ms, s.max_ms, s.shared_hit, s.shared_read,
			s.temp_read + s.temp_written, s.wal_bytes, s.stats_since, i.counted_since, i.evicted
		FROM pgmaint_internal.statement_statistics() s
		CROSS JOIN pgmaint_internal.statements_since() i
		WHERE statement_changes.end_snapshot IS NULL AND s.queryid IS NOT NULL
	),
	earlier AS (
		SELECT f.*, h.counted_since
		FROM pgmaint_internal.statement_snapshots h
		JOIN pgmaint_internal.statement_figures f ON f.snapshot_id = h.snapshot_id
		WHERE h.snapshot_id = statement_changes.start_snapshot
	)
	SELECT
		l.userid,
		l.toplevel,
		l.queryid,
		l.query,
		l.calls - coalesce(e.calls, 0),
		greatest(l.rows - coalesce(e.rows, 0), 0),
		l.total_ms - coalesce(e.total_ms, 0),
		l.max_ms,
		greatest(l.shared_hit - coalesce(e.shared_hit, 0), 0),
		greatest(l.shared_read - coalesce(e.shared_read, 0), 0),
		greatest(l.temp_blocks - coalesce(e.temp_blocks, 0), 0),
		greatest(l.wal_bytes - coalesce(e.wal_bytes, 0), 0)
	FROM latest l
	LEFT JOIN earlier e ON e.queryid = l.queryid AND e.userid = l.userid AND e.toplevel = l.toplevel
		AND e.calls <= l.calls AND e.total_ms <= l.total_ms
		-- where the version does not tell resets, lower counters do
		AND CASE WHEN e.stats_since IS NOT NULL AND l.stats_since IS NOT NULL THEN e.stats_since = l.stats_since
			ELSE l.evicted IS NULL OR e.counted_since = l.counted_since END
	WHERE l.calls > coalesce(e.calls, 0);
END;

COMMENT ON FUNCTION pgmaint_internal.statement_changes(bigint, bigint) IS
	'figures of statements between two snapshots: from the beginning where the first is null, until now where the second is null; max_ms is the maximum since the statement is counted';

REVOKE ALL ON pgmaint_internal.statement_snapshots, pgmaint_internal.statement_figures, pgmaint_internal.statement_texts FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint_internal.take_statement_snapshot(bigint),
	pgmaint_internal.statement_changes(bigint, bigint)
FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.statement_snapshots, pgmaint_internal.statement_figures, pgmaint_internal.statement_texts TO pg_monitor;
GRANT EXECUTE ON FUNCTION pgmaint_internal.statement_changes(bigint, bigint) TO pg_monitor;
