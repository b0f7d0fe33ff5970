/*-------------------------------------------------------------------------
 *
 * copy_out.c
 *	  The output of COPY (query) TO STDOUT, for a sink.
 *
 * The server's own COPY is used, in the current transaction, with the rights
 * of the current role.  Servers from 16 on pass its output to a function, row
 * by row.  Older servers support only files and the client, so there pgmaint
 * replaces the client: the messages of COPY are intercepted, all others, such
 * as a trigger's NOTICE, are passed on.
 *
 * A query may call a function that runs another COPY: the inner COPY runs from
 * its beginning to its end while the outer one waits for a row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

/* a server with Kerberos has headers that want Kerberos's */
#undef ENABLE_GSS

#include "access/xact.h"
#include "commands/copy.h"
#include "commands/defrem.h"
#include "libpq/libpq.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parse_node.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/giveway.h"
#include "stream/copy_out.h"

/* rows are gathered up to this size before a sink gets to see them */
#define BUFFER_SIZE 65536

typedef struct Capture
{
	Sink *sink;
	struct Capture *outer; /* the one that waits for this one to end */
	bool binary;
	char *buffer;
	size_t used;
} Capture;

/* COPY gives its output to a function that knows nothing but the bytes */
static Capture *current = NULL;

static void
flush_rows(Capture *capture)
{
	size_t length = capture->used;

	give_way_if_due();
	capture->used = 0;
	if (length > 0)
		sink_write(capture->sink, capture->buffer, length);
}

/*
 * Collect small pieces to reduce the number of writes to the sink; large ones
 * are passed on directly.
 */
static void
take(Capture *capture, const char *data, size_t length)
{
	if (length > BUFFER_SIZE - capture->used)
		flush_rows(capture);
	if (length >= BUFFER_SIZE)
		sink_write(capture->sink, data, length);
	else
	{
		memcpy(capture->buffer + capture->used, data, length);
		capture->used += length;
	}
}

#if SERVER_HAS_COPY_CALLBACK

/*
 * Take a row from COPY, and add the end of the line.
 */
static void
take_row(void *data, int length)
{
	Capture *capture = current;

	CHECK_FOR_INTERRUPTS();
	take(capture, data, length);
	if (!capture->binary)
		take(capture, "\n", 1);
}

static CopyToState
begin_copy(ParseState *source, RawStmt *query, List *options)
{
	return BeginCopyTo(source, NULL, query, InvalidOid, NULL, false, take_row,
					   NIL, options);
}

static uint64
run_copy(CopyToState copy)
{
	return DoCopyTo(copy);
}

#else

/* COPY's messages: here it comes, a row, that was it */
#define COPY_OUT_RESPONSE 'H'
#define COPY_DATA 'd'
#define COPY_DONE 'c'

/* the client's, and with one function of ours in it, while COPY runs */
static const PQcommMethods *client = NULL;
static PQcommMethods between;

/* where messages go; a background worker's go nowhere but to the log */
static CommandDest destination = DestNone;

/*
 * Intercept the messages of COPY, and pass on all others.
 *
 * COPY ignores the result, but calls this function where it could raise an
 * ERROR itself, with no message half-sent: so an ERROR of the sink may
 * propagate.
 */
static int
take_message(char type, const char *data, size_t length)
{
	switch (type)
	{
		case COPY_OUT_RESPONSE:
			/* COPY has made up its mind */
			whereToSendOutput = destination;
			return 0;
		case COPY_DATA:
			CHECK_FOR_INTERRUPTS();
			take(current, data, length);
			return 0;
		case COPY_DONE:
			return 0;
		default:
			return client->putmessage(type, data, length);
	}
}

static CopyToState
begin_copy(ParseState *source, RawStmt *query, List *options)
{
	return begin_copy_to_client(source, query, options);
}

/*
 * Make COPY find a client, which it checks first, and keep its output from the
 * real client.
 */
static uint64
run_copy(CopyToState copy)
{
	const PQcommMethods *methods = PqCommMethods;
	uint64 rows = 0;

	if (methods != &between)
	{
		client = methods;
		between = *methods;
		between.putmessage = take_message;
	}
	destination = whereToSendOutput;
	PG_TRY();
	{
		PqCommMethods = &between;
		whereToSendOutput = DestRemote;
		rows = DoCopyTo(copy);
	}
	PG_FINALLY();
	{
		PqCommMethods = methods;
		whereToSendOutput = destination;
	}
	PG_END_TRY();
	return rows;
}

