--
-- Which indexes are rebuilt, how, and why; and which are not
--
SET client_min_messages = warning;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.index_rebuilds;
CREATE SCHEMA reindexed;
SET search_path = reindexed;
CREATE PROCEDURE run_reindex(options jsonb) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pgmaint.define_plan('reindexing', pg_catalog.jsonb_build_array(
		pg_catalog.jsonb_build_object('action', 'reindex', 'options', '{"schemas": "reindexed"}'::jsonb || options)));
END
$$;
CREATE VIEW outcome AS
SELECT t.command, regexp_replace(t.reason, '[0-9.]+ (bytes|kB|MB|%)', 'N', 'g') AS reason, t.state, t.disruptive,
	t.bytes_after < t.bytes_before AS smaller, regexp_replace(t.error, '[0-9]+ (bytes|[kMGTP]B)', 'N', 'g') AS error
FROM pgmaint.tasks t
WHERE t.run_id = (SELECT max(run_id) FROM pgmaint.runs)
ORDER BY t.task_id;
CREATE VIEW told AS
SELECT f.check_id, f.severity, f.object, f.message
FROM pgmaint.findings f
WHERE f.run_id = (SELECT max(run_id) FROM pgmaint.runs)
ORDER BY f.finding_id;
CREATE VIEW due AS
SELECT c.index, c.relation, regexp_replace(c.reason, '[0-9.]+ (bytes|kB|MB|%)', 'N', 'g') AS reason, c.command, c.causes, c.may_reindex
FROM pgmaint.reindex_candidates(min_size => 0, tables => ARRAY(SELECT oid FROM pg_class WHERE relnamespace = 'reindexed'::regnamespace)) c;

-- bloat
CREATE TABLE bloated (id int PRIMARY KEY, number int);
INSERT INTO bloated SELECT g, g FROM generate_series(1, 20000) g;
CREATE INDEX bloated_number ON bloated (number);
CREATE INDEX bloated_hash ON bloated USING hash (number);
CREATE TABLE dense (id int PRIMARY KEY);
INSERT INTO dense SELECT generate_series(1, 20000);
DELETE FROM bloated WHERE id % 4 <> 0;
VACUUM (ANALYZE) bloated, dense;
-- so that the server counts what was written here
SELECT pg_sleep(1.2) AS counted \gset
SELECT * FROM due;
SELECT bloat_ratio BETWEEN 0.7 AND 0.8 AS ratio, margin, total_bytes > bloat_bytes AS bytes
FROM pgmaint.reindex_candidates(min_size => 0) WHERE relation = 'bloated'::regclass;
SELECT count(*) FROM pgmaint.reindex_candidates(min_size => 10000000) WHERE relation = 'bloated'::regclass;
SELECT count(*) FROM pgmaint.reindex_candidates(bloat_threshold => 0.9, min_size => 0) WHERE relation = 'bloated'::regclass;
CALL run_reindex('{}');
SELECT command FROM pgmaint.dry_run('reindexing');
CALL run_reindex('{"min_size": 0}');
SELECT step, action, target, command FROM pgmaint.dry_run('reindexing');
CALL pgmaint.run_and_wait('reindexing');
SELECT * FROM outcome;
SELECT * FROM due;
SELECT count(*) FROM pgmaint_internal.bloat_measurements m WHERE m.relation = 'bloated_number'::regclass;
CALL pgmaint.run_and_wait('reindexing');
SELECT * FROM outcome;

-- a rebuild that gained nothing is not repeated until the index has changed
CALL run_reindex('{"min_size": 0, "bloat_threshold": 0}');
CALL pgmaint.run_and_wait('reindexing');
SELECT count(*) > 0 AS some, bool_and(state = 'succeeded') AS done FROM outcome;
CALL pgmaint.run_and_wait('reindexing');
SELECT * FROM outcome;
SELECT count(*) FROM pgmaint_internal.index_states('postgres'::regrole) WHERE schema = 'reindexed' AND gained_nothing;
INSERT INTO dense SELECT generate_series(20001, 24000);
SELECT pg_sleep(1.2) AS counted \gset
CALL pgmaint.run_and_wait('reindexing');
SELECT command, state FROM outcome;

