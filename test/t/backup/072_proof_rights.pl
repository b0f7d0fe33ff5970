# The role that restores or verifies a backup evaluates no code of its owners: no
# role gains a right, no code of a dump passes on rows to other databases, and none
# of it changes the result.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";
use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('rights');
# where psql is started
my $evidence = $node->data_dir . '/evidence';
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my ($state, $error, $run);

sub psql_as
{
	my ($role, $database, $script) = @_;
	return $node->safe_psql($database, $script, extra_params => [ '-U', $role ]);
}

# In a private server, and in a database of this one.
sub prove
{
	my ($where, $backup, $as) = @_;
	return run_backup_action($node, 'verify_backup', qq({"where": "$where", "backup_id": $backup}), $as);
}

# What there is to say beside what a database of this server costs.
sub told
{
	my ($number) = @_;
	return $node->safe_psql('postgres',
		"SELECT coalesce(string_agg(severity || ': ' || message, E'\\n'), '') FROM pgmaint.findings WHERE run_id = $number AND message !~ ' was restored into a database of this server, '");
}

sub result
{
	my ($number, $member) = @_;
	return $node->safe_psql('postgres', "SELECT result ->> '$member' FROM pgmaint.tasks WHERE run_id = $number");
}

# what all databases of a server can see
sub nothing_gained
{
	my ($case) = @_;
	is( $node->safe_psql('postgres', "SELECT (SELECT count(*) FROM pg_roles WHERE rolname IN ('mallory', 'maker') AND rolsuper),
			(SELECT count(*) FROM pg_shdescription WHERE description ~ 'told'), (SELECT count(*) FROM pg_db_role_setting)"),
		'0|0|0', "$case: nothing is gained");
	ok(!-e $evidence, '... and no program was started');
	return;
}

$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN; CREATE ROLE bob;
	CREATE ROLE maker LOGIN CREATEDB CREATEROLE IN ROLE pg_execute_server_program, pg_read_server_files, pg_write_server_files;
	GRANT USAGE ON SCHEMA pgmaint TO maker; GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO maker;
	GRANT USAGE ON FOREIGN SERVER pgmaint_local TO maker');

# Constants in index expressions and predicates are evaluated when a query of the
# table is planned, with the rights of the role of the query.  Names may contain any
# character.
$node->safe_psql('postgres', 'CREATE DATABASE attacked');
$node->safe_psql('attacked', 'CREATE SCHEMA mallory AUTHORIZATION mallory');
psql_as('mallory', 'attacked', q{
	CREATE FUNCTION mallory.gain() RETURNS int LANGUAGE plpgsql AS $f$
	DECLARE attempt text;
	BEGIN
		IF pg_catalog.current_database() = 'attacked' THEN RETURN 1; END IF;
		FOREACH attempt IN ARRAY ARRAY[
			$x$SELECT pg_catalog.set_config('role', 'none', false)$x$,
			$x$SELECT pg_catalog.set_config('search_path', 'mallory, pg_catalog', false)$x$,
			'ALTER ROLE mallory SUPERUSER'] LOOP
			BEGIN EXECUTE attempt; EXCEPTION WHEN OTHERS THEN NULL; END;
		END LOOP;
		RETURN 1;
	END $f$;
	CREATE FUNCTION mallory.f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN mallory.gain(); END';
	CREATE FUNCTION mallory.zero(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
	CREATE AGGREGATE mallory.count(*) (SFUNC = mallory.zero, STYPE = bigint, INITCOND = '0');
	CREATE TABLE mallory.pg_class AS SELECT * FROM pg_catalog.pg_class LIMIT 0;
	CREATE TABLE mallory.t (i int);
	INSERT INTO mallory.t SELECT generate_series(1, 40);
	CREATE INDEX ON mallory.t ((mallory.f(1)));
	CREATE INDEX ON mallory.t (i) WHERE mallory.f(1) = 1;
	CREATE STATISTICS mallory.s ON (mallory.f(1)), i FROM mallory.t;
	CREATE TABLE mallory."a ""
\! touch evidence
%I" ("x ""
\! touch evidence" text, gone int, n bigint);
	ALTER TABLE mallory."a ""
\! touch evidence
%I" DROP COLUMN gone;
	INSERT INTO mallory."a ""
\! touch evidence
%I" VALUES (E'\\\\.\n\t', NULL), (NULL, 1);
	CREATE TABLE mallory.words (w text);
	INSERT INTO mallory.words VALUES (NULL), (E'\\\\.'), ('c'), ('');
	CREATE TABLE mallory.without ();
	INSERT INTO mallory.without DEFAULT VALUES;
	CREATE TABLE mallory.generated (g int GENERATED ALWAYS AS (1) STORED);
	INSERT INTO mallory.generated DEFAULT VALUES;
	CREATE SEQUENCE mallory."S "";";
	SELECT pg_catalog.setval('mallory."S "";"', 17);
	CREATE SEQUENCE mallory.fresh;
});
psql_as('mallory', 'attacked', 'CREATE TABLE mallory.v (i int, g int GENERATED ALWAYS AS (1) VIRTUAL); INSERT INTO mallory.v VALUES (1)')
  if $node->pg_version >= 18;
my $rows = $node->pg_version >= 18 ? 49 : 48;
my $attacked = backup_by_hand($node, 'attacked', 'daily/attacked.dump.gz');

($state, $error, $run) = run_backup_action($node, 'restore_backup', qq({"backup_id": $attacked}));
is("$state $error", 'succeeded ', 'a superuser restores tables whose indexes have constant expressions');
is(result($run, 'rows'), $rows, '... and their rows were counted');
nothing_gained('restore');
for my $where ('server', 'database')
{
	($state, $error, $run) = prove($where, $attacked);
	is("$state $error", 'succeeded ', "... and proves their backup, $where");
	is(result($run, 'rows'), $rows, '... by counting the rows');
	nothing_gained('proof');
}

# Roles that are no superusers do the same.
($state, $error, $run) = run_backup_action($node, 'restore_backup', qq({"backup_id": $attacked, "into": "made", "no_owner": true}), 'maker');
is("$state $error", 'succeeded ', 'a role that is no superuser restores');
is(result($run, 'rows'), $rows, '... and counts the rows');
nothing_gained('restore by a role that is no superuser');
for my $where ('server', 'database')
{
	($state, $error, $run) = prove($where, $attacked, 'maker');
	is("$state $error", 'succeeded ', "... and proves, $where");
	is(result($run, 'rows'), $rows, '... by counting, too');
	nothing_gained('proof by a role that is no superuser');
}

# Not even where pgmaint.connection names a superuser.
$node->safe_psql('postgres', 'CREATE DATABASE checked');
$node->safe_psql('checked', q{
	CREATE FUNCTION climb() RETURNS boolean LANGUAGE plpgsql AS $f$
	BEGIN
		IF pg_catalog.current_database() <> 'checked' THEN
			PERFORM pg_catalog.set_config('role', 'none', false);
			BEGIN ALTER ROLE mallory SUPERUSER; EXCEPTION WHEN OTHERS THEN NULL; END;
		END IF;
		RETURN true;
	END $f$;
	CREATE TABLE t (i int CHECK (public.climb()));
	INSERT INTO t VALUES (1);
});
my $checked = backup_by_hand($node, 'checked', 'daily/checked.dump.gz');
$node->append_conf('postgresql.conf', "pgmaint.connection = 'user=$superuser'");
$node->reload;
($state, $error) = run_backup_action($node, 'restore_backup', qq({"backup_id": $checked, "no_owner": true}), 'maker');
is("$state $error", 'succeeded ', 'a role that is no superuser restores as itself');
nothing_gained('restore with a connection of its own');
$node->append_conf('postgresql.conf', "pgmaint.connection = ''");
$node->reload;

# The verdict on what is not sound is not up to the dump.
my $manifest = slurp_file(folder_of($node) . '/daily/attacked.json');
change_manifest($node, 'daily/attacked', '"rows": 40\b', '"rows": 41');
change_manifest($node, 'daily/attacked', '"rows": 2\b', '"rows": 3');
change_manifest($node, 'daily/attacked', '"value": 17', '"value": 18');
for my $case ([ 'verify_backup', '"where": "server", ' ], [ 'verify_backup', '"where": "database", ' ], [ 'restore_backup', '' ])
{
	my ($action, $where) = @$case;

	($state, $error) = run_backup_action($node, $action, qq({$where"backup_id": $attacked}));
	like("$state $error", qr/^failed .*: 3 differences from the manifest: table mallory\."a ""\n\\! touch evidence\n%I" has 2 rows, but 3 were backed up; table mallory\.t has 40 rows, but 41 were backed up; sequence mallory\."S "";" is at 17 /,
		"$action $where: rows that are missing are told");
}
write_object($node, 'daily/attacked.json', $manifest);

# What the dump's code sets, and says, while it is restored: any attempt that is
# not refused makes the restore fail.
$node->safe_psql('postgres', 'CREATE DATABASE telling');
$node->safe_psql('telling', q{
	CREATE SCHEMA mallory;
	CREATE FUNCTION mallory.zero(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
	CREATE AGGREGATE mallory.count(*) (SFUNC = mallory.zero, STYPE = bigint, INITCOND = '0');
	CREATE TABLE mallory.pg_class AS SELECT * FROM pg_catalog.pg_class LIMIT 0;
	CREATE FUNCTION mallory.tell(int) RETURNS boolean LANGUAGE plpgsql AS $f$
	DECLARE attempt text;
	BEGIN
		IF pg_catalog.current_database() = 'telling' THEN RETURN true; END IF;
		FOREACH attempt IN ARRAY ARRAY[
			'COMMENT ON DATABASE %1$I IS ''told''', 'ALTER DATABASE %1$I SET my.secret = ''told''',
			'ALTER DATABASE %1$I SET search_path = mallory, pg_catalog', 'ALTER DATABASE %1$I CONNECTION LIMIT 42',
			'ALTER DATABASE %1$I RENAME TO told', 'ALTER DATABASE %1$I OWNER TO CURRENT_USER',
			'COMMENT ON ROLE %2$I IS ''told''', 'ALTER ROLE ALL IN DATABASE %1$I SET my.secret = ''told'''] LOOP
			BEGIN
				EXECUTE pg_catalog.format(attempt, pg_catalog.current_database(), current_user);
			EXCEPTION WHEN OTHERS THEN
				CONTINUE;
			END;
			RAISE EXCEPTION 'not refused: %', attempt;
		END LOOP;
		FOREACH attempt IN ARRAY ARRAY['search_path = mallory, pg_catalog', 'default_transaction_read_only = on', 'row_security = on',
			'statement_timeout = 1', 'bytea_output = escape', 'IntervalStyle = iso_8601', 'standard_conforming_strings = off'] LOOP
			-- 19 knows no other strings
			CONTINUE WHEN attempt ~ '^standard' AND pg_catalog.current_setting('server_version_num')::int >= 190000;
			EXECUTE pg_catalog.format('ALTER ROLE CURRENT_USER SET ' || attempt);
			EXECUTE pg_catalog.format('ALTER ROLE CURRENT_USER IN DATABASE %I SET ' || attempt, pg_catalog.current_database());
		END LOOP;
		RETURN true;
	END $f$;
	CREATE TABLE mallory.t (i int CHECK (mallory.tell(i)));
	INSERT INTO mallory.t VALUES (1), (2);
});
my $telling = backup_by_hand($node, 'telling', 'daily/telling.dump.gz');
for my $way ([ 'server', undef ], [ 'server', 'maker' ], [ 'database', undef ], [ 'database', 'maker' ])
{
	($state, $error, $run) = prove($way->[0], $telling, $way->[1]);
	is("$state $error", 'succeeded ', 'what would tell others of the dump is refused, and says nothing about it');
	is(result($run, 'rows'), '2', '... and settings of its own change nothing');
	nothing_gained('proof of what tells');
}
change_manifest($node, 'daily/telling', '"rows": 2\b', '"rows": 3');
for my $where ('server', 'database')
{
	($state, $error) = prove($where, $telling);
	like("$state $error", qr/^failed not restorable: 1 difference from the manifest: table mallory\.t has 2 rows, but 3 were backed up/, "... nor what is not sound, $where");
}

# Rights on the schema public, which no role without rights can restore.
$node->safe_psql('postgres', 'CREATE DATABASE public_rights');
$node->safe_psql('public_rights', q{
	CREATE TABLE public.t (i serial PRIMARY KEY);
	INSERT INTO public.t SELECT FROM generate_series(1, 5);
	REVOKE ALL ON SCHEMA public FROM PUBLIC;
	GRANT USAGE ON SCHEMA public TO mallory;
	COMMENT ON SCHEMA public IS 'ours';
	ALTER SCHEMA public OWNER TO bob;
	GRANT CREATE ON SCHEMA public TO bob WITH GRANT OPTION;
	ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO mallory;
});
my $public = backup_by_hand($node, 'public_rights', 'daily/public.dump.gz');
for my $way ([ 'server', undef ], [ 'server', 'maker' ], [ 'database', undef ], [ 'database', 'maker' ])
{
	($state, $error, $run) = prove($way->[0], $public, $way->[1]);
	is("$state $error", 'succeeded ', 'rights on the schema public do not fail a proof');
	is(told($run), '', '... and are not missed');
	is(result($run, 'rows'), '5', '... of what is in it');
}

# Nothing is created in a restored database, where it would fire event triggers.
$node->safe_psql('postgres', 'CREATE DATABASE triggered');
$node->safe_psql('triggered', q{
	CREATE TABLE t AS SELECT generate_series(1, 3) AS i;
	CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $f$
	BEGIN IF pg_catalog.current_database() <> 'triggered' THEN RAISE EXCEPTION 'no changes here'; END IF; END $f$;
	CREATE EVENT TRIGGER no_ddl ON ddl_command_start EXECUTE FUNCTION no_ddl();
});
my $triggered = backup_by_hand($node, 'triggered', 'daily/triggered.dump.gz');
($state, $error, $run) = run_backup_action($node, 'restore_backup', qq({"backup_id": $triggered}));
is("$state $error", 'succeeded ', 'a database whose event trigger refuses DDL is restored');
is(result($run, 'rows'), '3', '... and compared');

# amcheck's own function is called, or none is.
$node->safe_psql('postgres', 'CREATE DATABASE overloaded');
$node->safe_psql('overloaded', q{
	CREATE SCHEMA tools;
	GRANT ALL ON SCHEMA tools TO mallory;
	CREATE EXTENSION amcheck SCHEMA tools;
	CREATE FUNCTION tools.bt_index_check(oid, boolean) RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''overload called''; END';
	CREATE TABLE t AS SELECT generate_series(1, 3) AS i;
	CREATE INDEX ON t (i);
});
my $overloaded = backup_by_hand($node, 'overloaded', 'daily/overloaded.dump.gz');
for my $where ('server', 'database')
{
	($state, $error, $run) = prove($where, $overloaded);
	is("$state $error", 'succeeded ', "a function of the name of one of amcheck is not called, $where");
	is(result($run, 'checked_indexes'), '1', '... but that of amcheck is');
	is(told($run), '', '... and there is nothing to tell');
}
change_manifest($node, 'daily/overloaded', '"name": "amcheck",\s+"schema": "tools",\s+"version": \K"[\d.]+"', '"1.0"');
for my $where ('server', 'database')
{
	($state, $error, $run) = prove($where, $overloaded);
	is("$state $error", 'succeeded ', "where amcheck has no such function, none is called, $where");
	is(result($run, 'checked_indexes'), '', '... no index counts as checked');
	like(told($run), qr/^warning: backup daily\/overloaded\.dump\.gz was verified without checking its indexes: the restored extension amcheck has no C function bt_index_check/,
		'... and that is told');
}

is(databases_left($node), '0|0|0', 'nothing is left');
done_testing();
