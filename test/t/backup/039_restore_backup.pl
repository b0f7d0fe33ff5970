# A backup becomes a database again: beside the live one, in its place, and on a
# server that knows nothing but the storage.

use strict;
use warnings;

use FindBin;
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use lib "$FindBin::RealBin/..";
use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('restore', q(pgmaint.max_wait = '2s'));
my ($state, $error, $run);
# verify_backup restores into a database of this server
my $in_database = ', "where": "database"';

sub exists_database
{
	my ($server, $name) = @_;
	return $server->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname = '$name'");
}

sub result
{
	my ($server, $number) = @_;
	return $server->safe_psql('postgres', "SELECT result ->> 'database' FROM pgmaint.tasks WHERE run_id = $number");
}

# Owners, rights, settings, and names that must be quoted.
my $name = 'Größe "1"';
$node->safe_psql('postgres', 'CREATE ROLE "B o""b"; CREATE ROLE reader; CREATE DATABASE "Größe ""1""" OWNER "B o""b" CONNECTION LIMIT 7');
$node->safe_psql($name, q{
	CREATE TABLE t (id int PRIMARY KEY, b text);
	INSERT INTO t SELECT g, repeat('x', g % 90) FROM generate_series(1, 5000) g;
	CREATE SCHEMA "S p" AUTHORIZATION "B o""b";
	SET ROLE "B o""b";
	CREATE TABLE "S p"."Tä""b" (id serial PRIMARY KEY, v int CHECK (v > 0));
	INSERT INTO "S p"."Tä""b" (v) VALUES (1), (2);
	CREATE INDEX "Ind éx" ON "S p"."Tä""b" (v);
	GRANT SELECT ON "S p"."Tä""b" TO reader;
	ALTER TABLE "S p"."Tä""b" ENABLE ROW LEVEL SECURITY;
	CREATE POLICY p ON "S p"."Tä""b" TO reader USING (v > 1);
	RESET ROLE;
	CREATE FUNCTION cf() RETURNS double precision LANGUAGE internal AS 'drandom';
	CREATE VIEW v AS SELECT *, cf() FROM t;
	CREATE TABLE p (id int, d date) PARTITION BY RANGE (d);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
	INSERT INTO p VALUES (1, '2020-02-02');
	CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM t;
	SELECT lo_from_bytea(0, 'abc');
	CREATE EXTENSION pgmaint;
	SELECT pgmaint.define_plan('mine', '[{"action": "vacuum"}]');
	REVOKE ALL ON DATABASE "Größe ""1""" FROM PUBLIC;
	GRANT CONNECT ON DATABASE "Größe ""1""" TO reader;
	ALTER DATABASE "Größe ""1""" SET search_path = "S p", public;
	ALTER DATABASE "Größe ""1""" SET work_mem = '6MB';
	ALTER ROLE reader IN DATABASE "Größe ""1""" SET statement_timeout = '7s';
});
my $backup = backup_by_hand($node, $name, 'daily/one.dump.gz');
my $before = dump_of($node, $name =~ s/(["\\])/\\$1/gr =~ s/\\"/"/gr);

sub properties
{
	my ($server, $database) = @_;
	return $server->safe_psql('postgres', "SELECT pg_get_userbyid(datdba), datconnlimit, encoding, datcollate,
		(SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(datacl) a),
		(SELECT string_agg(concat(setrole::regrole, ':', setconfig::text), ' ' ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)
		FROM pg_database d WHERE datname = '$database'");
}

($state, $error, $run) = run_backup_action($node, 'restore_backup', qq({"backup_id": $backup}));
is("$state $error", 'succeeded ', 'a backup is restored');
my $restored = result($node, $run);
like($restored, qr/^Größe "1"_restored_\d{12}$/, '... beside the live database');
is(dump_of($node, $restored), $before, '... and is the same for pg_dump');
is(properties($node, $restored), properties($node, $name), '... with its owner, its rights and its settings');
is(databases_left($node), '0|0|0', '... and nothing else is left');

# Event triggers that log and refuse DDL, and logins where the server knows such,
# are part of what is restored, and do not get in its way.  What the database is
# for is said in its comment.
my $refuse = q(BEGIN IF tg_event <> 'login' OR current_database() <> 'told' THEN RAISE EXCEPTION 'refused'; END IF; END);
$node->safe_psql('postgres', q(CREATE DATABASE told; COMMENT ON DATABASE told IS 'what it''s for \ "x"'));
$node->safe_psql('told', qq{
	CREATE TABLE log (tag text);
	CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;
	CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.log VALUES (tg_tag); END';
	CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS '@{[ $refuse =~ s/'/''/gr ]}';
	CREATE EVENT TRIGGER note ON ddl_command_start EXECUTE FUNCTION note();
	CREATE EVENT TRIGGER refuse ON ddl_command_end EXECUTE FUNCTION refuse();
});
my $logins = $node->safe_psql('postgres', q(SELECT current_setting('server_version_num')::int >= 170000)) eq 't';
$node->safe_psql('told', 'CREATE EVENT TRIGGER refuse_login ON login EXECUTE FUNCTION refuse()') if $logins;
my ($backup_state, $backup_error) = end_of_backup($node, begin_backup($node, '{"databases": "told", "globals": false, "retries": 0}'));
is("$backup_state $backup_error", 'succeeded ', 'a database with event triggers is backed up');
my $told = $node->safe_psql('postgres', "SELECT max(backup_id) FROM pgmaint.backups WHERE database = 'told'");
($state, $error) = run_backup_action($node, 'verify_backup', qq({"backup_id": $told}));
is("$state $error", 'succeeded ', '... verified');
($state, $error, $run) = run_backup_action($node, 'restore_backup', qq({"backup_id": $told, "into": "retold"}));
is("$state $error", 'succeeded ', '... and restored');
is($node->safe_psql('postgres', q(SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'retold')), q(what it's for \ "x"), '... with its comment');
{
	local $ENV{PGOPTIONS} = $logins ? '-c event_triggers=off' : '';
	is($node->safe_psql('retold', 'SELECT (SELECT count(*) FROM pg_event_trigger), (SELECT count(*) FROM log), (SELECT one FROM m)'), ($logins ? 3 : 2) . '|0|1', '... its event triggers, none of which has fired, and its rows');
}

# How long a restore takes is recorded as what can be promised where it was
# measured in this server with fsync on, and nowhere else.
my $measured = q(SELECT concat_ws('|', restore_duration IS NOT NULL, coalesce(restore_settings, '-'),
	safe_restore_duration IS NOT NULL, safe_restored_at IS NOT NULL, restore_rate IS NOT NULL) FROM pgmaint.backups WHERE backup_id = );
my $forget = 'UPDATE pgmaint_internal.backup_records SET safe_restore_duration = NULL, safe_restored_at = NULL';

sub set_fsync
{
	my ($value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET fsync = $value");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('fsync') = '$value'") or die 'the configuration was not reloaded';
	return;
}

# Restored into a database that is dropped again; what the ledger says then.
sub measure
{
	my ($options, $id) = @_;
	my ($how, $why, $number) = run_backup_action($node, 'restore_backup', qq({$options, "into": "measured"}));

	is("$how $why", 'succeeded ', "restored: $options");
	$node->safe_psql('postgres', 'DROP DATABASE measured');
	return ($node->safe_psql('postgres', $measured . $id), $number);
}

($state, $error) = run_backup_action($node, 'verify_backup', qq({"backup_id": $told$in_database}));
is($node->safe_psql('postgres', $measured . $told), 't|live server: fsync off|f|f|f', 'a proof and a restore with fsync off promise nothing');
set_fsync('on');
my ($says) = measure(qq("backup_id": $told), $told);
is($says, 't|live server: fsync off|t|t|t', 'a restore with fsync on does');
$node->safe_psql('postgres', $forget);
($says, $run) = measure(q("storage": "pgmaint_local", "database": "told"), $told);
is($says, 't|live server: fsync off|t|t|t', '... of the newest of a database, too');
is($node->safe_psql('postgres', "SELECT r.safe_restore_duration = make_interval(secs => (t.result ->> 'restore_seconds')::float8) AND r.safe_restored_at BETWEEN t.started_at AND t.finished_at
	FROM pgmaint.tasks t, pgmaint_internal.backup_records r WHERE t.run_id = $run AND r.backup_id = $told"), 't', '... and it is what pg_restore took');
$node->safe_psql('postgres', "$forget; UPDATE pgmaint_internal.backup_records SET sha256 = reverse(sha256) WHERE backup_id = $told");
($says) = measure(q("storage": "pgmaint_local", "database": "told"), $told);
is($says, 't|live server: fsync off|f|f|f', '... but not of another object of this key');
$node->safe_psql('postgres', "UPDATE pgmaint_internal.backup_records SET sha256 = reverse(sha256) WHERE backup_id = $told");
($state, $error) = run_backup_action($node, 'verify_backup', qq({"backup_id": $told$in_database}));
is("$state $error", 'succeeded ', 'a backup is verified with fsync on');
is($node->safe_psql('postgres', $measured . $told), 't|live server: fsync on|t|t|t', '... which is a restore that promises something');
is($node->safe_psql('postgres', "SELECT safe_restore_duration = restore_duration AND safe_restored_at >= verified_at FROM pgmaint_internal.backup_records WHERE backup_id = $told"), 't', '... what it took');

# What is found not restorable keeps what was measured before.
my $told_columns = "SELECT concat_ws('|', restore_duration, restore_settings, safe_restore_duration, safe_restored_at) FROM pgmaint_internal.backup_records WHERE backup_id = $told";
my $told_key = $node->safe_psql('postgres', "SELECT key FROM pgmaint_internal.backup_records WHERE backup_id = $told");
my $told_object = slurp_file(folder_of($node) . "/$told_key");
$node->safe_psql('postgres', "UPDATE pgmaint_internal.backup_records SET restore_duration = '3 s', restore_settings = 'before', safe_restore_duration = '4 s', safe_restored_at = '2020-01-01 00:00+00' WHERE backup_id = $told");
my $said = $node->safe_psql('postgres', $told_columns);
write_object($node, $told_key, 'x' x length $told_object);
($state, $error) = run_backup_action($node, 'verify_backup', qq({"backup_id": $told$in_database}));
like("$state $error", qr/^failed not restorable: /, 'a damaged backup is found');
is($node->safe_psql('postgres', $told_columns), $said, '... and keeps what was measured before');
write_object($node, $told_key, $told_object);

# Roles and tablespaces are not restored.
($backup_state, $backup_error) = end_of_backup($node, begin_backup($node, '{"databases": "told", "retries": 0}'));
my $globals = $node->safe_psql('postgres', "SELECT max(backup_id) FROM pgmaint.backups WHERE kind = 'globals'");
($state, $error) = run_backup_action($node, 'verify_backup', qq({"backup_id": $globals}));
is("$state $error " . $node->safe_psql('postgres', $measured . $globals), 'succeeded  f|-|f|f|f', 'nothing is measured of roles and tablespaces');

# What cannot be noted does not make a restore fail.
$node->safe_psql('postgres', $forget);
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN');
$holder->query_safe("SELECT FROM pgmaint_internal.backup_records WHERE backup_id = $told FOR UPDATE");
($says, $run) = measure(qq("backup_id": $told), $told);
like($says, qr/\|f\|f\|f$/, '... where the ledger is locked');
is($node->safe_psql('postgres', "SELECT severity || ' ' || message FROM pgmaint.findings WHERE run_id = $run"),
	"info duration of restoring $told_key could not be recorded in the ledger: canceling statement due to lock timeout", '... which is said');
$holder->query_safe('COMMIT');
$holder->quit;

# A configuration that was reloaded while it went on may have had fsync off.
$node->safe_psql('postgres', 'CREATE DATABASE held');
$node->safe_psql('held', q{
	CREATE FUNCTION hold(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$
	BEGIN
		WHILE pg_catalog.current_database() ~ '^pgmaint_' AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND objid = 4711) LOOP
			PERFORM pg_catalog.pg_sleep(0.05);
		END LOOP;
		RETURN $1;
	END $f$;
	CREATE TABLE h (i int);
	INSERT INTO h VALUES (1);
	CREATE INDEX ON h (hold(i));
});
my $held = backup_by_hand($node, 'held', 'daily/held.dump.gz');
foreach my $reloads (1, 0)
{
	$run = $node->safe_psql('postgres', qq(SELECT pgmaint.run_action('restore_backup', '{"backup_id": $held}')));
	$node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity WHERE datname ~ '^pgmaint_' AND wait_event = 'PgSleep'))
	  or die 'nothing is being restored';
	if ($reloads)
	{
		set_fsync('off');
		set_fsync('on');
	}
	my $release = $node->background_psql('postgres');
	$release->query_safe('SELECT pg_advisory_lock(4711)');
	is(wait_for_end($node, $run), 'succeeded', 'a restore goes on while the configuration is ' . ($reloads ? 'reloaded' : 'what it was'));
	$release->quit;
	is($node->safe_psql('postgres', $measured . $held), $reloads ? 'f|-|f|f|f' : 'f|-|t|t|t', '... and ' . ($reloads ? 'promises nothing' : 'is recorded'));
}
set_fsync('off');

# Refused before anything is made.
for my $case (
	[ '{}', qr/requires option "backup_id" or "storage"/ ],
	[ '{"storage": "pgmaint_local"}', qr/requires option "key" or "database", but not both/ ],
	[ '{"backup_id": 1, "storage": "pgmaint_local"}', qr/does not allow option "backup_id" together with "storage"/ ],
	[ '{"backup_id": 999}', qr/backup 999 does not exist/ ],
	[ '{"storage": "pgmaint_local", "key": "none.dump.gz"}', qr/has no manifest/ ],
	[ qq({"backup_id": $backup, "into": "postgres"}), qr/database "postgres" already exists/ ],
	[ qq({"backup_id": $backup, "into": "postgres", "replace": true}), qr/cannot be replaced by a run in the same database/ ],
	[ qq({"backup_id": $backup, "min_free": "1000000 TB"}), qr/not enough disk space/ ])
{
	($state, $error) = run_backup_action($node, 'restore_backup', $case->[0]);
	like("$state $error", $case->[1], "$case->[0] is refused");
}
$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN; GRANT USAGE ON SCHEMA pgmaint TO plain;
	GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO plain');
($state, $error) = run_backup_action($node, 'restore_backup', qq({"backup_id": $backup}), 'plain');
like($error, qr/permission denied to restore a backup; Role "plain" lacks: pg_execute_server_program, CREATEDB\.$/, 'a role without rights is told which it lacks');

# Code of a dump chooses no comment that stays.
$node->safe_psql('postgres', 'CREATE DATABASE commented');
my $comment = "COMMENT ON TABLE public.c IS '" . ('x' x 200) . "';";
$node->safe_psql('commented', "CREATE TABLE c (i int); $comment");
backup_by_hand($node, 'commented', 'daily/commented.dump.gz', unknown => 1, instead => [ $comment,
	q(DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), 'leak'); END $$;) ]);
($state, $error) = run_backup_action($node, 'restore_backup', '{"storage": "pgmaint_local", "key": "daily/commented.dump.gz", "into": "uncommented"}');
is("$state $error", 'succeeded ', 'a dump that comments on its database is restored');
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_shdescription WHERE description = 'leak')), '0', '... without that comment');

