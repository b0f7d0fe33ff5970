/*-------------------------------------------------------------------------
 *
 * code_settings.c
 *	  The settings that code in a dump depends on.
 *
 * A CHECK constraint, an index or a materialized view may read a user's
 * setting (app.tenant), or depend on DateStyle and TimeZone.  Where these
 * differ from the values under which the rows were written, a good backup
 * could not be restored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "backup/code_settings.h"
#include "base/settings.h"
#include "exec/private_server.h"
#include "ledger/ledger.h"

/* the name of a setting that was defined by a user or a library */
#define IS_OF_USERS \
	"~ '^[A-Za-z_][A-Za-z0-9_$]*([.][A-Za-z_][A-Za-z0-9_$]*)+$' "

/*
 * Settings that a library of this server has defined are left out, unless
 * every role may see and set them: the private server does not load the
 * library, and code in the dump could read the setting there.
 */
char *
own_settings_for_code(void)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	StringInfoData lines;
	uint64 rows;

	initStringInfo(&lines);
	ledger_enter(&scope);
	rows = ledger_query(
		&query,
		"SELECT f.name, f.value FROM (SELECT DISTINCT s.name, "
		"coalesce(p.reset_val, pg_catalog.current_setting(s.name, true)) AS value "
		"FROM pg_catalog.pg_file_settings s "
		"LEFT JOIN pg_catalog.pg_settings p ON p.name = s.name "
		"WHERE s.applied AND s.name " IS_OF_USERS
		"AND s.name !~* '^(pgmaint|cron)[.]' "
		"AND (p.name IS NULL OR p.context = 'user' OR s.name ~* '^plpgsql[.]') "
		"UNION ALL SELECT p.name, p.reset_val FROM pg_catalog.pg_settings p "
		"WHERE p.name IN ('default_text_search_config', 'track_commit_timestamp')) AS f "
		"WHERE f.value IS NOT NULL AND pg_catalog.strpos(f.value, E'\\n') = 0 ORDER BY 1");
	for (uint64 row = 0; row < rows; row++)
		appendStringInfoString(
			&lines, setting_line(ledger_text(row, 1), ledger_text(row, 2)));
	ledger_leave(&scope);
	return lines.data;
}

/*
 * An unknown value would keep the session from starting; so would a value that
 * only a superuser may set, where the library is loaded.
 */
char *
session_settings_for_code(const BackupDescription *description)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	StringInfoData settings;
	uint64 rows;

	initStringInfo(&settings);
	bind_text(&query, description->manifest);
	ledger_enter(&scope);
	rows = ledger_query(
		&query,
		"SELECT f.name, f.value FROM (SELECT 1 AS place, p.name, p.reset_val AS value "
		"FROM pg_catalog.pg_settings p WHERE p.name IN ('DateStyle', 'TimeZone') "
		"UNION ALL SELECT 2, s.name, s.value FROM " SETTINGS_OF_MANIFEST
		" WHERE s.role IS NULL) AS f "
		"WHERE f.place = 1 OR CASE pg_catalog.lower(f.name) "
		"WHEN 'datestyle' THEN f.value ~* '^(iso|sql|postgres|german) *, *(mdy|dmy|ymd)$' "
		"WHEN 'timezone' THEN EXISTS (SELECT FROM pg_catalog.pg_timezone_names z "
		"WHERE pg_catalog.lower(z.name) = pg_catalog.lower(f.value)) "
		"ELSE f.name " IS_OF_USERS
		"AND NOT EXISTS (SELECT FROM pg_catalog.pg_settings p WHERE pg_catalog.lower("
		"pg_catalog.split_part(p.name, '.', 1)) = pg_catalog.lower(pg_catalog.split_part(f.name, '.', 1))) END "
		"ORDER BY f.place");
	for (uint64 row = 0; row < rows; row++)
		append_setting(&settings, ledger_text(row, 1), ledger_text(row, 2));
	ledger_leave(&scope);
	return settings.data;
}
