-- Maintenance windows: the hours in which disruptive tasks may run.

CREATE TABLE pgmaint.maintenance_windows (
	name text PRIMARY KEY,
	days integer[] NOT NULL,
	starts time NOT NULL,
	duration interval NOT NULL,
	timezone text NOT NULL,
	added_by name NOT NULL,
	added_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint.maintenance_windows IS 'maintenance windows, in which disruptive tasks may run, as defined by add_window()';
COMMENT ON COLUMN pgmaint.maintenance_windows.name IS 'name of the window';
COMMENT ON COLUMN pgmaint.maintenance_windows.days IS 'days of the week on which the window opens, 0 (Sunday) to 6';
COMMENT ON COLUMN pgmaint.maintenance_windows.starts IS 'local time in timezone at which the window opens';
COMMENT ON COLUMN pgmaint.maintenance_windows.duration IS 'how long the window stays open, in elapsed time, which daylight saving time does not change';
COMMENT ON COLUMN pgmaint.maintenance_windows.timezone IS 'name of the time zone of days and starts';
COMMENT ON COLUMN pgmaint.maintenance_windows.added_by IS 'role that added the window';
COMMENT ON COLUMN pgmaint.maintenance_windows.added_at IS 'when the window was added';

-- windows belong to the database, and are dumped and restored with it
SELECT pg_catalog.pg_extension_config_dump('pgmaint.maintenance_windows', '');

CREATE FUNCTION pgmaint_internal.window_clock()
RETURNS timestamptz
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_window_clock';

COMMENT ON FUNCTION pgmaint_internal.window_clock() IS 'current time for maintenance windows: the time of the server, shifted by pgmaint.clock_offset';

CREATE FUNCTION pgmaint_internal.wall_clock_time(day date, at time, timezone text)
RETURNS timestamptz
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_wall_clock_time';

COMMENT ON FUNCTION pgmaint_internal.wall_clock_time(date, time, text) IS
	'time at which the clocks of a time zone show a local time on a day: later by the shift if clocks skip the local time, the second occurrence if clocks show it twice';

CREATE FUNCTION pgmaint_internal.end_of_period(since timestamptz, until timestamptz)
RETURNS timestamptz
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_end_of_period';

COMMENT ON FUNCTION pgmaint_internal.end_of_period(timestamptz, timestamptz) IS 'end of a period; raises an error if the period is infinite or longer than 10 years';

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
	'Lists when maintenance windows are open between since (null: now) and until (null: 168 hours after since). '
	'Returns a row for each opening that overlaps the period: name of the window, opens and closes. '
	'Error: a period that is infinite or longer than 10 years.';

-- Windows that overlap or adjoin count as one.  An opening of two weeks or more
-- counts as infinite.
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

COMMENT ON FUNCTION pgmaint_internal.open_until(timestamptz) IS 'end of the maintenance windows that are open at a time, where windows that overlap or adjoin count as one; null: no window is open then';

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

COMMENT ON VIEW pgmaint.windows IS 'maintenance windows: a row for each with its definition, whether it is open, and when it opens and closes';
COMMENT ON COLUMN pgmaint.windows.name IS 'name of the window';
COMMENT ON COLUMN pgmaint.windows.days IS 'days of the week on which the window opens, 0 (Sunday) to 6';
COMMENT ON COLUMN pgmaint.windows.starts IS 'local time in timezone at which the window opens';
COMMENT ON COLUMN pgmaint.windows.duration IS 'how long the window stays open, in elapsed time, which daylight saving time does not change';
COMMENT ON COLUMN pgmaint.windows.timezone IS 'name of the time zone of days and starts';
COMMENT ON COLUMN pgmaint.windows.open IS 'whether the window is open now';
COMMENT ON COLUMN pgmaint.windows.opens_next IS 'next time after now at which the window opens; null: not within two weeks';
COMMENT ON COLUMN pgmaint.windows.closes IS 'when disruptive tasks that run in the window now must end, which is later than the end of the window if another window overlaps or adjoins; infinity: not within two weeks; null: the window is not open';

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
	'Adds a maintenance window, in which disruptive tasks may run. days are days of the week from 0 (Sunday) to 6, starts is the local time at which the window opens, duration is from 1 minute to 7 days, '
	'timezone is a name in pg_timezone_names (null: the time zone of the session). '
	'Windows are dumped and restored with the database. '
	'Errors: an argument that is null or out of range, unknown time zone, a window with the same name, standby, read-only transaction.';

CREATE FUNCTION pgmaint.drop_window(name text)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_window';

COMMENT ON FUNCTION pgmaint.drop_window(text) IS
	'Drops a maintenance window. No disruptive task begins in the window from then on. '
	'Errors: unknown window, standby, read-only transaction.';

CREATE FUNCTION pgmaint.window_open(name text DEFAULT NULL, at timestamptz DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_window_open';

COMMENT ON FUNCTION pgmaint.window_open(text, timestamptz) IS 'Returns whether a maintenance window is open at a time. name is the window (null: any window), at is the time (null: now). Error: unknown window.';

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
