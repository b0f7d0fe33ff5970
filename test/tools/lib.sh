# shellcheck shell=bash
#
# What the tools beside this file share.  They run pgmaint on a private server:
# a copy of the PostgreSQL installation in a temporary folder, with pgmaint
# built from a copy of these sources and installed in it.  So no installation,
# no cluster and no file of the checkout is changed, and several tools may run
# at the same time.  The server and everything that talks to it runs as an
# unprivileged user, listens on a Unix socket only, and is gone with its folder
# when the tool ends, however it ends.
#
#   find_pg_config          sets pg_config to one that extensions can be built for
#   begin                   makes the folder, sets work, sockets and the user
#   build_tree              builds pgmaint and installs it in the copy
#   start_server [line...]  makes a cluster with these configuration lines
#   stop_server             stops it
#   select_tests            the names of tests
#   require_tests           that all that were asked for are there
#   run_regress             runs regression or isolation tests and counts them
#   run_regress_at          runs regression tests with the clock at another date
#   report_slowest          prints which tests took longest

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
tool=${0##*/}

say()
{
	printf '%s\n' "$@"
}

die()
{
	printf 'pgmaint %s: %s\n' "$tool" "$*" >&2
	exit 1
}

# a server that runs and that extensions can be built for
pg_config_works()
{
	local bin include pgxs

	bin=$("$1" --bindir 2>/dev/null) && [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] &&
		include=$("$1" --includedir-server 2>/dev/null) && [ -f "$include/postgres.h" ] &&
		pgxs=$("$1" --pgxs 2>/dev/null) && [ -f "$pgxs" ]
}

# PG_CONFIG decides where it is given; otherwise 15 is what pgmaint is
# developed for, and any other version that is complete will do.
find_pg_config()
{
	local candidate

	if [ -n "${PG_CONFIG:-}" ]; then
		pg_config=$(command -v "$PG_CONFIG" || true)
		pg_config_works "$pg_config" ||
			die "PG_CONFIG=$PG_CONFIG does not lead to a PostgreSQL installation with server, server headers and PGXS"
		return 0
	fi
	for candidate in /usr/lib/postgresql/15/bin/pg_config "$(command -v pg_config || true)" \
		$(printf '%s\n' /usr/lib/postgresql/*/bin/pg_config | sort -rV); do
		if pg_config_works "$candidate"; then
			pg_config=$candidate
			return 0
		fi
	done
	return 1
}

# Runs a command as the unprivileged user, from the temporary folder.
as_server()
{
	if [ -n "$server_user" ]; then
		setpriv --reuid="$server_user" --regid="$(id -g "$server_user")" --init-groups \
			env HOME="$work" "$@"
	else
		env HOME="$work" "$@"
	fi
}

# Runs a command in a process group of its own and waits for it, so that a
# signal to the tool ends the command at once.
watched()
{
	local status=0

	set -m
	"$@" </dev/null &
	child=$!
	set +m
	wait "$child" || status=$?
	child=
	return "$status"
}

# watched, with a copy of the output in a file
logged()
{
	local log=$1
	shift
	watched with_copy "$log" "$@"
}

with_copy()
{
	local log=$1
	shift
	set -o pipefail
	"$@" 2>&1 | tee "$log"
}

with_copy_of_output()
{
	local file=$1
	shift
	set -o pipefail
	"$@" | tee -a "$file"
}

# watched, with the output in a file that is shown only when the command fails
quietly()
{
	local log=$work/output
	: > "$log"
	watched into_file "$log" "$@" && return 0
	tail -n 60 "$log" >&2
	return 1
}

into_file()
{
	local log=$1
	shift
	"$@" > "$log" 2>&1
}

# the processes whose program is part of the private copy
our_processes()
{
	local proc

	for proc in /proc/[0-9]*; do
		case $(readlink "$proc/exe" 2>/dev/null) in
			"$work"/*) printf '%s\n' "${proc#/proc/}" ;;
		esac
	done
}

finish()
{
	local status=$? pidfile pid deadline

	trap '' INT TERM HUP
	trap - EXIT
	set +e
	cd /
	if [ -n "${child:-}" ]; then
		kill -TERM -- "-$child" 2>/dev/null
		deadline=$((SECONDS + 3))
		while kill -0 -- "-$child" 2>/dev/null && [ $SECONDS -lt $deadline ]; do sleep 0.1; done
		kill -KILL -- "-$child" 2>/dev/null
	fi
	# an immediate shutdown: the data goes away with the folder
	find "$work" -maxdepth 6 -name postmaster.pid 2>/dev/null | while read -r pidfile; do
		pid=$(head -n 1 "$pidfile" 2>/dev/null)
		case $(readlink "/proc/$pid/exe" 2>/dev/null) in
			"$work"/*) kill -QUIT "$pid" ;;
		esac
	done
	deadline=$((SECONDS + 15))
	while [ -n "$(our_processes)" ] && [ $SECONDS -lt $deadline ]; do sleep 0.1; done
	for pid in $(our_processes); do kill -KILL "$pid" 2>/dev/null; done
	rm -rf "$work" "$sockets"
	exit "$status"
}

# Makes the temporary folder, below the one that is given.
begin()
{
	local place=$1 other=/tmp

	umask 022
	server_user=
	if [ "$(id -u)" = 0 ]; then
		server_user=nobody
		if id postgres >/dev/null 2>&1; then server_user=postgres; fi
	fi
	work=$(mktemp -d "$place/pgmaint.XXXXXX")
	work=$(cd "$work" && pwd -P)
	sockets=$work
	child=
	trap finish EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	if [ -n "$server_user" ]; then
		chown "$server_user" "$work"
		as_server test -w "$work" 2>/dev/null ||
			die "the user $server_user cannot reach $place; give another folder, such as TMPDIR=$other"
	fi
	# a socket's path has at most 107 bytes
	if [ ${#work} -gt 60 ]; then
		sockets=$(mktemp -d "$other/pgmaint.XXXXXX")
		if [ -n "$server_user" ]; then chown "$server_user" "$sockets"; fi
	fi
	cd "$work" || exit

	# nobody's server, role, time zone or language but our own
	local name
	for name in $(compgen -e); do
		case $name in
			PG_CONFIG) ;;
			PG* | LC_* | LANG | LANGUAGE | MAKEFLAGS | MFLAGS | MAKELEVEL | MAKEOVERRIDES | PROVE_FLAGS | PERL5LIB | CFLAGS | COPT)
				unset "$name" ;;
		esac
	done
	export LC_ALL=C
}

# a folder of links to another's entries, without what an earlier pgmaint left
mirror()
{
	local entry

	mkdir -p "$2"
	for entry in "$1"/*; do
		case ${entry##*/} in
			pgmaint*) ;;
			*) ln -sfn "$entry" "$2/" ;;
		esac
	done
}

