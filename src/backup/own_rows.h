/*-------------------------------------------------------------------------
 *
 * own_rows.h
 *	  Of what tasks have noted down, what this database may put away.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_OWN_ROWS_H
#define PGMAINT_OWN_ROWS_H

/*
 * Copies of this database find rows of the original, whose databases and servers
 * may be at work.
 */
#define OF_OWN_IDENTITY \
	"s.identity IN (SELECT o.identity FROM pgmaint_internal.own_identities o)"

/* of tasks that did not clean up behind themselves */
#define TASK_IS_OVER                           \
	"NOT EXISTS (SELECT FROM pgmaint.tasks t " \
	"WHERE t.task_id = s.task_id AND t.state = 'running')"

#endif /* PGMAINT_OWN_ROWS_H */
