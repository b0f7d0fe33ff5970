# No row is lost, whatever happens between the server and its storage.
#
# Writers insert, change and delete rows the whole time, and write down each
# version of each of them.  Meanwhile rows are archived to a real S3 server,
# through a proxy that makes things go wrong; the process that archives is
# killed, in each of its stages.  In the end, and many times before, every row
# is in its table, or in exactly one archive, or was deleted by a writer, and is
# as its writer left it.  The archives are read without pgmaint.
#
# What goes wrong is drawn by chance.  The seed is printed;
# PGMAINT_TEST_SEED=number draws the same again.
#
# long: one server is enough
# slow: begins first

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha256_hex);
use FindBin;
use lib "$FindBin::RealBin/..";

use FaultProxy;
use IO::Uncompress::Gunzip qw(gunzip);
use IPC::Run;
use JSON::PP;
use PgmaintS3;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => PgmaintS3::missing() if PgmaintS3::missing();

my $least_faults = 200;
my $seed = $ENV{PGMAINT_TEST_SEED} || 1 + int(rand 1_000_000);
srand $seed;
diag "PGMAINT_TEST_SEED=$seed";

my $began = time;

my $s3 = PgmaintS3->start;
my $proxy = FaultProxy->start(upstream => $s3->address);
# what is complete, and was not committed, waits for no sign of another database
my $node = start_server('lost', 'pgmaint.max_workers = 3', 'pgmaint.takeover_delay = 0', q(timezone = 'UTC'), 'max_wal_size = 4GB', 'log_min_messages = warning', 'log_statement = none');
my $scratch = PostgreSQL::Test::Utils::tempdir();

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub progress
{
	note sprintf '%4.0f s: %s', time - $began, $_[0];
}

#
# What others keep in the bucket, in the same folders
#
$s3->create_bucket('bucket');
# the object that the first run would write, of which others were faster
sql('SELECT pgmaint.take_over()');
my $tag = sql('SELECT left(pgmaint_internal.current_identity(), 8)');
my $taken = "archives/postgres/public.small/20210301T000000Z_20210302T000000Z-1-$tag.csv.gz";
my %foreign = (
	$taken => 'the name is taken',
	'archives/postgres/public.big/20200101T000000Z_20210101T000000Z-0.csv' => 'of an earlier database',
	'archives/postgres/public.small/notes.json' => '{"of": "another"}',
	'other/data' => 'of others');
$s3->put('bucket', $_, $foreign{$_}) foreach keys %foreign;
$s3->perform('POST', '/bucket/archives/postgres/public.big/unfinished.csv', query => { uploads => '' });
my ($foreign_upload) = map { "$_->{key} $_->{id}" } $s3->uploads('bucket');

#
# Three tables: one slice that is sent in parts, several slices in parts and
# compressed, and many small ones.
#
sql($s3->through($proxy)->storage('faulty', 'bucket', part_size => '5MB', retries => 4, connect_timeout => '30s', stall_timeout => '300s'));
sql(<<'EOS');
CREATE SEQUENCE ids;
CREATE TABLE written (id bigint PRIMARY KEY, at timestamptz, version int, digest text);
CREATE TABLE deleted (id bigint PRIMARY KEY);
CREATE TABLE archived (archive_id bigint, id bigint, at timestamptz, version int, digest text);
CREATE TABLE loaded (archive_id bigint PRIMARY KEY);
CREATE TABLE noise AS SELECT n, string_agg(md5(random()::text), '') AS text FROM generate_series(0, 511) n, generate_series(1, 120) GROUP BY n;
CREATE UNIQUE INDEX ON noise (n);
CREATE TABLE big (id bigint PRIMARY KEY, at timestamptz NOT NULL, done boolean NOT NULL, version int NOT NULL, body text);
ALTER TABLE big ALTER body SET STORAGE PLAIN;
CREATE INDEX ON big (at);
CREATE TABLE middle (LIKE big INCLUDING ALL);
CREATE TABLE small (LIKE big INCLUDING ALL);
CREATE TABLE kinds (relation regclass, old timestamptz, range interval, length int);
INSERT INTO kinds VALUES ('big', '2020-02-01', '200 days', 3800), ('middle', '2022-05-01', '3 days', 3800), ('small', '2021-03-01', '12 days', 400);
ANALYZE noise;

