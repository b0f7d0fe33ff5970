--
-- compact: which tables it may be asked for, and what comes of it
--
SET client_min_messages = warning;
CREATE SCHEMA compact;
SET search_path = compact;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;

-- 3 of 4 rows of each table are gone
CREATE PROCEDURE fill(name text, extra text DEFAULT '') LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %I (id) SELECT g FROM generate_series(1, 3000) g', name);
	EXECUTE format('DELETE FROM %I WHERE id %% 4 <> 0', name);
END
$$;
CREATE PROCEDURE create_bloated(name text, columns text DEFAULT '', options text DEFAULT '', kind text DEFAULT '') LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE %s TABLE %I (id int, filler text DEFAULT repeat(''x'', 480) %s) %s', kind, name, columns, options);
	CALL compact.fill(name);
END
$$;
-- without what varies
CREATE FUNCTION shown(message text) RETURNS text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(message, '\d+(\.\d+)? (kB|MB)', 'N kB', 'g'), '\d+ %', 'N %', 'g')
$$;
CREATE FUNCTION outcome(OUT target text, OUT state text, OUT error text, OUT outcome text, OUT smaller boolean) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT t.target, t.state, t.error, regexp_replace(regexp_replace(compact.shown(t.outcome), '\d+ rows', 'N rows'), ', indexes grew by N kB', ''), t.bytes_after < 0.6 * t.bytes_before
	FROM pgmaint.tasks t WHERE t.run_id = (SELECT max(r.run_id) FROM pgmaint.runs r) AND t.action = 'compact' ORDER BY t.target
$$;
CREATE FUNCTION findings(OUT severity text, OUT object text, OUT message text) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT f.severity, f.object, compact.shown(f.message)
	FROM pgmaint.findings f WHERE f.run_id = (SELECT max(r.run_id) FROM pgmaint.runs r) AND f.check_id = 'compact' ORDER BY f.object, f.message
$$;

CALL create_bloated('plain');
CREATE INDEX ON plain (md5(id::text));
CALL create_bloated('logs');
CREATE INDEX ON logs (id);
CALL create_bloated('ranges');
CREATE INDEX ranges_brin ON ranges USING brin (filler);
CALL create_bloated('clustered');
CREATE INDEX clustered_filler ON clustered (md5(filler), md5(id::text));
ALTER TABLE clustered CLUSTER ON clustered_filler;
CREATE TABLE parted (id int, filler text DEFAULT repeat('x', 480)) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (100000);
CALL fill('part');
CREATE TEMP TABLE passing (id int, filler text DEFAULT repeat('x', 480));
INSERT INTO passing (id) SELECT g FROM generate_series(1, 3000) g;
DELETE FROM passing WHERE id % 4 <> 0;
CREATE TABLE small (id int);
INSERT INTO small SELECT generate_series(1, 1000);
CREATE TABLE full_table AS SELECT * FROM plain;
CREATE VIEW look AS SELECT * FROM plain;
CREATE TABLE large_values (id int, filler text);
ALTER TABLE large_values ALTER filler SET STORAGE EXTERNAL;
INSERT INTO large_values SELECT g, repeat('x', 4000) FROM generate_series(1, 600) g;
DELETE FROM large_values WHERE id % 4 <> 0;
VACUUM ANALYZE;

--
-- What could be compacted
--
SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'pgmaint' AND table_name = 'compact_tables' ORDER BY ordinal_position;
SELECT relation, bloat_ratio > 0.6 AS bloated, margin BETWEEN 0 AND 0.1 AS margin, gain_bytes BETWEEN 0.6 * total_bytes AND total_bytes AS gain, total_bytes = pg_relation_size(relation) AS total,
	size = pg_size_pretty(total_bytes) AND gain = pg_size_pretty(gain_bytes) AS pretty, allowed, may_maintain
FROM pgmaint.compact_candidates(524288) WHERE relation::text !~ 'pg_' ORDER BY relation::text COLLATE "C";
SELECT relation, obstacle FROM pgmaint.compact_candidates(524288) ORDER BY relation::text COLLATE "C";
SELECT relation, command FROM pgmaint.compact_candidates(524288) WHERE relation = 'plain'::regclass;
SELECT count(*) FROM pgmaint.compact_candidates();
SELECT count(*) FROM pgmaint.compact_candidates(524288, 0.99);
SELECT relation FROM pgmaint.compact_candidates(0, -1) WHERE relation IN ('small'::regclass, 'full_table'::regclass) ORDER BY relation::text COLLATE "C";

