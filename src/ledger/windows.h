/*-------------------------------------------------------------------------
 *
 * windows.h
 *	  Maintenance windows: the hours in which disruptive tasks may run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_WINDOWS_H
#define PGMAINT_WINDOWS_H

#include "datatype/timestamp.h"

#include "ledger/ledger.h"

typedef struct WindowState
{
	bool defined; /* is there any window? */
	bool open;
	TimestampTz closes; /* by window_clock(); DT_NOEND: never */
	char *name;			/* of the open one that closes last, or NULL */
} WindowState;

extern TimestampTz window_clock(void);
extern void read_window_state(WindowState *state);
extern int64 window_milliseconds_left(const WindowState *state);
extern char *describe_next_window(void);
extern char *list_windows(void);

#endif /* PGMAINT_WINDOWS_H */
