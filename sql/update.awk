# The extension script as a part of an update: what makes or fills tables is left
# out, and functions and views are replaced where they are there.
#
# A statement begins at the start of a line.  It ends with a semicolon at the end of
# one, unless that is quoted with $$ or in a body that BEGIN ATOMIC begins.

!inside && /^[A-Z\\]/ {
	inside = 1
	quoted = 0
	end = ";$"
	left_out = /^(CREATE (TABLE|INDEX|UNIQUE INDEX|SCHEMA|TRIGGER|SERVER|FOREIGN DATA WRAPPER)|INSERT INTO|SELECT|ALTER TABLE|\\echo) /
	if (/^\\echo /)
		end = "\\quit$"
	if (/^CREATE (FUNCTION|PROCEDURE|VIEW) /)
		sub(/^CREATE/, "CREATE OR REPLACE")
}

inside && /^BEGIN ATOMIC/ {
	end = "^END;$"
}

{
	if (!left_out)
		print
	# each pair of signs ends where the next begins
	quoted = (quoted + gsub(/\$\$/, "$$")) % 2
	if (inside && !quoted && $0 ~ end)
		inside = left_out = 0
}
