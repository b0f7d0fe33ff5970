# Following alerts costs in proportion to their number: not their number times
# that of tasks, runs, findings or earlier alerts.  Counted are the rows that
# all nodes of all plans visit, and the blocks that are read, by auto_explain: four
# times as much of everything is about four times the work, and far from sixteen
# times.
#
# The planner is told the least that it may know: statistics are from before the
# alerts began, when all that there were had been resolved.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use JSON::PP;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($few, $many) = (100, 400);
my $connection_samples = 20000;

my $node = start_server('escalation_scale', 'fsync = off', 'jit = off');

# Execute statements; returns the rows that were visited, and the blocks.
sub work_of
{
	my ($database, $statements) = @_;
	my %work = (rows => 0, blocks => 0);
	my ($output, $messages) = ('', '');

	$node->psql($database, q{LOAD 'auto_explain';
		SET auto_explain.log_min_duration = 0;
		SET auto_explain.log_level = 'notice';
		SET auto_explain.log_format = 'json';
		SET auto_explain.log_analyze = on;
		SET auto_explain.log_timing = off;
		SET auto_explain.log_buffers = on;
		SET auto_explain.log_nested_statements = on;
		SET client_min_messages = notice;
		} . $statements, stdout => \$output, stderr => \$messages, on_error_die => 1);
	my (undef, @plans) = split /^psql:.*? NOTICE: +duration: .* plan:\n/m, $messages;
	die "no plans: $messages" if !@plans;
	foreach my $plan (@plans)
	{
		my ($explained) = JSON::PP->new->decode_prefix($plan);
		my @nodes = ($explained->{Plan});

		# what a statement reads includes what its functions read
		$work{blocks} += $_ foreach grep { defined } @{ $explained->{Plan} }{ 'Shared Hit Blocks', 'Shared Read Blocks' };
		while (my $node = shift @nodes)
		{
			my $rows = 0;

			$rows += $_ foreach grep { defined } @$node{ 'Actual Rows', grep { /^Rows Removed/ } keys %$node };
			$work{rows} += $rows * $node->{'Actual Loops'};
			push @nodes, @{ $node->{Plans} || [] };
		}
	}
	return \%work;
}

sub follow
{
	my ($database) = @_;
	return work_of($database, join '', map { "SELECT pgmaint_internal.$_();\n" } qw(note_alerts resolve_alerts weigh_alerts queue_alerts escalation_due));
}

# A run with ten tasks for each alert.  Half of the alerts are tasks that
# failed, the others were noticed by tasks, and when tasks were planned.
my $run = q{INSERT INTO pgmaint.runs (plan, requested_by, role, database, steps, settings, state, started_at, finished_at, current_step)
	SELECT 'nightly', CURRENT_USER, 10, oid, '[{"action": "vacuum", "options": {"min_size": 1}}, {"action": "index_usage"}]', '{}',
		CASE WHEN FAILED > 0 THEN 'failed' ELSE 'succeeded' END, clock_timestamp(), clock_timestamp(), 2
	FROM pg_database WHERE datname = current_database();
	INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, started_at, finished_at, relation)
	SELECT max(r.run_id), 1, 'vacuum', 'public.t' || n, 'VACUUM public.t' || n, 'r', CASE WHEN n <= FAILED THEN 'failed' ELSE 'succeeded' END,
		clock_timestamp(), clock_timestamp(), 'pg_class'::regclass
	FROM pgmaint.runs r, generate_series(1, 10 * ALERTS) n GROUP BY n ORDER BY n;
	};
my $findings = q{INSERT INTO pgmaint.findings (run_id, step, task_id, check_id, severity, object, message)
	SELECT t.run_id, 1, t.task_id, CASE t.state WHEN 'failed' THEN 'failed' ELSE 'F004' END, 'warning', t.target, 'm'
	FROM (SELECT * FROM pgmaint.tasks WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs) ORDER BY task_id LIMIT 3 * ALERTS / 4) t;
	INSERT INTO pgmaint.findings (run_id, step, check_id, severity, object, message)
	SELECT max(r.run_id), 2, 'H002', 'warning', 'i' || n, 'm' FROM pgmaint.runs r, generate_series(1, ALERTS / 4) n GROUP BY n;
	};
# runs that look at other things, though at some of the same tables
my $other_runs = q{INSERT INTO pgmaint.runs (plan, requested_by, role, database, steps, settings, state, started_at, finished_at, current_step)
	SELECT 'hourly', CURRENT_USER, 10, oid, '[{"action": "vacuum", "options": {"min_size": 2}}, {"action": "index_usage", "options": {"min_size": 2}}]', '{}',
		'succeeded', clock_timestamp(), clock_timestamp(), 2
	FROM pg_database, generate_series(1, ALERTS) WHERE datname = current_database();
	};
