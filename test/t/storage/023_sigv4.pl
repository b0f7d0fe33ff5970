# The signature of requests, against those that AWS has published: the cases of
# its own test suite for clients, and the examples in the documentation of S3
# and of IAM.
#
# Not among them are cases of what pgmaint never sends: paths that are made
# shorter before they are signed, which S3 does not do, and headers of several
# lines.  A header that comes twice is given here as clients join it.
#
# long: one server is enough

use strict;
use warnings;
use utf8;

use Encode qw(encode_utf8);
use FindBin;
use lib "$FindBin::RealBin/..";

use Digest::SHA qw(sha256_hex);
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $build = build_module('s3');

my $node = start_server('sigv4', "dynamic_library_path = '\$libdir:$build'");
$node->safe_psql('postgres', q(CREATE DATABASE signatures ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0));
$node->safe_psql('signatures', <<'EOS');
CREATE FUNCTION signed_authorization(key text[], stamp text, method text, path text, query text[], headers text[], payload_hash text)
	RETURNS text LANGUAGE c AS 'pgmaint_test_s3';
EOS

# Name, method, path, query and headers (names and values by turns; host and
# date are the suite's), body; the signature.
my %suite = (
	key => 'AKIDEXAMPLE',
	secret => 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
	region => 'us-east-1',
	service => 'service',
	at => '20150830T123600Z',
	headers => [ 'host', 'example.amazonaws.com' ]);
my @suite_cases = (
	[ 'get-header-key-duplicate', 'GET', '/', [], [ 'my-header1', 'value2,value2,value1' ], '',
		'c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea' ],
	[ 'get-header-value-order', 'GET', '/', [], [ 'my-header1', 'value4,value1,value3,value2' ], '',
		'08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01' ],
	[ 'get-header-value-trim', 'GET', '/', [], [ 'my-header1', ' value1', 'my-header2', ' "a   b   c"' ], '',
		'acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736' ],
	[ 'get-relative-relative', 'GET', '/example1/example2/../..', [], [], '',
		'dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b' ],
	[ 'get-relative', 'GET', '/example/..', [], [], '',
		'eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282' ],
	[ 'get-slash-dot-slash', 'GET', '/./', [], [], '',
		'68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145' ],
	[ 'get-slash-pointless-dot', 'GET', '/./example', [], [], '',
		'beb03f223f7deae4146464f06e29eebbee9c8afbe15c290cf07aa8b119e14cff' ],
	[ 'get-slash', 'GET', '//', [], [], '',
		'c88bcd3d312d75078c0cd961d6deae3f4c754924b01669efcfcb439fd5e5b76e' ],
	[ 'get-slashes', 'GET', '//example//', [], [], '',
		'87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5' ],
	[ 'get-space', 'GET', '/example space/', [], [], '',
		'652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741' ],
	[ 'get-unreserved', 'GET', '/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz', [], [], '',
		'07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f' ],
	[ 'get-utf8', 'GET', '/ሴ', [], [], '',
		'8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85' ],
	[ 'get-vanilla', 'GET', '/', [], [], '',
		'5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31' ],
	[ 'get-vanilla-empty-query-key', 'GET', '/', [ 'Param1', 'value1' ], [], '',
		'a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb' ],
	[ 'get-vanilla-query-order-encoded', 'GET', '/', [ 'Param-3', 'Value3', 'Param', 'Value2', 'ሴ', 'Value1' ], [], '',
		'371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac' ],
	[ 'get-vanilla-query-order-key-case', 'GET', '/', [ 'Param2', 'value2', 'Param1', 'value1' ], [], '',
		'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500' ],
	[ 'get-vanilla-query-unreserved', 'GET', '/', [ '-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz', '-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz' ], [], '',
		'9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197' ],
	[ 'get-vanilla-utf8-query', 'GET', '/', [ 'ሴ', 'bar' ], [], '',
		'2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04' ],
	[ 'get-vanilla-with-session-token', 'GET', '/', [], [ 'x-amz-security-token', '6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267' ], '',
		'07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8' ],
	[ 'post-header-key-sort', 'POST', '/', [], [ 'my-header1', 'value1' ], '',
		'c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c' ],
	[ 'post-header-value-case', 'POST', '/', [], [ 'my-header1', 'VALUE1' ], '',
		'cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d' ],
	[ 'post-sts-header-before', 'POST', '/', [], [ 'x-amz-security-token', 'AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==' ], '',
		'85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead' ],
	[ 'post-vanilla', 'POST', '/', [], [], '',
		'5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b' ],
	[ 'post-vanilla-query', 'POST', '/', [ 'Param1', 'value1' ], [], '',
		'28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11' ],
	[ 'post-x-www-form-urlencoded', 'POST', '/', [], [ 'content-type', 'application/x-www-form-urlencoded', 'content-length', '13', 'x-amz-content-sha256', '9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e' ], 'Param1=value1',
		'd3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b' ],
	[ 'post-x-www-form-urlencoded-parameters', 'POST', '/', [], [ 'content-type', 'application/x-www-form-urlencoded; charset=utf-8', 'content-length', '13', 'x-amz-content-sha256', '9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e' ], 'Param1=value1',
		'328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422' ]);

