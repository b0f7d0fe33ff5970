/*-------------------------------------------------------------------------
 *
 * storage_review.h
 *	  Tasks of the action "validate" that check storages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STORAGE_REVIEW_H
#define PGMAINT_STORAGE_REVIEW_H

#include "action/action.h"

extern void plan_storage_reviews(PlanContext *context);
/* NULL: it is no such task */
extern char *storage_to_review(const ClaimedTask *task);
extern void review_storage(TaskContext *context, const char *storage);

#endif /* PGMAINT_STORAGE_REVIEW_H */
