/*-------------------------------------------------------------------------
 *
 * identity.h
 *	  The identity of this database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_LEDGER_IDENTITY_H
#define PGMAINT_LEDGER_IDENTITY_H

#include "ledger/ledger.h"

/* the number of digits of an identity that are part of keys */
#define IDENTITY_TAG_LENGTH 8

/*
 * as keys and values of a manifest: the database that writes it, and its
 * server
 */
#define MANIFEST_ORIGIN                                                \
	"'server_version', pg_catalog.current_setting('server_version'), " \
	"'extension_version', '" PGMAINT_VERSION "', "                     \
	"'identity', pgmaint_internal.current_identity(), "                \
	"'cluster', (SELECT s.system_identifier::text "                    \
	"FROM pg_catalog.pg_control_system() s)"

extern char *host_name(void);

/* all in a ledger scope */
extern char *ensure_identity(void);
extern char *known_identity(void);
extern char *identity_tag(void);
extern char *current_doubt(void);
extern bool is_own_identity(const char *identity);
extern bool was_own_identity(const char *identity);
extern void begin_to_doubt(const char *doubt);
extern void doubt_what_was_taken_over(const char *identity, const char *doubt);
extern void note_former_seen(void);
extern void note_doubt(int64 run_id);

#endif /* PGMAINT_LEDGER_IDENTITY_H */
