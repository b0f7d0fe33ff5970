-- What the action validate found when it compared storages with the ledger.

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

COMMENT ON TABLE pgmaint.storage_checks IS 'one row for each storage that the action validate compared with the ledger: what the last comparison found';
COMMENT ON COLUMN pgmaint.storage_checks.storage IS 'name of the storage, a foreign server';
COMMENT ON COLUMN pgmaint.storage_checks.identity IS 'the database that compared it, see pgmaint.identities';
COMMENT ON COLUMN pgmaint.storage_checks.checked_at IS 'when it was last compared; null: never';
COMMENT ON COLUMN pgmaint.storage_checks.objects IS 'number of objects on the storage; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.known IS 'archives and backups of this database that stand in the ledger; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.missing IS 'how many of these have no object on the storage; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.differing IS 'how many of these have an object of another size; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.unknown IS 'complete objects of this database that stand in no row of the ledger; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.foreign_objects IS 'complete objects that stand in no row of the ledger, and are of other databases, or of no known one; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.incomplete IS 'objects without a manifest that stand in no row of the ledger; null: never compared';
COMMENT ON COLUMN pgmaint.storage_checks.error IS 'why the last attempt to compare it failed; null: it did not';
COMMENT ON COLUMN pgmaint.storage_checks.failed_at IS 'when that attempt failed; null: it did not';
COMMENT ON COLUMN pgmaint.storage_checks.archives_read_at IS 'up to when the budget of bytes for reading archives in turn is used up; null: it never was';
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
	'storages on which this database has archives and backups, or which a retention policy names: the action validate compares them with the ledger';
COMMENT ON COLUMN pgmaint_internal.storages_in_use.archives IS 'archives of this database on the storage';
COMMENT ON COLUMN pgmaint_internal.storages_in_use.backups IS 'backups of this database on the storage';
COMMENT ON COLUMN pgmaint_internal.storages_in_use.since IS 'when the first of these was written, or added';

CREATE FUNCTION pgmaint.adopt_archive(storage text, key text)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_adopt_archive';

COMMENT ON FUNCTION pgmaint.adopt_archive(text, text) IS
	'add an archive that is complete on a storage, and that the ledger does not know, to pgmaint.archives, as its manifest describes it; returns its number';

CREATE FUNCTION pgmaint.remove_object(storage text, key text)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_remove_object';

COMMENT ON FUNCTION pgmaint.remove_object(text, text) IS
	'remove an archive or a backup that this database wrote, and that stands in no row of the ledger, with its manifest from a storage; false if there was no such object';

REVOKE ALL ON pgmaint.storage_checks, pgmaint_internal.storages_in_use FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.adopt_archive(text, text),
	pgmaint.remove_object(text, text)
FROM PUBLIC;
GRANT SELECT ON pgmaint.storage_checks, pgmaint_internal.storages_in_use TO pg_monitor;