# PostgreSQL finds its libraries and its data by where its programs are, as
# long as the folders' places to each other are those it was built with.
copy_installation()
{
	local lib share headers dir

	lib=$("$pg_config" --pkglibdir)
	share=$("$pg_config" --sharedir)
	bindir=$tree$("$pg_config" --bindir)

	mkdir -p "$bindir"
	cp -a "$("$pg_config" --bindir)/." "$bindir"
	mirror "$lib" "$tree$lib"
	mirror "$share" "$tree$share"
	rm "$tree$share/extension"
	mirror "$share/extension" "$tree$share/extension"
	for dir in --includedir --includedir-server; do
		headers=$("$pg_config" $dir)
		if [ ! -e "$tree$headers" ]; then
			mkdir -p "$tree${headers%/*}"
			ln -s "$headers" "$tree$headers"
		fi
	done
	for dir in --pkglibdir --sharedir --includedir-server; do
		[ "$("$bindir/pg_config" $dir)" = "$tree$("$pg_config" $dir)" ] ||
			die "a copy of this PostgreSQL installation would use $("$bindir/pg_config" $dir)"
	done
}

# what make is given besides, by tools that build in another way
make_options=()

# shellcheck disable=SC2034  # the tools use what is set here
# Sets tree, bindir, pgxs_test (pg_regress and its like) and source.
build_tree()
{
	local item

	tree=$work/server
	source=$work/source
	pgxs_test=$(dirname "$("$pg_config" --pgxs)")/../test
	mkdir "$source"
	for item in Makefile pgmaint.control LICENSE META.json README.md CHANGELOG.md contrib docs debian sql src expected test; do
		if [ -e "$root/$item" ]; then cp -R "$root/$item" "$source"; fi
	done
	find "$source" \( -name '*.o' -o -name '*.bc' -o -name '*.so' -o -path "$source/sql/pgmaint--*.sql" \) -delete
	chmod -R u+rwX,go+rX "$source"
	copy_installation
	if [ -n "$server_user" ]; then chown -R -h "$server_user" "$source" "$tree"; fi

	say "building pgmaint for $("$pg_config" --version)"
	quietly as_server make -s -C "$source" -j"$(nproc)" PG_CONFIG="$pg_config" with_llvm=no COPT=-Werror "${make_options[@]}" all ||
		die 'the build failed'
	quietly as_server make -s -C "$source" PG_CONFIG="$pg_config" with_llvm=no DESTDIR="$tree" "${make_options[@]}" install ||
		die 'the installation failed'
	export PATH=$bindir:$PATH
}

