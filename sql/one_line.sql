-- Names may hold line breaks and other control characters.  Whatever a person
-- reads has them taken out here.

CREATE FUNCTION pgmaint.one_line(text)
RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_one_line';

COMMENT ON FUNCTION pgmaint.one_line(text) IS 'a text with each run of control characters as one space';

REVOKE ALL ON FUNCTION pgmaint.one_line(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.one_line(text) TO pg_monitor;
