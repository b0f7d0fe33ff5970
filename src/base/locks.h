/*-------------------------------------------------------------------------
 *
 * locks.h
 *	  Locks by which the processes of pgmaint exclude each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_LOCKS_H
#define PGMAINT_LOCKS_H

typedef enum EngineLock
{
	LOCK_LEADER = 1,   /* held by the one leader of the database */
	LOCK_LEADER_ALIVE, /* held by it too; others may try it for a moment */
	LOCK_QUEUE,		   /* shared while a transaction with a new run commits */
	LOCK_TASKS,		   /* held while tasks change state */
	LOCK_ALERTS,	   /* held while findings become alerts and messages */
	LOCK_DELIVERY,	   /* held by the one process that sends messages */
	LOCK_IDENTITY,	   /* held while the database gets another identity */
	LOCK_OWNERS,	   /* held while a run's owner record is written */
	LOCK_STORAGE_NAMES /* held while the ledger follows renamed storages */
} EngineLock;

extern bool hold_engine_lock(EngineLock which, bool exclusive, bool wait);
extern void release_engine_lock(EngineLock which, bool exclusive);
extern void lock_in_transaction(EngineLock which, bool exclusive);
extern bool try_lock_in_transaction(EngineLock which);
extern void guard_engine_locks(void);
extern void restore_engine_locks(void);
extern void release_all_engine_locks(void);
extern bool leader_is_alive(void);
extern bool leader_is_alive_in(Oid database);

/*
 * Backups and REPACK (CONCURRENTLY) exclude each other in the whole cluster.
 * try_repack_lock: for the session, never waits.  lock_out_repack: for the
 * transaction, which dumps this database; false: a REPACK is running, and the
 * caller did not want to wait.
 */
extern bool try_repack_lock(void);
extern void release_repack_lock(void);
extern bool lock_out_repack(Oid database, bool wait);

/*
 * The worker slots of the cluster are divided into units.  A leader needs this
 * many, for itself and for its first task worker.
 */
#define LEADER_UNITS 2

/* units that one process may hold: for itself and 64 task workers */
#define MAX_HELD_UNITS 65

extern int slots_for_units(void);

/* to be called in a transaction; units outlive it */
extern bool take_units(int count);
extern bool keep_units(int count);
extern int count_free_units(int limit);

#endif /* PGMAINT_LOCKS_H */
