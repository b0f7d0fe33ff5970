-- What pg_stat_statements knows of this database, in one set of columns for all
-- of its versions, whatever schema it is in.

-- A view of the extension, in whatever schema it is; null where it has none of
-- that name.
CREATE FUNCTION pgmaint.statements_view(name text)
RETURNS regclass
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT c.oid::pg_catalog.regclass
	FROM pg_catalog.pg_extension e
	JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
		AND d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
	JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'v'
	WHERE e.extname = 'pg_stat_statements' AND c.relname = statements_view.name;
END;

COMMENT ON FUNCTION pgmaint.statements_view(text) IS 'a view of the extension pg_stat_statements, wherever it is';

CREATE FUNCTION pgmaint.statements_missing()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE
		-- a name that nobody has defined can be set, too, but to text only
		WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_settings s
				WHERE s.name = 'pg_stat_statements.max' AND s.vartype = 'integer')
			THEN 'pg_stat_statements is not loaded: add it to shared_preload_libraries, restart the server, '
				'and execute CREATE EXTENSION pg_stat_statements'
		WHEN pgmaint.statements_view('pg_stat_statements') IS NULL
			THEN 'pg_stat_statements is loaded, but this database does not have it: '
				'execute CREATE EXTENSION pg_stat_statements'
		WHEN pg_catalog.current_setting('pg_stat_statements.track', true) = 'none'
			THEN 'pg_stat_statements counts nothing: set pg_stat_statements.track to top or all'
	END;
END;

COMMENT ON FUNCTION pgmaint.statements_missing() IS
	'why there are no statement statistics, and what to do about it; null where there are';

CREATE FUNCTION pgmaint.statement_statistics()
RETURNS TABLE (
	userid oid,
	dbid oid,
	toplevel boolean,
	queryid bigint,
	query text,
	calls bigint,
	rows bigint,
	total_ms double precision,
	mean_ms double precision,
	min_ms double precision,
	max_ms double precision,
	stddev_ms double precision,
	plans bigint,
	plan_ms double precision,
	shared_hit bigint,
	shared_read bigint,
	shared_dirtied bigint,
	shared_written bigint,
	local_hit bigint,
	local_read bigint,
	local_dirtied bigint,
	local_written bigint,
	temp_read bigint,
	temp_written bigint,
	read_ms double precision,
	write_ms double precision,
	temp_read_ms double precision,
	temp_write_ms double precision,
	wal_records bigint,
	wal_fpi bigint,
	wal_bytes numeric,
	jit_ms double precision,
	stats_since timestamptz,
	minmax_since timestamptz
)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	source pg_catalog.regclass := pgmaint.statements_view('pg_stat_statements');
	present text[];
	chosen text;
