/*-------------------------------------------------------------------------
 *
 * random.h
 *	  Random names, unique across databases and servers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RANDOM_H
#define PGMAINT_RANDOM_H

extern char *random_name(int bytes);

#endif /* PGMAINT_RANDOM_H */
