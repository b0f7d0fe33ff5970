-- The parts of the page of report_html() about queries: those that took most time, and
-- the indexes that were advised for them.  Each is null where it would be empty.

CREATE FUNCTION pgmaint_internal.ms_text(ms double precision)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN ms < 9.995 THEN round(ms::numeric, 2) || ' ms'
		WHEN ms < 999.5 THEN round(ms::numeric) || ' ms'
		ELSE pgmaint_internal.duration_text((ms / 1000)::numeric)
	END;
END;

COMMENT ON FUNCTION pgmaint_internal.ms_text(double precision) IS 'a number of milliseconds in a unit that suits it';

-- The period ends with the run's snapshot.  It begins a week before, or with the first
-- snapshot that is at least an hour older, or when pg_stat_statements began to count.
CREATE FUNCTION pgmaint_internal.run_period(
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
		FROM pgmaint_internal.statement_snapshots s
		WHERE s.taken_at <= coalesce(r.finished_at, clock_timestamp())
			AND s.taken_at > coalesce(r.started_at, r.requested_at) - interval '1 day'
		ORDER BY s.taken_at DESC
		LIMIT 1
	) l
	LEFT JOIN LATERAL (
		SELECT s.snapshot_id, s.taken_at
		FROM pgmaint_internal.statement_snapshots s
		WHERE s.taken_at <= l.taken_at - interval '1 hour'
		ORDER BY CASE WHEN s.taken_at <= l.taken_at - interval '7 days' THEN s.taken_at END DESC NULLS LAST, s.taken_at
		LIMIT 1
	) f ON true
	LEFT JOIN LATERAL (
		SELECT s.snapshot_id
		FROM pgmaint_internal.statement_snapshots s
		WHERE s.taken_at <= f.taken_at - (l.taken_at - f.taken_at)
		ORDER BY s.taken_at DESC
		LIMIT 1
	) b ON true
	WHERE r.run_id = run_period.run_id;
END;

COMMENT ON FUNCTION pgmaint_internal.run_period(bigint) IS
	'the snapshots of statements that a run is judged by: the last one of the run, one from a week before, and one from as long before that';

-- A text, and a plan, is shown to those who see it in pg_stat_statements.  It has no
-- constants, except in commands that set a password.
CREATE FUNCTION pgmaint_internal.run_queries(run_id bigint)
RETURNS TABLE (
	nth bigint,
	since timestamptz,
	until timestamptz,
	compared boolean,
	statements bigint,
	shown bigint,
	total_ms double precision,
	own_ms double precision,
	queryid bigint,
	userid oid,
	query text,
	hidden text,
	outline text,
	calls bigint,
	query_ms double precision,
	mean_ms double precision,
	mean_ms_before double precision
)
LANGUAGE sql VOLATILE ROWS 10
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH period AS MATERIALIZED (
		SELECT p.* FROM pgmaint_internal.run_period(run_queries.run_id) p WHERE p.last_snapshot IS NOT NULL
	),
	now AS MATERIALIZED (
		SELECT c.*, c.total_ms / c.calls AS mean, pgmaint_internal.is_own_statement(c.query) AS ours
		FROM period p
		CROSS JOIN LATERAL pgmaint_internal.statement_changes(p.first_snapshot, p.last_snapshot) c
	),
	before AS MATERIALIZED (
		SELECT c.userid, c.toplevel, c.queryid, c.total_ms / c.calls AS mean
		FROM period p
		CROSS JOIN LATERAL pgmaint_internal.statement_changes(p.before_snapshot, p.first_snapshot) c
		WHERE p.first_snapshot IS NOT NULL
	),
	-- the time of nested statements is part of that of the outer ones
	whole AS (
		SELECT
			count(*) AS statements,
			count(*) FILTER (WHERE NOT n.ours) AS shown,
			coalesce(sum(n.total_ms) FILTER (WHERE n.toplevel), 0) AS total_ms,
			sum(n.total_ms) FILTER (WHERE n.toplevel AND n.ours) AS own_ms
		FROM now n
	),
	worst AS (
		SELECT n.*, b.mean AS mean_before, row_number() OVER (ORDER BY n.total_ms DESC, n.queryid, n.userid) AS nth
		FROM now n
		LEFT JOIN before b ON b.queryid = n.queryid AND b.userid = n.userid AND b.toplevel = n.toplevel
		WHERE NOT n.ours
	)
	SELECT w.nth, p.since, p.until, p.first_snapshot IS NOT NULL, h.statements, h.shown, h.total_ms, h.own_ms, w.queryid, w.userid,
		CASE WHEN t.hidden IS NULL THEN w.query END,
		t.hidden,
		(SELECT q.outline FROM pgmaint.query_plans q WHERE m.may_read AND q.queryid = w.queryid AND q.userid = w.userid
			ORDER BY q.last_seen_at DESC, q.plan_id DESC LIMIT 1),
		w.calls, w.total_ms, w.mean, w.mean_before
	FROM period p
	CROSS JOIN whole h
	JOIN worst w ON w.nth <= 10
	CROSS JOIN LATERAL (
		SELECT pg_has_role('pg_read_all_stats', 'USAGE') OR w.userid = (SELECT a.oid FROM pg_roles a WHERE a.rolname = current_user) AS may_read
	) m
	CROSS JOIN LATERAL (
		SELECT CASE
			WHEN NOT m.may_read THEN 'the text is for members of pg_read_all_stats'
			WHEN w.query IS NULL THEN 'pg_stat_statements does not have the text'
			WHEN w.query ~* 'password|passphrase|passcode|secret|token|credential' AND w.query !~* E'^\\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES)\\M'
				THEN 'the text is left out, since it may hold a password' END AS hidden
	) t
	ORDER BY w.nth;
