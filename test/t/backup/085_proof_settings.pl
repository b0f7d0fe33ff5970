# Where servers are made to prove backups in, what they have that the backup's
# server had, and what proofs cost: errors name the setting that is to be changed,
# and what is not ours is never touched.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::RealBin/..";
use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cron = -e join('', `pg_config --pkglibdir` =~ /^(.*)$/, '/pg_cron.so');
my $node = start_server('settings', $cron ? "shared_preload_libraries = 'pg_cron'" : ());
my ($state, $error, $run);

sub set
{
	my ($name, $value) = @_;
	my $quoted = $value =~ s/'/''/gr;

	$node->safe_psql('postgres', "LOAD 'pgmaint'; ALTER SYSTEM SET $name = '$quoted'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('$name', true) = '$quoted'") or die "$name is not $value";
	return;
}

sub told
{
	my ($number) = @_;
	return $node->safe_psql('postgres', "SELECT coalesce(string_agg(severity || ' ' || message, E'\\n'), '') FROM pgmaint.findings WHERE run_id = $number");
}

sub hint_of
{
	my ($number) = @_;
	return $node->safe_psql('postgres', "SELECT coalesce(string_agg(concat_ws(' ', t.error, f.message), ' '), '') FROM pgmaint.tasks t LEFT JOIN pgmaint.findings f USING (run_id) WHERE run_id = $number");
}

# A database of its own with this in it, and its backup.
sub back_up
{
	my ($database, $script, $options) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database " . ($options || ''));
	$node->safe_psql($database, $script);
	return backup_by_hand($node, $database, "daily/$database.dump.gz");
}

