/*-------------------------------------------------------------------------
 *
 * amcheck.c
 *	  Which of amcheck's functions there are, and calling them.
 *
 * amcheck may be installed in any schema and in any version, so its functions
 * are found among the members of the extension.
 *
 * Damage shows up in two ways: as rows, or as an ERROR.  An ERROR is caught in
 * a subtransaction, so that the rest of a table is still looked at.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "actions/amcheck.h"
#include "base/rights.h"
#include "base/subtransaction.h"
#include "ledger/ledger.h"

/* by AmcheckKind: newer versions have variants with more arguments */
static const struct
{
	const char *name;
	int fewest;
	int most;
} functions[AMCHECK_KINDS] = {
	{"verify_heapam", 6, 6},
	{"bt_index_check", 2, 3},
	{"bt_index_parent_check", 3, 4},
	{"gin_index_check", 1, 1},
};

/* one call, for carry_out() */
typedef struct AmcheckCall
{
	const Amcheck *amcheck;
	AmcheckKind kind;
	Oid relation;
	Oid owner;
	BlockNumber first;
	BlockNumber last;
	Problems *problems;
} AmcheckCall;

const char *
amcheck_name(AmcheckKind kind)
{
	return functions[kind].name;
}

AmcheckKind
amcheck_kind(const char *name)
{
	int kind = 0;

	while (kind < AMCHECK_KINDS && strcmp(functions[kind].name, name) != 0)
		kind++;
	return (AmcheckKind) kind;
}

/*
 * Look amcheck up, and what the role may do with it.
 */
void
find_amcheck(Oid role, Amcheck *amcheck)
{
	LedgerQuery query = {0};
	uint64 rows;

	memset(amcheck, 0, sizeof(*amcheck));
	bind_oid(&query, role);
	rows = ledger_query(
		&query,
		"SELECT e.extversion, n.nspname::pg_catalog.text, p.oid, p.proname::pg_catalog.text, "
		"p.pronargs::pg_catalog.int8, p.oid::pg_catalog.regprocedure::pg_catalog.text, "
		"pg_catalog.has_function_privilege($1, p.oid, 'EXECUTE') "
		"AND pg_catalog.has_schema_privilege($1, n.oid, 'USAGE') "
		"FROM pg_catalog.pg_extension e "
		"JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace "
		"LEFT JOIN pg_catalog.pg_depend d "
		"ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass "
		"AND d.refobjid = e.oid AND d.deptype = 'e' "
		"AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass "
		"LEFT JOIN pg_catalog.pg_proc p ON p.oid = d.objid "
		"WHERE e.extname = 'amcheck'");
	for (uint64 row = 0; row < rows; row++)
	{
		char *name = ledger_text(row, 4);
		int arguments = (int) ledger_bigint(row, 5);

		amcheck->version = ledger_text(row, 1);
		amcheck->schema = ledger_text(row, 2);
		for (int kind = 0; name != NULL && kind < AMCHECK_KINDS; kind++)
		{
			AmcheckFunction *function = &amcheck->functions[kind];

			if (strcmp(functions[kind].name, name) != 0 ||
				arguments < functions[kind].fewest ||
				arguments > functions[kind].most ||
				arguments < function->arguments)
				continue;
			function->oid = ledger_oid(row, 3);
			function->arguments = arguments;
			function->signature = ledger_text(row, 6);
			function->allowed = ledger_boolean(row, 7);
		}
	}
}

/*
 * The call as a person would write it.
 */
char *
amcheck_command(const Amcheck *amcheck, AmcheckKind kind, const char *target)
{
	static const char *const arguments[AMCHECK_KINDS] = {
		", check_toast => true",
		", heapallindexed => true",
		", heapallindexed => true, rootdescend => false",
		"",
	};

	return psprintf(
		"SELECT %s%s(%s%s%s)", kind == AMCHECK_HEAP ? "* FROM " : "",
		quote_qualified_identifier(amcheck->schema, functions[kind].name),
		quote_literal_cstr(target), arguments[kind],
		kind != AMCHECK_HEAP &&
				amcheck->functions[kind].arguments > functions[kind].fewest
			? ", checkunique => true"
			: "");
}

/*
 * These are no answer to the question whether a relation is sound, but the end
 * of the task.
 */
static bool
ends_task(const ErrorData *error)
{
	return asks_to_stop(error) ||
		   error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		   ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
			   ERRCODE_TRANSACTION_ROLLBACK;
}

/*
 * Carry out a call in a subtransaction; returns its ERROR, or NULL.
 */
static ErrorData *
carry_out(void (*work)(void *call), AmcheckCall *call)
{
	ErrorData *error = try_in_subtransaction(work, call);

	if (error != NULL && ends_task(error))
		ReThrowError(error);
	return error;
}

static int64
number_or_unknown(uint64 row, int column)
{
	bool isnull;
	Datum value = ledger_datum(row, column, &isnull);

	return isnull ? -1 : DatumGetInt64(value);
}

/*
 * Some blocks of a table.  Called through SQL, so that it is the server that
 * decides whether the role may.  It runs nobody else's code: operator classes
 * and expressions have no part in it.
 */
