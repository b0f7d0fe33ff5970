# An S3 server of a test's own, a real one: radosgw on a Ceph cluster, which
# test/tools/radosgw starts.  It is gone when the test ends, however it ends.
#
# What is in its buckets is looked at with a client that shares nothing with
# pgmaint's: it is written here, and signs with Digest::SHA.

package PgmaintS3;

use strict;
use warnings;

use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256 hmac_sha256_hex sha256_hex);
use File::Basename qw(dirname);
use HTTP::Tiny;
use IPC::Run;
use POSIX qw(strftime);
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

my $tool = abs_path(dirname(__FILE__) . '/../tools/radosgw');
my @running;

# Why there can be no server here, or nothing.
sub missing
{
	foreach my $program (qw(ceph-mon ceph-osd radosgw radosgw-admin ceph monmaptool))
	{
		return "no S3 server can be started, for there is no $program: test/tools/setup s3 installs it"
		  unless grep { -x "$_/$program" } split /:/, $ENV{PATH};
	}
	return;
}

# tls => 1: with TLS too.  sts => 1: with temporary keys, also for seconds only.
# disk => 1: for more than 2 GB.  set => [ line, ... ]: of its configuration.
sub start
{
	my ($class, %options) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir_short() . '/s3';
	my @arguments = map { "--$_" } grep { $options{$_} } qw(tls sts disk);

	push @arguments, '--set=rgw sts min session duration = 1' if $options{sts};
	push @arguments, map { "--set=$_" } @{ $options{set} || [] };

	my $pid = fork;
	die "could not fork: $!\n" unless defined $pid;
	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', "$folder.log";
		open STDERR, '>&', \*STDOUT;
		exec 'setpriv', '--pdeathsig', 'TERM', $tool, 'run', $folder, @arguments
		  or POSIX::_exit(127);
	}

	my $self = bless { folder => $folder, pid => $pid, users => {} }, $class;
	push @running, $self;

	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	until (-e "$folder/ready")
	{
		die "the S3 server did not start: " . slurp_file("$folder.log")
		  if waitpid($pid, POSIX::WNOHANG()) != 0 || time > $deadline;
		sleep 0.02;
	}
	foreach my $line (split /\n/, slurp_file("$folder/ready"))
	{
		my ($name, $value) = split /=/, $line, 2;
		$self->{$name} = $value;
	}
	if ($options{sts})
	{
		my $trust = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["sts:AssumeRole"]}]}';
		my $policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": "arn:aws:s3:::*"}]}';

		$self->admin('role', 'create', '--role-name=writer', "--assume-role-policy-doc=$trust");
		$self->admin('role-policy', 'put', '--role-name=writer', '--policy-name=everything', "--policy-doc=$policy");
	}
	return $self;
}

sub stop
{
	my ($self) = @_;

	return unless $self->{pid};
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = undef;
}

END
{
	my $status = $?;

	$_->stop foreach @running;
	$? = $status;
}

sub endpoint { return $_[0]->{endpoint} }
sub tls_endpoint { return $_[0]->{tls_endpoint} }
sub ca_file { return $_[0]->{ca_file} }
sub access_key { return $_[0]->{access_key} }
sub secret_key { return $_[0]->{secret_key} }

# the same server, by way of a proxy
sub through
{
	my ($self, $proxy) = @_;
	return bless { %$self, endpoint => $proxy->endpoint, pid => undef }, ref $self;
}

