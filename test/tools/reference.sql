-- What docs/reference.md is made of, as JSON: the functions, relations, actions
-- and settings of pgmaint as the server lists them.  test/tools/check-reference
-- reads it.  No extension but pgmaint is asked for anything.

SET search_path = pg_catalog, pg_temp;

WITH members AS (
	SELECT d.classid, d.objid
	FROM pg_depend d
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgmaint'
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
),
access AS (
	SELECT a.object, a.kind, a.level, a.privilege
	FROM pgmaint_internal.access_levels a
),
functions AS (
	SELECT jsonb_agg(jsonb_build_object(
		'name', p.proname,
		'kind', CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END,
		'arguments', pg_get_function_arguments(p.oid),
		'returns', CASE WHEN p.prokind <> 'p' THEN pg_get_function_result(p.oid) END,
		'access', (SELECT a.level FROM access a WHERE a.kind = 'ROUTINE' AND a.object = p.oid::regprocedure::text),
		'monitor', has_function_privilege('pg_monitor', p.oid, 'EXECUTE'),
		'comment', obj_description(p.oid, 'pg_proc'))) AS list
	FROM pg_proc p
	JOIN members m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
	WHERE p.pronamespace = 'pgmaint'::regnamespace
),
relations AS (
	SELECT jsonb_agg(jsonb_build_object(
		'name', c.relname,
		'kind', CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END,
		'access', (SELECT min(a.level) FROM access a WHERE a.kind = 'TABLE' AND a.privilege = 'SELECT' AND a.object = c.oid::regclass::text),
		'monitor', has_table_privilege('pg_monitor', c.oid, 'SELECT'),
		'comment', obj_description(c.oid, 'pg_class'),
		'columns', (
			SELECT jsonb_agg(jsonb_build_object(
				'name', a.attname,
				'type', format_type(a.atttypid, a.atttypmod),
				'comment', col_description(c.oid, a.attnum)) ORDER BY a.attnum)
			FROM pg_attribute a
			WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))) AS list
	FROM pg_class c
	JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
	WHERE c.relnamespace = 'pgmaint'::regnamespace AND c.relkind IN ('r', 'v')
),
actions AS (
	SELECT jsonb_agg(to_jsonb(a) ORDER BY a.nth) AS list
	FROM pgmaint.actions() WITH ORDINALITY AS a (action, option, value, "default", description, nth)
),
settings AS (
	SELECT jsonb_agg(jsonb_build_object(
		'name', s.name,
		'default', s.boot_val,
		'unit', s.unit,
		'type', s.vartype,
		'min', s.min_val,
		'max', s.max_val,
		'context', s.context,
		'comment', concat_ws(' ', s.short_desc, s.extra_desc))) AS list
	FROM pg_settings s
	WHERE s.name LIKE 'pgmaint.%'
)
SELECT jsonb_build_object('functions', f.list, 'relations', r.list, 'actions', a.list, 'settings', s.list)
FROM functions f, relations r, actions a, settings s;
