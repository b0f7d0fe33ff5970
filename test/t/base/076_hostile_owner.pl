# A role that owns a schema sets every trap that PostgreSQL has room for, and
# each action, function and view of pgmaint is used by a superuser, and by a role
# that is a member of the owners: the code never runs with more than its
# owner's rights, and work on the tables of others goes on.
#
# slow: begins first

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/..";

use IPC::Run;
use PgmaintHostile;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

# mallory's schema comes first on the search_path of the database; the sessions
# of the test itself keep clear of it
my $pinned = '-c search_path=pg_catalog';
$ENV{PGOPTIONS} = $pinned;
my $node = start_server('hostile', q(shared_preload_libraries = 'pg_stat_statements'), q(pgmaint.max_workers = 2), q(pgmaint.lock_timeout = '60s'), q(max_prepared_transactions = 2));
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $offset;

set_traps($node);
renew_rows($node);
is(join("\n", traps_that_ran($node, 0)), '', 'setting the traps springs none');

# Nothing was gained since $offset.
sub nothing_gained
{
	my ($name) = @_;
	my @gains = gained($node, $offset);

	is(scalar @gains, 0, "$name: nothing gained") or diag join("\n", @gains > 12 ? (@gains[ 0 .. 11 ], '...') : @gains);
	return;
}

# Execute one statement as a role, with mallory's names before all others;
# returns its exit status, its output and its messages.
sub call
{
	my ($role, $sql) = @_;

	local $ENV{PGOPTIONS} = '-c search_path=shadow,mallory,public,pg_catalog';
	$offset = -s $node->logfile;
	return $node->psql('postgres', $sql, extra_params => [ '-U', $role ], timeout => 180);
}

# What is a superuser's own doing: the statements that advice is given on.
sub execute_statements
{
	foreach my $role ($superuser, 'keeper', 'alice')
	{
		$node->psql('postgres', join(';', (map { "SELECT * FROM $_ WHERE n = 3 ORDER BY at LIMIT 2" } 'alice.orders', $role eq 'alice' ? () : hostile_tables()) x 6),
			extra_params => [ '-U', $role ]);
		$node->psql('postgres', join(';', ('SELECT count(*) FROM alice.orders WHERE n = mallory.trap($$statement$$, 3)') x 6), extra_params => [ '-U', $role ]);
	}
	gained($node, -s $node->logfile);
	return;
}

# What a plain pg_restore by a superuser evaluates as a superuser, such as CHECK
# constraints while rows are copied, is PostgreSQL's own affair: from here on these
# traps are let alone, so that what restore_backup adds to them shows.
sub allow_traps_of_pg_restore
{
	my ($key) = split /\n/, $node->safe_psql('postgres', q(SELECT key FROM pgmaint.backups WHERE database = 'postgres' ORDER BY backup_id DESC));
	my $place = -s $node->logfile;
	my %names;

	$node->safe_psql('postgres', 'CREATE DATABASE plainly');
	IPC::Run::run([ 'pg_restore', '-d', $node->connstr('plainly'), $node->data_dir . "/pgmaint/$key" ], '>', \my $out, '2>', \my $error);
	foreach my $ran (traps_that_ran($node, $place))
	{
		$names{$1} = 1 if $ran =~ /^\[(?:later than )?(.*?)\] got .* as \[(?!mallory\])/;
	}
	$node->safe_psql('postgres', 'DROP DATABASE plainly');
	gained($node, $place);
	allow_traps($node, sort keys %names);
	return;
}

