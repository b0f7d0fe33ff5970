/*-------------------------------------------------------------------------
 *
 * backup_options.h
 *	  The options of the action "backup".
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BACKUP_OPTIONS_H
#define PGMAINT_BACKUP_OPTIONS_H

#include "action/options.h"
#include "stream/compress.h"

extern const ActionOption backup_options[];

/* raises an ERROR where the level is not one of the method's */
extern const CompressionMethod *backup_compression(Jsonb *given, int *level);

/* the selected part of a database: a JSON object, or NULL for the whole */
extern char *backup_selection(Jsonb *given);

/* further arguments of pg_dump or pg_dumpall */
extern List *dump_arguments(Jsonb *given);
extern List *globals_arguments(Jsonb *given);

#endif /* PGMAINT_BACKUP_OPTIONS_H */
