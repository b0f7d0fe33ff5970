#!/bin/bash
#
# Archiving to S3 and deleting, against what a runbook does by hand: COPY to a
# file, gzip, aws s3 cp, DELETE; and the same without the file.  The S3 server is
# a real one, radosgw, on this machine: it and the clients share the processors.

# shellcheck source=test/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rows=$(scaled 2000000)
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

for ((i = 1; i <= runs; i++)); do
	note "round $i of $runs"
	BETWEEN=again by_turns "$i" by_hand piped with_pgmaint
	left=$(sql "SELECT sum((t.result ->> 'deleted_rows')::bigint) FROM pgmaint.tasks t WHERE t.run_id = (SELECT max(run_id) FROM pgmaint.runs)")
	[ "$left" -ge "$old" ] || { note "pgmaint archived $left rows, not $old"; exit 1; }
	note "$(rounds by_hand piped with_pgmaint)"
done
csv=$(sql "SELECT pg_size_pretty(sum(content_bytes)) || ' of CSV, ' || pg_size_pretty(sum(bytes)) || ' in ' || count(*) || ' objects'
	FROM pgmaint.archives WHERE run_id = (SELECT max(run_id) FROM pgmaint.runs)")
what="archive and delete $old rows, $csv"
compare_row faster by_hand "$what" "the runbook: COPY to a file, gzip, \`aws s3 cp\`, DELETE" '{ratio >= 2.5}× faster' with_pgmaint by_hand
compare_row faster piped "$what" "COPY piped through gzip into \`aws s3 cp -\`, DELETE" '{ratio >= 1.6}× faster' with_pgmaint piped

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
over=$(awk -v a="$ten" -v b="$plain" 'BEGIN { printf "%.1f", (a - b) / 1024 }')
more=$(awk -v a="$ten" -v b="$one" 'BEGIN { printf "%.1f", (a - b) / 1024 }')
row memory "peak memory of a task that archives $old rows" 'a plain backend' '{over <= 64} MB over it' "$over MB over it" "over=$over"
row flat "peak memory of a task that archives $old rows" 'a tenth of the rows' '{more <= 16} MB more' "$more MB more" "more=$more"

upload_bytes=$(scaled 536870912)
note "upload of $((upload_bytes / 1048576)) MiB"
make -s -C "$folder" -f "$here/../modules/s3/Makefile" PG_CONFIG="$(command -v pg_config)" with_llvm=no > "$folder/make.log" 2>&1
chmod -R go+rX "$folder"
sql "CREATE FUNCTION put_many_bytes(storage text, key text, bytes bigint, fail_at bigint DEFAULT NULL, OUT sha256 text, OUT peak bigint) LANGUAGE c AS '$folder/pgmaint_test_s3'"
head -c "$upload_bytes" /dev/urandom > "$folder/upload"

upload()
{
	sql "SELECT put_many_bytes('bench', 'gib/' || gen_random_uuid(), $upload_bytes)"
}

upload_aws()
{
	aws_s3 cp "$folder/upload" s3://bench/gib/aws
}

pairs 3 upload upload_aws
compare_row faster upload "upload of $((upload_bytes / 1048576)) MiB" "\`aws s3 cp\`" '{ratio >= 1.2}× faster' upload upload_aws
sql 'DROP TABLE audit_events, old, memory_1, memory_10'
