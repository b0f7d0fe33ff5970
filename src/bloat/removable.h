/*-------------------------------------------------------------------------
 *
 * removable.h
 *	  Would VACUUM find anything that it may remove?
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_REMOVABLE_H
#define PGMAINT_REMOVABLE_H

/* rows seen in a sample of the pages that are not all-visible */
typedef struct RemovableSample
{
	int64 dead;			   /* VACUUM would remove them */
	int64 recently_dead;   /* dead, but some snapshot may still see them */
	int64 settled;		   /* live, and visible to all snapshots */
	int64 recent;		   /* live, but not yet visible to all snapshots */
	int64 blocks;		   /* pages looked at */
	TransactionId horizon; /* the oldest transaction that matters */
	int64 horizon_age;	   /* and its age */
} RemovableSample;

extern void sample_removable(Oid relid, RemovableSample *sample);

#endif /* PGMAINT_REMOVABLE_H */
