# What may be a copy of a database: an original with archives and backups in a
# storage, and the ways in which its data directory comes to be there twice.
#
#   my $prepared = PgmaintCopies->prepare('prepared');
#   my $original = $prepared->original('template');   # running, with a storage of its own
#   my $copy = $original->copy('copy');               # of the data directory, not started
#   $original->remember;
#   ...
#   $original->nothing_lost('a copy');
#
# One original is made, which takes seconds; each test gets a copy of it with a
# copy of its storage.  The copy is told that the directory's inode has always
# been its own, so that it has no reason to doubt: it is the original.

package PgmaintCopies;

use strict;
use warnings;

use Digest::SHA;
use Exporter qw(import);
use File::Basename qw(basename);
use File::Find ();
use PgmaintTest;
use Test::More;
use Time::HiRes qw(sleep time);

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(
  act
  back_up
  backups_of
  certain
  claim_signs
  escalate
  expire
  in_doubt
  messages
  nothing_crashed
  sql
  tick
);

# The database that has pgmaint in it, and is backed up.
my $app = 'app';

sub sql
{
	my ($node, $sql, $database) = @_;
	return $node->safe_psql($database || $app, $sql);
}

# Carry out an action; returns the state of its run, and its number.
sub act
{
	my ($node, $action, $options, $database) = @_;
	my $run = sql($node, "SELECT pgmaint.run_action('$action', '$options')", $database);

	return (wait_for_end($node, $run, $database || $app), $run);
}

# Back the database up under a key that begins with this name; returns the run.
sub back_up
{
	my ($node, $name, $database) = @_;
	my ($state, $run) = act($node, 'backup', backup_options($name), $database);

	is($state, 'succeeded', "backup $name is made")
	  or diag sql($node, "SELECT error FROM pgmaint.tasks WHERE run_id = $run", $database);
	return $run;
}

sub backup_options
{
	my ($name) = @_;
	return qq({"databases": "$app", "globals": false, "storage": "shared", "retries": 0, "key": "$name/{time}"});
}

# Let all backups expire but the newest ones; returns the run.
sub expire
{
	my ($node, $keep, $database) = @_;
	my ($state, $run) = act($node, 'expire_backups', qq({"keep": $keep, "minimum": 1}), $database);

	is($state, 'succeeded', "backups may expire, but $keep")
	  or diag sql($node, "SELECT error FROM pgmaint.tasks WHERE run_id = $run", $database);
	return $run;
}

# The names of the backups that the ledger counts on.
sub backups_of
{
	my ($node, $database) = @_;
	return sql($node, q(SELECT coalesce(string_agg(split_part(key, '/', 1), ' ' ORDER BY backup_id), '')
		FROM pgmaint_internal.backup_records WHERE state = 'succeeded'), $database);
}

# Have the database do what is to be done, and wait until it is.
sub tick
{
	my ($node, $database) = @_;

	sql($node, 'SELECT pgmaint.tick()', $database);
	$node->poll_query_until('postgres', q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'pgmaint%'))
	  or die 'what tick() began does not end';
	return;
}

sub escalate
{
	my ($node, $database) = @_;
	my $run = sql($node, q(SELECT pgmaint.run_action('escalate')), $database);

	is(wait_for_end($node, $run, $database || $app), 'succeeded', 'contacts are told');
	return;
}

# The messages to contacts: how many of each kind.
sub messages
{
	my ($node, $database) = @_;
	return sql($node, q(SELECT coalesce(string_agg(kind || ' ' || n, ', ' ORDER BY kind), 'none')
		FROM (SELECT kind, count(*) AS n FROM pgmaint.notifications GROUP BY kind) x), $database);
}

# The database says that it may be a copy, in each place, with what settles it.
sub in_doubt
{
	my ($node, $run, $name, $database) = @_;
	my $told = sql($node, "SELECT coalesce(string_agg(message || ' ' || coalesce(detail::text, ''), ' '), '') FROM pgmaint.findings WHERE run_id = $run AND check_id = 'identity'", $database);
	my $valid = sql($node, q(SELECT coalesce(string_agg(status || ' ' || detail || ' ' || expected, ' '), '') FROM pgmaint.validate() WHERE check_id = 'identity'), $database);

	isnt(sql($node, q(SELECT coalesce(string_agg(doubt, ' '), '') FROM pgmaint.identities WHERE state = 'current'), $database), '', "$name: is in doubt");
	like($told, qr/pgmaint\.take_over\(\)/, "$name: a finding has the first command");
	like($told, qr/pgmaint\.stay_copy\(\)/, "$name: ... and the second");
	like($valid, qr/^warning /, "$name: validate() warns");
	like($valid, qr/pgmaint\.take_over\(\)/, "$name: ... with the first command");
	like($valid, qr/pgmaint\.stay_copy\(\)/, "$name: ... and the second");
	return;
}

