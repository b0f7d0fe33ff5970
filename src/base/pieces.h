/*-------------------------------------------------------------------------
 *
 * pieces.h
 *	  Memory for many small allocations.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PIECES_H
#define PGMAINT_PIECES_H

/* all but the context is zero at first */
typedef struct Pieces
{
	MemoryContext context; /* frees all of them together */
	char *next;
	Size left;
} Pieces;

extern void *take_piece(Pieces *pieces, Size size);
extern char *keep_string(Pieces *pieces, const char *string);
extern char *keep_another(Pieces *pieces, char **last, const char *string);

#endif /* PGMAINT_PIECES_H */
