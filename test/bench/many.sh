#!/bin/bash
#
# A database of 20,000 tables: 15,000 small ones in ten schemas, with two indexes
# each, and 5,000 that later are the partitions of one.  What must not take
# longer, or more memory, for every table, task or partition that there is.

here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=test/bench/lib.sh
. "$here/lib.sh"

tables=$(scaled 1500)
partitions=$(scaled 5000)
count=$((10 * tables + partitions))
runs=3
export PGDATABASE=many

# wait until no run goes on
wait_for_runs()
{
	until [ "$(sql "SELECT count(*) FROM pgmaint.runs WHERE state IN ('queued', 'running')")" = 0 ]; do sleep 0.1; done
}

# statement_row KEY WHAT ASKED STATEMENT [lines]: a row about a statement, each time
# in a session of its own, with the number of lines that it prints
statement_row()
{
	local seconds low high lines='' limit=60

	for _ in 1 2 3; do
		if ! PGOPTIONS="${PGOPTIONS:-} -c statement_timeout=${limit}s" statement_ms 1 "$4" "$folder/output"; then
			note "it was stopped after $limit seconds"
			printf '%s\n' "${limit}000"
			break
		fi
	done > "$folder/times"
	read -r seconds low high <<< "$(sort -g "$folder/times" | awk '{ n[NR] = $1 / 1000 }
		END { printf "%.3f %.3f %.3f\n", n[int((NR + 1) / 2)], n[1], n[NR] }')"
	# without the line before it, and the time
	if [ -n "${5:-}" ] && ! grep -q "^${limit}000$" "$folder/times"; then lines=", $(($(wc -l < "$folder/output") - 2)) lines"; fi
	row "$1" "$2" 'nothing' "$3" "$seconds s ($low to $high)$lines" "seconds=$seconds"
}

folder=$(mktemp -d "${TMPDIR:-/tmp}/pgmaint.bench.XXXXXX")
trap 'rm -rf "$folder"' EXIT

note "a database of $count tables"
sql_in template1 'CREATE DATABASE many'
sql 'CREATE EXTENSION pgmaint; CREATE EXTENSION amcheck'
sql_in template1 'ALTER SYSTEM SET fsync = off'
sql_in template1 'SELECT pg_reload_conf()' >/dev/null
newest=$(sql "SELECT to_char(now() AT TIME ZONE 'UTC' + '10 days', 'YYYY-MM-DD')")
printf '%s\n' 10 0 1 2 3 4 5 6 7 8 9 |
	xargs -P 2 -I '{}' psql -X -q -A -t -v part='{}' -v tables="$tables" -v partitions="$partitions" -v newest="$newest" -f "$here/many.sql"
vacuumdb -q -Z -j2 many
sql_in template1 'ALTER SYSTEM RESET fsync'
sql_in template1 'SELECT pg_reload_conf()' >/dev/null
sync
sql 'CHECKPOINT'

sql "SELECT pgmaint.define_plan('analyze_all', '[{\"action\": \"analyze\", \"options\": {\"scope\": \"all\"}}]'),
	pgmaint.define_plan('one_vacuum', '[{\"action\": \"vacuum\", \"options\": {\"tables\": \"s0.t1\"}}]'),
	pgmaint.define_plan('age_out', '[\"retention\"]')" >/dev/null

# what autovacuum does elsewhere
vacuum_catalogs()
{
	sql 'VACUUM (ANALYZE) pg_statistic'
	sql 'VACUUM (ANALYZE) pgmaint.tasks'
	sql 'CHECKPOINT'
}

analyze_all()
{
	sql "CALL pgmaint.run_and_wait('analyze_all')"
}

vacuumdb_all()
{
	vacuumdb -q -Z -j2 many
}

for ((i = 1; i <= runs; i++)); do
	note "ANALYZE, round $i of $runs"
	BETWEEN=vacuum_catalogs by_turns "$i" analyze_all vacuumdb_all
	note "$(rounds analyze_all vacuumdb_all)"
