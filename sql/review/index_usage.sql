-- Unused, duplicate, redundant and invalid indexes, and foreign keys without an
-- index.

CREATE TABLE pgmaint_internal.index_scans (
	"index" oid PRIMARY KEY,
	scans bigint NOT NULL,
	since timestamptz NOT NULL,
	looked_at timestamptz NOT NULL,
	system_identifier bigint NOT NULL,
	timeline integer NOT NULL,
	counted_since timestamptz
);

COMMENT ON TABLE pgmaint_internal.index_scans IS 'scan counter of each index at the last run of the action index_usage, and since when it has that value';
COMMENT ON COLUMN pgmaint_internal.index_scans.scans IS 'the server''s counter of scans';
COMMENT ON COLUMN pgmaint_internal.index_scans.looked_at IS 'when the action read the counter';
COMMENT ON COLUMN pgmaint_internal.index_scans.timeline IS 'timeline of the cluster that counts';
COMMENT ON COLUMN pgmaint_internal.index_scans.since IS 'since when the counter has this value, as far as the server tells; else when the action first read this value';
COMMENT ON COLUMN pgmaint_internal.index_scans.system_identifier IS 'identifies, with timeline, the cluster that counts; a restored copy or a promoted standby differs';
COMMENT ON COLUMN pgmaint_internal.index_scans.counted_since IS 'when the counters of this index (19 and later), of this database (before) or of the server were last reset; a crash resets them';

-- The present counters, and what identifies the period that they cover.
--
-- From 19 on each index has the time when its counters were reset, which a reset
-- for the whole database sets too; there, the database's time is that of any
-- relation.  A crash sets only the server's time.
CREATE VIEW pgmaint_internal.index_counters AS
SELECT
	s.indexrelid AS "index",
	s.idx_scan AS scans,
	y.system_identifier,
	p.timeline_id AS timeline,
	greatest(CASE WHEN j.counters ? 'stats_reset' THEN j.own_reset ELSE d.stats_reset END, b.stats_reset) AS counted_since,
	greatest((j.counters ->> 'last_idx_scan')::pg_catalog.timestamptz, j.own_reset) AS idle_since
FROM pg_catalog.pg_stat_user_indexes s
CROSS JOIN LATERAL (
	SELECT c.counters, (c.counters ->> 'stats_reset')::pg_catalog.timestamptz AS own_reset
	FROM (
		SELECT CASE WHEN EXISTS (
				SELECT FROM pg_catalog.pg_attribute a
				WHERE a.attrelid = 'pg_catalog.pg_stat_user_indexes'::pg_catalog.regclass
					AND a.attname IN ('last_idx_scan', 'stats_reset'))
			THEN pg_catalog.to_jsonb(s) END AS counters
	) c
	-- computed once for each row, not for each reference
	OFFSET 0
) j
CROSS JOIN pg_catalog.pg_control_system() y
CROSS JOIN pg_catalog.pg_control_checkpoint() p
CROSS JOIN pg_catalog.pg_stat_bgwriter b
JOIN pg_catalog.pg_stat_database d ON d.datname = pg_catalog.current_database()
WHERE s.schemaname NOT IN ('pgmaint', 'pgmaint_internal');

COMMENT ON VIEW pgmaint_internal.index_counters IS 'scan counters of indexes, with the cluster that counts and the time since when it does';
COMMENT ON COLUMN pgmaint_internal.index_counters.scans IS 'number of scans since the counters were reset';
COMMENT ON COLUMN pgmaint_internal.index_counters.counted_since IS 'when the counters of the index (19 and later), of the database (before) or of the server were last reset; null: never';
COMMENT ON COLUMN pgmaint_internal.index_counters.idle_since IS 'the later of the last scan (16 and later) and the last reset of the index''s own counters (19); null where the server has neither';

