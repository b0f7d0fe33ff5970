# Copies of a database whose original goes on: whatever they are told to do, all
# that the original wrote stays, and the original goes on as if there were none.
#
# Objects go to a real S3 server where there is one, otherwise to a folder.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use FaultProxy;
use PgmaintCopies;
use PgmaintS3;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $missing = PgmaintS3::missing();
my ($s3, $proxy, %storage);

delete $ENV{$_} foreach grep { /^AWS_/ } keys %ENV;
if (!$missing)
{
	$s3 = PgmaintS3->start;
	$proxy = FaultProxy->start(upstream => $s3->address);
	$s3->create_bucket('bucket');
	%storage = (
		storage => $s3->through($proxy)->storage('shared', 'bucket', stall_timeout => '300s'),
		objects => sub {
			return map { $_->{key} => $_->{etag} } grep { $_->{key} !~ m{^\.pgmaint/} } $s3->objects('bucket');
		});
}
my $original = PgmaintCopies->prepare('prepared', %storage)->original('original');
my $node = $original->node;
my $run;

#
# A template clone
#
{
	my $name = 'a template clone';

	# as if a restore had been interrupted
	$node->safe_psql('postgres', 'CREATE DATABASE pgmaint_left');
	sql($node, q(INSERT INTO pgmaint_internal.scratch_databases (database, owner, task_id) VALUES ('pgmaint_left', current_user, 0)));
	$node->safe_psql('postgres', 'CREATE DATABASE clone TEMPLATE app');
	$run = expire($node, 1, 'clone');
	$original->nothing_lost($name);
	in_doubt($node, $run, $name, 'clone');
	is(sql($node, q(SELECT count(*) FROM pg_database WHERE datname = 'pgmaint_left')), '1', "$name does not drop what the original restores into");

	# what must go on does, and waits
	back_up($node, $_, 'clone') foreach qw(clone-one clone-two);
	tick($node, 'clone');
	expire($node, 1, 'clone');
	$original->nothing_lost("$name with backups of its own");
	is($original->backups_stored, 'clone-one clone-two first second third', '... not even those, within a day');
	is(sql($node, q(SELECT pgmaint.restore_archive((SELECT min(archive_id) FROM pgmaint.archives), 'restored')), 'clone'), '1000', "$name restores what is named");

	# it is told what it is: what says that it is in doubt is over at once
	act($node, 'validate', '{}', 'clone');
	escalate($node, 'clone');
	cmp_ok(sql($node, q(SELECT count(*) FROM pgmaint_internal.alert_records WHERE check_id = 'identity' AND resolved_at IS NULL), 'clone'), '>', 0, "$name: the doubt is an alert");
	sql($node, 'SELECT pgmaint.stay_copy()', 'clone');
	escalate($node, 'clone');
	is(sql($node, q(SELECT count(*) FROM pgmaint_internal.alert_records WHERE check_id = 'identity' AND resolved_at IS NULL), 'clone'), '0', "$name that stays one: no alert about it is left");
	$run = expire($node, 1, 'clone');
	certain($node, $run, "$name that stays one", 'clone');
	is(backups_of($node, 'clone'), 'clone-two', '... counts its own backups');
	is(sql($node, 'SELECT count(*) FROM pgmaint.contacts', 'clone'), '0', '... has no contacts');
	is(sql($node, 'SELECT count(*) FROM pgmaint.archives', 'clone'), '1', '... and knows where the archived rows are');
	$original->nothing_lost("$name that stays one");

	# the original has noticed nothing
	$run = expire($node, 2);
	certain($node, $run, "the original of $name");
	is(backups_of($node), 'second third', '... counts its own backups');
	is($original->backups_stored, 'clone-two second third', '... and removes no others');
	is(sql($node, 'SELECT count(*) FROM pgmaint.contacts'), '1', '... has its contact');
	is(sql($node, q(SELECT count(*) FROM pg_database WHERE datname = 'pgmaint_left')), '0', '... and drops what it restored into');
}

