-- complain if the script is sourced in psql rather than through CREATE EXTENSION
\echo Use "CREATE EXTENSION pgmaint" to load this file. \quit

-- Everything below is called by its qualified name, with the rights of whoever
-- runs maintenance.  So nobody but the extension's owner may be able to create
-- objects in its schema.
DO $$
DECLARE
	outsider text;
BEGIN
	SELECT pg_catalog.pg_get_userbyid(n.nspowner) INTO outsider
	FROM pg_catalog.pg_namespace n
	WHERE n.nspname OPERATOR(pg_catalog.=) 'pgmaint'
		AND n.nspowner OPERATOR(pg_catalog.<>) (SELECT r.oid FROM pg_catalog.pg_roles r
			WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER);
	IF outsider IS NOT NULL THEN
		RAISE EXCEPTION 'schema "pgmaint" already exists and belongs to role "%"', outsider
			USING ERRCODE = 'invalid_schema_definition',
				HINT = 'Drop or rename that schema, then create the extension again.';
	END IF;
	SELECT coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC') INTO outsider
	FROM pg_catalog.pg_namespace n
	CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) a
	LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) a.grantee
	WHERE n.nspname OPERATOR(pg_catalog.=) 'pgmaint'
		AND a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
		AND a.grantee OPERATOR(pg_catalog.<>) n.nspowner
	LIMIT 1;
	IF outsider IS NOT NULL THEN
		RAISE EXCEPTION 'schema "pgmaint" lets role % create objects in it', outsider
			USING ERRCODE = 'invalid_schema_definition',
				HINT = 'Revoke CREATE on the schema, or drop it, then create the extension again.';
	END IF;
END
$$;

REVOKE ALL ON SCHEMA pgmaint FROM PUBLIC;
COMMENT ON SCHEMA pgmaint IS 'database maintenance: plans, runs, tasks, findings';
-- The ledger: what was asked for, what was done, what a person should know.
-- Only the functions of this extension write it, with its owner's rights.

CREATE TABLE pgmaint.runs (
	run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	plan text NOT NULL,
	options jsonb,
	requested_by name NOT NULL,
	requested_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	started_at timestamptz,
	finished_at timestamptz,
	state text NOT NULL DEFAULT 'queued'
		CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'interrupted')),
	error text,
	role oid NOT NULL,
	database oid NOT NULL,
	steps jsonb NOT NULL,
	current_step integer NOT NULL DEFAULT 0,
	settings jsonb NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX runs_finished ON pgmaint.runs (finished_at);
CREATE INDEX runs_unfinished ON pgmaint.runs (run_id) WHERE state IN ('queued', 'running');

COMMENT ON TABLE pgmaint.runs IS 'one row for each execution of a plan';
COMMENT ON COLUMN pgmaint.runs.options IS 'the options as they were given';
COMMENT ON COLUMN pgmaint.runs.requested_by IS 'the role whose rights the commands of the run have';
COMMENT ON COLUMN pgmaint.runs.state IS 'queued, running, succeeded, failed (a task failed or was stopped), cancelled, interrupted (the server or the leader went away)';
COMMENT ON COLUMN pgmaint.runs.error IS 'why the run did not succeed';
COMMENT ON COLUMN pgmaint.runs.role IS 'OID of the role in requested_by when the run was queued';
COMMENT ON COLUMN pgmaint.runs.database IS 'OID of the database in which the run was queued, which tells a copy of it';
COMMENT ON COLUMN pgmaint.runs.steps IS 'the steps of the plan, with their options, as they were when the run was queued';
COMMENT ON COLUMN pgmaint.runs.current_step IS 'the step that is at work, or was the last';
COMMENT ON COLUMN pgmaint.runs.settings IS 'the pgmaint.* settings of the session that queued the run';

CREATE TABLE pgmaint.tasks (
	task_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	run_id bigint NOT NULL REFERENCES pgmaint.runs ON DELETE CASCADE,
	step integer NOT NULL,
	action text NOT NULL,
	target text NOT NULL,
	command text NOT NULL,
	reason text NOT NULL,
	state text NOT NULL DEFAULT 'pending'
		CHECK (state IN ('pending', 'running', 'succeeded', 'failed', 'skipped', 'cancelled', 'interrupted')),
	attempt integer NOT NULL DEFAULT 0,
	started_at timestamptz,
	finished_at timestamptz,
	bytes_before bigint,
	bytes_after bigint,
	evidence jsonb,
	result jsonb,
	sqlstate text,
	error text,
	relation oid,
	relations oid[] NOT NULL DEFAULT '{}',
	pid integer,
	worker integer,
	not_before timestamptz
) WITH (fillfactor = 70);

