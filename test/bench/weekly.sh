#!/bin/bash
#
# The weekly plan against vacuumdb on a database of many tables, of which few
# need anything.
#
# The counters of dead rows are no part of a template, so each database is made
# dirty after it has been copied.

# shellcheck source=test/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tables=2000
due=100
runs=3

# copying block by block would write the databases to the WAL as well
strategy=
if [ "$(sql "SELECT current_setting('server_version_num')::int >= 150000")" = t ]; then
	strategy='STRATEGY file_copy'
fi

note "a database of $tables tables"
for i in $(seq 0 9); do
	psql -X -q -v ON_ERROR_STOP=1 -v part="$i" -v tables="$tables" <<-'SQL'
		SELECT format('CREATE TABLE t%s (id int PRIMARY KEY, owner int, name text, email text, kind text, note text,
				amount numeric, tax numeric, state text, created timestamptz, changed timestamptz, done boolean);
			INSERT INTO t%s SELECT g, g %% 300, md5(g::text), md5(g::text) || ''@example.com'', ''kind '' || g %% 7,
				repeat(md5(g::text), 2), g * 1.19, g * 0.19, ''state '' || g %% 5, now() - g * interval ''1 hour'', now(), g %% 3 = 0
				FROM generate_series(1, 1500) g;
			CREATE INDEX ON t%s (owner);', t, t, t)
		FROM generate_series(1 + :part * :tables / 10, (:part + 1) * :tables / 10) t \gexec
	SQL
done
vacuumdb -q -z -j2 bench

# fresh NAME: a copy, in which some tables are dirty
fresh()
{
	sql_in template1 "DROP DATABASE IF EXISTS $1"
	sql_in template1 "CREATE DATABASE $1 TEMPLATE bench $strategy"
	psql -X -q -v ON_ERROR_STOP=1 -v due="$due" -v every=$((tables / due)) -d "$1" <<-'SQL'
		SELECT format('UPDATE t%s SET changed = now()', :every * t)
		FROM generate_series(1, :due) t \gexec
		CHECKPOINT;
	SQL
}

weekly()
{
	sql_in weekly "CALL pgmaint.run_and_wait('weekly')"
}

# what of it vacuumdb does, too: without the plan's validation of the whole
# server, and without telling anybody
upkeep()
{
	sql_in weekly "CALL pgmaint.run_and_wait('upkeep')"
}

vacuum_all()
{
	vacuumdb -q -z -j2 vacuumed
}

first_weekly=()
first_vacuumdb=()
second_weekly=()
second_vacuumdb=()
second_upkeep=()
for ((i = 1; i <= runs; i++)); do
	note "round $i of $runs"
	fresh weekly
	fresh vacuumed
	first_weekly+=("$(seconds weekly)")
	first_vacuumdb+=("$(seconds vacuum_all)")
	done_now=$(sql_in weekly "SELECT count(*) FROM pgmaint.tasks WHERE state = 'succeeded' AND action = 'vacuum'")
	[ "$done_now" = "$due" ] || { note "weekly vacuumed $done_now tables, not $due"; exit 1; }
	second_weekly+=("$(seconds weekly)")
	second_vacuumdb+=("$(seconds vacuum_all)")
	done_now=$(sql_in weekly "SELECT count(*) FROM pgmaint.tasks WHERE action = 'vacuum' AND run_id = (SELECT max(run_id) FROM pgmaint.runs)")
	[ "$done_now" = 0 ] || { note "weekly vacuumed $done_now tables for nothing"; exit 1; }
	sql_in weekly "SELECT pgmaint.define_plan('upkeep', '[\"bloat_report\", \"retention\", \"vacuum\", \"vacuum_full\", \"analyze\"]')" > /dev/null
	second_upkeep+=("$(seconds upkeep)")
	note "weekly ${first_weekly[-1]} s and ${second_weekly[-1]} s, vacuumdb ${first_vacuumdb[-1]} s and ${second_vacuumdb[-1]} s"
done

# compare WHAT ASKED OURS THEIRS
compare()
{
	row "$1" "\`vacuumdb -z -j2\`" "$2" \
		"$(awk -v a="$3" -v b="$4" 'BEGIN { printf "%.1f× faster (%.2f s, %.2f s)", b / a, a, b }')"
}

compare "\`weekly\`, $tables tables, $due of them due" '≥ 3.5× faster' \
	"$(printf '%s\n' "${first_weekly[@]}" | median)" \
	"$(printf '%s\n' "${first_vacuumdb[@]}" | median)"
compare "\`weekly\` again, nothing due" '≥ 20× faster' \
	"$(printf '%s\n' "${second_weekly[@]}" | median)" \
	"$(printf '%s\n' "${second_vacuumdb[@]}" | median)"
compare "\`weekly\` up to \`analyze\`, nothing due" '≥ 20× faster' \
	"$(printf '%s\n' "${second_upkeep[@]}" | median)" \
	"$(printf '%s\n' "${second_vacuumdb[@]}" | median)"

note 'the time of run() itself'
ms=$({
	printf '\\timing on\n'
	for i in $(seq 1 21); do printf "SELECT pgmaint.run('weekly');\n"; done
} | psql -X -q -A -t -d weekly | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -n 20 | median)
row "\`run('weekly')\` returns" 'nothing' '< 10 ms' "$(printf '%.1f ms' "$ms")"
while [ "$(sql_in weekly "SELECT count(*) FROM pgmaint.runs WHERE state IN ('queued', 'running')")" != 0 ]; do
	sleep 0.2
done
