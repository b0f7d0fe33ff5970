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
	settings jsonb NOT NULL,
	resumes bigint UNIQUE,
	identity text
) WITH (fillfactor = 70);

CREATE INDEX runs_finished ON pgmaint.runs (finished_at);
CREATE INDEX runs_unfinished ON pgmaint.runs (run_id) WHERE state IN ('queued', 'running');
-- whose turn it is
CREATE INDEX runs_begun ON pgmaint.runs (role, started_at);

COMMENT ON TABLE pgmaint.runs IS 'one row for each execution of a plan';
COMMENT ON COLUMN pgmaint.runs.run_id IS 'number of the run, for report() and cancel()';
COMMENT ON COLUMN pgmaint.runs.plan IS 'name of the plan, or of the action where run_action() was called';
COMMENT ON COLUMN pgmaint.runs.options IS 'the options as they were given; null: none were';
COMMENT ON COLUMN pgmaint.runs.requested_by IS 'the role whose rights the commands of the run have';
COMMENT ON COLUMN pgmaint.runs.requested_at IS 'when the run was queued';
COMMENT ON COLUMN pgmaint.runs.started_at IS 'when the run began for the first time, also where it was queued again to wait for a worker slot; null: it has not begun';
COMMENT ON COLUMN pgmaint.runs.finished_at IS 'when the run ended, in whatever state; null: it is queued or running';
COMMENT ON COLUMN pgmaint.runs.state IS 'queued (also one that was begun and waits for a worker slot), running, succeeded, failed (a task failed or was stopped), cancelled, interrupted (the server or the leader went away)';
COMMENT ON COLUMN pgmaint.runs.error IS 'why the run did not succeed; while it goes on, what it could not do so far';
COMMENT ON COLUMN pgmaint.runs.role IS 'OID of the role in requested_by when the run was queued';
COMMENT ON COLUMN pgmaint.runs.database IS 'OID of the database in which the run was queued, which tells a copy of it';
COMMENT ON COLUMN pgmaint.runs.steps IS 'the steps of the plan as they were when the run was queued: an array of objects with action and options';
COMMENT ON COLUMN pgmaint.runs.current_step IS 'number in steps, from 1, of the step that is at work, or was the last; 0: none has begun';
COMMENT ON COLUMN pgmaint.runs.settings IS 'the pgmaint.* settings, by name, of the session that queued the run';
COMMENT ON COLUMN pgmaint.runs.resumes IS 'the interrupted run, see run_id, whose remaining work this one does; null: it resumes none';

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
-- tasks that succeeded, by columns that a claim does not change: it changes no index then
CREATE INDEX tasks_action ON pgmaint.tasks (action, disruptive, finished_at) WHERE error IS NULL AND bytes_before IS NOT NULL;

