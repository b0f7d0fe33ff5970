/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  add_retention and drop_retention.
 *
 * add_retention raises an ERROR for everything that would prevent the policy
 * from working.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/random.h"
#include "objects/storage_names.h"
#include "retention/checks.h"
#include "retention/refusal.h"
#include "retention/timezone.h"
#include "storage/storage.h"

PG_FUNCTION_INFO_V1(pgmaint_add_retention);
PG_FUNCTION_INFO_V1(pgmaint_drop_retention);

#define DEFAULT_COMPRESSION "gzip"

/* pgmaint.add_retention's arguments */
enum
{
	ARG_RELATION,
	ARG_TIME_COLUMN,
	ARG_KEEP,
	ARG_FILTER,
	ARG_ARCHIVE,
	ARG_STORAGE,
	ARG_COMPRESSION,
	ARG_LEVEL,
	ARG_SLICE,
	ARG_TIMEZONE,
	ARG_PASS_TRIGGERS
};

static void
raise_refusal(const Refusal *refusal)
{
	const char *state = refusal->sqlstate;

	if (refusal->message == NULL)
		return;
	ereport(ERROR, (errcode(MAKE_SQLSTATE(state[0], state[1], state[2],
										  state[3], state[4])),
					errmsg("%s", refusal->message),
					refusal->hint == NULL ? 0 : errhint("%s", refusal->hint)));
}

/*
 * Test the storage with a small object before the policy is added.
 */
static void
try_storage(const char *name)
{
	Storage *storage = storage_open(name, STORAGE_WRITE);
	char *key = psprintf("pgmaint-check-%s", random_name(8));

	storage_put_text(storage, key, "text/plain", "check", "pgmaint\n");
	storage_delete(storage, key);
}

/*
 * Read the arguments that apply only if rows are archived.
 */
static void
read_archive_arguments(FunctionCallInfo fcinfo, RetentionPolicy *policy)
{
	char *compression =
		PG_ARGISNULL(ARG_COMPRESSION)
			? pstrdup(DEFAULT_COMPRESSION)
			: text_to_cstring(PG_GETARG_TEXT_PP(ARG_COMPRESSION));

	if (!policy->archive)
	{
		if (!PG_ARGISNULL(ARG_STORAGE) || !PG_ARGISNULL(ARG_COMPRESSION) ||
			!PG_ARGISNULL(ARG_LEVEL))
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("storage, compression and compression_level must "
						"not be given when archive is false"),
				 errhint("Omit these arguments, or pass archive => true.")));
		return;
	}
	if (!PG_ARGISNULL(ARG_STORAGE))
		policy->storage = text_to_cstring(PG_GETARG_TEXT_PP(ARG_STORAGE));
	policy->compression = find_compression(compression);
	if (policy->compression == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown compression \"%s\"", compression),
				 errhint("Choose one of these: %s.", compression_names())));
	policy->compression_level = PG_ARGISNULL(ARG_LEVEL)
									? policy->compression->default_level
									: PG_GETARG_INT32(ARG_LEVEL);
	if (policy->compression_level < policy->compression->minimum_level ||
		policy->compression_level > policy->compression->maximum_level)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("compression_level %d is out of range",
							   policy->compression_level),
						errhint("For %s, pass a level from %d to %d.",
								policy->compression->name,
								policy->compression->minimum_level,
								policy->compression->maximum_level)));
}

/*
 * Every run checks the partitions that it removes rows from; this check
 * reports the error when the policy is added.
 */
static void
refuse_published_partitions(Oid relation)
{
	List *tree;
	Refusal *refusals;

	if (get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE)
		return;
	tree = find_all_inheritors(relation, NoLock, NULL);
	refusals = palloc0(sizeof(Refusal) * list_length(tree));
	refuse_published(tree, refusals);
	for (int i = 0; i < list_length(tree); i++)
		raise_refusal(&refusals[i]);
}

static int64
insert_policy(const RetentionPolicy *policy, FunctionCallInfo fcinfo, Oid role)
{
	LedgerQuery query = {0};

	bind_datum(&query, REGCLASSOID, ObjectIdGetDatum(policy->relation));
	bind_text(&query, policy->time_column);
	bind_datum(&query, INTERVALOID, PG_GETARG_DATUM(ARG_KEEP));
	bind_text(&query, policy->filter);
	bind_boolean(&query, policy->archive);
	bind_text(&query, policy->storage);
	bind_text(&query, policy->archive ? policy->compression->name : NULL);
	if (policy->archive)
		bind_integer(&query, policy->compression_level);
	else
		bind_null(&query, INT4OID);
	if (PG_ARGISNULL(ARG_SLICE))
		bind_null(&query, INTERVALOID);
	else
		bind_datum(&query, INTERVALOID, PG_GETARG_DATUM(ARG_SLICE));
	bind_text(&query, policy->owner);
	bind_text(&query, GetUserNameFromId(role, false));
	bind_text(&query, policy->timezone);
	bind_boolean(&query, policy->pass_triggers);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.retention_policies (relation, time_column, keep, filter, archive, "
		"storage, compression, compression_level, slice, owner, added_by, "
		"timezone, pass_triggers) "
		"VALUES ($1, $2::pg_catalog.name, $3, $4, $5, $6::pg_catalog.name, $7, $8, $9, "
		"$10::pg_catalog.name, $11::pg_catalog.name, $12, $13) RETURNING policy_id");
	return ledger_bigint(0, 1);
}

