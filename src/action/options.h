/*-------------------------------------------------------------------------
 *
 * options.h
 *	  The options of actions: their definition, checks, and values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_OPTIONS_H
#define PGMAINT_OPTIONS_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef enum OptionKind
{
	OPTION_BOOLEAN,
	OPTION_INTEGER,
	OPTION_NUMBER,
	OPTION_BYTES,	  /* a number of bytes, or text as in '8 MB' */
	OPTION_DURATION,  /* a number of seconds, or text as in '1 hour' */
	OPTION_CHOICE,	  /* one of a list of words */
	OPTION_SWITCH,	  /* auto, on, off, true, false */
	OPTION_TEXT,	  /* any text that is not empty */
	OPTION_NAMES,	  /* a name or an array of names */
	OPTION_RELATIONS, /* the same, of relations that must exist */
	OPTION_SETTINGS	  /* an object of settings */
} OptionKind;

typedef struct ActionOption
{
	const char *name;
	OptionKind kind;
	int server;			  /* the first major version that has it; 0: all */
	const char *fallback; /* the default, as text */
	const char *description;
	const char *choices; /* of OPTION_CHOICE, comma-separated */
	double minimum;		 /* of OPTION_INTEGER and OPTION_NUMBER */
	double maximum;
} ActionOption;

/* for the tables of options */
#define PLAIN_OPTION(option, type, value, text)                \
	{                                                          \
		.name = (option), .kind = (type), .fallback = (value), \
		.description = (text)                                  \
	}
#define CHOICE_OPTION(option, words, value, text)                    \
	{                                                                \
		.name = (option), .kind = OPTION_CHOICE, .choices = (words), \
		.fallback = (value), .description = (text)                   \
	}
#define RANGE_OPTION(option, type, low, high, value, text)            \
	{                                                                 \
		.name = (option), .kind = (type), .minimum = (low),           \
		.maximum = (high), .fallback = (value), .description = (text) \
	}
#define SERVER_OPTION(option, type, version, text)             \
	{                                                          \
		.name = (option), .kind = (type), .server = (version), \
		.description = (text)                                  \
	}
#define END_OF_OPTIONS \
	{                  \
		.name = NULL   \
	}

/* options end with an entry without a name */
extern const ActionOption *find_option(const ActionOption *options,
									   const char *name);
extern const char *option_kind_name(const ActionOption *option);
extern char *list_options(const ActionOption *options);
extern void check_options(const char *action, const ActionOption *options,
						  Jsonb *given);

/* reading: absent options have their default */
extern bool option_given(Jsonb *given, const char *name);
extern char *option_text(const ActionOption *options, Jsonb *given,
						 const char *name);
extern bool option_boolean(const ActionOption *options, Jsonb *given,
						   const char *name);
extern int64 option_integer(const ActionOption *options, Jsonb *given,
							const char *name);
extern double option_number(const ActionOption *options, Jsonb *given,
							const char *name);
extern int64 option_bytes(const ActionOption *options, Jsonb *given,
						  const char *name);
extern double option_seconds(const ActionOption *options, Jsonb *given,
							 const char *name);
extern List *option_names(Jsonb *given, const char *name);

#endif /* PGMAINT_OPTIONS_H */
