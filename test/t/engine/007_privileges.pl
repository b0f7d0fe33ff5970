# Who may do what: nothing is open to PUBLIC, a run has the rights of the role
# that asked for it and no others, only that role can stop it, and code of a table's
# owner never runs with the rights of the role that maintains the table.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('privileges', 'pgmaint.max_workers = 2');
my ($status, $stdout, $stderr, $run);

# Run a statement as a role that logs in.
sub as
{
	my ($role, $sql) = @_;
	($status, $stdout, $stderr) = $node->psql('postgres', $sql, extra_params => [ '-U', $role ]);
	return $stdout;
}

sub refused
{
	my ($role, $sql, $message, $name) = @_;
	as($role, $sql);
	isnt($status, 0, "$name: refused");
	like($stderr, $message, "$name: message");
}

# nothing for PUBLIC, and a comment for everything
is( $node->safe_psql('postgres', <<'EOS'), '', 'PUBLIC has no privilege in the schema');
SELECT 'schema' FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
WHERE n.nspname IN ('pgmaint', 'pgmaint_internal') AND a.grantee = 0
UNION ALL
SELECT p.oid::regprocedure::text FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE p.pronamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND a.grantee = 0
UNION ALL
SELECT c.oid::regclass::text
FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault(CASE WHEN c.relkind = 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) a
WHERE c.relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND c.relkind <> 'i' AND a.grantee = 0
UNION ALL
SELECT a.attrelid::regclass || '.' || a.attname FROM pg_attribute a, aclexplode(a.attacl) x
WHERE a.attrelid IN (SELECT oid FROM pg_class WHERE relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace)) AND x.grantee = 0
EOS
is( $node->safe_psql('postgres', <<'EOS'), '', 'everything has a comment');
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND obj_description(p.oid, 'pg_proc') IS NULL
UNION ALL
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm') AND obj_description(c.oid, 'pg_class') IS NULL
UNION ALL
SELECT 'schema' FROM pg_namespace n WHERE n.nspname LIKE 'pgmaint%' AND obj_description(n.oid, 'pg_namespace') IS NULL
UNION ALL
SELECT 'extension' FROM pg_extension WHERE extname = 'pgmaint' AND obj_description(oid, 'pg_extension') IS NULL
EOS
is( $node->safe_psql('postgres', <<'EOS'), '', 'every function with its owner\'s rights has a search path of its own');
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND p.prosecdef
	AND NOT coalesce(p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false)
EOS

