/*-------------------------------------------------------------------------
 *
 * relations.c
 *	  Which relations can be measured, and which roles may measure them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "bloat/relations.h"

#define UNLOGGED_DETAIL "Data of unlogged relations is not on a standby."
#define UNLOGGED_HINT "Measure the relation on the primary."

/* how many partitions a hint names */
#define HINTED_PARTITIONS 3

/*
 * A standby has no data of unlogged relations.
 */
static bool
is_on_this_server(Relation rel)
{
	return rel->rd_rel->relpersistence != RELPERSISTENCE_UNLOGGED ||
		   !RecoveryInProgress();
}

/*
 * Owners of a table, roles that may read it, and roles that monitor the server
 * may look at how it is stored.
 */
bool
may_measure(Oid relid)
{
	Oid role = GetUserId();

	return has_privs_of_role(role, ROLE_PG_STAT_SCAN_TABLES) ||
		   pg_class_aclcheck(relid, role, ACL_SELECT) == ACLCHECK_OK ||
		   relation_ownercheck(relid, role);
}

static void
complain_about_rights(Relation rel)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to measure the bloat of \"%s\"",
					RelationGetRelationName(rel)),
			 errhint("Grant the role SELECT on the table, or membership in "
					 "pg_stat_scan_tables.")));
}

/*
 * The first few partitions, for a hint.
 */
static char *
some_partitions(Oid relid)
{
	List *children = find_inheritance_children(relid, NoLock);
	StringInfoData names;
	int named = 0;
	ListCell *cell;

	initStringInfo(&names);
	foreach (cell, children)
	{
		char *name = get_rel_name(lfirst_oid(cell));
		char *space = get_namespace_name(get_rel_namespace(lfirst_oid(cell)));

		if (name == NULL || space == NULL)
			continue;
		if (named == HINTED_PARTITIONS)
		{
			appendStringInfoString(&names, " and others");
			break;
		}
		appendStringInfo(&names, "%s%s", named++ > 0 ? ", " : "",
						 quote_qualified_identifier(space, name));
	}
	return names.data;
}

static void
complain_about_partitions(Relation rel)
{
	char *partitions = some_partitions(RelationGetRelid(rel));

	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("cannot measure the bloat of \"%s\"",
					RelationGetRelationName(rel)),
			 rel->rd_rel->relkind == RELKIND_PARTITIONED_INDEX
				 ? errdetail("A partitioned index has no storage of its own.")
				 : errdetail("A partitioned table has no storage of its own."),
			 partitions[0] != '\0'
				 ? errhint("Measure its partitions: %s.", partitions)
				 : 0));
}

static void
complain(Relation rel, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("cannot measure the bloat of \"%s\"",
					RelationGetRelationName(rel)),
			 errdetail("%s", detail), hint != NULL ? errhint("%s", hint) : 0));
}

static void
complain_about_temporary(Relation rel)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		 errmsg("cannot measure the bloat of \"%s\"",
				RelationGetRelationName(rel)),
		 errdetail("Temporary relations of other sessions cannot be read."),
		 errhint("Measure the relation in the session that created it.")));
}

/*
 * The table that a TOAST table belongs to, or InvalidOid.
 */
static Oid
toast_owner(Oid toastid)
{
	Relation pg_class = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple tuple;
	Oid owner = InvalidOid;

	ScanKeyInit(&key, Anum_pg_class_reltoastrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(toastid));
	scan = systable_beginscan(pg_class, InvalidOid, false, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (tuple != NULL)
		owner = ((Form_pg_class) GETSTRUCT(tuple))->oid;
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	return owner;
}

static void
complain_about_toast(Relation rel)
{
	Oid owner = toast_owner(RelationGetRelid(rel));
	char *name = OidIsValid(owner) ? get_rel_name(owner) : NULL;
	char *hint = NULL;

	if (name != NULL)
		hint =
			psprintf("Measure %s.",
					 quote_qualified_identifier(
						 get_namespace_name(get_rel_namespace(owner)), name));
	complain(rel,
			 "A TOAST table is measured with the table that it belongs to.",
			 hint);
}

/*
 * Whether the relation is a table of the heap access method whose blocks this
 * session can read.  If not, raises an error if "complains" is set, else
 * returns false.
 */
bool
table_can_be_measured(Relation rel, bool complains)
{
	const char *detail = NULL;
	const char *hint = NULL;

	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_MATVIEW:
			break;
		case RELKIND_PARTITIONED_TABLE:
			if (complains)
				complain_about_partitions(rel);
			return false;
		case RELKIND_TOASTVALUE:
			if (complains)
				complain_about_toast(rel);
			return false;
		case RELKIND_FOREIGN_TABLE:
			detail = "A foreign table is stored on another server.";
			hint = "Measure the table on the server that stores it.";
			break;
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			detail = "The relation is an index.";
			hint = "Use pgmaint.index_bloat() for indexes.";
			break;
		case RELKIND_SEQUENCE:
			detail = "A sequence consists of a single row.";
			hint = "Name a table or a materialized view.";
			break;
		default:
			detail = "The relation has no storage.";
			hint = "Name a table or a materialized view.";
			break;
	}

	if (detail == NULL && rel->rd_rel->relam != HEAP_TABLE_AM_OID)
	{
		detail = psprintf(
			"The relation uses access method \"%s\"; only tables of access method \"heap\" can be measured.",
			get_am_name(rel->rd_rel->relam));
	}
	if (detail == NULL && !is_on_this_server(rel))
	{
		detail = UNLOGGED_DETAIL;
		hint = UNLOGGED_HINT;
	}
	if (detail != NULL)
	{
		if (complains)
			complain(rel, detail, hint);
		return false;
	}
	if (RELATION_IS_OTHER_TEMP(rel))
	{
		if (complains)
			complain_about_temporary(rel);
		return false;
	}
	if (!may_measure(RelationGetRelid(rel)))
	{
		if (complains)
			complain_about_rights(rel);
		return false;
	}
	return true;
}

