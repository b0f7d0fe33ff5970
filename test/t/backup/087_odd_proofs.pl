# A good backup is verified although its code depends on settings of the server or of
# its database; and if the folder of the private server, or the extension, is removed,
# nothing is left behind and no result is recorded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";
use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('odd', "app.tenant = 'it''s \"x\" \\\\ y'", "timezone = 'Asia/Tokyo'", "datestyle = 'iso, dmy'",
	"plpgsql.variable_conflict = 'use_column'", 'track_commit_timestamp = on', "pgmaint.connection = 'application_name=secret'");
my $proof = q(pg_catalog.current_database() ~ '^pgmaint_');
my %script = (
	server_setting => q{CREATE FUNCTION f(int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$BEGIN
			IF current_setting('app.tenant') <> 'it''s "x" \\ y' THEN RAISE 'no tenant'; END IF; RETURN $1; END$$;
		CREATE TABLE t AS SELECT 1 AS i; CREATE INDEX ON t (f(i))},
	database_setting => q{ALTER DATABASE database_setting SET app.own = 'a b\\c'; ALTER DATABASE database_setting SET TimeZone = 'Pacific/Auckland';
		\c
		CREATE FUNCTION f(int) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT current_setting('app.own') || $1$$;
		CREATE TABLE t AS SELECT 1 AS i; CREATE INDEX ON t (f(i));
		CREATE TABLE u (at timestamptz CHECK (at::date >= '2026-01-01')); INSERT INTO u VALUES ('2026-01-01 00:30')},
	time_zone => q{CREATE TABLE t (at timestamptz CHECK (at::date >= '2026-01-01')); INSERT INTO t VALUES ('2026-01-01 00:30')},
	date_style => q{CREATE FUNCTION f(text) RETURNS date IMMUTABLE LANGUAGE sql AS 'SELECT $1::date';
		CREATE TABLE t (d text); INSERT INTO t VALUES ('31/12/2025'); CREATE INDEX ON t (f(d))},
	conflict => q{CREATE TABLE t (id int);
		CREATE FUNCTION f(id int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT max(id) FROM public.t); END$$;
		CREATE TABLE u AS SELECT 1 AS i; CREATE INDEX ON u (f(i))},
	commit_time => q{CREATE TABLE t AS SELECT 1 AS i; CREATE MATERIALIZED VIEW m AS SELECT pg_xact_commit_timestamp(xmin) FROM t},
	not_told => qq{CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS \$\$BEGIN
			IF $proof AND concat(current_setting('pgmaint.connection', true)) <> '' THEN RAISE 'seen'; END IF; RETURN \$1; END\$\$;
		CREATE TABLE t AS SELECT 1 AS i; CREATE INDEX ON t (f(i))});

for my $name (sort keys %script)
{
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, $script{$name});
	my ($state, $error) = run_backup_action($node, 'backup', qq({"databases": "$name", "globals": false}));
	is("$state $error", 'succeeded ', "$name: a backup is made");
	($state, $error) = run_backup_action($node, 'verify_backup', qq({"databases": "$name"}));
	is("$state $error", 'succeeded ', '... and proven');
}

# Questions are answered in the same words everywhere.
$node->safe_psql('postgres', q{SELECT pgmaint.add_verification('time_zone', 'SELECT max(at) FROM t', '2025-12-31 15:30:00+00')});
my ($state, $error) = run_backup_action($node, 'verify_backup', '{"databases": "time_zone"}');
is("$state $error", 'succeeded ', 'an answer is in ISO style and UTC');

$node->safe_psql('postgres', 'CREATE DATABASE endless');
$node->safe_psql('endless', qq{CREATE FUNCTION endless(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS \$\$BEGIN IF NOT ($proof) THEN RETURN \$1; END IF;
	LOOP BEGIN LOOP END LOOP; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END\$\$; CREATE TABLE t AS SELECT 1 AS i; CREATE INDEX ON t (endless(i))});
my $endless = backup_by_hand($node, 'endless', 'daily/endless.dump.gz');

sub begin_endless
{
	my $run = $node->safe_psql('postgres', qq(SELECT pgmaint.run_action('verify_backup', '{"backup_id": $endless}')));
	return ($run, private_server($node, 'CREATE INDEX'));
}

my ($run, $server) = begin_endless();
ok($node->poll_query_until('postgres', "SELECT phase = 'restoring: indexes and constraints' FROM pgmaint.progress WHERE run_id = $run"),
	'progress says how far a proof is');
system_or_bail('rm', '-rf', $server->{folder});
is(wait_for_end($node, $run), 'failed', 'the folder is removed by hand: the run fails');
like($node->safe_psql('postgres', "SELECT error FROM pgmaint.tasks WHERE run_id = $run"),
	qr/^folder "\Q$server->{folder}\E" of the private server was removed; HINT: .*does not count against the backup/, '... and says why');
is($node->safe_psql('postgres', "SELECT verification FROM pgmaint.backups WHERE backup_id = $endless"), 'never verified', '... which says nothing about the backup');
ok(!defined readlink("/proc/$server->{backend}/exe"), '... its processes are gone');
ok(!is_shared($server), '... and its shared memory');
is(databases_left($node), '0|0|0', '... and the note of it');

# A folder with an odd name, which is no longer the setting's after a crash.
my $odd = $node->host . "/a 'b";
mkdir $odd, 0700 or die "$odd: $!";
(my $quoted = $odd) =~ s/'/''/g;
$node->safe_psql('postgres', "ALTER SYSTEM SET pgmaint.proof_directory = '$quoted'");
$node->reload;
($run, $server) = begin_endless();
like($server->{folder}, qr/^\Q$odd\E\/pgmaint_proof_/, 'a folder with a space and a quote in its name');
my $log_begin = -s $node->logfile;
kill 'KILL', $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgmaint task worker'");
wait_for_restart($node, $log_begin);
$node->safe_psql('postgres', 'ALTER SYSTEM RESET pgmaint.proof_directory');
$node->reload;
run_backup_action($node, 'analyze', '{"tables": "pg_catalog.pg_class"}');
is(databases_left($node), '0|0|0', '... has no note after a crash and the next run');
is(join(' ', glob(qq("$odd"/*)), map { m{/proc/(\d+)} } grep { -l && (readlink || '') =~ m{/pgmaint_proof_} && (readlink) =~ /^\Q$odd\E/ } glob('/proc/[0-9]*/cwd')), '', '... nothing in it');
ok(!is_shared($server), '... and no shared memory');

($run, $server) = begin_endless();
$node->safe_psql('postgres', 'DROP EXTENSION pgmaint');
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type ~ 'pgmaint'") or die 'workers go on';
ok(!defined readlink("/proc/$server->{backend}/exe"), 'DROP EXTENSION: the processes are gone');
ok(!is_shared($server), '... and the shared memory');
is(join(' ', folders_left($node)), '', '... and the folder');

$node->stop;
done_testing();
