--
-- Invalid indexes of partitioned tables, each with the commands that make it
-- valid, and indexes that are duplicates though they are unique
--
SET client_min_messages = warning;
CREATE SCHEMA index_faults;
SET search_path = index_faults;
CREATE TABLE t (a int NOT NULL, b int NOT NULL, "C c" text) PARTITION BY RANGE (a);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);
CREATE TABLE t2 (gone int, "C c" text, a int NOT NULL, b int NOT NULL);
ALTER TABLE t2 DROP gone;
ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (10) TO (20);
CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (20) TO (30) PARTITION BY RANGE (b);
CREATE TABLE t31 PARTITION OF t3 FOR VALUES FROM (0) TO (1000);
-- begun, and left there
CREATE INDEX nowhere ON ONLY t (b, "C c" DESC) WHERE b > 3;
CREATE INDEX partly ON ONLY t ("C c" COLLATE "C" text_pattern_ops) INCLUDE (b);
CREATE INDEX ok_t1 ON t1 ("C c" COLLATE "C" text_pattern_ops) INCLUDE (b);
ALTER INDEX partly ATTACH PARTITION ok_t1;
CREATE INDEX ok_waits ON t2 ("C c" COLLATE "C" text_pattern_ops) INCLUDE (b);
CREATE INDEX ok_other ON t2 ("C c" COLLATE "C") INCLUDE (b);
ALTER TABLE ONLY t ADD PRIMARY KEY (a, b);
-- valid, but for one, or meanwhile
CREATE INDEX broken_part ON t (lower("C c"));
CREATE INDEX rebuilt ON t (a);
CREATE INDEX ok ON t (b, a);
UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('broken_part'::regclass, 't1_lower_idx'::regclass, 'rebuilt'::regclass);
-- of a table without partitions, of one with a foreign table
CREATE TABLE e (a int) PARTITION BY RANGE (a);
CREATE INDEX empty ON e (a);
CREATE FOREIGN DATA WRAPPER regress_index_faults;
CREATE SERVER regress_index_faults FOREIGN DATA WRAPPER regress_index_faults;
CREATE TABLE f (a int) PARTITION BY RANGE (a);
CREATE FOREIGN TABLE f1 PARTITION OF f FOR VALUES FROM (0) TO (10) SERVER regress_index_faults;
CREATE INDEX far ON ONLY f (a);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'empty'::regclass;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on

SELECT u.kind, u.relation, u.index, u.detail, regexp_replace(u.command, '_\d+_\d+_idx', '_N_idx', 'g')
	FROM pgmaint.index_usage('0', 0) u WHERE u.check_id = 'H001' AND u.index ~ '^index_faults' ORDER BY u.index COLLATE "C";
SELECT v.status, v.detail ~ 'index_faults.t1_lower_idx: rebuild with the action reindex' AND v.detail ~ 'index_faults.nowhere: partition index_faults.t1 has no such index;'
		AND v.detail !~ 'index_faults.ok:' FROM pgmaint.validate() v WHERE v.check_id = 'invalid_indexes';

-- one that is being built is not broken, at whatever partition they are
BEGIN;
LOCK TABLE t2 IN SHARE UPDATE EXCLUSIVE MODE;
SELECT u.index FROM pgmaint.index_usage('0', 0) u WHERE u.check_id = 'H001' AND u.index ~ '^index_faults' ORDER BY u.index COLLATE "C";
ROLLBACK;
-- a check does not wait for a table that is locked, either
BEGIN;
LOCK TABLE e;
SELECT p.name, p.being_built, p.detail, p.command FROM pgmaint_internal.invalid_partitioned_indexes() p WHERE p.name ~ 'empty';
ROLLBACK;

