# Processes that die in the middle of a run: whatever is killed, the ledger says
# the truth as soon as another leader has looked at it, what did not begin is
# cancelled, and the next run goes through.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('crash', 'pgmaint.max_workers = 1');
create_slow_table($node, 'slow');
$node->safe_psql('postgres',
	'CREATE TABLE small AS SELECT 1 AS id; CREATE TABLE tiny AS SELECT 1 AS id');

# Queue a VACUUM of these tables, the first of which takes its time.  Returns
# the run, the task worker and the leader.
sub begin_slow_run
{
	my (@tables) = @_;
	my $options = slow_vacuum(@tables);
	my $run = $node->safe_psql('postgres', "SELECT pgmaint.run_action('vacuum', $options)");
	my $worker = wait_for_slow_vacuum($node, 'public.slow');
	my $leader = $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgmaint leader'");

	return ($run, $worker, $leader);
}

# A run with nothing slow about it.
sub goes_through
{
	my ($after) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres',
		q(CALL pgmaint.run_and_wait('weekly', '{"vacuum": {"tables": ["small"], "analyze": "on"}}')));

	is($status, 0, "$after: the next run goes through");
	like($stderr, qr/VACUUM \(ANALYZE\) public\.small succeeded/, "$after: and tells of its work");
}

# SIGKILL, of a task worker and of a leader: the server starts again by itself
foreach my $victim ('task worker', 'leader')
{
	my ($run, $worker, $leader) = begin_slow_run('slow', 'small');
	my $offset = -s $node->logfile;

	kill 'KILL', $victim eq 'leader' ? $leader : $worker;
	wait_for_restart($node, $offset);
	is(run_state($node, $run), 'running', "$victim killed: nobody has looked at the ledger yet");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pgmaint.progress'),
		'0', "$victim killed: nothing shows as being done");
	is($node->safe_psql('postgres', 'SELECT pgmaint.tick()'), 't', "$victim killed: tick has something to do");
	is(wait_for_end($node, $run), 'interrupted', "$victim killed: run");
	is(tasks($node, $run), 'public.slow interrupted, public.small cancelled', "$victim killed: tasks");
	like(run_error($node, $run), qr/server or the leader stopped/, "$victim killed: reason");
	no_processes_left($node, "$victim killed: no process is left");
	is($node->safe_psql('postgres', 'SELECT pgmaint.tick()'), 'f', "$victim killed: nothing to do any more");
	goes_through("$victim killed");
}

# without tick, the next run does it
{
	my ($run, $worker) = begin_slow_run('slow', 'small');
	my $offset = -s $node->logfile;

	kill 'KILL', $worker;
	wait_for_restart($node, $offset);
	goes_through('no tick');
	is(run_state($node, $run), 'interrupted', 'no tick: the next leader sets the ledger right');
	is(tasks($node, $run), 'public.slow interrupted, public.small cancelled', 'no tick: tasks');
}

# the leader is told to end: it writes down what it leaves
{
	my ($run, $worker, $leader) = begin_slow_run('slow', 'small');
	my $next = $node->safe_psql('postgres', q(SELECT pgmaint.run_action('vacuum', '{"tables": "tiny"}')));

	is($node->safe_psql('postgres', "SELECT pg_terminate_backend($leader)"), 't', 'leader terminated');
	is(wait_for_end($node, $run), 'interrupted', 'leader terminated: run');
	is(tasks($node, $run), 'public.slow interrupted, public.small cancelled', 'leader terminated: tasks');
	no_processes_left($node, 'leader terminated: workers are gone');
	is(run_state($node, $next), 'queued', 'leader terminated: the run behind it waits');
	is($node->safe_psql('postgres', 'SELECT pgmaint.tick()'), 't', 'leader terminated: tick');
	is(wait_for_end($node, $next), 'succeeded', 'leader terminated: and then goes through');
}

# a session that waits for the run gets an error
{
	my $caller = $node->background_psql('postgres', on_error_stop => 0);
	my $options = slow_vacuum('slow');

	$caller->query_until(qr/go/, "\\echo go\nCALL pgmaint.run_and_wait('weekly', jsonb_build_object('vacuum', $options\::jsonb));\n");
	wait_for_slow_vacuum($node, 'public.slow');
	$node->safe_psql('postgres',
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pgmaint leader'");
	$caller->query('SELECT 1');
	like($caller->{stderr}, qr/run \d+ was interrupted/, 'leader terminated: its caller gets an error');
	$caller->quit;
}

# a task worker is told to end, or its command is cancelled: the others go on
foreach my $case (
	[ 'pg_terminate_backend', 'interrupted', qr/task worker was terminated/ ],
	[ 'pg_cancel_backend', 'cancelled', qr/canceling statement due to user request/ ])
{
	my ($function, $state, $reason) = @$case;
	my ($run, $worker) = begin_slow_run('slow', 'small', 'tiny');

	is($node->safe_psql('postgres', "SELECT $function($worker)"), 't', $function);
	is(wait_for_end($node, $run), 'failed', "$function: run");
	is( tasks($node, $run),
		"public.slow $state, public.small succeeded, public.tiny succeeded",
		"$function: the other tasks go on");
	like(run_error($node, $run), qr/1 of 3 tasks failed or were stopped: vacuum public\.slow \($state\)/,
		"$function: the run names the task");
	like($node->safe_psql('postgres', "SELECT error FROM pgmaint.tasks WHERE run_id = $run AND target = 'public.slow'"),
		$reason, "$function: the task has the reason");
}

# Ctrl-C on the leader is a cancel of its run
{
	my ($run, $worker, $leader) = begin_slow_run('slow', 'small');

	$node->safe_psql('postgres', "SELECT pg_cancel_backend($leader)");
	is(wait_for_end($node, $run), 'cancelled', 'leader cancelled: run');
	is(tasks($node, $run), 'public.slow cancelled, public.small cancelled', 'leader cancelled: tasks');
}

goes_through('after all of this');
no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing but what was killed has crashed');

done_testing();
