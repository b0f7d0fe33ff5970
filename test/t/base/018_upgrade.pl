# Upgrades: a script that was released never changes, every released version
# can still be installed, and ALTER EXTENSION makes of it what CREATE EXTENSION
# makes of the newest, with what was in its tables.  Until it is called, what
# works on the tables refuses, and says what to do.  What users have made of it is
# kept: rows, rights, views; and no role gains a right.

use strict;
use warnings;

use Digest::SHA;
use Cwd qw(abs_path);
use File::Basename qw(basename);
use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = abs_path("$FindBin::RealBin/../../..");
my $node = start_server('upgrade');
my $newest = $node->safe_psql('postgres', q(SELECT extversion FROM pg_extension WHERE extname = 'pgmaint'));

# what was released
my %recorded;
open my $sums, '<', "$root/sql/released/SHA256SUMS" or die "could not read SHA256SUMS: $!";
while (<$sums>)
{
	my ($digest, $file) = /^([0-9a-f]{64})  (\S+)$/ or die "SHA256SUMS: a strange line: $_";
	$recorded{$file} = $digest;
}
close $sums;
my %found = map { basename($_) => Digest::SHA->new(256)->addfile($_)->hexdigest } glob "$root/sql/released/*.sql";
is_deeply(\%found, \%recorded, 'the released scripts are those that were released');

