/*-------------------------------------------------------------------------
 *
 * existing.c
 *	  Comparison of an advised index with existing ones.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "advice/advice.h"
#include "ledger/ledger.h"

/*
 * The columns as pgmaint_internal.index_definitions has them; NULL where there is an
 * expression among them, or a predicate.
 */
static ArrayType *
list_keys(const Candidate *index)
{
	Datum *keys = palloc(sizeof(Datum) * list_length(index->columns));
	int count = 0;
	ListCell *cell;

	if (index->predicate != NIL)
		return NULL;
	foreach (cell, index->columns)
	{
		const IndexColumn *column = lfirst(cell);

		if (column->attnum == 0)
			return NULL;
		keys[count++] = CStringGetTextDatum(psprintf(
			"%d|%u|%u|%d", column->attnum, column->opclass, column->collation,
			(column->descending ? INDOPTION_DESC : 0) |
				(column->nulls_first ? INDOPTION_NULLS_FIRST : 0)));
	}
	return construct_array(keys, count, TEXTOID, -1, false, TYPALIGN_INT);
}

/*
 * An existing index that is invalid should be rebuilt, not created again; one
 * whose columns the new one begins with can be dropped.
 */
void
compare_with_existing(Advice *advice)
{
	ArrayType *keys = list_keys(advice->index);
	LedgerQuery query = {0};
	LedgerScope scope;
	uint64 rows;

	if (keys == NULL)
		return;
	ledger_enter(&scope);
	bind_oid(&query, advice->index->relation);
	bind_datum(&query, TEXTARRAYOID, PointerGetDatum(keys));
	rows = ledger_query(
		&query,
		"SELECT pg_catalog.format('%I.%I', d.schema, d.index_name), d.is_valid, d.keys = $2 "
		"FROM pgmaint_internal.index_definitions d WHERE d.relation = $1 AND d.method = 'btree' "
		"AND d.predicate IS NULL AND d.keys = $2[1:d.key_count] "
		"AND (NOT d.is_valid AND d.keys = $2 OR d.is_valid AND NOT d.is_unique AND NOT d.has_constraint "
		"AND NOT d.is_replica_identity AND NOT d.is_clustered AND NOT d.is_part AND NOT d.has_included) "
		"ORDER BY d.is_valid, d.key_count DESC");
	if (rows > 0 && !ledger_boolean(0, 2))
	{
		advice->command =
			psprintf("REINDEX INDEX CONCURRENTLY %s", ledger_text(0, 1));
		advice->note =
			"the index exists but is invalid, unless a session is building it now";
	}
	else if (rows > 0)
		advice->note = psprintf("replaces %s, which can be dropped afterwards",
								ledger_text(0, 1));
	ledger_leave(&scope);
}
