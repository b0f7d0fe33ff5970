# Settings of the database and of the role that would stop maintenance half-way
# or change what it does: workers start from known ones.  And a search path on
# which a role put operators and functions of its own gets none of them
# executed by pgmaint's functions, neither in the workers nor in the session.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = start_server('settings');
my ($status, $stdout, $stderr);

# Whatever is called in the schema "trap" leaves a row with the role it ran as.
# Its functions are better matches than the server's own, or come before them.
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE public.trapped (what text, by name);
GRANT INSERT ON public.trapped TO PUBLIC;
CREATE SCHEMA trap;
CREATE FUNCTION trap.caught(what text) RETURNS void LANGUAGE sql
	AS 'INSERT INTO public.trapped VALUES (what, current_user)';
CREATE FUNCTION trap.eq(a name, b name) RETURNS bool LANGUAGE plpgsql
	AS 'BEGIN PERFORM trap.caught(''name =''); RETURN a OPERATOR(pg_catalog.=) b; END';
CREATE FUNCTION trap.eq(a oid, b oid) RETURNS bool LANGUAGE plpgsql
	AS 'BEGIN PERFORM trap.caught(''oid =''); RETURN a OPERATOR(pg_catalog.=) b; END';
CREATE FUNCTION trap.eq(a text, b text) RETURNS bool LANGUAGE plpgsql
	AS 'BEGIN PERFORM trap.caught(''text =''); RETURN a OPERATOR(pg_catalog.=) b; END';
CREATE FUNCTION trap.eq(a bigint, b bigint) RETURNS bool LANGUAGE plpgsql
	AS 'BEGIN PERFORM trap.caught(''bigint =''); RETURN a OPERATOR(pg_catalog.=) b; END';
CREATE FUNCTION trap.ge(a bigint, b bigint) RETURNS bool LANGUAGE plpgsql
	AS 'BEGIN PERFORM trap.caught(''bigint >=''); RETURN a OPERATOR(pg_catalog.>=) b; END';
CREATE FUNCTION trap.join(a text, b text) RETURNS text LANGUAGE plpgsql
	AS 'BEGIN PERFORM trap.caught(''text ||''); RETURN a OPERATOR(pg_catalog.||) b; END';
CREATE OPERATOR trap.= (leftarg = name, rightarg = name, function = trap.eq);
CREATE OPERATOR trap.= (leftarg = oid, rightarg = oid, function = trap.eq);
CREATE OPERATOR trap.= (leftarg = text, rightarg = text, function = trap.eq);
CREATE OPERATOR trap.= (leftarg = bigint, rightarg = bigint, function = trap.eq);
CREATE OPERATOR trap.>= (leftarg = bigint, rightarg = bigint, function = trap.ge);
CREATE OPERATOR trap.|| (leftarg = text, rightarg = text, function = trap.join);
CREATE FUNCTION trap.pg_table_size(regclass) RETURNS bigint LANGUAGE plpgsql
	AS 'BEGIN PERFORM trap.caught(''pg_table_size''); RETURN 1; END';
CREATE FUNCTION trap.pg_relation_size(regclass) RETURNS bigint LANGUAGE plpgsql
	AS 'BEGIN PERFORM trap.caught(''pg_relation_size''); RETURN 1; END';
CREATE FUNCTION trap.pg_size_pretty(bigint) RETURNS text LANGUAGE plpgsql
	AS 'BEGIN PERFORM trap.caught(''pg_size_pretty''); RETURN ''1''; END';
CREATE FUNCTION trap.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql
	AS 'BEGIN PERFORM trap.caught(''format''); RETURN ''x''; END';
CREATE FUNCTION trap.current_database() RETURNS name LANGUAGE plpgsql
	AS 'BEGIN PERFORM trap.caught(''current_database''); RETURN ''x''; END';
CREATE FUNCTION trap.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql
	AS 'BEGIN PERFORM trap.caught(''clock_timestamp''); RETURN ''now''; END';
