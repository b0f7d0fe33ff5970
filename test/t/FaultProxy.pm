# Stands between a client and an HTTP server and makes go wrong what a test
# asks for: connections that break, at any moment, answers that never come, come
# in part or are others than the server gave.
#
#   my $proxy = FaultProxy->start(upstream => '127.0.0.1:8000');
#   $proxy->fault(kind => 'reset', when => 'after', method => 'PUT', query => qr/partNumber/, nth => 3);
#   ... $proxy->endpoint ...
#   is(scalar $proxy->faults, 1);
#
# Requests and answers pass as they are, the header Host too, piece by piece.
# Without an upstream, every request that no fault answers gets 404: so it is a
# server of a few fixed answers as well.
#
# A fault is for requests by method, path and query (regular expressions, of
# which those that are not given match everything), and happens
#
#   nth => n            to the n-th of them, and as long as "times" says from
#                       then on; the first if nothing is said
#   times => n          so often; once if nothing is said, 0 for ever
#   probability => p    to each of them by chance, for ever or so many times
#   seed => n           ... in the same way each time
#
# A request has one fault, the first in the order in which they were asked for.
# Kinds:
#
#   reset       the connection is reset
#   stall       no more bytes are sent
#   truncate    the connection is closed in the middle of the answer
#   status      another answer: status, code and message in S3's XML, or body;
#               headers (a hash), retry_after
#   etag        a wrong ETag, in the answer's header and in its XML
#   corrupt     one byte of the body is another; when => 'body' is the request's
#   delay       it takes so many seconds longer
#   hold        it waits for release(), before anything of it is forwarded
#
# reset and stall have a moment: when => 'before' anything was forwarded, in the
# middle of the request's 'body', 'after' the server has done it and answered, in
# the middle of the 'answer'.  For status, 'after' makes the server do it first.

package FaultProxy;

use strict;
use warnings;

use Errno qw(EAGAIN EINTR EINPROGRESS EWOULDBLOCK);
use IO::Handle;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Socket qw(AF_UNIX IPPROTO_TCP PF_UNSPEC SOCK_STREAM SOL_SOCKET SO_LINGER TCP_NODELAY);
use Time::HiRes qw(sleep time);

my %kinds = map { $_ => 1 } qw(reset stall truncate status etag corrupt delay hold);
my %moments = map { $_ => 1 } qw(before body after answer);
my %names = map { $_ => 1 }
  qw(kind when method path query nth times probability seed status code message body headers retry_after seconds);

# seconds: longer than any test holds a request
my $for_good = 1_000_000;

# what is kept of a body at most, while one side is slower than the other
my $enough = 1024 * 1024;

#
# The side of the test
#

my @running;

sub start
{
	my ($class, %options) = @_;
	my $listener = listen_at(0);
	my ($control, $other);

	socketpair $control, $other, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "no socket pair: $!\n";
	$_->autoflush(1) foreach $control, $other;

	my $self = bless { port => $listener->sockport, control => $control }, $class;
	my $pid = fork;
	die "could not fork: $!\n" unless defined $pid;
	if ($pid == 0)
	{
		close $control;
		$SIG{$_} = 'DEFAULT' foreach qw(INT TERM HUP ALRM __DIE__);
		$SIG{PIPE} = 'IGNORE';
		# what the test has open must end with the test
		foreach my $fd (map { m{(\d+)$} } glob '/proc/self/fd/*')
		{
			POSIX::close($fd) unless $fd <= 2 || $fd == fileno $listener || $fd == fileno $other;
		}
		eval { serve($listener, $other, $options{upstream}, $options{log}); 1 }
		  or print STDERR "fault proxy: $@";
		POSIX::_exit(0);
	}
	close $other;
	close $listener;
	$self->{pid} = $pid;
	push @running, $self;
	return $self;
}

sub stop
{
	my ($self) = @_;

	return unless $self->{pid};
	close $self->{control};
	waitpid $self->{pid}, 0;
	$self->{pid} = undef;
}

