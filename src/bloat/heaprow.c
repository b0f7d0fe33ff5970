/*-------------------------------------------------------------------------
 *
 * heaprow.c
 *	  The size of a row after a rewrite.
 *
 * VACUUM FULL takes rows apart and forms new tuples: values of dropped columns
 * become null, values that are stored nowhere but in the catalog are written
 * into every row, and long values are brought in from the TOAST table and
 * moved out again as if they had just been inserted.  Only the sizes of values
 * are looked at; none is decompressed or fetched.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/toast_internals.h"
#include "access/tupdesc_details.h"
#include "access/tupmacs.h"

#include "base/compat.h"
#include "bloat/heaprow.h"

/* a tuple of a TOAST table: its header, chunk_id, chunk_seq, and the chunk */
#define CHUNK_TUPLE_SIZE(bytes)                                              \
	MAXALIGN(MAXALIGN(SizeofHeapTupleHeader) + sizeof(Oid) + sizeof(int32) + \
			 VARHDRSZ + (bytes))

/*
 * The bytes of tuples and line pointers that a value takes in a TOAST table.
 */
static int64
chunk_bytes(Size toastable)
{
	int64 bytes =
		(int64) (toastable / TOAST_MAX_CHUNK_SIZE) *
		(int64) (CHUNK_TUPLE_SIZE(TOAST_MAX_CHUNK_SIZE) + sizeof(ItemIdData));
	Size rest = toastable % TOAST_MAX_CHUNK_SIZE;

	if (rest > 0)
		bytes += (int64) (CHUNK_TUPLE_SIZE(rest) + sizeof(ItemIdData));
	return bytes;
}

void
row_shape_init(RowShape *shape, Relation rel, HeapRewrite *toast)
{
	shape->desc = RelationGetDescr(rel);
	shape->has_dropped = false;
	shape->damaged = false;
	for (int i = 0; i < shape->desc->natts; i++)
		if (TupleDescAttr(shape->desc, i)->attisdropped)
			shape->has_dropped = true;
	shape->has_toast = OidIsValid(rel->rd_rel->reltoastrelid);
	shape->target = RelationGetToastTupleTarget(rel, TOAST_TUPLE_TARGET);
	shape->values = palloc0(sizeof(RowValue) * Max(shape->desc->natts, 1));
	shape->toast = toast;
}

/*
 * Takes up a value of variable length, of which "room" bytes can be read.
 * Returns how long it is as it is stored, or 0 if it cannot be that long.
 * Adds to "chunks" what the TOAST table has of it.
 */
static Size
read_varlena(Form_pg_attribute att, const char *data, Size room,
			 RowValue *value, int64 *chunks)
{
	Size size;

	value->aligned = false;
	value->is_out = false;
	if (VARATT_IS_EXTERNAL(data))
	{
		varatt_external pointer;

		if (room < TOAST_POINTER_SIZE || !VARATT_IS_EXTERNAL_ONDISK(data))
			return 0;
		memcpy(&pointer, VARDATA_EXTERNAL(data), sizeof(pointer));
		value->toastable = VARATT_EXTERNAL_GET_EXTSIZE(pointer);
		value->size = value->toastable + VARHDRSZ;
		value->aligned = true;
		if (att->attstorage == TYPSTORAGE_PLAIN)
			value->size = pointer.va_rawsize;
		*chunks += chunk_bytes(value->toastable);
		return TOAST_POINTER_SIZE;
	}
	if (VARATT_IS_SHORT(data))
	{
		size = VARSIZE_SHORT(data);
		value->size = size;
		value->toastable = size - VARHDRSZ_SHORT;
		return size <= room ? size : 0;
	}

	if (room < VARHDRSZ)
		return 0;
	size = VARSIZE_ANY(data);
	if (size < VARHDRSZ || size > room)
		return 0;
	value->size = size;
	value->toastable = size - VARHDRSZ;
	value->aligned = true;
	if (att->attstorage != TYPSTORAGE_PLAIN && VARATT_CAN_MAKE_SHORT(data))
	{
		value->size = VARATT_CONVERTED_SHORT_SIZE(data);
		value->aligned = false;
	}
	return size;
}

/*
 * Takes up one value.  As read_varlena, for values of all kinds.
 */
static Size
read_value(Form_pg_attribute att, const char *data, Size room, RowValue *value,
		   int64 *chunks)
{
	value->present = true;
	if (att->attlen == -1)
		return read_varlena(att, data, room, value, chunks);
	value->aligned = true;
	value->is_out = false;
	value->toastable = 0;
	value->size =
		att->attlen > 0 ? (Size) att->attlen : strnlen(data, room) + 1;
	return value->size <= room ? value->size : 0;
}

/*
 * Takes a row apart.  Returns false if it is damaged: a value that seems to
 * reach beyond the end of the row is not read.  "chunks" is what the TOAST
 * table has of the row, dropped columns included.
 */
static bool
read_row(RowShape *shape, HeapTupleHeader row, Size length, int64 *chunks)
{
	int natts = Min(HeapTupleHeaderGetNatts(row), shape->desc->natts);
	bool has_nulls = (row->t_infomask & HEAP_HASNULL) != 0;
	const char *data = (const char *) row + row->t_hoff;
	Size end = length - Min(row->t_hoff, length);
	Size offset = 0;

	*chunks = 0;
	if (row->t_hoff > length || row->t_hoff != MAXALIGN(row->t_hoff) ||
		row->t_hoff <
			SizeofHeapTupleHeader + (has_nulls ? BITMAPLEN(natts) : 0))
		return false;

	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(shape->desc, i);
		RowValue *value = &shape->values[i];
		Size size;

		value->present = false;
		if (has_nulls && att_isnull(i, row->t_bits))
			continue;
		if (offset >= end)
			return false;
		offset = att_align_pointer(offset, att->attalign, att->attlen,
								   data + offset);
		if (offset >= end)
			return false;
		size = read_value(att, data + offset, end - offset, value, chunks);
		if (size == 0)
			return false;
		offset += size;
		if (att->attisdropped)
			value->present = false;
	}
	return true;
}

