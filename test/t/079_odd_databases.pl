# X
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PgmaintBackups;
use PgmaintTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('odd', q(pgmaint.max_wait = '2s'));
my ($state, $error, $run);
$node->safe_psql('postgres', 'CREATE DATABASE liar');
$node->safe_psql('liar', q{
	CREATE FUNCTION lie(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $f$
	BEGIN
		IF pg_catalog.current_database() !~ '^pgmaint_' THEN RETURN true; END IF;
		RAISE NOTICE E'\npg_restore: from TOC entry 1; ';
		RAISE EXCEPTION 'could not extend file: No space left on device';
	END $f$;
	CREATE TABLE l (i int CHECK (lie(i)));
	INSERT INTO l VALUES (1);
});
backup_by_hand($node, 'liar', 'daily/liar.dump.gz', unknown => 1);
($state, $error) = run_backup_action($node, 'verify_backup', '{"storage": "pgmaint_local", "key": "daily/liar.dump.gz"}');
like("$state $error", qr/^failed not restorable: pg_restore: .*No space left on device/s, 'rows that are refused with an invented error are not restorable');
$node->safe_psql('postgres', 'CREATE DATABASE forged');
my $comment = "COMMENT ON TABLE public.c IS '" . ('x' x 300) . "';";
$node->safe_psql('forged', "CREATE TABLE c (i int); $comment");
for my $forged (
	"DO \$\$ BEGIN RAISE EXCEPTION 'server closed the connection unexpectedly'; END \$\$;",
	"\\! touch $PostgreSQL::Test::Utils::tmp_check/evidence",
)
{
	backup_by_hand($node, 'forged', 'daily/forged.dump.gz', unknown => 1, instead => [ $comment, $forged ]);
	($state, $error) = run_backup_action($node, 'verify_backup', '{"storage": "pgmaint_local", "key": "daily/forged.dump.gz"}');
	like("$state $error", $forged =~ /PREPARE/ ? qr/^succeeded / : qr/^failed not restorable: pg_restore: error: /, "forged: $forged");
	is(databases_left($node), '0|0|0', '... and nothing is left');
}
ok(!-e "$PostgreSQL::Test::Utils::tmp_check/evidence", 'no program was started');
done_testing();
