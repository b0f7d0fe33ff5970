--
-- Plans and actions
--
SET client_min_messages = warning;

SELECT * FROM pgmaint.plans;

-- a step is a name or an object; both are kept as objects
SELECT pgmaint.define_plan('nightly', '["vacuum"]');
SELECT pgmaint.define_plan('nightly', '["bloat_report",
	{"action": "vacuum", "options": {"scope": "all", "freeze": true}},
	{"options": {}, "action": "analyze"}, {"action": "vacuum"}]');
SELECT * FROM pgmaint.plans ORDER BY plan, step;
SELECT plan, steps, defined_by = current_user AS by_me, defined_at > now() - interval '1 hour' AS now
FROM pgmaint.plan_definitions;

-- a user's plan hides a built-in one, and shows it again when it is dropped
SELECT pgmaint.define_plan('weekly', '["analyze"]');
SELECT * FROM pgmaint.plans WHERE plan = 'weekly';
SELECT pgmaint.drop_plan('weekly');
SELECT * FROM pgmaint.plans WHERE plan = 'weekly';
SELECT pgmaint.drop_plan('weekly');

-- any name will do that is not an action's
SELECT pgmaint.define_plan('Wöchentlich "alles"', '["analyze"]');
SELECT plan, action FROM pgmaint.plans WHERE plan LIKE 'W%';
SELECT pgmaint.define_plan('vacuum', '["analyze"]');
SELECT pgmaint.define_plan('', '["analyze"]');
SELECT pgmaint.drop_plan('Wöchentlich "alles"');
SELECT pgmaint.drop_plan('nonsense');
SELECT pgmaint.drop_plan('nightly');
SELECT pgmaint.drop_plan('nightly');

-- null is nothing
SELECT pgmaint.define_plan(NULL, '["analyze"]') IS NULL AS nothing;
SELECT pgmaint.define_plan('nightly', NULL) IS NULL AS nothing;
SELECT pgmaint.drop_plan(NULL) IS NULL AS nothing;
SELECT count(*) FROM pgmaint.plan_definitions;

-- steps that make no sense are refused when they are defined
SELECT pgmaint.define_plan('p', '[]');
SELECT pgmaint.define_plan('p', '{}');
SELECT pgmaint.define_plan('p', '"vacuum"');
SELECT pgmaint.define_plan('p', 'null');
SELECT pgmaint.define_plan('p', '{"action": "vacuum"}');
SELECT pgmaint.define_plan('p', '["vacuum", 1]');
SELECT pgmaint.define_plan('p', '["vacuum", null]');
SELECT pgmaint.define_plan('p', '["vacuum", ["analyze"]]');
SELECT pgmaint.define_plan('p', '["vacuum", {}]');
SELECT pgmaint.define_plan('p', '[{"action": 1}]');
SELECT pgmaint.define_plan('p', '[{"action": "vacuum", "options": []}]');
SELECT pgmaint.define_plan('p', '[{"action": "vacuum", "options": 1}]');
SELECT pgmaint.define_plan('p', '[{"action": "vacuum", "scope": "all"}]');
SELECT pgmaint.define_plan('p', '[{"action": {"action": "vacuum"}}]');
SELECT pgmaint.define_plan('p', '["vacuum", "nonsense"]');
SELECT pgmaint.define_plan('p', '[{"action": "Vacuum"}]');
SELECT pgmaint.define_plan('p', '[{"action": "analyze", "options": {"nonsense": 1}}]');
SELECT pgmaint.define_plan('p', '[{"action": "analyze", "options": {"tables": "nowhere"}}]');
SELECT count(*) FROM pgmaint.plan_definitions;

-- tables are kept by their full names
CREATE SCHEMA "Plan.Schema";
SET search_path = "Plan.Schema";
CREATE TABLE "Tab.le" (id int);
SELECT pgmaint.define_plan('p', '[{"action": "vacuum", "options": {"tables": "\"Tab.le\""}},
	{"action": "analyze", "options": {"tables": ["\"Tab.le\"", "pg_class"], "schemas": "pg_catalog"}}]');
RESET search_path;
SELECT * FROM pgmaint.plans WHERE plan = 'p';
SELECT step, target FROM pgmaint.dry_run('p') ORDER BY step, target;

-- a table that goes away makes the plan fail when it is asked for, and not in the night
DROP TABLE "Plan.Schema"."Tab.le";
SELECT pgmaint.run('p');
SELECT pgmaint.drop_plan('p');
DROP SCHEMA "Plan.Schema";

-- a plan that is rolled back is none
BEGIN;
SELECT pgmaint.define_plan('p', '["vacuum"]');
ROLLBACK;
SELECT * FROM pgmaint.dry_run('p');
SELECT pgmaint.run('p');
SELECT pgmaint.run('Weekly');

-- every action, and every option with what it takes
SELECT action, description FROM pgmaint.actions() WHERE option IS NULL;
SELECT action, option, value, default_value FROM pgmaint.actions() WHERE option IS NOT NULL;
SELECT action, option FROM pgmaint.actions() WHERE description IS NULL OR description = '';