-- invalid ones, and leftovers of others
CREATE INDEX dense_invalid ON dense (id);
CREATE INDEX dense_invalid_ccnew ON dense (id);
CREATE INDEX dense_ccold2 ON dense (id);
CREATE INDEX dense_ccold ON dense (id);
UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('dense_invalid'::regclass, 'dense_invalid_ccnew'::regclass, 'dense_ccold2'::regclass);
CREATE INDEX dense_dropping ON dense (id);
UPDATE pg_index SET indisvalid = false, indisready = false, indislive = false WHERE indexrelid = 'dense_dropping'::regclass;
SELECT * FROM due;
CALL run_reindex('{}');
CALL pgmaint.run_and_wait('reindexing');
SELECT * FROM outcome;
SELECT * FROM told;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'dense'::regclass AND indisvalid ORDER BY indexrelid::regclass::text;
DROP INDEX dense_invalid_ccnew, dense_ccold2, dense_dropping;

-- collations that changed come first, whatever their size, and once
CREATE COLLATION changed (provider = icu, locale = 'und');
CREATE TABLE texts (id int PRIMARY KEY, t text COLLATE changed, u text COLLATE "C");
CREATE INDEX texts_t ON texts (t);
CREATE INDEX texts_u ON texts (u, id);
CREATE INDEX texts_both ON texts (u, t);
SELECT * FROM due;
UPDATE pg_collation SET collversion = 'stone age' WHERE oid = 'changed'::regcollation;
SELECT index, regexp_replace(reason, 'to [0-9.]+', 'to now') AS reason, command, causes FROM due;
SELECT name, recorded, refresh FROM pgmaint_internal.changed_collations();
CALL pgmaint.run_and_wait('reindexing');
SELECT command, regexp_replace(reason, 'to [0-9.]+', 'to now') AS reason, state FROM outcome;
SELECT check_id, severity, object, regexp_replace(message, 'to [0-9.]+', 'to now') AS message FROM told;
CALL pgmaint.run_and_wait('reindexing');
SELECT command, state FROM outcome;
SELECT check_id, severity, object, regexp_replace(message, 'to [0-9.]+', 'to now') AS message FROM told;
SELECT * FROM due;
DROP TABLE texts;
DROP COLLATION changed;

-- what the server cannot do concurrently is for a window
CREATE TABLE booked (x circle, EXCLUDE USING gist (x WITH &&));
CALL run_reindex('{"tables": "reindexed.booked"}');
SELECT command, disruptive FROM pgmaint.dry_run('reindexing');
CALL pgmaint.run_and_wait('reindexing');
SELECT command, state, disruptive FROM outcome;
CALL run_reindex('{"tables": "reindexed.booked", "ignore_window": true}');
CALL pgmaint.run_and_wait('reindexing');
SELECT command, state, disruptive, error FROM outcome;
SELECT count(*) FROM pgmaint_internal.index_rebuilds WHERE built = replaced AND finished_at IS NOT NULL AND built = 'booked_x_excl'::regclass;

-- system catalogs where they are named
SELECT pgmaint.define_plan('catalogs', '[{"action": "reindex", "options": {"tables": "pg_catalog.pg_description", "ignore_window": true}}]');
CALL pgmaint.run_and_wait('catalogs');
SELECT command, state, disruptive, error FROM outcome;
SELECT pgmaint.define_plan('catalogs', '[{"action": "reindex", "options": {"scope": "database"}}]');
SELECT count(*) > 10 AS many, count(*) FILTER (WHERE target LIKE 'pg_catalog.%') AS catalogs,
	count(*) FILTER (WHERE target LIKE 'pg_toast.%') > 0 AS toast
FROM pgmaint.dry_run('catalogs');
SELECT pgmaint.drop_plan('catalogs');

