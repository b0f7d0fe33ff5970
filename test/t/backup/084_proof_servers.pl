# Backups are verified in a private server: code of a dump reaches nothing outside of
# it, nothing is left behind however the verification ends, and the live server is not
# affected.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";
use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = start_server('proofs', 'log_connections = on', 'pgmaint.max_workers = 2');
my $evidence = "$PostgreSQL::Test::Utils::tmp_check/looted";
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $socket = "host=" . $node->host . " port=" . $node->port . " user=$superuser dbname=postgres";
my ($state, $error, $run, $server);

$node->safe_psql('postgres', q{
	CREATE ROLE payroll;
	CREATE TABLE visits (what text);
	COMMENT ON DATABASE postgres IS 'our books';
	ALTER DATABASE postgres SET my.secret = 'ours';
});
my $begun_at = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');

sub told
{
	my ($number) = @_;
	return $node->safe_psql('postgres', "SELECT coalesce(string_agg(severity || ' ' || message, E'\\n'), '') FROM pgmaint.findings WHERE run_id = $number");
}

# The same postmaster, which has restarted nothing and lost no process.
sub unnoticed
{
	my ($case) = @_;
	is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $begun_at, "$case: the server runs on");
	unlike(slurp_file($node->logfile), qr/PANIC|process \(PID [0-9]+\) was terminated by signal|reinitializing/, '... and noticed nothing');
	return;
}

sub nothing_left
{
	my ($case, $gone) = @_;
	is(databases_left($node), '0|0|0', "$case: nothing is left");
	is(join(' ', grep { (readlink("/proc/$_/cwd") || '') =~ m{^\Q@{[$node->host]}\E/pgmaint_proof_} } map { m{(\d+)$} } glob('/proc/[0-9]*')),
		'', '... no process');
	ok(!is_shared($gone), '... and no shared memory') if $gone;
	return;
}

# Begin a verification that takes until it is ended.
sub begin_proof
{
	my ($backup, $title) = @_;
	my $begun = $node->safe_psql('postgres', qq(SELECT pgmaint.run_action('verify_backup', '{"backup_id": $backup}')));

	return ($begun, private_server($node, $title));
}

# Is the process running?  Its parent may have ended.
sub is_alive
{
	my ($pid) = @_;
	return defined readlink("/proc/$pid/exe");
}

sub verification_of
{
	my ($backup) = @_;
	return $node->safe_psql('postgres', "SELECT verification FROM pgmaint.backups WHERE backup_id = $backup");
}

