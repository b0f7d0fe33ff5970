-- Alerts: relays and contacts are refused by name, findings about the same object
-- are one alert, each contact is notified once, and an alert is resolved only when
-- the same check was made again.

\set VERBOSITY default
SET client_min_messages = warning;

-- relays
CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (url 'smtp://mail.example.com:587');
CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (sender 'pgmaint@example.com');
CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (url 'http://mail.example.com', sender 'pgmaint@example.com');
CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (url 'smtp://user:secret@mail.example.com', sender 'pgmaint@example.com');
CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (url 'smtp://mail.example.com/path', sender 'pgmaint@example.com');
CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (url 'smtp://mail.example.com:99999', sender 'pgmaint@example.com');
CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (url 'smtp://mail.example.com', sender E'a@b\r\nBcc: c@d');
CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (password 'secret');
CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (timeout '1 hour');
CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (ca_file 'ca.pem');
CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (url 'smtp://mail.example.com:587', sender 'pgmaint@example.com', timeout '20s');
CREATE USER MAPPING FOR CURRENT_USER SERVER mail OPTIONS (username 'pgmaint');
CREATE USER MAPPING FOR CURRENT_USER SERVER mail OPTIONS (username 'pgmaint', password E'secret\n');
CREATE USER MAPPING FOR CURRENT_USER SERVER mail OPTIONS (secret 'my secret');
CREATE USER MAPPING FOR CURRENT_USER SERVER mail OPTIONS (path 'services/secret');
CREATE USER MAPPING FOR CURRENT_USER SERVER mail OPTIONS (url 'smtp://mail.example.com');
CREATE USER MAPPING FOR CURRENT_USER SERVER mail OPTIONS (username 'pgmaint', password 'secret');
CREATE SERVER hook FOREIGN DATA WRAPPER pgmaint_relay;

-- contacts
SELECT pgmaint.add_contact(NULL, 'notify:dba');
SELECT pgmaint.add_contact('', 'notify:dba');
SELECT pgmaint.add_contact('dba', NULL);
SELECT pgmaint.add_contact('dba', 'dba@example.com');
SELECT pgmaint.add_contact('dba', 'mailto:dba');
SELECT pgmaint.add_contact('dba', 'mailto:dba@example.com,boss@example.com');
SELECT pgmaint.add_contact('dba', E'mailto:dba@example.com\r\nBcc: x@y');
SELECT pgmaint.add_contact('dba', 'notify:');
SELECT pgmaint.add_contact('dba', 'http://example.com/hook');
SELECT pgmaint.add_contact('dba', 'http://localhost.example.com/hook');
SELECT pgmaint.add_contact('dba', 'https://user:secret@example.com/hook');
SELECT pgmaint.add_contact('dba', 'https://example.com/hook?token=secret');
SELECT pgmaint.add_contact('dba', E'https://example.com/a\r\nb');
SELECT pgmaint.add_contact('dba', 'https:///hook');
SELECT pgmaint.add_contact('dba', 'ftp://example.com/');
SELECT pgmaint.add_contact('dba', 'notify:dba', 0);
SELECT pgmaint.add_contact('dba', 'notify:dba', NULL);
SELECT pgmaint.add_contact('dba', 'notify:dba', severity => 'error');
SELECT pgmaint.add_contact('dba', 'notify:dba', after => '-1 s');
SELECT pgmaint.add_contact('dba', 'notify:dba', repeats => 0);
SELECT pgmaint.add_contact('dba', 'notify:dba', server => 'mail');
SELECT pgmaint.add_contact('dba', 'https://example.com/', server => 'mail');
SELECT pgmaint.add_contact('dba', 'mailto:dba@example.com', server => 'hook');
SELECT pgmaint.add_contact('dba', 'mailto:dba@example.com', server => 'pgmaint_local');
SELECT pgmaint.add_contact('dba', 'mailto:dba@example.com', server => 'nothing');
SELECT pgmaint.drop_contact('dba');
BEGIN READ ONLY;
SELECT pgmaint.add_contact('dba', 'notify:dba');
ROLLBACK;

