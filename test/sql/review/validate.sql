-- Every line of validate(): found where it is planted, and nowhere else.

SELECT check_id, count(*) > 0 AS looked_at, bool_and(detail <> '' AND expected <> '') AS told
FROM pgmaint.validate() GROUP BY check_id ORDER BY check_id;
-- each threshold belongs to a check
SELECT t.check_id FROM pgmaint.thresholds t WHERE t.check_id NOT LIKE 'backup%'
	AND t.check_id NOT IN ('repeated_backup_failure', 'repeated_failure', 'lasting_warning')
	AND NOT EXISTS (SELECT FROM pgmaint.validate() v WHERE v.check_id = t.check_id);

-- and what to do about each is known
SELECT v.check_id FROM pgmaint.validate() v WHERE NOT EXISTS (SELECT FROM pgmaint_internal.check_guide() g WHERE g.check_id = v.check_id);

CREATE SCHEMA planted;
SET search_path = planted;
CREATE VIEW data AS SELECT check_id, status, detail FROM pgmaint_internal.validate_data();

-- an index that was left invalid, and one that is not
CREATE TABLE t (id integer, v integer);
INSERT INTO t VALUES (1, 1), (1, 2);
SELECT status FROM data WHERE check_id = 'invalid_indexes';
CREATE UNIQUE INDEX CONCURRENTLY "left over" ON t (id);
CREATE INDEX fine ON t (v);
SELECT status, detail FROM data WHERE check_id = 'invalid_indexes';
DROP INDEX "left over";
SELECT status, detail FROM data WHERE check_id = 'invalid_indexes';

-- sequences: that of a smallint column, one that cycles, one that is half used
CREATE TABLE small (id smallserial);
SELECT setval('small_id_seq', 26000) \g /dev/null
CREATE SEQUENCE wheel MAXVALUE 10 CYCLE;
SELECT setval('wheel', 10) \g /dev/null
CREATE SEQUENCE half MAXVALUE 100;
SELECT setval('half', 50) \g /dev/null
SELECT status, detail FROM data WHERE check_id = 'sequences';
SELECT setval('small_id_seq', 32000) \g /dev/null
SELECT status, detail FROM data WHERE check_id = 'sequences';
DROP TABLE small;
SELECT status FROM data WHERE check_id = 'sequences';

-- statistics
SET client_min_messages = warning;
CREATE VIEW stale AS SELECT coalesce(substring(detail FROM '^\d+')::int, 0) AS tables FROM data WHERE check_id = 'statistics';
SELECT tables AS before FROM stale \gset
CREATE TABLE unknown AS SELECT g FROM generate_series(1, 5000) g;
RESET client_min_messages;
SELECT tables - :before AS more FROM stale;
SELECT status FROM data WHERE check_id = 'statistics';
ANALYZE unknown;
SELECT tables - :before AS more FROM stale;