BEGIN
	IF pgmaint.statements_missing() IS NOT NULL THEN
		RETURN;
	END IF;
	SELECT pg_catalog.array_agg(a.attname::text) INTO present
	FROM pg_catalog.pg_attribute a
	WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped;
	-- each column under the first of its names that this version has; what
	-- several of them add up to stands with a plus
	SELECT pg_catalog.string_agg(coalesce((
			SELECT pg_catalog.string_agg(pg_catalog.format('s.%I', p.part), ' + ')
			FROM pg_catalog.unnest(w.names) WITH ORDINALITY AS n (name, nth)
			CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.string_to_array(n.name, '+')) AS p (part)
			WHERE pg_catalog.string_to_array(n.name, '+') <@ present
			GROUP BY n.nth ORDER BY n.nth LIMIT 1), 'NULL')
		|| '::' || w.type_name, ', ' ORDER BY w.nth)
	INTO chosen
	FROM (VALUES
		(1, 'oid', ARRAY['userid']),
		(2, 'oid', ARRAY['dbid']),
		(3, 'boolean', ARRAY['toplevel']),
		(4, 'bigint', ARRAY['queryid']),
		(5, 'text', ARRAY['query']),
		(6, 'bigint', ARRAY['calls']),
		(7, 'bigint', ARRAY['rows']),
		(8, 'double precision', ARRAY['total_exec_time', 'total_time']),
		(9, 'double precision', ARRAY['mean_exec_time', 'mean_time']),
		(10, 'double precision', ARRAY['min_exec_time', 'min_time']),
		(11, 'double precision', ARRAY['max_exec_time', 'max_time']),
		(12, 'double precision', ARRAY['stddev_exec_time', 'stddev_time']),
		(13, 'bigint', ARRAY['plans']),
		(14, 'double precision', ARRAY['total_plan_time']),
		(15, 'bigint', ARRAY['shared_blks_hit']),
		(16, 'bigint', ARRAY['shared_blks_read']),
		(17, 'bigint', ARRAY['shared_blks_dirtied']),
		(18, 'bigint', ARRAY['shared_blks_written']),
		(19, 'bigint', ARRAY['local_blks_hit']),
		(20, 'bigint', ARRAY['local_blks_read']),
		(21, 'bigint', ARRAY['local_blks_dirtied']),
		(22, 'bigint', ARRAY['local_blks_written']),
		(23, 'bigint', ARRAY['temp_blks_read']),
		(24, 'bigint', ARRAY['temp_blks_written']),
		(25, 'double precision', ARRAY['shared_blk_read_time+local_blk_read_time', 'blk_read_time']),
		(26, 'double precision', ARRAY['shared_blk_write_time+local_blk_write_time', 'blk_write_time']),
		(27, 'double precision', ARRAY['temp_blk_read_time']),
		(28, 'double precision', ARRAY['temp_blk_write_time']),
		(29, 'bigint', ARRAY['wal_records']),
		(30, 'bigint', ARRAY['wal_fpi']),
		(31, 'numeric', ARRAY['wal_bytes']),
		(32, 'double precision', ARRAY[
			'jit_generation_time+jit_inlining_time+jit_optimization_time+jit_emission_time']),
		(33, 'timestamptz', ARRAY['stats_since']),
		(34, 'timestamptz', ARRAY['minmax_stats_since'])
	) AS w (nth, type_name, names);
	RETURN QUERY EXECUTE pg_catalog.format(
		'SELECT %s FROM %s s WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())',
		chosen, source);
END
$$;

COMMENT ON FUNCTION pgmaint.statement_statistics() IS
	'what pg_stat_statements counted in this database, in the same columns for all of its versions; null is what this version does not count, and there are no rows where statements_missing() says why';

-- Since when it counts.  Before 1.9 it does not say; it has done so since the
-- server started, unless it was told to forget or keeps its file.
CREATE FUNCTION pgmaint.statements_since(OUT counted_since timestamptz, OUT evicted bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	source pg_catalog.regclass := pgmaint.statements_view('pg_stat_statements_info');
BEGIN
	IF pgmaint.statements_missing() IS NOT NULL THEN
		RETURN;
	END IF;
	IF source IS NOT NULL THEN
		EXECUTE pg_catalog.format('SELECT i.stats_reset, i.dealloc FROM %s i', source)
			INTO counted_since, evicted;
	END IF;
	counted_since := coalesce(counted_since, pg_catalog.pg_postmaster_start_time());
END
$$;

COMMENT ON FUNCTION pgmaint.statements_since() IS
	'since when pg_stat_statements counts, and how often it had to forget statements for want of room since then; nulls where it does not count';

CREATE FUNCTION pgmaint.is_own_statement(query text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN coalesce(query ~ '\mpgmaint\.', false);

COMMENT ON FUNCTION pgmaint.is_own_statement(text) IS 'whether a statement asks something of pgmaint; false where its text is not known';

REVOKE ALL ON FUNCTION pgmaint.statements_view(text), pgmaint.statements_missing(), pgmaint.statement_statistics(),
	pgmaint.statements_since(), pgmaint.is_own_statement(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.statements_view(text), pgmaint.statements_missing(), pgmaint.statement_statistics(),
	pgmaint.statements_since(), pgmaint.is_own_statement(text) TO pg_monitor;