done
# the run with the median of how even it was
IFS='|' read -r run tasks even first middle last <<< "$(sql "
	SELECT run_id, tasks, even, rates[1], rates[3], rates[5] FROM (
		SELECT run_id, sum(tasks) AS tasks, array_agg(round(rate) ORDER BY fifth) AS rates, trunc(100 * min(rate) / max(rate)) AS even
		FROM (
			SELECT run_id, fifth, count(*) AS tasks,
				(count(*) - 1) / extract(epoch FROM max(finished_at) - min(finished_at)) AS rate
			FROM (
				SELECT t.run_id, t.finished_at, ntile(5) OVER (PARTITION BY t.run_id ORDER BY t.finished_at) AS fifth
				FROM pgmaint.tasks t JOIN pgmaint.runs r USING (run_id)
				WHERE r.plan = 'analyze_all' AND t.state = 'succeeded') done
			GROUP BY run_id, fifth) rates
		GROUP BY run_id) runs
	ORDER BY even OFFSET $((runs / 2)) LIMIT 1")"
[ "$tasks" -ge "$count" ] || { note "there were $tasks tasks for $count tables"; exit 1; }
compare_row time analyze "\`analyze\` of all, $tasks tasks" "\`vacuumdb -Z -j2\`" '{ratio <= 1.3} times the time' analyze_all vacuumdb_all
row even "the slowest fifth of these tasks" 'the fastest fifth' '{even >= 70} % of the tasks per second' \
	"$even % (first fifth $first tasks per second, middle $middle, last $last)" "even=$even" "first=$first" "middle=$middle" "last=$last"

note 'reports'
statement_row report "\`report()\` of $tasks tasks" '{seconds < 1} s' "SELECT pgmaint.report($run)" lines
statement_row report_html "\`report_html()\` of $tasks tasks" '{seconds < 1} s' "SELECT pgmaint.report_html($run)" lines

# A run as it is when tasks fail: each is a finding.  The first look notes them,
# and writes the message; the others follow them.
alerts=$(scaled 1000)
note "following $alerts alerts"
sql "SELECT pgmaint.add_contact('dba', 'notify:bench')" >/dev/null
psql -X -q -v ON_ERROR_STOP=1 -v run="$run" -v alerts="$alerts" <<-'SQL'
	WITH failed AS (
		UPDATE pgmaint.tasks SET state = 'failed', error = 'it failed'
		WHERE task_id IN (SELECT task_id FROM pgmaint.tasks WHERE run_id = :run ORDER BY task_id LIMIT :alerts)
		RETURNING *)
	INSERT INTO pgmaint.findings (run_id, step, task_id, check_id, severity, object, message)
	SELECT run_id, step, task_id, 'failed', 'warning', target, format('%s failed: it failed', command) FROM failed;
	ANALYZE pgmaint.findings;
