/*-------------------------------------------------------------------------
 *
 * pgmaint_test_locks.c
 *	  A session that has the lock of pgmaint's leader, or that of a REPACK.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(hold_leader_lock);
PG_FUNCTION_INFO_V1(hold_repack_lock);

/* as in src/base/locks.c: the class of such locks, and LOCK_LEADER */
#define ENGINE_LOCK_CLASS 7
#define LEADER_LOCK 1

/* the same for try_repack_lock() */
#define CLUSTER_LOCK_CLASS 9
#define BACKUP_LOCK 1

/* hold_leader_lock() returns void: until the session ends */
Datum
hold_leader_lock(PG_FUNCTION_ARGS)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, LEADER_LOCK, 0, ENGINE_LOCK_CLASS);
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
	PG_RETURN_VOID();
}

/* hold_repack_lock() returns void: until the session ends */
Datum
hold_repack_lock(PG_FUNCTION_ARGS)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, InvalidOid, BACKUP_LOCK, 0, CLUSTER_LOCK_CLASS);
	(void) LockAcquire(&tag, RowExclusiveLock, true, false);
	PG_RETURN_VOID();
}
