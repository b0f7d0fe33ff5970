#!/bin/bash
#
# A backup to S3, its restore and its proof, against what a runbook does by hand:
# pg_dump -Fc piped through gzip to a file, then aws s3 cp; and back, aws s3 cp
# piped through gunzip into pg_restore.  And what a proof costs production, where
# it is in a private server and where it is in a database of the live one.
#
# One database has it all: a quarter of the rows in the schema "quarter".  Backups
# are compared by that part, for time; restores by the whole.

# shellcheck source=test/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rows=$(scaled 4300000)
runs=3
quiet=10 # seconds without a proof, before and after each
begin_s3

# create_part SCHEMA ROWS
create_part()
{
	local PGOPTIONS="$PGOPTIONS -c search_path=$1"

	create_audit_events "$2" shop
	sql_in shop 'CREATE INDEX ON audit_events ("timestamp")'
	sql_in shop 'CREATE INDEX ON audit_events (actor, action)'
	sql_in shop 'VACUUM ANALYZE audit_events'
}

note "a database of $rows audit events, a quarter of them in a schema of its own"
sql 'CREATE DATABASE shop'
sql_in shop 'CREATE SCHEMA quarter'
create_part quarter $((rows / 4)) &
part=$!
create_part public $((rows - rows / 4))
wait "$part"
sql 'CHECKPOINT'
size=$(sql "SELECT pg_size_pretty(pg_database_size('shop'))")
quarter=$(sql_in shop "SELECT pg_size_pretty(pg_total_relation_size('quarter.audit_events'))")

# run ACTION OPTIONS: it is waited for; sets $task to its task
run()
{
	sql "SELECT pgmaint.define_plan('one', jsonb_build_array(jsonb_build_object('action', '$1', 'options', '$2'::jsonb)))" >/dev/null
	sql "CALL pgmaint.run_and_wait('one')" >/dev/null
	task=$(sql "SELECT max(task_id) FROM pgmaint.tasks WHERE state = 'succeeded' AND run_id = (SELECT max(run_id) FROM pgmaint.runs)")
	[ -n "$task" ] || { note "$1 did not succeed"; exit 1; }
}

# a number of the last task's result
result()
{
	sql "SELECT result ->> '$1' FROM pgmaint.tasks WHERE task_id = $task"
}

newest_backup()
{
	sql "SELECT max(backup_id) FROM pgmaint.backups WHERE state = 'succeeded'"
}

of_all='"storage": "bench", "databases": "shop", "globals": false'
of_quarter="$of_all, \"schemas\": \"quarter\""

# A part that is sent has a buffer, of 8 MB, until it has arrived, and which of the
# buffers are ever in use is up to how the S3 server keeps up.  With one part under
# way there are two, and both of these objects, of many parts, use them.
note 'memory of a task'
sql "ALTER SERVER bench OPTIONS (ADD parallel '1')"
small=$(peak_memory "SELECT pgmaint.run_action('backup', '{$of_quarter}')")
large=$(peak_memory "SELECT pgmaint.run_action('backup', '{$of_all}')")
backup=$(newest_backup)
sql "ALTER SERVER bench OPTIONS (DROP parallel)"

by_hand()
{
	pg_dump -Fc -n quarter shop | gzip > "$folder/quarter.dump.gz"
	aws_s3 cp "$folder/quarter.dump.gz" s3://bench/quarter.dump.gz
}

with_pgmaint()
{
	run backup "{$of_quarter}"
}

note "backups of the quarter"
pairs "$runs" with_pgmaint by_hand
quarter_backup=$(newest_backup)
own=$(sql "SELECT bytes FROM pgmaint.backups WHERE backup_id = $quarter_backup")
hand=$(stat -c %s "$folder/quarter.dump.gz")
what="backup of $quarter to S3"
peer="the runbook: \`pg_dump -Fc\` piped through gzip, then \`aws s3 cp\`"
compare_row faster backup "$what" "$peer" '{ratio >= 1.8}× faster' with_pgmaint by_hand
larger=$(awk -v own="$own" -v hand="$hand" 'BEGIN { printf "%.1f", 100 * (own / hand - 1) }')
row size "$what" "$peer" 'object {larger <= 15} % larger' \
	"$(awk -v l="$larger" -v own="$own" -v hand="$hand" 'BEGIN { printf "%.1f %% (%.0f MB, %.0f MB)", l, own / 1048576, hand / 1048576 }')" \
	"larger=$larger"
