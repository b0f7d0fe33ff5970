# The page of report_html() as a reader sees it, in a real browser: it asks for
# nothing, complains of nothing, shows what objects are called and runs none of
# it, can be read in the light and in the dark, at any width and on paper, and
# by those who do not see it.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintBackups;
use PgmaintBrowser;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => PgmaintBrowser::missing() if PgmaintBrowser::missing();

my $node = start_server('page', 'pgmaint.max_workers = 3', "timezone = 'Asia/Kolkata'", 'fsync = off',
	"shared_preload_libraries = 'pg_stat_statements'", 'jit = off');
my $elephant = "\xf0\x9f\x90\x98";

# each returns what is wrong, in words
my $common = <<'JS';
const problems = [];
const told = e => e.tagName + ' ' + e.textContent.trim().slice(0, 60);
const shown = e => { const s = getComputedStyle(e); return s.visibility === 'visible' && e.getClientRects().length > 0 };
const texts = [...document.body.querySelectorAll('*')].filter(e => shown(e) && !e.closest('title, desc, .skip')
	&& [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim() !== ''));
const boxOf = e => { const r = document.createRange(); r.selectNodeContents(e); return r.getBoundingClientRect() };
JS
my $layout = <<'JS';
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > width) problems.push('the page is ' + document.documentElement.scrollWidth + ' wide');
for (const e of document.body.querySelectorAll('*')) {
	if (e.closest('.skip') || (e.closest('svg') && e.tagName !== 'svg')) continue;
	const r = e.getBoundingClientRect();
	if (r.width > 0 && (r.left < -0.5 || r.right > width + 0.5)) problems.push('outside: ' + told(e));
	if (e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1) problems.push('too long: ' + told(e));
}
for (const svg of document.querySelectorAll('svg[role=img]')) {
	const labels = [...svg.querySelectorAll('text')].filter(shown);
	labels.forEach((e, i) => {
		const r = e.getBoundingClientRect(), box = e.closest('svg').getBoundingClientRect();
		if (r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 1 || r.bottom > box.bottom + 2) problems.push('cut off: ' + told(e));
		labels.slice(i + 1).forEach(o => {
			const q = o.getBoundingClientRect();
			if (r.left < q.right && q.left < r.right && r.top < q.bottom - 3 && q.top < r.bottom - 3) problems.push('on each other: ' + told(e) + ', ' + told(o));
		});
	});
}
JS
my $contrast = <<'JS';
const parse = c => c.match(/[\d.]+/g).map(Number);
const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
const ratio = (a, b) => { const [x, y] = [light(parse(a)), light(parse(b))].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05) };
const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if ((parse(c)[3] ?? 1) === 1) return c } return 'rgb(255, 255, 255)' };
let seen = 0;
for (const e of texts) {
	const bar = e.closest('svg.bar');
	const color = e.tagName === 'text' ? getComputedStyle(e).fill : getComputedStyle(e).color;
	const behind = bar ? getComputedStyle(bar.previousElementSibling).fill : ground(e);
	seen++;
	if (ratio(color, behind) < 4.5) problems.push(told(e) + ': ' + ratio(color, behind).toFixed(2));
}
for (const e of document.querySelectorAll('svg[role=img] rect[class], svg[role=img] circle')) {
	const s = getComputedStyle(e), paint = e.classList.contains('hollow') || e.classList.contains('d2') ? s.stroke : s.fill;
	seen++;
	if (ratio(paint, ground(e)) < 3) problems.push(e.tagName + ' ' + e.getAttribute('class') + ': ' + ratio(paint, ground(e)).toFixed(2));
}
if (seen < 10) problems.push('only ' + seen + ' looked at');
JS

sub problems
{
	my ($browser, $script) = @_;
	return $browser->evaluate("(() => { $common $script; return [...new Set(problems)].slice(0, 10).join('\\n') })()");
}

