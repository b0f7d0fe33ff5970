# A database goes on elsewhere: restored to an earlier time, promoted, moved,
# upgraded, from a dump.  Nothing is removed until it is told that it is the
# successor; then what there was and what it makes are one series.
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

# The verification of a backup that is named by its key, which the ledger need
# not know.
sub verifies
{
	my ($original, $node, $backup, $name) = @_;
	my %objects = $original->objects;
	my ($key) = grep { m{^\Q$backup\E/[^./][^/]*\.dump} } sort keys %objects;
	my ($state, $verification) = act($node, 'verify_backup', qq({"storage": "shared", "key": "$key"}));

	is($state, 'succeeded', "$name: a backup that is named is verified")
	  or diag sql($node, "SELECT error FROM pgmaint.tasks WHERE run_id = $verification");
	return;
}

#
# Point-in-time recovery
#
{
	my $name = 'an earlier time';
	my $original = $prepared->original('before');
	my $node = $original->node;
	my $earlier = PostgreSQL::Test::Cluster->new('earlier');

	$node->enable_archiving;
	$node->restart;
	$node->backup('base');
	sql($node, q(SELECT pg_create_restore_point('earlier')));
	# the ledger of the copy knows nothing of these
	$original->age_out(2);
	back_up($node, 'fourth');
	my $segment = $node->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_lsn())');
	$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
	$node->poll_query_until('postgres', "SELECT last_archived_wal >= '$segment' FROM pg_stat_archiver") or die 'the WAL is not archived';
	$node->stop;
	$original->remember;

	$earlier->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
	$earlier->append_conf('postgresql.conf', "recovery_target_name = 'earlier'\nrecovery_target_action = 'promote'\narchive_mode = off\n"
		. "pgmaint.proof_directory = '" . $earlier->host . "'");
	$earlier->start;
	$earlier->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'the recovery does not end';
	tick($earlier);
	$run = expire($earlier, 1);
	$original->nothing_lost($name);
	in_doubt($earlier, $run, $name);
	back_up($earlier, 'fifth');
	verifies($original, $earlier, 'fourth', $name);
	expire($earlier, 1);
	$original->nothing_lost("$name, later");
	is($original->backups_stored, 'fifth first fourth second third', '... and its own backup is there');

	cmp_ok(sql($earlier, 'SELECT pgmaint.take_over()'), '>', 0, "$name: is the successor");
	$run = expire($earlier, 1);
	certain($earlier, $run, "$name, the successor");
	is(backups_of($earlier), 'fifth', '... has one series of backups');
	is($original->backups_stored, 'fifth fourth', '... and does not touch those it does not know');
	$earlier->stop;
}

#
# A standby is promoted, and the old primary lives on
#
{
	my $name = 'a promoted standby';
	my $original = $prepared->original('primary');
	my $node = $original->node;
	my $standby = PostgreSQL::Test::Cluster->new('standby');

	$node->backup('base');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	my ($held, $session) = $original->hold_backup('fourth');
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	$standby->promote;
	tick($standby);
	$original->nothing_lost("$name in the middle of a backup");
	$session->quit;
	is(wait_for_end($node, $held, 'app'), 'succeeded', '... which the old primary finishes');
	$original->remember;
	tick($standby);
	sql($standby, q(UPDATE pgmaint_internal.uploads SET searched_at = searched_at - interval '61 minutes'));
	tick($standby);
	is(sql($standby, "SELECT count(*) FROM pgmaint.runs WHERE resumes = $held"), '0', '... and the other does not resume');
	$run = expire($standby, 1);
	$original->nothing_lost($name);
	in_doubt($standby, $run, $name);
	back_up($standby, 'fifth');
	$run = expire($node, 3);
	certain($node, $run, 'the old primary');
	is($original->backups_stored, 'fifth fourth second third', '... goes on');

	# the standby is told that it is the successor, in the middle of another one
	($held, $session) = $original->hold_backup('sixth');
	$original->remember;
	cmp_ok(sql($standby, 'SELECT pgmaint.take_over()'), '>', 0, "$name is the successor");
	$run = expire($standby, 2);
	certain($standby, $run, "$name, the successor");
	is(backups_of($standby), 'third fifth', '... has one series of backups');
	like($original->backups_stored, qr/^fifth fourth( sixth)? third$/, '... and leaves those of the old primary');
	$original->remember(qr{^(third|fifth|archives)/});

	# the old primary crashes, comes back, and does what it has missed
	$node->stop('immediate');
	$session->quit;
	$node->start;
	tick($node);
	$original->nothing_lost('an old primary that comes back');
	back_up($node, 'seventh');
	$run = expire($node, 1);
	$original->nothing_lost('an old primary that comes back, and wants backups to expire');
	in_doubt($node, $run, 'an old primary that comes back');
	back_up($standby, 'eighth');
	$run = expire($standby, 2);
	$original->remember(qr{^(fifth|eighth|archives)/});
	expire($node, 1);
	$original->nothing_lost('both go on');

	sql($node, 'SELECT pgmaint.stay_copy()');
	back_up($node, 'ninth');
	$run = expire($node, 1);
	certain($node, $run, 'an old primary that stays a copy');
	is(backups_of($node), 'ninth', '... has a series of its own');
	$original->nothing_lost('an old primary that stays a copy');
	$_->stop foreach $standby, $node;
}

