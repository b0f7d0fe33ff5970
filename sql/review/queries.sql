
--
-- Plans of queries, and checks of arguments
--

CREATE FUNCTION pgmaint.generic_plan(query text)
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgmaint_generic_plan';

COMMENT ON FUNCTION pgmaint.generic_plan(text) IS
	'Returns the plan of one SELECT, INSERT, UPDATE, DELETE, MERGE or VALUES whose parameters $1, $2 ... have no values, as EXPLAIN (FORMAT JSON) prints it. '
	'query is a text as pg_stat_statements shows it. The statement is not executed; as with EXPLAIN, planning may call its functions that are not volatile, with the rights of the caller. '
	'Errors: more than one statement, a statement that cannot be planned, missing rights on its tables.';

REVOKE ALL ON FUNCTION pgmaint.generic_plan(text) FROM PUBLIC;

CREATE FUNCTION pgmaint_internal.check_duration(name text, duration interval)
RETURNS interval
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF check_duration.duration IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = format('%s must not be null', check_duration.name);
	ELSIF check_duration.duration < interval '0' OR check_duration.duration > interval '1000 years' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('%s must be from 0 to 1000 years', check_duration.name);
	END IF;
	RETURN check_duration.duration;
END
$$;

COMMENT ON FUNCTION pgmaint_internal.check_duration(text, interval) IS
	'returns the duration; null, a negative duration and one above 1000 years raise an error that names the argument';

REVOKE ALL ON FUNCTION pgmaint_internal.check_duration(text, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.check_duration(text, interval) TO pg_monitor;
