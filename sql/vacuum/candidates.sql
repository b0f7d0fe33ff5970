-- Tables that need VACUUM or ANALYZE, and the reason.
--
-- These functions read catalogs, statistics of every table and pgmaint's own
-- measurements; they change nothing, and call no functions that users define.

CREATE FUNCTION pgmaint_internal.may_maintain(relation oid, role oid)
RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgmaint_may_maintain';

COMMENT ON FUNCTION pgmaint_internal.may_maintain(oid, oid) IS
	'whether the role may VACUUM and ANALYZE the relation: owner, database owner and superuser, from PostgreSQL 17 on also roles with MAINTAIN; all but superusers need USAGE on its schema';

CREATE FUNCTION pgmaint_internal.file_size(filenode oid, tablespace oid, pages integer)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_file_size';

COMMENT ON FUNCTION pgmaint_internal.file_size(oid, oid, integer) IS
	'bytes in the main fork of a relation, by relfilenode, reltablespace and relpages of pg_class; takes no lock';

CREATE FUNCTION pgmaint_internal.free_bytes_of_tablespace(tablespace oid)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_free_bytes_of_tablespace';

COMMENT ON FUNCTION pgmaint_internal.free_bytes_of_tablespace(oid) IS
	'bytes that the server may still write to the file system of a tablespace, by reltablespace of pg_class';

CREATE FUNCTION pgmaint_internal.used_bytes_of_tablespace(tablespace oid)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_used_bytes_of_tablespace';

COMMENT ON FUNCTION pgmaint_internal.used_bytes_of_tablespace(oid) IS
	'bytes in use in the file system of a tablespace, including files that are not the servers, by reltablespace of pg_class';

-- Every table and materialized view except temporary ones, with the server's
-- figures of it.  A TOAST table is part of its owner.
CREATE FUNCTION pgmaint_internal.table_states(for_role oid)
RETURNS TABLE (
	relation oid,
	kind "char",
	name text,
	schema name,
	toast oid,
	may_maintain boolean,
	estimated_rows double precision,
	live_rows bigint,
	dead_rows bigint,
	toast_live_rows bigint,
	toast_dead_rows bigint,
	inserted_rows bigint,
	modified_rows bigint,
	xid_age bigint,
	multixact_age bigint,
	wraparound_ratio double precision,
	last_vacuum timestamptz,
	last_analyze timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 200 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT
		c.oid,
		c.relkind,
		format('%I.%I', n.nspname, c.relname),
		n.nspname,
		c.reltoastrelid,
		pgmaint_internal.may_maintain(c.oid, for_role),
		c.reltuples::double precision,
		pg_stat_get_live_tuples(c.oid),
		pg_stat_get_dead_tuples(c.oid),
		coalesce(pg_stat_get_live_tuples(nullif(c.reltoastrelid, 0)), 0),
		coalesce(pg_stat_get_dead_tuples(nullif(c.reltoastrelid, 0)), 0),
		pg_stat_get_ins_since_vacuum(c.oid),
		pg_stat_get_mod_since_analyze(c.oid),
		a.xid_age,
		a.multixact_age,
		greatest(
			a.xid_age / least(current_setting('autovacuum_freeze_max_age')::double precision,
				(SELECT o.option_value::double precision FROM pg_options_to_table(c.reloptions) o
				WHERE o.option_name = 'autovacuum_freeze_max_age')),
			a.multixact_age / least(current_setting('autovacuum_multixact_freeze_max_age')::double precision,
				(SELECT o.option_value::double precision FROM pg_options_to_table(c.reloptions) o
				WHERE o.option_name = 'autovacuum_multixact_freeze_max_age'))),
		greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)),
		greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid))
	FROM pg_class c
	JOIN pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
	CROSS JOIN LATERAL (
		SELECT
			CASE WHEN c.relkind = 'p' THEN 0
				ELSE greatest(age(nullif(c.relfrozenxid, '0')), age(nullif(t.relfrozenxid, '0')), 0) END::bigint AS xid_age,
			CASE WHEN c.relkind = 'p' THEN 0
				ELSE greatest(mxid_age(nullif(c.relminmxid, '0')), mxid_age(nullif(t.relminmxid, '0')), 0) END::bigint AS multixact_age
	) a
	WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't';
