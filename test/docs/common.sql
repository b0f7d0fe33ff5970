-- The shop that the chapters speak of.
CREATE EXTENSION pgmaint;
CREATE EXTENSION pg_stat_statements;
DO $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['app', 'app_owner', 'monitoring', 'analyst'] LOOP
		IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = name) THEN
			EXECUTE format('CREATE ROLE %I LOGIN', name);
		END IF;
	END LOOP;
END
$$;
CREATE SCHEMA app;
CREATE TABLE app.orders (
	order_id bigint PRIMARY KEY,
	customer_id int NOT NULL,
	status text NOT NULL,
	email text,
	created_at timestamptz NOT NULL
);
INSERT INTO app.orders
	SELECT g, g % 1000, (ARRAY['open', 'paid', 'sent'])[1 + g % 3], 'customer' || g % 1000 || '@example.com',
		now() - g * interval '10 minutes'
	FROM generate_series(1, 20000) g;
CREATE INDEX orders_created_at ON app.orders (created_at);
CREATE TABLE audit_events (
	event_id bigint PRIMARY KEY,
	"timestamp" timestamptz NOT NULL,
	actor text,
	message text
);
INSERT INTO audit_events
	SELECT g, now() - g * interval '30 minutes', 'actor' || g % 10, md5(g::text)
	FROM generate_series(1, 10000) g;
CREATE TABLE workflows (
	workflow_id bigint PRIMARY KEY,
	status text NOT NULL,
	updated_at timestamptz NOT NULL
);
INSERT INTO workflows
	SELECT g, (ARRAY['running', 'completed', 'failed'])[1 + g % 3], now() - g * interval '1 hour'
	FROM generate_series(1, 3000) g;
ALTER TABLE app.orders OWNER TO app;
ALTER TABLE audit_events OWNER TO app;
ALTER TABLE workflows OWNER TO app;
GRANT USAGE, CREATE ON SCHEMA app TO app;