#
# A copy made by pg_basebackup
#
{
	my $name = 'a base backup that is started';
	my $copy = PostgreSQL::Test::Cluster->new('copied');

	$original->remember;
	$node->backup('base');
	$copy->init_from_backup($node, 'base');
	$copy->start;
	$run = expire($copy, 1);
	$original->nothing_lost($name);
	in_doubt($copy, $run, $name);
	back_up($copy, 'copied');
	tick($copy);
	expire($copy, 1);
	$original->nothing_lost("$name, later");
	is(sql($copy, q(SELECT pgmaint.restore_archive((SELECT min(archive_id) FROM pgmaint.archives), 'restored'))), '1000', "$name restores what is named");

	back_up($node, 'fourth');
	$run = expire($node, 1);
	certain($node, $run, "the original of $name");
	is($original->backups_stored, 'clone-two copied fourth', '... removes its own alone');
	$copy->stop;
}

#
# A snapshot of the disk, taken while rows leave
#
SKIP:
{
	skip $missing, 1 if $missing;

	my $name = 'a snapshot in the middle of an upload';

	sql($node, q(INSERT INTO events SELECT 2000 + g, timestamptz '2021-02-01' + g * interval '1 hour', 'event ' || g FROM generate_series(0, 999) g));
	sql($node, q(SELECT pgmaint.define_plan('leave', '[{"action": "retention", "options": {"tables": ["events"]}}]')));
	$proxy->fault(kind => 'hold', method => 'PUT', path => qr{archives/.*\.json$});
	my $leaving = sql($node, q(SELECT pgmaint.run('leave')));
	$proxy->wait_for_faults(1) or die 'no manifest is written';
	my $snapshot = $original->snapshot('snapshot');
	my $twin = (bless { %$original, node => $snapshot }, ref $original)->copy('twin');
	$proxy->release;
	is(wait_for_end($node, $leaving, 'app'), 'succeeded', "$name: the original comes to its end");
	is(sql($node, 'SELECT count(*) FROM events'), '0', '... the rows have left');
	$original->remember;

	$snapshot->start;
	tick($snapshot);
	# what was left is looked for once more an hour later
	sql($snapshot, q(UPDATE pgmaint_internal.uploads SET searched_at = searched_at - interval '61 minutes'));
	tick($snapshot);
	$original->nothing_lost("$name: tick()");
	is(sql($snapshot, "SELECT state FROM pgmaint.runs WHERE run_id = $leaving"), 'interrupted', '... the run was interrupted');
	is(sql($snapshot, "SELECT count(*) FROM pgmaint.runs WHERE resumes = $leaving"), '0', '... and is not resumed');
	my $state;
	($state, $run) = act($snapshot, 'retention', '{"tables": ["events"]}');
	is($state, 'succeeded', "$name: rows leave the copy, too") or diag sql($snapshot, "SELECT error FROM pgmaint.tasks WHERE run_id = $run");
	in_doubt($snapshot, $run, $name);
	expire($snapshot, 1);
	$original->nothing_lost("$name: more runs");
	$snapshot->stop;

	is(sql($node, "SELECT bool_and(v.ok) FROM pgmaint.archives a, pgmaint.verify_archive(a.archive_id) v WHERE a.run_id = $leaving"), 't', "$name: the original's archive is whole");
	is(sql($node, "TRUNCATE restored; SELECT pgmaint.restore_archive((SELECT archive_id FROM pgmaint.archives WHERE run_id = $leaving), 'restored')"), '1000', '... and has the rows');

	# nothing but the storage could tell this one that it is a copy, and there the
	# original has written nothing since
	$name = 'a clone of the machine in the middle of an upload';
	$original->remember;
	$twin->start;
	claim_signs($twin);
	tick($twin);
	act($twin, 'retention', '{"tables": ["restored"]}');
	sql($twin, q(UPDATE pgmaint_internal.uploads SET searched_at = searched_at - interval '23 hours'));
	act($twin, 'retention', '{"tables": ["restored"]}');
	$original->nothing_lost($name);
	back_up($node, 'fifth');
	# neither knows which it is: both have left records
	in_doubt($node, last_run($node, 'app'), "the original of $name");
	sql($twin, q(UPDATE pgmaint_internal.uploads SET searched_at = searched_at - interval '2 hours'));
	$original->remember;
	($state, $run) = act($twin, 'retention', '{"tables": ["restored"]}');
	$original->nothing_lost("$name, later");
	in_doubt($twin, $run, $name);
	$twin->stop;
}

no_processes_left($node, 'no process is left');
$node->stop;
nothing_crashed();
done_testing();
