-- Schedules: jobs of pg_cron that run plans.

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

COMMENT ON TABLE pgmaint_internal.plan_schedules IS 'schedules that pgmaint has passed to pg_cron; neither these rows nor the jobs of pg_cron are part of a dump';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.plan IS 'name of the plan, or tick';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.scheduled_by IS 'the role that the job connects as';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.schedule IS 'schedule in the syntax of pg_cron';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.options IS 'options of the runs; null: none';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.job_id IS 'number of the job in pg_cron';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.role IS 'OID of the role in scheduled_by';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.database IS 'OID of the database in which the plan was scheduled, to recognize a copy of the database';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.scheduled_at IS 'when this role scheduled the plan with this schedule';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.checked_until IS 'runs that were missed up to this time are in pgmaint.findings';
COMMENT ON COLUMN pgmaint_internal.plan_schedules.noted_at IS 'when a missed run was last recorded; null: never';

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

COMMENT ON FUNCTION pgmaint_internal.default_schedules() IS 'default schedules of the built-in plans and of tick';

CREATE FUNCTION pgmaint.schedule(plan text, schedule text DEFAULT NULL, options jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_schedule';

COMMENT ON FUNCTION pgmaint.schedule(text, text, jsonb) IS
	'Creates the job of pg_cron that runs a plan, or tick, as the current role, and returns the id of the job. A second call for the same plan and role changes the job, and activates it if it was paused. '
	'schedule has the five fields of cron in the time zone of pg_cron (null: the default schedule of the plan). options are those of pgmaint.run(); tick takes none. '
	'Errors: unknown plan or option, an invalid schedule or one that never occurs, a role that cannot log in or has no EXECUTE on the function that the job calls, pg_cron that is not installed or refuses the job.';

CREATE FUNCTION pgmaint.unschedule(plan text, scheduled_by name DEFAULT CURRENT_USER)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_unschedule';

COMMENT ON FUNCTION pgmaint.unschedule(text, name) IS
	'Removes the job of pg_cron for a plan. Returns true, or false if the role had not scheduled the plan. '
	'scheduled_by is the role that scheduled the plan; only superusers may pass a role other than the current one. '
	'Errors: a schedule of another role, pg_cron that is not installed, standby, read-only transaction.';

CREATE FUNCTION pgmaint.schedule_all()
RETURNS TABLE (plan text, schedule text, job_id bigint)
LANGUAGE c VOLATILE ROWS 5 COST 10000
AS 'MODULE_PATHNAME', 'pgmaint_schedule_all';

COMMENT ON FUNCTION pgmaint.schedule_all() IS
	'Schedules the built-in plans and tick as the current role. Schedules that exist already keep their times and options. '
	'Returns a row for each: plan, schedule and job_id, the id of the job of pg_cron. Errors are those of pgmaint.schedule().';

CREATE FUNCTION pgmaint.next_run(schedule text, after timestamptz DEFAULT pg_catalog.clock_timestamp(), timezone text DEFAULT NULL)
RETURNS timestamptz
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_next_run';

COMMENT ON FUNCTION pgmaint.next_run(text, timestamptz, text) IS
	'Returns the next time at which a cron schedule occurs later than "after"; null for @reboot. '
	'timezone is the time zone of the schedule (null: that of pg_cron). Errors: invalid schedule, a schedule that never occurs, unknown time zone.';

CREATE FUNCTION pgmaint_internal.cron_command(plan text, options jsonb)
RETURNS text
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_cron_command';

COMMENT ON FUNCTION pgmaint_internal.cron_command(text, jsonb) IS 'command of the job of pg_cron for a plan; it depends on cron.use_background_workers';

CREATE FUNCTION pgmaint_internal.cron_jobs()
RETURNS jsonb
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_cron_jobs';

COMMENT ON FUNCTION pgmaint_internal.cron_jobs() IS 'jobs of pg_cron for plans of this database that the caller may see; null, with a WARNING, if pg_cron could not be queried';

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
			WHEN a.jobs IS NULL THEN 'pg_cron could not be queried'
			WHEN j.job_id IS NULL THEN 'pg_cron has no such job or hides the job: schedule the plan again'
			WHEN s.plan IS NULL THEN 'job is known to pg_cron only: schedule the plan again, or unschedule it'
			WHEN NOT j.active THEN 'paused in pg_cron'
			WHEN j.schedule <> s.schedule THEN 'schedule was changed in pg_cron: schedule the plan again'
			WHEN j.command <> pgmaint_internal.cron_command(s.plan, s.options) THEN 'job was made for another value of cron.use_background_workers: schedule the plan again'
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
	-- the status in pg_cron counts if the job queued no run
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

COMMENT ON VIEW pgmaint.schedules IS 'schedules of this database: a row for each with its next run, its last run and outcome, and the problem it has; the jobs of pg_cron are read with the rights of the current role';
COMMENT ON COLUMN pgmaint.schedules.plan IS 'name of the plan, or tick';
COMMENT ON COLUMN pgmaint.schedules.schedule IS 'schedule in the syntax of pg_cron, as pg_cron has it; if the job is unknown, as passed to schedule()';
COMMENT ON COLUMN pgmaint.schedules.database IS 'name of this database';
COMMENT ON COLUMN pgmaint.schedules.active IS 'whether pg_cron runs the job; null: pg_cron has no such job, hides the job, or could not be queried';
COMMENT ON COLUMN pgmaint.schedules.next_run IS 'next time of the schedule; null: the job is not active';
COMMENT ON COLUMN pgmaint.schedules.last_run IS 'start of the last run, from pgmaint.runs or from pg_cron, the later of both; null: unknown';
COMMENT ON COLUMN pgmaint.schedules.last_outcome IS 'state and error of the last run; status of the job in pg_cron if the job queued no run; null: unknown';
COMMENT ON COLUMN pgmaint.schedules.scheduled_by IS 'the role that the job connects as';
COMMENT ON COLUMN pgmaint.schedules.job_id IS 'number of the job in pg_cron';
COMMENT ON COLUMN pgmaint.schedules.command IS 'command that the job executes; null: pg_cron has no such job, hides the job, or could not be queried';
COMMENT ON COLUMN pgmaint.schedules.problem IS 'problem of the schedule, with its remedy; null: none';

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
