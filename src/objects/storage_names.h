/*-------------------------------------------------------------------------
 *
 * storage_names.h
 *	  The names by which the ledger knows storages, when servers are renamed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STORAGE_NAMES_H
#define PGMAINT_STORAGE_NAMES_H

#include "ledger/ledger.h"

/* for FROM: the servers s that are storages; more conditions may follow */
#define STORAGES                                                     \
	"pg_catalog.pg_foreign_server s "                                \
	"JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw " \
	"WHERE w.fdwname = 'pgmaint_storage'"

/* both in a ledger scope */

/* before storages are looked for by name, and before names are written down */
extern void follow_storage_names(bool wait);

/* in a run, which follows once, when it begins */
extern void refuse_renamed_storage(const char *storage);

#endif /* PGMAINT_STORAGE_NAMES_H */
