/*-------------------------------------------------------------------------
 *
 * planted.c
 *	  Mistakes made on purpose.
 *
 * check-sanitizers makes them in the server that it has just started, and goes
 * on only when each of them is reported.  The volatile variables keep the
 * compiler from seeing them first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(planted_overflow);
PG_FUNCTION_INFO_V1(planted_shift);
PG_FUNCTION_INFO_V1(planted_uninitialised);
PG_FUNCTION_INFO_V1(planted_freed);

static volatile int eight = 8;

static pg_noinline void
write_at(volatile char *array, int place)
{
	array[place] = 1;
}

/* writes past the end of an array on the stack */
Datum
planted_overflow(PG_FUNCTION_ARGS)
{
	volatile char array[8];

	array[0] = 0;
	write_at(array, eight);
	PG_RETURN_INT32(array[0]);
}

/* shifts an int by more bits than it has */
Datum
planted_shift(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(1 << (eight * 8));
}

/* decides by what nobody has written */
Datum
planted_uninitialised(PG_FUNCTION_ARGS)
{
	volatile int *array = palloc(eight * sizeof(int));

	PG_RETURN_INT32(array[1] > 0 ? 1 : 2);
}

/* reads what was given back to its memory context */
Datum
planted_freed(PG_FUNCTION_ARGS)
{
	volatile int *array = palloc0(eight * sizeof(int));

	pfree((void *) array);
	PG_RETURN_INT32(array[1]);
}
