# Old snapshots: where they keep VACUUM from removing anything it is skipped,
# and the one that is to blame is named: a session, a prepared transaction, a
# replication slot.  Where there is something to remove it is done all the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('holders', 'max_prepared_transactions = 2', 'wal_level = logical', 'pgmaint.lock_retries = 0');
$node->safe_psql('postgres', 'CREATE DATABASE other; CREATE TABLE elsewhere (id int)');

sub create_work
{
	$node->safe_psql('postgres', 'DROP TABLE IF EXISTS work; CREATE TABLE work (id int, filler text);
		INSERT INTO work SELECT g, repeat($$x$$, 200) FROM generate_series(1, 20000) g');
	# a session reports its inserts as it ends, which may be after psql has ended
	$node->poll_query_until('postgres', "SELECT n_tup_ins = 20000 FROM pg_stat_user_tables WHERE relname = 'work'") or die 'no inserts were reported';
	$node->safe_psql('postgres', 'VACUUM ANALYZE work');
}

# VACUUM a table; returns its task's state and error.
sub vacuum
{
	my ($table, $retries) = @_;
	my $run = $node->safe_psql('postgres',
		'SET pgmaint.lock_retries = ' . ($retries || 0) . qq(; SELECT pgmaint.run_action('vacuum', '{"tables": "$table"}')));
	wait_for_end($node, $run);
	return split /\|/, $node->safe_psql('postgres', "SELECT state, coalesce(error, '') FROM pgmaint.tasks WHERE run_id = $run"), 2;
}

sub is_skipped_for
{
	my ($table, $holder, $name) = @_;
	my ($state, $error);

	# where another database's transaction was older than the holder, a look at
	# the run from here can be the oldest snapshot for a moment, and is named
	for (1 .. 20)
	{
		($state, $error) = vacuum($table);
		last unless $error =~ /\(010_holders\.pl\), active/;
	}

	is($state, 'skipped', "$name: skipped");
	like($error, qr/^VACUUM would be futile: .* because of $holder/, "$name: named");
}

sub is_done
{
	my ($table, $name) = @_;
	# a session that reads the run has a snapshot too, for a moment
	my ($state, $error) = vacuum($table, 4);

	is($state, 'succeeded', $name) or diag $error;
}

# a session that holds a snapshot
create_work();
my $session = $node->background_psql('postgres');
$session->query_safe(q(SET application_name = 'report of Mr. Old'));
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM elsewhere');
$node->safe_psql('postgres', 'DELETE FROM work WHERE id % 2 = 0');
is_skipped_for('work', qr/process $pid of role \w+ \(report of Mr\. Old\), idle in transaction, since /, 'idle in transaction');
is( $node->safe_psql('postgres', 'SELECT kind, pid FROM pgmaint.xmin_holders() LIMIT 1'), "session|$pid", 'xmin_holders() shows it');
is( $node->safe_psql('postgres', 'SELECT state FROM pgmaint.runs ORDER BY run_id DESC LIMIT 1'), 'succeeded', 'a skipped task is no failure');

# where something can be removed, it is not futile
$node->safe_psql('postgres', 'CREATE TABLE partly AS SELECT * FROM work; DELETE FROM partly WHERE id % 4 = 1');
is_skipped_for('work', qr/process $pid/, 'everything is too young');
$session->query_safe('COMMIT');
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM elsewhere');
$node->safe_psql('postgres', 'DELETE FROM partly WHERE id % 4 = 3');
is_done('partly', 'a part can be removed: done');

# a holder that is gone before the last attempt
create_work();
$session->query_safe('COMMIT');
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM elsewhere');
$node->safe_psql('postgres', 'DELETE FROM work WHERE id % 2 = 0');
my $run = $node->safe_psql('postgres', q(SET pgmaint.lock_retries = 10; SELECT pgmaint.run_action('vacuum', '{"tables": "work"}')));
$node->poll_query_until('postgres', "SELECT attempt >= 1 FROM pgmaint.tasks WHERE run_id = $run AND state = 'pending'");
like($node->safe_psql('postgres', "SELECT error FROM pgmaint.tasks WHERE run_id = $run"), qr/process $pid/, 'between two attempts the ledger has the reason');
$session->query_safe('COMMIT');
is(wait_for_end($node, $run), 'succeeded', 'the holder goes: run');
is(tasks($node, $run), 'public.work succeeded', 'the holder goes: done');
is($node->safe_psql('postgres', "SELECT error IS NULL AND sqlstate IS NULL FROM pgmaint.tasks WHERE run_id = $run"), 't', 'the holder goes: the reason is gone too');

# a transaction that only has an ID
create_work();
$session->query_safe('BEGIN; INSERT INTO elsewhere VALUES (1)');
$node->safe_psql('postgres', 'DELETE FROM work WHERE id % 2 = 0');
is_skipped_for('work', qr/process $pid/, 'a transaction ID');
$session->query_safe('COMMIT');

# sessions elsewhere hold nothing back
create_work();
my $elsewhere = $node->background_psql('other');
$elsewhere->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txid_current()');
$node->safe_psql('postgres', 'DELETE FROM work WHERE id % 2 = 0');
is_done('work', "another database's session: done");
$elsewhere->quit;

# a prepared transaction
create_work();
$node->safe_psql('postgres', q(BEGIN; INSERT INTO elsewhere VALUES (1); PREPARE TRANSACTION 'forgotten'));
$node->safe_psql('postgres', 'DELETE FROM work WHERE id % 2 = 0');
is_skipped_for('work', qr/prepared transaction "forgotten" of role \w+, since /, 'prepared transaction');
$node->safe_psql('postgres', q(ROLLBACK PREPARED 'forgotten'));
is_done('work', 'rolled back: done');

# a logical slot keeps the catalogs, and the catalogs only
$node->safe_psql('postgres', q(SELECT pg_create_logical_replication_slot('subscriber', 'pgoutput')));
$node->safe_psql('postgres', 'VACUUM pg_catalog.pg_description');
$node->safe_psql('postgres', q(SELECT txid_current(); CREATE TABLE commented (id int);
	DO $$ BEGIN FOR i IN 1 .. 2000 LOOP EXECUTE format('COMMENT ON TABLE commented IS %L', repeat('x', 500) || i); END LOOP; END $$));
$node->safe_psql('postgres', q(DO $$ BEGIN FOR i IN 1 .. 2000 LOOP EXECUTE format('COMMENT ON COLUMN commented.id IS %L', repeat('x', 500) || i); COMMIT; END LOOP; END $$));
is_skipped_for('pg_catalog.pg_description', qr/replication slot "subscriber", not in use/, 'slot: the catalogs');
create_work();
$node->safe_psql('postgres', 'DELETE FROM work WHERE id % 2 = 0');
is_done('work', 'slot: tables are not concerned');

# so that it is not to blame for what a session, younger than it, holds back
create_work();
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM elsewhere');
$node->safe_psql('postgres', 'DELETE FROM work WHERE id % 2 = 0');
is_skipped_for('work', qr/process $pid of role/, 'slot and session');
$session->query_safe('COMMIT');
$node->safe_psql('postgres', q(SELECT pg_drop_replication_slot('subscriber')));

# a session that waits for the run blocks no task
create_work();
$node->safe_psql('postgres', 'DELETE FROM work WHERE id % 2 = 0');
$session->query(q(CALL pgmaint.run_and_wait('weekly', '{"vacuum": {"tables": "work"}}')));
is($node->safe_psql('postgres', q(SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'work')), '0', 'run_and_wait() holds nothing back');
$session->quit;

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