# a role with no more than README says
$node->safe_psql('postgres', <<'EOS');
CREATE ROLE stranger LOGIN;
CREATE ROLE app_owner LOGIN;
CREATE ROLE other_owner LOGIN;
GRANT CREATE ON SCHEMA public TO app_owner, other_owner;
GRANT USAGE ON SCHEMA pgmaint TO app_owner;
GRANT EXECUTE ON FUNCTION pgmaint.run(text, jsonb), pgmaint.run_action(text, jsonb), pgmaint.dry_run(text, jsonb), pgmaint.cancel(bigint) TO app_owner;
GRANT EXECUTE ON PROCEDURE pgmaint.run_and_wait(text, jsonb, bigint) TO app_owner;
EOS
foreach my $table ('app_owner.mine', 'other_owner.theirs')
{
	my ($owner, $name) = split /\./, $table;
	as($owner, "CREATE TABLE public.$name (id int PRIMARY KEY, filler text);
		INSERT INTO public.$name SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g;
		DELETE FROM public.$name WHERE id % 2 = 0;");
	is($status, 0, "table of $owner");
}

refused('stranger', $_, qr/permission denied for (?:schema|table|view|function|procedure)/, $_)
  foreach (q(SELECT pgmaint.run('weekly')), q(CALL pgmaint.run_and_wait('weekly')), 'SELECT pgmaint.cancel(1)', 'SELECT * FROM pgmaint.runs');

is( as('app_owner', q(SELECT string_agg(DISTINCT target, ', ') FROM pgmaint.dry_run('weekly') WHERE target LIKE 'public.%')),
	'public.mine', 'dry_run() lists what the role may do');
$run = as('app_owner', q(SELECT pgmaint.run('weekly', '{"min_size": 0}')));
is($stderr, '', 'run() as the role');
is(wait_for_end($node, $run), 'succeeded', 'run of the role');
is( $node->safe_psql('postgres', "SELECT string_agg(DISTINCT target, ', ') FROM pgmaint.tasks WHERE run_id = $run AND target LIKE 'public.%'"),
	'public.mine', 'it acts on tables of the role only');
is($node->safe_psql('postgres', "SELECT requested_by, role::regrole FROM pgmaint.runs WHERE run_id = $run"),
	'app_owner|app_owner', 'the ledger has the role');
like( $node->safe_psql('postgres',
		"SELECT message FROM pgmaint.findings WHERE run_id = $run AND severity = 'info' AND check_id = 'privileges' AND message LIKE '%VACUUM%'"),
	qr/on which the role of the run lacks privileges: .*public\.theirs/,
	'what is left alone is named');
is( $node->safe_psql('postgres', "SELECT n_dead_tup > 0 FROM pg_stat_user_tables WHERE relname = 'theirs'"),
	't', 'and left alone');
as('app_owner', q(CALL pgmaint.run_and_wait('weekly', '{"vacuum": {"tables": "public.mine"}}')));
is($status, 0, 'run_and_wait() as the role');
like($stderr, qr/VACUUM \(ANALYZE\) public\.mine succeeded/, 'which tells of the tasks');

# asking for a table of another by its name
$run = as('app_owner', q(SELECT pgmaint.run_action('vacuum', '{"tables": "public.theirs"}')));
wait_for_end($node, $run);
is(tasks($node, $run), 'none', "another's table by its name: no task");
like($node->safe_psql('postgres', "SELECT message FROM pgmaint.findings WHERE run_id = $run"), qr/public\.theirs/, "another's table by its name: a finding");

# the ledger is not the role's to read or to write
foreach my $table (qw(pgmaint.runs pgmaint.tasks pgmaint.findings pgmaint_internal.cancellations pgmaint_internal.bloat_measurements pgmaint.plan_definitions pgmaint.progress pgmaint.plans))
{
	refused('app_owner', "SELECT * FROM $table", qr/permission denied/, "read $table");
}
$node->safe_psql('postgres', 'CREATE ROLE watcher LOGIN IN ROLE pg_monitor');
foreach my $table (qw(pgmaint.runs pgmaint.tasks pgmaint.findings pgmaint_internal.cancellations pgmaint_internal.bloat_measurements pgmaint.plan_definitions))
{
	as('watcher', "SELECT count(*) FROM $table");
	is($status, 0, "pg_monitor reads $table");
	refused('watcher', "INSERT INTO $table DEFAULT VALUES", qr/permission denied/, "pg_monitor writes $table");
	refused('watcher', "DELETE FROM $table", qr/permission denied/, "pg_monitor deletes from $table");
}
refused('watcher', q(SELECT pgmaint.run('weekly')), qr/permission denied/, 'pg_monitor runs');
refused('watcher', 'SELECT pgmaint.cancel(1)', qr/permission denied/, 'pg_monitor cancels');
refused('watcher', q(SELECT pgmaint.define_plan('p', '["vacuum"]')), qr/permission denied/, 'pg_monitor defines a plan');
as('watcher', "SELECT * FROM pgmaint.report($run)");
is($status, 0, 'pg_monitor reads a report');

# whose run it is
create_slow_table($node, 'slow');
$node->safe_psql('postgres', 'ALTER TABLE slow OWNER TO other_owner; GRANT app_owner TO watcher');
$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA pgmaint TO other_owner; GRANT EXECUTE ON ALL ROUTINES IN SCHEMA pgmaint TO other_owner');
my $vacuum = slow_vacuum('public.slow');
$run = as('other_owner', "SELECT pgmaint.run_action('vacuum', $vacuum)");
my $worker = wait_for_slow_vacuum($node, 'public.slow');
refused('app_owner', "SELECT pgmaint.cancel($run)", qr/permission denied to cancel run $run\nDETAIL:  The run belongs to role "other_owner"/, "cancel of another's run");
is($node->safe_psql('postgres', "SELECT usename FROM pg_stat_activity WHERE pid = $worker"), 'other_owner', 'the task worker is connected as the role');
is( $node->safe_psql('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 7"),
	't', "pgmaint's locks show in pg_locks");
my $mine = as('app_owner', q(SELECT pgmaint.run('weekly')));
is(as('watcher', "SELECT pgmaint.cancel($mine)"), 't', 'a member of the role cancels its run');
is($node->safe_psql('postgres', "SELECT pgmaint.cancel($run)"), 't', 'a superuser cancels every run');
is(wait_for_end($node, $run), 'cancelled', 'cancelled');
is(wait_for_end($node, $mine), 'cancelled', 'cancelled too');

# a role that cannot log in
$node->safe_psql('postgres', 'CREATE ROLE no_login; GRANT USAGE ON SCHEMA pgmaint TO no_login;
	GRANT EXECUTE ON ALL ROUTINES IN SCHEMA pgmaint TO no_login; CREATE TABLE of_no_login AS SELECT 1 AS id;
	ALTER TABLE of_no_login OWNER TO no_login');
if ($node->pg_version >= 17)
{
	$run = $node->safe_psql('postgres', q(SET ROLE no_login; SELECT pgmaint.run_action('vacuum', '{"scope": "all"}')));
	is(wait_for_end($node, $run), 'succeeded', 'NOLOGIN, from 17 on: run');
	is(tasks($node, $run), 'public.of_no_login succeeded', 'NOLOGIN, from 17 on: its tables');
}
else
{
	refused('postgres', q(SET ROLE no_login; SELECT pgmaint.run('weekly')),
		qr/role "no_login" cannot run maintenance because it is not permitted to log in/, 'NOLOGIN');
}

# the privilege MAINTAIN, on one table or through a role on all of them
SKIP:
{
	skip 'MAINTAIN and pg_maintain came with 17', 10 if $node->pg_version < 17;
	$node->safe_psql('postgres', 'CREATE ROLE maintainer LOGIN; CREATE ROLE helper LOGIN;
		GRANT USAGE ON SCHEMA pgmaint TO maintainer, helper;
		GRANT EXECUTE ON ALL ROUTINES IN SCHEMA pgmaint TO maintainer, helper; GRANT pg_maintain TO maintainer;
		CREATE SCHEMA kept; CREATE TABLE kept.one AS SELECT 1 AS id; CREATE TABLE kept.other AS SELECT 1 AS id;
		GRANT MAINTAIN ON kept.one TO helper');

	my $options = q('{"schemas": "kept", "scope": "all", "settings": {"maintenance_work_mem": "8MB"}}');
	is(as('maintainer', "SELECT count(*) FROM pgmaint.dry_run('weekly', $options) WHERE action NOT IN ('validate', 'escalate')"), '0', 'pg_maintain: nothing in a schema that it may not use');
	is(as('helper', "SELECT count(*) FROM pgmaint.dry_run('weekly', $options) WHERE action NOT IN ('validate', 'escalate')"), '0', 'MAINTAIN: the same');
	$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA kept TO maintainer, helper');
	foreach my $action ('vacuum', 'analyze')
	{
		$run = as('helper', "SELECT pgmaint.run_action('$action', $options)");
		is(wait_for_end($node, $run), 'succeeded', "MAINTAIN on one table: $action");
		is(tasks($node, $run), 'kept.one succeeded', "MAINTAIN on one table: $action of that one");
		$run = as('maintainer', "SELECT pgmaint.run_action('$action', $options)");
		is(wait_for_end($node, $run), 'succeeded', "pg_maintain: $action");
		is(tasks($node, $run), 'kept.one succeeded, kept.other succeeded', "pg_maintain: $action of both");
	}
	$node->safe_psql('postgres', 'DROP SCHEMA kept CASCADE');
}

# SET ROLE counts, SECURITY DEFINER too
$run = $node->safe_psql('postgres', q(SET ROLE app_owner; SELECT pgmaint.run_action('vacuum', '{"scope": "all"}')));
is(wait_for_end($node, $run), 'succeeded', 'SET ROLE: run');
is(tasks($node, $run), 'public.mine succeeded', 'SET ROLE: tasks of that role only');

# the role changes between the call and the run's turn
foreach my $case (
	[ 'DROP ROLE short_lived', qr/role "short_lived" was dropped after the run was queued/, 'dropped' ],
	[ 'ALTER ROLE short_lived NOLOGIN', qr/failed or were stopped: vacuum public\.briefly \(failed\)/, 'no longer able to log in' ],
	[ 'REVOKE CONNECT ON DATABASE postgres FROM PUBLIC', qr/failed or were stopped: vacuum public\.briefly \(failed\)/, 'no longer able to connect' ])
{
	my ($change, $message, $name) = @$case;

	next if $name =~ /log in/ && $node->pg_version >= 17;
	$node->safe_psql('postgres', 'CREATE ROLE short_lived LOGIN; GRANT USAGE ON SCHEMA pgmaint TO short_lived;
		GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO short_lived; CREATE TABLE briefly AS SELECT 1 AS id');
	$node->safe_psql('postgres', 'ALTER TABLE briefly OWNER TO short_lived') if $change !~ /DROP/;
	my $before = $node->safe_psql('postgres', "SELECT pgmaint.run_action('vacuum', $vacuum)");
	wait_for_slow_vacuum($node, 'public.slow');
	$run = as('short_lived', q(SELECT pgmaint.run_action('vacuum', '{"tables": "public.briefly"}')));
	$node->safe_psql('postgres', 'REVOKE ALL ON SCHEMA pgmaint FROM short_lived; REVOKE ALL ON ALL ROUTINES IN SCHEMA pgmaint FROM short_lived');
	$node->safe_psql('postgres', $change);
	$node->safe_psql('postgres', "SELECT pgmaint.cancel($before)");
	is(wait_for_end($node, $run), 'failed', "role $name: run");
	like(run_error($node, $run), $message, "role $name: reason");
	$node->safe_psql('postgres', 'GRANT CONNECT ON DATABASE postgres TO PUBLIC; DROP TABLE briefly; DROP ROLE IF EXISTS short_lived');
}

# settings of a step
sub with_settings
{
	my ($settings) = @_;
	return qq(SELECT pgmaint.run('weekly', '{"vacuum": {"settings": $settings}}'));
}
my $runs = $node->safe_psql('postgres', 'SELECT count(*) FROM pgmaint.runs');
refused('app_owner', with_settings('{"log_min_messages": "panic"}'), qr/permission denied to set parameter "log_min_messages"/, 'a setting that is not the role\'s');
refused('app_owner', with_settings('{"max_worker_processes": 1}'), qr/cannot be changed/, 'a setting of the server');
refused('app_owner', with_settings('{"nosuch": 1}'), qr/unrecognized configuration parameter "nosuch"/, 'a setting that is none');
refused('app_owner', with_settings('{"maintenance_work_mem": "much"}'), qr/invalid value for parameter "maintenance_work_mem"/, 'a value that is none');
foreach my $name (qw(search_path SEARCH_PATH Search_Path role session_authorization SESSION_AUTHORIZATION session_replication_role row_security lock_timeout zero_damaged_pages jit))
{
	refused($_, with_settings(qq({"$name": "off"})), qr/setting "$name" cannot be changed for a step/, "$name as $_") foreach qw(app_owner postgres);
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgmaint.runs'), $runs, 'all that was said by the call, and nothing queued');
foreach my $case ([ 'app_owner', 'maintenance_work_mem', '32MB' ], [ 'postgres', 'log_min_duration_statement', '1min' ])
{
	my ($role, $name, $value) = @$case;
	is( as($role, "SELECT pgmaint.run('weekly', '{\"vacuum\": {\"tables\": \"public.mine\", \"settings\": {\"$name\": \"$value\"}}}'); SELECT current_setting('$name') = '$value'") =~ s/^\d+\n//r,
		'f', "$name: the call changes nothing in its own session");
	is(wait_for_end($node, last_run($node)), 'succeeded', "$name: the run");
}
# a timeout of the step's own is a failure of its tasks
$vacuum =~ s/"settings": \{/"settings": {"statement_timeout": "1s", /;
$run = as('other_owner', "SELECT pgmaint.run_action('vacuum', $vacuum)");
is(wait_for_end($node, $run), 'failed', 'statement_timeout of a step: run');
is($node->safe_psql('postgres', "SELECT state, sqlstate, error FROM pgmaint.tasks WHERE run_id = $run"),
	'failed|57014|canceling statement due to statement timeout', 'statement_timeout of a step: task');

# an index of an owner who means harm: its function runs as the owner, for every role
# that maintains the table, and has no way out of that
$node->safe_psql('postgres', 'CREATE SCHEMA evil AUTHORIZATION other_owner; GRANT CREATE ON SCHEMA evil TO other_owner');
as('other_owner', <<'EOS');
CREATE TABLE evil.log (who name, what text);
CREATE FUNCTION evil.write(what text) RETURNS void LANGUAGE sql AS 'INSERT INTO evil.log VALUES (current_user, what)';
CREATE FUNCTION evil.try(attempt text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE attempt;
	PERFORM evil.write(attempt || ': done');
EXCEPTION WHEN OTHERS THEN
	PERFORM evil.write(attempt || ': ' || sqlerrm);
END $$;
CREATE FUNCTION evil.key(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF pg_catalog.current_setting('application_name') LIKE 'pgmaint%' OR current_user <> 'other_owner' OR id = 1 THEN
		PERFORM evil.try('RESET ROLE');
		PERFORM evil.try('SET ROLE postgres');
		PERFORM evil.try('RESET SESSION AUTHORIZATION');
		PERFORM evil.try('SET SESSION AUTHORIZATION postgres');
		PERFORM evil.try('ALTER ROLE other_owner SUPERUSER');
		PERFORM evil.try('DELETE FROM pgmaint.runs');
		PERFORM evil.try('SELECT pgmaint.run(''weekly'')');
	END IF;
	RETURN id;
END $$;
CREATE TABLE evil.trap (id int, filler text);
INSERT INTO evil.trap SELECT g, repeat('x', 500) FROM generate_series(1, 30000) g;
CREATE INDEX ON evil.trap (evil.key(id));
CREATE INDEX ON evil.trap (filler) WHERE evil.key(id) > 0;
DELETE FROM evil.trap WHERE id % 2 = 0;
TRUNCATE evil.log;
EOS
is($stderr, '', 'the trap is set');
$node->safe_psql('postgres', q(SELECT * FROM pgmaint.dry_run('weekly', '{"tables": "evil.trap"}');
	SELECT * FROM pgmaint.table_bloat('evil.trap'); SELECT * FROM pgmaint.index_bloat('evil.trap');
	SELECT * FROM pgmaint.vacuum_candidates(); SELECT * FROM pgmaint.stale_statistics()));
is($node->safe_psql('postgres', 'SELECT count(*) FROM evil.log'), '0', 'what only looks calls no function of an index');
$run = $node->safe_psql('postgres', q(SELECT pgmaint.run('weekly', '{"tables": "evil.trap", "vacuum": {"analyze": "on"}}')));
is(wait_for_end($node, $run), 'succeeded', 'a superuser maintains the table');
is($node->safe_psql('postgres', 'SELECT count(*) > 0 FROM evil.log'), 't', 'its functions are called');
is($node->safe_psql('postgres', 'SELECT string_agg(DISTINCT who, $$, $$) FROM evil.log'), 'other_owner', 'as the owner of the table');
is($node->safe_psql('postgres', q(SELECT string_agg(DISTINCT what, '; ') FROM evil.log WHERE what LIKE '%: done')), '', 'and get no further');
is($node->safe_psql('postgres', q(SELECT rolsuper FROM pg_roles WHERE rolname = 'other_owner')), 'f', 'the owner is what it was');
like($node->safe_psql('postgres', "SELECT what FROM evil.log WHERE what LIKE 'SELECT pgmaint.run%' LIMIT 1"),
	qr/pgmaint\.run\(\) cannot be executed within a security-restricted operation/, 'no run can be queued from there');

# the owner of a database maintains all of it
$node->safe_psql('postgres', 'CREATE ROLE landlord LOGIN; ALTER DATABASE postgres OWNER TO landlord;
	GRANT USAGE ON SCHEMA pgmaint TO landlord; GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO landlord');
$run = as('landlord', q(SELECT pgmaint.run_action('vacuum', '{"tables": ["public.mine", "public.theirs"]}')));
is(wait_for_end($node, $run), 'succeeded', 'database owner: run');
is(tasks($node, $run), 'public.mine succeeded, public.theirs succeeded', 'database owner: tasks');

# no role holds maintenance up by guessing the key of a lock
my $session = $node->background_psql('postgres');
$session->query_safe('SELECT count(pg_advisory_lock(k)) FROM generate_series(0, 10) k');
$session->query_safe('SELECT count(pg_advisory_lock(k, j)) FROM generate_series(0, 10) k, generate_series(0, 10) j');
$session->query_safe("SELECT count(pg_advisory_lock((d.oid::bigint << 32) | k)) FROM pg_database d, generate_series(0, 10) k");
$run = $node->safe_psql('postgres', q(SELECT pgmaint.run_action('analyze', '{"tables": "public.mine"}')));
is(wait_for_end($node, $run), 'succeeded', 'advisory locks of SQL are not those of pgmaint');
$session->quit;

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
