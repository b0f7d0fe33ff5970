/*-------------------------------------------------------------------------
 *
 * verifications.h
 *	  What users ask a restored backup for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_VERIFICATIONS_H
#define PGMAINT_VERIFICATIONS_H

#include "backup/restorable.h"
#include "exec/programs.h"

typedef struct Questioning
{
	/* given */
	const Login *login; /* of the role that the dump was restored as */
	const char *settings;
	const BackupDescription *description;
	bool left_out;	 /* was anything of the dump not restored? */
	int64 backup_id; /* 0: the ledger does not know it */
	int64 run_id;
	int64 task_id;
	/* found */
	List *answers;
	char *refusal; /* why the backup is not restorable, or NULL */
	char *trouble; /* what was not answered, and says nothing about it, or
					  NULL */
} Questioning;

/*
 * In a transaction.  Executes the verifications of the backup's database, each in
 * a session of its own; none for a part of a database.
 */
extern void ask_verifications(Questioning *questioning);

/*
 * Outside of any transaction.  Raises an ERROR for what was not answered, unless
 * the backup was found not restorable.
 */
extern void record_answers(const Questioning *questioning, Oid extension);

#endif /* PGMAINT_VERIFICATIONS_H */
