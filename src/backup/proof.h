/*-------------------------------------------------------------------------
 *
 * proof.h
 *	  The private server that a backup is verified in.
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

/* the folder for private servers; an ERROR where it cannot be used */
extern char *proof_directory(void);

/*
 * In a ledger scope; committed before anything is created.
 */
extern Proof *note_proof(int64 task_id, int64 min_free);

/* in a transaction: NULL, or why there is not enough room on the disk */
extern char *lack_of_room_for_proof(const BackupDescription *description,
									int64 min_free);

/* in a transaction: creates the server with an empty database and the roles */
extern void make_proof(Proof *proof, const BackupDescription *description);

/*
 * In a transaction: removes settings and a password that the role may have
 * given itself.
 */
extern void reset_proof_role(const Proof *proof);

/*
 * Outside of any transaction.  A folder that cannot be removed stays recorded,
 * and causes a WARNING.
 */
extern void end_proofs_of_task(int64 task_id, Oid extension);
extern void end_proofs_left(Oid extension);

#endif /* PGMAINT_PROOF_H */
