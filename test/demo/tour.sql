-- What a DBA would type, and what comes back.  The data is that of data.sql.
-- The variables h and o switch bold type on and off; width is the terminal's;
-- cron and statements are off where there is no pg_cron or pg_stat_statements.

\set ON_ERROR_STOP on
\pset format wrapped
\pset columns :width
\pset footer off
\pset linestyle unicode
\pset border 2
\pset null '·'
\set ECHO queries

\echo
\echo :h'1. Install it':o
\echo

CREATE EXTENSION pgmaint;
CREATE EXTENSION amcheck;  -- with which it looks for corruption
\if :statements
CREATE EXTENSION pg_stat_statements;  -- which counts queries
\endif

-- the catalogs' own counters know of it from now on
\set ECHO none
SELECT pg_stat_force_next_flush() \g /dev/null
\set ECHO queries

\echo
\echo :h'2. How much of each table is bloat?':o
\echo '   From a sample of its blocks, so it is quick on big tables; the margin is that of 95 %.'
\echo

SELECT relation, pg_size_pretty(total_bytes) AS size,
       pg_size_pretty(dead_bytes) AS dead, pg_size_pretty(free_bytes) AS free,
       to_char(100 * bloat_ratio, '990D0 %') AS bloat,
       to_char(100 * margin, '"± "990D0 %') AS margin,
       sampled_blocks || ' of ' || total_blocks AS blocks
  FROM pgmaint.table_bloat()
 WHERE total_bytes > 1024 * 1024
 ORDER BY bloat_bytes DESC;

\echo :h'3. And of each index?':o
\echo

SELECT index, pg_size_pretty(total_bytes) AS size, pg_size_pretty(bloat_bytes) AS bloat,
       to_char(100 * bloat_ratio, '990D0 %') AS ratio,
       to_char(100 * leaf_density, '990D0 %') AS "leaf density"
  FROM pgmaint.index_bloat()
 WHERE total_bytes > 1024 * 1024
 ORDER BY bloat_bytes DESC;

\echo :h'4. What would the weekly plan do, and why?':o
\echo

SELECT action, target, replace(reason, '; ', E'\n') AS reason,
       pg_size_pretty(estimate_bytes) AS estimate
  FROM pgmaint.dry_run('weekly')
 ORDER BY step, estimate_bytes DESC NULLS LAST;

\echo :h'5. Do it, and wait for it':o
\echo '   SELECT pgmaint.run(\'weekly\') would return at once and leave the work to the server.'
\echo

CALL pgmaint.run_and_wait('weekly');

\set ECHO none
SELECT max(run_id) AS run FROM pgmaint.runs \gset
\set ECHO queries

\echo :h'6. What was done, why, and what it gained':o
\echo

SELECT command, state,
       result -> 'dead_rows_before' AS dead_before, result -> 'dead_rows_after' AS dead_after,
       round(extract(epoch FROM finished_at - started_at), 1) || ' s' AS took
  FROM pgmaint.tasks
 WHERE run_id = :run AND action <> 'bloat_report'
 ORDER BY task_id;

\echo :h'7. The tables afterwards':o
\echo '   VACUUM gives room back to the table, not to the disk: what was dead is free for new rows.'
\echo

SELECT relation, pg_size_pretty(total_bytes) AS size,
       pg_size_pretty(dead_bytes) AS dead, pg_size_pretty(free_bytes) AS free,
       to_char(100 * bloat_ratio, '990D0 %') AS bloat
  FROM pgmaint.table_bloat()
 WHERE total_bytes > 1024 * 1024
 ORDER BY bloat_bytes DESC;

\echo :h'8. The same for a person who reads it in the morning':o
\echo

\pset format unaligned
\pset tuples_only on
SELECT pgmaint.report(:run);
\pset tuples_only off
\pset format wrapped

\echo
\echo :h'9. The weekly plan once more: it measures again, and leaves alone what is not due':o
\echo

CALL pgmaint.run_and_wait('weekly');

\echo
\echo :h'10. Take old rows out: into archives first, unless they are not wanted any more':o
\echo '   Archives go below the data directory here; CREATE SERVER with an s3:// address sends them there.'
\echo '   Partitions that are old as a whole leave without a DELETE.'
\echo

SELECT pgmaint.add_retention('audit_events', 'timestamp', '45 days', storage => 'pgmaint_local') AS policy;
SELECT pgmaint.add_retention('metrics', 'at', '90 days', storage => 'pgmaint_local') AS policy;
SELECT pgmaint.add_retention('workflows', 'updated_at', '60 days',
       filter => $$status = 'pending'$$, archive => false) AS policy;

CALL pgmaint.run_and_wait('monthly');

\echo :h'11. What left, and what of it is where':o
\echo

