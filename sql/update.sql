-- complain if the script is sourced in psql rather than through ALTER EXTENSION
\echo Use "ALTER EXTENSION pgmaint UPDATE" to load this file. \quit

ALTER TABLE pgmaint.tasks
	ADD COLUMN disruptive boolean,
	ADD COLUMN predicted interval,
	ADD COLUMN predicted_from text;
UPDATE pgmaint.tasks SET disruptive = false;
ALTER TABLE pgmaint.tasks
	ALTER COLUMN disruptive SET DEFAULT false,
	ALTER COLUMN disruptive SET NOT NULL;

-- tasks are not looked for by their state any more
DROP INDEX pgmaint.tasks_pending, pgmaint.tasks_running;
CREATE INDEX tasks_action ON pgmaint.tasks (action, disruptive, finished_at) WHERE error IS NULL AND bytes_before IS NOT NULL;

COMMENT ON COLUMN pgmaint.tasks.disruptive IS 'whether the task may run only while a maintenance window is open';
COMMENT ON COLUMN pgmaint.tasks.predicted IS 'how long the task was expected to take when it was planned';
COMMENT ON COLUMN pgmaint.tasks.predicted_from IS 'what that expectation rests on';

-- they have more columns now
DROP FUNCTION pgmaint.dry_run(text, jsonb);
DROP FUNCTION pgmaint.vacuum_candidates(bigint, double precision, double precision, double precision, boolean, oid);

ALTER TABLE pgmaint.runs
	ADD COLUMN resumes bigint UNIQUE,
	ADD COLUMN identity text;
CREATE INDEX runs_begun ON pgmaint.runs (role, started_at);
COMMENT ON COLUMN pgmaint.runs.error IS 'why the run did not succeed; while it goes on, what it could not do so far';
COMMENT ON COLUMN pgmaint.runs.state IS 'queued (also one that was begun and waits for a worker slot), running, succeeded, failed (a task failed or was stopped), cancelled, interrupted (the server or the leader went away)';
COMMENT ON COLUMN pgmaint.runs.resumes IS 'the interrupted run of which this one does the rest';

-- so that they can be published: a table without a key refuses UPDATE and DELETE
ALTER TABLE pgmaint.cancellations
	ADD COLUMN cancellation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
ALTER TABLE pgmaint.bloat_measurements
	ADD COLUMN measurement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
COMMENT ON COLUMN pgmaint.bloat_measurements.margin IS '95 % margin of bloat_ratio; 0 where it is exact';
COMMENT ON FUNCTION pgmaint.index_bloat IS
	'what a rebuild of an index would give back, from a sample of its blocks, with its 95 % margin; a table''s indexes if a table is named, all B-trees if nothing is; null for other methods than B-trees';
ALTER FUNCTION pgmaint.table_bloat ROWS 200 COST 1000000;
ALTER FUNCTION pgmaint.index_bloat ROWS 500 COST 1000000;
ALTER FUNCTION pgmaint.actions ROWS 130 COST 1000;
-- free space in these was taken for bloat
DELETE FROM pgmaint.bloat_measurements WHERE kind = 'index' AND method <> 'btree';

ALTER TABLE pgmaint.findings
	ADD COLUMN step integer,
	ADD COLUMN task_id bigint,
	ADD COLUMN escalation_id bigint,
	ADD COLUMN identity text;
-- nobody is to be told of what is long over
UPDATE pgmaint.findings SET escalation_id = 0;
CREATE INDEX findings_unescalated ON pgmaint.findings (finding_id) WHERE escalation_id IS NULL AND severity <> 'info';

COMMENT ON COLUMN pgmaint.findings.step IS 'the step of the run that noticed it';
COMMENT ON COLUMN pgmaint.findings.task_id IS 'the task that noticed it; null: it was noticed when the step was planned, or by no step';
COMMENT ON COLUMN pgmaint.findings.escalation_id IS 'the trouble in pgmaint.escalations that it is about; null: not yet, or it is of severity info; 0: none, since it is older than those';
