/*-------------------------------------------------------------------------
 *
 * contents.h
 *	  What a dump holds, for its manifest.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CONTENTS_H
#define PGMAINT_CONTENTS_H

#include "stream/dumpfile.h"

/* a JSON object: tables, indexes, constraints, sequences, counts */
extern char *describe_contents(const DumpFile *dump);

#endif /* PGMAINT_CONTENTS_H */
