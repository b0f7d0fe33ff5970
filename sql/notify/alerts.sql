-- The view of alerts, the contacts that are to be notified of each, and the messages
-- about them.

CREATE TABLE pgmaint_internal.notified_alerts (
	alert_id bigint NOT NULL REFERENCES pgmaint_internal.alert_records ON DELETE CASCADE,
	contact text NOT NULL,
	kind text NOT NULL,
	severity text NOT NULL,
	notification_id bigint NOT NULL REFERENCES pgmaint.notifications ON DELETE CASCADE,
	PRIMARY KEY (alert_id, contact, kind, severity)
);

CREATE INDEX notified_alerts_notification ON pgmaint_internal.notified_alerts (notification_id);

COMMENT ON TABLE pgmaint_internal.notified_alerts IS 'which contact was notified of which alert: once for each severity, and once when the alert was resolved';

-- The planner does not know how many alerts were added since the last ANALYZE, and
-- could compare all rows with all rows: so these are subqueries that are looked up by
-- key instead of joins, and the index of unresolved alerts is not used.
CREATE VIEW pgmaint_internal.alert_steps AS
SELECT
	t.alert_id,
	c.name AS contact,
	c.level,
	CASE WHEN t.occurrences >= c.repeats THEN t.severe_since ELSE t.severe_since + c.after END AS due
FROM pgmaint_internal.alert_records t
JOIN pgmaint.contacts c ON (c.severity = 'warning' OR t.severity = 'critical')
	-- a contact that cannot be reached is not notified of that
	AND NOT (t.check_id = 'delivery' AND t.object = c.name)
	-- nor is a contact of another database notified of alerts of this one
	AND c.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i)
WHERE coalesce(t.resolved_at, 'infinity') = 'infinity'
	AND (SELECT a.alert_id FROM pgmaint_internal.acknowledgements a
		WHERE a.alert_id = t.alert_id AND (a.severity = 'critical' OR t.severity = 'warning')
		LIMIT 1) IS NULL
	AND (SELECT n.alert_id FROM pgmaint_internal.notified_alerts n
		WHERE n.alert_id = t.alert_id AND n.contact = c.name AND n.kind = 'alert' AND n.severity = t.severity) IS NULL;

COMMENT ON VIEW pgmaint_internal.alert_steps IS 'which contact will be notified of which alert, and when, unless the alert is resolved or acknowledged before';

CREATE VIEW pgmaint.alerts AS
SELECT
	t.alert_id,
	CASE
		WHEN t.resolved_at IS NOT NULL THEN 'resolved'
		WHEN a.acknowledged_at IS NOT NULL THEN 'acknowledged'
		WHEN t.level > 1 THEN 'escalated'
		WHEN t.level = 1 THEN 'notified'
		ELSE 'open'
	END AS state,
	t.severity,
	t.check_id,
	t.object,
	t.message,
	t.occurrences,
	pg_catalog.date_trunc('second', t.first_seen) AS first_seen,
	pg_catalog.date_trunc('second', t.last_seen) AS last_seen,
	t.level,
	pg_catalog.date_trunc('second', s.due) AS next_step,
	s.contact AS next_contact,
	t.condition,
	t.last_finding AS finding_id,
	a.acknowledged_by,
	a.acknowledged_at,
	t.resolved_at,
	t.resolution,
	t.action,
	t.first_finding
FROM pgmaint_internal.alert_records t
LEFT JOIN LATERAL (
	SELECT n.due, n.contact
	FROM pgmaint_internal.alert_steps n
	WHERE n.alert_id = t.alert_id
	ORDER BY n.due, n.level, n.contact
	LIMIT 1
) s ON true
LEFT JOIN LATERAL (
	SELECT k.acknowledged_by, k.acknowledged_at
	FROM (
		SELECT n.acknowledged_by, n.acknowledged_at, n.severity
		FROM pgmaint_internal.acknowledgements n
		WHERE n.alert_id = t.alert_id
		UNION ALL
		SELECT n.acknowledged_by, n.acknowledged_at, n.severity
		FROM pgmaint_internal.acknowledgements n
		JOIN pgmaint.findings f ON f.finding_id = n.finding_id
		WHERE n.alert_id IS NULL AND f.alert_id = t.alert_id
	) k
	WHERE k.severity = 'critical' OR t.severity = 'warning'
	ORDER BY k.acknowledged_at DESC
	LIMIT 1
) a ON true
ORDER BY t.resolved_at DESC NULLS FIRST, t.severity, t.last_seen DESC, t.alert_id;

