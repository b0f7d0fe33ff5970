# vacuum_full: which tables are rewritten, which only lose their end, what is
# looked at before, and what a crash in the middle leaves behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('vacuum_full', q(timezone = 'UTC'), 'max_prepared_transactions = 5');

sub sql
{
	my ($query) = @_;
	return $node->safe_psql('postgres', $query);
}

sub vacuum_full
{
	my ($options, @settings) = @_;
	my $run = sql(join "\n", q(LOAD 'pgmaint';), @settings, "SELECT pgmaint.run_action('vacuum_full', '$options')");

	wait_for_end($node, $run);
	return $run;
}

sub commands
{
	my ($run) = @_;
	return sql("SELECT coalesce(string_agg(command || ' ' || state, ', ' ORDER BY target), 'none') FROM pgmaint.tasks WHERE run_id = $run");
}

sub error
{
	my ($run) = @_;
	return sql("SELECT string_agg(error, '; ' ORDER BY task_id) FROM pgmaint.tasks WHERE run_id = $run");
}

sub fill
{
	my ($table, $keep, @properties) = @_;

	sql("CREATE TABLE $table (id int, filler text) @properties;
		INSERT INTO $table SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g;
		CREATE INDEX ON $table (id);
		DELETE FROM $table WHERE NOT ($keep)");
	sql("VACUUM (TRUNCATE false, ANALYZE) $table");
}

sql(q(SELECT pgmaint.add_window('always', '{0,1,2,3,4,5,6}', '00:00', '24 hours', 'UTC')));
my $due = '"min_gain": "1 MB"';

# one whose free space is everywhere, one where it is at the end, and those that
# are none of its business
fill('spread', 'id % 4 = 0');
fill('tail', 'id <= 5000');
fill('half', 'id % 5 > 1', 'WITH (fillfactor = 50)');
fill('good', 'id % 5 <> 0');
is(sql(q(SELECT string_agg(command, ', ' ORDER BY command) FROM pgmaint.dry_run('weekly', '{"vacuum_full": {"min_gain": "1 MB"}}') WHERE action = 'vacuum_full')),
	'VACUUM (FULL, ANALYZE) public.spread, VACUUM (TRUNCATE true) public.tail', 'what is due, and how');
is(sql(q(SELECT count(*) FROM pgmaint.dry_run('weekly') WHERE action = 'vacuum_full')), '0', 'nothing is due below 100 MB');
is(sql(q(SELECT count(*) FROM pgmaint.dry_run('weekly', '{"vacuum_full": {"min_gain": "1 MB", "bloat_threshold": 0.9}}') WHERE action = 'vacuum_full')), '0', 'nothing is due below the threshold');
my $rows = sql('SELECT count(*), sum(hashtext(s::text)) FROM spread s');
my $run = vacuum_full("{$due}");
is(run_state($node, $run), 'succeeded', 'run') or diag run_error($node, $run);
is(commands($run), 'VACUUM (FULL, ANALYZE) public.spread succeeded, VACUUM (TRUNCATE true) public.tail succeeded', 'both are done');
is(sql("SELECT bool_and(bytes_after * 2 < bytes_before AND abs(bytes_before - bytes_after - (evidence ->> 'gain_bytes')::bigint) < 0.1 * bytes_before)
	FROM pgmaint.tasks WHERE run_id = $run"), 't', 'and give back what was promised');
is(sql('SELECT count(*), sum(hashtext(s::text)) FROM spread s'), $rows, 'the rows are there');
is(sql("SELECT bool_or(disruptive) FROM pgmaint.tasks WHERE run_id = $run AND command ~ 'TRUNCATE'"), 'f', 'cutting off the end is not disruptive');
like(sql("SELECT string_agg(line, ' ') FROM pgmaint.report($run) AS r (line)"), qr/vacuum_full +2 of 2 done .* returned/, 'report');
is(commands(vacuum_full("{$due}")), 'none', 'then nothing is due');

# the system's tables, pgmaint's own and temporary ones are left alone
is(sql(q(SELECT count(*) FROM pgmaint.dry_run('weekly', '{"vacuum_full": {"min_gain": 0, "bloat_threshold": 0}}') WHERE action = 'vacuum_full' AND target !~ '^public\.')),
	'0', 'tables of the system and of pgmaint are left alone');

# where a VACUUM that should have cut off the end could not, the next is FULL
fill('stuck', 'id <= 5000');
$run = vacuum_full("{$due}");
is(commands($run), 'VACUUM (TRUNCATE true) public.stuck succeeded', 'the end is cut off first');
sql(q(INSERT INTO stuck SELECT g, repeat('x', 500) FROM generate_series(5001, 20000) g; DELETE FROM stuck WHERE id > 5000));
sql('VACUUM (TRUNCATE false) stuck');
sql("UPDATE pgmaint.tasks SET bytes_after = bytes_before WHERE run_id = $run");
is(commands(vacuum_full("{$due}")), 'VACUUM (FULL, ANALYZE) public.stuck succeeded', 'where that was in vain, the table is rewritten');

# room for the copy
fill('large', 'id % 4 = 0');
$run = vacuum_full(qq({$due, "min_free": "900 TB"}));
is(run_state($node, $run), 'succeeded', 'no room: the run succeeds');
like(error($run), qr/^not enough disk space: \d+ [kM]B needed in the database's own tablespace and 900 TB to be kept free there, but only \d+ [MGT]B free$/, 'no room: both figures');

# an old snapshot keeps what was deleted
my $holder = $node->background_psql('postgres');
$holder->query_safe(q(SET application_name = 'analyst'; BEGIN ISOLATION LEVEL REPEATABLE READ));
$holder->query_safe('SELECT count(*) FROM good');
sql("CREATE TABLE held (id int, filler text); INSERT INTO held SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g");
$holder->query_safe('COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ');
$holder->query_safe('SELECT count(*) FROM good');
sql('DELETE FROM held WHERE id % 4 <> 0');
sql('DROP TABLE large');
$node->poll_query_until('postgres', q(SELECT n_dead_tup > 10000 FROM pg_stat_user_tables WHERE relname = 'held'));
$run = vacuum_full("{$due}", 'SET pgmaint.lock_retries = 0;');
is(commands($run), 'VACUUM (FULL, ANALYZE) public.held skipped', 'an old snapshot: skipped');
like(error($run), qr/^VACUUM FULL would be futile: only \S+ \S+ of \d+ MB would be freed, because of process \d+ of role \w+ \(analyst\), idle in transaction, since /,
	'an old snapshot: named');
$holder->query_safe('COMMIT');
is(commands(vacuum_full("{$due}")), 'VACUUM (FULL, ANALYZE) public.held succeeded', 'an old snapshot: gone');

# a session that has held a lock for longer than the lock timeout will not release
# it: VACUUM FULL must not make other sessions wait behind its lock request
fill('locked', 'id % 4 = 0');
$holder->query_safe('BEGIN; SELECT count(*) FROM locked');
$node->poll_query_until('postgres', q(SELECT clock_timestamp() - xact_start > '100 ms' FROM pg_stat_activity WHERE application_name = 'analyst'));
$run = vacuum_full("{$due}", q(SET pgmaint.lock_retries = 0; SET pgmaint.lock_timeout = '100ms';));
like(error($run), qr/^other sessions would wait behind the lock request: process \d+ of role \w+ \(analyst\), idle in transaction, holds AccessShareLock on (public\.)?locked since /,
	'an old lock: nothing is asked for, and the holder is named');
$holder->query_safe('COMMIT');
sql(q(BEGIN; INSERT INTO locked VALUES (0, ''); PREPARE TRANSACTION 'left'));
$run = vacuum_full("{$due}", q(SET pgmaint.lock_retries = 0; SET pgmaint.lock_timeout = '10s';));
like(error($run), qr/^other sessions would wait behind the lock request: a prepared transaction holds RowExclusiveLock on (public\.)?locked$/,
	'a prepared transaction does not make way either');
sql(q(ROLLBACK PREPARED 'left'));
# a table that is locked altogether cannot be looked at when it is planned
$holder->query_safe('BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE');
is(commands(vacuum_full("{$due}")), 'none', 'a table that is locked altogether is passed over');
$holder->query_safe('COMMIT');
$holder->quit;
is(commands(vacuum_full("{$due}")), 'VACUUM (FULL, ANALYZE) public.locked succeeded', 'without locks it is done');

# as a role without rights to the table, and as its owner
fill('theirs', 'id % 4 = 0');
sql('CREATE ROLE app LOGIN; GRANT USAGE ON SCHEMA pgmaint TO app; GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO app');
$run = vacuum_full("{$due}", 'SET ROLE app;');
is(commands($run), 'none', 'without rights: left alone');
like(sql("SELECT message FROM pgmaint.findings WHERE run_id = $run"), qr/VACUUM FULL is due for 1 table on which the role of the run lacks privileges: public\.theirs$/, 'without rights: finding');
sql('ALTER TABLE theirs OWNER TO app');
is(commands(vacuum_full("{$due}", 'SET ROLE app;')), 'VACUUM (FULL, ANALYZE) public.theirs succeeded', 'as the owner');

# a crash in the middle: the table is as it was, nothing is left in the
# catalogs, and the next run does what is due
sql(q(CREATE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
	BEGIN
		IF current_setting('test.fast', true) IS DISTINCT FROM 'on' THEN
			PERFORM pg_sleep(0.1);
		END IF;
		RETURN n;
	END $$));
fill('slow', 'id % 4 = 0');
sql("SET test.fast = 'on'; CREATE INDEX ON slow (slow(id))");
$rows = sql('SELECT count(*), sum(hashtext(s::text)) FROM slow s');
my $relations = sql('SELECT count(*) FROM pg_class');
$run = sql("SELECT pgmaint.run_action('vacuum_full', '{$due}')");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pgmaint.progress WHERE target = 'public.slow' AND phase = 'rebuilding index'")
  or die 'no VACUUM FULL of slow';
kill 'KILL', sql("SELECT pid FROM pgmaint.progress WHERE target = 'public.slow'");
wait_for_restart($node);
sql('SELECT pgmaint.tick()');
is(wait_for_end($node, $run), 'interrupted', 'a crash: run');
is(commands($run), 'VACUUM (FULL, ANALYZE) public.slow interrupted', 'a crash: task');
is(sql('SELECT count(*), sum(hashtext(s::text)) FROM slow s'), $rows, 'a crash: the rows are there');
is(sql('SELECT count(*) FROM pg_class'), $relations, 'a crash: nothing is left in the catalogs');
is(sql('SELECT count(*) FROM pg_index WHERE NOT indisvalid'), '0', 'a crash: every index is valid');
sql(q(CREATE OR REPLACE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n'));
$run = vacuum_full("{$due}");
is(run_state($node, $run), 'succeeded', 'after a crash: the next run') or diag run_error($node, $run);
is(commands($run), 'VACUUM (FULL, ANALYZE) public.slow succeeded', 'after a crash: the table is rewritten');
my $orphans = "FROM pgmaint.findings f, jsonb_array_elements_text(f.detail -> 'files') l (path) WHERE f.check_id = 'orphaned_files' AND f.run_id";
cmp_ok(sql("SELECT count(*) $orphans = $run"), '>', 0, 'after a crash: the files that the server has left are named');
is(sql("SELECT count(*) $orphans = $run AND pg_filenode_relation(0, substring(path FROM '([0-9]+)[^/]*\$')::oid) IS NOT NULL"), 0, '... they belong to no relation');
unlink map { $node->data_dir . "/$_" } split /\n/, sql("SELECT path $orphans = $run");
$run = vacuum_full("{$due}");
is(sql("SELECT count(*) $orphans = $run"), 0, '... once they are gone nothing more is said of them');
is(sql('SELECT count(*), sum(hashtext(s::text)) FROM slow s'), $rows, 'after a crash: the rows are there');

# whatever it gives back, where that was asked for
sql('CREATE TABLE sound (id int); INSERT INTO sound SELECT generate_series(1, 1000)');
is(commands(vacuum_full('{"tables": "sound"}')), 'none', 'a table that is named and not due is left alone');
is(commands(vacuum_full('{"tables": "sound", "force": true}')), 'VACUUM (FULL, ANALYZE) public.sound succeeded', '... unless it is forced');

# beside the work on the table, where that was asked for, and in a window all the same
SKIP:
{
	skip 'REPACK (CONCURRENTLY) came with 19', 11 if $node->pg_version->major < 19;
	sql('DROP TABLE IF EXISTS keyed; CREATE TABLE keyed (id int PRIMARY KEY, filler text)');
	sql("INSERT INTO keyed SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g; DELETE FROM keyed WHERE id % 4 <> 0");
	sql('VACUUM (TRUNCATE false, ANALYZE) keyed');
	my $planned = sub {
		return sql("SELECT string_agg(command || ' ' || disruptive, ', ') FROM pgmaint.dry_run('weekly', '{\"vacuum_full\": {$due, \"tables\": \"keyed\"$_[0]}}') WHERE action = 'vacuum_full'");
	};
	is($planned->(''), 'VACUUM (FULL, ANALYZE) public.keyed true', 'REPACK is not used unasked');
	is($planned->(', "concurrently": true'), 'REPACK (CONCURRENTLY) public.keyed true', 'REPACK: asked for, and disruptive');
	is(sql("SELECT reason ~ 'such as a pg_dump started without pgmaint, reads the table as empty' FROM pgmaint.dry_run('weekly', '{\"vacuum_full\": {$due, \"tables\": \"keyed\", \"concurrently\": true}}') WHERE action = 'vacuum_full'"), 't', '... the reason has the warning');
	$rows = sql('SELECT count(*), sum(hashtext(k::text)) FROM keyed k');
	my $bytes = sql(q(SELECT pg_table_size('keyed')));
	$run = vacuum_full("{$due, \"tables\": \"keyed\", \"concurrently\": true}");
	is(run_state($node, $run), 'succeeded', '... run') or diag run_error($node, $run);
	is(commands($run), 'REPACK (CONCURRENTLY) public.keyed succeeded', '... task');
	cmp_ok(sql(q(SELECT pg_table_size('keyed'))), '<', $bytes / 2, '... the table is smaller');
	is(sql('SELECT count(*), sum(hashtext(k::text)) FROM keyed k'), $rows, '... the rows are there');

	# what it has caught up with: a row is deleted while an index is built, which
	# waits, and a reader keeps the files from being swapped
	sql(q(CREATE FUNCTION held(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
		'BEGIN PERFORM pg_catalog.pg_advisory_lock(19); PERFORM pg_catalog.pg_advisory_unlock(19); RETURN $1; END';
		CREATE INDEX keyed_held ON keyed (held(id))));
	my ($reader, $holder) = map { $node->background_psql('postgres') } 1 .. 2;
	$reader->query_safe('BEGIN; SELECT id FROM keyed LIMIT 1');
	$holder->query_safe('SELECT pg_advisory_lock(19)');
	$run = sql(qq(LOAD 'pgmaint'; SET pgmaint.lock_timeout = '120s';
		SELECT pgmaint.run_action('vacuum_full', '{"tables": "keyed", "force": true, "concurrently": true}')));
	ok($node->poll_query_until('postgres', q(SELECT phase = 'rebuilding index' AND changes_applied IS NULL FROM pgmaint.progress WHERE target = 'public.keyed'
		AND EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 19 AND NOT granted))), '... progress: an index');
	sql('DELETE FROM keyed WHERE id IN (4, 8, 12)');
	$holder->query_safe('SELECT pg_advisory_unlock(19)');
	ok($node->poll_query_until('postgres', q(SELECT phase = 'catch-up' AND changes_applied = 3 FROM pgmaint.progress WHERE target = 'public.keyed')),
		'... progress: changes that it caught up with');
	$reader->query_safe('COMMIT');
	is(wait_for_end($node, $run), 'succeeded', '... the end of it') or diag run_error($node, $run);
	$_->quit foreach ($reader, $holder);
	sql('DROP INDEX keyed_held');
	$node->append_conf('postgresql.conf', 'max_repack_replication_slots = 0');
	$node->restart;
	sql("INSERT INTO keyed SELECT g, repeat('x', 500) FROM generate_series(100001, 120000) g; DELETE FROM keyed WHERE id > 100000");
	sql('INSERT INTO keyed VALUES (200000)');
	sql('VACUUM (TRUNCATE false, ANALYZE) keyed');
	is($planned->(', "concurrently": true'), 'VACUUM (FULL, ANALYZE) public.keyed true', '... not without a slot for it');
}

no_processes_left($node, 'no process is left');
$node->stop;

done_testing();
