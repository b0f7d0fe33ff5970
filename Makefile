# pgmaint: database maintenance from inside the server
#
#   make, make install     build and install it for the server that PG_CONFIG belongs to
#   make installcheck      its tests against a running server on which it is installed
#   make demo              see it at work, on a private server with a private database
#   make check             all tests, on a private server; TESTS="name ..." for some of them
#   make bench             measure it; writes test/bench/RESULTS.md
#   make picture           makes docs/report.png, the first screen of a report
#   make figures           brings the figures in README.md and docs/ up to date with that
#   make reference         brings docs/reference.md up to date with the extension
#   make check-dates       the regression tests, at dates at which time is odd
#   make check-servers     make check on every server that Debian can give: 15, 17, 18 and 19
#   make check-sanitizers  the regression tests under ASan, UBSan and valgrind
#   make check-package     builds the Debian package, and tests it in a fresh folder
#   make lint              the floors that the code stands on, the formatting, and check-lint
#   make check-lint        clang-tidy, cppcheck, shellcheck, and checks of our own
#
# All but install and installcheck install what they miss with apt, and say so
# first.  They touch no PostgreSQL cluster that is there already.

EXTENSION = pgmaint
EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" pgmaint.control)

MODULE_big = pgmaint
# Other libraries of a session may have functions of the same names: until 16,
# a library of the server shows all that it has
SHLIB_EXPORTS = src/exports.txt
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

# The server's headers come as system headers, so that the warnings are about
# our code.  Two are off: callbacks have the arguments that the server gives
# them, whether used or not, and lengthof() is unsigned where the server's own
# loops, and ours, count with an int.
PG_CPPFLAGS = -I$(CURDIR)/src -isystem $(includedir_server) -DPGMAINT_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare

# HTTP, XML and compression, for storages.  zstd is offered where the server has it
PG_CPPFLAGS += $(subst -I,-isystem ,$(shell xml2-config --cflags 2>/dev/null || echo -I/usr/include/libxml2))
SHLIB_LINK = -lcurl -ldeflate -lxml2 -lz $(if $(shell grep -s '^.define USE_ZSTD 1' $(includedir_server)/pg_config*.h),-lzstd)

# the extension script, in the order in which its parts build on each other
SQL_PARTS = $(wildcard \
	sql/base/schema.sql \
	sql/ledger/ledger.sql \
	sql/base/identity.sql \
	sql/base/one_line.sql \
	sql/engine/built_in_plans.sql \
	sql/engine/plans.sql \
	sql/engine/windows.sql \
	sql/engine/engine.sql \
	sql/bloat/bloat.sql \
	sql/vacuum/candidates.sql \
	sql/review/queries.sql \
	sql/review/statements.sql \
	sql/storage/storage.sql \
	sql/retention/retention.sql \
	sql/retention/archives.sql \
	sql/engine/schedules.sql \
	sql/compact/compact.sql \
	sql/reindex/reindex.sql \
	sql/corruption/corruption.sql \
	sql/review/connections.sql \
	sql/review/statement_snapshots.sql \
	sql/review/slow_queries.sql \
	sql/review/degraded_queries.sql \
	sql/review/query_plans.sql \
	sql/backup/backups.sql \
	sql/backup/proofs.sql \
	sql/backup/verifications.sql \
	sql/backup/expire.sql \
	sql/storage/storage_checks.sql \
	sql/review/advice.sql \
	sql/reindex/partitioned_indexes.sql \
	sql/review/index_usage.sql \
	sql/review/thresholds.sql \
	sql/notify/contacts.sql \
	sql/notify/notifications.sql \
	sql/notify/alert_records.sql \
	sql/notify/alerts.sql \
	sql/review/validate_backups.sql \
	sql/review/validate_data.sql \
	sql/review/validate_server.sql \
	sql/review/validate_escalation.sql \
	sql/review/validate_identity.sql \
	sql/review/validate_maintenance.sql \
	sql/review/validate_storages.sql \
	sql/review/validate.sql \
	sql/report/report.sql \
	sql/report/shared.sql \
	sql/report/page.sql \
	sql/report/charts.sql \
	sql/report/html_checks.sql \
	sql/report/html_run.sql \
	sql/report/previous_runs.sql \
	sql/report/html_queries.sql \
	sql/report/html_history.sql \
	sql/report/report_html.sql \
	sql/report/metrics.sql \
	sql/report/help.sql \
	sql/report/status.sql \
	sql/report/json_run.sql \
	sql/report/json_database.sql \
	sql/report/report_json.sql \
	sql/base/access.sql \
	sql/base/default_rights.sql \
)
SCRIPT = sql/pgmaint--$(EXTVERSION).sql

