# Want of background worker slots: a run whose leader finds none stays queued;
# one whose task workers find none goes back to the queue after
# pgmaint.worker_timeout, and goes on where it was when there is room.  Leaders
# of several databases share the slots.
#
# The server's own launcher of logical replication takes one slot.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $build = build_module('locks');

my $node = start_server('slots', 'max_worker_processes = 1', 'pgmaint.worker_timeout = 1', "dynamic_library_path = '\$libdir:$build'");

sub sql
{
	my ($sql, $database) = @_;
	return $node->safe_psql($database || 'postgres', $sql);
}

# Restart the server with so many slots.
sub restart_with_slots
{
	my ($slots, @lines) = @_;
	$node->append_conf('postgresql.conf', join("\n", "max_worker_processes = $slots", @lines, ''));
	$node->restart;
}

# The names of the markers of databases that wait for a leader.
sub markers
{
	my $folder = $node->data_dir . '/pgmaint_waiting';
	return '' unless -d $folder;
	return join ' ', map { sql("SELECT datname FROM pg_database WHERE oid = split_part('$_', '.', 1)::oid") }
	  sort grep { !/^\./ } slurp_dir($folder);
}

sql('CREATE TABLE small AS SELECT 1 AS id; CREATE TABLE other AS SELECT 1 AS id');

# no leader
my $small = q('{"tables": "small"}');
my ($status, $first, $stderr) =
  $node->psql('postgres', "SELECT pgmaint.run_action('vacuum', $small)");
is($status, 0, 'no leader: the call succeeds');
like($stderr, qr/WARNING:  no background worker slot is free to start the pgmaint leader/, 'no leader: with a warning');
like($stderr, qr/WARNING:  no pgmaint run can begin with max_worker_processes = 1\nHINT:  Set max_worker_processes to at least 3, and restart the server\./, 'no leader: what can never work is said');
like($stderr, qr/DETAIL:  The run stays queued until the next call, pgmaint\.tick\(\), or/,
	'no leader: what happens now');
like($stderr, qr/HINT:  .*raise max_worker_processes/, 'no leader: what to do');
is(run_state($node, $first), 'queued', 'no leader: the run waits');
is(markers(), 'postgres', 'no leader: the database has a marker');

(undef, my $second, $stderr) = $node->psql('postgres', "SELECT pgmaint.run_action('analyze', $small)");
like($stderr, qr/WARNING:  no background worker slot is free/, 'no leader: the next one too');
is(sql('SELECT pgmaint.tick()'), 't', 'no leader: tick cannot help');

# a session that waits is told, and can leave
(undef, undef, $stderr) = $node->psql('postgres',
	"SET statement_timeout = '2s';\nCALL pgmaint.run_and_wait('weekly');");
my $third = last_run($node);
like($stderr, qr/NOTICE:  run $third is queued\n.*The run begins when a background worker slot is free\./,
	'no leader: run_and_wait() says what it waits for');
like($stderr, qr/canceling statement due to statement timeout/, 'no leader: and can be ended');
is(sql("SELECT pgmaint.cancel($third)"), 't', 'no leader: cancel');

# a slot for the leader, none for its workers
restart_with_slots(2);
is(run_state($node, $first), 'queued', 'a restart by itself begins nothing');
my $offset = -s $node->logfile;
sql(q(SELECT pgmaint.run_action('vacuum', '{"tables": "other"}')));
$node->wait_for_log(qr/pgmaint run $first waits for a free background worker slot/, $offset);
no_processes_left($node, 'no task worker: the leader does not take up the slot');
is(run_state($node, $first), 'queued', 'no task worker: the run is sent back');
is(tasks($node, $first), 'public.small pending', 'no task worker: its task waits');
is(run_error($node, $first), '', 'no task worker: nothing has failed');
is( sql("SELECT started_at IS NOT NULL AND finished_at IS NULL AND current_step = 1 FROM pgmaint.runs WHERE run_id = $first"),
	't', 'no task worker: the run was begun');
is(run_state($node, $second), 'queued', 'no task worker: the run after it was not tried');
is(markers(), 'postgres', 'no task worker: the database has a marker');
my $finding = "SELECT string_agg(concat(severity, ' ', message), '|') FROM pgmaint.findings WHERE check_id = 'worker_slots' AND run_id = $first";
is( sql($finding),
	'warning no background worker slot was free for 1 s (max_worker_processes = 2): the run was queued again',
	'no task worker: a finding');
my $begun = sql("SELECT started_at FROM pgmaint.runs WHERE run_id = $first");

