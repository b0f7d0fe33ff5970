-- Checks of storages, by the results of the action validate: the objects of the
-- ledger are on their storages.

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('storage', 'warning', '8 days', 'interval', 'a storage was not compared with the ledger for longer than this')
) AS d (check_id, threshold, value, kind, description);

CREATE FUNCTION pgmaint_internal.validate_storages()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 2 COST 1000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH damaged AS (
		SELECT
			a.storage,
			count(*) AS archives,
			(array_agg(concat(a.archive_id, ' (', a.key, ')') ORDER BY a.archive_id))[:3] AS first
		FROM pgmaint.archives a
		WHERE a.check_result = 'damaged' AND a.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i)
		GROUP BY a.storage
	),
	-- results of another database, from which this one was copied, do not count
	looked_at AS (
		SELECT
			u.storage,
			EXISTS (SELECT FROM pg_foreign_server s WHERE s.srvname = u.storage) AS is_there,
			u.archives + u.backups AS known,
			c.checked_at,
			clock_timestamp() - coalesce(c.checked_at, u.since) AS age,
			coalesce(c.missing + c.differing, 0) AS wrong,
			c.missing,
			c.differing,
			c.error,
			c.detail,
			coalesce(d.archives, 0) AS damaged,
			d.first
		FROM pgmaint_internal.storages_in_use u
		LEFT JOIN pgmaint.storage_checks c ON c.storage = u.storage
			AND c.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i)
		LEFT JOIN damaged d ON d.storage = u.storage
	)
	SELECT
		'storage',
		CASE
			WHEN l.wrong > 0 OR l.damaged > 0 THEN 'critical'
			WHEN NOT l.is_there OR l.error IS NOT NULL THEN 'warning'
			ELSE pgmaint_internal.judge('storage', l.age) END,
		concat_ws('; ',
			CASE WHEN NOT l.is_there THEN concat(format('storage %I no longer exists, but ', l.storage), CASE
				WHEN l.known > 0 THEN format('the ledger has %s archives and backups in this storage', l.known)
				ELSE 'retention policies use this storage' END) END,
			CASE
				WHEN NOT l.is_there AND l.checked_at IS NULL THEN NULL
				WHEN l.checked_at IS NULL THEN format('storage %I was not compared with the ledger yet; compare it with SELECT pgmaint.run_action(''validate'')', l.storage)
				ELSE format('storage %I was compared with the ledger %s ago%s', l.storage,
					date_trunc('minute', justify_hours(greatest(l.age, interval '0'))),
					CASE WHEN l.wrong = 0 THEN ': no object is missing' END) END,
			CASE WHEN l.missing > 0 THEN format('%s missing: %s', CASE WHEN l.missing = 1 THEN '1 object is' ELSE l.missing || ' objects are' END,
				(SELECT string_agg(concat(o ->> 'of', ' (', o ->> 'key', ')'), ', ') FROM jsonb_path_query(l.detail, '$.missing[0 to 2]') o)) END,
			CASE WHEN l.differing > 0 THEN format('%s another size than in the ledger: %s', CASE WHEN l.differing = 1 THEN '1 object has' ELSE l.differing || ' objects have' END,
				(SELECT string_agg(concat(o ->> 'of', ' (', o ->> 'key', ')'), ', ') FROM jsonb_path_query(l.detail, '$.differing[0 to 2]') o)) END,
			CASE WHEN l.damaged > 0 THEN format('%s damaged: %s', CASE WHEN l.damaged = 1 THEN '1 archive is' ELSE l.damaged || ' archives are' END,
				array_to_string(l.first, ', ')) END,
			CASE WHEN l.is_there THEN 'the last comparison failed: ' || l.error END),
		pgmaint_internal.expectation('storage', 'every object of the ledger, compared within %s'),
		quote_ident(l.storage)
	FROM looked_at l
	UNION ALL
	SELECT 'storage', 'ok', 'the ledger has no archives or backups', pgmaint_internal.expectation('storage', 'every object of the ledger, compared within %s'), NULL
	WHERE NOT EXISTS (SELECT FROM looked_at l);
END;

COMMENT ON FUNCTION pgmaint_internal.validate_storages() IS
	'checks of storages by the results of the action validate: no archive or backup of the ledger is missing or damaged, and the last comparison is recent';

REVOKE ALL ON FUNCTION pgmaint_internal.validate_storages() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.validate_storages() TO pg_monitor;