END
{
	my $status = $?;

	$_->stop foreach @running;
	$? = $status;
}

sub endpoint { return "http://127.0.0.1:$_[0]->{port}" }

sub ask
{
	my ($self, $what, $argument) = @_;

	print { $self->{control} } encode_json([ $what, $argument ]), "\n";
	my $line = readline $self->{control};
	die "the fault proxy has gone\n" unless defined $line;
	return decode_json($line)->[0];
}

sub fault
{
	my ($self, %rule) = @_;

	foreach my $name (keys %rule)
	{
		die "a fault has no $name\n" unless $names{$name};
	}
	die "there is no such kind of fault\n" unless $kinds{ $rule{kind} || '' };
	die "there is no such moment\n" unless !defined $rule{when} || $moments{ $rule{when} };
	defined $rule{$_} and $rule{$_} = "$rule{$_}" foreach qw(method path query);
	$self->ask('fault', \%rule);
}

# end all faults
sub clear { $_[0]->ask('clear') }

# the faults that happened, a line for each: kind, moment, method, target
sub faults { return @{ $_[0]->ask('faults') } }

# the requests that were seen: hashes of method, target, path, query, headers
# (names in lower case), body (its beginning), and the status that the client was
# told, or none
sub requests { return @{ $_[0]->ask('requests') } }

# the requests that are held go on
sub release { $_[0]->ask('release') }

# forget the faults and the requests there were
sub forget { $_[0]->ask('forget') }

# connections are refused, and those there are broken; and taken again
sub down { $_[0]->ask('down') }
sub up { $_[0]->ask('up') }

# Wait until so many faults have happened.
sub wait_for_faults
{
	my ($self, $count, $seconds) = @_;
	my $deadline = time + ($seconds || 180);

	while ($self->faults < $count)
	{
		return 0 if time > $deadline;
		sleep 0.02;
	}
	return 1;
}

#
# The side of the proxy: one process, which never waits for one connection
#

my ($listener, $port, $upstream, $log);
my (%connections, @rules, @faults, @requests);

sub listen_at
{
	my ($port) = @_;
	my $socket = IO::Socket::INET->new(
		Listen => 64,
		LocalAddr => '127.0.0.1',
		LocalPort => $port,
		ReuseAddr => 1) or die "could not listen: $!\n";

	$socket->blocking(0);
	return $socket;
}

sub serve
{
	my ($control, $log_file);
	($listener, $control, $upstream, $log_file) = @_;
	$port = $listener->sockport;
	if (defined $log_file)
	{
		open $log, '>>', $log_file or die "could not open $log_file: $!\n";
		$log->autoflush(1);
	}

	while (1)
	{
		my ($read, $write) = ('', '');
		my $wait;

		vec($read, fileno $control, 1) = 1;
		vec($read, fileno $listener, 1) = 1 if $listener;
		foreach my $c (values %connections)
		{
			vec($read, fileno $c->{client}, 1) = 1 if $c->{stalled} || length $c->{from_client} < $enough;
			vec($write, fileno $c->{client}, 1) = 1 if length $c->{to_client} && !$c->{stalled};
			if (defined $c->{resume})
			{
				my $left = $c->{resume} - time;
				$left = 0 if $left < 0;
				$wait = $left if !defined $wait || $left < $wait;
			}
			next unless $c->{server};
			vec($read, fileno $c->{server}, 1) = 1 if length $c->{to_client} < $enough;
			vec($write, fileno $c->{server}, 1) = 1 if length $c->{to_server};
		}
		next if select($read, $write, undef, $wait) < 0;

		if (vec($read, fileno $control, 1))
		{
			my $line = readline $control;
			return unless defined $line;
			my ($what, $argument) = @{ decode_json($line) };
			print $control encode_json([ command($what, $argument) ]), "\n";
			next;
		}
		if ($listener && vec($read, fileno $listener, 1))
		{
			my $client = $listener->accept;
			add_connection($client) if $client;
		}
		foreach my $c (values %connections)
		{
			my ($client, $server) = ($c->{client}, $c->{server});

			turn($c, vec($read, fileno $client, 1), vec($write, fileno $client, 1),
				$server && vec($read, fileno $server, 1), $server && vec($write, fileno $server, 1));
		}
	}
}

