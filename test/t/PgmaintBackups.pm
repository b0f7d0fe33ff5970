# Backups made by hand, for the tests of what is done with them: a dump, its
# manifest as src/backup/manifest.h has it, a row in the ledger.

package PgmaintBackups;

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use Exporter qw(import);
use IO::Compress::Gzip qw(gzip $GzipError);
use Test::More;
use Time::HiRes qw(usleep);

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(
  backup_by_hand
  begin_backup
  change_manifest
  databases_left
  dump_of
  end_of_backup
  folder_of
  folders_left
  is_shared
  private_server
  processes_in
  programs_of
  run_backup_action
  strangers
  write_object
);

my $manifest = <<'SQL';
SET search_path = pg_catalog;
CREATE TEMP TABLE counted (s text, n text, c bigint, shared boolean);
SELECT format('INSERT INTO counted SELECT %L, %L, count(*), %L FROM ONLY %I.%I',
	n.nspname, c.relname, e.relation IS NOT NULL, n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (SELECT unnest(extconfig) AS relation FROM pg_extension) e ON e.relation = c.oid
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.oid >= 16384 AND n.nspname !~ '^pg_'
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') \gexec
CREATE TEMP VIEW own AS SELECT c.oid, c.relkind, c.relname, n.nspname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid >= 16384 AND n.nspname !~ '^pg_' AND c.relpersistence <> 't'
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e');
SELECT jsonb_pretty(jsonb_build_object('pgmaint', 'backup', 'kind', 'database', 'mark', 'by hand',
	'server_version', current_setting('server_version'), 'server_version_num', current_setting('server_version_num')::int,
	'started_at', now(), 'finished_at', now(), 'seconds', 1,
	'cluster', (SELECT system_identifier::text FROM pg_control_system()),
	'database', d.datname, 'owner', pg_get_userbyid(d.datdba), 'connection_limit', d.datconnlimit,
	'encoding', pg_encoding_to_char(d.encoding), 'collate', d.datcollate, 'ctype', d.datctype,
	'locale_provider', coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
	'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
	'database_bytes', pg_database_size(d.datname),
	'settings', (SELECT coalesce(jsonb_agg(jsonb_build_object('role', nullif(s.setrole, 0)::regrole::text, 'setting', x.x)), '[]')
		FROM pg_db_role_setting s, unnest(s.setconfig) x WHERE s.setdatabase = d.oid),
	'extensions', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', extname, 'version', extversion,
		'schema', nspname) ORDER BY e.oid), '[]') FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace),
	'roles', (SELECT coalesce(jsonb_agg(DISTINCT pg_get_userbyid(relowner)), '[]') FROM pg_class WHERE oid >= 16384),
	'complete', true, 'selection', NULL,
	'tables', (SELECT coalesce(jsonb_agg(jsonb_build_object('schema', s, 'name', n, 'rows', c, 'of_extension', shared)), '[]') FROM counted),
	'indexes', (SELECT coalesce(jsonb_agg(jsonb_build_object('schema', nspname, 'name', relname)), '[]') FROM own o
		JOIN pg_index i ON i.indexrelid = o.oid WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = i.indrelid AND d.deptype = 'e')),
	'constraints', (SELECT coalesce(jsonb_agg(jsonb_build_object('schema', nspname, 'tag', concat(o.relname, ' ', k.conname))), '[]')
		FROM pg_constraint k JOIN own o ON o.oid = k.conrelid WHERE k.contype <> 'n'),
	'sequences', (SELECT coalesce(jsonb_agg(jsonb_build_object('schema', schemaname, 'name', sequencename,
		'value', coalesce(last_value, start_value), 'is_called', last_value IS NOT NULL)), '[]')
		FROM pg_sequences q JOIN own o ON o.nspname = q.schemaname AND o.relname = q.sequencename),
	'counts', (SELECT coalesce(jsonb_object_agg(kind, n), '{}') FROM (SELECT CASE relkind WHEN 'v' THEN 'VIEW'
		WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, count(*) AS n
		FROM own WHERE relkind IN ('r', 'p', 'v', 'm', 'S') GROUP BY 1) k))
	|| :'object'::jsonb)
FROM pg_database d WHERE d.datname = current_database();
SQL

# The folder of pgmaint_local.
sub folder_of
{
	my ($node) = @_;
	return $node->data_dir . '/pgmaint';
}

