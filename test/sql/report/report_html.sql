--
-- report_html: a page that is well-formed and safe, whatever it tells of
--
SET client_min_messages = warning;
SET TimeZone = 'Europe/Berlin';
CREATE SCHEMA report_html;
SET search_path = report_html;
TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.bloat_measurements, pgmaint_internal.backup_records, pgmaint.archives, pgmaint.retention_policies RESTART IDENTITY;
\pset format unaligned
\pset tuples_only on
-- a server without libxml believes it
CREATE FUNCTION well_formed(page text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	RETURN xmlparse(document page) IS NOT NULL;
EXCEPTION WHEN feature_not_supported THEN
	RETURN true;
END $$;
CREATE FUNCTION elements(page text, name text) RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM regexp_matches(page, '<' || name || '[ >]', 'g') $$;
CREATE FUNCTION sections(page text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(m[1], ' ' ORDER BY nth) FROM regexp_matches(page, '<h2 id="([^"]*)">', 'g') WITH ORDINALITY AS x (m, nth) $$;

-- the words
SELECT string_agg(pgmaint_internal.duration_text(s), ', ' ORDER BY s) FROM unnest(ARRAY[0, 0.04, 9.96, 59.4, 59.6, 60, 61, 3599.7, 3660, 86400, 172799, 172800, 200000]) s;
SELECT pgmaint.count_text(0), pgmaint.count_text(1234567), pgmaint.count_text(NULL) IS NULL;
SELECT pgmaint_internal.html_text(E'<a href="x">\u0001&amp;''</a>\n\t'), pgmaint_internal.html_text(NULL) IS NULL;
SELECT pgmaint_internal.html_time('2026-11-23 02:03:04.5+00'), pgmaint_internal.html_time('infinity') IS NULL;
SELECT string_agg(v || ' ' || (e).label, ', ' ORDER BY v) FROM (SELECT v, pgmaint_internal.scale_end(v, 'bytes') AS e FROM unnest(ARRAY[0, 1, 3, 1023, 1025, 600000, 3e9, 1.1e15]) v) x;
SELECT string_agg(v || ' ' || (e).label, ', ' ORDER BY v) FROM (SELECT v, pgmaint_internal.scale_end(v, 'seconds') AS e FROM unnest(ARRAY[0, 0.003, 0.7, 7, 41, 59, 61, 1900, 3500, 50000, 300000]) v) x;
SELECT pgmaint_internal.html_charset();
SET client_encoding = 'LATIN1';
SELECT pgmaint_internal.html_charset();
SET client_encoding = 'WIN1252';
SELECT pgmaint_internal.html_charset();
SET client_encoding = 'LATIN9';
SELECT pgmaint_internal.html_charset();
RESET client_encoding;

-- no run
SELECT well_formed(p), p LIKE '%<h1>No run yet</h1>%', p LIKE '%<title>No run yet, ' || current_database() || '</title>%' FROM pgmaint.report_html() p;
\set SHOW_CONTEXT never
SELECT pgmaint.report_html(17);
\set SHOW_CONTEXT errors

-- everything that can be there, under names that would break out
CREATE TABLE nasty (name text);
INSERT INTO nasty VALUES (E'<script>alert("1")</script> &amp; ]]> ''\u0001 " onload="x \U0001F418');
CREATE TABLE "<b>" (id int PRIMARY KEY, at timestamptz);
INSERT INTO pgmaint.runs (plan, options, requested_by, requested_at, started_at, finished_at, state, error, role, database, steps, current_step, settings)
SELECT name, jsonb_build_object(replace(name, E'\u0001', ''), 1), name, '2026-11-22 01:00+00', '2026-11-22 01:00+00', '2026-11-22 03:00+00', 'failed', name, 10, 5,
	'[{"action": "bloat_report"}, {"action": "vacuum"}, {"action": "analyze"}, {"action": "reindex"}]', 3, '{}'
FROM nasty;
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, started_at, finished_at, bytes_before, bytes_after, result, outcome, error, worker)
SELECT 1, 2, 'vacuum', name, 'VACUUM ' || name, name, s, r.started_at + g * interval '10 min', r.started_at + g * interval '10 min' + interval '9 min', 9000000, 1000000,
	'{"dead_rows_before": 1500, "dead_rows_after": 500, "returned_bytes": 8000000}', name, CASE WHEN s <> 'succeeded' THEN format('no lock on %s: process %s', name, g) END, 1 + g % 2
FROM nasty, pgmaint.runs r, unnest(ARRAY['succeeded', 'failed', 'skipped', 'skipped', 'skipped', 'skipped', 'skipped', 'skipped', 'cancelled']) WITH ORDINALITY AS x (s, g);
INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message)
SELECT 1, c, s, name, CASE WHEN c = 'own' THEN 'odd' ELSE 'it is ' || name END FROM nasty, (VALUES ('F004', 'warning'), ('F005', 'critical'), ('own', 'info'), ('skipped', 'warning')) x (c, s)
UNION ALL SELECT 1, name, 'warning', NULL, g::text FROM nasty, generate_series(1, 13) g;
UPDATE pgmaint.findings SET detail = '{"command": "ALTER SYSTEM SET a = ''<b>''"}' WHERE check_id = 'own';
INSERT INTO pgmaint_internal.bloat_measurements (run_id, measured_at, relation, object, kind, method, total_bytes, bloat_bytes, bloat_ratio, margin, sampled_blocks, total_blocks)
SELECT 1, '2026-11-22 01:00+00'::timestamptz - g * interval '7 days', o, name, k, 'heap', 10000000, 1000000 * g, g / 10.0, 0.01, 1, 1
FROM nasty, generate_series(0, 5) g, (VALUES ('"<b>"'::regclass::oid, 'table'), ('"<b>_pkey"'::regclass::oid, 'index')) x (o, k);
INSERT INTO pgmaint_internal.backup_records (storage, key, kind, database, state, compression, bytes, sha256, dump_bytes, database_bytes, started_at, finished_at, verified_at, verification, restore_duration, error)
SELECT 'pgmaint_local', name || g, 'database', replace(left(name, 40), E'\u0001', ''), CASE WHEN g = 3 THEN 'failed' ELSE 'succeeded' END, 'gzip', 1000000 * g, 'x', 9, 9,
	'2026-11-22 01:00+00'::timestamptz - g * interval '1 day', '2026-11-22 01:05+00'::timestamptz - g * interval '1 day', '2026-11-22 02:00+00', 'restorable', '7 min', CASE WHEN g = 3 THEN name END
