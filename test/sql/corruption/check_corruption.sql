--
-- The action check_corruption: what it plans, whose rights it needs, and what it
-- looks at beside tables and indexes.  Damage itself is left to the TAP tests.
--
SET client_min_messages = warning;
SET datestyle = 'ISO';
SET timezone = 'UTC';
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
CREATE SCHEMA corruption;
CREATE TABLE corruption.orders (id integer PRIMARY KEY, note text);
INSERT INTO corruption.orders SELECT g, repeat('o', 500) FROM generate_series(1, 200) g;
CREATE INDEX orders_note ON corruption.orders USING hash (note);

CREATE FUNCTION corruption.planned(options jsonb) RETURNS TABLE (target text, command text, disruptive boolean)
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT regexp_replace(replace(d.target, quote_ident(current_database()), 'DATABASE'), 'toast_\d+', 'toast_N'), regexp_replace(regexp_replace(d.command, 'toast_\d+', 'toast_N'), ', checkunique => true', ''), d.disruptive
	FROM pgmaint.dry_run('monthly', jsonb_build_object('check_corruption', options)) d
	WHERE d.action = 'check_corruption' ORDER BY 1, 2 $$;

-- without amcheck, this is no success
CALL pgmaint.run_and_wait('monthly', '{"schemas": "corruption"}');
SELECT severity, check_id, replace(message, current_database(), 'DATABASE') FROM pgmaint.findings
WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs) AND check_id = 'amcheck';

-- wherever it is installed, its functions are found
CREATE SCHEMA "Else where";
CREATE EXTENSION amcheck SCHEMA "Else where";
SELECT * FROM corruption.planned('{"tables": "corruption.orders"}');

-- options are checked before any work
SELECT pgmaint.run_action('check_corruption', '{"time_budget": true}');
SELECT pgmaint.run_action('check_corruption', '{"time_budget": "soon"}');
SELECT pgmaint.run_action('check_corruption', '{"time_budget": "-1 hour"}');
SELECT pgmaint.run_action('check_corruption', '{"time_budget": -1}');
SELECT pgmaint.run_action('check_corruption', '{"time_budget": "1000 years"}');
SELECT pgmaint.run_action('check_corruption', '{"parent_check": "perhaps"}');
SELECT pgmaint.run_action('check_corruption', '{"sequence_threshold": 80}');

-- B-trees from top to bottom, which blocks writers, only in a window or on demand
SELECT target, disruptive FROM corruption.planned('{"tables": "corruption.orders", "ignore_window": true}');
SELECT target, disruptive FROM corruption.planned('{"tables": "corruption.orders", "ignore_window": true, "parent_check": "off"}');
SELECT target, disruptive FROM corruption.planned('{"tables": "corruption.orders", "parent_check": "on"}');

-- a run
CREATE PROCEDURE corruption.check(options jsonb) LANGUAGE plpgsql AS $$
DECLARE
	run bigint := pgmaint.run_action('check_corruption', options);
BEGIN
	COMMIT;
	WHILE (SELECT state IN ('queued', 'running') FROM pgmaint.runs WHERE run_id = run) LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
CREATE FUNCTION corruption.findings() RETURNS TABLE (severity text, check_id text, object text, message text)
LANGUAGE sql AS $$
	SELECT f.severity, f.check_id, f.object, replace(regexp_replace(f.message, 'amcheck 1\.\d', 'amcheck 1.N'), ' and GIN', '') FROM pgmaint.findings f
	WHERE f.run_id = (SELECT max(run_id) FROM pgmaint.runs) AND f.check_id <> 'checksums'
	AND (f.object IS NULL OR f.object ~ '^corruption\.') ORDER BY f.finding_id $$;

CALL corruption.check('{"tables": "corruption.orders"}');
SELECT state FROM pgmaint.runs ORDER BY run_id DESC LIMIT 1;
SELECT severity, check_id, message FROM corruption.findings();
SELECT relation, kind, method, checked, outcome, problems, last_verified > now() - interval '1 hour' AS verified
FROM pgmaint.corruption_checks WHERE relation::text LIKE 'corruption.%' ORDER BY relation::text;

-- least recently checked first, and on from where the time was up
UPDATE pgmaint_internal.corruption_results SET begun_at = 'epoch', next_block = 3, pass_begun_at = 'epoch'
WHERE relation = 'corruption.orders'::regclass;
SELECT target, regexp_replace(reason, '\d+ kB', 'N kB') FROM pgmaint.dry_run('monthly', '{"check_corruption": {"tables": "corruption.orders"}}')
WHERE action = 'check_corruption' LIMIT 1;
CALL corruption.check('{"tables": "corruption.orders"}');
SELECT outcome, last_verified = 'epoch' AS as_of_the_first_part FROM pgmaint.corruption_checks
WHERE relation = 'corruption.orders'::regclass;
SELECT next_block FROM pgmaint_internal.corruption_results WHERE relation = 'corruption.orders'::regclass;