END;

COMMENT ON FUNCTION pgmaint_internal.table_states(oid) IS
	'every table and materialized view with its row counts, ages and last maintenance';

-- The counters are gone after a crash, pg_stat_reset(), a restore or an upgrade:
-- zero dead or changed rows mean nothing then.  Small catalogs that were never
-- vacuumed are as initdb made them.
CREATE FUNCTION pgmaint_internal.counters_are_lost(
	schema name,
	estimated_rows double precision,
	live_rows bigint,
	dead_rows bigint,
	inserted_rows bigint,
	last_vacuum timestamptz,
	last_analyze timestamptz
)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT last_vacuum IS NULL AND last_analyze IS NULL
		AND (live_rows + dead_rows < estimated_rows / 2 OR live_rows + dead_rows + inserted_rows = 0)
		AND (schema NOT IN ('pg_catalog', 'information_schema', 'pgmaint', 'pgmaint_internal') OR estimated_rows >= 10000);
END;

COMMENT ON FUNCTION pgmaint_internal.counters_are_lost(name, double precision, bigint, bigint, bigint, timestamptz, timestamptz) IS
	'whether the server''s counters cover fewer rows of a table than the catalog estimates, and no VACUUM or ANALYZE is recorded';

CREATE FUNCTION pgmaint.stale_statistics(
	min_modified_rows bigint DEFAULT 100,
	min_modified_ratio double precision DEFAULT 0.05,
	everything boolean DEFAULT false,
	for_role oid DEFAULT pg_catalog.to_regrole(pg_catalog.quote_ident(CURRENT_USER))::oid
)
RETURNS TABLE (
	relation regclass,
	reason text,
	estimated_rows bigint,
	modified_rows bigint,
	last_analyze timestamptz,
	may_maintain boolean
)
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 20 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH RECURSIVE states AS MATERIALIZED (
		SELECT s.*, greatest(s.estimated_rows, s.live_rows, 0) AS known_rows
		FROM pgmaint_internal.table_states(for_role) s
	),
	-- after a crash, a reset of statistics or an upgrade the counters and times
	-- are gone, but the file is there
	filled AS (
		SELECT s.*, s.known_rows > 0 OR s.estimated_rows < 0 AND EXISTS (
			SELECT FROM pg_class c
			WHERE c.oid = s.relation
				AND pgmaint_internal.file_size(c.relfilenode, c.reltablespace, c.relpages) > 0) AS has_rows
		FROM states s
		WHERE s.kind IN ('r', 'm')
	),
	-- a table that was never analyzed has no rows in pg_statistic; the server's
	-- counters alone do not tell, because a crash clears them
	tables AS (
		SELECT
			s.relation,
			s.known_rows,
			s.modified_rows,
			s.last_analyze,
			s.may_maintain,
			s.last_analyze IS NULL
				-- pgmaint's own ledger changes with every run
				AND (s.schema NOT IN ('pgmaint', 'pgmaint_internal') OR s.known_rows >= 10000)
				AND NOT EXISTS (SELECT FROM pg_statistic p WHERE p.starelid = s.relation AND NOT p.stainherit)
				AND s.has_rows AS never,
			s.known_rows >= min_modified_rows AND pgmaint_internal.counters_are_lost(s.schema, s.estimated_rows, s.live_rows, s.dead_rows, s.inserted_rows, s.last_vacuum, s.last_analyze) AS unknown,
			s.modified_rows >= CASE WHEN s.schema IN ('pgmaint', 'pgmaint_internal') THEN greatest(10000, min_modified_rows)
					ELSE min_modified_rows END
				AND s.modified_rows >= min_modified_ratio * s.known_rows AS stale
		FROM filled s
		WHERE s.relation <> 'pg_catalog.pg_statistic'::regclass
	),
	-- read from pg_inherits, because pg_partition_tree() would lock all partitions
	members AS (
		SELECT s.relation AS root, i.inhrelid AS member
		FROM states s
		JOIN pg_inherits i ON i.inhparent = s.relation
		WHERE s.kind = 'p'
		UNION ALL
		SELECT m.root, i.inhrelid
		FROM members m
		JOIN pg_inherits i ON i.inhparent = m.member
	),
	sums AS (
		SELECT
			p.relation,
			sum(x.known_rows) AS known_rows,
			sum(x.modified_rows)::bigint AS modified_rows,
			bool_or(x.has_rows) AS has_rows,
			coalesce(sum(x.known_rows) FILTER (
				WHERE x.last_analyze > p.last_analyze + interval '1 hour'), 0) AS renewed_rows
		FROM members m
		JOIN states p ON p.relation = m.root
		JOIN filled x ON x.relation = m.member AND x.kind = 'r'
		GROUP BY p.relation
	),
	-- autovacuum never analyzes a parent: changes to its partitions since the
	-- parent's own last ANALYZE have to be added up
	parents AS (
		SELECT
			s.relation,
			l.known_rows,
			l.modified_rows + abs(l.known_rows - greatest(s.estimated_rows, 0))::bigint
				+ (0.1 * l.renewed_rows)::bigint AS modified_rows,
			s.last_analyze,
			s.may_maintain,
			l.has_rows
				AND NOT EXISTS (SELECT FROM pg_statistic p WHERE p.starelid = s.relation AND p.stainherit) AS never,
			s.last_analyze IS NULL AND l.known_rows >= min_modified_rows AS unknown
		FROM states s
		JOIN sums l ON l.relation = s.relation
	),
	judged AS (
		SELECT t.*, false AS parent FROM tables t
		UNION ALL
		SELECT p.*, p.modified_rows >= min_modified_rows
			AND p.modified_rows >= min_modified_ratio * p.known_rows, true FROM parents p
	)
	SELECT
		j.relation::regclass,
		CASE
			WHEN j.never AND j.parent THEN 'the partitioned table as a whole has no statistics'
			WHEN j.never THEN 'the table has no statistics'
			WHEN j.stale THEN format('statistics are stale: %s rows changed since the last ANALYZE, of %s',
				pgmaint.count_text(j.modified_rows),
				pgmaint.count_text(j.known_rows::bigint))
			WHEN j.unknown THEN 'number of changed rows is unknown: the server''s counters do not cover all rows of the table'
			ELSE 'not due; all tables were requested'
		END,
		j.known_rows::bigint,
		j.modified_rows,
		j.last_analyze,
		j.may_maintain
	FROM judged j
	WHERE j.never OR j.stale OR j.unknown OR everything
	ORDER BY j.never DESC, j.modified_rows / greatest(j.known_rows, 1) DESC, j.relation;