# Everything that the extension's members are, as pg_dump writes it down for
# pg_upgrade, without the numbers that differ from database to database.
sub members
{
	my ($database) = @_;
	my ($dump, $errors) = run_command([ 'pg_dump', '--binary-upgrade', '--schema-only', '-d', $node->connstr($database) ]);
	my @lines = grep {
		!/^--|^$|binary_upgrade_set_next|^SET |relfrozenxid|pg_catalog\.setval|^WHERE oid = '|^\\(un)?restrict|set_config\('search_path'/
	} split /\n/, $dump;

	# the members' list has the OIDs of the tables that are dumped with their rows
	s/(binary_upgrade_create_empty_extension\(.*?), '\{[0-9,]*\}', '.*/$1/ foreach @lines;
	return join "\n", @lines;
}

# The lines that only one of two texts has.
sub differences
{
	my ($left, $right) = @_;
	my %count;

	$count{"- $_"}++ foreach split /\n/, $left;
	foreach my $line (split /\n/, $right)
	{
		if ($count{"- $line"}) { $count{"- $line"}-- }
		else { $count{"+ $line"}++ }
	}
	return grep { $count{$_} } sort keys %count;
}

# ... and the rows that come with it, and which rows are dumped
sub contents
{
	my ($database) = @_;
	my $tables = $node->safe_psql($database, q(SELECT c.oid::regclass FROM pg_class c
		WHERE c.relnamespace::regnamespace::text IN ('pgmaint', 'pgmaint_internal') AND c.relkind IN ('r', 'p') ORDER BY c.oid::regclass::text));
	my @rows = map { "$_: " . $node->safe_psql($database, "SELECT t::text FROM $_ t ORDER BY 1") } split /\n/, $tables;

	push @rows, $node->safe_psql($database, q(SELECT c.table::regclass || ' ' || c.condition
		FROM pg_extension, unnest(extconfig, extcondition) AS c ("table", condition) WHERE extname = 'pgmaint' ORDER BY 1));
	return join "\n", @rows;
}

# What pg_dump does not say: what depends on what, whose objects are, and which
# rights count as given by the extension itself.
my $members_of = q(
	WITH RECURSIVE members AS (
		SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgmaint'
		WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		UNION
		SELECT d.classid, d.objid FROM members m JOIN pg_depend d ON d.refclassid = m.classid AND d.refobjid = m.objid AND d.deptype IN ('i', 'a')));

sub catalog
{
	my ($database) = @_;
	my $name = sub { "(SELECT type || ' ' || identity FROM pg_identify_object($_[0], $_[1], $_[2]))" };
	my $rights = q((SELECT string_agg(concat_ws(' ', coalesce(g.rolname, 'PUBLIC'), a.privilege_type, a.is_grantable), ', ' ORDER BY g.rolname, a.privilege_type)
		FROM aclexplode(%s) a LEFT JOIN pg_roles g ON g.oid = a.grantee));

	my $lines = $node->safe_psql($database, $members_of
		  . 'SELECT concat_ws(\' \', \'depends:\', ' . $name->('d.classid', 'd.objid', 'd.objsubid') . ', \'on\', ' . $name->('d.refclassid', 'd.refobjid', 'd.refobjsubid') . ', d.deptype)
		FROM members m JOIN pg_depend d USING (classid, objid)
		WHERE NOT EXISTS (SELECT FROM pg_class t WHERE t.oid IN (d.objid, d.refobjid) AND t.relnamespace = \'pg_toast\'::regnamespace)
		UNION ALL SELECT concat_ws(\' \', \'initial rights:\', ' . $name->('i.classoid', 'i.objoid', 'i.objsubid') . ', ' . sprintf($rights, 'i.initprivs') . ')
		FROM pg_init_privs i WHERE i.objoid >= 16384
		UNION ALL SELECT concat_ws(\' \', \'table:\', c.oid::regclass, c.relkind, c.relowner::regrole, ' . sprintf($rights, 'c.relacl') . ')
		FROM members m JOIN pg_class c ON c.oid = m.objid AND m.classid = \'pg_class\'::regclass AND c.relnamespace <> \'pg_toast\'::regnamespace
		UNION ALL SELECT concat_ws(\' \', \'function:\', p.oid::regprocedure, p.proowner::regrole, ' . sprintf($rights, 'p.proacl') . ')
		FROM members m JOIN pg_proc p ON p.oid = m.objid AND m.classid = \'pg_proc\'::regclass
		UNION ALL SELECT concat_ws(\' \', \'schema:\', n.nspname, n.nspowner::regrole, ' . sprintf($rights, 'n.nspacl') . ')
		FROM pg_namespace n WHERE n.nspname LIKE \'pgmaint%\'
		ORDER BY 1');

	return $lines =~ s/RI_ConstraintTrigger_([ac])_\d+/RI_ConstraintTrigger_$1/gr;
}

# Everything that is in another schema than what it belongs to: none.
sub strays
{
	my ($database) = @_;
	return $node->safe_psql($database, q(SELECT s.oid::regclass || ' of ' || t.oid::regclass FROM pg_depend d
		JOIN pg_class s ON s.oid = d.objid JOIN pg_class t ON t.oid = d.refobjid
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('i', 'a')
			AND t.relnamespace::regnamespace::text LIKE 'pgmaint%' AND s.relnamespace <> t.relnamespace AND s.relkind <> 't'));
}

# whose rights there may be in the two schemas
sub foreign_rights
{
	my ($database) = @_;
	return $node->safe_psql($database, q(SELECT x.name || ' ' || a.grantee::regrole || ' ' || a.privilege_type FROM (
			SELECT c.oid::regclass::text, c.relowner, c.relacl FROM pg_class c WHERE c.relnamespace::regnamespace::text LIKE 'pgmaint%'
			UNION ALL SELECT p.oid::regprocedure::text, p.proowner, p.proacl FROM pg_proc p WHERE p.pronamespace::regnamespace::text LIKE 'pgmaint%'
			UNION ALL SELECT t.oid::regtype::text, t.typowner, t.typacl FROM pg_type t WHERE t.typnamespace::regnamespace::text LIKE 'pgmaint%'
			UNION ALL SELECT s.srvname, s.srvowner, s.srvacl FROM pg_foreign_server s
			UNION ALL SELECT n.nspname, n.nspowner, n.nspacl FROM pg_namespace n WHERE n.nspname LIKE 'pgmaint_%') x (name, owner, acl),
			aclexplode(x.acl) a
		WHERE a.grantee <> x.owner AND a.grantee <> 0 AND a.grantee::regrole::text NOT IN ('pg_monitor', 'pg_stat_scan_tables') ORDER BY 1));
}

my $members = members('postgres');
like($members, qr/ALTER EXTENSION pgmaint ADD FUNCTION pgmaint\.run\(/, 'the comparison sees the members');
my $contents = contents('postgres');
like($contents, qr/^pgmaint\.runs: $/m, 'and the tables');
like($contents, qr/^pgmaint_internal\.\w+: /m, '... of the machinery, too');
my $catalog = catalog('postgres');
like($catalog, qr/^depends: .*pgmaint\.runs/m, 'and what depends on what');
is(strays('postgres'), '', 'sequences and indexes are where their tables are');
is(foreign_rights('postgres'), '', 'nobody else has a right on anything');

# It sees what it is for: each of these makes a difference.
$node->safe_psql('postgres', 'CREATE DATABASE broken');
$node->safe_psql('broken', q(CREATE EXTENSION pgmaint;
	COMMENT ON FUNCTION pgmaint.tick() IS 'another';
	COMMENT ON COLUMN pgmaint.runs.plan IS 'another';
	GRANT UPDATE ON pgmaint.plans TO pg_monitor;
	REVOKE SELECT ON pgmaint.runs FROM pg_monitor;
	ALTER TABLE pgmaint.runs ALTER plan SET DEFAULT 'another';
	ALTER INDEX pgmaint.runs_pkey RENAME TO another;
	ALTER SEQUENCE pgmaint.tasks_task_id_seq RENAME TO another_sequence;
	ALTER TABLE pgmaint.findings OWNER TO pg_monitor;
	UPDATE pg_extension SET extcondition = array_replace(extcondition, '', 'WHERE false') WHERE extname = 'pgmaint';
	DELETE FROM pg_init_privs WHERE objoid = 'pgmaint.windows'::regclass));
my $broken = join "\n", differences($members, members('broken')), differences($contents, contents('broken')), differences($catalog, catalog('broken'));
like($broken, $_, "a difference is seen: $_")
  foreach (
	qr/^\+ COMMENT ON FUNCTION pgmaint\.tick\(\) IS 'another'/m, qr/^\+ COMMENT ON COLUMN pgmaint\.runs\.plan IS 'another'/m,
	qr/^\+ GRANT [A-Z,]*UPDATE ON TABLE pgmaint\.plans TO pg_monitor/m, qr/^\+ REVOKE SELECT ON TABLE pgmaint\.runs FROM pg_monitor/m,
	qr/^\+ .*plan .*DEFAULT 'another'/m, qr/^\+ .*CONSTRAINT another PRIMARY KEY/m, qr/^\+ .*pgmaint\.another_sequence/m,
	qr/^\+ ALTER TABLE pgmaint\.findings OWNER TO pg_monitor/m, qr/^\+ pgmaint\.plan_definitions WHERE false/m,
	qr/^- initial rights: view pgmaint\.windows/m);

my @released = map { /^pgmaint--([^-]+)\.sql$/ ? $1 : () } sort keys %found;
cmp_ok(scalar @released, '>', 0, 'there are released versions');
foreach my $version (@released)
{
	my $database = "from_$version";

	$node->safe_psql('postgres', qq(CREATE DATABASE "$database"));
	$node->safe_psql($database, "CREATE EXTENSION pgmaint VERSION '$version'");
	is($node->safe_psql($database, q(SELECT extversion FROM pg_extension WHERE extname = 'pgmaint')),
		$version, "$version: can be installed");

	# what is there before
	$node->safe_psql($database, q(INSERT INTO pgmaint.runs (plan, requested_by, role, database, steps, settings, state, finished_at)
		SELECT 'weekly', 'somebody', 10, d.oid, '[]', '{}', x.state, x.finished_at FROM pg_database d, (VALUES (1, 'succeeded', now()), (2, 'queued', NULL)) x (n, state, finished_at)
		WHERE d.datname = current_database() ORDER BY x.n));
	foreach my $sql (q(SELECT pgmaint.run('weekly')), q(CALL pgmaint.run_and_wait('weekly')), 'SELECT pgmaint.cancel(1)', 'SELECT pgmaint.tick()',
		$version eq '0.1' ? () : 'SELECT * FROM pgmaint.statements_since()')
	{
		my ($status, $stdout, $stderr) = $node->psql($database, $sql);
		isnt($status, 0, "$version: $sql is refused");
		like(
			$stderr,
			qr/ERROR:  extension "pgmaint" has version \Q$version\E in this database, but its library has version \Q$newest\E\nHINT:  Execute ALTER EXTENSION pgmaint UPDATE/,
			"$version: and says why");
	}

	$node->safe_psql($database, 'ALTER EXTENSION pgmaint UPDATE');
	is($node->safe_psql($database, q(SELECT extversion FROM pg_extension WHERE extname = 'pgmaint')),
		$newest, "$version: is updated to the newest");
	my $updated = members($database);
	is_deeply([ differences($members, $updated) ], [], "$version: the members are the same as in a new one");
	ok($updated eq $members, "$version: and in the same order");
	is_deeply([ differences($catalog, catalog($database)) ], [], "$version: with the same dependencies, owners and initial rights");
	is(strays($database), '', "$version: sequences and indexes are where their tables are");
	is($node->safe_psql($database, 'SELECT run_id, plan, state FROM pgmaint.runs ORDER BY run_id'), "1|weekly|succeeded\n2|weekly|queued", "$version: the ledger is kept");

	$node->safe_psql($database, q(CREATE TABLE t AS SELECT 1 AS id; CALL pgmaint.run_and_wait('weekly', '{"scope": "all"}')));
	is(run_state($node, 3, $database), 'succeeded', "$version: runs again");
	is(run_state($node, 2, $database), 'interrupted', "$version: what was queued is not carried out");
	is(run_error($node, 2, $database), 'the run was queued by an earlier version of pgmaint: run the plan again', '... and says why');

	$node->safe_psql($database, 'DROP EXTENSION pgmaint; CREATE EXTENSION pgmaint VERSION \'' . $version . '\'');
	$node->safe_psql($database, 'ALTER EXTENSION pgmaint UPDATE');
	is(contents($database), $contents, "$version: an empty one has the same rows as a new one");
}

# Of the version before: rows in every table, rights and views on everything that
# can have them, by another superuser than the one who created the extension.
my $previous = $released[-1];
$node->safe_psql('postgres', q(CREATE DATABASE used; CREATE ROLE somebody SUPERUSER LOGIN; CREATE ROLE gifted; CREATE ROLE app_owner LOGIN; CREATE ROLE reader LOGIN));
my $gifts = join '', map {
	my $owner = $_;
	map { "ALTER DEFAULT PRIVILEGES FOR ROLE $owner GRANT ALL ON $_ TO gifted, app_owner;" } qw(TABLES FUNCTIONS SEQUENCES TYPES)
} '"' . $node->safe_psql('postgres', 'SELECT current_user') . '"', 'somebody';
$node->safe_psql('used', "$gifts CREATE EXTENSION pgmaint VERSION '$previous'");
is(foreign_rights('used'), '', "$previous with default privileges: nobody has a right on anything");
$node->safe_psql('used', q[
	CREATE TABLE public.before (object oid, name text, kind text, line jsonb);
	CREATE SCHEMA users;
	-- so that the tables' order does not matter
	SET session_replication_role = replica;
	-- a value for each column, by its type, or one that the table's conditions allow
	DO $$
	DECLARE
		t record;
		given jsonb := '{
			"severity": "warning", "state": "succeeded", "identities.state": "current", "notifications.state": "sent", "troubles.state": "open",
			"bloat_measurements.kind": "table", "backup_records.kind": "database", "thresholds.kind": "number", "notifications.kind": "window",
			"identities.identity": "0123456789abcdef0123456789abcdef", "verdict": "clear", "check_result": "whole", "check_name": "heap",
			"corruption_results.outcome": "sound", "index_advices.outcome": "helped", "verification": "restorable", "status": "warning",
			"threshold": "warning", "value": "7", "steps": "[{\\"action\\": \\"vacuum\\"}]", "timezone": "UTC", "compression": "gzip"}';
	BEGIN
		FOR t IN SELECT c.oid, c.relname FROM pg_class c WHERE c.relnamespace = 'pgmaint'::regnamespace AND c.relkind = 'r' ORDER BY c.relname LOOP
			EXECUTE (SELECT format('INSERT INTO pgmaint.%I (%s) OVERRIDING SYSTEM VALUE VALUES (%s) ON CONFLICT DO NOTHING', t.relname,
					string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
					string_agg(quote_literal(coalesce(given ->> (t.relname || '.' || a.attname), given ->> a.attname, CASE
						WHEN a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float8'::regtype, 'float4'::regtype) THEN '1'
						WHEN a.atttypid = 'oid'::regtype THEN '10' WHEN a.atttypid = 'boolean'::regtype THEN 'true'
						WHEN a.atttypid IN ('timestamptz'::regtype, 'date'::regtype) THEN '2026-01-02' WHEN a.atttypid = 'time'::regtype THEN '02:00'
						WHEN a.atttypid = 'interval'::regtype THEN '1 hour' WHEN a.atttypid IN ('jsonb'::regtype, 'json'::regtype) THEN '{"a": 1}'
						WHEN a.atttypid = 'regclass'::regtype THEN 'public.before' WHEN a.atttypid = 'pg_lsn'::regtype THEN '0/1'
						WHEN a.atttypid = 'uuid'::regtype THEN '01234567-89ab-cdef-0123-456789abcdef' WHEN y.typcategory = 'A' THEN '{}' ELSE 'x' END)), ', ' ORDER BY a.attnum))
				FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '');
			EXECUTE format('INSERT INTO public.before SELECT %s, %L, ''table'', to_jsonb(r) FROM pgmaint.%I r', t.oid, t.relname, t.relname);
		END LOOP;
		-- views of everything, and rights on it
		FOR t IN SELECT c.oid, c.relname FROM pg_class c WHERE c.relnamespace = 'pgmaint'::regnamespace AND c.relkind IN ('r', 'v') LOOP
			EXECUTE format('CREATE VIEW users.%I AS SELECT * FROM pgmaint.%I; GRANT SELECT ON pgmaint.%I TO reader', t.relname, t.relname, t.relname);
			INSERT INTO public.before VALUES (t.oid, t.relname, 'relation');
		END LOOP;
		FOR t IN SELECT p.oid, p.oid::regprocedure::text AS name FROM pg_proc p WHERE p.pronamespace = 'pgmaint'::regnamespace LOOP
			EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO reader', t.name);
			INSERT INTO public.before VALUES (t.oid, t.name, 'function');
		END LOOP;
	END $$;
	-- as its README said
	GRANT USAGE ON SCHEMA pgmaint TO app_owner, reader;
	GRANT EXECUTE ON FUNCTION pgmaint.run(text, jsonb), pgmaint.run_action(text, jsonb), pgmaint.dry_run(text, jsonb), pgmaint.cancel(bigint) TO app_owner;
	GRANT EXECUTE ON PROCEDURE pgmaint.run_and_wait(text, jsonb, bigint) TO app_owner;
	GRANT SELECT ON pgmaint.runs, pgmaint.tasks, pgmaint.findings, pgmaint.task_results, pgmaint.step_results, pgmaint.finding_results TO app_owner;
	GRANT EXECUTE ON FUNCTION pgmaint.report(bigint), pgmaint.shown_tasks(bigint), pgmaint.shown_findings(bigint), pgmaint.message_pattern(text, text),
		pgmaint.may_be_copied(text), pgmaint.one_line(text), pgmaint.count_text(bigint) TO app_owner;
	GRANT UPDATE (value) ON pgmaint.thresholds TO reader;
	GRANT SELECT ON SEQUENCE pgmaint.runs_run_id_seq TO reader;
	-- and objects that only named roles may read
	REVOKE SELECT ON pgmaint.contacts FROM pg_monitor;
	REVOKE EXECUTE ON FUNCTION pgmaint.metrics_text() FROM pg_monitor]);
is($node->safe_psql('used', q(SELECT string_agg(c.relname, ', ') FROM pg_class c WHERE c.relnamespace = 'pgmaint'::regnamespace AND c.relkind = 'r'
	AND NOT EXISTS (SELECT FROM public.before b WHERE b.object = c.oid AND b.kind = 'table'))), '', "$previous in use: every table has rows");
cmp_ok($node->safe_psql('used', q(SELECT count(*) FROM public.before WHERE kind = 'relation')), '>=', 50, "$previous in use: there are views of everything");

# what users have granted and revoked, as pg_dump sees it
sub rights_given
{
	my ($dump) = run_command([ 'pg_dump', '--schema-only', '-d', $node->connstr('used') ]);
	return map { s/pgmaint(_internal)?\./pgmaint./r } grep { /^(GRANT|REVOKE).* pgmaint/ } split /\n/, $dump;
}
# with the names that alerts have since 0.3
my @given = sort(map {
	s/\btroubles\b/alert_records/r =~ s/_troubles\b/_alerts/r =~ s/\bhtml_trouble\b/html_alert/r =~ s/\bescalations\b/alerts/r
	  =~ s/\bescalation_steps\b/alert_steps/r =~ s/\backnowledge\(finding_id /acknowledge(alert_id /r
} rights_given());
cmp_ok(scalar @given, '>', 200, "$previous in use: pg_dump writes what was granted");

# a schema of the extension's in which others may create objects is refused: not before, then
$node->safe_psql('used', $gifts =~ s/ALL ON TYPES/ALL ON SCHEMAS/gr);
# who may not become the owner is told what to do
$node->safe_psql('postgres', 'CREATE ROLE member LOGIN IN ROLE somebody');
my ($refused, $nothing, $reason) = $node->psql('used', 'SET ROLE somebody; ALTER EXTENSION pgmaint UPDATE', extra_params => [ '-U', 'member' ]);
like($reason, qr/ERROR:  permission denied to update extension "pgmaint"\nDETAIL:  The extension belongs to role .*, which role "member" may not become\.\nHINT:  Log in as a superuser/,
	"$previous in use: a session that cannot become the owner is refused, with a hint");

# a function of the owner's can do it for others, where no role can be set
$node->safe_psql('used', 'CREATE FUNCTION public.update_it() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN ALTER EXTENSION pgmaint UPDATE; END$$');
is($node->safe_psql('used', q(BEGIN; SELECT public.update_it() IS NULL; SELECT extversion FROM pg_extension WHERE extname = 'pgmaint'; ROLLBACK), extra_params => [ '-U', 'member' ]),
	"f\n$newest", "$previous in use: a function that belongs to the owner can update it");

# what else the transaction makes is the role's that it was
$node->safe_psql('used', 'BEGIN; ALTER EXTENSION pgmaint UPDATE; CREATE TABLE public.made_after (); COMMIT', extra_params => [ '-U', 'somebody' ]);
is($node->safe_psql('used', q(SELECT tableowner FROM pg_tables WHERE tablename = 'made_after')), 'somebody', "$previous in use: the transaction goes on as the role that it was");
is($node->safe_psql('used', q(SELECT string_agg(b.name, ', ' ORDER BY b.name) FROM public.before b
	WHERE b.kind IN ('table', 'relation') AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = b.object))), '', "$previous in use: every relation is still there");
# columns that were renamed, and texts about alerts
$node->safe_psql('used', q(UPDATE public.before SET line = line - 'escalation_id' || jsonb_build_object('alert_id', line -> 'escalation_id') WHERE line ? 'escalation_id'));
$node->safe_psql('used', q(UPDATE public.before SET line = line - 'description' WHERE kind = 'table' AND name = 'thresholds'));
foreach my $table (split /\n/, $node->safe_psql('used', q(SELECT DISTINCT b.object::regclass FROM public.before b JOIN pg_class c ON c.oid = b.object WHERE b.kind = 'table')))
{
	is($node->safe_psql('used', "SELECT count(*) FROM public.before b WHERE b.object = '$table'::regclass AND b.line IS NOT NULL
		AND NOT EXISTS (SELECT FROM $table t WHERE to_jsonb(t) \@> b.line)"), '0', "$previous in use: the rows of $table");
}
is($node->safe_psql('used', q(SELECT string_agg(b.name, ', ' ORDER BY b.name) FROM public.before b WHERE b.kind = 'function' AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.oid = b.object))),
	'', "$previous in use: every function is still there");
is($node->safe_psql('used', q(SELECT string_agg(b.name, ', ' ORDER BY b.name) FROM public.before b
	WHERE (b.kind = 'relation' AND NOT has_table_privilege('reader', b.object, 'SELECT')) OR (b.kind = 'function' AND NOT has_function_privilege('reader', b.object, 'EXECUTE')))),
	'', "$previous in use: who was granted rights has them");
is(join("\n", differences(join("\n", @given), join("\n", sort(rights_given())))), '', "$previous in use: ... and dumps have them");
foreach my $view (split /\n/, $node->safe_psql('used', q(SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'users'::regnamespace)))
{
	my ($status, $stdout, $stderr) = $node->psql('used', "SELECT count(*) FROM $view");
	unlike($stderr, qr/ERROR/, "$previous in use: a view like $view works");
}
is(join("\n", grep { !/ (reader|app_owner) / } split /\n/, foreign_rights('used')), '', "$previous in use: nobody else has got a right");
is($node->safe_psql('used', q(SELECT string_agg(x.name, ', ') FROM (
	SELECT c.oid::regclass::text, c.oid, c.relacl FROM pg_class c WHERE c.relnamespace::regnamespace::text LIKE 'pgmaint%'
	UNION ALL SELECT p.oid::regprocedure::text, p.oid, p.proacl FROM pg_proc p WHERE p.pronamespace::regnamespace::text LIKE 'pgmaint%') x (name, oid, acl), aclexplode(x.acl) a
	WHERE a.grantee = 'app_owner'::regrole AND NOT EXISTS (SELECT FROM public.before b WHERE b.object = x.oid))),
	'', "$previous in use: nor those whose rights are kept on anything new");
is($node->safe_psql('used', q(SELECT has_table_privilege('pg_monitor', 'pgmaint.contacts', 'SELECT'), has_function_privilege('pg_monitor', 'pgmaint.metrics_text()', 'EXECUTE'))),
	'f|f', "$previous in use: what was revoked stays revoked");
is($node->safe_psql('used', $members_of . q( SELECT string_agg(DISTINCT o.owner::regrole::text, ', ') FROM members m JOIN (
	SELECT 'pg_class'::regclass, oid, relowner FROM pg_class UNION ALL SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc
	UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner FROM pg_namespace) o (class, oid, owner) ON o.class = m.classid AND o.oid = m.objid
	WHERE o.owner <> (SELECT extowner FROM pg_extension WHERE extname = 'pgmaint'))), '', "$previous in use: all is the extension owner's");
is($node->safe_psql('used', q(SELECT current_setting('role')), extra_params => [ '-U', 'somebody' ]), 'none', "$previous in use: whose session it was keeps its role");
foreach my $sql ('pgmaint.report(1)', 'pgmaint.runs', 'pgmaint.tasks', 'pgmaint.findings', 'pgmaint.task_results', 'pgmaint.step_results', 'pgmaint.finding_results',
	q(pgmaint.dry_run('weekly')))
{
	my ($status, $stdout, $stderr) = $node->psql('used', "SELECT * FROM $sql", extra_params => [ '-U', 'app_owner' ]);
	unlike($stderr, qr/ERROR/, "$previous in use: who followed the README can use $sql");
}

# A schema of the name that others have made before is refused, whatever is in it.
$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN; CREATE DATABASE planted; GRANT CREATE ON DATABASE planted TO mallory');
$node->safe_psql('planted', <<'EOS', extra_params => [ '-U', 'mallory' ]);
CREATE SCHEMA pgmaint_internal;
CREATE FUNCTION pgmaint_internal.built_in_plans() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION pgmaint_internal.statements_missing() RETURNS text LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE mallory SUPERUSER; RETURN 'nothing'; END $$;
EOS
my ($status, $stdout, $stderr) = $node->psql('planted', 'CREATE EXTENSION pgmaint');
like($stderr, qr/ERROR:  schema "pgmaint_internal" already exists/, 'a planted schema: CREATE EXTENSION is refused');
is($node->safe_psql('planted', q(SELECT count(*) FROM pg_extension WHERE extname = 'pgmaint') . q( UNION ALL SELECT count(*) FROM pg_namespace WHERE nspname = 'pgmaint')), "0\n0", '... and leaves nothing');
foreach my $version (@released)
{
	$node->safe_psql('planted', "CREATE EXTENSION pgmaint VERSION '$version'");
	($status, $stdout, $stderr) = $node->psql('planted', 'ALTER EXTENSION pgmaint UPDATE');
	like($stderr, qr/ERROR:  schema "pgmaint_internal" already exists/, "a planted schema: an update from $version is refused");
	is($node->safe_psql('planted', q(SELECT extversion FROM pg_extension WHERE extname = 'pgmaint')), $version, '... and changes nothing');
	foreach my $function ('statement_statistics()', 'statements_since()')
	{
		next if $node->safe_psql('planted', "SELECT to_regprocedure('pgmaint.$function') IS NULL") eq 't';
		($status, $stdout, $stderr) = $node->psql('planted', "SELECT * FROM pgmaint.$function");
		like($stderr, qr/ERROR:  extension "pgmaint" has version \Q$version\E in this database/, "... and $function of it is refused");
	}
	is($node->safe_psql('planted', q(SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory')), 'f', "... and nothing of the schema's owner was called");
	$node->safe_psql('planted', 'DROP EXTENSION pgmaint; DROP SCHEMA pgmaint');
}
is($node->safe_psql('planted', q(SELECT count(*) FROM pg_proc WHERE pronamespace = 'pgmaint_internal'::regnamespace)), '2', 'a planted schema: is left alone');
$node->safe_psql('planted', 'DROP SCHEMA pgmaint_internal CASCADE; CREATE EXTENSION pgmaint');

# What goes with the extension, and what keeps it.
$node->safe_psql('planted', 'CREATE TABLE pgmaint_internal.kept (id int)');
($status, $stdout, $stderr) = $node->psql('planted', 'DROP EXTENSION pgmaint');
like($stderr, qr/ERROR:  cannot drop extension pgmaint because other objects depend on it\nDETAIL:  table pgmaint_internal\.kept depends on schema pgmaint_internal/,
	"DROP EXTENSION: a user's table in the schema of the machinery keeps it");
$node->safe_psql('planted', 'ALTER TABLE pgmaint_internal.kept SET SCHEMA public; DROP EXTENSION pgmaint; DROP TABLE public.kept');
is($node->safe_psql('planted', q(SELECT count(*) FROM pg_namespace WHERE nspname = 'pgmaint_internal')), '0', '... without it, the schema goes, too');
$node->safe_psql('planted', 'CREATE EXTENSION pgmaint');
is_deeply([ differences(members('planted'), $members) ], [], '... and CREATE EXTENSION makes it again');

# a schema that takes the name of the one that was renamed
$node->safe_psql('planted', 'ALTER SCHEMA pgmaint_internal RENAME TO renamed; CREATE ROLE granted');
$node->safe_psql('planted', <<'EOS', extra_params => [ '-U', 'mallory' ]);
CREATE SCHEMA pgmaint_internal;
CREATE FUNCTION pgmaint_internal.statements_missing() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'called'; ALTER ROLE mallory SUPERUSER; RETURN 'nothing'; END $$;
CREATE DOMAIN pgmaint_internal.statement_snapshots AS text CHECK (pgmaint_internal.statements_missing() IS NOT NULL);
CREATE VIEW pgmaint_internal.access_levels AS
SELECT 1 AS rank, 'TABLE' AS kind, 'SELECT' AS privilege, 'pgmaint.runs TO mallory; ALTER ROLE mallory SUPERUSER; --' AS object;
EOS
foreach my $sql ("SELECT pgmaint.grant_access('granted', 'read')", 'SELECT * FROM pgmaint.slow_queries()', 'SELECT * FROM renamed.statement_statistics()', 'SELECT * FROM renamed.statements_since()')
{
	($status, $stdout, $stderr) = $node->psql('planted', $sql);
	like($stderr, qr/ERROR:  schema .*"pgmaint_internal" of extension "pgmaint" was renamed/, "a renamed schema: $sql is refused");
	unlike($stderr, qr/called/, '... before anything in the other is called');
}
is($node->safe_psql('planted', q(SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory')), 'f', "a renamed schema: nothing of the other's owner was called");
$node->safe_psql('planted', 'DROP SCHEMA pgmaint_internal CASCADE; ALTER SCHEMA renamed RENAME TO pgmaint_internal; DROP ROLE granted');

# with default privileges, on a new one
$node->safe_psql('planted', "DROP EXTENSION pgmaint; $gifts");
$node->safe_psql('planted', ($gifts =~ s/ALL ON TYPES/ALL ON SCHEMAS/gr) . ' CREATE EXTENSION pgmaint');
is(foreign_rights('planted'), '', 'CREATE EXTENSION with default privileges: nobody has a right on anything');

# There is one way from each to the newest, and none back.
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_extension_update_paths('pgmaint') WHERE path IS NOT NULL)),
	@released * (@released + 1) / 2, 'every version leads to the later ones');

done_testing();
