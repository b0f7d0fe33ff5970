# Retention in a storage that is a folder: what leaves is archived to the byte
# or stays, whatever lies in the tables and whatever happens meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use File::Path qw(make_path);
use File::Temp qw(tempdir);
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('retention', 'log_min_messages = info', q(timezone = 'Europe/Berlin'), q(datestyle = 'SQL, DMY'), q(intervalstyle = 'sql_standard'));

$node->safe_psql('postgres', q(CREATE DATABASE app ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0));
$node->safe_psql('app', 'CREATE EXTENSION pgmaint');

sub sql
{
	return $node->safe_psql('app', $_[0]);
}

sub error_of
{
	my ($statement) = @_;
	my (undef, undef, $error) = $node->psql('app', $statement);

	return $error;
}

# Runs the action, for some tables; returns the run.
sub retain
{
	my ($options, $expected) = @_;
	my $run = sql(qq(SELECT pgmaint.run_action('retention', '$options')));

	is(wait_for_end($node, $run, 'app'), $expected || 'succeeded', "retention $options")
	  or diag run_error($node, $run, 'app');
	return $run;
}

sub findings
{
	my ($run) = @_;
	return sql("SELECT string_agg(message, '; ' ORDER BY finding_id) FROM pgmaint.findings WHERE run_id = $run AND check_id = 'retention'");
}

sub objects
{
	return sql(q(SELECT count(*) FROM pgmaint.list_objects('pgmaint_local', 'archives/')));
}

# the runbook's two policies
sql(<<'EOS');
CREATE TABLE audit_events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, timestamp timestamptz NOT NULL, user_id uuid, event text, details jsonb);
CREATE INDEX ON audit_events (timestamp);
CREATE TABLE workflows (id int PRIMARY KEY, status text, updated_at timestamptz);
CREATE INDEX ON workflows (updated_at);
INSERT INTO audit_events (timestamp, user_id, event, details)
SELECT now() - g * interval '10 minutes', gen_random_uuid(), 'login', jsonb_build_object('n', g) FROM generate_series(1, 30000) g;
INSERT INTO workflows SELECT g, (ARRAY['completed', 'failed', 'running'])[1 + g % 3], now() - g * interval '1 hour' FROM generate_series(1, 2000) g;
CREATE TABLE audit_before AS SELECT * FROM audit_events;
CREATE TABLE workflows_before AS SELECT * FROM workflows;
SELECT pgmaint.add_retention('audit_events', 'timestamp', '90 days', storage => 'pgmaint_local');
SELECT pgmaint.add_retention('workflows', 'updated_at', '30 days', $$status IN ('completed', 'failed')$$, archive => false);
EOS
my $planned = sql(q(SELECT count(*) FROM pgmaint.dry_run('monthly') WHERE action = 'retention'));
is($planned, 2, 'dry_run() shows what would leave');
is(sql('SELECT count(*) FROM audit_events'), 30000, '... and takes nothing');
is(objects(), 0, '... and writes nothing');
is($node->psql('app', q(CALL pgmaint.run_and_wait('weekly', '{"retention": {"slice_size": "512 kB"}}'))), 0, 'weekly');
my $run = last_run($node, 'app');
cmp_ok(sql("SELECT count(*) FROM pgmaint.tasks WHERE run_id = $run AND action = 'retention' AND target = 'public.audit_events'"), '>', 3, 'several slices');
is(sql("SELECT count(DISTINCT evidence ->> 'cutoff') FROM pgmaint.tasks WHERE run_id = $run AND target = 'public.audit_events' AND action = 'retention'"), 1, 'one cut-off for all of them');
is(sql(q(SELECT count(*) FROM audit_events WHERE timestamp < now() - interval '91 days')), 0, 'what is old has left');
is( sql(q(SELECT count(*) FROM audit_before b FULL JOIN (SELECT * FROM audit_events) a USING (id) WHERE a.id IS NULL)),
	sql('SELECT sum(rows) FROM pgmaint.archives'), 'as many rows are archived as have left');
is( sql(q(SELECT count(*) FROM workflows_before b WHERE NOT EXISTS (SELECT FROM workflows w WHERE w.id = b.id)
		AND (b.status = 'running' OR b.updated_at > now() - interval '30 days'))), 0, 'no other workflow has left');
