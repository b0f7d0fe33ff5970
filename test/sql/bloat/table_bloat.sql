--
-- table_bloat: what a rewrite of a table would give back
--
SET client_min_messages = warning;
CREATE SCHEMA bloat;
SET search_path = bloat;

-- what was measured, to be held against what VACUUM FULL really does
CREATE TABLE measured AS SELECT * FROM pgmaint.table_bloat() LIMIT 0;
CREATE FUNCTION size_of(regclass) RETURNS bigint LANGUAGE sql AS $$
	SELECT pg_relation_size($1) + coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0)
	FROM pg_class WHERE oid = $1
$$;

--
-- Small tables are read as a whole
--
CREATE TABLE empty (a int);
SELECT * FROM pgmaint.table_bloat('empty');

CREATE TABLE fresh (id int, filler text) WITH (autovacuum_enabled = off);
INSERT INTO fresh SELECT g, repeat('x', 100) FROM generate_series(1, 10000) g;
SELECT * FROM pgmaint.table_bloat('fresh');
-- header, live, dead and free bytes make up the table
SELECT total_bytes = live_bytes + dead_bytes + free_bytes + 24 * total_blocks AS adds_up,
	sampled_blocks = total_blocks AS exact, total_bytes = size_of(relation) AS size
FROM pgmaint.table_bloat('fresh');

-- rows deleted, before and after VACUUM
CREATE TABLE deleted (LIKE fresh) WITH (autovacuum_enabled = off);
INSERT INTO deleted SELECT * FROM fresh;
DELETE FROM deleted WHERE id % 4 = 0;
SELECT bloat_ratio, margin, dead_bytes FROM pgmaint.table_bloat('deleted');
VACUUM deleted;
SELECT bloat_ratio, margin, dead_bytes FROM pgmaint.table_bloat('deleted');
INSERT INTO measured SELECT * FROM pgmaint.table_bloat('deleted');

-- fillfactor is no bloat, unless the table was filled beyond it
CREATE TABLE half (LIKE fresh) WITH (fillfactor = 50, autovacuum_enabled = off);
INSERT INTO half SELECT * FROM fresh;
SELECT bloat_bytes, total_blocks FROM pgmaint.table_bloat('half');
ALTER TABLE half SET (fillfactor = 100);
SELECT round(bloat_ratio::numeric, 2) AS bloat_ratio FROM pgmaint.table_bloat('half');
INSERT INTO measured SELECT * FROM pgmaint.table_bloat('half');

-- what wide rows leave unused on a page is no bloat
CREATE TABLE wide (id int, filler text) WITH (autovacuum_enabled = off);
ALTER TABLE wide ALTER filler SET STORAGE plain;
INSERT INTO wide SELECT g, repeat('x', 4500) FROM generate_series(1, 200) g;
SELECT live_bytes, free_bytes, bloat_bytes, total_blocks FROM pgmaint.table_bloat('wide');
DELETE FROM wide WHERE id % 2 = 0;
INSERT INTO measured SELECT * FROM pgmaint.table_bloat('wide');

-- what an aborted transaction leaves is dead, what a running one adds is not
CREATE TABLE aborted (LIKE fresh) WITH (autovacuum_enabled = off);
BEGIN;
INSERT INTO aborted SELECT * FROM fresh;
SELECT dead_bytes, bloat_bytes FROM pgmaint.table_bloat('aborted');
ROLLBACK;
SELECT live_bytes, bloat_ratio FROM pgmaint.table_bloat('aborted');
INSERT INTO aborted SELECT * FROM fresh;
INSERT INTO measured SELECT * FROM pgmaint.table_bloat('aborted');

-- the TOAST table counts with its table
CREATE TABLE toasted (id int, filler text) WITH (autovacuum_enabled = off);
ALTER TABLE toasted ALTER filler SET STORAGE external;
INSERT INTO toasted SELECT g, repeat('x', 10000) FROM generate_series(1, 300) g;
SELECT total_bytes = size_of(relation) AS size, total_bytes > 10 * pg_relation_size(relation) AS with_toast,
	bloat_bytes FROM pgmaint.table_bloat('toasted');
DELETE FROM toasted WHERE id <= 150;
SELECT round(bloat_ratio::numeric, 2) AS bloat_ratio FROM pgmaint.table_bloat('toasted');
INSERT INTO measured SELECT * FROM pgmaint.table_bloat('toasted');

