--
-- Who may do what, and with whose rights it is done
--
SET client_min_messages = warning;

-- a table without a key could not be published: UPDATE and DELETE would fail
SELECT c.relname
FROM pg_class c
WHERE c.relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace)
	AND c.relkind = 'r'
	AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary);

TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
CREATE ROLE pgmaint_regress_user LOGIN;
CREATE ROLE pgmaint_regress_owner LOGIN;
CREATE ROLE pgmaint_regress_other LOGIN;
CREATE ROLE pgmaint_regress_monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE pgmaint_regress_scanner LOGIN IN ROLE pg_stat_scan_tables;
CREATE ROLE pgmaint_regress_group NOLOGIN;
CREATE SCHEMA privileges;
GRANT ALL ON SCHEMA privileges TO PUBLIC;

-- nothing is there for everybody
SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND has_function_privilege('pgmaint_regress_user', p.oid, 'EXECUTE');
SELECT c.oid::regclass FROM pg_class c WHERE relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND relkind IN ('r', 'v', 'S')
	AND CASE relkind WHEN 'S' THEN has_sequence_privilege('pgmaint_regress_user', c.oid, 'USAGE, SELECT, UPDATE')
		ELSE has_table_privilege('pgmaint_regress_user', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') END;
SELECT has_schema_privilege('pgmaint_regress_user', 'pgmaint', 'USAGE') AS usage, has_schema_privilege('pgmaint_regress_user', 'pgmaint', 'CREATE') AS create;
SET ROLE pgmaint_regress_user;
SELECT pgmaint.run('weekly');
SELECT * FROM pgmaint.runs;
RESET ROLE;
GRANT USAGE ON SCHEMA pgmaint TO pgmaint_regress_user;
SET ROLE pgmaint_regress_user;
SELECT pgmaint.run('weekly');
SELECT pgmaint.run_action('vacuum');
CALL pgmaint.run_and_wait('weekly');
SELECT * FROM pgmaint.dry_run('weekly');
SELECT pgmaint.cancel(1);
SELECT pgmaint.tick();
SELECT pgmaint.define_plan('p', '["vacuum"]');
SELECT pgmaint.drop_plan('p');
SELECT * FROM pgmaint.actions();
SELECT * FROM pgmaint.runs;
SELECT * FROM pgmaint.tasks;
SELECT * FROM pgmaint.findings;
SELECT * FROM pgmaint.plans;
SELECT * FROM pgmaint.progress;
SELECT * FROM pgmaint.bloat_history;
SELECT * FROM pgmaint.vacuum_candidates();
SELECT * FROM pgmaint.stale_statistics();
SELECT * FROM pgmaint.xmin_holders();
SELECT * FROM pgmaint.table_bloat();
SELECT * FROM pgmaint.index_bloat();
SELECT * FROM pgmaint.report();
RESET ROLE;

-- monitoring sees everything and changes nothing
SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND has_function_privilege('pgmaint_regress_monitor', p.oid, 'EXECUTE')
	ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT c.oid::regclass FROM pg_class c WHERE relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND relkind IN ('r', 'v')
	AND has_table_privilege('pgmaint_regress_monitor', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER');
SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND has_function_privilege('pgmaint_regress_scanner', p.oid, 'EXECUTE')
	ORDER BY p.oid::regprocedure::text COLLATE "C";
SET ROLE pgmaint_regress_monitor;
SELECT count(*) FROM pgmaint.runs;
SELECT pgmaint.report();
SELECT count(*) FROM pgmaint.progress;
SELECT count(c::text) > 60 AS many, bool_or(may_maintain) AS any_mine FROM pgmaint.vacuum_candidates(everything => true) c;
RESET ROLE;

-- some are allowed to run maintenance
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgmaint TO pgmaint_regress_owner, pgmaint_regress_other, pgmaint_regress_group;
GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA pgmaint TO pgmaint_regress_owner, pgmaint_regress_other, pgmaint_regress_group;
GRANT USAGE ON SCHEMA pgmaint TO pgmaint_regress_owner, pgmaint_regress_other, pgmaint_regress_group;
CREATE PROCEDURE privileges.count_now() LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('server_version_num')::int >= 150000 THEN
		PERFORM pg_stat_force_next_flush();
	ELSE
		PERFORM pg_sleep(1.5);
	END IF;
END
$$;
SET ROLE pgmaint_regress_other;
CREATE TABLE privileges.theirs (id int);
INSERT INTO privileges.theirs SELECT generate_series(1, 2000);
CREATE TABLE privileges.readable (id int);
INSERT INTO privileges.readable SELECT generate_series(1, 2000);
GRANT SELECT ON privileges.readable TO PUBLIC;
SET ROLE pgmaint_regress_owner;
CREATE TABLE privileges.mine (id int);
INSERT INTO privileges.mine SELECT generate_series(1, 2000);
CALL privileges.count_now();
SELECT step, target FROM pgmaint.dry_run('weekly', '{"schemas": "privileges", "min_size": "8 kB"}') ORDER BY step, target COLLATE "C";
SELECT relation, may_maintain FROM pgmaint.vacuum_candidates() WHERE relation::text ~ '^privileges' ORDER BY relation::text COLLATE "C";
SELECT relation, may_maintain FROM pgmaint.stale_statistics() WHERE relation::text ~ '^privileges' ORDER BY relation::text COLLATE "C";
CALL pgmaint.run_and_wait('weekly', '{"schemas": "privileges", "min_size": "8 kB"}');
-- what others own is let alone, which is said, and is no failure
CALL pgmaint.run_and_wait('weekly', '{"tables": ["privileges.theirs", "privileges.readable"], "min_size": "1 TB"}');
\set SHOW_CONTEXT never
SELECT pgmaint.report();
\set SHOW_CONTEXT errors
RESET ROLE;
SELECT run_id, requested_by, role::regrole, state FROM pgmaint.runs ORDER BY run_id;
SELECT run_id, step, command, state FROM pgmaint.tasks ORDER BY run_id, step, target COLLATE "C";
SELECT run_id, check_id, severity, object, message FROM pgmaint.findings WHERE step < 7 ORDER BY finding_id;
SELECT relname, pg_stat_get_vacuum_count(oid) AS vacuumed FROM pg_class WHERE relnamespace = 'privileges'::regnamespace AND relkind = 'r' ORDER BY relname COLLATE "C";
SELECT pgmaint_internal.may_maintain('privileges.mine'::regclass, 'pgmaint_regress_owner'::regrole) AS mine, pgmaint_internal.may_maintain('privileges.theirs'::regclass, 'pgmaint_regress_owner'::regrole) AS theirs,
	pgmaint_internal.may_maintain('pg_class'::regclass, 'pgmaint_regress_owner'::regrole) AS catalog, pgmaint_internal.may_maintain(1, 'pgmaint_regress_owner'::regrole) AS none,
	pgmaint_internal.may_maintain('privileges.theirs'::regclass, current_user::regrole) AS superuser;

-- the ledger is not theirs to change, though their runs are written there
SET ROLE pgmaint_regress_owner;
INSERT INTO pgmaint.runs (plan, requested_by, role, steps, settings) VALUES ('p', 'me', 10, '[]', '{}');
UPDATE pgmaint.tasks SET state = 'pending';
DELETE FROM pgmaint.findings;
RESET ROLE;

-- a function with its owner's rights asks in its owner's name
SET ROLE pgmaint_regress_other;
CREATE FUNCTION privileges.ask() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT pgmaint.run_action('analyze', '{"tables": "privileges.theirs"}') $$;
SET ROLE pgmaint_regress_user;
SELECT privileges.ask();
RESET ROLE;
DO $$ BEGIN FOR i IN 1 .. 9000 LOOP EXIT WHEN EXISTS (SELECT FROM pgmaint.runs WHERE run_id = 3 AND finished_at IS NOT NULL); COMMIT; PERFORM pg_sleep(0.02); END LOOP; END $$;
SELECT r.requested_by, t.command, t.state FROM pgmaint.runs r JOIN pgmaint.tasks t USING (run_id) WHERE run_id = 3;

-- cancelling is for who asked, for members of that role, and for superusers
GRANT EXECUTE ON FUNCTION pgmaint.cancel(bigint) TO pgmaint_regress_user;
SET ROLE pgmaint_regress_user;
SELECT pgmaint.cancel(3);
SET ROLE pgmaint_regress_other;
SELECT pgmaint.cancel(3);
RESET ROLE;
GRANT pgmaint_regress_other TO pgmaint_regress_user;
SET ROLE pgmaint_regress_user;
SELECT pgmaint.cancel(3);
RESET ROLE;
REVOKE pgmaint_regress_other FROM pgmaint_regress_user;

-- settings of a step are those that the caller may set, independent of who defined the plan
SELECT pgmaint.define_plan('loud', '[{"action": "vacuum", "options": {"tables": "privileges.mine", "settings": {"log_min_messages": "debug5"}}}]');
SET ROLE pgmaint_regress_owner;
SELECT pgmaint.run('loud');
SELECT pgmaint.define_plan('mine', '[{"action": "vacuum", "options": {"settings": {"log_min_messages": "debug5"}}}]');
SELECT pgmaint.run_action('vacuum', '{"settings": {"session_authorization": "postgres"}}');
SELECT pgmaint.define_plan('mine', '[{"action": "vacuum", "options": {"tables": "privileges.mine", "settings": {"maintenance_work_mem": "32MB"}}}]');
CALL pgmaint.run_and_wait('mine');
RESET ROLE;
SELECT defined_by FROM pgmaint.plan_definitions ORDER BY plan;
SELECT pgmaint.drop_plan('mine'), pgmaint.drop_plan('loud');

-- a plan that was dropped and is scheduled would run with the rights of who scheduled it
INSERT INTO pgmaint_internal.plan_schedules (plan, scheduled_by, schedule, job_id, role, database)
VALUES ('left', current_user, '0 3 * * *', 0, 0, 0), ('own', 'pgmaint_regress_owner', '0 3 * * *', 0, 0, 0);
SET ROLE pgmaint_regress_owner;
\set VERBOSITY terse
SELECT pgmaint.define_plan('left', '["analyze"]');
\set VERBOSITY default
SELECT pgmaint.define_plan('own', '["analyze"]');
RESET ROLE;
SELECT pgmaint.define_plan('left', '["analyze"]');
SELECT pgmaint.drop_plan('left'), pgmaint.drop_plan('own');
DELETE FROM pgmaint_internal.plan_schedules;

-- a role that cannot log in cannot run a worker before PostgreSQL 17; the
-- queued run is taken back
SET ROLE pgmaint_regress_group;
DO $$
DECLARE
	may boolean := current_setting('server_version_num')::int >= 170000;
BEGIN
	PERFORM pgmaint.run_action('analyze', '{"tables": "privileges.mine"}');
	RAISE EXCEPTION 'accepted';
EXCEPTION WHEN OTHERS THEN
	IF sqlerrm <> (CASE WHEN may THEN 'accepted' ELSE 'role "pgmaint_regress_group" cannot run maintenance because it is not permitted to log in' END) THEN
		RAISE;
	END IF;
END
$$;
RESET ROLE;

-- an index function that runs with the rights of another role cannot queue a run
SET ROLE pgmaint_regress_owner;
CREATE FUNCTION privileges.evil(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM pgmaint.run('weekly');
	RETURN $1;
END
$$;
CREATE INDEX ON privileges.mine (privileges.evil(id));

-- functions and operators of the caller's are not in the way
CREATE FUNCTION privileges.equal(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''planted''; END';
CREATE OPERATOR privileges.= (LEFTARG = text, RIGHTARG = text, FUNCTION = privileges.equal);
CREATE FUNCTION privileges.equal(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''planted''; END';
CREATE OPERATOR privileges.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = privileges.equal);
CREATE FUNCTION privileges.pg_table_size(oid) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''planted''; END';
SET search_path = privileges, pg_catalog;
SELECT count(*) FROM pgmaint.dry_run('weekly', '{"tables": "mine", "min_size": 0}');
CALL pgmaint.run_and_wait('weekly', '{"tables": "mine", "min_size": 0}') \gset
SELECT pgmaint.cancel(1);
SELECT pgmaint.tick();
RESET ROLE;
SELECT pgmaint.define_plan('p', '["vacuum"]');
SELECT pgmaint.drop_plan('p');
SELECT count(*) > 5 AS told FROM pgmaint.report();
RESET search_path;

DROP SCHEMA privileges CASCADE;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pgmaint FROM pgmaint_regress_user, pgmaint_regress_owner, pgmaint_regress_other, pgmaint_regress_group;
REVOKE ALL ON ALL PROCEDURES IN SCHEMA pgmaint FROM pgmaint_regress_user, pgmaint_regress_owner, pgmaint_regress_other, pgmaint_regress_group;
REVOKE ALL ON SCHEMA pgmaint FROM pgmaint_regress_user, pgmaint_regress_owner, pgmaint_regress_other, pgmaint_regress_group;
DROP ROLE pgmaint_regress_user, pgmaint_regress_owner, pgmaint_regress_other, pgmaint_regress_monitor, pgmaint_regress_scanner, pgmaint_regress_group;
