-- The ledger: runs, tasks, findings and measurements.  Only functions of this
-- extension write to these tables, with the rights of the extension's owner.

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
	settings jsonb NOT NULL,
	resumes bigint UNIQUE,
	identity text
) WITH (fillfactor = 70);

CREATE INDEX runs_finished ON pgmaint.runs (finished_at);
CREATE INDEX runs_unfinished ON pgmaint.runs (run_id) WHERE state IN ('queued', 'running');
-- for roles to take turns
CREATE INDEX runs_begun ON pgmaint.runs (role, started_at);

COMMENT ON TABLE pgmaint.runs IS 'runs: a row for each execution of a plan';
COMMENT ON COLUMN pgmaint.runs.run_id IS 'number of the run, for report() and cancel()';
COMMENT ON COLUMN pgmaint.runs.plan IS 'name of the plan, or of the action where run_action() was called';
COMMENT ON COLUMN pgmaint.runs.options IS 'options that were passed; null: none';
COMMENT ON COLUMN pgmaint.runs.requested_by IS 'role whose rights the commands of the run have';
COMMENT ON COLUMN pgmaint.runs.requested_at IS 'when the run was queued';
COMMENT ON COLUMN pgmaint.runs.started_at IS 'when the run first began; null: it has not begun';
COMMENT ON COLUMN pgmaint.runs.finished_at IS 'when the run ended, in any state; null: it is queued or running';
COMMENT ON COLUMN pgmaint.runs.state IS 'queued (also a run that has begun and waits for a worker slot), running, succeeded, failed (a task failed or was stopped), cancelled, interrupted (the server or the leader stopped)';
COMMENT ON COLUMN pgmaint.runs.error IS 'why the run did not succeed; while it runs, which steps could not be planned so far';
COMMENT ON COLUMN pgmaint.runs.role IS 'OID of the role in requested_by when the run was queued';
COMMENT ON COLUMN pgmaint.runs.database IS 'OID of the database in which the run was queued, to recognize a copy of the database';
COMMENT ON COLUMN pgmaint.runs.steps IS 'steps of the plan when the run was queued: an array of objects with action and options';
COMMENT ON COLUMN pgmaint.runs.current_step IS 'number in steps, from 1, of the current or last step; 0: no step has begun';
COMMENT ON COLUMN pgmaint.runs.settings IS 'pgmaint.* settings, by name, of the session that queued the run';
COMMENT ON COLUMN pgmaint.runs.resumes IS 'run_id of the interrupted run whose remaining tasks this run executes; null: none';

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
	not_before timestamptz,
	disruptive boolean NOT NULL DEFAULT false,
	predicted interval,
	predicted_from text,
	outcome text,
	shown_as text CHECK (shown_as IN ('step', 'count'))
) WITH (fillfactor = 70);

CREATE INDEX tasks_run ON pgmaint.tasks (run_id, step, task_id);
CREATE INDEX tasks_finished ON pgmaint.tasks (run_id, finished_at, task_id);
CREATE INDEX tasks_relation ON pgmaint.tasks (relation, action, finished_at);
-- tasks that succeeded; a claim changes none of these columns, and so no index
CREATE INDEX tasks_action ON pgmaint.tasks (action, disruptive, finished_at) WHERE error IS NULL AND bytes_before IS NOT NULL;