CREATE INDEX tasks_run ON pgmaint.tasks (run_id, step, task_id);
CREATE INDEX tasks_finished ON pgmaint.tasks (run_id, finished_at, task_id);
CREATE INDEX tasks_relation ON pgmaint.tasks (relation, action, finished_at);
CREATE INDEX tasks_pending ON pgmaint.tasks (run_id, step, task_id) WHERE state = 'pending';
CREATE INDEX tasks_running ON pgmaint.tasks (run_id, step) WHERE state = 'running';

COMMENT ON TABLE pgmaint.tasks IS 'one row for each command on one object inside a run';
COMMENT ON COLUMN pgmaint.tasks.target IS 'the object, as it was named when the task was planned';
COMMENT ON COLUMN pgmaint.tasks.reason IS 'why the task was planned';
COMMENT ON COLUMN pgmaint.tasks.state IS 'pending, running, succeeded, failed, skipped, cancelled, interrupted';
COMMENT ON COLUMN pgmaint.tasks.attempt IS 'how often the task was begun: more than once where a lock was not to be had';
COMMENT ON COLUMN pgmaint.tasks.bytes_before IS 'size of the object in bytes when the task began';
COMMENT ON COLUMN pgmaint.tasks.bytes_after IS 'size of the object in bytes when the task had succeeded';
COMMENT ON COLUMN pgmaint.tasks.evidence IS 'the figures that the reason rests on';
COMMENT ON COLUMN pgmaint.tasks.result IS 'what the task changed or found';
COMMENT ON COLUMN pgmaint.tasks.sqlstate IS 'SQLSTATE of the error that ended the last attempt';
COMMENT ON COLUMN pgmaint.tasks.error IS 'why the task failed, was skipped or was stopped';
COMMENT ON COLUMN pgmaint.tasks.relation IS 'OID of the object';
COMMENT ON COLUMN pgmaint.tasks.relations IS 'OIDs of all tables that the task works on: no two running tasks share one';
COMMENT ON COLUMN pgmaint.tasks.pid IS 'process of the task worker, while the task runs';
COMMENT ON COLUMN pgmaint.tasks.worker IS 'number of the task worker within its run';
COMMENT ON COLUMN pgmaint.tasks.not_before IS 'when a task that gave way to a lock is tried again';

