# What a role that means harm can do to those who read status, report_html() and
# report_json(): no limit, plan, name, lock or manifest of theirs breaks these, makes
# them wait or makes them endless.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('harmed', 'fsync = off', "shared_preload_libraries = 'pg_stat_statements'");
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

$node->safe_psql('postgres', "CREATE DATABASE shop TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'");
$node->safe_psql('shop', <<'EOS');
CREATE EXTENSION pgmaint;
CREATE EXTENSION pg_stat_statements;
CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
CREATE ROLE mallory LOGIN;
GRANT CREATE ON DATABASE shop TO mallory;
SELECT pgmaint.grant_access('mallory', 'manage');
EOS

sub as_role
{
	my ($role, $sql) = @_;
	my ($status, $out, $error) = $node->psql('shop', $sql, connstr => $node->connstr('shop') . " user=$role");

	return wantarray ? ($status, $out, $error) : $out;
}

# all three are there, and well-formed, for a member of pg_monitor
sub readable
{
	my ($name) = @_;
	my ($status, $out, $error) = as_role('watcher', 'SELECT topic, item, status, detail, next_step FROM pgmaint.status');

	is($status, 0, "$name: status") or diag $error;
	($status, undef, $error) = as_role('watcher', 'SELECT pgmaint.report_json()');
	is($status, 0, "$name: report_json()") or diag $error;
	($status, my $page, $error) = as_role('watcher', 'SELECT pgmaint.report_html()');
	is($status, 0, "$name: report_html()") or diag $error;
	$page =~ s/^<!DOCTYPE html>\n//;
	($status, undef, $error) = $node->psql('shop', 'SELECT xmlparse(DOCUMENT $page$' . $page . '$page$) IS DOCUMENT');
	is($status, 0, "$name: well-formed") or diag substr($error, 0, 500);
	return ($out, $page);
}

