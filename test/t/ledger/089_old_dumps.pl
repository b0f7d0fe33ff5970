# Every dump and backup that was made with an earlier version restores, and what
# users had defined works.  test/data/make-dumps made them with those versions.
#
# long: proofs and restores of a whole database

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename);
use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $data = abs_path("$FindBin::RealBin/../../data");
my $node = start_server('old_dumps', q(timezone = 'UTC'));
my $newest = $node->safe_psql('postgres', q(SELECT extversion FROM pg_extension WHERE extname = 'pgmaint'));

# whose the objects are, and who has rights on them
$node->safe_psql('postgres', q(
	SELECT 'CREATE ROLE postgres SUPERUSER LOGIN' WHERE to_regrole('postgres') IS NULL \gexec
	CREATE ROLE other SUPERUSER LOGIN;
	CREATE ROLE app_owner LOGIN;
	CREATE ROLE readers LOGIN));

sub as
{
	my ($role, $database, $sql) = @_;
	my ($status, $out, $errors) = $node->psql($database, $sql, extra_params => [ '-U', $role ]);

	return $status == 0 ? $out : $errors;
}

# Restores a plain dump, and returns what psql complains of.
sub restore
{
	my ($database, $dump, $role) = @_;
	my ($out, $errors);

	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0 OWNER postgres");
	IPC::Run::run([ 'psql', '-Xq', '-U', $role || 'postgres', '-d', $node->connstr($database) ], '<', \$dump, '>', \$out, '2>', \$errors);
	return join "\n", $errors =~ /(?:ERROR|FATAL|WARNING): +(.*)/g;
}

# What both versions could define, and who could do what.
sub check_restored
{
	my ($name, $database) = @_;

	is($node->safe_psql($database, q(SELECT extversion FROM pg_extension WHERE extname = 'pgmaint')), $newest, "$name: the version is the newest");
	is($node->safe_psql($database, q(SELECT string_agg(DISTINCT plan, ', ' ORDER BY plan) FROM pgmaint.plans WHERE origin <> 'built-in')),
		'Quoted "plan" of Zoë, nightly, weekly', "$name: plans");
	is($node->safe_psql($database, 'SELECT (SELECT count(*) FROM pgmaint.runs) + (SELECT count(*) FROM pgmaint.tasks)'), '0', "$name: the ledger is empty");
	is(as('postgres', $database, 'SELECT count(*) FROM public.maintenance'), '0', "$name: a user's view works");
	is($node->safe_psql($database, q(SELECT app.orders_like('order %'))), '20', "$name: a user's function works");
	# the update from 0.1 to 0.2 made this function anew
	like(as($name =~ /into 0\.1/ ? 'postgres' : 'app_owner', $database, q(SELECT string_agg(action, ' ') FROM pgmaint.dry_run('nightly', '{"analyze": {"scope": "all"}}'))), qr/analyze/, "$name: the owner of tables plans a run");
	my $run = as('app_owner', $database, q(SELECT pgmaint.run('nightly', '{"analyze": {"scope": "all"}}')));
	is($run, '1', "$name: ... and runs it");
	is(wait_for_end($node, $run, $database), 'succeeded', "$name: ... to its end")
	  or diag(run_error($node, $run, $database));
	no_processes_left($node, "$name: ... and nothing is left");
	return;
}

