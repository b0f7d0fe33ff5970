# Tables whose rows must not be moved, now or at all, are left with the reason:
# old snapshots, publications and logical slots, multixacts.  Whatever
# is done to a table while its rows are moved ends the task, not the table.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('refusals', 'wal_level = logical', 'max_prepared_transactions = 2', 'pgmaint.lock_retries = 0', 'pgmaint.max_workers = 3', 'autovacuum_multixact_freeze_max_age = 10000');
my $silent = $node->safe_psql('postgres', 'SELECT current_setting($$server_version_num$$)::int >= 190000') eq 't';
my $run;

# A gate in the way of a compaction, which says with a lock that it is there; it
# opens when another session waits for a lock.
$node->safe_psql('postgres', <<'EOS');
CREATE EXTENSION amcheck;
CREATE FUNCTION gate(v int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF v = 3000 AND coalesce(current_query(), '') !~ '^ANALYZE' AND EXISTS (SELECT FROM pg_stat_activity WHERE pid = pg_backend_pid() AND backend_type LIKE 'pgmaint%') THEN
		PERFORM pg_advisory_xact_lock_shared(3000);
		LOOP
			PERFORM pg_sleep(0.02);
			EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted);
		END LOOP;
	END IF;
	RETURN v;
END
$$;
EOS

# A table of 3,000 rows, 3 of 4 of which are gone.
sub create_bloated
{
	my ($table, $more) = @_;

	$node->safe_psql('postgres', "DROP TABLE IF EXISTS $table CASCADE; CREATE " . ($more || '') . " TABLE $table (id int PRIMARY KEY, filler text DEFAULT repeat('x', 480))");
	fill($table);
	return;
}

sub fill
{
	my ($table) = @_;
	$node->safe_psql('postgres', "INSERT INTO $table (id) SELECT g FROM generate_series(1, 3000) g; DELETE FROM $table WHERE id % 4 <> 0");
	return;
}

sub start_compact
{
	my ($tables, $more, $settings) = @_;
	my $list = join ', ', map { qq("$_") } split / /, $tables;

	$run = $node->safe_psql('postgres',
		($settings || '') . "SELECT pgmaint.run_action('compact', '{\"tables\": [$list], \"min_gain\": \"512 kB\", \"bloat_threshold\": 0.1, \"reorder\": true" . ($more ? ", $more" : '') . "}')");
	return;
}

sub compact
{
	start_compact(@_);
	wait_for_end($node, $run);
	return;
}

sub at_gate
{
	$node->poll_query_until('postgres', q(SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 3000))) or die 'the compaction is not at the gate';
	return;
}

# Returns what came of the run: its tasks, and what it found.
sub outcome
{
	return $node->safe_psql('postgres',
		"SELECT concat_ws('|', (SELECT string_agg(concat_ws(' ', target, state, error, CASE WHEN state = 'succeeded' THEN bytes_after < 0.6 * bytes_before END), ', ' ORDER BY target) FROM pgmaint.tasks WHERE run_id = $run),
		(SELECT string_agg(message, ', ') FROM pgmaint.findings WHERE run_id = $run AND message !~ ' (was skipped|failed): '))");
}

sub is_complete
{
	my ($table, $name) = @_;

	is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT id), sum(id), sum(length(filler)) FROM ONLY $table"), '750|750|1126500|360000', "$name: all rows are there, once");
	is( $node->safe_psql('postgres', "SELECT count(bt_index_check(indexrelid, true)) > 0 FROM pg_index WHERE indrelid = '$table'::regclass AND indisvalid"),
		't', "$name: its indexes have all rows");
	return;
}

#
# Kinds of tables
#
create_bloated('logged');
create_bloated('unlogged_table', 'UNLOGGED');
create_bloated('parent');
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE half_full (id int PRIMARY KEY, filler text DEFAULT repeat('x', 480)) WITH (fillfactor = 50);
CREATE TABLE child (more int DEFAULT 1) INHERITS (parent);
INSERT INTO child (id) SELECT g FROM generate_series(10001, 10010) g;
CREATE TABLE parted (id int PRIMARY KEY, filler text DEFAULT repeat('x', 480)) PARTITION BY RANGE (id);
CREATE TABLE leaf PARTITION OF parted FOR VALUES FROM (0) TO (100000);
EOS
fill($_) foreach qw(half_full leaf);
my $child = $node->safe_psql('postgres', 'SELECT string_agg(concat(ctid, xmin), $$ $$) FROM child');
compact('logged unlogged_table parent half_full leaf');
is( outcome(), 'public.half_full succeeded t, public.leaf succeeded t, public.logged succeeded t, public.parent succeeded t, public.unlogged_table succeeded t',
	'logged and unlogged tables, parents, partitions, and tables with a fillfactor are compacted');
