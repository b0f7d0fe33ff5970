# Locks of users' tables: to look for work takes none of them, and a task that
# does not get the one it needs says whose it is, autovacuum's workers included,
# with no more about sessions than the role of the run may know.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

# autovacuum does not give way before deadlock_timeout has passed
my $node = start_server('locks', 'pgmaint.max_workers = 1', 'pgmaint.lock_retries = 0', q(pgmaint.lock_timeout = '300ms'),
	'autovacuum_naptime = 1s', 'autovacuum_max_workers = 4', 'deadlock_timeout = 60s');

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# A session that waits for a lock in here, or takes long, gets an error.
sub sql_without_waiting
{
	my ($sql) = @_;
	my ($status, $stdout, $stderr) =
	  $node->psql('postgres', "SET lock_timeout = '100ms'; SET statement_timeout = '20s'; $sql");

	return $status == 0 ? $stdout : $stderr;
}

sql(<<'EOS');
CREATE TABLE a (id int PRIMARY KEY, filler text);
CREATE TABLE b (id int PRIMARY KEY, filler text);
CREATE INDEX ON a (filler) WHERE id > 100;
ALTER TABLE a ADD owner int REFERENCES b;
CREATE MATERIALIZED VIEW m AS SELECT g AS id FROM generate_series(1, 2000) g;
CREATE TABLE parent (id int, filler text) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF parent FOR VALUES FROM (0) TO (1000);
CREATE TABLE high PARTITION OF parent FOR VALUES FROM (1000) TO (9000) PARTITION BY RANGE (id);
CREATE TABLE higher PARTITION OF high FOR VALUES FROM (1000) TO (2000);
CREATE TABLE highest PARTITION OF high FOR VALUES FROM (2000) TO (9000);
EOS
foreach my $table (qw(a b parent))
{
	sql("INSERT INTO $table SELECT g, repeat('x', 500) FROM generate_series(1, 5000) g");
	sql("DELETE FROM $table WHERE id % 2 = 0");
}

# planning, while a table is locked, and another with its partitions; of the
# partitioned ones, those that are no partition themselves are due everywhere
my $holder = $node->background_psql('postgres');
$holder->query_safe(q(SET application_name = 'migration'));
my $pid = $holder->query_safe('SELECT pg_backend_pid()');
$holder->query_safe('BEGIN; LOCK TABLE a, parent IN ACCESS EXCLUSIVE MODE');
is(sql_without_waiting(q(SELECT string_agg(DISTINCT target, ', ' ORDER BY target) FROM pgmaint.dry_run('weekly', '{"min_size": 0}') WHERE target LIKE 'public.%' AND target <> 'public.high')),
	'public.a, public.b, public.higher, public.highest, public.low, public.m, public.parent', 'dry_run() waits for no lock');