sub page
{
	my ($name, $run, $database) = @_;
	my $file = $node->basedir . "/$name.html";
	my $begun = time;
	my $html = $node->safe_psql($database || 'postgres', "SELECT pgmaint.report_html($run)");

	open my $handle, '>:raw', $file or die "$file: $!";
	print {$handle} $html;
	close $handle or die "$file: $!";
	return ($file, length $html, time - $begun);
}

# A weekly run on tables with awkward names, twice, with tasks that fail, then
# backups, one of which is proven.
$node->safe_psql('postgres', <<"EOS");
CREATE TABLE "<script>document.title = 'taken'</script>" (id int PRIMARY KEY, name text);
CREATE TABLE "$elephant &amp; ""quotes"" '<img src=x onerror=alert(1)>'" (id int PRIMARY KEY, name text);
CREATE TABLE a_name_of_63_bytes_that_is_as_long_as_any_name_can_be_here_0000 (id int PRIMARY KEY, name text);
CREATE TABLE aged (at timestamptz PRIMARY KEY);
INSERT INTO aged SELECT now() - g * interval '1 hour' FROM generate_series(1, 5000) g;
DO \$\$ DECLARE t regclass; BEGIN
	FOR t IN SELECT oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'aged' LOOP
		EXECUTE format('INSERT INTO %s SELECT g, md5(g::text) FROM generate_series(1, 20000) g', t);
		EXECUTE format('DELETE FROM %s WHERE id > 5000', t);
	END LOOP;
