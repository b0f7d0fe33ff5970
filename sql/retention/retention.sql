-- Retention policies: which rows are removed, and whether they are archived first.

CREATE TABLE pgmaint.retention_policies (
	policy_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	relation regclass NOT NULL,
	time_column name NOT NULL,
	keep interval NOT NULL,
	filter text,
	archive boolean NOT NULL,
	storage name,
	compression text,
	compression_level integer,
	slice interval,
	owner name NOT NULL,
	added_by name NOT NULL,
	added_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	timezone text,
	pass_triggers boolean NOT NULL DEFAULT false,
	CHECK (archive = (storage IS NOT NULL AND compression IS NOT NULL))
);

COMMENT ON TABLE pgmaint.retention_policies IS 'which rows of which tables the action retention removes, and where it archives them first';
COMMENT ON COLUMN pgmaint.retention_policies.policy_id IS 'number of the policy, for drop_retention()';
COMMENT ON COLUMN pgmaint.retention_policies.relation IS 'table, partitioned or not, from which rows are removed';
COMMENT ON COLUMN pgmaint.retention_policies.time_column IS 'column of the table that holds the time of a row';
COMMENT ON COLUMN pgmaint.retention_policies.keep IS 'age from which rows are removed';
COMMENT ON COLUMN pgmaint.retention_policies.filter IS 'condition: only rows for which it is true are removed; null: all rows of that age are removed';
COMMENT ON COLUMN pgmaint.retention_policies.archive IS 'whether rows are archived before they are deleted';
COMMENT ON COLUMN pgmaint.retention_policies.storage IS 'storage (foreign server) to which rows are archived; null: rows are not archived';
COMMENT ON COLUMN pgmaint.retention_policies.compression IS 'compression of the archives: gzip, zstd or none; null: rows are not archived';
COMMENT ON COLUMN pgmaint.retention_policies.compression_level IS 'level of the compression; null: rows are not archived';
COMMENT ON COLUMN pgmaint.retention_policies.slice IS 'time range of one task and of one archive object; null: chosen by size';
COMMENT ON COLUMN pgmaint.retention_policies.owner IS 'owner of the table when the policy was added: the filter is evaluated with the rights of this role, and the policy is suspended while another role owns the table';
COMMENT ON COLUMN pgmaint.retention_policies.added_by IS 'the role that added the policy';
COMMENT ON COLUMN pgmaint.retention_policies.added_at IS 'when the policy was added';
COMMENT ON COLUMN pgmaint.retention_policies.timezone IS 'time zone in which keep is subtracted from the current time; null: the time zone of the server';
COMMENT ON COLUMN pgmaint.retention_policies.pass_triggers IS 'whether partitions may be dropped as a whole although their row-level DELETE triggers do not fire then';

-- Uploads: a row is committed before the first byte of an object is sent, and
-- deleted in the transaction that adds the object to the ledger.  A row whose
-- task is not running means an unfinished object.
CREATE TABLE pgmaint_internal.uploads (
	upload_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	task_id bigint NOT NULL,
	action text NOT NULL,
	storage name NOT NULL,
	key text NOT NULL,
	mark text NOT NULL,
	identity text DEFAULT pgmaint_internal.current_identity(),
	begun_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	searched_at timestamptz
);

CREATE INDEX uploads_task ON pgmaint_internal.uploads (task_id);

COMMENT ON TABLE pgmaint_internal.uploads IS 'objects that are being written, or were left when a task was interrupted';
COMMENT ON COLUMN pgmaint_internal.uploads.task_id IS 'the task in pgmaint.tasks that writes the object';
COMMENT ON COLUMN pgmaint_internal.uploads.action IS 'action of the task, which tells whether the object is an archive or a backup';
COMMENT ON COLUMN pgmaint_internal.uploads.storage IS 'the foreign server';
COMMENT ON COLUMN pgmaint_internal.uploads.key IS 'key of the object in the storage';
COMMENT ON COLUMN pgmaint_internal.uploads.mark IS 'mark that is stored with the object, to tell it from objects of other writers';
COMMENT ON COLUMN pgmaint_internal.uploads.identity IS 'identity of the database that writes the object: a copy of the database removes no object of another identity';
COMMENT ON COLUMN pgmaint_internal.uploads.begun_at IS 'when the row was written, before the first byte was sent';
COMMENT ON COLUMN pgmaint_internal.uploads.searched_at IS 'when the object was first searched for after its task was interrupted; it is searched for again an hour later, since the storage may still have been processing the upload';

