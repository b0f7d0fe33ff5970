/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  Comparison of a restored database with the manifest of its backup.
 *
 * psql compares the manifest with the catalogs and the rows of the database,
 * in separate sessions, which may be a superuser's.  No statement in them
 * evaluates what a user has defined: catalogs are read, tables are copied in
 * the relation form, which is not planned, and nothing is created, since that
 * would fire event triggers.  Only amcheck runs code of the database; its
 * session is one of the scratch role.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgstat.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "backup/compare.h"
#include "backup/reproduce.h"

/*
 * Operators are looked up by search_path.  With row_security off, COPY of a
 * table that has policies is an error, and never a query.  A prepared
 * transaction in the database may hold a lock for ever.
 */
static const char settings[] = "SET search_path = pg_catalog, pg_temp;\n"
							   "SET row_security = off;\n"
							   "SET lock_timeout = '5min';\n";

#define ERROR_LABEL "ERROR:  "
#define SQLSTATE_LENGTH 5
#define SQLSTATE_DIGITS "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/*
 * the expected objects, without those that were left out; %s: the manifest,
 * the list
 */
static const char expect[] =
	"WITH m AS (SELECT %s::pg_catalog.jsonb AS m), "
	"left_out AS (SELECT l.* FROM pg_catalog.jsonb_to_recordset(%s::pg_catalog.jsonb) "
	"AS l (kind pg_catalog.text, schema pg_catalog.text, tag pg_catalog.text)), "
	"t AS (SELECT x.n, x.schema, x.name, x.rows, coalesce(x.partition_root, false) AS root, "
	"c.oid AS relation, c.relkind, coalesce(x.of_extension, false) AS shared "
	"FROM ROWS FROM (pg_catalog.jsonb_to_recordset(coalesce((SELECT m -> 'tables' FROM m), '[]')) "
	"AS (schema pg_catalog.text, name pg_catalog.text, rows pg_catalog.int8, "
	"partition_root pg_catalog.bool, of_extension pg_catalog.bool)) "
	"WITH ORDINALITY AS x (schema, name, rows, partition_root, of_extension, n) "
	"LEFT JOIN pg_catalog.pg_namespace s ON s.nspname = x.schema "
	"LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = s.oid AND c.relname = x.name "
	"WHERE NOT EXISTS (SELECT FROM left_out l "
	"WHERE l.kind IN ('TABLE', 'FOREIGN TABLE', 'TABLE DATA') AND l.schema = x.schema AND l.tag = x.name)), "
	/* numbered downwards, since tables are numbered upwards */
	"q AS (SELECT -x.n AS n, x.schema, x.name, x.value, x.is_called, c.oid AS relation "
	"FROM ROWS FROM (pg_catalog.jsonb_to_recordset(coalesce((SELECT m -> 'sequences' FROM m), '[]')) "
	"AS (schema pg_catalog.text, name pg_catalog.text, value pg_catalog.int8, is_called pg_catalog.bool)) "
	"WITH ORDINALITY AS x (schema, name, value, is_called, n) "
	"LEFT JOIN pg_catalog.pg_namespace s ON s.nspname = x.schema "
	"LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = s.oid AND c.relname = x.name AND c.relkind = 'S' "
	"WHERE NOT EXISTS (SELECT FROM left_out l "
	"WHERE l.kind IN ('SEQUENCE', 'SEQUENCE SET') AND l.schema = x.schema AND l.tag = x.name))";

/*
 * The script for psql: it counts the rows of each table, and reads the
 * position of each sequence, which has neither code nor rules.  The narrowest
 * column of a table is copied; a generated column cannot be copied.
 */
static const char list_statements[] =
	" SELECT x.statement FROM (SELECT 1 AS place, t.n, "
	"pg_catalog.format(E'COPY %I.%I %s TO STDOUT \\\\g /dev/null\\n\\\\echo %s :ROW_COUNT', t.schema, t.name, "
	"(SELECT pg_catalog.format('(%I)', a.attname) FROM pg_catalog.pg_attribute a "
	"WHERE a.attrelid = t.relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' "
	"ORDER BY a.attlen < 0, a.attlen, a.attnum LIMIT 1), t.n) AS statement "
	"FROM t WHERE t.relation IS NOT NULL AND t.rows IS NOT NULL AND t.relkind = 'r' "
	"UNION ALL SELECT 2, q.n, pg_catalog.format("
	"'SELECT pg_catalog.concat_ws('' '', %s, last_value, is_called) FROM %I.%I;', q.n, q.schema, q.name) "
	"FROM q WHERE q.relation IS NOT NULL AND q.value IS NOT NULL) AS x ORDER BY x.place, x.n;\n";

