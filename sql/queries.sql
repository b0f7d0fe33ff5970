
--
-- Queries, and how they would be executed
--

CREATE FUNCTION pgmaint.generic_plan(query text)
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgmaint_generic_plan';

COMMENT ON FUNCTION pgmaint.generic_plan(text) IS
	'the plan, as EXPLAIN (FORMAT JSON), of a statement with parameters $1, $2 ... that have no values; nothing is executed, but planning may call the functions in it that are not volatile';

REVOKE ALL ON FUNCTION pgmaint.generic_plan(text) FROM PUBLIC;
