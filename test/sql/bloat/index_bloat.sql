--
-- index_bloat: what a rebuild of an index would give back
--
SET client_min_messages = warning;
CREATE SCHEMA bloat;
SET search_path = bloat;

-- measures the indexes of a table, rebuilds them, and says whether the
-- estimate was within its margin of what that gave back
CREATE FUNCTION held_against_reindex(tab regclass, max_margin float8 DEFAULT 0.02)
	RETURNS TABLE (index regclass, bloated text, right_within boolean) LANGUAGE plpgsql AS $$
DECLARE
	estimate record;
	before bigint;
	gain float8;
BEGIN
	FOR estimate IN SELECT * FROM pgmaint.index_bloat(tab, max_margin, 1) b ORDER BY b.index::text COLLATE "C" LOOP
		before := pg_relation_size(estimate.index);
		EXECUTE 'REINDEX INDEX ' || estimate.index;
		gain := 1 - pg_relation_size(estimate.index) / before::float8;
		index := estimate.index;
		bloated := CASE WHEN gain > 0.05 THEN 'yes' ELSE 'no' END;
		right_within := abs(gain - estimate.bloat_ratio) <= estimate.margin + 1e-9
			AND before = estimate.total_bytes;
		RETURN NEXT;
	END LOOP;
END
$$;

CREATE TABLE t (id int, kind int, name text, at timestamptz) WITH (autovacuum_enabled = off);
INSERT INTO t SELECT g, g % 50, md5(g::text), 'epoch'::timestamptz + hashint4(g) * interval '1 second'
FROM generate_series(1, 60000) g;
CREATE UNIQUE INDEX t_id ON t (id);
CREATE INDEX t_kind ON t (kind);
CREATE INDEX t_kind_each ON t (kind) WITH (deduplicate_items = off);
CREATE INDEX t_name ON t (name);
CREATE INDEX t_name_loose ON t (name) WITH (fillfactor = 50);
CREATE INDEX t_at ON t (at);
CREATE INDEX t_both ON t (name, at) INCLUDE (id);
CREATE INDEX t_none ON t (id) WHERE id < 0;
CREATE INDEX t_expression ON t (lower(name)) WHERE kind < 10;

-- new ones
SELECT index, relation, method, total_bytes = pg_relation_size(index) AS size, bloat_ratio < 0.01 AS no_bloat,
	margin < 0.01 AS exact, round(leaf_density::numeric, 1) AS leaf_density, sampled_blocks = total_blocks AS read
FROM pgmaint.index_bloat('t') ORDER BY index::text COLLATE "C";

-- rows deleted, not vacuumed
DELETE FROM t WHERE id % 3 = 0;
BEGIN;
SELECT * FROM held_against_reindex('t');
ROLLBACK;
-- entries that were found dead by a scan
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(name) FROM t WHERE id > 0;
RESET enable_seqscan;
RESET enable_bitmapscan;
BEGIN;
SELECT * FROM held_against_reindex('t');
ROLLBACK;
-- vacuumed
VACUUM t;
BEGIN;
SELECT * FROM held_against_reindex('t');
ROLLBACK;
-- rows updated, so that every key has an old and a new entry
UPDATE t SET at = at + interval '1 day', kind = kind + 1 WHERE id % 2 = 0;
BEGIN;
SELECT * FROM held_against_reindex('t');
ROLLBACK;
-- a stretch deleted, whose pages VACUUM gives up
DELETE FROM t WHERE id <= 20000;
VACUUM t;
BEGIN;
SELECT * FROM held_against_reindex('t');
ROLLBACK;

-- rows that were updated in place keep their one entry
CREATE TABLE hot (id int, n int) WITH (fillfactor = 50, autovacuum_enabled = off);
INSERT INTO hot SELECT g, 0 FROM generate_series(1, 20000) g;
CREATE INDEX hot_id ON hot (id);
UPDATE hot SET n = n + 1;
SELECT index, bloat_bytes FROM pgmaint.index_bloat('hot');
-- as long as some snapshot may see a row, its entry stays
BEGIN;
DELETE FROM hot;
SELECT index, bloat_bytes FROM pgmaint.index_bloat('hot_id');
ROLLBACK;

