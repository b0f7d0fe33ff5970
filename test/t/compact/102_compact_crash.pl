# A compaction that ends before its time: killed with the whole server, at 20
# points; cancelled; at the end of its window.  All rows are as they were, and
# what the next leader does first is to let the free space map show again what
# the compaction has hidden.  A later compaction completes the work.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{PGMAINT_TEST_SEED} || 1 + int(rand 1_000_000);
srand $seed;
diag "PGMAINT_TEST_SEED=$seed";

my $node = start_server('crash', q(timezone = 'UTC'), 'shared_buffers = 32MB', 'max_wal_size = 4GB', 'log_min_error_statement = panic', 'pgmaint.lock_retries = 0', 'wal_level = replica');

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sql(<<'EOS');
CREATE EXTENSION amcheck;
CREATE EXTENSION pageinspect;
CREATE EXTENSION pg_freespacemap;
CREATE EXTENSION pg_visibility;
CREATE TABLE numbers AS SELECT 0 AS filled;
CREATE TABLE big (id int PRIMARY KEY, code text, note text, filler text);
ALTER TABLE big ALTER note SET STORAGE EXTERNAL;
CREATE INDEX ON big (code);
CREATE INDEX ON big USING hash (code);
CREATE FUNCTION slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$;

-- Pages in the ledger from which on free space may be hidden, that VACUUM would
-- pass over, that have room, and of which the map says that they have none.
CREATE FUNCTION hidden_pages(first bigint) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM pg_visibility_map('big') v
	CROSS JOIN LATERAL page_header(get_raw_page('big', v.blkno::int)) p
	WHERE v.blkno >= first AND v.all_visible AND p.upper - p.lower > 300 AND pg_freespace('big', v.blkno) = 0
$$;
EOS

# Half-empty pages, so many that a slow compaction takes a second or two.
sub fill
{
	return if sql(q(SELECT total_bytes > 5000000 AND bloat_ratio > 0.5 FROM pgmaint_internal.heap_bloat('big'::regclass))) eq 't';
	sql(q(UPDATE numbers SET filled = filled + 12000;
		INSERT INTO big SELECT n, md5(n::text), CASE WHEN n % 500 = 0 THEN repeat('n', 3000) END, repeat('x', 500)
		FROM numbers, generate_series(filled - 11999, filled) n;
		DELETE FROM big WHERE id > (SELECT filled - 12000 FROM numbers) AND id % 3 <> 0;
		DELETE FROM big WHERE id < (SELECT filled - 30000 FROM numbers)));
	sql('VACUUM (ANALYZE, TRUNCATE false) big');
}

sub pages
{
	return sql(q(SELECT pg_relation_size('big') / 8192));
}

sub contents
{
	return sql('SELECT count(*), count(DISTINCT id), sum(hashtextextended(b::text, 0)) FROM big b');
}

my $table = '"tables": "big", "min_gain": "1 MB", "bloat_threshold": 0.1, "reorder": true';
my $slowly = '"max_wal_rate": "1500 kB"';

# Begins a compaction, slow unless other options are given; returns its run.
sub begin_compaction
{
	my ($options) = @_;
	return sql("SELECT pgmaint.run_action('compact', '{$table, " . ($options || $slowly) . "}')");
}

# Wait until that holds of the compaction at work.  Returns false if it has ended.
sub progress_is
{
	my ($run, $condition) = @_;
	my $now = "FROM pgmaint.progress p WHERE p.target = 'public.big' AND ($condition)";

	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT $now) OR EXISTS (SELECT FROM pgmaint.runs WHERE run_id = $run AND state NOT IN ('queued', 'running'))");
	return 1 if sql("SELECT state IN ('queued', 'running') FROM pgmaint.runs WHERE run_id = $run") eq 't';
	note "$condition: the run has ended before: " . sql("SELECT state, error, result FROM pgmaint.tasks WHERE run_id = $run");
	return 0;
}

sub is_moving
{
	my ($run, $percent) = @_;
	return progress_is($run, "p.phase = 'moving rows' AND p.percent_done >= $percent");
}

sub worker
{
	return sql(q(SELECT pid FROM pgmaint.progress WHERE target = 'public.big'));
}

sub rows_are_there
{
	my ($name, $before) = @_;

	is(contents(), $before, "$name: the rows are as they were");
	is(sql("SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*), count(DISTINCT id), sum(hashtextextended(b::text, 0)) FROM big b WHERE id > 0"), $before, "$name: by an index, too");
	is(sql(q(SELECT blkno, offnum, msg FROM verify_heapam('big', check_toast => true))), '', "$name: verify_heapam");
	is(sql(q(SELECT count(bt_index_check(i.indexrelid, true)) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 'big'::regclass AND c.relname !~ 'idx1')), 2, "$name: bt_index_check");
}

