/*-------------------------------------------------------------------------
 *
 * rewrites.h
 *	  Has a table been written anew while pg_dump took its locks?
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_REWRITES_H
#define PGMAINT_REWRITES_H

#include "utils/hsearch.h"

#include "exec/programs.h"
#include "stream/dumpfile.h"

/*
 * The files of all tables as they are now, by a session of the dump's role with
 * these settings.
 */
extern HTAB *read_table_files(const Login *login, const char *settings);

/*
 * before: read before pg_dump began.  Reads them again, once the table of
 * contents is there, and raises an ERROR (serialization failure) where a table
 * whose rows are dumped is not the one that it was.
 */
extern void check_rewrites(const Login *login, const char *settings,
						   const DumpFile *dump, HTAB *before);

#endif /* PGMAINT_REWRITES_H */
