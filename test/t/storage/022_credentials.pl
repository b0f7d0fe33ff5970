# Keys for S3: each place where they may be, in the order in which they are
# looked for, who may use them, how they are renewed, and that none of them
# shows up where it does not belong.
#
# The server's environment and files are real, and so are the answers over HTTP,
# which come from a server of fixed answers.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use FaultProxy;
use PgmaintTest;
use POSIX qw(strftime);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $build = build_module('credentials');

delete $ENV{$_} foreach grep { /^AWS_/ } keys %ENV;
my $home = PostgreSQL::Test::Utils::tempdir();
$ENV{HOME} = $home;
my $service = FaultProxy->start;

my $node = start_server('credentials', "dynamic_library_path = '\$libdir:$build'", 'log_statement = all');
# not for the postmaster, which would write its whole environment into the log
$node->safe_psql('postgres', <<'EOS');
ALTER DATABASE postgres SET log_min_messages = debug5;
CREATE FUNCTION open_chain(storage text) RETURNS void LANGUAGE c AS 'pgmaint_test_credentials';
CREATE FUNCTION current_keys(OUT key text, OUT secret text, OUT token text, OUT expires timestamptz, OUT origin text)
	LANGUAGE c AS 'pgmaint_test_credentials';
CREATE FUNCTION discard_keys() RETURNS void LANGUAGE c AS 'pgmaint_test_credentials';
CREATE FUNCTION region_of(storage text) RETURNS text LANGUAGE c AS 'pgmaint_test_credentials';
CREATE ROLE plain;
GRANT USAGE ON FOREIGN DATA WRAPPER pgmaint_storage TO plain;
CREATE SERVER machine FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bucket', endpoint 'http://127.0.0.1:9');
CREATE SERVER work FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bucket', endpoint 'http://127.0.0.1:9', profile 'work');
GRANT USAGE ON FOREIGN SERVER machine TO plain;
SET ROLE plain;
CREATE SERVER "plain's" FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bucket', endpoint 'http://127.0.0.1:9');
EOS

# secrets that must be nowhere in the log
my @secrets;
sub secret
{
	my $secret = join '', map { ('a' .. 'z', 'A' .. 'Z', 0 .. 9)[ rand 62 ] } 1 .. 40;

	push @secrets, $secret;
	return $secret;
}

# The server with these variables in its environment.  Where nothing is said
# about the instance's metadata, there is none.
sub environment
{
	my (%variables) = @_;

	local %ENV = (%ENV, AWS_EC2_METADATA_DISABLED => 'true', %variables);
	$node->restart;
	$service->clear;
	$service->forget;
}

sub file
{
	my ($name, $text, $mode) = @_;

	mkdir "$home/.aws";
	unlink "$home/$name";
	append_to_file("$home/$name", $text);
	chmod $mode, "$home/$name" if defined $mode;
	return "$home/$name";
}

# What a storage's keys are, as one line; or the error.
my $error;
sub keys_of
{
	my ($storage, %options) = @_;
	my ($status, $out, $err) = $node->psql('postgres',
		($options{role} ? "SET ROLE $options{role};" : '') . ($options{before} || '') . <<"EOS");
SELECT open_chain('$storage');
SELECT concat_ws('|', key, secret, token, origin) FROM current_keys();
EOS
	$error = $err;
	return 'error' if $status != 0;
	$out =~ s/^\s+//;
	return $out;
}

#
# User mapping
#
my @mapping = map { secret() } 1 .. 2;
environment(AWS_ACCESS_KEY_ID => 'ENVKEY', AWS_SECRET_ACCESS_KEY => secret());
$node->safe_psql('postgres', <<"EOS");
SET log_statement = none;
CREATE USER MAPPING FOR postgres SERVER machine OPTIONS (access_key_id 'MAPKEY', secret_access_key '$mapping[0]');
CREATE USER MAPPING FOR plain SERVER "plain's" OPTIONS (access_key_id 'PLAINKEY', secret_access_key '$mapping[0]', session_token '$mapping[1]');
EOS
is(keys_of('machine'), "MAPKEY|$mapping[0]|user mapping", 'a user mapping goes before the environment');
is(keys_of("plain''s", role => 'plain'), "PLAINKEY|$mapping[0]|$mapping[1]|user mapping", 'and serves a storage of any role');
like(keys_of('machine', role => 'plain'), qr/^ENVKEY\|.*\|environment$/, 'others than its user do not get it');
$node->safe_psql('postgres', 'DROP USER MAPPING FOR postgres SERVER machine; DROP USER MAPPING FOR plain SERVER "plain\'s"');