#
# The data directory is renamed, then moved to another disk; then the server is
# upgraded
#
{
	my $original = $prepared->original('moved_from');
	my $node = $original->node;
	my $renamed = PostgreSQL::Test::Cluster->new('renamed');

	$node->stop;
	rmdir $renamed->data_dir;
	mkdir $renamed->basedir;
	rename $node->data_dir, $renamed->data_dir or die "could not rename: $!";
	PgmaintCopies::own_address($renamed);
	$renamed->start;
	$run = back_up($renamed, 'fourth');
	certain($renamed, $run, 'a directory that was renamed');
	$renamed->stop;

	$original->{node} = $renamed;
	my $moved = $original->copy('moved');
	$moved->append_conf('postgresql.conf', q(pgmaint.takeover_delay = '1h'));
	$moved->start;
	$original->remember;
	$run = expire($moved, 1);
	$original->nothing_lost('a directory that was moved');
	in_doubt($moved, $run, 'a directory that was moved');
	back_up($moved, $_) foreach qw(fifth sixth);
	expire($moved, 1);
	is($original->backups_stored, 'fifth first fourth second sixth third', '... removes nothing before the time');
	$original->{node} = $moved;
	my ($held, $session) = $original->hold_backup('interrupted');
	$moved->stop('immediate');
	$session->quit;
	$moved->start;
	tick($moved);
	is(sql($moved, "SELECT count(*) FROM pgmaint.runs WHERE resumes = $held"), '0', '... and resumes nothing');
	$moved->append_conf('postgresql.conf', q(pgmaint.takeover_delay = 0));
	$moved->reload;
	$moved->poll_query_until('app', q(SELECT pgmaint_internal.takeover_delay() = interval '0')) or die 'the setting does not change';
	tick($moved);
	is(sql($moved, "SELECT state FROM pgmaint.runs WHERE resumes = $held"), 'succeeded', '... resumes what it began itself, after the delay');
	$run = expire($moved, 1);
	$original->nothing_lost('a directory that was moved, after the delay');
	in_doubt($moved, $run, 'a directory that was moved, after the delay');
	is($original->backups_stored, 'first fourth interrupted second third', '... what it wrote since may expire');
	sql($moved, 'SELECT pgmaint.take_over()');
	$run = expire($moved, 3);
	certain($moved, $run, 'a directory that was moved, the successor');
	is(backups_of($moved), 'third fourth interrupted', '... has one series of backups');
	$original->remember;
	$moved->stop;

	my $name = 'an upgraded server';
	my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');
	my @unsynced = `pg_upgrade --help` =~ /--no-sync/ ? ('--no-sync') : ();
	chomp(my $bin = `pg_config --bindir`);
	$upgraded->init(allows_streaming => 1);
	$upgraded->append_conf('postgresql.conf', "autovacuum = off\nmax_worker_processes = 16\nmax_connections = 30");
	chdir $upgraded->basedir or die 'could not enter ' . $upgraded->basedir;
	command_ok(
		[
			'pg_upgrade', @unsynced, '-b', $bin, '-B', $bin, '-d', $moved->data_dir, '-D', $upgraded->data_dir,
			'-s', $moved->host, '-p', $moved->port, '-P', $upgraded->port
		],
		'pg_upgrade');
	$upgraded->start;
	tick($upgraded);
	$run = expire($upgraded, 1);
	$original->nothing_lost($name);
	in_doubt($upgraded, $run, $name);
	back_up($upgraded, 'seventh');
	is(sql($upgraded, q(SELECT pgmaint.restore_archive((SELECT min(archive_id) FROM pgmaint.archives), 'restored'))), '1000', "$name restores what is named");
	sql($upgraded, 'SELECT pgmaint.take_over()');
	$run = expire($upgraded, 2);
	certain($upgraded, $run, "$name, the successor");
	is(backups_of($upgraded), 'interrupted seventh', '... has one series of backups');
	is($original->backups_stored, 'interrupted seventh', '... and removes the rest');
	$upgraded->stop;
}

