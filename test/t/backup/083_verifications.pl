# What users ask a restored backup for: the answer decides, nothing else does,
# and a query gets no further than the restored database.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";
use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('verifications');
# where psql is started
my $evidence = $node->data_dir . '/evidence';
my ($state, $error, $run);

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub literal
{
	my ($text) = @_;
	return 'NULL' unless defined $text;
	$text =~ s/'/''/g;
	return "'$text'";
}

sub add
{
	my ($database, $query, @more) = @_;
	return sql('SELECT pgmaint.add_verification(' . join(', ', map { literal($_) } $database, $query, @more) . ')');
}

sub forget_all
{
	sql('SELECT pgmaint.drop_verification(verification_id) FROM pgmaint.verifications');
	return;
}

sub refused
{
	my ($call, $reason, $case, $first) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', ($first // '') . "SELECT pgmaint.add_verification($call)");
	like($stderr, qr/ERROR:  $reason/, "refused: $case");
	return;
}

# One verification alone, and what came of it.
sub verify
{
	my ($database, $query, @more) = @_;

	forget_all();
	my $number = add($database, $query, @more);
	($state, $error, $run) = run_backup_action($node, 'verify_backup', qq({"databases": ["$database"]}));
	$error =~ s/verification $number\b/verification N/g;
	return "$state $error";
}

sub result
{
	my ($columns) = @_;
	return sql("SELECT $columns FROM pgmaint.verification_results WHERE run_id = $run ORDER BY result_id");
}

sub verdict
{
	my ($backup) = @_;
	return sql("SELECT verification FROM pgmaint.backups WHERE backup_id = $backup");
}

sub nothing_gained
{
	my ($case) = @_;
	ok(!-e $evidence, "$case: no program was started");
	is(databases_left($node) . '|' . sql(q(SELECT count(*) FROM pg_roles WHERE rolname ~ 'evil')), '0|0|0|0', '... and nothing is left');
	return;
}

# What cannot work is refused at once.
refused(q('shop', 'SELECT 1; SELECT 2'), 'the query of a verification must be one read-only statement\nDETAIL:  The query consists of 2 statements', 'two statements');
refused(q('shop', ''), 'the query .*\nDETAIL:  The query consists of 0 statements', 'none');
refused(q('shop', 'DELETE FROM t'), 'the query .*\nDETAIL:  The query is another kind of statement', 'another statement');
refused(q('shop', 'SELECT 1 INTO t UNION SELECT 2'), 'the query .*\nDETAIL:  The query has an INTO clause', 'INTO');
refused(q('shop', 'WITH d AS (DELETE FROM t RETURNING 1) SELECT * FROM d'), 'the query .*\nDETAIL:  "d" in the WITH clause changes rows', 'WITH that writes');
refused(q('shop', 'SELECT FRO t x'), 'syntax error at or near "x".*\nLINE 1: SELECT FRO t x', 'an error of syntax');
refused(q('shop', E'SELECT ''a\\\\''; DROP TABLE t; --'''), 'the query .*\nDETAIL:  The query consists of 2 statements', 'a quote that ends only where strings conform to the standard',
	sql('SHOW server_version_num') < 190000 ? 'SET standard_conforming_strings = off; ' : '');
refused(q('', 'SELECT true'), 'database of a verification must not be empty', 'no database');
refused(q('shop', NULL), 'query of a verification must not be null', 'null');
refused(q('shop', 'SELECT 1', NULL), 'expected of a verification must not be null', 'no expectation');
refused(q('shop', 'SELECT 1', repeat('x', 1001)), 'expected of a verification must not have more than 1000 characters', 'a long expectation');
refused(qq('shop', 'SELECT 1', '1', interval '$_'), 'time_limit of a verification must be a positive interval', "the limit $_") foreach ('0', '-1 s');
my ($status, $stdout, $stderr) = $node->psql('postgres', q(SELECT pgmaint.add_verification('nowhere', ' SELECT true; -- yes')));
like($stderr, qr/NOTICE:  database "nowhere" does not exist and has no backup in the ledger/, 'an unknown database is a notice');
is(sql('SELECT query, expected, time_limit FROM pgmaint.verifications'), 'SELECT true|true|00:05:00', '... and the statement is kept');
refused(q('nowhere', 'SELECT true;', 'true', interval '1 min'), "verification $stdout of database \"nowhere\" already has this query and expected answer\\nHINT: .*drop_verification\\($stdout\\)", 'the same again');
is(sql("SELECT pgmaint.drop_verification($stdout), pgmaint.drop_verification($stdout)"), 't|f', 'it is dropped once');

