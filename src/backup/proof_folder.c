/*-------------------------------------------------------------------------
 *
 * proof_folder.c
 *	  The folders of private servers, and their removal.
 *
 * A folder has a random name.  Before it is created, a row in
 * pgmaint_internal.proof_servers is committed, and the row is deleted only
 * after the folder is removed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"

#include "backup/own_rows.h"
#include "backup/proof.h"
#include "base/random.h"
#include "base/settings.h"
#include "ledger/ledger.h"

/* a copy of this data directory also has rows of the original */
#define OWN_ROWS    \
	OF_OWN_IDENTITY \
	" AND s.data_directory = pg_catalog.current_setting('data_directory')"

/* the name of a folder; a row with another name is ignored */
#define FOLDER_PREFIX "pgmaint_proof_"
#define OWN_FOLDERS "s.folder ~ '/" FOLDER_PREFIX "[0-9a-f]+$'"

#define NAME_BYTES 6

/*
 * pg_basebackup and pg_rewind would copy a private server in the data
 * directory.
 */
static void
refuse_data_directory(const char *directory)
{
	char real[PATH_MAX];
	char data[PATH_MAX];

	if (realpath(directory, real) == NULL || realpath(DataDir, data) == NULL ||
		(strcmp(real, data) != 0 && !path_is_prefix_of_path(data, real)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("folder \"%s\" is in the data directory", directory),
			 errhint("Set pgmaint.proof_directory to a folder outside of the "
					 "data directory.")));
}

/*
 * The default is the parent of the real data directory: DataDir may be a
 * symbolic link.
 */
char *
proof_directory(void)
{
	char *directory;

	if (pgmaint_proof_directory != NULL && pgmaint_proof_directory[0] != '\0')
		directory = pstrdup(pgmaint_proof_directory);
	else
	{
		char real[PATH_MAX];

		directory = pstrdup(realpath(DataDir, real) != NULL ? real : DataDir);
		get_parent_directory(directory);
	}
	canonicalize_path(directory);
	refuse_data_directory(directory);
	return directory;
}

Proof *
note_proof(int64 task_id, int64 min_free)
{
	Proof *proof = palloc0(sizeof(Proof));
	LedgerQuery query = {0};

	proof->folder = psprintf("%s/" FOLDER_PREFIX "%s", proof_directory(),
							 random_name(NAME_BYTES));
	proof->min_free = min_free;
	check_private_folder(proof->folder);
	bind_text(&query, proof->folder);
	bind_bigint(&query, task_id);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.proof_servers (folder, data_directory, task_id) "
		"VALUES ($1, pg_catalog.current_setting('data_directory'), $2)");
	return proof;
}

/*
 * The folder is removed first, then its row.
 */
static void
end_proofs(List *folders, Oid extension)
{
	ListCell *cell;

	foreach (cell, folders)
	{
		LedgerQuery query = {0};
		LedgerScope scope;

		if (!remove_private_folder(lfirst(cell)))
			continue;
		ledger_begin(&scope, extension);
		bind_text(&query, lfirst(cell));
		(void) ledger_query(
			&query,
			"DELETE FROM pgmaint_internal.proof_servers WHERE folder = $1");
		ledger_commit(&scope);
	}
}

static List *
read_folders(uint64 rows)
{
	List *folders = NIL;

	for (uint64 row = 0; row < rows; row++)
		folders = lappend(folders, ledger_text(row, 1));
	return folders;
}

void
end_proofs_of_task(int64 task_id, Oid extension)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	List *folders;

	watch_children(NULL);
	ledger_begin(&scope, extension);
	bind_bigint(&query, task_id);
	folders = read_folders(ledger_query(
		&query, "SELECT s.folder FROM pgmaint_internal.proof_servers s "
				"WHERE s.task_id = $1 AND " OWN_ROWS " AND " OWN_FOLDERS));
	ledger_commit(&scope);
	end_proofs(folders, extension);
}

void
end_proofs_left(Oid extension)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	List *folders;

	ledger_begin(&scope, extension);
	folders = read_folders(ledger_query(
		&query, "SELECT s.folder FROM pgmaint_internal.proof_servers s "
				"WHERE " OWN_ROWS " AND " OWN_FOLDERS " AND " TASK_IS_OVER));
	ledger_commit(&scope);
	end_proofs(folders, extension);
}
