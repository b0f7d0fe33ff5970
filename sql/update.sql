-- complain if the script is sourced in psql rather than through ALTER EXTENSION
\echo Use "ALTER EXTENSION pgmaint UPDATE" to load this file. \quit

-- What is made belongs to the extension's owner, whichever superuser updates it.  What
-- is set in a script stays so until the end of the transaction: the role that it was
-- is set again at the end.
DO $$
DECLARE
	owner name;
BEGIN
	SELECT r.rolname INTO owner
	FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_roles r ON r.oid = e.extowner
	WHERE e.extname = 'pgmaint' AND r.rolsuper AND r.rolname <> CURRENT_USER;
	IF NOT pg_catalog.pg_has_role(SESSION_USER, owner, 'MEMBER') THEN
		RAISE EXCEPTION 'permission denied to update extension "pgmaint"'
			USING ERRCODE = 'insufficient_privilege',
				DETAIL = pg_catalog.format('The extension belongs to role "%s", which role "%s" may not become.', owner, SESSION_USER),
				HINT = 'Log in as a superuser, then execute ALTER EXTENSION pgmaint UPDATE.';
	END IF;
END
$$;
SELECT pg_catalog.set_config('pgmaint_script.role', pg_catalog.current_setting('role'), true);
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

-- Roles that could name the objects that have moved still can, with the privileges
-- that were granted on them.
DO $$
DECLARE
	role text;
BEGIN
	FOR role IN
		SELECT DISTINCT pg_catalog.quote_ident(r.rolname)
		FROM pg_catalog.pg_namespace n
		CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) a
		JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
		WHERE n.nspname = 'pgmaint' AND a.privilege_type = 'USAGE' AND a.grantee <> n.nspowner
			-- in a new database it has none there
			AND r.rolname <> 'pg_stat_scan_tables'
	LOOP
		EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA pgmaint_internal TO %s', role);
	END LOOP;
END
$$;

-- "troubles" and escalations of 0.2 are alerts.  Their tables and views are renamed,
-- which keeps rows, numbers, privileges and dependent objects.
ALTER VIEW pgmaint.escalations RENAME TO alerts;
ALTER VIEW pgmaint.alerts RENAME COLUMN escalation_id TO alert_id;
ALTER VIEW pgmaint.finding_results RENAME COLUMN trouble_severity TO alert_severity;
ALTER VIEW pgmaint_internal.escalation_steps RENAME TO alert_steps;
ALTER VIEW pgmaint_internal.alert_steps RENAME COLUMN escalation_id TO alert_id;
ALTER TABLE pgmaint_internal.troubles RENAME TO alert_records;
ALTER TABLE pgmaint_internal.notified_troubles RENAME TO notified_alerts;
ALTER TABLE pgmaint_internal.alert_records RENAME COLUMN escalation_id TO alert_id;
ALTER TABLE pgmaint_internal.notified_alerts RENAME COLUMN escalation_id TO alert_id;
ALTER TABLE pgmaint_internal.acknowledgements RENAME COLUMN escalation_id TO alert_id;
ALTER TABLE pgmaint.findings RENAME COLUMN escalation_id TO alert_id;
ALTER INDEX pgmaint_internal.troubles_unresolved RENAME TO alert_records_unresolved;
ALTER INDEX pgmaint_internal.troubles_untold RENAME TO alert_records_untold;
ALTER INDEX pgmaint_internal.notified_troubles_notification RENAME TO notified_alerts_notification;
ALTER INDEX pgmaint_internal.acknowledgements_escalation RENAME TO acknowledgements_alert;
ALTER INDEX pgmaint.findings_unescalated RENAME TO findings_without_alert;
ALTER FUNCTION pgmaint_internal.note_troubles() RENAME TO note_alerts;
ALTER FUNCTION pgmaint_internal.resolve_troubles() RENAME TO resolve_alerts;
ALTER FUNCTION pgmaint_internal.weigh_troubles() RENAME TO weigh_alerts;
ALTER FUNCTION pgmaint_internal.queue_troubles() RENAME TO queue_alerts;
ALTER FUNCTION pgmaint_internal.html_trouble(pgmaint.finding_results) RENAME TO html_alert;

-- constraints: from PostgreSQL 18 on, NOT NULL is one with a name as well
DO $$
DECLARE
	member record;
BEGIN
	FOR member IN
		SELECT c.conrelid::pg_catalog.regclass::text AS name, c.conname,
			pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(c.conname::text,
				'notified_troubles', 'notified_alerts'), 'troubles', 'alert_records'), 'escalation_id', 'alert_id') AS new_name
		FROM pg_catalog.pg_constraint c
		WHERE c.conrelid IN ('pgmaint_internal.alert_records'::pg_catalog.regclass, 'pgmaint_internal.notified_alerts'::pg_catalog.regclass,
			'pgmaint_internal.acknowledgements'::pg_catalog.regclass)
	LOOP
		CONTINUE WHEN member.new_name = member.conname;
		EXECUTE pg_catalog.format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', member.name, member.conname, member.new_name);
	END LOOP;