sub prove
{
	my ($backup, $more) = @_;
	($state, $error, $run) = run_backup_action($node, 'verify_backup', qq({"backup_id": $backup) . ($more || '') . '}');
	return "$state $error";
}

sub verification_of
{
	my ($backup) = @_;
	return $node->safe_psql('postgres', "SELECT verification FROM pgmaint.backups WHERE backup_id = $backup");
}

# What it costs.
my $plain = back_up('plain', q{CREATE TABLE t AS SELECT g, repeat('x', 500) AS x FROM generate_series(1, 10000) g; CREATE INDEX ON t (g)});
$node->safe_psql('postgres', 'CHECKPOINT');
my $place = $node->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
is(prove($plain), 'succeeded ', 'a database of some MB is proven');
is($node->safe_psql('postgres', "SELECT pg_current_wal_lsn() - '$place' < 1024 * 1024"), 't', '... which writes less than 1 MB of WAL');
is( $node->safe_psql('postgres', "SELECT result ->> 'settings', (result ->> 'server_seconds')::numeric > 0, (result ->> 'restore_seconds')::numeric > 0,
		(result ->> 'comparison_seconds')::numeric > 0, (result ->> 'check_seconds')::numeric > 0, result ->> 'rows', (result ->> 'checked_indexes')::int > 0 FROM pgmaint.tasks WHERE run_id = $run"),
	'private server, fsync off, wal_level minimal, 512 MB|t|t|t|t|10000|t', '... and is measured');
is(databases_left($node), '0|0|0', '... nothing is left');

# Folders.
my ($ret, $out, $err) = $node->psql('postgres', "LOAD 'pgmaint'; SET pgmaint.proof_directory = 'proofs'");
like($err, qr/invalid value for parameter "pgmaint\.proof_directory": "proofs"\nDETAIL:  The folder must be an absolute path\./, 'a relative folder is refused');
my $parent = $node->host;
# a socket's path has at most 107 bytes
$parent = tempdir('pgmaint.XXXXXX', DIR => '/tmp', CLEANUP => 1) if length $parent > 55;
my $long = "$parent/" . 'x' x (100 - length $parent);
mkdir $_ or die "$_: $!" for $long, "$parent/a,b", "$parent/closed", "$parent/a 'b\" \\";
chmod 0500, "$parent/closed" or die;
for my $case (
	[ $long, qr/^failed path of folder "\Q$long\E\/pgmaint_proof_\w+" is too long for the socket of a server: \d+ bytes, at most \d+/ ],
	[ "$parent/a,b", qr/^failed path of folder "\Q$parent\E\/a,b\/pgmaint_proof_\w+" contains a comma: no program could connect to a socket in the folder/ ],
	[ "$parent/none", qr/^failed could not .*"\Q$parent\E\/none.*": No such file or directory/ ],
	[ "$parent/closed", qr/^failed could not create folder "\Q$parent\E\/closed\/pgmaint_proof_\w+": Permission denied/ ])
{
	my ($folder, $expected) = @$case;

	set('pgmaint.proof_directory', $folder);
	like(prove($plain), $expected, "in $folder");
	like(hint_of($run), qr/pgmaint\.proof_directory/, '... and the setting is named');
	is(verification_of($plain), 'restorable', '... which says nothing about the backup');
	is(databases_left($node), '0|0|0', '... nothing is left');
}
set('pgmaint.proof_directory', "$parent/a 'b\" \\");
is(prove($plain), 'succeeded ', 'a folder whose name must be quoted');
is(join(' ', glob("$parent/a*b*/*")), '', '... in which nothing is left');
set('pgmaint.proof_directory', $node->host);
$parent = $node->host;

# Memory.
SKIP:
{
	skip 'this system gives memory that it does not have', 3 if slurp_file('/proc/sys/vm/overcommit_memory') =~ /^1/;
	set('pgmaint.proof_memory', '1048576');
	like(prove($plain), qr/^failed could not start the private server: .*could not map anonymous shared memory: Cannot allocate memory/s, 'more memory than there is');
	is(verification_of($plain), 'restorable', '... says nothing about the backup');
	is(databases_left($node), '0|0|0', '... and nothing is left');
	set('pgmaint.proof_memory', '512');
}

# The disk, whose free space this test takes while the dump is being restored.
my $slow = back_up('slow', q{
	CREATE FUNCTION slow() RETURNS int LANGUAGE plpgsql AS $f$
	BEGIN IF pg_catalog.current_database() ~ '^pgmaint_' THEN PERFORM pg_catalog.pg_sleep(3600); END IF; RETURN 1; END $f$;
	CREATE MATERIALIZED VIEW m AS SELECT slow();
});
like(prove($slow, ', "min_free": "100 TB"'), qr/^skipped not enough disk space: verification needs .* in "\Q$parent\E", .* must stay free there/, 'no room');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgmaint_internal.proof_servers'), '0', '... nothing was made');
my ($free) = `df -B1 --output=avail '$parent'` =~ /(\d+)\s*$/;
my $gigabyte = 1024 * 1024 * 1024;
SKIP:
{
	my $filler = "$parent/filler";

	skip 'this disk has less than 4 GB that are free', 4 if $free < 4 * $gigabyte;
	my $least = int(($free - 1.5 * $gigabyte) / 1024 / 1024);
	$run = $node->safe_psql('postgres', qq(SELECT pgmaint.run_action('verify_backup', '{"backup_id": $slow, "min_free": "$least MB"}')));
	my $server = private_server($node, 'REFRESH');
	if (system('fallocate', '-l', 2.5 * $gigabyte, $filler) != 0)
	{
		unlink $filler;
		$node->safe_psql('postgres', "SELECT pgmaint.cancel($run)");
		wait_for_end($node, $run);
		skip 'this file system gives no room in advance', 4;
	}
	my $end = wait_for_end($node, $run);
	unlink $filler or die;
	is($end, 'failed', 'a disk that is filled ends the proof');
	like($node->safe_psql('postgres', "SELECT error FROM pgmaint.tasks WHERE run_id = $run"),
		qr/^verification was stopped before the disk of "\Q$server->{folder}\E" is full: .* are free; .* must stay free\..*pgmaint\.proof_directory/, '... before it is full');
	is(verification_of($slow), 'never verified', '... which says nothing about the backup');
	is(databases_left($node), '0|0|0', '... and nothing is left');
}

# What the backup's server had, and this one has not.
my $manifest = slurp_file(folder_of($node) . '/daily/plain.json');
change_manifest($node, 'daily/plain', '"collate": "[^"]*"', '"collate": "xx_XX.UTF-8"');
like(prove($plain), qr/^failed could not create a database with the encoding and the locale of the backup: .*xx_XX\.UTF-8.*Install the locale .*does not count against the backup/s, 'a locale that is missing');
is(verification_of($plain), 'restorable', '... says nothing about the backup');
write_object($node, 'daily/plain.json', $manifest);
change_manifest($node, 'daily/plain', '"extensions": \[', '"extensions": [{"name": "nowhere", "version": "1.0", "schema": "public"},');
like(prove($plain), qr/^failed the backup needs extensions that are not installed on this server: nowhere/, 'an extension that is missing');
is(verification_of($plain), 'restorable', '... says nothing about the backup');
write_object($node, 'daily/plain.json', $manifest);
is(databases_left($node), '0|0|0', '... and nothing is left');

# Encodings and providers of locales.
for my $case (
	[ 'latin', "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'" ], [ 'ascii', "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'" ],
	[ 'icu', "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" ],
	[ 'ruled', "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'und' ICU_RULES '&a < g'" ],
	[ 'builtin', "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'" ])
{
	my ($database, $options) = @$case;

	SKIP:
	{
		skip "this server has no $database", 2 if $node->psql('postgres', "CREATE DATABASE ${database}_too $options") != 0;
		my $backup = back_up($database, 'CREATE TABLE "é" (t text PRIMARY KEY); INSERT INTO "é" VALUES (\'ü\'), (\'a\')', $options);
		is(prove($backup), 'succeeded ', "a database with $database");
		is(databases_left($node), '0|0|0', '... and nothing is left');
	}
}

# Policies of roles that this server no longer has are part of the proof.
$node->safe_psql('postgres', 'CREATE ROLE gone');
my $policies = back_up('policies', 'CREATE TABLE p (i int); ALTER TABLE p OWNER TO gone; ALTER TABLE p ENABLE ROW LEVEL SECURITY; CREATE POLICY q ON p TO gone USING (true)');
$node->safe_psql('postgres', 'DROP DATABASE policies; DROP ROLE gone');
is(prove($policies), 'succeeded ', 'policies of a role that is gone');
is(told($run), '', '... are restored');
is(prove($policies, ', "where": "database"'), 'succeeded ', 'in a database of this server');
like(told($run), qr/left out .*POLICY/, '... they are left out');

# Extensions that are, or need not be, preloaded.
my $statements = back_up('statements', 'CREATE EXTENSION pg_stat_statements; CREATE VIEW s AS SELECT * FROM pg_stat_statements');
is(prove($statements), 'succeeded ', 'pg_stat_statements, which is not preloaded');
is(told($run), '', '... nothing is left out');
SKIP:
{
	skip 'pg_cron is not installed', 10 if !$cron;
	my $evidence = "$PostgreSQL::Test::Utils::tmp_check/scheduled";
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');
	$node->safe_psql('postgres', "SELECT cron.schedule('* * * * *', 'COPY (SELECT 1) TO PROGRAM ''touch $evidence''')");
	is((run_backup_action($node, 'backup', '{"databases": "postgres", "globals": false, "retries": 0}'))[0], 'succeeded', 'a database with jobs is backed up');
	my $jobs = $node->safe_psql('postgres', "SELECT max(backup_id) FROM pgmaint.backups WHERE database = 'postgres' AND state = 'succeeded'");
	my $tables = $node->safe_psql('postgres', "SELECT count(*) FROM cron.job");
	is($tables, '1', '... of which there is one');
	$node->safe_psql('postgres', 'SELECT cron.unschedule(jobid) FROM cron.job');
	for my $preloaded (1, 0)
	{
		if (!$preloaded)
		{
			$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
			$node->restart;
		}
		is(prove($jobs), 'succeeded ', 'pg_cron, ' . ($preloaded ? 'preloaded here, too' : 'preloaded there only'));
		unlike(told($run), qr/pg_cron/, '... is restored');
		is($node->safe_psql('postgres', "SELECT (result ->> 'rows')::int > 0 FROM pgmaint.tasks WHERE run_id = $run"), 't', '... with its jobs');
	}
	# a role that may write to a table of an extension may not have code run as its owner
	$node->safe_psql('postgres', 'CREATE DATABASE climbing');
	$node->safe_psql('climbing', q{CREATE TABLE c (i int); COMMENT ON TABLE c IS '} . 'x' x 900 . q{'});
	my $climb = qq{DO \$x\$ BEGIN EXECUTE \$y\$CREATE FUNCTION public.climb() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN COPY (SELECT 1) TO PROGRAM ''touch $evidence''; RETURN NEW; END'\$y\$;
		CREATE TRIGGER climb BEFORE INSERT ON cron.job FOR EACH ROW EXECUTE FUNCTION public.climb(); PERFORM cron.schedule('* * * * *', 'SELECT 1'); END \$x\$;};
	backup_by_hand($node, 'climbing', 'daily/climbing.dump.gz', unknown => 1, instead => [ "COMMENT ON TABLE public.c IS '" . 'x' x 900 . "';", $climb ]);
	change_manifest($node, 'daily/climbing', '"extensions": \[', '"extensions": [{"name": "pg_cron", "version": ' . $node->safe_psql('postgres', q(SELECT to_json(extversion) FROM pg_extension WHERE extname = 'pg_cron')) . ', "schema": "pg_catalog"},');
	($state, $error) = run_backup_action($node, 'verify_backup', '{"storage": "pgmaint_local", "key": "daily/climbing.dump.gz"}');
	like("$state $error", qr/^failed not restorable: pg_restore: COMMENT public\.TABLE c: permission denied for table job$/, 'no trigger can be created on a table of pg_cron');
	ok(!-e $evidence, 'pg_cron executes nothing, neither a job nor code of the dump as a superuser');
	is(databases_left($node), '0|0|0', '... and nothing is left');
}

# An extension that needs one which connects to others.
my ($share) = `pg_config --sharedir` =~ /^(.*)$/;
SKIP:
{
	skip 'extensions cannot be installed here', 2 if !-w "$share/extension";
	append_to_file("$share/extension/pgmaint_reacher.control", "default_version = '1.0'\nrequires = 'dblink'\n") if !-e "$share/extension/pgmaint_reacher.control";
	append_to_file("$share/extension/pgmaint_reacher--1.0.sql", "SELECT 1;\n") if !-e "$share/extension/pgmaint_reacher--1.0.sql";
	my $reaching = back_up('reaching', q{CREATE EXTENSION dblink; CREATE EXTENSION pgmaint_reacher; CREATE TABLE r (i int);
		CREATE FUNCTION reach(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = ''dblink'') OR pg_catalog.current_database() = ''reaching''; END';
		ALTER TABLE r ADD CHECK (reach(i)); INSERT INTO r VALUES (1)});
	is(prove($reaching), 'succeeded ', 'an extension does not bring one that connects to others');
	like(told($run), qr/without extension pgmaint_reacher: /, '... but is left out');
}

# What another server has noted, and what has no name of ours, stays.
my $others = "$parent/pgmaint_proof_0123456789ab";
my $important = "$parent/important";
my $target = "$parent/target";
mkdir $_ or die "$_: $!" for $others, $important, $target;
append_to_file("$_/file", 'x') for $others, $important, $target;
symlink $target, "$parent/pgmaint_proof_00000000000a" or die;
$node->safe_psql('postgres', "INSERT INTO pgmaint_internal.proof_servers (folder, data_directory, task_id, identity)
	SELECT '$others', '/elsewhere', 0, pgmaint_internal.current_identity()
	UNION ALL SELECT '$important', current_setting('data_directory'), 0, pgmaint_internal.current_identity()
	UNION ALL SELECT '$parent/pgmaint_proof_../important', current_setting('data_directory'), 0, pgmaint_internal.current_identity()
	UNION ALL SELECT '$parent/pgmaint_proof_00000000000a', current_setting('data_directory'), 0, pgmaint_internal.current_identity()");
run_backup_action($node, 'analyze', '{"tables": "pg_catalog.pg_class"}');
ok(-e "$_/file", "$_ is left alone") for $others, $important, $target;
ok(-l "$parent/pgmaint_proof_00000000000a", '... as is a symbolic link');
$node->safe_psql('postgres', "UPDATE pgmaint_internal.proof_servers SET data_directory = current_setting('data_directory'), identity = 'of another' WHERE folder = '$others'");
run_backup_action($node, 'analyze', '{"tables": "pg_catalog.pg_class"}');
ok(-e "$others/file", 'a folder that another database has noted is left alone');
$node->safe_psql('postgres', "UPDATE pgmaint_internal.proof_servers SET identity = pgmaint_internal.current_identity() WHERE folder = '$others'");
run_backup_action($node, 'analyze', '{"tables": "pg_catalog.pg_class"}');
ok(!-e $others, 'its own is removed');
is($node->safe_psql('postgres', "SELECT count(*) FROM pgmaint_internal.proof_servers WHERE folder = '$others'"), '0', '... and forgotten');

no_processes_left($node, 'no process is left');
done_testing();
