# A backup has the rows of every table, even if tables are rewritten meanwhile:
# TRUNCATE, ALTER TABLE and, on 19, REPACK (CONCURRENTLY) leave rows that an
# older snapshot does not see, and pg_dump takes its snapshot before its locks.
# Backups and the REPACK of pgmaint's own exclude each other.
#
# PGMAINT_TEST_INTERLEAVINGS=100 makes that many backups beside such work.

use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib "$FindBin::RealBin/..";

use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use IPC::Run;
use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $interleavings = $ENV{PGMAINT_TEST_INTERLEAVINGS} || 6;
my $rows = 1000;

my $module = abs_path("$FindBin::RealBin/../../modules/locks");
my $build = PostgreSQL::Test::Utils::tempdir_short();
my $output = `make -C '$build' -f '$module/Makefile' PG_CONFIG=pg_config with_llvm=no COPT=-Werror 2>&1`;
is($?, 0, 'the module for this test can be built') or BAIL_OUT($output);

my $node = start_server('rewrites', 'fsync = off', "timezone = 'UTC'", "dynamic_library_path = '\$libdir:$build'");
# a version like 19rc1 is below 19 for the modules
my $repack = $node->safe_psql('postgres', 'SHOW server_version_num') >= 190000;
my $whole = '{"databases": "shop", "globals": false, "retries": 0}';

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub shop
{
	return $node->safe_psql('shop', $_[0]);
}

# The attempts of a run: their states, and why those that failed did.
sub attempts
{
	my ($run) = @_;
	return sql("SELECT string_agg(state, ' ' ORDER BY backup_id) FROM pgmaint.backups WHERE run_id = $run");
}

sub failure
{
	my ($run) = @_;
	return sql("SELECT error FROM pgmaint.backups WHERE run_id = $run AND state = 'failed' ORDER BY backup_id LIMIT 1");
}

# How many rows of a table a backup restores.
sub rows_in
{
	my ($key, $table) = @_;
	my ($dump, $script, $error);

	gunzip(folder_of($node) . "/$key" => \$dump) or die $GunzipError;
	IPC::Run::run([ 'pg_restore', '-a', '-t', $table, '-f', '-' ], '<', \$dump, '>', \$script, '2>', \$error) or die $error;
	my ($lines) = $script =~ /^COPY .*? FROM stdin;\n(.*?)^\\\.$/ms;
	return defined $lines ? ($lines =~ tr/\n//) : 0;
}

sub rows_of_run
{
	my ($run, $table) = @_;
	return rows_in(sql("SELECT key FROM pgmaint.backups WHERE run_id = $run AND state = 'succeeded'"), $table);
}

sub waits_for
{
	my ($table) = @_;
	$node->poll_query_until('shop', "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = '$table'::regclass") or die "nobody waits for $table";
}

sub locks
{
	return sql(q(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 9));
}

# the gate is the table that pg_dump locks first
sql('CREATE DATABASE shop');
shop("CREATE TABLE gate (i int); CREATE TABLE t (id int, filler text); CREATE TABLE k (id int PRIMARY KEY, filler text); CREATE TABLE scratch (i int)");
my $fill = "INSERT INTO t SELECT g, 'x' FROM generate_series(1, $rows) g";
shop("$fill; INSERT INTO k TABLE t");

#
# pg_dump has its snapshot and waits for a lock, while a table is rewritten
#
my @ways = (
	[ 'TRUNCATE', 't', "BEGIN; TRUNCATE t; $fill; COMMIT" ],
	[ 'ALTER TABLE', 't', 'ALTER TABLE t ALTER id TYPE bigint; ALTER TABLE t ALTER id TYPE int' ],
	[ 'another table of that name', 't', 'BEGIN; CREATE TABLE u (LIKE t); INSERT INTO u SELECT * FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t; COMMIT' ]);
push @ways, [ 'REPACK (CONCURRENTLY)', 'k' ] if $repack;
my $session = $node->background_psql('shop');
my $reader = $node->background_psql('shop');
my ($state, $error, $run);

foreach (@ways)
{
	my ($name, $table, $rewrite) = @$_;
	my $rewriter;

	# REPACK begins when no transaction writes, as that with the lock of the
	# gate does, and ends when no session reads
	if (!$rewrite)
	{
		$reader->query_safe('BEGIN; SELECT count(*) FROM k');
		$rewriter = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('shop'), '-c', 'REPACK (CONCURRENTLY) k' ]);
		waits_for('k');
	}
	$session->query_safe('BEGIN; LOCK TABLE gate');
	$run = begin_backup($node, $whole);
	waits_for('gate');
	shop($rewrite) if $rewrite;
	if ($rewriter)
	{
		$reader->query_safe('COMMIT');
		ok(IPC::Run::finish($rewriter), 'REPACK ends');
	}
	$session->query_safe('COMMIT');
	is(wait_for_end($node, $run), 'succeeded', "$name: the run succeeds") or diag run_error($node, $run);
	is(attempts($run), 'failed succeeded', '... by another attempt');
	like(failure($run), qr/^table public\.$table was rewritten or replaced before pg_dump had locked it/, '... the first says why');
	is(rows_of_run($run, $table), $rows, '... and all rows are there');
}
is(strangers($node, 'pgmaint_local'), '', 'nothing is left of the attempts that failed');