# host and port, for a proxy
sub address { return $_[0]->{endpoint} =~ m{^http://(.*)$} ? $1 : undef }

# radosgw-admin; returns what it printed
sub admin
{
	my ($self, @arguments) = @_;
	my ($out, $err);

	IPC::Run::run([ $tool, 'admin', $self->{folder}, @arguments ], '>', \$out, '2>', \$err)
	  or die "radosgw-admin @arguments failed: $err";
	return $out;
}

# A user of this name besides; returns the key and its secret.
sub create_user
{
	my ($self, $name) = @_;
	my ($access, $secret) = (uc("KEY$name"), sha256_hex(rand() . $name));

	$self->admin('user', 'create', "--uid=$name", "--display-name=$name", "--access-key=$access", "--secret-key=$secret");
	return ($access, $secret);
}

# The bucket takes no more than this, at once: max_size in bytes, max_objects.
# Without either the limit is removed.
sub set_quota
{
	my ($self, $bucket, %limits) = @_;

	if (%limits)
	{
		$self->admin('quota', 'set', '--quota-scope=bucket', "--bucket=$bucket",
			map { my $option = "--$_=$limits{$_}"; $option =~ tr/_/-/; $option } sort keys %limits);
	}
	$self->admin('quota', %limits ? 'enable' : 'disable', '--quota-scope=bucket', "--bucket=$bucket");
}

sub encode
{
	my ($text, $keep) = @_;

	$keep = '' unless defined $keep;
	$text =~ s/([^A-Za-z0-9\-._~$keep])/sprintf '%%%02X', ord $1/ge;
	return $text;
}

# One request, signed with the first user's keys, or with those that are given:
# access_key, secret_key, session_token.  Options: query, headers (hashes),
# content, service, timeout (seconds).  Returns HTTP::Tiny's answer.
sub request
{
	my ($self, $method, $path, %options) = @_;
	my %query = %{ $options{query} || {} };
	my $content = defined $options{content} ? $options{content} : '';
	my $service = $options{service} || 's3';
	my $stamp = strftime('%Y%m%dT%H%M%SZ', gmtime);
	my $scope = substr($stamp, 0, 8) . "/us-east-1/$service/aws4_request";
	my ($access, $secret, $token) = map { $options{$_} } qw(access_key secret_key session_token);
	my $hash = sha256_hex($content);
	my %headers = (
		%{ $options{headers} || {} },
		'x-amz-content-sha256' => $hash,
		'x-amz-date' => $stamp);

	($access, $secret) = ($self->access_key, $self->secret_key) unless defined $access;
	$headers{'x-amz-security-token'} = $token if defined $token;

	my %signed = (%headers, host => $self->address);
	my $names = join ';', sort map { lc } keys %signed;
	my $encoded = encode($path, '/');
	my $query = join '&', map { encode($_) . '=' . encode($query{$_}) } sort keys %query;
	my $canonical = join "\n", $method, $encoded, $query,
	  (map { lc($_) . ':' . $signed{$_} } sort { lc $a cmp lc $b } keys %signed), '', $names, $hash;
	my $key = "AWS4$secret";

	$key = hmac_sha256($_, $key) foreach split m{/}, $scope;
	my $signature = hmac_sha256_hex(join("\n", 'AWS4-HMAC-SHA256', $stamp, $scope, sha256_hex($canonical)), $key);
	$headers{authorization} = "AWS4-HMAC-SHA256 Credential=$access/$scope, SignedHeaders=$names, Signature=$signature";

	return HTTP::Tiny->new(timeout => $options{timeout} || 60)->request($method,
		$self->endpoint . $encoded . ($query ne '' ? "?$query" : ''),
		{ headers => \%headers, content => $content });
}

# A request that must succeed.
sub perform
{
	my ($self, $method, $path, %options) = @_;
	my $answer = $self->request($method, $path, %options);

	die "$method $path: $answer->{status} $answer->{content}\n" unless $answer->{success};
	return $answer;
}

sub create_bucket
{
	my ($self, $bucket) = @_;
	$self->perform('PUT', "/$bucket");
}

sub put
{
	my ($self, $bucket, $key, $content) = @_;
	$self->perform('PUT', "/$bucket/$key", content => $content);
}

# what an object contains, or undef when there is none
sub get
{
	my ($self, $bucket, $key) = @_;
	my $answer = $self->request('GET', "/$bucket/$key");

	return if $answer->{status} == 404;
	die "GET /$bucket/$key: $answer->{status} $answer->{content}\n" unless $answer->{success};
	return $answer->{content};
}

# an object's headers, or undef
sub head
{
	my ($self, $bucket, $key) = @_;
	my $answer = $self->request('HEAD', "/$bucket/$key");

	return $answer->{success} ? $answer->{headers} : undef;
}

sub remove
{
	my ($self, $bucket, $key) = @_;
	$self->perform('DELETE', "/$bucket/$key");
}

sub text_of
{
	my ($element, $xml) = @_;
	my ($text) = $xml =~ m{<$element>(.*?)</$element>}s;

	return unless defined $text;
	$text =~ s/&(lt|gt|quot|apos|amp);/{ lt => '<', gt => '>', quot => '"', apos => "'", amp => '&' }->{$1}/ge;
	return $text;
}

# What is in a bucket: a hash of key, bytes and etag for each object, in the
# order of the keys.
sub objects
{
	my ($self, $bucket, $prefix) = @_;
	my %query = ('list-type' => 2, 'prefix' => defined $prefix ? $prefix : '');
	my @objects;

	while (1)
	{
		my $xml = $self->perform('GET', "/$bucket", query => \%query)->{content};

		while ($xml =~ m{<Contents>(.*?)</Contents>}sg)
		{
			my $object = $1;
			my $etag = text_of('ETag', $object);

			$etag =~ s/^"(.*)"$/$1/;
			push @objects, { key => text_of('Key', $object), bytes => text_of('Size', $object), etag => $etag };
		}
		my $next = text_of('NextContinuationToken', $xml);
		return @objects unless defined $next && $next ne '';
		$query{'continuation-token'} = $next;
	}
}

# their keys alone
sub names
{
	my ($self, $bucket, $prefix) = @_;
	return map { $_->{key} } $self->objects($bucket, $prefix);
}

# the multipart uploads that were begun and neither completed nor aborted: a
# hash of key and id for each
sub uploads
{
	my ($self, $bucket) = @_;
	my $xml = $self->perform('GET', "/$bucket", query => { uploads => '' })->{content};
	my @uploads;

	while ($xml =~ m{<Upload>(.*?)</Upload>}sg)
	{
		my $upload = $1;
		push @uploads, { key => text_of('Key', $upload), id => text_of('UploadId', $upload) };
	}
	return @uploads;
}

# Temporary keys for so many seconds: a hash of access_key, secret_key,
# session_token and expiration.  Needs sts => 1.
sub assume_role
{
	my ($self, $seconds) = @_;
	my %fields = (
		Action => 'AssumeRole',
		Version => '2011-06-15',
		RoleArn => 'arn:aws:iam:::role/writer',
		RoleSessionName => 'test',
		DurationSeconds => $seconds);

	my $form = join '&', map { encode($_) . '=' . encode($fields{$_}) } sort keys %fields;
	my $xml = $self->perform('POST', '/',
		service => 'sts',
		headers => { 'content-type' => 'application/x-www-form-urlencoded' },
		content => $form)->{content};

	return {
		access_key => text_of('AccessKeyId', $xml),
		secret_key => text_of('SecretAccessKey', $xml),
		session_token => text_of('SessionToken', $xml),
		expiration => text_of('Expiration', $xml) };
}

# Makes a FaultProxy that stands for an instance's metadata hand out these keys
# from now on, and say that they are good for so many seconds.
sub hand_out
{
	my ($metadata, $keys, $seconds) = @_;
	my $root = '/latest/meta-data/iam/security-credentials/';
	my $expiration = strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + $seconds));
	my %answers = (
		'/latest/api/token' => 'session',
		$root => 'role',
		"${root}role" => qq({"Code": "Success", "AccessKeyId": "$keys->{access_key}", "SecretAccessKey": "$keys->{secret_key}",
			"Token": "$keys->{session_token}", "Expiration": "$expiration"}));

	$metadata->clear;
	$metadata->fault(kind => 'status', status => 200, path => qr/^\Q$_\E$/, body => $answers{$_}, times => 0) foreach sort keys %answers;
	return;
}

