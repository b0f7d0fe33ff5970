-- Words for people.  Names may hold line breaks and other control characters:
-- whatever a person reads has them taken out here.

CREATE FUNCTION pgmaint.one_line(text)
RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_one_line';

COMMENT ON FUNCTION pgmaint.one_line(text) IS
	'Returns a text with each run of control characters as one space; used by views and reports.';

CREATE FUNCTION pgmaint.count_text(bigint)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT btrim(to_char($1, '999,999,999,999,999,990'));
END;

COMMENT ON FUNCTION pgmaint.count_text(bigint) IS
	'Returns a number as text with its thousands set apart by commas; used by reports.';

REVOKE ALL ON FUNCTION pgmaint.one_line(text), pgmaint.count_text(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.one_line(text), pgmaint.count_text(bigint) TO pg_monitor;