COMMENT ON VIEW pgmaint.alerts IS 'one row for each alert, unresolved and critical ones first: which contacts were notified, which contact is next and when, which role acknowledged the alert, and whether it is resolved; in version 0.2 the view was escalations';
COMMENT ON COLUMN pgmaint.alerts.alert_id IS 'number of the alert, for pgmaint.acknowledge(): the number of its first finding, except for alerts from before version 0.3';
COMMENT ON COLUMN pgmaint.alerts.state IS 'open (no contact was notified), notified (contacts of level 1 were), escalated (contacts of a higher level were), acknowledged, resolved';
COMMENT ON COLUMN pgmaint.alerts.severity IS 'warning or critical; the severity of an alert never decreases';
COMMENT ON COLUMN pgmaint.alerts.check_id IS 'the check of its findings, as in pgmaint.findings';
COMMENT ON COLUMN pgmaint.alerts.object IS 'the object that its findings are about; null: none';
COMMENT ON COLUMN pgmaint.alerts.message IS 'message of its last finding';
COMMENT ON COLUMN pgmaint.alerts.occurrences IS 'number of runs that noticed the alert';
COMMENT ON COLUMN pgmaint.alerts.first_seen IS 'time of its first finding, to the second';
COMMENT ON COLUMN pgmaint.alerts.last_seen IS 'time of its last finding, to the second';
COMMENT ON COLUMN pgmaint.alerts.level IS 'highest level of the contacts that were notified; 0: none';
COMMENT ON COLUMN pgmaint.alerts.next_step IS 'when the next contact will be notified; null: none will be';
COMMENT ON COLUMN pgmaint.alerts.next_contact IS 'name of the contact that will be notified next';
COMMENT ON COLUMN pgmaint.alerts.condition IS 'the condition of escalation that made the alert critical; null: none';
COMMENT ON COLUMN pgmaint.alerts.finding_id IS 'number of its last finding';
COMMENT ON COLUMN pgmaint.alerts.acknowledged_by IS 'role that acknowledged the alert at its present severity';
COMMENT ON COLUMN pgmaint.alerts.acknowledged_at IS 'when the alert was acknowledged';
COMMENT ON COLUMN pgmaint.alerts.resolved_at IS 'when the alert was resolved; null: the alert is unresolved';
COMMENT ON COLUMN pgmaint.alerts.resolution IS 'why the alert is resolved';
COMMENT ON COLUMN pgmaint.alerts.action IS 'action that noticed the alert; null: no action of a run did';
COMMENT ON COLUMN pgmaint.alerts.first_finding IS 'number of its first finding';

