/*-------------------------------------------------------------------------
 *
 * timezone.h
 *	  The time zone of a retention policy, and the cut-off in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_TIMEZONE_H
#define PGMAINT_TIMEZONE_H

#include "retention/policy.h"

/*
 * In SQL, the server's own time zone, whatever the session, its role or its
 * database have set.
 */
#define SERVER_TIMEZONE                                                \
	"coalesce((SELECT f.setting FROM pg_catalog.pg_file_settings f "   \
	"WHERE pg_catalog.lower(f.name) = 'timezone' AND f.error IS NULL " \
	"ORDER BY f.seqno DESC LIMIT 1), (SELECT s.boot_val "              \
	"FROM pg_catalog.pg_settings s WHERE s.name = 'TimeZone'))"

/* all in a ledger scope */
extern char *choose_timezone(const char *wanted);

/* up to the end of the nest level of settings, the session's time zone */
extern void use_timezone(const RetentionPolicy *policy);

extern char *cut_off(const RetentionPolicy *policy, int64 run_id);

#endif /* PGMAINT_TIMEZONE_H */
