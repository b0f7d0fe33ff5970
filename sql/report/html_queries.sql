-- The parts of the page of report_html() that are about queries: which took the
-- time, and which indexes were advised for them.  Each is null where there is
-- nothing to tell.

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

COMMENT ON FUNCTION pgmaint_internal.ms_text(double precision) IS 'so many milliseconds in the units that people use';

-- What a run's snapshot ends, and what came before: a week where there are
-- snapshots of one, otherwise from the first that is an hour older on, otherwise
-- from when pg_stat_statements began to count.
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

-- A text, and a plan, is for those to whom pg_stat_statements shows it.  It knows no
-- constants, except in commands that set a password.
CREATE FUNCTION pgmaint_internal.html_queries(run_id bigint)
RETURNS text
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH period AS MATERIALIZED (
		SELECT p.* FROM pgmaint_internal.run_period(html_queries.run_id) p WHERE p.last_snapshot IS NOT NULL
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
	-- what is nested in others is part of their time
	whole AS (
		SELECT
			count(*) AS statements,
			count(*) FILTER (WHERE NOT n.ours) AS shown,
			sum(n.total_ms) FILTER (WHERE n.toplevel) AS total_ms,
			sum(n.total_ms) FILTER (WHERE n.toplevel AND n.ours) AS our_ms
		FROM now n
	),
	worst AS (
		SELECT
			n.*,
			b.mean AS mean_before,
			round((100 * (n.mean / nullif(b.mean, 0) - 1))::numeric) AS change,
			row_number() OVER (ORDER BY n.total_ms DESC, n.queryid, n.userid) AS nth
		FROM now n
		LEFT JOIN before b ON b.queryid = n.queryid AND b.userid = n.userid AND b.toplevel = n.toplevel
		WHERE NOT n.ours
	),
	told AS (
		SELECT
			w.*,
			CASE
				WHEN NOT m.may_read THEN '<span class="soft">the text is for members of pg_read_all_stats</span>'
				WHEN w.query IS NULL THEN '<span class="soft">pg_stat_statements does not have the text</span>'
				WHEN w.query ~* E'\\mpassword' AND w.query !~* E'^\\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES)\\M'
					THEN '<span class="soft">the text is left out, since it may hold a password</span>'
				ELSE format('<code>%s</code>', pgmaint_internal.html_text(pgmaint_internal.short_query(w.query, 240)))
			END AS text,
			(SELECT q.outline FROM pgmaint.query_plans q WHERE m.may_read AND q.queryid = w.queryid AND q.userid = w.userid
				ORDER BY q.last_seen_at DESC, q.plan_id DESC LIMIT 1) AS outline
		FROM worst w
		CROSS JOIN LATERAL (
			SELECT pg_has_role('pg_read_all_stats', 'USAGE') OR w.userid = (SELECT a.oid FROM pg_roles a WHERE a.rolname = current_user) AS may_read
		) m
		WHERE w.nth <= 10
	)
	SELECT pgmaint_internal.html_section('queries', 'Slow queries', concat(
		format('<p>From %s until %s, %s %s took <span class="nowrap">%s</span> in all%s.', pgmaint_internal.html_time(p.since), pgmaint_internal.html_time(p.until),
			pgmaint.count_text(h.statements), CASE WHEN h.statements = 1 THEN 'statement' ELSE 'statements' END, pgmaint_internal.ms_text(coalesce(h.total_ms, 0)),
			', of which <span class="nowrap">' || pgmaint_internal.ms_text(h.our_ms) || '</span> were pgmaint''s own, and are not shown'),
		CASE WHEN p.first_snapshot IS NULL THEN ' There is nothing before that to compare with.' END,
		E'</p>\n',
		(SELECT pgmaint_internal.html_table(CASE WHEN h.shown > 10 THEN 'The ten that took most of it' ELSE 'What took most of it first' END,
			CASE WHEN p.first_snapshot IS NULL THEN ARRAY['Query', 'Role', '#Share', '#Calls', '#Mean']
				ELSE ARRAY['Query', 'Role', '#Share', '#Calls', '#Mean', '#Before', '#Change'] END,
			array_agg(ARRAY[
				concat(t.text, '<details><summary>how it is planned</summary><pre>' || pgmaint_internal.html_text(t.outline) || '</pre></details>'),
				pgmaint_internal.html_name(pg_get_userbyid(t.userid)::text, 'span'),
				round((100 * t.total_ms / nullif(h.total_ms, 0))::numeric, 1) || ' %',
				pgmaint.count_text(t.calls),
				pgmaint_internal.ms_text(t.mean)] || CASE WHEN p.first_snapshot IS NULL THEN '{}' ELSE ARRAY[
				pgmaint_internal.ms_text(t.mean_before),
				CASE WHEN t.mean_before IS NULL THEN '<span class="soft">new</span>' WHEN t.change >= 100 THEN format('<b class="bad">+%s %%</b>', t.change)
					ELSE format('%s%s %%', CASE WHEN t.change > 0 THEN '+' ELSE '' END, t.change) END] END ORDER BY t.nth))
		FROM told t)))
	FROM period p
	CROSS JOIN whole h
	WHERE h.shown > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.html_queries(bigint) IS 'the queries that took most of the time before a run, and how that had changed';

-- What was advised before the last review, but not by it, is not needed any more.
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
		pgmaint_internal.html_table(CASE WHEN min(a.total) > 20 THEN format('20 of %s indexes that were advised', pgmaint.count_text(min(a.total)))
				ELSE 'Indexes that were advised; pgmaint makes none' END, ARRAY['Command', '#Saves a day', '#Size', '#Queries', 'Advised', 'What became of it'],
			array_agg(ARRAY[
				CASE WHEN pgmaint.may_be_copied(a.statement) THEN format('<code>%s;</code>', replace(pgmaint_internal.html_text(a.statement), E'\n', '<br/>'))
					ELSE format('on <code>%s</code>; the command, in <code>pgmaint_internal.index_advices</code>, has names with line breaks', pgmaint_internal.html_text(pgmaint.one_line(a.object))) END,
				pgmaint_internal.ms_text(a.gain_ms_per_day),
				pg_size_pretty(a.index_bytes),
				pgmaint.count_text(cardinality(a.query_ids)),
				pgmaint_internal.html_time(a.last_given_at),
				CASE
					WHEN a."index" IS NULL AND a.past THEN '<span class="soft">not made, and not advised any more</span>'
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
		CASE WHEN min(a.total) > 20 THEN format(E'<p>%s more: <code>SELECT * FROM pgmaint_internal.index_advices</code></p>\n', pgmaint.count_text(min(a.total) - 20)) END))
	FROM advised a
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.html_advice() IS 'which indexes were advised, whether they were made, and whether they helped';

REVOKE ALL ON FUNCTION
	pgmaint_internal.ms_text(double precision),
	pgmaint_internal.run_period(bigint),
	pgmaint_internal.html_queries(bigint),
	pgmaint_internal.html_advice()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.ms_text(double precision),
	pgmaint_internal.run_period(bigint),
	pgmaint_internal.html_queries(bigint),
	pgmaint_internal.html_advice()
TO pg_monitor;