# Any attempt that is not refused, and anything of another database that can be
# seen, makes the restore fail.
my $in_proof = q(pg_catalog.current_database() ~ '^pgmaint_');
my $attack = qq{
	CREATE TABLE public.loot (what text);
	CREATE FUNCTION public.attack(int) RETURNS int LANGUAGE plpgsql AS \$f\$
	DECLARE
		attempt text;
		seen text;
		admin text;
	BEGIN
		IF NOT ($in_proof) THEN RETURN \$1; END IF;
		SELECT rolname INTO admin FROM pg_catalog.pg_roles WHERE oid = 10;
		FOREACH attempt IN ARRAY ARRAY[
			\$x\$COPY (SELECT 1) TO PROGRAM 'touch $evidence'\$x\$, \$x\$COPY (SELECT 1) TO '$evidence'\$x\$,
			\$x\$COPY public.loot FROM '/etc/passwd'\$x\$, \$x\$COPY public.loot FROM PROGRAM 'id'\$x\$,
			\$x\$SELECT pg_catalog.lo_export(pg_catalog.lo_from_bytea(0, 'x'), '$evidence')\$x\$, \$x\$SELECT pg_catalog.lo_import('/etc/passwd')\$x\$,
			\$x\$SELECT pg_catalog.pg_read_file('/etc/passwd')\$x\$, \$x\$SELECT pg_catalog.pg_read_file('PG_VERSION')\$x\$,
			\$x\$SELECT pg_catalog.pg_ls_dir('.')\$x\$, \$x\$SELECT pg_catalog.pg_stat_file('/etc/passwd')\$x\$,
			\$x\$LOAD 'auto_explain'\$x\$, \$x\$LOAD '$evidence'\$x\$,
			'CREATE EXTENSION dblink', 'CREATE EXTENSION postgres_fdw', 'CREATE EXTENSION file_fdw', 'CREATE EXTENSION pageinspect',
			\$x\$CREATE FUNCTION public.c() RETURNS int LANGUAGE c AS '$evidence'\$x\$,
			\$x\$CREATE FUNCTION public.i() RETURNS int LANGUAGE internal AS 'lo_import'\$x\$,
			\$x\$SELECT 1 / count(*) FROM pg_catalog.pg_stat_activity WHERE CASE WHEN pid <> pg_catalog.pg_backend_pid() THEN pg_catalog.pg_terminate_backend(pid) END\$x\$,
			'SELECT pg_catalog.pg_reload_conf()', 'SELECT pg_catalog.pg_rotate_logfile()', 'SELECT pg_catalog.pg_switch_wal()', 'CHECKPOINT',
			\$x\$ALTER SYSTEM SET archive_command = 'touch $evidence'\$x\$, 'SET log_min_messages = debug5', \$x\$SET session_preload_libraries = '$evidence'\$x\$,
			'CREATE ROLE more SUPERUSER', 'CREATE DATABASE more', 'ALTER ROLE CURRENT_USER SUPERUSER', 'GRANT pg_read_server_files TO CURRENT_USER',
			'GRANT pg_monitor TO CURRENT_USER', 'SET ROLE ' || pg_catalog.quote_ident(admin), 'SET SESSION AUTHORIZATION ' || pg_catalog.quote_ident(admin),
			\$x\$CREATE TABLESPACE t LOCATION '/tmp'\$x\$, 'CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION public.nothing()',
			\$x\$CREATE SUBSCRIPTION s CONNECTION '$socket' PUBLICATION p\$x\$, 'CREATE PUBLICATION p FOR ALL TABLES',
			\$x\$CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'postgres')\$x\$,
			'SELECT rolpassword FROM pg_catalog.pg_authid', 'SELECT * FROM pg_catalog.pg_shadow', 'SELECT * FROM pg_catalog.pg_hba_file_rules',
			'SELECT * FROM pg_catalog.pg_file_settings', 'SHOW data_directory', 'SHOW config_file',
			'COMMENT ON DATABASE ' || pg_catalog.current_database() || \$x\$ IS 'told'\$x\$, 'ALTER DATABASE ' || pg_catalog.current_database() || ' SET my.own = 1',
			'ALTER ROLE ALL SET my.own = 1', 'PREPARE TRANSACTION ''mine'''] LOOP
			BEGIN
				EXECUTE attempt;
			EXCEPTION WHEN OTHERS THEN
				CONTINUE;
			END;
			RAISE EXCEPTION 'not refused: %', attempt;
		END LOOP;
		FOREACH attempt IN ARRAY ARRAY[
			\$x\$SELECT datname FROM pg_catalog.pg_stat_activity WHERE datname NOT IN (pg_catalog.current_database(), 'postgres') OR query ~ 'run_action|PASSWORD'\$x\$,
			\$x\$SELECT datname FROM pg_catalog.pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1', pg_catalog.current_database())\$x\$,
			\$x\$SELECT description FROM pg_catalog.pg_shdescription WHERE description ~ 'books'\$x\$, \$x\$SELECT setconfig FROM pg_catalog.pg_db_role_setting\$x\$,
			\$x\$SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = 'payroll'\$x\$, \$x\$SELECT setting FROM pg_catalog.pg_settings WHERE setting ~ '@{[$node->data_dir]}'\$x\$] LOOP
			EXECUTE attempt INTO seen;
			IF seen IS NOT NULL THEN RAISE EXCEPTION 'seen: % by %', seen, attempt; END IF;
		END LOOP;
		-- these are allowed, and not visible outside of the private server
		PERFORM pg_catalog.pg_advisory_lock(4711), pg_catalog.set_config('application_name', 'loot' || 'ed', false), pg_catalog.pg_notify('news', 'loot' || 'ed');
		PERFORM pg_catalog.lo_from_bytea(0, pg_catalog.convert_to('loot' || 'ed by me', 'UTF8'));
		INSERT INTO public.loot SELECT 'loot' || 'ed ' || datname FROM pg_catalog.pg_database;
		EXECUTE pg_catalog.format('COMMENT ON TABLE public.loot IS %L', 'loot' || 'ed');
		FOREACH attempt IN ARRAY ARRAY['search_path = evil', 'default_transaction_read_only = on', 'statement_timeout = 1', 'row_security = on',
			'default_tablespace = nowhere', 'session_replication_role = origin', 'bytea_output = escape', 'client_encoding = LATIN1', 'role = none'] LOOP
			BEGIN
				EXECUTE 'ALTER ROLE CURRENT_USER SET ' || attempt;
				EXECUTE pg_catalog.format('ALTER ROLE CURRENT_USER IN DATABASE %I SET ' || attempt, pg_catalog.current_database());
			EXCEPTION WHEN insufficient_privilege THEN
				NULL;
			END;
		END LOOP;
		RETURN \$1;
	END \$f\$;
	CREATE FUNCTION public.quiet_attack(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN public.attack(\$1); END';
	CREATE FUNCTION public.nothing() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
};

