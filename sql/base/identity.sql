-- Identities distinguish a copy, a restored dump and a subscriber from the original.
-- A database must not remove objects that another database may own.

CREATE TABLE pgmaint.identities (
	identity text PRIMARY KEY CHECK (identity ~ '^[0-9a-f]{32}$'),
	state text NOT NULL CHECK (state IN ('current', 'former', 'taken over', 'forgotten')),
	system_identifier text,
	database oid,
	timeline integer,
	directory_inode bigint,
	machine_id text,
	host text,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	doubt text,
	doubt_since timestamptz,
	until_told boolean NOT NULL DEFAULT false,
	former_seen_at timestamptz,
	taken_over_at timestamptz,
	CHECK ((doubt IS NULL) = (doubt_since IS NULL))
);

-- logical replication may insert rows of another database
CREATE UNIQUE INDEX identities_current ON pgmaint.identities (system_identifier, database) WHERE state = 'current';

COMMENT ON TABLE pgmaint.identities IS 'identities of this database, each a random name that is never dumped, with the properties of the server when it was last used: if these change, this database may be a copy';
COMMENT ON COLUMN pgmaint.identities.identity IS '32 random hexadecimal digits';
COMMENT ON COLUMN pgmaint.identities.state IS 'current; former (identity of this database before it was in doubt, or of its original); taken over (by take_over()); forgotten (by stay_copy())';
COMMENT ON COLUMN pgmaint.identities.system_identifier IS 'system identifier of the cluster when the identity was created or taken over; null: the identity is known from archives only';
COMMENT ON COLUMN pgmaint.identities.database IS 'OID of the database when the identity was created or taken over; null where system_identifier is';
COMMENT ON COLUMN pgmaint.identities.timeline IS 'timeline of the cluster when the identity was created or taken over; null where system_identifier is';
COMMENT ON COLUMN pgmaint.identities.directory_inode IS 'inode number of the data directory when the identity was created or taken over; null where system_identifier is';
COMMENT ON COLUMN pgmaint.identities.machine_id IS 'machine ID of the operating system; a change of the machine ID alone raises no doubt; null: unknown';
COMMENT ON COLUMN pgmaint.identities.host IS 'host name of the machine; a change of the host name alone raises no doubt; null: unknown';
COMMENT ON COLUMN pgmaint.identities.created_at IS 'when the row was inserted';
COMMENT ON COLUMN pgmaint.identities.doubt IS 'why this database may be a copy; null: no doubt';
COMMENT ON COLUMN pgmaint.identities.doubt_since IS 'when the doubt began; null: no doubt';
COMMENT ON COLUMN pgmaint.identities.until_told IS 'whether only take_over() or stay_copy() ends the doubt';
COMMENT ON COLUMN pgmaint.identities.former_seen_at IS 'when objects that another database wrote under the former identity were last found; null: never since the doubt began';
COMMENT ON COLUMN pgmaint.identities.taken_over_at IS 'when take_over() took the identity over; null: it did not';

-- Records that this database wrote to storages, for other databases to see that it is alive.
CREATE TABLE pgmaint_internal.owner_records (
	storage name NOT NULL,
	identity text NOT NULL,
	nonce text NOT NULL,
	run_id bigint,
	noted_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	written_at timestamptz,
	verdict text CHECK (verdict IN ('clear', 'gap', 'contested', 'unread')),
	PRIMARY KEY (storage, identity, nonce),
	UNIQUE (run_id, storage, identity)
);

COMMENT ON TABLE pgmaint_internal.owner_records IS 'owner records in storages that this database knows: those that its runs wrote, and those that it found when it took over an identity';
COMMENT ON COLUMN pgmaint_internal.owner_records.storage IS 'the foreign server';
COMMENT ON COLUMN pgmaint_internal.owner_records.identity IS 'the identity under which the record was written, see pgmaint.identities';
COMMENT ON COLUMN pgmaint_internal.owner_records.nonce IS 'random part of the record''s key';
COMMENT ON COLUMN pgmaint_internal.owner_records.run_id IS 'run that wrote the record; null: another database wrote it';
COMMENT ON COLUMN pgmaint_internal.owner_records.noted_at IS 'when the row was inserted, which is before the record is written if a run of this database writes it';
COMMENT ON COLUMN pgmaint_internal.owner_records.written_at IS 'when the record was in the storage; null: unknown';
COMMENT ON COLUMN pgmaint_internal.owner_records.verdict IS 'what the run found beside the record: clear (no unknown record), gap (the record of the previous run is missing, and nothing is removed), contested (records of another database), unread (the role may not write or list records in the storage, and nothing is removed)';

