/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  The identity of this database.
 *
 * A copy of a database has a copy of its ledger: the original, which continues,
 * may have done what the ledger records.  So a database has a random identity,
 * recorded with properties of the server.  If these have changed, this database
 * may be a copy: it gets a new identity and is in doubt, until a person decides
 * whether it is the successor or a copy.
 *
 * The caller is inside a ledger scope.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "base/locks.h"
#include "base/random.h"
#include "ledger/findings.h"
#include "ledger/identity.h"

#define IDENTITY_BYTES 16

/*
 * Properties that distinguish this database from others: the first four
 * decide, a change of the last two is only a finding.  Device numbers and
 * addresses are not among them: they change when a machine restarts.
 */
typedef struct Signs
{
	char *system_identifier;
	Oid database;
	int32 timeline;
	int64 directory_inode;
	char *machine_id; /* or NULL */
	char *host;		  /* the same */
} Signs;

static int64
data_directory_inode(void)
{
	struct stat status;

	if (stat(DataDir, &status) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat data directory \"%s\": %m", DataDir)));
	return (int64) status.st_ino;
}

/*
 * The operating system's own identifier, if it has one.
 */
static char *
machine_id(void)
{
	FILE *file = AllocateFile("/etc/machine-id", "r");
	char line[64];
	char *id = NULL;

	if (file == NULL)
		return NULL;
	if (fgets(line, sizeof(line), file) != NULL)
		id = pnstrdup(line, strcspn(line, "\n"));
	FreeFile(file);
	return id;
}

/*
 * The host name of the machine, or NULL.
 */
char *
host_name(void)
{
	char name[256];

	if (gethostname(name, sizeof(name)) != 0)
		return NULL;
	name[sizeof(name) - 1] = '\0';
	return pstrdup(name);
}

static void
read_signs(Signs *signs)
{
	LedgerQuery query = {0};

	(void) ledger_query(
		&query,
		"SELECT c.system_identifier::text, ('x' || pg_catalog.left("
		"pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))"
		"::pg_catalog.bit(32)::pg_catalog.int8 FROM pg_catalog.pg_control_system() c");
	signs->system_identifier = ledger_text(0, 1);
	signs->timeline = (int32) ledger_bigint(0, 2);
	signs->database = MyDatabaseId;
	signs->directory_inode = data_directory_inode();
	signs->machine_id = machine_id();
	signs->host = host_name();
}

/*
 * The signs as parameters $1 to $6.
 */
static void
bind_signs(LedgerQuery *query, const Signs *signs)
{
	bind_text(query, signs->system_identifier);
	bind_oid(query, signs->database);
	bind_integer(query, signs->timeline);
	bind_bigint(query, signs->directory_inode);
	bind_text(query, signs->machine_id);
	bind_text(query, signs->host);
}

/* the identity with the signs that bind_signs() has bound */
#define IDENTITY_OF_SIGNS                               \
	"pgmaint.identities i WHERE i.state = 'current' "   \
	"AND i.system_identifier = $1 AND i.database = $2 " \
	"AND i.timeline = $3 AND i.directory_inode = $4"

/*
 * The identity with these signs; NULL: none, or the signs have changed.  One
 * transaction records a change of the machine, and no other waits for it.
 */
