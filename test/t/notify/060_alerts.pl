# Who is told, by a real web server and a real SMTP server: an alert from its
# beginning to its end, what happens when they are down, hang or lie about who
# they are, and that nothing secret is seen anywhere.
#
# long: one server is enough

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_base64);
use FindBin;
use lib "$FindBin::RealBin/..";

use IPC::Run;
use JSON::PP;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $python = '/usr/bin/python3';
plan skip_all => 'python3-aiosmtpd is not installed' if system("$python -c 'import aiosmtpd' 2>/dev/null") != 0;

# the receivers, with a certificate of an authority of their own
my $folder = PostgreSQL::Test::Utils::tempdir();
my ($https, $http, $smtp) = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 3;
foreach my $command (
	qq(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout $folder/ca.key -out $folder/ca.pem),
	qq(openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout $folder/key.pem -out $folder/request.pem),
	qq(printf 'subjectAltName=DNS:localhost' > $folder/extension),
	qq(openssl x509 -req -days 2 -in $folder/request.pem -CA $folder/ca.pem -CAkey $folder/ca.key -CAcreateserial -extfile $folder/extension -out $folder/cert.pem))
{
	my $output = `($command) 2>&1`;
	BAIL_OUT($output) if $? != 0;
}
my $receiver = IPC::Run::start([ $python, "$FindBin::RealBin/../receiver.py", $folder, $https, $http, $smtp, "$folder/cert.pem", "$folder/key.pem" ],
	'<', \undef, '>', "$folder/output", '2>', "$folder/errors");

sub wait_for
{
	my ($condition, $what) = @_;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if $condition->();
		sleep 0.1;
	}
	diag("waited in vain for $what");
	return 0;
}
wait_for(sub { -e "$folder/ready" }, 'the receivers') or BAIL_OUT(slurp_file("$folder/errors"));

# What has arrived, by the path or the address it was sent to.
sub arrived
{
	my ($kind, $where) = @_;
	my @all = -e "$folder/$kind" ? map { decode_json($_) } grep { /\n/ } split /(?<=\n)/, slurp_file("$folder/$kind") : ();
	my @found = grep { ($kind eq 'http' ? $_->{path} : $_->{to}[0]) eq $where } @all;
	return @found;
}

# with all in its log that a log can have
my $node = start_server('escalation', 'log_min_duration_statement = 0', 'log_error_verbosity = verbose', "log_min_messages = debug1");

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub escalate
{
	my ($options) = @_;
	my $run = sql("SELECT pgmaint.run_action('escalate', " . ($options || 'NULL') . ')');
	is(wait_for_end($node, $run), 'succeeded', 'telling contacts succeeds') or diag run_error($node, $run);
	return sql("SELECT result - '{contacts, alerts, troubles}'::text[] FROM pgmaint.tasks WHERE run_id = $run");
}

# What tick has started may still be sending.
sub no_messengers
{
	sleep 0.5;
	$node->poll_query_until('postgres', q(SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'pgmaint messenger')))
	  or die 'a messenger does not end';
}

my @secrets = ('relay-password', 'signing-secret', 'bearer-token', 'path-secret');
$node->psql('postgres', <<"EOS");
SET log_statement = none;
SET log_min_duration_statement = -1;
CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (url 'smtp://localhost:$smtp', sender 'pgmaint\@example.com', ca_file '$folder/ca.pem');
CREATE USER MAPPING FOR PUBLIC SERVER mail OPTIONS (username 'pgmaint', password 'relay-password');
CREATE SERVER hook FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (ca_file '$folder/ca.pem', timeout '60s');
CREATE USER MAPPING FOR CURRENT_USER SERVER hook OPTIONS (secret 'signing-secret', token 'bearer-token', path '/path-secret');
CREATE SERVER plain FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (ca_file '$folder/ca.pem', timeout '60s');
EOS

