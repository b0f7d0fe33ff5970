/*-------------------------------------------------------------------------
 *
 * pieces.c
 *	  Memory for many small allocations.
 *
 * Pieces have no headers and are not rounded up to a power of two, which would
 * double the memory of a hundred thousand tasks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/pieces.h"

#define PIECES_AT_ONCE ((Size) 64 * 1024)

void *
take_piece(Pieces *pieces, Size size)
{
	void *piece;

	size = MAXALIGN(size);
	if (size > pieces->left)
	{
		pieces->left = Max(size, PIECES_AT_ONCE);
		pieces->next = MemoryContextAlloc(pieces->context, pieces->left);
	}
	piece = pieces->next;
	pieces->next += size;
	pieces->left -= size;
	return piece;
}

char *
keep_string(Pieces *pieces, const char *string)
{
	Size size = strlen(string) + 1;

	return memcpy(take_piece(pieces, size), string, size);
}

/*
 * Copy a string, or return the last copy if the string is the same.
 */
char *
keep_another(Pieces *pieces, char **last, const char *string)
{
	if (*last == NULL || strcmp(*last, string) != 0)
		*last = keep_string(pieces, string);
	return *last;
}