my %s3 = (
	key => 'AKIAIOSFODNN7EXAMPLE',
	secret => 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
	region => 'us-east-1',
	service => 's3',
	at => '20130524T000000Z',
	headers => [ 'host', 'examplebucket.s3.amazonaws.com' ]);
my $empty = sha256_hex('');
my @s3_cases = (
	[ 'GET Object', 'GET', '/test.txt', [], [ 'range', 'bytes=0-9', 'x-amz-content-sha256', $empty ], '',
		'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41' ],
	[ 'PUT Object', 'PUT', '/test$file.text', [],
		[ 'x-amz-storage-class', 'REDUCED_REDUNDANCY', 'date', 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-content-sha256', sha256_hex('Welcome to Amazon S3.') ],
		'Welcome to Amazon S3.',
		'98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd' ],
	[ 'GET Bucket Lifecycle', 'GET', '/', [ 'lifecycle', '' ], [ 'x-amz-content-sha256', $empty ], '',
		'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543' ],
	[ 'GET Bucket', 'GET', '/', [ 'prefix', 'J', 'max-keys', '2' ], [ 'x-amz-content-sha256', $empty ], '',
		'34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7' ]);

my %iam = (%suite, service => 'iam', headers => [ 'host', 'iam.amazonaws.com' ]);
my @iam_cases = (
	[ 'ListUsers', 'GET', '/', [ 'Action', 'ListUsers', 'Version', '2010-05-08' ],
		[ 'content-type', 'application/x-www-form-urlencoded; charset=utf-8' ], '',
		'5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7' ]);

sub literal
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

sub array
{
	return @_ ? 'ARRAY[' . join(', ', map { literal($_) } @_) . ']' : "'{}'";
}

foreach my $set ([ 'test suite', \%suite, \@suite_cases ], [ 'S3', \%s3, \@s3_cases ], [ 'IAM', \%iam, \@iam_cases ])
{
	my ($origin, $with, $cases) = @$set;

	foreach my $case (@$cases)
	{
		my ($name, $method, $path, $query, $headers, $body, $signature) = @$case;
		my @headers = (@{ $with->{headers} }, 'x-amz-date', $with->{at}, @$headers);
		my $call = 'signed_authorization('
		  . join(', ', array(map { $with->{$_} } qw(key secret region service)), (map { literal($_) } $with->{at}, $method, $path),
			array(@$query), array(@headers), literal(sha256_hex(encode_utf8($body)))) . ')';
		my $got = $node->safe_psql('signatures', encode_utf8("SELECT $call"));
		my $names = join ';', sort map { $headers[ 2 * $_ ] } 0 .. $#headers / 2;
		my $scope = join '/', $with->{key}, substr($with->{at}, 0, 8), $with->{region}, $with->{service}, 'aws4_request';

		is($got, "AWS4-HMAC-SHA256 Credential=$scope, SignedHeaders=$names, Signature=$signature", "$origin: $name");
	}
}

$node->stop;
done_testing();
