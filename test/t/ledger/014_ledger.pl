# What the ledger keeps and for how long, whose its plans are, and that it tells
# the truth where statistics are reset, or where a role's settings would have
# every ERROR end the process that meets it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('ledger', 'pgmaint.max_workers = 1');

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# What a statement has to say when it fails.
sub sql_error
{
	my ($sql) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $sql);

	return $status == 0 ? 'no error' : $stderr;
}

# history: an old run goes with all that belongs to it when another ends
sub measure
{
	my $run = sql(q(SELECT pgmaint.run_action('bloat_report', '{"tables": "measured", "min_size": 0, "bloat_threshold": 0.1}')));

	is(wait_for_end($node, $run), 'succeeded', "run $run") or diag run_error($node, $run);
	no_processes_left($node, "run $run is over");
	return $run;
}

# How many rows there are of a run: itself, tasks, findings, cancellations,
# measurements.
sub rows_of
{
	my ($run) = @_;
	return sql("SELECT concat_ws(' ', " . join(', ', map { "(SELECT count(*) FROM $_ WHERE run_id = $run)" }
			qw(pgmaint.runs pgmaint.tasks pgmaint.findings pgmaint_internal.cancellations pgmaint_internal.bloat_measurements)) . ')');
}

sub make_older
{
	my ($run, $age) = @_;
	sql("UPDATE pgmaint.runs SET finished_at = finished_at - interval '$age' WHERE run_id = $run;
		UPDATE pgmaint_internal.bloat_measurements SET measured_at = measured_at - interval '$age' WHERE run_id = $run");
}

# In the server's configuration; the loaded library shows it.
sub keep_history
{
	my ($time) = @_;

	$node->append_conf('postgresql.conf', "pgmaint.keep_history = $time");
	$node->reload;
	foreach my $look (1 .. 3600)
	{
		return if sql(q(LOAD 'pgmaint'; SHOW pgmaint.keep_history)) eq $time;
		select(undef, undef, undef, 0.05);
	}
	die "pgmaint.keep_history did not become $time";
}

sql('CREATE TABLE measured (id int PRIMARY KEY, filler text); INSERT INTO measured SELECT g, repeat($$x$$, 500) FROM generate_series(1, 5000) g;
	DELETE FROM measured WHERE id % 4 > 0');
sql('VACUUM measured');
is(sql(q(LOAD 'pgmaint'; SHOW pgmaint.keep_history)), '365d', 'history: a year, if nothing else is said');
my $old = measure();
my $recent = measure();
sql("INSERT INTO pgmaint.findings (run_id, check_id, severity, message) VALUES ($_, 'test', 'info', 'x');
	INSERT INTO pgmaint_internal.cancellations (run_id, requested_by) VALUES ($_, 'somebody')") foreach $old, $recent;
like(rows_of($old), qr/^1 1 [1-9]\d* 1 [1-9]\d*$/, 'history: there is something of every kind');
my $all_of_recent = rows_of($recent);
make_older($old, '366 days');
make_older($recent, '364 days');
sql("INSERT INTO pgmaint.findings (check_id, severity, message, created_at) SELECT 'test', 'info', 'by no run', now() - d * interval '1 day' FROM unnest(ARRAY[366, 364]) d");
my $by_no_run = q(SELECT count(*) FROM pgmaint.findings WHERE run_id IS NULL AND message = 'by no run');
keep_history('-1');
measure();
is(sql($by_no_run), '2', 'history: -1 keeps what no run has noticed');
like(rows_of($old), qr/^1 1 [1-9]\d* 1 [1-9]\d*$/, 'history: -1 keeps everything');
keep_history('365d');
my $last = measure();
is(rows_of($old), '0 0 0 0 0', 'history: what is older goes');
is(rows_of($recent), $all_of_recent, 'history: what is younger stays');
is(sql($by_no_run), '1', 'history: the same of findings without a run');
is(sql("SELECT count(*) FROM pgmaint.runs WHERE run_id = $last"), '1', 'history: and so does the run that did it');
keep_history('30d');
make_older($last, '29 days');
measure();
is(rows_of($recent), '0 0 0 0 0', 'history: as it is set');
like(rows_of($last), qr/^1 1 /, 'history: and not more');

# what was never finished has no age
sql("UPDATE pgmaint.runs SET finished_at = NULL, requested_at = '2001-01-01', started_at = '2001-01-01' WHERE run_id = $last");
measure();
like(rows_of($last), qr/^1 1 /, 'history: a run without an end stays');

# statistics are reset while a VACUUM is going on, whatever the server counted
# before that
sub reset_during_vacuum
{
	my ($table) = @_;
	my $run = sql(qq(SELECT pgmaint.run_action('vacuum', '{"tables": "$table", "settings": {"vacuum_cost_delay": "10ms", "vacuum_cost_limit": 50}}')));

	wait_for_slow_vacuum($node, "public.$table");
	sql('SELECT pg_stat_reset()');
	is(wait_for_end($node, $run), 'succeeded', "statistics of $table reset: run");
	is(sql("SELECT state, error FROM pgmaint.tasks WHERE run_id = $run"), 'succeeded|', "statistics of $table reset: task");
}
foreach my $before (0, 1, 3)
{
	create_slow_table($node, "slow_$before");
	sql("VACUUM slow_$before") for 1 .. $before;
	sql("DELETE FROM slow_$before WHERE id % 3 = 0");
	reset_during_vacuum("slow_$before");
}

# plans are their owners'
sql('CREATE ROLE ann; CREATE ROLE bob; CREATE ROLE boss SUPERUSER; CREATE ROLE member IN ROLE ann;
	GRANT USAGE ON SCHEMA pgmaint TO ann, bob, member;
	GRANT EXECUTE ON FUNCTION pgmaint.define_plan(text, jsonb), pgmaint.drop_plan(text) TO ann, bob, member');
sql(q(SET ROLE ann; SELECT pgmaint.define_plan('hers', '["vacuum"]')));
like(sql_error(q(SET ROLE bob; SELECT pgmaint.define_plan('hers', '["analyze"]'))),
	qr/permission denied to change plan "hers"\s.*The plan was defined by role "ann"/s, 'plans: another role cannot replace one');
like(sql_error(q(SET ROLE bob; SELECT pgmaint.drop_plan('hers'))),
	qr/permission denied to change plan "hers"\s.*The plan was defined by role "ann"/s, 'plans: nor drop it');
is(sql(q(SELECT defined_by, steps->0->>'action' FROM pgmaint.plan_definitions WHERE plan = 'hers')), 'ann|vacuum', 'plans: it is what it was');
is(sql_error(q(SET ROLE member; SELECT pgmaint.define_plan('hers', '["analyze"]'))), 'no error', 'plans: a member of the role can');
is(sql_error(q(SET ROLE ann; SELECT pgmaint.drop_plan('hers'))), qq(psql:<stdin>:1: ERROR:  permission denied to change plan "hers"\nDETAIL:  The plan was defined by role "member".), 'plans: and then it is theirs');
is(sql_error(q(SET ROLE boss; SELECT pgmaint.define_plan('hers', '["bloat_report"]'))), 'no error', 'plans: superusers can replace one');
like(sql_error(q(SET ROLE ann; SELECT pgmaint.drop_plan('hers'))), qr/permission denied/, 'plans: superusers\' are not for others');
is(sql_error(q(SET ROLE boss; SELECT pgmaint.drop_plan('hers'))), 'no error', 'plans: superusers can drop one');
like(sql_error(q(SET ROLE ann; SELECT pgmaint.define_plan('weekly', '["analyze"]'))),
	qr/permission denied to replace the built-in plan "weekly"/, 'built-in plans: not for all to replace');
like(sql_error(q(SET ROLE ann; SELECT pgmaint.drop_plan('weekly'))), qr/plan "weekly" is built in and cannot be dropped/, 'built-in plans: nor to drop');
is(sql_error(q(SET ROLE boss; SELECT pgmaint.define_plan('weekly', '["analyze"]'))), 'no error', 'built-in plans: superusers can replace one');
like(sql_error(q(SET ROLE ann; SELECT pgmaint.drop_plan('weekly'))), qr/permission denied to change plan "weekly"/, 'built-in plans: what replaces one is not for all to drop');
is(sql(q(SELECT steps->0->>'action' FROM pgmaint.plan_definitions WHERE plan = 'weekly')), 'analyze', 'built-in plans: it is there still');
is(sql_error(q(SET ROLE boss; SELECT pgmaint.drop_plan('weekly'))), 'no error', 'built-in plans: superusers get the built-in one back');
sql(q(SET ROLE ann; SELECT pgmaint.define_plan('left', '["vacuum"]')));
sql('REVOKE ALL ON SCHEMA pgmaint FROM ann; REVOKE ALL ON FUNCTION pgmaint.define_plan(text, jsonb), pgmaint.drop_plan(text) FROM ann; DROP ROLE ann');
like(sql_error(q(SET ROLE bob; SELECT pgmaint.drop_plan('left'))), qr/permission denied/, 'plans: one whose role is gone is for superusers');
is(sql_error(q(SELECT pgmaint.drop_plan('left'))), 'no error', 'plans: who can drop it');

# exit_on_error: an ERROR is the end of its task, and of nothing else
sql(<<'EOS');
CREATE ROLE strict LOGIN;
GRANT CREATE ON SCHEMA public TO strict;
ALTER ROLE strict SET exit_on_error = on;
GRANT USAGE ON SCHEMA pgmaint TO strict;
GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO strict;
SET ROLE strict;
CREATE FUNCTION fails(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN id; END';
CREATE TABLE failing AS SELECT g AS id FROM generate_series(1, 100) g;
CREATE INDEX ON failing (fails(id));
CREATE TABLE harmless AS SELECT 1 AS id;
CREATE OR REPLACE FUNCTION fails(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE
	AS $$ BEGIN RAISE EXCEPTION 'no luck'; END $$;
EOS
foreach my $where ('ROLE strict', 'DATABASE postgres')
{
	sql("ALTER $where SET exit_on_error = on");
	my $run = sql(q(SET ROLE strict; SET exit_on_error = off; SELECT pgmaint.run_action('analyze', '{"tables": ["failing", "harmless"]}')));
	is(wait_for_end($node, $run), 'failed', "exit_on_error of $where: run");
	is(tasks($node, $run), 'public.failing failed, public.harmless succeeded', "exit_on_error of $where: tasks");
	is( sql("SELECT error FROM pgmaint.tasks WHERE run_id = $run AND state = 'failed'"),
		'no luck; CONTEXT: function public.fails(integer)', "exit_on_error of $where: the error is the function's");
	is(sql("SELECT count(DISTINCT worker) FROM pgmaint.tasks WHERE run_id = $run"), '1', "exit_on_error of $where: one worker did both");
	sql("ALTER $where RESET exit_on_error");
}
foreach my $setting (qw(exit_on_error EXIT_ON_ERROR))
{
	like(sql_error(qq(SELECT pgmaint.run_action('analyze', '{"tables": "harmless", "settings": {"$setting": "on"}}'))),
		qr/ERROR: .*\Q$setting\E/, "$setting in settings: refused");
}

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
