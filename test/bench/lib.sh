# shellcheck shell=bash
#
# What the benchmarks beside this file share.  They are run by "make bench",
# which sets the PG* variables; see test/tools/bench.

set -euo pipefail

note()
{
	printf '  %s\n' "$*" >&2
}

# row WHAT AGAINST ASKED MEASURED
row()
{
	printf '| %s | %s | %s | %s |\n' "$1" "$2" "$3" "$4"
}

sql()
{
	psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"
}

# sql_in DATABASE STATEMENT
sql_in()
{
	psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$1" -c "$2"
}

# the seconds that a command takes, its output thrown away
seconds()
{
	local from to

	from=$(date +%s%N)
	"$@" >/dev/null
	to=$(date +%s%N)
	awk -v ns=$((to - from)) 'BEGIN { printf "%.3f\n", ns / 1e9 }'
}

# the middle one of the numbers on standard input
median()
{
	sort -g | awk '{ n[NR] = $1 } END {
		if (NR % 2) print n[(NR + 1) / 2]
		else print (n[NR / 2] + n[NR / 2 + 1]) / 2 }'
}

# pairs COUNT A B: runs both by turns, so that what else the machine does falls
# on both, and prints the median seconds of A and of B
pairs()
{
	local count=$1 a=$2 b=$3 i times_a=() times_b=()

	for ((i = 0; i < count; i++)); do
		times_a+=("$(seconds "$a")")
		times_b+=("$(seconds "$b")")
	done
	printf '%s %s\n' "$(printf '%s\n' "${times_a[@]}" | median)" \
		"$(printf '%s\n' "${times_b[@]}" | median)"
}

# can the operating system's cache be dropped?
can_drop_caches()
{
	[ "$(id -u)" = 0 ] && [ -w /proc/sys/vm/drop_caches ]
}

# what the operating system keeps of the files; the server's own buffers stay
drop_caches()
{
	sync
	echo 3 > /proc/sys/vm/drop_caches
}

# A real S3 server, radosgw, on this machine, which it and its clients share; with
# a bucket, and a storage for it, both called "bench".  Sets $folder, which goes
# at the end.
begin_s3()
{
	local tools

	tools=$(cd "$(dirname "${BASH_SOURCE[0]}")/../tools" && pwd)
	s3=$tools/radosgw
	folder=$(mktemp -d "${TMPDIR:-/tmp}/pgmaint.bench.XXXXXX")
	trap 'end_s3' EXIT
	export AWS_PAGER='' AWS_EC2_METADATA_DISABLED=true AWS_DEFAULT_REGION=us-east-1
	export AWS_SHARED_CREDENTIALS_FILE=$folder/none AWS_CONFIG_FILE=$folder/config
	note 'an S3 server'
	printf '[default]\ns3 =\n  addressing_style = path\n' > "$folder/config"
	"$s3" start "$folder/s3" '--set=memstore device bytes = 14G' '--set=osd memory target = 14G'
	AWS_ACCESS_KEY_ID=$(s3_fact access_key)
	AWS_SECRET_ACCESS_KEY=$(s3_fact secret_key)
	export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
	/usr/bin/aws --endpoint-url "$(s3_fact endpoint)" s3 mb s3://bench >&2
	psql -X -q -v ON_ERROR_STOP=1 -v endpoint="$(s3_fact endpoint)" \
		-v key="$AWS_ACCESS_KEY_ID" -v secret="$AWS_SECRET_ACCESS_KEY" <<-'SQL'
		CREATE SERVER bench FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bench', endpoint :'endpoint', region 'us-east-1');
		CREATE USER MAPPING FOR CURRENT_USER SERVER bench OPTIONS (access_key_id :'key', secret_access_key :'secret');
	SQL
}

end_s3()
{
	"$s3" stop "$folder/s3" || true
	rm -rf "$folder"
	sql 'DROP SERVER IF EXISTS bench CASCADE' || true
}

s3_fact()
{
	sed -n "s/^$1 *=* *//p" "$folder/s3/ready"
}

aws_s3()
{
	/usr/bin/aws --endpoint-url "$(s3_fact endpoint)" s3 "$@" --only-show-errors
}

# create_audit_events ROWS [DATABASE]: a log as many applications keep one
create_audit_events()
{
	psql -X -q -v ON_ERROR_STOP=1 -v rows="$1" -d "${2:-$PGDATABASE}" <<-'SQL'
		CREATE TABLE audit_events (id bigint PRIMARY KEY, "timestamp" timestamptz NOT NULL, actor text NOT NULL,
			action text NOT NULL, resource_type text, resource_id uuid, details jsonb);
		INSERT INTO audit_events
		SELECT g, now() - (:rows - g) * interval '120 days' / :rows + h % 20 * interval '1 second', 'user-' || h % 800,
			(ARRAY['create', 'start', 'retry', 'finish', 'read'])[1 + h % 5], 'workflow', md5(g::text)::uuid,
			jsonb_build_object('ip', concat('10.0.', h % 250, '.', h % 199), 'ok', h % 11 <> 0, 'session', md5((g / 2)::text),
				'user_agent', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.' || h % 40 || ' Safari/537.36',
				'path', '/api/v1/workflows/' || h % 40000 || '/steps', 'message', 'workflow ' || h % 40000 || ' was changed by a person with the role of an operator')
		FROM generate_series(1, :rows) g, LATERAL (SELECT hashint4(g)::bigint + 2147483648 AS h) x;
	SQL
}

# peak_memory STATEMENT: what a task worker of the run that the statement queues
# has of its own at most, in kB
peak_memory()
{
	local pid peak=0 now

	sql "$1" >/dev/null
	until [ "$(sql "SELECT count(*) FROM pgmaint.runs WHERE state IN ('queued', 'running')")" = 0 ]; do
		for pid in $(sql "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pgmaint task worker'"); do
			now=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status" 2>/dev/null || echo 0)
			if [ "${now:-0}" -gt "$peak" ]; then peak=$now; fi
		done
	done
	printf '%s\n' "$peak"
}
