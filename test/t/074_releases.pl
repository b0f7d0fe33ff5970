# Minor releases that execute code of a table's owner with the rights of the role
# that maintains the table: nothing is maintained there.

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
		{"action": "vacuum_full", "options": {"tables": "bloated", "min_gain": "1kB"}}]')));

# The actions that a session would begin on a server of this release, and its
# warnings.
sub planned
{
	my ($release) = @_;
	my ($actions, $warnings);

	$node->psql('postgres',
		"SELECT FROM pretend_release('$release'); SELECT string_agg(DISTINCT action, ' ' ORDER BY action) FROM pgmaint.dry_run('maintain')",
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

$node->stop;
done_testing();
