-- Messages to contacts, sent and unsent, and their origin.  Messages about maintenance
-- windows are written here, messages about alerts in alerts.sql.

CREATE TABLE pgmaint.notifications (
	notification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	message_id uuid NOT NULL,
	contact text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('alert', 'resolved', 'window', 'suspended')),
	severity text CHECK (severity IN ('warning', 'critical')),
	subject text NOT NULL,
	state text NOT NULL DEFAULT 'pending'
		CHECK (state IN ('pending', 'failed', 'sent', 'given up')),
	attempts integer NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	next_attempt timestamptz DEFAULT pg_catalog.clock_timestamp(),
	sent_at timestamptz,
	error text,
	body text NOT NULL,
	payload jsonb NOT NULL,
	window_name text,
	window_opens timestamptz,
	identity text DEFAULT pgmaint_internal.current_identity(),
	UNIQUE (contact, window_name, window_opens)
) WITH (fillfactor = 70);

CREATE INDEX notifications_unsent ON pgmaint.notifications (contact, notification_id) WHERE state IN ('pending', 'failed');
CREATE INDEX notifications_contact ON pgmaint.notifications (contact, sent_at);

COMMENT ON TABLE pgmaint.notifications IS 'the messages to contacts, sent and unsent';
COMMENT ON COLUMN pgmaint.notifications.notification_id IS 'key: number of the message';
COMMENT ON COLUMN pgmaint.notifications.message_id IS 'identifier of the message, the same at each attempt, by which a receiver recognizes duplicates';
COMMENT ON COLUMN pgmaint.notifications.contact IS 'name of the contact, which may have been dropped since';
COMMENT ON COLUMN pgmaint.notifications.kind IS 'alert (new alerts), resolved (resolved alerts), window (a maintenance window will open), suspended (this database sends the contact no further messages)';
COMMENT ON COLUMN pgmaint.notifications.severity IS 'highest severity of the alerts in the message: warning or critical; null: a maintenance window';
COMMENT ON COLUMN pgmaint.notifications.subject IS 'subject of the message, one line';
COMMENT ON COLUMN pgmaint.notifications.state IS 'pending, failed (will be tried again), sent, given up (after 3 days, or because the contact was dropped)';
COMMENT ON COLUMN pgmaint.notifications.attempts IS 'number of attempts to send the message';
COMMENT ON COLUMN pgmaint.notifications.created_at IS 'when the message was written';
COMMENT ON COLUMN pgmaint.notifications.next_attempt IS 'when the next attempt is made; null: the message was sent or given up';
COMMENT ON COLUMN pgmaint.notifications.sent_at IS 'when the message was sent; null: not sent';
COMMENT ON COLUMN pgmaint.notifications.error IS 'why the last attempt failed, or why the message was given up; null: neither';
COMMENT ON COLUMN pgmaint.notifications.body IS 'text of the message';
COMMENT ON COLUMN pgmaint.notifications.payload IS 'content of the message as a JSON object';
COMMENT ON COLUMN pgmaint.notifications.window_name IS 'the maintenance window that the message announces; null: none';
COMMENT ON COLUMN pgmaint.notifications.window_opens IS 'when that window opens; null where window_name is null';
COMMENT ON COLUMN pgmaint.notifications.identity IS 'identity of the database that wrote the message, see pgmaint.identities';

CREATE FUNCTION pgmaint_internal.host_name()
RETURNS text
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_host_name';

COMMENT ON FUNCTION pgmaint_internal.host_name() IS
	'Returns the name of the machine that the server runs on; null if it is unknown.';

CREATE FUNCTION pgmaint_internal.message_origin()
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT jsonb_build_object(
		'host', pgmaint_internal.host_name(),
		'cluster', nullif(current_setting('cluster_name'), ''),
		'system_identifier', (SELECT c.system_identifier::text FROM pg_control_system() c),
		'database', current_database());
END;