-- obstacles of relations that are not listed
SELECT c.relation, pgmaint_internal.compact_obstacle(c.relation, false, false)
FROM (VALUES ('passing'::regclass), ('look'), ('parted'), ('pg_catalog.pg_class'), ('information_schema.sql_features'), ('pgmaint.runs'), ('pgmaint_internal.hidden_space')) c (relation);
SELECT pgmaint_internal.compact_obstacle(reltoastrelid, false, false) FROM pg_class WHERE oid = 'large_values'::regclass;
SELECT c.relation, pgmaint_internal.compact_obstacle(c.relation, true, true) FROM (VALUES ('logs'::regclass), ('ranges'), ('clustered'), ('part')) c (relation);
SELECT pgmaint_internal.compact_obstacle(0, true, true);
-- another access method, which only has another name
CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;
CALL create_bloated('other_method', options => 'USING other');
SELECT pgmaint_internal.compact_obstacle('other_method'::regclass, true, true);
DROP TABLE other_method;
DROP ACCESS METHOD other;

--
-- What may be compacted by every plan
--
SELECT pgmaint.allow_compact('look');
SELECT pgmaint.allow_compact('logs_id_idx');
SELECT pgmaint.allow_compact('nothing');
SELECT pgmaint.allow_compact(1);
SELECT pgmaint.allow_compact(NULL);
SELECT pgmaint.allow_compact('plain', NULL);
SELECT pgmaint.allow_compact('plain'), pgmaint.allow_compact('plain'), pgmaint.allow_compact('parted');
SELECT relation, added_by = CURRENT_USER AS by_me, added_at > now() - interval '1 hour' AS lately FROM pgmaint.compact_tables ORDER BY relation::text COLLATE "C";
SELECT relation, allowed FROM pgmaint.compact_candidates(524288) ORDER BY relation::text COLLATE "C";
SELECT pgmaint.allow_compact('parted', false), pgmaint.allow_compact('plain', false), pgmaint.allow_compact('plain', false);
SELECT count(*) FROM pgmaint.compact_tables;
CREATE ROLE regress_compact_stranger;
GRANT USAGE ON SCHEMA compact TO regress_compact_stranger;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON plain TO regress_compact_stranger;
SELECT pgmaint.grant_access('regress_compact_stranger', 'manage');
SET ROLE regress_compact_stranger;
SELECT pgmaint.allow_compact('plain');
SELECT pgmaint.allow_compact('plain', false);
SELECT DISTINCT may_maintain FROM pgmaint.compact_candidates(524288);
RESET ROLE;
DROP OWNED BY regress_compact_stranger;
DROP ROLE regress_compact_stranger;

--
-- Options
--
SELECT pgmaint.run_action('compact', '{"min_gian": 0}');
SELECT pgmaint.run_action('compact', '{"min_gain": "much"}');
SELECT pgmaint.run_action('compact', '{"bloat_threshold": 2}');
SELECT pgmaint.run_action('compact', '{"compact": "perhaps"}');
SELECT pgmaint.run_action('compact', '{"published": 1}');
SELECT pgmaint.run_action('compact', '{"reorder": "yes"}');
SELECT pgmaint.run_action('compact', '{"max_wal_rate": -1}');
SELECT pgmaint.run_action('compact', '{"max_lag": "long"}');
SELECT pgmaint.run_action('compact', '{"tables": "compact.nothing"}');

--
-- A plan that does not ask for compactions reports candidates
--
SELECT step, action, target, command FROM pgmaint.dry_run('weekly', '{"schemas": "compact", "compact": {"min_gain": "512 kB"}}') WHERE action = 'compact';
SELECT pgmaint.define_plan('fortnightly', '[{"action": "compact", "options": {"compact": false, "min_gain": "512 kB"}}]');
CALL pgmaint.run_and_wait('fortnightly', '{"schemas": "compact"}');
SELECT * FROM outcome();
SELECT * FROM findings();
SELECT pgmaint.allow_compact('parted');
SELECT action, target, command, shown(reason) AS reason, disruptive, held_back, estimate_bytes > 500000 AS gain FROM pgmaint.dry_run('fortnightly', '{"schemas": "compact"}');
CALL pgmaint.run_and_wait('fortnightly', '{"schemas": "compact"}');
SELECT * FROM outcome();
SELECT * FROM findings();
SELECT pgmaint.drop_plan('fortnightly');
SELECT pgmaint.allow_compact('parted', false);

