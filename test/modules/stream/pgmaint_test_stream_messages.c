/*
 * The same functions, with what COPY sends to the client instead of what it
 * gives to a function.
 */
#define SERVER_HAS_COPY_CALLBACK 0

#include "pgmaint_test_stream.c"
