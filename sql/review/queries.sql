
--
-- Queries, and how they would be executed
--

CREATE FUNCTION pgmaint.generic_plan(query text)
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgmaint_generic_plan';

COMMENT ON FUNCTION pgmaint.generic_plan(text) IS
	'Returns the plan, as EXPLAIN (FORMAT JSON), of one statement whose parameters $1, $2 ... have no values. The statement is not executed, but planning may call its functions that are not volatile. '
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

COMMENT ON FUNCTION pgmaint_internal.check_duration(text, interval) IS 'the duration; an error that names the argument if there is none, or it is negative or absurdly long';

REVOKE ALL ON FUNCTION pgmaint_internal.check_duration(text, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.check_duration(text, interval) TO pg_monitor;
