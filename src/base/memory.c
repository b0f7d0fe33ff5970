/*-------------------------------------------------------------------------
 *
 * memory.c
 *	  The amount of memory that the server may use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "fmgr.h"
#include "storage/fd.h"

PG_FUNCTION_INFO_V1(pgmaint_memory_of_machine);

/*
 * The number that a file contains; -1 if there is none, as in a control group
 * without a limit.
 */
static int64
number_in_file(const char *path)
{
	FILE *file = AllocateFile(path, "r");
	char line[32];
	char *end = line;
	int64 number = -1;

	if (file == NULL)
		return -1;
	if (fgets(line, sizeof(line), file) != NULL)
		number = (int64) strtoll(line, &end, 10);
	FreeFile(file);
	return end == line ? -1 : number;
}

/*
 * A container sees the limits of its own control group at the top of the
 * hierarchy, of version 2 or version 1.
 */
static int64
memory_of_group(void)
{
	int64 bytes = number_in_file("/sys/fs/cgroup/memory.max");

	return bytes > 0
			   ? bytes
			   : number_in_file("/sys/fs/cgroup/memory/memory.limit_in_bytes");
}

/*
 * pgmaint_internal.memory_of_machine() returns bigint
 */
Datum
pgmaint_memory_of_machine(PG_FUNCTION_ARGS)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long page_size = sysconf(_SC_PAGESIZE);
	int64 machine = (int64) pages * page_size;
	int64 group = memory_of_group();

	if (pages < 0 || page_size < 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(group > 0 ? Min(group, machine) : machine);
}