sub write_object
{
	my ($node, $key, $bytes) = @_;
	my $path = folder_of($node) . "/$key";
	my ($folder) = $path =~ m{^(.*)/};

	system_or_bail('mkdir', '-p', $folder);
	open my $file, '>:raw', $path or die "$path: $!";
	print {$file} $bytes;
	close $file or die "$path: $!";
	return;
}

# A database as pg_dump sees it: what two that hold the same have in common.
sub dump_of
{
	my ($node, $database, @options) = @_;
	my ($out, $err);

	IPC::Run::run([ 'pg_dump', @options, '-d', $node->connstr('postgres') . " dbname='$database'" ], '>', \$out, '2>', \$err)
	  or die "pg_dump: $err";
	# 17.6 and its like make up a word for each dump
	$out =~ s/^\\(un)?restrict .*\n//mg;
	return $out;
}

# Returns the number that the ledger of this database gives it, if it has one.
sub backup_by_hand
{
	my ($node, $database, $key, %option) = @_;
	my $dump = $node->basedir . '/by_hand.dump';
	my ($content, $object, $out, $err);
	my $target = "host=" . $node->host . ' port=' . $node->port . " dbname='$database'";

	IPC::Run::run([ 'pg_dump', '-Fc', '-Z0', '-f', $dump, '-d', $target ], '2>', \$err) or die "pg_dump: $err";
	$content = slurp_file($dump);
	if ($option{instead})
	{
		my ($from, $to) = @{ $option{instead} };

		# of the same length, so that the dump stays whole
		$content =~ s/(\Q$from\E)/$to . ' ' x (length($1) - length($to))/e or die "no $from in the dump";
	}
	gzip(\$content => \$object) or die $GzipError;
	my ($bytes, $dump_bytes, $sha256) = (length $object, length $content, sha256_hex($object));
	# the first use gives the database its identity
	my ($identity) = reverse split /\n/, $node->safe_psql('postgres', 'SELECT pgmaint.take_over(); SELECT pgmaint_internal.current_identity()');
	my $json = qq({"key": "$key", "identity": "$identity", "bytes": $bytes, "sha256": "$sha256", "compression": "gzip", "dump": {"bytes": $dump_bytes}});
	IPC::Run::run([ 'psql', '-XqAtw', '-v', 'ON_ERROR_STOP=1', '-v', "object=$json", '-f-', '-d', $target ],
		'<', \$manifest, '>', \$out, '2>', \$err)
	  or die "psql: $err";
	write_object($node, $key, $object);
	(my $stem = $key) =~ s/\.dump\.gz$//;
	write_object($node, "$stem.json", $out);
	unlink $dump;
	return if $option{unknown};
	return $node->safe_psql('postgres',
		"INSERT INTO pgmaint_internal.backup_records (storage, key, kind, database, state, compression, bytes, sha256, dump_bytes, database_bytes, finished_at)
		VALUES ('pgmaint_local', '$key', 'database', \$\$$database\$\$, 'succeeded', 'gzip', $bytes, '$sha256', $dump_bytes, 1, now()) RETURNING backup_id");
}

# Replace something in a manifest.
sub change_manifest
{
	my ($node, $stem, $from, $to) = @_;
	my $text = slurp_file(folder_of($node) . "/$stem.json");

	$text =~ s/$from/$to/ or die "no $from in $stem.json";
	write_object($node, "$stem.json", $text);
	return;
}

# Carry out an action; returns the state of its only task, and its error.
sub run_backup_action
{
	my ($node, $action, $options, $as) = @_;
	my $run = $node->safe_psql('postgres', "SELECT pgmaint.run_action('$action', '$options')",
		$as ? (extra_params => [ '-U', $as ]) : ());

	$node->poll_query_until('postgres', "SELECT state NOT IN ('queued', 'running') FROM pgmaint.runs WHERE run_id = $run")
	  or die "run $run did not end";
	return ($node->safe_psql('postgres',
			"SELECT coalesce((SELECT t.state FROM pgmaint.tasks t WHERE t.run_id = $run), 'none')"),
		$node->safe_psql('postgres', "SELECT coalesce(t.error, r.error, '') FROM pgmaint.runs r
			LEFT JOIN pgmaint.tasks t USING (run_id) WHERE run_id = $run"),
		$run);
}

# Begin the action backup; returns the number of the run.
sub begin_backup
{
	my ($node, $options, $as) = @_;

	utf8::downgrade($options);
	$options =~ s/'/''/g;
	return $node->safe_psql('postgres', "SELECT pgmaint.run_action('backup', '$options')", $as ? (extra_params => [ '-U', $as ]) : ());
}

# Such a run at its end: its state, the errors of its tasks and its own, its
# number.
sub end_of_backup
{
	my ($node, $run) = @_;

	$node->poll_query_until('postgres', "SELECT state NOT IN ('queued', 'running') FROM pgmaint.runs WHERE run_id = $run")
	  or die "run $run did not end";
	return ($node->safe_psql('postgres', "SELECT state FROM pgmaint.runs WHERE run_id = $run"),
		$node->safe_psql('postgres', "SELECT coalesce((SELECT string_agg(t.error, ' / ' ORDER BY t.task_id) FROM pgmaint.tasks t WHERE t.run_id = r.run_id), r.error, '')
			FROM pgmaint.runs r WHERE r.run_id = $run"),
		$run);
}

# The keys in a storage that are not of a backup of which the ledger says that it
# succeeded.
sub strangers
{
	my ($node, $storage) = @_;
	return $node->safe_psql('postgres', "SELECT coalesce(string_agg(o.key, ' '), '') FROM pgmaint.list_objects('$storage') o
		WHERE o.key !~ '^[.]pgmaint/' AND regexp_replace(o.key, '[.](json|dump[.][a-z]+|dump|sql[.][a-z]+|sql)\$', '') NOT IN (
			SELECT regexp_replace(b.key, '[.](dump[.][a-z]+|dump|sql[.][a-z]+|sql)\$', '') FROM pgmaint.backups b
			WHERE b.storage = '$storage' AND b.state = 'succeeded')");
}

# The programs that the processes of this server have started.
sub programs_of
{
	my ($node) = @_;
	my @pids = split /\n/, $node->safe_psql('postgres', q(SELECT pid FROM pg_stat_activity WHERE backend_type ~ 'pgmaint'));

	return map { split ' ', eval { slurp_file("/proc/$_/task/$_/children") } || '' } @pids;
}

# The folders of private servers, whether or not they are recorded.
sub folders_left
{
	my ($node) = @_;
	return glob($node->host . '/pgmaint_proof_*');
}

# The processes that work in a folder, or in one below it.
sub processes_in
{
	my ($folder) = @_;
	return grep { (readlink("/proc/$_/cwd") || '') =~ m{^\Q$folder\E(/|$)} } map { m{(\d+)$} } glob('/proc/[0-9]*');
}

# The server in which a task proves a backup, once a program has begun to restore
# into it: its folder, its postmaster, the segment of shared memory that it has, and
# the process that executes what this is like.
sub private_server
{
	my ($node, $title, $other) = @_;
	my $condition = $other ? "folder <> '$other->{folder}'" : 'true';
	my %server;

	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pgmaint_internal.proof_servers WHERE $condition")
	  or die 'no proof has begun';
	$server{folder} = $node->safe_psql('postgres', "SELECT folder FROM pgmaint_internal.proof_servers WHERE $condition");
	for (1 .. 20 * $PostgreSQL::Test::Utils::timeout_default)
	{
		($server{backend}) = grep { (eval { slurp_file("/proc/$_/cmdline") } || '') =~ /^postgres: .*\[local\] $title/ } processes_in($server{folder});
		last if $server{backend};
		usleep(50_000);
	}
	die "no $title in $server{folder}" if !$server{backend};
	my @lines = split /\n/, slurp_file("$server{folder}/data/postmaster.pid");
	$server{postmaster} = $lines[0];
	($server{segment}) = $lines[6] =~ /(\d+)\s*$/;
	die "no segment of $server{folder}" if !is_shared(\%server);
	return \%server;
}

# Is its segment of shared memory there?
sub is_shared
{
	my ($server) = @_;
	return scalar grep { /^\s*-?\d+\s+$server->{segment}\s+\S+\s+\S+\s+$server->{postmaster}\s/ } split /\n/, slurp_file('/proc/sysvipc/shm');
}

# What verifying and restoring may leave behind: databases, roles, and what is
# noted of them or of private servers, or is in one's folder.
sub databases_left
{
	my ($node) = @_;
	my $folders = () = folders_left($node);

	return $node->safe_psql('postgres',
		"SELECT (SELECT count(*) FROM pg_database WHERE datname ~ '^pgmaint_'), (SELECT count(*) FROM pg_roles WHERE rolname ~ '^pgmaint_'),
		$folders + (SELECT count(*) FROM pgmaint_internal.scratch_databases) + (SELECT count(*) FROM pgmaint_internal.proof_servers)");
}

1;
