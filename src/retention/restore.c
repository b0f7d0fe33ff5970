/*-------------------------------------------------------------------------
 *
 * restore.c
 *	  restore_archive: copies the rows of an archive into a table.
 *
 * The whole object is read and compared with the ledger, whose row was written
 * in the transaction that deleted the rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/copy.h"
#include "commands/defrem.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/rights.h"
#include "base/settings.h"
#include "exec/trusted.h"
#include "ledger/ledger.h"
#include "retention/called_functions.h"
#include "retention/owner.h"
#include "retention/reading.h"
#include "storage/storage.h"

PG_FUNCTION_INFO_V1(pgmaint_restore_archive);

/* COPY asks a function that knows nothing but where to put bytes */
typedef struct Copied
{
	Source *source;
	Oid reader; /* the role whose rights the storage is read with */
	int security_context;
} Copied;

static Copied copied;

static int
give_bytes(void *buffer, int minimum, int maximum)
{
	int given = 0;
	Oid user;
	int security_context;

	CHECK_FOR_INTERRUPTS();
	GetUserIdAndSecContext(&user, &security_context);
	SetUserIdAndSecContext(copied.reader, copied.security_context);
	while (given < Max(minimum, 1))
	{
		size_t length = source_read(copied.source, (char *) buffer + given,
									(size_t) (maximum - given));

		if (length == 0)
			break;
		given += (int) length;
	}
	SetUserIdAndSecContext(user, security_context);
	return given;
}

/*
 * Each archived column must exist and must not be generated.
 */
static void
check_columns(Relation relation, const Archive *archive)
{
	ListCell *cell;

	foreach (cell, archive->columns)
	{
		const char *name = strVal(lfirst(cell));
		AttrNumber number = get_attnum(RelationGetRelid(relation), name);

		if (number <= 0)
			ereport(
				ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg(
					 "table \"%s\" has no column \"%s\", which archive %lld "
					 "contains",
					 RelationGetRelationName(relation), name,
					 (long long) archive->archive_id),
				 errhint(
					 "Add the column, or restore into a table that has it.")));
		if (TupleDescAttr(RelationGetDescr(relation), number - 1)
				->attgenerated != '\0')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("column \"%s\" of table \"%s\" is generated and "
							"cannot be restored from archive %lld",
							name, RelationGetRelationName(relation),
							(long long) archive->archive_id),
					 errhint("Restore into a table in which the column is "
							 "not generated.")));
	}
}

/*
 * Make the checks of COPY FROM: a privilege on the table is one on all of its
 * columns.
 */
static void
check_rights(Relation relation, const Archive *archive)
{
	Oid relid = RelationGetRelid(relation);
	AclResult result = pg_class_aclcheck(relid, GetUserId(), ACL_INSERT);
	ListCell *cell;

	if (result != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_INSERT,
								  ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(relation->rd_rel->relkind),
					   RelationGetRelationName(relation));
	foreach (cell, archive->columns)
	{
		const char *name = strVal(lfirst(cell));

		if (result != ACLCHECK_OK &&
			pg_attribute_aclcheck(relid, get_attnum(relid, name), GetUserId(),
								  ACL_INSERT) != ACLCHECK_OK)
			aclcheck_error_col(ACLCHECK_NO_PRIV,
							   get_relkind_objtype(relation->rd_rel->relkind),
							   RelationGetRelationName(relation), name);
	}
	if (check_enable_rls(relid, InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot restore an archive into table \"%s\" because "
						"its row-level security applies to the current role",
						RelationGetRelationName(relation)),
				 errhint("Restore as the owner of the table.")));
}

/*
 * Name the archive in the context of errors of COPY.  A call that is refused
 * while rows are inserted comes from code that the catalogs do not link to the
 * table.
 */
static void
name_archive(void *arg)
{
	const Archive *archive = arg;

	if (geterrcode() == ERRCODE_INSUFFICIENT_PRIVILEGE)
		errhint("Restore into a table without the trigger, default or "
				"constraint that calls the function, then copy the rows "
				"with INSERT ... SELECT.");
	errcontext("restoring archive %lld, object \"%s\" in storage \"%s\"",
			   (long long) archive->archive_id, archive->key,
			   archive->storage);
}

/*
 * The role that rows are inserted as: the table's owner, whose code runs then,
 * if the caller could do what the owner can anyway, but not the other way round.
 */
