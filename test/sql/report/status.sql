--
-- status: where a database stands, and what to do next; help: what to type
--
SET client_min_messages = warning;
-- of an earlier test
DO $$ BEGIN FOR i IN 1 .. 9000 LOOP EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'pgmaint leader'); PERFORM pg_sleep(0.02); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.bloat_measurements, pgmaint_internal.backup_records, pgmaint.archives, pgmaint.retention_policies,
	pgmaint_internal.plan_schedules, pgmaint.storage_checks RESTART IDENTITY;
TRUNCATE pgmaint.contacts, pgmaint_internal.alert_records, pgmaint.notifications RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.last_validation;
DROP SERVER IF EXISTS archives;
CREATE SCHEMA status;
\pset format unaligned
\pset tuples_only on
-- times, and whether pg_cron is there, depend on the server
CREATE FUNCTION status.told(about text DEFAULT '') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s|%s|%s|%s|%s', topic, item, status, regexp_replace(regexp_replace(detail, '\d{4}-\d\d-\d\d \d\d:\d\d UTC', 'TIME', 'g'),
		'; pg_cron is not loaded.*', ''), next_step)
	FROM pgmaint.status WHERE topic ~ about
$$;

-- the first steps of a database that was never maintained
SELECT status.told();

-- a plan's last run counts, whatever came before it
INSERT INTO pgmaint.runs (plan, requested_by, requested_at, started_at, finished_at, state, role, database, steps, current_step, settings)
SELECT p, 'me', 'epoch', '1970-01-01 00:00:10+00', '1970-01-01 00:01:15+00', s, 10, 5, '[{"action": "vacuum"}]', 1, '{}'
FROM (VALUES ('weekly', 'failed'), ('weekly', 'succeeded'), ('daily', 'succeeded'), ('daily', 'failed'), ('monthly', 'cancelled'), ('quarterly', 'interrupted')) x (p, s);
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state)
SELECT r, 1, 'vacuum', g::text, 'VACUUM', 'asked for', CASE WHEN r = 4 AND g < 3 THEN 'failed' WHEN g = 3 THEN 'skipped' WHEN r = 6 AND g = 4 THEN 'interrupted' ELSE 'succeeded' END
FROM generate_series(1, 5) g, unnest(ARRAY[2, 4, 6]) r;
INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message)
VALUES (2, 'F004', 'critical', 'a', 'x'), (2, 'F005', 'warning', 'b', 'x'), (4, 'F005', 'warning', 'b', 'x'), (4, 'F005', 'warning', 'c', 'x'), (4, 'F005', 'info', 'd', 'x');
SELECT status.told('plans|next');
-- more of them than a screen has room for, and actions by themselves: a failure counts for a day
SELECT pgmaint.define_plan('mine' || g, '["vacuum"]') FROM generate_series(1, 6) g \g /dev/null
INSERT INTO pgmaint.runs (plan, requested_by, requested_at, started_at, finished_at, state, role, database, steps, current_step, settings)
SELECT p, 'me', 'epoch', now() - a, now() - a, s, 10, 5, '[{"action": "vacuum"}]', 1, '{}'
FROM (SELECT 'mine' || g, 'succeeded', interval '0' FROM generate_series(1, 6) g UNION ALL VALUES ('reindex', 'failed', interval '2 days'), ('vacuum', 'succeeded', '0')) x (p, s, a);
SELECT status.told('plans');
UPDATE pgmaint.runs SET finished_at = now() WHERE plan = 'reindex';
SELECT status.told('plans');
-- a name is a name
UPDATE pgmaint.runs SET plan = E'reindex\nnext|1' WHERE plan = 'reindex';
SELECT s FROM status.told('plans') s WHERE s ~ 'reindex';

