-- Text for people.  Names may contain line breaks and other control characters, which
-- these functions remove from texts for people.

CREATE FUNCTION pgmaint.one_line(text)
RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_one_line';

COMMENT ON FUNCTION pgmaint.one_line(text) IS
	'Returns a text in which each sequence of control characters is replaced by one space. Views and reports use it to print names on one line; null returns null.';

CREATE FUNCTION pgmaint.count_text(bigint)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT btrim(to_char($1, '999,999,999,999,999,990'));
END;

COMMENT ON FUNCTION pgmaint.count_text(bigint) IS 'Returns a number as text with commas between groups of three digits, such as 1,234,567; null returns null. Reports use it.';

CREATE FUNCTION pgmaint_internal.utc_text(at timestamptz)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"');
END;

COMMENT ON FUNCTION pgmaint_internal.utc_text(timestamptz) IS 'time in UTC, to the second, independent of DateStyle and TimeZone';

REVOKE ALL ON FUNCTION pgmaint.one_line(text), pgmaint.count_text(bigint), pgmaint_internal.utc_text(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.one_line(text), pgmaint.count_text(bigint), pgmaint_internal.utc_text(timestamptz) TO pg_monitor;
