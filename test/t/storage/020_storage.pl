# A folder as a storage: who may use it, that nothing is replaced and nothing
# half-written is seen, whatever happens in the middle, and that only pgmaint's
# own leftovers go.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use IPC::Run;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $build = build_module('storage');

my $node = start_server('storage', "dynamic_library_path = '\$libdir:$build'");
my $data = $node->data_dir;
my $folder = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', <<"EOS");
CREATE FUNCTION storage_put(storage text, key text, mark text, bytes bytea) RETURNS void LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION storage_put_and_wait(storage text, key text, mark text, bytes bytea) RETURNS void LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION storage_fill(storage text, key text, megabytes int, OUT writing float8, OUT ending float8) LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION storage_get(storage text, key text) RETURNS bytea LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION storage_head(storage text, key text) RETURNS text LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION storage_drop(storage text, key text) RETURNS void LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION storage_clean(storage text, key text) RETURNS void LANGUAGE c AS 'pgmaint_test_storage';
CREATE SERVER outside FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder');
EOS

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# What a command that must fail says.
sub refusal
{
	my ($sql, @params) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $sql, extra_params => [ '-v', 'VERBOSITY=verbose', @params ]);
	$stderr =~ s/^psql:\S+ //mg;
	return $status == 0 ? 'it did not fail' : $stderr;
}

# All files below a folder, hidden ones too.
sub files
{
	my ($top) = @_;
	my $found = `cd '$top' && find . -type f | LC_ALL=C sort`;
	$found =~ s/^\.\///mg;
	return join ' ', split /\n/, $found;
}

#
# The local one: made when first written, for the server's user alone
#
ok(!-e "$data/pgmaint", 'the local folder is not there before it is needed');
is(sql('SELECT count(*) FROM pgmaint.list_objects($$pgmaint_local$$)'), '0', 'and is read as an empty one');
is(sql('SELECT storage_head($$pgmaint_local$$, $$a$$) IS NULL'), 't', 'in which nothing is found');
is(sql(q(SELECT storage_drop('pgmaint_local', 'a/b'))), '', 'and nothing need be deleted');
is( sql(q(SELECT storage_put('pgmaint_local', 'a/b/one', 'run 7', 'text'))), '', 'an object is put');
is(sql(q(SELECT storage_head('pgmaint_local', 'a/b/one'))), 'a/b/one 4 run 7', 'it is there with its mark');
is(sql(q(SELECT storage_get('pgmaint_local', 'a/b/one'))), '\x74657874', 'and comes back');
is(files("$data/pgmaint"), 'a/b/.one.pgmaint-mark a/b/one', 'with its mark beside it');
is(sprintf('%o', (stat "$data/$_")[2] & 07777), '700', "$_: is the server's alone") foreach qw(pgmaint pgmaint/a pgmaint/a/b);
is(sprintf('%o', (stat "$data/pgmaint/a/b/$_")[2] & 07777), '600', "$_: is the server's alone") foreach qw(one .one.pgmaint-mark);
is(sql(q(SELECT key, bytes, size, etag IS NULL, last_modified BETWEEN now() - interval '1 min' AND now() + interval '1 min' FROM pgmaint.list_objects('pgmaint_local'))),
	'a/b/one|4|4 bytes|t|t', 'it is listed');
is(sql(q(SELECT storage_drop('pgmaint_local', 'a/b/one'), storage_head('pgmaint_local', 'a/b/one') IS NULL)), '|t', 'it is deleted');
is(files("$data/pgmaint"), '', 'with its mark');

#
# Nothing is replaced
#
sql(q(SELECT storage_put('outside', 'x', 'first', 'first')));
like(
	refusal(q(SELECT storage_put('outside', 'x', 'second', 'second'))),
	qr/ERROR:  42710: object "x" in storage "outside" already exists\nDETAIL:  Objects are never replaced\.\nHINT:  Remove the object first/,
	'an object that is there is not replaced');
