# What a role that means harm can do by waiting, and by changing names at the
# right moment: maintenance of other roles does not wait, a leader ends when it is
# told to, and no code runs with more than its owner's rights.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('hostile_waits', q(pgmaint.lock_timeout = '60s'));
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $host = $node->host;
my $port = $node->port;

sub sql
{
	my ($sql, $role) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $role || $superuser ]);
}

sub error_of
{
	my ($sql, $role) = @_;
	my $stderr;
	my $result = $node->psql('postgres', $sql, stderr => \$stderr, extra_params => [ '-U', $role || $superuser ]);

	return $result == 0 ? 'no error' : $stderr;
}

# As whom the code of mallory was called since then.
sub callers
{
	my ($offset) = @_;
	my %callers = map { $_ => 1 } substr(slurp_file($node->logfile), $offset) =~ /TRAP as (\w+)/g;

	return join ' ', sort keys %callers;
}

sub wait_for_leader
{
	my $condition = q(backend_type = 'pgmaint leader' AND wait_event = 'PgSleep');

	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE $condition") or die 'no leader sleeps';
	return sql("SELECT pid FROM pg_stat_activity WHERE $condition");
}

sub run_action
{
	my ($action, $options, $role) = @_;
	return sql("SELECT pgmaint.run_action('$action', '$options')", $role);
}

sql(q(CREATE ROLE mallory LOGIN; CREATE ROLE alice LOGIN; CREATE SCHEMA m AUTHORIZATION mallory; CREATE SCHEMA n AUTHORIZATION mallory;
	GRANT USAGE ON SCHEMA pgmaint, m TO PUBLIC; GRANT CREATE ON DATABASE postgres TO mallory;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgmaint TO mallory, alice;
	GRANT USAGE ON FOREIGN SERVER pgmaint_local TO alice; GRANT pg_read_server_files TO alice;
	CREATE TABLE public.orders (id int, at timestamptz NOT NULL); CREATE INDEX ON orders (at);
	INSERT INTO orders SELECT g, '2020-01-01' FROM generate_series(1, 10) g; ALTER TABLE orders OWNER TO alice));

# A schema that changes places with another, between the moment in which a command
# is put together and the one in which it is parsed.  The table in the other has an
# index that is evaluated when a query is planned.
sql(q(CREATE FUNCTION m.trap() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 1; END $$;
	CREATE TABLE n.t (id int, at timestamptz NOT NULL); CREATE INDEX ON n.t ((m.trap())); CREATE INDEX ON n.t (at);
	INSERT INTO n.t SELECT g, '2020-01-01' FROM generate_series(1, 10) g;
	GRANT ALL ON SCHEMA n TO PUBLIC; GRANT ALL ON n.t TO PUBLIC;
	CREATE OR REPLACE FUNCTION m.trap() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE LOG 'TRAP as %', current_user; RETURN 1; END $$), 'mallory');
sql(q(CREATE TABLE m.t (id int, at timestamptz NOT NULL); CREATE INDEX ON m.t (at); INSERT INTO m.t VALUES (1, '2020-01-01');
	SELECT pgmaint.add_retention('m.t', 'at', '90 days', storage => 'pgmaint_local')));
{
	my $offset = -s $node->logfile;
	my ($first, $second) = map { $node->background_psql('postgres') } 1, 2;
	my $waits = q(SELECT EXISTS (SELECT FROM pg_locks WHERE relation = '%s'::regclass AND NOT granted));

	# to the end of its preparations, and to the beginning of its work
	$first->query_safe('BEGIN; LOCK TABLE m.t IN SHARE MODE');
	my $run = run_action('retention', '{}');
	ok($node->poll_query_until('postgres', sprintf $waits, 'm.t'), 'renamed schema: the worker waits for the table');
	$second->query_safe('BEGIN; LOCK TABLE pgmaint_internal.uploads');
	$first->query_safe('COMMIT');
	ok($node->poll_query_until('postgres', sprintf $waits, 'pgmaint_internal.uploads'), 'renamed schema: the worker has the name of the table');
	like(error_of(q(SET lock_timeout = '200ms'; BEGIN; ALTER SCHEMA m RENAME TO x; ALTER SCHEMA n RENAME TO m; ALTER SCHEMA x RENAME TO n; COMMIT), 'mallory'),
		qr/canceling statement due to lock timeout/, 'renamed schema: the name is held');
	$second->query_safe('COMMIT');
	$_->quit foreach $first, $second;
	is(wait_for_end($node, $run), 'succeeded', 'renamed schema: run');
	is(callers($offset), '', "renamed schema: mallory's code is not called");
	is(sql('SELECT (SELECT count(*) FROM m.t) || (SELECT $$ $$ || count(*) FROM n.t)'), '0 10', 'renamed schema: the rows that were meant have left');

	# a rename that has begun holds up no session
	sql(q(INSERT INTO m.t VALUES (1, '2020-01-01')));
	my $rename = $node->background_psql('postgres', extra_params => [ '-U', 'mallory' ]);
	$rename->query_safe('BEGIN; ALTER SCHEMA m RENAME TO x');
	$run = run_action('retention', '{}');
	is(wait_for_end($node, $run), 'failed', 'rename that has begun: the run does not wait');
	like(run_error($node, $run), qr/the schema of m\.t is being renamed or dropped/, 'rename that has begun: the reason');
	$rename->query_safe('ROLLBACK');
	$rename->quit;
	sql('SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies');
}

