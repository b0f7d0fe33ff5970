# Schedules with a real pg_cron, in both of its modes, from databases that it
# does not live in: jobs fire and runs come of them, the view shows what pg_cron
# knows and what is wrong, no role gains rights, and missed runs are found.
#
# slow: begins first

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($library) = run_command([ 'pg_config', '--pkglibdir' ]);
chomp $library;
plan skip_all => 'pg_cron is not installed' unless -e "$library/pg_cron.so";

my $odd = q(it's "odd");
my $odd_plan = q(it's the "night" in \\ here);

# A server whose pg_cron lives in a database of its own.
sub start_cron_server
{
	my ($name, @lines) = @_;
	my $node = start_server($name, "cron.database_name = 'keeper'", "cron.timezone = 'GMT'", @lines);

	$node->safe_psql('postgres', q(CREATE DATABASE keeper ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0));
	$node->safe_psql('postgres', 'CREATE DATABASE "it\'s ""odd"""');
	$node->safe_psql($odd, 'CREATE EXTENSION pgmaint; CREATE TABLE t AS SELECT 1 AS id');
	return $node;
}

my $node = start_cron_server('cron');

sub sql
{
	my ($sql, $database) = @_;
	return $node->safe_psql($database || $odd, $sql);
}

sub refused
{
	my ($sql, $expected, $name, $database) = @_;
	my ($status, $stdout, $stderr) = $node->psql($database || $odd, $sql);

	isnt($status, 0, "$name: refused");
	like($stderr, $expected, "$name: why");
}

sub literal
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

# each step on the way to pg_cron is said
refused(q(SELECT pgmaint.schedule('weekly')),
	qr/ERROR:  schedules need pg_cron, which is not loaded\nHINT:  .*shared_preload_libraries = 'pg_cron', restart the server, and execute CREATE EXTENSION pg_cron in database "keeper"/,
	'settings of pg_cron without its library');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_cron'\ncron.host = '" . $node->host . "'");
$node->restart;
refused(q(SELECT pgmaint.schedule('weekly')),
	qr/ERROR:  pg_cron is not installed in database "keeper"\nHINT:  Execute CREATE EXTENSION pg_cron in that database/,
	'no extension');
like(($node->psql($odd, 'SELECT count(*) FROM pgmaint.schedules'))[2],
	qr/WARNING:  could not query pg_cron: pg_cron is not installed/, 'no extension: the view warns');
sql('CREATE EXTENSION pg_cron', 'keeper');

my $background = start_cron_server('background', 'cron.use_background_workers = on', "shared_preload_libraries = 'pg_cron'");
wait_for_server($background);
$background->safe_psql('keeper', 'CREATE EXTENSION pg_cron');

# 1.5 and later know seconds
my $version = sql(q(SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'), 'keeper');
my $soon = $version =~ /^1\.[1-4](\D|$)/ ? '* * * * *' : '1 second';

# Jobs that fire are waited for at the end of this part, all at once.
my $define = 'SELECT pgmaint.define_plan(' . literal($odd_plan) . q{, '["analyze"]')};
my $schedule = 'SELECT pgmaint.schedule(' . literal($odd_plan) . qq{, '$soon', '{"tables": ["public.t"]}')};
foreach my $server ($node, $background)
{
	$server->safe_psql($odd, "$define; $schedule");
	$server->safe_psql($odd, qq(SELECT pgmaint.define_plan('gone', '["analyze"]'); SELECT pgmaint.schedule('gone', '$soon'); SELECT pgmaint.drop_plan('gone')));
	$server->safe_psql($odd, qq(SELECT pgmaint.schedule('tick', '$soon')));
}
is(sql(q(SELECT command FROM cron.job WHERE database = 'it''s "odd"' AND jobname LIKE '%night%'), 'keeper'),
	q(CALL pgmaint.run_and_wait(E'it''s the "night" in \\\\ here', '{"tables": ["public.t"]}')),
	'client sessions: the job waits');
is($background->safe_psql('keeper', q(SELECT command FROM cron.job WHERE jobname LIKE '%night%')),
	q(SELECT pgmaint.run(E'it''s the "night" in \\\\ here', '{"tables": ["public.t"]}')),
	'background workers: the job does not');

# the default set, and again
sub the_set
{
	return sql(q(SELECT string_agg(concat_ws(' ', plan, schedule, job_id), ', ' ORDER BY plan) FROM pgmaint.schedule_all()), 'postgres');
}
sql(q(SELECT pgmaint.schedule('weekly', '0 22 * * 6', '{"scope": "all"}')), 'postgres');
my $set = the_set();
like($set, qr/^(daily \S+ \S+ \* \* \* \d+, )?monthly 0 4 1 \* \* \d+, (quarterly [^,]+[\d,]* \* \d+, )?tick \*\/10 \* \* \* \* \d+, weekly 0 22 \* \* 6 \d+$/,
	'the set: one call, and what is scheduled keeps its time');
is(the_set(), $set, 'the set: again, and nothing changes');
is( sql(q(SELECT command FROM pgmaint.schedules WHERE plan = 'weekly' AND next_run > now() AND active AND problem IS NULL), 'postgres'),
	q(CALL pgmaint.run_and_wait('weekly', '{"scope": "all"}')), 'the set: and its options');
is(sql(q(SELECT jobname FROM cron.job WHERE command ~ 'weekly'), 'keeper'), 'pgmaint weekly in postgres', 'the set: the name of a job');

# one that cannot be
refused(q(SELECT pgmaint.schedule('weekly', '0 3 * *')), qr/ERROR:  invalid schedule: "0 3 \* \*"\nHINT:  .*five fields/, 'four fields');
refused(q(SELECT pgmaint.schedule('weekly', '0 3 31 2 *')), qr/ERROR:  schedule "0 3 31 2 \*" never occurs/, 'never');
refused(q(SELECT pgmaint.schedule('nothing')), qr/ERROR:  plan "nothing" does not exist/, 'no plan');
refused('SELECT pgmaint.schedule(' . literal($odd_plan) . ')', qr/has no default schedule\nHINT:  Pass a schedule, for example SELECT pgmaint\.schedule\(.*, '0 3 \* \* 0'\)/, 'no time');
refused(q(SELECT pgmaint.schedule('weekly', options => '{"no": 1}')), qr/unrecognized option "no"/, 'no option');
refused(q(SELECT pgmaint.schedule('weekly', options => '{"tables": "t"}')), qr/relation "t" does not exist/, 'a table without its schema');
refused(q(SELECT pgmaint.schedule('tick', options => '{}')), qr/schedule of "tick" takes no options/, 'options for tick');
refused(q(SELECT pgmaint.schedule('weekly', '10 seconds')), qr/ERROR:  invalid schedule: 10 seconds\nHINT:  Use five fields of numbers, such as/, 'what an older pg_cron does not know')
  if $version =~ /^1\.[1-4](\D|$)/;

# whose rights
sql(q(CREATE ROLE app LOGIN; CREATE ROLE "odd role" LOGIN; CREATE ROLE nologin; GRANT USAGE ON SCHEMA pgmaint TO app, nologin;
	GRANT EXECUTE ON FUNCTION pgmaint.schedule, pgmaint.unschedule TO app, nologin));
refused(q(SET ROLE nologin; SELECT pgmaint.schedule('weekly')), qr/role "nologin" cannot (have schedules|run maintenance) because it is not permitted to log in/, 'no login');
refused(q(SET ROLE app; SELECT pgmaint.schedule('weekly')), qr/permission denied for role "app" to execute pgmaint\.run_and_wait.*\nHINT:  Execute GRANT EXECUTE ON PROCEDURE pgmaint\.run_and_wait\(text, jsonb, bigint\) TO app\./, 'no right to run');
sql(q(GRANT EXECUTE ON PROCEDURE pgmaint.run_and_wait TO app));
refused(q(SET ROLE app; SELECT pgmaint.schedule('weekly')), qr/permission denied for schema cron\nHINT:  As a superuser, execute in database "keeper": GRANT USAGE ON SCHEMA cron TO app; GRANT EXECUTE ON FUNCTION cron\.schedule_in_database TO app/, 'no right to pg_cron');
sql('GRANT USAGE ON SCHEMA cron TO app', 'keeper');
refused(q(SET ROLE app; SELECT pgmaint.schedule('weekly')), qr/permission denied for function schedule_in_database\nHINT:  As a superuser/, 'no right to other databases');
sql('GRANT EXECUTE ON FUNCTION cron.schedule_in_database TO app', 'keeper');
sql(q(SET ROLE app; SELECT pgmaint.schedule('weekly', '0 1 * * 1')));
sql(q(SELECT pgmaint.schedule('weekly', '0 2 * * 2')));
is(sql(q(SELECT string_agg(username || ' ' || schedule, ', ' ORDER BY username) FROM cron.job WHERE jobname = 'pgmaint weekly in it''s "odd"'), 'keeper'),
	'app 0 1 * * 1, ' . $node->safe_psql('postgres', 'SELECT current_user') . ' 0 2 * * 2', 'two roles schedule the same plan');
refused(q(SET ROLE app; SELECT pgmaint.unschedule('weekly', 'postgres')), qr/permission denied to remove a schedule of role "postgres"/, 'what is another\'s');
is(sql(q(SET ROLE app; SELECT pgmaint.unschedule('weekly'))), 't', 'unscheduled by its role');
is(sql(q(SET ROLE app; SELECT pgmaint.unschedule('weekly'))), 'f', 'which it was');
sql(q(SET ROLE app; SELECT pgmaint.schedule('weekly', '0 1 * * 1')));
is(sql(q(SELECT pgmaint.unschedule('weekly', 'app'))), 't', 'unscheduled by a superuser');
is(sql(q(SELECT count(*) FROM cron.job WHERE username = 'app'), 'keeper'), '0', 'and gone');

# what the view shows beside
is(sql(q(SELECT concat_ws('|', schedule, active, problem) FROM pgmaint.schedules WHERE plan = 'weekly')), '0 2 * * 2|t', 'the view: a schedule');
sql(q(UPDATE cron.job SET active = false WHERE schedule = '0 2 * * 2'), 'keeper');
is(sql(q(SELECT concat_ws('|', schedule, active, next_run, problem) FROM pgmaint.schedules WHERE plan = 'weekly')), '0 2 * * 2|f|paused in pg_cron', 'the view: paused');
sql(q(SELECT pgmaint.schedule('weekly', '0 2 * * 2')));
is(sql(q(SELECT concat_ws('|', schedule, active, problem) FROM pgmaint.schedules WHERE plan = 'weekly')), '0 2 * * 2|t', 'the view: scheduled again');
sql(q(UPDATE cron.job SET schedule = '0 9 * * 2' WHERE schedule = '0 2 * * 2'), 'keeper');
is(sql(q(SELECT concat_ws('|', schedule, problem) FROM pgmaint.schedules WHERE plan = 'weekly')), '0 9 * * 2|schedule was changed in pg_cron: schedule the plan again', 'the view: another time');
sql(q(DELETE FROM cron.job WHERE schedule = '0 9 * * 2'), 'keeper');
like(sql(q(SELECT problem FROM pgmaint.schedules WHERE plan = 'weekly')), qr/^pg_cron has no such job/, 'the view: lost');
is(sql(q(SELECT pgmaint.unschedule('weekly'))), 't', 'the view: and forgotten');

# a rollback: elsewhere the job stays, here it does not
sql(q(BEGIN; SELECT pgmaint.schedule('monthly', '1 1 1 1 *'); ROLLBACK));
is(sql(q(SELECT concat_ws('|', schedule, problem) FROM pgmaint.schedules WHERE plan = 'monthly')), '1 1 1 1 *|job is known to pg_cron only: schedule the plan again, or unschedule it', 'rolled back: the job is there and shows');
is(sql(q(SELECT pgmaint.unschedule('monthly'))), 't', 'rolled back: unscheduled');
is(sql(q(SELECT count(*) FROM pgmaint.schedules WHERE plan = 'monthly')), '0', 'rolled back: and gone');
sql('CREATE EXTENSION pgmaint', 'keeper');
is(sql(q(BEGIN; SELECT pgmaint.schedule('monthly') > 0; SELECT count(*) FROM pgmaint.schedules WHERE problem IS NULL; ROLLBACK; SELECT count(*) FROM pgmaint.schedules), 'keeper'),
	"t\n1\n0", 'rolled back in pg_cron\'s own database: nothing is left');

# an encoding that pg_cron's database does not have
sql(q(CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0), 'postgres');
sql(qq(SET client_encoding = 'UTF8'; CREATE EXTENSION pgmaint; SELECT pgmaint.define_plan(E'n\\u00e4chtlich', '["analyze"]'); SELECT pgmaint.schedule(E'n\\u00e4chtlich', '0 3 * * *')), 'latin');
is(sql(q(SELECT jobname = U&'pgmaint n\00e4chtlich in latin' FROM cron.job WHERE database = 'latin'), 'keeper'), 't', 'another encoding: the job');
is(sql(q(SELECT plan = U&'n\00e4chtlich' AND problem IS NULL FROM pgmaint.schedules), 'latin'), 't', 'another encoding: the view');

# a name longer than pg_cron 1.4 takes
my $long = 'x' x 70;
sql(qq(SELECT pgmaint.define_plan('$long', '["analyze"]'); SELECT pgmaint.define_plan('${long}y', '["analyze"]');
	SELECT pgmaint.schedule('$long', '0 3 * * *'); SELECT pgmaint.schedule('${long}y', '0 3 * * *')));
is(sql(q(SELECT count(DISTINCT job_id), count(problem) FROM pgmaint.schedules WHERE plan LIKE 'xxx%')), '2|0', 'long names: two jobs');
is(sql(qq(SELECT pgmaint.unschedule('$long'), pgmaint.unschedule('${long}y'))), 't|t', 'long names: unscheduled');

# a session that waits for pg_cron's table does not wait forever, and can be cancelled
{
	my $locker = $node->background_psql('keeper');

	$locker->query_safe('BEGIN; LOCK TABLE cron.job IN ACCESS EXCLUSIVE MODE');
	refused(q(SET statement_timeout = '500ms'; SELECT pgmaint.schedule('monthly')), qr/canceling statement due to statement timeout/, 'pg_cron is locked, a timeout here');
	$node->poll_query_until('postgres', q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pgmaint cron worker')) or die 'a worker is left';
	pass('pg_cron is locked, a timeout here: the worker ends too');
	refused(q(SELECT pgmaint.schedule('monthly')), qr/canceling statement due to lock timeout/, 'pg_cron is locked');
	$locker->query_safe('ROLLBACK');
	$locker->quit;
}

# now the jobs have fired, or will
foreach my $case ([ $node, 'client sessions' ], [ $background, 'background workers' ])
{
	my ($server, $mode) = @$case;
	my $plan = literal($odd_plan);

	ok($server->poll_query_until($odd, "SELECT count(*) > 0 FROM pgmaint.runs WHERE plan = $plan AND state = 'succeeded'"), "$mode: a job fired, and a run came of it");
	is($server->safe_psql($odd, "SELECT options, (SELECT count(*) FROM pgmaint.tasks t WHERE t.run_id = r.run_id AND t.target = 'public.t') FROM pgmaint.runs r WHERE plan = $plan ORDER BY run_id LIMIT 1"),
		'{"tables": ["public.t"]}|1', "$mode: with its options");
	ok($server->poll_query_until('keeper', q(SELECT count(*) > 0 FROM cron.job_run_details WHERE status = 'succeeded' AND command ~ 'night')), "$mode: pg_cron knows that it succeeded");
	ok($server->poll_query_until($odd, "SELECT last_outcome = 'succeeded' AND last_run > now() - interval '5 minutes' FROM pgmaint.schedules WHERE plan = $plan"), "$mode: and the view does");
	ok($server->poll_query_until('keeper', q(SELECT count(*) > 0 FROM cron.job_run_details WHERE status = 'failed' AND command ~ 'gone')), "$mode: a plan that is gone fails");
	ok($server->poll_query_until($odd, q(SELECT last_outcome ~ '^failed.*plan "gone" does not exist' FROM pgmaint.schedules WHERE plan = 'gone')), "$mode: and the view says why");
	ok($server->poll_query_until($odd, q(SELECT last_outcome = 'succeeded' FROM pgmaint.schedules WHERE plan = 'tick')), "$mode: tick fired");
	is($server->safe_psql($odd, "SELECT bool_and(pgmaint.unschedule(plan)) FROM unnest(ARRAY[$plan, 'gone', 'tick']) plan"), 't', "$mode: unscheduled");
}

# What was missed: a schedule of Sundays, and a server that runs on all days.
my $sundays = q(SELECT string_agg(severity || ' ' || object || ': ' || regexp_replace(message, '\d{4}-\d\d-\d\d 03:00:00[+0-9:]*', 'SUNDAY', 'g') || ' ' || (detail ->> 'missed'), E'\n' ORDER BY finding_id) FROM pgmaint.findings WHERE check_id = 'missed_schedule');
sql(q(SELECT pgmaint.schedule('weekly', '0 3 * * 0'); SELECT pgmaint.tick()));
is(sql($sundays), '', 'missed: nothing yet');
sql(q(UPDATE pgmaint_internal.plan_schedules SET checked_until = pgmaint.next_run('0 3 * * 0', now() - interval '15 days') - interval '1 hour' WHERE plan = 'weekly'; SELECT pgmaint.tick()));
like(sql($sundays), qr/^warning weekly: (2|3) scheduled runs of plan "weekly" from SUNDAY to SUNDAY were missed; the server started later, at .*; see pgmaint\.schedules \1$/,
	'missed: two weeks are one finding');
my $found = sql($sundays);
sql('SELECT pgmaint.tick()') for 1 .. 2;
is(sql($sundays), $found, 'missed: once');

sub sundays_after
{
	my ($runs, $name) = @_;

	sql('SET client_min_messages = warning; TRUNCATE pgmaint.runs CASCADE');
	sql(qq(INSERT INTO pgmaint.runs (plan, requested_by, role, database, steps, settings, state, requested_at, finished_at)
		SELECT 'weekly', 'x', role, database, '[]', '{}', 'succeeded', v.requested_at, v.finished_at FROM pgmaint_internal.plan_schedules,
			LATERAL (SELECT pgmaint.next_run('0 3 * * 0', now() - interval '15 days') AS sunday) s, LATERAL (VALUES $runs) v (requested_at, finished_at)
		WHERE plan = 'weekly')) if $runs;
	sql(q(UPDATE pgmaint_internal.plan_schedules SET noted_at = NULL, checked_until = pgmaint.next_run('0 3 * * 0', now() - interval '15 days') - interval '1 hour' WHERE plan = 'weekly';
		SELECT pgmaint.tick()));
	return sql(q(SELECT coalesce(sum((detail ->> 'missed')::int), 0) FROM pgmaint.findings WHERE check_id = 'missed_schedule'));
}
my $all = sundays_after('');
is(sundays_after("(sunday + interval '1 s', sunday + interval '2 h')"), $all - 1, 'missed: not the one that ran');
is(sundays_after("(sunday + interval '6 days', sunday + interval '6 days 1 h')"), $all - 1, 'missed: late is not never');
is(sundays_after("(sunday - interval '5 min', sunday + interval '1 s')"), $all - 1, 'missed: pg_cron waits for the run before');
is(sundays_after("(sunday - interval '5 min', sunday - interval '1 s')"), $all, 'missed: but not for one that is over');
is(sundays_after("(sunday - interval '5 min', sunday + interval '20 days')"), 0, 'missed: however long it takes');
sql(q(UPDATE pgmaint_internal.plan_schedules SET database = 1));
is(sundays_after(''), 0, 'missed: what a copy of a database was told is not its own');

# a run finds them too
sql(q(SELECT pgmaint.schedule('weekly', '0 3 * * 0');
	UPDATE pgmaint_internal.plan_schedules SET noted_at = NULL, checked_until = now() - interval '8 days' WHERE plan = 'weekly'; CALL pgmaint.run_and_wait('monthly')));
is(sql(q(SELECT r.plan, f.object FROM pgmaint.findings f JOIN pgmaint.runs r USING (run_id) WHERE check_id = 'missed_schedule')), 'monthly|weekly', 'missed: a run finds it');

# the other mode
$node->append_conf('postgresql.conf', 'cron.use_background_workers = on');
$node->restart;
is(sql(q(SELECT string_agg(DISTINCT problem, ', ') FROM pgmaint.schedules WHERE plan <> 'tick'), 'postgres'), 'job was made for another value of cron.use_background_workers: schedule the plan again', 'the other mode: shows');
is(the_set(), $set, 'the other mode: the set is made again');
is(sql(q(SELECT string_agg(DISTINCT problem, ', ') FROM pgmaint.schedules), 'postgres'), '', 'the other mode: and is right');

# without pgmaint the jobs are there still, and those of others are left alone
is(sql(q(SELECT cron.schedule('pgmaint is not all there is', '0 0 1 1 *', 'SELECT 1') > 0), 'keeper'), 't', 'a job of another kind');
sql(q(DROP EXTENSION pgmaint), 'postgres');
is(sql(q(SELECT count(*) FROM cron.job WHERE database = 'postgres'), 'keeper'), scalar(split /, (?=[a-z])/, $set), 'DROP EXTENSION leaves the jobs');

$_->stop foreach $node, $background;
unlike(slurp_file($_->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed') foreach $node, $background;

done_testing();