my $all = '"schemas": ["alice", "mallory", "public"]';
my @actions = (
	[ 'bloat_report', qq({$all, "min_size": 0, "bloat_threshold": 0}), 'run' ],
	[ 'vacuum', qq({$all, "scope": "all", "analyze": "on"}), 'alice' ],
	[ 'vacuum_full', qq({$all, "min_gain": 0, "bloat_threshold": 0, "ignore_window": true}), 'alice' ],
	[ 'compact', qq({$all, "min_gain": 0, "bloat_threshold": 0, "reorder": true, "published": true}), 'alice' ],
	[ 'analyze', qq({$all, "scope": "all"}), 'alice' ],
	[ 'retention', '{}', 'alice' ],
	[ 'reindex', qq({$all, "scope": "all"}), 'alice' ],
	[ 'check_corruption', qq({$all, "parent_check": "off"}), 'alice' ],
	[ 'check_corruption', qq({$all, "parent_check": "on", "ignore_window": true}), 'alice' ],
	[ 'backup', '{"compression": "none", "retries": 0}', 'run' ],
	[ 'verify_backup', '{"databases": "postgres"}', 'run' ],
	[ 'restore_backup', '{"backup_id": BACKUP, "into": "restored_by_ROLE"}', 'superuser' ],
	[ 'expire_backups', '{}', 'run' ],
	[ 'validate', '{}', 'run' ],
	[ 'connection_review', '{}', 'run' ],
	[ 'review_queries', '{"min_calls": 1, "min_mean": 0}', 'run' ],
	[ 'index_advice', '{"min_calls": 1, "min_mean_ms": 0, "min_size": 0, "min_gain": 0.01}', 'run' ],
	[ 'index_usage', '{"unused_for": 0, "min_size": 0}', 'run' ],
	[ 'escalate', '{}', 'run' ]);
my %known = map { $_->[0] => 1 } @actions;
is(join(' ', grep { !$known{$_} } split /\n/, $node->safe_psql('postgres', 'SELECT DISTINCT action FROM pgmaint.actions()')), '', 'every action is used');

# Policies that a superuser adds, and such of mallory's own with a condition.
$offset = -s $node->logfile;
foreach my $table ('alice.orders', 'alice.mixed', (grep { !/ranges/ } hostile_tables()), 'mallory.parted')
{
	my ($status, undef, $error) = $node->psql('postgres', "SELECT pgmaint.add_retention('$table', 'at', '450 days', storage => 'pgmaint_local')");
	is($status, 0, "add_retention() of $table by a superuser") or diag $error;
	next if $table !~ /mallory/ || $table =~ /parted/;
	($status, undef, $error) = $node->psql('postgres', "SELECT pgmaint.add_retention('$table', 'at', '1 year', 'mallory.trap(\$\$condition\$\$, id) = id AND mallory.trap(\$\$constant condition\$\$) = 1', archive => false)",
		extra_params => [ '-U', 'mallory' ]);
	is($status, 0, "add_retention() of $table by mallory") or diag $error;
}
nothing_gained('add_retention()');

foreach my $role ($superuser, 'keeper')
{
	my $who = $role eq 'keeper' ? 'a member' : 'a superuser';

	foreach my $case (@actions)
	{
		my ($action, $options, $honest) = @$case;

		renew_rows($node) if $action =~ /vacuum_full|compact|retention|bloat_report/;
		execute_statements() if $action =~ /advice|review_queries/;
		if ($action eq 'restore_backup')
		{
			allow_traps_of_pg_restore();
			wait_for_end($node, $node->safe_psql('postgres', q(SELECT pgmaint.run_action('backup', '{"compression": "none"}'))));
		}
		$options =~ s/ROLE/$role eq 'keeper' ? $role : 'superuser'/e;
		$options =~ s/BACKUP/$node->safe_psql('postgres', q(SELECT max(backup_id) FROM pgmaint.backups WHERE database = 'postgres'))/e;
		my ($status, $run, $error) = call($role, "SELECT pgmaint.run_action('$action', '$options')");
		is($status, 0, "$action by $who: queued") or diag $error;
		next if $status != 0;
		my $state = wait_for_end($node, $run);
		nothing_gained("$action by $who");
		allow_traps($node) if $action eq 'restore_backup';
		if ($honest eq 'superuser' && $role eq 'keeper')
		{
			is($state, 'failed', "$action by $who: is refused what takes a superuser");
		}
		elsif ($honest ne 'alice')
		{
			is($state, 'succeeded', "$action by $who: is done") or diag run_error($node, $run);
		}
		else
		{
			is( $node->safe_psql('postgres', "SELECT count(*) > 0, count(*) FILTER (WHERE state <> 'succeeded') FROM pgmaint.tasks WHERE run_id = $run AND target ~ '^alice[.]'"),
				't|0', "$action by $who: is done on alice's tables")
			  or diag $node->safe_psql('postgres', "SELECT target, state, error FROM pgmaint.tasks WHERE run_id = $run AND target ~ '^alice[.]'");
		}
	}
}