-- a body that has in it what CSV must quote
CREATE FUNCTION body(id bigint, version int, length int) RETURNS text LANGUAGE sql AS $$
	SELECT format(E'row %s, "version" %s\n', id, version) || left(text, length - (random() * 100)::int) FROM noise WHERE n = (SELECT floor(random() * 512)::int)
$$;

CREATE FUNCTION add_rows(kind kinds, count int, old boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('WITH new AS (INSERT INTO %s SELECT id, at, true, 1, public.body(id, 1, $1)
		FROM (SELECT nextval(''ids'') AS id, CASE WHEN $2 THEN $3 + random() * $4 ELSE now() - random() * interval ''1 day'' END AS at FROM generate_series(1, $5)) x
		RETURNING id, at, version, body)
		INSERT INTO written SELECT id, at, version, md5(body) FROM new', kind.relation)
	USING kind.length, old, kind.old, kind.range, count;
END $$;

CREATE FUNCTION change_row(kind kinds, what text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	chosen bigint;
BEGIN
	EXECUTE format('SELECT id FROM %s WHERE at >= $1 ORDER BY at LIMIT 1', kind.relation) INTO chosen
	USING CASE WHEN random() < 0.7 THEN kind.old + random() * kind.range ELSE now() - random() * interval '1 day' END;
	IF what = 'delete' THEN
		EXECUTE format('WITH gone AS (DELETE FROM %s WHERE id = $1 RETURNING id) INSERT INTO deleted SELECT id FROM gone', kind.relation) USING chosen;
		RETURN;
	END IF;
	EXECUTE format('WITH new AS (UPDATE %s SET version = version + 1, body = public.body(id, version + 1, $1), done = random() < 0.8,
			at = CASE $2 WHEN ''age'' THEN $3 + random() * $4 WHEN ''renew'' THEN now() - random() * interval ''1 day'' ELSE at END
		WHERE id = $5 RETURNING id, at, version, body)
		UPDATE written w SET at = new.at, version = new.version, digest = md5(new.body) FROM new WHERE w.id = new.id', kind.relation)
	USING kind.length, what, kind.old, kind.range, chosen;
END $$;

CREATE PROCEDURE write_rows() LANGUAGE plpgsql AS $$
DECLARE
	kind kinds;
	what text;
BEGIN
	LOOP
		kind := (SELECT k FROM kinds k ORDER BY random() LIMIT 1);
		what := (ARRAY['insert', 'insert', 'insert', 'change', 'change', 'age', 'renew', 'delete'])[1 + floor(random() * 8)];
		BEGIN
			PERFORM set_config('lock_timeout', (50 + random() * 1500)::int::text, true);
			IF what = 'insert' THEN
				PERFORM add_rows(kind, 1 + (random() * 3)::int, random() < 0.7);
			ELSE
				PERFORM change_row(kind, what);
			END IF;
		EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
			NULL;
		END;
		COMMIT;
		PERFORM pg_sleep(random() * 0.02);
	END LOOP;
END $$;

SELECT pgmaint.add_retention('big', 'at', '90 days', storage => 'faulty', compression => 'none', slice => '1 year');
SELECT pgmaint.add_retention('middle', 'at', '90 days', storage => 'faulty', slice => '1 day');
SELECT pgmaint.add_retention('small', 'at', '90 days', 'done', storage => 'faulty', slice => '1 day');
SELECT add_rows(k, 1000, false) FROM kinds k;
WITH new AS (INSERT INTO small SELECT nextval('ids'), '2021-03-01', true, 1, 'the first' RETURNING id, at, version, body)
	INSERT INTO written SELECT id, at, version, md5(body) FROM new;
EOS

# Enough that is old for several parts.
sub top_up
{
	sql(q(VACUUM big, middle, small;
		SELECT add_rows(k, 3500, true) FROM kinds k WHERE relation = 'big'::regclass AND (SELECT count(*) FROM big WHERE at < '2021-01-01') < 3000;
		SELECT add_rows(k, 9000, true) FROM kinds k WHERE relation = 'middle'::regclass AND (SELECT count(*) FROM middle WHERE at < '2023-01-01') < 7000));
}

#
# Writers, who come back when the server does
#
my $stop_file = "$scratch/stop";
my @writers;

sub start_writers
{
	foreach my $number (1 .. 3)
	{
		push @writers,
		  IPC::Run::start(
			[ 'setpriv', '--pdeathsig', 'KILL', 'bash', '-c',
				'until [ -e "$0" ]; do psql -XAtq -d "$1" -c "CALL write_rows()"; sleep 0.05; done',
				$stop_file, $node->connstr('postgres') ],
			'<', \undef, '>', '/dev/null', '2>', "$scratch/writer.$number");
	}
}

sub stop_writers
{
	append_to_file($stop_file, '');
	sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'CALL write_rows()'));
	$_->finish foreach @writers;
	@writers = ();
}

