# What is read from the bytes of pg_dump's custom format is what is in them,
# whatever the pieces: the entries are those that pg_restore lists, and the rows
# of each table are counted.  What is cut off or damaged is refused or
# survived.
#
# A module with a function that only this test has is built for it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use Digest::SHA qw(sha256_hex);
use Encode qw(from_to);
use JSON::PP;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $build = build_module('dumpfile');

my $node = start_server('dump_format', "dynamic_library_path = '\$libdir:$build'");
my $scratch = $node->basedir;
my $version = $node->safe_psql('postgres', q(SELECT current_setting('server_version_num')::int));
my $server = $node->safe_psql('postgres', q(SELECT current_setting('server_version')));

$node->safe_psql('postgres', <<'EOS');
CREATE DATABASE reader ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0;
CREATE DATABASE small ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0;
CREATE DATABASE empty ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0;
CREATE DATABASE "Größe ""1""" ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0;
EOS
$node->safe_psql('reader', <<'EOS');
CREATE FUNCTION dump_contents(bytes bytea, piece int, brief bool DEFAULT false) RETURNS json LANGUAGE c STRICT AS 'pgmaint_test_dumpfile';
CREATE TABLE damages (name text, at int, bytes bytea);
-- how many damaged dumps have which outcome
CREATE FUNCTION outcomes(wanted text, OUT outcome text, OUT detail text, OUT dumps bigint, OUT memory bigint) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
	damage record;
BEGIN
	CREATE TEMPORARY TABLE found (outcome text, detail text, memory bigint) ON COMMIT DROP;
	FOR damage IN SELECT bytes FROM public.damages WHERE name = wanted LOOP
		BEGIN
			memory := dump_contents(damage.bytes, 65536, true) ->> 'memory';
			INSERT INTO found VALUES ('read', NULL, memory);
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
			INSERT INTO found VALUES (SQLSTATE || ' ' || SQLERRM, regexp_replace(detail, '\d+', 'N', 'g'), 0);
		END;
	END LOOP;
	RETURN QUERY SELECT f.outcome, min(f.detail), count(*), max(f.memory) FROM found f GROUP BY f.outcome ORDER BY 1;
END $$;
EOS
$node->safe_psql('small', <<'EOS');
CREATE TABLE t (i int PRIMARY KEY);
INSERT INTO t VALUES (1), (2);
SELECT lo_from_bytea(1, 'large');
CREATE VIEW v AS SELECT * FROM t;
EOS

my $database = 'Größe "1"';
$node->safe_psql($database, <<'EOS');
CREATE ROLE "Zoë";
CREATE SCHEMA "a ""schema""" AUTHORIZATION "Zoë";
CREATE TABLE empty (i int);
CREATE TABLE one (i int PRIMARY KEY);
INSERT INTO one VALUES (1);
CREATE TABLE many (i serial PRIMARY KEY, t text UNIQUE, j jsonb);
INSERT INTO many (t, j) SELECT 'text ' || g, jsonb_build_object('n', g) FROM generate_series(1, 12345) g;
CREATE TABLE tricky (t text);
INSERT INTO tricky VALUES (E'two\nlines'), (E'\\.'), (E'\n'), (E'\n\\.\n\n\n'), (''), (NULL), (E'\\.\n\n\n'), (E'tab\tand \\ é');
CREATE TABLE only_end (t text);
INSERT INTO only_end VALUES (E'\\.'), (''), ('');
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 7);
CREATE TABLE all_dropped (i int);
ALTER TABLE all_dropped DROP i;
INSERT INTO all_dropped DEFAULT VALUES;
CREATE TABLE wide (t text);
INSERT INTO wide SELECT repeat(g::text, 100000) FROM generate_series(1, 20) g;
CREATE TABLE "two
lines" ("a ""column""
" int);
INSERT INTO "two
lines" SELECT generate_series(1, 3);
CREATE TABLE "a ""schema"""."Tabellé 'q' \ " AS SELECT generate_series(1, 4) i;
CREATE TABLE parts (i int) PARTITION BY RANGE (i);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (100);
INSERT INTO parts SELECT generate_series(0, 49);
CREATE TABLE parent (i int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (1), (2);
CREATE TABLE generated (i int, twice int GENERATED ALWAYS AS (2 * i) STORED);
INSERT INTO generated VALUES (1), (2);
CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 5) i;
CREATE MATERIALIZED VIEW summary AS SELECT count(*) FROM many;
CREATE VIEW long AS SELECT 1 AS one, repeat('long', 1) || '-----------------------------------------------------------------' AS two;
CREATE FUNCTION f(a int, b "char" DEFAULT 'x') RETURNS int LANGUAGE sql RETURN 1;
COMMENT ON TABLE many IS E'a comment\nof two lines';
GRANT SELECT ON many TO "Zoë";
CREATE SEQUENCE counter;
SELECT nextval('counter');
-- an oid that is no positive int, an empty one, and more than one entry has room for
SELECT lo_from_bytea(4000000000, 'beyond'), lo_from_bytea(2147483648, 'at the border'), lo_from_bytea(0, ''), lo_from_bytea(0, decode(repeat('00', 100000), 'hex'));
SELECT count(lo_from_bytea(0, convert_to(g::text, 'UTF8'))) FROM generate_series(1, 1500) g;
SELECT count(lo_put(oid, 0, '\x00')) FROM pg_largeobject_metadata WHERE oid::bigint % 2 = 0;
EOS