/*
 * Adds the columns that came after the row was written.
 */
static void
add_missing_values(RowShape *shape, HeapTupleHeader row)
{
	const TupleConstr *constr = shape->desc->constr;

	for (int i = HeapTupleHeaderGetNatts(row); i < shape->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(shape->desc, i);
		RowValue *value = &shape->values[i];
		int64 chunks = 0;

		value->present = false;
		if (att->attisdropped || !att->atthasmissing || constr == NULL ||
			constr->missing == NULL || !constr->missing[i].am_present)
			continue;
		if (att->attbyval)
		{
			value->present = true;
			value->aligned = true;
			value->is_out = false;
			value->size = att->attlen;
			continue;
		}
		(void) read_value(att, DatumGetPointer(constr->missing[i].am_value),
						  MaxAllocSize, value, &chunks);
	}
}

/*
 * The size of the row, with the values that stay in it.
 */
static Size
header_size(const RowShape *shape)
{
	Size size = SizeofHeapTupleHeader;

	for (int i = 0; i < shape->desc->natts; i++)
		if (!shape->values[i].present)
		{
			size += BITMAPLEN(shape->desc->natts);
			break;
		}
	return MAXALIGN(size);
}

static Size
data_size(const RowShape *shape)
{
	Size size = 0;

	for (int i = 0; i < shape->desc->natts; i++)
	{
		const RowValue *value = &shape->values[i];

		if (!value->present)
			continue;
		if (value->is_out)
		{
			size += TOAST_POINTER_SIZE;
			continue;
		}
		if (value->aligned)
			size = att_align_nominal(size,
									 TupleDescAttr(shape->desc, i)->attalign);
		size += value->size;
	}
	return size;
}

/*
 * The largest value that may move out, of the columns whose values are in the
 * row only if nothing else helps, or of the others.
 */
static RowValue *
largest_value(RowShape *shape, bool main)
{
	Size largest = MAXALIGN(TOAST_POINTER_SIZE);
	RowValue *result = NULL;

	for (int i = 0; i < shape->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(shape->desc, i);
		RowValue *value = &shape->values[i];

		if (!value->present || value->is_out || att->attlen != -1 ||
			att->attstorage == TYPSTORAGE_PLAIN ||
			(att->attstorage == TYPSTORAGE_MAIN) != main ||
			value->size <= largest)
			continue;
		largest = value->size;
		result = value;
	}
	return result;
}

/*
 * Moves values out of a row that is too long, the largest first, as
 * heap_toast_insert_or_update does.  What could be compressed is taken to have
 * been so when the row was inserted.
 */
static void
move_values_out(RowShape *shape)
{
	Size header = header_size(shape);

	for (int main = 0; main <= 1; main++)
	{
		Size target =
			(main ? TOAST_TUPLE_TARGET_MAIN : shape->target) - header;
		RowValue *value;

		while (data_size(shape) > target &&
			   (value = largest_value(shape, main)) != NULL)
			value->is_out = true;
	}
}

/*
 * Shows the rewrite of the TOAST table what moves out of a row, and returns
 * the bytes of it.
 */
static int64
write_chunks(const RowShape *shape)
{
	int64 bytes = 0;

	for (int i = 0; i < shape->desc->natts; i++)
	{
		const RowValue *value = &shape->values[i];

		if (!value->present || !value->is_out)
			continue;
		bytes += chunk_bytes(value->toastable);
		for (Size done = 0; done < value->toastable;
			 done += TOAST_MAX_CHUNK_SIZE)
		{
			Size chunk = Min(value->toastable - done, TOAST_MAX_CHUNK_SIZE);

			heap_rewrite_tuple(shape->toast, CHUNK_TUPLE_SIZE(chunk));
		}
	}
	return bytes;
}

/*
 * The size of the row after a rewrite.  "toast_growth" is by how many bytes
 * the TOAST table grows or shrinks on its account.
 *
 * Most rows are copied as they are.  Only those that are not are taken apart.
 */
Size
row_after_rewrite(RowShape *shape, HeapTupleHeader row, Size length,
				  int64 *toast_growth)
{
	bool has_external = (row->t_infomask & HEAP_HASEXTERNAL) != 0;
	int64 chunks;

	*toast_growth = 0;
	if (!shape->has_dropped && !has_external &&
		HeapTupleHeaderGetNatts(row) >= shape->desc->natts &&
		(length <= TOAST_TUPLE_THRESHOLD || !shape->has_toast))
		return MAXALIGN(length);

	if (!read_row(shape, row, length, &chunks))
	{
		shape->damaged = true;
		return MAXALIGN(length);
	}
	add_missing_values(shape, row);
	if (shape->has_toast)
	{
		if (has_external ||
			header_size(shape) + data_size(shape) > TOAST_TUPLE_THRESHOLD)
			move_values_out(shape);
		*toast_growth = write_chunks(shape) - chunks;
	}
	return Min(MAXALIGN(header_size(shape) + data_size(shape)),
			   MAXALIGN_DOWN(MaxHeapTupleSize));
}