COMMENT ON TABLE pgmaint.tasks IS 'tasks: a row for each command on one object in a run';
COMMENT ON COLUMN pgmaint.tasks.task_id IS 'key: number of the task';
COMMENT ON COLUMN pgmaint.tasks.run_id IS 'the run in pgmaint.runs that planned the task';
COMMENT ON COLUMN pgmaint.tasks.step IS 'number of the step of the run, from 1';
COMMENT ON COLUMN pgmaint.tasks.action IS 'name of the action that planned the task, see pgmaint.actions()';
COMMENT ON COLUMN pgmaint.tasks.target IS 'name of the object when the task was planned';
COMMENT ON COLUMN pgmaint.tasks.command IS 'command that the task executes; for an action without a single command, a description of its work';
COMMENT ON COLUMN pgmaint.tasks.reason IS 'why the task was planned';
COMMENT ON COLUMN pgmaint.tasks.state IS 'pending, running, succeeded, failed, skipped (with the reason in error), cancelled, interrupted (the server, the leader or the worker stopped)';
COMMENT ON COLUMN pgmaint.tasks.attempt IS 'number of attempts: more than 1 if a lock was not available; 0: the task has not begun';
COMMENT ON COLUMN pgmaint.tasks.started_at IS 'when the last attempt began; null: the task has not begun';
COMMENT ON COLUMN pgmaint.tasks.finished_at IS 'when the task ended, in any state; null: it is pending or running';
COMMENT ON COLUMN pgmaint.tasks.bytes_before IS 'size of the object in bytes when the task began, or estimated when the task was planned; null: unknown';
COMMENT ON COLUMN pgmaint.tasks.bytes_after IS 'size of the object in bytes after the task succeeded; null: not measured';
COMMENT ON COLUMN pgmaint.tasks.evidence IS 'figures on which the reason is based, by name; null: none';
COMMENT ON COLUMN pgmaint.tasks.result IS 'figures of what the task changed or found, by name; null: none, or the task has not ended';
COMMENT ON COLUMN pgmaint.tasks.sqlstate IS 'SQLSTATE of the error that ended the last attempt; null: no error';
COMMENT ON COLUMN pgmaint.tasks.error IS 'why the task failed, was skipped or was stopped, or why its last attempt ended; null: none of these';
COMMENT ON COLUMN pgmaint.tasks.relation IS 'OID of the table or index of the task; 0: none';
COMMENT ON COLUMN pgmaint.tasks.relations IS 'OIDs of all tables that the task uses: two running tasks share no table';
COMMENT ON COLUMN pgmaint.tasks.pid IS 'process ID of the task worker while the task runs, else null';
COMMENT ON COLUMN pgmaint.tasks.worker IS 'number of the task worker within its run; null: the task has not begun';
COMMENT ON COLUMN pgmaint.tasks.not_before IS 'when a task whose lock was not available is tried again; null: no such time';
COMMENT ON COLUMN pgmaint.tasks.disruptive IS 'whether the task may run only while a maintenance window is open';
COMMENT ON COLUMN pgmaint.tasks.predicted IS 'predicted duration when the task was planned; null: unknown';
COMMENT ON COLUMN pgmaint.tasks.predicted_from IS 'basis of the predicted duration; null: none';
COMMENT ON COLUMN pgmaint.tasks.outcome IS 'outcome of the task in words; empty: nothing to report; null: the task has no result, or a version before 0.3 executed it';
COMMENT ON COLUMN pgmaint.tasks.shown_as IS 'how a report shows the task if it succeeded: step (with its step), count (counted with others of its action); null: by itself';

CREATE TABLE pgmaint.findings (
	finding_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	run_id bigint REFERENCES pgmaint.runs ON DELETE CASCADE,
	check_id text NOT NULL,
	severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
	object text,
	message text NOT NULL,
	detail jsonb,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	step integer,
	task_id bigint,
	alert_id bigint,
	identity text
);

CREATE INDEX findings_run ON pgmaint.findings (run_id);
CREATE INDEX findings_without_alert ON pgmaint.findings (finding_id) WHERE alert_id IS NULL AND severity <> 'info';

COMMENT ON TABLE pgmaint.findings IS 'findings: a row for each fact that a run noticed and that a person should know';
COMMENT ON COLUMN pgmaint.findings.finding_id IS 'key: number of the finding';
COMMENT ON COLUMN pgmaint.findings.run_id IS 'run in pgmaint.runs that recorded the finding; null: no run did';
COMMENT ON COLUMN pgmaint.findings.check_id IS 'id of the check: F004 table bloat, F005 index bloat, or the name of the check or action';
COMMENT ON COLUMN pgmaint.findings.severity IS 'info, warning, critical';
COMMENT ON COLUMN pgmaint.findings.object IS 'name of the table, index, plan, storage, contact or other object of the finding; null: none in particular';
COMMENT ON COLUMN pgmaint.findings.message IS 'text of the finding';
COMMENT ON COLUMN pgmaint.findings.detail IS 'figures behind the message, and commands that would help, by name; null: none';
COMMENT ON COLUMN pgmaint.findings.created_at IS 'when the finding was recorded';
COMMENT ON COLUMN pgmaint.findings.step IS 'number of the step of the run that recorded the finding, from 1; null: no step did';
COMMENT ON COLUMN pgmaint.findings.task_id IS 'task in pgmaint.tasks that recorded the finding; null: recorded when the step was planned, or by no step';
COMMENT ON COLUMN pgmaint.findings.alert_id IS 'alert in pgmaint.alerts to which the finding belongs; null: none yet, or its severity is info; 0: none, because the finding is older than alerts';