more=$(awk -v a="$small" -v b="$large" 'BEGIN { printf "%.1f", (b - a) / 1024 }')
row memory "peak memory of the worker of a backup of $size, one part under way" 'a quarter of it' '{more <= 4} MB more' \
	"$(awk -v a="$small" -v b="$large" -v more="$more" 'BEGIN { printf "%.1f MB more (%.1f MB, %.1f MB)", more, b / 1024, a / 1024 }')" "more=$more"

note 'a dump of the whole by hand'
pg_dump -Fc shop | gzip | aws_s3 cp - s3://bench/shop.dump.gz

# wal COMMAND...: sets $wal to the bytes of WAL that production writes meanwhile
wal()
{
	local from

	from=$(sql 'SELECT pg_current_wal_insert_lsn()')
	"$@"
	wal=$(sql "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '$from')")
}

# What is timed are the restores alone: pgmaint also compares, and checks indexes,
# and both sides make a database, or a server, first.
prove()
{
	wal run verify_backup "{\"backup_id\": $backup}"
	told_seconds=$(result restore_seconds)
	wals+=("$wal")
	servers+=("$(result server_seconds)")
	proofs+=("$(sql "SELECT extract(epoch FROM finished_at - started_at) FROM pgmaint.tasks WHERE task_id = $task")")
}

restore_backup()
{
	run restore_backup "{\"backup_id\": $backup, \"into\": \"restored\"}"
	told_seconds=$(result restore_seconds)
}

restore_by_hand()
{
	local from to

	sql 'CREATE DATABASE by_hand'
	from=${EPOCHREALTIME//[!0-9]/}
	aws_s3 cp s3://bench/shop.dump.gz - | gunzip | pg_restore -d by_hand
	to=${EPOCHREALTIME//[!0-9]/}
	told_seconds=$(awk -v us=$((to - from)) 'BEGIN { printf "%.3f", us / 1e6 }')
}

# dropping a database is a checkpoint, too: nobody writes what another has left
drop_restored()
{
	sql 'DROP DATABASE IF EXISTS by_hand'
	sql 'DROP DATABASE IF EXISTS restored'
	sync
}

wals=() servers=() proofs=()
for ((i = 1; i <= runs; i++)); do
	note "restore $i of $runs"
	BETWEEN=drop_restored by_turns "$i" prove restore_by_hand restore_backup
	note "$(rounds prove restore_by_hand restore_backup)"
done
server=$(printf '%s\n' "${servers[@]}" | median)
proof=$(printf '%s\n' "${proofs[@]}" | median)
peer="\`aws s3 cp -\`, gunzip, pg_restore into the live server"
compare_row faster proof "restore of a backup of $size for a proof" "$peer" '{ratio >= 1.3}× faster' prove restore_by_hand \
	"$(awk -v s="$server" -v p="$proof" 'BEGIN { printf "; making the server %.1f s, all of the proof %.1f s", s, p }')"
compare_row faster restore "restore of it by \`restore_backup\`" "$peer" 'not slower: {ratio >= 1}×' restore_backup restore_by_hand

# what the other way writes is as much every time: once is enough
note 'the proof in a database'
wal run verify_backup "{\"backup_id\": $backup, \"where\": \"database\"}"
IFS='|' read -r mb low high <<< "$(printf '%s\n' "${wals[@]}" | sort -g |
	awk '{ n[NR] = $1 / 1048576 } END { printf "%.2f|%.2f|%.2f\n", n[int((NR + 1) / 2)], n[1], n[NR] }')"
row wal "WAL that production writes during a proof of $size" "the same with \`{\"where\": \"database\"}\`" '{mb < 1} MB' \
	"$(awk -v mb="$mb" -v low="$low" -v high="$high" -v wal="$wal" 'BEGIN { printf "%.2f MB (%.2f to %.2f; there %.0f MB)", mb, low, high, wal / 1048576 }')" "mb=$mb"

# Production: pgbench goes on all the time, and tells each second how it got on.
# Its seconds are taken from those lines: the ones within a run of
# verify_backup, from its beginning, with initdb, to the end, with the removal of
# the folder; against those of the quiet stretches before it and after it, so that
# what changes with time falls on both.  There is no checkpoint meanwhile, after
# which pages would be written to the WAL whole: the last was before the tables
# were made, and the proof in a database, whose end is one, comes last.
note 'pgbench during proofs'
sql 'CREATE DATABASE pgbench'
sql 'CHECKPOINT'
pgbench -i -q -s 5 pgbench > "$folder/pgbench.log" 2>&1
pgbench -n -M prepared -c 2 -T 3600 -P 1 --progress-timestamp pgbench > /dev/null 2> "$folder/pgbench" &
pgbench=$!
# it would load the server of the benchmarks that follow
trap 'kill "$pgbench" 2>/dev/null || true; end_s3' EXIT

# tps FROM TO: transactions a second between two times; of a second that is partly
# between them that part counts
tps()
{
	awk -v from="$1" -v to="$2" '$1 == "progress:" {
			part = ($2 < to ? $2 : to) - ($2 - 1 > from ? $2 - 1 : from)
			if (part > 0) { all += part; tps += part * $4 }
		} END { if (!all) exit 1; printf "%.1f\n", tps / all }' "$folder/pgbench"
}

