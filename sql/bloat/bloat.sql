
--
-- Bloat, measured on the pages themselves
--

CREATE FUNCTION pgmaint.table_bloat(
	INOUT relation regclass DEFAULT NULL,
	max_margin double precision DEFAULT 0.01,
	seed bigint DEFAULT NULL,
	min_size bigint DEFAULT 0,
	OUT total_bytes bigint,
	OUT live_bytes bigint,
	OUT dead_bytes bigint,
	OUT free_bytes bigint,
	OUT bloat_bytes bigint,
	OUT bloat_ratio double precision,
	OUT margin double precision,
	OUT sampled_blocks bigint,
	OUT total_blocks bigint
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 200 COST 1000000
	AS 'MODULE_PATHNAME', 'pgmaint_table_bloat';
COMMENT ON FUNCTION pgmaint.table_bloat IS
	'Estimates from a sample of blocks how many bytes a rewrite of a table and its TOAST table would free. '
	'Returns one row for the relation, or for each table that can be measured (null), with most bloat first. '
	'max_margin (between 0 and 0.5) is the 95 % margin of bloat_ratio to reach, where 0.01 is one percentage point; min_size, in bytes, leaves out smaller tables. The same seed draws the same sample. '
	'All sizes are in bytes and include the TOAST table; bloat_ratio is the share of bloat_bytes in total_bytes, from 0 to 1, and margin its 95 % margin. '
	'The caller must own the table, have SELECT on it, or be a member of pg_stat_scan_tables. '
	'Partitioned tables, foreign tables, temporary tables of other sessions, tables of other access methods than heap, and tables without these rights raise an error if named, and are left out otherwise.';

CREATE FUNCTION pgmaint.index_bloat(
	INOUT "index" regclass DEFAULT NULL,
	max_margin double precision DEFAULT 0.02,
	seed bigint DEFAULT NULL,
	min_size bigint DEFAULT 0,
	OUT relation regclass,
	OUT method text,
	OUT total_bytes bigint,
	OUT bloat_bytes bigint,
	OUT bloat_ratio double precision,
	OUT margin double precision,
	OUT leaf_density double precision,
	OUT sampled_blocks bigint,
	OUT total_blocks bigint
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 500 COST 1000000
	AS 'MODULE_PATHNAME', 'pgmaint_index_bloat';
COMMENT ON FUNCTION pgmaint.index_bloat IS
	'Estimates from a sample of blocks how many bytes a rebuild of an index would free. '
	'Returns one row for the index, for each index of a table that is named, or for each B-tree (null), with most bloat first. '
	'max_margin (between 0 and 0.5) is the 95 % margin of bloat_ratio to reach; min_size, in bytes, leaves out smaller indexes. The same seed draws the same sample. '
	'Sizes are in bytes; bloat_ratio and leaf_density are shares from 0 to 1, and margin is the 95 % margin of bloat_ratio. '
	'bloat_bytes, bloat_ratio, margin and leaf_density are null for access methods other than B-tree. '
	'The caller must own the table of the index, have SELECT on it, or be a member of pg_stat_scan_tables; a named index without these rights raises an error, others are left out.';

REVOKE ALL ON FUNCTION pgmaint.table_bloat, pgmaint.index_bloat FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.table_bloat, pgmaint.index_bloat TO pg_stat_scan_tables, pg_monitor;
