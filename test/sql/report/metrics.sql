--
-- metrics: what a monitoring system reads
--
SET client_min_messages = warning;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.bloat_measurements, pgmaint_internal.backup_records, pgmaint.archives, pgmaint_internal.plan_schedules RESTART IDENTITY;
TRUNCATE pgmaint.contacts, pgmaint_internal.alert_records, pgmaint.notifications RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.last_validation;
CREATE SCHEMA metrics;
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION metrics.of(pattern text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT s FROM pgmaint.metrics m, concat(substr(m.name, 9), ' ', m.labels, ' ', m.value) s WHERE m.name ~ pattern ORDER BY s COLLATE "C"
$$;

-- where nothing was ever run
SELECT DISTINCT name FROM pgmaint.metrics ORDER BY 1;

-- what the action validate found last
SELECT pgmaint.define_plan('metrics_test', '["validate"]') \g /dev/null
CALL pgmaint.run_and_wait('metrics_test');
SELECT count(*) > 20 AS checks, bool_and(m.value = coalesce(f.worst, 0)) AS as_found
FROM pgmaint.metrics m
LEFT JOIN (SELECT check_id, max(CASE severity WHEN 'critical' THEN 2 WHEN 'warning' THEN 1 END) AS worst FROM pgmaint.findings GROUP BY check_id) f
	ON f.check_id = m.labels ->> 'check'
WHERE m.name = 'pgmaint_check_status';
SELECT m.value BETWEEN extract(epoch FROM r.started_at) AND extract(epoch FROM r.finished_at) AS then FROM pgmaint.metrics m, pgmaint.runs r
WHERE m.name = 'pgmaint_last_validation_timestamp_seconds';
-- reading does not validate, and the validation of another database does not count
UPDATE pgmaint_internal.last_validation SET status = 'critical' WHERE check_id = 'recovery';
SELECT v.status, m.value FROM pgmaint.validate() v, pgmaint.metrics m WHERE v.check_id = 'recovery' AND m.labels ->> 'check' = 'recovery';
UPDATE pgmaint_internal.last_validation SET identity = repeat('f', 32);
SELECT metrics.of('check_status|validation');
-- the next one takes the place of the last; of a check, the worst of its objects counts
INSERT INTO pgmaint_internal.backup_records (storage, key, kind, database, state, compression, bytes, started_at, finished_at, identity)
VALUES ('s', '1', 'database', 'postgres', 'succeeded', 'gzip', 100, now(), now(), pgmaint_internal.current_identity());
CALL pgmaint.run_and_wait('metrics_test');
SELECT string_agg(status, ', ' ORDER BY status) FROM pgmaint.validate() WHERE check_id = 'backup_exists';
SELECT s FROM metrics.of('check_status') s WHERE s ~ 'backup_exists|recovery';
SELECT count(*) = count(DISTINCT check_id) AND bool_and(identity = pgmaint_internal.current_identity()) AS kept FROM pgmaint_internal.last_validation;
SELECT pgmaint.drop_plan('metrics_test') \g /dev/null
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.backup_records RESTART IDENTITY;

INSERT INTO pgmaint.runs (plan, requested_by, requested_at, started_at, finished_at, state, role, database, steps, current_step, settings) VALUES
	('weekly', 'me', 'epoch', '1970-01-01 00:00:10+00', '1970-01-01 00:01:00+00', 'succeeded', 10, 5, '[]', 1, '{}'),
	('weekly', 'me', 'epoch', '1970-01-01 00:10:00+00', '1970-01-01 00:10:30.5+00', 'failed', 10, 5, '[]', 1, '{}'),
	('weekly', 'me', 'epoch', '1970-01-01 00:20:00+00', NULL, 'running', 10, 5, '[]', 1, '{}'),
	(E'a "plan"\\\nof mine', 'me', 'epoch', NULL, 'epoch', 'cancelled', 10, 5, '[]', 1, '{}');
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, bytes_before, bytes_after)
SELECT 2, 1, 'vacuum', g::text, 'VACUUM', 'asked for', CASE WHEN g = 5 THEN 'failed' ELSE 'succeeded' END, 1000, 400 FROM generate_series(1, 5) g;
INSERT INTO pgmaint.findings (run_id, check_id, severity, message) VALUES (2, 'F004', 'warning', 'x'), (2, 'F005', 'warning', 'x'), (1, 'F005', 'critical', 'x');
SELECT metrics.of('run|success');

