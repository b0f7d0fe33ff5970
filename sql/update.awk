# The extension script as a part of an update: what makes or fills tables is left
# out, and functions and views are replaced where they are there.  Rights are given
# and taken on what is new, by a function of sql/update.sql: what the server's
# administrators have granted, or revoked, on the rest is theirs.  (A GRANT in the
# script of an extension would also make all rights on the object initial ones, which
# pg_dump leaves out.)
#
# A statement begins at the start of a line.  It ends with a semicolon at the end of
# one, unless that is quoted with $$ or in a body that BEGIN ATOMIC begins.  What is not
# known here, or does not end so, is an error: it would be missing in the update, or hide
# what follows it.

function refuse(complaint) {
	printf "%s:%d: %s\n", FILENAME, FNR, complaint > "/dev/stderr"
	refused = 1
	exit 1
}

FNR == 1 && inside {
	refuse("the statement at the end of the file before does not end")
}

inside && !quoted && /^(CREATE|COMMENT ON|GRANT|REVOKE|ALTER|DROP|DO) / {
	refuse("the statement before this one does not end")
}

!inside && !/^$|^--/ {
	if (!/^(CREATE (TABLE|INDEX|UNIQUE INDEX|SCHEMA|TRIGGER|SERVER|FOREIGN DATA WRAPPER|FUNCTION|PROCEDURE|VIEW)|COMMENT ON|GRANT|REVOKE|INSERT INTO|SELECT|ALTER TABLE|DO|\\echo)( |$)/)
		refuse("an update does not know what to do with this statement")
	inside = 1
	quoted = 0
	end = ";$"
	left_out = /^(CREATE (TABLE|INDEX|UNIQUE INDEX|SCHEMA|TRIGGER|SERVER|FOREIGN DATA WRAPPER)|INSERT INTO|SELECT|ALTER TABLE|\\echo) /
	if (/^\\echo /)
		end = "\\quit$"
	if (/^CREATE (FUNCTION|PROCEDURE|VIEW) /)
		sub(/^CREATE/, "CREATE OR REPLACE")
	rights = /^(GRANT|REVOKE) /
	if (rights)
		printf "SELECT pgmaint_internal.change_rights_of_new($rights$"
}

inside && /^BEGIN ATOMIC/ {
	end = "^END;$"
}

{
	if (rights && /;$/)
		sub(/;$/, "$rights$);")
	if (!left_out)
		print
	# each pair of signs ends where the next begins
	quoted = (quoted + gsub(/\$\$/, "$$")) % 2
	if (inside && !quoted && $0 ~ end)
		inside = left_out = rights = 0
}

END {
	if (!refused && inside)
		refuse("the statement at the end of the file does not end")
	if (refused)
		exit 1
	print "DROP FUNCTION pgmaint_internal.change_rights_of_new(text);"
	print "SELECT pg_catalog.set_config('role', pg_catalog.current_setting('pgmaint_script.role'), true)"
	print "WHERE pg_catalog.current_setting('role') <> pg_catalog.current_setting('pgmaint_script.role');"
}