# Passwords that a dump has in the clear: told, or left out.
$node->safe_psql('postgres', 'CREATE DATABASE keeper');
$node->safe_psql('keeper', q{
	CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) g;
	ALTER TABLE t ADD PRIMARY KEY (id);
	CREATE VIEW v AS SELECT * FROM t;
	SELECT lo_from_bytea(0, 'abc');
	CREATE EXTENSION pgmaint;
	CREATE SERVER far FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bucket/far');
	CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (access_key_id 'mine', secret_access_key 'xyzzy1');
	CREATE USER MAPPING FOR PUBLIC SERVER pgmaint_local;
	CREATE SUBSCRIPTION fed CONNECTION 'host=none password=xyzzy2' PUBLICATION p WITH (connect = false);
	COMMENT ON SUBSCRIPTION fed IS 'xyzzy3';
});
my %secret;
for my $case ([ 'clear', '' ], [ 'excluded', ', "exclude_secrets": true' ])
{
	my ($which, $option) = @$case;
	($backup_state, $backup_error) = end_of_backup($node, begin_backup($node, qq({"databases": "keeper", "globals": false, "retries": 0, "compression": "gzip"$option})));
	is("$backup_state $backup_error", 'succeeded ', "a backup with secrets, $which");
	my ($id, $key, $bytes) = split /\|/, $node->safe_psql('postgres', "SELECT backup_id, key, dump_bytes FROM pgmaint_internal.backup_records WHERE database = 'keeper' ORDER BY 1 DESC LIMIT 1");
	my $file = folder_of($node) . "/$key";
	my $plain = $node->basedir . "/$which.dump";
	my $written = slurp_file($file);
	gunzip(\$written => \$secret{$which}, MultiStream => 1) or die $GunzipError;
	open my $out, '>:raw', $plain or die $!;
	print {$out} $secret{$which};
	close $out or die $!;
	is(length $secret{$which}, $bytes, '... has as many bytes as the ledger says');
	my $list = `pg_restore -l $plain`;
	is($?, 0, '... has a table of contents that pg_restore lists');
	is(scalar(() = $list =~ /USER MAPPING|SUBSCRIPTION/g) > 0, $which eq 'clear', '... with or without what has secrets');
	like($list, qr/TABLE DATA public t .*SERVER - far|SERVER - far .*TABLE DATA public t /s, '... and with the rest');
	$node->safe_psql('postgres', "CREATE DATABASE plain_$which");
	is(system('pg_restore', '--exit-on-error', '--no-subscriptions', '-h', $node->host, '-p', $node->port, '-d', "plain_$which", $plain), 0, '... which pg_restore restores');
	($state, $error) = run_backup_action($node, 'verify_backup', qq({"backup_id": $id}));
	is("$state $error", 'succeeded ', '... and is restorable');
	($state, $error, $run) = run_backup_action($node, 'restore_backup', qq({"backup_id": $id, "into": "keeper_$which"}));
	is("$state $error", 'succeeded ', '... and restored');
	$secret{"told $which"} = $node->safe_psql('postgres', "SELECT string_agg(message, ' ') FROM pgmaint.findings WHERE run_id = $run");
	is($node->safe_psql("keeper_$which", 'SELECT (SELECT count(*) FROM pg_user_mappings), (SELECT count(*) FROM t), (SELECT count(*) FROM pg_largeobject)'),
		($which eq 'clear' ? 1 : 0) . '|1000|1', '... as far as it goes');
}
like($secret{clear}, qr/xyzzy1.*xyzzy2|xyzzy2.*xyzzy1/s, 'a dump has passwords in the clear');
unlike($secret{excluded}, qr/xyzzy/, '... and none with exclude_secrets');
like($secret{'told clear'}, qr/contains the options of 2 user mappings or subscriptions in plain text, including passwords/, 'restoring says so');
like($secret{'told excluded'}, qr/was made with exclude_secrets; a database restored from it lacks these objects, create them again: .*USER MAPPING .* SERVER far.*SUBSCRIPTION fed/, '... or what is missing');