is(sql(q(SELECT storage_head('outside', 'x'), storage_get('outside', 'x') = 'first')), 'x 5 first|t', 'not even its mark');
append_to_file("$folder/strange", 'not ours');
like(refusal(q(SELECT storage_put('outside', 'strange', 'm', 'ours'))), qr/42710: object "strange" in storage "outside" already exists/, 'nor is what others put there');
is(sql(q(SELECT storage_head('outside', 'strange'))), 'strange 8 unmarked', 'which has no mark');
is(files($folder), '.x.pgmaint-mark strange x', 'nothing else is left');
sql(q(SELECT storage_put('outside', 'folder/x', NULL, 'x')));
like(refusal(q(SELECT storage_put('outside', 'folder', NULL, 'x'))), qr/42710: /, 'a folder is not replaced');
is(sql(q(SELECT storage_head('outside', 'folder') IS NULL)), 't', 'and is no object');
like(refusal(q(SELECT storage_get('outside', 'folder'))), qr/ERROR:  42809: could not open object "folder" in storage "outside": it is not a regular file/, 'and is not read');
like(refusal(q(SELECT storage_put('outside', 'x/y', NULL, 'x'))), qr/could not create the folder of object "x\/y" in storage "outside"|could not create object "x\/y" in storage "outside": Not a directory/, 'an object is no folder');
like(refusal(q(SELECT storage_get('outside', 'nothing'))), qr/ERROR:  58P01: could not open object "nothing" in storage "outside": No such file or directory\nDETAIL:  The storage is the folder "\Q$folder\E"\./, 'what is not there is not read');
unlink "$folder/strange";
sql(q(SELECT storage_drop('outside', k) FROM unnest('{x,folder/x}'::text[]) k));

#
# Keys
#
my $long = 'k' x 200;
my @good = ('.hidden', 'a b', "quote'd", 'percent%2F', 'back\\slash', '-rf', '~', 'A', 'a', "$long/$long/$long/$long/" . ('k' x 96), 'é');
foreach my $key (@good)
{
	(my $literal = $key) =~ s/'/''/g;
	is(sql("SET client_encoding = 'UTF8'; SELECT storage_put('outside', '$literal', 'm', '$literal'), storage_head('outside', '$literal') IS NOT NULL, storage_get('outside', '$literal') = convert_to('$literal', 'UTF8')"),
		'|t|t', 'key ' . substr($key, 0, 20))
	  unless $key eq 'back\\slash';
}
is( sql(q(SELECT string_agg(left(key, 10), ' ' ORDER BY o) FROM pgmaint.list_objects('outside') WITH ORDINALITY AS l (key, bytes, last_modified, etag, size, o))),
	"-rf .hidden A a a b kkkkkkkkkk percent%2F quote'd ~ é", 'are listed in their order');
sql(q(SELECT storage_drop('outside', key) FROM pgmaint.list_objects('outside')));
is(files($folder), '', 'and deleted');
my %bad = (
	q('') => 'The key is empty.',
	q('/etc/passwd') => 'The key begins with a slash.',
	q('a//b') => 'The key has an empty part before or after a slash.',
	q('a/') => 'The key has an empty part before or after a slash.',
	q('../a') => 'The key has a part that is "." or "..".',
	q('a/../../b') => 'The key has a part that is "." or "..".',
	q('a/..') => 'The key has a part that is "." or "..".',
	q('.') => 'The key has a part that is "." or "..".',
	q(E'a\nb') => 'The key contains a control character.',
	q(E'a\x7f') => 'The key contains a control character.',
	q(repeat('k/', 450) || 'k') => 'The key is longer than 900 bytes.',
	q('a/.b.pgmaint-mark') => 'Hidden files that end in ".pgmaint-mark" or ".pgmaint-part" belong to other objects.',
	q('.b.pgmaint-part') => 'Hidden files that end in ".pgmaint-mark" or ".pgmaint-part" belong to other objects.');
foreach my $key (sort keys %bad)
{
	foreach my $call ("storage_put('outside', $key, 'm', 'x')", "storage_get('outside', $key)", "storage_head('outside', $key)", "storage_drop('outside', $key)", "storage_clean('outside', $key)")
	{
		next if $key =~ /pgmaint/ && $call =~ /drop|clean/;
		like(refusal("SELECT $call"), qr/ERROR:  22023: ".*" cannot be a key in storage "outside"\nDETAIL:  \Q$bad{$key}\E/s, "$call is refused");
	}
}
like(refusal(q(SELECT storage_put('outside', repeat('k', 256), 'm', 'x'))), qr/File name too long/, 'a name that is too long for the file system is refused');
is(files($folder), '', 'nothing is left of them');