-- bloat, as it was measured last; what is gone counts no more
CREATE TABLE measured (i integer);
INSERT INTO pgmaint_internal.bloat_measurements (measured_at, relation, object, kind, method, total_bytes, bloat_bytes, bloat_ratio, margin, sampled_blocks, total_blocks)
SELECT now() - make_interval(hours => h), relation, 'planted.measured', 'table', 'heap', 1000000000000, bloat, 0, 0, 1, 1
FROM (VALUES (2, 'measured'::regclass::oid, 900000000000), (1, 'measured'::regclass::oid, 400000000000), (0, 1, 1000000000000)) AS v (h, relation, bloat);
SELECT status, detail ~ 'planted\.measured \(373 GB of 931 GB\)' AS named FROM data WHERE check_id = 'bloat';
SELECT status, detail ~ '^bloat was measured 01:0' AS told FROM data WHERE check_id = 'bloat_measured';
UPDATE pgmaint.thresholds SET value = '30 minutes' WHERE check_id = 'bloat_measured';
SELECT status FROM data WHERE check_id = 'bloat_measured';
UPDATE pgmaint.thresholds SET value = default_value;
DELETE FROM pgmaint_internal.bloat_measurements WHERE object = 'planted.measured';
-- a database of small tables has no figures: that the action runs is enough
BEGIN;
DELETE FROM pgmaint_internal.bloat_measurements;
DELETE FROM pgmaint.runs;
INSERT INTO pgmaint.runs (plan, requested_by, requested_at, finished_at, state, role, database, steps, settings)
SELECT 'weekly', 'me', t, t, s, 10, 5, '[{"action": "bloat_report"}, {"action": "vacuum"}]', '{}'
FROM (VALUES (now() - interval '50 days', 'succeeded'), (now() - interval '36 days', 'succeeded'), (now(), 'failed')) x (t, s);
SELECT status, detail ~ '^no bloat was measured, and the action bloat_report last ran 3[56] days ' AS told FROM data WHERE check_id = 'bloat_measured';
UPDATE pgmaint.runs SET state = 'succeeded';
SELECT status, detail ~ '^no bloat was measured, and the action bloat_report last ran 00:0' AS told FROM data WHERE check_id = 'bloat_measured';
ROLLBACK;

-- the age of transaction IDs
SELECT status FROM data WHERE check_id = 'wraparound';
UPDATE pgmaint.thresholds SET value = '1' WHERE check_id = 'wraparound' AND threshold = 'warning';
SELECT status, detail ~ '^the oldest transaction ID of database .* is [\d,]+ transactions old' AS told FROM data WHERE check_id = 'wraparound';
UPDATE pgmaint.thresholds SET value = '2' WHERE check_id = 'wraparound' AND threshold = 'critical';
SELECT status FROM data WHERE check_id = 'wraparound';
UPDATE pgmaint.thresholds SET value = default_value;

-- checksums
SELECT status = CASE current_setting('data_checksums') WHEN 'on' THEN 'ok' ELSE 'warning' END AS as_it_is FROM data WHERE check_id = 'checksums_enabled';
UPDATE pgmaint.thresholds SET value = NULL WHERE check_id = 'checksums_enabled';
SELECT status FROM data WHERE check_id = 'checksums_enabled';
UPDATE pgmaint.thresholds SET value = default_value;
SELECT status, detail FROM data WHERE check_id = 'checksum_failures';

-- the server
CREATE VIEW server AS SELECT check_id, status, detail, object FROM pgmaint_internal.validate_server();
SELECT check_id, status FROM server WHERE check_id IN ('prepared_transactions', 'pending_restart', 'connections');
BEGIN;
PREPARE TRANSACTION 'it''s left';
UPDATE pgmaint.thresholds SET value = '0' WHERE check_id = 'prepared_transactions' AND threshold = 'warning';
SELECT status, detail ~ '''it''''s left''' AS named FROM server WHERE check_id = 'prepared_transactions';
ROLLBACK PREPARED 'it''s left';
SELECT status, detail FROM server WHERE check_id = 'prepared_transactions';
UPDATE pgmaint.thresholds SET value = '0' WHERE check_id = 'connections' AND threshold = 'critical';
SELECT status, detail ~ '^\d+ of \d+ connections are in use$' AS told FROM server WHERE check_id = 'connections';
UPDATE pgmaint.thresholds SET value = '0' WHERE check_id = 'disk_headroom';
SELECT status, detail ~ '^file system of tablespace pg_default: .* used, .* free$' AS asked_no_file FROM server WHERE check_id = 'disk_headroom' AND object = 'pg_default';
UPDATE pgmaint.thresholds SET value = '1000000' WHERE check_id = 'disk_headroom' AND threshold = 'critical';
UPDATE pgmaint.thresholds SET value = '1e18' WHERE check_id = 'disk_free' AND threshold = 'warning';
SELECT check_id, status, object, detail ~ '^tablespace pg_default: .* in size, .* free in its file system$' AS counted FROM server WHERE check_id LIKE 'disk%' AND object = 'pg_default';
UPDATE pgmaint.thresholds SET value = default_value;

