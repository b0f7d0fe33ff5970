/*-------------------------------------------------------------------------
 *
 * own_rows.h
 *	  Conditions on rows of leftovers that this database may remove.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_OWN_ROWS_H
#define PGMAINT_OWN_ROWS_H

/*
 * A copy of this database has rows of the original, whose databases and
 * servers may be in use.
 */
#define OF_OWN_IDENTITY \
	"s.identity IN (SELECT o.identity FROM pgmaint_internal.own_identities o)"

/* the task has ended without cleaning up */
#define TASK_IS_OVER                           \
	"NOT EXISTS (SELECT FROM pgmaint.tasks t " \
	"WHERE t.task_id = s.task_id AND t.state = 'running')"

#endif /* PGMAINT_OWN_ROWS_H */
