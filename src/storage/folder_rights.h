/*-------------------------------------------------------------------------
 *
 * folder_rights.h
 *	  Checks which users of the operating system may change the contents of a
 *	  folder.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_FOLDER_RIGHTS_H
#define PGMAINT_FOLDER_RIGHTS_H

/*
 * Refuse a storage's folder that users of the operating system other than root
 * and the server's own could change, or replace by another.
 */
extern void check_folder_rights(const char *storage, const char *folder);

#endif /* PGMAINT_FOLDER_RIGHTS_H */