-- One row for each index of users' tables, with the properties that distinguish
-- indexes.  Columns are compared with their operator class, collation and
-- direction.  The view has no volatile columns, such as sizes: they would be
-- computed even where a query does not use them.
CREATE VIEW pgmaint_internal.index_definitions AS
SELECT
	i.indexrelid AS "index",
	i.indrelid AS relation,
	n.nspname AS schema,
	t.relname AS table_name,
	c.relname AS index_name,
	a.amname AS method,
	i.indisunique AS is_unique,
	i.indisprimary AS is_primary,
	i.indisexclusion AS is_exclusion,
	i.indisvalid AND i.indisready AND i.indislive AS is_valid,
	i.indisreplident AS is_replica_identity,
	i.indisclustered AS is_clustered,
	-- as a join, its cost estimate would dominate that of other joins
	ARRAY(SELECT pg_catalog.format('%s|%s|%s|%s',
			CASE i.indkey[s.nth - 1] WHEN 0 THEN pgmaint_internal.comparable(i.indexprs) ELSE i.indkey[s.nth - 1]::pg_catalog.text END,
			i.indclass[s.nth - 1], i.indcollation[s.nth - 1], i.indoption[s.nth - 1])
		FROM pg_catalog.generate_series(1, i.indnkeyatts) AS s (nth) ORDER BY s.nth) AS keys,
	i.indnkeyatts AS key_count,
	i.indnatts > i.indnkeyatts AS has_included,
	ARRAY(SELECT x FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS u (x, nth)
		WHERE u.nth > i.indnkeyatts ORDER BY x) AS included,
	pgmaint_internal.comparable(i.indpred) AS predicate,
	EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.conindid = i.indexrelid) AS has_constraint,
	EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid) AS is_part,
	c.relkind = 'I' AS is_partitioned,
	i.indimmediate AS is_immediate,
	-- from 15 on
	coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS nulls_not_distinct,
	i.indkey[0] AS first_column
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am a ON a.oid = c.relam
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE t.relkind IN ('r', 'm', 'p')
	AND t.relpersistence <> 't'
	AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgmaint', 'pgmaint_internal')
	AND n.nspname NOT LIKE E'pg\\_toast%';

COMMENT ON VIEW pgmaint_internal.index_definitions IS 'every index of a table that is neither temporary nor part of the system, with its definition in comparable columns';
COMMENT ON COLUMN pgmaint_internal.index_definitions.keys IS 'each key column and its order: column or expression, operator class, collation, direction';
COMMENT ON COLUMN pgmaint_internal.index_definitions.included IS 'numbers of the included columns, in ascending order';
COMMENT ON COLUMN pgmaint_internal.index_definitions.predicate IS 'condition of a partial index, as pgmaint_internal.comparable() returns it; null: none';
COMMENT ON COLUMN pgmaint_internal.index_definitions.has_constraint IS 'whether a constraint uses the index';
COMMENT ON COLUMN pgmaint_internal.index_definitions.is_part IS 'whether the index is attached to an index of a partitioned table';
COMMENT ON COLUMN pgmaint_internal.index_definitions.first_column IS 'number of the first column; 0: an expression';

-- Foreign keys whose referencing columns no index begins with, in any order.
CREATE VIEW pgmaint_internal.unindexed_foreign_keys AS
SELECT
	k.conrelid AS relation,
	k.conname AS "constraint",
	k.confrelid AS referenced,
	pg_catalog.format('CREATE INDEX CONCURRENTLY ON %I.%I (%s)', n.nspname, c.relname, l.columns) AS command,
	pgmaint_internal.file_size(c.relfilenode, c.reltablespace, c.relpages) AS table_bytes
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
	SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY u.nth) AS columns
	FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u (attnum, nth)
	JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum
) l
WHERE k.contype = 'f'
	AND c.relkind = 'r'
	AND n.nspname NOT IN ('pgmaint', 'pgmaint_internal')
	AND NOT EXISTS (
		SELECT FROM pg_catalog.pg_index i
		JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
		JOIN pg_catalog.pg_am m ON m.oid = x.relam AND m.amname IN ('btree', 'hash')
		WHERE i.indrelid = k.conrelid AND i.indisvalid
			AND (i.indpred IS NULL
				-- rows with nulls refer to no row
				OR (pg_catalog.cardinality(k.conkey) = 1 AND pgmaint_internal.comparable(i.indpred)
					~ pg_catalog.format('^{NULLTEST :arg {VAR :varno 1 :varattno %s [^{}]*} :nulltesttype 1 [^{}]*}$', k.conkey[1])))
			AND i.indnkeyatts >= pg_catalog.cardinality(k.conkey)
			AND (i.indkey::pg_catalog.int2[])[0:pg_catalog.cardinality(k.conkey) - 1] @> k.conkey
	);

COMMENT ON VIEW pgmaint_internal.unindexed_foreign_keys IS 'foreign keys whose table has no index that begins with their columns: deleting or changing a referenced row reads the whole table';
COMMENT ON COLUMN pgmaint_internal.unindexed_foreign_keys.relation IS 'OID of the referencing table';
COMMENT ON COLUMN pgmaint_internal.unindexed_foreign_keys.referenced IS 'OID of the referenced table';
COMMENT ON COLUMN pgmaint_internal.unindexed_foreign_keys.command IS 'command that creates an index for the foreign key';
COMMENT ON COLUMN pgmaint_internal.unindexed_foreign_keys.table_bytes IS 'size of the referencing table in bytes';

