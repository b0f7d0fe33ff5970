# Moving rows runs code of a table's owner, such as index expressions: the code
# has its owner's rights, whatever it tries, and spoils no other table's
# compaction.  Who may have which table compacted is who may VACUUM it.

# long: one server is enough
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintHostile;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

# mallory's schema comes first on the search_path of the database; the sessions
# of the test itself keep clear of it
$ENV{PGOPTIONS} = '-c search_path=pg_catalog';
my $node = start_server('compact_rights', q(shared_preload_libraries = 'pg_stat_statements'), 'pgmaint.max_workers = 3', 'pgmaint.lock_retries = 0', 'max_prepared_transactions = 2');
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $options = '"min_gain": "512 kB", "bloat_threshold": 0.1, "reorder": true';
my ($status, $out, $error, $offset);

set_traps($node);

# A table of half a megabyte or more whose rows are moved: 3 of 4 rows are gone.
sub fill
{
	my ($role, $table, $rows) = @_;

	as_role($node, $role, "TRUNCATE $table CASCADE; INSERT INTO $table (id, n, at) SELECT g, g, now() FROM generate_series(1, $rows) g; DELETE FROM $table WHERE id % 4 <> 0");
	return;
}

# Queue a compaction as a role, with mallory's names before all others.
sub compact
{
	my ($role, $tables, $more) = @_;
	my $list = join ', ', map { qq("$_") } @$tables;

	local $ENV{PGOPTIONS} = '-c search_path=shadow,mallory,public,pg_catalog';
	$offset = -s $node->logfile;
	($status, $out, $error) = $node->psql('postgres', "SELECT pgmaint.run_action('compact', '{\"tables\": [$list], $options}')", extra_params => [ '-U', $role ]);
	return $out;
}

sub task
{
	my ($run, $table, $what) = @_;
	return $node->safe_psql('postgres', "SELECT $what FROM pgmaint.tasks t WHERE run_id = $run AND target = '$table'");
}

# Are all rows there, once?  The owner looks: a superuser's own SELECT evaluates
# the owner's constants.
sub is_complete
{
	my ($table, $rows, $name) = @_;

	is(as_role($node, $table =~ /(.*)[.]/, "SELECT count(*), count(DISTINCT id), sum(n) FROM $table WHERE id > 0"), join('|', $rows / 4, $rows / 4, $rows * ($rows / 4 + 1) / 2), "$name: no row is lost");
	return;
}

sub nothing_gained
{
	my ($name) = @_;
	my @gains = gained($node, $offset);

	is(scalar @gains, 0, "$name: nothing gained") or diag join("\n", @gains > 12 ? (@gains[ 0 .. 11 ], '...') : @gains);
	return;
}

#
# All traps
#
as_role($node, 'alice', "CREATE TABLE alice.large (id int PRIMARY KEY, n int, at timestamptz, filler text DEFAULT repeat('x', 1500))");
foreach my $role ($superuser, 'keeper')
{
	fill('mallory', $_, 600) foreach hostile_tables();
	fill('alice', 'alice.large', 600);
	my $run = compact($role, [ hostile_tables(), 'alice.large' ]);
	is($status, 0, "traps, by $role: queued") or diag $error;
	wait_for_end($node, $run);
	nothing_gained("traps, by $role");
	is(task($run, 'alice.large', q(state, bytes_after < 0.5 * bytes_before)), 'succeeded|t', "traps, by $role: alice's table is compacted");
	is(task($run, 'mallory.index', q(state, bytes_after < 0.5 * bytes_before)), 'succeeded|t', "traps, by $role: so is one with traps");
	is_complete($_, 600, "traps, by $role: $_") foreach hostile_tables();
	my %sprung = map { /^\[(.*?)\] got \[\] in \[postgres\] as \[mallory\]/ ? ($1 => 1) : () } traps_that_ran($node, $offset);
	is( join(', ', grep { !$sprung{$_} } 'index', 'unique index', 'BRIN index', 'hash index', 'GIN index', 'constant in an index', 'predicate', 'operator', 'operator class', 'exclusion'),
		'', "traps, by $role: they were sprung, as mallory");
	is(join(', ', grep { /BEFORE|AFTER|rule|policy|check|domain|default|generated|deferred/ } keys %sprung), '', "traps, by $role: no trigger, rule or constraint is executed");
}

