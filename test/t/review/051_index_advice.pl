# Advice on indexes, on a database with 20 planted problems and 20 look-alikes
# that are none: all are found, none is invented.  Then the advice is followed,
# and nothing is left to say.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use Test::More;

use PgmaintTest;

my $node = start_server('index_advice', "shared_preload_libraries = 'pg_stat_statements'",
	"pg_stat_statements.track = 'all'", 'max_parallel_workers_per_gather = 0', 'jit = off');
my $have_hypopg =
  $node->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'hypopg'");

# What each is about, what it needs beside its table, the statement, and for
# the problems the indexes that solve them.  Every table has 40,000 rows of
# about 130 bytes: a with 10 values, b with 2,000, c with 40,000 in no order, t
# a minute apart, s a text, flag and gone for one row in 500, much for half.
my @problems = (
	[ 'equality', 'p01', '', 'SELECT * FROM p01 WHERE c = 77', '(c)' ],
	[ 'two equalities', 'p02', '', 'SELECT * FROM p02 WHERE a = 3 AND b = 13', '(b, a)' ],
	[ 'equality and range', 'p03', '', q(SELECT count(*) FROM p03 WHERE a = 3 AND c BETWEEN 5 AND 9), '(a, c)' ],
	[ 'equality, order and LIMIT', 'p04', '', 'SELECT * FROM p04 WHERE a = 3 ORDER BY c DESC LIMIT 10', '(a, c)' ],
	[ 'order and LIMIT', 'p05', '', 'SELECT * FROM p05 ORDER BY c DESC LIMIT 10', '(c)' ],
	[ 'a join', 'p06', 'CREATE TABLE p06_parent AS SELECT g AS id, repeat(\'x\', 200) AS filler FROM generate_series(1, 2000) g;
		ALTER TABLE p06_parent ADD PRIMARY KEY (id); ANALYZE p06_parent',
		'SELECT * FROM p06_parent x JOIN p06 y ON y.b = x.id WHERE x.id IN (7, 8)', '(b)' ],
	[ 'DELETE', 'p07', '', 'DELETE FROM p07 WHERE c = -1', '(c)' ],
	[ 'UPDATE', 'p08', '', 'UPDATE p08 SET s = s WHERE c = 12', '(c)' ],
	[ 'an expression', 'p09', '', q(SELECT * FROM p09 WHERE lower(s) = 'text 9'), '(lower(s))' ],
	[ 'what is seldom there', 'p10', '', 'SELECT * FROM p10 WHERE gone IS NOT NULL', '(id) WHERE (gone IS NOT NULL)' ],
	[ 'what is seldom true', 'p11', '', 'SELECT * FROM p11 WHERE flag', '(id) WHERE flag' ],
	[ 'either of two columns', 'p12', '', 'SELECT * FROM p12 WHERE b = 7 OR c = 8', '(b)', '(c)' ],
	[ 'one of several values', 'p13', '', 'SELECT * FROM p13 WHERE c IN (7, 70, 700)', '(c)' ],
	[ 'an index that finds too much', 'p14', 'CREATE INDEX ON p14 (a)', 'SELECT * FROM p14 WHERE a = 3 AND b = 13', '(b, a)' ],
	[ 'NOT EXISTS', 'p15', 'CREATE TABLE p15_few AS SELECT generate_series(1, 20) AS id; ANALYZE p15_few',
		'SELECT * FROM p15_few x WHERE NOT EXISTS (SELECT FROM p15 y WHERE y.c = x.id)', '(c)' ],
	[ 'the largest value', 'p16', '', 'SELECT max(c) FROM p16', '(c)' ],
	[ 'ON DELETE CASCADE', 'p17', 'CREATE TABLE p17_parent AS SELECT g AS id FROM generate_series(0, 2000) g;
		ALTER TABLE p17_parent ADD PRIMARY KEY (id); ANALYZE p17_parent; ALTER TABLE p17 ADD FOREIGN KEY (b) REFERENCES p17_parent ON DELETE CASCADE',
		'DELETE FROM p17_parent WHERE id = %d', '(b)' ],
	[ 'a partitioned table', 'p18', 'ALTER TABLE p18 RENAME TO p18_1; CREATE TABLE p18 (LIKE p18_1) PARTITION BY RANGE (id);
		CREATE TABLE p18_2 (LIKE p18_1); INSERT INTO p18_2 SELECT id + 40000, a, b, c + 40000, t, s, flag, gone, much, filler FROM p18_1;
		ALTER TABLE p18 ATTACH PARTITION p18_1 FOR VALUES FROM (1) TO (40001); ALTER TABLE p18 ATTACH PARTITION p18_2 FOR VALUES FROM (40001) TO (90000);
		ANALYZE p18', 'SELECT * FROM p18 WHERE c = 500', '(c)' ],
	[ 'inside of a function', 'p19', 'CREATE FUNCTION p19_find(int) RETURNS bigint LANGUAGE plpgsql AS
		$$ BEGIN RETURN (SELECT count(*) FROM p19 WHERE c = $1); END $$', 'SELECT p19_find(5)', '(c)' ],
	[ 'constants with a type', 'p20', '', q(SELECT count(*) FROM p20 WHERE t >= timestamp '2026-01-03' AND t < timestamp '2026-01-03' + interval '5 minutes'), '(t)' ],
);
my @lookalikes = (
	[ 'a primary key', 'l01', '', 'SELECT * FROM l01 WHERE id = 7' ],
	[ 'an index that is there', 'l02', 'CREATE INDEX ON l02 (c)', 'SELECT * FROM l02 WHERE c = 7' ],
	[ 'a small table', 'l03', 'DELETE FROM l03 WHERE id > 4000; VACUUM FULL l03; ANALYZE l03', 'SELECT sum(length(repeat(filler, 10))) FROM l03 WHERE c > 0 AND b < 99999 AND a = 3' ],
	[ 'half of the table', 'l04', '', 'SELECT count(*) FROM l04 WHERE much = true' ],
	[ 'all of the table', 'l05', '', 'SELECT count(*) FROM l05' ],
	[ 'seldom executed', 'l06', '', 'SELECT * FROM l06 WHERE c = 7' ],
	[ 'found soon', 'l07', '', 'SELECT id, pg_sleep(0.002) FROM l07 WHERE a = 3 LIMIT 2' ],
	[ 'written far more than read', 'l08', 'WRITES', 'SELECT * FROM l08 WHERE c = 7' ],
	[ 'a function with a parameter', 'l09', '', q(SELECT * FROM l09 WHERE date_trunc('hour', t) = '2026-01-03') ],
	[ 'a pattern', 'l10', '', q(SELECT * FROM l10 WHERE s LIKE '%9999%') ],
	[ 'all but one value', 'l11', '', 'SELECT count(*) FROM l11 WHERE a <> 3' ],
	[ 'order without LIMIT', 'l12', '', 'SELECT * FROM l12 ORDER BY c' ],
	[ 'a temporary table', 'l13', '', 'SELECT * FROM temporary WHERE c = 7' ],
	[ 'a table that is gone', 'l14', '', 'SELECT * FROM l14_gone WHERE c = 7' ],
	[ 'a table without statistics', 'l15', q(DELETE FROM pg_statistic WHERE starelid = 'l15'::regclass), 'SELECT * FROM l15 WHERE c = 7' ],
	[ 'a value that changes with every row', 'l16', '', 'SELECT count(*) FROM l16 WHERE c = (random() * 40000)::int' ],
	[ 'a report over all of two tables', 'l17', 'CREATE TABLE l17_other AS SELECT * FROM l17; ANALYZE l17_other',
		'SELECT count(*) FROM l17 x JOIN l17_other y ON y.c = x.c' ],
	[ 'the first column of an index of two', 'l18', 'CREATE INDEX ON l18 (c, b)', 'SELECT * FROM l18 WHERE c = 7' ],
	[ 'INSERT', 'l19', '', q(INSERT INTO l19 (id, filler) SELECT max(id) + 1, 'x' FROM l19) ],
	[ 'groups of all rows', 'l20', '', 'SELECT b, count(*) FROM l20 GROUP BY b' ],
);

$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements');
foreach my $case (@problems, @lookalikes)
{
	my (undef, $table, $setup) = @$case;

	$node->safe_psql('postgres', "CREATE TABLE $table (id int, a int, b int, c int, t timestamp, s text, flag bool, gone timestamp, much bool, filler text);
		INSERT INTO $table SELECT g, g % 10, g * 7 % 2000, g * 7919 % 40000, timestamp '2026-01-01' + g * interval '1 minute', 'Text ' || g,
			g % 500 = 0, CASE WHEN g % 500 = 0 THEN now() END, g % 2 = 0, repeat('x', 80) FROM generate_series(1, 40000) g;" .
		($table eq 'p18' ? '' : "ALTER TABLE $table ADD PRIMARY KEY (id);"));
	$node->safe_psql('postgres', "VACUUM ANALYZE $table");
	$node->safe_psql('postgres', $_) foreach grep { /\S/ && $_ ne 'WRITES' } split /;\s*(?![^\$]*\$\$)/, $setup;
}
$node->safe_psql('postgres', 'CREATE TABLE l14_gone AS SELECT * FROM l14; ANALYZE');
$node->safe_psql('postgres', q(DELETE FROM pg_statistic WHERE starelid = 'l15'::regclass));

# a day like any other
sub execute_all
{
	my @day = ('SELECT pg_stat_reset()', 'CREATE TEMP TABLE temporary AS SELECT * FROM l13');
	foreach my $case (@problems, @lookalikes)
	{
		my ($name, undef, undef, $statement) = @$case;
		my $times = $name eq 'seldom executed' ? 2 : 7;

		push @day, sprintf(($statement =~ /%d/ ? $statement : '%s'), $statement =~ /%d/ ? $_ : $statement) foreach 1 .. $times;
	}
	push @day, ('UPDATE l08 SET c = c, filler = filler || 1') x 2;
	$node->safe_psql('postgres', 'SELECT pg_stat_statements_reset()');
	$node->safe_psql('postgres', join(";\n", @day));
	# a session reports its writes as it ends, which may be after psql has ended
	$node->poll_query_until('postgres', "SELECT n_tup_upd = 80000 FROM pg_stat_user_tables WHERE relname = 'l08'") or die 'no updates were reported';
	return;
}

# The advice as lines of table and columns; of a partitioned table, the last of
# its commands.
sub advice
{
	return $node->safe_psql('postgres', q(
		SELECT relation || ' ' || regexp_replace(regexp_replace(statement, '^.*;\n', ''), '^CREATE INDEX (CONCURRENTLY )?ON \S+ ', '')
		FROM pgmaint.index_advice() ORDER BY 1));
}

# the names of tables make the plan of each problem its own
my @expected;
foreach my $problem (@problems)
{
	my ($name, $table, undef, undef, @indexes) = @$problem;

	push @expected, map { "$table " . (/^\((\w+\(.*\))\)$/ ? "(($1))" : $_) } @indexes;
}
execute_all();
$node->safe_psql('postgres', 'DROP TABLE l14_gone');
my ($status, $output, $notices) = ('', '', '');
$status = $node->psql('postgres', 'SELECT relation FROM pgmaint.index_advice()', stdout => \$output, stderr => \$notices);
is($status, 0, 'there is advice');
my %given = map { $_ => 1 } split /\n/, advice();
foreach my $problem (@problems)
{
	my ($name, $table, undef, undef, @indexes) = @$problem;
	my @mine = grep { /^$table / } sort @expected;

	is(join(', ', sort grep { /^$table / } keys %given), join(', ', @mine), "planted: $name");
}
foreach my $lookalike (@lookalikes)
{
	my ($name, $table) = @$lookalike;

	is(join(', ', sort grep { /^$table/ } keys %given), '', "look-alike: $name");
}
is(scalar(keys %given), scalar(@expected), 'nothing else');

# what was not looked at is named
like($notices, qr/relation "l14_gone" does not exist \(1, such as SELECT \* FROM l14_gone/, 'a table that is gone is named');
like($notices, qr/relation "temporary" does not exist/, 'so is one that was temporary');
like($notices, qr/table "l15" has no statistics; run ANALYZE on the table/, 'so is one without statistics');
like($notices, qr/an index on "l08" would cost more on writes than it saves on reads/, 'so is one that is written all the time');

# nothing was created, nothing is locked, and the figures make sense
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_class WHERE relkind = 'i' AND relname LIKE 'p01%')), '1', 'no index was created');
is($node->safe_psql('postgres', q(BEGIN; SELECT FROM pgmaint.index_advice(); SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
	WHERE l.pid = pg_backend_pid() AND c.relname ~ '^[pl][0-9]')), '0', 'the locks are given back');
