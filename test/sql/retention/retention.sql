--
-- add_retention, and what it refuses
--
CREATE SCHEMA retention;
SET search_path = retention;
SET client_min_messages = warning;
CREATE TABLE events (id int PRIMARY KEY, at timestamptz, day date, local timestamp, hour time, note text, status text);
CREATE INDEX ON events (at);
CREATE INDEX ON events (day);
CREATE INDEX ON events (local);
CREATE VIEW shown AS SELECT * FROM events;
CREATE TEMPORARY TABLE fleeting (at timestamptz);

-- arguments by name
SELECT pgmaint.add_retention(NULL, 'at', '90 days');
SELECT pgmaint.add_retention('events', NULL, '90 days');
SELECT pgmaint.add_retention('events', 'at', NULL);
SELECT pgmaint.add_retention('events', 'at', '90 days', archive => NULL);
SELECT pgmaint.add_retention('events', 'at', '-1 day');
SELECT pgmaint.add_retention('events', 'at', '0');
SELECT pgmaint.add_retention('events', 'at', '178000000 years');
SELECT pgmaint.add_retention('events', 'at', '90 days', slice => '178000000 years');
SELECT pgmaint.add_retention('events', 'when', '90 days');
SELECT pgmaint.add_retention('events', 'note', '90 days');
SELECT pgmaint.add_retention('events', 'hour', '90 days');
SELECT pgmaint.add_retention('events', 'ctid', '90 days');
SELECT pgmaint.add_retention('shown', 'at', '90 days');
SELECT pgmaint.add_retention('fleeting', 'at', '90 days');
SELECT pgmaint.add_retention('pg_catalog.pg_class', 'relname', '90 days');
SELECT pgmaint.add_retention('pgmaint.runs', 'finished_at', '90 days');
\set VERBOSITY terse
SELECT pgmaint.add_retention('events', 'at', '90 days', compression => 'rar');
\set VERBOSITY default
SELECT pgmaint.add_retention('events', 'at', '90 days', compression => 'gzip', compression_level => 10);
SELECT pgmaint.add_retention('events', 'at', '90 days', archive => false, storage => 'pgmaint_local');
SELECT pgmaint.add_retention('events', 'at', '90 days', archive => false, compression => 'gzip');
SELECT pgmaint.add_retention('events', 'at', '90 days', storage => 'nowhere');
SELECT pgmaint.add_retention('events', 'at', '90 days', slice => '1 month 1 day');
SELECT pgmaint.add_retention('events', 'at', '90 days', slice => '-1 day');
SELECT pgmaint.add_retention('events', 'day', '90 days', slice => '1 hour');

SELECT pgmaint.add_retention('events', 'at', '90 days', archive => false, pass_triggers => NULL);

-- the time zone is one that means the same wherever it is read
SELECT pgmaint.add_retention('events', 'at', '90 days', archive => false, timezone => 'Europe/Bonn');
SELECT pgmaint.add_retention('events', 'at', '90 days', archive => false, timezone => 'Nonsense5');
SELECT pgmaint.add_retention('events', 'at', '90 days', archive => false, timezone => 'localtime');
SELECT pgmaint.add_retention('events', 'at', '90 days', archive => false, timezone => '');
SET timezone = '<+0530>-5:30';
SELECT pgmaint.add_retention('events', 'at', '90 days', archive => false) > 0 AS added;
SET timezone = 'GMT-02:00';
SELECT pgmaint.add_retention('events', 'at', '90 days', archive => false, pass_triggers => true) > 0 AS added;
SET timezone = 'america/new_york';
SELECT pgmaint.add_retention('events', 'at', '90 days', archive => false) > 0 AS added;
RESET timezone;
SELECT pgmaint.add_retention('events', 'at', '90 days', archive => false, timezone => zone) > 0 AS added FROM unnest('{europe/rome,<+0530>-05:30}'::text[]) zone;
SELECT timezone, pass_triggers FROM pgmaint.retention_policies ORDER BY policy_id;
DELETE FROM pgmaint.retention_policies;

-- a filter is one condition, and one that the server can make sense of
SELECT pgmaint.add_retention('events', 'at', '90 days', 'status = ''done'' ORDER BY 1');
SELECT pgmaint.add_retention('events', 'at', '90 days', 'true) OR (true');
SELECT pgmaint.add_retention('events', 'at', '90 days', 'true; DROP TABLE events');
SELECT pgmaint.add_retention('events', 'at', '90 days', 'true, false');
SELECT pgmaint.add_retention('events', 'at', '90 days', '');
SELECT pgmaint.add_retention('events', 'at', '90 days', 'colour = ''red''');
SELECT pgmaint.add_retention('events', 'at', '90 days', 'note');
SELECT pgmaint.add_retention('events', 'at', '90 days', 'count(*) > 1');
\set VERBOSITY terse
SELECT pgmaint.add_retention('events', 'at', '90 days', 'no_such_function(note)');
\set VERBOSITY default

-- what would not be a DELETE, or not one of these rows alone
CREATE TABLE ruled (at timestamptz);
CREATE INDEX ON ruled (at);
CREATE RULE keep AS ON DELETE TO ruled DO INSTEAD NOTHING;
SELECT pgmaint.add_retention('ruled', 'at', '90 days');
CREATE TABLE parents (id int PRIMARY KEY, at timestamptz);
CREATE INDEX ON parents (at);
CREATE TABLE children (parent int REFERENCES parents ON DELETE CASCADE);
SELECT pgmaint.add_retention('parents', 'at', '90 days');
ALTER TABLE children DROP CONSTRAINT children_parent_fkey, ADD FOREIGN KEY (parent) REFERENCES parents ON DELETE SET NULL;
SELECT pgmaint.add_retention('parents', 'at', '90 days');
ALTER TABLE children DROP CONSTRAINT children_parent_fkey, ADD FOREIGN KEY (parent) REFERENCES parents;

