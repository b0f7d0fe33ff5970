-- The database of the demo: an orchestrator's tables, filled, and then used
-- for a while by sessions that update and delete faster than anything cleans
-- up behind them.  Each step says what it does in one line.

\set ON_ERROR_STOP on
\set QUIET on
SELECT setseed(0.5) \g /dev/null

\echo '  workflows: 400,000 rows with their payload'
CREATE TABLE workflows (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name       text NOT NULL,
	status     text NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed')),
	payload    jsonb NOT NULL,
	created_at timestamptz NOT NULL,
	updated_at timestamptz NOT NULL
);
INSERT INTO workflows (name, status, payload, created_at, updated_at)
SELECT 'workflow-' || n % 5000, 'pending',
	jsonb_build_object('model', 'm' || n % 7, 'attempt', n % 3, 'input', repeat(md5(n::text), 3)),
	now() - (400000 - n) * interval '20 seconds',
	now() - (400000 - n) * interval '20 seconds'
FROM generate_series(1, 400000) AS n;
CREATE INDEX idx_workflows_status ON workflows (status);
CREATE INDEX idx_workflows_name ON workflows (name);
CREATE INDEX idx_workflows_updated_at ON workflows (updated_at);

\echo '  audit_events: 900,000 rows'
CREATE TABLE audit_events (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	"timestamp" timestamptz NOT NULL,
	actor       text NOT NULL,
	action      text NOT NULL,
	workflow_id bigint,
	details     jsonb
);
INSERT INTO audit_events ("timestamp", actor, action, workflow_id, details)
SELECT now() - (900000 - n) * interval '12 seconds', 'user-' || n % 800,
	(ARRAY['create', 'start', 'retry', 'finish', 'read'])[1 + n % 5], 1 + n % 400000,
	jsonb_build_object('ip', '10.0.' || n % 250 || '.' || n % 199, 'ok', n % 11 <> 0)
FROM generate_series(1, 900000) AS n;
CREATE INDEX idx_audit_events_timestamp ON audit_events ("timestamp");

\echo '  workflow_steps: 600,000 rows'
CREATE TABLE workflow_steps (
	workflow_id bigint NOT NULL,
	step        int NOT NULL,
	state       text NOT NULL,
	output      text,
	PRIMARY KEY (workflow_id, step)
);
INSERT INTO workflow_steps
SELECT 1 + n / 3, n % 3, 'done', md5(n::text)
FROM generate_series(0, 599999) AS n;

\echo '  users, api_keys, and metrics in monthly partitions'
CREATE TABLE users (
	id    int PRIMARY KEY,
	email text NOT NULL UNIQUE
);
INSERT INTO users SELECT n, 'user-' || n || '@example.com' FROM generate_series(1, 5000) AS n;
CREATE TABLE api_keys (
	id        int PRIMARY KEY,
	user_id   int NOT NULL REFERENCES users,
	key_hash  text NOT NULL,
	last_used timestamptz
);
INSERT INTO api_keys SELECT n, 1 + n % 5000, md5(n::text), now() FROM generate_series(1, 8000) AS n;
CREATE TABLE metrics (
	at    timestamptz NOT NULL,
	name  text NOT NULL,
	value double precision
) PARTITION BY RANGE (at);
CREATE TABLE metrics_2026_01 PARTITION OF metrics FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE metrics_2026_02 PARTITION OF metrics FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE metrics_2026_03 PARTITION OF metrics FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
INSERT INTO metrics
SELECT '2026-01-01 00:00:00+00'::timestamptz + n * interval '35 seconds', 'queue_length', n % 97
FROM generate_series(1, 200000) AS n;
CREATE INDEX idx_metrics_at ON metrics (at);

\echo '  sessions: 200,000 rows, which hardly ever change'
CREATE TABLE sessions (
	id      bigint PRIMARY KEY,
	user_id int NOT NULL,
	token   text NOT NULL,
	seen_at timestamptz NOT NULL
);
INSERT INTO sessions SELECT n, n % 4999, md5(n::text) || md5((-n)::text), now() - n * interval '1 minute'
FROM generate_series(1, 200000) AS n;

-- what this session has done counts from now on, not some time later
SELECT pg_stat_force_next_flush() \g /dev/null

\echo '  a first VACUUM and ANALYZE, as long as all was well'
VACUUM (ANALYZE);

\echo '  work: every workflow starts, most of them finish'
UPDATE workflows SET status = 'running', updated_at = now() WHERE id % 2 = 0;
UPDATE workflows SET status = CASE WHEN id % 20 = 0 THEN 'failed' ELSE 'completed' END,
	updated_at = now() WHERE id % 2 = 0;
UPDATE api_keys SET last_used = now() + interval '1 minute';

\echo '  clean-up by hand: half of the audit log goes, and the steps of old workflows'
DELETE FROM audit_events WHERE "timestamp" < now() - interval '60 days';
DELETE FROM workflow_steps WHERE workflow_id % 10 < 7;

SELECT pg_stat_force_next_flush() \g /dev/null

\echo '  VACUUM of workflow_steps: its dead rows have become free space'
VACUUM workflow_steps;

\echo '  queries of the application, some of which read whole tables for a few rows'
\o /dev/null
-- that it was filled a minute ago would weigh against an index on it
SELECT pg_stat_reset_single_table_counters('sessions'::regclass);
SELECT format('SELECT token FROM sessions WHERE user_id = %s ORDER BY seen_at DESC LIMIT 10', n) FROM generate_series(1, 20) n
UNION ALL SELECT format('SELECT name, status FROM workflows WHERE id = %s', 1000 * n) FROM generate_series(1, 20) n
\gexec
\o
