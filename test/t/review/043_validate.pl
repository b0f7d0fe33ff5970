# validate() where it takes more than one server, or a server with faults: a
# standby that does not replay, an archiver that fails, settings that wait.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use lib "$FindBin::RealBin/..";
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION pgmaint');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

sub check
{
	my ($node, $check, $column) = @_;
	return $node->safe_psql('postgres', "SELECT $column FROM pgmaint.validate() WHERE check_id = '$check' ORDER BY object");
}

sub wait_for
{
	my ($node, $check, $condition) = @_;
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pgmaint.validate() WHERE check_id = '$check' AND $condition")
	  or diag check($node, $check, 'status, detail');
	return;
}

sub set_threshold
{
	my ($check, $threshold, $value) = @_;
	$primary->safe_psql('postgres', "UPDATE pgmaint.thresholds SET value = '$value' WHERE check_id = '$check' AND threshold = '$threshold'");
	return;
}

# Standbys.
$primary->wait_for_catchup($standby);
is(check($primary, 'replication_lag', 'status, object'), 'ok|standby', 'a standby that keeps up is in order');
like(check($standby, 'recovery', "status || ' ' || detail"), qr/^warning the server is in recovery/, 'a standby says that it is one');
is($standby->safe_psql('postgres', 'SELECT count(*) > 15 FROM pgmaint.validate()'), 't', '... and can be validated');
# An index that is unused here may be used there.
my $unused = q(SELECT detail FROM pgmaint.index_usage(min_size => 0) WHERE "index" = 'public.read_there_b_idx');
$primary->safe_psql('postgres', q(CREATE TABLE read_there AS SELECT g AS a, g AS b FROM generate_series(1, 1000) g; CREATE INDEX ON read_there (b);
	SELECT pgmaint_internal.take_index_scans(); UPDATE pgmaint_internal.index_scans SET since = since - interval '40 days'));
like($primary->safe_psql('postgres', $unused), qr/^not used since [\d-]+; the standby may use the index: check there first$/,
	'an unused index that the standby may use');
set_threshold('replication_lag', 'warning', '10 milliseconds');
$primary->wait_for_catchup($standby);
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$primary->safe_psql('postgres', 'CREATE TABLE behind AS SELECT 1');
wait_for($primary, 'replication_lag', "status = 'warning'");
like(check($primary, 'replication_lag', 'detail'), qr/^standby standby is .+ behind: .+ of WAL, streaming$/, 'a standby that does not replay is behind');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
$primary->wait_for_catchup($standby);
# What was found last is there for a role that monitors, and on the standby.
$primary->safe_psql('postgres', 'CREATE ROLE watcher LOGIN IN ROLE pg_monitor');
$primary->wait_for_catchup($standby);
my $last = q(SELECT name, labels, value FROM pgmaint.metrics WHERE name IN ('pgmaint_check_status', 'pgmaint_last_validation_timestamp_seconds') ORDER BY 1, 2);
is($standby->safe_psql('postgres', $last, extra_params => [ '-U', 'watcher' ]), '', 'a standby knows of no validation before the first');
$primary->safe_psql('postgres', q(SELECT pgmaint.define_plan('examine', '["validate"]')));
$primary->safe_psql('postgres', q(CALL pgmaint.run_and_wait('examine')));
$primary->wait_for_catchup($standby);
like($primary->safe_psql('postgres', $last), qr/^pgmaint_check_status\|.*^pgmaint_last_validation_timestamp_seconds\|\{\}\|\d/ms, 'what was found last');
is($_->safe_psql('postgres', $last, extra_params => [ '-U', 'watcher' ]), $primary->safe_psql('postgres', $last), '... for a role that monitors, on ' . $_->name)
  foreach $primary, $standby;
$standby->stop;
wait_for($primary, 'replication_lag', "detail = 'no standby is connected'");
like($primary->safe_psql('postgres', $unused), qr/^not used since [\d-]+$/, 'an index that no standby may use');

