-- Indexes that nobody needs, or that somebody would need: unused, duplicate,
-- redundant, invalid, and foreign keys without any.

CREATE TABLE pgmaint.index_scans (
	"index" oid PRIMARY KEY,
	scans bigint NOT NULL,
	since timestamptz NOT NULL,
	looked_at timestamptz NOT NULL,
	system_identifier bigint NOT NULL,
	timeline integer NOT NULL,
	counted_since timestamptz
);

COMMENT ON TABLE pgmaint.index_scans IS 'how often each index had been used when the action index_usage last looked, and since when it has said so';
COMMENT ON COLUMN pgmaint.index_scans.since IS 'when the counter came to be what it is, as far as the server knows; else the first look at which it was';
COMMENT ON COLUMN pgmaint.index_scans.system_identifier IS 'with timeline: of the cluster that counts, which a restored copy or a promoted standby is not';
COMMENT ON COLUMN pgmaint.index_scans.counted_since IS 'when counters of this index (19 and later), of this database (before) or of the server were last reset, as they are by a crash';

-- The counters as they are, and what tells them from others of the same index.
--
-- From 19 on each index knows when its own counters were reset, with those of
-- the whole database too; there, the database's time is that of any relation.  A
-- crash leaves no time but the server's.
CREATE VIEW pgmaint.index_counters AS
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
	FROM (SELECT pg_catalog.to_jsonb(s) AS counters) c
) j
CROSS JOIN pg_catalog.pg_control_system() y
CROSS JOIN pg_catalog.pg_control_checkpoint() p
CROSS JOIN pg_catalog.pg_stat_bgwriter b
JOIN pg_catalog.pg_stat_database d ON d.datname = pg_catalog.current_database()
WHERE s.schemaname <> 'pgmaint';

COMMENT ON VIEW pgmaint.index_counters IS 'how often each index has been used, and who has counted since when';
COMMENT ON COLUMN pgmaint.index_counters.idle_since IS 'the last scan (16 and later) or the last reset of the index''s own counters (19), whichever is later; null where the server knows of neither';

-- One row for each index of users' tables, with what tells indexes apart.
-- Columns are compared with their operator class, collation and direction.
CREATE VIEW pgmaint.index_definitions AS
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
	k.keys,
	i.indnkeyatts AS key_count,
	i.indnatts > i.indnkeyatts AS has_included,
	ARRAY(SELECT x FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS u (x, nth)
		WHERE u.nth > i.indnkeyatts ORDER BY x) AS included,
	pgmaint.comparable(i.indpred) AS predicate,
	pgmaint.file_size(c.relfilenode, c.reltablespace, c.relpages) AS bytes,
	EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.conindid = i.indexrelid) AS has_constraint,
	EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid) AS is_part,
	c.relkind = 'I' AS is_partitioned,
	i.indimmediate AS is_immediate,
	-- from 15 on
	coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS nulls_not_distinct
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am a ON a.oid = c.relam
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
CROSS JOIN LATERAL (
	SELECT pg_catalog.array_agg(pg_catalog.format('%s|%s|%s|%s',
		CASE i.indkey[s.nth - 1] WHEN 0 THEN pgmaint.comparable(i.indexprs) ELSE i.indkey[s.nth - 1]::pg_catalog.text END,
		i.indclass[s.nth - 1], i.indcollation[s.nth - 1], i.indoption[s.nth - 1]) ORDER BY s.nth) AS keys
	FROM pg_catalog.generate_series(1, i.indnkeyatts) AS s (nth)
) k
WHERE t.relkind IN ('r', 'm', 'p')
	AND t.relpersistence <> 't'
	AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgmaint')
	AND n.nspname NOT LIKE E'pg\\_toast%';

COMMENT ON VIEW pgmaint.index_definitions IS 'every index of a table that is not temporary nor part of the system, with what tells it from others';