# The free space map is right once a leader was there, whatever it came for.
sub space_is_shown
{
	my ($name, $first, $run) = @_;

	wait_for_end($node, sql(q(SELECT pgmaint.run_action('analyze', '{"tables": "numbers"}'))));
	is(run_state($node, $run), 'interrupted', "$name: the run is interrupted") if $run;
	is(sql('SELECT count(*) FROM pgmaint_internal.hidden_space'), 0, "$name: the ledger has no hidden space");
	is(sql("SELECT hidden_pages($first)"), 0, "$name: pages with room show it") if $first ne '';
}

sub first_hidden
{
	return sql('SELECT first_block FROM pgmaint_internal.hidden_space');
}

my $hidden_seen = 0;

# The server stops in the middle: a process is killed, or all at once.
sub crash
{
	my ($name, $prepare, %how) = @_;

	my ($before, $run, @sessions);
	my $pid = '';

	# one that was faster than the test does not count
	foreach my $attempt (1 .. 10)
	{
		fill();
		$before = contents();
		$run = begin_compaction($how{options});
		@sessions = ();
		$pid = worker() if $prepare->($run, \@sessions);
		last if $pid ne '';
		$_->quit foreach @sessions;
		wait_for_end($node, $run);
	}
	ok($pid ne '', "$name: the compaction is at work") or return;
	# what it has hidden is on disk
	sql('CHECKPOINT') if $how{checkpoint};
	if ($how{at_once})
	{
		$node->stop('immediate');
		$node->start;
	}
	else
	{
		my $offset = -s $node->logfile;

		kill 'KILL', $pid;
		wait_for_restart($node, $offset);
	}
	foreach my $session (@sessions)
	{
		eval { $session->{run}->kill_kill };
	}
	my $first = first_hidden();

	$hidden_seen += sql("SELECT hidden_pages($first)") if $first ne '';
	rows_are_there($name, $before);
	space_is_shown($name, $first, $run);
}

#
# 20 points
#
foreach my $point (1 .. 10)
{
	my $percent = 1 + int rand 60;

	crash("rows move, $percent %", sub { return is_moving($_[0], $percent) }, at_once => $point % 3 == 0, checkpoint => $point % 2);
}
# at full speed: in the middle of a batch, or in front of them, or behind
foreach my $point (1 .. 5)
{
	my $wait = rand 0.1;

	crash(sprintf('after %.2f s', $wait), sub {
		progress_is($_[0], 'true') or return 0;
		sleep $wait;
		return 1;
	}, at_once => $point == 3, options => '"published": false');
}
# an old snapshot is waited for
foreach my $at_once (0, 1)
{
	crash('waiting for snapshots', sub {
		my ($run, $sessions) = @_;
		my $session = $node->background_psql('postgres');

		push @$sessions, $session;
		is_moving($run, 1) or return 0;
		$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM numbers');
		return progress_is($run, "p.phase = 'waiting for older snapshots'");
	}, at_once => $at_once);
}
# the end is cut off, which a reader keeps it from for a while
foreach my $at_once (0, 1, 0)
{
	crash('cutting off the end', sub {
		my ($run, $sessions) = @_;
		my $session = $node->background_psql('postgres');

		push @$sessions, $session;
		is_moving($run, 1) or return 0;
		$session->query_safe('BEGIN; LOCK TABLE big IN ACCESS SHARE MODE');
		return progress_is($run, "p.phase = 'cutting off the end'");
	}, at_once => $at_once);
}
cmp_ok($hidden_seen, '>', 0, 'free space was hidden at crashes');

#
# Cancelled
#
foreach my $case (
	[ 'pg_cancel_backend', sub { sql('SELECT pg_cancel_backend(' . worker() . ')') } ],
	[ 'pgmaint.cancel', sub { sql("SELECT pgmaint.cancel($_[0])") } ],
	[ 'pg_terminate_backend', sub { sql('SELECT pg_terminate_backend(' . worker() . ')') } ])
{
	my ($how, $cancel) = @$case;

	foreach my $percent (0, 30)
	{
		my $name = "$how, $percent %";

		my ($before, $run, $at_work);

		# the one before may have moved all rows, so that the end has to be cut off only
		foreach my $attempt (1 .. 10)
		{
			fill();
			$before = contents();
			$run = begin_compaction();
			$at_work = is_moving($run, $percent);
			last if $at_work;
			wait_for_end($node, $run);
		}
		ok($at_work, "$name: at work");

		my $first = first_hidden();

		isnt($first, '', "$name: free space is hidden");
		$cancel->($run);
		like(wait_for_end($node, $run), qr/^(cancelled|failed)$/, "$name: run");
		if ($how ne 'pg_terminate_backend')
		{
			is(sql('SELECT count(*) FROM pgmaint_internal.hidden_space'), 0, "$name: the task itself shows what it has hidden");
			is(sql("SELECT hidden_pages($first)"), 0, "$name: ... on each page");
		}
		is(contents(), $before, "$name: the rows are as they were");
		space_is_shown($name, $first);
	}
}
rows_are_there('cancelled', contents());

