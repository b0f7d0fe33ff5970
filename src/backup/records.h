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
/* would its manifest be that of another backup, whatever both are made of? */
extern bool backup_key_is_taken(const char *storage, const char *key);
/*
 * Where a restore in this live server is measured, as it ends; durable: its
 * duration is what an emergency takes, with nothing switched off.
 */
extern char *describe_live_server(bool *durable);

/*
 * What restoring it came to; refusal: why it is not restorable, or NULL.
 * settings are those of milliseconds; safe: in this live server, and durable.
 */
extern void record_verification(int64 backup_id, int64 run_id,
								const char *refusal, int64 milliseconds,
								const char *settings, bool safe);
/* nothing happens where the ledger does not know this very object */
extern void record_safe_restore(const char *storage, const char *key,
								const char *sha256, int64 milliseconds);
extern bool find_backup_of_task(int64 task_id, BackupRecord *record);
extern void add_backup_record(const BackupRecord *record, int64 task_id);
extern void finish_backup_record(const BackupRecord *record,
								 const char *server_version);
extern bool fail_backup_records(int64 task_id, const char *error);

#endif /* PGMAINT_RECORDS_H */
