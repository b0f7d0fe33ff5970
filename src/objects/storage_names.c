/*-------------------------------------------------------------------------
 *
 * storage_names.c
 *	  The names by which the ledger knows storages, when servers are renamed.
 *
 * The ledger names storages by the names of their foreign servers, since a dump
 * keeps those and not the OIDs.  So that ALTER SERVER ... RENAME loses nothing,
 * pgmaint_internal.storage_names, which is never dumped, keeps the OID of each server as
 * long as the cluster and the database are the same: rows of the ledger follow a
 * server that has another name now.
 *
 * They follow the same server only, whose url its owner could have changed
 * anyway.  Rows under a name that another server has taken are set aside, by
 * another name that no server has: archives and backups of two storages must
 * not be mixed up, and no role may receive data for the storage of another
 * role by giving a server its name.  The name alone counts for a server that
 * is new to this database, unless the name belonged to a server of another
 * owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/locks.h"
#include "base/random.h"
#include "ledger/findings.h"
#include "objects/storage_names.h"

/*
 * Uploads come first: the transaction that writes an archive has its upload
 * locked, and the statements after the wait for that lock see the archive.
 */
static const char *const tables[] = {"pgmaint.archives",
									 "pgmaint.retention_policies",
									 "pgmaint.storage_checks",
									 "pgmaint_internal.uploads",
									 "pgmaint_internal.backup_records",
									 "pgmaint_internal.owner_records"};

/* storages, as s; names that are known of this database, as n */
#define SERVERS "(SELECT s.oid, s.srvname, s.srvowner FROM " STORAGES ") s"
#define NAMES                                                                     \
	"(SELECT n.storage, n.server, n.owner FROM pgmaint_internal.storage_names n " \
	"WHERE n.system_identifier = $1 AND n.database = $2) n"
#define BETWEEN_BYTES 16
#define OF_THIS_DATABASE "n.system_identifier = $1 AND n.database = $2"

typedef struct Renaming
{
	Oid server;
	Oid owner;
	char *from;
	char *to;
	char *between; /* while others are renamed */
	bool found;	   /* the ledger has rows under the old or the new name */
} Renaming;

/*
 * This database as parameters $1 and $2.
 */
static void
bind_database(LedgerQuery *query)
{
	bind_text(query, psprintf(UINT64_FORMAT, GetSystemIdentifier()));
	bind_oid(query, MyDatabaseId);
}

static bool
is_settled(void)
{
	LedgerQuery query = {0};

	bind_database(&query);
	return ledger_query(
			   &query,
			   "SELECT FROM " SERVERS " FULL JOIN " NAMES
			   " ON n.server = s.oid AND n.storage = s.srvname "
			   "AND n.owner = s.srvowner "
			   "WHERE s.oid IS NULL AND n.server <> 0 OR n.storage IS NULL "
			   "LIMIT 1") == 0;
}

/*
 * Give the rows of the ledger under one name another one, steps of plans too;
 * false if there are none.
 */
static bool
rename_in_ledger(const char *from, const char *to)
{
	LedgerQuery query = {0};
	bool found = false;

	bind_text(&query, from);
	bind_text(&query, to);
	for (int i = 0; i < lengthof(tables); i++)
		found |=
			ledger_query_once(
				&query,
				psprintf("UPDATE %s SET storage = $2::pg_catalog.name "
						 "WHERE storage = $1::pg_catalog.name RETURNING 1",
						 tables[i])) > 0;
	found |=
		ledger_query(
			&query,
			"UPDATE pgmaint.plan_definitions d SET steps = ("
			"SELECT pg_catalog.jsonb_agg(CASE WHEN s.value #>> '{options,storage}' = $1 "
			"THEN pg_catalog.jsonb_set(s.value, '{options,storage}', pg_catalog.to_jsonb($2)) "
			"ELSE s.value END ORDER BY s.ordinality) "
			"FROM pg_catalog.jsonb_array_elements(d.steps) WITH ORDINALITY s) "
			"WHERE EXISTS (SELECT FROM pg_catalog.jsonb_array_elements(d.steps) e "
			"WHERE e.value #>> '{options,storage}' = $1) RETURNING 1") > 0;
	return found;
}