-- maintenance itself
CREATE VIEW maintenance AS SELECT check_id, status, regexp_replace(detail, '\(\d+\)', '(N)') AS detail, object FROM pgmaint_internal.validate_maintenance();
SELECT pgmaint.define_plan('planted', '["analyze"]');
DELETE FROM pgmaint.runs;
SELECT * FROM maintenance;
INSERT INTO pgmaint.runs (plan, requested_by, started_at, finished_at, state, error, role, database, steps, settings)
SELECT 'planted', 'r', now() - a, now() - a, s, e, 10, 1, '[]', '{}'
FROM (VALUES (interval '40 days', 'failed', 'long ago'), ('4 hours', 'failed', 'once'), ('3 hours', 'succeeded', NULL),
	('2 hours', 'failed', 'no room'), ('1 hour', 'cancelled', NULL)) AS v (a, s, e);
SELECT * FROM maintenance WHERE check_id = 'failed_runs';
INSERT INTO pgmaint.runs (plan, requested_by, started_at, finished_at, state, error, role, database, steps, settings)
SELECT 'planted', 'r', now() - a, now() - a, s, e, 10, 1, '[]', '{}'
FROM (VALUES (interval '50 minutes', 'interrupted', NULL), ('40 minutes', 'failed', 'no room again')) AS v (a, s, e);
SELECT * FROM maintenance WHERE check_id = 'failed_runs';
SELECT pgmaint.validate_ok();
INSERT INTO pgmaint.runs (plan, requested_by, started_at, finished_at, state, role, database, steps, settings)
VALUES ('planted', 'r', now(), now(), 'succeeded', 10, 1, '[]', '{}');
SELECT * FROM maintenance WHERE check_id = 'failed_runs';
-- what may never run again is forgotten after a day
INSERT INTO pgmaint.runs (plan, requested_by, started_at, finished_at, state, error, role, database, steps, settings)
SELECT p, 'r', now() - a, now() - a, 'failed', 'no room', 10, 1, '[]', '{}'
FROM (VALUES ('vacuum', interval '22 hours'), ('reindex', '26 hours'), ('dropped since', '26 hours')) AS v (p, a);
SELECT * FROM maintenance WHERE check_id = 'failed_runs';
DELETE FROM pgmaint.runs WHERE plan <> 'planted';
INSERT INTO pgmaint_internal.plan_schedules (plan, scheduled_by, schedule, job_id, role, database, noted_at)
SELECT p, 'r', '* * * * *', 1, 10, (SELECT oid FROM pg_database WHERE datname = d), n
FROM (VALUES ('tick', current_database(), NULL::timestamptz), ('weekly', current_database(), '2001-01-01'), ('daily', 'template1', now())) AS v (p, d, n);
SELECT * FROM maintenance WHERE check_id <> 'failed_runs' ORDER BY check_id;
UPDATE pgmaint_internal.plan_schedules SET noted_at = now() WHERE plan = 'weekly';
SELECT status, detail ~ '^scheduled runs were missed: weekly, noticed ' AS told FROM maintenance WHERE check_id = 'schedules';
DELETE FROM pgmaint_internal.plan_schedules;
DELETE FROM pgmaint.runs;
SELECT pgmaint.drop_plan('planted');

