# A compaction while a standby is connected: cutting off the end of a table waits
# for a maintenance window, a standby that does not keep up ends the compaction,
# and the standby has the rows of its primary.

# long: one server is enough
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('primary', 'pgmaint.lock_retries = 0');
my $run;

# A gate in the way of a compaction, which says with a lock that it is there; it
# opens when another session waits for a lock.
$node->safe_psql('postgres', <<'EOS');
CREATE EXTENSION amcheck;
CREATE FUNCTION gate(v int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF v = 3000 AND coalesce(current_query(), '') !~ '^ANALYZE' AND EXISTS (SELECT FROM pg_stat_activity WHERE pid = pg_backend_pid() AND backend_type LIKE 'pgmaint%') THEN
		PERFORM pg_advisory_xact_lock_shared(3000);
		LOOP
			PERFORM pg_sleep(0.02);
			EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted);
		END LOOP;
	END IF;
	RETURN v;
END
$$;
EOS

# A table of 3,000 rows, 3 of 4 of which are gone.
sub create_bloated
{
	my ($table, $more) = @_;

	$node->safe_psql('postgres', "DROP TABLE IF EXISTS $table CASCADE; CREATE " . ($more || '') . " TABLE $table (id int PRIMARY KEY, filler text DEFAULT repeat('x', 480))");
	fill($table);
	return;
}

sub fill
{
	my ($table) = @_;
	$node->safe_psql('postgres', "INSERT INTO $table (id) SELECT g FROM generate_series(1, 3000) g; DELETE FROM $table WHERE id % 4 <> 0");
	return;
}

sub start_compact
{
	my ($tables, $more, $settings) = @_;
	my $list = join ', ', map { qq("$_") } split / /, $tables;

	$run = $node->safe_psql('postgres',
		($settings || '') . "SELECT pgmaint.run_action('compact', '{\"tables\": [$list], \"min_gain\": \"512 kB\", \"bloat_threshold\": 0.1, \"reorder\": true" . ($more ? ", $more" : '') . "}')");
	return;
}

sub compact
{
	start_compact(@_);
	wait_for_end($node, $run);
	return;
}

sub at_gate
{
	$node->poll_query_until('postgres', q(SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 3000))) or die 'the compaction is not at the gate';
	return;
}

# Returns what came of the run: its tasks, and what it found.
sub outcome
{
	return $node->safe_psql('postgres',
		"SELECT concat_ws('|', (SELECT string_agg(concat_ws(' ', target, state, error, CASE WHEN state = 'succeeded' THEN bytes_after < 0.6 * bytes_before END), ', ' ORDER BY target) FROM pgmaint.tasks WHERE run_id = $run),
		(SELECT string_agg(message, ', ') FROM pgmaint.findings WHERE run_id = $run AND message !~ ' (was skipped|failed): '))");
}

sub is_complete
{
	my ($table, $name) = @_;

	is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT id), sum(id), sum(length(filler)) FROM ONLY $table"), '750|750|1126500|360000', "$name: all rows are there, once");
	is( $node->safe_psql('postgres', "SELECT count(bt_index_check(indexrelid, true)) > 0 FROM pg_index WHERE indrelid = '$table'::regclass AND indisvalid"),
		't', "$name: its indexes have all rows");
	return;
}

#
# A standby
#
create_bloated('logged');
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);

sub is_same_on_standby
{
	my ($name) = @_;
	my $rows = q(SET enable_indexscan = %s; SET enable_bitmapscan = %1$s; SET enable_seqscan = %s; SELECT md5(string_agg(concat(id, filler), ' ' ORDER BY id)), pg_relation_size('logged') FROM logged WHERE id > 0);

	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	foreach my $how ([ 'on', 'off' ], [ 'off', 'on' ])
	{
		my $query = sprintf $rows =~ s/%1\$s/$how->[0]/r, @$how;
		is($standby->safe_psql('postgres', $query), $node->safe_psql('postgres', $query), "$name: the standby has the same rows");
	}
	return;
}

compact('logged');
is(outcome(), 'public.logged skipped no maintenance window is defined', 'a standby, and no window');
is($node->safe_psql('postgres', q(SELECT disruptive, reason ~ '; a standby is connected, on which cutting off the end blocks queries$' FROM pgmaint.tasks ORDER BY task_id DESC LIMIT 1)), 't|t', '... with the reason');
compact('logged', '"ignore_window": true');
is(outcome(), 'public.logged succeeded t', '... with option ignore_window');
is_complete('logged', 'a standby');
is_same_on_standby('ignore_window');
create_bloated('logged');
$node->safe_psql('postgres', q(SELECT pgmaint.add_window('always', '{0,1,2,3,4,5,6}', '00:00', '24 hours')));
compact('logged');
is(outcome(), 'public.logged succeeded t', '... inside a window');
is_same_on_standby('inside a window');

# one that does not keep up, from when the first row is moved on: the compaction
# looks at standbys every half a second
create_bloated('logged');
$node->safe_psql('postgres', 'CREATE INDEX gated ON logged (gate(id)); CREATE TABLE other (filler text)');
start_compact('logged', '"max_lag": "256 kB"', q(SET pgmaint.max_wait = '1s'; ));
at_gate();
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$node->safe_psql('postgres', 'INSERT INTO other SELECT repeat(md5(g::text), 10) FROM generate_series(1, 2000) g; SELECT pg_sleep(0.6); BEGIN; LOCK TABLE logged IN SHARE MODE; COMMIT');
wait_for_end($node, $run);
like(outcome(), qr/^public\.logged succeeded f\|the compaction of public\.logged stopped: a standby does not keep up$/, 'a standby whose replay is paused ends the compaction');
cmp_ok($node->safe_psql('postgres', "SELECT (result ->> 'rows_moved')::int FROM pgmaint.tasks WHERE run_id = $run"), '>', 0, '... and what was moved stays moved');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgmaint_internal.hidden_space'), '0', '... with no space hidden');
$node->safe_psql('postgres', 'DROP INDEX gated');
is_complete('logged', 'a late standby');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
is_same_on_standby('a late standby');
compact('logged');
is(outcome(), 'public.logged succeeded t', '... the next run goes on');
is_same_on_standby('the next run');

# its feedback keeps old rows
create_bloated('logged');
$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nwal_receiver_status_interval = 1s\nmax_standby_streaming_delay = -1");
$standby->reload;
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
my $reader = $standby->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM logged');
$node->poll_query_until('postgres', 'SELECT EXISTS (SELECT FROM pg_stat_replication WHERE backend_xmin IS NOT NULL)') or die 'no feedback';
compact('logged');
like(outcome(), qr/^public\.logged skipped moving rows would be futile because of .*standby/, 'the feedback of a standby: named');
$reader->query_safe('COMMIT');
$reader->quit;
$standby->stop;
$node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM pg_stat_replication)') or die 'the standby is still connected';

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