# whose rows are not dumped is of no concern
$session->query_safe('BEGIN; LOCK TABLE gate');
$run = begin_backup($node, $whole =~ s/}/, "exclude_table_data": "scratch"}/r);
waits_for('gate');
shop('TRUNCATE scratch');
$session->query_safe('COMMIT');
wait_for_end($node, $run);
is(attempts($run), 'succeeded', 'a table without rows in the dump may be rewritten');

# every attempt has to fail
$run = undef;
for my $attempt (1 .. 5)
{
	$session->query_safe('BEGIN; LOCK TABLE gate');
	$run //= begin_backup($node, $whole);
	waits_for('gate');
	$session->query_safe('TRUNCATE scratch; COMMIT');
	$node->poll_query_until('postgres', "SELECT count(*) = $attempt FROM pgmaint.backups WHERE run_id = $run AND state = 'failed'") or die "attempt $attempt does not fail";
}
($state, $error) = end_of_backup($node, $run);
like("$state $error", qr/^failed table public\.scratch was rewritten/, 'a table that is rewritten again and again fails the backup');
is(attempts($run), 'failed failed failed failed failed', '... after five attempts');

# pg_dump, which has pg_class locked, waits while it is looked for rewrites; who
# waits for the lock of pg_dump must not hold that up for ever
shop("CREATE TABLE more_than_a_pipe_holds AS SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
my $full = $node->background_psql('shop');
$session->query_safe('BEGIN; LOCK TABLE gate');
$run = sql("LOAD 'pgmaint'; SET pgmaint.max_wait = '2s'; SELECT pgmaint.run_action('backup', '$whole')");
waits_for('gate');
$full->query_until(qr/begun/, "\\echo begun\nVACUUM FULL pg_class;\n\\echo vacuumed\n");
$node->poll_query_until('postgres', q(SELECT count(*) > 0 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
	WHERE NOT l.granted AND l.mode = 'AccessExclusiveLock' AND l.relation = 'pg_class'::regclass AND d.datname = 'shop')) or die 'VACUUM FULL does not wait';
$session->query_until(qr/committed/, "COMMIT;\n\\echo committed\n");
($state, $error) = end_of_backup($node, $run);
like("$state $error", qr/^failed psql .*canceling statement due to lock timeout/, 'VACUUM FULL of pg_class: a backup gives up, instead of waiting for itself');
$full->query_safe('SELECT 1');
$full->quit;
shop('DROP TABLE more_than_a_pipe_holds');

#
# Backups and REPACK of pgmaint's own
#
sql('CREATE DATABASE other');
$node->safe_psql('other', q(CREATE FUNCTION hold_repack_lock() RETURNS void LANGUAGE c AS 'pgmaint_test_locks'));
my $other = $node->background_psql('other');
my $worker = sub { return "FROM pg_stat_activity WHERE pid = (SELECT pid FROM pgmaint.tasks WHERE run_id = $_[0])" };
my $waits = sub {
	my $run = sql("LOAD 'pgmaint'; SET pgmaint.lock_timeout = '10ms'; SELECT pgmaint.run_action('backup', '$whole')");
	$node->poll_query_until('postgres', "SELECT phase = 'waiting for a lock' FROM pgmaint.progress WHERE run_id = $run") or die 'the backup does not wait';
	return $run;
};

$other->query_safe('SELECT hold_repack_lock()');
$run = $waits->();
is(sql('SELECT query ' . $worker->($run)), 'backup: waiting for REPACK (CONCURRENTLY) in database other', 'a backup waits for REPACK, and says so');
is(sql('SELECT backend_xmin IS NULL AND backend_xid IS NULL ' . $worker->($run)), 't', '... without a snapshot');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND application_name = 'pgmaint'"), '0', '... and pg_dump has not begun');
sql("SELECT pgmaint.cancel($run)");
is(wait_for_end($node, $run), 'cancelled', '... until it is cancelled');
$run = $waits->();
$other->quit;
is(wait_for_end($node, $run), 'succeeded', '... or REPACK has ended') or diag run_error($node, $run);
is(attempts($run), 'succeeded', '... in one attempt');

my $held = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE l.objsubid = 9 AND l.mode = 'ShareLock' AND d.datname = 'shop'";
$session->query_safe('BEGIN; LOCK TABLE gate');
$run = begin_backup($node, $whole);
waits_for('gate');
is(sql($held), '1', 'a backup has a lock that names its database');
SKIP:
{
	skip 'REPACK (CONCURRENTLY) came with 19', 4 unless $repack;
	# whatever database it works in: the leader of this one is busy
	my $there = sub { return $node->safe_psql('other', $_[0]) };

	$there->("CREATE EXTENSION pgmaint; CREATE TABLE keyed (id int PRIMARY KEY, filler text); INSERT INTO keyed SELECT g, repeat('x', 500) FROM generate_series(1, 5000) g; DELETE FROM keyed WHERE id % 4 <> 0");
	$there->('VACUUM (TRUNCATE false, ANALYZE) keyed');
	my $concurrently = q('{"tables": "keyed", "min_gain": 0, "concurrently": true, "ignore_window": true}');
	my $vacuum = $there->("LOAD 'pgmaint'; SET pgmaint.lock_retries = 0; SELECT pgmaint.run_action('vacuum_full', $concurrently)");
	wait_for_end($node, $vacuum, 'other');
	is($there->("SELECT state || ': ' || error FROM pgmaint.tasks WHERE run_id = $vacuum"), 'skipped: a backup of database shop is running', 'REPACK is put off, and says why');
	sql('SELECT pg_terminate_backend(pid) ' . $worker->($run));
	$session->query_safe('COMMIT');
	wait_for_end($node, $run);
	is(locks(), '0', 'a worker that is terminated leaves no lock');
	$vacuum = $there->("SELECT pgmaint.run_action('vacuum_full', $concurrently)");
	is(wait_for_end($node, $vacuum, 'other'), 'succeeded', 'REPACK runs when the backup has ended') or diag run_error($node, $vacuum, 'other');
	like($there->("SELECT severity || ': ' || message FROM pgmaint.findings WHERE run_id = $vacuum AND check_id = 'repack'"),
		qr/^info: REPACK \(CONCURRENTLY\) public\.keyed ended at .*: a transaction with a snapshot from before its end, such as a pg_dump started without pgmaint, reads the table as empty/,
		'... a finding has the warning');
}
if (!$repack)
{
	sql("SELECT pg_terminate_backend(pid) " . $worker->($run));
	$session->query_safe('COMMIT');
	isnt(wait_for_end($node, $run), 'succeeded', 'a worker that is terminated');
}
no_processes_left($node, 'no process is left');
is(locks(), '0', '... and no lock');
$_->quit foreach $session, $reader;

#
# Rewrites in a loop, beside backups
#
my $folder = PostgreSQL::Test::Utils::tempdir();
my ($backups, $failed, $missing, $began) = (0, 0, 0, time);

# as often as backups take, however fast this machine is
is(join(' ', end_of_backup($node, begin_backup($node, $whole))), 'succeeded  ' . last_run($node), 'a backup by itself');
my $pause = sprintf 'SELECT pg_sleep(%.3f * random())', 3 * (time - $began);
my @loops = ([ "BEGIN; TRUNCATE t; $fill; COMMIT", $pause, 'ALTER TABLE t ALTER id TYPE bigint', $pause, 'ALTER TABLE t ALTER id TYPE int', $pause ]);
push @loops, [ 'REPACK (CONCURRENTLY) k', $pause ] if $repack;

for my $loop (@loops)
{
	my $script = "$folder/$backups.sql";
	my $stop = "$folder/$backups.stop";

	append_to_file($script, join '', map { "$_;\n" } @$loop);
	my $busy = IPC::Run::start([ 'sh', '-c', "while ! test -e '$stop'; do psql -XqAt -v ON_ERROR_STOP=1 -d '@{[ $node->connstr('shop') ]}' -f '$script' >> '$folder/out' 2>&1 || exit 1; done" ]);
	for (1 .. $interleavings / @loops)
	{
		my ($state, $error, $run) = end_of_backup($node, begin_backup($node, $whole));

		$backups++;
		if ($state eq 'succeeded')
		{
			$missing += rows_of_run($run, $_) != $rows foreach 't', 'k';
			next;
		}
		$failed++;
		like($error, qr/^table public\.[kt] was rewritten/, 'a backup that fails says why');
	}
	append_to_file($stop, '');
	ok(IPC::Run::finish($busy), 'the table was rewritten the whole time') or diag slurp_file("$folder/out");
}
is($missing, 0, "no backup that succeeded has rows missing");
cmp_ok($failed, '<', $backups, '... and some succeeded');
note sprintf '%d backups in %.0f s: %d failed, %s attempts were repeated', $backups, time - $began, $failed,
  sql(q(SELECT count(*) FROM pgmaint.backups WHERE state = 'failed' AND error ~ '^table public.[kt] was rewritten'));

no_processes_left($node, 'no process is left');
$node->stop;

done_testing();
