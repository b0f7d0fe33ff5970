--
-- A walk over all that the extension consists of
--
CREATE TEMPORARY VIEW members AS
SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS name
FROM pg_depend d
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgmaint'
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
UNION ALL
-- made by CREATE EXTENSION, but no member
SELECT 'pg_namespace'::regclass, 'pgmaint'::regnamespace::oid, 'schema pgmaint';
CREATE TEMPORARY VIEW functions AS
SELECT m.name, p.*, p.oid::regprocedure AS function
FROM members m
JOIN pg_proc p ON p.oid = m.objid
WHERE m.classid = 'pg_proc'::regclass;
CREATE TEMPORARY VIEW relations AS
SELECT m.name, c.*
FROM members m
JOIN pg_class c ON c.oid = m.objid
WHERE m.classid = 'pg_class'::regclass;

-- What kinds of objects there are: what is below looks at all of them.  Row types are
-- members on some servers only.
SELECT m.classid::regclass AS class FROM members m WHERE m.classid <> 'pg_type'::regclass GROUP BY m.classid ORDER BY m.classid::regclass::text COLLATE "C";

-- what psql lists under \df pgmaint. and \d pgmaint. can be read
SELECT count(*) FILTER (WHERE pronamespace = 'pgmaint'::regnamespace) < 70 AS few_functions FROM functions;
SELECT count(*) FILTER (WHERE relnamespace = 'pgmaint'::regnamespace AND relkind IN ('r', 'v')) < 40 AS few_relations FROM relations;
-- what is there, is a member
SELECT p.oid::regprocedure AS function FROM pg_proc p WHERE p.pronamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace)
	AND p.oid NOT IN (SELECT f.oid FROM functions f);
SELECT c.oid::regclass AS relation FROM pg_class c WHERE c.relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace)
	AND c.relkind NOT IN ('i', 't') AND c.oid NOT IN (SELECT r.oid FROM relations r)
	-- sequences of identity columns belong to their tables
	AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i');

-- What the planner is told of functions that return sets: 1000 rows, and the cost of
-- an addition for functions in C, are its defaults.
SELECT function FROM functions JOIN pg_language l ON l.oid = prolang
WHERE proretset AND (prorows = 1000 OR lanname = 'c' AND procost = 1) ORDER BY 1;
-- these were looked at
SELECT function, prorows, procost > 1 AS with_cost FROM functions
WHERE function::text ~ '^(pgmaint|pgmaint_internal)\.(actions|table_bloat|built_in_plans|validate)\(' ORDER BY function::text COLLATE "C";

-- nothing is for everybody
WITH privileges AS (
	SELECT m.name, a.* FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
		CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
	UNION ALL
	SELECT m.name, a.* FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
		CROSS JOIN aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) a
	UNION ALL
	SELECT format('%s, column %s', m.name, t.attname), a.* FROM members m JOIN pg_attribute t ON m.classid = 'pg_class'::regclass AND t.attrelid = m.objid
		CROSS JOIN aclexplode(t.attacl) a
	UNION ALL
	SELECT m.name, a.* FROM members m JOIN pg_namespace n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
		CROSS JOIN aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
	UNION ALL
	SELECT m.name, a.* FROM members m JOIN pg_foreign_data_wrapper w ON m.classid = 'pg_foreign_data_wrapper'::regclass AND w.oid = m.objid
		CROSS JOIN aclexplode(coalesce(w.fdwacl, acldefault('F', w.fdwowner))) a
	UNION ALL
	SELECT m.name, a.* FROM members m JOIN pg_foreign_server s ON m.classid = 'pg_foreign_server'::regclass AND s.oid = m.objid
		CROSS JOIN aclexplode(coalesce(s.srvacl, acldefault('S', s.srvowner))) a
)
SELECT name, privilege_type FROM privileges WHERE grantee = 0 ORDER BY 1, 2;
-- with sequences of identity columns
SELECT c.oid::regclass AS sequence FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relkind = 'S' AND c.relnamespace IN ('pgmaint'::regnamespace, 'pgmaint_internal'::regnamespace) AND a.grantee <> c.relowner;
-- and what is granted is for these alone
SELECT DISTINCT pg_get_userbyid(a.grantee) AS grantee
FROM functions p, aclexplode(p.proacl) a WHERE a.grantee <> p.proowner
UNION
SELECT pg_get_userbyid(a.grantee) FROM relations c, aclexplode(c.relacl) a WHERE a.grantee <> c.relowner ORDER BY 1;
-- who only looks changes nothing
SELECT name, a.privilege_type FROM relations c, aclexplode(c.relacl) a WHERE a.grantee <> c.relowner AND a.privilege_type <> 'SELECT';