-- what holds unless told otherwise
SELECT pgmaint.add_contact('a', 'mailto:dba@example.com');
SELECT pgmaint.add_contact('b', 'https://[2001:db8::1]:8443/hook', 2, server => 'hook');
SELECT pgmaint.add_contact('c', 'http://localhost:8080', 3);
SELECT pgmaint.add_contact('d', 'notify:A "channel"', 4, 'warning', '1 day', 5, true);
SELECT name, level, address, server, severity, after, repeats, windows, notice FROM pgmaint.contacts ORDER BY name;
SELECT pgmaint.add_contact('a', 'notify:dba');
SELECT pgmaint.drop_contact('dba');
CREATE SERVER mail2 FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (url 'smtps://mail.example.com', sender 'pgmaint@example.com');
SELECT pgmaint.add_contact('e', 'mailto:dba@example.com');
SELECT pgmaint.drop_contact(name) FROM pgmaint.contacts;
DROP SERVER mail CASCADE;
DROP SERVER mail2, hook;
SELECT pgmaint.add_contact('e', 'mailto:dba@example.com');

-- who may
CREATE ROLE regress_escalation_user LOGIN;
GRANT USAGE ON SCHEMA pgmaint TO regress_escalation_user;
SET ROLE regress_escalation_user;
SELECT pgmaint.add_contact('dba', 'notify:dba');
SELECT pgmaint.acknowledge(1);
SELECT * FROM pgmaint.alerts;
SELECT pgmaint_internal.note_alerts();
RESET ROLE;
GRANT EXECUTE ON FUNCTION pgmaint.add_contact TO regress_escalation_user;
CREATE SERVER hook FOREIGN DATA WRAPPER pgmaint_relay;
SET ROLE regress_escalation_user;
SELECT pgmaint.add_contact('dba', 'https://example.com', server => 'hook');
RESET ROLE;
DROP SERVER hook;
DROP OWNED BY regress_escalation_user;
DROP ROLE regress_escalation_user;

-- the life of alerts; findings of other tests do not count
UPDATE pgmaint.findings SET alert_id = 0 WHERE alert_id IS NULL;
TRUNCATE pgmaint_internal.alert_records CASCADE;
SELECT pgmaint.define_plan('tell', '["escalate"]');
SELECT pgmaint.add_contact('first', 'notify:first');
SELECT pgmaint.add_contact('second', 'notify:second', 2, after => '1 day', repeats => 3);
CREATE VIEW alerts AS
SELECT state, severity, check_id, object, message, occurrences, level, next_contact, condition, resolution FROM pgmaint.alerts
ORDER BY check_id, object, state;
CREATE VIEW told AS
SELECT n.contact, n.kind, n.state, t.check_id, t.object, t.severity, t.state AS alert
FROM pgmaint.notifications n
CROSS JOIN LATERAL jsonb_to_recordset(n.payload -> 'alerts') AS t (check_id text, object text, severity text, state text)
ORDER BY n.notification_id, t.check_id, t.object;

-- information is not followed, the same alert is one
INSERT INTO pgmaint.findings (check_id, severity, object, message)
VALUES ('a', 'info', 'x', 'nothing'), ('a', 'warning', 'x', 'once'), ('a', 'warning', 'x', 'twice'), ('a', 'warning', 'y', 'other'),
	('degradation', 'warning', 'q', 'slower');