-- One message to each contact, however many alerts there are; the first 50 are
-- described.  The keys of version 0.2 stay in the payload for one version:
-- "troubles", "troubles_count", "escalation_id", and "trouble" as the kind.
CREATE FUNCTION pgmaint_internal.queue_alerts()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH due AS MATERIALIZED (
		SELECT 'alert' AS kind, s.contact, s.level AS contact_level, t.*
		FROM pgmaint_internal.alert_steps s
		JOIN pgmaint_internal.alert_records t ON t.alert_id = s.alert_id
		WHERE t.resolved_at IS NULL AND s.due <= clock_timestamp()
		UNION ALL
		SELECT 'resolved', n.contact, c.level, t.*
		FROM pgmaint_internal.alert_records t
		CROSS JOIN LATERAL (
			SELECT o.contact
			FROM pgmaint_internal.notified_alerts o
			WHERE o.alert_id = t.alert_id
			GROUP BY o.contact
			HAVING NOT bool_or(o.kind = 'resolved')
		) n
		JOIN pgmaint.contacts c ON c.name = n.contact
			AND c.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i)
		WHERE t.resolved_at IS NOT NULL AND NOT t.told
	),
	ranked AS (
		SELECT d.*,
			row_number() OVER (PARTITION BY d.contact, d.kind ORDER BY d.severity, d.first_seen, d.alert_id) AS nth,
			-- names may contain line breaks, which must not look like lines of the message
			pgmaint.one_line(concat_ws(' ', d.check_id, left(d.object, 200))) AS name,
			pgmaint.one_line(left(d.message, 1000)) AS text
		FROM due d
	),
	batches AS MATERIALIZED (
		SELECT
			r.contact, r.kind,
			gen_random_uuid() AS message_id,
			o.origin,
			min(r.severity) AS severity,
			count(*) AS alerts,
			count(*) FILTER (WHERE r.severity = 'critical') AS critical,
			min(format('%s: %s: %s', CASE r.kind WHEN 'resolved' THEN 'resolved' ELSE r.severity END, r.name, r.text)) FILTER (WHERE r.nth = 1) AS first,
			-- a number that no other alert has, for alerts from before version 0.3
			min(CASE WHEN r.alert_id = r.first_finding THEN r.alert_id ELSE r.last_finding END) FILTER (WHERE r.nth = 1) AS number,
			string_agg(concat(
				upper(CASE r.kind WHEN 'resolved' THEN r.kind ELSE r.severity END), ' ', r.name, ' (' || pgmaint.one_line(r.condition) || ')',
				E'\n    ', r.text,
				E'\n    ' || CASE WHEN r.kind = 'resolved' THEN pgmaint.one_line(r.resolution) END,
				format(E'\n    noticed %s, first at %s, last at %s; alert %s%s', CASE r.occurrences WHEN 1 THEN 'once' ELSE r.occurrences || ' times' END,
					pgmaint_internal.message_time(r.first_seen), pgmaint_internal.message_time(r.last_seen),
					r.alert_id, CASE WHEN r.alert_id <> r.first_finding THEN ', finding ' || r.last_finding END)),
				E'\n\n' ORDER BY r.nth) FILTER (WHERE r.nth <= 50) AS text,
			jsonb_agg(jsonb_build_object(
				'alert_id', r.alert_id,
				'escalation_id', r.alert_id,
				'finding_id', r.last_finding,
				'state', CASE WHEN r.kind = 'resolved' THEN r.kind WHEN greatest(r.level, r.contact_level) > 1 THEN 'escalated' ELSE 'notified' END,
				'severity', r.severity,
				'check_id', r.check_id,
				'object', r.object,
				'action', r.action,
				'condition', r.condition,
				'message', left(r.message, 1000),
				'count', r.occurrences,
				'first_seen', pgmaint_internal.message_time(r.first_seen),
				'last_seen', pgmaint_internal.message_time(r.last_seen),
				'resolution', r.resolution) ORDER BY r.nth) FILTER (WHERE r.nth <= 50) AS list
		FROM ranked r
		CROSS JOIN (SELECT pgmaint_internal.message_origin() AS origin) o
		GROUP BY r.contact, r.kind, o.origin
	),
	worded AS MATERIALIZED (
		SELECT b.*, format('[pgmaint %s] %s', pgmaint.one_line(concat_ws(' ', b.origin ->> 'host', b.origin ->> 'database')),
			CASE
				WHEN b.alerts = 1 THEN left(b.first, 150)
				WHEN b.kind = 'resolved' THEN b.alerts || ' alerts are resolved'
				WHEN b.critical = 0 THEN b.alerts || ' warnings'
				ELSE format('%s alerts, %s of them critical', b.alerts, b.critical) END) AS subject
		FROM batches b
	),
	messages AS (
		INSERT INTO pgmaint.notifications (message_id, contact, kind, severity, subject, body, payload)
		SELECT w.message_id, w.contact, w.kind, w.severity, w.subject,
			concat(
				format(E'Database %s of cluster %s on %s:\n\n', pgmaint.one_line(w.origin ->> 'database'),
					pgmaint.one_line(coalesce(w.origin ->> 'cluster', w.origin ->> 'system_identifier')), w.origin ->> 'host'),
				w.text,
				CASE WHEN w.alerts > 50 THEN format(E'\n\n... and %s more alerts.', w.alerts - 50) END,
				CASE WHEN w.kind = 'alert' THEN format(
					E'\n\nTo see all alerts: SELECT * FROM pgmaint.alerts\nTo stop further notifications for an alert, acknowledge it: SELECT pgmaint.acknowledge(%s)',
					w.number) END,
				E'\n'),
			w.origin || jsonb_build_object('id', w.message_id, 'kind', CASE w.kind WHEN 'alert' THEN 'trouble' ELSE w.kind END, 'severity', w.severity, 'subject', w.subject,
				'created_at', pgmaint_internal.message_time(clock_timestamp()),
				'alerts_count', w.alerts, 'alerts', w.list, 'troubles_count', w.alerts, 'troubles', w.list)
		FROM worded w
		RETURNING notification_id, contact, kind
	),
	told AS (
		INSERT INTO pgmaint_internal.notified_alerts (alert_id, contact, kind, severity, notification_id)
		SELECT d.alert_id, d.contact, d.kind, d.severity, m.notification_id
		FROM due d
		JOIN messages m ON m.contact = d.contact AND m.kind = d.kind
	)
	UPDATE pgmaint_internal.alert_records o SET level = x.level
	FROM (SELECT d.alert_id, max(d.contact_level) AS level FROM due d WHERE d.kind = 'alert' GROUP BY d.alert_id) x
	WHERE o.alert_id = x.alert_id AND o.level < x.level;
	UPDATE pgmaint_internal.alert_records t SET told = true
	WHERE t.resolved_at IS NOT NULL AND NOT t.told
		AND (SELECT o.contact
			FROM pgmaint_internal.notified_alerts o
			WHERE o.alert_id = t.alert_id AND o.contact IN (SELECT c.name FROM pgmaint.contacts c)
			GROUP BY o.contact
			HAVING NOT bool_or(o.kind = 'resolved')
			LIMIT 1) IS NULL;
