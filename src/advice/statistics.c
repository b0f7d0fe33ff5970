/*-------------------------------------------------------------------------
 *
 * statistics.c
 *	  The statements to examine, and those that are left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "advice/advice.h"
#include "ledger/ledger.h"

static double
number(uint64 row, const char *column)
{
	bool isnull;
	Datum value = named_datum(row, column, &isnull);

	return isnull ? 0 : DatumGetFloat8(value);
}

/*
 * Those that took most time, with the search path that sessions of their
 * roles begin with.
 */
List *
read_statements(const AdviceLimits *limits)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	List *statements = NIL;
	uint64 rows;

	ledger_enter(&scope);
	bind_bigint(&query, limits->min_calls);
	bind_double(&query, limits->min_mean_ms);
	bind_bigint(&query, limits->max_statements);
	rows = ledger_query(
		&query,
		"SELECT s.userid, s.queryid, s.query, pgmaint_internal.search_path_of(s.userid) AS search_path, "
		"s.calls::pg_catalog.float8, s.total_ms, s.rows::pg_catalog.float8, "
		"(s.shared_hit + s.shared_read)::pg_catalog.float8 AS blocks, "
		"greatest(3600, extract(epoch FROM pg_catalog.clock_timestamp() "
		"- i.counted_since)::pg_catalog.float8) / 86400 AS days "
		"FROM pgmaint_internal.statement_statistics() s CROSS JOIN pgmaint_internal.statements_since() i "
		"JOIN pg_catalog.pg_roles u ON u.oid = s.userid "
		"WHERE s.calls >= $1 AND s.mean_ms >= $2 AND s.query IS NOT NULL "
		"AND NOT pgmaint_internal.is_own_statement(s.query) "
		/* what has no plan, by its first word */
		"AND s.query !~* '^[[:space:]]*(BEGIN|COMMIT|END|ROLLBACK|SET|RESET|SHOW|CREATE|ALTER|DROP|ANALYZE|VACUUM|REINDEX|CLUSTER"
		"|COPY|TRUNCATE|GRANT|REVOKE|COMMENT|CALL|DO|CHECKPOINT|LOCK|FETCH|CLOSE|DISCARD|REFRESH|EXPLAIN|DEALLOCATE"
		"|LISTEN|NOTIFY|UNLISTEN|SAVEPOINT|RELEASE|START|LOAD|IMPORT|SECURITY|REASSIGN|EXECUTE)(?![[:alnum:]_])' "
		"ORDER BY s.total_ms DESC, s.queryid LIMIT $3");
	for (uint64 row = 0; row < rows; row++)
	{
		Statement *statement = palloc0(sizeof(Statement));

		statement->role = named_oid(row, "userid");
		statement->query_id = named_bigint(row, "queryid");
		statement->text = named_text(row, "query");
		statement->search_path = named_text(row, "search_path");
		statement->calls = number(row, "calls");
		statement->total_ms = number(row, "total_ms");
		statement->rows = number(row, "rows");
		statement->blocks = number(row, "blocks");
		statement->days = number(row, "days");
		statements = lappend(statements, statement);
	}
	ledger_leave(&scope);
	return statements;
}

/*
 * Count a statement, or a table, without advice.
 */
void
leave_out(AdviceResult *result, const char *why, const char *example)
{
	LeftOut *entry;
	ListCell *cell;

	foreach (cell, result->left_out)
	{
		entry = lfirst(cell);
		if (strcmp(entry->why, why) == 0)
		{
			entry->count++;
			return;
		}
	}
	entry = palloc0(sizeof(LeftOut));
	entry->why = pstrdup(why);
	entry->count = 1;
	entry->example = example == NULL ? NULL : pstrdup(example);
	result->left_out = lappend(result->left_out, entry);
}
