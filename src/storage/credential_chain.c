/*-------------------------------------------------------------------------
 *
 * credential_chain.c
 *	  Keys for S3: found in the order in which AWS's own tools look, and renewed
 *	  before they expire.
 *
 * An access key in the user mapping is used by the roles that the mapping is
 * for.  All other access keys belong to the machine, and so to the
 * administrator of the server: they are used only for storages whose owner is
 * a superuser.  For other storages, the sources of the machine are not read at
 * all.
 *
 * The first source that has an access key is used.  A source that should have
 * one but cannot provide it ends the search with an error: going on with
 * another identity than intended would be worse.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "storage/credential_look.h"

/* renewed so long before they expire, or in the middle of a shorter life */
#define RENEWAL_MARGIN (5 * USECS_PER_MINUTE)

/* when renewal fails, while they are good still: how long until the next try */
#define RENEWAL_PAUSE USECS_PER_MINUTE

/* a look, and what it has found, in a memory context of their own */
typedef struct Keys
{
	MemoryContext context;
	MemoryContextCallback release;
	Look look;
} Keys;

struct CredentialChain
{
	MemoryContext context;
	const StorageOptions *options;
	HttpClient *client;
	Credentials mapping; /* from the user mapping */
	Keys *keys;			 /* the machine's; NULL if there are none yet */
	TimestampTz renewal; /* when to look again */
};

typedef struct Place
{
	const char *name; /* for a person */
	LookResult (*look)(Look *look);
} Place;

static const Place places[] = {
	{"environment", look_in_environment},	 {"profile", look_in_profile},
	{"web identity", look_at_web_identity},	 {"container", look_at_container},
	{"instance metadata", look_at_instance},
};

/* the memory goes */
static void
forget_keys(void *arg)
{
	Keys *keys = arg;

	forget_secret(keys->look.found.secret_access_key);
	forget_secret(keys->look.found.session_token);
}

static Keys *
keys_create(const CredentialChain *chain)
{
	MemoryContext context = AllocSetContextCreate(
		chain->context, "pgmaint keys", ALLOCSET_SMALL_SIZES);
	Keys *keys = MemoryContextAllocZero(context, sizeof(Keys));

	keys->context = context;
	keys->look.options = chain->options;
	keys->look.client = chain->client;
	keys->look.found.expires = DT_NOEND;
	keys->release.func = forget_keys;
	keys->release.arg = keys;
	MemoryContextRegisterResetCallback(context, &keys->release);
	return keys;
}

CredentialChain *
credential_chain_create(const StorageOptions *options, HttpClient *client)
{
	CredentialChain *chain = palloc0(sizeof(CredentialChain));

	chain->context = CurrentMemoryContext;
	chain->options = options;
	chain->client = client;
	chain->mapping.access_key_id = options->access_key_id;
	chain->mapping.secret_access_key = options->secret_access_key;
	chain->mapping.session_token = options->session_token;
	chain->mapping.expires = DT_NOEND;
	chain->mapping.origin = "user mapping";
	return chain;
}

/*
 * Search one source after the other.  The reasons why each has none are
 * collected for the error message.
 */
static bool
look_everywhere(Look *look, StringInfo said)
{
	for (int i = 0; i < lengthof(places); i++)
	{
		LookResult result = places[i].look(look);

		if (result == LOOK_FOUND)
		{
			look->found.origin = places[i].name;
			return true;
		}
		appendStringInfo(said, "%s%s: %s", said->len > 0 ? "\n" : "",
						 places[i].name, look->said);
		if (result == LOOK_BROKEN)
			return false;
	}
	return false;
}

static char *
mapping_hint(const StorageOptions *options)
{
	return psprintf(
		"CREATE USER MAPPING FOR %s SERVER %s OPTIONS (access_key_id '...', secret_access_key '...')",
		quote_identifier(GetUserNameFromId(GetUserId(), false)),
		quote_identifier(options->name));
}

static void
require_superuser_owner(const StorageOptions *options)
{
	if (!options->owner_is_superuser)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("no access key for storage \"%s\"", options->name),
				 errdetail(
					 "The user mapping has no access key. Access keys of the "
					 "server's machine are used only for storages that a "
					 "superuser owns, and role \"%s\" is not a superuser.",
					 GetUserNameFromId(options->owner, false)),
				 errhint("Add an access key with %s, or make a superuser the "
						 "owner of the foreign server.",
						 mapping_hint(options))));
}

/*
 * The time at which access keys obtained now must be renewed.
 */
static TimestampTz
renewal_time(TimestampTz now, TimestampTz expires)
{
	if (TIMESTAMP_IS_NOEND(expires))
		return expires;
	return expires - Min(RENEWAL_MARGIN, (expires - now) / 2);
}

/*
 * Search for access keys and replace the present ones.  If none are found, the
 * present ones are kept, and false is returned with the reasons.
 */
static bool
renew(CredentialChain *chain, char **said)
{
	Keys *keys = keys_create(chain);
	MemoryContext previous = MemoryContextSwitchTo(keys->context);
	StringInfoData text;
	bool found;

	initStringInfo(&text);
	found = look_everywhere(&keys->look, &text);
	MemoryContextSwitchTo(previous);
	if (!found)
	{
		*said = pstrdup(text.data);
		MemoryContextDelete(keys->context);
		return false;
	}
	discard_credentials(chain);
	chain->keys = keys;
	chain->renewal =
		renewal_time(GetCurrentTimestamp(), keys->look.found.expires);
	return true;
}

/*
 * Renew access keys that expire soon.  Until they have expired, a failure is
 * only logged, since it may be temporary.
 */
static void
renew_in_time(CredentialChain *chain)
{
	TimestampTz expires;
	TimestampTz now = GetCurrentTimestamp();
	char *said;

	if (chain->keys != NULL && now < chain->renewal)
		return;
	if (renew(chain, &said))
		return;
	now = GetCurrentTimestamp();
	expires = chain->keys != NULL ? chain->keys->look.found.expires : now;
	if (now < expires)
	{
		chain->renewal = now + Min(RENEWAL_PAUSE, (expires - now) / 2);
		ereport(LOG, (errmsg("could not renew the access key for storage "
							 "\"%s\"",
							 chain->options->name),
					  errdetail("The present access key expires at %s.\n%s",
								timestamptz_to_str(expires), said)));
		return;
	}
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
		 errmsg("no access key for storage \"%s\"", chain->options->name),
		 errdetail("user mapping: no access key for the current role\n%s",
				   said),
		 errhint("Add an access key with %s.", mapping_hint(chain->options))));
}

const Credentials *
current_credentials(CredentialChain *chain)
{
	if (chain->mapping.access_key_id != NULL)
		return &chain->mapping;
	require_superuser_owner(chain->options);
	renew_in_time(chain);
	return &chain->keys->look.found;
}

void
discard_credentials(CredentialChain *chain)
{
	if (chain->keys != NULL)
		MemoryContextDelete(chain->keys->context);
	chain->keys = NULL;
}
