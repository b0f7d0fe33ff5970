-- The report of a run, for a person.  Its texts are in views, for the lines of
-- report() and for the page of report_html().
--
-- Each action describes the results of its tasks.  Remarks, and the figures that are
-- added up, have the same keys in the result of every action; see
-- src/action/result.h.

CREATE VIEW pgmaint.task_results AS
SELECT
	t.task_id,
	t.run_id,
	t.step,
	t.action,
	pgmaint.one_line(t.target) AS target,
	pgmaint.one_line(t.command) AS what,
	t.state,
	t.attempt,
	t.worker,
	t.started_at,
	t.finished_at,
	t.seconds,
	pgmaint.one_line(t.reason) AS reason,
	pgmaint.one_line(t.error) AS error,
	pgmaint.one_line(coalesce(t.outcome, t.result::text, '')) AS gain,
	t.returned_bytes,
	t.removed_rows,
	t.left_rows,
	t.archived_bytes,
	t.bytes_before,
	t.one_of_many,
	t.one_for_all,
	(
		SELECT pg_catalog.array_agg(r.remark ORDER BY r.nth)
		FROM pg_catalog.jsonb_array_elements_text(t.result -> 'remarks') WITH ORDINALITY AS r (remark, nth)
	) AS remarks
FROM (
	SELECT
		t.*,
		pg_catalog.extract('epoch', t.finished_at - t.started_at) AS seconds,
		coalesce(t.shown_as = 'count', false) AS one_of_many,
		coalesce(t.shown_as = 'step', false) AS one_for_all,
		coalesce((t.result ->> 'returned_bytes')::bigint,
			-- as versions before 0.3 have it
			CASE WHEN t.outcome IS NULL THEN greatest(t.bytes_before - t.bytes_after, 0) END, 0) AS returned_bytes,
		greatest((t.result ->> 'dead_rows_before')::bigint - (t.result ->> 'dead_rows_after')::bigint, 0) AS removed_rows,
		(t.result ->> 'deleted_rows')::bigint AS left_rows,
		(t.result ->> 'archived_bytes')::bigint AS archived_bytes
	FROM pgmaint.tasks t
) t;

COMMENT ON VIEW pgmaint.task_results IS 'each task, with its result in words in gain; of tasks that versions before 0.3 carried out, the result as JSON';
COMMENT ON COLUMN pgmaint.task_results.task_id IS 'the task in pgmaint.tasks';
COMMENT ON COLUMN pgmaint.task_results.run_id IS 'the run in pgmaint.runs';
COMMENT ON COLUMN pgmaint.task_results.step IS 'number of the step of the run, from 1';
COMMENT ON COLUMN pgmaint.task_results.action IS 'name of the action';
COMMENT ON COLUMN pgmaint.task_results.target IS 'the object, as it was named when the task was planned, in one line';
COMMENT ON COLUMN pgmaint.task_results.what IS 'the command that the task executes, in one line';
COMMENT ON COLUMN pgmaint.task_results.state IS 'as in pgmaint.tasks';
COMMENT ON COLUMN pgmaint.task_results.attempt IS 'how often the task was begun';
COMMENT ON COLUMN pgmaint.task_results.worker IS 'number of the task worker within its run; null: the task has not begun';
COMMENT ON COLUMN pgmaint.task_results.started_at IS 'when the last attempt began; null: the task has not begun';
COMMENT ON COLUMN pgmaint.task_results.finished_at IS 'when the task ended; null: it is pending or running';
COMMENT ON COLUMN pgmaint.task_results.seconds IS 'how long the last attempt took, in seconds; null: it has not ended, or did not begin';
COMMENT ON COLUMN pgmaint.task_results.reason IS 'why the task was planned, in one line';
COMMENT ON COLUMN pgmaint.task_results.error IS 'why the task failed, was skipped or was stopped, in one line; null: none of these';
COMMENT ON COLUMN pgmaint.task_results.gain IS 'the result of the task in words, in one line; of tasks that versions before 0.3 carried out, the result as JSON; empty: no result';
COMMENT ON COLUMN pgmaint.task_results.returned_bytes IS 'bytes that the task returned to the file system; 0 also where that is not known';
COMMENT ON COLUMN pgmaint.task_results.removed_rows IS 'dead rows that the task removed; 0 also where that is not known';
COMMENT ON COLUMN pgmaint.task_results.left_rows IS 'rows deleted by a retention policy; null: another action, or not done';
COMMENT ON COLUMN pgmaint.task_results.archived_bytes IS 'size in bytes of the archives of these rows; null: they were not archived';
COMMENT ON COLUMN pgmaint.task_results.bytes_before IS 'as in pgmaint.tasks';
COMMENT ON COLUMN pgmaint.task_results.one_of_many IS 'whether a report counts the task with others of its action, unless it failed';
COMMENT ON COLUMN pgmaint.task_results.one_for_all IS 'whether a report shows the task with its step, unless it failed';
COMMENT ON COLUMN pgmaint.task_results.remarks IS 'remarks on the task, a line each; null: none';

