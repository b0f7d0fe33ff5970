# What a policy keeps is a matter of the time zone that it stores, and what
# comes back from an archive of the bytes in it: no setting of a server, a
# database, a role or a session has a say in either.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('retention_time', q(timezone = 'America/New_York'), q(wal_level = logical));

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# Runs the action; returns the run.
sub retain
{
	my ($name) = @_;
	my $run = sql(q(SELECT pgmaint.run_action('retention')));

	is(wait_for_end($node, $run), 'succeeded', $name) or diag run_error($node, $run);
	return $run;
}

sub findings
{
	my ($run) = @_;
	return sql("SELECT string_agg(severity || ': ' || message, E'\\n' ORDER BY finding_id) FROM pgmaint.findings WHERE run_id = $run AND check_id = 'retention'");
}

# a role that lives where the day has begun already
sql(<<'EOS');
CREATE TABLE local (at timestamp, note text);
CREATE TABLE absolute (at timestamptz, note text);
CREATE TABLE daily (at date, note text);
CREATE INDEX ON local (at);
CREATE INDEX ON absolute (at);
CREATE INDEX ON daily (at);
INSERT INTO local VALUES ((now() AT TIME ZONE 'UTC') - interval '19 hours', 'young'), ((now() AT TIME ZONE 'UTC') - interval '25 hours', 'old');
INSERT INTO absolute VALUES (now() - interval '19 hours', 'young'), (now() - interval '25 hours', 'old');
INSERT INTO daily SELECT (now() AT TIME ZONE 'Etc/GMT+12')::date - n, n FROM generate_series(0, 3) n;
SET timezone = 'UTC';
SELECT pgmaint.add_retention('local', 'at', '1 day', archive => false);
SELECT pgmaint.add_retention('absolute', 'at', '1 day', archive => false);
SELECT pgmaint.add_retention('daily', 'at', '1 day', archive => false, timezone => 'Etc/GMT+12');
EOS
sql("ALTER ROLE ${\ sql('SELECT current_user')} SET timezone = 'Pacific/Kiritimati'");
is(sql('SHOW timezone'), 'Pacific/Kiritimati', 'a role whose time zone is 14 hours ahead');
sql(q(SELECT pgmaint.define_plan('age_out', '["retention"]')));
my $expected = sql(q(SELECT string_agg(x, ',' ORDER BY x) FROM (VALUES ('public.absolute'), ('public.daily'), ('public.local')) v (x)));
is(sql(q(SELECT string_agg(DISTINCT target, ',' ORDER BY target) FROM pgmaint.dry_run('age_out'))), $expected, 'dry_run() shows what would leave');
my $shown = sql(q(SELECT bool_and((SELECT count(*) FROM local WHERE at < substring(reason FROM 'older than ([^,]*),')::timestamp) = 1) FROM pgmaint.dry_run('age_out') WHERE target = 'public.local'));
is($shown, 't', '... and the cut-off of the zone of the policy');
retain('a run of a role in another time zone');
is(sql('SELECT string_agg(note, $$,$$) FROM local'), 'young', 'a timestamp of 19 hours stays');
is(sql('SELECT string_agg(note, $$,$$) FROM absolute'), 'young', '... and so does a timestamptz');
is(sql('SELECT string_agg(note, $$,$$ ORDER BY note) FROM daily'), '0,1', '... and the dates that are not yet over for a day where the policy lives');


# the same where clocks are changed between the cut-off and now
sql(q(CREATE TABLE summer (at timestamptz); CREATE INDEX ON summer (at); INSERT INTO summer VALUES (now() - interval '10 years')));
foreach my $keep ('3 months', '6 months', '9 months', '36 hours')
{
	sql(qq(SELECT pgmaint.add_retention('summer', 'at', '$keep', archive => false, timezone => 'europe/berlin')));
	is( sql(qq(BEGIN;
		SET timezone = 'Pacific/Kiritimati';
		CREATE TEMPORARY TABLE planned AS SELECT substring(reason FROM 'older than ([^,]*),')::timestamptz AS cutoff FROM pgmaint.dry_run('age_out') WHERE target = 'public.summer';
		SET timezone = 'Europe/Berlin';
		SELECT cutoff = now() - interval '$keep' FROM planned)),
		't', "keep $keep: the cut-off of Berlin's calendar");
	sql('SELECT pgmaint.drop_retention(max(policy_id)) FROM pgmaint.retention_policies');
}
sql('DROP TABLE summer');