# Listens where the attacker tells.
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN news');
for my $place (
	[ 'index', 'CREATE TABLE t AS SELECT 1 AS i; CREATE INDEX ON t (quiet_attack(i))' ],
	[ 'check', 'CREATE TABLE t (i int CHECK (attack(i) = i)); INSERT INTO t VALUES (1)' ],
	[ 'view', 'CREATE TABLE t AS SELECT 1 AS i; CREATE MATERIALIZED VIEW m AS SELECT attack(i) FROM t' ],
	[ 'domain', 'CREATE DOMAIN d AS int CHECK (attack(VALUE) = VALUE); CREATE TABLE t (i d); INSERT INTO t VALUES (1)' ],
	[ 'generated', 'CREATE TABLE t (i int, g int GENERATED ALWAYS AS (quiet_attack(i)) STORED); INSERT INTO t VALUES (1)' ])
{
	my ($name, $script) = @$place;

	$node->safe_psql('postgres', "CREATE DATABASE attack_$name");
	$node->safe_psql("attack_$name", "SET check_function_bodies = off; $attack $script");
	# rows that an attack adds where rows are counted are its own affair
	my $backup = backup_by_hand($node, "attack_$name", "daily/attack_$name.dump.gz");
	($state, $error, $run) = run_backup_action($node, 'verify_backup', qq({"backup_id": $backup}));
	like("$state $error", qr/^(succeeded $|failed not restorable: 1 difference from the manifest: table public\.loot has \d+ rows, but 0 were backed up$)/,
		"$name: everything is refused, and nothing is seen");
	ok(!-e $evidence, '... no file was written');
	nothing_left($name);
}
unnoticed('attacks');
is($listener->query_safe('SELECT count(*) FROM visits'), '0', 'no notification arrived');
$listener->quit;
is($node->safe_psql('postgres', "SELECT (SELECT count(*) FROM pg_shdescription WHERE description ~ 'told|looted'), (SELECT count(*) FROM pg_db_role_setting), (SELECT count(*) FROM pg_largeobject_metadata)"),
	'0|1|0', 'nothing is in the catalogs');
is(scalar(grep { 1 } split /\n/, `grep -rla 'looted ' '@{[$node->basedir]}' '@{[$node->host]}' 2>/dev/null`), 0, '... nor in any file');

# Another proof of an owner who has changed the password in between.
$node->safe_psql('postgres', 'CREATE DATABASE passwords');
$node->safe_psql('passwords', qq{
	CREATE FUNCTION change(int) RETURNS boolean LANGUAGE plpgsql AS \$f\$
	BEGIN IF $in_proof THEN ALTER ROLE CURRENT_USER PASSWORD 'mine'; END IF; RETURN true; END \$f\$;
	CREATE TABLE t (i int CHECK (change(i)));
	INSERT INTO t VALUES (1);
});
my $passwords = backup_by_hand($node, 'passwords', 'daily/passwords.dump.gz');
($state, $error) = run_backup_action($node, 'verify_backup', qq({"backup_id": $passwords}));
is("$state $error", 'succeeded ', 'a password that the dump has changed does not matter');
nothing_left('a changed password');

