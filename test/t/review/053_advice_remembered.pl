# The action index_advice: its findings, and whether what a DBA made of them
# helped, which the next run says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use Test::More;

use PgmaintTest;

my $node = start_server('advice_remembered', 'jit = off', 'max_parallel_workers_per_gather = 0');

sub run_advice
{
	$node->safe_psql('postgres', "CALL pgmaint.run_and_wait('advice')");
	return $node->safe_psql('postgres',
		"SELECT coalesce(object, '') || ': ' || message FROM pgmaint.findings WHERE run_id = "
		  . last_run($node) . " AND check_id = 'index_advice' ORDER BY finding_id");
}

sub execute
{
	my ($statement) = @_;
	$node->safe_psql('postgres', join(';', ($statement) x 7));
	return;
}

$node->safe_psql('postgres', q(SELECT pgmaint.define_plan('advice', '["index_advice"]')));
like(run_advice(), qr/^: no advice on indexes: pg_stat_statements is not loaded: add it to/, 'without pg_stat_statements a finding says what to do');
is(run_state($node, last_run($node)), 'succeeded', 'and the run succeeds');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements'");
$node->restart;
$node->safe_psql('postgres', q(
	CREATE EXTENSION pg_stat_statements;
	CREATE TABLE "Orders" (id int PRIMARY KEY, customer int, email text, filler text);
	INSERT INTO "Orders" SELECT g, g % 20000, 'U' || g, repeat('x', 100) FROM generate_series(1, 60000) g;
	CREATE TABLE other AS TABLE "Orders";));
$node->safe_psql('postgres', 'VACUUM ANALYZE');
$node->safe_psql('postgres', 'SELECT pg_stat_reset()');
execute($_) foreach 'SELECT * FROM "Orders" WHERE customer = 7', q(SELECT * FROM "Orders" WHERE lower(email) = 'u9'), 'SELECT * FROM other WHERE customer = 7';
my $findings = run_advice();
like($findings, qr/^public\."Orders": CREATE INDEX CONCURRENTLY ON public\."Orders" \(customer\) would save .* a day; about /m, 'an index becomes a finding');
like($findings, qr/^public\."Orders": CREATE INDEX CONCURRENTLY ON public\."Orders" \(\(lower\(email\)\)\) would save/m, 'one on an expression, too');
is($node->safe_psql('postgres', 'SELECT count(*), bool_and("index" IS NULL AND outcome IS NULL AND mean_ms_before > 0) FROM pgmaint_internal.index_advices'), '3|t', 'they are remembered');
is($node->safe_psql('postgres', q(SELECT result FROM pgmaint.tasks WHERE run_id = ) . last_run($node)), '{"advised": 3, "reviewed": 0, "looked_at": 3}', 'the result');
run_advice();
is($node->safe_psql('postgres', 'SELECT count(*) FROM pgmaint_internal.index_advices'), '3', 'advice that is given again is remembered once');

# A DBA follows it, one time in vain.
$node->safe_psql('postgres', $_) foreach split /\n/, $node->safe_psql('postgres', 'SELECT statement FROM pgmaint_internal.index_advices ORDER BY statement');
$node->safe_psql('postgres', 'VACUUM ANALYZE');
run_advice();
is($node->safe_psql('postgres', q(SELECT count(*) FROM pgmaint_internal.index_advices WHERE "index" IS NOT NULL AND noticed_at IS NOT NULL AND outcome IS NULL)), '3', 'the new indexes are noticed');
execute($_) foreach 'SELECT * FROM "Orders" WHERE customer = 7', q(SELECT * FROM "Orders" WHERE lower(email) = 'u9');
$node->safe_psql('postgres', "ALTER DATABASE postgres SET enable_indexscan = off");
$node->safe_psql('postgres', "ALTER DATABASE postgres SET enable_bitmapscan = off");
execute('SELECT * FROM other WHERE customer = 7');
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET ALL');
$findings = run_advice();
like($findings, qr/^public\."Orders": index "Orders_customer_idx" was created as advised and has helped: 7 calls since took \S+ ms on average, \S+ ms before; the index was read 7 times$/m, 'the next run says that it helped');
like($findings, qr/"Orders_lower_idx" was created as advised and has helped/, 'so did that on an expression');
like($findings, qr/^public\.other: index other_customer_idx was created as advised, but 7 calls have not read the index: consider dropping the index$/m, 'and that one did not');
is($node->safe_psql('postgres', q(SELECT string_agg(outcome, ',' ORDER BY statement) FROM pgmaint_internal.index_advices)), 'helped,helped,not used', 'that is remembered');
unlike(run_advice(), qr/was created as advised/, 'it is said once');

$node->safe_psql('postgres', 'DROP TABLE other; DROP INDEX "Orders_customer_idx"');
run_advice();
is($node->safe_psql('postgres', 'SELECT count(*) FILTER (WHERE "index" IS NULL), count(*) FROM pgmaint_internal.index_advices'), '1|2', 'what was dropped is forgotten');

no_processes_left($node, 'no process is left');
done_testing();