# Archiving.
$primary->append_conf('postgresql.conf', "archive_mode = on\narchive_command = 'false'\n");
$primary->stop;
$primary->start;
set_threshold('archiver', 'warning', '0');
$primary->safe_psql('postgres', 'CREATE TABLE archived AS SELECT 1; SELECT pg_switch_wal()');
wait_for($primary, 'archiver', "status = 'warning'");
like(check($primary, 'archiver', 'detail'), qr/^archiving of WAL has failed for .+, last for [0-9A-F]{24}; see the server's log$/, 'an archiver that fails is noticed');
set_threshold('archiver', 'critical', '0');
is(check($primary, 'archiver', 'status'), 'critical', '... and is critical after a time');
$primary->append_conf('postgresql.conf', "archive_command = 'true'\n");
$primary->reload;
wait_for($primary, 'archiver', "status = 'ok'");
like(check($primary, 'archiver', 'detail'), qr/^WAL was archived .* ago$/, '... until it works again');

# What waits for a restart.
$primary->safe_psql('postgres', 'ALTER SYSTEM SET max_connections = 77');
$primary->reload;
wait_for($primary, 'pending_restart', "status = 'warning'");
is(check($primary, 'pending_restart', 'detail'), '1 setting waits for a restart: max_connections', 'a setting that waits for a restart is named');
$primary->stop;
$primary->start;
is(check($primary, 'pending_restart', 'status'), 'ok', '... until then');

# Transactions that stay open.
set_threshold('long_transactions', 'warning', '0');
my $session = $primary->background_psql('postgres');
$session->query_safe('BEGIN; SELECT 1');
like(check($primary, 'long_transactions', "status || ' ' || detail"), qr/^warning the oldest transaction has been open for .*: process \d+ of role \w+ in database postgres.*, idle in transaction$/,
	'who has a transaction open is named');
$session->quit;
wait_for($primary, 'long_transactions', "status = 'ok'");
pass('... until it ends');

# A webhook that does not answer.
my $hook = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp', Timeout => $PostgreSQL::Test::Utils::timeout_default) or die "no socket: $!";
my $port = $hook->sockport;
$primary->safe_psql('postgres', "SELECT pgmaint.add_contact('on call', 'http://127.0.0.1:$port/')");
$primary->safe_psql('postgres', q(INSERT INTO pgmaint.findings (check_id, severity, message) VALUES ('test', 'warning', 'm')));
$primary->safe_psql('postgres', q(SELECT pgmaint.define_plan('tell', '[{"action": "escalate", "options": {"retry": true}}]'); CALL pgmaint.run_and_wait('tell')));
is(check($primary, 'undelivered_messages', 'status'), 'ok', 'a message that has just failed is in order');
set_threshold('undelivered_messages', 'warning', '0');
like(check($primary, 'undelivered_messages', "status || ' ' || detail"), qr/^warning 1 message to contact "on call" waits to be sent and is [\d:]+ old: .*connect.*; see pgmaint\.notifications$/i,
	'... and a warning after a time');
set_threshold('undelivered_messages', 'critical', '0');
is(check($primary, 'undelivered_messages', 'status'), 'critical', '... and is critical after another');
$hook->listen(5) or die "cannot listen: $!";
$primary->safe_psql('postgres', q(SELECT pgmaint.run('tell')));
my $request = $hook->accept or die 'no connection';
my $message = '';
while ($message !~ /^Content-Length: (\d+)(?=\r\n).*?\r\n\r\n(.*)/ims || length $2 < $1)
{
	sysread $request, $message, 65536, length $message or last;
}
like($message, qr/^POST \/ HTTP.*"check_id": "test"/s, 'the message comes');
print $request "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
close $request;
wait_for($primary, 'undelivered_messages', "status = 'ok'");
is(check($primary, 'undelivered_messages', 'detail'), 'no messages wait to be sent', '... and is in order again');

# Tasks that validate at the same time wait for each other, however long that takes.
my $holder = $primary->background_psql('postgres', on_error_stop => 0);
$holder->query_safe('BEGIN; LOCK TABLE pgmaint_internal.last_validation IN SHARE MODE');
my $run = $primary->safe_psql('postgres', q(SET pgmaint.lock_timeout = '10ms'; SET pgmaint.lock_retries = 0; SELECT pgmaint.run_action('validate')));
ok( $primary->poll_query_until('postgres', qq(SELECT EXISTS (SELECT FROM pgmaint.tasks WHERE run_id = $run AND state IN ('skipped', 'failed'))
		OR EXISTS (SELECT FROM pg_locks WHERE relation = 'pgmaint_internal.last_validation'::regclass AND NOT granted AND clock_timestamp() - waitstart > '1 second'))),
	'a task that validates waits for another');
$holder->query_safe('COMMIT');
$holder->quit;
is(wait_for_end($primary, $run), 'succeeded', '... and does not give way') or diag run_error($primary, $run);
is($primary->safe_psql('postgres', "SELECT count(*) FROM pgmaint.tasks WHERE run_id = $run AND state <> 'succeeded'"), '0', '... nor is it skipped');

# A monitoring role needs less than all rights.
is($primary->safe_psql('postgres', 'SELECT count(DISTINCT check_id) FROM pgmaint.validate()', extra_params => [ '-U', 'watcher' ]),
	$primary->safe_psql('postgres', 'SELECT count(DISTINCT check_id) FROM pgmaint.validate()'), 'a role that monitors sees all of it');
$primary->stop;
done_testing();
