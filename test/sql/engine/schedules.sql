--
-- Schedules: when they come round, and what is said where pg_cron is not
--
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';

-- the first three times of each after a Sunday evening
CREATE FUNCTION times(schedule text, after timestamptz DEFAULT '2026-11-22 21:17:30+00', timezone text DEFAULT 'GMT')
RETURNS text LANGUAGE sql AS $$
	WITH RECURSIVE t (nth, at) AS (
		SELECT 1, pgmaint.next_run(schedule, after, timezone)
		UNION ALL
		SELECT nth + 1, pgmaint.next_run(schedule, at, timezone) FROM t WHERE nth < 3
	)
	SELECT string_agg(coalesce(to_char(at AT TIME ZONE timezone, 'Dy YYYY-MM-DD HH24:MI:SS'), 'never'), ', ' ORDER BY nth) FROM t
$$;
\pset format unaligned
\pset tuples_only on

SELECT rpad(s, 22) || times(s) FROM unnest(ARRAY[
	-- every field, and the minute that has begun is over
	'* * * * *', '17 21 * * *', '18 21 * * *', '0 3 * * *', '0 3 * * 0', '30 2 1 * *', '0 0 1 1 *',
	-- lists, ranges and steps
	'*/20 * * * *', '5,35 9-17/4 * * *', '0 8-10,20 * * *', '3-59/28 23 * * *', '7-8,7 0 * * *',
	-- names, and the two numbers of Sunday
	'0 3 * * sun', '0 3 * * 7', '0 3 * * MON-fri', '0 0 1 Jan,jul *', '0 0 1 feb-apr/2 *', '0 12 * * 5-7',
	-- the end of months
	'0 0 31 * *', '0 0 $ * *', '0 0 29 2 *', '59 23 $ 2 *',
	-- one of two days is enough, unless a field begins with an asterisk
	'0 0 13 * 5', '0 0 1,15 * 1', '0 0 */10 * 1', '0 0 1 * */7', '0 0 $ * 3',
	-- names of whole schedules
	'@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly', '@reboot',
	-- intervals, and blanks
	'30 seconds', '1 second', '59 SECONDS', E'  0\t3  * *   0  '
]) WITH ORDINALITY AS u (s, nth) ORDER BY nth;

-- leap years: 2100 is none, 2000 was one
SELECT times('0 0 29 2 *', '2095-01-01 00:00+00');
SELECT times('0 0 29 2 *', '1995-01-01 00:00+00');
SELECT times('0 0 $ 2 *', '2099-01-01 00:00+00');
-- before 2000 time is negative
SELECT times('*/30 * * * *', '1999-12-31 23:29:59.999999+00');
SELECT times('*/30 * * * *', '1999-12-31 23:30:00+00');

-- what summer time skips does not come, what it repeats comes twice
SELECT times('30 2 * * *', '2026-03-28 00:00+00', 'Europe/Berlin');
SELECT times('0 * * * *', '2026-03-29 00:30+00', 'Europe/Berlin');
SELECT times('30 2 * * *', '2026-10-24 23:00+00', 'Europe/Berlin');
SELECT times('0 0 * * *', '2026-03-28 12:00+00', 'Europe/Berlin');
SELECT times('0 0 $ * *', '2026-02-01 12:00+00', 'America/New_York');
-- in Cairo, and in Lord Howe by half an hour
SELECT times('30 0 * * 5', '2026-04-20 12:00+00', 'Africa/Cairo');
SELECT times('15 2 * * *', '2026-10-02 12:00+00', 'Australia/Lord_Howe');
SELECT times('0 3 * * *', timezone => 'Mars/Olympus');

-- not a number of each, but a null
SELECT pgmaint.next_run(NULL) IS NULL, pgmaint.next_run('* * * * *', NULL) IS NULL, pgmaint.next_run('* * * * *', 'infinity') IS NULL;

