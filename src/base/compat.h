/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between the servers that pgmaint supports, 14 to 19.
 *
 * The room base: what all other rooms use: differences between servers,
 * settings, locks, rights, texts.
 *
 * This is the only file that looks at PG_VERSION_NUM.  All other files use the
 * names below, which follow the newest server where there is a choice.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_COMPAT_H
#define PGMAINT_COMPAT_H

#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication.h"
#include "commands/dbcommands.h"
#include "common/relpath.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/pathnode.h"
#include "optimizer/plancat.h"
#include "postmaster/bgworker.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/sampling.h"

#if PG_VERSION_NUM < 140000 || PG_VERSION_NUM >= 200000
#error pgmaint needs PostgreSQL 14 or later
#endif

#define SERVER_MAJOR_VERSION (PG_VERSION_NUM / 10000)

/* minor releases without these fixes make some tasks dangerous */
typedef enum ReleaseFix
{
	/* CVE-2022-1552: the server maintains tables and indexes as their owner */
	FIX_MAINTENANCE_AS_OWNER,
	/* CVE-2024-7348: pg_dump does not read what has taken a table's place */
	FIX_DUMP_OF_REPLACED_TABLES,
	/* CVE-2025-8714 and -8715: no command of psql's hides in a dump */
	FIX_COMMANDS_IN_DUMPS
} ReleaseFix;

/* the release that has the fix, as in 14.3, if the running server lacks it */
extern char *find_missing_fix(ReleaseFix fix);

/* 15 lets a database choose who knows its collations */
#if PG_VERSION_NUM >= 150000
#define LOCALE_PROVIDER_LIBC " LOCALE_PROVIDER libc"
#else
#define LOCALE_PROVIDER_LIBC ""
#endif

/* 16 tells being a member of a role from having its rights */
#if PG_VERSION_NUM >= 160000
#define GRANT_WITH_RIGHTS " WITH INHERIT TRUE, SET TRUE"
#else
#define GRANT_WITH_RIGHTS ""
#endif

/* 16 folded the per-catalog checks into one function each */
#if PG_VERSION_NUM < 160000
#define schema_usage_privilege(schema, roleid) \
	(pg_namespace_aclcheck(schema, roleid, ACL_USAGE) == ACLCHECK_OK)
#define relation_ownercheck(relid, roleid) pg_class_ownercheck(relid, roleid)
#define database_ownercheck(dbid, roleid) pg_database_ownercheck(dbid, roleid)
#define function_execute_privilege(function, roleid) \
	(pg_proc_aclcheck(function, roleid, ACL_EXECUTE) == ACLCHECK_OK)
#define server_usage_privilege(server, roleid) \
	(pg_foreign_server_aclcheck(server, roleid, ACL_USAGE) == ACLCHECK_OK)
#else
#define relation_ownercheck(relid, roleid) \
	object_ownercheck(RelationRelationId, relid, roleid)
#define database_ownercheck(dbid, roleid) \
	object_ownercheck(DatabaseRelationId, dbid, roleid)
#define schema_usage_privilege(schema, roleid)                          \
	(object_aclcheck(NamespaceRelationId, schema, roleid, ACL_USAGE) == \
	 ACLCHECK_OK)
#define function_execute_privilege(function, roleid)                        \
	(object_aclcheck(ProcedureRelationId, function, roleid, ACL_EXECUTE) == \
	 ACLCHECK_OK)
#define server_usage_privilege(server, roleid)                              \
	(object_aclcheck(ForeignServerRelationId, server, roleid, ACL_USAGE) == \
	 ACLCHECK_OK)
#endif

/* 17 has a privilege for maintenance; before, it came with ownership */
#if PG_VERSION_NUM >= 170000
#define relation_maintain_privilege(relid, roleid) \
	(pg_class_aclcheck(relid, roleid, ACL_MAINTAIN) == ACLCHECK_OK)
#else
#define relation_maintain_privilege(relid, roleid) \
	relation_ownercheck(relid, roleid)
#endif

/* decides whether the server has an option of an action */
#define SERVER_MAJOR (PG_VERSION_NUM / 10000)

