# What newer servers know is used where it is known, and not missed where it is
# not: times that the server kept, what is frozen, counts of indexes, how long
# a command slept, children that a parent's VACUUM would take along, and reads
# of several blocks at once.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('newer', 'shared_buffers = 32MB');
my $version = $node->pg_version;

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

done_testing();