SQL
follow()
{
	sql "SELECT pgmaint.run_action('escalate')" >/dev/null
	wait_for_runs
}
follow
for _ in 1 2 3 4 5; do
	read -r tick _ <<< "$(statement_ms 1 'SELECT pgmaint.tick()')"
	until [ "$(sql "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pgmaint messenger'")" = 0 ]; do sleep 0.1; done
	follow
	sql "SELECT round($tick / 1000.0 + extract(epoch FROM finished_at - started_at), 3) FROM pgmaint.tasks ORDER BY task_id DESC LIMIT 1"
done > "$folder/follow"
[ "$(sql "SELECT count(*) FROM (SELECT result FROM pgmaint.tasks ORDER BY task_id DESC LIMIT 1) t, jsonb_each_text(t.result) e WHERE e.value = '$alerts'")" -ge 1 ] ||
	{ note "not $alerts alerts were followed"; exit 1; }
seconds=$(median < "$folder/follow")
ledger=$(sql 'SELECT count(*) FROM pgmaint.tasks')
row follow "\`tick()\` and what follows $alerts alerts, $ledger tasks in the ledger" 'nothing' '{seconds < 0.2} s' \
	"$seconds s ($(sort -g "$folder/follow" | sed -n '1p') to $(sort -g "$folder/follow" | sed -n '$p'))" "seconds=$seconds"

note "$partitions partitions"
sql "CREATE TABLE public.audit (id bigint NOT NULL, at timestamptz NOT NULL, what text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)"
psql -X -q -v ON_ERROR_STOP=1 -v partitions="$partitions" -v newest="$newest" <<-'SQL'
	SET timezone = 'UTC';
	SET synchronous_commit = off;
	SELECT format('ALTER TABLE public.audit ATTACH PARTITION public.audit_%s FOR VALUES FROM (%L) TO (%L)', d,
		:'newest'::timestamptz - d * interval '1 day', :'newest'::timestamptz - (d - 1) * interval '1 day')
	FROM generate_series(1, :partitions) d \gexec
SQL
due=$(scaled 547)
for wanted in 0 "$due"; do
	sql "SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies;
		SELECT pgmaint.add_retention('public.audit', 'at', make_interval(days => $partitions - 10 - $wanted), storage => 'pgmaint_local', timezone => 'UTC')" >/dev/null
	found=$(sql "SELECT count(*) FROM pgmaint.dry_run('age_out')")
	[ "$found" = "$wanted" ] || { note "$found partitions are due, not $wanted"; exit 1; }
	if [ "$wanted" = 0 ]; then
		statement_row retention_none "planning \`retention\`, $partitions partitions, none due" '{seconds < 0.5} s' "SELECT * FROM pgmaint.dry_run('age_out')"
	else
		statement_row retention_due "planning \`retention\`, $partitions partitions, $due due" '{seconds < 3} s' "SELECT * FROM pgmaint.dry_run('age_out')"
	fi
done

note 'validate(), metrics, index_usage()'
statement_row validate "\`validate()\`" '{seconds < 0.5} s' 'SELECT * FROM pgmaint.validate()'
statement_row metrics "\`metrics\`" '{seconds < 0.5} s' 'SELECT * FROM pgmaint.metrics'
statement_row index_usage "\`index_usage()\`" '{seconds < 0.5} s' 'SELECT * FROM pgmaint.index_usage()'

note 'check_corruption with a budget of one second'
peak=$(peak_memory "SELECT pgmaint.run_action('check_corruption', '{\"time_budget\": \"1 second\"}')" 'pgmaint leader')
IFS='|' read -r tasks took <<< "$(sql "SELECT count(t.task_id), round(extract(epoch FROM r.finished_at - r.started_at), 1)
	FROM pgmaint.runs r LEFT JOIN pgmaint.tasks t USING (run_id) WHERE r.run_id = (SELECT max(run_id) FROM pgmaint.runs) GROUP BY r.run_id")"
mb=$(awk -v kb="$peak" 'BEGIN { printf "%.1f", kb / 1024 }')
row corruption "peak memory of the leader, \`check_corruption\` with a budget of 1 s" 'nothing' '{mb < 64} MB' \
	"$mb MB, $tasks tasks planned; the run took $took s" "mb=$mb" "tasks=$tasks"

# Tasks of a run before its own, as the engine leaves them: pending, running,
# succeeded, each version dead, and kept by a snapshot that is older than they
# are.  What a worker needs from one task's end to the next one's start is mostly
# the claim.
# claim_run ENTRIES: the milliseconds of that
claim_run()
{
	psql -X -q -A -t -v ON_ERROR_STOP=1 -v entries="$1" <<-'SQL'
		SET pgmaint.max_workers = 1;
		BEGIN;
		SELECT pgmaint.run_action('analyze', '{"scope": "all", "schemas": ["s0"]}') AS run \gset
		INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason)
		SELECT :run, 1, 'analyze', 'filler ' || g, 'ANALYZE', 'it fills the ledger' FROM generate_series(1, :entries) g;
		UPDATE pgmaint.tasks SET state = 'running', started_at = clock_timestamp(), attempt = 1, worker = 1 WHERE run_id = :run;
		UPDATE pgmaint.tasks SET state = 'succeeded', finished_at = clock_timestamp(), result = '{"analyzed": true}' WHERE run_id = :run;
		COMMIT;
	SQL
	wait_for_runs
	sql "SELECT round(1000 * extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY gap)), 2), count(gap)
		FROM (SELECT started_at - lag(finished_at) OVER (ORDER BY started_at) AS gap FROM pgmaint.tasks
			WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs) AND target NOT LIKE 'filler %') t"
}

