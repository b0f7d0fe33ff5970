-- Invalid indexes of partitioned tables, and the commands that make them valid.

-- The server's form of an expression without its position in the command.  To
-- deparse it as SQL would wait for the table's lock.
CREATE FUNCTION pgmaint_internal.comparable(expression pg_catalog.pg_node_tree)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT regexp_replace(comparable.expression::text, E':location -?\\d+', '', 'g');
END;

COMMENT ON FUNCTION pgmaint_internal.comparable(pg_catalog.pg_node_tree) IS
	'the same text for the same expression of the same table; takes no lock';

-- An index of a partitioned table is valid once every partition has a valid
-- index attached to it: CREATE INDEX ON ONLY begins without any.  The server
-- checks that only when an index is attached: where the last one was invalid
-- and has been rebuilt since, attaching it again makes the server check again.
CREATE FUNCTION pgmaint_internal.invalid_partitioned_indexes()
RETURNS TABLE ("index" oid, relation oid, name text, being_built boolean, detail text, command text)
LANGUAGE sql STABLE ROWS 1 COST 1000
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH
	busy AS MATERIALIZED (
		SELECT l.relation FROM pgmaint_internal.index_build_locks l
	),
	invalid AS MATERIALIZED (
		SELECT i.*, c.relam, c.relname, format('%I.%I', n.nspname, c.relname) AS name, format('%I.%I', m.nspname, t.relname) AS table_name,
			o.oid AS con, o.contype, concat(CASE WHEN o.condeferrable THEN ' DEFERRABLE' END, CASE WHEN o.condeferred THEN ' INITIALLY DEFERRED' END) AS timing,
			format('CREATE %sINDEX %I ON ONLY %I.%I USING ', CASE WHEN i.indisunique THEN 'UNIQUE ' END, c.relname, m.nspname, t.relname) AS head
		FROM pg_index i
		JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'I'
		JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_class t ON t.oid = i.indrelid
		JOIN pg_namespace m ON m.oid = t.relnamespace
		LEFT JOIN pg_constraint o ON o.conindid = i.indexrelid AND o.conrelid = i.indrelid AND o.contype IN ('p', 'u', 'x')
		WHERE NOT i.indisvalid AND c.relpersistence <> 't'
	),
	-- to deparse the definition would wait for a lock on the table
	defined AS MATERIALIZED (
		SELECT v.indexrelid, CASE WHEN l.locked THEN NULL ELSE substr(pg_get_indexdef(v.indexrelid), length(v.head) + 1) END AS columns,
			CASE WHEN v.con IS NOT NULL AND NOT l.locked THEN pg_get_constraintdef(v.con) END AS con_columns
		FROM invalid v
		CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_locks l WHERE l.relation = v.indrelid AND l.mode = 'AccessExclusiveLock') AS locked) l
	),
	parts AS MATERIALIZED (
		SELECT v.indexrelid AS parent, p.oid AS part, p.relkind, format('%I.%I', n.nspname, p.relname) AS part_name,
			a.indexrelid IS NOT NULL AS attached, coalesce(a.indexrelid, e.indexrelid) AS child,
			coalesce(a.indisvalid, e.indisvalid) AS valid, c.relkind AS child_kind,
			CASE WHEN c.oid IS NOT NULL THEN format('%I.%I', cn.nspname, c.relname) END AS child_name, quote_ident(c.relname) AS child_short,
			EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = c.oid AND o.conrelid = p.oid AND o.contype IN ('p', 'u', 'x')) AS child_con,
			quote_ident(w.name) AS new_short, format('%I.%I', n.nspname, w.name) AS new_name
		FROM invalid v
		JOIN pg_inherits h ON h.inhparent = v.indrelid
		JOIN pg_class p ON p.oid = h.inhrelid
		JOIN pg_namespace n ON n.oid = p.relnamespace
		-- no longer than a name may be, in any encoding
		CROSS JOIN LATERAL (
			SELECT concat(left(p.relname, CASE WHEN octet_length(p.relname::text) = length(p.relname::text) THEN 34 ELSE 8 END),
				'_', p.oid, '_', v.indexrelid, '_idx') AS name
		) w
		LEFT JOIN LATERAL (
			SELECT i.indexrelid, i.indisvalid
			FROM pg_inherits x
			JOIN pg_index i ON i.indexrelid = x.inhrelid
			WHERE x.inhparent = v.indexrelid AND i.indrelid = p.oid
		) a ON true
		-- an index that is not attached yet
		LEFT JOIN LATERAL (
			SELECT i.indexrelid, i.indisvalid
			FROM pg_index i
			JOIN pg_class k ON k.oid = i.indexrelid
			WHERE a.indexrelid IS NULL AND i.indrelid = p.oid AND k.relam = v.relam
				AND i.indisunique = v.indisunique AND i.indislive
				AND i.indnkeyatts = v.indnkeyatts AND i.indnatts = v.indnatts
				AND i.indclass = v.indclass AND i.indcollation = v.indcollation AND i.indoption = v.indoption
				AND pgmaint_internal.comparable(i.indexprs) IS NOT DISTINCT FROM pgmaint_internal.comparable(v.indexprs)
				AND pgmaint_internal.comparable(i.indpred) IS NOT DISTINCT FROM pgmaint_internal.comparable(v.indpred)
				-- columns have the same names, not the same numbers
				AND NOT EXISTS (
					SELECT FROM unnest(i.indkey::int2[], v.indkey::int2[]) AS u (mine, theirs)
					LEFT JOIN pg_attribute b ON b.attrelid = p.oid AND b.attnum = u.mine
					LEFT JOIN pg_attribute t ON t.attrelid = v.indrelid AND t.attnum = u.theirs
					WHERE b.attname IS DISTINCT FROM t.attname)
				AND NOT EXISTS (SELECT FROM pg_inherits x WHERE x.inhrelid = i.indexrelid)
				AND (v.con IS NOT NULL OR NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid AND o.conrelid = p.oid))
			ORDER BY i.indisvalid DESC, i.indexrelid
			LIMIT 1
		) e ON true
		LEFT JOIN pg_class c ON c.oid = coalesce(a.indexrelid, e.indexrelid)
		LEFT JOIN pg_namespace cn ON cn.oid = c.relnamespace
	),
	-- the fault of each partition, and the commands that repair it
	steps AS MATERIALIZED (
		SELECT s.*, v.name,
			CASE
				WHEN s.attached AND s.valid THEN NULL
				WHEN s.attached THEN format('%s of partition %s is invalid', s.child_name, s.part_name)
				WHEN s.relkind = 'f' THEN format('partition %s is a foreign table, which has no indexes', s.part_name)
				WHEN s.child IS NOT NULL THEN format('%s of partition %s is not attached', s.child_name, s.part_name)
				ELSE format('partition %s has no such index%s', s.part_name, CASE WHEN s.relkind = 'p' THEN ', and its own partitions may lack one too' END) END AS fault,
			CASE
				WHEN s.relkind = 'f' OR s.attached AND s.valid OR s.child_kind = 'I' AND s.attached THEN ''
				ELSE concat(
					CASE
						WHEN s.child IS NOT NULL AND NOT s.valid AND s.child_kind = 'i' THEN format(E'REINDEX INDEX CONCURRENTLY %s;\n', s.child_name)
						WHEN s.child IS NOT NULL THEN NULL
						WHEN s.relkind = 'p' AND v.con IS NOT NULL THEN format(E'ALTER TABLE ONLY %s ADD CONSTRAINT %s %s;\n', s.part_name, s.new_short, d.con_columns)
						WHEN s.relkind = 'p' THEN format(E'CREATE %sINDEX %s ON ONLY %s USING %s;\n', u.kind, s.new_short, s.part_name, d.columns)
						WHEN v.contype = 'x' THEN format(E'ALTER TABLE %s ADD CONSTRAINT %s %s;\n', s.part_name, s.new_short, d.con_columns)
						ELSE format(E'CREATE %sINDEX CONCURRENTLY %s ON %s USING %s;\n', u.kind, s.new_short, s.part_name, d.columns) END,
					CASE WHEN v.contype IN ('p', 'u') AND s.relkind <> 'p' AND NOT s.attached AND NOT s.child_con
						THEN format(E'ALTER TABLE %1$s ADD CONSTRAINT %2$s %3$s USING INDEX %2$s%4$s;\n', s.part_name, coalesce(s.child_short, s.new_short),
							CASE v.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, v.timing) END,
					format(E'ALTER INDEX %s ATTACH PARTITION %s;\n', v.name, coalesce(s.child_name, s.new_name))) END AS commands
		FROM parts s
		JOIN invalid v ON v.indexrelid = s.parent
		JOIN defined d ON d.indexrelid = s.parent
		CROSS JOIN LATERAL (SELECT CASE WHEN v.indisunique THEN 'UNIQUE ' END AS kind) u
	),
	states AS (
		SELECT v.indexrelid, d.columns,
			count(s.part) AS parts,
			count(s.fault) AS faults,
			count(*) FILTER (WHERE s.relkind = 'f') AS foreign_tables,
			string_agg(s.fault, '; ' ORDER BY s.nth) FILTER (WHERE s.nth <= 5) AS named,
			string_agg(s.commands, '' ORDER BY s.part_name) AS commands,
			min(s.child_name) FILTER (WHERE s.attached) AS any_child,
			coalesce(bool_or(s.part IN (SELECT b.relation FROM busy b)), false) OR v.indrelid IN (SELECT b.relation FROM busy b) AS being_built
		FROM invalid v
		JOIN defined d ON d.indexrelid = v.indexrelid
		LEFT JOIN (SELECT x.*, row_number() OVER (PARTITION BY x.parent ORDER BY x.fault IS NULL, x.part_name) AS nth FROM steps x) s ON s.parent = v.indexrelid
		GROUP BY v.indexrelid, v.indrelid, d.columns
	)
	SELECT v.indexrelid, v.indrelid, v.name, s.being_built,
		CASE
			WHEN s.parts = 0 THEN 'the table has no partitions'
			WHEN s.faults = 0 THEN 'the indexes of all partitions are valid now, but the server has not checked since'
			ELSE concat(s.named, CASE WHEN s.faults > 5 THEN format('; and %s more', s.faults - 5) END) END,
		CASE
			WHEN s.columns IS NULL OR s.foreign_tables > 0 THEN NULL
			WHEN s.parts = 0 THEN CASE WHEN v.con IS NULL THEN format(E'DROP INDEX %s;\nCREATE %sINDEX %I ON %s USING %s', v.name,
				CASE WHEN v.indisunique THEN 'UNIQUE ' END, v.relname, v.table_name, s.columns) END
			WHEN s.commands = '' THEN format('ALTER INDEX %s ATTACH PARTITION %s', v.name, s.any_child)
			ELSE rtrim(s.commands, E';\n') END
	FROM invalid v
	JOIN states s ON s.indexrelid = v.indexrelid
	ORDER BY v.name;
END;

COMMENT ON FUNCTION pgmaint_internal.invalid_partitioned_indexes() IS
	'invalid indexes of partitioned tables: detail names the partitions without a valid attached index, command the commands that repair the index; command is null where there are none, or the table is locked';

REVOKE ALL ON FUNCTION pgmaint_internal.comparable(pg_catalog.pg_node_tree), pgmaint_internal.invalid_partitioned_indexes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.comparable(pg_catalog.pg_node_tree), pgmaint_internal.invalid_partitioned_indexes() TO pg_monitor;
