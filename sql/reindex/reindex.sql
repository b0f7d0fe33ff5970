-- Indexes that need a rebuild, and the reason.

-- Unfinished rebuilds by REINDEX CONCURRENTLY, and the last rebuild of each
-- index.  A row is written in the transaction that makes the new index: it
-- tells leftovers of pgmaint's interrupted rebuilds from those of other sessions.
CREATE TABLE pgmaint_internal.index_rebuilds (
	built oid PRIMARY KEY,
	replaced oid NOT NULL,
	relation oid NOT NULL,
	object text NOT NULL,
	task_id bigint NOT NULL,
	began_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	finished_at timestamptz,
	bytes_before bigint,
	bytes_after bigint,
	filenode oid,
	writes bigint,
	collations jsonb
);

CREATE INDEX index_rebuilds_replaced ON pgmaint_internal.index_rebuilds (replaced);

COMMENT ON TABLE pgmaint_internal.index_rebuilds IS 'the last rebuild of each index, and unfinished rebuilds';
COMMENT ON COLUMN pgmaint_internal.index_rebuilds.task_id IS 'the task in pgmaint.tasks that built it';
COMMENT ON COLUMN pgmaint_internal.index_rebuilds.began_at IS 'when the rebuild was noted, before or while the new index was made';
COMMENT ON COLUMN pgmaint_internal.index_rebuilds.bytes_before IS 'size of the index in bytes before the rebuild; null: not known';
COMMENT ON COLUMN pgmaint_internal.index_rebuilds.bytes_after IS 'size of the new index in bytes; null: not finished';
COMMENT ON COLUMN pgmaint_internal.index_rebuilds.built IS 'OID of the new index; the same as replaced where the index was rebuilt in place';
COMMENT ON COLUMN pgmaint_internal.index_rebuilds.replaced IS 'OID of the index before the rebuild';
COMMENT ON COLUMN pgmaint_internal.index_rebuilds.relation IS 'OID of the table';
COMMENT ON COLUMN pgmaint_internal.index_rebuilds.object IS 'qualified name of the index at the time of the rebuild';
COMMENT ON COLUMN pgmaint_internal.index_rebuilds.finished_at IS 'when the rebuild ended; null while it runs, and after an interruption';
COMMENT ON COLUMN pgmaint_internal.index_rebuilds.filenode IS 'relfilenode of the new index; another one now means that the index was rebuilt since';
COMMENT ON COLUMN pgmaint_internal.index_rebuilds.writes IS 'the server''s count of rows inserted, updated and deleted in the table at the time of the rebuild';
COMMENT ON COLUMN pgmaint_internal.index_rebuilds.collations IS 'versions of the collations at the time of the rebuild, by OID, where the catalogs record other versions';

CREATE FUNCTION pgmaint_internal.may_reindex(index oid, role oid)
RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_may_reindex';

COMMENT ON FUNCTION pgmaint_internal.may_reindex(oid, oid) IS
	'whether the role may REINDEX the index: owner of the table and superuser, from PostgreSQL 17 on also roles with MAINTAIN; all but superusers need USAGE on the schema';

CREATE FUNCTION pgmaint_internal.database_collation_version()
RETURNS text
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_database_collation_version';

COMMENT ON FUNCTION pgmaint_internal.database_collation_version() IS
	'current version of the default collation in the operating system; null before PostgreSQL 15';

CREATE FUNCTION pgmaint_internal.sample_indexes(
	indexes oid[],
	max_margin double precision,
	OUT index oid,
	OUT total_bytes bigint,
	OUT bloat_bytes bigint,
	OUT bloat_ratio double precision,
	OUT margin double precision,
	OUT leaf_density double precision,
	OUT sampled_blocks bigint,
	OUT total_blocks bigint
) RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 100 COST 1000000
AS 'MODULE_PATHNAME', 'pgmaint_sample_indexes';

COMMENT ON FUNCTION pgmaint_internal.sample_indexes(oid[], double precision) IS
	'like pgmaint.index_bloat(), for these indexes; indexes that are locked or damaged are skipped with a message';

