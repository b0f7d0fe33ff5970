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
