# Damaged files: check_corruption finds what is wrong with a heap page, an index
# page, an index from which entries are missing, an index without its file and
# pages with a bad checksum, and goes on with everything else.  Then a check
# that takes the server down with it, and whose rights the checks have.

use strict;
use warnings;

use File::Copy qw(copy);
use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

use constant BLOCK => 8192;

my $node = start_server('corruption', 'pgmaint.max_workers = 2');

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub file_of { return $node->data_dir . '/' . sql("SELECT pg_relation_filepath('$_[0]')") }

# While the server is down, replace bytes of a block by what a function makes of
# them.
sub damage
{
	my ($file, $block, $offset, $length, $change) = @_;
	my $bytes;

	open my $handle, '+<:raw', $file or die "could not open $file: $!";
	seek $handle, $block * BLOCK + $offset, 0;
	read($handle, $bytes, $length) == $length or die "could not read $file: $!";
	seek $handle, $block * BLOCK + $offset, 0;
	print {$handle} $change->($bytes);
	close $handle or die "could not write $file: $!";
}

# Stop the server with everything written out, do something to its files, and
# start it again.
sub with_server_down
{
	my ($work) = @_;

	sql('CHECKPOINT');
	$node->stop;
	$work->();
	$node->start;
}

sub checksums
{
	my ($switch) = @_;
	my ($stdout) = run_command([ 'pg_controldata', $node->data_dir ]);
	my $on = $stdout !~ /^Data page checksum version:\s+0$/m;

	return if $on == ($switch eq 'enable');
	system_or_bail('pg_checksums', "--$switch", '--no-sync', '-D', $node->data_dir);
}

# Run the action; returns the run and its state.
sub check
{
	my ($options) = @_;
	my $run = sql("SELECT pgmaint.run_action('check_corruption', '$options')");

	return ($run, wait_for_end($node, $run));
}