-- Collations of indexes whose version has changed: the order of the entries may
-- be wrong.
CREATE FUNCTION pgmaint_internal.changed_collations()
RETURNS TABLE (collation oid, name text, recorded text, actual text, refresh text)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 COST 1000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT v.oid, v.name, v.recorded, v.actual, v.refresh
	FROM (
		SELECT c.oid, format('collation %I.%I', n.nspname, c.collname) AS name, c.collversion AS recorded,
			pg_collation_actual_version(c.oid) AS actual,
			format('ALTER COLLATION %I.%I REFRESH VERSION', n.nspname, c.collname) AS refresh
		FROM pg_collation c
		JOIN pg_namespace n ON n.oid = c.collnamespace
		WHERE c.collversion IS NOT NULL
			AND c.oid IN (SELECT unnest(i.indcollation) FROM pg_index i)
		UNION ALL
		-- recorded from 15 on
		SELECT 'pg_catalog."default"'::regcollation::oid, 'the database''s default collation',
			to_jsonb(d) ->> 'datcollversion', pgmaint_internal.database_collation_version(),
			format('ALTER DATABASE %I REFRESH COLLATION VERSION', d.datname)
		FROM pg_database d
		WHERE d.datname = current_database()
	) v
	WHERE v.recorded <> v.actual;
END;

COMMENT ON FUNCTION pgmaint_internal.changed_collations() IS
	'collations of indexes whose version differs from the recorded one; refresh is the command that records the new version once every index has been rebuilt';

-- An index that is being built is invalid too.  The session that builds it holds
-- a lock on its table until it ends, and pg_locks shows it to every role.
CREATE VIEW pgmaint_internal.index_build_locks AS
SELECT DISTINCT l.relation, l.pid
FROM pg_catalog.pg_locks l
WHERE l.locktype = 'relation' AND l.granted
	AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
	AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum v WHERE v.pid = l.pid)
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_analyze v WHERE v.pid = l.pid);

COMMENT ON VIEW pgmaint_internal.index_build_locks IS 'tables on which a session holds a lock that a build of an index may need, by pg_locks';
COMMENT ON COLUMN pgmaint_internal.index_build_locks.relation IS 'OID of the table';
COMMENT ON COLUMN pgmaint_internal.index_build_locks.pid IS 'process ID of the session; null: a prepared transaction';

-- Every index except those of temporary tables, with figures that need no reads of its pages.
CREATE FUNCTION pgmaint_internal.index_states(for_role oid)
RETURNS TABLE (
	index oid,
	relation oid,
	owner oid,
	schema name,
	name text,
	method name,
	bytes bigint,
	valid boolean,
	live boolean,
	exclusion boolean,
	leftover boolean,
	ours boolean,
	being_built boolean,
	collations text,
	gained_nothing boolean,
	may_reindex boolean,
	may_drop boolean
)
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 500 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH changed AS MATERIALIZED (
		SELECT v.* FROM pgmaint_internal.changed_collations() v
	),
	busy AS MATERIALIZED (
		SELECT l.relation FROM pgmaint_internal.index_build_locks l WHERE l.pid IS DISTINCT FROM pg_backend_pid()
	)
	SELECT
		c.oid,
		i.indrelid,
		coalesce(o.oid, t.oid),
		n.nspname,
		format('%I.%I', m.nspname, c.relname),
		a.amname,
		s.bytes,
		i.indisvalid,
		i.indislive,
		i.indisexclusion,
		f.leftover,
		f.leftover AND EXISTS (
			SELECT FROM pgmaint_internal.index_rebuilds b
			WHERE b.relation = i.indrelid AND b.built <> b.replaced
				AND (b.replaced = c.oid OR b.built = c.oid AND b.finished_at IS NULL)),
		NOT i.indisvalid AND (i.indrelid IN (SELECT u.relation FROM busy u)
			OR EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)),
		(
			SELECT string_agg(format('%s changed from version %s to %s', v.name, v.recorded, v.actual), ', ' ORDER BY v.name)
			FROM changed v
			WHERE v.collation = ANY (i.indcollation)
				AND (r.collations ->> v.collation::text) IS DISTINCT FROM v.actual
		),
		coalesce(r.bytes_before - r.bytes_after < 0.05 * r.bytes_before
			AND r.filenode = c.relfilenode
			AND s.bytes <= 1.05 * r.bytes_after
			AND w.writes BETWEEN r.writes AND r.writes + 0.05 * greatest(c.reltuples, 0), false),
		pgmaint_internal.may_reindex(c.oid, for_role),
		pg_has_role(for_role, c.relowner, 'USAGE') AND pgmaint_internal.may_reindex(c.oid, for_role)
	FROM pg_index i
	JOIN pg_class c ON c.oid = i.indexrelid
	JOIN pg_namespace m ON m.oid = c.relnamespace
	JOIN pg_am a ON a.oid = c.relam
	JOIN pg_class t ON t.oid = i.indrelid
	LEFT JOIN pg_class o ON o.reltoastrelid = t.oid
	JOIN pg_namespace n ON n.oid = coalesce(o.relnamespace, t.relnamespace)
	LEFT JOIN pgmaint_internal.index_rebuilds r ON r.built = c.oid AND r.finished_at IS NOT NULL
	CROSS JOIN LATERAL (SELECT pgmaint_internal.file_size(c.relfilenode, c.reltablespace, c.relpages) AS bytes) s
	CROSS JOIN LATERAL (SELECT NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AS leftover) f
	CROSS JOIN LATERAL (
		SELECT pg_stat_get_tuples_inserted(t.oid) + pg_stat_get_tuples_updated(t.oid) + pg_stat_get_tuples_deleted(t.oid) AS writes
	) w
	WHERE c.relkind = 'i' AND c.relpersistence <> 't' AND NOT c.relisshared;