-- A request is a row of its own, so that a session that asks and then idles in
-- its transaction holds no lock on the run.
CREATE TABLE pgmaint_internal.cancellations (
	run_id bigint NOT NULL REFERENCES pgmaint.runs ON DELETE CASCADE,
	requested_by name NOT NULL,
	requested_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	cancellation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

CREATE INDEX cancellations_run ON pgmaint_internal.cancellations (run_id);

COMMENT ON TABLE pgmaint_internal.cancellations IS 'requests to cancel runs';
COMMENT ON COLUMN pgmaint_internal.cancellations.run_id IS 'the run in pgmaint.runs';
COMMENT ON COLUMN pgmaint_internal.cancellations.requested_by IS 'role that called cancel()';
COMMENT ON COLUMN pgmaint_internal.cancellations.requested_at IS 'when cancel() was called';

CREATE TABLE pgmaint_internal.bloat_measurements (
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
	total_blocks bigint NOT NULL,
	measurement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

CREATE INDEX bloat_measurements_run ON pgmaint_internal.bloat_measurements (run_id);
CREATE INDEX bloat_measurements_time ON pgmaint_internal.bloat_measurements (measured_at);
CREATE INDEX bloat_measurements_relation ON pgmaint_internal.bloat_measurements (relation, measured_at);

COMMENT ON TABLE pgmaint_internal.bloat_measurements IS 'measurements of bloat by bloat_report, kept to show growth';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.run_id IS 'run in pgmaint.runs that measured the object; null: the run is no longer in the ledger';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.relation IS 'OID of the table or index; updated when a rebuild changes it';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.object IS 'table or index, with its schema, as named when it was measured';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.kind IS 'table (with its TOAST table) or index';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.method IS 'access method of the table or the index';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.total_bytes IS 'size in bytes';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.live_bytes IS 'bytes of rows that VACUUM may not remove; null: an index';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.dead_bytes IS 'bytes of rows that VACUUM may remove; null: an index';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.free_bytes IS 'bytes that are free for new rows; null: an index';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.bloat_bytes IS 'number of bytes that a rewrite or rebuild would free';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.bloat_ratio IS 'bloat as a share of the size, 0 to 1';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.margin IS '95 % margin of bloat_ratio; 0 where it is exact';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.leaf_density IS 'share of the leaf pages that is filled, 0 to 1; null: not a B-tree';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.sampled_blocks IS 'number of blocks that were read';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.total_blocks IS 'number of blocks of the table or index';

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
FROM pgmaint_internal.bloat_measurements m
WINDOW history AS (PARTITION BY m.relation ORDER BY m.measured_at)
ORDER BY m.object, m.measured_at;

COMMENT ON VIEW pgmaint.bloat_history IS 'history of bloat: a row for each measurement of a table or index, with its growth since the previous measurement';
COMMENT ON COLUMN pgmaint.bloat_history.object IS 'table or index, with its schema, as named when it was measured';
COMMENT ON COLUMN pgmaint.bloat_history.kind IS 'table (with its TOAST table) or index';
COMMENT ON COLUMN pgmaint.bloat_history.measured_at IS 'when the table or index was measured';
COMMENT ON COLUMN pgmaint.bloat_history.size IS 'total_bytes as a text with a unit';
COMMENT ON COLUMN pgmaint.bloat_history.bloat IS 'bloat_bytes as a text with a unit';
COMMENT ON COLUMN pgmaint.bloat_history.bloat_percent IS 'bloat in percent of the size, 0 to 100';
COMMENT ON COLUMN pgmaint.bloat_history.size_growth IS 'growth of the size since the previous measurement, as a text with a unit; negative: it shrank; null: this is the first';
COMMENT ON COLUMN pgmaint.bloat_history.bloat_growth IS 'growth of the bloat since the previous measurement, as a text with a unit; negative: it shrank; null: this is the first';
COMMENT ON COLUMN pgmaint.bloat_history.total_bytes IS 'size in bytes';
COMMENT ON COLUMN pgmaint.bloat_history.bloat_bytes IS 'estimated number of bytes that a rewrite or rebuild would free';
COMMENT ON COLUMN pgmaint.bloat_history.run_id IS 'run in pgmaint.runs that measured the object; null: the run is no longer in the ledger';

REVOKE ALL ON pgmaint.runs, pgmaint.tasks, pgmaint.findings, pgmaint_internal.cancellations,
	pgmaint_internal.bloat_measurements, pgmaint.bloat_history FROM PUBLIC;
GRANT SELECT ON pgmaint.runs, pgmaint.tasks, pgmaint.findings, pgmaint_internal.cancellations,
	pgmaint_internal.bloat_measurements, pgmaint.bloat_history TO pg_monitor;
