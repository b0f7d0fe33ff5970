# A folder as a storage, in which other users of the machine have planted what
# leads elsewhere, waits for ever, or is no file; folders that others can change,
# which are refused; and what an option names that is no file.

use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib "$FindBin::RealBin/..";

use IO::Socket::INET;
use IO::Socket::UNIX;
use IPC::Run;
use POSIX qw(mkfifo);
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $build = build_module('storage');

my $node = start_server('folders', "dynamic_library_path = '\$libdir:$build'");
my $top = abs_path(PostgreSQL::Test::Utils::tempdir());
my $folder = "$top/storage";
my $victim = "$top/victim";

mkdir $_, 0700 or die "$_: $!" foreach $folder, $victim;
append_to_file("$victim/file", 'precious');
$node->safe_psql('postgres', <<"EOSQL");
CREATE FUNCTION storage_put(storage text, key text, mark text, bytes bytea) RETURNS void LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION storage_put_gated(storage text, key text, mark text, gate bigint) RETURNS void LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION storage_get(storage text, key text) RETURNS bytea LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION storage_head(storage text, key text) RETURNS text LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION storage_drop(storage text, key text) RETURNS void LANGUAGE c AS 'pgmaint_test_storage';
CREATE FUNCTION storage_clean(storage text, key text) RETURNS void LANGUAGE c AS 'pgmaint_test_storage';
CREATE SERVER planted FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder');
CREATE SERVER other FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$folder');
EOSQL

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# What a command that must fail says.  One that hangs in a system call cannot
# be cancelled: the other end of the FIFO, which is then opened, frees it.
sub refusal
{
	my ($sql, $fifo) = @_;
	my ($out, $err) = ('', '');
	my $handle = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-c', $sql ], '<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

	return ($err || 'it did not fail') if eval { $handle->finish; 1 };
	if (defined $fifo)
	{
		open my $end, '+<', $fifo or die "$fifo: $!";
		$handle->kill_kill;
	}
	return 'it hung';
}

sub point_to
{
	sql("ALTER SERVER other OPTIONS (SET url 'file://$_[0]')");
}

