--
-- Backups: which expire, and whether everything is in order
--
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
SET client_min_messages = warning;

-- The first use gives the database its identity.
SELECT pgmaint.take_over();

-- A backup as the ledger has it.  The storages do not exist: nothing is removed.
CREATE FUNCTION made(at timestamptz, database name DEFAULT 'shop', storage name DEFAULT 'far', state text DEFAULT 'succeeded',
	verification text DEFAULT NULL, selection jsonb DEFAULT NULL, error text DEFAULT NULL)
RETURNS void LANGUAGE sql AS $$
	INSERT INTO pgmaint_internal.backup_records (storage, key, kind, database, selection, state, error, compression, bytes, sha256,
		started_at, finished_at, verification, verified_at, verification_error)
	VALUES (storage, concat_ws('-', coalesce(database, 'globals'), md5(selection::text), to_char(at, 'YYYYMMDD-HH24MISS')),
		CASE WHEN database IS NULL THEN 'globals' ELSE 'database' END, database, selection, state, error, 'gzip', 1000000, repeat('0', 64),
		at, at + interval '1 minute', verification, CASE WHEN verification = 'restorable' THEN at + interval '1 hour' END,
		CASE WHEN verification = 'not restorable' THEN 'the object is damaged' END)
$$;
-- What stays with these rules, by its date, and how many go.
CREATE FUNCTION left_by(rules jsonb DEFAULT '{}')
RETURNS TABLE (kept text, expire bigint) LANGUAGE sql AS $$
	SELECT string_agg(to_char(e.started_at, CASE WHEN rules ? 'keep_yearly' THEN 'YYYY-MM-DD' ELSE 'MM-DD' END), ' '
			ORDER BY e.started_at DESC, e.backup_id DESC) FILTER (WHERE NOT e.expires),
		count(*) FILTER (WHERE e.expires)
	FROM pgmaint.backup_expiry(keep => (rules ->> 'keep')::int, keep_days => (rules ->> 'keep_days')::int,
		keep_monthly => (rules ->> 'keep_monthly')::int, keep_yearly => (rules ->> 'keep_yearly')::int,
		minimum => coalesce((rules ->> 'minimum')::int, 2)) e
$$;
CREATE PROCEDURE forget() LANGUAGE sql AS 'TRUNCATE pgmaint_internal.backup_records';
\pset null '(null)'

-- nothing
SELECT count(*) FROM pgmaint.backup_expiry();

-- one each day, for forty days: thirty stay
SELECT made(at) FROM generate_series(timestamptz '2025-01-01 02:00', '2025-02-09 02:00', '1 day') at \g /dev/null
SELECT * FROM left_by();
SELECT key, expires, reason, held_back, series FROM pgmaint.backup_expiry() OFFSET 28 LIMIT 3;
SELECT * FROM left_by('{"keep": 3}');
SELECT * FROM left_by('{"keep": 1000000}');
-- a count, then days, months and years, and each with the others
SELECT * FROM left_by('{"keep_days": 4}');
SELECT * FROM left_by('{"keep": 2, "keep_days": 4}');
SELECT * FROM left_by('{"keep": 7, "keep_days": 4}');
SELECT * FROM left_by('{"keep_monthly": 1}');
SELECT * FROM left_by('{"keep_monthly": 5}');
SELECT * FROM left_by('{"keep_yearly": 5}');
SELECT key, expires, reason FROM pgmaint.backup_expiry(keep => 2, keep_days => 3, keep_monthly => 2, keep_yearly => 1) LIMIT 5;
SELECT reason FROM pgmaint.backup_expiry(keep => 2, keep_days => 3, keep_monthly => 2, keep_yearly => 1) WHERE NOT expires AND started_at < '2025-02-01';
SELECT reason FROM pgmaint.backup_expiry(keep_days => 1, keep_monthly => 1, keep_yearly => 2, minimum => 1) OFFSET 1 LIMIT 2;
-- the last ones stay whatever the rules say
SELECT * FROM left_by('{"keep": 1}');
SELECT * FROM left_by('{"keep": 1, "minimum": 1}');
SELECT * FROM left_by('{"keep": 1, "minimum": 4}');
SELECT * FROM left_by('{"keep_days": 1, "minimum": 5}');
SELECT * FROM left_by('{"keep": 1, "minimum": 0}');
SELECT * FROM left_by('{"keep": 1, "minimum": -5}');