CREATE VIEW trap.pg_class AS SELECT * FROM pg_catalog.pg_class WHERE trap.caught('pg_class') IS NULL;
CREATE VIEW trap.runs AS SELECT * FROM pgmaint.runs WHERE trap.caught('runs') IS NULL;
CREATE VIEW trap.tasks AS SELECT * FROM pgmaint.tasks WHERE trap.caught('tasks') IS NULL;
CREATE VIEW trap.pg_stat_activity AS SELECT * FROM pg_catalog.pg_stat_activity WHERE trap.caught('activity') IS NULL;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA trap TO PUBLIC;
EOS

sub create_work
{
	my ($table, $owner) = @_;
	$node->safe_psql('postgres', "SET ROLE $owner;
		CREATE TABLE public.$table (id int PRIMARY KEY, filler text) WITH (autovacuum_enabled = off);
		INSERT INTO public.$table SELECT g, repeat('x', 500) FROM generate_series(1, 30000) g;
		DELETE FROM public.$table WHERE id % 2 = 0");
}

my $done = "SELECT string_agg(action || ' ' || state, ', ' ORDER BY task_id) FROM pgmaint.tasks WHERE run_id =";

# the trap works, where it is stepped into
$node->safe_psql('postgres', q(SET search_path = trap, pg_catalog; SELECT count(*) FROM pg_class WHERE relname = 'x'::name));
is($node->safe_psql('postgres', 'WITH d AS (DELETE FROM public.trapped RETURNING 1) SELECT count(*) > 0 FROM d'), 't',
	'the trap works');

# of the role and of the database
$node->safe_psql('postgres', 'GRANT CREATE ON SCHEMA public TO PUBLIC; CREATE ROLE plain LOGIN; CREATE ROLE boss LOGIN SUPERUSER; CREATE ROLE nobody');
$node->safe_psql('postgres', 'GRANT nobody TO plain; GRANT USAGE ON SCHEMA pgmaint TO plain;
	GRANT EXECUTE ON ALL ROUTINES IN SCHEMA pgmaint, pgmaint_internal TO plain; GRANT USAGE ON SCHEMA pgmaint_internal TO plain');
# renamed in 16
my $parallel = $node->safe_psql('postgres',
	"SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')");

foreach my $role (qw(plain boss))
{
	my %settings = (
		statement_timeout => q('1ms'),
		lock_timeout => q('1ms'),
		idle_in_transaction_session_timeout => q('1ms'),
		idle_session_timeout => q('1ms'),
		default_transaction_read_only => 'on',
		default_transaction_isolation => 'serializable',
		default_transaction_deferrable => 'on',
		search_path => 'trap, pg_catalog, pgmaint, public',
		datestyle => q('SQL, DMY'),
		intervalstyle => 'sql_standard',
		timezone => q('Pacific/Chatham'),
		bytea_output => 'escape',
		# 19 has no other strings than standard ones
		$node->pg_version->major < 19 ? (standard_conforming_strings => 'off') : (),
		quote_all_identifiers => 'on',
		transform_null_equals => 'on',
		array_nulls => 'off',
		row_security => 'off',
		default_tablespace => 'nosuch',
		default_table_access_method => 'nosuch',
		client_min_messages => 'error',
		synchronous_commit => 'off',
		vacuum_cost_delay => '0',
		enable_seqscan => 'off',
		$parallel => 'on',
		track_activities => 'on',
		role => $role eq 'plain' ? 'nobody' : 'plain');
	if ($role eq 'boss')
	{
		%settings = (
			%settings,
			session_replication_role => 'replica',
			zero_damaged_pages => 'on',
			track_counts => 'off',
			allow_system_table_mods => 'on',
			lo_compat_privileges => 'on');
	}

	foreach my $scope ("ROLE $role", 'DATABASE postgres')
	{
		my $name = "$scope, run as $role";

		create_work('work', $role);
		# a session that comes before them
		my $session = $node->background_psql('postgres', extra_params => [ '-U', $role ]);
		$session->query_safe('SELECT 1');
		my $watcher = $node->background_psql('postgres');
		$watcher->query_safe('SELECT 1');
		$node->safe_psql('postgres',
			join ";\n", map { "ALTER $scope SET $_ = $settings{$_}" } sort keys %settings);
		my $run = $session->query_safe(q(SELECT pgmaint.run('weekly')));
		foreach (1 .. 10 * ($PostgreSQL::Test::Utils::timeout_default || 180))
		{
			last if $watcher->query_safe("SELECT state IN ('queued', 'running') FROM pgmaint.runs WHERE run_id = $run") eq 'f';
			usleep(100_000);
		}
		$node->poll_query_until('template1', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'pgmaint%'");
		$_->quit foreach $session, $watcher;
		$node->safe_psql('template1', "ALTER $scope RESET ALL");
		is(run_state($node, $run), 'succeeded', "$name: run") or diag run_error($node, $run);
		$stdout = $node->safe_psql('postgres', "$done $run AND target = 'public.work'");
		is($stdout, 'bloat_report succeeded, vacuum succeeded', "$name: tasks");
		is($node->safe_psql('postgres', "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'work'"), '0',
			"$name: the work is done");
		is( $node->safe_psql('postgres', "SELECT requested_by FROM pgmaint.runs WHERE run_id = $run"), $role, "$name: by its role");
		is($node->safe_psql('postgres', 'SELECT count(*) FROM public.trapped'), '0', "$name: nothing on the search path was called");
		$node->safe_psql('postgres', 'DROP TABLE public.work; TRUNCATE public.trapped');
	}
}

# of the session that calls.  The functions' own arguments are the caller's:
# only what pgmaint does with them counts.
create_work('work', 'plain');
my $run = $node->safe_psql('postgres', q(SELECT pgmaint.run_action('vacuum', '{"tables": "work"}')));
wait_for_end($node, $run);
foreach my $call (
	q(pgmaint.run('weekly')),
	q(pgmaint.run('weekly', '{"tables": "public.work"}')),
	q(pgmaint.run_action('analyze', '{"tables": "public.work"}')),
	q(pgmaint.dry_run('weekly')),
	"pgmaint.cancel($run)",
	'pgmaint.tick()',
	"pgmaint.report($run)",
	"pgmaint.report_html($run)",
	'pgmaint.metrics',
	'pgmaint.metrics_text()',
	'pgmaint.vacuum_candidates()',
	'pgmaint.stale_statistics()',
	'pgmaint_internal.table_states(10)',
	'pgmaint.xmin_holders()',
	q(pgmaint.define_plan('mine', '["vacuum"]')),
	q(pgmaint.drop_plan('mine')),
	'pgmaint.actions()',
	'pgmaint_internal.built_in_plans()',
	q(pgmaint.table_bloat('public.work')),
	q(pgmaint.index_bloat('public.work')),
	'pgmaint.plans',
	'pgmaint.progress',
	'pgmaint.bloat_history')
{
	foreach my $role (qw(plain boss))
	{
		next if $role eq 'plain' && $call =~ /plans$|progress|bloat|report|metrics|drop_plan|define_plan|cancel/;
		($status, $stdout, $stderr) = $node->psql('postgres',
			"SET search_path = trap, public, pg_catalog, pg_temp;\nSELECT count(t) FROM $call AS t",
			extra_params => [ '-U', $role ]);
		is($stderr, '', "$call by $role: succeeds");
		no_processes_left($node, "$call by $role: done");
		is( $node->safe_psql('postgres', q(SELECT string_agg(DISTINCT what || ' as ' || by, ', ') FROM public.trapped)),
			'', "$call by $role: calls nothing on the search path");
		$node->safe_psql('postgres', 'TRUNCATE public.trapped');
	}
}
($status, $stdout, $stderr) = $node->psql('postgres',
	"SET search_path = trap, public, pg_catalog, pg_temp;\nCALL pgmaint.run_and_wait('weekly')");
is($status, 0, 'run_and_wait(): succeeds');
is($node->safe_psql('postgres', q(SELECT string_agg(what, ', ') FROM public.trapped)), '', 'run_and_wait(): calls nothing on the search path');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