END;

COMMENT ON FUNCTION pgmaint_internal.run_queries(bigint) IS
	'up to ten queries that took most of the time before a run, with how that had changed, and in each row what all statements took; no rows without snapshots of statements';

CREATE FUNCTION pgmaint_internal.html_queries(run_id bigint)
RETURNS text
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH told AS MATERIALIZED (
		SELECT q.*, round((100 * (q.mean_ms / nullif(q.mean_ms_before, 0) - 1))::numeric) AS change
		FROM pgmaint_internal.run_queries(html_queries.run_id) q
	)
	SELECT pgmaint_internal.html_section('queries', 'Slow queries', concat(
		format('<p>From %s until %s, %s %s took <span class="nowrap">%s</span> in all%s.', pgmaint_internal.html_time(p.since), pgmaint_internal.html_time(p.until),
			pgmaint.count_text(p.statements), CASE WHEN p.statements = 1 THEN 'statement' ELSE 'statements' END, pgmaint_internal.ms_text(p.total_ms),
			', of which <span class="nowrap">' || pgmaint_internal.ms_text(p.own_ms) || '</span> were pgmaint''s own, and are not shown'),
		CASE WHEN NOT p.compared THEN ' There is nothing before that to compare with.' END,
		E'</p>\n',
		pgmaint_internal.html_fold(
			CASE WHEN p.shown > 10 THEN format('10 of %s queries', pgmaint.count_text(p.shown)) WHEN p.shown = 1 THEN '1 query' ELSE p.shown || ' queries' END,
			(SELECT pgmaint_internal.html_table(CASE WHEN p.shown > 10 THEN 'The ten queries with most time' ELSE 'Queries, those with most time first' END,
				CASE WHEN p.compared THEN ARRAY['Query', 'Role', '#Share', '#Calls', '#Mean', '#Before', '#Change']
					ELSE ARRAY['Query', 'Role', '#Share', '#Calls', '#Mean'] END,
				array_agg(ARRAY[
					concat(coalesce('<span class="soft">' || t.hidden || '</span>', format('<code>%s</code>', pgmaint_internal.html_text(pgmaint_internal.short_query(t.query, 240)))),
						'<details><summary>how it is planned</summary><pre>' || pgmaint_internal.html_text(t.outline) || '</pre></details>'),
					pgmaint_internal.html_name(pg_get_userbyid(t.userid)::text, 'span'),
					round((100 * t.query_ms / nullif(t.total_ms, 0))::numeric, 1) || ' %',
					pgmaint.count_text(t.calls),
					pgmaint_internal.ms_text(t.mean_ms)] || CASE WHEN NOT p.compared THEN '{}' ELSE ARRAY[
					pgmaint_internal.ms_text(t.mean_ms_before),
					CASE WHEN t.mean_ms_before IS NULL THEN '<span class="soft">new</span>' WHEN t.change >= 100 THEN format('<b class="bad">+%s %%</b>', t.change)
						ELSE format('%s%s %%', CASE WHEN t.change > 0 THEN '+' ELSE '' END, t.change) END] END ORDER BY t.nth))
			FROM told t),
			-- unfolded where a query takes twice as long as before
			EXISTS (SELECT FROM told t WHERE t.change >= 100))))
	FROM told p
	WHERE p.nth = 1;
