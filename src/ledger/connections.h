/*-------------------------------------------------------------------------
 *
 * connections.h
 *	  Samples of the number of client connections.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CONNECTIONS_H
#define PGMAINT_CONNECTIONS_H

/* in a ledger scope */
extern void sample_connections(void);

#endif /* PGMAINT_CONNECTIONS_H */
