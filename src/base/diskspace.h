/*-------------------------------------------------------------------------
 *
 * diskspace.h
 *	  Free space on the disk of a folder or a tablespace.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_DISKSPACE_H
#define PGMAINT_DISKSPACE_H

/* InvalidOid stands for the database's own tablespace, as in pg_class */
extern int64 free_bytes_of_folder(const char *folder);
extern int64 free_bytes_of_descriptor(int fd, const char *folder);
extern int64 free_bytes_of_tablespace(Oid tablespace);
extern bool tablespaces_share_disk(Oid one, Oid other);

#endif /* PGMAINT_DISKSPACE_H */
