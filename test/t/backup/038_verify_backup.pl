# Backups are proven by restoring them: what is sound is found so, what is
# damaged is said to be, nothing in a dump gets any right, and whatever ends
# the work leaves nothing behind.  They are restored into a server of their own,
# or into a database of this one, as the option "where" says; what ends the work in
# the former is in 084_proof_servers.pl.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";
use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('verify', 'max_prepared_transactions = 2');
my $postgres = $node->safe_psql('postgres', 'SELECT current_user');
my $hba = $node->data_dir . '/pg_hba.conf';

sub set_hba
{
	my ($method) = @_;
	unlink $hba;
	append_to_file($hba, "local all $postgres trust\nlocal all plain trust\nlocal all maker trust\nlocal all prover trust\nlocal all all $method\n");
	$node->reload;
	return;
}

sub told
{
	my ($run, $severity) = @_;
	return $node->safe_psql('postgres',
		"SELECT string_agg(message, E'\\n') FROM pgmaint.findings WHERE run_id = $run AND severity = '$severity'");
}

# Options of the action with the place where it restores to.
sub at
{
	my ($where, $options) = @_;
	return qq({"where": "$where"}) if ($options || '{}') eq '{}';
	return $options =~ s/^\{/{"where": "$where", /r;
}

sub verdict
{
	my ($backup) = @_;
	return $node->safe_psql('postgres',
		"SELECT verification, verified_at IS NOT NULL, restore_duration > interval '0' FROM pgmaint.backups WHERE backup_id = $backup");
}

# the scratch role has nothing but its password
set_hba('scram-sha-256');
my ($state, $error, $run);

($state, $error, $run) = run_backup_action($node, 'verify_backup', '{}');
is($state, 'none', 'without a backup there is no task');
like(told($run, 'warning'), qr/no backup to verify/, '... but a finding');

# Names that must be quoted, all kinds of objects, an extension with rows of its
# own, and what takes a superuser.
my $name = 'Größe "1"';
$node->safe_psql('postgres', 'CREATE ROLE bob; CREATE DATABASE "Größe ""1"""');
my $contents = q{
	CREATE TABLE t (id int PRIMARY KEY, b text);
	INSERT INTO t SELECT g, repeat('x', g % 90) FROM generate_series(1, 20000) g;
	CREATE SCHEMA "S p";
	CREATE TABLE "S p"."Tä""b	c" (id serial PRIMARY KEY, v int CHECK (v > 0), t int REFERENCES t);
	INSERT INTO "S p"."Tä""b	c" (v) VALUES (1), (2);
	CREATE INDEX "Ind éx" ON "S p"."Tä""b	c" (v);
	CREATE VIEW v AS SELECT * FROM t;
	CREATE TABLE p (id int, d date) PARTITION BY RANGE (d);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
	INSERT INTO p VALUES (1, '2020-02-02');
	CREATE INDEX ON p (id);
	CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
	CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM t;
	SELECT lo_from_bytea(0, 'abc');
	CREATE TABLE secret (i int);
	ALTER TABLE secret OWNER TO bob;
	ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
	ALTER TABLE secret FORCE ROW LEVEL SECURITY;
	CREATE POLICY p ON secret TO bob USING (i > 1);
	INSERT INTO secret VALUES (1), (2);
	CREATE EXTENSION pgmaint;
	SELECT pgmaint.define_plan('mine', '[{"action": "vacuum"}]');
	CREATE FUNCTION cf() RETURNS double precision LANGUAGE internal AS 'drandom';
	CREATE VIEW of_cf AS SELECT cf();
	CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
	CREATE EVENT TRIGGER et ON ddl_command_start EXECUTE FUNCTION et();
	CREATE PUBLICATION pub FOR ALL TABLES;
	CREATE TYPE mood AS ENUM ('sad', 'ok');
	CREATE FUNCTION mood(int) RETURNS mood LANGUAGE sql AS $$ SELECT 'ok'::public.mood $$;
	CREATE CAST (int AS mood) WITH FUNCTION mood(int);
	CREATE FUNCTION as_address(int) RETURNS macaddr LANGUAGE sql AS $$ SELECT '08:00:2b:01:02:03'::macaddr $$;
	CREATE CAST (int AS macaddr) WITH FUNCTION as_address(int);
	CREATE FUNCTION leakproof(int) RETURNS int LANGUAGE sql LEAKPROOF AS $$ SELECT 1 $$;
	CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int);
	CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
	CREATE EXTENSION file_fdw;
	CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
	CREATE FOREIGN TABLE hosts (line text) SERVER files OPTIONS (filename '/etc/hosts');
	CREATE VIEW of_hosts AS SELECT * FROM hosts;
	CREATE USER MAPPING FOR PUBLIC SERVER files;
};
$node->safe_psql($name, $contents);
my $good = backup_by_hand($node, $name, 'daily/good.dump.gz');
($state, $error, $run) = run_backup_action($node, 'verify_backup', '{}');
is("$state $error", 'succeeded ', 'a sound backup is verified');
is(verdict($good), 'restorable|t|t', '... and the ledger says so');
is( $node->safe_psql('postgres', "SELECT result ->> 'rows', (result ->> 'checked_indexes')::int > 3 FROM pgmaint.tasks WHERE run_id = $run"),
	'20005|t', '... its rows were counted, its indexes checked');
like($node->safe_psql('postgres', "SELECT gain FROM pgmaint.task_results WHERE run_id = $run"),
	qr/^restored in [\d.]+ s \(private server, fsync off, [^)]*\), compared in [\d.]+ s, indexes checked in [\d.]+ s: 20,005 rows in \d+ tables, \d+ indexes$/, '... which is said in words');
