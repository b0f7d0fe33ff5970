/*-------------------------------------------------------------------------
 *
 * owner_records.c
 *	  The owner records that are in a storage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "objects/owner_records.h"

#define NONCE_LENGTH ((size_t) 2 * OWNER_NONCE_BYTES)

/* what is in the storage */
typedef struct Listing
{
	size_t prefix;
	List *nonces; /* of char * */
} Listing;

/*
 * Other programs, such as file managers, put objects there with other names,
 * which are no sign of another database.
 */
static bool
note_nonce(void *context, const StoredObject *object)
{
	Listing *listing = context;
	const char *nonce = object->key + listing->prefix;

	CHECK_FOR_INTERRUPTS();
	if (strlen(nonce) == NONCE_LENGTH &&
		strspn(nonce, "0123456789abcdef") == NONCE_LENGTH)
		listing->nonces = lappend(listing->nonces, pstrdup(nonce));
	return true;
}

List *
list_records(Storage *storage, const char *identity)
{
	char *prefix = psprintf(OWNER_RECORDS "%s/", identity);
	Listing listing = {.prefix = strlen(prefix)};

	storage_list(storage, prefix, note_nonce, &listing);
	return listing.nonces;
}
