# Rows that leave and rows that come back: code that other roles have put where
# the server evaluates it gets no rights but their own, and is refused by
# name; what belongs to those who are at work goes on working.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('rows_rights', q(timezone = 'UTC'));
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $folder = PostgreSQL::Test::Utils::tempdir();

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

# As whom functions of mallory were called since then.
sub callers
{
	my ($offset) = @_;
	my $log = substr slurp_file($node->logfile), $offset;
	my %callers = map { $_ => 1 } $log =~ /TRAP as (\w+)/g;

	return join ' ', sort keys %callers;
}

sub retain
{
	my ($table, $expected) = @_;
	my $run = sql("SELECT pgmaint.run_action('retention', '{\"tables\": \"$table\"}')");

	is(wait_for_end($node, $run), $expected, "retention of $table") or diag run_error($node, $run);
	return $run;
}

sql(qq(CREATE ROLE app LOGIN; CREATE ROLE mallory LOGIN; CREATE ROLE writer LOGIN;
	CREATE SCHEMA app AUTHORIZATION app; CREATE SCHEMA m AUTHORIZATION mallory;
	GRANT USAGE ON SCHEMA app, m TO PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC;
	ALTER ROLE app SET search_path = public; GRANT USAGE ON SCHEMA pgmaint TO app, writer;
	CREATE SERVER archives FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder');
	GRANT USAGE ON FOREIGN SERVER archives TO app, writer; GRANT pg_read_server_files TO app, writer;
	GRANT EXECUTE ON FUNCTION pgmaint.restore_archive(bigint, regclass) TO app, writer));