END
{
	my $status = $?;

	append_to_file($stop_file, '') if defined $stop_file;
	$? = $status;
}

#
# The proof
#

# The rows of a CSV: arrays of its fields.
sub parse_csv
{
	my ($csv) = @_;
	my (@rows, @row);

	while ($csv =~ /\G(?:"((?:[^"]++|"")*+)"|([^,"\n]*))(,|\n)/gc)
	{
		my ($quoted, $plain, $end) = ($1, $2, $3);

		push @row, defined $quoted ? $quoted =~ s/""/"/gr : $plain;
		if ($end eq "\n")
		{
			push @rows, [@row];
			@row = ();
		}
	}
	die 'this is no CSV at ' . pos($csv) . "\n" if pos($csv) != length $csv;
	return @rows;
}

# Reads an archive from the bucket, and compares it with what was written down
# about it; returns what is wrong, and its rows for COPY.
sub read_archive
{
	my ($id, $key, $compression, $rows, $bytes, $sha256) = @_;
	my $object = $s3->get('bucket', $key);
	my $manifest = $s3->get('bucket', $key =~ s/\.csv(\.gz)?$/.json/r);
	my $csv;

	return "archive $id: $key is not there" unless defined $object;
	return "archive $id: $key has no manifest" unless defined $manifest;
	return "archive $id: $key has another digest" if sha256_hex($object) ne $sha256 || length $object != $bytes;
	$manifest = decode_json($manifest);
	return "archive $id: the manifest is of another object"
	  if $manifest->{sha256} ne $sha256 || $manifest->{key} ne $key || $manifest->{rows} != $rows || $manifest->{bytes} != $bytes;
	if ($compression eq 'gzip')
	{
		gunzip(\$object, \$csv, MultiStream => 1) or return "archive $id: $key cannot be decompressed";
	}
	else
	{
		$csv = $object;
	}
	my ($header, @found) = parse_csv($csv);
	return "archive $id: the header is @$header" if "@$header" ne 'id at done version body';
	return "archive $id: it has " . @found . " rows instead of $rows" if @found != $rows;
	return (undef, map { "$id,$_->[0],$_->[1],$_->[3]," . md5_hex($_->[4]) . "\n" } @found);
}

my @wrong;

