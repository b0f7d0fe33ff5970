/*-------------------------------------------------------------------------
 *
 * folder_rights.c
 *	  Checks which users of the operating system may change the contents of a
 *	  folder.
 *
 * Backups that are read from a storage are restored, and code in them is run,
 * so users who can write to its folder can take over the server.  The rule is
 * that of sshd for its keys: the folder and its parent folders belong to the
 * server's user or to root, and no other user may write to them.  Parent
 * folders may be like /tmp, where no user can rename files of others.
 *
 * Root may let the server write to a folder through a group, as volumes of
 * containers do; the members of that group are then trusted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "storage/folder_rights.h"

/* as in the kernel */
#define MAX_LINKS 40

typedef struct Check
{
	const char *storage;
	const char *folder;
	uid_t root;
} Check;

static void
could_not_use(const Check *check, const char *path)
{
	ereport(ERROR, (errcode_for_file_access(),
					errmsg("could not use folder \"%s\" of storage \"%s\": %m",
						   check->folder, check->storage),
					errdetail("The check failed at \"%s\".", path)));
}

/*
 * The owner of the root folder.  In a user namespace, where root may have no
 * number of its own, that is the overflow user.
 */
static uid_t
root_user(void)
{
	struct stat status;

	return stat("/", &status) == 0 ? status.st_uid : 0;
}

static bool
is_trusted(const Check *check, uid_t user)
{
	return user == check->root || user == geteuid();
}

/*
 * Is the server process a member of the group?
 */
static bool
is_own_group(gid_t group)
{
	int count = getgroups(0, NULL);
	gid_t *groups = palloc(sizeof(gid_t) * Max(count, 1));
	bool found = group == getegid();

	count = getgroups(count, groups);
	for (int i = 0; i < count && !found; i++)
		found = groups[i] == group;
	pfree(groups);
	return found;
}

/*
 * May users who are not trusted write to the folder?
 */
static bool
others_may_write(const Check *check, const struct stat *status)
{
	bool by_group = (status->st_mode & S_IWGRP) != 0;

	if (by_group && status->st_uid == check->root &&
		is_own_group(status->st_gid))
		by_group = false;
	return by_group || (status->st_mode & S_IWOTH) != 0;
}

static char *
user_name(uid_t user)
{
	struct passwd entry;
	struct passwd *found;
	char buffer[4096];

	if (getpwuid_r(user, &entry, buffer, sizeof(buffer), &found) != 0 ||
		found == NULL)
		return psprintf("%u", (unsigned) user);
	return pstrdup(entry.pw_name);
}

/*
 * Quote a path for the shell: the command may be pasted into a session of
 * root, and the path was chosen by the creator of the folder.
 */
static char *
quote_for_shell(const char *path)
{
	StringInfoData quoted;

	initStringInfo(&quoted);
	appendStringInfoChar(&quoted, '\'');
	for (const char *c = path; *c != '\0'; c++)
	{
		if (*c == '\'')
			appendStringInfo(&quoted, "'%c'", '\\');
		appendStringInfoChar(&quoted, *c);
	}
	appendStringInfoChar(&quoted, '\'');
	return quoted.data;
}

/*
 * The advice for a folder or link, as a sentence.  A folder of root to which
 * objects are written must become the server's, since with the mode removed
 * only root could write to it; a folder such as /tmp is left as it is.
 */
static char *
advise(const Check *check, const char *path, const struct stat *status,
	   bool is_last)
{
	char *quoted = quote_for_shell(path);
	char *user = user_name(geteuid());
	bool is_writable = (status->st_mode & (S_IWGRP | S_IWOTH)) != 0;
	bool is_ours = status->st_uid == geteuid();
	const char *otherwise = is_trusted(check, status->st_uid)
								? "Run"
								: "Use another folder, or run";

	if (S_ISLNK(status->st_mode))
		return psprintf("%s as root: chown -h %s %s", otherwise, user, quoted);
	if (is_ours)
		return psprintf("Run: chmod go-w %s", quoted);
	if (is_last && (status->st_mode & S_ISVTX) != 0)
		return psprintf("Use a subfolder that belongs to user \"%s\".", user);
	if (!is_last && is_trusted(check, status->st_uid))
		return psprintf("Run as root: chmod go-w %s", quoted);
	return is_writable
			   ? psprintf("%s as root: chown %s %s && chmod go-w %s",
						  otherwise, user, quoted, quoted)
			   : psprintf("%s as root: chown %s %s", otherwise, user, quoted);
}

/*
 * Raise an ERROR with the fault of this folder or link and the command that
 * corrects it.
 */
static void
refuse(const Check *check, const char *path, const struct stat *status,
	   bool is_last)
{
	const char *rule = "Only the server's user and root may have write "
					   "access to the folder of a storage and to its parent "
					   "folders.";

	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg(
			 "folder \"%s\" of storage \"%s\" can be changed by other users "
			 "of the operating system",
			 check->folder, check->storage),
		 S_ISLNK(status->st_mode)
			 ? errdetail("Symbolic link \"%s\" belongs to user \"%s\".  %s",
						 path, user_name(status->st_uid), rule)
			 : errdetail("Folder \"%s\" belongs to user \"%s\" and has mode "
						 "%04o.  %s",
						 path, user_name(status->st_uid),
						 (unsigned) status->st_mode & 07777, rule),
		 errhint("%s", advise(check, path, status, is_last))));
}

/*
 * The part of a path at which the check begins: the root, or for a path below
 * the data directory that directory, since the server itself trusts it.
 */
static char *
first_end(char *path)
{
	return path_is_prefix_of_path(DataDir, path) ? path + strlen(DataDir)
												 : path;
}

/*
 * Replace the link at the beginning of the path with its target.
 */
static char *
follow_link(const Check *check, const char *link, const char *rest)
{
	char target[MAXPGPATH];
	ssize_t length = readlink(link, target, sizeof(target));

	if (length == sizeof(target))
	{
		errno = ENAMETOOLONG;
		length = -1;
	}
	if (length < 0)
	{
		could_not_use(check, link);
		return NULL; /* not reached */
	}
	target[length] = '\0';
	if (target[0] == '/')
		return psprintf("%s%s", target, rest);
	return psprintf("%.*s/%s%s", (int) (strrchr(link, '/') - link), link,
					target, rest);
}

/*
 * Each part of the path is checked, from the top, and each link on the way as
 * well as its target.  A part that passes can be renamed by no untrusted user,
 * so nothing changes until the folder is opened.
 */
void
check_folder_rights(const char *storage, const char *folder)
{
	Check check = {storage, folder, root_user()};
	char *path = pstrdup(folder);
	char *end = first_end(path);
	int links = 0;

	for (;;)
	{
		bool is_last = *end == '\0';
		const char *part = end == path ? "/" : path;
		struct stat status;

		*end = '\0';
		if (lstat(part, &status) != 0)
			could_not_use(&check, part);
		if (!is_trusted(&check, status.st_uid))
			refuse(&check, part, &status, is_last);
		if (S_ISLNK(status.st_mode))
		{
			errno = ELOOP;
			if (++links > MAX_LINKS)
				could_not_use(&check, part);
			path = follow_link(&check, part,
							   is_last ? "" : psprintf("/%s", end + 1));
			end = first_end(path);
			continue;
		}
		if (others_may_write(&check, &status) &&
			(is_last || (status.st_mode & S_ISVTX) == 0))
			refuse(&check, part, &status, is_last);
		if (is_last)
			return;
		*end = '/';
		end += 1 + strcspn(end + 1, "/");
	}
}
