# Storages on S3, against a real S3 server: objects of every size and name
# arrive and come back, nothing is replaced, nothing is left of what failed, and
# what is refused is told in a person's words.  A proxy stands in between where
# something must go wrong.
#
# long: one server is enough
# slow: begins first

use strict;
use warnings;

use Digest::MD5 qw(md5 md5_hex);
use Digest::SHA qw(sha256_hex);
use FindBin;
use lib "$FindBin::RealBin/..";

use FaultProxy;
use PgmaintS3;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => PgmaintS3::missing() if PgmaintS3::missing();

my $build = build_module('s3');

# a key of its own, for the server to encrypt with
my $s3 = PgmaintS3->start(
	tls => 1,
	set => [
		'rgw dns name = localhost',
		'rgw crypt require ssl = false',
		'rgw crypt s3 kms backend = testing',
		'rgw crypt s3 kms encryption keys = test-key=YmluCmJvb3N0CmJvb3N0LWJ1aWxkCmNlcGguY29uZgo=' ]);
my $proxy = FaultProxy->start(upstream => $s3->address);
my $node = start_server('s3', "dynamic_library_path = '\$libdir:$build'", 'log_statement = all', q(timezone = 'UTC'));
my $mega = 1024 * 1024;

$node->safe_psql('postgres', <<'EOS');
CREATE FUNCTION put_bytes(storage text, key text, content bytea, mark text DEFAULT NULL) RETURNS void LANGUAGE c AS 'pgmaint_test_s3';
CREATE FUNCTION put_many_bytes(storage text, key text, bytes bigint, fail_at bigint DEFAULT NULL, OUT sha256 text, OUT peak bigint) LANGUAGE c AS 'pgmaint_test_s3';
CREATE FUNCTION get_bytes(storage text, key text) RETURNS bytea LANGUAGE c AS 'pgmaint_test_s3';
CREATE FUNCTION get_digest(storage text, key text, OUT sha256 text, OUT bytes bigint) LANGUAGE c AS 'pgmaint_test_s3';
CREATE FUNCTION get_some(storage text, key text, bytes int) RETURNS int LANGUAGE c AS 'pgmaint_test_s3';
CREATE FUNCTION object_state(storage text, key text, OUT bytes bigint, OUT etag text, OUT mark text, OUT modified timestamptz) LANGUAGE c AS 'pgmaint_test_s3';
CREATE FUNCTION delete_object(storage text, key text) RETURNS void LANGUAGE c AS 'pgmaint_test_s3';
CREATE FUNCTION remove_unfinished(storage text, key text) RETURNS void LANGUAGE c AS 'pgmaint_test_s3';
EOS

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# Runs what must fail; returns what it said, with hint and detail.
sub failure
{
	my ($sql) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", timeout => 120);

	return $stdout eq '' && $stderr ne '' ? $stderr : "no error: $stdout";
}

sub storage
{
	my ($name, $bucket, %options) = @_;
	my $server = delete $options{through} || $s3;

	sql($server->storage($name, $bucket, %options));
}

$s3->create_bucket('bucket');
storage('plain', 'bucket', part_size => '5MB');
storage('prefixed', 'bucket', prefix => 'some where/');
storage('faulty', 'bucket', part_size => '5MB', through => $s3->through($proxy), retries => 4, stall_timeout => '2s');

#
# Objects of every size
#
foreach my $size (0, 1, 1000)
{
	my $content = 'x' x $size;
	sql("SELECT put_bytes('plain', 'size/$size', repeat('x', $size)::bytea, 'mark of $size')");
	is($s3->get('bucket', "size/$size"), $content, "$size bytes arrive");
	is(sql("SELECT convert_from(get_bytes('plain', 'size/$size'), 'UTF8')"), $content, "$size bytes come back");
	is(sql("SELECT bytes, etag, mark, now() - modified < '5 min' FROM object_state('plain', 'size/$size')"),
		join('|', $size, md5_hex($content), "mark of $size", 't'), "$size bytes: what is known of it");
}
is($s3->head('bucket', 'size/1000')->{'content-type'}, 'text/plain', 'the content type is kept');