# A damaged object does not become a database.
my $object = slurp_file(folder_of($node) . '/daily/one.dump.gz');
my $damaged = $object;
substr($damaged, length($object) - 4, 1) = chr(ord(substr($damaged, length($object) - 4, 1)) ^ 1);
write_object($node, 'daily/one.dump.gz', $damaged);
my $databases = $node->safe_psql('postgres', 'SELECT count(*) FROM pg_database');
($state, $error, $run) = run_backup_action($node, 'restore_backup', qq({"backup_id": $backup}));
like("$state $error", qr/^failed backup daily\/one.dump.gz could not be restored: the object is damaged: its SHA-256/, 'a flipped byte is found');
is($node->safe_psql('postgres', "SELECT severity FROM pgmaint.findings WHERE run_id = $run"), 'critical', '... and is critical');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_database'), $databases, '... and nothing is left of it');
write_object($node, 'daily/one.dump.gz', $object);

# replace: the live database is replaced, and none of its sessions is terminated.
$node->safe_psql($name, 'DELETE FROM t');
my $session = $node->background_psql($name);
$session->query_safe('SELECT 1');
$run = $node->safe_psql('postgres', qq(SELECT pgmaint.run_action('restore_backup', '{"backup_id": $backup, "replace": true}')));
my $locked = 0;
while (1)
{
	my ($ended, $locks) = split /\|/, $node->safe_psql('postgres', qq(SELECT r.state NOT IN ('queued', 'running'), (SELECT count(*) FROM pg_locks l
		WHERE l.classid = 'pg_database'::regclass AND l.mode = 'AccessExclusiveLock' AND l.granted
		AND l.objid = (SELECT d.oid FROM pg_database d WHERE d.datname = \$\$$name\$\$)) FROM pgmaint.runs r WHERE r.run_id = $run));

	$locked += $locks;
	last if $ended eq 't';
}
is($locked, 0, 'new sessions can connect while a live database is in use');
($state, $error) = split /\|/, $node->safe_psql('postgres', "SELECT state, error FROM pgmaint.tasks WHERE run_id = $run");
like("$state $error", qr/^failed database "Größe ""1""" was restored as "Größe ""1""_restored_\w+", but not replaced, because sessions are using it: .*process \d+.*; when these have ended: ALTER DATABASE .* RENAME TO .*; ALTER DATABASE .* RENAME TO/,
	'a live database that is in use is not replaced');
