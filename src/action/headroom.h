/*-------------------------------------------------------------------------
 *
 * headroom.h
 *	  Is there room on the disk for what a command writes beside the old?
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_HEADROOM_H
#define PGMAINT_HEADROOM_H

/* for the tables of options */
#define MIN_FREE_OPTION                     \
	PLAIN_OPTION(                           \
		"min_free", OPTION_BYTES, "100 MB", \
		"how much must stay free on the disk beside what the copy takes")

extern char *lack_of_room(Oid tablespace, int64 copy_bytes, int64 sort_bytes,
						  int64 min_free);

#endif /* PGMAINT_HEADROOM_H */
