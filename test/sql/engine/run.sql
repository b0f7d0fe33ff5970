--
-- Runs: asking for them, and what the ledger says of them afterwards
--
SET client_min_messages = warning;
CREATE SCHEMA run;
SET search_path = run;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
-- what validate() says of this server is not the matter here
SELECT pgmaint.define_plan('weekly', '["bloat_report", "retention", "vacuum", "vacuum_full", "analyze"]');

-- from PostgreSQL 15 on the counters are there at once when they are asked for
CREATE PROCEDURE count_now() LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('server_version_num')::int >= 150000 THEN
		PERFORM pg_stat_force_next_flush();
	ELSE
		PERFORM pg_sleep(1.5);
	END IF;
END
$$;

-- waits for runs that were not waited for
CREATE PROCEDURE wait_while_there_are(what text) LANGUAGE plpgsql AS $$
DECLARE
	found boolean;
BEGIN
	FOR i IN 1 .. 9000 LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM %s)', what) INTO found;
		IF NOT found THEN
			RETURN;
		END IF;
		COMMIT;
		PERFORM pg_sleep(0.02);
	END LOOP;
	RAISE EXCEPTION 'there still are %', what;
END
$$;
CREATE PROCEDURE all_ended() LANGUAGE plpgsql AS $$
BEGIN
	CALL wait_while_there_are($w$pgmaint.runs WHERE state IN ('queued', 'running')$w$);
END
$$;

CREATE TABLE dirty (id int PRIMARY KEY, name text);
INSERT INTO dirty SELECT g, md5(g::text) FROM generate_series(1, 5000) g;
CREATE TABLE clean (id int PRIMARY KEY, name text);
INSERT INTO clean SELECT g, md5(g::text) FROM generate_series(1, 5000) g;
CREATE TABLE unknown (id int);
INSERT INTO unknown SELECT generate_series(1, 500);
CREATE TABLE empty (id int);
CALL count_now();
VACUUM ANALYZE dirty, clean;
DELETE FROM dirty WHERE id > 3000;
CALL count_now();

--
-- run_and_wait
--
CALL pgmaint.run_and_wait('weekly', '{"schemas": "run"}');
SELECT run_id, plan, options, requested_by = current_user AS by_me, state, error, current_step, steps
FROM pgmaint.runs;
SELECT requested_at <= started_at AS waited, started_at < finished_at AS took_time,
	finished_at <= clock_timestamp() AS is_over, role = current_user::regrole AS my_role
FROM pgmaint.runs;
SELECT task_id, step, action, target, command, reason, state, attempt, sqlstate, error FROM pgmaint.tasks ORDER BY task_id;
SELECT target, action, finished_at >= started_at AS took_time, bytes_before > bytes_after AS smaller,
	pg_table_size(relation) = bytes_after AS size_now, relation::regclass, relation = ANY (relations) AS among,
	worker, pid, not_before
FROM pgmaint.tasks ORDER BY task_id;
SELECT target, evidence - 'xid_age' - 'multixact_age' - 'last_vacuum' - 'last_analyze' - 'autovacuum_score' AS evidence,
	result - 'xid_age_before' - 'xid_age_after' - 'returned_bytes' AS result FROM pgmaint.tasks ORDER BY task_id;
SELECT target, array(SELECT jsonb_object_keys(evidence - 'autovacuum_score') ORDER BY 1) AS evidence,
	array(SELECT jsonb_object_keys(result) ORDER BY 1) AS result FROM pgmaint.tasks ORDER BY task_id;
SELECT * FROM pgmaint.findings;
SELECT relname, pg_stat_get_vacuum_count(oid) AS vacuumed, pg_stat_get_analyze_count(oid) AS analyzed, reltuples
FROM pg_class WHERE relnamespace = 'run'::regnamespace AND relkind = 'r' ORDER BY relname COLLATE "C";

-- nothing is due now
CALL pgmaint.run_and_wait('weekly', '{"schemas": ["run"]}');
SELECT state, error, current_step FROM pgmaint.runs WHERE run_id = 2;
SELECT count(*) FROM pgmaint.tasks WHERE run_id = 2;

-- all of them
CALL pgmaint.run_and_wait('weekly', '{"schemas": "run", "scope": "all", "min_size": 0}');
SELECT step, command, reason, state FROM pgmaint.tasks WHERE run_id = 3 ORDER BY step, target COLLATE "C";