# It says nothing of the kind.
sub certain
{
	my ($node, $run, $name, $database) = @_;

	is(sql($node, q(SELECT count(*) FROM pgmaint.identities WHERE state = 'current' AND doubt IS NULL), $database), '1', "$name: is certain");
	is(sql($node, "SELECT count(*) FROM pgmaint.findings WHERE run_id = $run AND check_id = 'identity'", $database), '0', "$name: no finding about it");
	is(sql($node, q(SELECT count(*) FROM pgmaint.validate() WHERE check_id = 'identity' AND status <> 'ok'), $database), '0', "$name: no warning");
	return;
}

# What happens to a copy that cannot be recognized as one: the signs of
# its database are said to have been what they are.
sub claim_signs
{
	my ($node) = @_;
	my $inode = (stat $node->data_dir)[1];

	sql($node, "UPDATE pgmaint.identities SET directory_inode = $inode WHERE state = 'current'");
	return;
}

# No server of this test has crashed.
sub nothing_crashed
{
	my $name = basename($0, '.pl');
	my @logs = glob "$PostgreSQL::Test::Utils::log_path/${name}_*.log";

	cmp_ok(scalar @logs, '>', 1, 'there are logs');
	is(join(' ', grep { slurp_file($_) =~ /PANIC|TRAP|was terminated by signal/ } @logs), '', 'no server has crashed');
	return;
}

#
# The original
#

# Returns one that is stopped.  Options: storage, SQL that makes the storage
# "shared", and objects, which returns what is in it as objects() does; without
# them it is a folder.
sub prepare
{
	my ($class, $name, %option) = @_;
	my $self = bless { %option, number => 0 }, $class;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$self->{folder} = PostgreSQL::Test::Utils::tempdir() unless $self->{objects};
	$self->{node} = $node;
	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf', join "\n", 'autovacuum = off', 'max_worker_processes = 16', 'max_connections = 30', 'restart_after_crash = on',
		q(timezone = 'UTC'), '');
	$node->start;
	$node->safe_psql('postgres', "CREATE DATABASE $app");
	sql($node, 'CREATE EXTENSION pgmaint');
	sql($node, $option{storage} || "CREATE SERVER shared FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file://$self->{folder}')");
	# pg_dump reads the large object last
	sql($node, <<'EOS');
CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, body text);
CREATE TABLE restored (LIKE events);
SELECT lo_from_bytea(0, 'large');
SELECT pgmaint.add_retention('events', 'at', '90 days', storage => 'shared', slice => '1 year');
SELECT pgmaint.add_contact('oncall', 'notify:oncall', severity => 'critical');
EOS
	$self->age_out(1);
	back_up($node, $_) foreach qw(first second third);
	$node->stop;
	return $self;
}

# Add a thousand old rows, and let them leave; returns the run.
sub age_out
{
	my ($self, $round) = @_;
	my $node = $self->{node};

	sql($node, "INSERT INTO events SELECT $round * 1000 + g, timestamptz '2020-02-01' + g * interval '1 hour', 'event ' || g FROM generate_series(0, 999) g");
	my ($state, $run) = act($node, 'retention', '{"tables": ["events"]}');
	is($state, 'succeeded', "old rows leave, $round") or diag sql($node, "SELECT error FROM pgmaint.tasks WHERE run_id = $run");
	is(sql($node, "SELECT count(*) FROM events WHERE id BETWEEN $round * 1000 AND $round * 1000 + 999"), '0', '... all of them');
	return $run;
}

# A running original of this name, with all that was prepared.  In a folder it
# has a storage of its own; in another one they are all in the same.
sub original
{
	my ($self, $name) = @_;
	my $other = bless {%$self}, ref $self;

	$other->{node} = $self->copy($name);
	if ($self->{folder})
	{
		$other->{folder} = PostgreSQL::Test::Utils::tempdir();
		system_or_bail('cp', '-a', "$self->{folder}/.", $other->{folder});
	}
	$other->{node}->start;
	sql($other->{node}, "ALTER SERVER shared OPTIONS (SET url 'file://$other->{folder}')") if $other->{folder};
	claim_signs($other->{node});
	$other->remember;
	return $other;
}

