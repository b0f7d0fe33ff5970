# Texts show ISO dates whatever the session's DateStyle is.  Everything that can
# be read without arguments is read under two others, and dry_run() and report()
# besides.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('date_styles', "timezone = 'Asia/Kolkata'", 'max_prepared_transactions = 5', 'wal_level = logical', 'archive_mode = on', "archive_command = 'true'");

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# something to say about each thing that has a time
sql(<<'EOS');
CREATE TABLE aged (id int PRIMARY KEY, at timestamptz, day date);
CREATE INDEX ON aged (at);
CREATE INDEX ON aged (day);
INSERT INTO aged SELECT g, now() - g * interval '1 day', current_date - g FROM generate_series(1, 400) g;
SELECT pgmaint.add_retention('aged', 'at', '90 days', storage => 'pgmaint_local');
SELECT pgmaint.add_retention('aged', 'day', '1 year', archive => false);
SELECT pgmaint.add_window('night', ARRAY[0, 6], '01:00', '3 hours', 'Europe/Berlin');
SELECT pgmaint.add_contact('nobody', 'http://127.0.0.1:1/x');
SELECT pg_switch_wal();
BEGIN;
CREATE TABLE prepared (id int);
PREPARE TRANSACTION 'waiting';
INSERT INTO pgmaint_internal.uploads (task_id, action, storage, key, mark) VALUES (0, 'retention', 'pgmaint_local', 'left.csv', 'm');
EOS
foreach my $plan ('weekly', 'daily', 'weekly')
{
	wait_for_end($node, sql(qq(SELECT pgmaint.run('$plan'))));
}
sql('INSERT INTO aged SELECT -g, now() - g * interval $$1 day$$, current_date - g FROM generate_series(100, 400) g');
sql(q(INSERT INTO pgmaint_internal.plan_schedules (plan, scheduled_by, schedule, job_id, role, database, noted_at)
	SELECT 'weekly', current_user, '0 3 * * 0', 1, current_user::regrole, oid, now() FROM pg_database WHERE datname = current_database()));
my @sources = split /\n/, sql(q(
	SELECT format('%s.%I', c.relnamespace::regnamespace, c.relname) FROM pg_class c WHERE c.relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND c.relkind IN ('r', 'v', 'm')
	UNION ALL SELECT format('%s.%I()', p.pronamespace::regnamespace, p.proname) FROM pg_proc p WHERE p.pronamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND p.prokind = 'f'
	AND p.pronargs = p.pronargdefaults AND p.prorettype NOT IN ('void'::regtype, 'trigger'::regtype) AND p.proname NOT IN ('tick', 'schedule_all', 'take_over', 'stay_copy')
	UNION ALL SELECT format('pgmaint.dry_run(%L)', plan) FROM unnest('{daily,weekly,monthly,quarterly}'::text[]) plan
	ORDER BY 1));
cmp_ok(scalar @sources, '>', 40, 'there is much to read');
foreach my $style ('German', 'SQL, DMY', 'Postgres, DMY')
{
	foreach my $source (@sources)
	{
		# jsonb shows the dates of a column in ISO: what is left are texts
		my $text = sql(qq(SET datestyle = '$style'; SELECT to_jsonb(x) FROM $source x));
		my ($found) = $text =~ m{("[^"]*(?:\b\d\d[./]\d\d[./]\d{4}\b|\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:\d\d )?[A-Z][a-z]{2} )[^"]*")};

		is($found, undef, "$style: $source");
	}
}
like(sql(q(SET datestyle = 'German'; SELECT string_agg(detail, ' ') FROM pgmaint.validate())), qr/\d{4}-\d\d-\d\d/, 'validate() has dates');
like(sql(q(SET datestyle = 'German'; SELECT string_agg(reason, ' ') FROM pgmaint.dry_run('weekly'))), qr/older than \d{4}-\d\d-\d\d/, '... and so has dry_run()');
sql(q(ROLLBACK PREPARED 'waiting'));

done_testing();
