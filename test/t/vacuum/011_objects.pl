# What tables can be like, and what can happen to them between planning and
# work: dropped, renamed, given away, locked, with names that need quoting, or
# with an index that raises an error.  One of them never stops the others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

$ENV{PGCLIENTENCODING} = 'UTF8';

my $node = PostgreSQL::Test::Cluster->new('objects');
$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$node->append_conf('postgresql.conf',
	"autovacuum = off\nmax_worker_processes = 16\nmax_prepared_transactions = 2\npgmaint.max_workers = 1\npgmaint.lock_retries = 0\npgmaint.lock_timeout = '100ms'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pgmaint');
create_slow_table($node, 'slow');

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

sub task_error
{
	my ($run, $target) = @_;
	return sql("SELECT error FROM pgmaint.tasks WHERE run_id = $run AND target = '$target'");
}

# while one table keeps the only worker busy, things happen to the others
sql("CREATE TABLE $_ AS SELECT 1 AS id") foreach qw(dropped renamed moved anew given);
sql('CREATE SCHEMA elsewhere; CREATE ROLE owner LOGIN SUPERUSER; CREATE ROLE new_owner');
my $options = slow_vacuum(qw(slow dropped renamed moved anew));
my $run = sql("SELECT pgmaint.run_action('vacuum', $options)");
my $worker = wait_for_slow_vacuum($node, 'public.slow');
sql('DROP TABLE dropped; ALTER TABLE renamed RENAME TO "Other name"; ALTER TABLE moved SET SCHEMA elsewhere;
	DROP TABLE anew; CREATE TABLE anew AS SELECT 1 AS id');
sql("SELECT pg_cancel_backend($worker)");
is(wait_for_end($node, $run), 'failed', 'between planning and work: run');
is(tasks($node, $run), 'public.anew skipped, public.dropped skipped, public.moved skipped, public.renamed skipped, public.slow cancelled',
	'between planning and work: tasks');
is(task_error($run, 'public.dropped'), 'public.dropped was dropped after the task had been planned', 'dropped');
is(task_error($run, 'public.anew'), 'public.anew was dropped after the task had been planned', 'dropped and made anew');
is(task_error($run, 'public.renamed'), 'public.renamed was renamed to public."Other name" after the task had been planned', 'renamed');
is(task_error($run, 'public.moved'), 'public.moved was renamed to elsewhere.moved after the task had been planned', 'in another schema');
is(sql("SELECT count(*) FROM pgmaint.findings WHERE run_id = $run AND check_id = 'skipped'"), '4', 'a finding for each');

# a role that loses its rights
sql('ALTER TABLE slow OWNER TO owner; ALTER TABLE given OWNER TO owner; ALTER ROLE owner NOSUPERUSER;
	GRANT USAGE ON SCHEMA pgmaint TO owner; GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO owner');
$options = slow_vacuum(qw(slow given));
$run = sql("SET ROLE owner; SELECT pgmaint.run_action('vacuum', $options)");
$worker = wait_for_slow_vacuum($node, 'public.slow');
sql("ALTER TABLE given OWNER TO new_owner; SELECT pg_cancel_backend($worker)");
is(wait_for_end($node, $run), 'failed', 'given away: run');
is(tasks($node, $run), 'public.given skipped, public.slow cancelled', 'given away: tasks');
like(task_error($run, 'public.given'), qr/skipped the table/, 'given away: reason');
sql('ALTER TABLE slow OWNER TO postgres') if sql(q(SELECT count(*) FROM pg_roles WHERE rolname = 'postgres'));

# names
my @names = ('"Capitals"', '"with space"', '"with.dot"', '"with""quote"', q("with'apostrophe"), '"back\\slash"', '"Zoë, naïve 数据"', '"select"',
	'"percent %s %I"', '"$1"', '"{curly}"', '"a, b"', '"new
line"', '"' . 'x' x 63 . '"');
sql('CREATE SCHEMA "Schéma.of ""names"""');
foreach my $name (@names)
{
	sql("CREATE TABLE \"Schéma.of \"\"names\"\"\".$name (\"Id\" int PRIMARY KEY);
		INSERT INTO \"Schéma.of \"\"names\"\"\".$name SELECT generate_series(1, 2000);
		DELETE FROM \"Schéma.of \"\"names\"\"\".$name WHERE \"Id\" % 2 = 0");
}
$run = sql(q(SELECT pgmaint.run('weekly', '{"schemas": "Schéma.of \"names\"", "min_size": 0}')));
is(wait_for_end($node, $run), 'succeeded', 'names: run') or diag run_error($node, $run);
is(sql("SELECT count(*), count(*) FILTER (WHERE state = 'succeeded') FROM pgmaint.tasks WHERE run_id = $run AND action = 'vacuum'"),
	@names . '|' . @names, 'names: VACUUM of each');
is(sql("SELECT count(*), count(*) FILTER (WHERE state = 'succeeded') FROM pgmaint.tasks WHERE run_id = $run AND action = 'bloat_report'"),
	@names . '|' . @names, 'names: measurement of each');
is(sql(q(SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE schemaname LIKE 'Sch%')), '0', 'names: done for each');
foreach my $name (grep { !/\n/ } @names)
{
	my $target = "\"Schéma.of \"\"names\"\"\".$name";
	my $json = $target =~ s/([\\"])/\\$1/gr =~ s/'/''/gr;

	$run = sql(qq(SELECT pgmaint.run_action('analyze', '{"tables": ["$json"]}')));
	wait_for_end($node, $run);
	is(sql("SELECT t.state, t.relation = '" . ($target =~ s/'/''/gr) . "'::regclass FROM pgmaint.tasks t WHERE t.run_id = $run"),
		'succeeded|t', "asked for by name: $name");
}
is(sql("SELECT count(*) > 0 FROM pgmaint.report($run)"), 't', 'names: a report');

# kinds
sql(<<'EOS');
CREATE SCHEMA kinds;
SET search_path = kinds;
CREATE TABLE plain AS SELECT g AS id FROM generate_series(1, 2000) g;
CREATE UNLOGGED TABLE unlogged AS SELECT g AS id FROM generate_series(1, 2000) g;
CREATE MATERIALIZED VIEW matview AS SELECT g AS id FROM generate_series(1, 2000) g;
CREATE MATERIALIZED VIEW unpopulated AS SELECT g AS id FROM generate_series(1, 2000) g WITH NO DATA;
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE parent (id int, filler text) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF parent FOR VALUES FROM (0) TO (1000);
CREATE TABLE high PARTITION OF parent FOR VALUES FROM (1000) TO (3000) PARTITION BY RANGE (id);
CREATE TABLE highest PARTITION OF high FOR VALUES FROM (1000) TO (3000);
INSERT INTO parent SELECT g, 'x' FROM generate_series(1, 2000) g;
CREATE TABLE base (id int);
CREATE TABLE child () INHERITS (base);
INSERT INTO child SELECT generate_series(1, 2000);
CREATE TABLE toasted (id int, filler text);
ALTER TABLE toasted ALTER filler SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT g, repeat('x', 5000) FROM generate_series(1, 200) g;
CREATE TYPE kind AS (id int);
CREATE TABLE typed OF kind;
CREATE TABLE generated (id int, twice int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO generated SELECT generate_series(1, 2000);
CREATE VIEW looks AS SELECT * FROM plain;
CREATE SEQUENCE counts;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE far (id int) SERVER nowhere;
EOS
my $temporary = $node->background_psql('postgres');
$temporary->query_safe('CREATE TEMPORARY TABLE temporary AS SELECT g AS id FROM generate_series(1, 5000) g');
$temporary->query_safe('DELETE FROM temporary');
$run = sql(q(SELECT pgmaint.run('weekly', '{"scope": "all", "min_size": 0}')));
is(wait_for_end($node, $run), 'succeeded', 'every table there is: run') or diag run_error($node, $run);
is(sql("SELECT string_agg(DISTINCT state, ', ') FROM pgmaint.tasks WHERE run_id = $run"), 'succeeded', 'every table there is: tasks');
is(sql("SELECT count(*) FROM pgmaint.tasks WHERE run_id = $run AND target ~ 'pg_temp|looks|counts|far\$'"), '0', 'nothing that is not a table of the database');
is(sql("SELECT string_agg(substr(target, 7), ', ' ORDER BY target) FROM pgmaint.tasks WHERE run_id = $run AND action = 'vacuum' AND target LIKE 'kinds.%'"),
	'base, child, generated, highest, low, matview, no_columns, plain, toasted, typed, unlogged, unpopulated', 'VACUUM: what has storage');
is(sql("SELECT count(*) > 0 FROM pg_stats WHERE schemaname = 'kinds' AND tablename = '$_'"), 't', "statistics of $_")
  foreach qw(plain unlogged matview parent high highest low child toasted generated);
$temporary->quit;

$run = sql(q(SELECT pgmaint.run_action('vacuum', '{"tables": ["kinds.parent", "pg_catalog.pg_class", "pg_database"]}')));
is(wait_for_end($node, $run), 'succeeded', 'partitions by their parent, catalogs: run');
is(tasks($node, $run), 'kinds.highest succeeded, kinds.low succeeded, pg_catalog.pg_class succeeded, pg_catalog.pg_database succeeded', 'partitions by their parent, catalogs: tasks');
foreach my $case (
	[ 'kinds.looks', qr/"kinds\.looks" is not a table or materialized view/ ],
	[ 'kinds.counts', qr/is not a table or materialized view/ ],
	[ 'kinds.far', qr/is not a table or materialized view/ ],
	[ 'kinds.nosuch', qr/relation "kinds\.nosuch" does not exist/ ],
	[ 'nosuch.plain', qr/schema "nosuch" does not exist/ ],
	[ 'other.kinds.plain', qr/cross-database references are not implemented/ ],
	[ 'a.b.c.d', qr/improper/ ],
	[ '', qr/invalid name syntax/ ])
{
	my ($name, $message) = @$case;
	my ($status, $stdout, $stderr) = $node->psql('postgres', qq(SELECT pgmaint.run_action('vacuum', '{"tables": "$name"}')));
	like($stderr, $message, "asked for by name: \"$name\"");
}

# one that fails
sql(<<'EOS');
CREATE FUNCTION fails(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN id; END';
CREATE TABLE failing AS SELECT g AS id FROM generate_series(1, 2000) g;
CREATE INDEX ON failing (fails(id));
CREATE OR REPLACE FUNCTION fails(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE
	AS $$ BEGIN RAISE EXCEPTION 'no luck with %', 'this "table"' USING DETAIL = 'It is spoilt.', ERRCODE = 'XX123'; END $$;
EOS
my ($status, $stdout, $stderr) = $node->psql('postgres',
	q(CALL pgmaint.run_and_wait('weekly', '{"tables": ["failing", "kinds.plain", "kinds.matview"],
		"vacuum": {"analyze": "on"}, "analyze": {"tables": "kinds.plain"}}')));
$run = last_run($node);
is(run_state($node, $run), 'failed', 'one that fails: run');
is(sql("SELECT string_agg(action || ' ' || target || ' ' || state, ', ' ORDER BY action, target) FROM pgmaint.tasks WHERE run_id = $run AND action = 'vacuum'"),
	'vacuum kinds.matview succeeded, vacuum kinds.plain succeeded, vacuum public.failing failed', 'one that fails: the others are done')
  or diag sql("SELECT * FROM pgmaint.tasks WHERE run_id = $run");
like(run_error($node, $run), qr/1 of \d+ tasks failed or were stopped: vacuum public\.failing \(failed\)/, 'one that fails: named by the run');
is(sql("SELECT sqlstate, error FROM pgmaint.tasks WHERE run_id = $run AND state = 'failed'"),
	'XX123|no luck with this "table"; It is spoilt.; CONTEXT: function public.fails(integer)', 'one that fails: the error');
like($stderr, qr/ERROR:  run $run failed: 1 of \d+ tasks failed or were stopped: vacuum public\.failing \(failed\)/, 'one that fails: run_and_wait() says so');
is($status, 3, 'one that fails: and so does the exit status');
sql('DROP TABLE failing');

# one that is locked: it is skipped, the holder of the lock is named, and neither
# planning nor the other tables wait for it
my $holder = $node->background_psql('postgres');
$holder->query_safe(q(SET application_name = 'migration'));
my $pid = $holder->query_safe('SELECT pg_backend_pid()');
foreach my $mode ('SHARE', 'ACCESS EXCLUSIVE')
{
	sql('UPDATE kinds.plain SET id = id; UPDATE kinds.generated SET id = id');
	$node->poll_query_until('postgres', q(SELECT count(*) = 2 FROM pg_stat_user_tables
		WHERE schemaname = 'kinds' AND relname IN ('plain', 'generated') AND n_dead_tup > 0));
	$holder->query_safe("BEGIN; LOCK TABLE kinds.plain IN $mode MODE");
	$run = sql(q(SELECT pgmaint.run('weekly', '{"schemas": "kinds", "min_size": 0}')));
	is(wait_for_end($node, $run), 'succeeded', "$mode lock: run") or diag run_error($node, $run);
	is(sql("SELECT string_agg(target || ' ' || state, ', ' ORDER BY target) FROM pgmaint.tasks WHERE run_id = $run AND action = 'vacuum'"),
		'kinds.generated succeeded, kinds.plain skipped', "$mode lock: tasks");
	like(sql("SELECT error FROM pgmaint.tasks WHERE run_id = $run AND action = 'vacuum' AND state = 'skipped'"),
		qr/no lock within 100 ms: process $pid of role \w+ \(migration\), idle in transaction, holds \w+Lock on kinds\.plain/, "$mode lock: named");
	like(sql("SELECT target FROM pgmaint.dry_run('weekly', '{\"schemas\": \"kinds\"}') WHERE target = 'kinds.plain' LIMIT 1"), qr/kinds\.plain/, "$mode lock: dry_run() waits for nothing");
	$holder->query_safe('ROLLBACK');
}
$holder->query_safe(q(BEGIN; LOCK TABLE kinds.plain; PREPARE TRANSACTION 'locks'));
$run = sql(q(SELECT pgmaint.run_action('vacuum', '{"tables": "kinds.plain"}')));
wait_for_end($node, $run);
like(sql("SELECT error FROM pgmaint.tasks WHERE run_id = $run"), qr/no lock within 100 ms: a prepared transaction holds AccessExclusiveLock/, 'locked by a prepared transaction: named');
$holder->query_safe(q(ROLLBACK PREPARED 'locks'));

# a lock that is given up in time
$holder->query_safe('BEGIN; LOCK TABLE kinds.plain');
$run = sql(q(SET pgmaint.lock_retries = 20; SELECT pgmaint.run_action('vacuum', '{"tables": ["kinds.plain", "kinds.generated"]}')));
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pgmaint.tasks WHERE run_id = $run AND state = 'pending' AND attempt > 0 AND target = 'kinds.plain'");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pgmaint.tasks WHERE run_id = $run AND state = 'succeeded' AND target = 'kinds.generated'");
$holder->query_safe('ROLLBACK');
is(wait_for_end($node, $run), 'succeeded', 'a lock that is given up: run');
is(sql("SELECT state, attempt > 1, error IS NULL FROM pgmaint.tasks WHERE run_id = $run AND target = 'kinds.plain'"), 'succeeded|t|t', 'a lock that is given up: task');

# no session waits behind a task that waits for its lock
$holder->query_safe('BEGIN; SELECT count(*) FROM kinds.plain');
$run = sql(q(SELECT pgmaint.run_action('vacuum', '{"tables": "kinds.plain"}')));
is(wait_for_end($node, $run), 'succeeded', 'readers block no task');
$holder->query_safe('ROLLBACK');
$holder->quit;

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