#
# Lists: in the order of the keys, by prefix, and only of what are objects
#
sql(q(SELECT storage_put('outside', k, 'm', 'x') FROM unnest('{a/b,a.b,a-b,a/a/z,ab,b/c,a/b.c,a/b/c}'::text[]) k WHERE k <> 'a/b/c'));
symlink '.', "$folder/loop" or die;
symlink 'ab', "$folder/link" or die;
append_to_file("$folder/.other.pgmaint-part", 'half');
append_to_file("$folder/new\nline", 'no key');
mkdir "$folder/empty";
my $list = q(SELECT coalesce(string_agg(key, ' ' ORDER BY o), 'nothing') FROM pgmaint.list_objects('outside', '%s') WITH ORDINALITY AS l (key, bytes, last_modified, etag, size, o));
my %lists = (
	'' => 'a-b a.b a/a/z a/b a/b.c ab b/c', 'a' => 'a-b a.b a/a/z a/b a/b.c ab', 'a/' => 'a/a/z a/b a/b.c', 'a/b' => 'a/b a/b.c',
	'a/a/' => 'a/a/z', 'a/a/z' => 'a/a/z', 'a/a/zz' => 'nothing', 'b/c/' => 'nothing', 'c' => 'nothing', 'empty/' => 'nothing', '../' => 'nothing', '/' => 'nothing', '.other' => 'nothing');
is(sql(sprintf $list, $_), $lists{$_}, "the list of '$_'") foreach sort keys %lists;
unlink "$folder/loop", "$folder/link", "$folder/.other.pgmaint-part", "$folder/new\nline";
sql(q(SELECT storage_drop('outside', key) FROM pgmaint.list_objects('outside')));

#
# Rights
#
sql(<<'EOS');
CREATE ROLE reader LOGIN IN ROLE pg_read_server_files;
CREATE ROLE writer LOGIN IN ROLE pg_write_server_files;
CREATE ROLE keeper LOGIN IN ROLE pg_read_server_files, pg_write_server_files;
CREATE ROLE nobody LOGIN;
GRANT USAGE ON SCHEMA pgmaint TO PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgmaint TO PUBLIC;
GRANT USAGE ON FOREIGN SERVER outside TO reader, writer, nobody;
GRANT USAGE ON FOREIGN DATA WRAPPER pgmaint_storage TO keeper, nobody;
SELECT storage_put('outside', 'there', 'm', 'x');
EOS
my $denied = qr/ERROR:  42501: permission denied to/;
my %rights = (
	reader => [ "storage_get('outside', 'there')", "storage_head('outside', 'there')", "pgmaint.list_objects('outside')" ],
	writer => [ "storage_put('outside', 'mine', 'm', 'x')", "storage_drop('outside', 'mine')", "storage_clean('outside', 'mine')" ]);
foreach my $role (qw(reader writer nobody))
{
	foreach my $other (qw(reader writer))
	{
		foreach my $call (@{ $rights{$other} })
		{
			my $got = refusal("SELECT $call", '-U', $role);
			if ($role eq $other) { is($got, 'it did not fail', "$role: $call") }
			else { like($got, $denied, "$role: $call is refused") }
		}
	}
}
like(refusal(q(SELECT storage_head('outside', 'there')), '-U', 'keeper'), qr/42501: permission denied for foreign server outside/, 'without USAGE it is refused');
is(sql(q(SET ROLE writer; SELECT string_agg(step || ' ' || status, ', ') FROM pgmaint.check_storage('outside'))),
	'put ok, head ok, get failed, list failed, delete ok', 'a check by who may not read says so');
like(sql(q(SET ROLE writer; SELECT detail FROM pgmaint.check_storage('outside') WHERE step = 'get')),
	qr/^permission denied to read storage "outside"\. The storage is a folder of the server, and role "writer" does not have the privileges of role "pg_read_server_files"\. /, 'and why');

# who owns the storage has chosen the folder
my $other = PostgreSQL::Test::Utils::tempdir();
is(refusal("CREATE SERVER of_keeper FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$other')", '-U', 'keeper'), 'it did not fail', 'a role with USAGE on the wrapper makes a storage');
is(refusal("CREATE SERVER of_nobody FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$other')", '-U', 'nobody'), 'it did not fail', 'a role without rights on files too');
is(refusal(q(SELECT storage_put('of_keeper', 'a', 'm', 'x')), '-U', 'keeper'), 'it did not fail', 'the one works');
like(refusal(q(SELECT storage_put('of_nobody', 'b', 'm', 'x'))), qr/42501: permission denied to write to storage "of_nobody"\nDETAIL:  The storage is a folder of the server, and role "nobody"/,
	'the other does not, not even for a superuser');
