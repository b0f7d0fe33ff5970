/*-------------------------------------------------------------------------
 *
 * connections.h
 *	  How many clients were connected, over time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CONNECTIONS_H
#define PGMAINT_CONNECTIONS_H

/* in a ledger scope */
extern void sample_connections(void);

#endif /* PGMAINT_CONNECTIONS_H */