# all strings here are bytes
my $json = JSON::PP->new->utf8(0);

# what the database has
my %counts;
foreach my $line (split /\x1e/, $node->safe_psql($database, <<'EOS'))
SELECT string_agg(n.nspname || E'\x1f' || c.relname || E'\x1f' || (xpath('//n/text()', query_to_xml(format('SELECT count(*) n FROM ONLY %s', c.oid::regclass), false, false, '')))[1]::text, E'\x1e')
	FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
	WHERE relkind = 'r' AND nspname IN ('public', 'a "schema"');
EOS
{
	my ($schema, $table, $count) = split /\x1f/, $line;
	$counts{"$schema.$table"} = $count;
}
my $large_objects = $node->safe_psql($database, 'SELECT count(*) FROM pg_largeobject_metadata');

my $file_number = 0;
sub dump_of
{
	my ($name, @options) = @_;
	my $file = "$scratch/dump." . $file_number++;

	$node->command_ok([ 'pg_dump', @options, '-f', $file, '-d', $node->connstr($name) ], "pg_dump @options");
	return $file;
}

sub read_dump
{
	my ($file, $piece) = @_;
	return $node->safe_psql('reader', "SELECT dump_contents(pg_read_binary_file('$file'), $piece)");
}

# The table of contents as pg_restore shows it, with all of its entries.
sub listed_by_restore
{
	my ($file, $encoding) = @_;
	my ($list, $errors) = run_command([ 'pg_restore', '-l', '-v', $file ]);
	my @entries;

	from_to($list, $encoding, 'UTF-8');
	foreach my $line (split /\n/, $list)
	{
		if ($line =~ /^(\d+); \d+ \d+ (.*)$/)
		{
			push @entries, "$1 $2";
		}
		elsif ($line =~ /^;\s+depends on:(.*)$/)
		{
			$entries[-1] .= " <$1";
		}
	}
	return \@entries;
}

# The same from what was read here.
sub listed_here
{
	my ($contents) = @_;
	my @entries;

	foreach my $entry (@{ $contents->{entries} })
	{
		my $line = join ' ', $entry->{dump_id}, $entry->{description}, $entry->{schema} // '-', $entry->{tag}, $entry->{owner} // '';

		$line =~ s/[\r\n]/ /g;
		$line .= ' < ' . join ' ', @{ $entry->{dependencies} } if @{ $entry->{dependencies} };
		push @entries, $line;
	}
	return \@entries;
}

sub with_data
{
	my ($contents, $description) = @_;
	return grep { $_->{description} eq $description && $_->{has_data} } @{ $contents->{entries} };
}

my @kinds = (
	[ 'of rows', 1, '-Z0' ],
	[ 'through the partitioned table', 1, '-Z0', '--load-via-partition-root' ],
	[ 'compressed', 0, '-Z6' ],
	[ 'compressed by default', 0 ],
	[ 'of INSERT statements', 0, '-Z0', '--inserts' ],
	[ 'of INSERT statements with many rows', 0, '-Z0', '--rows-per-insert=10' ],
	[ 'in another encoding', 1, '-Z0', '-E', 'LATIN1' ],
	[ 'with DROP statements', 1, '-Z0', '--clean', '--create' ],
	[ 'of data', 1, '-Z0', '--data-only' ],
	[ 'of definitions', 1, '-Z0', '--schema-only' ],
	[ 'of a section', 1, '-Z0', '--section=pre-data' ],
	$version >= 160000 ? [ 'compressed with zstd', 0, '-Zzstd:1' ] : (),
	$version >= 160000 ? [ 'compressed with lz4', 0, '-Zlz4' ] : (),
	$version >= 180000 ? [ 'with statistics', 1, '-Z0', '--statistics' ] : ());