END
$$;

-- An action says in words what came of a task, and how a report shows it.
ALTER TABLE pgmaint.tasks
	ADD COLUMN outcome text,
	ADD COLUMN shown_as text CHECK (shown_as IN ('step', 'count'));

-- The action compact
CREATE TABLE pgmaint_internal.hidden_space (
	relation oid PRIMARY KEY,
	first_block bigint NOT NULL,
	noted_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE TABLE pgmaint.compact_tables (
	relation regclass PRIMARY KEY,
	added_by name NOT NULL,
	added_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
SELECT pg_catalog.pg_extension_config_dump('pgmaint.compact_tables', 'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = relation)');

-- An argument cannot be renamed by a command, and a function that is dropped loses
-- its privileges, and what users made that calls it.
UPDATE pg_catalog.pg_proc SET proargnames = '{alert_id}'
WHERE oid = 'pgmaint.acknowledge(bigint)'::pg_catalog.regprocedure;

-- messages, of which those that were not sent yet name a view
ALTER TABLE pgmaint.notifications DROP CONSTRAINT notifications_kind_check;
UPDATE pgmaint.notifications SET kind = 'alert' WHERE kind = 'trouble';
UPDATE pgmaint.notifications SET body = pg_catalog.replace(body, E'\nSELECT * FROM pgmaint.escalations shows', E'\nSELECT * FROM pgmaint.alerts shows')
WHERE kind = 'alert' AND state IN ('pending', 'failed');
ALTER TABLE pgmaint.notifications ADD CONSTRAINT notifications_kind_check CHECK (kind IN ('alert', 'resolved', 'window', 'suspended'));
UPDATE pgmaint_internal.notified_alerts SET kind = 'alert' WHERE kind = 'trouble';

-- Alerts have the numbers of findings from now on: of findings whose numbers are
-- above all that alerts have had so far.  Rows that a publisher has sent have not
-- moved the sequences.
SELECT pg_catalog.setval('pgmaint.findings_finding_id_seq', n.highest)
FROM pgmaint.findings_finding_id_seq f
CROSS JOIN (SELECT greatest(
		(SELECT o.last_value FROM pgmaint_internal.troubles_escalation_id_seq o WHERE o.is_called),
		(SELECT pg_catalog.max(a.alert_id) FROM pgmaint_internal.alert_records a),
		(SELECT pg_catalog.max(g.finding_id) FROM pgmaint.findings g))) AS n (highest)
WHERE n.highest >= f.last_value + f.is_called::integer;
ALTER TABLE pgmaint_internal.alert_records ALTER COLUMN alert_id DROP IDENTITY;

-- The last finding of each alert has a number that is of no other alert: by that it
-- can be acknowledged without doubt.
DO $$
DECLARE
	alert record;
BEGIN
	FOR alert IN
		SELECT a.alert_id, a.check_id, a.object
		FROM pgmaint_internal.alert_records a
		JOIN pgmaint_internal.alert_records b ON b.alert_id = a.last_finding
		WHERE a.resolved_at IS NULL AND b.resolved_at IS NULL AND b.alert_id <> a.alert_id
		ORDER BY a.alert_id
	LOOP
		WITH named AS (
			INSERT INTO pgmaint.findings (check_id, severity, object, message, alert_id)
			VALUES (alert.check_id, 'info', alert.object, pg_catalog.format('alert %s is from before version 0.3; this finding gives it a number that no other alert has', alert.alert_id), alert.alert_id)
			RETURNING finding_id
		)
		UPDATE pgmaint_internal.alert_records a SET last_finding = n.finding_id FROM named n WHERE a.alert_id = alert.alert_id;
	END LOOP;
END
$$;

UPDATE pgmaint.thresholds t SET description = d.description
FROM (VALUES
	('repeated_backup_failure', 'critical', 'number of consecutive failed backups of the same database that makes an alert critical'),
	('repeated_failure', 'critical', 'number of consecutive failures of a task that makes an alert critical'),
	('lasting_warning', 'critical', 'time after which a warning that is neither resolved nor acknowledged makes an alert critical'),
	('backup_exists', 'critical', 'a database has fewer backups than this'),
	('backup_recent', 'warning', 'the newest backup of a database began longer ago than this'),
	('backup_recent', 'critical', 'the newest backup of a database began longer ago than this'),
	('backup_verified', 'warning', 'no backup of a database was proven by a restore for longer than this'),
	('bloat', 'warning', 'share of bloat in all tables and indexes by their last measurement'),
	('bloat', 'critical', 'share of bloat in all tables and indexes by their last measurement'),
	('statistics', 'warning', 'number of tables whose statistics are missing, or of which half the rows have changed since'),
	('wraparound', 'warning', 'age of the oldest transaction ID, or multixact ID, of a database'),
	('wraparound', 'critical', 'age of the oldest transaction ID, or multixact ID, of a database'),
	('checksums_enabled', 'warning', 'data checksums (1: enabled, 0: disabled) are below this value'),
	('checksum_failures', 'critical', 'number of pages with a wrong checksum that were read since the statistics were reset'),
	('invalid_indexes', 'warning', 'number of invalid indexes that are not being built'),
	('sequences', 'warning', 'share of the values of a sequence, or of the column that it fills, that are used'),
	('sequences', 'critical', 'share of the values of a sequence, or of the column that it fills, that are used'),
	('undelivered_messages', 'warning', 'a message to a contact was not delivered for longer than this'),
	('undelivered_messages', 'critical', 'a message to a contact was not delivered for longer than this'),
	('nobody_is_told', 'warning', 'number of critical alerts while no contact is defined'),
	('failed_runs', 'warning', 'number of runs of a plan in a row that did not succeed'),
	('failed_runs', 'critical', 'number of runs of a plan in a row that did not succeed'),
	('schedules', 'warning', 'number of schedules that missed a run within the last week'),
	('nothing_scheduled', 'warning', 'fewer plans than this are scheduled'),
	('replication_lag', 'warning', 'a standby is behind by longer than this'),
	('replication_lag', 'critical', 'a standby is behind by longer than this'),
	('replication_slots', 'warning', 'WAL that a replication slot retains'),
	('replication_slots', 'critical', 'WAL that a replication slot retains'),
	('archiver', 'warning', 'archiving of WAL has failed for longer than this'),
	('archiver', 'critical', 'archiving of WAL has failed for longer than this'),
	('disk_headroom', 'warning', 'ratio of free space in the file system of a tablespace to the size of the tablespace is below this'),
	('disk_headroom', 'critical', 'ratio of free space in the file system of a tablespace to the size of the tablespace is below this'),
	('disk_free', 'warning', 'free space in the file system of a tablespace is below this'),
	('disk_free', 'critical', 'free space in the file system of a tablespace is below this'),
	('long_transactions', 'warning', 'a transaction of a session is open for longer than this'),
	('long_transactions', 'critical', 'a transaction of a session is open for longer than this'),
	('prepared_transactions', 'warning', 'a prepared transaction is open for longer than this'),
	('prepared_transactions', 'critical', 'a prepared transaction is open for longer than this'),
	('connections', 'warning', 'share of the connections available to roles other than superusers that are in use'),
	('connections', 'critical', 'share of the connections available to roles other than superusers that are in use'),
	('pending_restart', 'warning', 'number of changed settings that wait for a restart'),
	('extensions', 'warning', 'number of extensions with a newer version installed on the server')
) AS d (check_id, threshold, description)
WHERE t.check_id = d.check_id AND t.threshold = d.threshold;

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
	verb CONSTANT text := substring(statement FROM E'^(.*?)\\sON\\s');
	kind CONSTANT text := coalesce(substring(statement FROM E'\\sON\\s+(FUNCTION|PROCEDURE|SCHEMA)\\s'), 'TABLE');
	roles CONSTANT text := substring(statement FROM E'\\s(?:TO|FROM)\\s[^()]*$');
	names CONSTANT text := regexp_replace(left(substr(statement, length(verb) + 1), -length(roles)), E'^\\s+ON\\s+(FUNCTION\\s|PROCEDURE\\s|SCHEMA\\s)?', '');
	name text;
	address text;
BEGIN
	FOR name IN SELECT btrim(n, E' \t\n') FROM regexp_split_to_table(names, E',(?![^()]*\\))') n LOOP
		address := CASE
			WHEN kind = 'SCHEMA' THEN 'pg_namespace'::regclass::oid || ':' || name::regnamespace::oid
			WHEN kind = 'TABLE' THEN 'pg_class'::regclass::oid || ':' || name::regclass::oid
			WHEN name ~ E'\\(' THEN 'pg_proc'::regclass::oid || ':' || name::regprocedure::oid
			ELSE 'pg_proc'::regclass::oid || ':' || name::regproc::oid END;
		CONTINUE WHEN address = ANY (known);
		EXECUTE format('%s ON %s %s%s', verb, kind, name, roles);
	END LOOP;
END
$$;
