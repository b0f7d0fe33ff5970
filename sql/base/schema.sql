-- complain if the script is sourced in psql rather than through CREATE EXTENSION
\echo Use "CREATE EXTENSION pgmaint" to load this file. \quit

-- no members existed before
SELECT pg_catalog.set_config('pgmaint_script.members', '', true);

-- Objects below are called by their qualified names, with the rights of the role that
-- runs maintenance.  Therefore only the extension's owner and superusers may be able to
-- create objects in its schema.  (A restore creates the schema with its former owner,
-- before another role may restore the extension.)
DO $$
DECLARE
	outsider text;
BEGIN
	SELECT pg_catalog.pg_get_userbyid(n.nspowner) INTO outsider
	FROM pg_catalog.pg_namespace n
	WHERE n.nspname OPERATOR(pg_catalog.=) 'pgmaint'
		AND n.nspowner OPERATOR(pg_catalog.<>) (SELECT r.oid FROM pg_catalog.pg_roles r
			WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER)
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r
			WHERE r.oid OPERATOR(pg_catalog.=) n.nspowner AND r.rolsuper);
	IF outsider IS NOT NULL THEN
		RAISE EXCEPTION 'schema "pgmaint" already exists and belongs to role "%"', outsider
			USING ERRCODE = 'invalid_schema_definition',
				HINT = 'Drop or rename that schema, then create the extension again.';
	END IF;
	SELECT coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC') INTO outsider
	FROM pg_catalog.pg_namespace n
	CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) a
	LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) a.grantee
	WHERE n.nspname OPERATOR(pg_catalog.=) 'pgmaint'
		AND a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
		AND a.grantee OPERATOR(pg_catalog.<>) n.nspowner
	LIMIT 1;
	IF outsider IS NOT NULL THEN
		RAISE EXCEPTION 'schema "pgmaint" lets role % create objects in it', outsider
			USING ERRCODE = 'invalid_schema_definition',
				HINT = 'Revoke CREATE on the schema, or drop it, then create the extension again.';
	END IF;
END
$$;

-- An error if the schema exists already: its objects would be called with the rights
-- of the role that runs maintenance.
CREATE SCHEMA pgmaint_internal;
COMMENT ON SCHEMA pgmaint_internal IS 'internal objects of pgmaint, which users do not call';

REVOKE ALL ON SCHEMA pgmaint, pgmaint_internal FROM PUBLIC;
GRANT USAGE ON SCHEMA pgmaint TO pg_monitor, pg_stat_scan_tables;
GRANT USAGE ON SCHEMA pgmaint_internal TO pg_monitor;
COMMENT ON SCHEMA pgmaint IS 'database maintenance: plans, runs, tasks, findings';