-- notifications: a critical alert without a contact
SET client_min_messages = warning;
CREATE VIEW telling AS SELECT check_id, status, regexp_replace(detail, ' is [^:]+(:\d\d)* old: ', ' is N old: ') AS detail, object FROM pgmaint_internal.validate_escalation();
TRUNCATE pgmaint.contacts, pgmaint_internal.alert_records, pgmaint.notifications RESTART IDENTITY CASCADE;
SELECT * FROM telling;
INSERT INTO pgmaint_internal.alert_records (alert_id, check_id, object, severity, message, occurrences, first_seen, last_seen, severe_since, first_finding, last_finding, resolved_at)
SELECT n, c, 'o', s, 'm', 1, now(), now(), now(), 1, 1, r
FROM (VALUES (1, 'a', 'warning', NULL::timestamptz), (2, 'b', 'critical', now()), (3, 'nobody_is_told', 'critical', NULL)) AS v (n, c, s, r);
SELECT status FROM telling WHERE check_id = 'nobody_is_told';
INSERT INTO pgmaint_internal.alert_records (alert_id, check_id, object, severity, message, occurrences, first_seen, last_seen, severe_since, first_finding, last_finding)
SELECT 3 + n, 'c', o, 'critical', 'm', 1, now(), now(), now(), 1, 1 FROM unnest('{x,y}'::text[]) WITH ORDINALITY AS x (o, n);
SELECT * FROM telling WHERE check_id = 'nobody_is_told';
INSERT INTO pgmaint_internal.acknowledgements (finding_id, alert_id, severity, acknowledged_by)
SELECT 1, alert_id, CASE object WHEN 'x' THEN 'critical' ELSE 'warning' END, 'r' FROM pgmaint_internal.alert_records WHERE check_id = 'c';
SELECT * FROM telling WHERE check_id = 'nobody_is_told';
UPDATE pgmaint.thresholds SET value = '2' WHERE check_id = 'nobody_is_told';
SELECT status FROM telling WHERE check_id = 'nobody_is_told';
UPDATE pgmaint.thresholds SET value = default_value;
SELECT pgmaint.add_contact('who', 'notify:who') \g /dev/null
SELECT * FROM telling;

-- messages that do not arrive; what was given up counts until another arrives
SELECT pgmaint.add_contact('on call', 'notify:call') \g /dev/null
UPDATE pgmaint.contacts SET added_at = now() - interval '4 days';
INSERT INTO pgmaint.notifications (message_id, contact, kind, subject, state, created_at, body, payload, error)
SELECT gen_random_uuid(), c, 'alert', 's', s, now() - a, 'b', '{}', e
FROM (VALUES ('on call', 'given up', interval '3 days', 'it slept'), ('on call', 'sent', '2 days', NULL), ('who', 'pending', '50 minutes', NULL),
	('nobody', 'failed', '2 days', 'it is not')) AS v (c, s, a, e);
SELECT * FROM telling WHERE check_id = 'undelivered_messages';
INSERT INTO pgmaint.notifications (message_id, contact, kind, subject, state, created_at, body, payload, error)
SELECT gen_random_uuid(), 'on call', 'alert', 's', s, now() - a, 'b', '{}', e
FROM (VALUES ('failed', interval '2 hours', 'it answered with status 503'), ('pending', '1 minute', NULL)) AS v (s, a, e);
SELECT * FROM telling WHERE check_id = 'undelivered_messages';
UPDATE pgmaint.notifications SET state = 'given up', created_at = now() - interval '3 days' WHERE state <> 'sent' AND contact = 'on call';
SELECT * FROM telling WHERE check_id = 'undelivered_messages' AND object ~ 'call';
SELECT pgmaint.drop_contact('on call'), pgmaint.add_contact('on call', 'notify:call') \g /dev/null
SELECT * FROM telling WHERE check_id = 'undelivered_messages';
UPDATE pgmaint.notifications SET state = 'sent' WHERE contact = 'who';
SELECT * FROM telling WHERE check_id = 'undelivered_messages';
TRUNCATE pgmaint.contacts, pgmaint_internal.alert_records, pgmaint.notifications RESTART IDENTITY CASCADE;
RESET client_min_messages;

