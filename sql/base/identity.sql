-- Which database this is: a copy, a restored dump and a subscriber are told from
-- the original, and remove nothing that may be another's.

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

-- rows that logical replication brings are of another database
CREATE UNIQUE INDEX identities_current ON pgmaint.identities (system_identifier, database) WHERE state = 'current';

COMMENT ON TABLE pgmaint.identities IS
	'which database this is, by a random name that is never dumped, and what was true when it was used last: where that has changed, this database may be a copy';
COMMENT ON COLUMN pgmaint.identities.identity IS '32 random hexadecimal digits';
COMMENT ON COLUMN pgmaint.identities.state IS 'current; former (what this database was before it began to doubt, or what its original is); taken over (by take_over()); forgotten (by stay_copy())';
COMMENT ON COLUMN pgmaint.identities.system_identifier IS 'system identifier of the cluster when the identity was made, or taken over; null: the identity is known from archives alone';
COMMENT ON COLUMN pgmaint.identities.database IS 'OID of the database then; null where system_identifier is';
COMMENT ON COLUMN pgmaint.identities.timeline IS 'timeline of the cluster then; null where system_identifier is';
COMMENT ON COLUMN pgmaint.identities.directory_inode IS 'inode number of the data directory then; null where system_identifier is';
COMMENT ON COLUMN pgmaint.identities.machine_id IS 'machine ID of the operating system; a change of it alone decides nothing; null: unknown';
COMMENT ON COLUMN pgmaint.identities.host IS 'name of the machine; a change of it alone decides nothing; null: unknown';
COMMENT ON COLUMN pgmaint.identities.created_at IS 'when the identity was noted';
COMMENT ON COLUMN pgmaint.identities.doubt IS 'why this database may be a copy; null: it is not in doubt';
COMMENT ON COLUMN pgmaint.identities.doubt_since IS 'when the doubt began; null: there is none';
COMMENT ON COLUMN pgmaint.identities.until_told IS 'whether nothing but take_over() or stay_copy() ends the doubt';
COMMENT ON COLUMN pgmaint.identities.former_seen_at IS 'when another database was last seen to write as the former identity; null: never since the doubt began';
COMMENT ON COLUMN pgmaint.identities.taken_over_at IS 'when take_over() said that this database is the successor of the identity; null: it was not taken over';

-- What this database wrote to a storage to tell others that it is alive.
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

COMMENT ON TABLE pgmaint_internal.owner_records IS
	'the owner records on storages that this database knows: those that its runs wrote, and those that it found when it took an identity over';
COMMENT ON COLUMN pgmaint_internal.owner_records.storage IS 'the foreign server';
COMMENT ON COLUMN pgmaint_internal.owner_records.identity IS 'the identity under which the record was written, see pgmaint.identities';
COMMENT ON COLUMN pgmaint_internal.owner_records.nonce IS 'random part of the record''s key';
COMMENT ON COLUMN pgmaint_internal.owner_records.run_id IS 'the run that wrote it; null: another database did';
COMMENT ON COLUMN pgmaint_internal.owner_records.noted_at IS 'when the row was written: before the record was, where a run of this database wrote it';
COMMENT ON COLUMN pgmaint_internal.owner_records.written_at IS 'when the record was on the storage; null: not known to be';
COMMENT ON COLUMN pgmaint_internal.owner_records.verdict IS 'what the run found beside it: clear (nothing unknown), gap (the record of the run before it is gone, so that nothing is removed), contested (records of another database), unread (the role may not write or list records there, so that nothing is removed)';

CREATE VIEW pgmaint_internal.own_identities AS
SELECT i.*
FROM pgmaint.identities i
WHERE i.state IN ('current', 'taken over')
	AND i.system_identifier = (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() c)
	AND i.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());

COMMENT ON VIEW pgmaint_internal.own_identities IS 'the identities that this database has: its own, and those that it has taken over';

CREATE FUNCTION pgmaint_internal.current_identity()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT i.identity FROM pgmaint_internal.own_identities i WHERE i.state = 'current';
END;

COMMENT ON FUNCTION pgmaint_internal.current_identity() IS 'the identity of this database; null before pgmaint is used for the first time';

CREATE FUNCTION pgmaint_internal.takeover_delay()
RETURNS interval
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_get_takeover_delay';

COMMENT ON FUNCTION pgmaint_internal.takeover_delay() IS 'the setting pgmaint.takeover_delay';

-- What a database in doubt wrote itself it may remove when its former self has
-- not been seen for long enough; the rest waits for a person.
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
LANGUAGE sql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
RETURN format('this database may be a copy: %s; until that is settled it removes nothing from storages that it may share, resumes no interrupted run, '
	'and tells contacts nothing; if it is the successor: SELECT pgmaint.take_over(); if it is a copy, and stays one: SELECT pgmaint.stay_copy()', doubt);

COMMENT ON FUNCTION pgmaint_internal.doubt_message(text) IS 'what is told of a database that may be a copy';

CREATE FUNCTION pgmaint.take_over(identity text DEFAULT NULL)
RETURNS integer
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_take_over';

COMMENT ON FUNCTION pgmaint.take_over(text) IS
	'this database is the successor of what it was before it was moved, promoted or restored, or of the identity that is named: backups and archives are one series from now on; returns how many identities were taken over';

CREATE FUNCTION pgmaint.stay_copy()
RETURNS text
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_stay_copy';

COMMENT ON FUNCTION pgmaint.stay_copy() IS
	'this database is a copy, and stays one: it gets an identity of its own, forgets the backups of its original, and drops its contacts; returns the identity';

ALTER TABLE pgmaint.runs ALTER COLUMN identity SET DEFAULT pgmaint_internal.current_identity();
ALTER TABLE pgmaint.findings ALTER COLUMN identity SET DEFAULT pgmaint_internal.current_identity();

COMMENT ON COLUMN pgmaint.runs.identity IS 'of the database in which the run was queued, which tells a copy of it';
COMMENT ON COLUMN pgmaint.findings.identity IS 'of the database that noticed it';

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
