/*-------------------------------------------------------------------------
 *
 * pgmaint.c
 *	  Module load: the settings are defined, nothing else happens.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/settings.h"

PG_MODULE_MAGIC;

/* NOLINTNEXTLINE(readability-redundant-declaration): not before 16 */
void _PG_init(void);

/*
 * Runs in every process that loads the library: sessions, the leader, the
 * task workers.  It must stay cheap and must not fail.
 */
void
_PG_init(void)
{
	define_settings();
}
