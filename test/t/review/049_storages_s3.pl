# The action validate on a real S3 server: storage classes that cannot be read,
# bytes that change on the way, a server that does not answer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use FaultProxy;
use PgmaintS3;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => PgmaintS3::missing() if PgmaintS3::missing();

my $s3 = PgmaintS3->start;
my $proxy = FaultProxy->start(upstream => $s3->address);
my $node = start_server('storages_s3', q(timezone = 'UTC'));

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# Runs the action on archives that were all read a month ago; returns the run.
sub validate
{
	my ($expected) = @_;

	sql(q(UPDATE pgmaint.archives SET checked_at = clock_timestamp() - interval '30 days';
		UPDATE pgmaint.storage_checks SET archives_read_at = clock_timestamp() - interval '200 days'));
	my $run = sql(q(SELECT pgmaint.run_action('validate')));
	is(wait_for_end($node, $run), $expected || 'succeeded', 'validate ends') or diag run_error($node, $run);
	return $run;
}

sub findings
{
	my ($run) = @_;
	return sql("SELECT string_agg(concat(check_id, ' ', severity, ' ', object, ': ', message), E'\\n' ORDER BY finding_id) FROM pgmaint.findings
		WHERE run_id = $run AND check_id IN ('storage', 'archive', 'unknown_objects', 'failed', 'skipped')");
}

sub status
{
	return sql(q(SELECT status || ' ' || detail FROM pgmaint.validate() WHERE check_id = 'storage'));
}

$s3->create_bucket('bucket');
sql($s3->through($proxy)->storage('far', 'bucket', prefix => 'here/', retries => 1, connect_timeout => '2s'));
sql(<<'EOS');
CREATE TABLE events (id int, at timestamptz, what text);
INSERT INTO events SELECT g, now() - interval '100 days' - g * interval '1 day', md5(g::text) FROM generate_series(1, 3000) g;
SELECT pgmaint.add_retention('events', 'at', '90 days', slice => '1000 days', storage => 'far');
EOS
is(wait_for_end($node, sql(q(SELECT pgmaint.run_action('retention')))), 'succeeded', 'retention');
my @keys = split /\n/, sql('SELECT key FROM pgmaint.archives ORDER BY archive_id');
validate();
my $run = validate();
is(findings($run), '', 'all is there');
is(sql("SELECT t.result ->> 'archives_read' FROM pgmaint.tasks t WHERE t.run_id = $run AND t.target = 'storage far'"), scalar @keys, '... and was read');

# An object that was moved to another storage class is not damaged.
$proxy->fault(kind => 'status', method => 'GET', path => quotemeta($keys[0]), status => 403, code => 'InvalidObjectState',
	message => q(The operation is not valid for the object's storage class), times => 0);
$run = validate();
like(findings($run), qr/\Aarchive info far\/\Q$keys[0]\E: archive 1, object \Q$keys[0]\E in storage far, could not be read and was not checked: .*the storage class of the object does not allow reading[^\n]*\z/, 'a storage class that cannot be read');
is(sql('SELECT check_result, verified_at IS NOT NULL FROM pgmaint.archives WHERE archive_id = 1'), 'not readable|t', '... is noted');
is(sql("SELECT t.result ->> 'archives_read' FROM pgmaint.tasks t WHERE t.run_id = $run AND t.target = 'storage far'"), @keys - 1, '... and the others were read');
like(status(), qr/^ok /, '... and all is in order');
$run = validate();
is(findings($run), '', '... which is told once');
$proxy->clear;

# Bytes that are others, and an object that is gone.
$proxy->fault(kind => 'corrupt', method => 'GET', path => quotemeta($keys[1]), times => 0);
$run = validate();
like(findings($run), qr/\Aarchive critical far\/\Q$keys[1]\E: archive 2 of public\.events is damaged: object \Q$keys[1]\E in storage far: [^\n]*\z/, 'a damaged archive');
$proxy->clear;
$run = validate();
is(findings($run), '', 'it was read again, and is whole');
is(sql('SELECT string_agg(DISTINCT check_result, $$,$$) FROM pgmaint.archives'), 'whole', '... and what could not be read, too');
$s3->remove('bucket', "here/$keys[2]");
$run = validate();
like(findings($run), qr/\Astorage critical far: of \d+ objects of the ledger in storage far, 1 is missing: archive 3 \(\Q$keys[2]\E\)\z/, 'a missing object');
like(status(), qr/^critical .*1 object is missing: archive 3 \(\Q$keys[2]\E\)$/, '... validate() names it');

# A server that does not answer: what was found stays.
$proxy->down;
$run = validate('failed');
like(findings($run), qr/^failed warning storage far: compare storage far with the ledger failed: storage "far": could not list/, 'a storage that is down');
like(status(), qr/^critical .*1 object is missing: .*; the last comparison failed: storage "far": could not list/, '... what was found stays, with the reason');
$proxy->up;
# it fails in the middle of the archives
$proxy->fault(kind => 'reset', method => 'GET', path => quotemeta($keys[1]), times => 0);
$run = validate('failed');
like(findings($run), qr/^storage critical far: .*\nfailed warning storage far: compare storage far with the ledger failed: archive 2 could not be read: storage "far": could not read object/, 'one that fails while archives are read');
is(sql(q(SELECT count(*) FROM pgmaint.archives WHERE check_result = 'damaged')), 0, '... which says nothing about the archive');
is(sql(q(SELECT archives_read_at < clock_timestamp() - interval '100 days' FROM pgmaint.storage_checks)), 't', '... and is made up for');

# A storage that refuses the first request has nothing that a later run could
# remove; one that may have taken it is looked at again.
sub uploads { return sql("SELECT count(*) FROM pgmaint_internal.uploads WHERE storage = 'tried'") }
sub backup_to
{
	my ($storage) = @_;
	my $backup = sql(qq(SELECT pgmaint.run_action('backup', '{"storage": "$storage", "databases": "postgres", "globals": false, "retries": 0}')));
	my $state = wait_for_end($node, $backup);

	return join ' ', $state, sql("SELECT string_agg(command || ' ' || state, ', ' ORDER BY task_id) FROM pgmaint.tasks
		WHERE run_id = $backup AND (command LIKE 'remove%' OR state <> 'succeeded')");
}
my $tried = $s3->through($proxy);
$tried->{secret_key} = 'wrong';
sql($tried->storage('tried', 'bucket', prefix => 'tried/', retries => 0));
like(backup_to('tried'), qr/^failed pg_dump .*> tried\/\S+ failed$/, 'a backup with a wrong key');
is(uploads(), 0, '... has begun nothing');
is(backup_to('pgmaint_local'), 'succeeded ', '... and the next backup does not fail by it');
sql("INSERT INTO events VALUES (0, now() - interval '200 days', 'late');
	UPDATE pgmaint.retention_policies SET storage = 'tried'");
is(wait_for_end($node, sql(q(SELECT pgmaint.run_action('retention')))), 'failed', 'an archive with a wrong key');
is(uploads(), 0, '... has begun nothing');
is(sql('SELECT count(*) FROM events WHERE id = 0'), 1, '... and its row is there');
sql("DELETE FROM events WHERE id = 0; UPDATE pgmaint.retention_policies SET storage = 'far';
	ALTER USER MAPPING FOR CURRENT_USER SERVER tried OPTIONS (SET secret_access_key '" . $s3->secret_key . "')");
# the key may read and list, not write
$proxy->fault(kind => 'status', method => 'PUT|POST', path => 'tried/(?!\.pgmaint)', status => 403, code => 'AccessDenied', times => 0);
like(backup_to('tried'), qr/^failed pg_dump .*> tried\/\S+ failed$/, 'a backup with a key that may not write');
is(uploads(), 0, '... has begun nothing');
$proxy->clear;
# lost answers, and refusals that a proxy may have made up
foreach my $case (
	[ 'the answer is lost' => (kind => 'reset', when => 'after') ],
	[ 'the request is lost' => (kind => 'reset', when => 'before') ],
	[ 'a page refuses it' => (kind => 'status', status => 403, headers => { 'Content-Type' => 'text/html' }, body => '<html/>') ],
	[ 'the server fails' => (kind => 'status', status => 503, code => 'SlowDown') ])
{
	my ($name, @fault) = @$case;

	sql("DELETE FROM pgmaint_internal.uploads WHERE storage = 'tried'");
	# it can be looked for as little as it could be written
	$proxy->fault(@fault, method => 'PUT|POST', path => 'tried/(?!\.pgmaint)', times => 0);
	$proxy->fault(kind => 'status', method => 'GET', query => 'uploads', status => 403, code => 'AccessDenied', times => 0);
	like(backup_to('tried'), qr/^failed pg_dump .*> tried\/\S+ failed$/, "$name: the backup failed");
	is(uploads(), 1, '... and what may be left stays noted');
	$proxy->clear;
}
like(backup_to('pgmaint_local'), qr/^succeeded remove leftover tried\/[^,]* succeeded$/, '... until it was looked for');

# A storage that is renamed in the middle of a run: what has begun goes on with
# the same storage, what comes later fails.
sql(q(LOAD 'pgmaint'; ALTER SYSTEM SET pgmaint.max_workers = 1));
$node->reload;
sql(q(INSERT INTO events SELECT g, now() - interval '100 days' - g * interval '1 day', 'again' FROM generate_series(1, 3000) g));
my $faults = () = $proxy->faults;
$proxy->fault(kind => 'hold', method => 'PUT|POST', path => 'here/(?!\.pgmaint)');
$run = sql(q(SELECT pgmaint.run_action('retention')));
$node->poll_query_until('postgres', "SELECT count(*) FILTER (WHERE state = 'running') = 1 AND count(*) FILTER (WHERE state = 'pending') > 0 FROM pgmaint.tasks WHERE run_id = $run")
  or die 'no task is held';
my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
until ((() = $proxy->faults) > $faults)
{
	die 'no request is held' if time > $deadline;
	select undef, undef, undef, 0.02;
}
sql('ALTER SERVER far RENAME TO farther');
sql($s3->storage('far', 'bucket', prefix => 'new/'));
$proxy->release;
is(wait_for_end($node, $run), 'failed', 'a storage that is renamed while a run uses it');
is(sql("SELECT string_agg(DISTINCT state || ' ' || coalesce(error, ''), ', ' ORDER BY state || ' ' || coalesce(error, '')) FROM pgmaint.tasks WHERE run_id = $run"),
	'failed storage "far" was renamed or replaced during the run; HINT: Start the run again: a run looks up the names of storages when it begins., succeeded ', '... one task ends well, the others are told why they do not');
is(wait_for_end($node, sql(q(SELECT pgmaint.run_action('retention')))), 'succeeded', '... and the next run does the rest');
is(sql(q(SELECT string_agg(DISTINCT storage, ',') FROM pgmaint.archives)), 'farther', '... all of it on the same storage');
is(sql(q(SELECT count(*) FROM pgmaint.archives a LEFT JOIN pgmaint.list_objects('farther') o ON o.key = a.key WHERE o.key IS NULL AND a.archive_id <> 3)), 0, '... where it is');
is(join(' ', $s3->names('bucket', 'new/')), '', '... and none on the one that has its name now');

$node->stop;
$s3->stop;
done_testing();
