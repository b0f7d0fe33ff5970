# Dump and restore keep what users defined, and no history: the ledger of a
# restored database is empty.  pg_upgrade keeps all of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('dump');
my $plans = 'SELECT plan, step, action, options, origin FROM pgmaint.plans ORDER BY plan, step';
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE small (id int);
INSERT INTO small VALUES (1);
SELECT pgmaint.define_plan('statistics', '["analyze"]');
SELECT pgmaint.define_plan('Quoted "plan" of Zoë', '[{"action": "vacuum", "options": {"tables": ["public.small"], "settings": {"vacuum_cost_delay": "1ms"}}}, "analyze"]');
SELECT pgmaint.define_plan('weekly', '[{"action": "analyze", "options": {"tables": ["public.small"]}}]');
EOS
my $run = $node->safe_psql('postgres', q(SELECT pgmaint.run('weekly')));
is(wait_for_end($node, $run), 'succeeded', "a user's plan comes before the built-in one of its name");
is(tasks($node, $run), 'public.small succeeded', 'and does what the user said');
my $defined = $node->safe_psql('postgres', $plans);
my $windows = 'SELECT * FROM pgmaint.maintenance_windows ORDER BY name';
$node->safe_psql('postgres', q(SELECT pgmaint.add_window('Night "shift"', '{0,3}', '23:30', '2 hours', 'Europe/Berlin')));
my $open = $node->safe_psql('postgres', $windows);
my $contacts = 'SELECT name, level, address, server, severity, after, repeats, windows, notice, added_by FROM pgmaint.contacts ORDER BY name';
$node->safe_psql('postgres', q(CREATE SERVER relay FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (url 'smtp://mail.example.com', sender 'pgmaint@example.com');
	SELECT pgmaint.add_contact('Zoë', 'mailto:zoe@example.com', windows => true)));
my $told = $node->safe_psql('postgres', $contacts);

# in each of the ways there are, while a run is going on
my $folder = $node->basedir;
create_slow_table($node, 'slow');
my $options = slow_vacuum('slow');
my $slow = $node->safe_psql('postgres', "SELECT pgmaint.run_action('vacuum', $options)");
wait_for_slow_vacuum($node, 'public.slow');
foreach my $format (qw(custom directory plain))
{
	my $file = "$folder/dump.$format";
	my $database = "restored_$format";

	$node->command_ok([ 'pg_dump', '-F', $format, '-f', $file, 'postgres' ], "$format: pg_dump");
	$node->safe_psql('template1', "CREATE DATABASE $database");
	if ($format eq 'plain')
	{
		$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $database, '-f', $file ], "$format: psql");
	}
	else
	{
		$node->command_ok([ 'pg_restore', '-e', '-d', $database, $file ], "$format: pg_restore");
	}
	is($node->safe_psql($database, $plans), $defined, "$format: plans");
	is($node->safe_psql($database, $windows), $open, "$format: windows");
	is($node->safe_psql($database, $contacts), $told, "$format: contacts");
	is($node->safe_psql($database, "SELECT (SELECT count(*) FROM $_)"), '0', "$format: no rows in $_")
	  foreach qw(pgmaint.runs pgmaint.tasks pgmaint.findings pgmaint_internal.bloat_measurements pgmaint_internal.cancellations pgmaint.alerts pgmaint.notifications);
	$run = $node->safe_psql($database, q(SELECT pgmaint.run('weekly')));
	is($run, '1', "$format: the ledger begins anew");
	is(wait_for_end($node, $run, $database), 'succeeded', "$format: a run goes through");
	is(tasks($node, $run, $database), 'public.small succeeded', "$format: the plan is the user's");
}
$node->safe_psql('postgres', "SELECT pgmaint.cancel($slow)");
wait_for_end($node, $slow);

# the built-in plan is still there, below the user's
my $database = 'restored_custom';
$node->safe_psql($database, q(SELECT pgmaint.drop_plan('weekly')));
is( $node->safe_psql($database, q(SELECT string_agg(action || ' ' || origin, ', ' ORDER BY step) FROM pgmaint.plans WHERE plan = 'weekly')),
	'bloat_report built-in, retention built-in, vacuum built-in, compact built-in, vacuum_full built-in, analyze built-in, validate built-in, escalate built-in',
	'the built-in plan shows again');

# restoring again over what is there says what is wrong, and breaks nothing
$node->command_fails([ 'pg_restore', '-e', '-d', $database, "$folder/dump.custom" ], 'restored twice: refused');
is($node->safe_psql($database, 'SELECT count(*) FROM pgmaint.plan_definitions'), '2', 'restored twice: nothing is lost');

# a database made from a template has its own engine
$node->safe_psql('template1', 'CREATE DATABASE copied TEMPLATE restored_custom');
$run = $node->safe_psql('copied', q(SELECT pgmaint.run('weekly')));
is(wait_for_end($node, $run, 'copied'), 'succeeded', 'a copied database: a run goes through');
is($node->safe_psql('restored_custom', 'SELECT max(run_id) FROM pgmaint.runs'), '1', 'a copied database: in its own ledger');

# pg_upgrade
my $history = 'SELECT run_id, plan, state, requested_by, steps FROM pgmaint.runs ORDER BY run_id';
my $before = $node->safe_psql('postgres', $history);
my @unsynced = $node->safe_psql('postgres', 'SHOW server_version_num') >= 150000 ? ('--no-sync') : ();
no_processes_left($node, 'no process is left');
$node->stop;
my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');
$upgraded->init(allows_streaming => 1);
$upgraded->append_conf('postgresql.conf', 'autovacuum = off');
chomp(my $bin = `pg_config --bindir`);
chdir $upgraded->basedir or die "could not enter " . $upgraded->basedir;
command_ok(
	[
		'pg_upgrade', @unsynced, '-b', $bin, '-B', $bin, '-d', $node->data_dir, '-D', $upgraded->data_dir,
		'-s', $node->host, '-p', $node->port, '-P', $upgraded->port
	],
	'pg_upgrade');
$upgraded->start;
is($upgraded->safe_psql('postgres', $history), $before, 'pg_upgrade keeps the ledger');
is($upgraded->safe_psql('postgres', $plans), $defined, 'pg_upgrade keeps the plans');
$run = $upgraded->safe_psql('postgres', q(SELECT pgmaint.run('weekly')));
is(wait_for_end($upgraded, $run), 'succeeded', 'pg_upgrade: a run goes through');
is($run, last_run($upgraded), 'pg_upgrade: with the next number');
$upgraded->stop;
unlike(slurp_file($_->logfile), qr/PANIC|TRAP|was terminated by signal/, $_->name . ': nothing has crashed')
  foreach ($node, $upgraded);

done_testing();