-- Since when each index has not been used, as far as that is known.
CREATE VIEW pgmaint_internal.index_idleness AS
SELECT n.*,
	CASE
		-- On its first timeline a cluster has counted every scan.  On another it
		-- was a standby before, and other servers' scans are unknown.
		WHEN x.system_identifier IS DISTINCT FROM n.system_identifier OR x.timeline IS DISTINCT FROM n.timeline
			THEN CASE WHEN n.timeline = 1 THEN n.idle_since END
		WHEN n.scans = x.scans AND n.counted_since IS NOT DISTINCT FROM x.counted_since THEN x.since
		WHEN n.idle_since > x.looked_at THEN n.idle_since
	END AS since
FROM pgmaint_internal.index_counters n
LEFT JOIN pgmaint_internal.index_scans x ON x."index" = n."index";

COMMENT ON VIEW pgmaint_internal.index_idleness IS 'counters of each index, and since when the index is known to be unused';
COMMENT ON COLUMN pgmaint_internal.index_idleness.since IS 'since when the index is known to be unused; null: not known, or it was used';

CREATE FUNCTION pgmaint_internal.unused_since("index" oid)
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT n.since FROM pgmaint_internal.index_idleness n WHERE n."index" = unused_since."index";
END;

COMMENT ON FUNCTION pgmaint_internal.unused_since(oid) IS
	'since when an index is known to be unused; null: it was used since the last run of index_usage, that action has not run yet, or the counter was reset at an unknown time';

CREATE FUNCTION pgmaint_internal.take_index_scans()
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	DELETE FROM pgmaint_internal.index_scans x
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = x."index");
	WITH taken AS (
		INSERT INTO pgmaint_internal.index_scans AS x ("index", scans, since, looked_at, system_identifier, timeline, counted_since)
		SELECT n."index", n.scans, coalesce(n.since, pg_catalog.clock_timestamp()), pg_catalog.clock_timestamp(),
			n.system_identifier, n.timeline, n.counted_since
		FROM pgmaint_internal.index_idleness n
		ON CONFLICT ("index") DO UPDATE SET
			since = excluded.since, looked_at = excluded.looked_at, scans = excluded.scans, timeline = excluded.timeline,
			system_identifier = excluded.system_identifier, counted_since = excluded.counted_since
		RETURNING 1
	)
	SELECT pg_catalog.count(*) FROM taken;
END;

COMMENT ON FUNCTION pgmaint_internal.take_index_scans() IS
	'stores the scan counters of all indexes, removes rows of dropped indexes, and returns the number of indexes';