COMMENT ON TABLE pgmaint.tasks IS 'one row for each command on one object inside a run';
COMMENT ON COLUMN pgmaint.tasks.task_id IS 'key: number of the task';
COMMENT ON COLUMN pgmaint.tasks.run_id IS 'the run in pgmaint.runs that planned the task';
COMMENT ON COLUMN pgmaint.tasks.step IS 'number of the step of the run, from 1';
COMMENT ON COLUMN pgmaint.tasks.action IS 'name of the action that planned the task, see pgmaint.actions()';
COMMENT ON COLUMN pgmaint.tasks.target IS 'the object, as it was named when the task was planned';
COMMENT ON COLUMN pgmaint.tasks.command IS 'the command that the task executes, or for an action that is no single command, what it does';
COMMENT ON COLUMN pgmaint.tasks.reason IS 'why the task was planned';
COMMENT ON COLUMN pgmaint.tasks.state IS 'pending, running, succeeded, failed, skipped (with the reason in error), cancelled, interrupted (the server, the leader or the worker went away)';
COMMENT ON COLUMN pgmaint.tasks.attempt IS 'how often the task was begun: more than once where a lock was not to be had; 0: it has not begun';
COMMENT ON COLUMN pgmaint.tasks.started_at IS 'when the last attempt began; null: the task has not begun';
COMMENT ON COLUMN pgmaint.tasks.finished_at IS 'when the task ended, in whatever state; null: it is pending or running';
COMMENT ON COLUMN pgmaint.tasks.bytes_before IS 'size in bytes of what the task works on: measured when the task began, or else estimated when it was planned; null: not known';
COMMENT ON COLUMN pgmaint.tasks.bytes_after IS 'size of the object in bytes when the task had succeeded; null: not measured';
COMMENT ON COLUMN pgmaint.tasks.evidence IS 'the figures that the reason rests on, by name; null: there are none';
COMMENT ON COLUMN pgmaint.tasks.result IS 'what the task changed or found, by name; null: nothing was noted, or the task has not ended';
COMMENT ON COLUMN pgmaint.tasks.sqlstate IS 'SQLSTATE of the error that ended the last attempt; null: there was none';
COMMENT ON COLUMN pgmaint.tasks.error IS 'why the task failed, was skipped or was stopped, or why its last attempt gave way; null: nothing of the kind';
COMMENT ON COLUMN pgmaint.tasks.relation IS 'OID of the table or index that the task is about; 0: it is about no relation';
COMMENT ON COLUMN pgmaint.tasks.relations IS 'OIDs of all tables that the task works on: no two running tasks share one';
COMMENT ON COLUMN pgmaint.tasks.pid IS 'process ID of the task worker while the task runs, else null';
COMMENT ON COLUMN pgmaint.tasks.worker IS 'number of the task worker within its run; null: the task has not begun';
COMMENT ON COLUMN pgmaint.tasks.not_before IS 'when a task that gave way to a lock is tried again; null: it waits for no time';
COMMENT ON COLUMN pgmaint.tasks.disruptive IS 'whether the task may run only while a maintenance window is open';
COMMENT ON COLUMN pgmaint.tasks.predicted IS 'how long the task was expected to take when it was planned; null: not known';
COMMENT ON COLUMN pgmaint.tasks.predicted_from IS 'what that expectation rests on; null: there is none';
COMMENT ON COLUMN pgmaint.tasks.outcome IS 'what came of the task, in words; empty: there is nothing to tell; null: the task has no result, or a version before 0.3 carried it out';
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
	escalation_id bigint,
	identity text
);

CREATE INDEX findings_run ON pgmaint.findings (run_id);
CREATE INDEX findings_unescalated ON pgmaint.findings (finding_id) WHERE escalation_id IS NULL AND severity <> 'info';

COMMENT ON TABLE pgmaint.findings IS 'what a run noticed that a person should know';
COMMENT ON COLUMN pgmaint.findings.finding_id IS 'key: number of the finding';
COMMENT ON COLUMN pgmaint.findings.run_id IS 'the run in pgmaint.runs that noticed it; null: no run did';
COMMENT ON COLUMN pgmaint.findings.check_id IS 'which check it was: F004 table bloat, F005 index bloat, or the name of what pgmaint looked at';
COMMENT ON COLUMN pgmaint.findings.severity IS 'info, warning, critical';
COMMENT ON COLUMN pgmaint.findings.object IS 'the table, index, plan, storage, contact or the like that it is about, by name; null: none in particular';
COMMENT ON COLUMN pgmaint.findings.message IS 'what was noticed, for a person';
COMMENT ON COLUMN pgmaint.findings.detail IS 'the figures behind the message, and commands that would help, by name; null: there are none';
COMMENT ON COLUMN pgmaint.findings.created_at IS 'when it was noticed';
COMMENT ON COLUMN pgmaint.findings.step IS 'number of the step of the run that noticed it, from 1; null: no step did';
COMMENT ON COLUMN pgmaint.findings.task_id IS 'the task in pgmaint.tasks that noticed it; null: it was noticed when the step was planned, or by no step';
COMMENT ON COLUMN pgmaint.findings.escalation_id IS 'the trouble in pgmaint.escalations that it is about; null: not yet, or it is of severity info; 0: none, since it is older than those';

