-- The parts of the page of report_html() that are about a run, and what
-- validate() finds.  Each is null where there is nothing to tell.

-- What a check is about, and what to do where its findings do not say so.
CREATE FUNCTION pgmaint_internal.check_guide()
RETURNS TABLE (check_id text, title text, remedy text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60
BEGIN ATOMIC
	VALUES
		('F004'::text, 'table bloat'::text, 'The action vacuum_full writes such tables anew inside a maintenance window (pgmaint.add_window), or at any time with {"ignore_window": true}.'::text),
		('F005', 'index bloat', 'The action reindex rebuilds such indexes, concurrently where the server can: SELECT pgmaint.run_action(''reindex'').'),
		('H001', 'invalid indexes', NULL),
		('H002', 'indexes that nothing reads', 'DROP INDEX CONCURRENTLY drops one, once you know that nothing else needs it: a standby, or a report once a year. pgmaint never does.'),
		('H003', 'foreign keys without an index', 'CREATE INDEX CONCURRENTLY on the columns that refer to the other table: without it, a DELETE there reads all of this one.'),
		('H004', 'indexes that others make superfluous', 'DROP INDEX CONCURRENTLY drops one; pgmaint.index_usage() says which other index does its work.'),
		('index_advice', 'indexes that would help', 'What was advised is in pgmaint.index_advice(), with the queries that gain. pgmaint creates none; the next run says what became of it.'),
		('collation', 'collations that changed', 'The action reindex rebuilds these indexes before all others: SELECT pgmaint.run_action(''reindex'').'),
		('corruption', 'damage on disk', 'Copy the data directory as it is before anything else. A damaged index is rebuilt once its table is found sound; a damaged table comes from a backup.'),
		('checksums', 'data checksums', 'Look at the storage: what failed once fails again. Compare with a backup, and replace the disk.'),
		('sequences', 'sequences near their end', 'Change the column and its sequence to bigint before the last value is used.'),
		('constraints', 'constraints that were never validated', NULL),
		('amcheck', 'what was not checked for corruption', NULL),
		('privileges', 'what the role has no rights to', 'Have the plan run by a role that may do it, or grant the rights.'),
		('retention', 'retention', NULL),
		('archive', 'archives that were read', 'A copy of the object, or an older version of it, may be whole: put it in its place, and have verify_archive() read it again.'),
		('backup', 'backups', NULL),
		('unknown_objects', 'objects that stand in no row of the ledger', NULL),
		('expire_backups', 'backups that should expire', NULL),
		('slow_queries', 'queries that were not reviewed', NULL),
		('degradation', 'queries that became slower with maintenance', 'SELECT * FROM pgmaint.degraded_queries() says what was maintained before, pgmaint.query_plans how the query was planned then and is now. Statistics with a larger target, or an index, often help.'),
		('plan_changed', 'queries that are planned in another way', 'SELECT * FROM pgmaint.query_plans has both plans. It matters where the query takes longer: SELECT * FROM pgmaint.slow_queries(order_by => ''change'').'),
		('failed', 'tasks and runs that failed', 'pgmaint.tasks has the commands and what went wrong. Once that is put right, the next run of the plan does them again.'),
		('skipped', 'tasks that were skipped', 'SELECT * FROM pgmaint.xmin_holders() says who keeps old rows now; a lock that somebody holds may be gone by the next run.'),
		('storage_renamed', 'storages with a new name', NULL),
		('repack', 'tables that REPACK (CONCURRENTLY) rewrote', 'A dump that began before the table was rewritten and went on after it may lack its rows: repeat it.'),
		('window', 'work that waits for a maintenance window', NULL),
		('server_release', 'minor releases with known holes', 'Update the server''s packages, and restart the server.'),
		('worker_slots', 'background workers', 'Raise max_worker_processes, and restart the server.'),
		('missed_schedule', 'schedules that were missed', 'SELECT * FROM pgmaint.schedules says what pg_cron knows, and what is wrong.'),
		('interrupted', 'runs that were interrupted', NULL),
		('delivery', 'contacts that cannot be reached', 'SELECT * FROM pgmaint.notifications says why. Once the receiver is in order: SELECT pgmaint.run_action(''escalate'', ''{"retry": true}'').'),
		('orphaned_files', 'files that belong to no relation', NULL),
		-- those of validate()
		('archiver', 'archiving of WAL', 'The server log has what archive_command said. Until it succeeds, WAL stays on the disk, and fills it.'),
		('backup_exists', 'databases without a backup', 'SELECT pgmaint.run_action(''backup'') makes one of this database, SELECT pgmaint.schedule(''daily'') one each day.'),
		('backup_recent', 'backups that are old', 'pgmaint.backups says how the last attempts ended, pgmaint.schedules whether there will be others.'),
		('backup_verified', 'backups that were not proven', 'SELECT pgmaint.run_action(''verify_backup'') restores the newest of each database into a private server, and compares.'),
		('bloat', 'bloat in all', 'The actions reindex and vacuum_full give it back.'),
		('bloat_measured', 'bloat that was not measured', 'SELECT pgmaint.run_action(''bloat_report'') measures it.'),
		('checksum_failures', 'checksum failures', 'Look at the storage: what failed once fails again. SELECT pgmaint.run_action(''check_corruption'') finds what is damaged.'),
		('connections', 'connections', 'SELECT * FROM pgmaint.connection_review() says who has them, and what max_connections should be.'),
		('disk_free', 'room on the disk', 'Make room, or move a tablespace: a server whose disk is full stops.'),
		('disk_headroom', 'room for maintenance', 'Make room: what writes a copy of a table or an index is skipped where the copy does not fit.'),
		('extensions', 'extensions with updates', 'ALTER EXTENSION ... UPDATE brings each up to its files.'),
		('invalid_indexes', 'invalid indexes', 'SELECT pgmaint.run_action(''reindex'') rebuilds them; what nobody needs is dropped by hand.'),
		('long_transactions', 'long transactions', 'They keep dead rows from being removed. pg_terminate_backend(pid) ends one; pgmaint never does.'),
		('pending_restart', 'settings that wait for a restart', 'Restart the server when it suits its users.'),
		('prepared_transactions', 'prepared transactions', 'COMMIT PREPARED or ROLLBACK PREPARED ends one whose coordinator has forgotten it.'),
		('recovery', 'a server in recovery', 'Nothing to do on a standby. What should be a primary is made one by SELECT pg_promote().'),
		('replication_lag', 'standbys that lag', 'Look at the network and the load of the standby; pg_stat_replication says where it stands.'),
		('replication_slots', 'replication slots', 'They keep WAL on the disk. SELECT pg_drop_replication_slot(name) drops one that nobody reads any more.'),
		('schedules', 'schedules that were missed', 'SELECT * FROM pgmaint.schedules says what pg_cron knows, and what is wrong.'),
		('storage', 'objects of archives and backups', 'Look for them in versions or copies of the bucket or folder before anything else: SELECT pgmaint.run_action(''validate'') compares again. SELECT * FROM pgmaint.verify_archive(number) reads a damaged archive again.'),
		('statistics', 'statistics', 'SELECT pgmaint.run_action(''analyze'') renews them.'),
		('undelivered_messages', 'messages to contacts that do not arrive', 'Once the receiver is in order: SELECT pgmaint.run_action(''escalate'', ''{"retry": true}'').'),
		('wraparound', 'transaction IDs', 'SELECT pgmaint.run_action(''vacuum'') freezes what is oldest; whatever keeps an old snapshot has to end first.'),
		-- these say it themselves
		('checksums_enabled', 'data checksums', NULL),
		('failed_runs', 'plans whose last runs failed', NULL),
		('nobody_is_told', 'critical alerts without a contact', NULL),
		('identity', 'a database that may be a copy', 'SELECT pgmaint.take_over() where this database is the successor; SELECT pgmaint.stay_copy() where it is a copy, and stays one'),
		('nothing_scheduled', 'nothing is scheduled', NULL);
END;

COMMENT ON FUNCTION pgmaint_internal.check_guide() IS 'what the checks that make findings are about, and what to do where a finding does not say it itself';

CREATE FUNCTION pgmaint_internal.html_run(run_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT concat(
		E'<header>\n<p class="kind">pgmaint: run ', r.run_id, E'</p>\n<h1>', pgmaint_internal.html_text(pgmaint.one_line(r.plan)), ' ', pgmaint_internal.html_state(r.state), E'</h1>\n',
		'<p class="error">' || pgmaint_internal.html_text(pgmaint.one_line(r.error)) || E'</p>\n',
		'<ul class="tiles">',
		format('<li><b>%s</b>of %s %s done</li>', pgmaint.count_text(s.succeeded), pgmaint.count_text(s.planned), CASE WHEN s.planned = 1 THEN 'task' ELSE 'tasks' END),
		format('<li><b%s>%s</b>failed or stopped</li>', CASE WHEN s.failed > 0 THEN ' class="bad"' ELSE '' END, pgmaint.count_text(s.failed)),
		format('<li><b%s>%s</b>skipped</li>', CASE WHEN s.skipped > 0 THEN ' class="poor"' ELSE '' END, pgmaint.count_text(s.skipped)),
		CASE WHEN s.open > 0 THEN format('<li><b>%s</b>to go</li>', pgmaint.count_text(s.open)) END,
		format('<li><b>%s</b>returned</li>', pg_size_pretty(s.returned_bytes)),
		format('<li><b%s>%s</b>critical %s</li>', CASE WHEN f.critical > 0 THEN ' class="bad"' ELSE '' END, pgmaint.count_text(f.critical), CASE WHEN f.critical = 1 THEN 'finding' ELSE 'findings' END),
		format('<li><b%s>%s</b>%s</li>', CASE WHEN f.warning > 0 THEN ' class="poor"' ELSE '' END, pgmaint.count_text(f.warning), CASE WHEN f.warning = 1 THEN 'warning' ELSE 'warnings' END),
		'<li><b>' || pgmaint_internal.duration_text(extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - r.started_at)) || '</b>'
			|| CASE WHEN r.finished_at IS NULL THEN 'so far' ELSE 'from begin to end' END || '</li>',
		E'</ul>\n<dl>',
		format('<div><dt>Database</dt><dd>%s</dd></div>', pgmaint_internal.html_text(current_database())),
		format('<div><dt>Server</dt><dd>PostgreSQL %s%s, port %s</dd></div>', pgmaint_internal.html_text(current_setting('server_version')),
			pgmaint_internal.html_text(coalesce(', ' || nullif(current_setting('cluster_name'), ''), '')), current_setting('port')),
		format('<div><dt>Requested by</dt><dd>%s</dd></div>', pgmaint_internal.html_text(pgmaint.one_line(r.requested_by::text))),
		format('<div><dt>Requested</dt><dd>%s</dd></div>', pgmaint_internal.html_time(r.requested_at)),
		format('<div><dt>Began</dt><dd>%s</dd></div>', coalesce(pgmaint_internal.html_time(r.started_at), 'not yet')),
		format('<div><dt>Ended</dt><dd>%s</dd></div>', coalesce(pgmaint_internal.html_time(r.finished_at), 'not yet')),
		format('<div><dt>Options</dt><dd><code>%s</code></dd></div>', pgmaint_internal.html_text(nullif(r.options, '{}')::text)),
		CASE WHEN r.resumes IS NOT NULL THEN format('<div><dt>Does the rest of</dt><dd>run %s, which was interrupted</dd></div>', r.resumes) END,
		E'</dl>\n</header>\n')
	FROM pgmaint.runs r
	CROSS JOIN LATERAL (
		SELECT
			coalesce(sum(x.planned), 0)::bigint AS planned,
			coalesce(sum(x.succeeded), 0)::bigint AS succeeded,
			coalesce(sum(x.failed + x.stopped), 0)::bigint AS failed,
			coalesce(sum(x.skipped), 0)::bigint AS skipped,
			coalesce(sum(x.open), 0)::bigint AS open,
			coalesce(sum(x.returned_bytes), 0)::bigint AS returned_bytes
		FROM pgmaint.step_results x
		WHERE x.run_id = r.run_id
	) s
	CROSS JOIN LATERAL (
		SELECT
			count(*) FILTER (WHERE x.severity = 'critical') AS critical,
			count(*) FILTER (WHERE x.severity = 'warning' AND x.check_id <> 'skipped') AS warning
		FROM pgmaint.findings x
		WHERE x.run_id = r.run_id
	) f
	WHERE r.run_id = html_run.run_id;
END;

COMMENT ON FUNCTION pgmaint_internal.html_run(bigint) IS 'the head of the page: which run, and what it came to';

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

COMMENT ON FUNCTION pgmaint_internal.html_alert(pgmaint.finding_results) IS 'what became of the alert that a finding belongs to; null: it belongs to none yet';

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
				-- most messages name their object
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
		CASE WHEN EXISTS (SELECT FROM found f WHERE f.state NOT IN ('acknowledged', 'resolved')) THEN
			E'<p>To stop further notifications for an alert, acknowledge it by its number: <code>SELECT pgmaint.acknowledge(number)</code>.</p>\n' END,
		CASE WHEN sum(x.findings) > (SELECT count(*) FROM told) THEN
			format(E'<p>%s of %s findings shown, up to five of each kind, or ten with commands, the most severe first; <code>SELECT * FROM pgmaint.findings WHERE run_id = %s</code> has all.</p>\n',
				(SELECT count(*) FROM told), pgmaint.count_text(sum(x.findings)::bigint), html_findings.run_id) END,
		string_agg(x.content, '' ORDER BY x.badness)))
	FROM (
		SELECT
			v.badness,
			v.findings,
			concat(format(E'<h3>%s: %s</h3>\n', pgmaint_internal.html_state(v.severity), pgmaint.count_text(v.findings)),
				string_agg(k.content, '' ORDER BY k.check_id),
				CASE WHEN count(k.check_id) < v.checks THEN format(E'<p>Other checks that found something: %s.</p>\n', pgmaint.count_text(v.checks - count(k.check_id))) END) AS content
		FROM (SELECT s.*, (SELECT count(*) FROM counted c WHERE c.severity = s.severity) AS checks FROM severities s) v
		LEFT JOIN checks k ON k.severity = v.severity
		GROUP BY v.severity, v.badness, v.findings, v.checks
	) x
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.html_findings(bigint) IS 'the findings of a run, the worst first, and what to do about them';

