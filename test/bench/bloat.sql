-- What the benchmark of bloat measures.  Rows are laid out as their tables
-- say, so that sizes do not depend on the server; statistics are not needed.
-- :scale is 1, or less to try it.
SET client_min_messages = warning;
SET synchronous_commit = off;

-- how often the truth is within the stated margin, and the largest margin
CREATE FUNCTION coverage(tab regclass, OUT inside numeric, OUT largest float8, OUT blocks numeric)
LANGUAGE sql AS $$
	SELECT round(100.0 * count(*) FILTER (WHERE abs(b.bloat_ratio - t.truth) <= b.margin) / count(*), 1),
		max(b.margin), round(avg(b.sampled_blocks))
	FROM (SELECT bloat_ratio AS truth FROM pgmaint.table_bloat(tab, 1e-7)) t,
		generate_series(1, 200) seed,
		LATERAL pgmaint.table_bloat(tab, seed => seed) b
$$;

-- what pgstatindex lets expect that REINDEX gives back, by its leaf density
CREATE FUNCTION pgstatindex_says(i regclass) RETURNS float8 LANGUAGE sql AS $$
	SELECT greatest(0, 1 - (1 + internal_pages + leaf_pages * avg_leaf_density / 90) * 8192 / index_size)
	FROM pgstatindex(i)
$$;

-- rebuilds every index of the table: how far off both were, in points
CREATE FUNCTION held_against_reindex(tab regclass, OUT index regclass, OUT gain float8, OUT estimate float8,
	OUT pgstatindex float8, OUT density float8) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
	before bigint;
BEGIN
	FOR index IN SELECT indexrelid FROM pg_index WHERE indrelid = tab LOOP
		before := pg_relation_size(index);
		SELECT b.bloat_ratio, b.leaf_density - p.avg_leaf_density / 100 INTO estimate, density
		FROM pgmaint.index_bloat(held_against_reindex.index) b,
			pgstatindex(held_against_reindex.index) p;
		pgstatindex := pgstatindex_says(index);
		EXECUTE format('REINDEX INDEX %s', index);
		gain := 1 - pg_relation_size(index) / before::float8;
		RETURN NEXT;
	END LOOP;
END
$$;

-- 4 GB and more, a fifth of its rows deleted at random and not vacuumed
CREATE UNLOGGED TABLE big (id int, filler text) WITH (autovacuum_enabled = off);
INSERT INTO big SELECT g, repeat('x', 150) FROM generate_series(1, (24000000 * :scale)::int) g;
DELETE FROM big WHERE hashint4(id) & 1023 < 205;
-- hint bits are set by whoever reads first: not part of what is compared
SELECT count(*) AS rows FROM big;

-- one and eight times the same
CREATE UNLOGGED TABLE grown (id int, filler text) WITH (autovacuum_enabled = off);
ALTER TABLE grown ALTER filler SET STORAGE plain;
INSERT INTO grown SELECT g, repeat('x', 1900) FROM generate_series(1, (262144 * :scale)::int) g;
CREATE UNLOGGED TABLE grown8 (LIKE grown) WITH (autovacuum_enabled = off);
ALTER TABLE grown8 ALTER filler SET STORAGE plain;
INSERT INTO grown8 SELECT g, repeat('x', 1900) FROM generate_series(1, (8 * 262144 * :scale)::int) g;
DELETE FROM grown WHERE hashint4(id) & 1023 < 205;
DELETE FROM grown8 WHERE hashint4(id) & 1023 < 205;
SELECT count(*) AS rows FROM grown;
SELECT count(*) AS rows FROM grown8;

-- ten rows to a page, and bloat of very different shape
CREATE UNLOGGED TABLE stretch (id int, filler text) WITH (autovacuum_enabled = off);
ALTER TABLE stretch ALTER filler SET STORAGE plain;
INSERT INTO stretch SELECT g, repeat('x', 780) FROM generate_series(1, (400000 * :scale)::int) g;
CREATE UNLOGGED TABLE uniform (LIKE stretch) WITH (autovacuum_enabled = off);
INSERT INTO uniform SELECT * FROM stretch;
CREATE UNLOGGED TABLE rare (LIKE stretch) WITH (autovacuum_enabled = off);
INSERT INTO rare SELECT * FROM stretch;
CREATE UNLOGGED TABLE halves (LIKE stretch) WITH (autovacuum_enabled = off);
INSERT INTO halves SELECT * FROM stretch;
DELETE FROM stretch WHERE id <= 120000 * :scale;
DELETE FROM uniform WHERE hashint4(id) & 1023 < 205;
DELETE FROM rare WHERE hashint4((ctid::text::point)[0]::int) & 1048575 < 10486;
DELETE FROM halves WHERE hashint4((ctid::text::point)[0]::int) & 1 = 0;
