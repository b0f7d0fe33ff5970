/*-------------------------------------------------------------------------
 *
 * folder_processes.h
 *	  The processes whose working directory is a given folder.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_FOLDER_PROCESSES_H
#define PGMAINT_FOLDER_PROCESSES_H

/*
 * both return the number of processes; always 0 where the system does not show
 * them
 */
extern int kill_processes_in(const char *folder);
extern int yield_processes_in(const char *folder);

#endif /* PGMAINT_FOLDER_PROCESSES_H */
