-- Plans of the queries that take most time, and when they changed.

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

COMMENT ON TABLE pgmaint.query_plans IS 'Generic plans of the queries that took most time, one row for each change of a plan. The action review_queries writes the rows; it plans the queries and executes none.';
COMMENT ON COLUMN pgmaint.query_plans.plan_id IS 'key: number of the plan';
COMMENT ON COLUMN pgmaint.query_plans.queryid IS 'identifier of the query in pg_stat_statements';
COMMENT ON COLUMN pgmaint.query_plans.userid IS 'OID of the role that executed the query';
COMMENT ON COLUMN pgmaint.query_plans.role IS 'name of that role when the plan was first seen; the query was planned with the rights of that role';
COMMENT ON COLUMN pgmaint.query_plans.first_seen_at IS 'when the query first had this plan, after another plan or none';
COMMENT ON COLUMN pgmaint.query_plans.last_seen_at IS 'when the query last had this plan';
COMMENT ON COLUMN pgmaint.query_plans.run_id IS 'the run in pgmaint.runs that last saw the plan; null: the run was removed';
COMMENT ON COLUMN pgmaint.query_plans.cost IS 'total cost in the planner''s units when the plan was last seen';
COMMENT ON COLUMN pgmaint.query_plans.outline IS 'the plan without figures; plans with the same outline are the same';
COMMENT ON COLUMN pgmaint.query_plans.plan IS 'the plan when it was last seen, in the format of EXPLAIN (GENERIC_PLAN, FORMAT JSON)';
COMMENT ON COLUMN pgmaint.query_plans.query IS 'text of the query in pg_stat_statements when the plan was first seen';

-- The search path of new sessions of a role.
CREATE FUNCTION pgmaint_internal.search_path_of(role oid)
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

COMMENT ON FUNCTION pgmaint_internal.search_path_of(oid) IS
	'the search path of new sessions of a role in this database';

CREATE FUNCTION pgmaint_internal.plan_outline(plan jsonb, depth integer DEFAULT 0)
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
			SELECT string_agg(pgmaint_internal.plan_outline(coalesce(e.node -> 'Plan', e.node), depth), E'\n' ORDER BY e.nth)
			FROM jsonb_array_elements(plan) WITH ORDINALITY AS e (node, nth));
	END IF;
	RETURN repeat('  ', depth)
		|| concat_ws(' ', split_part(plan ->> 'Subplan Name', ' (', 1) || ':', plan ->> 'Strategy', plan ->> 'Node Type', plan ->> 'Operation',
			nullif(plan ->> 'Join Type', 'Inner'), 'using ' || (plan ->> 'Index Name'), 'on ' || (plan ->> 'Relation Name'))
		|| coalesce(E'\n' || pgmaint_internal.plan_outline(plan -> 'Plans', depth + 1), '');
END
$$;

COMMENT ON FUNCTION pgmaint_internal.plan_outline(jsonb, integer) IS
	'a plan of EXPLAIN (FORMAT JSON) without figures and conditions';

CREATE FUNCTION pgmaint_internal.keep_query_plan(
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
	outline := pgmaint_internal.plan_outline(keep_query_plan.plan);
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

COMMENT ON FUNCTION pgmaint_internal.keep_query_plan(bigint, oid, text, jsonb, bigint) IS
	'stores a plan, unless it is the one that the query had before; changed_since is when the previous plan was last seen, null where the plan is the same or the first';

REVOKE ALL ON pgmaint.query_plans FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint_internal.search_path_of(oid),
	pgmaint_internal.plan_outline(jsonb, integer),
	pgmaint_internal.keep_query_plan(bigint, oid, text, jsonb, bigint)
FROM PUBLIC;
GRANT SELECT ON pgmaint.query_plans TO pg_monitor;
GRANT EXECUTE ON FUNCTION pgmaint_internal.plan_outline(jsonb, integer) TO pg_monitor;
