/*-------------------------------------------------------------------------
 *
 * code_settings.h
 *	  The settings that code in a dump depends on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CODE_SETTINGS_H
#define PGMAINT_CODE_SETTINGS_H

#include "backup/restorable.h"

/*
 * in a transaction: the settings of this server, as lines of a postgresql.conf
 */
extern char *own_settings_for_code(void);

/*
 * In a transaction: date style and time zone of sessions in this server, and
 * the settings of the backed-up database, for PGOPTIONS. Only for a role
 * without rights, since a manifest can be written by others.
 */
extern char *session_settings_for_code(const BackupDescription *description);

#endif /* PGMAINT_CODE_SETTINGS_H */
