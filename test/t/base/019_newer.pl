# What newer servers know is used where it is known, and not missed where it is
# not: times that the server kept, what is frozen, counts of indexes, how long
# a command slept, children that a parent's VACUUM would take along, and reads
# of several blocks at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('newer', 'shared_buffers = 32MB');
# a release candidate counts as less than its release
my $version = $node->pg_version->major;

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# how long it will take, before pgmaint has done any of it
sql('CREATE TABLE known AS SELECT g AS id FROM generate_series(1, 1000) g; CREATE TABLE unknown AS TABLE known');
sql('VACUUM known');
sql('ANALYZE known');
my $estimates = q(SELECT string_agg(format('%s %s %s', action, target, estimate_duration >= interval '0'), ', ' ORDER BY action, target)
	FROM pgmaint.dry_run('weekly', '{"tables": ["known", "unknown"], "scope": "all", "vacuum": {"analyze": "off"}}') WHERE action IN ('vacuum', 'analyze'));
is( sql($estimates),
	$version >= 18
	? 'analyze public.known t, analyze public.unknown , vacuum public.known t, vacuum public.unknown '
	: 'analyze public.known , analyze public.unknown , vacuum public.known , vacuum public.unknown ',
	'durations by the account of the server: known from 18 on, null before');

# how much is frozen already
sub wait_for_inserts
{
	my ($rows) = @_;
	$node->poll_query_until('postgres',
		"SELECT count(*) = 2 FROM pg_stat_user_tables WHERE relname IN ('appended', 'loose') AND n_tup_ins = $rows")
	  or die "the server has not counted $rows rows";
}
sql('CREATE TABLE appended AS SELECT g AS id FROM generate_series(1, 50000) g; CREATE TABLE loose AS TABLE appended');
wait_for_inserts(50000);
sql('VACUUM (FREEZE) appended');
sql('VACUUM loose');
sql("INSERT INTO $_ SELECT g FROM generate_series(1, 4000) g") foreach qw(appended loose);
wait_for_inserts(54000);
is( sql(q(SELECT string_agg(relation || ': ' || causes::text, ', ' ORDER BY relation::text) FROM pgmaint.vacuum_candidates() WHERE relation::text IN ('appended', 'loose'))),
	$version >= 18 ? 'appended: {inserts}' : '',
	'inserts are weighed against what is not frozen, from 18 on');

# children
sql(<<'EOS');
CREATE TABLE parent AS SELECT g AS id FROM generate_series(1, 1000) g;
CREATE TABLE child () INHERITS (parent);
INSERT INTO child SELECT g FROM generate_series(1, 1000) g;
EOS
my $run = sql(q(SELECT pgmaint.run_action('vacuum', '{"tables": "parent", "analyze": "on"}')));
is(wait_for_end($node, $run), 'succeeded', 'a parent: run');
is( sql("SELECT command FROM pgmaint.tasks WHERE run_id = $run"),
	$version >= 18 ? 'VACUUM (ANALYZE) ONLY public.parent' : 'VACUUM (ANALYZE) public.parent', 'a parent: its command');
is( sql(q(SELECT string_agg(format('%s %s %s', relname, vacuum_count, analyze_count), ', ' ORDER BY relname) FROM pg_stat_user_tables WHERE relname IN ('parent', 'child'))),
	'child 0 0, parent 1 1', 'a parent: its children are left alone');
$run = sql(q(SELECT pgmaint.run_action('analyze', '{"tables": "parent"}')));
is(wait_for_end($node, $run), 'succeeded', 'a parent, ANALYZE: run');
is( sql(q(SELECT string_agg(format('%s %s', relname, analyze_count), ', ' ORDER BY relname) FROM pg_stat_user_tables WHERE relname IN ('parent', 'child'))),
	'child 0, parent 2', 'a parent, ANALYZE: its children are left alone');

# progress among the indexes, and the time that delays took
create_slow_table($node, 'slow');
sql("CREATE INDEX ON slow ($_)") foreach qw(id filler (id+1) (id+2));
sql('ALTER SYSTEM SET track_cost_delay_timing = on') if $version >= 18;
$node->reload;
my $options = slow_vacuum('slow');
$run = sql("SELECT pgmaint.run_action('vacuum', $options)");
wait_for_slow_vacuum($node, 'public.slow');
if ($version >= 18)
{
	ok( $node->poll_query_until('postgres', q(SELECT slept > interval '0' FROM pgmaint.progress WHERE target = 'public.slow')),
		'progress: how long it slept');
}
else
{
	is(sql('SELECT slept IS NULL FROM pgmaint.progress'), 't', 'progress: nobody knows how long it slept');
}
is(sql(q(SELECT coalesce(mode, 'unknown') FROM pgmaint.progress)), $version >= 19 ? 'normal' : 'unknown', 'progress: the mode of VACUUM, from 19 on');
is(sql("SELECT pgmaint.cancel($run)"), 't', 'cancelled');
is(wait_for_end($node, $run), 'cancelled', 'it ends');