# What was new in 0.2.
sub check_restored_0_2
{
	my ($name, $database) = @_;
	my $order = q(INSERT INTO app.orders (created_at, note) VALUES ('2020-01-01', 'order of old'));

	is($node->safe_psql($database, q(SELECT string_agg(name, ', ' ORDER BY name) FROM pgmaint.windows)), 'always, nights', "$name: windows");
	is($node->safe_psql($database, q(SELECT pgmaint.window_open('always'))), 't', "$name: ... of which one is open");
	is($node->safe_psql($database, q(SELECT string_agg(concat_ws(' ', name, level, address, server, severity, after, repeats, windows), ', ' ORDER BY name) FROM pgmaint.contacts)),
		'dba 1 mailto:dba@example.com mail warning 00:00:00 t, screen 2 notify:maintenance critical 02:00:00 3 f', "$name: contacts");
	is($node->safe_psql($database, q(SELECT string_agg(concat_ws(' ', check_id, threshold, coalesce(value, 'never'), default_value), ', ' ORDER BY threshold) FROM pgmaint.thresholds WHERE value IS DISTINCT FROM default_value)),
		'backup_recent critical never 50 hours, backup_recent warning 8 days 26 hours', "$name: thresholds");
	is($node->safe_psql($database, 'SELECT count(*) > 20 FROM pgmaint.thresholds'), 't', "$name: ... beside those that nobody has changed");
	is($node->safe_psql($database, q(SELECT string_agg(concat_ws(' ', policy_id, relation, keep, storage, owner), ', ' ORDER BY policy_id) FROM pgmaint.retention_policies)),
		'1 app.orders 1 year pgmaint_local app_owner, 2 app.events 1 mon app_owner', "$name: policies");
	is($node->safe_psql($database, q(SELECT string_agg(concat_ws(' ', archive_id, policy_id, relation, storage, rows), ', ') FROM pgmaint.archives WHERE archive_id = 1)),
		'1 1 app.orders pgmaint_local 100', "$name: archives");
	is($node->safe_psql($database, q(SELECT string_agg(concat_ws(' ', verification_id, database, expected, time_limit), ', ' ORDER BY verification_id) FROM pgmaint.verifications)),
		'1 shop true 00:05:00, 2 shop order 120 00:10:00', "$name: verifications");
	is(as('postgres', $database, 'SELECT count(*) FROM public.archived'), '1', "$name: a user's view of policies and archives");
	like(as('postgres', $database, 'SELECT * FROM public.last_report()'), qr/^Run 1: nightly, succeeded/, "$name: a user's function of pgmaint");
	is($node->safe_psql($database, 'SELECT count(*) > 20 FROM pgmaint.validate()'), 't', "$name: validate() works");

	# numbers go on after those that were dumped, those of dropped ones included
	is(as('postgres', $database, q(SELECT pgmaint.add_retention('app.events', 'at', '2 years', archive => false))), '4', "$name: the next policy");
	is(as('postgres', $database, q(SELECT pgmaint.add_verification('shop', 'SELECT true'))), '4', "$name: the next verification");
	$node->safe_psql($database, $order);
	my $run = $node->safe_psql($database, q(SELECT pgmaint.run_action('retention', '{"tables": "app.orders"}')));
	is(wait_for_end($node, $run, $database), 'succeeded', "$name: a policy is carried out")
	  or diag(run_error($node, $run, $database));
	is($node->safe_psql($database, 'SELECT archive_id, rows FROM pgmaint.archives WHERE archive_id > 1'), '2|1', "$name: ... into the next archive");
	no_processes_left($node, "$name: ... and nothing is left");

	# a role that followed the README
	like(as('app_owner', $database, 'SELECT pgmaint.report(1)'), qr/^Run 1: nightly, succeeded/, "$name: the owner of tables reads a report");
	like(as('app_owner', $database, "SELECT count(*) FROM pgmaint.$_"), qr/^\d+$/, "$name: ... and $_")
	  foreach qw(runs tasks findings task_results step_results finding_results);
	like(as('readers', $database, "SELECT count(*) FROM pgmaint.$_"), qr/^\d+$/, "$name: a reader reads $_")
	  foreach qw(archives retention_policies plan_definitions backups);
	is(as('readers', $database, q(SELECT has_column_privilege('pgmaint.thresholds', 'value', 'UPDATE') AND NOT has_column_privilege('pgmaint.thresholds', 'check_id', 'UPDATE'))),
		't', "$name: a right on a column");
	return;
}

my %dumps = map { $_ => slurp_file("$data/dump_$_.sql") } qw(0.1 0.2);
my $renamed = $node->safe_psql('postgres', q(SELECT to_regclass('pgmaint.escalations') IS NULL)) eq 't';

#
# A dump by pg_dump, as it is
#
is(restore('plain_1', $dumps{'0.1'}), '', 'a dump of 0.1: nothing to complain of');
check_restored('a dump of 0.1', 'plain_1');
# what had another name then gets no rights: all else does
is(restore('plain_2', $dumps{'0.2'}), $renamed ? 'relation "pgmaint.escalations" does not exist' : '', 'a dump of 0.2: no more to complain of');
check_restored('a dump of 0.2', 'plain_2');
check_restored_0_2('a dump of 0.2', 'plain_2');

