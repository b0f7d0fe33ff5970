-- complain if the script is sourced in psql rather than through ALTER EXTENSION
\echo Use "ALTER EXTENSION pgmaint UPDATE" to load this file. \quit

ALTER TABLE pgmaint.tasks
	ADD COLUMN disruptive boolean,
	ADD COLUMN predicted interval,
	ADD COLUMN predicted_from text;
UPDATE pgmaint.tasks SET disruptive = false;
ALTER TABLE pgmaint.tasks
	ALTER COLUMN disruptive SET DEFAULT false,
	ALTER COLUMN disruptive SET NOT NULL;

-- tasks are not looked for by their state any more
DROP INDEX pgmaint.tasks_pending, pgmaint.tasks_running;
CREATE INDEX tasks_action ON pgmaint.tasks (action, disruptive, finished_at) WHERE error IS NULL AND bytes_before IS NOT NULL;

COMMENT ON COLUMN pgmaint.tasks.disruptive IS 'whether the task may run only while a maintenance window is open';
COMMENT ON COLUMN pgmaint.tasks.predicted IS 'how long the task was expected to take when it was planned';
COMMENT ON COLUMN pgmaint.tasks.predicted_from IS 'what that expectation rests on';

-- they have more columns now
DROP FUNCTION pgmaint.dry_run(text, jsonb);
DROP FUNCTION pgmaint.vacuum_candidates(bigint, double precision, double precision, double precision, boolean, oid);

ALTER TABLE pgmaint.runs
	ADD COLUMN resumes bigint UNIQUE,
	ADD COLUMN identity text;
CREATE INDEX runs_begun ON pgmaint.runs (role, started_at);
COMMENT ON COLUMN pgmaint.runs.error IS 'why the run did not succeed; while it goes on, what it could not do so far';
COMMENT ON COLUMN pgmaint.runs.state IS 'queued (also one that was begun and waits for a worker slot), running, succeeded, failed (a task failed or was stopped), cancelled, interrupted (the server or the leader went away)';
COMMENT ON COLUMN pgmaint.runs.resumes IS 'the interrupted run of which this one does the rest';

-- so that they can be published: a table without a key refuses UPDATE and DELETE
ALTER TABLE pgmaint.cancellations
	ADD COLUMN cancellation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
ALTER TABLE pgmaint.bloat_measurements
	ADD COLUMN measurement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
COMMENT ON COLUMN pgmaint.bloat_measurements.margin IS '95 % margin of bloat_ratio; 0 where it is exact';
COMMENT ON FUNCTION pgmaint.index_bloat IS
	'what a rebuild of an index would give back, from a sample of its blocks, with its 95 % margin; a table''s indexes if a table is named, all B-trees if nothing is; null for other methods than B-trees';
ALTER FUNCTION pgmaint.table_bloat ROWS 200 COST 1000000;
ALTER FUNCTION pgmaint.index_bloat ROWS 500 COST 1000000;
ALTER FUNCTION pgmaint.actions ROWS 130 COST 1000;
-- free space in these was taken for bloat
DELETE FROM pgmaint.bloat_measurements WHERE kind = 'index' AND method <> 'btree';

ALTER TABLE pgmaint.findings
	ADD COLUMN step integer,
	ADD COLUMN task_id bigint,
	ADD COLUMN escalation_id bigint,
	ADD COLUMN identity text;
-- nobody is to be told of what is long over
UPDATE pgmaint.findings SET escalation_id = 0;
CREATE INDEX findings_unescalated ON pgmaint.findings (finding_id) WHERE escalation_id IS NULL AND severity <> 'info';

COMMENT ON COLUMN pgmaint.findings.step IS 'the step of the run that noticed it';
COMMENT ON COLUMN pgmaint.findings.task_id IS 'the task that noticed it; null: it was noticed when the step was planned, or by no step';
COMMENT ON COLUMN pgmaint.findings.escalation_id IS 'the trouble in pgmaint.escalations that it is about; null: not yet, or it is of severity info; 0: none, since it is older than those';
-- Which database this is: a copy, a restored dump and a subscriber are told from
-- the original, and remove nothing that may be another's.

CREATE TABLE pgmaint.identities (
	identity text PRIMARY KEY CHECK (identity ~ '^[0-9a-f]{32}$'),
	state text NOT NULL CHECK (state IN ('current', 'former', 'taken over', 'forgotten')),
	system_identifier text,
	database oid,
	timeline integer,
	directory_inode bigint,
	machine_id text,
	host text,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	doubt text,
	doubt_since timestamptz,
	until_told boolean NOT NULL DEFAULT false,
	former_seen_at timestamptz,
	taken_over_at timestamptz,
	CHECK ((doubt IS NULL) = (doubt_since IS NULL))
);

-- rows that logical replication brings are of another database
CREATE UNIQUE INDEX identities_current ON pgmaint.identities (system_identifier, database) WHERE state = 'current';

COMMENT ON TABLE pgmaint.identities IS
	'which database this is, by a random name that is never dumped, and what was true when it was used last: where that has changed, this database may be a copy';
COMMENT ON COLUMN pgmaint.identities.state IS
	'current; former (what this database was before it began to doubt, or what its original is); taken over (by take_over()); forgotten (by stay_copy())';
COMMENT ON COLUMN pgmaint.identities.directory_inode IS 'of the data directory';
COMMENT ON COLUMN pgmaint.identities.machine_id IS 'of the operating system; a change of it alone decides nothing';
COMMENT ON COLUMN pgmaint.identities.host IS 'name of the machine; a change of it alone decides nothing';
COMMENT ON COLUMN pgmaint.identities.doubt IS 'why this database may be a copy; null: it is not in doubt';
COMMENT ON COLUMN pgmaint.identities.until_told IS 'whether nothing but take_over() or stay_copy() ends the doubt';
COMMENT ON COLUMN pgmaint.identities.former_seen_at IS 'when another database was last seen to write as the former identity';
COMMENT ON COLUMN pgmaint.identities.taken_over_at IS 'when take_over() said that this database is its successor';

-- What this database wrote to a storage to tell others that it is alive.
CREATE TABLE pgmaint.owner_records (
	storage name NOT NULL,
	identity text NOT NULL,
	nonce text NOT NULL,
	run_id bigint,
	noted_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	written_at timestamptz,
	verdict text CHECK (verdict IN ('clear', 'gap', 'contested', 'unread')),
	PRIMARY KEY (storage, identity, nonce),
	UNIQUE (run_id, storage, identity)
);

COMMENT ON TABLE pgmaint.owner_records IS
	'the owner records on storages that this database knows: those that its runs wrote, and those that it found when it took an identity over';
COMMENT ON COLUMN pgmaint.owner_records.run_id IS 'the run that wrote it; null: another database did';
COMMENT ON COLUMN pgmaint.owner_records.verdict IS
	'what the run found beside it: clear (nothing unknown), gap (the record of the run before it is gone, so that nothing is removed), contested (records of another database), unread (the role may not write or list records there, so that nothing is removed)';

CREATE VIEW pgmaint.own_identities AS
SELECT i.*
FROM pgmaint.identities i
WHERE i.state IN ('current', 'taken over')
	AND i.system_identifier = (SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() c)
	AND i.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());

COMMENT ON VIEW pgmaint.own_identities IS 'the identities that this database has: its own, and those that it has taken over';

CREATE FUNCTION pgmaint.current_identity()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT i.identity FROM pgmaint.own_identities i WHERE i.state = 'current';
END;

COMMENT ON FUNCTION pgmaint.current_identity() IS 'the identity of this database; null before pgmaint is used for the first time';

CREATE FUNCTION pgmaint.takeover_delay()
RETURNS interval
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_get_takeover_delay';

COMMENT ON FUNCTION pgmaint.takeover_delay() IS 'the setting pgmaint.takeover_delay';

-- What a database in doubt wrote itself it may remove when its former self has
-- not been seen for long enough; the rest waits for a person.
CREATE VIEW pgmaint.removable_identities AS
SELECT o.identity
FROM pgmaint.own_identities o
JOIN pgmaint.own_identities c ON c.state = 'current'
WHERE c.doubt IS NULL
	OR (o.state = 'current' AND NOT c.until_told
		AND greatest(c.doubt_since, c.former_seen_at) + pgmaint.takeover_delay() < pg_catalog.clock_timestamp());

COMMENT ON VIEW pgmaint.removable_identities IS 'the identities whose objects this database may remove from storages';

CREATE FUNCTION pgmaint.doubt_message(doubt text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
RETURN format('this database may be a copy: %s; until that is settled it removes nothing from storages that it may share, resumes no interrupted run, '
	'and tells contacts nothing; if it is the successor: SELECT pgmaint.take_over(); if it is a copy, and stays one: SELECT pgmaint.stay_copy()', doubt);

COMMENT ON FUNCTION pgmaint.doubt_message(text) IS 'what is told of a database that may be a copy';

CREATE FUNCTION pgmaint.take_over(identity text DEFAULT NULL)
RETURNS integer
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_take_over';

COMMENT ON FUNCTION pgmaint.take_over(text) IS
	'this database is the successor of what it was before it was moved, promoted or restored, or of the identity that is named: backups and archives are one series from now on; returns how many identities were taken over';

CREATE FUNCTION pgmaint.stay_copy()
RETURNS text
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_stay_copy';

COMMENT ON FUNCTION pgmaint.stay_copy() IS
	'this database is a copy, and stays one: it gets an identity of its own, forgets the backups of its original, and drops its contacts; returns the identity';

ALTER TABLE pgmaint.runs ALTER COLUMN identity SET DEFAULT pgmaint.current_identity();
ALTER TABLE pgmaint.findings ALTER COLUMN identity SET DEFAULT pgmaint.current_identity();

COMMENT ON COLUMN pgmaint.runs.identity IS 'of the database in which the run was queued, which tells a copy of it';
COMMENT ON COLUMN pgmaint.findings.identity IS 'of the database that noticed it';

REVOKE ALL ON pgmaint.identities, pgmaint.owner_records, pgmaint.own_identities, pgmaint.removable_identities FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.current_identity(),
	pgmaint.takeover_delay(),
	pgmaint.doubt_message(text),
	pgmaint.take_over(text),
	pgmaint.stay_copy()
FROM PUBLIC;
GRANT SELECT ON pgmaint.identities, pgmaint.owner_records, pgmaint.own_identities, pgmaint.removable_identities TO pg_monitor;
GRANT EXECUTE ON FUNCTION pgmaint.current_identity(), pgmaint.takeover_delay(), pgmaint.doubt_message(text) TO pg_monitor;
-- Words for people.  Names may hold line breaks and other control characters:
-- whatever a person reads has them taken out here.

CREATE FUNCTION pgmaint.one_line(text)
RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_one_line';

COMMENT ON FUNCTION pgmaint.one_line(text) IS 'a text with each run of control characters as one space';

CREATE FUNCTION pgmaint.count_text(bigint)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT btrim(to_char($1, '999,999,999,999,999,990'));
END;

COMMENT ON FUNCTION pgmaint.count_text(bigint) IS 'a number with its thousands set apart';

REVOKE ALL ON FUNCTION pgmaint.one_line(text), pgmaint.count_text(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.one_line(text), pgmaint.count_text(bigint) TO pg_monitor;
-- The plans that come with pgmaint.

CREATE OR REPLACE FUNCTION pgmaint.built_in_plans()
RETURNS TABLE (plan text, steps jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 5
BEGIN ATOMIC
	VALUES
		('daily'::text, '["backup", "expire_backups", "validate", "escalate"]'::jsonb),
		('weekly', '["bloat_report", "retention", "vacuum", "vacuum_full", "analyze", "validate", "escalate"]'),
		('monthly', '["retention", "reindex", "check_corruption", "verify_backup", "vacuum", "analyze", "validate", "escalate"]'),
		('quarterly', '["review_queries", "index_advice", "index_usage", "connection_review", "validate", "escalate"]');
END;

COMMENT ON FUNCTION pgmaint.built_in_plans() IS 'the plans that come with pgmaint';

REVOKE ALL ON FUNCTION pgmaint.built_in_plans() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.built_in_plans() TO pg_monitor;
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
COMMENT ON COLUMN pgmaint.maintenance_windows.days IS 'the days on which it opens, 0 being Sunday';
COMMENT ON COLUMN pgmaint.maintenance_windows.starts IS 'when it opens, by the clock on the wall of its time zone';
COMMENT ON COLUMN pgmaint.maintenance_windows.duration IS 'for how long it is open, in elapsed time: a change of the clock makes it neither longer nor shorter';

-- windows belong to the database, and are dumped and restored with it
SELECT pg_catalog.pg_extension_config_dump('pgmaint.maintenance_windows', '');

CREATE FUNCTION pgmaint.window_clock()
RETURNS timestamptz
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_window_clock';

COMMENT ON FUNCTION pgmaint.window_clock() IS
	'the time that windows go by: the server''s, unless pgmaint.clock_offset shifts it';

CREATE FUNCTION pgmaint.wall_clock_time(day date, at time, timezone text)
RETURNS timestamptz
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_wall_clock_time';

COMMENT ON FUNCTION pgmaint.wall_clock_time(date, time, text) IS
	'when the clocks of a time zone show a time on a day: later by the change where clocks go forward over it, for the second time where they show it twice';

CREATE FUNCTION pgmaint.end_of_period(since timestamptz, until timestamptz)
RETURNS timestamptz
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_end_of_period';

COMMENT ON FUNCTION pgmaint.end_of_period(timestamptz, timestamptz) IS
	'the second time; an error if the period between the two is not finite, or is longer than ten years';

-- Openings that overlap the given time; by default, those of the next seven days.
CREATE FUNCTION pgmaint.window_hours(since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL)
RETURNS TABLE (name text, opens timestamptz, closes timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 7 COST 1000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH asked AS MATERIALIZED (
		SELECT a.since, pgmaint.end_of_period(a.since, coalesce(window_hours.until, a.since + interval '168 hours')) AS until
		FROM (SELECT coalesce(window_hours.since, pgmaint.window_clock()) AS since) a
	)
	SELECT w.name, o.opens, o.opens + w.duration
	FROM asked a
	-- a window is open for seven days at most, and zones are within a day of UTC
	CROSS JOIN LATERAL generate_series(
		date_trunc('day', a.since AT TIME ZONE 'UTC') - interval '9 days',
		date_trunc('day', a.until AT TIME ZONE 'UTC') + interval '1 day',
		interval '1 day') AS d (day)
	JOIN pgmaint.maintenance_windows w ON extract(dow FROM d.day) = ANY (w.days)
	CROSS JOIN LATERAL (SELECT pgmaint.wall_clock_time(d.day::date, w.starts, w.timezone) AS opens) o
	WHERE o.opens < a.until AND o.opens + w.duration > a.since
	ORDER BY o.opens, w.name;
END;

COMMENT ON FUNCTION pgmaint.window_hours(timestamptz, timestamptz) IS
	'when which windows are open between two times; in the next seven days unless told otherwise';

-- Windows that overlap or adjoin are one, as far as work in them is concerned.
-- What goes on for two weeks never ends.
CREATE FUNCTION pgmaint.open_until(at timestamptz)
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

COMMENT ON FUNCTION pgmaint.open_until(timestamptz) IS
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
	CASE WHEN pg_catalog.bool_or(h.opens <= c.now) THEN pgmaint.open_until(c.now) END AS closes
FROM (SELECT pgmaint.window_clock() AS now OFFSET 0) c
CROSS JOIN pgmaint.maintenance_windows w
LEFT JOIN pgmaint.window_hours(c.now, c.now + '336 hours'::pg_catalog.interval) h ON h.name = w.name
GROUP BY w.name, c.now
ORDER BY w.name;

COMMENT ON VIEW pgmaint.windows IS
	'the maintenance windows; closes is when the work in one that is open has to end, later than its own end where another overlaps or adjoins';

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
	pgmaint.window_clock(),
	pgmaint.wall_clock_time(date, time, text),
	pgmaint.end_of_period(timestamptz, timestamptz),
	pgmaint.window_hours(timestamptz, timestamptz),
	pgmaint.open_until(timestamptz),
	pgmaint.add_window(text, integer[], time, interval, text),
	pgmaint.drop_window(text),
	pgmaint.window_open(text, timestamptz)
FROM PUBLIC;
GRANT SELECT ON pgmaint.maintenance_windows, pgmaint.windows TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	pgmaint.window_clock(),
	pgmaint.wall_clock_time(date, time, text),
	pgmaint.end_of_period(timestamptz, timestamptz),
	pgmaint.window_hours(timestamptz, timestamptz),
	pgmaint.open_until(timestamptz),
	pgmaint.window_open(text, timestamptz)
TO pg_monitor;
-- The engine: asking for runs, and seeing what they do.

CREATE OR REPLACE FUNCTION pgmaint.run(plan text, options jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_run';

COMMENT ON FUNCTION pgmaint.run(text, jsonb) IS
	'queue a plan and return the run''s id at once; it begins when the transaction commits';

CREATE OR REPLACE FUNCTION pgmaint.run_action(action text, options jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_run_action';

COMMENT ON FUNCTION pgmaint.run_action(text, jsonb) IS
	'queue one action by itself, as a run';

CREATE OR REPLACE PROCEDURE pgmaint.run_and_wait(plan text, options jsonb DEFAULT NULL, INOUT run_id bigint DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'pgmaint_run_and_wait';

COMMENT ON PROCEDURE pgmaint.run_and_wait(text, jsonb, bigint) IS
	'queue a plan and wait for its end: a NOTICE for each finished task (where a step has more than 100, for each tenth of those that were quick), an ERROR if the run did not succeed; a cancel cancels the run';

CREATE OR REPLACE FUNCTION pgmaint.dry_run(plan text, options jsonb DEFAULT NULL)
RETURNS TABLE (
	step integer,
	action text,
	target text,
	command text,
	reason text,
	estimate_bytes bigint,
	estimate_duration interval,
	estimate_basis text,
	disruptive boolean,
	held_back text
)
LANGUAGE c VOLATILE ROWS 100 COST 1000000
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
SET standard_conforming_strings = on
SET transform_null_equals = off
SET quote_all_identifiers = off
AS 'MODULE_PATHNAME', 'pgmaint_dry_run';

COMMENT ON FUNCTION pgmaint.dry_run(text, jsonb) IS
	'the tasks that a run would do now; nothing is done.  estimate_basis says where estimate_duration comes from, held_back why a disruptive task would be skipped';

CREATE OR REPLACE FUNCTION pgmaint.cancel(run_id bigint)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_cancel';

COMMENT ON FUNCTION pgmaint.cancel(bigint) IS
	'ask a run to end, interrupting the commands it is executing; false if it had ended already';

CREATE OR REPLACE FUNCTION pgmaint.tick()
RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_tick';

COMMENT ON FUNCTION pgmaint.tick() IS
	'take on runs that were left queued, do the rest of those that a crash interrupted, note which schedules were missed, and tell contacts what they are to know; true if there was anything to run';

CREATE OR REPLACE VIEW pgmaint.progress AS
SELECT
	r.run_id,
	r.plan,
	t.step,
	t.action,
	t.target,
	coalesce(v.phase, a.phase, i.phase, u.phase, CASE WHEN s.wait_event_type = 'Lock' THEN 'waiting for a lock' WHEN k.pid IS NOT NULL THEN 'copying rows'
		WHEN t.action = 'check_corruption' THEN 'checking'
		WHEN t.action IN ('verify_backup', 'restore_backup') THEN coalesce(pg_catalog.substring(s.query,
			'^(making a private server|restoring: indexes and constraints|restoring|comparing with the manifest|checking indexes|asking verifications)'), 'working')
		ELSE 'working' END) AS phase,
	coalesce(
		pg_catalog.round(CASE
			WHEN v.phase = 'vacuuming heap' THEN 100.0 * v.heap_blks_vacuumed / nullif(v.heap_blks_total, 0)
			-- 17 and later count the indexes, too
			WHEN v.phase IN ('vacuuming indexes', 'cleaning up indexes')
				THEN 100.0 * (x.progress ->> 'indexes_processed')::pg_catalog.int8 / nullif((x.progress ->> 'indexes_total')::pg_catalog.int8, 0)
			ELSE 100.0 * v.heap_blks_scanned / nullif(v.heap_blks_total, 0)
		END, 1),
		pg_catalog.round(100.0 * a.sample_blks_scanned / nullif(a.sample_blks_total, 0), 1),
		pg_catalog.round(CASE
			WHEN i.phase LIKE 'waiting %' THEN 100.0 * i.lockers_done / nullif(i.lockers_total, 0)
			WHEN i.tuples_total > 0 THEN 100.0 * i.tuples_done / i.tuples_total
			ELSE 100.0 * i.blocks_done / nullif(i.blocks_total, 0)
		END, 1),
		-- its indexes come after the heap, and are not counted beforehand
		CASE WHEN u.phase = 'seq scanning heap' THEN
			pg_catalog.round(100.0 * u.heap_blks_scanned / nullif(u.heap_blks_total, 0), 1)
			WHEN u.phase = 'rebuilding index' THEN
			pg_catalog.round(100.0 * least(u.index_rebuild_count, e.indexes) / nullif(e.indexes, 0), 1) END,
		-- of the rows that the planner expects
		CASE WHEN k.pid IS NOT NULL THEN
			pg_catalog.round(100.0 * least(k.tuples_processed, e.rows) / nullif(e.rows, 0), 1) END,
		-- of the blocks of a table; of an index, by its predicted duration
		CASE WHEN t.action = 'check_corruption' THEN coalesce(
			(SELECT pg_catalog.round(100.0 * m.blocks[1]::pg_catalog.int8 / nullif(m.blocks[2]::pg_catalog.int8, 0), 1)
			FROM pg_catalog.regexp_match(s.query, E'^check_corruption: block (\\d+) of (\\d+) ') AS m (blocks)),
			pg_catalog.round(least(99, 100 * pg_catalog.extract('epoch', pg_catalog.clock_timestamp() - t.started_at)
				/ nullif(pg_catalog.extract('epoch', t.predicted), 0))::numeric, 1)) END,
		-- of the bytes that the last dump had
		CASE WHEN t.action = 'backup' THEN
			(SELECT pg_catalog.round(100.0 * m.bytes[1]::pg_catalog.int8 / nullif(m.bytes[2]::pg_catalog.int8, 0), 1)
			FROM pg_catalog.regexp_match(s.query, E'^backup: (\\d+) of about (\\d+) bytes of ') AS m (bytes)) END,
		-- of the bytes of a backup
		CASE WHEN t.action IN ('verify_backup', 'restore_backup') THEN
			pg_catalog.substring(s.query, E'^restoring: (\\d+\\.\\d) % ')::numeric END,
		0) AS percent_done,
	pg_catalog.date_trunc('milliseconds', pg_catalog.clock_timestamp() - t.started_at) AS elapsed,
	c.finished AS tasks_finished,
	c.planned AS tasks_planned,
	pg_catalog.format('%s of %s', r.current_step, pg_catalog.jsonb_array_length(r.steps)) AS step_of,
	t.attempt,
	t.pid,
	t.command,
	-- 18 and later, with track_cost_delay_timing
	pg_catalog.make_interval(secs => nullif((x.progress ->> 'delay_time')::pg_catalog.float8, 0) / 1000) AS slept,
	-- 19
	x.progress ->> 'mode' AS mode,
	CASE WHEN u.phase = 'catch-up' THEN w.param5 - w.param4 + w.param6 + w.param7 END AS changes_applied
FROM pgmaint.runs r
JOIN pgmaint.tasks t ON t.run_id = r.run_id AND t.state = 'running'
-- the row of a worker that is gone stays until the next leader sees to it
JOIN pg_catalog.pg_stat_activity s ON s.pid = t.pid AND s.backend_type = 'pgmaint task worker'
LEFT JOIN pg_catalog.pg_stat_progress_vacuum v ON v.pid = t.pid
LEFT JOIN pg_catalog.pg_stat_progress_analyze a ON a.pid = t.pid
LEFT JOIN pg_catalog.pg_stat_progress_create_index i ON i.pid = t.pid
LEFT JOIN pg_catalog.pg_stat_progress_cluster u ON u.pid = t.pid
-- what is pg_stat_progress_repack from 19 on, where the view above has less of it:
-- rows scanned, inserted, updated and deleted are its parameters 4 to 7
LEFT JOIN pg_catalog.pg_stat_get_progress_info(CASE
	WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 190000 THEN 'REPACK' ELSE 'CLUSTER' END) w ON w.pid = t.pid
LEFT JOIN pg_catalog.pg_stat_progress_copy k ON k.pid = t.pid
CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.to_jsonb(v), pg_catalog.to_jsonb(a)) AS progress) x
CROSS JOIN LATERAL (SELECT (t.evidence ->> 'rows')::pg_catalog.int8 AS rows, (
	SELECT pg_catalog.count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = t.relation) AS indexes) e
CROSS JOIN LATERAL (
	SELECT
		pg_catalog.count(*) AS planned,
		pg_catalog.count(*) FILTER (WHERE o.state NOT IN ('pending', 'running')) AS finished
	FROM pgmaint.tasks o
	WHERE o.run_id = r.run_id AND o.step = t.step
) c
WHERE r.state = 'running'
ORDER BY r.run_id, t.task_id;

COMMENT ON VIEW pgmaint.progress IS
	'what every task worker is doing now; percent_done is that of the command''s present phase, slept what cost-based delays took of it (18 and later, with track_cost_delay_timing), mode that of VACUUM (19: normal, aggressive or failsafe), changes_applied the row changes of other sessions that REPACK (CONCURRENTLY) has caught up with (19)';

REVOKE ALL ON pgmaint.progress FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.run(text, jsonb),
	pgmaint.run_action(text, jsonb),
	pgmaint.dry_run(text, jsonb),
	pgmaint.cancel(bigint),
	pgmaint.tick()
FROM PUBLIC;
REVOKE ALL ON PROCEDURE pgmaint.run_and_wait(text, jsonb, bigint) FROM PUBLIC;
GRANT SELECT ON pgmaint.progress TO pg_monitor;
-- What needs work, and why.
--
-- These functions read catalogs and statistics of every table, and pgmaint's
-- own measurements; they change nothing, and call nothing that users define.

CREATE OR REPLACE FUNCTION pgmaint.may_maintain(relation oid, role oid)
RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_may_maintain';

COMMENT ON FUNCTION pgmaint.may_maintain(oid, oid) IS
	'may the role VACUUM and ANALYZE the relation (owner, database owner, superuser; from PostgreSQL 17 also MAINTAIN; all but superusers with USAGE on its schema)';

CREATE OR REPLACE FUNCTION pgmaint.file_size(filenode oid, tablespace oid, pages integer)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_file_size';

COMMENT ON FUNCTION pgmaint.file_size(oid, oid, integer) IS
	'bytes in the main fork of a relation, by relfilenode, reltablespace and relpages of pg_class; takes no lock';

CREATE OR REPLACE FUNCTION pgmaint.free_bytes_of_tablespace(tablespace oid)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_free_bytes_of_tablespace';

COMMENT ON FUNCTION pgmaint.free_bytes_of_tablespace(oid) IS
	'bytes that the server may still write to the file system of a tablespace, by reltablespace of pg_class';

CREATE OR REPLACE FUNCTION pgmaint.used_bytes_of_tablespace(tablespace oid)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_used_bytes_of_tablespace';

COMMENT ON FUNCTION pgmaint.used_bytes_of_tablespace(oid) IS
	'bytes that are used in the file system of a tablespace, by whomever, by reltablespace of pg_class';

-- Every table and materialized view that outlives a session, with what the
-- server knows of it.  A TOAST table is part of its owner.
CREATE OR REPLACE FUNCTION pgmaint.table_states(for_role oid)
RETURNS TABLE (
	relation oid,
	kind "char",
	name text,
	schema name,
	toast oid,
	may_maintain boolean,
	estimated_rows double precision,
	live_rows bigint,
	dead_rows bigint,
	toast_live_rows bigint,
	toast_dead_rows bigint,
	inserted_rows bigint,
	modified_rows bigint,
	xid_age bigint,
	multixact_age bigint,
	wraparound_ratio double precision,
	last_vacuum timestamptz,
	last_analyze timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 200 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT
		c.oid,
		c.relkind,
		format('%I.%I', n.nspname, c.relname),
		n.nspname,
		c.reltoastrelid,
		pgmaint.may_maintain(c.oid, for_role),
		c.reltuples::double precision,
		pg_stat_get_live_tuples(c.oid),
		pg_stat_get_dead_tuples(c.oid),
		coalesce(pg_stat_get_live_tuples(nullif(c.reltoastrelid, 0)), 0),
		coalesce(pg_stat_get_dead_tuples(nullif(c.reltoastrelid, 0)), 0),
		pg_stat_get_ins_since_vacuum(c.oid),
		pg_stat_get_mod_since_analyze(c.oid),
		a.xid_age,
		a.multixact_age,
		greatest(
			a.xid_age / least(current_setting('autovacuum_freeze_max_age')::double precision,
				(SELECT o.option_value::double precision FROM pg_options_to_table(c.reloptions) o
				WHERE o.option_name = 'autovacuum_freeze_max_age')),
			a.multixact_age / least(current_setting('autovacuum_multixact_freeze_max_age')::double precision,
				(SELECT o.option_value::double precision FROM pg_options_to_table(c.reloptions) o
				WHERE o.option_name = 'autovacuum_multixact_freeze_max_age'))),
		greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)),
		greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid))
	FROM pg_class c
	JOIN pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
	CROSS JOIN LATERAL (
		SELECT
			CASE WHEN c.relkind = 'p' THEN 0
				ELSE greatest(age(nullif(c.relfrozenxid, '0')), age(nullif(t.relfrozenxid, '0')), 0) END::bigint AS xid_age,
			CASE WHEN c.relkind = 'p' THEN 0
				ELSE greatest(mxid_age(nullif(c.relminmxid, '0')), mxid_age(nullif(t.relminmxid, '0')), 0) END::bigint AS multixact_age
	) a
	WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't';
END;

COMMENT ON FUNCTION pgmaint.table_states(oid) IS
	'every table and materialized view with its row counts, ages and last maintenance';

-- The counters are gone after a crash, pg_stat_reset(), a restore or an upgrade:
-- zero dead or changed rows mean nothing then.  What initdb made is as it made
-- it while it is small.
CREATE OR REPLACE FUNCTION pgmaint.counters_are_lost(
	schema name,
	estimated_rows double precision,
	live_rows bigint,
	dead_rows bigint,
	inserted_rows bigint,
	last_vacuum timestamptz,
	last_analyze timestamptz
)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT last_vacuum IS NULL AND last_analyze IS NULL
		AND (live_rows + dead_rows < estimated_rows / 2 OR live_rows + dead_rows + inserted_rows = 0)
		AND (schema NOT IN ('pg_catalog', 'information_schema', 'pgmaint') OR estimated_rows >= 10000);
END;

COMMENT ON FUNCTION pgmaint.counters_are_lost(name, double precision, bigint, bigint, bigint, timestamptz, timestamptz) IS
	'whether the server''s counters know less of a table than the catalog does, and no VACUUM or ANALYZE either';

CREATE OR REPLACE FUNCTION pgmaint.stale_statistics(
	min_modified_rows bigint DEFAULT 100,
	min_modified_ratio double precision DEFAULT 0.05,
	everything boolean DEFAULT false,
	for_role oid DEFAULT pg_catalog.to_regrole(pg_catalog.quote_ident(CURRENT_USER))::oid
)
RETURNS TABLE (
	relation regclass,
	reason text,
	estimated_rows bigint,
	modified_rows bigint,
	last_analyze timestamptz,
	may_maintain boolean
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 20 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH RECURSIVE states AS MATERIALIZED (
		SELECT s.*, greatest(s.estimated_rows, s.live_rows, 0) AS known_rows
		FROM pgmaint.table_states(for_role) s
	),
	-- after a crash, a reset of statistics or an upgrade the counters and times
	-- are gone, but the file is there
	filled AS (
		SELECT s.*, s.known_rows > 0 OR s.estimated_rows < 0 AND EXISTS (
			SELECT FROM pg_class c
			WHERE c.oid = s.relation
				AND pgmaint.file_size(c.relfilenode, c.reltablespace, c.relpages) > 0) AS has_rows
		FROM states s
		WHERE s.kind IN ('r', 'm')
	),
	-- a table that was never analyzed has no rows in pg_statistic; the server's
	-- counters alone do not tell, because a crash clears them
	tables AS (
		SELECT
			s.relation,
			s.known_rows,
			s.modified_rows,
			s.last_analyze,
			s.may_maintain,
			s.last_analyze IS NULL
				-- pgmaint's own ledger changes with every run
				AND (s.schema <> 'pgmaint' OR s.known_rows >= 10000)
				AND NOT EXISTS (SELECT FROM pg_statistic p WHERE p.starelid = s.relation AND NOT p.stainherit)
				AND s.has_rows AS never,
			s.known_rows >= min_modified_rows AND pgmaint.counters_are_lost(s.schema, s.estimated_rows, s.live_rows, s.dead_rows, s.inserted_rows, s.last_vacuum, s.last_analyze) AS unknown,
			s.modified_rows >= CASE WHEN s.schema = 'pgmaint' THEN greatest(10000, min_modified_rows)
					ELSE min_modified_rows END
				AND s.modified_rows >= min_modified_ratio * s.known_rows AS stale
		FROM filled s
		WHERE s.relation <> 'pg_catalog.pg_statistic'::regclass
	),
	-- read from pg_inherits, because pg_partition_tree() would lock them all
	members AS (
		SELECT s.relation AS root, i.inhrelid AS member
		FROM states s
		JOIN pg_inherits i ON i.inhparent = s.relation
		WHERE s.kind = 'p'
		UNION ALL
		SELECT m.root, i.inhrelid
		FROM members m
		JOIN pg_inherits i ON i.inhparent = m.member
	),
	sums AS (
		SELECT
			p.relation,
			sum(x.known_rows) AS known_rows,
			sum(x.modified_rows)::bigint AS modified_rows,
			bool_or(x.has_rows) AS has_rows,
			coalesce(sum(x.known_rows) FILTER (
				WHERE x.last_analyze > p.last_analyze + interval '1 hour'), 0) AS renewed_rows
		FROM members m
		JOIN states p ON p.relation = m.root
		JOIN filled x ON x.relation = m.member AND x.kind = 'r'
		GROUP BY p.relation
	),
	-- autovacuum never analyzes a parent: what its partitions have seen since
	-- the parent's own last ANALYZE has to be added up
	parents AS (
		SELECT
			s.relation,
			l.known_rows,
			l.modified_rows + abs(l.known_rows - greatest(s.estimated_rows, 0))::bigint
				+ (0.1 * l.renewed_rows)::bigint AS modified_rows,
			s.last_analyze,
			s.may_maintain,
			l.has_rows
				AND NOT EXISTS (SELECT FROM pg_statistic p WHERE p.starelid = s.relation AND p.stainherit) AS never,
			s.last_analyze IS NULL AND l.known_rows >= min_modified_rows AS unknown
		FROM states s
		JOIN sums l ON l.relation = s.relation
	),
	judged AS (
		SELECT t.*, false AS parent FROM tables t
		UNION ALL
		SELECT p.*, p.modified_rows >= min_modified_rows
			AND p.modified_rows >= min_modified_ratio * p.known_rows, true FROM parents p
	)
	SELECT
		j.relation::regclass,
		CASE
			WHEN j.never AND j.parent THEN 'statistics of the partitioned table as a whole were never made'
			WHEN j.never THEN 'statistics were never made'
			WHEN j.stale THEN format('statistics are stale: %s rows changed since the last ANALYZE, of %s',
				trim(to_char(j.modified_rows, '999,999,999,999,999')),
				trim(to_char(j.known_rows, '999,999,999,999,999')))
			WHEN j.unknown THEN 'it is not known what has changed: the server''s counters do not cover its rows'
			ELSE 'every table was asked for'
		END,
		j.known_rows::bigint,
		j.modified_rows,
		j.last_analyze,
		j.may_maintain
	FROM judged j
	WHERE j.never OR j.stale OR j.unknown OR everything
	ORDER BY j.never DESC, j.modified_rows / greatest(j.known_rows, 1) DESC, j.relation;
END;

COMMENT ON FUNCTION pgmaint.stale_statistics(bigint, double precision, boolean, oid) IS
	'tables whose planner statistics were never made, or are stale: at least min_modified_rows and min_modified_ratio of the rows changed, or the counters of changed rows were lost';

-- The server's own account, from 19 on: a TOAST table has a row of its own.
CREATE OR REPLACE FUNCTION pgmaint.autovacuum_scores()
RETURNS TABLE (
	relation oid,
	score double precision,
	xid_score double precision,
	multixact_score double precision,
	vacuum_score double precision,
	insert_score double precision,
	analyze_score double precision,
	vacuum_due boolean,
	analyze_due boolean,
	forced boolean
)
LANGUAGE c STABLE ROWS 200 COST 10000
AS 'MODULE_PATHNAME', 'pgmaint_autovacuum_scores';

COMMENT ON FUNCTION pgmaint.autovacuum_scores() IS
	'how urgent each table is to autovacuum, from 1 on due, and whether it is due (pg_stat_autovacuum_scores); no rows before PostgreSQL 19';

CREATE OR REPLACE FUNCTION pgmaint.vacuum_candidates(
	min_dead_rows bigint DEFAULT 1000,
	min_dead_ratio double precision DEFAULT 0.05,
	min_inserted_ratio double precision DEFAULT 0.2,
	min_wraparound_ratio double precision DEFAULT 0.7,
	everything boolean DEFAULT false,
	for_role oid DEFAULT pg_catalog.to_regrole(pg_catalog.quote_ident(CURRENT_USER))::oid
)
RETURNS TABLE (
	relation regclass,
	reason text,
	size text,
	dead_rows bigint,
	dead_ratio double precision,
	inserted_rows bigint,
	xid_age bigint,
	multixact_age bigint,
	wraparound_ratio double precision,
	last_vacuum timestamptz,
	total_bytes bigint,
	causes text[],
	may_maintain boolean,
	autovacuum_score double precision
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 20 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH scores AS MATERIALIZED (
		SELECT a.relation, greatest(a.xid_score, a.multixact_score, a.vacuum_score, a.insert_score) AS score, a.forced
		FROM pgmaint.autovacuum_scores() a
	),
	judged AS (
		SELECT
			s.*,
			s.forced OR s.wraparound_ratio >= min_wraparound_ratio AS wraparound_due,
			s.dead_rows >= min_dead_rows
				AND s.dead_rows >= min_dead_ratio * s.all_rows AS dead_due,
			s.toast_dead_rows >= min_dead_rows
				AND s.toast_dead_rows >= min_dead_ratio * (s.toast_dead_rows + s.toast_live_rows) AS toast_due,
			-- 18 and later know how much is frozen already, which no VACUUM need read
			s.inserted_rows >= CASE WHEN s.schema = 'pgmaint' THEN 10000 ELSE 1000 END
				AND s.inserted_rows >= min_inserted_ratio * greatest(s.estimated_rows, 0) * CASE
					WHEN s.inserted_rows < 1000 THEN 1
					ELSE (
						SELECT greatest(1 - coalesce((to_jsonb(f) ->> 'relallfrozen')::double precision / nullif(f.relpages, 0), 0), 0)
						FROM pg_class f
						WHERE f.oid = s.relation)
					END AS inserts_due,
			-- the server's counters are lost in a crash, what lies in the pages is not
			(
				SELECT m.dead_bytes
				FROM pgmaint.bloat_measurements m
				WHERE m.relation = s.relation
					AND m.measured_at > greatest(s.last_vacuum, clock_timestamp() - interval '1 day')
					AND m.dead_bytes >= greatest(1048576, min_dead_ratio * m.total_bytes)
				ORDER BY m.measured_at DESC
				LIMIT 1
			) AS sampled_dead_bytes,
			-- what is larger is sampled by bloat_report, and counted by ANALYZE; a
			-- page has no more than 291 rows
			pgmaint.counters_are_lost(s.schema, s.estimated_rows, s.live_rows, s.dead_rows, s.inserted_rows, s.last_vacuum, s.last_analyze) AND (
				SELECT pgmaint.file_size(f.relfilenode, f.reltablespace, f.relpages) BETWEEN min_dead_rows * 28 AND 67108864
				FROM pg_class f
				WHERE f.oid = s.relation) AS unknown_due
		FROM (
			-- dead ones too; the counters may be younger than the table, the
			-- catalog's estimate may be older than the last changes
			SELECT t.*, greatest(t.estimated_rows, t.live_rows + t.dead_rows, 1) AS all_rows,
				greatest(a.score, x.score) AS autovacuum_score,
				-- the server also knows the TOAST table's own settings, and when
				-- members of multixacts run short
				coalesce(a.forced, false) OR coalesce(x.forced, false) AS forced
			FROM pgmaint.table_states(for_role) t
			LEFT JOIN scores a ON a.relation = t.relation
			LEFT JOIN scores x ON x.relation = t.toast
			WHERE t.kind IN ('r', 'm')
		) s
	)
	SELECT
		j.relation::regclass,
		coalesce(nullif(concat_ws('; ',
			CASE WHEN j.wraparound_due THEN format(
				'wraparound: transaction ID age %s, multixact age %s, %s',
				trim(to_char(j.xid_age, '999,999,999,999')), trim(to_char(j.multixact_age, '999,999,999,999')),
				CASE WHEN j.forced THEN 'autovacuum forces a VACUUM'
					ELSE format('%s %% of the way to a forced vacuum', round((j.wraparound_ratio * 100)::numeric)) END) END,
			CASE WHEN j.dead_due THEN format('dead rows: %s, %s %% of the table',
				trim(to_char(j.dead_rows, '999,999,999,999,999')),
				round((100 * j.dead_rows / j.all_rows)::numeric, 1)) END,
			CASE WHEN j.toast_due THEN format('dead rows in its TOAST table: %s',
				trim(to_char(j.toast_dead_rows, '999,999,999,999,999'))) END,
			CASE WHEN j.sampled_dead_bytes IS NOT NULL AND NOT j.dead_due THEN format(
				'dead rows: %s in sampled pages', pg_size_pretty(j.sampled_dead_bytes)) END,
			CASE WHEN j.inserts_due THEN format('inserts without freeze: %s rows since the last VACUUM',
				trim(to_char(j.inserted_rows, '999,999,999,999,999'))) END,
			CASE WHEN j.unknown_due THEN 'dead rows are not known: the server''s counters do not cover its rows' END), ''),
			'every table was asked for'),
		pg_size_pretty(b.total_bytes),
		j.dead_rows,
		j.dead_rows / j.all_rows,
		j.inserted_rows,
		j.xid_age,
		j.multixact_age,
		j.wraparound_ratio,
		j.last_vacuum,
		b.total_bytes,
		array_remove(ARRAY[
			CASE WHEN j.wraparound_due THEN 'wraparound' END,
			CASE WHEN j.dead_due OR j.sampled_dead_bytes IS NOT NULL THEN 'dead rows' END,
			CASE WHEN j.toast_due THEN 'dead rows in TOAST' END,
			CASE WHEN j.inserts_due THEN 'inserts' END,
			CASE WHEN j.unknown_due THEN 'unknown' END], NULL),
		j.may_maintain,
		j.autovacuum_score
	FROM judged j
	JOIN pg_class c ON c.oid = j.relation
	LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
	CROSS JOIN LATERAL (
		SELECT pgmaint.file_size(c.relfilenode, c.reltablespace, c.relpages)
			+ coalesce(pgmaint.file_size(t.relfilenode, t.reltablespace, t.relpages), 0) AS total_bytes
	) b
	WHERE everything OR j.wraparound_due OR j.dead_due OR j.toast_due OR j.inserts_due
		OR j.sampled_dead_bytes IS NOT NULL OR j.unknown_due
	ORDER BY j.forced DESC, coalesce(j.wraparound_due, false) DESC,
		CASE WHEN j.wraparound_due THEN j.wraparound_ratio END DESC,
		j.last_vacuum NULLS FIRST, j.autovacuum_score DESC NULLS LAST, j.dead_rows DESC, j.relation;
END;

COMMENT ON FUNCTION pgmaint.vacuum_candidates(bigint, double precision, double precision, double precision, boolean, oid) IS
	'tables that are due for VACUUM, most urgent first: wraparound, dead rows (counted, or seen in sampled pages), inserts without freeze; up to 64 MB also where the counters of dead rows were lost; autovacuum_score is null before PostgreSQL 19';

-- Whoever keeps dead rows from being removed, oldest first.
CREATE OR REPLACE FUNCTION pgmaint.xmin_holders()
RETURNS TABLE (
	kind text,
	holder text,
	xmin_age bigint,
	since timestamptz,
	database name,
	pid integer,
	catalogs_only boolean
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 2 COST 1000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT h.kind, h.holder, h.xmin_age, h.since, h.database, h.pid, h.catalogs_only
	FROM (
		SELECT
			CASE WHEN a.backend_type = 'walsender' THEN 'standby' ELSE 'session' END AS kind,
			CASE WHEN a.backend_type = 'walsender'
				THEN format('standby "%s" through hot_standby_feedback', a.application_name)
				ELSE concat('process ', a.pid, ' of role ' || quote_ident(a.usename),
					' (' || nullif(a.application_name, '') || ')', ', ',
					CASE WHEN a.usename IS NULL THEN a.backend_type ELSE coalesce(a.state, a.backend_type) END)
			END AS holder,
			greatest(age(a.backend_xmin), age(a.backend_xid))::bigint AS xmin_age,
			a.xact_start AS since,
			a.datname AS database,
			a.pid,
			false AS catalogs_only
		FROM pg_stat_activity a
		WHERE (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
			AND a.pid <> pg_backend_pid()
			AND (a.backend_type = 'walsender' OR a.datname = current_database())
			-- VACUUM's own snapshots hold nothing back
			AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
		UNION ALL
		SELECT 'prepared transaction', format('prepared transaction "%s" of role %s', p.gid, coalesce(quote_ident(p.owner), 'unknown')),
			age(p.transaction)::bigint, p.prepared, p.database, NULL, false
		FROM pg_prepared_xacts p
		WHERE p.database = current_database()
		UNION ALL
		SELECT 'replication slot',
			format('replication slot "%s"%s', r.slot_name, CASE WHEN r.active THEN '' ELSE ', not in use' END),
			age(x.xmin)::bigint, NULL, r.database, r.active_pid, x.catalogs_only
		FROM pg_replication_slots r
		-- logical decoding keeps old rows of the catalogs, and of nothing else
		CROSS JOIN LATERAL (VALUES (r.xmin, false), (r.catalog_xmin, true)) AS x (xmin, catalogs_only)
		WHERE x.xmin IS NOT NULL
	) h
	ORDER BY h.xmin_age DESC NULLS LAST, h.since NULLS LAST;
END;

COMMENT ON FUNCTION pgmaint.xmin_holders() IS
	'sessions, prepared transactions, replication slots and standbys that keep dead rows of this database, or of its catalogs only, from being removed, oldest first';

REVOKE ALL ON FUNCTION
	pgmaint.may_maintain(oid, oid),
	pgmaint.file_size(oid, oid, integer),
	pgmaint.free_bytes_of_tablespace(oid),
	pgmaint.used_bytes_of_tablespace(oid),
	pgmaint.table_states(oid),
	pgmaint.counters_are_lost(name, double precision, bigint, bigint, bigint, timestamptz, timestamptz),
	pgmaint.stale_statistics(bigint, double precision, boolean, oid),
	pgmaint.autovacuum_scores(),
	pgmaint.vacuum_candidates(bigint, double precision, double precision, double precision, boolean, oid),
	pgmaint.xmin_holders()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint.file_size(oid, oid, integer),
	pgmaint.may_maintain(oid, oid),
	pgmaint.table_states(oid),
	pgmaint.counters_are_lost(name, double precision, bigint, bigint, bigint, timestamptz, timestamptz),
	pgmaint.stale_statistics(bigint, double precision, boolean, oid),
	pgmaint.autovacuum_scores(),
	pgmaint.vacuum_candidates(bigint, double precision, double precision, double precision, boolean, oid),
	pgmaint.xmin_holders()
TO pg_monitor;

--
-- Queries, and how they would be executed
--

CREATE FUNCTION pgmaint.generic_plan(query text)
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgmaint_generic_plan';

COMMENT ON FUNCTION pgmaint.generic_plan(text) IS
	'the plan, as EXPLAIN (FORMAT JSON), of a statement with parameters $1, $2 ... that have no values; nothing is executed, but planning may call the functions in it that are not volatile';

REVOKE ALL ON FUNCTION pgmaint.generic_plan(text) FROM PUBLIC;

CREATE FUNCTION pgmaint.check_duration(name text, duration interval)
RETURNS interval
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF check_duration.duration IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = format('%s must not be null', check_duration.name);
	ELSIF check_duration.duration < interval '0' OR check_duration.duration > interval '1000 years' THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('%s must be from 0 to 1000 years', check_duration.name);
	END IF;
	RETURN check_duration.duration;
END
$$;

COMMENT ON FUNCTION pgmaint.check_duration(text, interval) IS 'the duration; an error that names the argument if there is none, or it is negative or absurdly long';

REVOKE ALL ON FUNCTION pgmaint.check_duration(text, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.check_duration(text, interval) TO pg_monitor;
-- What pg_stat_statements knows of this database, in one set of columns for all
-- of its versions, whatever schema it is in.

-- It is not asked by SQL, since its views and functions are in a schema where
-- others may have put their own, but in C by the OID of its function.
CREATE FUNCTION pgmaint.statements_refused()
RETURNS text
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_statements_refused';

COMMENT ON FUNCTION pgmaint.statements_refused() IS
	'why the function pg_stat_statements of this database is not called; null where it is';

CREATE FUNCTION pgmaint.statements_missing()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE
		-- a name that nobody has defined can be set, too, but to text only
		WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_settings s
				WHERE s.name = 'pg_stat_statements.max' AND s.vartype = 'integer')
			THEN 'pg_stat_statements is not loaded: add it to shared_preload_libraries, restart the server, '
				'and execute CREATE EXTENSION pg_stat_statements'
		WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = 'pg_stat_statements')
			THEN 'pg_stat_statements is loaded, but this database does not have it: '
				'execute CREATE EXTENSION pg_stat_statements'
		WHEN pgmaint.statements_refused() IS NOT NULL
			THEN 'pg_stat_statements is not asked: ' || pgmaint.statements_refused()
		WHEN pg_catalog.current_setting('pg_stat_statements.track', true) = 'none'
			THEN 'pg_stat_statements counts nothing: set pg_stat_statements.track to top or all'
	END;
END;

COMMENT ON FUNCTION pgmaint.statements_missing() IS
	'why there are no statement statistics, and what to do about it; null where there are';

CREATE FUNCTION pgmaint.statement_statistics()
RETURNS TABLE (
	userid oid,
	dbid oid,
	toplevel boolean,
	queryid bigint,
	query text,
	calls bigint,
	rows bigint,
	total_ms double precision,
	mean_ms double precision,
	min_ms double precision,
	max_ms double precision,
	stddev_ms double precision,
	plans bigint,
	plan_ms double precision,
	shared_hit bigint,
	shared_read bigint,
	shared_dirtied bigint,
	shared_written bigint,
	local_hit bigint,
	local_read bigint,
	local_dirtied bigint,
	local_written bigint,
	temp_read bigint,
	temp_written bigint,
	read_ms double precision,
	write_ms double precision,
	temp_read_ms double precision,
	temp_write_ms double precision,
	wal_records bigint,
	wal_fpi bigint,
	wal_bytes numeric,
	jit_ms double precision,
	stats_since timestamptz,
	minmax_since timestamptz
)
LANGUAGE c VOLATILE ROWS 500 COST 10000
AS 'MODULE_PATHNAME', 'pgmaint_statement_statistics';

COMMENT ON FUNCTION pgmaint.statement_statistics() IS
	'what pg_stat_statements counted in this database, in the same columns for all of its versions; null is what this version does not count, and there are no rows where statements_missing() says why';

-- Since when it counts.  Before 1.9 it does not say; it has done so since the
-- server started, unless it was told to forget or keeps its file.
CREATE FUNCTION pgmaint.statements_since(OUT counted_since timestamptz, OUT evicted bigint)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_statements_since';

COMMENT ON FUNCTION pgmaint.statements_since() IS
	'since when pg_stat_statements counts, and how often it had to forget statements for want of room since then; nulls where it does not count';

CREATE FUNCTION pgmaint.is_own_statement(query text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN coalesce(query ~ E'\\mpgmaint\\.', false);

COMMENT ON FUNCTION pgmaint.is_own_statement(text) IS 'whether a statement asks something of pgmaint; false where its text is not known';

REVOKE ALL ON FUNCTION pgmaint.statements_refused(), pgmaint.statements_missing(), pgmaint.statement_statistics(),
	pgmaint.statements_since(), pgmaint.is_own_statement(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.statements_refused(), pgmaint.statements_missing(), pgmaint.statement_statistics(),
	pgmaint.statements_since(), pgmaint.is_own_statement(text) TO pg_monitor;

--
-- Storages: where archives and backups go
--

CREATE FUNCTION pgmaint.storage_validator(options text[], catalog oid) RETURNS void
	LANGUAGE c STRICT
	AS 'MODULE_PATHNAME', 'pgmaint_storage_validator';
COMMENT ON FUNCTION pgmaint.storage_validator IS
	'refuses what a storage, or a user mapping for one, cannot be';

CREATE FOREIGN DATA WRAPPER pgmaint_storage VALIDATOR pgmaint.storage_validator;
COMMENT ON FOREIGN DATA WRAPPER pgmaint_storage IS
	'its servers are storages of pgmaint: S3, and what speaks like it, or a folder';

CREATE SERVER pgmaint_local FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file:pgmaint');
COMMENT ON SERVER pgmaint_local IS
	'a folder below the data directory, so that everything works before there is another storage';

-- Never dumped: a name counts until its OID is known again.
CREATE TABLE pgmaint.storage_names (
	system_identifier text NOT NULL,
	database oid NOT NULL,
	storage name NOT NULL,
	server oid NOT NULL,
	owner oid NOT NULL,
	PRIMARY KEY (system_identifier, database, storage)
);

COMMENT ON TABLE pgmaint.storage_names IS
	'which foreign server each storage of the ledger is: when it is renamed, the ledger follows';
COMMENT ON COLUMN pgmaint.storage_names.server IS 'OID of the server; 0: it was dropped';
COMMENT ON COLUMN pgmaint.storage_names.owner IS 'OID of the role that owned it last';

REVOKE ALL ON pgmaint.storage_names FROM PUBLIC;
GRANT SELECT ON pgmaint.storage_names TO pg_monitor;

CREATE FUNCTION pgmaint.list_objects(
	storage text,
	prefix text DEFAULT '',
	OUT key text,
	OUT bytes bigint,
	OUT last_modified timestamptz,
	OUT etag text,
	OUT size text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 500 COST 1000000
	AS 'MODULE_PATHNAME', 'pgmaint_list_objects';
COMMENT ON FUNCTION pgmaint.list_objects IS
	'the objects in a storage whose keys begin with the prefix, in the order of the keys';

CREATE FUNCTION pgmaint.check_storage(
	storage text,
	OUT step text,
	OUT status text,
	OUT duration interval,
	OUT detail text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 5 COST 1000000
	AS 'MODULE_PATHNAME', 'pgmaint_check_storage';
COMMENT ON FUNCTION pgmaint.check_storage IS
	'does a storage work: puts, looks at, gets, lists and deletes a small object, and tells how long each took or why it failed';

REVOKE ALL ON FUNCTION pgmaint.storage_validator, pgmaint.list_objects, pgmaint.check_storage FROM PUBLIC;
-- Retention: what is to be aged out, and whether it is archived first.

CREATE TABLE pgmaint.retention_policies (
	policy_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	relation regclass NOT NULL,
	time_column name NOT NULL,
	keep interval NOT NULL,
	filter text,
	archive boolean NOT NULL,
	storage name,
	compression text,
	compression_level integer,
	slice interval,
	owner name NOT NULL,
	added_by name NOT NULL,
	added_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	timezone text,
	pass_triggers boolean NOT NULL DEFAULT false,
	CHECK (archive = (storage IS NOT NULL AND compression IS NOT NULL))
);

COMMENT ON TABLE pgmaint.retention_policies IS 'which rows of which tables are aged out, and where they are archived';
COMMENT ON COLUMN pgmaint.retention_policies.keep IS 'rows whose time is further back than this leave';
COMMENT ON COLUMN pgmaint.retention_policies.filter IS 'only rows for which this condition is true';
COMMENT ON COLUMN pgmaint.retention_policies.archive IS 'whether rows are archived before they are deleted';
COMMENT ON COLUMN pgmaint.retention_policies.storage IS 'the foreign server that archives go to';
COMMENT ON COLUMN pgmaint.retention_policies.slice IS 'the time range of one task and one object; null: chosen by size';
COMMENT ON COLUMN pgmaint.retention_policies.owner IS 'owner of the table when the policy was added: the filter is evaluated with these rights, and the policy rests while another role owns the table';
COMMENT ON COLUMN pgmaint.retention_policies.timezone IS 'the time zone in which keep is subtracted from the present time; null: the server''s own';
COMMENT ON COLUMN pgmaint.retention_policies.pass_triggers IS 'whether partitions leave as a whole although row-level DELETE triggers of theirs do not fire then';

-- What is about to be written to a storage: committed before the first byte
-- leaves, and deleted in the transaction that makes the object count.  What is
-- left here without a task that works on it is known to be unfinished.
CREATE TABLE pgmaint.uploads (
	upload_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	task_id bigint NOT NULL,
	action text NOT NULL,
	storage name NOT NULL,
	key text NOT NULL,
	mark text NOT NULL,
	identity text DEFAULT pgmaint.current_identity(),
	begun_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	searched_at timestamptz
);

CREATE INDEX uploads_task ON pgmaint.uploads (task_id);

COMMENT ON TABLE pgmaint.uploads IS 'objects that are being written, or were left when a task was interrupted';
COMMENT ON COLUMN pgmaint.uploads.mark IS 'stands on the object, and tells it from one that somebody else wrote';
COMMENT ON COLUMN pgmaint.uploads.searched_at IS 'when it was first looked for after its task was interrupted; it is looked for once more an hour later, since a storage may still have been at work on it';
COMMENT ON COLUMN pgmaint.uploads.identity IS 'of the database that writes it: a copy removes nothing of another''s';

-- Partitions that earlier versions have detached before they archived them; no
-- more are added.
CREATE TABLE pgmaint.detached_partitions (
	relation oid PRIMARY KEY,
	policy_id bigint NOT NULL,
	parent oid NOT NULL,
	range_from text,
	range_to text NOT NULL,
	noted_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint.detached_partitions IS 'partitions that an earlier version has begun to detach for a policy, until they are archived and dropped';

-- policies belong to the database, and are dumped and restored with it
SELECT pg_catalog.pg_extension_config_dump('pgmaint.retention_policies', '');
SELECT pg_catalog.pg_extension_config_dump('pgmaint.retention_policies_policy_id_seq', '');

CREATE FUNCTION pgmaint.add_retention(
	relation regclass,
	time_column name,
	keep interval,
	filter text DEFAULT NULL,
	archive boolean DEFAULT true,
	storage text DEFAULT NULL,
	compression text DEFAULT NULL,
	compression_level integer DEFAULT NULL,
	slice interval DEFAULT NULL,
	timezone text DEFAULT NULL,
	pass_triggers boolean DEFAULT false)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_add_retention';

COMMENT ON FUNCTION pgmaint.add_retention(regclass, name, interval, text, boolean, text, text, integer, interval, text, boolean) IS
	'age out the rows of a table whose time is further back than keep, archived first unless told otherwise; returns the policy''s number';

CREATE FUNCTION pgmaint.drop_retention(policy_id bigint)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_retention';

COMMENT ON FUNCTION pgmaint.drop_retention(bigint) IS
	'drop a retention policy; what it has archived stays, and so does its place in pgmaint.archives';

REVOKE ALL ON pgmaint.retention_policies, pgmaint.uploads, pgmaint.detached_partitions FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.add_retention(regclass, name, interval, text, boolean, text, text, integer, interval, text, boolean),
	pgmaint.drop_retention(bigint)
FROM PUBLIC;
GRANT SELECT ON pgmaint.retention_policies, pgmaint.uploads, pgmaint.detached_partitions TO pg_monitor;
-- The archives: what has left its table, and where it is.

CREATE TABLE pgmaint.archives (
	archive_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	policy_id bigint NOT NULL,
	run_id bigint NOT NULL,
	relation text NOT NULL,
	storage name NOT NULL,
	key text NOT NULL,
	rows bigint NOT NULL,
	bytes bigint NOT NULL,
	sha256 text NOT NULL,
	range_from timestamptz NOT NULL,
	range_to timestamptz NOT NULL,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	partition text,
	content_bytes bigint NOT NULL,
	content_sha256 text NOT NULL,
	compression text NOT NULL,
	columns text[] NOT NULL,
	verified_at timestamptz,
	identity text DEFAULT pgmaint.current_identity(),
	adopted_at timestamptz,
	checked_at timestamptz,
	check_result text CHECK (check_result IN ('whole', 'damaged', 'not readable')),
	check_error text,
	UNIQUE (storage, key)
);

CREATE INDEX archives_relation ON pgmaint.archives (relation, range_from);
CREATE INDEX archives_damaged ON pgmaint.archives (storage) WHERE check_result = 'damaged';

COMMENT ON TABLE pgmaint.archives IS 'one row for each object with archived rows: written in the transaction that deleted them';
COMMENT ON COLUMN pgmaint.archives.relation IS 'the table of the policy, as it was named then';
COMMENT ON COLUMN pgmaint.archives.bytes IS 'size of the object';
COMMENT ON COLUMN pgmaint.archives.sha256 IS 'SHA-256 of the object';
COMMENT ON COLUMN pgmaint.archives.range_from IS 'the time range of its rows: from here on';
COMMENT ON COLUMN pgmaint.archives.range_to IS '... and before this';
COMMENT ON COLUMN pgmaint.archives.partition IS 'the partition that the rows were in';
COMMENT ON COLUMN pgmaint.archives.content_bytes IS 'size of the CSV in it';
COMMENT ON COLUMN pgmaint.archives.content_sha256 IS 'SHA-256 of the CSV';
COMMENT ON COLUMN pgmaint.archives.identity IS 'of the database that wrote it, see pgmaint.identities';
COMMENT ON COLUMN pgmaint.archives.adopted_at IS 'when adopt_archive() added it although another database wrote it: take_over() does not take that database over; null: it did not';
COMMENT ON COLUMN pgmaint.archives.verified_at IS 'when it was last read and found whole';
COMMENT ON COLUMN pgmaint.archives.checked_at IS 'when it was last tried to read it, by the action validate or verify_archive(); null: never since it was written';
COMMENT ON COLUMN pgmaint.archives.check_result IS 'what came of that: whole, damaged, not readable (its storage class, or its compression, cannot be read from here)';
COMMENT ON COLUMN pgmaint.archives.check_error IS 'how it is damaged, or why it is not readable';

SELECT pg_catalog.pg_extension_config_dump('pgmaint.archives', '');
SELECT pg_catalog.pg_extension_config_dump('pgmaint.archives_archive_id_seq', '');

CREATE FUNCTION pgmaint.verify_archive(archive_id bigint)
RETURNS TABLE (item text, expected text, found text, ok boolean)
LANGUAGE c VOLATILE STRICT ROWS 10 COST 1000000
AS 'MODULE_PATHNAME', 'pgmaint_verify_archive';

COMMENT ON FUNCTION pgmaint.verify_archive(bigint) IS
	'download an archive, and compare size, rows and digests with what was written down when it was made';

CREATE FUNCTION pgmaint.restore_archive(archive_id bigint, "into" regclass)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_restore_archive';

COMMENT ON FUNCTION pgmaint.restore_archive(bigint, regclass) IS
	'copy the rows of an archive into a table, column by name, all or none; returns how many';

REVOKE ALL ON pgmaint.archives FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.verify_archive(bigint),
	pgmaint.restore_archive(bigint, regclass)
FROM PUBLIC;
GRANT SELECT ON pgmaint.archives TO pg_monitor;
-- Schedules: plans at their times, as jobs of pg_cron.

CREATE TABLE pgmaint.plan_schedules (
	plan text NOT NULL,
	scheduled_by name NOT NULL,
	schedule text NOT NULL,
	options jsonb,
	job_id bigint NOT NULL,
	role oid NOT NULL,
	database oid NOT NULL,
	scheduled_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	checked_until timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	noted_at timestamptz,
	PRIMARY KEY (plan, scheduled_by)
);

COMMENT ON TABLE pgmaint.plan_schedules IS 'what pg_cron was told to begin, and when; a dump has neither these rows nor pg_cron''s jobs';
COMMENT ON COLUMN pgmaint.plan_schedules.scheduled_by IS 'the role that the job connects as';
COMMENT ON COLUMN pgmaint.plan_schedules.job_id IS 'number of the job in pg_cron';
COMMENT ON COLUMN pgmaint.plan_schedules.database IS 'OID of the database in which it was scheduled, which tells a copy of it';
COMMENT ON COLUMN pgmaint.plan_schedules.checked_until IS 'what was missed up to here is in pgmaint.findings';
COMMENT ON COLUMN pgmaint.plan_schedules.noted_at IS 'when something missed was last noted';

-- pg_cron's times are GMT unless cron.timezone says otherwise
CREATE FUNCTION pgmaint.default_schedules()
RETURNS TABLE (plan text, schedule text)
LANGUAGE sql STABLE ROWS 5
BEGIN ATOMIC
	SELECT d.plan, d.schedule
	FROM (VALUES
		(1, 'daily'::text, '0 2 * * *'::text),
		(2, 'weekly', '0 3 * * 0'),
		(3, 'monthly', '0 4 1 * *'),
		(4, 'quarterly', '0 5 1 1,4,7,10 *'),
		(5, 'tick', '*/10 * * * *')) AS d (nth, plan, schedule)
	ORDER BY d.nth;
END;

COMMENT ON FUNCTION pgmaint.default_schedules() IS 'when the built-in plans run unless told otherwise';

CREATE FUNCTION pgmaint.schedule(plan text, schedule text DEFAULT NULL, options jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_schedule';

COMMENT ON FUNCTION pgmaint.schedule(text, text, jsonb) IS
	'have pg_cron run a plan, or ''tick'', at these times, or at the plan''s own; returns the number of pg_cron''s job';

CREATE FUNCTION pgmaint.unschedule(plan text, scheduled_by name DEFAULT CURRENT_USER)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_unschedule';

COMMENT ON FUNCTION pgmaint.unschedule(text, name) IS
	'run a plan no more at its times; false if it was not scheduled';

CREATE FUNCTION pgmaint.schedule_all()
RETURNS TABLE (plan text, schedule text, job_id bigint)
LANGUAGE c VOLATILE ROWS 5 COST 10000
AS 'MODULE_PATHNAME', 'pgmaint_schedule_all';

COMMENT ON FUNCTION pgmaint.schedule_all() IS
	'schedule the built-in plans and tick; what is scheduled already keeps its times and options';

CREATE FUNCTION pgmaint.next_run(schedule text, after timestamptz DEFAULT pg_catalog.clock_timestamp(), timezone text DEFAULT NULL)
RETURNS timestamptz
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_next_run';

COMMENT ON FUNCTION pgmaint.next_run(text, timestamptz, text) IS
	'when a schedule comes round next, in pg_cron''s time zone or this one';

CREATE FUNCTION pgmaint.cron_command(plan text, options jsonb)
RETURNS text
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_cron_command';

COMMENT ON FUNCTION pgmaint.cron_command(text, jsonb) IS
	'what pg_cron''s job for a plan executes, in the mode that pg_cron is in';

CREATE FUNCTION pgmaint.cron_jobs()
RETURNS jsonb
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_cron_jobs';

COMMENT ON FUNCTION pgmaint.cron_jobs() IS
	'pg_cron''s jobs for plans of this database, as far as the caller may see them; null, with a warning, if pg_cron cannot be asked';

CREATE VIEW pgmaint.schedules AS
WITH asked AS MATERIALIZED (
	SELECT pgmaint.cron_jobs() AS jobs
),
jobs AS (
	SELECT j.*
	FROM asked
	CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(asked.jobs) AS j (job_id bigint, name text, scheduled_by text,
		schedule text, command text, active boolean, last_start timestamptz, last_status text, last_message text)
),
ours AS (
	SELECT s.*
	FROM pgmaint.plan_schedules s
	WHERE s.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
),
both_sides AS (
	SELECT
		-- the name of a job without a row is 'pgmaint PLAN in DATABASE'
		coalesce(s.plan, pg_catalog.substr(pg_catalog.left(j.name, -4 - pg_catalog.length(pg_catalog.current_database()::text)), 9)) AS plan,
		coalesce(j.schedule, s.schedule) AS schedule,
		coalesce(s.scheduled_by::text, j.scheduled_by) AS scheduled_by,
		coalesce(j.job_id, s.job_id) AS job_id,
		j.active,
		j.command,
		j.last_start,
		j.last_status,
		j.last_message,
		r.requested_at,
		r.outcome,
		CASE
			WHEN a.jobs IS NULL THEN 'pg_cron could not be asked'
			WHEN j.job_id IS NULL THEN 'pg_cron has no such job, or hides it: schedule the plan again'
			WHEN s.plan IS NULL THEN 'only pg_cron knows it: schedule the plan again, or unschedule it'
			WHEN NOT j.active THEN 'paused in pg_cron'
			WHEN j.schedule <> s.schedule THEN 'its time was changed in pg_cron: schedule the plan again'
			WHEN j.command <> pgmaint.cron_command(s.plan, s.options) THEN 'made for the other mode of pg_cron: schedule the plan again'
		END AS problem
	FROM asked a
	CROSS JOIN (ours s FULL JOIN jobs j ON j.job_id = s.job_id)
	LEFT JOIN LATERAL (
		SELECT x.requested_at, pg_catalog.concat_ws(': ', x.state, x.error) AS outcome
		FROM pgmaint.runs x
		WHERE x.plan = s.plan AND x.role = s.role
		ORDER BY x.run_id DESC
		LIMIT 1
	) r ON true
)
SELECT
	b.plan,
	b.schedule,
	pg_catalog.current_database() AS database,
	b.active,
	CASE WHEN b.active THEN pgmaint.next_run(b.schedule) END AS next_run,
	greatest(b.requested_at, b.last_start) AS last_run,
	-- what pg_cron says counts where no run came of it
	CASE
		WHEN b.requested_at >= b.last_start OR b.last_start IS NULL THEN b.outcome
		WHEN b.last_status = 'failed' THEN pg_catalog.concat_ws(': ', b.last_status, b.last_message)
		ELSE b.last_status
	END AS last_outcome,
	b.scheduled_by,
	b.job_id,
	b.command,
	b.problem
FROM both_sides b
ORDER BY b.plan, b.scheduled_by;

COMMENT ON VIEW pgmaint.schedules IS 'the schedules of this database: when each comes round, what came of it the last time, and what is wrong with it';

REVOKE ALL ON pgmaint.plan_schedules, pgmaint.schedules FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.default_schedules(),
	pgmaint.schedule(text, text, jsonb),
	pgmaint.unschedule(text, name),
	pgmaint.schedule_all(),
	pgmaint.next_run(text, timestamptz, text),
	pgmaint.cron_command(text, jsonb),
	pgmaint.cron_jobs()
FROM PUBLIC;
GRANT SELECT ON pgmaint.plan_schedules, pgmaint.schedules TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	pgmaint.default_schedules(),
	pgmaint.next_run(text, timestamptz, text),
	pgmaint.cron_command(text, jsonb),
	pgmaint.cron_jobs()
TO pg_monitor;
-- Which indexes need to be built anew, and why.

-- What REINDEX CONCURRENTLY has begun, noted in the transaction that makes the
-- new index, so that what an interrupted rebuild leaves behind is told from what
-- others leave; and what the last rebuild of each index came to.
CREATE TABLE pgmaint.index_rebuilds (
	built oid PRIMARY KEY,
	replaced oid NOT NULL,
	relation oid NOT NULL,
	object text NOT NULL,
	task_id bigint NOT NULL,
	began_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	finished_at timestamptz,
	bytes_before bigint,
	bytes_after bigint,
	filenode oid,
	writes bigint,
	collations jsonb
);

CREATE INDEX index_rebuilds_replaced ON pgmaint.index_rebuilds (replaced);

COMMENT ON TABLE pgmaint.index_rebuilds IS 'the last rebuild of each index, and those that were not finished';
COMMENT ON COLUMN pgmaint.index_rebuilds.built IS 'OID of the index that was built; the same as replaced where it was built in place';
COMMENT ON COLUMN pgmaint.index_rebuilds.replaced IS 'OID of the index before';
COMMENT ON COLUMN pgmaint.index_rebuilds.relation IS 'OID of the table';
COMMENT ON COLUMN pgmaint.index_rebuilds.object IS 'the index, as it was named then';
COMMENT ON COLUMN pgmaint.index_rebuilds.finished_at IS 'null while it is being built, and when that was interrupted';
COMMENT ON COLUMN pgmaint.index_rebuilds.filenode IS 'relfilenode of the new index, by which a later rebuild by others is noticed';
COMMENT ON COLUMN pgmaint.index_rebuilds.writes IS 'rows inserted, updated and deleted in the table by then, as the server counts them';
COMMENT ON COLUMN pgmaint.index_rebuilds.collations IS 'versions of the collations that it was built with, by OID, where others are recorded in the catalogs';

CREATE FUNCTION pgmaint.may_reindex(index oid, role oid)
RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_may_reindex';

COMMENT ON FUNCTION pgmaint.may_reindex(oid, oid) IS
	'may the role REINDEX the index (owner of the table, superuser; from PostgreSQL 17 also MAINTAIN; all but superusers with USAGE on the schema)';

CREATE FUNCTION pgmaint.database_collation_version()
RETURNS text
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_database_collation_version';

COMMENT ON FUNCTION pgmaint.database_collation_version() IS
	'version of the default collation as the operating system has it now; null before PostgreSQL 15';

CREATE FUNCTION pgmaint.sample_indexes(
	indexes oid[],
	max_margin double precision,
	OUT index oid,
	OUT total_bytes bigint,
	OUT bloat_bytes bigint,
	OUT bloat_ratio double precision,
	OUT margin double precision,
	OUT leaf_density double precision,
	OUT sampled_blocks bigint,
	OUT total_blocks bigint
) RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 100 COST 1000000
AS 'MODULE_PATHNAME', 'pgmaint_sample_indexes';

COMMENT ON FUNCTION pgmaint.sample_indexes(oid[], double precision) IS
	'as index_bloat, of these indexes; those that are locked or damaged are passed over with a message';

-- Collations that are used by indexes and are not what they were: the order of
-- the entries may be wrong.
CREATE FUNCTION pgmaint.changed_collations()
RETURNS TABLE (collation oid, name text, recorded text, actual text, refresh text)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 COST 1000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT v.oid, v.name, v.recorded, v.actual, v.refresh
	FROM (
		SELECT c.oid, format('collation %I.%I', n.nspname, c.collname) AS name, c.collversion AS recorded,
			pg_collation_actual_version(c.oid) AS actual,
			format('ALTER COLLATION %I.%I REFRESH VERSION', n.nspname, c.collname) AS refresh
		FROM pg_collation c
		JOIN pg_namespace n ON n.oid = c.collnamespace
		WHERE c.collversion IS NOT NULL
			AND c.oid IN (SELECT unnest(i.indcollation) FROM pg_index i)
		UNION ALL
		-- recorded from 15 on
		SELECT 'pg_catalog."default"'::regcollation::oid, 'the database''s default collation',
			to_jsonb(d) ->> 'datcollversion', pgmaint.database_collation_version(),
			format('ALTER DATABASE %I REFRESH COLLATION VERSION', d.datname)
		FROM pg_database d
		WHERE d.datname = current_database()
	) v
	WHERE v.recorded <> v.actual;
END;

COMMENT ON FUNCTION pgmaint.changed_collations() IS
	'collations of indexes whose version is another than the recorded one, and the command that records it once every index has been rebuilt';

-- Every index that outlives a session, with what is known without reading it.
CREATE FUNCTION pgmaint.index_states(for_role oid)
RETURNS TABLE (
	index oid,
	relation oid,
	owner oid,
	schema name,
	name text,
	method name,
	bytes bigint,
	valid boolean,
	live boolean,
	exclusion boolean,
	leftover boolean,
	ours boolean,
	being_built boolean,
	collations text,
	gained_nothing boolean,
	may_reindex boolean,
	may_drop boolean
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 500 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH changed AS MATERIALIZED (
		SELECT v.* FROM pgmaint.changed_collations() v
	),
	-- An index that is being built is invalid too.  Whoever builds one holds a
	-- lock on its table all the while, whatever else can be seen of it.
	busy AS MATERIALIZED (
		SELECT DISTINCT l.relation
		FROM pg_locks l
		WHERE l.locktype = 'relation' AND l.granted
			AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
			AND l.pid IS DISTINCT FROM pg_backend_pid()
			AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
			AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = l.pid)
	)
	SELECT
		c.oid,
		i.indrelid,
		coalesce(o.oid, t.oid),
		n.nspname,
		format('%I.%I', m.nspname, c.relname),
		a.amname,
		s.bytes,
		i.indisvalid,
		i.indislive,
		i.indisexclusion,
		f.leftover,
		f.leftover AND EXISTS (
			SELECT FROM pgmaint.index_rebuilds b
			WHERE b.relation = i.indrelid AND b.built <> b.replaced
				AND (b.replaced = c.oid OR b.built = c.oid AND b.finished_at IS NULL)),
		NOT i.indisvalid AND (i.indrelid IN (SELECT u.relation FROM busy u)
			OR EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)),
		(
			SELECT string_agg(format('%s changed from version %s to %s', v.name, v.recorded, v.actual), ', ' ORDER BY v.name)
			FROM changed v
			WHERE v.collation = ANY (i.indcollation)
				AND (r.collations ->> v.collation::text) IS DISTINCT FROM v.actual
		),
		coalesce(r.bytes_before - r.bytes_after < 0.05 * r.bytes_before
			AND r.filenode = c.relfilenode
			AND s.bytes <= 1.05 * r.bytes_after
			AND w.writes BETWEEN r.writes AND r.writes + 0.05 * greatest(c.reltuples, 0), false),
		pgmaint.may_reindex(c.oid, for_role),
		pg_has_role(for_role, c.relowner, 'USAGE') AND pgmaint.may_reindex(c.oid, for_role)
	FROM pg_index i
	JOIN pg_class c ON c.oid = i.indexrelid
	JOIN pg_namespace m ON m.oid = c.relnamespace
	JOIN pg_am a ON a.oid = c.relam
	JOIN pg_class t ON t.oid = i.indrelid
	LEFT JOIN pg_class o ON o.reltoastrelid = t.oid
	JOIN pg_namespace n ON n.oid = coalesce(o.relnamespace, t.relnamespace)
	LEFT JOIN pgmaint.index_rebuilds r ON r.built = c.oid AND r.finished_at IS NOT NULL
	CROSS JOIN LATERAL (SELECT pgmaint.file_size(c.relfilenode, c.reltablespace, c.relpages) AS bytes) s
	CROSS JOIN LATERAL (SELECT NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AS leftover) f
	CROSS JOIN LATERAL (
		SELECT pg_stat_get_tuples_inserted(t.oid) + pg_stat_get_tuples_updated(t.oid) + pg_stat_get_tuples_deleted(t.oid) AS writes
	) w
	WHERE c.relkind = 'i' AND c.relpersistence <> 't' AND NOT c.relisshared;
END;

COMMENT ON FUNCTION pgmaint.index_states(oid) IS
	'every index with its size, whether it is valid or being built, changed collations, and whether its last rebuild gained nothing';

CREATE FUNCTION pgmaint.reindex_candidates(
	bloat_threshold double precision DEFAULT 0.3,
	min_size bigint DEFAULT 8388608,
	max_margin double precision DEFAULT 0.03,
	everything boolean DEFAULT false,
	tables oid[] DEFAULT NULL,
	measured_since timestamptz DEFAULT NULL,
	for_role oid DEFAULT pg_catalog.to_regrole(pg_catalog.quote_ident(CURRENT_USER))::oid
)
RETURNS TABLE (
	index regclass,
	relation regclass,
	reason text,
	size text,
	bloat text,
	bloat_ratio double precision,
	margin double precision,
	command text,
	total_bytes bigint,
	bloat_bytes bigint,
	causes text[],
	may_reindex boolean
)
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 20 COST 1000000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH states AS MATERIALIZED (
		SELECT
			s.*,
			s.valid AND s.live AND NOT everything AND s.method = 'btree' AND s.bytes >= min_size
				AND NOT s.gained_nothing AS to_measure
		FROM pgmaint.index_states(for_role) s
		WHERE NOT s.being_built AND (tables IS NULL OR s.owner = ANY (tables))
	),
	known AS MATERIALIZED (
		SELECT DISTINCT ON (m.relation) m.relation, m.bloat_bytes, m.bloat_ratio, m.margin
		FROM pgmaint.bloat_measurements m
		JOIN states s ON s.index = m.relation AND s.to_measure
		WHERE m.measured_at >= measured_since
		ORDER BY m.relation, m.measured_at DESC
	),
	measured AS MATERIALIZED (
		SELECT k.relation, k.bloat_bytes, k.bloat_ratio, k.margin FROM known k
		UNION ALL
		SELECT b.index, b.bloat_bytes, b.bloat_ratio, b.margin
		FROM pgmaint.sample_indexes(ARRAY(
			SELECT s.index FROM states s
			WHERE s.to_measure AND NOT EXISTS (SELECT FROM known k WHERE k.relation = s.index)), max_margin) b
	)
	SELECT
		j.index::regclass,
		j.relation::regclass,
		CASE
			WHEN j.leftover AND j.ours THEN 'left by a rebuild of pgmaint that was interrupted'
			WHEN j.leftover THEN 'left by a REINDEX CONCURRENTLY that was not pgmaint''s'
			WHEN NOT j.live THEN 'left by a DROP INDEX CONCURRENTLY that was interrupted'
			ELSE concat_ws('; ',
				j.collations,
				CASE WHEN NOT j.valid THEN 'invalid: queries do not use it' END,
				CASE WHEN j.bloated THEN format('bloat: %s of %s, %s %%', pg_size_pretty(j.bloat_bytes),
					pg_size_pretty(j.bytes), round((100 * j.bloat_ratio)::numeric, 1)) END,
				CASE WHEN everything THEN 'every index was asked for' END)
		END,
		pg_size_pretty(j.bytes),
		pg_size_pretty(j.bloat_bytes),
		j.bloat_ratio,
		j.margin,
		-- the server cannot do others concurrently
		CASE
			WHEN j.leftover OR NOT j.live THEN 'DROP INDEX CONCURRENTLY ' || j.name
			WHEN j.exclusion OR j.relation < 16384 AND j.schema = 'pg_catalog' THEN 'REINDEX INDEX ' || j.name
			ELSE 'REINDEX INDEX CONCURRENTLY ' || j.name
		END,
		j.bytes,
		j.bloat_bytes,
		array_remove(ARRAY[
			CASE WHEN j.leftover OR NOT j.live THEN CASE WHEN j.ours THEN 'leftover' ELSE 'leftover of others' END END,
			CASE WHEN j.collations IS NOT NULL AND NOT j.leftover AND j.live THEN 'collation' END,
			CASE WHEN NOT j.valid AND NOT j.leftover AND j.live THEN 'invalid' END,
			CASE WHEN j.bloated THEN 'bloat' END], NULL),
		CASE WHEN j.leftover OR NOT j.live THEN j.may_drop ELSE j.may_reindex END
	FROM (
		SELECT s.*, m.bloat_bytes, m.bloat_ratio, m.margin, coalesce(m.bloat_ratio >= bloat_threshold, false) AS bloated
		FROM states s
		LEFT JOIN measured m ON m.relation = s.index
	) j
	WHERE j.leftover OR NOT j.live OR j.collations IS NOT NULL OR NOT j.valid OR j.bloated OR everything
	ORDER BY j.leftover DESC, j.collations IS NOT NULL DESC, NOT j.valid DESC, j.bloat_bytes DESC NULLS LAST, j.bytes DESC, j.index;
END;

COMMENT ON FUNCTION pgmaint.reindex_candidates(double precision, bigint, double precision, boolean, oid[], timestamptz, oid) IS
	'indexes to be built anew, most urgent first: changed collations, invalid ones, B-trees with bloat in sampled pages; and what interrupted rebuilds left';

REVOKE ALL ON pgmaint.index_rebuilds FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.may_reindex(oid, oid),
	pgmaint.database_collation_version(),
	pgmaint.sample_indexes(oid[], double precision),
	pgmaint.changed_collations(),
	pgmaint.index_states(oid),
	pgmaint.reindex_candidates(double precision, bigint, double precision, boolean, oid[], timestamptz, oid)
FROM PUBLIC;
GRANT SELECT ON pgmaint.index_rebuilds TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	pgmaint.may_reindex(oid, oid),
	pgmaint.changed_collations(),
	pgmaint.index_states(oid),
	pgmaint.reindex_candidates(double precision, bigint, double precision, boolean, oid[], timestamptz, oid)
TO pg_monitor;
-- Corruption: what was proven sound, and when; what will break next.

CREATE TABLE pgmaint.corruption_results (
	relation oid PRIMARY KEY,
	begun_at timestamptz NOT NULL,
	check_name text CHECK (check_name IN ('heap', 'index', 'index with parent')),
	run_id bigint,
	last_checked timestamptz,
	last_verified timestamptz,
	outcome text CHECK (outcome IN ('sound', 'damaged')),
	problems bigint,
	problems_at timestamptz,
	duration interval,
	bytes bigint,
	message text,
	next_block bigint,
	pass_begun_at timestamptz
) WITH (fillfactor = 70);

COMMENT ON TABLE pgmaint.corruption_results IS 'one row for each table and index that check_corruption has ever begun to check: pgmaint.corruption_checks shows them';
COMMENT ON COLUMN pgmaint.corruption_results.begun_at IS 'when a check last began, whether it came to its end or not: least recently checked is what began longest ago';
COMMENT ON COLUMN pgmaint.corruption_results.next_block IS 'where the next run goes on, because the time was used up in the middle of the table';
COMMENT ON COLUMN pgmaint.corruption_results.pass_begun_at IS 'when the part of the table before next_block began to be checked';

CREATE TABLE pgmaint.checksum_readings (
	database_id oid PRIMARY KEY,
	database name,
	failures bigint NOT NULL,
	last_failure timestamptz,
	stats_reset timestamptz,
	read_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint.checksum_readings IS 'checksum failures of every database of the server, as check_corruption last read them';
COMMENT ON COLUMN pgmaint.checksum_readings.database IS 'null: the objects that all databases share';

-- What there is to check: tables, materialized views and their TOAST tables,
-- and the indexes of these.
CREATE VIEW pgmaint.checkable_relations AS
SELECT
	c.oid AS relation,
	m.table_oid,
	CASE WHEN c.relkind = 'i' THEN 'index' ELSE 'table' END AS kind,
	a.amname AS method,
	n.nspname AS schema,
	c.relname AS name,
	m.table_namespace,
	-- for pgmaint.file_size()
	c.relfilenode AS filenode,
	c.reltablespace AS tablespace,
	c.relpages AS pages
FROM (
	SELECT r.oid AS table_oid, r.relnamespace AS table_namespace, h.heap
	FROM pg_catalog.pg_class r
	CROSS JOIN LATERAL (VALUES (r.oid), (r.reltoastrelid)) AS h (heap)
	WHERE r.relkind IN ('r', 'm') AND r.relpersistence <> 't' AND h.heap <> 0
) t
CROSS JOIN LATERAL (
	SELECT t.table_oid, t.table_namespace, t.heap AS oid
	UNION ALL
	SELECT t.table_oid, t.table_namespace, i.indexrelid
	FROM pg_catalog.pg_index i
	WHERE i.indrelid = t.heap AND i.indisvalid AND i.indisready AND i.indislive
) m
JOIN pg_catalog.pg_class c ON c.oid = m.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_am a ON a.oid = c.relam;

COMMENT ON VIEW pgmaint.checkable_relations IS 'every table, TOAST table and valid index that is not temporary, with the table that it belongs to';

CREATE VIEW pgmaint.corruption_checks AS
SELECT
	c.relation::pg_catalog.regclass AS relation,
	c.kind,
	c.method,
	r.last_verified,
	coalesce(r.outcome, CASE WHEN r.relation IS NULL THEN 'never checked' ELSE 'not finished' END) AS outcome,
	r.check_name AS checked,
	r.problems,
	r.problems_at,
	r.last_checked,
	pg_catalog.date_trunc('milliseconds', r.duration) AS duration,
	r.bytes,
	r.message,
	r.begun_at,
	r.run_id
FROM pgmaint.checkable_relations c
LEFT JOIN pgmaint.corruption_results r ON r.relation = c.relation
ORDER BY r.last_verified NULLS FIRST, c.relation;

COMMENT ON VIEW pgmaint.corruption_checks IS
	'when each table and index was last proven sound, least recently first: outcome is that of its last check, problems_at when damage was last found in it';

-- Columns with a default that a sequence feeds are filled by it whether they
-- own it or not.
CREATE VIEW pgmaint.sequence_usage AS
SELECT
	c.oid::pg_catalog.regclass AS sequence,
	k.attrelid::pg_catalog.regclass AS "table",
	k.attname AS "column",
	k.type_name,
	l.last_value,
	l.last_possible,
	CASE
		WHEN l.last_value IS NULL THEN 0
		-- the next step would be too long, however little that is
		WHEN pg_catalog.div(l.last_possible::numeric - l.last_value, s.seqincrement) <= 0 THEN 1
		WHEN s.seqincrement > 0 THEN pg_catalog.round(least(1,
			(l.last_value::numeric - s.seqmin) / nullif(l.last_possible::numeric - s.seqmin, 0)), 4)
		ELSE pg_catalog.round(least(1,
			(s.seqmax::numeric - l.last_value) / nullif(s.seqmax::numeric - l.last_possible, 0)), 4)
	END AS used_ratio,
	greatest(0, pg_catalog.div(l.last_possible::numeric - coalesce(l.last_value, s.seqstart), s.seqincrement)
		-- the first value is still to come
		+ CASE WHEN l.last_value IS NULL THEN 1 ELSE 0 END) AS values_left,
	s.seqcycle AS cycles
FROM pg_catalog.pg_sequence s
JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
LEFT JOIN LATERAL (
	SELECT a.attrelid, a.attname, pg_catalog.format_type(y.oid, NULL) AS type_name,
		CASE y.oid
			WHEN 'pg_catalog.int2'::pg_catalog.regtype THEN 32767
			WHEN 'pg_catalog.int4'::pg_catalog.regtype THEN 2147483647
			ELSE 9223372036854775807
		END AS highest
	FROM (
		SELECT d.refobjid, d.refobjsubid
		FROM pg_catalog.pg_depend d
		WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
			AND d.objid = s.seqrelid
			AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
			AND d.refobjsubid > 0
			AND d.deptype IN ('a', 'i')
		UNION
		SELECT f.adrelid, f.adnum
		FROM pg_catalog.pg_depend d
		JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
		WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
			AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
			AND d.refobjid = s.seqrelid
	) f (attrelid, attnum)
	JOIN pg_catalog.pg_attribute a ON a.attrelid = f.attrelid AND a.attnum = f.attnum AND NOT a.attisdropped
	JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
	JOIN pg_catalog.pg_type y ON y.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
	ORDER BY highest, a.attrelid, a.attnum
	LIMIT 1
) k ON true
CROSS JOIN LATERAL (
	SELECT
		CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE')
				AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())
			THEN pg_catalog.pg_sequence_last_value(c.oid) END AS last_value,
		CASE WHEN s.seqincrement > 0 THEN least(s.seqmax, k.highest)
			ELSE greatest(s.seqmin, -1 - k.highest) END AS last_possible
) l
WHERE c.relpersistence <> 't'
ORDER BY used_ratio DESC, sequence;

COMMENT ON VIEW pgmaint.sequence_usage IS
	'how much of each sequence is used up, by the smallest integer type among the sequence and the columns that it fills; last_value is null where it was never used or may not be read';

CREATE VIEW pgmaint.unvalidated_constraints AS
SELECT
	k.conrelid::pg_catalog.regclass AS relation,
	k.conname AS "constraint",
	CASE k.contype WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check' ELSE 'not null' END AS kind,
	pg_catalog.format('ALTER TABLE %I.%I VALIDATE CONSTRAINT %I', n.nspname, c.relname, k.conname) AS command
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT k.convalidated
	AND k.contype IN ('f', 'c', 'n')
	AND k.conparentid = 0
	AND (k.conislocal OR k.coninhcount = 0)
	AND c.relkind IN ('r', 'p')
	-- 18 and later: what is not enforced is not meant to hold
	AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::boolean, true)
ORDER BY k.conrelid, k.conname;

COMMENT ON VIEW pgmaint.unvalidated_constraints IS
	'constraints that were added NOT VALID and never validated: rows that were there before may break them';

-- The catalog is asked, because the version does not tell: 19 was to have this
-- function, and its release candidate has not.
CREATE FUNCTION pgmaint.checksums_hint()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN EXISTS (
			SELECT FROM pg_proc p
			WHERE p.proname = 'pg_enable_data_checksums' AND p.pronamespace = 'pg_catalog'::regnamespace)
		THEN 'SELECT pg_enable_data_checksums() adds them while the server runs, and pg_stat_progress_data_checksums shows how far it is'
		ELSE 'pg_checksums --enable adds them while the server is down' END;
END;

COMMENT ON FUNCTION pgmaint.checksums_hint() IS
	'how to turn data checksums on: with the server running where it can do that, else with the server stopped';

REVOKE ALL ON pgmaint.corruption_results, pgmaint.checksum_readings, pgmaint.checkable_relations,
	pgmaint.corruption_checks, pgmaint.sequence_usage, pgmaint.unvalidated_constraints FROM PUBLIC;
GRANT SELECT ON pgmaint.corruption_results, pgmaint.checksum_readings, pgmaint.checkable_relations,
	pgmaint.corruption_checks, pgmaint.sequence_usage, pgmaint.unvalidated_constraints TO pg_monitor;
REVOKE ALL ON FUNCTION pgmaint.checksums_hint() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.checksums_hint() TO pg_monitor;
-- Connections: who has them, how many there ever were, how many there should be.

CREATE TABLE pgmaint.connection_samples (
	sampled_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp() PRIMARY KEY,
	connections integer NOT NULL,
	active integer NOT NULL,
	idle_in_transaction integer NOT NULL,
	longest_idle_in_transaction interval,
	max_connections integer NOT NULL
);

COMMENT ON TABLE pgmaint.connection_samples IS 'how many clients were connected to the server, each time that tick() or the action connection_review looked';
COMMENT ON COLUMN pgmaint.connection_samples.longest_idle_in_transaction IS 'for how long the session that was idle in a transaction longest had been so';

CREATE VIEW pgmaint.connection_use AS
SELECT
	a.datname AS database,
	a.usename AS role,
	a.application_name AS application,
	coalesce(a.state, 'not known') AS state,
	pg_catalog.count(*) AS connections,
	pg_catalog.round(100.0 * pg_catalog.count(*) / pg_catalog.sum(pg_catalog.count(*)) OVER (), 1) AS percent,
	pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - pg_catalog.min(a.state_change)) AS longest_in_state
FROM pg_catalog.pg_stat_activity a
WHERE a.backend_type = 'client backend'
GROUP BY a.datname, a.usename, a.application_name, a.state
ORDER BY connections DESC, a.datname, a.usename, a.application_name, a.state;

COMMENT ON VIEW pgmaint.connection_use IS
	'the clients that are connected, by database, role, application and state, with their share of all; longest_in_state is how long one of them has been in this state';

CREATE FUNCTION pgmaint.memory_of_machine()
RETURNS bigint
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_memory_of_machine';

COMMENT ON FUNCTION pgmaint.memory_of_machine() IS 'bytes of memory that the machine has, or that the server''s control group may use';

-- The arithmetic: room for half as many again as there ever were at a time.
-- What is not needed is only given back once four weeks have been looked at.
-- Each connection is reckoned with work_mem and 8 MB; with shared_buffers they
-- are to take no more than four fifths of the memory.
CREATE FUNCTION pgmaint.connection_limit(
	OUT current integer,
	OUT reserved integer,
	OUT in_use integer,
	OUT peak integer,
	OUT peak_at timestamptz,
	OUT since timestamptz,
	OUT samples bigint,
	OUT connection_bytes bigint,
	OUT memory_bytes bigint,
	OUT affordable integer,
	OUT recommended integer,
	OUT reason text
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH now AS MATERIALIZED (
		SELECT clock_timestamp() AS sampled_at, count(*)::integer AS connections
		FROM pg_stat_activity a
		WHERE a.backend_type = 'client backend'
	),
	seen AS (
		SELECT s.sampled_at, s.connections
		FROM pgmaint.connection_samples s
		WHERE s.sampled_at > clock_timestamp() - interval '90 days'
		UNION ALL
		SELECT n.sampled_at, n.connections FROM now n
	),
	peak AS (
		SELECT
			max(s.connections) AS connections,
			(array_agg(s.sampled_at ORDER BY s.connections DESC, s.sampled_at DESC))[1] AS sampled_at,
			min(s.sampled_at) AS since,
			count(*) AS samples
		FROM seen s
	),
	limits AS (
		SELECT
			current_setting('max_connections')::integer AS current,
			current_setting('superuser_reserved_connections')::integer
				+ coalesce(current_setting('reserved_connections', true)::integer, 0) AS reserved,
			-- as sessions begin with it, in kB
			(SELECT w.reset_val::bigint * 1024 FROM pg_settings w WHERE w.name = 'work_mem') + 8 * 1024 * 1024 AS connection_bytes,
			pg_size_bytes(current_setting('shared_buffers')) AS shared_bytes,
			pgmaint.memory_of_machine() AS memory_bytes
	),
	reckoned AS (
		SELECT
			l.*,
			p.*,
			n.connections AS in_use,
			(ceil((p.connections * 1.5 + l.reserved) / 10) * 10)::integer AS wanted,
			greatest(least(floor((0.8 * l.memory_bytes - l.shared_bytes) / l.connection_bytes), 262143), 0)::integer AS affordable
		FROM limits l
		CROSS JOIN peak p
		CROSS JOIN now n
	),
	decided AS (
		SELECT
			r.*,
			CASE
				WHEN r.connections > 0.8 * (r.current - r.reserved) THEN greatest(least(r.wanted, r.affordable), r.current)
				WHEN r.current > r.affordable OR (r.current > 200 AND r.wanted < r.current / 2 AND r.sampled_at - r.since >= interval '28 days')
					THEN least(greatest(r.wanted, 100), r.current)
				ELSE r.current END AS recommended
		FROM reckoned r
	)
	SELECT
		d.current,
		d.reserved,
		d.in_use,
		d.connections,
		d.sampled_at,
		d.since,
		d.samples,
		d.connection_bytes,
		d.memory_bytes,
		d.affordable,
		d.recommended,
		CASE
			WHEN d.connections > 0.8 * (d.current - d.reserved) AND d.recommended = d.current THEN format(
				'a peak of %s comes close to the %s that there are, but memory does not allow for more: let the clients share connections through a pooler, such as PgBouncer',
				d.connections, d.current - d.reserved)
			WHEN d.recommended > d.current THEN format('a peak of %s and half as many again, and %s reserved; %s would take %s of %s of memory',
				d.connections, d.reserved, d.recommended, pg_size_pretty(d.shared_bytes + d.recommended * d.connection_bytes), pg_size_pretty(d.memory_bytes))
			WHEN d.recommended < d.current AND d.current > d.affordable THEN format(
				'%s connections could take %s of %s of memory, and never more than %s were used at a time',
				d.current, pg_size_pretty(d.shared_bytes + d.current * d.connection_bytes), pg_size_pretty(d.memory_bytes), d.connections)
			WHEN d.recommended < d.current THEN format('never more than %s were used at a time since %s', d.connections, to_char(d.since, 'YYYY-MM-DD'))
			WHEN d.current > d.affordable THEN format(
				'as it is; but all of them could take %s of %s of memory: see to work_mem, or to a pooler',
				pg_size_pretty(d.shared_bytes + d.current * d.connection_bytes), pg_size_pretty(d.memory_bytes))
			ELSE format('as it is: a peak of %s leaves room', d.connections) END
	FROM decided d;
END;

COMMENT ON FUNCTION pgmaint.connection_limit() IS
	'what max_connections should be, by the peak of the last 90 days and the memory of the machine, and the figures that this rests on';

-- A standby refuses to go on when its primary has more connections than itself:
-- it replays no WAL until it was restarted with as many.
CREATE FUNCTION pgmaint.physical_standbys()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT string_agg(s.name, ', ' ORDER BY s.name)
	FROM (
		SELECT concat('standby "', r.application_name, '"', ' at ' || host(r.client_addr)) AS name
		FROM pg_stat_replication r
		WHERE r.state <> 'backup'
			AND NOT EXISTS (SELECT FROM pg_replication_slots x WHERE x.active_pid = r.pid AND x.slot_type = 'logical')
		UNION ALL
		SELECT format('the standby of slot "%s", which is not connected', x.slot_name)
		FROM pg_replication_slots x
		WHERE x.slot_type = 'physical' AND NOT x.active AND x.restart_lsn IS NOT NULL
	) s;
END;

COMMENT ON FUNCTION pgmaint.physical_standbys() IS
	'the standbys that this server knows, connected or with a slot; null: none';

CREATE FUNCTION pgmaint.connection_review()
RETURNS TABLE (topic text, item text, connections bigint, detail text)
LANGUAGE sql STABLE ROWS 20 COST 10000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	WITH l AS MATERIALIZED (
		SELECT * FROM pgmaint.connection_limit()
	),
	use AS MATERIALIZED (
		SELECT u.*, row_number() OVER () AS nth FROM pgmaint.connection_use u
	),
	idle AS (
		SELECT
			count(*) AS sessions,
			max(clock_timestamp() - a.state_change) AS longest,
			(array_agg(format('process %s of role %s in database %s%s', a.pid, quote_ident(a.usename), quote_ident(a.datname),
				coalesce(' (' || nullif(a.application_name, '') || ')', '')) ORDER BY a.state_change))[1] AS holder
		FROM pg_stat_activity a
		WHERE a.backend_type = 'client backend' AND a.state LIKE 'idle in transaction%'
	),
	lines AS (
		SELECT 1 AS part, 0::bigint AS nth, 'limit' AS topic, 'max_connections' AS item, l.current::bigint AS connections,
			format('%s reserved for superusers and the like', l.reserved) AS detail
		FROM l
		UNION ALL
		SELECT 2, 0, 'in use', 'all', l.in_use,
			format('%s %% of the %s that others may use', round(100.0 * l.in_use / nullif(l.current - l.reserved, 0)), l.current - l.reserved)
		FROM l
		UNION ALL
		SELECT 3, u.nth, 'in use', concat_ws(', ', 'database ' || quote_ident(u.database), 'role ' || quote_ident(u.role), nullif(u.application, ''), u.state),
			u.connections, format('%s %% of all, the longest for %s', u.percent, u.longest_in_state)
		FROM use u
		WHERE u.nth <= 20
		UNION ALL
		SELECT 4, 0, 'in use', format('%s more groups: SELECT * FROM pgmaint.connection_use', count(*)), sum(u.connections)::bigint, ''
		FROM use u
		WHERE u.nth > 20
		HAVING count(*) > 0
		UNION ALL
		SELECT 5, 0, 'idle in transaction', 'all', i.sessions,
			CASE WHEN i.sessions = 0 THEN 'none' ELSE format('the longest for %s: %s', date_trunc('second', i.longest), i.holder) END
		FROM idle i
		UNION ALL
		SELECT 6, 0, 'peak', format('since %s', date_trunc('minute', l.since)), l.peak,
			format('at %s; looked at %s times', date_trunc('minute', l.peak_at), l.samples)
		FROM l
		UNION ALL
		SELECT 7, 0, 'memory', format('%s MB for each connection', l.connection_bytes / 1048576), l.affordable,
			format('would fit, with shared_buffers of %s, into four fifths of %s', current_setting('shared_buffers'), pg_size_pretty(l.memory_bytes))
		FROM l
		UNION ALL
		SELECT 8, 0, 'recommendation', 'max_connections', l.recommended, l.reason
		FROM l
		UNION ALL
		SELECT 9, 0, 'command', format('ALTER SYSTEM SET max_connections = %s', l.recommended), l.recommended,
			CASE
				WHEN s.names IS NULL THEN 'takes a restart of the server'
				WHEN l.recommended > l.current THEN 'on each standby first, with a restart of it, then on this server, with a restart: ' || s.names
				ELSE 'on this server first, with a restart, then on each standby: ' || s.names END
		FROM l
		CROSS JOIN (SELECT pgmaint.physical_standbys() AS names) s
		WHERE l.recommended <> l.current
		UNION ALL
		SELECT 10, 0, 'restart', 'max_connections', l.current, 'was changed, and waits for a restart of the server'
		FROM l
		JOIN pg_settings s ON s.name = 'max_connections' AND s.pending_restart
	)
	SELECT n.topic, n.item, n.connections, n.detail
	FROM lines n
	ORDER BY n.part, n.nth;
END;

COMMENT ON FUNCTION pgmaint.connection_review() IS
	'who uses the server''s connections, the peak so far, and what max_connections should be, with the command that would make it so; changes nothing';

REVOKE ALL ON pgmaint.connection_samples, pgmaint.connection_use FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.memory_of_machine(),
	pgmaint.connection_limit(),
	pgmaint.physical_standbys(),
	pgmaint.connection_review()
FROM PUBLIC;
GRANT SELECT ON pgmaint.connection_samples, pgmaint.connection_use TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	pgmaint.memory_of_machine(),
	pgmaint.connection_limit(),
	pgmaint.physical_standbys(),
	pgmaint.connection_review()
TO pg_monitor;
-- pg_stat_statements counts for ever; from snapshots of its figures comes what
-- happened in a period.

CREATE TABLE pgmaint.statement_snapshots (
	snapshot_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	taken_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	run_id bigint REFERENCES pgmaint.runs ON DELETE SET NULL,
	counted_since timestamptz NOT NULL,
	evicted bigint,
	statements bigint NOT NULL,
	total_ms double precision NOT NULL
);

CREATE INDEX statement_snapshots_time ON pgmaint.statement_snapshots (taken_at);
CREATE INDEX statement_snapshots_run ON pgmaint.statement_snapshots (run_id);

COMMENT ON TABLE pgmaint.statement_snapshots IS 'each time that the figures of pg_stat_statements were kept: by tick() every six hours, and by runs';
COMMENT ON COLUMN pgmaint.statement_snapshots.counted_since IS 'when pg_stat_statements was reset before that, as pgmaint.statements_since() says it';
COMMENT ON COLUMN pgmaint.statement_snapshots.evicted IS 'how often pg_stat_statements had forgotten statements for want of room; null: it does not count that';
COMMENT ON COLUMN pgmaint.statement_snapshots.statements IS 'how many statements there were; those that had taken most time were kept';
COMMENT ON COLUMN pgmaint.statement_snapshots.total_ms IS 'what all of them had taken';

CREATE TABLE pgmaint.statement_figures (
	snapshot_id bigint NOT NULL REFERENCES pgmaint.statement_snapshots ON DELETE CASCADE,
	userid oid NOT NULL,
	queryid bigint NOT NULL,
	toplevel boolean NOT NULL DEFAULT true,
	calls bigint NOT NULL,
	rows bigint NOT NULL DEFAULT 0,
	total_ms double precision NOT NULL,
	max_ms double precision NOT NULL DEFAULT 0,
	shared_hit bigint NOT NULL DEFAULT 0,
	shared_read bigint NOT NULL DEFAULT 0,
	temp_blocks bigint NOT NULL DEFAULT 0,
	wal_bytes numeric,
	stats_since timestamptz,
	PRIMARY KEY (snapshot_id, queryid, userid, toplevel)
);

COMMENT ON TABLE pgmaint.statement_figures IS 'what pg_stat_statements had counted of each statement when a snapshot was taken';
COMMENT ON COLUMN pgmaint.statement_figures.stats_since IS 'since when the statement was counted; null: pg_stat_statements did not say';

CREATE TABLE pgmaint.statement_texts (
	queryid bigint PRIMARY KEY,
	query text NOT NULL
);

COMMENT ON TABLE pgmaint.statement_texts IS 'the texts of the statements in pgmaint.statement_figures, as pg_stat_statements shows them; up to 10000 characters';

CREATE FUNCTION pgmaint.take_statement_snapshot(run_id bigint DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	taken bigint;
BEGIN
	IF pgmaint.statements_missing() IS NOT NULL THEN
		RETURN NULL;
	END IF;
	PERFORM pgmaint.note_table_writes();
	INSERT INTO pgmaint.statement_snapshots (run_id, counted_since, evicted, statements, total_ms)
	SELECT take_statement_snapshot.run_id, i.counted_since, i.evicted, 0, 0
	FROM pgmaint.statements_since() i
	RETURNING snapshot_id INTO taken;
	WITH counted AS MATERIALIZED (
		SELECT s.*
		FROM pgmaint.statement_statistics() s
		WHERE s.queryid IS NOT NULL AND s.userid IS NOT NULL
	),
	kept AS MATERIALIZED (
		SELECT c.* FROM counted c ORDER BY c.total_ms DESC, c.queryid LIMIT 500
	),
	figures AS (
		INSERT INTO pgmaint.statement_figures (snapshot_id, userid, queryid, toplevel, calls, rows, total_ms, max_ms,
			shared_hit, shared_read, temp_blocks, wal_bytes, stats_since)
		SELECT taken, k.userid, k.queryid, coalesce(k.toplevel, true), k.calls, k.rows, k.total_ms, k.max_ms,
			k.shared_hit, k.shared_read, k.temp_read + k.temp_written, k.wal_bytes, k.stats_since
		FROM kept k
	),
	texts AS (
		INSERT INTO pgmaint.statement_texts (queryid, query)
		SELECT DISTINCT ON (k.queryid) k.queryid, left(k.query, 10000)
		FROM kept k
		WHERE k.query IS NOT NULL
		ON CONFLICT DO NOTHING
	)
	UPDATE pgmaint.statement_snapshots s
	SET statements = c.statements, total_ms = c.total_ms
	FROM (SELECT count(*) AS statements, coalesce(sum(o.total_ms), 0) AS total_ms FROM counted o) c
	WHERE s.snapshot_id = taken;
	-- those between runs are needed for less long
	DELETE FROM pgmaint.statement_snapshots s
	WHERE s.taken_at < clock_timestamp() - CASE WHEN s.run_id IS NULL THEN interval '35 days' ELSE interval '400 days' END
		OR s.snapshot_id IN (SELECT o.snapshot_id FROM pgmaint.statement_snapshots o ORDER BY o.taken_at DESC OFFSET 500);
	IF found THEN
		DELETE FROM pgmaint.statement_texts t
		WHERE NOT EXISTS (SELECT FROM pgmaint.statement_figures f WHERE f.queryid = t.queryid);
	END IF;
	DELETE FROM pgmaint.query_plans p WHERE p.last_seen_at < clock_timestamp() - interval '400 days';
	RETURN taken;
END
$$;

COMMENT ON FUNCTION pgmaint.take_statement_snapshot(bigint) IS
	'keep what pg_stat_statements has counted so far of the 500 statements that took most time, and forget old snapshots; null where it does not count';

-- A statement's figures go on from one snapshot to the next unless it was
-- forgotten in between, for want of room or by a reset; then they began anew.
-- So did those of a statement that was not kept before.
CREATE FUNCTION pgmaint.statement_changes(start_snapshot bigint, end_snapshot bigint)
RETURNS TABLE (
	userid oid,
	toplevel boolean,
	queryid bigint,
	query text,
	calls bigint,
	rows bigint,
	total_ms double precision,
	max_ms double precision,
	shared_hit bigint,
	shared_read bigint,
	temp_blocks bigint,
	wal_bytes numeric
)
LANGUAGE sql VOLATILE ROWS 500 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH latest AS (
		SELECT f.userid, f.toplevel, f.queryid, t.query, f.calls, f.rows, f.total_ms, f.max_ms, f.shared_hit, f.shared_read,
			f.temp_blocks, f.wal_bytes, f.stats_since, h.counted_since, h.evicted
		FROM pgmaint.statement_snapshots h
		JOIN pgmaint.statement_figures f ON f.snapshot_id = h.snapshot_id
		LEFT JOIN pgmaint.statement_texts t ON t.queryid = f.queryid
		WHERE h.snapshot_id = statement_changes.end_snapshot
		UNION ALL
		SELECT s.userid, coalesce(s.toplevel, true), s.queryid, s.query, s.calls, s.rows, s.total_ms, s.max_ms, s.shared_hit, s.shared_read,
			s.temp_read + s.temp_written, s.wal_bytes, s.stats_since, i.counted_since, i.evicted
		FROM pgmaint.statement_statistics() s
		CROSS JOIN pgmaint.statements_since() i
		WHERE statement_changes.end_snapshot IS NULL AND s.queryid IS NOT NULL
	),
	earlier AS (
		SELECT f.*, h.counted_since
		FROM pgmaint.statement_snapshots h
		JOIN pgmaint.statement_figures f ON f.snapshot_id = h.snapshot_id
		WHERE h.snapshot_id = statement_changes.start_snapshot
	)
	SELECT
		l.userid,
		l.toplevel,
		l.queryid,
		l.query,
		l.calls - coalesce(e.calls, 0),
		greatest(l.rows - coalesce(e.rows, 0), 0),
		l.total_ms - coalesce(e.total_ms, 0),
		l.max_ms,
		greatest(l.shared_hit - coalesce(e.shared_hit, 0), 0),
		greatest(l.shared_read - coalesce(e.shared_read, 0), 0),
		greatest(l.temp_blocks - coalesce(e.temp_blocks, 0), 0),
		greatest(l.wal_bytes - coalesce(e.wal_bytes, 0), 0)
	FROM latest l
	LEFT JOIN earlier e ON e.queryid = l.queryid AND e.userid = l.userid AND e.toplevel = l.toplevel
		AND e.calls <= l.calls AND e.total_ms <= l.total_ms
		-- versions that do not say when they were reset are gone by the figures
		AND CASE WHEN e.stats_since IS NOT NULL AND l.stats_since IS NOT NULL THEN e.stats_since = l.stats_since
			ELSE l.evicted IS NULL OR e.counted_since = l.counted_since END
	WHERE l.calls > coalesce(e.calls, 0);
END;

COMMENT ON FUNCTION pgmaint.statement_changes(bigint, bigint) IS
	'what statements did between two snapshots: from the beginning where the first is null, until now where the second is; max_ms is since they are counted';

REVOKE ALL ON pgmaint.statement_snapshots, pgmaint.statement_figures, pgmaint.statement_texts FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.take_statement_snapshot(bigint),
	pgmaint.statement_changes(bigint, bigint)
FROM PUBLIC;
GRANT SELECT ON pgmaint.statement_snapshots, pgmaint.statement_figures, pgmaint.statement_texts TO pg_monitor;
GRANT EXECUTE ON FUNCTION pgmaint.statement_changes(bigint, bigint) TO pg_monitor;
-- Which queries take the time.

-- A query in one line.
CREATE FUNCTION pgmaint.short_query(query text, length integer)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN length(l.line) > short_query.length
		THEN left(l.line, short_query.length - 3) || '...' ELSE l.line END
	FROM (SELECT btrim(regexp_replace(short_query.query, E'\\s+', ' ', 'g')) AS line) l;
END;

COMMENT ON FUNCTION pgmaint.short_query(text, integer) IS 'the beginning of a query, in one line';

CREATE FUNCTION pgmaint.slow_queries("limit" integer DEFAULT 20, since interval DEFAULT NULL, order_by text DEFAULT 'total')
RETURNS TABLE (
	query text,
	calls bigint,
	total_percent numeric,
	mean_ms numeric,
	max_ms numeric,
	rows_per_call numeric,
	hit_percent numeric,
	temp_per_call text,
	wal_per_call text,
	mean_before_ms numeric,
	change_percent numeric,
	role name,
	queryid bigint,
	full_query text
)
LANGUAGE plpgsql VOLATILE ROWS 20 COST 10000
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	missing text := pgmaint.statements_missing();
	choices CONSTANT text[] := ARRAY['total', 'mean', 'max', 'calls', 'rows', 'reads', 'temp', 'wal', 'change'];
	first pgmaint.statement_snapshots;
	previous bigint;
	counted timestamptz;
BEGIN
	IF NOT coalesce(slow_queries.order_by = ANY (choices), false) THEN
		RAISE EXCEPTION USING
			ERRCODE = 'invalid_parameter_value',
			MESSAGE = format('invalid order "%s"', coalesce(slow_queries.order_by, 'null')),
			HINT = format('Valid orders are: %s.', array_to_string(choices, ', '));
	END IF;
	IF slow_queries."limit" < 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'limit must not be negative';
	END IF;
	PERFORM pgmaint.check_duration('since', coalesce(slow_queries.since, interval '1 hour'));
	IF missing IS NOT NULL THEN
		RAISE NOTICE 'no queries to show: %', missing;
		RETURN;
	END IF;
	SELECT s.* INTO first
	FROM pgmaint.statement_snapshots s
	WHERE s.taken_at <= clock_timestamp() - coalesce(slow_queries.since, interval '1 hour')
	ORDER BY s.taken_at DESC
	LIMIT 1;
	counted := (SELECT i.counted_since FROM pgmaint.statements_since() i);
	IF first.snapshot_id IS NULL AND slow_queries.since IS NOT NULL THEN
		RAISE NOTICE 'no snapshot is as old as that: this is all that pg_stat_statements has counted';
	ELSIF first.snapshot_id IS NOT NULL AND counted > first.taken_at THEN
		RAISE NOTICE 'pg_stat_statements was reset at %: this is what it has counted since', date_trunc('second', counted);
	END IF;
	-- as long a time before that, or what there is of it
	previous := (
		SELECT s.snapshot_id
		FROM pgmaint.statement_snapshots s
		WHERE s.taken_at <= first.taken_at - (clock_timestamp() - first.taken_at)
		ORDER BY s.taken_at DESC
		LIMIT 1);
	RETURN QUERY
	WITH now AS MATERIALIZED (
		SELECT c.*, c.total_ms / c.calls AS mean
		FROM pgmaint.statement_changes(first.snapshot_id, NULL) c
		-- which waits for what is counted by itself
		WHERE coalesce(c.query, '') !~* E'^\\s*CALL\\s+pgmaint\\.run_and_wait\\M'
	),
	before AS MATERIALIZED (
		SELECT c.userid, c.toplevel, c.queryid, c.total_ms / c.calls AS mean
		FROM pgmaint.statement_changes(previous, first.snapshot_id) c
		WHERE first.snapshot_id IS NOT NULL
	)
	SELECT
		pgmaint.short_query(n.query, 60),
		n.calls,
		-- what is nested in others is part of their time
		round((100 * n.total_ms / nullif((SELECT sum(o.total_ms) FROM now o WHERE o.toplevel), 0))::numeric, 1),
		round(n.mean::numeric, 3),
		round(n.max_ms::numeric, 3),
		round(n.rows::numeric / n.calls, 1),
		round(100.0 * n.shared_hit / nullif(n.shared_hit + n.shared_read, 0), 1),
		pg_size_pretty(n.temp_blocks * current_setting('block_size')::bigint / n.calls),
		pg_size_pretty(round(n.wal_bytes / n.calls)),
		round(b.mean::numeric, 3),
		round((100 * (n.mean / nullif(b.mean, 0) - 1))::numeric),
		pg_get_userbyid(n.userid),
		n.queryid,
		n.query
	FROM now n
	LEFT JOIN before b ON b.queryid = n.queryid AND b.userid = n.userid AND b.toplevel = n.toplevel
	ORDER BY CASE slow_queries.order_by
		WHEN 'total' THEN n.total_ms
		WHEN 'mean' THEN n.mean
		WHEN 'max' THEN n.max_ms
		WHEN 'calls' THEN n.calls
		WHEN 'rows' THEN n.rows
		WHEN 'reads' THEN n.shared_read
		WHEN 'temp' THEN n.temp_blocks
		WHEN 'wal' THEN n.wal_bytes
		ELSE n.mean / nullif(b.mean, 0) END DESC NULLS LAST, n.total_ms DESC, n.queryid
	LIMIT slow_queries."limit";
END
$$;

COMMENT ON FUNCTION pgmaint.slow_queries(integer, interval, text) IS
	'the queries that took most of the time since the last snapshot that is at least so old (an hour), with their mean time in the period before; ordered by total, mean, max, calls, rows, reads, temp, wal or change';

REVOKE ALL ON FUNCTION
	pgmaint.short_query(text, integer),
	pgmaint.slow_queries(integer, interval, text)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint.short_query(text, integer),
	pgmaint.slow_queries(integer, interval, text)
TO pg_monitor;
-- Which queries became slower with the last maintenance.

CREATE FUNCTION pgmaint.may_change_plans(action text)
RETURNS boolean
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT may_change_plans.action IN ('vacuum', 'vacuum_full', 'analyze', 'reindex');
END;

COMMENT ON FUNCTION pgmaint.may_change_plans(text) IS 'is an action maintenance of tables, after which queries may be executed in another way';

-- The last maintenance that figures are there for: from before its first task,
-- from after its last, and from later.
CREATE FUNCTION pgmaint.last_maintenance(
	OUT run_id bigint,
	OUT plan text,
	OUT finished_at timestamptz,
	OUT before_that bigint,
	OUT until_then bigint,
	OUT from_then bigint,
	OUT until_now bigint
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT r.run_id, r.plan, m.finished_at, b.snapshot_id, u.snapshot_id, f.snapshot_id, n.snapshot_id
	FROM pgmaint.runs r
	CROSS JOIN LATERAL (
		SELECT min(t.started_at) AS started_at, max(t.finished_at) AS finished_at
		FROM pgmaint.tasks t
		WHERE t.run_id = r.run_id AND t.state = 'succeeded' AND pgmaint.may_change_plans(t.action)
	) m
	CROSS JOIN LATERAL (
		SELECT s.snapshot_id, s.taken_at FROM pgmaint.statement_snapshots s WHERE s.taken_at <= m.started_at ORDER BY s.taken_at DESC LIMIT 1
	) u
	CROSS JOIN LATERAL (
		SELECT s.snapshot_id, s.taken_at FROM pgmaint.statement_snapshots s WHERE s.taken_at >= m.finished_at ORDER BY s.taken_at LIMIT 1
	) f
	CROSS JOIN LATERAL (
		SELECT s.snapshot_id FROM pgmaint.statement_snapshots s WHERE s.taken_at > f.taken_at ORDER BY s.taken_at DESC LIMIT 1
	) n
	LEFT JOIN LATERAL (
		SELECT s.snapshot_id FROM pgmaint.statement_snapshots s WHERE s.taken_at <= u.taken_at - interval '7 days' ORDER BY s.taken_at DESC LIMIT 1
	) b ON true
	WHERE r.finished_at IS NOT NULL
	ORDER BY r.finished_at DESC, r.run_id DESC
	LIMIT 1;
END;

COMMENT ON FUNCTION pgmaint.last_maintenance() IS
	'the last run that maintained tables and of which there are snapshots to compare: from a week before it, from before it, from after it, and the last one';

CREATE FUNCTION pgmaint.degraded_queries(factor double precision DEFAULT 2, min_calls bigint DEFAULT 20, min_mean_ms double precision DEFAULT 5)
RETURNS TABLE (
	query text,
	times numeric,
	mean_before_ms numeric,
	mean_ms numeric,
	calls_before bigint,
	calls bigint,
	run_id bigint,
	maintained_at timestamptz,
	tasks text[],
	role name,
	queryid bigint,
	full_query text
)
LANGUAGE sql VOLATILE ROWS 10 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT
		pgmaint.short_query(a.query, 60),
		round((a.mean / b.mean)::numeric, 1),
		round(b.mean::numeric, 3),
		round(a.mean::numeric, 3),
		b.calls,
		a.calls,
		m.run_id,
		m.finished_at,
		coalesce(done.tasks, '{}'),
		pg_get_userbyid(a.userid),
		a.queryid,
		a.query
	FROM pgmaint.last_maintenance() m
	CROSS JOIN LATERAL (
		SELECT c.*, c.total_ms / c.calls AS mean FROM pgmaint.statement_changes(m.from_then, m.until_now) c
	) a
	JOIN LATERAL (
		SELECT c.*, c.total_ms / c.calls AS mean FROM pgmaint.statement_changes(m.before_that, m.until_then) c
	) b ON b.queryid = a.queryid AND b.userid = a.userid AND b.toplevel = a.toplevel
	LEFT JOIN LATERAL (
		-- on tables that are named in it
		SELECT array_agg(DISTINCT t.command) AS tasks
		FROM pgmaint.tasks t
		CROSS JOIN LATERAL unnest(t.relations) AS r (oid)
		JOIN pg_class c ON c.oid = r.oid
		WHERE t.run_id = m.run_id AND t.state = 'succeeded' AND pgmaint.may_change_plans(t.action)
			AND a.query ~* (E'\\m' || regexp_replace(c.relname, E'([][*+?^$|(){}\\\\.])', E'\\\\\\1', 'g') || E'\\M')
	) done ON true
	WHERE m.run_id IS NOT NULL AND a.mean > degraded_queries.factor * b.mean AND a.mean >= degraded_queries.min_mean_ms
		AND a.calls >= degraded_queries.min_calls AND b.calls >= degraded_queries.min_calls
		-- neither maintenance nor what pgmaint itself asks
		AND a.query !~* E'^\\s*(VACUUM|ANALYZE|REINDEX|CLUSTER|CREATE|ALTER|DROP|CHECKPOINT|REPACK)\\M' AND NOT pgmaint.is_own_statement(a.query)
	ORDER BY (a.mean - b.mean) * a.calls DESC, a.queryid;
END;

COMMENT ON FUNCTION pgmaint.degraded_queries(double precision, bigint, double precision) IS
	'the queries whose mean time, from after the last maintenance until the last snapshot, is more than so many times that of the week before it';

REVOKE ALL ON FUNCTION
	pgmaint.may_change_plans(text),
	pgmaint.last_maintenance(),
	pgmaint.degraded_queries(double precision, bigint, double precision)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint.may_change_plans(text),
	pgmaint.last_maintenance(),
	pgmaint.degraded_queries(double precision, bigint, double precision)
TO pg_monitor;
-- How the queries that take most time would be executed, and when that changed.

CREATE TABLE pgmaint.query_plans (
	plan_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	queryid bigint NOT NULL,
	userid oid NOT NULL,
	role name NOT NULL,
	first_seen_at timestamptz NOT NULL,
	last_seen_at timestamptz NOT NULL,
	run_id bigint REFERENCES pgmaint.runs ON DELETE SET NULL,
	cost double precision NOT NULL,
	outline text NOT NULL,
	plan jsonb NOT NULL,
	query text NOT NULL
);

CREATE INDEX query_plans_query ON pgmaint.query_plans (queryid, userid, last_seen_at);
CREATE INDEX query_plans_run ON pgmaint.query_plans (run_id);

COMMENT ON TABLE pgmaint.query_plans IS 'generic plans of the queries that took most time, a row for each time that it was found to be another than before; the action review_queries makes them, and executes nothing';
COMMENT ON COLUMN pgmaint.query_plans.role IS 'the role that executed the query, with whose rights it was planned';
COMMENT ON COLUMN pgmaint.query_plans.last_seen_at IS 'when the query was last found to be planned so';
COMMENT ON COLUMN pgmaint.query_plans.run_id IS 'the run that saw the plan last';
COMMENT ON COLUMN pgmaint.query_plans.cost IS 'what the planner reckoned, in its units, when the plan was last seen';
COMMENT ON COLUMN pgmaint.query_plans.outline IS 'the plan without figures: what tells it from others';
COMMENT ON COLUMN pgmaint.query_plans.plan IS 'as EXPLAIN (GENERIC_PLAN, FORMAT JSON) has it';

-- What sessions of a role begin with.
CREATE FUNCTION pgmaint.search_path_of(role oid)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce(
		(SELECT substr(c.setting, length('search_path=') + 1)
		FROM pg_db_role_setting r
		CROSS JOIN LATERAL unnest(r.setconfig) AS c (setting)
		WHERE r.setrole IN (0, search_path_of.role) AND c.setting LIKE E'search\\_path=%'
			AND r.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
		ORDER BY r.setrole <> 0 DESC, r.setdatabase <> 0 DESC
		LIMIT 1),
		(SELECT f.setting FROM pg_file_settings f WHERE f.name = 'search_path' AND f.applied ORDER BY f.seqno DESC LIMIT 1),
		'"$user", public');
END;

COMMENT ON FUNCTION pgmaint.search_path_of(oid) IS 'the search path that sessions of a role begin with in this database';

CREATE FUNCTION pgmaint.plan_outline(plan jsonb, depth integer DEFAULT 0)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF plan IS NULL THEN
		RETURN NULL;
	END IF;
	IF jsonb_typeof(plan) = 'array' THEN
		RETURN (
			SELECT string_agg(pgmaint.plan_outline(coalesce(e.node -> 'Plan', e.node), depth), E'\n' ORDER BY e.nth)
			FROM jsonb_array_elements(plan) WITH ORDINALITY AS e (node, nth));
	END IF;
	RETURN repeat('  ', depth)
		|| concat_ws(' ', split_part(plan ->> 'Subplan Name', ' (', 1) || ':', plan ->> 'Strategy', plan ->> 'Node Type', plan ->> 'Operation',
			nullif(plan ->> 'Join Type', 'Inner'), 'using ' || (plan ->> 'Index Name'), 'on ' || (plan ->> 'Relation Name'))
		|| coalesce(E'\n' || pgmaint.plan_outline(plan -> 'Plans', depth + 1), '');
END
$$;

COMMENT ON FUNCTION pgmaint.plan_outline(jsonb, integer) IS 'a plan that EXPLAIN (FORMAT JSON) shows, without figures and conditions';

CREATE FUNCTION pgmaint.keep_query_plan(
	queryid bigint,
	userid oid,
	query text,
	plan jsonb,
	run_id bigint,
	OUT changed_since timestamptz,
	OUT cost_before double precision,
	OUT cost double precision,
	OUT outline_before text,
	OUT outline text
)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	latest pgmaint.query_plans;
	present CONSTANT timestamptz := clock_timestamp();
BEGIN
	outline := pgmaint.plan_outline(keep_query_plan.plan);
	cost := keep_query_plan.plan -> 0 -> 'Plan' -> 'Total Cost';
	SELECT p.* INTO latest
	FROM pgmaint.query_plans p
	WHERE p.queryid = keep_query_plan.queryid AND p.userid = keep_query_plan.userid
	ORDER BY p.last_seen_at DESC, p.plan_id DESC
	LIMIT 1;
	IF latest.outline = outline THEN
		UPDATE pgmaint.query_plans p
		SET last_seen_at = present, run_id = keep_query_plan.run_id, cost = keep_query_plan.cost, plan = keep_query_plan.plan
		WHERE p.plan_id = latest.plan_id;
		RETURN;
	END IF;
	INSERT INTO pgmaint.query_plans (queryid, userid, role, first_seen_at, last_seen_at, run_id, cost, outline, plan, query)
	VALUES (keep_query_plan.queryid, keep_query_plan.userid, pg_get_userbyid(keep_query_plan.userid), present, present, keep_query_plan.run_id,
		keep_query_plan.cost, keep_query_plan.outline, keep_query_plan.plan, keep_query_plan.query);
	changed_since := latest.last_seen_at;
	cost_before := latest.cost;
	outline_before := latest.outline;
END
$$;

COMMENT ON FUNCTION pgmaint.keep_query_plan(bigint, oid, text, jsonb, bigint) IS
	'keep a plan, unless it is the one that the query had before; changed_since is when that was last seen, null where the plan is the same or the first';

REVOKE ALL ON pgmaint.query_plans FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.search_path_of(oid),
	pgmaint.plan_outline(jsonb, integer),
	pgmaint.keep_query_plan(bigint, oid, text, jsonb, bigint)
FROM PUBLIC;
GRANT SELECT ON pgmaint.query_plans TO pg_monitor;
GRANT EXECUTE ON FUNCTION pgmaint.plan_outline(jsonb, integer) TO pg_monitor;
-- Backups: what was made, whether it was proven, what is there.

CREATE TABLE pgmaint.backup_records (
	backup_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	run_id bigint,
	task_id bigint,
	storage name NOT NULL,
	key text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('database', 'globals')),
	database name CHECK ((kind = 'database') = (database IS NOT NULL)),
	selection jsonb,
	state text NOT NULL DEFAULT 'running'
		CHECK (state IN ('running', 'succeeded', 'failed', 'expiring', 'expired')),
	error text,
	compression text NOT NULL,
	bytes bigint,
	sha256 text,
	dump_bytes bigint,
	database_bytes bigint,
	server_version text,
	started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	finished_at timestamptz,
	verified_at timestamptz,
	verification text CHECK (verification IN ('restorable', 'not restorable', 'intact')),
	verification_error text,
	restore_duration interval,
	verification_run_id bigint,
	expired_at timestamptz,
	mark text,
	identity text DEFAULT pgmaint.current_identity(),
	restore_settings text,
	safe_restore_duration interval,
	safe_restored_at timestamptz,
	UNIQUE (storage, key)
) WITH (fillfactor = 70);

CREATE INDEX backup_records_task ON pgmaint.backup_records (task_id);
CREATE INDEX backup_records_series ON pgmaint.backup_records (database, storage, started_at);

COMMENT ON TABLE pgmaint.backup_records IS 'one row for each backup that was begun: pgmaint.backups shows them';
COMMENT ON COLUMN pgmaint.backup_records.run_id IS 'null: it was adopted from its manifest';
COMMENT ON COLUMN pgmaint.backup_records.kind IS 'database: of pg_dump; globals: roles and tablespaces, of pg_dumpall';
COMMENT ON COLUMN pgmaint.backup_records.selection IS 'which part of the database it holds; null: all of it';
COMMENT ON COLUMN pgmaint.backup_records.bytes IS 'size of the object';
COMMENT ON COLUMN pgmaint.backup_records.sha256 IS 'SHA-256 of the object';
COMMENT ON COLUMN pgmaint.backup_records.dump_bytes IS 'size of the dump in it, before it was compressed';
COMMENT ON COLUMN pgmaint.backup_records.database_bytes IS 'size of the database on disk when the backup began';
COMMENT ON COLUMN pgmaint.backup_records.verified_at IS 'when it was last restored to prove it, and compared, with success';
COMMENT ON COLUMN pgmaint.backup_records.verification IS 'what the last attempt to restore it to prove it came to; null: there was none';
COMMENT ON COLUMN pgmaint.backup_records.verification_error IS 'why it was found not restorable';
COMMENT ON COLUMN pgmaint.backup_records.restore_duration IS 'how long the last restore of it to prove it took that succeeded, under restore_settings';
COMMENT ON COLUMN pgmaint.backup_records.identity IS 'of the database that made it, see pgmaint.identities: what another made never expires';
COMMENT ON COLUMN pgmaint.backup_records.restore_settings IS 'where, and under which settings, restore_duration was measured; null: unknown, or there was no restore';
COMMENT ON COLUMN pgmaint.backup_records.safe_restore_duration IS 'how long the last restore of it took that succeeded in this live server, with fsync on: by restore_backup, or by verify_backup in a database';
COMMENT ON COLUMN pgmaint.backup_records.safe_restored_at IS 'when that was';
COMMENT ON COLUMN pgmaint.backup_records.mark IS 'what stands on its objects, noted before they are removed: by then the manifest may be gone';

CREATE VIEW pgmaint.backups AS
SELECT
	b.backup_id,
	b.run_id,
	b.storage,
	b.key,
	b.database,
	-- the row of a backup that was interrupted stays until it is cleaned up
	CASE WHEN b.state = 'running' AND t.state IS DISTINCT FROM 'running' THEN 'interrupted' ELSE b.state END AS state,
	b.bytes,
	b.sha256,
	b.started_at,
	b.finished_at,
	b.verified_at,
	b.restore_duration,
	pg_catalog.pg_size_pretty(b.bytes) AS size,
	pg_catalog.date_trunc('milliseconds', b.finished_at - b.started_at) AS duration,
	coalesce(b.verification, CASE WHEN b.state = 'succeeded' THEN 'never verified' END) AS verification,
	coalesce(b.error, b.verification_error) AS error,
	pg_catalog.pg_size_pretty(b.database_bytes) AS database_size,
	pg_catalog.pg_size_pretty(coalesce(
		CASE WHEN b.safe_restore_duration > interval '0' THEN b.dump_bytes / pg_catalog.extract('epoch', b.safe_restore_duration) END,
		p.bytes_per_second)::bigint) || ' per second' AS restore_rate,
	b.kind,
	b.selection,
	b.server_version,
	b.dump_bytes,
	b.database_bytes,
	b.identity,
	b.restore_settings,
	b.safe_restore_duration,
	b.safe_restored_at
FROM pgmaint.backup_records b
LEFT JOIN pgmaint.tasks t ON t.task_id = b.task_id
-- a join that is left out where nobody asks for restore_rate
LEFT JOIN (
	SELECT DISTINCT ON (s.database, part)
		s.database,
		coalesce(s.selection, '{}') AS part,
		s.dump_bytes / pg_catalog.extract('epoch', s.safe_restore_duration) AS bytes_per_second
	FROM pgmaint.backup_records s
	WHERE s.safe_restore_duration > interval '0' AND s.dump_bytes IS NOT NULL
	ORDER BY s.database, part, s.safe_restored_at DESC, s.backup_id DESC
) p ON p.database = b.database AND p.part = coalesce(b.selection, '{}')
ORDER BY b.started_at DESC, b.backup_id DESC;

COMMENT ON VIEW pgmaint.backups IS
	'every backup, newest first: how large it is, how long it took, when it was last proven by restoring it, how long that took, and how fast a restore in an emergency is';
COMMENT ON COLUMN pgmaint.backups.state IS 'running, succeeded, failed, interrupted (nothing of it counts), expiring (being removed, or to be by the next run), expired (removed from its storage)';
COMMENT ON COLUMN pgmaint.backups.verification IS 'restorable, not restorable, never verified: what the last attempt to restore it came to';
COMMENT ON COLUMN pgmaint.backups.restore_duration IS 'how long the last restore of it to prove it took, under restore_settings, which may be faster than those of an emergency';
COMMENT ON COLUMN pgmaint.backups.restore_settings IS 'where, and under which settings, restore_duration was measured; null: unknown, or there was no restore';
COMMENT ON COLUMN pgmaint.backups.restore_rate IS 'how fast a restore in this live server is, with fsync on: bytes of the dump per second in the last one of this backup, or else in the newest one of the same database (of the same part of it, where the backup holds a part); null: there was none';
COMMENT ON COLUMN pgmaint.backups.safe_restore_duration IS 'how long the last restore of it took in this live server, with fsync on: by restore_backup, or by verify_backup in a database';
COMMENT ON COLUMN pgmaint.backups.safe_restored_at IS 'when that was';

CREATE TABLE pgmaint.scratch_databases (
	database name PRIMARY KEY,
	role name,
	owner name NOT NULL,
	task_id bigint NOT NULL,
	identity text DEFAULT pgmaint.current_identity(),
	begun_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE INDEX scratch_databases_task ON pgmaint.scratch_databases (task_id);

COMMENT ON TABLE pgmaint.scratch_databases IS 'databases into which a backup is being restored: whatever is listed here and no task is at work on is dropped when the next run begins';
COMMENT ON COLUMN pgmaint.scratch_databases.role IS 'the role that was made for the database alone; null: none was';
COMMENT ON COLUMN pgmaint.scratch_databases.owner IS 'whose the database must be to be dropped';
COMMENT ON COLUMN pgmaint.scratch_databases.identity IS 'of the database that this was noted in, which tells a copy of it';

REVOKE ALL ON pgmaint.backup_records, pgmaint.backups, pgmaint.scratch_databases FROM PUBLIC;
GRANT SELECT ON pgmaint.backup_records, pgmaint.backups, pgmaint.scratch_databases TO pg_monitor;
-- Private servers, in which backups are proven.

CREATE TABLE pgmaint.proof_servers (
	folder text PRIMARY KEY,
	data_directory text NOT NULL,
	task_id bigint NOT NULL,
	identity text DEFAULT pgmaint.current_identity(),
	begun_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE INDEX proof_servers_task ON pgmaint.proof_servers (task_id);

COMMENT ON TABLE pgmaint.proof_servers IS 'servers in which a backup is being proven: when the next run begins, those that no task is at work on are stopped, and their folders removed';
COMMENT ON COLUMN pgmaint.proof_servers.folder IS 'everything of the server, its data directory and its socket';
COMMENT ON COLUMN pgmaint.proof_servers.data_directory IS 'of the server that made it';
COMMENT ON COLUMN pgmaint.proof_servers.task_id IS 'the task of the action verify_backup that it was made for';
COMMENT ON COLUMN pgmaint.proof_servers.identity IS 'of the database that this was noted in, which tells a copy of it';
COMMENT ON COLUMN pgmaint.proof_servers.begun_at IS 'when it was noted, before anything was made';

REVOKE ALL ON pgmaint.proof_servers FROM PUBLIC;
GRANT SELECT ON pgmaint.proof_servers TO pg_monitor;
-- Verifications: what users ask a restored backup for, and what it answered.

CREATE TABLE pgmaint.verifications (
	verification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	database name NOT NULL,
	query text NOT NULL,
	expected text NOT NULL,
	time_limit interval NOT NULL,
	added_by name NOT NULL,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint.verifications IS 'queries that verify_backup executes in the restored backup, and what they must answer';
COMMENT ON COLUMN pgmaint.verifications.verification_id IS 'for drop_verification()';
COMMENT ON COLUMN pgmaint.verifications.database IS 'the database that the backup is of';
COMMENT ON COLUMN pgmaint.verifications.query IS 'one statement that reads, and returns one row with one column';
COMMENT ON COLUMN pgmaint.verifications.expected IS 'the answer as text; true, t and false, f are the same; null: the answer is null';
COMMENT ON COLUMN pgmaint.verifications.time_limit IS 'the query is cancelled after this time, which does not count against the backup';
COMMENT ON COLUMN pgmaint.verifications.added_by IS 'the role that added it; the query is executed with the rights of the role that the dump was restored as';
COMMENT ON COLUMN pgmaint.verifications.created_at IS 'when it was added';

CREATE TABLE pgmaint.verification_results (
	result_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	verification_id bigint NOT NULL,
	backup_id bigint,
	run_id bigint NOT NULL,
	task_id bigint NOT NULL,
	asked_at timestamptz NOT NULL,
	query text NOT NULL,
	expected text NOT NULL,
	answer text,
	ok boolean,
	error text,
	duration interval NOT NULL
);

CREATE INDEX verification_results_time ON pgmaint.verification_results (asked_at);

COMMENT ON TABLE pgmaint.verification_results IS 'what restored backups answered to the queries of pgmaint.verifications; answers are values of users'' rows, so that nobody may read them without a grant';
COMMENT ON COLUMN pgmaint.verification_results.result_id IS 'in the order in which they were written';
COMMENT ON COLUMN pgmaint.verification_results.verification_id IS 'the verification, which may be dropped by now';
COMMENT ON COLUMN pgmaint.verification_results.backup_id IS 'null: a backup that the ledger does not know';
COMMENT ON COLUMN pgmaint.verification_results.run_id IS 'the run that restored the backup';
COMMENT ON COLUMN pgmaint.verification_results.task_id IS 'the task of the action verify_backup';
COMMENT ON COLUMN pgmaint.verification_results.asked_at IS 'when the query began';
COMMENT ON COLUMN pgmaint.verification_results.query IS 'as it was then';
COMMENT ON COLUMN pgmaint.verification_results.expected IS 'as it was then';
COMMENT ON COLUMN pgmaint.verification_results.answer IS 'its first 1000 characters; null: the answer was null, or there was none, see error';
COMMENT ON COLUMN pgmaint.verification_results.ok IS 'whether the answer is the one that was expected; null: the query was not answered for a reason that says nothing about the backup';
COMMENT ON COLUMN pgmaint.verification_results.error IS 'why there is no answer: the message of the error, its first 300 bytes';
COMMENT ON COLUMN pgmaint.verification_results.duration IS 'of the session that executed the query';

-- they belong to the database, and are dumped and restored with it; results are history
SELECT pg_catalog.pg_extension_config_dump('pgmaint.verifications', '');
SELECT pg_catalog.pg_extension_config_dump('pgmaint.verifications_verification_id_seq', '');

CREATE FUNCTION pgmaint.add_verification(
	database name,
	query text,
	expected text DEFAULT 'true',
	time_limit interval DEFAULT '5 minutes')
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_add_verification';

COMMENT ON FUNCTION pgmaint.add_verification(name, text, text, interval) IS
	'have verify_backup execute a query in the restored backups of a database: another answer than the expected one makes a backup not restorable; returns the verification''s number';

CREATE FUNCTION pgmaint.drop_verification(verification_id bigint)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_verification';

COMMENT ON FUNCTION pgmaint.drop_verification(bigint) IS
	'drop a verification; its results stay; returns whether there was one';

REVOKE ALL ON pgmaint.verifications, pgmaint.verification_results FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.add_verification(name, text, text, interval),
	pgmaint.drop_verification(bigint)
FROM PUBLIC;
GRANT SELECT ON pgmaint.verifications TO pg_monitor;
-- Which backups expire, and the way back from a storage to this ledger.

-- Clocks are not trusted: backups are in the order of the ledger, days are
-- counted back from the newest backup, and nothing expires before it was made.
CREATE FUNCTION pgmaint.backup_expiry(
	storage text DEFAULT NULL,
	databases text[] DEFAULT NULL,
	keep integer DEFAULT NULL,
	keep_days integer DEFAULT NULL,
	keep_monthly integer DEFAULT NULL,
	keep_yearly integer DEFAULT NULL,
	minimum integer DEFAULT 2)
RETURNS TABLE (
	backup_id bigint,
	storage name,
	key text,
	database name,
	started_at timestamptz,
	expires boolean,
	reason text,
	held_back text,
	bytes bigint,
	series text
)
LANGUAGE sql STABLE ROWS 100 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH rules AS MATERIALIZED (
		SELECT
			greatest(r.keep, r.minimum) AS newest,
			backup_expiry.keep_days AS days,
			backup_expiry.keep_monthly AS months,
			backup_expiry.keep_yearly AS years,
			r.minimum
		FROM (
			SELECT
				CASE WHEN coalesce(backup_expiry.keep, backup_expiry.keep_days, backup_expiry.keep_monthly, backup_expiry.keep_yearly) IS NULL
					THEN 30 ELSE backup_expiry.keep END AS keep,
				greatest(coalesce(backup_expiry.minimum, 2), 1) AS minimum
		) r
	),
	attempts AS MATERIALIZED (
		SELECT
			b.*,
			b.started_at AT TIME ZONE 'UTC' AS at,
			dense_rank() OVER (ORDER BY b.storage, b.kind, b.database, b.selection) AS series,
			CASE WHEN b.kind = 'globals' THEN 'the globals' ELSE concat('database ', quote_ident(b.database::text)) END ||
				coalesce(', the part ' || b.selection::text, '') AS series_name,
			b.state = 'running' AND t.state IS NOT DISTINCT FROM 'running' AS under_way,
			b.verification IS NOT DISTINCT FROM 'not restorable' AS bad,
			max(b.started_at) OVER (PARTITION BY b.storage, b.kind, b.database, b.selection) AS newest_of_series
		FROM pgmaint.backup_records b
		LEFT JOIN pgmaint.tasks t ON t.task_id = b.task_id
		WHERE b.identity IN (SELECT o.identity FROM pgmaint.own_identities o)
	),
	-- in doubt, what is due stays
	doubt AS MATERIALIZED (
		SELECT pgmaint.doubt_message(c.doubt) AS reason
		FROM pgmaint.own_identities c
		WHERE c.state = 'current' AND c.identity NOT IN (SELECT r.identity FROM pgmaint.removable_identities r)
	),
	latest AS (
		SELECT DISTINCT ON (a.series)
			a.series,
			CASE
				WHEN a.newest_of_series > clock_timestamp() THEN format(
					'the clock shows %s UTC, but the newest backup was begun at %s UTC',
					to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
					to_char(a.newest_of_series AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'))
				WHEN a.state = 'failed' THEN format('the latest attempt, at %s UTC, failed%s',
					to_char(a.at, 'YYYY-MM-DD HH24:MI:SS'), coalesce(': ' || a.error, ''))
				WHEN a.state = 'running' THEN format('the latest attempt, at %s UTC, was interrupted',
					to_char(a.at, 'YYYY-MM-DD HH24:MI:SS'))
			END AS held_back
		FROM attempts a
		WHERE NOT a.under_way
		ORDER BY a.series, a.started_at DESC, a.backup_id DESC
	),
	counted AS (
		SELECT
			a.*,
			row_number() OVER newest_first AS nth,
			first_value(a.started_at) OVER newest_first AS newest,
			row_number() OVER (PARTITION BY a.series, a.bad ORDER BY a.started_at DESC, a.backup_id DESC) AS nth_of_its_kind,
			dense_rank() OVER (PARTITION BY a.series ORDER BY date_trunc('month', a.at) DESC) AS month,
			dense_rank() OVER (PARTITION BY a.series ORDER BY date_trunc('year', a.at) DESC) AS year,
			-- one that is known to be bad stands for a month only where there is no other
			row_number() OVER (PARTITION BY a.series, date_trunc('month', a.at) ORDER BY a.bad, a.started_at DESC, a.backup_id DESC) AS nth_of_month,
			row_number() OVER (PARTITION BY a.series, date_trunc('year', a.at) ORDER BY a.bad, a.started_at DESC, a.backup_id DESC) AS nth_of_year,
			first_value(CASE WHEN v.verified THEN a.backup_id END) OVER verified_first AS newest_verified,
			first_value(CASE WHEN v.verified THEN a.at END) OVER verified_first AS newest_verified_at
		FROM attempts a
		CROSS JOIN LATERAL (
			SELECT a.verified_at IS NOT NULL AND coalesce(a.verification, '') IN ('restorable', 'intact') AS verified
		) v
		WHERE a.state = 'succeeded'
		WINDOW
			newest_first AS (PARTITION BY a.series ORDER BY a.started_at DESC, a.backup_id DESC),
			verified_first AS (PARTITION BY a.series ORDER BY v.verified DESC, a.started_at DESC, a.backup_id DESC)
	),
	judged AS (
		SELECT
			c.*,
			concat_ws(', ',
				CASE WHEN c.nth <= r.newest THEN CASE WHEN r.newest = 1 THEN 'the newest' ELSE format('one of the %s newest', r.newest) END END,
				CASE WHEN c.started_at >= c.newest - make_interval(hours => 24 * r.days) THEN CASE WHEN r.days = 1 THEN 'of the last day' ELSE format('of the last %s days', r.days) END END,
				CASE WHEN c.month <= r.months AND c.nth_of_month = 1 THEN 'the newest of ' || to_char(c.at, 'YYYY-MM') END,
				CASE WHEN c.year <= r.years AND c.nth_of_year = 1 THEN 'the newest of ' || to_char(c.at, 'YYYY') END,
				CASE WHEN c.backup_id = c.newest_verified THEN 'the newest verified one' END,
				CASE WHEN NOT c.bad AND c.nth_of_its_kind <= r.minimum AND c.nth > r.newest
					THEN format('one of the %s newest that were not found bad', r.minimum) END) AS kept,
			format('%s newest of %s; %s are kept%s',
				c.nth || CASE
					WHEN c.nth % 100 BETWEEN 11 AND 13 THEN 'th'
					WHEN c.nth % 10 = 1 THEN 'st'
					WHEN c.nth % 10 = 2 THEN 'nd'
					WHEN c.nth % 10 = 3 THEN 'rd'
					ELSE 'th' END,
				c.series_name,
				concat_ws(', ',
					CASE WHEN r.newest = 1 THEN 'the newest one' ELSE format('the %s newest', r.newest) END,
					CASE WHEN r.days = 1 THEN 'those of the last day' ELSE 'those of the last ' || r.days || ' days' END,
					CASE WHEN r.months = 1 THEN 'the newest of the last month' ELSE 'the newest of each of the last ' || r.months || ' months' END,
					CASE WHEN r.years = 1 THEN 'the newest of the last year' ELSE 'the newest of each of the last ' || r.years || ' years' END),
				coalesce(to_char(c.newest_verified_at, '", the newest verified one is of" YYYY-MM-DD'), ', none was verified')) AS why
		FROM counted c
		CROSS JOIN rules r
	)
	SELECT
		a.backup_id,
		a.storage,
		a.key,
		a.database,
		a.started_at,
		coalesce(j.kept = '', true),
		CASE WHEN a.state = 'expiring' THEN 'its removal was begun, and did not come to its end' ELSE coalesce(nullif(j.kept, ''), j.why) END,
		CASE WHEN coalesce(j.kept = '', true) THEN coalesce((SELECT d.reason FROM doubt d), l.held_back) END,
		a.bytes,
		a.series_name
	FROM attempts a
	LEFT JOIN latest l ON l.series = a.series
	LEFT JOIN judged j ON j.backup_id = a.backup_id
	WHERE a.state IN ('succeeded', 'expiring')
		AND (backup_expiry.storage IS NULL OR a.storage = backup_expiry.storage)
		AND (backup_expiry.databases IS NULL OR a.database::text = ANY (backup_expiry.databases))
	UNION ALL
	SELECT
		b.backup_id,
		b.storage,
		b.key,
		b.database,
		b.started_at,
		false,
		format('another database made it, of identity %s', coalesce(b.identity, 'unknown')),
		NULL,
		b.bytes,
		CASE WHEN b.kind = 'globals' THEN 'the globals' ELSE concat('database ', quote_ident(b.database::text)) END ||
			coalesce(', the part ' || b.selection::text, '')
	FROM pgmaint.backup_records b
	WHERE b.state IN ('succeeded', 'expiring')
		AND NOT EXISTS (SELECT FROM pgmaint.own_identities o WHERE o.identity = b.identity)
		AND (backup_expiry.storage IS NULL OR b.storage = backup_expiry.storage)
		AND (backup_expiry.databases IS NULL OR b.database::text = ANY (backup_expiry.databases))
	ORDER BY 2, 10, 5 DESC, 1 DESC;
END;

COMMENT ON FUNCTION pgmaint.backup_expiry(text, text[], integer, integer, integer, integer, integer) IS
	'which backups expire_backups would remove with these options, and why; which stay, and why; held_back says why what is due stays for now';

CREATE FUNCTION pgmaint.list_backups(
	storage text,
	OUT backup_id bigint,
	OUT run_id bigint,
	OUT storage name,
	OUT key text,
	OUT database name,
	OUT state text,
	OUT bytes bigint,
	OUT sha256 text,
	OUT started_at timestamptz,
	OUT finished_at timestamptz,
	OUT verified_at timestamptz,
	OUT restore_duration interval,
	OUT size text,
	OUT duration interval,
	OUT database_size text,
	OUT server_version text,
	OUT verification text,
	OUT kind text,
	OUT selection jsonb,
	OUT error text,
	OUT own boolean,
	OUT identity text,
	OUT restore_settings text
) RETURNS SETOF record
LANGUAGE c VOLATILE ROWS 100 COST 1000000
AS 'MODULE_PATHNAME', 'pgmaint_list_backups';

COMMENT ON FUNCTION pgmaint.list_backups(text) IS
	'the backups on a storage, newest first, from nothing but what is there; error says why one cannot be used, own whether this database, or one that it has taken over, made it';

CREATE FUNCTION pgmaint.adopt_backups(storage text, database name DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_adopt_backups';

COMMENT ON FUNCTION pgmaint.adopt_backups(text, name) IS
	'add the backups that a storage has and this ledger does not know, of one database or of all, so that they can be verified, and expire where they are this database''s own; returns how many';

REVOKE ALL ON FUNCTION
	pgmaint.backup_expiry(text, text[], integer, integer, integer, integer, integer),
	pgmaint.list_backups(text),
	pgmaint.adopt_backups(text, name)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.backup_expiry(text, text[], integer, integer, integer, integer, integer) TO pg_monitor;
-- What the action validate found when it compared storages with the ledger.

CREATE TABLE pgmaint.storage_checks (
	storage name PRIMARY KEY,
	identity text NOT NULL DEFAULT pgmaint.current_identity(),
	checked_at timestamptz,
	objects bigint,
	known bigint,
	missing bigint,
	differing bigint,
	unknown bigint,
	foreign_objects bigint,
	incomplete bigint,
	error text,
	failed_at timestamptz,
	archives_read_at timestamptz,
	detail jsonb
);

COMMENT ON TABLE pgmaint.storage_checks IS 'one row for each storage that the action validate compared with the ledger: what the last comparison found';
COMMENT ON COLUMN pgmaint.storage_checks.checked_at IS 'when it was last compared; null: never';
COMMENT ON COLUMN pgmaint.storage_checks.objects IS 'objects on the storage';
COMMENT ON COLUMN pgmaint.storage_checks.known IS 'archives and backups of this database that stand in the ledger';
COMMENT ON COLUMN pgmaint.storage_checks.missing IS 'of these, those whose object is not on the storage';
COMMENT ON COLUMN pgmaint.storage_checks.differing IS 'of these, those whose object has another size';
COMMENT ON COLUMN pgmaint.storage_checks.unknown IS 'complete objects of this database that stand in no row of the ledger';
COMMENT ON COLUMN pgmaint.storage_checks.foreign_objects IS 'complete objects that stand in no row of the ledger, and are of other databases, or of no known one';
COMMENT ON COLUMN pgmaint.storage_checks.incomplete IS 'objects without a manifest that stand in no row of the ledger';
COMMENT ON COLUMN pgmaint.storage_checks.error IS 'why the last attempt to compare it failed; null: it did not';
COMMENT ON COLUMN pgmaint.storage_checks.archives_read_at IS 'up to when the budget of bytes for reading archives in turn is used up';
COMMENT ON COLUMN pgmaint.storage_checks.detail IS 'the first 100 of what is missing, differs or is unknown, by key';

CREATE VIEW pgmaint.storages_in_use AS
SELECT
	u.storage,
	pg_catalog.sum(u.archives)::bigint AS archives,
	pg_catalog.sum(u.backups)::bigint AS backups,
	pg_catalog.min(u.since) AS since
FROM (
	SELECT a.storage, pg_catalog.count(*) AS archives, 0 AS backups, pg_catalog.min(a.created_at) AS since
	FROM pgmaint.archives a
	WHERE a.identity IN (SELECT i.identity FROM pgmaint.own_identities i)
	GROUP BY a.storage
	UNION ALL
	SELECT b.storage, 0, pg_catalog.count(*), pg_catalog.min(b.started_at)
	FROM pgmaint.backup_records b
	WHERE b.state = 'succeeded' AND b.identity IN (SELECT i.identity FROM pgmaint.own_identities i)
	GROUP BY b.storage
	UNION ALL
	SELECT p.storage, 0, 0, p.added_at
	FROM pgmaint.retention_policies p
	WHERE p.archive
) u
GROUP BY u.storage;

COMMENT ON VIEW pgmaint.storages_in_use IS
	'storages on which this database has archives and backups, or which a retention policy names: the action validate compares them with the ledger';
COMMENT ON COLUMN pgmaint.storages_in_use.since IS 'when the first of these was written, or added';

CREATE FUNCTION pgmaint.adopt_archive(storage text, key text)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_adopt_archive';

COMMENT ON FUNCTION pgmaint.adopt_archive(text, text) IS
	'add an archive that is complete on a storage, and that the ledger does not know, to pgmaint.archives, as its manifest describes it; returns its number';

CREATE FUNCTION pgmaint.remove_object(storage text, key text)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_remove_object';

COMMENT ON FUNCTION pgmaint.remove_object(text, text) IS
	'remove an archive or a backup that this database wrote, and that stands in no row of the ledger, with its manifest from a storage; false if there was no such object';

REVOKE ALL ON pgmaint.storage_checks, pgmaint.storages_in_use FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.adopt_archive(text, text),
	pgmaint.remove_object(text, text)
FROM PUBLIC;
GRANT SELECT ON pgmaint.storage_checks, pgmaint.storages_in_use TO pg_monitor;
-- Which indexes the statements that pg_stat_statements counted would gain from.

CREATE FUNCTION pgmaint.index_advice(
	min_calls bigint DEFAULT 5,
	min_mean_ms double precision DEFAULT 1,
	min_gain double precision DEFAULT 0.3,
	min_size bigint DEFAULT 1048576,
	max_statements bigint DEFAULT 200)
RETURNS TABLE (
	relation regclass,
	statement text,
	gain text,
	price text,
	queries text,
	note text,
	checked text,
	gain_ms_per_day double precision,
	write_ms_per_day double precision,
	index_bytes bigint,
	query_ids bigint[],
	cost_left double precision[]
)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 20 COST 1000000
AS 'MODULE_PATHNAME', 'pgmaint_index_advice';

COMMENT ON FUNCTION pgmaint.index_advice(bigint, double precision, double precision, bigint, bigint) IS
	'indexes that the counted statements would gain from, the best first; none is created, and no statement is executed';

-- How many rows were written to each table.  The counters alone tell no rate: a
-- table is loaded once.
CREATE TABLE pgmaint.table_writes (
	relation oid PRIMARY KEY,
	writes bigint NOT NULL,
	noted_at timestamptz NOT NULL,
	writes_before bigint,
	noted_before timestamptz
);

COMMENT ON TABLE pgmaint.table_writes IS 'rows that had been written to each table, as an index would notice it, noted with snapshots of statements once a week';
COMMENT ON COLUMN pgmaint.table_writes.writes_before IS 'what the note before said; null where the counters have begun anew since';

CREATE VIEW pgmaint.table_write_counters AS
SELECT
	s.relid AS relation,
	-- updates that touch no index leave a further one alone, too, as far as can be told
	s.n_tup_ins + s.n_tup_upd - s.n_tup_hot_upd + s.n_tup_del AS writes,
	least(s.n_tup_ins, s.n_live_tup) AS loaded
FROM pg_catalog.pg_stat_user_tables s
WHERE s.schemaname <> 'pgmaint' AND s.schemaname !~ '^pg_temp';

COMMENT ON VIEW pgmaint.table_write_counters IS 'rows written to each table since the counters began, and how many of these may be what it was loaded with';

CREATE FUNCTION pgmaint.note_table_writes()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	DELETE FROM pgmaint.table_writes w
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = w.relation);
	INSERT INTO pgmaint.table_writes AS w (relation, writes, noted_at)
	SELECT c.relation, c.writes, clock_timestamp()
	FROM pgmaint.table_write_counters c
	LEFT JOIN pgmaint.table_writes o ON o.relation = c.relation
	WHERE o.relation IS NULL OR o.writes > c.writes OR o.noted_at < clock_timestamp() - interval '7 days'
	ON CONFLICT (relation) DO UPDATE SET
		writes_before = CASE WHEN w.writes <= excluded.writes THEN w.writes END,
		noted_before = CASE WHEN w.writes <= excluded.writes THEN w.noted_at END,
		writes = excluded.writes, noted_at = excluded.noted_at;
END;

COMMENT ON FUNCTION pgmaint.note_table_writes() IS 'notes how many rows were written to each table so far, where the last note is a week old';

-- Since the older of two notes; where there is none yet, since the counters began,
-- but for the rows that may have come with the load.
CREATE FUNCTION pgmaint.writes_per_day(relation oid)
RETURNS double precision
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce(sum(86400 * CASE
			WHEN n.noted_at IS NULL THEN (c.writes - c.loaded) / greatest(3600, extract(epoch FROM clock_timestamp() - r.counted_since)::float8)
			ELSE (c.writes - n.writes) / extract(epoch FROM clock_timestamp() - n.noted_at)::float8 END), 0)
	FROM pgmaint.table_write_counters c
	CROSS JOIN (
		SELECT coalesce(d.stats_reset, b.stats_reset, pg_postmaster_start_time()) AS counted_since
		FROM pg_stat_bgwriter b
		LEFT JOIN pg_stat_database d ON d.datname = current_database()
	) r
	LEFT JOIN LATERAL (
		SELECT x.writes, x.noted_at
		FROM pgmaint.table_writes w
		CROSS JOIN LATERAL (VALUES (w.writes_before, w.noted_before), (w.writes, w.noted_at)) AS x (writes, noted_at)
		WHERE w.relation = c.relation AND w.writes <= c.writes AND x.noted_at < clock_timestamp() - interval '1 hour'
		ORDER BY x.noted_at
		LIMIT 1
	) n ON true
	WHERE c.relation = writes_per_day.relation OR EXISTS (
		SELECT FROM pg_class p CROSS JOIN LATERAL pg_partition_ancestors(p.oid) a
		WHERE p.oid = c.relation AND p.relispartition AND a.relid = writes_per_day.relation);
END;

COMMENT ON FUNCTION pgmaint.writes_per_day(oid) IS
	'rows that are written to a table and its partitions a day, as an index would notice it, apart from what it was loaded with';

-- What the action index_advice has advised, and what became of it.
CREATE TABLE pgmaint.index_advices (
	advice_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	relation oid NOT NULL,
	object text NOT NULL,
	statement text NOT NULL,
	given_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	last_given_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	gain_ms_per_day double precision NOT NULL,
	index_bytes bigint NOT NULL,
	query_ids bigint[] NOT NULL,
	mean_ms_before double precision,
	"index" oid,
	noticed_at timestamptz,
	calls_then bigint,
	total_ms_then double precision,
	mean_ms_after double precision,
	outcome text CHECK (outcome IN ('helped', 'no help', 'not used')),
	UNIQUE (relation, statement)
);

COMMENT ON TABLE pgmaint.index_advices IS 'which indexes the action index_advice has advised, and whether they helped once somebody had made them';
COMMENT ON COLUMN pgmaint.index_advices.query_ids IS 'statements that were to gain from it';
COMMENT ON COLUMN pgmaint.index_advices.mean_ms_before IS 'the mean time of these when the advice was given last';
COMMENT ON COLUMN pgmaint.index_advices."index" IS 'the index, once there is one that begins as advised';
COMMENT ON COLUMN pgmaint.index_advices.noticed_at IS 'when that was first seen; calls_then and total_ms_then are what the statements had come to';
COMMENT ON COLUMN pgmaint.index_advices.mean_ms_after IS 'the mean time of their calls since then';
COMMENT ON COLUMN pgmaint.index_advices.outcome IS 'helped, no help (the statements take as long as before), not used (the index was never read); null: not known yet';

-- What became of earlier advice: a row for each of which something is new.
CREATE FUNCTION pgmaint.review_index_advice()
RETURNS TABLE (object text, message text, helped boolean)
LANGUAGE sql VOLATILE ROWS 20 COST 1000000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	DELETE FROM pgmaint.index_advices v
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = v.relation);
	-- an index that begins as advised; parentheses and blanks are a matter of taste
	UPDATE pgmaint.index_advices v
	SET "index" = m.indexrelid, noticed_at = pg_catalog.clock_timestamp(), calls_then = s.calls, total_ms_then = s.total_ms
	FROM pgmaint.index_advices w
	CROSS JOIN LATERAL (
		SELECT i.indexrelid
		FROM pg_catalog.pg_index i
		WHERE i.indrelid = w.relation AND i.indisvalid
			AND pg_catalog.regexp_replace(pg_catalog.pg_get_indexdef(i.indexrelid), '^.* USING btree |[() ]', '', 'g')
				= pg_catalog.regexp_replace(w.statement, '^.*CREATE INDEX (CONCURRENTLY )?ON [^(]*|[() ]', '', 'g')
		ORDER BY i.indexrelid DESC LIMIT 1
	) m
	CROSS JOIN LATERAL (
		SELECT coalesce(pg_catalog.sum(x.calls), 0)::bigint AS calls, coalesce(pg_catalog.sum(x.total_ms), 0) AS total_ms
		FROM pgmaint.statement_statistics() x WHERE x.queryid = ANY (w.query_ids)
	) s
	WHERE v.advice_id = w.advice_id AND v."index" IS NULL;
	UPDATE pgmaint.index_advices v SET "index" = NULL, noticed_at = NULL, outcome = NULL, mean_ms_after = NULL
	WHERE v."index" IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = v."index");
	WITH now AS (
		SELECT w.advice_id, w.outcome AS before, coalesce(u.idx_scan, 0) AS scans, c.relname,
			-- counters that are lower than they were began anew
			CASE WHEN s.calls < w.calls_then THEN s.calls ELSE s.calls - w.calls_then END AS calls,
			CASE WHEN s.calls < w.calls_then THEN s.total_ms ELSE s.total_ms - w.total_ms_then END AS total_ms
		FROM pgmaint.index_advices w
		JOIN pg_catalog.pg_class c ON c.oid = w."index"
		LEFT JOIN pg_catalog.pg_stat_all_indexes u ON u.indexrelid = w."index"
		CROSS JOIN LATERAL (
			SELECT coalesce(pg_catalog.sum(x.calls), 0)::bigint AS calls, coalesce(pg_catalog.sum(x.total_ms), 0) AS total_ms
			FROM pgmaint.statement_statistics() x WHERE x.queryid = ANY (w.query_ids)
		) s
	),
	judged AS (
		UPDATE pgmaint.index_advices v
		SET mean_ms_after = n.total_ms / n.calls,
			outcome = CASE WHEN n.scans = 0 THEN 'not used'
				WHEN n.total_ms / n.calls <= 0.8 * v.mean_ms_before THEN 'helped' ELSE 'no help' END
		FROM now n
		WHERE n.advice_id = v.advice_id AND n.calls >= 5
		RETURNING v.*, n.before, n.scans, n.relname, n.calls
	)
	SELECT j.object, CASE j.outcome
		WHEN 'helped' THEN pg_catalog.format('index %I was made as advised, and helped: %s calls since took %s ms on average, %s ms before; it was read %s times',
			j.relname, j.calls, pg_catalog.round(j.mean_ms_after::numeric, 2), pg_catalog.round(j.mean_ms_before::numeric, 2), j.scans)
		WHEN 'not used' THEN pg_catalog.format('index %I was made as advised, but was never read in %s calls: consider dropping it', j.relname, j.calls)
		ELSE pg_catalog.format('index %I was made as advised, but did not help: %s calls since took %s ms on average, %s ms before',
			j.relname, j.calls, pg_catalog.round(j.mean_ms_after::numeric, 2), pg_catalog.round(j.mean_ms_before::numeric, 2)) END,
		j.outcome = 'helped'
	FROM judged j
	WHERE j.outcome IS DISTINCT FROM j.before
	ORDER BY j.advice_id;
END;

COMMENT ON FUNCTION pgmaint.review_index_advice() IS
	'looks which indexes were made as index_advice had advised, and whether their statements became faster';

REVOKE ALL ON pgmaint.index_advices, pgmaint.table_writes, pgmaint.table_write_counters FROM PUBLIC;
GRANT SELECT ON pgmaint.index_advices, pgmaint.table_writes, pgmaint.table_write_counters TO pg_monitor;
REVOKE ALL ON FUNCTION pgmaint.review_index_advice(), pgmaint.note_table_writes(), pgmaint.writes_per_day(oid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.writes_per_day(oid) TO pg_monitor;
REVOKE ALL ON FUNCTION pgmaint.index_advice(bigint, double precision, double precision, bigint, bigint) FROM PUBLIC;
-- Indexes of partitioned tables that are invalid, and how they become valid.

-- What the server keeps of an expression, but for where it stood in a command.
-- To have it as SQL would be to wait for the table's lock.
CREATE FUNCTION pgmaint.comparable(expression pg_catalog.pg_node_tree)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT regexp_replace(comparable.expression::text, E':location -?\\d+', '', 'g');
END;

COMMENT ON FUNCTION pgmaint.comparable(pg_catalog.pg_node_tree) IS
	'the same text for the same expression of the same table; takes no lock';

-- Such an index is valid once every partition has a valid index attached to it:
-- CREATE INDEX ON ONLY begins without any.  The server looks at that when an
-- index is attached, and only then: where the last one was invalid and has been
-- rebuilt since, attaching it once more makes it look again.
CREATE FUNCTION pgmaint.invalid_partitioned_indexes()
RETURNS TABLE ("index" oid, relation oid, name text, being_built boolean, detail text, command text)
LANGUAGE sql STABLE ROWS 1 COST 1000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH
	-- whoever builds an index holds a lock on its table all the while
	busy AS MATERIALIZED (
		SELECT DISTINCT l.relation
		FROM pg_locks l
		WHERE l.locktype = 'relation' AND l.granted
			AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
			AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
			AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = l.pid)
			AND NOT EXISTS (SELECT FROM pg_stat_progress_analyze v WHERE v.pid = l.pid)
	),
	invalid AS MATERIALIZED (
		SELECT i.*, c.relam, c.relname, format('%I.%I', n.nspname, c.relname) AS name, format('%I.%I', m.nspname, t.relname) AS table_name,
			o.oid AS con, o.contype, concat(CASE WHEN o.condeferrable THEN ' DEFERRABLE' END, CASE WHEN o.condeferred THEN ' INITIALLY DEFERRED' END) AS timing,
			format('CREATE %sINDEX %I ON ONLY %I.%I USING ', CASE WHEN i.indisunique THEN 'UNIQUE ' END, c.relname, m.nspname, t.relname) AS head
		FROM pg_index i
		JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'I'
		JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_class t ON t.oid = i.indrelid
		JOIN pg_namespace m ON m.oid = t.relnamespace
		LEFT JOIN pg_constraint o ON o.conindid = i.indexrelid AND o.conrelid = i.indrelid AND o.contype IN ('p', 'u', 'x')
		WHERE NOT i.indisvalid AND c.relpersistence <> 't'
	),
	-- to have the definition as SQL is to wait for who has locked the table
	defined AS MATERIALIZED (
		SELECT v.indexrelid, CASE WHEN l.locked THEN NULL ELSE substr(pg_get_indexdef(v.indexrelid), length(v.head) + 1) END AS columns,
			CASE WHEN v.con IS NOT NULL AND NOT l.locked THEN pg_get_constraintdef(v.con) END AS con_columns
		FROM invalid v
		CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_locks l WHERE l.relation = v.indrelid AND l.mode = 'AccessExclusiveLock') AS locked) l
	),
	parts AS MATERIALIZED (
		SELECT v.indexrelid AS parent, p.oid AS part, p.relkind, format('%I.%I', n.nspname, p.relname) AS part_name,
			a.indexrelid IS NOT NULL AS attached, coalesce(a.indexrelid, e.indexrelid) AS child,
			coalesce(a.indisvalid, e.indisvalid) AS valid, c.relkind AS child_kind,
			CASE WHEN c.oid IS NOT NULL THEN format('%I.%I', cn.nspname, c.relname) END AS child_name, quote_ident(c.relname) AS child_short,
			EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = c.oid AND o.conrelid = p.oid AND o.contype IN ('p', 'u', 'x')) AS child_con,
			quote_ident(w.name) AS new_short, format('%I.%I', n.nspname, w.name) AS new_name
		FROM invalid v
		JOIN pg_inherits h ON h.inhparent = v.indrelid
		JOIN pg_class p ON p.oid = h.inhrelid
		JOIN pg_namespace n ON n.oid = p.relnamespace
		-- not longer than a name may be, whatever the bytes of a character
		CROSS JOIN LATERAL (
			SELECT concat(left(p.relname, CASE WHEN octet_length(p.relname::text) = length(p.relname::text) THEN 34 ELSE 8 END),
				'_', p.oid, '_', v.indexrelid, '_idx') AS name
		) w
		LEFT JOIN LATERAL (
			SELECT i.indexrelid, i.indisvalid
			FROM pg_inherits x
			JOIN pg_index i ON i.indexrelid = x.inhrelid
			WHERE x.inhparent = v.indexrelid AND i.indrelid = p.oid
		) a ON true
		-- one that waits to be attached
		LEFT JOIN LATERAL (
			SELECT i.indexrelid, i.indisvalid
			FROM pg_index i
			JOIN pg_class k ON k.oid = i.indexrelid
			WHERE a.indexrelid IS NULL AND i.indrelid = p.oid AND k.relam = v.relam
				AND i.indisunique = v.indisunique AND i.indislive
				AND i.indnkeyatts = v.indnkeyatts AND i.indnatts = v.indnatts
				AND i.indclass = v.indclass AND i.indcollation = v.indcollation AND i.indoption = v.indoption
				AND pgmaint.comparable(i.indexprs) IS NOT DISTINCT FROM pgmaint.comparable(v.indexprs)
				AND pgmaint.comparable(i.indpred) IS NOT DISTINCT FROM pgmaint.comparable(v.indpred)
				-- columns have the same names, not the same numbers
				AND NOT EXISTS (
					SELECT FROM unnest(i.indkey::int2[], v.indkey::int2[]) AS u (mine, theirs)
					LEFT JOIN pg_attribute b ON b.attrelid = p.oid AND b.attnum = u.mine
					LEFT JOIN pg_attribute t ON t.attrelid = v.indrelid AND t.attnum = u.theirs
					WHERE b.attname IS DISTINCT FROM t.attname)
				AND NOT EXISTS (SELECT FROM pg_inherits x WHERE x.inhrelid = i.indexrelid)
				AND (v.con IS NOT NULL OR NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid AND o.conrelid = p.oid))
			ORDER BY i.indisvalid DESC, i.indexrelid
			LIMIT 1
		) e ON true
		LEFT JOIN pg_class c ON c.oid = coalesce(a.indexrelid, e.indexrelid)
		LEFT JOIN pg_namespace cn ON cn.oid = c.relnamespace
	),
	-- what is missing at each partition, and the commands that mend it
	steps AS MATERIALIZED (
		SELECT s.*, v.name,
			CASE
				WHEN s.attached AND s.valid THEN NULL
				WHEN s.attached THEN format('%s of partition %s is invalid', s.child_name, s.part_name)
				WHEN s.relkind = 'f' THEN format('partition %s is a foreign table, which has no indexes', s.part_name)
				WHEN s.child IS NOT NULL THEN format('%s of partition %s is not attached', s.child_name, s.part_name)
				ELSE format('partition %s has no such index%s', s.part_name, CASE WHEN s.relkind = 'p' THEN ', nor may its own partitions' END) END AS fault,
			CASE
				WHEN s.relkind = 'f' OR s.attached AND s.valid OR s.child_kind = 'I' AND s.attached THEN ''
				ELSE concat(
					CASE
						WHEN s.child IS NOT NULL AND NOT s.valid AND s.child_kind = 'i' THEN format(E'REINDEX INDEX CONCURRENTLY %s;\n', s.child_name)
						WHEN s.child IS NOT NULL THEN NULL
						WHEN s.relkind = 'p' AND v.con IS NOT NULL THEN format(E'ALTER TABLE ONLY %s ADD CONSTRAINT %s %s;\n', s.part_name, s.new_short, d.con_columns)
						WHEN s.relkind = 'p' THEN format(E'CREATE %sINDEX %s ON ONLY %s USING %s;\n', u.kind, s.new_short, s.part_name, d.columns)
						WHEN v.contype = 'x' THEN format(E'ALTER TABLE %s ADD CONSTRAINT %s %s;\n', s.part_name, s.new_short, d.con_columns)
						ELSE format(E'CREATE %sINDEX CONCURRENTLY %s ON %s USING %s;\n', u.kind, s.new_short, s.part_name, d.columns) END,
					CASE WHEN v.contype IN ('p', 'u') AND s.relkind <> 'p' AND NOT s.attached AND NOT s.child_con
						THEN format(E'ALTER TABLE %1$s ADD CONSTRAINT %2$s %3$s USING INDEX %2$s%4$s;\n', s.part_name, coalesce(s.child_short, s.new_short),
							CASE v.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, v.timing) END,
					format(E'ALTER INDEX %s ATTACH PARTITION %s;\n', v.name, coalesce(s.child_name, s.new_name))) END AS commands
		FROM parts s
		JOIN invalid v ON v.indexrelid = s.parent
		JOIN defined d ON d.indexrelid = s.parent
		CROSS JOIN LATERAL (SELECT CASE WHEN v.indisunique THEN 'UNIQUE ' END AS kind) u
	),
	states AS (
		SELECT v.indexrelid, d.columns,
			count(s.part) AS parts,
			count(s.fault) AS faults,
			count(*) FILTER (WHERE s.relkind = 'f') AS foreign_tables,
			string_agg(s.fault, '; ' ORDER BY s.nth) FILTER (WHERE s.nth <= 5) AS named,
			string_agg(s.commands, '' ORDER BY s.part_name) AS commands,
			min(s.child_name) FILTER (WHERE s.attached) AS any_child,
			coalesce(bool_or(s.part IN (SELECT b.relation FROM busy b)), false) OR v.indrelid IN (SELECT b.relation FROM busy b) AS being_built
		FROM invalid v
		JOIN defined d ON d.indexrelid = v.indexrelid
		LEFT JOIN (SELECT x.*, row_number() OVER (PARTITION BY x.parent ORDER BY x.fault IS NULL, x.part_name) AS nth FROM steps x) s ON s.parent = v.indexrelid
		GROUP BY v.indexrelid, v.indrelid, d.columns
	)
	SELECT v.indexrelid, v.indrelid, v.name, s.being_built,
		CASE
			WHEN s.parts = 0 THEN 'the table has no partitions'
			WHEN s.faults = 0 THEN 'the indexes of all partitions are valid meanwhile, but the server has not looked'
			ELSE concat(s.named, CASE WHEN s.faults > 5 THEN format('; and %s more', s.faults - 5) END) END,
		CASE
			WHEN s.columns IS NULL OR s.foreign_tables > 0 THEN NULL
			WHEN s.parts = 0 THEN CASE WHEN v.con IS NULL THEN format(E'DROP INDEX %s;\nCREATE %sINDEX %I ON %s USING %s', v.name,
				CASE WHEN v.indisunique THEN 'UNIQUE ' END, v.relname, v.table_name, s.columns) END
			WHEN s.commands = '' THEN format('ALTER INDEX %s ATTACH PARTITION %s', v.name, s.any_child)
			ELSE rtrim(s.commands, E';\n') END
	FROM invalid v
	JOIN states s ON s.indexrelid = v.indexrelid
	ORDER BY v.name;
END;

COMMENT ON FUNCTION pgmaint.invalid_partitioned_indexes() IS
	'indexes of partitioned tables that are invalid: which partitions have no valid index attached, and the commands that mend it; null where there are none, or the table is locked';

REVOKE ALL ON FUNCTION pgmaint.comparable(pg_catalog.pg_node_tree), pgmaint.invalid_partitioned_indexes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.comparable(pg_catalog.pg_node_tree), pgmaint.invalid_partitioned_indexes() TO pg_monitor;
-- Indexes that nobody needs, or that somebody would need: unused, duplicate,
-- redundant, invalid, and foreign keys without any.

CREATE TABLE pgmaint.index_scans (
	"index" oid PRIMARY KEY,
	scans bigint NOT NULL,
	since timestamptz NOT NULL,
	looked_at timestamptz NOT NULL,
	system_identifier bigint NOT NULL,
	timeline integer NOT NULL,
	counted_since timestamptz
);

COMMENT ON TABLE pgmaint.index_scans IS 'how often each index had been used when the action index_usage last looked, and since when it has said so';
COMMENT ON COLUMN pgmaint.index_scans.since IS 'when the counter came to be what it is, as far as the server knows; else the first look at which it was';
COMMENT ON COLUMN pgmaint.index_scans.system_identifier IS 'with timeline: of the cluster that counts, which a restored copy or a promoted standby is not';
COMMENT ON COLUMN pgmaint.index_scans.counted_since IS 'when counters of this index (19 and later), of this database (before) or of the server were last reset, as they are by a crash';

-- The counters as they are, and what tells them from others of the same index.
--
-- From 19 on each index knows when its own counters were reset, with those of
-- the whole database too; there, the database's time is that of any relation.  A
-- crash leaves no time but the server's.
CREATE VIEW pgmaint.index_counters AS
SELECT
	s.indexrelid AS "index",
	s.idx_scan AS scans,
	y.system_identifier,
	p.timeline_id AS timeline,
	greatest(CASE WHEN j.counters ? 'stats_reset' THEN j.own_reset ELSE d.stats_reset END, b.stats_reset) AS counted_since,
	greatest((j.counters ->> 'last_idx_scan')::pg_catalog.timestamptz, j.own_reset) AS idle_since
FROM pg_catalog.pg_stat_user_indexes s
CROSS JOIN LATERAL (
	SELECT c.counters, (c.counters ->> 'stats_reset')::pg_catalog.timestamptz AS own_reset
	FROM (
		SELECT CASE WHEN EXISTS (
				SELECT FROM pg_catalog.pg_attribute a
				WHERE a.attrelid = 'pg_catalog.pg_stat_user_indexes'::pg_catalog.regclass
					AND a.attname IN ('last_idx_scan', 'stats_reset'))
			THEN pg_catalog.to_jsonb(s) END AS counters
	) c
	-- made once for each row, not for each place that reads it
	OFFSET 0
) j
CROSS JOIN pg_catalog.pg_control_system() y
CROSS JOIN pg_catalog.pg_control_checkpoint() p
CROSS JOIN pg_catalog.pg_stat_bgwriter b
JOIN pg_catalog.pg_stat_database d ON d.datname = pg_catalog.current_database()
WHERE s.schemaname <> 'pgmaint';

COMMENT ON VIEW pgmaint.index_counters IS 'how often each index has been used, and who has counted since when';
COMMENT ON COLUMN pgmaint.index_counters.idle_since IS 'the last scan (16 and later) or the last reset of the index''s own counters (19), whichever is later; null where the server knows of neither';

-- One row for each index of users' tables, with what tells indexes apart.
-- Columns are compared with their operator class, collation and direction.  What
-- is volatile, as sizes are, would be computed even where nobody reads it.
CREATE VIEW pgmaint.index_definitions AS
SELECT
	i.indexrelid AS "index",
	i.indrelid AS relation,
	n.nspname AS schema,
	t.relname AS table_name,
	c.relname AS index_name,
	a.amname AS method,
	i.indisunique AS is_unique,
	i.indisprimary AS is_primary,
	i.indisexclusion AS is_exclusion,
	i.indisvalid AND i.indisready AND i.indislive AS is_valid,
	i.indisreplident AS is_replica_identity,
	i.indisclustered AS is_clustered,
	-- in a join, its cost would hide that of the joins
	ARRAY(SELECT pg_catalog.format('%s|%s|%s|%s',
			CASE i.indkey[s.nth - 1] WHEN 0 THEN pgmaint.comparable(i.indexprs) ELSE i.indkey[s.nth - 1]::pg_catalog.text END,
			i.indclass[s.nth - 1], i.indcollation[s.nth - 1], i.indoption[s.nth - 1])
		FROM pg_catalog.generate_series(1, i.indnkeyatts) AS s (nth) ORDER BY s.nth) AS keys,
	i.indnkeyatts AS key_count,
	i.indnatts > i.indnkeyatts AS has_included,
	ARRAY(SELECT x FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS u (x, nth)
		WHERE u.nth > i.indnkeyatts ORDER BY x) AS included,
	pgmaint.comparable(i.indpred) AS predicate,
	EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.conindid = i.indexrelid) AS has_constraint,
	EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid) AS is_part,
	c.relkind = 'I' AS is_partitioned,
	i.indimmediate AS is_immediate,
	-- from 15 on
	coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS nulls_not_distinct,
	i.indkey[0] AS first_column
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am a ON a.oid = c.relam
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE t.relkind IN ('r', 'm', 'p')
	AND t.relpersistence <> 't'
	AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgmaint')
	AND n.nspname NOT LIKE E'pg\\_toast%';

COMMENT ON VIEW pgmaint.index_definitions IS 'every index of a table that is not temporary nor part of the system, with what tells it from others';
COMMENT ON COLUMN pgmaint.index_definitions.first_column IS 'number of its first column; 0: an expression';

-- Foreign keys whose referencing columns no index begins with, in any order.
CREATE VIEW pgmaint.unindexed_foreign_keys AS
SELECT
	k.conrelid AS relation,
	k.conname AS "constraint",
	k.confrelid AS referenced,
	pg_catalog.format('CREATE INDEX CONCURRENTLY ON %I.%I (%s)', n.nspname, c.relname, l.columns) AS command,
	pgmaint.file_size(c.relfilenode, c.reltablespace, c.relpages) AS table_bytes
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
	SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY u.nth) AS columns
	FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u (attnum, nth)
	JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum
) l
WHERE k.contype = 'f'
	AND c.relkind = 'r'
	AND n.nspname <> 'pgmaint'
	AND NOT EXISTS (
		SELECT FROM pg_catalog.pg_index i
		JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
		JOIN pg_catalog.pg_am m ON m.oid = x.relam AND m.amname IN ('btree', 'hash')
		WHERE i.indrelid = k.conrelid AND i.indisvalid
			AND (i.indpred IS NULL
				-- rows without a value refer to nothing
				OR (pg_catalog.cardinality(k.conkey) = 1 AND pgmaint.comparable(i.indpred)
					~ pg_catalog.format('^{NULLTEST :arg {VAR :varno 1 :varattno %s [^{}]*} :nulltesttype 1 [^{}]*}$', k.conkey[1])))
			AND i.indnkeyatts >= pg_catalog.cardinality(k.conkey)
			AND (i.indkey::pg_catalog.int2[])[0:pg_catalog.cardinality(k.conkey) - 1] @> k.conkey
	);

COMMENT ON VIEW pgmaint.unindexed_foreign_keys IS
	'foreign keys whose table has no index that begins with their columns: deleting or changing a row that they refer to reads all of it';

-- Since when each index has not been used, as far as that is known.
CREATE VIEW pgmaint.index_idleness AS
SELECT n.*,
	CASE
		-- On its first timeline a cluster has counted every scan.  On another it
		-- was a standby before, and other servers' scans are unknown.
		WHEN x.system_identifier IS DISTINCT FROM n.system_identifier OR x.timeline IS DISTINCT FROM n.timeline
			THEN CASE WHEN n.timeline = 1 THEN n.idle_since END
		WHEN n.scans = x.scans AND n.counted_since IS NOT DISTINCT FROM x.counted_since THEN x.since
		WHEN n.idle_since > x.looked_at THEN n.idle_since
	END AS since
FROM pgmaint.index_counters n
LEFT JOIN pgmaint.index_scans x ON x."index" = n."index";

COMMENT ON VIEW pgmaint.index_idleness IS 'the counters of each index, and since when it is known not to have been used';

CREATE FUNCTION pgmaint.unused_since("index" oid)
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT n.since FROM pgmaint.index_idleness n WHERE n."index" = unused_since."index";
END;

COMMENT ON FUNCTION pgmaint.unused_since(oid) IS
	'since when an index is known not to have been used; null where that is not known: it was used since the last look, was never looked at, or its counter began anew, and the server does not know when';

CREATE FUNCTION pgmaint.take_index_scans()
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	DELETE FROM pgmaint.index_scans x
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = x."index");
	WITH taken AS (
		INSERT INTO pgmaint.index_scans AS x ("index", scans, since, looked_at, system_identifier, timeline, counted_since)
		SELECT n."index", n.scans, coalesce(n.since, pg_catalog.clock_timestamp()), pg_catalog.clock_timestamp(),
			n.system_identifier, n.timeline, n.counted_since
		FROM pgmaint.index_idleness n
		ON CONFLICT ("index") DO UPDATE SET
			since = excluded.since, looked_at = excluded.looked_at, scans = excluded.scans, timeline = excluded.timeline,
			system_identifier = excluded.system_identifier, counted_since = excluded.counted_since
		RETURNING 1
	)
	SELECT pg_catalog.count(*) FROM taken;
END;

COMMENT ON FUNCTION pgmaint.take_index_scans() IS 'notes how often each index has been used so far, and forgets those that are gone';

CREATE FUNCTION pgmaint.index_usage(unused_for interval DEFAULT '30 days', min_size bigint DEFAULT 1048576)
RETURNS TABLE (
	check_id text,
	kind text,
	relation regclass,
	"index" text,
	size text,
	detail text,
	command text,
	bytes bigint
)
LANGUAGE sql STABLE ROWS 500 COST 10000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
-- where there are thousands of indexes, compiling would take longer than the rest,
SET jit = off
-- and where the planner expects one, it would compare all of them with all others
SET enable_nestloop = off
BEGIN ATOMIC
	-- Of every index, no more than what is cheap to know: not its definition,
	-- nor its size, for which a file is looked at.
	WITH indexes AS MATERIALIZED (
		SELECT d."index", d.relation, d.first_column, d.is_valid, d.is_unique, d.is_partitioned,
			-- what something else relies on, even if there is another index like it
			d.is_primary OR d.is_exclusion OR d.is_replica_identity OR d.is_clustered
				OR d.has_constraint OR d.is_partitioned OR d.is_part
				OR d."index" IN (SELECT p.refobjid FROM pg_catalog.pg_depend p
					WHERE p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND p.refobjsubid = 0) AS is_bound
		FROM pgmaint.index_definitions d
	),
	-- what others may repeat: they begin with the same column
	alike AS MATERIALIZED (
		SELECT d.*, s.is_bound, pg_catalog.format('%I.%I', d.schema, d.index_name) AS name,
			pgmaint.file_size(c.relfilenode, c.reltablespace, c.relpages) AS bytes,
			d.is_valid AND d.is_unique AND d.is_immediate AND d.predicate IS NULL AS may_stand_in,
			d.is_valid AND NOT (d.is_replica_identity OR d.is_clustered OR d.is_partitioned OR d.is_part) AS may_go
		FROM (
			SELECT x."index", x.is_bound, pg_catalog.count(*) OVER (PARTITION BY x.relation, x.first_column) AS number
			FROM indexes x
		) s
		JOIN pgmaint.index_definitions d ON d."index" = s."index"
		JOIN pg_catalog.pg_class c ON c.oid = s."index"
		WHERE s.number > 1
	),
	asked AS MATERIALIZED (
		SELECT pgmaint.check_duration('unused_for', index_usage.unused_for) AS unused_for
	),
	standbys AS MATERIALIZED (
		SELECT pg_catalog.count(*) AS number FROM pg_catalog.pg_stat_replication r
		WHERE r.state = 'streaming'
	),
	building AS MATERIALIZED (
		SELECT p.index_relid AS "index" FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid <> 0
		UNION
		-- it is held from the beginning of a concurrent build to its end
		SELECT x."index" FROM indexes x
		JOIN pg_catalog.pg_locks l ON l.relation = x.relation AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted
			AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
		WHERE NOT x.is_valid
	),
	pairs AS MATERIALIZED (
		SELECT DISTINCT ON (x."index") x."index", x.relation, y.name AS other,
			x.keys = y.keys AND x.included = y.included AS is_same
		FROM alike x
		JOIN alike y ON y.relation = x.relation AND y."index" <> x."index" AND y.method = x.method AND y.is_valid
			AND y.predicate IS NOT DISTINCT FROM x.predicate
		WHERE x.is_valid
			AND NOT x.is_bound
			AND x.included <@ y.included
			-- one that is unique goes only if the other allows no more
			AND (NOT x.is_unique OR y.is_unique AND y.is_immediate AND y.nulls_not_distinct = x.nulls_not_distinct)
			AND (
				-- the same; of two that may both go, the younger does
				(x.keys = y.keys AND (x.included <> y.included OR y.is_bound
					OR y.is_unique AND NOT x.is_unique OR y."index" < x."index"))
				-- the beginning of a longer one
				OR (NOT x.is_unique AND x.method = 'btree' AND x.key_count < y.key_count AND y.keys[1:x.key_count] = x.keys)
			)
		ORDER BY x."index", is_same DESC, y.bytes, y."index"
	),
	-- constraints that say what others say; which names them may be in statements
	constraints AS MATERIALIZED (
		SELECT DISTINCT ON (x."index") x."index", x.relation, o.conname, y.name AS other,
			pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT %I', x.schema, x.table_name, o.conname) AS command
		FROM alike x
		JOIN pg_catalog.pg_constraint o ON o.conindid = x."index" AND o.conrelid = x.relation AND o.contype = 'u'
		JOIN alike y ON y.relation = x.relation AND y."index" <> x."index" AND y.method = x.method
			AND y.may_stand_in AND y.nulls_not_distinct = x.nulls_not_distinct
			AND y.keys = x.keys AND y.included = x.included
		JOIN pg_catalog.pg_constraint p ON p.conindid = y."index" AND p.conrelid = y.relation AND p.contype IN ('p', 'u')
		WHERE x.may_go
			AND (p.contype = 'p' OR y."index" < x."index" OR NOT x.is_immediate)
			AND x."index" NOT IN (SELECT f.conindid FROM pg_catalog.pg_constraint f WHERE f.contype = 'f')
		ORDER BY x."index", p.contype, y."index"
	),
	-- that a foreign key needs, though nobody has deleted yet
	referring AS MATERIALIZED (
		SELECT i.indexrelid AS "index"
		FROM pg_catalog.pg_constraint f
		JOIN pg_catalog.pg_index i ON i.indrelid = f.conrelid
		WHERE f.contype = 'f' AND (i.indkey::pg_catalog.int2[])[0:pg_catalog.cardinality(f.conkey) - 1] @> f.conkey
	),
	idle AS MATERIALIZED (
		SELECT x."index", x.relation, n.since
		FROM asked a
		CROSS JOIN indexes x
		JOIN pgmaint.index_idleness n ON n."index" = x."index"
		-- what is unique stands for more than reading faster
		WHERE x.is_valid AND NOT x.is_bound AND NOT x.is_unique
			AND n.since <= pg_catalog.now() - a.unused_for
			AND x."index" NOT IN (SELECT p."index" FROM pairs p)
			AND x."index" NOT IN (SELECT r."index" FROM referring r)
	),
	found AS (
		SELECT 'H001'::text AS check_id, 'invalid' AS kind, x.relation, x."index",
			'it is not used, and slows down writers' AS detail,
			CASE WHEN c.relname ~ '_ccnew[0-9]*$|_ccold[0-9]*$' THEN 'DROP' ELSE 'REINDEX' END AS verb, NULL AS command
		FROM indexes x
		JOIN pg_catalog.pg_class c ON c.oid = x."index"
		WHERE NOT x.is_valid AND NOT x.is_partitioned AND x."index" NOT IN (SELECT b."index" FROM building b)
		UNION ALL
		SELECT 'H001', 'invalid', p.relation, p."index", p.detail, NULL, p.command
		FROM pgmaint.invalid_partitioned_indexes() p
		JOIN indexes x ON x."index" = p."index"
		WHERE NOT p.being_built
		UNION ALL
		SELECT 'H002', 'unused', i.relation, i."index",
			pg_catalog.format('not used since %s%s', i.since::pg_catalog.date,
				CASE WHEN s.number > 0 THEN pg_catalog.format('; whether %s uses it is not known here: ask there first',
					CASE s.number WHEN 1 THEN 'the standby' ELSE pg_catalog.format('one of %s standbys', s.number) END) END),
			'DROP', NULL
		FROM idle i
		CROSS JOIN standbys s
		UNION ALL
		SELECT 'H003', 'foreign key without index', f.relation, NULL,
			pg_catalog.format('%I: deleting or changing rows of %s reads all of %s', f."constraint",
				f.referenced::pg_catalog.regclass, pg_catalog.pg_size_pretty(f.table_bytes)),
			NULL, f.command
		FROM pgmaint.unindexed_foreign_keys f
		WHERE f.table_bytes >= index_usage.min_size
		UNION ALL
		SELECT 'H004', CASE WHEN p.is_same THEN 'duplicate' ELSE 'redundant' END, p.relation, p."index",
			pg_catalog.format(CASE WHEN p.is_same THEN 'the same as %s' ELSE '%s begins with its columns' END, p.other),
			'DROP', NULL
		FROM pairs p
		UNION ALL
		SELECT 'H004', 'duplicate', c.relation, c."index",
			pg_catalog.format('the same as %s; constraint %I rests on it, and says no more: drop it unless a statement names it', c.other, c.conname),
			NULL, c.command
		FROM constraints c
	)
	SELECT f.check_id, f.kind, f.relation::pg_catalog.regclass, i.name,
		pg_catalog.pg_size_pretty(i.bytes), f.detail,
		coalesce(f.verb || ' INDEX CONCURRENTLY ' || i.name, f.command), i.bytes
	FROM found f
	LEFT JOIN LATERAL (
		SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
			CASE WHEN c.relkind <> 'I' THEN pgmaint.file_size(c.relfilenode, c.reltablespace, c.relpages) END AS bytes
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = f."index"
	) i ON true
	WHERE f.check_id <> 'H002' OR i.bytes >= index_usage.min_size
	ORDER BY f.check_id, i.bytes DESC NULLS LAST, i.name, f.detail;
END;

COMMENT ON FUNCTION pgmaint.index_usage(interval, bigint) IS
	'indexes that are invalid (H001), were not used for that long (H002), or are duplicate or redundant (H004), and foreign keys without an index (H003), each with the command that ends it';

REVOKE ALL ON pgmaint.index_scans, pgmaint.index_counters, pgmaint.index_idleness, pgmaint.index_definitions, pgmaint.unindexed_foreign_keys FROM PUBLIC;
GRANT SELECT ON pgmaint.index_scans, pgmaint.index_counters, pgmaint.index_idleness, pgmaint.index_definitions, pgmaint.unindexed_foreign_keys TO pg_monitor;
REVOKE ALL ON FUNCTION pgmaint.unused_since(oid), pgmaint.take_index_scans(), pgmaint.index_usage(interval, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.unused_since(oid), pgmaint.index_usage(interval, bigint) TO pg_monitor;
-- From where on the checks of pgmaint.validate() warn, or are critical: data,
-- which each group of checks brings for its own.

CREATE TABLE pgmaint.thresholds (
	check_id text NOT NULL,
	threshold text NOT NULL CHECK (threshold IN ('warning', 'critical')),
	value text,
	default_value text,
	kind text NOT NULL CHECK (kind IN ('interval', 'number', 'bytes')),
	description text NOT NULL,
	PRIMARY KEY (check_id, threshold),
	CONSTRAINT value_must_be_zero_or_more CHECK (CASE kind
		WHEN 'interval' THEN value::pg_catalog.interval >= '0'::pg_catalog.interval
		ELSE value::pg_catalog.numeric >= 0 AND value::pg_catalog.numeric <> 'NaN' END)
);

COMMENT ON TABLE pgmaint.thresholds IS 'from where on a check of pgmaint.validate() warns, or is critical: change value';
COMMENT ON COLUMN pgmaint.thresholds.value IS 'what holds; null: never';
COMMENT ON COLUMN pgmaint.thresholds.default_value IS 'what held from the start';
COMMENT ON COLUMN pgmaint.thresholds.kind IS 'what value must be: an interval, a number, or a number of bytes';

-- What was changed is dumped; when it comes back, the row with the default is
-- there already.
CREATE FUNCTION pgmaint.restore_threshold()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE pgmaint.thresholds t SET value = new.value
	WHERE t.check_id = new.check_id AND t.threshold = new.threshold;
	RETURN CASE WHEN found THEN NULL ELSE new END;
END
$$;

COMMENT ON FUNCTION pgmaint.restore_threshold() IS 'a threshold that comes out of a dump takes the place of the default';

CREATE TRIGGER restore_threshold BEFORE INSERT ON pgmaint.thresholds
	FOR EACH ROW EXECUTE FUNCTION pgmaint.restore_threshold();

SELECT pg_catalog.pg_extension_config_dump('pgmaint.thresholds', 'WHERE value IS DISTINCT FROM default_value');

CREATE FUNCTION pgmaint.threshold(check_id text, threshold text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT t.value FROM pgmaint.thresholds t
	WHERE t.check_id = threshold.check_id AND t.threshold = threshold.threshold;
END;

COMMENT ON FUNCTION pgmaint.threshold(text, text) IS 'a threshold of a check; null where there is none';

-- The more the worse.
CREATE FUNCTION pgmaint.judge(check_id text, measured numeric)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE
		WHEN judge.measured >= pgmaint.threshold(judge.check_id, 'critical')::numeric THEN 'critical'
		WHEN judge.measured >= pgmaint.threshold(judge.check_id, 'warning')::numeric THEN 'warning'
		ELSE 'ok' END;
END;

COMMENT ON FUNCTION pgmaint.judge(text, numeric) IS 'what a check''s thresholds say of a number: critical, warning or ok';

CREATE FUNCTION pgmaint.judge(check_id text, measured interval)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE
		WHEN judge.measured >= pgmaint.threshold(judge.check_id, 'critical')::interval THEN 'critical'
		WHEN judge.measured >= pgmaint.threshold(judge.check_id, 'warning')::interval THEN 'warning'
		ELSE 'ok' END;
END;

COMMENT ON FUNCTION pgmaint.judge(text, interval) IS 'what a check''s thresholds say of a time: critical, warning or ok';

CREATE FUNCTION pgmaint.expectation(check_id text, words text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce(
		(SELECT format(expectation.words, CASE t.kind WHEN 'bytes' THEN pg_size_pretty(t.value::numeric) ELSE t.value END)
		FROM pgmaint.thresholds t
		WHERE t.check_id = expectation.check_id AND t.value IS NOT NULL
		ORDER BY t.threshold DESC
		LIMIT 1),
		'nothing: it has no threshold');
END;

COMMENT ON FUNCTION pgmaint.expectation(text, text) IS 'what a check expects, in words that its first threshold is put into';

REVOKE ALL ON pgmaint.thresholds FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.restore_threshold(),
	pgmaint.threshold(text, text),
	pgmaint.judge(text, numeric),
	pgmaint.judge(text, interval),
	pgmaint.expectation(text, text)
FROM PUBLIC;
GRANT SELECT ON pgmaint.thresholds TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	pgmaint.threshold(text, text),
	pgmaint.judge(text, numeric),
	pgmaint.judge(text, interval),
	pgmaint.expectation(text, text)
TO pg_monitor;
-- Who is told of troubles, and what messages to them go through.

--
-- Relays: what messages go through
--

CREATE FUNCTION pgmaint.relay_validator(options text[], catalog oid) RETURNS void
	LANGUAGE c STRICT
	AS 'MODULE_PATHNAME', 'pgmaint_relay_validator';
COMMENT ON FUNCTION pgmaint.relay_validator IS
	'refuses what a relay, or a user mapping for one, cannot be';

CREATE FOREIGN DATA WRAPPER pgmaint_relay VALIDATOR pgmaint.relay_validator;
COMMENT ON FOREIGN DATA WRAPPER pgmaint_relay IS
	'its servers are what messages to contacts go through: an SMTP server, or the keys for a webhook';

--
-- Contacts: who is told
--

CREATE TABLE pgmaint.contacts (
	name text PRIMARY KEY,
	level integer NOT NULL CHECK (level > 0),
	address text NOT NULL,
	server name,
	severity text NOT NULL CHECK (severity IN ('warning', 'critical')),
	after interval NOT NULL,
	repeats integer CHECK (repeats > 0),
	windows boolean NOT NULL,
	notice interval NOT NULL,
	added_by name NOT NULL,
	added_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	identity text DEFAULT pgmaint.current_identity()
);

COMMENT ON TABLE pgmaint.contacts IS 'who is told of troubles, and when: made by pgmaint.add_contact()';
COMMENT ON COLUMN pgmaint.contacts.level IS '1 is told first; a trouble that was told to a higher level is escalated';
COMMENT ON COLUMN pgmaint.contacts.address IS 'https://..., mailto:..., or notify:channel';
COMMENT ON COLUMN pgmaint.contacts.server IS 'the relay: what mail goes through, or the keys for a webhook';
COMMENT ON COLUMN pgmaint.contacts.severity IS 'troubles of this severity, and worse ones, are told';
COMMENT ON COLUMN pgmaint.contacts.after IS 'how long a trouble has that severity, neither resolved nor acknowledged, before this contact is told';
COMMENT ON COLUMN pgmaint.contacts.repeats IS 'a trouble that was noticed so often is told at once';
COMMENT ON COLUMN pgmaint.contacts.windows IS 'whether the contact is told what will run, before a maintenance window opens';
COMMENT ON COLUMN pgmaint.contacts.notice IS 'how long before that';
COMMENT ON COLUMN pgmaint.contacts.identity IS 'of the database that the contact was added to: a copy, or a restored dump, tells it once that it is suspended, and nothing more until take_over()';
COMMENT ON COLUMN pgmaint.contacts.added_by IS 'whose user mapping has the password or the keys';

-- contacts belong to the database, and are dumped and restored with it
SELECT pg_catalog.pg_extension_config_dump('pgmaint.contacts', '');

CREATE FUNCTION pgmaint.add_contact(
	name text,
	address text,
	level integer DEFAULT 1,
	severity text DEFAULT NULL,
	after interval DEFAULT NULL,
	repeats integer DEFAULT NULL,
	windows boolean DEFAULT false,
	server name DEFAULT NULL,
	notice interval DEFAULT '1 hour')
RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_add_contact';

COMMENT ON FUNCTION pgmaint.add_contact(text, text, integer, text, interval, integer, boolean, name, interval) IS
	'have somebody told of troubles: level 1 at once of warnings, too, higher levels of what is critical and goes on, unless told otherwise';

CREATE FUNCTION pgmaint.drop_contact(name text)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_contact';

COMMENT ON FUNCTION pgmaint.drop_contact(text) IS 'tell a contact nothing more';

REVOKE ALL ON pgmaint.contacts FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.relay_validator(text[], oid),
	pgmaint.add_contact(text, text, integer, text, interval, integer, boolean, name, interval),
	pgmaint.drop_contact(text)
FROM PUBLIC;
GRANT SELECT ON pgmaint.contacts TO pg_monitor;
-- Messages to contacts: what is to be sent, what was, and what all of them say of
-- where they come from.  Those about maintenance windows are written here, those
-- about troubles in escalations.sql.

CREATE TABLE pgmaint.notifications (
	notification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	message_id uuid NOT NULL,
	contact text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('trouble', 'resolved', 'window', 'suspended')),
	severity text CHECK (severity IN ('warning', 'critical')),
	subject text NOT NULL,
	state text NOT NULL DEFAULT 'pending'
		CHECK (state IN ('pending', 'failed', 'sent', 'given up')),
	attempts integer NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	next_attempt timestamptz DEFAULT pg_catalog.clock_timestamp(),
	sent_at timestamptz,
	error text,
	body text NOT NULL,
	payload jsonb NOT NULL,
	window_name text,
	window_opens timestamptz,
	identity text DEFAULT pgmaint.current_identity(),
	UNIQUE (contact, window_name, window_opens)
) WITH (fillfactor = 70);

CREATE INDEX notifications_unsent ON pgmaint.notifications (contact, notification_id) WHERE state IN ('pending', 'failed');
CREATE INDEX notifications_contact ON pgmaint.notifications (contact, sent_at);

COMMENT ON TABLE pgmaint.notifications IS 'the messages to contacts: what is to be sent, and what was';
COMMENT ON COLUMN pgmaint.notifications.message_id IS 'goes with the message however often it is sent, so that a receiver can tell';
COMMENT ON COLUMN pgmaint.notifications.state IS 'pending, failed (and to be tried again), sent, given up';
COMMENT ON COLUMN pgmaint.notifications.error IS 'why the last attempt failed';
COMMENT ON COLUMN pgmaint.notifications.body IS 'for a person';
COMMENT ON COLUMN pgmaint.notifications.payload IS 'for a machine';

CREATE FUNCTION pgmaint.host_name()
RETURNS text
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_host_name';

COMMENT ON FUNCTION pgmaint.host_name() IS 'the name of the machine that the server runs on';

CREATE FUNCTION pgmaint.message_origin()
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT jsonb_build_object(
		'host', pgmaint.host_name(),
		'cluster', nullif(current_setting('cluster_name'), ''),
		'system_identifier', (SELECT c.system_identifier::text FROM pg_control_system() c),
		'database', current_database());
END;

COMMENT ON FUNCTION pgmaint.message_origin() IS 'what messages say about where they come from';

CREATE FUNCTION pgmaint.message_time(at timestamptz)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

COMMENT ON FUNCTION pgmaint.message_time(timestamptz) IS 'a time as messages have it: UTC, in ISO 8601';

-- Before a window opens: which plans are to begin in it.
CREATE FUNCTION pgmaint.queue_windows()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH opening AS MATERIALIZED (
		SELECT c.name AS contact, h.name, h.opens, h.closes
		FROM (SELECT pgmaint.window_clock() AS now) n
		JOIN pgmaint.contacts c ON c.windows AND c.identity IN (SELECT i.identity FROM pgmaint.own_identities i)
		CROSS JOIN LATERAL pgmaint.window_hours(n.now, n.now + c.notice) h
		WHERE h.opens > n.now
			AND NOT EXISTS (SELECT FROM pgmaint.notifications x
				WHERE x.contact = c.name AND x.window_name = h.name AND x.window_opens = h.opens)
	),
	planned AS (
		SELECT o.contact, o.name, o.opens, o.closes, s.plan, b.begins,
			(SELECT array_agg(p.action ORDER BY p.step) FROM pgmaint.plans p WHERE p.plan = s.plan) AS actions
		FROM opening o
		JOIN pgmaint.plan_schedules s ON s.plan <> 'tick'
			AND s.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
		CROSS JOIN LATERAL (SELECT pgmaint.next_run(s.schedule, o.opens - interval '1 second') AS begins) b
		WHERE b.begins < o.closes
	),
	batches AS MATERIALIZED (
		SELECT
			p.contact, p.name, p.opens, p.closes, o.origin,
			gen_random_uuid() AS message_id,
			string_agg(format('    %s at %s: %s', pgmaint.one_line(p.plan), pgmaint.message_time(p.begins), array_to_string(p.actions, ', ')),
				E'\n' ORDER BY p.begins, p.plan) AS text,
			jsonb_agg(jsonb_build_object('plan', p.plan, 'begins', pgmaint.message_time(p.begins), 'actions', p.actions)
				ORDER BY p.begins, p.plan) AS list
		FROM planned p
		CROSS JOIN (SELECT pgmaint.message_origin() AS origin) o
		GROUP BY p.contact, p.name, p.opens, p.closes, o.origin
	),
	worded AS (
		SELECT b.*, format('[pgmaint %s] maintenance begins at %s', pgmaint.one_line(concat_ws(' ', b.origin ->> 'host', b.origin ->> 'database')),
			pgmaint.message_time(b.opens)) AS subject
		FROM batches b
	)
	INSERT INTO pgmaint.notifications (message_id, contact, kind, subject, body, payload, window_name, window_opens)
	SELECT w.message_id, w.contact, 'window', w.subject,
		format(E'Maintenance window %s of database %s of cluster %s on %s is open from %s to %s.\n\nWhat will run in it:\n\n%s\n\nTables may be locked and queries slower in these hours.\n',
			pgmaint.one_line(w.name), pgmaint.one_line(w.origin ->> 'database'), pgmaint.one_line(coalesce(w.origin ->> 'cluster', w.origin ->> 'system_identifier')), w.origin ->> 'host',
			pgmaint.message_time(w.opens), pgmaint.message_time(w.closes), w.text),
		w.origin || jsonb_build_object('id', w.message_id, 'kind', 'window', 'subject', w.subject,
			'created_at', pgmaint.message_time(clock_timestamp()),
			'window', jsonb_build_object('name', w.name, 'opens', pgmaint.message_time(w.opens), 'closes', pgmaint.message_time(w.closes)),
			'plans', w.list),
		w.name, w.opens
	FROM worded w
	ON CONFLICT (contact, window_name, window_opens) DO NOTHING;
END;

COMMENT ON FUNCTION pgmaint.queue_windows() IS 'write the messages about maintenance windows that open soon';

-- Contacts that a dump or a copy brought are told so, and nothing else.
CREATE VIEW pgmaint.suspended_contacts AS
SELECT
	c.name,
	c.identity,
	EXISTS (SELECT FROM pgmaint.notifications n
		JOIN pgmaint.own_identities i ON i.identity = n.identity
		WHERE n.contact = c.name AND n.kind = 'suspended') AS told
FROM pgmaint.contacts c
WHERE NOT EXISTS (SELECT FROM pgmaint.own_identities i WHERE i.identity = c.identity)
	AND EXISTS (SELECT FROM pgmaint.own_identities i WHERE i.state = 'current');

COMMENT ON VIEW pgmaint.suspended_contacts IS 'the contacts that were added to another database, of which this is a copy or a restored dump: they are told nothing until take_over()';
COMMENT ON COLUMN pgmaint.suspended_contacts.told IS 'whether the contact was told that it is suspended here';

CREATE FUNCTION pgmaint.queue_suspensions()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	INSERT INTO pgmaint.notifications (message_id, contact, kind, severity, subject, body, payload)
	SELECT w.message_id, w.name, 'suspended', 'warning', w.subject,
		format(E'Database %s of cluster %s on %s may be a copy of the one that you are told about, or was restored from a dump of it.\n\n'
			'You are told nothing more of this database. If it is the successor, execute in it:\n\n'
			'    SELECT pgmaint.take_over();\n\nIf it is a copy, and stays one:\n\n    SELECT pgmaint.stay_copy();\n',
			pgmaint.one_line(w.origin ->> 'database'), pgmaint.one_line(coalesce(w.origin ->> 'cluster', w.origin ->> 'system_identifier')), w.origin ->> 'host'),
		w.origin || jsonb_build_object('id', w.message_id, 'kind', 'suspended', 'severity', 'warning', 'subject', w.subject,
			'created_at', pgmaint.message_time(clock_timestamp()))
	FROM (
		SELECT s.name, o.origin, gen_random_uuid() AS message_id,
			format('[pgmaint %s] contact %s is suspended on %s, until take_over()', pgmaint.one_line(concat_ws(' ', o.origin ->> 'host', o.origin ->> 'database')),
				pgmaint.one_line(s.name), o.origin ->> 'host') AS subject
		FROM pgmaint.suspended_contacts s
		CROSS JOIN (SELECT pgmaint.message_origin() AS origin) o
		WHERE NOT s.told
	) w;
END;

COMMENT ON FUNCTION pgmaint.queue_suspensions() IS 'tell the contacts of another database, once, that this one tells them nothing';

CREATE FUNCTION pgmaint.give_up_dropped_contacts()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	UPDATE pgmaint.notifications n SET state = 'given up', error = 'the contact was dropped', next_attempt = NULL
	WHERE n.state IN ('pending', 'failed') AND n.identity IN (SELECT i.identity FROM pgmaint.own_identities i) AND NOT EXISTS (SELECT FROM pgmaint.contacts c WHERE c.name = n.contact);
END;

COMMENT ON FUNCTION pgmaint.give_up_dropped_contacts() IS 'messages to contacts that are no more are not sent';

REVOKE ALL ON pgmaint.notifications, pgmaint.suspended_contacts FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.host_name(),
	pgmaint.message_origin(),
	pgmaint.message_time(timestamptz),
	pgmaint.queue_windows(),
	pgmaint.queue_suspensions(),
	pgmaint.give_up_dropped_contacts()
FROM PUBLIC;
GRANT SELECT ON pgmaint.notifications, pgmaint.suspended_contacts TO pg_monitor;
-- Troubles: what findings are about, from when it was first noticed until it is
-- over, how bad it is, and who sees to it.

CREATE TABLE pgmaint.troubles (
	escalation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	check_id text NOT NULL,
	object text,
	action text,
	severity text NOT NULL CHECK (severity IN ('warning', 'critical')),
	condition text,
	message text NOT NULL,
	occurrences integer NOT NULL,
	first_seen timestamptz NOT NULL,
	last_seen timestamptz NOT NULL,
	severe_since timestamptz NOT NULL,
	first_finding bigint NOT NULL,
	last_finding bigint NOT NULL,
	last_run bigint,
	level integer NOT NULL DEFAULT 0,
	resolved_at timestamptz,
	resolution text,
	target text,
	command text,
	relation oid,
	options jsonb,
	role oid,
	told boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX troubles_unresolved ON pgmaint.troubles (check_id, coalesce(object, ''), coalesce(action, '')) WHERE resolved_at IS NULL;
CREATE INDEX troubles_untold ON pgmaint.troubles (escalation_id) WHERE resolved_at IS NOT NULL AND NOT told;

COMMENT ON TABLE pgmaint.troubles IS 'one row for each trouble that findings are about, from when it was first noticed until it is resolved: pgmaint.escalations shows them';
COMMENT ON COLUMN pgmaint.troubles.condition IS 'what makes it critical though the findings are none, or which of the conditions of escalation it is';
COMMENT ON COLUMN pgmaint.troubles.occurrences IS 'how many runs noticed it';
COMMENT ON COLUMN pgmaint.troubles.severe_since IS 'since when it has its severity';
COMMENT ON COLUMN pgmaint.troubles.level IS 'the highest level of the contacts that were told';
COMMENT ON COLUMN pgmaint.troubles.target IS 'of the task that noticed it last; null: it was noticed when tasks were planned, or by no action';
COMMENT ON COLUMN pgmaint.troubles.options IS 'of the step that noticed it last';
COMMENT ON COLUMN pgmaint.troubles.told IS 'whether all contacts that were told of it were told that it is resolved';

CREATE TABLE pgmaint.acknowledgements (
	finding_id bigint NOT NULL,
	escalation_id bigint REFERENCES pgmaint.troubles ON DELETE CASCADE,
	severity text NOT NULL,
	acknowledged_by name NOT NULL,
	acknowledged_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	acknowledgement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

CREATE INDEX acknowledgements_escalation ON pgmaint.acknowledgements (escalation_id);

-- Whether the same task succeeded since is asked for each open trouble.  No index
-- row may become too long for a page, however long a target is.
CREATE INDEX tasks_succeeded ON pgmaint.tasks (action, (pg_catalog.left(target, 300)), started_at) WHERE state = 'succeeded';

-- A row of its own, so that a session that acknowledges and then idles in its
-- transaction holds no lock on the trouble.
COMMENT ON TABLE pgmaint.acknowledgements IS 'who sees to which trouble';
COMMENT ON COLUMN pgmaint.acknowledgements.escalation_id IS 'null: the finding is not among the escalations yet';
COMMENT ON COLUMN pgmaint.acknowledgements.severity IS 'what is worse than that is told again';

CREATE FUNCTION pgmaint.acknowledge(finding_id bigint)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_acknowledge';

COMMENT ON FUNCTION pgmaint.acknowledge(bigint) IS
	'see to the trouble that a finding is about: nobody else is told of it, unless it becomes worse; false if it is resolved';

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, 'critical', d.value, d.value, d.kind, d.description
FROM (VALUES
	('repeated_backup_failure', '2', 'number', 'backups of the same failed so many times in a row: contacts are told that it is critical'),
	('repeated_failure', '3', 'number', 'a task failed so many times in a row: contacts are told that it is critical'),
	('lasting_warning', '7 days', 'interval', 'a warning is neither resolved nor acknowledged for so long: contacts are told that it is critical')
) AS d (check_id, value, kind, description);

-- What is noticed again and again is one trouble.  Findings that a session has
-- locked are left for the next time.
CREATE FUNCTION pgmaint.note_troubles()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH fresh AS MATERIALIZED (
		SELECT
			f.finding_id, f.run_id, f.check_id, f.severity, f.created_at,
			coalesce(f.object, '') AS object_key,
			coalesce(r.steps -> (f.step - 1) ->> 'action', '') AS action_key
		FROM pgmaint.findings f
		LEFT JOIN pgmaint.runs r ON r.run_id = f.run_id
		WHERE f.escalation_id IS NULL AND f.severity <> 'info'
			AND f.identity IN (SELECT i.identity FROM pgmaint.own_identities i)
		FOR NO KEY UPDATE OF f SKIP LOCKED
	),
	numbered AS MATERIALIZED (
		SELECT f.*, dense_rank() OVER (ORDER BY f.check_id, f.object_key, f.action_key) AS nth,
			(SELECT o.last_run FROM pgmaint.troubles o WHERE o.resolved_at IS NULL AND o.check_id = f.check_id
				AND coalesce(o.object, '') = f.object_key AND coalesce(o.action, '') = f.action_key) AS last_run
		FROM fresh f
	),
	counted AS MATERIALIZED (
		SELECT
			f.check_id, f.object_key, f.action_key,
			bool_or(f.severity = 'critical') AS critical,
			count(DISTINCT coalesce(f.run_id, -f.finding_id)) FILTER (WHERE f.run_id IS DISTINCT FROM f.last_run OR f.run_id IS NULL) AS times,
			min(f.created_at) AS first_seen,
			max(f.created_at) AS last_seen,
			min(f.finding_id) AS first_finding,
			max(f.finding_id) AS last_finding
		FROM numbered f
		GROUP BY f.check_id, f.object_key, f.action_key
	),
	noted AS (
		INSERT INTO pgmaint.troubles AS o (check_id, object, action, severity, message, occurrences, first_seen, last_seen,
			severe_since, first_finding, last_finding, last_run, target, command, relation, options, role)
		SELECT
			f.check_id, f.object, s.definition ->> 'action', CASE WHEN c.critical THEN 'critical' ELSE 'warning' END, f.message, c.times,
			c.first_seen, c.last_seen, c.first_seen, c.first_finding, f.finding_id, f.run_id, t.target, t.command, t.relation,
			s.definition -> 'options', r.role
		FROM counted c
		JOIN pgmaint.findings f ON f.finding_id = c.last_finding
		LEFT JOIN pgmaint.runs r ON r.run_id = f.run_id
		LEFT JOIN pgmaint.tasks t ON t.task_id = f.task_id
		CROSS JOIN LATERAL (SELECT r.steps -> (f.step - 1) AS definition) s
		ORDER BY c.critical DESC, c.first_finding
		ON CONFLICT (check_id, coalesce(object, ''), coalesce(action, '')) WHERE resolved_at IS NULL DO UPDATE SET
			severe_since = CASE WHEN o.severity <> 'critical' AND excluded.severity = 'critical' THEN excluded.last_seen ELSE o.severe_since END,
			severity = CASE WHEN o.severity = 'critical' THEN o.severity ELSE excluded.severity END,
			message = excluded.message,
			occurrences = o.occurrences + excluded.occurrences,
			last_seen = excluded.last_seen,
			last_finding = excluded.last_finding,
			last_run = excluded.last_run,
			target = excluded.target,
			command = excluded.command,
			relation = excluded.relation,
			options = excluded.options,
			role = excluded.role
		RETURNING o.escalation_id, o.check_id, coalesce(o.object, '') AS object_key, coalesce(o.action, '') AS action_key
	)
	-- by number: the planner cannot tell how many these are, and might compare each
	-- with each
	UPDATE pgmaint.findings f SET
		escalation_id = (SELECT array_agg(n.escalation_id ORDER BY n.check_id, n.object_key, n.action_key) FROM noted n)[x.nth]
	FROM numbered x
	WHERE f.finding_id = x.finding_id;
	UPDATE pgmaint.acknowledgements a SET escalation_id = f.escalation_id
	FROM pgmaint.findings f
	WHERE a.escalation_id IS NULL AND f.finding_id = a.finding_id AND f.escalation_id IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint.note_troubles() IS 'put findings that are new to the troubles that they are about';

-- Resolved is only what was looked at again, in the same way, and not found.  There
-- may be many troubles: what is looked up for each has an index, or was gathered
-- once into a few rows.  EXISTS could be turned into a scan of the whole table, so
-- that it is not used for large ones.
CREATE FUNCTION pgmaint.resolve_troubles()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH begun AS MATERIALIZED (
		SELECT r.plan, max(r.requested_at) AS requested_at FROM pgmaint.runs r GROUP BY r.plan
	),
	ended AS MATERIALIZED (
		SELECT r.plan, max(r.run_id) AS run_id
		FROM pgmaint.runs r
		WHERE r.run_id > (SELECT min(t.last_run) FROM pgmaint.troubles t WHERE t.resolved_at IS NULL AND t.check_id IN ('failed', 'interrupted') AND t.action IS NULL)
			AND r.current_step > 0 AND r.current_step = jsonb_array_length(r.steps) AND r.state NOT IN ('cancelled', 'interrupted')
		GROUP BY r.plan
	),
	planned AS MATERIALIZED (
		SELECT r.role, s.definition ->> 'action' AS action, coalesce(s.definition -> 'options', '{}') - 'settings' AS options, max(r.run_id) AS run_id
		FROM pgmaint.runs r
		CROSS JOIN LATERAL jsonb_array_elements(r.steps) WITH ORDINALITY AS s (definition, step)
		WHERE r.run_id > (SELECT min(t.last_run) FROM pgmaint.troubles t
				WHERE t.resolved_at IS NULL AND t.target IS NULL AND t.action IS NOT NULL)
			AND (r.current_step > s.step OR r.state = 'succeeded'
				OR r.finished_at IS NOT NULL AND (SELECT k.step FROM pgmaint.tasks k WHERE k.run_id = r.run_id AND k.step = s.step LIMIT 1) IS NOT NULL)
		GROUP BY 1, 2, 3
	)
	UPDATE pgmaint.troubles o SET resolved_at = clock_timestamp(), resolution = x.resolution
	FROM (
		SELECT t.escalation_id, CASE
			-- settled by a person, or over with the next run that writes to the storage
			WHEN t.check_id = 'identity' AND t.object IS NULL THEN
				(SELECT 'this database is not in doubt' FROM pgmaint.own_identities i
				WHERE i.state = 'current' AND i.doubt IS NULL AND NOT EXISTS (SELECT FROM pgmaint.suspended_contacts))
			WHEN t.check_id = 'identity' THEN coalesce(
				(SELECT format('run %s found the owner records on storage %I in order', r.run_id, t.object)
				FROM pgmaint.owner_records r
				WHERE r.storage = t.object AND r.verdict = 'clear' AND r.written_at > t.last_seen
				ORDER BY r.written_at LIMIT 1),
				CASE WHEN NOT EXISTS (SELECT FROM pg_foreign_server s WHERE s.srvname = t.object)
					THEN format('storage %I is there no more', t.object) END)
			-- noticed by a task: the same task succeeded, and had nothing to say
			WHEN t.target IS NOT NULL THEN coalesce(
				(SELECT format('%s of %s succeeded in run %s', k.action, k.target, k.run_id)
				FROM pgmaint.tasks k
				JOIN pgmaint.runs r ON r.run_id = k.run_id
				WHERE k.action = t.action AND left(k.target, 300) = left(t.target, 300) AND k.target = t.target
					AND k.state = 'succeeded' AND k.started_at > t.last_seen
					AND (t.check_id IN ('failed', 'skipped')
						OR coalesce(r.steps -> (k.step - 1) -> 'options', '{}') - 'settings' = coalesce(t.options, '{}') - 'settings'
						AND (k.action <> 'check_corruption' OR k.command = t.command))
				ORDER BY k.started_at, k.task_id
				LIMIT 1),
				CASE WHEN t.relation <> 0 AND (SELECT c.oid FROM pg_class c WHERE c.oid = t.relation) IS NULL
					THEN format('%s is there no more', t.target) END,
				CASE WHEN t.action IN ('verify_backup', 'restore_backup')
						AND t.target IN (SELECT concat(b.storage, '/', b.key) FROM pgmaint.backup_records b WHERE b.state = 'expired')
					THEN format('%s was removed', t.target) END)
			WHEN t.check_id = 'missed_schedule' THEN coalesce(
				(SELECT format('plan %s was run', t.object)
				FROM begun b WHERE b.plan = t.object AND b.requested_at > t.last_seen),
				CASE WHEN NOT EXISTS (SELECT FROM pgmaint.plan_schedules s WHERE s.plan = t.object)
					THEN format('plan %s is not scheduled any more', t.object) END)
			WHEN t.check_id = 'delivery' THEN coalesce(
				(SELECT format('a message to %s was sent', t.object)
				FROM pgmaint.notifications n WHERE n.contact = t.object AND n.sent_at > t.last_seen LIMIT 1),
				CASE WHEN NOT EXISTS (SELECT FROM pgmaint.contacts c WHERE c.name = t.object)
					THEN format('contact %s is there no more', t.object) END)
			-- noticed when tasks were planned: the same was planned again to the end
			WHEN t.action IS NOT NULL THEN
				(SELECT format('%s in run %s did not notice it', p.action, max(p.run_id))
				FROM planned p
				WHERE p.run_id > t.last_run AND p.role = t.role AND p.action = t.action
					AND (t.check_id = 'failed' OR p.options = coalesce(t.options, '{}') - 'settings')
				GROUP BY p.action)
			WHEN t.check_id IN ('failed', 'interrupted') THEN
				(SELECT format('run %s of plan %s came to its end', e.run_id, e.plan)
				FROM ended e
				WHERE e.run_id > t.last_run AND e.plan = t.object)
			END AS resolution
		FROM pgmaint.troubles t
		WHERE t.resolved_at IS NULL
			-- what came in since note_troubles() comes first
			AND t.check_id NOT IN (SELECT DISTINCT f.check_id FROM pgmaint.findings f
				WHERE f.escalation_id IS NULL AND f.severity <> 'info'
					AND f.identity IN (SELECT i.identity FROM pgmaint.own_identities i))
	) x
	WHERE x.escalation_id = o.escalation_id AND x.resolution IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint.resolve_troubles() IS 'see which troubles are over';

CREATE FUNCTION pgmaint.weigh_troubles()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH limits AS MATERIALIZED (
		SELECT
			pgmaint.threshold('repeated_backup_failure', 'critical')::numeric AS backup_failures,
			pgmaint.threshold('repeated_failure', 'critical')::numeric AS failures,
			pgmaint.threshold('lasting_warning', 'critical')::interval AS lasting
	)
	UPDATE pgmaint.troubles o SET
		condition = x.condition,
		severe_since = CASE WHEN o.severity = 'critical' THEN o.severe_since ELSE clock_timestamp() END,
		severity = 'critical'
	FROM (
		SELECT t.escalation_id, CASE
				WHEN t.check_id = 'degradation' THEN 'degradation after maintenance'
				WHEN t.action = 'check_corruption' AND t.severity = 'critical' THEN 'corruption'
				WHEN t.action IN ('verify_backup', 'restore_backup') AND (t.severity = 'critical' OR t.check_id = 'failed') THEN 'a restore failed'
				WHEN t.action = 'backup' AND t.check_id IN ('backup', 'failed')
					AND (t.severity = 'critical' OR t.occurrences >= l.backup_failures) THEN 'backups fail repeatedly'
				WHEN t.check_id = 'failed' AND t.occurrences >= l.failures THEN 'it fails repeatedly'
				WHEN t.severity = 'warning' AND t.first_seen < clock_timestamp() - l.lasting
					AND NOT EXISTS (SELECT FROM pgmaint.acknowledgements a WHERE a.escalation_id = t.escalation_id) THEN 'it goes on'
			END AS condition
		FROM pgmaint.troubles t
		CROSS JOIN limits l
		WHERE t.resolved_at IS NULL AND t.condition IS NULL
	) x
	WHERE x.escalation_id = o.escalation_id AND x.condition IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint.weigh_troubles() IS 'see which troubles have become critical';

REVOKE ALL ON pgmaint.troubles, pgmaint.acknowledgements FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.acknowledge(bigint),
	pgmaint.note_troubles(),
	pgmaint.resolve_troubles(),
	pgmaint.weigh_troubles()
FROM PUBLIC;
GRANT SELECT ON pgmaint.troubles, pgmaint.acknowledgements TO pg_monitor;
-- Which trouble was told to whom, who is told next, and the messages that are due.

CREATE TABLE pgmaint.notified_troubles (
	escalation_id bigint NOT NULL REFERENCES pgmaint.troubles ON DELETE CASCADE,
	contact text NOT NULL,
	kind text NOT NULL,
	severity text NOT NULL,
	notification_id bigint NOT NULL REFERENCES pgmaint.notifications ON DELETE CASCADE,
	PRIMARY KEY (escalation_id, contact, kind, severity)
);

CREATE INDEX notified_troubles_notification ON pgmaint.notified_troubles (notification_id);

COMMENT ON TABLE pgmaint.notified_troubles IS 'which trouble was told to whom: once for each severity, and once when it was resolved';

-- The planner cannot tell how many troubles have come up since it counted, and would
-- compare all with all: so these are subqueries, which are looked up by key, and no
-- joins, and a trouble is not looked up in the index of those that are unresolved.
CREATE VIEW pgmaint.escalation_steps AS
SELECT
	t.escalation_id,
	c.name AS contact,
	c.level,
	CASE WHEN t.occurrences >= c.repeats THEN t.severe_since ELSE t.severe_since + c.after END AS due
FROM pgmaint.troubles t
JOIN pgmaint.contacts c ON (c.severity = 'warning' OR t.severity = 'critical')
	-- somebody who cannot be reached is not told so
	AND NOT (t.check_id = 'delivery' AND t.object = c.name)
	-- nor is one of another database told what happens in this
	AND c.identity IN (SELECT i.identity FROM pgmaint.own_identities i)
WHERE coalesce(t.resolved_at, 'infinity') = 'infinity'
	AND (SELECT a.escalation_id FROM pgmaint.acknowledgements a
		WHERE a.escalation_id = t.escalation_id AND (a.severity = 'critical' OR t.severity = 'warning')
		LIMIT 1) IS NULL
	AND (SELECT n.escalation_id FROM pgmaint.notified_troubles n
		WHERE n.escalation_id = t.escalation_id AND n.contact = c.name AND n.kind = 'trouble' AND n.severity = t.severity) IS NULL;

COMMENT ON VIEW pgmaint.escalation_steps IS 'who will be told of which trouble, and when, unless it is resolved or acknowledged';

CREATE VIEW pgmaint.escalations AS
SELECT
	t.escalation_id,
	CASE
		WHEN t.resolved_at IS NOT NULL THEN 'resolved'
		WHEN a.acknowledged_at IS NOT NULL THEN 'acknowledged'
		WHEN t.level > 1 THEN 'escalated'
		WHEN t.level = 1 THEN 'notified'
		ELSE 'open'
	END AS state,
	t.severity,
	t.check_id,
	t.object,
	t.message,
	t.occurrences,
	pg_catalog.date_trunc('second', t.first_seen) AS first_seen,
	pg_catalog.date_trunc('second', t.last_seen) AS last_seen,
	t.level,
	pg_catalog.date_trunc('second', s.due) AS next_step,
	s.contact AS next_contact,
	t.condition,
	t.last_finding AS finding_id,
	a.acknowledged_by,
	a.acknowledged_at,
	t.resolved_at,
	t.resolution,
	t.action,
	t.first_finding
FROM pgmaint.troubles t
LEFT JOIN LATERAL (
	SELECT n.due, n.contact
	FROM pgmaint.escalation_steps n
	WHERE n.escalation_id = t.escalation_id
	ORDER BY n.due, n.level, n.contact
	LIMIT 1
) s ON true
LEFT JOIN LATERAL (
	SELECT k.acknowledged_by, k.acknowledged_at
	FROM (
		SELECT n.acknowledged_by, n.acknowledged_at, n.severity
		FROM pgmaint.acknowledgements n
		WHERE n.escalation_id = t.escalation_id
		UNION ALL
		SELECT n.acknowledged_by, n.acknowledged_at, n.severity
		FROM pgmaint.acknowledgements n
		JOIN pgmaint.findings f ON f.finding_id = n.finding_id
		WHERE n.escalation_id IS NULL AND f.escalation_id = t.escalation_id
	) k
	WHERE k.severity = 'critical' OR t.severity = 'warning'
	ORDER BY k.acknowledged_at DESC
	LIMIT 1
) a ON true
ORDER BY t.resolved_at DESC NULLS FIRST, t.severity, t.last_seen DESC, t.escalation_id;

COMMENT ON VIEW pgmaint.escalations IS
	'the troubles that findings are about, those to see to first: whether somebody was told, who is told next and when, who sees to it, and whether it is over';
COMMENT ON COLUMN pgmaint.escalations.state IS 'open (nobody was told), notified (level 1 was), escalated (a higher level was), acknowledged, resolved';

-- One message to each contact, however many troubles there are; the first 50
-- are described.
CREATE FUNCTION pgmaint.queue_troubles()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH due AS MATERIALIZED (
		SELECT 'trouble' AS kind, s.contact, s.level AS contact_level, t.*
		FROM pgmaint.escalation_steps s
		JOIN pgmaint.troubles t ON t.escalation_id = s.escalation_id
		WHERE t.resolved_at IS NULL AND s.due <= clock_timestamp()
		UNION ALL
		SELECT 'resolved', n.contact, c.level, t.*
		FROM pgmaint.troubles t
		CROSS JOIN LATERAL (
			SELECT o.contact
			FROM pgmaint.notified_troubles o
			WHERE o.escalation_id = t.escalation_id
			GROUP BY o.contact
			HAVING NOT bool_or(o.kind = 'resolved')
		) n
		JOIN pgmaint.contacts c ON c.name = n.contact
			AND c.identity IN (SELECT i.identity FROM pgmaint.own_identities i)
		WHERE t.resolved_at IS NOT NULL AND NOT t.told
	),
	ranked AS (
		SELECT d.*,
			row_number() OVER (PARTITION BY d.contact, d.kind ORDER BY d.severity, d.first_seen, d.escalation_id) AS nth,
			-- names may have lines of their own, which must not look like ours
			pgmaint.one_line(concat_ws(' ', d.check_id, left(d.object, 200))) AS name,
			pgmaint.one_line(left(d.message, 1000)) AS text
		FROM due d
	),
	batches AS MATERIALIZED (
		SELECT
			r.contact, r.kind,
			gen_random_uuid() AS message_id,
			o.origin,
			min(r.severity) AS severity,
			count(*) AS troubles,
			count(*) FILTER (WHERE r.severity = 'critical') AS critical,
			min(format('%s: %s: %s', CASE r.kind WHEN 'resolved' THEN 'resolved' ELSE r.severity END, r.name, r.text)) FILTER (WHERE r.nth = 1) AS first,
			min(r.last_finding) FILTER (WHERE r.nth = 1) AS finding,
			string_agg(concat(
				upper(CASE r.kind WHEN 'resolved' THEN r.kind ELSE r.severity END), ' ', r.name, ' (' || pgmaint.one_line(r.condition) || ')',
				E'\n    ', r.text,
				E'\n    ' || CASE WHEN r.kind = 'resolved' THEN pgmaint.one_line(r.resolution) END,
				format(E'\n    noticed %s, first at %s, last at %s; finding %s', CASE r.occurrences WHEN 1 THEN 'once' ELSE r.occurrences || ' times' END,
					pgmaint.message_time(r.first_seen), pgmaint.message_time(r.last_seen), r.last_finding)),
				E'\n\n' ORDER BY r.nth) FILTER (WHERE r.nth <= 50) AS text,
			jsonb_agg(jsonb_build_object(
				'escalation_id', r.escalation_id,
				'finding_id', r.last_finding,
				'state', CASE WHEN r.kind = 'resolved' THEN r.kind WHEN greatest(r.level, r.contact_level) > 1 THEN 'escalated' ELSE 'notified' END,
				'severity', r.severity,
				'check_id', r.check_id,
				'object', r.object,
				'action', r.action,
				'condition', r.condition,
				'message', left(r.message, 1000),
				'count', r.occurrences,
				'first_seen', pgmaint.message_time(r.first_seen),
				'last_seen', pgmaint.message_time(r.last_seen),
				'resolution', r.resolution) ORDER BY r.nth) FILTER (WHERE r.nth <= 50) AS list
		FROM ranked r
		CROSS JOIN (SELECT pgmaint.message_origin() AS origin) o
		GROUP BY r.contact, r.kind, o.origin
	),
	worded AS MATERIALIZED (
		SELECT b.*, format('[pgmaint %s] %s', pgmaint.one_line(concat_ws(' ', b.origin ->> 'host', b.origin ->> 'database')),
			CASE
				WHEN b.troubles = 1 THEN left(b.first, 150)
				WHEN b.kind = 'resolved' THEN b.troubles || ' troubles are resolved'
				WHEN b.critical = 0 THEN b.troubles || ' warnings'
				ELSE format('%s troubles, %s of them critical', b.troubles, b.critical) END) AS subject
		FROM batches b
	),
	messages AS (
		INSERT INTO pgmaint.notifications (message_id, contact, kind, severity, subject, body, payload)
		SELECT w.message_id, w.contact, w.kind, w.severity, w.subject,
			concat(
				format(E'Database %s of cluster %s on %s:\n\n', pgmaint.one_line(w.origin ->> 'database'),
					pgmaint.one_line(coalesce(w.origin ->> 'cluster', w.origin ->> 'system_identifier')), w.origin ->> 'host'),
				w.text,
				CASE WHEN w.troubles > 50 THEN format(E'\n\n... and %s more.', w.troubles - 50) END,
				CASE WHEN w.kind = 'trouble' THEN format(
					E'\n\nSELECT * FROM pgmaint.escalations shows all of it.\nSELECT pgmaint.acknowledge(%s) says that you see to it, and stops the escalation.',
					w.finding) END,
				E'\n'),
			w.origin || jsonb_build_object('id', w.message_id, 'kind', w.kind, 'severity', w.severity, 'subject', w.subject,
				'created_at', pgmaint.message_time(clock_timestamp()), 'troubles_count', w.troubles, 'troubles', w.list)
		FROM worded w
		RETURNING notification_id, contact, kind
	),
	told AS (
		INSERT INTO pgmaint.notified_troubles (escalation_id, contact, kind, severity, notification_id)
		SELECT d.escalation_id, d.contact, d.kind, d.severity, m.notification_id
		FROM due d
		JOIN messages m ON m.contact = d.contact AND m.kind = d.kind
	)
	UPDATE pgmaint.troubles o SET level = x.level
	FROM (SELECT d.escalation_id, max(d.contact_level) AS level FROM due d WHERE d.kind = 'trouble' GROUP BY d.escalation_id) x
	WHERE o.escalation_id = x.escalation_id AND o.level < x.level;
	UPDATE pgmaint.troubles t SET told = true
	WHERE t.resolved_at IS NOT NULL AND NOT t.told
		AND (SELECT o.contact
			FROM pgmaint.notified_troubles o
			WHERE o.escalation_id = t.escalation_id AND o.contact IN (SELECT c.name FROM pgmaint.contacts c)
			GROUP BY o.contact
			HAVING NOT bool_or(o.kind = 'resolved')
			LIMIT 1) IS NULL;
END;

COMMENT ON FUNCTION pgmaint.queue_troubles() IS 'write the messages about troubles that are due';

CREATE FUNCTION pgmaint.escalation_due()
RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM pgmaint.findings f WHERE f.escalation_id IS NULL AND f.severity <> 'info'
			AND f.identity IN (SELECT i.identity FROM pgmaint.own_identities i))
		OR EXISTS (SELECT FROM pgmaint.troubles t WHERE t.resolved_at IS NULL)
		OR EXISTS (SELECT FROM pgmaint.notifications n WHERE n.state IN ('pending', 'failed') AND n.next_attempt <= clock_timestamp()
			AND n.identity IN (SELECT i.identity FROM pgmaint.own_identities i))
		OR EXISTS (SELECT FROM pgmaint.suspended_contacts s WHERE NOT s.told)
		OR EXISTS (SELECT FROM pgmaint.contacts c WHERE c.windows) AND EXISTS (SELECT FROM pgmaint.maintenance_windows);
END;

COMMENT ON FUNCTION pgmaint.escalation_due() IS 'may there be somebody to be told something';

REVOKE ALL ON pgmaint.notified_troubles, pgmaint.escalation_steps, pgmaint.escalations FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.queue_troubles(),
	pgmaint.escalation_due()
FROM PUBLIC;
GRANT SELECT ON pgmaint.notified_troubles, pgmaint.escalation_steps, pgmaint.escalations TO pg_monitor;
-- Checks of backups.

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('backup_exists', 'critical', '1', 'number', 'there are fewer backups of a database than this'),
	('backup_recent', 'warning', '26 hours', 'interval', 'the newest backup of a database was begun longer ago than this'),
	('backup_recent', 'critical', '50 hours', 'interval', 'the newest backup of a database was begun longer ago than this'),
	('backup_verified', 'warning', '35 days', 'interval', 'no backup of a database was restored to prove it for longer than this')
) AS d (check_id, threshold, value, kind, description);

-- Backups of this database, and of all others that were ever backed up from
-- here and are still there.  What holds a part of a database counts only where
-- nothing holds all of it.
CREATE FUNCTION pgmaint.validate_backups()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 5 COST 10000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	WITH limits AS MATERIALIZED (
		SELECT
			pgmaint.threshold('backup_exists', 'critical') AS least,
			pgmaint.threshold('backup_recent', 'warning') AS recent_warning,
			pgmaint.threshold('backup_recent', 'critical') AS recent_critical,
			pgmaint.threshold('backup_verified', 'warning') AS verified_warning
	),
	made AS (
		SELECT b.*, b.selection IS NULL AS whole, b.state = 'succeeded' AS there
		FROM pgmaint.backup_records b
		WHERE b.kind = 'database' AND b.state IN ('succeeded', 'expiring', 'expired')
			AND b.identity IN (SELECT o.identity FROM pgmaint.own_identities o)
	),
	counting AS (
		SELECT m.*
		FROM made m
		WHERE m.whole OR NOT EXISTS (SELECT FROM made o WHERE o.database = m.database AND o.whole AND o.there)
	),
	looked_at AS (
		SELECT
			d.datname::text AS name,
			quote_ident(d.datname) AS object,
			count(*) FILTER (WHERE c.there) AS backups,
			bool_or(c.whole) FILTER (WHERE c.there) AS whole,
			sum(c.bytes) FILTER (WHERE c.there) AS bytes,
			string_agg(DISTINCT c.storage::text, ', ') FILTER (WHERE c.there) AS storages,
			max(c.started_at) FILTER (WHERE c.there) AS newest,
			min(c.started_at) AS first_ever,
			max(c.verified_at) AS verified_at,
			max(c.started_at) FILTER (WHERE c.there AND c.verification = 'restorable') AS newest_restorable,
			(array_agg(c.verification_error ORDER BY c.started_at DESC) FILTER (WHERE c.there AND c.verification = 'not restorable'))[1] AS bad_error,
			max(c.started_at) FILTER (WHERE c.there AND c.verification = 'not restorable') AS newest_bad
		FROM pg_database d
		LEFT JOIN counting c ON c.database = d.datname
		WHERE d.datname = current_database()
			OR EXISTS (SELECT FROM pgmaint.backup_records b WHERE b.database = d.datname
				AND b.identity IN (SELECT o.identity FROM pgmaint.own_identities o))
		GROUP BY d.datname
	)
	SELECT
		'backup_exists',
		CASE
			WHEN l.backups < t.least::numeric THEN 'critical'
			WHEN NOT l.whole THEN 'warning'
			ELSE 'ok' END,
		CASE
			WHEN l.backups = 0 THEN format('there is no backup of database %s', l.object)
			WHEN NOT l.whole THEN format('there are only backups of parts of database %s', l.object)
			ELSE format('%s %s of database %s, %s, on %s', l.backups,
				CASE WHEN l.backups = 1 THEN 'backup' ELSE 'backups' END, l.object, pg_size_pretty(l.bytes), l.storages) END,
		coalesce('at least ' || t.least, 'any number'),
		l.object
	FROM looked_at l
	CROSS JOIN limits t
	UNION ALL
	SELECT
		'backup_recent',
		CASE
			WHEN l.newest < clock_timestamp() - t.recent_critical::interval THEN 'critical'
			WHEN l.newest < clock_timestamp() - t.recent_warning::interval THEN 'warning'
			ELSE 'ok' END,
		format('the newest backup of database %s was begun %s ago', l.object,
			date_trunc('minute', justify_hours(greatest(clock_timestamp() - l.newest, interval '0')))),
		coalesce('not longer ago than ' || coalesce(t.recent_warning, t.recent_critical), 'at any time'),
		l.object
	FROM looked_at l
	CROSS JOIN limits t
	WHERE l.newest IS NOT NULL
	UNION ALL
	SELECT
		'backup_verified',
		CASE
			WHEN l.newest_bad > coalesce(l.newest_restorable, '-infinity') THEN 'critical'
			WHEN coalesce(l.verified_at, l.first_ever) < clock_timestamp() - t.verified_warning::interval THEN 'warning'
			ELSE 'ok' END,
		CASE
			WHEN l.newest_bad > coalesce(l.newest_restorable, '-infinity') THEN format(
				'the backup of database %s of %s could not be restored%s', l.object,
				to_char(l.newest_bad AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), coalesce(': ' || l.bad_error, ''))
			WHEN l.verified_at IS NULL THEN format('no backup of database %s was ever restored to prove it', l.object)
			ELSE format('a backup of database %s was restored to prove it %s ago', l.object,
				date_trunc('minute', justify_hours(greatest(clock_timestamp() - l.verified_at, interval '0')))) END,
		coalesce('proven not longer ago than ' || t.verified_warning, 'not proven to be bad'),
		l.object
	FROM looked_at l
	CROSS JOIN limits t
	WHERE l.newest IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint.validate_backups() IS 'the checks of backups: that there are some, that they are recent, that they were proven';

REVOKE ALL ON FUNCTION pgmaint.validate_backups() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.validate_backups() TO pg_monitor;
-- Checks of what is in the database.

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('bloat', 'warning', '0.3', 'number', 'this share of all that bloat_report measured last is bloat'),
	('bloat', 'critical', '0.6', 'number', 'this share of all that bloat_report measured last is bloat'),
	('bloat_measured', 'warning', '35 days', 'interval', 'bloat was not measured for longer than this'),
	('statistics', 'warning', '1', 'number', 'so many tables were never analyzed, or have changed by half since they were'),
	('wraparound', 'warning', '500000000', 'number', 'the oldest transaction ID, or multixact ID, of a database has this age'),
	('wraparound', 'critical', '1500000000', 'number', 'the oldest transaction ID, or multixact ID, of a database has this age'),
	('checksums_enabled', 'warning', '1', 'number', 'the server keeps fewer checksums of pages than this: 1 is with, 0 without'),
	('checksum_failures', 'critical', '1', 'number', 'so many pages with a wrong checksum were read since the statistics were reset'),
	('invalid_indexes', 'warning', '1', 'number', 'so many indexes are invalid, and none of them is being built'),
	('sequences', 'warning', '0.75', 'number', 'this share of the values of a sequence, or of the column that it fills, is used up'),
	('sequences', 'critical', '0.9', 'number', 'this share of the values of a sequence, or of the column that it fills, is used up')
) AS d (check_id, threshold, value, kind, description);

-- What was measured is a small part of all that there is, and was measured many
-- times: from one relation to the next, the newest is found in the index.
CREATE VIEW pgmaint.latest_bloat AS
WITH RECURSIVE latest AS (
	(SELECT m.* FROM pgmaint.bloat_measurements m ORDER BY m.relation DESC, m.measured_at DESC LIMIT 1)
	UNION ALL
	SELECT n.*
	FROM latest l
	CROSS JOIN LATERAL (
		SELECT m.*
		FROM pgmaint.bloat_measurements m
		WHERE m.relation < l.relation
		ORDER BY m.relation DESC, m.measured_at DESC
		LIMIT 1
	) n
)
SELECT l.*
FROM latest l
WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = l.relation);

COMMENT ON VIEW pgmaint.latest_bloat IS 'the newest measurement of each table and index that is still there';

CREATE FUNCTION pgmaint.validate_data()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 10 COST 10000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	-- of what was dropped meanwhile, nothing counts
	WITH measured AS MATERIALIZED (
		SELECT m.* FROM pgmaint.latest_bloat m
	),
	bloat AS (
		SELECT
			count(*) AS relations,
			sum(m.bloat_bytes) AS bytes,
			sum(m.bloat_bytes) / nullif(sum(m.total_bytes), 0) AS ratio,
			max(m.measured_at) AS measured_at,
			(SELECT string_agg(format('%s (%s of %s)', w.object, pg_size_pretty(w.bloat_bytes), pg_size_pretty(w.total_bytes)), ', '
					ORDER BY w.bloat_bytes DESC)
				FROM (SELECT x.* FROM measured x WHERE x.bloat_bytes > 0 ORDER BY x.bloat_bytes DESC LIMIT 3) w) AS worst
		FROM measured m
	),
	stale AS (
		SELECT
			count(*) AS tables,
			string_agg(s.relation::text, ', ' ORDER BY s.nth) FILTER (WHERE s.nth <= 3) AS largest
		FROM (
			SELECT x.relation, row_number() OVER (ORDER BY pgmaint.file_size(c.relfilenode, c.reltablespace, c.relpages) DESC, x.relation::text) AS nth
			FROM pgmaint.stale_statistics(1000, 0.5) x
			JOIN pg_class c ON c.oid = x.relation
			WHERE c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pgmaint')
		) s
	),
	ages AS (
		SELECT d.datname, x.kind, x.age
		FROM pg_database d
		CROSS JOIN LATERAL (VALUES ('transaction ID', age(d.datfrozenxid)), ('multixact ID', mxid_age(d.datminmxid))) AS x (kind, age)
		ORDER BY x.age DESC, d.datname
		LIMIT 1
	),
	failures AS (
		SELECT
			coalesce(sum(s.checksum_failures), 0) AS pages,
			string_agg(coalesce(quote_ident(s.datname), 'what all databases share'), ', ' ORDER BY s.datname)
				FILTER (WHERE s.checksum_failures > 0) AS databases,
			max(s.checksum_last_failure) AS last_failure
		FROM pg_stat_database s
	),
	invalid AS (
		SELECT
			count(*) AS indexes,
			concat_ws('; ',
				string_agg(x.name, ', ' ORDER BY x.name) FILTER (WHERE x.detail IS NULL) || ': the action reindex rebuilds what is worth it',
				string_agg(format('%s: %s', x.name, x.detail), '; ' ORDER BY x.name) FILTER (WHERE x.detail IS NOT NULL)
					|| ': pgmaint.index_usage() has the commands') AS faults
		FROM (
			SELECT i.indexrelid::regclass::text AS name, NULL AS detail
			FROM pg_index i
			JOIN pg_class c ON c.oid = i.indexrelid
			WHERE NOT i.indisvalid
				AND c.relkind = 'i'
				AND NOT EXISTS (
					SELECT FROM pg_stat_progress_create_index p
					WHERE p.datname = current_database() AND p.relid = i.indrelid)
			UNION ALL
			SELECT p.name, p.detail
			FROM pgmaint.invalid_partitioned_indexes() p
			WHERE NOT p.being_built
		) x
	),
	sequences AS (
		SELECT
			max(u.used_ratio) AS ratio,
			count(*) FILTER (WHERE u.used_ratio >= l.lowest) AS many,
			string_agg(format('%s is used up to %s %%, for %s', u.sequence, round(100 * u.used_ratio, 1), CASE WHEN u.table IS NULL THEN 'no column' ELSE format('%s.%I', u.table, u.column) END), ', '
				ORDER BY u.used_ratio DESC, u.sequence::text) FILTER (WHERE u.used_ratio >= l.lowest) AS worst
		FROM pgmaint.sequence_usage u
		CROSS JOIN (
			SELECT least(pgmaint.threshold('sequences', 'warning')::numeric, pgmaint.threshold('sequences', 'critical')::numeric) AS lowest
			OFFSET 0
		) l
		WHERE NOT u.cycles
	)
	SELECT
		'bloat',
		pgmaint.judge('bloat', b.ratio),
		CASE WHEN b.relations = 0 THEN 'nothing was measured'
			ELSE format('%s %% of what was measured, %s, is bloat%s', round(100 * b.ratio, 1), pg_size_pretty(b.bytes), ': ' || b.worst) END,
		pgmaint.expectation('bloat', 'less than %s of all that was measured'),
		NULL
	FROM bloat b
	UNION ALL
	SELECT
		'bloat_measured',
		pgmaint.judge('bloat_measured', clock_timestamp() - coalesce(b.measured_at, r.first)),
		CASE
			WHEN b.relations > 0 THEN format('bloat was measured %s ago', date_trunc('minute', clock_timestamp() - b.measured_at))
			ELSE 'bloat was not measured yet: SELECT pgmaint.run_action(''bloat_report'')' END,
		pgmaint.expectation('bloat_measured', 'measured not longer ago than %s'),
		NULL
	FROM bloat b
	CROSS JOIN (SELECT min(x.requested_at) AS first FROM pgmaint.runs x) r
	UNION ALL
	SELECT
		'statistics',
		pgmaint.judge('statistics', s.tables),
		CASE
			WHEN s.tables = 0 THEN 'the statistics of all tables fit'
			ELSE format('%s %s stale statistics, or none: %s%s', s.tables, CASE WHEN s.tables = 1 THEN 'table has' ELSE 'tables have' END,
				s.largest, CASE WHEN s.tables > 3 THEN ', ...' END) END,
		pgmaint.expectation('statistics', 'fewer than %s such tables'),
		NULL
	FROM stale s
	UNION ALL
	SELECT
		'wraparound',
		pgmaint.judge('wraparound', a.age),
		format('the oldest %s of database %I is %s transactions old; at 2 billion the server would stop', a.kind, a.datname,
			trim(to_char(a.age, '9,999,999,990'))),
		pgmaint.expectation('wraparound', 'younger than %s'),
		quote_ident(a.datname)
	FROM ages a
	UNION ALL
	SELECT
		'checksums_enabled',
		CASE WHEN c.has < pgmaint.threshold('checksums_enabled', 'critical')::numeric THEN 'critical'
			WHEN c.has < pgmaint.threshold('checksums_enabled', 'warning')::numeric THEN 'warning' ELSE 'ok' END,
		CASE WHEN c.has = 1 THEN 'pages have checksums'
			ELSE 'pages have no checksums, so that damage to them may go unnoticed; ' || pgmaint.checksums_hint() END,
		'pages with checksums',
		NULL
	FROM (SELECT CASE WHEN current_setting('data_checksums') = 'on' THEN 1 ELSE 0 END AS has) c
	UNION ALL
	SELECT
		'checksum_failures',
		pgmaint.judge('checksum_failures', f.pages),
		CASE WHEN f.pages = 0 THEN 'no page with a wrong checksum was read'
			ELSE format('%s %s with a wrong checksum %s read in %s, the last %s', f.pages, CASE WHEN f.pages = 1 THEN 'page' ELSE 'pages' END,
				CASE WHEN f.pages = 1 THEN 'was' ELSE 'were' END, f.databases, date_trunc('second', f.last_failure)) END,
		'no page with a wrong checksum',
		NULL
	FROM failures f
	UNION ALL
	SELECT
		'invalid_indexes',
		pgmaint.judge('invalid_indexes', i.indexes),
		CASE WHEN i.indexes = 0 THEN 'no index is invalid'
			ELSE i.faults END,
		pgmaint.expectation('invalid_indexes', 'fewer than %s'),
		NULL
	FROM invalid i
	UNION ALL
	SELECT
		'sequences',
		pgmaint.judge('sequences', s.ratio),
		CASE WHEN s.many = 0 OR s.many IS NULL THEN format('no sequence is used up to more than %s %%', coalesce(round(100 * s.ratio, 1), 0)) ELSE s.worst END,
		pgmaint.expectation('sequences', 'less than %s of the values used'),
		NULL
	FROM sequences s;
END;

COMMENT ON FUNCTION pgmaint.validate_data() IS
	'the checks of what is in the database: bloat, statistics, transaction ID age, checksums, invalid indexes, sequences';

REVOKE ALL ON pgmaint.latest_bloat FROM PUBLIC;
GRANT SELECT ON pgmaint.latest_bloat TO pg_monitor;
REVOKE ALL ON FUNCTION pgmaint.validate_data() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.validate_data() TO pg_monitor;
-- Checks of the server that the database is on.

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('replication_lag', 'warning', '5 minutes', 'interval', 'a standby has replayed nothing that is younger than this'),
	('replication_lag', 'critical', '1 hour', 'interval', 'a standby has replayed nothing that is younger than this'),
	('replication_slots', 'warning', '1073741824', 'bytes', 'a replication slot keeps so many bytes of WAL'),
	('replication_slots', 'critical', '10737418240', 'bytes', 'a replication slot keeps so many bytes of WAL'),
	('archiver', 'warning', '5 minutes', 'interval', 'archiving of WAL fails, and has failed for so long'),
	('archiver', 'critical', '1 hour', 'interval', 'archiving of WAL fails, and has failed for so long'),
	('disk_headroom', 'warning', '0.2', 'number', 'what is free where a tablespace lies is less than this share of what is in it'),
	('disk_headroom', 'critical', '0.05', 'number', 'what is free where a tablespace lies is less than this share of what is in it'),
	('disk_free', 'warning', '2147483648', 'bytes', 'fewer bytes are free where a tablespace lies'),
	('disk_free', 'critical', '536870912', 'bytes', 'fewer bytes are free where a tablespace lies'),
	('long_transactions', 'warning', '1 hour', 'interval', 'a transaction of a session is open for so long'),
	('long_transactions', 'critical', '12 hours', 'interval', 'a transaction of a session is open for so long'),
	('prepared_transactions', 'warning', '1 hour', 'interval', 'a prepared transaction was neither committed nor rolled back for so long'),
	('prepared_transactions', 'critical', '1 day', 'interval', 'a prepared transaction was neither committed nor rolled back for so long'),
	('connections', 'warning', '0.8', 'number', 'this share of the connections that roles other than superusers may open is in use'),
	('connections', 'critical', '0.95', 'number', 'this share of the connections that roles other than superusers may open is in use'),
	('pending_restart', 'warning', '1', 'number', 'so many settings were changed, and wait for a restart'),
	('extensions', 'warning', '1', 'number', 'so many extensions of the database are older than their files')
) AS d (check_id, threshold, value, kind, description);

-- Those for which less is worse.
CREATE FUNCTION pgmaint.judge_rest(check_id text, measured numeric)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE
		WHEN judge_rest.measured < pgmaint.threshold(judge_rest.check_id, 'critical')::numeric THEN 'critical'
		WHEN judge_rest.measured < pgmaint.threshold(judge_rest.check_id, 'warning')::numeric THEN 'warning'
		ELSE 'ok' END;
END;

COMMENT ON FUNCTION pgmaint.judge_rest(text, numeric) IS 'what a check''s thresholds say of what is left of something: critical, warning or ok';

CREATE FUNCTION pgmaint.validate_replication()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 5 COST 1000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	WITH here AS MATERIALIZED (
		SELECT
			pg_is_in_recovery() AS standby,
			CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn
	),
	standbys AS (
		SELECT
			coalesce(nullif(r.application_name, ''), r.client_addr::text, 'process ' || r.pid) AS name,
			coalesce(r.replay_lag, interval '0') AS lag,
			h.lsn - r.replay_lsn AS bytes,
			r.state
		FROM pg_stat_replication r
		CROSS JOIN here h
		WHERE r.state <> 'backup'
	),
	slots AS (
		SELECT
			s.slot_name::text AS name,
			s.active,
			s.wal_status,
			h.lsn - s.restart_lsn AS bytes
		FROM pg_replication_slots s
		CROSS JOIN here h
	),
	judged_slots AS (
		SELECT s.*, CASE WHEN s.wal_status IN ('lost', 'unreserved') THEN 'critical' ELSE pgmaint.judge('replication_slots', s.bytes) END AS status
		FROM slots s
	),
	archiver AS (
		SELECT
			current_setting('archive_mode') AS mode,
			a.last_failed_wal,
			a.last_archived_time,
			CASE WHEN a.last_failed_time > coalesce(a.last_archived_time, '-infinity')
				THEN clock_timestamp() - coalesce(a.last_archived_time, a.stats_reset, a.last_failed_time) END AS failing_for
		FROM pg_stat_archiver a
	)
	SELECT
		'recovery',
		CASE WHEN h.standby THEN 'warning' ELSE 'ok' END,
		CASE WHEN NOT h.standby THEN 'the server is a primary'
			ELSE format('the server is in recovery, a standby or being restored; the last transaction replayed is of %s',
				coalesce(date_trunc('second', pg_last_xact_replay_timestamp())::text, 'an unknown time')) END,
		'a primary',
		NULL
	FROM here h
	UNION ALL
	SELECT
		'replication_lag',
		pgmaint.judge('replication_lag', s.lag),
		format('standby %s is %s behind: %s of WAL, %s', quote_ident(s.name), date_trunc('milliseconds', s.lag),
			coalesce(pg_size_pretty(s.bytes), 'an unknown amount'), s.state),
		pgmaint.expectation('replication_lag', 'less than %s behind'),
		quote_ident(s.name)
	FROM standbys s
	UNION ALL
	SELECT 'replication_lag', 'ok', 'no standby is connected', pgmaint.expectation('replication_lag', 'less than %s behind'), NULL
	WHERE NOT EXISTS (SELECT FROM standbys s)
	UNION ALL
	SELECT
		'replication_slots',
		s.status,
		format('replication slot %s %s%s', quote_ident(s.name),
			CASE
				WHEN s.wal_status = 'lost' THEN 'has lost WAL that it needs: what reads from it has to be set up again'
				ELSE format('keeps %s of WAL', pg_size_pretty(s.bytes)) END,
			CASE WHEN NOT s.active THEN ', and nobody reads from it' ELSE '' END),
		pgmaint.expectation('replication_slots', 'less than %s of WAL'),
		quote_ident(s.name)
	FROM judged_slots s
	WHERE s.status <> 'ok'
	UNION ALL
	SELECT
		'replication_slots',
		'ok',
		CASE count(*) WHEN 0 THEN 'there is no replication slot'
			ELSE format('%s replication %s at most %s of WAL', count(*), CASE count(*) WHEN 1 THEN 'slot keeps' ELSE 'slots keep' END,
				coalesce(pg_size_pretty(max(s.bytes)), '0 bytes')) END,
		pgmaint.expectation('replication_slots', 'less than %s of WAL'),
		NULL
	FROM judged_slots s
	HAVING count(*) FILTER (WHERE s.status <> 'ok') = 0
	UNION ALL
	SELECT
		'archiver',
		pgmaint.judge('archiver', a.failing_for),
		CASE
			WHEN a.mode = 'off' THEN 'archiving of WAL is off'
			WHEN a.failing_for IS NOT NULL THEN format('archiving has failed for %s, last on %s: see the server''s log',
				date_trunc('second', a.failing_for), a.last_failed_wal)
			WHEN a.last_archived_time IS NULL THEN 'nothing had to be archived yet'
			ELSE format('WAL was archived %s ago', date_trunc('second', clock_timestamp() - a.last_archived_time)) END,
		'nothing that fails',
		NULL
	FROM archiver a;
END;

COMMENT ON FUNCTION pgmaint.validate_replication() IS
	'the checks of where WAL goes: recovery, standbys, replication slots, archiver';

CREATE FUNCTION pgmaint.validate_server()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 10 COST 1000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	-- A folder may hold several tablespaces, which share what is free.  What is
	-- in one is counted only where it matters, since that asks for every file.
	WITH tablespaces AS MATERIALIZED (
		SELECT
			t.oid,
			t.spcname::text AS name,
			pgmaint.free_bytes_of_tablespace(t.oid) AS free,
			pgmaint.used_bytes_of_tablespace(t.oid) AS used
		FROM pg_tablespace t
		WHERE t.spcname <> 'pg_global'
	),
	disk AS MATERIALIZED (
		SELECT
			t.name,
			t.free,
			t.used,
			CASE WHEN pgmaint.judge_rest('disk_headroom', t.free / nullif(t.used, 0)::numeric) <> 'ok' THEN pg_tablespace_size(t.oid) END AS bytes
		FROM tablespaces t
	),
	transactions AS (
		SELECT a.pid, a.xact_start, clock_timestamp() - a.xact_start AS age,
			format('process %s of role %s in database %s%s, %s', a.pid, quote_ident(a.usename), quote_ident(a.datname),
				coalesce(' (' || nullif(a.application_name, '') || ')', ''), coalesce(a.state, 'in an unknown state')) AS holder
		FROM pg_stat_activity a
		WHERE a.backend_type = 'client backend' AND a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid()
		ORDER BY a.xact_start
		LIMIT 1
	),
	prepared AS (
		SELECT p.gid, clock_timestamp() - p.prepared AS age, p.owner, p.database
		FROM pg_prepared_xacts p
		ORDER BY p.prepared
		LIMIT 1
	),
	connections AS (
		SELECT
			count(*) FILTER (WHERE a.backend_type = 'client backend') AS used,
			current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
				- coalesce(current_setting('reserved_connections', true)::integer, 0) AS available
		FROM pg_stat_activity a
	),
	restarts AS (
		SELECT count(*) AS settings, string_agg(s.name, ', ' ORDER BY s.name) AS names
		FROM pg_settings s
		WHERE s.pending_restart
	),
	outdated AS (
		SELECT
			count(*) AS extensions,
			string_agg(format('%s is %s, %s is there: ALTER EXTENSION %1$s UPDATE', quote_ident(e.extname), e.extversion, v.default_version), '; '
				ORDER BY e.extname) AS which
		FROM pg_extension e
		JOIN pg_available_extensions v ON v.name = e.extname
		WHERE v.default_version <> e.extversion
	)
	SELECT
		'disk_headroom',
		CASE WHEN d.bytes IS NULL THEN 'ok' ELSE pgmaint.judge_rest('disk_headroom', d.free / nullif(d.bytes, 0)::numeric) END,
		CASE
			WHEN d.bytes IS NULL THEN format('where tablespace %s lies, %s are used, and %s are free', quote_ident(d.name), pg_size_pretty(d.used), pg_size_pretty(d.free))
			ELSE format('tablespace %s has %s, and %s are free', quote_ident(d.name), pg_size_pretty(d.bytes), pg_size_pretty(d.free)) END,
		pgmaint.expectation('disk_headroom', 'at least %s of what is in it free'),
		quote_ident(d.name)
	FROM disk d
	UNION ALL
	SELECT
		'disk_free',
		pgmaint.judge_rest('disk_free', d.free),
		format('%s are free where tablespace %s lies', pg_size_pretty(d.free), quote_ident(d.name)),
		pgmaint.expectation('disk_free', 'at least %s'),
		quote_ident(d.name)
	FROM disk d
	UNION ALL
	SELECT
		'long_transactions',
		pgmaint.judge('long_transactions', t.age),
		CASE WHEN t.pid IS NULL THEN 'no session has a transaction open'
			ELSE format('the oldest transaction is open for %s: %s', date_trunc('second', t.age), t.holder) END,
		pgmaint.expectation('long_transactions', 'none open for %s'),
		NULL
	FROM (VALUES (1)) AS one (row)
	LEFT JOIN transactions t ON true
	UNION ALL
	SELECT
		'prepared_transactions',
		pgmaint.judge('prepared_transactions', p.age),
		CASE WHEN p.gid IS NULL THEN 'there is no prepared transaction'
			ELSE format('the oldest prepared transaction, %L of role %s in database %s, waits for %s: COMMIT PREPARED or ROLLBACK PREPARED ends it',
				p.gid, quote_ident(p.owner), quote_ident(p.database), date_trunc('second', p.age)) END,
		pgmaint.expectation('prepared_transactions', 'none that waits for %s'),
		NULL
	FROM (VALUES (1)) AS one (row)
	LEFT JOIN prepared p ON true
	UNION ALL
	SELECT
		'connections',
		pgmaint.judge('connections', c.used / nullif(c.available, 0)::numeric),
		format('%s of %s connections are in use', c.used, c.available),
		pgmaint.expectation('connections', 'less than %s of them'),
		NULL
	FROM connections c
	UNION ALL
	SELECT
		'pending_restart',
		pgmaint.judge('pending_restart', r.settings),
		CASE WHEN r.settings = 0 THEN 'no setting waits for a restart'
			ELSE format('%s for a restart: %s', CASE WHEN r.settings = 1 THEN '1 setting waits' ELSE r.settings || ' settings wait' END, r.names) END,
		'none',
		NULL
	FROM restarts r
	UNION ALL
	SELECT
		'extensions',
		pgmaint.judge('extensions', o.extensions),
		coalesce(o.which, 'all extensions are as new as their files'),
		'none that is older than its files',
		NULL
	FROM outdated o;
END;

COMMENT ON FUNCTION pgmaint.validate_server() IS
	'the checks of the server: room on disk, long and prepared transactions, connections, settings that wait for a restart, extensions';

REVOKE ALL ON FUNCTION
	pgmaint.judge_rest(text, numeric),
	pgmaint.validate_replication(),
	pgmaint.validate_server()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint.judge_rest(text, numeric),
	pgmaint.validate_replication(),
	pgmaint.validate_server(),
	pgmaint.free_bytes_of_tablespace(oid),
	pgmaint.used_bytes_of_tablespace(oid)
TO pg_monitor;
-- Checks of escalation: that messages arrive, and that there is somebody to be
-- told.

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('undelivered_messages', 'warning', '1 hour', 'interval', 'a message to a contact could not be delivered for longer than this'),
	('undelivered_messages', 'critical', '1 day', 'interval', 'a message to a contact could not be delivered for longer than this'),
	('nobody_is_told', 'warning', '1', 'number', 'so many troubles are critical, and there is no contact')
) AS d (check_id, threshold, value, kind, description);

CREATE FUNCTION pgmaint.validate_escalation()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 2 COST 1000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	-- What was given up counts until a later message arrives: a contact that
	-- cannot be reached is not in order again because nobody tries any more.
	WITH undelivered AS MATERIALIZED (
		SELECT
			c.name,
			count(*) AS messages,
			clock_timestamp() - min(n.created_at) AS age,
			bool_and(n.state = 'given up') AS given_up,
			(array_agg(n.error ORDER BY n.notification_id) FILTER (WHERE n.error IS NOT NULL))[1] AS error
		FROM pgmaint.contacts c
		JOIN pgmaint.notifications n ON n.contact = c.name
		WHERE (n.state IN ('pending', 'failed') OR n.state = 'given up' AND n.created_at >= c.added_at)
			AND n.identity IN (SELECT i.identity FROM pgmaint.own_identities i)
			AND n.notification_id > coalesce(
				(SELECT max(s.notification_id) FROM pgmaint.notifications s WHERE s.contact = c.name AND s.state = 'sent'), 0)
		GROUP BY c.name
	),
	-- that nobody is told is no trouble that somebody should have been told of
	told AS (
		SELECT
			(SELECT count(*) FROM pgmaint.contacts c WHERE c.identity IN (SELECT i.identity FROM pgmaint.own_identities i)) AS contacts,
			count(*) AS troubles
		FROM pgmaint.troubles t
		WHERE t.resolved_at IS NULL AND t.severity = 'critical' AND t.check_id <> 'nobody_is_told'
			AND NOT EXISTS (SELECT FROM pgmaint.acknowledgements a
				WHERE a.escalation_id = t.escalation_id AND a.severity = 'critical')
	)
	SELECT
		'undelivered_messages',
		pgmaint.judge('undelivered_messages', u.age),
		format('%s to contact %s %s %s old: %s', CASE WHEN u.messages = 1 THEN '1 message' ELSE u.messages || ' messages' END,
			quote_ident(u.name),
			CASE
				WHEN u.messages = 1 THEN CASE WHEN u.given_up THEN 'was given up, and is' ELSE 'waits to be sent, and is' END
				ELSE CASE WHEN u.given_up THEN 'were given up, the oldest is' ELSE 'wait to be sent, the oldest is' END END,
			date_trunc('second', justify_hours(u.age)),
			coalesce(u.error || '; see pgmaint.notifications', 'it was not tried yet; pgmaint.tick(), which should be scheduled, sends it')),
		pgmaint.expectation('undelivered_messages', 'delivered within %s'),
		quote_ident(u.name)
	FROM undelivered u
	UNION ALL
	SELECT 'undelivered_messages', 'ok', 'no message waits to be sent', pgmaint.expectation('undelivered_messages', 'delivered within %s'), NULL
	WHERE NOT EXISTS (SELECT FROM undelivered u)
	UNION ALL
	SELECT
		'nobody_is_told',
		CASE WHEN t.contacts > 0 THEN 'ok' ELSE pgmaint.judge('nobody_is_told', t.troubles) END,
		CASE
			WHEN t.contacts > 0 THEN format('%s told of troubles', CASE WHEN t.contacts = 1 THEN '1 contact is' ELSE t.contacts || ' contacts are' END)
			WHEN t.troubles > 0 THEN format('%s critical, and nobody is told: see pgmaint.escalations, and add whom to tell with pgmaint.add_contact()',
				CASE WHEN t.troubles = 1 THEN '1 trouble is' ELSE t.troubles || ' troubles are' END)
			ELSE 'no trouble is critical; there is nobody to be told of any' END,
		pgmaint.expectation('nobody_is_told', 'a contact, or fewer than %s that is critical'),
		NULL
	FROM told t;
END;

COMMENT ON FUNCTION pgmaint.validate_escalation() IS
	'the checks of escalation: messages that do not arrive, troubles that nobody is told of';

REVOKE ALL ON FUNCTION pgmaint.validate_escalation() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.validate_escalation() TO pg_monitor;
-- The checks of who this database is.

CREATE FUNCTION pgmaint.validate_identity()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 1 COST 1000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH suspended AS MATERIALIZED (
		SELECT count(*) AS contacts, string_agg(quote_ident(s.name), ', ' ORDER BY s.name) AS names
		FROM pgmaint.suspended_contacts s
	),
	current AS (
		SELECT i.doubt FROM pgmaint.own_identities i WHERE i.state = 'current'
	)
	SELECT
		'identity',
		CASE WHEN c.doubt IS NULL AND s.contacts = 0 THEN 'ok' ELSE 'warning' END,
		CASE
			WHEN c.doubt IS NOT NULL THEN pgmaint.doubt_message(c.doubt)
			WHEN s.contacts > 0 THEN format('%s of another database %s suspended: %s; if this database is the successor: SELECT pgmaint.take_over(); '
				'if it is a copy, and stays one: SELECT pgmaint.stay_copy()',
				CASE WHEN s.contacts = 1 THEN '1 contact' ELSE s.contacts || ' contacts' END,
				CASE WHEN s.contacts = 1 THEN 'is' ELSE 'are' END, s.names)
			ELSE 'this database is the one that the ledger is of' END,
		'no sign of a copy',
		NULL
	FROM suspended s
	LEFT JOIN current c ON true;
END;

COMMENT ON FUNCTION pgmaint.validate_identity() IS 'the check of who this database is: a copy, or a restored dump, must be told what it is';

REVOKE ALL ON FUNCTION pgmaint.validate_identity() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.validate_identity() TO pg_monitor;
-- Checks of maintenance itself.

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('failed_runs', 'warning', '1', 'number', 'the last so many runs of a plan did not succeed'),
	('failed_runs', 'critical', '3', 'number', 'the last so many runs of a plan did not succeed'),
	('schedules', 'warning', '1', 'number', 'so many schedules should have begun a run within the last week, and did not'),
	('nothing_scheduled', 'warning', '1', 'number', 'fewer plans are scheduled')
) AS d (check_id, threshold, value, kind, description);

CREATE FUNCTION pgmaint.validate_maintenance()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 5 COST 1000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	-- what a person has cancelled counts neither way; an action by itself, or a
	-- plan that was dropped since, may never run again
	WITH plans AS (
		SELECT d.plan FROM pgmaint.plan_definitions d
		UNION
		SELECT b.plan FROM pgmaint.built_in_plans() b
	),
	ended AS MATERIALIZED (
		SELECT r.plan, r.run_id, r.state, r.error
		FROM pgmaint.runs r
		WHERE r.state IN ('succeeded', 'failed', 'interrupted')
			AND r.finished_at > clock_timestamp() - CASE
				WHEN r.plan IN (SELECT p.plan FROM plans p) THEN interval '35 days' ELSE interval '1 day' END
	),
	failing AS (
		SELECT
			e.plan,
			count(*) AS times,
			max(e.run_id) AS last_run,
			(array_agg(e.error ORDER BY e.run_id DESC))[1] AS error
		FROM ended e
		WHERE e.state <> 'succeeded'
			AND NOT EXISTS (SELECT FROM ended s WHERE s.plan = e.plan AND s.state = 'succeeded' AND s.run_id > e.run_id)
		GROUP BY e.plan
	),
	scheduled AS (
		SELECT
			count(*) FILTER (WHERE s.plan <> 'tick') AS plans,
			count(*) FILTER (WHERE s.noted_at > clock_timestamp() - interval '7 days') AS missed,
			string_agg(format('%s, noticed %s', s.plan, date_trunc('minute', s.noted_at)), '; ' ORDER BY s.plan)
				FILTER (WHERE s.noted_at > clock_timestamp() - interval '7 days') AS which
		FROM pgmaint.plan_schedules s
		WHERE s.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
	)
	SELECT
		'failed_runs',
		pgmaint.judge('failed_runs', f.times),
		format('%s of plan %s did not succeed, the last with: %s', CASE WHEN f.times = 1 THEN 'the last run' ELSE format('the last %s runs', f.times) END,
			f.plan, coalesce(f.error, 'interrupted')) || format('; see pgmaint.report(%s)', f.last_run),
		pgmaint.expectation('failed_runs', 'fewer than %s in a row'),
		f.plan
	FROM failing f
	UNION ALL
	SELECT 'failed_runs', 'ok',
		CASE WHEN EXISTS (SELECT FROM ended e) THEN 'the last run of every plan has succeeded' ELSE 'nothing was run yet' END,
		pgmaint.expectation('failed_runs', 'fewer than %s in a row'), NULL
	WHERE NOT EXISTS (SELECT FROM failing f)
	UNION ALL
	SELECT
		'schedules',
		pgmaint.judge('schedules', s.missed),
		CASE
			WHEN s.missed > 0 THEN format('did not begin when it was due: %s; see pgmaint.schedules', s.which)
			WHEN s.plans = 0 THEN 'no plan is scheduled'
			ELSE 'every schedule has begun its runs' END,
		pgmaint.expectation('schedules', 'fewer than %s within a week'),
		NULL
	FROM scheduled s
	UNION ALL
	SELECT
		'nothing_scheduled',
		pgmaint.judge_rest('nothing_scheduled', s.plans),
		CASE
			WHEN s.plans = 0 THEN 'no plan is scheduled, so that nothing is maintained unless somebody asks: SELECT * FROM pgmaint.schedule_all()'
			ELSE format('%s scheduled', CASE WHEN s.plans = 1 THEN '1 plan is' ELSE s.plans || ' plans are' END) END,
		pgmaint.expectation('nothing_scheduled', 'at least %s'),
		NULL
	FROM scheduled s;
END;

COMMENT ON FUNCTION pgmaint.validate_maintenance() IS
	'the checks of maintenance itself: runs that failed, schedules that did not begin any';

REVOKE ALL ON FUNCTION pgmaint.validate_maintenance() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.validate_maintenance() TO pg_monitor;
-- Checks of storages: that what the ledger has is on them, as the action
-- validate found it.

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('storage', 'warning', '8 days', 'interval', 'a storage was not compared with the ledger for longer than this')
) AS d (check_id, threshold, value, kind, description);

CREATE FUNCTION pgmaint.validate_storages()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 2 COST 1000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH damaged AS (
		SELECT
			a.storage,
			count(*) AS archives,
			(array_agg(concat(a.archive_id, ' (', a.key, ')') ORDER BY a.archive_id))[:3] AS first
		FROM pgmaint.archives a
		WHERE a.check_result = 'damaged' AND a.identity IN (SELECT i.identity FROM pgmaint.own_identities i)
		GROUP BY a.storage
	),
	-- what another database found on it, before this one was copied from there,
	-- is not what this one would find
	looked_at AS (
		SELECT
			u.storage,
			EXISTS (SELECT FROM pg_foreign_server s WHERE s.srvname = u.storage) AS is_there,
			u.archives + u.backups AS known,
			c.checked_at,
			clock_timestamp() - coalesce(c.checked_at, u.since) AS age,
			coalesce(c.missing + c.differing, 0) AS wrong,
			c.missing,
			c.differing,
			c.error,
			c.detail,
			coalesce(d.archives, 0) AS damaged,
			d.first
		FROM pgmaint.storages_in_use u
		LEFT JOIN pgmaint.storage_checks c ON c.storage = u.storage
			AND c.identity IN (SELECT i.identity FROM pgmaint.own_identities i)
		LEFT JOIN damaged d ON d.storage = u.storage
	)
	SELECT
		'storage',
		CASE
			WHEN l.wrong > 0 OR l.damaged > 0 THEN 'critical'
			WHEN NOT l.is_there OR l.error IS NOT NULL THEN 'warning'
			ELSE pgmaint.judge('storage', l.age) END,
		concat_ws('; ',
			CASE WHEN NOT l.is_there THEN concat(format('storage %I does not exist any more, and ', l.storage), CASE
				WHEN l.known > 0 THEN format('the ledger has %s archives and backups on it', l.known)
				ELSE 'retention policies archive to it' END) END,
			CASE
				WHEN NOT l.is_there AND l.checked_at IS NULL THEN NULL
				WHEN l.checked_at IS NULL THEN format('storage %I was not compared with the ledger yet: SELECT pgmaint.run_action(''validate'')', l.storage)
				ELSE format('storage %I was compared with the ledger %s ago%s', l.storage,
					date_trunc('minute', justify_hours(greatest(l.age, interval '0'))),
					CASE WHEN l.wrong = 0 THEN ': no object is missing' END) END,
			CASE WHEN l.missing > 0 THEN format('%s missing: %s', CASE WHEN l.missing = 1 THEN '1 object is' ELSE l.missing || ' objects are' END,
				(SELECT string_agg(concat(o ->> 'of', ' (', o ->> 'key', ')'), ', ') FROM jsonb_path_query(l.detail, '$.missing[0 to 2]') o)) END,
			CASE WHEN l.differing > 0 THEN format('%s another size than the ledger says: %s', CASE WHEN l.differing = 1 THEN '1 object has' ELSE l.differing || ' objects have' END,
				(SELECT string_agg(concat(o ->> 'of', ' (', o ->> 'key', ')'), ', ') FROM jsonb_path_query(l.detail, '$.differing[0 to 2]') o)) END,
			CASE WHEN l.damaged > 0 THEN format('%s damaged: %s', CASE WHEN l.damaged = 1 THEN '1 archive is' ELSE l.damaged || ' archives are' END,
				array_to_string(l.first, ', ')) END,
			CASE WHEN l.is_there THEN 'the last attempt to compare it failed: ' || l.error END),
		pgmaint.expectation('storage', 'every object of the ledger, compared not longer ago than %s'),
		quote_ident(l.storage)
	FROM looked_at l
	UNION ALL
	SELECT 'storage', 'ok', 'no archive or backup is on a storage', pgmaint.expectation('storage', 'every object of the ledger, compared not longer ago than %s'), NULL
	WHERE NOT EXISTS (SELECT FROM looked_at l);
END;

COMMENT ON FUNCTION pgmaint.validate_storages() IS
	'the checks of storages, as the action validate found them: that no archive or backup of the ledger is missing or damaged, and how long ago that was';

REVOKE ALL ON FUNCTION pgmaint.validate_storages() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.validate_storages() TO pg_monitor;
-- Is everything in order?  One function for each group of checks, which returns
-- rows of check_id, status, detail, expected and object; validate() puts them
-- together.

-- What the action validate found last, for those who ask every minute.  Rows of
-- another identity came with a copy, or through replication.
CREATE TABLE pgmaint.last_validation (
	identity text NOT NULL DEFAULT pgmaint.current_identity(),
	check_id text NOT NULL,
	status text NOT NULL CHECK (status IN ('ok', 'warning', 'critical')),
	validated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	PRIMARY KEY (identity, check_id)
);

COMMENT ON TABLE pgmaint.last_validation IS 'one row for each check: what the action validate found last; pgmaint.validate() looks anew';
COMMENT ON COLUMN pgmaint.last_validation.identity IS 'of the database that was validated';
COMMENT ON COLUMN pgmaint.last_validation.status IS 'ok, warning, critical: the worst of all objects';

CREATE FUNCTION pgmaint.check_group(name text)
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
AS 'MODULE_PATHNAME', 'pgmaint_check_group'
LANGUAGE C STABLE STRICT ROWS 10 COST 10000
SET search_path = pg_catalog, pg_temp
-- where there are thousands of tables, compiling would take longer than the rest
SET jit = off;

COMMENT ON FUNCTION pgmaint.check_group(text) IS
	'the checks of a group, or one row that says why they could not be made';

CREATE FUNCTION pgmaint.validate()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 30 COST 100000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT c.check_id, c.status, c.detail, c.expected, c.object
	FROM unnest(ARRAY[
		'validate_backups', 'validate_data', 'validate_escalation', 'validate_identity',
		'validate_maintenance', 'validate_replication', 'validate_server', 'validate_storages']) AS g (name)
	CROSS JOIN LATERAL pgmaint.check_group(g.name) c
	ORDER BY array_position(ARRAY['critical', 'warning', 'ok'], c.status), c.check_id, c.object;
END;

COMMENT ON FUNCTION pgmaint.validate() IS
	'is everything in order: each check, whether it is ok, a warning or critical, and what was expected; the worst first';

CREATE FUNCTION pgmaint.validate_ok()
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT NOT EXISTS (SELECT FROM pgmaint.validate() v WHERE v.status = 'critical');
END;

COMMENT ON FUNCTION pgmaint.validate_ok() IS 'for machines: false if anything is critical';

REVOKE ALL ON pgmaint.last_validation FROM PUBLIC;
GRANT SELECT ON pgmaint.last_validation TO pg_monitor;
REVOKE ALL ON FUNCTION
	pgmaint.check_group(text),
	pgmaint.validate(),
	pgmaint.validate_ok()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint.check_group(text),
	pgmaint.validate(),
	pgmaint.validate_ok()
TO pg_monitor;
-- What happened, for a person.  The words are in two views, for the lines of
-- report() and for the page of report_html().

CREATE OR REPLACE VIEW pgmaint.task_results AS
SELECT
	t.task_id,
	t.run_id,
	t.step,
	t.action,
	pgmaint.one_line(t.target) AS target,
	pgmaint.one_line(t.what) AS what,
	t.state,
	t.attempt,
	t.worker,
	t.started_at,
	t.finished_at,
	t.seconds,
	pgmaint.one_line(t.reason) AS reason,
	pgmaint.one_line(t.error) AS error,
	pgmaint.one_line(pg_catalog.concat_ws(', ',
		CASE WHEN t.action = 'review_queries' AND t.result IS NOT NULL THEN CASE WHEN NOT t.result ? 'plans' THEN 'no queries to look at' ELSE
			pg_catalog.concat_ws(', ',
				pg_catalog.format('%s %s looked at', pg_catalog.btrim(pg_catalog.to_char((t.result ->> 'queries')::bigint, '999,999,999,990')),
					CASE WHEN t.result ->> 'queries' = '1' THEN 'query' ELSE 'queries' END),
				pg_catalog.format('%s %s kept', t.result ->> 'plans', CASE WHEN t.result ->> 'plans' = '1' THEN 'plan' ELSE 'plans' END),
				CASE WHEN t.result ->> 'plans_changed' <> '0' THEN (t.result ->> 'plans_changed') || ' of them changed' END,
				CASE WHEN t.result ->> 'degraded' = '0' THEN 'none slower' ELSE (t.result ->> 'degraded') || ' slower' END || ' since maintenance') END END,
		CASE WHEN t.action = 'index_advice' AND t.result IS NOT NULL THEN CASE WHEN NOT t.result ? 'reviewed' THEN 'no statements to look at' ELSE
			pg_catalog.concat_ws(', ',
				pg_catalog.format('%s %s looked at', pg_catalog.btrim(pg_catalog.to_char((t.result ->> 'looked_at')::bigint, '999,999,999,990')),
					CASE WHEN t.result ->> 'looked_at' = '1' THEN 'statement' ELSE 'statements' END),
				pg_catalog.format('%s %s advised', t.result ->> 'advised', CASE WHEN t.result ->> 'advised' = '1' THEN 'index' ELSE 'indexes' END),
				CASE WHEN t.result ->> 'reviewed' <> '0' THEN pg_catalog.format('%s made as advised before', t.result ->> 'reviewed') END) END END,
		CASE WHEN t.action = 'index_usage' AND t.result ? 'found' THEN pg_catalog.format('%s %s looked at, %s',
			pg_catalog.btrim(pg_catalog.to_char((t.result ->> 'indexes')::bigint, '999,999,999,990')),
			CASE WHEN t.result ->> 'indexes' = '1' THEN 'index' ELSE 'indexes' END,
			CASE WHEN t.result ->> 'found' = '0' THEN 'nothing to see to' ELSE (t.result ->> 'found') || ' to see to' END) END,
		CASE WHEN t.left_rows IS NOT NULL THEN pg_catalog.btrim(pg_catalog.to_char(t.left_rows, '999,999,999,999,990')) ||
			CASE WHEN t.archived_bytes IS NULL THEN ' rows deleted' ELSE ' rows archived and deleted' END END,
		CASE WHEN t.archived_bytes > 0 THEN pg_catalog.pg_size_pretty(t.archived_bytes) || ' in the object' END,
		CASE WHEN t.removed_rows > 0 THEN pg_catalog.btrim(pg_catalog.to_char(t.removed_rows, '999,999,999,999,999')) || ' dead rows removed' END,
		CASE WHEN t.returned_bytes > 0 THEN pg_catalog.pg_size_pretty(t.returned_bytes) || ' returned to the file system' END,
		CASE WHEN (t.result ->> 'xid_age_before')::bigint - (t.result ->> 'xid_age_after')::bigint >= 1000000 THEN pg_catalog.format(
			'transaction ID age lowered from %s to %s',
			pg_catalog.btrim(pg_catalog.to_char((t.result ->> 'xid_age_before')::bigint, '999,999,999,999')),
			pg_catalog.btrim(pg_catalog.to_char((t.result ->> 'xid_age_after')::bigint, '999,999,999,999'))) END,
		CASE WHEN (t.result ->> 'analyzed')::boolean THEN 'statistics renewed' END,
		CASE WHEN t.action = 'expire_backups' AND (t.result ->> 'removed')::boolean
			THEN pg_catalog.pg_size_pretty((t.result ->> 'bytes')::bigint) || ' removed from the storage' END,
		CASE WHEN t.action IN ('retention', 'backup') AND NOT (t.result ->> 'removed')::boolean
			THEN CASE WHEN (t.result ->> 'complete')::boolean THEN 'nothing removed: it is complete, and stays for pgmaint.takeover_delay'
				ELSE 'nothing removed: there is nothing of that task' END END,
		CASE WHEN t.action IN ('check_corruption', 'expire_backups') THEN t.result ->> 'found' END,
		CASE WHEN t.action = 'backup' AND t.result ? 'key' THEN pg_catalog.format('%s in %s, of a dump of %s',
			pg_catalog.pg_size_pretty((t.result ->> 'bytes')::bigint), t.result ->> 'key', pg_catalog.pg_size_pretty((t.result ->> 'dump_bytes')::bigint)) END,
		CASE WHEN t.action IN ('verify_backup', 'restore_backup') AND t.result ? 'restore_seconds' THEN pg_catalog.format(
			'%s: %s rows in %s tables, %s indexes', pg_catalog.concat_ws(', ',
				pg_catalog.concat('restored in ', pg_catalog.round((t.result ->> 'restore_seconds')::numeric, 1), ' s',
					' (' || pg_catalog.replace(pg_catalog.split_part(t.result ->> 'settings', ',', 1), ':', ',') || ')'),
				'compared in ' || pg_catalog.round((t.result ->> 'comparison_seconds')::numeric, 1) || ' s',
				'indexes checked in ' || pg_catalog.round((t.result ->> 'check_seconds')::numeric, 1) || ' s'),
			pg_catalog.btrim(pg_catalog.to_char((t.result ->> 'rows')::bigint, '999,999,999,999,990')), t.result ->> 'tables', t.result ->> 'indexes') END,
		CASE WHEN t.action = 'validate' AND t.result ? 'checks' THEN pg_catalog.format('%s of %s checks are ok, %s %s, %s critical',
			(t.result ->> 'checks')::bigint - (t.result ->> 'warnings')::bigint - (t.result ->> 'critical')::bigint, t.result ->> 'checks',
			t.result ->> 'warnings', CASE WHEN t.result ->> 'warnings' = '1' THEN 'warning' ELSE 'warnings' END, t.result ->> 'critical') END,
		CASE WHEN t.action = 'validate' AND t.result ? 'known' THEN pg_catalog.format('%s: %s of %s objects of the ledger are there%s',
			t.target, (t.result ->> 'known')::bigint - (t.result ->> 'missing')::bigint - (t.result ->> 'differing')::bigint, t.result ->> 'known',
			CASE WHEN t.result ->> 'archives_read' <> '0' THEN pg_catalog.format(', %s %s read', t.result ->> 'archives_read',
				CASE WHEN t.result ->> 'archives_read' = '1' THEN 'archive' ELSE 'archives' END) END) END,
		CASE WHEN t.action = 'connection_review' AND t.result ? 'peak' THEN pg_catalog.format('at most %s of %s connections were in use%s',
			t.result ->> 'peak', t.result ->> 'current',
			CASE WHEN (t.result ->> 'applied')::boolean THEN pg_catalog.format(', set to %s from the next restart on', t.result ->> 'recommended')
				WHEN t.result ->> 'recommended' <> t.result ->> 'current' THEN pg_catalog.format(', %s are recommended', t.result ->> 'recommended') END) END,
		CASE WHEN t.action = 'escalate' AND t.result ? 'sent' THEN pg_catalog.concat_ws(', ',
			CASE WHEN t.result ->> 'troubles' = '0' THEN 'no open trouble' ELSE pg_catalog.format('%s open %s', t.result ->> 'troubles',
				CASE WHEN t.result ->> 'troubles' = '1' THEN 'trouble' ELSE 'troubles' END) END,
			CASE WHEN t.result ->> 'contacts' = '0' THEN 'nobody to tell: pgmaint.add_contact names somebody'
				WHEN (t.result ->> 'left_to_others')::boolean THEN 'messages were left to another process, which was sending already'
				WHEN t.result ->> 'sent' = '0' AND t.result ->> 'failed' = '0' THEN 'nothing to send'
				ELSE pg_catalog.format('%s %s sent', t.result ->> 'sent', CASE WHEN t.result ->> 'sent' = '1' THEN 'message' ELSE 'messages' END) END,
			CASE WHEN t.result ->> 'failed' <> '0' THEN pg_catalog.format('%s could not be sent', t.result ->> 'failed') END,
			CASE WHEN (t.result ->> 'held_up')::boolean THEN 'what is new was not looked at, for want of a lock' END) END,
		CASE WHEN t.action = 'bloat_report' AND t.result IS NOT NULL THEN pg_catalog.format(
			'%s of %s are bloat (%s %% +/- %s)',
			pg_catalog.pg_size_pretty((t.result ->> 'bloat_bytes')::bigint),
			pg_catalog.pg_size_pretty((t.result ->> 'total_blocks')::bigint * pg_catalog.current_setting('block_size')::bigint),
			pg_catalog.round(100 * (t.result ->> 'bloat_ratio')::numeric, 1),
			pg_catalog.round(100 * (t.result ->> 'margin')::numeric, 1)) END,
		CASE WHEN t.action = 'bloat_report' AND (t.result ->> 'indexes')::bigint > 0 THEN pg_catalog.format(
			'%s in %s %s',
			pg_catalog.pg_size_pretty((t.result ->> 'index_bloat_bytes')::bigint),
			t.result ->> 'indexes',
			CASE WHEN t.result ->> 'indexes' = '1' THEN 'index' ELSE 'indexes' END) END)) AS gain,
	t.returned_bytes,
	t.removed_rows,
	t.left_rows,
	t.archived_bytes,
	t.bytes_before,
	t.one_of_many,
	t.one_for_all,
	CASE WHEN t.action = 'review_queries' THEN (
		SELECT pg_catalog.array_agg(CASE
			WHEN r.nth <= 5 THEN pg_catalog.format('%s without a plan: %s', r.queries, r.reason)
			ELSE pg_catalog.format('%s without a plan for other reasons', r.others) END ORDER BY r.nth)
		FROM (
			SELECT
				w.reason,
				pg_catalog.sum(n.value::bigint) AS queries,
				pg_catalog.row_number() OVER by_number AS nth,
				pg_catalog.sum(pg_catalog.sum(n.value::bigint)) OVER (by_number ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS others
			FROM pg_catalog.jsonb_each_text(t.result -> 'not_planned') n
			CROSS JOIN LATERAL (SELECT CASE WHEN n.key LIKE '% has no generic plan' THEN 'commands have none' ELSE n.key END AS reason) w
			GROUP BY w.reason
			WINDOW by_number AS (ORDER BY pg_catalog.sum(n.value::bigint) DESC, w.reason)
		) r
		WHERE r.nth <= 6) END AS remarks
FROM (
	SELECT
		t.*,
		CASE WHEN t.action = 'bloat_report' THEN t.action || ' ' || t.target ELSE t.command END AS what,
		-- a relation that is sound needs no lines of its own
		t.action = 'check_corruption' AND t.relation <> 0 AS one_of_many,
		t.action IN ('review_queries', 'index_advice', 'index_usage', 'connection_review', 'validate', 'escalate') AS one_for_all,
		pg_catalog.extract('epoch', t.finished_at - t.started_at) AS seconds,
		CASE WHEN t.action NOT IN ('bloat_report', 'retention') THEN greatest(t.bytes_before - t.bytes_after, 0) ELSE 0 END AS returned_bytes,
		greatest((t.result ->> 'dead_rows_before')::bigint - (t.result ->> 'dead_rows_after')::bigint, 0) AS removed_rows,
		CASE WHEN t.action = 'retention' THEN (t.result ->> 'rows')::bigint END AS left_rows,
		CASE WHEN t.action = 'retention' THEN (t.result ->> 'bytes')::bigint END AS archived_bytes
	FROM pgmaint.tasks t
) t;

COMMENT ON VIEW pgmaint.task_results IS 'what each task did, and in gain what came of it, in words';
COMMENT ON COLUMN pgmaint.task_results.one_of_many IS 'whether a report counts it with others of its kind, unless it failed';
COMMENT ON COLUMN pgmaint.task_results.one_for_all IS 'whether a step has one such task, so that a report tells it with the step, unless it failed';
COMMENT ON COLUMN pgmaint.task_results.remarks IS 'what there is to say besides';

CREATE OR REPLACE VIEW pgmaint.step_results AS
SELECT
	r.run_id,
	s.step,
	s.definition ->> 'action' AS action,
	CASE
		WHEN s.step > r.current_step THEN 'not reached'
		WHEN g.planned = 0 THEN 'nothing due'
		WHEN g.told = g.planned THEN pg_catalog.format('%s (%s s)', g.gain, pg_catalog.round(g.seconds, 1))
		ELSE pg_catalog.concat_ws(', ',
			pg_catalog.format('%s of %s done in %s s', g.succeeded, g.planned, pg_catalog.round(g.seconds, 1)),
			CASE WHEN g.failed > 0 THEN g.failed || ' failed' END,
			CASE WHEN g.skipped > 0 THEN g.skipped || ' skipped' END,
			CASE WHEN g.stopped > 0 THEN g.stopped || ' stopped' END,
			CASE WHEN g.open > 0 THEN g.open || ' to go' END,
			g.gain)
	END AS outcome,
	g.gain,
	s.step <= r.current_step AS reached,
	g.planned,
	g.succeeded,
	g.failed,
	g.skipped,
	g.stopped,
	g.open,
	g.started_at,
	g.seconds,
	g.returned_bytes,
	(
		SELECT pg_catalog.array_agg(m.remark ORDER BY t.task_id, m.nth)
		FROM pgmaint.task_results t
		CROSS JOIN LATERAL pg_catalog.unnest(t.remarks) WITH ORDINALITY AS m (remark, nth)
		WHERE t.run_id = r.run_id AND t.step = s.step AND t.state = 'succeeded'
	) AS remarks
FROM pgmaint.runs r
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(r.steps) WITH ORDINALITY AS s (definition, step)
CROSS JOIN LATERAL (
	SELECT
		a.*,
		nullif(pg_catalog.concat_ws(', ',
			a.told_gain,
			CASE WHEN a.left_rows > 0 THEN pg_catalog.btrim(pg_catalog.to_char(a.left_rows, '999,999,999,999,999')) || ' rows deleted' END,
			CASE WHEN a.archived_bytes > 0 THEN pg_catalog.pg_size_pretty(a.archived_bytes) || ' archived' END,
			CASE WHEN a.removed_rows > 0 THEN pg_catalog.btrim(pg_catalog.to_char(a.removed_rows, '999,999,999,999,999')) || ' dead rows removed' END,
			CASE WHEN a.returned_bytes > 0 THEN pg_catalog.pg_size_pretty(a.returned_bytes) || ' returned' END), '') AS gain
	FROM (
		SELECT
			pg_catalog.count(*) AS planned,
			pg_catalog.count(*) FILTER (WHERE t.state = 'succeeded') AS succeeded,
			pg_catalog.count(*) FILTER (WHERE t.state = 'failed') AS failed,
			pg_catalog.count(*) FILTER (WHERE t.state = 'skipped') AS skipped,
			pg_catalog.count(*) FILTER (WHERE t.state IN ('cancelled', 'interrupted')) AS stopped,
			pg_catalog.count(*) FILTER (WHERE t.state IN ('pending', 'running')) AS open,
			pg_catalog.min(t.started_at) AS started_at,
			coalesce(pg_catalog.extract('epoch', pg_catalog.max(t.finished_at) - pg_catalog.min(t.started_at)), 0) AS seconds,
			pg_catalog.sum(t.left_rows) AS left_rows,
			pg_catalog.sum(t.archived_bytes) AS archived_bytes,
			pg_catalog.sum(t.removed_rows) AS removed_rows,
			pg_catalog.sum(t.returned_bytes) AS returned_bytes,
			pg_catalog.count(*) FILTER (WHERE t.one_for_all AND t.state = 'succeeded' AND t.gain <> '') AS told,
			pg_catalog.string_agg(t.gain, ', ') FILTER (WHERE t.one_for_all AND t.state = 'succeeded') AS told_gain
		FROM pgmaint.task_results t
		WHERE t.run_id = r.run_id AND t.step = s.step
	) a
) g;

COMMENT ON VIEW pgmaint.step_results IS 'what came of each step of each run, in words and in figures';

-- A name may hold a line that is a command by itself.
CREATE OR REPLACE FUNCTION pgmaint.may_be_copied(command text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT may_be_copied.command !~ E'[\\x01-\\x1f\\x7f]' OR (may_be_copied.command !~ E'[\\x01-\\x09\\x0b-\\x1f''\\x7f]'
		-- no line ends within quotes
		AND NOT EXISTS (SELECT FROM regexp_split_to_table(may_be_copied.command, E'\n') l (line) WHERE length(replace(l.line, '"', '')) % 2 <> length(l.line) % 2));
END;

COMMENT ON FUNCTION pgmaint.may_be_copied(text) IS 'whether each line of some commands is no part of a name or a constant';

REVOKE ALL ON FUNCTION pgmaint.may_be_copied(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.may_be_copied(text) TO pg_monitor;

-- What names hold must not look like a line of ours, nor end the comment beside
-- a command that somebody is to copy.
CREATE OR REPLACE VIEW pgmaint.finding_results AS
SELECT
	f.finding_id,
	f.run_id,
	f.check_id,
	f.severity,
	pgmaint.one_line(f.object) AS object,
	-- the lines of index_advice are its own
	CASE WHEN f.check_id = 'index_advice'
		THEN (SELECT pg_catalog.string_agg(pgmaint.one_line(l.line), E'\n' ORDER BY l.nth)
			FROM pg_catalog.string_to_table(coalesce(f.detail ->> 'summary', f.message), E'\n') WITH ORDINALITY AS l (line, nth))
		ELSE pgmaint.one_line(coalesce(f.detail ->> 'summary', f.message)) END AS message,
	c.commands,
	c.remarks,
	CASE WHEN c.total > 10 THEN c.total - 10 ELSE 0 END AS more_commands,
	e.state,
	e.severity AS trouble_severity,
	e.condition,
	e.occurrences,
	e.first_seen,
	e.level,
	e.next_contact,
	e.next_step,
	e.acknowledged_by,
	e.acknowledged_at,
	e.resolved_at,
	e.resolution
FROM pgmaint.findings f
CROSS JOIN LATERAL (
	SELECT
		pg_catalog.array_agg(CASE WHEN pgmaint.may_be_copied(o.value ->> 'command') THEN o.value ->> 'command'
			ELSE pg_catalog.format('-- it has names with line breaks: SELECT detail FROM pgmaint.findings WHERE finding_id = %s', f.finding_id) END ORDER BY o.nth)
			FILTER (WHERE o.nth <= 10) AS commands,
		pg_catalog.array_agg(pgmaint.one_line(pg_catalog.concat_ws(', ',
			pg_catalog.pg_size_pretty((o.value ->> 'bytes')::bigint), o.value ->> 'detail')) ORDER BY o.nth)
			FILTER (WHERE o.nth <= 10) AS remarks,
		pg_catalog.count(*) AS total
	FROM pg_catalog.jsonb_array_elements(CASE WHEN f.detail ? 'command' THEN pg_catalog.jsonb_build_array(f.detail)
		WHEN pg_catalog.jsonb_typeof(f.detail -> 'objects') = 'array' THEN f.detail -> 'objects' END) WITH ORDINALITY AS o (value, nth)
	WHERE o.value ? 'command'
) c
-- the limit has it look for this one only
LEFT JOIN LATERAL (SELECT x.* FROM pgmaint.escalations x WHERE x.escalation_id = f.escalation_id LIMIT 1) e ON true;

COMMENT ON VIEW pgmaint.finding_results IS 'what each finding says, the commands that end it, and what has become of the trouble that it is about';
COMMENT ON COLUMN pgmaint.finding_results.commands IS 'up to ten commands that a person may execute; remarks has as many elements';
COMMENT ON COLUMN pgmaint.finding_results.state IS 'of the trouble, as in pgmaint.escalations; null: it was not noted yet, or the finding is information';

REVOKE ALL ON pgmaint.task_results, pgmaint.step_results, pgmaint.finding_results FROM PUBLIC;
GRANT SELECT ON pgmaint.task_results, pgmaint.step_results, pgmaint.finding_results TO pg_monitor;

-- A number, since tens of thousands of messages are sorted by it.
CREATE OR REPLACE FUNCTION pgmaint.message_pattern(message text, name text)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hashtextextended(regexp_replace(replace(left(message, 1000), coalesce(name, ''), '$'), '[0-9][0-9.,]*( bytes| [kMGT]B)?', '0', 'g') COLLATE "C", 0);

COMMENT ON FUNCTION pgmaint.message_pattern(text, text) IS 'the same for messages that differ in nothing but numbers, sizes and the name of an object';

-- A run may have tens of thousands of tasks: those that a report names are the
-- ones that matter.  One of each way to fail comes first, so that none of them
-- is hidden by tasks that are alike; reasons that differ in nothing but numbers
-- and the object's name are the same.  Only what is chosen is put into words.
CREATE OR REPLACE FUNCTION pgmaint.shown_tasks(run_id bigint)
RETURNS TABLE (task_id bigint, nth bigint, done boolean, alike bigint, nth_alike bigint, first_alike bigint)
LANGUAGE sql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH not_done AS (
		SELECT
			t.task_id,
			array_position(ARRAY['failed', 'interrupted', 'cancelled', 'skipped'], t.state) AS badness,
			t.action,
			pgmaint.message_pattern(t.error, t.target) AS cause
		FROM pgmaint.tasks t
		WHERE t.run_id = shown_tasks.run_id AND t.state NOT IN ('succeeded', 'pending', 'running')
	),
	numbered AS (
		SELECT
			n.task_id,
			n.badness,
			count(*) OVER of_cause AS alike,
			row_number() OVER (of_cause ORDER BY n.task_id) AS nth_alike,
			min(n.task_id) OVER of_cause AS first_alike
		FROM not_done n
		WINDOW of_cause AS (PARTITION BY n.cause, n.badness, n.action)
	),
	named AS MATERIALIZED (
		SELECT n.*
		FROM numbered n
		WHERE n.nth_alike <= 5
		ORDER BY n.nth_alike > 1, n.badness, n.alike DESC, n.first_alike, n.nth_alike
		LIMIT 100
	),
	done AS (
		SELECT t.task_id, row_number() OVER (ORDER BY t.returned_bytes + coalesce(t.archived_bytes, 0) DESC NULLS LAST,
			coalesce(t.removed_rows, 0) DESC, t.seconds DESC NULLS LAST, t.task_id) AS nth
		FROM pgmaint.task_results t
		WHERE t.run_id = shown_tasks.run_id AND t.state = 'succeeded' AND NOT t.one_of_many AND NOT t.one_for_all
	)
	SELECT n.task_id, row_number() OVER (ORDER BY n.badness, n.alike DESC, n.first_alike, n.nth_alike), false, n.alike, n.nth_alike, n.first_alike
	FROM named n
	UNION ALL
	SELECT d.task_id, d.nth, true, 1, 1, d.task_id
	FROM done d
	WHERE d.nth <= 100 - (SELECT count(*) FROM named);
END;

COMMENT ON FUNCTION pgmaint.shown_tasks(bigint) IS
	'the tasks of a run that its reports name, 100 at most: of those that did not succeed up to five for each reason, then those that gave back or removed most, then those that took longest';

-- What a run found, likewise: of what differs in nothing but numbers and the
-- object's name, five are told, or ten where each comes with its own command.
CREATE OR REPLACE FUNCTION pgmaint.shown_findings(run_id bigint)
RETURNS TABLE (finding_id bigint, nth bigint, alike bigint, nth_alike bigint, first_alike bigint, more bigint, more_objects text[])
LANGUAGE sql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH found AS (
		SELECT
			f.finding_id,
			f.check_id,
			array_position(ARRAY['critical', 'warning', 'info'], f.severity) AS badness,
			f.object,
			f.detail -> 'bloat_bytes' AS weight,
			CASE WHEN f.detail ? 'command' OR f.detail ? 'objects' THEN 10 ELSE 5 END AS told,
			pgmaint.message_pattern(coalesce(f.detail ->> 'summary', f.message), f.object) AS cause
		FROM pgmaint.findings f
		-- what was skipped is told as a task
		WHERE f.run_id = shown_findings.run_id AND f.check_id NOT IN ('skipped', 'failed')
	),
	numbered AS (
		SELECT
			f.finding_id,
			f.badness,
			f.object,
			f.told,
			count(*) OVER of_cause AS alike,
			row_number() OVER (of_cause ORDER BY f.weight DESC NULLS LAST, f.finding_id) AS nth_alike,
			min(f.finding_id) OVER of_cause AS first_alike
		FROM found f
		WINDOW of_cause AS (PARTITION BY f.cause, f.badness, f.told, f.check_id)
	),
	chosen AS (
		SELECT n.*
		FROM numbered n
		WHERE n.nth_alike <= n.told
		ORDER BY n.nth_alike > 1, n.badness, n.first_alike, n.nth_alike
		LIMIT 100
	),
	counted AS (
		SELECT c.*, max(c.nth_alike) OVER (PARTITION BY c.first_alike) AS told_alike
		FROM chosen c
	)
	SELECT c.finding_id, row_number() OVER (ORDER BY c.badness, c.first_alike, c.nth_alike), c.alike, c.nth_alike, c.first_alike,
		CASE WHEN c.nth_alike = c.told_alike THEN c.alike - c.told_alike ELSE 0 END,
		CASE WHEN c.nth_alike = c.told_alike AND c.alike > c.told_alike THEN (
			SELECT array_agg(pgmaint.one_line(n.object) ORDER BY n.nth_alike)
			FROM numbered n
			WHERE n.first_alike = c.first_alike AND n.nth_alike > c.told_alike AND n.nth_alike <= c.told_alike + 5) END
	FROM counted c;
END;

COMMENT ON FUNCTION pgmaint.shown_findings(bigint) IS
	'the findings of a run that its reports tell, 100 at most: one of each kind first, then the most severe; more counts those like it that are not told, more_objects names five of them';

CREATE OR REPLACE FUNCTION pgmaint.report(run_id bigint DEFAULT NULL)
RETURNS SETOF text
LANGUAGE sql STABLE ROWS 50 COST 10000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
-- to compile these expressions would take longer than to evaluate them
SET jit = off
BEGIN ATOMIC
	WITH chosen AS (
		SELECT r.*
		FROM pgmaint.runs r
		WHERE r.run_id = coalesce(report.run_id, (SELECT max(x.run_id) FROM pgmaint.runs x))
	),
	counts AS MATERIALIZED (
		SELECT
			count(*) AS tasks,
			count(*) FILTER (WHERE t.state = 'succeeded') AS succeeded,
			count(*) FILTER (WHERE t.state = 'failed') AS failed,
			count(*) FILTER (WHERE t.state IN ('cancelled', 'interrupted')) AS stopped,
			count(*) FILTER (WHERE t.state = 'skipped') AS skipped,
			count(*) FILTER (WHERE t.state IN ('pending', 'running')) AS open,
			-- what is told by itself, unless there is too much of it
			count(*) FILTER (WHERE t.state NOT IN ('pending', 'running') AND (t.state <> 'succeeded' OR NOT t.one_of_many AND NOT t.one_for_all)) AS single,
			count(*) FILTER (WHERE t.state = 'succeeded' AND t.one_of_many) AS sound,
			sum(t.bytes_before) FILTER (WHERE t.state = 'succeeded' AND t.one_of_many) AS sound_bytes
		FROM pgmaint.task_results t
		JOIN chosen c USING (run_id)
	),
	shown AS MATERIALIZED (
		SELECT s.* FROM chosen c CROSS JOIN LATERAL pgmaint.shown_tasks(c.run_id) s
	),
	told AS MATERIALIZED (
		SELECT s.* FROM chosen c CROSS JOIN LATERAL pgmaint.shown_findings(c.run_id) s
	),
	checks AS MATERIALIZED (
		SELECT f.severity, f.check_id, count(*) AS findings,
			row_number() OVER (PARTITION BY f.severity ORDER BY count(*) DESC, f.check_id) AS nth
		FROM pgmaint.findings f
		JOIN chosen c USING (run_id)
		WHERE f.check_id NOT IN ('skipped', 'failed')
		GROUP BY f.severity, f.check_id
	),
	severities AS MATERIALIZED (
		SELECT
			array_position(ARRAY['critical', 'warning', 'info'], k.severity) AS badness,
			sum(k.findings)::bigint AS findings,
			format('%s %s', pgmaint.count_text(sum(k.findings)::bigint),
				CASE WHEN k.severity = 'warning' AND sum(k.findings) > 1 THEN 'warnings' ELSE k.severity END) AS words,
			concat_ws(', ', string_agg(format('%s %s', pgmaint.one_line(k.check_id), pgmaint.count_text(k.findings)), ', ' ORDER BY k.nth) FILTER (WHERE k.nth <= 10),
				pgmaint.count_text(nullif(sum(k.findings) FILTER (WHERE k.nth > 10), 0)::bigint) || ' of other checks') AS by_check
		FROM checks k
		GROUP BY k.severity
	),
	not_done AS (
		SELECT
			s.first_alike,
			min(s.nth) AS nth,
			max(s.alike) AS alike,
			count(*) AS named,
			(array_agg(format(E'  %s: %s%s\n      %s', t.state, t.what,
				CASE WHEN t.attempt > 1 THEN format(', after %s attempts', t.attempt) END, coalesce(t.error, '')) ORDER BY s.nth))[1] AS first,
			string_agg(t.what, '; ' ORDER BY s.nth) FILTER (WHERE s.nth_alike > 1) AS others
		FROM shown s
		JOIN pgmaint.task_results t ON t.task_id = s.task_id
		WHERE NOT s.done
		GROUP BY s.first_alike
	),
	lines AS (
		SELECT 100 AS part, 0::bigint AS nth, format('Run %s: %s, %s', c.run_id, pgmaint.one_line(c.plan), c.state) AS line FROM chosen c
		UNION ALL
		SELECT 101, 0, format('  requested by %s at %s', pgmaint.one_line(c.requested_by::text), date_trunc('second', c.requested_at)) FROM chosen c
		UNION ALL
		SELECT 102, 0, format('  began %s, took %s', date_trunc('second', c.started_at),
			date_trunc('milliseconds', coalesce(c.finished_at, clock_timestamp()) - c.started_at))
		FROM chosen c WHERE c.started_at IS NOT NULL
		UNION ALL
		SELECT 103, 0, '  options ' || c.options::text FROM chosen c WHERE c.options IS NOT NULL
		UNION ALL
		SELECT 103, 1, format('  does the rest of run %s, which was interrupted', c.resumes) FROM chosen c WHERE c.resumes IS NOT NULL
		UNION ALL
		SELECT 104, 0, '  ' || pgmaint.one_line(c.error) FROM chosen c WHERE c.error IS NOT NULL
		UNION ALL
		SELECT 105, 0, '  tasks: ' || concat_ws(', ',
			format('%s of %s done', pgmaint.count_text(n.succeeded), pgmaint.count_text(n.tasks)),
			pgmaint.count_text(nullif(n.failed, 0)) || ' failed',
			pgmaint.count_text(nullif(n.stopped, 0)) || ' stopped',
			pgmaint.count_text(nullif(n.skipped, 0)) || ' skipped',
			pgmaint.count_text(nullif(n.open, 0)) || ' to go')
		FROM counts n WHERE n.tasks > 0
		UNION ALL
		SELECT 106, 0, '  findings: ' || string_agg(v.words, ', ' ORDER BY v.badness) FROM severities v HAVING count(*) > 0
		UNION ALL
		SELECT 200, 0, E'\nFindings' FROM severities v HAVING count(*) > 0
		UNION ALL
		SELECT 201, v.badness, format('  %s: %s', v.words, v.by_check)
		FROM severities v
		WHERE (SELECT sum(x.findings) FROM severities x) > (SELECT count(*) FROM told)
		UNION ALL
		SELECT 202, s.nth, concat(
				format('  %s %s%s: %s', upper(f.severity), pgmaint.one_line(f.check_id), ' ' || f.object, replace(f.message, E'\n', E'\n      ')),
				(SELECT string_agg(format(E'\n      %s;%s', replace(m.command, E'\n', E'\n      '), '  -- ' || nullif(m.remark, '')), '' ORDER BY m.nth)
				FROM unnest(f.commands, f.remarks) WITH ORDINALITY AS m (command, remark, nth)),
				CASE WHEN f.more_commands > 0 THEN format(
					E'\n      ... and %s more: SELECT o ->> ''command'' FROM pgmaint.findings, jsonb_array_elements(detail -> ''objects'') o WHERE finding_id = %s',
					f.more_commands, f.finding_id) END,
				E'\n      ' || nullif(pgmaint.one_line(concat_ws('; ',
					CASE WHEN f.occurrences > 1 THEN format('noticed by %s runs since %s', f.occurrences, f.first_seen) END,
					CASE WHEN f.trouble_severity <> f.severity AND f.state <> 'resolved' THEN format('%s by now%s', f.trouble_severity, ': ' || f.condition) END,
					CASE f.state
						WHEN 'notified' THEN 'contacts were told'
						WHEN 'escalated' THEN format('contacts of level %s were told', f.level)
						WHEN 'acknowledged' THEN format('%s sees to it', f.acknowledged_by)
						WHEN 'resolved' THEN format('resolved at %s: %s', date_trunc('second', f.resolved_at), f.resolution) END,
					CASE WHEN f.state NOT IN ('acknowledged', 'resolved') AND f.next_contact IS NOT NULL THEN format('%s is told at %s', f.next_contact, f.next_step) END)), ''),
				CASE WHEN s.more > 0 THEN format(E'\n  ... and %s more of %s like %s%s', pgmaint.count_text(s.more), pgmaint.one_line(f.check_id),
					CASE WHEN s.nth_alike = 1 THEN 'this' ELSE 'these' END,
					': ' || nullif(array_to_string(s.more_objects, ', ', NULL), '') || CASE WHEN s.more > cardinality(s.more_objects) THEN ', ...' ELSE '' END) END)
		FROM told s
		JOIN pgmaint.finding_results f ON f.finding_id = s.finding_id
		UNION ALL
		SELECT 203, 0, format('  %s of %s findings shown, up to five of each kind, or ten with commands, the most severe first; SELECT * FROM pgmaint.findings WHERE run_id = %s has all',
			x.told, pgmaint.count_text(v.findings), c.run_id)
		FROM chosen c
		CROSS JOIN (SELECT sum(s.findings)::bigint AS findings FROM severities s) v
		CROSS JOIN (SELECT count(*) AS told FROM told) x
		WHERE x.told < v.findings
		UNION ALL
		SELECT 300, 0, E'\nNot done' WHERE EXISTS (SELECT FROM shown s WHERE NOT s.done)
		UNION ALL
		SELECT 301, d.nth, concat(d.first,
			CASE WHEN d.alike > 1 THEN format(E'\n      and %s more like it%s', pgmaint.count_text(d.alike - 1),
				': ' || d.others || CASE WHEN d.alike > d.named THEN '; ...' ELSE '' END) END)
		FROM not_done d
		UNION ALL
		SELECT 400, 0, E'\nSteps' FROM chosen c
		UNION ALL
		SELECT 401, s.step, concat(format('  %s. %s %s', s.step, rpad(s.action, 17), s.outcome),
			(SELECT string_agg(concat(E'\n', repeat(' ', 6), pgmaint.one_line(m.remark)), '' ORDER BY m.nth)
			FROM unnest(s.remarks) WITH ORDINALITY AS m (remark, nth)))
		FROM pgmaint.step_results s
		JOIN chosen c USING (run_id)
		UNION ALL
		SELECT 500, 0, E'\nDone' FROM counts n WHERE n.sound > 0 OR EXISTS (SELECT FROM shown s WHERE s.done)
		UNION ALL
		SELECT 501, 0, format('  check_corruption: %s %s of %s are sound', n.sound,
			CASE WHEN n.sound = 1 THEN 'table or index' ELSE 'tables and indexes' END, pg_size_pretty(n.sound_bytes))
		FROM counts n
		WHERE n.sound > 0
		UNION ALL
		-- all of them are in the order of the plan
		SELECT 502, CASE WHEN n.single = (SELECT count(*) FROM shown) THEN s.task_id ELSE s.nth END, concat(
			'  ', t.what, ' (', round(t.seconds, 1), ' s)',
			E'\n      why:    ', t.reason,
			E'\n      result: ' || nullif(t.gain, ''))
		FROM shown s
		JOIN pgmaint.task_results t ON t.task_id = s.task_id
		CROSS JOIN counts n
		WHERE s.done
		UNION ALL
		SELECT 600, 0, format(E'\n%s of %s tasks shown, of those not done up to five for each reason, then what gave back or removed most, then what took longest;'
			' SELECT * FROM pgmaint.task_results WHERE run_id = %s has all', x.shown, pgmaint.count_text(n.tasks), c.run_id)
		FROM chosen c
		CROSS JOIN counts n
		CROSS JOIN (SELECT count(*) AS shown FROM shown) x
		WHERE x.shown < n.single
		UNION ALL
		SELECT 999, 0, CASE WHEN report.run_id IS NULL THEN 'There has been no run yet.'
			ELSE format('There is no run %s.', report.run_id) END
		WHERE NOT EXISTS (SELECT FROM chosen)
	)
	SELECT s.line
	FROM lines l
	CROSS JOIN LATERAL regexp_split_to_table(l.line, E'\n') WITH ORDINALITY AS s (line, nth)
	ORDER BY l.part, l.nth, s.nth;
END;

COMMENT ON FUNCTION pgmaint.report(bigint) IS
	'what a run did, why, what it gained and what it could not do, in lines of text, the worst first; the latest run if none is named';

REVOKE ALL ON FUNCTION
	pgmaint.message_pattern(text, text),
	pgmaint.shown_tasks(bigint),
	pgmaint.shown_findings(bigint),
	pgmaint.report(bigint)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint.message_pattern(text, text),
	pgmaint.shown_tasks(bigint),
	pgmaint.shown_findings(bigint),
	pgmaint.report(bigint)
TO pg_monitor;
-- What the page of report_html() is made of: text that is safe in it, tables,
-- its style.  All of it is well-formed XML, whatever the names of objects hold.

CREATE FUNCTION pgmaint.html_text(text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	-- control characters are not allowed in XML, not even as references
	SELECT regexp_replace(
		replace(replace(replace(replace(replace($1, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;'),
		E'[\\x01-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]', '&#65533;', 'g');
END;

COMMENT ON FUNCTION pgmaint.html_text(text) IS 'a text as it must stand in an element or an attribute of HTML';

-- psql writes a page in the encoding of its session
CREATE FUNCTION pgmaint.html_charset()
RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT CASE
		WHEN e.name IN ('UTF8', 'SQL_ASCII') THEN 'utf-8'
		WHEN e.name LIKE 'LATIN%' THEN 'iso-8859-' || (ARRAY[1, 2, 3, 4, 9, 10, 13, 14, 15, 16])[substr(e.name, 6)::integer]
		ELSE replace(regexp_replace(lower(e.name), '^win', 'windows-'), '_', '-')
	END
	FROM (SELECT pg_client_encoding()::text AS name) e;
END;

COMMENT ON FUNCTION pgmaint.html_charset() IS 'what HTML calls the encoding of the session';

CREATE FUNCTION pgmaint.html_time(at timestamptz)
RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT CASE WHEN isfinite(at) THEN format('<time datetime="%s"><span>%s</span> <span>%s</span></time>',
		to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
		to_char(at, 'YYYY-MM-DD'), to_char(at, 'HH24:MI:SS TZH:TZM')) END;
END;

COMMENT ON FUNCTION pgmaint.html_time(timestamptz) IS 'a time with its zone, for people and for machines';

CREATE FUNCTION pgmaint.duration_text(seconds numeric)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN round(seconds, 1) < 10 THEN round(seconds, 1) || ' s'
		WHEN round(seconds) < 60 THEN round(seconds) || ' s'
		WHEN round(seconds) < 3600 THEN div(round(seconds), 60) || ' min' ||
			CASE WHEN mod(round(seconds), 60) > 0 THEN ' ' || mod(round(seconds), 60) || ' s' ELSE '' END
		WHEN round(seconds) < 172800 THEN div(round(seconds), 3600) || ' h' ||
			CASE WHEN mod(div(round(seconds), 60), 60) > 0 THEN ' ' || mod(div(round(seconds), 60), 60) || ' min' ELSE '' END
		ELSE div(round(seconds), 86400) || ' d' ||
			CASE WHEN mod(div(round(seconds), 3600), 24) > 0 THEN ' ' || mod(div(round(seconds), 3600), 24) || ' h' ELSE '' END
	END;
END;

COMMENT ON FUNCTION pgmaint.duration_text(numeric) IS 'so many seconds in the units that people use';

-- A table gives way to long names by breaking them, but to no short ones.
CREATE FUNCTION pgmaint.html_name(name text, element text DEFAULT 'code')
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT format('<%s%s>%s</%s>', element, CASE WHEN length(name) <= 24 THEN ' class="nowrap"' ELSE '' END, pgmaint.html_text(pgmaint.one_line(name)), element);
END;

COMMENT ON FUNCTION pgmaint.html_name(text, text) IS 'a name or a few words as the content of a cell';

-- The mark says the same as the colour.
CREATE FUNCTION pgmaint.html_state(state text, words text DEFAULT NULL)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT format('<span class="state %s"><span aria-hidden="true">%s</span> %s</span>',
		CASE
			WHEN state IN ('succeeded', 'ok', 'restorable', 'acknowledged', 'resolved') THEN 'good'
			WHEN state IN ('failed', 'critical', 'not restorable') THEN 'bad'
			WHEN state IN ('warning', 'cancelled', 'interrupted', 'skipped', 'notified', 'escalated') THEN 'poor'
			ELSE 'plain' END,
		CASE
			WHEN state IN ('succeeded', 'ok', 'restorable', 'acknowledged', 'resolved') THEN '&#10003;'
			WHEN state IN ('failed', 'critical', 'not restorable') THEN '&#10007;'
			WHEN state IN ('warning', 'cancelled', 'interrupted', 'skipped', 'notified', 'escalated') THEN '&#9650;'
			WHEN state = 'running' THEN '&#9654;'
			ELSE '&#8226;' END,
		pgmaint.html_text(coalesce(words, state)));
END;

COMMENT ON FUNCTION pgmaint.html_state(text, text) IS 'a state or a severity, told by mark, word and colour';

CREATE FUNCTION pgmaint.html_table(caption text, columns text[], cells text[])
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH heads AS (
		SELECT
			c.nth,
			pgmaint.html_text(ltrim(c.name, '#')) AS name,
			CASE WHEN c.name LIKE '#%' THEN ' class="number"' ELSE '' END AS class
		FROM unnest(columns) WITH ORDINALITY AS c (name, nth)
	),
	numbered AS (
		SELECT
			(c.nth - 1) / cardinality(columns) AS line,
			(c.nth - 1) % cardinality(columns) + 1 AS nth,
			c.cell
		FROM unnest(cells) WITH ORDINALITY AS c (cell, nth)
	),
	lines AS (
		SELECT string_agg(CASE
			WHEN n.nth = 1 THEN format('<th scope="row"%s>%s</th>', h.class, n.cell)
			-- a narrow screen shows a row as a list of what its cells are called
			WHEN n.cell <> '' THEN format('<td%s data-label="%s">%s</td>', h.class, h.name, n.cell)
			ELSE format('<td%s></td>', h.class) END, '' ORDER BY n.nth) AS cells,
			n.line
		FROM numbered n
		JOIN heads h USING (nth)
		GROUP BY n.line
	)
	SELECT format(E'<table><caption>%s</caption>\n<thead><tr>%s</tr></thead>\n<tbody>\n%s\n</tbody></table>\n',
		pgmaint.html_text(caption),
		(SELECT string_agg(format('<th scope="col"%s>%s</th>', h.class, h.name), '' ORDER BY h.nth) FROM heads h),
		string_agg('<tr>' || l.cells || '</tr>', E'\n' ORDER BY l.line))
	FROM lines l
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint.html_table(text, text[], text[]) IS
	'a table of cells that are HTML already, as many in a row as there are columns; a column is of numbers if its name begins with #; null without cells';

CREATE FUNCTION pgmaint.html_section(id text, title text, content text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT format(E'<section aria-labelledby="%s">\n<h2 id="%s">%s</h2>\n%s</section>\n', id, id, title, content);
END;

COMMENT ON FUNCTION pgmaint.html_section(text, text, text) IS 'a part of the page; null if its content is';

-- Colours are named once for each theme; print is light.
CREATE FUNCTION pgmaint.html_style()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT '
:root{color-scheme:light dark;--page:#fff;--panel:#f4f6f9;--text:#1a222c;--soft:#4e5967;--line:#d3dae2;--link:#0a55a5;
--good:#17663a;--bad:#ab1f17;--poor:#8a4b00;--on-bar:#fff;--area:#bcd3ef;
--c1:#2560a8;--c2:#0d6b63;--c3:#77499f;--c4:#86580a;--c5:#9c2f62;--c6:#47671b;--c7:#4a5a6c;--c8:#984012}
@media screen and (prefers-color-scheme:dark){:root{--page:#11161d;--panel:#1a212b;--text:#e4e9ef;--soft:#a5b0be;--line:#364250;--link:#82b7f5;
--good:#6fd09a;--bad:#ff938a;--poor:#f0b35c;--on-bar:#0e131a;--area:#28466a;
--c1:#7fb2f0;--c2:#5cc6ba;--c3:#c4a3e8;--c4:#deb35c;--c5:#f09cba;--c6:#a9cd70;--c7:#aab8c7;--c8:#f0a27e}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:1.5rem 1.25rem 3rem;max-width:68rem;background:var(--page);color:var(--text);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
h1{margin:0;font-size:1.75rem;line-height:1.25}
h2{margin:2.5rem 0 .5rem;padding-top:.75rem;border-top:2px solid var(--line);font-size:1.25rem}
h3{margin:1.5rem 0 .25rem;font-size:1.0625rem}
h4{margin:1rem 0 .25rem;font-size:1rem}
p{margin:.5rem 0;max-width:48rem}
a{color:var(--link)}
a:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem}
code,pre{font:.875em/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;unicode-bidi:isolate}
.soft,figcaption,caption,footer,dt{color:var(--soft)}
.kind{margin:0;color:var(--soft);font-size:.875rem}
.lead{font-size:1.125rem}
.error{padding:.5rem .75rem;border-left:4px solid var(--bad);background:var(--panel);max-width:none}
.state{font-weight:600;white-space:nowrap}
h1 .state{font-size:1.125rem;margin-left:.25rem}
.good{color:var(--good)}.bad{color:var(--bad)}.poor{color:var(--poor)}.plain{color:var(--soft)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.5rem 1.5rem;margin:1rem 0}
dd{margin:0}
dt{font-size:.875rem}
nav ul,.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:.5rem 0;padding:0;list-style:none}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.25rem,1fr));gap:.75rem;margin:1rem 0;padding:0;list-style:none}
.tiles li{padding:.5rem .75rem;border-radius:.375rem;background:var(--panel)}
.tiles b{display:block;white-space:nowrap;font-size:1.25rem;line-height:1.3}
.legend{font-size:.875rem}
.legend svg,.key{width:.875rem;height:.875rem;margin-right:.375rem;vertical-align:-.1em}
table{width:100%;margin:.75rem 0;border-collapse:collapse;font-size:.9375rem}
caption{padding:.25rem 0;text-align:left;font-size:.875rem}
th,td{padding:.375rem .75rem .375rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;font-weight:400}
thead th{color:var(--soft);font-size:.875rem;vertical-align:bottom}
.number{padding-right:0;padding-left:.75rem;text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.number+:not(.number){padding-left:1.25rem}
time span,.nowrap{white-space:nowrap}
ul.found{margin:.25rem 0;padding-left:1.25rem}
ul.found li{margin:.25rem 0}
pre{margin:.25rem 0;white-space:pre-wrap}
summary{color:var(--soft);font-size:.875rem;cursor:pointer}
summary:focus-visible{outline:3px solid var(--link);outline-offset:2px}
figure{margin:0;min-width:0}
figcaption{font-size:.875rem}
figcaption b{color:var(--text)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:1.25rem 2rem;margin:1rem 0}
svg{display:block;width:100%;overflow:hidden}
.legend svg,.key{display:inline-block}
svg text{fill:var(--soft);font-size:11px}
svg .bar text{fill:var(--on-bar)}
svg text.wide{display:none}
.grid{stroke:var(--line);stroke-width:1}
.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}.c4{fill:var(--c4)}.c5{fill:var(--c5)}.c6{fill:var(--c6)}.c7{fill:var(--c7)}.c8{fill:var(--c8)}
.fault{fill:var(--bad)}
.hollow{fill:var(--panel);stroke:var(--soft)}
.hatch{stroke:var(--on-bar);stroke-width:2}
.area{fill:var(--area)}
.line{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}
.s1{stroke:var(--c1)}.s2{stroke:var(--c4);stroke-dasharray:5 4}
.d1{fill:var(--c1)}.d2{fill:var(--page);stroke:var(--c4);stroke-width:2}
footer{margin-top:3rem;padding-top:.75rem;border-top:2px solid var(--line);font-size:.875rem}
@media (min-width:60rem){svg text.wide{display:inline}}
@media screen and (max-width:60rem){
body{padding:1rem .875rem 2rem}
table,tbody,tr,th,td,caption{display:block}
thead{display:none}
tbody tr{padding:.5rem 0;border-bottom:1px solid var(--line)}
th,td,.number{padding:.0625rem 0;border:0;text-align:left;white-space:normal}
.number+:not(.number){padding-left:0}
tbody th{font-weight:600}
dl{grid-template-columns:minmax(0,1fr);gap:.25rem}
dl div{display:flex;gap:.75rem}
dt{flex:0 0 6.5rem;padding-top:.125rem}
td:empty{display:none}
td::before{content:attr(data-label) ": ";color:var(--soft)}
}
@page{margin:15mm}
@media print{
body{max-width:none;padding:0;font-size:10pt}
table{font-size:8.5pt}
th,td{padding-right:.375rem}
.number{padding-left:.375rem}
nav,.skip{display:none}
h2,h3,h4{break-after:avoid}
tr,figure,.tiles li{break-inside:avoid}
a{color:inherit;text-decoration:none}
.tiles li,.error{border:1px solid var(--line)}
svg{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
'::text;
END;

COMMENT ON FUNCTION pgmaint.html_style() IS 'how the page looks: light or dark as the reader has it, on paper, on a telephone';

REVOKE ALL ON FUNCTION
	pgmaint.html_text(text),
	pgmaint.html_charset(),
	pgmaint.html_time(timestamptz),
	pgmaint.duration_text(numeric),
	pgmaint.html_name(text, text),
	pgmaint.html_state(text, text),
	pgmaint.html_table(text, text[], text[]),
	pgmaint.html_section(text, text, text),
	pgmaint.html_style()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint.html_text(text),
	pgmaint.html_charset(),
	pgmaint.html_time(timestamptz),
	pgmaint.duration_text(numeric),
	pgmaint.html_name(text, text),
	pgmaint.html_state(text, text),
	pgmaint.html_table(text, text[], text[]),
	pgmaint.html_section(text, text, text),
	pgmaint.html_style()
TO pg_monitor;
-- Plots for the page of report_html(), in SVG without a script.  What lies along
-- the time axis is placed in percent, so that a plot is as wide as its place is
-- and its text stays as large as it was.

-- The end of a scale: a round number that is no less, and how it is written.
CREATE FUNCTION pgmaint.scale_end(value double precision, unit text, OUT top double precision, OUT label text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT s.top, s.label
	FROM (
		SELECT m * 1024.0 ^ (u.nth - 1) AS top, m || ' ' || u.name AS label
		FROM unnest(ARRAY['bytes', 'kB', 'MB', 'GB', 'TB', 'PB']) WITH ORDINALITY AS u (name, nth)
		CROSS JOIN unnest(ARRAY[1, 2, 5, 10, 20, 50, 100, 200, 500]) AS m
		WHERE unit = 'bytes'
		UNION ALL
		SELECT m * f.seconds, m || ' ' || f.name
		FROM (VALUES (0.001, 'ms', 1000), (1, 's', 60), (60, 'min', 60), (3600, 'h', 48), (86400, 'd', 2000)) AS f (seconds, name, below)
		CROSS JOIN unnest(ARRAY[1, 2, 5, 10, 20, 30, 40, 50, 100, 200, 500, 1000]) AS m
		WHERE unit = 'seconds' AND m < f.below
	) s
	WHERE s.top >= value AND s.top > 0
	ORDER BY s.top
	LIMIT 1;
END;

COMMENT ON FUNCTION pgmaint.scale_end(double precision, text) IS 'where a scale of bytes or of seconds ends that has room for a value';

CREATE FUNCTION pgmaint.value_text(value double precision, unit text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE unit WHEN 'bytes' THEN pg_size_pretty(value::bigint) ELSE pgmaint.duration_text(value::numeric) END;
END;

COMMENT ON FUNCTION pgmaint.value_text(double precision, text) IS 'a number of bytes or of seconds for people';

CREATE FUNCTION pgmaint.svg_series(id text, title text, description text, unit text, names text[], lines jsonb)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH given AS (
		SELECT l.nth AS line, p.at, p.value
		FROM jsonb_array_elements(lines) WITH ORDINALITY AS l (points, nth)
		CROSS JOIN LATERAL jsonb_to_recordset(l.points) AS p (at double precision, value double precision)
		WHERE p.at IS NOT NULL AND p.value IS NOT NULL
	),
	frame AS (
		SELECT
			min(g.at) AS since,
			max(g.at) AS until,
			max(g.at) - min(g.at) AS span,
			max(g.value) AS highest
		FROM given g
	),
	placed AS (
		SELECT
			g.line,
			CASE WHEN f.span > 0 THEN (g.at - f.since) / f.span ELSE 0.5 END AS x,
			g.value / e.top AS y,
			to_timestamp(g.at) AS at,
			g.value
		FROM given g
		CROSS JOIN frame f
		CROSS JOIN LATERAL pgmaint.scale_end(f.highest, unit) e
	),
	-- of points that would hide each other, the highest is drawn
	drawn AS (
		SELECT DISTINCT ON (p.line, floor(p.x * 90)) p.*
		FROM placed p
		ORDER BY p.line, floor(p.x * 90), p.value DESC, p.at
	),
	paths AS (
		SELECT
			d.line,
			string_agg(format('%s,%s', round((d.x * 1000)::numeric), round((1000 - d.y * 1000)::numeric)), 'L' ORDER BY d.x) AS points,
			round((min(d.x) * 1000)::numeric) AS since,
			round((max(d.x) * 1000)::numeric) AS until
		FROM drawn d
		GROUP BY d.line
		HAVING count(*) > 1
	)
	SELECT format(
		E'<svg role="img" aria-labelledby="%1$s-t %1$s-d" height="124"><title id="%1$s-t">%2$s</title><desc id="%1$s-d">%3$s</desc>\n'
		'<line class="grid" x2="100%%" y1="20" y2="20"/><line class="grid" x2="100%%" y1="60" y2="60"/><line class="grid" x2="100%%" y1="100" y2="100"/><text x="0" y="15">%4$s</text>\n'
		'<svg x="2%%" y="20" width="96%%" height="80" viewBox="0 0 1000 1000" preserveAspectRatio="none">%5$s</svg>\n'
		'%6$s\n%7$s</svg>\n',
		id, pgmaint.html_text(title), pgmaint.html_text(description), e.label,
		(SELECT string_agg(concat(
			CASE WHEN p.line = 1 THEN format('<path class="area" d="M%sL%sV1000H%sZ"/>', p.points, p.until || ',1000', p.since) END,
			format('<path class="line s%s" d="M%s"/>', p.line, p.points)), '' ORDER BY p.line)
		FROM paths p),
		(SELECT string_agg(format('<circle class="d%s" cx="%s%%" cy="%s" r="3"><title>%s, %s: %s</title></circle>',
			d.line, round((2 + d.x * 96)::numeric, 2), round((100 - d.y * 80)::numeric, 1),
			names[d.line], to_char(d.at, 'YYYY-MM-DD HH24:MI TZH:TZM'), pgmaint.value_text(d.value, unit)), '' ORDER BY d.line, d.x)
		FROM drawn d),
		CASE WHEN f.span > 0
			THEN format('<text x="0" y="118">%s</text><text x="100%%" y="118" text-anchor="end">%s</text>',
				to_char(to_timestamp(f.since), k.pattern), to_char(to_timestamp(f.until), k.pattern))
			ELSE format('<text x="50%%" y="118" text-anchor="middle">%s</text>', to_char(to_timestamp(f.since), k.pattern)) END)
	FROM frame f
	CROSS JOIN LATERAL pgmaint.scale_end(f.highest, unit) e
	CROSS JOIN LATERAL (SELECT CASE WHEN f.span < 172800 THEN 'MM-DD HH24:MI TZH:TZM' ELSE 'YYYY-MM-DD' END AS pattern) k
	WHERE f.since IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint.svg_series(text, text, text, text, text[], jsonb) IS
	'a plot of one or two lines over time: arrays of {"at": seconds since 1970, "value": bytes or seconds}; null without points';

-- What was at work when, one lane for each worker of a step: every step has its
-- own.  Tasks that are too short to be seen are drawn together with their
-- neighbours.
CREATE FUNCTION pgmaint.svg_timeline(run_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH work AS (
		SELECT t.task_id, t.step, t.action, t.state, t.started_at,
			coalesce(t.finished_at, clock_timestamp()) AS finished_at,
			dense_rank() OVER (PARTITION BY t.step ORDER BY t.worker) AS lane
		FROM pgmaint.tasks t
		WHERE t.run_id = svg_timeline.run_id AND t.started_at IS NOT NULL AND t.worker IS NOT NULL
	),
	frame AS (
		SELECT
			extract(epoch FROM min(w.started_at)) AS since,
			greatest(extract(epoch FROM max(w.finished_at) - min(w.started_at)), 0.001) AS span,
			min(w.started_at) AS first_start,
			max(w.finished_at) AS last_end,
			count(*) AS tasks,
			max(w.lane) AS lanes,
			-- the narrowest bar that is drawn by itself, in percent: the page of a
			-- run of thousands of tasks is to be no larger than that of a short one
			100.0 / CASE WHEN count(*) <= 300 THEN greatest(900 / greatest(least(max(w.lane), 24), 1), 40)
				ELSE greatest(300 / greatest(least(max(w.lane), 24), 1), 20) END AS narrowest
		FROM work w
	),
	placed AS MATERIALIZED (
		SELECT
			w.*,
			100 * extract(epoch FROM w.started_at - f.first_start)::float8 / f.span::float8 AS x,
			100 * extract(epoch FROM w.finished_at - w.started_at)::float8 / f.span::float8 AS width,
			CASE WHEN w.state IN ('failed', 'cancelled', 'interrupted') THEN 'fault' WHEN w.state = 'skipped' THEN 'hollow' ELSE 'c' || (w.step - 1) % 8 + 1 END AS class,
			f.narrowest::float8 AS narrowest
		FROM work w
		CROSS JOIN frame f
		WHERE w.lane <= 24
	),
	drawn AS MATERIALIZED (
		SELECT
			p.lane,
			p.class,
			min(p.x) AS x,
			max(p.x + p.width) AS until,
			min(p.started_at) AS started_at,
			max(p.finished_at) AS finished_at,
			sum(p.finished_at - p.started_at) AS at_work,
			count(*) AS tasks,
			min(p.task_id) AS task_id
		FROM placed p
		GROUP BY p.lane, p.class, p.step, CASE WHEN p.width < p.narrowest THEN floor(p.x / p.narrowest) END,
			CASE WHEN p.width >= p.narrowest THEN p.task_id END
	),
	bars AS (
		SELECT
			42 + (d.lane - 1) * 40 + 16 AS y,
			d.class,
			round(d.x::numeric, 2) AS x,
			round((least(d.until, 100) - d.x)::numeric, 2) AS width,
			CASE WHEN d.tasks = 1 THEN t.target ELSE d.tasks || ' tasks' END AS label,
			CASE WHEN d.tasks = 1 THEN format('%s: %s, %s from %s', t.what, t.state,
				pgmaint.duration_text(extract(epoch FROM d.finished_at - d.started_at)), to_char(d.started_at, 'HH24:MI:SS TZH:TZM'))
				ELSE format('%s tasks of %s: %s in all, from %s', d.tasks, t.action,
				pgmaint.duration_text(extract(epoch FROM d.at_work)), to_char(d.started_at, 'HH24:MI:SS TZH:TZM')) END AS title,
			d.tasks
		FROM drawn d
		-- the names of those that are drawn by themselves only
		JOIN pgmaint.task_results t ON t.run_id = svg_timeline.run_id AND t.task_id = d.task_id
		UNION ALL
		SELECT 16, 'c' || (p.step - 1) % 8 + 1, round(min(p.x)::numeric, 2), round((least(max(p.x + p.width), 100) - min(p.x))::numeric, 2),
			p.step || '. ' || min(p.action COLLATE "C"), format('step %s, %s: %s', p.step, min(p.action COLLATE "C"),
			pgmaint.duration_text(extract(epoch FROM max(p.finished_at) - min(p.started_at)))), 1
		FROM placed p
		GROUP BY p.step
	),
	-- a label is there if it fits at the width of a telephone, or of a desk
	shapes AS (
		SELECT
			b.y,
			b.x,
			format('<rect class="%s" x="%s%%" y="%s" width="%s%%" height="18"><title>%s</title></rect>', b.class, b.x, b.y, b.width, pgmaint.html_text(b.title)) ||
			CASE WHEN b.class = 'fault' THEN format('<rect fill="url(#hatch)" x="%s%%" y="%s" width="%s%%" height="18"/>', b.x, b.y, b.width)
				WHEN b.class <> 'hollow' AND b.width * 7.5 >= k.needs THEN format('<svg class="bar" x="%s%%" y="%s" width="%s%%" height="18"><text%s x="4" y="13">%s</text></svg>',
				b.x, b.y, b.width, CASE WHEN b.width * 3 < k.needs THEN ' class="wide"' ELSE '' END, pgmaint.html_text(b.label))
				ELSE '' END AS shape
		FROM bars b
		CROSS JOIN LATERAL (SELECT 8 + 7.2 * greatest(length(b.label), octet_length(b.label) / 2) AS needs) k
	),
	pace AS (
		SELECT min(s) AS seconds
		FROM unnest(ARRAY[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900,
			1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800]) AS s
		CROSS JOIN frame f
		WHERE f.span / s <= 6
	),
	-- times of day where the run was long enough for them, else seconds since it began
	ticks AS (
		SELECT
			round(100 * (k.at - f.since) / f.span, 2) AS x,
			CASE WHEN p.seconds >= 60 THEN to_char(to_timestamp(k.at), 'HH24:MI') ELSE trim_scale(k.at - f.since) || ' s' END AS label
		FROM frame f
		CROSS JOIN pace p
		CROSS JOIN LATERAL generate_series(0, 6) AS n
		CROSS JOIN LATERAL (SELECT CASE WHEN p.seconds >= 60 THEN (ceil(f.since / p.seconds) + n) * p.seconds ELSE f.since + n * p.seconds END AS at) k
		WHERE k.at <= f.since + f.span
	)
	SELECT concat(
		'<figure><figcaption>', t.description, CASE WHEN EXISTS (SELECT FROM bars b WHERE b.tasks > 1)
			THEN format('  Tasks that took less than %s are drawn together.', pgmaint.duration_text(greatest(f.span * f.narrowest / 100, 0.1))) END,
		CASE WHEN f.lanes > 24 THEN '  What more than 24 workers did is left out.' END, E'</figcaption>\n',
		format(E'<svg role="img" aria-labelledby="timeline-t timeline-d" height="%s"><title id="timeline-t">Tasks by worker over time</title><desc id="timeline-d">%s</desc>\n',
			l.bottom + 22, t.description),
		'<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="hatch" d="M0,0V6"/></pattern></defs>',
		(SELECT string_agg(format('<line class="grid" x1="%s%%" x2="%s%%" y1="0" y2="%s"/>', k.x, k.x, l.bottom), '' ORDER BY k.x) FROM ticks k),
		'<text x="0" y="11">steps</text>',
		(SELECT string_agg(format('<text x="0" y="%s">worker %s</text>', 42 + (n - 1) * 40 + 11, n), '' ORDER BY n) FROM generate_series(1, least(f.lanes, 24)) n),
		E'\n', (SELECT string_agg(s.shape, E'\n' ORDER BY s.y, s.x) FROM shapes s), E'\n',
		(SELECT string_agg(format('<text x="%s%%" y="%s" text-anchor="%s">%s</text>', k.x, l.bottom + 16,
			CASE WHEN k.x < 8 THEN 'start' WHEN k.x > 92 THEN 'end' ELSE 'middle' END, k.label), '' ORDER BY k.x) FROM ticks k),
		E'</svg></figure>\n<ul class="legend">',
		(SELECT string_agg(format('<li><svg aria-hidden="true"><rect class="c%s" width="100%%" height="100%%"/></svg>%s. %s</li>',
			(s.step - 1) % 8 + 1, s.step, pgmaint.html_text(s.action)), '' ORDER BY s.step) FROM (SELECT DISTINCT w.step, w.action FROM work w) s),
		CASE WHEN EXISTS (SELECT FROM work w WHERE w.state IN ('failed', 'cancelled', 'interrupted')) THEN
			'<li><svg aria-hidden="true"><rect class="fault" width="100%" height="100%"/><rect fill="url(#hatch)" width="100%" height="100%"/></svg>failed or stopped</li>' END,
		CASE WHEN EXISTS (SELECT FROM work w WHERE w.state = 'skipped') THEN
			'<li><svg aria-hidden="true"><rect class="hollow" width="100%" height="100%"/></svg>skipped</li>' END,
		E'</ul>\n')
	FROM frame f
	CROSS JOIN LATERAL (SELECT 42 + least(f.lanes, 24) * 40 + 2 AS bottom) l
	CROSS JOIN LATERAL (SELECT format('%s %s, %s at a time, from %s to %s.',
		pgmaint.count_text(f.tasks), CASE WHEN f.tasks = 1 THEN 'task' ELSE 'tasks' END,
		CASE WHEN f.lanes = 1 THEN 'one' ELSE 'up to ' || f.lanes END,
		to_char(f.first_start, 'YYYY-MM-DD HH24:MI:SS TZH:TZM'), to_char(f.last_end, 'YYYY-MM-DD HH24:MI:SS TZH:TZM')) AS description) t
	WHERE f.tasks > 0;
END;

COMMENT ON FUNCTION pgmaint.svg_timeline(bigint) IS 'the tasks of a run by worker over time; null if none began';

REVOKE ALL ON FUNCTION
	pgmaint.scale_end(double precision, text),
	pgmaint.value_text(double precision, text),
	pgmaint.svg_series(text, text, text, text, text[], jsonb),
	pgmaint.svg_timeline(bigint)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint.scale_end(double precision, text),
	pgmaint.value_text(double precision, text),
	pgmaint.svg_series(text, text, text, text, text[], jsonb),
	pgmaint.svg_timeline(bigint)
TO pg_monitor;
-- The parts of the page of report_html() that are about a run, and what
-- validate() finds.  Each is null where there is nothing to tell.

-- What a check is about, and what to do where its findings do not say so.
CREATE FUNCTION pgmaint.check_guide()
RETURNS TABLE (check_id text, title text, remedy text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60
BEGIN ATOMIC
	VALUES
		('F004'::text, 'table bloat'::text, 'The action vacuum_full writes such tables anew inside a maintenance window (pgmaint.add_window), or at any time with {"ignore_window": true}.'::text),
		('F005', 'index bloat', 'The action reindex rebuilds such indexes, concurrently where the server can: SELECT pgmaint.run_action(''reindex'').'),
		('H001', 'invalid indexes', NULL),
		('H002', 'indexes that nothing reads', 'DROP INDEX CONCURRENTLY drops one, once you know that nothing else needs it: a standby, or a report once a year. pgmaint never does.'),
		('H003', 'foreign keys without an index', 'CREATE INDEX CONCURRENTLY on the columns that refer to the other table: without it, a DELETE there reads all of this one.'),
		('H004', 'indexes that others make superfluous', 'DROP INDEX CONCURRENTLY drops one; pgmaint.index_usage() says which other index does its work.'),
		('index_advice', 'indexes that would help', 'What was advised is in pgmaint.index_advice(), with the queries that gain. pgmaint creates none; the next run says what became of it.'),
		('collation', 'collations that changed', 'The action reindex rebuilds these indexes before all others: SELECT pgmaint.run_action(''reindex'').'),
		('corruption', 'damage on disk', 'Copy the data directory as it is before anything else. A damaged index is rebuilt once its table is found sound; a damaged table comes from a backup.'),
		('checksums', 'data checksums', 'Look at the storage: what failed once fails again. Compare with a backup, and replace the disk.'),
		('sequences', 'sequences near their end', 'Change the column and its sequence to bigint before the last value is used.'),
		('constraints', 'constraints that were never validated', NULL),
		('amcheck', 'what was not checked for corruption', NULL),
		('privileges', 'what the role has no rights to', 'Have the plan run by a role that may do it, or grant the rights.'),
		('retention', 'retention', NULL),
		('archive', 'archives that were read', 'A copy of the object, or an older version of it, may be whole: put it in its place, and have verify_archive() read it again.'),
		('backup', 'backups', NULL),
		('unknown_objects', 'objects that stand in no row of the ledger', NULL),
		('expire_backups', 'backups that should expire', NULL),
		('slow_queries', 'queries that were not reviewed', NULL),
		('degradation', 'queries that became slower with maintenance', 'SELECT * FROM pgmaint.degraded_queries() says what was maintained before, pgmaint.query_plans how the query was planned then and is now. Statistics with a larger target, or an index, often help.'),
		('plan_changed', 'queries that are planned in another way', 'SELECT * FROM pgmaint.query_plans has both plans. It matters where the query takes longer: SELECT * FROM pgmaint.slow_queries(order_by => ''change'').'),
		('failed', 'tasks and runs that failed', 'pgmaint.tasks has the commands and what went wrong. Once that is put right, the next run of the plan does them again.'),
		('skipped', 'tasks that were skipped', 'SELECT * FROM pgmaint.xmin_holders() says who keeps old rows now; a lock that somebody holds may be gone by the next run.'),
		('storage_renamed', 'storages with a new name', NULL),
		('repack', 'tables that REPACK (CONCURRENTLY) rewrote', 'A dump that began before the table was rewritten and went on after it may lack its rows: repeat it.'),
		('window', 'work that waits for a maintenance window', NULL),
		('server_release', 'minor releases with known holes', 'Update the server''s packages, and restart the server.'),
		('worker_slots', 'background workers', 'Raise max_worker_processes, and restart the server.'),
		('missed_schedule', 'schedules that were missed', 'SELECT * FROM pgmaint.schedules says what pg_cron knows, and what is wrong.'),
		('interrupted', 'runs that were interrupted', NULL),
		('delivery', 'contacts that cannot be reached', 'SELECT * FROM pgmaint.notifications says why. Once the receiver is in order: SELECT pgmaint.run_action(''escalate'', ''{"retry": true}'').'),
		('orphaned_files', 'files that belong to no relation', NULL),
		-- those of validate()
		('archiver', 'archiving of WAL', 'The server log has what archive_command said. Until it succeeds, WAL stays on the disk, and fills it.'),
		('backup_exists', 'databases without a backup', 'SELECT pgmaint.run_action(''backup'') makes one of this database, SELECT pgmaint.schedule(''daily'') one each day.'),
		('backup_recent', 'backups that are old', 'pgmaint.backups says how the last attempts ended, pgmaint.schedules whether there will be others.'),
		('backup_verified', 'backups that were not proven', 'SELECT pgmaint.run_action(''verify_backup'') restores the newest of each database into a private server, and compares.'),
		('bloat', 'bloat in all', 'The actions reindex and vacuum_full give it back.'),
		('bloat_measured', 'bloat that was not measured', 'SELECT pgmaint.run_action(''bloat_report'') measures it.'),
		('checksum_failures', 'checksum failures', 'Look at the storage: what failed once fails again. SELECT pgmaint.run_action(''check_corruption'') finds what is damaged.'),
		('connections', 'connections', 'SELECT * FROM pgmaint.connection_review() says who has them, and what max_connections should be.'),
		('disk_free', 'room on the disk', 'Make room, or move a tablespace: a server whose disk is full stops.'),
		('disk_headroom', 'room for maintenance', 'Make room: what writes a copy of a table or an index is skipped where the copy does not fit.'),
		('extensions', 'extensions with updates', 'ALTER EXTENSION ... UPDATE brings each up to its files.'),
		('invalid_indexes', 'invalid indexes', 'SELECT pgmaint.run_action(''reindex'') rebuilds them; what nobody needs is dropped by hand.'),
		('long_transactions', 'long transactions', 'They keep dead rows from being removed. pg_terminate_backend(pid) ends one; pgmaint never does.'),
		('pending_restart', 'settings that wait for a restart', 'Restart the server when it suits its users.'),
		('prepared_transactions', 'prepared transactions', 'COMMIT PREPARED or ROLLBACK PREPARED ends one whose coordinator has forgotten it.'),
		('recovery', 'a server in recovery', 'Nothing to do on a standby. What should be a primary is made one by SELECT pg_promote().'),
		('replication_lag', 'standbys that lag', 'Look at the network and the load of the standby; pg_stat_replication says where it stands.'),
		('replication_slots', 'replication slots', 'They keep WAL on the disk. SELECT pg_drop_replication_slot(name) drops one that nobody reads any more.'),
		('schedules', 'schedules that were missed', 'SELECT * FROM pgmaint.schedules says what pg_cron knows, and what is wrong.'),
		('storage', 'objects of archives and backups', 'Look for them in versions or copies of the bucket or folder before anything else: SELECT pgmaint.run_action(''validate'') compares again. SELECT * FROM pgmaint.verify_archive(number) reads a damaged archive again.'),
		('statistics', 'statistics', 'SELECT pgmaint.run_action(''analyze'') renews them.'),
		('undelivered_messages', 'messages to contacts that do not arrive', 'Once the receiver is in order: SELECT pgmaint.run_action(''escalate'', ''{"retry": true}'').'),
		('wraparound', 'transaction IDs', 'SELECT pgmaint.run_action(''vacuum'') freezes what is oldest; whatever keeps an old snapshot has to end first.'),
		-- these say it themselves
		('checksums_enabled', 'data checksums', NULL),
		('failed_runs', 'plans whose last runs failed', NULL),
		('nobody_is_told', 'troubles that nobody is told of', NULL),
		('identity', 'a database that may be a copy', 'SELECT pgmaint.take_over() where this database is the successor; SELECT pgmaint.stay_copy() where it is a copy, and stays one'),
		('nothing_scheduled', 'nothing is scheduled', NULL);
END;

COMMENT ON FUNCTION pgmaint.check_guide() IS 'what the checks that make findings are about, and what to do where a finding does not say it itself';

CREATE FUNCTION pgmaint.html_run(run_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT concat(
		E'<header>\n<p class="kind">pgmaint: run ', r.run_id, E'</p>\n<h1>', pgmaint.html_text(pgmaint.one_line(r.plan)), ' ', pgmaint.html_state(r.state), E'</h1>\n',
		'<p class="error">' || pgmaint.html_text(pgmaint.one_line(r.error)) || E'</p>\n',
		'<ul class="tiles">',
		format('<li><b>%s</b>of %s %s done</li>', pgmaint.count_text(s.succeeded), pgmaint.count_text(s.planned), CASE WHEN s.planned = 1 THEN 'task' ELSE 'tasks' END),
		format('<li><b%s>%s</b>failed or stopped</li>', CASE WHEN s.failed > 0 THEN ' class="bad"' ELSE '' END, pgmaint.count_text(s.failed)),
		format('<li><b%s>%s</b>skipped</li>', CASE WHEN s.skipped > 0 THEN ' class="poor"' ELSE '' END, pgmaint.count_text(s.skipped)),
		CASE WHEN s.open > 0 THEN format('<li><b>%s</b>to go</li>', pgmaint.count_text(s.open)) END,
		format('<li><b>%s</b>returned</li>', pg_size_pretty(s.returned_bytes)),
		format('<li><b%s>%s</b>critical %s</li>', CASE WHEN f.critical > 0 THEN ' class="bad"' ELSE '' END, pgmaint.count_text(f.critical), CASE WHEN f.critical = 1 THEN 'finding' ELSE 'findings' END),
		format('<li><b%s>%s</b>%s</li>', CASE WHEN f.warning > 0 THEN ' class="poor"' ELSE '' END, pgmaint.count_text(f.warning), CASE WHEN f.warning = 1 THEN 'warning' ELSE 'warnings' END),
		'<li><b>' || pgmaint.duration_text(extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - r.started_at)) || '</b>'
			|| CASE WHEN r.finished_at IS NULL THEN 'so far' ELSE 'from begin to end' END || '</li>',
		E'</ul>\n<dl>',
		format('<div><dt>Database</dt><dd>%s</dd></div>', pgmaint.html_text(current_database())),
		format('<div><dt>Server</dt><dd>PostgreSQL %s%s, port %s</dd></div>', pgmaint.html_text(current_setting('server_version')),
			pgmaint.html_text(coalesce(', ' || nullif(current_setting('cluster_name'), ''), '')), current_setting('port')),
		format('<div><dt>Requested by</dt><dd>%s</dd></div>', pgmaint.html_text(pgmaint.one_line(r.requested_by::text))),
		format('<div><dt>Requested</dt><dd>%s</dd></div>', pgmaint.html_time(r.requested_at)),
		format('<div><dt>Began</dt><dd>%s</dd></div>', coalesce(pgmaint.html_time(r.started_at), 'not yet')),
		format('<div><dt>Ended</dt><dd>%s</dd></div>', coalesce(pgmaint.html_time(r.finished_at), 'not yet')),
		format('<div><dt>Options</dt><dd><code>%s</code></dd></div>', pgmaint.html_text(nullif(r.options, '{}')::text)),
		CASE WHEN r.resumes IS NOT NULL THEN format('<div><dt>Does the rest of</dt><dd>run %s, which was interrupted</dd></div>', r.resumes) END,
		E'</dl>\n</header>\n')
	FROM pgmaint.runs r
	CROSS JOIN LATERAL (
		SELECT
			coalesce(sum(x.planned), 0)::bigint AS planned,
			coalesce(sum(x.succeeded), 0)::bigint AS succeeded,
			coalesce(sum(x.failed + x.stopped), 0)::bigint AS failed,
			coalesce(sum(x.skipped), 0)::bigint AS skipped,
			coalesce(sum(x.open), 0)::bigint AS open,
			coalesce(sum(x.returned_bytes), 0)::bigint AS returned_bytes
		FROM pgmaint.step_results x
		WHERE x.run_id = r.run_id
	) s
	CROSS JOIN LATERAL (
		SELECT
			count(*) FILTER (WHERE x.severity = 'critical') AS critical,
			count(*) FILTER (WHERE x.severity = 'warning' AND x.check_id <> 'skipped') AS warning
		FROM pgmaint.findings x
		WHERE x.run_id = r.run_id
	) f
	WHERE r.run_id = html_run.run_id;
END;

COMMENT ON FUNCTION pgmaint.html_run(bigint) IS 'the head of the page: which run, and what it came to';

CREATE FUNCTION pgmaint.html_trouble(finding pgmaint.finding_results)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT concat_ws(', ',
		pgmaint.html_state(f.state) || CASE f.state
			WHEN 'acknowledged' THEN format(' by %s at %s', pgmaint.html_text(f.acknowledged_by), pgmaint.html_time(f.acknowledged_at))
			WHEN 'resolved' THEN format(' at %s: %s', pgmaint.html_time(f.resolved_at), pgmaint.html_text(f.resolution))
			WHEN 'escalated' THEN format(' to level %s', f.level)
			ELSE '' END,
		CASE WHEN f.trouble_severity <> f.severity AND f.state <> 'resolved'
			THEN concat(f.trouble_severity, ' by now', ': ' || pgmaint.html_text(f.condition)) END,
		CASE WHEN f.occurrences > 1 THEN format('noticed by %s runs since %s', pgmaint.count_text(f.occurrences), pgmaint.html_time(f.first_seen)) END,
		CASE WHEN f.state NOT IN ('acknowledged', 'resolved') AND f.next_contact IS NOT NULL
			THEN format('%s is told at %s', pgmaint.html_text(f.next_contact), pgmaint.html_time(f.next_step)) END,
		CASE WHEN f.state <> 'resolved' THEN format('<span class="soft">number %s</span>', f.finding_id) END)
	FROM (SELECT (finding).*) f
	WHERE f.state IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint.html_trouble(pgmaint.finding_results) IS 'what has become of the trouble that a finding is about; null: it was not noted yet';

CREATE FUNCTION pgmaint.html_findings(run_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH told AS MATERIALIZED (
		SELECT s.* FROM pgmaint.shown_findings(html_findings.run_id) s
	),
	found AS MATERIALIZED (
		SELECT f.*, f AS whole, s.nth, s.nth_alike, s.more, s.more_objects
		FROM told s
		JOIN pgmaint.finding_results f ON f.finding_id = s.finding_id
	),
	counted AS MATERIALIZED (
		SELECT f.severity, f.check_id, count(*) AS findings
		FROM pgmaint.findings f
		WHERE f.run_id = html_findings.run_id AND f.check_id NOT IN ('skipped', 'failed')
		GROUP BY f.severity, f.check_id
	),
	checks AS (
		SELECT f.severity, f.check_id, concat(
			format(E'<h4>%s%s%s</h4>\n', pgmaint.html_text(upper(left(coalesce(g.title, f.check_id), 1)) || substr(coalesce(g.title, f.check_id), 2)),
				CASE WHEN g.title IS NOT NULL THEN format(' <code class="soft">%s</code>', pgmaint.html_text(f.check_id)) END,
				CASE WHEN c.findings > count(*) THEN ': ' || pgmaint.count_text(c.findings) END),
			'<ul class="found">', string_agg(format('<li>%s%s%s%s%s</li>%s',
				-- most messages name their object
				CASE WHEN strpos(f.message, f.object) = 0 THEN format('<code>%s</code>: ', pgmaint.html_text(f.object)) END,
				replace(pgmaint.html_text(f.message), E'\n', '<br/>'),
				(SELECT string_agg(format('<br/><code>%s;</code>%s', replace(pgmaint.html_text(m.command), E'\n', '<br/>'),
					' <span class="soft">' || pgmaint.html_text(nullif(m.remark, '')) || '</span>'), '' ORDER BY m.nth)
				FROM unnest(f.commands, f.remarks) WITH ORDINALITY AS m (command, remark, nth)),
				CASE WHEN f.more_commands > 0 THEN format('<br/>&#8230; and %s more, in <code>pgmaint.findings</code>', pgmaint.count_text(f.more_commands)) END,
				'<br/>' || pgmaint.html_trouble(f.whole),
				CASE WHEN f.more > 0 THEN format(E'\n<li>&#8230; and %s more like %s%s</li>', pgmaint.count_text(f.more),
					CASE WHEN f.nth_alike = 1 THEN 'this' ELSE 'these' END,
					(SELECT ': ' || string_agg(format('<code>%s</code>', pgmaint.html_text(o.name)), ', ' ORDER BY o.nth)
						|| CASE WHEN f.more > cardinality(f.more_objects) THEN ', &#8230;' ELSE '' END
					FROM unnest(f.more_objects) WITH ORDINALITY AS o (name, nth) WHERE o.name IS NOT NULL)) END), E'\n' ORDER BY f.nth),
			E'</ul>\n',
			'<p><b>What to do:</b> ' || pgmaint.html_text(g.remedy) || E'</p>\n') AS content
		FROM found f
		JOIN counted c ON c.severity = f.severity AND c.check_id = f.check_id
		LEFT JOIN pgmaint.check_guide() g ON g.check_id = f.check_id
		GROUP BY f.severity, f.check_id, c.findings, g.title, g.remedy
	),
	severities AS (
		SELECT
			c.severity,
			array_position(ARRAY['critical', 'warning', 'info'], c.severity) AS badness,
			sum(c.findings)::bigint AS findings
		FROM counted c
		GROUP BY c.severity
	)
	SELECT pgmaint.html_section('findings', 'Findings', concat(
		CASE WHEN EXISTS (SELECT FROM found f WHERE f.state NOT IN ('acknowledged', 'resolved')) THEN
			E'<p>Who sees to one says so by its number, <code>SELECT pgmaint.acknowledge(number)</code>, and nobody else is told.</p>\n' END,
		CASE WHEN sum(x.findings) > (SELECT count(*) FROM told) THEN
			format(E'<p>%s of %s findings shown, up to five of each kind, or ten with commands, the most severe first; <code>SELECT * FROM pgmaint.findings WHERE run_id = %s</code> has all.</p>\n',
				(SELECT count(*) FROM told), pgmaint.count_text(sum(x.findings)::bigint), html_findings.run_id) END,
		string_agg(x.content, '' ORDER BY x.badness)))
	FROM (
		SELECT
			v.badness,
			v.findings,
			concat(format(E'<h3>%s: %s</h3>\n', pgmaint.html_state(v.severity), pgmaint.count_text(v.findings)),
				string_agg(k.content, '' ORDER BY k.check_id),
				CASE WHEN count(k.check_id) < v.checks THEN format(E'<p>Other checks that found something: %s.</p>\n', pgmaint.count_text(v.checks - count(k.check_id))) END) AS content
		FROM (SELECT s.*, (SELECT count(*) FROM counted c WHERE c.severity = s.severity) AS checks FROM severities s) v
		LEFT JOIN checks k ON k.severity = v.severity
		GROUP BY v.severity, v.badness, v.findings, v.checks
	) x
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint.html_findings(bigint) IS 'the findings of a run, the worst first, and what to do about them';

CREATE FUNCTION pgmaint.html_steps(run_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT pgmaint.html_section('steps', 'Steps', concat(
		pgmaint.html_table('The steps of the plan, in their order', ARRAY['Step', '#Done', 'Not done', '#Time', 'What came of it'],
			array_agg(ARRAY[
				format('%s. %s', s.step, pgmaint.html_text(s.action)),
				CASE WHEN s.planned > 0 THEN format('%s of %s', pgmaint.count_text(s.succeeded), pgmaint.count_text(s.planned)) END,
				concat_ws(', ',
					CASE WHEN s.failed > 0 THEN pgmaint.html_state('failed', pgmaint.count_text(s.failed) || ' failed') END,
					CASE WHEN s.stopped > 0 THEN pgmaint.html_state('cancelled', pgmaint.count_text(s.stopped) || ' stopped') END,
					CASE WHEN s.skipped > 0 THEN pgmaint.html_state('skipped', pgmaint.count_text(s.skipped) || ' skipped') END,
					CASE WHEN s.open > 0 THEN pgmaint.html_state('running', pgmaint.count_text(s.open) || ' to go') END),
				CASE WHEN s.planned > 0 THEN pgmaint.duration_text(s.seconds) END,
				CASE WHEN NOT s.reached OR s.planned = 0 THEN format('<span class="soft">%s</span>', s.outcome) ELSE concat(pgmaint.html_text(s.gain),
					(SELECT string_agg(format('<br/><span class="soft">%s</span>', pgmaint.html_text(m.remark)), '' ORDER BY m.nth)
					FROM unnest(s.remarks) WITH ORDINALITY AS m (remark, nth))) END
			] ORDER BY s.step)),
		pgmaint.svg_timeline(html_steps.run_id)))
	FROM pgmaint.step_results s
	WHERE s.run_id = html_steps.run_id
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint.html_steps(bigint) IS 'what the steps of a run came to, and when they were at work';

CREATE FUNCTION pgmaint.html_tasks(run_id bigint, OUT not_done text, OUT done text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH shown AS MATERIALIZED (
		SELECT s.* FROM pgmaint.shown_tasks(html_tasks.run_id) s
	),
	counts AS (
		SELECT
			count(*) AS tasks,
			count(*) FILTER (WHERE t.state NOT IN ('pending', 'running') AND (t.state <> 'succeeded' OR NOT t.one_of_many AND NOT t.one_for_all)) AS single,
			count(*) FILTER (WHERE t.state = 'succeeded' AND t.one_of_many) AS sound,
			sum(t.bytes_before) FILTER (WHERE t.state = 'succeeded' AND t.one_of_many) AS sound_bytes
		FROM pgmaint.task_results t
		WHERE t.run_id = html_tasks.run_id
	),
	told AS MATERIALIZED (
		SELECT s.nth, s.done, s.alike, s.first_alike, t.state, t.what, t.error, t.reason, t.gain, t.seconds
		FROM shown s
		JOIN pgmaint.task_results t ON t.task_id = s.task_id
	),
	reasons AS (
		SELECT
			min(t.nth) AS nth,
			t.state,
			t.alike,
			(array_agg(t.error ORDER BY t.nth))[1] AS error,
			string_agg(format('<code>%s</code>', pgmaint.html_text(t.what)), '<br/>' ORDER BY t.nth) AS named,
			count(*) AS names
		FROM told t
		WHERE NOT t.done
		GROUP BY t.first_alike, t.state, t.alike
	),
	tables AS (
		SELECT
			(SELECT pgmaint.html_table('Tasks that did not succeed, and why', ARRAY['State', '#Tasks', 'Which', 'Why'], array_agg(ARRAY[
				pgmaint.html_state(r.state),
				pgmaint.count_text(r.alike),
				r.named || CASE WHEN r.alike > r.names THEN format('<br/>&#8230; and %s more', pgmaint.count_text(r.alike - r.names)) ELSE '' END,
				pgmaint.html_text(r.error)
			] ORDER BY r.nth))
			FROM reasons r) AS not_done,
			(SELECT pgmaint.html_table('What gave back or removed most first, then what took longest', ARRAY['What', 'Why', 'Result', '#Time'], array_agg(ARRAY[
				format('<code>%s</code>', pgmaint.html_text(t.what)),
				pgmaint.html_text(t.reason),
				pgmaint.html_text(t.gain),
				pgmaint.duration_text(t.seconds)
			] ORDER BY t.nth))
			FROM told t
			WHERE t.done) AS done,
			(SELECT format(E'<p>%s of %s tasks shown, of those not done up to five for each reason, then what gave back or removed most, then what took longest;'
				' <code>SELECT * FROM pgmaint.task_results WHERE run_id = %s</code> has all.</p>\n', x.shown, pgmaint.count_text(c.tasks), html_tasks.run_id)
			FROM (SELECT count(*) AS shown FROM shown) x
			WHERE x.shown < c.single) AS left_out,
			(SELECT format(E'<p>check_corruption: %s of %s found sound.</p>\n', CASE WHEN c.sound = 1 THEN '1 table or index'
				ELSE pgmaint.count_text(c.sound) || ' tables and indexes' END, pg_size_pretty(c.sound_bytes))
			WHERE c.sound > 0) AS sound
		FROM counts c
	)
	SELECT
		pgmaint.html_section('not-done', 'Not done', t.not_done || CASE WHEN t.done IS NULL THEN coalesce(t.left_out, '') ELSE '' END),
		pgmaint.html_section('done', 'Done, task by task', nullif(concat(t.sound, t.done || coalesce(t.left_out, '')), ''))
	FROM tables t;
END;

COMMENT ON FUNCTION pgmaint.html_tasks(bigint) IS 'what a run did not do, and why; what it did, why, and what it gained';

CREATE FUNCTION pgmaint.html_checks()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH checked AS MATERIALIZED (
		SELECT v.*, row_number() OVER (PARTITION BY v.status = 'ok' ORDER BY array_position(ARRAY['critical', 'warning', 'ok'], v.status), v.check_id, v.object) AS nth
		FROM pgmaint.validate() v
	)
	SELECT pgmaint.html_section('checks', 'Is everything in order now?', concat(
		format(E'<p>%s</p>\n', concat_ws(', ',
			CASE WHEN count(*) FILTER (WHERE c.status = 'critical') > 0 THEN pgmaint.html_state('critical', count(*) FILTER (WHERE c.status = 'critical') || ' critical') END,
			CASE WHEN count(*) FILTER (WHERE c.status = 'warning') > 0 THEN pgmaint.html_state('warning', count(*) FILTER (WHERE c.status = 'warning') || CASE count(*) FILTER (WHERE c.status = 'warning') WHEN 1 THEN ' warning' ELSE ' warnings' END) END,
			pgmaint.html_state('ok', count(*) FILTER (WHERE c.status = 'ok') || ' ok'))),
		pgmaint.html_table('What pgmaint.validate() finds', ARRAY['Status', 'Check', 'Detail', 'Expected'], array_agg(ARRAY[
			pgmaint.html_state(c.status),
			pgmaint.html_name(c.check_id),
			pgmaint.html_text(c.detail) || CASE WHEN c.status <> 'ok' AND g.remedy IS NOT NULL
				THEN format('<br/><span class="soft">%s</span>', pgmaint.html_text(g.remedy)) ELSE '' END,
			pgmaint.html_text(c.expected)
		] ORDER BY c.status = 'ok', c.nth) FILTER (WHERE c.nth <= 40)),
		CASE WHEN count(*) FILTER (WHERE c.nth > 40) > 0 THEN format('<p>%s more: <code>SELECT * FROM pgmaint.validate()</code></p>', count(*) FILTER (WHERE c.nth > 40)) END))
	FROM checked c
	LEFT JOIN pgmaint.check_guide() g USING (check_id)
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint.html_checks() IS 'what validate() finds now';

REVOKE ALL ON FUNCTION
	pgmaint.check_guide(),
	pgmaint.html_run(bigint),
	pgmaint.html_trouble(pgmaint.finding_results),
	pgmaint.html_findings(bigint),
	pgmaint.html_steps(bigint),
	pgmaint.html_tasks(bigint),
	pgmaint.html_checks()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint.check_guide(),
	pgmaint.html_run(bigint),
	pgmaint.html_trouble(pgmaint.finding_results),
	pgmaint.html_findings(bigint),
	pgmaint.html_steps(bigint),
	pgmaint.html_tasks(bigint),
	pgmaint.html_checks()
TO pg_monitor;
-- The parts of the page of report_html() that are about queries: which took the
-- time, and which indexes were advised for them.  Each is null where there is
-- nothing to tell.

CREATE FUNCTION pgmaint.ms_text(ms double precision)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN ms < 9.995 THEN round(ms::numeric, 2) || ' ms'
		WHEN ms < 999.5 THEN round(ms::numeric) || ' ms'
		ELSE pgmaint.duration_text((ms / 1000)::numeric)
	END;
END;

COMMENT ON FUNCTION pgmaint.ms_text(double precision) IS 'so many milliseconds in the units that people use';

-- What a run's snapshot ends, and what came before: a week where there are
-- snapshots of one, otherwise from the first that is an hour older on, otherwise
-- from when pg_stat_statements began to count.
CREATE FUNCTION pgmaint.run_period(
	run_id bigint,
	OUT since timestamptz,
	OUT until timestamptz,
	OUT before_snapshot bigint,
	OUT first_snapshot bigint,
	OUT last_snapshot bigint
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT greatest(f.taken_at, l.counted_since), l.taken_at, b.snapshot_id, f.snapshot_id, l.snapshot_id
	FROM pgmaint.runs r
	CROSS JOIN LATERAL (
		SELECT s.snapshot_id, s.taken_at, s.counted_since
		FROM pgmaint.statement_snapshots s
		WHERE s.taken_at <= coalesce(r.finished_at, clock_timestamp())
			AND s.taken_at > coalesce(r.started_at, r.requested_at) - interval '1 day'
		ORDER BY s.taken_at DESC
		LIMIT 1
	) l
	LEFT JOIN LATERAL (
		SELECT s.snapshot_id, s.taken_at
		FROM pgmaint.statement_snapshots s
		WHERE s.taken_at <= l.taken_at - interval '1 hour'
		ORDER BY CASE WHEN s.taken_at <= l.taken_at - interval '7 days' THEN s.taken_at END DESC NULLS LAST, s.taken_at
		LIMIT 1
	) f ON true
	LEFT JOIN LATERAL (
		SELECT s.snapshot_id
		FROM pgmaint.statement_snapshots s
		WHERE s.taken_at <= f.taken_at - (l.taken_at - f.taken_at)
		ORDER BY s.taken_at DESC
		LIMIT 1
	) b ON true
	WHERE r.run_id = run_period.run_id;
END;

COMMENT ON FUNCTION pgmaint.run_period(bigint) IS
	'the snapshots of statements that a run is judged by: the last one of the run, one from a week before, and one from as long before that';

-- A text, and a plan, is for those to whom pg_stat_statements shows it.  It knows no
-- constants, except in commands that set a password.
CREATE FUNCTION pgmaint.html_queries(run_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH period AS MATERIALIZED (
		SELECT p.* FROM pgmaint.run_period(html_queries.run_id) p WHERE p.last_snapshot IS NOT NULL
	),
	now AS MATERIALIZED (
		SELECT c.*, c.total_ms / c.calls AS mean, pgmaint.is_own_statement(c.query) AS ours
		FROM period p
		CROSS JOIN LATERAL pgmaint.statement_changes(p.first_snapshot, p.last_snapshot) c
	),
	before AS MATERIALIZED (
		SELECT c.userid, c.toplevel, c.queryid, c.total_ms / c.calls AS mean
		FROM period p
		CROSS JOIN LATERAL pgmaint.statement_changes(p.before_snapshot, p.first_snapshot) c
		WHERE p.first_snapshot IS NOT NULL
	),
	-- what is nested in others is part of their time
	whole AS (
		SELECT
			count(*) AS statements,
			count(*) FILTER (WHERE NOT n.ours) AS shown,
			sum(n.total_ms) FILTER (WHERE n.toplevel) AS total_ms,
			sum(n.total_ms) FILTER (WHERE n.toplevel AND n.ours) AS our_ms
		FROM now n
	),
	worst AS (
		SELECT
			n.*,
			b.mean AS mean_before,
			round((100 * (n.mean / nullif(b.mean, 0) - 1))::numeric) AS change,
			row_number() OVER (ORDER BY n.total_ms DESC, n.queryid, n.userid) AS nth
		FROM now n
		LEFT JOIN before b ON b.queryid = n.queryid AND b.userid = n.userid AND b.toplevel = n.toplevel
		WHERE NOT n.ours
	),
	told AS (
		SELECT
			w.*,
			CASE
				WHEN NOT m.may_read THEN '<span class="soft">the text is for members of pg_read_all_stats</span>'
				WHEN w.query IS NULL THEN '<span class="soft">pg_stat_statements does not have the text</span>'
				WHEN w.query ~* E'\\mpassword' AND w.query !~* E'^\\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES)\\M'
					THEN '<span class="soft">the text is left out, since it may hold a password</span>'
				ELSE format('<code>%s</code>', pgmaint.html_text(pgmaint.short_query(w.query, 240)))
			END AS text,
			(SELECT q.outline FROM pgmaint.query_plans q WHERE m.may_read AND q.queryid = w.queryid AND q.userid = w.userid
				ORDER BY q.last_seen_at DESC, q.plan_id DESC LIMIT 1) AS outline
		FROM worst w
		CROSS JOIN LATERAL (
			SELECT pg_has_role('pg_read_all_stats', 'USAGE') OR w.userid = (SELECT a.oid FROM pg_roles a WHERE a.rolname = current_user) AS may_read
		) m
		WHERE w.nth <= 10
	)
	SELECT pgmaint.html_section('queries', 'Slow queries', concat(
		format('<p>From %s until %s, %s %s took <span class="nowrap">%s</span> in all%s.', pgmaint.html_time(p.since), pgmaint.html_time(p.until),
			pgmaint.count_text(h.statements), CASE WHEN h.statements = 1 THEN 'statement' ELSE 'statements' END, pgmaint.ms_text(coalesce(h.total_ms, 0)),
			', of which <span class="nowrap">' || pgmaint.ms_text(h.our_ms) || '</span> were pgmaint''s own, and are not shown'),
		CASE WHEN p.first_snapshot IS NULL THEN ' There is nothing before that to compare with.' END,
		E'</p>\n',
		(SELECT pgmaint.html_table(CASE WHEN h.shown > 10 THEN 'The ten that took most of it' ELSE 'What took most of it first' END,
			CASE WHEN p.first_snapshot IS NULL THEN ARRAY['Query', 'Role', '#Share', '#Calls', '#Mean']
				ELSE ARRAY['Query', 'Role', '#Share', '#Calls', '#Mean', '#Before', '#Change'] END,
			array_agg(ARRAY[
				concat(t.text, '<details><summary>how it is planned</summary><pre>' || pgmaint.html_text(t.outline) || '</pre></details>'),
				pgmaint.html_name(pg_get_userbyid(t.userid)::text, 'span'),
				round((100 * t.total_ms / nullif(h.total_ms, 0))::numeric, 1) || ' %',
				pgmaint.count_text(t.calls),
				pgmaint.ms_text(t.mean)] || CASE WHEN p.first_snapshot IS NULL THEN '{}' ELSE ARRAY[
				pgmaint.ms_text(t.mean_before),
				CASE WHEN t.mean_before IS NULL THEN '<span class="soft">new</span>' WHEN t.change >= 100 THEN format('<b class="bad">+%s %%</b>', t.change)
					ELSE format('%s%s %%', CASE WHEN t.change > 0 THEN '+' ELSE '' END, t.change) END] END ORDER BY t.nth))
		FROM told t)))
	FROM period p
	CROSS JOIN whole h
	WHERE h.shown > 0;
END;

COMMENT ON FUNCTION pgmaint.html_queries(bigint) IS 'the queries that took most of the time before a run, and how that had changed';

-- What was advised before the last review, but not by it, is not needed any more.
CREATE FUNCTION pgmaint.html_advice()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH reviewed AS (
		SELECT max(t.started_at) AS last
		FROM pgmaint.tasks t
		WHERE t.action = 'index_advice' AND t.state = 'succeeded' AND t.result ? 'reviewed'
	),
	advised AS (
		SELECT
			a.*,
			c.relname,
			a.last_given_at < r.last AS past,
			row_number() OVER (ORDER BY a."index" IS NOT NULL, a.last_given_at < r.last, a.gain_ms_per_day DESC, a.advice_id) AS nth,
			count(*) OVER () AS total
		FROM pgmaint.index_advices a
		CROSS JOIN reviewed r
		LEFT JOIN pg_class c ON c.oid = a."index"
	)
	SELECT pgmaint.html_section('advice', 'Index advice', concat(
		pgmaint.html_table(CASE WHEN min(a.total) > 20 THEN format('20 of %s indexes that were advised', pgmaint.count_text(min(a.total)))
				ELSE 'Indexes that were advised; pgmaint makes none' END, ARRAY['Command', '#Saves a day', '#Size', '#Queries', 'Advised', 'What became of it'],
			array_agg(ARRAY[
				CASE WHEN pgmaint.may_be_copied(a.statement) THEN format('<code>%s;</code>', replace(pgmaint.html_text(a.statement), E'\n', '<br/>'))
					ELSE format('on <code>%s</code>; the command, in <code>pgmaint.index_advices</code>, has names with line breaks', pgmaint.html_text(pgmaint.one_line(a.object))) END,
				pgmaint.ms_text(a.gain_ms_per_day),
				pg_size_pretty(a.index_bytes),
				pgmaint.count_text(cardinality(a.query_ids)),
				pgmaint.html_time(a.last_given_at),
				CASE
					WHEN a."index" IS NULL AND a.past THEN '<span class="soft">not made, and not advised any more</span>'
					WHEN a."index" IS NULL THEN pgmaint.html_state('plain', 'not made')
					ELSE concat(
						CASE a.outcome
							WHEN 'helped' THEN pgmaint.html_state('ok', 'helped')
							WHEN 'no help' THEN pgmaint.html_state('warning', 'did not help')
							WHEN 'not used' THEN pgmaint.html_state('warning', 'never read: consider dropping it')
							ELSE pgmaint.html_state('plain', 'made, not judged yet') END,
						format('<br/>index <code>%s</code>', pgmaint.html_text(a.relname)),
						CASE WHEN a.outcome IN ('helped', 'no help') THEN format(': %s a call, %s before',
							pgmaint.ms_text(a.mean_ms_after), pgmaint.ms_text(a.mean_ms_before)) END) END
			] ORDER BY a.nth) FILTER (WHERE a.nth <= 20)),
		CASE WHEN min(a.total) > 20 THEN format(E'<p>%s more: <code>SELECT * FROM pgmaint.index_advices</code></p>\n', pgmaint.count_text(min(a.total) - 20)) END))
	FROM advised a
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint.html_advice() IS 'which indexes were advised, whether they were made, and whether they helped';

REVOKE ALL ON FUNCTION
	pgmaint.ms_text(double precision),
	pgmaint.run_period(bigint),
	pgmaint.html_queries(bigint),
	pgmaint.html_advice()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint.ms_text(double precision),
	pgmaint.run_period(bigint),
	pgmaint.html_queries(bigint),
	pgmaint.html_advice()
TO pg_monitor;
-- The parts of the page of report_html() that are about how things went over
-- time.  Each is null where there is nothing to tell.

CREATE FUNCTION pgmaint.html_bloat()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH latest AS (
		SELECT
			l.*,
			row_number() OVER (ORDER BY l.bloat_bytes DESC, l.relation) AS nth,
			row_number() OVER (PARTITION BY l.kind ORDER BY l.bloat_bytes DESC, l.relation) AS nth_of_kind,
			count(*) OVER () AS total
		FROM (
			SELECT x.*
			FROM pg_class c
			CROSS JOIN LATERAL (
				SELECT m.*
				FROM pgmaint.bloat_measurements m
				WHERE m.relation = c.oid
				ORDER BY m.measured_at DESC
				LIMIT 1
			) x
		) l
	),
	plots AS (
		SELECT l.kind, l.nth, concat(
			format('<figure><figcaption><b>%s</b>: %s of %s are bloat (%s %%)', pgmaint.html_text(pgmaint.one_line(l.object)),
				pg_size_pretty(l.bloat_bytes), pg_size_pretty(l.total_bytes), round((100 * l.bloat_ratio)::numeric, 1)),
			CASE WHEN h.times = 1 THEN ', measured once' END,
			E'</figcaption>\n',
			pgmaint.svg_series('bloat-' || l.nth, format('Bloat of %s over time', l.object),
				format('Measured %s, between %s and %s. Bloat was %s at first, and is %s of %s.', CASE WHEN h.times = 1 THEN 'once' ELSE h.times || ' times' END,
					to_char(h.since, 'YYYY-MM-DD'), to_char(l.measured_at, 'YYYY-MM-DD'),
					pg_size_pretty(h.first_bloat), pg_size_pretty(l.bloat_bytes), pg_size_pretty(l.total_bytes)),
				'bytes', ARRAY['bloat', 'size'], jsonb_build_array(h.bloat, h.size)),
			E'</figure>\n') AS plot
		FROM latest l
		CROSS JOIN LATERAL (
			SELECT
				count(*) AS times,
				min(m.measured_at) AS since,
				(array_agg(m.bloat_bytes ORDER BY m.measured_at))[1] AS first_bloat,
				jsonb_agg(jsonb_build_object('at', extract(epoch FROM m.measured_at), 'value', m.bloat_bytes)) AS bloat,
				jsonb_agg(jsonb_build_object('at', extract(epoch FROM m.measured_at), 'value', m.total_bytes)) AS size
			FROM pgmaint.bloat_measurements m
			WHERE m.relation = l.relation
		) h
		WHERE l.nth_of_kind <= 3 AND l.bloat_bytes > 0
	)
	SELECT pgmaint.html_section('bloat', 'Bloat', concat(
		pgmaint.html_table(CASE WHEN min(l.total) > 15 THEN format('The 15 of %s measured tables and indexes with most bloat, when they were last measured', pgmaint.count_text(min(l.total)))
				ELSE 'Tables and indexes when they were last measured' END, ARRAY['Object', 'Kind', '#Bloat', '#Of', '#Share', 'Measured'],
			array_agg(ARRAY[
				pgmaint.html_name(l.object),
				pgmaint.html_name(l.kind, 'span'),
				pg_size_pretty(l.bloat_bytes),
				pg_size_pretty(l.total_bytes),
				format('%s &#177; %s %%', round((100 * l.bloat_ratio)::numeric, 1), round((100 * l.margin)::numeric, 1)),
				pgmaint.html_time(l.measured_at)
			] ORDER BY l.nth) FILTER (WHERE l.nth <= 15)),
		(SELECT concat(
			'<ul class="legend"><li><svg aria-hidden="true" viewBox="0 0 14 14"><rect class="area" width="14" height="14"/><path class="line s1" d="M0,2H14"/></svg>bloat</li>',
			'<li><svg aria-hidden="true" viewBox="0 0 14 14"><path class="line s2" d="M0,7H14"/></svg>size</li></ul>', E'\n',
			string_agg(k.plots, '' ORDER BY k.kind DESC))
		FROM (
			SELECT p.kind, format(E'<h3>%s with most bloat over time</h3>\n<div class="charts">\n%s</div>\n',
				CASE p.kind WHEN 'table' THEN 'Tables' ELSE 'Indexes' END, string_agg(p.plot, '' ORDER BY p.nth)) AS plots
			FROM plots p
			GROUP BY p.kind
		) k
		HAVING count(*) > 0)))
	FROM latest l
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint.html_bloat() IS 'the bloat that was measured, now and over time';

CREATE FUNCTION pgmaint.html_backups()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH made AS (
		SELECT
			b.*,
			b.database || CASE WHEN b.selection IS NULL THEN '' ELSE ' (parts)' END AS what,
			concat(pgmaint.duration_text(extract(epoch FROM b.restore_duration)),
				' (' || replace(split_part(pgmaint.one_line(b.restore_settings), ',', 1), ':', ',') || ')') AS restored_in
		FROM pgmaint.backups b
		WHERE b.kind = 'database'
	),
	series AS (
		SELECT
			m.what,
			row_number() OVER (ORDER BY max(m.bytes) FILTER (WHERE m.state = 'succeeded') DESC NULLS LAST, m.what) AS nth,
			count(*) OVER () AS total,
			count(*) FILTER (WHERE m.state = 'succeeded') AS there,
			sum(m.bytes) FILTER (WHERE m.state = 'succeeded') AS bytes,
			count(*) FILTER (WHERE m.state IN ('failed', 'interrupted')) AS failed,
			max(m.started_at) FILTER (WHERE m.state IN ('failed', 'interrupted')) AS failed_at,
			max(m.backup_id) FILTER (WHERE m.state = 'succeeded') AS newest,
			max(m.verified_at) AS verified_at,
			(array_agg(m.restored_in ORDER BY m.verified_at DESC NULLS LAST) FILTER (WHERE m.restore_duration IS NOT NULL))[1] AS restored_in,
			(array_agg(m.safe_restore_duration ORDER BY m.safe_restored_at DESC) FILTER (WHERE m.safe_restore_duration IS NOT NULL))[1] AS safe_restore_duration,
			jsonb_agg(jsonb_build_object('at', extract(epoch FROM m.started_at), 'value', m.bytes)) FILTER (WHERE m.finished_at IS NOT NULL) AS sizes,
			jsonb_agg(jsonb_build_object('at', extract(epoch FROM m.started_at), 'value', extract(epoch FROM m.finished_at - m.started_at)))
				FILTER (WHERE m.bytes IS NOT NULL) AS durations,
			jsonb_agg(jsonb_build_object('at', extract(epoch FROM coalesce(m.verified_at, m.started_at)), 'value', extract(epoch FROM m.restore_duration)))
				FILTER (WHERE m.restore_duration IS NOT NULL) AS restores
		FROM made m
		GROUP BY m.what
	)
	SELECT pgmaint.html_section('backups', 'Backups', concat(
		pgmaint.html_table(CASE WHEN min(s.total) > 20 THEN format('20 of %s databases: the newest backup of each', min(s.total)) ELSE 'The newest backup of each database' END,
			ARRAY['Database', 'Newest', '#Size', '#Took', 'Proven', '#Kept', '#Failed'],
			array_agg(ARRAY[
				pgmaint.html_name(s.what, 'span'),
				coalesce(pgmaint.html_time(n.started_at), 'none'),
				pg_size_pretty(n.bytes),
				pgmaint.duration_text(extract(epoch FROM n.finished_at - n.started_at)),
				CASE WHEN n.verification = 'not restorable' THEN pgmaint.html_state('not restorable') || ' '
					WHEN s.verified_at IS NULL THEN pgmaint.html_state('warning', 'never') ELSE '' END || coalesce(pgmaint.html_time(s.verified_at), '')
					|| coalesce(', restored in ' || pgmaint.html_text(s.restored_in), ''),
				concat_ws(', ', pgmaint.count_text(s.there), pg_size_pretty(s.bytes)),
				CASE WHEN s.failed > 0 THEN format('<b class="bad">%s</b>', pgmaint.count_text(s.failed)) END
			] ORDER BY s.nth) FILTER (WHERE s.nth <= 20)),
		string_agg(concat(
			format(E'<h3>%s over time</h3>\n<div class="charts">\n', pgmaint.html_text(s.what)),
			'<figure><figcaption>Size of the backups</figcaption>', pgmaint.svg_series('backup-size-' || s.nth, format('Size of the backups of %s', s.what),
				format('The newest has %s.', pg_size_pretty(n.bytes)), 'bytes', ARRAY['size'], jsonb_build_array(coalesce(s.sizes, '[]'))), E'</figure>\n',
			'<figure><figcaption>How long they took: ',
			'<svg class="key" aria-hidden="true" viewBox="0 0 14 14"><path class="line s1" d="M0,7H14"/></svg> to make',
			CASE WHEN s.restores IS NOT NULL THEN ', <svg class="key" aria-hidden="true" viewBox="0 0 14 14"><path class="line s2" d="M0,7H14"/></svg> to restore when they were proven' END,
			'</figcaption>', pgmaint.svg_series('backup-time-' || s.nth, format('How long backups of %s and proving them by restoring took', s.what),
				concat_ws(' ', format('The newest took %s.', pgmaint.duration_text(extract(epoch FROM n.finished_at - n.started_at))),
					'Restoring one to prove it took ' || s.restored_in || '.',
					'Restoring one in this server, with fsync on, took ' || pgmaint.duration_text(extract(epoch FROM s.safe_restore_duration)) || '.'),
				'seconds', ARRAY['backup', 'restore'], jsonb_build_array(coalesce(s.durations, '[]'), coalesce(s.restores, '[]'))), E'</figure>\n</div>\n'),
			'' ORDER BY s.nth) FILTER (WHERE s.nth <= 4 AND s.sizes IS NOT NULL)))
	FROM series s
	LEFT JOIN pgmaint.backups n ON n.backup_id = s.newest
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint.html_backups() IS 'the backups of each database: size, time to make, time to restore, now and over time';

CREATE FUNCTION pgmaint.html_retention()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH archived AS (
		SELECT
			a.policy_id,
			max(a.relation) AS relation,
			string_agg(DISTINCT a.storage::text, ', ') AS storages,
			count(*) AS objects,
			sum(a.rows)::bigint AS rows,
			sum(a.bytes)::bigint AS bytes,
			min(a.range_from) AS range_from,
			max(a.range_to) AS range_to
		FROM pgmaint.archives a
		GROUP BY a.policy_id
	),
	told AS (
		SELECT
			coalesce(p.relation::text, a.relation) AS relation,
			CASE WHEN p.policy_id IS NULL THEN 'no policy any more' ELSE p.keep::text END AS keep,
			CASE WHEN NOT p.archive THEN 'not archived' ELSE coalesce(a.storages, p.storage::text) END AS storages,
			a.objects,
			a.rows,
			a.bytes,
			a.range_from,
			a.range_to
		FROM pgmaint.retention_policies p
		FULL JOIN archived a ON a.policy_id = p.policy_id
	)
	SELECT pgmaint.html_section('retention', 'Retention', concat(
		pgmaint.html_table('What is aged out, and what has been archived', ARRAY['Table', 'Kept for', 'Archived in', '#Rows', '#Size', '#Objects', 'From', 'Until'],
			(array_agg(ARRAY[
				pgmaint.html_name(t.relation),
				pgmaint.html_name(t.keep, 'span'),
				pgmaint.html_name(t.storages, 'span'),
				pgmaint.count_text(t.rows),
				pg_size_pretty(t.bytes),
				pgmaint.count_text(t.objects),
				pgmaint.html_time(t.range_from),
				pgmaint.html_time(t.range_to)
			] ORDER BY t.bytes DESC NULLS LAST, t.relation))[1 : 50]),
		CASE WHEN count(*) > 50 THEN format(E'<p>%s more: <code>SELECT * FROM pgmaint.retention_policies</code></p>\n', count(*) - 50) END,
		CASE WHEN sum(t.rows) > 0 THEN format(E'<p>In all, %s rows in %s on storages.</p>\n', pgmaint.count_text(sum(t.rows)::bigint), pg_size_pretty(sum(t.bytes))) END))
	FROM told t
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint.html_retention() IS 'what is aged out, and what has been archived';

REVOKE ALL ON FUNCTION pgmaint.html_bloat(), pgmaint.html_backups(), pgmaint.html_retention() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.html_bloat(), pgmaint.html_backups(), pgmaint.html_retention() TO pg_monitor;
-- What a run did, and how things stand, as one page that needs nothing else.

CREATE FUNCTION pgmaint.report_html(run_id bigint DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
-- to compile its expressions would take longer than to evaluate them
SET jit = off
AS $$
DECLARE
	chosen bigint := coalesce(report_html.run_id, (SELECT max(r.run_id) FROM pgmaint.runs r));
	style text := pgmaint.html_style();
	title text;
	head text;
	main text;
	contents text;
	tasks record;
BEGIN
	IF report_html.run_id IS NOT NULL AND NOT EXISTS (SELECT FROM pgmaint.runs r WHERE r.run_id = chosen) THEN
		RAISE EXCEPTION 'run % does not exist', chosen
			USING ERRCODE = 'undefined_object',
				HINT = 'SELECT run_id, plan, state, requested_at FROM pgmaint.runs lists the runs.';
	END IF;
	head := coalesce(pgmaint.html_run(chosen), format(
		E'<header>\n<p class="kind">pgmaint</p>\n<h1>No run yet</h1>\n<p class="lead">There has been no run in database %s yet. '
		'<code>SELECT pgmaint.run(''weekly'')</code> begins one.</p>\n</header>\n', pgmaint.html_text(current_database())));
	SELECT t.* INTO tasks FROM pgmaint.html_tasks(chosen) t;
	main := concat(
		pgmaint.html_findings(chosen),
		tasks.not_done,
		pgmaint.html_steps(chosen),
		pgmaint.html_checks(),
		pgmaint.html_queries(chosen),
		pgmaint.html_advice(),
		pgmaint.html_bloat(),
		pgmaint.html_backups(),
		pgmaint.html_retention(),
		tasks.done);
	SELECT format(E'<nav aria-label="Contents"><ul>%s</ul></nav>\n', string_agg(format('<li><a href="#%s">%s</a></li>', h.parts[1], h.parts[2]), '' ORDER BY h.nth))
	INTO contents
	FROM regexp_matches(main, '<h2 id="([a-z-]+)">([^<]*)</h2>', 'g') WITH ORDINALITY AS h (parts, nth);
	title := coalesce((SELECT format('%s %s: run %s, %s', r.plan, r.state, r.run_id, current_database()) FROM pgmaint.runs r WHERE r.run_id = chosen),
		format('No run yet, %s', current_database()));
	RETURN concat(
		E'<!DOCTYPE html>\n<html lang="en">\n<head>\n',
		-- that in which psql will write it
		format(E'<meta charset="%s"/>\n', pgmaint.html_charset()),
		format(E'<meta http-equiv="Content-Security-Policy" content="default-src ''none''; img-src data:; style-src ''sha256-%s''"/>\n',
			encode(sha256(convert_to(style, 'UTF8')), 'base64')),
		E'<meta name="viewport" content="width=device-width, initial-scale=1"/>\n<meta name="color-scheme" content="light dark"/>\n',
		E'<link rel="icon" href="data:,"/>\n',
		format(E'<title>%s</title>\n', pgmaint.html_text(pgmaint.one_line(title))),
		'<style>', style, E'</style>\n</head>\n<body>\n<a class="skip" href="#content">To the content</a>\n',
		head, contents, E'<main id="content">\n', main, E'</main>\n',
		format(E'<footer>Made by pgmaint %s at %s in database %s.</footer>\n</body>\n</html>\n',
			(SELECT e.extversion FROM pg_extension e WHERE e.extname = 'pgmaint'), pgmaint.html_time(clock_timestamp()), pgmaint.html_text(current_database())));
END
$$;

COMMENT ON FUNCTION pgmaint.report_html(bigint) IS
	'what a run did, what it found, and how queries, bloat, backups and archives stand, as a page of HTML that needs nothing else; the latest run if none is named';

REVOKE ALL ON FUNCTION pgmaint.report_html(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.report_html(bigint) TO pg_monitor;
-- What a monitoring system reads, in the naming of Prometheus: base units, times
-- as seconds since 1970, few values for each label.

CREATE FUNCTION pgmaint.metric_families()
RETURNS TABLE (name text, type text, help text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 30
BEGIN ATOMIC
	VALUES
		('pgmaint_info'::text, 'gauge'::text, 'The version of pgmaint; always 1.'::text),
		('pgmaint_runs', 'gauge', 'Runs in the ledger, which keeps them for pgmaint.keep_history.'),
		('pgmaint_last_run_start_timestamp_seconds', 'gauge', 'When the last run of a plan that has ended began.'),
		('pgmaint_last_run_duration_seconds', 'gauge', 'How long the last run of a plan that has ended took.'),
		('pgmaint_last_run_success', 'gauge', 'Whether the last run of a plan that has ended succeeded: 1 or 0.'),
		('pgmaint_last_run_tasks', 'gauge', 'Tasks of the last run of a plan that has ended.'),
		('pgmaint_last_run_findings', 'gauge', 'Findings of the last run of a plan that has ended.'),
		('pgmaint_last_run_returned_bytes', 'gauge', 'Bytes that the last run of a plan that has ended returned to the file system.'),
		('pgmaint_last_success_timestamp_seconds', 'gauge', 'When the last run of a plan that succeeded ended.'),
		('pgmaint_archived_rows_total', 'counter', 'Rows that were archived from a table and deleted.'),
		('pgmaint_archived_bytes_total', 'counter', 'Size of the objects with the rows that were archived from a table.'),
		('pgmaint_bloat_bytes', 'gauge', 'Bloat of the 50 tables and indexes with most of it, when they were last measured.'),
		('pgmaint_bloat_ratio', 'gauge', 'Bloat of these as a share of their size, 0 to 1.'),
		('pgmaint_backups', 'gauge', 'Backups of a whole database in the ledger.'),
		('pgmaint_backup_start_timestamp_seconds', 'gauge', 'When the newest backup of a whole database that is there was begun.'),
		('pgmaint_backup_bytes', 'gauge', 'Size of the newest backup of a whole database.'),
		('pgmaint_backup_duration_seconds', 'gauge', 'How long the newest backup of a whole database took.'),
		('pgmaint_backup_verified_timestamp_seconds', 'gauge', 'When a backup of a whole database was last restored to prove it.'),
		('pgmaint_backup_restore_duration_seconds', 'gauge', 'How long the last proof of a backup of a whole database took to restore it, which may be faster than in an emergency.'),
		('pgmaint_backup_safe_restore_duration_seconds', 'gauge', 'How long the last restore of a backup of a whole database in this live server with fsync on took.'),
		('pgmaint_schedule_late_seconds', 'gauge', 'For how long a scheduled run has been due and not begun; 0 if none is.'),
		('pgmaint_troubles', 'gauge', 'Troubles that findings are about and that are not resolved.'),
		('pgmaint_unsent_messages', 'gauge', 'Messages to contacts that wait to be sent, or could not be sent so far.'),
		('pgmaint_oldest_unsent_message_age_seconds', 'gauge', 'How old the oldest message to a contact is that was not sent so far; 0 if there is none.'),
		('pgmaint_check_status', 'gauge', 'What the action validate last found in a check: 0 ok, 1 warning, 2 critical.'),
		('pgmaint_last_validation_timestamp_seconds', 'gauge', 'When the action validate last made its checks.'),
		('pgmaint_transaction_id_age', 'gauge', 'Transactions since the oldest unfrozen transaction ID of a database.'),
		('pgmaint_multixact_id_age', 'gauge', 'Multixacts since the oldest multixact ID of a database.');
END;

COMMENT ON FUNCTION pgmaint.metric_families() IS 'the names that pgmaint.metrics has, with their types and what they mean';

CREATE VIEW pgmaint.metrics AS
WITH last_runs AS MATERIALIZED (
	SELECT DISTINCT ON (r.plan) r.plan, r.run_id, r.state, r.started_at, r.finished_at
	FROM pgmaint.runs r
	WHERE r.finished_at IS NOT NULL AND r.started_at IS NOT NULL
	ORDER BY r.plan, r.run_id DESC
),
bloat AS (
	SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS object, m.kind, m.bloat_bytes, m.bloat_ratio
	FROM (
		SELECT b.relation, b.kind, b.bloat_bytes, b.bloat_ratio
		FROM pgmaint.latest_bloat b
		ORDER BY b.bloat_bytes DESC, b.relation
		LIMIT 50
	) m
	JOIN pg_catalog.pg_class c ON c.oid = m.relation
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
),
backups AS MATERIALIZED (
	SELECT b.database, b.state, b.backup_id, b.started_at, b.finished_at, b.bytes, b.verified_at, b.restore_duration,
		b.safe_restored_at, b.safe_restore_duration
	FROM pgmaint.backups b
	WHERE b.kind = 'database' AND b.selection IS NULL
),
newest_backups AS (
	SELECT DISTINCT ON (b.database) b.*
	FROM backups b
	WHERE b.state = 'succeeded'
	ORDER BY b.database, b.started_at DESC
),
schedules AS (
	SELECT
		s.plan,
		s.scheduled_by,
		CASE WHEN r.busy THEN 0
			ELSE greatest(pg_catalog.extract('epoch', pg_catalog.clock_timestamp()
				- pgmaint.next_run(s.schedule, greatest(r.requested_at, s.scheduled_at))), 0) END AS late
	FROM pgmaint.plan_schedules s
	CROSS JOIN LATERAL (
		SELECT pg_catalog.max(x.requested_at) AS requested_at, coalesce(pg_catalog.bool_or(x.state IN ('queued', 'running')), false) AS busy
		FROM pgmaint.runs x
		WHERE x.plan = s.plan
	) r
	WHERE s.plan <> 'tick' AND s.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
),
unsent AS MATERIALIZED (
	SELECT n.state, n.created_at
	FROM pgmaint.notifications n
	JOIN pgmaint.contacts c ON c.name = n.contact
	WHERE n.state IN ('pending', 'failed')
),
validation AS MATERIALIZED (
	SELECT v.check_id, v.status, v.validated_at
	FROM pgmaint.last_validation v
	WHERE v.identity = (SELECT pgmaint.current_identity())
),
samples (name, labels, value) AS (
	SELECT 'pgmaint_info', pg_catalog.jsonb_build_object('version', e.extversion), 1::double precision
	FROM pg_catalog.pg_extension e
	WHERE e.extname = 'pgmaint'
	UNION ALL
	SELECT 'pgmaint_runs', pg_catalog.jsonb_build_object('plan', r.plan, 'state', r.state), pg_catalog.count(*)
	FROM pgmaint.runs r
	GROUP BY r.plan, r.state
	UNION ALL
	SELECT v.name, pg_catalog.jsonb_build_object('plan', r.plan), v.value
	FROM last_runs r
	CROSS JOIN LATERAL (VALUES
		('pgmaint_last_run_start_timestamp_seconds', pg_catalog.extract('epoch', r.started_at)),
		('pgmaint_last_run_duration_seconds', pg_catalog.extract('epoch', r.finished_at - r.started_at)),
		('pgmaint_last_run_success', (r.state = 'succeeded')::integer),
		('pgmaint_last_run_returned_bytes', (
			SELECT coalesce(pg_catalog.sum(t.returned_bytes), 0)
			FROM pgmaint.task_results t
			WHERE t.run_id = r.run_id AND t.state = 'succeeded'))) AS v (name, value)
	UNION ALL
	SELECT 'pgmaint_last_run_tasks', pg_catalog.jsonb_build_object('plan', r.plan, 'action', t.action, 'state', t.state), t.number
	FROM last_runs r
	-- by the index of each run: a join would read the tasks of all runs
	CROSS JOIN LATERAL (
		SELECT x.action, x.state, pg_catalog.count(*) AS number
		FROM pgmaint.tasks x
		WHERE x.run_id = r.run_id
		GROUP BY x.action, x.state
	) t
	UNION ALL
	SELECT 'pgmaint_last_run_findings', pg_catalog.jsonb_build_object('plan', r.plan, 'severity', s.severity), pg_catalog.count(f.finding_id)
	FROM last_runs r
	CROSS JOIN (VALUES ('critical'), ('warning'), ('info')) AS s (severity)
	LEFT JOIN pgmaint.findings f ON f.run_id = r.run_id AND f.severity = s.severity
	GROUP BY r.plan, s.severity
	UNION ALL
	SELECT 'pgmaint_last_success_timestamp_seconds', pg_catalog.jsonb_build_object('plan', r.plan), pg_catalog.extract('epoch', pg_catalog.max(r.finished_at))
	FROM pgmaint.runs r
	WHERE r.state = 'succeeded'
	GROUP BY r.plan
	UNION ALL
	SELECT v.name, pg_catalog.jsonb_build_object('relation', a.relation), v.value
	FROM (
		SELECT x.relation, pg_catalog.sum(x.rows) AS rows, pg_catalog.sum(x.bytes) AS bytes
		FROM pgmaint.archives x
		GROUP BY x.relation
		ORDER BY 2 DESC, 1
		LIMIT 50
	) a
	CROSS JOIN LATERAL (VALUES ('pgmaint_archived_rows_total', a.rows), ('pgmaint_archived_bytes_total', a.bytes)) AS v (name, value)
	UNION ALL
	SELECT v.name, pg_catalog.jsonb_build_object('object', b.object, 'kind', b.kind), v.value
	FROM bloat b
	CROSS JOIN LATERAL (VALUES ('pgmaint_bloat_bytes', b.bloat_bytes), ('pgmaint_bloat_ratio', b.bloat_ratio)) AS v (name, value)
	UNION ALL
	SELECT 'pgmaint_backups', pg_catalog.jsonb_build_object('database', b.database, 'state', b.state), pg_catalog.count(*)
	FROM backups b
	GROUP BY b.database, b.state
	UNION ALL
	SELECT v.name, pg_catalog.jsonb_build_object('database', b.database), v.value
	FROM newest_backups b
	CROSS JOIN LATERAL (VALUES
		('pgmaint_backup_start_timestamp_seconds', pg_catalog.extract('epoch', b.started_at)),
		('pgmaint_backup_bytes', b.bytes),
		('pgmaint_backup_duration_seconds', pg_catalog.extract('epoch', b.finished_at - b.started_at))) AS v (name, value)
	UNION ALL
	SELECT v.name, pg_catalog.jsonb_build_object('database', b.database), v.value
	FROM (
		SELECT DISTINCT ON (x.database) x.database, x.verified_at, x.restore_duration
		FROM backups x
		WHERE x.verified_at IS NOT NULL
		ORDER BY x.database, x.verified_at DESC
	) b
	CROSS JOIN LATERAL (VALUES
		('pgmaint_backup_verified_timestamp_seconds', pg_catalog.extract('epoch', b.verified_at)),
		('pgmaint_backup_restore_duration_seconds', pg_catalog.extract('epoch', b.restore_duration))) AS v (name, value)
	UNION ALL
	SELECT 'pgmaint_backup_safe_restore_duration_seconds', pg_catalog.jsonb_build_object('database', b.database), pg_catalog.extract('epoch', b.safe_restore_duration)
	FROM (
		SELECT DISTINCT ON (x.database) x.database, x.safe_restore_duration
		FROM backups x
		WHERE x.safe_restored_at IS NOT NULL
		ORDER BY x.database, x.safe_restored_at DESC
	) b
	UNION ALL
	SELECT 'pgmaint_schedule_late_seconds', pg_catalog.jsonb_build_object('plan', s.plan, 'scheduled_by', s.scheduled_by), s.late
	FROM schedules s
	UNION ALL
	SELECT 'pgmaint_troubles', pg_catalog.jsonb_build_object('state', s.state, 'severity', v.severity), pg_catalog.count(e.escalation_id)
	FROM (VALUES ('open'), ('notified'), ('escalated'), ('acknowledged')) AS s (state)
	CROSS JOIN (VALUES ('critical'), ('warning')) AS v (severity)
	LEFT JOIN pgmaint.escalations e ON e.resolved_at IS NULL AND e.state = s.state AND e.severity = v.severity
	GROUP BY s.state, v.severity
	UNION ALL
	SELECT 'pgmaint_unsent_messages', pg_catalog.jsonb_build_object('state', s.state), pg_catalog.count(u.state)
	FROM (VALUES ('pending'), ('failed')) AS s (state)
	LEFT JOIN unsent u ON u.state = s.state
	GROUP BY s.state
	UNION ALL
	SELECT 'pgmaint_oldest_unsent_message_age_seconds', '{}',
		coalesce(greatest(pg_catalog.extract('epoch', pg_catalog.clock_timestamp() - pg_catalog.min(u.created_at)), 0), 0)
	FROM unsent u
	UNION ALL
	SELECT 'pgmaint_check_status', pg_catalog.jsonb_build_object('check', v.check_id),
		CASE v.status WHEN 'ok' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END
	FROM validation v
	UNION ALL
	SELECT 'pgmaint_last_validation_timestamp_seconds', '{}', pg_catalog.extract('epoch', pg_catalog.min(v.validated_at))
	FROM validation v
	UNION ALL
	SELECT v.name, pg_catalog.jsonb_build_object('database', d.datname), v.value
	FROM pg_catalog.pg_database d
	CROSS JOIN LATERAL (VALUES
		('pgmaint_transaction_id_age', pg_catalog.age(d.datfrozenxid)),
		('pgmaint_multixact_id_age', pg_catalog.mxid_age(d.datminmxid))) AS v (name, value)
)
SELECT s.name, s.labels, s.value, f.type, f.help
FROM samples s
JOIN pgmaint.metric_families() f USING (name)
WHERE s.value IS NOT NULL;

COMMENT ON VIEW pgmaint.metrics IS 'what a monitoring system reads, a sample in each row, in the naming of Prometheus';
COMMENT ON COLUMN pgmaint.metrics.type IS 'gauge, or counter for what only grows';

CREATE FUNCTION pgmaint.metrics_text()
RETURNS text
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT string_agg(g.lines, E'\n' ORDER BY g.name)
	FROM (
		SELECT m.name, format(E'# HELP %s %s\n# TYPE %s %s\n', m.name, m.help, m.name, m.type)
			|| string_agg(concat(m.name, '{' || l.labels || '}', ' ', m.value), E'\n' ORDER BY l.labels) AS lines
		FROM pgmaint.metrics m
		CROSS JOIN LATERAL (
			SELECT string_agg(format('%s="%s"', e.key, replace(replace(replace(e.value, E'\\', E'\\\\'), '"', E'\\"'), E'\n', E'\\n')), ',' ORDER BY e.key) AS labels
			FROM jsonb_each_text(m.labels) e
		) l
		GROUP BY m.name, m.help, m.type
	) g;
END;

COMMENT ON FUNCTION pgmaint.metrics_text() IS 'pgmaint.metrics in the text format of Prometheus';

REVOKE ALL ON pgmaint.metrics FROM PUBLIC;
REVOKE ALL ON FUNCTION pgmaint.metric_families(), pgmaint.metrics_text() FROM PUBLIC;
GRANT SELECT ON pgmaint.metrics TO pg_monitor;
GRANT EXECUTE ON FUNCTION pgmaint.metric_families(), pgmaint.metrics_text() TO pg_monitor;
-- ALTER DEFAULT PRIVILEGES of the role that creates the extension has given its
-- tables, sequences and functions to others.  What the parts above grant, they
-- grant to two predefined roles alone.
DO $$
DECLARE
	gift record;
BEGIN
	FOR gift IN
		SELECT DISTINCT x.kind, x.name, coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC') AS grantee
		FROM (SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, c.oid, c.relowner AS owner, c.relacl AS acl,
				CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, c.oid::pg_catalog.regclass::pg_catalog.text AS name
			FROM pg_catalog.pg_class c
			UNION ALL
			SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.proowner, p.proacl,
				'ROUTINE', p.oid::pg_catalog.regprocedure::pg_catalog.text
			FROM pg_catalog.pg_proc p
			UNION ALL
			SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, t.typowner, t.typacl,
				'TYPE', t.oid::pg_catalog.regtype::pg_catalog.text
			FROM pg_catalog.pg_type t) x
		JOIN pg_catalog.pg_depend d ON d.classid = x.class AND d.objid = x.oid AND d.deptype = 'e'
			AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
		JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgmaint'
		CROSS JOIN LATERAL pg_catalog.aclexplode(x.acl) a
		LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
		WHERE a.grantee <> x.owner AND r.rolname IS DISTINCT FROM 'pg_monitor' AND r.rolname IS DISTINCT FROM 'pg_stat_scan_tables'
			AND EXISTS (SELECT FROM pg_catalog.pg_default_acl f CROSS JOIN LATERAL pg_catalog.aclexplode(f.defaclacl) g
				WHERE f.defaclrole = x.owner AND g.grantee = a.grantee)
	LOOP
		CONTINUE WHEN gift.kind = 'TYPE' AND gift.grantee = 'PUBLIC';
		EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s', gift.kind, gift.name, gift.grantee);
	END LOOP;
END
$$;