-- Partitions that an earlier version detached before archiving them; this
-- version adds none.
CREATE TABLE pgmaint_internal.detached_partitions (
	relation oid PRIMARY KEY,
	policy_id bigint NOT NULL,
	parent oid NOT NULL,
	range_from text,
	range_to text NOT NULL,
	noted_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint_internal.detached_partitions IS 'partitions that an earlier version began to detach for a policy, until they are archived and dropped';
COMMENT ON COLUMN pgmaint_internal.detached_partitions.relation IS 'OID of the partition';
COMMENT ON COLUMN pgmaint_internal.detached_partitions.policy_id IS 'the policy in pgmaint.retention_policies';
COMMENT ON COLUMN pgmaint_internal.detached_partitions.parent IS 'OID of the table that it was a partition of';
COMMENT ON COLUMN pgmaint_internal.detached_partitions.range_from IS 'start of the range of the partition, inclusive, as text; null: the range has no start';
COMMENT ON COLUMN pgmaint_internal.detached_partitions.range_to IS 'end of the range of the partition, exclusive, as text';

-- policies belong to the database, and are dumped and restored with it
SELECT pg_catalog.pg_extension_config_dump('pgmaint.retention_policies', '');
SELECT pg_catalog.pg_extension_config_dump('pgmaint.retention_policies_policy_id_seq', '');

CREATE FUNCTION pgmaint.add_retention(
	relation regclass,
	time_column name,
	keep interval,
	filter text DEFAULT NULL,
	archive boolean DEFAULT true,
	storage text DEFAULT NULL,
	compression text DEFAULT NULL,
	compression_level integer DEFAULT NULL,
	slice interval DEFAULT NULL,
	timezone text DEFAULT NULL,
	pass_triggers boolean DEFAULT false)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_add_retention';

COMMENT ON FUNCTION pgmaint.add_retention(regclass, name, interval, text, boolean, text, text, integer, interval, text, boolean) IS
	'Adds a retention policy and returns its policy_id: the action retention removes the rows of relation whose time_column is older than keep. '
	'time_column is a date, timestamp or timestamptz column; a warning is raised if no index begins with it. '
	'keep is a positive interval of at most 1000 years. '
	'filter is a condition as it would follow WHERE, with names outside pg_catalog schema-qualified (null: all rows of that age are removed). '
	'If archive is true, storage is required, and rows are archived in it before they are deleted; compression is gzip (the default), zstd or none, and compression_level is one of its levels (null: its default). '
	'slice is the time range of one archive object, at least one minute, in months or in days and hours (null: chosen by size); timezone is a name in pg_timezone_names, in which the cut-off is computed (null: the time zone of the session). '
	'If pass_triggers is true, partitions are dropped as a whole although their row-level DELETE triggers do not fire then. '
	'For the owner of the table; archiving also requires USAGE on the storage, which is tested with a small object. '
	'Errors: everything that would prevent the policy from working, such as a column that holds no times, an invalid filter, a foreign key that would delete other rows, or a storage that does not work.';

CREATE FUNCTION pgmaint.drop_retention(policy_id bigint)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_retention';

COMMENT ON FUNCTION pgmaint.drop_retention(bigint) IS
	'Drops a retention policy; its archives stay on their storage and in pgmaint.archives. '
	'For the owner of the table. Error: unknown policy_id. Does nothing if policy_id is null.';

REVOKE ALL ON pgmaint.retention_policies, pgmaint_internal.uploads, pgmaint_internal.detached_partitions FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.add_retention(regclass, name, interval, text, boolean, text, text, integer, interval, text, boolean),
	pgmaint.drop_retention(bigint)
FROM PUBLIC;
GRANT SELECT ON pgmaint.retention_policies, pgmaint_internal.uploads, pgmaint_internal.detached_partitions TO pg_monitor;