-- a rewrite leaves out the values of dropped columns, in the TOAST table too
CREATE TABLE dropped_columns (id int, gone text, filler text, gone_too numeric) WITH (autovacuum_enabled = off);
INSERT INTO dropped_columns SELECT g, repeat('x', 150 + g % 7), CASE WHEN g % 5 > 0 THEN repeat('y', g % 60) END, g FROM generate_series(1, 5000) g;
ALTER TABLE dropped_columns DROP gone, DROP gone_too;
INSERT INTO measured SELECT * FROM pgmaint.table_bloat('dropped_columns');
CREATE TABLE dropped_toast (id int, gone text, filler text, also text) WITH (autovacuum_enabled = off);
ALTER TABLE dropped_toast ALTER gone SET STORAGE external, ALTER filler SET STORAGE external;
INSERT INTO dropped_toast SELECT g, repeat('x', 5000), repeat('y', 1300 + g % 3 * 500), repeat('z', 90) FROM generate_series(1, 400) g;
ALTER TABLE dropped_toast DROP gone;
INSERT INTO measured SELECT * FROM pgmaint.table_bloat('dropped_toast');
-- and writes those that only the catalog had
CREATE TABLE added_columns (id int, filler text) WITH (autovacuum_enabled = off);
INSERT INTO added_columns SELECT g, repeat('x', 30 + g % 9) FROM generate_series(1, 10000) g;
ALTER TABLE added_columns ADD a bigint DEFAULT 7, ADD b text DEFAULT 'not stored anywhere', ADD c int, ADD d numeric(5, 2) DEFAULT 1.5;
UPDATE added_columns SET c = 1 WHERE id % 10 = 0;
DELETE FROM added_columns WHERE id % 4 > 0;
INSERT INTO measured SELECT * FROM pgmaint.table_bloat('added_columns');
-- a value moves into the row when that has become short enough
CREATE TABLE moved_in (id int, a text, b text) WITH (autovacuum_enabled = off);
ALTER TABLE moved_in ALTER a SET STORAGE external, ALTER b SET STORAGE external;
INSERT INTO moved_in SELECT g, repeat('x', 1500), repeat('y', 1400) FROM generate_series(1, 300) g;
UPDATE moved_in SET b = 'short';
VACUUM moved_in;
INSERT INTO measured SELECT * FROM pgmaint.table_bloat('moved_in');
-- the order of rows decides how chunks, and wide rows, share pages
CREATE TABLE chunks (id int, filler text) WITH (autovacuum_enabled = off);
ALTER TABLE chunks ALTER filler SET STORAGE external;
INSERT INTO chunks SELECT g, repeat('x', 3000 + g * 7919 % 9000) FROM generate_series(1, 1000) g;
DELETE FROM chunks WHERE hashint4(id) & 3 = 0;
VACUUM chunks;
INSERT INTO measured SELECT * FROM pgmaint.table_bloat('chunks');
CREATE TABLE pattern (id int, filler text) WITH (autovacuum_enabled = off);
ALTER TABLE pattern ALTER filler SET STORAGE plain;
INSERT INTO pattern SELECT g, repeat('x', 2000 + g % 5 * 400) FROM generate_series(1, 9000) g;
DELETE FROM pattern WHERE hashint4(id) & 3 = 0;
INSERT INTO measured SELECT * FROM pgmaint.table_bloat('pattern');
-- a rewrite that would make the table larger: no bloat, and the margin says so
CREATE TABLE tight (id int, filler text) WITH (autovacuum_enabled = off);
ALTER TABLE tight ALTER filler SET STORAGE external;
INSERT INTO tight SELECT g, repeat('x', 2100 + g * 7919 % 4000) FROM generate_series(1, 1000) g;
CREATE TABLE before AS SELECT *, size_of(relation) AS size FROM pgmaint.table_bloat('tight');

-- other kinds, and names that need quotes
CREATE MATERIALIZED VIEW view_of_fresh AS SELECT * FROM fresh;
CREATE MATERIALIZED VIEW not_populated AS SELECT * FROM fresh WITH NO DATA;
CREATE UNLOGGED TABLE "Übel ""table""; x" AS SELECT * FROM fresh;
CREATE TEMPORARY TABLE mine AS SELECT * FROM fresh;
-- from 16 on these begin with room for more
VACUUM FULL view_of_fresh, "Übel ""table""; x", mine;
DELETE FROM "Übel ""table""; x" WHERE id <= 5000;
INSERT INTO measured SELECT * FROM pgmaint.table_bloat('"Übel ""table""; x"');
SELECT relation, total_bytes > 0 AS has_size, round(bloat_ratio::numeric, 2) AS bloat_ratio
FROM unnest(ARRAY['view_of_fresh', 'not_populated', '"Übel ""table""; x"', 'mine', 'pg_class']::regclass[]) r,
	LATERAL pgmaint.table_bloat(r) WHERE relation <> 'pg_class'::regclass OR bloat_ratio > 1;