static void
require_arguments(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"relation", "time_column", "keep"};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("%s must not be null", names[i])));
	}
	if (PG_ARGISNULL(ARG_ARCHIVE))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("archive must be true or false")));
	if (PG_ARGISNULL(ARG_PASS_TRIGGERS))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("pass_triggers must be true or false")));
}

/*
 * pgmaint.add_retention(...) returns bigint
 */
Datum
pgmaint_add_retention(PG_FUNCTION_ARGS)
{
	RetentionPolicy policy = {0};
	Oid role = GetUserId();
	Relation relation;
	Oid owner;
	Refusal refusal;
	LedgerScope scope;
	int64 policy_id;

	PreventCommandDuringRecovery("pgmaint.add_retention()");
	PreventCommandIfReadOnly("pgmaint.add_retention()");
	require_arguments(fcinfo);
	policy.relation = PG_GETARG_OID(ARG_RELATION);
	policy.time_column = pstrdup(NameStr(*PG_GETARG_NAME(ARG_TIME_COLUMN)));
	policy.archive = PG_GETARG_BOOL(ARG_ARCHIVE);
	policy.pass_triggers = PG_GETARG_BOOL(ARG_PASS_TRIGGERS);
	if (!PG_ARGISNULL(ARG_FILTER))
		policy.filter = text_to_cstring(PG_GETARG_TEXT_PP(ARG_FILTER));
	check_keep(PG_GETARG_INTERVAL_P(ARG_KEEP));
	if (!PG_ARGISNULL(ARG_SLICE))
		check_slice(PG_GETARG_INTERVAL_P(ARG_SLICE));
	read_archive_arguments(fcinfo, &policy);

	/* the lock keeps the table and its owner until the policy is added */
	relation = relation_open(policy.relation, AccessShareLock);
	owner = relation->rd_rel->relowner;
	policy.owner = GetUserNameFromId(owner, false);
	ledger_enter(&scope);
	follow_storage_names(true);
	refuse_table(policy.relation, policy.archive, role, &refusal);
	raise_refusal(&refusal);
	refuse_published_partitions(policy.relation);
	check_time_column(policy.relation, policy.time_column);
	policy.timezone = choose_timezone(
		PG_ARGISNULL(ARG_TIMEZONE)
			? NULL
			: text_to_cstring(PG_GETARG_TEXT_PP(ARG_TIMEZONE)));
	if (!PG_ARGISNULL(ARG_SLICE))
		check_slice_of_dates(&policy, PG_GETARG_INTERVAL_P(ARG_SLICE));
	if (policy.filter != NULL)
		check_filter(policy.filter);
	check_condition(&policy, owner);
	if (policy.archive && policy.storage == NULL)
		refuse_no_storage();
	ledger_leave(&scope);
	if (policy.archive)
		try_storage(policy.storage);

	ledger_enter(&scope);
	warn_without_index(policy.relation, policy.time_column);
	policy_id = insert_policy(&policy, fcinfo, role);
	ledger_leave(&scope);
	relation_close(relation, NoLock);
	PG_RETURN_INT64(policy_id);
}

/*
 * pgmaint.drop_retention(policy_id bigint) returns void
 */
Datum
pgmaint_drop_retention(PG_FUNCTION_ARGS)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	Oid role = GetUserId();

	PreventCommandDuringRecovery("pgmaint.drop_retention()");
	PreventCommandIfReadOnly("pgmaint.drop_retention()");
	bind_bigint(&query, PG_GETARG_INT64(0));
	bind_oid(&query, role);
	ledger_enter(&scope);
	if (ledger_query(
			&query,
			"SELECT c.oid IS NULL OR pg_catalog.pg_has_role($2, c.relowner, 'USAGE') "
			"FROM pgmaint.retention_policies p LEFT JOIN pg_catalog.pg_class c ON c.oid = p.relation "
			"WHERE p.policy_id = $1 FOR UPDATE OF p") == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("retention policy %lld does not exist",
							   (long long) PG_GETARG_INT64(0)),
						errhint("List the policies with SELECT * FROM "
								"pgmaint.retention_policies.")));
	if (!ledger_boolean(0, 1))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of the table of retention policy %lld",
						(long long) PG_GETARG_INT64(0))));
	(void) ledger_query(
		&query,
		"DELETE FROM pgmaint.retention_policies WHERE policy_id = $1 AND $2 <> 0");
	ledger_leave(&scope);
	PG_RETURN_VOID();
}