/*
 * Give rows of the ledger another name when their storage's name belongs to
 * another server now.  The new name belongs to the owner of the old one.
 */
static void
set_aside(const char *name)
{
	LedgerQuery query = {0};
	char *suffix =
		psprintf(" (former, %s)", timestamptz_to_str(GetCurrentTimestamp()));
	int room = NAMEDATALEN - 1 - (int) strlen(suffix);
	char *aside = psprintf(
		"%.*s%s", pg_mbcliplen(name, (int) strlen(name), Max(room, 0)), name,
		suffix);

	bind_database(&query);
	bind_text(&query, name);
	if (!rename_in_ledger(name, aside))
	{
		(void) ledger_query(
			&query,
			"DELETE FROM pgmaint_internal.storage_names n WHERE " OF_THIS_DATABASE
			" AND n.storage = $3::pg_catalog.name");
		return;
	}
	bind_text(&query, aside);
	bind_oid(&query, BOOTSTRAP_SUPERUSERID);
	if (ledger_query(
			&query, "UPDATE pgmaint_internal.storage_names n "
					"SET storage = $4::pg_catalog.name WHERE " OF_THIS_DATABASE
					" AND n.storage = $3::pg_catalog.name RETURNING 1") == 0)
		(void) ledger_query(
			&query,
			"INSERT INTO pgmaint_internal.storage_names VALUES ($1, $2, $4, 0, $5)");
	add_finding(
		0, 0, 0, "storage_renamed", "info", aside,
		psprintf(
			"storage \"%s\" is another foreign server now: policies, archives and backups of the former one are kept under the name \"%s\"",
			name, aside),
		NULL);
}

static void
note_server(Oid server, const char *name, Oid owner)
{
	LedgerQuery query = {0};

	bind_database(&query);
	bind_text(&query, name);
	bind_oid(&query, server);
	bind_oid(&query, owner);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.storage_names VALUES ($1, $2, $3, $4, $5) "
		"ON CONFLICT (system_identifier, database, storage) "
		"DO UPDATE SET server = $4, owner = $5");
}

/*
 * List the servers that were renamed.
 */
static List *
find_renamings(void)
{
	LedgerQuery query = {0};
	List *renamings = NIL;
	uint64 rows;

	bind_database(&query);
	rows = ledger_query(
		&query,
		"SELECT s.oid AS server, s.srvowner AS owner, n.storage::text AS known_name, "
		"s.srvname::text AS name FROM " SERVERS " JOIN " NAMES
		" ON n.server = s.oid AND n.storage <> s.srvname "
		"ORDER BY s.oid");
	for (uint64 row = 0; row < rows; row++)
	{
		Renaming *renaming = palloc0(sizeof(Renaming));

		renaming->server = named_oid(row, "server");
		renaming->owner = named_oid(row, "owner");
		renaming->from = named_text(row, "known_name");
		renaming->to = named_text(row, "name");
		/* a name that no server has */
		renaming->between = random_name(BETWEEN_BYTES);
		renamings = lappend(renamings, renaming);
	}
	return renamings;
}

/*
 * Names may have been swapped: all rows get an intermediate name first.  A
 * server without rows in the ledger counts as new.
 */
static void
follow_renamings(List *renamings)
{
	LedgerQuery forget = {0};
	ListCell *cell;

	if (renamings == NIL)
		return;
	bind_database(&forget);
	(void) ledger_query(
		&forget, "DELETE FROM pgmaint_internal.storage_names n USING " SERVERS
				 " WHERE " OF_THIS_DATABASE
				 " AND n.server = s.oid AND n.storage <> s.srvname");
	foreach (cell, renamings)
	{
		Renaming *renaming = lfirst(cell);

		renaming->found = rename_in_ledger(renaming->from, renaming->between);
	}
	foreach (cell, renamings)
	{
		Renaming *renaming = lfirst(cell);

		if (!renaming->found)
			continue;
		set_aside(renaming->to);
		note_server(renaming->server, renaming->to, renaming->owner);
		(void) rename_in_ledger(renaming->between, renaming->to);
		add_finding(
			0, 0, 0, "storage_renamed", "info", renaming->to,
			psprintf(
				"storage \"%s\" was renamed to \"%s\"; policies, archives and backups use the new name now",
				renaming->from, renaming->to),
			NULL);
	}
}

