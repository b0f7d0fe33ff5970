# What holds for the files themselves: code depends on code below it, and in no
# circle on itself, no function of another role can take the place of one that is called,
# columns of queries are read by their names, every part of the extension script is
# installed, and the version stands in one place only.  Each rule about src/ is
# tried on a bad example too.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/../../..');

sub slurp
{
	my ($path) = @_;
	open my $in, '<', $path or die "could not read $path: $!";
	local $/;
	return <$in>;
}

# Runs a check on a tree of these files, or on ours.
sub check_tree
{
	my ($check, %files) = @_;
	my $tree = $root;

	if (%files)
	{
		$tree = tempdir(CLEANUP => 1);
		foreach my $name (keys %files)
		{
			make_path(dirname("$tree/$name"));
			open my $out, '>', "$tree/$name" or die "could not write $name: $!";
			print $out $files{$name};
			close $out;
		}
	}
	my $complaints = `'$^X' '$root'/test/tools/$check '$tree' 2>&1`;
	return ($? >> 8, $complaints);
}

sub check_includes
{
	my (%files) = @_;
	return check_tree('check-includes', map { ("src/$_" => $files{$_}) } keys %files);
}

my ($status, $floors) = check_includes();
my $complaints;
is($status, 0, 'src: every file depends only on what is below it') or diag $floors;
like($floors, qr/^1  base\nno circles between \d{3} files\n\z/m, 'src: and on nothing in a circle');
my ($house) = slurp("$root/docs/architecture.md") =~ /^\| floor \| rooms \|\n\| --- \| --- \|\n((?:\|.*\n)+)/m;
is($house =~ s/^\| (\d+) \| (.*) \|$/$1  $2/gmr =~ s/[`,]//gr, $floors =~ s/^no circles.*\n//mr, 'docs/architecture.md has these floors');

sub room
{
	my ($name, $text) = @_;
	return "/*\n * The room $name: what $name\n * is for.\n */\n" . ($text // '');
}
my %good = (
	'pgmaint.c' => qq(#include "postgres.h"\n#include "engine/run.h"\n),
	'engine/run.h' => room('engine', "extern int run(char *name);\n"),
	'engine/run.c' => qq(#include "storage/ipc.h"\n#include "engine/run.h"\n#include "ledger/runs.h"\n\nint\nrun(char *name)\n{\n\treturn 0;\n}\n),
	'ledger/runs.h' => room('ledger'),
	'ledger/runs.c' => qq(#include "executor/spi.h"\nx("INSERT INTO pgmaint.runs");\n),
	'storage/s3.c' => room('storage', qq(#include "http/http.h"\n#include "base/compat.h"\n)),
	'http/http.h' => room('http'),
	'base/compat.h' => room('base', "#if PG_VERSION_NUM >= 150000\n#endif\n"));
is_deeply([ check_includes(%good) ], [ 0, "9  pgmaint.c\n8  engine\n3  storage\n2  http ledger\n1  base\nno circles between 6 files\n" ], 'a tree in order passes');
like((check_tree('check-includes --rooms', map { ("src/$_" => $good{$_}) } keys %good))[1],
	qr/^3  storage\n   storage: what storage is for\.\n   includes http, base$/m, 'what each room is for and what it includes');

foreach my $bad (
	[ 'upwards', 'base/a.c', qq(#include "engine/run.h"\n), qr/base includes "engine\/run\.h"/ ],
	[ 'to the side', 'stream/a.c', qq(#include "http/http.h"\n), qr/stream includes "http\/http\.h"/ ],
	[ 'a folder without a place', 'misc/a.c', '', qr/"misc" has no place/ ],
	[ 'a file without a folder', 'other.c', '', qr/"other\.c" has no place/ ],
	[ 'a path with dots', 'engine/a.c', qq(#include "../base/compat.h"\n), qr/without dots/ ],
	[ 'the version', 'engine/a.c', "#if PG_VERSION_NUM > 1\n#endif\n", qr/only base\/compat\.h/ ],
	[ 'SPI in storage', 'storage/a.c', qq(#include "executor/spi.h"\n), qr/does not use SPI/ ],
	[ 'a circle', 'engine/a.c', qq(#include "engine/b.h"\n), qr/^src: a circle: engine\/a includes engine\/b\.h, engine\/b includes engine\/a\.h$/m,
		'engine/a.h' => '', 'engine/b.h' => qq(#include "engine/a.h"\n) ],
	[ 'a circle of three files', 'engine/a.c', qq(#include "engine/b.h"\n), qr/^src: a circle: engine\/a includes engine\/b\.h, engine\/b includes engine\/c\.h, engine\/c includes engine\/a\.h$/m,
		'engine/a.h' => '', 'engine/b.h' => '', 'engine/b.c' => qq(#include "engine/c.h"\n), 'engine/c.h' => qq(#include "engine/a.h"\n) ],
	[ 'a circle that a header hides', 'engine/a.c', qq(#include "engine/run.h"\n\nint\nfound(void)\n{\n\treturn run("found");\n}\n), qr/^src: a circle: engine\/a (?:uses run|includes engine\/run\.h), engine\/run uses found$/m,
		'engine/run.h' => room('engine', "extern int run(char *name);\nextern int found(void);\n"),
		'engine/run.c' => qq(#include "engine/run.h"\n\nint\nrun(char *name)\n{\n\treturn found();\n}\n) ],
	[ 'a variable in such a circle', 'engine/a.c', qq(#include "engine/face.h"\n\nconst Ops ops = {.run = run};\n), qr/^src: a circle: engine\/a uses run, engine\/run uses ops$/m,
		'engine/face.h' => room('engine', "extern int run(char *name);\nextern const Ops ops;\n"), 'engine/run.h' => '',
		'engine/run.c' => qq(#include "engine/face.h"\n\nint\nrun(char *name)\n{\n\treturn call(&ops);\n}\n) ],
	[ 'a room without a line', 'exec/a.c', '', qr/^src\/exec: no file says what it is for/m ],
	[ 'a second line', 'engine/a.h', room('engine'), qr/another file has said what "engine" is for/ ],
	[ 'the line of another room', 'engine/a.h', room('exec'), qr/src\/engine\/a\.h: says what "exec" is for/ ],
	[ 'the ledger in storage', 'storage/a.c', qq(#include "ledger/runs.h"\n), qr/nothing of plans and runs/ ],
	[ 'a row written in vacuum', 'vacuum/a.c', qq(x("UPDATE"\n\t" pgmaint.tasks SET");\n), qr/only ledger\/ writes pgmaint\.tasks/ ])
{
	my ($name, $file, $text, $expected, %others) = @$bad;
	($status, $complaints) = check_includes(%good, %others, $file => $text);
	is($status, 1, "$name: found");
	like($complaints, $expected, "$name: named");
}

# Functions of other extensions, and schemas that are filled in.
is_deeply([ check_tree('check-calls') ], [ 0, '' ], 'no call in SQL can be taken over');

my %calls = (
	'sql/good.sql' => <<'END',
-- cron.schedule(name) is called nowhere
SELECT cron.unschedule(1::pg_catalog.int8), CAST(1 AS bigint);
EXECUTE format('SELECT /* member checked */ %I.f(a => $1::pg_catalog.text, b => CAST($2 AS pg_catalog.int8)), %I.g()');
END
	'src/good.c' => <<'END');
/* bt_index_check(oid) is no call */
x("SELECT pgmaint.%s(%s), cron.name FROM %s.verified", "verify_heapam");
x("SELECT %s.gin_index_check("
  /* member checked */
  "$1::pg_catalog.regclass)");
END
is_deeply([ check_tree('check-calls', %calls) ], [ 0, '' ], 'calls in order pass');

my $loose = qr/an argument that is not cast/;
my $unchecked = qr/without \/\* member checked \*\//;
foreach my $bad (
	[ 'an argument of another extension\'s function', 'src/bad.c', qq(x("SELECT amcheck."\n\t"bt_index_check(\$1, true::pg_catalog.bool)");\n), $loose ],
	[ 'a second argument', 'src/bad.c', qq(x("SELECT cron.schedule(\$1::pg_catalog.text, \$2)");\n), $loose ],
	[ 'a type by its bare name', 'src/bad.c', qq(x("SELECT hypopg_create_index(\$1::text)");\n), $loose ],
	[ 'an argument across lines', 'src/bad.c', qq(x("SELECT pg_stat_statements("\n\t"show)");\n), $loose ],
	[ 'a schema that is filled in', 'src/bad.c', qq(x("SELECT %I.f(\$1::pg_catalog.oid)");\n), $unchecked ],
	[ 'such a schema with a marker', 'src/bad.c', qq(x("SELECT /* member checked */ %s.f(\$1)");\n), $loose ],
	[ 'such a schema by its position', 'src/bad.c', qq(x("SELECT %1\$I.f()");\n), $unchecked ],
	[ 'a schema that was written before', 'src/bad.c', qq(append(schema);\nappend(".f()");\n), $unchecked ],
	[ 'SQL: an argument', 'sql/bad.sql', "SELECT\n\tcron.unschedule(j.jobid) FROM cron.job j;\n", $loose ],
	[ 'SQL: a schema that is filled in', 'sql/bad.sql', "/* member checked */\n\nEXECUTE format('SELECT %I.f()', s);\n", $unchecked ],
	[ 'SQL: a schema that is joined on', 'sql/bad.sql', "EXECUTE 'SELECT ' || s || '.f()';\n", $unchecked ])
{
	my ($name, $file, $text, $expected) = @$bad;
	($status, $complaints) = check_tree('check-calls', %calls, $file => $text);
	is($status, 1, "$name: found");
	like($complaints, qr/^\Q$file\E:[1-3]: .*$expected/, "$name: named, with its line");
}

# Results of queries are read by the names of their columns.
is_deeply([ check_tree('check-columns') ], [ 0, '' ], 'columns of queries have names');

my %columns = (
	'src/base/good.h' => qq(#define TARGET "c.oid AS relation, "\n),
	'src/base/rows.h' => '',
	'src/base/rows.c' => qq(x = named_bigint(row, "bytes");\n),
	'src/base/good.c' => <<'END');
#include "base/good.h"
#include "base/rows.h"
q("SELECT " TARGET "c.size, 2 * c.size AS bytes FROM c");
x = ledger_text(row, 1) + ledger_bigint(next(row, 7), 2);
x = named_oid(row, "relation") + named_text(0, "size") + named_datum(row,
	"bytes", &isnull);
END
is_deeply([ check_tree('check-columns', %columns) ], [ 0, '' ], 'columns in order pass');
foreach my $bad (
	[ 'a number', qq(\nx = ledger_text(row, 3);\n), 'column 3 is read by its number, not by a name' ],
	[ 'a number on a line of its own', qq(\nx = ledger_datum(i + 1,\n\t12, &isnull);\n), 'column 12 is read by its number, not by a name' ],
	[ 'a number that is computed', qq(\nx = ledger_oid(0, column + 1);\n), 'column column + 1 is read by its number, not by a name' ],
	[ 'a name of no query', qq(q("SELECT c.reasons");\nx = named_text(row, "reason");\n), 'no query has a column "reason"' ],
	[ 'a name of a query elsewhere', qq(\nx = named_text(row, "size");\n), 'no query has a column "size"' ])
{
	my ($name, $text, $expected) = @$bad;
	($status, $complaints) = check_tree('check-columns', %columns, 'src/base/bad.c' => $text);
	is($status, 1, "$name: found");
	is($complaints, "src/base/bad.c:2: $expected\n", "$name: named, with its line");
}

# The Makefile names the script's parts, because their order matters.
my ($list) = slurp("$root/Makefile") =~ /^SQL_PARTS = \$\(wildcard (.*?)\)$/ms;
my %listed = map { $_ => 1 } split ' ', $list;
my @left_out = grep { !/^released/ && !$listed{"sql/$_"} }
  map { s{^\Q$root\E/sql/}{}r } glob "$root/sql/*/*.sql";
is_deeply(\@left_out, [], 'every part in sql/ is in the extension script');

# What an update leaves out is what it knows to leave out.
sub update_of
{
	my ($part) = @_;
	my $file = tempdir(CLEANUP => 1) . '/part.sql';
	open my $out, '>', $file or die "could not write $file: $!";
	print $out $part;
	close $out;
	my $script = `awk -f '$root/sql/update.awk' '$file' 2>&1`;
	return ($? >> 8, $script =~ s/^\Q$file\E://r);
}
my ($updates, $update) = update_of("-- one\nCREATE TABLE a (\n\tb int);\n\nCREATE VIEW c AS\nSELECT 1;\n");
is($updates, 0, 'update: a part in order');
like($update, qr/\A-- one\n\nCREATE OR REPLACE VIEW c AS\nSELECT 1;\n(?!.*CREATE TABLE)/s, '... without its table');
my $unknown = 'an update does not know what to do with this statement';
foreach my $bad (
	[ 'CREATE TYPE a AS (b int);', "1: $unknown" ],
	[ 'create table a ();', "1: $unknown" ],
	[ "\tCREATE TABLE a ();", "1: $unknown" ],
	[ 'UPDATE a SET b = 1;', "1: $unknown" ],
	[ 'CREATE TABLE a (', '1: the statement at the end of the file does not end' ],
	[ "CREATE TABLE a (); -- one\nCREATE VIEW b AS SELECT 1;", '2: the statement before this one does not end' ])
{
	my ($part, $expected) = @$bad;
	($updates, $update) = update_of("$part\n");
	is($updates, 1, "update: " . ($part =~ s/\s+/ /gr) . ": refused");
	like($update, qr/^\Q$expected\E$/m, '... and why');
}

# Every check that makes findings is known to the report.
my %checks;
foreach my $file (glob "$root/src/*/*.c")
{
	my $source = slurp($file) =~ s{\bnamed_\w+\([^()]*\)}{}gr;
	$checks{$1} = 1 while $source =~ /\b(?:note|plan|add)_finding\([^";]*"(?!(?:info|warning|critical)")(\w+)"/g;
}
my ($guide) = join('', map { slurp("$root/$_") } grep { -e "$root/$_" } sort keys %listed) =~ /^CREATE FUNCTION pgmaint_internal\.check_guide\(\)(.*?)^END;/ms;
cmp_ok(scalar keys %checks, '>', 20, 'the checks that make findings are found');
is_deeply([ grep { $guide !~ /\('$_'/ } sort keys %checks ], [], 'and check_guide() has all of them');

# Actions say themselves what came of their tasks: each does, and no report
# tells them apart by their names.
sub actions_told_apart
{
	my ($sql) = @_;
	$sql =~ s/--[^\n]*//g;
	return $sql =~ /(\baction(?:"|')?\)?\s*(?:=|<>|!=|!?~|(?:NOT\s+)?(?:IN|LIKE)\b)[^\n]*|\bCASE\s+(?:\w+\.)?action\b[^\n]*)/g;
}
is_deeply([ map { my $file = basename($_); map { "$file: $_" } actions_told_apart(slurp($_)) } glob "$root/sql/report/*.sql" ],
	[], 'no report tells actions apart');
foreach my $bad ("WHERE t.action = 'vacuum'", "CASE t.action WHEN 'vacuum' THEN 1 END", "WHERE t.action NOT IN ('vacuum')", "t.action <> 'a'", "(s.definition ->> 'action') = 'a'")
{
	is(scalar(() = actions_told_apart("SELECT 1\n$bad\n")), 1, "$bad: found");
}
is(scalar(() = actions_told_apart("SELECT t.action, 'a' AS b -- action = 'a'\nPARTITION BY t.action\nGROUP BY t.action, ARRAY['a']")), 0, 'the name by itself is in order');

my %actions = map { $_ => 1 } slurp("$root/src/engine/actions.h") =~ /^\tACTION\((\w+)\)/mg;
my %defined;
foreach my $file (glob "$root/src/*/*.c")
{
	my $source = slurp($file);
	while ($source =~ /^DEFINE_ACTION\((\w+)\) = \{(.*?)^\};/msg)
	{
		$defined{$1} = 1;
		like($2, qr/\.name = "$1",.*\.describe = /s, "$1 says what came of its tasks");
	}
}
is_deeply(\%actions, \%defined, 'the table has all actions');

my ($version) = slurp("$root/pgmaint.control") =~ /^default_version = '(.*)'$/m;
my $three = join '.', (split(/\./, $version), 0, 0)[ 0 .. 2 ];
my $meta = decode_json(slurp("$root/META.json"));
is($meta->{version}, $three, 'META.json has the version of pgmaint.control');
is($meta->{provides}{pgmaint}{version}, $three, 'and so has what it provides');
like(slurp("$root/CHANGELOG.md"), qr/^## \Q$version\E/m, 'CHANGELOG.md knows this version');

is_deeply([ check_tree('check-strings') ], [ 0, '' ], 'no text depends on the encoding or the strings of a database');
my %strings = ('src/base/locks.c' => "int one; /* plain */\n", 'sql/ledger.sql' => "-- it's\nSELECT E'\\d'\n\t'\\\\', \"a\\b\", 'c';\n");
is_deeply([ check_tree('check-strings', %strings) ], [ 0, '' ], 'texts in order pass');
foreach my $bad ([ 'src/base/bad.c', "\n/* \xe2\x80\xa6 */\n", 'not ASCII' ], [ 'sql/bad.sql', "\nSELECT '\xc2\xb1';", 'not ASCII' ],
	[ 'sql/bad.sql', "-- \\\nSELECT E'x\\n', 'a\\d';", q(a string with a backslash does not begin with E: 'a\d') ],
	[ 'src/base/bad.c', "/* '\\d' */\nchar *one = \"SELECT E'\\\\\\\\d', '\\\\d'\";\n", q(a string with a backslash does not begin with E: "SELECT E'\\\\d', '\d'") ])
{
	my ($file, $text, $expected) = @$bad;
	my ($status, $complaints) = check_tree('check-strings', %strings, $file => $text);
	is($status, 1, "$file, $expected: found");
	is($complaints, "$file:2: $expected\n", "$file, $expected: named, with its line");
}

# Words for which there is a plain one, in everything that is read.
is_deeply([ check_tree('check-words') ], [ 0, '' ], 'no word leaves open who or what is meant');
my %plain = ('src/base/plain.c' => "/* Use a relay; see tools. */\nchar *key = \"troubles\";\n", 'README.md' => "See toast, \"troubles_count\" and `pgmaint_troubles`.\n");
is_deeply([ check_tree('check-words', %plain) ], [ 0, '' ], 'other words, and names that stay, pass');
foreach my $bad ([ 'src/base/bad.c', "\n/* Whoever asks. */\n", 'Whoever', 'the role, the session' ],
	[ 'sql/base/bad.sql', "\n-- it is not there any more\n", 'any more', '"no longer"' ],
	[ 'docs/bad.md', "\nSomebody must see to it\n", 'see to', 'the verb that says what is done' ],
	[ 'expected/base/bad.out', "\nNOTICE:  2 troubles\n", 'troubles', 'an alert, a finding, or what failed' ],
	[ 'README.md', "\nNobody is told.\n", 'Nobody', 'the session, the role, the user, the contact' ],
	[ 'contrib/prometheus/bad.yml', "\nthe table is written anew\n", 'written anew', 'a rewrite, a rebuild' ])
{
	my ($file, $text, $word, $instead) = @$bad;
	my ($status, $complaints) = check_tree('check-words', %plain, $file => $text);
	is($status, 1, "$file, $word: found");
	like($complaints, qr/^\Q$file:2: "$word": write $instead\E$/m, "$file, $word: named, with its line");
}

# What is said of measurements is what was measured.
is_deeply([ check_tree('check-figures') ], [ 0, '' ], 'the figures in README.md and docs/ are those of RESULTS.md');
my $table = "| what | against | asked | measured |\n| --- | --- | --- | --- |\n";
my $row = '| `weekly` | `vacuumdb` | at least 7× faster: met | 7.1× faster (5.1 to 7.3; 0.74 s, 5.24 s)';
my %figures = (
	'test/bench/RESULTS.md' => "# Benchmarks\n\n## weekly\n\n- Date: 2026-11-29\n\n$table$row <!-- due; ratio=7.1; range=5.1 to 7.3; ours=0.74 s --> |\n",
	'README.md' => "It is <!-- figure: weekly/due/ratio -->7.1<!-- --> times as fast, four times as long\n\n"
	  . "<!-- figures: weekly -->\n\n$table$row |\n\n<!-- -->\n",
	'docs/one.md' => "in <!-- figure: weekly/due/ours -->0.74 s<!-- -->, 3 times a day\n");
is_deeply([ check_tree('check-figures', %figures) ], [ 0, '' ], 'figures in order pass');
foreach my $bad (
	[ 'README.md', 1, 'a changed figure', [ '>7.1<' => '>7.2<' ], 'the figure weekly/due/ratio is not that of test/bench/RESULTS.md: make figures' ],
	[ 'README.md', 3, 'a changed row', [ '0.74 s' => '0.70 s' ], 'the figures weekly is not that of test/bench/RESULTS.md: make figures' ],
	[ 'docs/one.md', 1, 'a figure that is not there', [ 'ours' => 'mine' ], 'there is no figure weekly/due/mine in test/bench/RESULTS.md' ],
	[ 'docs/one.md', 1, 'a missing end', [ '<!-- -->' => '' ], '<!-- --> is missing after the figure weekly/due/ours' ],
	[ 'docs/one.md', 1, 'a missing marker', [ '3 times a day' => 'and 7.1× faster' ], '"7.1× faster" is not marked as a figure' ],
	[ 'docs/one.md', 1, 'a share without a marker', [ '3 times a day' => '99 times in 100' ], '"99 times in 100" is not marked as a figure' ])
{
	my ($file, $line, $name, $change, $expected) = @$bad;
	my ($from, $to) = @$change;

	my ($status, $complaints) = check_tree('check-figures', %figures, $file => $figures{$file} =~ s/\Q$from/$to/r);
	is($status, 1, "$name: found");
	is($complaints, "$file:$line: $expected\n", "$name: named, with its line");
}

# make figures takes them from there.
my $tree = tempdir(CLEANUP => 1);
foreach my $name (keys %figures)
{
	make_path(dirname("$tree/$name"));
	open my $out, '>', "$tree/$name" or die "could not write $name: $!";
	print $out $figures{$name} =~ s/(ratio=|; |\b)7\.1(?=;|×)/${1}8.2/gr;
	close $out;
}
is(`'$^X' '$root/test/tools/check-figures' --write '$tree'`, "README.md was changed\n", 'new figures are written');
is(slurp("$tree/README.md") =~ s/8\.2/7.1/gr, $figures{'README.md'}, 'and nothing else is');
like(slurp("$tree/README.md"), qr/-->8\.2<!-- --> times.*\| 8\.2× faster/s, 'they are the new ones');

# Links lead somewhere, and the README is one that is read to its end.
is_deeply([ check_tree('check-links') ], [ 0, '' ], 'links in README.md, CHANGELOG.md and docs/ lead somewhere');
my %pages = (
	'README.md' => "# One\n\n## What `it` does, and why?\n\n## Again\n\n## Again\n\n![a picture](docs/a.png) [web](https://example.com/x.md#y) `[code](none)`\n\n"
	  . "```sh\n# [none](none)\n```\n\n[`it`](#what-it-does-and-why) [twice](#again-1) [there](docs/two.md#über-_uns_) [old](docs/reference.md#x)\n",
	'docs/two.md' => "# Two\n\n## Über [_uns_](../README.md#one)\n\n[up](../README.md) [itself](#two)\n",
	'docs/a.png' => '');
is_deeply([ check_tree('check-links', %pages) ], [ 0, '' ], 'links in order pass');
foreach my $bad (
	[ 'README.md', 9, 'an image', [ 'a.png' => 'b.png' ], 'docs/b.png leads to docs/b.png, which is not there' ],
	[ 'README.md', 15, 'an anchor', [ '#again-1' => '#again-2' ], '#again-2 leads to a heading that README.md has not' ],
	[ 'README.md', 15, 'an anchor of another file', [ 'two.md#ü' => 'two.md#u' ], 'docs/two.md#uber-_uns_ leads to a heading that docs/two.md has not' ],
	[ 'docs/two.md', 5, 'a file', [ '(../README.md)' => '(README.md)' ], 'README.md leads to docs/README.md, which is not there' ],
	[ 'docs/two.md', 5, 'a file elsewhere', [ '(../README.md)' => '(../../README.md)' ], '../../README.md leads out of the sources' ],
	[ 'docs/two.md', 5, 'a path from the root', [ '(../README.md)' => '(/README.md)' ], '/README.md is absolute' ],
	[ 'docs/two.md', 5, 'an anchor of a picture', [ '(../README.md)' => '(a.png#x)' ], 'a.png#x leads to an anchor of docs/a.png, which has none' ])
{
	my ($file, $line, $name, $change, $expected) = @$bad;
	my ($from, $to) = @$change;
	my ($status, $complaints) = check_tree('check-links', %pages, $file => $pages{$file} =~ s/\Q$from/$to/r);

	is($status, 1, "a link to $name: found");
	is($complaints, "$file:$line: $expected\n", "a link to $name: named, with its line");
}
like((check_tree('check-links', %pages, 'docs/reference.md' => "# Reference\n"))[1], qr/^README\.md:15: docs\/reference\.md#x leads to a heading/, 'where the reference is, its anchors count');

my $readme = slurp("$root/README.md");
cmp_ok($readme =~ tr/\n//, '<=', 250, 'README.md has at most 250 lines');
cmp_ok(length $readme, '<=', 15_000, '... and 15,000 bytes');
foreach my $chapter (qw(plans bloat vacuum indexes windows storage retention backups restoring schedules corruption reviews
	alerts monitoring security settings performance faq upgrading))
{
	my $text = -e "$root/docs/$chapter.md" ? slurp("$root/docs/$chapter.md") : '';

	like($text, qr/\A# \S.*\n\n(?:(?!## )(?!```sql).*\n)*```sql\n/, "docs/$chapter.md begins with what to type");
	ok($readme =~ /\]\(docs\/$chapter\.md\)/, '... and README.md leads to it');
}

# A row of the benchmarks says itself whether it is what was asked.
sub rows
{
	my ($script) = @_;
	return `bash -c '. "$root/test/bench/lib.sh"; $script' 2>/dev/null`;
}
is(rows('row one what against "{n >= 2} s and {m < 3} points" told n=2 m=2.9'),
	"| what | against | at least 2 s and below 3 points: met | told <!-- one; n=2; m=2.9 --> |\n", 'a row that is what was asked');
like(rows('row one what against "{n >= 2} s and {m < 3} points" told n=2 m=3'), qr/below 3 points: \*\*missed\*\* \| told/, 'a row that is not');
is(rows('row one what against "{n >= 2} s" told n=many; echo further'), '', 'a row without the figure is none');
my $pairs = 'seconds_of[a]="1 2 1 "; seconds_of[b]="6.99 8 8 "; cpu_of[a]="1 1 1 "; cpu_of[b]="2 3 4 "';
like(rows(qq($pairs; compare_row faster one what against "{ratio >= 7}×" a b)),
	qr/\| at least 7×: \*\*missed\*\* \| 6\.9× faster \(4\.0 to 8\.0; 1\.00 s, 8\.00 s; CPU 1\.00 s, 3\.00 s\) </, 'a ratio is rounded to the worse side');
like(rows(qq($pairs; compare_row time one what against "{ratio <= 7} times" b a)),
	qr/\| at most 7 times: met \| 7\.0 times the time \(4\.0 to 8\.0; 8\.00 s, 1\.00 s; CPU 3\.00 s, 1\.00 s\) </, 'in both directions');

# Tests and rooms have the same names: a name is that of a test alone.
sub selected
{
	my ($tests) = @_;
	return `bash -c 'TESTS="$tests"; . "$root/test/tools/lib.sh"; mapfile -t tap < <(select_tests t .pl); echo "\${tap[@]}"; require_tests "\${tap[@]}"' 2>&1`;
}
like(selected('retention'), qr/^\n.*there is no test named retention$/, 'a room is none of its tests');
like(selected('retention/'), qr{^(?:retention/\w+ ){5,}retention/\w+\n$}, 'with a slash it is all of them');
is(selected('012_locks 000_tree.pl'), "base/000_tree engine/012_locks\n", 'tests by their names');
like(selected('reten/'), qr/there is no test named reten\//, 'a room that is none');

done_testing();