# From the version that was released last to the one that is being made:
# sql/update.sql moves and changes what that version has, and drops what goes.
# After it comes all of the extension script but for the statements that make or
# fill tables: functions and views are replaced, or are new.  What is in
# sql/released/ was released, and never changes.
RELEASED = 0.2
UPDATE = sql/pgmaint--$(RELEASED)--$(EXTVERSION).sql

DATA = $(sort $(wildcard sql/released/pgmaint--*.sql))
DATA_built = $(SCRIPT) $(UPDATE)

# what is built or left behind, of any version
EXTRA_CLEAN = src/exports.list $(filter-out $(DATA_built),$(wildcard sql/pgmaint--*.sql)) tmp_check output_iso test/results test/output_iso test/regression.diffs test/regression.out

REGRESS := $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*/*.sql)))
# pg_regress looks into the folder of its output first: ./sql is another
REGRESS_OPTS = --inputdir=test --outputdir=test --load-extension=pgmaint
ISOLATION := $(sort $(patsubst test/specs/%.spec,%,$(wildcard test/specs/*/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=test --load-extension=pgmaint
TAP_TESTS := $(if $(wildcard test/t/*/*.pl),1)
PROVE_TESTS = test/t/*/*.pl

# These need no PGXS: they find or install a server first, and call make again.
CHECKS = check-dates check-servers check-sanitizers check-package check-includes check-format check-lint
TOOLS = check demo bench picture figures reference lint $(CHECKS)

ifneq ($(filter $(TOOLS),$(MAKECMDGOALS)),)

.PHONY: $(TOOLS)

check demo bench picture reference $(CHECKS):
	@test/tools/$@

figures:
	@test/tools/check-figures --write

lint: check-includes check-format check-lint

OTHERS = $(filter-out $(TOOLS),$(MAKECMDGOALS))
ifneq ($(OTHERS),)
.PHONY: $(OTHERS)
$(OTHERS):
	@$(MAKE) --no-print-directory $@
endif

else

# Debian's PostgreSQL 15 where its server headers are installed; otherwise the
# pg_config in the PATH.  (libpq-dev's pg_config comes without server headers.)
ifeq ($(origin PG_CONFIG),undefined)
PG_CONFIG := $(if $(wildcard /usr/include/postgresql/15/server/postgres.h),$(wildcard /usr/lib/postgresql/15/bin/pg_config))
ifeq ($(PG_CONFIG),)
PG_CONFIG := pg_config
endif
endif

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

ifeq ($(wildcard $(PGXS)),)

.PHONY: all install uninstall installcheck clean distclean
all install uninstall installcheck clean distclean:
	@echo 'pgmaint: "$(PG_CONFIG)" does not lead to a PostgreSQL server that extensions can be built for.' >&2
	@echo 'pgmaint: On Debian, apt-get install postgresql-server-dev-15; elsewhere, make PG_CONFIG=/path/to/pg_config.' >&2
	@exit 1

else

include $(PGXS)

# Debian's PGXS does not track headers: a changed one rebuilds everything, and
# so does another version
HEADERS = $(wildcard src/*.h src/*/*.h)
$(OBJS) $(OBJS:.o=.bc): $(HEADERS) pgmaint.control

# pg_regress makes no folders in that of its results
installcheck: | $(sort $(dir $(addprefix test/results/,$(REGRESS) $(ISOLATION))))
test/results/%/:
	mkdir -p $@

$(SCRIPT): $(SQL_PARTS) pgmaint.control Makefile
	cat $(SQL_PARTS) > $@

$(UPDATE): sql/update.sql sql/update.awk $(SQL_PARTS) pgmaint.control Makefile
	{ cat sql/update.sql && awk -f sql/update.awk $(SQL_PARTS); } > $@

endif
endif