#
# What an index expression does while one row in so many is moved, and what comes
# of the task: its state, its outcome, and its finding.
#
my $moved = qr/^succeeded\|\d+ kB returned to the file system, \d+ rows moved\|$/;
my %cases = (
	# some rows cannot be moved
	raises => [ qr/^succeeded\|\d+ rows? moved\|\d+ rows? of mallory.\w+ could not be moved: this row stays$/, 200, "RAISE EXCEPTION 'this row stays'" ],
	casts => [ qr/^succeeded\|\d+ rows? moved\|\d+ rows? of mallory.\w+ could not be moved: invalid input syntax for type %s: "%s" \(the server log has the values\)$/, 200, "PERFORM ('secret ' || v)::int" ],
	divides => [ qr/^succeeded\|\d+ rows? moved\|\d+ rows? of mallory.\w+ could not be moved: division by zero$/, 200, 'PERFORM v / 0' ],
	asserts => [ qr/^succeeded\|\d+ rows? moved\|\d+ rows? of mallory.\w+ could not be moved: assertion failed$/, 200, 'ASSERT false' ],
	cancels => [ qr/^succeeded\|\d+ rows? moved\|\d+ rows? of mallory.\w+ could not be moved: c$/, 200, "RAISE EXCEPTION 'c' USING ERRCODE = '57014'" ],
	shuts => [ qr/^succeeded\|\d+ rows? moved\|\d+ rows? of mallory.\w+ could not be moved: s$/, 200, "RAISE EXCEPTION 's' USING ERRCODE = '57P01'" ],
	commits => [ qr/^succeeded\|\d+ rows? moved\|\d+ rows? of mallory.\w+ could not be moved: invalid transaction termination$/, 200, 'COMMIT' ],
	rolls_back => [ qr/^succeeded\|\d+ rows? moved\|\d+ rows? of mallory.\w+ could not be moved: invalid transaction termination$/, 200, 'ROLLBACK' ],
	recurses => [ qr/^succeeded\|\d+ rows? moved\|\d+ rows? of mallory.\w+ could not be moved: stack depth limit exceeded$/, 200, 'PERFORM mallory.deep(v)' ],
	# none can
	always_raises => [ qr/^succeeded\|0 rows moved\|\d+ rows? of mallory.always_raises could not be moved: all stay$/, 1, "RAISE EXCEPTION 'all stay'" ],
	conflicts => [ qr/^(succeeded)\|/, 200, "RAISE EXCEPTION 'c' USING ERRCODE = '40001'" ],
	times_out => [ qr/^(succeeded)\|/, 200, "RAISE EXCEPTION 'c' USING ERRCODE = '55P03'" ],
	exits => [ qr/^interrupted\|\|.*was interrupted: the task worker was terminated$/, 200, "PERFORM set_config('exit_on_error', 'on', false); RAISE EXCEPTION 'fatal'" ],
	# at first
	conflicts_once => [ $moved, 200, "IF nextval('mallory.tries') < 5 THEN RAISE EXCEPTION 'c' USING ERRCODE = '40001'; END IF" ],
	# does no harm
	sleeps => [ $moved, 400, 'PERFORM pg_sleep(0.2)' ],
	sets => [ $moved, 4, "PERFORM mallory.attempt(format('SELECT set_config(%L, %L, %s)', s, x, l)) FROM (VALUES ('lock_timeout', '0'), ('search_path', 'shadow, mallory'), ('synchronous_commit', 'on'),
		('transaction_isolation', 'read committed'), ('transaction_read_only', 'on'), ('default_transaction_read_only', 'on'), ('session_replication_role', 'replica'), ('statement_timeout', '10'),
		('vacuum_cost_delay', '100'), ('work_mem', '64'), ('row_security', 'off'), ('log_min_messages', 'panic'), ('allow_system_table_mods', 'on'), ('TimeZone', 'Mars'), ('pgmaint.max_wait', '0'),
		('ignore_checksum_failure', 'on'), ('idle_in_transaction_session_timeout', '1'), ('default_tablespace', 'x'), ('application_name', 'mallory')) s (s, x), unnest(ARRAY['true', 'false']) l" ],
	alters => [ $moved, 40, "PERFORM mallory.attempt(replace(c, 'T', 'mallory.alters')) FROM unnest(ARRAY['ALTER TABLE T ADD COLUMN more int', 'DROP TABLE T', 'TRUNCATE T', 'CREATE INDEX ON T (n)', 'REINDEX TABLE T', 'CLUSTER T',
		'ALTER TABLE T ALTER n TYPE bigint', 'ALTER TABLE T SET UNLOGGED', 'ALTER TABLE T DISABLE TRIGGER ALL', 'VACUUM T', 'DROP INDEX mallory.alters_v', 'DROP FUNCTION mallory.alters(int) CASCADE']) c" ],
	pretends => [ $moved, 4, "PERFORM mallory.attempt(c) FROM unnest(ARRAY['SET LOCAL ROLE none', 'SET SESSION AUTHORIZATION DEFAULT', 'CREATE TEMP TABLE pg_class (oid int)', 'DISCARD ALL', 'LISTEN x', 'DELETE FROM pgmaint.tasks',
		'UPDATE pgmaint.runs SET requested_by = ''mallory''', 'INSERT INTO pgmaint_internal.hidden_space VALUES (1, 0)', 'DELETE FROM pgmaint.compact_tables', 'DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'SET CONSTRAINTS ALL DEFERRED',
		'SELECT pgmaint.cancel(run_id) FROM pgmaint.runs', 'SELECT pg_terminate_backend(pg_backend_pid())', 'SELECT pg_cancel_backend(pg_backend_pid())', 'PREPARE p AS SELECT 1', 'LOAD ''pgmaint''']) c" ],
	inserts => [ $moved, 40, "INSERT INTO mallory.inserts (id, n) VALUES (-v, v)" ],
	updates => [ $moved, 40, "UPDATE mallory.updates SET at = now() WHERE id = v" ],
	deletes => [ $moved, 400, "DELETE FROM mallory.deletes WHERE id = -v" ],
	locks => [ $moved, 40, "PERFORM FROM mallory.locks WHERE id BETWEEN v - 40 AND v + 40 FOR UPDATE" ],
	replaces => [ qr/^succeeded\|\d+ rows? moved\|\d+ rows? of mallory.replaces could not be moved: cannot set parameter \"role\" within security-restricted operation$/, 4, "PERFORM mallory.attempt('CREATE OR REPLACE FUNCTION mallory.act_replaces(v int) RETURNS void LANGUAGE plpgsql AS ''BEGIN PERFORM pg_catalog.set_config(\$\$role\$\$, \$\$none\$\$, false); END''')" ]);

as_role($node, 'mallory', "CREATE SEQUENCE mallory.tries; CREATE FUNCTION mallory.deep(v int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN mallory.deep(v); END'");
foreach my $name (sort keys %cases)
{
	my (undef, $every, $act) = @{ $cases{$name} };

	as_role($node, 'mallory', qq(CREATE TABLE mallory.$name (id int, n int, at timestamptz, filler text DEFAULT repeat('x', 1500)); CREATE INDEX ON mallory.$name (id);
		CREATE FUNCTION mallory.act_$name(v int) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS \$a\$ BEGIN $act; END \$a\$;
		CREATE FUNCTION mallory.$name(v int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
			\$a\$ BEGIN IF session_user <> 'mallory' AND v % $every = 0 AND v > 0 AND coalesce(current_query(), '') !~ 'ANALYZE' THEN PERFORM mallory.act_$name(v); END IF; RETURN v; END \$a\$;
		CREATE INDEX ${name}_v ON mallory.$name (mallory.$name(id)); ));
	fill('mallory', "mallory.$name", 600);
}
fill('alice', 'alice.large', 600);
my $run = compact($superuser, [ 'alice.large', map { "mallory.$_" } sort keys %cases ]);
wait_for_end($node, $run);
nothing_gained('expressions');
foreach my $name (sort keys %cases)
{
	like(task($run, "mallory.$name", q(concat_ws('|', state, coalesce(outcome, ''), coalesce((SELECT string_agg(message, ' / ') FROM pgmaint.findings f WHERE f.run_id = t.run_id AND f.object = t.target), '')))),
		$cases{$name}[0], "$name: what came of it")
	  or diag task($run, "mallory.$name", 'error, result');
	is_complete("mallory.$name", 600, $name);
}
is(task($run, 'alice.large', 'state, bytes_after < 0.5 * bytes_before'), 'succeeded|t', "alice's table is compacted meanwhile");
unlike($node->safe_psql('postgres', "SELECT string_agg(message, ' ') FROM pgmaint.findings WHERE run_id = $run"), qr/secret/, 'no value of a row is told');
is($node->safe_psql('postgres', "SELECT requested_by FROM pgmaint.runs WHERE run_id = $run"), $superuser, 'the ledger is as it was');
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_attribute WHERE attrelid = 'mallory.alters'::regclass AND attnum > 0)), '4', 'so is the table whose expression alters it');
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_index WHERE indrelid = 'mallory.alters'::regclass AND indisvalid)), '2', '... with its indexes');
wait_for_end($node, compact($superuser, ['alice.large']));
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgmaint_internal.hidden_space'), '0', 'no space stays hidden, though a worker was terminated');

