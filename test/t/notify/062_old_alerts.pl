# Alerts from before the update to 0.3: rows, numbers, states and privileges stay,
# the numbers in messages that were sent still work, and no number acknowledges an
# alert that it may not mean.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use JSON::PP;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('old_alerts');
my $database = 'old';
$node->safe_psql('postgres', "CREATE DATABASE $database; CREATE ROLE reader; CREATE ROLE on_call");

sub sql
{
	return $node->safe_psql($database, $_[0]);
}

# The answer, and what was said.
sub acknowledge
{
	my ($number) = @_;
	my ($status, $answer, $messages) = $node->psql($database, "SELECT pgmaint.acknowledge($number)");
	$messages =~ s/^psql:<stdin>:\d+: //mg;
	return ($answer, $messages);
}

sub state_of
{
	my ($alert) = @_;
	return sql("SELECT state FROM pgmaint.alerts WHERE alert_id = $alert");
}

# As 0.2 has them: alerts are numbered from 1, the worst first, and so are findings.
# Alerts 1 and 2 have each other's number as their only finding.  Two findings are
# about alert 3, of which the second has the number of alert 4, which is resolved.
# The finding of alert 4 has the number of alert 5, and that of alert 5 the number
# of alert 6.
sql(q(CREATE EXTENSION pgmaint VERSION '0.2'));
sql(q(
INSERT INTO pgmaint.findings (check_id, severity, object, message)
SELECT 'c', s, o, 'm' FROM (VALUES (1, 'warning', 'two'), (2, 'critical', 'one'), (3, 'warning', 'three'), (4, 'warning', 'three'),
	(5, 'warning', 'four'), (6, 'warning', 'five'), (7, 'info', 'six'), (8, 'warning', 'seven'), (9, 'critical', 'eight'), (10, 'warning', 'nine')) x (n, s, o) ORDER BY n;
INSERT INTO pgmaint.troubles (check_id, object, severity, message, occurrences, first_seen, last_seen, severe_since, first_finding, last_finding, level, resolved_at, resolution)
SELECT 'c', o, s, 'm', 1, '2026-11-01', '2026-11-02', '2026-11-01', f, l, v, r, 'over' FROM (VALUES
	(1, 'one', 'critical', 2, 2, 1, NULL::timestamptz), (2, 'two', 'warning', 1, 1, 0, NULL), (3, 'three', 'warning', 3, 4, 1, NULL), (4, 'four', 'warning', 5, 5, 1, '2026-11-03'),
	(5, 'five', 'warning', 6, 6, 0, NULL), (6, 'nine', 'warning', 10, 10, 0, NULL), (7, 'eight', 'critical', 9, 9, 2, NULL), (8, 'seven', 'warning', 8, 8, 1, '2026-11-03')) x (n, o, s, f, l, v, r) ORDER BY n;
UPDATE pgmaint.findings f SET escalation_id = t.escalation_id FROM pgmaint.troubles t WHERE t.object = f.object AND f.severity <> 'info';
INSERT INTO pgmaint.acknowledgements (finding_id, escalation_id, severity, acknowledged_by) VALUES (10, 6, 'warning', 'somebody');
INSERT INTO pgmaint.notifications (message_id, contact, kind, severity, subject, state, body, payload)
SELECT gen_random_uuid(), 'dba', k, 'warning', 's', s, E'b\n\nSELECT * FROM pgmaint.escalations shows all of it.\nb', '{"troubles": []}'
FROM (VALUES (1, 'trouble', 'sent'), (2, 'resolved', 'sent'), (3, 'trouble', 'failed')) x (n, k, s) ORDER BY n;
INSERT INTO pgmaint.notified_troubles (escalation_id, contact, kind, severity, notification_id) VALUES (1, 'dba', 'trouble', 'critical', 1), (4, 'dba', 'resolved', 'warning', 2);
GRANT USAGE ON SCHEMA pgmaint TO reader, on_call;
GRANT SELECT ON pgmaint.escalations TO reader;
GRANT SELECT (escalation_id, state) ON pgmaint.escalations TO on_call;
GRANT SELECT (trouble_severity) ON pgmaint.finding_results TO on_call;
GRANT EXECUTE ON FUNCTION pgmaint.acknowledge(bigint) TO on_call WITH GRANT OPTION;
CREATE VIEW ours AS SELECT escalation_id, state, pgmaint.acknowledge(NULL::bigint) FROM pgmaint.escalations;
));
my $rows = q(SELECT e.%s, e.state, e.severity, e.object, e.occurrences, e.first_seen, e.last_seen, e.level, e.acknowledged_by, e.resolved_at, e.resolution, e.first_finding FROM pgmaint.%s e ORDER BY 1);
my $before = sql(sprintf $rows, 'escalation_id', 'escalations');
like($before, qr/^1\|notified\|critical\|one\|.*^2\|open\|.*^4\|resolved\|.*^6\|acknowledged\|.*\|somebody\|.*^7\|escalated\|/ms, 'alerts of all states');
my $findings = sql('SELECT finding_id, escalation_id FROM pgmaint.findings ORDER BY finding_id');