FROM nasty, generate_series(1, 4) g;
INSERT INTO pgmaint.retention_policies (relation, time_column, keep, archive, storage, compression, owner, added_by)
VALUES ('"<b>"', 'at', '90 days', true, 'pgmaint_local', 'gzip', 'x', 'x');
INSERT INTO pgmaint.archives (policy_id, run_id, relation, storage, key, rows, bytes, sha256, range_from, range_to, content_bytes, content_sha256, compression, columns)
SELECT p, 1, name, 'pgmaint_local', name || p, 1000000, 2000000, 'x', '2026-01-01', '2026-02-01', 1, 'x', 'gzip', '{}' FROM nasty, generate_series(1, 2) p;
-- two periods of a week; a query that became slower, a new one, one that sets a password
INSERT INTO pgmaint_internal.statement_snapshots (taken_at, run_id, counted_since, statements, total_ms)
VALUES ('2026-11-08 02:00+00', NULL, '2026-01-01', 3, 1), ('2026-11-15 02:00+00', NULL, '2026-01-01', 3, 1), ('2026-11-22 02:00+00', 1, '2026-01-01', 4, 1);
INSERT INTO pgmaint_internal.statement_figures (snapshot_id, userid, queryid, calls, total_ms)
SELECT s.snapshot_id, 10, q, w * c, w * ms
FROM (SELECT snapshot_id, row_number() OVER (ORDER BY taken_at) AS w FROM pgmaint_internal.statement_snapshots) s,
	(VALUES (1, 100, 1000), (2, 10, 90000), (3, 1, 2000)) x (q, c, ms);
