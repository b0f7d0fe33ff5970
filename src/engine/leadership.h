/*-------------------------------------------------------------------------
 *
 * leadership.h
 *	  How a process becomes the leader of its database, and stops being it.
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