static void
verify_blocks(void *argument)
{
	AmcheckCall *call = argument;
	MemoryContext caller = CurrentMemoryContext;
	LedgerQuery query = {0};
	uint64 rows;

	bind_oid(&query, call->relation);
	bind_bigint(&query, call->first);
	bind_bigint(&query, call->last);
	bind_integer(&query, MAX_PROBLEMS);
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	MemoryContextSwitchTo(caller);
	rows = ledger_query(
		&query,
		psprintf(
			"SELECT v.blkno, v.offnum::pg_catalog.int8, v.attnum::pg_catalog.int8, v.msg, "
			"pg_catalog.count(*) OVER () FROM %s.verify_heapam(relation => $1, "
			"on_error_stop => false, check_toast => true, skip => 'none', "
			"startblock => $2, endblock => $3) AS v LIMIT $4",
			quote_identifier(call->amcheck->schema)));
	if (rows > 0)
	{
		call->problems->count += ledger_bigint(0, 5);
		call->problems->sqlstate = ERRCODE_DATA_CORRUPTED;
	}
	for (uint64 row = 0; row < rows; row++)
	{
		Problem *problem = next_problem(call->problems);

		if (problem == NULL)
			break;
		problem->block = number_or_unknown(row, 1);
		problem->offset = (int) number_or_unknown(row, 2);
		problem->attribute = (int) number_or_unknown(row, 3);
		problem->message = ledger_text(row, 4);
	}
	SPI_finish();
	PopActiveSnapshot();
}

/*
 * Where some blocks cannot be read at all, the halves are tried, down to the
 * single block: so one that is bad hides none of the others.  After a number of
 * them the rest is only tried, and not searched any more.
 */
void
check_blocks(const Amcheck *amcheck, Oid relation, BlockNumber first,
			 BlockNumber last, Problems *problems)
{
	AmcheckCall call = {0};
	/* the ends of what is still to be tried, the next on top */
	BlockNumber ends[sizeof(BlockNumber) * BITS_PER_BYTE + 1];
	int waiting = 0;
	int unreadable = 0;

	call.amcheck = amcheck;
	call.kind = AMCHECK_HEAP;
	call.relation = relation;
	call.problems = problems;
	call.first = first;
	ends[waiting++] = last;
	while (waiting > 0)
	{
		ErrorData *error;

		CHECK_FOR_INTERRUPTS();
		call.last = ends[waiting - 1];
		error = carry_out(verify_blocks, &call);
		if (error != NULL && !may_be_damage(error))
			ReThrowError(error);
		if (error != NULL && call.first < call.last &&
			unreadable < MAX_PROBLEMS)
		{
			ends[waiting++] = call.first + (call.last - call.first) / 2;
			continue;
		}
		if (error != NULL)
		{
			unreadable++;
			add_problem(problems, call.first, error);
		}
		call.first = call.last + 1;
		waiting--;
	}
}

static void
read_length(void *argument)
{
	AmcheckCall *call = argument;
	Relation relation = relation_open(call->relation, AccessShareLock);

	call->last = RelationGetNumberOfBlocks(relation);
	relation_close(relation, NoLock);
}

/*
 * How many blocks a table has; none when its files are not there.
 */
BlockNumber
count_blocks(Oid relation, Problems *problems)
{
	AmcheckCall call = {0};
	ErrorData *error;

	call.relation = relation;
	error = carry_out(read_length, &call);
	if (error == NULL)
		return call.last;
	if (!may_be_damage(error))
		ReThrowError(error);
	add_problem(problems, -1, error);
	return 0;
}

/*
 * An index is checked with the operators of its operator class and the
 * functions of its expressions and its predicate, which are other people's
 * code.  The first minor releases of 14 run it with the rights of the caller;
 * so the owner's restricted rights are taken on here, for all servers.
 */
static void
verify_index(void *argument)
{
	const AmcheckCall *call = argument;
	const AmcheckFunction *function = &call->amcheck->functions[call->kind];
	Datum index = ObjectIdGetDatum(call->relation);
	Datum yes = BoolGetDatum(true);
	SavedRights caller;

	PushActiveSnapshot(GetTransactionSnapshot());
	assume_table_owner(call->owner, &caller);
	switch (call->kind)
	{
		case AMCHECK_INDEX:
			if (function->arguments == 2)
				(void) OidFunctionCall2(function->oid, index, yes);
			else
				(void) OidFunctionCall3(function->oid, index, yes, yes);
			break;
		case AMCHECK_INDEX_WITH_PARENT:
			if (function->arguments == 3)
				(void) OidFunctionCall3(function->oid, index, yes,
										BoolGetDatum(false));
			else
				(void) OidFunctionCall4(function->oid, index, yes,
										BoolGetDatum(false), yes);
			break;
		case AMCHECK_GIN:
			(void) OidFunctionCall1(function->oid, index);
			break;
		default:
			elog(ERROR, "unexpected kind of check: %d", (int) call->kind);
	}
	resume_caller(&caller);
	PopActiveSnapshot();
}

/*
 * The caller has seen to it that the role may execute the function.
 */
void
check_index(const Amcheck *amcheck, AmcheckKind kind, Problems *problems,
			Oid index, Oid table_owner)
{
	AmcheckCall call = {0};
	ErrorData *error;

	call.amcheck = amcheck;
	call.kind = kind;
	call.relation = index;
	call.owner = table_owner;
	call.problems = problems;
	error = carry_out(verify_index, &call);
	if (error == NULL)
		return;
	if (!may_be_damage(error))
		ReThrowError(error);
	add_problem(problems, -1, error);
}
