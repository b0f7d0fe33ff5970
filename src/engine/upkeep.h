/*-------------------------------------------------------------------------
 *
 * upkeep.h
 *	  Statistics of the ledger's own tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_UPKEEP_H
#define PGMAINT_UPKEEP_H

extern void analyze_ledger(Oid extension);

#endif /* PGMAINT_UPKEEP_H */