/*
 * The name of a server that is gone counts for a new one of the same owner or of
 * a superuser.
 */
static void
note_new_servers(void)
{
	LedgerQuery query = {0};
	List *renamings = NIL;
	ListCell *cell;
	uint64 rows;

	bind_database(&query);
	rows = ledger_query(
		&query,
		"SELECT s.oid AS server, s.srvowner AS owner, s.srvname::text AS name, "
		"f.owner IS NOT NULL AND f.owner <> s.srvowner AND NOT r.rolsuper AS is_of_another FROM " SERVERS
		" JOIN pg_catalog.pg_roles r ON r.oid = s.srvowner LEFT JOIN " NAMES
		" ON n.server = s.oid LEFT JOIN pgmaint_internal.storage_names f "
		"ON f.system_identifier = $1 AND f.database = $2 AND f.storage = s.srvname "
		"WHERE n.storage IS NULL");
	for (uint64 row = 0; row < rows; row++)
	{
		Renaming *renaming = palloc0(sizeof(Renaming));

		renaming->server = named_oid(row, "server");
		renaming->owner = named_oid(row, "owner");
		renaming->to = named_text(row, "name");
		renaming->found = named_boolean(row, "is_of_another");
		renamings = lappend(renamings, renaming);
	}
	foreach (cell, renamings)
	{
		const Renaming *renaming = lfirst(cell);

		if (renaming->found)
			set_aside(renaming->to);
		note_server(renaming->server, renaming->to, renaming->owner);
	}
}

/*
 * Make the ledger name storages as their servers are named now.  The name of a
 * server that is gone stays known, with its owner but without the OID, which
 * another server may get.  Callers that must not wait, such as tick(), leave
 * it to the next run when another session is doing it, or when tasks have
 * their uploads locked.
 */
void
follow_storage_names(bool wait)
{
	LedgerQuery query = {0};
	LedgerQuery none = {0};

	if (RecoveryInProgress() || XactReadOnly || is_settled())
		return;
	if (!wait && ledger_query(&none, "SELECT FROM pgmaint.runs r WHERE "
									 "r.state = 'running' LIMIT 1") > 0)
		return;
	if (wait)
		lock_in_transaction(LOCK_STORAGE_NAMES, true);
	else if (!try_lock_in_transaction(LOCK_STORAGE_NAMES))
		return;
	if (is_settled())
		return;
	bind_database(&query);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint_internal.storage_names n SET server = 0 "
		"WHERE " OF_THIS_DATABASE " AND n.server <> 0 "
		"AND NOT EXISTS (SELECT FROM " SERVERS " WHERE s.oid = n.server)");
	follow_renamings(find_renamings());
	note_new_servers();
	(void) ledger_query(
		&query,
		"UPDATE pgmaint_internal.storage_names n SET owner = s.srvowner "
		"FROM " SERVERS " WHERE " OF_THIS_DATABASE
		" AND s.oid = n.server AND s.srvowner <> n.owner");
}

/*
 * A task was planned for the name of a storage, and records its results under
 * that name.  It fails where another server has that name now, or the storage
 * has another name; the next run looks up the names again.
 */
void
refuse_renamed_storage(const char *storage)
{
	LedgerQuery query = {0};

	bind_database(&query);
	bind_text(&query, storage);
	if (ledger_query(&query,
					 "SELECT FROM " SERVERS " JOIN " NAMES
					 " ON (s.oid = n.server) <> (s.srvname = n.storage) "
					 "WHERE $3::pg_catalog.name IN (s.srvname, n.storage)") ==
		0)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_UNDEFINED_OBJECT),
		 errmsg("storage \"%s\" was renamed or replaced during the run",
				storage),
		 errhint(
			 "Start the run again: a run looks up the names of storages when it begins.")));
}