-- what is at work: a leader that is not there works on nothing
INSERT INTO pgmaint.runs (plan, requested_by, requested_at, state, role, database, steps, current_step, settings)
VALUES ('weekly', 'me', now(), 'queued', 10, 5, '[]', 0, '{}'), ('daily', 'me', now(), 'queued', 10, 5, '[]', 0, '{}');
SELECT status.told('plans') LIMIT 1;
UPDATE pgmaint.runs SET requested_at = now() - interval '11 minutes' WHERE state = 'queued';
SELECT status.told('plans') LIMIT 1;
UPDATE pgmaint.runs SET state = 'running', started_at = now(), current_step = 2, steps = '[{"action": "vacuum"}, {"action": "analyze"}, {"action": "escalate"}]' WHERE plan = 'weekly' AND state = 'queued';
SELECT status.told('plans') LIMIT 1;
DELETE FROM pgmaint.runs WHERE state IN ('queued', 'running') OR plan ~ 'mine|reindex|vacuum';
SELECT pgmaint.drop_plan('mine' || g) FROM generate_series(1, 6) g \g /dev/null

-- schedules: next, late, missing; far is in ten days
SELECT format('''0 0 %s %s *''', extract(day FROM t), extract(month FROM t)) AS far FROM (SELECT now() AT TIME ZONE 'GMT' + interval '10 days' AS t) x \gset
INSERT INTO pgmaint_internal.plan_schedules (plan, scheduled_by, schedule, job_id, role, database, scheduled_at)
SELECT p, 'me', s, 1, 10, d.oid, now() - interval '3 days'
FROM pg_database d, (VALUES ('weekly', :far), ('daily', '0 * * * *'), ('start', '@reboot')) x (p, s)
WHERE d.datname = current_database();
SELECT status.told('schedules');
INSERT INTO pgmaint_internal.plan_schedules (plan, scheduled_by, schedule, job_id, role, database)
SELECT p, 'me', :far, 1, 10, database FROM pgmaint_internal.plan_schedules, unnest(ARRAY['monthly', 'quarterly', 'tick']) p WHERE plan = 'daily';
UPDATE pgmaint_internal.plan_schedules SET schedule = :far, scheduled_at = now();
UPDATE pgmaint.runs SET requested_at = now();
SELECT regexp_replace(s, 'ok|warning', 'by pg_cron') FROM status.told('schedules') s;

-- alerts: those that are acknowledged do not press
INSERT INTO pgmaint_internal.alert_records (alert_id, check_id, object, severity, message, occurrences, first_seen, last_seen, severe_since, first_finding, last_finding, resolved_at)
SELECT g, 'F004', E'app.t\n' || g, CASE WHEN g > 4 THEN 'critical' ELSE 'warning' END, 'm', 1, 'epoch', to_timestamp(g), 'epoch', g, g, CASE WHEN g = 6 THEN now() END FROM generate_series(1, 6) g;
INSERT INTO pgmaint_internal.acknowledgements (finding_id, alert_id, severity, acknowledged_by) VALUES (5, 5, 'warning', 'me'), (4, 4, 'warning', 'me');
SELECT status.told('alerts|next');
INSERT INTO pgmaint_internal.acknowledgements (finding_id, alert_id, severity, acknowledged_by) VALUES (5, 5, 'critical', 'me');
SELECT status.told('alerts');
SELECT pgmaint.add_contact('oncall', 'notify:oncall') \g /dev/null
INSERT INTO pgmaint.notifications (message_id, contact, kind, subject, state, created_at, body, payload)
VALUES (gen_random_uuid(), 'oncall', 'alert', 's', 'failed', now() - interval '2 hours', 'b', '{}');
SELECT status.told('alerts');

-- backups: of this database, by this one
INSERT INTO pgmaint_internal.backup_records (storage, key, kind, database, selection, state, compression, bytes, started_at, finished_at, error, identity)
SELECT 's', key, 'database', d, sel::jsonb, s, 'gzip', 1048576, now() - age, now(), e, CASE WHEN key = '4' THEN repeat('f', 32) ELSE pgmaint_internal.current_identity() END
FROM (VALUES ('1', current_database(), NULL, 'succeeded', interval '60 hours', NULL), ('2', current_database(), '{"tables": "t"}', 'succeeded', '1 hour', NULL),
	('3', 'template1', NULL, 'succeeded', '0', NULL), ('4', current_database(), NULL, 'succeeded', '0', NULL)) x (key, d, sel, s, age, e);