is($node->safe_psql('postgres', q(SELECT bool_and(gain_ms_per_day > 0 AND index_bytes > 8000 AND cardinality(query_ids) > 0 AND cost_left[1] < 0.7)
	FROM pgmaint.index_advice())), 't', 'figures');

# what has to do with indexes that are there
$node->safe_psql('postgres', q(CREATE INDEX p14_b ON p14 (b); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'p14_b'::regclass;
	CREATE INDEX p01_c ON p01 (c); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'p01_c'::regclass;
	CREATE INDEX p03_a ON p03 (a)));
is($node->safe_psql('postgres', q(SELECT statement FROM pgmaint.index_advice() WHERE relation = 'p01'::regclass)),
	'REINDEX INDEX CONCURRENTLY public.p01_c', 'an index that is invalid is to be rebuilt');
is($node->safe_psql('postgres', q(SELECT statement || '; ' || note FROM pgmaint.index_advice() WHERE relation = 'p03'::regclass)),
	'CREATE INDEX CONCURRENTLY ON public.p03 (a, c); replaces public.p03_a, which can be dropped afterwards',
	'one that is extended is named');
unlike($node->safe_psql('postgres', q(SELECT statement FROM pgmaint.index_advice() WHERE relation = 'p14'::regclass)),
	qr/REINDEX/, 'an invalid one of other columns is not');