END \$\$;
CREATE FUNCTION trip(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN \$1; END';
CREATE TABLE failing AS SELECT g AS id FROM generate_series(1, 3000) g;
CREATE INDEX ON failing (trip(id));
CREATE OR REPLACE FUNCTION trip(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS \$\$ BEGIN RAISE EXCEPTION 'tripped over <b>%</b>', \$1; END \$\$;
SELECT pgmaint.add_retention('aged', 'at', '90 days', storage => 'pgmaint_local');
EOS
my $run;
foreach (1, 2)
{
	$run = $node->safe_psql('postgres', q(SELECT pgmaint.run('weekly', '{"scope": "all", "bloat_report": {"min_size": 0}}')));
	is(wait_for_end($node, $run), 'failed', 'a run with tasks that fail');
}
# it could not be restored
$node->safe_psql('postgres', 'DROP TABLE failing');
my @made = run_backup_action($node, 'backup', '{"globals": false}');
is($made[0], 'succeeded', 'a backup') or diag $made[1];
@made = run_backup_action($node, 'verify_backup', '{}');
is($made[0], 'succeeded', 'which is proven') or diag $made[1];

# Reviews of queries with awkward texts, long ones and those of a role with an
# awkward name; advice that somebody has followed; alerts that somebody was told of.
my $sum = join ' + ', map { "length('$_' || filler)" } 1 .. 200;
my $wide = 'x' x 500;
$node->safe_psql('postgres', <<"EOS");
CREATE EXTENSION pg_stat_statements;
CREATE ROLE "<b>role</b>" SUPERUSER;
CREATE TABLE "<i>orders</i>" AS SELECT g AS id, g % 20000 AS "<u>customer</u>", repeat('x', 100) AS filler FROM generate_series(1, 60000) g;
CREATE INDEX "<img src=y>" ON "<i>orders</i>" (filler);
CREATE INDEX "<img src=z>
DROP TABLE aged" ON "<i>orders</i>" (filler);
ANALYZE "<i>orders</i>";
SELECT pgmaint.define_plan('reviews', '["review_queries", {"action": "index_advice", "options": {"min_calls": 2, "min_mean_ms": 0}}, "index_usage", "connection_review", "validate", "escalate"]');
SELECT pgmaint.add_contact('<script>oncall', 'notify:oncall');
EOS
# when that session has reported what it wrote
$node->safe_psql('postgres', 'SELECT pg_stat_reset(), pg_stat_statements_reset()');
$node->safe_psql('postgres', join(";\n", 'SET ROLE "<b>role</b>"', (qq(SELECT $sum FROM "<i>orders</i>" WHERE "<u>customer</u>" = 7)) x 5,
	(qq(SELECT id AS "<script>document.title = 'taken'</script>", '$wide' AS $wide FROM "<i>orders</i>" WHERE "<u>customer</u>" = 7)) x 5));
my $reviewed;
foreach (1, 2)
{
	$reviewed = $node->safe_psql('postgres', q(SELECT pgmaint.run('reviews')));
	is(wait_for_end($node, $reviewed), 'succeeded', 'reviews');
	$node->safe_psql('postgres', "SELECT pgmaint.acknowledge(min(finding_id)) FROM pgmaint.findings WHERE run_id = $reviewed AND severity <> 'info'");
	$node->safe_psql('postgres', 'CREATE INDEX ON "<i>orders</i>" ("<u>customer</u>")') if $_ == 1;
}

# what cannot wait
$node->safe_psql('postgres', <<"EOS");
INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message, detail)
VALUES ($run, 'corruption', 'critical', 'public.aged', 'block 7 of table public.aged is damaged', '{"command": "SELECT * FROM aged"}'),
	($run, 'H001', 'info', NULL, 'nothing to worry about', NULL);
EOS

my $browser = PgmaintBrowser->start;
my ($file) = page('run', $run);
$browser->look(1280, 900, 'light');
$browser->open_file($file);
is(join("\n", $browser->requests), "file://$file", 'the page asks for nothing but itself');
is(join("\n", $browser->complaints), '', 'the browser has nothing to complain about');
is($browser->evaluate('document.title'), "weekly failed: run $run, postgres", 'title');
is($browser->evaluate('document.querySelectorAll("script, img, iframe, object").length'), 0, 'names make no elements');
my $unfold = q{document.querySelectorAll('details').forEach(d => { d.open = true })};
$browser->evaluate($unfold);
is($browser->evaluate(q{[`<script>document.title = 'taken'</script>`, `\u{1F418} &amp; ""quotes"" '<img src=x onerror=alert(1)>'`].every(n => document.body.innerText.includes(n))}),
	JSON::PP::true, '... and are shown');
$browser->open_file($file);
is( $browser->evaluate(q{[...document.querySelectorAll('h2')].map(e => e.id).join(' ')}),
	'findings not-done checks runs steps advice bloat backups retention done', 'every section is there');
is($browser->evaluate(q{document.getElementById('timeline-t').parentElement.querySelectorAll('rect').length > 5}), JSON::PP::true, 'the timeline has tasks');
is($browser->evaluate(q{['bloat-1-t', 'backup-size-1-t', 'backup-time-1-t'].every(i => document.getElementById(i).parentElement.querySelectorAll('circle').length > 0)}),
	JSON::PP::true, 'plots have points');

# by all who read it
my %ground;

sub look_at_all_widths
{
	my ($page) = @_;

	foreach my $scheme (qw(light dark))
	{
		foreach my $width (320, 375, 700, 1000, 1280)
		{
			$browser->look($width, 900, $scheme);
			is(problems($browser, $layout), '', "$page, $scheme, $width wide: everything is in its place");
			is(problems($browser, $contrast), '', "$page, $scheme, $width wide: everything is to be seen") if $width != 320 && $width != 700;
		}
		$ground{$scheme} = $browser->evaluate('getComputedStyle(document.body).backgroundColor');
	}
	return;
}

# without a click: what is not in order, and one line for the rest
my $faults = <<'JS';
const seen = text => { const walker = document.createTreeWalker(document.getElementById('content'), NodeFilter.SHOW_ELEMENT);
	for (let e; e = walker.nextNode();) if (e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.includes(text))) return true; return false };
for (const text of ['block 7 of table public.aged is damaged', 'SELECT * FROM aged;', 'tripped over', 'Tasks that did not succeed'])
	if (!seen(text)) problems.push('not seen: ' + text);
for (const text of ['nothing to worry about', 'Steps of the plan, in their order', 'Tasks that freed or removed most first, then the longest'])
	if (seen(text)) problems.push('not folded: ' + text);
