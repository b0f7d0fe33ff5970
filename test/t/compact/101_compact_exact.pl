# A compaction loses no row, doubles none, and shows none twice.
#
# Sessions at each isolation level write and read the whole time, while one
# compaction after the other moves the rows that they work on.  Writers leave
# sums and counts as they are, and note the digest of each row that they leave,
# in the same transaction; readers check sums, counts and digests in every
# snapshot, by sequential scans and by indexes.  In the end each row is as its
# last writer left it, each index has all of them, and no trigger or rule was
# executed but for writers.
#
# COMPACT_SECONDS=number sets for how long, 15 seconds by default.
#
# long: one server is enough
# slow: begins first

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use IPC::Run;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{COMPACT_SECONDS} || 15;
my $began = time;
my $scratch = PostgreSQL::Test::Utils::tempdir();
my $node = start_server('exact', q(deadlock_timeout = '200ms'), 'log_statement = none', 'log_min_error_statement = panic', 'max_wal_size = 4GB',
	'shared_buffers = 64MB', 'synchronous_commit = off', 'checkpoint_timeout = 30s');

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# what writers do, of whom triggers and rules may know
sub write_sql
{
	return sql("SET test.session = 'writer'; $_[0]");
}

my $accounts = 4000;
my $branches = 50;
my $pairs = 10;
my @tables = qw(accounts entries branches duty);

sql(<<'EOS');
CREATE EXTENSION amcheck;
-- base rows have IDs from 1 on, bulk rows have IDs of this sequence
CREATE SEQUENCE ids START 1000000;

CREATE TABLE branches (id int PRIMARY KEY, touched int NOT NULL DEFAULT 0, bulk boolean NOT NULL DEFAULT false, filler text DEFAULT repeat('b', 300));
CREATE TABLE branch_log (branch int);
CREATE TABLE accounts (
	id int PRIMARY KEY,
	gone text DEFAULT 'dropped',
	branch int NOT NULL REFERENCES branches,
	balance bigint NOT NULL,
	bulk boolean NOT NULL DEFAULT false,
	active boolean NOT NULL DEFAULT true,
	code text NOT NULL DEFAULT md5(random()::text),
	tags int[],
	seq int NOT NULL DEFAULT nextval('ids') UNIQUE DEFERRABLE INITIALLY DEFERRED,
	span int4range,
	note text,
	twice bigint GENERATED ALWAYS AS (balance * 2) STORED,
	filler text DEFAULT repeat('a', 200),
	EXCLUDE USING gist (span WITH &&)
) WITH (fillfactor = 90);
ALTER TABLE accounts ALTER note SET STORAGE EXTERNAL;
CREATE TABLE entries (id bigserial PRIMARY KEY, account int NOT NULL REFERENCES accounts ON DELETE CASCADE, amount int NOT NULL, filler text DEFAULT repeat('e', 150));
CREATE TABLE duty (pair int, side int, on_duty boolean NOT NULL DEFAULT true, filler text DEFAULT repeat('d', 500), PRIMARY KEY (pair, side));
CREATE TABLE written (id int PRIMARY KEY, digest text NOT NULL, versions int NOT NULL DEFAULT 0) WITH (fillfactor = 50);
CREATE TABLE fired (kind text, session text);
CREATE TABLE sums (accounts int, branches int, balance bigint, amount bigint);

