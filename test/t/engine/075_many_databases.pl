# Many databases and few worker slots: all runs are carried out, one database
# after the other, and no process waits meanwhile.  Within a database, what was
# asked for twice is done once, and roles take turns.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use IPC::Run;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('many', 'max_worker_processes = 4', 'pgmaint.max_workers = 1');

sub sql
{
	my ($sql, $database) = @_;
	return $node->safe_psql($database || 'postgres', $sql);
}

# The databases that have a marker.
sub marked
{
	my $folder = $node->data_dir . '/pgmaint_waiting';
	my @oids = -d $folder ? map { /^(\d+)\.\d+$/ ? $1 : () } slurp_dir($folder) : ();

	return join ' ', sort map { sql("SELECT coalesce((SELECT datname FROM pg_database WHERE oid = $_), 'none')") } @oids;
}

# Have a run in this database that takes as long as the test wants.
sub begin_slow_run
{
	my ($database) = @_;
	my $options = slow_vacuum('slow');
	my $run = sql("SELECT pgmaint.run_action('vacuum', $options)", $database);

	wait_for_slow_vacuum($node, 'public.slow', $database);
	return $run;
}

my $small = q(pgmaint.run_action('analyze', '{"tables": "small"}'));

# twelve databases, each with a table whose ANALYZE takes a while
my @databases = map { sprintf 'd%02d', $_ } 1 .. 12;
sql('CREATE DATABASE original');
sql(q(CREATE EXTENSION pgmaint; CREATE TABLE small AS SELECT 1 AS id;
	CREATE FUNCTION doze(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN id; END';
	CREATE TABLE dozing AS SELECT 1 AS id; CREATE INDEX ON dozing (doze(id));
	CREATE OR REPLACE FUNCTION doze(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep(0.3); RETURN id; END'),
	'original');
create_slow_table($node, 'slow', 'original');
sql("CREATE DATABASE $_ TEMPLATE original") foreach @databases;

# at the same time
{
	my @calls = map {
		my ($out, $err) = ('', '');
		my $call = IPC::Run::start(
			[ 'psql', '-XAtq', '-d', $node->connstr($_), '-c', q(SELECT pgmaint.run_action('analyze', '{"tables": "dozing"}')) ],
			'>', \$out, '2>', \$err);
		[ $call, \$err ];
	} @databases;
	ok((!grep { !$_->[0]->finish } @calls), 'twelve databases: all calls succeed') or diag map { ${ $_->[1] } } @calls;

	my @spans = map {
		is(wait_for_end($node, 1, $_), 'succeeded', "twelve databases: $_");
		[ split /\|/, sql('SELECT extract(epoch FROM started_at), extract(epoch FROM finished_at) FROM pgmaint.runs', $_) ];
	} @databases;
	my $idle = 0;
	my $busy_until;
	foreach my $span (sort { $a->[0] <=> $b->[0] } @spans)
	{
		$idle = $span->[0] - $busy_until if defined $busy_until && $span->[0] - $busy_until > $idle;
		$busy_until = $span->[1] if !defined $busy_until || $span->[1] > $busy_until;
	}
	cmp_ok($idle, '<', 60, 'twelve databases: when there is room, the next begins within a minute');
	no_processes_left($node, 'twelve databases: no process is left');
	is(marked(), '', 'twelve databases: no marker is left');
}

# databases that cannot be begun do not hold up those behind them
{
	my $slow = begin_slow_run('d01');
	my $oid = sql("SELECT oid FROM pg_database WHERE datname = 'd02'");
	foreach my $database (qw(d02 d03 d04 d05))
	{
		my (undef, undef, $stderr) = $node->psql($database, "SELECT $small");
		is($stderr, '', "$database waits: no warning");
	}
	is(marked(), 'd02 d03 d04 d05', 'databases that wait: markers');
	is(sql("SELECT string_agg(datname, ' ') FROM pg_stat_activity WHERE backend_type LIKE 'pgmaint%'"),
		'd01 d01', 'databases that wait: no processes');
	sql('DROP DATABASE d02');
	sql('ALTER DATABASE d03 ALLOW_CONNECTIONS false');
	sql('DROP EXTENSION pgmaint', 'd04');
	sql("SELECT pgmaint.cancel($slow)", 'd01');
	is(wait_for_end($node, 2, 'd05'), 'succeeded', 'dropped, closed, without the extension: passed over');
	no_processes_left($node, '... no process is left');
	is(marked(), '', '... no marker is left');
	sql('ALTER DATABASE d03 ALLOW_CONNECTIONS true');
	is(run_state($node, 2, 'd03'), 'queued', 'a closed database: its run is queued still');
	is(sql('SELECT pgmaint.tick()', 'd03'), 't', 'a closed database is open again: tick');
	is(wait_for_end($node, 2, 'd03'), 'succeeded', 'a closed database is open again: its run');

	# a folder that has something else in it
	my $folder = $node->data_dir . '/pgmaint_waiting';
	append_to_file("$folder/$_", '') foreach ('README', '007.1', '1.2.3', '99999999999.1');
	symlink('../postgresql.conf', "$folder/17.4711") or die;
	sql("SELECT $small", 'd05');
	is(wait_for_end($node, 3, 'd05'), 'succeeded', 'a folder with other files');
	no_processes_left($node, '... no process is left');
	ok(-e "$folder/README" && -e "$folder/007.1" && -l "$folder/17.4711", '... which are left alone');
	unlink map { "$folder/$_" } ('README', '007.1', '1.2.3', '99999999999.1', '17.4711');
	is((stat $folder)[2] & 07077, 0, 'the folder is for the server alone');
}

# a leader that is told to end passes on what it had
{
	my $slow = begin_slow_run('d01');
	sql("SELECT $small", $_) foreach qw(d06 d07);
	sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pgmaint leader'));
	is(wait_for_end($node, $slow, 'd01'), 'interrupted', 'a leader that is terminated: its run');
	is(wait_for_end($node, 2, $_), 'succeeded', "a leader that is terminated: $_") foreach qw(d06 d07);

	# and one whose database goes
	begin_slow_run('d01');
	sql("SELECT $small", 'd06');
	sql('DROP DATABASE d01 WITH (FORCE)');
	is(wait_for_end($node, 3, 'd06'), 'succeeded', 'a database that is dropped with its leader');

	# and one whose extension goes
	begin_slow_run('d12');
	sql("SELECT $small", 'd06');
	sql('DROP EXTENSION pgmaint', 'd12');
	is(wait_for_end($node, 4, 'd06'), 'succeeded', 'an extension that is dropped under its leader');
	no_processes_left($node, '... no process is left');
}

# all leaders are gone after a crash: tick in one database starts the others'
{
	my $slow = begin_slow_run('d11');
	sql("SELECT $small", $_) foreach qw(d08 d09);
	my $offset = -s $node->logfile;
	kill 'KILL', sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgmaint leader'));
	wait_for_restart($node, $offset);
	is(run_state($node, 2, $_), 'queued', "a crash: $_ waits") foreach qw(d08 d09);
	is(sql('SELECT pgmaint.tick()', 'd10'), 'f', 'a crash: tick in a database that has nothing to do');
	is(wait_for_end($node, 2, $_), 'succeeded', "a crash: $_ goes on") foreach qw(d08 d09);
	no_processes_left($node, 'a crash: no process is left');
	sql('SELECT pgmaint.tick()', 'd11');
	is(wait_for_end($node, $slow, 'd11'), 'interrupted', 'a crash: the run that was going on');
	no_processes_left($node, 'a crash: no process is left at last');
}

# what was asked for twice and has not begun is one run
sql(q(CREATE ROLE a LOGIN; CREATE ROLE b LOGIN));
sql(q(GRANT USAGE ON SCHEMA pgmaint TO a, b; GRANT EXECUTE ON FUNCTION pgmaint.run_action TO a, b; ALTER TABLE small OWNER TO a;
	CREATE TABLE of_b AS SELECT 1 AS id; ALTER TABLE of_b OWNER TO b; CREATE SCHEMA fresh), 'd10');
{
	my $slow = begin_slow_run('d10');
	my $all = q(pgmaint.run_action('analyze', '{"schemas": "fresh", "scope": "all"}'));
	my $run = sql("SELECT $all", 'd10');
	my $next = $run + 1;

	is(sql("SELECT $all", 'd10'), $run, 'asked for twice: one run');
	is(sql("SELECT $small", 'd10'), $next++, 'with other options: another run');
	is(sql("SET pgmaint.max_workers = 7; SELECT $all", 'd10'), $next++, 'with other settings: another run');
	is(sql("SET ROLE a; SELECT $small", 'd10'), $next++, 'as another role: another run');
	is(sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT $all; ROLLBACK", 'd10'), $next++, 'with a snapshot that lasts: another run');
	is(sql("SELECT pgmaint.run_action('analyze')", 'd10'), $next++, 'without options: another run');
	is(sql("SELECT pgmaint.run_action('analyze')", 'd10'), $next - 1, 'without options twice: one run');
	is(sql("SELECT pgmaint.cancel($run)", 'd10'), 't', 'the first is cancelled');
	is(wait_for_end($node, $run, 'd10'), 'cancelled', '... which it was at once');
	is(sql("SELECT $all", 'd10'), $next, 'a run that was cancelled: another run');

	# neither is the run begun before this transaction ends, nor is it waited for
	my $session = $node->background_psql('d10');
	$session->query_safe('BEGIN; CREATE TABLE fresh.seen AS SELECT 1 AS id');
	is($session->query_safe("SELECT $all"), $next, 'asked for again in a transaction: one run');
	my $later = sql(q(SELECT pgmaint.run_action('bloat_report', '{"tables": "small"}')), 'd10');
	sql("SELECT pgmaint.cancel($slow)", 'd10');
	is(wait_for_end($node, $later, 'd10'), 'succeeded', 'a run whose caller has not decided: passed over');
	no_processes_left($node, '... and no leader waits for it');
	is(run_state($node, $next, 'd10'), 'queued', '... it is queued');
	$session->query_safe('COMMIT');
	is(wait_for_end($node, $next, 'd10'), 'succeeded', '... and begins with the commit');
	is(tasks($node, $next, 'd10'), 'fresh.seen succeeded', '... whose changes it sees');

	# the same, rolled back: the run was asked for before
	$slow = begin_slow_run('d10');
	$run = sql("SELECT $all", 'd10');
	$session->query_safe('BEGIN');
	is($session->query_safe("SELECT $all"), $run, 'rolled back: one run');
	sql("SELECT pgmaint.cancel($slow)", 'd10');
	no_processes_left($node, 'rolled back: no leader waits for it');
	is(run_state($node, $run, 'd10'), 'queued', 'rolled back: it is queued');
	$session->query_safe('ROLLBACK');
	is(wait_for_end($node, $run, 'd10'), 'succeeded', 'rolled back: it begins all the same');
	$session->quit;
}

# one role's many runs do not hold back another's
{
	my $slow = begin_slow_run('d10');
	sql(q(SET ROLE a; SELECT count(pgmaint.run_action('analyze', jsonb_build_object('tables', 'small',
		'settings', jsonb_build_object('work_mem', 1000 + n || ' kB')))) FROM generate_series(1, 300) n), 'd10');
	my $of_b = sql(q(SET ROLE b; SELECT pgmaint.run_action('vacuum', '{"tables": "of_b"}')), 'd10');
	is(sql(q(SELECT count(*) FROM pgmaint.runs WHERE state = 'queued' AND requested_by = 'a'), 'd10'), '300', '300 runs of one role');
	sql("SELECT pgmaint.cancel($slow)", 'd10');
	is(wait_for_end($node, $of_b, 'd10'), 'succeeded', "300 runs of one role: another's");
	cmp_ok(
		sql("SELECT count(*) FROM pgmaint.runs a, pgmaint.runs b WHERE b.run_id = $of_b AND a.requested_by = 'a'
			AND a.requested_at > (SELECT started_at FROM pgmaint.runs WHERE run_id = $slow) AND a.started_at < b.started_at", 'd10'),
		'<=', 1, '... begins after at most one of them');
	sql(q(SELECT count(pgmaint.cancel(run_id)) FROM pgmaint.runs WHERE state IN ('queued', 'running')), 'd10');
	$node->poll_query_until('d10', q(SELECT count(*) = 0 FROM pgmaint.runs WHERE state IN ('queued', 'running')));
	is(sql(q(SELECT count(*) FROM pgmaint.runs WHERE state NOT IN ('succeeded', 'cancelled')), 'd10'), '0', '... and the rest can be cancelled');
}

no_processes_left($node, 'no process is left');
is(marked(), '', 'no marker is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal (?!9)/, 'nothing has crashed');

done_testing();