CREATE FUNCTION pgmaint.index_usage(unused_for interval DEFAULT '30 days', min_size bigint DEFAULT 1048576)
RETURNS TABLE (
	check_id text,
	kind text,
	relation regclass,
	"index" text,
	size text,
	detail text,
	command text,
	bytes bigint
)
LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 500 COST 10000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
-- for thousands of indexes, compilation would take longer than the query,
SET jit = off
-- and a nested loop would compare all of them with all others
SET enable_nestloop = off
BEGIN ATOMIC
	-- Only cheap properties of every index: neither its definition nor its size,
	-- for which a file is read.
	WITH indexes AS MATERIALIZED (
		SELECT d."index", d.relation, d.first_column, d.is_valid, d.is_unique, d.is_partitioned,
			-- other objects depend on the index, even if there is another index like it
			d.is_primary OR d.is_exclusion OR d.is_replica_identity OR d.is_clustered
				OR d.has_constraint OR d.is_partitioned OR d.is_part
				OR d."index" IN (SELECT p.refobjid FROM pg_catalog.pg_depend p
					WHERE p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND p.refobjsubid = 0) AS is_bound
		FROM pgmaint_internal.index_definitions d
	),
	-- indexes that may be alike: they begin with the same column
	alike AS MATERIALIZED (
		SELECT d.*, s.is_bound, pg_catalog.format('%I.%I', d.schema, d.index_name) AS name,
			pgmaint_internal.file_size(c.relfilenode, c.reltablespace, c.relpages) AS bytes,
			d.is_valid AND d.is_unique AND d.is_immediate AND d.predicate IS NULL AS may_stand_in,
			d.is_valid AND NOT (d.is_replica_identity OR d.is_clustered OR d.is_partitioned OR d.is_part) AS may_go
		FROM (
			SELECT x."index", x.is_bound, pg_catalog.count(*) OVER (PARTITION BY x.relation, x.first_column) AS number
			FROM indexes x
		) s
		JOIN pgmaint_internal.index_definitions d ON d."index" = s."index"
		JOIN pg_catalog.pg_class c ON c.oid = s."index"
		WHERE s.number > 1
	),
	asked AS MATERIALIZED (
		SELECT pgmaint_internal.check_duration('unused_for', index_usage.unused_for) AS unused_for
	),
	standbys AS MATERIALIZED (
		SELECT pg_catalog.count(*) AS number FROM pg_catalog.pg_stat_replication r
		WHERE r.state = 'streaming'
	),
	building AS MATERIALIZED (
		SELECT p.index_relid AS "index" FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid <> 0
		UNION
		SELECT x."index" FROM indexes x
		JOIN pgmaint_internal.index_build_locks l ON l.relation = x.relation
		WHERE NOT x.is_valid
	),
	pairs AS MATERIALIZED (
		SELECT DISTINCT ON (x."index") x."index", x.relation, y.name AS other,
			x.keys = y.keys AND x.included = y.included AS is_same
		FROM alike x
		JOIN alike y ON y.relation = x.relation AND y."index" <> x."index" AND y.method = x.method AND y.is_valid
			AND y.predicate IS NOT DISTINCT FROM x.predicate
		WHERE x.is_valid
			AND NOT x.is_bound
			AND x.included <@ y.included
			-- a unique index is listed only if the other one is as strict
			AND (NOT x.is_unique OR y.is_unique AND y.is_immediate AND y.nulls_not_distinct = x.nulls_not_distinct)
			AND (
				-- the same; of two that could both be dropped, the younger is listed
				(x.keys = y.keys AND (x.included <> y.included OR y.is_bound
					OR y.is_unique AND NOT x.is_unique OR y."index" < x."index"))
				-- the beginning of a longer one
				OR (NOT x.is_unique AND x.method = 'btree' AND x.key_count < y.key_count AND y.keys[1:x.key_count] = x.keys)
			)
		ORDER BY x."index", is_same DESC, y.bytes, y."index"
	),
	-- constraints that repeat others; statements may refer to them by name
	constraints AS MATERIALIZED (
		SELECT DISTINCT ON (x."index") x."index", x.relation, o.conname, y.name AS other,
			pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT %I', x.schema, x.table_name, o.conname) AS command
		FROM alike x
		JOIN pg_catalog.pg_constraint o ON o.conindid = x."index" AND o.conrelid = x.relation AND o.contype = 'u'
		JOIN alike y ON y.relation = x.relation AND y."index" <> x."index" AND y.method = x.method
			AND y.may_stand_in AND y.nulls_not_distinct = x.nulls_not_distinct
			AND y.keys = x.keys AND y.included = x.included
		JOIN pg_catalog.pg_constraint p ON p.conindid = y."index" AND p.conrelid = y.relation AND p.contype IN ('p', 'u')
		WHERE x.may_go
			AND (p.contype = 'p' OR y."index" < x."index" OR NOT x.is_immediate)
			AND x."index" NOT IN (SELECT f.conindid FROM pg_catalog.pg_constraint f WHERE f.contype = 'f')
		ORDER BY x."index", p.contype, y."index"
	),
	-- indexes that foreign keys need when referenced rows are deleted
	referring AS MATERIALIZED (
		SELECT i.indexrelid AS "index"
		FROM pg_catalog.pg_constraint f
		JOIN pg_catalog.pg_index i ON i.indrelid = f.conrelid
		WHERE f.contype = 'f' AND (i.indkey::pg_catalog.int2[])[0:pg_catalog.cardinality(f.conkey) - 1] @> f.conkey
	),
	idle AS MATERIALIZED (
		SELECT x."index", x.relation, n.since
		FROM asked a
		CROSS JOIN indexes x
		JOIN pgmaint_internal.index_idleness n ON n."index" = x."index"
		-- unique indexes also enforce a constraint
		WHERE x.is_valid AND NOT x.is_bound AND NOT x.is_unique
			AND n.since <= pg_catalog.now() - a.unused_for
			AND x."index" NOT IN (SELECT p."index" FROM pairs p)
			AND x."index" NOT IN (SELECT r."index" FROM referring r)
	),
	found AS (
		SELECT 'H001'::text AS check_id, 'invalid' AS kind, x.relation, x."index",
			'queries do not use the index, and it slows down writers' AS detail,
			CASE WHEN c.relname ~ '_ccnew[0-9]*$|_ccold[0-9]*$' THEN 'DROP' ELSE 'REINDEX' END AS verb, NULL AS command
		FROM indexes x
		JOIN pg_catalog.pg_class c ON c.oid = x."index"
		WHERE NOT x.is_valid AND NOT x.is_partitioned AND x."index" NOT IN (SELECT b."index" FROM building b)
		UNION ALL
		SELECT 'H001', 'invalid', p.relation, p."index", p.detail, NULL, p.command
		FROM pgmaint_internal.invalid_partitioned_indexes() p
		JOIN indexes x ON x."index" = p."index"
		WHERE NOT p.being_built
		UNION ALL
		SELECT 'H002', 'unused', i.relation, i."index",
			pg_catalog.format('not used since %s%s', i.since::pg_catalog.date,
				CASE WHEN s.number > 0 THEN pg_catalog.format('; %s may use the index: check there first',
					CASE s.number WHEN 1 THEN 'the standby' ELSE pg_catalog.format('one of the %s standbys', s.number) END) END),
			'DROP', NULL
		FROM idle i
		CROSS JOIN standbys s
		UNION ALL
		SELECT 'H003', 'foreign key without index', f.relation, NULL,
			pg_catalog.format('%I: deleting or changing rows of %s reads all of %s', f."constraint",
				f.referenced::pg_catalog.regclass, pg_catalog.pg_size_pretty(f.table_bytes)),
			NULL, f.command
		FROM pgmaint_internal.unindexed_foreign_keys f
		WHERE f.table_bytes >= index_usage.min_size
		UNION ALL
		SELECT 'H004', CASE WHEN p.is_same THEN 'duplicate' ELSE 'redundant' END, p.relation, p."index",
			pg_catalog.format(CASE WHEN p.is_same THEN 'the same as %s' ELSE '%s begins with the same columns' END, p.other),
			'DROP', NULL
		FROM pairs p
		UNION ALL
		SELECT 'H004', 'duplicate', c.relation, c."index",
			pg_catalog.format('the same as %s; its constraint %I repeats the one of that index: drop the constraint unless a statement refers to it by name', c.other, c.conname),
			NULL, c.command
		FROM constraints c
	)
	SELECT f.check_id, f.kind, f.relation::pg_catalog.regclass, i.name,
		pg_catalog.pg_size_pretty(i.bytes), f.detail,
		coalesce(f.verb || ' INDEX CONCURRENTLY ' || i.name, f.command), i.bytes
	FROM found f
	LEFT JOIN LATERAL (
		SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
			CASE WHEN c.relkind <> 'I' THEN pgmaint_internal.file_size(c.relfilenode, c.reltablespace, c.relpages) END AS bytes
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = f."index"
	) i ON true
	WHERE f.check_id <> 'H002' OR i.bytes >= index_usage.min_size
	ORDER BY f.check_id, i.bytes DESC NULLS LAST, i.name, f.detail;
