-- What a database had that was maintained by pgmaint 0.1.

CREATE ROLE app_owner;
CREATE ROLE readers;
CREATE SCHEMA app AUTHORIZATION app_owner;
CREATE EXTENSION pgmaint;

SET ROLE app_owner;
CREATE TABLE app.orders (order_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);
INSERT INTO app.orders (note) SELECT 'order ' || g FROM generate_series(1, 20) g;
CREATE FUNCTION app.orders_like(pattern text) RETURNS bigint
LANGUAGE sql STABLE AS 'SELECT count(*) FROM app.orders WHERE note LIKE pattern';
RESET ROLE;

SELECT pgmaint.define_plan('nightly', '["vacuum", {"action": "analyze", "options": {"schemas": ["app"]}}]');
SELECT pgmaint.define_plan('weekly', '[{"action": "analyze", "options": {"tables": ["app.orders"], "settings": {"vacuum_cost_delay": "1ms"}}}]');
SELECT pgmaint.define_plan('Quoted "plan" of Zoë', '["bloat_report"]');
CALL pgmaint.run_and_wait('nightly', '{"scope": "all"}');

-- as its README said
GRANT USAGE ON SCHEMA pgmaint TO app_owner;
GRANT EXECUTE ON FUNCTION pgmaint.run(text, jsonb), pgmaint.run_action(text, jsonb), pgmaint.dry_run(text, jsonb), pgmaint.cancel(bigint) TO app_owner;
GRANT EXECUTE ON PROCEDURE pgmaint.run_and_wait(text, jsonb, bigint) TO app_owner;
GRANT SELECT ON pgmaint.runs, pgmaint.tasks, pgmaint.findings, pgmaint.progress TO readers;

CREATE VIEW public.maintenance AS
SELECT r.run_id, r.plan, t.command, t.reason, t.state FROM pgmaint.runs r JOIN pgmaint.tasks t USING (run_id);
