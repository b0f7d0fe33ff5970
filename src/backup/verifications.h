/*-------------------------------------------------------------------------
 *
 * verifications.h
 *	  Executing the queries of verifications in a restored backup.
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
	char *refusal;	  /* why the backup is not restorable, or NULL */
	char *unanswered; /* queries without an answer that do not count against
						 the backup, or NULL */
} Questioning;

/*
 * In a transaction.  Executes the verifications of the backed-up database,
 * each in a separate session; none for a backup of a part.
 */
extern void ask_verifications(Questioning *questioning);

/*
 * Outside of any transaction.  Raises an ERROR for unanswered queries, unless
 * the backup was found not restorable.
 */
extern void record_answers(const Questioning *questioning, Oid extension);

#endif /* PGMAINT_VERIFICATIONS_H */