is_complete($_, $_) foreach qw(logged unlogged_table parent half_full leaf);
is($node->safe_psql('postgres', 'SELECT string_agg(concat(ctid, xmin), $$ $$) FROM child'), $child, 'no row of a child is moved');
my $pages = $node->safe_psql('postgres', q(SELECT pg_relation_size('half_full') / 8192));
$node->safe_psql('postgres', 'VACUUM FULL half_full');
my $full = $node->safe_psql('postgres', q(SELECT pg_relation_size('half_full') / 8192));
cmp_ok($pages, '<=', 1.5 * $full, 'few pages more than a rewrite needs');
cmp_ok($pages, '>=', 0.9 * $full, '... and none is fuller than its fillfactor');

#
# Old snapshots
#
create_bloated('logged');
my $session = $node->background_psql('postgres');
$session->query_safe(q(SET application_name = 'report of Mr. Old'));
my $pid = $session->query_safe('SELECT pg_backend_pid()');
my $files = "SELECT ctid FROM logged ORDER BY id";
my $before = $node->safe_psql('postgres', $files);
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
compact('logged');
like(outcome(), qr/^public\.logged skipped moving rows would be futile because of process $pid of role \w+ \(report of Mr\. Old\), idle in transaction, since [^|]*$/, 'an old snapshot: named');
is($node->safe_psql('postgres', $files), $before, '... and no row is moved');
is($node->safe_psql('postgres', "SELECT state FROM pgmaint.runs WHERE run_id = $run"), 'succeeded', '... which is no failure');
$session->query_safe('COMMIT');
$node->safe_psql('postgres', q(BEGIN; CREATE TABLE prepared (id int); PREPARE TRANSACTION 'of last week'));
compact('logged');
like(outcome(), qr/^public\.logged skipped moving rows would be futile because of prepared transaction "?of last week"? .*, since [^|]*$/, 'a prepared transaction: named');
$node->safe_psql('postgres', q(ROLLBACK PREPARED 'of last week'));

# rows that are moved while a snapshot comes: a later VACUUM cuts off the end
$node->safe_psql('postgres', 'CREATE INDEX gated ON logged (gate(id))');
start_compact('logged', undef, q(SET pgmaint.max_wait = '1s'; ));
at_gate();
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
$node->safe_psql('postgres', 'BEGIN; LOCK TABLE logged IN SHARE MODE; COMMIT');
wait_for_end($node, $run);
like(outcome(), qr/^public\.logged succeeded f\|rows of public\.logged were moved, but VACUUM cannot cut off the end of the table yet because of process $pid .*; a later VACUUM of the table will$/, 'a snapshot that came later: named');
$session->query_safe('COMMIT');
$node->safe_psql('postgres', 'VACUUM logged');
cmp_ok($node->safe_psql('postgres', q(SELECT pg_relation_size('logged'))), '<', 900000, '... and VACUUM gives the space back');
is_complete('logged', 'a snapshot that came later');

#
# What is done to a table while its rows are moved
#
foreach my $case (
	[ 'VACUUM FULL logged', qr/^public\.logged failed the table was dropped or rewritten while its rows were moved$/ ],
	[ 'TRUNCATE logged', qr/^public\.logged failed the table was dropped or rewritten while its rows were moved$/ ],
	[ 'DROP TABLE logged', qr/^public\.logged failed the table was dropped (?:or rewritten while its rows were moved|during the task)$/ ],
	[ 'ALTER TABLE logged ADD COLUMN more int', qr/^public\.logged succeeded t$/ ],
	[ 'DROP INDEX gated', qr/^public\.logged succeeded t$/ ])
{
	my ($command, $expected) = @$case;

	create_bloated('logged');
	$node->safe_psql('postgres', 'CREATE INDEX gated ON logged (gate(id))');
	start_compact('logged');
	at_gate();
	$node->safe_psql('postgres', $command);
	wait_for_end($node, $run);
	like(outcome(), $expected, "$command meanwhile: what came of it");
	is_complete('logged', "$command meanwhile") if $command !~ /TRUNCATE|DROP TABLE/;
}

# a second run of the same table waits for its turn
create_bloated('logged');
$node->safe_psql('postgres', 'CREATE INDEX gated ON logged (gate(id))');
start_compact('logged');
my $first = $run;
at_gate();
start_compact('logged');
is(run_state($node, $run), 'queued', 'a second run of the table is queued');
$node->safe_psql('postgres', 'BEGIN; LOCK TABLE logged IN SHARE MODE; COMMIT');
wait_for_end($node, $run);
is(tasks($node, $first), 'public.logged succeeded', 'the first one is done');
is(tasks($node, $run), 'none', '... and nothing is left for the second one');
is_complete('logged', 'two runs');

