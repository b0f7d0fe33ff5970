-- Which trouble was told to whom, who is told next, and the messages that are due.

CREATE TABLE pgmaint_internal.notified_troubles (
	escalation_id bigint NOT NULL REFERENCES pgmaint_internal.troubles ON DELETE CASCADE,
	contact text NOT NULL,
	kind text NOT NULL,
	severity text NOT NULL,
	notification_id bigint NOT NULL REFERENCES pgmaint.notifications ON DELETE CASCADE,
	PRIMARY KEY (escalation_id, contact, kind, severity)
);

CREATE INDEX notified_troubles_notification ON pgmaint_internal.notified_troubles (notification_id);

COMMENT ON TABLE pgmaint_internal.notified_troubles IS 'which trouble was told to whom: once for each severity, and once when it was resolved';

-- The planner cannot tell how many troubles have come up since it counted, and would
-- compare all with all: so these are subqueries, which are looked up by key, and no
-- joins, and a trouble is not looked up in the index of those that are unresolved.
CREATE VIEW pgmaint_internal.escalation_steps AS
SELECT
	t.escalation_id,
	c.name AS contact,
	c.level,
	CASE WHEN t.occurrences >= c.repeats THEN t.severe_since ELSE t.severe_since + c.after END AS due
FROM pgmaint_internal.troubles t
JOIN pgmaint.contacts c ON (c.severity = 'warning' OR t.severity = 'critical')
	-- somebody who cannot be reached is not told so
	AND NOT (t.check_id = 'delivery' AND t.object = c.name)
	-- nor is one of another database told what happens in this
	AND c.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i)
WHERE coalesce(t.resolved_at, 'infinity') = 'infinity'
	AND (SELECT a.escalation_id FROM pgmaint_internal.acknowledgements a
		WHERE a.escalation_id = t.escalation_id AND (a.severity = 'critical' OR t.severity = 'warning')
		LIMIT 1) IS NULL
	AND (SELECT n.escalation_id FROM pgmaint_internal.notified_troubles n
		WHERE n.escalation_id = t.escalation_id AND n.contact = c.name AND n.kind = 'trouble' AND n.severity = t.severity) IS NULL;

COMMENT ON VIEW pgmaint_internal.escalation_steps IS 'who will be told of which trouble, and when, unless it is resolved or acknowledged';

CREATE VIEW pgmaint.escalations AS
SELECT
	t.escalation_id,
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
FROM pgmaint_internal.troubles t
LEFT JOIN LATERAL (
	SELECT n.due, n.contact
	FROM pgmaint_internal.escalation_steps n
	WHERE n.escalation_id = t.escalation_id
	ORDER BY n.due, n.level, n.contact
	LIMIT 1
) s ON true
LEFT JOIN LATERAL (
	SELECT k.acknowledged_by, k.acknowledged_at
	FROM (
		SELECT n.acknowledged_by, n.acknowledged_at, n.severity
		FROM pgmaint_internal.acknowledgements n
		WHERE n.escalation_id = t.escalation_id
		UNION ALL
		SELECT n.acknowledged_by, n.acknowledged_at, n.severity
		FROM pgmaint_internal.acknowledgements n
		JOIN pgmaint.findings f ON f.finding_id = n.finding_id
		WHERE n.escalation_id IS NULL AND f.escalation_id = t.escalation_id
	) k
	WHERE k.severity = 'critical' OR t.severity = 'warning'
	ORDER BY k.acknowledged_at DESC
	LIMIT 1
) a ON true
ORDER BY t.resolved_at DESC NULLS FIRST, t.severity, t.last_seen DESC, t.escalation_id;

COMMENT ON VIEW pgmaint.escalations IS
	'the troubles that findings are about, those to see to first: whether somebody was told, who is told next and when, who sees to it, and whether it is over';
COMMENT ON COLUMN pgmaint.escalations.state IS 'open (nobody was told), notified (level 1 was), escalated (a higher level was), acknowledged, resolved';

