-- Who uses the connections, and how many there should be.

SET client_min_messages = warning;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
RESET client_min_messages;

-- of this session alone
SELECT database = current_database() AS here, role = current_user AS me, application, state, connections > 0 AS counted, longest_in_state >= '0' AS timed
FROM pgmaint_internal.connection_use WHERE application ~ '^pg_regress/review/connections$';
SELECT DISTINCT topic FROM pgmaint.connection_review() ORDER BY topic;
SELECT topic, item, connections = current_setting('max_connections')::int AS as_set, detail FROM pgmaint.connection_review() WHERE topic = 'limit';
SELECT pgmaint_internal.memory_of_machine() > 64 * 1024 * 1024 AS some_memory;

-- what the limit should be, by what was seen
CREATE FUNCTION seen(peak integer, since interval) RETURNS TABLE (current integer, recommended integer, reason text)
LANGUAGE sql AS $$
	DELETE FROM pgmaint_internal.connection_samples;
	INSERT INTO pgmaint_internal.connection_samples (sampled_at, connections, active, idle_in_transaction, max_connections)
	VALUES (now() - since, peak, 1, 0, 100), (now() - interval '91 days', 100000, 1, 0, 100);
	SELECT l.current, l.recommended, l.reason FROM pgmaint_internal.connection_limit() l;
$$;
ALTER ROLE CURRENT_USER SET work_mem = '64kB';
\c -
SET client_min_messages = warning;
SHOW max_connections;
SELECT current, recommended, reason FROM seen(70, '1 day');
SELECT current, recommended, regexp_replace(reason, 'could take .*', 'could take …') AS reason FROM seen(90, '1 day');
-- an old peak is forgotten, a low one is no reason to go below what is usual
SELECT current, recommended, reason FROM seen(100, '90 days 1 minute') WHERE recommended <> current;
SELECT current, recommended FROM seen(2, '60 days');
-- memory sets a limit
-- what this session has set makes no difference
SET work_mem = '2000GB';
SELECT current, recommended FROM seen(90, '1 day');
ALTER ROLE CURRENT_USER SET work_mem = '2000GB';
\c -
SET client_min_messages = warning;
SELECT current, recommended, reason FROM seen(90, '1 day');
SELECT current, recommended, regexp_replace(reason, 'could take .* of memory', 'could take … of memory') AS reason FROM seen(10, '1 day');
ALTER ROLE CURRENT_USER SET work_mem = '64kB';
\c -
SET client_min_messages = warning;
SELECT count(*) FROM seen(90, '1 day');
SELECT topic, item, connections, regexp_replace(detail, 'could take .*', 'could take …') AS detail
FROM pgmaint.connection_review() WHERE topic IN ('recommendation', 'command');
ALTER ROLE CURRENT_USER RESET work_mem;
\c -
SET client_min_messages = warning;

-- tick looks, and so does the action, which changes nothing
DELETE FROM pgmaint_internal.connection_samples;
SELECT pgmaint.tick() \g /dev/null
SELECT count(*), bool_and(connections > 0 AND active > 0) AS counted FROM pgmaint_internal.connection_samples;
SELECT count(*) FROM seen(90, '1 day');
\o /dev/null
SELECT pgmaint.define_plan('review', '["connection_review"]');
CALL pgmaint.run_and_wait('review');
\o
SELECT target, command, state, result FROM pgmaint.tasks WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs);
SELECT check_id, severity, object, regexp_replace(message, 'could take .*', 'could take …') AS message, detail
FROM pgmaint.findings WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs) AND object = 'max_connections';
SELECT count(*) > 1 AS sampled FROM pgmaint_internal.connection_samples WHERE sampled_at > now() - interval '2 days';
-- unless it is told to
\o /dev/null
SELECT pgmaint.define_plan('review', '[{"action": "connection_review", "options": {"apply": true}}]');
CALL pgmaint.run_and_wait('review');
\o
SELECT command, state FROM pgmaint.tasks WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs);
SELECT setting FROM pg_file_settings WHERE name = 'max_connections' ORDER BY seqno DESC LIMIT 1;
ALTER SYSTEM RESET max_connections;
SELECT pg_reload_conf() \g /dev/null
SELECT pgmaint.run_action('connection_review', '{"apply": "perhaps"}');
-- a role that may not
CREATE ROLE pgmaint_regress_reviewer LOGIN;
GRANT USAGE ON SCHEMA pgmaint TO pgmaint_regress_reviewer;
GRANT EXECUTE ON PROCEDURE pgmaint.run_and_wait(text, jsonb, bigint) TO pgmaint_regress_reviewer;
SELECT count(*) FROM seen(90, '1 day');
SET ROLE pgmaint_regress_reviewer;
\set VERBOSITY terse
\o /dev/null
CALL pgmaint.run_and_wait('review');
\o
\set VERBOSITY default
RESET ROLE;
SELECT command, state FROM pgmaint.tasks WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs);
SELECT pgmaint.drop_plan('review') \g /dev/null
REVOKE ALL ON SCHEMA pgmaint FROM pgmaint_regress_reviewer;
REVOKE ALL ON PROCEDURE pgmaint.run_and_wait(text, jsonb, bigint) FROM pgmaint_regress_reviewer;
DROP ROLE pgmaint_regress_reviewer;
DELETE FROM pgmaint_internal.connection_samples;
RESET client_min_messages;
DROP FUNCTION seen(integer, interval);
