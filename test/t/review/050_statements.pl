# What pg_stat_statements counted, in the same columns for each of its versions
# and in whatever schema it is.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use Test::More;

use PgmaintTest;

my $node = start_server('statements');
my $columns = $node->safe_psql('postgres',
	"SELECT string_agg(n, ',' ORDER BY o) FROM pg_proc p, unnest(p.proargnames) WITH ORDINALITY u (n, o)
	WHERE p.oid = 'pgmaint_internal.statement_statistics()'::regprocedure");

# where it is not to be had
like($node->safe_psql('postgres', 'SELECT pgmaint_internal.statements_missing()'),
	qr/add it to shared_preload_libraries, restart/, 'it says that the library is missing');
like($node->safe_psql('postgres', 'SET pg_stat_statements.max = 7; SELECT pgmaint_internal.statements_missing()'),
	qr/add it to shared_preload_libraries, restart/, 'a setting cannot pretend that it is there');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgmaint_internal.statement_statistics()'),
	'0', 'no rows, and no error, without the library');
is($node->safe_psql('postgres', 'SELECT counted_since IS NULL FROM pgmaint_internal.statements_since()'),
	't', 'nor a time');
$node->safe_psql('postgres', 'DROP EXTENSION pg_stat_statements');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements'");
$node->restart;
like($node->safe_psql('postgres', 'SELECT pgmaint_internal.statements_missing()'),
	qr/execute CREATE EXTENSION/, 'it says that the extension is missing');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgmaint_internal.statement_statistics()'), '0', 'no rows without it');

# every version that the server has
$node->safe_psql('postgres', 'CREATE SCHEMA "Odd place"; CREATE DATABASE other; CREATE TABLE t (a int)');
my @versions = split /\n/, $node->safe_psql('postgres',
	"SELECT version FROM pg_available_extension_versions WHERE name = 'pg_stat_statements'
	ORDER BY string_to_array(version, '.')::int[]");
foreach my $version (@versions)
{
	$node->safe_psql('postgres',
		qq(CREATE EXTENSION pg_stat_statements SCHEMA "Odd place" VERSION '$version';
		SELECT "Odd place".pg_stat_statements_reset()));
	$node->safe_psql('postgres', 'INSERT INTO t SELECT generate_series(1, 1000)') foreach 1 .. 3;
	$node->safe_psql('other', 'SELECT generate_series(1, 1000)');
	is( $node->safe_psql('postgres',
			"SELECT calls, rows, total_ms > 0, round((total_ms / calls / mean_ms)::numeric, 6), max_ms >= mean_ms,
				shared_hit > 3000, userid::regrole, dbid = (SELECT oid FROM pg_database WHERE datname = 'postgres')
			FROM pgmaint_internal.statement_statistics() WHERE query LIKE 'INSERT INTO t%'"),
		'3|3000|t|1.000000|t|t|' . $node->safe_psql('postgres', 'SELECT current_user') . '|t',
		"version $version: figures of a statement");
	is($node->safe_psql('postgres', "SELECT count(*) FROM pgmaint_internal.statement_statistics() WHERE query LIKE 'SELECT generate%'"),
		'0', "version $version: not those of another database");
	is( $node->safe_psql('postgres',
			"SELECT count(wal_bytes) > 0, count(toplevel) > 0, count(stats_since) > 0, bool_and(read_ms = 0)
			FROM pgmaint_internal.statement_statistics()"),
		join('|', map { $_ ? 't' : 'f' } has($version, '1.8'), has($version, '1.9'), has($version, '1.11'), 1),
		"version $version: what it counts");
	is( $node->safe_psql('postgres',
			"SELECT counted_since <= clock_timestamp(), evicted IS NOT NULL FROM pgmaint_internal.statements_since()"),
		't|' . (has($version, '1.9') ? 't' : 'f'),
		"version $version: since when");
	$node->safe_psql('postgres', 'DROP EXTENSION pg_stat_statements');
}
is(scalar(split /,/, $columns), 34, 'as many columns as are documented');

# for whom
$node->safe_psql('postgres',
	'CREATE EXTENSION pg_stat_statements; CREATE ROLE watcher LOGIN IN ROLE pg_monitor; CREATE ROLE other LOGIN');
ok($node->safe_psql('postgres', "SELECT count(*) FROM pgmaint_internal.statement_statistics() WHERE query LIKE 'CREATE EXTENSION%'",
		extra_params => [ '-U', 'watcher' ]) > 0,
	'pg_monitor may read them');
isnt($node->psql('postgres', 'SELECT pgmaint_internal.statement_statistics()', extra_params => [ '-U', 'other' ]),
	0, 'no other role may');

$node->safe_psql('postgres', "ALTER SYSTEM SET pg_stat_statements.track = 'none'; SELECT pg_reload_conf()");
$node->poll_query_until('postgres', "SELECT pgmaint_internal.statements_missing() LIKE '%set pg_stat_statements.track%'");
like($node->safe_psql('postgres', 'SELECT pgmaint_internal.statements_missing()'),
	qr/counts nothing: set pg_stat_statements.track/, 'it says that nothing is counted');

# Is the version the same or later?
sub has
{
	my ($version, $first) = @_;
	return (split /\./, $version)[1] >= (split /\./, $first)[1];
}

done_testing();
