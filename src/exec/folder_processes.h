/*-------------------------------------------------------------------------
 *
 * folder_processes.h
 *	  The processes that work in a folder, whoever started them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_FOLDER_PROCESSES_H
#define PGMAINT_FOLDER_PROCESSES_H

/* both return how many there were; always 0 where the system does not tell */
extern int kill_processes_in(const char *folder);
extern int yield_processes_in(const char *folder);

#endif /* PGMAINT_FOLDER_PROCESSES_H */
