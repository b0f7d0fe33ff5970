/*-------------------------------------------------------------------------
 *
 * option_values.h
 *	  Values of options in JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_OPTION_VALUES_H
#define PGMAINT_OPTION_VALUES_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* of an object; NULL: absent, or null */
extern JsonbValue *json_field(Jsonb *given, const char *name);

/* a scalar; NULL for arrays and objects */
extern char *json_string(Jsonb *given, const char *name);
extern bool json_flag(Jsonb *given, const char *name);
extern char *json_text(const JsonbValue *value);

/* a name or an array of names; NIL for anything else */
extern List *json_names(JsonbValue *value);

/* an interval, or a number of seconds */
extern double seconds_of(const char *text);

#endif /* PGMAINT_OPTION_VALUES_H */
