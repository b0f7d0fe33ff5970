#!/bin/bash
#
# A backup to S3 and its restore, against what a runbook does by hand:
# pg_dump -Fc piped through gzip to a file, then aws s3 cp; and back, aws s3 cp
# piped through gunzip into pg_restore.

# shellcheck source=test/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rows=$(scaled 1200000)
runs=3
begin_s3

note "databases of $rows audit events, and a tenth of it"
for part in 1 10; do
	sql "CREATE DATABASE backup_$part"
	create_audit_events $((rows * part / 10)) "backup_$part"
	sql_in "backup_$part" 'CREATE INDEX ON audit_events ("timestamp")'
	sql_in "backup_$part" 'CREATE INDEX ON audit_events (actor, action)'
	sql_in "backup_$part" 'VACUUM ANALYZE audit_events'
done
sql 'CHECKPOINT'
size=$(sql "SELECT pg_size_pretty(pg_database_size('backup_10'))")

by_hand()
{
	pg_dump -Fc backup_10 | gzip > "$folder/backup.dump.gz"
	aws_s3 cp "$folder/backup.dump.gz" s3://bench/by-hand.dump.gz
}

with_pgmaint()
{
	sql "SELECT pgmaint.define_plan('one', '[{\"action\": \"backup\", \"options\":
		{\"storage\": \"bench\", \"databases\": \"backup_10\", \"globals\": false}}]')"
	sql "CALL pgmaint.run_and_wait('one')"
}

pairs "$runs" with_pgmaint by_hand
own=$(sql "SELECT bytes FROM pgmaint.backups WHERE state = 'succeeded' ORDER BY backup_id DESC LIMIT 1")
hand=$(stat -c %s "$folder/backup.dump.gz")
what="backup of a database of $size to S3"
peer="the runbook: \`pg_dump -Fc\` piped through gzip, then \`aws s3 cp\`"
compare_row faster backup "$what" "$peer" '{ratio >= 1.6}× faster' with_pgmaint by_hand
larger=$(awk -v own="$own" -v hand="$hand" 'BEGIN { printf "%.1f", 100 * (own / hand - 1) }')
row size "$what" "$peer" 'object {larger <= 15} % larger' \
	"$(awk -v l="$larger" -v own="$own" -v hand="$hand" 'BEGIN { printf "%.1f %% (%.0f MB, %.0f MB)", l, own / 1048576, hand / 1048576 }')" \
	"larger=$larger"

restore_by_hand()
{
	psql -X -q -c 'CREATE DATABASE by_hand'
	aws_s3 cp s3://bench/by-hand.dump.gz - | gunzip | pg_restore -d by_hand
}

# a proof also counts and checks, which the other does not: its restore alone
restore_with_pgmaint()
{
	sql "SELECT pgmaint.define_plan('prove', '[{\"action\": \"verify_backup\", \"options\": {\"databases\": \"backup_10\"}}]')"
	sql "CALL pgmaint.run_and_wait('prove')"
	told_seconds=$(sql "SELECT extract(epoch FROM restore_duration) FROM pgmaint.backups WHERE verified_at IS NOT NULL ORDER BY verified_at DESC LIMIT 1")
}

for ((i = 1; i <= runs; i++)); do
	note "restore $i of $runs"
	by_turns "$i" restore_with_pgmaint restore_by_hand
	sql 'DROP DATABASE by_hand'
	note "$(rounds restore_with_pgmaint restore_by_hand)"
done
compare_row faster restore 'restore of it into a scratch database' "\`aws s3 cp -\` piped through gunzip into pg_restore" \
	'not slower: {ratio >= 1}×' restore_with_pgmaint restore_by_hand

note 'memory of a task'
memory_of_backup()
{
	peak_memory "SELECT pgmaint.run_action('backup', '{\"storage\": \"bench\", \"databases\": \"backup_$1\", \"globals\": false}')"
}

one=$(memory_of_backup 1)
ten=$(memory_of_backup 10)
more=$(awk -v a="$one" -v b="$ten" 'BEGIN { printf "%.1f", (b - a) / 1024 }')
row memory 'peak memory of the worker of this backup' 'a database with a tenth of the rows' '{more <= 4} MB more' \
	"$(awk -v a="$one" -v b="$ten" -v more="$more" 'BEGIN { printf "%.1f MB more (%.1f MB, %.1f MB)", more, b / 1024, a / 1024 }')" "more=$more"
sql 'DROP DATABASE backup_1'
sql 'DROP DATABASE backup_10'