#
# A dump that is restored
#
{
	my $name = 'a restored dump';
	my $original = $prepared->original('dumped');
	my $node = $original->node;
	my $file = $node->basedir . '/app.dump';

	system_or_bail('pg_dump', '-Fc', '-f', $file, '-d', $node->connstr('app'));
	$node->safe_psql('postgres', 'CREATE DATABASE restored');
	system_or_bail('pg_restore', '-e', '-d', $node->connstr('restored'), $file);
	is(sql($node, 'SELECT count(*) FROM pgmaint.identities', 'restored'), '0', "$name has no identity");
	tick($node, 'restored');
	expire($node, 1, 'restored');
	$original->nothing_lost($name);
	# neither the policies nor the storage are its own idea, but they work
	sql($node, q(INSERT INTO events SELECT 2000 + g, timestamptz '2020-02-01' + g * interval '1 hour', 'event ' || g FROM generate_series(0, 999) g), 'restored');
	my ($state) = act($node, 'retention', '{"tables": ["events"]}', 'restored');
	is($state, 'succeeded', "$name: rows leave, under keys of its own");
	back_up($node, $_, 'restored') foreach qw(fourth fifth);
	sql($node, q(SELECT pgmaint.adopt_backups('shared')), 'restored');
	expire($node, 1, 'restored');
	$original->nothing_lost("$name that knows of the backups");
	is($original->backups_stored, 'fifth first second third', '... has a series of its own');

	# one that stays a copy, and one that has adopted an archive to read it, are
	# not the original's successors either when they have moved themselves
	$node->safe_psql('postgres', 'CREATE DATABASE stays');
	system_or_bail('pg_restore', '-e', '-d', $node->connstr('stays'), $file);
	tick($node, 'stays');
	my $stays = sql($node, 'SELECT pgmaint.stay_copy()', 'stays');
	is(sql($node, 'SELECT pgmaint.stay_copy() <> pgmaint.stay_copy()', 'stays'), 't', "$name that stays a copy: a clone of it gets another name");
	$node->safe_psql('postgres', 'CREATE DATABASE reader');
	my ($key) = split /\n/, sql($node, 'SELECT key FROM pgmaint.archives ORDER BY archive_id');
	my $folder = $original->folder;
	sql($node, "CREATE EXTENSION pgmaint; CREATE SERVER shared FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder')", 'reader');
	sql($node, "SELECT pgmaint.adopt_archive('shared', '$key')", 'reader');
	foreach my $other (qw(stays reader))
	{
		tick($node, $other);
		$node->safe_psql('postgres', "CREATE DATABASE moved_$other TEMPLATE $other");
		tick($node, "moved_$other");
		cmp_ok(sql($node, 'SELECT pgmaint.take_over()', "moved_$other"), '<=', 1, "$other that has moved takes over itself");
		is(sql($node, 'SELECT pgmaint.take_over()', "moved_$other"), '0', '... and nothing more');
		back_up($node, $other, "moved_$other");
	}
	my $own = back_up($node, 'of-original');
	certain($node, $own, "the original of $name that stays a copy");

	# an alert, of which its contacts are not told
	foreach (1, 2)
	{
		($state) = act($node, 'backup', '{"databases": "app", "globals": false, "storage": "shared", "retries": 0, "min_free": "1000 TB", "key": "failing/{time}"}', 'restored');
		is($state, 'failed', "$name: a backup fails");
		escalate($node, 'restored');
		tick($node, 'restored');
	}
	is(messages($node, 'restored'), 'suspended 1', "$name: the contact is told once that it is suspended");
	like(sql($node, q(SELECT subject FROM pgmaint.notifications WHERE kind = 'suspended'), 'restored'), qr/suspended on \S+, until take_over\(\)/, '... in these words');
	is(messages($node), 'none', '... and by the original of nothing');

	# it is the successor
	sql($node, 'SELECT pgmaint.take_over()', 'restored');
	escalate($node, 'restored');
	is(messages($node, 'restored'), 'alert 1, suspended 1', "$name, the successor: the contact is told");
	$original->nothing_lost("$name, the successor");
	$run = expire($node, 1);
	certain($node, $run, "the original of $name");
	$node->stop;
}

nothing_crashed();
done_testing();
