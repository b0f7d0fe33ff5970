# Backups leave their storages when nothing asks to keep them, and nothing else
# does: what is not as it was written stays, a removal that was interrupted comes
# to its end, and a server that knows nothing but the storage finds what is there,
# whatever else lies between.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use POSIX qw(strftime);
use lib "$FindBin::RealBin/..";
use FaultProxy;
use PgmaintBackups;
use PgmaintS3;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('expire');
my $folder = folder_of($node);

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# A real backup of the database shop; returns its number and its key.
sub back_up
{
	my ($name, $storage) = @_;
	$storage ||= 'pgmaint_local';
	my ($state, $error) =
	  run_backup_action($node, 'backup', qq({"databases": "shop", "globals": false, "storage": "$storage", "key": "$name/{time}", "retries": 0}));

	is("$state $error", 'succeeded ', "$name is backed up");
	return split /\|/, sql("SELECT backup_id, key FROM pgmaint.backups WHERE key LIKE '$name/%' AND storage = '$storage' ORDER BY backup_id DESC LIMIT 1");
}

sub run_action
{
	my ($action, $options, $as) = @_;
	my $run = $node->safe_psql('postgres', "SELECT pgmaint.run_action('$action', '$options')", $as ? (extra_params => [ '-U', $as ]) : ());

	wait_for_end($node, $run);
	return $run;
}

# What came of each task, in the order of the keys.
sub outcomes
{
	my ($run) = @_;
	return sql("SELECT coalesce(string_agg(concat_ws(' ', split_part(target, '/', 2), state, error), E'\\n' ORDER BY target), 'none')
		FROM pgmaint.tasks WHERE run_id = $run");
}

sub told
{
	my ($run) = @_;
	return sql("SELECT coalesce(string_agg(message, E'\\n' ORDER BY message), '') FROM pgmaint.findings WHERE run_id = $run");
}

sub state_of
{
	my ($id) = @_;
	return sql("SELECT state FROM pgmaint_internal.backup_records WHERE backup_id = $id");
}

# What is in the folder of one backup, companions too.
sub files
{
	my ($name) = @_;
	return scalar(() = glob "$folder/$name/* $folder/$name/.[!.]*");
}

#
# What goes and what stays
#
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 100) g');
my (%id, %key);
($id{$_}, $key{$_}) = back_up($_) foreach qw(one two three);
my ($state, $error) = run_backup_action($node, 'verify_backup', qq({"backup_id": $id{two}}));
is("$state $error", 'succeeded ', 'one of them is proven');
($id{$_}, $key{$_}) = back_up($_) foreach qw(four five);
write_object($node, 'one/notes.txt', 'of somebody else');

sql(q(SELECT pgmaint.define_plan('cleanup', '[{"action": "expire_backups", "options": {"keep": 2, "minimum": 1}}]')));
is( sql("SELECT string_agg(concat_ws('|', action, target, command, reason), E'\\n' ORDER BY target) FROM pgmaint.dry_run('cleanup')") =~ s/of \d{4}-\d\d-\d\d/of TODAY/gr,
	"expire_backups|pgmaint_local/$key{one}|remove $key{one}|5th newest backup of database shop; the 2 newest are kept, the newest verified one is of TODAY\n"
	  . "expire_backups|pgmaint_local/$key{three}|remove $key{three}|3rd newest backup of database shop; the 2 newest are kept, the newest verified one is of TODAY",
	'dry_run names each object, with its reason');
is(files('one') . files('three'), '54', '... and removes none');

$node->safe_psql('postgres', q(CREATE ROLE keeper LOGIN; GRANT USAGE ON SCHEMA pgmaint TO keeper; GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO keeper));
my $run = run_action('expire_backups', '{"keep": 2, "minimum": 1}', 'keeper');
is(outcomes($run), 'none', 'without USAGE on the storage nothing is removed');
is(told($run), '2 backups of database shop on storage pgmaint_local are due to expire, but are kept: the role of the run lacks USAGE on the storage', '... and it is said');

