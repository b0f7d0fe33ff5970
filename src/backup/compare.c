/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  Is what was restored what was backed up?
 *
 * psql is handed the manifest and compares it with the catalogs and the rows of
 * the database.  It only counts rows, so nobody's code has a part in it; what
 * amcheck calls, it calls as the role that owns all there is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "backup/compare.h"
#include "backup/restore.h"
#include "base/subtransaction.h"

/* what is expected, without what was left out; %s: the manifest, the list */
static const char expect[] =
	"SET search_path = pg_catalog, pg_temp;\n"
	"SET row_security = off;\n"
	"CREATE TEMP TABLE expected AS SELECT %s::jsonb AS m, %s::jsonb AS left_out;\n"
	"CREATE TEMP TABLE left_out AS SELECT l.* FROM pg_temp.expected, "
	"jsonb_to_recordset(left_out) AS l (kind text, schema text, tag text);\n"
	"CREATE TEMP TABLE t AS SELECT row_number() OVER () AS n, x.schema, x.name, x.rows, "
	"coalesce(x.partition_root, false) AS root, c.oid AS relation, c.relkind, "
	"coalesce(x.of_extension, false) AS shared, NULL::bigint AS found "
	"FROM pg_temp.expected CROSS JOIN LATERAL jsonb_to_recordset(coalesce(m -> 'tables', '[]')) "
	"AS x (schema text, name text, rows bigint, partition_root boolean, of_extension boolean) "
	"LEFT JOIN pg_namespace s ON s.nspname = x.schema "
	"LEFT JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = x.name "
	"WHERE NOT EXISTS (SELECT FROM pg_temp.left_out l "
	"WHERE l.kind IN ('TABLE', 'FOREIGN TABLE', 'TABLE DATA') AND l.schema = x.schema AND l.tag = x.name);\n"
	"CREATE UNIQUE INDEX ON pg_temp.t (n);\n"
	"CREATE TEMP TABLE q AS SELECT row_number() OVER () AS n, x.*, c.oid AS relation, "
	"NULL::bigint AS found_value, NULL::boolean AS found_called "
	"FROM pg_temp.expected CROSS JOIN LATERAL jsonb_to_recordset(coalesce(m -> 'sequences', '[]')) "
	"AS x (schema text, name text, value bigint, is_called boolean) "
	"LEFT JOIN pg_namespace s ON s.nspname = x.schema "
	"LEFT JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = x.name AND c.relkind = 'S' "
	"WHERE NOT EXISTS (SELECT FROM pg_temp.left_out l "
	"WHERE l.kind IN ('SEQUENCE', 'SEQUENCE SET') AND l.schema = x.schema AND l.tag = x.name);\n"
	"CREATE UNIQUE INDEX ON pg_temp.q (n);\n"
	"CREATE TEMP TABLE i AS SELECT x.*, y.indexrelid AS index, y.indisvalid OR c.relkind = 'I' AS valid "
	"FROM pg_temp.expected CROSS JOIN LATERAL jsonb_to_recordset(coalesce(m -> 'indexes', '[]')) "
	"AS x (schema text, name text) LEFT JOIN pg_namespace s ON s.nspname = x.schema "
	"LEFT JOIN (pg_class c JOIN pg_index y ON y.indexrelid = c.oid) "
	"ON c.relnamespace = s.oid AND c.relname = x.name WHERE NOT EXISTS (SELECT FROM pg_temp.left_out l "
	"WHERE l.schema = x.schema AND (l.kind = 'INDEX' AND l.tag = x.name "
	"OR l.kind = 'CONSTRAINT' AND l.tag LIKE concat('%% ', replace(replace(x.name, '\\', '\\\\'), '_', '\\_'))));\n"
	"CREATE TEMP TABLE c AS SELECT x.*, EXISTS (SELECT FROM pg_constraint k "
	"LEFT JOIN pg_class r ON r.oid = k.conrelid LEFT JOIN pg_type d ON d.oid = k.contypid "
	"JOIN pg_namespace s ON s.oid = k.connamespace "
	"WHERE s.nspname = x.schema AND concat(coalesce(r.relname, d.typname), ' ', k.conname) = x.tag) AS found "
	"FROM pg_temp.expected CROSS JOIN LATERAL jsonb_to_recordset(coalesce(m -> 'constraints', '[]')) "
	"AS x (schema text, tag text) WHERE NOT EXISTS (SELECT FROM pg_temp.left_out l "
	"WHERE l.kind IN ('CONSTRAINT', 'CHECK CONSTRAINT', 'FK CONSTRAINT') "
	"AND l.schema = x.schema AND l.tag = x.tag);\n";