-- so does the newest that was proven, and no older one of these
UPDATE pgmaint_internal.backup_records SET verification = 'restorable', verified_at = '2025-03-01' WHERE started_at::date IN ('2025-01-10', '2025-01-20');
SELECT * FROM left_by('{"keep": 2}');
SELECT key, expires, reason FROM pgmaint.backup_expiry(keep => 2) WHERE NOT expires OR started_at::date IN ('2025-01-10', '2025-02-07');
-- one that was proven once, and was found bad since, is none
UPDATE pgmaint_internal.backup_records SET verification = 'not restorable' WHERE started_at::date = '2025-01-20';
SELECT * FROM left_by('{"keep": 2}');
-- what is known to be bad does not count among the last ones, nor for its month
UPDATE pgmaint_internal.backup_records SET verification = 'not restorable' WHERE started_at::date IN ('2025-02-09', '2025-02-08', '2025-01-31');
SELECT * FROM left_by('{"keep": 2}');
SELECT * FROM left_by('{"keep": 1, "keep_monthly": 2, "minimum": 1}');
SELECT key, expires, reason FROM pgmaint.backup_expiry(keep => 2) WHERE NOT expires;
UPDATE pgmaint_internal.backup_records SET verification = 'not restorable';
SELECT * FROM left_by('{"keep": 1, "keep_monthly": 2, "minimum": 1}');
CALL forget();

-- months and years that have one count, those that have none do not; the day is UTC's
SELECT made(at) FROM unnest(ARRAY['2019-12-31 23:59', '2020-01-01 00:00', '2020-06-30 02:00', '2022-05-01 02:00', '2022-05-01 14:00',
	'2022-12-31 02:00', '2024-01-15 02:00', '2024-03-15 02:00', '2024-03-16 02:00']::timestamptz[]) at \g /dev/null
SET timezone = 'Pacific/Kiritimati';
SET datestyle = 'SQL, DMY';
SELECT key, reason FROM pgmaint.backup_expiry(keep_monthly => 3, keep_yearly => 4, minimum => 1) WHERE NOT expires;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
SELECT * FROM left_by('{"keep_yearly": 2, "minimum": 1}');
SELECT * FROM left_by('{"keep_yearly": 3, "minimum": 1}');
SELECT * FROM left_by('{"keep_yearly": 100, "minimum": 1}');
SELECT * FROM left_by('{"keep_monthly": 4, "minimum": 1}');
CALL forget();

-- the ninth, the eleventh, the twenty-second: of the same second, the one that came last is newer
SELECT made('2025-01-01') \g /dev/null
INSERT INTO pgmaint_internal.backup_records (storage, key, kind, database, state, compression, started_at)
SELECT 'far', 'same-' || g, 'database', 'shop', 'succeeded', 'gzip', '2025-01-01' FROM generate_series(2, 23) g;
SELECT key, expires, left(reason, 26) FROM pgmaint.backup_expiry(keep => 9) OFFSET 8 LIMIT 5;
SELECT key, left(reason, 26) FROM pgmaint.backup_expiry(keep => 9) OFFSET 19;
CALL forget();

-- each storage, each database, each part of one, and the globals are by themselves
SELECT made(at, database, storage, 'succeeded', NULL, selection)
FROM (VALUES ('shop', 'far', NULL::jsonb), ('shop', 'near', NULL), ('Größe "1"', 'far', NULL), (NULL, 'far', NULL),
	('shop', 'far', '{"tables": ["a"]}'), ('shop', 'far', '{"tables": ["b"]}')) AS s (database, storage, selection),
	generate_series(timestamptz '2025-01-01 02:00', '2025-01-04 02:00', '1 day') at \g /dev/null
SELECT storage, database, series, count(*), count(*) FILTER (WHERE expires) AS expire,
	string_agg(to_char(started_at, 'DD'), ' ' ORDER BY started_at) FILTER (WHERE NOT expires) AS kept
