# Keys that expire in the middle of an upload: the parts that follow are signed
# with new ones, and the object arrives whole.
#
# The keys are real temporary ones of the S3 server's own STS, good for seconds;
# the instance's metadata, which a small server stands for, hands them out.
#
# long: one server is enough

use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;

use FaultProxy;
use IPC::Run;
use PgmaintS3;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => PgmaintS3::missing() if PgmaintS3::missing();

my $module = abs_path("$FindBin::RealBin/../modules/s3");
my $build = PostgreSQL::Test::Utils::tempdir_short();
my $output = `make -C '$build' -f '$module/Makefile' PG_CONFIG=pg_config with_llvm=no COPT=-Werror 2>&1`;
is($?, 0, 'the module for this test can be built') or BAIL_OUT($output);

my $s3 = PgmaintS3->start(sts => 1);
my $proxy = FaultProxy->start(upstream => $s3->address);
my $metadata = FaultProxy->start;
my $root = '/latest/meta-data/iam/security-credentials/';

delete $ENV{$_} foreach grep { /^AWS_/ } keys %ENV;
$ENV{HOME} = PostgreSQL::Test::Utils::tempdir();
$ENV{AWS_EC2_METADATA_SERVICE_ENDPOINT} = $metadata->endpoint;
my $node = start_server('renewal', "dynamic_library_path = '\$libdir:$build'");

$s3->create_bucket('bucket');
$node->safe_psql('postgres', <<"EOS");
CREATE FUNCTION put_many_bytes(storage text, key text, bytes bigint, fail_at bigint DEFAULT NULL, OUT sha256 text, OUT peak bigint)
	LANGUAGE c AS 'pgmaint_test_s3';
CREATE SERVER remote FOREIGN DATA WRAPPER pgmaint_storage
	OPTIONS (url 's3://bucket', endpoint '@{[ $proxy->endpoint ]}', region 'us-east-1', part_size '5MB', parallel '2');
EOS

# All secrets that were handed out.
my @secrets;

# New keys from now on, good for so many seconds; the metadata may say something
# else.
sub hand_out
{
	my ($seconds, $said) = @_;
	my $keys = $s3->assume_role($seconds);
	my $expiration = $said ? POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + $said)) : $keys->{expiration};

	push @secrets, $keys->{secret_key}, $keys->{session_token};
	$metadata->clear;
	foreach my $answer (
		[ 'PUT', '/latest/api/token', 'session' ],
		[ 'GET', $root, 'role' ],
		[ 'GET', "${root}role", qq({"Code": "Success", "AccessKeyId": "$keys->{access_key}", "SecretAccessKey": "$keys->{secret_key}",
			"Token": "$keys->{session_token}", "Expiration": "$expiration"}) ])
	{
		my ($method, $path, $body) = @$answer;
		$metadata->fault(kind => 'status', status => 200, method => $method, path => qr/^\Q$path\E$/, body => $body, times => 0);
	}
}

# Uploads 60 MB slowly, with keys that are handed out as told until it has
# ended; returns what there is to see.
sub upload
{
	my ($key, @keys) = @_;
	my ($out, $err) = ('', '');

	$proxy->clear;
	$proxy->forget;
	$proxy->fault(kind => 'delay', seconds => 1, method => 'PUT', times => 0);
	hand_out(@keys);
	my $psql = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT sha256 FROM put_many_bytes('remote', '$key', 60 * 1024 * 1024)" ],
		'<', \undef, '>', \$out, '2>', \$err);
	my $given = time;
	while ($psql->pumpable)
	{
		$psql->pump_nb;
		if (time - $given > 1)
		{
			hand_out(@keys);
			$given = time;
		}
		sleep 0.05;
	}
	$psql->finish;
	chomp $out;

	my %used = map { ($_->{headers}{authorization} =~ m{Credential=([^/]+)/})[0] // '' => 1 }
	  grep { $_->{method} eq 'PUT' } $proxy->requests;
	my @refused = grep { ($_->{status} || 0) >= 400 && $_->{method} ne 'HEAD' } $proxy->requests;
	return { sha256 => $out, error => $err, used => scalar keys %used, refused => scalar @refused };
}

sub arrived
{
	my ($key, $result, $name) = @_;
	my $content = $s3->get('bucket', $key);

	is($result->{error}, '', "$name: no error");
	ok(defined $content, "$name: the object is there") or return;
	is(length $content, 60 * 1024 * 1024, "$name: with all its bytes");
	is(Digest::SHA::sha256_hex($content), $result->{sha256}, "$name: which are those that were written");
	is(scalar $s3->uploads('bucket'), 0, "$name: no upload is left");
	cmp_ok($result->{used}, '>', 1, "$name: signed with several keys: $result->{used}");
}

# renewed in time
my $result = upload('in-time', 4);
arrived('in-time', $result, 'renewed in time');
is($result->{refused}, 0, 'renewed in time: no request is refused');

# expired earlier than was said: the refusal makes them be renewed
$result = upload('refused', 2, 3600);
arrived('refused', $result, 'renewed when refused');
cmp_ok($result->{refused}, '>', 0, "renewed when refused: requests that were: $result->{refused}");

$node->stop;
my $log = slurp_file($node->logfile);
is(scalar(grep { index($log, $_) >= 0 } @secrets), 0, 'no secret is in the log');

done_testing();
