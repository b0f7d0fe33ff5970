/*-------------------------------------------------------------------------
 *
 * extension_member.c
 *	  Functions and tables of other extensions, and calling them.
 *
 * An extension may be in a schema in which others create functions, and one
 * whose arguments fit better wins over the extension's own: verify_heapam(oid)
 * over verify_heapam(regclass).  So functions are called by OID, never by name.
 *
 * Being a member proves little, since the owner of an extension can add what is
 * his.  Only what is written in C and belongs to a superuser is called: nobody
 * else can make such a function.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension_member.h"

/*
 * Why a member is not to be called, or NULL.  The owner is named, since that is
 * who has added it.
 */
static char *
refuse_function(Form_pg_proc function)
{
	char *signature = format_procedure(function->oid);
	char *owner = GetUserNameFromId(function->proowner, false);

	if (function->prolang != ClanguageId)
		return psprintf("function %s of role \"%s\" is not written in C",
						signature, owner);
	if (!superuser_arg(function->proowner))
		return psprintf(
			"function %s belongs to role \"%s\", which is not a superuser "
			"(a superuser can take it: ALTER FUNCTION %s OWNER TO "
			"CURRENT_USER)",
			signature, owner, signature);
	return NULL;
}

/*
 * Look for the member of an extension with this name and exactly these types
 * of arguments, in whatever schema it is.  A member that is refused gives way
 * to one that is not: both may have this signature, in two schemas.  Returns
 * whether there is one to be called.
 */
bool
find_member_function(const char *extension, const char *name, int count,
					 const Oid *types, MemberFunction *function)
{
	Oid extension_oid = get_extension_oid(extension, true);
	CatCList *list;

	memset(function, 0, sizeof(*function));
	if (!OidIsValid(extension_oid))
		return false;
	list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_proc candidate =
			(Form_pg_proc) GETSTRUCT(&list->members[i]->tuple);
		char *refusal;

		if (candidate->pronargs != count ||
			(count > 0 && memcmp(candidate->proargtypes.values, types,
								 count * sizeof(Oid)) != 0) ||
			getExtensionOfObject(ProcedureRelationId, candidate->oid) !=
				extension_oid)
			continue;
		refusal = refuse_function(candidate);
		if (refusal == NULL)
			function->oid = candidate->oid;
		else
			function->refusal =
				function->refusal == NULL
					? refusal
					: psprintf("%s; %s", function->refusal, refusal);
	}
	ReleaseSysCacheList(list);
	return OidIsValid(function->oid);
}

/*
 * The same for callers that cannot do without the function.
 */
Oid
require_member_function(const char *extension, const char *name, int count,
						const Oid *types)
{
	MemberFunction function;

	if (!find_member_function(extension, name, count, types, &function))
	{
		if (function.refusal != NULL)
			ereport(
				ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("function %s of extension \"%s\" is not called: %s",
						name, extension, function.refusal)));
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("extension \"%s\" has no function %s", extension,
						funcname_signature_string(name, count, NIL, types))));
	}
	return function.oid;
}

/*
 * Who can put a view, a rule or a policy in the place of a table or upon it.
 */
static Oid
owner_of_table(Oid table)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", table);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Who can rename a schema, and make another in its place.
 */
static Oid
owner_of_schema(Oid schema)
{
	HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", schema);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * A table of an extension is read by its name.  That is safe where it is a
 * member, and it and its schema belong to superusers: nobody else can put a
 * view, a rule or a policy in its place, or rename the schema.
 */
void
require_member_table(const char *extension, const char *schema,
					 const char *name)
{
	Oid namespace = get_namespace_oid(schema, false);
	Oid table = get_relname_relid(name, namespace);
	Oid owners[2];

	if (!OidIsValid(table))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("extension \"%s\" has no table %s", extension,
							   quote_qualified_identifier(schema, name))));
	if (getExtensionOfObject(RelationRelationId, table) !=
		get_extension_oid(extension, false))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s does not belong to extension \"%s\"",
						quote_qualified_identifier(schema, name), extension)));
	owners[0] = owner_of_table(table);
	owners[1] = owner_of_schema(namespace);
	for (int i = 0; i < lengthof(owners); i++)
		if (!superuser_arg(owners[i]))
			ereport(
				ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s of extension \"%s\" is not read",
						quote_qualified_identifier(schema, name), extension),
				 errdetail("%s belongs to role \"%s\", which is not a "
						   "superuser.",
						   i == 0 ? "The table" : "Its schema",
						   GetUserNameFromId(owners[i], false)),
				 errhint("As a superuser, execute ALTER %s %s OWNER TO "
						 "CURRENT_USER.",
						 i == 0 ? "TABLE" : "SCHEMA",
						 i == 0 ? quote_qualified_identifier(schema, name)
								: quote_identifier(schema))));
}

/*
 * A call by OID asks for nobody's rights, so those are checked here that the
 * server asks for when the call is one in SQL, with its messages.
 */
static void
check_rights(Oid function)
{
	Oid schema = get_func_namespace(function);

	if (!schema_usage_privilege(schema, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA,
					   get_namespace_name(schema));
	if (!function_execute_privilege(function, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION,
					   get_func_name(function));
	InvokeFunctionExecuteHook(function);
}

/*
 * Call a function that returns one value, which may be a row.  Arguments may be
 * null where the function is not strict.
 */
Datum
call_member_function(Oid function, int count, const NullableDatum *arguments)
{
	LOCAL_FCINFO(call, MEMBER_MAX_ARGUMENTS);
	FmgrInfo info;
	Datum result;

	check_rights(function);
	fmgr_info(function, &info);
	InitFunctionCallInfoData(*call, &info, (short) count, InvalidOid, NULL,
							 NULL);
	for (int i = 0; i < count; i++)
		call->args[i] = arguments[i];
	result = FunctionCallInvoke(call);
	if (call->isnull)
		elog(ERROR, "function %u returned NULL", function);
	return result;
}

/*
 * Call a function that returns a set, and hand its rows back.  They are in the
 * current memory context, as is all else that this leaves behind.
 */
Tuplestorestate *
call_member_set(Oid function, int count, const NullableDatum *arguments,
				TupleDesc *descriptor)
{
	LOCAL_FCINFO(call, MEMBER_MAX_ARGUMENTS);
	FmgrInfo info;
	ReturnSetInfo set = {0};

	check_rights(function);
	set.type = T_ReturnSetInfo;
	set.econtext = CreateStandaloneExprContext();
	set.allowedModes = SFRM_Materialize;
	fmgr_info(function, &info);
	InitFunctionCallInfoData(*call, &info, (short) count, InvalidOid, NULL,
							 (Node *) &set);
	for (int i = 0; i < count; i++)
		call->args[i] = arguments[i];
	(void) FunctionCallInvoke(call);
	if (set.returnMode != SFRM_Materialize || set.setResult == NULL ||
		set.setDesc == NULL)
		elog(ERROR, "function %u returned no set of rows", function);
	*descriptor = set.setDesc;
	return set.setResult;
}