SELECT status.told('backups');
UPDATE pgmaint_internal.backup_records SET started_at = now() - interval '30 hours' WHERE key = '1';
INSERT INTO pgmaint_internal.backup_records (storage, key, kind, database, state, compression, started_at, finished_at, error, identity)
VALUES ('s', '5', 'database', current_database(), 'failed', 'gzip', now(), now(), E'no room\nin the storage', pgmaint_internal.current_identity());
SELECT status.told('backups');
UPDATE pgmaint_internal.backup_records SET started_at = now() - interval '1 hour', verified_at = now(), verification = 'restorable', restore_duration = '75 s' WHERE key = '1';
DELETE FROM pgmaint_internal.backup_records WHERE key = '5';
SELECT status.told('backups');
UPDATE pgmaint_internal.backup_records SET verified_at = now() - interval '36 days' WHERE key = '1';
SELECT s FROM status.told('backups') s WHERE s ~ 'proven';
UPDATE pgmaint_internal.backup_records SET verification = 'not restorable' WHERE key = '1';
SELECT s FROM status.told('backups') s WHERE s ~ 'proven';
-- without limits nothing is judged
UPDATE pgmaint.thresholds SET value = NULL WHERE check_id ~ 'backup_';
UPDATE pgmaint_internal.backup_records SET started_at = 'epoch', verification = 'restorable';
SELECT status.told('backups');
UPDATE pgmaint.thresholds SET value = default_value;

-- storages
CREATE SERVER archives FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file:///nowhere');
SELECT status.told('storage');
INSERT INTO pgmaint.storage_checks (storage, missing, differing) VALUES ('archives', 2, 1);
SELECT status.told('storage');
TRUNCATE pgmaint.storage_checks;
INSERT INTO pgmaint.storage_checks (storage, error, failed_at) VALUES ('archives', 'no answer', now());
SELECT status.told('storage');

-- retention: a policy is suspended when its table has changed
CREATE TABLE status.orders (created_at timestamptz);
CREATE TABLE status.gone (created_at timestamptz);
INSERT INTO pgmaint.retention_policies (relation, time_column, keep, archive, storage, compression, owner, added_by)
SELECT r, 'created_at', '90 days', true, 'archives', 'gzip', CASE WHEN n = 2 THEN 'another' ELSE current_user END, 'me'
FROM unnest(ARRAY['status.orders', 'status.orders', 'status.gone']::regclass[]) WITH ORDINALITY AS x (r, n);
SELECT status.told('retention');
DROP TABLE status.gone;
INSERT INTO pgmaint.archives (policy_id, run_id, relation, storage, key, rows, bytes, sha256, range_from, range_to, content_bytes, content_sha256, compression, columns)
SELECT 1, 1, 'status.orders', 'archives', g, 10, 1048576, 'x', '2026-01-01', '2026-02-01', 1, 'x', 'gzip', '{}' FROM generate_series(1, 3) g;
SELECT status.told('retention');
UPDATE pgmaint.archives SET check_result = 'damaged' WHERE key = '2';
SELECT s FROM status.told('retention') s WHERE s ~ 'archives';

-- bloat: a database of small tables has no figures, also when the action has run
INSERT INTO pgmaint.runs (plan, requested_by, requested_at, started_at, finished_at, state, role, database, steps, current_step, settings)
SELECT 'bloat_report', 'me', t, t, t, 'succeeded', 10, 5, '[{"action": "bloat_report"}]', 1, '{}' FROM (SELECT now() - interval '36 days') x (t);
SELECT status.told('bloat');
UPDATE pgmaint.runs SET finished_at = now() WHERE plan = 'bloat_report';
SELECT status.told('bloat');
DELETE FROM pgmaint.runs WHERE plan = 'bloat_report';
INSERT INTO pgmaint_internal.bloat_measurements (measured_at, relation, object, kind, method, total_bytes, bloat_bytes, bloat_ratio, margin, sampled_blocks, total_blocks)
SELECT now() - a, r, 'as it was named', k, 'heap', t * 1048576::bigint, b * 1048576::bigint, b / t::float8, 0, 1, 1
FROM (VALUES (interval '1 day', 'status.orders'::regclass, 'table', 100, 90), ('0', 'status.orders', 'table', 100, 10), ('0', 'pg_class_oid_index', 'index', 100, 20)) x (a, r, k, t, b);
SELECT status.told('bloat');
UPDATE pgmaint_internal.bloat_measurements SET bloat_bytes = 60 * 1048576 WHERE bloat_bytes = 10 * 1048576;
SELECT status.told('bloat');
UPDATE pgmaint_internal.bloat_measurements SET measured_at = measured_at - interval '36 days';
SELECT status.told('bloat');

