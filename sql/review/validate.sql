-- Is everything in order?  One function for each group of checks, which returns
-- rows of check_id, status, detail, expected and object; validate() puts them
-- together.

-- What the action validate found last, for those who ask every minute.  Rows of
-- another identity came with a copy, or through replication.
CREATE TABLE pgmaint_internal.last_validation (
	identity text NOT NULL DEFAULT pgmaint_internal.current_identity(),
	check_id text NOT NULL,
	status text NOT NULL CHECK (status IN ('ok', 'warning', 'critical')),
	validated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	PRIMARY KEY (identity, check_id)
);

COMMENT ON TABLE pgmaint_internal.last_validation IS 'one row for each check: what the action validate found last; pgmaint.validate() looks anew';
COMMENT ON COLUMN pgmaint_internal.last_validation.identity IS 'the database that was validated, see pgmaint.identities';
COMMENT ON COLUMN pgmaint_internal.last_validation.validated_at IS 'when the action made its checks';
COMMENT ON COLUMN pgmaint_internal.last_validation.status IS 'ok, warning, critical: the worst of all objects';

CREATE FUNCTION pgmaint_internal.check_group(name text)
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
AS 'MODULE_PATHNAME', 'pgmaint_check_group'
LANGUAGE C STABLE STRICT ROWS 10 COST 10000
SET search_path = pg_catalog, pg_temp
-- where there are thousands of tables, compiling would take longer than the rest
SET jit = off;

COMMENT ON FUNCTION pgmaint_internal.check_group(text) IS
	'the checks of a group, or one row that says why they could not be made';

CREATE FUNCTION pgmaint.validate()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 30 COST 100000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT c.check_id, c.status, c.detail, c.expected, c.object
	FROM unnest(ARRAY[
		'validate_backups', 'validate_data', 'validate_escalation', 'validate_identity',
		'validate_maintenance', 'validate_replication', 'validate_server', 'validate_storages']) AS g (name)
	CROSS JOIN LATERAL pgmaint_internal.check_group(g.name) c
	ORDER BY array_position(ARRAY['critical', 'warning', 'ok'], c.status), c.check_id, c.object;
END;

COMMENT ON FUNCTION pgmaint.validate() IS
	'is everything in order: each check, whether it is ok, a warning or critical, and what was expected; the worst first';

CREATE FUNCTION pgmaint.validate_ok()
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT NOT EXISTS (SELECT FROM pgmaint.validate() v WHERE v.status = 'critical');
END;

COMMENT ON FUNCTION pgmaint.validate_ok() IS 'for machines: false if anything is critical';

REVOKE ALL ON pgmaint_internal.last_validation FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.last_validation TO pg_monitor;
REVOKE ALL ON FUNCTION
	pgmaint_internal.check_group(text),
	pgmaint.validate(),
	pgmaint.validate_ok()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.check_group(text),
	pgmaint.validate(),
	pgmaint.validate_ok()
TO pg_monitor;
