/*-------------------------------------------------------------------------
 *
 * error_text.h
 *	  An ERROR as one text, without values of rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ERROR_TEXT_H
#define PGMAINT_ERROR_TEXT_H

/* the message alone */
extern char *message_without_values(const ErrorData *error);

/* message; detail; HINT: hint */
extern char *error_text(const ErrorData *error);

/* the same for a text that has a hint, or none */
extern char *text_with_hint(const char *text, const char *hint);

#endif /* PGMAINT_ERROR_TEXT_H */