FROM pgmaint.backup_expiry(keep => 3) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT reason FROM pgmaint.backup_expiry(keep => 3) WHERE expires ORDER BY storage COLLATE "C", series COLLATE "C";
-- some of them
SELECT DISTINCT storage, series FROM pgmaint.backup_expiry(storage => 'near');
SELECT DISTINCT storage, series FROM pgmaint.backup_expiry(databases => '{"Größe \"1\"", nothing}');
SELECT count(*) FROM pgmaint.backup_expiry(storage => 'near', databases => '{nothing}');
SELECT count(*) FROM pgmaint.backup_expiry(storage => 'nowhere');
SELECT count(*) FROM pgmaint.backup_expiry(databases => '{}');

-- nothing leaves where the latest attempt came to nothing; others do
SELECT made('2025-01-05', state => 'failed', error => 'pg_dump was terminated by signal 9') \g /dev/null
SELECT made('2025-01-05', 'shop', 'near', 'running') \g /dev/null
SELECT made('2025-01-03 12:00', NULL, 'far', 'failed') \g /dev/null
SELECT storage, series, key, held_back FROM pgmaint.backup_expiry(keep => 3) WHERE expires;
SELECT count(*) FROM pgmaint.backup_expiry(keep => 4) WHERE held_back IS NOT NULL;
-- one that is at work says nothing yet: the one before it does
BEGIN;
INSERT INTO pgmaint.runs (plan, steps, settings, requested_by, role, database, state)
VALUES ('none', '[]', '{}', current_user, 0, 0, 'running') RETURNING run_id \gset
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state)
VALUES (:run_id, 1, 'backup', 'shop', '', '', 'running') RETURNING task_id \gset
UPDATE pgmaint_internal.backup_records SET task_id = :task_id WHERE state = 'running';
SELECT key, held_back FROM pgmaint.backup_expiry('near', keep => 3) WHERE expires;
UPDATE pgmaint.tasks SET state = 'failed' WHERE task_id = :task_id;
SELECT key, held_back FROM pgmaint.backup_expiry('near', keep => 3) WHERE expires;
ROLLBACK;
-- the next one that succeeds ends that
SELECT made('2025-01-06') \g /dev/null
SELECT key, held_back FROM pgmaint.backup_expiry('far', keep => 3) WHERE expires AND series = 'database shop';
-- what failed or was removed is none; a removal that was begun comes to its end
UPDATE pgmaint_internal.backup_records SET state = 'expired' WHERE database = 'Größe "1"' AND started_at < '2025-01-02';
UPDATE pgmaint_internal.backup_records SET state = 'expiring' WHERE database = 'Größe "1"' AND started_at >= '2025-01-04';
SELECT key, expires, reason, held_back FROM pgmaint.backup_expiry(databases => '{"Größe \"1\""}', keep => 30);
-- a clock that was set back, or a backup of tomorrow: only its own series waits
SELECT made('2999-01-01', 'tomorrow'), made('2998-01-01', 'tomorrow'), made('2997-01-01', 'tomorrow'), made('2996-01-01', 'tomorrow') \g /dev/null
SELECT DISTINCT series, regexp_replace(held_back, 'shows [-0-9: ]+ UTC', 'shows … UTC') FROM pgmaint.backup_expiry(keep => 3) WHERE expires AND held_back ~ 'clock';
SELECT count(*) FILTER (WHERE expires) AS expire, count(*) FILTER (WHERE held_back IS NULL AND expires) AS now FROM pgmaint.backup_expiry(keep => 3);
DELETE FROM pgmaint_internal.backup_records WHERE database = 'tomorrow';

-- the action: bad options are refused, and what it cannot do it says
SELECT pgmaint.run_action('expire_backups', '{"keep": 0}');
SELECT pgmaint.run_action('expire_backups', '{"keep": "many"}');
SELECT pgmaint.run_action('expire_backups', '{"keep_days": -1}');
SELECT pgmaint.run_action('expire_backups', '{"keep_monthly": 1.5}');
SELECT pgmaint.run_action('expire_backups', '{"keep_yearly": 101}');
SELECT pgmaint.run_action('expire_backups', '{"minimum": 0}');
SELECT pgmaint.run_action('expire_backups', '{"keep_weekly": 4}');
SELECT pgmaint.run_action('validate', '{"storage": "far"}');
SELECT pgmaint.define_plan('cleanup', '[{"action": "expire_backups", "options": {"keep": 3}}]');
SELECT count(*) FROM pgmaint.dry_run('cleanup');
-- the number of the run is another each time
\o /dev/null
CALL pgmaint.run_and_wait('cleanup');
\o
SELECT max(run_id) AS run FROM pgmaint.runs \gset
SELECT check_id, severity, object, message FROM pgmaint.findings WHERE run_id = :run ORDER BY message COLLATE "C";
SELECT count(*) FROM pgmaint.tasks WHERE run_id = :run;
SELECT pgmaint.drop_plan('cleanup');
CALL forget();

