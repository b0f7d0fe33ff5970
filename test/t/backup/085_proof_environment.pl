# A private server is none of the service manager's business, and has no less
# room for locks than the server that the backup is of.  A folder that cannot be
# looked at stays noted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";
use IO::Socket::UNIX;
use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(SOCK_DGRAM MSG_DONTWAIT);
use Test::More;

# what systemd hears
my $notices = PostgreSQL::Test::Utils::tempdir_short() . '/notify';
my $manager = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $notices) or die "$notices: $!";
$ENV{NOTIFY_SOCKET} = $notices;
my $node = start_server('environment');
delete $ENV{NOTIFY_SOCKET};

sub heard
{
	my $all = '';
	while (defined $manager->recv(my $notice, 4096, MSG_DONTWAIT)) { $all .= "$notice\n" }
	return $all;
}

my $of_live_server = heard();

# more locks in one statement than 20 connections have room for
$node->safe_psql('postgres', 'CREATE DATABASE locks');
$node->safe_psql('locks',
	'CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM (SELECT pg_advisory_xact_lock(g) FROM generate_series(1, 5000) g OFFSET 0) AS l');
my $backup = backup_by_hand($node, 'locks', 'daily/locks.dump.gz');
my ($state, $error) = run_backup_action($node, 'verify_backup', '{}');
is("$state $error", 'succeeded ', 'a backup that needs as many locks as this server has is proven');

SKIP: {
	skip 'this server tells systemd nothing', 1 unless $of_live_server =~ /READY=1/;
	is(heard(), '', 'systemd hears nothing of a private server');
}

# no folder can be below a file, and no file is missing there
my $astray = $node->data_dir . '/PG_VERSION/pgmaint_proof_0a';
$node->safe_psql('postgres',
	"INSERT INTO pgmaint_internal.proof_servers (folder, data_directory, task_id) VALUES ('$astray', current_setting('data_directory'), 0)");
($state, $error) = run_backup_action($node, 'verify_backup', '{}');
is("$state $error", 'succeeded ', 'the next run is not held up by a folder that cannot be looked at');
is($node->safe_psql('postgres', 'SELECT folder FROM pgmaint_internal.proof_servers'), $astray, '... which stays noted');
like(slurp_file($node->logfile), qr/WARNING:  could not stat file "\Q$astray\E"/, '... and the log says why');

$node->stop;
done_testing();
