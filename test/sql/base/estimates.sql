-- What the planner is told of functions that return sets: 1000 rows, and the cost of
-- an addition for functions in C, are what it assumes where nobody said.
CREATE TEMPORARY VIEW set_functions AS
SELECT p.oid::regprocedure AS function, p.prorows, p.procost, l.lanname
FROM pg_depend d
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgmaint'
JOIN pg_proc p ON p.oid = d.objid AND p.proretset
JOIN pg_language l ON l.oid = p.prolang
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';
SELECT function FROM set_functions WHERE prorows = 1000 OR lanname = 'c' AND procost = 1 ORDER BY 1;

-- these were looked at
SELECT function, prorows, procost > 1 AS with_cost FROM set_functions WHERE function::text ~ '^pgmaint(_internal)?\.(actions|table_bloat|built_in_plans|validate)\(' ORDER BY function::text COLLATE "C";
