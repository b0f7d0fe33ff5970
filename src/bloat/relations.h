/*-------------------------------------------------------------------------
 *
 * relations.h
 *	  Which relations can be measured, and which roles may measure them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_RELATIONS_H
#define PGMAINT_BLOAT_RELATIONS_H

#include "nodes/pg_list.h"
#include "utils/rel.h"

extern bool may_measure(Oid relid);
extern bool table_can_be_measured(Relation rel, bool complain);
extern bool index_can_be_measured(Relation index, bool complain);
extern Relation open_to_measure(Oid relid);
extern Relation open_index_to_measure(Oid indexid, Relation *table);
extern List *list_relations(bool indexes);

#endif /* PGMAINT_BLOAT_RELATIONS_H */
