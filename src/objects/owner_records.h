/*-------------------------------------------------------------------------
 *
 * owner_records.h
 *	  The owner records of a run, and those that are in a storage.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_OWNER_RECORDS_H
#define PGMAINT_OWNER_RECORDS_H

#include "nodes/pg_list.h"

#include "storage/storage.h"

/* their keys begin so, and end in a nonce of so many bytes, in hexadecimal */
#define OWNER_RECORDS ".pgmaint/owners/"
#define OWNER_NONCE_BYTES 8

/* one identity, in one storage, in one run */
typedef struct OwnerRecord
{
	char *identity;
	char *state; /* of the identity */
	char *nonce; /* NULL: records of an identity that is only watched */
	bool judged; /* by another worker of the run, or an earlier task */
	bool written;
} OwnerRecord;

/* nonces, char * */
extern List *list_records(Storage *storage, const char *identity);

#endif /* PGMAINT_OWNER_RECORDS_H */