# what the server is started by, to have another clock
server_clock=()

# Makes and starts the cluster in $work/data, instead of one that was there and
# has been stopped; its superuser is postgres.
start_server()
{
	export PGHOST=$sockets PGPORT=5432 PGUSER=postgres
	rm -rf "$work/data"
	server_log=$work/server.log
	quietly as_server initdb -D "$work/data" -U postgres -A trust -E UTF8 --no-locale -N ||
		die 'initdb failed'
	{
		say "listen_addresses = ''" "unix_socket_directories = '$sockets'" 'port = 5432' \
			'max_worker_processes = 16' 'autovacuum = off' "$@"
	} >> "$work/data/postgresql.conf"
	as_server "${server_clock[@]}" pg_ctl -D "$work/data" -l "$server_log" -w -t 120 start >/dev/null || {
		tail -n 30 "$server_log" >&2
		die 'the server did not start'
	}
}

stop_server()
{
	as_server pg_ctl -D "$work/data" -w -m fast stop >/dev/null
}

# The tests of a kind, or those of them that were asked for by name, or by room as
# ROOM/: tests and rooms have the same names.  Prints ROOM/NAME.
select_tests()
{
	local folder=$1 suffix=$2 file name

	for file in "$root/test/$folder"/*/*"$suffix"; do
		if [ ! -e "$file" ]; then continue; fi
		name=$(basename "$file" "$suffix")
		file=${file#"$root/test/$folder/"}
		case " ${TESTS:-$name} " in
			*" $name "* | *" $name$suffix "* | *" ${file%/*}/ "*) printf '%s\n' "${file%"$suffix"}" ;;
		esac
	done
}

# Complains about tests that were asked for and are not among these.
require_tests()
{
	local name

	for name in ${TESTS:-}; do
		case $name in
			*/) case " $* " in *" $name"*) continue ;; esac ;;
			*) case " $* " in *"/${name%.*} "*) continue ;; esac ;;
		esac
		die "there is no test named $name"
	done
}

# Both programs print one line for each test: "test NAME ... ok" before 16,
# "ok 1 - NAME" since.  A test that they did not come to has failed.
count_regress()
{
	local log=$1 total=$2 good

	good=$(grep -cE '^(test )? *[^ ]+ +\.\.\. ok|^ok [0-9]+ +[-+] ' "$log" || true)
	passed=$((passed + good))
	failed=$((failed + total - good))
}

