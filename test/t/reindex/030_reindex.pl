# Rebuilds of indexes that do not come to their end: killed, cancelled, given up
# because of a transaction that does not end, or with an error.  What pgmaint has
# begun is dropped, at once or by the next run, and nothing that is others'.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('reindex', 'pgmaint.max_workers = 1', 'max_prepared_transactions = 2', 'pgmaint.lock_retries = 0');

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# Rebuild the indexes of a table; returns the run.
sub reindex
{
	my ($table, $settings) = @_;
	return sql(($settings || '') . qq(; SELECT pgmaint.run_action('reindex', '{"tables": "$table"}')));
}

# A run that rebuilds nothing unless something is wrong with an index.
sub reindex_due
{
	my ($table) = @_;
	my $run = sql(qq(SELECT pgmaint.run_action('reindex', '{"tables": "$table", "scope": "due", "min_size": 0}')));
	wait_for_end($node, $run);
	return $run;
}

sub indexes
{
	my ($table) = @_;
	return sql("SELECT string_agg(format('%s %s', c.relname, CASE WHEN i.indisvalid THEN 'valid' ELSE 'invalid' END), ', ' ORDER BY c.relname)
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = '$table'::regclass");
}

sub wait_for_phase
{
	my ($phase) = @_;
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pgmaint.progress WHERE action = 'reindex' AND phase = '$phase'")
	  or die "no rebuild is $phase";
	return sql(q(SELECT pid FROM pgmaint.progress WHERE action = 'reindex'));
}

sub task
{
	my ($run, $columns) = @_;
	return sql("SELECT $columns FROM pgmaint.tasks WHERE run_id = $run ORDER BY task_id");
}

sub create_table
{
	my ($table) = @_;
	sql("DROP TABLE IF EXISTS $table; CREATE TABLE $table (id int);
		INSERT INTO $table SELECT g FROM generate_series(1, 20000) g;
		CREATE INDEX ${table}_id ON $table (id)");
}

sql('CREATE TABLE elsewhere (id int)');
my $holder = $node->background_psql('postgres');
my $pid = $holder->query_safe('SELECT pg_backend_pid()');
my $snapshot = 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM elsewhere';
my $waits_for_snapshots = 'waiting for old snapshots';
my $waits_for_readers = 'waiting for readers before marking dead';

# a rebuild, its history, and what is known by OID
create_table('work');
my $before = sql(q(SELECT 'work_id'::regclass::oid));
my $run = reindex('work');
is(wait_for_end($node, $run), 'succeeded', 'a rebuild: run') or diag run_error($node, $run);
is(task($run, 'command, state, attempt'), 'REINDEX INDEX CONCURRENTLY public.work_id|succeeded|1', 'a rebuild: task');
isnt(sql(q(SELECT 'work_id'::regclass::oid)), $before, 'the index has another OID');
is(task($run, q(relation = 'work_id'::regclass, bytes_before > 0, bytes_after > 0)), 't|t|t', 'which the ledger follows');
is(indexes('work'), 'work_id valid', 'nothing is left');
is(sql(q(SELECT built = 'work_id'::regclass, finished_at >= began_at, bytes_after > 0 FROM pgmaint_internal.index_rebuilds)), 't|t|t', 'the rebuild is known');

# bloat is measured again before the work: others may have rebuilt the index
foreach my $table (qw(first second))
{
	my $rows = $table eq 'first' ? 40000 : 20000;
	sql("CREATE TABLE $table (id int); INSERT INTO $table SELECT generate_series(1, $rows); CREATE INDEX ${table}_id ON $table (id);
		DELETE FROM $table WHERE id % 4 <> 0");
	sql("VACUUM $table");
}
$holder->query_safe($snapshot);
$run = sql(q(SELECT pgmaint.run_action('reindex', '{"tables": ["first", "second"], "scope": "due", "min_size": 0}')));
wait_for_phase($waits_for_snapshots);
is(task($run, 'target, state'), "public.first_id|running\npublic.second_id|pending", 'bloat: two are due');
sql('REINDEX INDEX second_id');
$holder->query_safe('COMMIT');
is(wait_for_end($node, $run), 'succeeded', 'bloat: run') or diag run_error($node, $run);
is(task($run, q(target, state, regexp_replace(error, '[0-9]+ (bytes|[kM]B)', 'N', 'g'))),
	"public.first_id|succeeded|\n"
	  . 'public.second_id|skipped|not enough bloat by a second sample of pages: N of N',
	'bloat: what is no longer bloated is not rebuilt');

# SIGKILL while the new index waits to take its place
$holder->query_safe($snapshot);
$run = reindex('work');
my $worker = wait_for_phase($waits_for_snapshots);
is(sql(q(SELECT percent_done BETWEEN 0 AND 100 FROM pgmaint.progress)), 't', 'progress has a percentage');
is(indexes('work'), 'work_id valid, work_id_ccnew invalid', 'killed: before');
is(sql(q(SELECT count(*) FROM pgmaint.reindex_candidates(everything => true) WHERE index = 'work_id_ccnew'::regclass)),
	'0', 'what is being built is no leftover');
my $offset = -s $node->logfile;
kill 'KILL', $worker;
wait_for_restart($node, $offset);
# another's, of the same index
$holder = $node->background_psql('postgres');
$pid = $holder->query_safe('SELECT pg_backend_pid()');
$holder->query_safe($snapshot);
my ($status, $stdout, $stderr) = $node->psql('postgres', "SET lock_timeout = '200ms'; REINDEX INDEX CONCURRENTLY work_id");
isnt($status, 0, 'killed: a REINDEX of another session fails, too');
$holder->query_safe('COMMIT');
is(indexes('work'), 'work_id valid, work_id_ccnew invalid, work_id_ccnew1 invalid', 'killed: after');
is(sql(q(SELECT index, causes, command FROM pgmaint.reindex_candidates() ORDER BY index::text)),
	"work_id_ccnew|{leftover}|DROP INDEX CONCURRENTLY public.work_id_ccnew\n"
	  . 'work_id_ccnew1|{"leftover of others"}|DROP INDEX CONCURRENTLY public.work_id_ccnew1',
	'killed: both are seen, and told apart');
my $next = reindex_due('work');
is(run_state($node, $run), 'interrupted', 'killed: run');
is(run_state($node, $next), 'succeeded', 'killed: the next run');
is(task($next, 'command, state'), 'DROP INDEX CONCURRENTLY public.work_id_ccnew|succeeded', 'killed: it drops what was left');
is(indexes('work'), 'work_id valid, work_id_ccnew1 invalid', 'killed: and nothing else');
like(sql("SELECT message FROM pgmaint.findings WHERE run_id = $next AND check_id = 'H001'"),
	qr/^public\.work_id_ccnew1 is invalid, left by an interrupted REINDEX CONCURRENTLY of another session; .* DROP INDEX CONCURRENTLY public\.work_id_ccnew1$/,
	'killed: what is others\' is for a person');
sql('DROP INDEX work_id_ccnew1');
is(sql('SELECT count(*) FROM pgmaint_internal.index_rebuilds WHERE finished_at IS NULL'), '0', 'killed: the note is gone');

# SIGKILL after that, while the old index waits to be dropped
$holder->query_safe('BEGIN; LOCK TABLE work IN ACCESS SHARE MODE');
$run = reindex('work');
$worker = wait_for_phase($waits_for_readers);
is(indexes('work'), 'work_id valid, work_id_ccold invalid', 'killed late: before');
$offset = -s $node->logfile;
kill 'KILL', $worker;
wait_for_restart($node, $offset);
$next = reindex_due('work');
is(task($next, 'command, state'), 'DROP INDEX CONCURRENTLY public.work_id_ccold|succeeded', 'killed late: the next run drops the old one');
is(indexes('work'), 'work_id valid', 'killed late: nothing is left');
is(sql('SELECT count(*) FROM pgmaint_internal.index_rebuilds WHERE finished_at IS NULL'), '0', 'killed late: the note is gone');

# cancelled
$holder = $node->background_psql('postgres');
$pid = $holder->query_safe('SELECT pg_backend_pid()');
$holder->query_safe($snapshot);
$run = reindex('work');
wait_for_phase($waits_for_snapshots);
is(sql("SELECT pgmaint.cancel($run)"), 't', 'cancelled');
is(wait_for_end($node, $run), 'cancelled', 'cancelled: run');
is(task($run, 'state'), 'cancelled', 'cancelled: task');
is(indexes('work'), 'work_id valid', 'cancelled: the worker itself has cleaned up');

# given up, while others go on
$run = reindex('work', q(SET pgmaint.max_wait = '300ms'));
is(wait_for_end($node, $run), 'succeeded', 'given up: run');
like(task($run, 'state, error'), qr/^skipped\|(given up after 0\.3 s \(pgmaint\.max_wait\) of waiting for|the rebuild would have to wait for) process $pid of role \w+/, 'given up: task');
is(indexes('work'), 'work_id valid', 'given up: nothing is left');

# one that is known to be old is not waited for at all
$run = reindex('work', q(SET pgmaint.max_wait = '100ms'));
is(wait_for_end($node, $run), 'succeeded', 'an old transaction: run');
like(task($run, 'state, error, attempt'), qr/^skipped\|the rebuild would have to wait for process $pid of role \w+ .*idle in transaction, in a transaction since .*\|1$/,
	'an old transaction: skipped, and named');

# it goes away, and the rebuild is tried again
$holder->query_safe('COMMIT');
$holder->query_safe($snapshot);
$run = reindex('work', q(SET pgmaint.max_wait = '1s'; SET pgmaint.lock_retries = 20));
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pgmaint.tasks WHERE run_id = $run AND state = 'pending' AND attempt >= 1")
  or die 'the task was not put back';
$holder->query_safe('COMMIT');
is(wait_for_end($node, $run), 'succeeded', 'tried again: run');
is(task($run, 'state, attempt > 1, error'), 'succeeded|t|', 'tried again: done');
is(indexes('work'), 'work_id valid', 'tried again: nothing is left');

# given up after the new index had taken its place
$holder->query_safe('BEGIN; LOCK TABLE work IN ACCESS SHARE MODE');
$run = reindex('work', q(SET pgmaint.max_wait = '2s'; SET pgmaint.lock_timeout = '100ms'));
is(wait_for_end($node, $run), 'succeeded', 'given up late: run');
is(task($run, q(state, error, relation = 'work_id'::regclass)), 'succeeded||t', 'given up late: that is a success');
is(indexes('work'), 'work_id valid, work_id_ccold invalid', 'given up late: the old index is left');
like(sql("SELECT message FROM pgmaint.findings WHERE run_id = $run"), qr/^public\.work_id_ccold is left over/, 'given up late: a finding');
$holder->query_safe('COMMIT');
$next = reindex_due('work');
is(task($next, 'command, state'), 'DROP INDEX CONCURRENTLY public.work_id_ccold|succeeded', 'given up late: the next run drops it');

# a prepared transaction
sql(q(BEGIN; LOCK TABLE work IN ROW EXCLUSIVE MODE; PREPARE TRANSACTION 'forgotten'));
$run = reindex('work', q(SET pgmaint.max_wait = '10ms'));
is(wait_for_end($node, $run), 'succeeded', 'prepared transaction: run');
like(task($run, 'state, error'), qr/^skipped\|the rebuild would have to wait for prepared transaction forgotten of role \w+, since /, 'prepared transaction: named');
sql(q(ROLLBACK PREPARED 'forgotten'));

# a lock that never comes
$holder->query_safe('BEGIN; LOCK TABLE work IN SHARE MODE');
$run = reindex('work', q(SET pgmaint.lock_timeout = '100ms'));
is(wait_for_end($node, $run), 'succeeded', 'a lock that never comes: run');
like(task($run, 'state, error'), qr/^skipped\|no lock within 100 ms: process $pid of role \w+ .* holds ShareLock on public\.work/, 'a lock that never comes: named');
$holder->query_safe('COMMIT');
is(indexes('work'), 'work_id valid', 'a lock that never comes: nothing is left');

# an index that cannot be built: duplicates that came while it was invalid
sql('CREATE TABLE twice (id int); INSERT INTO twice VALUES (1), (1)');
$node->psql('postgres', 'CREATE UNIQUE INDEX CONCURRENTLY twice_id ON twice (id)');
is(indexes('twice'), 'twice_id invalid', 'an invalid index');
$run = reindex_due('twice');
is(run_state($node, $run), 'failed', 'it cannot be built: run');
like(task($run, 'reason, state, error'), qr/^invalid: queries do not use it\|failed\|could not create unique index/, 'it cannot be built: task');
is(indexes('twice'), 'twice_id invalid', 'it cannot be built: nothing is left');
sql('DELETE FROM twice WHERE ctid = (SELECT min(ctid) FROM twice)');
$run = reindex_due('twice');
is(task($run, 'state'), 'succeeded', 'it can be built: done');
is(indexes('twice'), 'twice_id valid', 'it can be built: valid');

# VACUUM and ANALYZE hold a lock that building an index takes, too, and build none
create_slow_table($node, 'swept');
sql('INSERT INTO swept VALUES (1)');
$node->psql('postgres', 'CREATE UNIQUE INDEX CONCURRENTLY swept_id ON swept (id)');
is(indexes('swept'), 'swept_id invalid', 'an invalid index of a table that is maintained');
foreach my $command ('VACUUM', 'ANALYZE')
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query('SELECT pg_backend_pid()');

	$session->query_until(qr/begun/, "\\echo begun\nSET vacuum_cost_delay = '100ms'; SET vacuum_cost_limit = 1;\n$command swept;\n");
	$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM pg_stat_progress_' . lc($command) . " WHERE pid = $pid") or die "no $command of swept";
	is(sql(q(SELECT being_built FROM pgmaint_internal.index_states(10) WHERE index = 'swept_id'::regclass)), 'f', "$command: no session is building it");
	is(sql(q(SELECT index FROM pgmaint.index_usage('0', 0) WHERE check_id = 'H001')), 'public.swept_id', "$command: it is shown");
	sql("SELECT pg_cancel_backend($pid)");
	$session->quit;
}
sql('DROP TABLE swept');

# a TOAST table's index
sql('CREATE TABLE toasted (id int, filler text); ALTER TABLE toasted ALTER filler SET STORAGE EXTERNAL;
	INSERT INTO toasted SELECT g, repeat($$x$$, 5000) FROM generate_series(1, 100) g');
$run = reindex('toasted');
is(wait_for_end($node, $run), 'succeeded', 'TOAST: run');
like(task($run, 'command, state, cardinality(relations)'), qr/^REINDEX INDEX CONCURRENTLY pg_toast\.pg_toast_\d+_index\|succeeded\|2$/, 'TOAST: done');
$holder->query_safe($snapshot);
$run = reindex('toasted');
$worker = wait_for_phase($waits_for_snapshots);
$offset = -s $node->logfile;
kill 'KILL', $worker;
wait_for_restart($node, $offset);
$next = reindex_due('toasted');
like(task($next, 'command, state'), qr/^DROP INDEX CONCURRENTLY pg_toast\.pg_toast_\d+_index_ccnew\|succeeded$/, 'TOAST: what was left is dropped');

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing has crashed');

done_testing();