sub critical
{
	my ($run) = @_;
	return sql("SELECT coalesce(string_agg(object, ' ' ORDER BY object), 'none') FROM pgmaint.findings
		WHERE run_id = $run AND severity = 'critical' AND check_id = 'corruption'");
}

sub finding
{
	my ($run, $object, $what) = @_;
	return sql("SELECT $what FROM pgmaint.findings WHERE run_id = $run AND object = '$object' AND severity = 'critical'");
}

sql('CREATE EXTENSION amcheck');
sql("CREATE TABLE bad_heap AS SELECT g AS id, repeat('x', 100) AS filler FROM generate_series(1, 2000) g;
	CREATE INDEX bad_heap_id ON bad_heap (id);
	CREATE TABLE bad_index (id int PRIMARY KEY);
	INSERT INTO bad_index SELECT generate_series(1, 5000);
	CREATE TABLE no_entry (id int PRIMARY KEY);
	INSERT INTO no_entry SELECT generate_series(1, 1000);
	CREATE TABLE no_file (id int PRIMARY KEY);
	INSERT INTO no_file SELECT generate_series(1, 1000);
	CREATE TABLE sound (id int PRIMARY KEY, filler text);
	INSERT INTO sound SELECT g, repeat('y', 100) FROM generate_series(1, 2000) g;
	VACUUM FREEZE");

my %file = map { $_ => file_of($_) } qw(bad_heap bad_index_pkey no_entry_pkey no_file_pkey);

# sizes that reach beyond a page, on every page that index_bloat() keeps at a time
sql("CREATE TABLE bad_sizes AS SELECT g AS id FROM generate_series(1, 60000) g;
	CREATE INDEX bad_sizes_id ON bad_sizes (id)");
my $sizes = file_of('bad_sizes_id');
with_server_down(sub {
	checksums('disable');
	# of the first row's tuple, which is the last on the page
	damage($sizes, $_, BLOCK - 16 - 16 + 6, 2, sub { pack('S', 8000) }) foreach 1, 2, 4 .. 150;
});
is(sql(q(SELECT sampled_blocks = total_blocks AND bloat_ratio < 0.05 FROM pgmaint.index_bloat('bad_sizes_id', 0.001))), 't', 'tuples that claim to be larger than a page: index_bloat() takes them for damaged');
sql('DROP TABLE bad_sizes');

# before anything is damaged, nothing is found
with_server_down(sub {
	checksums('disable');
	copy($file{no_entry_pkey}, "$file{no_entry_pkey}.old") or die "could not copy: $!";
});
my ($run, $state) = check('{"schemas": "public"}');
is($state, 'succeeded', 'nothing is damaged');
is(critical($run), 'none', '... and nothing is found');

# how to turn checksums on: the server's own function where it has one, which
# stands for this one here
sub says_of_checksums
{
	my ($run) = @_;
	return sql("SELECT f.message || '; validate: ' || v.detail FROM pgmaint.findings f, pgmaint.validate() v
		WHERE f.run_id = $run AND f.check_id = 'checksums' AND v.check_id = 'checksums_enabled'");
}
my $online = q(FROM pg_proc WHERE proname = 'pg_enable_data_checksums' AND pronamespace = 'pg_catalog'::regnamespace);
my $has_online = sql("SELECT count(*) > 0 $online");
my ($offline_run) = check('{"time_budget": 0.000001}');
like(says_of_checksums($offline_run), $has_online eq 't' ? qr/pg_enable_data_checksums/ : qr/goes undetected; enable them while the server is stopped with pg_checksums --enable; validate: .* undetected; enable them while the server is stopped with pg_checksums --enable$/,
	'checksums are off: how to turn them on');
sql(q(CREATE FUNCTION pg_catalog.pg_enable_data_checksums() RETURNS void LANGUAGE sql AS '')) if $has_online ne 't';
my ($online_run) = check('{"time_budget": 0.000001}');
like(says_of_checksums($online_run), qr/goes undetected; enable them .* with SELECT pg_enable_data_checksums\(\), .* pg_stat_progress_data_checksums.*validate: .* undetected; enable them .* with SELECT pg_enable_data_checksums\(\), /,
	'... with the server running, where it can do that');
sql(q(DROP FUNCTION pg_catalog.pg_enable_data_checksums())) if $has_online ne 't';
is( sql(q(SELECT string_agg(relation || ' ' || outcome, ', ' ORDER BY relation::text COLLATE "C")
		FROM pgmaint.corruption_checks WHERE relation::text ~ '^(bad|no|sound)')),
	'bad_heap sound, bad_heap_id sound, bad_index sound, bad_index_pkey sound, no_entry sound, '
	. 'no_entry_pkey sound, no_file sound, no_file_pkey sound, sound sound, sound_pkey sound',
	'all is proven sound');
my $proven = sql(q(SELECT last_verified FROM pgmaint.corruption_checks WHERE relation = 'bad_heap'::regclass));

# two line pointers of a heap page, two that changed places on a leaf page, an
# index that missed what was inserted last, a file that is gone
sql('INSERT INTO no_entry SELECT generate_series(1001, 1010)');
with_server_down(sub {
	damage($file{bad_heap}, 5, 24 + 4 * 2, 8, sub { pack('L2', 0x77777777, 0x77777777) });
	damage($file{bad_index_pkey}, 1, 24 + 4 * 4, 8, sub { pack('L2', reverse unpack('L2', $_[0])) });
	copy("$file{no_entry_pkey}.old", $file{no_entry_pkey}) or die "could not copy: $!";
	rename($file{no_file_pkey}, "$file{no_file_pkey}.gone") or die "could not rename: $!";
});
($run, $state) = check('{"schemas": "public"}');
is($state, 'failed', 'a run that found damage did not succeed');
is( critical($run),
	'public.bad_heap public.bad_index_pkey public.no_entry_pkey public.no_file_pkey',
	'all that is damaged is found, and nothing else');
is( sql(qq(SELECT string_agg(target, ' ' ORDER BY target COLLATE "C") FROM pgmaint.tasks
		WHERE run_id = $run AND state = 'failed')),
	'public.bad_heap public.bad_index_pkey public.no_entry_pkey public.no_file_pkey',
	'their tasks failed');
is( sql(qq(SELECT string_agg(target, ' ' ORDER BY target COLLATE "C") FROM pgmaint.tasks
		WHERE run_id = $run AND state = 'succeeded' AND relation <> 0 AND target NOT LIKE 'pg_toast%')),
	'public.bad_heap_id public.bad_index public.no_entry public.no_file public.sound public.sound_pkey',
	'... and those of everything else did not');

is(finding($run, 'public.bad_heap', "detail ->> 'problems'"), '2', 'heap page: both problems');
is(finding_places($run, 'public.bad_heap'), '5/3 5/4', '... with block and item');
like(finding($run, 'public.bad_heap', 'message'), qr/2 problems, the first in block 5, item 3: line pointer/,
	'... and what amcheck says');
is(finding_places($run, 'public.bad_index_pkey'), '1/5', 'index page: block and item');
like(finding($run, 'public.bad_index_pkey', 'message'), qr/item order invariant violated.*REINDEX INDEX CONCURRENTLY public\.bad_index_pkey/,
	'... and what amcheck says, and what to do');
like(finding($run, 'public.no_entry_pkey', 'message'), qr/heap tuple \(\d+,\d+\) from table "no_entry" lacks matching index tuple/,
	'missing entry');
like(finding($run, 'public.no_file_pkey', 'message'), qr/could not open file|lacks a main relation fork/, 'missing file');
is( sql("SELECT problems || ' ' || outcome || ' ' || (last_verified = '$proven') || ' ' || (problems_at > last_verified)
		FROM pgmaint.corruption_checks WHERE relation = 'bad_heap'::regclass"),
	'2 damaged true true', 'when it was last proven sound stays on record');

sub finding_places
{
	my ($of_run, $object) = @_;
	return sql("SELECT string_agg((p ->> 'block') || '/' || (p ->> 'offset'), ' ')
		FROM pgmaint.findings f, jsonb_array_elements(f.detail -> 'first') p
		WHERE f.run_id = $of_run AND f.object = '$object'");
}

# what was repaired is sound again
sql('REINDEX INDEX bad_index_pkey; REINDEX INDEX no_entry_pkey; DROP TABLE no_file, bad_heap');
($run, $state) = check('{"schemas": "public"}');
is($state, 'succeeded', 'repaired: the run succeeds');
is( sql(q(SELECT outcome || ' ' || problems || ' ' || (problems_at < last_verified)
		FROM pgmaint.corruption_checks WHERE relation = 'bad_index_pkey'::regclass)),
	'sound 0 true', '... and it is still known when it was damaged');

# bad checksums: two pages of a table, each of which keeps the server from
# reading it
sql("CREATE TABLE summed AS SELECT g AS id, repeat('z', 100) AS filler FROM generate_series(1, 2000) g");
$file{summed} = file_of('summed');
with_server_down(sub {
	unlink "$file{no_entry_pkey}.old", "$file{no_file_pkey}.gone";
	checksums('enable');
});
($run, $state) = check('{}');
is(sql("SELECT count(*) FROM pgmaint.findings WHERE run_id = $run AND check_id = 'checksums'"),
	'0', 'no checksum failures so far');
with_server_down(sub {
	damage($file{summed}, $_, 6000, 4, sub { ~$_[0] }) foreach (3, 7);
});
($run, $state) = check('{}');
is($state, 'failed', 'bad checksums: the run fails');
is(critical($run), 'public.summed', '... because of the one table');
is( sql("SELECT string_agg(p ->> 'block', ' ') FROM pgmaint.findings f, jsonb_array_elements(f.detail -> 'first') p
		WHERE f.run_id = $run AND f.object = 'public.summed'"),
	'3 7', '... and both pages of it');
like(finding($run, 'public.summed', 'message'), qr/2 problems, the first in block 3: invalid page in block 3/, '... as the server says');
SKIP:
{
	skip 'the statistics of this server lag behind', 2 if $node->pg_version < 15;
	like(finding($run, 'postgres', 'message'), qr/[1-9]\d* checksum failures in database postgres since .* server log/,
		'the checksum failures are new');
	sql('DROP TABLE summed');
	($run, $state) = check('{}');
	is("$state " . sql("SELECT count(*) FROM pgmaint.findings WHERE run_id = $run AND check_id = 'checksums'"),
		'succeeded 0', '... and in the next run, they are new no more');
}

# Other people's code in an index has the rights of the table's owner.
sql(q(CREATE ROLE alice; CREATE SCHEMA alice AUTHORIZATION alice; GRANT CREATE ON DATABASE postgres TO alice;
	CREATE TABLE alice.witness (who text);
	CREATE FUNCTION alice.watched(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN i; END $$;
	CREATE TABLE alice.watched (id int);
	INSERT INTO alice.watched VALUES (1), (2);
	CREATE INDEX watched_index ON alice.watched (alice.watched(id));
	ALTER TABLE alice.watched OWNER TO alice;
	ALTER FUNCTION alice.watched(int) OWNER TO alice;
	CREATE OR REPLACE FUNCTION alice.watched(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		IF current_user <> 'alice' OR pg_catalog.current_setting('search_path') <> 'pg_catalog, pg_temp' THEN
			RAISE EXCEPTION 'executed as %', current_user;
		END IF;
		BEGIN
			PERFORM pg_catalog.set_config('role', 'none', true);
			RETURN -1;
		EXCEPTION WHEN insufficient_privilege THEN
			RETURN i;
		END;
	END $$));
($run, $state) = check('{"tables": "alice.watched"}');
is($state, 'succeeded', 'the functions of an index run as the owner of its table, and cannot leave that role')
  or diag(sql("SELECT error FROM pgmaint.tasks WHERE run_id = $run AND state = 'failed'"));
($run, $state) = check('{"tables": "alice.watched", "ignore_window": true}');
is("$state " . sql("SELECT count(*) FROM pgmaint.tasks WHERE run_id = $run AND command ~ 'bt_index_parent_check'"),
	'succeeded 1', '... with bt_index_parent_check, too');
is(sql(q(SELECT checked FROM pgmaint.corruption_checks WHERE relation = 'alice.watched_index'::regclass)),
	'index with parent', '... which is on record');

# Where that would not come to its end in the window, the check that blocks
# no other task takes its place.
sql("INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, disruptive, bytes_before, relation, started_at, finished_at)
	SELECT run_id, step, action, target, command, reason, state, disruptive, bytes_before, relation, now() - interval '5 hours', now() - interval '2 hours'
	FROM pgmaint.tasks, generate_series(1, 9) WHERE run_id = $run AND command ~ 'bt_index_parent_check'");
sql(q(SELECT pgmaint.add_window('now', '{0, 1, 2, 3, 4, 5, 6}', (now() AT TIME ZONE 'UTC' - interval '1 minute')::time, '40 minutes', 'UTC')));
($run, $state) = check('{"tables": "alice.watched"}');
like(sql("SELECT concat_ws(' ', state, command) FROM pgmaint.tasks WHERE run_id = $run AND target = 'alice.watched_index'"),
	qr/^succeeded .*bt_index_check/, 'a parent check that does not fit into the window: the gentle one is made');
sql("DELETE FROM pgmaint.tasks WHERE finished_at - started_at = interval '3 hours'");
($run, $state) = check('{"tables": "alice.watched"}');
like(sql("SELECT concat_ws(' ', state, command) FROM pgmaint.tasks WHERE run_id = $run AND target = 'alice.watched_index'"),
	qr/^succeeded .*bt_index_parent_check/, '... and the other one where it fits');
sql(q(SELECT pgmaint.drop_window('now')));

# An ERROR that says nothing of damage is none.
sql(q(CREATE OR REPLACE FUNCTION alice.watched(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE
	AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$));
($run, $state) = check('{"tables": "alice.watched"}');
is($state, 'failed', 'an index that cannot be checked');
is(critical($run), 'none', '... is not reported as damaged');
is(sql("SELECT error FROM pgmaint.tasks WHERE run_id = $run AND state = 'failed'"), 'not today; CONTEXT: function alice.watched(integer)', '... but with its error');

# SIGKILL in the middle of amcheck: the next run knows, and begins with others
sql(q(CREATE OR REPLACE FUNCTION alice.watched(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE
	AS $$ BEGIN PERFORM pg_catalog.pg_sleep(600); RETURN i; END $$));
sql(q(UPDATE pgmaint_internal.corruption_results SET begun_at = 'epoch' WHERE relation = 'alice.watched_index'::regclass));
sql(q(SELECT pgmaint.run_action('check_corruption', '{"tables": "alice.witness"}')));
wait_for_end($node, last_run($node));
$run = sql(q(SET pgmaint.max_workers = 1; SELECT pgmaint.run_action('check_corruption', '{"schemas": "alice"}')));
$node->poll_query_until('postgres',
	q(SELECT count(*) = 1 FROM pgmaint.progress p JOIN pg_stat_activity a USING (pid)
		WHERE p.target = 'alice.watched_index' AND p.phase = 'checking' AND a.wait_event = 'PgSleep'))
  or die 'the index is not being checked';
my $victim = sql(q(SELECT pid FROM pgmaint.progress WHERE target = 'alice.watched_index'));
is( sql("SELECT string_agg(DISTINCT mode, ' ') FROM pg_locks WHERE pid = $victim
		AND relation IN ('alice.watched'::regclass, 'alice.watched_index'::regclass)"),
	'AccessShareLock', 'the check holds no lock that writers would feel');
my $offset = -s $node->logfile;
kill 'KILL', $victim;
wait_for_restart($node, $offset);
sql('SELECT pgmaint.tick()');
is(wait_for_end($node, $run), 'interrupted', 'SIGKILL: the run was interrupted');
is( sql("SELECT string_agg(target || ' ' || state, ' ' ORDER BY task_id) FROM pgmaint.tasks
		WHERE run_id = $run AND target LIKE 'alice.%'"),
	'alice.watched_index interrupted alice.watched cancelled alice.witness cancelled',
	'... with the task that was first, and the others had not begun');
my $plan = sql(q(SELECT string_agg(target, ' ') FROM pgmaint.dry_run('monthly', '{"check_corruption": {"schemas": "alice"}}')
	WHERE action = 'check_corruption' AND command ~ 'index_check|verify_heapam'));
like($plan, qr/alice\.watched .*alice\.witness .*alice\.watched_index$/, 'what was being checked comes last in the next run');
sql(q(CREATE OR REPLACE FUNCTION alice.watched(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE
	AS $$ BEGIN RETURN i; END $$));
($run, $state) = check('{"schemas": "alice"}');
is($state, 'succeeded', 'the next run goes through');
like(sql("SELECT reason FROM pgmaint.tasks WHERE run_id = $run AND target = 'alice.watched_index'"),
	qr/was not finished/, '... and says why it checks the index');
no_processes_left($node, 'no process is left');

done_testing();
