/*-------------------------------------------------------------------------
 *
 * missed.h
 *	  Scheduled runs that were missed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_MISSED_H
#define PGMAINT_MISSED_H

extern void note_missed_schedules(int64 run_id);

#endif /* PGMAINT_MISSED_H */
