/*-------------------------------------------------------------------------
 *
 * pgmaint_test_releases.c
 *	  A session, or a server, that takes the server for one of another release.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(pretend_release);

PGDLLEXPORT void _PG_init(void);

/*
 * Preloaded: of the release that the environment names, for all processes.
 */
void
_PG_init(void)
{
	const char *release = getenv("PRETENDED_RELEASE");

	if (process_shared_preload_libraries_in_progress && release != NULL)
		SetConfigOption("server_version", release, PGC_INTERNAL,
						PGC_S_OVERRIDE);
}

/* pretend_release(release text) returns void: in this session */
Datum
pretend_release(PG_FUNCTION_ARGS)
{
	SetConfigOption("server_version", text_to_cstring(PG_GETARG_TEXT_PP(0)),
					PGC_INTERNAL, PGC_S_OVERRIDE);
	PG_RETURN_VOID();
}
