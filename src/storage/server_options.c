/*-------------------------------------------------------------------------
 *
 * server_options.c
 *	  Options of a storage's foreign server and user mapping.
 *
 * The validator of CREATE and ALTER reads the options with the same code as
 * storage_open(), so that accepted options can be used.  Options of a user
 * mapping are secret, and a wrong URL may contain a secret: such values are
 * never repeated in messages.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "storage/optionrules.h"
#include "storage/options.h"

#define WRAPPER "pgmaint_storage"

PG_FUNCTION_INFO_V1(pgmaint_storage_validator);

/*
 * The defaults of all options.
 */
static void
set_defaults(StorageOptions *options)
{
	memset(options, 0, sizeof(*options));
	options->part_size = 8 * 1024 * 1024;
	options->parallel = 4;
	options->connect_timeout = 10 * 1000;
	options->stall_timeout = 30;
	options->retries = 5;
}

/*
 * Refuse combinations of server options that are not valid, and set the
 * addressing and the endpoint where they are not given.
 */
static void
complete_server(StorageOptions *options, const List *given)
{
	ListCell *cell;
	bool addressed = false;

	if (options->folder == NULL && options->bucket == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("option \"url\" is required"),
						errhint("%s", option_hint("url"))));
	foreach (cell, given)
	{
		const char *name = lfirst_node(DefElem, cell)->defname;

		addressed |= strcmp(name, "addressing") == 0;
		if (options->kind == STORAGE_FILE && strcmp(name, "url") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("option \"%s\" is not valid for a folder", name),
					 errdetail("A storage whose url begins with \"file:\" has "
							   "no other options."),
					 errhint("Remove the option, or use a url that begins "
							 "with \"s3://\".")));
	}
	if (options->kms_key_id != NULL &&
		(options->encryption == NULL ||
		 strcmp(options->encryption, "aws:kms") != 0))
		ereport(
			ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("option \"kms_key_id\" requires option \"encryption\" to "
					"be \"aws:kms\"")));
	if (!addressed)
		options->virtual_host = options->endpoint == NULL;
	if (options->endpoint == NULL && options->region != NULL)
		options->endpoint =
			psprintf("https://s3.%s.amazonaws.com%s", options->region,
					 strncmp(options->region, "cn-", 3) == 0 ? ".cn" : "");
}

/*
 * Refuse an access key without its secret, and the reverse.
 */
static void
complete_mapping(const StorageOptions *options)
{
	const char *missing = NULL;
	const char *given;

	if (options->access_key_id == NULL &&
		(options->secret_access_key != NULL || options->session_token != NULL))
	{
		missing = "access_key_id";
		given = options->secret_access_key != NULL ? "secret_access_key"
												   : "session_token";
	}
	else if (options->access_key_id != NULL &&
			 options->secret_access_key == NULL)
	{
		missing = "secret_access_key";
		given = "access_key_id";
	}
	if (missing != NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("option \"%s\" requires option \"%s\"", given,
							   missing),
						errhidestmt(true)));
}

/*
 * Read the options of a foreign server or user mapping.
 */
static void
read_options(const List *given, Oid catalog, StorageOptions *options)
{
	ListCell *cell;

	foreach (cell, given)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		apply_option(catalog, option->defname, defGetString(option), options);
	}
	if (catalog == ForeignServerRelationId)
		complete_server(options, given);
	else if (catalog == UserMappingRelationId)
		complete_mapping(options);
}

/*
 * pgmaint_internal.storage_validator(options text[], catalog oid) returns void
 */
Datum
pgmaint_storage_validator(PG_FUNCTION_ARGS)
{
	StorageOptions options;

	set_defaults(&options);
	read_options(untransformRelOptions(PG_GETARG_DATUM(0)), PG_GETARG_OID(1),
				 &options);
	PG_RETURN_VOID();
}

/*
 * The names of all storages, for a hint.
 */
static char *
list_storages(Oid wrapper)
{
	Relation catalog = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, ForeignServerNameIndexId,
										  true, NULL, 0, NULL);
	StringInfoData names;
	HeapTuple tuple;

	initStringInfo(&names);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server server =
			(Form_pg_foreign_server) GETSTRUCT(tuple);

		if (server->srvfdw == wrapper)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
							 NameStr(server->srvname));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return names.data;
}

static ForeignServer *
find_server(const char *name)
{
	Oid wrapper = get_foreign_data_wrapper_oid(WRAPPER, true);
	ForeignServer *server = GetForeignServerByName(name, true);

	if (server == NULL)
	{
		char *names = list_storages(wrapper);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("storage \"%s\" does not exist", name),
				 names[0] != '\0'
					 ? errhint("Use one of these storages: %s.", names)
					 : errhint("Create a storage with CREATE SERVER ... "
							   "FOREIGN DATA WRAPPER " WRAPPER ".")));
	}
	if (server->fdwid != wrapper)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not a storage", name),
				 errdetail("The foreign-data wrapper of the server is \"%s\".",
						   GetForeignDataWrapper(server->fdwid)->fdwname),
				 errhint("Use a server of the foreign-data wrapper \"" WRAPPER
						 "\".")));
	return server;
}

/*
 * The options of the current user's mapping, or of the mapping for PUBLIC;
 * none if there is no mapping, for which GetUserMapping() would raise an
 * ERROR.
 */
static List *
mapping_options(Oid server)
{
	HeapTuple tuple =
		SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(GetUserId()),
						ObjectIdGetDatum(server));
	List *given;
	Datum options;
	bool isnull;

	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
								ObjectIdGetDatum(InvalidOid),
								ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		return NIL;
	options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple,
							  Anum_pg_user_mapping_umoptions, &isnull);
	given = isnull ? NIL : untransformRelOptions(options);
	ReleaseSysCache(tuple);
	return given;
}

/*
 * The options of a storage for the current user, who must have USAGE on it.
 */
StorageOptions *
read_storage_options(const char *name)
{
	ForeignServer *server = find_server(name);
	StorageOptions *options = palloc(sizeof(StorageOptions));

	if (!server_usage_privilege(server->serverid, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, name);
	set_defaults(options);
	options->name = pstrdup(server->servername);
	options->server = server->serverid;
	options->owner = server->owner;
	options->owner_is_superuser = superuser_arg(server->owner);
	read_options(server->options, ForeignServerRelationId, options);
	read_options(mapping_options(server->serverid), UserMappingRelationId,
				 options);
	return options;
}