entries=$(scaled 198000)
note "claiming tasks beside $entries dead entries"
IFS='|' read -r alone _ <<< "$(claim_run 0)"
PGAPPNAME=old_snapshot psql -X -q -A -t -c 'BEGIN ISOLATION LEVEL REPEATABLE READ' -c 'SELECT count(*) FROM pgmaint.runs' -c 'SELECT pg_sleep(3600)' >/dev/null 2>&1 &
until [ "$(sql "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'old_snapshot' AND query LIKE '%pg_sleep%' AND backend_xmin IS NOT NULL")" = 1 ]; do sleep 0.1; done
IFS='|' read -r claim claims <<< "$(claim_run "$entries")"
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'old_snapshot'" >/dev/null
wait
row claim "from a task's end to the next one's start, $entries dead entries, an old snapshot" 'none of these' '{ms < 2} ms' \
	"$claim ms ($alone ms; median of $claims)" "ms=$claim" "alone=$alone"

ledger=$(scaled 390000)
note "planning a task, $ledger in the ledger"
fill_ledger()
{
	psql -X -q -v ON_ERROR_STOP=1 -v ledger="$1" -v run="$run" <<-'SQL'
		TRUNCATE pgmaint.tasks;
		INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, attempt, started_at, finished_at, bytes_before, bytes_after, relation, relations)
		SELECT :run, 1, 'analyze', format('s0.t%s', g), 'ANALYZE', 'it fills the ledger', 'succeeded', 1, clock_timestamp() - interval '1 second', clock_timestamp(),
			16384, 16384, g, ARRAY[g]::oid[]
		FROM generate_series(1, :ledger) g;
		VACUUM (ANALYZE) pgmaint.tasks;
	SQL
}
# the quickest of ten: what the ledger costs is little beside the rest
plan_beside()
{
	fill_ledger "$1"
	told_seconds=$(statement_ms 10 "SELECT * FROM pgmaint.dry_run('one_vacuum')" | awk '{ printf "%.5f", $2 / 1000 }')
}
plan_alone() { plan_beside 0; }
plan_among() { plan_beside "$ledger"; }

pairs 3 plan_among plan_alone
read -r more low high among alone <<< "$(awk -v a="${seconds_of[plan_among]}" -v b="${seconds_of[plan_alone]}" 'BEGIN {
	split(a, among, " "); split(b, alone, " ")
	for (i = 1; i <= 3; i++) print 1000 * (among[i] - alone[i]), 1000 * among[i], 1000 * alone[i] }' | sort -g |
	awk '{ n[NR] = $1; if (NR == 2) { a = $2; b = $3 } } END { printf "%.1f %.1f %.1f %.1f %.1f\n", n[2], n[1], n[3], a, b }')"
row plan "planning one \`VACUUM\`, $ledger tasks in the ledger" 'an empty ledger' '{more < 5} ms more' \
	"$more ms more ($low to $high; $among ms, $alone ms)" "more=$more"

sql_in template1 'DROP DATABASE many'