is(files($other), '.a.pgmaint-mark a', 'nothing was written');

#
# In the middle
#
my $wait = q(SELECT storage_put_and_wait('outside', 'dir/half', 'm', decode(repeat('ab', 1000000), 'hex')));
my @sessions;
sub begin_half
{
	my $offset = -s $node->logfile;
	my %io = (in => '', out => '', err => '');
	my $handle = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $wait ], '<', \$io{in}, '>', \$io{out}, '2>', \$io{err});
	$node->wait_for_log(qr/waiting in the middle of an object/, $offset);
	return ($handle, \%io, sql(q(SELECT pid FROM pg_stat_activity WHERE query LIKE '%put_and_wait%' AND pid <> pg_backend_pid())));
}
my ($handle, $io, $pid) = begin_half();
is(files("$folder/dir"), '.half.pgmaint-part', 'an object that is being written is not there yet');
is(sql(q(SELECT storage_head('outside', 'dir/half') IS NULL)), 't', 'not for us either');
is(sql(q(SELECT count(*) FROM pgmaint.list_objects('outside', 'dir'))), '0', 'nor is it listed');
like(refusal(q(SELECT storage_put('outside', 'dir/half', 'm', 'x'))), qr/ERROR:  55006: object "dir\/half" in storage "outside" is being written by another process/, 'somebody else does not write to it');
is(sql(q(SELECT storage_clean('outside', 'dir/half'))), '', 'nor is it taken for a leftover');
is(files("$folder/dir"), '.half.pgmaint-part', 'it is still there');
sql("SELECT pg_cancel_backend($pid)");
$handle->finish;
like($io->{err}, qr/canceling statement due to user request/, 'cancelled');
is(files("$folder/dir"), '', 'and gone');

($handle, $io, $pid) = begin_half();
my $offset = -s $node->logfile;
kill 'KILL', $pid;
$handle->finish;
wait_for_restart($node, $offset);
is(files("$folder/dir"), '.half.pgmaint-part', 'after kill -9 something is left');
is(sql(q(SELECT storage_head('outside', 'dir/half') IS NULL)), 't', 'which is no object');
is(sql(q(SELECT count(*) FROM pgmaint.list_objects('outside', 'dir'))), '0', 'nor listed');
append_to_file("$folder/dir/.half2.pgmaint-part", 'of another key');
append_to_file("$folder/dir/.half.pgmaint-mark", 'm');
sql(q(SELECT storage_clean('outside', 'dir/hal')));
is(files("$folder/dir"), '.half.pgmaint-mark .half.pgmaint-part .half2.pgmaint-part', 'it stays when another key is cleaned');
sql(q(SELECT storage_clean('outside', 'dir/half')));
is(files("$folder/dir"), '.half2.pgmaint-part', 'and goes when its own is');
append_to_file("$folder/dir/.half.pgmaint-part", 'left');
append_to_file("$folder/dir/.half.pgmaint-mark", 'a longer mark of another writer');
sql(q(SELECT storage_put('outside', 'dir/half', 'm', 'whole')));
is(sql(q(SELECT storage_head('outside', 'dir/half'))), 'dir/half 5 m', 'a new writer does not mind what was left');
is(files("$folder/dir"), '.half.pgmaint-mark .half2.pgmaint-part half', 'and takes it away');

# killed between the name and the end: what is left is the object's second name
link "$folder/dir/half", "$folder/dir/.half.pgmaint-part" or die;
like(refusal(q(SELECT storage_put('outside', 'dir/half', 'n', 'other'))), qr/42710: /, 'a second name that was left: the object is not replaced');
is(sql(q(SELECT storage_head('outside', 'dir/half'), storage_get('outside', 'dir/half') = 'whole')), 'dir/half 5 m|t', 'nor changed');
sql(q(SELECT storage_clean('outside', 'dir/half')));
is(sql(q(SELECT storage_head('outside', 'dir/half'), storage_get('outside', 'dir/half') = 'whole')), 'dir/half 5 m|t', 'cleaning leaves it');
is(files("$folder/dir"), '.half.pgmaint-mark .half2.pgmaint-part half', 'without the second name');