/* the results of that script; %s: its output */
static const char found[] =
	", f AS (SELECT pg_catalog.split_part(l.line, ' ', 1)::pg_catalog.int8 AS n, "
	"pg_catalog.split_part(l.line, ' ', 2)::pg_catalog.int8 AS found, "
	"pg_catalog.split_part(l.line, ' ', 3) = 't' AS called "
	"FROM pg_catalog.string_to_table(%s, E'\\n') AS l (line) WHERE l.line <> ''), "
	"ft AS (SELECT t.*, f.found FROM t LEFT JOIN f USING (n)), "
	"fq AS (SELECT q.*, f.found, f.called FROM q LEFT JOIN f USING (n)), "
	"i AS (SELECT x.*, y.indexrelid AS index, y.indisvalid OR c.relkind = 'I' AS valid "
	"FROM pg_catalog.jsonb_to_recordset(coalesce((SELECT m -> 'indexes' FROM m), '[]')) "
	"AS x (schema pg_catalog.text, name pg_catalog.text) "
	"LEFT JOIN pg_catalog.pg_namespace s ON s.nspname = x.schema "
	"LEFT JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_index y ON y.indexrelid = c.oid) "
	"ON c.relnamespace = s.oid AND c.relname = x.name WHERE NOT EXISTS (SELECT FROM left_out l "
	"WHERE l.schema = x.schema AND (l.kind = 'INDEX' AND l.tag = x.name "
	"OR l.kind = 'CONSTRAINT' AND l.tag LIKE pg_catalog.concat('%% ', "
	"pg_catalog.replace(pg_catalog.replace(x.name, E'\\\\', E'\\\\\\\\'), '_', E'\\\\_'))))), "
	"c AS (SELECT x.*, EXISTS (SELECT FROM pg_catalog.pg_constraint k "
	"LEFT JOIN pg_catalog.pg_class r ON r.oid = k.conrelid LEFT JOIN pg_catalog.pg_type d ON d.oid = k.contypid "
	"JOIN pg_catalog.pg_namespace s ON s.oid = k.connamespace "
	"WHERE s.nspname = x.schema AND pg_catalog.concat(coalesce(r.relname, d.typname), ' ', k.conname) = x.tag) AS found "
	"FROM pg_catalog.jsonb_to_recordset(coalesce((SELECT m -> 'constraints' FROM m), '[]')) "
	"AS x (schema pg_catalog.text, tag pg_catalog.text) WHERE NOT EXISTS (SELECT FROM left_out l "
	"WHERE l.kind IN ('CONSTRAINT', 'CHECK CONSTRAINT', 'FK CONSTRAINT') "
	"AND l.schema = x.schema AND l.tag = x.tag)), "
	/* kinds of objects that can be counted in the catalogs */
	"r AS (SELECT CASE x.relkind WHEN 'v' THEN 'VIEW' "
	"WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, x.oid, "
	"'pg_catalog.pg_class'::pg_catalog.regclass AS class, x.relnamespace AS schema "
	"FROM pg_catalog.pg_class x WHERE x.relkind IN ('r', 'p', 'v', 'm', 'S') AND x.relpersistence <> 't' "
	"UNION ALL SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END, "
	"p.oid, 'pg_catalog.pg_proc'::pg_catalog.regclass, p.pronamespace FROM pg_catalog.pg_proc p), "
	"k AS (SELECT r.kind, pg_catalog.count(*) AS found FROM r JOIN pg_catalog.pg_namespace s ON s.oid = r.schema "
	"WHERE s.nspname <> 'information_schema' AND s.nspname NOT LIKE E'pg\\\\_%%' AND NOT EXISTS ("
	"SELECT FROM pg_catalog.pg_depend d WHERE d.classid = r.class AND d.objid = r.oid AND (d.deptype = 'e' "
	/* the constructors of a range */
	"OR d.deptype = 'i' AND r.class = 'pg_catalog.pg_proc'::pg_catalog.regclass)) "
	"GROUP BY r.kind)";

