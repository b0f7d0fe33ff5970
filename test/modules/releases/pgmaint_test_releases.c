/*-------------------------------------------------------------------------
 *
 * pgmaint_test_releases.c
 *	  A session that takes its server for one of another release.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(pretend_release);

/* pretend_release(release text) returns void: in this session */
Datum
pretend_release(PG_FUNCTION_ARGS)
{
	SetConfigOption("server_version", text_to_cstring(PG_GETARG_TEXT_PP(0)),
					PGC_INTERNAL, PGC_S_OVERRIDE);
	PG_RETURN_VOID();
}
