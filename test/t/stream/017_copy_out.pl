# What COPY (query) TO STDOUT writes arrives in a chain of sinks, to the byte,
# and nothing else changes: rows go when they have arrived, messages reach who
# they are for, and an error at any place leaves the session well.
#
# A module of functions that only this test has is built for it.  It is there
# in two ways: "own" gets the rows as this server offers them, "messages" takes
# them from what COPY sends to the client, the only way before PostgreSQL 16.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use File::Copy;
use FindBin;
use lib "$FindBin::RealBin/..";

use IPC::Run;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $build = build_module('stream');

my $node = start_server('copy_out', "dynamic_library_path = '\$libdir:$build'", 'log_min_messages = info', 'log_statement = none', q(timezone = 'UTC'));
$node->safe_psql('postgres', q(CREATE DATABASE copies ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0));

my @ways = qw(own messages);
foreach my $way (@ways)
{
	my $library = $way eq 'own' ? 'pgmaint_test_stream' : 'pgmaint_test_stream_messages';

	$node->safe_psql('copies', <<"EOS");
CREATE SCHEMA $way;
CREATE FUNCTION $way.copy_to_digest(query text, options text DEFAULT NULL, fail_at bigint DEFAULT NULL, fail_in text DEFAULT NULL,
	OUT rows bigint, OUT bytes bigint, OUT sha256 text, OUT peak bigint) LANGUAGE c AS '$library';
CREATE FUNCTION $way.copy_to_bytea(query text, options text DEFAULT NULL) RETURNS bytea LANGUAGE c AS '$library';
CREATE FUNCTION $way.copy_in_worker(query text, library text DEFAULT '$library') RETURNS void LANGUAGE c AS '$library';
CREATE FUNCTION $way.sink_calls(OUT begun bigint, OUT ended bigint, OUT aborted bigint) LANGUAGE c AS '$library';
CREATE FUNCTION $way.way_of_copy() RETURNS text LANGUAGE c AS '$library';
EOS
}
is($node->safe_psql('copies', 'SELECT messages.way_of_copy()'), 'messages', 'one way is that of the messages');
my $version = $node->safe_psql('copies', q(SELECT current_setting('server_version_num')::int));
is($node->safe_psql('copies', 'SELECT own.way_of_copy()'), $version >= 160000 ? 'callback' : 'messages', 'the other is that of this server');


# Runs commands in one session and returns what it printed; errors do not end
# it, and $messages has what went to stderr.
my $messages;
sub session
{
	my ($sql, $database) = @_;
	my ($status, $stdout);

	($status, $stdout, $messages) =
	  $node->psql($database || 'copies', $sql, on_error_stop => 0, timeout => 180);
	return $stdout;
}

# What it said, without details and context.
sub heard
{
	return join "\n", $messages =~ /^(?:psql:\S+ )?((?:INFO|LOG|NOTICE|WARNING|ERROR|FATAL|PANIC): .*)$/mg;
}

sub literal
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

sub calls
{
	my ($way) = @_;
	return "SELECT 'calls', * FROM $way.sink_calls();";
}

#
# The same bytes by both ways as psql's \copy writes, and the same on every
# server
#
$node->safe_psql('copies', <<'EOS');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE rows AS SELECT g AS id, md5(g::text) AS hash, CASE WHEN g % 3 > 0 THEN g * 1.5 END AS number,
	timestamptz '2020-01-01 00:00:00+00' + g * interval '1 min' AS at, repeat('x', g % 200) AS filler FROM generate_series(1, 200000) g;
EOS
my %options = (
	'csv' => 'FORMAT csv, HEADER',
	'text' => 'FORMAT text',
	'binary' => 'FORMAT binary',
	'other csv' => q(FORMAT csv, DELIMITER ';', NULL '-', FORCE_QUOTE *),
	'latin1' => q(FORMAT csv, ENCODING 'latin1'));