-- a sequence that fills no column
CREATE SEQUENCE planted.numbers MAXVALUE 100;
SELECT values_left, used_ratio FROM pgmaint.sequence_usage WHERE sequence = 'planted.numbers'::regclass;
SELECT setval('planted.numbers', 95) \g /dev/null
SELECT values_left, used_ratio FROM pgmaint.sequence_usage WHERE sequence = 'planted.numbers'::regclass;
SELECT status, detail FROM pgmaint.validate() WHERE check_id = 'sequences';
DROP SEQUENCE planted.numbers;
-- steps that are too long, downwards, of a small type, and of no column
CREATE SEQUENCE planted.numbers MINVALUE -5 MAXVALUE 5 INCREMENT 6;
SELECT nextval('planted.numbers'), nextval('planted.numbers') \g /dev/null
SELECT values_left, used_ratio FROM pgmaint.sequence_usage WHERE sequence = 'planted.numbers'::regclass;
DROP SEQUENCE planted.numbers;
CREATE SEQUENCE planted.numbers AS smallint INCREMENT -1 MINVALUE -10 MAXVALUE -1;
SELECT setval('planted.numbers', -9) \g /dev/null
SELECT values_left, used_ratio FROM pgmaint.sequence_usage WHERE sequence = 'planted.numbers'::regclass;
DROP SEQUENCE planted.numbers;

-- a check that fails is a row, and takes no other group with it
BEGIN;
ALTER FUNCTION pgmaint_internal.validate_data() RENAME TO validate_gone;
SELECT check_id, status, split_part(detail, '; HINT', 1) AS detail, expected, object FROM pgmaint.validate() WHERE check_id IN ('sequences', 'bloat', 'validate_data');
SELECT count(*) > 0 AS others FROM pgmaint.validate() WHERE check_id = 'backup_age' OR check_id = 'recovery';
ROLLBACK;
SELECT count(*) FROM pgmaint_internal.check_group('validate_nothing');

-- where WAL goes
SELECT check_id, status, detail FROM pgmaint_internal.validate_replication() WHERE check_id <> 'archiver';
SELECT pg_create_physical_replication_slot('forgotten', true) \g /dev/null
SELECT status, detail ~ '^1 replication slot retains at most ' AS told FROM pgmaint_internal.validate_replication() WHERE check_id = 'replication_slots';
UPDATE pgmaint.thresholds SET value = '0' WHERE check_id = 'replication_slots' AND threshold = 'critical';
SELECT status, detail ~ '^replication slot forgotten retains .* of WAL and is not in use$' AS told, object
FROM pgmaint_internal.validate_replication() WHERE check_id = 'replication_slots';
SELECT pg_drop_replication_slot('forgotten') \g /dev/null
UPDATE pgmaint.thresholds SET value = default_value;

-- No function is called for each table, index or sequence: with 100 more of
-- each, none is called 100 times more often.  may_maintain() reads what the
-- server has in memory.
BEGIN;
SET LOCAL track_functions = 'all';
SELECT count(*) > 0 AS checks FROM pgmaint.validate();
SELECT count(*) < 0 AS indexes FROM pgmaint.index_usage(min_size => 0);
CREATE TEMPORARY TABLE calls ON COMMIT DROP AS SELECT funcid, calls FROM pg_stat_xact_user_functions;
DO $$ BEGIN FOR n IN 1 .. 100 LOOP EXECUTE format('CREATE TABLE planted.many%1$s (id serial PRIMARY KEY, v integer);
	INSERT INTO planted.many%1$s (v) VALUES (1); CREATE INDEX ON planted.many%1$s (v); ANALYZE planted.many%1$s', n); END LOOP; END $$;
SELECT count(*) > 0 AS checks FROM pgmaint.validate();
SELECT count(*) < 0 AS indexes FROM pgmaint.index_usage(min_size => 0);
SELECT f.schemaname, f.funcname FROM pg_stat_xact_user_functions f LEFT JOIN calls c USING (funcid)
WHERE f.calls - 2 * coalesce(c.calls, 0) >= 100 AND f.funcid <> 'pgmaint_internal.may_maintain(oid, oid)'::regprocedure;
ROLLBACK;
-- nor is anything compiled
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.oid IN ('pgmaint_internal.check_group(text)'::regprocedure, 'pgmaint.index_usage(interval, bigint)'::regprocedure) AND NOT coalesce(p.proconfig @> '{jit=off}', false);

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA planted CASCADE;
