# Which partitions are planned to leave, and how much is asked to find that out:
# bounds decide, partitions that are not due are not looked at, and catalogs are
# asked once for all that are due.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('planning', q(timezone = 'UTC'));

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# A policy for a table, with a plan for it.  Rows before the cut-off are old.
sub retain
{
	my ($table, $cutoff, $more) = @_;
	$more ||= q(archive => false);
	sql("SELECT pgmaint.add_retention('$table', 'at', now() - '$cutoff', $more, timezone => 'UTC')");
	sql("SELECT pgmaint.define_plan('$table', '[{\"action\": \"retention\", \"options\": {\"tables\": \"$table\"}}]')");
	return;
}

# What would leave: whole partitions, and others of which rows do.
sub planned
{
	my ($table, $before) = @_;
	$before ||= '';
	return sql("$before SELECT string_agg(regexp_replace(target, '^public\\.', '') || CASE WHEN command LIKE '%DETACH%' THEN '' ELSE ' rows' END, ', ' ORDER BY target)
		FROM pgmaint.dry_run('$table')");
}

# How many statements it takes to plan.
sub statements
{
	my ($table) = @_;
	my $offset = -s $node->logfile;

	sql("LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;
		SELECT count(*) FROM pgmaint.dry_run('$table')");
	return scalar(() = slurp_file($node->logfile, $offset) =~ /Query Text:/g);
}

#
# How much is asked
#
my $folder = PostgreSQL::Test::Utils::tempdir();
sql("CREATE SERVER archives FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder')");
sql(<<'EOS');
CREATE TABLE daily (at timestamptz NOT NULL) PARTITION BY RANGE (at);
SELECT format('CREATE TABLE daily_%s PARTITION OF daily FOR VALUES FROM (%L) TO (%L)', d, '2020-01-01'::timestamptz + d * interval '1 day', '2020-01-02'::timestamptz + d * interval '1 day')
FROM generate_series(100, 299) d \gexec
CREATE INDEX ON daily (at);
INSERT INTO daily SELECT '2020-01-01 12:00'::timestamptz + d * interval '1 day' FROM generate_series(100, 299) d;
EOS
my %asked;
foreach my $archive ('archive => false', q(storage => 'archives'))
{
	foreach my $due (0, 3, 199)
	{
		sql('SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies');
		retain('daily', sql("SELECT '2020-04-10 00:01'::timestamptz + $due * interval '1 day'"), $archive);
		is(sql(q(SELECT count(*) FROM pgmaint.dry_run('daily'))), $due, "$archive: $due of 200 partitions are due");
		$asked{$due} = statements('daily');
	}
	is($asked{199}, $asked{3}, '... as many statements find out for 199 as for 3');
}
cmp_ok($asked{0}, '<=', $asked{3}, '... and no more for none');

# a session that has what is not due
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE daily_103, daily_299 IN ACCESS EXCLUSIVE MODE');
sql('SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies');
retain('daily', '2020-04-13 00:01', 'archive => false');
is(planned('daily', q(SET lock_timeout = '1ms';)), 'daily_100, daily_101, daily_102', 'partitions that are not due are locked: the plan does not wait for them');
is( sql(q(BEGIN; SELECT count(*) FROM pgmaint.dry_run('daily'); SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation::regclass::text LIKE 'daily%')),
	"3\n0", '... and nothing is kept locked');
$holder->query_safe('COMMIT');
$holder->quit;

#
# What stands in the way of one partition keeps no other
#
sql(<<'EOS');
CREATE ROLE tenant;
CREATE TABLE mixed (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at);
SELECT format('CREATE TABLE mixed_%s PARTITION OF mixed (UNIQUE (id)) FOR VALUES FROM (%L) TO (%L)', d, '2020-01-01'::timestamptz + d * interval '1 day', '2020-01-02'::timestamptz + d * interval '1 day')
FROM generate_series(0, 9) d \gexec
CREATE INDEX ON mixed (at);
INSERT INTO mixed SELECT d, '2020-01-01 12:00'::timestamptz + d * interval '1 day' FROM generate_series(0, 9) d;
GRANT CREATE ON SCHEMA public TO tenant;
ALTER TABLE mixed_1 OWNER TO tenant;
CREATE RULE kept AS ON DELETE TO mixed_2 DO INSTEAD NOTHING;
CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN old; END';
CREATE TRIGGER noted BEFORE DELETE ON mixed_3 FOR EACH ROW EXECUTE FUNCTION pass();
CREATE VIEW shown AS SELECT * FROM mixed_4;
CREATE TABLE refs_5 (id int REFERENCES mixed_5 (id));
CREATE TABLE refs_6 (id int REFERENCES mixed_6 (id) ON DELETE CASCADE);
EOS
retain('mixed', '2020-01-10 00:01', q(storage => 'archives'));
my $run = sql(q(SELECT pgmaint.run_action('retention', '{"tables": "mixed"}')));
is(wait_for_end($node, $run), 'succeeded', 'partitions that something stands in the way of, and others') or diag run_error($node, $run);
is( sql("SELECT string_agg(regexp_replace(target, '^public\\.', '') || ': ' || coalesce(substring(reason FROM 'deleted individually.*'), 'whole'), '; ' ORDER BY target) FROM pgmaint.tasks WHERE run_id = $run"),
	'mixed_0: whole; mixed_3: deleted individually because trigger "noted" fires for each deleted row; mixed_5: deleted individually because foreign key "refs_5_id_fkey" of table public.refs_5 references the partition; mixed_7: whole; mixed_8: whole',
	'... each is planned by what is about itself');
is( sql("SELECT string_agg(regexp_replace(message, 'older than \\d\\S+', 'older than ...'), '; ' ORDER BY finding_id) FROM pgmaint.findings WHERE run_id = $run AND check_id = 'retention'") =~
	  s/belongs to role "(?!tenant)\w+"/belongs to role "..."/gr,
	join('; ',
		'the policy belongs to role "...", but partition public.mixed_1 belongs to role "tenant"; HINT: Use ALTER TABLE ... OWNER TO to give the partition the owner of its table.',
		'rule "kept" of table public.mixed_2 rewrites DELETE; HINT: Replace the rule with a trigger, or disable the rule with ALTER TABLE ... DISABLE RULE.',
		'partition public.mixed_4 is older than the cut-off but cannot be dropped: rule _RETURN on view public.shown depends on the partition',
		'foreign key "refs_6_id_fkey" of table public.refs_6 would delete rows of that table when rows of public.mixed_6 are archived; HINT: Make the foreign key ON DELETE NO ACTION and archive the rows of that table first, or add the policy with archive => false.'),
	'... and said why it stays');
is(sql('SELECT string_agg(id::text, $$,$$ ORDER BY id) FROM mixed'), '1,2,4,6,9', '... their rows stay, and those that are young');

#
# Bounds
#
my @tables = (
	# days of Berlin, one of which has 23 hours
	['zoned', 'timestamptz', 'RANGE (at)',
		{sat => q(FROM ('2020-03-28 00:00+01') TO ('2020-03-29 00:00+01')), sun => q(FROM ('2020-03-29 00:00+01') TO ('2020-03-30 00:00+02')), tue => q(FROM ('2020-03-30 00:00+02') TO ('2020-03-31 00:00+02'))},
		['2020-03-28 12:00+00', '2020-03-29 00:00+01', '2020-03-30 00:00+02'],
		'2020-03-29 21:30', 'zoned_sat, zoned_sun rows', '2020-03-29 22:30', 'zoned_sat, zoned_sun, zoned_tue rows'],
	# times without a zone are those of the policy's
	['unzoned', 'timestamp', 'RANGE (at)',
		{one => q(FROM ('-infinity') TO ('2020-03-29')), two => q(FROM ('2020-03-29') TO ('2020-03-30')), rest => q(FROM ('2020-03-30') TO ('infinity'))},
		['2020-03-28', '2020-03-29', '2020-03-30'],
		'2020-03-29 23:30', 'unzoned_one, unzoned_two rows', '2020-03-30 00:30', 'unzoned_one, unzoned_rest rows, unzoned_two'],
	# a date is old when the day of the cut-off is another
	['dates', 'date', 'RANGE (at)',
		{first => q(FROM (MINVALUE) TO ('2020-01-01')), next => q(FROM ('2020-01-01') TO ('2020-01-02')), last => q(FROM ('2020-01-02') TO (MAXVALUE)), 'rest' => 'DEFAULT'},
		['2019-01-01', '2020-01-01', '2020-01-02'],
		'2020-01-01 23:30', 'dates_first', '2020-01-02 00:30', 'dates_first, dates_next'],
	# rows between the bounds of others
	['gaps', 'timestamptz', 'RANGE (at)',
		{one => q(FROM ('2020-01-01') TO ('2020-02-01')), two => q(FROM ('2020-03-01') TO ('2020-04-01')), rest => 'DEFAULT'},
		['2020-01-15', '2020-02-15', '2020-03-15'],
		'2020-02-01 00:30', 'gaps_one', '2020-02-16', 'gaps_one, gaps_rest rows'],
	# all rows of a day, some of a day, none of it
	['pairs', 'date', 'RANGE (at, id)',
		{a => q(FROM (MINVALUE, MINVALUE) TO ('2020-01-01', MINVALUE)), b => q(FROM ('2020-01-01', MINVALUE) TO ('2020-01-02', 1)), c => q(FROM ('2020-01-02', 1) TO ('2020-01-02', MAXVALUE)), d => q(FROM ('2020-01-02', MAXVALUE) TO (MAXVALUE, MAXVALUE))},
		['2019-12-31', '2020-01-01', '2020-01-02'],
		'2020-01-02 12:00', 'pairs_a, pairs_b rows', '2020-01-03 12:00', 'pairs_a, pairs_b, pairs_c'],
	# bounds that say nothing of the column
	['listed', 'date', 'LIST (at)', {a => q(IN ('2020-01-01', '2020-01-03')), b => q(IN ('2020-01-02'))},
		['2020-01-01', '2020-01-02', '2020-01-03'],
		'2020-01-02 12:00', 'listed_a rows', '2020-01-03 12:00', 'listed_a rows, listed_b rows'],
	['hashed', 'timestamptz', 'HASH (at)', {a => 'WITH (MODULUS 1, REMAINDER 0)'},
		['2020-01-01'],
		'2019-12-31', '', '2020-01-02', 'hashed_a rows'],
	['truncated', 'timestamp', 'RANGE ((at::date))', {a => q(FROM ('2020-01-01') TO ('2020-01-02')), b => q(FROM ('2020-01-02') TO ('2020-01-03'))},
		['2020-01-01', '2020-01-02 12:00'],
		'2020-01-02 06:00', 'truncated_a rows', '2020-01-02 18:00', 'truncated_a rows, truncated_b rows'],
	['created', 'timestamp', 'RANGE (made)', {a => q(FROM ('2000-01-01') TO ('2000-01-02')), b => q(FROM ('2000-01-02') TO (MAXVALUE))},
		['2020-01-01'],
		'2019-12-31', '', '2020-01-02', 'created_b rows'],
	['second', 'date', 'RANGE (id, at)', {a => q(FROM (0, '2000-01-01') TO (5, '2000-01-01')), b => q(FROM (5, '2000-01-01') TO (9, '2000-01-01'))},
		['2020-01-01'],
		'2019-12-31 12:00', '', '2020-01-02', 'second_a rows'],);
foreach my $case (@tables)
{
	my ($table, $type, $key, $partitions, $rows, $sooner, $expected_sooner, $later, $expected_later) = @$case;

	sql("CREATE TABLE $table (at $type, id int DEFAULT 0, made timestamp DEFAULT '2010-01-01') PARTITION BY $key");
	foreach my $partition (sort keys %$partitions)
	{
		my $bounds = $partitions->{$partition};
		sql("CREATE TABLE ${table}_$partition PARTITION OF $table " . ($bounds eq 'DEFAULT' ? $bounds : "FOR VALUES $bounds"));
	}
	sql("CREATE INDEX ON $table (at); INSERT INTO $table VALUES " . join(', ', map { "('$_')" } @$rows));
	retain($table, $sooner);
	is(planned($table), $expected_sooner, "$key: as of $sooner");
	sql("UPDATE pgmaint.retention_policies SET keep = now() - '$later' WHERE relation = '$table'::regclass");
	is(planned($table), $expected_later, "... as of $later");
	is(planned($table, "SET timezone = 'America/New_York'; SET datestyle = 'German';"), $expected_later, '... whatever the session has set');
}

# of two levels, each has bounds of its own
sql(<<'EOS');
CREATE TABLE levels (at timestamptz NOT NULL, n int) PARTITION BY RANGE (at);
CREATE TABLE levels_old PARTITION OF levels FOR VALUES FROM ('2020-01-01') TO ('2020-02-01') PARTITION BY HASH (n);
CREATE TABLE levels_old_a PARTITION OF levels_old FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE levels_old_b PARTITION OF levels_old FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE levels_now PARTITION OF levels FOR VALUES FROM ('2020-02-01') TO (MAXVALUE) PARTITION BY RANGE (at);
CREATE TABLE levels_now_a PARTITION OF levels_now FOR VALUES FROM ('2020-02-01') TO ('2020-03-01');
CREATE TABLE levels_now_b PARTITION OF levels_now FOR VALUES FROM ('2020-03-01') TO ('2020-04-01');
CREATE TABLE levels_now_rest PARTITION OF levels_now DEFAULT;
CREATE INDEX ON levels (at);
INSERT INTO levels SELECT '2020-01-15'::timestamptz + m * interval '1 month', n FROM generate_series(0, 3) m, generate_series(1, 10) n;
EOS
retain('levels', '2020-03-10');
is(planned('levels'), 'levels_now_a, levels_old', 'two levels: what is old as a whole leaves as a whole');
sql(q(UPDATE pgmaint.retention_policies SET filter = 'n < 5' WHERE relation = 'levels'::regclass));
is(planned('levels'), 'levels_now_a rows, levels_old_a rows, levels_old_b rows', '... but rows do where only some are meant');
sql(q(UPDATE pgmaint.retention_policies SET filter = NULL, keep = now() - '2020-05-01' WHERE relation = 'levels'::regclass));
is(planned('levels'), 'levels_now_a, levels_now_b, levels_now_rest rows, levels_old', '... and out of a default partition');

# what archives are called
sql(q(SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies));
foreach my $case (
	['dates', '2020-01-03', 'beginning_20200101, 20200101_20200102'],
	['unzoned', '2020-03-30 00:30', 'beginning_20200329T000000, 20200329T000000_20200330T000000'],
	['zoned', '2020-03-29 22:30', '20200327T230000Z_20200328T230000Z, 20200328T230000Z_20200329T220000Z'],)
{
	my ($table, $cutoff, $expected) = @$case;
	retain($table, $cutoff, q(storage => 'archives'));
	is( sql("SET timezone = 'Asia/Tokyo'; SELECT string_agg(substring(command FROM '/((?:beginning|[0-9TZ]+)_[0-9TZ]+)-'), ', ' ORDER BY target)
		FROM pgmaint.dry_run('$table') WHERE command LIKE '%DETACH%'"),
		$expected, "$table: the ranges in the keys of archives");
}

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
