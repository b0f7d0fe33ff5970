-- The rows of pg_stat_statements for this database, in one set of columns for all
-- of its versions, whatever schema it is in.

-- They are not read by SQL, since other roles may create objects in the schema of
-- its views and functions, but in C by the OID of its function.
CREATE FUNCTION pgmaint_internal.statements_refused()
RETURNS text
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_statements_refused';

COMMENT ON FUNCTION pgmaint_internal.statements_refused() IS
	'why pgmaint does not call the function pg_stat_statements of this database; null where it does';

CREATE FUNCTION pgmaint_internal.statements_missing()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE
		-- a setting that no module has defined exists once it is set, as text only
		WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_settings s
				WHERE s.name = 'pg_stat_statements.max' AND s.vartype = 'integer')
			THEN 'pg_stat_statements is not loaded: add it to shared_preload_libraries, restart the server, '
				'and execute CREATE EXTENSION pg_stat_statements'
		WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = 'pg_stat_statements')
			THEN 'pg_stat_statements is loaded, but this database does not have it: '
				'execute CREATE EXTENSION pg_stat_statements'
		WHEN pgmaint_internal.statements_refused() IS NOT NULL
			THEN 'pg_stat_statements is not used: ' || pgmaint_internal.statements_refused()
		WHEN pg_catalog.current_setting('pg_stat_statements.track', true) = 'none'
			THEN 'pg_stat_statements counts nothing: set pg_stat_statements.track to top or all'
	END;
END;

COMMENT ON FUNCTION pgmaint_internal.statements_missing() IS
	'why there are no statistics of statements, and how to enable them; null where there are';

CREATE FUNCTION pgmaint_internal.statement_statistics()
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
LANGUAGE c VOLATILE ROWS 500 COST 10000
AS 'MODULE_PATHNAME', 'pgmaint_statement_statistics';

COMMENT ON FUNCTION pgmaint_internal.statement_statistics() IS
	'the rows of pg_stat_statements for this database, in the same columns for all of its versions: columns that the version lacks are null; no rows where statements_missing() gives a reason';

-- When counting began.  Versions before 1.9 do not tell; then it is the start of
-- the server, unless pg_stat_statements was reset or has kept its file.
CREATE FUNCTION pgmaint_internal.statements_since(OUT counted_since timestamptz, OUT evicted bigint)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_statements_since';

COMMENT ON FUNCTION pgmaint_internal.statements_since() IS
	'since when pg_stat_statements counts, and how often it has evicted statements for lack of room since then; nulls where it does not count';

CREATE FUNCTION pgmaint_internal.is_own_statement(query text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN coalesce(query ~ E'\\mpgmaint(_internal)?\\.', false);

COMMENT ON FUNCTION pgmaint_internal.is_own_statement(text) IS
	'whether a statement uses pgmaint; false where its text is null';

REVOKE ALL ON FUNCTION pgmaint_internal.statements_refused(), pgmaint_internal.statements_missing(), pgmaint_internal.statement_statistics(),
	pgmaint_internal.statements_since(), pgmaint_internal.is_own_statement(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.statements_refused(), pgmaint_internal.statements_missing(), pgmaint_internal.statement_statistics(),
	pgmaint_internal.statements_since(), pgmaint_internal.is_own_statement(text) TO pg_monitor;
