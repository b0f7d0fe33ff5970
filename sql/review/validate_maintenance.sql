-- Checks of runs and schedules.

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('failed_runs', 'warning', '1', 'number', 'number of runs of a plan in a row that did not succeed'),
	('failed_runs', 'critical', '3', 'number', 'number of runs of a plan in a row that did not succeed'),
	('schedules', 'warning', '1', 'number', 'number of schedules that missed a run within the last week'),
	('nothing_scheduled', 'warning', '1', 'number', 'fewer plans than this are scheduled')
) AS d (check_id, threshold, value, kind, description);

CREATE FUNCTION pgmaint_internal.validate_maintenance()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 5 COST 1000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	-- cancelled runs count neither as success nor as failure; a single action, or
	-- a plan that was dropped since, may never run again
	WITH plans AS (
		SELECT d.plan FROM pgmaint.plan_definitions d
		UNION
		SELECT b.plan FROM pgmaint_internal.built_in_plans() b
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
		FROM pgmaint_internal.plan_schedules s
		WHERE s.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
	)
	SELECT
		'failed_runs',
		pgmaint_internal.judge('failed_runs', f.times),
		format('%s of plan %s did not succeed, the last with: %s', CASE WHEN f.times = 1 THEN 'the last run' ELSE format('the last %s runs', f.times) END,
			f.plan, coalesce(f.error, 'interrupted')) || format('; see pgmaint.report(%s)', f.last_run),
		pgmaint_internal.expectation('failed_runs', 'fewer than %s runs in a row that did not succeed'),
		f.plan
	FROM failing f
	UNION ALL
	SELECT 'failed_runs', 'ok',
		CASE WHEN EXISTS (SELECT FROM ended e) THEN 'the last run of every plan has succeeded' ELSE 'no run has ended yet' END,
		pgmaint_internal.expectation('failed_runs', 'fewer than %s runs in a row that did not succeed'), NULL
	WHERE NOT EXISTS (SELECT FROM failing f)
	UNION ALL
	SELECT
		'schedules',
		pgmaint_internal.judge('schedules', s.missed),
		CASE
			WHEN s.missed > 0 THEN format('scheduled runs were missed: %s; see pgmaint.schedules', s.which)
			WHEN s.plans = 0 THEN 'no plan is scheduled'
			ELSE 'no scheduled run was missed' END,
		pgmaint_internal.expectation('schedules', 'fewer than %s schedules with missed runs within a week'),
		NULL
	FROM scheduled s
	UNION ALL
	SELECT
		'nothing_scheduled',
		pgmaint_internal.judge_rest('nothing_scheduled', s.plans),
		CASE
			WHEN s.plans = 0 THEN 'no plan is scheduled; schedule the built-in plans with SELECT * FROM pgmaint.schedule_all()'
			ELSE format('%s scheduled', CASE WHEN s.plans = 1 THEN '1 plan is' ELSE s.plans || ' plans are' END) END,
		pgmaint_internal.expectation('nothing_scheduled', 'at least %s scheduled plans'),
		NULL
	FROM scheduled s;
END;

COMMENT ON FUNCTION pgmaint_internal.validate_maintenance() IS
	'checks of runs and schedules: runs that did not succeed, schedules that missed runs';

REVOKE ALL ON FUNCTION pgmaint_internal.validate_maintenance() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.validate_maintenance() TO pg_monitor;
