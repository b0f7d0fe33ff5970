-- Corruption: results of checks; sequences and constraints about to fail.

CREATE TABLE pgmaint_internal.corruption_results (
	relation oid PRIMARY KEY,
	begun_at timestamptz NOT NULL,
	check_name text CHECK (check_name IN ('heap', 'index', 'index with parent')),
	run_id bigint,
	last_checked timestamptz,
	last_verified timestamptz,
	outcome text CHECK (outcome IN ('sound', 'damaged')),
	problems bigint,
	problems_at timestamptz,
	duration interval,
	bytes bigint,
	message text,
	next_block bigint,
	pass_begun_at timestamptz
) WITH (fillfactor = 70);

COMMENT ON TABLE pgmaint_internal.corruption_results IS 'one row for each table and index that check_corruption has begun to check; pgmaint.corruption_checks shows the rows';
COMMENT ON COLUMN pgmaint_internal.corruption_results.relation IS 'OID of the table, TOAST table, materialized view or index';
COMMENT ON COLUMN pgmaint_internal.corruption_results.begun_at IS 'when the last check began, finished or not; the relation with the oldest value is checked first';
COMMENT ON COLUMN pgmaint_internal.corruption_results.check_name IS 'kind of the last finished check: heap, index, index with parent; null: none was finished';
COMMENT ON COLUMN pgmaint_internal.corruption_results.run_id IS 'the run of the last finished check; null: none was finished';
COMMENT ON COLUMN pgmaint_internal.corruption_results.last_checked IS 'when the last finished check ended; null: none was finished';
COMMENT ON COLUMN pgmaint_internal.corruption_results.last_verified IS 'when the last check began that found the relation sound; null: never';
COMMENT ON COLUMN pgmaint_internal.corruption_results.outcome IS 'result of the last finished check: sound or damaged; null: none was finished';
COMMENT ON COLUMN pgmaint_internal.corruption_results.problems IS 'number of problems that the last finished check found';
COMMENT ON COLUMN pgmaint_internal.corruption_results.problems_at IS 'when a check last found damage; null: never';
COMMENT ON COLUMN pgmaint_internal.corruption_results.duration IS 'duration of the last finished check, or of its last part where several runs shared it';
COMMENT ON COLUMN pgmaint_internal.corruption_results.bytes IS 'size of the relation in bytes at the end of the last finished check';
COMMENT ON COLUMN pgmaint_internal.corruption_results.message IS 'the first problem that the last finished check found; null: none';
COMMENT ON COLUMN pgmaint_internal.corruption_results.next_block IS 'block from which the next run continues, where the time budget ended within the table; null: the check was finished';
COMMENT ON COLUMN pgmaint_internal.corruption_results.pass_begun_at IS 'when the check of the blocks before next_block began; null where next_block is null';

