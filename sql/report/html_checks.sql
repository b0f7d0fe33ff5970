-- The part of the page of report_html() with the checks of validate(), and what to do
-- about each check.

-- The subject of each check, and what to do where its findings do not say so.
CREATE FUNCTION pgmaint_internal.check_guide()
RETURNS TABLE (check_id text, title text, remedy text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60
BEGIN ATOMIC
	VALUES
		('F004'::text, 'table bloat'::text, 'The action compact gives the space back while the table is in use: SELECT * FROM pgmaint.compact_candidates(). The action vacuum_full rewrites such tables inside a maintenance window (pgmaint.add_window), or at any time with {"ignore_window": true}.'::text),
		('compact', 'compaction of tables', 'SELECT * FROM pgmaint.compact_candidates() lists the tables, what each would gain, and what speaks against it.'),
		('F005', 'index bloat', 'The action reindex rebuilds such indexes, concurrently where the server can: SELECT pgmaint.run_action(''reindex'').'),
		('H001', 'invalid indexes', NULL),
		('H002', 'unused indexes', 'DROP INDEX CONCURRENTLY drops one, once you know that neither a standby nor a yearly report needs it. pgmaint drops none.'),
		('H003', 'foreign keys without an index', 'CREATE INDEX CONCURRENTLY on the columns that refer to the other table: without it, a DELETE there reads all of this one.'),
		('H004', 'redundant indexes', 'DROP INDEX CONCURRENTLY drops one; pgmaint.index_usage() says which other index does its work.'),
		('index_advice', 'indexes that would help', 'pgmaint.index_advice() lists the indexes, with the queries that gain. pgmaint creates none; the next review says whether an index that you created has helped.'),
		('collation', 'collations that changed', 'The action reindex rebuilds these indexes before all others: SELECT pgmaint.run_action(''reindex'').'),
		('corruption', 'damage on disk', 'Copy the data directory as it is before anything else. A damaged index is rebuilt once its table is found sound; a damaged table comes from a backup.'),
		('checksums', 'data checksums', 'Check the disk, which fails again once it has failed. Compare the data with a backup, and replace the disk.'),
		('sequences', 'sequences near their end', 'Change the column and its sequence to bigint before the last value is used.'),
		('constraints', 'constraints that were never validated', NULL),
		('amcheck', 'objects that were not checked for corruption', NULL),
		('privileges', 'missing privileges', 'Run the plan as a role that has these privileges, or grant them to the role of the run.'),
		('retention', 'retention', NULL),
		('archive', 'archives that were read', 'A copy of the object, or an older version of it, may be whole: put it in its place, and have verify_archive() read it again.'),
		('backup', 'backups', NULL),
		('unknown_objects', 'objects that the ledger does not list', NULL),
		('expire_backups', 'backups that should expire', NULL),
		('slow_queries', 'queries that were not reviewed', NULL),
		('degradation', 'queries that became slower with maintenance', 'SELECT * FROM pgmaint.degraded_queries() names the maintenance before, pgmaint.query_plans has the plans before and after it. A larger statistics target or an index often helps.'),
		('plan_changed', 'queries whose plan has changed', 'SELECT * FROM pgmaint.query_plans has both plans. It matters where the query takes longer: SELECT * FROM pgmaint.slow_queries(order_by => ''change'').'),
		('failed', 'tasks and runs that failed', 'pgmaint.tasks has the commands and their errors. Once the cause is removed, the next run of the plan repeats them.'),
		('skipped', 'tasks that were skipped', 'SELECT * FROM pgmaint.xmin_holders() names what holds old rows back now; a lock may be released by the next run.'),
		('storage_renamed', 'storages with a new name', NULL),
		('repack', 'tables rewritten by REPACK (CONCURRENTLY)', 'A dump that began before the table was rewritten and went on after it may lack the rows of the table: repeat the dump.'),
		('window', 'work that waits for a maintenance window', NULL),
		('server_release', 'minor releases with known vulnerabilities', 'Update the server''s packages, and restart the server.'),
		('worker_slots', 'background workers', 'Raise max_worker_processes, and restart the server.'),
		('missed_schedule', 'schedules that were missed', 'SELECT * FROM pgmaint.schedules shows each schedule in pg_cron, and what is wrong with it.'),
		('interrupted', 'runs that were interrupted', NULL),
		('delivery', 'contacts that cannot be reached', 'SELECT * FROM pgmaint.notifications has the errors. Once the receiver works: SELECT pgmaint.run_action(''escalate'', ''{"retry": true}'').'),
		('orphaned_files', 'files that belong to no relation', NULL),
		-- those of validate()
		('archiver', 'archiving of WAL', 'The server log has the errors of archive_command. Until it succeeds, WAL stays on the disk, and fills it.'),
		('backup_exists', 'databases without a backup', 'SELECT pgmaint.run_action(''backup'') makes one of this database, SELECT pgmaint.schedule(''daily'') one each day.'),
		('backup_recent', 'backups that are old', 'pgmaint.backups shows how the last attempts ended, pgmaint.schedules when the next one begins.'),
		('backup_verified', 'backups that were not proven', 'SELECT pgmaint.run_action(''verify_backup'') restores the newest of each database into a private server, and compares.'),
		('bloat', 'total bloat', 'The actions reindex, compact and vacuum_full remove bloat.'),
		('bloat_measured', 'bloat that was not measured', 'SELECT pgmaint.run_action(''bloat_report'') measures it.'),
		('checksum_failures', 'checksum failures', 'Check the disk, which fails again once it has failed. SELECT pgmaint.run_action(''check_corruption'') finds what is damaged.'),
		('connections', 'connections', 'SELECT * FROM pgmaint.connection_review() shows which sessions use them, and recommends a value for max_connections.'),
		('disk_free', 'free disk space', 'Free disk space, or move a tablespace: a server whose disk is full stops.'),
		('disk_headroom', 'disk space for maintenance', 'Free disk space: a task that writes a copy of a table or an index is skipped where the copy does not fit.'),
		('extensions', 'extensions with updates', 'ALTER EXTENSION ... UPDATE brings each up to its files.'),
		('invalid_indexes', 'invalid indexes', 'SELECT pgmaint.run_action(''reindex'') rebuilds them; drop those that are not needed.'),
		('long_transactions', 'long transactions', 'They keep dead rows from being removed. pg_terminate_backend(pid) ends one; pgmaint ends none.'),
		('pending_restart', 'settings that wait for a restart', 'Restart the server when it suits its users.'),
		('prepared_transactions', 'prepared transactions', 'COMMIT PREPARED or ROLLBACK PREPARED ends one whose coordinator has forgotten it.'),
		('recovery', 'a server in recovery', 'Nothing to do on a standby. SELECT pg_promote() makes the server a primary.'),
		('replication_lag', 'standbys that lag', 'Look at the network and the load of the standby; pg_stat_replication shows its position.'),
		('replication_slots', 'replication slots', 'They keep WAL on the disk. SELECT pg_drop_replication_slot(name) drops one that has no consumer.'),
		('schedules', 'schedules that were missed', 'SELECT * FROM pgmaint.schedules shows each schedule in pg_cron, and what is wrong with it.'),
		('storage', 'objects of archives and backups', 'Look for them in versions or copies of the bucket or folder before anything else: SELECT pgmaint.run_action(''validate'') compares again. SELECT * FROM pgmaint.verify_archive(number) reads a damaged archive again.'),
		('statistics', 'statistics', 'SELECT pgmaint.run_action(''analyze'') renews them.'),
		('undelivered_messages', 'messages to contacts that do not arrive', 'Once the receiver works: SELECT pgmaint.run_action(''escalate'', ''{"retry": true}'').'),
		('wraparound', 'transaction IDs', 'SELECT pgmaint.run_action(''vacuum'') freezes the oldest tables; sessions and slots that hold an old snapshot have to end first.'),
		-- the detail of these has the command
		('checksums_enabled', 'data checksums', NULL),
		('failed_runs', 'plans whose last runs failed', NULL),
		('nobody_is_told', 'critical alerts without a contact', NULL),
		('identity', 'a database that may be a copy', 'SELECT pgmaint.take_over() if this database is the successor; SELECT pgmaint.stay_copy() if it is a copy, and stays one.'),
		('nothing_scheduled', 'no plan is scheduled', NULL);
END;

COMMENT ON FUNCTION pgmaint_internal.check_guide() IS 'the subject of each check that makes findings, and what to do where its findings do not say it';

CREATE FUNCTION pgmaint_internal.html_check_results(OUT section text, OUT checks bigint, OUT critical bigint, OUT warning bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH checked AS MATERIALIZED (
		SELECT v.*, row_number() OVER (PARTITION BY v.status = 'ok' ORDER BY array_position(ARRAY['critical', 'warning', 'ok'], v.status), v.check_id, v.object) AS nth
		FROM pgmaint.validate() v
	),
	counted AS (
		SELECT
			count(*) AS checks,
			count(*) FILTER (WHERE c.status = 'critical') AS critical,
			count(*) FILTER (WHERE c.status = 'warning') AS warning,
			count(*) FILTER (WHERE c.status = 'ok') AS ok
		FROM checked c
	),
	tables AS (
		SELECT
			c.status = 'ok' AS ok,
			pgmaint_internal.html_table('Results of pgmaint.validate()', ARRAY['Status', 'Check', 'Detail', 'Expected'], array_agg(ARRAY[
				pgmaint_internal.html_state(c.status),
				pgmaint_internal.html_name(c.check_id),
				pgmaint_internal.html_text(c.detail) || CASE WHEN c.status <> 'ok' AND g.remedy IS NOT NULL
					THEN format('<br/><span class="soft">%s</span>', pgmaint_internal.html_text(g.remedy)) ELSE '' END,
				pgmaint_internal.html_text(c.expected)
			] ORDER BY c.nth) FILTER (WHERE c.nth <= 40))
			|| CASE WHEN count(*) > 40 THEN format('<p>%s more: <code>SELECT * FROM pgmaint.validate()</code></p>', count(*) - 40) ELSE '' END AS content
		FROM checked c
		LEFT JOIN pgmaint_internal.check_guide() g USING (check_id)
		GROUP BY c.status = 'ok'
	)
	SELECT
		pgmaint_internal.html_section('checks', 'Checks now', concat(
			(SELECT t.content FROM tables t WHERE NOT t.ok),
			pgmaint_internal.html_fold(
				format('%s of %s checks ok', pgmaint_internal.html_state('ok', n.ok::text), n.checks),
				(SELECT t.content FROM tables t WHERE t.ok)))),
		n.checks,
		n.critical,
		n.warning
	FROM counted n;
END;

COMMENT ON FUNCTION pgmaint_internal.html_check_results() IS 'what validate() finds now, checks that are ok folded; and how many checks there are, critical ones and warnings';

-- The function has this name since 0.2, and roles may have been granted it.
CREATE FUNCTION pgmaint_internal.html_checks()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT c.section FROM pgmaint_internal.html_check_results() c;
END;

COMMENT ON FUNCTION pgmaint_internal.html_checks() IS 'what validate() finds now, without the numbers of html_check_results()';

REVOKE ALL ON FUNCTION pgmaint_internal.check_guide(), pgmaint_internal.html_check_results(), pgmaint_internal.html_checks() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.check_guide(), pgmaint_internal.html_check_results(), pgmaint_internal.html_checks() TO pg_monitor;
