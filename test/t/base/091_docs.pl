# Every SQL block of README.md and of the chapters in docs/ is executed, chapter
# by chapter, in a database as the chapter thinks of it: test/docs/common.sql
# makes a small shop, and test/docs/CHAPTER.sql what a chapter needs beside it.
#
# What a block cannot have in a test is replaced: keys, endpoints and folders of
# storages.  A comment before a block says what is different about it:
#
#   <!-- test: database=postgres -->   executed in that database
#   <!-- test: run=failed -->          a run that it begins does not succeed
#   <!-- test: error=text -->          the block ends with an error with this text
#
# CHAPTERS="bloat vacuum" takes these chapters only.
#
# long: one server is enough

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintS3;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => PgmaintS3::missing() if PgmaintS3::missing();
my ($library) = run_command([ 'pg_config', '--pkglibdir' ]);
plan skip_all => 'pg_cron is not installed' unless -e "$library/pg_cron.so";

my $root = "$FindBin::RealBin/../../..";
my %chapters = map { m{([^/]+)\.md$} ? ($1 => $_) : () } "$root/README.md", glob "$root/docs/*.md";
delete $chapters{$_} foreach qw(architecture reference);
my @chosen = $ENV{CHAPTERS} ? split ' ', $ENV{CHAPTERS} : sort keys %chapters;

my $s3 = PgmaintS3->start;
my $folders = PostgreSQL::Test::Utils::tempdir_short();

# machines give a storage its keys, where it has no user mapping
local $ENV{AWS_ACCESS_KEY_ID} = $s3->access_key;
local $ENV{AWS_SECRET_ACCESS_KEY} = $s3->secret_key;
my $node = start_server('docs', "shared_preload_libraries = 'pg_cron, pg_stat_statements'", "cron.database_name = 'postgres'",
	"timezone = 'UTC'", 'track_io_timing = on');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');

# The blocks of a chapter: line, options, text.
sub blocks
{
	my ($file) = @_;
	my ($options, $block, @blocks) = ('');
	my $line = 0;

	foreach my $text (split /\n/, slurp_file($file))
	{
		$line++;
		if ($block)
		{
			if ($text =~ /^\s*```\s*$/) { push @blocks, $block; $block = undef; $options = ''; }
			else { $block->{text} .= "$text\n"; }
		}
		elsif ($text =~ /^<!-- test: (.*?) -->$/) { $options = $1; }
		elsif ($text =~ /^\s*```sql$/)
		{
			$block = { line => $line, text => '', map { /^(\w+)=(.*)$/ ? ($1 => $2) : () } split /; /, $options };
		}
		elsif ($text ne '') { $options = ''; }
	}
	return @blocks;
}

my %buckets;

# The block with what this machine has.
sub as_here
{
	my ($sql) = @_;

	while ($sql =~ m{s3://([a-z0-9.-]+)}g)
	{
		$s3->create_bucket($1) unless $buckets{$1}++;
	}
	my $storage = sub {
		my ($options) = @_;

		return $options unless $options =~ m{url 's3:};
		$options =~ s/,\s*(?:endpoint|region|ca_file|encryption|kms_key_id|storage_class|profile) '[^']*'//g;
		return $options . ", endpoint '" . $s3->endpoint . "', region 'us-east-1'";
	};
	$sql =~ s/(FOREIGN DATA WRAPPER pgmaint_storage\s+OPTIONS \()([^)]*)\)/$1 . $storage->($2) . ')'/ge;
	$sql =~ s/(\baccess_key_id ')[^']*/$1 . $s3->access_key/ge;
	$sql =~ s/(\bsecret_access_key ')[^']*/$1 . $s3->secret_key/ge;
	while ($sql =~ m{file://(/[^']+)}g)
	{
		system_or_bail('mkdir', '-p', "$folders$1");
	}
	$sql =~ s{file:///}{file://$folders/}g;
	$sql =~ s/CREATE EXTENSION (?!IF NOT EXISTS)/CREATE EXTENSION IF NOT EXISTS /g;
	return $sql;
}

# Wait until nothing is under way; returns the runs that did not succeed.
sub failed_runs
{
	my ($database, $since) = @_;

	$node->poll_query_until($database, q(SELECT NOT EXISTS (SELECT FROM pgmaint.runs WHERE state IN ('queued', 'running'))))
	  or return 'a run did not end';
	return $node->safe_psql($database,
		qq(SELECT concat_ws(' ', 'run', r.run_id, r.plan, r.state, r.error, t.command, t.error) FROM pgmaint.runs r
			LEFT JOIN pgmaint.tasks t ON t.run_id = r.run_id AND t.state = 'failed'
			WHERE r.run_id > $since AND r.state <> 'succeeded' ORDER BY r.run_id, t.task_id));
}

sub has_pgmaint
{
	my ($database) = @_;
	return $node->safe_psql($database, q(SELECT count(*) FROM pg_extension WHERE extname = 'pgmaint'));
}

# What a chapter needs before it begins.
sub prepare
{
	my ($file, $database) = @_;
	return unless -e $file;
	my $before = has_pgmaint($database) ? $node->safe_psql($database, 'SELECT coalesce(max(run_id), 0) FROM pgmaint.runs') : 0;
	my ($status, $stdout, $stderr) = $node->psql($database, as_here(slurp_file($file)));

	is($status, 0, "$file") or diag $stderr;
	is(failed_runs($database, $before), '', '... and its runs');
}

foreach my $chapter (@chosen)
{
	my $database = 'shop';

	ok($chapters{$chapter}, "there is a chapter $chapter") or next;
	$node->safe_psql('postgres', "DROP DATABASE IF EXISTS $database WITH (FORCE)");
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	prepare("$root/test/docs/common.sql", $database);
	prepare("$root/test/docs/$chapter.sql", $database);
	foreach my $block (blocks($chapters{$chapter}))
	{
		my $place = "$chapter, line $block->{line}";
		my $where = $block->{database} || $database;
		my $since = has_pgmaint($where) ? $node->safe_psql($where, 'SELECT coalesce(max(run_id), 0) FROM pgmaint.runs') : 0;
		my ($status, $stdout, $stderr) = $node->psql($where, as_here($block->{text}));

		if ($block->{error})
		{
			like($stderr, qr/\Q$block->{error}\E/, "$place: the error");
			next;
		}
		is($status, 0, $place) or diag "$block->{text}\n$stderr";
		next unless has_pgmaint($where);
		my $failed = failed_runs($where, $since);
		if ($block->{run}) { isnt($failed, '', "$place: a run that does not succeed"); }
		else { is($failed, '', "$place: its runs"); }
	}
	# the next chapter begins without the jobs and the storages of this one
	$node->safe_psql('postgres', "DELETE FROM cron.job");
	$node->safe_psql('postgres', "DROP EXTENSION IF EXISTS pgmaint CASCADE");
}

$node->stop;
done_testing();