# the same of the next seconds, which are quiet
quiet_tps()
{
	local from=$EPOCHREALTIME

	sleep "$quiet"
	tps "$from" "$EPOCHREALTIME"
}

# ... and of a proof; it is begun, and looked for twice a second, for little of
# what pgbench loses to be ours
proof_tps()
{
	local run from to

	run=$(sql "SELECT pgmaint.run_action('verify_backup', '{\"backup_id\": $quarter_backup$1}')")
	until [ "$(sql "SELECT state NOT IN ('queued', 'running') FROM pgmaint.runs WHERE run_id = $run")" = t ]; do sleep 0.5; done
	IFS='|' read -r from to took <<< "$(sql "SELECT extract(epoch FROM started_at), extract(epoch FROM finished_at),
		round(extract(epoch FROM finished_at - started_at), 1) FROM pgmaint.runs WHERE run_id = $run AND state = 'succeeded'")"
	[ -n "$from" ] || { note "run $run did not succeed"; exit 1; }
	sleep 1
	inside=$(tps "$from" "$to")
}

sleep "$quiet"
before=$(quiet_tps)
for ((i = 1; i <= runs; i++)); do
	note "pgbench $i of $runs"
	proof_tps ''
	after=$(quiet_tps)
	printf '%s %s %s %s\n' "$inside" "$before" "$after" "$took" >> "$folder/shares"
	note "transactions per second: $inside in $took s, before $before, after $after"
	before=$after
done
proof_tps ', "where": "database"'
kill "$pgbench" || { note 'pgbench has ended before its time'; exit 1; }
wait "$pgbench" || true
trap 'end_s3' EXIT
IFS='|' read -r kept low high with without took <<< "$(awk '{ without = ($2 + $3) / 2; print 100 * $1 / without, $1, without, $4 }' "$folder/shares" |
	sort -g | awk '{ n[NR] = $1; with[NR] = $2; without[NR] = $3; took[NR] = $4 }
		END { m = int((NR + 1) / 2); printf "%d|%d|%d|%.0f|%.0f|%.1f\n", n[m], n[1], n[NR], with[m], without[m], took[m] }')"
row pgbench "pgbench in production, 2 clients, during a proof of $quarter" 'without a proof' '{kept >= 85} % of the transactions per second' \
	"$(awk -v kept="$kept" -v low="$low" -v high="$high" -v a="$with" -v b="$without" -v took="$took" -v inside="$inside" -v before="$before" \
		'BEGIN { printf "%d %% (%d to %d; %d, %d; the proof took %.1f s); in a database %d %%", kept, low, high, a, b, took, 100 * inside / before }')" \
	"kept=$kept"
sql 'DROP DATABASE pgbench'
sql 'DROP DATABASE shop'
