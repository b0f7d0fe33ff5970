# What the TAP tests share: a server with pgmaint in it, work that takes as long
# as a test wants, and waiting for what a run comes to.

package PgmaintTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use IPC::Run;
use Test::More;
use Time::HiRes qw(usleep);

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(
  build_module
  create_slow_table
  last_run
  no_processes_left
  run_error
  run_state
  slow_vacuum
  start_server
  tasks
  wait_for_end
  wait_for_restart
  wait_for_server
  wait_for_slow_vacuum
);

# The modules of older servers may leave a newline at the end of an answer.
{
	no warnings 'redefine';
	my $query = \&PostgreSQL::Test::BackgroundPsql::query;

	*PostgreSQL::Test::BackgroundPsql::query = sub {
		my ($answer, $result) = $query->(@_);

		$answer =~ s/\n\z//;
		return wantarray ? ($answer, $result) : $answer;
	  }
	  if defined &PostgreSQL::Test::BackgroundPsql::query;
}

# The first cluster of a test is a copy of one that the tools have made, which
# takes a fraction of initdb's time.  The others are made by initdb, so that no
# two of a test have the same system identifier.
{
	no warnings 'redefine';
	my $init = \&PostgreSQL::Test::Cluster::init;
	my $run = \&PostgreSQL::Test::Utils::system_or_bail;
	my $template = $ENV{PGMAINT_TEST_CLUSTER};

	*PostgreSQL::Test::Cluster::init = sub {
		my ($self, %params) = @_;

		return $init->(@_) if !$template || $params{extra};
		local *PostgreSQL::Test::Utils::system_or_bail = sub {
			return $run->(@_) if $_[0] ne 'initdb' || !$template;
			my $copied = $template;

			$template = undef;
			return $run->('cp', '-a', $copied, $self->data_dir);
		};
		return $init->(@_);
	};
}

# Waiting for what a query says takes one psql, which asks again and again and has
# no transaction meanwhile.  A psql for each time would take a fifth of a
# processor for as long as a test waits.  Whatever goes wrong with this one, such
# as a server that starts again, is left to the way of the modules.
{
	no warnings 'redefine';
	my $poll = \&PostgreSQL::Test::Cluster::poll_query_until;
	my $script;

	*PostgreSQL::Test::Cluster::poll_query_until = sub {
		my ($self, $database, $query, $expected) = @_;
		my ($out, $err);

		return $poll->(@_) if defined $expected || !defined $query;
		if (!$script)
		{
			my $again = sub { ":query \\gset\n\\if :done\n\\echo done\n\\quit\n\\endif\n\\! sleep $_[0]\n" };

			$script = PostgreSQL::Test::Utils::tempdir() . '/wait.sql';
			append_to_file($script, $again->(0.02) x 10 . $again->(0.05) x (20 * $PostgreSQL::Test::Utils::timeout_default));
		}
		local %ENV = $self->_get_env();
		IPC::Run::run(
			[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', "query=SELECT coalesce((\n$query\n), false) AS done", '-d', $self->connstr($database), '-f', $script ],
			'<', \undef, '>', \$out, '2>', \$err);
		return 1 if $out =~ /^done$/m;
		# time was up: one more round says so
		local $PostgreSQL::Test::Utils::timeout_default = 1 if $err eq '';
		return $poll->(@_);
	};
}

# Builds a library of functions that only tests have, from test/modules, or takes
# the one that another test has built; returns its folder, for
# dynamic_library_path.
sub build_module
{
	my ($name) = @_;
	my $source = abs_path(dirname(__FILE__) . "/../modules/$name");
	my $folder = "$PostgreSQL::Test::Utils::tmp_check/modules/$name";

	system_or_bail('mkdir', '-p', $folder);
	open my $lock, '>', "$folder.lock" or die "$folder.lock: $!";
	flock $lock, LOCK_EX or die "$folder.lock: $!";
	my $output = `make -j2 -C '$folder' -f '$source/Makefile' PG_CONFIG=pg_config with_llvm=no COPT=-Werror 2>&1`;
	is($?, 0, "the module $name can be built") or BAIL_OUT($output);
	close $lock;
	return abs_path($folder);
}

# A server of its own with these lines in its configuration, and pgmaint in the
# database postgres.
sub start_server
{
	my ($name, @lines) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	# the server's default of 100 connections, not init's 10: a test that has ten
	# sessions at once would depend on how fast they come and go; the data directory
	# of a test has a name that is too long for a socket beside it
	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf',
		join("\n", 'autovacuum = off', 'max_worker_processes = 16', 'max_connections = 100', 'restart_after_crash = on',
			"pgmaint.proof_directory = '" . $node->host . "'", @lines, ''));
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION pgmaint');
	return $node;
}