END;

COMMENT ON FUNCTION pgmaint.stale_statistics(bigint, double precision, boolean, oid) IS
	'Lists tables whose planner statistics are missing or stale, most urgent first, with the reason. '
	'Statistics are stale when at least min_modified_rows rows, and at least the share min_modified_ratio of all rows (0.05 is 5 %), changed since the last ANALYZE, or when the server lost its counters of changed rows. '
	'With everything => true, all tables are listed. for_role is the role that would do the work, by default the caller. '
	'estimated_rows and modified_rows are numbers of rows; last_analyze is null for tables without a recorded ANALYZE; may_maintain tells whether for_role may ANALYZE the table.';

-- The server's own scores, from 19 on: a TOAST table has a row of its own.
CREATE FUNCTION pgmaint_internal.autovacuum_scores()
RETURNS TABLE (
	relation oid,
	score double precision,
	xid_score double precision,
	multixact_score double precision,
	vacuum_score double precision,
	insert_score double precision,
	analyze_score double precision,
	vacuum_due boolean,
	analyze_due boolean,
	forced boolean
)
LANGUAGE c STABLE ROWS 200 COST 10000
AS 'MODULE_PATHNAME', 'pgmaint_autovacuum_scores';

COMMENT ON FUNCTION pgmaint_internal.autovacuum_scores() IS
	'score of each table for autovacuum, which is due from 1 on, and whether it is due (pg_stat_autovacuum_scores); no rows before PostgreSQL 19';

