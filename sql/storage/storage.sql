
--
-- Storages: where archives and backups go
--

CREATE FUNCTION pgmaint_internal.storage_validator(options text[], catalog oid) RETURNS void
	LANGUAGE c STRICT
	AS 'MODULE_PATHNAME', 'pgmaint_storage_validator';
COMMENT ON FUNCTION pgmaint_internal.storage_validator IS
	'refuses what a storage, or a user mapping for one, cannot be';

CREATE FOREIGN DATA WRAPPER pgmaint_storage VALIDATOR pgmaint_internal.storage_validator;
COMMENT ON FOREIGN DATA WRAPPER pgmaint_storage IS
	'its servers are storages of pgmaint: S3, and what speaks like it, or a folder';

CREATE SERVER pgmaint_local FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file:pgmaint');
COMMENT ON SERVER pgmaint_local IS
	'a folder below the data directory, so that everything works before there is another storage';

-- Never dumped: a name counts until its OID is known again.
CREATE TABLE pgmaint_internal.storage_names (
	system_identifier text NOT NULL,
	database oid NOT NULL,
	storage name NOT NULL,
	server oid NOT NULL,
	owner oid NOT NULL,
	PRIMARY KEY (system_identifier, database, storage)
);

COMMENT ON TABLE pgmaint_internal.storage_names IS
	'which foreign server each storage of the ledger is: when it is renamed, the ledger follows';
COMMENT ON COLUMN pgmaint_internal.storage_names.system_identifier IS 'system identifier of the cluster; with database: rows of another came with a copy';
COMMENT ON COLUMN pgmaint_internal.storage_names.database IS 'OID of the database';
COMMENT ON COLUMN pgmaint_internal.storage_names.storage IS 'name of the storage in the ledger';
COMMENT ON COLUMN pgmaint_internal.storage_names.server IS 'OID of the server; 0: it was dropped';
COMMENT ON COLUMN pgmaint_internal.storage_names.owner IS 'OID of the role that owned it last';

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
	'the objects in a storage whose keys begin with the prefix, in the order of the keys';

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
	'does a storage work: puts, looks at, gets, lists and deletes a small object, and tells how long each took or why it failed';

REVOKE ALL ON FUNCTION pgmaint_internal.storage_validator, pgmaint.list_objects, pgmaint.check_storage FROM PUBLIC;