CREATE VIEW pgmaint.step_results AS
SELECT
	r.run_id,
	s.step,
	s.definition ->> 'action' AS action,
	CASE
		WHEN s.step > r.current_step THEN 'not reached'
		WHEN g.planned = 0 THEN 'nothing due'
		WHEN g.told = g.planned THEN pg_catalog.format('%s (%s s)', g.gain, pg_catalog.round(g.seconds, 1))
		ELSE pg_catalog.concat_ws(', ',
			pg_catalog.format('%s of %s done in %s s', g.succeeded, g.planned, pg_catalog.round(g.seconds, 1)),
			CASE WHEN g.failed > 0 THEN g.failed || ' failed' END,
			CASE WHEN g.skipped > 0 THEN g.skipped || ' skipped' END,
			CASE WHEN g.stopped > 0 THEN g.stopped || ' stopped' END,
			CASE WHEN g.open > 0 THEN g.open || ' to go' END,
			g.gain)
	END AS outcome,
	g.gain,
	s.step <= r.current_step AS reached,
	g.planned,
	g.succeeded,
	g.failed,
	g.skipped,
	g.stopped,
	g.open,
	g.started_at,
	g.seconds,
	g.returned_bytes,
	(
		SELECT pg_catalog.array_agg(m.remark ORDER BY t.task_id, m.nth)
		FROM pgmaint.task_results t
		CROSS JOIN LATERAL pg_catalog.unnest(t.remarks) WITH ORDINALITY AS m (remark, nth)
		WHERE t.run_id = r.run_id AND t.step = s.step AND t.state = 'succeeded'
	) AS remarks
FROM pgmaint.runs r
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(r.steps) WITH ORDINALITY AS s (definition, step)
CROSS JOIN LATERAL (
	SELECT
		a.*,
		nullif(pg_catalog.concat_ws(', ',
			a.told_gain,
			CASE WHEN a.counted > 0 THEN pg_catalog.concat(
				pg_catalog.btrim(pg_catalog.to_char(a.counted, '999,999,999,990')), CASE WHEN a.counted = 1 THEN ' object' ELSE ' objects' END,
				' of ' || pg_catalog.pg_size_pretty(a.counted_bytes),
				-- the result that all of them have in common
				(SELECT CASE WHEN pg_catalog.min(x.outcome) = pg_catalog.max(x.outcome) THEN ': ' || nullif(pgmaint.one_line(pg_catalog.min(x.outcome)), '') END
				FROM pgmaint.tasks x
				WHERE x.run_id = r.run_id AND x.step = s.step AND x.state = 'succeeded' AND x.shown_as = 'count')) END,
			CASE WHEN a.left_rows > 0 THEN pg_catalog.btrim(pg_catalog.to_char(a.left_rows, '999,999,999,999,999')) || ' rows deleted' END,
			CASE WHEN a.archived_bytes > 0 THEN pg_catalog.pg_size_pretty(a.archived_bytes) || ' archived' END,
			CASE WHEN a.removed_rows > 0 THEN pg_catalog.btrim(pg_catalog.to_char(a.removed_rows, '999,999,999,999,999')) || ' dead rows removed' END,
			CASE WHEN a.returned_bytes > 0 THEN pg_catalog.pg_size_pretty(a.returned_bytes) || ' returned' END), '') AS gain
	FROM (
		SELECT
			pg_catalog.count(*) AS planned,
			pg_catalog.count(*) FILTER (WHERE t.state = 'succeeded') AS succeeded,
			pg_catalog.count(*) FILTER (WHERE t.state = 'failed') AS failed,
			pg_catalog.count(*) FILTER (WHERE t.state = 'skipped') AS skipped,
			pg_catalog.count(*) FILTER (WHERE t.state IN ('cancelled', 'interrupted')) AS stopped,
			pg_catalog.count(*) FILTER (WHERE t.state IN ('pending', 'running')) AS open,
			pg_catalog.min(t.started_at) AS started_at,
			coalesce(pg_catalog.extract('epoch', pg_catalog.max(t.finished_at) - pg_catalog.min(t.started_at)), 0) AS seconds,
			pg_catalog.sum(t.left_rows) AS left_rows,
			pg_catalog.sum(t.archived_bytes) AS archived_bytes,
			pg_catalog.sum(t.removed_rows) AS removed_rows,
			pg_catalog.sum(t.returned_bytes) AS returned_bytes,
			pg_catalog.count(*) FILTER (WHERE t.one_for_all AND t.state = 'succeeded' AND t.gain <> '') AS told,
			pg_catalog.string_agg(t.gain, ', ') FILTER (WHERE t.one_for_all AND t.state = 'succeeded') AS told_gain,
			pg_catalog.count(*) FILTER (WHERE t.one_of_many AND t.state = 'succeeded') AS counted,
			pg_catalog.sum(t.bytes_before) FILTER (WHERE t.one_of_many AND t.state = 'succeeded') AS counted_bytes
		FROM pgmaint.task_results t
		WHERE t.run_id = r.run_id AND t.step = s.step
	) a
) g;