$run = run_action('expire_backups', '{"keep": 2, "minimum": 1}');
is(outcomes($run), "one succeeded\nthree succeeded", 'what is due is removed');
is(sql("SELECT count(*) FROM pgmaint.tasks t JOIN pgmaint_internal.backup_records b ON t.target = 'pgmaint_local/' || b.key
		WHERE t.run_id = $run AND t.result = jsonb_build_object('removed', true, 'bytes', b.bytes) AND b.state = 'expired' AND b.expired_at > b.finished_at"),
	'2', '... and the ledger says so');
is(files('one'), 1, '... with its manifest; what is not ours stays');
is(files('three'), 0, '... and leaves nothing behind');
is(files('two') . files('four') . files('five'), '644', '... and nothing else went');
is(outcomes(run_action('expire_backups', '{"keep": 2, "minimum": 1}')), 'none', 'then nothing is due');

run_action('verify_backup', qq({"backup_id": $id{four}}));
is(outcomes(run_action('expire_backups', '{"keep": 1, "minimum": 1}')), 'two succeeded', 'a newer one is proven: the older goes');
is(files('two'), 0, '... with what was noted about its proof');

# The latest one failed: nothing leaves.
sql(q(SELECT pgmaint.run_action('backup', '{"databases": "shop", "globals": false, "schemas": "nowhere", "retries": 0}')));
($state, $error) = run_backup_action($node, 'backup', '{"databases": "shop", "globals": false, "retries": 0, "min_free": "1000 TB", "key": "failing/{time}"}');
is($state, 'failed', 'a backup fails');
($id{six}, $key{six}) = back_up('six', 'pgmaint_local');
sql("UPDATE pgmaint_internal.backup_records SET started_at = started_at + interval '1 microsecond' WHERE key LIKE 'failing/%'");
($state) = run_backup_action($node, 'backup', '{"databases": "shop", "globals": false, "retries": 0, "min_free": "1000 TB", "key": "again/{time}"}');
$run = run_action('expire_backups', '{"keep": 1, "minimum": 1}');
is(outcomes($run), 'none', 'nothing leaves while the latest failed');
like(told($run), qr/^1 backup of database shop on storage pgmaint_local is due to expire, but is kept: the latest attempt, at .* UTC, failed: not enough disk space for the backup/, '... and it is said');
($id{seven}, $key{seven}) = back_up('seven');
is(outcomes(run_action('expire_backups', '{"keep": 1, "minimum": 1}')), "five succeeded\nsix succeeded", 'after one that succeeded it does');

# Another database may have been backed up in the same second.
my @taken = map { strftime('taken/%Y%m%d-%H%M%S.dump.gz', gmtime(time + $_)) } 0 .. 2;
write_object($node, $_, 'of another database') foreach @taken;
is(run_state($node, run_action('backup', '{"databases": "shop", "globals": false, "key": "taken/{time}", "retry_delay": "1 s"}')),
	'succeeded', 'a key that is taken: another attempt has one of its own');
is(slurp_file("$folder/$_"), 'of another database', '... and replaces nothing') foreach @taken;
sql("DELETE FROM pgmaint_internal.backup_records WHERE key LIKE 'taken/%'");

#
# What is not as it was written is left alone
#
my %spoiled = (
	alien => [ 'the object with the key of its manifest is not a manifest of a backup', sub { write_object($node, "$_[1].json", '{"pgmaint": "archive"}') } ],
	bare => [ 'the object has no manifest', sub { unlink "$folder/$_[1].json" } ],
	broken => [ 'the manifest cannot be read: invalid input syntax for type json', sub { write_object($node, "$_[1].json", '{"pgmaint": "backup", ') } ],
	copied => [ 'the manifest does not carry the mark that it names', sub { unlink glob "$folder/copied/.*.json.pgmaint-mark" } ],
	digest => [ 'the manifest has SHA-256 ' . ('0' x 64) . ', the ledger', sub { change_manifest($node, $_[1], '"sha256": *"[0-9a-f]+"', '"sha256": "' . ('0' x 64) . '"') } ],
	marked => [ 'the object does not carry the mark that the manifest names', sub { write_object($node, $_[0] =~ s{/}{/.}r . '.pgmaint-mark', 'pgmaint-1-2-3') } ],
	other => [ 'the manifest describes another object, "elsewhere.dump.gz"', sub { change_manifest($node, $_[1], '"key": *"[^"]+"', '"key": "elsewhere.dump.gz"') } ],
	replaced => [ 'the object does not carry the mark that the manifest names', sub { write_object($node, $_[0], 'new'); unlink "$folder/" . $_[0] =~ s{/}{/.}r . '.pgmaint-mark' } ],
	wrong => [ 'the manifest cannot be read: field "bytes" is missing or invalid', sub { change_manifest($node, $_[1], '"bytes": *\d+,', '"bytes": "many",') } ]);
my @spoiled = sort keys %spoiled;
my (%before, %stem);

foreach my $name (@spoiled, 'vanished')
{
	($id{$name}, $key{$name}) = back_up($name);
	($stem{$name} = $key{$name}) =~ s/\.dump\.gz$//;
}
($id{newest}, $key{newest}) = back_up('newest');
run_action('expire_backups', '{"keep": 11, "minimum": 1}');
$spoiled{$_}[1]->($key{$_}, $stem{$_}) foreach @spoiled;
unlink "$folder/$key{vanished}", "$folder/$stem{vanished}.json";
$before{$_} = files($_) foreach @spoiled;
$run = run_action('expire_backups', '{"keep": 1, "minimum": 1}');
my @said = split /\n/, outcomes($run);
foreach my $name (@spoiled)
{
	my ($line) = grep { /^$name / } @said;
	like($line || 'nothing', qr/^$name skipped \Q$key{$name}\E was not removed: \Q$spoiled{$name}[0]\E/, "$name: left alone, with the reason");
	is(files($name) . ' ' . state_of($id{$name}), "$before{$name} succeeded", "$name: nothing of it was touched");
}
ok((grep { $_ eq 'vanished succeeded' } @said), 'one that is gone already is done with');
is(state_of($id{vanished}) . sql("SELECT result ->> 'removed' FROM pgmaint.tasks WHERE run_id = $run AND target LIKE '%vanished%'"), 'expiredfalse', '... and the ledger says so');
is(sql("SELECT gain FROM pgmaint.task_results WHERE run_id = $run AND target LIKE '%vanished%'"), 'the object was already missing', '... in words too');
like(sql("SELECT string_agg(gain, '; ') FROM pgmaint.task_results WHERE action = 'expire_backups' AND state = 'succeeded'"), qr/removed \d+ \S+ from the storage/, 'what was removed is said');
sql("UPDATE pgmaint_internal.backup_records SET state = 'expired' WHERE state = 'succeeded' AND key <> '$key{newest}'");

#
# What a storage has, whatever lies there
#
my $fresh = start_server('fresh');
my $there = folder_of($fresh);
my %damaged = (
	array => ['[1, 2]'],
	empty => [''],
	nul => [ "{\"pgmaint\": \"backup\", \0}", qr/manifest cannot be read/ ],
	escaped => [ '{"pgmaint": "backup", "key": "a\u0000b"}', qr/manifest cannot be read/ ],
	latin => [ "{\"pgmaint\": \"backup\", \"key\": \"\xe9\"}", qr/invalid byte sequence/ ],
	deep => [ '[' x 200000, qr/stack depth limit/ ],
	words => [ 'no JSON at all', qr/invalid input syntax for type json/ ],
	number => [ '{"bytes": 1e1000}', qr/./ ],
	kind => [ '{"kind": "table"}', qr/field "kind"/ ],
	key => [ '{"key": ["a"]}', qr/field "key"/ ],
	outside => [ '{"key": "../../outside.dump.gz"}', qr/it describes another object, "\.\.\/\.\.\/outside/ ],
	database => [ '{"database": "' . ('x' x 64) . '"}', qr/field "database"/ ],
	null => [ '{"sha256": null}', qr/field "sha256"/ ],
	negative => [ '{"bytes": -1}', qr/field "bytes"/ ],
	mark => [ '{"mark": {}}', qr/field "mark"/ ],
	when => [ '{"started_at": "last tuesday-ish"}', qr/invalid input syntax for type timestamp/ ],
	never => [ '{"finished_at": "infinity"}', qr/field "finished_at"/ ],
	always => [ '{"started_at": "-infinity"}', qr/field "started_at"/ ],
	short => [ '{"bytes": 3}', qr/the object has 6 bytes, the manifest says 3/ ]);
my %whole = (
	quoted => '{"database": "it\'s \"quoted\" \\\\ Größe", "selection": {"tables": ["\"T\""]}, "server_version": "15 \'x\'"}',
	odd => '{"selection": "some", "dump": 7, "run_id": null, "database_bytes": null, "server_version": null, "extensions": 3}',
	backwards => '{"started_at": "2020-01-02T00:00:00Z", "finished_at": "2020-01-01T00:00:00Z"}',
	globals => '{"kind": "globals", "database": 7}');

# A manifest that is whole but for these fields.
sub manifest
{
	my ($name, $fields) = @_;
	return $fields unless $fields =~ /^\{"(?!pgmaint)/;
	return $fresh->safe_psql('postgres', "SELECT jsonb_build_object('pgmaint', 'backup', 'kind', 'database', 'database', 'shop', 'key', 'x/$name.dump.gz',
		'bytes', 6, 'sha256', repeat('0', 64), 'compression', 'gzip', 'mark', 'm', 'started_at', '2020-01-01T00:00:00Z',
		'finished_at', '2020-01-01T00:00:01Z') || \$j\$$fields\$j\$::jsonb");
}

is($fresh->safe_psql('postgres', q(SELECT count(*) FROM pgmaint.list_backups('pgmaint_local'))), '0', 'an empty storage has no backups');
foreach my $name (keys %damaged, keys %whole)
{
	write_object($fresh, "x/$name.dump.gz", 'object');
	# what PostgreSQL refuses as JSON is written by hand
	my $fields = $damaged{$name} ? $damaged{$name}[0] : $whole{$name};
	$fields =~ s/^\{/{"pgmaint": "backup", "kind": "database", "database": "shop", "sha256": "", "compression": "gzip", "mark": "m", "key": "x\/number.dump.gz", / if $name eq 'number';
	write_object($fresh, "x/$name.json", manifest($name, $fields));
}
write_object($fresh, 'x/gone.json', manifest('gone', '{"bytes": 6}'));
write_object($fresh, 'x/notes.json', '{"of": "somebody"}');
write_object($fresh, 'x/backup-lost.json', 'was one, once');
foreach my $seconds (qw(1e300 -1 "long" 12.5))
{
	my $name = 'proof' . length $seconds;
	write_object($fresh, "x/$name.dump.gz", 'object');
	write_object($fresh, "x/$name.json", manifest($name, '{"bytes": 6}'));
	write_object($fresh, "x/$name.verified.json", qq({"pgmaint": "verification", "sha256": ") . ('0' x 64) . qq(", "verification": "restorable", "verified_at": "2020-01-01T01:00:00Z", "restore_seconds": $seconds}));
}
my %measured = (
	told => '"restore_seconds": 2, "restore_settings": "private server: fsync off"',
	untold => '"restore_seconds": 3, "restore_settings": null',
	failed => '"restore_seconds": null, "restore_settings": "private server: fsync off"',
	long => '"restore_seconds": 4, "restore_settings": "' . ('x' x 1001) . '"',
	longest => '"restore_seconds": 5, "restore_settings": "' . ('x' x 1000) . '"',
	strange => '"restore_seconds": 6, "restore_settings": 7');
foreach my $name (keys %measured)
{
	write_object($fresh, "x/m-$name.dump.gz", 'object');
	write_object($fresh, "x/m-$name.json", manifest("m-$name", '{"dump": {"bytes": 7}}'));
	write_object($fresh, "x/m-$name.verified.json", qq({"pgmaint": "verification", "sha256": ") . ('0' x 64) . qq(", "verification": "restorable", "verified_at": "2020-01-01T01:00:00Z", $measured{$name}}));
}
open my $huge, '>', "$there/x/huge.json" or die $!;
truncate $huge, 300 * 1024 * 1024;
close $huge;
write_object($fresh, 'x/huge.dump.gz', 'object');

my %listed = map { my ($key, @rest) = split /\|/, $_, 3; $key => \@rest }
  split /\n/, $fresh->safe_psql('postgres', q(SELECT key, state, coalesce(error, '') FROM pgmaint.list_backups('pgmaint_local')));
foreach my $name (sort keys %damaged)
{
	my ($state, $error) = @{ $listed{"x/$name.dump.gz"} || [ 'not listed', '' ] };
	if ($damaged{$name}[1])
	{
		is($state, 'damaged', "manifest $name: damaged");
		like($error, $damaged{$name}[1], '... and why');
	}
	elsif ($name eq 'array')
	{
		is($state, 'not listed', "manifest $name: none");
	}
}
is(join('|', @{ $listed{"x/$_.dump.gz"} || ['not listed'] }), 'succeeded|', "manifest $_: a backup") foreach sort keys %whole;
like(join('|', @{ $listed{'x/huge.dump.gz'} }), qr/^damaged\|.* is longer than 268435456 bytes$/, 'a manifest of 300 MB');
is(join('|', @{ $listed{'x/gone.dump.gz'} }), 'damaged|the object is missing', 'an object that is missing');
like(join('|', @{ $listed{'x/backup-lost.json'} }), qr/^damaged\|the manifest cannot be read/, 'a manifest alone that was of a backup');
ok(!$listed{'x/notes.json'}, 'the JSON of others is none');
is($fresh->safe_psql('postgres', q(SELECT string_agg(concat_ws(' ', verification, verified_at IS NOT NULL, restore_duration), ', ' ORDER BY bytes, key) FROM pgmaint.list_backups('pgmaint_local') WHERE key LIKE 'x/proof%')),
	'never verified f, restorable t 00:00:12.5, never verified f, restorable t', 'proofs that make sense, and others');
my $measures = q(SELECT string_agg(concat_ws(' ', substr(key, 5), restore_duration, left(restore_settings, 30), length(restore_settings)), ', ' ORDER BY key COLLATE "C"));
my $listed = q(failed.dump.gz, long.dump.gz, longest.dump.gz 00:00:05 ) . ('x' x 30) . q( 1000, strange.dump.gz, told.dump.gz 00:00:02 private server: fsync off 25, untold.dump.gz 00:00:03);
is($fresh->safe_psql('postgres', qq($measures FROM pgmaint.list_backups('pgmaint_local') WHERE key LIKE 'x/m-%')), $listed, 'under which settings a proof was measured, where that makes sense');
is($fresh->safe_psql('postgres', q(SELECT concat_ws('|', database, selection, server_version) FROM pgmaint.list_backups('pgmaint_local') WHERE key = 'x/quoted.dump.gz')),
	q(it's "quoted" \ Größe|{"tables": ["\"T\""]}|15 'x'), 'names with quotes');
is($fresh->safe_psql('postgres', q(SELECT pgmaint.adopt_backups('pgmaint_local', 'it''s "quoted" \ Größe'))), '1', 'those of one database are adopted');
is($fresh->safe_psql('postgres', q(SELECT pgmaint.adopt_backups('pgmaint_local'))), keys(%whole) - 1 + 4 + keys %measured, 'then all that can be used');
is($fresh->safe_psql('postgres', qq($measures FROM pgmaint.backups WHERE key LIKE 'x/m-%')), $listed, '... with how long restoring took elsewhere, and under which settings');
is($fresh->safe_psql('postgres', q(SELECT count(*) || ' ' || count(safe_restore_duration) || ' ' || count(safe_restored_at) || ' ' || count(restore_rate) FROM pgmaint.backups WHERE key LIKE 'x/m-%')),
	keys(%measured) . ' 0 0 0', '... which promises nothing here');
is($fresh->safe_psql('postgres', q(SELECT pgmaint.adopt_backups('pgmaint_local'))), '0', '... and none twice');
is($fresh->safe_psql('postgres', q(SELECT count(*) FROM pgmaint.list_backups('pgmaint_local') WHERE backup_id IS NULL AND state = 'succeeded')), '0', '... the list has their numbers');
$node->stop;
$fresh->stop;
undef $fresh;

#
# The same on S3, with faults, and from a server that knows nothing
#
SKIP:
{
	skip PgmaintS3::missing(), 1 if PgmaintS3::missing();

	$node->start;
	my $s3 = PgmaintS3->start;
	my $proxy = FaultProxy->start(upstream => $s3->address);
	$s3->create_bucket('bucket');
	sql($s3->through($proxy)->storage('far', 'bucket', retries => 1, connect_timeout => '2s', stall_timeout => '60s'));
	my %old = ("one/notes.txt" => 'of somebody else', 'archives/a.csv.gz' => 'rows', 'archives/a.json' => '{"of": "an archive"}');
	$s3->put('bucket', $_, $old{$_}) foreach keys %old;

	sub on_s3
	{
		my ($server, $name) = @_;
		return join ' ', map { m{/[^.]*\.(.*)$} ? $1 : $_ } grep { !$old{$_} } $server->names('bucket', "$name/");
	}

	# A storage that is down loses nothing.
	($id{$_}, $key{$_}) = back_up($_, 'far') foreach qw(one two);
	$proxy->down;
	$run = run_action('expire_backups', '{"storage": "far", "keep": 1, "minimum": 1}');
	like(outcomes($run), qr/^one failed /, 'a storage that is down fails the task');
	$proxy->up;
	is(on_s3($s3, 'one') . ' ' . state_of($id{one}), 'dump.gz json succeeded', '... and nothing is removed');
	is(outcomes(run_action('expire_backups', '{"storage": "far", "keep": 1, "minimum": 1}')), 'one succeeded', '... until it is there again');
	is(on_s3($s3, 'one'), '', '... when all of it goes');

	# Killed, at each moment of a removal.
	my %moments = (
		first => [ 'json', 'before', 'dump.gz json', 'before its manifest was removed' ],
		middle => [ 'dump.gz', 'before', 'dump.gz', 'between manifest and object' ],
		late => [ 'dump.gz', 'after', '', 'after the object was removed' ]);
	foreach my $name (qw(first middle late))
	{
		my ($suffix, $when, $left, $case) = @{ $moments{$name} };

		($id{$name}, $key{$name}) = back_up($name, 'far');
		($id{two}, $key{two}) = back_up('two', 'far');
		run_action('expire_backups', '{"storage": "far", "keep": 2, "minimum": 1}');
		$proxy->forget;
		$proxy->fault(kind => 'stall', method => 'DELETE', path => "/$name/.*[0-9]\\.$suffix\$", when => $when, times => 0);
		$run = sql(q(SELECT pgmaint.run_action('expire_backups', '{"storage": "far", "keep": 1, "minimum": 1}')));
		ok($proxy->wait_for_faults(1), "killed $case");
		my $offset = -s $node->logfile;
		kill 'KILL', sql("SELECT pid FROM pgmaint.tasks WHERE run_id = $run AND state = 'running' AND target LIKE 'far/$name/%'");
		wait_for_restart($node, $offset);
		$proxy->clear;
		is(on_s3($s3, $name) . ' ' . state_of($id{$name}), "$left expiring", '... what is left, and what the ledger says');
		is(sql("SELECT count(*) FROM pgmaint.list_backups('far') WHERE backup_id = $id{$name} AND state = 'succeeded'"), $name eq 'first' ? '1' : '0', '... whether it is a backup still');
		($state, $error) = run_backup_action($node, 'verify_backup', qq({"storage": "far", "databases": "shop"}));
		is($state, 'succeeded', '... none that is verified or restored');

		# what lies in its place is not what was to be removed
		if ($name eq 'middle')
		{
			my $object = $s3->get('bucket', $key{$name});

			$s3->put('bucket', $key{$name}, 'of somebody else');
			$run = run_action('expire_backups', '{"storage": "far"}');
			is(outcomes($run), "$name skipped $key{$name} was not removed: the object or its manifest was replaced after its removal began: the mark differs from the one in the ledger", '... another object in its place is left alone');
			is($s3->get('bucket', $key{$name}) . ' ' . state_of($id{$name}), 'of somebody else expiring', '... and stays');
			$s3->remove('bucket', $key{$name});
		}
		$run = run_action('expire_backups', '{"storage": "far"}');
		is(outcomes($run), "$name succeeded", '... the next run finishes it, whatever its rules');
		is(sql("SELECT reason FROM pgmaint.tasks WHERE run_id = $run"), 'an earlier removal was interrupted', '... with the reason');
		is(on_s3($s3, $name) . ' ' . state_of($id{$name}), ' expired', '... and nothing is left');
	}

	# A server that knows nothing but the storage.
	run_action('expire_backups', '{"storage": "far", "keep": 1, "minimum": 1}');
	($id{$_}, $key{$_}) = back_up($_, 'far') foreach qw(seven eight nine);
	run_backup_action($node, 'verify_backup', qq({"backup_id": $id{eight}}));
	my $columns = q(key, database, bytes, sha256, verification, verified_at IS NOT NULL, restore_duration > '0', restore_settings, server_version, kind, selection);
	my $known = sql("SELECT string_agg(concat_ws('|', $columns), E'\\n' ORDER BY key) FROM (SELECT * FROM pgmaint.backups WHERE storage = 'far' AND state = 'succeeded') b");
	my $other = start_server('other');
	$other->safe_psql('postgres', $s3->storage('far', 'bucket'));
	my $found = $other->safe_psql('postgres', "SELECT string_agg(concat_ws('|', $columns), E'\\n' ORDER BY key) FROM pgmaint.list_backups('far') WHERE backup_id IS NULL");
	is($found, $known, 'the storage alone tells what the ledger knows');
	is($other->safe_psql('postgres', q(SELECT pgmaint.adopt_backups('far', 'postgres'))), '0', 'none of another database');
	is($other->safe_psql('postgres', q(SELECT pgmaint.adopt_backups('far', 'shop'))), split(/\n/, $known) + 0, 'they are adopted');
	my $mine = $other->safe_psql('postgres', "SELECT string_agg(concat_ws('|', $columns), E'\\n' ORDER BY key) FROM pgmaint.backups");
	is($mine, $known, '... with what was known of them');
	is($other->safe_psql('postgres', q(SELECT count(*) FROM pgmaint.list_backups('far') WHERE backup_id IS NULL)), '0', '... and the list has their numbers');
	$run = $other->safe_psql('postgres', q(SELECT pgmaint.run_action('expire_backups', '{"keep": 1, "minimum": 1}')));
	wait_for_end($other, $run);
	is($other->safe_psql('postgres', "SELECT count(*) FROM pgmaint.tasks WHERE run_id = $run"), '0', 'what another database made does not expire');
	is($other->safe_psql('postgres', q(SELECT count(*) FROM pgmaint.list_backups('far') WHERE NOT own)), split(/\n/, $known) + 0, '... and is known to be another\'s');
	is($other->safe_psql('postgres', q(SELECT pgmaint.take_over(identity) FROM (SELECT DISTINCT identity FROM pgmaint.backups) b)), '1', 'unless it is taken over');
	$run = $other->safe_psql('postgres', q(SELECT pgmaint.run_action('expire_backups', '{"keep": 1, "minimum": 1}')));
	wait_for_end($other, $run);
	is( $other->safe_psql('postgres', q(SELECT string_agg(concat_ws(' ', split_part(key, '/', 1), state), ', ' ORDER BY key) FROM pgmaint.backups WHERE key ~ '^(seven|eight|nine)/')),
		'eight succeeded, nine succeeded, seven expired', 'they expire there');
	is(on_s3($s3, 'seven') . '|' . on_s3($s3, 'eight') . '|' . on_s3($s3, 'nine'), '|dump.gz json verified.json|dump.gz json', '... from the storage');
	like(outcomes(run_action('expire_backups', '{"storage": "far", "keep": 1, "minimum": 1}')), qr/^seven skipped .*another database writes to storage far as identity/m, 'whom they were made by learns that another has taken over');
	is(state_of($id{seven}), 'succeeded', '... and removes nothing');
	sql('SELECT pgmaint.take_over()');
	like(outcomes(run_action('expire_backups', '{"storage": "far", "keep": 1, "minimum": 1}')), qr/^seven succeeded$/m, '... until it is told to: then it finds them gone');
	is(state_of($id{seven}), 'expired', '... and says so');
	is($s3->get('bucket', $_), $old{$_}, "$_ was not touched") foreach sort keys %old;
}
done_testing();