END;

COMMENT ON FUNCTION pgmaint_internal.html_queries(bigint) IS 'the queries that took most of the time before a run, and how that had changed';

-- What was advised before the last review, but not by it, is no longer needed.
CREATE FUNCTION pgmaint_internal.html_advice()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH reviewed AS (
		SELECT pgmaint_internal.last_index_advice() AS last
	),
	advised AS (
		SELECT
			a.*,
			c.relname,
			a.last_given_at < r.last AS past,
			row_number() OVER (ORDER BY a."index" IS NOT NULL, a.last_given_at < r.last, a.gain_ms_per_day DESC, a.advice_id) AS nth,
			count(*) OVER () AS total
		FROM pgmaint_internal.index_advices a
		CROSS JOIN reviewed r
		LEFT JOIN pg_class c ON c.oid = a."index"
	)
	SELECT pgmaint_internal.html_section('advice', 'Index advice', concat(
		pgmaint_internal.html_fold(CASE WHEN min(a.total) = 1 THEN '1 index was advised' ELSE pgmaint.count_text(min(a.total)) || ' indexes were advised' END
				|| ', ' || count(*) FILTER (WHERE a."index" IS NULL AND NOT coalesce(a.past, false)) || ' not made',
			concat(pgmaint_internal.html_table(CASE WHEN min(a.total) > 20 THEN format('20 of %s advised indexes', pgmaint.count_text(min(a.total)))
				ELSE 'Advised indexes; pgmaint creates none' END, ARRAY['Command', '#Saves a day', '#Size', '#Queries', 'Advised', 'Result'],
			array_agg(ARRAY[
				CASE WHEN pgmaint.may_be_copied(a.statement) THEN format('<code>%s;</code>', replace(pgmaint_internal.html_text(a.statement), E'\n', '<br/>'))
					ELSE format('on <code>%s</code>; the command, in <code>pgmaint_internal.index_advices</code>, has names with line breaks', pgmaint_internal.html_text(pgmaint.one_line(a.object))) END,
				pgmaint_internal.ms_text(a.gain_ms_per_day),
				pg_size_pretty(a.index_bytes),
				pgmaint.count_text(cardinality(a.query_ids)),
				pgmaint_internal.html_time(a.last_given_at),
				CASE
					WHEN a."index" IS NULL AND a.past THEN '<span class="soft">not made, and no longer advised</span>'
					WHEN a."index" IS NULL THEN pgmaint_internal.html_state('plain', 'not made')
					ELSE concat(
						CASE a.outcome
							WHEN 'helped' THEN pgmaint_internal.html_state('ok', 'helped')
							WHEN 'no help' THEN pgmaint_internal.html_state('warning', 'did not help')
							WHEN 'not used' THEN pgmaint_internal.html_state('warning', 'never read: consider dropping it')
							ELSE pgmaint_internal.html_state('plain', 'made, not judged yet') END,
						format('<br/>index <code>%s</code>', pgmaint_internal.html_text(a.relname)),
						CASE WHEN a.outcome IN ('helped', 'no help') THEN format(': %s a call, %s before',
							pgmaint_internal.ms_text(a.mean_ms_after), pgmaint_internal.ms_text(a.mean_ms_before)) END) END
			] ORDER BY a.nth) FILTER (WHERE a.nth <= 20)),
			CASE WHEN min(a.total) > 20 THEN format(E'<p>%s more: <code>SELECT * FROM pgmaint_internal.index_advices</code></p>\n', pgmaint.count_text(min(a.total) - 20)) END),
			count(*) FILTER (WHERE a."index" IS NULL AND NOT coalesce(a.past, false)) > 0)))
	FROM advised a
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.html_advice() IS 'the indexes that were advised, whether they were created, and whether they helped';

REVOKE ALL ON FUNCTION
	pgmaint_internal.ms_text(double precision),
	pgmaint_internal.run_period(bigint),
	pgmaint_internal.run_queries(bigint),
	pgmaint_internal.html_queries(bigint),
	pgmaint_internal.html_advice()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.ms_text(double precision),
	pgmaint_internal.run_period(bigint),
	pgmaint_internal.run_queries(bigint),
	pgmaint_internal.html_queries(bigint),
	pgmaint_internal.html_advice()
TO pg_monitor;
