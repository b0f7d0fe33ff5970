-- The archives: what has left its table, and where it is.

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

COMMENT ON TABLE pgmaint.archives IS 'one row for each object with archived rows: written in the transaction that deleted them';
COMMENT ON COLUMN pgmaint.archives.archive_id IS 'number of the archive, for verify_archive() and restore_archive()';
COMMENT ON COLUMN pgmaint.archives.policy_id IS 'number of the retention policy, of the database that wrote the archive, which may be dropped by now; 0: not known';
COMMENT ON COLUMN pgmaint.archives.run_id IS 'number of the run, of the database that wrote the archive, which may be forgotten by now; 0: not known';
COMMENT ON COLUMN pgmaint.archives.relation IS 'the table of the policy, with its schema, as it was named then';
COMMENT ON COLUMN pgmaint.archives.storage IS 'the foreign server that the object is on';
COMMENT ON COLUMN pgmaint.archives.key IS 'key of the object on the storage';
COMMENT ON COLUMN pgmaint.archives.rows IS 'number of rows in the object';
COMMENT ON COLUMN pgmaint.archives.bytes IS 'size of the object in bytes';
COMMENT ON COLUMN pgmaint.archives.sha256 IS 'SHA-256 of the object, in hexadecimal';
COMMENT ON COLUMN pgmaint.archives.range_from IS 'start of the time range of the rows, inclusive';
COMMENT ON COLUMN pgmaint.archives.range_to IS 'end of the time range of the rows, exclusive';
COMMENT ON COLUMN pgmaint.archives.created_at IS 'when the archive was written';
COMMENT ON COLUMN pgmaint.archives.partition IS 'the partition that the rows were in, with its schema; null: the table had none';
COMMENT ON COLUMN pgmaint.archives.content_bytes IS 'size in bytes of the CSV in the object, before compression';
COMMENT ON COLUMN pgmaint.archives.content_sha256 IS 'SHA-256 of the CSV, in hexadecimal';
COMMENT ON COLUMN pgmaint.archives.compression IS 'gzip, zstd or none';
COMMENT ON COLUMN pgmaint.archives.columns IS 'names of the columns of the CSV, in their order';
COMMENT ON COLUMN pgmaint.archives.verified_at IS 'when the object was last read and found whole; null: never';
COMMENT ON COLUMN pgmaint.archives.identity IS 'the database that wrote the archive, see pgmaint.identities; null: not known';
COMMENT ON COLUMN pgmaint.archives.adopted_at IS 'when adopt_archive() added it although another database wrote it: take_over() does not take that database over; null: it did not';
COMMENT ON COLUMN pgmaint.archives.checked_at IS 'when reading the object was last tried, by the action validate or verify_archive(); null: never since it was written';
COMMENT ON COLUMN pgmaint.archives.check_result IS 'what came of that: whole, damaged, not readable (its storage class, or its compression, cannot be read from here); null: not checked';
COMMENT ON COLUMN pgmaint.archives.check_error IS 'how the object is damaged, or why it is not readable; null: neither';

SELECT pg_catalog.pg_extension_config_dump('pgmaint.archives', '');
SELECT pg_catalog.pg_extension_config_dump('pgmaint.archives_archive_id_seq', '');

CREATE FUNCTION pgmaint.verify_archive(archive_id bigint)
RETURNS TABLE (item text, expected text, found text, ok boolean)
LANGUAGE c VOLATILE STRICT ROWS 10 COST 1000000
AS 'MODULE_PATHNAME', 'pgmaint_verify_archive';

COMMENT ON FUNCTION pgmaint.verify_archive(bigint) IS
	'download an archive, and compare size, rows and digests with what was written down when it was made';

CREATE FUNCTION pgmaint.restore_archive(archive_id bigint, "into" regclass)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_restore_archive';

COMMENT ON FUNCTION pgmaint.restore_archive(bigint, regclass) IS
	'copy the rows of an archive into a table, column by name, all or none; returns how many';

REVOKE ALL ON pgmaint.archives FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.verify_archive(bigint),
	pgmaint.restore_archive(bigint, regclass)
FROM PUBLIC;
GRANT SELECT ON pgmaint.archives TO pg_monitor;