# Whatever the names of objects, each action says what came of its tasks.
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT action, ' ') FROM pgmaint.tasks WHERE state = 'succeeded' AND result IS NOT NULL AND outcome IS NULL"), '', 'what came of the tasks is said');
is( $node->safe_psql('postgres', "SELECT string_agg(a.action, ' ') FROM (SELECT DISTINCT action FROM pgmaint.actions()) a WHERE NOT EXISTS (SELECT FROM pgmaint.tasks t WHERE t.action = a.action AND t.outcome <> '')"),
	'expire_backups', '... of every action but one that has nothing to do here');

# All functions that take no argument and all views, and what is asked with one:
# a script of each role.  What they answer is the matter of other tests.
my @calls = (
	split(/\n/, $node->safe_psql('postgres', q(SELECT format('SELECT * FROM %s.%I()', pronamespace::regnamespace, proname) FROM pg_proc WHERE pronamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace)
		AND prokind = 'f' AND pronargs = pronargdefaults AND prorettype <> 'trigger'::regtype AND proname NOT IN ('take_over', 'stay_copy', 'schedule_all') ORDER BY proname))),
	split(/\n/, $node->safe_psql('postgres', q(SELECT format('SELECT * FROM %s.%I', relnamespace::regnamespace, relname) FROM pg_class WHERE relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND relkind = 'v'
		ORDER BY relname))),
	(map { "SELECT * FROM pgmaint.dry_run('$_')" } qw(daily weekly monthly quarterly)),
	(map { ("SELECT * FROM pgmaint.table_bloat('$_')", "SELECT * FROM pgmaint.index_bloat('$_')", "SELECT * FROM pgmaint.dry_run('weekly', '{\"tables\": \"$_\"}')") } hostile_tables(), 'mallory.kept'),
	q(SELECT * FROM pgmaint.index_advice(min_calls => 1, min_mean_ms => 0, min_gain => 0.01, min_size => 0)),
	q(SELECT * FROM pgmaint.index_usage('0', 0)), q(SELECT * FROM pgmaint.degraded_queries(1.1, 1, 0)), q(SELECT * FROM pgmaint.slow_queries(order_by => 'mean')),
	q(SELECT * FROM pgmaint.list_objects('pgmaint_local')), q(SELECT * FROM pgmaint.check_storage('pgmaint_local')),
	q(SELECT * FROM pgmaint.list_backups('pgmaint_local')), q(SELECT * FROM pgmaint.adopt_backups('pgmaint_local')));
