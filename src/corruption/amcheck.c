/*-------------------------------------------------------------------------
 *
 * amcheck.c
 *	  Lookup and calls of amcheck's functions.
 *
 * amcheck may be installed in any schema and in any version, so its functions
 * are found among the members of the extension, and called by OID.
 *
 * Damage shows up in two ways: as rows, or as an ERROR.  An ERROR is caught in
 * a subtransaction, so that the rest of a table is still looked at.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/extension_member.h"
#include "base/rights.h"
#include "base/subtransaction.h"
#include "corruption/amcheck.h"
#include "ledger/ledger.h"

/* by AmcheckKind */
static const char *const names[AMCHECK_KINDS] = {
	"verify_heapam",
	"bt_index_check",
	"bt_index_parent_check",
	"gin_index_check",
};

/* the functions of amcheck's versions; the one with most arguments comes first */
static const struct
{
	AmcheckKind kind;
	int count;
	Oid types[MEMBER_MAX_ARGUMENTS];
} signatures[] = {
	{AMCHECK_HEAP,
	 6,
	 {REGCLASSOID, BOOLOID, BOOLOID, TEXTOID, INT8OID, INT8OID}},
	{AMCHECK_INDEX, 3, {REGCLASSOID, BOOLOID, BOOLOID}},
	{AMCHECK_INDEX, 2, {REGCLASSOID, BOOLOID}},
	{AMCHECK_INDEX_WITH_PARENT, 4, {REGCLASSOID, BOOLOID, BOOLOID, BOOLOID}},
	{AMCHECK_INDEX_WITH_PARENT, 3, {REGCLASSOID, BOOLOID, BOOLOID}},
	{AMCHECK_GIN, 1, {REGCLASSOID}},
};

/* one call, for call_in_subtransaction() */
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
	return names[kind];
}

AmcheckKind
amcheck_kind(const char *name)
{
	int kind = 0;

	while (kind < AMCHECK_KINDS && strcmp(names[kind], name) != 0)
		kind++;
	return (AmcheckKind) kind;
}

/*
 * Look up amcheck's functions, and whether the role may execute them.  A
 * refused function counts only where no other exists for this kind of check.
 */
void
find_amcheck(Oid role, Amcheck *amcheck)
{
	LedgerQuery query = {0};

	memset(amcheck, 0, sizeof(*amcheck));
	if (ledger_query(
			&query, "SELECT e.extversion, n.nspname::pg_catalog.text "
					"FROM pg_catalog.pg_extension e "
					"JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace "
					"WHERE e.extname = 'amcheck'") == 0)
		return;
	amcheck->version = ledger_text(0, 1);
	amcheck->schema = ledger_text(0, 2);
	for (int i = 0; i < lengthof(signatures); i++)
	{
		AmcheckKind kind = signatures[i].kind;
		AmcheckFunction *function = &amcheck->functions[kind];
		MemberFunction member;

		if (OidIsValid(function->oid))
			continue;
		if (find_member_function("amcheck", names[kind], signatures[i].count,
								 signatures[i].types, &member))
		{
			function->oid = member.oid;
			function->refusal = NULL;
			function->arguments = signatures[i].count;
			function->signature = format_procedure(member.oid);
			function->allowed =
				function_execute_privilege(member.oid, role) &&
				schema_usage_privilege(get_func_namespace(member.oid), role);
		}
		else if (member.refusal != NULL)
			function->refusal = member.refusal;
	}
}

/*
 * Is there a function for this kind of check, which the role may execute?
 */
bool
can_be_checked(const Amcheck *amcheck, AmcheckKind kind)
{
	return kind != AMCHECK_KINDS && OidIsValid(amcheck->functions[kind].oid) &&
		   amcheck->functions[kind].allowed;
}

/*
 * Does the function for B-trees have the argument checkunique, of newer
 * versions?
 */
static bool
checks_uniqueness(AmcheckKind kind, const AmcheckFunction *function)
{
	return (kind == AMCHECK_INDEX && function->arguments == 3) ||
		   (kind == AMCHECK_INDEX_WITH_PARENT && function->arguments == 4);
}

