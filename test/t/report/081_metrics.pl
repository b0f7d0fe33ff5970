# What metrics_text() prints, after real work and with awkward names, is what
# Prometheus reads and what its own tool finds nothing wrong with.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'there is no promtool: test/tools/setup prometheus installs it'
  unless grep { -x "$_/promtool" } split /:/, $ENV{PATH};

my $node = start_server('metrics', 'fsync = off');

# What the tool says of the metrics: nothing, if all is well.
sub judgement
{
	my ($text, $error);
	my $metrics = $node->safe_psql('postgres', 'SELECT pgmaint.metrics_text()') . "\n";
	my $good = IPC::Run::run([ 'promtool', 'check', 'metrics' ], '<', \$metrics, '>', \$text, '2>', \$error);

	return ($good ? 'good' : 'bad') . ": $text$error";
}

is(judgement(), 'good: ', 'where nothing was ever run');

$node->safe_psql('postgres', <<'EOS');
CREATE TABLE "a ""quoted"" \name
of two lines" (id int PRIMARY KEY);
INSERT INTO "a ""quoted"" \name
of two lines" SELECT generate_series(1, 10000);
DELETE FROM "a ""quoted"" \name
of two lines" WHERE id > 1000;
CREATE TABLE aged (at timestamptz PRIMARY KEY);
INSERT INTO aged SELECT now() - g * interval '1 day' FROM generate_series(1, 500) g;
SELECT pgmaint.add_retention('aged', 'at', '90 days', storage => 'pgmaint_local');
SELECT pgmaint.define_plan(E'my "own" \\plan', '["bloat_report", "retention", "vacuum"]');
EOS
is(wait_for_end($node, $node->safe_psql('postgres', q(SELECT pgmaint.run(E'my "own" \\\\plan', '{"scope": "all", "bloat_report": {"min_size": 0}}')))),
	'succeeded', 'a run');
is((run_backup_action($node, 'backup', '{"globals": false}'))[0], 'succeeded', 'a backup');
is((run_backup_action($node, 'verify_backup', '{}'))[0], 'succeeded', 'which is proven');
is(wait_for_end($node, $node->safe_psql('postgres', q(SELECT pgmaint.run_action('validate')))), 'succeeded', 'a validation');
$node->safe_psql('postgres', q(SELECT pgmaint.add_contact('nobody', 'http://127.0.0.1:1/secret');
	INSERT INTO pgmaint.findings (check_id, severity, object, message) VALUES ('test', 'critical', 'o', 'secret')));
is(wait_for_end($node, $node->safe_psql('postgres', q(SELECT pgmaint.run_action('escalate')))), 'succeeded', 'a message that does not arrive');
is(judgement(), 'good: ', 'after all that');
unlike($node->safe_psql('postgres', 'SELECT pgmaint.metrics_text()'), qr/secret|127\.0\.0\.1/, 'which says neither to whom nor what');
is($node->safe_psql('postgres', q(SELECT labels ->> 'state', value FROM pgmaint.metrics WHERE name = 'pgmaint_unsent_messages' ORDER BY 1)),
	"failed|1\npending|0", 'one has failed');
is($node->safe_psql('postgres', q(SELECT sum(value) FROM pgmaint.metrics WHERE name = 'pgmaint_alerts' AND labels @> '{"severity": "critical"}')),
	'1', 'of an alert');
is( $node->safe_psql('postgres', 'SELECT count(DISTINCT m.name) FROM pgmaint.metrics m'),
	$node->safe_psql('postgres', q(SELECT count(*) - 2 FROM pgmaint_internal.metric_families())),
	'every metric has a value, but for schedules and safe restores, of which there are none');
is( $node->safe_psql('postgres', q(SELECT sum(value) FROM pgmaint.metrics WHERE name = 'pgmaint_archived_rows_total')),
	$node->safe_psql('postgres', 'SELECT sum(rows) FROM pgmaint.archives'), 'archived rows');
is($node->safe_psql('postgres', q(SELECT value FROM pgmaint.metrics WHERE name = 'pgmaint_last_run_success' AND labels ->> 'plan' ~ 'own')),
	'1', 'the run has succeeded');

# The rules in contrib/ take the metrics of a server as they are: the alert that
# there is comes, and none of what is in order.  Times are those of 1970 there.
my $folder = PostgreSQL::Test::Utils::tempdir();
my $rules = "$FindBin::RealBin/../../../contrib/prometheus/alerts.yml";
my $series = join '', map { "  - {series: '" . ($_->[0] =~ s/'/''/gr) . "', values: '$_->[1] $_->[1]'}\n" }
  map { /^([^#].*) (\S+)$/ ? [ $1, $2 ] : () } split /\n/, $node->safe_psql('postgres', 'SELECT pgmaint.metrics_text()');
append_to_file("$folder/test.yml", <<"EOS");
rule_files: [$rules]
evaluation_interval: 1h
tests:
- interval: 1h
  input_series:
$series
  promql_expr_test:
  - {eval_time: 1h, expr: 'count(ALERTS{alertname="PgmaintCriticalAlert", alertstate="firing"})', exp_samples: [{labels: '{}', value: 1}]}
  - {eval_time: 1h, expr: 'ALERTS{alertname=~"Pgmaint(Backup.*|Run.*|Schedule.*|NeverValidated|Bloat|Wraparound.*|Metrics.*)"}', exp_samples: []}
EOS
command_ok([ 'promtool', 'test', 'rules', "$folder/test.yml" ], 'the rules, on these metrics');

done_testing();
