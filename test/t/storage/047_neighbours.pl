# Others who write to the same storage: another cluster, a clone that nothing
# tells from its original, a snapshot that was restored in place, a subscriber
# that got the rows of the ledger, an administrator who removes owner records.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintCopies;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $prepared = PgmaintCopies->prepare('prepared');
my $run;

#
# Two clusters, one prefix
#
{
	my $original = $prepared->original('first');
	my $node = $original->node;
	my $folder = $original->folder;
	my $other = start_server('second', 'max_connections = 30');

	$other->safe_psql('postgres', 'CREATE DATABASE app');
	sql($other, "CREATE EXTENSION pgmaint; CREATE SERVER shared FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder')");
	is(sql($other, q(SELECT pgmaint.adopt_backups('shared'))), '3', 'another cluster adopts backups');
	expire($other, 1);
	$original->nothing_lost('another cluster');
	back_up($other, 'other-one');
	back_up($other, 'other-two');
	$run = expire($other, 1);
	certain($other, $run, 'another cluster');
	$original->nothing_lost('another cluster with backups of its own');
	is($original->backups_stored, 'first other-two second third', '... and no more of its own than it wants');
	my ($state) = act($other, 'verify_backup', '{"storage": "shared"}');
	is($state, 'succeeded', 'another cluster: a backup is verified');
	is(sql($other, q(SELECT string_agg(split_part(key, '/', 1), ' ' ORDER BY key) FROM pgmaint_internal.backup_records WHERE verification IS NOT NULL)), 'other-two',
		'... the newest of its own');
	is(sql($other, q(SELECT string_agg(split_part(key, '/', 1) || ' ' || own, ', ' ORDER BY key) FROM pgmaint.list_backups('shared'))),
		'first false, other-two true, second false, third false', '... and it can tell');

	# an archive that was adopted says nothing of whose successor this is
	my $archive = sql($other, q(SELECT key FROM pgmaint.list_objects('shared') WHERE key LIKE 'archives/%.csv.gz' ORDER BY key LIMIT 1));
	cmp_ok(sql($other, "SELECT pgmaint.adopt_archive('shared', '$archive')"), '>', 0, 'another cluster adopts an archive');
	is(sql($other, 'SELECT pgmaint.take_over()'), '0', '... and has nothing to take over');
	expire($other, 1);
	$original->nothing_lost('another cluster with an archive that it adopted');

	$run = expire($node, 2);
	certain($node, $run, 'the first cluster');
	is($original->backups_stored, 'other-two second third', '... goes on');
	$_->stop foreach $node, $other;
}

#
# A clone of the machine: nothing tells it from its original but the storage
#
{
	my $name = 'a clone of the machine';
	my $original = $prepared->original('machine');
	my $node = $original->node;

	$node->stop;
	my $clone = $original->copy('machine_clone');
	$_->start foreach $node, $clone;
	claim_signs($clone);
	back_up($node, 'fourth');
	$original->remember;
	$run = expire($clone, 1);
	$original->nothing_lost($name);
	in_doubt($clone, $run, $name);
	# neither side, until it is told; not even what it wrote since
	$run = expire($node, 1);
	$original->nothing_lost("the original of $name");
	in_doubt($node, $run, "the original of $name");
	foreach my $one ($node, $clone)
	{
		$one->append_conf('postgresql.conf', 'pgmaint.takeover_delay = 0');
		$one->restart;
		back_up($one, $_) foreach map { $one->name . $_ } '-one', '-two';
		tick($one);
	}
	$original->remember;
	expire($_, 1) foreach $node, $clone;
	$original->nothing_lost("$name: neither removes anything");

	sql($node, 'SELECT pgmaint.take_over()');
	sql($clone, 'SELECT pgmaint.stay_copy()');
	$run = expire($clone, 1);
	certain($clone, $run, "$name that stays one");
	is(backups_of($clone), 'machine_clone-two', '... has a series of its own');
	$run = expire($node, 2);
	certain($node, $run, "the original of $name, told so");
	is(backups_of($node), 'machine-one machine-two', '... has one series');
	is($original->backups_stored, 'machine-one machine-two machine_clone-two', '... and no database removes more');
	$_->stop foreach $node, $clone;
}

