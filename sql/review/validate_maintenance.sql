-- Checks of maintenance itself.

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('failed_runs', 'warning', '1', 'number', 'the last so many runs of a plan did not succeed'),
	('failed_runs', 'critical', '3', 'number', 'the last so many runs of a plan did not succeed'),
	('schedules', 'warning', '1', 'number', 'so many schedules should have begun a run within the last week, and did not'),
	('nothing_scheduled', 'warning', '1', 'number', 'fewer plans are scheduled')
) AS d (check_id, threshold, value, kind, description);

CREATE FUNCTION pgmaint_internal.validate_maintenance()
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
		pgmaint_internal.expectation('failed_runs', 'fewer than %s in a row'),
		f.plan
	FROM failing f
	UNION ALL
	SELECT 'failed_runs', 'ok',
		CASE WHEN EXISTS (SELECT FROM ended e) THEN 'the last run of every plan has succeeded' ELSE 'nothing was run yet' END,
		pgmaint_internal.expectation('failed_runs', 'fewer than %s in a row'), NULL
	WHERE NOT EXISTS (SELECT FROM failing f)
	UNION ALL
	SELECT
		'schedules',
		pgmaint_internal.judge('schedules', s.missed),
		CASE
			WHEN s.missed > 0 THEN format('did not begin when it was due: %s; see pgmaint.schedules', s.which)
			WHEN s.plans = 0 THEN 'no plan is scheduled'
			ELSE 'every schedule has begun its runs' END,
		pgmaint_internal.expectation('schedules', 'fewer than %s within a week'),
		NULL
	FROM scheduled s
	UNION ALL
	SELECT
		'nothing_scheduled',
		pgmaint_internal.judge_rest('nothing_scheduled', s.plans),
		CASE
			WHEN s.plans = 0 THEN 'no plan is scheduled, so that nothing is maintained unless somebody asks: SELECT * FROM pgmaint.schedule_all()'
			ELSE format('%s scheduled', CASE WHEN s.plans = 1 THEN '1 plan is' ELSE s.plans || ' plans are' END) END,
		pgmaint_internal.expectation('nothing_scheduled', 'at least %s'),
		NULL
	FROM scheduled s;
END;

COMMENT ON FUNCTION pgmaint_internal.validate_maintenance() IS
	'the checks of maintenance itself: runs that failed, schedules that did not begin any';

REVOKE ALL ON FUNCTION pgmaint_internal.validate_maintenance() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.validate_maintenance() TO pg_monitor;
