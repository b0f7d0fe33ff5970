# Backups are what the runbook's own commands restore; what is asked for is in
# them, and they are refused where a role, a program or an option is not good for
# it, in words that say why.
#
# Objects go to a real S3 server, too, where there is one.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use FindBin;
use lib "$FindBin::RealBin/..";

use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use JSON::PP;
use PgmaintBackups;
use PgmaintS3;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $real = `pg_config --bindir`);
# texts are bytes here, as they came
my $json = JSON::PP->new;
my $missing = PgmaintS3::missing();
my $s3 = $missing ? undef : PgmaintS3->start;

$s3->create_bucket('bucket') if $s3;
my $node = start_server('backup', 'log_statement = all', 'fsync = off', "pgmaint.max_wait = '2s'", "timezone = 'UTC'");
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $hba = $node->data_dir . '/pg_hba.conf';

sub sql
{
	my ($statement) = @_;
	utf8::downgrade($statement);
	return $node->safe_psql('postgres', $statement);
}

sub told
{
	my ($run) = @_;
	return sql("SELECT string_agg(severity || ': ' || message, E'\\n' ORDER BY finding_id) FROM pgmaint.findings WHERE run_id = $run AND object <> 'pgmaint_local'");
}

sub nothing_left
{
	my ($name, $storage) = @_;

	is(scalar programs_of($node), 0, "$name: no program is left");
	is(strangers($node, $storage), '', '... no object');
	is(scalar $s3->uploads('bucket'), 0, '... and no upload') if $s3 && $storage ne 'pgmaint_local';
}

sub content
{
	my ($storage, $key) = @_;
	return $storage eq 'pgmaint_local' ? slurp_file(folder_of($node) . "/$key") : $s3->get('bucket', $key);
}

# the settings that all sessions have from now on
sub set
{
	my ($name, $value) = @_;
	sql("LOAD 'pgmaint'; ALTER SYSTEM " . (defined $value ? "SET $name = '$value'" : "RESET $name"));
	$node->reload;
}

sub set_hba
{
	unlink $hba;
	append_to_file($hba, join "\n", @_, '');
	$node->reload;
}

# A run to its end.
sub backup
{
	my ($options, $as) = @_;
	return end_of_backup($node, begin_backup($node, $options, $as));
}

