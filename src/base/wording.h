/*-------------------------------------------------------------------------
 *
 * wording.h
 *	  Sizes and durations, for a person.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_WORDING_H
#define PGMAINT_WORDING_H

extern char *size_text(int64 bytes);
extern char *duration_text(int64 milliseconds);

#endif /* PGMAINT_WORDING_H */