--
-- run and run_action: at once, and not at all when the transaction fails
--
SELECT pgmaint.run('weekly', '{"schemas": "run"}');
SELECT pgmaint.run_action('analyze', '{"tables": "empty"}');
CALL all_ended();
SELECT run_id, plan, options, state, (SELECT count(*) FROM pgmaint.tasks t WHERE t.run_id = r.run_id) AS tasks
FROM pgmaint.runs r WHERE run_id > 3 ORDER BY run_id;
BEGIN;
SELECT pgmaint.run_action('analyze', '{"tables": "empty"}');
SELECT state, started_at FROM pgmaint.runs WHERE run_id = 6;
ROLLBACK;
BEGIN;
SELECT pgmaint.run_action('analyze', '{"tables": "empty"}');
SAVEPOINT s;
SELECT pgmaint.run_action('analyze', '{"tables": "dirty"}');
ROLLBACK TO s;
COMMIT;
BEGIN;
SAVEPOINT s;
SELECT pgmaint.run_action('analyze', '{"tables": "clean"}');
RELEASE s;
COMMIT;
CALL all_ended();
SELECT run_id, state FROM pgmaint.runs WHERE run_id > 5 ORDER BY run_id;
SELECT run_id, command, state FROM pgmaint.tasks WHERE run_id > 5 ORDER BY run_id;

-- from a function, a procedure, a DO block, several at a time
CREATE FUNCTION ask(t text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN pgmaint.run_action('analyze', jsonb_build_object('tables', 'run.' || t));
END
$$;
SELECT ask('empty');
DO $$ BEGIN PERFORM run.ask('clean'); PERFORM run.ask('dirty'); END $$;
SELECT pgmaint.run_action('analyze', jsonb_build_object('tables', t)) FROM unnest(ARRAY['clean', 'dirty']) t;
CALL all_ended();
SELECT run_id, state FROM pgmaint.runs WHERE run_id > 9 ORDER BY run_id;

-- a prepared transaction cannot start a leader when it is committed
BEGIN;
SELECT pgmaint.run('weekly');
PREPARE TRANSACTION 'pgmaint';
BEGIN READ ONLY;
SELECT pgmaint.run('weekly');
ROLLBACK;
BEGIN READ ONLY;
SELECT pgmaint.cancel(1);
ROLLBACK;
BEGIN READ ONLY;
SELECT count(*) FROM pgmaint.dry_run('weekly', '{"schemas": "run", "scope": "all"}');
ROLLBACK;

--
-- run_and_wait waits, so it cannot be part of anything
--
BEGIN;
CALL pgmaint.run_and_wait('weekly');
ROLLBACK;
CREATE FUNCTION wait() RETURNS void LANGUAGE plpgsql AS $$ DECLARE id bigint; BEGIN CALL pgmaint.run_and_wait('weekly', '{"schemas": "run"}', id); END $$;
SELECT wait();
CREATE PROCEDURE wait_in_procedure() LANGUAGE plpgsql AS $$
DECLARE
	id bigint;
BEGIN
	CALL pgmaint.run_and_wait('weekly', '{"schemas": "run"}', id);
	CALL pgmaint.run_and_wait('weekly', '{"schemas": "run"}', id);
	RAISE WARNING 'run % is over', id;
END
$$;
CALL wait_in_procedure();
DO $$ DECLARE id bigint; BEGIN CALL pgmaint.run_and_wait('weekly', '{"schemas": "run"}', id); END $$;
BEGIN;
CALL wait_in_procedure();
ROLLBACK;
SELECT run_id, state FROM pgmaint.runs WHERE run_id > 14 ORDER BY run_id;

--
-- A task that fails makes the run fail, and stops no other
--
CREATE FUNCTION trip(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN $1;
END
$$;
CREATE TABLE broken (id int);
INSERT INTO broken SELECT generate_series(100, 1000);
CREATE INDEX broken_trip ON broken (trip(id));
CREATE OR REPLACE FUNCTION trip(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RAISE EXCEPTION 'tripped over %', $1 USING DETAIL = 'There was a stone.';
END
$$;
\set VERBOSITY terse
CALL pgmaint.run_and_wait('weekly', '{"tables": ["broken", "clean", "dirty"], "bloat_report": {"min_size": "1 TB"}, "vacuum": {"analyze": "off"}}');
\set VERBOSITY default
SELECT state, regexp_replace(error, '\(.*\)', '(…)') AS error FROM pgmaint.runs ORDER BY run_id DESC LIMIT 1;
SELECT step, command, state, sqlstate, regexp_replace(error, 'over \d+', 'over N') AS error, result IS NULL AS nothing
FROM pgmaint.tasks WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs) ORDER BY step, target COLLATE "C";
DROP TABLE broken;

-- statement_timeout of a step ends its tasks, as failures
\set VERBOSITY terse
CALL pgmaint.run_and_wait('weekly', '{"tables": "clean", "settings": {"statement_timeout": 1, "vacuum_cost_delay": 50, "vacuum_cost_limit": 1}, "bloat_report": {"min_size": "1 TB"}, "vacuum": {"disable_page_skipping": true, "analyze": "off"}, "analyze": {"schemas": "nowhere"}}');
\set VERBOSITY default
SELECT command, state, sqlstate, error FROM pgmaint.tasks WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs);

--
-- cancel and tick
--
SELECT pgmaint.cancel(1);
SELECT pgmaint.cancel(999999);
SELECT pgmaint.cancel(NULL) IS NULL AS nothing;
SELECT pgmaint.tick();
-- a run that is cancelled in the transaction that queues it never begins
BEGIN;
SELECT pgmaint.cancel(pgmaint.run('weekly'));
COMMIT;
CALL all_ended();
SELECT state, error, started_at, finished_at IS NOT NULL AS is_over FROM pgmaint.runs ORDER BY run_id DESC LIMIT 1;
SELECT count(*) FROM pgmaint.tasks WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs);
SELECT requested_by = current_user AS by_me FROM pgmaint_internal.cancellations;