static const char count[] =
	"SELECT format('UPDATE pg_temp.t SET found = (SELECT count(*) FROM ONLY %s) WHERE n = %s', "
	"relation::regclass, n) FROM pg_temp.t "
	"WHERE relation IS NOT NULL AND rows IS NOT NULL AND relkind = 'r' \\gexec\n"
	"SELECT format('UPDATE pg_temp.q SET (found_value, found_called) = "
	"(SELECT last_value, is_called FROM %s) WHERE n = %s', relation::regclass, n) "
	"FROM pg_temp.q WHERE relation IS NOT NULL AND value IS NOT NULL \\gexec\n"
	/* kinds of which everything can be counted in the catalogs */
	"CREATE TEMP TABLE k AS WITH r AS (SELECT CASE x.relkind WHEN 'v' THEN 'VIEW' "
	"WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, x.oid, "
	"'pg_class'::regclass AS class, x.relnamespace AS schema FROM pg_class x WHERE x.relkind IN ('r', 'p', 'v', 'm', 'S') "
	"AND x.relpersistence <> 't' "
	"UNION ALL SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END, "
	"p.oid, 'pg_proc'::regclass, p.pronamespace FROM pg_proc p) "
	"SELECT r.kind, count(*) AS found FROM r JOIN pg_namespace s ON s.oid = r.schema "
	"WHERE s.nspname <> 'information_schema' AND s.nspname NOT LIKE 'pg\\_%' AND NOT EXISTS ("
	"SELECT FROM pg_depend d WHERE d.classid = r.class AND d.objid = r.oid AND (d.deptype = 'e' "
	/* the constructors of a range */
	"OR d.deptype = 'i' AND r.class = 'pg_proc'::regclass)) "
	"GROUP BY r.kind;\n";

/* one JSON object; of the differences, as many as NAMED_DIFFERENCES */
static const char judge[] =
	"WITH d (place, text) AS ("
	"SELECT 1, format('table %I.%I is missing', schema, name) FROM pg_temp.t WHERE relation IS NULL "
	"UNION ALL SELECT 2, format('table %I.%I has %s rows, but %s were backed up', schema, name, found, rows) "
	"FROM pg_temp.t WHERE NOT root AND CASE WHEN shared THEN found < rows ELSE found <> rows END "
	"UNION ALL SELECT 2, format('the partitions of %s have %s rows, but %s were backed up', "
	"pg_partition_root(relation), sum(found), sum(rows)) FROM pg_temp.t "
	"WHERE root AND found IS NOT NULL GROUP BY pg_partition_root(relation) HAVING sum(found) <> sum(rows) "
	"UNION ALL SELECT 3, format('index %I.%I is missing', schema, name) FROM pg_temp.i WHERE index IS NULL "
	"UNION ALL SELECT 3, format('index %I.%I is not valid', schema, name) FROM pg_temp.i WHERE NOT valid "
	"UNION ALL SELECT 4, format('constraint %I in schema %I is missing', tag, schema) FROM pg_temp.c WHERE NOT found "
	"UNION ALL SELECT 5, format('sequence %I.%I is missing', schema, name) FROM pg_temp.q WHERE relation IS NULL "
	"UNION ALL SELECT 5, format('sequence %I.%I is at %s (is_called %s), but was at %s (%s)', schema, name, "
	"found_value, found_called, value, is_called) FROM pg_temp.q "
	"WHERE relation IS NOT NULL AND value IS NOT NULL "
	"AND (found_value, found_called) IS DISTINCT FROM (value, is_called) "
	"UNION ALL SELECT 6, format('there are %s of kind %s, but %s were backed up', coalesce(k.found, 0), x.key, x.wanted) "
	"FROM (SELECT e.key, e.value::bigint - (SELECT count(*) FROM pg_temp.left_out l WHERE l.kind = e.key) AS wanted "
	"FROM pg_temp.expected CROSS JOIN LATERAL jsonb_each_text(coalesce(m -> 'counts', '{}')) AS e) AS x "
	"LEFT JOIN pg_temp.k ON k.kind = x.key WHERE x.key IN ('TABLE', 'VIEW', 'MATERIALIZED VIEW', 'SEQUENCE', "
	"'FUNCTION', 'PROCEDURE', 'AGGREGATE') AND x.wanted <> coalesce(k.found, 0)) "
	"SELECT jsonb_build_object('tables', (SELECT count(*) FROM pg_temp.t), "
	"'rows', (SELECT coalesce(sum(found), 0) FROM pg_temp.t), 'indexes', (SELECT count(*) FROM pg_temp.i), "
	"'constraints', (SELECT count(*) FROM pg_temp.c), 'sequences', (SELECT count(*) FROM pg_temp.q), "
	"'different', (SELECT count(*) FROM d), 'first', (SELECT string_agg(f.text, '; ') "
	"FROM (SELECT d.text FROM d ORDER BY d.place, d.text LIMIT 10) AS f));\n";