/*
 * Like table_can_be_measured, for an index of one of the server's own access
 * methods.
 */
bool
index_can_be_measured(Relation index, bool complains)
{
	const char *detail = NULL;
	const char *hint = NULL;

	if (index->rd_rel->relkind == RELKIND_PARTITIONED_INDEX)
	{
		if (complains)
			complain_about_partitions(index);
		return false;
	}
	if (index->rd_rel->relkind != RELKIND_INDEX)
	{
		detail = "The relation is not an index.";
		hint = "Name an index, or a table to have all of its indexes "
			   "measured.";
	}
	else
	{
		switch (index->rd_rel->relam)
		{
			case BTREE_AM_OID:
			case HASH_AM_OID:
			case GIST_AM_OID:
			case GIN_AM_OID:
			case SPGIST_AM_OID:
			case BRIN_AM_OID:
				break;
			default:
				detail = psprintf(
					"The index uses access method \"%s\"; only indexes of the server's own access methods can be measured.",
					get_am_name(index->rd_rel->relam));
				break;
		}
	}
	if (detail == NULL && !is_on_this_server(index))
	{
		detail = UNLOGGED_DETAIL;
		hint = UNLOGGED_HINT;
	}
	if (detail != NULL)
	{
		if (complains)
			complain(index, detail, hint);
		return false;
	}
	if (RELATION_IS_OTHER_TEMP(index))
	{
		if (complains)
			complain_about_temporary(index);
		return false;
	}
	if (!may_measure(index->rd_index->indrelid))
	{
		if (complains)
			complain_about_rights(index);
		return false;
	}
	return true;
}

/*
 * Opens a relation that was asked for by name, waiting for its lock.
 */
Relation
open_to_measure(Oid relid)
{
	Relation rel = try_relation_open(relid, AccessShareLock);

	if (rel == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation with OID %u does not exist", relid),
			 errhint(
				 "Check whether another session has dropped the relation.")));
	return rel;
}

/*
 * Opens an index and its table.  The table's lock comes first, as everywhere
 * in the server.
 */
Relation
open_index_to_measure(Oid indexid, Relation *table)
{
	char relkind = get_rel_relkind(indexid);
	Oid tableid = InvalidOid;
	Relation index;

	*table = NULL;
	if (relkind == RELKIND_INDEX)
		tableid = IndexGetRelation(indexid, true);
	if (OidIsValid(tableid))
		*table = open_to_measure(tableid);
	index = open_to_measure(indexid);
	index_can_be_measured(index, true);

	/* dropped and another one created in its place */
	if (*table == NULL ||
		RelationGetRelid(*table) != index->rd_index->indrelid)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("could not find the table of index \"%s\"",
							   RelationGetRelationName(index))));
	return index;
}

/*
 * The relations that a call without a name measures.  They may be gone when
 * their turn comes.
 */
List *
list_relations(bool indexes)
{
	Relation pg_class = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan =
		systable_beginscan(pg_class, InvalidOid, false, NULL, 0, NULL);
	HeapTuple tuple;
	List *relids = NIL;

	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		CHECK_FOR_INTERRUPTS();
		if (indexes ? form->relkind != RELKIND_INDEX
					: form->relkind != RELKIND_RELATION &&
						  form->relkind != RELKIND_MATVIEW)
			continue;
		relids = lappend_oid(relids, form->oid);
	}
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	return relids;
}
