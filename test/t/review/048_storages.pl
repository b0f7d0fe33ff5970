# What the ledger says and what storages have, held against each other by the
# action validate: objects that are gone, changed, unknown, unreadable.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('storages', q(timezone = 'UTC'));
my $folder = $node->data_dir . '/pgmaint';
my $aside = $node->basedir;

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub error_of
{
	my ($statement) = @_;
	my (undef, undef, $error) = $node->psql('postgres', $statement);

	return $error;
}

# Runs an action; returns the run.
sub run_action
{
	my ($action, $options, $expected) = @_;
	my $run = sql(sprintf "SELECT pgmaint.run_action('%s', '%s')", $action, $options || '{}');

	is(wait_for_end($node, $run), $expected || 'succeeded', "$action ends") or diag run_error($node, $run);
	return $run;
}

# The findings of a run about storages, each with its severity.
sub findings
{
	my ($run) = @_;
	return sql("SELECT string_agg(concat(check_id, ' ', severity, ' ', object, ': ', message), E'\\n' ORDER BY finding_id) FROM pgmaint.findings
		WHERE run_id = $run AND check_id IN ('storage', 'archive', 'unknown_objects', 'failed', 'skipped', 'privileges')");
}

sub result
{
	my ($run, $field) = @_;
	return sql("SELECT t.result ->> '$field' FROM pgmaint.tasks t WHERE t.run_id = $run AND t.target = 'storage pgmaint_local'");
}

sub status
{
	return sql(q(SELECT status || ' ' || detail FROM pgmaint.validate() WHERE check_id = 'storage'));
}

sub manifest_of
{
	my ($key) = @_;
	$key =~ s/\.(csv|dump|sql).*$/.json/;
	return $key;
}

# Nothing is there yet.
like(status(), qr/^ok the ledger has no archives or backups$/, 'no storage is in use');
is(sql(q(SELECT count(*) FROM pgmaint.dry_run('daily') WHERE action = 'validate')), 1, '... and none is looked at');

# Three archives and a backup.
sql(<<'EOS');
CREATE TABLE events (id int, at timestamptz, what text);
INSERT INTO events SELECT g, now() - interval '100 days' - g * interval '1 day', repeat(md5(g::text), 20) FROM generate_series(1, 3000) g;
CREATE TABLE events_before AS SELECT * FROM events;
SELECT pgmaint.add_retention('events', 'at', '90 days', storage => 'pgmaint_local', slice => '1000 days');
EOS
run_action('retention');
run_action('backup', '{"databases": "postgres", "globals": false}');
my @keys = split /\n/, sql('SELECT key FROM pgmaint.archives ORDER BY archive_id');
cmp_ok(scalar @keys, '>=', 3, 'archives');
my $backup = sql('SELECT key FROM pgmaint_internal.backup_records');
like(status(), qr/^ok storage pgmaint_local was not compared with the ledger yet/, 'not compared yet');
sql(q(UPDATE pgmaint.thresholds SET value = '0' WHERE check_id = 'storage'));
like(status(), qr/^warning storage pgmaint_local was not compared with the ledger yet; compare it with SELECT pgmaint\.run_action\('validate'\)/, '... which is a warning when it takes too long');
sql(q(UPDATE pgmaint.thresholds SET value = default_value));
is(sql(q(SELECT string_agg(target, ', ' ORDER BY target) FROM pgmaint.dry_run('daily') WHERE action = 'validate')), 'postgres, storage pgmaint_local', 'a task for the storage');
my $run = run_action('validate');
is(findings($run), '', 'all is there');
is(result($run, 'known'), @keys + 1, '... archives and backup');
is(result($run, 'objects'), 2 * (@keys + 1), '... each with its manifest');
is(result($run, 'archives_read'), 1, 'one archive is read');
like(status(), qr/^ok storage pgmaint_local was compared with the ledger 00:0\d:00 ago: no object is missing$/, 'validate() tells the age');
like(sql("SELECT string_agg(line, ' ') FROM pgmaint.report($run) line"), qr/storage pgmaint_local: @{[ @keys + 1 ]} of @{[ @keys + 1 ]} objects/, 'the report tells it, too');

# What is not compared for longer than a week is a warning.
sql(q(UPDATE pgmaint.storage_checks SET checked_at = checked_at - interval '9 days'));
like(status(), qr/^warning storage pgmaint_local was compared with the ledger 9 days.* ago: /, 'an old comparison');

# Objects that are gone, or have another size.
rename "$folder/$keys[0]", "$aside/archive.aside" or die;
rename "$folder/$backup", "$aside/backup.aside" or die;
append_to_file("$folder/$keys[1]", 'more');
$run = run_action('validate');
like(findings($run), qr/^storage critical pgmaint_local: of \d+ objects of the ledger in storage pgmaint_local, 2 are missing, 1 has another size than in the ledger: archive 1 \(\Q$keys[0]\E\), backup 1 \(\Q$backup\E\), archive 2/m, 'missing and differing objects');
like(findings($run), qr/SELECT \* FROM pgmaint\.verify_archive/, 'the one that has grown was read, too') if findings($run) =~ /archive critical/;
like(status(), qr/^critical .*; 2 objects are missing: archive 1 \(\Q$keys[0]\E\), backup 1 \(\Q$backup\E\); 1 object has another size than in the ledger: archive 2/, 'validate() names them');
is(sql('SELECT pgmaint.validate_ok()'), 'f', '... and is not ok');
is(sql(q(SELECT value FROM pgmaint.metrics WHERE labels ->> 'check' = 'storage')), 2, '... as the run that found them has told the metrics');
is(sql(q(SELECT detail -> 'differing' -> 0 ->> 'found_bytes' FROM pgmaint.storage_checks)), -s "$folder/$keys[1]", 'sizes are in the detail');
rename "$aside/archive.aside", "$folder/$keys[0]" or die;
rename "$aside/backup.aside", "$folder/$backup" or die;
truncate "$folder/$keys[1]", (-s "$folder/$keys[1]") - 4;
sql('SELECT * FROM pgmaint.archives a, pgmaint.verify_archive(a.archive_id)');
$run = run_action('validate');
is(findings($run), '', 'all is there again');
is(sql(q(SELECT count(*) FROM pgmaint_internal.alert_records WHERE check_id = 'storage' AND resolved_at IS NULL)), 0, 'no alert is left') if sql('SELECT count(*) FROM pgmaint_internal.alert_records') > 0;

# One byte is another: found when its turn comes, told until it was found whole.
sub flip
{
	my ($path, $at) = @_;
	open my $file, '+<:raw', $path or die "$path: $!";
	seek $file, $at, 0;
	read $file, my $byte, 1;
	seek $file, $at, 0;
	print {$file} chr(ord($byte) ^ 1);
	close $file or die;
	return;
}
my $middle = int((-s "$folder/$keys[2]") / 2);
flip("$folder/$keys[2]", $middle);
$run = run_action('validate', '{"archive_check_days": 0}');
is(result($run, 'archives_read'), 0, 'reading can be switched off');
sql(q(UPDATE pgmaint.storage_checks SET archives_read_at = archives_read_at - interval '90 days'));
$run = run_action('validate');
like(findings($run), qr/^archive critical pgmaint_local\/\Q$keys[2]\E: archive 3 of public\.events is damaged: object \Q$keys[2]\E in storage pgmaint_local: .*; to read the archive again: SELECT \* FROM pgmaint\.verify_archive\(3\)$/m, 'a damaged archive');
is(sql(q(SELECT string_agg(archive_id::text, ', ') FROM pgmaint.archives WHERE check_result = 'damaged')), '3', '... is noted');
is(sql(q(SELECT count(*) FROM pgmaint.archives WHERE checked_at < (SELECT max(checked_at) FROM pgmaint.storage_checks))), 0, 'after 90 days all are read');
like(status(), qr/^critical .*: no object is missing; 1 archive is damaged: 3 \(\Q$keys[2]\E\)$/, 'validate() names it');
$run = run_action('validate');
like(findings($run), qr/^archive critical/m, 'it is told by the next run, too');
flip("$folder/$keys[2]", $middle);
is(sql('SELECT bool_and(ok) FROM pgmaint.verify_archive(3)'), 't', 'it is whole again');
is(sql('SELECT check_result, check_error IS NULL FROM pgmaint.archives WHERE archive_id = 3'), 'whole|t', '... which is noted');
$run = run_action('validate');
is(findings($run), '', '... and told no more');

# All archives have their turn within archive_check_days.
my $turns = 0;
sql(q(UPDATE pgmaint.archives SET checked_at = '2026-01-01'));
while (sql(q(SELECT count(*) FROM pgmaint.archives WHERE checked_at = '2026-01-01')) > 0 && $turns < 20)
{
	sql(q(UPDATE pgmaint.storage_checks SET archives_read_at = clock_timestamp() - interval '9 days'));
	run_action('validate', '{"archive_check_days": 30}');
	$turns++;
}
cmp_ok($turns, '<=', 4, 'four runs, nine days apart, read all within thirty');
cmp_ok($turns, '>', 1, '... and not one of them');

# What is complete and stands in no row, with the commands that work.
sql(q(CREATE TABLE row_of AS SELECT * FROM pgmaint.archives WHERE archive_id IN (1, 2); DELETE FROM pgmaint.archives WHERE archive_id IN (1, 2);
	CREATE TABLE backup_row AS SELECT * FROM pgmaint_internal.backup_records; DELETE FROM pgmaint_internal.backup_records));
$run = run_action('validate');
my $told = findings($run);
like($told, qr/^unknown_objects warning pgmaint_local: storage pgmaint_local has 3 complete objects of this database that are not in the ledger: /m, 'unknown objects');
is(sql("SELECT jsonb_array_length(detail -> 'unknown') FROM pgmaint.findings WHERE run_id = $run AND check_id = 'unknown_objects'"), 3, '... by key');
like($told, qr/\Q; to adopt backups: SELECT pgmaint.adopt_backups('pgmaint_local'); to adopt an archive: SELECT pgmaint.adopt_archive('pgmaint_local', '\E(\Q$keys[0]\E|\Q$keys[1]\E)'\); to remove an object: SELECT pgmaint\.remove_object\(/, '... with commands');
is(sql("SELECT pgmaint.adopt_backups('pgmaint_local')"), 1, 'the backup is adopted');
my $adopted = sql("SELECT pgmaint.adopt_archive('pgmaint_local', '$keys[0]')");
is( sql("SELECT a.relation = r.relation AND a.rows = r.rows AND a.bytes = r.bytes AND a.sha256 = r.sha256 AND a.range_from = r.range_from AND a.range_to = r.range_to
		AND a.content_sha256 = r.content_sha256 AND a.columns = r.columns AND a.identity = r.identity AND a.run_id = r.run_id AND a.policy_id = r.policy_id
		FROM pgmaint.archives a JOIN row_of r USING (key) WHERE a.archive_id = $adopted"), 't', 'the archive is adopted as it was');
is(sql("CREATE TABLE back (LIKE events); SELECT pgmaint.restore_archive($adopted, 'back')"), sql("SELECT rows FROM row_of WHERE key = '$keys[0]'"), '... and restored');
is(sql('SELECT count(*) FROM (SELECT * FROM back EXCEPT SELECT * FROM events_before) x'), 0, '... with the rows that were archived');
like(error_of("SELECT pgmaint.adopt_archive('pgmaint_local', '$keys[0]')"), qr/is already in the ledger\nDETAIL:  The object belongs to archive $adopted\./, 'it is adopted once');
like(error_of("SELECT pgmaint.adopt_archive('pgmaint_local', '$backup')"), qr/is not an archive/, 'a backup is no archive');
like(error_of("SELECT pgmaint.adopt_archive('pgmaint_local', 'archives/none.csv.gz')"), qr/object "archives\/none\.csv\.gz" does not exist in storage "pgmaint_local"/, 'no object');

# Removing: nothing that the ledger knows, that is another's, or that is not
# what its manifest says.
sub refused
{
	my ($key, $why, $name) = @_;
	my $objects = sql(q(SELECT count(*) FROM pgmaint.list_objects('pgmaint_local')));

	like(error_of("SELECT pgmaint.remove_object('pgmaint_local', '$key')"), qr/cannot remove object "\Q$key\E" from storage "pgmaint_local"\nDETAIL:  $why/, $name);
	is(sql(q(SELECT count(*) FROM pgmaint.list_objects('pgmaint_local'))), $objects, '... and nothing is gone');
	return;
}
refused($keys[0], "The object is archive $adopted in storage pgmaint_local\\.", 'an archive of the ledger');
refused($backup, 'The object is backup \d+ in storage pgmaint_local\.', 'a backup of the ledger');
refused('.pgmaint/owners/x', "The object is one of pgmaint's own records\\.", 'a record of its own');
sql("INSERT INTO pgmaint_internal.uploads (task_id, action, storage, key, mark) VALUES (1, 'retention', 'pgmaint_local', '$keys[1]', 'm')");
refused($keys[1], 'Task 1 is writing the object, or was interrupted while writing the object\.', 'what is being written');
$run = run_action('validate', '{"archive_check_days": 0}');
unlike(findings($run), qr/\Q$keys[1]\E/, '... which is not told either');
sql('DELETE FROM pgmaint_internal.uploads');
sql("CREATE SERVER same FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder/archives')");
(my $key_there = $keys[0]) =~ s{^archives/}{};
like(error_of("SELECT pgmaint.remove_object('same', '$key_there')"), qr/DETAIL:  The manifest does not describe/, 'the same folder by another name');
my $manifest = slurp_file("$folder/" . manifest_of($keys[1]));
sub write_manifest
{
	my ($text) = @_;
	open my $file, '>', "$folder/" . manifest_of($keys[1]) or die;
	print {$file} $text;
	close $file or die;
	return;
}
my $identity = sql('SELECT pgmaint_internal.current_identity()');
(my $other = $manifest) =~ s/$identity/0123456789abcdef0123456789abcdef/ or die 'no identity in the manifest';
write_manifest($other);
refused($keys[1], 'A database with identity 0123456789abcdef0123456789abcdef wrote the object\.\nHINT:  If this database is the successor of that database, take over its objects: SELECT pgmaint\.take_over\(', 'what another database wrote');
$run = run_action('validate', '{"archive_check_days": 0}');
is(findings($run), 'unknown_objects info pgmaint_local: storage pgmaint_local has 1 object of 1 other database', '... which is counted');
# It may be adopted, to be read; whose it is goes on, and is not taken over by the way.
my $foreign = sql("SELECT pgmaint.adopt_archive('pgmaint_local', '$keys[1]')");
is(sql("SELECT adopted_at IS NOT NULL FROM pgmaint.archives WHERE archive_id = $foreign"), 't', 'an archive of another database is adopted');
is(sql("SELECT adopted_at IS NULL FROM pgmaint.archives WHERE archive_id = $adopted"), 't', '... which one of its own was not');
is(sql('SELECT pgmaint.take_over()'), 0, '... that database is not taken over');
isnt(sql('BEGIN; SELECT pgmaint.stay_copy(); ROLLBACK'), $identity, '... nor does it keep a copy from getting an identity of its own');
sql("DELETE FROM pgmaint.archives WHERE archive_id = $foreign");
($other = $manifest) =~ s/^.*$identity.*\n//m;
write_manifest($other);
refused($keys[1], 'The manifest does not name the database that wrote the object\.', 'a manifest without an identity');
($other = $manifest) =~ s/"name"/"nothing"/ or die 'no column in the manifest';
write_manifest($other);
like(error_of("SELECT pgmaint.adopt_archive('pgmaint_local', '$keys[1]')"), qr/is not an archive/, 'a column without a name');
write_manifest('{"pgmaint": "archive"');
$run = run_action('validate', '{"archive_check_days": 0}');
is(findings($run), 'unknown_objects info pgmaint_local: storage pgmaint_local has 1 more object that is not in the ledger, with manifests that were not read', 'a manifest that is none');
write_manifest($manifest);
is(sql("SELECT pgmaint.remove_object('pgmaint_local', '$keys[1]')"), 't', 'what is unknown and its own is removed');
ok(!-e "$folder/$keys[1]" && !-e "$folder/" . manifest_of($keys[1]), '... with its manifest');
is(sql("SELECT pgmaint.remove_object('pgmaint_local', '$keys[1]')"), 'f', '... once');

# An object without a manifest is told, and stays.
append_to_file("$folder/archives/half.csv.gz", 'half');
$run = run_action('validate', '{"archive_check_days": 0}');
is(findings($run), 'unknown_objects info pgmaint_local: storage pgmaint_local has 1 object without a manifest that is not in the ledger: archives/half.csv.gz', 'an incomplete object');
refused('archives/half.csv.gz', 'The object has no manifest\.', 'it is not removed');
unlink "$folder/archives/half.csv.gz";

# A storage that cannot be compared: what was found stays, with the reason.
chmod 0000, "$folder/archives";
SKIP:
{
	skip 'root reads every folder', 4 if $> == 0;
	$run = run_action('validate', '{"archive_check_days": 0}', 'failed');
	like(findings($run), qr/^failed warning storage pgmaint_local: compare storage pgmaint_local with the ledger failed: could not/, 'a folder that cannot be read');
	like(status(), qr/^warning .*; the last comparison failed: could not/, '... validate() says so');
}
chmod 0700, "$folder/archives";
run_action('validate', '{"archive_check_days": 0}');
like(status(), qr/^ok /, 'compared again');

# A role that may not use the storage skips it, and validate() goes on.
sql(q(CREATE ROLE keeper LOGIN; GRANT USAGE ON SCHEMA pgmaint TO keeper; GRANT pg_monitor TO keeper;
	GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO keeper));
$run = $node->safe_psql('postgres', q(SELECT pgmaint.run_action('validate')), extra_params => [ '-U', 'keeper' ]);
is(wait_for_end($node, $run), 'succeeded', 'a role without USAGE');
like(findings($run), qr/^privileges info pgmaint_local: storage pgmaint_local is not compared with the ledger: the role of the run has no USAGE privilege on the storage$/m, '... which a finding says');
sql('GRANT USAGE ON FOREIGN SERVER pgmaint_local TO keeper');
$run = $node->safe_psql('postgres', q(SELECT pgmaint.run_action('validate')), extra_params => [ '-U', 'keeper' ]);
is(wait_for_end($node, $run), 'succeeded', 'a role without rights on files');
like(findings($run), qr/^skipped warning storage pgmaint_local: compare storage pgmaint_local with the ledger was skipped: permission denied to read storage "pgmaint_local"/m, '... which a finding says, too');
like($node->safe_psql('postgres', q(SELECT status FROM pgmaint.validate() WHERE check_id = 'storage'), extra_params => [ '-U', 'keeper' ]), qr/^ok$/, 'a role that monitors sees the check');

# A storage that leads to the same folder, and gets another name: no other database writes there.
sql("CREATE SERVER twin FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder')");
run_action('backup', '{"databases": "postgres", "globals": false, "storage": "twin", "key": "twin/{time}"}');
sql('ALTER SERVER twin RENAME TO renamed');
run_action('backup', '{"databases": "postgres", "globals": false, "storage": "renamed", "key": "renamed/{time}"}');
is(sql('SELECT count(*), count(doubt) FROM pgmaint.identities'), '1|0', 'a storage of several names: no doubt');
is(sql(q(SELECT string_agg(DISTINCT verdict, ',') FROM pgmaint_internal.owner_records)), 'clear', '... and no gap');
sql(q(DELETE FROM pgmaint_internal.backup_records WHERE storage IN ('twin', 'renamed')));

# A storage that is gone.
sql(q(ALTER EXTENSION pgmaint DROP SERVER pgmaint_local; DROP SERVER pgmaint_local));
like(status(), qr/^warning storage pgmaint_local no longer exists, but the ledger has \d+ archives and backups in this storage; /, 'a storage that was dropped');
$run = run_action('validate');
like(findings($run), qr/^storage warning pgmaint_local: storage pgmaint_local no longer exists/m, '... is a finding');
sql(q(DELETE FROM pgmaint.archives; DELETE FROM pgmaint_internal.backup_records; DELETE FROM pgmaint.storage_checks));
like(status(), qr/^warning storage pgmaint_local no longer exists, but retention policies use this storage$/, '... of which nothing is left but a policy');

# A machine that got another name, which two sessions see at once.
sql(q(UPDATE pgmaint.identities SET host = 'elsewhere' WHERE state = 'current'));
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; SELECT pgmaint.tick()');
is(sql(q(SET statement_timeout = '60s'; SELECT pgmaint.tick())), 'f', 'another name of the machine: tick() does not wait for the session that notes it');
$session->query_safe('COMMIT');
is(sql(q(SELECT count(*) FROM pgmaint.findings WHERE message LIKE 'the machine of the server has changed: %')), 1, '... it is told once');

# Another database that is found to write as this one, while a run is queued.
append_to_file("$folder/.pgmaint/owners/$identity/00000000000000aa", '{}');
my @runs = split /\n/, sql(q(SELECT pgmaint.run_action('backup', jsonb_build_object('databases', 'postgres', 'globals', false, 'storage', 'renamed', 'key', g || '/{time}')) FROM generate_series(1, 2) g));
is(wait_for_end($node, $_), 'succeeded', 'a backup is made') foreach @runs;
is(sql(q(SELECT doubt FROM pgmaint.identities WHERE state = 'current')), "another database writes to storage renamed as identity $identity", '... though this may be a copy since');

# A doubt that waits for a person, and a directory that is moved meanwhile.
sql(q(UPDATE pgmaint.identities SET directory_inode = 0 WHERE state = 'current'));
sql('SELECT pgmaint.tick()');
is(sql(q(SELECT until_told, doubt ~ 'inode' FROM pgmaint.identities WHERE state = 'current')), 't|t', 'a second doubt: it waits for a person, too');
is(sql('SELECT pgmaint.take_over()'), 2, '... who says what it is');
is(sql(q(SELECT until_told, doubt IS NULL FROM pgmaint.identities WHERE state = 'current')), 'f|t', '... which is all');

#
# Storages that get another name: the ledger follows the foreign server
#
sub make_storage
{
	my ($name, $place, $owner) = @_;

	mkdir "$aside/$place";
	sql("CREATE SERVER $name FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$aside/$place')");
	sql("ALTER SERVER $name OWNER TO $owner") if defined $owner;
}

# How many policies, archives, backups and other rows name a storage.
sub named
{
	my ($name) = @_;
	return sql(qq(SELECT concat_ws(' ',
		(SELECT count(*) FROM pgmaint.retention_policies p WHERE p.storage = '$name'),
		(SELECT count(*) FROM pgmaint.archives a WHERE a.storage = '$name'),
		(SELECT count(*) FROM pgmaint_internal.backup_records b WHERE b.storage = '$name'),
		(SELECT count(*) FROM pgmaint.plans p WHERE p.options ->> 'storage' = '$name'),
		(SELECT (count(*) > 0)::int FROM pgmaint_internal.owner_records o WHERE o.storage = '$name'),
		(SELECT count(*) FROM pgmaint.storage_checks c WHERE c.storage = '$name'))));
}

sub told
{
	my ($object) = @_;
	return sql("SELECT string_agg(severity || ' ' || message, E'\\n' ORDER BY finding_id) FROM pgmaint.findings WHERE check_id = 'storage_renamed' AND object LIKE '$object'");
}

sub archive_rows
{
	my ($expected) = @_;
	sql(q(INSERT INTO names SELECT g, now() - interval '50 days' FROM generate_series(1, 10) g));
	return run_action('retention', undef, $expected);
}

sql('SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies; DELETE FROM pgmaint.archives; DELETE FROM pgmaint_internal.backup_records; DELETE FROM pgmaint.storage_checks; DELETE FROM pgmaint_internal.owner_records; DELETE FROM pgmaint_internal.uploads');
sql('CREATE TABLE names (id int, at timestamptz)');
make_storage('one', 'first');
sql(q(SELECT pgmaint.add_retention('names', 'at', '30 days', storage => 'one');
	SELECT pgmaint.define_plan('mine', '["validate", {"action": "backup", "options": {"storage": "one", "databases": "postgres", "globals": false}}]')));
archive_rows();
run_action('backup', '{"databases": "postgres", "globals": false, "storage": "one"}');
run_action('validate');
is(named('one'), '1 1 1 1 1 1', 'a storage in use');
sql('ALTER SERVER one RENAME TO two');
is(sql('SELECT bool_and(ok) FROM pgmaint.verify_archive((SELECT max(archive_id) FROM pgmaint.archives))'), 't', 'it was renamed: its archive is found');
is(named('one') . ', ' . named('two'), '0 0 0 0 0 0, 1 1 1 1 1 1', '... and all that names it follows');
is(told('two'), 'info storage "one" was renamed to "two"; policies, archives and backups use the new name now', '... which is told');
archive_rows();
is(wait_for_end($node, sql(q(SELECT pgmaint.run('mine')))), 'succeeded', '... and work goes on');
is(named('two'), '1 2 2 1 1 1', '... under the new name');

# The name is given to another storage.
sql('ALTER SERVER two RENAME TO three');
make_storage('two', 'second');
archive_rows();
is(named('three') . ', ' . named('two'), '1 3 2 1 1 1, 0 0 0 0 0 0', 'a new storage with the old name gets nothing of it');
is(scalar(@{ [ glob("$aside/second/*") ] }), 0, '... nor do its archives go there');

# Names are exchanged, of storages that have the same keys.
run_action('backup', '{"databases": "postgres", "globals": false, "storage": "two"}');
sql(q(UPDATE pgmaint_internal.backup_records SET key = (SELECT b.key FROM pgmaint_internal.backup_records b WHERE b.storage = 'three' LIMIT 1) WHERE storage = 'two'));
my ($two, $three) = (named('two'), named('three'));
sql('ALTER SERVER two RENAME TO x; ALTER SERVER three RENAME TO two; ALTER SERVER x RENAME TO three');
sql('SELECT pgmaint.tick()');
is(named('two') . ', ' . named('three'), "$three, $two", 'two storages that exchange their names');
is(sql('SELECT pgmaint.tick(), pgmaint.tick()'), 'f|f', '... once');
is(named('two') . ', ' . named('three'), "$three, $two", '... and no more');

# Rows of a storage that is gone belong to no other storage.
sql('DROP SERVER two; ALTER SERVER three RENAME TO two; SELECT pgmaint.tick()');
is(named('two'), $two, 'a storage with the name of one that was dropped has its own');
is(named($_), $three, "... and what the other had is under another name") foreach sql(q(SELECT storage FROM pgmaint.retention_policies));
like(told('two (former%'), qr/^info storage "two" is another foreign server now: policies, archives and backups of the former one are kept under the name "two \(former, /, '... which is told');
is(sql(q{SELECT string_agg(server::text, ',') FROM pgmaint_internal.storage_names WHERE storage LIKE 'two (former%'}), '0', '... and no OID leads to it, which may be used again');
archive_rows('failed');
my $former = sql('SELECT storage FROM pgmaint.retention_policies');
make_storage(qq("$former"), 'first');
archive_rows();
is(sql(qq(SELECT count(*) FROM pgmaint.archives WHERE storage = '$former')), 4, '... until there is a storage of that name');
sql(qq(DROP SERVER "$former"));
make_storage(qq("$former"), 'first');
archive_rows();
is(sql(qq(SELECT count(*) FROM pgmaint.archives WHERE storage = '$former')), 5, 'one that is made anew is the same one');

# Who may make storages must not get what is meant for another's.
sql(q(CREATE ROLE amber; CREATE ROLE mallory; GRANT pg_read_server_files, pg_write_server_files TO amber, mallory;
	GRANT USAGE ON FOREIGN DATA WRAPPER pgmaint_storage TO amber, mallory));
sql(q(UPDATE pgmaint.retention_policies SET storage = 'shared'));
make_storage('shared', 'third', 'amber');
make_storage('hers', 'hostile', 'mallory');
archive_rows();
is(sql(q(SELECT count(*) FROM pgmaint.archives WHERE storage = 'shared')), 1, 'a storage of another role');
sql(q(SET ROLE amber; DROP SERVER shared));
sql(q(SET ROLE mallory; ALTER SERVER hers RENAME TO shared));
archive_rows('failed');
is(named('shared'), '0 0 0 0 0 0', 'a server that took its name gets nothing of it');
is(scalar(@{ [ glob("$aside/hostile/*") ] }), 0, '... and no archive');
sql(q(SET ROLE mallory; ALTER SERVER shared RENAME TO hers));
$former = sql('SELECT storage FROM pgmaint.retention_policies');
like($former, qr/^shared \(former, /, '... which are for the former one');
sql(qq(SET ROLE mallory; CREATE SERVER "$former" FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$aside/hostile')));
archive_rows('failed');
is(scalar(@{ [ glob("$aside/hostile/*") ] }), 0, '... and not for one that was made by its name either');
sql(q(UPDATE pgmaint.retention_policies SET storage = 'mine'));
make_storage('mine', 'third', 'amber');
archive_rows();
sql(q(SET ROLE amber; DROP SERVER mine));
sql("SET ROLE amber; CREATE SERVER mine FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$aside/third')");
archive_rows();
is(sql(q(SELECT count(*) FROM pgmaint.archives WHERE storage = 'mine')), 2, 'a role makes its storage anew');
sql(q(SET ROLE amber; DROP SERVER mine));
sql("SET ROLE mallory; CREATE SERVER mine FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$aside/hostile')");
archive_rows('failed');
is(scalar(@{ [ glob("$aside/hostile/*") ] }), 0, 'another role does not');

# Nor does what is another's get mixed with theirs on the way to a new name.
make_storage('victim', 'third', 'amber');
my $oid = sql(q(SELECT oid FROM pg_foreign_server WHERE srvname = 'victim'));
make_storage(qq("pgmaint renames $oid"), 'hostile', 'mallory');
sql(qq(UPDATE pgmaint.retention_policies SET storage = 'victim';
	SELECT pgmaint.tick();
	UPDATE pgmaint.archives SET storage = 'pgmaint renames $oid' WHERE archive_id = (SELECT max(archive_id) FROM pgmaint.archives);
	ALTER SERVER victim RENAME TO renamed_victim; SELECT pgmaint.tick()));
is(named('renamed_victim'), '1 0 0 0 0 0', 'a server with the name that others were given while they were renamed');
is(sql(qq(SELECT count(*) FROM pgmaint.archives WHERE storage = 'pgmaint renames $oid')), 1, '... keeps its own');

# After a dump, or pg_upgrade, the name counts.
is(sql(q(SELECT 'pgmaint_internal.storage_names'::regclass = ANY (extconfig) FROM pg_extension WHERE extname = 'pgmaint')), 'f', 'OIDs are not dumped');
sql(q(UPDATE pgmaint.retention_policies SET storage = 'two'));
archive_rows();
sql(q(UPDATE pgmaint_internal.storage_names SET system_identifier = '1'; ALTER SERVER two RENAME TO other));
archive_rows('failed');
is(sql('SELECT storage FROM pgmaint.retention_policies'), 'two', 'the OIDs of another cluster lead nowhere');
sql('ALTER SERVER other RENAME TO two');
archive_rows();
sql('ALTER SERVER two RENAME TO four');
archive_rows();
is(sql('SELECT storage FROM pgmaint.retention_policies'), 'four', '... and those of this one do again');

$node->stop;
done_testing();
