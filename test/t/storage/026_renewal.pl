# Keys that expire in the middle of an upload: the parts that follow are signed
# with new ones, and the object arrives whole.
#
# The keys are real temporary ones of the S3 server's own STS; the instance's
# metadata, which a small server stands for, hands them out.  A proxy holds the
# parts while keys are changed, so that it does not matter how fast anything is.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use FaultProxy;
use IPC::Run;
use PgmaintS3;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => PgmaintS3::missing() if PgmaintS3::missing();

my $build = build_module('s3');

my $s3 = PgmaintS3->start(sts => 1);
my $proxy = FaultProxy->start(upstream => $s3->address);
my $metadata = FaultProxy->start;

delete $ENV{$_} foreach grep { /^AWS_/ } keys %ENV;
$ENV{HOME} = PostgreSQL::Test::Utils::tempdir();
$ENV{AWS_EC2_METADATA_SERVICE_ENDPOINT} = $metadata->endpoint;
my $node = start_server('renewal', "dynamic_library_path = '\$libdir:$build'");

$s3->create_bucket('bucket');
$node->safe_psql('postgres', <<"EOS");
CREATE FUNCTION put_many_bytes(storage text, key text, bytes bigint, fail_at bigint DEFAULT NULL, OUT sha256 text, OUT peak bigint)
	LANGUAGE c AS 'pgmaint_test_s3';
CREATE SERVER remote FOREIGN DATA WRAPPER pgmaint_storage
	OPTIONS (url 's3://bucket', endpoint '@{[ $proxy->endpoint ]}', region 'us-east-1', part_size '5MB', parallel '2', stall_timeout '300s');
EOS

# All secrets that were made.
my @secrets;

# Temporary keys that are good for so many seconds.
sub make_keys
{
	my ($seconds) = @_;
	my $keys = $s3->assume_role($seconds);

	push @secrets, $keys->{secret_key}, $keys->{session_token};
	return $keys;
}

# The parts that were sent signed with these keys.
sub parts_signed_with
{
	my ($keys) = @_;
	return grep { $_->{method} eq 'PUT' && ($_->{headers}{authorization} // '') =~ m{Credential=\Q$keys->{access_key}\E/} } $proxy->requests;
}

# Uploads 60 MB.  The proxy holds its first parts, two and the one that is filled
# meanwhile, until the keys that they were signed with are to be renewed; others
# are handed out by then.  The test may do something before the parts go on.
# Returns what there is to see.
sub upload
{
	my ($key, $others, $then) = @_;
	my $first = make_keys(3600);
	my ($out, $err) = ('', '');
	my $said = 16;
	my $given = time;

	PgmaintS3::hand_out($metadata, $first, $said);
	$proxy->clear;
	$proxy->forget;
	$proxy->fault(kind => 'hold', method => 'PUT', times => 0);
	my $psql = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT sha256 FROM put_many_bytes('remote', '$key', 60 * 1024 * 1024)" ],
		'<', \undef, '>', \$out, '2>', \$err);
	$proxy->wait_for_faults(3) or die "no parts are sent: $err";
	is(scalar(parts_signed_with($first)), 3, "$key: the first parts have the first keys");

	# at half of what was left of them when they were got, at the latest just now
	my $due = (time + $given + $said) / 2;
	PgmaintS3::hand_out($metadata, $others, 3600);
	sleep 0.1 while time <= $due;
	$proxy->clear;
	$then->();
	$proxy->release;
	$psql->finish;
	chomp $out;

	my @refused = grep { ($_->{status} || 0) >= 400 && $_->{method} ne 'HEAD' } $proxy->requests;
	return { sha256 => $out, error => $err, refused => scalar @refused };
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
}

# renewed in time: all parts but those that were held have the new keys
my $keys = make_keys(3600);
my $result = upload('in-time', $keys, sub { });
arrived('in-time', $result, 'renewed in time');
is($result->{refused}, 0, 'renewed in time: no request is refused');
is(scalar(parts_signed_with($keys)), scalar(grep { $_->{method} eq 'PUT' } $proxy->requests) - 3, 'renewed in time: all other parts have the new keys');

# expired earlier than was said: the refusal makes them be renewed
my $expired = make_keys(1);
my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.1 while $s3->request('GET', '/bucket', %$expired)->{status} == 200 && time < $deadline;
is($s3->request('GET', '/bucket', %$expired)->{status}, 403, 'keys that have expired');
$keys = make_keys(3600);
$result = upload(
	'refused', $expired,
	sub {
		$proxy->fault(kind => 'hold', method => 'PUT', times => 0);
		$proxy->release;
		my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
		sleep 0.02 until parts_signed_with($expired) || time > $deadline;
		$proxy->clear;
		PgmaintS3::hand_out($metadata, $keys, 3600);
	});
arrived('refused', $result, 'renewed when refused');
cmp_ok($result->{refused}, '>', 0, "renewed when refused: requests that were: $result->{refused}");
cmp_ok(scalar(parts_signed_with($keys)), '>', 0, 'renewed when refused: what follows has the new keys');

$node->stop;
my $log = slurp_file($node->logfile);
is(scalar(grep { index($log, $_) >= 0 } @secrets), 0, 'no secret is in the log');

done_testing();
