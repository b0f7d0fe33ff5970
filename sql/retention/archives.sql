-- Archives: objects in storages with rows that retention policies removed.

CREATE TABLE pgmaint.archives (
	archive_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	policy_id bigint NOT NULL,
	run_id bigint NOT NULL,
	relation text NOT NULL,
	storage name NOT NULL,
	key text NOT NULL,
	rows bigint NOT NULL,
	bytes bigint NOT NULL,
	sha256 text NOT NULL,
	range_from timestamptz NOT NULL,
	range_to timestamptz NOT NULL,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	partition text,
	content_bytes bigint NOT NULL,
	content_sha256 text NOT NULL,
	compression text NOT NULL,
	columns text[] NOT NULL,
	verified_at timestamptz,
	identity text DEFAULT pgmaint_internal.current_identity(),
	adopted_at timestamptz,
	checked_at timestamptz,
	check_result text CHECK (check_result IN ('whole', 'damaged', 'not readable')),
	check_error text,
	UNIQUE (storage, key)
);

CREATE INDEX archives_relation ON pgmaint.archives (relation, range_from);
CREATE INDEX archives_damaged ON pgmaint.archives (storage) WHERE check_result = 'damaged';

COMMENT ON TABLE pgmaint.archives IS 'one row for each object with archived rows, written in the transaction that deleted the rows';
COMMENT ON COLUMN pgmaint.archives.archive_id IS 'number of the archive, for verify_archive() and restore_archive()';
COMMENT ON COLUMN pgmaint.archives.policy_id IS 'number of the retention policy in the database that wrote the archive; the policy may have been dropped since; 0: unknown';
COMMENT ON COLUMN pgmaint.archives.run_id IS 'number of the run in the database that wrote the archive; the run may have been removed from the ledger since; 0: unknown';
COMMENT ON COLUMN pgmaint.archives.relation IS 'table of the policy with its schema, as it was named when the archive was written';
COMMENT ON COLUMN pgmaint.archives.storage IS 'storage (foreign server) that holds the object';
COMMENT ON COLUMN pgmaint.archives.key IS 'key of the object in the storage';
COMMENT ON COLUMN pgmaint.archives.rows IS 'number of rows in the object';
COMMENT ON COLUMN pgmaint.archives.bytes IS 'size of the object in bytes';
COMMENT ON COLUMN pgmaint.archives.sha256 IS 'SHA-256 of the object, in hexadecimal';
COMMENT ON COLUMN pgmaint.archives.range_from IS 'start of the time range of the rows, inclusive';
COMMENT ON COLUMN pgmaint.archives.range_to IS 'end of the time range of the rows, exclusive';
COMMENT ON COLUMN pgmaint.archives.created_at IS 'when the archive was written';
COMMENT ON COLUMN pgmaint.archives.partition IS 'partition that held the rows, with its schema; null: the table was not partitioned';
COMMENT ON COLUMN pgmaint.archives.content_bytes IS 'size of the CSV in the object before compression, in bytes';
COMMENT ON COLUMN pgmaint.archives.content_sha256 IS 'SHA-256 of the CSV before compression, in hexadecimal';
COMMENT ON COLUMN pgmaint.archives.compression IS 'gzip, zstd or none';
COMMENT ON COLUMN pgmaint.archives.columns IS 'names of the columns of the CSV, in the order of the CSV';
COMMENT ON COLUMN pgmaint.archives.verified_at IS 'when the object was last read and equal to the ledger; null: never';
COMMENT ON COLUMN pgmaint.archives.identity IS 'identity of the database that wrote the archive, see pgmaint.identities; null: unknown';
COMMENT ON COLUMN pgmaint.archives.adopted_at IS 'when adopt_archive() added an archive that another database wrote: take_over() does not take over that database; null: this database wrote the archive';
COMMENT ON COLUMN pgmaint.archives.checked_at IS 'when the action validate or verify_archive() last tried to read the object; null: never';
COMMENT ON COLUMN pgmaint.archives.check_result IS 'result of the last check: whole, damaged, or not readable (this server cannot read the storage class or the compression of the object); null: never checked';
COMMENT ON COLUMN pgmaint.archives.check_error IS 'how the object is damaged, or why the object is not readable; null: neither';

SELECT pg_catalog.pg_extension_config_dump('pgmaint.archives', '');
SELECT pg_catalog.pg_extension_config_dump('pgmaint.archives_archive_id_seq', '');

CREATE FUNCTION pgmaint.verify_archive(archive_id bigint)
RETURNS TABLE (item text, expected text, found text, ok boolean)
LANGUAGE c VOLATILE STRICT ROWS 10 COST 1000000
AS 'MODULE_PATHNAME', 'pgmaint_verify_archive';

COMMENT ON FUNCTION pgmaint.verify_archive(bigint) IS
	'Downloads an archive and compares it with the ledger. '
	'Returns one row for each of bytes, sha256, content_bytes, content_sha256 and rows: item, expected (the value in the ledger), found (the value of the object) and ok (whether both are equal); bytes and sha256 are those of the object, content_bytes and content_sha256 those of the CSV before compression. '
	'Records the result in pgmaint.archives, except on a standby and in a read-only transaction: check_result is whole or damaged, check_error says how the object is damaged, and verified_at is set if all values are equal. '
	'Requires USAGE on the storage. '
	'Errors: unknown archive_id; an object that cannot be read or decompressed. Returns no rows if archive_id is null.';

CREATE FUNCTION pgmaint.restore_archive(archive_id bigint, "into" regclass)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_restore_archive';

COMMENT ON FUNCTION pgmaint.restore_archive(bigint, regclass) IS
	'Copies all rows of an archive into the table into, column by name, and returns the number of rows; if an error occurs, no row is restored. '
	'Requires USAGE on the storage, and INSERT on the table or on each archived column. '
	'Rows are inserted as the owner of the table if the caller has all rights of the owner but the owner does not have all rights of the caller, and as the caller otherwise. '
	'Inserting as the owner is a security-restricted operation, and deferred constraints are checked immediately for the rest of the transaction. '
	'Errors: unknown archive_id; a column that is missing or generated; row-level security that applies to the caller; an object that differs from the ledger; a table whose column types, defaults, constraints, indexes, partition keys or triggers would run code of a role that does not have the rights of the inserting role (the error names the code, its owner and what calls it). '
	'The next run of the policy removes rows that were restored into the table of the policy. Returns null if an argument is null.';

REVOKE ALL ON pgmaint.archives FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.verify_archive(bigint),
	pgmaint.restore_archive(bigint, regclass)
FROM PUBLIC;
GRANT SELECT ON pgmaint.archives TO pg_monitor;