#
# A snapshot that is restored in the same place
#
{
	my $name = 'a snapshot restored in place';
	my $original = $prepared->original('place');
	my $node = $original->node;
	my $saved = PostgreSQL::Test::Utils::tempdir() . '/saved';

	$node->stop;
	system_or_bail('cp', '-a', $node->data_dir, $saved);
	$node->start;
	$original->age_out(2);
	back_up($node, 'fourth');
	$original->remember;
	$node->stop;
	system_or_bail('find', $node->data_dir, '-mindepth', '1', '-delete');
	system_or_bail('cp', '-a', "$saved/.", $node->data_dir);
	$node->start;
	$run = expire($node, 1);
	$original->nothing_lost($name);
	in_doubt($node, $run, $name);
	back_up($node, 'fifth');
	is(sql($node, q(SELECT pgmaint.restore_archive((SELECT min(archive_id) FROM pgmaint.archives), 'restored'))), '1000', "$name restores what is named");
	sql($node, 'SELECT pgmaint.take_over()');
	$run = expire($node, 1);
	certain($node, $run, "$name, told that it is the successor");
	is(backups_of($node), 'fifth', '... has one series');
	is($original->backups_stored, 'fifth fourth', '... and does not touch what it does not know');
	$node->stop;
}

#
# Two foreign servers that lead to one folder, and one that is renamed
#
{
	my $name = 'a folder with two names';
	my $original = $prepared->original('names');
	my $node = $original->node;
	my $folder = $original->folder;

	sql($node, "CREATE SERVER again FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder')");
	foreach my $storage (qw(again shared again))
	{
		my ($state, $backup) = act($node, 'backup', qq({"databases": "app", "globals": false, "storage": "$storage", "retries": 0, "key": "$storage/{time}"}));
		is($state, 'succeeded', "$name: a backup is made");
		certain($node, $backup, "$name, called $storage");
	}
	# files that another program puts beside the records
	append_to_file($_ . '/Thumbs.db', 'x') foreach glob "$folder/.pgmaint/owners/*";
	sql($node, 'ALTER SERVER shared RENAME TO renamed; ALTER SERVER again RENAME TO shared');
	$run = back_up($node, 'fourth');
	certain($node, $run, "$name, one of which is new");

	# it is said to be a copy while a backup is made: that is begun again
	my ($held, $session) = $original->hold_backup('held');
	sql($node, 'SELECT pgmaint.stay_copy()');
	$session->quit;
	is(wait_for_end($node, $held, 'app'), 'succeeded', 'stay_copy() during a backup');
	is(backups_of($node), 'held', '... of which there is one in the end');
	$node->stop;
}

#
# Owner records are removed, by a lifecycle rule
#
{
	my $name = 'owner records that are gone';
	my $original = $prepared->original('lifecycle');
	my $node = $original->node;

	# the records of a run that could have removed something, too
	expire($node, 3);
	cmp_ok(scalar(() = glob $original->folder . '/.pgmaint/owners/*/*'), '>', 0, 'there are owner records');
	system_or_bail('rm', '-r', $original->folder . '/.pgmaint');
	$run = expire($node, 1);
	$original->nothing_lost($name);
	like(sql($node, "SELECT string_agg(message, ' ') FROM pgmaint.findings WHERE run_id = $run AND check_id = 'identity'"), qr/owner record/, "$name: it is told");
	is(sql($node, q(SELECT count(*) FROM pgmaint.identities WHERE state = 'current' AND doubt IS NULL)), '1', '... and no doubt');
	escalate($node);
	$run = expire($node, 1);
	certain($node, $run, 'the next run');
	is(backups_of($node), 'third', '... removes what it should');
	escalate($node);
	like(sql($node, q(SELECT string_agg(coalesce(resolution, 'open'), ', ') FROM pgmaint_internal.alert_records WHERE check_id = 'identity')), qr/^run $run found valid owner records in storage shared$/,
		'... and the alert is over');
	is($original->backups_stored, 'third', '... really');
	escalate($node);
	is(sql($node, q(SELECT state || ' ' || object FROM pgmaint.alerts WHERE check_id = 'identity')), 'resolved shared', '... and the alert is over');
	$node->stop;
}

