-- Comparisons of storages with the ledger, made by the action validate.

CREATE TABLE pgmaint.storage_checks (
	storage name PRIMARY KEY,
	identity text NOT NULL DEFAULT pgmaint_internal.current_identity(),
	checked_at timestamptz,
	objects bigint,
	known bigint,
	missing bigint,
	differing bigint,
	unknown bigint,
	foreign_objects bigint,
	incomplete bigint,
	error text,
	failed_at timestamptz,
	archives_read_at timestamptz,
	detail jsonb
);

COMMENT ON TABLE pgmaint.storage_checks IS 'one row for each storage that the action validate compared with the ledger: the result of the last comparison';
COMMENT ON COLUMN pgmaint.storage_checks.storage IS 'name of the storage (foreign server)';
COMMENT ON COLUMN pgmaint.storage_checks.identity IS 'identity of the database that compared the storage, see pgmaint.identities';
COMMENT ON COLUMN pgmaint.storage_checks.checked_at IS 'when the storage was last compared; null: never';
COMMENT ON COLUMN pgmaint.storage_checks.objects IS 'number of objects in the storage; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.known IS 'number of archives and backups of this database in the ledger; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.missing IS 'number of known objects that do not exist in the storage; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.differing IS 'number of known objects that have another size in the storage; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.unknown IS 'number of complete objects of this database that are not in the ledger; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.foreign_objects IS 'number of complete objects that are not in the ledger and that another database or an unknown one wrote; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.incomplete IS 'number of objects that have no manifest and are not in the ledger; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.error IS 'why the last attempt to compare the storage failed; null: the last attempt did not fail';
COMMENT ON COLUMN pgmaint.storage_checks.failed_at IS 'when the last attempt to compare the storage failed; null: the last attempt did not fail';
COMMENT ON COLUMN pgmaint.storage_checks.archives_read_at IS 'time up to which the byte budget for reading archives in turn is used up; null: no archive was read';
COMMENT ON COLUMN pgmaint.storage_checks.detail IS 'up to 100 each of the objects that are missing, differing or unknown, with their keys and sizes; null: never compared';

CREATE VIEW pgmaint_internal.storages_in_use AS
SELECT
	u.storage,
	pg_catalog.sum(u.archives)::bigint AS archives,
	pg_catalog.sum(u.backups)::bigint AS backups,
	pg_catalog.min(u.since) AS since
FROM (
	SELECT a.storage, pg_catalog.count(*) AS archives, 0 AS backups, pg_catalog.min(a.created_at) AS since
	FROM pgmaint.archives a
	WHERE a.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i)
	GROUP BY a.storage
	UNION ALL
	SELECT b.storage, 0, pg_catalog.count(*), pg_catalog.min(b.started_at)
	FROM pgmaint_internal.backup_records b
	WHERE b.state = 'succeeded' AND b.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i)
	GROUP BY b.storage
	UNION ALL
	SELECT p.storage, 0, 0, p.added_at
	FROM pgmaint.retention_policies p
	WHERE p.archive
) u
GROUP BY u.storage;

COMMENT ON VIEW pgmaint_internal.storages_in_use IS
	'storages that hold archives or backups of this database, or that a retention policy names: the action validate compares them with the ledger';
COMMENT ON COLUMN pgmaint_internal.storages_in_use.archives IS 'number of archives of this database in the storage';
COMMENT ON COLUMN pgmaint_internal.storages_in_use.backups IS 'number of backups of this database in the storage';
COMMENT ON COLUMN pgmaint_internal.storages_in_use.since IS 'when the first archive or backup was written, or the first policy added';

CREATE FUNCTION pgmaint.adopt_archive(storage text, key text)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_adopt_archive';

COMMENT ON FUNCTION pgmaint.adopt_archive(text, text) IS
	'Adds an archive that is complete in a storage but not in the ledger to pgmaint.archives, as its manifest describes it, and returns its archive_id. '
	'The object must have the size that its manifest says; verify_archive() compares its contents. '
	'If another database wrote the archive, that database stays its owner: take_over() without an argument does not take that database over. '
	'Requires USAGE on the storage. '
	'Errors: an object that does not exist, is already in the ledger, is being written, has no manifest of an archive, or has another size than its manifest says. Returns null if an argument is null.';

CREATE FUNCTION pgmaint.remove_object(storage text, key text)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_remove_object';

COMMENT ON FUNCTION pgmaint.remove_object(text, text) IS
	'Removes an archive or a backup, with its manifest, from a storage; returns false if the object does not exist. '
	'Only an object that this database wrote and that is not in the ledger is removed. Requires USAGE on the storage. '
	'Errors: an object that is in the ledger, is being written, was written by another database or has no manifest; a database that may be a copy. Returns null if an argument is null.';

REVOKE ALL ON pgmaint.storage_checks, pgmaint_internal.storages_in_use FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.adopt_archive(text, text),
	pgmaint.remove_object(text, text)
FROM PUBLIC;
GRANT SELECT ON pgmaint.storage_checks, pgmaint_internal.storages_in_use TO pg_monitor;
