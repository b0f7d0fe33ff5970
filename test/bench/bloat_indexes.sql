SET client_min_messages = warning;
SET synchronous_commit = off;
SET maintenance_work_mem = '1GB';

-- an index of a gigabyte on a table that was vacuumed
CREATE UNLOGGED TABLE keyed (id int, name text) WITH (autovacuum_enabled = off);
INSERT INTO keyed SELECT g, md5(g::text) FROM generate_series(1, (18000000 * :scale)::int) g;
VACUUM keyed;
CREATE INDEX keyed_name ON keyed (name);

-- indexes of several kinds, a quarter of their rows gone and a third updated
CREATE UNLOGGED TABLE kinds (id bigint, kind int, name text, at timestamptz) WITH (autovacuum_enabled = off);
INSERT INTO kinds SELECT g, hashint4(g) & 511, md5(g::text), 'epoch'::timestamptz + hashint4(g) * interval '1 s'
FROM generate_series(1, (1500000 * :scale)::int) g;
CREATE UNIQUE INDEX kinds_id ON kinds (id);
CREATE INDEX kinds_kind ON kinds (kind);
CREATE INDEX kinds_name ON kinds (name);
CREATE INDEX kinds_at ON kinds (at);
DELETE FROM kinds WHERE hashint4(id::int) % 4 = 0;
UPDATE kinds SET at = at + interval '1 hour' WHERE hashint8(id) % 3 = 0;