COMMENT ON VIEW pgmaint.step_results IS 'the results of each step of each run, in words and in figures';
COMMENT ON COLUMN pgmaint.step_results.run_id IS 'the run in pgmaint.runs';
COMMENT ON COLUMN pgmaint.step_results.step IS 'number of the step of the run, from 1';
COMMENT ON COLUMN pgmaint.step_results.action IS 'name of the action';
COMMENT ON COLUMN pgmaint.step_results.outcome IS 'the result of the step, in words';
COMMENT ON COLUMN pgmaint.step_results.gain IS 'the results of the tasks of the step, in words; null: none';
COMMENT ON COLUMN pgmaint.step_results.reached IS 'whether the run has begun the step';
COMMENT ON COLUMN pgmaint.step_results.planned IS 'tasks of the step';
COMMENT ON COLUMN pgmaint.step_results.succeeded IS 'how many of these have succeeded';
COMMENT ON COLUMN pgmaint.step_results.failed IS 'how many of these have failed';
COMMENT ON COLUMN pgmaint.step_results.skipped IS 'how many of these were skipped';
COMMENT ON COLUMN pgmaint.step_results.stopped IS 'how many of these were cancelled or interrupted';
COMMENT ON COLUMN pgmaint.step_results.open IS 'how many of these are pending or running';
COMMENT ON COLUMN pgmaint.step_results.started_at IS 'when the first of these began; null: none has';
COMMENT ON COLUMN pgmaint.step_results.seconds IS 'seconds from the first beginning of a task to the last end of one; 0: none has ended';
COMMENT ON COLUMN pgmaint.step_results.returned_bytes IS 'bytes that the tasks returned to the file system; null: there are no tasks';
COMMENT ON COLUMN pgmaint.step_results.remarks IS 'remarks on the tasks that succeeded, a line each; null: none';