sub command
{
	my ($what, $argument) = @_;

	return \@faults if $what eq 'faults';
	return \@requests if $what eq 'requests';
	if ($what eq 'fault')
	{
		my %rule = (
			when => 'before',
			method => '.', path => '.', query => '',
			nth => 1,
			times => defined $argument->{probability} ? 0 : 1,
			seed => 1,
			%$argument,
			seen => 0, done => 0);
		$rule{$_} = qr/$rule{$_}/ foreach qw(method path query);
		push @rules, \%rule;
	}
	elsif ($what eq 'clear')
	{
		@rules = ();
	}
	elsif ($what eq 'release')
	{
		$_->{resume} = time foreach grep { defined $_->{resume} && $_->{fault}{kind} eq 'hold' } values %connections;
	}
	elsif ($what eq 'forget')
	{
		@faults = @requests = ();
	}
	elsif ($what eq 'down')
	{
		close $listener if $listener;
		$listener = undef;
		reset_connection($_) foreach values %connections;
	}
	elsif ($what eq 'up')
	{
		$listener ||= listen_at($port);
	}
	return 1;
}

sub add_connection
{
	my ($client) = @_;

	$client->blocking(0);
	setsockopt $client, IPPROTO_TCP, TCP_NODELAY, 1;
	$connections{ fileno $client } = {
		client => $client,
		server => undef,
		from_client => '', to_client => '', from_server => '', to_server => '',
		state => 'head' };
}

sub drop_server
{
	my ($c) = @_;

	close $c->{server} if $c->{server};
	$c->{server} = undef;
	$c->{to_server} = $c->{from_server} = '';
}

sub drop
{
	my ($c) = @_;

	drop_server($c);
	delete $connections{ fileno $c->{client} };
	close $c->{client};
	$c->{gone} = 1;
}

sub reset_connection
{
	my ($c) = @_;

	setsockopt $c->{client}, SOL_SOCKET, SO_LINGER, pack('II', 1, 0);
	drop($c);
}

# what came from a socket, '' if nothing did, undef at its end
sub take
{
	my ($socket) = @_;
	my $count = sysread $socket, my $data, 262144;

	return $data if $count;
	return if defined $count;
	return $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR ? '' : undef;
}

# sends what it can, and takes it off the buffer; false if the peer is gone
sub give
{
	my ($socket, $buffer) = @_;
	my $count = syswrite $socket, $$buffer, 262144;

	substr($$buffer, 0, $count, '') if $count;
	return defined $count || $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR || $! == EINPROGRESS;
}

# One connection's turn, with what can be done on its two sockets.
sub turn
{
	my ($c, $client_has, $client_takes, $server_has, $server_takes) = @_;

	return if $c->{gone};
	if ($client_has)
	{
		my $data = take($c->{client});
		return drop($c) unless defined $data;
		$c->{from_client} .= $data unless $c->{stalled};
	}
	return if $c->{stalled};
	if ($server_takes && !give($c->{server}, \$c->{to_server}))
	{
		# it may have answered before it closed
		$c->{to_server} = '';
	}
	if ($server_has && $c->{server})
	{
		my $data = take($c->{server});
		if (defined $data)
		{
			$c->{from_server} .= $data;
			answer($c);
		}
		elsif ($c->{answer} && $c->{answer}{kind} eq 'until close')
		{
			end_of_answer($c);
		}
		else
		{
			return reset_connection($c);
		}
	}
	return if $c->{gone} || $c->{stalled};
	request($c);
	return if $c->{gone} || $c->{stalled};
	if (($client_takes || length $c->{to_client}) && !give($c->{client}, \$c->{to_client}))
	{
		return drop($c);
	}
	drop($c) if $c->{close} && !length $c->{to_client};
}

