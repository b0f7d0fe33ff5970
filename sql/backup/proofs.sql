-- Private servers, in which backups are proven.

CREATE TABLE pgmaint_internal.proof_servers (
	folder text PRIMARY KEY,
	data_directory text NOT NULL,
	task_id bigint NOT NULL,
	identity text DEFAULT pgmaint_internal.current_identity(),
	begun_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE INDEX proof_servers_task ON pgmaint_internal.proof_servers (task_id);

COMMENT ON TABLE pgmaint_internal.proof_servers IS 'servers in which a backup is being proven: when the next run begins, those that no task is at work on are stopped, and their folders removed';
COMMENT ON COLUMN pgmaint_internal.proof_servers.folder IS 'everything of the server, its data directory and its socket';
COMMENT ON COLUMN pgmaint_internal.proof_servers.data_directory IS 'of the server that made it';
COMMENT ON COLUMN pgmaint_internal.proof_servers.task_id IS 'the task of the action verify_backup that it was made for';
COMMENT ON COLUMN pgmaint_internal.proof_servers.identity IS 'of the database that this was noted in, which tells a copy of it';
COMMENT ON COLUMN pgmaint_internal.proof_servers.begun_at IS 'when it was noted, before anything was made';

REVOKE ALL ON pgmaint_internal.proof_servers FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.proof_servers TO pg_monitor;