foreach my $role ($superuser, 'keeper')
{
	execute_statements();
	my ($status, $out, $error) = call($role, join(";\n", @calls) . ';');
	is($error =~ s/^(?!.*ERROR:).*\n?//mgr, '', "functions and views by $role: they answer");
	nothing_gained("functions and views by $role");
}

# What has left comes back: into a table of the caller's own, made as README says,
# and into the owner's.
foreach my $role ($superuser, 'keeper')
{
	my @archives = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', 'SELECT max(archive_id), relation FROM pgmaint.archives GROUP BY relation ORDER BY 2');

	as_role($node, $superuser, 'GRANT CREATE ON SCHEMA secret TO keeper');
	foreach my $archive (@archives)
	{
		my ($number, $relation) = @$archive;
		my $own = "secret.back_${number}_$role";

		$node->psql('postgres', "CREATE TABLE $own (LIKE $relation)", extra_params => [ '-U', $role ]);
		my ($status, $rows) = call($role, "SELECT pgmaint.restore_archive($number, '$own')");
		my $place = $offset;
		cmp_ok($rows || 0, '>', 0, "restore_archive() of $relation by $role: rows come back") if $relation =~ /^alice/;
		call($role, "SELECT pgmaint.restore_archive($number, '$relation')");
		$offset = $place;
		nothing_gained("restore_archive() of $relation by $role");
	}
	cmp_ok(scalar @archives, '>', 12, 'there are archives of most tables');
}

# A table that is another thing once the lock on it is given up.
foreach my $case (
	[ 'vacuum', '"analyze": "on"', 'TABLE' ], [ 'analyze', '"scope": "all"', 'VIEW' ], [ 'reindex', '"scope": "all"', 'TABLE' ],
	[ 'check_corruption', '"parent_check": "off"', 'TABLE' ], [ 'vacuum_full', '"min_gain": 0, "bloat_threshold": 0, "ignore_window": true', 'TABLE' ],
	[ 'retention', '"slice_size": "64 MB"', 'VIEW' ])
{
	my ($action, $options, $instead) = @$case;
	my $name = "mallory.swapped_$action";
	my $session = $node->background_psql('postgres', extra_params => [ '-U', 'mallory' ]);

	renew_rows($node);
	as_role($node, 'mallory', "CREATE TABLE $name AS SELECT * FROM mallory.plain; ALTER TABLE $name ADD PRIMARY KEY (id); CREATE INDEX ON $name (at); DELETE FROM $name WHERE n % 2 = 0");
	as_role($node, undef, "SELECT pgmaint.add_retention('$name', 'at', '1 year', storage => 'pgmaint_local')");
	my $relation = $node->safe_psql('postgres', "SELECT '$name'::regclass::oid");
	$session->query_safe("BEGIN; LOCK TABLE $name IN ACCESS EXCLUSIVE MODE");
	my (undef, $run) = call($superuser, "SELECT pgmaint.run_action('$action', '{\"tables\": [\"$name\", \"alice.orders\"], $options}')");
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = $relation AND NOT granted)
		OR EXISTS (SELECT FROM pgmaint.runs WHERE run_id = $run AND state NOT IN ('queued', 'running'))");
	$session->query_safe("ALTER TABLE $name RENAME TO away; ALTER INDEX ${name}_pkey RENAME TO away_pkey");
	$session->query_safe($instead eq 'VIEW' ? "CREATE VIEW $name AS SELECT mallory.trap('swapped view') AS id, now() AS at"
		: "CREATE TABLE $name (id int DEFAULT mallory.trap('swapped default'), n int, at timestamptz, filler text, CHECK (mallory.trap('swapped check', id) = id));
		CREATE UNIQUE INDEX " . $name =~ s/.*\.//r . "_pkey ON $name (mallory.trap('swapped index', id)); INSERT INTO $name SELECT * FROM mallory.away");
	$session->query_safe('COMMIT');
	wait_for_end($node, $run);
	nothing_gained("$action of a table that became a $instead");
	is( $node->safe_psql('postgres', "SELECT count(*) > 0, count(*) FILTER (WHERE state <> 'succeeded') FROM pgmaint.tasks WHERE run_id = $run AND target ~ '^alice[.]'"),
		't|0', "$action of a table that became a $instead: alice's is done")
		or diag $node->safe_psql('postgres', "SELECT state, error FROM pgmaint.tasks WHERE run_id = $run");
	$session->query_safe("DROP $instead $name; DROP TABLE mallory.away");
	$session->quit;
}

# The traps do spring, where PostgreSQL evaluates them as their owner.
my %sprung = map { /^\[(.*?)\] got \[\] in \[postgres\] as \[mallory\]/ ? ($1 => 1) : () } traps_that_ran($node, 0);
is( join(', ', grep { !$sprung{$_} } 'index', 'unique index', 'BRIN index', 'hash index', 'GIN index', 'constant in an index', 'predicate',
		'constant predicate', 'operator', 'operator class', 'statistics', 'constant statistics', 'subtype_diff', 'exclusion', 'condition',
		'BEFORE ROW', 'AFTER STATEMENT', 'deferred', 'index of a name', 'index of a partition', 'index of a materialized view'),
	'', 'the traps were sprung, as mallory');
no_processes_left($node, 'no process is left');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'nothing has crashed');

done_testing();