is(sql(q(SELECT count(*) FROM workflows WHERE status <> 'running' AND updated_at < now() - interval '31 days')), 0, 'deleted without an archive');
is( sql("SELECT string_agg(target, ', ' ORDER BY target) FROM pgmaint.tasks WHERE run_id = $run AND action = 'vacuum' AND reason LIKE 'retention deleted % rows%'"),
	'public.audit_events, public.workflows', 'what was thinned out is vacuumed after it');
like(sql("SELECT string_agg(line, ' ') FROM pgmaint.report($run) line"), qr/retention +\d+ of \d+ done in .* rows deleted, .* archived/, 'the report says so');
is( sql("SELECT string_agg(DISTINCT regexp_replace(gain, '\\d[\\d,]*', 'N', 'g'), '; ' ORDER BY regexp_replace(gain, '\\d[\\d,]*', 'N', 'g')) FROM pgmaint.task_results WHERE run_id = $run AND action = 'retention'"),
	'N rows archived and deleted, N kB in the archive; N rows deleted', '... task by task');
is(sql("SELECT sum(left_rows) = (SELECT sum(rows) FROM pgmaint.archives), sum(archived_bytes) = (SELECT sum(bytes) FROM pgmaint.archives) FROM pgmaint.task_results WHERE run_id = $run AND archived_bytes IS NOT NULL"), 't|t', '... and in figures');
is(sql('SELECT count(*) FROM pgmaint_internal.uploads'), 0, 'no upload is left open');
is(sql(q(SELECT count(*) FROM pgmaint.archives a, pgmaint.verify_archive(a.archive_id) v WHERE NOT v.ok)), 0, 'every archive is whole');
is(sql('SELECT count(*) FROM pgmaint.archives WHERE verified_at IS NULL'), 0, '... which is written down');
like(sql(q(SELECT key FROM pgmaint.archives ORDER BY archive_id LIMIT 1)),
	qr{^archives/audit_events-[0-9a-f]{8}/\d{8}T\d{6}Z-$run-[0-9a-f]{8}\.csv\.gz$}, 'the key, which is short below the data directory');
is(objects(), 2 * sql('SELECT count(*) FROM pgmaint.archives'), 'a manifest beside each object');

# gunzip reads them, and the manifest describes them
my ($key, $rows, $sha) = split /\|/, sql('SELECT key, rows, sha256 FROM pgmaint.archives ORDER BY rows DESC LIMIT 1');
my $file = $node->data_dir . "/pgmaint/$key";
is(scalar(my @lines = `gunzip < '$file'`), $rows + 1, 'gunzip reads it: a header and a line for each row');
is($lines[0], "id,timestamp,user_id,event,details\n", 'the header');
like(`sha256sum '$file'`, qr/^$sha /, 'its digest');
(my $manifest = $file) =~ s/\.csv\.gz$/.json/;
is( sql('SELECT (m ->> $$rows$$)::bigint, m ->> $$sha256$$, m -> $$columns$$ -> 1 ->> $$type$$, m -> $$policy$$ ->> $$keep$$, m ->> $$relation$$ FROM (SELECT $m$' . slurp_file($manifest) . '$m$::jsonb AS m) x'),
	"$rows|$sha|timestamp with time zone|90 days|public.audit_events", 'the manifest');

# the way back
is(sql('CREATE TABLE back (LIKE audit_events INCLUDING ALL); SELECT sum(pgmaint.restore_archive(archive_id, \'back\')) FROM pgmaint.archives'),
	sql('SELECT sum(rows) FROM pgmaint.archives'), 'restored');
is(sql('SELECT count(*) FROM ((SELECT * FROM back UNION ALL SELECT * FROM audit_events) EXCEPT ALL SELECT * FROM audit_before) x'), 0, 'what is restored and what stayed is what was there');
is(sql('SELECT count(*) FROM (SELECT * FROM audit_before EXCEPT ALL (SELECT * FROM back UNION ALL SELECT * FROM audit_events)) x'), 0, '... all of it');
like(error_of(q(SELECT pgmaint.restore_archive(archive_id, 'workflows') FROM pgmaint.archives LIMIT 1)),
	qr/ERROR:  table "workflows" has no column "timestamp", which archive \d+ contains/, 'a table without the columns');