#endif

/*
 * Report the text of the query with an error: positions do not refer to the
 * text that the client sent.
 */
static void
add_source(void *arg)
{
	const char *source = *(const char **) arg;
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(source);
	}
	else
		errcontext("COPY (%s)", source);
}

/*
 * The parse tree of the query.  The query is parsed alone, so that it cannot
 * close the parenthesis around it.
 */
static RawStmt *
parse_query(const char *query)
{
	List *parsed = pg_parse_query(query);
	RawStmt *statement;

	if (list_length(parsed) != 1)
		ereport(
			ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("cannot copy the output of %d statements",
					list_length(parsed)),
			 errhint("Use one SELECT, or one INSERT, UPDATE or DELETE with "
					 "RETURNING.")));
	statement = linitial_node(RawStmt, parsed);
	if (!IsA(statement->stmt, SelectStmt) &&
		!IsA(statement->stmt, InsertStmt) &&
		!IsA(statement->stmt, UpdateStmt) && !IsA(statement->stmt, DeleteStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot copy the output of %s",
						CreateCommandName(statement->stmt)),
				 errhint("Use one SELECT, or one INSERT, UPDATE or DELETE "
						 "with RETURNING.")));
	return statement;
}

/*
 * The options of COPY, as a list of the parser.
 */
static List *
parse_options(const char *source)
{
	List *parsed = pg_parse_query(source);
	CopyStmt *statement;
	ListCell *cell;

	if (list_length(parsed) != 1)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("the options of COPY must be a list")));
	statement = castNode(CopyStmt, linitial_node(RawStmt, parsed)->stmt);
	/* their positions are not in the query */
	foreach (cell, statement->options)
		lfirst_node(DefElem, cell)->location = -1;
	return statement->options;
}

/*
 * Binary output has no lines.
 */
static bool
is_binary(List *options)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "format") == 0)
			return strcmp(defGetString(option), "binary") == 0;
	}
	return false;
}

/*
 * Begin the COPY, then the sink, and copy all rows.  COPY ends here as well,
 * since its AFTER triggers may still fail.
 */
static uint64
copy_to_sink(Capture *capture, ParseState *source, RawStmt *query,
			 List *options)
{
	CopyToState copy = begin_copy(source, query, options);
	uint64 rows = 0;

	sink_begin(capture->sink);
	PG_TRY();
	{
		current = capture;
		rows = run_copy(copy);
		flush_rows(capture);
	}
	PG_FINALLY();
	{
		current = capture->outer;
	}
	PG_END_TRY();
	EndCopyTo(copy);
	return rows;
}

/*
 * Run COPY (query) TO STDOUT (options) into a sink, and return the number of
 * rows.  The sink is begun once the query is known to be valid, and the caller
 * ends it.  An ERROR, of the sink or another, aborts the sink first; as after
 * any failed command, the (sub)transaction must be rolled back.
 */
uint64
copy_out(const char *query, const char *options, Sink *sink)
{
	Capture capture = {.sink = sink, .outer = current};
	ParseState *source = make_parsestate(NULL);
	const char *text =
		psprintf("COPY (SELECT) TO STDOUT%s%s%s", options == NULL ? "" : " (",
				 options == NULL ? "" : options, options == NULL ? "" : ")");
	ErrorContextCallback context = {error_context_stack, add_source, &text};
	uint64 rows = 0;

	error_context_stack = &context;
	PG_TRY();
	{
		List *list = parse_options(text);

		text = query;
		capture.binary = is_binary(list);
		capture.buffer = palloc(BUFFER_SIZE);
		source->p_sourcetext = query;

		/* the changes of the transaction so far are visible to the query */
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
		rows = copy_to_sink(&capture, source, parse_query(query), list);
		PopActiveSnapshot();
		CommandCounterIncrement();
	}
	PG_CATCH();
	{
		sink_abort(sink);
		PG_RE_THROW();
	}
	PG_END_TRY();
	error_context_stack = context.previous;

	pfree(capture.buffer);
	free_parsestate(source);
	return rows;
}
