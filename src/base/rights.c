/*-------------------------------------------------------------------------
 *
 * rights.c
 *	  Switches between the rights of roles.
 *
 * Commands act with the rights of the role that queued the run; the ledger is
 * written with the rights of the extension's owner.  All switches between the
 * two are in this file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/rights.h"

PG_FUNCTION_INFO_V1(pgmaint_may_maintain);
PG_FUNCTION_INFO_V1(pgmaint_may_reindex);

/*
 * The extension's own OID, which differs from that of an installation that was
 * dropped and created again meanwhile.
 */
Oid
extension_oid(bool missing_ok)
{
	return get_extension_oid("pgmaint", missing_ok);
}

/*
 * Is a schema one of OWN_SCHEMAS?
 */
bool
is_own_schema(Oid schema)
{
	return schema == get_namespace_oid("pgmaint", true) ||
		   schema == get_namespace_oid("pgmaint_internal", true);
}

/*
 * The library and the tables must have the same version: a new library is
 * loaded as soon as it is installed, the tables follow with ALTER EXTENSION.
 */
static void
check_version(const char *version)
{
	if (strcmp(version, PGMAINT_VERSION) != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg(
				 "extension \"pgmaint\" has version %s in this database, but its library has version %s",
				 version, PGMAINT_VERSION),
			 errhint(
				 "Execute ALTER EXTENSION pgmaint UPDATE, or start a new session if the extension is up to date.")));
}

/* the row of the extension */
typedef struct ExtensionRow
{
	Oid oid;
	Oid owner;
	Oid schema;
	char *version;
} ExtensionRow;

/*
 * Read the row of the extension; false if there is none.
 */
static bool
read_extension(ExtensionRow *row)
{
	Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	memset(row, 0, sizeof(*row));
	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum("pgmaint"));
	scan =
		systable_beginscan(catalog, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);
		bool isnull;
		Datum value = heap_getattr(tuple, Anum_pg_extension_extversion,
								   RelationGetDescr(catalog), &isnull);

		row->oid = form->oid;
		row->owner = form->extowner;
		row->schema = form->extnamespace;
		row->version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return OidIsValid(row->owner);
}

/*
 * The schema that is a member of the extension; InvalidOid without one.
 */
static Oid
member_schema(Oid extension)
{
	Relation catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;
	Oid schema = InvalidOid;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(ExtensionRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(extension));
	scan = systable_beginscan(catalog, DependReferenceIndexId, true, NULL, 2,
							  keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->classid == NamespaceRelationId &&
			form->deptype == DEPENDENCY_EXTENSION)
			schema = form->objid;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return schema;
}

/*
 * Find a schema of the extension that was renamed; false if both have their
 * names.  ALTER SCHEMA RENAME does not ask the extension, and any role may
 * have created another schema of the old name since.
 */
static bool
find_renamed_schema(const ExtensionRow *row, RenamedSchema *renamed)
{
	char *name = get_namespace_name(row->schema);
	Oid internal;

	renamed->name = "pgmaint";
	renamed->now = name;
	if (name == NULL || strcmp(name, renamed->name) != 0)
		return name != NULL;

	renamed->name = "pgmaint_internal";
	internal = get_namespace_oid(renamed->name, true);
	if (OidIsValid(internal) &&
		getExtensionOfObject(NamespaceRelationId, internal) == row->oid)
		return false;
	renamed->now = get_namespace_name(member_schema(row->oid));
	return renamed->now != NULL;
}

bool
schema_is_renamed(RenamedSchema *renamed)
{
	ExtensionRow row;

	return read_extension(&row) && find_renamed_schema(&row, renamed);
}

/*
 * The owner of the extension, and so of its tables.
 *
 * Statements name the schemas, so none works while one of them is renamed.
 */