COMMENT ON FUNCTION pgmaint_internal.message_origin() IS
	'Returns the origin that messages name: host, cluster name, system identifier and database, as a JSON object.';

CREATE FUNCTION pgmaint_internal.message_time(at timestamptz)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

COMMENT ON FUNCTION pgmaint_internal.message_time(timestamptz) IS
	'Returns a time as messages show it: in UTC, in ISO 8601 format, to the second.';

-- A message is written before a window opens, and lists the plans that will begin in it.
CREATE FUNCTION pgmaint_internal.queue_windows()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH opening AS MATERIALIZED (
		SELECT c.name AS contact, h.name, h.opens, h.closes
		FROM (SELECT pgmaint_internal.window_clock() AS now) n
		JOIN pgmaint.contacts c ON c.windows AND c.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i)
		CROSS JOIN LATERAL pgmaint.window_hours(n.now, n.now + c.notice) h
		WHERE h.opens > n.now
			AND NOT EXISTS (SELECT FROM pgmaint.notifications x
				WHERE x.contact = c.name AND x.window_name = h.name AND x.window_opens = h.opens)
	),
	planned AS (
		SELECT o.contact, o.name, o.opens, o.closes, s.plan, b.begins,
			(SELECT array_agg(p.action ORDER BY p.step) FROM pgmaint.plans p WHERE p.plan = s.plan) AS actions
		FROM opening o
		JOIN pgmaint_internal.plan_schedules s ON s.plan <> 'tick'
			AND s.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
		CROSS JOIN LATERAL (SELECT pgmaint.next_run(s.schedule, o.opens - interval '1 second') AS begins) b
		WHERE b.begins < o.closes
	),
	batches AS MATERIALIZED (
		SELECT
			p.contact, p.name, p.opens, p.closes, o.origin,
			gen_random_uuid() AS message_id,
			string_agg(format('    %s at %s: %s', pgmaint.one_line(p.plan), pgmaint_internal.message_time(p.begins), array_to_string(p.actions, ', ')),
				E'\n' ORDER BY p.begins, p.plan) AS text,
			jsonb_agg(jsonb_build_object('plan', p.plan, 'begins', pgmaint_internal.message_time(p.begins), 'actions', p.actions)
				ORDER BY p.begins, p.plan) AS list
		FROM planned p
		CROSS JOIN (SELECT pgmaint_internal.message_origin() AS origin) o
		GROUP BY p.contact, p.name, p.opens, p.closes, o.origin
	),
	worded AS (
		SELECT b.*, format('[pgmaint %s] maintenance begins at %s', pgmaint.one_line(concat_ws(' ', b.origin ->> 'host', b.origin ->> 'database')),
			pgmaint_internal.message_time(b.opens)) AS subject
		FROM batches b
	)
	INSERT INTO pgmaint.notifications (message_id, contact, kind, subject, body, payload, window_name, window_opens)
	SELECT w.message_id, w.contact, 'window', w.subject,
		format(E'Maintenance window %s of database %s of cluster %s on %s is open from %s to %s.\n\nScheduled plans:\n\n%s\n\nTables may be locked and queries slower in these hours.\n',
			pgmaint.one_line(w.name), pgmaint.one_line(w.origin ->> 'database'), pgmaint.one_line(coalesce(w.origin ->> 'cluster', w.origin ->> 'system_identifier')), w.origin ->> 'host',
			pgmaint_internal.message_time(w.opens), pgmaint_internal.message_time(w.closes), w.text),
		w.origin || jsonb_build_object('id', w.message_id, 'kind', 'window', 'subject', w.subject,
			'created_at', pgmaint_internal.message_time(clock_timestamp()),
			'window', jsonb_build_object('name', w.name, 'opens', pgmaint_internal.message_time(w.opens), 'closes', pgmaint_internal.message_time(w.closes)),
			'plans', w.list),
		w.name, w.opens
	FROM worded w
	ON CONFLICT (contact, window_name, window_opens) DO NOTHING;
