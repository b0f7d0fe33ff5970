/*-------------------------------------------------------------------------
 *
 * findings.c
 *	  The rows of pgmaint.findings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "ledger/findings.h"

/*
 * Record what a person should know.  run_id 0 stands for no run; object and
 * detail, a JSON object, may be NULL.  The caller is inside a ledger scope.
 */
void
add_finding(int64 run_id, const char *check_id, const char *severity,
			const char *object, const char *message, const char *detail)
{
	LedgerQuery query = {0};

	if (run_id == 0)
		bind_null(&query, INT8OID);
	else
		bind_bigint(&query, run_id);
	bind_text(&query, check_id);
	bind_text(&query, severity);
	bind_text(&query, object);
	bind_text(&query, message);
	bind_text(&query, detail);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message, detail) "
		"VALUES ($1, $2, $3, $4, $5, $6::jsonb)");
}
