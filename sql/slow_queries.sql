-- Which queries take the time, which have become slower, and how they would be
-- executed.  pg_stat_statements counts for ever; from snapshots of its figures
-- comes what happened in a period.

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

-- A query in one line.
CREATE FUNCTION pgmaint.short_query(query text, length integer)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN length(l.line) > short_query.length
		THEN left(l.line, short_query.length - 1) || '…' ELSE l.line END
	FROM (SELECT btrim(regexp_replace(short_query.query, '\s+', ' ', 'g')) AS line) l;
END;

COMMENT ON FUNCTION pgmaint.short_query(text, integer) IS 'the beginning of a query, in one line';

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
LANGUAGE sql VOLATILE
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
LANGUAGE plpgsql VOLATILE
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
LANGUAGE sql VOLATILE
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
			AND a.query ~* ('\m' || regexp_replace(c.relname, '([][*+?^$|(){}\\.])', '\\\1', 'g') || '\M')
	) done ON true
	WHERE m.run_id IS NOT NULL AND a.mean > degraded_queries.factor * b.mean AND a.mean >= degraded_queries.min_mean_ms
		AND a.calls >= degraded_queries.min_calls AND b.calls >= degraded_queries.min_calls
		-- neither maintenance nor what pgmaint itself asks
		AND a.query !~* '^\s*(VACUUM|ANALYZE|REINDEX|CLUSTER|CREATE|ALTER|DROP|CHECKPOINT|REPACK)\M' AND a.query !~ '\mpgmaint\.'
	ORDER BY (a.mean - b.mean) * a.calls DESC, a.queryid;
END;

COMMENT ON FUNCTION pgmaint.degraded_queries(double precision, bigint, double precision) IS
	'the queries whose mean time, from after the last maintenance until the last snapshot, is more than so many times that of the week before it';

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
		WHERE r.setrole IN (0, search_path_of.role) AND c.setting LIKE 'search\_path=%'
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

REVOKE ALL ON pgmaint.statement_snapshots, pgmaint.statement_figures, pgmaint.statement_texts, pgmaint.query_plans FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.short_query(text, integer),
	pgmaint.take_statement_snapshot(bigint),
	pgmaint.statement_changes(bigint, bigint),
	pgmaint.slow_queries(integer, interval, text),
	pgmaint.may_change_plans(text),
	pgmaint.last_maintenance(),
	pgmaint.degraded_queries(double precision, bigint, double precision),
	pgmaint.search_path_of(oid),
	pgmaint.plan_outline(jsonb, integer),
	pgmaint.keep_query_plan(bigint, oid, text, jsonb, bigint)
FROM PUBLIC;
GRANT SELECT ON pgmaint.statement_snapshots, pgmaint.statement_figures, pgmaint.statement_texts, pgmaint.query_plans TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	pgmaint.short_query(text, integer),
	pgmaint.statement_changes(bigint, bigint),
	pgmaint.slow_queries(integer, interval, text),
	pgmaint.may_change_plans(text),
	pgmaint.last_maintenance(),
	pgmaint.degraded_queries(double precision, bigint, double precision),
	pgmaint.plan_outline(jsonb, integer)
TO pg_monitor;
