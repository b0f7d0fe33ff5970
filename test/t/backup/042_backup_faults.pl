# Whatever goes wrong while a backup is made, it is failed in words that say why,
# and nothing is left of it: no object, no upload, no process.  What passes does
# not keep it from being made.
#
# Objects go to a folder, and, where there is one, to a real S3 server, through a
# proxy that breaks what a test wants broken.
#
# long: one server is enough
# slow: begins first

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use FindBin;
use lib "$FindBin::RealBin/..";

use FaultProxy;
use PgmaintBackups;
use PgmaintS3;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $missing = PgmaintS3::missing();
my ($s3, $proxy, $metadata);

delete $ENV{$_} foreach grep { /^AWS_/ } keys %ENV;
$ENV{HOME} = PostgreSQL::Test::Utils::tempdir();
if (!$missing)
{
	$s3 = PgmaintS3->start(sts => 1);
	$proxy = FaultProxy->start(upstream => $s3->address);
	$metadata = FaultProxy->start;
	$ENV{AWS_EC2_METADATA_SERVICE_ENDPOINT} = $metadata->endpoint;
	$s3->create_bucket('bucket');
}

# the programs log in by a password, which must not be visible
my $folder = PostgreSQL::Test::Utils::tempdir();
my $password = 'keeper-secret-word';
my $passwords = "$folder/pgpass";
append_to_file($passwords, "*:*:*:keeper:$password\n");
chmod 0600, $passwords;

my $node = start_server('faults', 'log_statement = all', 'fsync = off', "pgmaint.max_wait = '2s'",
	"pgmaint.connection = 'user=keeper passfile=$passwords'");
my @storages = ('pgmaint_local');

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub begin_run
{
	return begin_backup($node, @_);
}

sub backup
{
	return end_of_backup($node, begin_run(@_));
}

# every finding of a run
sub told
{
	my ($run) = @_;
	return sql("SELECT string_agg(severity || ': ' || message, E'\\n' ORDER BY finding_id) FROM pgmaint.findings WHERE run_id = $run");
}

sub nothing_left
{
	my ($name, $storage) = @_;

	is(scalar programs_of($node), 0, "$name: no program is left");
	is(strangers($node, $storage), '', '... no object');
	is(scalar $s3->uploads('bucket'), 0, '... and no upload') if $storage ne 'pgmaint_local';
}

if ($s3)
{
	push @storages, 'remote';
	sql($s3->through($proxy)->storage('remote', 'bucket', part_size => '5MB', parallel => 2, retries => 1));
}
sql("CREATE ROLE keeper LOGIN SUPERUSER PASSWORD '$password'; CREATE DATABASE empty; CREATE DATABASE big");
append_to_file($node->data_dir . '/new_hba', "local all keeper scram-sha-256\n" . slurp_file($node->data_dir . '/pg_hba.conf'));
rename $node->data_dir . '/new_hba', $node->data_dir . '/pg_hba.conf' or die;
$node->reload;

#
# In the middle of it: the program is stopped once it has written so much
#
$node->safe_psql('big', q{
	CREATE SCHEMA a; CREATE SCHEMA b;
	CREATE TABLE b.t AS SELECT 3 AS i;
	CREATE TABLE a.big (t text);
	ALTER TABLE a.big ALTER t SET STORAGE PLAIN;
	INSERT INTO a.big SELECT (SELECT string_agg(md5(g::text || h), '') FROM generate_series(1, 60) h) FROM generate_series(1, 25000) g;
	SELECT lo_from_bytea(0, (SELECT convert_to(string_agg(md5(g::text), ''), 'UTF8') FROM generate_series(1, 200000) g))});

# Begins a run and stops its pg_dump when it has written a.big: it cannot go on
# to the large object, which is locked until then.
sub begin_and_hold
{
	my ($options) = @_;
	my $session = $node->background_psql('big');

	$session->query_safe('BEGIN; LOCK TABLE pg_catalog.pg_largeobject');
	my $run = begin_run($options);
	$node->poll_query_until('big', q(SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'pg_largeobject'::regclass
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))) or die 'pg_dump does not come to the large object';
	my @dumps = grep { (eval { slurp_file("/proc/$_/comm") } || '') =~ /^pg_dump$/ } programs_of($node);
	is(scalar @dumps, 1, 'pg_dump is held');
	kill 'STOP', @dumps;
	$session->quit;
	return ($run, $dumps[0], sql("SELECT pid FROM pgmaint.progress WHERE run_id = $run"));
}

sub gone
{
	my ($name, $pid) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	sleep 0.02 while kill(0, $pid) && time < $deadline;
	is(kill(0, $pid), 0, "$name: pg_dump is gone");
}

sub next_run_cleans
{
	my ($name, $storage) = @_;
	my ($state, $error) = backup(qq({"databases": "empty", "globals": false, "storage": "$storage"}));

	is("$state $error", 'succeeded ', "$name: the next run succeeds");
	nothing_left($name, $storage);
}