-- the commands do what they say: those of partitions of partitions at the second look
\pset tuples_only off
\set ECHO none
\o /dev/null
SELECT regexp_split_to_table(p.command, ';\n') FROM pgmaint_internal.invalid_partitioned_indexes() p WHERE p.name ~ '^index_faults' \gexec
SELECT regexp_split_to_table(p.command, ';\n') FROM pgmaint_internal.invalid_partitioned_indexes() p WHERE p.name ~ '^index_faults' \gexec
\o
\set ECHO all
\pset tuples_only on
SELECT p.name, p.detail, p.command FROM pgmaint_internal.invalid_partitioned_indexes() p WHERE p.name ~ '^index_faults';
SELECT x.relname, i.indisvalid FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
	WHERE x.relkind = 'I' AND x.relnamespace = 'index_faults'::regnamespace AND NOT i.indisvalid;

-- duplicates of unique indexes
SET client_min_messages = warning;
CREATE TABLE d (id int PRIMARY KEY, a int NOT NULL, b int, c int UNIQUE, d int NOT NULL, e text, f int, g int, h int);
CREATE UNIQUE INDEX dup_of_key ON d (id);
CREATE INDEX dup_plain_first ON d (a);
CREATE UNIQUE INDEX ok_unique_a ON d (a);
CREATE UNIQUE INDEX ok_b ON d (b);
CREATE UNIQUE INDEX dup_b ON d (b);
CREATE UNIQUE INDEX dup_of_constraint ON d (c);
-- the same constraint once more
ALTER TABLE d ADD CONSTRAINT dup_constraint UNIQUE (c);
ALTER TABLE d ADD CONSTRAINT dup_of_primary UNIQUE (id);
-- what only looks like it
CREATE UNIQUE INDEX ok_descending ON d (id DESC);
CREATE UNIQUE INDEX ok_partial ON d (id) WHERE id > 5;
CREATE UNIQUE INDEX ok_expression ON d ((id + 0));
CREATE UNIQUE INDEX ok_longer ON d (id, a);
CREATE UNIQUE INDEX ok_text ON d (e);
CREATE UNIQUE INDEX ok_collation ON d (e COLLATE "C");
CREATE UNIQUE INDEX ok_pattern ON d (e text_pattern_ops);
-- deferred allows more than the index
ALTER TABLE d ADD CONSTRAINT ok_deferrable UNIQUE (f) DEFERRABLE;
CREATE UNIQUE INDEX ok_immediate ON d (f);
-- what something relies on stays: a replica identity, CLUSTER, a foreign key
CREATE UNIQUE INDEX dup_d ON d (d);
CREATE UNIQUE INDEX ok_identity ON d (d);
ALTER TABLE d REPLICA IDENTITY USING INDEX ok_identity;
CREATE UNIQUE INDEX dup_g ON d (g);
CREATE UNIQUE INDEX ok_clustered ON d (g);
CLUSTER d USING ok_clustered;
CREATE UNIQUE INDEX dup_h ON d (h);
ALTER TABLE d ADD CONSTRAINT ok_referenced UNIQUE (h);
CREATE TABLE refers (h int REFERENCES d (h));
RESET client_min_messages;
SELECT (SELECT x.relname FROM pg_constraint o JOIN pg_class x ON x.oid = o.conindid WHERE o.conrelid = 'refers'::regclass) AS referenced;
SELECT u.kind, u.relation, u.index, u.detail, u.command
	FROM pgmaint.index_usage('0', 0) u WHERE u.check_id = 'H004' AND u.index ~ '^index_faults.*d' AND u.relation = 'd'::regclass ORDER BY u.index COLLATE "C";
-- each goes without the others
\o /dev/null
\pset tuples_only off
SELECT u.command FROM pgmaint.index_usage('0', 0) u WHERE u.check_id = 'H004' AND u.relation = 'd'::regclass \gexec
\o
\pset tuples_only on
SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = 'd'::regclass ORDER BY x.relname COLLATE "C";

SET client_min_messages = warning;
DROP SCHEMA index_faults CASCADE;
DROP FOREIGN DATA WRAPPER regress_index_faults CASCADE;
