-- The ledger of backups, and the databases into which backups are being restored.

CREATE TABLE pgmaint_internal.backup_records (
	backup_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	run_id bigint,
	task_id bigint,
	storage name NOT NULL,
	key text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('database', 'globals')),
	database name CHECK ((kind = 'database') = (database IS NOT NULL)),
	selection jsonb,
	state text NOT NULL DEFAULT 'running'
		CHECK (state IN ('running', 'succeeded', 'failed', 'expiring', 'expired')),
	error text,
	compression text NOT NULL,
	bytes bigint,
	sha256 text,
	dump_bytes bigint,
	database_bytes bigint,
	server_version text,
	started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	finished_at timestamptz,
	verified_at timestamptz,
	verification text CHECK (verification IN ('restorable', 'not restorable', 'intact')),
	verification_error text,
	restore_duration interval,
	verification_run_id bigint,
	expired_at timestamptz,
	mark text,
	identity text DEFAULT pgmaint_internal.current_identity(),
	restore_settings text,
	safe_restore_duration interval,
	safe_restored_at timestamptz,
	UNIQUE (storage, key)
) WITH (fillfactor = 70);

CREATE INDEX backup_records_task ON pgmaint_internal.backup_records (task_id);
CREATE INDEX backup_records_series ON pgmaint_internal.backup_records (database, storage, started_at);

COMMENT ON TABLE pgmaint_internal.backup_records IS 'one row for each backup that was begun: pgmaint.backups shows them';
COMMENT ON COLUMN pgmaint_internal.backup_records.run_id IS 'the run that made the backup; its rows may have been deleted since; null: the backup was adopted from its manifest';
COMMENT ON COLUMN pgmaint_internal.backup_records.task_id IS 'the task that made the backup; its row may have been deleted since; null where run_id is null';
COMMENT ON COLUMN pgmaint_internal.backup_records.state IS 'running, succeeded, failed, expiring (its removal has begun, and the next run completes it), expired (removed from its storage)';
COMMENT ON COLUMN pgmaint_internal.backup_records.error IS 'why the backup failed; null: the backup did not fail';
COMMENT ON COLUMN pgmaint_internal.backup_records.verification_run_id IS 'the run that last tried to verify the backup; null: none did';
COMMENT ON COLUMN pgmaint_internal.backup_records.expired_at IS 'when the backup was removed from its storage; null: it was not removed';
COMMENT ON COLUMN pgmaint_internal.backup_records.kind IS 'database: a dump of pg_dump; globals: roles and tablespaces, a script of pg_dumpall';
COMMENT ON COLUMN pgmaint_internal.backup_records.selection IS 'the options that selected a part of the database; null: the whole database';
COMMENT ON COLUMN pgmaint_internal.backup_records.bytes IS 'size of the object';
COMMENT ON COLUMN pgmaint_internal.backup_records.sha256 IS 'SHA-256 of the object';
COMMENT ON COLUMN pgmaint_internal.backup_records.dump_bytes IS 'size of the dump in the object before compression';
COMMENT ON COLUMN pgmaint_internal.backup_records.database_bytes IS 'size of the database on disk when the backup began';
COMMENT ON COLUMN pgmaint_internal.backup_records.verified_at IS 'when the backup was last verified with success';
COMMENT ON COLUMN pgmaint_internal.backup_records.verification IS 'result of the last attempt to verify the backup; null: there was none';
COMMENT ON COLUMN pgmaint_internal.backup_records.verification_error IS 'why the backup was found not restorable';
COMMENT ON COLUMN pgmaint_internal.backup_records.restore_duration IS 'duration of the last successful restore of the backup by verify_backup, under restore_settings';
COMMENT ON COLUMN pgmaint_internal.backup_records.identity IS 'identity of the database that made the backup, see pgmaint.identities; backups that another database made never expire';
COMMENT ON COLUMN pgmaint_internal.backup_records.restore_settings IS 'the server and the settings with which restore_duration was measured; null: unknown, or the backup was not restored';
COMMENT ON COLUMN pgmaint_internal.backup_records.safe_restore_duration IS 'duration of the last successful restore of the backup in this live server with fsync on: by restore_backup, or by verify_backup in a database';
COMMENT ON COLUMN pgmaint_internal.backup_records.safe_restored_at IS 'when the restore of safe_restore_duration ended';
COMMENT ON COLUMN pgmaint_internal.backup_records.mark IS 'the mark of the objects of the backup, recorded before they are removed: the manifest may be removed first';

