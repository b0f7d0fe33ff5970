# Slow queries on a server that counts statements: what happened in a period,
# resets, what became slower after maintenance, and plans, for which nothing is
# executed that its owner could not have executed anyway.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use Test::More;

use PgmaintTest;

my $node = start_server('slow', "shared_preload_libraries = 'pg_stat_statements'", 'jit = off');
my $query = 'SELECT count(*) FROM orders WHERE customer = 5';
my $shown = 'SELECT count(*) FROM orders WHERE customer = $1';

sub sql
{
	my ($text, @params) = @_;
	return $node->safe_psql('postgres', $text, extra_params => [@params]);
}

# as if the query had taken so long before a run, whatever the machine did then
sub set_mean_before
{
	my ($run, $ms) = @_;
	sql("UPDATE pgmaint_internal.statement_figures f SET total_ms = f.calls * $ms FROM pgmaint_internal.statement_texts t
		WHERE f.snapshot_id = (SELECT min(s.snapshot_id) FROM pgmaint_internal.statement_snapshots s WHERE s.run_id = $run)
			AND t.queryid = f.queryid AND t.query = '$shown'");
	return;
}

# in a session of its own, so often
sub call
{
	my ($times, $text, @params) = @_;
	sql(join(";\n", ($text) x $times), @params);
	return;
}

# as if all that was counted so far had been longer ago
sub pass_time
{
	my ($interval) = @_;
	sql("UPDATE pgmaint_internal.statement_snapshots SET taken_at = taken_at - interval '$interval';
		UPDATE pgmaint.tasks SET started_at = started_at - interval '$interval', finished_at = finished_at - interval '$interval'");
	return;
}

sub review
{
	my ($options, @params) = @_;
	my $run = sql("SELECT pgmaint.run_action('review_queries', '$options')", @params);

	is(wait_for_end($node, $run), 'succeeded', 'a review') or diag run_error($node, $run);
	return $run;
}

sub findings
{
	my ($run, $check) = @_;
	return sql("SELECT severity, object, message FROM pgmaint.findings WHERE run_id = $run AND check_id = '$check' ORDER BY object");
}

# how a query of a role is planned; empty where it was not
sub outline
{
	my ($like, $role) = @_;
	$role ||= 'postgres';
	return sql("SELECT outline FROM pgmaint.query_plans WHERE query LIKE '$like' AND role = '$role' ORDER BY plan_id DESC LIMIT 1");
}

sub figures
{
	my ($columns, $arguments) = @_;
	$arguments ||= '1000';
	return sql("SELECT $columns FROM pgmaint.slow_queries($arguments) WHERE full_query = '$shown'");
}

# where the database does not have the extension
my $run = review('{}');
like(findings($run, 'slow_queries'), qr/^info\|pg_stat_statements\|queries cannot be reviewed: .*execute CREATE EXTENSION pg_stat_statements$/,
	'... says what to install');
is(sql('SELECT pgmaint.tick(); SELECT count(*) FROM pgmaint_internal.statement_snapshots'), "f\n0", 'there are no snapshots without it');

sql('CREATE EXTENSION pg_stat_statements; CREATE TABLE orders AS SELECT g AS id, g / 10 AS customer, g % 7 AS n FROM generate_series(1, 50000) g;
	CREATE INDEX orders_customer ON orders (customer); VACUUM ANALYZE orders; SELECT pg_stat_statements_reset()');

# periods
call(7, $query);
is(figures('calls, rows_per_call, mean_ms > 0, max_ms >= mean_ms, mean_before_ms IS NULL, role'), '7|1.0|t|t|t|postgres', 'without a snapshot all calls count');
sql('SELECT pgmaint.tick()');
sql('SELECT pgmaint.tick()');
is(sql('SELECT count(*) FROM pgmaint_internal.statement_snapshots'), '1', 'tick takes a snapshot, and no other for six hours');
is(sql("SELECT s.statements = count(*), sum(f.calls) FILTER (WHERE t.query = '$shown')
		FROM pgmaint_internal.statement_snapshots s JOIN pgmaint_internal.statement_figures f USING (snapshot_id) JOIN pgmaint_internal.statement_texts t USING (queryid) GROUP BY s.snapshot_id"),
	't|7', '... of all statements');
pass_time('7 hours');
sql('SELECT pgmaint.tick()');
is(sql('SELECT count(*) FROM pgmaint_internal.statement_snapshots'), '2', 'after that it does');
call(5, $query);
is(figures('calls'), '5', 'only calls since the last snapshot count');
is(figures('calls', "1000, '100 years'"), '12', 'all calls, for whom they interest');
pass_time('2 hours');
call(4, $query);
is(figures('calls, mean_before_ms IS NULL'), '9|t', 'the query was not called in the period before');
is(figures('calls, mean_before_ms > 0, change_percent IS NOT NULL', "1000, '8 hours'"), '9|t|t', '... but before that');
is(sql('SELECT round(sum(total_percent)) BETWEEN 98 AND 102 FROM pgmaint.slow_queries(1000)'), 't', 'the shares add up');
foreach my $order (qw(total mean max calls rows reads temp wal change))
{
	is(sql("SELECT count(*) FROM pgmaint.slow_queries(2, order_by => '$order')"), '2', "ordered by $order");
}
call(20, $query);
is(sql("SELECT full_query = '$shown' FROM pgmaint.slow_queries(1, order_by => 'calls')"), 't', 'the order is the one asked for');

# resets
sql("SELECT pg_stat_statements_reset(0, 0, (SELECT queryid FROM pgmaint.slow_queries(1000) WHERE full_query = '$shown'))");
call(3, $query);
is(figures('calls'), '3', 'a statement that was reset counts from then on');
sql('SELECT pg_stat_statements_reset()');
call(2, $query);
is(figures('calls'), '2', 'so do all');
my ($code, $out, $err) = $node->psql('postgres', 'SELECT FROM pgmaint.slow_queries()');
like($err, qr/NOTICE: .*pg_stat_statements was reset at/, '... and it is said');
sql("CALL pgmaint.run_and_wait('weekly')");
is(sql("SELECT (SELECT count(*) FROM pg_stat_statements WHERE query ~ '^CALL pgmaint.run_and_wait'), count(*) FROM pgmaint.slow_queries(1000) WHERE full_query ~ '^CALL pgmaint.run_and_wait'"),
	'1|0', 'waiting for a run takes no time of its own');
is(sql('SELECT count(*) FROM pgmaint.slow_queries(1000) WHERE calls <= 0 OR total_percent < 0 OR mean_ms < 0 OR rows_per_call < 0'), '0', 'nothing is negative');

# plans, and degradation after maintenance
call(30, $query);
pass_time('3 hours');
review('{}');
is(outline('%WHERE customer = $1'), "Plain Aggregate\n  Index Only Scan using orders_customer on orders", 'the plan of a query is kept');
is(sql("SELECT plan -> 0 -> 'Plan' ? 'Total Cost', cost > 0 FROM pgmaint.query_plans WHERE query = '$shown'"), 't|t', '... with its cost');
pass_time('3 hours');
$run = sql(q(SELECT pgmaint.run_action('vacuum', '{"tables": "orders"}')));
is(wait_for_end($node, $run), 'succeeded', 'maintenance');
my $maintenance = $run;
is(sql("SELECT run_id FROM pgmaint_internal.statement_snapshots ORDER BY snapshot_id DESC LIMIT 2"), "$run\n$run", 'has a snapshot from before it, and one from after it');
call(30, $query);
set_mean_before($maintenance, 10);
$run = review('{"min_mean": 0.00001, "degradation_factor": 20}');
is(findings($run, 'degradation'), '', 'what is as quick as before is no finding');
is(findings($run, 'plan_changed'), '', '... nor what is planned as before');
sql('DROP INDEX orders_customer');
call(60, $query);
set_mean_before($maintenance, 0.001);
$run = review('{"min_mean": 0.00001, "degradation_factor": 20, "critical_factor": 100000}');
like(findings($run, 'degradation'),
	qr/^warning\|query -?\d+\|a query of role postgres has taken [\d.]+ ms on average since run $maintenance \(vacuum\) maintained tables, [\d.]+ times the [\d.]+ ms before: 90 calls since then, \d+ before; maintenance of its tables: VACUUM .*public\.orders$/,
	'a query that became slower after maintenance is a finding');
like(findings($run, 'plan_changed'), qr/^info\|query -?\d+\|the plan of a query of role postgres has changed since .*: its estimated cost was [\d.]+ and is now [\d.]+$/,
	'... and so is its plan');
is(outline('%WHERE customer = $1'), "Plain Aggregate\n  Seq Scan on orders", '... which is kept, too');
$run = review('{"min_mean": 0.00001, "critical_factor": 1.1}');
like(findings($run, 'degradation'), qr/^critical\|/, 'from a factor on it is critical');
$run = review('{"min_mean": "1 hour"}');
is(findings($run, 'degradation'), '', 'nothing that is quick enough all the same');
unlike(sql("SELECT string_agg(f::text, ' ') FROM pgmaint.findings f") . sql("SELECT string_agg(t::text, ' ') FROM pgmaint.tasks t"), qr/customer =/,
	'findings and tasks have no texts of queries');

# nothing is executed
sql(q(CREATE SEQUENCE numbers; CREATE TABLE written (what text);
	CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN INSERT INTO written VALUES ('volatile'); RETURN 1; END $$;
	CREATE FUNCTION lies() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM writes(); RETURN 1; END $$;
	CREATE TABLE dropped (a int)));
sql($_) foreach "SELECT nextval('numbers')", 'SELECT writes()', "INSERT INTO written VALUES ('inserted')", 'UPDATE orders SET n = lies() WHERE id = 1',
  'SELECT * FROM dropped', 'DELETE FROM orders WHERE id = 2';
sql('DROP TABLE dropped');
my $before = sql('SELECT last_value FROM numbers') . sql('SELECT count(*) FROM written') . sql('SELECT count(*), sum(n) FROM orders');
$run = review('{"plans": 100}');
is(sql('SELECT last_value FROM numbers') . sql('SELECT count(*) FROM written') . sql('SELECT count(*), sum(n) FROM orders'), $before, 'nothing was executed');
is(outline('SELECT nextval(%'), 'Result', 'a query that draws a number is planned');
is(outline('SELECT writes()'), 'Result', '... and one that calls a function that writes');
is(outline('DELETE FROM orders%'), "ModifyTable Delete on orders\n  Seq Scan on orders", '... and one that deletes');
is(outline('UPDATE orders%'), '', 'one whose planning would write is not');
like(sql("SELECT result -> 'not_planned' FROM pgmaint.tasks WHERE run_id = $run"), qr/read-only transaction.*relation \\"dropped\\" does not exist|relation \\"dropped\\" does not exist.*read-only transaction/,
	'... nor one whose table is gone, and it is said why');
like(sql("SELECT result -> 'not_planned' FROM pgmaint.tasks WHERE run_id = $run"), qr/"CREATE EXTENSION has no generic plan"|"DROP TABLE has no generic plan"/,
	'... nor what has no plan');
like(sql("SELECT string_agg(remark, '; ') FROM pgmaint.task_results t, unnest(t.remarks) remark WHERE t.run_id = $run"),
	qr/^(?:\d+ quer(?:y|ies) without a plan: [^;]*(?:; |$))*\d+ quer(?:y|ies) without a plan: utility commands(?:; \d+ quer(?:y|ies) without a plan: [^;]*)*(?:; \d+ quer(?:y|ies) without a plan for other reasons)?$/, '... which a report remarks on');

# code of a role never gets the rights of others
sql(q(CREATE ROLE mallory LOGIN; CREATE ROLE victim LOGIN; GRANT CREATE ON SCHEMA public TO mallory; GRANT SELECT ON orders TO victim, mallory));
my $hostile = q(CREATE OR REPLACE FUNCTION innocent() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
	RAISE LOG 'hostile function as %', current_user;
	BEGIN EXECUTE 'ALTER ROLE mallory SUPERUSER'; EXCEPTION WHEN OTHERS THEN RAISE LOG 'hostile attempt: %', sqlerrm; END;
	BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
	BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; EXCEPTION WHEN OTHERS THEN NULL; END;
	RAISE LOG 'hostile function still as %', current_user;
	RETURN 5; END $$;
	CREATE OR REPLACE FUNCTION alike(a float8, b float8) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
	RAISE LOG 'hostile operator as %', current_user; RETURN true; END $$;
	CREATE OR REPLACE FUNCTION distance(a float8, b float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT length(pg_read_file('of ' || current_user))::float8 $$;
	CREATE OR REPLACE FUNCTION kept() RETURNS int LANGUAGE sql AS $$ SELECT length(pg_read_file('of ' || current_user)) $$;
	CREATE OR REPLACE FUNCTION inlined() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT innocent()');
my $harmless = q(CREATE FUNCTION innocent() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 5';
	CREATE FUNCTION alike(a float8, b float8) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT a = b';
	CREATE FUNCTION inlined() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 5';
	CREATE FUNCTION distance(a float8, b float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT a - b';
	CREATE FUNCTION kept() RETURNS int LANGUAGE sql AS 'SELECT 5';
	CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = distance);
	CREATE TABLE spans AS SELECT span(g, g + 5.0) AS s FROM generate_series(1, 1000) g; GRANT SELECT ON spans TO PUBLIC; ANALYZE spans;
	CREATE OPERATOR === (LEFTARG = float8, RIGHTARG = float8, PROCEDURE = alike));
sql($harmless, '-U', 'mallory');
sql('CREATE FUNCTION wrapper() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN innocent(); END $$;
	CREATE FUNCTION keeper() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN kept(); END $$');
my %traps = (
	function => 'SELECT id FROM orders WHERE customer = innocent()',
	operator => 'SELECT id FROM orders WHERE pi() === pi()',
	inlined => 'SELECT id FROM orders WHERE customer = inlined()',
	nested => 'SELECT id FROM orders WHERE customer = wrapper()');
foreach my $role (qw(postgres victim mallory))
{
	sql($_, '-U', $role) foreach values %traps;
}
# What is looked up in planning as the owner, who comes first, is kept: with the
# plan of a function, and with a type.
foreach my $kept ('SELECT id FROM orders WHERE customer = keeper()', 'SELECT s FROM spans WHERE s @> pi()')
{
	call(30, $kept, '-U', 'mallory');
	sql($kept, '-U', $_) foreach qw(postgres victim);
}
sql($hostile, '-U', 'mallory');
my $log = -s $node->logfile;
$run = review('{"plans": 100}');
$log = substr PostgreSQL::Test::Utils::slurp_file($node->logfile), $log;
unlike($log, qr/hostile (function|operator) (still )?as (?!mallory)/, 'code of other roles gets no rights');
like($log, qr/hostile function as mallory/, '... but those of its owner');
like($log, qr/hostile operator as mallory/, '... for operators, too');
is(sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'"), 'f', '... and gets no further');
foreach my $trap (sort keys %traps)
{
	my $like = $traps{$trap};

	is(outline($like, $_), '', "$trap: not planned as $_") foreach qw(postgres victim);
	like(outline($like, 'mallory'), qr/orders/, "$trap: planned as its owner");
}
like(sql("SELECT result -> 'not_planned' FROM pgmaint.tasks WHERE run_id = $run"), qr/would be called with the rights of role/, '... and it is said why');
like(sql("SELECT result -> 'not_planned' FROM pgmaint.tasks WHERE run_id = $run"), qr/"permission denied for function pg_read_file": 2/, 'what is kept has only the rights of its owner');
unlike(sql("SELECT result -> 'not_planned' FROM pgmaint.tasks WHERE run_id = $run"), qr/of (postgres|victim)\\"/, '... and those of no other role');

# a role plans what it may, and reads what it may
sql('GRANT USAGE ON SCHEMA pgmaint TO victim; GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO victim');
sql('SELECT max(id) FROM orders', '-U', 'victim');
sql("SELECT 'of the superuser', count(*) FROM orders");
sql('TRUNCATE pgmaint.query_plans');
$run = review('{"plans": 100}', '-U', 'victim');
is(sql('SELECT string_agg(DISTINCT role::text, $$ $$) FROM pgmaint.query_plans'), 'victim', 'a role has its own queries planned');
like(sql("SELECT result -> 'not_planned' FROM pgmaint.tasks WHERE run_id = $run"), qr/permission denied to plan queries of role \\"/, '... and no others');
foreach my $table (qw(pgmaint.query_plans pgmaint_internal.statement_texts pgmaint_internal.statement_figures))
{
	isnt($node->psql('postgres', "SELECT FROM $table", extra_params => [ '-U', 'victim' ]), 0, "$table is not for everybody");
}
isnt($node->psql('postgres', 'SELECT FROM pgmaint.slow_queries()', extra_params => [ '-U', 'victim' ]), 0, 'nor is slow_queries');
sql('CREATE ROLE watcher LOGIN IN ROLE pg_monitor');
is(sql("SELECT count(*) > 0, bool_and(full_query NOT LIKE '%insufficient%') FROM pgmaint.slow_queries()", '-U', 'watcher'), 't|t', 'who monitors sees them');

# what is old is forgotten with the next snapshot
sql("UPDATE pgmaint_internal.statement_snapshots SET taken_at = taken_at - interval '36 days';
	INSERT INTO pgmaint_internal.statement_texts VALUES (1, 'of a statement that is gone'); UPDATE pgmaint.query_plans SET last_seen_at = last_seen_at - interval '401 days'");
my $of_runs = sql('SELECT count(*) FROM pgmaint_internal.statement_snapshots WHERE run_id IS NOT NULL');
sql('SELECT pgmaint.tick()');
is(sql('SELECT count(*) FROM pgmaint_internal.statement_snapshots'), $of_runs + 1, 'snapshots of runs stay longer than those of tick');
is(sql('SELECT count(*) FROM pgmaint.query_plans') . sql('SELECT count(*) FROM pgmaint_internal.statement_texts WHERE queryid = 1'), '00', '... than plans and texts that are not needed');

# queries are found where the role's sessions find their tables
sql(q(CREATE SCHEMA app; CREATE TABLE app.hidden (a int); ALTER ROLE victim SET search_path = app; GRANT USAGE ON SCHEMA app TO victim; GRANT SELECT ON app.hidden TO victim));
sql('SELECT a FROM hidden', '-U', 'victim');
review('{"plans": 100}');
is(outline('SELECT a FROM hidden', 'victim'), 'Seq Scan on hidden', 'the search path of the role is used');

no_processes_left($node, 'no process stays');
$node->stop;
done_testing();