#
# The end of the window.  With a standby, work is done in windows only.
#
fill();
{
	my $before = contents();

	$node->backup('copy');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'copy', has_streaming => 1);
	$standby->start;
	$node->poll_query_until('postgres', 'SELECT pgmaint_internal.standby_is_connected()');
	sql(q(SELECT pgmaint.add_window('noon', '{0}', '12:00', '2 hours', 'UTC')));

	# 4 MB are guessed to take less than a second
	sql(q(CREATE TABLE late AS SELECT n AS id, repeat('x', 500) AS filler FROM generate_series(1, 8000) n; DELETE FROM late WHERE id % 3 <> 0; CREATE INDEX ON late (id)));

	my $late = 'SELECT count(*), sum(hashtextextended(l::text, 0)) FROM late l';
	my $rows = sql($late);
	my $run = sql(qq(LOAD 'pgmaint'; DO \$\$ BEGIN PERFORM set_config('pgmaint.clock_offset',
			(ceil(extract(epoch FROM '2026-11-29 13:59:56+00'::timestamptz - clock_timestamp()))::integer)::text, false); END \$\$;
		SELECT pgmaint.run_action('compact', '{"tables": "late", "min_gain": "1 MB", "reorder": true, "max_wal_rate": "50 kB"}')));

	# it stops in time for VACUUM, unless it sleeps for too long just then
	wait_for_end($node, $run);
	like(sql("SELECT concat(t.state, ' ', t.error, ' ', f.message) FROM pgmaint.tasks t LEFT JOIN pgmaint.findings f ON f.task_id = t.task_id AND f.check_id = 'compact' WHERE t.run_id = $run"),
		qr/^cancelled maintenance window "noon" ended|^succeeded .*maintenance window "noon" is about to close/, 'the end of the window: task');
	is(sql('SELECT count(*) FROM pgmaint_internal.hidden_space'), 0, 'the end of the window: the task shows what it has hidden');
	is(sql($late), $rows, 'the end of the window: the rows are as they were');
	is(sql(q(SELECT count(*) FROM verify_heapam('late'))) . sql(q(SELECT bt_index_check('late_id_idx', true))), '0', 'the end of the window: amcheck');

	# a whole one, and what the standby has of it
	$run = begin_compaction('"ignore_window": true');
	is(wait_for_end($node, $run), 'succeeded', 'with a standby: run') or diag run_error($node, $run);
	rows_are_there('with a standby', $before);
	sql('SELECT pg_switch_wal()');
	$node->wait_for_catchup($standby);
	is($standby->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id), sum(hashtextextended(b::text, 0)) FROM big b'), $before, 'the standby has the rows');
	is($standby->safe_psql('postgres', q(SELECT pg_relation_size('big') / 8192)), pages(), '... in as many pages');
	is($standby->safe_psql('postgres', q(SELECT count(*) FROM verify_heapam('big'))), 0, '... which verify_heapam finds sound');
	$standby->stop;
}
$node->poll_query_until('postgres', 'SELECT NOT pgmaint_internal.standby_is_connected()');

#
# In the end one goes through
#
{
	fill();

	my ($before, $size) = (contents(), pages());
	my $run = begin_compaction('"published": false');

	is(wait_for_end($node, $run), 'succeeded', 'after all of that: run') or diag run_error($node, $run);
	is(tasks($node, $run), 'public.big succeeded', 'after all of that: task') or diag sql("SELECT message FROM pgmaint.findings WHERE run_id = $run"), sql('SELECT * FROM pgmaint.compact_candidates(1000000, 0.1)');
	rows_are_there('after all of that', $before);
	my $needed = sql(q(CREATE TEMPORARY TABLE fresh (LIKE big INCLUDING STORAGE); INSERT INTO fresh SELECT * FROM big; SELECT pg_relation_size('fresh') / 8192));
	cmp_ok(pages(), '<=', 1.1 * $needed + 256, "after all of that: small, $size pages before");
	space_is_shown('after all of that', 0);
}

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing has crashed by itself');

done_testing();
