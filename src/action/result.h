/*-------------------------------------------------------------------------
 *
 * result.h
 *	  Fields of a task's result, from which its outcome is described.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RESULT_H
#define PGMAINT_RESULT_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/*
 * Figures that reports add up over the tasks of a step have the same keys in
 * the results of all actions.
 */
#define RETURNED_BYTES "returned_bytes" /* to the file system */
#define DELETED_ROWS "deleted_rows"		/* on purpose, by age */
#define ARCHIVED_BYTES "archived_bytes" /* size of the objects written */
/* the difference of these was removed by VACUUM */
#define DEAD_ROWS_BEFORE "dead_rows_before"
#define DEAD_ROWS_AFTER "dead_rows_after"

extern bool result_has(Jsonb *result, const char *name);
extern int64 result_number(Jsonb *result, const char *name);
extern double result_fraction(Jsonb *result, const char *name);
extern bool result_flag(Jsonb *result, const char *name);
extern char *result_text(Jsonb *result, const char *name);

extern void add_phrase(StringInfo phrases, const char *phrase);

/* describes these figures, unless they are zero */
extern void add_removed_rows(StringInfo phrases, Jsonb *result);
extern void add_returned_bytes(StringInfo phrases, Jsonb *result);

#endif /* PGMAINT_RESULT_H */
