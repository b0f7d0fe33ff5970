-- Schedules: plans at their times, as jobs of pg_cron.

CREATE TABLE pgmaint_internal.plan_schedules (
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

COMMENT ON TABLE pgmaint_internal.plan_schedules IS 'what pg_cron was told to begin, and when; a dump has neither these rows nor pg_cron''s jobs';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.plan IS 'name of the plan, or tick';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.scheduled_by IS 'the role that the job connects as';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.schedule IS 'when it runs, in the syntax of pg_cron';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.options IS 'options of the runs; null: none';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.job_id IS 'number of the job in pg_cron';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.role IS 'OID of the role in scheduled_by';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.database IS 'OID of the database in which it was scheduled, which tells a copy of it';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.scheduled_at IS 'when it was scheduled with this time by this role';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.checked_until IS 'what was missed up to here is in pgmaint.findings';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.noted_at IS 'when something missed was last noted; null: never';

-- pg_cron's times are GMT unless cron.timezone says otherwise
CREATE FUNCTION pgmaint_internal.default_schedules()
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

COMMENT ON FUNCTION pgmaint_internal.default_schedules() IS 'when the built-in plans run unless told otherwise';

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

CREATE FUNCTION pgmaint_internal.cron_command(plan text, options jsonb)
RETURNS text
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_cron_command';

COMMENT ON FUNCTION pgmaint_internal.cron_command(text, jsonb) IS
	'what pg_cron''s job for a plan executes, in the mode that pg_cron is in';

CREATE FUNCTION pgmaint_internal.cron_jobs()
RETURNS jsonb
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_cron_jobs';

COMMENT ON FUNCTION pgmaint_internal.cron_jobs() IS
	'pg_cron''s jobs for plans of this database, as far as the caller may see them; null, with a warning, if pg_cron cannot be asked';

CREATE VIEW pgmaint.schedules AS
WITH asked AS MATERIALIZED (
	SELECT pgmaint_internal.cron_jobs() AS jobs
),
jobs AS (
	SELECT j.*
	FROM asked
	CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(asked.jobs) AS j (job_id bigint, name text, scheduled_by text,
		schedule text, command text, active boolean, last_start timestamptz, last_status text, last_message text)
),
ours AS (
	SELECT s.*
	FROM pgmaint_internal.plan_schedules s
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
			WHEN j.command <> pgmaint_internal.cron_command(s.plan, s.options) THEN 'made for the other mode of pg_cron: schedule the plan again'
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
COMMENT ON COLUMN pgmaint.schedules.plan IS 'name of the plan, or tick';
COMMENT ON COLUMN pgmaint.schedules.schedule IS 'when it runs, in the syntax of pg_cron: as pg_cron has it, else as schedule() was told';
COMMENT ON COLUMN pgmaint.schedules.database IS 'name of this database';
COMMENT ON COLUMN pgmaint.schedules.active IS 'whether pg_cron runs the job; null: pg_cron has no such job, hides it, or could not be asked';
COMMENT ON COLUMN pgmaint.schedules.next_run IS 'when it comes round next; null: the job is not active';
COMMENT ON COLUMN pgmaint.schedules.last_run IS 'when it last began, as the newest run in pgmaint.runs or pg_cron says; null: not known';
COMMENT ON COLUMN pgmaint.schedules.last_outcome IS 'state of that run, and its error; what pg_cron says where no run came of it; null: not known';
COMMENT ON COLUMN pgmaint.schedules.scheduled_by IS 'the role that the job connects as';
COMMENT ON COLUMN pgmaint.schedules.job_id IS 'number of the job in pg_cron';
COMMENT ON COLUMN pgmaint.schedules.command IS 'what the job executes; null where active is';
COMMENT ON COLUMN pgmaint.schedules.problem IS 'what is wrong with the schedule, and what to do about it; null: nothing';

REVOKE ALL ON pgmaint_internal.plan_schedules, pgmaint.schedules FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint_internal.default_schedules(),
	pgmaint.schedule(text, text, jsonb),
	pgmaint.unschedule(text, name),
	pgmaint.schedule_all(),
	pgmaint.next_run(text, timestamptz, text),
	pgmaint_internal.cron_command(text, jsonb),
	pgmaint_internal.cron_jobs()
FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.plan_schedules, pgmaint.schedules TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.default_schedules(),
	pgmaint.next_run(text, timestamptz, text),
	pgmaint_internal.cron_command(text, jsonb),
	pgmaint_internal.cron_jobs()
TO pg_monitor;
