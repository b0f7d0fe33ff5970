/*-------------------------------------------------------------------------
 *
 * words.h
 *	  The standard error of a program: the beginning, where the cause is,
 *	  and the end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_WORDS_H
#define PGMAINT_WORDS_H

/* the first so many bytes are kept, and so many of the last */
#define WORDS_KEPT 4096

typedef struct Words
{
	char first[WORDS_KEPT];
	size_t first_length;
	char last[WORDS_KEPT];
	uint64 more; /* bytes that came after the first */
} Words;

extern void keep_words(Words *words, const char *data, size_t length);

/* as a text of this database, without newlines at its end; "" for nothing */
extern char *words_text(const Words *words);

#endif /* PGMAINT_WORDS_H */