-- daily goes on where there is no storage that the role may use
CREATE ROLE pgmaint_regress_keeper LOGIN;
GRANT USAGE ON SCHEMA pgmaint TO pgmaint_regress_keeper;
GRANT EXECUTE ON PROCEDURE pgmaint.run_and_wait(text, jsonb, bigint) TO pgmaint_regress_keeper;
SET ROLE pgmaint_regress_keeper;
\o /dev/null
CALL pgmaint.run_and_wait('daily');
\o
RESET ROLE;
SELECT max(run_id) AS run FROM pgmaint.runs \gset
SELECT action, state FROM pgmaint.tasks WHERE run_id = :run;
SELECT check_id, severity, replace(message, current_database(), 'DATABASE') FROM pgmaint.findings WHERE run_id = :run AND check_id LIKE 'backup%' ORDER BY check_id, severity;
-- and says which right is missing where there is one
GRANT USAGE ON FOREIGN SERVER pgmaint_local TO pgmaint_regress_keeper;
SET ROLE pgmaint_regress_keeper;
\set VERBOSITY sqlstate
CALL pgmaint.run_and_wait('daily', '{"globals": false}');
\set VERBOSITY default
RESET ROLE;
SELECT max(run_id) AS run FROM pgmaint.runs \gset
SELECT action, state, error FROM pgmaint.tasks WHERE run_id = :run ORDER BY task_id;
SELECT state, error FROM pgmaint.backups;
REVOKE USAGE ON FOREIGN SERVER pgmaint_local FROM pgmaint_regress_keeper;
REVOKE EXECUTE ON PROCEDURE pgmaint.run_and_wait(text, jsonb, bigint) FROM pgmaint_regress_keeper;
CALL forget();
-- monthly has nothing to prove
\o /dev/null
CALL pgmaint.run_and_wait('monthly', '{"schemas": "nowhere"}');
\o
SELECT severity, message FROM pgmaint.findings WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs) AND check_id = 'backup';

-- how fast a restore is can be promised where one was measured in this server with fsync on
SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'pgmaint.backups'::regclass;
CREATE FUNCTION rates() RETURNS TABLE (key text, restore_duration interval, restore_settings text, safe interval, restore_rate text) LANGUAGE sql AS
	'SELECT b.key, b.restore_duration, b.restore_settings, b.safe_restore_duration, b.restore_rate FROM pgmaint.backups b ORDER BY b.key';
INSERT INTO pgmaint_internal.backup_records (storage, key, kind, database, selection, state, compression, dump_bytes, restore_duration, restore_settings) VALUES
	('far', 'a', 'database', 'shop', NULL, 'expired', 'gzip', 81920, '1 s', NULL),
	('far', 'b', 'database', 'shop', NULL, 'succeeded', 'gzip', 102400, '1 s', 'private server: fsync off, wal_level minimal'),
	('near', 'c', 'database', 'shop', NULL, 'succeeded', 'gzip', NULL, NULL, NULL),
	('far', 'd', 'database', 'shop', '{"tables": ["t"]}', 'succeeded', 'gzip', 102400, '1 s', NULL),
	('far', 'e', 'database', 'other', NULL, 'succeeded', 'gzip', 102400, '1 s', NULL),
	('far', 'f', 'globals', NULL, NULL, 'succeeded', 'gzip', 102400, NULL, NULL);
