# Planning runs functions: none may run with another role's rights, whatever was
# done to a statement's functions, operators, types and tables since it was
# executed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use Test::More;

use PgmaintTest;

my $node = start_server('advice_rights', "shared_preload_libraries = 'pg_stat_statements'", 'jit = off');
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

sub as
{
	my ($role, $sql) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $role ]);
}

$node->safe_psql('postgres', q(
	CREATE EXTENSION pg_stat_statements;
	CREATE ROLE hostile LOGIN; CREATE ROLE victim LOGIN; CREATE ROLE adviser LOGIN;
	CREATE SCHEMA h AUTHORIZATION hostile; CREATE SCHEMA v AUTHORIZATION victim;
	GRANT USAGE ON SCHEMA h TO PUBLIC; GRANT USAGE ON SCHEMA v TO PUBLIC;
	CREATE TABLE rows_of_all AS SELECT g AS id, g % 5000 AS c, 'text ' || g AS s, repeat('x', 80) AS filler FROM generate_series(1, 40000) g;
	GRANT SELECT ON rows_of_all TO PUBLIC;
	GRANT EXECUTE ON FUNCTION pgmaint.index_advice(bigint, double precision, double precision, bigint, bigint) TO adviser;
	GRANT USAGE ON SCHEMA pgmaint TO adviser;
	CREATE TABLE v.own AS TABLE rows_of_all; ALTER TABLE v.own OWNER TO victim;
	CREATE TABLE h.own AS TABLE rows_of_all; ALTER TABLE h.own OWNER TO hostile; GRANT SELECT ON h.own TO PUBLIC;
	VACUUM ANALYZE));

$node->safe_psql('postgres', 'SELECT pg_stat_reset()');

# What is harmless when it is executed; later it tells in the server's log with
# whose rights it was run.
my @traps = (
	'CREATE FUNCTION h.answer(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1; END $$',
	'CREATE FUNCTION h.is_below(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 < $2; END $$',
	'CREATE OPERATOR h.<<< (LEFTARG = int, RIGHTARG = int, FUNCTION = h.is_below, RESTRICT = scalarltsel)',
	'CREATE FUNCTION h.sound(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN true; END $$',
	'CREATE DOMAIN h.word AS text CHECK (h.sound(VALUE))',
	'CREATE FUNCTION h.later(int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN $1; END $$',
	'CREATE FUNCTION h.distance(float8, float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 - $2; END $$',
	'CREATE VIEW h.view AS SELECT id, c, filler FROM h.own WHERE c <> h.answer(1)',
	'GRANT SELECT ON h.view TO PUBLIC');
as('hostile', $_) foreach @traps;

my @statements = (
	'SELECT * FROM %s WHERE c = h.answer(7)',
	'SELECT * FROM %s WHERE c = h.later(7)',
	'SELECT * FROM %s WHERE c OPERATOR(h.<<<) 3',
	q(SELECT * FROM %s WHERE s = ANY ('{a,b}'::h.word[])),
	q(SELECT * FROM %s WHERE s = (ROW('a'::h.word)).f1),
	'SELECT * FROM h.view WHERE c = 7 AND EXISTS (SELECT FROM %s LIMIT 1)',
	'SELECT * FROM h.own WHERE c = 7 AND EXISTS (SELECT FROM %s LIMIT 1)');