$node->safe_psql('postgres', 'DROP INDEX p14_b, p01_c, p03_a');

# hypopg agrees with what was said of the costs
SKIP:
{
	skip "the server has no hypopg", 7 unless $have_hypopg;
	my @compared = split /\n/, $node->safe_psql('postgres', q(
		CREATE EXTENSION hypopg;
		CREATE TEMP TABLE agreed AS SELECT * FROM pgmaint.index_advice();
		CREATE FUNCTION pg_temp.cost(query text) RETURNS float LANGUAGE sql AS $$ SELECT (pgmaint.generic_plan(query) -> 0 -> 'Plan' ->> 'Total Cost')::float $$;
		CREATE FUNCTION pg_temp.ratio(query text, command text) RETURNS float LANGUAGE plpgsql AS $$
			DECLARE before float := pg_temp.cost(query); after float;
			BEGIN PERFORM hypopg_create_index(replace(command, 'CONCURRENTLY', '')); after := pg_temp.cost(query); PERFORM hypopg_reset(); RETURN after / before; END $$;
		SELECT a.relation, a.cost_left[1], pg_temp.ratio(s.query, a.statement)
		FROM agreed a JOIN pg_stat_statements s ON s.queryid = a.query_ids[1] AND s.userid = 10
		WHERE a.relation::text IN ('p01', 'p02', 'p03', 'p06', 'p13', 'p14')));
	is(scalar(@compared), 6, 'so many are compared with hypopg');
	foreach my $line (@compared)
	{
		my ($table, $ours, $theirs) = split /\|/, $line;
		ok(abs($ours - $theirs) < 0.05, "$table: the planner says the same with hypopg's index ($ours, $theirs)");
	}
}

