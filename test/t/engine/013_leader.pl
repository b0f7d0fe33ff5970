# The leader of a run: how it ends when it is told to more than once, that it
# waits for its workers and for the ledger's locks, that there is one and not
# many, what it does with runs that are cancelled before their turn, and with a
# queue that came along with a copy of the database.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = start_server('leader', 'max_worker_processes = 8', 'pgmaint.max_workers = 1');

sub sql
{
	my ($sql, $database) = @_;
	return $node->safe_psql($database || 'postgres', $sql);
}

# A table with an index whose function sleeps when there is an ANALYZE, after
# it has let go of whatever locks a session can let go of, and goes on when this
# is true.
sub create_sleeping_table
{
	my ($table, $until, $database) = @_;

	sql("CREATE FUNCTION doze_$table(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN id; END';
		CREATE TABLE $table AS SELECT 1 AS id;
		CREATE INDEX ON $table (doze_$table(id));
		CREATE OR REPLACE FUNCTION doze_$table(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE
		AS 'BEGIN PERFORM pg_advisory_unlock_all(); WHILE NOT $until LOOP PERFORM pg_sleep(0.1); END LOOP; RETURN id; END'", $database);
}

# Wait until a process of pgmaint waits for this; returns its pid.
sub wait_for_process
{
	my ($type, $event, $database) = @_;
	my $condition = "backend_type = 'pgmaint $type' AND $event AND datname = '$database'";

	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE $condition")
	  or die "no $type with $event";
	return sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgmaint $type' AND datname = '$database'");
}

# A session that keeps code at this gate until it ends.
sub close_gate
{
	my ($gate, $database) = @_;
	my $session = $node->background_psql($database);

	$session->query_safe("SELECT pg_advisory_lock($gate)");
	return $session;
}

# Something else has the ledger locked, while the rest of this file goes on.
sql('CREATE DATABASE patient');
sql('CREATE EXTENSION pgmaint', 'patient');
create_sleeping_table('dozing', 'pg_try_advisory_xact_lock_shared(1)', 'patient');
my $gate = close_gate(1, 'patient');
my $patient = sql(q(SELECT pgmaint.run_action('analyze', '{"tables": "dozing"}')), 'patient');
wait_for_process('task worker', "wait_event = 'PgSleep'", 'patient');
my $locker = $node->background_psql('patient');
$locker->query_safe('BEGIN; LOCK TABLE pgmaint.runs IN ACCESS EXCLUSIVE MODE');
$gate->quit;
wait_for_process('leader', "wait_event_type = 'Lock'", 'patient');
pass('the leader waits for the ledger');

# the same for a moment, and the leader is cancelled while it waits
create_slow_table($node, 'slow');
{
	my $options = slow_vacuum('slow');
	my $run = sql("SELECT pgmaint.run_action('vacuum', $options)");
	my $session = $node->background_psql('postgres');

	wait_for_slow_vacuum($node, 'public.slow');
	$session->query_safe('BEGIN; LOCK TABLE pgmaint.runs IN ACCESS EXCLUSIVE MODE');
	my $leader = wait_for_process('leader', "wait_event_type = 'Lock'", 'postgres');
	sql("SELECT pg_cancel_backend($leader)");
	$session->query_safe('ROLLBACK');
	$session->quit;
	is(wait_for_end($node, $run), 'cancelled', 'leader cancelled while it waits for the ledger: run');
	is(tasks($node, $run), 'public.slow interrupted', 'leader cancelled while it waits for the ledger: tasks');
	is(sql("SELECT error FROM pgmaint.tasks WHERE run_id = $run"), 'the run was cancelled', 'leader cancelled while it waits for the ledger: reason');
	no_processes_left_in_postgres('leader cancelled while it waits for the ledger: no process is left');
}

sub no_processes_left_in_postgres
{
	my ($name) = @_;
	ok( $node->poll_query_until('postgres',
			"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'pgmaint%' AND datname = 'postgres'"),
		$name);
}

# Told to end twice, while a worker that holds no lock takes its time to end:
# the leader does not leave, and no process marks the run, before the worker has ended.
create_sleeping_table('sleeping', 'false');
foreach my $times (1, 2)
{
	my $run = sql(q(SELECT pgmaint.run_action('analyze', '{"tables": "sleeping"}')));
	my $worker = wait_for_process('task worker', "wait_event = 'PgSleep'", 'postgres');
	my $leader = wait_for_process('leader', 'true', 'postgres');

	kill 'STOP', $worker;
	sql("SELECT pg_terminate_backend($leader)");
	wait_for_process('leader', "lower(wait_event) = 'bgworkershutdown'", 'postgres') if $times > 1;
	sql("SELECT pg_terminate_backend($leader)") for 2 .. $times;
	sleep 0.5;
	sql('SELECT pgmaint.tick()');
	sleep 0.5;
	is(run_state($node, $run), 'running', "leader terminated $times times: not marked while the worker lives");
	is(sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $leader"), '1', "leader terminated $times times: waits for the worker");
	kill 'CONT', $worker;
	is(wait_for_end($node, $run), 'interrupted', "leader terminated $times times: run");
	is(sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $worker"), '0', "leader terminated $times times: no worker after that");
	is(tasks($node, $run), 'public.sleeping interrupted', "leader terminated $times times: tasks");
	no_processes_left_in_postgres("leader terminated $times times: no process is left");
	is(sql('SELECT pgmaint.tick()'), 'f', "leader terminated $times times: nothing left for tick");
}

# and without anything that holds the worker up: two signals at once
{
	my $options = slow_vacuum('slow');
	my $run = sql("SELECT pgmaint.run_action('vacuum', $options)");
	wait_for_slow_vacuum($node, 'public.slow');
	my $leader = wait_for_process('leader', 'true', 'postgres');

	kill 'TERM', $leader;
	kill 'TERM', $leader for 1 .. 20;
	is(wait_for_end($node, $run), 'interrupted', 'leader signalled many times: run');
	is(tasks($node, $run), 'public.slow interrupted', 'leader signalled many times: tasks');
	no_processes_left_in_postgres('leader signalled many times: no process is left');
}

# many runs in a row need no worker slot but for the leader that there is, and
# what is cancelled before its turn does not wait for it
{
	my $options = slow_vacuum('slow');
	my $first = sql("SELECT pgmaint.run_action('vacuum', $options)");
	wait_for_slow_vacuum($node, 'public.slow');
	sql('CREATE TABLE small AS SELECT 1 AS id');

	my $queue = join "\n",
	  map { qq(SELECT pgmaint.run_action('vacuum', '{"tables": "small", "settings": {"work_mem": "$_ kB"}}');) } 1001 .. 1030;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $queue);
	my @runs = split /\n/, $stdout;
	my $cancelled = pop @runs;

	is($stderr, '', 'thirty runs in a row: no warning');
	is(@runs, 29, 'thirty runs in a row: all are queued');
	is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pgmaint leader' AND datname = 'postgres'"),
		'1', 'thirty runs in a row: one leader');

	is(sql("SELECT pgmaint.cancel($cancelled)"), 't', 'cancelled before its turn: cancel()');
	is(wait_for_end($node, $cancelled), 'cancelled', 'cancelled before its turn: run');
	like(run_error($node, $cancelled), qr/cancelled before it began/, 'cancelled before its turn: reason');
	is(run_state($node, $first), 'running', 'cancelled before its turn: the one before it goes on');
	is(tasks($node, $cancelled), 'none', 'cancelled before its turn: nothing was planned');

	sql("SELECT pgmaint.cancel($first)");
	is(wait_for_end($node, $first), 'cancelled', 'thirty runs in a row: what they waited for');
	wait_for_end($node, $_) foreach @runs;
	is( sql("SELECT string_agg(DISTINCT state, ', ') FROM pgmaint.runs WHERE run_id BETWEEN $runs[0] AND $runs[-1]"),
		'succeeded', 'thirty runs in a row: all succeed');

	# and with nothing to wait for
	($status, $stdout, $stderr) = $node->psql('postgres', $queue);
	@runs = split /\n/, $stdout;
	is($stderr, '', 'thirty runs without a queue: no warning');
	wait_for_end($node, $_) foreach @runs;
	is( sql("SELECT count(*), string_agg(DISTINCT state, ', ') FROM pgmaint.runs WHERE run_id BETWEEN $runs[0] AND $runs[-1]"),
		'30|succeeded', 'thirty runs without a queue: all succeed');
	no_processes_left_in_postgres('thirty runs: no process is left');
}

# code of others that the leader runs itself cannot make it give up its place
{
	sql(q(CREATE FUNCTION loose(id int) RETURNS boolean LANGUAGE plpgsql AS 'DECLARE
			gate int := CASE WHEN (SELECT backend_type = ''pgmaint leader'' FROM pg_stat_activity WHERE pid = pg_backend_pid()) THEN 1 ELSE 2 END;
		BEGIN PERFORM pg_advisory_unlock_all(); WHILE NOT pg_try_advisory_xact_lock_shared(gate) LOOP PERFORM pg_sleep(0.1); END LOOP; RETURN true; END';
		CREATE TABLE loose (id int, at timestamptz); CREATE INDEX ON loose (at); INSERT INTO loose VALUES (1, '2020-01-01')));
	sql(q(SELECT pgmaint.add_retention('loose', 'at', '90 days', filter => 'public.loose(id)', archive => false)));
	my ($planning, $working) = map { close_gate($_, 'postgres') } 1, 2;
	my $run = sql(q(SELECT pgmaint.run_action('retention', '{"tables": "loose"}')));
	my $leader = wait_for_process('leader', "wait_event = 'PgSleep'", 'postgres');
	my $places = "SELECT count(*) FROM pg_locks WHERE pid = $leader AND locktype = 'advisory' AND objsubid = 7 AND granted AND mode = 'ExclusiveLock'";
	my $units = $places =~ s/objsubid = 7/objsubid = 8/r;

	is(sql($places), '2', 'a filter lets go of all locks: the leader keeps its place while it plans');
	is(sql($units), '2', '... and its units');
	$planning->quit;
	wait_for_process('task worker', "wait_event = 'PgSleep'", 'postgres');
	is(sql($places), '2', '... and its place when it has planned');
	is(sql($units), '2', '... and its units');
	$working->quit;
	is(wait_for_end($node, $run), 'succeeded', '... and the run goes through');
	no_processes_left_in_postgres('a filter lets go of all locks: no process is left');
}

# a queue in a copy of the database is the original's to work off
{
	sql('CREATE DATABASE original');
	sql('CREATE EXTENSION pgmaint; CREATE TABLE small AS SELECT 1 AS id', 'original');
	my $run = sql(q(SELECT pgmaint.run_action('vacuum', '{"tables": "small"}')), 'original');
	is(wait_for_end($node, $run, 'original'), 'succeeded', 'a copy: a run in the original');
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'original'");
	sql("DELETE FROM pgmaint.tasks; UPDATE pgmaint.runs SET state = 'queued', started_at = NULL, finished_at = NULL, current_step = 0", 'original');
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'original'");
	sql('CREATE DATABASE copy TEMPLATE original');

	is(sql('SELECT pgmaint.tick()', 'copy'), 't', 'a copy: tick has something to do');
	is(wait_for_end($node, $run, 'copy'), 'interrupted', 'a copy: run');
	like(run_error($node, $run, 'copy'), qr/queued in another database, and this database may be a copy of it/, 'a copy: reason');
	is(tasks($node, $run, 'copy'), 'none', 'a copy: nothing was executed');
	my $own = sql(q(SELECT pgmaint.run_action('vacuum', '{"tables": "small"}')), 'copy');
	is(wait_for_end($node, $own, 'copy'), 'succeeded', 'a copy: its own runs go through');

	is(run_state($node, $run, 'original'), 'queued', 'a copy: the original has its run still');
	is(sql('SELECT pgmaint.tick()', 'original'), 't', 'a copy: tick in the original');
	is(wait_for_end($node, $run, 'original'), 'succeeded', 'a copy: and the run goes through there');
}

# the lock on the ledger is given up at last
wait_for_process('leader', "wait_event_type = 'Lock'", 'patient');
$locker->query_safe('ROLLBACK');
$locker->quit;
is(wait_for_end($node, $patient, 'patient'), 'succeeded', 'a lock on the ledger for a while: run')
  or diag run_error($node, $patient, 'patient');
is(tasks($node, $patient, 'patient'), 'public.dozing succeeded', 'a lock on the ledger for a while: tasks');

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
