# The proxy that makes things go wrong between pgmaint and its storage: without a
# fault it is not there, and each fault is what its name says, once.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use FaultProxy;
use HTTP::Tiny;
use POSIX ();
use PgmaintS3;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => PgmaintS3::missing() if PgmaintS3::missing();

my $s3 = PgmaintS3->start;
my $log = "$PostgreSQL::Test::Utils::log_path/faults.log";
my $proxy = FaultProxy->start(upstream => $s3->address, log => $log);
my $through = $s3->through($proxy);

$through->create_bucket('bucket');

# nothing but what passes
my $large = join '', map { chr($_ * 7 % 251) x 1000 } 1 .. 12000;
$through->put('bucket', 'large', $large);
ok($s3->get('bucket', 'large') eq $large, '12 MB arrive');
ok($through->get('bucket', 'large') eq $large, 'and come back');
is($through->head('bucket', 'large')->{'content-length'}, length $large, 'HEAD');
is($through->request('GET', '/bucket/none')->{status}, 404, 'an answer that is an error');
is(join(' ', $through->names('bucket')), 'large', 'a list');
is(scalar $proxy->faults, 0, 'no faults');
my @requests = $proxy->requests;
is(join(' ', map { "$_->{method}:" . ($_->{status} || 'none') } @requests), 'PUT:200 PUT:200 GET:200 HEAD:200 GET:404 GET:200', 'the requests');
like($requests[1]{headers}{authorization}, qr/^AWS4-HMAC-SHA256 /, 'with their headers');
$proxy->forget;

# A fault, what the client sees (599 is HTTP::Tiny's "no answer"), and whether
# the server has the object then.
sub attempt
{
	my ($name, $status, $exists, %fault) = @_;
	my ($answer, @faults);

	$s3->remove('bucket', 'small');
	$proxy->clear;
	$proxy->forget;
	$proxy->fault(method => 'PUT', path => qr/small$/, %fault);
	$answer = $through->request('PUT', '/bucket/small', content => 'x' x 1000);
	is($answer->{status}, $status, "$name: status") or diag($answer->{content});
	is(defined $s3->get('bucket', 'small') ? 1 : 0, $exists, "$name: " . ($exists ? 'done' : 'not done'));
	@faults = $proxy->faults;
	is(scalar @faults, 1, "$name: one fault");
	like($faults[0], qr{PUT /bucket/small}, "$name: of this request");
	is($through->request('PUT', '/bucket/small', content => 'y')->{status}, 200, "$name: not again");
	return $answer;
}

attempt('reset before', 599, 0, kind => 'reset');
attempt('reset in the body', 599, 0, kind => 'reset', when => 'body');
attempt('reset after', 599, 1, kind => 'reset', when => 'after');
# HTTP::Tiny tries once more by itself
attempt('truncated', 200, 1, kind => 'truncate');
attempt('reset in the answer', 599, 1, kind => 'reset', when => 'answer');
my $answer = attempt('500', 500, 0, kind => 'status', status => 500, code => 'InternalError');
like($answer->{content}, qr{<Code>InternalError</Code>}, '500: in the XML');
attempt('500, but done', 500, 1, kind => 'status', when => 'after', status => 500, code => 'InternalError');
$answer = attempt('503', 503, 0, kind => 'status', status => 503, code => 'SlowDown', retry_after => 7);
is($answer->{headers}{'retry-after'}, 7, '503: Retry-After');
$answer = attempt('wrong ETag', 200, 1, kind => 'etag');
is($answer->{headers}{etag}, '"' . '0' x 32 . '"', 'wrong ETag: in the header');
$answer = attempt('200 with an error', 200, 0, kind => 'status', status => 200, code => 'InternalError');
like($answer->{content}, qr{<Error><Code>InternalError</Code>}, '200 with an error: it has it');
attempt('corrupt body', 400, 0, kind => 'corrupt', when => 'body');

