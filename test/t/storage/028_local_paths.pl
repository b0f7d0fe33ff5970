# What pgmaint keeps below the data directory has paths that pg_basebackup
# takes, whatever databases, schemas and tables are called.

use strict;
use warnings;

use File::Find;
use FindBin;
use lib "$FindBin::RealBin/..";

use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('paths');
my $folder = $node->data_dir . '/pgmaint';
my $copies = 0;

# The longest path of a file below the data directory, relative to it.
sub longest_path
{
	my $longest = '';

	find(
		{
			no_chdir => 1,
			wanted => sub {
				my $path = substr $_, 1 + length $node->data_dir;
				$longest = $path if length $path > length $longest;
			}
		},
		$folder);
	return $longest;
}

# Archives and backs up, in a database; then the cluster is copied.
sub check
{
	my ($name, $database, $schema, $table) = @_;
	my ($one, $other) = map { s/"/""/gr } $schema, $table;

	$node->safe_psql('postgres', 'CREATE DATABASE "' . ($database =~ s/"/""/gr) . q(" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'));
	$node->safe_psql($database, <<"EOS");
CREATE EXTENSION pgmaint;
CREATE SCHEMA IF NOT EXISTS "$one";
CREATE TABLE "$one"."$other" (at timestamptz);
CREATE INDEX ON "$one"."$other" (at);
INSERT INTO "$one"."$other" VALUES ('2020-01-02'), ('2020-01-31 12:34:56.789'), ('-infinity');
SELECT pgmaint.add_retention('"$one"."$other"', 'at', '90 days', storage => 'pgmaint_local', slice => '1 day');
SELECT pgmaint.add_retention('"$one"."$other"', 'at', '1 year', 'false', storage => 'pgmaint_local');
EOS
	foreach my $action ('retention', 'backup')
	{
		my $run = $node->safe_psql($database, "SELECT pgmaint.run_action('$action', " . ($action eq 'backup' ? q(jsonb_build_object('databases', ARRAY[current_database(), 'postgres'])) : 'NULL') . ')');

		is(wait_for_end($node, $run, $database), 'succeeded', "$name: $action") or diag run_error($node, $run, $database);
	}
	is($node->safe_psql($database, 'SELECT count(*), sum(rows) FROM pgmaint.archives'), '2|3', "$name: archives");
	is($node->safe_psql($database, 'SELECT count(*) FROM pgmaint.archives a, pgmaint.verify_archive(a.archive_id) v WHERE NOT v.ok'), '0', '... that are whole');
	cmp_ok(length longest_path(), '<', 100, '... with paths of less than 100 bytes') or diag longest_path();
	ok(eval { $node->backup('copy' . ++$copies); 1 }, '... that pg_basebackup takes') or diag $@;
}
check('a usual name', 'production', 'public', 'audit_events');
like($node->safe_psql('production', 'SELECT min(key) FROM pgmaint.archives'), qr{^archives/audit_events-[0-9a-f]{8}/20200131T[0-9]{6}Z-\d+-[0-9a-f]{8}-\d+\.csv\.gz$}, '... and keys that tell the table');
check('long names', 'd' x 63, 's' x 63, 't' x 63);
check('names that are written at length', ' ' x 20 . 'd', ' ' x 20 . 's', ' ' x 20 . 't');
check('names of letters that have several bytes', 'ä' x 31, 'ö' x 31, 'ü' x 31);

# a key that a person has chosen is refused by its name
my $key = 'k' x 70 . '{time}';
my $run = $node->safe_psql('postgres', qq(SELECT pgmaint.run_action('backup', '{"databases": "postgres", "globals": false, "retries": 0, "key": "$key"}')));
is(wait_for_end($node, $run), 'failed', 'a key that is too long');
like($node->safe_psql('postgres', "SELECT error FROM pgmaint.tasks WHERE run_id = $run"), qr/key "k{70}\d{8}-\d{6}\.dump\.gz" is longer than \d+ bytes, the limit of storage "pgmaint_local"/, '... is refused');

done_testing();
