-- Which backups expire, and functions that read backups from a storage.

CREATE FUNCTION pgmaint_internal.backup_series(kind text, database name, selection jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN backup_series.kind = 'globals' THEN 'roles and tablespaces' ELSE 'database ' || quote_ident(backup_series.database::text) END
		|| coalesce(', selection ' || backup_series.selection::text, '');
END;

COMMENT ON FUNCTION pgmaint_internal.backup_series(text, name, jsonb) IS
	'Returns the name of the series that a backup belongs to. Backups of the same kind, database and selection are a series: the rules of expire_backups apply to each series.';

-- The clock may be wrong: days are counted back from the newest backup, and a
-- series whose newest backup lies in the future keeps all its backups.
CREATE FUNCTION pgmaint.backup_expiry(
	storage text DEFAULT NULL,
	databases text[] DEFAULT NULL,
	keep integer DEFAULT NULL,
	keep_days integer DEFAULT NULL,
	keep_monthly integer DEFAULT NULL,
	keep_yearly integer DEFAULT NULL,
	minimum integer DEFAULT 2)
RETURNS TABLE (
	backup_id bigint,
	storage name,
	key text,
	database name,
	started_at timestamptz,
	expires boolean,
	reason text,
	held_back text,
	bytes bigint,
	series text
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 100 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH rules AS MATERIALIZED (
		SELECT
			greatest(r.keep, r.minimum) AS newest,
			backup_expiry.keep_days AS days,
			backup_expiry.keep_monthly AS months,
			backup_expiry.keep_yearly AS years,
			r.minimum
		FROM (
			SELECT
				CASE WHEN coalesce(backup_expiry.keep, backup_expiry.keep_days, backup_expiry.keep_monthly, backup_expiry.keep_yearly) IS NULL
					THEN 30 ELSE backup_expiry.keep END AS keep,
				greatest(coalesce(backup_expiry.minimum, 2), 1) AS minimum
		) r
	),
	attempts AS MATERIALIZED (
		SELECT
			b.*,
			b.started_at AT TIME ZONE 'UTC' AS at,
			dense_rank() OVER (ORDER BY b.storage, b.kind, b.database, b.selection) AS series,
			pgmaint_internal.backup_series(b.kind, b.database, b.selection) AS series_name,
			b.state = 'running' AND t.state IS NOT DISTINCT FROM 'running' AS under_way,
			b.verification IS NOT DISTINCT FROM 'not restorable' AS bad,
			max(b.started_at) OVER (PARTITION BY b.storage, b.kind, b.database, b.selection) AS newest_of_series
		FROM pgmaint_internal.backup_records b
		LEFT JOIN pgmaint.tasks t ON t.task_id = b.task_id
		WHERE b.identity IN (SELECT o.identity FROM pgmaint_internal.own_identities o)
	),
	-- a database that may be a copy removes nothing
	doubt AS MATERIALIZED (
		SELECT pgmaint_internal.doubt_message(c.doubt) AS reason
		FROM pgmaint_internal.own_identities c
		WHERE c.state = 'current' AND c.identity NOT IN (SELECT r.identity FROM pgmaint_internal.removable_identities r)
	),
	latest AS (
		SELECT DISTINCT ON (a.series)
			a.series,
			CASE
				WHEN a.newest_of_series > clock_timestamp() THEN format(
					'the clock shows %s, but the newest backup began at %s',
					pgmaint_internal.utc_text(clock_timestamp()), pgmaint_internal.utc_text(a.newest_of_series))
				WHEN a.state = 'failed' THEN format('the latest attempt, at %s, failed%s',
					pgmaint_internal.utc_text(a.started_at), coalesce(': ' || a.error, ''))
				WHEN a.state = 'running' THEN format('the latest attempt, at %s, was interrupted',
					pgmaint_internal.utc_text(a.started_at))
			END AS held_back
		FROM attempts a
		WHERE NOT a.under_way
		ORDER BY a.series, a.started_at DESC, a.backup_id DESC
	),
	counted AS (
		SELECT
			a.*,
			row_number() OVER newest_first AS nth,
			first_value(a.started_at) OVER newest_first AS newest,
			row_number() OVER (PARTITION BY a.series, a.bad ORDER BY a.started_at DESC, a.backup_id DESC) AS nth_of_its_kind,
			dense_rank() OVER (PARTITION BY a.series ORDER BY date_trunc('month', a.at) DESC) AS month,
			dense_rank() OVER (PARTITION BY a.series ORDER BY date_trunc('year', a.at) DESC) AS year,
			-- a backup that is not restorable represents a month only where there is no other
			row_number() OVER (PARTITION BY a.series, date_trunc('month', a.at) ORDER BY a.bad, a.started_at DESC, a.backup_id DESC) AS nth_of_month,
			row_number() OVER (PARTITION BY a.series, date_trunc('year', a.at) ORDER BY a.bad, a.started_at DESC, a.backup_id DESC) AS nth_of_year,
			first_value(CASE WHEN v.verified THEN a.backup_id END) OVER verified_first AS newest_verified,
			first_value(CASE WHEN v.verified THEN a.at END) OVER verified_first AS newest_verified_at
		FROM attempts a
		CROSS JOIN LATERAL (
			SELECT a.verified_at IS NOT NULL AND coalesce(a.verification, '') IN ('restorable', 'intact') AS verified
		) v
		WHERE a.state = 'succeeded'
		WINDOW
			newest_first AS (PARTITION BY a.series ORDER BY a.started_at DESC, a.backup_id DESC),
			verified_first AS (PARTITION BY a.series ORDER BY v.verified DESC, a.started_at DESC, a.backup_id DESC)
	),
	judged AS (
		SELECT
			c.*,
			concat_ws(', ',
				CASE WHEN c.nth <= r.newest THEN CASE WHEN r.newest = 1 THEN 'the newest' ELSE format('one of the %s newest', r.newest) END END,
				CASE WHEN c.started_at >= c.newest - make_interval(hours => 24 * r.days) THEN CASE WHEN r.days = 1 THEN 'of the last day' ELSE format('of the last %s days', r.days) END END,
				CASE WHEN c.month <= r.months AND c.nth_of_month = 1 THEN 'the newest of ' || to_char(c.at, 'YYYY-MM') END,
				CASE WHEN c.year <= r.years AND c.nth_of_year = 1 THEN 'the newest of ' || to_char(c.at, 'YYYY') END,
				CASE WHEN c.backup_id = c.newest_verified THEN 'the newest verified one' END,
				CASE WHEN NOT c.bad AND c.nth_of_its_kind <= r.minimum AND c.nth > r.newest
					THEN format('one of the %s newest without a failed verification', r.minimum) END) AS kept,
			format('%s newest backup of %s; %s are kept%s',
				c.nth || CASE
					WHEN c.nth % 100 BETWEEN 11 AND 13 THEN 'th'
					WHEN c.nth % 10 = 1 THEN 'st'
					WHEN c.nth % 10 = 2 THEN 'nd'
					WHEN c.nth % 10 = 3 THEN 'rd'
					ELSE 'th' END,
				c.series_name,
				concat_ws(', ',
					CASE WHEN r.newest = 1 THEN 'the newest one' ELSE format('the %s newest', r.newest) END,
					CASE WHEN r.days = 1 THEN 'those of the last day' ELSE 'those of the last ' || r.days || ' days' END,
					CASE WHEN r.months = 1 THEN 'the newest of the last month' ELSE 'the newest of each of the last ' || r.months || ' months' END,
					CASE WHEN r.years = 1 THEN 'the newest of the last year' ELSE 'the newest of each of the last ' || r.years || ' years' END),
				coalesce(to_char(c.newest_verified_at, '", the newest verified one is of" YYYY-MM-DD'), ', none was verified')) AS why
		FROM counted c
		CROSS JOIN rules r
	)
	SELECT
		a.backup_id,
		a.storage,
		a.key,
		a.database,
		a.started_at,
		coalesce(j.kept = '', true),
		CASE WHEN a.state = 'expiring' THEN 'an earlier removal was interrupted' ELSE coalesce(nullif(j.kept, ''), j.why) END,
		CASE WHEN coalesce(j.kept = '', true) THEN coalesce((SELECT d.reason FROM doubt d), l.held_back) END,
		a.bytes,
		a.series_name
	FROM attempts a
	LEFT JOIN latest l ON l.series = a.series
	LEFT JOIN judged j ON j.backup_id = a.backup_id
	WHERE a.state IN ('succeeded', 'expiring')
		AND (backup_expiry.storage IS NULL OR a.storage = backup_expiry.storage)
		AND (backup_expiry.databases IS NULL OR a.database::text = ANY (backup_expiry.databases))
	UNION ALL
	SELECT
		b.backup_id,
		b.storage,
		b.key,
		b.database,
		b.started_at,
		false,
		format('made by another database with identity %s', coalesce(b.identity, 'unknown')),
		NULL,
		b.bytes,
		pgmaint_internal.backup_series(b.kind, b.database, b.selection)
	FROM pgmaint_internal.backup_records b
	WHERE b.state IN ('succeeded', 'expiring')
		AND NOT EXISTS (SELECT FROM pgmaint_internal.own_identities o WHERE o.identity = b.identity)
		AND (backup_expiry.storage IS NULL OR b.storage = backup_expiry.storage)
		AND (backup_expiry.databases IS NULL OR b.database::text = ANY (backup_expiry.databases))
	ORDER BY 2, 10, 5 DESC, 1 DESC;
END;

COMMENT ON FUNCTION pgmaint.backup_expiry(text, text[], integer, integer, integer, integer, integer) IS
	'Shows which backups the action expire_backups would remove with these options, and removes none. '
	'storage and databases limit the rows (null: all). keep, keep_days, keep_monthly, keep_yearly and minimum are the options of the action; if the first four are null, keep is 30. '
	'Returns a row for each backup that has succeeded or is being removed: expires says whether no rule keeps it, reason why, and held_back why a backup that expires is kept for now (null: it is not). '
	'bytes is the size of the object in bytes. series names the kind, database and selection to which the rules apply. Backups that another database made never expire.';

CREATE FUNCTION pgmaint.list_backups(
	storage text,
	OUT backup_id bigint,
	OUT run_id bigint,
	OUT storage name,
	OUT key text,
	OUT database name,
	OUT state text,
	OUT bytes bigint,
	OUT sha256 text,
	OUT started_at timestamptz,
	OUT finished_at timestamptz,
	OUT verified_at timestamptz,
	OUT restore_duration interval,
	OUT size text,
	OUT duration interval,
	OUT database_size text,
	OUT server_version text,
	OUT verification text,
	OUT kind text,
	OUT selection jsonb,
	OUT error text,
	OUT own boolean,
	OUT identity text,
	OUT restore_settings text
) RETURNS SETOF record
LANGUAGE c VOLATILE ROWS 100 COST 1000000
AS 'MODULE_PATHNAME', 'pgmaint_list_backups';

COMMENT ON FUNCTION pgmaint.list_backups(text) IS
	'Lists the backups in a storage, newest first, as their manifests describe them. The objects themselves are not read: the action verify_backup does that. '
	'Returns the columns of pgmaint.backups as far as manifests contain them. backup_id is null for a backup that is not in the ledger. own says whether this database, or one that it has taken over, made the backup. '
	'state is succeeded, or damaged with the reason in error: the object is missing or has another size than its manifest says, or the manifest cannot be read. bytes is the size of the object in bytes. '
	'Raises an error for an unknown storage and if the storage cannot be read. Requires USAGE on the storage.';

CREATE FUNCTION pgmaint.adopt_backups(storage text, database name DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_adopt_backups';

COMMENT ON FUNCTION pgmaint.adopt_backups(text, name) IS
	'Adds undamaged backups that are in a storage, but not in the ledger, to the ledger, and returns the number of added backups. '
	'database limits this to the backups of one database (null: backups of all databases, and of roles and tablespaces). Adopted backups can be verified and restored by number; those that this database made also expire. '
	'Raises an error on a standby, in a read-only transaction and for an unknown storage. Requires USAGE on the storage.';

REVOKE ALL ON FUNCTION
	pgmaint_internal.backup_series(text, name, jsonb),
	pgmaint.backup_expiry(text, text[], integer, integer, integer, integer, integer),
	pgmaint.list_backups(text),
	pgmaint.adopt_backups(text, name)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.backup_series(text, name, jsonb),
	pgmaint.backup_expiry(text, text[], integer, integer, integer, integer, integer)
TO pg_monitor;
