/*-------------------------------------------------------------------------
 *
 * extension_member.c
 *	  Functions and tables of other extensions, and calls of them.
 *
 * An extension may be in a schema in which other roles create functions, and a
 * function whose arguments match better would be called instead:
 * verify_heapam(oid) instead of verify_heapam(regclass).  So functions are
 * called by OID, never by name.
 *
 * Membership is not enough, since the owner of an extension can add functions to
 * it.  Only functions that are written in C and belong to a superuser are
 * called: only superusers can create these.
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
#include "base/rights.h"

/*
 * Returns why a member must not be called, or NULL.  The text names the owner,
 * since that role added the member.
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
			"function %s belongs to role \"%s\", which is not a superuser (execute as a superuser: ALTER FUNCTION %s OWNER TO CURRENT_USER)",
			signature, owner, signature);
	return NULL;
}

/*
 * Find the member of an extension with this name and exactly these types of
 * arguments, in any schema.  Two schemas may have a member with the same
 * signature: one that may be called takes precedence over one that is
 * refused.  Returns whether there is a member that may be called.
 */
bool
find_member_function(const char *extension, const char *name, int count,
					 const Oid *types, MemberFunction *function)
{
	Oid of_extension = get_extension_oid(extension, true);
	CatCList *list;

	memset(function, 0, sizeof(*function));
	if (!OidIsValid(of_extension))
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
				of_extension)
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
 * The same for callers that need the function: its absence is an ERROR.
 */
Oid
require_member_function(const char *extension, const char *name, int count,
						const Oid *types)
{
	MemberFunction function;

	if (!find_member_function(extension, name, count, types, &function))
	{
		if (function.refusal != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot call function %s of extension \"%s\": %s",
							name, extension, function.refusal)));
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("extension \"%s\" has no function %s", extension,
						funcname_signature_string(name, count, NIL, types))));
	}
	return function.oid;
}

/*
 * A table of an extension is read by its name.  That is safe if it is a
 * member, and the table and its schema belong to superusers: no other role can
 * replace it with a view, add a rule or a policy, or rename the schema.
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
	owners[0] = owner_of_object(RELOID, table, Anum_pg_class_relowner);
	owners[1] =
		owner_of_object(NAMESPACEOID, namespace, Anum_pg_namespace_nspowner);
	for (int i = 0; i < lengthof(owners); i++)
	{
		if (!OidIsValid(owners[i]))
			elog(ERROR, "cache lookup failed for table %s or its schema",
				 quote_qualified_identifier(schema, name));
		if (!superuser_arg(owners[i]))
			ereport(
				ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot read table %s of extension \"%s\"",
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
}

/*
 * The server checks no rights in a call by OID.  Check those that it checks in
 * a call in SQL, with the same messages.
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
 * Call a function that returns a set, and return its rows, which are in the
 * current memory context, as are all other allocations of this function.
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
