# Views, policies and rules bring expressions into a statement which its role has
# not written.  The planner calls stable functions of the server's for its
# estimates, and table_to_xml() executes a view: none of that with the rights of
# a role that executed the statement when it was harmless.  Nor do parallel
# workers call functions of others, for queries that functions execute meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use Test::More;

use PgmaintTest;

my $node = start_server('planned_parts', "shared_preload_libraries = 'pg_stat_statements'", 'jit = off',
	'min_parallel_table_scan_size = 0', 'parallel_setup_cost = 0', 'parallel_tuple_cost = 0', 'parallel_leader_participation = off');
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

sub as
{
	my ($role, $sql) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $role ]);
}

# The role that a function of a superuser's was last called as.
sub caught
{
	my ($offset) = @_;
	my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile, $offset);
	my %roles = map { $_ => 1 } $log =~ /CALLED as (\w+)/g;
	return join ',', sort keys %roles;
}

$node->safe_psql('postgres', q(
	CREATE EXTENSION pg_stat_statements;
	CREATE ROLE hostile LOGIN; CREATE ROLE victim LOGIN;
	CREATE SCHEMA h AUTHORIZATION hostile; CREATE SCHEMA v AUTHORIZATION victim;
	GRANT USAGE ON SCHEMA h TO PUBLIC; GRANT USAGE ON SCHEMA v TO PUBLIC;
	CREATE TABLE words AS SELECT 'word ' || g AS word, repeat('x', 80) AS filler FROM generate_series(1, 20000) g;
	GRANT SELECT ON words TO PUBLIC;
	CREATE FUNCTION note() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE LOG 'CALLED as %', current_user; RETURN ''; END $$;
	ANALYZE words));

# harmless when it is executed
as('hostile', q(
	CREATE VIEW h.view AS SELECT word FROM words;
	CREATE TABLE h.guarded AS TABLE words; ANALYZE h.guarded;
	ALTER TABLE h.guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY guard ON h.guarded USING (true);
	CREATE TABLE h.ruled (a int);
	CREATE FUNCTION h.same(text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$ BEGIN RETURN $1; END $$;
	CREATE VIEW h.trap AS SELECT note() AS word;
	GRANT SELECT ON h.view, h.guarded, h.trap TO PUBLIC; GRANT INSERT ON h.ruled TO PUBLIC));
as('victim', q(
	CREATE VIEW v.sight AS SELECT word FROM words;
	CREATE FUNCTION v.look() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT min(word) FROM h.view); END $$;
	CREATE TABLE v.one AS SELECT 'a' AS word;
	CREATE TABLE v.plain AS TABLE words; ANALYZE v.plain;
	CREATE FUNCTION v.shared() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
		RETURN (SELECT count(*) FROM v.plain WHERE h.same(word) = 'a'); END $$));
$node->safe_psql('postgres', 'SELECT pg_stat_statements_reset(), pg_stat_reset()');
foreach my $role ($superuser, 'victim')
{
	as($role, $_) foreach ("SELECT word FROM h.view WHERE word = 'a'") x 2, ("SELECT word FROM h.guarded WHERE word = 'a'") x 2, ('INSERT INTO h.ruled VALUES (1)') x 2;
}
# under a name of its own: to pg_stat_statements of 18 tables of one name are the same
as('victim', $_) foreach ("SELECT word FROM v.sight WHERE word = 'a'") x 2, ("SELECT word FROM v.one WHERE word = v.look()") x 2,
  ("SELECT filler FROM v.plain WHERE word = v.shared()") x 2;
as($superuser, q(SELECT filler FROM words WHERE word = 'a')) foreach 1 .. 6;

as('hostile', q(
	CREATE OR REPLACE VIEW h.view AS SELECT word FROM words WHERE word <> table_to_xml('h.trap', false, false, '')::text;
	ALTER POLICY guard ON h.guarded USING (word <> table_to_xml('h.trap', false, false, '')::text);
	CREATE OR REPLACE FUNCTION h.same(text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$ BEGIN
		RAISE LOG 'CALLED as %', current_user; RETURN $1; END $$;
	CREATE RULE more AS ON INSERT TO h.ruled DO ALSO SELECT FROM words WHERE word = table_to_xml('h.trap', false, false, '')::text));

# each of them would be seen
foreach my $query ("SELECT word FROM h.view WHERE word = 'a'", "SELECT word FROM h.guarded WHERE word = 'a'", 'INSERT INTO h.ruled VALUES (1)',
	'SELECT filler FROM v.plain WHERE word = v.shared()')
{
	my $offset = -s $node->logfile;
	as('victim', "EXPLAIN $query");
	is(caught($offset), 'victim', "planning calls it: $query");
}

my $offset = -s $node->logfile;
my $run = $node->safe_psql('postgres', q(SELECT pgmaint.run_action('review_queries', '{"plans": 100}')));
wait_for_end($node, $run);
is(run_state($node, $run), 'succeeded', 'queries are reviewed');
is(caught($offset), '', '... and no code runs with the rights of others');
my $reasons = $node->safe_psql('postgres', "SELECT result -> 'not_planned' FROM pgmaint.tasks WHERE run_id = $run");
like($reasons, qr/planning the query could run code of role \\"hostile\\" with the rights of role \\"\Q$_\E\\"/, "... the statements of $_ are refused, with the reason")
	foreach $superuser, 'victim';
is($node->safe_psql('postgres', q(SELECT string_agg(DISTINCT (regexp_match(query, 'FROM (\S+)'))[1], ',') FROM pgmaint.query_plans WHERE query ~ '^SELECT (word|filler) FROM')),
	'v.sight,words', 'other statements have plans');

$offset = -s $node->logfile;
my ($advice, $notices);
$node->psql('postgres', 'SELECT statement FROM pgmaint.index_advice(min_calls => 2, min_mean_ms => 0, min_size => 0)', stdout => \$advice, stderr => \$notices);
unlike(caught($offset), qr/victim|\Q$superuser\E/, 'nor while indexes are advised');
like($notices, qr/planning the query could run code of role "hostile" with the rights of role/, '... whose statements are refused, with the reason');
like($advice, qr/ON public\.words \(word\)/, '... and there is advice for others');

done_testing();
