# A standby: what writes is refused in words that say why, what only looks
# works.  A long query on it that keeps dead rows on the primary, through
# hot_standby_feedback or the slot it left, makes VACUUM futile there, and is
# named.  After its promotion the ledger tells the truth and runs go through.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = start_server('primary', 'wal_receiver_status_interval = 1s', 'max_connections = 210', 'work_mem = 64kB');
create_slow_table($primary, 'slow');
$primary->safe_psql('postgres', <<'EOS');
CREATE TABLE work (id int PRIMARY KEY, filler text);
INSERT INTO work SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g;
CREATE UNLOGGED TABLE unlogged AS SELECT g AS id FROM generate_series(1, 1000) g;
CREATE INDEX ON unlogged (id);
EOS
my $first = $primary->safe_psql('postgres', q(SELECT pgmaint.run('weekly')));
is(wait_for_end($primary, $first), 'succeeded', 'a run on the primary');

$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nmax_standby_streaming_delay = -1");
$standby->start;
$primary->wait_for_catchup($standby);

my ($status, $stdout, $stderr);

# what writes
foreach my $case (
	[ q(SELECT pgmaint.run('weekly')), 'pgmaint\.run\(\)' ],
	[ q(CALL pgmaint.run_and_wait('weekly')), 'pgmaint\.run_and_wait\(\)' ],
	[ q(SELECT pgmaint.run_action('vacuum')), 'pgmaint\.run_action\(\)' ],
	[ "SELECT pgmaint.cancel($first)", 'pgmaint\.cancel\(\)' ],
	[ 'SELECT pgmaint.tick()', 'pgmaint\.tick\(\)' ],
	[ q(SELECT pgmaint.define_plan('mine', '["vacuum"]')), 'pgmaint\.define_plan\(\)' ],
	[ q(SELECT pgmaint.drop_plan('mine')), 'pgmaint\.drop_plan\(\)' ])
{
	my ($sql, $name) = @$case;

	($status, $stdout, $stderr) = $standby->psql('postgres', $sql);
	isnt($status, 0, "$sql: refused");
	like($stderr, qr/ERROR:  (?:$name cannot be executed on a standby|cannot execute $name during recovery)/, "$sql: message");
}

# what looks
foreach my $call (
	q(pgmaint.dry_run('weekly', '{"scope": "all", "min_size": 0}')),
	'pgmaint.table_bloat()', q(pgmaint.table_bloat('work')),
	'pgmaint.index_bloat()', q(pgmaint.index_bloat('work')),
	q(pgmaint.vacuum_candidates(everything => true)), q(pgmaint.stale_statistics(everything => true)),
	"pgmaint.report($first)", "pgmaint.report_html($first)", 'pgmaint.metrics', 'pgmaint.runs', 'pgmaint.tasks', 'pgmaint.plans', 'pgmaint.actions()')
{
	($status, $stdout, $stderr) = $standby->psql('postgres', "SELECT count(*) > 0 FROM $call");
	is($status, 0, "$call works");
	is($stdout, 't', "$call has rows");
	is($stderr, '', "$call has nothing to complain about");
}
($status, $stdout, $stderr) = $standby->psql('postgres', q(SELECT * FROM pgmaint.table_bloat('unlogged')));
like($stderr, qr/ERROR: .*"unlogged".*Data of unlogged relations is not on a standby/s, 'an unlogged table is refused when named');
($status, $stdout, $stderr) = $standby->psql('postgres', 'SELECT count(*) FROM pgmaint.xmin_holders(), pgmaint.progress');
is($stderr, '', 'xmin_holders() and progress work');

