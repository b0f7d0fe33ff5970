/*-------------------------------------------------------------------------
 *
 * optionrules.h
 *	  Which options storages have, and what each may be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STORAGE_OPTIONRULES_H
#define PGMAINT_STORAGE_OPTIONRULES_H

#include "storage/options.h"

/* longer than this, bucket and key would not be legal together */
#define MAX_PREFIX_LENGTH 120

extern void apply_option(Oid catalog, const char *name, const char *value,
						 StorageOptions *options);
extern const char *option_hint(const char *name);
extern bool parse_storage_url(const char *url, StorageOptions *options);

#endif /* PGMAINT_STORAGE_OPTIONRULES_H */
