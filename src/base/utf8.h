/*-------------------------------------------------------------------------
 *
 * utf8.h
 *	  Text of the database, converted to UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_UTF8_H
#define PGMAINT_UTF8_H

extern char *text_in_utf8(const char *text);

#endif /* PGMAINT_UTF8_H */
