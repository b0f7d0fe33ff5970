/*-------------------------------------------------------------------------
 *
 * url.c
 *	  The URLs of storages, and the paths in them.
 *
 * Nothing in them is decoded: a percent sign stands for itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "storage/options.h"

/*
 * How a path is invalid as a key, as a sentence; NULL if it is valid: it must
 * lead to a place below its folder or prefix.
 */
const char *
path_complaint(const char *path)
{
	const char *component = path;

	if (path[0] == '\0')
		return "The key is empty.";
	if (path[0] == '/')
		return "The key begins with a slash.";
	for (const char *c = path;; c++)
	{
		if (*c == '/' || *c == '\0')
		{
			size_t length = c - component;

			if (length == 0)
				return "The key has an empty part before or after a slash.";
			if ((length == 1 && component[0] == '.') ||
				(length == 2 && component[0] == '.' && component[1] == '.'))
				return "The key has a part that is \".\" or \"..\".";
			component = c + 1;
		}
		else if ((unsigned char) *c < ' ' || *c == 0x7f)
			return "The key contains a control character.";
		if (*c == '\0')
			return NULL;
	}
}

/*
 * Remove one slash from the end of a path, if there is one.
 */
static char *
without_last_slash(const char *path)
{
	size_t length = strlen(path);

	if (length > 1 && path[length - 1] == '/')
		length--;
	return pnstrdup(path, length);
}

/*
 * The data directory itself and the server's own folders in it must not be
 * storages.
 */
static bool
is_servers_own(const char *folder)
{
	const char *below;
	size_t length;

	if (!path_is_prefix_of_path(DataDir, folder))
		return false;
	below = folder + strlen(DataDir);
	if (below[0] == '\0')
		return true;
	below++;
	length = strcspn(below, "/");
	return strncmp(below, "pg_", 3) == 0 ||
		   (length == 4 && strncmp(below, "base", length) == 0) ||
		   (length == 6 && strncmp(below, "global", length) == 0);
}

static bool
parse_folder(const char *path, StorageOptions *options)
{
	if (strncmp(path, "//", 2) == 0)
	{
		path += 2;
		if (path[0] != '/')
			return false;
	}
	options->folder = without_last_slash(path);
	if (path[0] != '/')
		options->folder = psprintf("%s/%s", DataDir, options->folder);
	return path_complaint(path[0] == '/' ? options->folder + 1
										 : without_last_slash(path)) == NULL &&
		   !is_servers_own(options->folder);
}

static bool
parse_bucket(const char *path, StorageOptions *options)
{
	size_t length = strspn(path, "abcdefghijklmnopqrstuvwxyz"
								 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
	char *prefix;

	if (length < 3 || length > 255 || path[0] == '.' || path[0] == '-' ||
		(path[length] != '\0' && path[length] != '/'))
		return false;
	options->bucket = pnstrdup(path, length);
	options->prefix = "";
	path += length;
	if (path[0] == '\0' || strcmp(path, "/") == 0)
		return true;
	prefix = without_last_slash(path + 1);
	if (path_complaint(prefix) != NULL || strpbrk(prefix, "?#@") != NULL ||
		strlen(prefix) >= MAX_PREFIX_LENGTH)
		return false;
	options->prefix = psprintf("%s/", prefix);
	return true;
}

/*
 * Parse a URL; false if it is not the URL of a storage.
 */
bool
parse_storage_url(const char *url, StorageOptions *options)
{
	if (strncmp(url, "file:", 5) == 0)
	{
		options->kind = STORAGE_FILE;
		return parse_folder(url + 5, options);
	}
	options->kind = STORAGE_S3;
	return strncmp(url, "s3://", 5) == 0 && parse_bucket(url + 5, options);
}