is($session->query_safe('SELECT 2'), '2', '... and the session goes on');
$session->quit;
my ($by_hand) = $error =~ /when these have ended: (.*)$/;
for my $command (split /; /, $by_hand)
{
	$node->safe_psql('postgres', $command);
}
is($node->safe_psql($name, 'SELECT count(*) FROM public.t'), '5000', '... and the commands that are told finish it');
is(databases_left($node), '0|0|0', '... with nothing left');
$node->safe_psql($name, 'DELETE FROM t WHERE id > 17');
($state, $error, $run) = run_backup_action($node, 'restore_backup', qq({"backup_id": $backup, "replace": true}));
is("$state $error", 'succeeded ', 'a live database is replaced');
is($node->safe_psql($name, 'SELECT count(*) FROM public.t'), '5000', '... by what was backed up');
my $old = $node->safe_psql('postgres', "SELECT result ->> 'replaced' FROM pgmaint.tasks WHERE run_id = $run");
is($node->safe_psql($old, 'SELECT count(*) FROM public.t'), '17', '... and is kept');

# Interrupted.
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
	my $begun = $node->safe_psql('postgres', qq(SELECT pgmaint.run_action('restore_backup', '{"backup_id": $slow}')));
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname ~ '^pgmaint_' AND wait_event = 'PgSleep'")
	  or die 'nothing is being restored';
	return $begun;
}
$run = begin_slow();
isnt($node->psql($node->safe_psql('postgres', 'SELECT database FROM pgmaint_internal.scratch_databases'), 'SELECT 1', extra_params => [ '-U', 'plain' ]),
	0, 'other roles may not connect to an incomplete database');
