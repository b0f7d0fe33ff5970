-- Private servers, in which backups are verified.

CREATE TABLE pgmaint_internal.proof_servers (
	folder text PRIMARY KEY,
	data_directory text NOT NULL,
	task_id bigint NOT NULL,
	identity text DEFAULT pgmaint_internal.current_identity(),
	begun_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE INDEX proof_servers_task ON pgmaint_internal.proof_servers (task_id);

COMMENT ON TABLE pgmaint_internal.proof_servers IS 'private servers in which backups are being verified: the next run stops those whose task has ended and removes their folders';
COMMENT ON COLUMN pgmaint_internal.proof_servers.folder IS 'folder of the private server, with its data directory and its socket';
COMMENT ON COLUMN pgmaint_internal.proof_servers.data_directory IS 'data directory of the server that created the private server';
COMMENT ON COLUMN pgmaint_internal.proof_servers.task_id IS 'the task of the action verify_backup that uses the private server';
COMMENT ON COLUMN pgmaint_internal.proof_servers.identity IS 'identity of the database that this row was written in; a copy of that database leaves the row alone';
COMMENT ON COLUMN pgmaint_internal.proof_servers.begun_at IS 'when the row was written, before the folder was created';

REVOKE ALL ON pgmaint_internal.proof_servers FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.proof_servers TO pg_monitor;