sub untouched
{
	my ($name) = @_;

	is(slurp_file("$victim/file"), 'precious', "$name: the file elsewhere is what it was");
	is(join(' ', map { s/.*\///r } glob "$victim/{*,.[!.]*}"), 'file', '... and nothing is beside it');
}

my $link = 'its path contains a symbolic link, which is not followed';
my $no_file = 'it is not a regular file';

#
# Links at the names of what pgmaint writes
#
symlink "$victim/file", "$folder/.next.pgmaint-mark" or die;
like(refusal(q(SELECT storage_put('planted', 'next', 'mark', 'x'))), qr/ERROR:  42809: could not remove the mark of object "next" in storage "planted": \Q$link\E/, 'a link in the place of the next mark');
untouched('a link in the place of the next mark');
ok(-l "$folder/.next.pgmaint-mark", 'it is still there, for a person to see');
ok(!-e "$folder/$_", "and no $_") foreach qw(next .next.pgmaint-part);
unlink "$folder/.next.pgmaint-mark";

link "$victim/file", "$folder/.next.pgmaint-mark" or die;
sql(q(SELECT storage_put('planted', 'next', 'mark', 'x')));
untouched('a second name of a file in the place of the next mark');
is(sql(q(SELECT storage_head('planted', 'next'))), 'next 1 mark', 'the object has a mark of its own');

symlink "$victim/new", "$folder/.part.pgmaint-part" or die;
like(refusal(q(SELECT storage_put('planted', 'part', 'mark', 'x'))), qr/ERROR:  42809: could not open the unfinished file of object "part" in storage "planted": \Q$link\E/, 'a link in the place of an unfinished file');
like(refusal(q(SELECT storage_clean('planted', 'part'))), qr/ERROR:  42809: could not open the unfinished file of object "part"/, 'is not removed as a leftover');
ok(-l "$folder/.part.pgmaint-part", 'it is still there');
untouched('a link in the place of an unfinished file');
unlink "$folder/.part.pgmaint-part";

symlink "$victim/new", "$folder/object" or die;
like(refusal(q(SELECT storage_put('planted', 'object', 'mark', 'x'))), qr/ERROR:  42710: object "object" in storage "planted" already exists/, 'a link in the place of an object is not replaced');
untouched('a link in the place of an object');
unlink "$folder/object";

#
# Links at the names of what it reads
#
symlink "$victim/file", "$folder/object" or die;
like(refusal("SELECT $_('planted', 'object')"), qr/ERROR:  42809: could not (open|look up|delete) object "object" in storage "planted": \Q$link\E/, "$_ of a link is refused")
  foreach qw(storage_get storage_head storage_drop);
ok(-l "$folder/object", 'it is still there');
untouched('a link in the place of an object');
unlink "$folder/object";
symlink "$victim/file", "$folder/.marked.pgmaint-mark" or die;
append_to_file("$folder/marked", 'x');
like(refusal(q(SELECT storage_head('planted', 'marked'))), qr/ERROR:  42809: could not read the mark of object "marked" in storage "planted": \Q$link\E/, 'a link in the place of a mark is refused');
unlink "$folder/.marked.pgmaint-mark", "$folder/marked";

symlink $victim, "$folder/dir" or die;
like(refusal("SELECT $_"), qr/ERROR:  42809: could not .* object "dir\/(file|new)" in storage "planted": \Q$link\E/, "$_, below a linked folder, is refused")
  foreach "storage_get('planted', 'dir/file')", "storage_head('planted', 'dir/file')", "storage_drop('planted', 'dir/file')", "storage_clean('planted', 'dir/file')", "storage_put('planted', 'dir/new', 'm', 'x')";
untouched('a linked folder');

#
# What is no file: nothing waits for it, and nothing removes it
#
foreach my $name (qw(fifo .marked.pgmaint-mark .part.pgmaint-part))
{
	mkfifo("$folder/$name", 0600) or die;
}
append_to_file("$folder/marked", 'x');
my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "$folder/socket", Listen => 1) or die "$folder/socket: $!";
my %calls = (
	"storage_get('planted', 'fifo')" => 'fifo',
	"storage_head('planted', 'fifo')" => 'fifo',
	"storage_drop('planted', 'fifo')" => 'fifo',
	"storage_get('planted', 'socket')" => 'socket',
	"storage_head('planted', 'marked')" => '.marked.pgmaint-mark',
	"storage_put('planted', 'part', 'm', 'x')" => '.part.pgmaint-part',
	"storage_clean('planted', 'part')" => '.part.pgmaint-part');
foreach my $call (sort keys %calls)
{
	like(refusal("SELECT $call", "$folder/$calls{$call}"), qr/ERROR:  42809: could not .* object ".*" in storage "planted": \Q$no_file\E/, "$call is refused at once");
	ok(-e "$folder/$calls{$call}", '... and what is there stays');
}
is( sql(q(SELECT string_agg(key, ' ') FROM pgmaint.list_objects('planted'))), 'marked next', 'a list has the files alone');
my ($status, $out, $err) = $node->psql('postgres', q(SELECT FROM pgmaint.list_objects('planted')));
like($err, qr/WARNING:  storage "planted" contains 3 entries that are not regular files, such as "(dir|fifo|socket)"/, 'and says that there is more');
($status, $out, $err) = $node->psql('postgres', q(SELECT FROM pgmaint.list_objects('planted', 'next')));
is($err, '', 'but not when it was asked for others');
unlink map { "$folder/$_" } qw(dir fifo socket .marked.pgmaint-mark .part.pgmaint-part marked);

#
# Folders that others can change
#
my $denied = qr/ERROR:  42501: folder ".*" of storage "other" can be changed by other users of the operating system/;
my $user = getpwuid $>;

foreach my $mode (0777, 01777, 0720, 02770)
{
	my $octal = sprintf '%04o', $mode;

	mkdir "$top/open" unless -d "$top/open";
	chmod $mode, "$top/open" or die;
	point_to("$top/open");
	foreach my $call ("storage_put('other', 'a', 'm', 'x')", "storage_head('other', 'a')", "count(*) FROM pgmaint.list_objects('other')")
	{
		like(refusal("SELECT $call"), qr/$denied\nDETAIL:  Folder "\Q$top\E\/open" belongs to user "\Q$user\E" and has mode $octal\..*\nHINT:  Run: chmod go-w '\Q$top\E\/open'/, "$octal: $call is refused");
	}
}
foreach my $mode (0700, 0755, 02750)
{
	chmod $mode, "$top/open" or die;
	is(refusal(q(SELECT storage_put('other', 'a', 'm', 'x'), storage_drop('other', 'a'))), 'it did not fail', sprintf '%04o is used', $mode);
}

# above the folder
mkdir "$top/open/$_", 0700 or die foreach qw(inner hidden);
symlink "$top/open/hidden", "$top/way" or die;
chmod 0777, "$top/open" or die;
foreach my $path ("$top/open/inner", "$top/way")
{
	point_to($path);
	like(refusal(q(SELECT storage_head('other', 'a'))), qr/$denied\nDETAIL:  Folder "\Q$top\E\/open" .* mode 0777/, "$path, in a folder that others can change, is refused");
}
chmod 01777, "$top/open" or die;
is(refusal(q(SELECT storage_head('other', 'a'))), 'it did not fail', 'in one such as /tmp it is used');
chmod 0755, "$top/open" or die;
symlink 'loop', "$top/loop" or die;
point_to("$top/loop");
like(refusal(q(SELECT storage_head('other', 'a'))), qr/could not use folder "\Q$top\E\/loop" of storage "other"/, 'a link to itself is no folder');
symlink 'open/../way', "$top/far" or die;
point_to("$top/far");
is(refusal(q(SELECT storage_put('other', 'a', 'm', 'x'))), 'it did not fail', 'links on the way to the folder are followed');
ok(-f "$top/open/hidden/a", 'to where they lead');

# a hint is pasted into a shell; the parts that are not quoted hold no commands
mkdir "$top/it's", 0700;
chmod 0777, "$top/it's" or die;
point_to("$top/it''s");
my ($hint) = refusal(q(SELECT storage_head('other', 'a'))) =~ /^HINT:  Run: (.*)$/m;
is(system('sh', '-c', $hint // 'false'), 0, 'the command of a hint can be executed');
is(refusal(q(SELECT storage_head('other', 'a'))), 'it did not fail', '... and mends the folder');

# a folder that everybody uses stays what it is
SKIP:
{
	my @tmp = stat '/tmp';

	skip 'there is no /tmp as usual', 1 unless @tmp && $tmp[4] == 0 && ($tmp[2] & 01002) == 01002 && $> != 0;
	point_to('/tmp');
	like(refusal(q(SELECT storage_head('other', 'a'))), qr/$denied\nDETAIL:  Folder "\/tmp" .*\nHINT:  Use a subfolder that belongs to user "\Q$user\E"\.$/m, '/tmp itself is refused');
}

# folders that the server's user cannot write to, or reach
SKIP:
{
	skip 'root writes everywhere', 2 if $> == 0;
	mkdir "$top/closed", 0500;
	point_to("$top/closed");
	like(refusal(q(SELECT storage_put('other', 'a', 'm', 'x'))), qr/Permission denied\nDETAIL:  .*\nHINT:  Make the server's user the owner of the folder and of its contents, with mode 0700\./, 'a folder that cannot be written to: what to do');
	mkdir "$top/shut", 0700;
	mkdir "$top/shut/in", 0700;
	chmod 0, "$top/shut" or die;
	point_to("$top/shut/in");
	like(refusal(q(SELECT storage_head('other', 'a'))), qr/Permission denied\nHINT:  Give the server's user access to the folder and to its parent folders\./, 'a folder that cannot be reached: what to do');
	chmod 0700, "$top/shut" or die;
}

# only root can make what belongs to others
SKIP:
{
	my @others = grep { -d $_ && -x _ && !-l $_ && (stat _)[4] != 0 && (stat _)[4] != $> } glob '/var/*/* /home/* /run/*';

	skip 'no folder here belongs to another user', 1 unless @others;
	point_to($others[0]);
	like(refusal(q(SELECT storage_head('other', 'a'))), qr/$denied\nDETAIL:  Folder "\Q$others[0]\E" belongs to user ".*\nHINT:  Use another folder, or run as root: chown \Q$user\E '\Q$others[0]\E'/, 'a folder of another user is refused');
}

#
# Names that change while an object is being written
#
sub put_meanwhile
{
	my ($key, $change) = @_;
	my ($out, $err) = ('', '');
	my $gate = $node->background_psql('postgres');

	$gate->query_safe('SELECT pg_advisory_lock(74)');
	my $handle = IPC::Run::start(
		[
			'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
			qq(SELECT storage_put_gated('planted', '$key', 'm', 74))
		],
		'<', \undef, '>', \$out, '2>', \$err);
	$node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory')) or die 'no session writes';
	$change->();
	$gate->query_safe('SELECT pg_advisory_unlock(74)');
	$gate->quit;
	$handle->finish;
	return $err;
}

# the storage's own folder
my $error = put_meanwhile(
	'sub/swapped',
	sub {
		rename $folder, "$top/moved" or die;
		symlink $victim, $folder or die;
	});
is($error, '', 'the folder gets another name while an object is written');
untouched('a link in its place');
is(slurp_file("$top/moved/sub/swapped"), 'halfhalf', 'the object is in the folder that was opened');
is(slurp_file("$top/moved/sub/.swapped.pgmaint-mark"), 'm', 'with its mark');
unlink $folder;
rename "$top/moved", $folder or die;

# the object's
$error = put_meanwhile(
	'sub/again',
	sub {
		rename "$folder/sub", "$folder/moved" or die;
		symlink $victim, "$folder/sub" or die;
	});
like($error, qr/ERROR:  could not sync the folder of object "sub\/again" in storage "planted": \Q$link\E/, 'the folder of the object becomes a link while it is written');
untouched('a link in the place of a folder');
is(join(' ', sort map { s/.*\///r } glob "$folder/moved/{*,.[!.]*}"), '.swapped.pgmaint-mark swapped', 'nothing is left of it');
unlink "$folder/sub";

# the mark
$error = put_meanwhile('marked', sub { symlink "$victim/file", "$folder/.marked.pgmaint-mark" or die });
like($error, qr/ERROR:  could not remove the mark of object "marked" in storage "planted": \Q$link\E/, 'a link comes into the place of the mark');
untouched('a link in the place of a mark');

# descriptors are given back, however it ends
sql(q(SELECT count(storage_head('planted', 'next')) FROM generate_series(1, 5000)));
sql(q(DO $$ BEGIN FOR i IN 1 .. 5000 LOOP
	BEGIN PERFORM storage_put('planted', 'next', 'm', 'x'); EXCEPTION WHEN duplicate_object THEN NULL; END;
	BEGIN PERFORM storage_get('planted', 'nothing'); EXCEPTION WHEN undefined_file THEN NULL; END;
	END LOOP; END $$));
is(sql(q(SELECT storage_head('planted', 'next'))), 'next 1 mark', 'after thousands of uses and errors in one transaction, descriptors are left');

#
# Files that an option names
#
my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die $@;
mkfifo("$top/ca", 0600) or die;
sql("CREATE SERVER bucket FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bucket', endpoint 'https://127.0.0.1:" . $listener->sockport . "', region 'here', ca_file '$top/ca', retries '0', connect_timeout '5s');
	CREATE USER MAPPING FOR CURRENT_USER SERVER bucket OPTIONS (access_key_id 'a', secret_access_key 'b')");
like(refusal(q(SELECT storage_head('bucket', 'a')), "$top/ca"), qr/ERROR:  42809: "\Q$top\E\/ca" is not a regular file/, 'a FIFO has no certificates');

# below the data directory a person may have made a link to another disk
my $data = $node->data_dir;
mkdir "$top/disk", 0700;
symlink "$top/disk", "$data/pgmaint" or die;
sql(q(SELECT storage_put('pgmaint_local', 'a', 'm', 'x')));
ok(-f "$top/disk/a", 'the local folder may be a link of the server\'s user');

done_testing();