$node->safe_psql('postgres', "SELECT pgmaint.cancel($run)");
is(wait_for_end($node, $run), 'cancelled', 'it can be cancelled');
is(databases_left($node), '0|0|0', '... and nothing is left');
begin_slow();
my $offset = -s $node->logfile;
kill 'KILL', $node->safe_psql('postgres', 'SELECT pid FROM pgmaint.progress');
wait_for_restart($node, $offset);
run_backup_action($node, 'analyze', '{"tables": "pg_catalog.pg_class"}');
is(databases_left($node), '0|0|0', 'after a crash, nothing is left once there was another run');

# The disaster: another server, which has nothing but the storage.
$node->safe_psql('postgres', 'CREATE DATABASE orders');
$node->safe_psql('orders', 'CREATE TABLE o AS SELECT g FROM generate_series(1, 100) g; ALTER TABLE o OWNER TO reader');
backup_by_hand($node, 'orders', 'daily/old.dump.gz');
$node->safe_psql('orders', 'INSERT INTO o VALUES (101)');
backup_by_hand($node, 'orders', 'daily/new.dump.gz');
my $orders = dump_of($node, 'orders');
my $storage = folder_of($node);
$node->stop;

my $fresh = start_server('fresh');
$fresh->safe_psql('postgres', "CREATE SERVER backups FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$storage')");
($state, $error) = run_backup_action($fresh, 'restore_backup', '{"storage": "backups", "database": "orders", "into": "orders"}');
like("$state $error", qr{^failed storage "backups" has no backup of database "orders" that was made by this database; The newest backup, "daily/new\.dump\.gz", was made by another database},
	'the newest backup of another database is named, not taken');
