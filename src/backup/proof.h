/*-------------------------------------------------------------------------
 *
 * proof.h
 *	  The private server that a backup is proven in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PROOF_H
#define PGMAINT_PROOF_H

#include "backup/restorable.h"
#include "exec/private_server.h"

typedef struct Proof
{
	char *folder;
	int64 min_free; /* bytes on its disk */
	PrivateServer *server;
	char *database;		 /* that the backup is restored into */
	char *role;			 /* that it is restored as */
	Login *login;		 /* of that role, into the database */
	Login *owner;		 /* of a superuser, the same */
	Login *admin;		 /* of a superuser, into a database without the dump */
	List *missing_roles; /* names that could not be created */
	char *settings;		 /* a few words on them, for a person */
	int64 milliseconds;	 /* that making it took */
} Proof;

/* where servers are made; an ERROR where that cannot be */
extern char *proof_directory(void);

/*
 * In a ledger scope, committed before anything is made.
 */
extern Proof *note_proof(int64 task_id, int64 min_free);

/* in a transaction: NULL, or what is wanting on the disk */
extern char *lack_of_room_for_proof(const BackupDescription *description,
									int64 min_free);

/* in a transaction: with an empty database and its roles */
extern void make_proof(Proof *proof, const BackupDescription *description);

/*
 * In a transaction: without the settings and the password that the role may have
 * given itself.
 */
extern void reset_proof_role(const Proof *proof);

/*
 * Outside of any transaction.  What cannot be removed stays noted, after a
 * WARNING.
 */
extern void end_proofs_of_task(int64 task_id, Oid extension);
extern void end_proofs_left(Oid extension);

#endif /* PGMAINT_PROOF_H */