END;

COMMENT ON FUNCTION pgmaint_internal.index_states(oid) IS
	'every index with its size, whether it is valid or being built, changes of its collations, and whether its last rebuild gained nothing';

CREATE FUNCTION pgmaint.reindex_candidates(
	bloat_threshold double precision DEFAULT 0.3,
	min_size bigint DEFAULT 8388608,
	max_margin double precision DEFAULT 0.03,
	everything boolean DEFAULT false,
	tables oid[] DEFAULT NULL,
	measured_since timestamptz DEFAULT NULL,
	for_role oid DEFAULT pg_catalog.to_regrole(pg_catalog.quote_ident(CURRENT_USER))::oid
)
RETURNS TABLE (
	index regclass,
	relation regclass,
	reason text,
	size text,
	bloat text,
	bloat_ratio double precision,
	margin double precision,
	command text,
	total_bytes bigint,
	bloat_bytes bigint,
	causes text[],
	may_reindex boolean
)
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 20 COST 1000000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH states AS MATERIALIZED (
		SELECT
			s.*,
			s.valid AND s.live AND NOT everything AND s.method = 'btree' AND s.bytes >= min_size
				AND NOT s.gained_nothing AS to_measure
		FROM pgmaint_internal.index_states(for_role) s
		WHERE NOT s.being_built AND (tables IS NULL OR s.owner = ANY (tables))
	),
	known AS MATERIALIZED (
		SELECT DISTINCT ON (m.relation) m.relation, m.bloat_bytes, m.bloat_ratio, m.margin
		FROM pgmaint_internal.bloat_measurements m
		JOIN states s ON s.index = m.relation AND s.to_measure
		WHERE m.measured_at >= measured_since
		ORDER BY m.relation, m.measured_at DESC
	),
	measured AS MATERIALIZED (
		SELECT k.relation, k.bloat_bytes, k.bloat_ratio, k.margin FROM known k
		UNION ALL
		SELECT b.index, b.bloat_bytes, b.bloat_ratio, b.margin
		FROM pgmaint_internal.sample_indexes(ARRAY(
			SELECT s.index FROM states s
			WHERE s.to_measure AND NOT EXISTS (SELECT FROM known k WHERE k.relation = s.index)), max_margin) b
	)
	SELECT
		j.index::regclass,
		j.relation::regclass,
		CASE
			WHEN j.leftover AND j.ours THEN 'left by an interrupted rebuild of pgmaint'
			WHEN j.leftover THEN 'left by an interrupted REINDEX CONCURRENTLY of another session'
			WHEN NOT j.live THEN 'left by an interrupted DROP INDEX CONCURRENTLY'
			ELSE concat_ws('; ',
				j.collations,
				CASE WHEN NOT j.valid THEN 'invalid: queries do not use it' END,
				CASE WHEN j.bloated THEN format('bloat: %s of %s, %s %%', pg_size_pretty(j.bloat_bytes),
					pg_size_pretty(j.bytes), round((100 * j.bloat_ratio)::numeric, 1)) END,
				CASE WHEN everything THEN 'all indexes were requested' END)
		END,
		pg_size_pretty(j.bytes),
		pg_size_pretty(j.bloat_bytes),
		j.bloat_ratio,
		j.margin,
		-- the server cannot rebuild other indexes concurrently
		CASE
			WHEN j.leftover OR NOT j.live THEN 'DROP INDEX CONCURRENTLY ' || j.name
			WHEN j.exclusion OR j.relation < 16384 AND j.schema = 'pg_catalog' THEN 'REINDEX INDEX ' || j.name
			ELSE 'REINDEX INDEX CONCURRENTLY ' || j.name
		END,
		j.bytes,
		j.bloat_bytes,
		array_remove(ARRAY[
			CASE WHEN j.leftover OR NOT j.live THEN CASE WHEN j.ours THEN 'leftover' ELSE 'leftover of others' END END,
			CASE WHEN j.collations IS NOT NULL AND NOT j.leftover AND j.live THEN 'collation' END,
			CASE WHEN NOT j.valid AND NOT j.leftover AND j.live THEN 'invalid' END,
			CASE WHEN j.bloated THEN 'bloat' END], NULL),
		CASE WHEN j.leftover OR NOT j.live THEN j.may_drop ELSE j.may_reindex END
	FROM (
		SELECT s.*, m.bloat_bytes, m.bloat_ratio, m.margin, coalesce(m.bloat_ratio >= bloat_threshold, false) AS bloated
		FROM states s
		LEFT JOIN measured m ON m.relation = s.index
	) j
	WHERE j.leftover OR NOT j.live OR j.collations IS NOT NULL OR NOT j.valid OR j.bloated OR everything
	ORDER BY j.leftover DESC, j.collations IS NOT NULL DESC, NOT j.valid DESC, j.bloat_bytes DESC NULLS LAST, j.bytes DESC, j.index;