like(told($run, 'info'), qr/2 FUNCTION \(public\..*2 VIEW \(public\.of_.*EVENT TRIGGER/s, '... what was left out is told');
is(told($run, 'warning'), '', '... and it cost this server nothing worth a warning');
is(databases_left($node), '0|0|0', '... and nothing is left');
like(slurp_file(folder_of($node) . '/daily/good.verified.json'), qr/"verification": "restorable"/, '... but a word beside it');
unlike(slurp_file($node->logfile), qr/PGPASSWORD|PASSWORD '(?!SCRAM)/, 'no password is in a statement');
unlike(slurp_file($node->logfile), qr/ leak: /, '... and nothing is left open');

# A second time, with what may be given.
($state, $error) = run_backup_action($node, 'verify_backup',
	qq({"backup_id": $good, "amcheck": "off", "settings": {"work_mem": "8 MB"}}));
is("$state $error", 'succeeded ', 'again, with settings and without amcheck');

# In a database of this server.
($state, $error, $run) = run_backup_action($node, 'verify_backup', at('database'));
is("$state $error", 'succeeded ', 'a sound backup is verified in this server');
is(verdict($good), 'restorable|t|t', '... and the ledger says so');
is( $node->safe_psql('postgres', "SELECT result ->> 'settings', result ->> 'server_seconds', result ->> 'rows', (result ->> 'checked_indexes')::int > 3
		FROM pgmaint.tasks WHERE run_id = $run"),
	'live server: fsync off||20005|t', '... its rows were counted, its indexes checked');
like(told($run, 'info'), qr/2 FUNCTION \(public\..*2 VIEW \(public\.of_.*EVENT TRIGGER/s, '... what was left out is told');
like(told($run, 'warning'), qr/^backup daily\/good\.dump\.gz was restored into a database of this server, used \d+ .?B of its disk, wrote as much WAL, .* to use a private server, remove the option "where"$/,
	'... and what that cost');
is(databases_left($node), '0|0|0', '... and nothing is left');
($state, $error) = run_backup_action($node, 'verify_backup',
	at('database', qq({"backup_id": $good, "amcheck": "off", "settings": {"work_mem": "8 MB"}})));
is("$state $error", 'succeeded ', 'again, with settings and without amcheck');
($state, $error) = $node->psql('postgres', q(SELECT pgmaint.run_action('verify_backup', '{"where": "elsewhere"}')));
isnt($state, 0, 'there is no other place');
unlike(slurp_file($node->logfile), qr/PGPASSWORD|PASSWORD '(?!SCRAM)/, 'no password is in a statement');
unlike(slurp_file($node->logfile), qr/ leak: /, '... and nothing is left open');

# Damage.
my $object = slurp_file(folder_of($node) . '/daily/good.dump.gz');
for my $place (20, int(length($object) / 2), length($object) - 3)
{
	my $damaged = $object;

	substr($damaged, $place, 1) = chr(ord(substr($damaged, $place, 1)) ^ 0x40);
	write_object($node, 'daily/good.dump.gz', $damaged);
	($state, $error, $run) = run_backup_action($node, 'verify_backup', '{}');
	like("$state $error", qr/^failed not restorable: the object is damaged: its SHA-256 is \w{64}, the manifest says/, "a flipped byte at $place is found");
	like(told($run, 'critical'), qr/is not restorable: the object is damaged/, '... and is critical');
}
is(verdict($good), 'not restorable|t|t', 'when it was last proven stays known');
write_object($node, 'daily/good.dump.gz', substr($object, 0, length($object) - 100));
($state, $error) = run_backup_action($node, 'verify_backup', '{}');
like("$state $error", qr/^failed not restorable: the object has \d+ bytes, but \d+ were written/, 'a truncated object is found');
unlink folder_of($node) . '/daily/good.dump.gz';
($state, $error) = run_backup_action($node, 'verify_backup', '{}');
like("$state $error", qr/^failed not restorable: object "[^"]+" no longer exists on storage /, 'so is one that is gone');
write_object($node, 'daily/good.dump.gz', $object);

# A dump that is whole, but is not what the manifest says.
my $manifest = slurp_file(folder_of($node) . '/daily/good.json');
change_manifest($node, 'daily/good', '"rows": 20000', '"rows": 20001');
change_manifest($node, 'daily/good', '"Ind éx"', '"Ind èx"');
for my $where ('server', 'database')
{
	($state, $error) = run_backup_action($node, 'verify_backup', at($where));
	like($error, qr/^not restorable: 2 differences from the manifest: table public.t has 20000 rows, but 20001 were backed up; index "S p"."Ind èx" is missing$/,
		"$where: differences are told by name");
}
write_object($node, 'daily/good.json', $manifest);

# What says nothing about the backup.
($state, $error) = run_backup_action($node, 'verify_backup', '{}');
is($state, 'succeeded', 'it is sound again');
sub no_verdict
{
	my ($case) = @_;
	is(verdict($good), 'restorable|t|t', "$case says nothing about the backup");
	is(databases_left($node), '0|0|0', '... and nothing is left');
	return;
}
change_manifest($node, 'daily/good', '"server_version_num": \d+', '"server_version_num": 990001');
($state, $error) = run_backup_action($node, 'verify_backup', '{}');
like("$state $error", qr/^failed the backup was made from PostgreSQL .* newer than this server/, 'a newer server');
no_verdict('a newer server');
write_object($node, 'daily/good.json', $manifest);
change_manifest($node, 'daily/good', '"name": "pgmaint"', '"name": "no such"');
($state, $error) = run_backup_action($node, 'verify_backup', '{}');
like("$state $error", qr/^failed the backup needs extensions that are not installed on this server: no such/, 'a missing extension');
no_verdict('a missing extension');
write_object($node, 'daily/good.json', $manifest);
change_manifest($node, 'daily/good', '"extensions": \[', '"extensions": [{"name": "pg_cron", "version": "1.4", "schema": "pg_catalog"},');
($state, $error, $run) = run_backup_action($node, 'verify_backup', at('database'));
like(told($run, 'info'), qr/without extension pg_cron: only one database of a server can have the extension$/m, 'what can only be elsewhere is left out');
unlink folder_of($node) . '/daily/good.json';
($state, $error) = run_backup_action($node, 'verify_backup', '{}');
like("$state $error", qr/^failed object "daily\/good.dump.gz" on storage "pgmaint_local" has no manifest "daily\/good.json"/, 'a missing manifest');
no_verdict('a missing manifest');
write_object($node, 'daily/good.json', $manifest);
change_manifest($node, 'daily/good', '"sha256": "\w+"', '"sha256": "ab"');
($state, $error) = run_backup_action($node, 'verify_backup', '{}');
like("$state $error", qr/^failed manifest of "daily\/good.dump.gz" does not match backup \d+ in the ledger/, 'a manifest of something else');
no_verdict('a manifest of something else');
write_object($node, 'daily/good.json', $manifest);
($state, $error) = run_backup_action($node, 'verify_backup', at('database', '{"min_free": "1000000 TB"}'));
like("$state $error", qr/^skipped not enough disk space: .* needed in .* and .* to be kept free there, but only .* free/, 'too little room');
no_verdict('too little room');
($state, $error) = run_backup_action($node, 'verify_backup', '{"min_free": "1000000 TB"}');
like("$state $error", qr/^skipped not enough disk space: verification needs .* in "\Q@{[$node->host]}\E", .* must stay free there, and .* are free; to use another disk, set pgmaint\.proof_directory$/,
	'too little room for a server');
no_verdict('too little room for a server');
set_hba('reject');
($state, $error) = run_backup_action($node, 'verify_backup', '{}');
is("$state $error", 'succeeded ', 'pg_hba.conf is of no concern to a server of its own');
($state, $error) = run_backup_action($node, 'verify_backup', at('database'));
like("$state $error", qr/^failed could not log in to database "pgmaint_scratch_\w+" as role/, 'pg_hba.conf rejects all connections');
no_verdict('a login that is refused');
set_hba('scram-sha-256');

# Rights.
$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN; GRANT USAGE ON SCHEMA pgmaint TO plain;
	GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO plain');
($state, $error) = run_backup_action($node, 'verify_backup', '{}', 'plain');
like("$state $error", qr/^failed permission denied to verify a backup; Role "plain" lacks: pg_execute_server_program\.$/,
	'a role without rights is told which it lacks');
($state, $error) = run_backup_action($node, 'verify_backup', at('database'), 'plain');
like("$state $error", qr/^failed permission denied to verify a backup; Role "plain" lacks: pg_execute_server_program, CREATEDB, CREATEROLE\.$/,
	'... and which it lacks for a database of this server');
$node->safe_psql('postgres', 'CREATE ROLE prover LOGIN IN ROLE pg_execute_server_program, pg_read_server_files, pg_write_server_files, plain;
	CREATE ROLE maker LOGIN CREATEDB CREATEROLE IN ROLE prover; GRANT USAGE ON FOREIGN SERVER pgmaint_local TO prover');
($state, $error, $run) = run_backup_action($node, 'verify_backup', '{}', 'prover');
is("$state $error", 'succeeded ', 'a role that may create nothing can verify');
unlike(told($run, 'info'), qr/without extension/, '... with what takes a superuser');
is( $node->safe_psql('postgres', "SELECT result ->> 'rows', (result ->> 'checked_indexes')::int > 3 FROM pgmaint.tasks WHERE run_id = $run"),
	'20005|t', '... and with amcheck');
is(databases_left($node), '0|0|0', '... and leaves nothing');
($state, $error, $run) = run_backup_action($node, 'verify_backup', at('database'), 'maker');
is("$state $error", 'succeeded ', 'in a database of this server, a role that is no superuser can verify');
like(told($run, 'info'), qr/without extension pgmaint: only a superuser may create the extension/, '... without what takes one');
is(databases_left($node), '0|0|0', '... and leaves nothing');

# A hostile dump: each of these pieces of code would run with the rights of the role
# that restores or compares.
$node->safe_psql('postgres', 'CREATE DATABASE hostile');
$node->safe_psql('hostile', q{
	CREATE TABLE done (what text);
	CREATE FUNCTION evil(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$
	DECLARE attempt text;
	BEGIN
		IF pg_catalog.current_database() !~ '^pgmaint_' THEN RETURN $1; END IF;
		FOREACH attempt IN ARRAY ARRAY['RESET ROLE', 'RESET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION ' || 'SUPER', 'SET ROLE SUPER'] LOOP
			BEGIN EXECUTE replace(attempt, 'SUPER', pg_catalog.quote_ident((SELECT rolname FROM pg_catalog.pg_roles WHERE oid = 10))); EXCEPTION WHEN OTHERS THEN NULL; END;
			BEGIN
				EXECUTE $x$COPY (SELECT 1) TO PROGRAM 'touch EVIDENCE'$x$;
			EXCEPTION WHEN OTHERS THEN NULL; END;
			BEGIN EXECUTE 'CREATE ROLE evil_role SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
			BEGIN EXECUTE 'CREATE DATABASE evil_database'; EXCEPTION WHEN OTHERS THEN NULL; END;
		END LOOP;
		RETURN $1;
	END $f$;
	CREATE TABLE e (i int CHECK (public.evil(i) = i), j int DEFAULT public.evil(1));
	CREATE INDEX ei ON e (public.evil(i));
	CREATE FUNCTION evil_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.evil(1); RETURN NEW; END';
	CREATE TRIGGER et BEFORE INSERT ON e FOR EACH ROW EXECUTE FUNCTION evil_trigger();
	CREATE DOMAIN ed AS int CHECK (public.evil(VALUE) = VALUE);
	CREATE TABLE g (d ed, k int GENERATED ALWAYS AS (public.evil(2)) STORED);
	INSERT INTO e VALUES (1), (2);
	INSERT INTO g VALUES (3);
	CREATE MATERIALIZED VIEW em AS SELECT public.evil(5);
} =~ s/EVIDENCE/$PostgreSQL::Test::Utils::tmp_check\/evidence/r);
backup_by_hand($node, 'hostile', 'daily/hostile.dump.gz');
for my $where ('server', 'database')
{
	($state, $error) = run_backup_action($node, 'verify_backup', at($where, '{"databases": "hostile"}'));
	is("$state $error", 'succeeded ', "$where: a hostile dump is restored");
	ok(!-e "$PostgreSQL::Test::Utils::tmp_check/evidence", '... and started no program');
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_roles WHERE rolname = 'evil_role'"), '0', '... made no role');
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname = 'evil_database'"), '0', '... made no database');
	is(databases_left($node), '0|0|0', '... and nothing is left');
}

# A dump that was written by hand says what pg_dump never would.
$node->safe_psql('postgres', 'CREATE DATABASE forged');
my $comment = "COMMENT ON TABLE public.c IS '" . ('x' x 300) . "';";
$node->safe_psql('forged', "CREATE TABLE c (i int); $comment");
for my $forged (
	'BEGIN; CREATE TABLE public.prepared (i int); PREPARE TRANSACTION \'forged\';',
	"RESET SESSION AUTHORIZATION; RESET ROLE; CREATE ROLE evil_role SUPERUSER;",
	"SET SESSION AUTHORIZATION $postgres;",
	"COPY (SELECT 1) TO PROGRAM 'touch $PostgreSQL::Test::Utils::tmp_check/evidence';",
	"ALTER ROLE CURRENT_USER SUPERUSER;",
	"DO \$\$ BEGIN RAISE EXCEPTION 'server closed the connection unexpectedly'; END \$\$;",
	"\\! touch $PostgreSQL::Test::Utils::tmp_check/evidence",
	"DO \$\$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO CURRENT_USER', current_database()); END \$\$;",
	"DO \$\$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = evil', current_database()); END \$\$;")
{
	backup_by_hand($node, 'forged', 'daily/forged.dump.gz', unknown => 1, instead => [ $comment, $forged ]);
	for my $where ('server', 'database')
	{
		my $prepared = $where eq 'database' && $forged =~ /PREPARE/;

		($state, $error) = run_backup_action($node, 'verify_backup', at($where, '{"storage": "pgmaint_local", "key": "daily/forged.dump.gz"}'));
		like("$state $error", $prepared ? qr/^succeeded / : qr/^failed not restorable: pg_restore: /, "$where: forged: $forged");
		is(databases_left($node), '0|0|0', '... and nothing is left');
	}
}
ok(!-e "$PostgreSQL::Test::Utils::tmp_check/evidence", 'no program was started');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_roles WHERE rolname = 'evil_role'"), '0', '... no role was made');

# What a dump's code says is no verdict: neither that the server is to blame, nor
# which entry failed.
$node->safe_psql('postgres', 'CREATE DATABASE liar');
$node->safe_psql('liar', q{
	CREATE FUNCTION lie(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $f$
	BEGIN
		IF pg_catalog.current_database() !~ '^pgmaint_' THEN RETURN true; END IF;
		RAISE NOTICE E'invented\npg_restore: from TOC entry 1; ';
		RAISE EXCEPTION 'could not extend file: No space left on device';
	END $f$;
	CREATE TABLE l (i int CHECK (lie(i)));
	INSERT INTO l VALUES (1);
});
backup_by_hand($node, 'liar', 'daily/liar.dump.gz', unknown => 1);
for my $where ('server', 'database')
{
	($state, $error) = run_backup_action($node, 'verify_backup', at($where, '{"storage": "pgmaint_local", "key": "daily/liar.dump.gz"}'));
	like("$state $error", qr/^failed not restorable: pg_restore: TABLE DATA public\.l: error with SQLSTATE P0001, raise_exception \(the server log has the message\)$/, "$where: rows that are refused with an invented error are not restorable");
	is(databases_left($node), '0|0|0', '... and nothing is left');
}

# What is there on sound databases, and may not be held against their backups.
for my $sound (
	[ 'settings', 'functions with settings of a superuser', 'info', qr/3 FUNCTION/, q{
		CREATE FUNCTION f() RETURNS int LANGUAGE sql SET log_min_duration_statement = '0' SET work_mem = '1MB' AS 'SELECT 1';
		CREATE FUNCTION g() RETURNS int LANGUAGE sql SET role = 'bob' AS 'SELECT 1';
		CREATE FUNCTION h() RETURNS int LANGUAGE sql SET my.own = '1' AS 'SELECT 1';
		CREATE FUNCTION i() RETURNS int LANGUAGE sql SET work_mem = '1MB' SET "DateStyle" = 'ISO, DMY' SET search_path = public, "$user" AS 'SELECT 1';
	} ],
	[ 'types', 'base types, and one that was never defined', 'warning', qr/1 SHELL TYPE .*2 FUNCTION .*1 TABLE \(public\.m\)/, q{
		CREATE TYPE word;
		CREATE FUNCTION word_in(cstring) RETURNS word LANGUAGE internal IMMUTABLE STRICT AS 'textin';
		CREATE FUNCTION word_out(word) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
		CREATE TYPE word (INPUT = word_in, OUTPUT = word_out);
		CREATE TYPE undefined;
		CREATE TABLE m (t word);
		INSERT INTO m VALUES ('a');
	} ],
	[ 'ranges', 'ranges, which have functions of their own', undef, undef, q{
		CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi);
		CREATE TABLE r (s span);
		INSERT INTO r VALUES ('[1,2)');
		CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
	} ],
	[ 'policies', 'a materialized view of a table with forced row security', undef, undef, q{
		CREATE TABLE s (i int);
		INSERT INTO s VALUES (1), (2);
		ALTER TABLE s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
		CREATE POLICY p ON s USING (i > 1);
		CREATE MATERIALIZED VIEW m AS SELECT * FROM s;
	} ])
{
	my ($database, $what, $severity, $left_out, $script) = @$sound;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, $script);
	($state, $error) = run_backup_action($node, 'backup', qq({"databases": "$database", "globals": false, "retries": 0}));
	is("$state $error", 'succeeded ', "$what: backed up");
	for my $where ('server', 'database')
	{
		($state, $error, $run) = run_backup_action($node, 'verify_backup', at($where, qq({"databases": "$database"})));
		is("$state $error", 'succeeded ', "... and restorable, $where");
		my $findings = $node->safe_psql('postgres', "SELECT coalesce(string_agg(severity || ' ' || message, E'\\n'), '') FROM pgmaint.findings
			WHERE run_id = $run AND message !~ ' was restored into a database of this server, '");
		like($findings, $left_out ? qr/^$severity [^\n]*$left_out[^\n]*$/ : qr/^$/, $left_out ? '... but for what is told' : '... all of it');
	}
}

# What was set for all sessions says nothing about a backup.
$node->safe_psql('postgres', 'ALTER ROLE ALL SET array_nulls = off; ALTER ROLE ALL SET default_transaction_read_only = on');
$node->safe_psql('ranges', q{SET default_transaction_read_only = off; CREATE TABLE a AS SELECT ARRAY[1, NULL] AS a});
my $run_of_writer = sub {
	my ($action, $options) = @_;
	my $begun = $node->safe_psql('postgres', "SET default_transaction_read_only = off; SELECT pgmaint.run_action('$action', '$options')");

	return wait_for_end($node, $begun);
};
is($run_of_writer->('backup', '{"databases": "ranges", "globals": false, "retries": 0}'), 'succeeded', 'a backup by sessions that may only read');
is($run_of_writer->('verify_backup', at($_, '{"databases": "ranges"}')), 'succeeded', "... is verified, $_") for ('server', 'database');
$node->safe_psql('postgres', 'SET default_transaction_read_only = off; ALTER ROLE ALL RESET ALL');

# Other encodings, other collations.
$node->safe_psql('postgres', "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
$node->safe_psql('latin', 'CREATE TABLE "é" AS SELECT 1 AS "ü"');
backup_by_hand($node, 'latin', 'daily/latin.dump.gz');
for my $where ('server', 'database')
{
	($state, $error) = run_backup_action($node, 'verify_backup', at($where, '{"databases": "latin"}'));
	is("$state $error", 'succeeded ', "$where: a database in LATIN1");
}
SKIP:
{
	skip 'this server has no databases with ICU', 1
	  if $node->psql('postgres', "CREATE DATABASE icu TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'") != 0;
	$node->safe_psql('icu', 'CREATE TABLE i (t text PRIMARY KEY)');
	backup_by_hand($node, 'icu', 'daily/icu.dump.gz');
	($state, $error) = run_backup_action($node, 'verify_backup', at('database', '{"databases": "icu"}'));
	is("$state $error", 'succeeded ', 'a database with ICU');
}

# Each storage's own are proven; roles and tablespaces are read, and not restored.
my $second = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', "CREATE DATABASE twice; CREATE SERVER second FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$second')");
for my $storage ('pgmaint_local', 'second')
{
	$run = $node->safe_psql('postgres', qq(SELECT pgmaint.run_action('backup', '{"databases": "twice", "storage": "$storage", "retries": 0}')));
	is(wait_for_end($node, $run), 'succeeded', "a backup on $storage");
}
$run = $node->safe_psql('postgres', q(SELECT pgmaint.run_action('verify_backup', '{"databases": "twice"}')));
is(wait_for_end($node, $run), 'succeeded', 'both are verified');
is($node->safe_psql('postgres', "SELECT string_agg(concat_ws(' ', storage, verification), ', ' ORDER BY storage) FROM pgmaint.backups WHERE database = 'twice'"),
	'pgmaint_local restorable, second restorable', '... and restorable');
my $globals = $node->safe_psql('postgres', "SELECT backup_id FROM pgmaint.backups WHERE kind = 'globals' AND storage = 'second'");
($state, $error) = run_backup_action($node, 'verify_backup', qq({"backup_id": $globals}));
is("$state $error", 'succeeded ', 'roles and tablespaces');
is($node->safe_psql('postgres', "SELECT concat_ws(' ', verification, verified_at IS NOT NULL, restore_duration) FROM pgmaint.backups WHERE backup_id = $globals"),
	'intact t', '... are intact, which is less than restorable');
is($node->safe_psql('postgres', "SELECT verification FROM pgmaint.list_backups('second') WHERE kind = 'globals'"), 'intact', '... as the storage itself says');

# Interrupted in a database of this server: an index whose function takes its time shows that work is on.
$node->safe_psql('postgres', 'CREATE DATABASE slow');
$node->safe_psql('slow', q{
	CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$
	BEGIN IF pg_catalog.current_database() ~ '^pgmaint_' THEN PERFORM pg_catalog.pg_sleep(600); END IF; RETURN $1; END $f$;
	CREATE TABLE s (i int);
	INSERT INTO s VALUES (1);
	CREATE INDEX ON s (slow(i));
});
my $slow = backup_by_hand($node, 'slow', 'daily/slow.dump.gz');
sub begin_slow
{
	my $begun = $node->safe_psql('postgres', q(SELECT pgmaint.run_action('verify_backup', '{"where": "database", "databases": "slow"}')));
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname ~ '^pgmaint_' AND wait_event = 'PgSleep'")
	  or die 'nothing is being restored';
	return $begun;
}
sub none_left_after_next
{
	my ($case) = @_;
	wait_for_server($node);
	($state, $error) = run_backup_action($node, 'analyze', '{"tables": "pg_catalog.pg_class"}');
	is(databases_left($node), '0|0|0', "$case: nothing is left after the next run");
	is($node->safe_psql('postgres', "SELECT verification FROM pgmaint.backups WHERE backup_id = $slow"), 'never verified', '... and nothing is said of the backup');
	return;
}
$run = begin_slow();
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pgmaint task worker' AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)"),
	'0', 'meanwhile no old row is kept');
$node->safe_psql('postgres', "SELECT pgmaint.cancel($run)");
is(wait_for_end($node, $run), 'cancelled', 'it can be cancelled');
is(databases_left($node), '0|0|0', '... and nothing is left');

$run = begin_slow();
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ~ '^pgmaint_'");
is(wait_for_end($node, $run), 'failed', 'a session that is ended fails it');
none_left_after_next('a session that is ended');

$run = begin_slow();
my $worker = $node->safe_psql('postgres', "SELECT pid FROM pgmaint.progress WHERE run_id = $run");
my ($restore) = grep { slurp_file("/proc/$_/comm") =~ /^pg_restore/ } split ' ', slurp_file("/proc/$worker/task/$worker/children");
ok($restore, 'pg_restore is the child of the worker');
kill 'KILL', $restore;
is(wait_for_end($node, $run), 'failed', 'pg_restore killed');
like($node->safe_psql('postgres', "SELECT error FROM pgmaint.tasks WHERE run_id = $run"), qr/pg_restore was terminated by signal 9/, '... is said');
none_left_after_next('pg_restore killed');

begin_slow();
my $offset = -s $node->logfile;
$worker = $node->safe_psql('postgres', 'SELECT pid FROM pgmaint.progress');
kill 'KILL', $worker;
wait_for_restart($node, $offset);
none_left_after_next('the worker killed');

begin_slow();
$node->stop('immediate');
$node->start;
none_left_after_next('a crash of the server');

no_processes_left($node, 'no process is left');

# A full disk, as far as a user without rights can make one: no file of the
# server's may grow beyond 24 MB.  The server says so in German, where it can.
$node->safe_psql('postgres', 'CREATE DATABASE large');
$node->safe_psql('large', q{CREATE TABLE l AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 30000)});
my $large = backup_by_hand($node, 'large', 'daily/large.dump.gz');
$node->safe_psql('postgres', 'DROP DATABASE large; CHECKPOINT');
$node->psql('postgres', q(ALTER SYSTEM SET lc_messages = 'C.UTF-8'));
$node->stop;
system_or_bail('bash', '-c', 'ulimit -f 24576; LANGUAGE=de exec pg_ctl -w -D "$0" -l "$1" start', $node->data_dir, $node->logfile);
$node->_update_pid(1);
for my $where ('server', 'database')
{
	($state, $error) = run_backup_action($node, 'verify_backup', at($where, '{"databases": "large"}'));
	like("$state $error", qr/^failed pg_restore exited with code 1: pg_restore: TABLE DATA public\.l: error with SQLSTATE \w{5}.* \(the server log has the message\); HINT: .*This failure does not count/s, "$where: a full disk fails the task");
	is($node->safe_psql('postgres', "SELECT verification FROM pgmaint.backups WHERE backup_id = $large"), 'never verified', '... but not the backup');
	is(databases_left($node), '0|0|0', '... and nothing is left');
}
done_testing();