foreach my $storage (@storages)
{
	my $options = qq({"databases": "big", "globals": false, "retries": 0, "storage": "$storage"});
	my ($state, $error, $run) = backup($options);
	is("$state $error", 'succeeded ', "$storage: a larger one");

	my $mark = "$folder/mark";
	unlink $mark;
	append_to_file($mark, '');
	($run, my ($pid, $worker)) = begin_and_hold($options);
	ok($node->poll_query_until('postgres', "SELECT percent_done BETWEEN 20 AND 99 FROM pgmaint.progress WHERE run_id = $run"), '... tells how far it is');
	my @large = grep { !m{/(base|pg_wal|log|pg_xact)/} && ($storage ne 'pgmaint_local' || !m{/pgmaint/}) }
	  split /\n/, `find '@{[ $node->data_dir ]}' '$folder' -user \$(id -un) -newer '$mark' -type f -size +1M 2>/dev/null`;
	is(join(' ', grep { m{pgsql_tmp|pgmaint|dump|\Q$folder\E} } @large), '', '... keeps no file of what passes');
	my $open = join ' ', grep { !m{/base/|/pg_wal/|/pgmaint/} && -f && -s _ > 1024 * 1024 } map { readlink } glob "/proc/{$worker,$pid}/fd/*";
	is($open =~ s{\S*/log/\S*|\S+\.log|\S+\.so\S*}{}gr =~ s/^ +$//r, '', '... has none open');
	my $said = join ' ', map { slurp_file("/proc/$_/cmdline") } $worker, $pid;
	like($said, qr/--format=custom/, '... starts pg_dump');
	$said .= sql('SELECT string_agg(query, E\'\\n\') FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
	is(scalar(grep { index($said, $_) >= 0 } $password, $s3 ? $s3->secret_key : ()), 0, '... with no secret in sight');
	kill 'KILL', $pid;
	is(wait_for_end($node, $run), 'failed', '... and fails when pg_dump is killed');
	is(sql("SELECT error FROM pgmaint.backups WHERE run_id = $run"), 'pg_dump was terminated by signal 9', '... which it says');
	nothing_left("$storage: pg_dump killed", $storage);

	foreach my $way ('pgmaint.cancel(RUN)', 'pg_cancel_backend(PID)', 'pg_terminate_backend(PID)')
	{
		($run, $pid, $worker) = begin_and_hold($options);
		my $start = time;
		sql('SELECT ' . ($way =~ s/RUN/$run/r =~ s/PID/$worker/r));
		my $state = wait_for_end($node, $run);
		isnt($state, 'succeeded', "$storage: $way: $state");
		is(sql("SELECT string_agg(state, ' ') FROM pgmaint.tasks WHERE run_id = $run"), 'cancelled', '... the task is cancelled') if $way !~ /terminate/;
		cmp_ok(time - $start, '<', 120, '... soon');
		gone($way, $pid);
		next_run_cleans($way, $storage) if $way =~ /terminate/;
		nothing_left($way, $storage);
	}

	($run, $pid, $worker) = begin_and_hold($options);
	my $offset = -s $node->logfile;
	kill 'KILL', $worker;
	wait_for_restart($node, $offset);
	gone("$storage: the worker killed", $pid);
	is(sql("SELECT count(*) FROM pgmaint.backups WHERE run_id = $run AND state = 'succeeded'"), '0', '... is no backup');
	next_run_cleans('the worker killed', $storage);

	($run, $pid, $worker) = begin_and_hold($options);
	$node->stop('immediate');
	gone("$storage: a crash of the server", $pid);
	$node->start;
	is(sql("SELECT count(*) FROM pgmaint.backups WHERE run_id = $run AND state = 'succeeded'"), '0', '... is no backup');
	next_run_cleans('a crash', $storage);
}

#
# Faults that last, and faults that pass
#
my ($state, $error, $run);

sub fails
{
	my ($name, $expected, $options, $storage) = @_;
	my ($state, $error, $run) = backup($options);

	like("$state $error", qr/^failed $expected/s, "$name: the run fails, in words that say why");
	is(sql("SELECT string_agg(DISTINCT state, ' ') FROM pgmaint.backups WHERE run_id = $run"), 'failed', '... and so does the backup');
	nothing_left($name, $storage);
	return $run;
}
my $session = $node->background_psql('big');
$session->query_safe('BEGIN; LOCK TABLE b.t');
fails('a table that is locked for long', qr/pg_dump exited with code 1: pg_dump: error: .*(lock|statement) timeout.*LOCK TABLE b.t/s, '{"databases": "big", "tables": ["b.t"], "globals": false, "retries": 0}', 'pgmaint_local');
$run = begin_run('{"databases": "big", "tables": ["b.*"], "globals": false, "retries": 3, "retry_delay": "1 s"}');
$node->poll_query_until('big', q(SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'b.t'::regclass)) or die 'nobody waits';
$session->query_safe('CREATE TABLE b.u AS SELECT 1; DROP TABLE b.t; COMMIT');
$session->quit;
is(wait_for_end($node, $run), 'succeeded', 'a table that is dropped meanwhile is not missed for long');
cmp_ok(sql("SELECT attempt FROM pgmaint.tasks WHERE run_id = $run"), '>', 1, '... by another attempt');
nothing_left('a table that is dropped', 'pgmaint_local');

SKIP:
{
	skip $missing, 1 if $missing;
	my $remote = '{"databases": "big", "globals": false, "storage": "remote", "retries": 0}';

	$proxy->down;
	$run = begin_run($remote =~ s/"retries": 0/"retries": 5, "retry_delay": "1 s"/r);
	$node->poll_query_until('postgres', "SELECT count(*) > 1 FROM pgmaint.backups WHERE run_id = $run AND state = 'failed'") or die 'no second attempt';
	$proxy->up;
	is(wait_for_end($node, $run), 'succeeded', 'a storage that is down for a while');
	is(told($run), '', '... is no finding');
	like(sql("SELECT error FROM pgmaint.backups WHERE run_id = $run AND state = 'failed' LIMIT 1"), qr/storage "remote".*could not connect|Connection refused|connect/s, '... each attempt says why it failed');
	nothing_left('a storage that was down', 'remote');

	foreach my $fault (
		[ 'the first request', qr/storage "remote"/, method => 'POST', query => qr/^uploads/ ],
		[ 'a part', qr/storage "remote"/, method => 'PUT', query => qr/partNumber=3/ ],
		[ 'the completion', qr/storage "remote"/, method => 'POST', query => qr/^uploadId/ ],
		[ 'the manifest', qr/storage "remote"/, method => 'PUT', path => qr/\.json/ ])
	{
		my ($what, $words, @which) = @$fault;

		$proxy->fault(@which, kind => 'status', status => 500, code => 'InternalError', times => 0);
		$run = fails("$what fails for ever", $words, $remote, 'remote');
		$proxy->clear;
	}
	like(told($run), qr/^critical: /, 'again and again is critical');
	$proxy->forget;
	$proxy->fault(method => 'POST', query => qr/^uploadId/, kind => 'reset', when => 'after');
	($state, $error) = backup($remote);
	is("$state $error", 'succeeded ', 'a completion whose answer is lost');
	is(scalar $proxy->faults, 1, '... was so');
	nothing_left('a lost completion', 'remote');

	# keys are changed while the first parts are held, until it is time to renew them
	my @keys = map { $s3->assume_role(3600) } 1, 2;
	my @secrets = map { @$_{qw(secret_key session_token)} } @keys;
	my ($given, $said) = (time, 16);
	my $signed_with = sub {
		my ($keys) = @_;
		return grep { $_->{method} eq 'PUT' && $_->{path} !~ m{/[.]pgmaint/} && ($_->{headers}{authorization} // '') =~ m{Credential=\Q$keys->{access_key}\E/} } $proxy->requests;
	};
	sql("CREATE SERVER renewed FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bucket/renewed', endpoint '@{[ $proxy->endpoint ]}', region 'us-east-1', part_size '5MB', parallel '1', stall_timeout '300s')");
	$proxy->clear;
	$proxy->forget;
	$proxy->fault(kind => 'hold', method => 'PUT', query => qr/partNumber/, times => 0);
	PgmaintS3::hand_out($metadata, $keys[0], $said);
	$run = begin_run($remote =~ s/remote/renewed/r);
	$proxy->wait_for_faults(2) or die 'no parts are sent';
	my $due = (time + $given + $said) / 2;
	PgmaintS3::hand_out($metadata, $keys[1], 3600);
	sleep 0.1 while time <= $due;
	$proxy->clear;
	$proxy->release;
	is(wait_for_end($node, $run), 'succeeded', 'keys that expire half-way') or diag sql("SELECT error FROM pgmaint.tasks WHERE run_id = $run");
	is(scalar $signed_with->($keys[0]), 2, '... sign the first parts');
	cmp_ok(scalar $signed_with->($keys[1]), '>', 1, '... and their successors what follows');
	my ($key, $sha256) = split /\|/, sql("SELECT key, sha256 FROM pgmaint.backups WHERE run_id = $run");
	is(sha256_hex($s3->get('bucket', "renewed/$key")), $sha256, '... and the object is whole');
	my $tables = sql(q(SELECT string_agg(x.content, '') FROM (SELECT query_to_xml('SELECT * FROM ' || c.oid::regclass, true, false, '')::text AS content
		FROM pg_class c WHERE relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND relkind = 'r') x));
	is(scalar(grep { index($tables, $_) >= 0 } @secrets, $password, $s3->secret_key), 0, 'no secret is in a table');
	my $log = join "\n", grep { !/statement: / } split /\n/, slurp_file($node->logfile);
	is(scalar(grep { index($log, $_) >= 0 } @secrets, $password, $s3->secret_key), 0, '... nor in the log');
}

no_processes_left($node, 'no process is left');
done_testing();