is(sql_without_waiting('SELECT string_agg(relation::text, \', \' ORDER BY relation::text), min(total_bytes) > 0
	FROM pgmaint.vacuum_candidates() WHERE relation::text IN (\'a\', \'b\', \'low\', \'higher\', \'parent\')'),
	'a, b, higher|t', 'vacuum_candidates() waits for no lock');
is(sql_without_waiting('SELECT string_agg(relation::text, \', \' ORDER BY relation::text) FROM pgmaint.stale_statistics() WHERE relation::text IN (\'a\', \'b\', \'low\', \'higher\', \'parent\')'),
	'a, b, higher, low, parent', 'stale_statistics() waits for no lock');
like(sql_without_waiting("SELECT count(x::text) FROM $_ x"), qr/^\d+$/, "$_ waits for no lock")
  foreach ('pgmaint.validate()', 'pgmaint.index_usage(min_size => 0)', 'pgmaint.connection_review()', 'pgmaint.metrics', 'pgmaint.report_html()',
	'pgmaint.reindex_candidates()', 'pgmaint.sequence_usage');

# a run goes on with what is not locked
my $run = sql(q(SELECT pgmaint.run('weekly', '{"schemas": "public", "min_size": 0}')));
is(wait_for_end($node, $run), 'succeeded', 'a locked table: run') or diag run_error($node, $run);
is(sql("SELECT string_agg(DISTINCT target || ' ' || state, ', ') FROM pgmaint.tasks WHERE run_id = $run AND target ~ 'a\$|b\$'"),
	'public.a skipped, public.b succeeded', 'a locked table: the others are done');
like(sql("SELECT string_agg(DISTINCT action || ' ' || target, ', ') FROM pgmaint.tasks WHERE run_id = $run AND state = 'skipped' AND target = 'public.a'"),
	qr/bloat_report public\.a, vacuum public\.a$/, 'a locked table: it is passed over by each step');
is( sql("SELECT count(*) FROM pgmaint.tasks WHERE run_id = $run AND state = 'skipped'
		AND error !~ '^no lock within 300 ms: process $pid of role \\w+ \\(migration\\), idle in transaction,? holds AccessExclusiveLock on '"),
	'0', 'a locked table: the holder is named')
  or diag sql("SELECT target, error FROM pgmaint.tasks WHERE run_id = $run AND state = 'skipped'");
$holder->query_safe('ROLLBACK');

# no lock stays for the rest of a caller's transaction
foreach my $look (q(pgmaint.stale_statistics(everything => true)), q(pgmaint.vacuum_candidates(everything => true)),
	q(pgmaint.dry_run('weekly', '{"scope": "all", "min_size": 0}')), 'pgmaint.xmin_holders()')
{
	is( sql("BEGIN; CREATE TEMPORARY TABLE seen ON COMMIT DROP AS SELECT * FROM $look;
			SELECT coalesce(string_agg(DISTINCT c.relname, ', '), 'none') FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
			WHERE l.pid = pg_backend_pid() AND c.relnamespace = 'public'::regnamespace; COMMIT"),
		'none', "$look leaves no locks");
}

# what a session does and since when is for those who may see it
sql(<<'EOS');
CREATE ROLE plain LOGIN;
CREATE ROLE monitor LOGIN IN ROLE pg_read_all_stats;
CREATE ROLE boss SUPERUSER LOGIN;
GRANT USAGE ON SCHEMA pgmaint TO plain, monitor;
GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO plain, monitor;
EOS
sub skipped_for
{
	my ($role) = @_;
	my $run = sql(qq(SET ROLE $role; SELECT pgmaint.run_action('vacuum', '{"tables": "a"}')));

	wait_for_end($node, $run);
	return sql("SELECT concat_ws(': ', state, error) FROM pgmaint.tasks WHERE run_id = $run");
}
foreach my $role ('plain', 'monitor', 'boss')
{
	my ($state, $since) = $role eq 'plain' ? ('', '') : (', idle in transaction', ' since \d{4}-\d\d-\d\d .*');

	sql("ALTER TABLE a OWNER TO $role");
	$holder->query_safe('BEGIN; LOCK TABLE a IN ACCESS EXCLUSIVE MODE');
	like(skipped_for($role), qr/^skipped: no lock within 300 ms: process $pid of role \w+ \(migration\)$state,? holds AccessExclusiveLock on (public\.)?a$since$/,
		"a lock: what role $role is told");
	$holder->query_safe('ROLLBACK');
}

# and so with snapshots
foreach my $role ('plain', 'boss')
{
	sql("DROP TABLE a; CREATE TABLE a (id int, filler text); ALTER TABLE a OWNER TO $role;
		INSERT INTO a SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g");
	sql('VACUUM ANALYZE a');
	$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM b');
	sql('DELETE FROM a WHERE id % 2 = 0');
	$node->poll_query_until('postgres',
		q(SELECT n_dead_tup > 0 AND last_vacuum IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'a'));
	my $told = $role eq 'plain' ? qr/a session, process $pid/ : qr/process $pid of role \w+ \(migration\), idle in transaction, since \d.*/;
	like(skipped_for($role), qr/^skipped: VACUUM would be futile: .*, because of $told$/, "a snapshot: what role $role is told");
	$holder->query_safe('ROLLBACK');
}
$holder->quit;

# a session's VACUUM is in the way; from 19 on the server says whose it is
{
	create_slow_table($node, 'swept');
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my $own = $node->pg_version->major >= 19 ? ' \(VACUUM\)' : '';
	$session->query_until(qr/begun/, "\\echo begun\nSET vacuum_cost_delay = '100ms'; SET vacuum_cost_limit = 1;\nVACUUM swept;\n");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_progress_vacuum WHERE pid = $pid") or die 'no VACUUM of swept';
	my $run = sql(q(SELECT pgmaint.run_action('vacuum', '{"tables": "swept"}')));
	wait_for_end($node, $run);
	like(sql("SELECT state || ' ' || error FROM pgmaint.tasks WHERE run_id = $run"),
		qr/^skipped no lock within 300 ms: process $pid of role \w+.*, active$own, holds ShareUpdateExclusiveLock on (public\.)?swept since /,
		'a VACUUM of a session has the lock: named');
	sql("SELECT pg_cancel_backend($pid)");
	$session->quit;
}

# an autovacuum worker that is in the way has no role
sub slow_autovacuum
{
	my ($table, $settings, $activity) = @_;

	sql("ALTER TABLE $table SET (autovacuum_enabled = on, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, $settings)");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity
		WHERE backend_type = 'autovacuum worker' AND query LIKE 'autovacuum: $activity public.$table%'")
	  or die "no $activity of $table";
	return sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND query LIKE 'autovacuum: $activity public.$table%'");
}

sql('CREATE TABLE small AS SELECT 1 AS id; CREATE TABLE work (id int, filler text);
	INSERT INTO work SELECT g, repeat($$x$$, 200) FROM generate_series(1, 20000) g');
sql('VACUUM ANALYZE work');
foreach my $table (qw(vacuumed analyzed))
{
	create_slow_table($node, $table);
}
sql("ALTER TABLE $_ SET (autovacuum_enabled = off)") foreach qw(a b low higher highest m small work vacuumed analyzed);
sql("ALTER TABLE $_ SET (autovacuum_enabled = off)") foreach map { "pgmaint.$_" } qw(runs tasks findings);
$node->append_conf('postgresql.conf', 'autovacuum = on');
sql("ALTER TABLE analyzed SET (autovacuum_vacuum_threshold = 2000000000, autovacuum_vacuum_insert_threshold = -1);
	ALTER TABLE vacuumed SET (autovacuum_analyze_threshold = 2000000000)");
$node->reload;
my $vacuuming = slow_autovacuum('vacuumed', 'autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0', 'VACUUM');
$run = sql(q(SELECT pgmaint.run_action('vacuum', '{"tables": ["vacuumed", "small"]}')));
is(wait_for_end($node, $run), 'succeeded', 'autovacuum has the lock: run') or diag run_error($node, $run);
is(tasks($node, $run), 'public.small succeeded, public.vacuumed skipped', 'autovacuum has the lock: tasks');
like(sql("SELECT error FROM pgmaint.tasks WHERE run_id = $run AND state = 'skipped'"),
	qr/^no lock within 300 ms: process $vacuuming, autovacuum worker,? holds ShareUpdateExclusiveLock on (public\.)?vacuumed since /,
	'autovacuum has the lock: named');
is(sql("SELECT count(DISTINCT worker) FROM pgmaint.tasks WHERE run_id = $run"), '1', 'autovacuum has the lock: one worker did both tasks');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $vacuuming"), '1', 'autovacuum has the lock: and it was not stopped');

my $analyzing = slow_autovacuum('analyzed', 'autovacuum_analyze_threshold = 0, autovacuum_analyze_scale_factor = 0', 'ANALYZE');
$node->poll_query_until('postgres', "SELECT backend_xmin IS NOT NULL FROM pg_stat_activity WHERE pid = $analyzing");
is(sql("SELECT kind, holder FROM pgmaint.xmin_holders() WHERE pid = $analyzing"),
	"session|process $analyzing, autovacuum worker", 'autovacuum has a snapshot: xmin_holders()');
is(sql("SELECT count(*) FROM pgmaint.xmin_holders() WHERE pid = $vacuuming"), '0', 'autovacuum\'s VACUUM holds nothing back');
sql('DELETE FROM work WHERE id % 2 = 0');
$run = sql(q(SELECT pgmaint.run_action('vacuum', '{"tables": ["small", "work"]}')));
is(wait_for_end($node, $run), 'succeeded', 'autovacuum has a snapshot: run') or diag run_error($node, $run);
like(sql("SELECT state || ' ' || error FROM pgmaint.tasks WHERE run_id = $run AND target = 'public.work'"),
	qr/^skipped VACUUM would be futile: .*, because of process $analyzing, autovacuum worker, since /, 'autovacuum has a snapshot: named');
unlike(slurp_file($node->logfile), qr/null values cannot be formatted/, 'and nobody stumbled over a process without a role');

$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->reload;
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'");
no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