my @cases = (
	[ 'quotes and line ends', q(SELECT g, E'say "hi",\n' || g, E'tab\there\x5c', E'\r\n', ' ' FROM generate_series(1, 3) g),
		'csv' => '3|143|325848bf73175e4cf159ea71ab65c82977a6ec61edeeaad8e8ca17b4102d5976',
		'text' => '3|102|dbbe35d3f184391cc91a5111c6170f9eea533617c98054d80f65df84d813e537',
		'binary' => '3|168|99028daa3d9f58145a20fb20a06c2e8bdf7f7f7aeb1773a5a3655a6d91ec04d7',
		'other csv' => '3|123|e610cd88094f23b55868ca93db8902bc666e07a23cabd287f83b4fb95d029f1b' ],
	[ 'null and empty', q(SELECT * FROM (VALUES (NULL, '', 'NULL'), ('', NULL, '\N'), (NULL, NULL, NULL)) v (a, b, c)),
		'csv' => '3|25|bebefa3767a670c8d3913c0071e1ca4925db6299e2c42933389cd2d97153544f',
		'text' => '3|26|6c700c09f45add34bd7a4e41f2ce329c88cc24052bff4617d724c03d66219768',
		'binary' => '3|69|0425f4d5dd20f3b016de1d8346e8517883ce226c47186fcbfc39c9268576abfa',
		'other csv' => '3|28|054007c5d3be9f49c6f4a03037f859c20b663cd62c27d2b5d6e07623f3d4a692' ],
	[ 'bytea', q(SELECT decode(string_agg(lpad(to_hex(g), 2, '0'), '' ORDER BY g), 'hex') AS every FROM generate_series(0, 255) g),
		'csv' => '1|521|8f277d2fb87ca871a1fd471474535319588dbb48ab60f06b71347969b6bf83d8',
		'text' => '1|516|04d58cfa78457963317ecccee86f6a1a5d2ab87980c741468da73423bcb08d0f',
		'binary' => '1|283|5bde3eef6a6df7d0ec4d60e8f65cff79847418bd11bcedb8b567f80390906e4c' ],
	[ 'arrays', q(SELECT ARRAY[1, NULL, 3], ARRAY[['a,b', 'c"d'], ['{}', '']], ARRAY[]::int[]),
		'csv' => '1|72|fbcf576d94a468193d2dd86d1f2e3a8453e04d67fe8ac90ba41a807129e50558',
		'text' => '1|42|6bcbe67b434eaac2937ffa67036bd025b04d44cb27d4b6331b9e9aacfa5a56c7',
		'binary' => '1|139|81c2e4d9667a3a36aff45846a72cd1289b24b6841a0dc5e8a6e285ef3ab023d6' ],
	[ 'composite', q(SELECT (7, E'x "y", z\n')::pair AS p, ROW(1, NULL) AS r, ARRAY[(1, '')::pair] AS a),
		'csv' => '1|58|08e0ae15b4cd94c0b6bf0d56e7b576886964e60cdc07b93fec636e132d8d178e',
		'text' => '1|39|a1207b816d0ec1036da1df4f9530f97292017cee4d5136eb665f95daf9cc7d1c' ],
	[ 'unicode', q(SELECT concat('na', chr(239), 've'), concat(chr(26085), chr(26412), chr(35486)), chr(128024), chr(160)),
		'csv' => '1|47|149c827753991bf84e226de4c635417d1d0d1a3d52614e9b3a9e6f99f435a88e',
		'text' => '1|25|4502d91693e60bfbc20ffa0f8ccd624f5e1cec6ad35c3410b096e7cfbd71ad50',
		'binary' => '1|60|19cdf72707adbeba0b9ac14b90b1f702487e0f5d34f2bae257d5c2c81159b8b2' ],
	[ 'another encoding', q(SELECT concat('na', chr(239), 've') AS word, chr(167) AS sign FROM generate_series(1, 2)),
		'latin1' => '2|16|e42ce8579e6c9d4b75368967d5aca5a7af45e577755e5628c723dbb9f3014f45' ],
	[ 'no rows', q(SELECT 1 AS "a b", 2 AS "c""d" WHERE false),
		'csv' => '0|11|cd560907824023e010043c08690338ff13c3339c7764a393676081e764ba1947',
		'text' => '0|0|e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
		'binary' => '0|21|62a74fd0e2d1e3a59b88b5b71c06ca8d43662c6787430c516b8e0bc28bbbda02' ],
	[ 'no columns', q(SELECT FROM generate_series(1, 3)),
		'csv' => '3|4|545c38b0922de19734fbffde62792c37c2aef6a3216cfa472449173165220f7d',
		'text' => '3|3|6a3cf5192354f71615ac51034b3e97c20eda99643fcaf5bbe6d41ad59bd12167',
		'binary' => '3|27|cfbc36e048f133e3b2026a924fa6cfdc5ad325b9912dced39568ab7d3029f2b0' ],
	[ 'no rows and no columns', q(SELECT WHERE false),
		'csv' => '0|1|01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b',
		'text' => '0|0|e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
		'binary' => '0|21|62a74fd0e2d1e3a59b88b5b71c06ca8d43662c6787430c516b8e0bc28bbbda02' ],
	[ 'VALUES', q(VALUES (1, 'one'), (2, 'two')),
		'csv' => '2|28|319b64359029553274b881986748fe029075ce9eaf13b0cf48d29c7773f5f4c3' ],
	[ 'WITH', q(WITH w AS (SELECT 1 AS one) SELECT * FROM w),
		'csv' => '1|6|4cb75bbc37ad9f043e5f15f9b715134a79a525399a5a0d2c82a812375eb16ea4' ],
	[ 'rows that fill a buffer', q(SELECT repeat('x', 65535 - g) FROM generate_series(0, 5) g),
		'csv' => '6|393208|9f53738f67839522547b734c26b9396285aad9794d48fe9ba319e64e40e67904',
		'text' => '6|393201|5f4f21dce22b28a9956bfda1baf904a80b4659b8927a19a128988fe145713c03',
		'binary' => '6|393252|33903929bd3c3844e45ca763d2d479bae836f5acc53b7ff2501f57c1391dfb62' ],
	[ 'rows of 10 MB', q(SELECT g, repeat(E'ab"c\x5cd,\n', 1310720) AS long, g FROM generate_series(1, 3) g),
		'csv' => '3|35389470|246b44b1af7dd6c55783b9fcc99ea4f9cdd82f7d95340900d12bf85a9db6a893',
		'binary' => '3|31457367|a1c5d6327af83e4824fb3c906fa4fd2066c28313f7ce1995fdac40383cb16eb1' ],
	[ '200000 rows', q(SELECT * FROM rows),
		'csv' => '200000|33808212|9ff9ec636eb5c740e6acb5546a03b993848821fd15829bc05cbf558734811e50',
		'text' => '200000|33939519|be948a2413e7d55a33dca08949034d3a36cae86007c3ef6355b1d38380c063f1' ]);