END;

COMMENT ON FUNCTION pgmaint_internal.queue_alerts() IS
	'Writes the messages about alerts that contacts are to be notified of now: one message for each contact, and one for resolved alerts.';

CREATE FUNCTION pgmaint_internal.escalation_due()
RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM pgmaint.findings f WHERE f.alert_id IS NULL AND f.severity <> 'info'
			AND f.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i))
		OR EXISTS (SELECT FROM pgmaint_internal.alert_records t WHERE t.resolved_at IS NULL)
		OR EXISTS (SELECT FROM pgmaint.notifications n WHERE n.state IN ('pending', 'failed') AND n.next_attempt <= clock_timestamp()
			AND n.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i))
		OR EXISTS (SELECT FROM pgmaint_internal.suspended_contacts s WHERE NOT s.told)
		OR EXISTS (SELECT FROM pgmaint.contacts c WHERE c.windows) AND EXISTS (SELECT FROM pgmaint.maintenance_windows);
END;

COMMENT ON FUNCTION pgmaint_internal.escalation_due() IS
	'Returns whether there may be findings, alerts, messages or maintenance windows to process.';

REVOKE ALL ON pgmaint_internal.notified_alerts, pgmaint_internal.alert_steps, pgmaint.alerts FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint_internal.queue_alerts(),
	pgmaint_internal.escalation_due()
FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.notified_alerts, pgmaint_internal.alert_steps, pgmaint.alerts TO pg_monitor;
