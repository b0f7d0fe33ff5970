/*-------------------------------------------------------------------------
 *
 * wording.c
 *	  Sizes and durations, for a person.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "base/wording.h"

/*
 * As pg_size_pretty() says it.
 */
char *
size_text(int64 bytes)
{
	return text_to_cstring(DatumGetTextPP(
		DirectFunctionCall1(pg_size_pretty, Int64GetDatum(bytes))));
}

char *
duration_text(int64 milliseconds)
{
	int64 seconds = milliseconds / 1000;

	if (seconds < 60)
		return psprintf("%.1f s", (double) milliseconds / 1000);
	if (seconds < 3600)
		return psprintf("%d min %02d s", (int) (seconds / 60),
						(int) (seconds % 60));
	return psprintf("%lld h %02d min", (long long) seconds / 3600,
					(int) (seconds / 60 % 60));
}