CREATE FUNCTION pgmaint_internal.html_steps(run_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT pgmaint_internal.html_section('steps', 'Steps', concat(
		pgmaint_internal.html_table('The steps of the plan, in their order', ARRAY['Step', '#Done', 'Not done', '#Time', 'What came of it'],
			array_agg(ARRAY[
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
			] ORDER BY s.step)),
		pgmaint_internal.svg_timeline(html_steps.run_id)))
	FROM pgmaint.step_results s
	WHERE s.run_id = html_steps.run_id
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.html_steps(bigint) IS 'what the steps of a run came to, and when they were at work';

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
			(SELECT pgmaint_internal.html_table('Tasks that did not succeed, and why', ARRAY['State', '#Tasks', 'Which', 'Why'], array_agg(ARRAY[
				pgmaint_internal.html_state(r.state),
				pgmaint.count_text(r.alike),
				r.named || CASE WHEN r.alike > r.names THEN format('<br/>&#8230; and %s more', pgmaint.count_text(r.alike - r.names)) ELSE '' END,
				pgmaint_internal.html_text(r.error)
			] ORDER BY r.nth))
			FROM reasons r) AS not_done,
			(SELECT pgmaint_internal.html_table('What gave back or removed most first, then what took longest', ARRAY['What', 'Why', 'Result', '#Time'], array_agg(ARRAY[
				format('<code>%s</code>', pgmaint_internal.html_text(t.what)),
				pgmaint_internal.html_text(t.reason),
				pgmaint_internal.html_text(t.gain),
				pgmaint_internal.duration_text(t.seconds)
			] ORDER BY t.nth))
			FROM told t
			WHERE t.done) AS done,
			(SELECT format(E'<p>%s of %s tasks shown, of those not done up to five for each reason, then what gave back or removed most, then what took longest;'
				' <code>SELECT * FROM pgmaint.task_results WHERE run_id = %s</code> has all.</p>\n', x.shown, pgmaint.count_text(c.tasks), html_tasks.run_id)
			FROM (SELECT count(*) AS shown FROM shown) x
			WHERE x.shown < c.single) AS left_out
		FROM counts c
	)
	SELECT
		pgmaint_internal.html_section('not-done', 'Not done', t.not_done || CASE WHEN t.done IS NULL THEN coalesce(t.left_out, '') ELSE '' END),
		pgmaint_internal.html_section('done', 'Done, task by task', t.done || coalesce(t.left_out, ''))
	FROM tables t;