-- the newest measurement of what is still there, and no more than 50
DO $$ BEGIN FOR i IN 1 .. 55 LOOP EXECUTE format('CREATE TABLE metrics.t%s ()', i); END LOOP; END $$;
INSERT INTO pgmaint_internal.bloat_measurements (measured_at, relation, object, kind, method, total_bytes, bloat_bytes, bloat_ratio, margin, sampled_blocks, total_blocks)
SELECT '2026-01-01'::timestamptz + d * interval '1 day', c.oid, 'as it was named', 'table', 'heap', 1000, CASE d WHEN 1 THEN 1 ELSE substr(c.relname, 2)::int * 10 END, 0.25, 0, 1, 1
FROM pg_class c, generate_series(1, 2) d WHERE relnamespace = 'metrics'::regnamespace;
INSERT INTO pgmaint_internal.bloat_measurements (relation, object, kind, method, total_bytes, bloat_bytes, bloat_ratio, margin, sampled_blocks, total_blocks)
VALUES (1, 'gone', 'table', 'heap', 1000, 999999, 0.9, 0, 1, 1);
SELECT count(*), min(value), max(value), bool_and(labels ->> 'object' ~ '^metrics\.t\d+$') FROM pgmaint.metrics WHERE name = 'pgmaint_bloat_bytes';
SELECT metrics.of('bloat_ratio') LIMIT 1;

INSERT INTO pgmaint.archives (policy_id, run_id, relation, storage, key, rows, bytes, sha256, range_from, range_to, content_bytes, content_sha256, compression, columns)
SELECT 1, 1, r, 's', r || g, 10, 100, 'x', '2026-01-01', '2026-02-01', 1, 'x', 'gzip', '{}' FROM generate_series(1, 3) g, unnest(ARRAY['a.b', 'a.c']) r;
SELECT metrics.of('archived');

-- the newest that is there, the one that was proven last, and how long a safe restore took last
INSERT INTO pgmaint_internal.backup_records (storage, key, kind, database, selection, state, compression, bytes, started_at, finished_at, verified_at, restore_duration, safe_restored_at, safe_restore_duration) VALUES
	('s', '1', 'database', 'shop', NULL, 'succeeded', 'gzip', 100, 'epoch', '1970-01-01 00:00:05+00', '1970-01-02 00:00:00+00', '9 s', NULL, NULL),
	('s', '2', 'database', 'shop', NULL, 'succeeded', 'gzip', 200, '1970-01-01 01:00:00+00', '1970-01-01 01:00:07+00', NULL, NULL, NULL, NULL),
	('s', '3', 'database', 'shop', NULL, 'failed', 'gzip', NULL, '1970-01-01 02:00:00+00', '1970-01-01 02:00:07+00', NULL, NULL, NULL, NULL),
	('s', '4', 'database', 'shop', '{"tables": "t"}', 'succeeded', 'gzip', 1, '1970-01-01 03:00:00+00', '1970-01-01 03:00:07+00', NULL, NULL, '1970-01-09 00:00:00+00', '1 s'),
	('s', '5', 'globals', NULL, NULL, 'succeeded', 'gzip', 1, '1970-01-01 03:00:00+00', '1970-01-01 03:00:07+00', NULL, NULL, NULL, NULL);
SELECT metrics.of('backup');
UPDATE pgmaint_internal.backup_records SET safe_restored_at = '1970-01-04', safe_restore_duration = '21 s' WHERE key = '1';
UPDATE pgmaint_internal.backup_records SET safe_restored_at = '1970-01-03', safe_restore_duration = '22 s' WHERE key = '2';
SELECT metrics.of('backup_(safe_)?restore');

-- late is what was due and did not begin; what is at work is not
INSERT INTO pgmaint_internal.plan_schedules (plan, scheduled_by, schedule, job_id, role, database, scheduled_at)
SELECT p, 'me', s, 1, 10, d.oid, now() - a
FROM pg_database d, (VALUES ('late', '0 * * * *', interval '72 hours'), ('new', '0 * * * *', interval '0'), ('weekly', '0 * * * *', '3 days'), ('tick', '* * * * *', '3 days'), ('start', '@reboot', '3 days')) x (p, s, a)
WHERE d.datname = current_database();
SELECT labels, value > 248400 AND value <= 259200 AS days, value > 0 AS late FROM pgmaint.metrics WHERE name = 'pgmaint_schedule_late_seconds' ORDER BY labels;

