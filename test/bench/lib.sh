# shellcheck shell=bash
#
# What the benchmarks beside this file share.  They are run by "make bench",
# which sets the PG* variables; see test/tools/bench.

set -euo pipefail

# What the benchmark is doing, for whoever waits.
note()
{
	printf '  %s\n' "$*" >&2
	note_load
}

# The load average of the last minute, for "make bench" to find the highest.
note_load()
{
	local load

	[ -n "${BENCH_LOADS:-}" ] || return 0
	read -r load _ < /proc/loadavg
	printf '%s\n' "$load" >> "$BENCH_LOADS"
}

# scaled NUMBER: a size, or with BENCH_SCALE that share of it, to try a
# benchmark; what it then measures says nothing
scaled()
{
	awk -v n="$1" -v scale="${BENCH_SCALE:-1}" 'BEGIN { n = int(n * scale + 0.5); print (n > 1 ? n : 1) }'
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

# the middle one of the numbers on standard input
median()
{
	sort -g | awk '{ n[NR] = $1 } END {
		if (NR % 2) print n[(NR + 1) / 2]
		else print (n[NR / 2] + n[NR / 2 + 1]) / 2 }'
}

#
# Measuring
#

# seconds and CPU seconds of each command that was measured, one for each round
declare -A seconds_of cpu_of

# Add to "ticks" what a process and its living descendants have used of the
# processors, and what those of them had used that have ended.
add_ticks()
{
	local stat child
	local -a fields children=()

	{ read -r stat < "/proc/$1/stat"; } 2>/dev/null || return 0
	read -r -a fields <<< "${stat##*) }"
	ticks=$((ticks + fields[11] + fields[12] + fields[13] + fields[14]))
	{ read -r -a children < "/proc/$1/task/$1/children"; } 2>/dev/null || true
	for child in "${children[@]}"; do add_ticks "$child"; done
}

# The same of the whole server, and of the programs that this shell has waited
# for: so whoever does the work, leader, task workers, backends or clients, it
# counts.  An S3 server does not.
read_ticks()
{
	local stat
	local -a fields

	ticks=0
	add_ticks "$BENCH_POSTMASTER"
	read -r stat < "/proc/$BASHPID/stat"
	read -r -a fields <<< "${stat##*) }"
	ticks=$((ticks + fields[13] + fields[14]))
}

# measure COMMAND...: runs it and adds a round to what is known of it, under the
# name of its first word.  A command that sets told_seconds has measured by
# itself how long it took; then its CPU time is not of interest.
measure()
{
	local from to ticks before

	note_load
	told_seconds=
	read_ticks
	before=$ticks
	from=${EPOCHREALTIME//[!0-9]/}
	"$@" >/dev/null
	to=${EPOCHREALTIME//[!0-9]/}
	read_ticks
	if [ -n "$told_seconds" ]; then
		seconds_of[$1]+="$told_seconds "
	else
		seconds_of[$1]+="$(awk -v us=$((to - from)) 'BEGIN { printf "%.4f", us / 1e6 }') "
		cpu_of[$1]+="$(awk -v ticks=$((ticks - before)) -v hertz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f", ticks / hertz }') "
	fi
}

# by_turns ROUND COMMAND...: measures each, in every other round in the other
# order, so that what else the machine does, and what changes with time, falls on
# all.  BETWEEN, a command, is run after each and is not measured.
by_turns()
{
	local round=$1 turn
	shift
	local -a commands=("$@")

	for ((turn = 0; turn < $#; turn++)); do
		measure "${commands[round % 2 ? turn : $# - 1 - turn]}"
		if [ -n "${BETWEEN:-}" ]; then "$BETWEEN"; fi
	done
}

# pairs COUNT A B: measures both by turns
pairs()
{
	local round

	for ((round = 1; round <= $1; round++)); do by_turns "$round" "$2" "$3"; done
}

# statement_ms COUNT STATEMENT [FILE]: the median, the smallest and the largest of
# the milliseconds that a statement takes in one session, the first time not
# counted if there are others; what it prints goes to the file
statement_ms()
{
	local i

	{
		printf 'SELECT 1;\nLOAD '"'pgmaint'"';\n'
		if [ "$1" -gt 1 ]; then printf '%s;\n' "$2"; fi
		printf '\\timing on\n'
		for ((i = 0; i < $1; i++)); do printf '%s;\n' "$2"; done
	} | psql -X -q -A -t -v ON_ERROR_STOP=1 | tee "${3:-/dev/null}" |
		sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | sort -g | awk '{ n[NR] = $1 } END {
			if (NR == 0) exit 1
			printf "%.2f %.2f %.2f\n", NR % 2 ? n[(NR + 1) / 2] : (n[NR / 2] + n[NR / 2 + 1]) / 2, n[1], n[NR] }'
}

# The seconds of the rounds so far, to be shown while they are made.
rounds()
{
	local name

	for name in "$@"; do printf '%s: %s  ' "$name" "${seconds_of[$name]% }"; done
}

#
# Rows
#

# row KEY WHAT AGAINST ASKED MEASURED [FIGURE=VALUE...]
#
# ASKED is a text with conditions in it, {FIGURE >= NUMBER}, also with <=, < and
# =, which are held against the figures.  The key and the figures go along as a
# comment, from which README's are taken; see test/tools/check-figures.
row()
{
	local key=$1 what=$2 against=$3 asked=$4 measured=$5 verdict='' figure words text name sign limit value
	shift 5
	local -A figures=()
	local condition='\{([a-z_]+) (>=|<=|<|=) ([0-9.]+)\}'

	for figure in "$@"; do figures[${figure%%=*}]=${figure#*=}; done
	while [[ $asked =~ $condition ]]; do
		text=${BASH_REMATCH[0]} name=${BASH_REMATCH[1]} sign=${BASH_REMATCH[2]} limit=${BASH_REMATCH[3]}
		value=${figures[$name]-}
		if ! [[ $value =~ ^-?[0-9]+(\.[0-9]+)?$ ]]; then
			note "$key: $name is \"$value\", no number"
			return 1
		fi
		case $sign in
			'>=') words='at least ' ;;
			'<=') words='at most ' ;;
			'<') words='below ' ;;
			*) words='' ;;
		esac
		if awk "BEGIN { exit !($value ${sign/#=/==} $limit) }"; then
			verdict=${verdict:-met}
		else
			verdict='**missed**'
		fi
		asked=${asked/"$text"/$words$limit}
	done
	printf '| %s | %s | %s | %s <!-- %s%s --> |\n' "$what" "$against" "$asked${verdict:+: $verdict}" "$measured" \
		"$key" "$(printf '; %s' "$@")"
	note "${verdict:-measured}: $what: $measured"
}

