/*-------------------------------------------------------------------------
 *
 * evidence.c
 *	  Fields of the evidence that the plan recorded for a task.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "action/evidence.h"
#include "action/option_values.h"

/*
 * NULL if there is no such field.
 */
char *
evidence_text(const ClaimedTask *task, const char *name)
{
	return json_string(task->evidence, name);
}

int64
evidence_number(const ClaimedTask *task, const char *name, int64 otherwise)
{
	JsonbValue *value = json_field(task->evidence, name);

	if (value == NULL || value->type != jbvNumeric)
		return otherwise;
	return DatumGetInt64(DirectFunctionCall1(
		numeric_int8, NumericGetDatum(value->val.numeric)));
}

/*
 * Is the field there, and true?
 */
bool
evidence_flag(const ClaimedTask *task, const char *name)
{
	return json_flag(task->evidence, name);
}
