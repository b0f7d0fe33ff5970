# Cancelling: a run that is going on ends within seconds, one that waits never
# begins, and a session that waits for a run in run_and_wait() cancels it by Ctrl-C or
# by a timeout of the session.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use IPC::Run;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('cancel', 'pgmaint.max_workers = 1');
create_slow_table($node, 'slow');
$node->safe_psql('postgres', 'CREATE TABLE small AS SELECT 1 AS id');

my $vacuum = slow_vacuum('slow', 'small');
my $weekly = "jsonb_build_object('vacuum', $vacuum\::jsonb)";

# cancel() from another session, and of a run behind it
my $run = $node->safe_psql('postgres', "SELECT pgmaint.run_action('vacuum', $vacuum)");
wait_for_slow_vacuum($node, 'public.slow');
my $queued = $node->safe_psql('postgres', "SELECT pgmaint.run('weekly')");

is(run_state($node, $queued), 'queued', 'a run waits for the one before it');
is($node->safe_psql('postgres', "SELECT pgmaint.cancel($queued)"), 't', 'a queued run can be cancelled');
is($node->safe_psql('postgres', "SELECT pgmaint.cancel($run)"), 't', 'so can the one that is going on');
is(wait_for_end($node, $run), 'cancelled', 'going on: run');
is(tasks($node, $run), 'public.slow cancelled, public.small cancelled', 'going on: tasks');
is( $node->safe_psql('postgres',
		"SELECT count(*) FROM pgmaint.tasks WHERE run_id = $run AND finished_at IS NULL"),
	'0', 'going on: all tasks have an end');
is( $node->safe_psql('postgres',
		"SELECT r.finished_at - c.requested_at < interval '10 s' FROM pgmaint.runs r
		JOIN pgmaint_internal.cancellations c USING (run_id) WHERE r.run_id = $run"),
	't', 'going on: it takes seconds, where the VACUUM would have taken minutes');
is(wait_for_end($node, $queued), 'cancelled', 'queued: run');
is(tasks($node, $queued), 'none', 'queued: it was never begun');
is( $node->safe_psql('postgres', "SELECT started_at IS NULL FROM pgmaint.runs WHERE run_id = $queued"),
	't', 'queued: and says so');

# of what has ended, or never was
is($node->safe_psql('postgres', "SELECT pgmaint.cancel($run)"), 'f', 'a run that has ended: false');
is( $node->safe_psql('postgres', "SELECT count(*) FROM pgmaint_internal.cancellations WHERE run_id = $run"),
	'1', 'a run that has ended: nothing is written');
my ($status, $stdout, $stderr) = $node->psql('postgres', 'SELECT pgmaint.cancel(4711)');
like($stderr, qr/run 4711 does not exist/, 'a run that never was: an error');
is($node->safe_psql('postgres', 'SELECT pgmaint.cancel(NULL) IS NULL'), 't', 'null: null');
no_processes_left($node, 'no process is left');

# a cancel that is rolled back is none
$run = $node->safe_psql('postgres', "SELECT pgmaint.run_action('vacuum', $vacuum)");
wait_for_slow_vacuum($node, 'public.slow');
$node->safe_psql('postgres', "BEGIN; SELECT pgmaint.cancel($run); ROLLBACK");
is(run_state($node, $run), 'running', 'a cancel that is rolled back is none');
# nor does one that is not committed yet keep the run from ending
my $undecided = $node->background_psql('postgres');
$undecided->query_safe("BEGIN; SELECT pgmaint.cancel($run)");
is($node->safe_psql('postgres', "SELECT pgmaint.cancel($run)"), 't', 'two may ask');
is(wait_for_end($node, $run), 'cancelled', 'an open transaction with a cancel holds nothing up');
$undecided->query_safe('COMMIT');
$undecided->quit;

# a task that waits to be tried again is cancelled too
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE small IN SHARE MODE');
$run = $node->safe_psql('postgres',
	q(SET pgmaint.lock_timeout = '10ms'; SET pgmaint.lock_retries = 100;
	SELECT pgmaint.run_action('vacuum', '{"tables": "small"}')));
$node->poll_query_until('postgres',
	"SELECT attempt > 1 FROM pgmaint.tasks WHERE run_id = $run AND state = 'pending'");
$node->safe_psql('postgres', "SELECT pgmaint.cancel($run)");
is(wait_for_end($node, $run), 'cancelled', 'waiting for another attempt: run');
is(tasks($node, $run), 'public.small cancelled', 'waiting for another attempt: task');

# and one that waits for its lock
$run = $node->safe_psql('postgres',
	q(SET pgmaint.lock_timeout = '10min'; SELECT pgmaint.run_action('vacuum', '{"tables": "small"}')));
$node->poll_query_until('postgres',
	"SELECT count(*) = 1 FROM pgmaint.progress WHERE run_id = $run AND phase = 'waiting for a lock'");
$node->safe_psql('postgres', "SELECT pgmaint.cancel($run)");
is(wait_for_end($node, $run), 'cancelled', 'waiting for a lock: run');
is(tasks($node, $run), 'public.small cancelled', 'waiting for a lock: task');
$holder->query_safe('ROLLBACK');
$holder->quit;

# the caller of run_and_wait() presses Ctrl-C
{
	my ($out, $err) = ('', '');
	my $psql = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL pgmaint.run_and_wait('weekly', $weekly)" ],
		'>', \$out, '2>', \$err);

	wait_for_slow_vacuum($node, 'public.slow');
	$run = last_run($node);
	$psql->signal('INT');
	$psql->finish;
	isnt($psql->result(0), 0, 'Ctrl-C: the call fails');
	like($err, qr/NOTICE:  run $run was cancelled/, 'Ctrl-C: it tells of the run');
	like($err, qr/canceling statement due to user request/, 'Ctrl-C: and is an error');
	is(wait_for_end($node, $run), 'cancelled', 'Ctrl-C: run');
	like(tasks($node, $run), qr/public\.slow cancelled/, 'Ctrl-C: task');
}

