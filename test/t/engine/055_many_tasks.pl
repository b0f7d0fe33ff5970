# A step of many tasks: each costs as much as any other, whatever dead rows an
# old snapshot keeps in the ledger; no two work on a table at a time; and a
# crash leaves no task as done that was not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $tables = 600;
my $node = start_server(
	'many_tasks',
	"shared_preload_libraries = 'pg_stat_statements'",
	'pg_stat_statements.track = all',
	'pg_stat_statements.track_planning = on',
	'autovacuum = off',
	'pgmaint.max_workers = 1');

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

sub run_to_end
{
	my ($action, $options, $workers) = @_;
	$workers ||= 1;
	my $run = sql("SET pgmaint.max_workers = $workers; SELECT pgmaint.run_action('$action', '$options')");

	is(wait_for_end($node, $run), 'succeeded', "$action: run") or diag run_error($node, $run);
	no_processes_left($node, "$action: no process is left");
	return $run;
}

sql('CREATE EXTENSION pg_stat_statements; CREATE SCHEMA many');
sql(join ';', map { "CREATE TABLE many.t$_ AS SELECT 1 AS id" } 1 .. $tables);

# a session has a snapshot from before the run: no dead row of the ledger, and no
# entry of one in an index, can be removed
my $holder = $node->background_psql('postgres', on_error_stop => 0);
$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pgmaint.tasks');
sql('SELECT pg_stat_statements_reset()');
my $run = run_to_end('analyze', '{"scope": "all"}');
is(sql("SELECT count(*) FILTER (WHERE state = 'succeeded') = count(*), count(*) >= $tables FROM pgmaint.tasks WHERE run_id = $run"),
	't|t', 'every task succeeded');
my $busy = sql(q(SELECT string_agg(format('%s buffers: %s', round(shared_blks_hit::numeric / calls), query), E'\n')
	FROM pg_stat_statements WHERE query ~ 'pgmaint\.(tasks|runs)' AND calls >= 100 AND shared_blks_hit > 60 * calls));
is($busy, '', 'no statement that runs for each task, or at each look, reads what others have left');
is( sql(qq(SELECT count(*) >= 3 FROM pg_stat_statements WHERE calls >= $tables AND query ~ 'pgmaint\\.tasks')),
	't', 'those for each task were counted');
is( sql(qq(SELECT sum(calls) < $tables / 100, sum(rows) >= $tables FROM pg_stat_statements WHERE query ~ '^INSERT INTO pgmaint\\.tasks')),
	't|t', 'tasks are written down many at a time');
is( sql(q(SELECT count(*) FILTER (WHERE plans > 20), sum(plans) > 0 FROM pg_stat_statements
		WHERE calls >= 100 AND query ~ 'pgmaint\.(tasks|cancellations)')),
	'0|t', 'plans are kept');
$holder->query_safe('COMMIT');
$holder->quit;

# the ledger's own statistics are none of the run's tasks, but the leader's
is(sql("SELECT count(*) FROM pgmaint.tasks WHERE run_id = $run AND target ~ '^pgmaint\\.'"), '0', 'no task analyzes the ledger');
is(sql(q(SELECT pg_stat_get_last_analyze_time('pgmaint.tasks'::regclass) >= finished_at FROM pgmaint.runs WHERE run_id = ) . $run),
	't', 'the leader does, once the run is over');
is(sql(q(SELECT pg_stat_get_last_analyze_time('pgmaint.contacts'::regclass) IS NULL)), 't', 'where enough has changed');

# before the first check for corruption a task is taken to need 2 ms, not the 10 ms
# that none is taken to need more than
sql(q(CREATE EXTENSION amcheck; SELECT pgmaint.define_plan('check', '["check_corruption"]')));
cmp_ok(sql(q(SELECT count(*) FROM pgmaint.dry_run('check', '{"check_corruption": {"time_budget": "1s"}}'))),
	'>', 300, 'a second is planned to suffice for hundreds of small tables');

# tasks that share a table are not done at the same time, whichever worker has them
sql(join ';', map { my $t = $_; ("CREATE TABLE shared_$t AS SELECT g AS a, g AS b, g AS c, g AS d FROM generate_series(1, 100) g",
		map { "CREATE INDEX ON shared_$t ($_)" } qw(a b c d)) } 1 .. 15);
my $list = join ', ', map { "\"shared_$_\"" } 1 .. 15;
$run = run_to_end('reindex', "{\"tables\": [$list], \"scope\": \"all\"}", 4);
is(sql("SELECT count(*), count(DISTINCT worker) > 1 FROM pgmaint.tasks WHERE run_id = $run AND state = 'succeeded'"),
	'60|t', 'every index of every table was rebuilt, by several workers');
