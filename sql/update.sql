-- complain if the script is sourced in psql rather than through ALTER EXTENSION
\echo Use "ALTER EXTENSION pgmaint UPDATE" to load this file. \quit

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