# at given times: dry_run() has the number 0, as this run
sql(<<'EOS');
CREATE TABLE clocks (t timestamp, tz timestamptz, d date);
CREATE INDEX ON clocks (t);
CREATE INDEX ON clocks (tz);
CREATE INDEX ON clocks (d);
INSERT INTO clocks VALUES ('2010-01-01', '2010-01-01', '2010-01-01');
INSERT INTO pgmaint.runs OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(r, '{"run_id": 0, "resumes": null}')).* FROM pgmaint.runs r LIMIT 1;
EOS
foreach my $case (
	[ 'tz', '1 day', '2026-03-29 10:00Z', '2026-03-28 11:00Z', 'a day of 23 hours' ],
	[ 'tz', '24 hours', '2026-03-29 10:00Z', '2026-03-28 10:00Z', '24 hours where a day has 23' ],
	[ 'tz', '1 day', '2026-10-25 10:00Z', '2026-10-24 09:00Z', 'a day of 25 hours' ],
	[ 't', '1 day', '2026-03-29 10:00Z', '2026-03-28 12:00', 'a local day of 23 hours' ],
	[ 't', '1 hour', '2026-03-29 01:10Z', '2026-03-29 01:10', 'an hour that the clocks left out' ],
	[ 't', '1 hour', '2026-10-25 01:10Z', '2026-10-25 01:10', 'an hour that the clocks show twice' ],
	[ 'd', '1 day', '2026-10-24 22:30Z', '2026-10-24', 'a date of the zone' ])
{
	my ($column, $keep, $now, $cutoff, $name) = @$case;

	sql("UPDATE pgmaint.runs SET started_at = '$now' WHERE run_id = 0;
		SELECT pgmaint.add_retention('clocks', '$column', '$keep', archive => false, timezone => 'Europe/Berlin')");
	is( sql(qq(SELECT substring(reason FROM 'older than ([^,]*),')::timestamptz = '$cutoff'::timestamptz FROM pgmaint.dry_run('age_out') WHERE target = 'public.clocks')),
		't', "$name: cut-off at $cutoff");
	sql('SELECT pgmaint.drop_retention(max(policy_id)) FROM pgmaint.retention_policies');
}
sql('DROP TABLE clocks; DELETE FROM pgmaint.runs WHERE run_id = 0');

# what is archived under any settings comes back under any others
sql(<<'EOS');
CREATE TABLE kinds (at timestamp NOT NULL, a text[], d date, iv interval, ts timestamptz, x xml, b bytea, m money, f float8 CHECK (f <> NULL OR true));
CREATE INDEX ON kinds (at);
INSERT INTO kinds VALUES ('2020-01-02', '{"NULL",NULL}', '2020-02-01', '-1 year -2 days 03:04:05.678901', '2020-07-01 12:00+00', '<a/>x', '\x5c00ff', '-1234.56', 0.1::float8 + 0.2);
CREATE TABLE kinds_before AS TABLE kinds;
EOS
my $hostile = q(SET array_nulls = off; SET datestyle = 'SQL, DMY'; SET intervalstyle = sql_standard; SET timezone = 'Pacific/Chatham';
	SET bytea_output = escape; SET extra_float_digits = -15; SET xmloption = document;
	SET backslash_quote = off; SET transform_null_equals = on; SET quote_all_identifiers = on; );
# 19 has no other strings than standard ones
$hostile .= 'SET standard_conforming_strings = off; ' if $node->pg_version->major < 19;
sql($hostile . q(SELECT pgmaint.add_retention('kinds', 'at', '30 days', storage => 'pgmaint_local')));
retain('an archive of every kind of value');
is(sql('SELECT count(*) FROM kinds'), 0, 'they have left');
is(sql($hostile . q(SELECT pgmaint.restore_archive(archive_id, 'kinds') FROM pgmaint.archives)), 1, 'a session with hostile settings restores them');
is(sql('SELECT count(*) FROM kinds k JOIN kinds_before o ON k::text = o::text'), 1, '... as they were')
  or diag sql('SELECT k::text, o::text FROM kinds k, kinds_before o');
is(sql(q(SELECT a[2] IS NULL AND a[1] = 'NULL' FROM kinds)), 't', '... with NULL and "NULL" told apart');


# the range of an archive covers its rows, and is one of the policy's zone
sql(<<'EOS');
CREATE TABLE ranges (at date);
CREATE INDEX ON ranges (at);
INSERT INTO ranges VALUES ('-infinity'), ('2020-01-02'), ('2020-03-01');
SELECT pgmaint.add_retention('ranges', 'at', '30 days', storage => 'pgmaint_local', slice => '1 month', timezone => 'Pacific/Kiritimati');
EOS
my $run = retain('rows of -infinity');
is( sql(q(SELECT string_agg(concat(range_from AT TIME ZONE 'Pacific/Kiritimati', ' ', range_to AT TIME ZONE 'Pacific/Kiritimati', ' ', rows), ', ' ORDER BY range_from) FROM pgmaint.archives WHERE relation = 'public.ranges')),
	'-infinity 2020-02-01 00:00:00 2, 2020-03-01 00:00:00 2020-04-01 00:00:00 1', 'the ranges of the archives cover all rows');
is(sql("SELECT count(*) FROM pgmaint.report_html($run)"), 1, '... and the report copes with them');
is(sql(q(SELECT count(*) FROM pgmaint.validate() WHERE detail IS NULL)), 0, '... and so does validate()');
is(sql(q(SELECT count(*) FROM pgmaint.archives a, pgmaint.verify_archive(a.archive_id) v WHERE NOT v.ok)), 0, '... and verify_archive()');

# a finding of every run: archives that are lost with the server, and policies
# that came out of a dump of an earlier version
my $count = sql(q(SELECT count(*) FROM pgmaint.retention_policies WHERE storage = 'pgmaint_local'));
is($count, 2, 'two policies on pgmaint_local');
is(scalar(() = findings($run) =~ /^warning: retention policies \d+, \d+ archive to storage pgmaint_local, which is below the data directory/mg), 1, '... make one finding');
sql(q(UPDATE pgmaint.retention_policies SET timezone = NULL WHERE relation = 'local'::regclass; TRUNCATE local;
	INSERT INTO local VALUES ((now() AT TIME ZONE 'America/New_York') - interval '23 hours', 'young'), ((now() AT TIME ZONE 'America/New_York') - interval '25 hours', 'old')));
my ($command) = findings(retain('a policy without a time zone')) =~ /^warning: retention policy \d+ stores no time zone and uses the time zone of the server; to store one: (.*)$/m;
is(sql('SELECT string_agg(note, $$,$$) FROM local'), 'young', '... goes by the zone of the server, not by that of the role');
like($command, qr/timezone => 'America\/New_York'/, '... and has a finding with a command');
sql($command);
is(sql(q(SELECT concat_ws(' ', timezone, keep, archive, time_column) FROM pgmaint.retention_policies WHERE relation = 'local'::regclass)), 'America/New_York 1 day f at', '... that gives it that zone');
unlike(findings(retain('after it')), qr/time zone/, '... and no finding remains');


# a publication that came after the policy
sql(q(TRUNCATE local; INSERT INTO local VALUES ('2020-01-01', 'old'); CREATE PUBLICATION everything FOR TABLE local));
like(findings(retain('a publication of its table')), qr/is suspended: cannot delete from table "local" because it does not have a replica identity and publishes deletes/, '... is a finding');
is(sql('SELECT count(*) FROM local'), 1, '... and nothing has left');
sql('ALTER TABLE local REPLICA IDENTITY FULL');
retain('with an identity');
is(sql('SELECT count(*) FROM local'), 0, '... rows leave');

done_testing();
