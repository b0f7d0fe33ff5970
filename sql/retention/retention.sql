-- Retention: what is to be aged out, and whether it is archived first.

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

COMMENT ON TABLE pgmaint.retention_policies IS 'which rows of which tables are aged out, and where they are archived';
COMMENT ON COLUMN pgmaint.retention_policies.policy_id IS 'number of the policy, for drop_retention()';
COMMENT ON COLUMN pgmaint.retention_policies.relation IS 'the table, partitioned or not, whose rows are aged out';
COMMENT ON COLUMN pgmaint.retention_policies.time_column IS 'the column of the table that tells how old a row is';
COMMENT ON COLUMN pgmaint.retention_policies.keep IS 'rows whose time is further back than this leave the table';
COMMENT ON COLUMN pgmaint.retention_policies.filter IS 'a condition: only rows for which it is true leave; null: all rows of that age do';
COMMENT ON COLUMN pgmaint.retention_policies.archive IS 'whether rows are archived before they are deleted';
COMMENT ON COLUMN pgmaint.retention_policies.storage IS 'the foreign server that archives go to; null: rows are not archived';
COMMENT ON COLUMN pgmaint.retention_policies.compression IS 'compression of the archives: gzip, zstd or none; null: rows are not archived';
COMMENT ON COLUMN pgmaint.retention_policies.compression_level IS 'level of the compression; null: rows are not archived';
COMMENT ON COLUMN pgmaint.retention_policies.slice IS 'the time range of one task and one object; null: chosen by size';
COMMENT ON COLUMN pgmaint.retention_policies.owner IS 'owner of the table when the policy was added: the filter is evaluated with these rights, and the policy rests while another role owns the table';
COMMENT ON COLUMN pgmaint.retention_policies.added_by IS 'the role that added the policy';
COMMENT ON COLUMN pgmaint.retention_policies.added_at IS 'when the policy was added';
COMMENT ON COLUMN pgmaint.retention_policies.timezone IS 'the time zone in which keep is subtracted from the present time; null: the server''s own';
COMMENT ON COLUMN pgmaint.retention_policies.pass_triggers IS 'whether partitions leave as a whole although row-level DELETE triggers of theirs do not fire then';

-- What is about to be written to a storage: committed before the first byte
-- leaves, and deleted in the transaction that makes the object count.  What is
-- left here without a task that works on it is known to be unfinished.
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
COMMENT ON COLUMN pgmaint_internal.uploads.action IS 'action of the task, which tells what the object is';
COMMENT ON COLUMN pgmaint_internal.uploads.storage IS 'the foreign server';
COMMENT ON COLUMN pgmaint_internal.uploads.key IS 'key of the object on the storage';
COMMENT ON COLUMN pgmaint_internal.uploads.mark IS 'stands on the object, and tells it from one that somebody else wrote';
COMMENT ON COLUMN pgmaint_internal.uploads.identity IS 'of the database that writes it: a copy removes nothing of another''s';
COMMENT ON COLUMN pgmaint_internal.uploads.begun_at IS 'when the row was written, before the first byte left';
COMMENT ON COLUMN pgmaint_internal.uploads.searched_at IS 'when it was first looked for after its task was interrupted; it is looked for once more an hour later, since a storage may still have been at work on it';

-- Partitions that earlier versions have detached before they archived them; no
-- more are added.
CREATE TABLE pgmaint_internal.detached_partitions (
	relation oid PRIMARY KEY,
	policy_id bigint NOT NULL,
	parent oid NOT NULL,
	range_from text,
	range_to text NOT NULL,
	noted_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint_internal.detached_partitions IS 'partitions that an earlier version has begun to detach for a policy, until they are archived and dropped';
COMMENT ON COLUMN pgmaint_internal.detached_partitions.relation IS 'OID of the partition';
COMMENT ON COLUMN pgmaint_internal.detached_partitions.policy_id IS 'the policy in pgmaint.retention_policies';
COMMENT ON COLUMN pgmaint_internal.detached_partitions.parent IS 'OID of the table that it was a partition of';
COMMENT ON COLUMN pgmaint_internal.detached_partitions.range_from IS 'start of the partition''s range, inclusive, as text; null: it has none';
COMMENT ON COLUMN pgmaint_internal.detached_partitions.range_to IS 'end of the partition''s range, exclusive, as text';

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
	'age out the rows of a table whose time is further back than keep, archived first unless told otherwise; returns the policy''s number';

CREATE FUNCTION pgmaint.drop_retention(policy_id bigint)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_retention';

COMMENT ON FUNCTION pgmaint.drop_retention(bigint) IS
	'drop a retention policy; what it has archived stays, and so does its place in pgmaint.archives';

REVOKE ALL ON pgmaint.retention_policies, pgmaint_internal.uploads, pgmaint_internal.detached_partitions FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.add_retention(regclass, name, interval, text, boolean, text, text, integer, interval, text, boolean),
	pgmaint.drop_retention(bigint)
FROM PUBLIC;
GRANT SELECT ON pgmaint.retention_policies, pgmaint_internal.uploads, pgmaint_internal.detached_partitions TO pg_monitor;