CREATE VIEW pgmaint.backups AS
SELECT
	b.backup_id,
	b.run_id,
	b.storage,
	b.key,
	b.database,
	-- the row of an interrupted backup stays until its task is cleaned up
	CASE WHEN b.state = 'running' AND t.state IS DISTINCT FROM 'running' THEN 'interrupted' ELSE b.state END AS state,
	b.bytes,
	b.sha256,
	b.started_at,
	b.finished_at,
	b.verified_at,
	b.restore_duration,
	pg_catalog.pg_size_pretty(b.bytes) AS size,
	pg_catalog.date_trunc('milliseconds', b.finished_at - b.started_at) AS duration,
	coalesce(b.verification, CASE WHEN b.state = 'succeeded' THEN 'never verified' END) AS verification,
	coalesce(b.error, b.verification_error) AS error,
	pg_catalog.pg_size_pretty(b.database_bytes) AS database_size,
	pg_catalog.pg_size_pretty(coalesce(
		CASE WHEN b.safe_restore_duration > interval '0' THEN b.dump_bytes / pg_catalog.extract('epoch', b.safe_restore_duration) END,
		p.bytes_per_second)::bigint) || ' per second' AS restore_rate,
	b.kind,
	b.selection,
	b.server_version,
	b.dump_bytes,
	b.database_bytes,
	b.identity,
	b.restore_settings,
	b.safe_restore_duration,
	b.safe_restored_at
FROM pgmaint_internal.backup_records b
LEFT JOIN pgmaint.tasks t ON t.task_id = b.task_id
-- the planner leaves out this join where restore_rate is not selected
LEFT JOIN (
	SELECT DISTINCT ON (s.database, part)
		s.database,
		coalesce(s.selection, '{}') AS part,
		s.dump_bytes / pg_catalog.extract('epoch', s.safe_restore_duration) AS bytes_per_second
	FROM pgmaint_internal.backup_records s
	WHERE s.safe_restore_duration > interval '0' AND s.dump_bytes IS NOT NULL
	ORDER BY s.database, part, s.safe_restored_at DESC, s.backup_id DESC
) p ON p.database = b.database AND p.part = coalesce(b.selection, '{}')
ORDER BY b.started_at DESC, b.backup_id DESC;

