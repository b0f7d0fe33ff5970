/*-------------------------------------------------------------------------
 *
 * code_settings.h
 *	  The settings that code of a dump depends on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CODE_SETTINGS_H
#define PGMAINT_CODE_SETTINGS_H

#include "backup/restorable.h"

/* in a transaction: those of this server, as lines of a postgresql.conf */
extern char *own_settings_for_code(void);

/*
 * In a transaction, as for PGOPTIONS: the date style and the time zone of
 * sessions here, and what the backup's database had itself.  Only for a role
 * without rights, since a manifest may be anybody's.
 */
extern char *session_settings_for_code(const BackupDescription *description);

#endif /* PGMAINT_CODE_SETTINGS_H */
