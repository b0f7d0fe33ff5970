# run_and_wait holds no snapshot and no lock while it waits: commands
# that wait for old snapshots, such as REINDEX CONCURRENTLY or VACUUM, are not held
# up, and end while it still waits.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('waiter', 'pgmaint.lock_timeout = 10min');
$node->safe_psql('postgres', 'CREATE TABLE held AS SELECT 1 AS id;
	CREATE TABLE t (id int PRIMARY KEY, n int);
	INSERT INTO t SELECT g, 0 FROM generate_series(1, 3000) g');

# the run waits for a lock, and so does who waits for the run
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE held IN SHARE UPDATE EXCLUSIVE MODE');
my $waiter = $node->background_psql('postgres');
$waiter->query_until(qr/waiting/, "\\echo waiting\nCALL pgmaint.run_and_wait('weekly', '{\"tables\": \"held\", \"min_size\": \"1 TB\"}');\n");
ok($node->poll_query_until('postgres',
		q(SELECT EXISTS (SELECT FROM pg_locks l JOIN pgmaint.tasks t ON t.pid = l.pid AND t.target = 'public.held' WHERE NOT l.granted))),
	'the run waits for its lock');

my $waiting = q(FROM pg_stat_activity WHERE query LIKE 'CALL pgmaint.run_and_wait%' AND state = 'active');
# but for the moments in which it looks at the ledger
ok($node->poll_query_until('postgres', "SELECT backend_xmin IS NULL AND backend_xid IS NULL $waiting"), 'the waiter has no snapshot');
ok( $node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'relation' AND pid = (SELECT pid $waiting)"),
	'the waiter has no lock on a table');

foreach my $command (
	'REINDEX INDEX CONCURRENTLY t_pkey',
	'CREATE INDEX CONCURRENTLY t_n ON t (n)',
	'DROP INDEX CONCURRENTLY t_n',
	'DELETE FROM t WHERE id <= 1500',
	'VACUUM t')
{
	my ($status, $stdout, $stderr) = $node->psql('postgres', $command, timeout => $PostgreSQL::Test::Utils::timeout_default, timed_out => \my $late);
	ok(!$late && $status == 0, "$command is not held up");
	is($stderr, '', "$command has nothing to complain about");
}
is($node->safe_psql('postgres', q(SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 't')), '0', 'VACUUM removed what had died since');
is($node->safe_psql('postgres', "SELECT count(*) $waiting"), '1', 'the waiter still waits');

$holder->query_safe('COMMIT');
is(wait_for_end($node, 1), 'succeeded', 'the run goes on once the lock is there');
$holder->quit;
$waiter->quit;

# a step with very many tasks is told of in tenths
$node->safe_psql('postgres', q(CREATE SCHEMA many;
	DO $$ BEGIN FOR g IN 1 .. 150 LOOP EXECUTE format('CREATE TABLE many.t%s (i int)', g); END LOOP; END $$;
	SELECT pgmaint.define_plan('many', '[{"action": "analyze", "options": {"schemas": "many", "scope": "all"}}]')));
my ($status, $stdout, $stderr) = $node->psql('postgres', q(CALL pgmaint.run_and_wait('many')));
my @notices = $stderr =~ /^.*NOTICE:  (\[.*)$/mg;
cmp_ok(scalar @notices, '<=', 10, 'many quick tasks: no more than ten messages') or diag $stderr;
like($notices[-1] // '', qr/^\[100 %\] 150 of 150: \d+ of analyze succeeded$/, '... up to the last');
$node->stop;
done_testing();