/*
 * The call as a person would write it, who may execute it: cast, so that no
 * function for other types wins.
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

	return psprintf("SELECT %s%s(%s::pg_catalog.regclass%s%s)",
					kind == AMCHECK_HEAP ? "* FROM " : "",
					quote_qualified_identifier(amcheck->schema, names[kind]),
					quote_literal_cstr(target), arguments[kind],
					checks_uniqueness(kind, &amcheck->functions[kind])
						? ", checkunique => true"
						: "");
}

/*
 * These errors do not tell whether a relation is sound; they end the task.
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
call_in_subtransaction(void (*work)(void *call), AmcheckCall *call)
{
	ErrorData *error = try_in_subtransaction(work, call);

	if (error != NULL && ends_task(error))
		ReThrowError(error);
	return error;
}

/*
 * A column of a row of verify_heapam's; -1 stands for null.
 */
static int
number_or_unknown(TupleTableSlot *row, int column)
{
	bool isnull;
	Datum value = slot_getattr(row, column, &isnull);

	return isnull ? -1 : DatumGetInt32(value);
}

/*
 * Add a row of verify_heapam's, which are (blkno bigint, offnum integer,
 * attnum integer, msg text), to the problems.
 */
static void
add_row(Problems *problems, TupleTableSlot *row)
{
	Problem *problem = next_problem(problems);
	bool isnull;
	Datum value;

	problems->count++;
	problems->sqlstate = ERRCODE_DATA_CORRUPTED;
	if (problem == NULL)
		return;
	value = slot_getattr(row, 1, &isnull);
	if (!isnull)
		problem->block = DatumGetInt64(value);
	problem->offset = number_or_unknown(row, 2);
	problem->attribute = number_or_unknown(row, 3);
	value = slot_getattr(row, 4, &isnull);
	problem->message = isnull ? NULL : TextDatumGetCString(value);
}

/*
 * Some blocks of a table.  The rows are in a memory context of their own,
 * since a large table has many batches of blocks.  This executes no code of
 * other roles: operator classes and expressions are not called.
 */
static void
verify_blocks(void *argument)
{
	AmcheckCall *call = argument;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(
		CurTransactionContext, "pgmaint blocks", ALLOCSET_DEFAULT_SIZES);
	const NullableDatum arguments[] = {
		{ObjectIdGetDatum(call->relation), false},
		{BoolGetDatum(false), false}, /* on_error_stop */
		{BoolGetDatum(true), false},  /* check_toast */
		{CStringGetTextDatum("none"), false},
		{Int64GetDatum(call->first), false},
		{Int64GetDatum(call->last), false},
	};
	TupleDesc descriptor;
	Tuplestorestate *rows;
	TupleTableSlot *row;

	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
	rows = call_member_set(call->amcheck->functions[AMCHECK_HEAP].oid,
						   lengthof(arguments), arguments, &descriptor);
	row = MakeSingleTupleTableSlot(descriptor, &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(caller);
	while (tuplestore_gettupleslot(rows, true, false, row))
	{
		CHECK_FOR_INTERRUPTS();
		add_row(call->problems, row);
	}
	ExecDropSingleTupleTableSlot(row);
	tuplestore_end(rows);
	MemoryContextDelete(context);
	PopActiveSnapshot();
}

/*
 * Where some blocks cannot be read at all, the halves are tried, down to the
 * single block: so one that is bad hides none of the others.  After a number
 * of bad blocks, ranges are only tried, and no longer searched.
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
		error = call_in_subtransaction(verify_blocks, &call);
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
	error = call_in_subtransaction(read_length, &call);
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
			if (checks_uniqueness(call->kind, function))
				(void) OidFunctionCall3(function->oid, index, yes, yes);
			else
				(void) OidFunctionCall2(function->oid, index, yes);
			break;
		case AMCHECK_INDEX_WITH_PARENT:
			if (checks_uniqueness(call->kind, function))
				(void) OidFunctionCall4(function->oid, index, yes,
										BoolGetDatum(false), yes);
			else
				(void) OidFunctionCall3(function->oid, index, yes,
										BoolGetDatum(false));
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
 * The caller has checked that the role may execute the function.
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
	error = call_in_subtransaction(verify_index, &call);
	if (error == NULL)
		return;
	if (!may_be_damage(error))
		ReThrowError(error);
	add_problem(problems, -1, error);
}
