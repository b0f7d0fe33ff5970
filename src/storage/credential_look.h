/*-------------------------------------------------------------------------
 *
 * credential_look.h
 *	  The sources of access keys on the server's machine.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CREDENTIAL_LOOK_H
#define PGMAINT_CREDENTIAL_LOOK_H

#include "storage/credentials.h"

typedef enum LookResult
{
	LOOK_FOUND,
	LOOK_ABSENT, /* the source has no access key */
	LOOK_BROKEN	 /* the source cannot provide its access key */
} LookResult;

/* a look in progress; everything is allocated in the current memory context */
typedef struct Look
{
	const StorageOptions *options;
	HttpClient *client;
	Credentials found; /* with LOOK_FOUND */
	char *said;		   /* otherwise: why not, without secrets */
} Look;

/* credential_look.c */
extern LookResult absent(Look *look, const char *format, ...)
	pg_attribute_printf(2, 3);
extern LookResult broken(Look *look, const char *format, ...)
	pg_attribute_printf(2, 3);
extern LookResult found_until(Look *look, const char *expiration);
extern LookResult not_from_service(Look *look, const char *url,
								   const HttpResponse *response);
extern void ask_endpoint(const Look *look, const HttpRequest *request,
						 HttpResponse *response);
extern void forget_secret(char *secret);

/* credential_files.c */
extern LookResult look_in_environment(Look *look);
extern LookResult look_in_profile(Look *look);
extern char *read_secret_file(const char *path, char **problem);
extern const char *environment(const char *name);
extern char *profile_setting(const StorageOptions *options, const char *name);

/* credential_roles.c */
extern LookResult look_at_web_identity(Look *look);

/* credential_endpoints.c */
extern LookResult look_at_container(Look *look);
extern LookResult look_at_instance(Look *look);

#endif /* PGMAINT_CREDENTIAL_LOOK_H */