-- sampled, in a wide index
CREATE TABLE large (id int, filler text) WITH (autovacuum_enabled = off);
INSERT INTO large SELECT g, (SELECT string_agg(md5((g * 50 + n)::text), '') FROM generate_series(1, 24) n)
FROM generate_series(1, 24000) g;
CREATE INDEX large_filler ON large (filler);
SELECT sampled_blocks < total_blocks AS sampled, margin <= 0.02 AS precise, abs(bloat_ratio) <= margin + 0.01 AS no_bloat
FROM pgmaint.index_bloat('large_filler', seed => 1);
DELETE FROM large WHERE hashint4(id) & 3 = 0;
SELECT * FROM held_against_reindex('large');

-- a key fills whole pages: what is not looked up of it is uncertain
CREATE TABLE few (id int, kind int) WITH (autovacuum_enabled = off);
INSERT INTO few SELECT g, g % 5 FROM generate_series(1, 150000) g;
CREATE INDEX few_kind ON few (kind);
DELETE FROM few WHERE hashint4(id) & 3 = 0;
CREATE TABLE told AS SELECT b.* FROM generate_series(1, 20) seed, LATERAL pgmaint.index_bloat('few_kind', 0.02, seed) b;
REINDEX INDEX few_kind;
SELECT min(margin) > 0 AS not_exact, max(margin) < 0.05 AS precise,
	count(*) FILTER (WHERE abs(bloat_ratio - (1 - pg_relation_size(index)::float8 / total_bytes)) <= margin) >= 19 AS within_margin
FROM told;
-- of the few internal pages, a sample may hold none but the root
CREATE TABLE inserted (id int) WITH (autovacuum_enabled = off);
CREATE INDEX inserted_id ON inserted (id);
INSERT INTO inserted SELECT hashint4(g) FROM generate_series(1, 250000) g;
TRUNCATE told;
INSERT INTO told SELECT b.* FROM generate_series(1, 60) seed, LATERAL pgmaint.index_bloat('inserted_id', 0.03, seed) b;
REINDEX INDEX inserted_id;
SELECT max(sampled_blocks) < min(total_blocks) AS sampled, max(margin) < 0.031 AS precise,
	max(abs(bloat_ratio - (1 - pg_relation_size(index)::float8 / total_bytes))) < 0.05 AS none_far_off,
	count(*) FILTER (WHERE abs(bloat_ratio - (1 - pg_relation_size(index)::float8 / total_bytes)) <= margin) >= 57 AS within_margin
FROM told;