# what is put behind the names of tests, where they run more than once
label=

# Runs regression or isolation tests in a database and counts them in passed and
# failed; the folder of a run that was not clean is added to broken.
run_regress()
{
	local program=$1 database=$2 output=$3 rooms
	shift 3
	mapfile -t rooms < <(printf '%s\n' "${@%/*}" | sort -u)

	mkdir "$output" "$output/results"
	mkdir "${rooms[@]/#/$output/results/}"
	if [ -n "$server_user" ]; then chown -R "$server_user" "$output"; fi
	logged "$work/log" as_server "$program" --inputdir="$source/test" --outputdir="$output" \
		--bindir="$bindir" --host="$sockets" --port=5432 --user=postgres \
		--dbname="$database" --load-extension=pgmaint "$@" || {
		broken+=("$output")
		if [ -s "$output/regression.diffs" ]; then
			head -n 300 "$output/regression.diffs"
		fi
	}
	count_regress "$work/log" $#
	sed -nE 's/^test ([^ ]+) +\.\.\. [A-Za-z]+ +([0-9]+) ms.*/\2 \1/p; s/^(not )?ok [0-9]+ +[-+] ([^ ]+) +([0-9]+) ms.*/\3 \2/p' \
		"$work/log" | sed "s/\$/$label/" >> "$work/durations"
}

# The zone that the sessions of pg_regress are in, and dates at which what is
# computed from the clock may be wrong: a new year, a leap day, and the nights in
# which the clocks go forward and back.  The tests begin some seconds before.
clock_zone=America/Los_Angeles
# shellcheck disable=SC2034  # the tools use them
clock_dates=('2027-12-31 23:59:45' '2028-02-29 12:00:00' '2028-03-12 01:59:45' '2028-11-05 01:59:45')

# how the server of the regression and isolation tests is set up
regress_settings=('fsync = off' 'max_prepared_transactions = 5' 'wal_level = replica')

find_libfaketime()
{
	local file

	for file in /usr/lib/*/faketime/libfaketime.so.1 /usr/lib*/faketime/libfaketime.so.1; do
		if [ -f "$file" ]; then
			printf '%s\n' "$file"
			return
		fi
	done
	return 1
}

# Runs regression tests on a server of their own, whose clock begins at another
# date and goes on from there.
#
# libfaketime adds an offset to what the server's processes read from the wall
# clock, and to the times of files.  The monotonic clock, by which latches and
# WaitEventSets time out, stays the real one: with both moved, waits end at once
# or never.  Timers (statement_timeout and its like) are set to intervals, which
# an offset leaves alone.  Other programs, such as an S3 server that checks the
# date of a signature, have the real time: nothing that talks to one runs so.
# What preload.c is for is said there.
run_regress_at()
{
	local date=$1 library seconds
	shift

	library=$(find_libfaketime) || die 'libfaketime is not installed'
	cc -shared -fPIC -o "$work/preload.so" "$root/test/tools/preload.c" || die 'test/tools/preload.c cannot be compiled'
	seconds=$(TZ=$clock_zone date -d "$date" +%s) || die "$date is no date"
	seconds=$((seconds - $(date +%s)))
	server_clock=(env "LD_PRELOAD=$work/preload.so:$library" "FAKETIME=$(printf %+d "$seconds")" FAKETIME_DONT_FAKE_MONOTONIC=1 "TZ=$clock_zone")
	start_server "${regress_settings[@]}" "timezone = '$clock_zone'" "log_timezone = '$clock_zone'"
	server_clock=()
	label=" at ${date%% *}"
	run_regress "$pgxs_test/regress/pg_regress" contrib_regression "$work/regress-${date//[^0-9]/}" "$@"
	label=
	stop_server || true
}