UPDATE pgmaint_internal.statement_figures SET total_ms = total_ms + 4000 WHERE queryid = 1 AND snapshot_id = (SELECT max(snapshot_id) FROM pgmaint_internal.statement_snapshots);
INSERT INTO pgmaint_internal.statement_figures (snapshot_id, userid, queryid, calls, total_ms) SELECT max(snapshot_id), 10, q, 5, 2500 FROM pgmaint_internal.statement_snapshots, generate_series(4, 5) q GROUP BY q;
INSERT INTO pgmaint_internal.statement_texts SELECT 1, 'SELECT ' || name || repeat('x', 3000) FROM nasty UNION ALL SELECT 3, 'ALTER ROLE a ENCRYPTED PASSWORD ''geheim''' UNION ALL SELECT 4, 'SELECT password FROM a' UNION ALL SELECT 5, 'SELECT pgmaint.tick()';
INSERT INTO pgmaint.query_plans (queryid, userid, role, first_seen_at, last_seen_at, cost, outline, plan, query) SELECT 1, 10, 'x', now(), now(), 1, 'Seq Scan on ' || name, '{}', name FROM nasty;
INSERT INTO pgmaint_internal.index_advices (relation, object, statement, last_given_at, gain_ms_per_day, index_bytes, query_ids, mean_ms_before, "index", mean_ms_after, outcome)
SELECT g, name, 'CREATE INDEX ON ' || CASE WHEN g > 1 THEN quote_ident(replace(name, E'\u0001', '')) ELSE quote_ident(E'a\nDROP TABLE b; --') END || ' (c)', '2026-11-22 01:30+00', g * 1e6, 3e7, '{1,2}', 120,
	CASE WHEN g > 2 THEN '"<b>_pkey"'::regclass::oid END, 3.456, CASE g WHEN 4 THEN 'helped' WHEN 5 THEN 'no help' WHEN 6 THEN 'not used' END
FROM nasty, generate_series(1, 6) g;
-- what became of alerts
INSERT INTO pgmaint_internal.alert_records (alert_id, check_id, object, severity, condition, message, occurrences, first_seen, last_seen, severe_since, first_finding, last_finding, level, resolved_at, resolution)
SELECT 100 + n, 'life', name || n, 'critical', 'it goes on', 'm', n, '2026-11-01', '2026-11-22', '2026-11-08', 1, n, least(n - 1, 2), CASE WHEN n = 4 THEN '2026-11-22'::timestamptz END, CASE WHEN n = 4 THEN name END
FROM nasty, generate_series(1, 5) n;
INSERT INTO pgmaint_internal.acknowledgements (finding_id, alert_id, severity, acknowledged_by, acknowledged_at) SELECT 1, alert_id, 'critical', '<script>bob', '2026-11-22 12:00+00' FROM pgmaint_internal.alert_records WHERE check_id = 'life' AND occurrences = 5;
INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message, alert_id) SELECT 1, 'life', 'warning', name, 'x', alert_id FROM nasty, pgmaint_internal.alert_records WHERE check_id = 'life' ORDER BY alert_id;
INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message) SELECT 1, 'alike', 'warning', name || g, 'it is odd' FROM nasty, generate_series(1, 8) g;
CREATE TABLE page AS SELECT p FROM pgmaint.report_html(1) p;
SELECT well_formed(p) FROM page;
SELECT sections(p) FROM page;
SELECT elements(p, 'script'), elements(p, 'b onload'), p ~ '<[^>]* (style|on[a-z]+)=', p ~ '(href|src)="(?!#|data:,)', p ~ 'url\((?!#hatch)' FROM page;
SELECT count(*) > 30, bool_and(m[1] ~ '^(&lt;/?b&gt;|&lt;script&gt;|&lt;/script&gt;)$') FROM page, regexp_matches(p, '(&lt;/?(?:b|script)&gt;|<script>|</script>)', 'g') m;
SELECT count(*) = count(DISTINCT m[1]) AS ids_are_unique FROM page, regexp_matches(p, ' id="([^"]*)"', 'g') m;
SELECT bool_and(p LIKE '%id="' || r || '"%') AS labels_are_there FROM page, regexp_matches(p, 'aria-labelledby="([^"]*)"', 'g') m, regexp_split_to_table(m[1], ' ') r;
SELECT bool_and(elements(p, e) > 0) AS landmarks FROM page, unnest(ARRAY['html lang="en"', 'title', 'header', 'nav aria-label="Contents"', 'main', 'footer', 'h1', 'caption', 'th scope="col"', 'th scope="row"', 'desc id="timeline-d"']) e;
-- that the hash in the page is that of its style
SELECT strpos(p, 'sha256-' || encode(sha256(convert_to(substring(p from '<style>(.*)</style>'), 'UTF8')), 'base64')) > 0 FROM page;
-- what is skipped for the same reason is one row
SELECT m[1], m[2] FROM page, regexp_matches(p, '<th scope="row"><span class="state [a-z]+"><span aria-hidden="true">[^<]*</span> ([a-z]+)</span></th><td class="number" data-label="Tasks">(\d+)</td>', 'g') m;
SELECT p LIKE '%&#8230; and 1 more</td>%' AS targets, p LIKE '%<li>&#8230; and 8 more like these</li>%' AS findings, p LIKE '%<code>SELECT * FROM pgmaint.findings WHERE run_id = 1</code> has all.%' AS where FROM page;
SELECT p LIKE '%<li>&#8230; and 3 more like these: <code>&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; %6</code>, %8</code></li>%' AS named FROM page;
SELECT p LIKE '%told as a task%', p LIKE '%not reached%', p LIKE '%nothing due%', p LIKE '%<b>1</b>of 9 tasks done%', p LIKE '%<b>2 h</b>duration%' FROM page;
SELECT p LIKE '%In all, 2,000,000 rows in 3906 kB%' AS archived, p LIKE '%policy dropped%' AS dropped, p LIKE '%<span>02:00:00 +01:00</span>%' AS zone FROM page;

