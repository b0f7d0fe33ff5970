# What is compressed comes back as it was, whatever the pieces in which it is
# written and read, and is what gunzip and zstd read; what is damaged or cut off
# is refused; and no memory of the libraries' stays behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use IPC::Run;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $build = build_module('storage');

my $node = start_server('compression', "dynamic_library_path = '\$libdir:$build'");
my $scratch = $node->basedir;
$node->safe_psql('postgres', <<'EOS');
CREATE FUNCTION compressions() RETURNS text LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION compression_for(text) RETURNS text LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION compress_bytes(method text, level int, bytes bytea, seed int DEFAULT 1, fail_at bigint DEFAULT NULL) RETURNS bytea LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION decompress_bytes(method text, bytes bytea, seed int DEFAULT 1) RETURNS bytea LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION compress_and_forget(method text, bytes bytea) RETURNS void LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION decompress_and_forget(method text, bytes bytea) RETURNS void LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION resident_memory() RETURNS bigint LANGUAGE c AS 'pgmaint_test_storage';
CREATE TABLE cases (name text PRIMARY KEY, bytes bytea);
INSERT INTO cases VALUES ('empty', ''), ('one byte', 'x');
INSERT INTO cases SELECT 'text', string_agg(convert_to(g || ',' || md5((g % 1000)::text) || E',"a ""quoted"" field"\n', 'UTF8'), '' ORDER BY g) FROM generate_series(1, 40000) g;
INSERT INTO cases SELECT 'incompressible', string_agg(sha512(g::text::bytea), '' ORDER BY g) FROM generate_series(1, 20000) g;
INSERT INTO cases VALUES ('zeroes', decode(repeat('00', 2000000), 'hex'));
INSERT INTO cases SELECT 'a buffer', substr(bytes, 1, 65536) FROM cases WHERE name = 'incompressible';
EOS

my @methods = split /, /, $node->safe_psql('postgres', 'SELECT compressions()');
is($methods[0], 'gzip', 'there is gzip');
is($methods[-1], 'none', 'and none');
is($node->safe_psql('postgres', "SELECT string_agg(compression_for(k), ' ' ORDER BY o) FROM unnest(ARRAY['a/b.csv.gz', 'a.gz/b', '.gz', 'gz', 'a.csv']) WITH ORDINALITY u (k, o)"),
	'gzip none gzip none none', 'the method of a key');
is($node->safe_psql('postgres', "SELECT compression_for('a.zst')"), (grep { $_ eq 'zstd' } @methods) ? 'zstd' : 'none', 'and of one of zstd');

