/*-------------------------------------------------------------------------
 *
 * restore.c
 *	  The way back: restore_archive.
 *
 * The whole object is read, and held against what was written down in the
 * transaction that deleted its rows.
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
#include "ledger/ledger.h"
#include "retention/owner.h"
#include "retention/reading.h"
#include "storage/storage.h"

PG_FUNCTION_INFO_V1(pgmaint_restore_archive);

/* COPY asks a function that knows nothing but where to put bytes */
typedef struct Copied
{
	Source *source;
	Oid reader; /* whose rights it is read with */
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
 * Each archived column must be there, and be one that can be written.
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
					 "table \"%s\" has no column \"%s\", but archive %lld has",
					 RelationGetRelationName(relation), name,
					 (long long) archive->archive_id),
				 errhint(
					 "Add the column, or restore into a table that has it.")));
		if (TupleDescAttr(RelationGetDescr(relation), number - 1)
				->attgenerated != '\0')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("column \"%s\" of table \"%s\" is generated, and "
							"cannot be restored from archive %lld",
							name, RelationGetRelationName(relation),
							(long long) archive->archive_id),
					 errhint("Restore into a table in which it is a plain "
							 "column.")));
	}
}

/*
 * What COPY FROM checks before it begins.
 */
static void
check_rights(Relation relation)
{
	Oid relid = RelationGetRelid(relation);
	AclResult result = pg_class_aclcheck(relid, GetUserId(), ACL_INSERT);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(relation->rd_rel->relkind),
					   RelationGetRelationName(relation));
	if (check_enable_rls(relid, InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("archives cannot be restored into table \"%s\", which "
						"has row-level security for this role",
						RelationGetRelationName(relation)),
				 errhint("Restore as the owner of the table.")));
}

/*
 * COPY complains about lines of a file; say of which.
 */
static void
name_archive(void *arg)
{
	const Archive *archive = arg;

	errcontext("restoring archive %lld, object \"%s\" on storage \"%s\"",
			   (long long) archive->archive_id, archive->key,
			   archive->storage);
}

/*
 * Triggers, defaults and constraints are code of the table's owner.  For a role
 * that could do what the owner can anyway, but not the other way round, it runs
 * as the owner, restricted.
 */
static bool
distrusts_owner(Oid owner)
{
	return has_privs_of_role(GetUserId(), owner) &&
		   !has_privs_of_role(owner, GetUserId());
}

/*
 * COPY the content into the table.
 */
static int64
copy_in(Relation relation, const Archive *archive, ArchiveReading *reading)
{
	ParseState *state = make_parsestate(NULL);
	List *options = list_make3(
		makeDefElem("format", (Node *) makeString("csv"), -1),
		makeDefElem("header", (Node *) makeString("true"), -1),
		makeDefElem("encoding",
					(Node *) makeString(GetDatabaseEncoding() == PG_SQL_ASCII
											? "SQL_ASCII"
											: "UTF8"),
					-1));
	ErrorContextCallback context = {error_context_stack, name_archive,
									unconstify(Archive *, archive)};
	Copied outer = copied;
	Copied inner = {.source = reading->content};
	CopyFromState copy;
	uint64 rows = 0;
	Oid owner = relation->rd_rel->relowner;
	SavedRights caller;

	GetUserIdAndSecContext(&inner.reader, &inner.security_context);
	if (distrusts_owner(owner))
	{
		fire_constraints_at_once();
		become_table_owner(owner, &caller);
	}
	else
	{
		GetUserIdAndSecContext(&caller.user, &caller.security_context);
		caller.settings_level = NewGUCNestLevel();
		pin_round_trip_settings();
	}
	(void) addRangeTableEntryForRelation(state, relation, RowExclusiveLock,
										 NULL, false, false);
	error_context_stack = &context;
	PG_TRY();
	{
		copied = inner;
		copy = BeginCopyFrom(state, relation, NULL, NULL, false, give_bytes,
							 archive->columns, options);
		rows = CopyFrom(copy);
		EndCopyFrom(copy);
	}
	PG_FINALLY();
	{
		copied = outer;
		source_close(reading->content);
	}
	PG_END_TRY();
	error_context_stack = context.previous;
	resume_caller(&caller);
	free_parsestate(state);
	return (int64) rows;
}

/*
 * pgmaint.restore_archive(archive_id bigint, into regclass)
 *
 * All or nothing: what turns out not to be what was archived is an ERROR, and
 * leaves no row.
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
	check_rights(relation);
	check_columns(relation, &archive);
	open_archive(&archive, &reading);
	rows = copy_in(relation, &archive, &reading);
	table_close(relation, NoLock);

	if (strcmp(archive.content_sha256, hashed_sha256(reading.content)) != 0 ||
		strcmp(archive.sha256, hashed_sha256(reading.object)) != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("archive %lld is not what was written: its digest differs",
					(long long) archive.archive_id),
			 errdetail("Object \"%s\" on storage \"%s\" has %lld bytes, %lld "
					   "were written.",
					   archive.key, archive.storage,
					   (long long) hashed_bytes(reading.object),
					   (long long) archive.bytes),
			 errhint("See pgmaint.verify_archive(%lld); no row was restored.",
					 (long long) archive.archive_id)));
	PG_RETURN_INT64(rows);
}
