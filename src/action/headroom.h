/*-------------------------------------------------------------------------
 *
 * headroom.h
 *	  Disk space for the copy that a command writes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_HEADROOM_H
#define PGMAINT_HEADROOM_H

/* for the tables of options */
#define MIN_FREE_OPTION                     \
	PLAIN_OPTION(                           \
		"min_free", OPTION_BYTES, "100 MB", \
		"disk space that must stay free in addition to the space for the copy")

extern char *lack_of_room(Oid tablespace, int64 copy_bytes, int64 sort_bytes,
						  int64 min_free);

#endif /* PGMAINT_HEADROOM_H */