# A table of many pages, each of which has dead rows.
sub create_slow_table
{
	my ($node, $table, $database) = @_;

	$node->safe_psql($database || 'postgres',
		"CREATE TABLE $table (id int, filler text) WITH (fillfactor = 10);
		ALTER TABLE $table ALTER filler SET STORAGE PLAIN;
		INSERT INTO $table SELECT g, repeat('x', 700) FROM generate_series(1, 2000) g;
		DELETE FROM $table WHERE id % 2 = 0");
}

# Options under which VACUUM takes minutes for such a table.
sub slow_vacuum
{
	my (@tables) = @_;
	my $list = join ', ', map { qq("$_") } @tables;

	return qq('{"tables": [$list], "settings": {"vacuum_cost_delay": "100ms", "vacuum_cost_limit": 1}}');
}

# Wait until the table is in the middle of its VACUUM; returns the process that
# is at it.
sub wait_for_slow_vacuum
{
	my ($node, $table, $database) = @_;
	$database ||= 'postgres';

	$node->poll_query_until($database,
		"SELECT count(*) = 1 FROM pgmaint.progress WHERE target = '$table' AND phase = 'scanning heap'")
	  or die "no VACUUM of $table";
	return $node->safe_psql($database, "SELECT pid FROM pgmaint.progress WHERE target = '$table'");
}

# Wait until a run has ended; returns its state.
sub wait_for_end
{
	my ($node, $run, $database) = @_;
	$database ||= 'postgres';

	$node->poll_query_until($database,
		"SELECT state NOT IN ('queued', 'running') FROM pgmaint.runs WHERE run_id = $run")
	  or die "run $run did not end";
	return run_state($node, $run, $database);
}

sub run_state
{
	my ($node, $run, $database) = @_;
	return $node->safe_psql($database || 'postgres', "SELECT state FROM pgmaint.runs WHERE run_id = $run");
}

sub run_error
{
	my ($node, $run, $database) = @_;
	return $node->safe_psql($database || 'postgres', "SELECT error FROM pgmaint.runs WHERE run_id = $run");
}

sub last_run
{
	my ($node, $database) = @_;
	return $node->safe_psql($database || 'postgres', 'SELECT max(run_id) FROM pgmaint.runs');
}

# The tasks of a run with their states, in the order of their names.
sub tasks
{
	my ($node, $run, $database) = @_;
	return $node->safe_psql($database || 'postgres',
		"SELECT coalesce(string_agg(target || ' ' || state, ', ' ORDER BY target, task_id), 'none')
		FROM pgmaint.tasks WHERE run_id = $run");
}

# No process of pgmaint may stay once all runs have ended.
sub no_processes_left
{
	my ($node, $name) = @_;
	ok( $node->poll_query_until('postgres',
			"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'pgmaint%'"),
		$name);
}

# Wait until the server has started again after a process was killed; the
# offset is the size of its log before that.
sub wait_for_restart
{
	my ($node, $offset) = @_;

	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
	wait_for_server($node);
}

# No query goes to a psql that the server may turn away: whoever writes to one
# that has ended already dies of a broken pipe.
sub wait_for_server
{
	my ($node) = @_;

	for (1 .. 1800)
	{
		return if IPC::Run::run([ 'pg_isready', '-q', '-h', $node->host, '-p', $node->port ]);
		usleep(100_000);
	}
	die 'the server did not start again';
}

1;