# a larger max_connections is for the standby first, which would replay no WAL
# otherwise; a smaller one for the primary
foreach my $case (
	[ 205, '1 hour', 'more', qr/not set/, qr/^on each standby first, with a restart of it, then on this server, .*standby "standby"/,
		qr/max_connections should be \d+ instead of 210: .*; execute the command on each standby and restart it, then on this server: standby "standby"/ ],
	[ 5, '1 hour', 'fewer', qr/^100$/, qr/^on this server first, with a restart, then on each standby: standby "standby"/,
		qr/max_connections was changed; restart the server to apply the change; execute the command on each standby after this server was restarted: standby "standby"/ ])
{
	my ($peak, $age, $name, $set, $detail, $message) = @$case;

	$primary->safe_psql('postgres',
		"DELETE FROM pgmaint_internal.connection_samples;
		INSERT INTO pgmaint_internal.connection_samples (sampled_at, connections, active, idle_in_transaction, max_connections)
		VALUES (clock_timestamp() - interval '60 days', 1, 1, 0, 210), (clock_timestamp() - interval '$age', $peak, 1, 0, 210)");
	like($primary->safe_psql('postgres', q(SELECT detail FROM pgmaint.connection_review() WHERE topic = 'command')), $detail, "$name connections: connection_review()");
	my $review = $primary->safe_psql('postgres', q(SELECT pgmaint.run_action('connection_review', '{"apply": true}')));
	is(wait_for_end($primary, $review), 'succeeded', "$name connections: run");
	like($primary->safe_psql('postgres', q(SELECT coalesce((SELECT setting FROM pg_file_settings WHERE name = 'max_connections' AND sourcefile LIKE '%auto.conf'), 'not set'))),
		$set, "$name connections: what is set on the primary");
	like($primary->safe_psql('postgres', "SELECT message FROM pgmaint.findings WHERE run_id = $review AND object = 'max_connections'"),
		$message, "$name connections: the finding");
	$primary->safe_psql('postgres', 'ALTER SYSTEM RESET max_connections');
}

# a snapshot on the standby keeps what is deleted on the primary after it
my $session = $standby->background_psql('postgres');
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM work');
my $xmin = $session->query_safe('SELECT pg_snapshot_xmin(pg_current_snapshot())');
$primary->poll_query_until('postgres',
	"SELECT count(*) = 1 FROM pg_stat_replication WHERE backend_xmin::text = '$xmin'");
$primary->safe_psql('postgres', 'DELETE FROM work WHERE id % 2 = 0');
$primary->safe_psql('postgres', 'SELECT txid_current()') foreach 1 .. 3;
my $vacuum = q(SELECT pgmaint.run_action('vacuum', '{"tables": "work"}'));
my $run = $primary->safe_psql('postgres', $vacuum);
is(wait_for_end($primary, $run), 'succeeded', 'feedback: run');
is(tasks($primary, $run), 'public.work skipped', 'feedback: task');
like( $primary->safe_psql('postgres', "SELECT error FROM pgmaint.tasks WHERE run_id = $run"),
	qr/VACUUM would be futile: .*standby "standby" through hot_standby_feedback/,
	'feedback: the standby is named');
is( $primary->safe_psql('postgres', "SELECT object FROM pgmaint.findings WHERE run_id = $run AND check_id = 'skipped'"),
	'public.work', 'feedback: a finding');

# the same through a slot, which stays when the standby is gone
$primary->safe_psql('postgres', q(CREATE TABLE more AS SELECT * FROM work));
$vacuum = q(SELECT pgmaint.run_action('vacuum', '{"tables": "more"}'));
$primary->safe_psql('postgres', q(SELECT pg_create_physical_replication_slot('for_standby', true)));
$session->quit;
$standby->append_conf('postgresql.conf', q(primary_slot_name = 'for_standby'));
$standby->reload;
$primary->poll_query_until('postgres', 'SELECT xmin IS NOT NULL FROM pg_replication_slots');
$primary->wait_for_catchup($standby);
$session = $standby->background_psql('postgres');
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM more');
$primary->safe_psql('postgres', 'UPDATE more SET filler = filler || id');
$primary->safe_psql('postgres', 'SELECT txid_current()') foreach 1 .. 3;
$run = $primary->safe_psql('postgres', $vacuum);
wait_for_end($primary, $run);
is(tasks($primary, $run), 'public.more skipped', 'slot: task');
like( $primary->safe_psql('postgres', "SELECT error FROM pgmaint.tasks WHERE run_id = $run"),
	qr/replication slot "for_standby"/, 'slot: named');
$session->quit;
$standby->stop('immediate');
$primary->poll_query_until('postgres', 'SELECT NOT active FROM pg_replication_slots');
$run = $primary->safe_psql('postgres', $vacuum);
wait_for_end($primary, $run);
like( $primary->safe_psql('postgres', "SELECT error FROM pgmaint.tasks WHERE run_id = $run"),
	qr/replication slot "for_standby", not in use/, 'slot of a standby that is gone: named');
$standby->start;
$primary->wait_for_catchup($standby);
$primary->poll_query_until('postgres',
	'SELECT age(xmin) < (SELECT min(age(x.xmin)) FROM more x) FROM pg_replication_slots');
$run = $primary->safe_psql('postgres', $vacuum);
wait_for_end($primary, $run);
is(tasks($primary, $run), 'public.more succeeded', 'once the snapshot is gone the work is done');

# the primary dies in the middle of a run, the standby takes over
my $options = slow_vacuum('slow');
$run = $primary->safe_psql('postgres', "SELECT pgmaint.run_action('vacuum', $options)");
wait_for_slow_vacuum($primary, 'public.slow');
my $queued = $primary->safe_psql('postgres', q(SELECT pgmaint.run('weekly')));
$primary->wait_for_catchup($standby);
my $before = $standby->background_psql('postgres');
is($before->query_safe("SELECT state FROM pgmaint.runs WHERE run_id = $run"), 'running', 'the run shows on the standby');
is($before->query_safe('SELECT count(*) FROM pgmaint.progress'), '0', 'but nothing is being done there');
$primary->stop('immediate');
$standby->promote;
is($before->query_safe('SELECT pgmaint.tick()'), 't', 'promoted: tick, in a session from before');
$before->quit;
is(wait_for_end($standby, $run), 'interrupted', 'promoted: the run is known to be interrupted');
is(tasks($standby, $run), 'public.slow interrupted', 'promoted: and so is its task');
is(wait_for_end($standby, $queued), 'interrupted', 'promoted: what was queued in the primary, which may live, is not done here');
like($standby->safe_psql('postgres', q(SELECT detail FROM pgmaint.validate() WHERE check_id = 'identity')),
	qr/timeline was 1, now 2.*SELECT pgmaint\.take_over\(\).*SELECT pgmaint\.stay_copy\(\)/, 'promoted: the server says that it may be a copy');
is($standby->psql('postgres', q(CALL pgmaint.run_and_wait('weekly'))), 0, 'promoted: runs go through');
no_processes_left($standby, 'no process is left');
$standby->stop;
unlike(slurp_file($_->logfile), qr/PANIC|TRAP|was terminated by signal/, $_->name . ': nothing has crashed')
  foreach ($primary, $standby);

done_testing();