CREATE FUNCTION pgmaint.vacuum_candidates(
	min_dead_rows bigint DEFAULT 1000,
	min_dead_ratio double precision DEFAULT 0.05,
	min_inserted_ratio double precision DEFAULT 0.2,
	min_wraparound_ratio double precision DEFAULT 0.7,
	everything boolean DEFAULT false,
	for_role oid DEFAULT pg_catalog.to_regrole(pg_catalog.quote_ident(CURRENT_USER))::oid
)
RETURNS TABLE (
	relation regclass,
	reason text,
	size text,
	dead_rows bigint,
	dead_ratio double precision,
	inserted_rows bigint,
	xid_age bigint,
	multixact_age bigint,
	wraparound_ratio double precision,
	last_vacuum timestamptz,
	total_bytes bigint,
	causes text[],
	may_maintain boolean,
	autovacuum_score double precision
)
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 20 COST 10000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH scores AS MATERIALIZED (
		SELECT a.relation, greatest(a.xid_score, a.multixact_score, a.vacuum_score, a.insert_score) AS score, a.forced
		FROM pgmaint_internal.autovacuum_scores() a
	),
	judged AS (
		SELECT
			s.*,
			s.forced OR s.wraparound_ratio >= min_wraparound_ratio AS wraparound_due,
			s.dead_rows >= min_dead_rows
				AND s.dead_rows >= min_dead_ratio * s.all_rows AS dead_due,
			s.toast_dead_rows >= min_dead_rows
				AND s.toast_dead_rows >= min_dead_ratio * (s.toast_dead_rows + s.toast_live_rows) AS toast_due,
			-- 18 and later know how much is frozen already, which no VACUUM need read
			s.inserted_rows >= CASE WHEN s.schema IN ('pgmaint', 'pgmaint_internal') THEN 10000 ELSE 1000 END
				AND s.inserted_rows >= min_inserted_ratio * greatest(s.estimated_rows, 0) * CASE
					WHEN s.inserted_rows < 1000 THEN 1
					ELSE (
						SELECT greatest(1 - coalesce((to_jsonb(f) ->> 'relallfrozen')::double precision / nullif(f.relpages, 0), 0), 0)
						FROM pg_class f
						WHERE f.oid = s.relation)
					END AS inserts_due,
			-- a crash loses the server's counters, but not the rows in the pages
			(
				SELECT m.dead_bytes
				FROM pgmaint_internal.bloat_measurements m
				WHERE m.relation = s.relation
					AND m.measured_at > greatest(s.last_vacuum, clock_timestamp() - interval '1 day')
					AND m.dead_bytes >= greatest(1048576, min_dead_ratio * m.total_bytes)
				ORDER BY m.measured_at DESC
				LIMIT 1
			) AS sampled_dead_bytes,
			-- larger tables are sampled by bloat_report, and counted by ANALYZE; a
			-- page has no more than 291 rows
			pgmaint_internal.counters_are_lost(s.schema, s.estimated_rows, s.live_rows, s.dead_rows, s.inserted_rows, s.last_vacuum, s.last_analyze) AND (
				SELECT pgmaint_internal.file_size(f.relfilenode, f.reltablespace, f.relpages) BETWEEN min_dead_rows * 28 AND 67108864
				FROM pg_class f
				WHERE f.oid = s.relation) AS unknown_due
		FROM (
			-- dead ones too; the counters may be younger than the table, the
			-- catalog's estimate may be older than the last changes
			SELECT t.*, greatest(t.estimated_rows, t.live_rows + t.dead_rows, 1) AS all_rows,
				greatest(a.score, x.score) AS autovacuum_score,
				-- the server also knows the TOAST table's own settings, and when
				-- members of multixacts run short
				coalesce(a.forced, false) OR coalesce(x.forced, false) AS forced
			FROM pgmaint_internal.table_states(for_role) t
			LEFT JOIN scores a ON a.relation = t.relation
			LEFT JOIN scores x ON x.relation = t.toast
			WHERE t.kind IN ('r', 'm')
		) s
	)
	SELECT
		j.relation::regclass,
		coalesce(nullif(concat_ws('; ',
			CASE WHEN j.wraparound_due THEN format(
				'wraparound: transaction ID age %s, multixact age %s, %s',
				pgmaint.count_text(j.xid_age), pgmaint.count_text(j.multixact_age),
				CASE WHEN j.forced THEN 'autovacuum forces a VACUUM'
					ELSE format('%s %% of the way to a forced vacuum', round((j.wraparound_ratio * 100)::numeric)) END) END,
			CASE WHEN j.dead_due THEN format('dead rows: %s, %s %% of the table',
				pgmaint.count_text(j.dead_rows),
				round((100 * j.dead_rows / j.all_rows)::numeric, 1)) END,
			CASE WHEN j.toast_due THEN format('dead rows in the TOAST table: %s',
				pgmaint.count_text(j.toast_dead_rows)) END,
			CASE WHEN j.sampled_dead_bytes IS NOT NULL AND NOT j.dead_due THEN format(
				'dead rows: %s in sampled pages', pg_size_pretty(j.sampled_dead_bytes)) END,
			CASE WHEN j.inserts_due THEN format('inserts without freeze: %s rows since the last VACUUM',
				pgmaint.count_text(j.inserted_rows)) END,
			CASE WHEN j.unknown_due THEN 'number of dead rows is unknown: the server''s counters do not cover all rows of the table' END), ''),
			'not due; all tables were requested'),
		pg_size_pretty(b.total_bytes),
		j.dead_rows,
		j.dead_rows / j.all_rows,
		j.inserted_rows,
		j.xid_age,
		j.multixact_age,
		j.wraparound_ratio,
		j.last_vacuum,
		b.total_bytes,
		array_remove(ARRAY[
			CASE WHEN j.wraparound_due THEN 'wraparound' END,
			CASE WHEN j.dead_due OR j.sampled_dead_bytes IS NOT NULL THEN 'dead rows' END,
			CASE WHEN j.toast_due THEN 'dead rows in TOAST' END,
			CASE WHEN j.inserts_due THEN 'inserts' END,
			CASE WHEN j.unknown_due THEN 'unknown' END], NULL),
		j.may_maintain,
		j.autovacuum_score
	FROM judged j
	JOIN pg_class c ON c.oid = j.relation
	LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
	CROSS JOIN LATERAL (
		SELECT pgmaint_internal.file_size(c.relfilenode, c.reltablespace, c.relpages)
			+ coalesce(pgmaint_internal.file_size(t.relfilenode, t.reltablespace, t.relpages), 0) AS total_bytes
	) b
	WHERE everything OR j.wraparound_due OR j.dead_due OR j.toast_due OR j.inserts_due
		OR j.sampled_dead_bytes IS NOT NULL OR j.unknown_due
	ORDER BY j.forced DESC, coalesce(j.wraparound_due, false) DESC,
		CASE WHEN j.wraparound_due THEN j.wraparound_ratio END DESC,
		j.last_vacuum NULLS FIRST, j.autovacuum_score DESC NULLS LAST, j.dead_rows DESC, j.relation;
