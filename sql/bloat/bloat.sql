
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
	'Estimates by a sample of blocks what a rewrite of a table and its TOAST table would free: a row for the relation, or for each table (null), worst first. '
	'Sizes are in bytes, bloat_ratio is a share from 0 to 1, margin its 95 % margin. max_margin (0 to 0.5) is the margin to reach, min_size in bytes; the same seed draws the same sample. '
	'Takes ownership of the table, SELECT on it or membership in pg_stat_scan_tables: a table that is named without it is an error, others are left out.';

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
	'Estimates by a sample of blocks what a rebuild of an index would free: a row for the index, each index of a table that is named, or each B-tree (null). '
	'Sizes are in bytes; bloat_ratio and leaf_density are shares from 0 to 1, null for other methods than B-trees; margin is the 95 % margin of bloat_ratio. '
	'Arguments and rights as of pgmaint.table_bloat().';

REVOKE ALL ON FUNCTION pgmaint.table_bloat, pgmaint.index_bloat FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.table_bloat, pgmaint.index_bloat TO pg_stat_scan_tables, pg_monitor;