# ... by another superuser than the one whose schema it is
is(restore('others', $dumps{'0.2'} =~ s/^GRANT SELECT ON TABLE pgmaint.escalations .*$//mr, 'other'), '', 'a dump of 0.2, restored by another superuser: nothing to complain of');
check_restored('a dump of 0.2, restored by another superuser', 'others');

#
# ... into the version that it was made with, which is updated afterwards: nothing
# is missing then
#
foreach my $version ('0.1', '0.2')
{
	my $database = 'updated_' . substr $version, -1;
	my $name = "a dump of $version into $version";

	(my $dump = $dumps{$version}) =~ s/^(CREATE EXTENSION IF NOT EXISTS pgmaint WITH SCHEMA pgmaint);$/$1 VERSION '$version';/m or die 'no extension';
	is(restore($database, $dump), '', "$name: nothing to complain of");
	my $oid = $version eq '0.1' ? 0 : $node->safe_psql($database, q(SELECT 'pgmaint.escalations'::regclass::oid));
	as('postgres', $database, 'ALTER EXTENSION pgmaint UPDATE');
	check_restored($name, $database);
	next if !$oid;
	check_restored_0_2($name, $database);
	is($node->safe_psql($database, "SELECT has_table_privilege('readers', $oid, 'SELECT')"), 't', "$name: who could read escalations can");
}

#
# A backup that 0.2 made, with a view of what has moved and rights on it
#
my ($file) = glob "$data/backup_0.2/*.dump.gz";
my $key = 'backups/' . basename($file);
my ($state, $error, $run);

write_object($node, 'backups/' . basename($_), slurp_file($_)) foreach glob "$data/backup_0.2/*";
chmod 0700, folder_of($node), folder_of($node) . '/backups';
is($node->safe_psql('postgres', q(SELECT key, database, state FROM pgmaint.list_backups('pgmaint_local'))), "$key|shop|succeeded", 'a backup of 0.2 is listed');
is($node->safe_psql('postgres', q(SELECT pgmaint.adopt_backups('pgmaint_local'))), '1', '... and adopted');
foreach my $where ('server', 'database')
{
	($state, $error, $run) = run_backup_action($node, 'verify_backup', qq({"storage": "pgmaint_local", "key": "$key", "where": "$where"}));
	is("$state $error", 'succeeded ', "... and proven in a $where");
	is($node->safe_psql('postgres', 'SELECT verification FROM pgmaint.backups'), 'restorable', '... so that it says');
}
($state, $error, $run) = run_backup_action($node, 'restore_backup', qq({"storage": "pgmaint_local", "key": "$key", "into": "shop"}));
is("$state $error", 'succeeded ', '... and restored');
check_restored('a backup of 0.2', 'shop');
check_restored_0_2('a backup of 0.2', 'shop');
is(as('postgres', 'shop', 'SELECT count(*) FROM public.bloat'), '0', '... with the view of what has moved');
is(as('postgres', 'shop', 'SELECT count(*) FROM public.open_escalations'), '0', '... and of what has another name');
is($node->safe_psql('shop', q(SELECT has_table_privilege('readers', objid, 'SELECT') FROM (SELECT DISTINCT d.refobjid AS objid
	FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid WHERE r.ev_class = 'public.bloat'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class) x)),
	't', '... and the rights on it');
like($node->safe_psql('postgres', "SELECT string_agg(message, ' / ') FROM pgmaint.findings WHERE run_id = $run"), qr/^(?!.*was restored without)/, '... of which nothing is left out');

# ... and one of it as it is now
$node->safe_psql('postgres', 'DROP DATABASE shop');
$run = $node->safe_psql('plain_2', q(SELECT pgmaint.run_action('backup', '{"globals": false}')));
is(wait_for_end($node, $run, 'plain_2'), 'succeeded', 'a backup of what was restored')
  or diag(run_error($node, $run, 'plain_2'));
($key) = $node->safe_psql('plain_2', q(SELECT key FROM pgmaint.backups WHERE state = 'succeeded'));
($state, $error, $run) = run_backup_action($node, 'verify_backup', qq({"storage": "pgmaint_local", "key": "$key"}));
is("$state $error", 'succeeded ', '... is proven');
($state, $error, $run) = run_backup_action($node, 'restore_backup', qq({"storage": "pgmaint_local", "key": "$key", "into": "shop"}));
is("$state $error", 'succeeded ', '... and restored');
is($node->safe_psql('shop', q(SELECT count(*) FROM pgmaint.thresholds WHERE value IS DISTINCT FROM default_value)), '2', '... with the thresholds');

no_processes_left($node, 'nothing is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');
done_testing();
