/*-------------------------------------------------------------------------
 *
 * random.c
 *	  Random names, unique across databases and servers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port.h"
#include "utils/builtins.h"

#include "base/random.h"

/*
 * That many random bytes, in hexadecimal.
 */
char *
random_name(int bytes)
{
	char *random = palloc(bytes);
	char *name = palloc(2 * bytes + 1);

	if (!pg_strong_random(random, bytes))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not generate a random name")));
	name[hex_encode(random, bytes, name)] = '\0';
	pfree(random);
	return name;
}