#
# Who may
#
sub may
{
	my ($role, $expected, $name) = @_;

	fill('alice', 'alice.large', 600);
	my $run = compact($role, ['alice.large']);
	return like($error, $expected, $name) if $status != 0;
	wait_for_end($node, $run);
	like(
		$node->safe_psql('postgres', qq(SELECT concat_ws('|', (SELECT string_agg(concat_ws(' ', state, bytes_after < 0.5 * bytes_before, error), ' ') FROM pgmaint.tasks WHERE run_id = $run),
			(SELECT string_agg(message, ' ') FROM pgmaint.findings WHERE run_id = $run)))),
		$expected, $name);
	return;
}

as_role($node, undef, q(CREATE ROLE stranger LOGIN; CREATE ROLE db_owner LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE maintainer LOGIN; ALTER DATABASE postgres OWNER TO db_owner;
	SELECT pgmaint.grant_access('stranger', 'manage'), pgmaint.grant_access('db_owner', 'manage'), pgmaint.grant_access('maintainer', 'manage'), pgmaint.grant_access('reader', 'read');
	GRANT ALL ON alice.large TO stranger));
as_role($node, undef, 'GRANT MAINTAIN ON alice.large TO maintainer') if $node->pg_version >= 17;
may('alice', qr/^succeeded t$/, 'the owner may');
may('db_owner', qr/^succeeded t$/, 'the owner of the database may');
may('stranger', qr/^\|?(?!succeeded).*alice[.]large/s, 'a role with all rights on rows may not');
may('reader', qr/permission denied for function run_action/, 'a role that may read the ledger may not');
may('maintainer', $node->pg_version >= 17 ? qr/^succeeded t$/ : qr/^\|?(?!succeeded).*alice[.]large/s, 'a role with MAINTAIN may, from 17 on');
foreach my $case ([ 'stranger', qr/permission denied for table large/ ], [ 'reader', qr/permission denied for function allow_compact/ ], [ 'db_owner', qr/^$/ ], [ 'alice', qr/^$/ ],
	[ 'maintainer', $node->pg_version >= 17 ? qr/^$/ : qr/permission denied for table large/ ])
{
	my ($role, $expected) = @$case;

	foreach my $allowed ('true', 'false')
	{
		(undef, undef, $error) = $node->psql('postgres', "SELECT pgmaint.allow_compact('alice.large', $allowed)", extra_params => [ '-U', $role ]);
		like($error, $expected, "allow_compact(..., $allowed) by $role");
	}
}
# candidates are listed for those who may look at them, whatever they may maintain
is(as_role($node, 'reader', q(SELECT relation, may_maintain FROM pgmaint.compact_candidates(1000, 0.0) WHERE relation = 'alice.large'::regclass)), 'alice.large|f', 'a reader sees candidates')
  if $node->safe_psql('postgres', q(SELECT has_function_privilege('reader', 'pgmaint.compact_candidates(bigint, float8, oid)', 'EXECUTE'))) eq 't';