-- A request is a row of its own, so that a session that asks and then idles in
-- its transaction holds no lock on the run.
CREATE TABLE pgmaint_internal.cancellations (
	run_id bigint NOT NULL REFERENCES pgmaint.runs ON DELETE CASCADE,
	requested_by name NOT NULL,
	requested_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	cancellation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

CREATE INDEX cancellations_run ON pgmaint_internal.cancellations (run_id);

COMMENT ON TABLE pgmaint_internal.cancellations IS 'who asked for which run to be cancelled';
COMMENT ON COLUMN pgmaint_internal.cancellations.run_id IS 'the run in pgmaint.runs';
COMMENT ON COLUMN pgmaint_internal.cancellations.requested_by IS 'the role that called cancel()';
COMMENT ON COLUMN pgmaint_internal.cancellations.requested_at IS 'when it did';

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

COMMENT ON TABLE pgmaint_internal.bloat_measurements IS 'what bloat_report measured, kept so that growth can be seen';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.run_id IS 'the run in pgmaint.runs that measured it; null: the run is forgotten';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.relation IS 'OID of the table or index; follows a rebuild that gives it another';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.object IS 'the table or index, with its schema, as it was named then';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.kind IS 'table (with its TOAST table) or index';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.method IS 'access method of the table or the index';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.total_bytes IS 'size in bytes';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.live_bytes IS 'bytes of rows that VACUUM may not remove; null: an index';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.dead_bytes IS 'bytes of rows that VACUUM may remove; null: an index';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.free_bytes IS 'bytes that are free for new rows; null: an index';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.bloat_bytes IS 'how many bytes a rewrite or rebuild would give back';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.bloat_ratio IS 'bloat as a share of the size, 0 to 1';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.margin IS '95 % margin of bloat_ratio; 0 where it is exact';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.leaf_density IS 'share of the leaf pages that is filled, 0 to 1; null: not a B-tree';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.sampled_blocks IS 'how many blocks were read';
COMMENT ON COLUMN pgmaint_internal.bloat_measurements.total_blocks IS 'how many blocks there were';

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

COMMENT ON VIEW pgmaint.bloat_history IS 'every measurement of every object, with its growth since the one before';
COMMENT ON COLUMN pgmaint.bloat_history.object IS 'the table or index, with its schema, as it was named when it was measured';
COMMENT ON COLUMN pgmaint.bloat_history.kind IS 'table (with its TOAST table) or index';
COMMENT ON COLUMN pgmaint.bloat_history.measured_at IS 'when it was measured';
COMMENT ON COLUMN pgmaint.bloat_history.size IS 'total_bytes as a text with a unit';
COMMENT ON COLUMN pgmaint.bloat_history.bloat IS 'bloat_bytes as a text with a unit';
COMMENT ON COLUMN pgmaint.bloat_history.bloat_percent IS 'bloat in percent of the size, 0 to 100';
COMMENT ON COLUMN pgmaint.bloat_history.size_growth IS 'how much the size grew since the measurement before, as a text with a unit; negative: it shrank; null: this is the first';
COMMENT ON COLUMN pgmaint.bloat_history.bloat_growth IS 'how much the bloat grew since the measurement before, as a text with a unit; negative: it shrank; null: this is the first';
COMMENT ON COLUMN pgmaint.bloat_history.total_bytes IS 'size in bytes';
COMMENT ON COLUMN pgmaint.bloat_history.bloat_bytes IS 'how many of these bytes a rewrite or rebuild would give back, as estimated when it was measured';
COMMENT ON COLUMN pgmaint.bloat_history.run_id IS 'the run in pgmaint.runs that measured it; null: the run is forgotten';

REVOKE ALL ON pgmaint.runs, pgmaint.tasks, pgmaint.findings, pgmaint_internal.cancellations,
	pgmaint_internal.bloat_measurements, pgmaint.bloat_history FROM PUBLIC;
GRANT SELECT ON pgmaint.runs, pgmaint.tasks, pgmaint.findings, pgmaint_internal.cancellations,
	pgmaint_internal.bloat_measurements, pgmaint.bloat_history TO pg_monitor;
