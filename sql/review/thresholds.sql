-- The limits from which on checks of pgmaint.validate() are a warning or critical.
-- Each group of checks inserts its own rows.

CREATE TABLE pgmaint.thresholds (
	check_id text NOT NULL,
	threshold text NOT NULL CHECK (threshold IN ('warning', 'critical')),
	value text,
	default_value text,
	kind text NOT NULL CHECK (kind IN ('interval', 'number', 'bytes')),
	description text NOT NULL,
	PRIMARY KEY (check_id, threshold),
	CONSTRAINT value_must_be_zero_or_more CHECK (CASE kind
		WHEN 'interval' THEN value::pg_catalog.interval >= '0'::pg_catalog.interval
		ELSE value::pg_catalog.numeric >= 0 AND value::pg_catalog.numeric <> 'NaN' END)
);

COMMENT ON TABLE pgmaint.thresholds IS 'Limits of the checks of pgmaint.validate(): one row for each check and status. To change a limit, update value; null disables it. Superusers, the owner of the extension and roles with the level manage of pgmaint.grant_access() may do that; a value that is not of its kind raises an error. Changed values are dumped and restored with the database.';
COMMENT ON COLUMN pgmaint.thresholds.check_id IS 'the check of pgmaint.validate(), or the condition on which an alert becomes critical';
COMMENT ON COLUMN pgmaint.thresholds.threshold IS 'status of the check, or of the alert, from value on: warning or critical';
COMMENT ON COLUMN pgmaint.thresholds.value IS 'the limit in force, as text; null: the check never has this status';
COMMENT ON COLUMN pgmaint.thresholds.default_value IS 'the default limit, as text';
COMMENT ON COLUMN pgmaint.thresholds.kind IS 'type of value: interval, number, or bytes (a number of bytes)';
COMMENT ON COLUMN pgmaint.thresholds.description IS 'the figure or the condition that value limits';

-- Changed thresholds are dumped; when they are restored, the row with the default
-- exists already.
CREATE FUNCTION pgmaint_internal.restore_threshold()
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

COMMENT ON FUNCTION pgmaint_internal.restore_threshold() IS
	'replaces the default of a threshold with the value from a dump';

CREATE TRIGGER restore_threshold BEFORE INSERT ON pgmaint.thresholds
	FOR EACH ROW EXECUTE FUNCTION pgmaint_internal.restore_threshold();

-- under session_replication_role = replica too, as which restore_backup restores
ALTER TABLE pgmaint.thresholds ENABLE ALWAYS TRIGGER restore_threshold;

SELECT pg_catalog.pg_extension_config_dump('pgmaint.thresholds', 'WHERE value IS DISTINCT FROM default_value');

CREATE FUNCTION pgmaint_internal.threshold(check_id text, threshold text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT t.value FROM pgmaint.thresholds t
	WHERE t.check_id = threshold.check_id AND t.threshold = threshold.threshold;
END;

COMMENT ON FUNCTION pgmaint_internal.threshold(text, text) IS
	'a threshold of a check; null where there is none';

-- For checks where higher values are worse.
CREATE FUNCTION pgmaint_internal.judge(check_id text, measured numeric)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE
		WHEN judge.measured >= pgmaint_internal.threshold(judge.check_id, 'critical')::numeric THEN 'critical'
		WHEN judge.measured >= pgmaint_internal.threshold(judge.check_id, 'warning')::numeric THEN 'warning'
		ELSE 'ok' END;
END;

COMMENT ON FUNCTION pgmaint_internal.judge(text, numeric) IS
	'status of a number by the thresholds of a check, where higher is worse: critical, warning or ok';

CREATE FUNCTION pgmaint_internal.judge(check_id text, measured interval)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE
		WHEN judge.measured >= pgmaint_internal.threshold(judge.check_id, 'critical')::interval THEN 'critical'
		WHEN judge.measured >= pgmaint_internal.threshold(judge.check_id, 'warning')::interval THEN 'warning'
		ELSE 'ok' END;
END;

COMMENT ON FUNCTION pgmaint_internal.judge(text, interval) IS
	'status of a duration by the thresholds of a check: critical, warning or ok';

CREATE FUNCTION pgmaint_internal.expectation(check_id text, words text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce(
		(SELECT format(expectation.words, CASE t.kind WHEN 'bytes' THEN pg_size_pretty(t.value::numeric) ELSE t.value END)
		FROM pgmaint.thresholds t
		WHERE t.check_id = expectation.check_id AND t.value IS NOT NULL
		ORDER BY t.threshold DESC
		LIMIT 1),
		'no threshold is set');
END;

COMMENT ON FUNCTION pgmaint_internal.expectation(text, text) IS
	'what a check expects: words with its first threshold inserted';

REVOKE ALL ON pgmaint.thresholds FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint_internal.restore_threshold(),
	pgmaint_internal.threshold(text, text),
	pgmaint_internal.judge(text, numeric),
	pgmaint_internal.judge(text, interval),
	pgmaint_internal.expectation(text, text)
FROM PUBLIC;
GRANT SELECT ON pgmaint.thresholds TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.threshold(text, text),
	pgmaint_internal.judge(text, numeric),
	pgmaint_internal.judge(text, interval),
	pgmaint_internal.expectation(text, text)
TO pg_monitor;
