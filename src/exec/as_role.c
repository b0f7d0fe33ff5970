/*-------------------------------------------------------------------------
 *
 * as_role.c
 *	  Work as another role, without lasting effects.
 *
 * Used to plan queries of other roles: in a security-restricted operation and in
 * a read-only subtransaction that is always rolled back, and only with functions
 * of owners that have the rights of the role (trusted.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "base/error_text.h"
#include "base/settings.h"
#include "base/subtransaction.h"
#include "exec/as_role.h"
#include "exec/trusted.h"

typedef struct RoleWork
{
	Oid role;
	const char *search_path;
	void (*work)(void *argument);
	void *argument;
} RoleWork;

static void
set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

void
become_restricted(Oid role)
{
	int security_context;
	Oid user;

	GetUserIdAndSecContext(&user, &security_context);
	SetUserIdAndSecContext(role, security_context |
									 SECURITY_RESTRICTED_OPERATION |
									 SECURITY_LOCAL_USERID_CHANGE);
}

static void
work_as_role(void *argument)
{
	const RoleWork *job = argument;

	XactReadOnly = true;
	PushActiveSnapshot(GetTransactionSnapshot());
	/* pgmaint's own limit, unless the session's is shorter */
	if (LockTimeout == 0 || LockTimeout > pgmaint_lock_timeout)
		set("lock_timeout", psprintf("%d", pgmaint_lock_timeout));
	/*
	 * Functions may execute queries while a statement is planned, and parallel
	 * workers do not know about trusted functions.  This does not change
	 * plans.
	 */
	set("max_parallel_workers", "0");
	become_restricted(job->role);
	/* other roles may have no part in the caller's temporary tables */
	set("search_path", strstr(job->search_path, "pg_temp") != NULL
						   ? job->search_path
						   : psprintf("%s, pg_temp", job->search_path));
	with_trusted_functions(job->work, job->argument);
}

char *
try_as_role(Oid role, const char *search_path, void (*work)(void *argument),
			void *argument)
{
	RoleWork job = {role, search_path, work, argument};
	ErrorData *error = try_and_undo(work_as_role, &job);

	if (error == NULL)
		return NULL;
	if (asks_to_stop(error) || ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
								   ERRCODE_INSUFFICIENT_RESOURCES)
		ReThrowError(error);
	return message_without_values(error);
}
