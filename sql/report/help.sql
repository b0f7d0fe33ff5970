-- What a DBA types, for those who look at pgmaint for the first time.

-- Names and numbers in the commands are those of the documentation.  Each command is
-- executed by a test; topics are named as the chapters of the documentation.
CREATE VIEW pgmaint.help AS
SELECT h.topic, h.command, h.purpose
FROM (VALUES
	(1, 'monitoring'::text, 'SELECT * FROM pgmaint.status;'::text, 'see what to do next'::text),
	(2, 'monitoring', 'SELECT * FROM pgmaint.validate();', 'check everything now'),
	(3, 'plans', 'SELECT * FROM pgmaint.dry_run(''weekly'');', 'list due work, and why'),
	(4, 'plans', 'SELECT pgmaint.run(''weekly'');', 'run a plan'),
	(5, 'plans', 'SELECT * FROM pgmaint.progress;', 'watch the workers of a run'),
	(6, 'plans', 'SELECT pgmaint.report(1);', 'read the report of run 1'),
	(7, 'plans', 'SELECT pgmaint.cancel(1);', 'cancel run 1'),
	(8, 'schedules', 'SELECT * FROM pgmaint.schedule_all();', 'run plans by pg_cron'),
	(9, 'backups', 'SELECT pgmaint.run_action(''backup'');', 'back up this database'),
	(10, 'backups', 'SELECT pgmaint.run_action(''verify_backup'');', 'prove a backup by a restore'),
	(11, 'restoring', 'SELECT pgmaint.run_action(''restore_backup'', ''{"backup_id": 2}'');', 'restore into a new database'),
	(12, 'storage', 'SELECT * FROM pgmaint.check_storage(''pgmaint_local'');', 'check a storage'),
	(13, 'alerts', 'SELECT * FROM pgmaint.alerts;', 'list alerts'),
	(14, 'bloat', 'SELECT * FROM pgmaint.table_bloat();', 'estimate bloat of tables'),
	(15, 'compact', 'SELECT * FROM pgmaint.compact_candidates();', 'list tables to shrink'),
	(16, 'indexes', 'SELECT * FROM pgmaint.reindex_candidates();', 'list indexes that are due'),
	(17, 'windows', 'SELECT pgmaint.add_window(''night'', ''{0}'', ''01:00'', ''4 hours'');', 'allow rewrites on Sundays'),
	(18, 'retention', 'SELECT pgmaint.add_retention(''app.log'', ''at'', ''90 days'', storage => ''archives'');', 'archive and delete old rows'),
	(19, 'reviews', 'SELECT pgmaint.run(''quarterly'');', 'review queries and indexes'),
	(20, 'security', 'SELECT pgmaint.grant_access(''reader'', ''read'');', 'let a role read the ledger')
) AS h (nth, topic, command, purpose)
ORDER BY h.nth;

COMMENT ON VIEW pgmaint.help IS
	'the commands to begin with, the most needed topics first: SELECT * FROM pgmaint.help; replace numbers and names by your own';
COMMENT ON COLUMN pgmaint.help.topic IS 'what the command is about, as a chapter of the documentation is named';
COMMENT ON COLUMN pgmaint.help.command IS 'a complete SQL command, with its semicolon';
COMMENT ON COLUMN pgmaint.help.purpose IS 'what the command does, in a few words';

REVOKE ALL ON pgmaint.help FROM PUBLIC;
GRANT SELECT ON pgmaint.help TO pg_monitor;
