# What contrib/ has for Prometheus and Grafana: rules that its own tool finds in
# order and each of which fires in a test, a dashboard that says what its panels
# show, both of metrics that there are, and with commands that can be executed.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use JSON::PP;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'there is no promtool: test/tools/setup prometheus installs it'
  unless grep { -x "$_/promtool" } split /:/, $ENV{PATH};

my $root = "$FindBin::RealBin/../../..";
my $node = start_server('dashboards');
my %known = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', 'SELECT name FROM pgmaint_internal.metric_families()');

# what is no metric of ours in an expression: one of node_exporter, functions, labels
$known{$_} = 1 foreach qw(node_textfile_mtime_seconds max_over_time label_values);

sub unknown_names
{
	my %names = map { $_ => 1 } map { s/"[^"]*"//gr =~ /\b([a-z]+(?:_[a-z]+)+)\b/g } @_;
	return join ' ', grep { !$known{$_} } sort keys %names;
}

is(unknown_names('pgmaint_info', 'pgmaint_inf + max_over_time(x{a="b_c"}[1d])'), 'pgmaint_inf', 'a name that is none is found');

#
# rules
#

my $rules = slurp_file("$root/contrib/prometheus/alerts.yml");
my $tests = slurp_file("$root/contrib/prometheus/alerts_test.yml");
my @alerts = $rules =~ /^ +- alert: (\w+)$/mg;
my @expressions = $rules =~ /^ +expr: (.*)$/mg;

cmp_ok(scalar @alerts, '>', 10, 'there are alerts');
is(scalar @expressions, scalar @alerts, '... with an expression each');
is(unknown_names(@expressions), '', '... of metrics that there are');
command_ok([ 'promtool', 'check', 'rules', "$root/contrib/prometheus/alerts.yml" ], 'rules in order');
command_ok([ 'promtool', 'test', 'rules', "$root/contrib/prometheus/alerts_test.yml" ], 'their tests');

my %firing = map { $_ => 1 } $tests =~ /alertname: (\w+)\n +exp_alerts:\n +- exp_labels/g;
my ($well) = $tests =~ /^  - name: all is well\n(.*?)^  - name:/ms;
my %silent = map { $_ => 1 } $well =~ /alertname: (\w+), exp_alerts: \[\]/g;
is(join(' ', sort keys %firing), join(' ', sort @alerts), 'each alert fires in a test');
is(join(' ', sort keys %silent), join(' ', sort @alerts), 'none does when all is well');
is(scalar(() = $rules =~ /^ +labels: \{severity: (?:critical|warning|info)\}$/mg), scalar @alerts, 'each has a severity');
is(join(' ', slurp_file("$root/docs/monitoring.md") =~ /^\| `(Pgmaint\w+)` \|/mg), join(' ', @alerts), 'docs/monitoring.md has a row for each');

# The commands that alerts and panels tell are those of this version.
sub check_commands
{
	my ($what, $text) = @_;

	foreach my $command ($text =~ /\b((?:SELECT|CALL) [^;]*?)(?:;|'?"$| (?:shows|says) )/mg)
	{
		$command =~ s/\{\{ \$labels\.\w+ \}\}/daily/g;
		$command =~ s/\\"/"/g;
		$command =~ s/^SELECT/EXPLAIN SELECT/;
		# a procedure is looked up, not called
		$command =~ s/^CALL (.*)\((.*)\)$/SELECT '$1'::regproc, $2/;
		is(($node->psql('postgres', $command))[0], 0, "$what: $command");
	}
}
check_commands('rules', join "\n", $rules =~ /^ +description: (".*")$/mg);

#
# the dashboard
#

my $text = slurp_file("$root/contrib/grafana/pgmaint.json");
my $dashboard = decode_json($text);
my @panels = @{ $dashboard->{panels} };
my @variables = @{ $dashboard->{templating}{list} };
my @queries = map { map { $_->{expr} } @{ $_->{targets} } } @panels;
my %seen;

cmp_ok(scalar @panels, '>', 10, 'there are panels');
is(join(' ', grep { $seen{$_}++ } map { ($_->{id}, $_->{title}) } @panels), '', 'no two have the same name');
foreach my $panel (@panels)
{
	ok($panel->{title} && $panel->{description} && $panel->{fieldConfig}{defaults}{unit} && @{ $panel->{targets} },
		"$panel->{title}: has a title, a description, a unit and a query");
	check_commands($panel->{title}, "\"$panel->{description}\"");
}
is(unknown_names(@queries, map { $_->{definition} // '' } @variables), '', 'panels are of metrics that there are');
is_deeply([ map { $_->{name} } @variables ], [qw(datasource instance database)], 'variables');
is(join(' ', grep { $_ ne '${datasource}' } $text =~ /"uid": "([^"]*)"/g), '', 'no data source is built in');

# A query is an expression of Prometheus.
my $folder = PostgreSQL::Test::Utils::tempdir();
append_to_file("$folder/queries.yml", "groups:\n- name: queries\n  rules:\n"
	. join '', map { "  - record: query:$_\n    expr: '" . ($queries[$_] =~ s/\$\w+/.*/gr) . "'\n" } 0 .. $#queries);
command_ok([ 'promtool', 'check', 'rules', "$folder/queries.yml" ], 'queries in order');

# What metrics there are is shown, but for the name that is deprecated.
my %shown = map { $_ => 1 } map { /\b(pgmaint_\w+)/g } @queries, map { $_->{definition} // '' } @variables;
is(join(' ', grep { /^pgmaint/ && !$shown{$_} } sort keys %known),
	'pgmaint_runs pgmaint_troubles pgmaint_unsent_messages', 'metrics that no panel shows');

$node->stop;
done_testing();