#
# A table that becomes another while it is compacted: the gate opens when another
# session waits for a lock.
#
as_role($node, 'mallory', q(CREATE TABLE mallory.swapped (id int, n int, at timestamptz, filler text DEFAULT repeat('x', 1500));
	CREATE FUNCTION mallory.gate(v int) RETURNS int LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $a$ BEGIN
		IF session_user = 'mallory' OR v <> 600 OR coalesce(current_query(), '') ~ 'ANALYZE' THEN RETURN v; END IF;
		PERFORM pg_advisory_xact_lock_shared(600);
		LOOP
			PERFORM pg_sleep(0.02);
			EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted);
		END LOOP;
		RETURN v;
	END $a$;
	CREATE INDEX ON mallory.swapped (mallory.gate(id))));
fill('mallory', 'mallory.swapped', 600);
foreach my $role ($superuser)
{
	my $session = $node->background_psql('postgres', extra_params => [ '-U', 'mallory' ]);
	my $run = compact($role, ['mallory.swapped']);

	$node->poll_query_until('postgres', q(SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 600))) or die 'the compaction is not at the gate';
	$session->query_safe('BEGIN; ALTER TABLE mallory.swapped RENAME TO away');
	$session->query_safe(q(CREATE TABLE mallory.swapped (id int DEFAULT mallory.trap('swapped default'), n int, at timestamptz, filler text DEFAULT repeat('x', 1500), CHECK (mallory.trap('swapped check', id) = id));
		CREATE INDEX ON mallory.swapped (mallory.trap('swapped index', id));
		INSERT INTO mallory.swapped (id, n) SELECT g, g FROM generate_series(1, 600) g; DELETE FROM mallory.swapped WHERE id % 4 <> 0));
	$session->query_safe('COMMIT');
	wait_for_end($node, $run);
	nothing_gained("a table that was swapped, by $role");
	is_complete('mallory.away', 600, 'the table that was moved away');
	is_complete('mallory.swapped', 600, 'the table that came in its place');
	$session->quit;
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgmaint_internal.hidden_space'), '0', 'no space stays hidden');

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