COMMENT ON VIEW pgmaint.backups IS 'every backup, newest first: its size, its duration, when it was last verified, how long the restore took, and how fast a restore in this server is';
COMMENT ON COLUMN pgmaint.backups.backup_id IS 'key: number of the backup';
COMMENT ON COLUMN pgmaint.backups.run_id IS 'the run that made the backup; its rows may have been deleted since; null: the backup was adopted from its manifest';
COMMENT ON COLUMN pgmaint.backups.storage IS 'foreign server that is the storage of the object';
COMMENT ON COLUMN pgmaint.backups.key IS 'key of the object in the storage';
COMMENT ON COLUMN pgmaint.backups.database IS 'name of the database; null: roles and tablespaces, see kind';
COMMENT ON COLUMN pgmaint.backups.state IS 'running, succeeded, failed, interrupted (not usable), expiring (its removal has begun, and the next run completes it), expired (removed from its storage)';
COMMENT ON COLUMN pgmaint.backups.bytes IS 'size of the object in bytes; null: the backup did not succeed';
COMMENT ON COLUMN pgmaint.backups.sha256 IS 'SHA-256 of the object, in hexadecimal; null: the backup did not succeed';
COMMENT ON COLUMN pgmaint.backups.started_at IS 'when the backup began';
COMMENT ON COLUMN pgmaint.backups.finished_at IS 'when the backup succeeded or failed; null: the backup is running';
COMMENT ON COLUMN pgmaint.backups.verified_at IS 'when the backup was last verified with success; null: never';
COMMENT ON COLUMN pgmaint.backups.restore_duration IS 'duration of the last successful restore of the backup by verify_backup, under restore_settings, which may be faster than those of an emergency; null: there was none';
COMMENT ON COLUMN pgmaint.backups.size IS 'bytes as a text with a unit';
COMMENT ON COLUMN pgmaint.backups.duration IS 'how long making the backup took; null: the backup is running';
COMMENT ON COLUMN pgmaint.backups.verification IS 'result of the last attempt to verify the backup: restorable, not restorable, intact (roles and tablespaces, which are read, not restored), never verified; null: there is nothing to verify';
COMMENT ON COLUMN pgmaint.backups.error IS 'why the backup failed, or why it was found not restorable; null: neither';
COMMENT ON COLUMN pgmaint.backups.database_size IS 'database_bytes as a text with a unit';
COMMENT ON COLUMN pgmaint.backups.restore_rate IS 'how fast a restore in this live server with fsync on is: bytes of the dump per second in the last restore of this backup, or else in the newest restore of a backup of the same database (and of the same part of it); null: there was none';
COMMENT ON COLUMN pgmaint.backups.kind IS 'database (a dump of pg_dump) or globals (roles and tablespaces, a script of pg_dumpall)';
COMMENT ON COLUMN pgmaint.backups.selection IS 'the options that selected a part of the database; null: the whole database';
COMMENT ON COLUMN pgmaint.backups.server_version IS 'version of the server that was backed up; null: unknown';
COMMENT ON COLUMN pgmaint.backups.dump_bytes IS 'size in bytes of the dump in the object before compression; null: unknown';
COMMENT ON COLUMN pgmaint.backups.database_bytes IS 'size in bytes of the database on disk when the backup began; null: unknown';
COMMENT ON COLUMN pgmaint.backups.identity IS 'identity of the database that made the backup, see pgmaint.identities; backups that another database made never expire; null: unknown';
COMMENT ON COLUMN pgmaint.backups.restore_settings IS 'the server and the settings with which restore_duration was measured; null: unknown, or the backup was not restored';
COMMENT ON COLUMN pgmaint.backups.safe_restore_duration IS 'duration of the last successful restore of the backup in this live server with fsync on: by restore_backup, or by verify_backup in a database; null: there was none';
COMMENT ON COLUMN pgmaint.backups.safe_restored_at IS 'when the restore of safe_restore_duration ended; null: there was none';

CREATE TABLE pgmaint_internal.scratch_databases (
	database name PRIMARY KEY,
	role name,
	owner name NOT NULL,
	task_id bigint NOT NULL,
	identity text DEFAULT pgmaint_internal.current_identity(),
	begun_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE INDEX scratch_databases_task ON pgmaint_internal.scratch_databases (task_id);

COMMENT ON TABLE pgmaint_internal.scratch_databases IS 'databases into which a backup is being restored: the next run drops those whose task has ended';
COMMENT ON COLUMN pgmaint_internal.scratch_databases.database IS 'name of the database';
COMMENT ON COLUMN pgmaint_internal.scratch_databases.role IS 'the role that was created for this database only; null: there is none';
COMMENT ON COLUMN pgmaint_internal.scratch_databases.owner IS 'the expected owner of the database: a database of another owner is not dropped';
COMMENT ON COLUMN pgmaint_internal.scratch_databases.task_id IS 'the task in pgmaint.tasks that restores a backup into the database';
COMMENT ON COLUMN pgmaint_internal.scratch_databases.begun_at IS 'when the row was written, before the database was created';
COMMENT ON COLUMN pgmaint_internal.scratch_databases.identity IS 'identity of the database that this row was written in; a copy of that database leaves the row alone';

REVOKE ALL ON pgmaint_internal.backup_records, pgmaint.backups, pgmaint_internal.scratch_databases FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.backup_records, pgmaint.backups, pgmaint_internal.scratch_databases TO pg_monitor;
