-- A table that is half empty, whose rows are in no order.
CREATE TABLE app.sessions (
	session_id uuid PRIMARY KEY,
	customer_id int NOT NULL,
	seen_at timestamptz NOT NULL,
	basket text
);
INSERT INTO app.sessions
	SELECT md5(g::text)::uuid, g % 1000, now() - (g * 7919 % 40000) * interval '1 minute', repeat(md5(g::text), 3)
	FROM generate_series(1, 40000) g;
ALTER TABLE app.sessions OWNER TO app;
DELETE FROM app.sessions WHERE customer_id % 10 < 6;
VACUUM (ANALYZE) app.sessions;