-- alerts that are not resolved, unsent messages to contacts that still exist
SELECT metrics.of('alerts|troubles|message');
INSERT INTO pgmaint.contacts (name, level, address, severity, after, windows, notice, added_by)
VALUES ('dba', 1, 'https://example.com/secret-path', 'warning', '0', false, '1 hour', 'me');
INSERT INTO pgmaint_internal.alert_records (alert_id, check_id, object, severity, message, occurrences, first_seen, last_seen, severe_since, first_finding, last_finding, level, resolved_at)
SELECT nth, 'c', nth, s, 'm', 1, 'epoch', 'epoch', 'epoch', nth, nth, l, r
FROM (VALUES (1, 'warning', 0, NULL::timestamptz), (2, 'warning', 0, NULL), (3, 'critical', 0, NULL), (4, 'warning', 1, NULL), (5, 'critical', 2, NULL),
	(6, 'critical', 3, NULL), (7, 'critical', 1, NULL), (8, 'critical', 2, '1970-01-02')) x (nth, s, l, r);
INSERT INTO pgmaint_internal.acknowledgements (finding_id, alert_id, severity, acknowledged_by)
SELECT last_finding, alert_id, severity, 'me' FROM pgmaint_internal.alert_records WHERE object = '7';
INSERT INTO pgmaint.notifications (message_id, contact, kind, subject, state, created_at, body, payload)
SELECT gen_random_uuid(), c, 'alert', 'secret', s, now() - a, 'secret', '{}'
FROM (VALUES ('dba', 'sent', interval '9 hours'), ('dba', 'given up', '8 hours'), ('gone', 'failed', '7 hours'), ('dba', 'failed', '1 hour'), ('dba', 'pending', '0'), ('dba', 'pending', '0')) x (c, s, a);
SELECT metrics.of('alerts|troubles|unsent_messages');
SELECT labels, value BETWEEN 3600 AND 3900 FROM pgmaint.metrics WHERE name = 'pgmaint_oldest_unsent_message_age_seconds';
SELECT count(*) FROM pgmaint.metrics m WHERE m::text ~ 'secret|example';

SELECT count(*) = (SELECT 2 * count(*) FROM pg_database) FROM pgmaint.metrics WHERE name IN ('pgmaint_transaction_id_age', 'pgmaint_multixact_id_age') AND value >= 0;

-- names and labels as Prometheus wants them, and every series once
SELECT name, labels FROM pgmaint.metrics GROUP BY 1, 2 HAVING count(*) > 1;
SELECT DISTINCT name FROM pgmaint.metrics WHERE name !~ '^pgmaint_[a-z]+(_[a-z]+)*$' OR type NOT IN ('gauge', 'counter') OR (type = 'counter') <> (name ~ '_total$') OR help !~ '\.$';
SELECT DISTINCT k FROM pgmaint.metrics, jsonb_object_keys(labels) k ORDER BY 1;
SELECT f.name FROM pgmaint_internal.metric_families() f WHERE NOT EXISTS (SELECT FROM pgmaint.metrics m WHERE m.name = f.name);

-- the text format
SELECT t FROM pgmaint.metrics_text() m, regexp_split_to_table(m, '\n') t WHERE t ~ 'mine|archived_rows|last_run_success';
SELECT t FROM pgmaint.metrics_text() m, regexp_split_to_table(m, '\n') t
WHERE t !~ '^(# HELP [a-z_]+ [^\\]+|# TYPE [a-z_]+ (gauge|counter)|[a-z_]+(\{[a-z_]+="([^"\\]|\\["\\n])*"(,[a-z_]+="([^"\\]|\\["\\n])*")*\})? -?\d+(\.\d+)?(e[+-]\d+)?)$';

-- who may read it
CREATE ROLE pgmaint_regress_reader IN ROLE pg_monitor;
SET ROLE pgmaint_regress_reader;
SELECT count(*) > 100 FROM pgmaint.metrics;
SELECT pgmaint.metrics_text() LIKE '# HELP %';
RESET ROLE;
DROP ROLE pgmaint_regress_reader;

TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.bloat_measurements, pgmaint_internal.backup_records, pgmaint.archives, pgmaint_internal.plan_schedules RESTART IDENTITY;
TRUNCATE pgmaint.contacts, pgmaint_internal.alert_records, pgmaint.notifications RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.last_validation;
DROP SCHEMA metrics CASCADE;
