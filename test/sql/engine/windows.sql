-- Maintenance windows: what is refused, when they are open, and until when.

SET timezone = 'UTC';
SELECT count(*) FROM pgmaint.windows;
SELECT pgmaint.window_open(), pgmaint.window_open(at => '2026-03-29 02:00');
SELECT pgmaint.window_open('nightly');
SELECT pgmaint.drop_window('nightly');

-- what is refused
\set VERBOSITY default
SELECT pgmaint.add_window(NULL, '{0}', '02:00', '1 hour');
SELECT pgmaint.add_window('', '{0}', '02:00', '1 hour');
SELECT pgmaint.add_window('w', NULL, '02:00', '1 hour');
SELECT pgmaint.add_window('w', '{}', '02:00', '1 hour');
SELECT pgmaint.add_window('w', '{0,7}', '02:00', '1 hour');
SELECT pgmaint.add_window('w', '{-1}', '02:00', '1 hour');
SELECT pgmaint.add_window('w', '{1,NULL}', '02:00', '1 hour');
SELECT pgmaint.add_window('w', '{0}', NULL, '1 hour');
SELECT pgmaint.add_window('w', '{0}', '02:00', NULL);
SELECT pgmaint.add_window('w', '{0}', '02:00', '0');
SELECT pgmaint.add_window('w', '{0}', '02:00', '-1 hour');
SELECT pgmaint.add_window('w', '{0}', '02:00', '1 second');
SELECT pgmaint.add_window('w', '{0}', '02:00', '7 days 1 second');
SELECT pgmaint.add_window('w', '{0}', '02:00', '1 month');
SELECT pgmaint.add_window('w', '{0}', '02:00', '2000000000 days');
SELECT pgmaint.add_window('w', '{0}', '02:00', '1 hour', 'Mars/Olympus');
SELECT pgmaint.add_window('w', '{0}', '02:00', '1 hour', '');
BEGIN READ ONLY;
SELECT pgmaint.add_window('w', '{0}', '02:00', '1 hour');
ROLLBACK;

-- what is kept
SELECT pgmaint.add_window('w', '{6,0,6}', '22:00', '1 day 30 minutes', 'europe/berlin');
SELECT pgmaint.add_window('w', '{1}', '02:00', '1 hour');
SET timezone = 'America/New_York';
SELECT pgmaint.add_window('here', '{1}', '02:00', '1 hour');
SET timezone = 'UTC';
SELECT name, days, starts, duration, timezone FROM pgmaint.windows;
SELECT pgmaint.drop_window('nightly');
SELECT pgmaint.window_open('nightly');
SELECT pgmaint.drop_window('w'), pgmaint.drop_window('here');