/* every B-tree that there is, and that no catalog has */
static const char check_indexes[] =
	"SET search_path = pg_catalog, pg_temp;\n"
	"SELECT format('SELECT count(*) FROM (SELECT %I.bt_index_check(c.oid, true) "
	"FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = ''btree'' "
	"JOIN pg_index i ON i.indexrelid = c.oid AND i.indisvalid AND i.indisready "
	"WHERE c.relkind = ''i'' AND c.relpersistence <> ''t'' AND c.oid >= 16384 OFFSET 0) AS x', n.nspname) "
	"FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
	"WHERE e.extname = 'amcheck' \\gexec\n";

/* running a script, for try_in_subtransaction() */
typedef struct Script
{
	const Comparison *comparison;
	char *output;
} Script;

static void
run_amcheck(void *argument)
{
	Script *script = argument;

	script->output = run_psql(script->comparison->login,
							  script->comparison->settings, check_indexes);
}

/*
 * What amcheck says is told as it says it.
 */
static void
check_all_indexes(Comparison *comparison)
{
	Script script = {comparison, NULL};
	ErrorData *error = try_in_subtransaction(run_amcheck, &script);

	if (error == NULL)
	{
		comparison->checked_indexes = strtoll(script.output, NULL, 10);
		return;
	}
	if (error->sqlerrcode != ERRCODE_EXTERNAL_ROUTINE_EXCEPTION ||
		strstr(error->message, "ERROR:  ") == NULL ||
		says_trouble(error->message))
		ReThrowError(error);
	comparison->differences =
		psprintf("an index is not sound: %s", error->message);
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
		"SELECT (j ->> 'tables')::pg_catalog.int8, (j ->> 'rows')::pg_catalog.int8, "
		"(j ->> 'indexes')::pg_catalog.int8, (j ->> 'constraints')::pg_catalog.int8, "
		"(j ->> 'sequences')::pg_catalog.int8, (j ->> 'different')::pg_catalog.int8, "
		"j ->> 'first' FROM (SELECT $1::pg_catalog.jsonb AS j) AS verdict");
	comparison->tables = ledger_bigint(0, 1);
	comparison->rows = ledger_bigint(0, 2);
	comparison->indexes = ledger_bigint(0, 3);
	comparison->constraints = ledger_bigint(0, 4);
	comparison->sequences = ledger_bigint(0, 5);
	if (ledger_bigint(0, 6) > 0)
		comparison->differences = psprintf(
			"%lld %s: %s%s", (long long) ledger_bigint(0, 6),
			ledger_bigint(0, 6) == 1 ? "difference from its manifest"
									 : "differences from its manifest",
			ledger_text(0, 7),
			ledger_bigint(0, 6) > NAMED_DIFFERENCES ? "; …" : "");
	ledger_leave(&scope);
}

void
compare_with_manifest(Comparison *comparison)
{
	StringInfoData script;

	initStringInfo(&script);
	appendStringInfo(&script, expect,
					 quote_literal_cstr(comparison->description->manifest),
					 quote_literal_cstr(comparison->left_out));
	appendStringInfoString(&script, count);
	appendStringInfoString(&script, judge);
	comparison->checked_indexes = -1;
	read_verdict(comparison, run_psql(comparison->login, comparison->settings,
									  script.data));
	if (comparison->amcheck && comparison->differences == NULL)
		check_all_indexes(comparison);
}
