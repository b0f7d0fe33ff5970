# pgmaint: database maintenance from inside the server

EXTENSION = pgmaint
VERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" pgmaint.control)

MODULE_big = pgmaint
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
PG_CPPFLAGS = -I$(CURDIR)/src
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare

# the extension script, in the order in which its parts build on each other
SQL_PARTS = $(wildcard sql/schema.sql sql/ledger.sql sql/plans.sql sql/engine.sql sql/bloat.sql sql/candidates.sql sql/report.sql)
SCRIPT = sql/pgmaint--$(VERSION).sql
DATA_built = $(SCRIPT)
EXTRA_CLEAN = $(SCRIPT)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(SCRIPT): $(SQL_PARTS) pgmaint.control Makefile
	cat $(SQL_PARTS) > $@