CALL pgmaint.run_and_wait('tell') \gset
SELECT * FROM alerts;
SELECT * FROM told;
SELECT result FROM pgmaint.tasks WHERE action = 'escalate' ORDER BY task_id DESC LIMIT 1;
SELECT count(*), count(alert_id) FROM pgmaint.findings WHERE check_id = 'a';
-- an alert has the number of its first finding, which messages name
SELECT object, alert_id = first_finding AS first, finding_id > alert_id AS more FROM pgmaint.alerts ORDER BY object;
SELECT bool_and(n.body LIKE '%SELECT pgmaint.acknowledge(' || (n.payload -> 'alerts' -> 0 ->> 'alert_id') || ')%') AS told,
	bool_and(n.payload -> 'troubles' = n.payload -> 'alerts' AND n.payload -> 'troubles_count' = n.payload -> 'alerts_count') AS old_keys
FROM pgmaint.notifications n WHERE n.kind = 'alert';

-- once each, unless it becomes worse
CALL pgmaint.run_and_wait('tell') \gset
INSERT INTO pgmaint.findings (check_id, severity, object, message) VALUES ('a', 'critical', 'y', 'worse'), ('a', 'warning', 'x', 'again');
CALL pgmaint.run_and_wait('tell') \gset
SELECT * FROM alerts;
SELECT * FROM told OFFSET 3;

-- by repetition to the next level
INSERT INTO pgmaint.findings (check_id, severity, object, message) VALUES ('a', 'warning', 'y', 'again');
CALL pgmaint.run_and_wait('tell') \gset
SELECT * FROM alerts WHERE object = 'y';
SELECT * FROM told OFFSET 4;

-- acknowledged, silence; worse, no more
SELECT pgmaint.acknowledge(0);
DO $$
BEGIN
	PERFORM pgmaint.acknowledge(f.finding_id) FROM pgmaint.findings f WHERE f.check_id = 'a' AND f.severity = 'info';
EXCEPTION WHEN object_not_in_prerequisite_state THEN
	RAISE WARNING '%', regexp_replace(SQLERRM, '\d+', 'N');
END
$$;
SELECT pgmaint.acknowledge(max(finding_id)) FROM pgmaint.findings WHERE check_id = 'a' AND object = 'x';
SELECT acknowledged_by = CURRENT_USER AS by_me, acknowledged_at IS NOT NULL AS at FROM pgmaint.alerts WHERE object = 'x';
INSERT INTO pgmaint.findings (check_id, severity, object, message) SELECT 'a', 'warning', 'x', 'silent' FROM generate_series(1, 5);
CALL pgmaint.run_and_wait('tell') \gset
SELECT * FROM alerts WHERE object = 'x';
SELECT * FROM told OFFSET 5;
INSERT INTO pgmaint.findings (check_id, severity, object, message) VALUES ('a', 'critical', 'x', 'loud');
CALL pgmaint.run_and_wait('tell') \gset
SELECT * FROM alerts WHERE object = 'x';
SELECT * FROM told OFFSET 5;
-- before it is evaluated
INSERT INTO pgmaint.findings (check_id, severity, object, message) VALUES ('b', 'critical', 'z', 'known');
SELECT pgmaint.acknowledge(max(finding_id)) FROM pgmaint.findings WHERE check_id = 'b';
CALL pgmaint.run_and_wait('tell') \gset
SELECT * FROM alerts WHERE check_id = 'b';
SELECT * FROM told WHERE check_id = 'b';

-- a warning that goes on
SELECT count(*) FROM pgmaint.thresholds WHERE check_id = 'lasting_warning';
INSERT INTO pgmaint.findings (check_id, severity, object, message, created_at) VALUES ('c', 'warning', NULL, 'long', now() - interval '8 days');
CALL pgmaint.run_and_wait('tell') \gset
SELECT * FROM alerts WHERE check_id = 'c';

-- over only when the same was looked at again, in the same way
CREATE FUNCTION run_of(steps jsonb, state text, finding text DEFAULT NULL, task_state text DEFAULT 'succeeded', target text DEFAULT 'public.t')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	run bigint;
	task bigint;
