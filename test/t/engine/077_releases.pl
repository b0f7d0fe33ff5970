# Minor releases that execute code of a table's owner with the rights of the role
# that maintains or dumps the table: the first is refused, the second warned of.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $build = build_module('releases');

my $node = start_server('releases', "dynamic_library_path = '\$libdir:$build'");
$node->safe_psql('postgres', q(
	CREATE FUNCTION pretend_release(release text) RETURNS void LANGUAGE c AS 'pgmaint_test_releases';
	CREATE TABLE bloated (id int PRIMARY KEY, t text) WITH (autovacuum_enabled = off);
	INSERT INTO bloated SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g;
	DELETE FROM bloated WHERE id % 10 <> 0;
	SELECT pgmaint.define_plan('maintain', '[{"action": "vacuum", "options": {"tables": "bloated"}},
		{"action": "analyze", "options": {"tables": "bloated"}}, {"action": "reindex", "options": {"tables": "bloated"}},
		{"action": "vacuum_full", "options": {"tables": "bloated", "min_gain": "1kB"}}]');
	SELECT pgmaint.define_plan('keep', '[{"action": "backup", "options": {"storage": "pgmaint_local"}}]')));

# The actions that a session would begin on a server of this release, and its
# warnings.
sub planned
{
	my ($release, $plan) = @_;
	my ($actions, $warnings);

	$plan ||= 'maintain';

	$node->psql('postgres',
		"SELECT FROM pretend_release('$release'); SELECT string_agg(DISTINCT action, ' ' ORDER BY action) FROM pgmaint.dry_run('$plan')",
		stdout => \$actions, stderr => \$warnings);
	$actions =~ s/^\s+//;
	return ($actions, $warnings);
}

my ($all, $none) = planned('15.0');
like($all, qr/reindex.*vacuum/, 'a release that has the fix: the table is maintained');
is($none, '', '... without a warning');
foreach my $release ('14.0', '14.2 (Debian 14.2-1)')
{
	my ($actions, $warnings) = planned($release);

	is($actions, '', "$release: nothing is maintained");
	is(join(' ', $warnings =~ /WARNING:  ([A-Z ]+) is refused on PostgreSQL \Q$release\E, which executes code of a table's owner with the rights of the role of the run \(CVE-2022-1552\); update the server to 14\.3 or later/g),
		'VACUUM ANALYZE REINDEX VACUUM FULL', '... and each command is refused');
}
is((planned($_))[0], $all, "$_: maintained again") foreach '14.3', '14.20', '18.0', '19rc1';

# dumps are made, and a warning names the release to update to
$node->append_conf('postgresql.conf', 'shared_preload_libraries = pgmaint_test_releases');
my %dumps = ('14.12' => 'pg_dump 14.13, pg_dumpall 14.19', '15.7' => 'pg_dump 15.8, pg_dumpall 15.14', '17.5' => 'pg_dumpall 17.6', '17.6' => '');
foreach my $release (sort keys %dumps)
{
	local $ENV{PRETENDED_RELEASE} = $release;
	$node->restart;
	my $run = $node->safe_psql('postgres', "SELECT pgmaint.run('keep')");
	# the programs are of another release than they are told, and may refuse
	$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM pgmaint.tasks WHERE run_id = $run AND action = 'backup'")
	  or die "the run was not planned\n";
	$node->safe_psql('postgres', "SELECT pgmaint.cancel($run)");
	wait_for_end($node, $run);
	my $findings = $node->safe_psql('postgres', "SELECT message FROM pgmaint.findings WHERE run_id = $run AND check_id = 'server_release' AND severity = 'warning'");

	is($node->safe_psql('postgres', "SELECT count(*) FROM pgmaint.tasks WHERE run_id = $run AND action = 'backup'"), 2, "$release: dumps are made");
	is(join(', ', sort map { s/ .* / /sr } $findings =~ /((?:pg_dump|pg_dumpall) is part of PostgreSQL \Q$release\E, which .+ \(CVE-[-\d]+\); update the server to \S+) or later/g),
		$dumps{$release}, '... with a warning: ' . ($dumps{$release} || 'none'));
}

$node->stop;
done_testing();
