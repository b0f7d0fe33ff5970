# Who may use pgmaint: the levels of grant_access(), a role with the grants that
# README of 0.2 listed, and a plain member of pg_monitor.  Whatever a role may read
# or call does not fail for want of a right on what is inside; nothing else is open
# to it; and its privileges survive an update, a dump and a restore.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('access');
my ($status, $stdout, $stderr);

# Run statements as a role that logs in.
sub as
{
	my ($role, $sql, $database, %params) = @_;
	($status, $stdout, $stderr) = $node->psql($database || 'postgres', $sql, extra_params => [ '-U', $role ], %params);
	return $stdout;
}

sub refused
{
	my ($role, $sql, $message, $name) = @_;
	as($role, $sql);
	isnt($status, 0, "$name: refused");
	like($stderr, $message, "$name: message");
}

sub grant_access
{
	my ($role, $level, $database) = @_;
	return $node->safe_psql($database || 'postgres', "SELECT pgmaint.grant_access('$role', '$level')");
}

# All relations that a role may read, and all functions that it may call without an
# argument, by their names.
sub open_to
{
	my ($role, $database) = @_;
	return split /\n/, $node->safe_psql($database || 'postgres', <<"EOS");
SELECT format('SELECT count(*) FROM (SELECT * FROM %s) x', c.oid::regclass) FROM pg_class c
WHERE c.relnamespace = 'pgmaint'::regnamespace AND c.relkind IN ('r', 'v') AND has_table_privilege('$role', c.oid, 'SELECT')
UNION ALL
SELECT format('SELECT count(*) FROM %s() x', p.oid::regproc) FROM pg_proc p
WHERE p.pronamespace = 'pgmaint'::regnamespace AND p.prokind = 'f' AND p.pronargs = p.pronargdefaults
	-- these do something, which has tests of its own
	AND p.proname NOT IN ('take_over', 'stay_copy', 'tick', 'schedule_all')
	AND has_function_privilege('$role', p.oid, 'EXECUTE')
ORDER BY 1
EOS
}

# None of them fails.
sub walk
{
	my ($role, $database) = @_;
	my @statements = open_to($role, $database);

	as($role, join(";\n", @statements), $database, on_error_stop => 0);
	is(join("\n", grep { /ERROR|denied/ } split /\n/, $stderr), '', "$role: what it may read and call does not fail") or diag($stderr);
	return scalar @statements;
}

# The privileges that roles have on members of the extension, and who gave them.
sub privileges
{
	my ($database) = @_;
	return $node->safe_psql($database, <<'EOS');
SELECT o.name, pg_get_userbyid(a.grantor), pg_get_userbyid(a.grantee), a.privilege_type
FROM (
	SELECT c.oid::regclass::text, c.relacl FROM pg_class c WHERE c.relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace)
	UNION ALL
	SELECT t.attrelid::regclass || '.' || t.attname, t.attacl FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
	WHERE c.relnamespace = 'pgmaint'::regnamespace
	UNION ALL
	SELECT p.oid::regprocedure::text, p.proacl FROM pg_proc p WHERE p.pronamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace)
	UNION ALL
	SELECT n.nspname, n.nspacl FROM pg_namespace n WHERE n.nspname LIKE 'pgmaint%') o (name, acl), aclexplode(o.acl) a
ORDER BY 1, 2, 3, 4
EOS
}

$node->safe_psql('postgres', <<'EOS');
CREATE ROLE by_hand LOGIN;
CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
CREATE ROLE app_owner LOGIN;
CREATE ROLE "Odd ""role""" LOGIN;
CREATE ROLE other_owner;
CREATE TABLE theirs AS SELECT now() AS at, 1 AS id;
ALTER TABLE theirs OWNER TO other_owner;
GRANT CREATE ON SCHEMA public TO app_owner, by_hand;
EOS