#
# What the machine has serves storages of superusers
#
environment(
	AWS_ACCESS_KEY_ID => 'ENVKEY', AWS_SECRET_ACCESS_KEY => secret(), AWS_REGION => 'eu-north-1',
	AWS_CONTAINER_CREDENTIALS_FULL_URI => $service->endpoint . '/container',
	AWS_EC2_METADATA_DISABLED => 'false', AWS_EC2_METADATA_SERVICE_ENDPOINT => $service->endpoint);
foreach my $role (qw(postgres plain))
{
	is(keys_of("plain''s", role => $role), 'error', "a storage of another role gets none of them: $role");
	is( $error =~ s/^psql:<stdin>:\d+: //mgr, <<"EOS" =~ s/\n$//r, 'and is told so');
ERROR:  no access key for storage "plain's"
DETAIL:  The user mapping has no access key. Access keys of the server's machine are used only for storages that a superuser owns, and role "plain" is not a superuser.
HINT:  Add an access key with CREATE USER MAPPING FOR $role SERVER "plain's" OPTIONS (access_key_id '...', secret_access_key '...'), or make a superuser the owner of the foreign server.
EOS
}
is($node->safe_psql('postgres', q(SELECT region_of('plain''s'))), '', 'nor a region');
is($node->safe_psql('postgres', q(SELECT region_of('machine'))), 'eu-north-1', 'which others get');
is(scalar $service->requests, 0, 'nothing was asked for');
$node->safe_psql('postgres', q(ALTER ROLE plain SUPERUSER));
like(keys_of("plain''s"), qr/^ENVKEY/, 'until the owner is one');
$node->safe_psql('postgres', q(ALTER ROLE plain NOSUPERUSER));

#
# Nowhere
#
environment();
is(keys_of('machine'), 'error', 'no keys anywhere');
is( $error =~ s/^psql:<stdin>:\d+: //mgr, <<"EOS" =~ s/\n$//r, 'the error says where it looked');
ERROR:  no access key for storage "machine"
DETAIL:  user mapping: no access key for the current role
environment: AWS_ACCESS_KEY_ID is not set
profile: neither "$home/.aws/credentials" nor "$home/.aws/config" exists
web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set
container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set
instance metadata: AWS_EC2_METADATA_DISABLED is set
HINT:  Add an access key with CREATE USER MAPPING FOR postgres SERVER machine OPTIONS (access_key_id '...', secret_access_key '...').
EOS
is($node->safe_psql('postgres', q(SELECT region_of('machine'))), '', 'nor a region');

#
# Environment
#
my @secret = map { secret() } 1 .. 4;
environment(AWS_ACCESS_KEY_ID => 'ENVKEY', AWS_SECRET_ACCESS_KEY => $secret[0], AWS_DEFAULT_REGION => 'eu-south-2');
is(keys_of('machine'), "ENVKEY|$secret[0]|environment", 'environment');
is($node->safe_psql('postgres', q(SELECT region_of('machine'))), 'eu-south-2', 'AWS_DEFAULT_REGION');
environment(AWS_ACCESS_KEY_ID => 'ENVKEY', AWS_SECRET_ACCESS_KEY => $secret[0], AWS_SESSION_TOKEN => $secret[1]);
is(keys_of('machine'), "ENVKEY|$secret[0]|$secret[1]|environment", 'environment with a token');
environment(AWS_ACCESS_KEY_ID => 'ENVKEY');
is(keys_of('machine'), 'error', 'a key without its secret');
like($error, qr/environment: AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not\n/, 'ends the search');

#
# Profiles
#
file('.aws/credentials', <<"EOS");
# a comment = nothing
[default]
aws_access_key_id = FILEKEY
aws_secret_access_key=$secret[0]

[work]
  aws_access_key_id = NOT
aws_access_key_id	=	WORKKEY
; aws_secret_access_key = NOT
aws_secret_access_key = $secret[1]
aws_session_token = $secret[2]
EOS
file('.aws/config', <<"EOS");
[profile work]
region = ap-south-1
s3 =
  addressing_style = path
[profile other]
region = ca-west-1
aws_access_key_id = OTHERKEY
aws_secret_access_key = $secret[3]
[profile process]
credential_process = /bin/echo
[default]
region = sa-east-1
EOS
environment();
is(keys_of('machine'), "FILEKEY|$secret[0]|profile", 'the default profile');
is($node->safe_psql('postgres', q(SELECT region_of('machine'), region_of('work'))), 'sa-east-1|ap-south-1', 'with its region');
is(keys_of('work'), "WORKKEY|$secret[1]|$secret[2]|profile", 'the profile that the storage names');
environment(AWS_PROFILE => 'other');
is(keys_of('machine'), "OTHERKEY|$secret[3]|profile", 'AWS_PROFILE, and keys in the file of settings');
is($node->safe_psql('postgres', q(SELECT region_of('machine'), region_of('work'))), 'ca-west-1|ap-south-1', 'its region');
environment(AWS_PROFILE => 'other', AWS_ACCESS_KEY_ID => 'ENVKEY', AWS_SECRET_ACCESS_KEY => $secret[0]);
is(keys_of('machine'), "ENVKEY|$secret[0]|environment", 'the environment goes before AWS_PROFILE');
is(keys_of('work'), "WORKKEY|$secret[1]|$secret[2]|profile", 'but not before a profile that the storage names');
environment(AWS_PROFILE => 'none');
is(keys_of('machine'), 'error', 'a profile that does not exist');
like($error, qr{profile: profile "none" does not exist in "$home/.aws/credentials" or "$home/.aws/config"\n(?!web)}, 'ends the search');
environment(AWS_PROFILE => 'process');
is(keys_of('machine'), 'error', 'a profile with a way that is not followed');
like($error, qr/profile: profile "process" uses "credential_process", which pgmaint does not support/, 'is named');
my $elsewhere = file('elsewhere', "[default]\naws_access_key_id = ELSEKEY\naws_secret_access_key = $secret[0]\n");
environment(AWS_SHARED_CREDENTIALS_FILE => $elsewhere);
is(keys_of('machine'), "ELSEKEY|$secret[0]|profile", 'AWS_SHARED_CREDENTIALS_FILE');
environment(AWS_SHARED_CREDENTIALS_FILE => $home);
is(keys_of('machine'), 'error', 'a folder in the place of the file');
like($error, qr{profile: file "$home" is not a regular file or is too large}, 'is named');
SKIP:
{
	skip 'root may read everything', 2 if $> == 0;
	environment(AWS_SHARED_CREDENTIALS_FILE => file('elsewhere', "[default]\n", 0));
	is(keys_of('machine'), 'error', 'a file that may not be read');
	like($error, qr{profile: could not open file "$home/elsewhere": Permission denied}, 'ends the search');
}
file('.aws/credentials', "[default]\naws_access_key_id = HALFKEY\n");
environment();
is(keys_of('machine'), 'error', 'half of a pair');
like($error, qr/profile: profile "default" has only one of aws_access_key_id and aws_secret_access_key/, 'ends the search');
file('.aws/credentials', '');

#
# Answers over HTTP
#
sub timestamp
{
	my ($seconds) = @_;
	return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + $seconds));
}