BEGIN
	INSERT INTO pgmaint.runs (plan, requested_by, role, database, steps, settings, state, started_at, finished_at, current_step)
	SELECT 'p', CURRENT_USER, 10, oid, run_of.steps, '{}', run_of.state, clock_timestamp(), clock_timestamp(), jsonb_array_length(run_of.steps)
	FROM pg_database WHERE datname = current_database() RETURNING run_id INTO run;
	IF task_state IS NOT NULL THEN
		INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, started_at, finished_at)
		VALUES (run, 1, run_of.steps -> 0 ->> 'action', run_of.target, 'c', 'r', task_state, clock_timestamp(), clock_timestamp())
		RETURNING task_id INTO task;
	END IF;
	IF finding IS NOT NULL THEN
		INSERT INTO pgmaint.findings (run_id, step, task_id, check_id, severity, object, message)
		VALUES (run, 1, task, finding, 'warning', CASE WHEN task IS NOT NULL THEN 'o' END, 'm');
	END IF;
END
$$;
CREATE PROCEDURE look(INOUT state text DEFAULT NULL, INOUT occurrences int DEFAULT NULL, INOUT resolution text DEFAULT NULL)
LANGUAGE sql AS $$
	SELECT pgmaint_internal.note_alerts(), pgmaint_internal.resolve_alerts(), pgmaint_internal.weigh_alerts();
	SELECT e.state, e.occurrences, regexp_replace(e.resolution, 'run \d+', 'run N') FROM pgmaint.alerts e WHERE e.check_id = 'noticed'
	ORDER BY e.alert_id DESC LIMIT 1
$$;
DO $$ BEGIN PERFORM run_of('[{"action": "vacuum", "options": {"min_size": 1}}]', 'succeeded', 'noticed'); END $$;
CALL look();
DO $$ BEGIN PERFORM run_of('[{"action": "vacuum", "options": {"min_size": 2}}]', 'succeeded'); END $$;
CALL look();
DO $$ BEGIN PERFORM run_of('[{"action": "vacuum", "options": {"min_size": 1}}]', 'succeeded', target => 'public.u'); END $$;
CALL look();
DO $$ BEGIN PERFORM run_of('[{"action": "analyze", "options": {"min_size": 1}}]', 'succeeded'); END $$;
CALL look();
DO $$ BEGIN PERFORM run_of('[{"action": "vacuum", "options": {"min_size": 1}}]', 'failed', task_state => 'skipped'); END $$;
CALL look();
DO $$ BEGIN PERFORM run_of('[{"action": "vacuum", "options": {"min_size": 1}}]', 'succeeded', 'noticed'); END $$;
CALL look();
DO $$ BEGIN PERFORM run_of('[{"action": "vacuum", "options": {"min_size": 1, "settings": {"vacuum_cost_delay": 0}}}]', 'succeeded'); END $$;
CALL look();
-- noticed when tasks were planned
DO $$ BEGIN PERFORM run_of('[{"action": "vacuum"}]', 'succeeded', 'noticed', NULL); END $$;
CALL look();
DO $$ BEGIN PERFORM run_of('[{"action": "vacuum"}]', 'failed', NULL, NULL); END $$;
CALL look();
DO $$ BEGIN PERFORM run_of('[{"action": "vacuum", "options": {"min_size": 1}}]', 'succeeded', NULL, NULL); END $$;
CALL look();
DO $$ BEGIN PERFORM run_of('[{"action": "vacuum"}]', 'succeeded', NULL, NULL); END $$;
CALL look();
-- a contact that was notified of it is notified that it is resolved
DO $$ BEGIN PERFORM run_of('[{"action": "backup"}]', 'succeeded', 'backup'); END $$;
CALL pgmaint.run_and_wait('tell') \gset
DO $$ BEGIN PERFORM run_of('[{"action": "backup"}]', 'succeeded', 'backup'); END $$;
CALL pgmaint.run_and_wait('tell') \gset
DO $$ BEGIN PERFORM run_of('[{"action": "backup"}]', 'succeeded'); END $$;
CALL pgmaint.run_and_wait('tell') \gset
SELECT * FROM told WHERE check_id = 'backup';
SELECT condition FROM alerts WHERE check_id = 'backup';

