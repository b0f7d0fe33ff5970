#!/bin/bash
#
# The action reindex against reindexdb on a database with 200 indexes, of which
# 20 are bloated and a few others a little; and each decision against what
# pgstatindex, which reads every page, says of the index.

# shellcheck source=test/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# smaller indexes than these are not due, and seven tables differ from the others
tables=$(($(scaled 43) + 7))
rows=400000
threshold=0.3
runs=3
decisions=10

strategy=
if [ "$(sql "SELECT current_setting('server_version_num')::int >= 150000")" = t ]; then
	strategy='STRATEGY file_copy'
fi

note "a database of $tables tables with 4 indexes each"
sql_in template1 'CREATE DATABASE indexes'
sql_in indexes 'CREATE EXTENSION pgmaint; CREATE EXTENSION pgstattuple'
create_table()
{
	psql -X -q -v ON_ERROR_STOP=1 -d indexes -c "CREATE TABLE t$1 (id int PRIMARY KEY, number int, key bigint, created timestamptz);
		INSERT INTO t$1 SELECT g, hashint4(g), hashint8(g), now() - g * interval '1 minute' FROM generate_series(1, $rows) g;
		CREATE INDEX ON t$1 (number); CREATE INDEX ON t$1 (key); CREATE INDEX ON t$1 (created)"
}
export -f create_table
export rows
seq 1 "$tables" | xargs -P 2 -I '{}' bash -c 'create_table {}'
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

define_rebuild()
{
	sql_in "$1" "SELECT pgmaint.define_plan('rebuild', '[{\"action\": \"reindex\", \"options\": {\"bloat_threshold\": $threshold}}]')" >/dev/null
}

ours()
{
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

for ((i = 1; i <= runs; i++)); do
	note "round $i of $runs"
	fresh ours
	fresh theirs
	define_rebuild ours
	by_turns "$i" ours theirs
	note "$(rounds ours theirs), $(sql_in ours "SELECT round(extract(epoch FROM
		(SELECT min(t.started_at) FROM pgmaint.tasks t) - r.started_at), 2) FROM pgmaint.runs r") s to find out what is due"
done
rebuilt=$(sql_in ours "SELECT count(*) FROM pgmaint.tasks WHERE state = 'succeeded'")
our_bytes=$((before - $(size_of_indexes ours)))
their_bytes=$((before - $(size_of_indexes theirs)))

# Each dry run samples other pages.
note "deciding $decisions times what is due"
define_rebuild indexes
sql_in indexes 'CREATE TABLE decisions (round int, target text)'
for ((i = 1; i <= decisions; i++)); do
	sql_in indexes "INSERT INTO decisions SELECT $i, target FROM pgmaint.dry_run('rebuild')"
done
IFS='|' read -r wrong missed slight heavy <<< "$(sql_in indexes "
	SELECT count(*) FILTER (WHERE j.bloat < $threshold / 2 AND d.target IS NOT NULL), count(*) FILTER (WHERE j.bloat > $threshold * 2 AND d.target IS NULL),
		count(DISTINCT j.index) FILTER (WHERE j.bloat < $threshold / 2), count(DISTINCT j.index) FILTER (WHERE j.bloat > $threshold * 2)
	FROM judged j CROSS JOIN generate_series(1, $decisions) round
	LEFT JOIN decisions d ON d.round = round.round AND d.target = 'public.' || quote_ident(j.index)")"

what="\`reindex\`, $((tables * 4)) indexes, 20 of them bloated"
compare_row faster time "$what" "\`reindexdb --concurrently -j2\`" '{ratio >= 4}× faster' ours theirs
share=$(awk -v a="$our_bytes" -v b="$their_bytes" 'BEGIN { printf "%.1f", int(1000 * a / b) / 10 }')
row bytes "$what" "\`reindexdb --concurrently -j2\`" '{share >= 90} % of the bytes given back' \
	"$share % ($(awk -v a="$our_bytes" -v b="$their_bytes" 'BEGIN { printf "%.0f MB, %.0f MB", a / 1048576, b / 1048576 }')), $rebuilt rebuilt" \
	"share=$share" "rebuilt=$rebuilt"
row decisions "$what, $decisions times decided by a dry run" 'pgstatindex' \
	'{wrong = 0} rebuilt below half the threshold, {missed = 0} left alone above twice' \
	"$wrong and $missed (of $slight and $heavy indexes, $decisions times)" "wrong=$wrong" "missed=$missed"
sql_in template1 'DROP DATABASE ours'
sql_in template1 'DROP DATABASE theirs'
sql_in template1 'DROP DATABASE indexes'