sql('CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA pgmaint TO reader; GRANT SELECT ON back TO reader;
	GRANT EXECUTE ON FUNCTION pgmaint.restore_archive(bigint, regclass), pgmaint.verify_archive(bigint) TO reader');
like(error_of(q(SET ROLE reader; SELECT pgmaint.restore_archive(1, 'back'))), qr/permission denied for table back/, 'a table that the role may not write');
# code of a table's owner gets no rights of the one who restores into it
sql(q(CREATE ROLE tenant; CREATE TABLE theirs (LIKE back); ALTER TABLE theirs ADD CHECK (current_user = 'tenant'), ADD by_default text DEFAULT current_user;
	CREATE FUNCTION sign() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.event := current_user; RETURN NEW; END $$;
	CREATE FUNCTION refuse_others() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF current_user <> 'tenant' THEN RAISE 'executed by %', current_user; END IF; RETURN NULL; END $$;
	CREATE TRIGGER sign BEFORE INSERT ON theirs FOR EACH ROW EXECUTE FUNCTION sign();
	CREATE CONSTRAINT TRIGGER late AFTER INSERT ON theirs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_others();
	ALTER TABLE theirs OWNER TO tenant));
cmp_ok(sql(q(SELECT sum(pgmaint.restore_archive(archive_id, 'theirs')) FROM pgmaint.archives WHERE relation = 'public.audit_events')), '>', 0, 'a superuser restores into the table of another');
is(sql('SELECT string_agg(DISTINCT event || by_default, $$ $$) FROM theirs'), 'tenanttenant', '... whose code has the rights of that one');
sql('DROP TABLE theirs');
like(error_of(q(SET ROLE reader; SELECT * FROM pgmaint.verify_archive(1))), qr/permission denied for foreign server pgmaint_local/, 'a storage that the role may not use');

# an object that was changed is not restored, in part neither
sub damage
{
	my ($what, $change) = @_;
	my $copy = slurp_file($file);
	my $bytes = $change->($copy);

	open my $out, '>:raw', $file or die $!;
	print $out $bytes;
	close $out;
	my ($archive) = split /\|/, sql("SELECT archive_id FROM pgmaint.archives WHERE key = '$key'");
	like(error_of("TRUNCATE back; SELECT pgmaint.restore_archive($archive, 'back')"), qr/ERROR:.*archive $archive\b/s, "$what: refused");
	is(sql('SELECT count(*) FROM back'), 0, "$what: no row is restored");
	open $out, '>:raw', $file or die $!;
	print $out $copy;
	close $out;
}
damage('half of an object', sub { substr($_[0], 0, length($_[0]) / 2) });
damage('a flipped bit', sub { my $x = $_[0]; substr($x, length($x) / 2, 1) ^= "\x01"; $x });
damage('something after it', sub { $_[0] . $_[0] });
damage('another content, compressed well', sub { my $x = `printf 'id,timestamp,user_id,event,details\\n' | gzip`; $x });

# every type of value there and back, with settings that would lose some
sql(<<'EOS');
CREATE TYPE mood AS ENUM ('sad', 'a "happy" one, really');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a text, b int[]);
CREATE TABLE kinds (
	at timestamp NOT NULL, t text, v varchar(20), c char(5), n numeric, f4 real, f8 double precision, i bigint, b boolean,
	by bytea, j json, jb jsonb, x xml, u uuid, d date, ti time, tz timetz, ts timestamptz, iv interval, m money, e mood, p positive, pr pair,
	a text[], aa int[][], r int4range, mr int4multirange, ip inet, mac macaddr, bi bit varying, pt point, tsv tsvector, rc regclass,
	"odd ""name, here" text, dropped int, gen int GENERATED ALWAYS AS (length(t)) STORED, id int GENERATED BY DEFAULT AS IDENTITY);
