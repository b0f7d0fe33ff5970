# What ends under a run: the server, the database, the extension.  None of them
# has to wait long for it, no process is left, and the ledger, where there still
# is one, says what was interrupted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('shutdown');
create_slow_table($node, $_) foreach qw(slow slower);
$node->safe_psql('postgres', 'CREATE TABLE small AS SELECT 1 AS id');

my $vacuum = slow_vacuum('slow', 'slower', 'small');
my $begin = "SELECT pgmaint.run_action('vacuum', $vacuum)";
my $stopped = 'public.slow interrupted, public.slower interrupted, public.small cancelled';

# the server, in the ways there are to stop it
foreach my $mode (qw(fast immediate))
{
	my $run = $node->safe_psql('postgres', $begin);

	wait_for_slow_vacuum($node, "public.$_") foreach qw(slow slower);
	$node->stop($mode);
	$node->start;
	if ($mode eq 'fast')
	{
		is(run_state($node, $run), 'interrupted', "$mode: the ledger says so already");
	}
	else
	{
		is($node->safe_psql('postgres', 'SELECT pgmaint.tick()'), 't', "$mode: tick has something to do");
		is(wait_for_end($node, $run), 'interrupted', "$mode: run");
	}
	is(tasks($node, $run), $stopped, "$mode: tasks");
	like(run_error($node, $run), qr/stopped/, "$mode: reason");
	no_processes_left($node, "$mode: no process is left");
}

# the database
$node->safe_psql('postgres', 'CREATE DATABASE doomed');
$node->safe_psql('doomed', 'CREATE EXTENSION pgmaint');
create_slow_table($node, $_, 'doomed') foreach qw(slow slower);
{
	my $options = slow_vacuum('slow', 'slower');
	my ($status, $stdout, $stderr);

	$node->safe_psql('doomed', "SELECT pgmaint.run_action('vacuum', $options)");
	wait_for_slow_vacuum($node, "public.$_", 'doomed') foreach qw(slow slower);
	($status, $stdout, $stderr) = $node->psql('postgres', 'DROP DATABASE doomed');
	like($stderr, qr/is being accessed by other users/, 'DROP DATABASE without FORCE: refused, as for anybody');
	($status, $stdout, $stderr) = $node->psql('postgres', 'DROP DATABASE doomed WITH (FORCE)');
	is($stderr, '', 'DROP DATABASE WITH (FORCE): it goes');
	no_processes_left($node, 'DROP DATABASE WITH (FORCE): no process is left');
}

# the extension
my $offset = -s $node->logfile;
my $run = $node->safe_psql('postgres', $begin);
wait_for_slow_vacuum($node, "public.$_") foreach qw(slow slower);
$node->safe_psql('postgres', 'DROP EXTENSION pgmaint');
no_processes_left($node, 'DROP EXTENSION: the processes go');
ok($node->log_contains(qr/pgmaint run $run ends because the extension was dropped/, $offset),
	'DROP EXTENSION: the log says why');
unlike(slurp_file($node->logfile, $offset), qr/FATAL: (?!.*(?:terminating (?:background|connection|pgmaint)|could not open relation))/,
	'DROP EXTENSION: nothing worse than a worker that is told to end');

# an old leader at work, the extension dropped and made anew at once: the new
# one's runs are done, and the old one's have no place in its ledger
$node->safe_psql('postgres', 'CREATE EXTENSION pgmaint');
$node->safe_psql('postgres', $begin);
wait_for_slow_vacuum($node, "public.$_") foreach qw(slow slower);
$node->safe_psql('postgres', 'DROP EXTENSION pgmaint; CREATE EXTENSION pgmaint');
$run = $node->safe_psql('postgres', q(SELECT pgmaint.run_action('vacuum', '{"tables": "small"}')));
my ($status, $stdout, $stderr) = $node->psql('postgres',
	q(CALL pgmaint.run_and_wait('weekly', '{"vacuum": {"tables": ["small"]}, "bloat_report": {"tables": ["small"]}}')));
is($status, 0, 'DROP and CREATE EXTENSION: a run goes through') or diag $stderr;
is(wait_for_end($node, $run), 'succeeded', 'DROP and CREATE EXTENSION: and so does what was queued before it');
is( $node->safe_psql('postgres', 'SELECT count(*), min(run_id), max(run_id) FROM pgmaint.runs'),
	'2|1|2', 'DROP and CREATE EXTENSION: the ledger is the new one');
no_processes_left($node, 'DROP and CREATE EXTENSION: no process is left');

# in one transaction, which is rolled back: as if nothing had been
$run = $node->safe_psql('postgres', $begin);
wait_for_slow_vacuum($node, "public.$_") foreach qw(slow slower);
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; DROP EXTENSION pgmaint');
$session->query_safe('ROLLBACK');
$session->quit;
is(run_state($node, $run), 'running', 'DROP EXTENSION rolled back: the run goes on');
$node->safe_psql('postgres', "SELECT pgmaint.cancel($run)");
is(wait_for_end($node, $run), 'cancelled', 'DROP EXTENSION rolled back: it can be cancelled');

# a session waits for the run of an extension that is dropped
$session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_until(qr/go/, "\\echo go\nCALL pgmaint.run_and_wait('weekly', jsonb_build_object('vacuum', $vacuum\::jsonb));\n");
wait_for_slow_vacuum($node, "public.$_") foreach qw(slow slower);
$node->safe_psql('postgres', 'DROP EXTENSION pgmaint');
is($session->query('SELECT 42'), '42', 'run_and_wait() of a dropped extension ends');
like($session->{stderr}, qr/ERROR/, 'run_and_wait() of a dropped extension: with an error');
$session->quit;
no_processes_left($node, 'no process is left');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
