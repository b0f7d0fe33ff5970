# What report_json() returns is what docs/report_json.schema.json describes, no key
# less and none more: of a fresh database, of runs that succeed and that fail, and
# of everything else that a report can have.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use IPC::Run;
use JSON::PP;
use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'there is no python3-jsonschema: test/tools/setup tests installs it'
  if system("/usr/bin/python3 -c 'import jsonschema' 2>/dev/null") != 0;

my $schema = "$FindBin::RealBin/../../../docs/report_json.schema.json";
my $node = start_server('json', 'fsync = off', "shared_preload_libraries = 'pg_stat_statements'", "timezone = 'Asia/Kolkata'", "datestyle = 'SQL, DMY'", "intervalstyle = 'sql_standard'");

# what the schema has to complain about, a line each
my $compare = <<'PY';
import json, sys, jsonschema
with open(sys.argv[1]) as file:
    schema = json.load(file)
jsonschema.Draft202012Validator.check_schema(schema)
for error in jsonschema.Draft202012Validator(schema).iter_errors(json.load(sys.stdin)):
    print('/'.join(str(step) for step in error.absolute_path), error.message[:300])
PY

sub complaints
{
	my ($report) = @_;
	my ($out, $error);

	IPC::Run::run([ '/usr/bin/python3', '-c', $compare, $schema ], '<', \$report, '>', \$out, '2>', \$error) or return "python3: $error";
	return $out;
}

sub report_of
{
	my ($run, $name, $role) = @_;
	my ($status, $report, $error) = $node->psql('postgres', "SELECT pgmaint.report_json($run)", connstr => $node->connstr('postgres') . ' user=' . ($role || $node->safe_psql('postgres', 'SELECT current_user')));

	is($status, 0, "$name: a report") or diag $error;
	is(complaints($report), '', "$name: as the schema has it");
	return decode_json($report);
}

# the comparison would notice
like(complaints('{"format": 2, "surplus": 1}'), qr/surplus/, 'a key that the schema does not know is noticed');
open my $in, '<', $schema or die "$schema: $!";
my $text = do { local $/; <$in> };
close $in;
my @undescribed;