-- some rows have the columns of before, and some those of after
INSERT INTO branches (id) SELECT generate_series(1, 50);
INSERT INTO accounts (id, branch, balance, tags, span) SELECT g, 1 + g % 50, 1000, ARRAY[g], int4range(g, g + 1) FROM generate_series(1, 2000) g;
ALTER TABLE accounts DROP gone, ADD extra int DEFAULT 7;
INSERT INTO accounts (id, branch, balance, tags, span) SELECT g, 1 + g % 50, 1000, ARRAY[g], int4range(g, g + 1) FROM generate_series(2001, 4000) g;
ALTER TABLE accounts ADD late text DEFAULT 'late', ADD nothing int;
INSERT INTO entries (account, amount) SELECT 1 + g % 4000, g FROM generate_series(1, 8000) g;
INSERT INTO duty (pair, side) SELECT p, s FROM generate_series(1, 10) p, generate_series(1, 2) s;
CREATE INDEX ON accounts (branch);
CREATE INDEX ON accounts (id, branch) WHERE active;
CREATE INDEX ON accounts (lower(code));
CREATE INDEX ON accounts USING hash (code);
CREATE INDEX ON accounts USING gin (tags);
CREATE INDEX ON entries (account);
INSERT INTO written SELECT id, md5(a::text) FROM accounts a;
INSERT INTO sums SELECT 4000, 50, (SELECT sum(balance) FROM accounts), (SELECT sum(amount) FROM entries);

CREATE FUNCTION note_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	session text := coalesce(current_setting('test.session', true), '');
	bulk boolean := false;
BEGIN
	IF TG_LEVEL = 'ROW' THEN
		bulk := CASE TG_OP WHEN 'DELETE' THEN OLD.bulk ELSE NEW.bulk END;
	END IF;
	-- of what writers do, row by row, one trigger counts
	IF session <> 'writer' OR (TG_NAME = 'counted' AND NOT bulk) THEN
		INSERT INTO fired VALUES (TG_NAME, session);
	END IF;
	RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION note_trigger();
CREATE TRIGGER before BEFORE INSERT OR UPDATE OR DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION note_trigger();
CREATE TRIGGER always AFTER UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION note_trigger();
ALTER TABLE accounts ENABLE ALWAYS TRIGGER always;
CREATE TRIGGER statement AFTER INSERT OR UPDATE OR DELETE ON accounts FOR EACH STATEMENT EXECUTE FUNCTION note_trigger();
CREATE TRIGGER statement_before BEFORE INSERT OR UPDATE OR DELETE ON accounts FOR EACH STATEMENT EXECUTE FUNCTION note_trigger();
ALTER TABLE accounts ENABLE ALWAYS TRIGGER statement_before;
CREATE TRIGGER emptied BEFORE TRUNCATE ON accounts FOR EACH STATEMENT EXECUTE FUNCTION note_trigger();
CREATE TRIGGER copied AFTER UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION note_trigger();
ALTER TABLE accounts ENABLE REPLICA TRIGGER copied;
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT OR UPDATE ON accounts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_trigger();
CREATE RULE ruled AS ON UPDATE TO branches DO ALSO INSERT INTO fired VALUES ('ruled', coalesce(current_setting('test.session', true), ''));

CREATE FUNCTION note_row(row_id int, row_digest text, changes int DEFAULT 1) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO written AS w VALUES (row_id, row_digest, changes)
	ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, versions = w.versions + excluded.versions;
END $$;