-- a publication that would have every DELETE fail
SET client_min_messages = error;
CREATE TABLE published (at timestamptz);
CREATE INDEX ON published (at);
INSERT INTO published VALUES ('2020-01-01');
CREATE PUBLICATION regress_pub FOR TABLE published;
SELECT pgmaint.add_retention('published', 'at', '90 days', archive => false);
ALTER PUBLICATION regress_pub SET (publish = 'insert, update');
SELECT pgmaint.add_retention('published', 'at', '90 days', archive => false) > 0 AS added;
ALTER PUBLICATION regress_pub SET (publish = 'insert, delete');
SELECT count(*) FROM pgmaint.dry_run('weekly') WHERE action = 'retention';
ALTER TABLE published REPLICA IDENTITY FULL;
SELECT count(*) FROM pgmaint.dry_run('weekly') WHERE action = 'retention';
SELECT pgmaint.add_retention('published', 'at', '90 days', archive => false) > 0 AS added;
DROP PUBLICATION regress_pub;
CREATE TABLE tree (at timestamptz, region int) PARTITION BY RANGE (at);
CREATE TABLE tree_2020 PARTITION OF tree FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY LIST (region);
CREATE TABLE tree_2020_1 PARTITION OF tree_2020 FOR VALUES IN (1);
CREATE PUBLICATION regress_pub FOR TABLE tree WITH (publish_via_partition_root);
SELECT pgmaint.add_retention('tree', 'at', '90 days', archive => false);
ALTER TABLE tree_2020_1 REPLICA IDENTITY FULL;
SELECT pgmaint.add_retention('tree', 'at', '90 days', archive => false) > 0 AS added;
DROP PUBLICATION regress_pub;
DELETE FROM pgmaint.retention_policies;
SET client_min_messages = warning;

-- archives are not written unless a storage is named
SELECT pgmaint.add_retention('parents', 'at', '90 days');
CREATE SERVER regress_elsewhere FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file:pgmaint-elsewhere');
SELECT pgmaint.add_retention('parents', 'at', '90 days');
DROP SERVER regress_elsewhere;

-- what is accepted
SELECT pgmaint.add_retention('parents', 'at', '90 days', storage => 'pgmaint_local') > 0 AS added;
SELECT pgmaint.add_retention('events', 'at', '90 days', storage => 'pgmaint_local') > 0 AS added;
SELECT pgmaint.add_retention('events', 'local', '3 months', $$status IN ('completed', 'failed') -- both$$, archive => false) > 0 AS added;
SELECT pgmaint.add_retention('events', 'day', '1 year', 'retention.events.note IS NOT NULL', storage => 'pgmaint_local', compression => 'none', slice => '1 month') > 0 AS added;
SET client_min_messages = warning;
CREATE TABLE unindexed ("odd ""column""" timestamptz, x int);
CREATE INDEX ON unindexed (x, "odd ""column""");
SELECT pgmaint.add_retention('unindexed', 'odd "column"', '90 days', storage => 'pgmaint_local') > 0 AS added;
SELECT relation, time_column, keep, filter, archive, storage, compression, slice, owner = current_user AS own, added_by = current_user AS mine
FROM pgmaint.retention_policies ORDER BY policy_id;

-- rights
CREATE ROLE regress_owner;
CREATE ROLE regress_other;
GRANT USAGE ON SCHEMA pgmaint, retention TO regress_owner, regress_other;
GRANT EXECUTE ON FUNCTION pgmaint.add_retention(regclass, name, interval, text, boolean, text, text, integer, interval, text, boolean),
	pgmaint.drop_retention(bigint) TO regress_owner, regress_other;
GRANT CREATE ON SCHEMA retention TO regress_owner;
GRANT ALL ON events TO regress_other;
SET ROLE regress_owner;
CREATE TABLE owned (at timestamptz);
CREATE INDEX ON owned (at);
SELECT pgmaint.add_retention('owned', 'at', '90 days', storage => 'pgmaint_local');
SELECT pgmaint.add_retention('owned', 'at', '90 days', archive => false) > 0 AS added;
SET ROLE regress_other;
SELECT pgmaint.add_retention('events', 'at', '90 days', archive => false);
SELECT pgmaint.add_retention('owned', 'at', '90 days', archive => false);
RESET ROLE;
SELECT max(policy_id) AS last FROM pgmaint.retention_policies \gset
SET ROLE regress_other;
SELECT pgmaint.drop_retention(:last);
SET ROLE regress_owner;
SELECT pgmaint.drop_retention(:last);
RESET ROLE;
SELECT pgmaint.drop_retention(0);
SET default_transaction_read_only = on;
SELECT pgmaint.drop_retention(1);
SELECT pgmaint.add_retention('events', 'at', '90 days');
RESET default_transaction_read_only;
SELECT pgmaint.verify_archive(0);
SELECT pgmaint.restore_archive(0, 'events');

DELETE FROM pgmaint.retention_policies;
RESET search_path;
DROP SCHEMA retention CASCADE;
REVOKE ALL ON SCHEMA pgmaint FROM regress_owner, regress_other;
REVOKE ALL ON FUNCTION pgmaint.add_retention(regclass, name, interval, text, boolean, text, text, integer, interval, text, boolean),
	pgmaint.drop_retention(bigint) FROM regress_owner, regress_other;
DROP ROLE regress_owner, regress_other;