END;

COMMENT ON FUNCTION pgmaint_internal.html_tasks(bigint) IS 'what a run did not do, and why; what it did, why, and what it gained';

CREATE FUNCTION pgmaint_internal.html_checks()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH checked AS MATERIALIZED (
		SELECT v.*, row_number() OVER (PARTITION BY v.status = 'ok' ORDER BY array_position(ARRAY['critical', 'warning', 'ok'], v.status), v.check_id, v.object) AS nth
		FROM pgmaint.validate() v
	)
	SELECT pgmaint_internal.html_section('checks', 'Is everything in order now?', concat(
		format(E'<p>%s</p>\n', concat_ws(', ',
			CASE WHEN count(*) FILTER (WHERE c.status = 'critical') > 0 THEN pgmaint_internal.html_state('critical', count(*) FILTER (WHERE c.status = 'critical') || ' critical') END,
			CASE WHEN count(*) FILTER (WHERE c.status = 'warning') > 0 THEN pgmaint_internal.html_state('warning', count(*) FILTER (WHERE c.status = 'warning') || CASE count(*) FILTER (WHERE c.status = 'warning') WHEN 1 THEN ' warning' ELSE ' warnings' END) END,
			pgmaint_internal.html_state('ok', count(*) FILTER (WHERE c.status = 'ok') || ' ok'))),
		pgmaint_internal.html_table('What pgmaint.validate() finds', ARRAY['Status', 'Check', 'Detail', 'Expected'], array_agg(ARRAY[
			pgmaint_internal.html_state(c.status),
			pgmaint_internal.html_name(c.check_id),
			pgmaint_internal.html_text(c.detail) || CASE WHEN c.status <> 'ok' AND g.remedy IS NOT NULL
				THEN format('<br/><span class="soft">%s</span>', pgmaint_internal.html_text(g.remedy)) ELSE '' END,
			pgmaint_internal.html_text(c.expected)
		] ORDER BY c.status = 'ok', c.nth) FILTER (WHERE c.nth <= 40)),
		CASE WHEN count(*) FILTER (WHERE c.nth > 40) > 0 THEN format('<p>%s more: <code>SELECT * FROM pgmaint.validate()</code></p>', count(*) FILTER (WHERE c.nth > 40)) END))
	FROM checked c
	LEFT JOIN pgmaint_internal.check_guide() g USING (check_id)
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.html_checks() IS 'what validate() finds now';

REVOKE ALL ON FUNCTION
	pgmaint_internal.check_guide(),
	pgmaint_internal.html_run(bigint),
	pgmaint_internal.html_alert(pgmaint.finding_results),
	pgmaint_internal.html_findings(bigint),
	pgmaint_internal.html_steps(bigint),
	pgmaint_internal.html_tasks(bigint),
	pgmaint_internal.html_checks()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.check_guide(),
	pgmaint_internal.html_run(bigint),
	pgmaint_internal.html_alert(pgmaint.finding_results),
	pgmaint_internal.html_findings(bigint),
	pgmaint_internal.html_steps(bigint),
	pgmaint_internal.html_tasks(bigint),
	pgmaint_internal.html_checks()
TO pg_monitor;