foreach my $statement (@statements)
{
	foreach my $case ([ $superuser, 'rows_of_all' ], [ 'victim', 'v.own' ], [ 'victim', 'rows_of_all' ])
	{
		my ($role, $table) = @$case;
		as($role, join(';', (sprintf $statement, $table) x 6));
	}
}
as('victim', join(';', ('SELECT * FROM v.own WHERE c = 7') x 6));
# One's own function, in which another's is called.
as('victim', 'CREATE FUNCTION v.wrapped() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN h.answer(7); END $$');
as('victim', join(';', ('SELECT * FROM v.own WHERE c = v.wrapped()') x 6));
# One's own function in SQL, which is part of the query when it is executed.
as('victim', 'CREATE TABLE v.listed AS TABLE v.own; ANALYZE v.listed; CREATE FUNCTION v.list(int) RETURNS SETOF v.listed LANGUAGE sql STABLE AS
	$$ SELECT * FROM v.listed WHERE c = $1 $$');
$node->safe_psql('postgres', 'SELECT pg_stat_reset()');
as('victim', join(';', ('SELECT count(*) FROM v.list(7)') x 6));
# One's own type, with another's function.
$node->safe_psql('postgres', q(CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = h.distance);
	CREATE TABLE spans AS SELECT span(g, g + 5.0) AS s, g AS id, repeat('x', 80) AS filler FROM generate_series(1, 40000) g; ANALYZE spans));
