-- Checks of backups.

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('backup_exists', 'critical', '1', 'number', 'a database has fewer backups than this'),
	('backup_recent', 'warning', '26 hours', 'interval', 'the newest backup of a database began longer ago than this'),
	('backup_recent', 'critical', '50 hours', 'interval', 'the newest backup of a database began longer ago than this'),
	('backup_verified', 'warning', '35 days', 'interval', 'no backup of a database was proven by a restore for longer than this')
) AS d (check_id, threshold, value, kind, description);

-- Backups of this database, and of all other existing databases that this one has
-- ever backed up.  Backups of parts count only where there is none of the whole
-- database.
CREATE FUNCTION pgmaint_internal.validate_backups()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 5 COST 10000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	WITH limits AS MATERIALIZED (
		SELECT
			pgmaint_internal.threshold('backup_exists', 'critical') AS least,
			pgmaint_internal.threshold('backup_recent', 'warning') AS recent_warning,
			pgmaint_internal.threshold('backup_recent', 'critical') AS recent_critical,
			pgmaint_internal.threshold('backup_verified', 'warning') AS verified_warning
	),
	made AS (
		SELECT b.*, b.selection IS NULL AS whole, b.state = 'succeeded' AS there
		FROM pgmaint_internal.backup_records b
		WHERE b.kind = 'database' AND b.state IN ('succeeded', 'expiring', 'expired')
			AND b.identity IN (SELECT o.identity FROM pgmaint_internal.own_identities o)
	),
	counting AS (
		SELECT m.*
		FROM made m
		WHERE m.whole OR NOT EXISTS (SELECT FROM made o WHERE o.database = m.database AND o.whole AND o.there)
	),
	looked_at AS (
		SELECT
			d.datname::text AS name,
			quote_ident(d.datname) AS object,
			count(*) FILTER (WHERE c.there) AS backups,
			bool_or(c.whole) FILTER (WHERE c.there) AS whole,
			sum(c.bytes) FILTER (WHERE c.there) AS bytes,
			string_agg(DISTINCT c.storage::text, ', ') FILTER (WHERE c.there) AS storages,
			max(c.started_at) FILTER (WHERE c.there) AS newest,
			min(c.started_at) AS first_ever,
			max(c.verified_at) AS verified_at,
			max(c.started_at) FILTER (WHERE c.there AND c.verification = 'restorable') AS newest_restorable,
			(array_agg(c.verification_error ORDER BY c.started_at DESC) FILTER (WHERE c.there AND c.verification = 'not restorable'))[1] AS bad_error,
			max(c.started_at) FILTER (WHERE c.there AND c.verification = 'not restorable') AS newest_bad
		FROM pg_database d
		LEFT JOIN counting c ON c.database = d.datname
		WHERE d.datname = current_database()
			OR EXISTS (SELECT FROM pgmaint_internal.backup_records b WHERE b.database = d.datname
				AND b.identity IN (SELECT o.identity FROM pgmaint_internal.own_identities o))
		GROUP BY d.datname
	)
	SELECT
		'backup_exists',
		CASE
			WHEN l.backups < t.least::numeric THEN 'critical'
			WHEN NOT l.whole THEN 'warning'
			ELSE 'ok' END,
		CASE
			WHEN l.backups = 0 THEN format('no backup of database %s', l.object)
			WHEN NOT l.whole THEN format('only backups of parts of database %s', l.object)
			ELSE format('%s %s of database %s, %s, in storage %s', l.backups,
				CASE WHEN l.backups = 1 THEN 'backup' ELSE 'backups' END, l.object, pg_size_pretty(l.bytes), l.storages) END,
		coalesce('at least ' || t.least, 'no threshold is set'),
		l.object
	FROM looked_at l
	CROSS JOIN limits t
	UNION ALL
	SELECT
		'backup_recent',
		CASE
			WHEN l.newest < clock_timestamp() - t.recent_critical::interval THEN 'critical'
			WHEN l.newest < clock_timestamp() - t.recent_warning::interval THEN 'warning'
			ELSE 'ok' END,
		format('the newest backup of database %s began %s ago', l.object,
			date_trunc('minute', justify_hours(greatest(clock_timestamp() - l.newest, interval '0')))),
		coalesce('begun within ' || coalesce(t.recent_warning, t.recent_critical), 'no threshold is set'),
		l.object
	FROM looked_at l
	CROSS JOIN limits t
	WHERE l.newest IS NOT NULL
	UNION ALL
	SELECT
		'backup_verified',
		CASE
			WHEN l.newest_bad > coalesce(l.newest_restorable, '-infinity') THEN 'critical'
			WHEN coalesce(l.verified_at, l.first_ever) < clock_timestamp() - t.verified_warning::interval THEN 'warning'
			ELSE 'ok' END,
		CASE
			WHEN l.newest_bad > coalesce(l.newest_restorable, '-infinity') THEN format(
				'the backup of database %s from %s could not be restored%s', l.object,
				pgmaint_internal.utc_text(l.newest_bad), coalesce(': ' || l.bad_error, ''))
			WHEN l.verified_at IS NULL THEN format('no backup of database %s was ever proven by a restore', l.object)
			ELSE format('a backup of database %s was proven by a restore %s ago', l.object,
				date_trunc('minute', justify_hours(greatest(clock_timestamp() - l.verified_at, interval '0')))) END,
		coalesce('proven by a restore within ' || t.verified_warning, 'no backup that cannot be restored'),
		l.object
	FROM looked_at l
	CROSS JOIN limits t
	WHERE l.newest IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint_internal.validate_backups() IS
	'checks of backups: that they exist, are recent, and were proven by a restore';

REVOKE ALL ON FUNCTION pgmaint_internal.validate_backups() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.validate_backups() TO pg_monitor;