ALTER TABLE kinds DROP COLUMN dropped;
CREATE INDEX ON kinds (at);
INSERT INTO kinds (at) VALUES ('2020-01-01'), ('-infinity');
INSERT INTO kinds (at, t, v, c, a, "odd ""name, here") VALUES ('2020-01-02', '', '', '', '{}', ''), ('2020-01-03', 'NULL', '\N', '\.', '{NULL,"NULL",""}', E'\\.');
INSERT INTO kinds (at, t) SELECT '2020-02-01', x FROM unnest(ARRAY[E'a\nb', E'a\r\nb', E'\r', E'\t', 'a "quoted" one', 'a, comma', '''', '\\', E'x\n\\.\ny', E'\\.\n', ' leading', 'trailing ', 'ÄÖÜ 漢字 🦤', E'\u200b', '"', '""', ',', E'\b\f']) x;
INSERT INTO kinds VALUES ('2020-03-01', 't', 'v', 'c', 'NaN', 0.1, 0.1::float8 + 0.2, -9223372036854775808, true, '\x00ff0a0d22', '{"a":  1, "a": 2}', '{"a": [1, null]}', '<a b="1">&lt;</a>',
	gen_random_uuid(), '4714-11-24 BC', '23:59:60', '12:00+15:59', 'infinity', '-1 year -2 days 03:04:05.678901', '-$1,234.56', 'a "happy" one, really', 7, ROW('x, "y"', '{1,2}'),
	ARRAY['a,b', 'c"d', NULL, E'e\nf'], '{{1,2},{3,4}}', '[1,5)', '{[1,3),[5,9)}', '::1/64', '08:00:2b:01:02:03', '10110', '(0.1,1e-300)', 'a:1A b', 'kinds', 'x');
INSERT INTO kinds (at, f8, f4, n, d, ts, iv) VALUES ('0044-03-15 12:00:00.000001 BC', 1e-323, 1e-45, 123456789012345678901234567890.123456789, 'infinity', '2020-10-25 02:30:00.123456+02', '178000000 years');
CREATE TABLE kinds_before AS SELECT * FROM kinds;
SELECT pgmaint.add_retention('kinds', 'at', '30 days', storage => 'pgmaint_local', compression => 'none', slice => '1 month');
EOS
retain('{"tables": "kinds"}');
is(sql('SELECT count(*) FROM kinds'), 0, 'every kind of value: all have left');
sql(q(SELECT pgmaint.restore_archive(archive_id, 'kinds') FROM pgmaint.archives WHERE relation = 'public.kinds'));
is(sql('SELECT count(*) FROM (SELECT old::text FROM kinds_before old EXCEPT ALL SELECT new::text FROM kinds new) x'), 0, 'every kind of value: restored as it was')
  or diag sql('SELECT old::text FROM kinds_before old UNION ALL SELECT new::text FROM kinds new ORDER BY 1');
is(sql('SELECT count(*) FROM kinds'), sql('SELECT count(*) FROM kinds_before'), '... and no more');
is(sql(q(SELECT count(*) FROM pgmaint.archives a, pgmaint.verify_archive(a.archive_id) v WHERE a.relation = 'public.kinds' AND NOT v.ok)), 0, '... and counted well');

# rows without a time never leave, and are named; a date has no time of day
sql(<<'EOS');
CREATE TABLE days (day date, note text);
CREATE INDEX ON days (day);
INSERT INTO days VALUES (NULL, 'none'), (NULL, 'none either'), (current_date - 100, 'old'), (current_date - 10, 'the limit'), (current_date - 9, 'young'), ('infinity', 'never');
SELECT pgmaint.add_retention('days', 'day', '10 days', storage => 'pgmaint_local');
EOS
$run = retain('{"tables": "days"}');
is(sql(q(SELECT string_agg(note, ', ' ORDER BY note) FROM days)), 'never, none, none either, the limit, young', 'a date: what is older has left');
like(findings($run), qr/2 rows of public\.days have no day and are never removed/, 'rows without a time: a finding');
$run = retain('{"tables": "days"}');
is(tasks($node, $run, 'app'), 'none', 'nothing more is due');

# the owner's code runs as the owner, and cannot get further
sql(<<'EOS');
CREATE ROLE owner;
CREATE TABLE seen (who text, session text, what text);
GRANT INSERT ON seen TO owner;
CREATE TABLE guarded (id int PRIMARY KEY, at timestamptz);
CREATE INDEX ON guarded (at);
CREATE FUNCTION note_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF old.id = 3 THEN RETURN NULL; END IF;
	INSERT INTO public.seen VALUES (current_user, session_user, tg_when);
	RETURN old; END $$;
CREATE FUNCTION is_old(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
	IF current_user <> 'owner' THEN RAISE EXCEPTION 'evaluated as %', current_user; END IF; RETURN true; END $$;
ALTER FUNCTION note_row() OWNER TO owner;
ALTER TABLE guarded OWNER TO owner;
CREATE TRIGGER before BEFORE DELETE ON guarded FOR EACH ROW EXECUTE FUNCTION note_row();
CREATE CONSTRAINT TRIGGER later AFTER DELETE ON guarded DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_row();
INSERT INTO guarded SELECT g, now() - interval '1 year' FROM generate_series(1, 5) g;
SELECT pgmaint.add_retention('guarded', 'at', '90 days', 'public.is_old(id)', storage => 'pgmaint_local');
EOS
retain('{"tables": "guarded"}');
is(sql('SELECT string_agg(id::text, $$,$$) FROM guarded'), '3', 'a trigger that keeps a row: it stays');
is(sql(q(SELECT rows FROM pgmaint.archives WHERE relation = 'public.guarded')), 4, '... and is not archived');
is(sql('SELECT DISTINCT who FROM seen'), 'owner', 'triggers run as the owner');
is(sql('SELECT string_agg(what || n, $$,$$ ORDER BY what) FROM (SELECT what, count(*) AS n FROM seen GROUP BY what) x'), 'AFTER4,BEFORE4', 'deferred ones too');
sql(<<'EOS');
CREATE FUNCTION climb() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'RESET ROLE'; EXECUTE 'ALTER ROLE owner SUPERUSER'; RETURN old; END $$;
CREATE TRIGGER climb BEFORE DELETE ON guarded FOR EACH ROW EXECUTE FUNCTION climb();
INSERT INTO guarded VALUES (6, now() - interval '1 year');
EOS
$run = retain('{"tables": "guarded"}', 'failed');
like(sql("SELECT error FROM pgmaint.tasks WHERE run_id = $run AND state = 'failed'"), qr/cannot set parameter "role" within security-restricted operation/, 'a trigger that wants more: refused');
is(sql(q(SELECT rolsuper FROM pg_roles WHERE rolname = 'owner')), 'f', '... and got nothing');
is(sql('SELECT count(*) FROM guarded'), 2, '... and no row has left');

# what was checked when the policy was added is checked again
sql('DROP TRIGGER climb ON guarded; CREATE ROLE heir; ALTER TABLE guarded OWNER TO heir');
like(findings(retain('{"tables": "guarded"}')), qr/is suspended: role "owner" owned table public\.guarded when the policy was added, but role "heir" owns it now\. Drop the policy/, 'another owner: the policy rests');
sql(<<'EOS');
CREATE TABLE parts (at timestamptz) PARTITION BY RANGE (at);
CREATE INDEX ON parts (at);
CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
ALTER TABLE parts_old OWNER TO heir;
SELECT pgmaint.add_retention('parts', 'at', '90 days', archive => false);
EOS
like(findings(retain('{"tables": "parts"}')), qr/the policy belongs to role "\w+", but partition public\.parts_old belongs to role "heir"; HINT: Use ALTER TABLE \.\.\. OWNER TO to give the partition the owner of its table\.$/, 'a partition of another owner stays');
sql(q(SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies WHERE relation = 'parts'::regclass; DROP TABLE parts));
sql('ALTER TABLE guarded OWNER TO owner; CREATE RULE swallow AS ON DELETE TO guarded DO INSTEAD NOTHING');
like(findings(retain('{"tables": "guarded"}')), qr/is suspended: rule "swallow" of table public\.guarded rewrites DELETE/, 'a rule: the policy rests');
sql('DROP RULE swallow ON guarded; ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; ALTER TABLE guarded FORCE ROW LEVEL SECURITY');
like(findings(retain('{"tables": "guarded"}')), qr/is suspended: row-level security of table public\.guarded may hide rows/, 'row-level security: the policy rests');
sql('ALTER TABLE guarded NO FORCE ROW LEVEL SECURITY; ALTER TABLE guarded RENAME at TO happened');
like(findings(retain('{"tables": "guarded"}')), qr/is suspended: column "at" of table guarded no longer exists or is not a date or timestamp/, 'a renamed column: the policy rests');
sql('ALTER TABLE guarded RENAME happened TO at; CREATE TABLE pointing (id int REFERENCES guarded); INSERT INTO pointing VALUES (3); DROP TRIGGER before ON guarded');
$run = retain('{"tables": "guarded"}', 'failed');
like(sql("SELECT error FROM pgmaint.tasks WHERE run_id = $run AND state = 'failed'"), qr/violates foreign key constraint/, 'a row that is still pointed at: the slice fails');
is(sql('SELECT count(*) FROM guarded'), 2, '... and nothing of it has left');
sql('DROP TABLE pointing');
retain('{"tables": "guarded"}');
is(sql('SELECT count(*) FROM guarded'), 0, 'once nothing points there, it leaves');
# What interrupted tasks left is looked for once more an hour later.
sub settle
{
	my ($tables) = @_;
	sql(q(UPDATE pgmaint_internal.uploads SET searched_at = searched_at - interval '61 minutes'));
	return retain($tables);
}
cmp_ok(sql('SELECT count(*) FROM pgmaint_internal.uploads WHERE searched_at IS NOT NULL'), '>', 0, '... what the failed attempts noted was looked for');
settle('{"tables": "guarded"}');
is(sql('SELECT count(*) FROM pgmaint_internal.uploads'), 0, '... and is closed after another look');
my $before = objects();
sql('DROP TABLE guarded');
like(findings(retain('{}')), qr/the table of retention policy \d+ was dropped; to drop the policy: SELECT pgmaint\.drop_retention\(\d+\)/, 'a table that is gone: a finding');
sql(q(SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies p WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = p.relation)));

# a policy that cannot be planned keeps no other from its work
sql(q(CREATE TABLE broken (at timestamptz, x int); CREATE INDEX ON broken (at); INSERT INTO broken VALUES (now() - interval '1 year', 0);
	SELECT pgmaint.add_retention('broken', 'at', '90 days', '1 / x > 0', storage => 'pgmaint_local'); INSERT INTO days VALUES (current_date - 100, 'old again')));
like(error_of(q(SELECT * FROM pgmaint.dry_run('monthly'))), qr/WARNING:  retention policy \d+ could not be planned: division by zero/, 'a filter that fails: dry_run() warns');
$run = retain('{}', 'failed');
like(findings($run), qr/retention policy \d+ could not be planned: division by zero/, '... a finding of a run');
like(run_error($node, $run, 'app'), qr/^retention policy \d+ could not be planned: division by zero$/, '... which fails for it');
is(sql(q(SELECT count(*) FROM days WHERE note = 'old again')), 0, '... and the others go on');
sql(q(SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies p WHERE p.relation = 'broken'::regclass; DROP TABLE broken));

# partitions that are old as a whole leave without a DELETE
sql(<<'EOS');
CREATE TABLE parts (id int, at timestamptz NOT NULL, note text) PARTITION BY RANGE (at);
CREATE TABLE parts_oldest PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('2019-01-01');
CREATE TABLE parts_2019 PARTITION OF parts FOR VALUES FROM ('2019-01-01') TO ('2020-01-01');
CREATE TABLE parts_2020 (note text, at timestamptz NOT NULL, gone int, id int);
ALTER TABLE parts_2020 DROP gone;
ALTER TABLE parts ATTACH PARTITION parts_2020 FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE parts_now PARTITION OF parts FOR VALUES FROM ('2021-01-01') TO (MAXVALUE);
CREATE INDEX ON parts (at);
INSERT INTO parts SELECT g, '2018-06-01'::timestamptz + g * interval '1 day', E'n\n' || g FROM generate_series(1, 1200) g;
INSERT INTO parts SELECT g, now() - (g - 2000) * interval '1 day', 'now' FROM generate_series(2000, 2200) g;
CREATE TABLE parts_before AS SELECT * FROM parts;
SELECT pgmaint.add_retention('parts', 'at', '90 days', storage => 'pgmaint_local');
EOS
$run = retain('{"tables": "parts"}');
is(tasks($node, $run, 'app'), 'public.parts_2019 succeeded, public.parts_2020 succeeded, public.parts_now succeeded, public.parts_oldest succeeded', 'partitions: tasks') or diag findings($run);
is(sql(q(SELECT string_agg(inhrelid::regclass::text, ',') FROM pg_inherits WHERE inhparent = 'parts'::regclass)), 'parts_now', 'old ones are gone');
is(sql('SELECT count(*) FROM pg_class WHERE relname LIKE \'parts\_20%\''), 0, '... dropped');
is(sql(q(SELECT count(*) FROM parts WHERE at < now() - interval '91 days')), 0, 'the one that straddles the cut-off is handled row by row');
sql(q(CREATE TABLE parts_back (LIKE parts); SELECT pgmaint.restore_archive(archive_id, 'parts_back') FROM pgmaint.archives WHERE relation = 'public.parts'));
is(sql('SELECT count(*) FROM ((SELECT * FROM parts_back UNION ALL SELECT * FROM parts) EXCEPT ALL SELECT * FROM parts_before) x') . sql('SELECT count(*) FROM parts_back UNION ALL SELECT count(*) FROM parts') =~ s/\n/+/r,
	'0' . sql('SELECT count(*) FROM parts_back') . '+' . sql('SELECT count(*) FROM parts'), 'partitions: no row is lost, none is new');
is(sql('SELECT (SELECT count(*) FROM parts_back) + (SELECT count(*) FROM parts) = (SELECT count(*) FROM parts_before)'), 't', 'partitions: all rows are there');
is(sql('SELECT count(*) FROM pgmaint_internal.detached_partitions'), 0, 'no partition is left detached');

# a partition that something depends on stays
sql(<<'EOS');
CREATE TABLE held (id int, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE held_old PARTITION OF held FOR VALUES FROM ('2019-01-01') TO ('2020-01-01');
CREATE TABLE held_older PARTITION OF held FOR VALUES FROM ('2018-01-01') TO ('2019-01-01');
INSERT INTO held VALUES (1, '2019-02-01'), (2, '2018-02-01');
CREATE INDEX ON held (at);
CREATE VIEW looks AS SELECT * FROM held_old;
SELECT pgmaint.add_retention('held', 'at', '90 days', storage => 'pgmaint_local');
EOS
$run = retain('{"tables": "held"}');
like(findings($run), qr/partition public\.held_old is older than the cut-off but cannot be dropped: rule _RETURN on view public\.looks depends on the partition/, 'a view: a finding');
is(tasks($node, $run, 'app'), 'public.held_older succeeded', '... the other leaves');
sql('DROP VIEW looks; CREATE TABLE refers (id int, at timestamptz, FOREIGN KEY (id, at) REFERENCES held); INSERT INTO refers SELECT id, at FROM held');
$run = retain('{"tables": "held"}', 'failed');
like(sql("SELECT error FROM pgmaint.tasks WHERE run_id = $run AND state = 'failed'"), qr/violates foreign key constraint/, 'a foreign key: a row that it points at stays');
like(sql("SELECT reason FROM pgmaint.tasks WHERE run_id = $run AND target = 'public.held_old'"), qr/deleted individually because foreign key "refers_id_at_fkey" of table public\.refers references the partition/, '... rows leave one by one');
sql('DROP TABLE refers');

# a detached partition that was left is finished
sql(q(INSERT INTO pgmaint_internal.detached_partitions SELECT 'held_old'::regclass, policy_id, 'held'::regclass, '2019-01-01', '2020-01-01'
	FROM pgmaint.retention_policies WHERE relation = 'held'::regclass; ALTER TABLE held DETACH PARTITION held_old));
$run = retain('{"tables": "held"}');
like(tasks($node, $run, 'app'), qr/public\.held_old succeeded$/, 'left detached by a crash: finished');
is(sql(q(SELECT rows FROM pgmaint.archives WHERE partition = 'public.held_old')), 1, '... and archived');
is(sql('SELECT count(*) FROM pg_class WHERE relname = \'held_old\''), 0, '... and dropped');

# with a default partition the server cannot detach concurrently
sql(q(CREATE TABLE held_default PARTITION OF held DEFAULT; CREATE TABLE held_2017 PARTITION OF held FOR VALUES FROM ('2017-01-01') TO ('2018-01-01');
	INSERT INTO held VALUES (1, '2017-02-01'), (2, '2016-02-01'), (3, now())));
$run = retain('{"tables": "held"}');
is(tasks($node, $run, 'app'), 'public.held_2017 succeeded, public.held_default succeeded', 'beside a default partition');
is(sql('SELECT string_agg(id::text, $$,$$) FROM held'), '3', '... what is young stays');

# a lock of another session: the task is tried again, then passed over
my $holder = $node->background_psql('app');
sql(q(INSERT INTO audit_events (timestamp, event) SELECT now() - interval '1 year', 'locked' FROM generate_series(1, 10)));
$holder->query_safe(q(BEGIN; UPDATE audit_events SET event = 'still of use' WHERE event = 'locked'));
$run = sql(q(SET pgmaint.lock_timeout = '100ms'; SET pgmaint.lock_retries = 1; SELECT pgmaint.run_action('retention', '{"tables": "audit_events"}')));
wait_for_end($node, $run, 'app');
like(sql("SELECT string_agg(DISTINCT state, ',') FROM pgmaint.tasks WHERE run_id = $run"), qr/skipped/, 'rows that another session changes: passed over');
is(objects(), $before = objects(), '... nothing was written');
$holder->query_safe(q(COMMIT));
retain('{"tables": "audit_events"}');
is(sql(q(SELECT count(*) FROM audit_events WHERE event = 'still of use')), 0, '... and taken next time');
settle('{"tables": "audit_events"}');
is(sql('SELECT count(*) FROM pgmaint_internal.uploads'), 0, '... with nothing left open');

# objects that are not pgmaint's own are never touched, its own leftovers are
my $folder = $node->data_dir . '/pgmaint/archives/app/public.audit_events';
make_path($folder);
append_to_file("$folder/20200101T000000Z_20200201T000000Z-1.csv.gz", 'not from here');
append_to_file("$folder/left.csv.gz", 'another mark');
sql(q(INSERT INTO pgmaint_internal.uploads (task_id, action, storage, key, mark)
	SELECT 0, 'retention', 'pgmaint_local', k, 'abc'
	FROM unnest(ARRAY['archives/app/public.audit_events/left.csv.gz', 'archives/app/public.audit_events/never.csv.gz']) k));
$run = retain('{"tables": "days"}');
is(sql("SELECT string_agg(state || coalesce(result ->> 'removed', ''), ',') FROM pgmaint.tasks WHERE run_id = $run AND target LIKE 'pgmaint_local/%'"), 'succeededfalse,succeededfalse', 'leftovers of another mark: nothing is removed');
like(sql("SELECT string_agg(line, ' ') FROM pgmaint.report($run) line"), qr/remove leftover .*nothing removed: the task left no object/, '... which the report says');
ok(-e "$folder/left.csv.gz" && -e "$folder/20200101T000000Z_20200201T000000Z-1.csv.gz", '... what others wrote is there');
is(sql('SELECT count(*) FROM pgmaint_internal.uploads WHERE searched_at IS NOT NULL'), 2, '... and the notes stay for another look');
is(sql("SELECT count(*) FROM pgmaint.tasks WHERE run_id = ${\ retain('{\"tables\": \"days\"}')} AND target LIKE 'pgmaint_local/%'"), 0, '... not a moment later');

# what a storage was still at work on arrives after that
append_to_file("$folder/never.csv.gz", 'late');
append_to_file("$folder/.never.csv.gz.pgmaint-mark", 'abc');
$run = settle('{"tables": "days"}');
is(sql("SELECT string_agg(state || coalesce(result ->> 'removed', ''), ',' ORDER BY task_id) FROM pgmaint.tasks WHERE run_id = $run AND target LIKE 'pgmaint_local/%'"), 'succeededfalse,succeededtrue', 'what arrives late is removed');
ok(!-e "$folder/never.csv.gz" && -e "$folder/left.csv.gz", '... and nothing else');
is(sql('SELECT count(*) FROM pgmaint_internal.uploads'), 1, '... and the other note is closed');
settle('{"tables": "days"}');
is(sql('SELECT count(*) FROM pgmaint_internal.uploads'), 0, '... this one after another look');

# what another database was writing is left alone
sql(q(INSERT INTO pgmaint_internal.uploads (task_id, action, storage, key, mark, identity) VALUES (0, 'retention', 'pgmaint_local', 'x.csv.gz', 'abc', repeat('0', 32))));
$run = retain('{"tables": "days"}');
is(sql(q(SELECT count(*) FROM pgmaint_internal.uploads WHERE identity = repeat('0', 32))), 1, 'of another database: left alone');
sql('DELETE FROM pgmaint_internal.uploads');

# policies and archives are dumped with the database
my $archives = sql('SELECT archive_id, relation, key, rows, sha256 FROM pgmaint.archives ORDER BY archive_id');
my $policies = sql('SELECT policy_id, relation, keep, filter FROM pgmaint.retention_policies ORDER BY policy_id');
my $dump = tempdir(CLEANUP => 1) . '/dump';
chmod 0755, $dump;
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, 'app' ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-d', 'restored', $dump ], 'pg_restore');
is($node->safe_psql('restored', 'SELECT archive_id, relation, key, rows, sha256 FROM pgmaint.archives ORDER BY archive_id'), $archives, 'archives are dumped and restored');
is($node->safe_psql('restored', 'SELECT policy_id, relation, keep, filter FROM pgmaint.retention_policies ORDER BY policy_id'), $policies, 'and policies');
cmp_ok($node->safe_psql('restored', q(SELECT pgmaint.add_retention('workflows', 'updated_at', '1 year', archive => false))), '>', sql('SELECT max(policy_id) FROM pgmaint.retention_policies'), '... and their numbers go on');

no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