# Extensions that connect to others are left out; those that could are of no use.
$node->safe_psql('postgres', 'CREATE DATABASE linked');
$node->safe_psql('linked', qq{
	CREATE EXTENSION dblink;
	CREATE EXTENSION postgres_fdw;
	CREATE TABLE t AS SELECT 1 AS i;
	CREATE MATERIALIZED VIEW m AS SELECT * FROM dblink('$socket', 'INSERT INTO visits VALUES (''dblink'') RETURNING what') AS d (what text);
	CREATE MATERIALIZED VIEW p AS SELECT * FROM dblink('$socket password=secret', 'INSERT INTO visits VALUES (''password'') RETURNING what') AS d (what text);
	CREATE SERVER ours FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '@{[$node->host]}', port '@{[$node->port]}', dbname 'postgres');
	CREATE USER MAPPING FOR PUBLIC SERVER ours OPTIONS (user '$superuser', password_required 'false');
	CREATE FOREIGN TABLE visits (what text) SERVER ours;
	CREATE MATERIALIZED VIEW f AS SELECT * FROM visits;
});
$node->safe_psql('postgres', 'TRUNCATE visits');
my $linked = backup_by_hand($node, 'linked', 'daily/linked.dump.gz');
my $log_begin = -s $node->logfile;
($state, $error, $run) = run_backup_action($node, 'verify_backup', qq({"backup_id": $linked}));
is("$state $error", 'succeeded ', 'a database with dblink and postgres_fdw is proven');
like(told($run), qr/without extension dblink: its functions can access files or other servers/, '... without the former');
like(told($run), qr/left out .*SERVER \(ours\).*MATERIALIZED VIEW \(public\./s, '... nor what connects');
is($node->safe_psql('postgres', 'SELECT count(*) FROM visits'), '0', '... and no session connected');
nothing_left('links');

# The ends of a verification: cancelled in an endless loop.
$node->safe_psql('postgres', 'CREATE DATABASE endless');
$node->safe_psql('endless', qq{
	CREATE FUNCTION endless(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS \$f\$
	BEGIN
		IF NOT ($in_proof) THEN RETURN \$1; END IF;
		PERFORM pg_catalog.pg_advisory_lock(4711), pg_catalog.set_config('application_name', 'loot' || 'ed', false);
		LOOP BEGIN LOOP END LOOP; EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP;
	END \$f\$;
	CREATE TABLE t AS SELECT 1 AS i;
	CREATE INDEX ON t (endless(i));
});
my $endless = backup_by_hand($node, 'endless', 'daily/endless.dump.gz');
($run, $server) = begin_proof($endless, 'CREATE INDEX');
is( $node->safe_psql('postgres', "SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711), (SELECT count(*) FROM pg_stat_activity WHERE application_name ~ 'looted'),
		(SELECT count(*) FROM pg_database WHERE datname ~ '^pgmaint_'), (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pgmaint task worker' AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL))"),
	'0|0|0|0', 'a proof takes no lock, has no session and no database, and keeps no old row');
is((stat $server->{folder})[2] & 0777, 0700, 'its folder is closed to others');
is((getpriority(0, $server->{backend}) - getpriority(0, 0)) > 0, 1, 'it has a lower priority');
$node->safe_psql('postgres', "SELECT pgmaint.cancel($run)");
is(wait_for_end($node, $run), 'cancelled', 'an endless loop is cancelled');
nothing_left('cancelled', $server);
is(verification_of($endless), 'never verified', '... which says nothing about the backup');

# Killed, while the server itself goes on.
for my $case (
	[ 'the private postmaster', sub { $server->{postmaster} } ],
	[ 'a private backend', sub { $server->{backend} } ],
	[ 'pg_restore', sub { my ($pid) = grep { slurp_file("/proc/$_/comm") =~ /^pg_restore/ } programs_of($node); $pid } ])
{
	my ($whom, $pid_of) = @$case;

	($run, $server) = begin_proof($endless, 'CREATE INDEX');
	kill 'KILL', $pid_of->() or die "could not kill $whom";
	# what it had begun in that loop does not end by itself
	is(wait_for_end($node, $run), 'failed', "$whom killed: the run fails");
	is(verification_of($endless), 'never verified', '... which says nothing about the backup');
	nothing_left("$whom killed", $server);
	ok(!is_alive($server->{backend}), '... not even the loop');
	unnoticed("$whom killed");
}

# The leader killed, as well as the worker, takes all sessions with it: that is
# how PostgreSQL is.
for my $whom ('pgmaint leader', 'pgmaint task worker')
{
	($run, $server) = begin_proof($endless, 'CREATE INDEX');
	my $offset = -s $node->logfile;
	kill 'KILL', $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$whom'");
	wait_for_restart($node, $offset);
	run_backup_action($node, 'analyze', '{"tables": "pg_catalog.pg_class"}');
	nothing_left("the $whom killed, after the next run", $server);
	is(verification_of($endless), 'never verified', '... which says nothing about the backup');
}

# So does the postmaster, whose other processes end by themselves.
($run, $server) = begin_proof($endless, 'CREATE INDEX');
my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
kill 'KILL', $postmaster;
for (1 .. 20 * $PostgreSQL::Test::Utils::timeout_default)
{
	last if !kill(0, $postmaster) && !grep { (readlink("/proc/$_/cwd") || '') eq $node->data_dir } map { m{(\d+)$} } glob('/proc/[0-9]*');
	usleep(50_000);
}
$node->{_pid} = undef;
$node->start;
run_backup_action($node, 'analyze', '{"tables": "pg_catalog.pg_class"}');
nothing_left('the postmaster killed, after the next run', $server);
is(verification_of($endless), 'never verified', '... which says nothing about the backup');

# A private postmaster that is killed together with its worker leaves an endless loop,
# which no process ends.
($run, $server) = begin_proof($endless, 'CREATE INDEX');
my $offset = -s $node->logfile;
my $worker = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgmaint task worker'");
kill 'STOP', $worker;
kill 'KILL', $server->{postmaster};
kill 'KILL', $worker;
wait_for_restart($node, $offset);
ok(is_alive($server->{backend}), 'a loop outlives its postmaster');
run_backup_action($node, 'analyze', '{"tables": "pg_catalog.pg_class"}');
ok(!is_alive($server->{backend}), '... but not the next run');
nothing_left('postmaster and worker killed, after the next run', $server);

# statement_timeout of the role does not apply to a verification.
$node->safe_psql('postgres', q{
	CREATE ROLE hasty SUPERUSER LOGIN;
	ALTER ROLE hasty SET statement_timeout = '10ms';
	ALTER ROLE hasty SET idle_in_transaction_session_timeout = '10ms';
	ALTER ROLE hasty SET lock_timeout = '10ms'});
($run) = reverse split /\n/, $node->safe_psql('postgres', qq(SET statement_timeout = 0; SELECT pgmaint.run_action('verify_backup', '{"backup_id": $passwords}')), extra_params => [ '-U', 'hasty' ]);
is(wait_for_end($node, $run), 'succeeded', 'a role with a statement timeout proves');

# Two at once.
$node->safe_psql('postgres', 'CREATE DATABASE endless_too TEMPLATE endless');
backup_by_hand($node, 'endless_too', 'daily/endless_too.dump.gz');
$run = $node->safe_psql('postgres', q(SELECT pgmaint.run_action('verify_backup', '{"databases": ["endless", "endless_too"]}')));
$node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM pgmaint_internal.proof_servers') or die 'no two proofs';
my @folders = split /\n/, $node->safe_psql('postgres', 'SELECT folder FROM pgmaint_internal.proof_servers ORDER BY begun_at');
my @servers = map { private_server($node, 'CREATE INDEX', { folder => $_ }) } @folders;
isnt($servers[0]{postmaster}, $servers[1]{postmaster}, 'two backups are proven at a time');
$node->safe_psql('postgres', "SELECT pgmaint.cancel($run)");
is(wait_for_end($node, $run), 'cancelled', '... and both are cancelled');
nothing_left('two at once', $_) for @servers;
no_processes_left($node, 'no process is left');
done_testing();
