-- The engine: functions that queue and cancel runs, and their progress.

CREATE FUNCTION pgmaint.run(plan text, options jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_run';

COMMENT ON FUNCTION pgmaint.run(text, jsonb) IS
	'Queues a plan as a run and returns its run_id at once. The run begins when the transaction commits, and never if the transaction rolls back. '
	'options is a JSON object: an option for all steps, or the name of an action with an object of options for its steps; null means the options of the plan. '
	'Commands act with the rights of the caller. Runs of one database execute one after the other; roles take turns. '
	'If an equal run of the same role (same plan, options and settings) is queued and has not begun, its run_id is returned and no second run is queued. '
	'Without a free background worker slot, the run stays queued, with a WARNING. '
	'Errors: unknown plan or option, standby, read-only transaction, and before PostgreSQL 17 a role that cannot log in. A transaction that has called this function cannot be prepared for two-phase commit.';

CREATE FUNCTION pgmaint.run_action(action text, options jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_run_action';

COMMENT ON FUNCTION pgmaint.run_action(text, jsonb) IS
	'Queues one action as a run with a single step and returns its run_id at once. The run begins when the transaction commits. '
	'options is a JSON object of the options that pgmaint.actions() lists for the action; null means the defaults. '
	'Rights, order and errors are those of pgmaint.run().';

CREATE PROCEDURE pgmaint.run_and_wait(plan text, options jsonb DEFAULT NULL, INOUT run_id bigint DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'pgmaint_run_and_wait';

COMMENT ON PROCEDURE pgmaint.run_and_wait(text, jsonb, bigint) IS
	'Queues a plan and waits for the end of the run. options is as in pgmaint.run(), run_id returns the number of the run. '
	'A NOTICE for each finished task has the progress of the run in percent, the position of the task in its step, and its outcome; in steps of more than 100 tasks, quick tasks are counted together. '
	'Raises an error that names the failed tasks if the run did not succeed. '
	'To cancel the run, cancel the CALL; statement_timeout does so, too. If the waiting session is terminated, the run continues. '
	'Errors: a transaction block, a call from a function, and those of pgmaint.run().';

CREATE FUNCTION pgmaint.dry_run(plan text, options jsonb DEFAULT NULL)
RETURNS TABLE (
	step integer,
	action text,
	target text,
	command text,
	reason text,
	estimate_bytes bigint,
	estimate_duration interval,
	estimate_basis text,
	disruptive boolean,
	held_back text
)
LANGUAGE c VOLATILE ROWS 100 COST 1000000
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
SET standard_conforming_strings = on
SET transform_null_equals = off
SET quote_all_identifiers = off
AS 'MODULE_PATHNAME', 'pgmaint_dry_run';

COMMENT ON FUNCTION pgmaint.dry_run(text, jsonb) IS
	'Lists the tasks that a run of the plan would execute now. The function changes nothing and works on a standby. options is as in pgmaint.run(). '
	'Returns a row for each task: step, action, target, command, reason, estimate_bytes (bytes; null: unknown), estimate_duration (null: unknown), estimate_basis (the source of the estimate), disruptive (whether the task runs only in a maintenance window) and held_back (why a disruptive task would be skipped now; null: it would run). '
	'A step that cannot be planned is a WARNING. Errors: unknown plan or option.';

CREATE FUNCTION pgmaint.cancel(run_id bigint)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_cancel';

COMMENT ON FUNCTION pgmaint.cancel(bigint) IS
	'Cancels a run and interrupts the commands that it is executing. Returns true if the run had not ended, else false. '
	'Superusers and members of the role of the run may cancel it. Errors: unknown run_id, missing membership, standby, read-only transaction.';

CREATE FUNCTION pgmaint.tick()
RETURNS boolean
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_tick';

COMMENT ON FUNCTION pgmaint.tick() IS
	'Does the work that is left over between runs: starts a leader for runs that are still queued, marks runs that a crash left running as interrupted and queues their remaining tasks again, records missed schedules, samples connections and statements, and starts a process that notifies contacts. '
	'Returns true if a run was queued or running. Schedule this function every few minutes: pgmaint.schedule_all() does so. Errors: standby, read-only transaction.';

CREATE VIEW pgmaint.progress AS
SELECT
	r.run_id,
	r.plan,
	t.step,
	t.action,
	t.target,
	coalesce(v.phase, a.phase, i.phase, u.phase, CASE WHEN s.wait_event_type = 'Lock' THEN 'waiting for a lock' WHEN k.pid IS NOT NULL THEN 'copying rows'
		WHEN t.action = 'check_corruption' THEN 'checking'
		WHEN t.action = 'compact' THEN CASE WHEN s.query LIKE 'compact: waiting%' THEN 'waiting for older snapshots'
			WHEN s.query LIKE 'compact: cutting off%' THEN 'cutting off the end' WHEN s.query LIKE 'compact: % pages %' THEN 'moving rows' ELSE 'working' END
		WHEN t.action IN ('verify_backup', 'restore_backup') THEN coalesce(pg_catalog.substring(s.query,
			'^(making a private server|restoring: indexes and constraints|restoring|comparing with the manifest|checking indexes|asking verifications)'), 'working')
		ELSE 'working' END) AS phase,
	coalesce(
		pg_catalog.round(CASE
			WHEN v.phase = 'vacuuming heap' THEN 100.0 * v.heap_blks_vacuumed / nullif(v.heap_blks_total, 0)
			-- 17 and later count the indexes, too
			WHEN v.phase IN ('vacuuming indexes', 'cleaning up indexes')
				THEN 100.0 * (x.progress ->> 'indexes_processed')::pg_catalog.int8 / nullif((x.progress ->> 'indexes_total')::pg_catalog.int8, 0)
			ELSE 100.0 * v.heap_blks_scanned / nullif(v.heap_blks_total, 0)
		END, 1),
		pg_catalog.round(100.0 * a.sample_blks_scanned / nullif(a.sample_blks_total, 0), 1),
		pg_catalog.round(CASE
			WHEN i.phase LIKE 'waiting %' THEN 100.0 * i.lockers_done / nullif(i.lockers_total, 0)
			WHEN i.tuples_total > 0 THEN 100.0 * i.tuples_done / i.tuples_total
			ELSE 100.0 * i.blocks_done / nullif(i.blocks_total, 0)
		END, 1),
		-- the indexes come after the heap, and the view does not have their number
		CASE WHEN u.phase = 'seq scanning heap' THEN
			pg_catalog.round(100.0 * u.heap_blks_scanned / nullif(u.heap_blks_total, 0), 1)
			WHEN u.phase = 'rebuilding index' THEN
			pg_catalog.round(100.0 * least(u.index_rebuild_count, e.indexes) / nullif(e.indexes, 0), 1) END,
		-- of the rows that the planner expects
		CASE WHEN k.pid IS NOT NULL THEN
			pg_catalog.round(100.0 * least(k.tuples_processed, e.rows) / nullif(e.rows, 0), 1) END,
		-- of the blocks of a table; of an index, by its predicted duration
		CASE WHEN t.action = 'check_corruption' THEN coalesce(
			(SELECT pg_catalog.round(100.0 * m.blocks[1]::pg_catalog.int8 / nullif(m.blocks[2]::pg_catalog.int8, 0), 1)
			FROM pg_catalog.regexp_match(s.query, E'^check_corruption: block (\\d+) of (\\d+) ') AS m (blocks)),
			pg_catalog.round(least(99, 100 * pg_catalog.extract('epoch', pg_catalog.clock_timestamp() - t.started_at)
				/ nullif(pg_catalog.extract('epoch', t.predicted), 0))::numeric, 1)) END,
		-- of the pages at the end of the table from which rows may be moved
		CASE WHEN t.action = 'compact' THEN
			(SELECT pg_catalog.round(100.0 * m.pages[1]::pg_catalog.int8 / nullif(m.pages[2]::pg_catalog.int8, 0), 1)
			FROM pg_catalog.regexp_match(s.query, E'^compact: (\\d+) of (\\d+) pages ') AS m (pages)) END,
		-- of the bytes that the last dump had
		CASE WHEN t.action = 'backup' THEN
			(SELECT pg_catalog.round(100.0 * m.bytes[1]::pg_catalog.int8 / nullif(m.bytes[2]::pg_catalog.int8, 0), 1)
			FROM pg_catalog.regexp_match(s.query, E'^backup: (\\d+) of about (\\d+) bytes of ') AS m (bytes)) END,
		-- of the bytes of a backup
		CASE WHEN t.action IN ('verify_backup', 'restore_backup') THEN
			pg_catalog.substring(s.query, E'^restoring: (\\d+\\.\\d) % ')::numeric END,
		0) AS percent_done,
	pg_catalog.date_trunc('milliseconds', pg_catalog.clock_timestamp() - t.started_at) AS elapsed,
	c.finished AS tasks_finished,
	c.planned AS tasks_planned,
	pg_catalog.format('%s of %s', r.current_step, pg_catalog.jsonb_array_length(r.steps)) AS step_of,
	t.attempt,
	t.pid,
	t.command,
	-- 18 and later, with track_cost_delay_timing
	pg_catalog.make_interval(secs => nullif((x.progress ->> 'delay_time')::pg_catalog.float8, 0) / 1000) AS slept,
	-- 19
	x.progress ->> 'mode' AS mode,
	CASE WHEN u.phase = 'catch-up' THEN w.param5 - w.param4 + w.param6 + w.param7 END AS changes_applied
FROM pgmaint.runs r
JOIN pgmaint.tasks t ON t.run_id = r.run_id AND t.state = 'running'
-- the row of a worker that has ended stays until the next leader updates it
JOIN pg_catalog.pg_stat_activity s ON s.pid = t.pid AND s.backend_type = 'pgmaint task worker'
LEFT JOIN pg_catalog.pg_stat_progress_vacuum v ON v.pid = t.pid
LEFT JOIN pg_catalog.pg_stat_progress_analyze a ON a.pid = t.pid
LEFT JOIN pg_catalog.pg_stat_progress_create_index i ON i.pid = t.pid
LEFT JOIN pg_catalog.pg_stat_progress_cluster u ON u.pid = t.pid
-- pg_stat_progress_repack from 19 on, of which the view above has fewer columns there:
-- rows scanned, inserted, updated and deleted are its parameters 4 to 7
LEFT JOIN pg_catalog.pg_stat_get_progress_info(CASE
	WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 190000 THEN 'REPACK' ELSE 'CLUSTER' END) w ON w.pid = t.pid
LEFT JOIN pg_catalog.pg_stat_progress_copy k ON k.pid = t.pid
CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.to_jsonb(v), pg_catalog.to_jsonb(a)) AS progress) x
CROSS JOIN LATERAL (SELECT (t.evidence ->> 'rows')::pg_catalog.int8 AS rows, (
	SELECT pg_catalog.count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = t.relation) AS indexes) e
CROSS JOIN LATERAL (
	SELECT
		pg_catalog.count(*) AS planned,
		pg_catalog.count(*) FILTER (WHERE o.state NOT IN ('pending', 'running')) AS finished
	FROM pgmaint.tasks o
	WHERE o.run_id = r.run_id AND o.step = t.step
) c
WHERE r.state = 'running'
ORDER BY r.run_id, t.task_id;

COMMENT ON VIEW pgmaint.progress IS 'running tasks: a row for each task worker with the phase and the percentage of its command';
COMMENT ON COLUMN pgmaint.progress.run_id IS 'the run in pgmaint.runs';
COMMENT ON COLUMN pgmaint.progress.plan IS 'name of the plan, or of the action where run_action() was called';
COMMENT ON COLUMN pgmaint.progress.step IS 'number of the step of the run, from 1';
COMMENT ON COLUMN pgmaint.progress.action IS 'name of the action';
COMMENT ON COLUMN pgmaint.progress.target IS 'the object that the task works on, as it was named when the task was planned';
COMMENT ON COLUMN pgmaint.progress.phase IS 'phase of the command, as in the server''s progress views or as named by pgmaint';
COMMENT ON COLUMN pgmaint.progress.percent_done IS 'percentage of the current phase that is done, 0 to 100; 0 also if it is unknown';
COMMENT ON COLUMN pgmaint.progress.elapsed IS 'duration of the current attempt so far';
COMMENT ON COLUMN pgmaint.progress.tasks_finished IS 'number of tasks of the step that have ended, in any state';
COMMENT ON COLUMN pgmaint.progress.tasks_planned IS 'number of tasks of the step';
COMMENT ON COLUMN pgmaint.progress.step_of IS 'number of the step of all steps of the run, such as 2 of 7';
COMMENT ON COLUMN pgmaint.progress.attempt IS 'number of the current attempt, from 1';
COMMENT ON COLUMN pgmaint.progress.pid IS 'process ID of the task worker';
COMMENT ON COLUMN pgmaint.progress.command IS 'the command that the task executes';
COMMENT ON COLUMN pgmaint.progress.slept IS 'time that the command has spent in cost-based delays; null: before PostgreSQL 18, without track_cost_delay_timing, or none';
COMMENT ON COLUMN pgmaint.progress.mode IS 'mode of a VACUUM: normal, aggressive or failsafe; null: another command, or before PostgreSQL 19';
COMMENT ON COLUMN pgmaint.progress.changes_applied IS 'row changes of other sessions that REPACK (CONCURRENTLY) has caught up with; null: it is not in that phase, or before PostgreSQL 19';

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
