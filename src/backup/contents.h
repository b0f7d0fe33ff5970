/*-------------------------------------------------------------------------
 *
 * contents.h
 *	  The contents of a dump, for its manifest.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CONTENTS_H
#define PGMAINT_CONTENTS_H

#include "stream/dumpfile.h"

/*
 * A JSON object: tables, indexes, constraints, sequences, counts, secrets, and
 * excluded: entries that were left out of the dump.
 */
extern char *describe_contents(const DumpFile *dump, List *excluded);

#endif /* PGMAINT_CONTENTS_H */
