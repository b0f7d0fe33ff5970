# What a crash interrupts is done after all: tick queues the run of a plan
# again, as the role that asked for it and with its options, once; and
# no run that is unwanted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('resume', 'pgmaint.max_workers = 1');
create_slow_table($node, 'slow');
$node->safe_psql('postgres', q(CREATE TABLE small AS SELECT 1 AS id; CREATE ROLE app LOGIN;
	ALTER TABLE slow OWNER TO app; ALTER TABLE small OWNER TO app;
	GRANT USAGE ON SCHEMA pgmaint TO app; GRANT EXECUTE ON FUNCTION pgmaint.run, pgmaint.cancel TO app;
	SELECT pgmaint.define_plan('night', '["vacuum"]'); SELECT pgmaint.define_plan('other', '["analyze"]')));

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# Begin a run that takes its time, as this role; returns it.
sub begin_slow_run
{
	my ($role) = @_;
	my $options = slow_vacuum('slow', 'small');
	my $run = sql("SET ROLE $role; SELECT pgmaint.run('night', $options)");

	wait_for_slow_vacuum($node, 'public.slow');
	return $run;
}

# The server crashes.
sub crash
{
	my $offset = -s $node->logfile;
	my $leader = sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgmaint leader'));

	kill 'KILL', $leader;
	wait_for_restart($node, $offset);
}

# The run that does the rest of this one, if there is any.
sub the_rest
{
	my ($run) = @_;
	return sql("SELECT string_agg(run_id::text, ',') FROM pgmaint.runs WHERE resumes = $run");
}

sub cancel
{
	my ($run) = @_;
	sql("SELECT pgmaint.cancel($run)");
	is(wait_for_end($node, $run), 'cancelled', 'cancelled');
	no_processes_left($node, 'no process is left');
}

# no process has recorded yet that it was interrupted
my $run = begin_slow_run('app');
crash();
sql('ALTER ROLE app RENAME TO "app of old"');
is(sql('SELECT pgmaint.tick()'), 't', 'a crash: tick has something to do');
is(wait_for_end($node, $run), 'interrupted', 'a crash: run');
wait_for_slow_vacuum($node, 'public.slow');
my $rest = the_rest($run);
like($rest, qr/^\d+$/, 'a crash: one run does the rest');
is(sql("SELECT requested_by FROM pgmaint.runs WHERE run_id = $rest"), 'app of old', 'a crash: as the role, whatever its name is now');
is(sql("SELECT a.plan = b.plan AND a.options = b.options AND a.steps = b.steps AND a.role = b.role FROM pgmaint.runs a, pgmaint.runs b WHERE a.run_id = $run AND b.run_id = $rest"),
	't', 'a crash: with what was asked for');
like(sql("SELECT string_agg(r, E'\\n') FROM pgmaint.report($rest) r"), qr/^  does the rest of run $run, which was interrupted$/m, 'a crash: the report says so');
is(sql('SELECT pgmaint.tick()'), 't', 'tick during the run');
is(the_rest($run), $rest, 'tick during the run: changes nothing');

# the rest crashes, too
crash();
sql('SELECT pgmaint.tick()');
is(wait_for_end($node, $rest), 'interrupted', 'a second crash: run');
no_processes_left($node, 'a second crash: nothing is begun again');
is(sql('SELECT pgmaint.tick()'), 'f', 'a second crash: nor later');
is(the_rest($rest), '', 'a second crash: not for ever');

# the server is stopped in good order: the leader writes it down itself
$run = begin_slow_run('"app of old"');
$node->restart;
is(run_state($node, $run), 'interrupted', 'a restart: run');
is(sql('SELECT pgmaint.tick()'), 't', 'a restart: tick has something to do');
wait_for_slow_vacuum($node, 'public.slow');
cancel(the_rest($run));
is(sql('SELECT pgmaint.tick()'), 'f', 'a restart: what is cancelled then is not begun again');

# Runs that are unwanted: in each case the server is stopped, and tick looks.
sub not_resumed
{
	my ($name, $sql, $run) = @_;

	$run ||= begin_slow_run('"app of old"');
	$node->restart;
	sql(sprintf $sql, $run) if $sql;
	is(sql('SELECT pgmaint.tick()'), 'f', "$name: tick has nothing to do");
	is(the_rest($run), '', "$name: not begun again");
}
not_resumed('a day ago', q(UPDATE pgmaint.runs SET started_at = started_at - interval '25 hours' WHERE run_id = %s));
not_resumed('a copy of the database', 'UPDATE pgmaint.runs SET database = 1 WHERE run_id = %s');
not_resumed('cancelled', q(INSERT INTO pgmaint_internal.cancellations VALUES (%s, 'somebody')));
not_resumed('asked for again', q(CALL pgmaint.run_and_wait('other'); UPDATE pgmaint.runs SET plan = 'night', role = '"app of old"'::regrole WHERE plan = 'other' AND %s > 0));
not_resumed('the plan is gone', q(SELECT pgmaint.drop_plan('night') WHERE %s > 0));
sql(q(SELECT pgmaint.define_plan('night', '["vacuum"]')));
not_resumed('the right is gone', q(REVOKE EXECUTE ON FUNCTION pgmaint.run FROM "app of old"; SELECT %s));
my $options = slow_vacuum('slow');
$run = sql("SELECT pgmaint.run_action('vacuum', $options)");
wait_for_slow_vacuum($node, 'public.slow');
not_resumed('one action', undef, $run);

# the same for a role that is gone
$run = sql("SELECT pgmaint.run('night', $options)");
wait_for_slow_vacuum($node, 'public.slow');
not_resumed('the role is gone', 'UPDATE pgmaint.runs SET role = 1 WHERE run_id = %s', $run);

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing but what was killed has crashed');

done_testing();
