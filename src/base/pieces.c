/*-------------------------------------------------------------------------
 *
 * pieces.c
 *	  Memory for many small pieces.
 *
 * Pieces have no headers and are not rounded to the next power of two, which
 * would take as much memory again as a hundred thousand tasks do.
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
 * Keep a string unless it is the same as the one that was kept last.
 */
char *
keep_another(Pieces *pieces, char **last, const char *string)
{
	if (*last == NULL || strcmp(*last, string) != 0)
		*last = keep_string(pieces, string);
	return *last;
}
