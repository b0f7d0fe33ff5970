# Where a database stands, on a standby, in a copy and in a restored dump, for a
# member of pg_monitor; and each command that the view help names, typed as it
# stands there.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $library = `pg_config --pkglibdir`;
chomp $library;
my $with_cron = -e "$library/pg_cron.so";

my $primary = start_server('primary', 'fsync = off',
	$with_cron ? ("shared_preload_libraries = 'pg_cron'", "cron.database_name = 'postgres'", 'cron.launch_active_jobs = off') : ());

my $archives = $primary->basedir . '/storage';
mkdir $archives or die "$archives: $!";
chmod 0700, $archives;
# what the commands name
$primary->safe_psql('postgres', 'CREATE DATABASE shop');
$primary->safe_psql('shop', <<"EOS");
CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
CREATE ROLE reader;
CREATE EXTENSION pgmaint;
CREATE SERVER archives FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$archives');
CREATE SCHEMA app;
CREATE TABLE app.log (id int PRIMARY KEY, at timestamptz);
INSERT INTO app.log SELECT g, now() - g * interval '1 hour' FROM generate_series(1, 5000) g;
EOS
$primary->safe_psql('postgres', 'CREATE EXTENSION pg_cron') if $with_cron;

# what is told of this server to a member of pg_monitor, without errors or warnings
sub told
{
	my ($node, $database, $role) = @_;
	my ($status, $out, $error) = $node->psql($database, "SELECT topic, item, status, detail, next_step FROM pgmaint.status",
		connstr => $node->connstr($database) . ' user=' . ($role || 'watcher'));

	is($status, 0, "status of $database on " . $node->name) or diag $error;
	is($error, '', '... without a complaint');
	return $out;
}

my $fresh = told($primary, 'shop');
like($fresh, qr/^plans\|runs\|info\|no plan has run/m, 'a fresh database');
like($fresh, qr/^next\|1\|\w+\|[^|]*\|SELECT pgmaint\.run\('weekly'\);\nnext\|2\|\w+\|[^|]*\|SELECT \* FROM pgmaint\.schedule_all\(\);\nnext\|3\|\w+\|backups, newest: there is no backup of this database\|/m,
	'... and what to do first');
($with_cron ? \&unlike : \&like)->($fresh, qr/pg_cron is not loaded/, 'whether pg_cron is there');

# as it stands there, one after the other
my @commands = split /\n/, $primary->safe_psql('shop', 'SELECT command FROM pgmaint.help');
is(scalar @commands, 20, 'twenty commands');
foreach my $command (@commands)
{
	# the other backup is that of roles and tablespaces
	$command =~ s/"backup_id": \d+/'"backup_id": ' . $primary->safe_psql('shop', "SELECT backup_id FROM pgmaint.backups WHERE kind = 'database'")/e;
	my ($status, $out, $error) = $primary->psql('shop', $command);

	if ($command =~ /schedule_all/ && !$with_cron)
	{
		like($error, qr/pg_cron, which is not loaded/, "$command: says what it needs");
		next;
	}
	is($status, 0, $command) or diag $error;
	if ($command =~ /pgmaint\.run(?:_action)?\(/)
	{
		is(wait_for_end($primary, $out, 'shop'), 'succeeded', '... succeeds') or diag run_error($primary, $out, 'shop');
	}
}
is($primary->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname LIKE 'shop\\_restored\\_%'"), 1, 'the backup was restored');

my $used = told($primary, 'shop');
like($used, qr/^plans\|weekly\|ok\|run 1 succeeded at /m, 'the last run of a plan');
like($used, qr/^backups\|newest\|ok\|backup \d+ of /m, 'the newest backup');
like($used, qr/^backups\|proven\|ok\|backup \d+ was restored at /m, '... was proven');
like($used, qr/^retention\|policies\|ok\|1 policy\|/m, 'policies');
like($used, qr/^monitoring\|validate\|\w+\|\d+ checks at /m, 'the last validation');
like($used, qr/^schedules\|next\|ok\|\w+ at .*; scheduled: 4 plans and tick\|/m, 'schedules') if $with_cron;
cmp_ok(scalar(split /\n/, $used), '<=', 25, 'one screen');

# a standby tells the same, and that it is one
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);
my $there = told($standby, 'shop');
like($there, qr/^monitoring\|server\|info\|this server is a standby/m, 'a standby says so');
if ($with_cron)
{
	my ($status, $rows, $complaint) = $standby->psql('shop', "SET statement_timeout = '60s'; SELECT count(*) > 0 FROM pgmaint.schedules");
	is($rows, 't', 'schedules on a standby: what the ledger knows');
	like($complaint, qr/pg_cron in another database cannot be queried during recovery/, '... and that pg_cron was not asked');
}
like($there, qr/^plans\|weekly\|ok\|run 1 succeeded at /m, '... and what its primary did');
$standby->stop;

# a copy doubts who it is once it was used
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($primary, 'base');
$copy->start;
told($copy, 'shop');
wait_for_end($copy, $copy->safe_psql('shop', q(SELECT pgmaint.run_action('validate'))), 'shop');
like(told($copy, 'shop'), qr/^monitoring\|identity\|warning\|this database may be a copy/m, 'a copy');
$copy->stop;

# a restored dump has policies and contacts, but no ledger
$primary->safe_psql('shop', q(SELECT pgmaint.add_contact('oncall', 'notify:oncall')));
my $dump = $primary->basedir . '/dump.sql';
$primary->command_ok([ 'pg_dump', '-f', $dump, $primary->connstr('shop') ], 'a dump');
$primary->safe_psql('postgres', 'CREATE DATABASE restored');
$primary->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $primary->connstr('restored') ], '... is restored');
my $restored = told($primary, 'restored');
like($restored, qr/^plans\|runs\|info\|no plan has run/m, 'a restored dump');
like($restored, qr/^retention\|policies\|ok\|1 policy\|/m, '... has its policies');
wait_for_end($primary, $primary->safe_psql('restored', q(SELECT pgmaint.run_action('validate'))), 'restored');
like(told($primary, 'restored'), qr/^monitoring\|identity\|warning\|1 contact of another database is suspended/m, '... and its contacts rest');

no_processes_left($primary, 'no process is left');
done_testing();