foreach my $case (@cases)
{
	my ($name, $query, %expected) = @$case;

	foreach my $format (sort keys %expected)
	{
		my $options = $options{$format};
		my $call = '(' . literal($query) . ', ' . literal($options) . ')';
		my $got = session(join "\n", map { "SELECT rows, bytes, sha256 FROM $_.copy_to_digest$call;" } @ways);

		is($messages, '', "$name, $format: there is nothing to complain about");
		is($got, join("\n", ($expected{$format}) x 2), "$name, $format: both ways give the expected bytes");

		my ($bytes, $error);
		IPC::Run::run([ 'psql', '-XAtq', '-d', $node->connstr('copies'), '-c', "\\copy ($query) to stdout with ($options)" ],
			'>', \$bytes, '2>', \$error);
		my ($rows) = $got =~ /^(\d+)/;
		is(join('|', $rows, length $bytes, sha256_hex($bytes)), $expected{$format}, "$name, $format: and so does psql");
	}
}
#
# Rows go exactly when they have arrived
#
$node->safe_psql('copies', <<'EOS');
CREATE TABLE old (id int PRIMARY KEY, filler text);
INSERT INTO old SELECT g, repeat('x', 100) FROM generate_series(1, 5000) g;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not to be deleted'; END $$;
EOS
my $delete = "'DELETE FROM old WHERE id % 2 = 0 RETURNING *'";
my $left = 'SELECT count(*), min(id) FROM old;';