# Who follows the advice has nothing more to do.
foreach my $command (split /\n/, $node->safe_psql('postgres', 'SELECT statement FROM pgmaint.index_advice()'))
{
	$node->safe_psql('postgres', $command);
}
$node->safe_psql('postgres', 'VACUUM ANALYZE');
$node->safe_psql('postgres', q(DELETE FROM pg_statistic WHERE starelid = 'l15'::regclass));
$node->safe_psql('postgres', 'CREATE TABLE l14_gone AS SELECT * FROM l14');
execute_all();
$node->safe_psql('postgres', 'DROP TABLE l14_gone');
is(advice(), '', 'once they are there, nothing more is advised');

# What has been executed says what parameters hide; a table needs no primary key,
# and what it was loaded with a moment ago is not what is written to it.
my @hidden = (
	[ 'h1', 'SELECT * FROM h1 WHERE flag', '(flag) WHERE flag' ],
	[ 'h2', 'SELECT * FROM h2 WHERE NOT always', '(always) WHERE (NOT always)' ],
	[ 'h3', 'SELECT * FROM h3 WHERE often IS NULL', '(often) WHERE (often IS NULL)' ],
	[ 'h4', 'SELECT * FROM h4 WHERE flag = true', '(flag) WHERE flag' ],
	[ 'h5', q(SELECT * FROM h5 WHERE t > now() - interval '5 minutes'), '(t)' ],
	[ 'h6', q(PREPARE h6_%d (interval) AS SELECT * FROM h6 WHERE t > now() - $1; EXECUTE h6_%d ('5 minutes')), '(t)' ],
	[ 'h7', q(SELECT * FROM h7 WHERE now() - interval '39990 minutes' > t), '(t)' ],
	# nor is there any advice where they say nothing, or nothing is to be gained
	[ 'n1', q(SELECT count(*) FROM n1 WHERE t > now() - interval '5 minutes'), undef, 'number of rows found in table "n1" depends on parameters' ],
	[ 'n2', q(SELECT * FROM n2 WHERE js ->> 'k' = '77'), undef, 'no B-tree index answers a condition on table "n2"' ],
	[ 'n3', 'SELECT * FROM n3 WHERE c = 77', undef, 'an index on table "n3" would not cover the tables that inherit from it' ],
	[ 'n4', q(SELECT * FROM n4 WHERE t > now() - interval '35000 minutes'), undef, undef ],
	[ 'n5', 'SELECT * FROM n5 WHERE always = true', undef, undef ]);