SELECT p LIKE '%</code>: odd<br/><code>ALTER SYSTEM SET a = &#39;&lt;b&gt;&#39;;</code></li>%' AS command, p LIKE '%<li>it is %' AS named_once,
	p LIKE '%<b>What to do:</b> The action reindex rebuilds such indexes%' AS remedy FROM page;
-- what is not in order is open, the rest is folded
CREATE FUNCTION lead(page text) RETURNS text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(regexp_replace(substring(page from '<p class="lead">(.*?)</p>'), '<[^>]*>', '', 'g'), '(, )?\d+ checks? (is|are|warns?)( critical)?', '', 'g'), '\d+ checks ok', 'N checks ok')
$$;
-- the folds of a section, and whether it has more than these
CREATE FUNCTION folds(page text, section text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(concat(m[1], ' ') || regexp_replace(m[2], '<[^>]*>', '', 'g'), '\d+( of \d+)? checks', 'N checks'), '&#10003; \d+ of', '&#10003; N of')
	FROM regexp_matches(substring(page from '<h2 id="' || section || '">(.*?)</section>'), '<details class="fold"( open="open")?><summary>([^\n]*)</summary>', 'g') m
$$;
SELECT lead(p) FROM page;
SELECT h, folds(p, h) FROM page, unnest(ARRAY['findings', 'not-done', 'checks', 'steps', 'queries', 'advice', 'bloat', 'backups', 'retention', 'done']) h;
SELECT array_agg(m[1]) FROM page, regexp_matches(substring(p from '<h2 id="steps">(.*?)<details'), '<th scope="row">([^<]*)</th>', 'g') m;
-- slow queries: shares, means, what they were before
CREATE FUNCTION cells(page text, section text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(regexp_replace(replace(r[1], current_user, 'me'), '</t[hd]>', ' | ', 'g'), '<[^>]*>', '', 'g'), 'x{20,}', 'xx')
	FROM regexp_matches(substring(page from '<h2 id="' || section || '">(.*?)</section>'), '<tr>(.*?)</tr>', 'g') r
$$;
SELECT cells(p, 'queries') FROM page;
SELECT p LIKE '%<p>From <time datetime="2026-11-15T02:00:00Z">%', regexp_replace(substring(p from '5 statements took .*? shown'), '<[^>]*>', '', 'g'), p LIKE '%geheim%' AS secret FROM page;
SELECT cells(p, 'advice') FROM page;
SELECT regexp_replace(regexp_replace(m[1], '<[^>]*>', '', 'g'), 'number \d+', 'number N') FROM page, regexp_matches(substring(p from '<h4>Life</h4>(.*?)</ul>'), '<br/>(.*?)</li>', 'g') m;
-- a page promises no restore that was not measured in this server with fsync on
CREATE FUNCTION told_of_backups() RETURNS TABLE (told text) LANGUAGE sql AS $$
	SELECT m[1] FROM pgmaint_internal.html_backups() h, regexp_matches(h, '(restored in [^<]*|The newest took [^<]*|to restore[^<]*)', 'g') x (m)