foreach my $way (@ways)
{
	is( session("BEGIN; CREATE TEMP TABLE before AS SELECT * FROM old;
			SELECT d.rows FROM $way.copy_to_digest('DELETE FROM old RETURNING *', 'FORMAT csv') d
			WHERE d.sha256 = (SELECT sha256 FROM $way.copy_to_digest('SELECT * FROM before', 'FORMAT csv'));
			$left ROLLBACK; $left"),
		"5000\n0|\n5000|1", "$way: DELETE RETURNING gives what was there, and ROLLBACK brings it back");
	is( session("BEGIN; SELECT rows FROM $way.copy_to_digest($delete); $left
			SELECT rows FROM $way.copy_to_digest($delete); COMMIT; $left " . calls($way)
			. "INSERT INTO old SELECT g, repeat('x', 100) FROM generate_series(2, 5000, 2) g"),
		"2500\n2500|1\n0\n2500|1\ncalls|2|2|0", "$way: one statement sees what another has done");
	is( session("BEGIN; SELECT rows, bytes FROM $way.copy_to_digest('INSERT INTO old VALUES (0, DEFAULT) RETURNING id');
			SELECT rows, bytes FROM $way.copy_to_digest('UPDATE old SET id = -1 WHERE id = 0 RETURNING id'); $left ROLLBACK;"),
		"1|2\n1|3\n5001|-1", "$way: INSERT and UPDATE");

	# whatever goes wrong, nothing has gone
	foreach my $case (
		[ 'at the first byte', "$delete, fail_at => 0", '53100: the sink is full at byte 0', '1|0|1' ],
		[ 'in the middle', "$delete, fail_at => 100000", '53100: the sink is full at byte 100000', '1|0|1' ],
		[ 'at the last byte', "$delete, fail_at => 264447", '53100: the sink is full at byte 264447', '1|0|1' ],
		[ 'at the begin', "$delete, fail_in => 'begin'", 'XX000: the sink does not begin', '1|0|1' ],
		[ 'at the end', "$delete, fail_in => 'end'", 'XX000: the sink does not end', '1|0|1' ],
		[ 'in the query', q('DELETE FROM old WHERE 1 / (4000 - id) < 2 RETURNING *'), '22012: division by zero', '1|0|1' ],
		[ 'in the output', q('DELETE FROM old RETURNING 1 / (4000 - id)'), '22012: division by zero', '1|0|1' ],
		[ 'in the analysis', q('DELETE FROM nowhere RETURNING *'), '42P01: relation "nowhere" does not exist', '0|0|0' ],
		[ 'in an AFTER trigger', $delete, 'P0001: not to be deleted', '1|0|1',
			'CREATE TRIGGER refuse AFTER DELETE ON old FOR EACH STATEMENT EXECUTE FUNCTION refuse();' ])
	{
		my ($name, $arguments, $error, $calls, $before) = @$case;
		my $copy = "FROM $way.copy_to_digest($arguments)";

		$before ||= '';
		is( session("\\set VERBOSITY verbose\n\\set SHOW_CONTEXT never\nBEGIN; $before\nSELECT rows $copy;\nROLLBACK;\n$left "
				. calls($way) . "SELECT rows, bytes FROM $way.copy_to_digest('SELECT 1');"),
			"5000|1\ncalls|$calls\n1|2", "$way, failure $name: nothing has happened, and the session goes on");
		like($messages, qr/ERROR:  \Q$error\E/, "$way, failure $name: the error");
		is(() = $messages =~ /ERROR|FATAL|PANIC|WARNING/g, 1, "$way, failure $name: and no other");

		is( session("BEGIN; $before
				DO \$\$ BEGIN PERFORM $copy; EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'caught %', SQLSTATE; END \$\$;
				SELECT rows FROM $way.copy_to_digest('SELECT * FROM old'); ROLLBACK;"),
			'5000', "$way, failure $name: a transaction that catches it goes on");
		is(heard(), 'NOTICE:  caught ' . substr($error, 0, 5), "$way, failure $name: with its code");
	}
	is( session("BEGIN; SELECT rows, bytes FROM $way.copy_to_digest($delete, fail_at => 264448); ROLLBACK"),
		'2500|264448', "$way: and when nothing does, all of it arrives");
	is( session("SELECT count(*) FROM $way.sink_calls(); SELECT $way.copy_to_bytea('SELECT 1 WHERE false', 'FORMAT csv, HEADER') IS NULL; "
			. calls($way)),
		"1\nt\ncalls|1|0|1", "$way: a chain may be aborted when nothing came, without an error");
	is($messages, '', "$way: which leaves nothing behind");
}

#
# What is no query, or no option
#
foreach my $case (
	[ q('SELECT 1; SELECT 2'), qr/42601: cannot copy the output of 2 statements/ ],
	[ q(''), qr/42601: cannot copy the output of 0 statements/ ],
	[ q{'SELECT 1) TO $$/tmp/pgmaint_test_file$$ --'}, qr/42601: syntax error at or near "\)"/ ],
	[ q('COPY old TO $$/tmp/pgmaint_test_file$$'), qr/0A000: cannot copy the output of COPY/ ],
	[ q('TRUNCATE old'), qr/0A000: cannot copy the output of TRUNCATE TABLE/ ],
	[ q('EXPLAIN ANALYZE DELETE FROM old'), qr/0A000: cannot copy the output of EXPLAIN/ ],
	[ q('SELECT 1 INTO made'), qr/0A000: COPY \(SELECT INTO\) is not supported/ ],
	[ q('DELETE FROM old'), qr/0A000: COPY query must have a RETURNING clause/ ],
	[ q('SELECT $1'), qr/42P02: there is no parameter \$1/ ],
	[ q('SELECT none FROM old'), qr/42703: column "none" does not exist\nLINE 1: SELECT none FROM old\n +\^\nQUERY:  SELECT none FROM old\n/ ],
	[ q('SELECT 1', 'FORMAT parquet'), qr/22023: COPY format "parquet" not recognized/ ],
	[ q('SELECT 1', 'FORMAT csv, FORMAT csv'), qr/42601: conflicting or redundant options/ ],
	[ q{'SELECT 1', 'FORMAT csv); DROP TABLE old; COPY (SELECT) TO STDOUT (FORMAT csv'}, qr/42601: the options of COPY must be a list/ ],
	[ q('SELECT 1', ''), qr/42601: syntax error/ ])
{
	my ($arguments, $error) = @$case;

	foreach my $way (@ways)
	{
		is(session("\\set VERBOSITY verbose\nSELECT * FROM $way.copy_to_digest($arguments);\n" . calls($way)),
			'calls|0|0|0', "$way, $arguments: refused before anything begins");
		like($messages, $error, "$way, $arguments: message");
	}
}
ok(!-e '/tmp/pgmaint_test_file', 'no file was written');

# with the rights of who calls it
$node->safe_psql('copies', <<'EOS');
CREATE ROLE reader;
CREATE TABLE secret AS SELECT g AS id FROM generate_series(1, 4) g;
GRANT USAGE ON SCHEMA own, messages TO reader;
EOS
foreach my $way (@ways)
{
	session("SET ROLE reader; SELECT * FROM $way.copy_to_digest('SELECT * FROM secret')");
	like($messages, qr/permission denied for table secret/, "$way: a table that is not one's own");
	is( session("BEGIN; GRANT SELECT, DELETE ON secret TO reader; ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
			CREATE POLICY part ON secret USING (id > 1); SET ROLE reader;
			SELECT rows FROM $way.copy_to_digest('SELECT * FROM secret');
			SET TRANSACTION READ ONLY; SELECT rows FROM $way.copy_to_digest('SELECT * FROM secret');
			SELECT rows FROM $way.copy_to_digest('DELETE FROM secret RETURNING *'); ROLLBACK"),
		"3\n3", "$way: row security counts");
	like($messages, qr/cannot execute DELETE in a read-only transaction/, "$way: and so does a transaction that may not write");
}

#
# Messages reach who they are for
#
$node->safe_psql('copies', <<'EOS');
CREATE TABLE noisy (id int);
INSERT INTO noisy SELECT generate_series(1, 3);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% %', TG_WHEN, OLD.id;
	RETURN OLD;
END $$;
CREATE TRIGGER b BEFORE DELETE ON noisy FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER a AFTER DELETE ON noisy FOR EACH ROW EXECUTE FUNCTION tell();
CREATE FUNCTION noise(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	RAISE INFO 'info of %', n;
	RAISE WARNING 'warning of %', n;
	RAISE LOG 'log of %', n;
	RETURN n;
END $$;
EOS
my $told = join "\n", (map { "NOTICE:  BEFORE $_" } 1 .. 3), (map { "NOTICE:  AFTER $_" } 1 .. 3);
foreach my $way (@ways)
{
	is( session("BEGIN; SELECT rows, bytes FROM $way.copy_to_digest('DELETE FROM noisy RETURNING *'); ROLLBACK; SELECT 'well'"),
		"3|6\nwell", "$way, NOTICE: the rows are not disturbed");
	is(heard(), $told, "$way, NOTICE: all of them arrive, in their order");
	is( session("SET client_min_messages = error; BEGIN; SELECT rows FROM $way.copy_to_digest('DELETE FROM noisy RETURNING *'); ROLLBACK"),
		'3', "$way, NOTICE: where none is wanted");
	is($messages, '', "$way, NOTICE: none arrives");
	is( session("SET client_min_messages = log; SELECT $way.copy_to_bytea('SELECT noise(g) FROM generate_series(1, 2) g')"),
		'\x310a320a', "$way, other levels: the rows are not disturbed");
	is(heard(), join("\n", map { ("INFO:  info of $_", "WARNING:  warning of $_", "LOG:  log of $_") } 1 .. 2),
		"$way, other levels: they arrive");
}

# a background worker has no client; what it says is in the log
foreach my $way (@ways)
{
	my $offset = -s $node->logfile;
	my $sum = sha256_hex("id,noise\n1,1\n2,2\n3,3\n");

	is(session("SELECT $way.copy_in_worker('WITH d AS (DELETE FROM noisy RETURNING *) SELECT id, noise(id) FROM d')"),
		'', "$way, worker: has ended");
	my $log = substr(slurp_file($node->logfile), $offset);
	like($log, qr/LOG:  copied in a worker: 3 rows, 21 bytes, $sum/, "$way, worker: the same bytes");
	like($log, qr/NOTICE:  BEFORE 3\n.*INFO:  info of 3\n.*WARNING:  warning of 3\n.*LOG:  log of 3\n.*NOTICE:  AFTER 3\n/s,
		"$way, worker: messages are in the log");
	is(session('SELECT count(*) FROM noisy; INSERT INTO noisy SELECT generate_series(1, 3)'), '0', "$way, worker: the rows are gone");

	$offset = -s $node->logfile;
	session("SELECT $way.copy_in_worker('DELETE FROM noisy RETURNING 1 / (2 - id)')");
	like(substr(slurp_file($node->logfile), $offset), qr/ERROR:  division by zero/, "$way, worker: an error is in the log");
	is(session('SELECT count(*) FROM noisy'), '3', "$way, worker: and the rows are there");
}

#
# Interruptions
#
my $endless = 'SELECT a FROM generate_series(1, 10000) a, generate_series(1, 10000) b, generate_series(1, 10000) c';
foreach my $way (@ways)
{
	foreach my $case (
		[ 'while rows come', $endless ],
		[ 'before the first row', 'SELECT count(*) FROM rows a, rows b, rows c' ],
		[ 'while it waits', 'SELECT pg_sleep(600) FROM rows' ])
	{
		my ($name, $query) = @$case;
		my $start = time;

		is( session("SET statement_timeout = '700ms'; SELECT rows FROM $way.copy_to_digest('$query');
				RESET statement_timeout; " . calls($way) . "SELECT rows FROM $way.copy_to_digest('SELECT 1')"),
			"calls|1|0|1\n1", "$way, cancelled $name: the session goes on");
		is(heard(), 'ERROR:  canceling statement due to statement timeout', "$way, cancelled $name: message");
		cmp_ok(time - $start, '<', 120, "$way, cancelled $name: at once");
	}

	foreach my $case (
		[ 'cancel', qr/^ERROR:  canceling statement due to user request/, '42' ],
		[ 'terminate', qr/^FATAL:  terminating connection due to administrator command/, '' ])
	{
		my ($end, $error, $then) = @$case;
		my ($out, $err) = ('', '');
		my $psql = IPC::Run::start(
			[ 'psql', '-XAtq', '-d', $node->connstr('copies'), '-c', "SELECT rows FROM $way.copy_to_digest('$endless')", '-c', 'SELECT 42' ],
			'>', \$out, '2>', \$err);

		ok($node->poll_query_until('copies', 'SELECT count(*) = 1 FROM pg_stat_progress_copy WHERE bytes_processed > 0'),
			"$way, $end: progress shows");
		is(session("SELECT pg_${end}_backend(pid) FROM pg_stat_progress_copy"), 't', "$way, $end: asked for");
		$psql->finish;
		chomp $out;
		is($out, $then, "$way, $end: what comes after it");
		like($err, $error, "$way, $end: the client is told");
	}
}

#
# A COPY inside a COPY
#
$node->safe_psql('copies', <<'EOS');
CREATE FUNCTION inner_failure(way text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT 1 FROM %I.copy_to_digest(''SELECT g FROM generate_series(1, 10) g'', fail_at => 5)', way);
	RETURN 'arrived';
EXCEPTION WHEN disk_full THEN
	RAISE NOTICE 'inner failure';
	RETURN 'failed';
END $$;
CREATE FUNCTION archive() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	copied bytea;
BEGIN
	EXECUTE format('SELECT %I.copy_to_bytea(''SELECT * FROM noisy WHERE id = %s'')', TG_ARGV[0], OLD.id) INTO copied;
	RAISE NOTICE 'archived %', copied;
	RETURN OLD;
END $$;
EOS
foreach my $outer (@ways)
{
	foreach my $inner (@ways)
	{
		my $name = "$inner inside $outer";

		is( session("SELECT encode($outer.copy_to_bytea('SELECT g, $inner.copy_to_bytea(''SELECT n, '' || g || '' FROM generate_series(1, 2) n'')
				FROM generate_series(1, 2) g', 'FORMAT csv'), 'escape'); SELECT 'well'"),
			"1,\\\\x3109310a3209310a\n2,\\\\x3109320a3209320a\n\nwell", "$name: in the query");
		is( session("SELECT encode($outer.copy_to_bytea('SELECT g, inner_failure(''$inner'') FROM generate_series(1, 2) g', 'FORMAT csv'), 'escape')"),
			"1,failed\n2,failed\n", "$name: the inner one may fail");
		is(heard(), "NOTICE:  inner failure\nNOTICE:  inner failure", "$name: and tell of it");
		is( session("BEGIN; DROP TRIGGER b ON noisy;
				CREATE TRIGGER b BEFORE DELETE ON noisy FOR EACH ROW EXECUTE FUNCTION archive('$inner');
				SELECT encode($outer.copy_to_bytea('DELETE FROM noisy RETURNING *'), 'escape'); ROLLBACK"),
			"1\n2\n3\n", "$name: in a trigger");
		is(heard(), join("\n", (map { "NOTICE:  archived \\x3${_}0a" } 1 .. 3), (map { "NOTICE:  AFTER $_" } 1 .. 3)),
			"$name: in a trigger that tells of it");
	}
}

#
# Memory does not grow with the rows
#
foreach my $way (@ways)
{
	foreach my $case (
		[ 'rows', 'SELECT * FROM rows LIMIT 2000', 'SELECT * FROM rows', 200000 ],
		[ 'large rows', q(SELECT repeat('x', 10485760) FROM rows LIMIT 2), q(SELECT repeat('x', 10485760) FROM rows LIMIT 30), 30 ])
	{
		my ($name, $few, $many, $rows) = map { s/'/''/gr } @$case;

		is( session("SET max_parallel_workers_per_gather = 0; SET synchronize_seqscans = off;
				SELECT peak AS few FROM $way.copy_to_digest('$few', 'FORMAT csv') \\gset
				SELECT rows, greatest(peak - :few, 262144) FROM $way.copy_to_digest('$many', 'FORMAT csv')"),
			"$rows|262144", "$way: memory does not grow with $name");
	}
}

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal|WARNING:  (?!warning of)/, 'nothing has crashed, nothing was left');

done_testing();