# mallory's code is harmless when others begin to use it
sub traps
{
	my ($body, $security) = @_;
	return qq(CREATE OR REPLACE FUNCTION m.trap(int) RETURNS int LANGUAGE plpgsql IMMUTABLE $security AS \$\$ BEGIN $body RETURN \$1; END \$\$;
		CREATE OR REPLACE FUNCTION m.sound(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE $security AS \$\$ BEGIN $body RETURN true; END \$\$;
		CREATE OR REPLACE FUNCTION m.alike(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE $security AS \$\$ BEGIN $body RETURN true; END \$\$;
		CREATE OR REPLACE FUNCTION m.distance(float8, float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE $security AS \$\$ BEGIN $body RETURN \$1 - \$2; END \$\$;
		CREATE OR REPLACE FUNCTION m.fire() RETURNS trigger LANGUAGE plpgsql $security AS \$\$ BEGIN $body RETURN NEW; END \$\$);
}
my $hostile = traps(q(RAISE LOG 'TRAP as %', current_user; IF current_user <> 'mallory' THEN
	BEGIN EXECUTE 'ALTER ROLE mallory SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END; END IF;), '');
my $harmless = traps('', '');
sql(
	$harmless . q(; CREATE DOMAIN m.word AS text CHECK (m.sound(VALUE));
	CREATE DOMAIN m.inner_word AS m.word; CREATE TYPE m.pair AS (a int, b m.inner_word);
	CREATE DOMAIN m.plain AS text CHECK (VALUE <> 'never');
	CREATE TYPE m.span AS RANGE (subtype = float8, subtype_diff = m.distance);
	CREATE OPERATOR m.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = m.alike)), 'mallory');

# the archive that comes back
sql(q(CREATE FUNCTION app.fine(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN current_user = 'app'; END $$;
	CREATE DOMAIN app.word AS text CHECK (app.fine(VALUE));
	CREATE TABLE app.events (id int, at timestamptz, word app.word);
	INSERT INTO app.events SELECT g, '2020-01-01', 'word ' || g FROM generate_series(1, 100) g), 'app');
sql(q(SELECT pgmaint.add_retention('app.events', 'at', '90 days', storage => 'archives')));
retain('app.events', 'succeeded');
my $archive = sql('SELECT archive_id FROM pgmaint.archives');
my $restore = "SELECT pgmaint.restore_archive($archive, 'public.copy')";

my $columns = '(id int, at timestamptz, word text)';
my %attacks = (
	'domain' => 'CREATE TABLE copy (id int, at timestamptz, word m.word)',
	'domain over a domain' => 'CREATE TABLE copy (id int, at timestamptz, word m.inner_word)',
	'domain of another column' => "CREATE TABLE copy (id int, at timestamptz, word text, more m.word)",
	'array of a domain' => 'CREATE TABLE copy (id int, at timestamptz, word text, more m.word[])',
	'composite type' => 'CREATE TABLE copy (id int, at timestamptz, word text, more m.pair)',
	'range type' => 'CREATE TABLE copy (id int, at timestamptz, word text, more m.span)',
	'multirange type' => 'CREATE TABLE copy (id int, at timestamptz, word text, more m.span_multirange)',
	'row type of a table' => 'CREATE TABLE copy (id int, at timestamptz, word text, more m.rows)',
	'default' => 'CREATE TABLE copy (id int, at timestamptz, word text, more int DEFAULT m.trap(1))',
	'generated column' => 'CREATE TABLE copy (id int, at timestamptz, word text, more int GENERATED ALWAYS AS (m.trap(id)) STORED)',
	'CHECK' => "CREATE TABLE copy $columns; ALTER TABLE copy ADD CHECK (m.trap(id) > 0)",
	'operator' => "CREATE TABLE copy $columns; ALTER TABLE copy ADD CHECK (id OPERATOR(m.===) 1)",
	'index expression' => "CREATE TABLE copy $columns; CREATE INDEX ON copy (m.trap(id))",
	'constant index expression' => "CREATE TABLE copy $columns; CREATE INDEX ON copy ((m.trap(1)))",
	'index predicate' => "CREATE TABLE copy $columns; CREATE INDEX ON copy (id) WHERE m.trap(id) > 0",
	'exclusion constraint' => "CREATE TABLE copy $columns; ALTER TABLE copy ADD EXCLUDE USING btree ((m.trap(id)) WITH =)",
	'operator class' => "CREATE TABLE copy $columns; CREATE INDEX ON copy (id hostile_ops)",
	'trigger' => "CREATE TABLE copy $columns; CREATE TRIGGER t BEFORE INSERT ON copy FOR EACH ROW EXECUTE FUNCTION m.fire()",
	'trigger for each statement' => "CREATE TABLE copy $columns; CREATE TRIGGER t AFTER INSERT ON copy EXECUTE FUNCTION m.fire()",
	'condition of a trigger' => "CREATE TABLE copy $columns; CREATE TRIGGER t BEFORE INSERT ON copy FOR EACH ROW WHEN (m.sound(NEW.word)) EXECUTE FUNCTION harmless_trigger()",
	'partition key' => "CREATE TABLE copy $columns PARTITION BY LIST (m.trap(id)); CREATE TABLE copy_rest PARTITION OF copy DEFAULT",
	'partition' => "CREATE TABLE copy $columns PARTITION BY LIST (id); CREATE TABLE copy_rest PARTITION OF copy DEFAULT; CREATE TRIGGER t BEFORE INSERT ON copy_rest FOR EACH ROW EXECUTE FUNCTION m.fire()",
	'table above a partition' => "CREATE TABLE above $columns PARTITION BY LIST (m.trap(id)); CREATE TABLE copy PARTITION OF above DEFAULT");
sql('CREATE TABLE m.rows (word m.word)', 'mallory');
sql(q(CREATE FUNCTION m.compare(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN sign($1 - $2); END $$;
	ALTER FUNCTION m.compare(int, int) OWNER TO mallory;
	CREATE OPERATOR CLASS hostile_ops FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 m.compare(int, int);
	CREATE FUNCTION harmless_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA m TO PUBLIC));
foreach my $role ($superuser, 'app')
{
	foreach my $attack (sort keys %attacks)
	{
		my $offset = -s $node->logfile;
		my $error;

		sql($harmless, 'mallory');
		sql($attacks{$attack}, $role);
		foreach my $security ('', 'SECURITY DEFINER')
		{
			sql($security ? traps("RAISE LOG 'TRAP as %', session_user;", $security) : $hostile, 'mallory');
			$error = error_of($restore, $role);
			like($error, qr/ERROR:  function m\.\w+\([a-z, ]*(double precision)?.*\) of role "mallory" would be called with the rights of role "$role"\nDETAIL:  The function is called by .+\.\nHINT:  Restore into a table/, "$attack, $role $security: refused by name");
		}
		sql($harmless, 'mallory');
		is(sql('SELECT count(*) FROM copy', $role), 0, "$attack, $role: no row");
		is(callers($offset), '', "$attack, $role: not called");
		sql('DROP TABLE IF EXISTS above CASCADE; DROP TABLE IF EXISTS copy', $role);
	}
}

# where it is called is said
sql("CREATE TABLE copy $columns; ALTER TABLE copy ADD CONSTRAINT sane CHECK (m.sound(word))");
like(error_of($restore), qr/DETAIL:  The function is called by constraint sane on table (public\.)?copy\./, 'the constraint is named');
sql('DROP TABLE copy; CREATE TABLE copy (id int, at timestamptz, word m.word)');
like(error_of($restore), qr/DETAIL:  The function is called by constraint word_check of domain m\.word\./, 'the domain is named');
sql('DROP TABLE copy');

# functions of the server, which no distrusted role owns
my $stolen = "$folder/stolen";
sql("ALTER DOMAIN m.plain ADD CHECK (pg_catalog.lo_export(4343, '$stolen') = 1) NOT VALID", 'mallory');
sql(q(SELECT lo_from_bytea(4343, 'x'); GRANT SELECT ON LARGE OBJECT 4343 TO PUBLIC));
my %servers = (
	'domain m.plain' => 'CREATE TABLE copy (id int, at timestamptz, word m.plain)',
	'domain m.plain within an array' => 'CREATE TABLE copy (id int, at timestamptz, word text, more m.plain[])',
	'partition public.copy_rest' => "CREATE TABLE copy $columns PARTITION BY LIST (id); CREATE TABLE copy_rest PARTITION OF copy DEFAULT; ALTER TABLE copy_rest OWNER TO mallory",
	'partitioned table public.above' => "CREATE TABLE above $columns PARTITION BY LIST (id); CREATE TABLE copy PARTITION OF above DEFAULT; ALTER TABLE above OWNER TO mallory; ALTER TABLE copy OWNER TO $superuser");
foreach my $object (sort keys %servers)
{
	my $name = quotemeta($object =~ s{ within.*}{}r);

	sql($servers{$object});
	like(error_of($restore), qr/ERROR:  expressions of $name of role "mallory" would be evaluated with the rights of role "$superuser"\nHINT:  Restore into a table that does not depend on $name, or into a table that role "mallory" owns\./, "$object: refused by name");
	is(sql('SELECT count(*) FROM copy'), 0, "$object: no row");
	sql('DROP TABLE IF EXISTS above CASCADE; DROP TABLE IF EXISTS copy');
}
ok(!-e $stolen, 'nothing was written');

# a function that a trusted one calls
sql($hostile, 'mallory');
sql("CREATE TABLE copy $columns; CREATE FUNCTION careless() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN NEW.id := m.trap(NEW.id); RETURN NEW; END \$\$;
	CREATE TRIGGER t BEFORE INSERT ON copy FOR EACH ROW EXECUTE FUNCTION careless()");
my $offset = -s $node->logfile;
like(error_of($restore), qr/ERROR:  function m\.trap\(integer\) of role "mallory" would be called with the rights of role "$superuser"\n(?:.*\n)*HINT:  Restore into a table without the trigger, default or constraint that calls the function, then copy the rows with INSERT \.\.\. SELECT\./, 'what a function calls is refused, too');
is(callers($offset), '', '... and not called');
is(sql('SELECT count(*) FROM copy'), 0, '... and no row comes back');
sql('DROP TABLE copy');

# what goes on working
sql('CREATE DOMAIN plain AS text CHECK (VALUE <> $$never$$); CREATE TABLE copy (id int, at timestamptz, word plain)');
is(sql($restore), 100, "a domain of one's own");
sql('DROP TABLE copy; CREATE TABLE copy (LIKE app.events)');
like(error_of($restore), qr/function app\.fine\(text\) of role "app" would be called with the rights of role "$superuser"\n.*\nHINT:  Restore into a table that does not call the function, or into a table that role "app" owns\./, 'a copy that the superuser keeps');
sql('ALTER TABLE copy OWNER TO app');
is(sql($restore), 100, 'a copy that the superuser has given to the owner of the table');
is(sql('TRUNCATE copy; ' . $restore, 'app'), 100, '... into which the owner restores, too');
sql('CREATE FUNCTION app.sign() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.word := current_user; RETURN NEW; END $$;
	CREATE TRIGGER t BEFORE INSERT ON copy FOR EACH ROW EXECUTE FUNCTION app.sign(); TRUNCATE copy', 'app');
is(sql($restore), 100, 'triggers of the owner');
is(sql('SELECT DISTINCT word FROM copy'), 'app', '... have the rights of the owner');
sql(q(DROP TRIGGER t ON copy; CREATE TRIGGER t BEFORE INSERT ON copy FOR EACH ROW EXECUTE FUNCTION m.fire(); ALTER TABLE copy DISABLE TRIGGER t));
is(sql($restore), 100, 'a trigger that is disabled');
sql('DROP TABLE copy');

# the privileges that COPY needs
sql("CREATE TABLE copy $columns; GRANT INSERT (id, at) ON copy TO writer");
like(error_of($restore, 'writer'), qr/ERROR:  permission denied for column "word" of relation "copy"/, 'a privilege for some columns: the missing one is named');
sql('GRANT INSERT (word) ON copy TO writer; ALTER TABLE copy ADD more int');
is(sql($restore, 'writer'), 100, 'a privilege for each archived column');
sql('REVOKE INSERT (id, at, word) ON copy FROM writer');
like(error_of($restore, 'writer'), qr/ERROR:  permission denied for table copy/, 'no privilege');
sql('ALTER TABLE copy ADD CHECK (app.fine(word) OR true)');
sql('GRANT INSERT ON copy TO writer');
like(error_of($restore, 'writer'), qr/function app\.fine\(text\) of role "app" would be called with the rights of role "writer"/, 'a role that may insert');

# a foreign key of another role, whose index is planned when an empty partition
# is detached
sql($harmless, 'mallory');
sql(q(CREATE TABLE app.parts (id int, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
	CREATE TABLE app.parts_2020 PARTITION OF app.parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
	CREATE TABLE app.parts_now PARTITION OF app.parts FOR VALUES FROM ('2021-01-01') TO (MAXVALUE);
	GRANT REFERENCES ON app.parts TO mallory), 'app');
sql('CREATE TABLE m.refs (id int, at timestamptz, FOREIGN KEY (id, at) REFERENCES app.parts); GRANT SELECT ON m.refs TO app; CREATE INDEX trap ON m.refs ((m.trap(1)))', 'mallory');
sql(q(SELECT pgmaint.add_retention('app.parts', 'at', '90 days', storage => 'archives')));
sql($hostile, 'mallory');
$offset = -s $node->logfile;
my $run = retain('app.parts', 'failed');
like(run_error($node, $run) . sql("SELECT string_agg(error, ' ') FROM pgmaint.tasks WHERE run_id = $run"),
	qr/function m\.trap\(integer\) of role "mallory" would be called with the rights of role "app"/, 'an index of a table with a foreign key: refused by name');
is(callers($offset), '', '... and not called');
sql('DROP INDEX m.trap', 'mallory');
retain('app.parts', 'succeeded');
is(sql(q(SELECT to_regclass('app.parts_2020'))), '', '... without it, the partition leaves');

# what the owner has put into partitions runs as the owner
$offset = -s $node->logfile;
sql($harmless, 'mallory');
sql(q(CREATE TABLE m.parts (id int, at timestamptz) PARTITION BY RANGE (at);
	CREATE TABLE m.parts_2020 PARTITION OF m.parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
	CREATE TABLE m.parts_2021 PARTITION OF m.parts FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
	CREATE TABLE m.parts_now PARTITION OF m.parts FOR VALUES FROM ('2022-01-01') TO (MAXVALUE);
	INSERT INTO m.parts VALUES (1, '2020-06-01'), (2, '2021-06-01');
	ALTER TABLE m.parts_2020 ADD CHECK (m.trap(1) = 1); CREATE INDEX ON m.parts_2020 ((m.trap(1))); CREATE INDEX ON m.parts_2020 (id) WHERE m.trap(2) > 1;
	CREATE STATISTICS m.s ON (m.trap(id)), (m.trap(id) + 1) FROM m.parts_2020;
	CREATE TRIGGER t BEFORE DELETE ON m.parts_2021 FOR EACH ROW EXECUTE FUNCTION m.fire()), 'mallory');
sql(q(SELECT pgmaint.add_retention('m.parts', 'at', '90 days', filter => 'm.trap(id) > 0', storage => 'archives')));
sql($hostile, 'mallory');
retain('m.parts', 'succeeded');
is(callers($offset), 'mallory', 'filter, constraint, indexes, statistics and trigger run as the owner');
sql(q(SELECT pgmaint.drop_retention(max(policy_id)) FROM pgmaint.retention_policies; SELECT pgmaint.add_retention('m.parts', 'at', '90 days', storage => 'archives')));
retain('m.parts', 'succeeded');
is(callers($offset), 'mallory', '... also when the partitions leave as a whole');
is(sql(q(SELECT to_regclass('m.parts_2020'))), '', '... which they do');

# a partition of another role
sql($harmless, 'mallory');
sql(q(CREATE TABLE app.parts_2019 (LIKE app.parts INCLUDING ALL); INSERT INTO app.parts_2019 VALUES (1, '2019-06-01');
	ALTER TABLE app.parts ATTACH PARTITION app.parts_2019 FOR VALUES FROM ('2019-01-01') TO ('2020-01-01')), 'app');
sql('ALTER TABLE app.parts_2019 OWNER TO mallory; GRANT CREATE ON SCHEMA app TO mallory');
sql('ALTER TABLE app.parts_2019 ADD CHECK (m.trap(1) = 1)', 'mallory');
sql($hostile, 'mallory');
$offset = -s $node->logfile;
$run = retain('app.parts', 'succeeded');
like(sql("SELECT string_agg(message, ' ') FROM pgmaint.findings WHERE run_id = $run"), qr/partition app\.parts_2019 belongs to role "mallory"/, 'a partition of another role stays, and a finding says so');
is(callers($offset), '', '... and its code is not called');

is(sql(q(SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname IN ('app', 'mallory', 'writer'))), 0, 'gained: nothing');

$node->stop;
done_testing();
