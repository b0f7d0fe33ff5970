
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
	'what a rewrite of a table and its TOAST table would give back, from a sample of their blocks, with its 95 % margin; all tables if none is named';

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
	'what a rebuild of an index would give back, from a sample of its blocks, with its 95 % margin; a table''s indexes if a table is named, all B-trees if nothing is; null for other methods than B-trees';

REVOKE ALL ON FUNCTION pgmaint.table_bloat, pgmaint.index_bloat FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.table_bloat, pgmaint.index_bloat TO pg_stat_scan_tables, pg_monitor;
