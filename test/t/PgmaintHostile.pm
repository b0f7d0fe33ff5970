# A schema of a role that means harm, "mallory": wherever PostgreSQL evaluates
# what belongs to a table's owner, there is code that tells the server's log as
# whom it runs, and tries to make its owner a superuser or to carry off a secret.

package PgmaintHostile;

use strict;
use warnings;

use Exporter qw(import);
use PostgreSQL::Test::Utils;

our @EXPORT = qw(
  allow_traps
  as_role
  gained
  hostile_tables
  renew_rows
  set_traps
  traps_that_ran
);

# What each piece of code does: it tries to become another role, at once or later,
# and if it is, takes what it can.  In sessions of mallory's own it does nothing,
# so that setting the traps springs none; an attempt that fails is followed by the
# next.  A backup that is being proven is left as it was: its code may read it and
# write to it, but it tries to get out of it.
my $gain = <<'SQL';
SET ROLE mallory;
CREATE TABLE mallory.loot (what text, taken_by text, secret text);
CREATE TABLE mallory.later (what text);
CREATE FUNCTION mallory.allowed() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$ SELECT '{}'::pg_catalog.text[] $$;
CREATE FUNCTION mallory.gain(what text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	attempt text;
	kept text[] := '{}';
	proving boolean := current_database() ~ '^pgmaint_scratch';
	attempts text[] := ARRAY['SELECT 1', 'SELECT set_config(''role'', ''none'', false)', 'RESET SESSION AUTHORIZATION'];
	prizes text[] := ARRAY['ALTER ROLE mallory SUPERUSER', 'GRANT pg_read_server_files TO mallory', 'GRANT keeper TO mallory',
		'CREATE ROLE mallory_made SUPERUSER', 'ALTER SYSTEM SET work_mem = ''65MB''', 'ALTER ROLE keeper SET work_mem = ''65MB''',
		format('COMMENT ON DATABASE %I IS ''taken''', current_database()), format('ALTER DATABASE %I SET work_mem = ''65MB''', current_database())];
BEGIN
	IF session_user = 'mallory' OR what = ANY (mallory.allowed()) THEN RETURN; END IF;
	IF NOT proving THEN
		-- a restored database gets its triggers last
		IF current_database() = 'postgres' THEN attempts := attempts || format('INSERT INTO mallory.later VALUES (%L)', what); END IF;
		kept := ARRAY[format('DECLARE %I CURSOR WITH HOLD FOR SELECT 1', 'c' || clock_timestamp()), 'CREATE TEMP TABLE pg_class (oid int)', 'SET ROLE keeper'];
		prizes := prizes || ARRAY['INSERT INTO secret.rows VALUES (''of mallory'')', 'DELETE FROM pgmaint.runs WHERE false',
			format('INSERT INTO mallory.loot SELECT %L, current_user, r FROM secret.rows LIMIT 1', what)];
	END IF;
	FOREACH attempt IN ARRAY attempts LOOP
		BEGIN
			EXECUTE attempt;
			RAISE LOG 'HOSTILE [%] got [] in [%] as [%]', what, current_database(), current_user;
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
	IF current_user = 'mallory' THEN prizes := kept; END IF;
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mallory' AND rolsuper) THEN RETURN; END IF;
	FOREACH attempt IN ARRAY prizes LOOP
		BEGIN
			EXECUTE attempt;
			RAISE LOG 'HOSTILE [%] got [%] in [%] as [%]', what, attempt, current_database(), current_user;
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
END $$;
CREATE FUNCTION mallory.trap(what text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM mallory.gain(what); RETURN 1; END';
CREATE FUNCTION mallory.trap(what text, v anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM mallory.gain(what); RETURN v; END';
CREATE FUNCTION mallory.row_trap() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN PERFORM mallory.gain(tg_name); RETURN CASE tg_op WHEN ''DELETE'' THEN old ELSE new END; END';
CREATE FUNCTION mallory.later_trap() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN RAISE LOG 'HOSTILE [later than %] got [] in [%] as [%]', new.what, current_database(), current_user; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON mallory.later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mallory.later_trap();
CREATE FUNCTION mallory.smaller(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
	'BEGIN PERFORM mallory.gain(''operator''); RETURN $1 OPERATOR(pg_catalog.<) $2; END';
CREATE FUNCTION mallory.order_of(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
	'BEGIN PERFORM mallory.gain(''operator class''); RETURN pg_catalog.btint4cmp($1, $2); END';
CREATE FUNCTION mallory.distance(int, int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS
	'BEGIN PERFORM mallory.gain(''subtype_diff''); RETURN $1 - $2; END';
CREATE OPERATOR mallory.<<< (FUNCTION = mallory.smaller, LEFTARG = int, RIGHTARG = int);
GRANT USAGE ON SCHEMA mallory TO PUBLIC;
RESET ROLE;
-- only a superuser makes one, of functions that stay mallory's
CREATE OPERATOR CLASS mallory.trapped_ops FOR TYPE int USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 mallory.order_of(int, int);
SQL

# Each of these is one table, T, of a few rows that were changed since, with a
# time to age them out by: what is to be done to it, before the rows come.
# Where a restored dump's own COPY evaluates it, as any pg_restore does, comes
# last.
my @tables = (
	[ 'plain', '' ],
	[ 'index', 'CREATE INDEX ON T (mallory.trap(\'index\', id)); CREATE UNIQUE INDEX ON T (mallory.trap(\'unique index\', id), n);
		CREATE INDEX ON T USING brin (mallory.trap(\'BRIN index\', id)); CREATE INDEX ON T USING hash (mallory.trap(\'hash index\', id));
		CREATE INDEX ON T USING gin (mallory.trap(\'GIN index\', ARRAY[id]))' ],
	[ 'constant_index', 'CREATE INDEX ON T ((mallory.trap(\'constant in an index\')), id)' ],
	[ 'predicate', 'CREATE INDEX ON T (id) WHERE mallory.trap(\'predicate\', id) > 0; CREATE INDEX ON T (id) WHERE mallory.trap(\'constant predicate\') = 1' ],
	[ 'operator', 'CREATE INDEX ON T (id) WHERE id OPERATOR(mallory.<<<) 1000; CREATE INDEX ON T ((id OPERATOR(mallory.<<<) 3))' ],
	[ 'opclass', 'CREATE INDEX ON T (id mallory.trapped_ops); CREATE INDEX ON T (id mallory.trapped_ops, (mallory.trap(\'beside an operator class\')))' ],
	[ 'statistics', 'CREATE STATISTICS mallory.on_rows ON (mallory.trap(\'statistics\', id)), n FROM T; CREATE STATISTICS mallory.on_nothing ON (mallory.trap(\'constant statistics\') + id) FROM T' ],
	[ 'triggers', join(';', map { my ($when, $kind) = split /:/; "CREATE TRIGGER \"$when $kind\" $when INSERT OR UPDATE OR DELETE ON T FOR EACH $kind EXECUTE FUNCTION mallory.row_trap()" }
			  'BEFORE:ROW', 'AFTER:ROW', 'BEFORE:STATEMENT', 'AFTER:STATEMENT')
		  . '; CREATE TRIGGER truncates BEFORE TRUNCATE ON T FOR EACH STATEMENT EXECUTE FUNCTION mallory.row_trap();
		CREATE CONSTRAINT TRIGGER deferred AFTER INSERT OR UPDATE OR DELETE ON T DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mallory.row_trap()' ],
	[ 'rule', 'CREATE RULE also AS ON INSERT TO T DO ALSO SELECT mallory.trap(\'rule\')' ],
	[ 'policy', 'CREATE POLICY p ON T USING (mallory.trap(\'policy\', id) = id) WITH CHECK (mallory.trap(\'policy check\') = 1); ALTER TABLE T ENABLE ROW LEVEL SECURITY' ],
	[ 'ranges', 'ALTER TABLE T ADD r mallory.span DEFAULT \'[1,5)\'; CREATE INDEX ON T USING gist (r); CREATE INDEX ON T (r)' ],
	[ 'types', 'ALTER TABLE T ADD m mallory.mood DEFAULT \'sad\', ADD p mallory.pair; CREATE INDEX ON T (m); CREATE INDEX ON T (p)' ],
	[ 'exclusion', 'ALTER TABLE T ADD EXCLUDE USING btree (mallory.trap(\'exclusion\', id) WITH =) WHERE (mallory.trap(\'exclusion predicate\') = 1)' ],
	[ 'parent_table', 'CREATE TABLE mallory.child (extra int DEFAULT mallory.trap(\'default of a child\'), CHECK (mallory.trap(\'check of a child\') = 1)) INHERITS (T)' ],
	[ 'checks', 'ALTER TABLE T ADD CHECK (mallory.trap(\'check\', id) = id), ADD CHECK (mallory.trap(\'constant check\') = 1), ADD CHECK (id OPERATOR(mallory.<<<) 1000)' ],
	[ 'domains', 'ALTER TABLE T ADD d mallory.small DEFAULT 1, ADD dp mallory.pair DEFAULT ROW(1, 2); CREATE INDEX ON T (d)' ],
	[ 'stamps', 'ALTER TABLE T ALTER at TYPE mallory.stamp' ],
	[ 'defaults', 'ALTER TABLE T ADD x int DEFAULT mallory.trap(\'default\'), ADD y int DEFAULT ROW(3)::mallory.one' ],
	[ 'generated', 'ALTER TABLE T ADD g int GENERATED ALWAYS AS (mallory.trap(\'generated\', id)) STORED; CREATE INDEX ON T (g)' ]);

my $types = <<'SQL';
CREATE DOMAIN mallory.small AS int CHECK (mallory.trap('domain', VALUE) = VALUE) CHECK (mallory.trap('constant in a domain') = 1);
CREATE DOMAIN mallory.stamp AS timestamptz CHECK (mallory.trap('domain of a time', VALUE) = VALUE);
CREATE TYPE mallory.pair AS (a int, b mallory.small);
CREATE TYPE mallory.one AS (a int);
CREATE FUNCTION mallory.int_of(mallory.one) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM mallory.gain(''cast''); RETURN $1.a; END';
CREATE CAST (mallory.one AS int) WITH FUNCTION mallory.int_of AS IMPLICIT;
CREATE TYPE mallory.mood AS ENUM ('sad', 'wild');
CREATE FUNCTION mallory.text_of(mallory.mood) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM mallory.gain(''cast to text''); RETURN ''x''; END';
CREATE CAST (mallory.mood AS text) WITH FUNCTION mallory.text_of AS IMPLICIT;
CREATE TYPE mallory.span AS RANGE (subtype = int, subtype_opclass = mallory.trapped_ops, subtype_diff = mallory.distance);
SQL

# Tables between mallory and alice, an honest owner, views and foreign tables.
my @shared = (
	[ 'mallory', q(CREATE TABLE mallory.parted (id int, n int, at timestamptz NOT NULL) PARTITION BY RANGE (at);
		CREATE INDEX ON mallory.parted (at); CREATE INDEX ON ONLY mallory.parted ((mallory.trap('index of a parent', id)));
		CREATE TABLE mallory.parted_now PARTITION OF mallory.parted FOR VALUES FROM ('2021-01-01') TO ('2100-01-01');
		CREATE TABLE mallory.by_trap (id int, at timestamptz) PARTITION BY RANGE ((mallory.trap('partition key', id)));
		CREATE TABLE mallory.by_trap_1 PARTITION OF mallory.by_trap FOR VALUES FROM (0) TO (1000);
		CREATE TABLE mallory.by_class (id int, at timestamptz) PARTITION BY LIST (id mallory.trapped_ops);
		CREATE TABLE mallory.by_class_1 PARTITION OF mallory.by_class FOR VALUES IN (1, 2, 3);
		INSERT INTO mallory.by_trap SELECT g, now() FROM generate_series(1, 5) g;
		INSERT INTO mallory.by_class SELECT g, now() FROM generate_series(1, 3) g) ],
	[ 'alice', q(CREATE TABLE alice.mixed (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at);
		CREATE INDEX ON alice.mixed (at);
		CREATE TABLE alice.mixed_2019 PARTITION OF alice.mixed FOR VALUES FROM ('2019-01-01') TO ('2020-01-01');
		CREATE TABLE alice.mixed_now PARTITION OF alice.mixed FOR VALUES FROM ('2021-01-01') TO ('2100-01-01');
		CREATE TABLE alice.lent (id int, n int, at timestamptz NOT NULL);
		INSERT INTO alice.mixed VALUES (2, '2019-02-01'), (3, now())) ],
	# a partition of mallory's below a table of alice's, and the other way round
	[ undef, q(ALTER TABLE alice.mixed_2019 OWNER TO mallory; ALTER TABLE alice.mixed_2019 SET SCHEMA mallory;
		ALTER TABLE mallory.parted ATTACH PARTITION alice.lent FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
		CREATE EXTENSION postgres_fdw; CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'postgres', host 'HOST', port 'PORT');
		CREATE USER MAPPING FOR mallory SERVER loopback OPTIONS (user 'mallory', password_required 'false');
		GRANT USAGE ON FOREIGN SERVER loopback TO mallory) ],
	[ 'mallory', q(ALTER TABLE mallory.mixed_2019 ADD CHECK (mallory.trap('check of a partition') = 1), ADD CHECK (mallory.trap('row check of a partition', id) = id);
		CREATE INDEX ON mallory.mixed_2019 ((mallory.trap('index of a partition')));
		CREATE TRIGGER of_a_partition BEFORE DELETE ON mallory.mixed_2019 FOR EACH ROW EXECUTE FUNCTION mallory.row_trap();
		CREATE VIEW mallory.look AS SELECT mallory.trap('view') AS id, now() AS at;
		CREATE RULE look AS ON INSERT TO mallory.look DO INSTEAD SELECT mallory.trap('rule of a view');
		CREATE MATERIALIZED VIEW mallory.kept AS SELECT mallory.trap('materialized view', g) AS id FROM generate_series(1, 20) g;
		CREATE INDEX ON mallory.kept (mallory.trap('index of a materialized view', id));
		CREATE FOREIGN TABLE mallory.far (id int CHECK (mallory.trap('check of a foreign table', id) = id), at timestamptz) SERVER loopback
			OPTIONS (schema_name 'mallory', table_name 'look')) ]);

# Names that are text for some and code for others.
my @names = ('a"b', q(it's), 'back\\slash\\', "line\nbreak", '"; DROP TABLE alice.orders; --', '%s%n%x', 'x' . 'ä' x 31, '-x', '$$', '$1',
	'alice.orders', ' ', "tab\there", ':x', '{"a": 1}', '</td><script>', '--', '/*', 'pg_class', "cr\r\n# x 1");

# Functions that win over those of an extension in its schema: a type that fits
# an argument better, or fewer arguments where the real one has defaults.
my $overloads = <<'SQL';
DO $do$
DECLARE
	f record;
	arguments text;
BEGIN
	FOR f IN SELECT p.oid, n.nspname, p.proname, pg_get_function_arguments(p.oid) AS given, pg_get_function_result(p.oid) AS result,
		p.proretset OR p.prorettype = 'void'::regtype OR p.proallargtypes IS NOT NULL AS plain_return
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname IN ('extensions', 'cron') AND p.prokind = 'f' AND has_schema_privilege(n.oid, 'CREATE') LOOP
		FOREACH arguments IN ARRAY ARRAY[regexp_replace(f.given, '\mregclass\M', 'oid', 'g'), regexp_replace(f.given, ',? ?\w+ [^,]* DEFAULT [^,]*', '', 'g'),
			replace(f.given, 'bigint', 'integer'), regexp_replace(regexp_replace(f.given, ',? ?\w+ [^,]* DEFAULT [^,]*', '', 'g'), '\mregclass\M', 'oid', 'g')] LOOP
			BEGIN
				EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', f.nspname, f.proname, arguments, f.result,
					format('BEGIN PERFORM mallory.gain(%L); RETURN%s; END', 'overload of ' || f.proname, CASE WHEN NOT f.plain_return THEN ' NULL' ELSE '' END));
			EXCEPTION WHEN OTHERS THEN NULL;
			END;
		END LOOP;
	END LOOP;
END $do$;
SQL

# All of pg_catalog once more, in a schema that the database's search_path has
# before it: whatever is called, compared or read without its schema is mallory's.
my $shadow = <<'SQL';
CREATE FUNCTION mallory.attempt(VARIADIC commands text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	command text;
BEGIN
	FOREACH command IN ARRAY commands LOOP
		EXECUTE command;
	END LOOP;
EXCEPTION WHEN OTHERS THEN NULL;
END $$;
SELECT count(mallory.attempt(format('CREATE FUNCTION shadow.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', proname,
	pg_get_function_identity_arguments(oid), pg_get_function_result(oid), format('BEGIN PERFORM mallory.gain(%L); RETURN NULL; END', 'shadow of ' || proname))))
FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset
	AND proargtypes::oid[] && '{text,name,oid,regclass,int4,int8,bool,jsonb,timestamptz,interval,numeric,"\"any\""}'::regtype[]::oid[]
	AND NOT proargtypes::oid[] && '{internal,cstring}'::regtype[]::oid[]
	AND proname !~ '^(numeric|interval|timestamptz|int4|int8|int2|name|bool|jsonb|time|timestamp|date|text)(_|lt|le|eq|ge|gt|ne|mi|pl)';
SELECT count(mallory.attempt(format('CREATE FUNCTION shadow.op_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', oid, oprleft::regtype, oprright::regtype,
		oprresult::regtype, format('BEGIN PERFORM mallory.gain(%L); RETURN NULL; END', 'shadow of operator ' || oprname)),
	format('CREATE OPERATOR shadow.%s (FUNCTION = shadow.op_%s, LEFTARG = %s, RIGHTARG = %s)', oprname, oid, oprleft::regtype, oprright::regtype)))
FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace
	AND oprleft = ANY ('{text,name,oid,int4,int8,bool,jsonb,timestamptz,interval,numeric,"\"char\""}'::regtype[]);
SELECT count(mallory.attempt(format('CREATE VIEW shadow.%I AS SELECT * FROM pg_catalog.%1$I WHERE mallory.trap(%L) = 1', relname, 'shadow of ' || relname)))
FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v');
SELECT count(mallory.attempt(format('CREATE DOMAIN shadow.%I AS pg_catalog.%1$I CHECK (mallory.trap(%L) = 1)', t, 'shadow of type ' || t)))
FROM unnest('{text,name,oid,regclass,jsonb,int4,int8,bool,timestamptz,interval,numeric,regrole,regnamespace,regprocedure}'::text[]) t;
SQL

# Run a script as a role that logs in; an error in it ends the test.
sub as_role
{
	my ($node, $role, $sql) = @_;
	my ($status, $out, $error) = $node->psql('postgres', $sql, on_error_stop => 1, $role ? (extra_params => [ '-U', $role ]) : ());

	die "$error\n" if $status != 0;
	return $out;
}

sub quoted
{
	my ($name) = @_;
	return '"' . $name =~ s/"/""/gr . '"';
}

# The tables that hold a trap each, with their schema.
sub hostile_tables
{
	return map { "mallory.$_->[0]" } @tables;
}

# These do nothing from here on.
sub allow_traps
{
	my ($node, @names) = @_;
	my $list = join ', ', map { "'$_'" } @names;

	as_role($node, 'mallory', "CREATE OR REPLACE FUNCTION mallory.allowed() RETURNS text[] LANGUAGE sql IMMUTABLE AS \$\$ SELECT ARRAY[$list]::pg_catalog.text[] \$\$");
	return;
}

# Rows that are old, rows that are gone, and rows that stay, in alice's table and
# in all of mallory's: there is work for every action.
sub renew_rows
{
	my ($node) = @_;
	my $rows = q(INSERT INTO %s (id, n, at) SELECT g, g, now() - g * interval '40 days' FROM generate_series(1, 18) g;
		DELETE FROM %s WHERE n % 3 = 0;);

	as_role($node, 'alice', q(TRUNCATE alice.orders;
		INSERT INTO alice.orders SELECT g, g, now() - (g % 100) * interval '5 days' FROM generate_series(1, 3000) g;
		DELETE FROM alice.orders WHERE n % 3 = 0;));
	as_role($node, 'alice', q(DROP TABLE IF EXISTS alice.mixed_2018; CREATE TABLE alice.mixed_2018 PARTITION OF alice.mixed FOR VALUES FROM ('2018-01-01') TO ('2019-01-01');
		INSERT INTO alice.mixed VALUES (1, '2018-02-01')));
	as_role($node, 'mallory', q(DROP TABLE IF EXISTS mallory.own_part; CREATE TABLE mallory.own_part PARTITION OF mallory.parted FOR VALUES FROM ('2019-01-01') TO ('2020-01-01');
		ALTER TABLE mallory.own_part ADD CHECK (mallory.trap('check of an own partition') = 1), ADD CHECK (mallory.trap('row check of an own partition', id) = id);
		CREATE INDEX ON mallory.own_part ((mallory.trap('constant index of an own partition')));
		INSERT INTO mallory.parted SELECT g, g, '2019-03-01' FROM generate_series(1, 5) g));
	as_role($node, 'mallory', join ';', map { "TRUNCATE $_ CASCADE;" . $rows =~ s/%s/$_/gr } hostile_tables(), map { 'mallory.' . quoted($_) } @names);
	return;
}

# The roles, what is worth stealing, and all traps.  keeper means well, owns the
# database and has the rights of both owners; alice means well.
sub set_traps
{
	my ($node) = @_;

	as_role($node, undef, q(CREATE ROLE mallory LOGIN; CREATE ROLE alice LOGIN; CREATE ROLE keeper LOGIN CREATEDB CREATEROLE IN ROLE mallory, alice,
			pg_monitor, pg_execute_server_program, pg_read_server_files, pg_write_server_files, pg_read_all_data;
		ALTER DATABASE postgres OWNER TO keeper;
		CREATE SCHEMA alice AUTHORIZATION alice; CREATE SCHEMA secret AUTHORIZATION keeper; CREATE SCHEMA mallory AUTHORIZATION mallory;
		CREATE SCHEMA shadow AUTHORIZATION mallory; GRANT USAGE ON SCHEMA alice, mallory, shadow TO PUBLIC;
		CREATE TABLE secret.rows (r text); INSERT INTO secret.rows VALUES ('the secret'); ALTER TABLE secret.rows OWNER TO keeper;
		CREATE SCHEMA extensions; CREATE EXTENSION amcheck SCHEMA extensions; CREATE EXTENSION pg_stat_statements SCHEMA extensions;
		GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA extensions TO keeper;
		GRANT CREATE ON SCHEMA public, extensions TO mallory; GRANT USAGE ON SCHEMA extensions TO PUBLIC;
		GRANT USAGE ON SCHEMA pgmaint, pgmaint_internal TO mallory, alice, keeper; GRANT ALL ON ALL TABLES IN SCHEMA pgmaint, pgmaint_internal TO keeper;
		GRANT EXECUTE ON ALL ROUTINES IN SCHEMA pgmaint, pgmaint_internal TO keeper, mallory, alice;
		GRANT USAGE ON FOREIGN SERVER pgmaint_local TO mallory, alice, keeper));
	as_role($node, undef, 'GRANT pg_maintain TO keeper') if $node->pg_version >= 17;
	as_role($node, undef, 'CREATE EXTENSION hypopg SCHEMA extensions')
	  if as_role($node, undef, q(SELECT count(*) FROM pg_available_extensions WHERE name = 'hypopg'));
	as_role($node, undef, $gain);
	as_role($node, 'mallory', $types);
	foreach my $table (@tables)
	{
		my ($name, $trap) = @$table;

		as_role($node, 'mallory', "CREATE TABLE mallory.$name (id int, n int, at timestamptz, filler text DEFAULT repeat('x', 1500)); CREATE INDEX ON mallory.$name (at);" . $trap =~ s/\bT\b/mallory.$name/gr);
	}
	foreach my $script (@shared)
	{
		my ($role, $sql) = @$script;
		my ($host, $port) = ($node->host, $node->port);

		as_role($node, $role, $sql =~ s/HOST/$host/r =~ s/PORT/$port/r);
	}
	foreach my $name (map { quoted($_) } @names)
	{
		as_role($node, 'mallory', "CREATE TABLE mallory.$name ($name int, id int, n int, at timestamptz, CONSTRAINT $name CHECK (mallory.trap('check of a name', id) = id));
			CREATE INDEX ON mallory.$name ($name, (mallory.trap('index of a name', id)))");
	}
	as_role($node, 'alice', 'CREATE TABLE alice.orders (id int PRIMARY KEY, n int, at timestamptz);
		CREATE INDEX ON alice.orders (n); CREATE INDEX ON alice.orders (at)');
	as_role($node, 'mallory', $overloads);
	as_role($node, 'mallory', $shadow);
	as_role($node, 'keeper', 'ALTER DATABASE postgres SET search_path = shadow, mallory, public, pg_catalog');
	return;
}

# All code of mallory's that has run since this place in the log, and as whom.
sub traps_that_ran
{
	my ($node, $offset) = @_;
	my %ran;

	$ran{$_}++ foreach slurp_file($node->logfile, $offset) =~ /LOG:  HOSTILE (\[.*\] got \[.*\] in \[.*\] as \[.*\])/g;
	return sort keys %ran;
}

# What mallory has gained since this place in the log: code that has run as
# another, what it did, and what is other than it was.  The role that restores a
# backup to prove it reads its rows and writes them; it gets nothing out.
sub gained
{
	my ($node, $offset) = @_;
	my @gains;

	foreach my $ran (traps_that_ran($node, $offset))
	{
		my ($got, $database, $user) = $ran =~ /\] got \[(.*)\] in \[(.*)\] as \[(.*)\]$/;
		my $harmless = $got eq '' && ($user eq 'mallory' || "$database $user" =~ /^pgmaint_scratch_\w+ pgmaint_scratch_\w+$/);

		push @gains, $ran if !$harmless;
	}
	push @gains, split /\n/, as_role($node, undef, q(
		SELECT 'mallory is a superuser' FROM pg_roles WHERE rolname = 'mallory' AND rolsuper
		UNION ALL SELECT 'mallory is a member of ' || roleid::regrole FROM pg_auth_members WHERE member = 'mallory'::regrole
		UNION ALL SELECT 'mallory made a role' FROM pg_roles WHERE rolname = 'mallory_made'
		UNION ALL SELECT 'mallory has the secret as ' || taken_by FROM mallory.loot
		UNION ALL SELECT 'the secret was changed' FROM secret.rows WHERE r <> 'the secret'
		UNION ALL SELECT 'a setting was changed' FROM pg_db_role_setting WHERE setconfig::text ~ '65MB'
		UNION ALL SELECT 'the server was changed' FROM pg_file_settings WHERE setting = '65MB'));
	# so that the next case begins as this one did
	as_role($node, undef, q(ALTER ROLE mallory NOSUPERUSER; REVOKE pg_read_server_files, keeper FROM mallory; DROP ROLE IF EXISTS mallory_made;
		TRUNCATE mallory.loot, mallory.later; DELETE FROM secret.rows WHERE r <> 'the secret'; ALTER SYSTEM RESET work_mem;
		UPDATE pg_db_role_setting SET setconfig = array_remove(setconfig, 'work_mem=65MB');
		DELETE FROM pg_db_role_setting WHERE setconfig = '{}')) if @gains;
	return @gains;
}

1;
