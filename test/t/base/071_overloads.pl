# Functions of other extensions: whatever others put beside them, nothing but the
# extension's own is called, and what cannot be trusted is named and not called.
# Overloads fit better than amcheck's functions and pg_cron's, members are added
# by an extension's owner who is no superuser, and the view of pg_stat_statements
# is replaced.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

use constant BLOCK => 8192;

my ($library) = run_command([ 'pg_config', '--pkglibdir' ]);
chomp $library;
my $with_cron = -e "$library/pg_cron.so";

my $node = start_server('overloads',
	"shared_preload_libraries = 'pg_stat_statements" . ($with_cron ? ", pg_cron'" : "'"),
	$with_cron ? ("cron.database_name = 'postgres'", "cron.launch_active_jobs = off") : ());
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

sub sql { return $node->safe_psql($_[1] || 'postgres', $_[0]) }

sub as
{
	my ($role, $sql) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $role ]);
}

# Has a trap been called since?
my $offset;
sub untouched
{
	my ($name) = @_;
	my %called = map { $_ => 1 } slurp_file($node->logfile, $offset) =~ /LOG:  TRAP (.*)/g;

	is_deeply([ sort keys %called ], [], $name);
}

# The body of a function that tells in the server's log that it was called.
sub trap
{
	my ($name, $result) = @_;
	return qq(LANGUAGE plpgsql AS \$\$ BEGIN
		RAISE LOG 'TRAP $name as %, superuser: %', current_user, current_setting('is_superuser'); $result END \$\$);
}

# Run the check; returns the run and its state.
sub check
{
	my $run = sql(q(SELECT pgmaint.run_action('check_corruption', '{"schemas": "public", "ignore_window": true}')));
	return ($run, wait_for_end($node, $run));
}

sub findings
{
	my ($run, $check) = @_;
	return sql("SELECT string_agg(message, E'\n' ORDER BY finding_id) FROM pgmaint.findings WHERE run_id = $run AND check_id = '$check'");
}

my @heap = map { sprintf "(relation %s, on_error_stop boolean DEFAULT false, check_toast boolean DEFAULT false, skip text DEFAULT 'none',
	startblock bigint DEFAULT NULL, endblock bigint DEFAULT NULL,
	OUT blkno bigint, OUT offnum integer, OUT attnum integer, OUT msg text) RETURNS SETOF record", $_ } qw(oid regclass);

# Extensions whose functions a superuser has, and another role the rest.
sql(q(CREATE ROLE mallory LOGIN; CREATE ROLE builder SUPERUSER LOGIN; CREATE SCHEMA checks; CREATE SCHEMA counts; CREATE SCHEMA b;
	GRANT ALL ON SCHEMA checks, counts, b TO mallory, builder; GRANT ALL ON SCHEMA checks, counts TO PUBLIC;
	CREATE TABLE sound (id int PRIMARY KEY, words int[]);
	INSERT INTO sound SELECT g, ARRAY[g, g + 1] FROM generate_series(1, 1000) g;
	CREATE INDEX sound_gin ON sound USING gin (words);
	CREATE TABLE damaged AS SELECT g AS id, repeat('x', 100) AS filler FROM generate_series(1, 1000) g;
	VACUUM FREEZE));
as('builder', 'CREATE EXTENSION amcheck SCHEMA checks; CREATE EXTENSION pg_stat_statements SCHEMA counts');