$$;
SELECT * FROM told_of_backups();
UPDATE pgmaint_internal.backup_records SET restore_duration = '8 min', restore_settings = E'private server: <b>\u0001 off, wal_level minimal', verified_at = '2026-11-23' WHERE backup_id = 2;
SELECT * FROM told_of_backups();
UPDATE pgmaint_internal.backup_records SET safe_restore_duration = backup_id * interval '10 min', safe_restored_at = '2026-11-23'::timestamptz - backup_id * interval '1 day' WHERE backup_id IN (2, 4);
SELECT * FROM told_of_backups();
UPDATE pgmaint_internal.backup_records SET restore_duration = NULL, safe_restore_duration = NULL;
SELECT * FROM told_of_backups();
-- a long run is drawn and told in short
INSERT INTO pgmaint.runs (plan, requested_by, requested_at, started_at, finished_at, state, role, database, steps, current_step, settings)
VALUES ('weekly', 'me', '2026-11-22 01:00+00', '2026-11-22 01:00+00', '2026-11-22 04:00+00', 'succeeded', 10, 5, '[{"action": "vacuum"}]', 1, '{}');
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, started_at, finished_at, bytes_before, bytes_after, error, worker)
SELECT 2, 1, 'vacuum', 'app.table_' || g, 'VACUUM app.table_' || g, 'dead rows: 10,000, 31.0 % of the table', CASE WHEN g % 4 = 0 THEN 'skipped' ELSE 'succeeded' END,
	'2026-11-22 01:00+00'::timestamptz + g * interval '1 s', '2026-11-22 01:00+00'::timestamptz + g * interval '1 s' + interval '2.9 s', 9000000, 1000000,
	CASE WHEN g % 4 = 0 THEN format('no lock on app.table_%s within 5000 ms: process %s', g, 70000 + g) END, 1 + g % 3
FROM generate_series(1, 10000) g;
INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message) SELECT 2, 'F004', 'warning', 'app.table_' || g, 'table is 70.0 % bloat' FROM generate_series(1, 5000) g;
DROP TABLE page;
CREATE TABLE page AS SELECT p FROM pgmaint.report_html() p;
SELECT well_formed(p), octet_length(p) < 250000 AS short, elements(p, 'rect') BETWEEN 200 AND 1000 AS bars, elements(p, 'tr') < 200 AS rows FROM page;
SELECT l FROM page, regexp_split_to_table(regexp_replace(substring(p from '<main.*</main>'), '<[^>]*>', '', 'g'), E'\n') WITH ORDINALITY AS r (l, nth)
WHERE l ~ '(findings|tasks) shown|more like|: 5,000' ORDER BY nth;
SELECT m[1] FROM page, regexp_matches(p, '<b[^>]*>(7,500</b>of 10,000 tasks|2,500</b>skipped|5,000</b>warnings)', 'g') m;
SELECT elements(substring(p from '<h2 id="done">(.*?)</section>'), 'tr') - 1 AS done, substring(p from '<h2 id="not-done">.*?data-label="Tasks">([0-9,]+)</td>') AS not_done FROM page;

