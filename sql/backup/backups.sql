-- Backups: what was made, whether it was proven, what is there.

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
COMMENT ON COLUMN pgmaint_internal.backup_records.run_id IS 'the run that made it, which may be forgotten by now; null: it was adopted from its manifest';
COMMENT ON COLUMN pgmaint_internal.backup_records.task_id IS 'the task that made it, which may be forgotten by now; null where run_id is';
COMMENT ON COLUMN pgmaint_internal.backup_records.state IS 'running, succeeded, failed, expiring (being removed, or to be by the next run), expired (removed from its storage)';
COMMENT ON COLUMN pgmaint_internal.backup_records.error IS 'why the backup failed; null: it did not';
COMMENT ON COLUMN pgmaint_internal.backup_records.verification_run_id IS 'the run that last tried to prove it; null: none did';
COMMENT ON COLUMN pgmaint_internal.backup_records.expired_at IS 'when it was removed from its storage; null: it was not';
COMMENT ON COLUMN pgmaint_internal.backup_records.kind IS 'database: of pg_dump; globals: roles and tablespaces, of pg_dumpall';
COMMENT ON COLUMN pgmaint_internal.backup_records.selection IS 'which part of the database it holds; null: all of it';
COMMENT ON COLUMN pgmaint_internal.backup_records.bytes IS 'size of the object';
COMMENT ON COLUMN pgmaint_internal.backup_records.sha256 IS 'SHA-256 of the object';
COMMENT ON COLUMN pgmaint_internal.backup_records.dump_bytes IS 'size of the dump in it, before it was compressed';
COMMENT ON COLUMN pgmaint_internal.backup_records.database_bytes IS 'size of the database on disk when the backup began';
COMMENT ON COLUMN pgmaint_internal.backup_records.verified_at IS 'when it was last restored to prove it, and compared, with success';
COMMENT ON COLUMN pgmaint_internal.backup_records.verification IS 'what the last attempt to restore it to prove it came to; null: there was none';
COMMENT ON COLUMN pgmaint_internal.backup_records.verification_error IS 'why it was found not restorable';
COMMENT ON COLUMN pgmaint_internal.backup_records.restore_duration IS 'how long the last restore of it to prove it took that succeeded, under restore_settings';
COMMENT ON COLUMN pgmaint_internal.backup_records.identity IS 'of the database that made it, see pgmaint.identities: what another made never expires';
COMMENT ON COLUMN pgmaint_internal.backup_records.restore_settings IS 'where, and under which settings, restore_duration was measured; null: unknown, or there was no restore';
COMMENT ON COLUMN pgmaint_internal.backup_records.safe_restore_duration IS 'how long the last restore of it took that succeeded in this live server, with fsync on: by restore_backup, or by verify_backup in a database';
COMMENT ON COLUMN pgmaint_internal.backup_records.safe_restored_at IS 'when that was';
COMMENT ON COLUMN pgmaint_internal.backup_records.mark IS 'what stands on its objects, noted before they are removed: by then the manifest may be gone';

CREATE VIEW pgmaint.backups AS
SELECT
	b.backup_id,
	b.run_id,
	b.storage,
	b.key,
	b.database,
	-- the row of a backup that was interrupted stays until it is cleaned up
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
-- a join that is left out where nobody asks for restore_rate
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

COMMENT ON VIEW pgmaint.backups IS
	'every backup, newest first: how large it is, how long it took, when it was last proven by restoring it, how long that took, and how fast a restore in an emergency is';