/* one JSON object, with at most NAMED_DIFFERENCES of the differences */
static const char judge[] =
	", d (place, text) AS ("
	"SELECT 1, pg_catalog.format('table %I.%I is missing', schema, name) FROM ft WHERE relation IS NULL "
	"UNION ALL SELECT 2, pg_catalog.format('table %I.%I has %s rows, but %s were backed up', schema, name, found, rows) "
	"FROM ft WHERE NOT root AND CASE WHEN shared THEN found < rows ELSE found <> rows END "
	"UNION ALL SELECT 2, pg_catalog.format('the partitions of %s have %s rows, but %s were backed up', "
	"pg_catalog.pg_partition_root(relation), pg_catalog.sum(found), pg_catalog.sum(rows)) FROM ft "
	"WHERE root AND found IS NOT NULL GROUP BY pg_catalog.pg_partition_root(relation) "
	"HAVING pg_catalog.sum(found) <> pg_catalog.sum(rows) "
	"UNION ALL SELECT 3, pg_catalog.format('index %I.%I is missing', schema, name) FROM i WHERE index IS NULL "
	"UNION ALL SELECT 3, pg_catalog.format('index %I.%I is not valid', schema, name) FROM i WHERE NOT valid "
	"UNION ALL SELECT 4, pg_catalog.format('constraint %I in schema %I is missing', tag, schema) FROM c WHERE NOT found "
	"UNION ALL SELECT 5, pg_catalog.format('sequence %I.%I is missing', schema, name) FROM fq WHERE relation IS NULL "
	"UNION ALL SELECT 5, pg_catalog.format('sequence %I.%I is at %s (is_called %s), but was at %s (%s)', schema, name, "
	"found, called, value, is_called) FROM fq WHERE relation IS NOT NULL AND value IS NOT NULL "
	"AND (found, called) IS DISTINCT FROM (value, is_called) "
	"UNION ALL SELECT 6, pg_catalog.format('the database has %s objects of kind %s, but %s were backed up', "
	"coalesce(k.found, 0), x.key, x.wanted) "
	"FROM (SELECT e.key, e.value::pg_catalog.int8 - (SELECT pg_catalog.count(*) FROM left_out l WHERE l.kind = e.key) AS wanted "
	"FROM m CROSS JOIN LATERAL pg_catalog.jsonb_each_text(coalesce(m -> 'counts', '{}')) AS e) AS x "
	"LEFT JOIN k ON k.kind = x.key WHERE x.key IN ('TABLE', 'VIEW', 'MATERIALIZED VIEW', 'SEQUENCE', "
	"'FUNCTION', 'PROCEDURE', 'AGGREGATE') AND x.wanted <> coalesce(k.found, 0)) "
	"SELECT pg_catalog.jsonb_build_object('tables', (SELECT pg_catalog.count(*) FROM ft), "
	"'rows', (SELECT coalesce(pg_catalog.sum(found), 0) FROM ft), 'indexes', (SELECT pg_catalog.count(*) FROM i), "
	"'constraints', (SELECT pg_catalog.count(*) FROM c), 'sequences', (SELECT pg_catalog.count(*) FROM fq), "
	"'different', (SELECT pg_catalog.count(*) FROM d), 'first', (SELECT pg_catalog.string_agg(f.text, '; ') "
	"FROM (SELECT d.text FROM d ORDER BY d.place, d.text LIMIT 10) AS f));\n";

/*
 * All B-trees except those of catalogs.  The dump may have added functions of
 * the same name to the same schema: arguments of the declared types find
 * amcheck's own function, which belongs to a superuser.
 */
static const char check_indexes[] =
	/* member checked */
	"SELECT pg_catalog.format('SELECT pg_catalog.count(*) FROM (SELECT %I.bt_index_check("
	"index => c.oid::pg_catalog.regclass, heapallindexed => true::pg_catalog.bool) "
	"FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid = c.relam AND a.amname = ''btree'' "
	"JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid AND i.indisvalid AND i.indisready "
	"WHERE c.relkind = ''i'' AND c.relpersistence <> ''t'' AND c.oid >= 16384 OFFSET 0) AS x', n.nspname) "
	"FROM pg_catalog.pg_extension e "
	"JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass "
	"AND d.refobjid = e.oid AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e' "
	"JOIN pg_catalog.pg_proc p ON p.oid = d.objid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace "
	"JOIN pg_catalog.pg_language l ON l.oid = p.prolang JOIN pg_catalog.pg_roles r ON r.oid = p.proowner "
	"WHERE e.extname = 'amcheck' AND p.proname = 'bt_index_check' AND l.lanname = 'c' AND r.rolsuper "
	"AND pg_catalog.pg_get_function_identity_arguments(p.oid) = 'index regclass, heapallindexed boolean' \\gexec\n";

/*
 * Execute a script in a separate session that begins with the settings above,
 * so that settings which code of the database made in an earlier session have
 * no effect.
 */
static char *
ask(const Comparison *comparison, const char *script)
{
	return run_psql(comparison->login, comparison->settings,
					psprintf("%s%s", settings, script));
}

/*
 * libpq prints the location in the server's source last: text from code in the
 * dump comes before.
 */
static bool
is_of_amcheck(const char *words)
{
	const char *place = NULL;

	for (const char *next = strstr(words, "\nLOCATION:  "); next != NULL;
		 next = strstr(next + 1, "\nLOCATION:  "))
		place = next;
	return place != NULL && strstr(place, ", verify_nbtree.c:") != NULL;
}

/*
 * The last message, for the same reason.
 */