-- a run that no leader took on, and one that no process executes: there is no
-- leader either, which would have updated the ledger when it began
CALL wait_while_there_are($w$pg_stat_activity WHERE backend_type = 'pgmaint leader' AND datname = current_database()$w$);
INSERT INTO pgmaint.runs (plan, requested_by, role, steps, settings, database) SELECT plan, requested_by, role, steps, settings, database FROM pgmaint.runs WHERE run_id = 5;
INSERT INTO pgmaint.runs (plan, requested_by, role, steps, settings, database, state, started_at) SELECT plan, requested_by, role, steps, settings, database, 'running', now() FROM pgmaint.runs WHERE run_id = 5;
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, worker) SELECT max(run_id), 1, 'analyze', 'run.clean', 'ANALYZE run.clean', 'none', unnest(ARRAY['running', 'pending']), 1 FROM pgmaint.runs;
SELECT pgmaint.tick();
CALL all_ended();
SELECT state, error FROM pgmaint.runs ORDER BY run_id DESC LIMIT 2;
SELECT state, error FROM pgmaint.tasks ORDER BY task_id DESC LIMIT 3;
SELECT pgmaint.tick();

-- steps in the ledger that this version does not know
INSERT INTO pgmaint.runs (plan, requested_by, role, steps, settings, database) SELECT 'strange', requested_by, role, '["dance"]', settings, database FROM pgmaint.runs WHERE run_id = 5;
INSERT INTO pgmaint.runs (plan, requested_by, role, steps, settings, database) SELECT 'orphaned', 'nobody at all', 1, steps, settings, database FROM pgmaint.runs WHERE run_id = 5;
SELECT pgmaint.tick();
CALL all_ended();
SELECT plan, state, error FROM pgmaint.runs ORDER BY run_id DESC LIMIT 2;

-- progress is about what is going on: nothing is
SELECT * FROM pgmaint.progress;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'pgmaint.progress'::regclass AND attnum > 0 ORDER BY attnum;

-- what goes with a run
DELETE FROM pgmaint.runs;
SELECT (SELECT count(*) FROM pgmaint.tasks) AS tasks, (SELECT count(*) FROM pgmaint.findings) AS findings,
	(SELECT count(*) FROM pgmaint_internal.cancellations) AS cancellations;
DROP SCHEMA run CASCADE;
SELECT pgmaint.drop_plan('weekly');
