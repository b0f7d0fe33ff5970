#!/bin/bash
#
# Bloat: how quick, how near to the truth.  See test/tools/bench for how this
# is run.

here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=test/bench/lib.sh
. "$here/lib.sh"

# Nothing of the tables is left in memory: the server's buffers, 128 MB, are
# filled with other tables, each small enough not to be read through a ring of
# few buffers, and the system's are dropped.
make_cold()
{
	sql "$(printf 'SELECT count(*) FROM evicting%d;' 1 2 3 4 5 6)" >/dev/null
	drop_caches
}

# run_statement NAME: what is measured under that name
declare -A statements
run_statement()
{
	if [ "$state" = cold ]; then make_cold; fi
	# starting a session takes longer than what is measured
	told_seconds=$(statement_ms 1 "${statements[$1]}" | awk '{ printf "%.6f", $1 / 1000 }')
}

ours() { run_statement ours; }
exact() { run_statement exact; }
approx() { run_statement approx; }
one() { run_statement one; }
eight() { run_statement eight; }

# statements_by_turns COUNT NAME...: forgets what was measured under these names
# before
statements_by_turns()
{
	local round name count=$1
	shift

	for name in "$@"; do seconds_of[$name]='' cpu_of[$name]=''; done
	for ((round = 1; round <= count; round++)); do by_turns "$round" "$@"; done
}

several_seeds()
{
	printf "SELECT sum(bloat_ratio) FROM generate_series(1, 10) seed, LATERAL pgmaint.table_bloat('%s', seed => seed)" "$1"
}

states=warm
if can_drop_caches; then states='cold warm'; fi

note 'filling the tables'
psql -X -q -v ON_ERROR_STOP=1 -v scale="${BENCH_SCALE:-1}" -f "$here/bloat.sql" >/dev/null
for i in 1 2 3 4 5 6; do
	sql "CREATE UNLOGGED TABLE evicting$i AS SELECT repeat('x', 900) FROM generate_series(1, 28000)"
done
sql CHECKPOINT
size=$(sql "SELECT round(pg_relation_size('big') / 1e9, 1)")
small=$(sql "SELECT round(pg_relation_size('grown') / 1e9, 1)")

statements[ours]="SELECT bloat_ratio FROM pgmaint.table_bloat('big')"
statements[exact]="SELECT dead_tuple_percent FROM pgstattuple('big')"
statements[approx]="SELECT dead_tuple_percent FROM pgstattuple_approx('big')"
statements[one]=$(several_seeds grown)
statements[eight]=$(several_seeds grown8)
for state in $states; do
	note "table_bloat, $state"
	asked='60 30'
	if [ "$state" = warm ]; then asked='100 60'; fi
	# a first reading, so that what is warm is so for all of them
	if [ "$state" = warm ]; then sql "${statements[ours]}; ${statements[exact]}" >/dev/null; fi
	statements_by_turns 3 ours exact approx
	compare_row faster "table_$state" "table_bloat of $size GB, $state" pgstattuple "{ratio >= ${asked% *}}× faster" ours exact
	compare_row faster "table_approx_$state" "table_bloat of $size GB, $state" pgstattuple_approx "{ratio >= ${asked#* }}× faster" ours approx
	# how many blocks are enough is up to chance: so each with ten seeds
	if [ "$state" = warm ]; then sql 'SELECT count(*) FROM grown; SELECT count(*) FROM grown8' >/dev/null; fi
	statements_by_turns 5 eight one
	compare_row time "table_eight_$state" "table_bloat of 8 times the table, $state, ten seeds" "$small GB" '{ratio <= 1.5} times the time' eight one
done
sql 'DROP TABLE grown, grown8, big'

for shape in 'stretch:first 30 % of the table deleted' 'uniform:20 % of the rows deleted at random' \
	'rare:1 % of the pages empty' 'halves:half of the pages empty'; do
	note "table_bloat, ${shape#*:}"
	IFS='|' read -r inside largest blocks <<< "$(sql "SELECT * FROM coverage('${shape%%:*}')")"
	largest=$(awk -v m="$largest" 'BEGIN { printf "%.2f", m * 100 }')
	row "margin_${shape%%:*}" "table_bloat, ${shape#*:}, 200 seeds" 'the truth' \
		'margin holds for {held >= 93} %, and is {margin <= 1.5} points' \
		"$inside %, $largest points ($blocks blocks)" "held=$inside" "margin=$largest" "blocks=$blocks"
done
sql 'DROP TABLE stretch, uniform, rare, halves'

note 'building the indexes'
psql -X -q -v ON_ERROR_STOP=1 -v scale="${BENCH_SCALE:-1}" -f "$here/bloat_indexes.sql" >/dev/null
sql CHECKPOINT
size=$(sql "SELECT round(pg_relation_size('keyed_name') / 1e9, 1)")
statements[ours]="SELECT leaf_density FROM pgmaint.index_bloat('keyed_name')"
statements[exact]="SELECT avg_leaf_density FROM pgstatindex('keyed_name')"
for vacuumed in vacuumed 'not vacuumed'; do
	if [ "$vacuumed" != vacuumed ]; then
		sql 'DELETE FROM keyed WHERE hashint4(id) & 7 = 0'
		sql 'SELECT count(*) FROM keyed' >/dev/null
	fi
	for state in $states; do
		note "index_bloat, table $vacuumed, $state"
		if [ "$state" = warm ]; then sql 'SELECT count(*) FROM keyed' >/dev/null; fi
		asked=10
		if [ "$state" = cold ]; then asked=12; fi
		statements_by_turns 3 ours exact
		compare_row faster "index_${vacuumed/not vacuumed/dirty}_$state" "index_bloat of $size GB, table $vacuumed, $state" pgstatindex \
			"{ratio >= $asked}× faster" ours exact
	done
done
for state in 'not vacuumed' vacuumed; do
	note "index_bloat against REINDEX, $state"
	if [ "$state" = vacuumed ]; then sql 'VACUUM kinds'; fi
	answer=$(sql "
		BEGIN;
		SELECT round(100 * max(abs(estimate - gain))::numeric, 1), round(100 * max(abs(pgstatindex - gain))::numeric, 1),
			round(100 * max(abs(density))::numeric, 2)
		FROM held_against_reindex('kinds');
		ROLLBACK")
	IFS='|' read -r off peer density <<< "$answer"
	key=${state/not vacuumed/dirty}
	row "reindex_$key" "index_bloat, 4 indexes of a table, $state" 'what REINDEX gives back' 'off by {off <= 4} points' \
		"$off points (pgstatindex: $peer points)" "off=$off" "pgstatindex=$peer"
	row "density_$key" "index_bloat, 4 indexes of a table, $state" "pgstatindex's leaf density" 'off by {off <= 2} points' \
		"$density points" "off=$density"
done
sql 'DROP TABLE keyed, kinds, evicting1, evicting2, evicting3, evicting4, evicting5, evicting6'