sub look_for_descriptions
{
	my ($part, $place) = @_;

	push @undescribed, $place if !$part->{description};
	push @undescribed, "$place is open" if $part->{properties} && ($part->{additionalProperties} // 1);
	push @undescribed, "$place requires another" if $part->{properties} && join(' ', sort keys %{ $part->{properties} }) ne join(' ', sort @{ $part->{required} });
	look_for_descriptions($part->{properties}{$_}, "$place/$_") foreach keys %{ $part->{properties} || {} };
	look_for_descriptions($part->{items}, "$place/items") if $part->{items};
	return;
}
look_for_descriptions(decode_json($text), '');
is("@undescribed", '', 'the schema describes every key, and knows no others');

$node->safe_psql('postgres', 'CREATE ROLE watcher LOGIN IN ROLE pg_monitor; CREATE ROLE stranger LOGIN');
my $report = report_of('', 'a fresh database');
is($report->{run}, undef, '... without a run');
ok($report->{check_counts}{critical} > 0, '... with checks');

my ($status, $out, $error) = $node->psql('postgres', 'SELECT pgmaint.report_json(17)');
like($error, qr/ERROR:  run 17 does not exist/, 'an unknown run');
($status, $out, $error) = $node->psql('postgres', 'SELECT pgmaint.report_json()', connstr => $node->connstr('postgres') . ' user=stranger');
like($error, qr/permission denied/, 'for members of pg_monitor only');

# runs that do something, and fail
$node->safe_psql('postgres', <<'EOS');
CREATE EXTENSION pg_stat_statements;
CREATE TABLE orders (id int PRIMARY KEY, at timestamptz, name text);
INSERT INTO orders SELECT g, now() - g * interval '1 hour', md5(g::text) FROM generate_series(1, 20000) g;
DELETE FROM orders WHERE id > 15000;
CREATE FUNCTION trip(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE TABLE failing AS SELECT g AS id FROM generate_series(1, 3000) g;
CREATE INDEX ON failing (trip(id));
CREATE OR REPLACE FUNCTION trip(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'tripped'; END $$;
SELECT pgmaint.add_retention('orders', 'at', '90 days', storage => 'pgmaint_local');
SELECT pgmaint.add_contact('oncall', 'notify:oncall');
EOS
my $run;
foreach (1, 2)
{
	$run = $node->safe_psql('postgres', q(SELECT pgmaint.run('weekly', '{"scope": "all", "bloat_report": {"min_size": 0}}')));
	is(wait_for_end($node, $run), 'failed', 'a run with a task that fails');
}
$report = report_of($run, 'a run that failed');
is($report->{run}{run_id}, $run, '... is that run');
is(scalar @{ $report->{previous_runs} }, 1, '... beside the one before');
ok($report->{tasks}{failed} > 0 && (grep { $_->{state} eq 'failed' && $_->{error} =~ /tripped/ } @{ $report->{tasks}{not_done} }), '... with the task that failed');
ok((grep { $_->{relation} eq 'public.orders' && $_->{keep} eq 'P90D' && $_->{rows} > 0 } @{ $report->{archives} }), '... with its archives');
ok($report->{bloat}{total} > 0, '... with bloat');

$node->safe_psql('postgres', 'DROP TABLE failing');
my @made = run_backup_action($node, 'backup', '{"globals": false}');
is($made[0], 'succeeded', 'a backup') or diag $made[1];
@made = run_backup_action($node, 'verify_backup', '{}');
is($made[0], 'succeeded', '... which is proven') or diag $made[1];
$run = $node->safe_psql('postgres', q(SELECT pgmaint.run('quarterly')));
is(wait_for_end($node, $run), 'succeeded', 'reviews');
$report = report_of('', 'the latest run');
is($report->{run}{plan}, 'quarterly', '... without its number');
ok(defined $report->{queries}, '... with queries');
ok(defined $report->{backups}[0]{proven_at}, '... with a backup that was proven');
is(report_of($run, 'for a member of pg_monitor', 'watcher')->{run}{run_id}, $run, 'the same run');

# all that there can be, with names that break lines, and more than a report has room for
$node->safe_psql('postgres', <<'EOS');
INSERT INTO pgmaint.runs (plan, options, requested_by, requested_at, started_at, finished_at, state, error, role, database, steps, current_step, settings)
SELECT E'odd\n"plan"', '{"a": {"b": [1]}}', E'me\n', '2026-11-22', '2026-11-22', '2026-11-22 03:00', s, E'because\nof \\ "this"', 10, 5, '[{"action": "vacuum"}, {"action": "analyze"}, {"action": "reindex"}]', 2, '{}'
FROM unnest(ARRAY['succeeded', 'cancelled', 'interrupted', 'failed', 'succeeded', 'failed', 'failed']) WITH ORDINALITY AS x (s, n) ORDER BY n;
INSERT INTO pgmaint.runs (plan, requested_by, requested_at, state, role, database, steps, settings) VALUES ('later', 'me', '2026-11-22', 'cancelled', 10, 5, '[]', '{}');
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, attempt, started_at, finished_at, bytes_before, bytes_after, result, outcome, error, sqlstate)
SELECT r.run_id, 1 + g % 2, 'vacuum', E'name\n' || g, E'VACUUM "a\nb"', 'due', s, 1, '2026-11-22', '2026-11-22 00:00:01.5', 9000, 1000,
	'{"dead_rows_before": 10, "dead_rows_after": 5, "returned_bytes": 8000, "deleted_rows": 7, "archived_bytes": 70, "remarks": ["one", "two"]}', 'done', CASE WHEN s <> 'succeeded' THEN 'cause ' || chr(97 + g % 26) END, '55P03'
FROM (SELECT max(run_id) - 1 AS run_id FROM pgmaint.runs) r, generate_series(1, 150) g, unnest(ARRAY['succeeded', 'failed', 'skipped', 'cancelled', 'interrupted', 'pending']) s;
INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message, detail)
SELECT r.run_id, c, s, E'a\nb' || g, E'odd\nmessage', d::jsonb
FROM (SELECT max(run_id) - 1 AS run_id FROM pgmaint.runs) r, generate_series(1, 40) g, (VALUES
	('F004', 'critical', '{"command": "VACUUM a", "bytes": 10, "detail": "x"}'), ('H001', 'warning', '{"objects": [{"command": "DROP INDEX \"a\nb\""}, {"command": "DROP INDEX a"}]}'),
	('own', 'info', NULL), ('failed', 'warning', NULL), ('alert', 'warning', '{"figures": 1}')) x (c, s, d);
INSERT INTO pgmaint_internal.alert_records (alert_id, check_id, object, severity, condition, message, occurrences, first_seen, last_seen, severe_since, first_finding, last_finding, level, resolved_at, resolution)
SELECT 100000 + n, 'alert', n, 'critical', 'it goes on', 'm', n, '2026-11-01', '2026-11-22', '2026-11-08', 1, n, n - 1, CASE WHEN n = 3 THEN '2026-11-22'::timestamptz END, CASE WHEN n = 3 THEN 'over' END FROM generate_series(1, 4) n;
INSERT INTO pgmaint_internal.acknowledgements (finding_id, alert_id, severity, acknowledged_by) VALUES (1, 100004, 'critical', 'me');
UPDATE pgmaint.findings SET alert_id = 100001 + finding_id % 4 WHERE check_id = 'alert';
INSERT INTO pgmaint_internal.index_advices (relation, object, statement, gain_ms_per_day, index_bytes, query_ids, mean_ms_before, "index", mean_ms_after, outcome)
SELECT g, 'orders', CASE g WHEN 1 THEN E'CREATE INDEX ON "a\nb" (c)' ELSE 'CREATE INDEX ON orders (at)' END, g * 1e3, 8192, '{1,2}', 5, CASE WHEN g > 2 THEN 'orders_pkey'::regclass::oid END, 2.5,
	CASE g WHEN 3 THEN 'helped' WHEN 4 THEN 'no help' WHEN 5 THEN 'not used' END FROM generate_series(1, 30) g;
INSERT INTO pgmaint_internal.backup_records (storage, key, kind, database, selection, state, compression, bytes, started_at, finished_at, verification, verification_error, identity)
SELECT 's', 'k' || g, 'database', 'd' || g, CASE WHEN g = 2 THEN '{"tables": ["t"]}'::jsonb END, CASE WHEN g % 3 = 0 THEN 'failed' ELSE 'succeeded' END, 'gzip', CASE WHEN g % 3 > 0 THEN g END, '2026-11-22', '2026-11-22 00:00:01',
	CASE g WHEN 1 THEN 'not restorable' END, NULL, NULL FROM generate_series(1, 30) g;
INSERT INTO pgmaint.archives (policy_id, run_id, relation, storage, key, rows, bytes, sha256, range_from, range_to, content_bytes, content_sha256, compression, columns)
SELECT 1000 + g, 1, E'a\nb', 's', g, 10, 20, 'x', '-infinity', 'infinity', 1, 'x', 'gzip', '{}' FROM generate_series(1, 60) g;
EOS
my $odd = $node->safe_psql('postgres', 'SELECT max(run_id) - 1 FROM pgmaint.runs');
$report = report_of($odd, 'everything');
is_deeply([ map { scalar @{$_} } @{ $report->{tasks} }{qw(not_done)}, @{$report}{qw(advice backups archives previous_runs)} ], [ 100, 20, 20, 50, 5 ], '... within the limits');
is($report->{tasks}{total}, 900, '... with all tasks counted');
is(@{ $report->{findings} } <= 100 ? 1 : 0, 1, '... and at most 100 findings');
is_deeply($report->{finding_counts}, { critical => 40, warning => 80, info => 40 }, '... of these');
ok((grep { $_->{check_id} eq 'H001' && !defined $_->{commands}[0]{command} && $_->{commands}[1]{command} eq 'DROP INDEX a' } @{ $report->{findings} }), '... without commands that a name breaks');
is(join(' ', sort keys %{ { map { $_->{alert}{state} => 1 } grep { $_->{alert} } @{ $report->{findings} } } }), 'acknowledged notified open resolved', '... and what became of alerts')
  or diag explain [ map { $_->{alert} } @{ $report->{findings} } ];
like($report->{run}{requested_at}, qr/^2026-11-21T18:30:00\.000000Z$/, 'times are in UTC');
is($report->{run}{seconds}, 10800, 'durations are in seconds');
is(report_of($odd + 1, 'a run that never began')->{run}{started_at}, undef, '... has no start');

# where a schema was renamed, the error says how to mend it, and what has its name now is not called
($status, $out, $error) = $node->psql('postgres', 'ALTER SCHEMA pgmaint_internal RENAME TO other; CREATE SCHEMA pgmaint_internal; SELECT pgmaint.report_json()');
like($error, qr/ERROR:  schema "pgmaint_internal" of extension "pgmaint" was renamed to "other"\n.*ALTER SCHEMA other RENAME TO pgmaint_internal/, 'a schema that was renamed');

done_testing();
