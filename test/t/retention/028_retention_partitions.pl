# Partitions that leave as a whole: until the transaction in which they are
# copied, detached and dropped commits, their rows are where they were, whatever
# locks others hold; and no session waits for that transaction longer than the
# lock timeout.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use FaultProxy;
use PgmaintS3;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('partitions', 'log_min_messages = info', q(timezone = 'UTC'));

my $folder = PostgreSQL::Test::Utils::tempdir();

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}
sql("CREATE SERVER archives FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder')");

# Begins a run of the action for a table, with these settings.
sub begin
{
	my ($table, $timeout, $retries) = @_;
	return sql("SET pgmaint.lock_timeout = '$timeout'; SET pgmaint.lock_retries = $retries;
		SELECT pgmaint.run_action('retention', '{\"tables\": \"$table\"}')");
}

sub retain
{
	my ($table, $expected) = @_;
	my $run = begin($table, '60s', 3);

	is(wait_for_end($node, $run), $expected || 'succeeded', "retention of $table") or diag run_error($node, $run);
	return $run;
}

sub errors
{
	my ($run) = @_;
	return sql("SELECT string_agg(error, '; ' ORDER BY task_id) FROM pgmaint.tasks WHERE run_id = $run AND error IS NOT NULL");
}

sub findings
{
	my ($run) = @_;
	return sql("SELECT string_agg(message, '; ' ORDER BY finding_id) FROM pgmaint.findings WHERE run_id = $run AND check_id = 'retention'");
}

sub archived
{
	my ($table) = @_;
	return sql("SELECT coalesce(string_agg(concat(partition, ' ', rows), ', ' ORDER BY partition, archive_id), 'none') FROM pgmaint.archives WHERE relation = 'public.$table'");
}

sub partitions
{
	my ($table) = @_;
	return sql("SELECT coalesce(string_agg(inhrelid::regclass || CASE WHEN inhdetachpending THEN ' pending' ELSE '' END, ', ' ORDER BY inhrelid::regclass::text), 'none')
		FROM pg_inherits WHERE inhparent = '$table'::regclass");
}

# Years of a table; 2020 has so many rows.
sub create
{
	my ($table, $rows, $more) = @_;
	$more ||= '';
	sql("CREATE TABLE $table (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at);
		CREATE TABLE ${table}_2020 PARTITION OF $table FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
		CREATE TABLE ${table}_now PARTITION OF $table FOR VALUES FROM ('2021-01-01') TO (MAXVALUE);
		CREATE INDEX ON $table (at);
		INSERT INTO $table SELECT g, '2020-06-01' FROM generate_series(1, $rows) g;
		INSERT INTO $table VALUES (0, now());
		SELECT pgmaint.add_retention('$table', 'at', '90 days', storage => 'archives'$more)");
}

# A worker of pgmaint has this lock on a table.
sub wait_for_lock
{
	my ($table, $mode) = @_;
	ok( $node->poll_query_until('postgres',
			"SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type = 'pgmaint task worker'
			AND l.granted AND l.relation = '$table'::regclass AND l.mode = '$mode')"),
		"$table is locked: $mode");
}

# Lets a session begin a statement that will wait.
sub send_statement
{
	my ($session, $statement) = @_;
	$session->query_until(qr/sent/, "\\echo sent\n$statement;\n");
}

#
# A row that is written when the partition has been archived
#
create('late', 100);
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; SELECT count(*) FROM ONLY late');
my $run = begin('late', '60s', 100);
ok( $node->poll_query_until('postgres',
		"SELECT count(*) = 2 FROM pgmaint.list_objects('archives') WHERE key LIKE '%/public.late_2020/%'"),
	'a partition is archived, and a session reads its table');
is(sql(q(SELECT count(*) FROM late WHERE at < '2021-01-01')), 100, '... its rows are to be seen');
my $writer = $node->background_psql('postgres');
$writer->query_safe(q(BEGIN; INSERT INTO late VALUES (101, '2020-06-02')));
pass('... a session may write to it, though the other still reads');
is(run_state($node, $run), 'running', '... and the run goes on');
$writer->query_safe('COMMIT');
$reader->query_safe('COMMIT');
is(wait_for_end($node, $run), 'succeeded', '... to its end') or diag run_error($node, $run);
is(archived('late'), 'public.late_2020 101', '... the row is archived with the others');
is(partitions('late'), 'late_now', '... and the partition is gone');
is(sql(q(SELECT attempt > 1 FROM pgmaint.tasks WHERE target = 'public.late_2020')), 't', '... in another attempt');
retain('late');
is(sql(q(SELECT count(*) FROM pgmaint.list_objects('archives') WHERE key LIKE '%/public.late_2020/%')), 2, '... of the first one no object is left');

#
# A row that is written while the partition is being archived
#
SKIP:
{
	skip PgmaintS3::missing(), 22 if PgmaintS3::missing();

	my $s3 = PgmaintS3->start;
	my $proxy = FaultProxy->start(upstream => $s3->address);

	$s3->create_bucket('bucket');
	sql($s3->through($proxy)->storage('stalling', 'bucket', stall_timeout => '600s', retries => 0));
	create('slow', 100);
	sql(q(UPDATE pgmaint.retention_policies SET storage = 'stalling' WHERE relation = 'slow'::regclass));
	$proxy->fault(kind => 'stall', when => 'before', method => 'PUT', path => 'public\.slow_2020', times => 0);
	$run = begin('slow', '2s', 0);
	wait_for_lock('slow_2020', 'ShareRowExclusiveLock');
	ok($proxy->wait_for_faults(1), 'a storage does not answer');
	is(sql(q(SELECT count(*) FROM slow WHERE at < '2021-01-01')), 100, '... the rows are to be seen');
	sql(q(INSERT INTO slow VALUES (101, '2020-06-02')));
	pass('... a session that writes to the partition gets its turn');
	is(wait_for_end($node, $run), 'succeeded', '... the run ends');
	is(tasks($node, $run), 'public.slow_2020 skipped', '... the partition was passed over');
	like(errors($run), qr/^lock on "slow_2020" was released because process \d+ waited for it$/, '... and the task says why');
	is(partitions('slow'), 'slow_2020, slow_now', '... the partition is attached');
	is(sql(q(SELECT count(*) FROM slow WHERE at < '2021-01-01')), 101, '... with all of its rows');

	# a session that changes the table itself, behind which all others wait
	$run = begin('slow', '2s', 0);
	ok($proxy->wait_for_faults(2), 'it does not answer again');
	sql(q(ALTER TABLE slow ADD COLUMN note text));
	pass('... a session that changes the table gets its turn');
	is(wait_for_end($node, $run), 'succeeded', '... the run ends');
	like(errors($run), qr/^lock on "slow" was released because process \d+ waited for it$/, '... and the task says why');
	is(partitions('slow'), 'slow_2020, slow_now', '... the partition is attached');
	$proxy->clear;

	# a storage that is down
	$proxy->down;
	retain('slow', 'failed');
	is(partitions('slow'), 'slow_2020, slow_now', 'a storage that is down: the partition is attached');
	is(sql(q(SELECT count(*) FROM slow WHERE at < '2021-01-01')), 101, '... and its rows are to be seen');
	$proxy->up;

	# one that goes down while it is written to
	$proxy->fault(kind => 'status', method => 'PUT', path => 'public\.slow_2020', status => 403, code => 'QuotaExceeded', times => 0);
	retain('slow', 'failed');
	is(partitions('slow'), 'slow_2020, slow_now', 'one that is full: the partition is attached');
	$proxy->clear;
	retain('slow');
	is(archived('slow'), 'public.slow_2020 101', '... later it leaves');
	is(partitions('slow'), 'slow_now', '... as a whole');
}

#
# A session that has the table locked, or the partition
#
create('busy', 10);
$reader->query_safe(q(BEGIN; SET LOCAL application_name = 'long report'; LOCK TABLE ONLY busy IN ACCESS SHARE MODE));
my $reader_pid = $reader->query_safe('SELECT pg_backend_pid()');
$run = begin('busy', '200ms', 2);
is(wait_for_end($node, $run), 'succeeded', 'a session reads the table for long');
is(tasks($node, $run), 'public.busy_2020 skipped', '... the partition is passed over');
like(errors($run), qr/^public\.busy_2020 could not be detached and dropped in 3 attempts: process $reader_pid of role \S+ \(long report\), idle in transaction, holds AccessShareLock on public\.busy since /,
	'... and the session is named');
is(sql("SELECT attempt FROM pgmaint.tasks WHERE run_id = $run"), 1, '... it was copied once');
is(partitions('busy'), 'busy_2020, busy_now', '... it is attached, and nothing is pending');
$reader->query_safe('COMMIT');
$reader->query_safe(q(BEGIN; UPDATE busy_2020 SET id = id WHERE id = 1));
$run = begin('busy', '200ms', 0);
is(wait_for_end($node, $run), 'succeeded', 'a session has written to the partition');
like(errors($run), qr/^no lock within 200 ms: process $reader_pid of role \S+ \(\S+\), idle in transaction, holds RowExclusiveLock on public\.busy_2020 since /,
	'... it is named');
$reader->query_safe('COMMIT');

# of a slice too, whose rows it has locked
sql(q(CREATE TABLE plain (id int, at timestamptz); CREATE INDEX ON plain (at); INSERT INTO plain VALUES (1, '2020-01-01'); SELECT pgmaint.add_retention('plain', 'at', '90 days', storage => 'archives')));
$reader->query_safe(q(BEGIN; UPDATE plain SET id = 2));
$run = begin('plain', '200ms', 0);
is(wait_for_end($node, $run), 'succeeded', 'a session has changed a row');
like(errors($run), qr/^no lock within 200 ms: process $reader_pid .* holds RowExclusiveLock on public\.plain/, '... it is named');
$reader->query_safe('ROLLBACK');

#
# A trigger or a foreign key relies on the deletion of each row
#
create('hold', 4);
sql(<<'EOS');
CREATE FUNCTION keep_odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF old.id % 2 = 1 THEN RETURN NULL; END IF; RETURN old; END $$;
CREATE TRIGGER legal_hold BEFORE DELETE ON hold FOR EACH ROW EXECUTE FUNCTION keep_odd();
EOS
$run = retain('hold');
is(sql(q(SELECT string_agg(id::text, ',' ORDER BY id) FROM hold)), '0,1,3', 'a trigger that keeps rows: they stay');
is(archived('hold'), 'public.hold_2020 2', '... the others are archived');
like(sql("SELECT reason FROM pgmaint.tasks WHERE run_id = $run"), qr/deleted individually because trigger "legal_hold" fires for each deleted row/, '... one by one, and the task says why');
sql('ALTER TABLE hold DISABLE TRIGGER legal_hold; DELETE FROM hold WHERE id IN (1, 3); ALTER TABLE hold ENABLE TRIGGER legal_hold');
$run = retain('hold');
is(partitions('hold'), 'hold_now', '... the partition leaves when it is empty');
is(archived('hold'), 'public.hold_2020 2', '... without another archive');
create('pass', 4, ', pass_triggers => true');
sql(q(CREATE TRIGGER legal_hold BEFORE DELETE ON pass FOR EACH ROW EXECUTE FUNCTION keep_odd()));
retain('pass');
is(archived('pass') . '; ' . partitions('pass'), 'public.pass_2020 4; pass_now', '... or as a whole, where the policy says so');

# a trigger for each statement: that of a partition fires, that of its table does not
create('each', 3);
sql(<<'EOS');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'under legal hold'; END $$;
CREATE TRIGGER legal_hold BEFORE DELETE ON each_2020 FOR EACH STATEMENT EXECUTE FUNCTION refuse();
EOS
$run = begin('each', '5s', 0);
is(wait_for_end($node, $run), 'failed', 'a trigger of a partition, for each statement, fires');
like(errors($run), qr/^under legal hold/, '... and keeps its rows');
is(sql('SELECT count(*) FROM each_2020'), 3, '... all of them');
sql('DROP TRIGGER legal_hold ON each_2020; CREATE TRIGGER legal_hold BEFORE DELETE ON each FOR EACH STATEMENT EXECUTE FUNCTION refuse()');
$run = retain('each');
like(sql("SELECT string_agg(message, ' ') FROM pgmaint.findings WHERE run_id = $run"),
	qr/is suspended: statement-level trigger "legal_hold" of partitioned table public\.each does not fire when rows of partitions are deleted.*pass_triggers => true/,
	'one of the partitioned table: the policy is suspended');
is(sql('SELECT count(*) FROM each_2020'), 3, '... and the rows stay, too');

# rows that come into an empty partition between plan and task
create('filled', 0);
sql(q(CREATE TRIGGER legal_hold BEFORE DELETE ON filled FOR EACH ROW EXECUTE FUNCTION keep_odd()));
$writer->query_safe(q(BEGIN; INSERT INTO filled VALUES (1, '2020-06-01')));
$run = begin('filled', '60s', 0);
ok( $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_locks WHERE relation = 'filled_2020'::regclass AND NOT granted"),
	'an empty partition, into which a session has written');
$writer->query_safe('COMMIT');
is(wait_for_end($node, $run), 'succeeded', '... the task waits for it');
is(errors($run), 'rows were added after the task had been planned', '... and leaves the partition alone');
is(sql('SELECT count(*) FROM filled'), 2, '... with its row');

# a foreign key that would delete
create('refd', 0);
sql(<<'EOS');
DROP TABLE refd_2020, refd_now;
ALTER TABLE refd ADD PRIMARY KEY (id, at);
CREATE TABLE refd_2020 PARTITION OF refd FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE refd_2021 PARTITION OF refd FOR VALUES FROM ('2021-01-01') TO (MAXVALUE);
CREATE TABLE refs (id int, at timestamptz, FOREIGN KEY (id, at) REFERENCES refd ON DELETE CASCADE);
INSERT INTO refd SELECT g, '2020-06-01' FROM generate_series(1, 4) g;
INSERT INTO refs VALUES (1, '2020-06-01');
UPDATE pgmaint.retention_policies SET archive = false, storage = NULL, compression = NULL WHERE relation = 'refd'::regclass;
EOS
retain('refd');
is(sql('SELECT count(*) FROM refs'), 0, 'a foreign key with ON DELETE CASCADE: the rows leave one by one');
retain('refd');
is(partitions('refd'), 'refd_2021', '... then the partition does');

# only some rows leave
create('partly', 3, ", filter => 'id > 0'");
retain('partly');
like(findings(retain('partly')), qr/^partition public\.partly_2020 is older than .* and empty, but is kept because the policy has a filter; to drop the partition: DROP TABLE public\.partly_2020$/,
	'a policy with a filter: an empty partition is a finding');

#
# Years by range, regions by list below, days by two columns
#
sql(<<'EOS');
CREATE TABLE events (id int, region text, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE events_2019 PARTITION OF events FOR VALUES FROM ('2019-01-01') TO ('2020-01-01') PARTITION BY LIST (region);
CREATE TABLE events_2020 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY LIST (region);
CREATE TABLE events_2020_eu PARTITION OF events_2020 FOR VALUES IN ('eu');
CREATE TABLE events_2020_us PARTITION OF events_2020 FOR VALUES IN ('us');
CREATE TABLE events_2020_rest PARTITION OF events_2020 DEFAULT;
CREATE TABLE events_now PARTITION OF events FOR VALUES FROM ('2021-01-01') TO (MAXVALUE) PARTITION BY LIST (region);
CREATE TABLE events_now_eu PARTITION OF events_now FOR VALUES IN ('eu');
CREATE TABLE events_now_us PARTITION OF events_now FOR VALUES IN ('us') PARTITION BY RANGE (at);
CREATE TABLE events_now_us_old PARTITION OF events_now_us FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE TABLE events_now_us_new PARTITION OF events_now_us FOR VALUES FROM ('2022-01-01') TO (MAXVALUE);
CREATE INDEX ON events (at);
INSERT INTO events SELECT g, 'eu', '2020-02-01' FROM generate_series(1, 3) g;
INSERT INTO events SELECT g, 'us', '2020-02-01' FROM generate_series(4, 5) g;
INSERT INTO events VALUES (6, 'eu', '2021-06-01'), (7, 'us', '2021-06-01'), (8, 'us', '2023-06-01'), (9, 'eu', now());
SELECT pgmaint.add_retention('events', 'at', '90 days', storage => 'archives');
CREATE TABLE pairs (at date, nth int, note text) PARTITION BY RANGE (at, nth);
CREATE TABLE pairs_old PARTITION OF pairs FOR VALUES FROM (MINVALUE, MINVALUE) TO ('2020-01-01', 5);
CREATE TABLE pairs_limit PARTITION OF pairs FOR VALUES FROM ('2020-01-01', 5) TO ('2020-01-02', 5);
CREATE INDEX ON pairs (at);
INSERT INTO pairs VALUES ('2019-01-01', 1, 'old'), ('2020-01-02', 1, 'young');
SELECT pgmaint.add_retention('pairs', 'at', '1 day', storage => 'archives');
EOS
$run = retain('events');
is(archived('events'), 'public.events_2020_eu 3, public.events_2020_us 2, public.events_now_eu 1, public.events_now_us_new 1, public.events_now_us_old 1', 'two levels: each leaf has its archive');
is(partitions('events') . '; ' . partitions('events_now_us'), 'events_now; events_now_us_new', '... what is old as a whole leaves as a whole, without rows too');
is(sql('SELECT string_agg(id::text, $$,$$) FROM events'), '9', '... what is young stays');
is( sql("SELECT string_agg(target, ', ' ORDER BY target) FROM pgmaint.tasks WHERE run_id = $run AND command LIKE '%DETACH%'"),
	'public.events_2019, public.events_2020, public.events_now_us_old', '... in one task each');
like(sql("SELECT command FROM pgmaint.tasks WHERE run_id = $run AND target = 'public.events_2020'"),
	qr{^COPY public\.events_2020_eu TO 'archives/\S+'; COPY public\.events_2020_us TO .*; ALTER TABLE public\.events DETACH PARTITION public\.events_2020; DROP TABLE public\.events_2020$},
	'... whose command says what is done');
is(sql("SELECT result ->> 'deleted_rows', bytes_before > 0 FROM pgmaint.tasks WHERE run_id = $run AND target = 'public.events_2020'"), '5|t', '... with the rows of all, and their size');
is(sql(q(SELECT count(*) FROM pgmaint_internal.uploads WHERE key LIKE '%.events%')), 0, '... no upload is left open');
# one of them is being detached, and would be dropped with the others
sql(q(CREATE TABLE events_2018 PARTITION OF events FOR VALUES FROM ('2018-01-01') TO ('2019-01-01') PARTITION BY LIST (region);
	CREATE TABLE events_2018_eu PARTITION OF events_2018 FOR VALUES IN ('eu');
	CREATE TABLE events_2018_us PARTITION OF events_2018 FOR VALUES IN ('us');
	INSERT INTO events VALUES (10, 'eu', '2018-02-01'), (11, 'us', '2018-02-01')));
$reader->query_safe('BEGIN; SELECT count(*) FROM events_2018');
$node->psql('postgres', q(SET lock_timeout = '100ms'; ALTER TABLE events_2018 DETACH PARTITION events_2018_eu CONCURRENTLY));
$reader->query_safe('COMMIT');
is(partitions('events_2018'), 'events_2018_eu pending, events_2018_us', 'a detachment below a partition that is old as a whole');
like(findings(retain('events')), qr/partition public\.events_2018 is older than the cut-off but cannot be dropped: table public\.events_2018_eu, whose detachment is pending, depends on the partition; HINT: Execute ALTER TABLE public\.events_2018 DETACH PARTITION public\.events_2018_eu FINALIZE\./, '... is a finding, with the command');
is(partitions('events_2018'), 'events_2018_eu pending, events_2018_us', '... the partition stays');
is(sql('SELECT count(*) FROM ONLY events_2018_eu'), 1, '... with the row that would not have been archived');
sql('ALTER TABLE events_2018 DETACH PARTITION events_2018_eu FINALIZE');
retain('events');
is(partitions('events'), 'events_now', '... until that is finished');
# a day is kept as of 2020-01-03: one of the two has rows that are not old
sql(q(UPDATE pgmaint.retention_policies SET keep = now() - '2020-01-02 12:00' WHERE relation = 'pairs'::regclass));
retain('pairs');
is(partitions('pairs'), 'pairs_limit', 'two columns: what may have young rows stays');
is(sql('SELECT string_agg(note, $$,$$) FROM pairs'), 'young', '... as those do');

#
# What changes between the plan and the work
#
sub wait_for_waiters
{
	my ($count) = @_;
	$node->poll_query_until('postgres', "SELECT count(*) >= $count FROM pg_locks WHERE relation = 'pgmaint_internal.uploads'::regclass AND NOT granted")
	  or die "not $count wait for the uploads";
}

# Lets the task of a table begin, and stop before it notes what it will write.
sub begin_and_stop
{
	my ($table, $role) = @_;

	$reader->query_safe('BEGIN; LOCK TABLE pgmaint_internal.uploads IN EXCLUSIVE MODE');
	my $begun = sql("SET pgmaint.lock_timeout = '60s'; SET pgmaint.lock_retries = 0; SET ROLE $role;
		SELECT pgmaint.run_action('retention', '{\"tables\": \"$table\"}')");
	wait_for_waiters(1);
	return $begun;
}

# a column, with values: they are archived with the rows, or the rows have none
sql(q(CREATE TABLE migrated (id int, at timestamptz); CREATE INDEX ON migrated (at); INSERT INTO migrated VALUES (1, '2020-01-01'); SELECT pgmaint.add_retention('migrated', 'at', '90 days', storage => 'archives')));
$run = begin_and_stop('migrated', 'NONE');
send_statement($writer, 'BEGIN; LOCK TABLE pgmaint_internal.uploads IN EXCLUSIVE MODE');
wait_for_waiters(2);
$reader->query_safe('COMMIT');
ok( $node->poll_query_until('postgres',
		q(SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type = 'pgmaint task worker'
		AND NOT l.granted AND l.relation = 'pgmaint_internal.uploads'::regclass AND l.mode = 'RowShareLock'))),
	'a table is about to be archived');
my $migration = $node->background_psql('postgres');
send_statement($migration, q(BEGIN; ALTER TABLE migrated ADD COLUMN payload text; UPDATE migrated SET payload = 'precious';
	CREATE TABLE migrated_rows AS SELECT count(*) AS filled FROM migrated; COMMIT));
ok( $node->poll_query_until('postgres',
		q(SELECT to_regclass('migrated_rows') IS NOT NULL OR EXISTS (SELECT FROM pg_locks WHERE relation = 'migrated'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted))),
	'... a column is added');
$writer->query_safe('COMMIT');
is(wait_for_end($node, $run), 'succeeded', '... the run ends');
$migration->query_safe('SELECT');
is(sql(q(SELECT filled = 0 OR 'payload' = ANY (columns) FROM migrated_rows, pgmaint.archives WHERE relation = 'public.migrated')), 't', '... and no value is lost');
$migration->quit;

# the rights of the role that asked for the run
sql(q(CREATE ROLE lender; CREATE ROLE visitor LOGIN IN ROLE lender; GRANT USAGE ON SCHEMA pgmaint TO visitor;
	GRANT EXECUTE ON FUNCTION pgmaint.run_action(text, jsonb) TO visitor; GRANT USAGE ON FOREIGN SERVER archives TO visitor;
	GRANT pg_read_server_files, pg_write_server_files TO visitor));
foreach my $kind ('plain table', 'partition')
{
	my $table = $kind eq 'partition' ? 'lent_parts' : 'lent';

	if ($kind eq 'partition') { create($table, 5) }
	else { sql("CREATE TABLE $table (id int, at timestamptz); CREATE INDEX ON $table (at); INSERT INTO $table SELECT g, '2020-01-01' FROM generate_series(0, 5) g") }
	sql("SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies WHERE relation = '$table'::regclass;
		DO \$\$ DECLARE one regclass; BEGIN FOR one IN SELECT oid FROM pg_class WHERE relname LIKE '$table%' AND relkind IN ('r', 'p')
		LOOP EXECUTE format('ALTER TABLE %s OWNER TO lender', one); END LOOP; END \$\$");
	sql("SELECT pgmaint.add_retention('$table', 'at', '90 days', storage => 'archives')");
	$run = begin_and_stop($table, 'visitor');
	sql('REVOKE lender FROM visitor');
	$reader->query_safe('COMMIT');
	is(wait_for_end($node, $run), 'succeeded', "$kind: a role has lost its rights between plan and task");
	like(errors($run), qr/^must be owner of table public\.lent/, '... the task is passed over');
	is(sql("SELECT count(*) FROM $table"), 6, '... and no row leaves');
	sql('GRANT lender TO visitor');
}

# schemas that change places while the locks for the last step do not come
$node->safe_psql('postgres', <<'EOS');
CREATE SCHEMA one;
CREATE SCHEMA two;
CREATE TABLE swapped (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE one.part PARTITION OF swapped FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE two.part PARTITION OF swapped FOR VALUES FROM ('2021-01-01') TO (MAXVALUE);
INSERT INTO swapped VALUES (1, '2020-06-01'), (2, now());
SELECT pgmaint.add_retention('swapped', 'at', '90 days', storage => 'archives');
CREATE PROCEDURE swap_when_waited_for() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 30000 LOOP
		EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE relation = 'swapped'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted);
		PERFORM pg_sleep(0.002);
	END LOOP;
	ALTER SCHEMA one RENAME TO three;
	ALTER SCHEMA two RENAME TO one;
	ALTER SCHEMA three RENAME TO two;
END $$;
EOS
$reader->query_safe('BEGIN; SELECT count(*) FROM swapped');
send_statement($reader, 'CALL swap_when_waited_for(); COMMIT');
$run = begin('swapped', '60s', 100);
wait_for_end($node, $run);
$reader->query_safe('SELECT');
is(sql('SELECT count(*) FROM swapped WHERE id = 2'), 1, 'schemas change places: what is young stays');
is(sql(q(SELECT count(*) FROM swapped WHERE id = 1)) + sql(q(SELECT coalesce(sum(rows), 0) FROM pgmaint.archives WHERE relation = 'public.swapped')), 1, '... what is old stays, or is archived');

# a filter whose error looks like a request to stop
sql(q(CREATE FUNCTION rude(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'stop' USING ERRCODE = '57014'; END $$;
	CREATE TABLE rude (id int, at timestamptz); CREATE INDEX ON rude (at); INSERT INTO rude VALUES (1, '2020-01-01');
	CREATE TABLE polite (id int, at timestamptz); CREATE INDEX ON polite (at); INSERT INTO polite VALUES (1, '2020-01-01');
	SELECT pgmaint.add_retention('rude', 'at', '90 days', filter => 'public.rude(id)', storage => 'archives'), pgmaint.add_retention('polite', 'at', '90 days', storage => 'archives')));
$run = sql(q(SELECT pgmaint.run_action('retention', '{"tables": ["rude", "polite"]}')));
is(wait_for_end($node, $run), 'failed', 'a filter says that the run was cancelled: it has failed');
like(run_error($node, $run), qr/^retention policy \d+ could not be planned: stop; CONTEXT: function public\.rude\(integer\)$/, '... for the filter');
is(archived('polite'), ' 1', '... and other tables have their turn');

#
# What earlier versions have left
#
create('half', 5);
sql(q(INSERT INTO pgmaint_internal.detached_partitions SELECT 'half_2020'::regclass, policy_id, 'half'::regclass, '2020-01-01', '2021-01-01' FROM pgmaint.retention_policies WHERE relation = 'half'::regclass));
$reader->query_safe('BEGIN; SELECT count(*) FROM half');
$node->psql('postgres', q(SET lock_timeout = '100ms'; ALTER TABLE half DETACH PARTITION half_2020 CONCURRENTLY));
$reader->query_safe('COMMIT');
is(partitions('half'), 'half_2020 pending, half_now', 'a detachment that is pending');
my $policy = sql(q(SELECT policy_id FROM pgmaint.retention_policies WHERE relation = 'half'::regclass));
sql("UPDATE pgmaint_internal.detached_partitions SET policy_id = -1 WHERE relation = 'half_2020'::regclass");
like(findings(retain('late')), qr/^the detachment of partition public\.half_2020 from public\.half is pending for a retention policy that was dropped, and queries on that table do not see its rows; finish the detachment with ALTER TABLE public\.half DETACH PARTITION public\.half_2020 FINALIZE$/,
	'... of a policy that was dropped: a finding');
sql("UPDATE pgmaint_internal.detached_partitions SET policy_id = $policy");
$run = retain('half');
is(sql("SELECT command FROM pgmaint.tasks WHERE run_id = $run") =~ s/TO '.*?'/TO .../r,
	'ALTER TABLE public.half DETACH PARTITION public.half_2020 FINALIZE; COPY public.half_2020 TO ...; DROP TABLE public.half_2020', '... of one that is there: finished');
is(archived('half') . '; ' . partitions('half'), 'public.half_2020 5; half_now', '... archived and dropped');
is(sql('SELECT count(*) FROM pgmaint_internal.detached_partitions'), 0, '... and forgotten');

#
# Thousands of partitions with three indexes each, more than there is room for in
# the table of locks
#
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE many (id int, n int, at date NOT NULL) PARTITION BY LIST (n);
DO $$
BEGIN
	FOR i IN 0 .. 9 LOOP
		EXECUTE format('CREATE TABLE many_%1$s PARTITION OF many FOR VALUES IN (%1$s) PARTITION BY RANGE (at)', i);
		FOR day IN 0 .. 299 LOOP
			EXECUTE format('CREATE TABLE many_%1$s_%2$s PARTITION OF many_%1$s FOR VALUES FROM (%3$L) TO (%4$L)', i, day, '2020-01-01'::date + day, '2020-01-02'::date + day);
			EXECUTE format('CREATE INDEX ON many_%1$s_%2$s (id); CREATE INDEX ON many_%1$s_%2$s (n); CREATE INDEX ON many_%1$s_%2$s (at)', i, day);
			IF day % 100 = 99 THEN
				COMMIT;
			END IF;
		END LOOP;
	END LOOP;
END $$;
INSERT INTO many SELECT g, g % 10, '2020-01-01'::date + g / 10 FROM generate_series(0, 999) g;
SELECT pgmaint.add_retention('many', 'at', '90 days', storage => 'archives');
SELECT pgmaint.define_plan('age_out', '[{"action": "retention", "options": {"tables": "many"}}]');
EOS
my ($status, $counts) = $node->psql('postgres', q(BEGIN; SELECT count(*) FROM pgmaint.dry_run('age_out');
	SELECT count(*) FROM pg_locks WHERE relation IN (SELECT oid FROM pg_class WHERE relname LIKE 'many\__\_%')));
is($counts, "3000\n0", 'thousands of partitions: all can be planned to leave, and none is locked in the end');
# one that is young, and one that is old, by their bounds
# a session's time limit counts from its start
$reader->quit;
$reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; LOCK TABLE many_3_3, many_3_0 IN ACCESS EXCLUSIVE MODE');
sql(q(UPDATE pgmaint.retention_policies SET keep = ((current_date - '2020-01-03'::date) || ' days')::interval WHERE relation = 'many'::regclass));
$run = retain('many');
$reader->query_safe('COMMIT');
is(sql("SELECT count(*), count(*) FILTER (WHERE state = 'succeeded') FROM pgmaint.tasks WHERE run_id = $run"), '19|19', '... those that are old leave');
is(findings($run), 'public.many_3_0 was skipped because another session has locked it; the next run tries again', '... none is looked at that is young, none is waited for');
is(sql(q(SELECT sum(rows) FROM pgmaint.archives WHERE relation = 'public.many')), 19, '... with their rows');

$reader->quit;
$writer->quit;
no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'no session has failed for a deadlock');

done_testing();
