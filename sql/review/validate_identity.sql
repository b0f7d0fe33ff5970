-- The check of the database's identity.

CREATE FUNCTION pgmaint_internal.validate_identity()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 1 COST 1000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH suspended AS MATERIALIZED (
		SELECT count(*) AS contacts, string_agg(quote_ident(s.name), ', ' ORDER BY s.name) AS names
		FROM pgmaint_internal.suspended_contacts s
	),
	current AS (
		SELECT i.doubt FROM pgmaint_internal.own_identities i WHERE i.state = 'current'
	)
	SELECT
		'identity',
		CASE WHEN c.doubt IS NULL AND s.contacts = 0 THEN 'ok' ELSE 'warning' END,
		CASE
			WHEN c.doubt IS NOT NULL THEN pgmaint_internal.doubt_message(c.doubt)
			WHEN s.contacts > 0 THEN format('%s of another database %s suspended: %s; if this database is the successor: SELECT pgmaint.take_over(); '
				'if this database is a copy: SELECT pgmaint.stay_copy()',
				CASE WHEN s.contacts = 1 THEN '1 contact' ELSE s.contacts || ' contacts' END,
				CASE WHEN s.contacts = 1 THEN 'is' ELSE 'are' END, s.names)
			ELSE 'the ledger belongs to this database' END,
		'no sign that this database is a copy',
		NULL
	FROM suspended s
	LEFT JOIN current c ON true;
END;

COMMENT ON FUNCTION pgmaint_internal.validate_identity() IS
	'check of the identity of this database: a copy, or a restored dump, must be declared a successor or a copy';

REVOKE ALL ON FUNCTION pgmaint_internal.validate_identity() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.validate_identity() TO pg_monitor;