-- A name with a line break may have a line that is a command.
CREATE FUNCTION pgmaint.may_be_copied(command text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT may_be_copied.command !~ E'[\\x01-\\x1f\\x7f]' OR (may_be_copied.command !~ E'[\\x01-\\x09\\x0b-\\x1f''\\x7f]'
		-- no line ends within quotes
		AND NOT EXISTS (SELECT FROM regexp_split_to_table(may_be_copied.command, E'\n') l (line) WHERE length(replace(l.line, '"', '')) % 2 <> length(l.line) % 2));
END;

COMMENT ON FUNCTION pgmaint.may_be_copied(text) IS
	'Returns whether each line of a text of commands is a command by itself: false where a name or a constant has a line break or another control character. '
	'Reports leave out the commands for which it is false.';

REVOKE ALL ON FUNCTION pgmaint.may_be_copied(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.may_be_copied(text) TO pg_monitor;

-- A name must not look like a line of the report, nor end the comment beside a
-- command that a person copies.
CREATE VIEW pgmaint.finding_results AS
SELECT
	f.finding_id,
	f.run_id,
	f.check_id,
	f.severity,
	pgmaint.one_line(f.object) AS object,
	-- messages of index_advice have lines
	CASE WHEN f.check_id = 'index_advice'
		THEN (SELECT pg_catalog.string_agg(pgmaint.one_line(l.line), E'\n' ORDER BY l.nth)
			FROM pg_catalog.string_to_table(coalesce(f.detail ->> 'summary', f.message), E'\n') WITH ORDINALITY AS l (line, nth))
		ELSE pgmaint.one_line(coalesce(f.detail ->> 'summary', f.message)) END AS message,
	c.commands,
	c.remarks,
	CASE WHEN c.total > 10 THEN c.total - 10 ELSE 0 END AS more_commands,
	e.state,
	e.severity AS alert_severity,
	e.condition,
	e.occurrences,
	e.first_seen,
	e.level,
	e.next_contact,
	e.next_step,
	e.acknowledged_by,
	e.acknowledged_at,
	e.resolved_at,
	e.resolution,
	e.alert_id
FROM pgmaint.findings f
CROSS JOIN LATERAL (
	SELECT
		pg_catalog.array_agg(CASE WHEN pgmaint.may_be_copied(o.value ->> 'command') THEN o.value ->> 'command'
			ELSE pg_catalog.format('-- it has names with line breaks: SELECT detail FROM pgmaint.findings WHERE finding_id = %s', f.finding_id) END ORDER BY o.nth)
			FILTER (WHERE o.nth <= 10) AS commands,
		pg_catalog.array_agg(pgmaint.one_line(pg_catalog.concat_ws(', ',
			pg_catalog.pg_size_pretty((o.value ->> 'bytes')::bigint), o.value ->> 'detail')) ORDER BY o.nth)
			FILTER (WHERE o.nth <= 10) AS remarks,
		pg_catalog.count(*) AS total
	FROM pg_catalog.jsonb_array_elements(CASE WHEN f.detail ? 'command' THEN pg_catalog.jsonb_build_array(f.detail)
		WHEN pg_catalog.jsonb_typeof(f.detail -> 'objects') = 'array' THEN f.detail -> 'objects' END) WITH ORDINALITY AS o (value, nth)
	WHERE o.value ? 'command'
) c
-- the limit makes the planner look up this alert only
LEFT JOIN LATERAL (SELECT x.* FROM pgmaint.alerts x WHERE x.alert_id = f.alert_id LIMIT 1) e ON true;

COMMENT ON VIEW pgmaint.finding_results IS 'each finding, with the commands that help and the state of the alert that it belongs to';
COMMENT ON COLUMN pgmaint.finding_results.finding_id IS 'the finding in pgmaint.findings';
COMMENT ON COLUMN pgmaint.finding_results.run_id IS 'the run in pgmaint.runs that noticed it; null: no run did';
COMMENT ON COLUMN pgmaint.finding_results.check_id IS 'which check it was, as in pgmaint.findings';
COMMENT ON COLUMN pgmaint.finding_results.severity IS 'severity of the finding: info, warning, critical';
COMMENT ON COLUMN pgmaint.finding_results.object IS 'name of the object that the finding is about, in one line; null: none';
COMMENT ON COLUMN pgmaint.finding_results.message IS 'the message, in one line; for index_advice in several';
COMMENT ON COLUMN pgmaint.finding_results.commands IS 'up to ten commands that a person may execute; null: there are none; remarks has as many elements';
COMMENT ON COLUMN pgmaint.finding_results.remarks IS 'a remark on each of the commands: a size, a detail; empty: none';
COMMENT ON COLUMN pgmaint.finding_results.more_commands IS 'number of commands in detail of pgmaint.findings beyond these ten';
COMMENT ON COLUMN pgmaint.finding_results.state IS 'state of the alert, as in pgmaint.alerts; null: it belongs to no alert yet, or its severity is info';
COMMENT ON COLUMN pgmaint.finding_results.alert_severity IS 'severity of the alert: warning, critical; null where state is';
COMMENT ON COLUMN pgmaint.finding_results.condition IS 'the condition of escalation that made the alert critical; null: none';
COMMENT ON COLUMN pgmaint.finding_results.occurrences IS 'how many runs noticed the alert; null where state is';
COMMENT ON COLUMN pgmaint.finding_results.first_seen IS 'when the alert was first noticed; null where state is';
COMMENT ON COLUMN pgmaint.finding_results.level IS 'the highest level of the contacts that were notified; 0: none was; null where state is';
COMMENT ON COLUMN pgmaint.finding_results.next_contact IS 'name of the contact that is notified next; null: none is';
COMMENT ON COLUMN pgmaint.finding_results.next_step IS 'when that contact is notified; null: none is';
COMMENT ON COLUMN pgmaint.finding_results.acknowledged_by IS 'the role that acknowledged the alert; null: none has';
COMMENT ON COLUMN pgmaint.finding_results.acknowledged_at IS 'when the alert was acknowledged; null: it was not';
COMMENT ON COLUMN pgmaint.finding_results.resolved_at IS 'when the alert was resolved; null: it is not';
COMMENT ON COLUMN pgmaint.finding_results.resolution IS 'why the alert is resolved; null: it is not';
COMMENT ON COLUMN pgmaint.finding_results.alert_id IS 'number of the alert, for pgmaint.acknowledge(); null: it belongs to no alert yet, or its severity is info';

REVOKE ALL ON pgmaint.task_results, pgmaint.step_results, pgmaint.finding_results FROM PUBLIC;
GRANT SELECT ON pgmaint.task_results, pgmaint.step_results, pgmaint.finding_results TO pg_monitor;

-- A number, since tens of thousands of messages are sorted by it.
CREATE FUNCTION pgmaint.message_pattern(message text, name text)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hashtextextended(regexp_replace(replace(left(message, 1000), coalesce(name, ''), '$'), '[0-9][0-9.,]*( bytes| [kMGT]B)?', '0', 'g') COLLATE "C", 0);

COMMENT ON FUNCTION pgmaint.message_pattern(text, text) IS
	'Returns a hash that is equal for messages that differ only in numbers, sizes and the object''s name (null: none), by their first 1000 characters. '
	'Reports show findings and tasks with the same hash together.';

-- A run may have tens of thousands of tasks, of which a report names the most
-- important.  One task for each reason comes first, so that none is hidden by tasks
-- that are alike; reasons that differ only in numbers and the object's name are the
-- same.  Texts are made for the chosen tasks only.
CREATE FUNCTION pgmaint.shown_tasks(run_id bigint)
RETURNS TABLE (task_id bigint, nth bigint, done boolean, alike bigint, nth_alike bigint, first_alike bigint)
LANGUAGE sql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH not_done AS (
		SELECT
			t.task_id,
			array_position(ARRAY['failed', 'interrupted', 'cancelled', 'skipped'], t.state) AS badness,
			t.action,
			pgmaint.message_pattern(t.error, t.target) AS cause
		FROM pgmaint.tasks t
		WHERE t.run_id = shown_tasks.run_id AND t.state NOT IN ('succeeded', 'pending', 'running')
	),
	numbered AS (
		SELECT
			n.task_id,
			n.badness,
			count(*) OVER of_cause AS alike,
			row_number() OVER (of_cause ORDER BY n.task_id) AS nth_alike,
			min(n.task_id) OVER of_cause AS first_alike
		FROM not_done n
		WINDOW of_cause AS (PARTITION BY n.cause, n.badness, n.action)
	),
	named AS MATERIALIZED (
		SELECT n.*
		FROM numbered n
		WHERE n.nth_alike <= 5
		ORDER BY n.nth_alike > 1, n.badness, n.alike DESC, n.first_alike, n.nth_alike
		LIMIT 100
	),
	done AS (
		SELECT t.task_id, row_number() OVER (ORDER BY t.returned_bytes + coalesce(t.archived_bytes, 0) DESC NULLS LAST,
			coalesce(t.removed_rows, 0) DESC, t.seconds DESC NULLS LAST, t.task_id) AS nth
		FROM pgmaint.task_results t
		WHERE t.run_id = shown_tasks.run_id AND t.state = 'succeeded' AND NOT t.one_of_many AND NOT t.one_for_all
	)
	SELECT n.task_id, row_number() OVER (ORDER BY n.badness, n.alike DESC, n.first_alike, n.nth_alike), false, n.alike, n.nth_alike, n.first_alike
	FROM named n
	UNION ALL
	SELECT d.task_id, d.nth, true, 1, 1, d.task_id
	FROM done d
	WHERE d.nth <= 100 - (SELECT count(*) FROM named);
END;

COMMENT ON FUNCTION pgmaint.shown_tasks(bigint) IS
	'Lists the tasks of a run that its reports name, at most 100: of those that did not succeed up to 5 for each reason, then those that freed or removed most, then the longest. '
	'done says whether the task succeeded, nth is its position in the report among those, alike counts tasks with the same reason, nth_alike numbers them, first_alike is the first of them. '
	'No rows for a run_id that does not exist.';

-- Findings likewise: of those that differ only in numbers and the object's name,
-- five are shown, or ten where each has its own command.
CREATE FUNCTION pgmaint.shown_findings(run_id bigint)
RETURNS TABLE (finding_id bigint, nth bigint, alike bigint, nth_alike bigint, first_alike bigint, more bigint, more_objects text[])
LANGUAGE sql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH found AS (
		SELECT
			f.finding_id,
			f.check_id,
			array_position(ARRAY['critical', 'warning', 'info'], f.severity) AS badness,
			f.object,
			f.detail -> 'bloat_bytes' AS weight,
			CASE WHEN f.detail ? 'command' OR f.detail ? 'objects' THEN 10 ELSE 5 END AS told,
			pgmaint.message_pattern(coalesce(f.detail ->> 'summary', f.message), f.object) AS cause
		FROM pgmaint.findings f
		-- skipped tasks are shown as tasks
		WHERE f.run_id = shown_findings.run_id AND f.check_id NOT IN ('skipped', 'failed')
	),
	numbered AS (
		SELECT
			f.finding_id,
			f.badness,
			f.object,
			f.told,
			count(*) OVER of_cause AS alike,
			row_number() OVER (of_cause ORDER BY f.weight DESC NULLS LAST, f.finding_id) AS nth_alike,
			min(f.finding_id) OVER of_cause AS first_alike
		FROM found f
		WINDOW of_cause AS (PARTITION BY f.cause, f.badness, f.told, f.check_id)
	),
	chosen AS (
		SELECT n.*
		FROM numbered n
		WHERE n.nth_alike <= n.told
		ORDER BY n.nth_alike > 1, n.badness, n.first_alike, n.nth_alike
		LIMIT 100
	),
	counted AS (
		SELECT c.*, max(c.nth_alike) OVER (PARTITION BY c.first_alike) AS told_alike
		FROM chosen c
	)
	SELECT c.finding_id, row_number() OVER (ORDER BY c.badness, c.first_alike, c.nth_alike), c.alike, c.nth_alike, c.first_alike,
		CASE WHEN c.nth_alike = c.told_alike THEN c.alike - c.told_alike ELSE 0 END,
		CASE WHEN c.nth_alike = c.told_alike AND c.alike > c.told_alike THEN (
			SELECT array_agg(pgmaint.one_line(n.object) ORDER BY n.nth_alike)
			FROM numbered n
			WHERE n.first_alike = c.first_alike AND n.nth_alike > c.told_alike AND n.nth_alike <= c.told_alike + 5) END
	FROM counted c;
END;

COMMENT ON FUNCTION pgmaint.shown_findings(bigint) IS
	'Lists the findings of a run that its reports show, at most 100: one of each kind first, then the most severe. '
	'nth is the position in the report, alike counts findings of the kind, nth_alike numbers them, first_alike is the first of them. '
	'more counts findings of the kind that are left out, more_objects names up to 5 of their objects. '
	'No rows for a run_id that does not exist.';

CREATE FUNCTION pgmaint.report(run_id bigint DEFAULT NULL)
RETURNS SETOF text
LANGUAGE sql STABLE ROWS 50 COST 10000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
-- to compile these expressions would take longer than to evaluate them
SET jit = off
BEGIN ATOMIC
	WITH chosen AS (
		SELECT r.*
		FROM pgmaint.runs r
		WHERE r.run_id = coalesce(report.run_id, (SELECT max(x.run_id) FROM pgmaint.runs x))
	),
	counts AS MATERIALIZED (
		SELECT
			count(*) AS tasks,
			count(*) FILTER (WHERE t.state = 'succeeded') AS succeeded,
			count(*) FILTER (WHERE t.state = 'failed') AS failed,
			count(*) FILTER (WHERE t.state IN ('cancelled', 'interrupted')) AS stopped,
			count(*) FILTER (WHERE t.state = 'skipped') AS skipped,
			count(*) FILTER (WHERE t.state IN ('pending', 'running')) AS open,
			-- tasks that are shown by themselves, within the limit
			count(*) FILTER (WHERE t.state NOT IN ('pending', 'running') AND (t.state <> 'succeeded' OR NOT t.one_of_many AND NOT t.one_for_all)) AS single
		FROM pgmaint.task_results t
		JOIN chosen c USING (run_id)
	),
	shown AS MATERIALIZED (
		SELECT s.* FROM chosen c CROSS JOIN LATERAL pgmaint.shown_tasks(c.run_id) s
	),
	told AS MATERIALIZED (
		SELECT s.* FROM chosen c CROSS JOIN LATERAL pgmaint.shown_findings(c.run_id) s
	),
	checks AS MATERIALIZED (
		SELECT f.severity, f.check_id, count(*) AS findings,
			row_number() OVER (PARTITION BY f.severity ORDER BY count(*) DESC, f.check_id) AS nth
		FROM pgmaint.findings f
		JOIN chosen c USING (run_id)
		WHERE f.check_id NOT IN ('skipped', 'failed')
		GROUP BY f.severity, f.check_id
	),
	severities AS MATERIALIZED (
		SELECT
			array_position(ARRAY['critical', 'warning', 'info'], k.severity) AS badness,
			sum(k.findings)::bigint AS findings,
			format('%s %s', pgmaint.count_text(sum(k.findings)::bigint),
				CASE WHEN k.severity = 'warning' AND sum(k.findings) > 1 THEN 'warnings' ELSE k.severity END) AS words,
			concat_ws(', ', string_agg(format('%s %s', pgmaint.one_line(k.check_id), pgmaint.count_text(k.findings)), ', ' ORDER BY k.nth) FILTER (WHERE k.nth <= 10),
				pgmaint.count_text(nullif(sum(k.findings) FILTER (WHERE k.nth > 10), 0)::bigint) || ' of other checks') AS by_check
		FROM checks k
		GROUP BY k.severity
	),
	not_done AS (
		SELECT
			s.first_alike,
			min(s.nth) AS nth,
			max(s.alike) AS alike,
			count(*) AS named,
			(array_agg(format(E'  %s: %s%s\n      %s', t.state, t.what,
				CASE WHEN t.attempt > 1 THEN format(', after %s attempts', t.attempt) END, coalesce(t.error, '')) ORDER BY s.nth))[1] AS first,
			string_agg(t.what, '; ' ORDER BY s.nth) FILTER (WHERE s.nth_alike > 1) AS others
		FROM shown s
		JOIN pgmaint.task_results t ON t.task_id = s.task_id
		WHERE NOT s.done
		GROUP BY s.first_alike
	),
	lines AS (
		SELECT 100 AS part, 0::bigint AS nth, format('Run %s: %s, %s', c.run_id, pgmaint.one_line(c.plan), c.state) AS line FROM chosen c
		UNION ALL
		SELECT 101, 0, format('  requested by %s at %s', pgmaint.one_line(c.requested_by::text), date_trunc('second', c.requested_at)) FROM chosen c
		UNION ALL
		SELECT 102, 0, format('  began %s, took %s', date_trunc('second', c.started_at),
			date_trunc('milliseconds', coalesce(c.finished_at, clock_timestamp()) - c.started_at))
		FROM chosen c WHERE c.started_at IS NOT NULL
		UNION ALL
		SELECT 103, 0, '  options ' || c.options::text FROM chosen c WHERE c.options IS NOT NULL
		UNION ALL
		SELECT 103, 1, format('  does the rest of run %s, which was interrupted', c.resumes) FROM chosen c WHERE c.resumes IS NOT NULL
		UNION ALL
		SELECT 104, 0, '  ' || pgmaint.one_line(c.error) FROM chosen c WHERE c.error IS NOT NULL
		UNION ALL
		SELECT 105, 0, '  tasks: ' || concat_ws(', ',
			format('%s of %s done', pgmaint.count_text(n.succeeded), pgmaint.count_text(n.tasks)),
			pgmaint.count_text(nullif(n.failed, 0)) || ' failed',
			pgmaint.count_text(nullif(n.stopped, 0)) || ' stopped',
			pgmaint.count_text(nullif(n.skipped, 0)) || ' skipped',
			pgmaint.count_text(nullif(n.open, 0)) || ' to go')
		FROM counts n WHERE n.tasks > 0
		UNION ALL
		SELECT 106, 0, '  findings: ' || string_agg(v.words, ', ' ORDER BY v.badness) FROM severities v HAVING count(*) > 0
		UNION ALL
		SELECT 200, 0, E'\nFindings' FROM severities v HAVING count(*) > 0
		UNION ALL
		SELECT 201, v.badness, format('  %s: %s', v.words, v.by_check)
		FROM severities v
		WHERE (SELECT sum(x.findings) FROM severities x) > (SELECT count(*) FROM told)
		UNION ALL
		SELECT 202, s.nth, concat(
				format('  %s %s%s: %s', upper(f.severity), pgmaint.one_line(f.check_id), ' ' || f.object, replace(f.message, E'\n', E'\n      ')),
				(SELECT string_agg(format(E'\n      %s;%s', replace(m.command, E'\n', E'\n      '), '  -- ' || nullif(m.remark, '')), '' ORDER BY m.nth)
				FROM unnest(f.commands, f.remarks) WITH ORDINALITY AS m (command, remark, nth)),
				CASE WHEN f.more_commands > 0 THEN format(
					E'\n      ... and %s more: SELECT o ->> ''command'' FROM pgmaint.findings, jsonb_array_elements(detail -> ''objects'') o WHERE finding_id = %s',
					f.more_commands, f.finding_id) END,
				E'\n      ' || nullif(pgmaint.one_line(concat_ws('; ',
					CASE WHEN f.occurrences > 1 THEN format('noticed by %s runs since %s', f.occurrences, f.first_seen) END,
					CASE WHEN f.alert_severity <> f.severity AND f.state <> 'resolved' THEN format('%s by now%s', f.alert_severity, ': ' || f.condition) END,
					CASE f.state
						WHEN 'notified' THEN format('alert %s: contacts were notified', f.alert_id)
						WHEN 'escalated' THEN format('alert %s: contacts of level %s were notified', f.alert_id, f.level)
						WHEN 'acknowledged' THEN format('alert %s: acknowledged by %s', f.alert_id, f.acknowledged_by)
						WHEN 'resolved' THEN format('resolved at %s: %s', date_trunc('second', f.resolved_at), f.resolution) END,
					CASE WHEN f.state NOT IN ('acknowledged', 'resolved') AND f.next_contact IS NOT NULL THEN format('%s is notified at %s', f.next_contact, f.next_step) END)), ''),
				CASE WHEN s.more > 0 THEN format(E'\n  ... and %s more of %s like %s%s', pgmaint.count_text(s.more), pgmaint.one_line(f.check_id),
					CASE WHEN s.nth_alike = 1 THEN 'this' ELSE 'these' END,
					': ' || nullif(array_to_string(s.more_objects, ', ', NULL), '') || CASE WHEN s.more > cardinality(s.more_objects) THEN ', ...' ELSE '' END) END)
		FROM told s
		JOIN pgmaint.finding_results f ON f.finding_id = s.finding_id
		UNION ALL
		SELECT 203, 0, format('  %s of %s findings shown, up to five of each kind, or ten with commands, the most severe first; SELECT * FROM pgmaint.findings WHERE run_id = %s has all',
			x.told, pgmaint.count_text(v.findings), c.run_id)
		FROM chosen c
		CROSS JOIN (SELECT sum(s.findings)::bigint AS findings FROM severities s) v
		CROSS JOIN (SELECT count(*) AS told FROM told) x
		WHERE x.told < v.findings
		UNION ALL
		SELECT 300, 0, E'\nNot done' WHERE EXISTS (SELECT FROM shown s WHERE NOT s.done)
		UNION ALL
		SELECT 301, d.nth, concat(d.first,
			CASE WHEN d.alike > 1 THEN format(E'\n      and %s more like it%s', pgmaint.count_text(d.alike - 1),
				': ' || d.others || CASE WHEN d.alike > d.named THEN '; ...' ELSE '' END) END)
		FROM not_done d
		UNION ALL
		SELECT 400, 0, E'\nSteps' FROM chosen c
		UNION ALL
		SELECT 401, s.step, concat(format('  %s. %s %s', s.step, rpad(s.action, 17), s.outcome),
			(SELECT string_agg(concat(E'\n', repeat(' ', 6), pgmaint.one_line(m.remark)), '' ORDER BY m.nth)
			FROM unnest(s.remarks) WITH ORDINALITY AS m (remark, nth)))
		FROM pgmaint.step_results s
		JOIN chosen c USING (run_id)
		UNION ALL
		SELECT 500, 0, E'\nDone' WHERE EXISTS (SELECT FROM shown s WHERE s.done)
		UNION ALL
		-- where all tasks are shown, they are in the order of the plan
		SELECT 502, CASE WHEN n.single = (SELECT count(*) FROM shown) THEN s.task_id ELSE s.nth END, concat(
			'  ', t.what, ' (', round(t.seconds, 1), ' s)',
			E'\n      why:    ', t.reason,
			E'\n      result: ' || nullif(t.gain, ''))
		FROM shown s
		JOIN pgmaint.task_results t ON t.task_id = s.task_id
		CROSS JOIN counts n
		WHERE s.done
		UNION ALL
		SELECT 600, 0, format(E'\n%s of %s tasks shown, of those not done up to five for each reason, then those that freed or removed most, then the longest;'
			' SELECT * FROM pgmaint.task_results WHERE run_id = %s has all', x.shown, pgmaint.count_text(n.tasks), c.run_id)
		FROM chosen c
		CROSS JOIN counts n
		CROSS JOIN (SELECT count(*) AS shown FROM shown) x
		WHERE x.shown < n.single
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
	'Returns the report of a run (null: the latest) in lines of text: the run, its findings, the tasks that did not succeed, its steps, and the tasks that did, with their reasons and results. '
	'At most 100 tasks and 100 findings are shown, the others are counted. A run_id that does not exist gives a line that says so.';

REVOKE ALL ON FUNCTION
	pgmaint.message_pattern(text, text),
	pgmaint.shown_tasks(bigint),
	pgmaint.shown_findings(bigint),
	pgmaint.report(bigint)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint.message_pattern(text, text),
	pgmaint.shown_tasks(bigint),
	pgmaint.shown_findings(bigint),
	pgmaint.report(bigint)
TO pg_monitor;