const checks = document.getElementById('checks').closest('section');
for (const row of checks.querySelectorAll('tbody tr'))
	if (row.checkVisibility() === row.querySelector('.state').classList.contains('good')) problems.push('check: ' + row.textContent);
const order = [...document.querySelectorAll('h2')].map(e => e.getBoundingClientRect().top);
if (order.some((y, i) => i > 0 && y <= order[i - 1])) problems.push('sections overlap');
JS
foreach my $width (375, 1280)
{
	$browser->look($width, 900, 'light');
	is(problems($browser, $faults), '', "$width wide: what is not in order is open, the rest is folded");
}
like($browser->evaluate(q{document.querySelector('.lead').innerText}), qr/Not in order: \d+ critical findings?, .*failed or stopped/, 'the first line says so');
like($browser->evaluate(q{document.getElementById('runs').closest('section').innerText}), qr/Compared with run 1 of /, 'beside the run before');
look_at_all_widths('maintenance, folded');

# paper has no clicks
my $printed = q{[...document.querySelectorAll('details:not([open]) table')].filter(e => e.checkVisibility()).length};
$browser->look(680, 900, 'light');
is($browser->evaluate($printed), 0, 'folded tables are not on the screen');
$browser->look(680, 900, 'light', 'print');
ok(!$browser->evaluate(q{CSS.supports('selector(::details-content)')}) || $browser->evaluate($printed) > 2, '... but on paper');

$browser->evaluate($unfold);
look_at_all_widths('maintenance');
isnt($ground{light}, $ground{dark}, 'the dark is not the light');
$browser->look(680, 900, 'dark', 'print');
is($browser->evaluate('getComputedStyle(document.body).backgroundColor'), $ground{light}, 'paper is light');
is(problems($browser, $layout . $contrast), '', 'paper: everything is in its place and to be seen');

# for those who do not see it: names and order, as a screen reader is told
my @nodes = grep { !$_->{ignored} } @{ $browser->call('Accessibility.getFullAXTree')->{nodes} };
my %by_role;
push @{ $by_role{ $_->{role}{value} } }, $_->{name}{value} foreach @nodes;
is(scalar @{ $by_role{$_} || [] }, 1, "one landmark: $_") foreach qw(main banner contentinfo);
is( join("\n", map { my $role = $_; map { "$role without a name" } grep { !length } @{ $by_role{$role} || [] } } qw(link heading table image region columnheader)),
	'', 'everything that needs a name has one');
ok(@{ $by_role{table} || [] } >= 6, 'tables are tables') or diag join ' ', sort keys %by_role;
$browser->look(375, 900, 'light');
my @narrow = grep { !$_->{ignored} } @{ $browser->call('Accessibility.getFullAXTree')->{nodes} };
ok((grep { $_->{role}{value} eq 'table' } @narrow) >= 6, '... and stay so where they are narrow');
is( $browser->evaluate(q{[...document.querySelectorAll('h1, h2, h3, h4')].map(e => +e.tagName[1]).filter((l, i, a) => l > (i ? a[i - 1] : 0) + 1).length}),
	0, 'no heading skips a level');

# reviews
my ($reviews) = page('reviews', $reviewed);
$browser->look(1280, 900, 'light');
$browser->open_file($reviews);
is($browser->evaluate('document.title'), "reviews succeeded: run $reviewed, postgres", 'reviews: title');
is($browser->evaluate('document.querySelectorAll("script, img, iframe, object, b b, i, u").length'), 0, 'reviews: names and texts make no elements');
is( $browser->evaluate(q{[...document.querySelectorAll('h2')].map(e => e.id).join(' ')}),
	'findings checks runs steps queries advice bloat backups retention', 'reviews: every section is there, and none that is empty');