-- what the action validate noted; it is not made again
INSERT INTO pgmaint_internal.last_validation (check_id, status)
SELECT 'check' || g, CASE WHEN g = 8 THEN 'critical' WHEN g > 2 THEN 'warning' ELSE 'ok' END FROM generate_series(1, 8) g;
SELECT status.told('monitoring');
UPDATE pgmaint_internal.last_validation SET status = 'ok', validated_at = now() - interval '9 days';
SELECT status.told('monitoring');
UPDATE pgmaint_internal.last_validation SET identity = repeat('f', 32);
SELECT status.told('monitoring');

-- doubt
UPDATE pgmaint.identities SET doubt = 'told by the test', doubt_since = now() WHERE state = 'current';
SELECT s FROM status.told('monitoring') s WHERE s ~ 'identity';
UPDATE pgmaint.identities SET doubt = NULL, doubt_since = NULL;
UPDATE pgmaint.contacts SET identity = repeat('f', 32);
SELECT s FROM status.told('monitoring') s WHERE s ~ 'identity';

-- one screen, without a null, and the most pressing step first
SELECT count(*) <= 25 AS one_screen, bool_and(topic <> '' AND item IS NOT NULL AND detail <> '' AND next_step IS NOT NULL AND status IN ('ok', 'info', 'warning', 'critical')) AS complete,
	count(*) FILTER (WHERE detail ~ '[\n\r]') AS broken FROM pgmaint.status;
SELECT status.told('next');

-- who may read it: without settings and sessions of others, too
CREATE ROLE pgmaint_regress_monitor IN ROLE pg_monitor;
CREATE ROLE pgmaint_regress_reader;
SELECT pgmaint.grant_access('pgmaint_regress_reader', 'read') \g /dev/null
SET ROLE pgmaint_regress_monitor;
SELECT count(*) > 15 FROM pgmaint.status;
SELECT count(*) FROM pgmaint.help;
SET ROLE pgmaint_regress_reader;
SELECT count(*) > 15, count(*) FILTER (WHERE detail ~ 'members of pg_read_all_settings') FROM pgmaint.status;
SELECT count(*) FROM pgmaint.help;
RESET ROLE;
DROP OWNED BY pgmaint_regress_reader;
DROP ROLE pgmaint_regress_monitor, pgmaint_regress_reader;
-- and under other names, times and formats
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'iso_8601';
SELECT status.told('backups');
RESET DateStyle;
RESET IntervalStyle;
BEGIN;
SET TRANSACTION READ ONLY;
SELECT count(*) > 15 FROM pgmaint.status;
COMMIT;
BEGIN;
ALTER SCHEMA pgmaint_internal RENAME TO other_internal;
ALTER SCHEMA pgmaint RENAME TO other;
SELECT count(*) > 15 FROM other.status;
ROLLBACK;

-- what to type fits the line, and each topic is in one place
SELECT max(length(command)) + max(length(purpose)) + max(length(topic)) + 8 <= 125 AS fits, count(*) FROM pgmaint.help;
SELECT topic FROM (SELECT topic, lag(topic) OVER () AS before FROM pgmaint.help) h WHERE topic IS DISTINCT FROM before GROUP BY topic HAVING count(*) > 1;
SELECT command FROM pgmaint.help WHERE command !~ '^SELECT .*;$';

DROP SERVER archives;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.bloat_measurements, pgmaint_internal.backup_records, pgmaint.archives, pgmaint.retention_policies,
	pgmaint_internal.plan_schedules, pgmaint.storage_checks RESTART IDENTITY;
TRUNCATE pgmaint.contacts, pgmaint_internal.alert_records, pgmaint.notifications RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.last_validation;
DROP SCHEMA status CASCADE;