/*
 * Since 18, VACUUM and ANALYZE of a table with children do these too, each as
 * if by itself, unless told ONLY; before, ANALYZE of a partitioned table did.
 */
#define SERVER_HAS_VACUUM_ONLY (PG_VERSION_NUM >= 180000)

/* 18 adds up how long VACUUM and ANALYZE of a table took */
#define SERVER_TIMES_MAINTENANCE (PG_VERSION_NUM >= 180000)

/* 19 rewrites a table while others read and write it */
#define SERVER_HAS_REPACK_CONCURRENTLY (PG_VERSION_NUM >= 190000)

/* 19 tells how urgent each table is to autovacuum */
#define SERVER_SCORES_TABLES (PG_VERSION_NUM >= 190000)

/* before 15 the counters of the statistics collector lag behind */
#define SERVER_COUNTS_AT_ONCE (PG_VERSION_NUM >= 150000)

/* 17 lets roles without LOGIN run background workers when asked to */
#if PG_VERSION_NUM >= 170000
#define WORKER_MAY_BYPASS_LOGIN true
#define WORKER_BYPASS_LOGIN BGWORKER_BYPASS_ROLELOGINCHECK
#else
#define WORKER_MAY_BYPASS_LOGIN false
#define WORKER_BYPASS_LOGIN 0
#endif

/* 18 makes clusters with checksums unless told otherwise */
#define SERVER_HAS_CHECKSUMS_BY_DEFAULT (PG_VERSION_NUM >= 180000)

/* 17 reads ahead, and several blocks at once, when it knows which come next */
#define SERVER_HAS_READ_STREAM (PG_VERSION_NUM >= 170000)

/* 18 dropped the run_once argument */
#if PG_VERSION_NUM >= 180000
#define portal_run(portal, toplevel, dest, qc) \
	PortalRun(portal, FETCH_ALL, toplevel, dest, dest, qc)
#else
#define portal_run(portal, toplevel, dest, qc) \
	PortalRun(portal, FETCH_ALL, toplevel, true, dest, dest, qc)
#endif

/* 15 renamed the reservation of a prefix */
#if PG_VERSION_NUM >= 150000
#define reserve_setting_prefix(prefix) MarkGUCPrefixReserved(prefix)
#else
#define reserve_setting_prefix(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/* 15 renamed the analysis of statements whose parameters have fixed types */
#if PG_VERSION_NUM >= 150000
#define analyze_and_rewrite(raw, source) \
	pg_analyze_and_rewrite_fixedparams(raw, source, NULL, 0, NULL)
#else
#define analyze_and_rewrite(raw, source) \
	pg_analyze_and_rewrite(raw, source, NULL, 0, NULL)
#endif

/* what planner_hook and the planner are called with; 19 adds EXPLAIN's state */
#if PG_VERSION_NUM >= 190000
#define PLANNER_PARAMETERS                                                   \
	Query *parse, const char *source, int options, ParamListInfo parameters, \
		ExplainState *explain
#define PLANNER_ARGUMENTS parse, source, options, parameters, explain
#define plan_past_hooks(query) \
	standard_planner(query, "", CURSOR_OPT_PARALLEL_OK, NULL, NULL)
#else
#define PLANNER_PARAMETERS \
	Query *parse, const char *source, int options, ParamListInfo parameters
#define PLANNER_ARGUMENTS parse, source, options, parameters
#define plan_past_hooks(query) \
	standard_planner(query, "", CURSOR_OPT_PARALLEL_OK, NULL)
#endif

/* 16 hands the output of COPY to a function; tests take that away from it */
#ifndef SERVER_HAS_COPY_CALLBACK
#define SERVER_HAS_COPY_CALLBACK (PG_VERSION_NUM >= 160000)
#endif
#if PG_VERSION_NUM >= 160000
#define begin_copy_to_client(source, query, options)                     \
	BeginCopyTo(source, NULL, query, InvalidOid, NULL, false, NULL, NIL, \
				options)
#else
#define begin_copy_to_client(source, query, options) \
	BeginCopyTo(source, NULL, query, InvalidOid, NULL, false, NIL, options)
#endif