VACUUM FULL deleted;
VACUUM FULL half;
VACUUM FULL wide;
VACUUM FULL aborted;
VACUUM FULL toasted;
VACUUM FULL "Übel ""table""; x";
-- a sample of wide rows does not say that it is exact
CREATE TABLE told AS SELECT b.* FROM generate_series(1, 20) seed, LATERAL pgmaint.table_bloat('pattern', 0.04, seed) b;
VACUUM FULL dropped_columns, dropped_toast, added_columns, moved_in, chunks, pattern, tight;
SELECT count(*) FILTER (WHERE abs(bloat_ratio - (1 - size_of(relation)::float8 / total_bytes)) <= margin) >= 19 AS within_margin,
	min(margin) > 0.01 AS not_exact, max(margin) < 0.06 AS precise, max(sampled_blocks) < min(total_blocks) AS sampled
FROM told;
SELECT bloat_ratio, size_of(relation) > size AS larger, margin BETWEEN 0.01 AND 0.1 AS margin,
	size_of(relation)::float8 / size - 1 <= margin AS within_margin FROM before;
SELECT relation, total_bytes - bloat_bytes = size_of(relation) AS as_vacuum_full_does FROM measured;

-- a row that a snapshot may still see is not bloat yet
BEGIN;
DELETE FROM fresh;
SELECT dead_bytes, bloat_bytes FROM pgmaint.table_bloat('fresh');
ROLLBACK;

--
-- Larger ones are sampled
--
CREATE TABLE sampled (id int, filler text) WITH (autovacuum_enabled = off);
ALTER TABLE sampled ALTER filler SET STORAGE plain;
INSERT INTO sampled SELECT g, repeat('x', 7000) FROM generate_series(1, 8000) g;
SELECT bloat_bytes, margin BETWEEN 0.001 AND 0.01 AS margin, sampled_blocks < 1000 AS sampled
FROM pgmaint.table_bloat('sampled', seed => 1);
-- a stretch, and pages here and there
DELETE FROM sampled WHERE id <= 2400;
SELECT count(*) FILTER (WHERE abs(bloat_ratio - 0.3) <= margin) >= 18 AS within_margin,
	max(margin) <= 0.01 AS precise, max(sampled_blocks) < 1000 AS sampled
FROM generate_series(1, 20) seed, LATERAL pgmaint.table_bloat('sampled', seed => seed);
DELETE FROM sampled WHERE hashint4(id) & 15 = 0;
SELECT count(*) FILTER (WHERE abs(bloat_ratio - (SELECT 1 - count(*) / 8000.0 FROM sampled)) <= margin) >= 18 AS within_margin,
	max(margin) <= 0.05 AS precise, max(sampled_blocks) < 1000 AS sampled
FROM generate_series(1, 20) seed, LATERAL pgmaint.table_bloat('sampled', 0.05, seed);
-- the same seed, the same blocks
SELECT count(DISTINCT t) FROM generate_series(1, 3), LATERAL pgmaint.table_bloat('sampled', seed => 9007199254740993) t;
-- more precise than a sample of reasonable size
SELECT margin, sampled_blocks = total_blocks AS exact,
	bloat_ratio = (SELECT 1 - count(*) / 8000.0 FROM sampled)::float8 AS right
FROM pgmaint.table_bloat('sampled', 0.0001);

--
-- All tables: worst first, and nothing that cannot be judged
--
CREATE TABLE parted (a int) PARTITION BY RANGE (a);
CREATE TABLE "Part 1" PARTITION OF parted FOR VALUES FROM (0) TO (1);
CREATE TABLE part2 PARTITION OF parted FOR VALUES FROM (1) TO (2);
CREATE TABLE part3 PARTITION OF parted FOR VALUES FROM (2) TO (3);
CREATE TABLE part4 PARTITION OF parted FOR VALUES FROM (3) TO (4);
CREATE TABLE childless (a int) PARTITION BY RANGE (a);
CREATE INDEX fresh_id ON fresh (id);
CREATE VIEW a_view AS SELECT 1;
CREATE SEQUENCE a_sequence;
CREATE TYPE a_type AS (a int);
CREATE FOREIGN DATA WRAPPER regress_bloat_fdw;
CREATE SERVER regress_bloat_server FOREIGN DATA WRAPPER regress_bloat_fdw;
CREATE FOREIGN TABLE elsewhere (a int) SERVER regress_bloat_server;

SELECT relation FROM pgmaint.table_bloat(seed => 1) LIMIT 1;
SELECT bool_and(ordered) AS ordered FROM (
	SELECT bloat_bytes <= lag(bloat_bytes) OVER () AS ordered FROM pgmaint.table_bloat()) o;
