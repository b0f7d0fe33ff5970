-- Maintenance windows: the hours in which disruptive work is allowed.

CREATE TABLE pgmaint.maintenance_windows (
	name text PRIMARY KEY,
	days integer[] NOT NULL,
	starts time NOT NULL,
	duration interval NOT NULL,
	timezone text NOT NULL,
	added_by name NOT NULL,
	added_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint.maintenance_windows IS 'the hours in which disruptive work is allowed, as they were defined';
COMMENT ON COLUMN pgmaint.maintenance_windows.name IS 'name of the window';
COMMENT ON COLUMN pgmaint.maintenance_windows.days IS 'the days on which it opens, 0 (Sunday) to 6';
COMMENT ON COLUMN pgmaint.maintenance_windows.starts IS 'when it opens, by the clock on the wall of its time zone';
COMMENT ON COLUMN pgmaint.maintenance_windows.duration IS 'for how long it is open, in elapsed time: a change of the clock makes it neither longer nor shorter';
COMMENT ON COLUMN pgmaint.maintenance_windows.timezone IS 'name of the time zone that days and starts are in';
COMMENT ON COLUMN pgmaint.maintenance_windows.added_by IS 'the role that added it';
COMMENT ON COLUMN pgmaint.maintenance_windows.added_at IS 'when it was added';

-- windows belong to the database, and are dumped and restored with it
SELECT pg_catalog.pg_extension_config_dump('pgmaint.maintenance_windows', '');

CREATE FUNCTION pgmaint_internal.window_clock()
RETURNS timestamptz
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_window_clock';

COMMENT ON FUNCTION pgmaint_internal.window_clock() IS
	'the time that windows go by: the server''s, unless pgmaint.clock_offset shifts it';

CREATE FUNCTION pgmaint_internal.wall_clock_time(day date, at time, timezone text)
RETURNS timestamptz
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_wall_clock_time';

COMMENT ON FUNCTION pgmaint_internal.wall_clock_time(date, time, text) IS
	'when the clocks of a time zone show a time on a day: later by the change where clocks go forward over it, for the second time where they show it twice';

CREATE FUNCTION pgmaint_internal.end_of_period(since timestamptz, until timestamptz)
RETURNS timestamptz
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_end_of_period';

COMMENT ON FUNCTION pgmaint_internal.end_of_period(timestamptz, timestamptz) IS
	'the second time; an error if the period between the two is not finite, or is longer than ten years';

-- Openings that overlap the given time; by default, those of the next seven days.
CREATE FUNCTION pgmaint.window_hours(since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL)
RETURNS TABLE (name text, opens timestamptz, closes timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 7 COST 1000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH asked AS MATERIALIZED (
		SELECT a.since, pgmaint_internal.end_of_period(a.since, coalesce(window_hours.until, a.since + interval '168 hours')) AS until
		FROM (SELECT coalesce(window_hours.since, pgmaint_internal.window_clock()) AS since) a
	)
	SELECT w.name, o.opens, o.opens + w.duration
	FROM asked a
	-- a window is open for seven days at most, and zones are within a day of UTC
	CROSS JOIN LATERAL generate_series(
		date_trunc('day', a.since AT TIME ZONE 'UTC') - interval '9 days',
		date_trunc('day', a.until AT TIME ZONE 'UTC') + interval '1 day',
		interval '1 day') AS d (day)
	JOIN pgmaint.maintenance_windows w ON extract(dow FROM d.day) = ANY (w.days)
	CROSS JOIN LATERAL (SELECT pgmaint_internal.wall_clock_time(d.day::date, w.starts, w.timezone) AS opens) o
	WHERE o.opens < a.until AND o.opens + w.duration > a.since
	ORDER BY o.opens, w.name;
END;

COMMENT ON FUNCTION pgmaint.window_hours(timestamptz, timestamptz) IS
	'when which windows are open between two times; in the next seven days unless told otherwise';

-- Windows that overlap or adjoin are one, as far as work in them is concerned.
-- What goes on for two weeks never ends.
CREATE FUNCTION pgmaint_internal.open_until(at timestamptz)
RETURNS timestamptz
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN upper(r.hours) < open_until.at + interval '336 hours' THEN upper(r.hours) ELSE 'infinity' END
	FROM (
		SELECT range_agg(tstzrange(h.opens, h.closes)) AS hours
		FROM pgmaint.window_hours(open_until.at, open_until.at + interval '336 hours') h
	) a
	CROSS JOIN LATERAL unnest(a.hours) AS r (hours)
	WHERE r.hours @> open_until.at;
END;

COMMENT ON FUNCTION pgmaint_internal.open_until(timestamptz) IS
	'when the hours for disruptive work end in which a time falls; null where it falls into none';

CREATE VIEW pgmaint.windows AS
SELECT
	w.name,
	w.days,
	w.starts,
	w.duration,
	w.timezone,
	coalesce(pg_catalog.bool_or(h.opens <= c.now), false) AS open,
	pg_catalog.min(h.opens) FILTER (WHERE h.opens > c.now) AS opens_next,
	CASE WHEN pg_catalog.bool_or(h.opens <= c.now) THEN pgmaint_internal.open_until(c.now) END AS closes
FROM (SELECT pgmaint_internal.window_clock() AS now OFFSET 0) c
CROSS JOIN pgmaint.maintenance_windows w
LEFT JOIN pgmaint.window_hours(c.now, c.now + '336 hours'::pg_catalog.interval) h ON h.name = w.name
GROUP BY w.name, c.now
ORDER BY w.name;

COMMENT ON VIEW pgmaint.windows IS
	'the maintenance windows; closes is when the work in one that is open has to end, later than its own end where another overlaps or adjoins';
COMMENT ON COLUMN pgmaint.windows.name IS 'name of the window';
COMMENT ON COLUMN pgmaint.windows.days IS 'the days on which it opens, 0 (Sunday) to 6';
COMMENT ON COLUMN pgmaint.windows.starts IS 'when it opens, by the clock on the wall of its time zone';
COMMENT ON COLUMN pgmaint.windows.duration IS 'for how long it is open, in elapsed time';
COMMENT ON COLUMN pgmaint.windows.timezone IS 'name of the time zone that days and starts are in';
COMMENT ON COLUMN pgmaint.windows.open IS 'whether it is open now';
COMMENT ON COLUMN pgmaint.windows.opens_next IS 'when it opens next, after now';
COMMENT ON COLUMN pgmaint.windows.closes IS 'when work has to end that runs in it now, later than its own end where another window overlaps or adjoins; infinity: not within two weeks; null: it is not open';

CREATE FUNCTION pgmaint.add_window(
	name text,
	days integer[],
	starts time,
	duration interval,
	timezone text DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_add_window';

COMMENT ON FUNCTION pgmaint.add_window(text, integer[], time, interval, text) IS
	'allow disruptive work on these days (0 is Sunday) from a time on, for up to seven days; in the server''s time zone unless one is named';

CREATE FUNCTION pgmaint.drop_window(name text)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_window';

COMMENT ON FUNCTION pgmaint.drop_window(text) IS 'drop a maintenance window';

CREATE FUNCTION pgmaint.window_open(name text DEFAULT NULL, at timestamptz DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_window_open';

COMMENT ON FUNCTION pgmaint.window_open(text, timestamptz) IS
	'is a window open, or any if none is named, now or at the given time';

REVOKE ALL ON pgmaint.maintenance_windows, pgmaint.windows FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint_internal.window_clock(),
	pgmaint_internal.wall_clock_time(date, time, text),
	pgmaint_internal.end_of_period(timestamptz, timestamptz),
	pgmaint.window_hours(timestamptz, timestamptz),
	pgmaint_internal.open_until(timestamptz),
	pgmaint.add_window(text, integer[], time, interval, text),
	pgmaint.drop_window(text),
	pgmaint.window_open(text, timestamptz)
FROM PUBLIC;
GRANT SELECT ON pgmaint.maintenance_windows, pgmaint.windows TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.window_clock(),
	pgmaint_internal.wall_clock_time(date, time, text),
	pgmaint_internal.end_of_period(timestamptz, timestamptz),
	pgmaint.window_hours(timestamptz, timestamptz),
	pgmaint_internal.open_until(timestamptz),
	pgmaint.window_open(text, timestamptz)
TO pg_monitor;