--
-- Compactions
--
SELECT count(*), sum(id), sum(length(filler)) FROM plain;
SELECT pgmaint.run_action('compact', '{"tables": "compact.plain", "min_gain": "512 kB"}') AS run \gset
CREATE PROCEDURE wait_for(run bigint) LANGUAGE plpgsql AS $$
BEGIN
	WHILE EXISTS (SELECT FROM pgmaint.runs r WHERE r.run_id = run AND r.finished_at IS NULL) LOOP
		COMMIT;
		PERFORM pg_sleep(0.02);
	END LOOP;
END
$$;
CALL wait_for(:run);
SELECT * FROM outcome();
SELECT * FROM findings();
SELECT evidence - 'bloat_bytes' - 'total_bytes' - 'bloat_ratio' - 'margin' - 'gain_bytes' AS evidence, (SELECT string_agg(k, ' ' ORDER BY k) FROM jsonb_object_keys(result) k) AS result,
	(result ->> 'pages_before')::bigint * 8192 >= bytes_before - 100000 AS before, result -> 'rows_left' AS rows_left, result -> 'analyzed' AS analyzed,
	(result ->> 'returned_bytes')::bigint = bytes_before - bytes_after AS returned
FROM pgmaint.tasks WHERE run_id = :run;
SELECT count(*), sum(id), sum(length(filler)) FROM plain;
SELECT count(*) AS told FROM pgmaint.report(:run) AS r (line) WHERE shown(line) ~ 'N kB returned to the file system, \d+ rows moved, indexes grew by N kB';
-- nothing is left to be done
SELECT pgmaint.run_action('compact', '{"tables": "compact.plain", "min_gain": "512 kB"}') AS run \gset
CALL wait_for(:run);
SELECT * FROM outcome();
SELECT * FROM findings();
-- obstacles, and the options against them
SELECT pgmaint.run_action('compact', '{"schemas": "compact", "min_gain": "512 kB"}') AS run \gset
CALL wait_for(:run);
SELECT * FROM outcome();
SELECT * FROM findings();
SELECT pgmaint.run_action('compact', '{"schemas": "compact", "min_gain": "512 kB", "reorder": true, "max_wal_rate": "100 MB"}') AS run \gset
CALL wait_for(:run);
SELECT * FROM outcome();
SELECT * FROM findings();
SELECT count(*), sum(id) FROM logs;
SELECT relation FROM pgmaint.compact_candidates(524288);
SELECT count(*) FROM pgmaint_internal.hidden_space;

--
-- Constraints that are checked at commit keep no row from being moved
--
CREATE TABLE deferred (id int UNIQUE DEFERRABLE INITIALLY DEFERRED, filler text DEFAULT repeat('x', 480), EXCLUDE USING btree (id WITH =) DEFERRABLE INITIALLY DEFERRED);
CALL fill('deferred');
SELECT pgmaint.run_action('compact', '{"tables": "compact.deferred", "min_gain": "512 kB", "reorder": true}') AS run \gset
CALL wait_for(:run);
SELECT * FROM outcome();
SELECT * FROM findings();
SELECT count(*), sum(id) FROM deferred;

--
-- Progress, and a table that has become small when its turn comes: the first
-- table of two waits at a gate
--
CREATE FUNCTION gate(v int) RETURNS int LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
	IF v = 3000 AND EXISTS (SELECT FROM pg_stat_activity WHERE pid = pg_backend_pid() AND backend_type LIKE 'pgmaint%') THEN
		PERFORM pg_advisory_xact_lock_shared(3000, 1);
		LOOP
			PERFORM pg_sleep(0.02);
			EXIT WHEN pg_try_advisory_xact_lock_shared(3000, 0);
		END LOOP;
	END IF;
	RETURN v;
END
$$;
CALL create_bloated('first_table', ', more text DEFAULT repeat($$x$$, 100)');
CREATE INDEX ON first_table (gate(id));
CALL create_bloated('second_table');
SELECT pg_advisory_lock(3000, 0);
SET pgmaint.max_workers = 1;
SELECT pgmaint.run_action('compact', '{"tables": ["compact.first_table", "compact.second_table"], "min_gain": "512 kB", "reorder": true}') AS run \gset
DO $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 3000 AND objid = 1) LOOP
		COMMIT;
		PERFORM pg_sleep(0.02);
	END LOOP;
END
$$;
SELECT action, target, phase, percent_done IS NULL OR percent_done BETWEEN 0 AND 100 AS percent_done, tasks_planned, step_of, attempt, command FROM pgmaint.progress ORDER BY target;
VACUUM FULL second_table;
SELECT pg_advisory_unlock(3000, 0);
CALL wait_for(:run);
SELECT target, state, shown(error) AS error, smaller FROM outcome();
SELECT * FROM findings();
RESET pgmaint.max_workers;

SET client_min_messages = error;
DROP SCHEMA compact CASCADE;