foreach my $kind (@kinds)
{
	my ($name, $counted, @options) = @$kind;
	my $file = dump_of($database, '-Fc', @options);
	my $text = read_dump($file, 65536);
	my $contents = $json->decode($text);
	my $encoding = "@options" =~ /LATIN1/ ? 'LATIN1' : 'UTF8';

	is(read_dump($file, $_), $text, "$name: the same in pieces of $_") foreach 1, 7, 4096, 1000000000;
	is($contents->{sha256}, sha256_hex(slurp_file($file)), "$name: it goes through unchanged");
	is_deeply(listed_here($contents), listed_by_restore($file, $encoding), "$name: the entries are those of pg_restore");
	is($contents->{database}, $database, "$name: the database");
	is($contents->{server_version}, $server, "$name: the version of the server");
	like($contents->{program_version}, qr/^\d+/, "$name: the version of pg_dump");
	is($contents->{encoding}, $encoding, "$name: the encoding");

	my %rows = map { ("$_->{schema}.$_->{tag}" => $_->{rows}) } with_data($contents, 'TABLE DATA');
	my $objects = 0;
	$objects += $_->{rows} foreach with_data($contents, 'BLOBS');
	my $has_data = "@options" !~ /schema-only|section/;
	is_deeply(\%rows, $has_data ? { map { ($_ => $counted ? $counts{$_} : -1) } keys %counts } : {}, "$name: the rows of each table");
	is($objects, $has_data ? $large_objects : 0, "$name: the large objects");
	is((scalar grep { defined $_->{copy_statement} } @{ $contents->{entries} }),
		$has_data && "@options" !~ /insert/ ? scalar keys %counts : 0, "$name: the COPY statements");
	if ("@options" !~ /data-only/)
	{
		my ($table) = grep { $_->{description} eq 'TABLE' && $_->{tag} eq 'many' } @{ $contents->{entries} };
		like($table->{definition}, qr/^CREATE TABLE public\.many \(\n/, "$name: a definition");
	}
}

# to a pipe, in which offsets cannot be written afterwards
my $seekable = dump_of('small', '-Fc', '-Z0');
my $piped = "$scratch/piped";
is(system("pg_dump -Fc -Z0 -d '" . $node->connstr('small') . "' | cat > '$piped'"), 0, 'pg_dump to a pipe');
isnt(slurp_file($piped), slurp_file($seekable), 'is another dump');
is_deeply($json->decode(read_dump($piped, 7))->{entries}, $json->decode(read_dump($seekable, 7))->{entries}, 'with the same in it');
my $nothing = $json->decode(read_dump(dump_of('empty', '-Fc'), 7));
is_deeply([ grep { $_->{has_data} } @{ $nothing->{entries} } ], [], 'a dump without data');

# what is refused
sub refused
{
	my ($name, $bytes, $message) = @_;
	my ($status, $stdout, $stderr) = $node->psql('reader', "\\set VERBOSITY verbose\nSELECT dump_contents($bytes, 7)");

	is($status, 3, "$name: refused") or diag($stdout);
	like($stderr, $message, "$name: the message");
}
my $small = "pg_read_binary_file('$piped')";
refused('nothing', q(''::bytea), qr/XX001: the dump ends too early\nDETAIL:  The dump is empty\./);
refused('a beginning', q('PGD'::bytea), qr/XX001: the dump ends too early\nDETAIL:  The dump ends in its header, after 3 bytes\./);
refused('garbage', q(sha512('garbage')), qr/XX001: the file is not a dump in the custom format\nHINT:  Create the dump with pg_dump --format=custom/);
refused("$_->[0] format", "pg_read_binary_file('" . dump_of('small', $_->[1]) . "')", qr/XX001: the file is not a dump in the custom format/)
  foreach [ plain => '-Fp' ], [ tar => '-Ft' ];
refused('directory format', "pg_read_binary_file('" . dump_of('small', '-Fd') . "/toc.dat')", qr/0A000: the dump is not in the custom format/);
refused('a newer version', "set_byte($small, 6, 17)", qr/0A000: dump format version 1\.17 is not supported\nDETAIL:  Supported versions are 1\.14 \(pg_dump 12 to 15\), 1\.15 \(pg_dump 16\) and 1\.16 \(pg_dump 17 and 18\)\./);
refused('an older version', "set_byte($small, 6, 13)", qr/0A000: dump format version 1\.13 is not supported/);
refused('an int of 9 bytes', "set_byte($small, 8, 9)", qr/XX001: the dump is damaged\nDETAIL:  Before byte \d+ there is an impossible size of numbers/);
refused('more behind it', "$small || '\\x07'", qr/XX001: the dump is damaged\nDETAIL:  Before byte \d+ there is data of an unknown kind/);
refused('a block of no entry', "$small || '\\x010011111111'", qr/XX001: the dump is damaged\nDETAIL:  Before byte \d+ there is data without an entry in the table of contents/);

# The place of the first string's length is known: the database's name.
my $length_at = index(slurp_file($piped), "\0\5\0\0\0small") + 1;
refused('a long string', "overlay($small PLACING '\\xffffff3e' FROM $length_at + 1)", qr/XX001: the dump is damaged\nDETAIL:  Before byte \d+ there is a string with a zero byte in it/);
refused('an impossible string', "overlay($small PLACING '\\xffffff7f' FROM $length_at + 1)", qr/XX001: the dump is damaged\nDETAIL:  Before byte \d+ there is a string of an impossible length/);
refused('a negative string', "overlay($small PLACING '\\x0102000000' FROM $length_at)", qr/XX001: the dump is damaged\nDETAIL:  Before byte \d+ there is a string of an impossible length/);

# What is left of a dump that is cut off anywhere is never taken for a dump.
$node->safe_psql('reader', "INSERT INTO damages SELECT 'cut', g, substr(bytes, 1, g) FROM (SELECT $small) f (bytes), generate_series(1, length(bytes) - 1) g");
is($node->safe_psql('reader', q(SELECT outcome, dumps = (SELECT count(*) FROM damages WHERE name = 'cut') FROM outcomes('cut'))),
	'XX001 the dump ends too early|t', 'a dump that is cut off at any byte is refused');
refused('cut in the table of contents', "substr($small, 1, position('\\x5441424c452044415441'::bytea in $small))", qr/The dump ends in its table of contents, after \d+ bytes/);
refused('cut in rows', "substr($small, 1, position('\\x5c2e0a0a0a'::bytea in $small))", qr/The dump ends within the data of TABLE DATA public\.t, after \d+ bytes/);
refused('cut in a large object', "substr($small, 1, length($small) - 10)", qr/The dump ends within the data of BLOBS BLOBS, after|The dump ends within the data of BLOBS \S+, after/);
# 5 bytes of trailer with their length, 5 for the end of the block
refused('cut between blocks', "substr($small, 1, position('\\x5c2e0a0a0a'::bytea in $small) + 9)", qr/The dump ends before the data of BLOBS \S+, after/);

# a byte of it is another: in the table of contents everywhere, in the large
# dump at random
my $seed = time;
note("seed $seed");
my $large = dump_of($database, '-Fc', '-Z0', '--exclude-table-data=wide', '--exclude-table-data=many');
$node->safe_psql('reader', <<"EOS");
SELECT setseed(($seed % 1000000) / 1000000.0);
INSERT INTO damages SELECT 'flipped', g, set_byte(bytes, g, get_byte(bytes, g) # (1 << (random() * 7)::int)) FROM (SELECT $small) f (bytes), generate_series(0, length(bytes) - 1) g;
INSERT INTO damages SELECT 'changed', g, set_byte(bytes, g, (random() * 255)::int) FROM (SELECT $small) f (bytes), generate_series(0, length(bytes) - 1) g;
INSERT INTO damages SELECT 'flipped in the large one', at, set_byte(bytes, at, get_byte(bytes, at) # (1 << (random() * 7)::int))
	FROM (SELECT pg_read_binary_file('$large')) f (bytes), LATERAL (SELECT (random() * 30000)::int AS at FROM generate_series(1, 200)) r;
INSERT INTO damages SELECT 'large one cut', at, substr(bytes, 1, at)
	FROM (SELECT pg_read_binary_file('$large')) f (bytes), LATERAL (SELECT (random() * (length(bytes) - 1))::int AS at FROM generate_series(1, 50)) r;
EOS
is($node->safe_psql('reader', q(SELECT string_agg(outcome, ', ') FROM outcomes('large one cut'))), 'XX001 the dump ends too early', 'a large dump that is cut off is refused');
foreach my $name ('flipped', 'changed', 'flipped in the large one')
{
	my $outcomes = $node->safe_psql('reader', "SELECT * FROM outcomes('$name')");

	note($outcomes);
	is((join "\n", grep { !/^(?:read|XX001 the dump (?:is damaged|ends too early)|XX001 the file is not a dump in the custom format|0A000 the dump is not in the custom format|0A000 dump format version \d+\.\d+ is not supported)\|/ } split /\n/, $outcomes),
		'', "$name: refused in words, or survived");
	my ($memory) = $outcomes =~ /^read\|.*\|(\d+)$/m;
	cmp_ok($memory, '<', 8 * 1024 * 1024, "$name: with little memory");
}
is($node->safe_psql('reader', 'SELECT 1'), 1, 'the server has survived it all');

$node->stop;
done_testing();
