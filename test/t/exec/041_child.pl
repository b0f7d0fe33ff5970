# Programs that do what no program should: they talk without end, do not listen,
# leave their pipes open to others, die.  The worker says what they said, waits
# for none of them longer than it must, and leaves none of them behind.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

chomp(my $real = `pg_config --bindir`);
my $programs = PostgreSQL::Test::Utils::tempdir();
my $seen = "$programs/seen";
my $node = start_server('child', "pgmaint.program_directory = '$programs'");

# Let this be done, in perl, instead of the program; it leaves its number.
sub instead
{
	my ($name, $code) = @_;

	unlink "$programs/$name", $seen;
	append_to_file("$programs/$name", <<"EOS");
#!$^X
use strict;
use POSIX ();
\$| = 1;
sub note_pid { open my \$f, '>>', '$seen' or die; print \$f "\$\$\\n"; close \$f }
sub real { exec '$real/$name', \@ARGV or die }
# a process that has the pipes, and does nothing with them
sub leave_one { my \$pid = fork; return if \$pid; note_pid(); \$SIG{\$_} = 'IGNORE' foreach qw(INT TERM); sleep 300; POSIX::_exit(0) }
$code
EOS
	chmod 0755, "$programs/$name";
}

sub usual { instead($_, 'real();') foreach qw(psql pg_dump pg_dumpall pg_restore) }

sub backup
{
	return run_backup_action($node, 'backup', '{"globals": false, "retries": 0}');
}

sub begin
{
	my ($action, $options) = @_;
	my $run = $node->safe_psql('postgres', "SELECT pgmaint.run_action('$action', '$options')");

	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	sleep 0.05 until -s $seen || time > $deadline;
	die 'the program is not started' unless -s $seen;
	return $run;
}

# The processes that have left their numbers; those that still are.
sub alive
{
	return grep { kill 0, $_ } split ' ', slurp_file($seen);
}

sub wait_until_gone
{
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	sleep 0.05 while alive() && time < $deadline;
	return;
}

sub nothing_left
{
	my ($name) = @_;
	wait_until_gone();
	is(scalar alive(), 0, "$name: the program is gone");
	is(`find '@{[ folder_of($node) ]}' -type f -not -path '*/.pgmaint/*'`, '', '... and left no object');
}

sub ends_when_cancelled
{
	my ($name, $program, $code, $action, $options) = @_;

	usual();
	instead($program, $code);
	my $run = begin($action || 'backup', $options || '{"globals": false}');
	sleep 0.5;
	my $start = time;
	$node->safe_psql('postgres', "SELECT pgmaint.cancel($run)");
	is(wait_for_end($node, $run), 'cancelled', "$name: the run can be cancelled");
	cmp_ok(time - $start, '<', 120, '... and ends soon');
	is($node->safe_psql('postgres', "SELECT state FROM pgmaint.tasks WHERE run_id = $run"), 'cancelled', '... as its task does');
	nothing_left($name) unless $action;
}

my ($state, $error, $run, $start);

# they talk
ends_when_cancelled('endless words', 'pg_dump', q(note_pid(); 1 while syswrite STDERR, 'no ' x 100000;));
ends_when_cancelled('endless words, of several', 'pg_dump', q(note_pid(); fork; note_pid(); 1 while syswrite STDERR, 'no ' x 100000;));
ends_when_cancelled('endless output that is no dump', 'psql', q(note_pid(); 1 while syswrite STDOUT, "1\n" x 100000;));

usual();
instead('pg_dump', q(note_pid(); print STDERR "the cause\n", "on and on\n" x 1000000, "the end\n"; exit 3;));
($state, $error) = backup();
like("$state $error", qr/^failed pg_dump exited with code 3: the cause\non and on\n.*\n\(\d+ bytes left out\)\n.*on and on\nthe end$/s,
	'of many words the beginning and the end are told');
cmp_ok(length $error, '<', 9000, '... and not all');
nothing_left('many words');

