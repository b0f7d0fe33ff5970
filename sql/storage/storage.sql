
--
-- Storages: where archives and backups go
--

CREATE FUNCTION pgmaint_internal.storage_validator(options text[], catalog oid) RETURNS void
	LANGUAGE c STRICT
	AS 'MODULE_PATHNAME', 'pgmaint_storage_validator';
COMMENT ON FUNCTION pgmaint_internal.storage_validator IS
	'Checks the options of storages and of their user mappings. Error: an option or a value that is not valid.';

CREATE FOREIGN DATA WRAPPER pgmaint_storage VALIDATOR pgmaint_internal.storage_validator;
COMMENT ON FOREIGN DATA WRAPPER pgmaint_storage IS
	'the servers of this wrapper are the storages of pgmaint: a bucket of S3 or of a compatible server, or a folder of the database server';

CREATE SERVER pgmaint_local FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file:pgmaint');
COMMENT ON SERVER pgmaint_local IS
	'storage that exists from the start: a folder below the data directory';

-- Never dumped: after a restore, a name counts until the OID of its server is
-- known again.
CREATE TABLE pgmaint_internal.storage_names (
	system_identifier text NOT NULL,
	database oid NOT NULL,
	storage name NOT NULL,
	server oid NOT NULL,
	owner oid NOT NULL,
	PRIMARY KEY (system_identifier, database, storage)
);

COMMENT ON TABLE pgmaint_internal.storage_names IS
	'the foreign server of each storage in the ledger; when a server is renamed, the ledger is updated';
COMMENT ON COLUMN pgmaint_internal.storage_names.system_identifier IS 'system identifier of the cluster; rows of another cluster or database were copied with the data directory';
COMMENT ON COLUMN pgmaint_internal.storage_names.database IS 'OID of the database';
COMMENT ON COLUMN pgmaint_internal.storage_names.storage IS 'name of the storage in the ledger';
COMMENT ON COLUMN pgmaint_internal.storage_names.server IS 'OID of the server; 0: the server was dropped';
COMMENT ON COLUMN pgmaint_internal.storage_names.owner IS 'OID of the last known owner of the server';

REVOKE ALL ON pgmaint_internal.storage_names FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.storage_names TO pg_monitor;

CREATE FUNCTION pgmaint.list_objects(
	storage text,
	prefix text DEFAULT '',
	OUT key text,
	OUT bytes bigint,
	OUT last_modified timestamptz,
	OUT etag text,
	OUT size text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 500 COST 1000000
	AS 'MODULE_PATHNAME', 'pgmaint_list_objects';
COMMENT ON FUNCTION pgmaint.list_objects IS
	'Lists the objects of a storage whose keys begin with prefix (default: all objects), in the order of their keys. '
	'Returns one row for each object: key, bytes, last_modified, etag (null for folders) and size (bytes with a unit, as text). '
	'Requires USAGE on the storage. Errors: a null argument; unknown storage; a storage that cannot be listed.';

CREATE FUNCTION pgmaint.check_storage(
	storage text,
	OUT step text,
	OUT status text,
	OUT duration interval,
	OUT detail text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 5 COST 1000000
	AS 'MODULE_PATHNAME', 'pgmaint_check_storage';
COMMENT ON FUNCTION pgmaint.check_storage IS
	'Tests whether a storage works: it writes, looks up, reads, lists and deletes a small object whose key begins with .pgmaint-check-. '
	'Returns one row for each step: step (put, head, get, list or delete), status (ok, failed, or not tried if the object could not be written), duration, and detail (the reason of a failure). '
	'Requires USAGE on the storage. Error: null or unknown storage. '
	'If the check is cancelled, its object may be left in the storage.';

REVOKE ALL ON FUNCTION pgmaint_internal.storage_validator, pgmaint.list_objects, pgmaint.check_storage FROM PUBLIC;