foreach my $case (@hidden)
{
	my ($table) = @$case;

	$node->safe_psql('postgres', "CREATE TABLE $table (c int, t timestamptz, js jsonb, flag bool, always bool, often timestamp, filler text);
		INSERT INTO $table SELECT g * 7919 % 40000, now() - g * interval '1 minute', jsonb_build_object('k', g), g % 500 = 0, g % 500 <> 0,
			CASE WHEN g % 500 <> 0 THEN now() END, repeat('x', 80) FROM generate_series(1, 40000) g");
	$node->safe_psql('postgres', 'CREATE TABLE n3_child () INHERITS (n3); WITH moved AS (DELETE FROM ONLY n3 RETURNING *) INSERT INTO n3_child SELECT * FROM moved')
	  if $table eq 'n3';
}
$node->safe_psql('postgres', 'VACUUM ANALYZE');
$node->safe_psql('postgres', 'SELECT pg_stat_statements_reset()');
$node->safe_psql('postgres', join(";\n", map { my $statement = $_->[1]; map { $statement =~ s/%d/$_/gr } 1 .. 7 } @hidden));
%given = map { $_ => 1 } split /\n/, advice();
$node->psql('postgres', 'SELECT FROM pgmaint.index_advice()', stderr => \$notices);
foreach my $case (@hidden)
{
	my ($table, $statement, $index, $notice) = @$case;

	is(join(', ', sort grep { /^$table / } keys %given), defined $index ? "$table $index" : '', "parameters: $statement");
	like($notices, qr/\Q$notice\E \(1, such as /, '... is named, with the reason') if defined $notice;
	unlike($notices, qr/table "$table"/, '... and says nothing') unless defined $index || defined $notice;
}

# What is written is measured from one note to the next.
$node->safe_psql('postgres', q(SELECT pgmaint_internal.note_table_writes(); UPDATE pgmaint_internal.table_writes SET noted_at = noted_at - interval '2 hours'));
$node->safe_psql('postgres', q(INSERT INTO h1 (c) SELECT g FROM generate_series(1, 1000) g));
is($node->safe_psql('postgres', q(SELECT round(pgmaint_internal.writes_per_day('h1'::regclass) / 1000), pgmaint_internal.writes_per_day('h2'::regclass))), '12|0', 'writes are a rate');
$node->safe_psql('postgres', q(UPDATE pgmaint_internal.table_writes SET noted_at = noted_at - interval '8 days'; SELECT pgmaint_internal.note_table_writes()));
is($node->safe_psql('postgres', q(SELECT round(pgmaint_internal.writes_per_day('h1'::regclass)), writes - writes_before FROM pgmaint_internal.table_writes WHERE relation = 'h1'::regclass)), '124|1000', '... from the older of two');
$node->safe_psql('postgres', q(SELECT pg_stat_reset(); INSERT INTO h1 (c) SELECT g FROM generate_series(1, 10) g));
$node->safe_psql('postgres', q(SELECT pgmaint_internal.note_table_writes()));
is($node->safe_psql('postgres', q(SELECT pgmaint_internal.writes_per_day('h1'::regclass), writes, writes_before FROM pgmaint_internal.table_writes WHERE relation = 'h1'::regclass)), '0|10|', '... and begins anew with the counters');

# The planner of index_usage() knows little of how many indexes there are.  It must
# not compare all with all others, nor compile what is short.
$node->safe_psql('postgres', q(CREATE DATABASE many));
$node->safe_psql('many', q(CREATE EXTENSION pgmaint;
	DO $$ BEGIN FOR i IN 1..300 LOOP EXECUTE format('CREATE TABLE m%s (id int PRIMARY KEY, n int REFERENCES m%s)', i, i); END LOOP; END $$;
	DO $$ BEGIN FOR i IN 1..150 LOOP EXECUTE format('ALTER TABLE m%s ADD UNIQUE (id)', i); END LOOP; END $$;
	ANALYZE));
my ($plan, $found);
$node->psql('many', q(LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;
	SET auto_explain.log_analyze = on; SET jit = on; SET jit_above_cost = 0; SET client_min_messages = log;
	SELECT count(*) FROM pgmaint.index_usage() WHERE kind = 'duplicate'), stdout => \$found, stderr => \$plan);
is($found, '150', 'index_usage: duplicates among many');
my ($usage) = $plan =~ /(CTE indexes.*?)LOG:/s;
like($usage, qr/CTE constraints.*CTE found/s, '... are seen in its plan');
is(join(' ', grep { $_ > 10_000 } $usage =~ /Rows Removed by Join Filter: ([0-9]+)/g), '', '... by comparing few');
unlike($usage, qr/JIT:/, '... without compiling anything');

# arguments
foreach my $argument ('min_calls => 0', 'min_mean_ms => -1', 'min_gain => NULL', 'max_statements => 0')
{
	my ($name) = split / /, $argument;
	my $error;

	$node->psql('postgres', "SELECT * FROM pgmaint.index_advice($argument)", stderr => \$error);
	like($error, qr/ERROR:  $name must/, "$argument is refused");
}

done_testing();
