-- Is everything in order?  One function for each group of checks, which returns
-- rows of check_id, status, detail, expected and object; validate() puts them
-- together.  Their limits are data.

CREATE TABLE pgmaint.thresholds (
	check_id text NOT NULL,
	threshold text NOT NULL CHECK (threshold IN ('warning', 'critical')),
	value text,
	default_value text,
	kind text NOT NULL CHECK (kind IN ('interval', 'number')),
	description text NOT NULL,
	PRIMARY KEY (check_id, threshold),
	CONSTRAINT value_must_be_zero_or_more CHECK (CASE kind
		WHEN 'interval' THEN value::pg_catalog.interval >= '0'::pg_catalog.interval
		ELSE value::pg_catalog.numeric >= 0 AND value::pg_catalog.numeric <> 'NaN' END)
);

COMMENT ON TABLE pgmaint.thresholds IS 'from where on a check of pgmaint.validate() warns, or is critical: change value';
COMMENT ON COLUMN pgmaint.thresholds.value IS 'what holds; null: never';
COMMENT ON COLUMN pgmaint.thresholds.default_value IS 'what held from the start';
COMMENT ON COLUMN pgmaint.thresholds.kind IS 'what value must be: an interval or a number';

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('backup_exists', 'critical', '1', 'number', 'there are fewer backups of a database than this'),
	('backup_recent', 'warning', '26 hours', 'interval', 'the newest backup of a database was begun longer ago than this'),
	('backup_recent', 'critical', '50 hours', 'interval', 'the newest backup of a database was begun longer ago than this'),
	('backup_verified', 'warning', '35 days', 'interval', 'no backup of a database was restored to prove it for longer than this')
) AS d (check_id, threshold, value, kind, description);

-- What was changed is dumped; when it comes back, the row with the default is
-- there already.
CREATE FUNCTION pgmaint.restore_threshold()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE pgmaint.thresholds t SET value = new.value
	WHERE t.check_id = new.check_id AND t.threshold = new.threshold;
	RETURN CASE WHEN found THEN NULL ELSE new END;
END
$$;

COMMENT ON FUNCTION pgmaint.restore_threshold() IS 'a threshold that comes out of a dump takes the place of the default';

CREATE TRIGGER restore_threshold BEFORE INSERT ON pgmaint.thresholds
	FOR EACH ROW EXECUTE FUNCTION pgmaint.restore_threshold();

SELECT pg_catalog.pg_extension_config_dump('pgmaint.thresholds', 'WHERE value IS DISTINCT FROM default_value');

CREATE FUNCTION pgmaint.threshold(check_id text, threshold text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT t.value FROM pgmaint.thresholds t
	WHERE t.check_id = threshold.check_id AND t.threshold = threshold.threshold;
END;

COMMENT ON FUNCTION pgmaint.threshold(text, text) IS 'a threshold of a check; null where there is none';

-- Backups of this database, and of all others that were ever backed up from
-- here and are still there.  What holds a part of a database counts only where
-- nothing holds all of it.
CREATE FUNCTION pgmaint.validate_backups()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH limits AS MATERIALIZED (
		SELECT
			pgmaint.threshold('backup_exists', 'critical') AS least,
			pgmaint.threshold('backup_recent', 'warning') AS recent_warning,
			pgmaint.threshold('backup_recent', 'critical') AS recent_critical,
			pgmaint.threshold('backup_verified', 'warning') AS verified_warning
	),
	made AS (
		SELECT b.*, b.selection IS NULL AS whole, b.state = 'succeeded' AS there
		FROM pgmaint.backup_records b
		WHERE b.kind = 'database' AND b.state IN ('succeeded', 'expiring', 'expired')
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
			OR EXISTS (SELECT FROM pgmaint.backup_records b WHERE b.database = d.datname)
		GROUP BY d.datname
	)
	SELECT
		'backup_exists',
		CASE
			WHEN l.backups < t.least::numeric THEN 'critical'
			WHEN NOT l.whole THEN 'warning'
			ELSE 'ok' END,
		CASE
			WHEN l.backups = 0 THEN format('there is no backup of database %s', l.object)
			WHEN NOT l.whole THEN format('there are only backups of parts of database %s', l.object)
			ELSE format('%s %s of database %s, %s, on %s', l.backups,
				CASE WHEN l.backups = 1 THEN 'backup' ELSE 'backups' END, l.object, pg_size_pretty(l.bytes), l.storages) END,
		coalesce('at least ' || t.least, 'any number'),
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
		format('the newest backup of database %s was begun %s ago', l.object,
			date_trunc('minute', justify_hours(greatest(clock_timestamp() - l.newest, interval '0')))),
		coalesce('not longer ago than ' || coalesce(t.recent_warning, t.recent_critical), 'at any time'),
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
				'the backup of database %s of %s could not be restored%s', l.object,
				to_char(l.newest_bad AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), coalesce(': ' || l.bad_error, ''))
			WHEN l.verified_at IS NULL THEN format('no backup of database %s was ever restored to prove it', l.object)
			ELSE format('a backup of database %s was restored to prove it %s ago', l.object,
				date_trunc('minute', justify_hours(greatest(clock_timestamp() - l.verified_at, interval '0')))) END,
		coalesce('proven not longer ago than ' || t.verified_warning, 'not proven to be bad'),
		l.object
	FROM looked_at l
	CROSS JOIN limits t
	WHERE l.newest IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint.validate_backups() IS 'the checks of backups: that there are some, that they are recent, that they were proven';

CREATE FUNCTION pgmaint.validate()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT c.check_id, c.status, c.detail, c.expected, c.object
	FROM (
		SELECT * FROM pgmaint.validate_backups()
	) c
	ORDER BY array_position(ARRAY['critical', 'warning', 'ok'], c.status), c.check_id, c.object;
END;

COMMENT ON FUNCTION pgmaint.validate() IS
	'is everything in order: each check, whether it is ok, a warning or critical, and what was expected; the worst first';

CREATE FUNCTION pgmaint.validate_ok()
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT NOT EXISTS (SELECT FROM pgmaint.validate() v WHERE v.status = 'critical');
END;

COMMENT ON FUNCTION pgmaint.validate_ok() IS 'for machines: false if anything is critical';

REVOKE ALL ON pgmaint.thresholds FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.restore_threshold(),
	pgmaint.threshold(text, text),
	pgmaint.validate_backups(),
	pgmaint.validate(),
	pgmaint.validate_ok()
FROM PUBLIC;
GRANT SELECT ON pgmaint.thresholds TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	pgmaint.threshold(text, text),
	pgmaint.validate_backups(),
	pgmaint.validate(),
	pgmaint.validate_ok()
TO pg_monitor;
