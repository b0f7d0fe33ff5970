--
-- The pgmaint.* settings
--
-- what is set before the library is there is not lost
SET pgmaint.lock_retries = 9;
LOAD 'pgmaint';
SHOW pgmaint.lock_retries;
RESET pgmaint.lock_retries;
SHOW pgmaint.max_workers;
SHOW pgmaint.lock_timeout;
SHOW pgmaint.lock_retries;
SHOW pgmaint.worker_timeout;

SELECT name, context, vartype, unit, min_val, max_val, boot_val, short_desc, extra_desc
FROM pg_settings WHERE name LIKE 'pgmaint.%' ORDER BY name \gx

-- units
SET pgmaint.lock_timeout = '1500ms';
SHOW pgmaint.lock_timeout;
SET pgmaint.lock_timeout = '1min';
SHOW pgmaint.lock_timeout;
SET pgmaint.lock_timeout = 250;
SHOW pgmaint.lock_timeout;
SET pgmaint.worker_timeout = 90;
SHOW pgmaint.worker_timeout;
SET pgmaint.worker_timeout = '2h';
SHOW pgmaint.worker_timeout;
RESET ALL;
SHOW pgmaint.lock_timeout;

-- what is out of range, or is none of them
SET pgmaint.max_workers = 0;
SET pgmaint.max_workers = 65;
SET pgmaint.max_workers = 'many';
-- 16 and later name the unit of the limits
\set VERBOSITY sqlstate
SET pgmaint.lock_timeout = 0;
SET pgmaint.lock_timeout = '9ms';
\set VERBOSITY default
SET pgmaint.lock_timeout = '5 parsec';
SET pgmaint.lock_retries = -1;
SET pgmaint.lock_retries = 101;
\set VERBOSITY sqlstate
SET pgmaint.worker_timeout = 0;
\set VERBOSITY default
-- PostgreSQL 14 knows no reserved prefixes
DO $$
BEGIN
	SET pgmaint.nonsense = 1;
	IF current_setting('server_version_num')::int >= 150000 THEN
		RAISE EXCEPTION 'pgmaint.nonsense was taken';
	END IF;
EXCEPTION WHEN invalid_name THEN
END
$$;

-- they are an administrator's to set, and can be granted
CREATE ROLE pgmaint_regress_settings LOGIN;
SET ROLE pgmaint_regress_settings;
SET pgmaint.max_workers = 4;
SET pgmaint.lock_timeout = '1s';
SET pgmaint.lock_retries = 1;
SET pgmaint.worker_timeout = '1s';
SHOW pgmaint.max_workers;
RESET ROLE;
ALTER ROLE pgmaint_regress_settings SET pgmaint.lock_timeout = '1s';
DROP ROLE pgmaint_regress_settings;

SET client_min_messages = warning;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
-- a run goes by the settings of the session that asked for it
SET pgmaint.max_workers = 3;
SET pgmaint.lock_timeout = '1234ms';
BEGIN;
SET LOCAL pgmaint.lock_retries = 7;
SELECT pgmaint.run('weekly') > 0 AS queued;
SELECT settings FROM pgmaint.runs ORDER BY run_id DESC LIMIT 1;
ROLLBACK;

-- task workers start from known settings, whatever the role or the database has;
-- those of a step are added.  ANALYZE calls a function that tells what it sees.
CREATE SCHEMA settings;
CREATE FUNCTION settings.tell(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE TABLE settings.told (id int);
INSERT INTO settings.told SELECT generate_series(1, 10);
CREATE INDEX ON settings.told (settings.tell(id));
CREATE OR REPLACE FUNCTION settings.tell(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RAISE EXCEPTION '%', (SELECT string_agg(format('%s=%s', name, current_setting(name)), ' ' ORDER BY n) FROM unnest(ARRAY[
		'search_path', 'jit', 'lock_timeout', 'statement_timeout', 'default_transaction_isolation', 'DateStyle', 'synchronous_commit',
		'maintenance_work_mem', 'vacuum_cost_delay', 'default_statistics_target', 'my.own', 'session_authorization', 'role']) WITH ORDINALITY AS s (name, n));
END
$$;
ALTER ROLE CURRENT_USER SET search_path = settings;
ALTER ROLE CURRENT_USER SET statement_timeout = '7s';
ALTER ROLE CURRENT_USER SET default_transaction_isolation = 'serializable';
ALTER ROLE CURRENT_USER SET DateStyle = 'German';
ALTER ROLE CURRENT_USER SET maintenance_work_mem = '12MB';
SET pgmaint.lock_timeout = '4321ms';
\set VERBOSITY terse
CALL pgmaint.run_and_wait('weekly', '{"tables": "settings.told", "min_size": "1 TB", "vacuum": {"schemas": "nowhere"}, "settings": {"vacuum_cost_delay": 3, "default_statistics_target": "7", "my.own": true, "statement_timeout": "1min"}}');
CALL pgmaint.run_and_wait('weekly', '{"tables": "settings.told", "min_size": "1 TB", "vacuum": {"schemas": "nowhere"}, "settings": {"my.own": "x''; SELECT 1"}}');
\set VERBOSITY default
SELECT replace(error, current_user, 'me') FROM pgmaint.tasks WHERE target = 'settings.told' ORDER BY task_id;
ALTER ROLE CURRENT_USER RESET ALL;
DROP SCHEMA settings CASCADE;
