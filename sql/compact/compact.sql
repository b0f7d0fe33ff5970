-- Tables whose free space can be given back while they are in use.

-- Pages that the free space map may not show although they have room: a row is
-- written before the map is changed, and removed when it is right again.
CREATE TABLE pgmaint_internal.hidden_space (
	relation oid PRIMARY KEY,
	first_block bigint NOT NULL,
	noted_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint_internal.hidden_space IS 'tables whose free space map a compaction has changed, until it is right again';
COMMENT ON COLUMN pgmaint_internal.hidden_space.relation IS 'OID of the table';
COMMENT ON COLUMN pgmaint_internal.hidden_space.first_block IS 'page from which on the free space map may show no room';
COMMENT ON COLUMN pgmaint_internal.hidden_space.noted_at IS 'when the compaction began';

CREATE TABLE pgmaint.compact_tables (
	relation regclass PRIMARY KEY,
	added_by name NOT NULL,
	added_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint.compact_tables IS 'tables that every plan with the action compact may compact';
COMMENT ON COLUMN pgmaint.compact_tables.relation IS 'the table';
COMMENT ON COLUMN pgmaint.compact_tables.added_by IS 'the role that allowed the compaction';
COMMENT ON COLUMN pgmaint.compact_tables.added_at IS 'when the role allowed it';

-- what is allowed belongs to the database, and is dumped and restored with it
SELECT pg_catalog.pg_extension_config_dump('pgmaint.compact_tables', 'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = relation)');

REVOKE ALL ON pgmaint_internal.hidden_space, pgmaint.compact_tables FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.hidden_space, pgmaint.compact_tables TO pg_monitor;

CREATE FUNCTION pgmaint.allow_compact(relation regclass, allowed boolean DEFAULT true)
RETURNS void
LANGUAGE c VOLATILE COST 1000
AS 'MODULE_PATHNAME', 'pgmaint_allow_compact';

COMMENT ON FUNCTION pgmaint.allow_compact(regclass, boolean) IS
	'Allows every plan with the action compact, such as weekly, to compact this table, or with allowed => false takes that back. '
	'For a partitioned table it holds for all of its partitions. '
	'Returns nothing. The caller must be the owner of the table, the owner of the database or a superuser; from PostgreSQL 17 on also a role with MAINTAIN on the table. '
	'Errors: the relation does not exist, or is no table.';

CREATE FUNCTION pgmaint_internal.publishes_updates(relation oid)
RETURNS boolean
LANGUAGE c STABLE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_publishes_updates';

COMMENT ON FUNCTION pgmaint_internal.publishes_updates(oid) IS
	'whether a publication covers updates of the table; null: the table is locked or gone';

CREATE FUNCTION pgmaint_internal.heap_bloat(
	relation oid,
	OUT total_bytes bigint,
	OUT bloat_bytes bigint,
	OUT bloat_ratio double precision,
	OUT margin double precision
)
LANGUAGE c VOLATILE STRICT COST 100000
AS 'MODULE_PATHNAME', 'pgmaint_heap_bloat';

COMMENT ON FUNCTION pgmaint_internal.heap_bloat(oid) IS
	'bloat of a table without its TOAST table, as pgmaint.table_bloat() measures it; null: the table is locked or gone';

CREATE FUNCTION pgmaint_internal.standby_is_connected()
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER COST 1000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	-- programs that only receive WAL replay nothing
	SELECT EXISTS (
		SELECT FROM pg_stat_replication r
		WHERE r.replay_lsn IS NOT NULL
			AND NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical'));
END;

COMMENT ON FUNCTION pgmaint_internal.standby_is_connected() IS
	'whether a standby that replays WAL is connected to this server';

-- Why the rows of a table should not be moved, or null.  Correlation is that of the
-- first column of an index: range scans read neighbouring pages while it is high.
CREATE FUNCTION pgmaint_internal.compact_obstacle(relation oid, published boolean, reorder boolean)
RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE
		WHEN c.relkind <> 'r' OR c.relpersistence = 't' THEN 'only rows of permanent and unlogged tables are moved'
		WHEN c.oid < 16384 OR n.nspname IN ('pg_catalog', 'information_schema', 'pg_toast') THEN 'rows of system catalogs are not moved'
		WHEN n.nspname IN ('pgmaint', 'pgmaint_internal') THEN 'rows of the ledger are not moved'
		WHEN a.amname <> 'heap' THEN format('its access method is %s: only heap is supported', a.amname)
		WHEN current_setting('old_snapshot_threshold', true) <> '-1'
			THEN 'old_snapshot_threshold is set: the end of a table must not be cut off'
		WHEN coalesce((SELECT v.option_value FROM pg_options_to_table(c.reloptions) v WHERE v.option_name = 'vacuum_truncate'),
				current_setting('vacuum_truncate', true)) IN ('off', 'false', 'no', '0', 'of', 'n', 'f')
			THEN 'vacuum_truncate is off: the end of the table must not be cut off'
		WHEN l.logical AND p.publishes AND NOT i.has_identity
			THEN 'it is published without a replica identity: subscribers could not find the rows'
		WHEN l.logical AND NOT published AND p.publishes
			THEN 'it is published: subscribers would be sent every row that is moved; option published allows that'
		WHEN l.logical AND NOT published AND l.slot IS NOT NULL
			THEN format('logical replication slot %I would decode every row that is moved; option published allows that', l.slot)
		WHEN NOT reorder AND i.brin IS NOT NULL
			THEN format('BRIN index %I depends on the order of rows; option reorder allows another order', i.brin)
		WHEN NOT reorder AND i.clustered IS NOT NULL
			THEN format('it is clustered on index %I; option reorder allows another order', i.clustered)
		WHEN NOT reorder AND o.column IS NOT NULL
			THEN format('its rows are in the order of indexed column %I; option reorder allows another order', o.column)
		END
	FROM pg_class c
	JOIN pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_am a ON a.oid = c.relam
	CROSS JOIN LATERAL (
		SELECT
			coalesce(bool_or(x.indisreplident OR c.relreplident = 'd' AND x.indisprimary), false) OR c.relreplident = 'f' AS has_identity,
			min(r.relname) FILTER (WHERE m.amname = 'brin') AS brin,
			min(r.relname) FILTER (WHERE x.indisclustered) AS clustered
		FROM pg_index x
		JOIN pg_class r ON r.oid = x.indexrelid
		JOIN pg_am m ON m.oid = r.relam
		WHERE x.indrelid = c.oid
	) i
	CROSS JOIN LATERAL (
		-- 19 and later move rows without telling logical decoding
		SELECT
			current_setting('wal_level') = 'logical' AND current_setting('server_version_num')::int < 190000 AS logical,
			(SELECT min(s.slot_name) FROM pg_replication_slots s
			WHERE s.slot_type = 'logical' AND s.database = current_database()) AS slot
	) l
	CROSS JOIN LATERAL (
		SELECT CASE WHEN l.logical THEN pgmaint_internal.publishes_updates(c.oid) END AS publishes
	) p
	CROSS JOIN LATERAL (
		SELECT min(t.attname) AS column
		FROM pg_index x
		JOIN pg_attribute t ON t.attrelid = c.oid AND t.attnum = x.indkey[0]
		JOIN pg_statistic s ON s.starelid = c.oid AND s.staattnum = t.attnum AND NOT s.stainherit
		WHERE x.indrelid = c.oid
			AND abs(CASE 3
				WHEN s.stakind1 THEN s.stanumbers1[1] WHEN s.stakind2 THEN s.stanumbers2[1] WHEN s.stakind3 THEN s.stanumbers3[1]
				WHEN s.stakind4 THEN s.stanumbers4[1] WHEN s.stakind5 THEN s.stanumbers5[1] END) > 0.9
	) o
	WHERE c.oid = relation;
END;

COMMENT ON FUNCTION pgmaint_internal.compact_obstacle(oid, boolean, boolean) IS
	'why the action compact does not move rows of the table, given its options published and reorder; null: it may';

-- Tables that are large enough; they are yet to be measured.
CREATE FUNCTION pgmaint_internal.compactable_tables(for_role oid, min_size bigint, published boolean, reorder boolean)
RETURNS TABLE (
	relation oid,
	name text,
	schema name,
	bytes bigint,
	obstacle text,
	allowed boolean,
	may_maintain boolean
)
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 20 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT
		c.oid,
		format('%I.%I', n.nspname, c.relname),
		n.nspname,
		s.bytes,
		pgmaint_internal.compact_obstacle(c.oid, published, reorder),
		EXISTS (SELECT FROM pgmaint.compact_tables t WHERE t.relation = c.oid
			OR t.relation IN (SELECT x.relid FROM pg_partition_ancestors(c.oid) AS x (relid))),
		pgmaint_internal.may_maintain(c.oid, for_role)
	FROM pg_class c
	JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN ('pgmaint', 'pgmaint_internal')
	JOIN pg_am a ON a.oid = c.relam AND a.amname = 'heap'
	CROSS JOIN LATERAL (SELECT pgmaint_internal.file_size(c.relfilenode, c.reltablespace, c.relpages) AS bytes) s
	WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.oid >= 16384 AND s.bytes >= min_size;
END;

COMMENT ON FUNCTION pgmaint_internal.compactable_tables(oid, bigint, boolean, boolean) IS
	'tables of at least this size that the action compact may look at, with what keeps it from moving their rows';

CREATE FUNCTION pgmaint.compact_candidates(
	min_gain bigint DEFAULT 104857600,
	bloat_threshold double precision DEFAULT 0.3,
	for_role oid DEFAULT pg_catalog.to_regrole(pg_catalog.quote_ident(CURRENT_USER))::oid
)
RETURNS TABLE (
	relation regclass,
	size text,
	gain text,
	bloat_ratio double precision,
	margin double precision,
	obstacle text,
	allowed boolean,
	command text,
	total_bytes bigint,
	gain_bytes bigint,
	may_maintain boolean
)
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 20 COST 1000000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT
		t.relation::regclass,
		pg_size_pretty(b.total_bytes),
		pg_size_pretty(b.bloat_bytes),
		b.bloat_ratio,
		b.margin,
		t.obstacle,
		t.allowed,
		CASE WHEN t.obstacle IS NULL THEN format('SELECT pgmaint.run_action(''compact'', %L)',
			jsonb_build_object('tables', t.name)
			|| CASE WHEN min_gain <> 104857600 THEN jsonb_build_object('min_gain', min_gain) ELSE '{}' END
			|| CASE WHEN bloat_threshold <> 0.3 THEN jsonb_build_object('bloat_threshold', bloat_threshold) ELSE '{}' END) END,
		b.total_bytes,
		b.bloat_bytes,
		t.may_maintain
	FROM pgmaint_internal.compactable_tables(for_role, min_gain, false, false) t
	CROSS JOIN LATERAL pgmaint_internal.heap_bloat(t.relation) b
	WHERE b.bloat_bytes >= min_gain AND b.bloat_ratio > bloat_threshold
	ORDER BY b.bloat_bytes DESC, t.relation;
END;

COMMENT ON FUNCTION pgmaint.compact_candidates(bigint, double precision, oid) IS
	'Lists tables whose free space the action compact would give back while they are in use, largest gain first. '
	'A table is listed when at least min_gain bytes, and more than the share bloat_threshold of it (0.3 is 30 %), are bloat: of the table alone, without its TOAST table, measured on sampled pages. for_role is the role that would do the work, by default the caller. '
	'size and gain are total_bytes and gain_bytes for people; margin is the 95 % margin of bloat_ratio, both are shares from 0 to 1. obstacle says why the action leaves the table alone, and which option allows it nevertheless; null: it does not. '
	'allowed tells whether allow_compact() lets every plan compact the table, command compacts it now (null where there is an obstacle), and may_maintain tells whether for_role may. Tables that are locked are left out.';

REVOKE ALL ON FUNCTION pgmaint.allow_compact, pgmaint.compact_candidates, pgmaint_internal.publishes_updates,
	pgmaint_internal.heap_bloat, pgmaint_internal.standby_is_connected, pgmaint_internal.compact_obstacle,
	pgmaint_internal.compactable_tables FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.compact_candidates TO pg_monitor;