# Every row is in one place, and is as it was left.
sub every_row_is_there
{
	my ($name) = @_;

	foreach my $attempt (1 .. 10)
	{
		my @archives = split /\n/, sql('SELECT archive_id, key, compression, rows, bytes, sha256 FROM pgmaint.archives
			WHERE archive_id NOT IN (SELECT archive_id FROM loaded) ORDER BY archive_id');
		my $file = "$scratch/rows";
		my $rows = '';

		foreach my $archive (@archives)
		{
			my ($wrong, @rows) = read_archive(split /\|/, $archive);

			push @wrong, $wrong if defined $wrong;
			$rows .= join '', @rows;
		}
		if (@archives)
		{
			unlink $file;
			append_to_file($file, $rows);
			sql("BEGIN; COPY archived FROM '$file' (FORMAT csv); INSERT INTO loaded VALUES "
				  . join(', ', map { '(' . (split /\|/)[0] . ')' } @archives) . '; COMMIT');
		}
		# one statement sees all of it at one moment
		my ($missing, $lost, $doubled, $unknown, $other, $total) = split /\|/, sql(<<'EOS');
WITH places AS (
	SELECT id, at, version, md5(body) AS digest, 'table' AS place FROM (TABLE big UNION ALL TABLE middle UNION ALL TABLE small) x
	UNION ALL SELECT id, at, version, digest, 'archive' FROM archived
	UNION ALL SELECT id, NULL, NULL, NULL, 'deleted' FROM deleted),
places_of AS (SELECT id, count(*) AS n, min(at) AS at, min(version) AS version, min(digest) AS digest, min(place) AS place FROM places GROUP BY id)
SELECT (SELECT count(*) FROM pgmaint.archives WHERE archive_id NOT IN (SELECT archive_id FROM loaded)),
	count(*) FILTER (WHERE p.id IS NULL), count(*) FILTER (WHERE p.n > 1), count(*) FILTER (WHERE w.id IS NULL),
	count(*) FILTER (WHERE p.n = 1 AND p.place <> 'deleted' AND (p.at, p.version, p.digest) IS DISTINCT FROM (w.at, w.version, w.digest)),
	count(*)
FROM written w FULL JOIN places_of p ON p.id = w.id
EOS
		next if $missing > 0;
		is(join('; ', "lost $lost, in two places $doubled, from nowhere $unknown, not as they were left $other", splice @wrong),
			'lost 0, in two places 0, from nowhere 0, not as they were left 0', "$name: all rows are there, of $total");
		return;
	}
	fail("$name: archives come faster than they can be read");
}

# No upload is left open, and each object in the bucket belongs to a database.
sub nothing_is_left
{
	my ($name) = @_;
	my %expected = map { $_ => 1 } keys %foreign, map { ($_, s/\.csv(\.gz)?$/.json/r) } split /\n/, sql('SELECT key FROM pgmaint.archives');
	my %found = map { $_ => 1 } grep { !m{^\.pgmaint/owners/} } $s3->names('bucket');

	is(join(' ', grep { !$expected{$_} && !m{^[.]pgmaint/owners/} } sort keys %found), '', "$name: each object belongs to a database");
	is(join(' ', grep { !$found{$_} } sort keys %expected), '', "$name: no object is missing");
	is(join(', ', map { "$_->{key} $_->{id}" } $s3->uploads('bucket')), $foreign_upload, "$name: no upload is unfinished but that of others");
}

sub others_are_untouched
{
	my ($name) = @_;
	is(join(' ', grep { ($s3->get('bucket', $_) // '') ne $foreign{$_} } sort keys %foreign), '', "$name: what others wrote is as it was");
}

#
# Runs
#

# Begins a run for these tables; before it can do anything, the code is called
# with its number.
sub begin_run
{
	my ($tables, $prepare) = @_;
	my $session = $node->background_psql('postgres');

	$session->query_safe('BEGIN');
	my $run = $session->query_safe("SELECT pgmaint.run_action('retention', '{\"tables\": [$tables]}')");
	$prepare->($run) if $prepare;
	$session->query_safe('COMMIT');
	$session->quit;
	return $run;
}

sub run_to_its_end
{
	my ($tables) = @_;
	my $run = begin_run($tables || '"big", "middle", "small"');

	return (wait_for_end($node, $run), $run);
}

sub errors_of
{
	my ($run) = @_;
	return sql("SELECT coalesce(string_agg(DISTINCT coalesce(error, state), '; '), '') FROM pgmaint.tasks WHERE run_id = $run AND state <> 'succeeded'");
}

# Runs until one goes through, and finds nothing to do when no session writes.
sub run_until_done
{
	my ($name) = @_;

	$proxy->clear;
	foreach my $attempt (1 .. 12)
	{
		# what was left is looked for once more an hour later
		sql(q(UPDATE pgmaint_internal.uploads SET searched_at = searched_at - interval '61 minutes'));

		my ($state, $run) = run_to_its_end();

		return pass("$name: runs go through, the last of " . $attempt)
		  if $state eq 'succeeded' && (@writers || sql("SELECT count(*) FROM pgmaint.tasks WHERE run_id = $run") == 0);
		progress("$name: run $run $state: " . errors_of($run)) if $state ne 'succeeded';
	}
	fail("$name: runs go through");
}

# The tasks, and the processes that they are carried out by.
sub worker_of
{
	my ($run) = @_;
	return sql("SELECT t.pid FROM pgmaint.tasks t JOIN pg_stat_activity a USING (pid) WHERE t.run_id = $run AND t.state = 'running' ORDER BY t.task_id LIMIT 1");
}

# Kill a task worker; the server starts again by itself, and resumes the run.
# Returns what became of it, or nothing if the process had ended.  One that can be
# stopped has not begun to be a zombie, whose death would not be noticed.
sub kill_worker
{
	my ($run, $pid) = @_;
	my $offset = -s $node->logfile;
	my $state = '';

	return unless $pid ne '' && kill 'STOP', $pid;
	until ($state eq 'T')
	{
		($state) = (eval { slurp_file("/proc/$pid/stat") } || '') =~ /^.*\) (\S)/s;
		return if !defined $state || $state =~ /[ZX]/;
		sleep 0.01 if $state ne 'T';
	}
	kill 'KILL', $pid;
	wait_for_restart($node, $offset);
	$proxy->clear;
	sql('SELECT pgmaint.tick()');
	return wait_for_end($node, $run);
}

top_up();
start_writers();

#
# A name that is taken, with nothing else wrong
#
{
	my ($state, $run) = run_to_its_end();

	is($run, 1, 'the first run');
	is($state, 'failed', 'a name that is taken: the run fails');
	like(errors_of($run), qr/the object already exists/, '... and says why');
	others_are_untouched('a name that is taken');
	every_row_is_there('a name that is taken');
	cmp_ok(sql('SELECT count(*) FROM pgmaint.archives'), '>', 3, '... the others have been archived');
	progress('without faults');
}

#
# Killed, at each stage
#
my @stages = (
	[ 'before the upload begins', method => 'POST', query => '^uploads', when => 'before' ],
	[ 'when the upload has begun', method => 'POST', query => '^uploads', when => 'after' ],
	[ 'in the first part', method => 'PUT', query => 'partNumber=1&', when => 'body' ],
	[ 'between parts', method => 'PUT', query => 'partNumber=2&', when => 'before' ],
	[ 'when a part was taken', method => 'PUT', query => 'partNumber=2&', when => 'after' ],
	[ 'before complete', method => 'POST', query => '^uploadId', when => 'before' ],
	[ 'when it was completed', method => 'POST', query => '^uploadId', when => 'after' ],
	[ 'before the object is verified', method => 'HEAD', suffix => 'csv', nth => 2, when => 'before' ],
	[ 'before the manifest', method => 'PUT', suffix => 'json', when => 'before' ],
	[ 'when the manifest was written', method => 'PUT', suffix => 'json', when => 'after' ],
	[ 'before the manifest is verified', method => 'HEAD', suffix => 'json', nth => 2, when => 'before' ],
	[ 'before a small object', table => 'small', method => 'PUT', when => 'before' ],
	[ 'when a small object was written', table => 'small', method => 'PUT', when => 'after' ]);

foreach my $round (1, 2)
{
	foreach my $stage (@stages)
	{
		my ($name, %fault) = @$stage;
		my $suffix = delete $fault{suffix} || 'csv';
		my $table = delete $fault{table} || 'big';
		my $before = $proxy->faults;

		$name = "killed $name, $round";
		top_up();
		my $run = begin_run(qq("$table"), sub { $proxy->fault(kind => 'stall', path => "public\\.$table/.*-$_[0]-$tag\\.$suffix", times => 0, %fault) });
		ok($proxy->wait_for_faults($before + 1), "$name: there") or last;
		is(kill_worker($run, worker_of($run)), 'interrupted', "$name: the run was interrupted");
		every_row_is_there($name);
	}
	progress("killed at each stage, $round");

	# the next run removes what is left
	run_until_done("after the kills, $round");

	# committed, and gone before the client is told
	{
		my $name = "killed after the commit, $round";
		top_up();
		my $archives = sql(q(SELECT count(*) FROM pgmaint.archives WHERE relation = 'public.middle'));
		my $before = $proxy->faults;
		# while the last slice stalls, others are committed
		my $run = begin_run('"middle"', sub { $proxy->fault(kind => 'stall', method => 'PUT', path => "public\\.middle/20220503.*-$_[0]-$tag\\.csv", times => 0) });
		ok($proxy->wait_for_faults($before + 1) && $node->poll_query_until('postgres',
				"SELECT (SELECT count(*) > $archives FROM pgmaint.archives WHERE relation = 'public.middle')
				AND (SELECT count(*) = 1 FROM pgmaint.tasks WHERE run_id = $run AND state IN ('pending', 'running'))"),
			"$name: there");
		is(kill_worker($run, worker_of($run)), 'interrupted', "$name: the run was interrupted");
		every_row_is_there($name);
	}
}

# the whole server
{
	my $name = 'stopped at once';
	my $before = $proxy->faults;
	top_up();
	my $run = begin_run('"big"', sub { $proxy->fault(kind => 'stall', method => 'PUT', query => 'partNumber=2&', times => 0) });
	ok($proxy->wait_for_faults($before + 1), "$name: there");
	$node->stop('immediate');
	$proxy->clear;
	$node->start;
	sql('SELECT pgmaint.tick()');
	is(wait_for_end($node, $run), 'interrupted', "$name: the run was interrupted");
	every_row_is_there($name);
}

# cancelled, in both ways: within seconds, and without a trace
foreach my $how ('cancel', 'pg_cancel_backend')
{
	run_until_done("before $how");
	my $before = $proxy->faults;
	top_up();
	my $run = begin_run('"big"', sub { $proxy->fault(kind => 'stall', method => 'PUT', query => 'partNumber', times => 0) });
	ok($proxy->wait_for_faults($before + 1), "$how: there");
	my $asked = time;
	sql($how eq 'cancel' ? "SELECT pgmaint.cancel($run)" : 'SELECT pg_cancel_backend(' . worker_of($run) . ')');
	is(wait_for_end($node, $run), $how eq 'cancel' ? 'cancelled' : 'failed', "$how: the run ends");
	cmp_ok(time - $asked, '<', 120, "$how: without waiting for the storage");
	is(sql("SELECT string_agg(state, ',') FROM pgmaint.tasks WHERE run_id = $run AND target = 'public.big'"), 'cancelled', "$how: the task was cancelled");
	$proxy->clear;
	# a slow server may not abort an upload before it is given up; the next run does
	my %noted = map { $_ => 1 } split /\n/, sql('SELECT key FROM pgmaint_internal.uploads');
	my @left = grep { $_ ne $foreign_upload } map { "$_->{key} $_->{id}" } $s3->uploads('bucket');
	is(join(' ', grep { !$noted{ (split / /)[0] } } @left), '', "$how: an upload that is left is noted");
	run_until_done("after $how") if @left;
	nothing_is_left($how);
	every_row_is_there($how);
}
progress('stopped and cancelled');

#
# A bucket that is really full
#
{
	$s3->set_quota('bucket', max_objects => 1);
	my ($state, $run) = run_to_its_end();

	is($state, 'failed', 'a full bucket: the run fails');
	like(errors_of($run), qr/the bucket is full/, '... and says why');
	$s3->set_quota('bucket');
	every_row_is_there('a full bucket');
}

#
# Everything that can go wrong, by chance
#
sub by_chance
{
	my ($probability, %fault) = @_;
	$proxy->fault(probability => $probability, seed => 1 + int(rand 2_000_000_000), %fault);
}

sub everything_goes_wrong
{
	by_chance(0.015, kind => 'reset', when => 'before');
	by_chance(0.015, kind => 'reset', when => 'after');
	by_chance(0.03, kind => 'reset', when => 'body', method => 'PUT');
	by_chance(0.015, kind => 'reset', when => 'answer');
	by_chance(0.005, kind => 'stall', when => 'before');
	by_chance(0.01, kind => 'stall', when => 'after');
	by_chance(0.01, kind => 'stall', when => 'body', method => 'PUT');
	by_chance(0.005, kind => 'stall', when => 'answer');
	by_chance(0.015, kind => 'truncate');
	foreach my $when ('before', 'after')
	{
		by_chance(0.015, kind => 'status', when => $when, status => 500, code => 'InternalError');
		by_chance(0.015, kind => 'status', when => $when, status => 503, code => 'SlowDown');
		by_chance(0.10, kind => 'status', when => $when, status => 200, code => 'InternalError', method => 'POST', query => '^uploadId');
	}
	by_chance(0.015, kind => 'status', status => 429, code => 'TooManyRequests');
	by_chance(0.02, kind => 'status', status => 400, code => 'ExpiredToken');
	by_chance(0.01, kind => 'status', status => 403, code => 'QuotaExceeded', method => 'PUT');
	by_chance(0.02, kind => 'etag', method => 'PUT|POST');
	by_chance(0.005, kind => 'etag', method => 'HEAD');
	by_chance(0.02, kind => 'corrupt', when => 'body', method => 'PUT');
}

# Stalls are given up soon, or it would take hours; a server that is slow by itself
# makes runs fail, which is no loss.
sql(q(ALTER SERVER faulty OPTIONS (SET stall_timeout '1s')));
my $staged = $proxy->faults;
my $first_run = last_run($node) + 1;
my $runs = 0;
for (; $proxy->faults < $staged + $least_faults && $runs < 60; $runs++)
{
	top_up() if $runs % 2 == 0;
	everything_goes_wrong();
	my $run = begin_run('"big", "middle", "small"');

	if ($runs % 5 == 4)
	{
		sleep rand 3;
		every_row_is_there("killed at any moment, run $run") if defined kill_worker($run, worker_of($run));
	}
	wait_for_end($node, $run);
	every_row_is_there("after run $run") if $runs % 4 == 3;
	$proxy->clear;
}
my $tasks = sql("SELECT string_agg(n || ' ' || state, ', ') FROM (SELECT state, count(*) AS n FROM pgmaint.tasks WHERE run_id >= $first_run GROUP BY state) x");
progress('by chance');
sql(q(ALTER SERVER faulty OPTIONS (SET stall_timeout '300s')));

#
# In the end
#
stop_writers();
run_until_done('in the end');
every_row_is_there('in the end');
nothing_is_left('in the end');
others_are_untouched('in the end');
is(sql('SELECT count(*) FROM pgmaint_internal.uploads'), 0, 'in the end: nothing is noted as unfinished');
is(sql(q(SELECT count(*) FROM (TABLE big UNION ALL TABLE middle UNION ALL SELECT * FROM small WHERE done) x WHERE at < now() - interval '91 days')), 0, 'in the end: nothing is old');
is(sql('SELECT count(*) FROM archived'), sql('SELECT sum(rows) FROM pgmaint.archives'), 'in the end: every archived row was read');
cmp_ok(sql('SELECT count(*) FROM archived'), '>', 10000, 'in the end: there are many');
cmp_ok(sql('SELECT count(*) FROM archived WHERE version > 1'), '>', 100, '... some of which were changed before');
cmp_ok(sql('SELECT count(*) FROM deleted'), '>', 100, '... and some rows were deleted by writers');

my %kinds;
foreach my $fault ($proxy->faults)
{
	my ($kind) = $fault =~ /^((?:\d+ \S+|\S+) \S+)/;
	$kinds{$kind}++;
}
cmp_ok(scalar $proxy->faults, '>=', $least_faults + $staged, 'enough has gone wrong');
diag scalar($proxy->faults) . ' faults: ' . join(', ', map { "$kinds{$_} $_" } sort keys %kinds);
diag "$runs runs by chance, their tasks: $tasks; in all "
  . sql('SELECT format($$%s archives with %s rows, %s written, %s deleted by writers$$, (SELECT count(*) FROM pgmaint.archives), (SELECT count(*) FROM archived), (SELECT count(*) FROM written), (SELECT count(*) FROM deleted))');
progress('in the end');

#
# A task's memory does not grow with its rows
#
sub anonymous_memory
{
	my ($pid) = @_;

	open my $status, '<', "/proc/$pid/status" or return 0;
	my ($kilobytes) = join('', <$status>) =~ /^RssAnon:\s+(\d+) kB/m;
	return $kilobytes || 0;
}

# The most that a worker has while this many rows leave.  The first parts are held
# until as many are under way as may be; those that follow take a little longer.
sub peak_memory
{
	my ($rows) = @_;
	my $before = $proxy->faults;

	$proxy->clear;
	$proxy->fault(kind => 'hold', method => 'PUT', path => 'archives/.*csv', times => 0);
	sql("INSERT INTO large SELECT g, '2020-02-01', body(g, 1, 3800) FROM generate_series(1, $rows) g; CHECKPOINT");
	my $run = begin_run('"large"');
	# four, and the one that is filled meanwhile
	$proxy->wait_for_faults($before + 5) or die 'no five parts are under way';
	my $pid = worker_of($run);
	my $peak = anonymous_memory($pid);
	$proxy->clear;
	$proxy->fault(kind => 'delay', seconds => 0.25, method => 'PUT', times => 0);
	$proxy->release;
	while ((my $now = anonymous_memory($pid)) > 0)
	{
		$peak = $now if $now > $peak;
		sleep 0.002;
	}
	wait_for_end($node, $run);
	is(run_state($node, $run), 'succeeded', "$rows rows leave");
	is(sql("SELECT rows FROM pgmaint.archives WHERE run_id = $run"), $rows, '... all of them');
	return $peak;
}

SKIP:
{
	skip 'the memory of a process cannot be seen here', 6 unless -r "/proc/$$/status";

	sql($s3->through($proxy)->storage('plain', 'bucket', prefix => 'memory', stall_timeout => '300s'));
	sql(q(CREATE TABLE large (id bigint, at timestamptz, body text); ALTER TABLE large ALTER body SET STORAGE PLAIN;
		CREATE INDEX ON large (at); SELECT pgmaint.add_retention('large', 'at', '90 days', storage => 'plain', compression => 'none', slice => '1 year')));
	my $session = $node->background_psql('postgres');
	my $plain = anonymous_memory($session->query_safe('SELECT pg_backend_pid()'));
	$session->quit;
	my $few = peak_memory(12_000);
	my $many = peak_memory(60_000);

	cmp_ok($few, '>', $plain, "memory of a task worker: $few kB, of a plain backend: $plain kB");
	# libcurl uses buffers of its own or not, as it happens: 2 MB for each part
	cmp_ok($many, '<=', $few + 24 * 1024, "... with 180 MB more of rows: $many kB");
	cmp_ok($many - $plain, '<=', 64 * 1024, '... which is not too much');
}
progress('memory');

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal (?!9)/, 'nothing but what was killed has crashed');
unlike(slurp_file($node->logfile), qr/\Q@{[ $s3->secret_key ]}\E/, 'no secret is in the log');

done_testing();
