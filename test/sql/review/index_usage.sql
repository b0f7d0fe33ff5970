--
-- Indexes that are not needed, and foreign keys that need one: planted ones, and
-- look-alikes that are none
--
SET client_min_messages = warning;
CREATE SCHEMA index_usage;
SET search_path = index_usage;
CREATE TABLE parent (id int PRIMARY KEY, code int UNIQUE);
CREATE TABLE child (
	id int PRIMARY KEY, a int, b int, c text, d int, e int, f int, g int, h int,
	parent_a int CONSTRAINT with_index REFERENCES parent,
	parent_b int CONSTRAINT without_index REFERENCES parent,
	parent_c int CONSTRAINT with_second_column REFERENCES parent,
	parent_d int CONSTRAINT with_partial REFERENCES parent,
	parent_e int CONSTRAINT with_wrong_partial REFERENCES parent,
	parent_f int CONSTRAINT with_longer REFERENCES parent);
CREATE INDEX ok_parent_a ON child (parent_a);
CREATE INDEX ok_second ON child (h, parent_c);
CREATE INDEX ok_partial ON child (parent_d) WHERE parent_d IS NOT NULL;
CREATE INDEX ok_wrong_partial ON child (parent_e) WHERE parent_e > 5;
CREATE INDEX ok_longer ON child (parent_f, a);
-- duplicates, and what only looks like them
CREATE INDEX dup_first ON child (a, b);
CREATE INDEX dup_second ON child (a, b);
CREATE INDEX dup_of_primary_key ON child (id);
CREATE INDEX ok_descending ON child (a DESC, b);
CREATE INDEX ok_hash ON child USING hash (a);
CREATE INDEX ok_pattern ON child (c text_pattern_ops);
CREATE INDEX ok_collation ON child (c COLLATE "C");
CREATE INDEX ok_plain ON child (c);
CREATE INDEX ok_lower ON child (lower(c));
CREATE INDEX ok_where ON child (a, b) WHERE d > 0;
CREATE INDEX ok_including ON child (a, b) INCLUDE (d);
-- the beginning of a longer one, or of a unique one
CREATE INDEX short_one ON child (d);
CREATE INDEX ok_long_one ON child (d, e, f);
CREATE UNIQUE INDEX ok_unique ON child (e);
CREATE INDEX ok_longer_than_unique ON child (e, f);
CREATE INDEX ok_not_first ON child (f);
INSERT INTO parent SELECT g, g FROM generate_series(1, 10) g;
INSERT INTO child (id, a, e) SELECT g, g, g FROM generate_series(1, 100) g;
-- what a failed build leaves behind
CREATE INDEX broken ON child (g);
CREATE INDEX broken_ccnew ON child (g, a);
UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('broken'::regclass, 'broken_ccnew'::regclass);
ANALYZE;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on

CREATE FUNCTION found(kinds text[]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' | ', u.check_id, u.kind, u.relation, u.index, regexp_replace(u.detail, '\d+ kB|\d+ bytes', 'N'), u.command)
	FROM pgmaint.index_usage('0', 0) u WHERE u.check_id = ANY (kinds) AND u.relation IN ('index_usage.child'::regclass, 'index_usage.parent'::regclass)
$$;

SELECT f FROM found('{H001,H003,H004}') f ORDER BY f COLLATE "C";

-- an index that is being built is not broken
BEGIN;
LOCK TABLE child IN SHARE UPDATE EXCLUSIVE MODE;
SELECT found('{H001}');
ROLLBACK;

-- Nothing is called unused before it was looked at, nor what stands for more
-- than reading.
SELECT count(*) FROM found('{H002}');
SELECT pgmaint_internal.take_index_scans() > 0;
SELECT split_part(f, ' | ', 4) FROM found('{H002}') f ORDER BY f COLLATE "C";
SELECT count(*) FROM pgmaint.index_usage('1 hour', 0) WHERE check_id = 'H002';
-- periods that are none
\set VERBOSITY terse
SELECT pgmaint.index_usage('-1 day');
SELECT pgmaint.index_usage('178000000 years');
SELECT pgmaint.index_usage(NULL);
\set VERBOSITY default

-- nor what was used since, or whose counter began anew
UPDATE pgmaint_internal.index_scans SET scans = scans + 1 WHERE index = 'ok_lower'::regclass;
UPDATE pgmaint_internal.index_scans SET counted_since = '2000-01-01' WHERE index = 'ok_hash'::regclass;
UPDATE pgmaint_internal.index_scans SET timeline = timeline + 1 WHERE index = 'ok_where'::regclass;
UPDATE pgmaint_internal.index_scans SET system_identifier = 1 WHERE index = 'ok_pattern'::regclass;
SELECT split_part(f, ' | ', 4) FROM found('{H002}') f ORDER BY f COLLATE "C";
UPDATE pgmaint_internal.index_scans SET since = since - interval '40 days';
SELECT pgmaint_internal.take_index_scans() > 0;
SELECT count(*) FROM pgmaint.index_usage(min_size => 0) WHERE check_id = 'H002' AND index ~ 'ok_(lower|hash|where|pattern)$';
SELECT regexp_replace(detail, '\d{4}-\d\d-\d\d', 'DATE'), command FROM pgmaint.index_usage(min_size => 0) WHERE index = 'index_usage.ok_descending';

-- what is gone is forgotten
DROP INDEX ok_descending;
SELECT pgmaint_internal.take_index_scans() > 0;
SELECT count(*) FROM pgmaint_internal.index_scans s WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.index);

-- as a run: one finding for each kind
SELECT pgmaint.define_plan('index_usage_test', '[{"action": "index_usage", "options": {"min_size": 0}}]');
\set VERBOSITY terse
SET client_min_messages = warning;
CALL pgmaint.run_and_wait('index_usage_test') \g /dev/null
RESET client_min_messages;
SELECT f.check_id, f.severity, count(*), bool_and(f.detail -> 'objects' -> 0 ? 'command')
	FROM pgmaint.findings f JOIN pgmaint.runs r USING (run_id) WHERE r.plan = 'index_usage_test' GROUP BY 1, 2 ORDER BY 1;
SELECT f.message ~ '^\d+ invalid index.*index_usage.broken \(queries do not use the index' FROM pgmaint.findings f JOIN pgmaint.runs r USING (run_id)
	WHERE r.plan = 'index_usage_test' AND f.check_id = 'H001';
SELECT pgmaint.drop_plan('index_usage_test');

-- for whom
CREATE ROLE regress_index_usage;
SET ROLE regress_index_usage;
SELECT pgmaint.index_usage();
RESET ROLE;
GRANT pg_monitor TO regress_index_usage;
SET ROLE regress_index_usage;
SELECT count(*) > 0 FROM pgmaint.index_usage('0', 0);
RESET ROLE;
DROP ROLE regress_index_usage;
UPDATE pg_index SET indisvalid = true WHERE indexrelid IN ('broken'::regclass, 'broken_ccnew'::regclass);
SET client_min_messages = warning;
DROP SCHEMA index_usage CASCADE;