CREATE VIEW pgmaint_internal.own_identities AS
SELECT i.*
FROM pgmaint.identities i
WHERE i.state IN ('current', 'taken over')
	AND i.system_identifier = (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() c)
	AND i.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());

COMMENT ON VIEW pgmaint_internal.own_identities IS 'identities that belong to this database: its current identity, and those that it has taken over';

CREATE FUNCTION pgmaint_internal.current_identity()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT i.identity FROM pgmaint_internal.own_identities i WHERE i.state = 'current';
END;

COMMENT ON FUNCTION pgmaint_internal.current_identity() IS 'current identity of this database; null before pgmaint is used for the first time';

CREATE FUNCTION pgmaint_internal.takeover_delay()
RETURNS interval
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_get_takeover_delay';

COMMENT ON FUNCTION pgmaint_internal.takeover_delay() IS 'value of the setting pgmaint.takeover_delay';

-- A database in doubt may remove objects that it wrote itself once the original has
-- not been seen for pgmaint.takeover_delay; other objects need take_over().
CREATE VIEW pgmaint_internal.removable_identities AS
SELECT o.identity
FROM pgmaint_internal.own_identities o
JOIN pgmaint_internal.own_identities c ON c.state = 'current'
WHERE c.doubt IS NULL
	OR (o.state = 'current' AND NOT c.until_told
		AND greatest(c.doubt_since, c.former_seen_at) + pgmaint_internal.takeover_delay() < pg_catalog.clock_timestamp());

COMMENT ON VIEW pgmaint_internal.removable_identities IS 'the identities whose objects this database may remove from storages';

CREATE FUNCTION pgmaint_internal.doubt_message(doubt text)
RETURNS text
LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp
RETURN format('this database may be a copy: %s; meanwhile it removes nothing from shared storages, resumes no interrupted runs and notifies no contacts; '
	'if it replaces the original: SELECT pgmaint.take_over(); if it stays a copy: SELECT pgmaint.stay_copy()', doubt);

COMMENT ON FUNCTION pgmaint_internal.doubt_message(text) IS 'message for a database that may be a copy, with the commands that end the doubt';

CREATE FUNCTION pgmaint.take_over(identity text DEFAULT NULL)
RETURNS integer
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_take_over';

COMMENT ON FUNCTION pgmaint.take_over(text) IS
	'Declares this database the successor of the database that it was before it was moved, promoted or restored, and of the database whose dump was restored into it, unless stay_copy() has declared this database a copy of that. The doubt ends, backups and archives become one series, and contacts are notified again. '
	'With identity, 32 hexadecimal digits as in pgmaint.identities and pgmaint.list_backups(), this database also becomes the successor of the database with that identity, and the doubt stays. This is the way to take over a database of which only archives were adopted. '
	'Returns the number of identities that were taken over. Errors: standby, read-only transaction, an invalid identity.';

CREATE FUNCTION pgmaint.stay_copy()
RETURNS text
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_stay_copy';

COMMENT ON FUNCTION pgmaint.stay_copy() IS
	'Declares this database a copy of another database, permanently. It gets a new identity, which is returned. '
	'Backups, uploads and messages of the original are forgotten, and all of its contacts are dropped. Archives stay listed: they can be read and restored. Nothing is removed from storages. '
	'If this database was the original, adopt_backups() and take_over() with its old identity in pgmaint.identities bring its backups back; add its contacts again. Errors: standby, read-only transaction.';

ALTER TABLE pgmaint.runs ALTER COLUMN identity SET DEFAULT pgmaint_internal.current_identity();
ALTER TABLE pgmaint.findings ALTER COLUMN identity SET DEFAULT pgmaint_internal.current_identity();

COMMENT ON COLUMN pgmaint.runs.identity IS 'identity of the database in which the run was queued, to recognize a copy of the database';
COMMENT ON COLUMN pgmaint.findings.identity IS 'identity of the database that recorded the finding';

REVOKE ALL ON pgmaint.identities, pgmaint_internal.owner_records, pgmaint_internal.own_identities, pgmaint_internal.removable_identities FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint_internal.current_identity(),
	pgmaint_internal.takeover_delay(),
	pgmaint_internal.doubt_message(text),
	pgmaint.take_over(text),
	pgmaint.stay_copy()
FROM PUBLIC;
GRANT SELECT ON pgmaint.identities, pgmaint_internal.owner_records, pgmaint_internal.own_identities, pgmaint_internal.removable_identities TO pg_monitor;
GRANT EXECUTE ON FUNCTION pgmaint_internal.current_identity(), pgmaint_internal.takeover_delay(), pgmaint_internal.doubt_message(text) TO pg_monitor;