-- it comes round when and only when all fields match: each hour of four years
-- against dates of the server's own making
CREATE FUNCTION differences(schedule text, condition text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	wrong bigint;
BEGIN
	EXECUTE format($q$
		WITH RECURSIVE ours (at) AS (
			SELECT pgmaint.next_run(%1$L, '2026-12-31 23:59+00', 'GMT')
			UNION ALL
			SELECT pgmaint.next_run(%1$L, at, 'GMT') FROM ours WHERE at < '2031-01-01'
		)
		SELECT count(*) FROM (SELECT at FROM ours WHERE at < '2031-01-01') o FULL JOIN (
			SELECT at FROM generate_series('2027-01-01 00:00+00'::timestamptz, '2030-12-31 23:59+00', '1 hour') at,
				LATERAL (SELECT extract(day FROM at) AS day, extract(isodow FROM at) AS weekday, extract(month FROM at) AS month,
					extract(hour FROM at) AS hour, extract(day FROM at + '1 day') = 1 AS last) f
			WHERE %2$s) t USING (at)
		WHERE o.at IS NULL OR t.at IS NULL$q$, schedule, condition) INTO wrong;
	RETURN wrong;
END
$$;
SELECT differences('0 * * * *', 'true'),
	differences('0 3 13 * 5', 'hour = 3 AND (day = 13 OR weekday = 5)'),
	differences('0 */6 * * 1,3', 'hour % 6 = 0 AND weekday IN (1, 3)'),
	differences('0 5 1-7 */3 *', 'hour = 5 AND day <= 7 AND month % 3 = 1'),
	differences('0 23 $ * *', 'hour = 23 AND last'),
	differences('0 0 */2 * 6', 'hour = 0 AND day % 2 = 1 AND weekday = 6'),
	differences('0 0 31 * *', 'hour = 0 AND day = 31');
DROP FUNCTION times(text, timestamptz, text);
DROP FUNCTION differences(text, text);

-- what is none
DO $$
DECLARE
	bad text;
BEGIN
	FOREACH bad IN ARRAY ARRAY['', ' ', 'daily', '@fortnightly', '* * * *', '* * * * * *', '60 * * * *', '* 24 * * *', '* * 0 * *',
		'* * 32 * *', '* * * 13 *', '* * * 0 *', '* * * * 8', '5-3 * * * *', '*/0 * * * *', '*/60 * * * *', '1/5 * * * *', '1, * * * *',
		',1 * * * *', '1- * * * *', '-1 * * * *', '* * * * monday', '* * * june *', '* * * mon *', 'a * * * *', '1.5 * * * *',
		'99999999999 * * * *', '* $ * * *', '* * $,1 * *', '* * * * $', '0 seconds', '60 seconds', '5 secondly', '5 minutes', '* * * * * # daily',
		E'* * * * *\n', '0 0 30 2 *', '0 0 31 4,6,9,11 *', '@Daily']
	LOOP
		BEGIN
			PERFORM pgmaint.next_run(bad);
			RAISE INFO 'taken: %', bad;
		EXCEPTION WHEN invalid_parameter_value THEN
			RAISE INFO '%', SQLERRM;
		END;
	END LOOP;
END
$$;
\pset format aligned
\pset tuples_only off
SELECT pgmaint.next_run('0 3 * *');
SELECT pgmaint.next_run('0 0 30 2 *');

-- the set is that of the built-in plans, and tick
SELECT d.plan FROM pgmaint_internal.default_schedules() d
EXCEPT SELECT b.plan FROM pgmaint_internal.built_in_plans() b;
SELECT b.plan FROM pgmaint_internal.built_in_plans() b
EXCEPT SELECT d.plan FROM pgmaint_internal.default_schedules() d;

-- without pg_cron
SELECT pgmaint.schedule('weekly');
SELECT pgmaint.schedule('weekly', '0 3 * * 0', '{"scope": "all"}');
SELECT pgmaint.schedule(NULL);
SELECT pgmaint.unschedule('weekly');
SELECT * FROM pgmaint.schedule_all();
SELECT pgmaint_internal.cron_command('weekly', NULL);
SELECT * FROM pgmaint.schedules;
SELECT pgmaint.tick();

-- nothing is for everybody
CREATE ROLE pgmaint_regress_nobody LOGIN;
GRANT USAGE ON SCHEMA pgmaint TO pgmaint_regress_nobody;
SET ROLE pgmaint_regress_nobody;
SELECT pgmaint.schedule('weekly');
SELECT pgmaint.unschedule('weekly');
SELECT * FROM pgmaint.schedule_all();
SELECT * FROM pgmaint.schedules;
SELECT pgmaint_internal.cron_jobs();
SELECT pgmaint.next_run('0 3 * * 0');
RESET ROLE;
REVOKE USAGE ON SCHEMA pgmaint FROM pgmaint_regress_nobody;
DROP ROLE pgmaint_regress_nobody;