static Oid
extension_owner(void)
{
	ExtensionRow row;
	RenamedSchema renamed;

	if (!read_extension(&row))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("extension \"pgmaint\" does not exist")));
	check_version(row.version);
	if (find_renamed_schema(&row, &renamed))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("schema \"%s\" of extension \"pgmaint\" was "
							   "renamed to \"%s\"",
							   renamed.name, renamed.now),
						errhint("Execute ALTER SCHEMA %s RENAME TO %s.",
								quote_identifier(renamed.now), renamed.name)));
	pfree(row.version);
	return row.owner;
}

/*
 * Raise an ERROR with a hint if pgmaint cannot work in this database.
 */
void
require_extension(void)
{
	(void) extension_owner();
}

/*
 * Assume the rights of the extension's owner, under a search path in which no
 * other role's operators or functions come first.  An ERROR undoes both with
 * the transaction; otherwise resume_caller() does.
 */
void
assume_owner(SavedRights *caller)
{
	GetUserIdAndSecContext(&caller->user, &caller->security_context);
	caller->settings_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SetUserIdAndSecContext(extension_owner(),
						   caller->security_context |
							   SECURITY_LOCAL_USERID_CHANGE);
}

/*
 * Assume the rights of a table's owner, whose code may run: in a
 * security-restricted operation, so that the code cannot affect the role that
 * queued the run.  resume_caller() ends it, and so does an ERROR, with the
 * transaction.
 */
void
assume_table_owner(Oid owner, SavedRights *caller)
{
	GetUserIdAndSecContext(&caller->user, &caller->security_context);
	caller->settings_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SetUserIdAndSecContext(owner, caller->security_context |
									  SECURITY_RESTRICTED_OPERATION);
}

/*
 * Return to the rights of the caller.
 */
void
resume_caller(const SavedRights *caller)
{
	AtEOXact_GUC(false, caller->settings_level);
	SetUserIdAndSecContext(caller->user, caller->security_context);
}

/*
 * The owner of an object of a catalog with a cache by OID; InvalidOid if the
 * object was dropped.
 */
Oid
owner_of_object(int cache, Oid object, AttrNumber column)
{
	HeapTuple tuple = SearchSysCache1(cache, ObjectIdGetDatum(object));
	Datum owner;
	bool isnull;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = SysCacheGetAttr(cache, tuple, column, &isnull);
	ReleaseSysCache(tuple);
	return DatumGetObjectId(owner);
}

/*
 * May the role VACUUM and ANALYZE the relation?  The server skips other
 * relations with a mere warning, so pgmaint asks beforehand.
 */
bool
may_maintain_relation(Oid relation, Oid role)
{
	HeapTuple tuple;
	Oid schema;
	bool shared;

	if (superuser_arg(role))
		return true;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		return false;
	schema = ((Form_pg_class) GETSTRUCT(tuple))->relnamespace;
	shared = ((Form_pg_class) GETSTRUCT(tuple))->relisshared;
	ReleaseSysCache(tuple);

	if (!schema_usage_privilege(schema, role))
		return false;
	if (relation_maintain_privilege(relation, role))
		return true;
	return !shared && database_ownercheck(MyDatabaseId, role);
}

/*
 * pgmaint_internal.may_maintain(relation oid, role oid) returns boolean
 */
Datum
pgmaint_may_maintain(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(may_maintain_relation(PG_GETARG_OID(0), PG_GETARG_OID(1)));
}

/*
 * pgmaint_internal.may_reindex(index oid, role oid) returns boolean
 *
 * The server's own check for one index by name: ownership of the database is
 * not enough.
 */
Datum
pgmaint_may_reindex(PG_FUNCTION_ARGS)
{
	Oid index = PG_GETARG_OID(0);
	Oid role = PG_GETARG_OID(1);
	Oid table = IndexGetRelation(index, true);

	if (superuser_arg(role))
		PG_RETURN_BOOL(true);
	PG_RETURN_BOOL(OidIsValid(table) &&
				   schema_usage_privilege(get_rel_namespace(index), role) &&
				   relation_maintain_privilege(table, role));
}
