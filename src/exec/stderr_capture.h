/*-------------------------------------------------------------------------
 *
 * stderr_capture.h
 *	  The standard error of a program: the beginning, where the cause is,
 *	  and the end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STDERR_CAPTURE_H
#define PGMAINT_STDERR_CAPTURE_H

/* the first so many bytes are kept, and so many of the last */
#define STDERR_KEPT 4096

typedef struct StderrCapture
{
	char first[STDERR_KEPT];
	size_t first_length;
	char last[STDERR_KEPT];
	uint64 more; /* bytes that came after the first */
} StderrCapture;

extern void capture_stderr(StderrCapture *capture, const char *data,
						   size_t length);

/* as a text of this database, without newlines at its end; "" for nothing */
extern char *captured_text(const StderrCapture *capture);

#endif /* PGMAINT_STDERR_CAPTURE_H */
