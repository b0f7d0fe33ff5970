/*-------------------------------------------------------------------------
 *
 * called_functions.h
 *	  The functions that an INSERT into a table may call.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CALLED_FUNCTIONS_H
#define PGMAINT_CALLED_FUNCTIONS_H

#include "postgres_ext.h"

/* outside of a ledger scope */
extern void refuse_functions_of_others(Oid relation, Oid role);

#endif /* PGMAINT_CALLED_FUNCTIONS_H */
