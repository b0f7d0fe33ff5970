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
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgmaint_index_advice';

COMMENT ON FUNCTION pgmaint.index_advice(bigint, double precision, double precision, bigint, bigint) IS
	'indexes that the counted statements would gain from, the best first; none is created, and no statement is executed';

REVOKE ALL ON FUNCTION pgmaint.index_advice(bigint, double precision, double precision, bigint, bigint) FROM PUBLIC;