# "all" is what every request of this method and path gets, from the nth on
sub answer
{
	my ($method, $path, $body, %options) = @_;

	$service->fault(
		kind => 'status', status => 200, method => qr/^$method$/, path => qr/^\Q$path\E$/,
		body => $body, times => 0, %options);
}

sub keys_in_json
{
	my ($key, $secret, $token, $seconds) = @_;
	return qq({"Code": "Success", "AccessKeyId": "$key", "SecretAccessKey": "$secret", "Token": "$token", "Expiration": ")
	  . timestamp($seconds) . '"}';
}

sub keys_in_xml
{
	my ($key, $secret, $token, $seconds) = @_;
	my $expiration = timestamp($seconds);

	return <<"EOS";
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>pod</SubjectFromWebIdentityToken>
    <Credentials><SessionToken>$token</SessionToken><SecretAccessKey>$secret</SecretAccessKey>
      <Expiration>$expiration</Expiration><AccessKeyId>$key</AccessKeyId></Credentials>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>
EOS
}

# the requests of the last look, a line for each
sub asked
{
	return join "\n", map { "$_->{method} $_->{target}" } $service->requests;
}

#
# Web identity
#
my $token = secret();
my $token_file = file('token', "$token\n");
my %web = (
	AWS_WEB_IDENTITY_TOKEN_FILE => $token_file, AWS_ROLE_ARN => 'arn:aws:iam::1:role/a b',
	AWS_ENDPOINT_URL_STS => $service->endpoint, AWS_CONTAINER_CREDENTIALS_FULL_URI => $service->endpoint . '/container');
environment(%web);
answer('POST', '/', keys_in_xml('WEBKEY', @secret[ 0, 1 ], 3600));
is(keys_of('machine'), "WEBKEY|$secret[0]|$secret[1]|web identity", 'web identity');
is(asked(), 'POST /', 'one request');
my ($request) = $service->requests;
is($request->{headers}{'content-type'}, 'application/x-www-form-urlencoded', 'its type');
is($request->{body},
	"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%20b&RoleSessionName=pgmaint&WebIdentityToken=$token",
	'its form');
foreach my $case (
	[ 'an error', { status => 403, body => '<ErrorResponse xmlns="x"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized</Message></Error></ErrorResponse>' },
		qr/answered with status 403, AccessDenied: Not authorized$/m ],
	[ 'no XML', { body => '{"nothing": 1}' }, qr/the answer from http.* is not from a credentials service/m ],
	[ 'a page', { body => '<html><body>Please log in</body></html>', headers => { 'Content-Type' => 'text/html' } }, qr{the answer from http.* is not from a credentials service \(content type text/html\)$}m ],
	[ 'a document type', { body => "<!DOCTYPE a [<!ENTITY b 'c'>]>" . keys_in_xml('WEBKEY', @secret[ 0, 1 ], 3600) }, qr/the answer from http.* is not from a credentials service/m ],
	[ 'no token', { body => keys_in_xml('WEBKEY', @secret[ 0, 1 ], 3600) =~ s/SessionToken/Other/gr }, qr/the answer does not contain an access key, its secret and a token$/m ],
	[ 'expired keys', { body => keys_in_xml('WEBKEY', @secret[ 0, 1 ], -1) }, qr/the answer contains an access key that expired at 20/ ],
	[ 'no time', { body => keys_in_xml('WEBKEY', @secret[ 0, 1 ], 0) =~ s/<Expiration>.*?</<Expiration>soon</r }, qr/the answer contains an invalid expiration time$/m ],
	[ 'too much', { body => keys_in_xml('WEBKEY', $secret[0], 'x' x 100000, 3600) }, qr/the answer is larger than 65536 bytes$/m ])
{
	my ($name, $answer, $expected) = @$case;

	$service->clear;
	answer('POST', '/', undef, %$answer);
	is(keys_of('machine'), 'error', "$name: no keys");
	like($error, qr/^web identity: /m, "$name: from this place");
	like($error, $expected, "$name: is told");
	unlike($error, qr/^container: /m, "$name: and ends the search");
}
$service->clear;
$service->forget;
answer('POST', '/', undef, status => 503, times => 2);
answer('POST', '/', keys_in_xml('WEBKEY', @secret[ 0, 1 ], 3600));
like(keys_of('machine'), qr/^WEBKEY/, 'a service that is busy');
is(scalar $service->requests, 3, 'is asked again');
$service->down;
is(keys_of('machine'), 'error', 'a service that is down');
like($error, qr{^web identity: http://127.0.0.1:\d+/: .*(refused|connect)}mi, 'is named');
$service->up;
environment(%web, AWS_ROLE_ARN => '');
keys_of('machine');
like($error, qr/^web identity: a web identity token file is set, but AWS_ROLE_ARN is not/m, 'a token without a role');
environment(%web, AWS_WEB_IDENTITY_TOKEN_FILE => "$home/nothing", AWS_ROLE_SESSION_NAME => 'mine');
keys_of('machine');
like($error, qr{^web identity: file "$home/nothing" does not exist$}m, 'a token that is not there');
file('.aws/config', "[profile work]\nrole_arn = arn:work\nweb_identity_token_file = $token_file\nrole_session_name = session\n");
answer('POST', '/', keys_in_xml('WEBKEY', @secret[ 0, 1 ], 3600));
like(keys_of('work'), qr/^WEBKEY.*web identity/, 'the role and the token of a profile');
like(($service->requests)[-1]{body}, qr/&RoleArn=arn%3Awork&RoleSessionName=session&WebIdentityToken=$token$/, 'are sent');
unlink "$home/.aws/config";

#
# Container
#
my $uri = $service->endpoint . '/container';
my $authorization = secret();
environment(AWS_CONTAINER_CREDENTIALS_FULL_URI => $uri, AWS_CONTAINER_AUTHORIZATION_TOKEN => $authorization);
answer('GET', '/container', keys_in_json('BOXKEY', @secret[ 0, 1 ], 3600));
is(keys_of('machine'), "BOXKEY|$secret[0]|$secret[1]|container", 'container');
is(($service->requests)[0]{headers}{authorization}, $authorization, 'shows its token');
$authorization = secret();
environment(AWS_CONTAINER_CREDENTIALS_FULL_URI => $uri, AWS_CONTAINER_AUTHORIZATION_TOKEN => 'old',
	AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE => file('authorization', "$authorization\n"));
answer('GET', '/container', keys_in_json('BOXKEY', @secret[ 0, 1 ], 3600));
like(keys_of('machine'), qr/^BOXKEY/, 'container with a file');
is(($service->requests)[0]{headers}{authorization}, $authorization, 'shows what is in it');
foreach my $case (
	[ 'an error', { status => 404 }, qr/answered with status 404$/m ],
	[ 'no JSON', { body => "{\"SecretAccessKey\": \"$secret[0]\"" }, qr/the answer from http.* is not from a credentials service/m ],
	[ 'an array', { body => "[\"$secret[0]\"]" }, qr/the answer from http.* is not from a credentials service/m ],
	[ 'no secret', { body => '{"AccessKeyId": "KEY", "SecretAccessKey": 1}' }, qr/the answer does not contain an access key, its secret and a token$/m ],
	[ 'bytes', { body => "\xff\xfe" }, qr/the answer from http.* is not from a credentials service/m ])
{
	my ($name, $answer, $expected) = @$case;

	$service->clear;
	answer('GET', '/container', undef, %$answer);
	is(keys_of('machine'), 'error', "$name: no keys");
	like($error, qr/^container: /m, "$name: from this place");
	like($error, $expected, "$name: is told");
	unlike($error, qr/^instance metadata: /m, "$name: and ends the search");
}
foreach my $foreign ('http://10.0.0.1/', 'http://example.com/', 'http://127.0.0.1@example.com/', 'http://127.example.com/', 'ftp://127.0.0.1/', 'localhost')
{
	environment(AWS_CONTAINER_CREDENTIALS_FULL_URI => $foreign);
	keys_of('machine');
	like($error, qr/^container: AWS_CONTAINER_CREDENTIALS_FULL_URI is neither an https URL nor an address/m, "$foreign is not asked");
}
environment(AWS_CONTAINER_CREDENTIALS_FULL_URI => $uri, AWS_CONTAINER_AUTHORIZATION_TOKEN => "a\nX-Other: b");
keys_of('machine');
like($error, qr/^container: AWS_CONTAINER_AUTHORIZATION_TOKEN contains a line break$/m, 'a token of several lines is not shown');
environment(AWS_CONTAINER_CREDENTIALS_RELATIVE_URI => '/v2/credentials/id');
keys_of('machine');
like($error, qr{^container: http://169.254.170.2/v2/credentials/id}m, 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI goes to the service of containers');

#
# Instance metadata
#
my $root = '/latest/meta-data/iam/security-credentials/';
my %instance = (AWS_EC2_METADATA_DISABLED => 'false', AWS_EC2_METADATA_SERVICE_ENDPOINT => $service->endpoint . '/');
sub instance_answers
{
	my ($session) = @_;

	$service->clear;
	$service->forget;
	answer('PUT', '/latest/api/token', $session || 'session');
	answer('GET', $root, "role\n");
}
environment(%instance);
my $session = secret();
instance_answers($session);
answer('GET', "${root}role", keys_in_json('VMKEY', @secret[ 0, 1 ], 3600));
is(keys_of('machine'), "VMKEY|$secret[0]|$secret[1]|instance metadata", 'instance metadata');
is(asked(), "PUT /latest/api/token\nGET $root\nGET ${root}role", 'in three steps');
my @requests = $service->requests;
like($requests[0]{headers}{'x-aws-ec2-metadata-token-ttl-seconds'}, qr/^\d+$/, 'the token has an end');
is($requests[$_]{headers}{'x-aws-ec2-metadata-token'}, $session, "and is shown, step $_") foreach 1, 2;
instance_answers();
keys_of('machine');
like($error, qr/^instance metadata: http.*role answered with status 404$/m, 'a role without keys');
$service->clear;
answer('PUT', '/latest/api/token', 'session');
keys_of('machine');
like($error, qr/^instance metadata: http.*security-credentials\/ answered with status 404$/m, 'an instance without a role');
# a captive portal answers everything with its page
my %page = (status => 200, headers => { 'Content-Type' => 'text/html' }, body => '<html><body>Please log in</body></html>');
foreach my $portal ("\\A/", "\\A\Q$root\E")
{
	$service->clear;
	answer('PUT', '/latest/api/token', 'session') if $portal ne "\\A/";
	$service->fault(kind => 'status', path => $portal, times => 0, %page);
	keys_of('machine');
	like($error, qr{^instance metadata: the answer from http\S+ is not from a credentials service \(content type text/html\)$}m, "a page in the place of $portal");
}
$service->clear;
$service->fault(kind => 'stall', method => 'PUT');
my $start = time;
keys_of('machine');
like($error, qr/^instance metadata: http.*token: /m, 'one that does not answer');
cmp_ok(time - $start, '<', 60, 'is not waited for');

#
# Renewal
#
# Ask until the answer is another; then what it is, and how long that took.
sub ask_until
{
	my ($psql, $other, $seconds) = @_;
	my $start = time;
	my $got = '';

	while (time - $start < $seconds)
	{
		$got = $psql->query(q(SELECT key FROM current_keys()));
		chomp $got;
		last if $got =~ $other;
		sleep 0.1;
	}
	return $got;
}
environment(%instance);
instance_answers();
answer('GET', "${root}role", keys_in_json('FIRST', @secret[ 0, 1 ], 20), times => 1);
answer('GET', "${root}role", keys_in_json('SECOND', @secret[ 2, 3 ], 3600));
my $offset = -s $node->logfile;
my $psql = $node->background_psql('postgres', on_error_stop => 0);
$psql->query(q(SELECT open_chain('machine')));
my $begun = time;
is(ask_until($psql, qr/./, 1), 'FIRST', 'renewal: the first keys');
is(ask_until($psql, qr/SECOND/, 60), 'SECOND', 'renewal: the second');
cmp_ok(time - $begun, '<', 20, 'renewal: before the first expire');
cmp_ok(time - $begun, '>', 5, 'renewal: but not long before');
my $count = () = $service->requests;
is(ask_until($psql, qr/SECOND/, 1), 'SECOND', 'renewal: they stay') foreach 1 .. 3;
is(scalar(my @all = $service->requests), $count, 'renewal: without asking again');
$service->clear;
instance_answers();
answer('GET', "${root}role", keys_in_json('THIRD', @secret[ 0, 1 ], 3600));
$psql->query('SELECT discard_keys()');
is(ask_until($psql, qr/./, 1), 'THIRD', 'renewal: keys that were refused are replaced');

# when it fails, the old ones are used as long as they are good
instance_answers();
$begun = time;
answer('GET', "${root}role", keys_in_json('FOURTH', @secret[ 0, 1 ], 6), times => 1);
$psql->query('SELECT discard_keys()');
is(ask_until($psql, qr/./, 1), 'FOURTH', 'failed renewal: short-lived keys');
like(ask_until($psql, qr/^(?!FOURTH)/, 60), qr/no access key|^$/, 'failed renewal: none in the end');
cmp_ok(time - $begun, '>=', 4.9, 'failed renewal: but as long as they were good');
my $log = substr slurp_file($node->logfile), $offset;
like($log, qr/LOG:  could not renew the access key for storage "machine"\n.*DETAIL:  The present access key expires at .*\n.*^\tinstance metadata: http.* answered with status 404$/ms, 'failed renewal: the log says so');
like($log, qr/ERROR:  no access key for storage "machine"/, 'failed renewal: an error in the end');

# nothing of it is where others look
my $shown = $node->safe_psql('postgres', 'SELECT * FROM pg_stat_activity');
like($shown, qr/current_keys/, 'pg_stat_activity shows the session');
is(scalar(grep { index($shown, $_) >= 0 } @secrets), 0, 'but no secret');
$psql->quit;
$node->stop;
$log = slurp_file($node->logfile);
like($log, qr/DEBUG:  .*LOG:  statement: SELECT open_chain/s, 'the log has what happens and every statement');
is(scalar(grep { index($log, $_) >= 0 } @secrets), 0, 'but no secret');

done_testing();