END;

COMMENT ON FUNCTION pgmaint_internal.queue_windows() IS
	'Writes the messages about maintenance windows that open soon.';

-- Contacts that came with a dump or a copy are notified only that they are suspended.
CREATE VIEW pgmaint_internal.suspended_contacts AS
SELECT
	c.name,
	c.identity,
	EXISTS (SELECT FROM pgmaint.notifications n
		JOIN pgmaint_internal.own_identities i ON i.identity = n.identity
		WHERE n.contact = c.name AND n.kind = 'suspended') AS told
FROM pgmaint.contacts c
WHERE NOT EXISTS (SELECT FROM pgmaint_internal.own_identities i WHERE i.identity = c.identity)
	AND EXISTS (SELECT FROM pgmaint_internal.own_identities i WHERE i.state = 'current');

COMMENT ON VIEW pgmaint_internal.suspended_contacts IS 'the contacts that were added to another database, of which this database is a copy or a restored dump: they are not notified of alerts until take_over()';
COMMENT ON COLUMN pgmaint_internal.suspended_contacts.told IS 'whether the contact was notified that it is suspended in this database';

CREATE FUNCTION pgmaint_internal.queue_suspensions()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	INSERT INTO pgmaint.notifications (message_id, contact, kind, severity, subject, body, payload)
	SELECT w.message_id, w.name, 'suspended', 'warning', w.subject,
		format(E'Database %s of cluster %s on %s may be a copy of the database whose alerts you receive, or was restored from a dump of it.\n\n'
			'You will receive no alerts of this database. If it replaces the original database, execute in it:\n\n'
			'    SELECT pgmaint.take_over();\n\nIf it is a copy and remains one, execute in it:\n\n    SELECT pgmaint.stay_copy();\n',
			pgmaint.one_line(w.origin ->> 'database'), pgmaint.one_line(coalesce(w.origin ->> 'cluster', w.origin ->> 'system_identifier')), w.origin ->> 'host'),
		w.origin || jsonb_build_object('id', w.message_id, 'kind', 'suspended', 'severity', 'warning', 'subject', w.subject,
			'created_at', pgmaint_internal.message_time(clock_timestamp()))
	FROM (
		SELECT s.name, o.origin, gen_random_uuid() AS message_id,
			format('[pgmaint %s] contact %s is suspended on %s, until take_over()', pgmaint.one_line(concat_ws(' ', o.origin ->> 'host', o.origin ->> 'database')),
				pgmaint.one_line(s.name), o.origin ->> 'host') AS subject
		FROM pgmaint_internal.suspended_contacts s
		CROSS JOIN (SELECT pgmaint_internal.message_origin() AS origin) o
		WHERE NOT s.told
	) w;
END;

COMMENT ON FUNCTION pgmaint_internal.queue_suspensions() IS
	'Writes one message to each suspended contact, which says that this database does not notify it.';

CREATE FUNCTION pgmaint_internal.give_up_dropped_contacts()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	UPDATE pgmaint.notifications n SET state = 'given up', error = 'the contact was dropped', next_attempt = NULL
	WHERE n.state IN ('pending', 'failed') AND n.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i) AND NOT EXISTS (SELECT FROM pgmaint.contacts c WHERE c.name = n.contact);
END;

COMMENT ON FUNCTION pgmaint_internal.give_up_dropped_contacts() IS
	'Gives up the unsent messages to contacts that were dropped.';

REVOKE ALL ON pgmaint.notifications, pgmaint_internal.suspended_contacts FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint_internal.host_name(),
	pgmaint_internal.message_origin(),
	pgmaint_internal.message_time(timestamptz),
	pgmaint_internal.queue_windows(),
	pgmaint_internal.queue_suspensions(),
	pgmaint_internal.give_up_dropped_contacts()
FROM PUBLIC;
GRANT SELECT ON pgmaint.notifications, pgmaint_internal.suspended_contacts TO pg_monitor;