# names of mallory's
my $name = q(']]><script>"1"\; %s $1) . "\x1b[2J\xc2\x9b31m\n\xe2\x80\xae\xef\xbf\xbe\xef\xbf\xbf";
my $quoted = $name =~ s/"/""/gr;
as_role('mallory', qq(CREATE SCHEMA m; CREATE TABLE m."$quoted" (id serial PRIMARY KEY, at timestamptz); INSERT INTO m."$quoted" (at) SELECT now() FROM generate_series(1, 20000); ) .
	qq(DELETE FROM m."$quoted" WHERE id % 3 < 2));
foreach my $plan ($name, 'long' . '<' x 100_000)
{
	my ($status, undef, $error) = as_role('mallory', qq(SELECT pgmaint.define_plan(\$plan\$$plan\$plan\$, '["analyze"]')));

	is($status, 0, 'a plan of ' . length($plan) . ' bytes') or diag $error;
	is(wait_for_end($node, scalar as_role('mallory', qq(SELECT pgmaint.run(\$plan\$$plan\$plan\$))), 'shop'), 'succeeded', '... runs');
	my ($out, $page) = readable('its report');
	unlike($page, qr/<script/, '... has no script of it');
	unlike($out, qr/[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]/, '... and status nothing for a terminal');
	is(scalar(grep { !/^\w+\|/ } split /\n/, $out), 0, '... nor lines of others');
	cmp_ok(length($out), '<', 10_000, '... and is one screen');
}
is($node->safe_psql('shop', q(SELECT count(*) FROM pgmaint.status WHERE next_step = 'SELECT pgmaint.report();')), '0', 'a step names its run');
foreach my $action (q('bloat_report', '{"min_size": 0, "bloat_threshold": 0}'), q('backup', '{"compression": "none"}'), q('validate'))
{
	is(wait_for_end($node, $node->safe_psql('shop', "SELECT pgmaint.run_action($action)"), 'shop'), 'succeeded', $action);
	readable($action);
}

# limits that no calendar has
$node->safe_psql('shop', "UPDATE pgmaint_internal.backup_records SET verified_at = now(), verification = 'restorable'");
foreach my $limit ('170000000 years', '5965233 years -2147483647 days', '0 s')
{
	as_role('mallory', "UPDATE pgmaint.thresholds SET value = '$limit' WHERE kind = 'interval'");
	is($node->safe_psql('shop', "SELECT count(*) > 0 FROM pgmaint.thresholds WHERE value = '$limit'"), 't', "the limit $limit is in force");
	readable("... $limit");
}
like(scalar as_role('watcher', 'SELECT topic, item, status FROM pgmaint.status'), qr/^backups\|newest\|critical$/m, 'the last of them holds');
as_role('mallory', 'UPDATE pgmaint.thresholds SET value = default_value');

# manifests of others can be adopted, and say what they want to
$node->safe_psql('shop', <<'EOS');
INSERT INTO pgmaint.archives (policy_id, run_id, relation, storage, key, rows, bytes, sha256, range_from, range_to, content_bytes, content_sha256, compression, columns, created_at)
SELECT p, 1, 'm.t', 'pgmaint_local', g || 'k' || p, 9223372036854775807, 9223372036854775807, '', '-infinity', 'infinity', 1, '', 'none', '{a}', 'infinity'
FROM generate_series(1, 2) g, generate_series(1, 2) p;
EOS
readable('archives of more rows than there are');
$node->safe_psql('shop', 'DELETE FROM pgmaint.archives');

# a report is kept in files and sent by mail, where nobody looks for a secret
$node->safe_psql('shop', 'SELECT pg_stat_statements_reset()');
$node->safe_psql('shop', q(CREATE SERVER bucket FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bucket')));
$node->safe_psql('shop', q(CREATE USER MAPPING FOR CURRENT_USER SERVER bucket OPTIONS (access_key_id 'K', secret_access_key 'NEVERSHOWN')));
my $review = $node->safe_psql('shop', q(SELECT pgmaint.run('quarterly')));
is(wait_for_end($node, $review, 'shop'), 'succeeded', 'a review of statements');
my $told = $node->safe_psql('shop', "SELECT pgmaint.report_json($review)");
like($told, qr/the text is left out/, 'a statement with a secret is counted');
unlike($told . $node->safe_psql('shop', "SELECT pgmaint.report_html($review)"), qr/NEVERSHOWN/, '... and not shown');
$node->safe_psql('shop', 'DROP USER MAPPING FOR CURRENT_USER SERVER bucket; DROP SERVER bucket');

# locks: nothing waits for mallory's
my $session = $node->background_psql('shop', on_error_stop => 1);
$session->query_safe(qq(BEGIN; LOCK TABLE m."$quoted" IN ACCESS EXCLUSIVE MODE));
$session->query_safe(q(DO $$ DECLARE s regclass; BEGIN FOR s IN SELECT oid FROM pg_class WHERE relnamespace = 'm'::regnamespace AND relkind = 'S' LOOP EXECUTE format('ALTER SEQUENCE %s OWNED BY NONE', s); END LOOP; END $$));
foreach my $call ('SELECT count(s::text) FROM pgmaint.status s', 'SELECT length(pgmaint.report_html())', 'SELECT length(pgmaint.report_json()::text)',
	'SELECT count(u::text) FROM pgmaint.sequence_usage u', 'SELECT count(m::text) FROM pgmaint.metrics m')
{
	# as one that may read all sequences
	my ($status, undef, $error) = $node->psql('shop', "SET lock_timeout = '1s'; $call");

	is($status, 0, "$call waits for no lock") or diag $error;
}
is($node->safe_psql('shop', q(SET lock_timeout = '1s'; SELECT count(*) FROM pgmaint.validate() v WHERE v.check_id LIKE 'validate\_%')), '0', 'nor does a check fail for that');
is($node->safe_psql('shop', q(SET lock_timeout = '1s'; SELECT count(*) FROM pgmaint.validate() v WHERE v.check_id = 'sequences' AND v.detail LIKE '%locked by other sessions: 1')), '1', '... and it says what it could not read');
$session->query_safe('ROLLBACK');
$session->quit;

# a day is not forgotten
$node->safe_psql('shop', q(INSERT INTO pgmaint.runs (plan, requested_by, started_at, finished_at, state, role, database, steps, settings)
	VALUES ('monthly', 'mallory', now() - interval '30 hours', now(), 'failed', 10, 1, '[]', '{}')));
like(scalar as_role('watcher', 'SELECT item, detail FROM pgmaint.status'), qr/^monthly\|run \d+ failed at .* after 30:00:00/m, 'a run of more than a day');

# many plans, runs and schedules: nothing is looked up once for each, nor compiled
$node->safe_psql('shop', <<"EOS");
INSERT INTO pgmaint.plan_definitions (plan, steps, defined_by) SELECT 'plan' || g, '["analyze"]', 'mallory' FROM generate_series(1, 2000) g;
INSERT INTO pgmaint.runs (plan, requested_by, requested_at, started_at, finished_at, state, role, database, steps, current_step, settings, identity)
SELECT 'plan' || g % 2000 + 1, 'mallory', t.at, t.at, t.at, CASE WHEN g % 2 = 0 THEN 'failed' ELSE 'succeeded' END, 10, 1, '[{"action": "analyze"}]', 1, '{}', pgmaint_internal.current_identity()
FROM generate_series(1, 20000) g CROSS JOIN LATERAL (SELECT now() - g * interval '1 minute' AS at) t;
INSERT INTO pgmaint_internal.plan_schedules (plan, scheduled_by, schedule, job_id, role, database, scheduled_at)
SELECT 'plan' || g, 'mallory', '30 2 * * *', g, 10, (SELECT oid FROM pg_database WHERE datname = 'shop'), now() - interval '1 year' FROM generate_series(1, 2000) g;
ANALYZE;
EOS
my $plan = $node->safe_psql('shop', 'SET jit = on; EXPLAIN (ANALYZE, TIMING OFF) SELECT * FROM pgmaint.status');
is(join("\n", grep { /on runs.*loops=\d{3}/ } split /\n/, $plan), '', 'runs are not read for each schedule');
unlike($plan, qr/^JIT:/m, 'the view is not compiled');
my ($out) = readable('many plans');
cmp_ok(length($out), '<', 10_000, '... are one screen');

no_processes_left($node, 'no process is left');
done_testing();
