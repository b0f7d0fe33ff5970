-- Corruption: what was proven sound, and when; what will break next.

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

COMMENT ON TABLE pgmaint_internal.corruption_results IS 'one row for each table and index that check_corruption has ever begun to check: pgmaint.corruption_checks shows them';
COMMENT ON COLUMN pgmaint_internal.corruption_results.relation IS 'OID of the table, TOAST table, materialized view or index';
COMMENT ON COLUMN pgmaint_internal.corruption_results.begun_at IS 'when a check last began, whether it came to its end or not: least recently checked is what began longest ago';
COMMENT ON COLUMN pgmaint_internal.corruption_results.check_name IS 'what the last check that came to its end did: heap, index, index with parent; null: none did';
COMMENT ON COLUMN pgmaint_internal.corruption_results.run_id IS 'the run of that check; null: there was none';
COMMENT ON COLUMN pgmaint_internal.corruption_results.last_checked IS 'when that check ended; null: there was none';
COMMENT ON COLUMN pgmaint_internal.corruption_results.last_verified IS 'when the check began that last found the relation sound; null: never';
COMMENT ON COLUMN pgmaint_internal.corruption_results.outcome IS 'sound, damaged: what the last check found that came to its end; null: none did';
COMMENT ON COLUMN pgmaint_internal.corruption_results.problems IS 'number of problems that it found';
COMMENT ON COLUMN pgmaint_internal.corruption_results.problems_at IS 'when a check last found damage; null: never';
COMMENT ON COLUMN pgmaint_internal.corruption_results.duration IS 'how long it took, or its last part where several runs shared it';
COMMENT ON COLUMN pgmaint_internal.corruption_results.bytes IS 'size of the relation in bytes when it ended';
COMMENT ON COLUMN pgmaint_internal.corruption_results.message IS 'what the damage is; null: none was found';
COMMENT ON COLUMN pgmaint_internal.corruption_results.next_block IS 'where the next run goes on, because the time was used up in the middle of the table; null: it did not';
COMMENT ON COLUMN pgmaint_internal.corruption_results.pass_begun_at IS 'when the part of the table before next_block began to be checked; null where next_block is';

CREATE TABLE pgmaint_internal.checksum_readings (
	database_id oid PRIMARY KEY,
	database name,
	failures bigint NOT NULL,
	last_failure timestamptz,
	stats_reset timestamptz,
	read_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint_internal.checksum_readings IS 'checksum failures of every database of the server, as check_corruption last read them';
COMMENT ON COLUMN pgmaint_internal.checksum_readings.database_id IS 'OID of the database; 0: the objects that all databases share';
COMMENT ON COLUMN pgmaint_internal.checksum_readings.database IS 'null: the objects that all databases share';
COMMENT ON COLUMN pgmaint_internal.checksum_readings.failures IS 'pages with a wrong checksum that the server had counted';
COMMENT ON COLUMN pgmaint_internal.checksum_readings.last_failure IS 'when it found the last of them; null: never';
COMMENT ON COLUMN pgmaint_internal.checksum_readings.stats_reset IS 'since when it counted; null: since the statistics began';
COMMENT ON COLUMN pgmaint_internal.checksum_readings.read_at IS 'when the counter was read';

-- What there is to check: tables, materialized views and their TOAST tables,
-- and the indexes of these.
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

COMMENT ON VIEW pgmaint_internal.checkable_relations IS 'every table, TOAST table and valid index that is not temporary, with the table that it belongs to';
COMMENT ON COLUMN pgmaint_internal.checkable_relations.table_oid IS 'the table that the relation is or belongs to; its own where it is a table';
COMMENT ON COLUMN pgmaint_internal.checkable_relations.schema IS 'schema of the relation itself, pg_toast for what belongs to a TOAST table';
COMMENT ON COLUMN pgmaint_internal.checkable_relations.table_namespace IS 'OID of the schema of that table';

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

COMMENT ON VIEW pgmaint.corruption_checks IS
	'when each table and index was last proven sound, least recently first: outcome is that of its last check, problems_at when damage was last found in it';
COMMENT ON COLUMN pgmaint.corruption_checks.relation IS 'the table, TOAST table, materialized view or index';
COMMENT ON COLUMN pgmaint.corruption_checks.kind IS 'table or index';
COMMENT ON COLUMN pgmaint.corruption_checks.method IS 'access method of the table or index';
COMMENT ON COLUMN pgmaint.corruption_checks.last_verified IS 'when the check began that last found it sound, the first of its parts where several runs shared it; null: never';
COMMENT ON COLUMN pgmaint.corruption_checks.outcome IS 'of the last check that came to its end: sound, damaged; else not finished (a check has begun), never checked';
COMMENT ON COLUMN pgmaint.corruption_checks.checked IS 'what that check did: heap (verify_heapam), index (bt_index_check or gin_index_check), index with parent (bt_index_parent_check); null: none came to its end';
COMMENT ON COLUMN pgmaint.corruption_checks.problems IS 'number of problems that it found; null where checked is';
COMMENT ON COLUMN pgmaint.corruption_checks.problems_at IS 'when a check last found damage; null: never';
COMMENT ON COLUMN pgmaint.corruption_checks.last_checked IS 'when the last check came to its end; null: none did';
COMMENT ON COLUMN pgmaint.corruption_checks.duration IS 'how long it took, or its last part where several runs shared it; null where checked is';
COMMENT ON COLUMN pgmaint.corruption_checks.bytes IS 'size of the relation in bytes when that check ended; null where checked is';
COMMENT ON COLUMN pgmaint.corruption_checks.message IS 'what the damage is; null: none was found';
COMMENT ON COLUMN pgmaint.corruption_checks.begun_at IS 'when a check last began, whether it came to its end or not; null: never';
COMMENT ON COLUMN pgmaint.corruption_checks.run_id IS 'the run whose check last came to its end, which may be forgotten by now; null where checked is';

-- Columns with a default that a sequence feeds are filled by it whether they
-- own it or not.
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
		-- the next step would be too long, however little that is
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
			THEN pg_catalog.pg_sequence_last_value(c.oid) END AS last_value,
		CASE WHEN s.seqincrement > 0 THEN least(s.seqmax, k.highest)
			ELSE greatest(s.seqmin, -1 - k.highest) END AS last_possible
) l
WHERE c.relpersistence <> 't'
ORDER BY used_ratio DESC, sequence;

