# A run belongs to the transaction that asked for it: it begins after the commit
# and never without one.  Nothing of pgmaint runs while nothing is due.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('transactions', 'max_prepared_transactions = 2', 'pgmaint.max_workers = 2');
$node->safe_psql('postgres', 'CREATE TABLE small AS SELECT 1 AS id; CREATE TABLE tiny AS SELECT 1 AS id');

my $vacuum = q(pgmaint.run_action('vacuum', '{"tables": ["small", "tiny"]}'));
my $number = 1000;
my $count = 'SELECT count(*) FROM pgmaint.runs';
my $session = $node->background_psql('postgres');
my ($status, $stdout, $stderr);

is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pgmaint%'"),
	'0', 'nothing runs where nothing is due');
is($node->safe_psql('postgres', 'SELECT pgmaint.tick()'), 'f', 'tick has nothing to do');

# A call that asks for something that no call before it has asked for.
sub another_vacuum
{
	$number++;
	return qq(pgmaint.run_action('vacuum', '{"tables": ["small", "tiny"], "settings": {"work_mem": "$number kB"}}'));
}

# not before the commit
$session->query_safe('BEGIN');
my $run = $session->query_safe("SELECT $vacuum");
is($node->safe_psql('postgres', $count), '0', 'before the commit: no run');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pgmaint%'"),
	'0', 'before the commit: no leader');
$session->query_safe('COMMIT');
is(wait_for_end($node, $run), 'succeeded', 'after the commit: run');
is(tasks($node, $run), 'public.small succeeded, public.tiny succeeded', 'after the commit: tasks');
no_processes_left($node, 'after the run: no process is left');

# several in one transaction, in their order
$session->query_safe('BEGIN');
my @runs = map { $session->query_safe('SELECT ' . another_vacuum()) } 1 .. 3;
is($session->query_safe("SELECT $vacuum"), $session->query_safe("SELECT $vacuum"), 'the same twice in one transaction: one run');
$session->query_safe('COMMIT');
is(wait_for_end($node, $_), 'succeeded', 'three in one transaction') foreach @runs;

# rolled back, all or in part
my $before = $node->safe_psql('postgres', $count);
$session->query_safe("BEGIN; SELECT $vacuum; ROLLBACK");
$node->psql('postgres', "BEGIN; SELECT $vacuum; SELECT 1/0; COMMIT");
$session->query_safe("BEGIN; SAVEPOINT s; SELECT $vacuum; ROLLBACK TO SAVEPOINT s; COMMIT");
no_processes_left($node, 'rolled back: no process is left');
is($node->safe_psql('postgres', $count), $before, 'rolled back: nothing was queued');

$session->query_safe('BEGIN');
$run = $session->query_safe("SELECT $vacuum");
$session->query_safe("SAVEPOINT s; SELECT $vacuum; ROLLBACK TO SAVEPOINT s; COMMIT");
is(wait_for_end($node, $run), 'succeeded', 'before the savepoint: it runs');
is($node->safe_psql('postgres', $count), $before + 1, 'after the savepoint: it is gone');

# the leader's start is asked for by one transaction and not by the next
$session->query_safe("BEGIN; SELECT $vacuum; ROLLBACK; SELECT 1");
is($node->safe_psql('postgres', $count), $before + 1, 'rolled back: forgotten');

# two-phase commit
($status, $stdout, $stderr) =
  $node->psql('postgres', "BEGIN; SELECT $vacuum; PREPARE TRANSACTION 'run'");
like($stderr, qr/cannot PREPARE a transaction that has queued a pgmaint run/, 'PREPARE TRANSACTION: refused');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '0', 'PREPARE TRANSACTION: nothing is left');
is($node->safe_psql('postgres', $count), $before + 1, 'PREPARE TRANSACTION: no run');

# where waiting is not possible, and where writing is not
my $in_block = qr/run_and_wait\(\) cannot be executed in a transaction block/;
my $call = q(CALL pgmaint.run_and_wait('weekly', NULL, id));
foreach my $case (
	[ q(BEGIN; CALL pgmaint.run_and_wait('weekly')), $in_block, 'in a transaction block' ],
	[ "DO \$\$ DECLARE id bigint; BEGIN BEGIN $call; EXCEPTION WHEN division_by_zero THEN END; END \$\$",
		$in_block, 'in a subtransaction' ],
	[ "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS \$\$ DECLARE id bigint; BEGIN $call; END \$\$; SELECT f()",
		$in_block, 'from a function' ],
	[ "BEGIN READ ONLY; SELECT $vacuum", qr/cannot execute pgmaint\.run_action\(\) in a read-only transaction/, 'read-only' ])
{
	my ($sql, $message, $name) = @$case;

	($status, $stdout, $stderr) = $node->psql('postgres', $sql);
	isnt($status, 0, "$name: refused");
	like($stderr, $message, "$name: message");
}
is($node->safe_psql('postgres', $count), $before + 1, 'refused: nothing was queued');

# from PL/pgSQL outside a transaction block it works
($status, $stdout, $stderr) = $node->psql('postgres',
	q(DO $$ DECLARE id bigint; BEGIN CALL pgmaint.run_and_wait('weekly', NULL, id); RAISE NOTICE 'run %', id; END $$));
is($status, 0, 'run_and_wait() from a DO block');
like($stderr, qr/NOTICE:  run \d+/, 'which gets the run');

# many at once: one leader, each run done once
my @sessions = map { $node->background_psql('postgres') } 1 .. 6;
$before = last_run($node);
$_->query_safe('SELECT ' . another_vacuum()) foreach @sessions;
$_->query_safe('SELECT ' . another_vacuum()) foreach @sessions;
$_->quit foreach @sessions;
ok( $node->poll_query_until('postgres',
		"SELECT count(*) = 12 FROM pgmaint.runs WHERE run_id > $before AND state = 'succeeded'"),
	'twelve from six sessions: all succeed');
is( $node->safe_psql('postgres', "SELECT count(*), count(*) FILTER (WHERE attempt = 1) FROM pgmaint.tasks WHERE run_id > $before"),
	'24|24', 'twelve from six sessions: each task is done once');

$session->quit;
no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
