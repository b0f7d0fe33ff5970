-- Access levels: each function and relation of the schema pgmaint belongs to one of
-- the levels of grant_access(), or to none.

-- A level includes those before it.  No level has objects that show sessions and
-- statements of other roles, that read or remove objects in storages, or that act
-- with rights that the caller may not have.
--
-- The functions of pgmaint_internal are those that views of the level call: the server
-- checks EXECUTE on them for the role that reads the view.  Dumps name these functions,
-- which must keep their names.
CREATE VIEW pgmaint_internal.access_levels AS
WITH entries AS (
	SELECT e.level, e.kind, e.privilege, e.schema, n.name
	FROM (VALUES
		('read'::text, 'TABLE'::text, 'SELECT'::text, 'pgmaint'::text,
			'runs tasks findings task_results step_results finding_results progress plans plan_definitions windows maintenance_windows '
			'schedules retention_policies compact_tables archives backups storage_checks thresholds alerts bloat_history corruption_checks '
			'sequence_usage unvalidated_constraints metrics status help'::text),
		('read', 'ROUTINE', 'EXECUTE', 'pgmaint',
			'report shown_tasks shown_findings message_pattern may_be_copied one_line count_text metrics_text actions window_open '
			'window_hours next_run table_bloat index_bloat vacuum_candidates compact_candidates stale_statistics reindex_candidates index_usage backup_expiry'),
		('read', 'ROUTINE', 'EXECUTE', 'pgmaint_internal',
			'built_in_plans window_clock open_until cron_jobs cron_command metric_families'),

		-- commands act with the rights of the role
		('run', 'ROUTINE', 'EXECUTE', 'pgmaint', 'run run_action run_and_wait dry_run cancel'),

		-- Only their owner may change plans, policies and schedules.  Windows, contacts
		-- and thresholds belong to the database, independent of who added them.
		('manage', 'ROUTINE', 'EXECUTE', 'pgmaint',
			'define_plan drop_plan add_window drop_window schedule schedule_all unschedule tick add_retention drop_retention allow_compact '
			'add_contact drop_contact acknowledge check_storage list_objects'),
		('manage', 'TABLE', 'SELECT', 'pgmaint', 'contacts notifications'),
		('manage', 'TABLE', 'UPDATE (value)', 'pgmaint', 'thresholds'),

		-- statements and sessions of other roles, and facts about the server itself
		('none', 'ROUTINE', 'EXECUTE', 'pgmaint',
			'slow_queries degraded_queries connection_review xmin_holders validate validate_ok report_html report_json index_advice generic_plan'),
		('none', 'TABLE', 'SELECT', 'pgmaint', 'query_plans identities'),
		-- the answer of a verification reveals rows that the role may not read
		('none', 'ROUTINE', 'EXECUTE', 'pgmaint', 'add_verification drop_verification'),
		('none', 'TABLE', 'SELECT', 'pgmaint', 'verifications verification_results'),
		-- rows of other roles, and the removal of backups
		('none', 'ROUTINE', 'EXECUTE', 'pgmaint',
			'verify_archive restore_archive adopt_archive remove_object list_backups adopt_backups take_over stay_copy'),
		('none', 'ROUTINE', 'EXECUTE', 'pgmaint', 'grant_access')
	) e (level, kind, privilege, schema, names)
	CROSS JOIN LATERAL pg_catalog.string_to_table(e.names, ' ') AS n (name)
),
members AS (
	SELECT 'TABLE' AS kind, c.relnamespace AS namespace, c.relname AS name, c.oid::pg_catalog.regclass::text AS object
	FROM pg_catalog.pg_class c
	JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
		AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
	JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid AND x.extname = 'pgmaint'
	UNION ALL
	SELECT 'ROUTINE', p.pronamespace, p.proname, p.oid::pg_catalog.regprocedure::text
	FROM pg_catalog.pg_proc p
	JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
		AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
	JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid AND x.extname = 'pgmaint'
)
SELECT
	e.level,
	pg_catalog.array_position(ARRAY['none', 'read', 'run', 'manage'], e.level) - 1 AS rank,
	e.kind,
	e.privilege,
	pg_catalog.format('%I.%I', e.schema, e.name) AS name,
	m.object
FROM entries e
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = e.schema
LEFT JOIN members m ON m.kind = e.kind AND m.namespace = n.oid AND m.name = e.name;