sql('ALTER EXTENSION pgmaint UPDATE');
is(sql(sprintf $rows, 'alert_id', 'alerts'), $before, 'the update keeps alerts, their numbers and states');
is(sql('SELECT finding_id, alert_id FROM pgmaint.findings WHERE finding_id <= 10 ORDER BY finding_id'), $findings, '... and their findings');
is(sql('SELECT kind, state FROM pgmaint.notifications ORDER BY notification_id'), "alert|sent\nresolved|sent\nalert|failed", '... and messages');
is(sql(q(SELECT notification_id FROM pgmaint.notifications WHERE body LIKE '%pgmaint.alerts shows%')), '3', '... of which those to be sent name the new view');
is(sql('SELECT alert_id, kind FROM pgmaint_internal.notified_alerts ORDER BY 1'), "1|alert\n4|resolved", '... and who was notified');
is(sql('SELECT max(escalation_id) FROM ours'), '8', 'what users made still works');

# privileges
is(sql('SET ROLE reader; SELECT count(*) FROM pgmaint.alerts'), '8', 'the right to read the view stays');
is(sql('SET ROLE on_call; SELECT count(alert_id), count(state) FROM pgmaint.alerts'), '8|8', '... that to read columns');
is(sql(q(SELECT has_column_privilege('on_call', 'pgmaint.finding_results', 'alert_severity', 'SELECT'))), 't', '... of another view');
is(sql('SET ROLE on_call; SELECT pgmaint.acknowledge(8)'), 'f', '... and that to acknowledge');
is(sql(q(SELECT has_function_privilege('on_call', 'pgmaint.acknowledge(bigint)', 'EXECUTE WITH GRANT OPTION'))), 't', '... with the option to grant it');
is(sql(q(SELECT has_function_privilege('reader', 'pgmaint.acknowledge(bigint)', 'EXECUTE'))), 'f', 'other roles may not');
is(sql('SELECT pgmaint.acknowledge(alert_id => 8)'), 'f', 'its argument has the new name');

# each alert has a number without doubt
is(sql(q(SELECT string_agg(alert_id || ' ' || (finding_id > 10), ', ' ORDER BY alert_id) FROM pgmaint.alerts WHERE resolved_at IS NULL)),
	'1 true, 2 true, 3 false, 5 true, 6 false, 7 false', 'alerts whose numbers are all taken get another');
my ($one, $two, $five) = map { sql("SELECT finding_id FROM pgmaint.alerts WHERE alert_id = $_") } 1, 2, 5;
is(sql("SELECT severity, object, message FROM pgmaint.findings WHERE finding_id = $five"),
	'info|five|alert 5 is from before version 0.3; this finding gives it a number that no other alert has', '... which is that of a finding');
foreach my $number (1, 2)
{
	my ($answer, $messages) = acknowledge($number);
	my ($about, $other) = $number == 1 ? (qw(one two)) : (qw(two one));
	my $other_number = 3 - $number;
	is($answer, '', "$number may be two alerts");
	like($messages, qr/^ERROR:  alert number $number is ambiguous\nDETAIL:  Alert $number is about c $about; finding $number belongs to alert $other_number, about c $other\.\n/, '... which are named');
	like($messages, qr/^HINT:  To acknowledge alert $number: SELECT pgmaint\.acknowledge\(@{[ $number == 1 ? $one : $two ]}\)\. To acknowledge alert $other_number: SELECT pgmaint\.acknowledge\(@{[ $number == 1 ? $two : $one ]}\)\.$/m, '... with numbers for both');
}
is(state_of(1) . ' ' . state_of(2), 'notified open', '... and neither is acknowledged');
is((acknowledge($two))[0], 't', 'the number in the hint works');
is(state_of(1) . ' ' . state_of(2), 'notified acknowledged', '... for that alert');

# messages of 0.2 name findings
is(join('|', acknowledge(9)), 't|', 'the number in an old message works');
is(state_of(7), 'acknowledged', '... for the alert of that finding');
my ($answer, $messages) = acknowledge(4);
is($answer, 't', '... also where an alert of that number is resolved');
like($messages, qr/^NOTICE:  finding 4 belongs to alert 3, about c three, which is now acknowledged; alert 4 is resolved$/, '... which is said');
is(state_of(3), 'acknowledged', '... for the alert of that finding');
($answer, $messages) = acknowledge(5);
is($answer, '', 'an old message about an alert that is resolved does not acknowledge the alert of that number');
like($messages, qr/^ERROR:  alert number 5 is ambiguous\nDETAIL:  Alert 5 is about c five; finding 5 belongs to alert 4, about c four, which is resolved\.\nHINT:  To acknowledge alert 5: SELECT pgmaint\.acknowledge\($five\)\.$/, '... but says how to');
is(state_of(5), 'open', '... which is not');