sub node { return $_[0]->{node} }
sub folder { return $_[0]->{folder} }

# A server of this name with a copy of the data directory, as it is at this
# moment; not started.
sub copy
{
	my ($self, $name) = @_;
	my $copy = PostgreSQL::Test::Cluster->new($name);

	mkdir $copy->backup_dir;
	mkdir $copy->archive_dir;
	system_or_bail('cp', '-a', $self->{node}->data_dir, $copy->data_dir);
	unlink $copy->data_dir . "/$_" foreach qw(postmaster.pid postmaster.opts);
	own_address($copy);
	return $copy;
}

# No two servers listen in the same place.
sub own_address
{
	my ($node) = @_;

	$node->append_conf('postgresql.conf', 'port = ' . $node->port . "\nunix_socket_directories = '" . $node->host . "'\narchive_mode = off");
	return;
}

#
# What is in the storage
#

# The objects but for the owners' records: what each contains, by its key.
sub objects
{
	my ($self) = @_;
	my %objects;

	return $self->{objects}->() if $self->{objects};
	File::Find::find(
		{
			no_chdir => 1,
			wanted => sub {
				return if !-f $File::Find::name;
				my $key = substr $File::Find::name, 1 + length $self->{folder};
				return if $key =~ m{^\.pgmaint/};
				$objects{$key} = Digest::SHA->new(256)->addfile($File::Find::name)->hexdigest;
			}
		},
		$self->{folder});
	return %objects;
}

# From now on, all that is there must stay, or those of which the key matches.
sub remember
{
	my ($self, $pattern) = @_;
	my %objects = $self->objects;

	$self->{kept} = { map { $_ => $objects{$_} } grep { !defined $pattern || $_ =~ $pattern } keys %objects };
	return;
}

sub nothing_lost
{
	my ($self, $name) = @_;
	my %objects = $self->objects;
	my @lost = grep { ($objects{$_} // '') ne $self->{kept}{$_} } sort keys %{ $self->{kept} };

	cmp_ok(scalar keys %{ $self->{kept} }, '>', 0, "$name: there is something to lose");
	is(join(' ', @lost), '', "$name: nothing is lost");
	return;
}

# The first parts of the keys of all backups that are there.
sub backups_stored
{
	my ($self) = @_;
	my %objects = $self->objects;

	return join ' ', sort map { m{^([^/]+)/[^./][^/]*\.dump} ? $1 : () } keys %objects;
}

#
# In the middle of something
#

# Begin a plan of this name, a backup, which waits for the large object; returns
# the run and the session that has it locked.  When the session ends, it goes on.
sub hold_backup
{
	my ($self, $name) = @_;
	my $node = $self->{node};
	my $session = $node->background_psql($app);

	$session->query_safe('BEGIN; LOCK TABLE pg_catalog.pg_largeobject');
	sql($node, "SELECT pgmaint.define_plan('$name', '[{\"action\": \"backup\", \"options\": " . backup_options($name) . "}]')");
	my $run = sql($node, "SELECT pgmaint.run('$name')");
	$node->poll_query_until($app, q(SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'pg_largeobject'::regclass
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))) or die "backup $name does not come to the large object";
	return ($run, $session);
}

sub family_of
{
	my ($pid) = @_;
	return ($pid, map { family_of($_) } split ' ', eval { slurp_file("/proc/$pid/task/$pid/children") } || '');
}

# A copy of the data directory of a server that is running, as a snapshot of the
# disk has it: nothing moves while it is made.
sub snapshot
{
	my ($self, $name) = @_;
	my ($postmaster) = split /\n/, slurp_file($self->{node}->data_dir . '/postmaster.pid');
	my %stopped;
	my $copy;

	# stopped processes start no others
	while (my @running = grep { !$stopped{$_} } family_of($postmaster))
	{
		foreach my $pid (@running)
		{
			kill 'STOP', $pid;
			$stopped{$pid} = 1;
		}
	}
	foreach my $pid (keys %stopped)
	{
		sleep 0.01 while (eval { slurp_file("/proc/$pid/stat") } || ') T') !~ /^.*\) [TZ]/s;
	}
	eval { $copy = $self->copy($name); 1 } or diag $@;
	kill 'CONT', keys %stopped;
	return $copy;
}

1;
