# What holds for the files themselves: code depends on code below it, every
# part of the extension script is installed, and the version stands in one
# place only.  Each rule about src/ is tried on a bad example too.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/../..');

sub slurp
{
	my ($path) = @_;
	open my $in, '<', $path or die "could not read $path: $!";
	local $/;
	return <$in>;
}

# Runs the check on a tree of these files, or on ours.
sub check_includes
{
	my (%files) = @_;
	my $tree = $root;

	if (%files)
	{
		$tree = tempdir(CLEANUP => 1);
		foreach my $name (keys %files)
		{
			make_path(dirname("$tree/src/$name"));
			open my $out, '>', "$tree/src/$name" or die "could not write $name: $!";
			print $out $files{$name};
			close $out;
		}
	}
	my $complaints = `'$^X' '$root/test/tools/check-includes' '$tree' 2>&1`;
	return ($? >> 8, $complaints);
}

my ($status, $complaints) = check_includes();
is($complaints, '', 'src: every file depends only on what is below it');
is($status, 0, 'src: the check ends well');

my %good = (
	'pgmaint.c' => qq(#include "postgres.h"\n#include "engine/run.h"\n),
	'engine/run.h' => '',
	'engine/run.c' => qq(#include "storage/ipc.h"\n#include "engine/run.h"\n#include "ledger/runs.h"\n),
	'ledger/runs.h' => '',
	'ledger/runs.c' => qq(#include "executor/spi.h"\nx("INSERT INTO pgmaint.runs");\n),
	'storage/s3.c' => qq(#include "http/http.h"\n#include "base/compat.h"\n),
	'http/http.h' => '',
	'base/compat.h' => "#if PG_VERSION_NUM >= 150000\n#endif\n");
is_deeply([ check_includes(%good) ], [ 0, '' ], 'a tree in order passes');

foreach my $bad (
	[ 'upwards', 'base/a.c', qq(#include "engine/run.h"\n), qr/base includes "engine\/run\.h"/ ],
	[ 'to the side', 'stream/a.c', qq(#include "http/http.h"\n), qr/stream includes "http\/http\.h"/ ],
	[ 'a folder without a place', 'misc/a.c', '', qr/"misc" has no place/ ],
	[ 'a file without a folder', 'other.c', '', qr/"other\.c" has no place/ ],
	[ 'a path with dots', 'engine/a.c', qq(#include "../base/compat.h"\n), qr/without dots/ ],
	[ 'the version', 'engine/a.c', "#if PG_VERSION_NUM > 1\n#endif\n", qr/only base\/compat\.h/ ],
	[ 'SPI in storage', 'storage/a.c', qq(#include "executor/spi.h"\n), qr/does not use SPI/ ],
	[ 'the ledger in storage', 'storage/a.c', qq(#include "ledger/runs.h"\n), qr/nothing of plans and runs/ ],
	[ 'a row written in actions', 'actions/a.c', qq(x("UPDATE"\n\t" pgmaint.tasks SET");\n), qr/only ledger\/ writes pgmaint\.tasks/ ])
{
	my ($name, $file, $text, $expected) = @$bad;
	($status, $complaints) = check_includes(%good, $file => $text);
	is($status, 1, "$name: found");
	like($complaints, $expected, "$name: named");
}

# The Makefile names the script's parts, because their order matters.
my ($list) = slurp("$root/Makefile") =~ /^SQL_PARTS = \$\(wildcard (.*?)\)$/ms;
my %listed = map { $_ => 1 } split ' ', $list;
my @left_out = grep { !/^(pgmaint--|update\.sql$)/ && !$listed{"sql/$_"} }
  map { basename($_) } glob "$root/sql/*.sql";
is_deeply(\@left_out, [], 'every part in sql/ is in the extension script');

# Every check that makes findings is known to the report.
my %checks;
foreach my $file (glob "$root/src/*/*.c")
{
	my $source = slurp($file);
	$checks{$1} = 1 while $source =~ /\b(?:note|plan|add)_finding\([^";]*"(?!(?:info|warning|critical)")(\w+)"/g;
}
my ($guide) = join('', map { slurp("$root/$_") } grep { -e "$root/$_" } sort keys %listed) =~ /^CREATE FUNCTION pgmaint\.check_guide\(\)(.*?)^END;/ms;
cmp_ok(scalar keys %checks, '>', 20, 'the checks that make findings are found');
is_deeply([ grep { $guide !~ /\('$_'/ } sort keys %checks ], [], 'and check_guide() has all of them');

my ($version) = slurp("$root/pgmaint.control") =~ /^default_version = '(.*)'$/m;
my $three = join '.', (split(/\./, $version), 0, 0)[ 0 .. 2 ];
my $meta = decode_json(slurp("$root/META.json"));
is($meta->{version}, $three, 'META.json has the version of pgmaint.control');
is($meta->{provides}{pgmaint}{version}, $three, 'and so has what it provides');
like(slurp("$root/CHANGELOG.md"), qr/^## \Q$version\E/m, 'CHANGELOG.md knows this version');

done_testing();