/* 15 brought MERGE, 16 EXPLAIN of statements whose parameters have no values */
#if PG_VERSION_NUM >= 150000
#define is_merge(statement) IsA(statement, MergeStmt)
#else
#define is_merge(statement) false
#define setup_parse_variable_parameters(source, types, count) \
	parse_variable_parameters(source, types, count)
#endif
#define SERVER_HAS_GENERIC_PLAN (PG_VERSION_NUM >= 160000)

/* 15 made constants of raw statements nodes that say themselves they are null */
#if PG_VERSION_NUM >= 150000
#define constant_is_text(constant) \
	(!(constant)->isnull && IsA(&(constant)->val, String))
#define constant_text(constant) strVal(&(constant)->val)
#else
#define constant_is_text(constant) IsA(&(constant)->val, String)
#define constant_text(constant) strVal(&(constant)->val)
#endif

/* 16 may leave out what is missing in a map of columns */
#if PG_VERSION_NUM >= 160000
#define map_columns_by_name(from, to) build_attrmap_by_name(from, to, false)
#else
#define map_columns_by_name(from, to) build_attrmap_by_name(from, to)
#endif

/* 18 tells the direction of an order without the numbers of B-trees */
#if PG_VERSION_NUM >= 180000
#define pathkey_is_descending(key) ((key)->pk_cmptype == COMPARE_GT)
#else
#define pathkey_is_descending(key) \
	((key)->pk_strategy == BTGreaterStrategyNumber)
#endif

/* 19 wants a descriptor of rows to be told when its columns are complete */
#if PG_VERSION_NUM < 190000
#define TupleDescFinalize(descriptor) ((void) (descriptor))
#endif

/* 15 has a function for what every set-returning function begins with */
#if PG_VERSION_NUM >= 160000
#define materialize_result(fcinfo) InitMaterializedSRF(fcinfo, 0)
#elif PG_VERSION_NUM >= 150000
#define materialize_result(fcinfo) SetSingleFuncCall(fcinfo, 0)
#else
extern void materialize_result(struct FunctionCallInfoBaseData *fcinfo);
#endif

/* 17 frees sets of events with a resource owner; ours are freed by us */
#if PG_VERSION_NUM >= 170000
#define create_wait_event_set(count) CreateWaitEventSet(NULL, count)
#else
#define create_wait_event_set(count) \
	CreateWaitEventSet(TopMemoryContext, count)
#endif

/* 18 returns a path in a struct */
#if PG_VERSION_NUM >= 180000
#define main_fork_path(database, tablespace, filenode)                        \
	pstrdup(GetRelationPath(database, tablespace, filenode, -1, MAIN_FORKNUM) \
				.str)
#else
#define main_fork_path(database, tablespace, filenode) \
	GetRelationPath(database, tablespace, filenode, -1, MAIN_FORKNUM)
#endif

/*
 * What the planner knows of a table can be added to.  19 lets extensions do so
 * for every relation of a query, of which only some are tables.
 */
#if PG_VERSION_NUM >= 190000
typedef build_simple_rel_hook_type TableInfoHook;
#define table_info_hook build_simple_rel_hook
#define TABLE_INFO_ARGS PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte
#define TABLE_INFO_VALUES root, rel, rte
#define TABLE_INFO_RELATION \
	(rte->rtekind == RTE_RELATION ? rte->relid : InvalidOid)
#define TABLE_INFO_IS_PARENT (rte->inh)
#else
typedef get_relation_info_hook_type TableInfoHook;
#define table_info_hook get_relation_info_hook
#define TABLE_INFO_ARGS \
	PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel
#define TABLE_INFO_VALUES root, relid, inhparent, rel
#define TABLE_INFO_RELATION relid
#define TABLE_INFO_IS_PARENT inhparent
#endif

/* 19 tells signal handlers who sent the signal */
#if PG_VERSION_NUM >= 190000
#define handle_statement_cancel() \
	StatementCancelHandler(postgres_signal_arg, pg_siginfo)
#else
#define handle_statement_cancel() StatementCancelHandler(postgres_signal_arg)
#endif