# once more
$offset = -s $node->logfile;
is(sql('SELECT pgmaint.tick()'), 't', 'sent back twice: tick');
$node->wait_for_log(qr/pgmaint run $first waits for a free background worker slot/, $offset);
no_processes_left($node, 'sent back twice: no process is left');
is(run_state($node, $first), 'queued', 'sent back twice: run');
unlike(sql($finding), qr/\|/, 'sent back twice: one finding');
is(sql("SELECT count(*) FROM pgmaint.tasks WHERE run_id = $first"), '1', 'sent back twice: planned once');
is(sql("SELECT started_at FROM pgmaint.runs WHERE run_id = $first"), $begun, 'sent back twice: it began only once');

# it can be cancelled, as can the one behind it
my $kept = $first;
{
	my $run = sql(q(SELECT pgmaint.run_action('analyze', '{"tables": "other"}')));
	no_processes_left($node, 'cancel: no process is left');
	is(sql("SELECT pgmaint.cancel($second)"), 't', 'cancel: a run that was not begun');
	is(wait_for_end($node, $second), 'cancelled', 'cancel: state');
	is(run_error($node, $second), 'the run was cancelled before it began', 'cancel: reason');
	is(sql("SELECT pgmaint.cancel($kept)"), 't', 'cancel: a run that was sent back');
	is(wait_for_end($node, $kept), 'cancelled', 'cancel: its state');
	is(run_error($node, $kept), 'the run was cancelled', 'cancel: its reason');
	is(tasks($node, $kept), 'public.small cancelled', 'cancel: its task');
	no_processes_left($node, 'cancel: no process is left');
	is(run_state($node, $run), 'queued', 'cancel: others wait on');
}

# room again: the queue is worked off in its order, and the run that was sent
# back goes on in the step it was in, with what was planned then
restart_with_slots(16);
my $retention = q(CREATE TABLE aged (id int, at timestamptz); CREATE INDEX ON aged (at);
	SELECT pgmaint.add_retention('aged', 'at', '90 days', filter => 'public.broken(id)', archive => false));
sql("CREATE FUNCTION broken(id int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN id = 1 / 0; END'; $retention");
sql("INSERT INTO aged VALUES (1, '2020-01-01')");
sql(q(SELECT pgmaint.tick()));
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pgmaint.runs WHERE state IN ('queued', 'running')");
is( sql("SELECT string_agg(DISTINCT state, ', ') FROM pgmaint.runs WHERE run_id > $third"),
	'succeeded', 'slots again: what was queued goes through');
no_processes_left($node, 'slots again: no process is left');

sql(q(SELECT pgmaint.define_plan('steps', '["retention", {"action": "vacuum", "options": {"tables": "small"}}, {"action": "bloat_report", "options": {"tables": "small"}}]')));
restart_with_slots(2);
$offset = -s $node->logfile;
my $steps = sql("SELECT pgmaint.run('steps')");
$node->wait_for_log(qr/pgmaint run $steps waits for a free background worker slot/, $offset);
no_processes_left($node, 'sent back in a later step: no process is left');
is( sql("SELECT state || ' in step ' || current_step FROM pgmaint.runs WHERE run_id = $steps"),
	'queued in step 2', 'sent back in a later step: where it is');
my $tasks = sql("SELECT string_agg(task_id::text, ' ') FROM pgmaint.tasks WHERE run_id = $steps");
$begun = sql("SELECT started_at FROM pgmaint.runs WHERE run_id = $steps");
like(run_error($node, $steps), qr/could not be planned: division by zero/, 'sent back in a later step: what could not be planned is remembered');
restart_with_slots(16);
sql('SELECT pgmaint.tick()');
is(wait_for_end($node, $steps), 'failed', 'sent back in a later step: what could not be planned decides in the end');
like(run_error($node, $steps), qr/could not be planned: division by zero/, 'sent back in a later step: reason');
is( sql("SELECT string_agg(step || ' ' || state, ', ' ORDER BY task_id) FROM pgmaint.tasks WHERE run_id = $steps"),
	'2 succeeded, 3 succeeded', 'sent back in a later step: each step was planned once');
like(sql("SELECT string_agg(task_id::text, ' ' ORDER BY task_id) FROM pgmaint.tasks WHERE run_id = $steps"),
	qr/^$tasks /, 'sent back in a later step: its task is carried out');
is(sql("SELECT started_at FROM pgmaint.runs WHERE run_id = $steps"), $begun, 'sent back in a later step: it began only once');
no_processes_left($node, 'sent back in a later step: no process is left');