# the server's ETag of parts says how they were cut
sub composite
{
	my ($content, $size) = @_;
	my @digests = map { md5(substr $content, $_ * $size, $size) } 0 .. (length($content) - 1) / $size;
	return md5_hex(join '', @digests) . '-' . @digests;
}

foreach my $size (5 * $mega - 1, 5 * $mega, 5 * $mega + 1, 10 * $mega, 33 * $mega + 77)
{
	my ($sha256) = split /\|/, sql("SELECT * FROM put_many_bytes('plain', 'large/$size', $size)");
	my $content = $s3->get('bucket', "large/$size");
	my ($object) = $s3->objects('bucket', "large/$size");

	is(length $content, $size, "$size bytes arrive");
	is(sha256_hex($content), $sha256, "$size bytes: the same");
	is($object->{etag}, $size > 5 * $mega ? composite($content, 5 * $mega) : md5_hex($content), "$size bytes: in parts, or in one");
	is(sql("SELECT * FROM get_digest('plain', 'large/$size')"), "$sha256|$size", "$size bytes come back");
}
is(scalar $s3->uploads('bucket'), 0, 'no upload is unfinished');

#
# Keys that need care
#
my @keys = ('a b', 'a+b', '100%', '%41', q(it's), 'a&b=c?d#e', 'x;y,z:@!$*()[]{}|^~`"<>', 'a..b', 'trailing.', '~tilde', "nai\x{cc}\x{88}ve/\x{e6}\x{97}\x{a5}\x{e6}\x{9c}\x{ac}.csv.gz", 'many/levels/of/folders');
foreach my $key (@keys)
{
	(my $quoted = $key) =~ s/'/''/g;
	sql("SELECT put_bytes('prefixed', '$quoted', 'odd')");
	is($s3->get('bucket', "some where/$key"), 'odd', "key $key: is there");
	is(sql("SELECT convert_from(get_bytes('prefixed', '$quoted'), 'UTF8') || bytes FROM object_state('prefixed', '$quoted')"), 'odd3', "key $key: comes back");
}
is(sql(q(SELECT string_agg(key, ' ' ORDER BY key COLLATE "C") FROM pgmaint.list_objects('prefixed'))), join(' ', sort @keys), 'they are listed as they are');
is(sql(q(SELECT string_agg(key, ' ') FROM pgmaint.list_objects('prefixed', 'many/'))), 'many/levels/of/folders', 'also by their beginning');
foreach my $key (@keys)
{
	(my $quoted = $key) =~ s/'/''/g;
	sql("SELECT delete_object('prefixed', '$quoted')");
}
is(scalar $s3->names('bucket', 'some where/'), 0, 'and all can be deleted');
is(sql("SELECT delete_object('prefixed', 'none')"), '', 'deleting what is not there is no error');
is(sql("SELECT object_state('prefixed', 'none')"), '(,,,)', 'nor is asking for it');
like(failure("SELECT get_bytes('prefixed', 'none')"), qr/42704: storage "prefixed": could not read object "some where\/none" in bucket "bucket": the object (or the bucket )?does not exist/, 'reading it is');

# more than a page of a list has
$s3->put('bucket', sprintf('pages/%04d', $_), '') foreach 1 .. 1003;
is(sql("SELECT count(*), min(key), max(key), bool_and(bytes = 0 AND last_modified > now() - interval '1 hour' AND etag <> '') FROM pgmaint.list_objects('plain', 'pages/')"), '1003|pages/0001|pages/1003|t', 'a list of several pages');
is(sql("SELECT string_agg(status, ' ') FROM pgmaint.check_storage('plain')"), 'ok ok ok ok ok', 'check_storage');

#
# Nothing is replaced
#
like(failure("SELECT put_bytes('plain', 'size/1', 'new')"), qr/42710: .*the object already exists.*HINT:/s, 'an object is not replaced');
is($s3->get('bucket', 'size/1'), 'x', 'and is what it was');
is(sql("SELECT get_some('plain', 'large/10485760', 100000) >= 100000"), 't', 'an object is written while another is read');

#
# What fails leaves nothing
#
like(failure("SELECT put_many_bytes('plain', 'failed', 30000000, 20000000)"), qr/had enough/, 'a writer fails between parts');
is(scalar $s3->names('bucket', 'failed'), 0, 'there is no object');
is(scalar $s3->uploads('bucket'), 0, 'and no upload');
$s3->perform('POST', "/bucket/$_", query => { uploads => '' }) foreach 'lost', 'lost', 'lost too';
sql("SELECT remove_unfinished('plain', 'lost')");
is(join(' ', map { $_->{key} } $s3->uploads('bucket')), 'lost too', 'uploads of exactly one key are removed');
sql("SELECT remove_unfinished('plain', 'lost too')");

#
# What goes wrong on the way
#
my $large = 12 * $mega;
my ($expected) = split /\|/, sql("SELECT * FROM put_many_bytes('plain', 'good', $large)");

# An upload with this fault arrives, and nothing is left besides.
sub survives
{
	my ($name, $bytes, %fault) = @_;

	$proxy->clear;
	$proxy->forget;
	$proxy->fault(%fault);
	my ($got) = split /\|/, sql("SELECT * FROM put_many_bytes('faulty', 'faulted', $bytes)");
	cmp_ok(scalar $proxy->faults, '>=', 1, "$name: happened");
	$proxy->clear;
	is(sha256_hex($s3->get('bucket', 'faulted')), $got, "$name: arrived");
	is(scalar $s3->uploads('bucket'), 0, "$name: no upload is unfinished");
	$s3->remove('bucket', 'faulted');
}

foreach my $request ([ 'the upload\'s beginning', method => 'POST', query => qr/^uploads/ ], [ 'a part', method => 'PUT', query => qr/partNumber/, nth => 2 ],
	[ 'the completion', method => 'POST', query => qr/^uploadId/ ], [ 'the last look', method => 'HEAD', nth => 2 ])
{
	my ($what, @which) = @$request;

	foreach my $fault ([ 'reset before', kind => 'reset' ], [ 'reset after', kind => 'reset', when => 'after' ],
		[ 'an answer that breaks off', kind => 'truncate' ],
		[ '500', kind => 'status', status => 500, code => 'InternalError' ],
		[ '500 after', kind => 'status', when => 'after', status => 500, code => 'InternalError' ],
		[ '503', kind => 'status', status => 503, code => 'SlowDown', times => 2 ],
		[ '429', kind => 'status', status => 429, code => 'TooManyRequests' ],
		[ 'RequestTimeout', kind => 'status', status => 400, code => 'RequestTimeout' ],
		[ 'a stall', kind => 'stall' ])
	{
		my ($name, @fault) = @$fault;
		next if $what eq 'the last look' && $name =~ /breaks off|RequestTimeout/;
		survives("$name, at $what", $large, @which, @fault);
	}
}
survives('200 with an error, at the completion', $large, method => 'POST', query => qr/^uploadId/, kind => 'status', status => 200, code => 'InternalError');
survives('a wrong ETag of a part', $large, method => 'PUT', query => qr/partNumber/, kind => 'etag');
survives('a part that was damaged', $large, method => 'PUT', query => qr/partNumber/, kind => 'corrupt', when => 'body');
my $begin = time;
survives('503 that says how long', 1000, method => 'PUT', kind => 'status', status => 503, code => 'SlowDown', retry_after => 2);
cmp_ok(time - $begin, '>=', 2, 'that long was waited');
survives('a lost answer to one request', 1000, method => 'PUT', kind => 'reset', when => 'after');
survives('a server without If-None-Match', 1000, method => 'PUT', kind => 'status', status => 501, code => 'NotImplemented');

# it is not believed when it is wrong to the end
$proxy->fault(method => 'HEAD', nth => 2, kind => 'etag');
like(failure("SELECT put_many_bytes('faulty', 'faulted', $large)"), qr/58030: .*the stored object is not the one that was written/, 'an object with a wrong checksum is refused');
is(scalar $s3->names('bucket', 'faulted'), 0, 'and taken back');
$proxy->clear;
$proxy->fault(method => 'PUT', query => qr/partNumber/, times => 0, kind => 'status', status => 503, code => 'SlowDown');
like(failure("SELECT put_many_bytes('faulty', 'faulted', $large)"), qr/08006: .*too busy.*HINT:/s, 'there is an end to retrying');
$proxy->clear;
is(scalar $s3->uploads('bucket'), 0, 'and then nothing is left');

# reading
foreach my $fault ([ 'a reset', kind => 'reset', when => 'answer' ], [ 'a truncated answer', kind => 'truncate' ], [ 'a reset before', kind => 'reset' ], [ 'a stall', kind => 'stall', when => 'answer' ],
	[ '503', kind => 'status', status => 503, code => 'SlowDown' ])
{
	my ($name, @fault) = @$fault;

	$proxy->clear;
	$proxy->forget;
	$proxy->fault(method => 'GET', path => qr/good/, @fault);
	is(sql("SELECT * FROM get_digest('faulty', 'good')"), "$expected|$large", "$name does not end reading");
	is(scalar $proxy->faults, 1, "$name happened");
}
$proxy->clear;
$proxy->down;
like(failure("SELECT get_digest('faulty', 'good')"), qr/08006: storage "faulty": could not read object "good" in bucket "bucket": .*HINT:/s, 'no server');
$proxy->up;

#
# A cancel ends it at once
#
sub cancelled
{
	my ($name, $sql, %fault) = @_;

	$proxy->clear;
	$proxy->fault(kind => 'stall', times => 1, %fault);
	sql('ALTER SERVER faulty OPTIONS (SET stall_timeout \'300s\')');
	my $start = time;
	like(failure("SET statement_timeout = '1s'; $sql"), qr/statement timeout/, "$name: cancelled");
	cmp_ok(time - $start, '<', 120, "$name: before the server is given up");
	sql('ALTER SERVER faulty OPTIONS (SET stall_timeout \'2s\')');
	$proxy->clear;
}
cancelled('a part that stalls', "SELECT put_many_bytes('faulty', 'faulted', $large)", method => 'PUT');
is(scalar $s3->uploads('bucket'), 0, 'and its upload is aborted');
cancelled('a server that stalls altogether', "SELECT put_many_bytes('faulty', 'faulted', $large)", query => qr/./, nth => 2, times => 0);
sql("SELECT remove_unfinished('faulty', 'faulted')");
is(scalar $s3->uploads('bucket'), 0, 'what could not be aborted is removed later');
cancelled('a completion that stalls after', "SELECT put_many_bytes('faulty', 'faulted', $large)", method => 'POST', query => qr/^uploadId/, when => 'after');
is(scalar $s3->names('bucket', 'faulted'), 0, 'and its object is taken back');
cancelled('reading that stalls', "SELECT get_digest('faulty', 'good')", method => 'GET', when => 'answer');
cancelled('a look that stalls', "SELECT object_state('faulty', 'good')", method => 'HEAD');
cancelled('a check that stalls', "SELECT * FROM pgmaint.check_storage('faulty')", method => 'GET');
sql('ALTER SERVER faulty OPTIONS (SET stall_timeout \'300s\')');
$proxy->fault(kind => 'stall', times => 1, method => 'GET');
my ($left) = failure(q(SET statement_timeout = '1s'; SELECT * FROM pgmaint.check_storage('faulty'))) =~ /Object "(\S+)" may be left in the storage/;
is(scalar $s3->names('bucket', $left // 'no name'), 1, 'and says which object it has left');
sql('ALTER SERVER faulty OPTIONS (SET stall_timeout \'2s\')');
$proxy->clear;

#
# Several parts are under way, in bounded memory
#
$proxy->forget;
$proxy->fault(method => 'PUT', query => qr/partNumber=1&/, kind => 'delay', seconds => 2);
sql("SELECT put_many_bytes('faulty', 'order', 27000000)");
my @order = map { $_->{target} =~ /partNumber=(\d+)/ ? $1 : () } $proxy->requests;
is(scalar @order, 6, 'six parts');
$proxy->clear;
$s3->remove('bucket', 'order');
my (undef, $peak) = split /\|/, sql("SELECT * FROM put_many_bytes('plain', 'memory', 300000000)");
cmp_ok($peak, '<', 40 * $mega, 'of 300 MB, no more than the parts under way are in memory');
$s3->remove('bucket', 'memory');

#
# TLS
#
my $tls = $s3->tls_endpoint;
storage('tls', 'bucket', endpoint => $tls, ca_file => $s3->ca_file, part_size => '5MB');
is(sql("SELECT (put_many_bytes('tls', 'tls', $large)).sha256"), $expected, 'over TLS');
is(sql("SELECT * FROM get_digest('tls', 'tls')"), "$expected|$large", 'and back');
storage('untrusted', 'bucket', endpoint => $tls);
like(failure("SELECT object_state('untrusted', 'tls')"), qr/08006: .*certificate.*HINT:.*ca_file/s, 'a certificate of an unknown authority is refused');
my $other = PgmaintS3->start(tls => 1);
storage('wrong_ca', 'bucket', endpoint => $tls, ca_file => $other->ca_file);
like(failure("SELECT object_state('wrong_ca', 'tls')"), qr/08006: .*certificate/s, 'and of another authority');
$other->stop;
storage('wrong_name', 'bucket', endpoint => $tls =~ s/127\.0\.0\.1/127.0.0.2/r, ca_file => $s3->ca_file);
like(failure("SELECT object_state('wrong_name', 'tls')"), qr/08006: /, 'and of another name');

# a bucket with a host name of its own
(my $named = $s3->endpoint) =~ s/127\.0\.0\.1/localhost/;
storage('virtual', 'bucket', endpoint => $named, addressing => 'virtual');
is(sql("SELECT bytes FROM get_digest('virtual', 'tls')"), $large, 'by the host name of the bucket');
is(sql("SELECT count(*) FROM pgmaint.list_objects('virtual', 'pages/')"), 1003, 'a list, too');
sql("SELECT put_bytes('virtual', 'virtual/a b', 'here')");
is($s3->get('bucket', 'virtual/a b'), 'here', 'and writing');

#
# What the server does with an object
#
storage('encrypted', 'bucket', encryption => 'aws:kms', kms_key_id => 'test-key', storage_class => 'STANDARD', part_size => '5MB');
is(sql("SELECT (put_many_bytes('encrypted', 'encrypted', $large)).sha256"), $expected, 'encrypted by the server');
is($s3->head('bucket', 'encrypted')->{'x-amz-server-side-encryption-aws-kms-key-id'}, 'test-key', 'with the key that was asked for');
sql("SELECT put_bytes('encrypted', 'encrypted too', 'secret')");
is($s3->head('bucket', 'encrypted too')->{'x-amz-server-side-encryption'}, 'aws:kms', 'a small one too');
is(sql("SELECT * FROM get_digest('encrypted', 'encrypted')"), "$expected|$large", 'it comes back as it was');
sql("ALTER SERVER encrypted OPTIONS (SET storage_class 'NONSENSE')");
like(failure("SELECT put_bytes('encrypted', 'x', 'x')"), qr/HV024: .*the server does not accept.*HINT:.*storage_class/s, 'a storage class that there is not');

#
# What is refused, in a person's words
#
my ($access, $secret) = $s3->create_user('other');
storage('nowhere', 'no-such-bucket');
like(failure("SELECT put_bytes('nowhere', 'x', 'x')"), qr/42704: storage "nowhere": could not write object "x" in bucket "no-such-bucket": the bucket does not exist.*DETAIL:.*404, code NoSuchBucket.*\(request .*HINT:.*Create the bucket/s, 'no such bucket');
storage('wrong_secret', 'bucket');
sql("ALTER USER MAPPING FOR CURRENT_USER SERVER wrong_secret OPTIONS (SET secret_access_key 'not$secret')");
like(failure("SELECT * FROM pgmaint.list_objects('wrong_secret')"), qr/28000: .*the secret access key does not belong to the access key.*HINT:/s, 'a wrong secret');
# the answer of HEAD, which comes first, does not say why
sql("SELECT put_bytes('plain', 'told', 'x')");
like(failure("SELECT object_state('wrong_secret', 'told')"), qr/28000: .*the secret access key does not belong to the access key.*DETAIL:.*code SignatureDoesNotMatch.*HINT:/s, '... in looking at an object');
like(failure("SELECT put_bytes('wrong_secret', 'x', 'x')"), qr/28000: .*the secret access key does not belong to the access key.*HINT:/s, '... and in writing one');
sql("ALTER USER MAPPING FOR CURRENT_USER SERVER wrong_secret OPTIONS (SET access_key_id 'NOBODY')");
like(failure("SELECT * FROM pgmaint.list_objects('wrong_secret')"), qr/28000: .*does not know the access key.*HINT:/s, 'an unknown key');
like(failure("SELECT object_state('wrong_secret', 'told')"), qr/28000: .*does not know the access key.*HINT:/s, '... in looking at an object');
sql("ALTER USER MAPPING FOR CURRENT_USER SERVER wrong_secret OPTIONS (SET access_key_id '$access', SET secret_access_key '$secret')");
like(failure("SELECT put_bytes('wrong_secret', 'x', 'x')"), qr/42501: .*access is denied.*HINT:/s, 'an access key of another user');
$s3->create_bucket('full');
storage('full_bucket', 'full');
$s3->set_quota('full', max_objects => 1);
$s3->put('full', 'one', 'x');
like(failure("SELECT put_bytes('full_bucket', 'two', 'x')"), qr/53100: .*the bucket is full.*HINT:/s, 'a full bucket');
is(join(' ', $s3->names('full')), 'one', 'which stays as it is');

# answers of servers that are not here
my $canned = FaultProxy->start;
sub answered
{
	my ($name, $expected, %answer) = @_;

	$canned->clear;
	$canned->fault(kind => 'status', times => 0, %answer);
	like(failure("SELECT * FROM pgmaint.list_objects('canned')"), $expected, $name);
}
storage('canned', 'bucket', endpoint => $canned->endpoint, retries => 1);
answered('another region', qr/the bucket is in region eu-west-1, the server says us-east-1.*HINT:.*'eu-west-1'/s,
	status => 400, body => '<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong</Message><Region>eu-west-1</Region></Error>');
answered('another region, by a header', qr/the bucket is in region eu-west-1, the server says us-east-1/,
	status => 301, code => 'PermanentRedirect', headers => { 'x-amz-bucket-region' => 'eu-west-1' });
my %past = (headers => { date => 'Tue, 02 Jan 2001 03:04:05 GMT' });
answered('the clock', qr/28000: .*the clock of this machine is \d+:\d\d:\d\d ahead of the server's, which says 2001-01-02 03:04:05 UTC.*HINT:.*clock/s,
	status => 403, code => 'RequestTimeTooSkewed', %past);
answered('the clock, by another name', qr/42501: .*access is denied.*DETAIL:.*code AccessDenied.*; the clock of this machine is \d+:\d\d:\d\d ahead of/s,
	status => 403, code => 'AccessDenied', %past);
answered('a clock that is slow', qr/the clock of this machine is \d+:\d\d:\d\d behind the server's, which says 2201-01-02/,
	status => 403, code => 'RequestTimeTooSkewed', headers => { date => 'Fri, 02 Jan 2201 03:04:05 GMT' });
answered("no clock: $_", qr/28000: .*the clocks of this machine and of the server differ too much/, status => 403, code => 'RequestTimeTooSkewed', headers => { date => $_ }) foreach 'now', 'Tue, 02 nJa 2001 03:04:05 GMT';
foreach my $case (
	[ RequestTimeTooSkewed => qr/28000: .*the clock of this machine is .* ahead of/, 403 ],
	[ SignatureDoesNotMatch => qr/28000: .*the secret access key does not belong/, 403 ],
	[ InvalidAccessKeyId => qr/28000: .*does not know the access key/, 403 ],
	[ ExpiredToken => qr/28000: .*the access key has expired.*HINT:/s, 400 ],
	[ AccessDenied => qr/42501: .*access is denied.*HINT:/s, 403 ])
{
	my ($code, $expected, $status) = @$case;

	$canned->clear;
	$canned->fault(kind => 'status', times => 0, status => $status, code => $code, %past);
	like(failure("SELECT object_state('canned', 'x')"), $expected, "$code: HEAD's answer has no body, GET's tells");
}

# the real server, with a clock of our own that is wrong
SKIP:
{
	my ($library) = glob '/usr/lib/*/faketime/libfaketime.so.1';
	skip 'there is no libfaketime', 3 unless $library;
	$node->stop;
	{
		local @ENV{qw(LD_PRELOAD FAKETIME FAKETIME_DONT_FAKE_MONOTONIC DONT_FAKE_MONOTONIC NO_FAKE_STAT)} = ($library, '-2h', 1, 1, 1);
		$node->start;
		my $behind = qr/28000: .*the clock of this machine is (2:00:0|1:59:5)\d behind the server's, which says .*DETAIL:.*code RequestTimeTooSkewed.*HINT:.*clock/s;
		like(failure("SELECT object_state('plain', 'told')"), $behind, 'a clock that is 2 hours slow: in looking at an object');
		like(failure("SELECT put_bytes('plain', 'late', 'x')"), $behind, '... in writing one');
		like(failure("SELECT * FROM pgmaint.list_objects('plain')"), $behind, '... in listing them');
		$node->stop;
	}
	$node->start;
}

# what answers is no S3 server: neither an empty bucket nor a success
my $foreign = qr{08P01: .*the answer is not from an S3 server.*DETAIL:.*Endpoint http://127\.0\.0\.1:\d+ answered with status}s;
my %page = (headers => { 'Content-Type' => 'text/html' }, body => '<html><body>Please log in</body></html>');
answered('no XML', qr/$foreign 200 and content type "application\/xml".*HINT:.*endpoint/s, status => 200, body => 'hello');
answered('XML with a document type', qr/$foreign 200/s, status => 200, body => '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>');
answered('a page', qr/$foreign 200 and content type "text\/html".*HINT:.*"endpoint" of the foreign server.*curl -i http:/s, status => 200, %page);
answered('a page that forbids', qr/$foreign 403 and content type "text\/html"/s, status => 403, %page);
answered('a page that is not found', qr/$foreign 404 and content type "text\/html"/s, status => 404, %page);
answered('other XML', qr/$foreign 200/s, status => 200, body => '<ListAllMyBucketsResult/>');
foreach my $status (200, 404)
{
	$canned->clear;
	$canned->fault(kind => 'status', times => 0, status => $status, %page);
	like(failure("SELECT object_state('canned', 'x')"), qr/$foreign $status/s, "a page, $status: in looking at an object");
	like(failure("SELECT get_bytes('canned', 'x')"), qr/$foreign $status/s, '... in reading one');
	like(failure("SELECT put_bytes('canned', 'x', 'x')"), qr/$foreign $status/s, '... in writing one');
	like(failure("SELECT delete_object('canned', 'x')"), qr/$foreign $status/s, '... in deleting one');
	like(failure("SELECT remove_unfinished('canned', 'x')"), qr/$foreign $status/s, '... and what was left of one');
}
# one that answers only some requests in the server's place
storage('portal', 'bucket', part_size => '5MB', through => $s3->through($proxy), retries => 1);
foreach my $method (qw(POST DELETE))
{
	$proxy->clear;
	$proxy->fault(kind => 'status', times => 0, method => $method, status => 200, %page);
	like(failure($method eq 'POST' ? "SELECT put_many_bytes('portal', 'large', 11000000)" : "SELECT delete_object('portal', 'told')"), qr/$foreign 200/s, "a page for $method");
}
$proxy->clear;
is($s3->get('bucket', 'told'), 'x', 'the object is there');
answered('a broken server', qr/08006: .*the server failed with status 500/, status => 500, body => '');

#
# Nothing secret was said
#
my $log = slurp_file($node->logfile);
unlike($log, qr/Signature=/, 'no signature in the log');
my $said = join "\n", grep { !/statement: / } split /\n/, $log;
unlike($said, qr/\Q$_\E/, 'no secret in the log') foreach $s3->secret_key, $secret;

$node->stop;
done_testing();
