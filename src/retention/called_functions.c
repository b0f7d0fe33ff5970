/*-------------------------------------------------------------------------
 *
 * called_functions.c
 *	  The functions that an INSERT into a table may call.
 *
 * Column types, defaults, constraints, indexes, partition keys and triggers
 * call functions.  The owner of a function can replace its body, which runs
 * with the rights of the role that inserts.  The server records in pg_depend
 * which functions, operators and types an expression refers to; the owner of a
 * function is responsible for what its body calls.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "ledger/ledger.h"
#include "retention/called_functions.h"

/*
 * The table and its partitions, to which rows may be routed; of the tables above
 * it, only the partition keys are evaluated.
 */
#define TABLES                                                                 \
	"tree AS (SELECT $1 AS relation UNION "                                    \
	"SELECT i.inhrelid FROM tree t "                                           \
	"JOIN pg_catalog.pg_inherits i ON i.inhparent = t.relation "               \
	"JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition), " \
	"above AS (SELECT $1 AS relation UNION "                                   \
	"SELECT i.inhparent FROM above a "                                         \
	"JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.relation "                \
	"JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition), "

/*
 * The objects of these tables that hold expressions.  A table depends on the
 * types of its columns and on what its partition key refers to.
 */
#define PARTS                                                                 \
	"parts AS (SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, "  \
	"x.relation AS object "                                                   \
	"FROM (SELECT relation FROM tree UNION SELECT relation FROM above) x "    \
	"UNION ALL SELECT 'pg_catalog.pg_class', i.indexrelid "                   \
	"FROM pg_catalog.pg_index i JOIN tree t ON t.relation = i.indrelid "      \
	"UNION ALL SELECT 'pg_catalog.pg_attrdef', d.oid "                        \
	"FROM pg_catalog.pg_attrdef d JOIN tree t ON t.relation = d.adrelid "     \
	"UNION ALL SELECT 'pg_catalog.pg_constraint', k.oid "                     \
	"FROM pg_catalog.pg_constraint k JOIN tree t ON t.relation = k.conrelid " \
	"UNION ALL SELECT 'pg_catalog.pg_trigger', g.oid "                        \
	"FROM pg_catalog.pg_trigger g JOIN tree t ON t.relation = g.tgrelid "     \
	"WHERE g.tgtype & 4 = 4 AND g.tgenabled <> 'D'), "

/*
 * The objects that these refer to, with the referring object.  The constraints
 * of a domain, the columns of a composite type and the members of an operator
 * class are not recorded as dependencies of the type or the class.
 */
#define REACHED                                                                \
	"reached AS (SELECT p.class::pg_catalog.oid, p.object, "                   \
	"p.class::pg_catalog.oid AS by_class, p.object AS by_object FROM parts p " \
	"UNION SELECT n.class, n.object, r.class, r.object FROM reached r "        \
	"CROSS JOIN LATERAL (SELECT d.refclassid AS class, d.refobjid AS object "  \
	"FROM pg_catalog.pg_depend d "                                             \
	"WHERE d.classid = r.class AND d.objid = r.object "                        \
	"AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, "         \
	"'pg_catalog.pg_operator'::pg_catalog.regclass, "                          \
	"'pg_catalog.pg_type'::pg_catalog.regclass, "                              \
	"'pg_catalog.pg_opclass'::pg_catalog.regclass) "                           \
	"UNION ALL SELECT k.tableoid, k.oid FROM pg_catalog.pg_constraint k "      \
	"WHERE r.class = 'pg_catalog.pg_type'::pg_catalog.regclass "               \
	"AND k.contypid = r.object "                                               \
	"UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, t.typrelid " \
	"FROM pg_catalog.pg_type t "                                               \
	"WHERE r.class = t.tableoid AND t.oid = r.object AND t.typrelid <> 0 "     \
	"UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, f.amproc "    \
	"FROM pg_catalog.pg_opclass o "                                            \
	"JOIN pg_catalog.pg_amproc f ON f.amprocfamily = o.opcfamily "             \
	"WHERE r.class = o.tableoid AND o.oid = r.object "                         \
	"UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, "         \
	"f.amopopr FROM pg_catalog.pg_opclass o "                                  \
	"JOIN pg_catalog.pg_amop f ON f.amopfamily = o.opcfamily "                 \
	"WHERE r.class = o.tableoid AND o.oid = r.object) n "                      \
	"WHERE n.object >= 16384 "                                                 \
	"AND r.class <> 'pg_catalog.pg_proc'::pg_catalog.regclass) "

/*
 * Functions of the server that an expression of one role must not call with
 * the rights of another: those that may change something or read what their
 * arguments name.  Immutable functions do neither; of the stable ones only
 * those that turn tables into XML do.
 */
#define MAY_DO_HARM                                                     \
	"(p.provolatile = 'v' AND p.proname NOT IN ('nextval', 'currval', " \
	"'lastval', 'clock_timestamp', 'timeofday', 'random', "             \
	"'random_normal', 'gen_random_uuid', 'uuidv4', 'uuidv7', "          \
	"'pg_current_xact_id', 'txid_current') "                            \
	"OR p.provolatile = 's' AND pg_catalog.strpos(p.proname, '_to_xml') > 0) "

