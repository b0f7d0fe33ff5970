# A real browser, Chromium without a window, driven through a pair of pipes with
# the DevTools protocol.  It is gone when the test ends, however it ends.

package PgmaintBrowser;

use strict;
use warnings;

use Fcntl qw(F_DUPFD);
use IO::Handle;
use IO::Select;
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

my @running;
my $json = JSON::PP->new->utf8->allow_nonref;

# Why there can be no browser here, or nothing.
sub missing
{
	return if grep { -x "$_/chromium" } split /:/, $ENV{PATH};
	return 'there is no chromium: test/tools/setup browser installs it';
}

sub start
{
	my ($class) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir_short();

	pipe(my $its_input, my $to) or die "pipe: $!";
	pipe(my $from, my $its_output) or die "pipe: $!";

	my $pid = fork;
	die "could not fork: $!\n" unless defined $pid;
	if ($pid == 0)
	{
		# it reads from 3 and writes to 4; neither may be an end of another pipe
		my $input = fcntl($its_input, F_DUPFD, 10);
		my $output = fcntl($its_output, F_DUPFD, 10);

		POSIX::setpgid(0, 0);
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', "$folder/log";
		open STDERR, '>&', \*STDOUT;
		POSIX::dup2($input, 3);
		POSIX::dup2($output, 4);
		$ENV{HOME} = $folder;
		# a container may have nothing to make its sandbox of
		exec 'setpriv', '--pdeathsig', 'KILL', 'chromium', '--headless=new', '--no-sandbox', '--disable-gpu',
		  '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking', '--disable-component-update',
		  '--hide-scrollbars', "--user-data-dir=$folder/profile", '--remote-debugging-pipe', 'about:blank'
		  or POSIX::_exit(127);
	}
	close $its_input;
	close $its_output;
	$to->autoflush(1);

	my $self = bless { pid => $pid, to => $to, select => IO::Select->new($from), buffer => '', last_id => 0, events => [] }, $class;
	push @running, $self;

	my $target = $self->call('Target.createTarget', { url => 'about:blank' })->{targetId};
	$self->{session} = $self->call('Target.attachToTarget', { targetId => $target, flatten => JSON::PP::true })->{sessionId};
	$self->call("$_.enable") foreach qw(Page Network Log Runtime);
	return $self;
}

sub stop
{
	my ($self) = @_;

	return unless $self->{pid};
	kill 'KILL', -$self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = 0;
	return;
}

END
{
	my $status = $?;

	$_->stop foreach @running;
	$? = $status;
}

# The next message that it sends.
sub receive
{
	my ($self, $deadline) = @_;

	my $end;

	while (($end = index $self->{buffer}, "\0") < 0)
	{
		my ($ready) = $self->{select}->can_read($deadline - time);
		die "the browser says nothing\n" unless $ready;
		sysread($ready, $self->{buffer}, 1 << 20, length $self->{buffer}) or die "the browser has ended\n";
	}
	return $json->decode(substr(substr($self->{buffer}, 0, $end + 1, ''), 0, -1));
}

# Call a method of the protocol, and return what it returns.
sub call
{
	my ($self, $method, $parameters) = @_;
	my $id = ++$self->{last_id};
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	my %message = (id => $id, method => $method, params => $parameters || {});

	$message{sessionId} = $self->{session} if $self->{session};
	print { $self->{to} } $json->encode(\%message), "\0";
	while (1)
	{
		my $message = $self->receive($deadline);

		if (!defined $message->{id}) { push @{ $self->{events} }, $message; }
		elsif ($message->{id} == $id)
		{
			die "$method: $message->{error}{message}\n" if $message->{error};
			return $message->{result};
		}
	}
}

# Show a file; what was noticed of an earlier one is forgotten.
sub open_file
{
	my ($self, $file) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	$self->{events} = [];
	$self->call('Page.navigate', { url => "file://$file" });
	push @{ $self->{events} }, $self->receive($deadline)
	  until grep { ($_->{method} || '') eq 'Page.loadEventFired' } @{ $self->{events} };
	return;
}

# As wide and high as that, in the light or the dark, or as on paper.
sub look
{
	my ($self, $width, $height, $scheme, $media) = @_;

	$self->call('Emulation.setDeviceMetricsOverride',
		{ width => $width, height => $height, deviceScaleFactor => 1, mobile => $width < 600 ? JSON::PP::true : JSON::PP::false });
	$self->call('Emulation.setEmulatedMedia',
		{ media => $media || 'screen', features => [ { name => 'prefers-color-scheme', value => $scheme } ] });
	return;
}

# The value of an expression; a text in UTF-8.
sub evaluate
{
	my ($self, $expression) = @_;
	my $answer = $self->call('Runtime.evaluate', { expression => $expression, returnByValue => JSON::PP::true });

	die "$answer->{exceptionDetails}{exception}{description}\n" if $answer->{exceptionDetails};
	my $value = $answer->{result}{value};

	utf8::encode($value) if defined $value && !ref $value;
	return $value;
}

sub screenshot
{
	my ($self, $file) = @_;
	my $picture = $self->call('Page.captureScreenshot', { captureBeyondViewport => JSON::PP::true });

	open my $handle, '>:raw', $file or die "$file: $!";
	print {$handle} decode_base64($picture->{data});
	close $handle or die "$file: $!";
	return;
}

# What it asked anybody for.
sub requests
{
	my ($self) = @_;
	return map { $_->{params}{request}{url} } grep { ($_->{method} || '') eq 'Network.requestWillBeSent' } @{ $self->{events} };
}

# What it had to complain about.
sub complaints
{
	my ($self) = @_;
	return map { $_->{params}{entry}{text} || join ' ', map { $_->{value} || '' } @{ $_->{params}{args} || [] } }
	  grep { ($_->{method} || '') =~ /^(?:Log\.entryAdded|Runtime\.consoleAPICalled|Runtime\.exceptionThrown)$/ } @{ $self->{events} };
}

1;
