-- Words for people.  Names may hold line breaks and other control characters:
-- whatever a person reads has them taken out here.

CREATE FUNCTION pgmaint.one_line(text)
RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_one_line';

COMMENT ON FUNCTION pgmaint.one_line(text) IS 'a text with each run of control characters as one space';

CREATE FUNCTION pgmaint.count_text(bigint)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT btrim(to_char($1, '999,999,999,999,999,990'));
END;

COMMENT ON FUNCTION pgmaint.count_text(bigint) IS 'a number with its thousands set apart';

CREATE FUNCTION pgmaint_internal.utc_text(at timestamptz)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"');
END;

COMMENT ON FUNCTION pgmaint_internal.utc_text(timestamptz) IS 'a time in UTC, to the second, whatever DateStyle and TimeZone are';

REVOKE ALL ON FUNCTION pgmaint.one_line(text), pgmaint.count_text(bigint), pgmaint_internal.utc_text(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.one_line(text), pgmaint.count_text(bigint), pgmaint_internal.utc_text(timestamptz) TO pg_monitor;
