-- The parts of the page of report_html() that are about a run.  Each is null where it
-- would be empty.

-- The first line says whether everything is in order.
CREATE FUNCTION pgmaint_internal.html_lead(run_id bigint, checks bigint, critical_checks bigint, warning_checks bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT concat(
		E'<header>\n<p class="kind">pgmaint: run ', r.run_id, ' in database ', pgmaint_internal.html_text(current_database()),
		E'</p>\n<h1>', pgmaint_internal.html_text(pgmaint.one_line(r.plan)), ' ', pgmaint_internal.html_state(r.state), E'</h1>\n',
		'<p class="lead">', CASE
			WHEN r.finished_at IS NULL THEN pgmaint_internal.html_state('running', 'The run has not ended')
			WHEN faults.list IS NOT NULL THEN ''
			ELSE concat(pgmaint_internal.html_state('ok', 'Everything is in order'), ': ',
				format('%s %s, no findings to act on, %s checks ok', pgmaint.count_text(t.succeeded), CASE WHEN t.succeeded = 1 THEN 'task succeeded' ELSE 'tasks succeeded' END,
					pgmaint.count_text(html_lead.checks))) END,
		CASE WHEN r.finished_at IS NULL AND faults.list IS NOT NULL THEN '; ' END,
		CASE WHEN faults.list IS NOT NULL THEN concat(
			pgmaint_internal.html_state(CASE WHEN faults.worst THEN 'critical' ELSE 'warning' END, 'Not in order'), ': ', faults.list) END,
		E'</p>\n',
		'<p class="error">' || pgmaint_internal.html_text(pgmaint.one_line(r.error)) || E'</p>\n')
	FROM pgmaint.runs r
	CROSS JOIN LATERAL (
		SELECT
			count(*) FILTER (WHERE x.state = 'succeeded') AS succeeded,
			count(*) FILTER (WHERE x.state IN ('failed', 'cancelled', 'interrupted')) AS failed,
			count(*) FILTER (WHERE x.state = 'skipped') AS skipped
		FROM pgmaint.tasks x
		WHERE x.run_id = r.run_id
	) t
	CROSS JOIN LATERAL (
		SELECT
			count(*) FILTER (WHERE x.severity = 'critical') AS critical,
			count(*) FILTER (WHERE x.severity = 'warning') AS warning
		FROM pgmaint.findings x
		-- findings about tasks are counted as tasks
		WHERE x.run_id = r.run_id AND x.check_id NOT IN ('failed', 'skipped')
	) f
	CROSS JOIN LATERAL (
		SELECT
			string_agg(x.words, ', ' ORDER BY x.nth) AS list,
			bool_or(x.worst) AS worst
		FROM (VALUES
			(1, true, format('<a href="#findings">%s critical %s</a>', pgmaint.count_text(f.critical), CASE f.critical WHEN 1 THEN 'finding' ELSE 'findings' END), f.critical),
			(2, false, format('<a href="#findings">%s</a>', pgmaint.count_text(f.warning) || CASE f.warning WHEN 1 THEN ' warning' ELSE ' warnings' END), f.warning),
			(3, true, format('<a href="#not-done">%s failed or stopped</a>', pgmaint.count_text(t.failed) || CASE t.failed WHEN 1 THEN ' task' ELSE ' tasks' END), t.failed),
			(4, false, format('<a href="#not-done">%s skipped</a>', pgmaint.count_text(t.skipped) || CASE t.skipped WHEN 1 THEN ' task' ELSE ' tasks' END), t.skipped),
			(5, true, format('<a href="#checks">%s critical</a>', pgmaint.count_text(html_lead.critical_checks) || CASE html_lead.critical_checks WHEN 1 THEN ' check is' ELSE ' checks are' END), html_lead.critical_checks),
			(6, false, format('<a href="#checks">%s</a>', CASE html_lead.warning_checks WHEN 1 THEN '1 check warns' ELSE pgmaint.count_text(html_lead.warning_checks) || ' checks warn' END), html_lead.warning_checks),
			(7, true, format('the run %s', CASE r.state WHEN 'failed' THEN 'failed' ELSE 'was ' || r.state END),
				CASE WHEN r.state IN ('failed', 'cancelled', 'interrupted') AND t.failed = 0 THEN 1 ELSE 0 END)) AS x (nth, worst, words, times)
		WHERE x.times > 0
	) faults
	WHERE r.run_id = html_lead.run_id;
END;

COMMENT ON FUNCTION pgmaint_internal.html_lead(bigint, bigint, bigint, bigint) IS
	'the beginning of the page: which run it is, and whether everything is in order; the numbers are those of html_check_results()';

CREATE FUNCTION pgmaint_internal.html_run(run_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT concat(
		'<ul class="tiles">',
		format('<li><b>%s</b>of %s %s done</li>', pgmaint.count_text(t.succeeded), pgmaint.count_text(t.planned), CASE WHEN t.planned = 1 THEN 'task' ELSE 'tasks' END),
		format('<li><b%s>%s</b>failed or stopped</li>', CASE WHEN t.failed > 0 THEN ' class="bad"' ELSE '' END, pgmaint.count_text(t.failed)),
		format('<li><b%s>%s</b>skipped</li>', CASE WHEN t.skipped > 0 THEN ' class="poor"' ELSE '' END, pgmaint.count_text(t.skipped)),
		CASE WHEN t.open > 0 THEN format('<li><b>%s</b>to go</li>', pgmaint.count_text(t.open)) END,
		format('<li><b>%s</b>returned</li>', pg_size_pretty(t.returned_bytes)),
		format('<li><b%s>%s</b>critical %s</li>', CASE WHEN f.critical > 0 THEN ' class="bad"' ELSE '' END, pgmaint.count_text(f.critical), CASE WHEN f.critical = 1 THEN 'finding' ELSE 'findings' END),
		format('<li><b%s>%s</b>%s</li>', CASE WHEN f.warning > 0 THEN ' class="poor"' ELSE '' END, pgmaint.count_text(f.warning), CASE WHEN f.warning = 1 THEN 'warning' ELSE 'warnings' END),
		'<li><b>' || pgmaint_internal.duration_text(extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - r.started_at)) || '</b>'
			|| CASE WHEN r.finished_at IS NULL THEN 'so far' ELSE 'duration' END || '</li>',
		E'</ul>\n',
		pgmaint_internal.html_fold(
			concat_ws(', ', 'Ended ' || pgmaint_internal.html_time(r.finished_at), CASE WHEN r.finished_at IS NULL THEN 'Began ' || pgmaint_internal.html_time(r.started_at) END,
				'requested by ' || pgmaint_internal.html_text(pgmaint.one_line(r.requested_by::text))),
			concat('<dl>',
				format('<div><dt>Database</dt><dd>%s</dd></div>', pgmaint_internal.html_text(current_database())),
				format('<div><dt>Server</dt><dd>PostgreSQL %s%s, port %s</dd></div>', pgmaint_internal.html_text(current_setting('server_version')),
					pgmaint_internal.html_text(coalesce(', ' || nullif(current_setting('cluster_name'), ''), '')), current_setting('port')),
				format('<div><dt>Requested by</dt><dd>%s</dd></div>', pgmaint_internal.html_text(pgmaint.one_line(r.requested_by::text))),
				format('<div><dt>Requested</dt><dd>%s</dd></div>', pgmaint_internal.html_time(r.requested_at)),
				format('<div><dt>Began</dt><dd>%s</dd></div>', coalesce(pgmaint_internal.html_time(r.started_at), 'not yet')),
				format('<div><dt>Ended</dt><dd>%s</dd></div>', coalesce(pgmaint_internal.html_time(r.finished_at), 'not yet')),
				format('<div><dt>Options</dt><dd><code>%s</code></dd></div>', pgmaint_internal.html_text(nullif(r.options, '{}')::text)),
				CASE WHEN r.resumes IS NOT NULL THEN format('<div><dt>Resumes</dt><dd>run %s, which was interrupted</dd></div>', r.resumes) END,
				E'</dl>\n')),
		E'</header>\n')
	FROM pgmaint.runs r
	CROSS JOIN LATERAL (
		SELECT
			count(*) AS planned,
			count(*) FILTER (WHERE x.state = 'succeeded') AS succeeded,
			count(*) FILTER (WHERE x.state IN ('failed', 'cancelled', 'interrupted')) AS failed,
			count(*) FILTER (WHERE x.state = 'skipped') AS skipped,
			count(*) FILTER (WHERE x.state IN ('pending', 'running')) AS open,
			coalesce(sum(x.returned_bytes), 0)::bigint AS returned_bytes
		FROM pgmaint.task_results x
		WHERE x.run_id = r.run_id
	) t
	CROSS JOIN LATERAL (
		SELECT
			count(*) FILTER (WHERE x.severity = 'critical') AS critical,
			count(*) FILTER (WHERE x.severity = 'warning') AS warning
		FROM pgmaint.findings x
		WHERE x.run_id = r.run_id AND x.check_id NOT IN ('failed', 'skipped')
	) f
	WHERE r.run_id = html_run.run_id;
END;

COMMENT ON FUNCTION pgmaint_internal.html_run(bigint) IS 'the head of the page after html_lead(): the figures of a run, when it ran, where and for whom';

CREATE FUNCTION pgmaint_internal.html_alert(finding pgmaint.finding_results)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT concat_ws(', ',
		pgmaint_internal.html_state(f.state) || CASE f.state
			WHEN 'acknowledged' THEN format(' by %s at %s', pgmaint_internal.html_text(f.acknowledged_by), pgmaint_internal.html_time(f.acknowledged_at))
			WHEN 'resolved' THEN format(' at %s: %s', pgmaint_internal.html_time(f.resolved_at), pgmaint_internal.html_text(f.resolution))
			WHEN 'escalated' THEN format(' to level %s', f.level)
			ELSE '' END,
		CASE WHEN f.alert_severity <> f.severity AND f.state <> 'resolved'
			THEN concat(f.alert_severity, ' by now', ': ' || pgmaint_internal.html_text(f.condition)) END,
		CASE WHEN f.occurrences > 1 THEN format('noticed by %s runs since %s', pgmaint.count_text(f.occurrences), pgmaint_internal.html_time(f.first_seen)) END,
		CASE WHEN f.state NOT IN ('acknowledged', 'resolved') AND f.next_contact IS NOT NULL
			THEN format('%s is notified at %s', pgmaint_internal.html_text(f.next_contact), pgmaint_internal.html_time(f.next_step)) END,
		CASE WHEN f.state <> 'resolved' THEN format('<span class="soft">alert %s</span>', f.alert_id) END)
	FROM (SELECT (finding).*) f
	WHERE f.state IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint_internal.html_alert(pgmaint.finding_results) IS 'the state of the alert that a finding belongs to; null: it belongs to none yet';

CREATE FUNCTION pgmaint_internal.html_findings(run_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH told AS MATERIALIZED (
		SELECT s.* FROM pgmaint.shown_findings(html_findings.run_id) s
	),
	found AS MATERIALIZED (
		SELECT f.*, f AS whole, s.nth, s.nth_alike, s.more, s.more_objects
		FROM told s
		JOIN pgmaint.finding_results f ON f.finding_id = s.finding_id
	),
	counted AS MATERIALIZED (
		SELECT f.severity, f.check_id, count(*) AS findings
		FROM pgmaint.findings f
		WHERE f.run_id = html_findings.run_id AND f.check_id NOT IN ('skipped', 'failed')
		GROUP BY f.severity, f.check_id
	),
	checks AS (
		SELECT f.severity, f.check_id, concat(
			format(E'<h4>%s%s%s</h4>\n', pgmaint_internal.html_text(upper(left(coalesce(g.title, f.check_id), 1)) || substr(coalesce(g.title, f.check_id), 2)),
				CASE WHEN g.title IS NOT NULL THEN format(' <code class="soft">%s</code>', pgmaint_internal.html_text(f.check_id)) END,
				CASE WHEN c.findings > count(*) THEN ': ' || pgmaint.count_text(c.findings) END),
			'<ul class="found">', string_agg(format('<li>%s%s%s%s%s</li>%s',
				-- unless the message names the object
				CASE WHEN strpos(f.message, f.object) = 0 THEN format('<code>%s</code>: ', pgmaint_internal.html_text(f.object)) END,
				replace(pgmaint_internal.html_text(f.message), E'\n', '<br/>'),
				(SELECT string_agg(format('<br/><code>%s;</code>%s', replace(pgmaint_internal.html_text(m.command), E'\n', '<br/>'),
					' <span class="soft">' || pgmaint_internal.html_text(nullif(m.remark, '')) || '</span>'), '' ORDER BY m.nth)
				FROM unnest(f.commands, f.remarks) WITH ORDINALITY AS m (command, remark, nth)),
				CASE WHEN f.more_commands > 0 THEN format('<br/>&#8230; and %s more, in <code>pgmaint.findings</code>', pgmaint.count_text(f.more_commands)) END,
				'<br/>' || pgmaint_internal.html_alert(f.whole),
				CASE WHEN f.more > 0 THEN format(E'\n<li>&#8230; and %s more like %s%s</li>', pgmaint.count_text(f.more),
					CASE WHEN f.nth_alike = 1 THEN 'this' ELSE 'these' END,
					(SELECT ': ' || string_agg(format('<code>%s</code>', pgmaint_internal.html_text(o.name)), ', ' ORDER BY o.nth)
						|| CASE WHEN f.more > cardinality(f.more_objects) THEN ', &#8230;' ELSE '' END
					FROM unnest(f.more_objects) WITH ORDINALITY AS o (name, nth) WHERE o.name IS NOT NULL)) END), E'\n' ORDER BY f.nth),
			E'</ul>\n',
			'<p><b>What to do:</b> ' || pgmaint_internal.html_text(g.remedy) || E'</p>\n') AS content
		FROM found f
		JOIN counted c ON c.severity = f.severity AND c.check_id = f.check_id
		LEFT JOIN pgmaint_internal.check_guide() g ON g.check_id = f.check_id
		GROUP BY f.severity, f.check_id, c.findings, g.title, g.remedy
	),
	severities AS (
		SELECT
			c.severity,
			array_position(ARRAY['critical', 'warning', 'info'], c.severity) AS badness,
			sum(c.findings)::bigint AS findings
		FROM counted c
		GROUP BY c.severity
	)
	SELECT pgmaint_internal.html_section('findings', 'Findings', concat(
		CASE WHEN sum(x.findings) > (SELECT count(*) FROM told) THEN
			format(E'<p>%s of %s findings shown, up to five of each kind, or ten with commands, the most severe first; <code>SELECT * FROM pgmaint.findings WHERE run_id = %s</code> has all.</p>\n',
				(SELECT count(*) FROM told), pgmaint.count_text(sum(x.findings)::bigint), html_findings.run_id) END,
		string_agg(x.content, '' ORDER BY x.badness) FILTER (WHERE x.severity <> 'info'),
		CASE WHEN EXISTS (SELECT FROM found f WHERE f.state NOT IN ('acknowledged', 'resolved')) THEN
			E'<p>To stop further notifications for an alert, acknowledge it by its number: <code>SELECT pgmaint.acknowledge(number)</code>.</p>\n' END,
		string_agg(pgmaint_internal.html_fold(x.heading, x.content), '') FILTER (WHERE x.severity = 'info')))
	FROM (
		SELECT
			v.badness,
			v.severity,
			v.findings,
			format('%s: %s', pgmaint_internal.html_state(v.severity), CASE v.findings WHEN 1 THEN '1 finding' ELSE pgmaint.count_text(v.findings) || ' findings' END) AS heading,
			concat(format(E'<h3%s>%s: %s</h3>\n', CASE v.severity WHEN 'info' THEN ' class="skip"' ELSE '' END, pgmaint_internal.html_state(v.severity), pgmaint.count_text(v.findings)),
				string_agg(k.content, '' ORDER BY k.check_id),
				CASE WHEN count(k.check_id) < v.checks THEN format(E'<p>Other checks with findings: %s.</p>\n', pgmaint.count_text(v.checks - count(k.check_id))) END) AS content
		FROM (SELECT s.*, (SELECT count(*) FROM counted c WHERE c.severity = s.severity) AS checks FROM severities s) v
		LEFT JOIN checks k ON k.severity = v.severity
		GROUP BY v.severity, v.badness, v.findings, v.checks
	) x
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.html_findings(bigint) IS 'the findings of a run, the most severe first, with remedies; findings for information are folded';

CREATE FUNCTION pgmaint_internal.html_steps(run_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH told AS MATERIALIZED (
		SELECT
			s.step,
			s.succeeded,
			s.failed + s.stopped + s.skipped + s.open > 0 OR NOT s.reached AS unfinished,
			ARRAY[
				format('%s. %s', s.step, pgmaint_internal.html_text(s.action)),
				CASE WHEN s.planned > 0 THEN format('%s of %s', pgmaint.count_text(s.succeeded), pgmaint.count_text(s.planned)) END,
				concat_ws(', ',
					CASE WHEN s.failed > 0 THEN pgmaint_internal.html_state('failed', pgmaint.count_text(s.failed) || ' failed') END,
					CASE WHEN s.stopped > 0 THEN pgmaint_internal.html_state('cancelled', pgmaint.count_text(s.stopped) || ' stopped') END,
					CASE WHEN s.skipped > 0 THEN pgmaint_internal.html_state('skipped', pgmaint.count_text(s.skipped) || ' skipped') END,
					CASE WHEN s.open > 0 THEN pgmaint_internal.html_state('running', pgmaint.count_text(s.open) || ' to go') END),
				CASE WHEN s.planned > 0 THEN pgmaint_internal.duration_text(s.seconds) END,
				CASE WHEN NOT s.reached OR s.planned = 0 THEN format('<span class="soft">%s</span>', s.outcome) ELSE concat(pgmaint_internal.html_text(s.gain),
					(SELECT string_agg(format('<br/><span class="soft">%s</span>', pgmaint_internal.html_text(m.remark)), '' ORDER BY m.nth)
					FROM unnest(s.remarks) WITH ORDINALITY AS m (remark, nth))) END
			] AS cells
		FROM pgmaint.step_results s
		WHERE s.run_id = html_steps.run_id
	)
	SELECT pgmaint_internal.html_section('steps', 'Steps', concat(
		pgmaint_internal.html_table('Steps with tasks that did not succeed', ARRAY['Step', '#Done', 'Not done', '#Time', 'Result'],
			array_agg(t.cells ORDER BY t.step) FILTER (WHERE t.unfinished)),
		pgmaint_internal.html_fold(
			concat(pgmaint_internal.html_state('ok', CASE count(*) FILTER (WHERE NOT t.unfinished) WHEN 1 THEN '1 step' ELSE count(*) FILTER (WHERE NOT t.unfinished) || ' steps' END), ', ',
				pgmaint.count_text(coalesce(sum(t.succeeded) FILTER (WHERE NOT t.unfinished), 0)::bigint),
				CASE coalesce(sum(t.succeeded) FILTER (WHERE NOT t.unfinished), 0) WHEN 1 THEN ' task' ELSE ' tasks' END, ' succeeded'),
			pgmaint_internal.html_table('Steps of the plan, in their order', ARRAY['Step', '#Done', 'Not done', '#Time', 'Result'],
				array_agg(t.cells ORDER BY t.step) FILTER (WHERE NOT t.unfinished))),
		pgmaint_internal.html_fold('Timeline', pgmaint_internal.svg_timeline(html_steps.run_id))))
	FROM told t
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.html_steps(bigint) IS 'the results of the steps of a run, and when their tasks ran';

CREATE FUNCTION pgmaint_internal.html_tasks(run_id bigint, OUT not_done text, OUT done text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH shown AS MATERIALIZED (
		SELECT s.* FROM pgmaint.shown_tasks(html_tasks.run_id) s
	),
	counts AS (
		SELECT
			count(*) AS tasks,
			count(*) FILTER (WHERE t.state = 'succeeded') AS succeeded,
			count(*) FILTER (WHERE t.state NOT IN ('pending', 'running') AND (t.state <> 'succeeded' OR NOT t.one_of_many AND NOT t.one_for_all)) AS single
		FROM pgmaint.task_results t
		WHERE t.run_id = html_tasks.run_id
	),
	told AS MATERIALIZED (
		SELECT s.nth, s.done, s.alike, s.first_alike, t.state, t.what, t.error, t.reason, t.gain, t.seconds
		FROM shown s
		JOIN pgmaint.task_results t ON t.task_id = s.task_id
	),
	reasons AS (
		SELECT
			min(t.nth) AS nth,
			t.state,
			t.alike,
			(array_agg(t.error ORDER BY t.nth))[1] AS error,
			string_agg(format('<code>%s</code>', pgmaint_internal.html_text(t.what)), '<br/>' ORDER BY t.nth) AS named,
			count(*) AS names
		FROM told t
		WHERE NOT t.done
		GROUP BY t.first_alike, t.state, t.alike
	),
	tables AS (
		SELECT
			(SELECT pgmaint_internal.html_table('Tasks that did not succeed', ARRAY['State', '#Tasks', 'Which', 'Reason'], array_agg(ARRAY[
				pgmaint_internal.html_state(r.state),
				pgmaint.count_text(r.alike),
				r.named || CASE WHEN r.alike > r.names THEN format('<br/>&#8230; and %s more', pgmaint.count_text(r.alike - r.names)) ELSE '' END,
				pgmaint_internal.html_text(r.error)
			] ORDER BY r.nth))
			FROM reasons r) AS not_done,
			(SELECT pgmaint_internal.html_table('Tasks that freed or removed most first, then the longest', ARRAY['Task', 'Reason', 'Result', '#Time'], array_agg(ARRAY[
				format('<code>%s</code>', pgmaint_internal.html_text(t.what)),
				pgmaint_internal.html_text(t.reason),
				pgmaint_internal.html_text(t.gain),
				pgmaint_internal.duration_text(t.seconds)
			] ORDER BY t.nth))
			FROM told t
			WHERE t.done) AS done,
			c.succeeded,
			(SELECT format(E'<p>%s of %s tasks shown, of those not done up to five for each reason, then those that freed or removed most, then the longest;'
				' <code>SELECT * FROM pgmaint.task_results WHERE run_id = %s</code> has all.</p>\n', x.shown, pgmaint.count_text(c.tasks), html_tasks.run_id)
			FROM (SELECT count(*) AS shown FROM shown) x
			WHERE x.shown < c.single) AS left_out
		FROM counts c
	)
	SELECT
		pgmaint_internal.html_section('not-done', 'Not done', t.not_done || CASE WHEN t.done IS NULL THEN coalesce(t.left_out, '') ELSE '' END),
		pgmaint_internal.html_section('done', 'Tasks that succeeded', pgmaint_internal.html_fold(
			pgmaint_internal.html_state('ok', pgmaint.count_text(t.succeeded) || CASE t.succeeded WHEN 1 THEN ' task' ELSE ' tasks' END),
			t.done || coalesce(t.left_out, '')))
	FROM tables t;
END;

COMMENT ON FUNCTION pgmaint_internal.html_tasks(bigint) IS 'the tasks of a run that did not succeed, with the reasons, and those that did, with their results';

REVOKE ALL ON FUNCTION
	pgmaint_internal.html_lead(bigint, bigint, bigint, bigint),
	pgmaint_internal.html_run(bigint),
	pgmaint_internal.html_alert(pgmaint.finding_results),
	pgmaint_internal.html_findings(bigint),
	pgmaint_internal.html_steps(bigint),
	pgmaint_internal.html_tasks(bigint)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.html_lead(bigint, bigint, bigint, bigint),
	pgmaint_internal.html_run(bigint),
	pgmaint_internal.html_alert(pgmaint.finding_results),
	pgmaint_internal.html_findings(bigint),
	pgmaint_internal.html_steps(bigint),
	pgmaint_internal.html_tasks(bigint)
TO pg_monitor;