SELECT * FROM rates();
-- its own, then the newest of the same database, or of the same part of it
UPDATE pgmaint_internal.backup_records SET safe_restored_at = '2025-01-03', safe_restore_duration = '8 s' WHERE key = 'a';
SELECT key, restore_rate FROM rates();
UPDATE pgmaint_internal.backup_records SET safe_restored_at = '2025-01-02', safe_restore_duration = '5 s' WHERE key = 'b';
UPDATE pgmaint_internal.backup_records SET safe_restored_at = '2025-01-04', safe_restore_duration = '50 s' WHERE key = 'c';
UPDATE pgmaint_internal.backup_records SET safe_restored_at = '2025-01-05', safe_restore_duration = '10 s' WHERE key = 'd';
UPDATE pgmaint_internal.backup_records SET safe_restored_at = '2025-01-06', safe_restore_duration = '0' WHERE key = 'e';
SELECT key, restore_rate FROM rates();
-- who asks for no rate does not pay for it
CREATE FUNCTION reads(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	line text;
	lines bigint := 0;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		lines := lines + (line ~ 'on backup_records')::int;
	END LOOP;
	RETURN lines;
END
$$;
SELECT reads('SELECT restore_rate FROM pgmaint.backups') AS with_rate, reads('SELECT backup_id, restore_duration, restore_settings FROM pgmaint.backups') AS without;
CALL forget();

-- is everything in order?
CREATE VIEW checks AS SELECT check_id, status, replace(detail, current_database(), 'DATABASE') AS detail, expected,
	replace(object, current_database(), 'DATABASE') AS object FROM pgmaint_internal.validate_backups() ORDER BY array_position(ARRAY['critical', 'warning', 'ok'], status), check_id, object;
SELECT * FROM pgmaint.thresholds WHERE check_id LIKE 'backup%' ORDER BY check_id, threshold;
SELECT * FROM checks;
SELECT pgmaint.validate_ok();
-- half a minute more, for slow machines
SELECT made(now() - interval '2 hours 30 seconds', current_database()) \g /dev/null
SELECT * FROM checks;
SELECT pgmaint.validate_ok();
-- what is not there, or is of the globals or of a database that is gone, does not count
SELECT made(now() - make_interval(mins => 90 + nth::int), current_database(), state => s)
FROM unnest(ARRAY['failed', 'expired', 'expiring', 'running']) WITH ORDINALITY AS u (s, nth) \g /dev/null
SELECT made(now(), d) FROM unnest(ARRAY[NULL, 'gone']::name[]) d \g /dev/null
SELECT * FROM checks;
-- other databases that were backed up from here do; so does a part where there is nothing else
SELECT made(now() - interval '3 days 30 seconds', 'template1', selection => '{"tables": ["a"]}', verification => 'restorable') \g /dev/null
SELECT * FROM checks WHERE object = 'template1';
SELECT pgmaint.validate_ok();
SELECT made(now() - interval '30 hours 30 seconds', 'template1', 'near') \g /dev/null
SELECT * FROM checks WHERE object = 'template1';
SELECT pgmaint.validate_ok();
-- proven long ago, found bad, and proven again
UPDATE pgmaint_internal.backup_records SET verification = 'restorable', verified_at = now() - interval '40 days 30 seconds' WHERE storage = 'near';
SELECT * FROM checks WHERE check_id = 'backup_verified';
SELECT made('2025-01-01 02:00', current_database(), 'near', verification => 'not restorable') \g /dev/null
SELECT * FROM checks WHERE check_id = 'backup_verified' AND object = 'DATABASE';
SELECT pgmaint.validate_ok();
SELECT made('2025-01-02 02:00', current_database(), 'near', verification => 'restorable') \g /dev/null
UPDATE pgmaint_internal.backup_records SET verified_at = now() - interval '1 day 30 seconds' WHERE verification = 'restorable' AND database = current_database();
SELECT * FROM checks WHERE check_id = 'backup_verified' AND object = 'DATABASE';
DELETE FROM pgmaint_internal.backup_records WHERE database = 'template1' OR database = 'gone';

-- the action finds what is not in order, and succeeds
UPDATE pgmaint_internal.backup_records SET started_at = started_at - interval '2 days' WHERE database = current_database();
SELECT pgmaint.define_plan('look', '["validate"]');
\o /dev/null
CALL pgmaint.run_and_wait('look');
\o
SELECT max(run_id) AS run FROM pgmaint.runs \gset
SELECT replace(target, current_database(), 'DATABASE') AS target, command, state, (result ->> 'critical')::int > 0 AS critical FROM pgmaint.tasks WHERE run_id = :run;
SELECT check_id, severity, replace(object, current_database(), 'DATABASE') AS object, replace(message, current_database(), 'DATABASE') AS message, detail
FROM pgmaint.findings WHERE run_id = :run AND check_id LIKE 'backup%' ORDER BY finding_id;
SELECT pgmaint.drop_plan('look');

-- limits are data; null is none
UPDATE pgmaint.thresholds SET value = '3 days' WHERE check_id = 'backup_recent' AND threshold = 'critical';
UPDATE pgmaint.thresholds SET value = NULL WHERE check_id = 'backup_recent' AND threshold = 'warning';
UPDATE pgmaint.thresholds SET value = '6' WHERE check_id = 'backup_exists';
SELECT * FROM checks;
UPDATE pgmaint.thresholds SET value = NULL;
SELECT check_id, status, expected FROM checks;
SELECT pgmaint_internal.threshold('backup_recent', 'warning'), pgmaint_internal.threshold('nothing', 'warning');
UPDATE pgmaint.thresholds SET value = default_value;
UPDATE pgmaint.thresholds SET value = '0' WHERE check_id = 'backup_recent' AND threshold = 'warning';
SELECT check_id, status, expected FROM checks WHERE check_id = 'backup_recent';
\set VERBOSITY terse
UPDATE pgmaint.thresholds SET value = 'soon' WHERE check_id = 'backup_recent';
UPDATE pgmaint.thresholds SET value = '-1 hour' WHERE check_id = 'backup_recent';
UPDATE pgmaint.thresholds SET value = '1 day' WHERE check_id = 'backup_exists';
UPDATE pgmaint.thresholds SET value = '-1' WHERE check_id = 'backup_exists';
UPDATE pgmaint.thresholds SET value = 'NaN' WHERE check_id = 'backup_exists';
UPDATE pgmaint.thresholds SET value = '' WHERE check_id = 'backup_exists';
INSERT INTO pgmaint.thresholds VALUES ('backup_exists', 'fatal', '1', '1', 'number', 'no such degree');
INSERT INTO pgmaint.thresholds VALUES ('mine', 'warning', 'x', NULL, 'number', 'not a number');
\set VERBOSITY default
-- what comes out of a dump takes the place of the default
INSERT INTO pgmaint.thresholds VALUES ('backup_recent', 'warning', '30 hours', '26 hours', 'interval', 'of a dump');
SELECT value, description FROM pgmaint.thresholds WHERE check_id = 'backup_recent' AND threshold = 'warning';
UPDATE pgmaint.thresholds SET value = default_value;

-- who may look
SET ROLE pgmaint_regress_keeper;
SELECT * FROM pgmaint.validate();
SELECT pgmaint.validate_ok();
SELECT * FROM pgmaint.backup_expiry();
SELECT * FROM pgmaint.list_backups('pgmaint_local');
SELECT pgmaint.adopt_backups('pgmaint_local');
SELECT * FROM pgmaint.thresholds;
RESET ROLE;
GRANT pg_monitor TO pgmaint_regress_keeper;
SET ROLE pgmaint_regress_keeper;
SELECT pgmaint.validate_ok();
SELECT count(*) > 0 AS checked FROM pgmaint.validate();
SELECT count(*) FROM pgmaint.backup_expiry();
SELECT count(*) > 0 AS limited FROM pgmaint.thresholds;
UPDATE pgmaint.thresholds SET value = NULL;
SELECT * FROM pgmaint.list_backups('pgmaint_local');
RESET ROLE;
GRANT EXECUTE ON FUNCTION pgmaint.list_backups(text), pgmaint.adopt_backups(text, name) TO pgmaint_regress_keeper;
SET ROLE pgmaint_regress_keeper;
SELECT * FROM pgmaint.list_backups('pgmaint_local');
SELECT pgmaint.adopt_backups('pgmaint_local');
RESET ROLE;
SELECT * FROM pgmaint.list_backups('nowhere');
SELECT * FROM pgmaint.list_backups(NULL);
SELECT pgmaint.adopt_backups(NULL);
CALL forget();
REVOKE EXECUTE ON FUNCTION pgmaint.list_backups(text), pgmaint.adopt_backups(text, name) FROM pgmaint_regress_keeper;
REVOKE USAGE ON SCHEMA pgmaint FROM pgmaint_regress_keeper;
DROP ROLE pgmaint_regress_keeper;
DROP VIEW checks;
DROP FUNCTION rates();
DROP FUNCTION reads(text);
DROP FUNCTION made(timestamptz, name, name, text, text, jsonb, text);
DROP FUNCTION left_by(jsonb);
DROP PROCEDURE forget();