# A filter that does not come back, and catches what is to end it.
{
	sql(q(CREATE FUNCTION m.stay(timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN true; END $$;
		CREATE TABLE m.events (at timestamptz NOT NULL); INSERT INTO m.events VALUES ('2020-01-01');
		SELECT pgmaint.add_retention('m.events', 'at', '90 days', 'm.stay(at)', archive => false);
		CREATE OR REPLACE FUNCTION m.stay(timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN LOOP
			BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN RAISE LOG 'CAUGHT'; END; END LOOP; END $$), 'mallory');
	my $run = run_action('retention', '{}', 'mallory');
	my $leader = wait_for_leader();
	my $offset = -s $node->logfile;

	sql("SELECT pg_cancel_backend($leader)");
	$node->wait_for_log(qr/CAUGHT/, $offset);
	wait_for_leader();
	is(sql("SELECT pg_terminate_backend($leader, 60000)"), 't', 'filter that catches signals: the leader ends');
	sql(q(SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies));
	is(wait_for_end($node, run_action('analyze', '{"tables": "orders"}')), 'succeeded', 'filter that catches signals: the next run');
	is(run_state($node, $run), 'interrupted', 'filter that catches signals: what becomes of the run');

	# what catches no signal ends as before
	sql(q(SELECT pgmaint.add_retention('m.events', 'at', '90 days', 'pg_sleep(600) IS NOT NULL', archive => false)), 'mallory');
	$run = run_action('retention', '{}', 'mallory');
	$leader = wait_for_leader();
	sql("SELECT pg_terminate_backend($leader, 60000)");
	is(run_state($node, $run), 'interrupted', 'filter that sleeps: the leader has written down what it left');
	sql(q(SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies));
}

# A transaction that has queued a run, and whose commit waits for another server.
SKIP:
{
	skip 'postgres_fdw is not installed', 4 if sql(q(SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw')) == 0;
	sql(qq(CREATE EXTENSION postgres_fdw; CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres');
		GRANT USAGE ON FOREIGN SERVER loopback TO mallory; CREATE USER MAPPING FOR mallory SERVER loopback OPTIONS (user 'mallory', password_required 'false')));
	sql(q(CREATE TABLE m.slow (i int); CREATE FUNCTION m.sleep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON m.slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION m.sleep();
		CREATE FOREIGN TABLE m.far (i int) SERVER loopback OPTIONS (schema_name 'm', table_name 'slow')), 'mallory');
	my $session = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'mallory' ]);

	$session->query(q(BEGIN; INSERT INTO m.far VALUES (1); SELECT pgmaint.run_action('analyze', '{"tables": "m.slow"}')));
	$session->query_until(qr/at once/, "\\echo at once\nCOMMIT;\n");
	ok($node->poll_query_until('postgres', q(SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query = 'COMMIT TRANSACTION' AND wait_event = 'PgSleep'))), 'commit that waits: it does');
	foreach my $time (1, 2)
	{
		my $run = run_action('analyze', '{"tables": "orders"}', 'alice');

		is(wait_for_end($node, $run), 'succeeded', "commit that waits: run $time of another role");
		# the leader has nothing left to do then
		$node->poll_query_until('postgres', q(SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 7 AND classid = 2)));
	}
	is(sql(q(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)), 0, 'commit that waits: nobody waits for it');
	sql(q(SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'mallory'));
}

# A table whose owner's expressions call functions of the server.
{
	sql(q(SELECT pgmaint.add_retention('orders', 'at', '90 days', storage => 'pgmaint_local')));
	is(wait_for_end($node, run_action('retention', '{}')), 'succeeded', 'archive');
	my $restore = 'SELECT pgmaint.restore_archive(' . sql('SELECT max(archive_id) FROM pgmaint.archives') . ", 'm.lure')";

	sql(q(CREATE TABLE public.secret AS SELECT 'of alice'; ALTER TABLE secret OWNER TO alice));
	foreach my $expression (
		q(ALTER loot SET DEFAULT query_to_xml('SELECT * FROM secret', true, true, '')::text),
		q(ALTER loot SET DEFAULT table_to_xml('secret', true, true, '')::text),
		q(ADD CHECK (lo_create(0) > 0)),
		q(ADD CHECK (at IS NOT NULL AND lo_create(id::oid) > 0)))
	{
		sql("CREATE TABLE m.lure (id int, at timestamptz, loot text); ALTER TABLE m.lure $expression; GRANT INSERT ON m.lure TO alice", 'mallory');
		like(error_of($restore, 'alice'),
			qr/ERROR:  expressions of table m\.lure, which call (query_to_xml|table_to_xml|lo_create)\(.*\), of role "mallory" would be evaluated with the rights of role "alice"\nHINT:  Restore into a table without these expressions\./,
			"$expression: refused");
		is(sql('SELECT count(*) FROM m.lure'), 0, "$expression: no row");
		sql('DROP TABLE m.lure', 'mallory');
	}
	sql(q(CREATE TABLE m.lure (id int CHECK (id > 0), at timestamptz CHECK (at::date > '2000-01-01'), n bigserial, u uuid DEFAULT gen_random_uuid(), t timestamptz DEFAULT now(),
		c timestamptz DEFAULT clock_timestamp(), g int GENERATED ALWAYS AS IDENTITY, who text DEFAULT current_user);
		GRANT INSERT ON m.lure TO alice; GRANT USAGE ON ALL SEQUENCES IN SCHEMA m TO alice), 'mallory');
	is(sql($restore, 'alice'), 10, 'what is harmless goes on working');
}

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr{PANIC|TRAP:|was terminated by signal}, 'nothing has crashed');

done_testing();