-- everything says what it is, but the sequences of identity columns
SELECT m.name FROM members m
WHERE m.classid NOT IN ('pg_type'::regclass, 'pg_rewrite'::regclass)
	AND m.objid NOT IN (SELECT s.oid FROM relations s WHERE s.relkind = 'S')
	AND obj_description(m.objid, m.classid::regclass::name) IS NULL ORDER BY m.name COLLATE "C";
SELECT r.oid::regclass::text || '.' || a.attname AS "column" FROM relations r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE r.relnamespace = 'pgmaint'::regnamespace AND r.relkind IN ('r', 'v') AND col_description(r.oid, a.attnum) IS NULL ORDER BY 1;
-- what is for people at some length, and not more than can be read
SELECT function, length(obj_description(oid, 'pg_proc')) FROM functions
WHERE pronamespace = 'pgmaint'::regnamespace AND length(obj_description(oid, 'pg_proc')) NOT BETWEEN 40 AND 1500;

-- A function promises no more than what it calls does, by its stored body.  But it
-- may read the clock and the state of the server, which the server's own functions do
-- as VOLATILE ones, and be STABLE for the sake of one snapshot for all that it reads.
WITH called AS (
	SELECT f.oid, f.function, p.oid AS callee, p.provolatile, p.proparallel
	FROM functions f
	CROSS JOIN LATERAL regexp_matches(f.prosqlbody::text, ':(?:funcid|aggfnoid|winfnoid) ([0-9]+)', 'g') AS m (number)
	JOIN pg_proc p ON p.oid = m.number[1]::oid
	UNION
	SELECT f.oid, f.function, p.oid, p.provolatile, p.proparallel
	FROM functions f
	CROSS JOIN LATERAL regexp_matches(f.prosqlbody::text, ':opno ([0-9]+)', 'g') AS m (number)
	JOIN pg_operator o ON o.oid = m.number[1]::oid
	JOIN pg_proc p ON p.oid = o.oprcode
	UNION
	-- casts by way of text
	SELECT f.oid, f.function, p.oid, p.provolatile, p.proparallel
	FROM functions f
	CROSS JOIN LATERAL regexp_matches(f.prosqlbody::text, '{COERCEVIAIO .*? :resulttype ([0-9]+)', 'g') AS m (number)
	JOIN pg_type t ON t.oid = m.number[1]::oid
	JOIN pg_proc p ON p.oid = t.typinput
	UNION
	-- and what pg_depend knows, which is all but what came with the server
	SELECT f.oid, f.function, p.oid, p.provolatile, p.proparallel
	FROM functions f
	JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_proc'::regclass
	JOIN pg_proc p ON p.oid = d.refobjid
)
SELECT f.function, f.provolatile AS promises, f.proparallel AS in_parallel, c.callee::regprocedure AS calls, c.provolatile, c.proparallel
FROM functions f
JOIN called c ON c.oid = f.oid
WHERE strpos('isv', f.provolatile::text) < strpos('isv', c.provolatile::text)
	AND NOT (f.provolatile = 's' AND c.callee::regproc::text IN ('clock_timestamp', 'pg_collation_actual_version', 'pg_control_system',
		'pg_current_wal_lsn', 'pg_is_in_recovery', 'pg_last_wal_replay_lsn', 'pg_last_xact_replay_timestamp', 'pg_partition_ancestors', 'pg_tablespace_size'))
	OR strpos('sru', f.proparallel::text) < strpos('sru', c.proparallel::text)
ORDER BY f.function::text COLLATE "C", c.callee::regprocedure::text COLLATE "C";
-- nor does one that reads tables, or the time, say that its result never changes
SELECT f.function FROM functions f
WHERE f.provolatile = 'i' AND f.prosqlbody::text ~ ':rtekind 0|{SQLVALUEFUNCTION' ORDER BY 1;

-- Each function and relation of the schema pgmaint is in a level of grant_access(),
-- or in none on purpose; and a level names nothing that is not there.
SELECT f.function FROM functions f
WHERE f.pronamespace = 'pgmaint'::regnamespace
	AND NOT EXISTS (SELECT FROM pgmaint_internal.access_levels a WHERE a.kind = 'ROUTINE' AND a.object = f.function::text);
SELECT r.name FROM relations r
WHERE r.relnamespace = 'pgmaint'::regnamespace AND r.relkind IN ('r', 'v')
	AND NOT EXISTS (SELECT FROM pgmaint_internal.access_levels a WHERE a.kind = 'TABLE' AND a.object = r.oid::regclass::text);
SELECT level, name FROM pgmaint_internal.access_levels WHERE object IS NULL;
SELECT object, privilege FROM pgmaint_internal.access_levels GROUP BY object, privilege HAVING count(*) > 1;
-- what dumps name by these privileges, so that it keeps its name
SELECT object, level FROM pgmaint_internal.access_levels WHERE name LIKE 'pgmaint\_internal.%' ORDER BY object COLLATE "C";