# From the client: requests, one after the other.
sub request
{
	my ($c) = @_;

	while (!$c->{gone} && !$c->{stalled})
	{
		if (defined $c->{resume})
		{
			return if time < $c->{resume};
			$c->{resume} = undef;
			connect_server($c);
		}
		if ($c->{state} eq 'head')
		{
			return unless $c->{from_client} =~ s/^(.*?\r\n\r\n)//s;
			begin_request($c, $1);
		}
		elsif ($c->{state} eq 'body')
		{
			my $count = length $c->{from_client};
			$count = $c->{left} if $count > $c->{left};
			return if $c->{left} > 0 && $count == 0 || length $c->{to_server} > $enough;
			move_body($c, substr($c->{from_client}, 0, $count, ''));
		}
		else
		{
			return;
		}
	}
}

sub begin_request
{
	my ($c, $head) = @_;
	my ($method, $target) = $head =~ /^(\S+) (\S+)/;
	my ($path, $query) = split /\?/, $target, 2;
	my %headers = map { my ($name, $value) = split /:\s*/, $_, 2; (lc $name, $value) } grep { defined && /:/ } (split /\r\n/, $head)[1 .. 100];

	$query = '' unless defined $query;
	$c->{request} = {
		method => $method, target => $target, path => $path, query => $query,
		headers => \%headers, body => '', status => undef };
	push @requests, $c->{request};
	$c->{left} = $c->{length} = $headers{'content-length'} || 0;
	$c->{state} = 'body';
	$c->{answer} = undef;
	$c->{fault} = choose($c->{request});
	$c->{local} = !defined $upstream;

	my $fault = $c->{fault};
	if ($fault)
	{
		if ($fault->{when} eq 'before' && $fault->{kind} =~ /^(reset|stall)$/)
		{
			return happen($c);
		}
		$c->{local} = 1 if $fault->{kind} eq 'status' && $fault->{when} ne 'after';
		$c->{resume} = time + $fault->{seconds} if $fault->{kind} eq 'delay';
		$c->{resume} = time + $for_good if $fault->{kind} eq 'hold';
		note_fault($c) if defined $c->{resume};
	}
	if ($c->{local})
	{
		$c->{to_client} .= "HTTP/1.1 100 Continue\r\n\r\n" if lc($headers{expect} || '') eq '100-continue';
	}
	else
	{
		$c->{to_server} = $head;
		connect_server($c) unless defined $c->{resume};
	}
}

# Each request has a connection of its own to the server, so that none of them
# ends in the moment in which it is used again.
sub connect_server
{
	my ($c) = @_;

	$c->{server} = IO::Socket::INET->new(PeerAddr => $upstream);
	return reset_connection($c) unless $c->{server};
	$c->{server}->blocking(0);
	setsockopt $c->{server}, IPPROTO_TCP, TCP_NODELAY, 1;
}

sub move_body
{
	my ($c, $data) = @_;
	my $fault = $c->{fault};
	my $half = int(($c->{length} - 1) / 2);
	my $before = $c->{length} - $c->{left};

	$c->{request}{body} .= substr $data, 0, 4096 - length $c->{request}{body} if length $c->{request}{body} < 4096;
	if ($fault && $fault->{when} eq 'body' && $before <= $half && $before + length $data > $half)
	{
		if ($fault->{kind} eq 'corrupt')
		{
			substr($data, $half - $before, 1) ^= chr 1;
			note_fault($c);
		}
		else
		{
			# what came before it has arrived
			$c->{to_server} .= substr $data, 0, $half - $before;
			$c->{server}->blocking(1);
			syswrite $c->{server}, $c->{to_server};
			return happen($c);
		}
	}
	$c->{left} -= length $data;
	$c->{to_server} .= $data unless $c->{local};
	if ($c->{left} == 0)
	{
		$c->{state} = 'answer';
		local_answer($c) if $c->{local};
	}
}

