-- Verifications: queries of users that are executed in restored backups, and their
-- answers.

CREATE TABLE pgmaint.verifications (
	verification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	database name NOT NULL,
	query text NOT NULL,
	expected text NOT NULL,
	time_limit interval NOT NULL,
	added_by name NOT NULL,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint.verifications IS 'queries that verify_backup executes in restored backups, and their expected answers';
COMMENT ON COLUMN pgmaint.verifications.verification_id IS 'number of the verification, for drop_verification()';
COMMENT ON COLUMN pgmaint.verifications.database IS 'name of the backed-up database';
COMMENT ON COLUMN pgmaint.verifications.query IS 'one read-only statement that returns one row with one column';
COMMENT ON COLUMN pgmaint.verifications.expected IS 'expected answer as a text; true equals t, and false equals f; the text null: the answer is null';
COMMENT ON COLUMN pgmaint.verifications.time_limit IS 'time after which the query is cancelled; a cancelled query does not count against the backup';
COMMENT ON COLUMN pgmaint.verifications.added_by IS 'role that added the verification; the query is executed with the rights of the role that restores the dump';
COMMENT ON COLUMN pgmaint.verifications.created_at IS 'when the verification was added';

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

COMMENT ON TABLE pgmaint.verification_results IS 'answers of restored backups to the queries of pgmaint.verifications; answers contain values of users'' rows, so no role may read them without a grant; rows are deleted after pgmaint.keep_history';
COMMENT ON COLUMN pgmaint.verification_results.result_id IS 'key: number of the result';
COMMENT ON COLUMN pgmaint.verification_results.verification_id IS 'number of the verification, which may have been dropped since';
COMMENT ON COLUMN pgmaint.verification_results.backup_id IS 'the backup in pgmaint.backups; null: the backup is not in the ledger';
COMMENT ON COLUMN pgmaint.verification_results.run_id IS 'the run that restored the backup; its rows may have been deleted since';
COMMENT ON COLUMN pgmaint.verification_results.task_id IS 'the task of the action verify_backup in pgmaint.tasks; its row may have been deleted since';
COMMENT ON COLUMN pgmaint.verification_results.asked_at IS 'when the query began';
COMMENT ON COLUMN pgmaint.verification_results.query IS 'text of the query when it was executed';
COMMENT ON COLUMN pgmaint.verification_results.expected IS 'expected answer when the query was executed';
COMMENT ON COLUMN pgmaint.verification_results.answer IS 'first 1000 characters of the answer; null: the answer is null, or there is none, see error';
COMMENT ON COLUMN pgmaint.verification_results.ok IS 'whether the answer is the expected one; null: the query was not answered for a reason that does not count against the backup';
COMMENT ON COLUMN pgmaint.verification_results.error IS 'why there is no answer: the first 300 bytes of the error message';
COMMENT ON COLUMN pgmaint.verification_results.duration IS 'duration of the session that executed the query';

-- verifications are dumped and restored with the database; results are not
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
	'Adds a query that the action verify_backup executes in restored backups of a database, and returns its verification_id. Another answer than expected makes the backup not restorable. '
	'query is exactly one read-only SELECT, VALUES, TABLE or WITH that returns one row with one column. The answer is compared as text with expected, at most 1000 characters; the text null expects a null answer. '
	'The query is cancelled after time_limit, which does not count against the backup. '
	'Errors: an argument that is null or out of range, another kind of query, an existing verification of the same database, query and answer. A database that neither exists nor has a backup causes a notice.';

CREATE FUNCTION pgmaint.drop_verification(verification_id bigint)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_verification';

COMMENT ON FUNCTION pgmaint.drop_verification(bigint) IS
	'Drops a verification; its results are kept. Returns false if there is no verification with this number. Superusers and members of the role that added the verification may drop it.';

REVOKE ALL ON pgmaint.verifications, pgmaint.verification_results FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.add_verification(name, text, text, interval),
	pgmaint.drop_verification(bigint)
FROM PUBLIC;
GRANT SELECT ON pgmaint.verifications TO pg_monitor;