static char *
find_by_signs(const Signs *signs)
{
	LedgerQuery query = {0};

	bind_signs(&query, signs);
	if (ledger_query(
			&query,
			"SELECT i.identity, i.machine_id IS DISTINCT FROM $5 OR i.host IS DISTINCT FROM $6 AS has_changed, "
			"pg_catalog.concat_ws(', ', "
			"CASE WHEN i.host IS DISTINCT FROM $6 THEN pg_catalog.format('host name was %s, now %s', "
			"coalesce(i.host, 'unknown'), coalesce($6, 'unknown')) END, "
			"CASE WHEN i.machine_id IS DISTINCT FROM $5 THEN pg_catalog.format('machine ID was %s, now %s', "
			"coalesce(i.machine_id, 'unknown'), coalesce($5, 'unknown')) END) AS changes "
			"FROM " IDENTITY_OF_SIGNS) == 0)
		return NULL;
	if (named_boolean(0, "has_changed"))
	{
		char *identity = named_text(0, "identity");
		char *message = psprintf("the machine of the server has changed: %s",
								 named_text(0, "changes"));

		if (ledger_query(
				&query,
				"UPDATE pgmaint.identities SET machine_id = $5, host = $6 WHERE identity IN ("
				"SELECT i.identity FROM " IDENTITY_OF_SIGNS
				" FOR NO KEY UPDATE SKIP LOCKED)") > 0)
			add_finding(0, 0, 0, "identity", "info", NULL, message, NULL);
		return identity;
	}
	return named_text(0, "identity");
}

/*
 * Why the identities in the ledger may belong to another database, or NULL if
 * there are none.  The last identity of this database comes first.
 */
static char *
explain_change(const Signs *signs)
{
	LedgerQuery query = {0};

	bind_signs(&query, signs);
	if (ledger_query(
			&query,
			"SELECT pg_catalog.concat_ws(', ', "
			"CASE WHEN i.system_identifier <> $1 THEN pg_catalog.format("
			"'system identifier was %s, now %s', i.system_identifier, $1) END, "
			"CASE WHEN i.database <> $2 THEN pg_catalog.format("
			"'OID of the database was %s, now %s', i.database, $2) END, "
			"CASE WHEN i.timeline <> $3 THEN pg_catalog.format("
			"'timeline was %s, now %s', i.timeline, $3) END, "
			"CASE WHEN i.directory_inode <> $4 THEN pg_catalog.format("
			"'inode of the data directory was %s, now %s', i.directory_inode, $4) END, "
			"CASE WHEN i.host <> $6 THEN pg_catalog.format("
			"'host name was %s, now %s', i.host, $6) END) "
			"FROM pgmaint.identities i WHERE i.state IN ('current', 'former') "
			"ORDER BY i.state = 'current' DESC, i.system_identifier = $1 AND i.database = $2 DESC, "
			"i.created_at DESC LIMIT 1") == 0)
		return NULL;
	return ledger_text(0, 1);
}

/*
 * Create an identity for this database.  With a doubt, all of its identities
 * so far become former ones; a doubt that only a person ends does so, too.
 */
static char *
create_identity(const Signs *signs, const char *doubt, bool until_told)
{
	LedgerQuery query = {0};
	LedgerQuery none = {0};
	char *identity = random_name(IDENTITY_BYTES);

	if (doubt != NULL &&
		ledger_query(&none, "SELECT FROM pgmaint.identities i "
							"WHERE i.state = 'current' AND i.until_told") > 0)
		until_told = true;
	(void) ledger_query(&none,
						"UPDATE pgmaint.identities SET state = 'former' "
						"WHERE state IN ('current', 'taken over')");
	bind_signs(&query, signs);
	bind_text(&query, identity);
	bind_text(&query, doubt);
	bind_boolean(&query, until_told);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.identities (identity, state, system_identifier, database, "
		"timeline, directory_inode, machine_id, host, doubt, doubt_since, until_told) "
		"VALUES ($7, 'current', $1, $2, $3, $4, $5, $6, $8, "
		"CASE WHEN $8 IS NOT NULL THEN pg_catalog.clock_timestamp() END, $9)");
	return identity;
}

/*
 * The identity of this database, created now if it has none.  NULL on a
 * standby, which cannot record one.
 */