sub local_answer
{
	my ($c) = @_;
	my $fault = $c->{fault};
	my $other = $fault && $fault->{kind} eq 'status' ? $fault : { status => 404, body => '' };
	my %headers = ('Content-Type' => 'application/xml', %{ $other->{headers} || {} });
	my $body = $other->{body};

	note_fault($c) if $fault;
	$body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>$other->{code}</Code><Message>"
	  . ($other->{message} || '') . '</Message><RequestId>fault</RequestId></Error>'
	  if !defined $body && defined $other->{code};
	$body = '' unless defined $body;
	$headers{'Retry-After'} = $other->{retry_after} if defined $other->{retry_after};
	$headers{'Content-Length'} = length $body;
	$c->{to_client} .= "HTTP/1.1 $other->{status} Fault\r\n" . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers) . "\r\n";
	$c->{to_client} .= $body unless $c->{request}{method} eq 'HEAD';
	$c->{request}{status} = $other->{status};
	$c->{state} = 'head';
}

# From the server: the answer.
sub answer
{
	my ($c) = @_;

	while ($c->{server})
	{
		my $answer = $c->{answer};

		if (!$answer)
		{
			return unless $c->{from_server} =~ s/^(.*?\r\n\r\n)//s;
			begin_answer($c, $1);
			return if $c->{gone} || $c->{stalled};
		}
		elsif ($answer->{kind} eq 'length')
		{
			my $data = substr $c->{from_server}, 0, $answer->{left}, '';
			return if $answer->{left} > 0 && $data eq '';
			$answer->{left} -= length $data;
			pass($c, $data, 1);
			end_of_answer($c) if !$c->{gone} && !$c->{stalled} && $answer->{left} == 0;
			return if $c->{gone} || $c->{stalled};
		}
		elsif ($answer->{kind} eq 'chunked')
		{
			if ($answer->{left} == 0)
			{
				return unless $c->{from_server} =~ s/^([0-9a-fA-F]+)[^\n]*\n//;
				my $size = hex $1;
				$answer->{left} = $size + 2;
				$answer->{last} = $size == 0;
				pass($c, $&, 0);
			}
			my $data = substr $c->{from_server}, 0, $answer->{left}, '';
			return if $data eq '' || $c->{gone} || $c->{stalled};
			$answer->{left} -= length $data;
			pass($c, $data, 1);
			return if $c->{gone} || $c->{stalled};
			end_of_answer($c) if $answer->{left} == 0 && $answer->{last};
		}
		else
		{
			return if $c->{from_server} eq '';
			pass($c, $c->{from_server}, 1);
			$c->{from_server} = '';
			return;
		}
	}
}