-- Where entries have one size, blocks of the table tell how many of them stay.
-- Where they do not, or the index lacks rows, entries are looked up one by one.
CREATE TABLE counted (id int, gone bool, label text) WITH (autovacuum_enabled = off);
INSERT INTO counted SELECT g, hashint4(g) & 7 = 0, repeat('x', CASE WHEN hashint4(g) & 7 = 0 THEN 60 ELSE 20 END) || g
FROM generate_series(1, 400000) g;
CREATE UNIQUE INDEX counted_id ON counted (id);
CREATE INDEX counted_hash ON counted ((hashint4(id)));
CREATE INDEX counted_label ON counted (label);
CREATE INDEX counted_partial ON counted ((id + 0)) WHERE id % 6 <> 0;
DELETE FROM counted WHERE gone;
-- blocks that a statement reads, of catalogs, maps, index and table
CREATE FUNCTION blocks_of(statement text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || statement INTO plan;
	RETURN (plan #>> '{0,Plan,Shared Hit Blocks}')::int + (plan #>> '{0,Plan,Shared Read Blocks}')::int;
END
$$;
SELECT index, max(b.blocks) < 800 AS counted, max(b.blocks) < 3200 AS bounded
FROM unnest(ARRAY['counted_id', 'counted_hash', 'counted_label', 'counted_partial']) index, generate_series(1, 5) seed,
	LATERAL (SELECT blocks_of(format('SELECT * FROM pgmaint.index_bloat(%L, 0.03, %s)', index, seed)) AS blocks) b
GROUP BY index ORDER BY index COLLATE "C";
TRUNCATE told;
INSERT INTO told
SELECT b.* FROM unnest(ARRAY['counted_id', 'counted_hash', 'counted_label', 'counted_partial']) index, generate_series(1, 40) seed,
	LATERAL pgmaint.index_bloat(index::regclass, 0.03, seed) b;
REINDEX TABLE counted;
SELECT index, max(sampled_blocks) < min(total_blocks) AS sampled, max(margin) < 0.031 AS precise,
	max(abs(bloat_ratio - (1 - pg_relation_size(index)::float8 / total_bytes))) < 0.05 AS none_far_off,
	count(*) FILTER (WHERE abs(bloat_ratio - (1 - pg_relation_size(index)::float8 / total_bytes)) <= margin) >= 37 AS within_margin
FROM told GROUP BY index ORDER BY index::text COLLATE "C";
-- a snapshot keeps what was deleted, and a rebuild too
BEGIN;
DELETE FROM counted WHERE id % 2 = 0;
SELECT max(bloat_ratio) < 0.02 AS nothing FROM pgmaint.index_bloat('counted', 0.03, 1);
ROLLBACK;
DROP TABLE counted;

--
-- Other methods: free space on their pages says nothing of a rebuild
--
CREATE TABLE o (id int, words text[], place point, r int4range) WITH (autovacuum_enabled = off);
INSERT INTO o SELECT g, ARRAY['a' || g % 100, 'b' || g % 7], point(g % 1000, g % 777), int4range(g, g + 5)
FROM generate_series(1, 20000) g;
CREATE INDEX o_brin ON o USING brin (id);
CREATE INDEX o_gin ON o USING gin (words);
CREATE INDEX o_gist ON o USING gist (place);
CREATE INDEX o_hash ON o USING hash (id);
CREATE INDEX o_spgist ON o USING spgist (place);
CREATE INDEX o_btree ON o (r);
DELETE FROM o WHERE id > 2000;
VACUUM o;
SELECT index, relation, method, bloat_bytes > 0 AS bloated, bloat_ratio > 0.8 AS most, margin < 0.02 AS precise,
	leaf_density > 0 AS density, total_bytes = pg_relation_size(index) AS size, sampled_blocks > 0 AS read
FROM pgmaint.index_bloat('o') ORDER BY index::text COLLATE "C";
SELECT index, bloat_bytes, bloat_ratio, margin, sampled_blocks FROM pgmaint.index_bloat('o_gin');
-- worst first, unknown last
SELECT array_agg(method = 'btree') AS btree FROM pgmaint.index_bloat('o');
-- not among all indexes
SELECT index FROM pgmaint.index_bloat() WHERE relation = 'o'::regclass;

--
-- All indexes
--
CREATE TABLE "Tische ""x""" (a int PRIMARY KEY, b text);
CREATE TABLE parted (a int) PARTITION BY RANGE (a);
CREATE TABLE part1 PARTITION OF parted FOR VALUES FROM (0) TO (1);
CREATE INDEX parted_a ON parted (a);
SELECT bool_and(ordered) AS ordered FROM (
	SELECT bloat_bytes <= lag(bloat_bytes) OVER () AS ordered FROM pgmaint.index_bloat()) o;
SELECT index, relation, method, bloat_bytes FROM pgmaint.index_bloat()
WHERE relation IN ('"Tische ""x"""'::regclass, 'parted'::regclass, 'part1'::regclass) ORDER BY index::text COLLATE "C";
SELECT count(*) > 50 AS catalogs FROM pgmaint.index_bloat() WHERE relation::oid < 16384;
SELECT index FROM pgmaint.index_bloat(min_size => 4 * 1024 * 1024) WHERE relation::oid >= 16384 ORDER BY index::text COLLATE "C";
-- of a TOAST table, and one that is invalid
SELECT count(*) FROM pg_class c, LATERAL pgmaint.index_bloat(c.reltoastrelid) WHERE c.oid = 't'::regclass;
INSERT INTO "Tische ""x""" VALUES (1, 'same'), (2, 'same');
CREATE UNIQUE INDEX CONCURRENTLY invalid ON "Tische ""x""" (b);
SELECT index, method FROM pgmaint.index_bloat('invalid');

--
-- What cannot be judged, when it is named
--
CREATE VIEW a_view AS SELECT 1;
SELECT pgmaint.index_bloat('parted_a');
SELECT pgmaint.index_bloat('parted');
SELECT pgmaint.index_bloat('a_view');
SELECT pgmaint.index_bloat('no_such_index');
SELECT pgmaint.index_bloat(1);
SELECT pgmaint.index_bloat('t_id', 0);
SELECT pgmaint.index_bloat('t_id', 'NaN');
SELECT pgmaint.index_bloat('t_id', 0.7);
SELECT pgmaint.index_bloat('t_id', min_size => -1);
CREATE ACCESS METHOD regress_bloat_index TYPE INDEX HANDLER gisthandler;
CREATE OPERATOR CLASS other_points DEFAULT FOR TYPE point USING regress_bloat_index AS
	OPERATOR 6 ~=, STORAGE box,
	FUNCTION 1 gist_point_consistent(internal, point, smallint, oid, internal),
	FUNCTION 2 gist_box_union(internal, internal),
	FUNCTION 3 gist_point_compress(internal),
	FUNCTION 5 gist_box_penalty(internal, internal, internal),
	FUNCTION 6 gist_box_picksplit(internal, internal),
	FUNCTION 7 gist_box_same(box, box, internal);
CREATE TABLE other (a point);
CREATE INDEX other_method ON other USING regress_bloat_index (a);
SELECT pgmaint.index_bloat('other_method');
SELECT count(*) FROM pgmaint.index_bloat('other');
DROP ACCESS METHOD regress_bloat_index CASCADE;

--
-- Who may: the same as for the table
--
CREATE ROLE regress_bloat_reader;
CREATE TABLE secret (a int PRIMARY KEY);
GRANT USAGE ON SCHEMA bloat TO PUBLIC;
SET ROLE regress_bloat_reader;
SELECT * FROM pgmaint.index_bloat('secret_pkey');
RESET ROLE;
GRANT USAGE ON SCHEMA pgmaint TO regress_bloat_reader;
GRANT EXECUTE ON FUNCTION pgmaint.index_bloat TO regress_bloat_reader;
SET ROLE regress_bloat_reader;
SELECT * FROM pgmaint.index_bloat('secret_pkey');
SELECT * FROM pgmaint.index_bloat('secret');
SELECT count(*) FROM pgmaint.index_bloat() WHERE relation = 'secret'::regclass;
RESET ROLE;
GRANT SELECT ON secret TO regress_bloat_reader;
SET ROLE regress_bloat_reader;
SELECT index, bloat_bytes FROM pgmaint.index_bloat('secret_pkey');
RESET ROLE;

BEGIN READ ONLY;
SELECT count(*) > 50 AS many FROM pgmaint.index_bloat();
COMMIT;

REVOKE ALL ON SCHEMA pgmaint FROM regress_bloat_reader;
REVOKE ALL ON FUNCTION pgmaint.index_bloat FROM regress_bloat_reader;
DROP SCHEMA bloat CASCADE;
DROP ROLE regress_bloat_reader;