# Rights.
sql('CREATE ROLE plain LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor; CREATE ROLE adder LOGIN; GRANT USAGE ON SCHEMA pgmaint TO plain, adder;
	GRANT EXECUTE ON FUNCTION pgmaint.add_verification(name, text, text, interval), pgmaint.drop_verification(bigint) TO adder');
foreach my $case (
	[ 'plain', q(SELECT pgmaint.add_verification('a', 'SELECT true')) ], [ 'plain', 'SELECT pgmaint.drop_verification(1)' ],
	[ 'plain', 'SELECT * FROM pgmaint.verifications' ], [ 'plain', 'SELECT * FROM pgmaint.verification_results' ],
	[ 'watcher', 'SELECT * FROM pgmaint.verification_results' ], [ 'adder', 'DELETE FROM pgmaint.verifications' ])
{
	my ($role, $command) = @$case;
	($status, $stdout, $stderr) = $node->psql('postgres', $command, extra_params => [ '-U', $role ]);
	like($stderr, qr/permission denied/, "$role: $command is denied");
}
my $ours = add('postgres', 'SELECT true');
($status, $stdout, $stderr) = $node->psql('postgres', "SELECT pgmaint.drop_verification($ours)", extra_params => [ '-U', 'adder' ]);
like($stderr, qr/permission denied to drop verification $ours\nDETAIL:  Verification $ours was added by role/, 'what another role has added stays');
is( $node->safe_psql('postgres', q(SELECT pgmaint.drop_verification(pgmaint.add_verification('postgres', 'SELECT 1 = 1'))), extra_params => [ '-U', 'adder' ]),
	't', 'a role with the rights adds and drops');

# Answers.
sql('CREATE DATABASE shop');
$node->safe_psql('shop', q{
	CREATE TABLE workflows (id int PRIMARY KEY, note text);
	INSERT INTO workflows SELECT g, 'secret ' || g FROM generate_series(1, 30) g;
	CREATE SEQUENCE s;
	CREATE SCHEMA "S ""p";
	CREATE TABLE "S ""p"."Tä\t' \:x" ("c;" text);
	INSERT INTO "S ""p"."Tä\t' \:x" VALUES (E'a\n"b\t\\\\!');
	CREATE FUNCTION forge() RETURNS int LANGUAGE plpgsql AS $f$
	BEGIN
		IF pg_catalog.current_database() = 'shop' THEN RETURN 1; END IF;
		RAISE NOTICE E'00000\nERROR:  57014: canceling statement due to statement timeout';
		RAISE EXCEPTION E'\\\\! touch EVIDENCE \n`touch EVIDENCE` 00000' USING ERRCODE = 'P0001';
	END $f$;
	CREATE FUNCTION evil() RETURNS text LANGUAGE plpgsql AS $f$
	DECLARE attempt text; done text := '';
	BEGIN
		FOREACH attempt IN ARRAY ARRAY['ALTER ROLE CURRENT_USER SUPERUSER', 'CREATE ROLE evil_role', 'RESET ROLE; SET SESSION AUTHORIZATION DEFAULT; CREATE ROLE evil_role',
			'SET transaction_read_only = off; INSERT INTO public.workflows VALUES (99)', $x$COPY (SELECT 1) TO PROGRAM 'touch EVIDENCE'$x$, 'CREATE TABLE public.evil (i int)'] LOOP
			BEGIN EXECUTE attempt; done := done || attempt; EXCEPTION WHEN OTHERS THEN NULL; END;
		END LOOP;
		RETURN done;
	END $f$;
} =~ s/EVIDENCE/$evidence/gr);
my $shop = backup_by_hand($node, 'shop', 'daily/shop.dump.gz');

is(verify('shop', 'SELECT count(*) > 0 FROM workflows'), 'succeeded ', 'a right answer');
is(result("backup_id = $shop, answer, ok, error, duration > interval '0', asked_at <= now(), expected, query"),
	't|true|t||t|t|true|SELECT count(*) > 0 FROM workflows', '... is in the ledger');
is(sql("SELECT result ->> 'verifications' FROM pgmaint.tasks WHERE run_id = $run"), '1', '... and counted in the result');
is(verdict($shop), 'restorable', '... and the backup is restorable');
is(verify('shop', 'SELECT count(*) FROM workflows'),
	'failed not restorable: verification N answered 30, but true was expected: SELECT count(*) FROM workflows', 'a wrong answer');
is(result('answer, ok, error'), '30|f|', '... is in the ledger');
is(verdict($shop), 'not restorable', '... and the backup is not restorable');
is(verify('shop', 'SELECT note FROM workflows WHERE id = 7', 'secret 8'),
	'failed not restorable: verification N did not answer secret 8 as expected (see pgmaint.verification_results for the answer): SELECT note FROM workflows WHERE id = 7',
	'a value of a row is not told');
is(result('answer, ok'), 'secret 7|f', '... but in the ledger');
is(verify('shop', 'SELECT max(id) FROM workflows', '31') =~ /30/ ? 'told' : 'not told', 'not told', '... nor is another number');

foreach my $query ('TABLE (SELECT 1)', "SELECT 1\n\\! touch $evidence")
{
	refused(literal('shop') . ', ' . literal($query), 'syntax error', $query);
}
forget_all();
my @right = (
	[ 'SELECT false', 'f' ], [ 'VALUES (true)', 't' ], [ 'SELECT NULL::int', 'null' ],
	[ "SELECT 1 -- one\n", '1' ], [ 'WITH w AS (SELECT 5 AS a) SELECT a FROM w', '5' ], [ 'SELECT 1 UNION SELECT 1 ORDER BY 1', '1' ],
	[ q(SELECT '\! touch ) . $evidence . q( \\q :x :''x'' \gexec' || E'\''), qq(\\! touch $evidence \\q :x :'x' \\gexec') ],
	[ qq(SELECT "c;" FROM "S ""p"."T\xc3\xa4\\t' \\:x"), qq(a\n"b\t\\!) ], [ q(SELECT repeat('x', 1000)), 'x' x 1000 ],
	[ q(SELECT array_agg(id) FROM workflows WHERE id < 3), '{1,2}' ], [ q(SELECT to_jsonb(null::text)), 'null' ], [ 'SELECT evil()', '' ]);
add('shop', @$_) foreach @right;
($state, $error, $run) = run_backup_action($node, 'verify_backup', '{}');
is("$state $error", 'succeeded ', 'right answers of all kinds');
my @verdicts = split /\n/, result('ok');
is($verdicts[$_], 't', "right: $right[$_][0]") foreach 0 .. $#right;
nothing_gained('queries with commands of psql, and one that wants more');
is(verify('shop', q(SELECT repeat('x', 1001)), 'x' x 1000) =~ /^failed not restorable: verification N did not answer/ ? 1 : 0, 1, 'what is longer is another answer');
is(result('length(answer)'), '1000', '... and is cut');

# Errors of the query.
like(verify('shop', 'SELECT 1 FROM no_such'), qr/^failed not restorable: verification N failed: error with SQLSTATE 42P01, undefined_table \(pgmaint\.verification_results has the message\): SELECT 1 FROM no_such$/, 'an error');
is(result('answer, ok, error'), '|f|relation "no_such" does not exist', '... is in the ledger');
like(verify('shop', 'SELECT 1, 2'), qr/verification N failed: error with SQLSTATE 42601 \(pgmaint\.verification_results has the message\): /, 'two columns');
like(verify('shop', 'SELECT id FROM workflows'), qr/verification N failed: the query returned more than one row: /, 'many rows');
like(verify('shop', 'SELECT id FROM workflows WHERE false'), qr/verification N failed: the query returned no row: /, 'no row');
like(verify('shop', 'SELECT note::int FROM workflows WHERE id = 7'), qr/verification N failed: error with SQLSTATE 22P02, invalid_text_representation \(pgmaint\.verification_results has the message\): /, 'a message that has a value is not told');
like(verify('shop', 'SELECT forge()'), qr/^failed not restorable: verification N failed: error with SQLSTATE P0001, raise_exception \(pgmaint\.verification_results has the message\): /, 'what code of the dump says does not pass for another error');
nothing_gained('a message with commands');

# What says nothing about the backup.
is(verify('shop', 'SELECT true'), 'succeeded ', 'it is sound again');
foreach my $case (
	[ 'SELECT pg_sleep(100)', qr/ \(time limit 00:00:01\): error with SQLSTATE 57014, query_canceled \(pgmaint\.verification_results has the message\): SELECT pg_sleep\(100\)$/ ],
	[ q(SELECT nextval('s')), qr/: error with SQLSTATE 25006, read_only_sql_transaction / ],
	[ 'SELECT 1 FROM workflows FOR UPDATE', qr/: error with SQLSTATE 25006, read_only_sql_transaction / ],
	[ q(SELECT pg_read_file('PG_VERSION')), qr/: error with SQLSTATE 42501, insufficient_privilege / ],
	[ 'SELECT pg_terminate_backend(pg_backend_pid())', qr/: (?:FATAL|psql|server|terminating)/ ])
{
	my ($query, $told) = @$case;
	like(verify('shop', $query, 'true', '1 s'), qr/^failed verification N was not answered.*$told/s, "not counted: $query");
	is(verdict($shop), 'restorable', '... the backup is what it was');
	is(result('answer, ok, error IS NOT NULL'), '||t', '... the ledger has it');
}
nothing_gained('queries that were not answered');

# All are asked; what counts comes first.
forget_all();
add('shop', 'SELECT pg_sleep(100)', 'true', '1 s');
add('shop', 'SELECT false');
add('shop', 'SELECT count(*) FROM workflows', '29');
add('nowhere', 'SELECT false');
($state, $error, $run) = run_backup_action($node, 'verify_backup', '{}');
like($error, qr/^not restorable: verification \d+ answered false, but true was expected: SELECT false; verification \d+ answered 30, but 29 was expected: SELECT count/, 'two wrong answers');
is(result('ok'), "\nf\nf", '... and one that was not given');

# A part of a database is not asked.
change_manifest($node, 'daily/shop', '"selection": null', '"selection": {"tables": ["workflows"]}');
($state, $error, $run) = run_backup_action($node, 'verify_backup', '{}');
is("$state $error", 'succeeded ', 'a part of a database is verified without questions');
is(sql("SELECT result ->> 'verifications' FROM pgmaint.tasks WHERE run_id = $run") . result('*'), '0', '... and none was asked');
change_manifest($node, 'daily/shop', '"selection": \{[^}]*\}', '"selection": null');

# In a database of this server; odd names; what was left out is not the backup's fault.
my $odd = 'Größe "1"';
sql(q(CREATE DATABASE "Größe ""1"""));
$node->safe_psql($odd, q{
	CREATE TABLE t AS SELECT 1 AS i;
	CREATE FUNCTION native() RETURNS double precision LANGUAGE internal AS 'drandom'});
my $backup = backup_by_hand($node, $odd, 'daily/odd.dump.gz');
forget_all();
add($odd, 'SELECT count(*) FROM t', '1');
foreach my $where ('server', 'database')
{
	($state, $error, $run) = run_backup_action($node, 'verify_backup', qq({"backup_id": $backup, "where": "$where"}));
	is("$state $error", 'succeeded ', "asked in a $where");
	is(result('answer, ok'), '1|t', '... and answered');
}
add($odd, 'SELECT native() > 0');
($state, $error, $run) = run_backup_action($node, 'verify_backup', qq({"backup_id": $backup}));
like("$state $error", qr/^failed verification \d+ was not answered.*: error with SQLSTATE 42883, undefined_function \(pgmaint\.verification_results has the message\): /, 'what was left out cannot answer');
is(verdict($backup), 'restorable', '... which says nothing about the backup');
nothing_gained('both ways');

# Dump and restore keep verifications, and no results.
my $all = 'SELECT * FROM pgmaint.verifications ORDER BY 1';
my $expected = sql($all);
cmp_ok(sql('SELECT count(*) FROM pgmaint.verification_results'), '>', 20, 'there are results');
my $file = $node->basedir . '/ledger.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, 'postgres' ], 'pg_dump');
sql('CREATE DATABASE again TEMPLATE template0');
$node->command_ok([ 'pg_restore', '-e', '-d', 'again', $file ], 'pg_restore');
is($node->safe_psql('again', $all), $expected, 'verifications are restored');
is($node->safe_psql('again', 'SELECT count(*) FROM pgmaint.verification_results'), '0', '... and no results');
is( $node->safe_psql('again', q(SELECT pgmaint.add_verification('again', 'SELECT true') > max(verification_id) FROM pgmaint.verifications)),
	't', '... and the next has a number of its own');

# Results go with the history.
sql(q(UPDATE pgmaint.verification_results SET asked_at = now() - interval '2 years' WHERE result_id < (SELECT max(result_id) FROM pgmaint.verification_results)));
sql(q(SELECT pgmaint.run_action('validate')));
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM pgmaint.verification_results') or die 'old results stay';
pass('old results are forgotten');

done_testing();
