/*-------------------------------------------------------------------------
 *
 * rewrites.h
 *	  Detection of tables that were rewritten while pg_dump took its locks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_REWRITES_H
#define PGMAINT_REWRITES_H

#include "utils/hsearch.h"

#include "exec/programs.h"
#include "stream/dumpfile.h"

/*
 * The current files of all tables, read in a session of the role of the dump
 * with these settings.
 */
extern HTAB *read_table_files(const Login *login, const char *settings);

/*
 * before: the files that were read before pg_dump began.  Reads the files
 * again, after the table of contents has arrived, and raises an ERROR
 * (serialization failure) where a table whose rows are dumped has another
 * file.
 */
extern void check_rewrites(const Login *login, const char *settings,
						   const DumpFile *dump, HTAB *before);

#endif /* PGMAINT_REWRITES_H */