SKIP:
{
	skip 'indexes are counted from 17 on', 2 if $version < 17;

	# the heap is small, so that VACUUM comes to the indexes
	sql('CREATE TABLE indexed (id int, filler text); ALTER TABLE indexed ALTER filler SET STORAGE PLAIN;
		INSERT INTO indexed SELECT g, repeat(chr(65 + g % 26), 600) FROM generate_series(1, 60) g; DELETE FROM indexed WHERE id % 2 = 0');
	sql("CREATE INDEX ON indexed ($_) WITH (fillfactor = 10)") foreach qw(id filler (filler||1) (filler||2));
	$options = slow_vacuum('indexed');
	$run = sql("SELECT pgmaint.run_action('vacuum', $options)");
	ok( $node->poll_query_until('postgres',
			q(SELECT phase = 'vacuuming indexes' AND percent_done IN (25, 50, 75) FROM pgmaint.progress WHERE target = 'public.indexed')),
		'progress: indexes count');
	sql("SELECT pgmaint.cancel($run)");
	is(wait_for_end($node, $run), 'cancelled', 'it ends, too');
}

# reading everything, in order
SKIP:
{
	skip 'reads of several blocks are counted as one from 18 on', 2 if $version < 18;
	sql('CREATE TABLE wide AS SELECT g AS id, repeat(\'x\', 200) AS filler FROM generate_series(1, 40000) g; VACUUM FULL wide; CHECKPOINT');
	$node->restart;
	sql(q(SELECT pg_stat_reset_shared('io')));
	my $blocks = sql(q(SELECT sampled_blocks FROM pgmaint.table_bloat('wide', 0.000001)));
	my $reads = q(SELECT sum(reads) FROM pg_stat_io WHERE object = 'relation' AND context = 'bulkread');
	$node->poll_query_until('postgres', "SELECT ($reads) > 0");
	$reads = sql($reads);
	cmp_ok($blocks, '>', 1000, 'a table is read as a whole');
	cmp_ok($reads * 4, '<', $blocks, 'with several blocks in a read');
}

# Autovacuum's own account of how urgent a table is: by thresholds that the
# table has for itself, and for its TOAST table.
sub counted
{
	my ($table, $dead) = @_;

	$node->poll_query_until('postgres', "SELECT pg_stat_get_dead_tuples('$table'::regclass) = $dead")
	  or die "the server has not counted $dead dead rows of $table";
}
sql('CREATE TABLE big AS SELECT g AS id FROM generate_series(1, 40000) g; CREATE TABLE touchy (id int) WITH (autovacuum_vacuum_scale_factor = 0.001);
	INSERT INTO touchy SELECT generate_series(1, 20000); ANALYZE big, touchy; DELETE FROM big WHERE id <= 4000; DELETE FROM touchy WHERE id <= 2000');
counted('big', 4000);
counted('touchy', 2000);
is( sql(q(SELECT string_agg(relation::text, ', ' ORDER BY nth) FROM pgmaint.vacuum_candidates() WITH ORDINALITY AS c (relation, r, s, d, e, i, x, m, w, last_vacuum, t, u, y, score, nth)
		WHERE relation IN ('big'::regclass, 'touchy'::regclass))),
	$version >= 19 ? 'touchy, big' : 'big, touchy', 'of two that were never vacuumed, what autovacuum scores higher goes first, from 19 on; before, what has more dead rows');
$run = sql(q(SELECT pgmaint.run_action('vacuum', '{"tables": ["big", "touchy"]}')));
is(wait_for_end($node, $run), 'succeeded', 'by score: run');
is( sql("SELECT string_agg(format('%s %s', target, (evidence ->> 'autovacuum_score')::numeric > 10), ', ' ORDER BY task_id) FROM pgmaint.tasks WHERE run_id = $run"),
	$version >= 19 ? 'public.touchy t, public.big f' : 'public.big , public.touchy ', 'by score: the tasks have it as evidence');

SKIP:
{
	skip 'autovacuum tells what it thinks from 19 on', 3 if $version < 19;
	sql('CREATE TABLE toasted (id int, filler text) WITH (toast.autovacuum_freeze_max_age = 100000); INSERT INTO toasted VALUES (1, $$a$$); CREATE TABLE burnt (id int)');
	is(sql(q(SELECT count(*) FROM pgmaint.vacuum_candidates() WHERE relation = 'toasted'::regclass)), '0', 'a young table is not due');
	sql(q(DO $$BEGIN FOR i IN 1 .. 101000 LOOP BEGIN INSERT INTO burnt VALUES (i); EXCEPTION WHEN division_by_zero THEN END; END LOOP; END$$; TRUNCATE burnt));
	like(sql(q(SELECT reason || ' ' || causes::text FROM pgmaint.vacuum_candidates() WHERE relation = 'toasted'::regclass)),
		qr/^wraparound: transaction ID age 10\d,\d+, multixact age \d+, autovacuum forces a VACUUM \{wraparound\}$/,
		'its TOAST table is to be vacuumed by force, by a setting of its own');
	is(sql('SELECT relation FROM pgmaint.vacuum_candidates() LIMIT 1'), 'toasted', '... which is the most urgent of all');
}

# When an index was read last, and when its own counters were reset.
sub look_at_indexes
{
	sql('SELECT pgmaint_internal.take_index_scans()');
}
sub unused_since
{
	my ($index, $condition) = @_;
	return sql("SELECT $condition FROM (SELECT pgmaint_internal.unused_since('$index'::regclass) AS since, s.*, d.stats_reset AS database_reset
		FROM pg_stat_user_indexes s, pg_stat_database d WHERE s.indexrelid = '$index'::regclass AND d.datname = 'postgres') AS s");
}
sql('CREATE TABLE looked_up (id int, a int, b int); INSERT INTO looked_up SELECT g, g, g FROM generate_series(1, 5000) g;
	CREATE INDEX looked_up_id ON looked_up (id); CREATE INDEX looked_up_a ON looked_up (a); CREATE INDEX looked_up_b ON looked_up (b)');
sql('ANALYZE looked_up; SET enable_seqscan = off; SELECT * FROM looked_up WHERE id = 5');
$node->poll_query_until('postgres', q(SELECT idx_scan = 1 FROM pg_stat_user_indexes WHERE indexrelname = 'looked_up_id'));
is(unused_since('looked_up_id', $version >= 16 ? 'since = last_idx_scan' : 'since IS NULL'), 't', 'unused since the last scan, from 16 on; before, nobody has looked yet');
is(unused_since('looked_up_a', 'since IS NULL'), 't', 'what was never read nor looked at is not called unused');
look_at_indexes();
is(unused_since('looked_up_id', $version >= 16 ? 'since = last_idx_scan' : 'since <= now()'), 't', '... after a look, too; before 16, since that look');
my $since = sql(q(SELECT since FROM pgmaint_internal.index_scans WHERE index = 'looked_up_b'::regclass));
sql(q(SELECT pg_stat_reset_single_table_counters('looked_up_a'::regclass)));
is(unused_since('looked_up_a', $version >= 19 ? 'since = stats_reset' : 'since IS NULL'), 't', 'the counters of an index were reset: unused since then, from 19 on');
is(unused_since('looked_up_b', $version >= 19 ? "since = '$since'" : 'since IS NULL'), 't',
	'... those of another are not mistaken for these, from 19 on; before, the server does not know whose they were');
look_at_indexes();
is(unused_since('looked_up_a', $version >= 19 ? 'since = stats_reset' : "since > '$since'"), 't', '... after a look, too');
sql('SELECT pg_stat_reset()');
is(unused_since('looked_up_b', $version >= 19 ? 'since = stats_reset AND since = database_reset' : 'since IS NULL'), 't', 'all counters were reset');
SKIP:
{
	skip 'each index knows the time of its own reset from 19 on', 1 if $version < 19;
	is( sql(q(SELECT detail = format('not used since %s', s.stats_reset::date) FROM pgmaint.index_usage('0', 0) u
			JOIN pg_stat_user_indexes s ON s.indexrelname = 'looked_up_b' WHERE u.index = 'public.looked_up_b' AND u.check_id = 'H002')),
		't', 'index_usage() says since when');
}
$node->stop('immediate');
$node->start;
is(unused_since('looked_up_b', 'since IS NULL'), 't', 'a crash loses the counters, and the time of their reset');

done_testing();