is( sql("SELECT count(*) FROM pgmaint.tasks a JOIN pgmaint.tasks b ON b.run_id = a.run_id AND b.task_id > a.task_id AND a.relations && b.relations
	WHERE a.run_id = $run AND (a.started_at, a.finished_at) OVERLAPS (b.started_at, b.finished_at)"),
	'0', 'and none while another task worked on its table');

# tasks that all share a table, as partitions that leave it do: who has to wait
# looks at few of them at a time, however many there are
sql(q(CREATE TABLE parts (at timestamptz NOT NULL) PARTITION BY RANGE (at)));
sql(join ';', map { "CREATE TABLE parts_$_ PARTITION OF parts FOR VALUES FROM ('2020-01-01'::timestamptz + $_ * interval '1 day') TO ('2020-01-02'::timestamptz + $_ * interval '1 day')" } 1 .. 500);
sql(q(SELECT pgmaint.add_retention('parts', 'at', '1 day', archive => false, timezone => 'UTC'); SELECT pg_stat_statements_reset()));
$run = run_to_end('retention', '{"tables": "parts"}', 4);
is(sql("SELECT count(*) FROM pgmaint.tasks WHERE run_id = $run AND state = 'succeeded'"), '500', 'every partition has left');
is( sql(q(SELECT sum(calls) FILTER (WHERE query LIKE 'SELECT p.task_id%WHERE p.task_id = ANY%') < 3 * sum(calls) FILTER (WHERE query LIKE '%FROM pgmaint_internal.cancellations WHERE run_id%')
	FROM pg_stat_statements)),
	't', '... while others looked for one that they might take');

# plans that a session has kept are made anew with the extension
is( sql(q(SELECT pgmaint.run_action('analyze', '{"tables": "many.t1"}') > 0; SELECT pgmaint.define_plan('kept', '["analyze"]');
		SELECT count(*) > 0 FROM pgmaint.dry_run('kept', '{"analyze": {"scope": "all"}}'))),
	"t\n\nt", 'a session uses the ledger');
no_processes_left($node, 'before the extension is dropped');
is( sql(q(SELECT pgmaint.define_plan('kept', '["analyze"]'); SELECT count(*) > 0 FROM pgmaint.dry_run('kept', '{"analyze": {"scope": "all"}}');
		DROP EXTENSION pgmaint; CREATE EXTENSION pgmaint;
		SELECT pgmaint.define_plan('kept', '["analyze"]'); SELECT count(*) > 0 FROM pgmaint.dry_run('kept', '{"analyze": {"scope": "all"}}');
		SELECT pgmaint.run('kept', '{"analyze": {"tables": "many.t1"}}') > 0)),
	"\nt\n\nt\nt", 'the extension is created anew under a session that has used it');
is(wait_for_end($node, last_run($node)), 'succeeded', 'and the run that it asks for is carried out');

# and take no more memory the hundredth time
my $statements = q(SELECT count(*), sum(total_bytes) FROM pg_backend_memory_contexts WHERE name IN ('CachedPlanSource', 'CachedPlanQuery', 'SPI Plan'));
my $look = q(DO $$ BEGIN PERFORM count(*) FROM pgmaint.dry_run('kept', '{"analyze": {"tables": "many.t1"}}'); END $$;);
is( sql(join ' ', $look x 2, "CREATE TEMP TABLE kept AS $statements;", $look x 50, "SELECT n.count - k.count FROM kept k, ($statements) n")
	, '0', 'no plan is kept twice');

# a crash: what is written down as done was done
no_processes_left($node, 'before the crash');
sql(join ';', map { "DROP TABLE many.t$_; CREATE TABLE many.t$_ AS SELECT 1 AS id" } 1 .. $tables);
sql(q(SELECT pgmaint.define_plan('crash', '["analyze"]')));
my $done = "SELECT count(*) FROM pgmaint.tasks WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs) AND state = 'succeeded'";
$run = sql(q(SET pgmaint.max_workers = 2; SELECT pgmaint.run('crash', '{"analyze": {"schemas": ["many"]}}')));
$node->poll_query_until('postgres', "SELECT ($done) >= 50") or die 'no task was done';
$node->stop('immediate');
$node->start;
is( sql("SELECT count(*) FROM pgmaint.tasks t WHERE t.run_id = $run AND t.state = 'succeeded'
	AND NOT EXISTS (SELECT FROM pg_statistic s WHERE s.starelid = t.relation)"),
	'0', 'a crash: every task that is written down as done was done');
cmp_ok(sql("SELECT count(*) FROM pgmaint.tasks WHERE run_id = $run AND state = 'succeeded'"), '>', 0, 'a crash: some are');
sql('SELECT pgmaint.tick()');
is(wait_for_end($node, $run), 'interrupted', 'a crash: the run was interrupted');
is(sql("SELECT count(*) FROM pgmaint.tasks WHERE run_id = $run AND state IN ('pending', 'running')"), '0', 'a crash: no task is left as it was');
my $rest = sql("SELECT run_id FROM pgmaint.runs WHERE resumes = $run");
is(wait_for_end($node, $rest), 'succeeded', 'a crash: another run does the rest');
is( sql("SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'many'::regnamespace
	AND NOT EXISTS (SELECT FROM pg_statistic s WHERE s.starelid = c.oid)"),
	'0', 'a crash: now every table is analyzed');

$node->stop;
done_testing();