END;

COMMENT ON FUNCTION pgmaint.index_usage(interval, bigint) IS
	'Lists indexes to drop or rebuild, and foreign keys without an index, each with the command. '
	'check_id is H001 for invalid indexes, H002 for indexes that were not used for the duration unused_for, H003 for foreign keys without an index, and H004 for duplicate and redundant indexes. '
	'min_size, in bytes, leaves out smaller unused indexes and foreign keys of smaller tables. '
	'index is null for foreign keys; size is for people, bytes the size of the index in bytes; detail gives the reason, and command is null where there is no single remedy. '
	'How long an index was unused is known from runs of the action index_usage, and from the server from PostgreSQL 16 on. '
	'Errors: unused_for that is null, negative or above 1000 years.';

REVOKE ALL ON pgmaint_internal.index_scans, pgmaint_internal.index_counters, pgmaint_internal.index_idleness, pgmaint_internal.index_definitions, pgmaint_internal.unindexed_foreign_keys FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.index_scans, pgmaint_internal.index_counters, pgmaint_internal.index_idleness, pgmaint_internal.index_definitions, pgmaint_internal.unindexed_foreign_keys TO pg_monitor;
REVOKE ALL ON FUNCTION pgmaint_internal.unused_since(oid), pgmaint_internal.take_index_scans(), pgmaint.index_usage(interval, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.unused_since(oid), pgmaint.index_usage(interval, bigint) TO pg_monitor;
