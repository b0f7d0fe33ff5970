/*-------------------------------------------------------------------------
 *
 * uploads.h
 *	  Uploads to storages, and leftovers of interrupted ones.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_UPLOADS_H
#define PGMAINT_UPLOADS_H

#include "ledger/ledger.h"

typedef struct Upload
{
	int64 upload_id;
	char *storage;
	char *key;
	char *mark;
	char *identity; /* of the database that writes it */
	TimestampTz
		searched_at; /* when the leftover was first searched for; 0: never */
} Upload;

/* a leftover is searched for twice, this far apart */
#define SEARCH_AGAIN \
	"pg_catalog.clock_timestamp() - pg_catalog.make_interval(hours => 1)"

/* all in a ledger scope */
extern int64 note_upload(int64 task_id, const char *action,
						 const char *storage, const char *key);
extern bool lock_upload_of_task(int64 task_id, const char *key,
								Upload *upload);
extern bool find_upload_of_task(int64 task_id, Upload *upload);
extern bool lock_leftover(int64 upload_id, Upload *upload);
extern List *uploads_of_task(int64 task_id);
extern void forget_upload(int64 upload_id);
extern void forget_uploads_since(int64 task_id, int64 upload_id);
extern void close_leftover(int64 upload_id, bool found);
extern void note_leftover_seen(int64 upload_id);

/* outside of one, with the rights of the current role */
extern bool remove_upload(const Upload *upload);
extern bool upload_is_complete(const Upload *upload);

#endif /* PGMAINT_UPLOADS_H */
