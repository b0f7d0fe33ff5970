# Databases that are called as no database should be, and servers without the
# database that everybody has.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";
use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# long: one server is enough

my $node = start_server('names');
my ($state, $error, $run);

# What ends like an object of its own is still a name: each backup has its own
# manifest.
my @names = ('shop.sql', 'a.csv.dump.gz', "host=nowhere user='x' \\", "quote'\"\nline", '../up');
# 19 refuses line breaks in the names of databases
s/\n/ / foreach $node->pg_version->major >= 19 ? @names : ();
for my $name (@names)
{
	(my $quoted = $name) =~ s/"/""/g;
	my $options = sub {
		(my $json = $name) =~ s/([\\"])/\\$1/g;
		$json =~ s/\n/\\n/g;
		$json =~ s/'/''/g;
		return sprintf '{"databases": ["%s"], "key": "n/{database}-{time}", "globals": false, "retries": 0}', $json;
	}->();

	$node->safe_psql('postgres', qq(CREATE DATABASE "$quoted"));
	for my $time (1, 2)
	{
		$node->poll_query_until('postgres', q(SELECT coalesce(max(started_at) < date_trunc('second', clock_timestamp()), true) FROM pgmaint.backups));
		($state, $error) = run_backup_action($node, 'backup', $options);
		is("$state $error", 'succeeded ', "database $name is backed up ($time)");
	}
}
is($node->safe_psql('postgres', q(SELECT count(*), count(DISTINCT database), count(error) FROM pgmaint.list_backups('pgmaint_local'))),
	2 * @names . '|' . @names . '|0', 'all of them are listed, and nothing is wrong with any');
for my $backup (split /\n/, $node->safe_psql('postgres', 'SELECT backup_id FROM pgmaint.backups ORDER BY 1'))
{
	($state, $error) = run_backup_action($node, 'verify_backup', qq({"backup_id": $backup}));
	is("$state $error", 'succeeded ', "backup $backup is verified");
}

# With the ledger in another database, the database postgres is not needed.
$node->safe_psql('postgres', 'CREATE DATABASE home');
$node->safe_psql('home', 'CREATE EXTENSION pgmaint; ALTER DATABASE postgres RENAME TO gone');
$run = $node->safe_psql('home', q(SELECT pgmaint.run_action('backup', '{"retries": 0}')));
is(wait_for_end($node, $run, 'home'), 'succeeded', 'a backup of roles on a server without the database postgres');

done_testing();