COMMENT ON COLUMN pgmaint.backups.backup_id IS 'key: number of the backup';
COMMENT ON COLUMN pgmaint.backups.run_id IS 'the run that made it, which may be forgotten by now; null: the backup was adopted from its manifest';
COMMENT ON COLUMN pgmaint.backups.storage IS 'the foreign server that the object is on';
COMMENT ON COLUMN pgmaint.backups.key IS 'key of the object on the storage';
COMMENT ON COLUMN pgmaint.backups.database IS 'name of the database; null: roles and tablespaces, see kind';
COMMENT ON COLUMN pgmaint.backups.state IS 'running, succeeded, failed, interrupted (nothing of it counts), expiring (being removed, or to be by the next run), expired (removed from its storage)';
COMMENT ON COLUMN pgmaint.backups.bytes IS 'size of the object in bytes; null: the backup did not succeed';
COMMENT ON COLUMN pgmaint.backups.sha256 IS 'SHA-256 of the object, in hexadecimal; null: the backup did not succeed';
COMMENT ON COLUMN pgmaint.backups.started_at IS 'when the backup began';
COMMENT ON COLUMN pgmaint.backups.finished_at IS 'when it succeeded or failed; null: neither yet';
COMMENT ON COLUMN pgmaint.backups.verified_at IS 'when it was last restored to prove it, and compared, with success; null: never';
COMMENT ON COLUMN pgmaint.backups.restore_duration IS 'how long the last restore of it to prove it took, under restore_settings, which may be faster than those of an emergency; null: there was none';
COMMENT ON COLUMN pgmaint.backups.size IS 'bytes as a text with a unit';
COMMENT ON COLUMN pgmaint.backups.duration IS 'how long it took to make the backup; null: it has not ended';
COMMENT ON COLUMN pgmaint.backups.verification IS 'what the last attempt to prove it came to: restorable, not restorable, intact (roles and tablespaces, which are read, not restored), never verified; null: there is nothing to prove';
COMMENT ON COLUMN pgmaint.backups.error IS 'why the backup failed, or why it was found not restorable; null: neither';
COMMENT ON COLUMN pgmaint.backups.database_size IS 'database_bytes as a text with a unit';
COMMENT ON COLUMN pgmaint.backups.restore_rate IS 'how fast a restore in this live server is, with fsync on: bytes of the dump per second in the last one of this backup, or else in the newest one of the same database (of the same part of it, where the backup holds a part); null: there was none';
COMMENT ON COLUMN pgmaint.backups.kind IS 'database (of pg_dump), globals (roles and tablespaces, of pg_dumpall)';
COMMENT ON COLUMN pgmaint.backups.selection IS 'which part of the database it holds; null: all of it';
COMMENT ON COLUMN pgmaint.backups.server_version IS 'version of the server that it was made from; null: not known';
COMMENT ON COLUMN pgmaint.backups.dump_bytes IS 'size in bytes of the dump in the object, before compression; null: not known';
COMMENT ON COLUMN pgmaint.backups.database_bytes IS 'size in bytes of the database on disk when the backup began; null: not known';
COMMENT ON COLUMN pgmaint.backups.identity IS 'the database that made it, see pgmaint.identities: what another made never expires; null: not known';
COMMENT ON COLUMN pgmaint.backups.restore_settings IS 'where, and under which settings, restore_duration was measured; null: unknown, or there was no restore';
COMMENT ON COLUMN pgmaint.backups.safe_restore_duration IS 'how long the last restore of it took in this live server, with fsync on: by restore_backup, or by verify_backup in a database; null: there was none';
COMMENT ON COLUMN pgmaint.backups.safe_restored_at IS 'when that restore ended; null: there was none';

CREATE TABLE pgmaint_internal.scratch_databases (
	database name PRIMARY KEY,
	role name,
	owner name NOT NULL,
	task_id bigint NOT NULL,
	identity text DEFAULT pgmaint_internal.current_identity(),
	begun_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE INDEX scratch_databases_task ON pgmaint_internal.scratch_databases (task_id);

COMMENT ON TABLE pgmaint_internal.scratch_databases IS 'databases into which a backup is being restored: whatever is listed here and no task is at work on is dropped when the next run begins';
COMMENT ON COLUMN pgmaint_internal.scratch_databases.database IS 'name of the database';
COMMENT ON COLUMN pgmaint_internal.scratch_databases.role IS 'the role that was made for the database alone; null: none was';
COMMENT ON COLUMN pgmaint_internal.scratch_databases.owner IS 'whose the database must be to be dropped';
COMMENT ON COLUMN pgmaint_internal.scratch_databases.task_id IS 'the task in pgmaint.tasks that restores a backup into it';
COMMENT ON COLUMN pgmaint_internal.scratch_databases.begun_at IS 'when the row was written, before the database was made';
COMMENT ON COLUMN pgmaint_internal.scratch_databases.identity IS 'of the database that this was noted in, which tells a copy of it';

REVOKE ALL ON pgmaint_internal.backup_records, pgmaint.backups, pgmaint_internal.scratch_databases FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.backup_records, pgmaint.backups, pgmaint_internal.scratch_databases TO pg_monitor;
