-- What a database had that was maintained by pgmaint 0.2.

CREATE ROLE app_owner;
CREATE ROLE readers;
CREATE SCHEMA app AUTHORIZATION app_owner;
CREATE EXTENSION pgmaint;
-- the name of the database in keys, whatever the database that they are restored to
SELECT pgmaint.take_over();

SET ROLE app_owner;
CREATE TABLE app.orders (order_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, created_at timestamptz NOT NULL, note text);
INSERT INTO app.orders (created_at, note) SELECT '2020-01-01'::timestamptz + g * interval '1 day', 'order ' || g FROM generate_series(1, 100) g;
INSERT INTO app.orders (created_at, note) SELECT '2999-01-01'::timestamptz, 'order ' || g FROM generate_series(101, 120) g;
CREATE INDEX orders_created_at ON app.orders (created_at);
CREATE TABLE app.events (at timestamptz, note text);
CREATE FUNCTION app.orders_like(pattern text) RETURNS bigint
LANGUAGE sql STABLE AS 'SELECT count(*) FROM app.orders WHERE note LIKE pattern';
RESET ROLE;

SELECT pgmaint.define_plan('nightly', '["retention", {"action": "vacuum", "options": {"schemas": ["app"]}}, {"action": "analyze", "options": {"tables": ["app.orders"], "scope": "all"}}]');
SELECT pgmaint.define_plan('weekly', '["validate"]');
SELECT pgmaint.define_plan('Quoted "plan" of Zoë', '["bloat_report"]');
SELECT pgmaint.add_window('always', '{0,1,2,3,4,5,6}', '00:00', '1 day', 'UTC');
SELECT pgmaint.add_window('nights', '{1,2,3,4,5}', '23:30', '2 hours', 'Europe/Berlin');
CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (url 'smtp://mail.example.com', sender 'pgmaint@example.com');
SELECT pgmaint.add_contact('dba', 'mailto:dba@example.com', windows => true);
SELECT pgmaint.add_contact('screen', 'notify:maintenance', level => 2, after => '2 hours', repeats => 3);
UPDATE pgmaint.thresholds SET value = '8 days' WHERE check_id = 'backup_recent' AND threshold = 'warning';
UPDATE pgmaint.thresholds SET value = NULL WHERE check_id = 'backup_recent' AND threshold = 'critical';
CREATE SERVER offsite FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://example/shop', region 'eu-central-1');
SELECT pgmaint.add_retention('app.orders', 'created_at', '1 year', filter => $$note LIKE 'order %'$$, storage => 'pgmaint_local', timezone => 'UTC');
SELECT pgmaint.add_retention('app.events', 'at', '1 month', archive => false);
SELECT pgmaint.drop_retention(pgmaint.add_retention('app.events', 'at', '1 day', archive => false, filter => 'note IS NULL'));
SELECT pgmaint.add_verification('shop', 'SELECT count(*) = 20 FROM app.orders');
SELECT pgmaint.add_verification('shop', 'SELECT max(note) FROM app.orders', 'order 120', '10 minutes');
SELECT pgmaint.drop_verification(pgmaint.add_verification('shop', 'SELECT false'));

CALL pgmaint.run_and_wait('nightly');
CALL pgmaint.run_and_wait('weekly');

-- as its README said
GRANT USAGE ON SCHEMA pgmaint TO app_owner;
GRANT EXECUTE ON FUNCTION pgmaint.run(text, jsonb), pgmaint.run_action(text, jsonb), pgmaint.dry_run(text, jsonb), pgmaint.cancel(bigint) TO app_owner;
GRANT EXECUTE ON PROCEDURE pgmaint.run_and_wait(text, jsonb, bigint) TO app_owner;
GRANT SELECT ON pgmaint.runs, pgmaint.tasks, pgmaint.findings, pgmaint.task_results, pgmaint.step_results, pgmaint.finding_results TO app_owner;
GRANT EXECUTE ON FUNCTION pgmaint.report(bigint), pgmaint.shown_tasks(bigint), pgmaint.shown_findings(bigint),
	pgmaint.message_pattern(text, text), pgmaint.may_be_copied(text), pgmaint.one_line(text), pgmaint.count_text(bigint) TO app_owner;
-- and besides
GRANT USAGE ON SCHEMA pgmaint TO readers;
GRANT SELECT ON pgmaint.archives, pgmaint.retention_policies, pgmaint.plan_definitions, pgmaint.backups TO readers;
GRANT SELECT ON pgmaint.escalations TO readers;
GRANT UPDATE (value) ON pgmaint.thresholds TO readers;

CREATE VIEW public.maintenance AS
SELECT r.run_id, r.plan, t.what, t.state FROM pgmaint.runs r JOIN pgmaint.task_results t USING (run_id);
CREATE VIEW public.archived AS
SELECT p.relation, p.keep, a.key, a.rows FROM pgmaint.retention_policies p JOIN pgmaint.archives a USING (policy_id);
CREATE FUNCTION public.last_report() RETURNS SETOF text
LANGUAGE sql BEGIN ATOMIC SELECT pgmaint.report(max(r.run_id)) FROM pgmaint.runs r; END;
