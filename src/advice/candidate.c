/*-------------------------------------------------------------------------
 *
 * candidate.c
 *	  Candidate indexes: comparison, size, and definition.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/itup.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_opclass.h"
#include "nodes/makefuncs.h"
#include "storage/bufpage.h"
#include "storage/itemid.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "advice/candidate.h"

/* as B-trees are built */
#define LEAF_FILL 0.9
/* limit of partitions whose commands are printed */
#define MAX_PARTITIONS 30

/*
 * Numbers stand for indexes in plans.  They are from a range of OIDs that the
 * server does not assign.
 */
Candidate *
make_candidate(Oid relation, List *columns, List *predicate, double fraction)
{
	static uint32 made = 0;
	Candidate *candidate = palloc0(sizeof(Candidate));

	candidate->relation = relation;
	candidate->columns = columns;
	candidate->predicate = predicate;
	candidate->fraction = predicate == NIL ? 1 : fraction;
	candidate->number = PG_UINT32_MAX - (made++ % 1000000);
	return candidate;
}

bool
same_column(const IndexColumn *one, const IndexColumn *other)
{
	return one->attnum == other->attnum &&
		   equal(one->expression, other->expression) &&
		   one->collation == other->collation &&
		   one->opfamily == other->opfamily &&
		   one->descending == other->descending &&
		   one->nulls_first == other->nulls_first;
}

/*
 * Does the longer index begin with all columns of the shorter?
 */
bool
is_prefix_of(const Candidate *shorter, const Candidate *longer)
{
	ListCell *one;
	ListCell *other;

	if (shorter->relation != longer->relation ||
		list_length(shorter->columns) > list_length(longer->columns) ||
		!equal(shorter->predicate, longer->predicate))
		return false;
	forboth(one, shorter->columns, other, longer->columns)
	{
		if (!same_column(lfirst(one), lfirst(other)))
			return false;
	}
	return true;
}

bool
same_candidate(const Candidate *one, const Candidate *other)
{
	return list_length(one->columns) == list_length(other->columns) &&
		   is_prefix_of(one, other);
}

/*
 * How large the index of so many rows would be, freshly built.  Since 13 equal
 * keys are stored once, with the places of their rows.
 */
double
estimate_index_bytes(const Candidate *candidate, double tuples)
{
	double rows = Max(1, tuples * candidate->fraction);
	double distinct = 1;
	double width = sizeof(IndexTupleData);
	double bytes;
	ListCell *cell;

	foreach (cell, candidate->columns)
	{
		const IndexColumn *column = lfirst(cell);

		width += column->width;
		distinct *= Max(1, column->distinct);
	}
	width = MAXALIGN((Size) width) + sizeof(ItemIdData);
	distinct = Min(distinct, rows);
	bytes = rows / distinct < 2
				? rows * width
				: distinct * width + rows * sizeof(ItemPointerData);
	return BLCKSZ *
		   (1 + ceil(bytes / ((BLCKSZ - SizeOfPageHeaderData) * LEAF_FILL)));
}

static char *
opclass_name(Oid opclass)
{
	HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	Form_pg_opclass form;
	char *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	form = (Form_pg_opclass) GETSTRUCT(tuple);
	name = quote_qualified_identifier(get_namespace_name(form->opcnamespace),
									  NameStr(form->opcname));
	ReleaseSysCache(tuple);
	return name;
}

static char *
qualified_name(Oid relation)
{
	return quote_qualified_identifier(
		get_namespace_name(get_rel_namespace(relation)),
		get_rel_name(relation));
}

/*
 * The columns of an index, and its predicate, as CREATE INDEX takes them.  The
 * caller has pinned the search path, so that names are qualified.
 */
char *
describe_columns(const Candidate *candidate)
{
	List *names = deparse_context_for(get_rel_name(candidate->relation),
									  candidate->relation);
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	appendStringInfoChar(&text, '(');
	foreach (cell, candidate->columns)
	{
		const IndexColumn *column = lfirst(cell);

		if (text.len > 1)
			appendStringInfoString(&text, ", ");
		if (column->attnum != 0)
			appendStringInfoString(
				&text, quote_identifier(get_attname(candidate->relation,
													column->attnum, false)));
		else
		{
			char *expression =
				deparse_expression(column->expression, names, false, false);

			appendStringInfo(&text, "(%s)", expression);
		}
		if (column->own_collation)
			appendStringInfo(&text, " COLLATE %s",
							 generate_collation_name(column->collation));
		if (column->own_opclass)
			appendStringInfo(&text, " %s", opclass_name(column->opclass));
		if (column->descending)
			appendStringInfoString(&text, " DESC");
		if (column->nulls_first != column->descending)
			appendStringInfo(&text, " NULLS %s",
							 column->nulls_first ? "FIRST" : "LAST");
	}
	appendStringInfoChar(&text, ')');
	if (candidate->predicate != NIL)
		appendStringInfo(&text, " WHERE %s",
						 deparse_expression(
							 (Node *) make_ands_explicit(candidate->predicate),
							 names, false, false));
	return text.data;
}

/*
 * The command that makes the index.  A partitioned table cannot use
 * CONCURRENTLY, but adopts the indexes that its partitions have already.
 */
char *
create_index_command(const Candidate *candidate)
{
	char *columns = describe_columns(candidate);
	char *table = qualified_name(candidate->relation);
	StringInfoData command;
	List *family;
	ListCell *cell;

	if (get_rel_relkind(candidate->relation) != RELKIND_PARTITIONED_TABLE)
		return psprintf("CREATE INDEX CONCURRENTLY ON %s %s", table, columns);
	initStringInfo(&command);
	family = find_all_inheritors(candidate->relation, NoLock, NULL);
	foreach (cell, family)
	{
		if (get_rel_relkind(lfirst_oid(cell)) != RELKIND_RELATION)
			continue;
		if (list_length(family) > MAX_PARTITIONS)
		{
			/* no names of users in a comment: they may have line breaks */
			appendStringInfoString(
				&command, "-- first CREATE INDEX CONCURRENTLY on each "
						  "partition, with the same columns\n");
			break;
		}
		appendStringInfo(&command, "CREATE INDEX CONCURRENTLY ON %s %s;\n",
						 qualified_name(lfirst_oid(cell)), columns);
	}
	appendStringInfo(&command, "CREATE INDEX ON %s %s", table, columns);
	return command.data;
}