-- beside the runs of the plan before it; where everything is in order the first line says so
INSERT INTO pgmaint.runs (plan, requested_by, requested_at, started_at, finished_at, state, role, database, steps, current_step, settings)
SELECT 'nightly', 'me', t, CASE WHEN g <> 2 THEN t END, t + g * interval '10 min', CASE g WHEN 2 THEN 'cancelled' WHEN 6 THEN 'failed' ELSE 'succeeded' END, 10, 5, '[{"action": "bloat_report"}, {"action": "vacuum"}]', 2, '{}'
FROM (SELECT g, '2026-11-01 01:00+00'::timestamptz + g * interval '1 day' AS t FROM generate_series(1, 9) g) x ORDER BY g;
INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, state, started_at, finished_at, bytes_before, bytes_after)
SELECT r.run_id, 2, 'vacuum', 'a', 'VACUUM a', 'due', CASE WHEN g = 1 AND r.run_id IN (8, 10) THEN 'skipped' WHEN g = 2 AND r.run_id = 8 THEN 'failed' ELSE 'succeeded' END, r.started_at, r.finished_at, 8192 * r.run_id, 0
FROM pgmaint.runs r, generate_series(1, 2) g WHERE r.plan = 'nightly' AND r.started_at IS NOT NULL;
INSERT INTO pgmaint.findings (run_id, check_id, severity, message) VALUES (8, 'F004', 'critical', 'm'), (9, 'F004', 'warning', 'm'), (9, 'F005', 'warning', 'm'), (10, 'F005', 'warning', 'm'), (11, 'F005', 'info', 'm');
TRUNCATE pgmaint_internal.bloat_measurements;
INSERT INTO pgmaint_internal.bloat_measurements (run_id, measured_at, relation, object, kind, method, total_bytes, bloat_bytes, bloat_ratio, margin, sampled_blocks, total_blocks)
SELECT r.run_id, r.started_at, o, 'x', 'table', 'heap', 10000000, b * 1024 * 1024, 0.1, 0, 1, 1
FROM pgmaint.runs r JOIN (VALUES (8, '"<b>"'::regclass::oid, 4), (8, '"<b>_pkey"'::regclass, 1), (9, '"<b>"'::regclass, 7), (11, '"<b>"'::regclass, 2), (11, 1, 100)) x (run_id, o, b) USING (run_id);
SELECT nth, previous_run, state, seconds, returned_bytes, critical, warning, info, failed, skipped, bloat_bytes / 1024 / 1024 AS mb FROM pgmaint_internal.previous_runs(11);
SELECT nth, previous_run FROM pgmaint_internal.previous_runs(3);
SELECT regexp_replace(substring(h from '<p>(.*?)</p>'), '<[^>]*>', '', 'g') FROM generate_series(9, 11) r, pgmaint_internal.html_previous_runs(r) h;
SELECT pgmaint_internal.html_previous_runs(3) IS NULL, pgmaint_internal.html_previous_runs(NULL) IS NULL;
SELECT lead(pgmaint.report_html(r)) FROM generate_series(8, 11) r;
SELECT lead(pgmaint_internal.html_lead(11, 20, c, w)) FROM (VALUES (0, 0), (1, 2)) x (c, w);
UPDATE pgmaint.runs SET finished_at = NULL, state = 'running' WHERE run_id = 11;
SELECT lead(pgmaint.report_html(11));

-- who may see it
SET search_path = pg_catalog;
CREATE ROLE pgmaint_regress_reader IN ROLE pg_monitor;
SELECT has_function_privilege('public', 'pgmaint.report_html(bigint)', 'EXECUTE');
SET ROLE pgmaint_regress_reader;
SELECT pgmaint.report_html(1) LIKE '<!DOCTYPE html>%', pgmaint_internal.html_queries(1) LIKE '%xxx%';
RESET ROLE;
-- one that may read the tables, but to whom pg_stat_statements would not show a text
CREATE ROLE pgmaint_regress_other;
GRANT USAGE ON SCHEMA pgmaint, pgmaint_internal TO pgmaint_regress_other;
GRANT SELECT ON pgmaint.runs, pgmaint_internal.statement_snapshots, pgmaint_internal.statement_figures, pgmaint_internal.statement_texts, pgmaint.query_plans TO pgmaint_regress_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgmaint, pgmaint_internal TO pgmaint_regress_other;
SET ROLE pgmaint_regress_other;
SELECT q LIKE '%the text is for members of pg_read_all_stats%', q LIKE '%xxx%', q LIKE '%Seq Scan%' FROM pgmaint_internal.html_queries(1) q;
RESET ROLE;
DROP OWNED BY pgmaint_regress_other;
DROP ROLE pgmaint_regress_other;
DROP ROLE pgmaint_regress_reader;

TRUNCATE pgmaint.runs RESTART IDENTITY CASCADE;
TRUNCATE pgmaint_internal.bloat_measurements, pgmaint_internal.backup_records, pgmaint.archives, pgmaint.retention_policies RESTART IDENTITY;
TRUNCATE pgmaint_internal.statement_snapshots, pgmaint_internal.statement_texts, pgmaint.query_plans, pgmaint_internal.index_advices, pgmaint_internal.alert_records RESTART IDENTITY CASCADE;
DROP SCHEMA report_html CASCADE;
