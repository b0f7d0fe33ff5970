# Want of background worker slots: a run whose leader finds none stays queued
# and begins with the next call; one whose task workers find none waits for
# pgmaint.worker_timeout and then fails, saying why.
#
# The server's own launcher of logical replication takes one slot.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('slots', 'max_worker_processes = 1', 'pgmaint.worker_timeout = 1');
$node->safe_psql('postgres', 'CREATE TABLE small AS SELECT 1 AS id');

# no leader
my $small = q('{"tables": "small"}');
my ($status, $first, $stderr) =
  $node->psql('postgres', "SELECT pgmaint.run_action('vacuum', $small)");
is($status, 0, 'no leader: the call succeeds');
like($stderr, qr/WARNING:  no background worker slot is free to start the pgmaint leader/, 'no leader: with a warning');
like($stderr, qr/DETAIL:  The run stays queued until a leader is started by the next call\./, 'no leader: what happens now');
like($stderr, qr/HINT:  .*raise max_worker_processes/, 'no leader: what to do');
is(run_state($node, $first), 'queued', 'no leader: the run waits');

(undef, my $second, $stderr) = $node->psql('postgres', "SELECT pgmaint.run_action('analyze', $small)");
like($stderr, qr/WARNING:  no background worker slot is free/, 'no leader: the next one too');
is($node->safe_psql('postgres', 'SELECT pgmaint.tick()'), 't', 'no leader: tick cannot help');

# whoever waits is told, and can leave
(undef, undef, $stderr) = $node->psql('postgres',
	"SET statement_timeout = '2s';\nCALL pgmaint.run_and_wait('weekly');");
my $third = last_run($node);
like($stderr, qr/NOTICE:  run $third is queued\n.*It begins when a background worker slot is free\./,
	'no leader: run_and_wait() says what it waits for');
like($stderr, qr/canceling statement due to statement timeout/, 'no leader: and can be ended');
is($node->safe_psql('postgres', "SELECT pgmaint.cancel($third)"), 't', 'no leader: cancel');

# a slot for the leader, none for its workers
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->restart;
is(run_state($node, $first), 'queued', 'a restart by itself begins nothing');
my $fourth = $node->safe_psql('postgres', "SELECT pgmaint.run_action('vacuum', $small)");
is(wait_for_end($node, $fourth), 'failed', 'no task worker: run');
is(tasks($node, $fourth), 'public.small failed', 'no task worker: task');
like(run_error($node, $fourth), qr/vacuum public\.small \(failed\)/, 'no task worker: the run names the task');
like( $node->safe_psql('postgres', "SELECT error FROM pgmaint.tasks WHERE run_id = $fourth"),
	qr/no background worker slot was free for 1 s \(max_worker_processes = 2\)/,
	'no task worker: reason');
is( $node->safe_psql('postgres', "SELECT check_id, severity FROM pgmaint.findings WHERE run_id = $fourth"),
	'worker_slots|warning', 'no task worker: a finding');

# the leader that was started for the fourth run took on those before it
is( $node->safe_psql('postgres', "SELECT string_agg(state, ' ' ORDER BY run_id) FROM pgmaint.runs"),
	'failed failed cancelled failed', 'the next call begins what was queued');
no_processes_left($node, 'no process is left');

# slots for all: what was queued is done in its order
$node->append_conf('postgresql.conf', 'max_worker_processes = 1');
$node->restart;
my @runs = map { $node->safe_psql('postgres', "SELECT pgmaint.run_action('$_', $small)") } qw(vacuum analyze bloat_report);
$node->append_conf('postgresql.conf', "max_worker_processes = 4\npgmaint.worker_timeout = 300");
$node->restart;
$node->safe_psql('postgres', 'SELECT pgmaint.tick()');
is(wait_for_end($node, $_), 'succeeded', 'slots again') foreach @runs;
is( $node->safe_psql('postgres',
		"SELECT bool_and(began >= ended) FROM (SELECT started_at AS began, lag(finished_at) OVER (ORDER BY run_id) AS ended
		FROM pgmaint.runs WHERE run_id >= $runs[0]) x"),
	't', 'slots again: one after the other, in order');
no_processes_left($node, 'no process is left');

# another database's run takes the slots, and gives them back
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION pgmaint');
create_slow_table($node, 'slow', 'other');
my $options = slow_vacuum('slow');
my $slow = $node->safe_psql('other', "SELECT pgmaint.run_action('vacuum', $options)");
wait_for_slow_vacuum($node, 'public.slow', 'other');
my $offset = -s $node->logfile;
my $waiting = $node->safe_psql('postgres', "SELECT pgmaint.run_action('vacuum', $small)");
$node->wait_for_log(qr/pgmaint run $waiting waits for a free background worker slot/, $offset);
is(run_state($node, $waiting), 'running', 'all slots taken: the run waits');
is(tasks($node, $waiting), 'public.small pending', 'all slots taken: so does its task');
$node->safe_psql('other', "SELECT pgmaint.cancel($slow)");
is(wait_for_end($node, $waiting), 'succeeded', 'a slot is free again: the run goes through');
is(wait_for_end($node, $slow, 'other'), 'cancelled', 'each database has its own ledger');

# a run that waits for a slot can be cancelled
$slow = $node->safe_psql('other', "SELECT pgmaint.run_action('vacuum', $options)");
wait_for_slow_vacuum($node, 'public.slow', 'other');
$offset = -s $node->logfile;
$waiting = $node->safe_psql('postgres', "SELECT pgmaint.run_action('vacuum', $small)");
$node->wait_for_log(qr/pgmaint run $waiting waits for a free background worker slot/, $offset);
$node->safe_psql('postgres', "SELECT pgmaint.cancel($waiting)");
is(wait_for_end($node, $waiting), 'cancelled', 'waiting for a slot: cancel');

# two databases at a time do not disturb each other
is(run_state($node, $slow, 'other'), 'running', "another database's run goes on all the while");
$node->safe_psql('other', "SELECT pgmaint.cancel($slow)");
wait_for_end($node, $slow, 'other');
no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