-- a clock of our own; it moves on, so whole minutes are shown
CREATE FUNCTION at(moment timestamptz) RETURNS TABLE (name text, open boolean, opens_next timestamptz, closes timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('pgmaint.clock_offset', (ceil(extract(epoch FROM moment - clock_timestamp()))::integer)::text, false);
	RETURN QUERY SELECT w.name, w.open, w.opens_next, w.closes FROM pgmaint.windows w;
END
$$;

-- across midnight, and by the week
SELECT pgmaint.add_window('weekend', '{6}', '22:00', '4 hours', 'UTC');
SELECT * FROM at('2026-11-28 21:59:00+00');
SELECT * FROM at('2026-11-28 22:00:00+00');
SELECT * FROM at('2026-11-29 00:30:00+00');
SELECT * FROM at('2026-11-29 02:00:00+00');
SELECT pgmaint.window_open(), pgmaint.window_open('weekend');
SELECT * FROM at('2026-11-29 01:59:00+00');
SELECT pgmaint.window_open(), pgmaint.window_open('weekend');
-- to the second
SELECT t::time, pgmaint.window_open(at => t) FROM (VALUES
	('2026-11-28 21:59:59.999999+00'::timestamptz), ('2026-11-28 22:00:00+00'), ('2026-11-29 01:59:59.999999+00'), ('2026-11-29 02:00:00+00')) AS v (t);
SELECT pgmaint.drop_window('weekend');

-- the clocks go forward at 02:00 on 2026-03-29 in Berlin, and back at 03:00 on 2026-10-25
SET timezone = 'Europe/Berlin';
SELECT pgmaint.add_window('gap', '{0}', '02:30', '1 hour', 'Europe/Berlin');
SELECT pgmaint.add_window('over', '{0}', '01:00', '4 hours', 'Europe/Berlin');
SELECT pgmaint.add_window('late', '{6}', '23:00', '4 hours', 'Europe/Berlin');
SELECT name, opens, closes, closes - opens AS lasts FROM pgmaint.window_hours('2026-03-28 12:00', '2026-03-30');
SELECT name, opens, closes, closes - opens AS lasts FROM pgmaint.window_hours('2026-10-24 12:00', '2026-10-26');
SELECT name, opens FROM pgmaint.window_hours('2026-04-04 12:00', '2026-04-06');
SELECT pgmaint.drop_window(name) FROM pgmaint.windows;
-- far from here, the day of the week is theirs
SELECT pgmaint.add_window('auckland', '{1}', '06:00', '1 hour', 'Pacific/Auckland');
SELECT pgmaint.add_window('honolulu', '{0}', '20:00', '1 hour', 'Pacific/Honolulu');
SET timezone = 'UTC';
SELECT * FROM pgmaint.window_hours('2026-06-07', '2026-06-10');
SELECT pgmaint.drop_window(name) FROM pgmaint.windows;

-- windows that overlap, adjoin, and do neither
SELECT pgmaint.add_window('a', '{1}', '01:00', '2 hours', 'UTC');
SELECT pgmaint.add_window('b', '{1}', '02:00', '2 hours', 'UTC');
SELECT pgmaint.add_window('c', '{1}', '04:00', '1 hour', 'UTC');
SELECT pgmaint.add_window('d', '{1}', '05:01', '1 hour', 'UTC');
SELECT * FROM at('2026-11-30 01:30:00+00');
SELECT * FROM at('2026-11-30 04:30:00+00');
SELECT * FROM at('2026-11-30 05:00:20+00');
SELECT pgmaint_internal.open_until('2026-11-30 00:59:59+00'), pgmaint_internal.open_until('2026-11-30 01:00+00'), pgmaint_internal.open_until('2026-11-30 05:00+00');
SELECT pgmaint.drop_window(name) FROM pgmaint.windows;

-- one that overlaps itself, and one that never ends
SELECT pgmaint.add_window('long', '{1,2}', '12:00', '36 hours', 'UTC');
SELECT * FROM at('2026-11-30 13:00:00+00');
SELECT pgmaint.add_window('always', '{0,1,2,3,4,5,6}', '00:00', '24 hours', 'UTC');
SELECT * FROM at('2026-11-30 13:00:00+00');
SELECT pgmaint.drop_window(name) FROM pgmaint.windows;
SELECT pgmaint.add_window('week', '{4}', '08:00', '7 days', 'UTC');
SELECT * FROM at('2026-11-30 13:00:00+00');
SELECT pgmaint.drop_window('week');

-- who may: no role, unless granted; and no setting is a way round
CREATE ROLE pgmaint_regress_window;
GRANT USAGE ON SCHEMA pgmaint TO pgmaint_regress_window;
SET ROLE pgmaint_regress_window;
SELECT pgmaint.add_window('w', '{0}', '02:00', '1 hour');
SELECT pgmaint.drop_window('w');
SET pgmaint.clock_offset = 3600;
INSERT INTO pgmaint.maintenance_windows VALUES ('w', '{0}', '02:00', '1 hour', 'UTC', CURRENT_USER);
RESET ROLE;
GRANT EXECUTE ON FUNCTION pgmaint.add_window(text, integer[], time, interval, text) TO pgmaint_regress_window;
SET ROLE pgmaint_regress_window;
SELECT pgmaint.add_window('w', '{0}', '02:00', '1 hour', 'UTC');
RESET ROLE;
SELECT name, added_by FROM pgmaint.maintenance_windows;
SELECT pgmaint.drop_window('w');
DROP OWNED BY pgmaint_regress_window;
DROP ROLE pgmaint_regress_window;
DROP FUNCTION at(timestamptz);
RESET pgmaint.clock_offset;
RESET timezone;

-- periods that have no end, and days that no time has
SELECT count(*) FROM pgmaint.window_hours('-infinity', 'infinity');
SELECT count(*) FROM pgmaint.window_hours('2025-01-01', '2036-01-01');
SELECT count(*) FROM pgmaint.window_hours('2026-01-01', '2025-01-01');
SELECT pgmaint.window_open(at => 'infinity');
SELECT pgmaint_internal.wall_clock_time('infinity', '10:00', 'UTC');
SELECT pgmaint_internal.wall_clock_time('5874897-12-31', '10:00', 'UTC');
