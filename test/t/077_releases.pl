# Minor releases that execute code of a table's owner with the rights of the role
# that maintains or dumps the table: they do neither.

use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $module = abs_path("$FindBin::RealBin/../modules/releases");
my $build = PostgreSQL::Test::Utils::tempdir_short();
my $output = `make -C '$build' -f '$module/Makefile' PG_CONFIG=pg_config with_llvm=no COPT=-Werror 2>&1`;
is($?, 0, 'the module for this test can be built') or BAIL_OUT($output);

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

# what would be refused is named, and what is safe is done
my %dumps = ('14.12' => 'pg_dump 14.13', '15.7' => 'pg_dump 15.8', '16.3' => 'pg_dump 16.4',
	'14.18' => 'pg_dumpall 14.19', '15.8' => 'pg_dumpall 15.14', '17.5' => 'pg_dumpall 17.6', '15.14' => '', '17.6' => '', '18.0' => '');
foreach my $release (sort keys %dumps)
{
	my ($actions, $warnings) = planned($release, 'keep');

	is($actions, $dumps{$release} =~ /^pg_dump / ? '' : 'backup', "$release: " . ($dumps{$release} || 'everything is dumped'));
	is(join(' ', map { tr/,//dr } $warnings =~ /WARNING:  (pg_dump|pg_dumpall) is refused on PostgreSQL \Q$release\E, which .+ \(CVE-[-\d]+\); update the server to (\S+) or later/g),
		$dumps{$release}, '... and why, with the release that has the fix');
}

$node->stop;
done_testing();
