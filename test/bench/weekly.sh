#!/bin/bash
#
# The weekly plan against vacuumdb on a database of many tables, of which few
# need anything.
#
# Both work on a database of their own, which is the same but for pgmaint's ledger:
# before each round vacuumdb cleans both, and the same tables are made dirty.

# shellcheck source=test/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tables=$(scaled 2000)
due=$((tables / 20))
runs=5

# copying block by block would write the databases to the WAL as well
strategy=
if [ "$(sql "SELECT current_setting('server_version_num')::int >= 150000")" = t ]; then
	strategy='STRATEGY file_copy'
fi

note "two databases of $tables tables"
sql_in template1 'CREATE DATABASE weekly'
sql_in weekly 'CREATE EXTENSION pgmaint'
create_tables()
{
	psql -X -q -v ON_ERROR_STOP=1 -v part="$1" -v tables="$tables" -d weekly <<-'SQL'
		SELECT format('CREATE TABLE t%s (id int PRIMARY KEY, owner int, name text, email text, kind text, note text,
				amount numeric, tax numeric, state text, created timestamptz, changed timestamptz, done boolean);
			INSERT INTO t%s SELECT g, g %% 300, md5(g::text), md5(g::text) || ''@example.com'', ''kind '' || g %% 7,
				repeat(md5(g::text), 2), g * 1.19, g * 0.19, ''state '' || g %% 5, now() - g * interval ''1 hour'', now(), g %% 3 = 0
				FROM generate_series(1, 1500) g;
			CREATE INDEX ON t%s (owner);', t, t, t)
		FROM generate_series(1 + :part * :tables / 10, (:part + 1) * :tables / 10) t \gexec
	SQL
}
export -f create_tables
export tables
seq 0 9 | xargs -P 2 -I '{}' bash -c 'create_tables {}'
sql_in template1 "CREATE DATABASE vacuumed TEMPLATE weekly $strategy"
sql_in weekly "SELECT pgmaint.define_plan('upkeep', '[\"bloat_report\", \"retention\", \"vacuum\", \"vacuum_full\", \"analyze\"]')" > /dev/null

# make_dirty NAME
make_dirty()
{
	vacuumdb -q -z -j2 "$1"
	# which has many dead rows by now
	sql_in "$1" 'VACUUM pg_statistic'
	psql -X -q -v ON_ERROR_STOP=1 -v due="$due" -v every=$((tables / due)) -d "$1" <<-'SQL'
		SELECT format('UPDATE t%s SET changed = now()', :every * t)
		FROM generate_series(1, :due) t \gexec
		CHECKPOINT;
	SQL
}

# vacuumed_by RUNS: how many of the tables runs vacuumed, where RUNS is a condition;
# pg_statistic may be due, too
vacuumed_by()
{
	sql_in weekly "SELECT count(*) FROM pgmaint.tasks WHERE action = 'vacuum' AND target LIKE 'public.%' AND state = 'succeeded' AND run_id $1"
}

run_weekly()
{
	sql_in weekly "CALL pgmaint.run_and_wait('weekly')"
}

vacuum_all()
{
	vacuumdb -q -z -j2 vacuumed
}

weekly() { run_weekly; }
again() { run_weekly; }
vacuumdb_due() { vacuum_all; }
vacuumdb_again() { vacuum_all; }

# what of it vacuumdb does, too: without the plan's validation of the whole
# server, and without telling anybody
upkeep()
{
	sql_in weekly "CALL pgmaint.run_and_wait('upkeep')"
}

for ((i = 1; i <= runs; i++)); do
	note "round $i of $runs"
	make_dirty weekly
	make_dirty vacuumed
	by_turns "$i" weekly vacuumdb_due
	run=$(sql_in weekly 'SELECT max(run_id) FROM pgmaint.runs')
	done_now=$(vacuumed_by "= $run")
	[ "$done_now" = "$due" ] || { note "weekly vacuumed $done_now tables, not $due"; exit 1; }
	by_turns "$i" again vacuumdb_again upkeep
	done_now=$(vacuumed_by "> $run")
	[ "$done_now" = 0 ] || { note "weekly vacuumed $done_now tables for nothing"; exit 1; }
	note "$(rounds weekly vacuumdb_due again vacuumdb_again upkeep)"
done

against="\`vacuumdb -z -j2\`"
compare_row faster due "\`weekly\`, $tables tables, $due of them due" "$against" '{ratio >= 7}× faster' weekly vacuumdb_due
compare_row faster again "\`weekly\` again, nothing due" "$against" '{ratio >= 20}× faster' again vacuumdb_again
compare_row faster upkeep "\`weekly\` up to \`analyze\`, nothing due" "$against" '{ratio >= 20}× faster' upkeep vacuumdb_again

note 'the time of run() itself'
read -r ms low high <<< "$(PGDATABASE=weekly statement_ms 20 "SELECT pgmaint.run('weekly')")"
row returns "\`run('weekly')\` returns" 'nothing' '{ms < 10} ms' "$ms ms ($low to $high)" "ms=$ms"
while [ "$(sql_in weekly "SELECT count(*) FROM pgmaint.runs WHERE state IN ('queued', 'running')")" != 0 ]; do
	sleep 0.2
done
sql_in template1 'DROP DATABASE weekly'
sql_in template1 'DROP DATABASE vacuumed'