# what README of 0.2 told to grant
my $by_hand = <<'EOS';
GRANT USAGE ON SCHEMA pgmaint TO by_hand;
GRANT EXECUTE ON FUNCTION pgmaint.run(text, jsonb), pgmaint.run_action(text, jsonb), pgmaint.dry_run(text, jsonb), pgmaint.cancel(bigint) TO by_hand;
GRANT EXECUTE ON PROCEDURE pgmaint.run_and_wait(text, jsonb, bigint) TO by_hand;
GRANT SELECT ON pgmaint.runs, pgmaint.tasks, pgmaint.findings, pgmaint.task_results, pgmaint.step_results, pgmaint.finding_results TO by_hand;
GRANT EXECUTE ON FUNCTION pgmaint.report(bigint), pgmaint.shown_tasks(bigint), pgmaint.shown_findings(bigint), pgmaint.message_pattern(text, text),
	pgmaint.may_be_copied(text), pgmaint.one_line(text), pgmaint.count_text(bigint) TO by_hand;
EOS

# Does all that README promised with these work?
sub follow_readme
{
	my ($role, $database) = @_;

	as($role, "CREATE TABLE IF NOT EXISTS of_$role AS SELECT g AS id FROM generate_series(1, 2000) g; DELETE FROM of_$role WHERE id % 2 = 0", $database);
	as($role, q(CALL pgmaint.run_and_wait('weekly', '{"min_size": 0}')), $database);
	is($status, 0, "$role in $database: run_and_wait") or diag($stderr);
	my $run = as($role, qq(SELECT pgmaint.run('weekly', '{"tables": "public.of_$role"}')), $database);
	is($status, 0, "$role in $database: may run") or die $stderr;
	is(wait_for_end($node, $run, $database), 'succeeded', "$role in $database: run");
	$run = as($role, qq(SELECT pgmaint.run_action('analyze', '{"scope": "all", "tables": "public.of_$role"}')), $database);
	is(wait_for_end($node, $run, $database), 'succeeded', "$role in $database: run_action");
	is(tasks($node, $run, $database), "public.of_$role succeeded", "$role in $database: acts on its tables");
	is(as($role, "SELECT pgmaint.cancel($run)", $database), 'f', "$role in $database: cancel");
	as($role, q(SELECT count(*) FROM pgmaint.dry_run('weekly')), $database);
	is($stderr, '', "$role in $database: dry_run");
	like(as($role, 'SELECT * FROM pgmaint.report()', $database), qr/public\.of_$role/, "$role in $database: report");
	foreach my $name (qw(runs tasks findings task_results step_results finding_results))
	{
		is(as($role, "SELECT count(x.*) > 0 FROM pgmaint.$name x", $database), 't', "$role in $database: $name");
	}
	is(as($role, q(SELECT pgmaint.count_text(1234), pgmaint.one_line(E'a\nb'), pgmaint.may_be_copied('ANALYZE'), pgmaint.message_pattern('5 rows', '') = pgmaint.message_pattern('6 rows', '')), $database),
		'1,234|a b|t|t', "$role in $database: what the views call");
	walk($role, $database);
}