# stalls: the client gives up
foreach my $case ([ 'before', 0 ], [ 'body', 0 ], [ 'after', 1 ], [ 'answer', 1 ])
{
	my ($when, $exists) = @$case;
	my $start = time;

	$s3->remove('bucket', 'small');
	$proxy->clear;
	$proxy->forget;
	$proxy->fault(kind => 'stall', when => $when, method => 'PUT');
	$answer = $through->request('PUT', '/bucket/small', content => 'x' x 100, timeout => 1);
	is($answer->{status}, 599, "stall $when: no answer");
	cmp_ok(time - $start, '>=', 0.9, "stall $when: for as long as one waits");
	# the server may take longer than the client waits
	$proxy->wait_for_faults(1);
	is(defined $s3->get('bucket', 'small') ? 1 : 0, $exists, "stall $when: " . ($exists ? 'done' : 'not done'));
	is(scalar $proxy->faults, 1, "stall $when: one fault");
}

# by chance, and the same again with the same seed
my @rounds;
foreach my $round (1, 2)
{
	$proxy->clear;
	$proxy->forget;
	$proxy->fault(kind => 'status', status => 503, code => 'SlowDown', method => 'GET', probability => 0.3, seed => 42);
	push @rounds, join '', map { $through->request('GET', '/bucket/small')->{status} == 503 ? 'x' : '.' } 1 .. 100;
	my $count = () = $rounds[-1] =~ /x/g;
	is(scalar $proxy->faults, $count, 'each fault is noted');
	cmp_ok($count, '>', 15, 'about as many as was asked for');
	cmp_ok($count, '<', 45, 'and not more');
}
is($rounds[0], $rounds[1], 'the same requests');

# the third and the fourth of these
$proxy->clear;
$proxy->fault(kind => 'status', status => 429, query => qr/^n=/, nth => 3, times => 2);
is(join(' ', map { $through->request('GET', '/bucket/large', query => $_)->{status} } { n => 1 }, {}, { n => 2 }, { n => 3 }, {}, { n => 4 }, { n => 5 }),
	'200 200 200 429 200 429 200', 'by number');

# what comes back is another
$proxy->clear;
$proxy->fault(kind => 'corrupt', method => 'GET');
my $other = $through->get('bucket', 'large');
is(length $other, length $large, 'a corrupt answer: of the same length');
ok($other ne $large, 'and different');
ok($through->get('bucket', 'large') eq $large, 'but once');

$proxy->fault(kind => 'truncate', method => 'GET', times => 2);
is($through->request('GET', '/bucket/large')->{status}, 599, 'a truncated answer breaks off');

# slowly, and not at all
$proxy->fault(kind => 'delay', seconds => 1);
my $start = time;
is($through->get('bucket', 'small'), 'x' x 100, 'a delay');
cmp_ok(time - $start, '>=', 1, 'takes its time');
$proxy->down;
is($through->request('GET', '/bucket/small')->{status}, 599, 'down');
$proxy->up;
is($through->request('GET', '/bucket/small')->{status}, 200, 'and up again');

# until it is told to go on
$proxy->forget;
$proxy->fault(kind => 'hold', method => 'PUT');
is($through->request('PUT', '/bucket/held', content => 'x' x 100, timeout => 1)->{status}, 599, 'held: no answer');
$proxy->wait_for_faults(1);
is(defined $s3->get('bucket', 'held') ? 1 : 0, 0, 'held: nothing is forwarded');
is(join(' ', $proxy->faults), 'hold before PUT /bucket/held', 'held: it is noted');
$proxy->fault(kind => 'hold', method => 'PUT');
my $pid = fork;
die "could not fork: $!" unless defined $pid;
POSIX::_exit($through->request('PUT', '/bucket/held', content => 'x' x 100)->{status} == 200 ? 0 : 1) if $pid == 0;
$proxy->wait_for_faults(2) or die 'nothing is held';
$proxy->release;
waitpid $pid, 0;
is($?, 0, 'released: it is answered');
is($s3->get('bucket', 'held'), 'x' x 100, 'released: it is done');

# without a server behind it
my $alone = FaultProxy->start;
$alone->fault(kind => 'status', status => 200, path => qr{^/hello$}, body => 'hello', headers => { 'Content-Type' => 'text/plain' }, times => 0);
my $http = HTTP::Tiny->new;
is($http->get($alone->endpoint . '/hello')->{content}, 'hello', 'an answer of its own') foreach 1, 2;
is($http->get($alone->endpoint . '/other')->{status}, 404, 'and no other');
$alone->stop;

cmp_ok(scalar(my @lines = split /\n/, slurp_file($log)), '>', 50, 'the log has them all');
$proxy->stop;

done_testing();
