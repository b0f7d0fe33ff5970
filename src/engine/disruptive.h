/*-------------------------------------------------------------------------
 *
 * disruptive.h
 *	  Disruptive tasks run only while a maintenance window is open.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_DISRUPTIVE_H
#define PGMAINT_DISRUPTIVE_H

#include "engine/plan.h"

extern void hold_back_disruptive_tasks(PlanContext *context, const Step *step);
extern bool window_has_room(TaskContext *context, char **reason);
extern void begin_to_watch_window(TaskContext *context);
extern void stop_watching_window(void);
extern bool window_has_ended(const TaskContext *context, char **error,
							 List **findings);

#endif /* PGMAINT_DISRUPTIVE_H */