CREATE TABLE pgmaint.findings (
	finding_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	run_id bigint REFERENCES pgmaint.runs ON DELETE CASCADE,
	check_id text NOT NULL,
	severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
	object text,
	message text NOT NULL,
	detail jsonb,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE INDEX findings_run ON pgmaint.findings (run_id);

COMMENT ON TABLE pgmaint.findings IS 'what a run noticed that a person should know';
COMMENT ON COLUMN pgmaint.findings.check_id IS 'which check it was: F004 table bloat, F005 index bloat, or the name of what pgmaint looked at';
COMMENT ON COLUMN pgmaint.findings.severity IS 'info, warning, critical';

-- A request is a row of its own, so that a session that asks and then idles in
-- its transaction holds no lock on the run.
CREATE TABLE pgmaint.cancellations (
	run_id bigint NOT NULL REFERENCES pgmaint.runs ON DELETE CASCADE,
	requested_by name NOT NULL,
	requested_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE INDEX cancellations_run ON pgmaint.cancellations (run_id);

COMMENT ON TABLE pgmaint.cancellations IS 'who asked for which run to be cancelled';

CREATE TABLE pgmaint.bloat_measurements (
	run_id bigint REFERENCES pgmaint.runs ON DELETE SET NULL,
	measured_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	relation oid NOT NULL,
	object text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('table', 'index')),
	method text NOT NULL,
	total_bytes bigint NOT NULL,
	live_bytes bigint,
	dead_bytes bigint,
	free_bytes bigint,
	bloat_bytes bigint NOT NULL,
	bloat_ratio double precision NOT NULL,
	margin double precision NOT NULL,
	leaf_density double precision,
	sampled_blocks bigint NOT NULL,
	total_blocks bigint NOT NULL
);

CREATE INDEX bloat_measurements_run ON pgmaint.bloat_measurements (run_id);
CREATE INDEX bloat_measurements_time ON pgmaint.bloat_measurements (measured_at);
CREATE INDEX bloat_measurements_relation ON pgmaint.bloat_measurements (relation, measured_at);

COMMENT ON TABLE pgmaint.bloat_measurements IS 'what bloat_report measured, kept so that growth can be seen';
COMMENT ON COLUMN pgmaint.bloat_measurements.method IS 'access method of the table or the index';
COMMENT ON COLUMN pgmaint.bloat_measurements.margin IS '95 % margin of bloat_ratio; 0 where every block was read';

CREATE VIEW pgmaint.bloat_history AS
SELECT
	m.object,
	m.kind,
	m.measured_at,
	pg_catalog.pg_size_pretty(m.total_bytes) AS size,
	pg_catalog.pg_size_pretty(m.bloat_bytes) AS bloat,
	pg_catalog.round((m.bloat_ratio * 100)::numeric, 1) AS bloat_percent,
	pg_catalog.pg_size_pretty(m.total_bytes - pg_catalog.lag(m.total_bytes) OVER history) AS size_growth,
	pg_catalog.pg_size_pretty(m.bloat_bytes - pg_catalog.lag(m.bloat_bytes) OVER history) AS bloat_growth,
	m.total_bytes,
	m.bloat_bytes,
	m.run_id
FROM pgmaint.bloat_measurements m
WINDOW history AS (PARTITION BY m.relation ORDER BY m.measured_at)
ORDER BY m.object, m.measured_at;

COMMENT ON VIEW pgmaint.bloat_history IS 'every measurement of every object, with its growth since the one before';

REVOKE ALL ON pgmaint.runs, pgmaint.tasks, pgmaint.findings, pgmaint.cancellations,
	pgmaint.bloat_measurements, pgmaint.bloat_history FROM PUBLIC;
GRANT USAGE ON SCHEMA pgmaint TO pg_monitor;
GRANT SELECT ON pgmaint.runs, pgmaint.tasks, pgmaint.findings, pgmaint.cancellations,
	pgmaint.bloat_measurements, pgmaint.bloat_history TO pg_monitor;
-- Plans: ordered lists of actions with options.

CREATE TABLE pgmaint.plan_definitions (
	plan text PRIMARY KEY,
	steps jsonb NOT NULL,
	defined_by name NOT NULL,
	defined_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint.plan_definitions IS 'the plans that users defined; one of the name of a built-in plan takes its place';

-- dumped and restored with the database
SELECT pg_catalog.pg_extension_config_dump('pgmaint.plan_definitions', '');

CREATE FUNCTION pgmaint.built_in_plans()
RETURNS TABLE (plan text, steps jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	VALUES ('weekly'::text, '["bloat_report", "vacuum", "analyze"]'::jsonb);
END;

COMMENT ON FUNCTION pgmaint.built_in_plans() IS 'the plans that come with pgmaint';

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
	FROM pgmaint.built_in_plans() b
	WHERE NOT EXISTS (SELECT FROM pgmaint.plan_definitions d WHERE d.plan = b.plan)
) p
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(p.steps) WITH ORDINALITY AS s (definition, step)
ORDER BY p.plan, s.step;

COMMENT ON VIEW pgmaint.plans IS 'every plan''s steps';

CREATE FUNCTION pgmaint.define_plan(plan text, steps jsonb)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_define_plan';

COMMENT ON FUNCTION pgmaint.define_plan(text, jsonb) IS
	'define or replace a plan: steps is an array of action names, or of objects with "action" and "options"';

CREATE FUNCTION pgmaint.drop_plan(plan text)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_plan';

COMMENT ON FUNCTION pgmaint.drop_plan(text) IS
	'drop a plan that a user defined; a built-in plan of the same name shows again';

CREATE FUNCTION pgmaint.actions()
RETURNS TABLE (action text, option text, value text, default_value text, description text)
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_actions';

COMMENT ON FUNCTION pgmaint.actions() IS
	'every action, and its options with what they take and their defaults';

REVOKE ALL ON pgmaint.plan_definitions, pgmaint.plans FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.built_in_plans(),
	pgmaint.define_plan(text, jsonb),
	pgmaint.drop_plan(text),
	pgmaint.actions()
FROM PUBLIC;
GRANT SELECT ON pgmaint.plan_definitions, pgmaint.plans TO pg_monitor;
GRANT EXECUTE ON FUNCTION pgmaint.built_in_plans(), pgmaint.actions() TO pg_monitor;
-- The engine: asking for runs, and seeing what they do.

CREATE FUNCTION pgmaint.run(plan text, options jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_run';

COMMENT ON FUNCTION pgmaint.run(text, jsonb) IS
	'queue a plan and return the run''s id at once; it begins when the transaction commits';

CREATE FUNCTION pgmaint.run_action(action text, options jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_run_action';

COMMENT ON FUNCTION pgmaint.run_action(text, jsonb) IS
	'queue one action by itself, as a run';

CREATE PROCEDURE pgmaint.run_and_wait(plan text, options jsonb DEFAULT NULL, INOUT run_id bigint DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'pgmaint_run_and_wait';

COMMENT ON PROCEDURE pgmaint.run_and_wait(text, jsonb, bigint) IS
	'queue a plan and wait for its end: a NOTICE for each finished task, an ERROR if the run did not succeed; a cancel cancels the run';

CREATE FUNCTION pgmaint.dry_run(plan text, options jsonb DEFAULT NULL)
RETURNS TABLE (
	step integer,
	action text,
	target text,
	command text,
	reason text,
	estimate_bytes bigint,
	estimate_duration interval
)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_dry_run';

COMMENT ON FUNCTION pgmaint.dry_run(text, jsonb) IS
	'the tasks that a run would do now; nothing is done.  estimate_duration comes from earlier runs, and is null before there were any';

CREATE FUNCTION pgmaint.cancel(run_id bigint)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_cancel';

COMMENT ON FUNCTION pgmaint.cancel(bigint) IS
	'ask a run to end, interrupting the commands it is executing; false if it had ended already';

CREATE FUNCTION pgmaint.tick()
RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_tick';

COMMENT ON FUNCTION pgmaint.tick() IS
	'take on runs that were left queued, and set right what a crash left running; true if there was anything to see to';

CREATE VIEW pgmaint.progress AS
SELECT
	r.run_id,
	r.plan,
	t.step,
	t.action,
	t.target,
	coalesce(v.phase, a.phase, CASE WHEN s.wait_event_type = 'Lock' THEN 'waiting for a lock' ELSE 'working' END) AS phase,
	coalesce(
		pg_catalog.round(100.0 * v.heap_blks_scanned / nullif(v.heap_blks_total, 0), 1),
		pg_catalog.round(100.0 * a.sample_blks_scanned / nullif(a.sample_blks_total, 0), 1),
		0) AS percent_done,
	pg_catalog.date_trunc('milliseconds', pg_catalog.clock_timestamp() - t.started_at) AS elapsed,
	c.finished AS tasks_finished,
	c.planned AS tasks_planned,
	pg_catalog.format('%s of %s', r.current_step, pg_catalog.jsonb_array_length(r.steps)) AS step_of,
	t.attempt,
	t.pid,
	t.command
FROM pgmaint.runs r
JOIN pgmaint.tasks t ON t.run_id = r.run_id AND t.state = 'running'
-- the row of a worker that is gone stays until the next leader sees to it
JOIN pg_catalog.pg_stat_activity s ON s.pid = t.pid AND s.backend_type = 'pgmaint task worker'
LEFT JOIN pg_catalog.pg_stat_progress_vacuum v ON v.pid = t.pid
LEFT JOIN pg_catalog.pg_stat_progress_analyze a ON a.pid = t.pid
CROSS JOIN LATERAL (
	SELECT
		pg_catalog.count(*) AS planned,
		pg_catalog.count(*) FILTER (WHERE x.state NOT IN ('pending', 'running')) AS finished
	FROM pgmaint.tasks x
	WHERE x.run_id = r.run_id AND x.step = t.step
) c
WHERE r.state = 'running'
ORDER BY r.run_id, t.task_id;

COMMENT ON VIEW pgmaint.progress IS
	'what every task worker is doing now; percent_done is that of the command''s present phase';

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

--
-- Bloat, measured on the pages themselves
--

GRANT USAGE ON SCHEMA pgmaint TO pg_stat_scan_tables, pg_monitor;

CREATE FUNCTION pgmaint.table_bloat(
	INOUT relation regclass DEFAULT NULL,
	max_margin double precision DEFAULT 0.01,
	seed bigint DEFAULT NULL,
	min_size bigint DEFAULT 0,
	OUT total_bytes bigint,
	OUT live_bytes bigint,
	OUT dead_bytes bigint,
	OUT free_bytes bigint,
	OUT bloat_bytes bigint,
	OUT bloat_ratio double precision,
	OUT margin double precision,
	OUT sampled_blocks bigint,
	OUT total_blocks bigint
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pgmaint_table_bloat';
COMMENT ON FUNCTION pgmaint.table_bloat IS
	'what a rewrite of a table and its TOAST table would give back, from a sample of their blocks, with its 95 % margin; all tables if none is named';

CREATE FUNCTION pgmaint.index_bloat(
	INOUT "index" regclass DEFAULT NULL,
	max_margin double precision DEFAULT 0.02,
	seed bigint DEFAULT NULL,
	min_size bigint DEFAULT 0,
	OUT relation regclass,
	OUT method text,
	OUT total_bytes bigint,
	OUT bloat_bytes bigint,
	OUT bloat_ratio double precision,
	OUT margin double precision,
	OUT leaf_density double precision,
	OUT sampled_blocks bigint,
	OUT total_blocks bigint
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pgmaint_index_bloat';
COMMENT ON FUNCTION pgmaint.index_bloat IS
	'what a rebuild of an index would give back, from a sample of its blocks, with its 95 % margin; a table''s indexes if a table is named, all indexes if nothing is';

REVOKE ALL ON FUNCTION pgmaint.table_bloat, pgmaint.index_bloat FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.table_bloat, pgmaint.index_bloat TO pg_stat_scan_tables, pg_monitor;
-- What needs work, and why.
--
-- These functions read catalogs and statistics of every table, and pgmaint's
-- own measurements; they change nothing, and call nothing that users define.

CREATE FUNCTION pgmaint.may_maintain(relation oid, role oid)
RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_may_maintain';

COMMENT ON FUNCTION pgmaint.may_maintain(oid, oid) IS
	'may the role VACUUM and ANALYZE the relation (owner, database owner, superuser; from PostgreSQL 17 also MAINTAIN)';

CREATE FUNCTION pgmaint.file_size(filenode oid, tablespace oid, pages integer)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_file_size';

COMMENT ON FUNCTION pgmaint.file_size(oid, oid, integer) IS
	'bytes in the main fork of a relation, by relfilenode, reltablespace and relpages of pg_class; takes no lock';

-- Every table and materialized view that outlives a session, with what the
-- server knows of it.  A TOAST table is part of its owner.
CREATE FUNCTION pgmaint.table_states(for_role oid)
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
LANGUAGE sql STABLE SECURITY DEFINER
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

CREATE FUNCTION pgmaint.stale_statistics(
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
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH RECURSIVE states AS MATERIALIZED (
		SELECT s.*, greatest(s.estimated_rows, s.live_rows, 0) AS known_rows
		FROM pgmaint.table_states(for_role) s
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
				AND (s.known_rows > 0 OR s.estimated_rows < 0 AND EXISTS (
					SELECT FROM pg_class c
					WHERE c.oid = s.relation
						AND pgmaint.file_size(c.relfilenode, c.reltablespace, c.relpages) > 0)) AS never,
			s.modified_rows >= CASE WHEN s.schema = 'pgmaint' THEN greatest(10000, min_modified_rows)
					ELSE min_modified_rows END
				AND s.modified_rows >= min_modified_ratio * s.known_rows AS stale
		FROM states s
		WHERE s.kind IN ('r', 'm') AND s.relation <> 'pg_catalog.pg_statistic'::regclass
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
			coalesce(sum(x.known_rows) FILTER (
				WHERE x.last_analyze > p.last_analyze + interval '1 hour'), 0) AS renewed_rows
		FROM members m
		JOIN states p ON p.relation = m.root
		JOIN states x ON x.relation = m.member AND x.kind = 'r'
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
			l.known_rows > 0
				AND NOT EXISTS (SELECT FROM pg_statistic p WHERE p.starelid = s.relation AND p.stainherit) AS never
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
			ELSE 'every table was asked for'
		END,
		j.known_rows::bigint,
		j.modified_rows,
		j.last_analyze,
		j.may_maintain
	FROM judged j
	WHERE j.never OR j.stale OR everything
	ORDER BY j.never DESC, j.modified_rows / greatest(j.known_rows, 1) DESC, j.relation;
END;

COMMENT ON FUNCTION pgmaint.stale_statistics(bigint, double precision, boolean, oid) IS
	'tables whose planner statistics were never made, or are stale: at least min_modified_rows and min_modified_ratio of the rows changed';

CREATE FUNCTION pgmaint.vacuum_candidates(
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
	may_maintain boolean
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH judged AS (
		SELECT
			s.*,
			s.wraparound_ratio >= min_wraparound_ratio AS wraparound_due,
			s.dead_rows >= min_dead_rows
				AND s.dead_rows >= min_dead_ratio * s.all_rows AS dead_due,
			s.toast_dead_rows >= min_dead_rows
				AND s.toast_dead_rows >= min_dead_ratio * (s.toast_dead_rows + s.toast_live_rows) AS toast_due,
			s.inserted_rows >= CASE WHEN s.schema = 'pgmaint' THEN 10000 ELSE 1000 END
				AND s.inserted_rows >= min_inserted_ratio * greatest(s.estimated_rows, 0) AS inserts_due,
			-- the server's counters are lost in a crash, what lies in the pages is not
			(
				SELECT m.dead_bytes
				FROM pgmaint.bloat_measurements m
				WHERE m.relation = s.relation
					AND m.measured_at > greatest(s.last_vacuum, clock_timestamp() - interval '1 day')
					AND m.dead_bytes >= greatest(1048576, min_dead_ratio * m.total_bytes)
				ORDER BY m.measured_at DESC
				LIMIT 1
			) AS sampled_dead_bytes
		FROM (
			-- dead ones too; the counters may be younger than the table, the
			-- catalog's estimate may be older than the last changes
			SELECT t.*, greatest(t.estimated_rows, t.live_rows + t.dead_rows, 1) AS all_rows
			FROM pgmaint.table_states(for_role) t
			WHERE t.kind IN ('r', 'm')
		) s
	)
	SELECT
		j.relation::regclass,
		coalesce(nullif(concat_ws('; ',
			CASE WHEN j.wraparound_due THEN format(
				'wraparound: transaction ID age %s, multixact age %s, %s %% of the way to a forced vacuum',
				trim(to_char(j.xid_age, '999,999,999,999')), trim(to_char(j.multixact_age, '999,999,999,999')),
				round((j.wraparound_ratio * 100)::numeric)) END,
			CASE WHEN j.dead_due THEN format('dead rows: %s, %s %% of the table',
				trim(to_char(j.dead_rows, '999,999,999,999,999')),
				round((100 * j.dead_rows / j.all_rows)::numeric, 1)) END,
			CASE WHEN j.toast_due THEN format('dead rows in its TOAST table: %s',
				trim(to_char(j.toast_dead_rows, '999,999,999,999,999'))) END,
			CASE WHEN j.sampled_dead_bytes IS NOT NULL AND NOT j.dead_due THEN format(
				'dead rows: %s in sampled pages', pg_size_pretty(j.sampled_dead_bytes)) END,
			CASE WHEN j.inserts_due THEN format('inserts without freeze: %s rows since the last VACUUM',
				trim(to_char(j.inserted_rows, '999,999,999,999,999'))) END), ''),
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
			CASE WHEN j.inserts_due THEN 'inserts' END], NULL),
		j.may_maintain
	FROM judged j
	JOIN pg_class c ON c.oid = j.relation
	LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
	CROSS JOIN LATERAL (
		SELECT pgmaint.file_size(c.relfilenode, c.reltablespace, c.relpages)
			+ coalesce(pgmaint.file_size(t.relfilenode, t.reltablespace, t.relpages), 0) AS total_bytes
	) b
	WHERE everything OR j.wraparound_due OR j.dead_due OR j.toast_due OR j.inserts_due
		OR j.sampled_dead_bytes IS NOT NULL
	ORDER BY coalesce(j.wraparound_due, false) DESC,
		CASE WHEN j.wraparound_due THEN j.wraparound_ratio END DESC,
		j.last_vacuum NULLS FIRST, j.dead_rows DESC, j.relation;
END;

COMMENT ON FUNCTION pgmaint.vacuum_candidates(bigint, double precision, double precision, double precision, boolean, oid) IS
	'tables that are due for VACUUM, most urgent first: wraparound, dead rows (counted, or seen in sampled pages), inserts without freeze';

-- Whoever keeps dead rows from being removed, oldest first.
CREATE FUNCTION pgmaint.xmin_holders()
RETURNS TABLE (
	kind text,
	holder text,
	xmin_age bigint,
	since timestamptz,
	database name,
	pid integer,
	catalogs_only boolean
)
LANGUAGE sql STABLE SECURITY DEFINER
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
	pgmaint.table_states(oid),
	pgmaint.stale_statistics(bigint, double precision, boolean, oid),
	pgmaint.vacuum_candidates(bigint, double precision, double precision, double precision, boolean, oid),
	pgmaint.xmin_holders()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint.may_maintain(oid, oid),
	pgmaint.table_states(oid),
	pgmaint.stale_statistics(bigint, double precision, boolean, oid),
	pgmaint.vacuum_candidates(bigint, double precision, double precision, double precision, boolean, oid),
	pgmaint.xmin_holders()
TO pg_monitor;
-- What happened, for a person.

CREATE FUNCTION pgmaint.report(run_id bigint DEFAULT NULL)
RETURNS SETOF text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH chosen AS (
		SELECT r.*
		FROM pgmaint.runs r
		WHERE r.run_id = coalesce(report.run_id, (SELECT max(x.run_id) FROM pgmaint.runs x))
	),
	tasks AS (
		SELECT
			t.*,
			CASE WHEN t.action = 'bloat_report' THEN t.action || ' ' || t.target ELSE t.command END AS what,
			extract(epoch FROM t.finished_at - t.started_at) AS seconds,
			CASE WHEN t.action <> 'bloat_report' THEN greatest(t.bytes_before - t.bytes_after, 0) ELSE 0 END AS returned_bytes,
			greatest((t.result ->> 'dead_rows_before')::bigint - (t.result ->> 'dead_rows_after')::bigint, 0) AS removed_rows
		FROM pgmaint.tasks t
		JOIN chosen c USING (run_id)
	),
	told AS (
		SELECT t.*, concat_ws(', ',
			CASE WHEN t.removed_rows > 0 THEN trim(to_char(t.removed_rows, '999,999,999,999,999')) || ' dead rows removed' END,
			CASE WHEN t.returned_bytes > 0 THEN pg_size_pretty(t.returned_bytes) || ' returned to the file system' END,
			CASE WHEN (t.result ->> 'xid_age_before')::bigint - (t.result ->> 'xid_age_after')::bigint >= 1000000 THEN format(
				'transaction ID age lowered from %s to %s',
				trim(to_char((t.result ->> 'xid_age_before')::bigint, '999,999,999,999')),
				trim(to_char((t.result ->> 'xid_age_after')::bigint, '999,999,999,999'))) END,
			CASE WHEN (t.result ->> 'analyzed')::boolean THEN 'statistics renewed' END,
			CASE WHEN t.action = 'bloat_report' AND t.result IS NOT NULL THEN format(
				'%s of %s are bloat (%s %% ± %s)',
				pg_size_pretty((t.result ->> 'bloat_bytes')::bigint),
				pg_size_pretty((t.result ->> 'total_blocks')::bigint * current_setting('block_size')::bigint),
				round(100 * (t.result ->> 'bloat_ratio')::numeric, 1),
				round(100 * (t.result ->> 'margin')::numeric, 1)) END,
			CASE WHEN (t.result ->> 'indexes')::bigint > 0 THEN format(
				'%s in %s %s',
				pg_size_pretty((t.result ->> 'index_bloat_bytes')::bigint),
				t.result ->> 'indexes',
				CASE WHEN t.result ->> 'indexes' = '1' THEN 'index' ELSE 'indexes' END) END) AS gain
		FROM tasks t
	),
	lines AS (
		SELECT 100 AS part, 0::bigint AS nth, format('Run %s: %s, %s', c.run_id, c.plan, c.state) AS line FROM chosen c
		UNION ALL
		SELECT 101, 0, format('  requested by %s at %s', c.requested_by, date_trunc('second', c.requested_at)) FROM chosen c
		UNION ALL
		SELECT 102, 0, format('  began %s, took %s', date_trunc('second', c.started_at),
			date_trunc('milliseconds', coalesce(c.finished_at, clock_timestamp()) - c.started_at))
		FROM chosen c WHERE c.started_at IS NOT NULL
		UNION ALL
		SELECT 103, 0, '  options ' || c.options::text FROM chosen c WHERE c.options IS NOT NULL
		UNION ALL
		SELECT 104, 0, '  ' || c.error FROM chosen c WHERE c.error IS NOT NULL
		UNION ALL
		SELECT 200, 0, E'\nSteps' FROM chosen c
		UNION ALL
		SELECT 201, s.step, format('  %s. %s %s', s.step, rpad(s.definition ->> 'action', 14),
			CASE
				WHEN s.step > c.current_step THEN 'not reached'
				WHEN g.planned = 0 THEN 'nothing due'
				ELSE concat_ws(', ',
					format('%s of %s done in %s s', g.succeeded, g.planned, round(g.seconds, 1)),
					CASE WHEN g.failed > 0 THEN g.failed || ' failed' END,
					CASE WHEN g.skipped > 0 THEN g.skipped || ' skipped' END,
					CASE WHEN g.stopped > 0 THEN g.stopped || ' stopped' END,
					CASE WHEN g.open > 0 THEN g.open || ' to go' END,
					CASE WHEN g.removed_rows > 0 THEN trim(to_char(g.removed_rows, '999,999,999,999,999')) || ' dead rows removed' END,
					CASE WHEN g.returned_bytes > 0 THEN pg_size_pretty(g.returned_bytes) || ' returned' END)
			END)
		FROM chosen c
		CROSS JOIN LATERAL jsonb_array_elements(c.steps) WITH ORDINALITY AS s (definition, step)
		CROSS JOIN LATERAL (
			SELECT
				count(*) AS planned,
				count(*) FILTER (WHERE t.state = 'succeeded') AS succeeded,
				count(*) FILTER (WHERE t.state = 'failed') AS failed,
				count(*) FILTER (WHERE t.state = 'skipped') AS skipped,
				count(*) FILTER (WHERE t.state IN ('cancelled', 'interrupted')) AS stopped,
				count(*) FILTER (WHERE t.state IN ('pending', 'running')) AS open,
				coalesce(extract(epoch FROM max(t.finished_at) - min(t.started_at)), 0) AS seconds,
				sum(t.removed_rows) AS removed_rows,
				sum(t.returned_bytes) AS returned_bytes
			FROM tasks t
			WHERE t.step = s.step
		) g
		UNION ALL
		SELECT 300, 0, E'\nDone' WHERE EXISTS (SELECT FROM tasks t WHERE t.state = 'succeeded')
		UNION ALL
		SELECT 302, x.nth, concat(
			'  ', x.what, ' (', round(x.seconds, 1), ' s)',
			E'\n      why:    ', x.reason,
			E'\n      result: ' || nullif(x.gain, ''))
		FROM (SELECT t.*, row_number() OVER (ORDER BY t.task_id) AS nth FROM told t WHERE t.state = 'succeeded') x
		WHERE x.nth <= 50
		UNION ALL
		SELECT 303, 0, format('  … and %s more: SELECT * FROM pgmaint.tasks WHERE run_id = %s',
			count(*) - 50, min(t.run_id))
		FROM tasks t WHERE t.state = 'succeeded' HAVING count(*) > 50
		UNION ALL
		SELECT 400, 0, E'\nNot done' WHERE EXISTS (SELECT FROM tasks t WHERE t.state NOT IN ('succeeded', 'pending', 'running'))
		UNION ALL
		SELECT 401, t.task_id, format(E'  %s: %s%s\n      %s', t.state, t.what,
			CASE WHEN t.attempt > 1 THEN format(', after %s attempts', t.attempt) END, coalesce(t.error, ''))
		FROM tasks t WHERE t.state NOT IN ('succeeded', 'pending', 'running')
		UNION ALL
		SELECT 500, 0, E'\nFindings' WHERE EXISTS (SELECT FROM pgmaint.findings f JOIN chosen c USING (run_id))
		UNION ALL
		SELECT 501,
			CASE f.severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END * 1000000000000 + f.finding_id,
			format('  %s %s%s: %s', upper(f.severity), f.check_id, ' ' || f.object, f.message)
		FROM pgmaint.findings f
		JOIN chosen c USING (run_id)
		WHERE f.check_id <> 'skipped'
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
	'what a run did, why, what it gained and what it could not do, in lines of text; the latest run if none is named';

REVOKE ALL ON FUNCTION pgmaint.report(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.report(bigint) TO pg_monitor;