as($superuser, join(';', ('SELECT * FROM spans WHERE s @> pi() AND id > 0') x 6));
my $session = $node->background_psql('postgres');
$session->query_safe('SELECT count(*) FROM spans WHERE s @> pi()');
# A function that is computed in planning, and executes queries of its own, with
# indexes that exist.
as('victim', 'CREATE TABLE v.picked AS TABLE v.own; ANALYZE v.picked; CREATE FUNCTION v.pick() RETURNS int LANGUAGE plpgsql IMMUTABLE AS
	$$ BEGIN RETURN (SELECT min(c) FROM v.picked WHERE c = 8); END $$');
$node->safe_psql('postgres', 'SELECT pg_stat_reset()');
as('victim', join(';', ('SELECT * FROM v.picked WHERE c = v.pick() AND id > 0') x 6));
as($superuser, join(';', ('SELECT filler FROM rows_of_all WHERE c = 7') x 6));
as('hostile', join(';', ('SELECT * FROM h.own WHERE c = h.answer(7)') x 6));

foreach my $function ([ 'answer(int) RETURNS int', '$1', 'IMMUTABLE' ], [ 'is_below(int, int) RETURNS boolean', 'true', 'IMMUTABLE' ],
	[ 'sound(text) RETURNS boolean', 'true', 'IMMUTABLE' ], [ 'distance(float8, float8) RETURNS float8', '$1 - $2', 'IMMUTABLE' ], [ 'later(int) RETURNS int', '$1', 'STABLE' ])
{
	my ($head, $value, $volatility) = @$function;
	as('hostile', "CREATE OR REPLACE FUNCTION h.$head LANGUAGE plpgsql $volatility AS \$\$
		BEGIN RAISE LOG 'TRAP as %', current_user; RETURN $value; END \$\$");
}
as('hostile', 'CREATE INDEX ON h.own ((h.answer(c))) WHERE h.answer(id) > h.answer(2)');
as('hostile', 'ALTER TABLE h.own ADD CHECK (h.answer(c) >= h.answer(-1))');

# they are set, and would be seen
my $offset = -s $node->logfile;
$node->safe_psql('postgres', q(SELECT pgmaint.generic_plan('SELECT * FROM rows_of_all WHERE c = h.answer(7)')));
ok($node->log_contains(qr/TRAP as $superuser/, $offset), 'EXPLAIN falls into a trap');

# the superuser asks
$offset = -s $node->logfile;
my ($advice, $notices);
$node->psql('postgres', 'SELECT statement FROM pgmaint.index_advice(min_calls => 2, min_mean_ms => 0)',
	stdout => \$advice, stderr => \$notices);
like($notices, qr/planning the query could run code of role "hostile" with the rights of role "(victim|\Q$superuser\E)"/,
	'statements are refused, with the reason');
ok(!$node->log_contains(qr/TRAP as (?!hostile\b)/, $offset), 'no function runs with the rights of another');
ok($node->log_contains(qr/TRAP as hostile/, $offset), 'the owner may run into their own');
like($advice, qr/ON v\.own \(c\)/, 'statements without any are looked at');
like($advice, qr/ON v\.picked \(c[,)]/, 'so are those whose functions execute queries');
unlike($notices, qr/could not open relation/, 'these know nothing of indexes that do not exist');

like($notices, qr/would be called with the rights of role/, 'what functions call counts, too');
like($advice, qr/ON v\.listed \(c\)/, 'functions in SQL are seen through');

# Functions that the server has looked up before in a session are not checked again.
$offset = -s $node->logfile;
is($session->query('SELECT count(*) > 0 FROM pgmaint.index_advice(min_calls => 2, min_mean_ms => 0)'), 't', 'a session that has worked with these types');
ok(!$node->log_contains(qr/TRAP as (?!hostile\b)/, $offset), '... runs no function with the rights of another');
$session->quit;

# A literal of a type with checks is not even parsed as another role.
like($notices, qr/hostile.*such as .*h\.word|could run code of role "hostile"/s, 'types count, too');

# a role that is a member of the victim's role only
$node->safe_psql('postgres', 'GRANT victim TO adviser');
$offset = -s $node->logfile;
$node->psql('postgres', 'SELECT statement FROM pgmaint.index_advice(min_calls => 2, min_mean_ms => 0)',
	stdout => \$advice, stderr => \$notices, extra_params => [ '-U', 'adviser' ]);
ok(!$node->log_contains(qr/TRAP/, $offset), 'members of a role run nothing of others');
like($advice, qr/ON v\.own \(c\)/, 'they get advice for the statements of the role');
unlike($advice, qr/rows_of_all|h\.own/, 'and for no others');
like($notices, qr/permission denied to plan statements of role "\w+" \(\d+\)/, 'nor do they see what others execute');
unlike($notices, qr/filler/, 'not even in messages');

# The caller's identity and settings are as before.
is( $node->safe_psql('postgres', q(SET search_path = v; SELECT count(*) > 0 FROM pgmaint.index_advice(min_calls => 2, min_mean_ms => 0);
		SELECT current_user = session_user, current_setting('search_path'), current_setting('transaction_read_only'),
			current_setting('lock_timeout'); CREATE TEMP TABLE works (a int))),
	"t\nt|v|off|0", 'the session is as it was');

# A locked table is not waited for long, and other advice is not lost.
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE rows_of_all');
$node->psql('postgres', q(SET pgmaint.lock_timeout = '50ms'; SELECT statement FROM pgmaint.index_advice(min_calls => 2, min_mean_ms => 0)),
	stdout => \$advice, stderr => \$notices);
like($notices, qr/canceling statement due to lock timeout/, 'a locked table is named as such');
like($advice, qr/ON v\.own \(c\)/, 'the others are looked at');
$locker->query_safe('COMMIT');
$locker->quit;

# A name with lines of its own stands in no comment.
as('hostile', qq(CREATE TABLE h.many ("c\nDROP TABLE v.own; --" int, id int, filler text) PARTITION BY HASH (id)));
as('hostile', join(';', map { "CREATE TABLE h.many_$_ PARTITION OF h.many FOR VALUES WITH (MODULUS 40, REMAINDER $_)" } 0 .. 39));
as('hostile', q(INSERT INTO h.many SELECT g, g, repeat('x', 80) FROM generate_series(1, 40000) g; ANALYZE h.many));
$node->safe_psql('postgres', 'SELECT pg_stat_reset()');
as('hostile', join(';', (qq(SELECT * FROM h.many WHERE "c\nDROP TABLE v.own; --" = 7)) x 6));
$advice = $node->safe_psql('postgres', q(SELECT statement FROM pgmaint.index_advice(min_calls => 2, min_mean_ms => 0, min_size => 0) WHERE relation = 'h.many'::regclass));
like($advice, qr/\A-- first CREATE INDEX CONCURRENTLY on each partition, with the same columns\nCREATE INDEX ON h\.many \("c\n/, 'names are not in comments');

# A cancel is a cancel.
my $error;
isnt($node->psql('postgres', q(SET statement_timeout = 1; SELECT count(*) FROM pgmaint.index_advice(min_calls => 1, min_mean_ms => 0)), stderr => \$error), 0, 'it can be cancelled');

done_testing();
