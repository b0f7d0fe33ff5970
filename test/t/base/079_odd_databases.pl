# Settings, encodings and default privileges of a database change neither what
# CREATE EXTENSION makes, nor what pgmaint does there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('odd', 'max_connections = 40');

# What a role or a database may have set, other than what ends sessions.
my %hostile = (
	standard_conforming_strings => 'off',
	escape_string_warning => 'on',
	backslash_quote => 'off',
	default_transaction_isolation => 'serializable',
	default_transaction_deferrable => 'on',
	quote_all_identifiers => 'on',
	bytea_output => 'escape',
	search_path => 'nowhere, public',
	xmloption => 'document',
	xmlbinary => 'hex',
	row_security => 'off',
	DateStyle => 'German, YMD',
	IntervalStyle => 'iso_8601',
	TimeZone => 'Asia/Kolkata',
	extra_float_digits => '-15',
	array_nulls => 'off',
	transform_null_equals => 'on',
	check_function_bodies => 'on',
	'plpgsql.extra_errors' => 'all',
	'plpgsql.variable_conflict' => 'use_column',
	'plpgsql.check_asserts' => 'off',
	lc_time => 'C.UTF-8',
	vacuum_cost_delay => '1ms',
	default_statistics_target => '1',
	synchronous_commit => 'local');

# what pgmaint has in a database, and who but the owner may do what with it
my $objects = q(SELECT concat_ws(' ', kind, name, (SELECT string_agg(concat(a.grantee::regrole, ':', a.privilege_type), ' ' ORDER BY a.grantee::regrole::text, a.privilege_type)
		FROM aclexplode(coalesce(x.acl, acldefault(x.class, x.owner))) a WHERE a.grantee <> x.owner)) FROM (
	SELECT 'schema' AS kind, 'n'::"char" AS class, nspname::text AS name, nspacl AS acl, nspowner AS owner FROM pg_namespace WHERE nspname ~ '^pgmaint'
	UNION ALL SELECT c.relkind::text, (CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", c.oid::regclass::text, c.relacl, c.relowner FROM pg_class c
		WHERE c.relnamespace::regnamespace::text ~ '^pgmaint' AND c.relkind NOT IN ('i', 'I')
	UNION ALL SELECT 'function', 'f', p.oid::regprocedure::text || md5(p.prosrc), p.proacl, p.proowner FROM pg_proc p WHERE p.pronamespace::regnamespace::text ~ '^pgmaint'
	UNION ALL SELECT 'wrapper', 'F', f.fdwname::text, f.fdwacl, f.fdwowner FROM pg_foreign_data_wrapper f
	UNION ALL SELECT 'server', 'S', s.srvname::text, s.srvacl, s.srvowner FROM pg_foreign_server s
) x ORDER BY 1);
my $reference = $node->safe_psql('postgres', "SET search_path = pg_catalog; SET quote_all_identifiers = off; $objects");
cmp_ok(scalar(split /\n/, $reference), '>', 200, 'pgmaint has objects');

# Everything that can be asked of pgmaint, after a run, in the database.
sub examine
{
	my ($name, $database) = @_;
	my ($status, $out, $err) = $node->psql($database, 'BEGIN READ WRITE; CREATE EXTENSION pgmaint; COMMIT');

	is("$status $err", '0 ', "$name: CREATE EXTENSION");
	return if $status != 0;
	is($node->safe_psql($database, "SET search_path = pg_catalog; SET quote_all_identifiers = off; $objects"), $reference, '... makes what it makes elsewhere');
	foreach my $plan ('weekly')
	{
		my $run = $node->safe_psql($database, "BEGIN READ WRITE; SELECT pgmaint.run('$plan'); COMMIT");
		my $state = wait_for_end($node, $run, $database);

		is($state, 'succeeded', "... a run of $plan") or diag($node->safe_psql($database, "SELECT error FROM pgmaint.tasks WHERE error IS NOT NULL UNION ALL SELECT error FROM pgmaint.runs"));
		for my $question (
			"SELECT string_agg(report, E'\\n') FROM pgmaint.report($run) report", "SELECT pgmaint.report_html($run)::text",
			"SELECT pgmaint.report_json($run)::text")
		{
			my ($failed, $text, $error) = $node->psql($database, $question);

			next if $error =~ /function pgmaint\.report_json.* does not exist/;
			is("$failed $error", '0 ', "... $question");
			cmp_ok(length $text, '>', 40, '... tells something');
			unlike($text, qr/[^\x01-\x7f]/, '... in ASCII');
		}
	}
	for my $source (split /\n/, $node->safe_psql('postgres', q(
		SELECT format('%s.%I', c.relnamespace::regnamespace, c.relname) FROM pg_class c WHERE c.relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND c.relkind = 'v'
		UNION ALL SELECT format('%s.%I()', p.pronamespace::regnamespace, p.proname) FROM pg_proc p WHERE p.pronamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND p.prokind = 'f'
		AND p.pronargs = p.pronargdefaults AND p.prorettype NOT IN ('void'::regtype, 'trigger'::regtype)
		AND p.proname NOT IN ('tick', 'schedule_all', 'take_over', 'stay_copy')
		UNION ALL SELECT $$pgmaint.dry_run('weekly')$$ ORDER BY 1)))
	{
		my ($failed, $text, $error) = $node->psql($database, "SELECT to_jsonb(x) FROM $source x");

		is("$failed $error", '0 ', "... $source") unless $error =~ /pg_stat_statements|pg_cron|hypopg/;
		unlike($text, qr/could not be checked|[^\x01-\x7f]/, "... $source checks everything, in ASCII");
	}
	return;
}

$node->safe_psql('postgres', 'CREATE DATABASE hostile');
for my $setting (sort keys %hostile)
{
	my $name = join '.', map { qq("$_") } split /\./, $setting;
	my $value = $setting eq 'search_path' ? $hostile{$setting} : "'$hostile{$setting}'";
	my ($status, undef, $err) = $node->psql('postgres', "ALTER DATABASE hostile SET $name = $value");

	# 19 has no other strings than standard ones
	die $err if $status != 0 && $setting !~ /^(standard_conforming_strings|escape_string_warning)$/;
}
examine('hostile settings', 'hostile');

for my $encoding ('EUC_JP', 'LATIN1')
{
	my $database = 'in_' . lc $encoding;

	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	examine($encoding, $database);
}

$node->safe_psql('postgres', 'CREATE ROLE app; CREATE DATABASE granted');
$node->safe_psql('granted', join ';', map { "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO PUBLIC, app" } 'TABLES', 'SEQUENCES', 'FUNCTIONS', 'TYPES');
examine('default privileges', 'granted');
$node->safe_psql('postgres', 'CREATE DATABASE given');
$node->safe_psql('given', 'ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO app');
my (undef, undef, $refusal) = $node->psql('given', 'CREATE EXTENSION pgmaint');
like($refusal, qr/schema "pgmaint" lets role app create objects in it/, 'a schema that others may create objects in is refused');
done_testing();