COMMENT ON VIEW pgmaint_internal.access_levels IS 'objects that each level of grant_access() grants; level none has the objects that no level grants';
COMMENT ON COLUMN pgmaint_internal.access_levels.rank IS 'rank of the level: a level includes all lower ranks; 0: no level';
COMMENT ON COLUMN pgmaint_internal.access_levels.object IS 'relation or function in the syntax of GRANT; null: no object has this name';

-- The statements act with the rights of the caller, who cannot grant more than their
-- own rights allow.
CREATE FUNCTION pgmaint.grant_access(role regrole, level text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	wanted CONSTANT integer := array_position(ARRAY['none', 'read', 'run', 'manage'], level) - 1;
	owner regrole;
	statement text;
BEGIN
	IF role IS NULL OR level IS NULL THEN
		RAISE EXCEPTION '% must not be null', CASE WHEN role IS NULL THEN 'role' ELSE 'level' END
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF wanted IS NULL THEN
		RAISE EXCEPTION 'unknown access level "%"', level
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Choose one of these: none, read, run, manage.';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = grant_access.role) THEN
		RAISE EXCEPTION 'role with OID % does not exist', role::oid
			USING ERRCODE = 'undefined_object';
	END IF;
	-- after a rename, any role may have created another schema of this name
	IF NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgmaint'
		WHERE d.classid = 'pg_namespace'::regclass AND d.objid = to_regnamespace('pgmaint_internal')
			AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e') THEN
		RAISE EXCEPTION 'schema "pgmaint_internal" of extension "pgmaint" was renamed'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Rename the schema back with ALTER SCHEMA.';
	END IF;
	SELECT e.extowner INTO STRICT owner FROM pg_extension e WHERE e.extname = 'pgmaint';
	IF NOT pg_has_role(owner, 'USAGE') THEN
		RAISE EXCEPTION 'permission denied to grant access to pgmaint'
			USING ERRCODE = 'insufficient_privilege',
				DETAIL = format('The extension belongs to role %s.', owner),
				HINT = 'Call the function as a member of that role, or as a superuser.';
	END IF;
	IF role = owner OR role::text IN ('pg_monitor', 'pg_stat_scan_tables') THEN
		RAISE EXCEPTION 'the privileges of role "%" on pgmaint cannot be changed', role
			USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = CASE WHEN role = owner THEN 'The role owns the extension.' ELSE 'The privileges come with the extension.' END,
				HINT = 'Pass another role.';
	END IF;

	FOR statement IN
		SELECT format('REVOKE %s ON %s %s FROM %s', a.privilege, a.kind, a.object, role)
		FROM pgmaint_internal.access_levels a
		WHERE a.rank > wanted AND a.object IS NOT NULL
		UNION ALL
		SELECT format('GRANT %s ON %s %s TO %s', a.privilege, a.kind, a.object, role)
		FROM pgmaint_internal.access_levels a
		WHERE a.rank BETWEEN 1 AND wanted AND a.object IS NOT NULL
		UNION ALL
		SELECT CASE WHEN wanted = 0
			-- an update may have granted USAGE on the second
			THEN format('REVOKE USAGE ON SCHEMA pgmaint, pgmaint_internal FROM %s', role)
			ELSE format('GRANT USAGE ON SCHEMA pgmaint TO %s', role) END
	LOOP
		EXECUTE statement;
	END LOOP;
END
$$;

COMMENT ON FUNCTION pgmaint.grant_access(regrole, text) IS
	'Grants a role an access level of pgmaint. level is read (ledger, reports, and what is due), run (read, and runs whose commands act with the rights of the role), manage (run, and plans, windows, schedules, retention policies of its own tables, contacts and thresholds) or none, which revokes what the levels grant. '
	'A lower level revokes what a higher level granted; other grants stay. '
	'Superusers and members of the role that owns the extension may call this function: the GRANT and REVOKE commands act with the rights of the caller. '
	'Errors: null, unknown level, PUBLIC, the owner of the extension, pg_monitor and pg_stat_scan_tables, whose privileges come with the extension.';

REVOKE ALL ON pgmaint_internal.access_levels FROM PUBLIC;
REVOKE ALL ON FUNCTION pgmaint.grant_access(regrole, text) FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.access_levels TO pg_monitor;