CREATE TABLE pgmaint_internal.checksum_readings (
	database_id oid PRIMARY KEY,
	database name,
	failures bigint NOT NULL,
	last_failure timestamptz,
	stats_reset timestamptz,
	read_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint_internal.checksum_readings IS 'counters of checksum failures of every database of the server, as of the last run of check_corruption';
COMMENT ON COLUMN pgmaint_internal.checksum_readings.database_id IS 'OID of the database; 0: the objects that all databases share';
COMMENT ON COLUMN pgmaint_internal.checksum_readings.database IS 'name of the database; null: the objects that all databases share';
COMMENT ON COLUMN pgmaint_internal.checksum_readings.failures IS 'number of pages with a wrong checksum, by the server''s counter';
COMMENT ON COLUMN pgmaint_internal.checksum_readings.last_failure IS 'when the server found the last of these failures; null: never';
COMMENT ON COLUMN pgmaint_internal.checksum_readings.stats_reset IS 'when the server last reset the counter; null: never';
COMMENT ON COLUMN pgmaint_internal.checksum_readings.read_at IS 'when the counter was read';

-- Relations to check: tables, materialized views, their TOAST tables, and the
-- indexes of these.
CREATE VIEW pgmaint_internal.checkable_relations AS
SELECT
	c.oid AS relation,
	m.table_oid,
	CASE WHEN c.relkind = 'i' THEN 'index' ELSE 'table' END AS kind,
	a.amname AS method,
	n.nspname AS schema,
	c.relname AS name,
	m.table_namespace,
	-- for pgmaint_internal.file_size()
	c.relfilenode AS filenode,
	c.reltablespace AS tablespace,
	c.relpages AS pages
FROM (
	SELECT r.oid AS table_oid, r.relnamespace AS table_namespace, h.heap
	FROM pg_catalog.pg_class r
	CROSS JOIN LATERAL (VALUES (r.oid), (r.reltoastrelid)) AS h (heap)
	WHERE r.relkind IN ('r', 'm') AND r.relpersistence <> 't' AND h.heap <> 0
) t
CROSS JOIN LATERAL (
	SELECT t.table_oid, t.table_namespace, t.heap AS oid
	UNION ALL
	SELECT t.table_oid, t.table_namespace, i.indexrelid
	FROM pg_catalog.pg_index i
	WHERE i.indrelid = t.heap AND i.indisvalid AND i.indisready AND i.indislive
) m
JOIN pg_catalog.pg_class c ON c.oid = m.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_am a ON a.oid = c.relam;

COMMENT ON VIEW pgmaint_internal.checkable_relations IS 'every table, TOAST table and valid index that is not temporary, with the table that the relation belongs to';
COMMENT ON COLUMN pgmaint_internal.checkable_relations.table_oid IS 'OID of the table that the relation is or belongs to';
COMMENT ON COLUMN pgmaint_internal.checkable_relations.schema IS 'schema of the relation itself: pg_toast for TOAST tables and their indexes';
COMMENT ON COLUMN pgmaint_internal.checkable_relations.table_namespace IS 'OID of the schema of the table';

CREATE VIEW pgmaint.corruption_checks AS
SELECT
	c.relation::pg_catalog.regclass AS relation,
	c.kind,
	c.method,
	r.last_verified,
	coalesce(r.outcome, CASE WHEN r.relation IS NULL THEN 'never checked' ELSE 'not finished' END) AS outcome,
	r.check_name AS checked,
	r.problems,
	r.problems_at,
	r.last_checked,
	pg_catalog.date_trunc('milliseconds', r.duration) AS duration,
	r.bytes,
	r.message,
	r.begun_at,
	r.run_id
FROM pgmaint_internal.checkable_relations c
LEFT JOIN pgmaint_internal.corruption_results r ON r.relation = c.relation
ORDER BY r.last_verified NULLS FIRST, c.relation;

COMMENT ON VIEW pgmaint.corruption_checks IS 'Shows when each table and index was last proven sound by the action check_corruption, least recently first. It has one row for each table, TOAST table, materialized view and valid index that is not temporary. outcome is the result of the last finished check; problems_at tells when damage was last found.';
COMMENT ON COLUMN pgmaint.corruption_checks.relation IS 'the table, TOAST table, materialized view or index';
COMMENT ON COLUMN pgmaint.corruption_checks.kind IS 'table or index';
COMMENT ON COLUMN pgmaint.corruption_checks.method IS 'access method of the table or index';
COMMENT ON COLUMN pgmaint.corruption_checks.last_verified IS 'when the last check began that found the relation sound, or the first of its parts where several runs shared it; null: never';
COMMENT ON COLUMN pgmaint.corruption_checks.outcome IS 'result of the last finished check: sound or damaged; not finished where a check has begun and none was finished; never checked';
COMMENT ON COLUMN pgmaint.corruption_checks.checked IS 'kind of the last finished check: heap (verify_heapam), index (bt_index_check or gin_index_check), index with parent (bt_index_parent_check); null: none was finished';
COMMENT ON COLUMN pgmaint.corruption_checks.problems IS 'number of problems that the last finished check found; null: none was finished';
COMMENT ON COLUMN pgmaint.corruption_checks.problems_at IS 'when a check last found damage; null: never';
COMMENT ON COLUMN pgmaint.corruption_checks.last_checked IS 'when the last finished check ended; null: none was finished';
COMMENT ON COLUMN pgmaint.corruption_checks.duration IS 'duration of the last finished check, or of its last part where several runs shared it; null: none was finished';
COMMENT ON COLUMN pgmaint.corruption_checks.bytes IS 'size of the relation in bytes at the end of the last finished check; null: none was finished';
COMMENT ON COLUMN pgmaint.corruption_checks.message IS 'the first problem that the last finished check found; null: none';
COMMENT ON COLUMN pgmaint.corruption_checks.begun_at IS 'when the last check began, finished or not; null: never';
COMMENT ON COLUMN pgmaint.corruption_checks.run_id IS 'the run of the last finished check, which pgmaint.keep_history may have removed; null: none was finished';

-- A sequence fills the columns whose default uses it, whether they own the
-- sequence or not.
CREATE VIEW pgmaint.sequence_usage AS
SELECT
	c.oid::pg_catalog.regclass AS sequence,
	k.attrelid::pg_catalog.regclass AS "table",
	k.attname AS "column",
	k.type_name,
	l.last_value,
	l.last_possible,
	CASE
		WHEN l.last_value IS NULL THEN 0
		-- the next step would pass the last possible value
		WHEN pg_catalog.div(l.last_possible::numeric - l.last_value, s.seqincrement) <= 0 THEN 1
		WHEN s.seqincrement > 0 THEN pg_catalog.round(least(1,
			(l.last_value::numeric - s.seqmin) / nullif(l.last_possible::numeric - s.seqmin, 0)), 4)
		ELSE pg_catalog.round(least(1,
			(s.seqmax::numeric - l.last_value) / nullif(s.seqmax::numeric - l.last_possible, 0)), 4)
	END AS used_ratio,
	greatest(0, pg_catalog.div(l.last_possible::numeric - coalesce(l.last_value, s.seqstart), s.seqincrement)
		-- the first value is still to come
		+ CASE WHEN l.last_value IS NULL THEN 1 ELSE 0 END) AS values_left,
	s.seqcycle AS cycles
FROM pg_catalog.pg_sequence s
JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
LEFT JOIN LATERAL (
	SELECT a.attrelid, a.attname, pg_catalog.format_type(y.oid, NULL) AS type_name,
		CASE y.oid
			WHEN 'pg_catalog.int2'::pg_catalog.regtype THEN 32767
			WHEN 'pg_catalog.int4'::pg_catalog.regtype THEN 2147483647
			ELSE 9223372036854775807
		END AS highest
	FROM (
		SELECT d.refobjid, d.refobjsubid
		FROM pg_catalog.pg_depend d
		WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
			AND d.objid = s.seqrelid
			AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
			AND d.refobjsubid > 0
			AND d.deptype IN ('a', 'i')
		UNION
		SELECT f.adrelid, f.adnum
		FROM pg_catalog.pg_depend d
		JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
		WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
			AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
			AND d.refobjid = s.seqrelid
	) f (attrelid, attnum)
	JOIN pg_catalog.pg_attribute a ON a.attrelid = f.attrelid AND a.attnum = f.attnum AND NOT a.attisdropped
	JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
	JOIN pg_catalog.pg_type y ON y.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
	ORDER BY highest, a.attrelid, a.attnum
	LIMIT 1
) k ON true
CROSS JOIN LATERAL (
	SELECT
		CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE')
				AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())
				-- to read it takes a lock, which would wait for these
				AND c.oid NOT IN (
					SELECT w.relation
					FROM pg_catalog.pg_locks w
					WHERE w.locktype = 'relation'
						AND w.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
						AND w.pid <> pg_catalog.pg_backend_pid()
						AND w.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
			THEN pg_catalog.pg_sequence_last_value(c.oid) END AS last_value,
		CASE WHEN s.seqincrement > 0 THEN least(s.seqmax, k.highest)
			ELSE greatest(s.seqmin, -1 - k.highest) END AS last_possible
) l
WHERE c.relpersistence <> 't'
ORDER BY used_ratio DESC, sequence;

COMMENT ON VIEW pgmaint.sequence_usage IS 'Shows which share of its values each sequence has used, most used first. The limit is that of the sequence, or of the smallest integer type of the columns that the sequence fills. last_value is null where the sequence was never used, where another session has locked it, or where the caller may not read it.';
COMMENT ON COLUMN pgmaint.sequence_usage.sequence IS 'the sequence';
COMMENT ON COLUMN pgmaint.sequence_usage."table" IS 'the table with the column of the smallest integer type that the sequence fills; null: the sequence fills no column';
COMMENT ON COLUMN pgmaint.sequence_usage."column" IS 'the column of the smallest integer type that the sequence fills; null: the sequence fills no column';
COMMENT ON COLUMN pgmaint.sequence_usage.type_name IS 'type of the column; null: the sequence fills no column';
COMMENT ON COLUMN pgmaint.sequence_usage.last_value IS 'last value that the sequence has given; null: the sequence was never used, another session has locked it, or the caller may not read it';
COMMENT ON COLUMN pgmaint.sequence_usage.last_possible IS 'the last value that both the sequence and the column allow';
COMMENT ON COLUMN pgmaint.sequence_usage.used_ratio IS 'share of the values that are used, 0 to 1; 0 also where last_value is null';
COMMENT ON COLUMN pgmaint.sequence_usage.values_left IS 'how many values the sequence can still give';
COMMENT ON COLUMN pgmaint.sequence_usage.cycles IS 'whether the sequence starts over at its end';

CREATE VIEW pgmaint.unvalidated_constraints AS
SELECT
	k.conrelid::pg_catalog.regclass AS relation,
	k.conname AS "constraint",
	CASE k.contype WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check' ELSE 'not null' END AS kind,
	pg_catalog.format('ALTER TABLE %I.%I VALIDATE CONSTRAINT %I', n.nspname, c.relname, k.conname) AS command
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT k.convalidated
	AND k.contype IN ('f', 'c', 'n')
	AND k.conparentid = 0
	AND (k.conislocal OR k.coninhcount = 0)
	AND c.relkind IN ('r', 'p')
	-- 18 and later: constraints that are not enforced need no validation
	AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::boolean, true)
