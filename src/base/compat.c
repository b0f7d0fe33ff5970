/*-------------------------------------------------------------------------
 *
 * compat.c
 *	  Functions that older servers lack, or have with other arguments.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/relcache.h"
#include "utils/tuplestore.h"

#include "base/compat.h"

/* for each fix, the first minor release with it, of 14, 15 and so on */
#define FIXED_MAJORS 4
static const int fixed_releases[][FIXED_MAJORS] = {
	[FIX_MAINTENANCE_AS_OWNER] = {3, 0, 0, 0},
	[FIX_DUMP_OF_REPLACED_TABLES] = {13, 8, 4, 0},
	[FIX_COMMANDS_IN_DUMPS] = {19, 14, 10, 6},
};

/*
 * Returns the release to update to; NULL if the server has the fix.  This
 * looks at the running server, not at the headers that pgmaint was built with.
 */
char *
find_missing_fix(ReleaseFix fix)
{
	const char *release = GetConfigOption("server_version", false, false);
	char *rest;
	int major = (int) strtol(release, &rest, 10);
	int minor = *rest == '.' ? (int) strtol(rest + 1, NULL, 10) : 0;

	if (major < 14 || major >= 14 + FIXED_MAJORS ||
		minor >= fixed_releases[fix][major - 14])
		return NULL;
	return psprintf("%d.%d", major, fixed_releases[fix][major - 14]);
}

#ifndef materialize_result

/*
 * Make a set-returning function return a tuplestore.
 */
void
materialize_result(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext previous;
	TupleDesc descriptor;

	if (result == NULL || !IsA(result, ReturnSetInfo) ||
		(result->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("set-valued function called in context that "
							   "cannot accept a set")));
	previous = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	result->returnMode = SFRM_Materialize;
	result->setResult = tuplestore_begin_heap(false, false, work_mem);
	result->setDesc = descriptor;
	MemoryContextSwitchTo(previous);
}

#endif

#ifndef relation_publishes_updates

bool
relation_publishes_updates(Relation relation)
{
	PublicationDesc description;

	RelationBuildPublicationDesc(relation, &description);
	return description.pubactions.pubupdate;
}

#endif
