/*-------------------------------------------------------------------------
 *
 * leadership.h
 *	  Taking and releasing the leadership of a database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_LEADERSHIP_H
#define PGMAINT_LEADERSHIP_H

extern bool extension_is_there(Oid extension);
extern bool become_leader(Oid extension);

/* true: a run was queued meanwhile */
extern bool stop_leading(Oid extension);

#endif /* PGMAINT_LEADERSHIP_H */