ORDER BY k.conrelid, k.conname;

COMMENT ON VIEW pgmaint.unvalidated_constraints IS 'Shows constraints that were added NOT VALID and never validated: rows that are older than the constraint may violate it. It has one row for each foreign key, check and not-null constraint, except inherited ones.';
COMMENT ON COLUMN pgmaint.unvalidated_constraints.relation IS 'the table';
COMMENT ON COLUMN pgmaint.unvalidated_constraints."constraint" IS 'name of the constraint';
COMMENT ON COLUMN pgmaint.unvalidated_constraints.kind IS 'foreign key, check, not null';
COMMENT ON COLUMN pgmaint.unvalidated_constraints.command IS 'the command that validates the constraint';

-- The catalog decides, not the version: development versions of 19 have the
-- function, and its release candidate does not.
CREATE FUNCTION pgmaint_internal.checksums_hint()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN EXISTS (
			SELECT FROM pg_proc p
			WHERE p.proname = 'pg_enable_data_checksums' AND p.pronamespace = 'pg_catalog'::regnamespace)
		THEN 'enable them while the server runs with SELECT pg_enable_data_checksums(), which reports to pg_stat_progress_data_checksums'
		ELSE 'enable them while the server is stopped with pg_checksums --enable' END;
END;

COMMENT ON FUNCTION pgmaint_internal.checksums_hint() IS
	'how to enable data checksums: with the server running where it can do that, else with the server stopped';

REVOKE ALL ON pgmaint_internal.corruption_results, pgmaint_internal.checksum_readings, pgmaint_internal.checkable_relations,
	pgmaint.corruption_checks, pgmaint.sequence_usage, pgmaint.unvalidated_constraints FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.corruption_results, pgmaint_internal.checksum_readings, pgmaint_internal.checkable_relations,
	pgmaint.corruption_checks, pgmaint.sequence_usage, pgmaint.unvalidated_constraints TO pg_monitor;
REVOKE ALL ON FUNCTION pgmaint_internal.checksums_hint() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.checksums_hint() TO pg_monitor;
