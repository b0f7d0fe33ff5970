# The plans that come with pgmaint, on a server with none of the extensions that
# they can use: they do what can be done, and findings say what could not be
# looked at, and what to install.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('plans', 'fsync = off');

sub sql
{
	my ($statement) = @_;
	return $node->safe_psql('postgres', $statement);
}

sql(q{CREATE TABLE work (id int PRIMARY KEY, n int);
	INSERT INTO work SELECT g, g FROM generate_series(1, 20000) g;
	DELETE FROM work WHERE id % 2 = 0});

# what cannot be looked at, by check
my %told = (
	daily => {},
	weekly => {},
	monthly => { amcheck => qr/amcheck is not installed in database postgres: CREATE EXTENSION amcheck/ },
	quarterly => {
		slow_queries => qr/queries cannot be reviewed: .*pg_stat_statements.*(CREATE EXTENSION|shared_preload_libraries)/,
		index_advice => qr/no advice on indexes: .*pg_stat_statements.*(CREATE EXTENSION|shared_preload_libraries)/,
	});

foreach my $plan (qw(daily weekly monthly quarterly))
{
	my $run = sql("SELECT pgmaint.run('$plan')");

	is(wait_for_end($node, $run), 'succeeded', "$plan succeeds") or diag sql("SELECT pgmaint.report($run)");
	is(sql("SELECT string_agg(action, ' ' ORDER BY step) FROM (SELECT action, step FROM pgmaint.tasks WHERE run_id = $run ORDER BY step DESC LIMIT 2) t"),
		'validate escalate', '... and ends in validation and escalation');
	is(sql("SELECT string_agg(DISTINCT state, ' ') FROM pgmaint.tasks WHERE run_id = $run"), 'succeeded', '... with all of its tasks');
	is(sql("SELECT coalesce(array_length(array_remove(array_agg(s ->> 'action'), NULL), 1), 0) - current_step FROM pgmaint.runs r, jsonb_array_elements(steps) s WHERE run_id = $run GROUP BY current_step"),
		0, '... after the last of its steps');
	foreach my $check (sort keys %{ $told{$plan} })
	{
		like(sql("SELECT message FROM pgmaint.findings WHERE run_id = $run AND check_id = '$check'"), $told{$plan}{$check}, "... and says what $check lacked");
	}
	unlike(sql("SELECT string_agg(message, E'\\n') FROM pgmaint.findings WHERE run_id = $run"), qr/error|does not exist/i, '... in words, not in errors');
	like(sql("SELECT pgmaint.report($run)"), qr/succeeded/, '... and in its report');
}

is(sql(q{SELECT string_agg(plan || ' ' || schedule, ', ') FROM pgmaint_internal.default_schedules() WHERE plan = 'quarterly'}),
	'quarterly 0 5 1 1,4,7,10 *', 'the quarter begins four times a year');

# the same of an ordinary role that may ask for runs
sql(q{CREATE ROLE keeper LOGIN; CREATE SCHEMA keeping AUTHORIZATION keeper;
	GRANT USAGE ON SCHEMA pgmaint TO keeper; GRANT EXECUTE ON FUNCTION pgmaint.run(text, jsonb) TO keeper});
foreach my $plan (qw(weekly quarterly))
{
	my $run = $node->safe_psql('postgres', "SET ROLE keeper; SELECT pgmaint.run('$plan')");

	is(wait_for_end($node, $run), 'succeeded', "$plan of an ordinary role succeeds") or diag sql("SELECT pgmaint.report($run)");
}

$node->stop;
done_testing();