-- Foreign keys whose referencing columns no index begins with, in any order.
CREATE VIEW pgmaint.unindexed_foreign_keys AS
SELECT
	k.conrelid AS relation,
	k.conname AS "constraint",
	k.confrelid AS referenced,
	pg_catalog.format('CREATE INDEX CONCURRENTLY ON %I.%I (%s)', n.nspname, c.relname, l.columns) AS command,
	pgmaint.file_size(c.relfilenode, c.reltablespace, c.relpages) AS table_bytes
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
	AND n.nspname <> 'pgmaint'
	AND NOT EXISTS (
		SELECT FROM pg_catalog.pg_index i
		JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
		JOIN pg_catalog.pg_am m ON m.oid = x.relam AND m.amname IN ('btree', 'hash')
		WHERE i.indrelid = k.conrelid AND i.indisvalid
			AND (i.indpred IS NULL
				-- rows without a value refer to nothing
				OR (pg_catalog.cardinality(k.conkey) = 1 AND pgmaint.comparable(i.indpred)
					~ pg_catalog.format('^{NULLTEST :arg {VAR :varno 1 :varattno %s [^{}]*} :nulltesttype 1 [^{}]*}$', k.conkey[1])))
			AND i.indnkeyatts >= pg_catalog.cardinality(k.conkey)
			AND (i.indkey::pg_catalog.int2[])[0:pg_catalog.cardinality(k.conkey) - 1] @> k.conkey
	);

COMMENT ON VIEW pgmaint.unindexed_foreign_keys IS
	'foreign keys whose table has no index that begins with their columns: deleting or changing a row that they refer to reads all of it';

-- Since when each index has not been used, as far as that is known.
CREATE VIEW pgmaint.index_idleness AS
SELECT n.*,
	CASE
		-- On its first timeline a cluster has counted every scan.  On another it
		-- was a standby before, and other servers' scans are unknown.
		WHEN x.system_identifier IS DISTINCT FROM n.system_identifier OR x.timeline IS DISTINCT FROM n.timeline
			THEN CASE WHEN n.timeline = 1 THEN n.idle_since END
		WHEN n.scans = x.scans AND n.counted_since IS NOT DISTINCT FROM x.counted_since THEN x.since
		WHEN n.idle_since > x.looked_at THEN n.idle_since
	END AS since
FROM pgmaint.index_counters n
LEFT JOIN pgmaint.index_scans x ON x."index" = n."index";

COMMENT ON VIEW pgmaint.index_idleness IS 'the counters of each index, and since when it is known not to have been used';

CREATE FUNCTION pgmaint.unused_since("index" oid)
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT n.since FROM pgmaint.index_idleness n WHERE n."index" = unused_since."index";
END;

COMMENT ON FUNCTION pgmaint.unused_since(oid) IS
	'since when an index is known not to have been used; null where that is not known: it was used since the last look, was never looked at, or its counter began anew, and the server does not know when';

CREATE FUNCTION pgmaint.take_index_scans()
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	DELETE FROM pgmaint.index_scans x
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = x."index");
	WITH taken AS (
		INSERT INTO pgmaint.index_scans AS x ("index", scans, since, looked_at, system_identifier, timeline, counted_since)
		SELECT n."index", n.scans, coalesce(n.since, pg_catalog.clock_timestamp()), pg_catalog.clock_timestamp(),
			n.system_identifier, n.timeline, n.counted_since
		FROM pgmaint.index_idleness n
		ON CONFLICT ("index") DO UPDATE SET
			since = excluded.since, looked_at = excluded.looked_at, scans = excluded.scans, timeline = excluded.timeline,
			system_identifier = excluded.system_identifier, counted_since = excluded.counted_since
		RETURNING 1
	)
	SELECT pg_catalog.count(*) FROM taken;
END;