static Oid
choose_role(Oid owner)
{
	return has_privs_of_role(GetUserId(), owner) &&
				   !has_privs_of_role(owner, GetUserId())
			   ? owner
			   : GetUserId();
}

/* argument and result of copy_rows() */
typedef struct CopyJob
{
	Relation relation;
	const Archive *archive;
	uint64 rows;
} CopyJob;

/*
 * COPY the bytes of give_bytes() into the table.
 */
static void
copy_rows(void *argument)
{
	CopyJob *job = argument;
	ParseState *state = make_parsestate(NULL);
	List *options = list_make3(
		makeDefElem("format", (Node *) makeString("csv"), -1),
		makeDefElem("header", (Node *) makeString("true"), -1),
		makeDefElem("encoding",
					(Node *) makeString(GetDatabaseEncoding() == PG_SQL_ASCII
											? "SQL_ASCII"
											: "UTF8"),
					-1));
	CopyFromState copy;

	(void) addRangeTableEntryForRelation(state, job->relation,
										 RowExclusiveLock, NULL, false, false);
	copy = BeginCopyFrom(state, job->relation, NULL, NULL, false, give_bytes,
						 job->archive->columns, options);
	job->rows = CopyFrom(copy);
	EndCopyFrom(copy);
	free_parsestate(state);
}

/*
 * COPY the content into the table.  Domains and partitions may change
 * meanwhile, so each function that is called is checked as well.
 */
static int64
copy_in(Relation relation, const Archive *archive, ArchiveReading *reading)
{
	ErrorContextCallback context = {error_context_stack, name_archive,
									unconstify(Archive *, archive)};
	Copied outer = copied;
	Copied inner = {.source = reading->content};
	CopyJob job = {relation, archive, 0};
	Oid role = choose_role(relation->rd_rel->relowner);
	SavedRights caller;

	GetUserIdAndSecContext(&inner.reader, &inner.security_context);
	if (role != inner.reader)
	{
		fire_constraints_at_once();
		become_table_owner(role, &caller);
	}
	else
	{
		GetUserIdAndSecContext(&caller.user, &caller.security_context);
		caller.settings_level = NewGUCNestLevel();
		pin_round_trip_settings();
	}
	error_context_stack = &context;
	PG_TRY();
	{
		copied = inner;
		with_trusted_functions(copy_rows, &job);
	}
	PG_FINALLY();
	{
		copied = outer;
		source_close(reading->content);
	}
	PG_END_TRY();
	error_context_stack = context.previous;
	resume_caller(&caller);
	return (int64) job.rows;
}

/*
 * pgmaint.restore_archive(archive_id bigint, into regclass)
 *
 * If the object differs from the ledger, an ERROR is raised and no row is
 * restored.
 */
Datum
pgmaint_restore_archive(PG_FUNCTION_ARGS)
{
	Oid target = PG_GETARG_OID(1);
	Archive archive;
	ArchiveReading reading;
	Relation relation;
	int64 rows;

	PreventCommandDuringRecovery("pgmaint.restore_archive()");
	PreventCommandIfReadOnly("pgmaint.restore_archive()");
	read_archive(PG_GETARG_INT64(0), &archive);
	relation = table_open(target, RowExclusiveLock);
	if (relation->rd_rel->relkind != RELKIND_RELATION &&
		relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a table",
							   RelationGetRelationName(relation)),
						errhint("Restore into a table.")));
	check_columns(relation, &archive);
	check_rights(relation, &archive);
	refuse_functions_of_others(target,
							   choose_role(relation->rd_rel->relowner));
	open_archive(&archive, &reading);
	rows = copy_in(relation, &archive, &reading);
	table_close(relation, NoLock);

	if (strcmp(archive.content_sha256, hashed_sha256(reading.content)) != 0 ||
		strcmp(archive.sha256, hashed_sha256(reading.object)) != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("archive %lld is damaged: its SHA-256 is not the one in "
					"the ledger",
					(long long) archive.archive_id),
			 errdetail("Object \"%s\" in storage \"%s\" has %lld bytes, the "
					   "ledger says %lld. No row was restored.",
					   archive.key, archive.storage,
					   (long long) hashed_bytes(reading.object),
					   (long long) archive.bytes),
			 errhint("Compare the archive with the ledger: SELECT * FROM "
					 "pgmaint.verify_archive(%lld).",
					 (long long) archive.archive_id)));
	PG_RETURN_INT64(rows);
}