#
# The life of an alert: a backup that fails, twice, and then does not
#
# what another database has noticed is nothing to be told here
sql(q(INSERT INTO pgmaint.findings (check_id, severity, message, identity) VALUES ('backup', 'warning', 'of the original', '0123456789abcdef0123456789abcdef')));
is(sql('SELECT pgmaint_internal.escalation_due()'), 'f', 'a finding of another database is no reason to escalate');
sql("SELECT pgmaint.add_contact('dba', 'mailto:dba\@example.com');
	SELECT pgmaint.add_contact('lead', 'https://localhost:$https', 2, server => 'hook', after => '1 second')");
mkdir "$folder/storage";
mkdir "$folder/storage/folder", 0700;
my $broken = "file://$folder/storage/file";
append_to_file("$folder/storage/file", '');
sql("CREATE SERVER backups FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url '$broken')");
sql(q(SELECT pgmaint.define_plan('nightly', '[{"action": "backup", "options": {"storage": "backups", "globals": false, "databases": ["postgres"]}}, "escalate"]')));
my $run = sql(q(SELECT pgmaint.run('nightly')));
is(wait_for_end($node, $run), 'failed', 'a backup fails');
my $about = 'SELECT state, severity, check_id, object, occurrences, level FROM pgmaint.alerts ORDER BY alert_id';
is(sql($about), 'notified|warning|backup|postgres|1|1', 'a contact is notified');
my @mails = arrived('mail', 'dba@example.com');
is(scalar @mails, 1, 'by mail');
is($mails[0]{from}, 'pgmaint@example.com', 'from the sender');
ok($mails[0]{tls}, 'over TLS');
like($mails[0]{subject}, qr/^\[pgmaint \S+ postgres\] warning: backup postgres: the backup of postgres failed: /, 'its subject');
like($mails[0]{text}, qr/^WARNING backup postgres\n    the backup of postgres failed: .*\n    noticed once, .*; alert \d+\n\nTo see all alerts: SELECT/m, 'its text');
like($mails[0]{id}, qr/^<[0-9a-f-]{36}\@example\.com>$/, 'its id');
is(join(' ', @{ $mails[0]{headers} }), 'date from to message-id subject auto-submitted mime-version content-type content-transfer-encoding', 'its headers');
is(scalar arrived('http', '/path-secret'), 0, 'the second level hears nothing of a warning');

# the keys of backups have the second in them
sql(q(SELECT pg_sleep_until(date_trunc('second', clock_timestamp()) + interval '1 second')));
$run = sql(q(SELECT pgmaint.run('nightly')));
is(wait_for_end($node, $run), 'failed', 'and again');
is(sql("SELECT severity, condition, occurrences FROM pgmaint.alerts"), 'critical|backups fail repeatedly|2', 'that is critical');
is(scalar arrived('mail', 'dba@example.com'), 2, 'the first level hears that');
like((arrived('mail', 'dba@example.com'))[1]{raw}, qr/^Importance: high\r$/m, 'as important');

# time goes by, and nothing runs
ok( wait_for(
		sub {
			sql('SELECT pgmaint.tick()');
			return scalar arrived('http', '/path-secret');
		},
		'the second level'),
	'the second level is told by tick');
ok( $node->poll_query_until('postgres', "SELECT state = 'escalated' AND level = 2 FROM pgmaint.alerts"), 'the alert is escalated');
no_messengers();
my ($hook) = arrived('http', '/path-secret');
my $message = decode_json($hook->{body});
my $headers = $hook->{headers};
is($headers->{'webhook-signature'}, 'v1,' . hmac_sha256_base64("$headers->{'webhook-id'}.$headers->{'webhook-timestamp'}.$hook->{body}", 'signing-secret') . '=',
	'a signature that the receiver can verify');
is($headers->{authorization}, 'Bearer bearer-token', 'the token');
is($headers->{'webhook-id'}, $message->{id}, 'the id');
is(join(' ', @{$message}{qw(kind severity database alerts_count)}), 'trouble critical postgres 1', 'what it is about');
is(join(' ', map { $_ // 'null' } @{ $message->{alerts}[0] }{qw(state severity check_id object action count condition resolution)}),
	'escalated critical backup postgres backup 2 backups fail repeatedly null', 'and the alert');
is_deeply([ @{$message}{qw(troubles_count troubles)} ], [ @{$message}{qw(alerts_count alerts)} ], '... also under the keys of version 0.2');
is($message->{alerts}[0]{escalation_id}, $message->{alerts}[0]{alert_id}, '... and the number of the alert');
is($message->{system_identifier}, sql('SELECT system_identifier FROM pg_control_system()'), 'of which cluster');

# it is over
sql("ALTER SERVER backups OPTIONS (SET url 'file://$folder/storage/folder')");
$run = sql(q(SELECT pgmaint.run('nightly')));
is(wait_for_end($node, $run), 'succeeded', 'the backup succeeds') or diag run_error($node, $run);
is(sql("SELECT state, resolution LIKE 'backup of postgres succeeded in run %' FROM pgmaint.alerts"), 'resolved|t', 'it is resolved');
ok(wait_for(sub { arrived('mail', 'dba@example.com') == 3 && arrived('http', '/path-secret') == 2 }, 'the end of the alert'), 'that is told');
like((arrived('mail', 'dba@example.com'))[2]{subject}, qr/\] resolved: backup postgres: /, 'the first level hears that');
is(decode_json((arrived('http', '/path-secret'))[1]{body})->{kind}, 'resolved', 'and the second');
escalate();
is(scalar(arrived('mail', 'dba@example.com')) . scalar(arrived('http', '/path-secret')), '32', 'once');

#
# Names that would be lines of a mail
#
sql(q(SELECT pgmaint.drop_contact('lead')));
sql(q(INSERT INTO pgmaint.findings (check_id, severity, object, message) VALUES ('names', 'warning',
	E'x\r\nBcc: evil@example.com\r\n\r\n.\r\nQUIT', E'Zoë = 数据\n.\nFrom here')));
escalate();
@mails = arrived('mail', 'dba@example.com');
is(scalar @mails, 4, 'one mail');
is(join(' ', @{ $mails[3]{to} }), 'dba@example.com', 'to no other address');
is(join(' ', @{ $mails[3]{headers} }), 'date from to message-id subject auto-submitted mime-version content-type content-transfer-encoding', 'without further headers');
like($mails[3]{subject}, qr/\] warning: names x Bcc: evil\@example\.com \. QUIT: Zo\x{eb} = \x{6570}\x{636e} \. From here$/, 'names are encoded');
like($mails[3]{text}, qr/^    Zo\x{eb} = \x{6570}\x{636e} \. From here$/m, 'in the text, too');
is(scalar(grep { length > 78 } split /\r\n/, $mails[3]{raw}), 0, 'no line is too long');
is(scalar arrived('mail', 'evil@example.com'), 0, 'no other address gets a mail');

# acknowledged: silence
is(sql(q(SELECT pgmaint.acknowledge(alert_id) FROM pgmaint.alerts WHERE check_id = 'names')), 't', 'a role acknowledges it');
sql(q(SELECT pgmaint.add_contact('late', 'mailto:late@example.com')));
sql(q(INSERT INTO pgmaint.findings (check_id, severity, object, message) SELECT check_id, severity, object, message FROM pgmaint.findings WHERE check_id = 'names'));
escalate();
is(sql(q(SELECT state, occurrences FROM pgmaint.alerts WHERE check_id = 'names')), 'acknowledged|2', 'acknowledged');
is(scalar(arrived('mail', 'dba@example.com')) . scalar(arrived('mail', 'late@example.com')), '40', 'no contact is notified');
sql(q(SELECT pgmaint.drop_contact('late')));

#
# Receivers that are down, and come back
#
append_to_file("$folder/down", '');
sql("SELECT pgmaint.add_contact('switch', 'https://localhost:$https/switch', server => 'plain')");
sql(q(INSERT INTO pgmaint.findings (check_id, severity, object, message) VALUES ('outage', 'warning', 'o', 'm')));
is(escalate(), '{"sent": 1, "failed": 1}', 'one is told, one cannot be');
my $waiting = q(SELECT state, attempts, error, next_attempt > now() FROM pgmaint.notifications WHERE contact = 'switch' ORDER BY notification_id);
is(sql($waiting), 'failed|1|the webhook answered with status 503|t', 'it waits');
sql(q(UPDATE pgmaint.thresholds SET value = '0' WHERE check_id = 'undelivered_messages'));
my $checked = q(SELECT status, object, detail FROM pgmaint.validate() WHERE check_id = 'undelivered_messages');
like(sql($checked), qr/^critical\|switch\|1 message to contact switch waits to be sent and is .* old: the webhook answered with status 503; see pgmaint.notifications$/,
	'which validate() finds');
is(sql(q(SELECT string_agg(value::text, ' ' ORDER BY labels::text) FROM pgmaint.metrics WHERE name = 'pgmaint_unsent_messages')), '1 0', 'and the metrics have');
escalate();
is(scalar arrived('http', '/switch'), 1, 'and is not tried at once');
escalate(q('{"retry": true}')) for 1 .. 2;
is(scalar arrived('http', '/switch'), 3, 'unless that is asked for');
is(sql(q(SELECT severity, object, message FROM pgmaint.findings WHERE check_id = 'delivery')),
	'warning|switch|contact "switch" cannot be reached: the webhook answered with status 503; see pgmaint.notifications', 'a contact that cannot be reached is a finding');
escalate();
like((arrived('mail', 'dba@example.com'))[5]{subject}, qr/delivery switch/, 'of which others are told');
unlink "$folder/down";
is(escalate(q('{"retry": true}')), '{"sent": 1, "failed": 0}', 'when it is back, it is told');
is(sql($waiting), 'sent|4||', 'the message is sent');
is(sql($checked), 'ok||no messages wait to be sent', 'and all is in order');
my %ids = map { $_->{headers}{'webhook-id'} => 1 } arrived('http', '/switch');
is(scalar keys %ids, 1, 'always under the same id');
escalate();
is(sql(q(SELECT state, resolution FROM pgmaint.alerts WHERE check_id = 'delivery')), 'resolved|a message to contact switch was sent', 'and that alert is over');
sql(q(SELECT pgmaint.drop_contact('switch')));

#
# Receivers that are not who they should be, or lead elsewhere
#
sql("CREATE SERVER strange FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (url 'smtp://localhost:$smtp', sender 'pgmaint\@example.com');
	CREATE SERVER nobody FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (url 'smtp://localhost:$smtp', sender 'pgmaint\@example.com', ca_file '$folder/ca.pem')");
$node->psql('postgres', q(SET log_statement = none; SET log_min_duration_statement = -1; CREATE USER MAPPING FOR PUBLIC SERVER strange OPTIONS (username 'pgmaint', password 'relay-password');
	CREATE USER MAPPING FOR PUBLIC SERVER nobody OPTIONS (username 'pgmaint', password 'wrong-password')));
sql("SELECT pgmaint.add_contact('unknown', 'https://localhost:$https/unknown');
	SELECT pgmaint.add_contact('address', 'https://127.0.0.1:$https/unknown', server => 'plain');
	SELECT pgmaint.add_contact('strange', 'mailto:strange\@example.com', server => 'strange');
	SELECT pgmaint.add_contact('nobody', 'mailto:nobody\@example.com', server => 'nobody');
	SELECT pgmaint.add_contact('moved', 'https://localhost:$https/moved', server => 'plain');
	SELECT pgmaint.add_contact('closed', 'http://localhost:1/', server => 'plain')");
sql(q(INSERT INTO pgmaint.findings (check_id, severity, object, message) VALUES ('trust', 'warning', 'o', 'm')));
is(escalate(), '{"sent": 1, "failed": 6}', 'one is told, six cannot be');
my %expected = (
	unknown => qr/certificate/i,
	address => qr/certificate|subject name/i,
	strange => qr/certificate/i,
	nobody => qr/login denied/i,
	moved => qr/status 302, a redirect, which is not followed/,
	closed => qr/connect/i);
like(sql("SELECT error FROM pgmaint.notifications WHERE contact = '$_'"), $expected{$_}, "$_: why") foreach sort keys %expected;
is(scalar arrived('http', '/unknown'), 0, 'nothing is sent to a stranger');
is(scalar arrived('mail', 'strange@example.com'), 0, 'not by mail either');
is(scalar arrived('http', '/elsewhere'), 0, 'nor to the target of a redirect');
sql("SELECT pgmaint.drop_contact('$_')") foreach sort keys %expected;
sql('DROP SERVER strange CASCADE; DROP SERVER nobody CASCADE');

#
# A receiver that hangs delays no other message, and no secret is visible meanwhile
#
$node->psql('postgres', q(SET log_statement = none; SET log_min_duration_statement = -1; CREATE SERVER slow FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (timeout '60s');
	CREATE USER MAPPING FOR CURRENT_USER SERVER slow OPTIONS (secret 'signing-secret', token 'bearer-token')));
sql("SELECT pgmaint.add_contact('hang', 'http://localhost:$http/hang', server => 'slow')");
my $before = arrived('mail', 'dba@example.com');
sql(q(INSERT INTO pgmaint.findings (check_id, severity, object, message) VALUES ('hang', 'warning', 'o', 'm')));
$run = sql(q(SELECT pgmaint.run_action('escalate')));
ok( $node->poll_query_until('postgres', q(SELECT EXISTS (SELECT FROM pgmaint.notifications WHERE contact = 'dba' AND subject LIKE '%hang o%' AND state = 'sent'))),
	'another is told');
is(run_state($node, $run), 'running', 'while it hangs');
is(scalar arrived('mail', 'dba@example.com'), $before + 1, 'the mail is there');
unlike(sql(q(SELECT string_agg(concat(query, application_name), ' ') FROM pg_stat_activity)), qr/$_/, "no $_ in pg_stat_activity") foreach @secrets;
sql("SELECT pgmaint.cancel($run)");
is(wait_for_end($node, $run), 'cancelled', 'a cancel does not wait for it');
sql(q(ALTER SERVER slow OPTIONS (SET timeout '1s')));
is(escalate(q('{"retry": true}')), '{"sent": 0, "failed": 1}', 'it is given up in time');
like(sql(q(SELECT error FROM pgmaint.notifications WHERE contact = 'hang')), qr/timed out/i, 'and why');
sql(q(SELECT pgmaint.drop_contact('hang')));

#
# A crash between sending and noting it: once more, under the same id
#
sql(q(ALTER SERVER slow OPTIONS (SET timeout '60s')));
sql("SELECT pgmaint.add_contact('slow', 'http://localhost:$http/slow', server => 'slow')");
sql(q(INSERT INTO pgmaint.findings (check_id, severity, object, message) VALUES ('crash', 'warning', 'o', 'm')));
$run = sql(q(SELECT pgmaint.run_action('escalate')));
ok(wait_for(sub { scalar arrived('http', '/slow') }, 'the request'), 'a message arrives');
ok( $node->poll_query_until('postgres', q(SELECT EXISTS (SELECT FROM pgmaint.notifications WHERE contact = 'dba' AND subject LIKE '%crash o%' AND state = 'sent'))),
	'and another, which is noted');
my $offset = -s $node->logfile;
my $pid = sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgmaint task worker'));
kill 'KILL', $pid;
wait_for_restart($node, $offset);
append_to_file("$folder/go", '');
is(wait_for_end($node, sql('SELECT max(run_id) FROM pgmaint.runs')), 'interrupted', 'the run is interrupted') if sql('SELECT pgmaint.tick()') eq 't';
escalate(q('{"retry": true}'));
my @slow = arrived('http', '/slow');
is($slow[1]{headers}{'webhook-id'}, $slow[0]{headers}{'webhook-id'}, 'it comes again, under the same id');
is($slow[1]{body}, $slow[0]{body}, 'and is the same');
is(sql(q(SELECT state FROM pgmaint.notifications WHERE contact = 'slow' ORDER BY notification_id LIMIT 1)), 'sent', 'then it is noted');
is(scalar(grep { $_->{subject} =~ /crash o/ } arrived('mail', 'dba@example.com')), 1, 'what was noted does not come again');
sql(q(SELECT pgmaint.drop_contact('slow')));

#
# Several processes at the same time: each message once
#
# all of them together are fewer than one message lists
sql("SELECT pgmaint.add_contact('many', 'http://localhost:$http/many')");
foreach my $round (1 .. 5)
{
	sql("INSERT INTO pgmaint.findings (check_id, severity, object, message) SELECT 'many', 'warning', '$round.' || g, 'm' FROM generate_series(1, 8) g");
	sql("SELECT pgmaint.tick(); SELECT pgmaint.run_action('escalate'); SELECT pgmaint.tick()");
}
ok( $node->poll_query_until('postgres',
		q(SELECT NOT EXISTS (SELECT FROM pgmaint.runs WHERE state IN ('queued', 'running')) AND NOT EXISTS (SELECT FROM pgmaint.notifications WHERE state = 'pending')
		AND NOT EXISTS (SELECT FROM pgmaint.findings WHERE check_id = 'many' AND coalesce(alert_id, 0) = 0))),
	'all are told');
my %alerts;
$alerts{ $_->{object} }++ foreach grep { $_->{check_id} eq 'many' } map { @{ decode_json($_->{body})->{alerts} } } arrived('http', '/many');
is(scalar keys %alerts, 40, 'of all');
is(scalar(grep { $_ > 1 } values %alerts), 0, 'once');
sql(q(SELECT pgmaint.drop_contact('many')));

#
# Before a window opens
#
sql(q(SELECT pgmaint.add_contact('users', 'mailto:users@example.com', severity => 'critical', after => '1 year', windows => true);
	SELECT pgmaint.add_window('night', '{0,1,2,3,4,5,6}', ((now() + interval '30 minutes') AT TIME ZONE 'UTC')::time, '2 hours', 'UTC');
	INSERT INTO pgmaint_internal.plan_schedules (plan, scheduled_by, schedule, job_id, role, database)
	SELECT p, CURRENT_USER, '*/5 * * * *', 1, 10, oid FROM pg_database, unnest('{nightly,tick}'::text[]) p WHERE datname = current_database()));
ok( wait_for(
		sub {
			sql('SELECT pgmaint.tick()');
			return scalar arrived('mail', 'users@example.com');
		},
		'the message about a window'),
	'users are told');
no_messengers();
my ($window) = arrived('mail', 'users@example.com');
like($window->{subject}, qr/maintenance begins at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/, 'when');
like($window->{text}, qr/^Maintenance window night of database postgres .*\n\nScheduled plans:\n\n    nightly at \S+: backup, escalate\n\n/, 'what');
escalate();
is(scalar arrived('mail', 'users@example.com'), 1, 'once');
sql("SET pgmaint.clock_offset = '1d'; SELECT pgmaint.run_action('escalate')");
ok($node->poll_query_until('postgres', q(SELECT count(*) = 2 FROM pgmaint.notifications WHERE kind = 'window' AND state = 'sent')), 'and again before the next');

#
# Nothing secret is anywhere
#
my $tables = sql(q(SELECT string_agg(format('SELECT x::text FROM %s x', oid::regclass), ' UNION ALL ') FROM pg_class
	WHERE relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND relkind IN ('r', 'v') AND relname NOT IN ('schedules')));
my $rows = sql($tables);
my $log = slurp_file($node->logfile);
foreach my $secret (@secrets)
{
	ok($rows !~ /$secret/, "no $secret in a table");
	ok($log !~ /$secret/, "no $secret in the log");
}
like($rows, qr/backups fail repeatedly/, 'that looks at the tables');

sql(q(DROP EXTENSION pgmaint CASCADE));
$node->stop;
$receiver->signal('TERM');
eval { $receiver->finish };
done_testing();