COMMENT ON VIEW pgmaint.sequence_usage IS
	'how much of each sequence is used up, by the smallest integer type among the sequence and the columns that it fills; last_value is null where it was never used or may not be read';
COMMENT ON COLUMN pgmaint.sequence_usage.sequence IS 'the sequence';
COMMENT ON COLUMN pgmaint.sequence_usage."table" IS 'the table with the column of the smallest integer type that the sequence fills; null: it fills none';
COMMENT ON COLUMN pgmaint.sequence_usage."column" IS 'that column; null: there is none';
COMMENT ON COLUMN pgmaint.sequence_usage.type_name IS 'type of that column; null: there is none';
COMMENT ON COLUMN pgmaint.sequence_usage.last_value IS 'the value that was given last; null: the sequence was never used, or may not be read';
COMMENT ON COLUMN pgmaint.sequence_usage.last_possible IS 'the last value that both the sequence and the column allow';
COMMENT ON COLUMN pgmaint.sequence_usage.used_ratio IS 'share of the values that are used up, 0 to 1; 0 also where last_value is null';
COMMENT ON COLUMN pgmaint.sequence_usage.values_left IS 'how many values the sequence can still give';
COMMENT ON COLUMN pgmaint.sequence_usage.cycles IS 'whether the sequence begins anew when it has come to its end';

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
	-- 18 and later: what is not enforced is not meant to hold
	AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::boolean, true)
ORDER BY k.conrelid, k.conname;

COMMENT ON VIEW pgmaint.unvalidated_constraints IS
	'constraints that were added NOT VALID and never validated: rows that were there before may break them';
COMMENT ON COLUMN pgmaint.unvalidated_constraints.relation IS 'the table';
COMMENT ON COLUMN pgmaint.unvalidated_constraints."constraint" IS 'name of the constraint';
COMMENT ON COLUMN pgmaint.unvalidated_constraints.kind IS 'foreign key, check, not null';
COMMENT ON COLUMN pgmaint.unvalidated_constraints.command IS 'the command that validates it';

-- The catalog is asked, because the version does not tell: 19 was to have this
-- function, and its release candidate has not.
CREATE FUNCTION pgmaint_internal.checksums_hint()
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE WHEN EXISTS (
			SELECT FROM pg_proc p
			WHERE p.proname = 'pg_enable_data_checksums' AND p.pronamespace = 'pg_catalog'::regnamespace)
		THEN 'SELECT pg_enable_data_checksums() adds them while the server runs, and pg_stat_progress_data_checksums shows how far it is'
		ELSE 'pg_checksums --enable adds them while the server is down' END;
END;

COMMENT ON FUNCTION pgmaint_internal.checksums_hint() IS
	'how to turn data checksums on: with the server running where it can do that, else with the server stopped';

REVOKE ALL ON pgmaint_internal.corruption_results, pgmaint_internal.checksum_readings, pgmaint_internal.checkable_relations,
	pgmaint.corruption_checks, pgmaint.sequence_usage, pgmaint.unvalidated_constraints FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.corruption_results, pgmaint_internal.checksum_readings, pgmaint_internal.checkable_relations,
	pgmaint.corruption_checks, pgmaint.sequence_usage, pgmaint.unvalidated_constraints TO pg_monitor;
REVOKE ALL ON FUNCTION pgmaint_internal.checksums_hint() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.checksums_hint() TO pg_monitor;
