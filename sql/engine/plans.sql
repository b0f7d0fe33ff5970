-- Plans: ordered lists of actions with options.

CREATE TABLE pgmaint.plan_definitions (
	plan text PRIMARY KEY,
	steps jsonb NOT NULL,
	defined_by name NOT NULL,
	defined_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint.plan_definitions IS 'plans that users have defined; a plan with the name of a built-in plan replaces it';
COMMENT ON COLUMN pgmaint.plan_definitions.plan IS 'name of the plan';
COMMENT ON COLUMN pgmaint.plan_definitions.steps IS 'the steps in their order: an array of objects with action and options';
COMMENT ON COLUMN pgmaint.plan_definitions.defined_by IS 'the role that defined the plan last; only roles with its rights may replace or drop it';
COMMENT ON COLUMN pgmaint.plan_definitions.defined_at IS 'when the plan was defined last';

-- dumped and restored with the database
SELECT pg_catalog.pg_extension_config_dump('pgmaint.plan_definitions', '');

CREATE VIEW pgmaint.plans AS
SELECT
	p.plan,
	s.step::integer AS step,
	coalesce(s.definition ->> 'action', s.definition #>> '{}') AS action,
	s.definition -> 'options' AS options,
	p.origin
FROM (
	SELECT d.plan, d.steps, 'user'::text AS origin
	FROM pgmaint.plan_definitions d
	UNION ALL
	SELECT b.plan, b.steps, 'built-in'
	FROM pgmaint_internal.built_in_plans() b
	WHERE NOT EXISTS (SELECT FROM pgmaint.plan_definitions d WHERE d.plan = b.plan)
) p
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(p.steps) WITH ORDINALITY AS s (definition, step)
ORDER BY p.plan, s.step;

COMMENT ON VIEW pgmaint.plans IS 'steps of all plans: a row for each step';
COMMENT ON COLUMN pgmaint.plans.plan IS 'name of the plan';
COMMENT ON COLUMN pgmaint.plans.step IS 'number of the step, from 1';
COMMENT ON COLUMN pgmaint.plans.action IS 'name of the action, see pgmaint.actions()';
COMMENT ON COLUMN pgmaint.plans.options IS 'options of the step; null: the defaults';
COMMENT ON COLUMN pgmaint.plans.origin IS 'user (see pgmaint.plan_definitions), built-in (comes with pgmaint)';

CREATE FUNCTION pgmaint.define_plan(plan text, steps jsonb)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_define_plan';

COMMENT ON FUNCTION pgmaint.define_plan(text, jsonb) IS
	'Defines a plan, or replaces one with the same name. steps is a JSON array of action names, or of objects with "action" and "options", at least one; pgmaint.actions() lists both. '
	'Only members of the role that defined a plan may replace it. Only superusers may define a plan with the name of a built-in plan, which then replaces the built-in plan. '
	'Errors: unknown action or option, a plan name that is empty or the name of an action, a plan that another role has defined or scheduled, standby, read-only transaction.';

CREATE FUNCTION pgmaint.drop_plan(plan text)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_plan';

COMMENT ON FUNCTION pgmaint.drop_plan(text) IS
	'Drops a plan that a user has defined. A built-in plan of the same name is then in effect again. '
	'Only members of the role that defined the plan may drop it. Errors: unknown plan, built-in plan, a plan of another role, standby, read-only transaction.';

CREATE FUNCTION pgmaint.actions()
RETURNS TABLE (action text, option text, value text, default_value text, description text)
LANGUAGE c STABLE ROWS 130 COST 1000
AS 'MODULE_PATHNAME', 'pgmaint_actions';

COMMENT ON FUNCTION pgmaint.actions() IS
	'Lists every action and its options. Returns a row for each action, with null in option, and a row for each of its options: action, option, value (the values that the option takes), default_value (null: none) and description.';

CREATE FUNCTION pgmaint_internal.describe_result(action text, target text, result jsonb)
RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_describe_result';

COMMENT ON FUNCTION pgmaint_internal.describe_result(text, text, jsonb) IS 'outcome of a task, in words, from its action, target and result; null: no such action';

REVOKE ALL ON pgmaint.plan_definitions, pgmaint.plans FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.define_plan(text, jsonb),
	pgmaint.drop_plan(text),
	pgmaint.actions(),
	pgmaint_internal.describe_result(text, text, jsonb)
FROM PUBLIC;
GRANT SELECT ON pgmaint.plan_definitions, pgmaint.plans TO pg_monitor;
GRANT EXECUTE ON FUNCTION pgmaint.actions() TO pg_monitor;
