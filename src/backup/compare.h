/*-------------------------------------------------------------------------
 *
 * compare.h
 *	  Comparison of a restored database with the manifest of its backup.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_COMPARE_H
#define PGMAINT_COMPARE_H

#include "backup/restorable.h"
#include "exec/programs.h"

/* number of differences that are named */
#define NAMED_DIFFERENCES 10

typedef struct Comparison
{
	/* given */
	const Login *login;
	const char *settings;
	const BackupDescription *description;
	const char *left_out; /* JSON, of EntryChoice */
	bool amcheck;
	/* found */
	int64 tables;
	int64 rows;
	int64 indexes;
	int64 constraints;
	int64 sequences;
	int64 checked_indexes;	  /* -1: none was */
	int64 milliseconds;		  /* without the check of indexes */
	int64 check_milliseconds; /* of that */
	char *differences;		  /* NULL: there are none */
} Comparison;

/* in a transaction; runs no code of the database, except through amcheck */
extern void compare_with_manifest(Comparison *comparison);

#endif /* PGMAINT_COMPARE_H */
