-- Every column that a person may read, and every relation, says what it is.
SELECT c.oid::regclass AS relation, a.attname
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'pgmaint'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
	AND coalesce(col_description(c.oid, a.attnum), '') = ''
ORDER BY c.relname, a.attnum;
SELECT c.oid::regclass AS relation
FROM pg_class c
WHERE c.relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
	AND coalesce(obj_description(c.oid, 'pg_class'), '') = ''
ORDER BY c.relname;

-- none only repeats the name, or ends as a sentence does
SELECT c.oid::regclass AS relation, a.attname, d.description
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = a.attnum
WHERE c.relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace)
	AND (lower(translate(d.description, ' ', '_')) = a.attname OR d.description ~ E'\\.$|^\\s|\\s$')
ORDER BY c.relname, a.attnum;