-- A row that another session replaces is missing for a moment to a statement that
-- is READ COMMITTED, and to no other.
CREATE FUNCTION note_missing(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'lost: %', what;
	END IF;
END $$;

CREATE FUNCTION transfer(a int, b int, amount int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	changed record;
BEGIN
	FOR i IN 1 .. 2 LOOP
		UPDATE accounts x SET balance = balance + CASE i WHEN 1 THEN -amount ELSE amount END
		WHERE id = CASE i WHEN 1 THEN a ELSE b END AND a <> b
		RETURNING id, md5(x::text) AS digest INTO STRICT changed;
		PERFORM note_row(changed.id, changed.digest);
	END LOOP;
EXCEPTION WHEN no_data_found THEN
	IF a <> b THEN
		PERFORM note_missing(format('account %s or %s', a, b));
	END IF;
END $$;

-- indexed columns, a long value, NULLs and a foreign key
CREATE FUNCTION rewrite(k int, to_branch int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	changed record;
	number int := nextval('ids');
BEGIN
	UPDATE accounts x SET code = md5(random()::text), tags = ARRAY[k, number], span = int4range(number, number + 1), branch = to_branch,
		active = number % 3 <> 0, extra = nullif(number % 5, 0),
		note = CASE number % 3 WHEN 1 THEN (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 100 + number % 50)) WHEN 2 THEN 'short' END
	WHERE id = k RETURNING id, md5(x::text) AS digest INTO changed;
	IF changed.id IS NULL THEN
		PERFORM note_missing(format('account %s', k));
	ELSE
		PERFORM note_row(k, changed.digest);
	END IF;
END $$;

-- two rows have the same number for a while, which a deferred constraint allows
CREATE FUNCTION swap_numbers(a int, b int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	numbers int[];
	changed record;
BEGIN
	numbers := ARRAY(SELECT seq FROM accounts WHERE id IN (a, b) ORDER BY id FOR UPDATE);
	IF cardinality(numbers) < 2 THEN
		RETURN;
	END IF;
	FOR i IN 1 .. 2 LOOP
		UPDATE accounts x SET seq = numbers[3 - i] WHERE id = CASE i WHEN 1 THEN least(a, b) ELSE greatest(a, b) END
		RETURNING id, md5(x::text) AS digest INTO STRICT changed;
		PERFORM note_row(changed.id, changed.digest);
	END LOOP;
END $$;

-- deletes an account, with its entries, and inserts it again
CREATE FUNCTION replace_account(k int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	amounts int[];
	old accounts;
	row_digest text;
BEGIN
	PERFORM FROM accounts WHERE id = k FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM note_missing(format('account %s', k));
		RETURN;
	END IF;
	amounts := ARRAY(SELECT amount FROM entries WHERE account = k FOR UPDATE);
	IF cardinality(amounts) <> 2 THEN
		RAISE EXCEPTION 'lost or doubled: account % has % entries', k, cardinality(amounts);
	END IF;
	DELETE FROM accounts WHERE id = k RETURNING * INTO STRICT old;
	INSERT INTO accounts AS x (id, branch, balance, active, code, tags, seq, span, note, extra)
	VALUES (k, old.branch, old.balance, old.active, old.code, old.tags, old.seq, old.span, old.note, old.extra)
	RETURNING md5(x::text) INTO STRICT row_digest;
	INSERT INTO entries (account, amount) SELECT k, a FROM unnest(amounts) a;
	PERFORM note_row(k, row_digest, 2);
END $$;

-- an entry each of two accounts comes to the other
CREATE FUNCTION swap_entries(a int, b int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	first bigint;
	second bigint;
BEGIN
	PERFORM FROM accounts WHERE id IN (a, b) ORDER BY id FOR KEY SHARE;
	SELECT id INTO first FROM entries WHERE account = a ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED;
	SELECT id INTO second FROM entries WHERE account = b ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED;
	IF a <> b AND first IS NOT NULL AND second IS NOT NULL THEN
		UPDATE entries SET account = CASE id WHEN first THEN b ELSE a END WHERE id IN (first, second);
	END IF;
END $$;

CREATE FUNCTION add_bulk(rows int) RETURNS void LANGUAGE sql AS $$
	WITH new AS (INSERT INTO accounts AS x (id, branch, balance, bulk, tags, seq, span, note, filler)
		SELECT n, 1 + n % 50, 0, true, ARRAY[n], n, int4range(n, n + 1), CASE WHEN n % 20 = 0 THEN repeat('n', 3000) END, repeat('A', 1200)
		FROM (SELECT nextval('ids')::int AS n FROM generate_series(1, rows)) g RETURNING id, md5(x::text) AS digest),
	noted AS (INSERT INTO written SELECT id, digest FROM new RETURNING id)
	INSERT INTO entries (account, amount, filler) SELECT id, 0, repeat('E', 1200) FROM noted;
	INSERT INTO branches (id, bulk, filler) SELECT nextval('ids'), true, repeat('B', 1200) FROM generate_series(1, rows);
	INSERT INTO duty (pair, side, filler) SELECT nextval('ids'), 1, repeat('D', 1200) FROM generate_series(1, rows);
$$;

-- all but some, which are moved
CREATE FUNCTION remove_bulk(rows int) RETURNS void LANGUAGE sql AS $$
	WITH old AS (DELETE FROM accounts WHERE id IN (SELECT id FROM accounts WHERE bulk AND (id % 4 <> 0 OR random() < 0.5) LIMIT rows FOR UPDATE SKIP LOCKED) RETURNING id)
	DELETE FROM written w USING old WHERE w.id = old.id;
	DELETE FROM branches WHERE id IN (SELECT id FROM branches WHERE bulk AND (id % 4 <> 0 OR random() < 0.5) LIMIT rows FOR UPDATE SKIP LOCKED);
	DELETE FROM duty WHERE pair IN (SELECT pair FROM duty WHERE pair >= 1000000 AND (pair % 4 <> 0 OR random() < 0.5) LIMIT rows FOR UPDATE SKIP LOCKED);
$$;

-- one behind so much of the table, in percent
CREATE FUNCTION account_behind(share int) RETURNS int LANGUAGE sql AS $$
	SELECT coalesce((SELECT id FROM accounts WHERE ctid >= format('(%s,0)', pg_relation_size('accounts') / 8192 * share / 100)::tid AND NOT bulk ORDER BY random() LIMIT 1), 1 + share)
$$;

CREATE FUNCTION force_scan(kind text) RETURNS void LANGUAGE sql AS $$
	SELECT set_config('enable_seqscan', (kind = 'seq')::text, true), set_config('enable_bitmapscan', (kind = 'bitmap')::text, true),
		set_config('enable_indexscan', (kind = 'index')::text, true), set_config('enable_indexonlyscan', (kind = 'index only')::text, true)
$$;

-- what holds in every snapshot; each statement has its own where it is READ COMMITTED
CREATE FUNCTION check_sums(kind text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	found record;
	expected sums;
BEGIN
	PERFORM force_scan(kind);
	SELECT * INTO expected FROM sums;
	EXECUTE 'SELECT count(*) AS rows, count(DISTINCT id) AS ids, sum(balance) AS balance, sum(twice) AS twice FROM accounts WHERE id BETWEEN 1 AND 999999' INTO found;
	IF (found.rows, found.ids, found.balance, found.twice) IS DISTINCT FROM (expected.accounts::bigint, expected.accounts::bigint, expected.balance::numeric, expected.balance * 2::numeric) THEN
		RAISE EXCEPTION 'lost or doubled, % scan: accounts %', kind, found;
	END IF;
	EXECUTE 'SELECT count(*) AS rows, count(DISTINCT account) AS accounts, sum(amount) AS amount FROM entries e WHERE account BETWEEN 1 AND 999999' INTO found;
	IF (found.rows, found.accounts, found.amount) IS DISTINCT FROM (2 * expected.accounts::bigint, expected.accounts::bigint, expected.amount) THEN
		RAISE EXCEPTION 'lost or doubled, % scan: entries %', kind, found;
	END IF;
	EXECUTE 'SELECT count(*) AS rows, count(DISTINCT id) AS ids FROM branches WHERE id BETWEEN 1 AND 999999' INTO found;
	IF (found.rows, found.ids) IS DISTINCT FROM (expected.branches::bigint, expected.branches::bigint) THEN
		RAISE EXCEPTION 'lost or doubled, % scan: branches %', kind, found;
	END IF;
	EXECUTE 'SELECT count(*) AS rows, count(DISTINCT pair) AS pairs, count(DISTINCT pair) FILTER (WHERE on_duty) AS on_duty FROM duty WHERE pair BETWEEN 1 AND 999999' INTO found;
	IF found.rows <> 20 OR found.pairs <> 10 OR found.on_duty <> 10 THEN
		RAISE EXCEPTION 'lost, doubled or skewed, % scan: duty %', kind, found;
	END IF;
END $$;

CREATE FUNCTION check_account(k int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	found record;
BEGIN
	SELECT count(DISTINCT a.id) AS accounts, count(DISTINCT e.id) AS entries, count(*) AS rows, min(a.twice - 2 * a.balance) AS difference INTO found
	FROM accounts a JOIN entries e ON e.account = a.id WHERE a.id = k;
	IF found IS DISTINCT FROM (1::bigint, 2::bigint, 2::bigint, 0::bigint) THEN
		RAISE EXCEPTION 'lost or doubled: account %: %', k, found;
	END IF;
	SELECT count(*) AS rows, min(x.id) AS id INTO found FROM accounts a JOIN accounts x ON x.code = a.code WHERE a.id = k;
	IF found IS DISTINCT FROM (1::bigint, k) THEN
		RAISE EXCEPTION 'lost or doubled: code of account %: %', k, found;
	END IF;
	SELECT count(*) AS rows, min(x.id) AS id INTO found FROM accounts a JOIN accounts x ON lower(x.code) = lower(a.code) WHERE a.id = k;
	IF found IS DISTINCT FROM (1::bigint, k) THEN
		RAISE EXCEPTION 'lost or doubled: lower code of account %: %', k, found;
	END IF;
	SELECT count(*) AS rows, min(x.id) AS id INTO found FROM accounts a JOIN accounts x ON x.span && a.span WHERE a.id = k;
	IF found IS DISTINCT FROM (1::bigint, k) THEN
		RAISE EXCEPTION 'lost or doubled: span of account %: %', k, found;
	END IF;
END $$;

-- one snapshot has the same rows whenever and however they are read
CREATE FUNCTION check_snapshot() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	digests text[] := '{}';
	digest text;
	kind text;
BEGIN
	FOREACH kind IN ARRAY ARRAY['seq', 'index', 'bitmap', 'seq'] LOOP
		PERFORM force_scan(kind);
		EXECUTE 'SELECT concat_ws('' '', (SELECT concat(count(*), '' '', sum(hashtextextended(a::text, 0))) FROM accounts a WHERE id > 0),
			(SELECT concat(count(*), '' '', sum(hashtextextended(e::text, 0))) FROM entries e WHERE account > 0))' INTO digest;
		digests := digests || digest;
		IF digest <> digests[1] THEN
			RAISE EXCEPTION 'lost or doubled: one snapshot has %', digests;
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
EOS
sql('CREATE INDEX built ON accounts (balance)');
sql('VACUUM ANALYZE');

write_sql('SELECT add_bulk(5000)');
my $largest = sql(q(SELECT pg_relation_size('accounts')));
note sprintf 'tables were made in %.1f s', time - $began;

#
# Sessions
#

# What sessions do, as scripts of pgbench.
my %scripts = (
	transfer => "SELECT transfer(:a, :b, :n);",
	rewrite => "SELECT rewrite(:a, :branch);",
	swap_numbers => "SELECT swap_numbers(:a, :b);",
	replace => "SELECT replace_account(:a);",
	swap_entries => "SELECT swap_entries(:a, :b);",
	touch => "BEGIN;\nUPDATE branches SET touched = touched + 1 WHERE id = :branch;\nINSERT INTO branch_log VALUES (:branch);\nEND;",
	lock => "BEGIN;\nSELECT balance FROM accounts WHERE id BETWEEN :a AND :a + 5 ORDER BY id FOR UPDATE;\n\\sleep 5 ms\nSELECT transfer(:a, :a % 4000 + 1, :n);\nEND;",
	lock_keys => "BEGIN;\nSELECT id FROM accounts WHERE id BETWEEN :a AND :a + 30 FOR KEY SHARE;\n\\sleep 5 ms\nSELECT check_account(:a);\nEND;",
	subtransactions => "BEGIN;\nSELECT transfer(:a, :b, :n);\nSAVEPOINT s;\nSELECT rewrite(:b, :branch);\nROLLBACK TO s;\nSELECT transfer(:b, :a, :n);\nEND;",
	rollback => "BEGIN;\nSELECT replace_account(:a);\nSELECT rewrite(:b, :branch);\n\\sleep 2 ms\nROLLBACK;",
	bulk => "SELECT add_bulk(30);\n\\sleep 10 ms\nSELECT remove_bulk(40);",
	duty => "BEGIN;\nSELECT count(*) AS n FROM duty WHERE pair = :pair AND on_duty \\gset\n\\sleep 2 ms\n\\if :n = 2\nUPDATE duty SET on_duty = false WHERE pair = :pair AND side = :side;\n\\else\nUPDATE duty SET on_duty = true WHERE pair = :pair AND NOT on_duty;\n\\endif\nEND;",
	# rows that are likely to be moved, whose places the snapshot has had for a while
	moved => "BEGIN;\nSELECT account_behind(:half) AS a, account_behind(:half) AS b \\gset\n\\sleep 15 ms\nSELECT transfer(:a, :b, :n);\n\\sleep 2 ms\nSELECT rewrite(:b, :branch);\nEND;",
	moved_locks => "BEGIN;\nSELECT account_behind(:half) AS a, account_behind(:half) AS b \\gset\n\\sleep 10 ms\n"
	  . "SELECT id FROM accounts WHERE id IN (:a, :b) ORDER BY id FOR UPDATE;\nSELECT id FROM entries WHERE account = :a FOR SHARE;\n\\sleep 5 ms\nSELECT replace_account(:b);\nEND;",
	one => "SELECT check_account(:a);",
	seq => "SELECT check_sums('seq');",
	index => "SELECT check_sums('index');",
	index_only => "SELECT check_sums('index only');",
	bitmap => "SELECT check_sums('bitmap');",
	snapshot => "SELECT check_snapshot();");

foreach my $name (keys %scripts)
{
	append_to_file("$scratch/$name.sql",
		"\\set a random(1, $accounts)\n\\set b random(1, $accounts)\n\\set n random(-100, 100)\n\\set branch random(1, $branches)\n\\set pair random(1, $pairs)\n\\set side random(1, 2)\n\\set half random(50, 95)\n$scripts{$name}\n");
}

my @sessions;

# Sessions that do these, each so often as its weight says, until the time is up.
sub start_sessions
{
	my ($name, $isolation, $clients, $rate, %weights) = @_;
	my $output = "$scratch/$name.out";

	push @sessions,
	  {
		name => $name,
		output => $output,
		process => IPC::Run::start(
			[ 'setpriv', '--pdeathsig', 'KILL', 'env', "PGOPTIONS=-c test.session=writer -c default_transaction_isolation=$isolation",
				'pgbench', '-n', '-M', 'prepared', '-c', $clients, '-R', $rate, '-T', $seconds, '--max-tries=0', '--failures-detailed',
				map({ ('-f', "$scratch/$_.sql\@$weights{$_}") } sort keys %weights), $node->connstr('postgres') ],
			'<', \undef, '>', $output, '2>', "$output.err") };
}

my @writes = (transfer => 20, rewrite => 8, swap_numbers => 4, replace => 4, swap_entries => 4, touch => 3, lock => 4, lock_keys => 3, subtransactions => 3, rollback => 2, one => 5, moved => 10, moved_locks => 5);

$began = time;
start_sessions('writers', 'read\ committed', 3, 150, @writes, bulk => 1);
start_sessions('repeatable', 'repeatable\ read', 2, 80, @writes);
start_sessions('serializable', 'serializable', 4, 100, @writes, duty => 60);
start_sessions('readers', 'read\ committed', 1, 20, one => 20, seq => 2, index => 2, index_only => 1, bitmap => 1);
start_sessions('snapshots', 'repeatable\ read', 1, 4, snapshot => 3, seq => 1, index => 1, one => 2);

#
# Compactions, one after the other
#
sub compact
{
	my $run = sql(q(SELECT pgmaint.run_action('compact', '{"tables": ["accounts", "entries", "branches", "duty"], "min_gain": "1 MB", "bloat_threshold": 0.1, "reorder": true}')));

	wait_for_end($node, $run);
	return $run;
}

my $rounds = 0;

while ($rounds == 0 || time - $began < $seconds)
{
	my $time = time;

	write_sql('SELECT add_bulk(1500)');
	write_sql('SELECT remove_bulk(100000)');
	my $bulk = time;
	# an index that is built meanwhile has all rows, too
	my $builder = $rounds % 3 == 0
	  && IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'DROP INDEX built', '-c', 'CREATE INDEX CONCURRENTLY built ON accounts (balance)' ],
		'<', \undef, '>', "$scratch/built", '2>&1');
	compact();
	$builder->finish if $builder;
	note sprintf 'round %d: bulk %.1f s, compaction %.1f s', ++$rounds, $bulk - $time, time - $bulk;
}

foreach my $session (@sessions)
{
	my $done = $session->{process}->finish;

	ok($done, "$session->{name}: no check failed") or diag slurp_file("$session->{output}.err");
	note "$session->{name}: ", join ', ', slurp_file($session->{output}) =~ /^((?:number of transactions (?:act|retr|above)|total number of retries|number of failed).*)$/mg;
}

#
# What came of it
#
my $last = compact();
my $tasks = q(FROM pgmaint.tasks WHERE action = 'compact');

note sql("SELECT target, state, count(*), sum((result ->> 'rows_moved')::bigint), sum((result ->> 'rounds')::bigint), error $tasks GROUP BY target, state, error ORDER BY 1, 2, 3");
note sql("SELECT message FROM pgmaint.findings WHERE message ~ 'could not be moved|stopped' LIMIT 20");
is(sql("SELECT string_agg(DISTINCT concat_ws(' ', target, state, sqlstate, error), E'\\n') $tasks AND state NOT IN ('succeeded', 'skipped')"), '', 'no compaction failed');
cmp_ok(sql("SELECT sum((result ->> 'rows_moved')::bigint) $tasks AND target = 'public.$_'"), '>', 0, "rows of $_ were moved") foreach @tables;
is(sql("SELECT coalesce(sum((result ->> 'rows_left')::bigint), 0) $tasks"), 0, 'each row could be moved');
is(sql("SELECT count(*) FROM pgmaint.findings WHERE check_id = 'compact' AND severity = 'warning' AND message ~ 'could not be moved'"), 0, '... and none was reported');

is(sql(q(SELECT count(*) FILTER (WHERE w.id IS NULL) || ' unknown, ' || count(*) FILTER (WHERE a.id IS NULL) || ' lost, ' || count(*) - count(DISTINCT coalesce(a.id, w.id)) || ' doubled, '
	|| count(*) FILTER (WHERE md5(a::text) <> w.digest) || ' not as they were left' FROM accounts a FULL JOIN written w USING (id))),
	'0 unknown, 0 lost, 0 doubled, 0 not as they were left', 'accounts are as their last writers left them');
is(sql(q(SELECT count(*) FROM branches b FULL JOIN (SELECT branch, count(*) AS n FROM branch_log GROUP BY branch) l ON l.branch = b.id
	WHERE NOT coalesce(b.bulk, false) AND coalesce(b.touched, 0) <> coalesce(l.n, 0))), 0, 'branches were touched as often as they say');
is(sql('SELECT count(*) FROM entries e LEFT JOIN accounts a ON a.id = e.account WHERE a.id IS NULL'), 0, 'each entry has its account');
is(sql('SELECT count(*) FROM accounts a LEFT JOIN branches b ON b.id = a.branch WHERE b.id IS NULL'), 0, 'each account has its branch');
foreach my $kind ('seq', 'index', 'index only', 'bitmap')
{
	is(sql("SELECT check_sums('$kind')"), '', "sums and counts, $kind scan");
}
is(sql('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT check_snapshot(); COMMIT'), '', 'one snapshot, several scans');

# each index finds each row
foreach my $condition ('a.code = x.code', 'lower(a.code) = lower(x.code)', 'a.tags @> ARRAY[x.id] AND a.id = x.id', 'a.span && x.span', 'a.seq = x.seq', 'a.branch = x.branch AND a.active AND a.id = x.id')
{
	is(sql("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
			SELECT count(*) = (SELECT count(*) FROM accounts WHERE '$condition' !~ 'active' OR active) FROM (SELECT * FROM accounts OFFSET 0) x JOIN accounts a ON $condition WHERE a.id = x.id"),
		't', "found by its index: $condition");
}

# amcheck
foreach my $table (@tables, 'written')
{
	is(sql("SELECT blkno, offnum, msg FROM verify_heapam('$table', check_toast => true)"), '', "verify_heapam: $table");
}
is(sql(q(SELECT count(bt_index_parent_check(i.indexrelid, true, true)) > 8 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
	WHERE m.amname = 'btree' AND i.indrelid = ANY ('{accounts, entries, branches, duty, written}'::regclass[]) AND i.indisvalid)), 't', 'bt_index_parent_check(heapallindexed)');
is(sql(q(SELECT count(*) FROM pg_index i WHERE i.indrelid = 'accounts'::regclass AND NOT i.indisvalid)) . slurp_file("$scratch/built"), '0', 'each index is valid');

# triggers and rules
is(sql(q(SELECT string_agg(DISTINCT kind || ' ' || session, ', ') FROM fired WHERE session <> 'writer')), '', 'no trigger and no rule was executed for a move');
is(sql(q(SELECT (SELECT count(*) FROM fired WHERE kind = 'counted') - (SELECT sum(versions) FROM written))), 0, 'the row trigger was executed once for each change of a writer');
is(sql(q(SELECT (SELECT count(*) FROM fired WHERE kind = 'ruled') - (SELECT count(*) FROM branch_log))), 0, 'and the rule');
cmp_ok(sql('SELECT count(*) FROM fired'), '>', 100, '... which happened');
is(sql(q(BEGIN; UPDATE accounts SET balance = balance WHERE id = 1; UPDATE branches SET touched = touched WHERE id = 1; SET CONSTRAINTS ALL IMMEDIATE;
	SELECT string_agg(DISTINCT kind, ', ' ORDER BY kind) FROM fired WHERE session <> 'writer'; ROLLBACK)),
	'always, before, counted, deferred, ruled, statement, statement_before', '... and another session would have been noticed');

is(sql('SELECT count(*) FROM pgmaint_internal.hidden_space'), 0, 'no free space is hidden');
foreach my $table (@tables)
{
	my ($pages, $needed) = split /\|/, sql("CREATE TEMPORARY TABLE fresh (LIKE $table INCLUDING STORAGE) WITH (fillfactor = 90);
		INSERT INTO fresh SELECT * FROM $table; SELECT pg_relation_size('$table') / 8192, pg_relation_size('fresh') / 8192")
	  if $table ne 'accounts';
	($pages, $needed) = split /\|/, sql(q(CREATE TEMPORARY TABLE fresh WITH (fillfactor = 90) AS SELECT * FROM accounts; ALTER TABLE fresh ALTER note SET STORAGE EXTERNAL;
		CREATE TEMPORARY TABLE copy (LIKE fresh INCLUDING STORAGE) WITH (fillfactor = 90); INSERT INTO copy SELECT * FROM fresh;
		SELECT pg_relation_size('accounts') / 8192, pg_relation_size('copy') / 8192))
	  if $table eq 'accounts';
	cmp_ok($pages, '<=', 1.2 * $needed + 200, "$table: small");
}
cmp_ok(sql(q(SELECT pg_relation_size('accounts'))), '<', $largest, 'accounts: smaller than it was');
note "$rounds rounds";

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
