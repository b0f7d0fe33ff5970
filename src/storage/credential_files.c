/*-------------------------------------------------------------------------
 *
 * credential_files.c
 *	  Access keys in the server's environment, and in the files that the tools
 *	  of AWS use in the home directory of the server's user.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"

#include "storage/credential_look.h"

/* no file of ours is larger */
#define FILE_LIMIT ((off_t) 1024 * 1024)

/* settings of a profile in place of access keys that are not supported */
static const char *const other_ways[] = {"credential_process", "sso_session",
										 "sso_start_url", "role_arn"};

/*
 * A variable of the server's environment; NULL if it is not set, or empty.
 */
const char *
environment(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

LookResult
look_in_environment(Look *look)
{
	const char *key = environment("AWS_ACCESS_KEY_ID");
	const char *secret = environment("AWS_SECRET_ACCESS_KEY");
	const char *token = environment("AWS_SESSION_TOKEN");

	if (look->options->profile != NULL)
		return absent(look, "not used because the storage names a profile");
	if (key == NULL && secret == NULL)
		return absent(look, "AWS_ACCESS_KEY_ID is not set");
	if (key == NULL || secret == NULL)
		return broken(
			look, "%s is set, but %s is not",
			key == NULL ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID",
			key == NULL ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY");
	look->found.access_key_id = pstrdup(key);
	look->found.secret_access_key = pstrdup(secret);
	look->found.session_token = token == NULL ? NULL : pstrdup(token);
	return LOOK_FOUND;
}

static char *
read_all(int fd, const char *path, char **problem)
{
	struct stat status;
	char *text;
	size_t length = 0;
	ssize_t count;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) ||
		status.st_size > FILE_LIMIT)
	{
		*problem = psprintf("file \"%s\" is not a regular file or is too "
							"large",
							path);
		return NULL;
	}
	text = palloc(status.st_size + 1);
	while (length < (size_t) status.st_size &&
		   (count = read(fd, text + length, status.st_size - length)) > 0)
		length += count;
	text[length] = '\0';
	return text;
}

/*
 * The text of a file; NULL with a problem if it cannot be read, NULL without a
 * problem if it does not exist.
 */
char *
read_secret_file(const char *path, char **problem)
{
	int fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK);
	char *text;

	*problem = NULL;
	if (fd < 0)
	{
		if (errno != ENOENT && errno != ENOTDIR)
			*problem = psprintf("could not open file \"%s\": %m", path);
		return NULL;
	}
	text = read_all(fd, path, problem);
	CloseTransientFile(fd);
	return text;
}

static char *
trimmed(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char) end[-1]))
		*--end = '\0';
	while (isspace((unsigned char) *text))
		text++;
	return text;
}

/*
 * Whether a line "[name]" or "[profile name]" begins this profile.
 */
static bool
is_header_of(char *line, const char *profile)
{
	char *end = strchr(line, ']');
	char *name = line + 1;

	if (end == NULL)
		return false;
	*end = '\0';
	name = trimmed(name);
	if (strncmp(name, "profile", 7) == 0 && isspace((unsigned char) name[7]))
		name = trimmed(name + 7);
	return strcmp(name, profile) == 0;
}

/* the two files of profiles */
typedef struct Profile
{
	const char *name;
	char *paths[2];
	char *texts[2]; /* NULL where there is no such file */
	bool exists;
	char *problem; /* a file that is there, and cannot be read */
} Profile;

/*
 * A setting of a profile in one of its files; NULL if there is none.  Settings
 * within a setting are indented and are ignored.
 */
static char *
setting_in_file(Profile *profile, int file, const char *name)
{
	size_t length = strlen(profile->texts[file]);
	char *copy = pstrdup(profile->texts[file]);
	char *next = copy;
	char *result = NULL;
	bool inside = false;

	do
	{
		char *line = next;
		char *end = strchr(line, '\n');
		char *equals;

		if (end != NULL)
			*end = '\0';
		next = end == NULL ? NULL : end + 1;
		equals = strchr(line, '=');
		if (line[0] == '[')
		{
			inside = is_header_of(line, profile->name);
			profile->exists |= inside;
		}
		else if (inside && equals != NULL && line[0] != '#' &&
				 line[0] != ';' && !isspace((unsigned char) line[0]))
		{
			*equals = '\0';
			if (strcmp(trimmed(line), name) == 0 &&
				*trimmed(equals + 1) != '\0')
				result = pstrdup(trimmed(equals + 1));
		}
	} while (next != NULL && result == NULL);
	explicit_bzero(copy, length);
	pfree(copy);
	return result;
}

