/*-------------------------------------------------------------------------
 *
 * trusted.c
 *	  Working with rights that nobody else's functions may get hold of.
 *
 * Planning a query calls functions: those that it folds into constants, those
 * behind operators that it estimates, input functions of types, checks of
 * domains.  Whoever owns one can put anything into it, and would then have it
 * executed with the rights of whoever plans.  A role takes that upon itself
 * when it executes a query, but not when pgmaint plans it later.  So a function
 * is called only if its owner has the rights of the current user anyway.
 *
 * The function manager asks at each call, whichever way it came about.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "exec/trusted.h"

static needs_fmgr_hook_type previous_needs_hook;
static fmgr_hook_type previous_hook;

static Oid
owner_of_function(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Which functions are to be asked about.  The answer may be kept for longer
 * than the current user stays the same, so it must not depend on that.
 * Functions for which it is true are not inlined.
 */
static bool
must_be_checked(Oid function)
{
	if (previous_needs_hook != NULL && previous_needs_hook(function))
		return true;
	return function >= FirstNormalObjectId &&
		   !superuser_arg(owner_of_function(function));
}

/*
 * A function with SECURITY DEFINER is called when its owner is the current
 * user already.
 */
static void
check_call(FmgrHookEventType event, FmgrInfo *function, Datum *private)
{
	if (event == FHET_START && function->fn_oid >= FirstNormalObjectId)
	{
		Oid owner = owner_of_function(function->fn_oid);

		if (!OidIsValid(owner) || !has_privs_of_role(owner, GetUserId()))
			ereport(
				ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("planning calls a function of a role that has not the "
						"rights of the role that executed the query"),
				 errdetail("It would call %s.",
						   get_func_name(function->fn_oid))));
	}
	if (previous_hook != NULL)
		previous_hook(event, function, private);
}

/*
 * Work under this rule.
 */
void
with_trusted_functions(void (*work)(void *argument), void *argument)
{
	previous_needs_hook = needs_fmgr_hook;
	previous_hook = fmgr_hook;
	PG_TRY();
	{
		needs_fmgr_hook = must_be_checked;
		fmgr_hook = check_call;
		work(argument);
	}
	PG_FINALLY();
	{
		needs_fmgr_hook = previous_needs_hook;
		fmgr_hook = previous_hook;
	}
	PG_END_TRY();
}
