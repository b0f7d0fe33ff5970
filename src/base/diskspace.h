/*-------------------------------------------------------------------------
 *
 * diskspace.h
 *	  How much room there is on the disk of a tablespace.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_DISKSPACE_H
#define PGMAINT_DISKSPACE_H

/* InvalidOid stands for the database's own tablespace, as in pg_class */
extern int64 free_bytes_of_tablespace(Oid tablespace);

#endif /* PGMAINT_DISKSPACE_H */
