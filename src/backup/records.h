/*-------------------------------------------------------------------------
 *
 * records.h
 *	  The rows of pgmaint_internal.backup_records.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RECORDS_H
#define PGMAINT_RECORDS_H

#include "ledger/ledger.h"

typedef struct BackupRecord
{
	int64 backup_id;
	int64 run_id; /* 0: adopted */
	char *storage;
	char *key;
	char *kind;		 /* "database", "globals" */
	char *database;	 /* NULL: globals */
	char *selection; /* JSON; NULL: the whole database */
	char *state;
	char *compression;
	int64 bytes;
	char *sha256;
	int64 dump_bytes;
	int64 database_bytes;
} BackupRecord;

/* all in a ledger scope */
extern bool read_backup_record(int64 backup_id, BackupRecord *record);
extern int64 find_backup_record(const char *storage, const char *key);
/* would the manifest have the key of that of another backup? */
extern bool backup_key_is_taken(const char *storage, const char *key);
/*
 * The settings under which a restore in this live server was measured.
 * durable: no setting made it faster than a restore in an emergency.
 */
extern char *describe_live_server(bool *durable);

/*
 * Record a verification; refusal: why the backup is not restorable, or NULL.
 * settings are those under which milliseconds was measured; safe: in this live
 * server, and durable.
 */
extern void record_verification(int64 backup_id, int64 run_id,
								const char *refusal, int64 milliseconds,
								const char *settings, bool safe);
/* does nothing where the ledger has another object, or none */
extern void record_safe_restore(const char *storage, const char *key,
								const char *sha256, int64 milliseconds);
extern bool find_backup_of_task(int64 task_id, BackupRecord *record);
extern void add_backup_record(const BackupRecord *record, int64 task_id);
extern void finish_backup_record(const BackupRecord *record,
								 const char *server_version);
extern bool fail_backup_records(int64 task_id, const char *error);

#endif /* PGMAINT_RECORDS_H */
