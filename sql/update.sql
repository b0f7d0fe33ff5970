-- complain if the script is sourced in psql rather than through ALTER EXTENSION
\echo Use "ALTER EXTENSION pgmaint UPDATE" to load this file. \quit

-- What is made belongs to the extension's owner, whichever superuser updates it.
SELECT pg_catalog.set_config('role', r.rolname, true)
FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_roles r ON r.oid = e.extowner
WHERE e.extname = 'pgmaint' AND r.rolsuper AND r.rolname <> CURRENT_USER;

-- what is there already, for those statements that are about the rest
SELECT pg_catalog.set_config('pgmaint_script.members', pg_catalog.concat_ws(' ',
	'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid || ':' || 'pgmaint'::pg_catalog.regnamespace::pg_catalog.oid,
	(SELECT pg_catalog.string_agg(d.classid || ':' || d.objid, ' ')
	FROM pg_catalog.pg_depend d
	JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgmaint'
	WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e')), true);

-- The machinery has a schema of its own.  What is moved keeps its rows and its
-- privileges, and the sequences of a table go with it.
CREATE SCHEMA pgmaint_internal;

DO $$
DECLARE
	for_people CONSTANT text[] := ARRAY[
		'acknowledge', 'actions', 'add_contact', 'add_retention', 'add_verification', 'add_window',
		'adopt_archive', 'adopt_backups', 'archives', 'backup_expiry', 'backups', 'bloat_history',
		'cancel', 'check_storage', 'connection_review', 'contacts', 'corruption_checks', 'count_text',
		'define_plan', 'degraded_queries', 'drop_contact', 'drop_plan', 'drop_retention',
		'drop_verification', 'drop_window', 'dry_run', 'escalations', 'finding_results', 'findings',
		'generic_plan', 'identities', 'index_advice', 'index_bloat', 'index_usage', 'list_backups',
		'list_objects', 'maintenance_windows', 'may_be_copied', 'message_pattern', 'metrics',
		'metrics_text', 'next_run', 'notifications', 'one_line', 'plan_definitions', 'plans', 'progress',
		'query_plans', 'reindex_candidates', 'remove_object', 'report', 'report_html', 'restore_archive',
		'retention_policies', 'run', 'run_action', 'run_and_wait', 'runs', 'schedule', 'schedule_all',
		'schedules', 'sequence_usage', 'shown_findings', 'shown_tasks', 'slow_queries',
		'stale_statistics', 'stay_copy', 'step_results', 'storage_checks', 'table_bloat', 'take_over',
		'task_results', 'tasks', 'thresholds', 'tick', 'unschedule', 'unvalidated_constraints',
		'vacuum_candidates', 'validate', 'validate_ok', 'verification_results', 'verifications',
		'verify_archive', 'window_hours', 'window_open', 'windows', 'xmin_holders'];
	member record;
BEGIN
	FOR member IN
		SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind, c.oid::pg_catalog.regclass::text AS name
		FROM pg_catalog.pg_depend d
		JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgmaint'
		JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'v') AND c.relname <> ALL (for_people)
		WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
			AND d.deptype = 'e' AND c.relnamespace = 'pgmaint'::pg_catalog.regnamespace
		UNION ALL
		SELECT 'FUNCTION', p.oid::pg_catalog.regprocedure::text
		FROM pg_catalog.pg_depend d
		JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgmaint'
		JOIN pg_catalog.pg_proc p ON p.oid = d.objid AND p.prokind = 'f' AND p.proname <> ALL (for_people)
		WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
			AND d.deptype = 'e' AND p.pronamespace = 'pgmaint'::pg_catalog.regnamespace
	LOOP
		EXECUTE pg_catalog.format('ALTER %s %s SET SCHEMA pgmaint_internal', member.kind, member.name);
	END LOOP;
END
$$;

-- A dump that is restored under session_replication_role = replica fires it, too.
ALTER TABLE pgmaint.thresholds ENABLE ALWAYS TRIGGER restore_threshold;

-- Executes a GRANT or a REVOKE for those of its objects that this script has made.
CREATE FUNCTION pgmaint_internal.change_rights_of_new(statement text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	known CONSTANT text[] := string_to_array(current_setting('pgmaint_script.members'), ' ');
	verb CONSTANT text := substring(statement FROM '^(.*?)\sON\s');
	kind CONSTANT text := coalesce(substring(statement FROM '\sON\s+(FUNCTION|PROCEDURE|SCHEMA)\s'), 'TABLE');
	roles CONSTANT text := substring(statement FROM '\s(?:TO|FROM)\s[^()]*$');
	names CONSTANT text := regexp_replace(left(substr(statement, length(verb) + 1), -length(roles)), '^\s+ON\s+(FUNCTION\s|PROCEDURE\s|SCHEMA\s)?', '');
	name text;
	address text;
BEGIN
	FOR name IN SELECT btrim(n, E' \t\n') FROM regexp_split_to_table(names, ',(?![^()]*\))') n LOOP
		address := CASE
			WHEN kind = 'SCHEMA' THEN 'pg_namespace'::regclass::oid || ':' || name::regnamespace::oid
			WHEN kind = 'TABLE' THEN 'pg_class'::regclass::oid || ':' || name::regclass::oid
			WHEN name ~ '\(' THEN 'pg_proc'::regclass::oid || ':' || name::regprocedure::oid
			ELSE 'pg_proc'::regclass::oid || ':' || name::regproc::oid END;
		CONTINUE WHEN address = ANY (known);
		EXECUTE format('%s ON %s %s%s', verb, kind, name, roles);
	END LOOP;
END
$$;