# Give all functions in a schema to a role.
sub give
{
	my ($schema, $role) = @_;
	sql("DO \$\$ DECLARE f regprocedure; BEGIN
		FOR f IN SELECT p.oid FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
			WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND p.pronamespace = '$schema'::regnamespace
		LOOP EXECUTE format('ALTER FUNCTION %s OWNER TO $role', f); END LOOP; END \$\$");
}
give($_, $superuser) foreach qw(checks counts);
sql('ALTER ROLE builder NOSUPERUSER');

# what fits better than the extension's own
as('mallory', "CREATE FUNCTION checks.verify_heapam $heap[0] " . trap('verify_heapam', 'RETURN;'));
as('mallory', "CREATE FUNCTION checks.$_ RETURNS void " . trap($_, ''))
  foreach ('bt_index_check(index oid, heapallindexed boolean)', 'bt_index_check(index oid, heapallindexed boolean, checkunique boolean)',
	'bt_index_parent_check(index oid, heapallindexed boolean, rootdescend boolean)', 'gin_index_check(index oid)');
# members, of which some have the very signatures
as('builder', "CREATE FUNCTION b.verify_heapam $heap[1] " . trap('verify_heapam', 'RETURN;')
	. '; ALTER EXTENSION amcheck ADD FUNCTION b.verify_heapam');
as('builder', "CREATE FUNCTION b.$_ RETURNS void " . trap($_, '') . "; ALTER EXTENSION amcheck ADD FUNCTION b.$_")
  foreach ('bt_index_check(regclass, boolean, boolean)', 'bt_index_parent_check(regclass, boolean, boolean, boolean)', 'gin_index_check(regclass)');
# the view that the owner of pg_stat_statements may replace
as('builder', 'CREATE FUNCTION b.counted() RETURNS boolean ' . trap('pg_stat_statements', 'RETURN true;'));
as('builder', 'CREATE OR REPLACE VIEW counts.pg_stat_statements AS SELECT * FROM counts.pg_stat_statements(true) WHERE b.counted()');

# they are set, and would be seen
$offset = -s $node->logfile;
sql(q(SELECT * FROM checks.verify_heapam(relation => 'sound'::regclass::oid)));
like(slurp_file($node->logfile, $offset), qr/TRAP verify_heapam as \Q$superuser\E, superuser: on/, 'a trap is seen');

# two line pointers of a heap page
my $file = $node->data_dir . '/' . sql(q(SELECT pg_relation_filepath('damaged')));
$node->stop;
my ($control) = run_command([ 'pg_controldata', $node->data_dir ]);
system_or_bail('pg_checksums', '--disable', '--no-sync', '-D', $node->data_dir) if $control !~ /^Data page checksum version:\s+0$/m;
open my $handle, '+<:raw', $file or die "could not open $file: $!";
seek $handle, 5 * BLOCK + 24 + 4 * 2, 0;
print {$handle} pack('L2', 0x77777777, 0x77777777);
close $handle or die "could not write $file: $!";
$node->start;

my $newer = $node->pg_version >= 18;
$offset = -s $node->logfile;
my ($run, $state) = check();
untouched('check_corruption: nobody else\'s function is called');
is($state, 'failed', '... and the run finds damage');
is(sql("SELECT string_agg(object, ' ') FROM pgmaint.findings WHERE run_id = $run AND severity = 'critical'"), 'public.damaged',
	'... in the table that is damaged');
is( sql(q(SELECT string_agg(relation || ' ' || outcome || ' ' || checked, ', ' ORDER BY relation::text COLLATE "C")
		FROM pgmaint.corruption_checks WHERE relation::text ~ '^(damaged|sound)' AND method <> 'gin')),
	'damaged damaged heap, sound sound heap, sound_pkey sound index with parent', '... and all is checked');
my $gin = q(SELECT outcome FROM pgmaint.corruption_checks WHERE relation = 'sound_gin'::regclass);
SKIP:
{
	skip 'amcheck has a check for GIN', 2 if $newer;
	is(findings($run, 'amcheck'),
		'1 relations were not checked, because pgmaint does not call a function of the extension amcheck: '
		. 'function b.gin_index_check(regclass) of role "builder" is not written in C',
		'a member that others have added is named');
	is(sql($gin), 'never checked', '... and the index is not reported as checked');
}

# the statistics of statements
$offset = -s $node->logfile;
cmp_ok(sql('SELECT count(*) FROM pgmaint_internal.statement_statistics()'), '>', 0, 'pg_stat_statements is read');
is(sql(q(SELECT pgmaint_internal.statements_missing() IS NULL AND counted_since IS NOT NULL AND evicted = 0 FROM pgmaint_internal.statements_since())), 't', '... and since when it counts');
is(wait_for_end($node, sql(q(SELECT pgmaint.run_action('review_queries')))), 'succeeded', '... and reviewed');
untouched('... without the view that was replaced');

# pg_cron, from another database
SKIP:
{
	skip 'pg_cron is not installed', 6 unless $with_cron;
	sql('CREATE EXTENSION pg_cron; GRANT ALL ON SCHEMA cron TO mallory; GRANT USAGE ON SCHEMA cron TO PUBLIC; CREATE DATABASE other');
	sql('CREATE EXTENSION pgmaint', 'other');
	as('mallory', "CREATE FUNCTION cron.$_ " . trap($_, 'RETURN 1;'))
	  foreach ('schedule(name, text, text) RETURNS bigint', 'schedule(text, text, text, boolean DEFAULT true) RETURNS bigint',
		'schedule_in_database(text, text, text, text) RETURNS bigint',
		'schedule_in_database(name, text, text, text) RETURNS bigint',
		'unschedule(oid) RETURNS integer', 'unschedule(bigint, boolean DEFAULT true) RETURNS integer');
	$offset = -s $node->logfile;
	foreach my $database ('postgres', 'other')
	{
		cmp_ok(sql(q(SELECT pgmaint.schedule('weekly', '0 3 * * 0')), $database), '>', 0, "pg_cron, from $database: scheduled");
		sql('UPDATE cron.job SET active = false');
		cmp_ok(sql(q(SELECT pgmaint.schedule('weekly', '0 4 * * 0')), $database), '>', 0, '... again, in the place of a job that is paused');
		is(sql("SELECT string_agg(database || ' ' || schedule || ' ' || active, ', ') FROM cron.job"), "$database 0 4 * * 0 true", '... as it was asked');
		is(sql(q(SELECT pgmaint.unschedule('weekly')), $database), 't', '... and unscheduled');
		is(sql('SELECT count(*) FROM cron.job'), '0', '... as it was asked');
	}
	untouched('... and nobody else\'s function is called');
	sql('ALTER SCHEMA cron OWNER TO builder');
	my ($status, $stdout, $stderr) = $node->psql('postgres', q(SELECT pgmaint.schedule('weekly', '0 3 * * 0')));
	like($stderr, qr/cannot read table cron\.job of extension "pg_cron"\nDETAIL:  Its schema belongs to role "builder", which is not a superuser\.\nHINT:  As a superuser, execute ALTER SCHEMA cron OWNER TO CURRENT_USER\./,
		'tables in a schema that others can rename are not read');
}

# functions that belong to others are not called, though they are members
give($_, 'builder') foreach qw(checks counts);
as('builder', "CREATE OR REPLACE FUNCTION checks.verify_heapam $heap[1] " . trap('verify_heapam', 'RETURN;'));
sql('DELETE FROM pgmaint_internal.corruption_results');
$offset = -s $node->logfile;
($run, $state) = check();
untouched('functions of a role that is no superuser are not called');
my $found = findings($run, 'amcheck');
like($found, qr/^\d+ relations were not checked, .* function $_\.verify_heapam\([^()]*\) of role "builder" is not written in C/m, "$_.verify_heapam is named")
  foreach qw(b checks);
like($found, qr/^\d+ relations were not checked, .* function checks\.bt_index_check\([^()]*\) belongs to role "builder", which is not a superuser \(execute as a superuser: ALTER FUNCTION checks\.bt_index_check\(regclass,boolean\) OWNER TO CURRENT_USER\)/m,
	'... and so is bt_index_check');
is(sql(q(SELECT string_agg(DISTINCT outcome, ' ') FROM pgmaint.corruption_checks WHERE relation::text ~ '^(damaged|sound)')), 'never checked',
	'... and nothing is reported as checked');
like(sql('SELECT pgmaint_internal.statements_missing()'), qr/not used: function counts\.pg_stat_statements\(boolean\) belongs to role "builder", which is not a superuser/,
	'that of pg_stat_statements is named, too');
is(sql('SELECT count(*) FROM pgmaint_internal.statement_statistics()'), '0', '... and there are no rows');

done_testing();
