# docs/reference.md, and the tables of options and settings in other documents,
# are what this server says: on every server, and whatever else is installed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = "$FindBin::RealBin/../../..";
my $node = start_server('reference');
my $json = $node->safe_psql('postgres', slurp_file("$root/test/tools/reference.sql"));

# what check-reference says of a tree
sub complaints
{
	my ($text, $tree, @options) = @_;
	my $output;

	IPC::Run::run([ $^X, "$root/test/tools/check-reference", @options, $tree ], '<', \$text, '>&', \$output);
	return $output;
}

is(complaints($json, $root), '', 'docs/ has what the server says: otherwise make reference');

# would it find anything?
my $tree = PostgreSQL::Test::Utils::tempdir();
mkdir "$tree/docs" or die $!;
append_to_file("$tree/docs/settings.md", "Before\n\n<!-- generated: settings -->\n<!-- end -->\n\n<!-- generated: options vacuum analyze -->\n<!-- end -->\nAfter\n");
complaints($json, $tree, '--write');
is(complaints($json, $tree), '', 'what was written is right');
my $written = slurp_file("$tree/docs/settings.md");
like($written, qr/^Before\n.*`pgmaint\.lock_timeout` \| `5s`.*`min_dead_rows` \| `vacuum`.*After\n\z/s, 'and stands between the comments');
foreach my $case (
	[ 'a new setting', qr/pgmaint\.max_wait/, 'pgmaint.max_waiting', qr{docs/reference\.md:\d+: .*docs/settings\.md:\d+: }s ],
	[ 'another comment', qr/"comment": "/, '"comment": "Today, ', qr{docs/reference\.md:\d+: } ],
	[ 'an action that is gone', qr/"action": "analyze"/, '"action": "analyse"', qr{docs/settings\.md: there is nothing to generate for "options vacuum analyze"} ])
{
	my ($name, $from, $to, $expected) = @$case;

	like(complaints($json =~ s/$from/$to/gr, $tree), $expected, "$name is found");
}
is(slurp_file("$tree/docs/settings.md"), $written, 'nothing is written without --write');

$node->stop;
done_testing();
