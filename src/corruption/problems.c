/*-------------------------------------------------------------------------
 *
 * problems.c
 *	  The problems that a check of a relation has found.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "corruption/problems.h"

/*
 * Does an ERROR mean damage on disk?  The server reports impossible data with
 * class XX, internal errors included, which is how damaged values mostly
 * appear.  A missing file is one of the relation, or of the transaction status,
 * unless it was a library to load.
 */
bool
may_be_damage(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_DATA_CORRUPTED:
		case ERRCODE_INDEX_CORRUPTED:
		case ERRCODE_INTERNAL_ERROR:
		case ERRCODE_IO_ERROR:
			return true;
		case ERRCODE_UNDEFINED_FILE:
			return error->filename == NULL ||
				   strstr(error->filename, "dfmgr.c") == NULL;
		default:
			return false;
	}
}

/*
 * The block number from the message of amcheck or the server: "tid=(3,4)",
 * "tuple (3,4)", "block 3", "Block=3".  The message itself is kept whole.
 */
static void
read_block(const char *message, Problem *problem)
{
	char *end;

	for (const char *at = strchr(message, '('); at != NULL;
		 at = strchr(at + 1, '('))
	{
		int64 block = strtol(at + 1, &end, 10);

		if (end == at + 1 || *end != ',')
			continue;
		problem->block = block;
		problem->offset = (int) strtol(end + 1, NULL, 10);
		return;
	}
	for (const char *at = message; *at != '\0'; at++)
	{
		int64 block;

		if (pg_strncasecmp(at, "block", 5) != 0 ||
			(at[5] != ' ' && at[5] != '='))
			continue;
		block = strtol(at + 6, &end, 10);
		if (end == at + 6)
			continue;
		problem->block = block;
		return;
	}
}

/*
 * Initialize a problem without known place.
 */
Problem *
next_problem(Problems *problems)
{
	Problem *problem;

	if (list_length(problems->first) >= MAX_PROBLEMS)
		return NULL;
	problem = palloc0(sizeof(Problem));
	problem->block = -1;
	problem->offset = -1;
	problem->attribute = -1;
	problems->first = lappend(problems->first, problem);
	return problem;
}

void
add_problem(Problems *problems, int64 block, const ErrorData *error)
{
	Problem *problem;

	problems->count++;
	problems->sqlstate = error->sqlerrcode;
	problem = next_problem(problems);
	if (problem == NULL)
		return;
	problem->message = error->detail == NULL
						   ? pstrdup(error->message)
						   : psprintf("%s; %s", error->message, error->detail);
	if (block >= 0)
		problem->block = block;
	else
		read_block(problem->message, problem);
}