# compare KIND OURS THEIRS: what the rounds of two commands come to, in a line:
# the median of the ratios of the pairs, the smallest and the largest of them,
# and in words the medians.  KIND "faster" divides theirs by ours, "time" ours by
# theirs.  What is shown is never better than what was measured.
compare()
{
	awk -v kind="$1" -v ours="${seconds_of[$2]}" -v theirs="${seconds_of[$3]}" \
		-v our_cpu="${cpu_of[$2]-}" -v their_cpu="${cpu_of[$3]-}" '
		function middle(list, count,    i, j, swap, n) {
			for (i = 1; i <= count; i++) n[i] = list[i] + 0
			for (i = 2; i <= count; i++)
				for (j = i; j > 1 && n[j - 1] > n[j]; j--) { swap = n[j]; n[j] = n[j - 1]; n[j - 1] = swap }
			smallest = n[1]; largest = n[count]
			return count % 2 ? n[(count + 1) / 2] : (n[count / 2] + n[count / 2 + 1]) / 2
		}
		function duration(s) {
			if (s < 0.1) return sprintf("%.1f ms", s * 1000)
			return sprintf(s < 10 ? "%.2f s" : "%.1f s", s)
		}
		function shown(ratio,    units, whole) {
			units = 10 ^ digits
			whole = int(ratio * units + (kind == "time" ? 1 - 1e-9 : 1e-9))
			return sprintf("%." digits "f", whole / units)
		}
		BEGIN {
			count = split(ours, a, " ")
			if (count == 0 || split(theirs, b, " ") != count) exit 1
			for (i = 1; i <= count; i++) r[i] = kind == "time" ? a[i] / b[i] : b[i] / a[i]
			ratio = middle(r, count)
			digits = ratio >= 100 ? 0 : ratio >= 3 ? 1 : 2
			printf "%s\t%s\t%s\t", shown(ratio), shown(smallest), shown(largest)
			printf "%s\t", duration(middle(a, count))
			printf "%s\t", duration(middle(b, count))
			if (split(our_cpu, c, " ") == count && split(their_cpu, d, " ") == count)
				printf "; CPU %s, %s", duration(middle(c, count)), duration(middle(d, count))
			printf "\n"
		}'
}

# A row about two commands that were measured by turns, and what else is told:
# compare_row KIND KEY WHAT AGAINST ASKED OURS THEIRS [MORE]
compare_row()
{
	local ratio low high ours theirs cpu words

	IFS=$'\t' read -r ratio low high ours theirs cpu <<< "$(compare "$1" "$6" "$7")"
	words='times the time'
	if [ "$1" = faster ]; then
		words='faster'
		if [[ $ratio == 0* ]]; then words='as fast'; fi
		words="$ratio× $words"
	else
		words="$ratio $words"
	fi
	row "$2" "$3" "$4" "$5" "$words ($low to $high; $ours, $theirs$cpu)${8:-}" \
		"ratio=$ratio" "range=$low to $high" "ours=$ours" "theirs=$theirs" "cpu=${cpu#; CPU }"
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

# peak_memory STATEMENT [BACKEND_TYPE]: what a task worker, or another process, of
# the run that the statement queues has of its own at most, in kB
peak_memory()
{
	local pid peak=0 now

	sql "$1" >/dev/null
	until [ "$(sql "SELECT count(*) FROM pgmaint.runs WHERE state IN ('queued', 'running')")" = 0 ]; do
		for pid in $(sql "SELECT pid FROM pg_stat_activity WHERE backend_type = '${2:-pgmaint task worker}'"); do
			now=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status" 2>/dev/null || echo 0)
			if [ "${now:-0}" -gt "$peak" ]; then peak=$now; fi
		done
	done
	printf '%s\n' "$peak"
}