END;

COMMENT ON FUNCTION pgmaint.reindex_candidates(double precision, bigint, double precision, boolean, oid[], timestamptz, oid) IS
	'Lists indexes to rebuild and leftovers of interrupted rebuilds, most urgent first, with the reason and the command. '
	'An index is listed when the version of its collation has changed, when it is invalid, or when it is a B-tree of at least min_size bytes whose bloat ratio reaches bloat_threshold (0 to 1) by a sample of its pages. '
	'max_margin (between 0 and 0.5) is the 95 % margin of the bloat ratio to reach; tables are the OIDs of tables whose indexes are considered (null: all); measurements made at or after measured_since are reused; with everything => true, all indexes are listed and none is measured. '
	'for_role is the role that would do the work, by default the caller, and may_reindex tells whether that role may execute command. '
	'size and bloat are for people, total_bytes and bloat_bytes in bytes; bloat columns are null where nothing was measured; causes names the reasons for machines.';

REVOKE ALL ON pgmaint_internal.index_rebuilds, pgmaint_internal.index_build_locks FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint_internal.may_reindex(oid, oid),
	pgmaint_internal.database_collation_version(),
	pgmaint_internal.sample_indexes(oid[], double precision),
	pgmaint_internal.changed_collations(),
	pgmaint_internal.index_states(oid),
	pgmaint.reindex_candidates(double precision, bigint, double precision, boolean, oid[], timestamptz, oid)
FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.index_rebuilds, pgmaint_internal.index_build_locks TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.may_reindex(oid, oid),
	pgmaint_internal.changed_collations(),
	pgmaint_internal.index_states(oid),
	pgmaint.reindex_candidates(double precision, bigint, double precision, boolean, oid[], timestamptz, oid)
TO pg_monitor;
