# What is in a backup gains nothing from being proven: neither by way of what its
# extensions bring, nor by way of the server that it is proven in.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";
use PgmaintBackups;
use PgmaintTest;
use IO::Socket::UNIX;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Money is written as the server's locale has it.
my $locales = PostgreSQL::Test::Utils::tempdir();
my $german = system("localedef -i de_DE -f UTF-8 '$locales/de_DE.UTF-8' >'$locales/log' 2>&1") == 0;
$ENV{LOCPATH} = $locales if $german;

# What systemd is told goes to the socket that it has given to the server.
my $notified = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => PostgreSQL::Test::Utils::tempdir_short() . '/notify') or die "no socket: $!";
$notified->blocking(0);
$ENV{NOTIFY_SOCKET} = $notified->hostpath;

sub words_to_systemd
{
	my ($all, $word) = ('', '');
	$all .= $word while defined $notified->recv($word, 4096);
	return $all;
}

my $node = start_server('hostile_proofs', $german ? "lc_monetary = 'de_DE.UTF-8'" : '');
my ($state, $error, $run, $backup);
delete $ENV{NOTIFY_SOCKET};
words_to_systemd();

sub prove
{
	my ($options) = @_;
	($state, $error, $run) = run_backup_action($node, 'verify_backup', qq({"backup_id": $backup, $options}));
	return;
}

# An extension's tables belong to a superuser, and so does what the server does for
# their foreign keys and triggers.  The dump has rows of them, no more: code in it
# that could refer to one would be called as their owner.
$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN; CREATE DATABASE attacked');
$node->safe_psql('attacked', q{
	CREATE EXTENSION pgmaint;
	SELECT pgmaint.define_plan('mine', '[{"action": "vacuum"}]');
	SELECT pgmaint.add_verification('attacked', 'SELECT true', 'true');
	CREATE SCHEMA mallory AUTHORIZATION mallory;
	SET ROLE mallory;
	CREATE TABLE mallory.found (what text);
	CREATE TYPE mallory.number AS ENUM ('1');
	CREATE FUNCTION mallory.climb(mallory.number) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $f$
	BEGIN
		IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
			RAISE EXCEPTION 'a superuser calls this' USING ERRCODE = 'P9999';
		END IF;
		RETURN 1;
	END $f$;
	CREATE CAST (mallory.number AS bigint) WITH FUNCTION mallory.climb(mallory.number) AS IMPLICIT;
	CREATE FUNCTION mallory.fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
	-- any success is told by an error, which fails the proof
	CREATE FUNCTION mallory.attack(int) RETURNS boolean LANGUAGE plpgsql AS $f$
	DECLARE attempt text;
	BEGIN
		IF pg_catalog.current_database() = 'attacked' THEN RETURN true; END IF;
		FOREACH attempt IN ARRAY ARRAY[
			'CREATE TABLE mallory.referring (n mallory.number REFERENCES pgmaint.verifications); INSERT INTO mallory.referring VALUES (''1'')',
			'CREATE TRIGGER t AFTER INSERT ON pgmaint.verifications EXECUTE FUNCTION mallory.fired()',
			'DELETE FROM pgmaint.verifications', 'TRUNCATE pgmaint.verifications'] LOOP
			BEGIN
				EXECUTE attempt;
			EXCEPTION WHEN insufficient_privilege THEN
				CONTINUE;
			END;
			RAISE EXCEPTION 'not refused: %', attempt;
		END LOOP;
		RETURN true;
	END $f$;
	CREATE TABLE mallory.t (i int CHECK (mallory.attack(i)));
	INSERT INTO mallory.t VALUES (1);
});
$backup = backup_by_hand($node, 'attacked', 'daily/attacked.dump.gz');
for my $where ('server', 'database')
{
	prove(qq("where": "$where"));
	is("$state $error", 'succeeded ', "code of a dump has no more than the rows of an extension's tables, $where");
}
# A role that may rename the folder of the server could replace it.
my $open = PostgreSQL::Test::Utils::tempdir_short();
chmod 0777, $open or die "$open: $!";
$node->append_conf('postgresql.conf', "pgmaint.proof_directory = '$open'");
$node->reload;
prove('"amcheck": "off"');
is("$state $error", qq(failed folder "$open" is not safe for a private server: every user of the operating system may rename files in it; )
	  . 'HINT: Execute chmod o-w on the folder, or set pgmaint.proof_directory to another folder.',
	'no server is made in a folder of everybody');
chmod 01777, $open or die "$open: $!";
prove('"amcheck": "off"');
is("$state $error", 'succeeded ', '... but in one where everybody has only what is their own');

is(words_to_systemd(), '', 'systemd hears nothing of another server');

SKIP:
{
	skip 'no German locale', 5 if !$german;
	$node->safe_psql('postgres', 'CREATE DATABASE rich');
	$node->safe_psql('rich', "CREATE TABLE t (m money); INSERT INTO t VALUES (1234.56), (-7)");
	$backup = backup_by_hand($node, 'rich', 'daily/rich.dump.gz');
	for my $where ('server', 'database')
	{
		prove(qq("where": "$where"));
		is("$state $error", 'succeeded ', "money is read as it was written, $where");
	}
	# a setting of the database, in a server that has another
	$node->append_conf('postgresql.conf', "lc_monetary = 'C'");
	$node->reload;
	$node->safe_psql('rich', "ALTER DATABASE rich SET lc_monetary = 'de_DE.UTF-8'");
	$backup = backup_by_hand($node, 'rich', 'daily/rich_setting.dump.gz');
	for my $where ('server', 'database')
	{
		prove(qq("where": "$where"));
		is("$state $error", 'succeeded ', "... by a setting of its database, $where");
	}
	($state, $error) = run_backup_action($node, 'restore_backup', qq({"backup_id": $backup, "into": "rich_again"}));
	is("$state $error " . $node->safe_psql('rich_again', 'SELECT sum(m) FROM t'), 'succeeded  1.227,56 €', '... and restored as such');
}

is(databases_left($node), '0|0|0', 'nothing is left');
done_testing();
