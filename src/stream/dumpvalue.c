/*-------------------------------------------------------------------------
 *
 * dumpvalue.c
 *	  Reads the values of a dump of pg_dump, one after the other, from pieces
 *	  of any size.
 *
 * A damaged length does not lead to a large allocation: a string grows as its
 * bytes are read, and the bytes after it in a dump include zero bytes, which a
 * string never has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "stream/dumpvalue.h"

/*
 * Initialize a value, whose memory is in the current context.
 */
void
dump_value_init(DumpValue *value)
{
	memset(value, 0, sizeof(DumpValue));
	initStringInfo(&value->text);
}

/*
 * Raise the ERROR for bytes that no pg_dump writes.
 */
void
dump_damaged(const DumpValue *value, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED), errmsg("the dump is damaged"),
			 errdetail("Before byte %llu there is %s.",
					   (unsigned long long) value->position, what)));
}

/*
 * Add to the bytes of a value until it has this many.
 */
static bool
collect(DumpValue *value, int count, const char **data, const char *end)
{
	size_t taken = Min((size_t) (count - value->have), end - *data);

	Assert(count <= sizeof(value->bytes));
	memcpy(value->bytes + value->have, *data, taken);
	*data += taken;
	value->position += taken;
	value->have += (int) taken;
	if (value->have < count)
		return false;
	value->have = 0;
	return true;
}

static bool
read_int(DumpValue *value, const char **data, const char *end)
{
	uint64 size = 0;

	if (!collect(value, 1 + value->int_size, data, end))
		return false;
	for (int i = value->int_size; i > 0; i--)
		size = size << BITS_PER_BYTE | value->bytes[i];
	/* an oid may be the one int that has no positive counterpart */
	if (value->bytes[0] > 1 || size > (uint64) PG_INT32_MAX + value->bytes[0])
		dump_damaged(value, "a number out of range");
	value->number =
		(int) (value->bytes[0] == 0 ? (int64) size : -(int64) size);
	return true;
}

static bool
read_string(DumpValue *value, const char **data, const char *end)
{
	size_t taken;

	if (!value->in_string)
	{
		if (!read_int(value, data, end))
			return false;
		value->string = NULL;
		if (value->number == -1)
			return true;
		if (value->number < 0 || !AllocSizeIsValid((Size) value->number + 1))
			dump_damaged(value, "a string of an impossible length");
		value->in_string = true;
		resetStringInfo(&value->text);
	}
	taken = Min((size_t) (value->number - value->text.len), end - *data);
	if (memchr(*data, '\0', taken) != NULL)
		dump_damaged(value, "a string with a zero byte in it");
	appendBinaryStringInfo(&value->text, *data, (int) taken);
	*data += taken;
	value->position += taken;
	if (value->text.len < value->number)
		return false;
	value->in_string = false;
	value->string = value->text.data;
	return true;
}

/*
 * Read bytes of a value from the present piece.  True when the value is
 * complete; until then only the rest of it may be read.
 */
bool
dump_value_read(DumpValue *value, DumpValueKind kind, int count,
				const char **data, const char *end)
{
	switch (kind)
	{
		case DUMP_BYTES:
			return collect(value, count, data, end);
		case DUMP_INT:
			return read_int(value, data, end);
		case DUMP_STRING:
			break;
	}
	return read_string(value, data, end);
}
