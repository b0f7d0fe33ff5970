/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  pgmaint.allow_compact, and what compact_candidates asks in C.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/rights.h"
#include "compact/measure.h"
#include "ledger/ledger.h"

PG_FUNCTION_INFO_V1(pgmaint_allow_compact);
PG_FUNCTION_INFO_V1(pgmaint_publishes_updates);
PG_FUNCTION_INFO_V1(pgmaint_heap_bloat);

/*
 * May the caller decide that rows of this relation are moved?
 */
static void
check_relation(Oid relation)
{
	char *name = get_rel_name(relation);
	char kind = get_rel_relkind(relation);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a table", name)));
	if (relation < FirstNormalObjectId ||
		is_own_schema(get_rel_namespace(relation)) ||
		get_rel_persistence(relation) == RELPERSISTENCE_TEMP)
		ereport(
			ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("rows of \"%s\" are not moved", name),
			 errdetail(
				 "System catalogs, the ledger and temporary tables are never compacted.")));
	if (!may_maintain_relation(relation, GetUserId()))
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for table %s", name),
			 errhint(
				 "Ask the owner of the table, the owner of the database or a superuser to allow its compaction.")));
}

/*
 * pgmaint.allow_compact(relation regclass, allowed boolean) returns void
 */
Datum
pgmaint_allow_compact(PG_FUNCTION_ARGS)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	Oid relation;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("relation and allowed must not be null")));
	relation = PG_GETARG_OID(0);
	check_relation(relation);
	bind_oid(&query, relation);
	bind_text(&query, GetUserNameFromId(GetUserId(), false));
	ledger_enter(&scope);
	if (PG_GETARG_BOOL(1))
		(void) ledger_query(
			&query,
			"INSERT INTO pgmaint.compact_tables (relation, added_by) VALUES ($1, $2::name) "
			"ON CONFLICT (relation) DO NOTHING");
	else
		(void) ledger_query(
			&query,
			"DELETE FROM pgmaint.compact_tables t WHERE t.relation = $1 AND $2 IS NOT NULL");
	ledger_leave(&scope);
	PG_RETURN_VOID();
}

/*
 * pgmaint_internal.publishes_updates(relation oid) returns boolean
 */
Datum
pgmaint_publishes_updates(PG_FUNCTION_ARGS)
{
	Oid relation = PG_GETARG_OID(0);
	bool publishes;
	Relation rel;

	if (!ConditionalLockRelationOid(relation, AccessShareLock))
		PG_RETURN_NULL();
	rel = try_relation_open(relation, NoLock);
	if (rel == NULL)
		PG_RETURN_NULL();
	publishes = relation_publishes_updates(rel);
	relation_close(rel, AccessShareLock);
	PG_RETURN_BOOL(publishes);
}

/*
 * pgmaint_internal.heap_bloat(relation oid) returns record
 */
Datum
pgmaint_heap_bloat(PG_FUNCTION_ARGS)
{
	Datum values[4] = {0};
	bool nulls[4] = {true, true, true, true};
	TupleDesc descriptor;
	TableBloat bloat;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (measure_heap(PG_GETARG_OID(0), &bloat))
	{
		values[0] = Int64GetDatum(bloat.heap_bytes);
		values[1] = Int64GetDatum(bloat.heap_bloat_bytes);
		values[2] = Float8GetDatum(heap_bloat_ratio(&bloat));
		values[3] = Float8GetDatum(bloat.margin);
		memset(nulls, false, sizeof(nulls));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}
