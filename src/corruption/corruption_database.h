/*-------------------------------------------------------------------------
 *
 * corruption_database.h
 *	  The checks of the database as a whole.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CORRUPTION_DATABASE_H
#define PGMAINT_CORRUPTION_DATABASE_H

#include "action/action.h"

extern void check_checksums(TaskContext *context);
extern void check_sequences(TaskContext *context, double threshold);
extern void check_constraints(TaskContext *context);
extern void sum_up_checks(TaskContext *context);

#endif /* PGMAINT_CORRUPTION_DATABASE_H */