my $history = q{INSERT INTO pgmaint_internal.alert_records (alert_id, check_id, object, severity, message, occurrences, first_seen, last_seen, severe_since,
		first_finding, last_finding, resolved_at, resolution)
	SELECT -n, 'failed', 'public.t' || n, 'warning', 'm', 1, now(), now(), now(), 0, 0, now(), 'r' FROM generate_series(1, 10 * ALERTS) n;
	SELECT pgmaint.add_contact('first', 'notify:first');
	SELECT pgmaint.add_contact('second', 'notify:second', 2, after => '1 day');
	SELECT pgmaint.add_contact('third', 'notify:third', 3, after => '2 days');
	INSERT INTO pgmaint.notifications (message_id, contact, kind, severity, subject, state, body, payload)
	VALUES (gen_random_uuid(), 'first', 'alert', 'warning', 's', 'sent', 'b', '{}');
	INSERT INTO pgmaint_internal.notified_alerts (alert_id, contact, kind, severity, notification_id)
	SELECT t.alert_id, 'first', k, 'warning', n.notification_id
	FROM pgmaint_internal.alert_records t, pgmaint.notifications n, unnest(ARRAY['alert', 'resolved']) k;
	INSERT INTO pgmaint_internal.acknowledgements (finding_id, alert_id, severity, acknowledged_by)
	SELECT 0, t.alert_id, 'warning', CURRENT_USER FROM pgmaint_internal.alert_records t;
	};

my %work;
foreach my $alerts ($few, $many)
{
	my $database = "with_$alerts";
	my $sql = sub {
		my ($statements) = @_;
		$statements =~ s/ALERTS/$alerts/g;
		return $node->safe_psql($database, $statements);
	};
	my $states = sub {
		return $sql->(q{SELECT string_agg(format('%s %s', n, state), ', ' ORDER BY state)
			FROM (SELECT state, count(*) AS n FROM pgmaint.alerts WHERE first_finding > 0 GROUP BY state) s});
	};
	my $failed = $alerts / 2;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$sql->('CREATE EXTENSION pgmaint; SELECT pgmaint.tick()');
	$sql->($history . $run =~ s/FAILED/$failed/gr);
	$sql->(q{INSERT INTO pgmaint_internal.connection_samples (sampled_at, connections, active, idle_in_transaction, max_connections)
		SELECT now() - n * interval '1 minute', 1, 1, 0, 100 FROM generate_series(1, } . $connection_samples . q{) n});
	follow($database);
	$sql->('ANALYZE');

	cmp_ok(work_of($database, 'SELECT pgmaint.tick();')->{rows}, '<', $connection_samples, 'a tick does not read all samples of connections');

	$sql->($findings);
	$work{'noted for the first time'}{$alerts} = follow($database);
	is($states->(), "$alerts notified", 'alerts that are noted');

	$sql->($other_runs);
	$work{'looked at again'}{$alerts} = follow($database);
	is($states->(), "$alerts notified", '... and looked at again');

	$sql->('SELECT pgmaint.acknowledge(first_finding) FROM pgmaint_internal.alert_records WHERE resolved_at IS NULL AND alert_id % 4 = 0');
	$work{'shown'}{$alerts} = work_of($database, 'SELECT * FROM pgmaint.alerts;');
	is($states->(), $alerts / 4 . ' acknowledged, ' . 3 * $alerts / 4 . ' notified', '... and acknowledged in part');

	$sql->($run =~ s/FAILED/$failed/gr . $findings);
	$work{'noticed again'}{$alerts} = follow($database);
	is($sql->('SELECT DISTINCT occurrences FROM pgmaint_internal.alert_records WHERE resolved_at IS NULL'), '2', '... and noticed again');

	$sql->($run =~ s/FAILED/0/gr);
	$work{'resolved'}{$alerts} = follow($database);
	is($states->(), "$alerts resolved", '... and resolved');
	is($sql->(q{SELECT count(*) FROM pgmaint_internal.notified_alerts WHERE kind = 'resolved' AND alert_id > 0}), $alerts, '... as contacts are told');
	is($sql->('SELECT count(*) FROM pgmaint_internal.alert_records WHERE NOT told'), '0', '... and it is noted that they are');
}

foreach my $what (sort keys %work)
{
	foreach my $unit (qw(rows blocks))
	{
		my ($less, $more) = map { $work{$what}{$_}{$unit} } $few, $many;

		cmp_ok($more, '<', 8 * $less, "$what: four times the alerts are no more than eight times the $unit") or diag "$less and $more";
		note "$what: $less and $more $unit";
	}
}

$node->stop;
done_testing();