static void
read_profile(Profile *profile, const StorageOptions *options)
{
	static const char *const variables[] = {"AWS_SHARED_CREDENTIALS_FILE",
											"AWS_CONFIG_FILE"};
	static const char *const names[] = {"credentials", "config"};

	memset(profile, 0, sizeof(Profile));
	profile->name = options->profile != NULL	 ? options->profile
					: environment("AWS_PROFILE") ? environment("AWS_PROFILE")
												 : "default";
	for (int i = 0; i < lengthof(variables); i++)
	{
		char *problem = NULL;

		if (environment(variables[i]) != NULL)
			profile->paths[i] = pstrdup(environment(variables[i]));
		else if (environment("HOME") != NULL)
			profile->paths[i] =
				psprintf("%s/.aws/%s", environment("HOME"), names[i]);
		else
			continue;
		profile->texts[i] = read_secret_file(profile->paths[i], &problem);
		if (problem != NULL)
			profile->problem = problem;
	}
}

static void
forget_profile(Profile *profile)
{
	forget_secret(profile->texts[0]);
	forget_secret(profile->texts[1]);
}

/*
 * The credentials file takes precedence over the config file.
 */
static char *
setting_of(Profile *profile, const char *name)
{
	char *result = NULL;

	for (int i = 0; result == NULL && i < lengthof(profile->texts); i++)
	{
		if (profile->texts[i] != NULL)
			result = setting_in_file(profile, i, name);
	}
	return result;
}

char *
profile_setting(const StorageOptions *options, const char *name)
{
	Profile profile;
	char *result;

	read_profile(&profile, options);
	result = setting_of(&profile, name);
	forget_profile(&profile);
	return result;
}

static LookResult
no_keys_in(Look *look, Profile *profile)
{
	bool asked_for =
		look->options->profile != NULL || environment("AWS_PROFILE") != NULL;

	if (profile->paths[0] == NULL)
		return absent(look, "HOME is not set");
	if (profile->problem != NULL)
		return broken(look, "%s", profile->problem);
	if (!profile->exists && asked_for)
		return broken(look,
					  "profile \"%s\" does not exist in \"%s\" or \"%s\"",
					  profile->name, profile->paths[0], profile->paths[1]);
	if (profile->texts[0] == NULL && profile->texts[1] == NULL)
		return absent(look, "neither \"%s\" nor \"%s\" exists",
					  profile->paths[0], profile->paths[1]);
	if (setting_of(profile, "web_identity_token_file") == NULL)
	{
		for (int i = 0; i < lengthof(other_ways); i++)
		{
			if (setting_of(profile, other_ways[i]) != NULL)
				return broken(
					look,
					"profile \"%s\" uses \"%s\", which pgmaint does not "
					"support",
					profile->name, other_ways[i]);
		}
	}
	return absent(look, "profile \"%s\" has no access key", profile->name);
}

LookResult
look_in_profile(Look *look)
{
	Profile profile;
	LookResult result = LOOK_FOUND;

	read_profile(&profile, look->options);
	look->found.access_key_id = setting_of(&profile, "aws_access_key_id");
	look->found.secret_access_key =
		setting_of(&profile, "aws_secret_access_key");
	look->found.session_token = setting_of(&profile, "aws_session_token");
	if (look->found.access_key_id == NULL &&
		look->found.secret_access_key == NULL)
		result = no_keys_in(look, &profile);
	else if (look->found.access_key_id == NULL ||
			 look->found.secret_access_key == NULL)
		result = broken(look,
						"profile \"%s\" has only one of aws_access_key_id and "
						"aws_secret_access_key",
						profile.name);
	forget_profile(&profile);
	return result;
}

char *
machine_region(const StorageOptions *options)
{
	static const char *const names[] = {"AWS_REGION", "AWS_DEFAULT_REGION"};

	if (!options->owner_is_superuser)
		return NULL;
	for (int i = 0; i < lengthof(names); i++)
	{
		if (environment(names[i]) != NULL)
			return pstrdup(environment(names[i]));
	}
	return profile_setting(options, "region");
}