# a finding that is for information is in no message
sql('UPDATE pgmaint_internal.alert_records SET resolved_at = NULL WHERE alert_id = 8');
sql(q(DELETE FROM pgmaint_internal.acknowledgements WHERE alert_id = 7));
is(join('|', acknowledge(7)), 't|', 'a number that only an alert can have works');
is(state_of(7), 'acknowledged', '... for that alert');
is(join('|', acknowledge(8)), 't|', 'so does one that is an alert and a finding of it');
is(state_of(8), 'acknowledged', '... for that alert');

# new alerts
sql(q(SELECT pgmaint.add_contact('dba', 'notify:dba');
	SELECT setval('pgmaint.findings_finding_id_seq', 100);
	INSERT INTO pgmaint.findings (check_id, severity, object, message) VALUES ('new', 'warning', 'o', 'm')));
my $run = sql(q(SELECT pgmaint.run_action('escalate')));
is(wait_for_end($node, $run, $database), 'succeeded', 'contacts are notified');
is(sql(q(SELECT alert_id FROM pgmaint.alerts WHERE check_id = 'new')), '101', 'a new alert has the number of its first finding');
is(sql(q(SELECT count(*) FROM pgmaint_internal.notified_alerts WHERE alert_id = 1)), '1', 'what was told before is not told again');
like(sql(q(SELECT body FROM pgmaint.notifications WHERE kind = 'alert' ORDER BY notification_id DESC LIMIT 1)), qr/alert 5, finding $five\n.*alert 101\n.*acknowledge it: SELECT pgmaint\.acknowledge\($five\)$/s,
	'a message about an older alert names a number of it without doubt');
is((acknowledge($five))[0] . state_of(5), 'tacknowledged', '... that works');
is(join('|', acknowledge(101)), 't|', 'a new alert is acknowledged by its number');

# A channel takes less than 8000 bytes: the list under its new name goes first.
sql(q(SELECT pgmaint.define_plan('tell', '["escalate"]')));
foreach my $case ([ 2, 'alerts,alerts_count,troubles,troubles_count' ], [ 8, 'alerts_count,troubles,troubles_count' ], [ 20, 'alerts_count,troubles_count' ])
{
	my ($alerts, $expected) = @$case;

	sql("INSERT INTO pgmaint.findings (check_id, severity, object, message) SELECT 'long', 'warning', '$alerts.' || n, repeat('x', 300) FROM generate_series(1, $alerts) n");
	my (undef, $output, undef) = $node->psql($database, q(LISTEN dba; CALL pgmaint.run_and_wait('tell'); SELECT 1));
	my ($payload) = $output =~ /^Asynchronous notification "dba" with payload "(.*)" received/m;
	is(join(',', grep { /^(alerts|troubles)/ } sort keys %{ decode_json($payload || '{}') }), $expected, "$alerts alerts: what a channel gets");
}

# an update where alerts have had more numbers than findings
$node->safe_psql('postgres', "DROP DATABASE $database");
$node->safe_psql('postgres', "CREATE DATABASE $database");
sql(q(CREATE EXTENSION pgmaint VERSION '0.2'; SELECT setval('pgmaint.troubles_escalation_id_seq', 50); ALTER EXTENSION pgmaint UPDATE;
	INSERT INTO pgmaint.findings (check_id, severity, message) VALUES ('new', 'warning', 'm')));
is(sql('SELECT max(finding_id) FROM pgmaint.findings'), '51', 'no new alert gets a number that an old one had');

# ... and where rows have come from a publisher, which moves no sequence
$node->safe_psql('postgres', "DROP DATABASE $database");
$node->safe_psql('postgres', "CREATE DATABASE $database");
sql(q(CREATE EXTENSION pgmaint VERSION '0.2';
	INSERT INTO pgmaint.findings (finding_id, check_id, severity, object, message) OVERRIDING SYSTEM VALUE VALUES (1, 'c', 'warning', 'two', 'm'), (2, 'c', 'warning', 'one', 'm');
	INSERT INTO pgmaint.troubles (escalation_id, check_id, object, severity, message, occurrences, first_seen, last_seen, severe_since, first_finding, last_finding)
	OVERRIDING SYSTEM VALUE SELECT n, 'c', o, 'warning', 'm', 1, now(), now(), now(), f, f FROM (VALUES (1, 'one', 2), (2, 'two', 1)) x (n, o, f);
	ALTER EXTENSION pgmaint UPDATE));
is(sql('SELECT string_agg(alert_id || \' \' || finding_id, \', \' ORDER BY alert_id) FROM pgmaint.alerts'), '1 3, 2 4', 'rows of a publisher: the numbers go on after them');

$node->stop;
done_testing();