($state, $error) = run_backup_action($fresh, 'restore_backup', '{"storage": "backups", "key": "daily/new.dump.gz", "into": "orders"}');
like("$state $error", qr/^failed the backup needs roles that do not exist on this server: reader/, 'roles that are missing are told before work starts');
is(exists_database($fresh, 'orders'), '0', '... and nothing was made');
($state, $error, $run) = run_backup_action($fresh, 'restore_backup', '{"storage": "backups", "key": "daily/new.dump.gz", "into": "orders", "create_roles": true}');
is("$state $error", 'succeeded ', 'a fresh server restores the backup that is named');
is(dump_of($fresh, 'orders'), $orders, '... which is the database that was lost');
($state, $error, $run) = run_backup_action($fresh, 'restore_backup', '{"storage": "backups", "key": "daily/old.dump.gz", "no_owner": true}');
is("$state $error", 'succeeded ', '... or an older one');
is($fresh->safe_psql(result($fresh, $run), 'SELECT count(*) FROM o'), '100', '... with what it had');
($state, $error, $run) = run_backup_action($fresh, 'verify_backup', '{"storage": "backups", "key": "daily/new.dump.gz"}');
is("$state $error", 'succeeded ', '... and verifies what its ledger does not know');
is(databases_left($fresh), '0|0|0', '... and nothing is left');

# The option database restores the newest backup that is restorable.
my $new = slurp_file("$storage/daily/new.dump.gz");
substr($new, length($new) - 4, 1) = chr(ord(substr($new, length($new) - 4, 1)) ^ 1);
open my $damage, '+<:raw', "$storage/daily/new.dump.gz" or die $!;
print {$damage} $new;
close $damage or die $!;
($state, $error, $run) = run_backup_action($fresh, 'verify_backup', '{"storage": "backups", "key": "daily/new.dump.gz"}');
like("$state $error", qr/^failed .*the object is damaged/, 'the newest backup is found damaged');
is($fresh->safe_psql('postgres', q(SELECT pgmaint.take_over(identity) FROM (SELECT DISTINCT identity FROM pgmaint.list_backups('backups') WHERE database = 'orders') b)),
	'1', 'the fresh server takes over');
($state, $error, $run) = run_backup_action($fresh, 'restore_backup', '{"storage": "backups", "database": "orders", "into": "again", "create_roles": true}');
is("$state $error", 'succeeded ', 'the newest of a database is restored');
is($fresh->safe_psql('again', 'SELECT count(*) FROM o'), '100', '... which is the one before it');
done_testing();