char *
ensure_identity(void)
{
	Signs signs;
	char *identity;
	char *doubt;

	if (RecoveryInProgress())
		return NULL;
	read_signs(&signs);
	identity = find_by_signs(&signs);
	if (identity != NULL)
		return identity;
	lock_in_transaction(LOCK_IDENTITY, true);
	identity = find_by_signs(&signs);
	if (identity != NULL)
		return identity;
	doubt = explain_change(&signs);
	if (doubt != NULL)
		ereport(LOG,
				(errmsg("pgmaint: this database may be a copy: %s", doubt)));
	return create_identity(&signs, doubt, false);
}

/*
 * Start a doubt for another reason than the signs: a second database seems to
 * use the same identity, and a person must decide which one keeps it.
 */
void
begin_to_doubt(const char *doubt)
{
	Signs signs;

	lock_in_transaction(LOCK_IDENTITY, true);
	read_signs(&signs);
	ereport(LOG, (errmsg("pgmaint: this database may be a copy: %s", doubt)));
	(void) create_identity(&signs, doubt, true);
}

/*
 * Start a doubt because a database whose identity was taken over is alive.
 */
void
doubt_what_was_taken_over(const char *identity, const char *doubt)
{
	LedgerQuery query = {0};

	lock_in_transaction(LOCK_IDENTITY, true);
	bind_text(&query, identity);
	bind_text(&query, doubt);
	ereport(LOG, (errmsg("pgmaint: this database may be a copy: %s", doubt)));
	(void) ledger_query(
		&query,
		"WITH given_back AS (UPDATE pgmaint.identities SET state = 'former' "
		"WHERE identity = $1 AND state = 'taken over') "
		"UPDATE pgmaint.identities SET doubt = $2, until_told = true, "
		"doubt_since = pg_catalog.clock_timestamp() "
		"WHERE identity = pgmaint_internal.current_identity() AND doubt IS NULL");
}

/*
 * While this database is in doubt, record that the original is alive.
 */
void
note_former_seen(void)
{
	LedgerQuery query = {0};

	lock_in_transaction(LOCK_IDENTITY, true);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint.identities SET former_seen_at = pg_catalog.clock_timestamp() "
		"WHERE identity = pgmaint_internal.current_identity()");
}

/*
 * The identity of this database, NULL if it has none yet.
 */
char *
known_identity(void)
{
	LedgerQuery query = {0};

	(void) ledger_query(&query, "SELECT pgmaint_internal.current_identity()");
	return ledger_text(0, 1);
}

/*
 * The part of the identity that is part of keys, which keeps keys of databases
 * apart.
 */
char *
identity_tag(void)
{
	char *identity = known_identity();

	return identity == NULL ? pstrdup("new")
							: pnstrdup(identity, IDENTITY_TAG_LENGTH);
}

/*
 * Why this database may be a copy, for a person; NULL: it is not in doubt.
 */
char *
current_doubt(void)
{
	LedgerQuery query = {0};

	if (ledger_query(&query, "SELECT pgmaint_internal.doubt_message(i.doubt) "
							 "FROM pgmaint_internal.own_identities i "
							 "WHERE i.state = 'current'") == 0)
		return NULL;
	return ledger_text(0, 1);
}

bool
is_own_identity(const char *identity)
{
	LedgerQuery query = {0};

	bind_text(&query, identity);
	return ledger_query(&query,
						"SELECT FROM pgmaint_internal.own_identities i "
						"WHERE i.identity = $1") > 0;
}

/*
 * The same, also for identities from before this database was in doubt.
 */
bool
was_own_identity(const char *identity)
{
	LedgerQuery query = {0};

	bind_text(&query, identity);
	return is_own_identity(identity) ||
		   ledger_query(&query,
						"SELECT FROM pgmaint.identities i "
						"WHERE i.identity = $1 AND i.state = 'former'") > 0;
}

/*
 * Record the doubt as a finding of each run, as long as it lasts.
 */
void
note_doubt(int64 run_id)
{
	char *doubt = current_doubt();

	if (doubt != NULL)
		add_finding(run_id, 0, 0, "identity", "warning", NULL, doubt, NULL);
}
