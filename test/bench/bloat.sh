#!/bin/bash
#
# Bloat: how quick, how near to the truth.  See test/tools/bench for how this
# is run.

here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=test/bench/lib.sh
. "$here/lib.sh"

# the time that a statement takes in a session that was there before: starting
# one takes longer than what is measured
statement_seconds()
{
	{
		printf 'SELECT 1;\nLOAD '"'pgmaint'"';\n\\timing on\n'
		printf '%s;\n' "$1"
	} | psql -X -q -A -t -v ON_ERROR_STOP=1 |
		awk '/^Time:/ { printf "%.6f\n", $2 / 1000 }'
}

# Nothing of the tables is left in memory: the server's buffers, 128 MB, are
# filled with other tables, each small enough not to be read through a ring of
# few buffers, and the system's are dropped.
make_cold()
{
	sql "$(printf 'SELECT count(*) FROM evicting%d;' 1 2 3 4 5 6)" >/dev/null
	drop_caches
}

# compare COUNT STATE OURS PEER...: the median seconds of each, taken by turns
compare()
{
	local count=$1 state=$2 i s
	local -a times
	shift 2
	local -a statements=("$@")

	for ((i = 0; i < count; i++)); do
		for s in "${!statements[@]}"; do
			if [ "$state" = cold ]; then make_cold; fi
			times[s]+="$(statement_seconds "${statements[s]}") "
		done
	done
	for s in "${!statements[@]}"; do
		tr ' ' '\n' <<< "${times[s]}" | sed '/^$/d' | median
	done | tr '\n' ' '
}

several_seeds()
{
	printf "SELECT sum(bloat_ratio) FROM generate_series(1, 10) seed, LATERAL pgmaint.table_bloat('%s', seed => seed)" "$1"
}

times()
{
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.0f times (%.1f ms, %.0f ms)", b / a, a * 1000, b * 1000 }'
}

states=warm
if can_drop_caches; then states='cold warm'; fi

note 'filling the tables'
psql -X -q -v ON_ERROR_STOP=1 -f "$here/bloat.sql" >/dev/null
for i in 1 2 3 4 5 6; do
	sql "CREATE UNLOGGED TABLE evicting$i AS SELECT repeat('x', 900) FROM generate_series(1, 28000)"
done
sql CHECKPOINT
size=$(sql "SELECT round(pg_relation_size('big') / 1e9, 1)")

table="SELECT bloat_ratio FROM pgmaint.table_bloat('big')"
for state in $states; do
	note "table_bloat, $state"
	asked='60 30'
	if [ "$state" = warm ]; then asked='100 60'; fi
	# a first reading, so that what is warm is so for all of them
	if [ "$state" = warm ]; then sql "$table; SELECT * FROM pgstattuple('big')" >/dev/null; fi
	read -r ours exact approx <<< "$(compare 3 "$state" "$table" \
		"SELECT dead_tuple_percent FROM pgstattuple('big')" \
		"SELECT dead_tuple_percent FROM pgstattuple_approx('big')")"
	row "table_bloat of $size GB, $state" pgstattuple "at least ${asked% *} times as fast" "$(times "$ours" "$exact")"
	row "table_bloat of $size GB, $state" pgstattuple_approx "at least ${asked#* } times as fast" "$(times "$ours" "$approx")"
	# how many blocks are enough is up to chance: so each with several seeds
	if [ "$state" = warm ]; then sql 'SELECT count(*) FROM grown; SELECT count(*) FROM grown8' >/dev/null; fi
	read -r one eight <<< "$(compare 5 "$state" "$(several_seeds grown)" "$(several_seeds grown8)")"
	row "table_bloat, 8 times the table, $state" '1 GB' 'at most 1.5 times the time' \
		"$(awk -v a="$one" -v b="$eight" 'BEGIN { printf "%.2f times (%.1f ms, %.1f ms)", b / a, a * 100, b * 100 }')"
done
sql 'DROP TABLE grown, grown8, big'

for shape in 'stretch:first 30 % of the table deleted' 'uniform:20 % of the rows deleted at random' \
	'rare:1 % of the pages empty' 'halves:half of the pages empty'; do
	note "table_bloat, ${shape#*:}"
	IFS='|' read -r inside largest blocks <<< "$(sql "SELECT * FROM coverage('${shape%%:*}')")"
	row "table_bloat, ${shape#*:}, 200 seeds" 'the truth' 'margin holds for at least 93 %, and is at most 1.5 points' \
		"$(awk -v i="$inside" -v m="$largest" -v b="$blocks" 'BEGIN { printf "%.1f %%, %.2f points (%d blocks)", i, m * 100, b }')"
done
sql 'DROP TABLE stretch, uniform, rare, halves'

note 'building the indexes'
psql -X -q -v ON_ERROR_STOP=1 -f "$here/bloat_indexes.sql" >/dev/null
sql CHECKPOINT
size=$(sql "SELECT round(pg_relation_size('keyed_name') / 1e9, 1)")
index="SELECT leaf_density FROM pgmaint.index_bloat('keyed_name')"
for vacuumed in vacuumed 'not vacuumed'; do
	if [ "$vacuumed" != vacuumed ]; then
		sql 'DELETE FROM keyed WHERE hashint4(id) & 7 = 0'
		sql 'SELECT count(*) FROM keyed' >/dev/null
	fi
	for state in $states; do
		note "index_bloat, table $vacuumed, $state"
		if [ "$state" = warm ]; then sql 'SELECT count(*) FROM keyed' >/dev/null; fi
		read -r ours exact <<< "$(compare 3 "$state" "$index" "SELECT avg_leaf_density FROM pgstatindex('keyed_name')")"
		row "index_bloat of $size GB, table $vacuumed, $state" pgstatindex 'at least 10 times as fast' "$(times "$ours" "$exact")"
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
	row "index_bloat, 4 indexes of a table, $state" 'what REINDEX gives back' 'within 4 points' \
		"$off points (pgstatindex: $peer points)"
	row "index_bloat, 4 indexes of a table, $state" "pgstatindex's leaf density" 'within 2 points' "$density points"
done
sql 'DROP TABLE keyed, kinds'