#
# Publications and logical slots
#
create_bloated('logged');
$node->safe_psql('postgres', 'CREATE PUBLICATION of_logged FOR TABLE logged');
compact('logged');
like(outcome(), $silent ? qr/^public\.logged succeeded t$/ : qr/^public\.logged is not compacted \(bloat: .*\): it is published: subscribers would be sent every row that is moved; option published allows that$/, 'a publication');
create_bloated('logged');
$node->safe_psql('postgres', 'ALTER PUBLICATION of_logged ADD TABLE logged; ALTER TABLE logged REPLICA IDENTITY NOTHING');
compact('logged', '"published": true');
like(outcome(), $silent ? qr/^public\.logged succeeded t$/ : qr/: it is published without a replica identity: subscribers could not find the rows$/, 'a publication without a replica identity');
create_bloated('logged');
$node->safe_psql('postgres', q(ALTER PUBLICATION of_logged ADD TABLE logged; SELECT pg_create_logical_replication_slot('decoder', 'test_decoding')));
compact('logged', '"published": true');
is(outcome(), 'public.logged succeeded t', 'option published: done');
is_complete('logged', 'option published');
my $changes = $node->safe_psql('postgres', q(SELECT count(*) FROM pg_logical_slot_get_changes('decoder', NULL, NULL) WHERE data ~ '^table public.logged: UPDATE'));
if ($silent) { is($changes, 0, '... and no row is decoded'); }
else { cmp_ok($changes, '>', 300, '... and rows that are moved are decoded'); }
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_logical_slot_get_changes('decoder', NULL, NULL))), 0, '... once');
$node->safe_psql('postgres', 'DROP PUBLICATION of_logged');
create_bloated('logged');
compact('logged');
like(outcome(), $silent ? qr/^public\.logged succeeded t$/ : qr/: logical replication slot decoder would decode every row that is moved; option published allows that$/, 'a logical slot');
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_logical_slot_get_changes('decoder', NULL, NULL) WHERE data ~ '^table public.logged: UPDATE')), 0, '... which decodes no row');
$node->safe_psql('postgres', q(SELECT pg_drop_replication_slot('decoder')));

# one that is created while rows are moved
create_bloated('logged');
$node->safe_psql('postgres', 'CREATE INDEX gated ON logged (gate(id))');
start_compact('logged');
at_gate();
$node->safe_psql('postgres', 'CREATE PUBLICATION late FOR TABLE logged');
wait_for_end($node, $run);
like(outcome(), $silent ? qr/^public\.logged succeeded t$/ : qr/^public\.logged failed table "logged" is published: subscribers would be sent each row that is moved/, 'a publication that is created meanwhile');
is_complete('logged', 'a publication that is created meanwhile');
$node->safe_psql('postgres', 'DROP PUBLICATION late');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgmaint_internal.hidden_space'), '0', 'no space stays hidden');

#
# Multixacts: with a table of their own that nothing can VACUUM, so that they stay
#
create_bloated('logged');
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE multi (id int PRIMARY KEY, n int);
INSERT INTO multi SELECT g, 0 FROM generate_series(1, 10100) g;
EOS
$session->query_safe('BEGIN; LOCK TABLE multi IN SHARE UPDATE EXCLUSIVE MODE');
$node->safe_psql('postgres', <<'EOS');
DO $$
BEGIN
	FOR i IN 1 .. 10100 LOOP
		PERFORM FROM multi WHERE id = i FOR KEY SHARE;
		BEGIN
			UPDATE multi SET n = 1 WHERE id = i;
		EXCEPTION WHEN OTHERS THEN
			RAISE;
		END;
	END LOOP;
END
$$;
EOS
compact('logged');
like(outcome(), qr/^public\.logged skipped \d+ multixacts are in use$/, 'many multixacts');
$session->query_safe('COMMIT');
$session->quit;

#
# A setting of old servers
#
SKIP:
{
	skip 'old_snapshot_threshold has gone', 1 if $node->pg_version >= 17;
	$node->append_conf('postgresql.conf', "old_snapshot_threshold = '1min'\nautovacuum_multixact_freeze_max_age = 400000000");
	$node->restart;
	compact('logged');
	like(outcome(), qr/^public\.logged is not compacted \(bloat: .*\): old_snapshot_threshold is set: the end of a table must not be cut off$/, 'old_snapshot_threshold');
}

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