# A crash is a failure, whatever the tests say; after any, the log is kept.
check_server_log()
{
	if grep -nE 'was terminated by signal|TRAP: |PANIC: ' "$server_log"; then
		say 'the server crashed: see the lines above, from its log'
		failed=$((failed + 1))
		broken+=("$server_log")
	elif [ ${#broken[@]} -gt 0 ]; then
		broken+=("$server_log")
	fi
}

keep_results()
{
	if [ ${#broken[@]} -gt 0 ]; then
		rm -rf "$root/tmp_check" 2>/dev/null || true
		if mkdir "$root/tmp_check" 2>/dev/null && cp -R "${broken[@]}" "$root/tmp_check"; then
			say '' "results and logs are in $root/tmp_check"
		fi
	fi
}

# The five tests that took longest, of all kinds, in one line.
report_slowest()
{
	[ -s "$work/durations" ] || return 0
	sort -rn "$work/durations" | head -n 5 |
		awk '{ ms = $1; sub(/^[0-9]+ /, ""); printf "%s%s %.0f s", NR == 1 ? "slowest: " : ", ", $0, ms / 1000 } END { print "" }'
}

# the TAP tests that are asked for
tap=()

# The tests that need one of these are skipped where it cannot be installed.
need_for_tests()
{
	local name

	for name in "${tap[@]}"; do
		if grep -q "$2" "$root/test/t/$name.pl"; then
			"$root/test/tools/setup" "$1" || say "the tests that need $3 are skipped"
			return
		fi
	done
}
need_for_all_tests()
{
	need_for_tests s3 '^use PgmaintS3' 'an S3 server'
	need_for_tests mail aiosmtpd 'an SMTP server'
	need_for_tests browser '^use PgmaintBrowser' 'a browser'
	need_for_tests prometheus promtool 'promtool'
}

# Runs the TAP tests, and adds to the counts.
run_tap()
{
	local perl_dir=$pgxs_test/perl good bad unrun cluster=$work/cluster

	# a server built without --enable-tap-tests does not install the modules
	if [ ! -d "$perl_dir" ]; then
		perl_dir=/usr/lib/postgresql/$("$pg_config" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/')/lib/pgxs/src/test/perl
	fi
	if [ ! -d "$perl_dir" ]; then
		say "skipping ${#tap[@]} TAP test files: $("$pg_config" --version) came without the test modules"
		skipped=$((skipped + ${#tap[@]}))
		return
	fi

	local output=$work/tap
	mkdir -p "$output/tmp_check/log"
	if [ -n "$server_user" ]; then chown -R "$server_user" "$output"; fi
	# most clusters are copies of this one, which takes less time than initdb
	if [ ! -d "$cluster" ]; then
		quietly as_server env -u PGUSER initdb -D "$cluster" -A trust -N || die 'initdb failed'
	fi
	cd "$source" || die "there is no $source"
	logged "$work/log" as_server env -u PGHOST -u PGPORT -u PGUSER \
		TESTDIR="$output" TESTDATADIR="$output/tmp_check" TESTLOGDIR="$output/tmp_check/log" \
		TMPDIR="$sockets" PGMAINT_TEST_CLUSTER="$cluster" PG_REGRESS="$pgxs_test/regress/pg_regress" \
		perl test/tools/run-tap "$output/counts" "$perl_dir" \
		"${tap[@]/%/.pl}" || {
		broken+=("$output/tmp_check/log")
		grep -A 12 -E '^[^ ]* *not ok|^error running|Tests were run but' \
			"$output"/tmp_check/log/regress_log_* /dev/null | head -n 200 || true
	}
	cd "$work" || die "there is no $work"
	if [ -s "$output/counts" ]; then
		read -r good bad unrun < "$output/counts"
		sed 1d "$output/counts" >> "$work/durations"
		passed=$((passed + good))
		failed=$((failed + bad))
		skipped=$((skipped + unrun))
	else
		failed=$((failed + ${#tap[@]}))
	fi
}