$node->safe_psql('postgres', "CREATE DATABASE utf8 ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$node->safe_psql('utf8', 'CREATE EXTENSION pgmaint');
instead('pg_dump', q(note_pid(); print STDERR "not \xff\xfe here, \x00, \xe9t\xe9, and \xc3\xa9\xc3"; exit 1;));
$run = $node->safe_psql('utf8', q(SELECT pgmaint.run_action('backup', '{"globals": false, "retries": 0}')));
wait_for_end($node, $run, 'utf8');
is($node->safe_psql('utf8', "SELECT error FROM pgmaint.tasks WHERE run_id = $run"), "pg_dump exited with code 1: not ?? here, ?, ?t?, and \xc3\xa9?",
	'what is no text of this database is made one');
ok(slurp_file($node->logfile) !~ /\xff/, '... in the log, too');
nothing_left('no text');

# they die
instead('pg_dump', q(note_pid(); kill 'SEGV', $$; sleep 10;));
($state, $error) = backup();
is("$state $error", 'failed pg_dump was terminated by signal 11', 'a signal without words is told');
instead('pg_dump', q(note_pid(); print STDERR "last words\n"; kill 'KILL', $$; sleep 10;));
($state, $error) = backup();
is("$state $error", 'failed pg_dump was terminated by signal 9: last words', 'a signal and words are told');
instead('pg_dump', q(note_pid(); exit 0;));
($state, $error) = backup();
like("$state $error", qr/^failed the dump /, 'an end that is too early is no success');
nothing_left('an early end');
unlink "$programs/pg_dump";
append_to_file("$programs/pg_dump", "#!/no/such/interpreter\n");
chmod 0755, "$programs/pg_dump";
($state, $error) = backup();
is("$state $error", 'failed pg_dump exited with code 127', 'what cannot be executed is told');

# they do not listen
ends_when_cancelled('signals ignored', 'pg_dump', q($SIG{$_} = 'IGNORE' foreach qw(INT TERM HUP QUIT PIPE); note_pid(); sleep 300;));
ends_when_cancelled('output closed', 'pg_dump', q($SIG{$_} = 'IGNORE' foreach qw(INT TERM); close STDOUT; note_pid(); sleep 300;));
ends_when_cancelled('all closed', 'pg_dump', q($SIG{$_} = 'IGNORE' foreach qw(INT TERM); close STDOUT; close STDERR; note_pid(); sleep 300;));
ends_when_cancelled('a login that hangs', 'psql', q($SIG{$_} = 'IGNORE' foreach qw(INT TERM); note_pid(); sleep 300;));

usual();
instead('pg_dump', q(note_pid(); close STDOUT; sleep 2; print STDERR 'closed first'; exit 5;));
($state, $error) = backup();
is("$state $error", 'failed pg_dump exited with code 5: closed first', 'output closed long before the end');
nothing_left('output closed first');

# they leave their pipes to others
instead('pg_dump', q(note_pid(); leave_one(); print STDERR 'gone'; exit 6;));
$start = time;
($state, $error) = backup();
is("$state $error", 'failed pg_dump exited with code 6: gone', 'somebody else has the pipes');
cmp_ok(time - $start, '<', 120, '... and is not waited for');
kill 'KILL', alive();
nothing_left('somebody else');

$node->safe_psql('postgres', q(CREATE TABLE t AS SELECT g, repeat('x', 1000) AS x FROM generate_series(1, 5000) g));
instead($_, 'leave_one(); real();') foreach qw(psql pg_dump);
$start = time;
($state, $error, $run) = backup();
is("$state $error", 'succeeded ', '... not even when all goes well');
cmp_ok(time - $start, '<', 120, '... so that it does not take long');
my $backup = $node->safe_psql('postgres', "SELECT backup_id FROM pgmaint.backups WHERE run_id = $run");
usual();
($state, $error) = run_backup_action($node, 'verify_backup', qq({"backup_id": $backup}));
is("$state $error", 'succeeded ', '... and the backup is whole');

# and do not read what they are given
instead('pg_restore', q(note_pid(); leave_one(); print STDERR 'enough'; exit 7;));
$start = time;
($state, $error) = run_backup_action($node, 'verify_backup', qq({"backup_id": $backup}));
like("$state $error", qr/^failed .*enough/, 'input that nobody reads');
cmp_ok(time - $start, '<', 120, '... is not waited for');
kill 'KILL', alive();
ends_when_cancelled('input not read', 'pg_restore', q($SIG{$_} = 'IGNORE' foreach qw(INT TERM); note_pid(); sleep 300;),
	'verify_backup', qq({"backup_id": $backup}));
is(scalar alive(), 0, '... and the program is gone');
is(databases_left($node), '0|0|0', '... and no database is left');

# the server ends, they do not
usual();
instead('pg_dump', q($SIG{$_} = 'IGNORE' foreach qw(INT TERM HUP QUIT PIPE); note_pid(); sleep 300;));
begin('backup', '{"globals": false}');
$start = time;
$node->stop('fast');
cmp_ok(time - $start, '<', 120, 'a shutdown does not wait for them');
is(scalar alive(), 0, '... and leaves none');
$node->start;
unlink $seen;
begin('backup', '{"globals": false}');
$node->stop('immediate');
wait_until_gone();
is(scalar alive(), 0, 'nor does an immediate one');
done_testing();
