/*-------------------------------------------------------------------------
 *
 * s3_answer.h
 *	  Requests to S3, and the classification of their answers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_S3_ANSWER_H
#define PGMAINT_S3_ANSWER_H

#include "http/http.h"
#include "storage/s3_xml.h"

typedef struct S3Request
{
	const char *method;
	const char *key; /* with the storage's prefix; NULL for the bucket */
	List *query;	 /* of NamedValue */
	List *headers;	 /* of NamedValue, names in lower case */
	const char *body;
	size_t body_length;
	const char *payload_hash; /* NULL where it is not known yet */
	const char *purpose;	  /* "write object ...", for an error */
	const char *root; /* of the XML that a success has; NULL: it has none */
	bool streamed;
	bool once;		 /* done twice, it is not the same as once */
	bool last_words; /* of a writer that is aborted: no error, no waiting */
	int timeout;	 /* milliseconds for all of it; 0: no limit */
} S3Request;

typedef struct S3Answer
{
	HttpResponse http;
	bool ok;
	bool foreign;		 /* something else than an S3 server has answered */
	S3Element *document; /* NULL where the answer is no XML */
	const char *code;	 /* of an error, from S3 or by the status */
} S3Answer;

/* attempts of one request */
typedef struct S3Attempts
{
	int failures;
	bool renewed; /* other credentials were looked for */
	long delay;	  /* milliseconds until the next */
} S3Attempts;

extern void s3_read_answer(S3Answer *answer);
extern void s3_judge_answer(const S3Request *request, S3Answer *answer);
extern bool s3_is_one_of(const char *code, const char *const *codes);
extern bool s3_is_passing(const S3Answer *answer);
extern bool s3_is_missing(const S3Answer *answer);
extern bool s3_has_refused(const S3Answer *answer, const S3Attempts *attempts);

#endif /* PGMAINT_S3_ANSWER_H */
