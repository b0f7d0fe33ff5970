-- Verifications: what users ask a restored backup for, and what it answered.

CREATE TABLE pgmaint.verifications (
	verification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	database name NOT NULL,
	query text NOT NULL,
	expected text NOT NULL,
	time_limit interval NOT NULL,
	added_by name NOT NULL,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint.verifications IS 'queries that verify_backup executes in the restored backup, and what they must answer';
COMMENT ON COLUMN pgmaint.verifications.verification_id IS 'number of the verification, for drop_verification()';
COMMENT ON COLUMN pgmaint.verifications.database IS 'the database that the backup is of';
COMMENT ON COLUMN pgmaint.verifications.query IS 'one statement that reads, and returns one row with one column';
COMMENT ON COLUMN pgmaint.verifications.expected IS 'the answer as text; true and t, false and f are the same; the text null: the answer is null';
COMMENT ON COLUMN pgmaint.verifications.time_limit IS 'the query is cancelled after this time, which does not count against the backup';
COMMENT ON COLUMN pgmaint.verifications.added_by IS 'the role that added it; the query is executed with the rights of the role that the dump was restored as';
COMMENT ON COLUMN pgmaint.verifications.created_at IS 'when it was added';

CREATE TABLE pgmaint.verification_results (
	result_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	verification_id bigint NOT NULL,
	backup_id bigint,
	run_id bigint NOT NULL,
	task_id bigint NOT NULL,
	asked_at timestamptz NOT NULL,
	query text NOT NULL,
	expected text NOT NULL,
	answer text,
	ok boolean,
	error text,
	duration interval NOT NULL
);

CREATE INDEX verification_results_time ON pgmaint.verification_results (asked_at);

COMMENT ON TABLE pgmaint.verification_results IS 'what restored backups answered to the queries of pgmaint.verifications; answers are values of users'' rows, so that nobody may read them without a grant';
COMMENT ON COLUMN pgmaint.verification_results.result_id IS 'key: number of the result';
COMMENT ON COLUMN pgmaint.verification_results.verification_id IS 'the verification, which may be dropped by now';
COMMENT ON COLUMN pgmaint.verification_results.backup_id IS 'the backup in pgmaint.backups; null: a backup that the ledger does not know';
COMMENT ON COLUMN pgmaint.verification_results.run_id IS 'the run that restored the backup, which may be forgotten by now';
COMMENT ON COLUMN pgmaint.verification_results.task_id IS 'the task of the action verify_backup in pgmaint.tasks, which may be forgotten by now';
COMMENT ON COLUMN pgmaint.verification_results.asked_at IS 'when the query began';
COMMENT ON COLUMN pgmaint.verification_results.query IS 'the query, as it was then';
COMMENT ON COLUMN pgmaint.verification_results.expected IS 'the expected answer, as it was then';
COMMENT ON COLUMN pgmaint.verification_results.answer IS 'the first 1000 characters of the answer; null: the answer was null, or there was none, see error';
COMMENT ON COLUMN pgmaint.verification_results.ok IS 'whether the answer is the one that was expected; null: the query was not answered for a reason that says nothing about the backup';
COMMENT ON COLUMN pgmaint.verification_results.error IS 'why there is no answer: the message of the error, its first 300 bytes';
COMMENT ON COLUMN pgmaint.verification_results.duration IS 'how long the session took that executed the query';

-- they belong to the database, and are dumped and restored with it; results are history
SELECT pg_catalog.pg_extension_config_dump('pgmaint.verifications', '');
SELECT pg_catalog.pg_extension_config_dump('pgmaint.verifications_verification_id_seq', '');

CREATE FUNCTION pgmaint.add_verification(
	database name,
	query text,
	expected text DEFAULT 'true',
	time_limit interval DEFAULT '5 minutes')
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_add_verification';

COMMENT ON FUNCTION pgmaint.add_verification(name, text, text, interval) IS
	'have verify_backup execute a query in the restored backups of a database: another answer than the expected one makes a backup not restorable; returns the verification''s number';

CREATE FUNCTION pgmaint.drop_verification(verification_id bigint)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_verification';

COMMENT ON FUNCTION pgmaint.drop_verification(bigint) IS
	'drop a verification; its results stay; returns whether there was one';

REVOKE ALL ON pgmaint.verifications, pgmaint.verification_results FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.add_verification(name, text, text, interval),
	pgmaint.drop_verification(bigint)
FROM PUBLIC;
GRANT SELECT ON pgmaint.verifications TO pg_monitor;