-- by the number of the alert, whose findings may be gone
INSERT INTO pgmaint.findings (check_id, severity, object, message) VALUES ('d', 'warning', 'old', 'm');
CALL pgmaint.run_and_wait('tell') \gset
DELETE FROM pgmaint.findings WHERE check_id = 'd';
SELECT alert_id AS old FROM pgmaint.alerts WHERE check_id = 'd' \gset
SELECT pgmaint.acknowledge(:old);
SELECT state FROM alerts WHERE check_id = 'd';
-- a number that is taken is no alert's twice, and not taken for the other
INSERT INTO pgmaint.findings (finding_id, check_id, severity, object, message) OVERRIDING SYSTEM VALUE VALUES (:old, 'd', 'warning', 'new', 'm');
CALL pgmaint.run_and_wait('tell') \gset
SELECT object, state, alert_id = first_finding AS first, first_finding = :old AS taken FROM pgmaint.alerts WHERE check_id = 'd' ORDER BY object;
CREATE FUNCTION masked_error(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE command;
	RETURN 'no error';
EXCEPTION WHEN ambiguous_parameter THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN regexp_replace(concat_ws(E'\n', message, detail, hint), '\d+', 'N', 'g');
END
$$;
SELECT masked_error('SELECT pgmaint.acknowledge(' || :old || ')');

-- many at once are one message, of which not all is told
INSERT INTO pgmaint.findings (check_id, severity, object, message) SELECT 'many', 'warning', g, repeat('x', 2000) FROM generate_series(1, 100) g;
CALL pgmaint.run_and_wait('tell') \gset
SELECT contact, kind, regexp_replace(subject, '\[.*\]', '[]') AS subject, jsonb_array_length(payload -> 'alerts') AS listed, payload -> 'alerts_count' AS alerts, body LIKE '%... and 50 more alerts.%' AS more
FROM pgmaint.notifications ORDER BY notification_id DESC LIMIT 1;

-- a plan that cannot be carried out does not reach its step escalate
SELECT pgmaint.define_plan('broken', '[{"action": "verify_backup", "options": {"backup_id": 999999}}, "escalate"]');
DO $$ BEGIN PERFORM pgmaint.run('broken'); END $$;
DO $$
BEGIN
	FOR i IN 1 .. 3600 LOOP
		EXIT WHEN EXISTS (SELECT FROM pgmaint.notifications n WHERE n.state = 'sent' AND n.body LIKE '%999999%');
		PERFORM pg_sleep(0.05);
	END LOOP;
END
$$;
SELECT state, severity, check_id, object, action, regexp_replace(message, 'run \d+', 'run N') FROM pgmaint.alerts WHERE object = 'broken';

-- a contact that is dropped is told nothing more
SELECT pgmaint.drop_contact('first');
SELECT pgmaint.drop_contact('second');
INSERT INTO pgmaint.notifications (message_id, contact, kind, subject, body, payload) VALUES (gen_random_uuid(), 'nobody', 'alert', 's', 'b', '{}');
CALL pgmaint.run_and_wait('tell') \gset
SELECT state, error, attempts FROM pgmaint.notifications WHERE contact = 'nobody';

SELECT pgmaint.drop_plan('tell');
SELECT pgmaint.drop_plan('broken');
DELETE FROM pgmaint.runs WHERE plan IN ('p', 'tell', 'broken');
DELETE FROM pgmaint.findings WHERE run_id IS NULL;
DELETE FROM pgmaint_internal.alert_records;
DELETE FROM pgmaint.notifications;
DROP VIEW alerts, told;
DROP PROCEDURE look;
DROP FUNCTION run_of, masked_error;