-- no time at all: all is left for the next run, with one finding
SET pgmaint.max_workers = 1;
CALL corruption.check('{"schemas": "corruption", "time_budget": 0.000001}');
SELECT state FROM pgmaint.runs ORDER BY run_id DESC LIMIT 1;
SELECT DISTINCT state, error FROM pgmaint.tasks WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs) AND relation <> 0;
SELECT severity, check_id, regexp_replace(message, 'so far.*', '…') FROM corruption.findings() WHERE check_id <> 'amcheck';

-- no more is planned than the time may suffice for, but at least 100 checks:
-- here of relations that took 10 hours each the last time, says the ledger
CREATE SCHEMA corruption_many;
DO $$ BEGIN FOR i IN 1 .. 150 LOOP EXECUTE format('CREATE TABLE corruption_many.t%s (id int PRIMARY KEY)', i); END LOOP; END $$;
CREATE TABLE corruption.turns AS
SELECT v.relation, row_number() OVER (ORDER BY v.kind DESC, v.relation) AS nth
FROM pgmaint_internal.checkable_relations v WHERE v.schema = 'corruption_many';
CREATE FUNCTION corruption_many.took(duration interval) RETURNS void LANGUAGE sql AS $$
	DELETE FROM pgmaint_internal.corruption_results;
	INSERT INTO pgmaint_internal.corruption_results (relation, begun_at, last_checked, last_verified, outcome, check_name, duration, bytes)
	SELECT t.relation, timestamptz '2000-01-01 UTC' - nth * interval '1 day', timestamptz '2000-01-02 UTC' - nth * interval '1 day',
		timestamptz '2000-01-01 UTC' - nth * interval '1 day', 'sound', 'heap', took.duration, pg_relation_size(t.relation)
	FROM corruption.turns t $$;
CREATE FUNCTION corruption_many.planned(options text) RETURNS TABLE (checks bigint, disruptive bigint, least_recent boolean, coverage text)
LANGUAGE sql AS $$
	SELECT count(*) FILTER (WHERE t.nth IS NOT NULL), count(*) FILTER (WHERE d.disruptive),
		min(t.nth) > 300 - count(t.nth), max(d.reason) FILTER (WHERE d.reason LIKE '%next run%')
	FROM pgmaint.dry_run('monthly', jsonb_build_object('check_corruption', '{"schemas": "corruption_many"}'::jsonb || options::jsonb)) d
	LEFT JOIN corruption.turns t ON t.relation = to_regclass(d.target)
	WHERE d.action = 'check_corruption' $$;
SELECT corruption_many.took('10 hours');
SELECT * FROM corruption_many.planned('{"time_budget": "1 hour"}');
SELECT * FROM corruption_many.planned('{"time_budget": 0}');
-- those that are not begun outside of a window keep no others from their turn
SELECT * FROM corruption_many.planned('{"time_budget": "1 hour", "parent_check": "on"}');
-- a quarter of 72 seconds goes 200 times into an hour, which each worker has
SELECT corruption_many.took('72 seconds');
SELECT * FROM corruption_many.planned('{"time_budget": "1 hour"}');
SET pgmaint.max_workers = 2;
SELECT * FROM corruption_many.planned('{"time_budget": "1 hour"}');
SET pgmaint.max_workers = 1;

-- so several runs go round, and what they did not reach counts as not checked
SELECT corruption_many.took('10 hours');
CREATE PROCEDURE corruption_many.check() LANGUAGE plpgsql AS $$
BEGIN
	CALL corruption.check('{"schemas": "corruption_many", "time_budget": "1 hour"}');
END $$;
CREATE VIEW corruption_many.results AS
SELECT r.state, (SELECT count(*) FROM pgmaint.tasks t WHERE t.run_id = r.run_id AND t.relation <> 0) AS planned,
	count(*) FILTER (WHERE c.run_id = r.run_id AND c.last_verified >= r.started_at) AS proven_now,
	count(*) FILTER (WHERE c.last_verified > '2001-01-01') AS proven, count(*) FILTER (WHERE c.run_id IS NULL) AS left,
	(SELECT regexp_replace(f.message, 'so far.*', '…') FROM pgmaint.findings f WHERE f.run_id = r.run_id AND f.check_id = 'corruption') AS finding