# A database that comes from 0.2, whose owner gives tables to readers by default
$node->safe_psql('postgres', 'CREATE DATABASE updated');
$node->safe_psql('updated', "GRANT CREATE ON SCHEMA public TO by_hand; CREATE EXTENSION pgmaint VERSION '0.2';
	$by_hand ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO by_hand; ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO by_hand;
	ALTER EXTENSION pgmaint UPDATE");
follow_readme('by_hand', 'updated');
is($node->safe_psql('updated', <<'EOS'), "f|f", 'the update gives nothing of what is new to those who get things by default');
SELECT has_table_privilege('by_hand', 'pgmaint_internal.access_levels', 'SELECT'), has_function_privilege('by_hand', 'pgmaint.grant_access(regrole, text)', 'EXECUTE')
EOS
$node->safe_psql('postgres', $by_hand);
follow_readme('by_hand', 'postgres');

# monitoring
cmp_ok(walk('watcher'), '>', 40, 'watcher: sees a lot');
walk('watcher', 'updated');
refused('watcher', q(SELECT pgmaint.grant_access('watcher', 'manage')), qr/permission denied for function grant_access/, 'a monitor gives itself rights');

# the levels
refused('app_owner', 'SELECT * FROM pgmaint.runs', qr/permission denied for schema pgmaint/, 'no level');
my %count;
foreach my $level (qw(read run manage))
{
	grant_access('app_owner', $level);
	$count{$level} = walk('app_owner');
	my $once = privileges('postgres');
	grant_access('app_owner', $level);
	is(privileges('postgres'), $once, "$level: twice is the same");
	grant_access('"Odd ""role"""', $level);
	walk('Odd "role"');
}
cmp_ok($count{read}, '>', 30, 'read: a lot is to be seen');
cmp_ok($count{manage}, '>', $count{read}, 'manage: more');
follow_readme('app_owner', 'postgres');

# what manage is for
as('app_owner', <<'EOS');
SELECT pgmaint.define_plan('mine', '["analyze"]');
SELECT pgmaint.drop_plan('mine');
SELECT pgmaint.add_window('night', '{0,6}', '01:00', '2 hours');
SELECT pgmaint.drop_window('night');
CREATE TABLE logs (at timestamptz PRIMARY KEY);
SELECT pgmaint.add_retention('logs', 'at', '1 year', archive => false) AS policy \gset
SELECT pgmaint.drop_retention(:policy);
SELECT pgmaint.add_contact('app', 'notify:app');
SELECT * FROM pgmaint.contacts;
SELECT pgmaint.drop_contact('app');
UPDATE pgmaint.thresholds SET value = value;
SELECT pgmaint.tick();
EOS
is($status, 0, 'manage: what it is for') or diag($stderr);
foreach my $case (
	[ q(SELECT pgmaint.define_plan('weekly', '["analyze"]')), qr/permission denied to replace the built-in plan "weekly"/, 'a built-in plan' ],
	[ q(SELECT pgmaint.add_retention('theirs', 'at', '1 year', archive => false)), qr/must be owner of table|permission denied/, 'retention of a table of another' ],
	[ q(SELECT pgmaint.check_storage('pgmaint_local')), qr/permission denied for foreign server pgmaint_local/, 'a storage without USAGE' ],
	[ q(UPDATE pgmaint.thresholds SET description = 'mine'), qr/permission denied for table thresholds/, 'what a threshold is' ],
	[ q(INSERT INTO pgmaint.thresholds SELECT * FROM pgmaint.thresholds), qr/permission denied for table thresholds/, 'a new threshold' ],
	[ q(DELETE FROM pgmaint.contacts), qr/permission denied for table contacts/, 'rows of a table' ],
	[ q(SELECT pgmaint.add_verification('postgres', 'SELECT true')), qr/permission denied for function add_verification/, 'a query in backups' ],
	[ q(SELECT pgmaint.restore_archive(1, 'logs')), qr/permission denied for function restore_archive/, 'the rows of an archive' ],
	[ q(SELECT pgmaint.take_over()), qr/permission denied for function take_over/, 'whose backups these are' ],
	[ q(SELECT * FROM pgmaint.slow_queries()), qr/permission denied for function slow_queries/, 'statements of others' ],
	[ q(SELECT * FROM pgmaint.xmin_holders()), qr/permission denied for function xmin_holders/, 'sessions of others' ],
	[ q(SELECT * FROM pgmaint_internal.troubles), qr/permission denied for schema pgmaint_internal/, 'the machinery' ],
	[ q(SELECT pgmaint.grant_access('other_owner', 'read')), qr/permission denied for function grant_access/, 'rights of others' ])
{
	refused('app_owner', $case->[0], $case->[1], "manage, $case->[2]");
}

# a level less takes away the difference
grant_access('app_owner', 'run');
refused('app_owner', q(SELECT pgmaint.define_plan('mine', '["analyze"]')), qr/permission denied for function define_plan/, 'run after manage');
refused('app_owner', 'UPDATE pgmaint.thresholds SET value = value', qr/permission denied for table thresholds/, 'run after manage, a column');
is(walk('app_owner'), $count{run}, 'run after manage: is run');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION pgmaint.list_backups(text) TO app_owner');
grant_access('app_owner', 'read');
refused('app_owner', q(SELECT pgmaint.run('weekly')), qr/permission denied for function run/, 'read after run');
is(walk('app_owner'), $count{read}, 'read after run: is read');
is($node->safe_psql('postgres', q(SELECT has_function_privilege('app_owner', 'pgmaint.list_backups(text)', 'EXECUTE'))), 't', 'what was granted otherwise stays');

# a role that had the grants of README goes over to a level, and back to nothing
grant_access('by_hand', 'run');
follow_readme('by_hand', 'updated');
grant_access('by_hand', 'none', $_) foreach 'postgres', 'updated';
unlike(privileges($_), qr/\|by_hand\|/, "$_: none takes away what was granted by hand, too") foreach 'postgres', 'updated';

# who may grant, and to whom
$node->safe_psql('postgres', 'CREATE ROLE deputy LOGIN IN ROLE postgres; GRANT EXECUTE ON FUNCTION pgmaint.grant_access(regrole, text) TO watcher');
refused('watcher', q(SELECT pgmaint.grant_access('watcher', 'manage')), qr/permission denied to grant access to pgmaint\nDETAIL:  The extension belongs to role postgres\./, 'EXECUTE alone');
as('deputy', q(SELECT pgmaint.grant_access('other_owner', 'manage')));
is($status, 0, 'a member of the owner grants') or diag($stderr);
like(privileges('postgres'), qr/^pgmaint\.runs\|postgres\|other_owner\|SELECT$/m, 'in the name of the owner');
grant_access('other_owner', 'none');
unlike(privileges('postgres'), qr/\|other_owner\|/, 'so that a superuser can take it away');
$node->safe_psql('postgres', 'REVOKE EXECUTE ON FUNCTION pgmaint.grant_access(regrole, text) FROM watcher');
my $before = privileges('postgres');
foreach my $case (
	[ q('public', 'read'), qr/role "public" does not exist/ ],
	[ q('nobody_here', 'read'), qr/role "nobody_here" does not exist/ ],
	[ q('0', 'read'), qr/role with OID 0 does not exist/ ],
	[ q('app_owner', 'write'), qr/unknown access level "write"\nHINT:  Choose one of these: none, read, run, manage\./ ],
	[ q('app_owner', NULL), qr/level must not be null/ ],
	[ q(NULL, 'read'), qr/role must not be null/ ],
	[ q('postgres', 'none'), qr/the privileges of role "postgres" on pgmaint cannot be changed\nDETAIL:  The role owns the extension\./ ],
	[ q('pg_monitor', 'none'), qr/the privileges of role "pg_monitor" on pgmaint cannot be changed\nDETAIL:  The privileges come with the extension\./ ])
{
	refused('postgres', "SELECT pgmaint.grant_access($case->[0])", $case->[1], $case->[0]);
}
is(privileges('postgres'), $before, 'and nothing was changed');

# Dump and restore: of a database with all levels, and with the grants of README
$node->safe_psql('postgres', $by_hand);
$node->safe_psql('postgres', q(CREATE ROLE manager LOGIN; CREATE ROLE runner LOGIN; SELECT pgmaint.grant_access('manager', 'manage'), pgmaint.grant_access('runner', 'run')));
my $privileges = privileges('postgres');
foreach my $format (qw(custom plain))
{
	my $file = $node->basedir . "/dump.$format";
	my $database = "restored_$format";

	$node->command_ok([ 'pg_dump', '-F', $format, '-f', $file, 'postgres' ], "$format: pg_dump");
	$node->safe_psql('template1', "CREATE DATABASE $database");
	$node->command_ok(
		$format eq 'plain'
		? [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $database, '-f', $file ]
		: [ 'pg_restore', '-e', '-d', $database, $file ],
		"$format: restored without an error");
	is(privileges($database), $privileges, "$format: the same privileges");
	walk($_, $database) foreach 'app_owner', 'by_hand', 'runner', 'manager', 'watcher', 'Odd "role"';
}

# then the roles can go
my $roles = 'by_hand, app_owner, "Odd ""role""", manager, runner';
foreach my $database ('restored_custom', 'restored_plain', 'updated')
{
	$node->safe_psql('postgres', "DROP DATABASE $database");
}
grant_access($_, 'none') foreach 'by_hand', 'app_owner', '"Odd ""role"""', 'manager', 'runner';
$node->safe_psql('postgres', 'DROP TABLE of_by_hand, of_app_owner, logs; REVOKE CREATE ON SCHEMA public FROM app_owner, by_hand; REVOKE EXECUTE ON FUNCTION pgmaint.list_backups(text) FROM app_owner');
$node->safe_psql('postgres', "DROP ROLE $roles");

no_processes_left($node, 'no process is left');
done_testing();