# two at a time: one wins
my @racers = map {
	my %io = (out => '', err => '');
	{ io => \%io, handle => IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT count(storage_put('outside', 'race/' || n, 'mark $_', 'racer $_')) FROM generate_series(1, 1) n" ], '>', \$io{out}, '2>', \$io{err}) }
} 1 .. 6;
$_->{handle}->finish foreach @racers;
is(scalar(grep { $_->{io}{err} eq '' } @racers), 1, 'of six writers of one key, one has written it');
is(scalar(grep { $_->{io}{err} =~ /already exists|is being written by another process/ } @racers), 5, 'the others know');
like(sql(q(SELECT storage_head('outside', 'race/1') || ' ' || convert_from(storage_get('outside', 'race/1'), 'UTF8'))), qr/^race\/1 7 mark (\d) racer \1$/, 'and the mark is of who wrote it');

# abort in a subtransaction, and go on
is( sql(q(
	DO $$ BEGIN PERFORM storage_put('outside', 'dir/half', 'n', 'other'); EXCEPTION WHEN duplicate_object THEN NULL; END $$;
	SELECT storage_put('outside', 'dir/after', 'n', 'after'), storage_head('outside', 'dir/after'))),
	'|dir/after 5 n', 'a transaction goes on after one that failed');

#
# A folder that is not there, or not writable
#
sql("CREATE SERVER missing FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder/not/there')");
like(refusal(q(SELECT * FROM pgmaint.list_objects('missing'))), qr/ERROR:  58P01: could not use folder "\Q$folder\E\/not\/there" of storage "missing": No such file or directory\nHINT:  Create the folder/, 'a folder that is missing is named');
like(refusal(q(SELECT * FROM pgmaint.check_storage('missing'))), qr/could not use folder/, 'and not made');
ok(!-e "$folder/not", 'it is not there');
SKIP:
{
	skip 'root may do anything', 2 if $> == 0;
	mkdir "$folder/closed";
	chmod 0500, "$folder/closed";
	sql("CREATE SERVER closed FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder/closed')");
	is(sql(q(SELECT string_agg(step || ' ' || status, ', ') FROM pgmaint.check_storage('closed'))), 'put failed, head not tried, get not tried, list ok, delete ok', 'a folder that cannot be written is found out');
	like(sql(q(SELECT detail FROM pgmaint.check_storage('closed') WHERE step = 'put')), qr/^could not create object "\.pgmaint-check-[0-9a-f]{16}" in storage "closed": Permission denied\. The storage is the folder "\Q$folder\E\/closed"\. Make the server's user the owner of the folder and of its contents, with mode 0700\.$/, 'and told');
	chmod 0700, "$folder/closed";
}

#
# No room: on a file system of 4 MB that only this server sees
#
SKIP:
{
	my @unshare = qw(unshare --user --mount --map-current-user --keep-caps);
	my $mount = "$folder/small";

	mkdir $mount;
	skip 'no file system can be mounted here', 9
	  if system("@unshare mount -t tmpfs -o size=4m,mode=0700 tmpfs '$mount' >/dev/null 2>&1") != 0;

	my $limited = PostgreSQL::Test::Cluster->new('limited');
	$limited->init;
	$limited->append_conf('postgresql.conf', "dynamic_library_path = '\$libdir:$build'");
	my @ctl = ('pg_ctl', '-s', '-w', '-D', $limited->data_dir, '-l', $limited->logfile);
	is(system(@unshare, 'sh', '-c', 'mount -t tmpfs -o size=4m,mode=0700 tmpfs "$1" && shift && exec "$@"', 'sh', $mount, @ctl, 'start'), 0, 'a server with a small file system');
	$limited->safe_psql('postgres', "CREATE EXTENSION pgmaint; CREATE SERVER small FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$mount');
		CREATE FUNCTION storage_fill(storage text, key text, megabytes int, OUT writing float8, OUT ending float8) LANGUAGE c AS 'pgmaint_test_storage';
		CREATE FUNCTION storage_head(storage text, key text) RETURNS text LANGUAGE c AS 'pgmaint_test_storage'");
	my $fill = sub {
		my ($status, $stdout, $stderr) = $limited->psql('postgres', "SELECT 'done' FROM storage_fill('small', '$_[0]', $_[1])", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
		return $stdout . $stderr;
	};
	my $seen = sub { return $limited->safe_psql('postgres', "SELECT coalesce(string_agg(f, ' ' ORDER BY f), 'nothing') FROM pg_ls_dir('$mount') f") };
	is($fill->('a', 3), 'done', 'there is room for 3 MB');
	my $full = $fill->('b', 3);
	like($full, qr/ERROR:  53100: could not write object "b" in storage "small": No space left on device\nDETAIL:  The storage is the folder "\Q$mount\E"\./, 'but not for 3 more');
	is($seen->(), 'a', 'of which nothing is left');
	is($limited->safe_psql('postgres', q(SELECT storage_head('small', 'b') IS NULL, storage_head('small', 'a'))), 't|a 3145728 unmarked', 'what was there is there');
	is($fill->('c', 1), 'done', 'what fits still goes in');
	is($seen->(), 'a c', 'and is there');
	is($limited->safe_psql('postgres', q(SELECT string_agg(step || ' ' || status, ', ') FROM pgmaint.check_storage('small'))),
		'put failed, head not tried, get not tried, list ok, delete ok', 'a check says that it is full');
	is(system(@ctl, 'stop'), 0, 'it stops');
}

is($node->safe_psql('postgres', 'SELECT count(*) FROM pgmaint.list_objects($$outside$$, $$.pgmaint-check-$$)'), '0', 'no check has left its probe');

#
# Secrets in commands that were refused are not in the log
#
foreach my $sql (
	q(CREATE USER MAPPING FOR PUBLIC SERVER outside OPTIONS (password 'SESAME')),
	q(CREATE USER MAPPING FOR PUBLIC SERVER outside OPTIONS (access_key_id 'a', secret_access_key 'SESAME ')),
	q(CREATE USER MAPPING FOR PUBLIC SERVER outside OPTIONS (secret_access_key 'SESAME')),
	q(CREATE SERVER s FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bucket', secret_access_key 'SESAME')),
	q(CREATE SERVER s FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://key:SESAME@bucket')),
	q(CREATE SERVER s FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bucket', endpoint 'https://key:SESAME@host')),
	q(CREATE SERVER s FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bucket?secret=SESAME')))
{
	my $offset = -s $node->logfile;
	my $got = refusal("SET log_statement = 'none'; $sql");

	like($got, qr/ERROR:  HV0/, 'refused');
	unlike($got, qr/SESAME/, 'without repeating it');
	my $log = substr(slurp_file($node->logfile), $offset);
	like($log, qr/ERROR:  .*option/, 'the log has the error');
	unlike($log, qr/SESAME/, 'without it');
}

#
# Dumped and restored, and dropped with the extension
#
sql(<<'EOS');
CREATE SERVER bucket FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bucket/prefix', region 'eu-central-1', part_size '16MB');
CREATE USER MAPPING FOR PUBLIC SERVER bucket OPTIONS (access_key_id 'a', secret_access_key 'b');
GRANT USAGE ON FOREIGN SERVER pgmaint_local TO reader;
CREATE DATABASE restored;
EOS
my $storages = q(SELECT s.srvname, ARRAY(SELECT unnest(s.srvoptions) ORDER BY 1), s.srvacl, u.umuser, u.umoptions FROM pg_foreign_server s LEFT JOIN pg_user_mapping u ON u.umserver = s.oid ORDER BY 1);
$node->command_ok([ 'pg_dump', '-Fc', '-f', "@{[ $node->basedir ]}/dump", 'postgres' ], 'pg_dump');
$node->command_ok([ 'pg_restore', '-e', '-d', 'restored', "@{[ $node->basedir ]}/dump" ], 'pg_restore');
is($node->safe_psql('restored', $storages), sql($storages), 'storages are restored');
like(sql($storages), qr/^bucket\|/m, 'all of them');
like(refusal('DROP EXTENSION pgmaint'), qr/server bucket depends on foreign-data wrapper pgmaint_storage/, 'the extension is not dropped from under them');
is($node->safe_psql('restored', "SET client_min_messages = warning; DROP EXTENSION pgmaint CASCADE; $storages"), '', 'unless they may go too');

#
# With group access
#
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing has crashed');
chmod 0750, $data;
$node->start;
sql(q(SELECT storage_put('pgmaint_local', 'group/one', 'm', 'x')));
is(sprintf('%o', (stat "$data/pgmaint/group")[2] & 07777), '750', 'a folder where the group may read');
is(sprintf('%o', (stat "$data/pgmaint/group/one")[2] & 07777), '640', 'and a file');

done_testing();
