#!/bin/bash
#
# Archiving to S3 and deleting, against what a runbook does by hand: COPY to a
# file, gzip, aws s3 cp, DELETE; and the same without the file.  The S3 server is
# a real one, radosgw, on this machine: it and the clients share the processors.

# shellcheck source=test/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rows=${BENCH_ROWS:-5000000}
runs=3
begin_s3

note "$rows audit events, a quarter of them old"
create_audit_events "$rows"
psql -X -q -v ON_ERROR_STOP=1 <<-'SQL'
	CREATE INDEX ON audit_events ("timestamp");
	CREATE TABLE old AS SELECT * FROM audit_events WHERE "timestamp" < now() - interval '90 days' - interval '1 minute';
	VACUUM ANALYZE audit_events;
	SELECT pgmaint.add_retention('audit_events', 'timestamp', '90 days 1 minute', storage => 'bench');
	SELECT pgmaint.define_plan('age_out', '["retention"]');
SQL
old=$(sql 'SELECT count(*) FROM old')
limit=$(sql "SELECT quote_literal(max(\"timestamp\")) FROM old")
condition="\"timestamp\" <= $limit"

# brings the rows back that have left
again()
{
	sql 'INSERT INTO audit_events SELECT * FROM old ON CONFLICT DO NOTHING'
	sql 'VACUUM ANALYZE audit_events'
	sql 'CHECKPOINT'
}

by_hand()
{
	sql "COPY (SELECT * FROM audit_events WHERE $condition) TO STDOUT WITH CSV HEADER" > "$folder/archive.csv"
	gzip "$folder/archive.csv"
	aws_s3 cp "$folder/archive.csv.gz" s3://bench/by-hand.csv.gz
	sql "DELETE FROM audit_events WHERE $condition"
	rm "$folder/archive.csv.gz"
}

piped()
{
	sql "COPY (SELECT * FROM audit_events WHERE $condition) TO STDOUT WITH CSV HEADER" |
		gzip | aws_s3 cp - s3://bench/piped.csv.gz
	sql "DELETE FROM audit_events WHERE $condition"
}

with_pgmaint()
{
	sql "CALL pgmaint.run_and_wait('age_out')"
}

hand=() pipe=() own=()
for ((i = 1; i <= runs; i++)); do
	note "round $i of $runs"
	hand+=("$(seconds by_hand)")
	again
	pipe+=("$(seconds piped)")
	again
	own+=("$(seconds with_pgmaint)")
	left=$(sql "SELECT (result ->> 'rows')::bigint FROM (SELECT jsonb_build_object('rows', sum((t.result ->> 'rows')::bigint)) AS result
		FROM pgmaint.tasks t WHERE t.run_id = (SELECT max(run_id) FROM pgmaint.runs)) x")
	[ "$left" -ge "$old" ] || { note "pgmaint archived $left rows, not $old"; exit 1; }
	again
	note "by hand ${hand[-1]} s, piped ${pipe[-1]} s, pgmaint ${own[-1]} s"
done
csv=$(sql "SELECT pg_size_pretty(sum(content_bytes)) || ' of CSV, ' || pg_size_pretty(sum(bytes)) || ' in ' || count(*) || ' objects'
	FROM pgmaint.archives WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs)")
a=$(printf '%s\n' "${own[@]}" | median)
for other in "by_hand 2.5 the runbook: COPY to a file, gzip, \`aws s3 cp\`, DELETE" "piped 1.6 COPY piped through gzip into \`aws s3 cp -\`, DELETE"; do
	read -r which asked against <<< "$other"
	if [ "$which" = by_hand ]; then b=$(printf '%s\n' "${hand[@]}" | median); else b=$(printf '%s\n' "${pipe[@]}" | median); fi
	row "archive and delete $old rows, $csv" "$against" "$asked× faster" \
		"$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.1f× faster (%.1f s, %.1f s)", b / a, a, b }')"
done

note 'memory of a task'
worker_memory()
{
	peak_memory "SELECT pgmaint.run_action('retention', '{\"tables\": \"$1\", \"slice_size\": \"100 GB\"}')"
}

sql "SELECT pgmaint.drop_retention(policy_id) FROM pgmaint.retention_policies"
for part in 1 10; do
	sql "CREATE TABLE memory_$part AS SELECT * FROM old WHERE id <= (SELECT max(id) FROM old) * $part / 10"
	sql "CREATE INDEX ON memory_$part (\"timestamp\")"
	sql "SELECT pgmaint.add_retention('memory_$part', 'timestamp', '1 day', storage => 'bench')"
done
plain=$(psql -X -q -A -t -c 'SELECT count(*) FROM pg_class' -c "SELECT pg_read_file('/proc/' || pg_backend_pid() || '/status')" | awk '/^RssAnon/ { print $2 }')
one=$(worker_memory memory_1)
ten=$(worker_memory memory_10)
row "peak memory of a task that archives $old rows" 'a tenth of the rows; a plain backend' 'flat, at most 64 MB over a plain backend' \
	"$(awk -v p="$plain" -v a="$one" -v b="$ten" 'BEGIN { printf "%.1f MB over it, with a tenth %.1f MB", (b - p) / 1024, (a - p) / 1024 }')"

note 'upload of 1 GiB'
make -s -C "$folder" -f "$here/../modules/s3/Makefile" PG_CONFIG="$(command -v pg_config)" with_llvm=no > "$folder/make.log" 2>&1
chmod -R go+rX "$folder"
sql "CREATE FUNCTION put_many_bytes(storage text, key text, bytes bigint, fail_at bigint DEFAULT NULL, OUT sha256 text, OUT peak bigint) LANGUAGE c AS '$folder/pgmaint_test_s3'"
head -c 1073741824 /dev/urandom > "$folder/gib"

upload()
{
	sql "SELECT put_many_bytes('bench', 'gib/' || gen_random_uuid(), 1073741824)"
}

upload_aws()
{
	aws_s3 cp "$folder/gib" s3://bench/gib/aws
}

read -r a b <<< "$(pairs 3 upload upload_aws)"
row 'upload of 1 GiB' '`aws s3 cp`' '1.2× faster' "$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.1f× faster (%.1f s, %.1f s)", b / a, a, b }')"