FROM pgmaint.runs r, pgmaint.corruption_checks c JOIN corruption.turns USING (relation)
WHERE r.run_id = (SELECT max(run_id) FROM pgmaint.runs) GROUP BY r.run_id, r.state, r.started_at;
CALL corruption_many.check();
SELECT * FROM corruption_many.results;
CALL corruption_many.check();
SELECT * FROM corruption_many.results;
CALL corruption_many.check();
SELECT * FROM corruption_many.results;
SELECT result - 'found' AS result FROM pgmaint.tasks WHERE command LIKE '%corruption_checks' ORDER BY task_id DESC LIMIT 1;
DROP SCHEMA corruption_many CASCADE;
DROP TABLE corruption.turns;

-- a role that may not execute amcheck's functions is told so
CREATE ROLE regress_pgmaint_checker LOGIN;
GRANT USAGE ON SCHEMA pgmaint, corruption TO regress_pgmaint_checker;
GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO regress_pgmaint_checker;
GRANT SELECT ON pgmaint.runs TO regress_pgmaint_checker;
SET SESSION AUTHORIZATION regress_pgmaint_checker;
CALL corruption.check('{"tables": "corruption.orders"}');
RESET SESSION AUTHORIZATION;
SELECT severity, check_id, regexp_replace(message, '\([a-z,]*\)', '(…)', 'g') FROM corruption.findings();
GRANT USAGE ON SCHEMA "Else where" TO regress_pgmaint_checker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "Else where" TO regress_pgmaint_checker;
SET SESSION AUTHORIZATION regress_pgmaint_checker;
CALL corruption.check('{"tables": "corruption.orders"}');
RESET SESSION AUTHORIZATION;
SELECT target, state FROM pgmaint.tasks WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs)
AND target LIKE 'corruption.%' ORDER BY target;

-- sequences: by the type of the column that they fill, owned or not
CREATE TABLE corruption.narrow (id serial, other integer);
CREATE SEQUENCE corruption.wide;
ALTER TABLE corruption.narrow ALTER other SET DEFAULT nextval('corruption.wide');
CREATE TABLE corruption.big (id bigint GENERATED ALWAYS AS IDENTITY);
CREATE SEQUENCE corruption.down INCREMENT -1 MINVALUE -100 MAXVALUE -1;
CREATE SEQUENCE corruption.circle MAXVALUE 100 CYCLE;
CREATE DOMAIN corruption.tiny AS smallint;
CREATE TABLE corruption.tiny_table (id corruption.tiny DEFAULT 1);
CREATE SEQUENCE corruption.for_tiny OWNED BY corruption.tiny_table.id;
CREATE SEQUENCE corruption.unused;
SELECT setval('corruption.narrow_id_seq', 1000000), setval('corruption.wide', 2100000000),
	setval('corruption.big_id_seq', 3000000000), setval('corruption.down', -85), setval('corruption.circle', 99),
	setval('corruption.for_tiny', 30000);
SELECT sequence, "table", "column", type_name, last_value, last_possible, used_ratio, values_left, cycles
FROM pgmaint.sequence_usage WHERE sequence::text LIKE 'corruption.%';

-- constraints that were never validated
CREATE TABLE corruption.parts (id integer CHECK (id > 0)) PARTITION BY RANGE (id);
CREATE TABLE corruption.part PARTITION OF corruption.parts FOR VALUES FROM (1) TO (100);
ALTER TABLE corruption.parts ADD CONSTRAINT small CHECK (id < 1000) NOT VALID;
ALTER TABLE corruption.narrow ADD CONSTRAINT "to order" FOREIGN KEY (other) REFERENCES corruption.orders NOT VALID;
SELECT * FROM pgmaint.unvalidated_constraints WHERE relation::text LIKE 'corruption.%';

CALL corruption.check('{}');
SELECT severity, check_id, object, message FROM corruption.findings() WHERE check_id IN ('sequences', 'constraints') ORDER BY 2, 3;
SELECT state FROM pgmaint.runs ORDER BY run_id DESC LIMIT 1;

-- what the report makes of it
SELECT regexp_replace(regexp_replace(line, '[\d.]+ (kB|MB|s)', 'N \1', 'g'), '\d+ (of|objects|done)', 'N \1', 'g')
FROM pgmaint.report() AS r (line) WHERE line ~ 'check_corruption' OFFSET 1;

-- those that were dropped are forgotten
DROP TABLE corruption.orders CASCADE;
CALL corruption.check('{"tables": "corruption.narrow"}');
SELECT count(*) FROM pgmaint_internal.corruption_results r WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = r.relation);

SET client_min_messages = error;
DROP SCHEMA corruption CASCADE;
DROP EXTENSION amcheck;
DROP SCHEMA "Else where";
DROP OWNED BY regress_pgmaint_checker;
DROP ROLE regress_pgmaint_checker;
