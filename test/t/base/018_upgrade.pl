# Upgrades: a script that was released never changes, every released version
# can still be installed, and ALTER EXTENSION makes of it what CREATE EXTENSION
# makes of the newest, with what was in its tables.  Until it is called, what
# works on the tables refuses, and says what to do.

use strict;
use warnings;

use Digest::SHA;
use Cwd qw(abs_path);
use File::Basename qw(basename);
use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = abs_path("$FindBin::RealBin/../../..");
my $node = start_server('upgrade');
my $newest = $node->safe_psql('postgres', q(SELECT extversion FROM pg_extension WHERE extname = 'pgmaint'));

# what was released
my %recorded;
open my $sums, '<', "$root/sql/released/SHA256SUMS" or die "could not read SHA256SUMS: $!";
while (<$sums>)
{
	my ($digest, $file) = /^([0-9a-f]{64})  (\S+)$/ or die "SHA256SUMS: a strange line: $_";
	$recorded{$file} = $digest;
}
close $sums;
my %found = map { basename($_) => Digest::SHA->new(256)->addfile($_)->hexdigest } glob "$root/sql/released/*.sql";
is_deeply(\%found, \%recorded, 'the released scripts are those that were released');

# Everything that the extension's members are, as pg_dump writes it down for
# pg_upgrade, without the numbers that differ from database to database.
sub members
{
	my ($database) = @_;
	my ($dump, $errors) = run_command([ 'pg_dump', '--binary-upgrade', '--schema-only', '-d', $node->connstr($database) ]);
	my @lines = grep {
		!/^--|^$|binary_upgrade_set_next|^SET |relfrozenxid|pg_catalog\.setval|^WHERE oid = '|^\\(un)?restrict|set_config\('search_path'/
	} split /\n/, $dump;

	# the members' list has the OIDs of the tables that are dumped with their rows
	s/(binary_upgrade_create_empty_extension\(.*?), '\{[0-9,]*\}', '.*/$1/ foreach @lines;
	return join "\n", @lines;
}

# The lines that only one of two texts has.
sub differences
{
	my ($left, $right) = @_;
	my %count;

	$count{"- $_"}++ foreach split /\n/, $left;
	foreach my $line (split /\n/, $right)
	{
		if ($count{"- $line"}) { $count{"- $line"}-- }
		else { $count{"+ $line"}++ }
	}
	return grep { $count{$_} } sort keys %count;
}

# ... and the rows that come with it, and which rows are dumped
sub contents
{
	my ($database) = @_;
	my $tables = $node->safe_psql($database, q(SELECT c.oid::regclass FROM pg_class c
		WHERE c.relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND c.relkind IN ('r', 'p') ORDER BY c.oid::regclass::text));
	my @rows = map { "$_: " . $node->safe_psql($database, "SELECT t::text FROM $_ t ORDER BY 1") } split /\n/, $tables;

	push @rows, $node->safe_psql($database, q(SELECT c.table::regclass || ' ' || c.condition
		FROM pg_extension, unnest(extconfig, extcondition) AS c ("table", condition) WHERE extname = 'pgmaint' ORDER BY 1));
	return join "\n", @rows;
}

my $members = members('postgres');
like($members, qr/ALTER EXTENSION pgmaint ADD FUNCTION pgmaint\.run\(/, 'the comparison sees the members');
my $contents = contents('postgres');
like($contents, qr/^pgmaint\.runs: $/m, 'and the tables');

my @released = map { /^pgmaint--([^-]+)\.sql$/ ? $1 : () } sort keys %found;
cmp_ok(scalar @released, '>', 0, 'there are released versions');
foreach my $version (@released)
{
	my $database = "from_$version";

	$node->safe_psql('postgres', qq(CREATE DATABASE "$database"));
	$node->safe_psql($database, "CREATE EXTENSION pgmaint VERSION '$version'");
	is($node->safe_psql($database, q(SELECT extversion FROM pg_extension WHERE extname = 'pgmaint')),
		$version, "$version: can be installed");

	# what is there before
	$node->safe_psql($database, q(INSERT INTO pgmaint.runs (plan, requested_by, role, database, steps, settings, state, finished_at)
		SELECT 'weekly', 'somebody', 10, d.oid, '[]', '{}', x.state, x.finished_at FROM pg_database d, (VALUES (1, 'succeeded', now()), (2, 'queued', NULL)) x (n, state, finished_at)
		WHERE d.datname = current_database() ORDER BY x.n));
	foreach my $sql (q(SELECT pgmaint.run('weekly')), q(CALL pgmaint.run_and_wait('weekly')), 'SELECT pgmaint.cancel(1)', 'SELECT pgmaint.tick()')
	{
		my ($status, $stdout, $stderr) = $node->psql($database, $sql);
		isnt($status, 0, "$version: $sql is refused");
		like(
			$stderr,
			qr/ERROR:  extension "pgmaint" has version \Q$version\E in this database, but its library has version \Q$newest\E\nHINT:  Execute ALTER EXTENSION pgmaint UPDATE/,
			"$version: and says why");
	}

	$node->safe_psql($database, 'ALTER EXTENSION pgmaint UPDATE');
	is($node->safe_psql($database, q(SELECT extversion FROM pg_extension WHERE extname = 'pgmaint')),
		$newest, "$version: is updated to the newest");
	my $updated = members($database);
	is_deeply([ differences($members, $updated) ], [], "$version: the members are the same as in a new one");
	ok($updated eq $members, "$version: and in the same order");
	is($node->safe_psql($database, 'SELECT run_id, plan, state FROM pgmaint.runs ORDER BY run_id'), "1|weekly|succeeded\n2|weekly|queued", "$version: the ledger is kept");

	$node->safe_psql($database, q(CREATE TABLE t AS SELECT 1 AS id; CALL pgmaint.run_and_wait('weekly', '{"scope": "all"}')));
	is(run_state($node, 3, $database), 'succeeded', "$version: runs again");
	is(run_state($node, 2, $database), 'interrupted', "$version: what was queued is not carried out");
	is(run_error($node, 2, $database), 'the run was queued by an earlier version of pgmaint: run the plan again', '... and says why');

	$node->safe_psql($database, 'DROP EXTENSION pgmaint; CREATE EXTENSION pgmaint VERSION \'' . $version . '\'');
	$node->safe_psql($database, 'ALTER EXTENSION pgmaint UPDATE');
	is(contents($database), $contents, "$version: an empty one has the same rows as a new one");
}

# There is one way from each to the newest, and none back.
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_extension_update_paths('pgmaint') WHERE path IS NOT NULL)),
	@released * (@released + 1) / 2, 'every version leads to the later ones');

done_testing();