#
# A storage that the role may write to, but not list
#
{
	my $name = 'a storage that cannot be listed';
	my $original = $prepared->original('unlisted');
	my $node = $original->node;

	chmod 0300, $original->folder or die $!;
	back_up($node, 'fourth');
	$run = expire($node, 1);
	chmod 0700, $original->folder or die $!;
	$original->nothing_lost($name);
	like(sql($node, "SELECT string_agg(message, ' ') FROM pgmaint.findings WHERE run_id = $run AND check_id = 'identity'"),
		qr/the owner records in storage shared cannot be written or listed: .*this run removes no objects from the storage; allow the role to list objects/, "$name: it is told");
	is($original->backups_stored, 'first fourth second third', '... backups are made, and nothing is removed');
	$run = expire($node, 1);
	certain($node, $run, "$name, and can again");
	is($original->backups_stored, 'fourth', '... removes what it should then');
	$node->stop;
}

#
# A subscriber that gets the rows of the ledger
#
{
	my $name = 'a subscriber';
	my $original = $prepared->original('publisher');
	my $node = $original->node;
	my $folder = $original->folder;
	my $subscriber = start_server('subscriber', 'max_connections = 30', 'max_logical_replication_workers = 8');

	$node->append_conf('postgresql.conf', 'wal_level = logical');
	$node->restart;
	sql($node, 'CREATE PUBLICATION everything FOR ALL TABLES');
	$subscriber->safe_psql('postgres', 'CREATE DATABASE app');
	sql($subscriber, "CREATE EXTENSION pgmaint; CREATE SERVER shared FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder');
		CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, body text); CREATE TABLE restored (LIKE events)");
	sql($subscriber, "CREATE SUBSCRIPTION everything CONNECTION '@{[ $node->connstr ]} dbname=app' PUBLICATION everything");
	# numbers do not come with the rows, nor do tables that had rows of their own
	sql($subscriber, q(SELECT setval(oid::regclass, 1000) FROM pg_class WHERE relkind = 'S' AND relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace)));
	foreach my $table (qw(pgmaint_internal.backup_records pgmaint.archives pgmaint.contacts pgmaint.identities pgmaint.runs))
	{
		$subscriber->poll_query_until('app', "SELECT srsubstate IN ('r', 's') FROM pg_subscription_rel WHERE srrelid = '$table'::regclass")
		  or die "$table does not come";
	}
	is(backups_of($subscriber), 'first second third', "$name has the rows of the ledger");
	tick($subscriber);
	$run = expire($subscriber, 1);
	$original->nothing_lost($name);
	back_up($subscriber, 'other-one');
	back_up($subscriber, 'other-two');
	expire($subscriber, 1);
	$original->nothing_lost("$name with backups of its own");
	foreach (1, 2)
	{
		my ($state) = act($subscriber, 'backup', '{"databases": "app", "globals": false, "storage": "shared", "retries": 0, "min_free": "1000 TB", "key": "failing/{time}"}');
		is($state, 'failed', "$name: a backup fails");
		escalate($subscriber);
		tick($subscriber);
	}
	is(messages($subscriber), 'suspended 1', "$name: the contact is told once that it is suspended");
	sql($subscriber, 'DROP SUBSCRIPTION everything');
	$subscriber->stop;
	$node->stop;
}

nothing_crashed();
done_testing();