#
# What is in a database, in all its forms
#
my $odd = q{Größe "1" $x's};
sql(q{CREATE ROLE "B o""b" PASSWORD 'role-secret'; CREATE DATABASE "Größe ""1"" $x's" OWNER "B o""b"; CREATE DATABASE empty; CREATE DATABASE big});
$node->safe_psql($odd, q{
	CREATE SCHEMA "S $p'";
	CREATE TABLE "S $p'"."Tä""b	c" (id serial PRIMARY KEY, "$v'" int CHECK ("$v'" > 0), twice int GENERATED ALWAYS AS ("$v'" * 2) STORED);
	INSERT INTO "S $p'"."Tä""b	c" ("$v'") SELECT generate_series(1, 1234);
	CREATE TABLE kinds (b bytea, n numeric, t text, a int[], f float8);
	INSERT INTO kinds VALUES (decode(repeat('00ff5c0a', 1000), 'hex'), 1.50, E'\\.', '{1,NULL}', 'NaN'), (NULL, NULL, NULL, NULL, NULL), ('', 0, E'\n\t', '{}', -0.0);
	CREATE TABLE p (id int, d date) PARTITION BY RANGE (d);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
	CREATE TABLE p2 PARTITION OF p DEFAULT;
	INSERT INTO p SELECT g, date '2020-12-01' + g FROM generate_series(1, 60) g;
	CREATE INDEX "Ind éx" ON "S $p'"."Tä""b	c" ("$v'");
	CREATE TABLE nothing ();
	CREATE VIEW v AS SELECT * FROM p;
	CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM p;
	SELECT lo_from_bytea(0, decode(repeat('0001', 100000), 'hex'));
	SELECT lo_from_bytea(0, '');
	ALTER TABLE p OWNER TO "B o""b";
});
my @storages = ('pgmaint_local');
if ($s3)
{
	push @storages, 'remote';
	sql($s3->storage('remote', 'bucket'));
}

foreach my $storage (@storages)
{
	my ($state, $error, $run) = backup($json->encode({ storage => $storage, databases => [ $odd, 'empty' ], role_passwords => JSON::PP::true }));
	is("$state $error", 'succeeded ', "$storage: several databases with odd names");
	my @rows = map { [ split /\|/ ] } split /\n/,
	  sql("SELECT kind, key, bytes, sha256, dump_bytes FROM pgmaint.backups WHERE run_id = $run ORDER BY kind, database = 'empty'");
	is(scalar @rows, 3, '... are a backup each, and one of the roles');
	like($rows[0][1], qr{^backup/Gr.*/backup-\d{8}-\d{6}-[0-9a-f]{8}\.dump\.gz$}, '... under their names');
	foreach my $row (@rows)
	{
		my ($kind, $key, $bytes, $sha256, $dump_bytes) = @$row;
		my $object = content($storage, $key);
		my $dump;

		is(length $object, $bytes, "$key: the size of the object");
		is(sha256_hex($object), $sha256, '... its digest');
		gunzip(\$object => \$dump, MultiStream => 1) or die $GunzipError;
		is(length $dump, $dump_bytes, '... the size of the dump in it');
		my $manifest = $json->decode(content($storage, $key =~ s/\.(dump|sql)\.gz$/.json/r) // '{}');
		is("$manifest->{kind} $manifest->{key} $manifest->{bytes} $manifest->{sha256}", "$kind $key $bytes $sha256",
			'... which the manifest knows, too');
		if ($kind eq 'globals')
		{
			like($dump, qr/CREATE ROLE "B o""b";.*PASSWORD 'SCRAM/s, '... the roles, with passwords as asked for');
			next;
		}

		# as the runbook does it
		my $database = $key =~ /empty/ ? 'empty' : $odd;
		my $file = PostgreSQL::Test::Utils::tempdir() . '/object';
		append_to_file($file, $object);
		sql('DROP DATABASE IF EXISTS again');
		sql('CREATE DATABASE again TEMPLATE template0');
		is(system("gunzip < '$file' | pg_restore --exit-on-error -h '@{[ $node->host ]}' -p @{[ $node->port ]} -d again"), 0, '... gunzip and pg_restore read it');
		is(dump_of($node, 'again'), dump_of($node, $database =~ s/'/\\'/gr), '... and it is the database');
		foreach my $table (@{ $manifest->{tables} })
		{
			my $name = join '.', map { '"' . s/"/""/gr . '"' } $table->{schema}, $table->{name};
			utf8::downgrade($name);
			is($table->{rows}, $node->safe_psql('again', "SELECT count(*) FROM ONLY $name"), "... the rows of $name")
			  if defined $table->{rows};
		}
		is(scalar @{ $manifest->{tables} }, $database eq 'empty' ? 0 : 6, '... of all tables');
	}
}

#
# What can be asked for
#
$node->safe_psql('big', q{
	CREATE SCHEMA a; CREATE SCHEMA b;
	CREATE TABLE a.t AS SELECT 1 AS i; CREATE TABLE a.u AS SELECT 2 AS i; CREATE TABLE b.t AS SELECT 3 AS i});

sub tables_in
{
	my ($options) = @_;
	my ($state, $error, $run) = backup(qq({"databases": "big", "globals": false, "retries": 0, $options}));

	return "$state: $error" if $state ne 'succeeded';
	my $key = sql("SELECT key FROM pgmaint.backups WHERE run_id = $run");
	my $manifest = $json->decode(content('pgmaint_local', $key =~ s/\.dump.*$/.json/r));
	return join ' ', sort map { "$_->{schema}.$_->{name}" . (defined $_->{rows} ? '' : ' (empty)') } @{ $manifest->{tables} };
}
is(tables_in('"compression": "none"'), 'a.t a.u b.t', 'all');
is(tables_in('"schemas": "a"'), 'a.t a.u', 'a schema');
is(tables_in('"tables": ["a.t", "b.*"]'), 'a.t b.t', 'some tables');
is(tables_in('"exclude_schemas": "a"'), 'b.t', 'all schemas but one');
is(tables_in('"exclude_tables": "*.t"'), 'a.u', 'all tables but some');
is(tables_in('"exclude_table_data": ["a.u"]'), 'a.t a.u (empty) b.t', 'a definition alone');
like(tables_in('"tables": ["a.t", "a.none"]'), qr/^failed: pg_dump exited with code 1: pg_dump: error: no matching tables were found for pattern "a.none"/,
	'a table that is not there');
like(tables_in('"schemas": "a$(touch x); --file=y"'), qr/^failed: pg_dump exited with code 1: pg_dump: error: (no matching schemas|improper|cross-database)/,
	'a pattern is a pattern, and nothing else');

# Backups that differ in what they are made of alone have the same manifest: of
# those that begin within one second, the later one gets another.
sql(q{INSERT INTO pgmaint_internal.backup_records (storage, key, kind, database, state, compression)
	SELECT 'pgmaint_local', 'backup/backup-' || to_char(clock_timestamp() AT TIME ZONE 'UTC' + n * interval '1 s', 'YYYYMMDD-HH24MISS') || '.dump',
		'database', 'none', 'expired', 'none' FROM generate_series(0, 120) n
	ON CONFLICT DO NOTHING});
{
	my ($state, $error, $run) = backup('{"databases": "empty", "globals": false, "retries": 0}');

	is("$state $error", 'succeeded ', 'a backup in the same second as others');
	is(sql(qq{SELECT count(*) FROM pgmaint_internal.backup_records b JOIN pgmaint_internal.backup_records o ON o.key = regexp_replace(b.key, '\\.gz\$', '') WHERE b.run_id = $run}),
		0, '... has a manifest of its own');
}
sql(q{DELETE FROM pgmaint_internal.backup_records WHERE database = 'none'});

my ($state, $error, $run) = backup('{"databases": ["empty", "none"], "globals": false}');
like("$state $error", qr/^failed database "none" does not exist/, 'a database that is not there is refused by name');
is(tasks($node, $run), '"none" failed, empty succeeded', '... while others are backed up');
# what an interrupted DROP DATABASE leaves; and a template is a database, too
sql(q{CREATE DATABASE "half gone"});
sql(q{UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half gone'});
sql(q{CREATE DATABASE closed ALLOW_CONNECTIONS false});
($state, $error, $run) = backup('{"all_databases": true, "globals": false, "key": "all/{database}-{time}"}');
is("$state $error", 'succeeded ', 'all databases');
is(sql("SELECT count(*) FROM pgmaint.backups WHERE run_id = $run AND state = 'succeeded' AND key ~ '^all/.*-\\d{8}-\\d{6}\\.dump\\.gz\$'"),
	sql('SELECT count(*) FROM pg_database WHERE datallowconn AND datconnlimit <> -2'), '... each under the key that was asked for');
is(sql("SELECT count(*) FROM pgmaint.backups WHERE run_id = $run AND database = 'template1'"), 1, '... templates, too');
is(sql("SELECT message FROM pgmaint.findings WHERE run_id = $run AND object = '\"half gone\"'"),
	'database "half gone" is not backed up: the database is invalid because DROP DATABASE was interrupted; drop the database', '... but for one that is invalid, which a finding names');
is(sql("SELECT string_agg(message, ',') FROM pgmaint.findings WHERE run_id = $run AND message ~ 'no connections'"),
	'database closed is not backed up: the database allows no connections', '... or closed');
sql(q{DROP DATABASE "half gone"});
sql(q{DROP DATABASE closed});
($state, $error, $run) = backup('{"databases": "empty"}');
my $roles = content('pgmaint_local', sql("SELECT key FROM pgmaint.backups WHERE run_id = $run AND kind = 'globals'"));
gunzip(\$roles => \my $statements) or die $GunzipError;
unlike($statements, qr/PASSWORD/, 'roles without their passwords');
like($statements, qr/CREATE ROLE "B o""b";/, '... but all of them');
foreach my $case (
	[ '{"key": "no time"}', qr/lacks the placeholder \{time\}/ ],
	[ '{"databases": ["empty", "big"], "key": "{time}"}', qr/lacks the placeholder \{database\}/ ],
	[ '{"databases": "empty", "all_databases": true}', qr/"databases" and "all_databases"/ ],
	[ '{"compression": "rar"}', qr/rar.*(gzip|zstd)/s ],
	[ '{"storage": "nowhere"}', qr/nowhere/ ])
{
	my $begun = eval { begin_backup($node, $case->[0]) };
	like($begun ? join(' ', end_of_backup($node, $begun)) : $@, $case->[1], "$case->[0] is refused");
}
sql(q(SELECT pgmaint.define_plan('nightly', '[{"action": "backup", "options": {"databases": ["empty"], "globals": false}}]')));
my $backups = sql('SELECT count(*) FROM pgmaint_internal.backup_records');
is(sql(q(SELECT target, replace(command, left(pgmaint_internal.current_identity(), 8), 'ID') FROM pgmaint.dry_run('nightly'))),
	'empty|pg_dump --format=custom empty > pgmaint_local/nightly/backup-{time}-ID.dump.gz', 'a dry run says what would be done');
is(sql('SELECT count(*) FROM pgmaint_internal.backup_records'), $backups, '... and does nothing');
foreach my $word ('-Fp', '--file=x', '-Z9', '-j2', '--dbname=x')
{
	set('pgmaint.pg_dump_options', $word);
	($state, $error) = backup('{"databases": "empty", "globals": false}');
	like("$state $error", qr/^failed setting pgmaint.pg_dump_options must not contain -/, "pgmaint.pg_dump_options = '$word' is refused");
}
set('pgmaint.pg_dump_options', '--no-comments --exclude-schema=b');
is(tables_in('"schemas": ["a", "b"]'), 'a.t a.u', '... but what is harmless is passed on');
set('pgmaint.pg_dump_options');

#
# Programs that do not work, or are not let in
#
my $once = '{"databases": "empty", "globals": false, "retries": 0, "storage": "pgmaint_local"}';

sub fails
{
	my ($name, $expected, $options, $as) = @_;
	my ($state, $error, $run) = backup($options || $once, $as);
	my $storage = ($options || '') =~ /"storage": "(\w+)"/ ? $1 : 'pgmaint_local';

	like("$state $error", qr/^failed $expected/s, "$name: the task fails, in words that say why");
	is(sql("SELECT string_agg(DISTINCT state, ' ') FROM pgmaint.backups WHERE run_id = $run"), 'failed', '... and so does the backup');
	like(sql("SELECT max(error) FROM pgmaint.backups WHERE run_id = $run"), qr/^$expected/s, '... in the same words');
	nothing_left($name, $storage);
	return $run;
}
my $folder = PostgreSQL::Test::Utils::tempdir();
symlink "$real/psql", "$folder/psql";
set('pgmaint.program_directory', $folder);
$run = fails('no pg_dump', qr/could not find program "\Q$folder\E\/pg_dump": No such file or directory/);
like(told($run), qr/^warning: the backup of empty failed: could not find/, '... a failure is a finding');
append_to_file("$folder/pg_dump", <<'EOS');
#!/bin/sh
echo 'pg_dump: error: aborting because of server version mismatch
pg_dump: detail: server version: 99.1; pg_dump version: 9.6.1' >&2
exit 1
EOS
chmod 0755, "$folder/pg_dump";
$run = fails('an old pg_dump', qr/pg_dump exited with code 1: pg_dump: error: aborting because of server version mismatch(?s:.*)99\.1/);
like(told($run), qr/^critical: the backup of empty failed, as did the previous one: pg_dump exited[^\n]*version mismatch[^\n]*\n[^\n]*$/, '... and repeated failure one that is critical');
set('pgmaint.program_directory');
set_hba("local postgres,template1 $superuser trust", 'local all keeper scram-sha-256', 'local all all reject');
$run = fails('a login that is refused', qr/could not log in to database "empty" as role "\Q$superuser\E"; .*pg_hba.conf/);

#
# Rights, and secrets
#
my $password = 'keeper-secret-word';
sql("CREATE ROLE plain LOGIN; CREATE ROLE keeper LOGIN PASSWORD '$password' IN ROLE plain;
	GRANT USAGE ON SCHEMA pgmaint TO plain; GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO plain; GRANT CREATE ON DATABASE big TO keeper;
	GRANT USAGE ON FOREIGN SERVER pgmaint_local TO plain; GRANT pg_write_server_files, pg_read_server_files TO plain");
set_hba('local all all trust');
fails('a role that may not start programs', qr/permission denied to run pg_dump; Role "plain" does not have the privileges of role "pg_execute_server_program"/, $once, 'plain');
sql('GRANT pg_execute_server_program TO keeper; REVOKE USAGE ON FOREIGN SERVER pgmaint_local FROM plain; REVOKE pg_write_server_files, pg_read_server_files FROM plain');
fails('a role that may not use the storage', qr/permission denied for foreign server pgmaint_local/, $once, 'keeper');
sql('GRANT USAGE ON FOREIGN SERVER pgmaint_local TO keeper; GRANT pg_read_server_files, pg_write_server_files TO keeper');
($state, $error) = backup($once, 'keeper');
is("$state $error", 'succeeded ', 'a role that is no superuser makes a backup');
fails('a table that the role cannot read', qr/pg_dump exited with code 1: pg_dump: error: .*permission denied for (table|schema) /, $once =~ s/empty/big/r, 'keeper');
$node->safe_psql('big', 'GRANT USAGE ON SCHEMA a, b TO keeper; GRANT SELECT ON ALL TABLES IN SCHEMA a, b TO keeper; ALTER TABLE a.t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON a.t USING (i > 9)');
fails('rows that the role cannot see', qr/pg_dump exited with code 1: pg_dump: error: .*row-level security/, $once =~ s/empty/big/r, 'keeper');
$node->safe_psql('big', 'ALTER TABLE a.t DISABLE ROW LEVEL SECURITY');

# what is set for the sessions of the role, or of all roles, cuts no backup off
foreach my $as ($superuser, 'keeper')
{
	sql("ALTER ROLE $as SET statement_timeout = '1ms'; ALTER ROLE $as SET idle_in_transaction_session_timeout = '1ms'; ALTER ROLE $as SET idle_session_timeout = '1ms';
		ALTER ROLE $as SET lock_timeout = '1ms'; ALTER ROLE $as SET default_transaction_read_only = on; ALTER ROLE $as SET array_nulls = off; ALTER ROLE $as SET datestyle = 'German';
		ALTER ROLE ALL SET zero_damaged_pages = on");
	{
		local $ENV{PGOPTIONS} = '-c statement_timeout=0 -c default_transaction_read_only=off -c idle_session_timeout=0 -c lock_timeout=0';
		($state, $error) = backup($once, $as);
		is("$state $error", 'succeeded ', "a role that may work for 1 ms: a backup by $as");
		sql("ALTER ROLE $as RESET ALL; ALTER ROLE ALL RESET ALL");
	}
}
# names that would be found first if names were looked up by search_path
my $evidence = "$folder/evidence";
$node->safe_psql('big', q{
	CREATE SCHEMA evil;
	CREATE FUNCTION evil.act() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN COPY (SELECT 1) TO PROGRAM 'touch EVIDENCE'; EXCEPTION WHEN OTHERS THEN NULL; END $f$;
	CREATE FUNCTION evil.equal(name, name) RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM evil.act(); RETURN true; END';
	CREATE OPERATOR evil.= (FUNCTION = evil.equal, LEFTARG = name, RIGHTARG = name);
	CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN PERFORM evil.act(); RETURN '1'; END $f$;
	CREATE FUNCTION evil.set_config(text, text, bool) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN PERFORM evil.act(); RETURN '1'; END $f$;
	CREATE FUNCTION evil.pg_get_userbyid(oid) RETURNS name LANGUAGE plpgsql AS $f$ BEGIN PERFORM evil.act(); RETURN 'x'; END $f$;
	CREATE FUNCTION evil.pg_database_size(oid) RETURNS int8 LANGUAGE plpgsql AS $f$ BEGIN PERFORM evil.act(); RETURN 1; END $f$;
	GRANT ALL ON SCHEMA evil TO PUBLIC;
	ALTER DATABASE big SET search_path = evil, pg_catalog;
} =~ s/EVIDENCE/$evidence/r);
foreach my $as (undef, 'keeper')
{
	($state, $error) = backup($once =~ s/empty/big/r, $as);
	is("$state $error", 'succeeded ', 'a database that lays traps is backed up');
	ok(!-e $evidence, '... and does nothing meanwhile');
}
$node->safe_psql('postgres', 'ALTER DATABASE big RESET search_path');
$node->safe_psql('big', 'DROP SCHEMA evil CASCADE');

no_processes_left($node, 'no process is left');
done_testing();