# Whether the aws command line client is here; Debian's, which every user has.
sub has_aws { return -x '/usr/bin/aws' }

# Runs it with this server and returns what it printed.
sub aws
{
	my ($self, @arguments) = @_;
	my ($out, $err);

	local %ENV = (
		%ENV,
		AWS_ACCESS_KEY_ID => $self->access_key,
		AWS_SECRET_ACCESS_KEY => $self->secret_key,
		AWS_DEFAULT_REGION => 'us-east-1',
		AWS_CONFIG_FILE => '/dev/null',
		AWS_SHARED_CREDENTIALS_FILE => '/dev/null',
		AWS_EC2_METADATA_DISABLED => 'true');
	IPC::Run::run([ '/usr/bin/aws', '--endpoint-url', $self->endpoint, @arguments ], '>', \$out, '2>', \$err)
	  or die "aws @arguments failed: $err";
	return $out;
}

# SQL that makes a storage in this bucket, with the first user's keys for the
# current user.  Options: prefix, and the foreign server's own.
sub storage
{
	my ($self, $name, $bucket, %options) = @_;
	my $prefix = delete $options{prefix};
	my %all = (
		url => "s3://$bucket" . (defined $prefix ? "/$prefix" : ''),
		endpoint => $self->endpoint,
		region => 'us-east-1',
		%options);

	return sprintf(
		"CREATE SERVER %s FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (%s);\n"
		  . "CREATE USER MAPPING FOR CURRENT_USER SERVER %s OPTIONS (access_key_id '%s', secret_access_key '%s');\n",
		$name, join(', ', map { "$_ '$all{$_}'" } sort keys %all),
		$name, $self->access_key, $self->secret_key);
}

1;
