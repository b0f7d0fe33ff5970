-- What bloat_accuracy.sh measures: tables and indexes of many kinds.  Rows are
-- derived from their numbers, so that every run measures the same.
SET client_min_messages = warning;
SET synchronous_commit = off;
SET maintenance_work_mem = '512MB';
SELECT setseed(0.5);

-- text that cannot be compressed, of this length
CREATE FUNCTION noise(n int, length int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT left(string_agg(md5((n * 1000 + i)::text), ''), length) FROM generate_series(1, length / 32 + 1) i
$$;
-- true for this share of the numbers, at random
CREATE FUNCTION chance(n int, share float8) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT (hashint4(n)::bigint + 2147483648) % 1000000 < share * 1000000
$$;

--
-- Tables
--
CREATE TABLE t_fresh (id int, filler text);
INSERT INTO t_fresh SELECT g, repeat('x', 100) FROM generate_series(1, 500000) g;

CREATE TABLE t_uniform (id int, filler text);
INSERT INTO t_uniform SELECT * FROM t_fresh;
DELETE FROM t_uniform WHERE chance(id, 0.2);
VACUUM t_uniform;

CREATE TABLE t_clustered (id int, filler text);
INSERT INTO t_clustered SELECT * FROM t_fresh;
DELETE FROM t_clustered WHERE id <= 120000 OR id BETWEEN 300000 AND 340000 OR chance(id / 3000, 0.1);
VACUUM t_clustered;

CREATE TABLE t_dropped_column (id int, gone text, filler text, gone_too numeric);
INSERT INTO t_dropped_column SELECT g, repeat('y', 50 + g % 200), repeat('x', 60), g FROM generate_series(1, 300000) g;
ALTER TABLE t_dropped_column DROP gone, DROP gone_too;

CREATE TABLE t_added_column (id int, filler text);
INSERT INTO t_added_column SELECT g, repeat('x', 40 + g % 20) FROM generate_series(1, 500000) g;
ALTER TABLE t_added_column ADD a bigint DEFAULT 7, ADD b text DEFAULT 'not stored anywhere', ADD c int;
UPDATE t_added_column SET c = 1 WHERE chance(id, 0.1);
DELETE FROM t_added_column WHERE chance(id + 1, 0.55);

CREATE TABLE t_toast (id int, value text);
ALTER TABLE t_toast ALTER value SET STORAGE external;
INSERT INTO t_toast SELECT g, noise(g, 3000 + abs(hashint4(g) % 17000)) FROM generate_series(1, 5000) g;
DELETE FROM t_toast WHERE chance(id, 0.3);
VACUUM t_toast;

CREATE TABLE t_toast_fresh (id int, value text);
ALTER TABLE t_toast_fresh ALTER value SET STORAGE external;
INSERT INTO t_toast_fresh SELECT g, noise(g, 2100 + abs(hashint4(g) % 4000)) FROM generate_series(1, 12000) g;

CREATE TABLE t_toast_dropped (id int, gone text, value text);
ALTER TABLE t_toast_dropped ALTER value SET STORAGE external, ALTER gone SET STORAGE external;
INSERT INTO t_toast_dropped SELECT g, noise(g, 1900), noise(g + 1, 1500 + g % 2000) FROM generate_series(1, 12000) g;
ALTER TABLE t_toast_dropped DROP gone;

CREATE TABLE t_wide_fresh (id int, filler text);
ALTER TABLE t_wide_fresh ALTER filler SET STORAGE plain;
INSERT INTO t_wide_fresh SELECT g, repeat('x', 2000 + g % 5 * 400) FROM generate_series(1, 30000) g;

CREATE TABLE t_wide (id int, filler text);
ALTER TABLE t_wide ALTER filler SET STORAGE plain;
INSERT INTO t_wide SELECT g, repeat('x', 2000 + g % 5 * 400) FROM generate_series(1, 60000) g;
DELETE FROM t_wide WHERE chance(id, 0.3);

CREATE TABLE t_wide_random (id int, filler text);
ALTER TABLE t_wide_random ALTER filler SET STORAGE plain;
INSERT INTO t_wide_random SELECT g, repeat('x', 2000 + abs(hashint4(g) % 1600)) FROM generate_series(1, 30000) g;
DELETE FROM t_wide_random WHERE id % 7 = 0;

CREATE TABLE t_fillfactor_50 (id int, n int, filler text) WITH (fillfactor = 50);
INSERT INTO t_fillfactor_50 SELECT g, 0, repeat('x', 150) FROM generate_series(1, 200000) g;
DELETE FROM t_fillfactor_50 WHERE chance(id, 0.15);

CREATE TABLE t_fillfactor_90 (id int, n int, filler text) WITH (fillfactor = 90);
INSERT INTO t_fillfactor_90 SELECT g, 0, repeat('x', 80) FROM generate_series(1, 400000) g;
UPDATE t_fillfactor_90 SET n = n + 1 WHERE chance(id, 0.25);
VACUUM t_fillfactor_90;

CREATE TABLE t_nulls (id int, a int, b text, c numeric, d timestamptz, e int[], f text, g bigint, h text);
INSERT INTO t_nulls SELECT g, nullif(g % 5, 0), CASE WHEN g % 3 = 0 THEN repeat('b', g % 70) END, CASE WHEN g % 11 = 0 THEN g * 1.5 END,
	NULL, CASE WHEN g % 13 = 0 THEN ARRAY[g, NULL] END, NULL, nullif(g % 2, 0), CASE WHEN g % 4 = 0 THEN 'h' END
FROM generate_series(1, 900000) g;
DELETE FROM t_nulls WHERE id % 3 = 0;

CREATE TABLE t_not_vacuumed (id int, n int, filler text);
INSERT INTO t_not_vacuumed SELECT g, 0, repeat('x', 90) FROM generate_series(1, 400000) g;
UPDATE t_not_vacuumed SET n = 1 WHERE chance(id, 0.3);
DELETE FROM t_not_vacuumed WHERE chance(id / 100, 0.3);

CREATE TABLE t_hot (id int PRIMARY KEY, n int, filler text) WITH (fillfactor = 80);
INSERT INTO t_hot SELECT g, 0, repeat('x', 90) FROM generate_series(1, 300000) g;
UPDATE t_hot SET n = n + 1 WHERE chance(id, 0.15);
UPDATE t_hot SET n = n + 1 WHERE chance(id + 7, 0.15);
UPDATE t_hot SET n = n + 1 WHERE id % 10 = 0;

CREATE TABLE t_tiny (id int, filler text);
INSERT INTO t_tiny SELECT g, repeat('x', 100) FROM generate_series(1, 300) g;
DELETE FROM t_tiny WHERE id > 100;

CREATE TABLE t_parted (at int, filler text, n bigint) PARTITION BY RANGE (at);
CREATE TABLE t_leaf (n bigint, gone uuid, filler text, at int);
ALTER TABLE t_leaf DROP gone;
INSERT INTO t_leaf SELECT g, repeat('x', 20 + g % 100), g FROM generate_series(1, 500000) g;
ALTER TABLE t_parted ATTACH PARTITION t_leaf FOR VALUES FROM (0) TO (1000000);
DELETE FROM t_parted WHERE at BETWEEN 50000 AND 210000;

CREATE TABLE t_types (id int, name text, amount numeric, tags text[], doc jsonb, flag boolean, at timestamptz);
INSERT INTO t_types SELECT g, noise(g, 5 + abs(hashint4(g) % 300)), g * 1.37, ARRAY['a' || g, 'b' || g % 7],
	jsonb_build_object('id', g, 'of', md5(g::text)), g % 2 = 0, 'epoch'::timestamptz + g * interval '1 s'
FROM generate_series(1, 200000) g;
DELETE FROM t_types WHERE chance(id, 0.25);
VACUUM t_types;

CREATE TABLE t_append_delete (id int, filler text);
INSERT INTO t_append_delete SELECT g, repeat('x', 50 + g % 150) FROM generate_series(1, 250000) g;
DELETE FROM t_append_delete WHERE id <= 100000;
VACUUM t_append_delete;
INSERT INTO t_append_delete SELECT g, repeat('x', 50 + g % 150) FROM generate_series(250001, 400000) g;
DELETE FROM t_append_delete WHERE id <= 220000;

CREATE TABLE t_all_deleted (id int, filler text);
INSERT INTO t_all_deleted SELECT * FROM t_fresh;
DELETE FROM t_all_deleted;

CREATE TABLE t_large (id int, filler text);
INSERT INTO t_large SELECT g, repeat('x', 50 + abs(hashint4(g) % 200)) FROM generate_series(1, 1800000) g;
DELETE FROM t_large WHERE chance(id, 0.1) OR id % 1000000 < 100000;

--
-- Indexes: what was inserted in order, at random, or built, and what became
-- of the rows
--
CREATE TABLE base (id int, shuffled int, kind int, few int, name text, url text, maybe int, words text[]);
INSERT INTO base SELECT g, hashint4(g), abs(hashint4(g + 3) % 2000), abs(hashint4(g + 5) % 20), md5(g::text),
	'https://example.com/' || abs(hashint4(g) % 50000) || '/' || g % 1000, CASE WHEN g % 3 = 0 THEN g END,
	ARRAY['w' || abs(hashint4(g) % 5000), 'v' || g % 100]
FROM generate_series(1, 800000) g;

CREATE TABLE x_fresh (LIKE base);
INSERT INTO x_fresh SELECT * FROM base;
CREATE INDEX i_fresh ON x_fresh (shuffled);
CREATE INDEX i_fresh_text ON x_fresh (name);
CREATE INDEX i_fresh_dedup ON x_fresh (kind);
CREATE INDEX i_gin ON x_fresh USING gin (words);

CREATE TABLE x_inserted (LIKE base);
CREATE INDEX i_inserted ON x_inserted (shuffled);
CREATE INDEX i_inserted_text ON x_inserted (name);
CREATE INDEX i_inserted_dedup ON x_inserted (kind);
INSERT INTO x_inserted SELECT * FROM base;

CREATE TABLE x_random (LIKE base);
INSERT INTO x_random SELECT * FROM base;
CREATE UNIQUE INDEX i_random_unique ON x_random (id);
CREATE INDEX i_random_columns ON x_random (kind, name);
CREATE INDEX i_random_include ON x_random (id) INCLUDE (url);
CREATE INDEX i_random_fillfactor ON x_random (name) WITH (fillfactor = 70);
CREATE INDEX i_random_dedup ON x_random (few);
CREATE INDEX i_random_nulls ON x_random (maybe);
DELETE FROM x_random WHERE chance(id, 0.35);
VACUUM x_random;

CREATE TABLE x_range (LIKE base);
INSERT INTO x_range SELECT * FROM base;
CREATE INDEX i_range ON x_range (id);
CREATE INDEX i_range_scattered ON x_range (url);
DELETE FROM x_range WHERE id BETWEEN 100000 AND 400000;
VACUUM x_range;

CREATE TABLE x_dead (LIKE base);
INSERT INTO x_dead SELECT * FROM base;
CREATE UNIQUE INDEX i_dead_unique ON x_dead (id);
CREATE INDEX i_dead_text ON x_dead (name);
CREATE INDEX i_dead_dedup ON x_dead (kind);
CREATE INDEX i_dead_nulls ON x_dead (maybe);
CREATE INDEX i_dead_few ON x_dead (few);
CREATE INDEX i_dead_columns ON x_dead (kind, name);
CREATE INDEX i_dead_include ON x_dead (shuffled) INCLUDE (maybe);
CREATE INDEX i_dead_url ON x_dead (url);
DELETE FROM x_dead WHERE chance(id, 0.3) OR id BETWEEN 500000 AND 600000;
UPDATE x_dead SET few = few + 1 WHERE chance(id + 11, 0.2);

CREATE TABLE x_dead_small (LIKE base);
INSERT INTO x_dead_small SELECT * FROM base WHERE id <= 150000;
CREATE INDEX i_dead_small ON x_dead_small (shuffled);
CREATE INDEX i_dead_small_dedup ON x_dead_small (kind);
CREATE INDEX i_dead_small_pairs ON x_dead_small (id, kind);
UPDATE x_dead_small SET kind = kind + 1 WHERE chance(id, 0.4);
DELETE FROM x_dead_small WHERE chance(id + 5, 0.2);