$browser->evaluate($unfold);
my $queries = $browser->evaluate(q{document.getElementById('queries').closest('section').innerText});
like($queries, qr/<script>document\.title = 'taken'<\/script>/, 'reviews: the text of a query');
like($queries, qr/<b>role<\/b>/, '... and its role');
my $advice = $browser->evaluate(q{document.getElementById('advice').closest('section').innerText});
like($advice, qr/CREATE INDEX CONCURRENTLY ON public\."<i>orders<\/i>" \("<u>customer<\/u>"\);/, 'reviews: what was advised');
like($advice, qr/made, not judged yet/, '... and that it was made');
my $found = $browser->evaluate(q{document.getElementById('findings').closest('section').innerText});
like($found, qr/notified, noticed by \d+ runs since/, 'reviews: who was told');
like($found, qr/acknowledged by \w+ at/, '... and by whom it was acknowledged');
unlike($found, qr/^\s*DROP TABLE/m, 'reviews: no name looks like a command');
$browser->evaluate($unfold);
look_at_all_widths('reviews');

# a run of 10,000 tasks
$node->safe_psql('postgres', <<'EOS');
INSERT INTO pgmaint.runs (plan, requested_by, started_at, finished_at, state, role, database, steps, current_step, settings)
VALUES ('weekly', 'me', now() - interval '1 hour', now(), 'succeeded', 10, 5, '[{"action": "vacuum"}, {"action": "analyze"}]', 2, '{}');
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, started_at, finished_at, bytes_before, bytes_after, error, worker)
SELECT r.run_id, 1 + g / 6000, CASE WHEN g < 6000 THEN 'vacuum' ELSE 'analyze' END, 'app.table_' || g, 'VACUUM app.table_' || g, 'dead rows: 10,000, 31.0 % of the table',
	CASE WHEN g % 50 = 0 THEN 'skipped' ELSE 'succeeded' END, r.started_at + g / 4 * interval '1.4 s', r.started_at + g / 4 * interval '1.4 s' + interval '1.2 s', 9000000, 1000000,
	CASE WHEN g % 50 = 0 THEN format('no lock on app.table_%s within 5000 ms: process %s', g, 70000 + g) END, 1 + g % 4
FROM generate_series(1, 10000) g, (SELECT * FROM pgmaint.runs ORDER BY run_id DESC LIMIT 1) r;
INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message)
SELECT (SELECT max(run_id) FROM pgmaint.runs), 'F004', 'warning', 'app.table_' || g, 'table is 70.0 % bloat' FROM generate_series(1, 5000) g;
VACUUM ANALYZE pgmaint.tasks;
EOS
my ($long, $size, $seconds) = page('long', 'NULL');
note sprintf '10,000 tasks: %d bytes in %.2f s', $size, $seconds;
cmp_ok($size, '<', 250_000, '10,000 tasks: less than 250 kB');
cmp_ok($seconds, '<', 10, '10,000 tasks: soon there');
$browser->open_file($long);
$browser->evaluate($unfold);
is(problems($browser, $layout . $contrast), '', '10,000 tasks: everything is in its place and to be seen');
like($browser->evaluate(q{document.getElementById('timeline-d').textContent}), qr/^10,000 tasks, up to 4 at a time/, '10,000 tasks: said to be so many');

# where nothing was ever run
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION pgmaint');
my ($none) = page('none', '', 'fresh');
$browser->open_file($none);
is($browser->evaluate(q{document.querySelector('h1').textContent}), 'No run yet', 'no run: a page that says so');
is(problems($browser, $layout), '', 'no run: everything is in its place');

# where everything is in order, the first line says so, and nothing is open
$node->safe_psql('fresh', 'UPDATE pgmaint.thresholds SET value = NULL');
wait_for_end($node, $node->safe_psql('fresh', q(SELECT pgmaint.run_action('analyze'))), 'fresh');
my ($clean) = page('clean', '', 'fresh');
$browser->open_file($clean);
like($browser->evaluate(q{document.querySelector('.lead').innerText}), qr/Everything is in order: \d+ tasks? succeeded, no findings to act on, \d+ checks ok/, 'in order: the first line says so')
  or diag $browser->evaluate(q{document.body.innerText});
is($browser->evaluate(q{document.querySelectorAll('details[open]').length}), 0, '... and nothing is open');
look_at_all_widths('in order');
is(join("\n", $browser->complaints), '', 'no complaints to the end');
$browser->stop;

done_testing();
