-- Checks of notifications: delivery of messages, and contacts for critical alerts.

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, d.threshold, d.value, d.value, d.kind, d.description
FROM (VALUES
	('undelivered_messages', 'warning', '1 hour', 'interval', 'a message to a contact was not delivered for longer than this'),
	('undelivered_messages', 'critical', '1 day', 'interval', 'a message to a contact was not delivered for longer than this'),
	('nobody_is_told', 'warning', '1', 'number', 'number of critical alerts while no contact is defined')
) AS d (check_id, threshold, value, kind, description);

CREATE FUNCTION pgmaint_internal.validate_escalation()
RETURNS TABLE (check_id text, status text, detail text, expected text, object text)
LANGUAGE sql STABLE ROWS 2 COST 1000
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
BEGIN ATOMIC
	-- Messages that were given up count until a later message arrives: a contact
	-- that cannot be reached stays a fault when pgmaint stops trying.
	WITH undelivered AS MATERIALIZED (
		SELECT
			c.name,
			count(*) AS messages,
			clock_timestamp() - min(n.created_at) AS age,
			bool_and(n.state = 'given up') AS given_up,
			(array_agg(n.error ORDER BY n.notification_id) FILTER (WHERE n.error IS NOT NULL))[1] AS error
		FROM pgmaint.contacts c
		JOIN pgmaint.notifications n ON n.contact = c.name
		WHERE (n.state IN ('pending', 'failed') OR n.state = 'given up' AND n.created_at >= c.added_at)
			AND n.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i)
			AND n.notification_id > coalesce(
				(SELECT max(s.notification_id) FROM pgmaint.notifications s WHERE s.contact = c.name AND s.state = 'sent'), 0)
		GROUP BY c.name
	),
	-- an alert of this check itself does not count
	told AS (
		SELECT
			(SELECT count(*) FROM pgmaint.contacts c WHERE c.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i)) AS contacts,
			count(*) AS alerts
		FROM pgmaint_internal.alert_records t
		WHERE t.resolved_at IS NULL AND t.severity = 'critical' AND t.check_id <> 'nobody_is_told'
			AND NOT EXISTS (SELECT FROM pgmaint_internal.acknowledgements a
				WHERE a.alert_id = t.alert_id AND a.severity = 'critical')
	)
	SELECT
		'undelivered_messages',
		pgmaint_internal.judge('undelivered_messages', u.age),
		format('%s to contact %s %s %s old: %s', CASE WHEN u.messages = 1 THEN '1 message' ELSE u.messages || ' messages' END,
			quote_ident(u.name),
			CASE
				WHEN u.messages = 1 THEN CASE WHEN u.given_up THEN 'was given up and is' ELSE 'waits to be sent and is' END
				ELSE CASE WHEN u.given_up THEN 'were given up; the oldest is' ELSE 'wait to be sent; the oldest is' END END,
			date_trunc('second', justify_hours(u.age)),
			coalesce(u.error || '; see pgmaint.notifications', 'not tried yet; pgmaint.tick() sends messages: schedule it with SELECT pgmaint.schedule(''tick'')')),
		pgmaint_internal.expectation('undelivered_messages', 'delivered within %s'),
		quote_ident(u.name)
	FROM undelivered u
	UNION ALL
	SELECT 'undelivered_messages', 'ok', 'no messages wait to be sent', pgmaint_internal.expectation('undelivered_messages', 'delivered within %s'), NULL
	WHERE NOT EXISTS (SELECT FROM undelivered u)
	UNION ALL
	SELECT
		'nobody_is_told',
		CASE WHEN t.contacts > 0 THEN 'ok' ELSE pgmaint_internal.judge('nobody_is_told', t.alerts) END,
		CASE
			WHEN t.contacts > 0 THEN format('%s notified of alerts', CASE WHEN t.contacts = 1 THEN '1 contact is' ELSE t.contacts || ' contacts are' END)
			WHEN t.alerts > 0 THEN format('%s; no contacts defined: see pgmaint.alerts, and add a contact with pgmaint.add_contact()',
				CASE WHEN t.alerts = 1 THEN '1 critical alert' ELSE t.alerts || ' critical alerts' END)
			ELSE 'no critical alerts; no contacts defined' END,
		pgmaint_internal.expectation('nobody_is_told', 'at least one contact, or fewer than %s critical alerts'),
		NULL
	FROM told t;
END;

COMMENT ON FUNCTION pgmaint_internal.validate_escalation() IS
	'checks of notifications: messages that were not delivered, critical alerts without a contact';

REVOKE ALL ON FUNCTION pgmaint_internal.validate_escalation() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.validate_escalation() TO pg_monitor;
