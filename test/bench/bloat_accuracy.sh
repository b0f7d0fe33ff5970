#!/bin/bash
#
# Bloat: does the margin hold?  Tables and indexes of many kinds are measured
# with 30 seeds each, and then written anew: what that gave back is the truth.
# Set BLOAT_ACCURACY to a file to have the figures of every object there.  See
# test/tools/bench for how this is run.

here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=test/bench/lib.sh
. "$here/lib.sh"

note 'filling tables of all kinds'
psql -X -q -v ON_ERROR_STOP=1 -f "$here/bloat_accuracy.sql" >/dev/null
# hint bits, as whoever reads a table sets them
psql -X -q -v ON_ERROR_STOP=1 >/dev/null <<-'SQL'
	SELECT format('SELECT count(*) FROM %s', oid::regclass) FROM pg_class
	WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace \gexec
	CREATE TABLE objects AS
	SELECT oid::regclass AS object, relkind = 'i' AS is_index, NULL::bigint AS before, NULL::bigint AS after
	FROM pg_class WHERE relnamespace = 'public'::regnamespace AND (relkind = 'r' AND relname LIKE 't\_%' OR relkind = 'i' AND relname LIKE 'i\_%');
	CREATE FUNCTION size_of(relation regclass) RETURNS bigint LANGUAGE sql AS $$
		SELECT pg_relation_size($1) + coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0) FROM pg_class WHERE oid = $1
	$$;
	UPDATE objects SET before = size_of(object);
	CREATE TABLE told (object regclass, bloat_ratio float8, margin float8, share float8);
SQL

seeds=30
note "measuring them with $seeds seeds"
psql -X -q -v ON_ERROR_STOP=1 -v seeds="$seeds" >/dev/null <<-'SQL'
	INSERT INTO told
	SELECT o.object, b.bloat_ratio, b.margin, b.sampled_blocks / b.total_blocks::float8
	FROM objects o, generate_series(1, :seeds) seed, LATERAL pgmaint.table_bloat(o.object, seed => seed) b WHERE NOT o.is_index;
	INSERT INTO told
	SELECT o.object, b.bloat_ratio, b.margin, b.sampled_blocks / b.total_blocks::float8
	FROM objects o, generate_series(1, :seeds) seed, LATERAL pgmaint.index_bloat(o.object, seed => seed) b WHERE o.is_index;
SQL

note 'writing them anew'
psql -X -q -v ON_ERROR_STOP=1 >/dev/null <<-'SQL'
	SELECT format('%s %s', CASE WHEN is_index THEN 'REINDEX INDEX' ELSE 'VACUUM FULL' END, object) FROM objects \gexec
	UPDATE objects SET after = size_of(object);
	CREATE VIEW accuracy AS
	SELECT o.object, o.is_index, 100 * (1 - o.after::float8 / o.before) AS truth,
		100 * avg(t.bloat_ratio) AS told,
		100 * max(abs(t.bloat_ratio - (1 - o.after::float8 / o.before))) AS off,
		count(*) FILTER (WHERE abs(t.bloat_ratio - (1 - o.after::float8 / o.before)) <= t.margin + 1e-9) AS held,
		count(t.bloat_ratio) AS measured, 100 * avg(t.margin) AS margin, 100 * avg(t.share) AS read
	FROM objects o JOIN told t USING (object) GROUP BY o.object, o.is_index, o.after, o.before;
SQL
sql "SELECT o.object, to_char(truth, '990.99'), to_char(told, '990.99'), to_char(off, '990.99'), held, measured, to_char(margin, '990.99'), to_char(read, '990')
	FROM accuracy o ORDER BY is_index, o.object::text COLLATE \"C\"" | tee "${BLOAT_ACCURACY:-/dev/null}" >&2

for indexes in false true; do
	IFS='|' read -r objects held worst margin <<< "$(sql "
		SELECT count(*) FILTER (WHERE measured > 0), round(100.0 * sum(held) / nullif(sum(measured), 0), 1),
			round(min(100.0 * held / nullif(measured, 0)), 1), round(avg(margin)::numeric, 2)
		FROM accuracy WHERE is_index = $indexes")"
	name=table_bloat kind=tables key=tables truth='VACUUM FULL'
	if [ $indexes = true ]; then name=index_bloat kind=B-trees key=indexes truth=REINDEX; fi
	row "$key" "$name, $objects $kind of many kinds, $seeds seeds each" "what $truth gave back" \
		"margin holds for {held >= 95} %, and for {worst >= 90} % of each" \
		"$held %, worst $worst %; margin $margin points on average" \
		"held=$held" "worst=$worst" "margin=$margin" "objects=$objects"
done
psql -X -q -v ON_ERROR_STOP=1 >/dev/null <<-'SQL'
	SELECT format('DROP TABLE IF EXISTS %s CASCADE', c.oid::regclass) FROM pg_class c
	WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
		AND (c.relname ~ '^[tx]_' OR c.relname IN ('base', 'objects', 'told')) \gexec
	DROP FUNCTION size_of, noise, chance;
SQL
