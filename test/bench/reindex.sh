#!/bin/bash
#
# The action reindex against reindexdb on a database with 200 indexes, of which
# 20 are bloated and a few others a little; and each decision against what
# pgstatindex, which reads every page, says of the index.

# shellcheck source=test/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tables=50
rows=400000
threshold=0.3
runs=3

strategy=
if [ "$(sql "SELECT current_setting('server_version_num')::int >= 150000")" = t ]; then
	strategy='STRATEGY file_copy'
fi

note "a database of $tables tables with 4 indexes each"
sql_in template1 'CREATE DATABASE indexes'
sql_in indexes 'CREATE EXTENSION pgmaint; CREATE EXTENSION pgstattuple'
for i in $(seq 1 "$tables"); do
	sql_in indexes "CREATE TABLE t$i (id int PRIMARY KEY, number int, key bigint, created timestamptz);
		INSERT INTO t$i SELECT g, hashint4(g), hashint8(g), now() - g * interval '1 minute' FROM generate_series(1, $rows) g;
		CREATE INDEX ON t$i (number); CREATE INDEX ON t$i (key); CREATE INDEX ON t$i (created)"
done
# five tables have lost most of their rows, two some of them
for i in 1:50 2:60 3:65 4:70 5:80 6:10 7:10; do
	sql_in indexes "DELETE FROM t${i%:*} WHERE hashint4(id + 7) & 127 < 1.28 * ${i#*:}"
done
vacuumdb -q -z -j2 indexes
sql_in indexes 'CHECKPOINT'

fresh()
{
	sql_in template1 "DROP DATABASE IF EXISTS $1"
	sql_in template1 "CREATE DATABASE $1 TEMPLATE indexes $strategy"
	sql_in "$1" 'CHECKPOINT'
}

size_of_indexes()
{
	sql_in "$1" "SELECT sum(pg_relation_size(i.indexrelid)) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
		WHERE c.relnamespace = 'public'::regnamespace"
}

ours()
{
	sql_in ours "DO \$\$ BEGIN PERFORM pgmaint.define_plan('rebuild', '[{\"action\": \"reindex\", \"options\": {\"bloat_threshold\": $threshold}}]'); END \$\$"
	sql_in ours "CALL pgmaint.run_and_wait('rebuild')"
}

theirs()
{
	reindexdb -q --concurrently -j2 theirs
}

note 'what pgstatindex says'
sql_in indexes "CREATE TABLE judged AS SELECT c.relname AS index,
	1 - (1 + s.leaf_pages * s.avg_leaf_density / 90 * 1.005) * current_setting('block_size')::int / s.index_size AS bloat
	FROM pg_class c CROSS JOIN LATERAL pgstatindex(c.oid::regclass) s
	WHERE c.relkind = 'i' AND c.relnamespace = 'public'::regnamespace"
before=$(size_of_indexes indexes)

our_times=()
their_times=()
for ((i = 1; i <= runs; i++)); do
	note "round $i of $runs"
	fresh ours
	fresh theirs
	our_times+=("$(seconds ours)")
	their_times+=("$(seconds theirs)")
	note "reindex ${our_times[-1]} s, $(sql_in ours "SELECT round(extract(epoch FROM
		(SELECT min(t.started_at) FROM pgmaint.tasks t) - r.started_at), 2) FROM pgmaint.runs r") s of them to find out what is due, reindexdb ${their_times[-1]} s"
done
rebuilt=$(sql_in ours "SELECT count(*) FROM pgmaint.tasks WHERE state = 'succeeded'")
wrong=$(sql_in ours "SELECT count(*) FROM judged j
	WHERE j.bloat < $threshold / 2 AND EXISTS (SELECT FROM pgmaint.tasks t WHERE t.target = 'public.' || quote_ident(j.index))")
missed=$(sql_in ours "SELECT count(*) FROM judged j
	WHERE j.bloat > $threshold * 2 AND NOT EXISTS (SELECT FROM pgmaint.tasks t
		WHERE t.target = 'public.' || quote_ident(j.index) AND t.state = 'succeeded')")
our_bytes=$((before - $(size_of_indexes ours)))
their_bytes=$((before - $(size_of_indexes theirs)))

what="\`reindex\`, $((tables * 4)) indexes, 20 of them bloated"
a=$(printf '%s\n' "${our_times[@]}" | median)
b=$(printf '%s\n' "${their_times[@]}" | median)
row "$what" "\`reindexdb --concurrently -j2\`" '≥ 4× faster' \
	"$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.1f× faster (%.2f s, %.2f s)", b / a, a, b }')"
row "$what" "\`reindexdb --concurrently -j2\`" 'at least 90 % of the bytes given back' \
	"$(awk -v a="$our_bytes" -v b="$their_bytes" -v n="$rebuilt" 'BEGIN { printf "%.1f %% (%.0f MB, %.0f MB), %d rebuilt", 100 * a / b, a / 1048576, b / 1048576, n }')"
row "$what" 'pgstatindex' 'none rebuilt below half the threshold, none missed above twice' \
	"$wrong, $missed (of $(sql_in ours "SELECT count(*) FROM judged WHERE bloat < $threshold / 2"), $(sql_in ours "SELECT count(*) FROM judged WHERE bloat > $threshold * 2"))"
sql_in template1 'DROP DATABASE ours'
sql_in template1 'DROP DATABASE theirs'
sql_in template1 'DROP DATABASE indexes'