SELECT c.relname, b.relation IS NOT NULL AS measured
FROM pg_class c LEFT JOIN pgmaint.table_bloat() b ON b.relation = c.oid
WHERE c.relnamespace = 'bloat'::regnamespace OR c.oid IN ('pg_class'::regclass, 'mine'::regclass)
ORDER BY c.relname COLLATE "C";
SELECT relation FROM pgmaint.table_bloat(min_size => 8 * 1024 * 1024)
WHERE relation::text LIKE 'bloat.%' OR relation::text NOT LIKE '%.%' AND relation::text NOT LIKE 'pg\_%';
SELECT count(*) FROM pgmaint.table_bloat('empty', min_size => 1000000);

--
-- What cannot be judged, when it is named
--
SELECT pgmaint.table_bloat('parted');
SELECT pgmaint.table_bloat('childless');
SELECT pgmaint.table_bloat('elsewhere');
SELECT pgmaint.table_bloat('a_view');
SELECT pgmaint.table_bloat('a_sequence');
SELECT pgmaint.table_bloat('a_type');
SELECT pgmaint.table_bloat('fresh_id');
DO $$
DECLARE
	hint text;
BEGIN
	PERFORM pgmaint.table_bloat(reltoastrelid) FROM pg_class WHERE oid = 'toasted'::regclass;
EXCEPTION WHEN wrong_object_type THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RAISE WARNING '%', hint;
END
$$;
SELECT pgmaint.table_bloat('no_such_table');
SELECT pgmaint.table_bloat(1);
SELECT pgmaint.table_bloat('empty', 0);
SELECT pgmaint.table_bloat('empty', -0.01);
SELECT pgmaint.table_bloat('empty', 0.5);
SELECT pgmaint.table_bloat('empty', 'NaN');
SELECT pgmaint.table_bloat('empty', 'Infinity');
SELECT pgmaint.table_bloat('empty', NULL);
SELECT pgmaint.table_bloat('empty', min_size => -1);

CREATE ACCESS METHOD regress_bloat_am TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE other_am (a int) USING regress_bloat_am;
SELECT pgmaint.table_bloat('other_am');
SELECT count(*) FROM pgmaint.table_bloat() WHERE relation = 'other_am'::regclass;

--
-- Who may
--
CREATE ROLE regress_bloat_nobody;
CREATE ROLE regress_bloat_reader;
CREATE ROLE regress_bloat_owner;
CREATE ROLE regress_bloat_monitor IN ROLE pg_stat_scan_tables;
CREATE TABLE secret (a int);
ALTER TABLE secret OWNER TO regress_bloat_owner;
GRANT SELECT ON secret TO regress_bloat_reader;
GRANT USAGE ON SCHEMA bloat TO PUBLIC;

SET ROLE regress_bloat_nobody;
SELECT * FROM pgmaint.table_bloat('secret');
RESET ROLE;
GRANT USAGE ON SCHEMA pgmaint TO regress_bloat_nobody, regress_bloat_reader, regress_bloat_owner;
SET ROLE regress_bloat_nobody;
SELECT * FROM pgmaint.table_bloat('secret');
RESET ROLE;
GRANT EXECUTE ON FUNCTION pgmaint.table_bloat TO regress_bloat_nobody, regress_bloat_reader, regress_bloat_owner;
SET ROLE regress_bloat_nobody;
SELECT * FROM pgmaint.table_bloat('secret');
SELECT count(*) FROM pgmaint.table_bloat() WHERE relation = 'secret'::regclass;
SET ROLE regress_bloat_reader;
SELECT relation, total_bytes FROM pgmaint.table_bloat('secret');
SET ROLE regress_bloat_owner;
SELECT relation, total_bytes FROM pgmaint.table_bloat('secret');
SET ROLE regress_bloat_monitor;
SELECT relation, total_bytes FROM pgmaint.table_bloat('secret');
SELECT count(*) FROM pgmaint.table_bloat() WHERE relation = 'secret'::regclass;
RESET ROLE;

-- nothing is written
BEGIN READ ONLY;
SELECT relation, margin FROM pgmaint.table_bloat('deleted');
SELECT count(*) > 50 AS many FROM pgmaint.table_bloat();
COMMIT;

REVOKE ALL ON SCHEMA pgmaint FROM regress_bloat_nobody, regress_bloat_reader, regress_bloat_owner;
REVOKE ALL ON FUNCTION pgmaint.table_bloat FROM regress_bloat_nobody, regress_bloat_reader, regress_bloat_owner;
DROP TABLE mine;
DROP SCHEMA bloat CASCADE;
DROP ACCESS METHOD regress_bloat_am;
DROP SERVER regress_bloat_server;
DROP FOREIGN DATA WRAPPER regress_bloat_fdw;
DROP ROLE regress_bloat_nobody, regress_bloat_reader, regress_bloat_owner, regress_bloat_monitor;