/* 15 records the version of a database's default collation */
#define SERVER_KNOWS_DATABASE_COLLATION (PG_VERSION_NUM >= 150000)

/* 15 moved the samplers' random state to pg_prng */
#if PG_VERSION_NUM >= 150000
typedef pg_prng_state SamplerState;
#define sampler_state_init(seed, state) \
	sampler_random_init_state((uint32) (seed), state)
#define sampler_state_fract(state) sampler_random_fract(state)
#define sampler_seed() pg_prng_uint32(&pg_global_prng_state)
#else
typedef struct SamplerState
{
	SamplerRandomState values;
} SamplerState;
#define sampler_state_init(seed, state) \
	sampler_random_init_state((long) (seed), (state)->values)
#define sampler_state_fract(state) sampler_random_fract((state)->values)
#define sampler_seed() ((uint32) random())
#endif

/* would an update of the table be sent to subscribers of a publication? */
#if PG_VERSION_NUM >= 150000
extern bool relation_publishes_updates(Relation relation);
#else
#define relation_publishes_updates(relation) \
	(GetRelationPublicationActions(relation)->pubupdate)
#endif

/* 16 renamed files of relations */
#if PG_VERSION_NUM >= 160000
#define forget_cached_target(relation) \
	CacheInvalidateSmgr(RelationGetSmgr(relation)->smgr_rlocator)
#else
#define forget_cached_target(relation) \
	CacheInvalidateSmgr(RelationGetSmgr(relation)->smgr_rnode)
#endif

/* 19 updates rows without telling logical decoding */
#define SERVER_MOVES_ROWS_SILENTLY (PG_VERSION_NUM >= 190000)

/* 16 tells which indexes need entries for a row that was updated */
#if PG_VERSION_NUM >= 160000
typedef TU_UpdateIndexes UpdatedIndexes;
#define NO_UPDATED_INDEXES TU_None
#else
typedef bool UpdatedIndexes;
#define NO_UPDATED_INDEXES false
#endif

/* update a row that this transaction has locked */
#if PG_VERSION_NUM >= 190000
#define update_tuple(relation, place, slot, failure, mode, indexes)      \
	table_tuple_update(relation, place, slot, GetCurrentCommandId(true), \
					   TABLE_UPDATE_NO_LOGICAL, GetActiveSnapshot(),     \
					   InvalidSnapshot, true, failure, mode, indexes)
#else
#define update_tuple(relation, place, slot, failure, mode, indexes)         \
	table_tuple_update(relation, place, slot, GetCurrentCommandId(true),    \
					   GetActiveSnapshot(), InvalidSnapshot, true, failure, \
					   mode, indexes)
#endif

/* entries for a row that was updated; the indexes that need another check */
#if PG_VERSION_NUM >= 190000
#define insert_entries_of_update(result, slot, estate, indexes)        \
	ExecInsertIndexTuples(                                             \
		result, estate,                                                \
		EIIT_IS_UPDATE |                                               \
			((indexes) == TU_Summarizing ? EIIT_ONLY_SUMMARIZING : 0), \
		slot, NIL, NULL)
#elif PG_VERSION_NUM >= 160000
#define insert_entries_of_update(result, slot, estate, indexes)         \
	ExecInsertIndexTuples(result, slot, estate, true, false, NULL, NIL, \
						  (indexes) == TU_Summarizing)
#else
#define insert_entries_of_update(result, slot, estate, indexes) \
	ExecInsertIndexTuples(result, slot, estate, true, false, NULL, NIL)
#endif

/* 16 took the permissions out of the range table, 18 added a set of entries */
#if PG_VERSION_NUM >= 180000
#define init_range_table(estate, entries, permissions) \
	ExecInitRangeTable(estate, entries, permissions, bms_make_singleton(1))
#elif PG_VERSION_NUM >= 160000
#define init_range_table(estate, entries, permissions) \
	ExecInitRangeTable(estate, entries, permissions)
#else
#define init_range_table(estate, entries, permissions) \
	ExecInitRangeTable(estate, entries)
#define addRTEPermissionInfo(permissions, entry) ((void) (permissions))
#endif

#endif /* PGMAINT_COMPAT_H */