COMMENT ON FUNCTION pgmaint.take_index_scans() IS 'notes how often each index has been used so far, and forgets those that are gone';

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
LANGUAGE sql STABLE ROWS 500 COST 10000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
-- where there are thousands of indexes, compiling would take longer than the rest
SET jit = off
BEGIN ATOMIC
	WITH indexes AS MATERIALIZED (
		SELECT d.*, pg_catalog.format('%I.%I', d.schema, d.index_name) AS name,
			-- one column for each condition: the planner halves its estimate for each,
			-- and would compare all indexes with all others where it expects one
			d.is_valid AND d.is_unique AND d.is_immediate AND d.predicate IS NULL AS may_stand_in,
			d.is_valid AND NOT (d.is_replica_identity OR d.is_clustered OR d.is_partitioned OR d.is_part) AS may_go
		FROM pgmaint.index_definitions d
	),
	-- what something else relies on, even if there is another index like it
	bound AS MATERIALIZED (
		SELECT x."index" FROM indexes x
		WHERE x.is_primary OR x.is_exclusion OR x.is_replica_identity OR x.is_clustered
			OR x.has_constraint OR x.is_partitioned OR x.is_part
			OR EXISTS (SELECT FROM pg_catalog.pg_depend p
				WHERE p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND p.refobjid = x."index")
	),
	-- what stands for more than reading faster
	kept AS MATERIALIZED (
		SELECT b."index" FROM bound b UNION SELECT x."index" FROM indexes x WHERE x.is_unique
	),
	asked AS MATERIALIZED (
		SELECT pgmaint.check_duration('unused_for', index_usage.unused_for) AS unused_for
	),
	standbys AS MATERIALIZED (
		SELECT pg_catalog.count(*) AS number FROM pg_catalog.pg_stat_replication r
		WHERE r.state = 'streaming'
	),
	building AS MATERIALIZED (
		SELECT p.index_relid AS "index" FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid <> 0
		UNION
		-- it is held from the beginning of a concurrent build to its end
		SELECT x."index" FROM indexes x
		JOIN pg_catalog.pg_locks l ON l.relation = x.relation AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted
			AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
		WHERE NOT x.is_valid
	),
	pairs AS MATERIALIZED (
		SELECT DISTINCT ON (x."index") x."index", y.name AS other,
			x.keys = y.keys AND x.included = y.included AS is_same
		FROM indexes x
		JOIN indexes y ON y.relation = x.relation AND y."index" <> x."index" AND y.method = x.method AND y.is_valid
			AND y.predicate IS NOT DISTINCT FROM x.predicate
		WHERE x.is_valid
			AND x."index" NOT IN (SELECT b."index" FROM bound b)
			AND x.included <@ y.included
			-- one that is unique goes only if the other allows no more
			AND (NOT x.is_unique OR y.is_unique AND y.is_immediate AND y.nulls_not_distinct = x.nulls_not_distinct)
			AND (
				-- the same; of two that may both go, the younger does
				(x.keys = y.keys AND (x.included <> y.included OR y."index" IN (SELECT b."index" FROM bound b)
					OR y.is_unique AND NOT x.is_unique OR y."index" < x."index"))
				-- the beginning of a longer one
				OR (NOT x.is_unique AND x.method = 'btree' AND x.key_count < y.key_count AND y.keys[1:x.key_count] = x.keys)
			)
		ORDER BY x."index", is_same DESC, y.bytes, y."index"
	),
	-- constraints that say what others say; which names them may be in statements
	constraints AS MATERIALIZED (
		SELECT DISTINCT ON (x."index") x."index", o.conname, y.name AS other
		FROM indexes x
		JOIN pg_catalog.pg_constraint o ON o.conindid = x."index" AND o.conrelid = x.relation AND o.contype = 'u'
		JOIN indexes y ON y.relation = x.relation AND y."index" <> x."index" AND y.method = x.method
			AND y.may_stand_in AND y.nulls_not_distinct = x.nulls_not_distinct
			AND y.keys = x.keys AND y.included = x.included
		JOIN pg_catalog.pg_constraint p ON p.conindid = y."index" AND p.conrelid = y.relation AND p.contype IN ('p', 'u')
		WHERE x.may_go
			AND (p.contype = 'p' OR y."index" < x."index" OR NOT x.is_immediate)
			AND x."index" NOT IN (SELECT f.conindid FROM pg_catalog.pg_constraint f WHERE f.contype = 'f')
		ORDER BY x."index", p.contype, y."index"
	),
	found AS (
		SELECT 'H001'::text AS check_id, 'invalid' AS kind, x.relation, x.name, x.bytes,
			'it is not used, and slows down writers' AS detail,
			CASE WHEN x.index_name ~ '_ccnew[0-9]*$|_ccold[0-9]*$'
				THEN pg_catalog.format('DROP INDEX CONCURRENTLY %s', x.name)
				ELSE pg_catalog.format('REINDEX INDEX CONCURRENTLY %s', x.name) END AS command
		FROM indexes x
		WHERE NOT x.is_valid AND NOT x.is_partitioned AND x."index" NOT IN (SELECT b."index" FROM building b)
		UNION ALL
		SELECT 'H001', 'invalid', p.relation, p.name, NULL, p.detail, p.command
		FROM pgmaint.invalid_partitioned_indexes() p
		JOIN indexes x ON x."index" = p."index"
		WHERE NOT p.being_built
		UNION ALL
		SELECT 'H002', 'unused', x.relation, x.name, x.bytes,
			pg_catalog.format('not used since %s%s', u.since::pg_catalog.date,
				CASE WHEN s.number > 0 THEN pg_catalog.format('; whether %s uses it is not known here: ask there first',
					CASE s.number WHEN 1 THEN 'the standby' ELSE pg_catalog.format('one of %s standbys', s.number) END) END),
			pg_catalog.format('DROP INDEX CONCURRENTLY %s', x.name)
		FROM asked a
		CROSS JOIN indexes x
		CROSS JOIN standbys s
		CROSS JOIN LATERAL (SELECT pgmaint.unused_since(x."index") AS since) u
		WHERE x.is_valid AND x.bytes >= index_usage.min_size
			AND u.since <= pg_catalog.now() - a.unused_for
			AND x."index" NOT IN (SELECT k."index" FROM kept k)
			AND x."index" NOT IN (SELECT p."index" FROM pairs p)
			-- nor one that a foreign key needs, though nobody has deleted yet
			AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint f JOIN pg_catalog.pg_index i ON i.indexrelid = x."index"
				WHERE f.contype = 'f' AND f.conrelid = x.relation
					AND (i.indkey::pg_catalog.int2[])[0:pg_catalog.cardinality(f.conkey) - 1] @> f.conkey)
		UNION ALL
		SELECT 'H003', 'foreign key without index', f.relation, NULL, NULL,
			pg_catalog.format('%I: deleting or changing rows of %s reads all of %s', f."constraint",
				f.referenced::pg_catalog.regclass, pg_catalog.pg_size_pretty(f.table_bytes)),
			f.command
		FROM pgmaint.unindexed_foreign_keys f
		WHERE f.table_bytes >= index_usage.min_size
		UNION ALL
		SELECT 'H004', CASE WHEN p.is_same THEN 'duplicate' ELSE 'redundant' END, x.relation, x.name, x.bytes,
			pg_catalog.format(CASE WHEN p.is_same THEN 'the same as %s' ELSE '%s begins with its columns' END, p.other),
			pg_catalog.format('DROP INDEX CONCURRENTLY %s', x.name)
		FROM pairs p JOIN indexes x ON x."index" = p."index"
		UNION ALL
		SELECT 'H004', 'duplicate', x.relation, x.name, x.bytes,
			pg_catalog.format('the same as %s; constraint %I rests on it, and says no more: drop it unless a statement names it', c.other, c.conname),
			pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT %I', x.schema, x.table_name, c.conname)
		FROM constraints c JOIN indexes x ON x."index" = c."index"
	)
	SELECT f.check_id, f.kind, f.relation::pg_catalog.regclass, f.name,
		pg_catalog.pg_size_pretty(f.bytes), f.detail, f.command, f.bytes
	FROM found f
	ORDER BY f.check_id, f.bytes DESC NULLS LAST, f.name, f.detail;
END;

COMMENT ON FUNCTION pgmaint.index_usage(interval, bigint) IS
	'indexes that are invalid (H001), were not used for that long (H002), or are duplicate or redundant (H004), and foreign keys without an index (H003), each with the command that ends it';

REVOKE ALL ON pgmaint.index_scans, pgmaint.index_counters, pgmaint.index_idleness, pgmaint.index_definitions, pgmaint.unindexed_foreign_keys FROM PUBLIC;
GRANT SELECT ON pgmaint.index_scans, pgmaint.index_counters, pgmaint.index_idleness, pgmaint.index_definitions, pgmaint.unindexed_foreign_keys TO pg_monitor;
REVOKE ALL ON FUNCTION pgmaint.unused_since(oid), pgmaint.take_index_scans(), pgmaint.index_usage(interval, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.unused_since(oid), pgmaint.index_usage(interval, bigint) TO pg_monitor;