END;

COMMENT ON FUNCTION pgmaint.vacuum_candidates(bigint, double precision, double precision, double precision, boolean, oid) IS
	'Lists tables that are due for VACUUM, most urgent first, with the reason. '
	'A table is due when it has at least min_dead_rows dead rows that make up at least the share min_dead_ratio of its rows, by the server''s counters or in sampled blocks; '
	'when at least the share min_inserted_ratio of its rows was inserted since the last VACUUM; when its transaction ID or multixact age reaches the share min_wraparound_ratio of autovacuum_freeze_max_age; or, up to 64 MB, when the server lost its counters. '
	'With everything => true, all tables are listed. for_role is the role that would do the work, by default the caller. '
	'size is for people, total_bytes in bytes, both with the TOAST table; xid_age and multixact_age count transactions and multixacts; wraparound_ratio is the share of the way to a forced VACUUM; causes names the reasons for machines; may_maintain tells whether for_role may VACUUM the table. '
	'autovacuum_score, null before PostgreSQL 19, is how urgent VACUUM of the table or its TOAST table is to autovacuum, which is due from 1 on; it orders tables that were never vacuumed, and tables that autovacuum would vacuum by force against wraparound come first.';

-- Holders of old snapshots, which keep dead rows from being removed.
CREATE FUNCTION pgmaint.xmin_holders()
RETURNS TABLE (
	kind text,
	holder text,
	xmin_age bigint,
	since timestamptz,
	database name,
	pid integer,
	catalogs_only boolean
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 2 COST 1000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT h.kind, h.holder, h.xmin_age, h.since, h.database, h.pid, h.catalogs_only
	FROM (
		SELECT
			CASE WHEN a.backend_type = 'walsender' THEN 'standby' ELSE 'session' END AS kind,
			CASE WHEN a.backend_type = 'walsender'
				THEN format('standby "%s" through hot_standby_feedback', a.application_name)
				ELSE concat('process ', a.pid, ' of role ' || quote_ident(a.usename),
					' (' || nullif(a.application_name, '') || ')', ', ',
					CASE WHEN a.usename IS NULL THEN a.backend_type ELSE coalesce(a.state, a.backend_type) END)
			END AS holder,
			greatest(age(a.backend_xmin), age(a.backend_xid))::bigint AS xmin_age,
			a.xact_start AS since,
			a.datname AS database,
			a.pid,
			false AS catalogs_only
		FROM pg_stat_activity a
		WHERE (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
			AND a.pid <> pg_backend_pid()
			AND (a.backend_type = 'walsender' OR a.datname = current_database())
			-- VACUUM's own snapshots hold nothing back
			AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
		UNION ALL
		SELECT 'prepared transaction', format('prepared transaction "%s" of role %s', p.gid, coalesce(quote_ident(p.owner), 'unknown')),
			age(p.transaction)::bigint, p.prepared, p.database, NULL, false
		FROM pg_prepared_xacts p
		WHERE p.database = current_database()
		UNION ALL
		SELECT 'replication slot',
			format('replication slot "%s"%s', r.slot_name, CASE WHEN r.active THEN '' ELSE ', not in use' END),
			age(x.xmin)::bigint, NULL, r.database, r.active_pid, x.catalogs_only
		FROM pg_replication_slots r
		-- logical decoding keeps old rows of the catalogs, and of nothing else
		CROSS JOIN LATERAL (VALUES (r.xmin, false), (r.catalog_xmin, true)) AS x (xmin, catalogs_only)
		WHERE x.xmin IS NOT NULL
	) h
	ORDER BY h.xmin_age DESC NULLS LAST, h.since NULLS LAST;
END;

COMMENT ON FUNCTION pgmaint.xmin_holders() IS
	'Lists the sessions, prepared transactions, replication slots and standbys that keep VACUUM from removing dead rows of this database, oldest first. '
	'kind is session, prepared transaction, replication slot or standby; holder names the holder with its role and state; xmin_age is the age of its oldest snapshot in transactions, and since when its transaction began, null where that is not known. '
	'catalogs_only is true where only dead rows of the system catalogs are kept, as logical replication slots do. '
	'Sessions of all roles are shown.';

REVOKE ALL ON FUNCTION
	pgmaint_internal.may_maintain(oid, oid),
	pgmaint_internal.file_size(oid, oid, integer),
	pgmaint_internal.free_bytes_of_tablespace(oid),
	pgmaint_internal.used_bytes_of_tablespace(oid),
	pgmaint_internal.table_states(oid),
	pgmaint_internal.counters_are_lost(name, double precision, bigint, bigint, bigint, timestamptz, timestamptz),
	pgmaint.stale_statistics(bigint, double precision, boolean, oid),
	pgmaint_internal.autovacuum_scores(),
	pgmaint.vacuum_candidates(bigint, double precision, double precision, double precision, boolean, oid),
	pgmaint.xmin_holders()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.file_size(oid, oid, integer),
	pgmaint_internal.may_maintain(oid, oid),
	pgmaint_internal.table_states(oid),
	pgmaint_internal.counters_are_lost(name, double precision, bigint, bigint, bigint, timestamptz, timestamptz),
	pgmaint.stale_statistics(bigint, double precision, boolean, oid),
	pgmaint_internal.autovacuum_scores(),
	pgmaint.vacuum_candidates(bigint, double precision, double precision, double precision, boolean, oid),
	pgmaint.xmin_holders()
TO pg_monitor;