# a connection that breaks is no request: a run goes on when its caller is gone
{
	my $caller = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $caller->query_safe('SELECT pg_backend_pid()');

	$caller->query_until(qr/go/, "\\echo go\nCALL pgmaint.run_and_wait('weekly', $weekly);\n");
	wait_for_slow_vacuum($node, 'public.slow');
	$run = last_run($node);
	# it has one for the moment of each look at the ledger
	ok( $node->poll_query_until('postgres',
			"SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE pid = $pid"),
		'run_and_wait() holds no snapshot and no transaction ID');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 60000)");
	is(run_state($node, $run), 'running', 'the run of a session that was ended goes on');
	$node->safe_psql('postgres', "SELECT pgmaint.cancel($run)");
	is(wait_for_end($node, $run), 'cancelled', 'and can be cancelled from elsewhere');
	eval { $caller->quit };
}

# pg_cancel_backend() and statement_timeout do what Ctrl-C does
{
	my $caller = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $caller->query_safe('SELECT pg_backend_pid()');

	$caller->query_until(qr/go/, "\\echo go\nCALL pgmaint.run_and_wait('weekly', $weekly);\n");
	wait_for_slow_vacuum($node, 'public.slow');
	$run = last_run($node);
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	is(wait_for_end($node, $run), 'cancelled', 'pg_cancel_backend() on the caller: run');
	is($caller->query('SELECT 42'), '42', 'pg_cancel_backend() on the caller: the session is well');
	like($caller->{stderr}, qr/canceling statement due to user request/, 'pg_cancel_backend() on the caller: error');
	$caller->quit;

	($status, $stdout, $stderr) = $node->psql('postgres',
		"SET statement_timeout = '2s';\nCALL pgmaint.run_and_wait('weekly', $weekly);", on_error_stop => 1);
	like($stderr, qr/canceling statement due to statement timeout/, 'statement_timeout: error');
	unlike($stderr, qr/ERROR: .*user request/, 'statement_timeout: and no other');
	is(wait_for_end($node, last_run($node)), 'cancelled', 'statement_timeout: run');
}

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
