# What a person reads when something went wrong: the cause of a failure with its
# hint and the function that it came from, but without values of rows; names that
# hold lines; names that are in no encoding; and a schema that was renamed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('causes', 'pgmaint.max_workers = 1', 'pgmaint.lock_retries = 0');

sub sql
{
	my ($sql, $database) = @_;
	return $node->safe_psql($database || 'postgres', $sql);
}

# What a statement has to say when it fails.
sub sql_error
{
	my ($sql, $database) = @_;
	my ($status, $stdout, $stderr) = $node->psql($database || 'postgres', $sql);

	return $status == 0 ? 'no error' : $stderr;
}

# One action on one table; what its task failed with, and all that is told of the
# run to those who have no right to read the table.
sub failure
{
	my ($action, $options, $database) = @_;
	my $run = sql("SELECT pgmaint.run_action('$action', '$options')", $database);

	wait_for_end($node, $run, $database);
	my $error = sql("SELECT string_agg(concat_ws(' ', sqlstate, error), E'\n') FROM pgmaint.tasks WHERE run_id = $run AND state = 'failed'", $database);
	my $told = sql(
		"SELECT to_jsonb(t) FROM pgmaint.tasks t WHERE run_id = $run
		UNION ALL SELECT to_jsonb(f) FROM pgmaint.findings f WHERE run_id = $run
		UNION ALL SELECT to_jsonb(r) FROM pgmaint.runs r WHERE run_id = $run
		UNION ALL SELECT to_jsonb(l) FROM pgmaint.report($run) l
		UNION ALL SELECT to_jsonb(pgmaint.report_html($run))", $database);
	return ($error, $told, $run);
}

# A table whose old rows are to be deleted.
sub create_aging_table
{
	my ($table, $database) = @_;

	sql("CREATE TABLE $table (at timestamptz, name text, number text);
		CREATE INDEX ON $table (at);
		INSERT INTO $table VALUES ('2020-01-01', 'secret-name', 'secret-number');
		SELECT pgmaint.add_retention('$table', 'at', '1 year', archive => false)", $database);
}

sub create_trigger
{
	my ($table, $body, $language) = @_;

	$language ||= 'plpgsql';
	sql("CREATE FUNCTION public.on_$table() RETURNS trigger LANGUAGE $language AS \$\$ $body \$\$;
		CREATE TRIGGER t BEFORE DELETE ON $table FOR EACH ROW EXECUTE FUNCTION public.on_$table()");
}

# a trigger whose names have no schema
create_aging_table('unqualified');
sql('CREATE TABLE public.log (name text)');
create_trigger('unqualified', 'BEGIN INSERT INTO log VALUES (OLD.name); RETURN OLD; END');
my ($error, $told, $run) = failure('retention', '{"tables": "unqualified"}');
like($error, qr/^42P01 relation "log" does not exist; /, 'a name without a schema: message');
like($error, qr/HINT: .*search_path = pg_catalog, pg_temp.*ALTER ROUTINE public\.on_unqualified\(\) SET search_path = public, pg_temp/, '... hint with the command');
like($error, qr/CONTEXT: function public\.on_unqualified\(\)$/, '... the function');
like($told, qr/"failed".*ALTER ROUTINE public\.on_unqualified/s, '... is told');
like(sql("SELECT message FROM pgmaint.findings WHERE run_id = $run AND check_id = 'failed'"), qr/ALTER ROUTINE public\.on_unqualified/, '... by a finding');
like(sql("SELECT string_agg(l, '|') FROM pgmaint.report($run) l"), qr/ALTER ROUTINE public\.on_unqualified/, '... by report()');
like(sql("SELECT pgmaint.report_html($run)"), qr/ALTER ROUTINE public\.on_unqualified/, '... by report_html()');
my ($status, $stdout, $stderr) = $node->psql('postgres', q(CALL pgmaint.run_and_wait('weekly', '{"schemas": "public"}')));
like($stderr, qr/NOTICE:.*ALTER ROUTINE public\.on_unqualified/, '... by run_and_wait()');
sql('ALTER ROUTINE public.on_unqualified() SET search_path = public, pg_temp');
($error, $told, $run) = failure('retention', '{"tables": "unqualified"}');
is(run_state($node, $run), 'succeeded', '... and the command helps');
is(sql('SELECT name FROM log'), 'secret-name', '... so that the trigger does its work');

# a function of an index, in SQL
sql(q(CREATE FUNCTION public.again(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1 $$;
	CREATE FUNCTION public.once(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.again($1); END $$;
	CREATE FUNCTION public.twice(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT public.once($1) $$;
	CREATE TABLE indexed AS SELECT g::text AS name FROM generate_series(1, 1000) g;
	CREATE INDEX ON indexed (public.twice(name));
	CREATE OR REPLACE FUNCTION public.once(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN again($1); END $$));
($error, $told) = failure('analyze', '{"tables": "indexed"}');
like($error, qr/^42883 function again\(text\) does not exist; .*HINT: .*ALTER ROUTINE public\.once\(text\) SET search_path/, 'a function in an index: what the server says, and the hint');
like($error, qr/CONTEXT: .*function public\.once\(text\)/, '... the function');

# values of rows do not get out, whatever has them
foreach my $case (
	[ 'duplicate', q(INSERT INTO public.log_of_names VALUES (OLD.name)), qr/^23505 duplicate key value violates unique constraint/ ],
	[ 'check_of_row', q(INSERT INTO public.log_of_names VALUES (OLD.name, 1)), qr/^23514 new row for relation "log_of_names" violates check constraint/ ],
	[ 'number_of_text', q(PERFORM OLD.number::int), qr/^22P02 invalid input syntax for type %s: "%s" \(the server log has the values\)/ ],
	[ 'json_of_text', q(PERFORM ('{"a": ' || OLD.number || '}')::json), qr/^22P02 invalid input syntax for type %s \(/ ],
	[ 'statement', q(EXECUTE format('SELECT 1 FROM public.nowhere WHERE %L <> %L', OLD.name, OLD.number)), qr/^42P01 relation "public\.nowhere" does not exist/ ],
	[ 'nested', q(EXECUTE format('SELECT 1 / (length(%L) - 11)', OLD.name)), qr/^22012 division by zero/ ],
	[ 'raised', q(RAISE 'no' USING DETAIL = OLD.name, ERRCODE = 'check_violation'), qr/^23514 no; CONTEXT/ ])
{
	my ($table, $body, $expected) = @$case;

	sql(q(CREATE TABLE public.log_of_names (name text PRIMARY KEY, n int CHECK (n > 1));
		INSERT INTO public.log_of_names VALUES ('secret-name')))
	  if $table eq 'duplicate';
	sql(q(TRUNCATE public.log_of_names)) if $table eq 'check_of_row';
	create_aging_table($table);
	create_trigger($table, "BEGIN $body; RETURN OLD; END");
	($error, $told) = failure('retention', qq({"tables": "$table"}));
	like($error, $expected, "values of rows, $table: the cause");
	like($error, qr/CONTEXT: function public\.on_$table\(\)/, "values of rows, $table: the function");
	unlike($told, qr/secret-n/, "values of rows, $table: none is told");
}
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/secret-name/, 'the server log has them');

# ... nor from a parallel worker, whose errors have no format
sql(q(CREATE TABLE parallel (at timestamptz, v text, filler text);
	INSERT INTO parallel SELECT '2020-01-01'::timestamptz + g * interval '1 s', g::text, repeat('x', 300) FROM generate_series(1, 20000) g;
	INSERT INTO parallel VALUES ('2020-06-01', 'secret-number');
	ALTER TABLE parallel SET (parallel_workers = 2);
	ALTER SYSTEM SET parallel_setup_cost = 0; ALTER SYSTEM SET parallel_tuple_cost = 0; ALTER SYSTEM SET parallel_leader_participation = off));
$node->reload;
sql(q(ANALYZE parallel; SELECT pgmaint.add_retention('parallel', 'at', '1 year', archive => false, filter => 'v::int > 0')));
(undef, $told) = failure('retention', '{"tables": "parallel"}');
like($told, qr/could not be planned: error with SQLSTATE 22P02 \(the server log has the message\)/, 'a parallel worker: the cause');
unlike($told, qr/secret-n/, '... but no value of a row');
sql(q(ALTER SYSTEM RESET ALL; SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies WHERE relation = 'parallel'::regclass));
sql(q(DROP TABLE parallel));
$node->reload;

# ... nor from pg_restore
foreach my $case (
	[ 'check', q(sql AS 'SELECT EXISTS (SELECT FROM public.there)'), 'ALTER TABLE people ADD CHECK (public.judge(name) IS TRUE)', qr/^XX001 not restorable: pg_restore: TABLE DATA public\.people: error with SQLSTATE 23514, check_violation \(the server log has the message\)$/ ],
	[ 'text', q(plpgsql AS 'BEGIN RETURN current_database() = ''proof'' OR $1::int > 0; END'), 'CREATE INDEX ON people (public.judge(name))', qr/^XX001 not restorable: pg_restore: INDEX public\.people_judge_idx: error with SQLSTATE 22P02, invalid_text_representation \(the server log has the message\)$/ ],
	[ 'raise', q(plpgsql AS 'BEGIN IF current_database() <> ''proof'' THEN RAISE EXCEPTION ''%'', $1; END IF; RETURN true; END'), 'ALTER TABLE people ADD CHECK (public.judge(name))', qr/^XX001 not restorable: pg_restore: TABLE DATA public\.people: error with SQLSTATE P0001, raise_exception \(the server log has the message\)$/ ],
	[ 'amcheck', q(plpgsql AS 'BEGIN IF current_query() LIKE ''%bt_index_check%'' THEN RAISE EXCEPTION E''%\nLOCATION:  f, verify_nbtree.c:1'', $1; END IF; RETURN true; END'), 'CREATE INDEX ON people (public.judge(name))', qr/^XX001 not restorable: index check failed: error with SQLSTATE P0001, raised by code in the dump$/ ],
	[ 'key', q(plpgsql AS 'BEGIN RETURN current_database() = ''proof'' AND $1 LIKE ''%name''; END'), 'CREATE UNIQUE INDEX ON people (public.judge(name))', qr/^XX001 not restorable: pg_restore: INDEX public\.people_judge_idx: error with SQLSTATE 23505, unique_violation \(the server log has the message\)$/ ])
{
	my ($name, $function, $rest, $expected) = @$case;

	sql('CREATE DATABASE proof');
	sql("CREATE TABLE people (name text); CREATE TABLE there (yes bool); INSERT INTO there VALUES (true);
		INSERT INTO people VALUES ('secret-name'), ('secret-nobody');
		CREATE FUNCTION public.judge(text) RETURNS bool IMMUTABLE LANGUAGE $function; $rest", 'proof');
	$run = sql('SELECT pgmaint.run_action(\'backup\', \'{"databases": "proof", "globals": false}\')');
	is(wait_for_end($node, $run), 'succeeded', "pg_restore, $name: a backup");
	($error, $told) = failure('verify_backup', '{}');
	like($error, $expected, "pg_restore, $name: the cause");
	unlike($told, qr/secret-n/, "pg_restore, $name: no value of a row");
	sql('DROP DATABASE proof');
}

# a parallel worker's error has the values, but not what they stand in
sql(q(CREATE FUNCTION public.in_worker(name text) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
	BEGIN RETURN length(name); END $$;
	CREATE TABLE in_parallel AS SELECT 'secret-name' AS name FROM generate_series(1, 20000);
	CREATE INDEX ON in_parallel (public.in_worker(name));
	CREATE OR REPLACE FUNCTION public.in_worker(name text) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
	BEGIN
		IF EXISTS (SELECT FROM pg_stat_activity WHERE pid = pg_backend_pid() AND leader_pid <> pid) THEN
			RETURN name::int;
		END IF;
		PERFORM pg_sleep(0.1);
		RETURN 1;
	END $$));
$node->append_conf('postgresql.conf', 'min_parallel_table_scan_size = 0');
$node->reload;
($error, $told) = failure('reindex', '{"tables": "in_parallel", "bloat_threshold": 0, "min_size": 0}');
like($error, qr/^22P02 error with SQLSTATE 22P02 \(the server log has the message\)/, 'values of rows, in a parallel worker: the cause');
unlike($told, qr/secret-n/, '... none is told');
sql('DROP TABLE in_parallel');

# names with lines and other control characters
my $bad = qq("a\nDROP TABLE x;\e[31m");
sql(qq(CREATE TABLE $bad AS SELECT g AS id FROM generate_series(1, 1000) g;
	SELECT pgmaint.define_plan(E'my\nplan', '["vacuum", "analyze", "bloat_report"]')));
$run = sql(qq(SELECT pgmaint.run(E'my\nplan', jsonb_build_object('tables', E'public."a\nDROP TABLE x;\e[31m"', 'scope', 'all', 'min_size', 0, 'bloat_threshold', 0, 'vacuum', '{"analyze": "off"}'::jsonb))));
wait_for_end($node, $run);
my $lines = sql("SELECT string_agg(l, E'\n') FROM pgmaint.report($run) l");
like($lines, qr/VACUUM public\."a DROP TABLE x; \[31m"/, 'a name with a line break: report() has it in one line');
unlike($lines, qr/^\s*DROP TABLE/m, '... and no line of its own');
like($lines, qr/^Run $run: my plan, succeeded$/m, '... nor does the name of a plan');
unlike($lines, qr/\e/, '... no escape sequence');
unlike(sql("SELECT pgmaint.report_html($run)"), qr/^\s*DROP TABLE|^plan|\e/m, '... report_html() neither');
unlike(sql('SELECT pgmaint.metrics_text()'), qr/^\s*DROP TABLE/m, '... metrics_text() neither');
($status, $stdout, $stderr) = $node->psql('postgres', qq(CALL pgmaint.run_and_wait(E'my\nplan', jsonb_build_object('tables', E'public."a\nDROP TABLE x;\e[31m"', 'scope', 'all'))));
like($stderr, qr/NOTICE:.*VACUUM.* public\."a DROP TABLE x; \[31m" succeeded/, '... run_and_wait() has it in one line');
unlike($stderr, qr/^DROP TABLE|\e/m, '... and nothing raw');
# a table whose name is in no encoding that pgmaint could know: what needs UTF-8
# says so, the rest goes on
sql(q(CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'));
sql('CREATE EXTENSION pgmaint', 'ascii');
create_aging_table('plain', 'ascii');
sql(q(SET client_encoding = 'SQL_ASCII';
	DO $$ BEGIN EXECUTE format('CREATE TABLE %I (at timestamptz)', convert_from('\xe974e9'::bytea, 'SQL_ASCII'));
	EXECUTE format('INSERT INTO %I VALUES (''2020-01-01'')', convert_from('\xe974e9'::bytea, 'SQL_ASCII'));
	PERFORM pgmaint.add_retention(format('%I', convert_from('\xe974e9'::bytea, 'SQL_ASCII'))::regclass, 'at', '1 year', storage => 'pgmaint_local'); END $$), 'ascii');
($error, $told, $run) = failure('retention', '{}', 'ascii');
like($error, qr/^42602 name "[^"]*\\xe9t\\xe9[^"]*" is not valid UTF-8; .*HINT: Rename the object: ALTER TABLE/, 'a name that is not UTF-8: what archives it says so');
is(sql('SELECT count(*) FROM plain', 'ascii'), 0, '... rows of others leave');
is(sql(q(SELECT count(*) FROM pg_class WHERE relname = convert_from('\xe974e9'::bytea, 'SQL_ASCII')), 'ascii'), 1, '... the table is there');
$run = sql(q(SELECT pgmaint.run_action('analyze', '{"scope": "all"}')), 'ascii');
is(wait_for_end($node, $run, 'ascii'), 'succeeded', '... what needs no UTF-8 works');
($error) = failure('backup', '{}', 'ascii');
like($error, qr/name "[^"]*\\xe9t\\xe9[^"]*" is not valid UTF-8/, '... a backup names it, too');
sql(q(SET client_encoding = 'SQL_ASCII'; DO $$ BEGIN EXECUTE format('ALTER TABLE %I RENAME TO renamed', convert_from('\xe974e9'::bytea, 'SQL_ASCII')); END $$), 'ascii');
$run = sql(q(SELECT pgmaint.run_action('backup')), 'ascii');
is(wait_for_end($node, $run, 'ascii'), 'succeeded', '... and once it is renamed there is one')
  or diag(run_error($node, $run, 'ascii'));

# the schema of the extension is renamed while a run goes on
create_slow_table($node, 'slow');
my $options = slow_vacuum('slow');
$run = sql("SELECT pgmaint.run_action('vacuum', $options)");
wait_for_slow_vacuum($node, 'public.slow');
my $offset = -s $node->logfile;
sql('ALTER SCHEMA pgmaint RENAME TO "other name"; CREATE SCHEMA pgmaint');
$node->wait_for_log(qr/pgmaint run $run is interrupted because schema "pgmaint" was renamed to "other name"/, $offset);
no_processes_left($node, 'schema renamed: all processes end');
foreach my $call (map({ "\"other name\".$_" } q(run('weekly')), q(tick()), 'validate()', "cancel($run)"), q(pgmaint_internal.check_group('validate_data')))
{
	like(sql_error("SELECT * FROM $call"),
		qr/schema "pgmaint" of extension "pgmaint" was renamed to "other name"\n.*HINT:  Execute ALTER SCHEMA "other name" RENAME TO pgmaint\./s,
		"schema renamed: $call says so");
}
unlike(substr(PostgreSQL::Test::Utils::slurp_file($node->logfile), $offset), qr/was terminated by signal|PANIC|does not exist/, 'schema renamed: nothing crashes');
is(sql(qq(SELECT state FROM "other name".runs WHERE run_id = $run)), 'running', 'schema renamed: the ledger cannot be written');
sql('DROP SCHEMA pgmaint; ALTER SCHEMA "other name" RENAME TO pgmaint');
my $next = sql(q(SELECT pgmaint.run_action('analyze', '{"tables": "slow"}')));
is(wait_for_end($node, $next), 'succeeded', 'schema renamed back: a run');
is(run_state($node, $run), 'interrupted', 'schema renamed back: the run that was stopped');

# ... that of the machinery, and another takes the name: nothing of that is called
sql(q(CREATE ROLE mallory LOGIN));
sql(q(GRANT CREATE ON DATABASE postgres TO mallory));
$run = sql("SELECT pgmaint.run_action('vacuum', $options)");
wait_for_slow_vacuum($node, 'public.slow');
$offset = -s $node->logfile;
my @machinery = split /\n/, sql(q{SELECT format('%I(%s) RETURNS %s%s', p.proname, pg_get_function_identity_arguments(p.oid),
		CASE WHEN p.proretset THEN 'SETOF ' ELSE '' END, p.prorettype::regtype)
	FROM pg_proc p WHERE p.pronamespace = 'pgmaint_internal'::regnamespace AND p.prokind = 'f' AND coalesce(NOT p.proargmodes && '{o,t,b}', true)
		AND p.prorettype NOT IN ('record'::regtype, 'void'::regtype) AND p.proargtypes::oid[] && ARRAY['internal'::regtype::oid] IS NOT TRUE
		AND p.oid::regprocedure::text !~ '[(,]pgmaint' AND p.prorettype::regtype::text !~ '^pgmaint'});
my @tables = split /\n/, sql(q(SELECT relname FROM pg_class WHERE relnamespace = 'pgmaint_internal'::regnamespace AND relkind IN ('r', 'v')));
cmp_ok(scalar @machinery, '>', 50, 'schema of the machinery renamed: there is something to take the place of');
sql('ALTER SCHEMA pgmaint_internal RENAME TO "other machinery"');
$node->safe_psql('postgres', join(";\n", 'CREATE SCHEMA pgmaint_internal; GRANT ALL ON SCHEMA pgmaint_internal TO PUBLIC',
	q(CREATE FUNCTION pgmaint_internal.trap() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE LOG 'mallory was called by %', current_user; RETURN true; END $$),
	(map { "CREATE FUNCTION pgmaint_internal.$_ LANGUAGE plpgsql AS \$\$ BEGIN RAISE LOG 'mallory was called by %', current_user; RETURN"
		  . (/RETURNS SETOF/ ? '' : ' NULL') . '; END $$' } grep { !/RETURNS trigger/ } @machinery),
	map { "CREATE VIEW pgmaint_internal.\"$_\" AS SELECT 1 AS n WHERE pgmaint_internal.trap()" } @tables),
	extra_params => [ '-U', 'mallory' ]);
$node->wait_for_log(qr/pgmaint run $run is interrupted because schema "pgmaint_internal" was renamed to "other machinery"/, $offset);
no_processes_left($node, 'schema of the machinery renamed: all processes end');
foreach my $call (q(run('weekly')), q(run_action('vacuum')), q(tick()), 'validate()', "cancel($run)", q(dry_run('weekly')), q(define_plan('p', '["vacuum"]')),
	q(drop_plan('p')), q(add_window('w', '{0}', '02:00', '1 hour')), q(drop_window('w')), q(add_contact('c', 'notify:c')), q(drop_contact('c')), 'acknowledge(1)',
	q(add_retention('slow', 'id', '1 year', archive => false)), 'drop_retention(1)', q(add_verification('postgres', 'SELECT true')), 'drop_verification(1)',
	q(adopt_backups('pgmaint_local')), 'take_over()', 'stay_copy()', q(list_backups('pgmaint_local')), q(restore_archive(1, 'slow')), 'verify_archive(1)')
{
	my $error = sql_error("SELECT * FROM pgmaint.$call");

	like($error, qr/schema "pgmaint_internal" of extension "pgmaint" was renamed to "other machinery"\n.*HINT:  Execute ALTER SCHEMA "other machinery" RENAME TO pgmaint_internal\./s,
		"schema of the machinery renamed: $call says so");
}
like(sql_error(q(CALL pgmaint.run_and_wait('weekly'))), qr/schema "pgmaint_internal" of extension "pgmaint" was renamed/, 'schema of the machinery renamed: run_and_wait() says so');
like(sql_error("SELECT pgmaint.$_"), qr/schema "pgmaint" or "pgmaint_internal" of extension "pgmaint" was renamed\n.*tick\(\)/s, "schema of the machinery renamed: $_ says so")
  foreach qw(report_html() slow_queries());
# what has its parts by their OIDs, and may go on
sql_error($_)
  foreach map { "SELECT * FROM pgmaint.$_" } qw(report() report_html() table_bloat() index_bloat() vacuum_candidates() reindex_candidates() stale_statistics()
	slow_queries() index_advice() index_usage() connection_review() metrics_text() actions() xmin_holders() schedule_all() validate_ok() degraded_queries()
	generic_plan('SELECT') check_storage('pgmaint_local') list_objects('pgmaint_local') window_open() next_run('weekly')),
  split /\n/, sql(q(SELECT relname FROM pg_class WHERE relnamespace = 'pgmaint'::regnamespace AND relkind IN ('r', 'v')));
my $log = substr PostgreSQL::Test::Utils::slurp_file($node->logfile), $offset;
unlike($log, qr/LOG:  mallory was called by/, 'schema of the machinery renamed: nothing is called that took its name');
unlike($log, qr/was terminated by signal|PANIC/, '... and nothing crashes');
sql('DROP OWNED BY mallory CASCADE');
sql('ALTER SCHEMA "other machinery" RENAME TO pgmaint_internal');
$next = sql(q(SELECT pgmaint.run_action('analyze', '{"tables": "slow"}')));
is(wait_for_end($node, $next), 'succeeded', 'schema of the machinery renamed back: a run');
is(run_state($node, $run), 'interrupted', 'schema of the machinery renamed back: the run that was stopped');

no_processes_left($node, 'nothing is left');
$node->stop;
done_testing();
