-- ALTER DEFAULT PRIVILEGES of the role that creates the extension may have granted its
-- tables, sequences and functions to other roles.  The parts above grant to two
-- predefined roles only.  In an update, older members are left out: administrators may
-- have granted them to the same roles since.
DO $$
DECLARE
	gift record;
BEGIN
	FOR gift IN
		SELECT DISTINCT x.kind, x.name, coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC') AS grantee
		FROM (SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, c.oid, c.relowner AS owner, c.relacl AS acl,
				CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, c.oid::pg_catalog.regclass::pg_catalog.text AS name
			FROM pg_catalog.pg_class c
			UNION ALL
			SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.proowner, p.proacl,
				'ROUTINE', p.oid::pg_catalog.regprocedure::pg_catalog.text
			FROM pg_catalog.pg_proc p
			UNION ALL
			SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid, n.nspowner, n.nspacl,
				'SCHEMA', pg_catalog.quote_ident(n.nspname)
			FROM pg_catalog.pg_namespace n
			UNION ALL
			SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, t.typowner, t.typacl,
				'TYPE', t.oid::pg_catalog.regtype::pg_catalog.text
			FROM pg_catalog.pg_type t) x
		JOIN pg_catalog.pg_depend d ON d.classid = x.class AND d.objid = x.oid AND d.deptype = 'e'
			AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
		JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgmaint'
		CROSS JOIN LATERAL pg_catalog.aclexplode(x.acl) a
		LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
		WHERE a.grantee <> x.owner
			AND x.class::pg_catalog.oid || ':' || x.oid <> ALL (pg_catalog.string_to_array(pg_catalog.current_setting('pgmaint_script.members'), ' '))
			AND r.rolname IS DISTINCT FROM 'pg_monitor' AND r.rolname IS DISTINCT FROM 'pg_stat_scan_tables'
			AND EXISTS (SELECT FROM pg_catalog.pg_default_acl f CROSS JOIN LATERAL pg_catalog.aclexplode(f.defaclacl) g
				WHERE f.defaclrole = x.owner AND g.grantee = a.grantee)
	LOOP
		CONTINUE WHEN gift.kind = 'TYPE' AND gift.grantee = 'PUBLIC';
		EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s', gift.kind, gift.name, gift.grantee);
	END LOOP;
END
$$;