static char *
last_message(const char *words)
{
	const char *message = words;

	for (const char *next = strstr(words, ERROR_LABEL); next != NULL;
		 next = strstr(next + 1, ERROR_LABEL))
		message = next;
	return pnstrdup(message, strcspn(message, "\n"));
}

/*
 * The messages of amcheck are passed on, but not those of functions of an
 * index, which amcheck calls, since these may contain values of rows.  The
 * kind of error is taken from its SQLSTATE, which psql prints before the
 * message.  No output means that there is no function to call: then no index
 * counts as checked.
 */
static void
check_all_indexes(Comparison *comparison)
{
	ChildEnd end;
	char *output = run_psql_script(
		comparison->login, comparison->settings,
		psprintf("%s\\set VERBOSITY verbose\n%s", settings, check_indexes),
		&end);
	const char *message;
	const char *sqlstate;

	if (end.succeeded)
	{
		if (output[0] != '\0')
			comparison->checked_indexes = strtoll(output, NULL, 10);
		return;
	}
	message = last_message(end.words);
	sqlstate = pnstrdup(message + Min(strlen(ERROR_LABEL), strlen(message)),
						SQLSTATE_LENGTH);
	if (strncmp(message, ERROR_LABEL, strlen(ERROR_LABEL)) != 0 ||
		strspn(sqlstate, SQLSTATE_DIGITS) != SQLSTATE_LENGTH ||
		is_server_error(sqlstate))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not check indexes: psql %s, and its last "
						"error came from the server or the session",
						end.status)));
	comparison->differences = psprintf(
		"index check failed: %s",
		is_of_amcheck(end.words)
			? message
			: psprintf("error with SQLSTATE %s, raised by code in the dump",
					   sqlstate));
}

static void
read_verdict(Comparison *comparison, const char *verdict)
{
	LedgerQuery query = {0};
	LedgerScope scope;

	ledger_enter(&scope);
	bind_text(&query, verdict);
	(void) ledger_query(
		&query,
		"SELECT (j ->> 'tables')::pg_catalog.int8 AS tables, "
		"(j ->> 'rows')::pg_catalog.int8 AS rows, "
		"(j ->> 'indexes')::pg_catalog.int8 AS indexes, "
		"(j ->> 'constraints')::pg_catalog.int8 AS constraints, "
		"(j ->> 'sequences')::pg_catalog.int8 AS sequences, "
		"(j ->> 'different')::pg_catalog.int8 AS different, "
		"j ->> 'first' AS first FROM (SELECT $1::pg_catalog.jsonb AS j) AS verdict");
	comparison->tables = named_bigint(0, "tables");
	comparison->rows = named_bigint(0, "rows");
	comparison->indexes = named_bigint(0, "indexes");
	comparison->constraints = named_bigint(0, "constraints");
	comparison->sequences = named_bigint(0, "sequences");
	if (named_bigint(0, "different") > 0)
		comparison->differences = psprintf(
			"%lld %s: %s%s", (long long) named_bigint(0, "different"),
			named_bigint(0, "different") == 1
				? "difference from the manifest"
				: "differences from the manifest",
			named_text(0, "first"),
			named_bigint(0, "different") > NAMED_DIFFERENCES ? "; ..." : "");
	ledger_leave(&scope);
}

static int64
milliseconds_since(instr_time begun)
{
	instr_time end;

	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, begun);
	return (int64) INSTR_TIME_GET_MILLISEC(end);
}

/*
 * Three sessions: the first lists the counting statements, the second executes
 * them, and the third compares. psql takes the number of rows of a COPY from
 * its command tag, and the rows themselves go to /dev/null.
 */
void
compare_with_manifest(Comparison *comparison)
{
	instr_time begun;
	char *expected =
		psprintf(expect, quote_literal_cstr(comparison->description->manifest),
				 quote_literal_cstr(comparison->left_out));
	char *counts;

	INSTR_TIME_SET_CURRENT(begun);
	pgstat_report_activity(STATE_RUNNING,
						   "comparing the database with its manifest");
	counts = ask(comparison,
				 ask(comparison, psprintf("%s%s", expected, list_statements)));
	comparison->checked_indexes = -1;
	read_verdict(
		comparison,
		ask(comparison,
			psprintf("%s%s%s", expected,
					 psprintf(found, quote_literal_cstr(counts)), judge)));
	comparison->milliseconds = milliseconds_since(begun);
	if (!comparison->amcheck || comparison->differences != NULL)
		return;
	INSTR_TIME_SET_CURRENT(begun);
	pgstat_report_activity(STATE_RUNNING, "checking indexes with amcheck");
	check_all_indexes(comparison);
	comparison->check_milliseconds = milliseconds_since(begun);
}
