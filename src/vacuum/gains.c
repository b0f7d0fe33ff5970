/*-------------------------------------------------------------------------
 *
 * gains.c
 *	  What VACUUM and ANALYZE did for a table, in words.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "action/result.h"
#include "base/wording.h"
#include "vacuum/gains.h"

/* a transaction ID age that was lowered by less is not reported */
#define TELLING_AGE 1000000

char *
describe_gains(const ClaimedTask *task, Jsonb *result)
{
	StringInfoData words;
	int64 age_before = result_number(result, "xid_age_before");
	int64 age_after = result_number(result, "xid_age_after");

	initStringInfo(&words);
	add_removed_rows(&words, result);
	add_returned_bytes(&words, result);
	if (age_before - age_after >= TELLING_AGE)
		add_phrase(&words,
				   psprintf("transaction ID age lowered from %s to %s",
							count_text(age_before), count_text(age_after)));
	if (result_flag(result, "analyzed"))
		add_phrase(&words, "statistics renewed");
	return words.data;
}