SELECT target, command, result ->> 'deleted_rows' AS rows_deleted
  FROM pgmaint.tasks
 WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs) AND action = 'retention'
 ORDER BY task_id;

SELECT archive_id, rows, pg_size_pretty(content_bytes) AS csv, pg_size_pretty(bytes) AS stored,
       range_from::date AS "from", range_to::date AS "to", key
  FROM pgmaint.archives
 ORDER BY archive_id;

\echo :h'12. An archive is whole, and comes back':o
\echo

SELECT min(archive_id) AS archive FROM pgmaint.archives WHERE relation = 'public.audit_events' \gset
CREATE TABLE audit_events_again (LIKE audit_events);
SELECT * FROM pgmaint.verify_archive(:archive);
SELECT pgmaint.restore_archive(:archive, 'audit_events_again') AS rows_restored;

\echo :h'13. Give free space back to the disk, while sessions read and write the tables':o
\echo '   What steps 7 and 10 left is free for new rows only. Rows are moved from the end of a table to its front,'
\echo '   and its end is cut off. The rows of a log are in order, so you decide whether that may change.'
\echo

SELECT relation, size, gain, to_char(100 * bloat_ratio, '990D0 %') AS bloat, obstacle
  FROM pgmaint.compact_candidates(min_gain => 10 * 1024 * 1024);

SELECT pgmaint.define_plan('shrink', '[{"action": "compact", "options": {"min_gain": "10 MB", "reorder": true}}, "reindex"]');
CALL pgmaint.run_and_wait('shrink');

SELECT target, pg_size_pretty(bytes_before) AS before, pg_size_pretty(bytes_after) AS after,
       result -> 'rows_moved' AS rows_moved, result -> 'rounds' AS rounds,
       round(extract(epoch FROM finished_at - started_at), 1) || ' s' AS took
  FROM pgmaint.tasks
 WHERE action = 'compact'
 ORDER BY task_id;

\echo :h'14. Back up every day, and prove every month that the backup can be restored':o
\echo '   Straight into an object, with no file in between; proven in a database that is gone again afterwards.'
\echo

CALL pgmaint.run_and_wait('daily');
SELECT pgmaint.define_plan('prove', '["verify_backup"]');
CALL pgmaint.run_and_wait('prove');

SELECT key, database, size, duration, verification, restore_duration AS restore_took
  FROM pgmaint.backups
 ORDER BY backup_id;

\echo :h'15. Four times a year: look at queries, indexes and connections':o
\echo '   Nothing is changed: no index is created or dropped, no setting is altered.'
\echo

CALL pgmaint.run_and_wait('quarterly') \gset

\if :statements
SELECT query, calls, total_percent, mean_ms, rows_per_call
  FROM pgmaint.slow_queries(5);

SELECT statement, gain, price
  FROM pgmaint.index_advice();
\endif

SELECT kind, relation, index, size, detail
  FROM pgmaint.index_usage()
 LIMIT 5;

\echo :h'16. Is everything in order?':o
\echo

SELECT check_id, status, detail, expected
  FROM pgmaint.validate()
 WHERE status <> 'ok' OR check_id LIKE 'backup%';

\if :cron

\echo
\echo :h'17. And from now on at its times, by pg_cron, which lives in the database postgres':o
\echo

SELECT * FROM pgmaint.schedule_all();

SELECT plan, schedule, next_run, command FROM pgmaint.schedules;

\echo :h'18. A night, shortened to a minute: pg_cron begins the plan, and knows how it went':o
\echo

SELECT pgmaint.schedule('weekly', '* * * * *');

\set ECHO none
\echo '   (waiting for the minute to end)'
\echo
DO $$
DECLARE
	since timestamptz := now();
BEGIN
	WHILE NOT EXISTS (SELECT FROM pgmaint.schedules WHERE plan = 'weekly' AND last_outcome = 'succeeded' AND last_run > since) LOOP
		IF clock_timestamp() > since + interval '3 minutes' THEN
			RAISE 'pg_cron has not begun anything: %', (SELECT last_outcome FROM pgmaint.schedules WHERE plan = 'weekly');
		END IF;
		-- a snapshot that is held would keep VACUUM from its work
		COMMIT;
		PERFORM pg_sleep(0.5);
	END LOOP;
END
$$;
\set ECHO queries

SELECT plan, last_run, last_outcome, next_run FROM pgmaint.schedules WHERE plan = 'weekly';

\set ECHO none
\connect postgres
\pset format wrapped
\echo '   What pg_cron has on record:'
\echo
\set ECHO queries

SELECT command, status, start_time::timestamptz(0) AS start_time, end_time::timestamptz(0) AS end_time
  FROM cron.job_run_details WHERE command LIKE 'CALL%';
\endif
