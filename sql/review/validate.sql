-- Checks of the database and its server.  Each group of checks has a function that
-- returns rows of check_id, status, detail, expected and object; validate()
-- combines them.

-- Results of the last validation, for pgmaint.metrics, which is read every minute.
-- Rows of another identity came with a copy, or through replication.
CREATE TABLE pgmaint_internal.last_validation (
	identity text NOT NULL DEFAULT pgmaint_internal.current_identity(),
	check_id text NOT NULL,
	status text NOT NULL CHECK (status IN ('ok', 'warning', 'critical')),
	validated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	PRIMARY KEY (identity, check_id)
);

COMMENT ON TABLE pgmaint_internal.last_validation IS 'results of the last run of the action validate, one row for each check; pgmaint.validate() executes the checks again';
COMMENT ON COLUMN pgmaint_internal.last_validation.identity IS 'the database that was validated, see pgmaint.identities';
COMMENT ON COLUMN pgmaint_internal.last_validation.validated_at IS 'when the action executed the check';
COMMENT ON COLUMN pgmaint_internal.last_validation.status IS 'worst status of all objects: ok, warning or critical';

CREATE FUNCTION pgmaint_internal.check_group(name text)
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
AS 'MODULE_PATHNAME', 'pgmaint_check_group'
LANGUAGE C STABLE STRICT ROWS 10 COST 10000
SET search_path = pg_catalog, pg_temp
-- where there are thousands of tables, compiling would take longer than the rest
SET jit = off;

COMMENT ON FUNCTION pgmaint_internal.check_group(text) IS
	'the checks of a group, or one row with the error that prevented them';

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
	'Checks backups, data, the server, replication, storages, maintenance and notifications: one row for each check of each object, worst first. '
	'status is ok, warning or critical by the limits in pgmaint.thresholds; detail is what was found, expected what the check expects, object the object, null where the check is about the whole database. '
	'It changes nothing; the state of storages is that of the last run of the action validate. Checks of sessions see those that the caller may see.';

CREATE FUNCTION pgmaint.validate_ok()
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT NOT EXISTS (SELECT FROM pgmaint.validate() v WHERE v.status = 'critical');
END;

COMMENT ON FUNCTION pgmaint.validate_ok() IS
	'Returns false if a check of pgmaint.validate() is critical, else true. It is meant for monitoring systems.';

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