my %levels = (gzip => [ 1 .. 9 ], zstd => [ 1 .. 9 ], none => [0]);
my %reader = (gzip => [ 'gunzip', '-c' ], zstd => [ 'zstd', '-dcq' ]);
my @cases = split /\n/, $node->safe_psql('postgres', 'SELECT name FROM cases ORDER BY 1');
foreach my $method (@methods)
{
	is( $node->safe_psql('postgres', "SELECT string_agg(name, ', ') FROM cases, generate_series(1, 8) seed
			WHERE decompress_bytes('$method', compress_bytes('$method', NULL, bytes, seed), 9 - seed) <> bytes"),
		'', "$method: comes back, in whatever pieces");
	is( $node->safe_psql('postgres', "SELECT string_agg(name || ' ' || level, ', ') FROM cases, unnest('{@{[join ',', @{$levels{$method}}]}}'::int[]) level
			WHERE name IN ('text', 'empty') AND decompress_bytes('$method', compress_bytes('$method', level, bytes)) <> bytes"),
		'', "$method: at every level");
	is( $node->safe_psql('postgres', "SELECT count(DISTINCT compress_bytes('$method', NULL, bytes, seed)) FROM cases, generate_series(1, 5) seed WHERE name = 'text'"),
		'1', "$method: the pieces make no difference");
	foreach my $level ($levels{$method}[0] - 1, $levels{$method}[-1] + 1)
	{
		my ($status, $stdout, $stderr) = $node->psql('postgres', "SELECT compress_bytes('$method', $level, 'x')");
		like($stderr, qr/ERROR:  invalid compression level for "$method": $level\nHINT:  Use a level from $levels{$method}[0] to $levels{$method}[-1]\./,
			"$method: level $level is refused");
	}
	next if $method eq 'none';

	# other people's programs read it, and we read what they write
	my @write = $method eq 'gzip' ? ('gzip', '-c') : ('zstd', '-cq');
	SKIP:
	{
		skip "there is no program $write[0]", 2 * @cases + 3 unless grep { -x "$_/$write[0]" } split /:/, $ENV{PATH};
		foreach my $case (@cases)
		{
			my $raw = pack 'H*', $node->safe_psql('postgres', "SELECT encode(bytes, 'hex') FROM cases WHERE name = '$case'");
			my $ours = pack 'H*', $node->safe_psql('postgres', "SELECT encode(compress_bytes('$method', NULL, bytes), 'hex') FROM cases WHERE name = '$case'");
			my ($theirs, $back, $error) = ('', '', '');

			IPC::Run::run($reader{$method}, '<', \$ours, '>', \$back, '2>', \$error);
			ok($back eq $raw && $error eq '', "$method: $reader{$method}[0] reads $case") or diag($error);
			next if $case eq 'zeroes';
			IPC::Run::run(\@write, '<', \$raw, '>', \$theirs);
			append_to_file("$scratch/theirs", '');
			open my $file, '>', "$scratch/theirs" or die;
			binmode $file;
			print $file $theirs;
			close $file;
			is($node->safe_psql('postgres', "SELECT decompress_bytes('$method', pg_read_binary_file('$scratch/theirs')) = bytes FROM cases WHERE name = '$case'"),
				't', "$method: and we read what $write[0] writes of $case");
		}
		# several, one after the other
		is($node->safe_psql('postgres', "SELECT decompress_bytes('$method', c || c || compress_bytes('$method', NULL, '') || c, 3) = bytes || bytes || bytes
				FROM cases, compress_bytes('$method', NULL, bytes) c WHERE name = 'text'"),
			't', "$method: several one after the other are read as one");
	}

	# damage
	my $cut = "SELECT decompress_bytes('$method', substr(c, 1, length(c) - %s)) FROM cases, compress_bytes('$method', NULL, bytes) c WHERE name = '%s'";
	foreach my $case ([ 1, 'text' ], [ 4, 'text' ], [ 9, 'text' ], [ 'length(c) / 2', 'text' ], [ 'length(c)', 'text' ], [ 1, 'empty' ], [ 70000, 'incompressible' ])
	{
		my ($status, $stdout, $stderr) = $node->psql('postgres', sprintf($cut, @$case), extra_params => [ '-v', 'VERBOSITY=verbose' ]);
		like($stderr, qr/ERROR:  XX001: $method data ends too early/, "$method: $case->[1] cut off by $case->[0] is refused");
	}
	foreach my $case (
		[ q('this is not compressed at all'), 'is damaged' ],
		[ 'set_byte(c, length(c) / 2, 255 - get_byte(c, length(c) / 2))', 'is damaged' ],
		[ $method eq 'gzip' ? 'set_byte(c, length(c) - 6, 255 - get_byte(c, length(c) - 6))' : 'set_byte(c, length(c) - 1, 255 - get_byte(c, length(c) - 1))', 'is damaged' ],
		[ q(c || 'and more'), $method eq 'gzip' ? 'is followed by other data' : 'is damaged' ])
	{
		my ($status, $stdout, $stderr) = $node->psql('postgres',
			"SELECT decompress_bytes('$method', $case->[0]) FROM cases, compress_bytes('$method', NULL, bytes) c WHERE name = 'text'", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
		like($stderr, qr/ERROR:  XX001: $method data $case->[1]/, "$method: $case->[0] is refused");
	}

	# memory of the library's: 300 times, in one session
	my $growth = $node->safe_psql('postgres', <<"EOS");
SELECT compress_bytes('$method', NULL, bytes) AS c, compress_bytes('$method', NULL, 'short') AS short FROM cases WHERE name = 'text' \\gset
CREATE FUNCTION pg_temp.fail(sql text, times int) RETURNS bigint LANGUAGE plpgsql AS \$\$
DECLARE
	before bigint;
BEGIN
	FOR i IN 1 .. times + 30 LOOP
		BEGIN
			EXECUTE sql;
			RAISE 'it did not fail' USING ERRCODE = 'ZZ000';
		EXCEPTION WHEN disk_full OR data_corrupted OR internal_error OR raise_exception THEN NULL;
		END;
		IF i = 30 THEN before := resident_memory(); END IF;
	END LOOP;
	RETURN (resident_memory() - before) / 1024 / 1024;
END \$\$;
SELECT pg_temp.fail(\$\$SELECT compress_bytes('$method', NULL, bytes, 1, 1000) FROM cases WHERE name = 'text'\$\$, 300);
SELECT pg_temp.fail(\$\$SELECT compress_and_forget('$method', bytes) FROM cases WHERE name = 'a buffer'\$\$, 300);
SELECT pg_temp.fail(\$\$SELECT decompress_bytes('$method', substr(compress_bytes('$method', NULL, bytes), 1, 1000)) FROM cases WHERE name = 'a buffer'\$\$, 300);
SELECT pg_temp.fail(\$\$SELECT decompress_and_forget('$method', compress_bytes('$method', NULL, bytes)) FROM cases WHERE name = 'a buffer'\$\$, 300);
EOS
	my @growth = split /\n/, $growth;
	is(scalar @growth, 4, "$method: memory was measured");
	cmp_ok($_, '<', 8, "$method: memory does not grow") foreach @growth;
}

done_testing();
