# The S3 server that other tests use, and the client that judges what is in it:
# they must be as strict as those they stand for.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintS3;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => PgmaintS3::missing() if PgmaintS3::missing();

my $s3 = PgmaintS3->start(tls => 1, sts => 1);
my $other = PgmaintS3->start;

isnt($s3->endpoint, $other->endpoint, 'two servers at a time');
$_->create_bucket('first') foreach $s3, $other;

# objects
my $content = join '', map { chr } 0 .. 255;
$s3->put('first', 'a b/c+d', $content);
is($s3->get('first', 'a b/c+d'), $content, 'an object comes back as it was put');
is($s3->get('first', 'none'), undef, 'and one that is not there does not');
is(join(' ', map { "$_->{key}:$_->{bytes}:$_->{etag}" } $s3->objects('first')),
	'a b/c+d:256:e2c865db4162bed963bfaa9ef6ac18f0', 'it is in the list');
is($s3->head('first', 'a b/c+d')->{'content-length'}, 256, 'its size is in its headers');
is(scalar $other->objects('first'), 0, 'the other server has nothing of it');
$s3->put('first', "many/$_", '') foreach 1 .. 3;
is(join(' ', $s3->names('first', 'many/')), 'many/1 many/2 many/3', 'names by their beginning');
$s3->remove('first', "many/$_") foreach 1 .. 3;
is(scalar $s3->names('first', 'many/'), 0, 'they are gone');

# unfinished uploads
my $id = PgmaintS3::text_of('UploadId', $s3->perform('POST', '/first/large', query => { uploads => '' })->{content});
is(join(' ', map { "$_->{key} $_->{id}" } $s3->uploads('first')), "large $id", 'an unfinished upload');
$s3->perform('DELETE', '/first/large', query => { uploadId => $id });
is(scalar $s3->uploads('first'), 0, 'it is gone');

# whom it lets in
my ($access, $secret) = $s3->create_user('another');
sub status
{
	my ($method, $path, @options) = @_;
	return $s3->request($method, $path, @options)->{status};
}
is(status('GET', '/first/a b/c+d', access_key => $access, secret_key => $secret), 403, "another user may not read it");
is(status('GET', '/first/a b/c+d', access_key => $s3->access_key, secret_key => $secret), 403, 'nor a client with a wrong secret');
is(status('PUT', '/first/sum', content => 'x', headers => { 'content-md5' => '1B2M2Y8AsgTpgAmY7PhCfg==' }), 400, 'a wrong checksum is refused');

# temporary keys
my $keys = $s3->assume_role(2);
my @given = map { ($_ => $keys->{$_}) } qw(access_key secret_key session_token);
is(status('GET', '/first/a b/c+d', @given), 200, 'temporary keys open it');
my $rounds = 0;
sleep 0.1 while status('GET', '/first/a b/c+d', @given) == 200 && $rounds++ < 600;
like($s3->request('GET', '/first/a b/c+d', @given)->{content}, qr/ExpiredToken|AccessDenied/, 'for a time');

# a limit
$s3->set_quota('first', max_objects => 2);
$s3->put('first', 'second', 'x');
my $full = $s3->request('PUT', '/first/third', content => 'x');
is($full->{status}, 403, 'a full bucket takes nothing more');
like($full->{content}, qr/QuotaExceeded/, 'and says so');
$s3->set_quota('first');
is(status('PUT', '/first/third', content => 'x'), 200, 'until the limit goes');

# TLS, as the command line client sees it
SKIP:
{
	skip 'there is no aws command line client', 3 unless PgmaintS3::has_aws();

	is($s3->aws('s3', 'cp', 's3://first/second', '-'), 'x', 'the aws client reads it');
	my ($host) = $s3->tls_endpoint =~ m{^(https://)};
	is($host, 'https://', 'there is an address with TLS');
	is($s3->aws('--endpoint-url', $s3->tls_endpoint, '--ca-bundle', $s3->ca_file, 's3', 'cp', 's3://first/second', '-'),
		'x', 'and reads it there');
}

# the end
my $folder = $s3->{folder};
my @processes = grep { my $line = readlink "$_/exe"; defined $line && $line =~ /ceph|radosgw/ && slurp_file("$_/cmdline") =~ /\Q$folder\E/ } glob '/proc/[0-9]*';
cmp_ok(scalar @processes, '>=', 3, 'its processes');
$s3->stop;
is(scalar(grep { -e } @processes), 0, 'are gone when it has stopped');
$other->stop;

done_testing();
