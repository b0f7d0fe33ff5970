/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  The pgmaint.* settings, and the server's settings that are pinned.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SETTINGS_H
#define PGMAINT_SETTINGS_H

#include "lib/stringinfo.h"

extern int pgmaint_max_workers;
extern int pgmaint_lock_timeout;
extern int pgmaint_lock_retries;
extern int pgmaint_max_wait;
extern int pgmaint_worker_timeout;
extern int pgmaint_keep_history;
extern int pgmaint_clock_offset;
extern int pgmaint_takeover_delay;
extern char *pgmaint_program_directory;
extern char *pgmaint_connection;
extern char *pgmaint_pg_dump_options;
extern char *pgmaint_proof_directory;
extern int pgmaint_proof_memory;

extern void define_settings(void);
extern void pin_session_settings(void);
extern void pin_round_trip_settings(void);
extern void set_for_transaction(const char *name, const char *value);

/* for PGOPTIONS */
extern void append_pinned_settings(StringInfo settings, bool superuser);
extern void append_setting(StringInfo settings, const char *name,
						   const char *value);

extern bool setting_is_pinned(const char *name);

#endif /* PGMAINT_SETTINGS_H */