# another database's run has the slots: this one's begins when it has ended
restart_with_slots(4, 'pgmaint.worker_timeout = 300');
sql('CREATE DATABASE other');
sql('CREATE EXTENSION pgmaint', 'other');
create_slow_table($node, $_, 'other') foreach qw(slow slower);
my $options = slow_vacuum('slow', 'slower');
my $slow = sql("SELECT pgmaint.run_action('vacuum', $options)", 'other');
wait_for_slow_vacuum($node, "public.$_", 'other') foreach qw(slow slower);
(undef, my $waiting, $stderr) = $node->psql('postgres', "SELECT pgmaint.run_action('vacuum', $small)");
is($stderr, '', 'all slots taken: the call has nothing to complain about');
(undef, undef, $stderr) = $node->psql('postgres', "SET statement_timeout = '2s';\nCALL pgmaint.run_and_wait('steps');");
like($stderr, qr/NOTICE:  run \d+ is queued\n.*The run begins when a run of another database has ended\./, 'all slots taken: run_and_wait() says so');
is(run_state($node, $waiting), 'queued', 'all slots taken: the run waits');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pgmaint leader'"), '1', '... and no process does');
is(markers(), 'postgres', '... but a marker');
sql("SELECT pgmaint.cancel($slow)", 'other');
is(wait_for_end($node, $waiting), 'succeeded', 'a slot is free again: the run goes through');
is(wait_for_end($node, $slow, 'other'), 'cancelled', 'each database has its own ledger');
no_processes_left($node, 'no process is left');
is(markers(), '', 'nor any marker');

# a run with many workers releases the units that it no longer needs
restart_with_slots(5, 'pgmaint.max_workers = 3');
sql('CREATE TABLE small AS SELECT 1 AS id', 'other');
$options =~ s/"slow", "slower"/"small", "slow", "slower"/;
$slow = sql("SELECT pgmaint.run_action('vacuum', $options)", 'other');
wait_for_slow_vacuum($node, "public.$_", 'other') foreach qw(slow slower);
$waiting = sql("SELECT pgmaint.run_action('vacuum', $small)");
is(run_state($node, $waiting), 'queued', 'three units of four are in use: the run waits');
$node->safe_psql('other', q(SELECT pg_cancel_backend(pid) FROM pgmaint.progress WHERE target = 'public.slower'));
is(wait_for_end($node, $waiting), 'succeeded', 'a task worker of the other ends: there is room');
is(run_state($node, $slow, 'other'), 'running', "another database's run goes on all the while");
sql("SELECT pgmaint.cancel($slow)", 'other');
wait_for_end($node, $slow, 'other');
no_processes_left($node, 'no process is left');

# room for another database's leader, whose slot parallel workers have: the
# leader that leaves waits for it
restart_with_slots(4);
{
	my $parallel = sql(q(SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')));
	my $busy = sub { return sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'") };
	my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 3;
	my $gate = shift @sessions;

	sql(q(CREATE OR REPLACE FUNCTION broken(id int) RETURNS boolean LANGUAGE plpgsql AS
		'BEGIN WHILE NOT pg_try_advisory_xact_lock(3) LOOP PERFORM pg_sleep(0.05); END LOOP; RETURN false; END'));
	$gate->query_safe('SELECT pg_advisory_lock(3)');
	my $planning = sql(q(SELECT pgmaint.run_action('retention')));
	$node->poll_query_until('postgres', "SELECT state = 'running' FROM pgmaint.runs WHERE run_id = $planning");
	$waiting = sql("SELECT pgmaint.run_action('vacuum', $small)", 'other');
	is(markers(), 'other', 'slots taken by parallel workers: another database waits');
	foreach my $session (@sessions)
	{
		$session->query_safe("SET $parallel = on");
		$session->query_until(qr/begun/, "\\echo begun\nSELECT pg_sleep(1000);\n");
	}
	$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'parallel worker'");
	$gate->query_safe('SELECT pg_advisory_unlock(3)');
	wait_for_end($node, $planning);
	is($busy->() . run_state($node, $waiting, 'other'), '2queued', '... which has units now, and no slot');
	sql(q(SELECT pg_cancel_backend(leader_pid) FROM pg_stat_activity WHERE backend_type = 'parallel worker'));
	is(wait_for_end($node, $waiting, 'other'), 'succeeded', '... and begins when there is one');
	no_processes_left($node, 'no process is left');
	$gate->quit;
	$_->quit foreach @sessions;
}

# a leader that leaves for want of room does not keep away the one that is
# started when there is some: the session stands for the first
sql(q(CREATE FUNCTION hold_leader_lock() RETURNS void LANGUAGE c AS 'pgmaint_test_locks'));
my $session = $node->background_psql('postgres');
$session->query_safe('SELECT hold_leader_lock()');
$waiting = sql("SELECT pgmaint.run_action('vacuum', $small)");
ok( $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pgmaint leader'"),
	'a leader that is about to leave: the next waits for what becomes of it');
is(run_state($node, $waiting), 'queued', '... and is no leader yet');
$session->quit;
is(wait_for_end($node, $waiting), 'succeeded', '... and then takes its place');
no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