-- partitions, each by itself; every index of a table, with that of its TOAST table
CREATE TABLE parent (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF parent FOR VALUES FROM (0) TO (100);
CREATE TABLE high PARTITION OF parent FOR VALUES FROM (100) TO (200);
CREATE TEMPORARY TABLE fleeting (id int PRIMARY KEY);
CALL run_reindex('{"tables": "reindexed.parent"}');
CALL pgmaint.run_and_wait('reindexing');
SELECT regexp_replace(command, '[0-9]+', 'N') AS command, reason, state FROM outcome ORDER BY 1;
SELECT count(DISTINCT relations) AS sets, min(cardinality(relations)) AS least, max(cardinality(relations)) AS most
FROM pgmaint.tasks WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs);

-- room on the disk
CALL run_reindex('{"tables": "reindexed.low", "min_free": "7 PB"}');
CALL pgmaint.run_and_wait('reindexing');
SELECT DISTINCT state, error FROM outcome;

-- the report knows of it
SELECT regexp_replace(line, '[0-9]+ (bytes|[kMGTP]B)', 'N', 'g') AS line FROM pgmaint.report() AS line WHERE line LIKE '%not enough disk space%' LIMIT 1;

-- rights: those of the table's owner, or MAINTAIN where the server has it
CREATE ROLE pgmaint_regress_indexer LOGIN;
CREATE ROLE pgmaint_regress_no_indexer LOGIN;
GRANT ALL ON SCHEMA reindexed TO pgmaint_regress_indexer;
ALTER TABLE dense OWNER TO pgmaint_regress_indexer;
SELECT pgmaint_internal.may_reindex('dense_pkey'::regclass, 'pgmaint_regress_indexer'::regrole) AS owner,
	pgmaint_internal.may_reindex('dense_pkey'::regclass, 'pgmaint_regress_no_indexer'::regrole) AS no_role,
	pgmaint_internal.may_reindex('bloated_pkey'::regclass, 'pgmaint_regress_indexer'::regrole) AS others,
	pgmaint_internal.may_reindex('bloated_pkey'::regclass, 'postgres'::regrole) AS superuser,
	pgmaint_internal.may_reindex(0, 'pgmaint_regress_indexer'::regrole) AS nothing;
GRANT USAGE ON SCHEMA pgmaint TO pgmaint_regress_indexer;
GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb), pgmaint.reindex_candidates TO pgmaint_regress_indexer;
GRANT EXECUTE ON PROCEDURE pgmaint.run_and_wait TO pgmaint_regress_indexer;
SELECT pgmaint.define_plan('reindexing', '[{"action": "reindex", "options": {"tables": ["reindexed.dense", "reindexed.bloated"]}}]');
SET ROLE pgmaint_regress_indexer;
SELECT index, may_reindex FROM pgmaint.reindex_candidates(everything => true, tables => ARRAY['dense'::regclass, 'bloated'::regclass]) ORDER BY index::text;
CALL pgmaint.run_and_wait('reindexing');
RESET ROLE;
SELECT command, state FROM outcome ORDER BY 1;
SELECT * FROM told;

-- bad input
SELECT pgmaint.run_action('reindex', '{"scope": "everything"}');
SELECT pgmaint.run_action('reindex', '{"bloat_threshold": 2}');
SELECT pgmaint.run_action('reindex', '{"tables": "reindexed.dense_pkey"}');
SELECT pgmaint.run_action('reindex', '{"concurrently": false}');
SELECT * FROM pgmaint.reindex_candidates(max_margin => 0);
SELECT * FROM pgmaint.reindex_candidates(max_margin => 'NaN');

SELECT pgmaint.drop_plan('reindexing');
RESET search_path;
DROP SCHEMA reindexed CASCADE;
REVOKE ALL ON SCHEMA pgmaint FROM pgmaint_regress_indexer;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pgmaint FROM pgmaint_regress_indexer;
REVOKE ALL ON ALL PROCEDURES IN SCHEMA pgmaint FROM pgmaint_regress_indexer;
DROP ROLE pgmaint_regress_indexer, pgmaint_regress_no_indexer;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
