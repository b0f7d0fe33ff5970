/*-------------------------------------------------------------------------
 *
 * wording.h
 *	  Sizes, durations and names as text for people.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_WORDING_H
#define PGMAINT_WORDING_H

extern char *size_text(int64 bytes);
extern char *count_text(int64 number);
extern char *counted(int64 number, const char *one, const char *more);
extern char *duration_text(int64 milliseconds);
extern char *one_line(const char *text);

#endif /* PGMAINT_WORDING_H */
