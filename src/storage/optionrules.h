/*-------------------------------------------------------------------------
 *
 * optionrules.h
 *	  The options of storages, and their valid values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STORAGE_OPTIONRULES_H
#define PGMAINT_STORAGE_OPTIONRULES_H

#include "storage/options.h"

extern void apply_option(Oid catalog, const char *name, const char *value,
						 StorageOptions *options);
extern const char *option_hint(const char *name);

#endif /* PGMAINT_STORAGE_OPTIONRULES_H */