/* of the table itself; an index takes what is immutable only */
#define OWN_EXPRESSIONS                                                        \
	"(SELECT d.adbin::text AS tree FROM pg_catalog.pg_attrdef d "              \
	"WHERE d.adrelid = $1 UNION ALL "                                          \
	"SELECT k.conbin::text FROM pg_catalog.pg_constraint k "                   \
	"WHERE k.conrelid = $1 AND k.contype = 'c' UNION ALL "                     \
	"SELECT g.tgqual::text FROM pg_catalog.pg_trigger g WHERE g.tgrelid = $1 " \
	"AND g.tgtype & 4 = 4 AND g.tgenabled <> 'D') e "                          \
	"CROSS JOIN LATERAL pg_catalog.regexp_matches(e.tree, "                    \
	"':(?:op)?funcid ([0-9]+)', 'g') AS f (found) "                            \
	"JOIN pg_catalog.pg_proc p ON p.oid = f.found[1]::pg_catalog.oid "

/*
 * Search the objects that the INSERT of a row reaches.  The first row found is
 * the result of the last ledger query.  The caller is inside a ledger scope.
 */
static bool
search_reached_objects(Oid relation, Oid role, const char *search)
{
	LedgerQuery query = {0};

	bind_oid(&query, relation);
	bind_oid(&query, role);
	/* compiling the query would take longer than executing it */
	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return ledger_query_once(
			   &query, psprintf("WITH RECURSIVE " TABLES PARTS REACHED "%s",
								search)) > 0;
}

/*
 * Raise an ERROR if an INSERT by the role would evaluate an expression of a
 * role that does not have its rights.  Such an expression can do harm without
 * a function of its owner: lo_export() belongs to the server, and pg_depend
 * does not record references to objects of the server.
 *
 * The owner of a domain can change its constraints and its default at any
 * time, the owner of a partition its constraints, defaults, indexes and
 * triggers.  Of the table itself, which is locked, the functions that its
 * expressions call are known.
 */
static void
refuse_expressions_of_others(Oid relation, Oid role)
{
	LedgerScope scope;

	ledger_enter(&scope);
	if (search_reached_objects(
			relation, role,
			"SELECT x.name, o.rolname::text AS owner, x.own FROM ("
			"SELECT pg_catalog.concat('domain ', pg_catalog.format_type(t.oid, NULL)) AS name, "
			"t.typowner AS owner, false AS own FROM reached r JOIN pg_catalog.pg_type t "
			"ON t.oid = r.object AND t.tableoid = r.class AND t.typtype = 'd' "
			"UNION ALL SELECT pg_catalog.format('table %s, which call %s,', c.oid::pg_catalog.regclass, "
			"p.oid::pg_catalog.regprocedure), c.relowner, true "
			"FROM " OWN_EXPRESSIONS "JOIN pg_catalog.pg_class c ON c.oid = $1 "
			"WHERE p.oid < 16384 AND " MAY_DO_HARM
			"UNION ALL SELECT pg_catalog.concat('partition ', c.oid::pg_catalog.regclass), c.relowner, false "
			"FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.relation AND c.oid <> $1 "
			"UNION ALL SELECT pg_catalog.concat('partitioned table ', c.oid::pg_catalog.regclass), c.relowner, false "
			"FROM above JOIN pg_catalog.pg_class c ON c.oid = above.relation AND c.oid <> $1) x "
			"JOIN pg_catalog.pg_roles o ON o.oid = x.owner "
			"WHERE NOT pg_catalog.pg_has_role(x.owner, $2, 'USAGE') "
			"ORDER BY x.name LIMIT 1"))
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("expressions of %s of role \"%s\" would be evaluated "
					"with the rights of role \"%s\"",
					named_text(0, "name"), named_text(0, "owner"),
					GetUserNameFromId(role, false)),
			 named_boolean(0, "own")
				 ? errhint("Restore into a table without these expressions.")
				 : errhint("Restore into a table that does not depend on "
						   "%s, or into a table that role \"%s\" owns.",
						   named_text(0, "name"), named_text(0, "owner"))));
	ledger_leave(&scope);
}

/*
 * Raise an ERROR if an INSERT by the role may call a function of a role that
 * does not have its rights: the owner of the function could use them.
 */
void
refuse_functions_of_others(Oid relation, Oid role)
{
	LedgerScope scope;

	ledger_enter(&scope);
	if (search_reached_objects(
			relation, role,
			"SELECT p.oid::pg_catalog.regprocedure::text AS name, o.rolname::text AS owner, "
			"coalesce((SELECT pg_catalog.format('constraint %I of domain %s', k.conname, "
			"pg_catalog.format_type(k.contypid, NULL)) FROM pg_catalog.pg_constraint k "
			"WHERE k.tableoid = r.by_class AND k.oid = r.by_object AND k.contypid <> 0), "
			"pg_catalog.pg_describe_object(r.by_class, r.by_object, 0)) AS caller "
			"FROM reached r JOIN pg_catalog.pg_proc p "
			"ON p.oid = r.object AND p.tableoid = r.class "
			"JOIN pg_catalog.pg_roles o ON o.oid = p.proowner "
			"WHERE NOT pg_catalog.pg_has_role(p.proowner, $2, 'USAGE') "
			"ORDER BY p.oid, r.by_class, r.by_object LIMIT 1"))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("function %s of role \"%s\" would be called with the "
						"rights of role \"%s\"",
						named_text(0, "name"), named_text(0, "owner"),
						GetUserNameFromId(role, false)),
				 errdetail("The function is called by %s.",
						   named_text(0, "caller")),
				 errhint("Restore into a table that does not call the "
						 "function, or into a table that role \"%s\" owns.",
						 named_text(0, "owner"))));
	ledger_leave(&scope);
	refuse_expressions_of_others(relation, role);
}