-- One message to each contact, however many troubles there are; the first 50
-- are described.
CREATE FUNCTION pgmaint_internal.queue_troubles()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH due AS MATERIALIZED (
		SELECT 'trouble' AS kind, s.contact, s.level AS contact_level, t.*
		FROM pgmaint_internal.escalation_steps s
		JOIN pgmaint_internal.troubles t ON t.escalation_id = s.escalation_id
		WHERE t.resolved_at IS NULL AND s.due <= clock_timestamp()
		UNION ALL
		SELECT 'resolved', n.contact, c.level, t.*
		FROM pgmaint_internal.troubles t
		CROSS JOIN LATERAL (
			SELECT o.contact
			FROM pgmaint_internal.notified_troubles o
			WHERE o.escalation_id = t.escalation_id
			GROUP BY o.contact
			HAVING NOT bool_or(o.kind = 'resolved')
		) n
		JOIN pgmaint.contacts c ON c.name = n.contact
			AND c.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i)
		WHERE t.resolved_at IS NOT NULL AND NOT t.told
	),
	ranked AS (
		SELECT d.*,
			row_number() OVER (PARTITION BY d.contact, d.kind ORDER BY d.severity, d.first_seen, d.escalation_id) AS nth,
			-- names may have lines of their own, which must not look like ours
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
			count(*) AS troubles,
			count(*) FILTER (WHERE r.severity = 'critical') AS critical,
			min(format('%s: %s: %s', CASE r.kind WHEN 'resolved' THEN 'resolved' ELSE r.severity END, r.name, r.text)) FILTER (WHERE r.nth = 1) AS first,
			min(r.last_finding) FILTER (WHERE r.nth = 1) AS finding,
			string_agg(concat(
				upper(CASE r.kind WHEN 'resolved' THEN r.kind ELSE r.severity END), ' ', r.name, ' (' || pgmaint.one_line(r.condition) || ')',
				E'\n    ', r.text,
				E'\n    ' || CASE WHEN r.kind = 'resolved' THEN pgmaint.one_line(r.resolution) END,
				format(E'\n    noticed %s, first at %s, last at %s; finding %s', CASE r.occurrences WHEN 1 THEN 'once' ELSE r.occurrences || ' times' END,
					pgmaint_internal.message_time(r.first_seen), pgmaint_internal.message_time(r.last_seen), r.last_finding)),
				E'\n\n' ORDER BY r.nth) FILTER (WHERE r.nth <= 50) AS text,
			jsonb_agg(jsonb_build_object(
				'escalation_id', r.escalation_id,
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
				WHEN b.troubles = 1 THEN left(b.first, 150)
				WHEN b.kind = 'resolved' THEN b.troubles || ' troubles are resolved'
				WHEN b.critical = 0 THEN b.troubles || ' warnings'
				ELSE format('%s troubles, %s of them critical', b.troubles, b.critical) END) AS subject
		FROM batches b
	),
	messages AS (
		INSERT INTO pgmaint.notifications (message_id, contact, kind, severity, subject, body, payload)
		SELECT w.message_id, w.contact, w.kind, w.severity, w.subject,
			concat(
				format(E'Database %s of cluster %s on %s:\n\n', pgmaint.one_line(w.origin ->> 'database'),
					pgmaint.one_line(coalesce(w.origin ->> 'cluster', w.origin ->> 'system_identifier')), w.origin ->> 'host'),
				w.text,
				CASE WHEN w.troubles > 50 THEN format(E'\n\n... and %s more.', w.troubles - 50) END,
				CASE WHEN w.kind = 'trouble' THEN format(
					E'\n\nSELECT * FROM pgmaint.escalations shows all of it.\nSELECT pgmaint.acknowledge(%s) says that you see to it, and stops the escalation.',
					w.finding) END,
				E'\n'),
			w.origin || jsonb_build_object('id', w.message_id, 'kind', w.kind, 'severity', w.severity, 'subject', w.subject,
				'created_at', pgmaint_internal.message_time(clock_timestamp()), 'troubles_count', w.troubles, 'troubles', w.list)
		FROM worded w
		RETURNING notification_id, contact, kind
	),
	told AS (
		INSERT INTO pgmaint_internal.notified_troubles (escalation_id, contact, kind, severity, notification_id)
		SELECT d.escalation_id, d.contact, d.kind, d.severity, m.notification_id
		FROM due d
		JOIN messages m ON m.contact = d.contact AND m.kind = d.kind
	)
	UPDATE pgmaint_internal.troubles o SET level = x.level
	FROM (SELECT d.escalation_id, max(d.contact_level) AS level FROM due d WHERE d.kind = 'trouble' GROUP BY d.escalation_id) x
	WHERE o.escalation_id = x.escalation_id AND o.level < x.level;
	UPDATE pgmaint_internal.troubles t SET told = true
	WHERE t.resolved_at IS NOT NULL AND NOT t.told
		AND (SELECT o.contact
			FROM pgmaint_internal.notified_troubles o
			WHERE o.escalation_id = t.escalation_id AND o.contact IN (SELECT c.name FROM pgmaint.contacts c)
			GROUP BY o.contact
			HAVING NOT bool_or(o.kind = 'resolved')
			LIMIT 1) IS NULL;
END;

COMMENT ON FUNCTION pgmaint_internal.queue_troubles() IS 'write the messages about troubles that are due';

CREATE FUNCTION pgmaint_internal.escalation_due()
RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM pgmaint.findings f WHERE f.escalation_id IS NULL AND f.severity <> 'info'
			AND f.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i))
		OR EXISTS (SELECT FROM pgmaint_internal.troubles t WHERE t.resolved_at IS NULL)
		OR EXISTS (SELECT FROM pgmaint.notifications n WHERE n.state IN ('pending', 'failed') AND n.next_attempt <= clock_timestamp()
			AND n.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i))
		OR EXISTS (SELECT FROM pgmaint_internal.suspended_contacts s WHERE NOT s.told)
		OR EXISTS (SELECT FROM pgmaint.contacts c WHERE c.windows) AND EXISTS (SELECT FROM pgmaint.maintenance_windows);
END;

COMMENT ON FUNCTION pgmaint_internal.escalation_due() IS 'may there be somebody to be told something';

REVOKE ALL ON pgmaint_internal.notified_troubles, pgmaint_internal.escalation_steps, pgmaint.escalations FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint_internal.queue_troubles(),
	pgmaint_internal.escalation_due()
FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.notified_troubles, pgmaint_internal.escalation_steps, pgmaint.escalations TO pg_monitor;
