/*-------------------------------------------------------------------------
 *
 * action.c
 *	  Functions that all actions share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "action/action.h"

/*
 * Add a finding to a list; returns it, for its detail.
 */
PlannedFinding *
note_finding(List **findings, const char *check_id, const char *severity,
			 char *object, char *message)
{
	PlannedFinding *finding = palloc0(sizeof(PlannedFinding));

	finding->check_id = check_id;
	finding->severity = severity;
	finding->object = object;
	finding->message = message;
	*findings = lappend(*findings, finding);
	return finding;
}