sub begin_answer
{
	my ($c, $head) = @_;
	my ($status) = $head =~ /^\S+ (\d+)/;
	my ($length) = $head =~ /^content-length:\s*(\d+)/mi;
	my $fault = $c->{fault};
	my $answer = { kind => 'until close', left => 0, passed => 0 };

	if ($status < 200)
	{
		$c->{to_client} .= $head;
		return;
	}
	if ($c->{request}{method} eq 'HEAD' || $status == 204 || $status == 304)
	{
		$answer->{kind} = 'length';
	}
	elsif ($head =~ /^transfer-encoding:.*chunked/mi)
	{
		$answer->{kind} = 'chunked';
	}
	elsif (defined $length)
	{
		$answer->{kind} = 'length';
		$answer->{left} = $length;
	}
	$answer->{length} = $answer->{left};
	$c->{answer} = $answer;
	$c->{request}{status} = $status;
	if ($fault)
	{
		my $kind = $fault->{kind};

		if ($kind eq 'truncate' || $fault->{when} eq 'answer' && $kind =~ /^(reset|stall)$/)
		{
			$answer->{cut} = $answer->{left} ? length($head) + int($answer->{left} / 2)
			  : $answer->{kind} eq 'chunked' ? length($head) + 8
			  : int(length($head) / 2);
		}
		elsif ($kind eq 'etag')
		{
			note_fault($c) if $head =~ s/^(etag:\s*"?)[0-9a-f]+/$1 . '0' x 32/mie;
			$answer->{etag} = 1;
		}
		elsif ($fault->{when} eq 'after' && $kind =~ /^(reset|stall|status)$/)
		{
			$answer->{swallow} = 1;
		}
	}
	pass($c, $head, 0);
	end_of_answer($c) if !$c->{gone} && !$c->{stalled} && $answer->{kind} eq 'length' && $answer->{left} == 0;
}

# A piece of the answer, as much as the client is to have of it.
sub pass
{
	my ($c, $data, $body) = @_;
	my $answer = $c->{answer};
	my $before = $answer->{passed};
	my $fault = $c->{fault};

	return if $answer->{swallow};
	$answer->{passed} += length $data;
	if (defined $answer->{cut} && $answer->{passed} > $answer->{cut})
	{
		$c->{to_client} .= substr $data, 0, $answer->{cut} - $before;
		$c->{client}->blocking(1);
		syswrite $c->{client}, $c->{to_client};
		return happen($c);
	}
	if ($body && $answer->{etag} && $data =~ s/(<ETag>(?:&quot;|&#34;|")?)[0-9a-f]{32}/$1 . '0' x 32/e)
	{
		note_fault($c);
	}
	if ($body && $fault && $fault->{kind} eq 'corrupt' && $fault->{when} ne 'body' && !$answer->{corrupted} && length $data)
	{
		substr($data, int(length($data) / 2), 1) ^= chr 1;
		$answer->{corrupted} = 1;
		note_fault($c);
	}
	$c->{to_client} .= $data;
}

sub end_of_answer
{
	my ($c) = @_;
	my $swallowed = $c->{answer}{swallow};

	$c->{close} = 1 if $c->{answer}{kind} eq 'until close' || $c->{state} ne 'answer';
	drop_server($c);
	if ($swallowed && $c->{fault}{kind} ne 'status')
	{
		return happen($c);
	}
	$c->{answer} = undef;
	if ($swallowed)
	{
		local_answer($c);
	}
	$c->{state} = 'head';
}

# Whether this request is to have a fault, and which.
sub choose
{
	my ($request) = @_;
	my $chosen;

	foreach my $rule (@rules)
	{
		next unless $request->{method} =~ $rule->{method} && $request->{path} =~ $rule->{path} && $request->{query} =~ $rule->{query};
		next if $rule->{times} > 0 && $rule->{done} >= $rule->{times};
		$rule->{seen}++;
		if (defined $rule->{probability})
		{
			$rule->{seed} = ($rule->{seed} * 1103515245 + 12345) % 2147483648;
			next unless ($rule->{seed} >> 8) % 1000000 < $rule->{probability} * 1000000;
		}
		else
		{
			next unless $rule->{seen} >= $rule->{nth};
		}
		next if $chosen;
		$rule->{done}++;
		$chosen = $rule;
	}
	return $chosen;
}

sub note_fault
{
	my ($c) = @_;
	my ($request, $fault) = ($c->{request}, $c->{fault});
	my $line = join ' ', $fault->{kind} eq 'status' ? $fault->{status} . ($fault->{code} ? " $fault->{code}" : '') : $fault->{kind},
	  $fault->{when}, $request->{method}, $request->{target};

	push @faults, $line;
	print $log "$line\n" if $log;
}

# The connection's fault, when its moment has come.
sub happen
{
	my ($c) = @_;
	my $kind = $c->{fault}{kind};

	note_fault($c);
	$c->{request}{status} = undef;
	if ($kind eq 'stall')
	{
		drop_server($c) if $c->{fault}{when} ne 'body';
		$c->{stalled} = 1;
		$c->{from_client} = '';
	}
	elsif ($kind eq 'truncate')
	{
		drop($c);
	}
	else
	{
		reset_connection($c);
	}
}

1;
