-- Who is told: troubles that runs noticed, whom they were told to, and what has
-- become of them.

--
-- Relays: what messages go through
--

CREATE FUNCTION pgmaint.relay_validator(options text[], catalog oid) RETURNS void
	LANGUAGE c STRICT
	AS 'MODULE_PATHNAME', 'pgmaint_relay_validator';
COMMENT ON FUNCTION pgmaint.relay_validator IS
	'refuses what a relay, or a user mapping for one, cannot be';

CREATE FOREIGN DATA WRAPPER pgmaint_relay VALIDATOR pgmaint.relay_validator;
COMMENT ON FOREIGN DATA WRAPPER pgmaint_relay IS
	'its servers are what messages to contacts go through: an SMTP server, or the keys for a webhook';

--
-- Contacts: who is told
--

CREATE TABLE pgmaint.contacts (
	name text PRIMARY KEY,
	level integer NOT NULL CHECK (level > 0),
	address text NOT NULL,
	server name,
	severity text NOT NULL CHECK (severity IN ('warning', 'critical')),
	after interval NOT NULL,
	repeats integer CHECK (repeats > 0),
	windows boolean NOT NULL,
	notice interval NOT NULL,
	added_by name NOT NULL,
	added_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

COMMENT ON TABLE pgmaint.contacts IS 'who is told of troubles, and when: made by pgmaint.add_contact()';
COMMENT ON COLUMN pgmaint.contacts.level IS '1 is told first; a trouble that was told to a higher level is escalated';
COMMENT ON COLUMN pgmaint.contacts.address IS 'https://..., mailto:..., or notify:channel';
COMMENT ON COLUMN pgmaint.contacts.server IS 'the relay: what mail goes through, or the keys for a webhook';
COMMENT ON COLUMN pgmaint.contacts.severity IS 'troubles of this severity, and worse ones, are told';
COMMENT ON COLUMN pgmaint.contacts.after IS 'how long a trouble has that severity, neither resolved nor acknowledged, before this contact is told';
COMMENT ON COLUMN pgmaint.contacts.repeats IS 'a trouble that was noticed so often is told at once';
COMMENT ON COLUMN pgmaint.contacts.windows IS 'whether the contact is told what will run, before a maintenance window opens';
COMMENT ON COLUMN pgmaint.contacts.notice IS 'how long before that';
COMMENT ON COLUMN pgmaint.contacts.added_by IS 'whose user mapping has the password or the keys';

-- contacts belong to the database, and are dumped and restored with it
SELECT pg_catalog.pg_extension_config_dump('pgmaint.contacts', '');

CREATE FUNCTION pgmaint.add_contact(
	name text,
	address text,
	level integer DEFAULT 1,
	severity text DEFAULT NULL,
	after interval DEFAULT NULL,
	repeats integer DEFAULT NULL,
	windows boolean DEFAULT false,
	server name DEFAULT NULL,
	notice interval DEFAULT '1 hour')
RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pgmaint_add_contact';

COMMENT ON FUNCTION pgmaint.add_contact(text, text, integer, text, interval, integer, boolean, name, interval) IS
	'have somebody told of troubles: level 1 at once of warnings, too, higher levels of what is critical and goes on, unless told otherwise';

CREATE FUNCTION pgmaint.drop_contact(name text)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_drop_contact';

COMMENT ON FUNCTION pgmaint.drop_contact(text) IS 'tell a contact nothing more';

--
-- Troubles
--

CREATE TABLE pgmaint.troubles (
	escalation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	check_id text NOT NULL,
	object text,
	action text,
	severity text NOT NULL CHECK (severity IN ('warning', 'critical')),
	condition text,
	message text NOT NULL,
	occurrences integer NOT NULL,
	first_seen timestamptz NOT NULL,
	last_seen timestamptz NOT NULL,
	severe_since timestamptz NOT NULL,
	first_finding bigint NOT NULL,
	last_finding bigint NOT NULL,
	last_run bigint,
	level integer NOT NULL DEFAULT 0,
	resolved_at timestamptz,
	resolution text,
	target text,
	command text,
	relation oid,
	options jsonb,
	role oid
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX troubles_unresolved ON pgmaint.troubles (check_id, coalesce(object, ''), coalesce(action, '')) WHERE resolved_at IS NULL;

COMMENT ON TABLE pgmaint.troubles IS 'one row for each trouble that findings are about, from when it was first noticed until it is resolved: pgmaint.escalations shows them';
COMMENT ON COLUMN pgmaint.troubles.condition IS 'what makes it critical though the findings are none, or which of the conditions of escalation it is';
COMMENT ON COLUMN pgmaint.troubles.occurrences IS 'how many runs noticed it';
COMMENT ON COLUMN pgmaint.troubles.severe_since IS 'since when it has its severity';
COMMENT ON COLUMN pgmaint.troubles.level IS 'the highest level of the contacts that were told';
COMMENT ON COLUMN pgmaint.troubles.target IS 'of the task that noticed it last; null: it was noticed when tasks were planned, or by no action';
COMMENT ON COLUMN pgmaint.troubles.options IS 'of the step that noticed it last';

CREATE TABLE pgmaint.acknowledgements (
	finding_id bigint NOT NULL,
	escalation_id bigint REFERENCES pgmaint.troubles ON DELETE CASCADE,
	severity text NOT NULL,
	acknowledged_by name NOT NULL,
	acknowledged_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE INDEX acknowledgements_escalation ON pgmaint.acknowledgements (escalation_id);

-- A row of its own, so that a session that acknowledges and then idles in its
-- transaction holds no lock on the trouble.
COMMENT ON TABLE pgmaint.acknowledgements IS 'who sees to which trouble';
COMMENT ON COLUMN pgmaint.acknowledgements.escalation_id IS 'null: the finding is not among the escalations yet';
COMMENT ON COLUMN pgmaint.acknowledgements.severity IS 'what is worse than that is told again';

CREATE FUNCTION pgmaint.acknowledge(finding_id bigint)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_acknowledge';

COMMENT ON FUNCTION pgmaint.acknowledge(bigint) IS
	'see to the trouble that a finding is about: nobody else is told of it, unless it becomes worse; false if it is resolved';

CREATE TABLE pgmaint.notifications (
	notification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	message_id uuid NOT NULL,
	contact text NOT NULL,
	kind text NOT NULL CHECK (kind IN ('trouble', 'resolved', 'window')),
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
	UNIQUE (contact, window_name, window_opens)
) WITH (fillfactor = 70);

CREATE INDEX notifications_unsent ON pgmaint.notifications (contact, notification_id) WHERE state IN ('pending', 'failed');
CREATE INDEX notifications_contact ON pgmaint.notifications (contact, sent_at);

COMMENT ON TABLE pgmaint.notifications IS 'the messages to contacts: what is to be sent, and what was';
COMMENT ON COLUMN pgmaint.notifications.message_id IS 'goes with the message however often it is sent, so that a receiver can tell';
COMMENT ON COLUMN pgmaint.notifications.state IS 'pending, failed (and to be tried again), sent, given up';
COMMENT ON COLUMN pgmaint.notifications.error IS 'why the last attempt failed';
COMMENT ON COLUMN pgmaint.notifications.body IS 'for a person';
COMMENT ON COLUMN pgmaint.notifications.payload IS 'for a machine';

CREATE TABLE pgmaint.notified_troubles (
	escalation_id bigint NOT NULL REFERENCES pgmaint.troubles ON DELETE CASCADE,
	contact text NOT NULL,
	kind text NOT NULL,
	severity text NOT NULL,
	notification_id bigint NOT NULL REFERENCES pgmaint.notifications ON DELETE CASCADE,
	PRIMARY KEY (escalation_id, contact, kind, severity)
);

CREATE INDEX notified_troubles_notification ON pgmaint.notified_troubles (notification_id);

COMMENT ON TABLE pgmaint.notified_troubles IS 'which trouble was told to whom: once for each severity, and once when it was resolved';

CREATE VIEW pgmaint.escalation_steps AS
SELECT
	t.escalation_id,
	c.name AS contact,
	c.level,
	CASE WHEN t.occurrences >= c.repeats THEN t.severe_since ELSE t.severe_since + c.after END AS due
FROM pgmaint.troubles t
JOIN pgmaint.contacts c ON (c.severity = 'warning' OR t.severity = 'critical')
	-- somebody who cannot be reached is not told so
	AND NOT (t.check_id = 'delivery' AND t.object = c.name)
WHERE t.resolved_at IS NULL
	AND NOT EXISTS (SELECT FROM pgmaint.acknowledgements a
		WHERE a.escalation_id = t.escalation_id AND (a.severity = 'critical' OR t.severity = 'warning'))
	AND NOT EXISTS (SELECT FROM pgmaint.notified_troubles n
		WHERE n.escalation_id = t.escalation_id AND n.contact = c.name AND n.kind = 'trouble' AND n.severity = t.severity);

COMMENT ON VIEW pgmaint.escalation_steps IS 'who will be told of which trouble, and when, unless it is resolved or acknowledged';

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
FROM pgmaint.troubles t
LEFT JOIN LATERAL (
	SELECT n.due, n.contact
	FROM pgmaint.escalation_steps n
	WHERE n.escalation_id = t.escalation_id
	ORDER BY n.due, n.level, n.contact
	LIMIT 1
) s ON true
LEFT JOIN LATERAL (
	SELECT k.acknowledged_by, k.acknowledged_at
	FROM pgmaint.acknowledgements k
	LEFT JOIN pgmaint.findings f ON f.finding_id = k.finding_id AND k.escalation_id IS NULL
	WHERE coalesce(k.escalation_id, f.escalation_id) = t.escalation_id
		AND (k.severity = 'critical' OR t.severity = 'warning')
	ORDER BY k.acknowledged_at DESC
	LIMIT 1
) a ON true
ORDER BY t.resolved_at DESC NULLS FIRST, t.severity, t.last_seen DESC, t.escalation_id;

COMMENT ON VIEW pgmaint.escalations IS
	'the troubles that findings are about, those to see to first: whether somebody was told, who is told next and when, who sees to it, and whether it is over';
COMMENT ON COLUMN pgmaint.escalations.state IS 'open (nobody was told), notified (level 1 was), escalated (a higher level was), acknowledged, resolved';

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, 'critical', d.value, d.value, d.kind, d.description
FROM (VALUES
	('repeated_backup_failure', '2', 'number', 'backups of the same failed so many times in a row: contacts are told that it is critical'),
	('repeated_failure', '3', 'number', 'a task failed so many times in a row: contacts are told that it is critical'),
	('lasting_warning', '7 days', 'interval', 'a warning is neither resolved nor acknowledged for so long: contacts are told that it is critical')
) AS d (check_id, value, kind, description);

CREATE FUNCTION pgmaint.escalation_condition(check_id text, action text, severity text, occurrences integer, since timestamptz, acknowledged boolean)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE
		WHEN check_id = 'degradation' THEN 'degradation after maintenance'
		WHEN action = 'check_corruption' AND severity = 'critical' THEN 'corruption'
		WHEN action IN ('verify_backup', 'restore_backup') AND (severity = 'critical' OR check_id = 'failed') THEN 'a restore failed'
		WHEN action = 'backup' AND check_id IN ('backup', 'failed')
			AND (severity = 'critical' OR occurrences >= pgmaint.threshold('repeated_backup_failure', 'critical')::numeric)
			THEN 'backups fail repeatedly'
		WHEN check_id = 'failed' AND occurrences >= pgmaint.threshold('repeated_failure', 'critical')::numeric
			THEN 'it fails repeatedly'
		WHEN severity = 'warning' AND NOT acknowledged
			AND since < clock_timestamp() - pgmaint.threshold('lasting_warning', 'critical')::interval THEN 'it goes on'
	END;
END;

COMMENT ON FUNCTION pgmaint.escalation_condition(text, text, text, integer, timestamptz, boolean) IS
	'which condition of escalation a trouble meets, so that it counts as critical; null: none';

-- What is noticed again and again is one trouble.
CREATE FUNCTION pgmaint.note_troubles()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH fresh AS MATERIALIZED (
		SELECT
			f.finding_id, f.run_id, f.check_id, f.object, f.severity, f.message, f.created_at,
			s.definition ->> 'action' AS action,
			coalesce(f.object, '') AS object_key,
			coalesce(s.definition ->> 'action', '') AS action_key,
			s.definition -> 'options' AS options,
			r.role, t.target, t.command, t.relation
		FROM pgmaint.findings f
		LEFT JOIN pgmaint.runs r ON r.run_id = f.run_id
		LEFT JOIN pgmaint.tasks t ON t.task_id = f.task_id
		CROSS JOIN LATERAL (SELECT r.steps -> (f.step - 1) AS definition) s
		WHERE f.escalation_id IS NULL AND f.severity <> 'info'
	),
	latest AS (
		SELECT DISTINCT ON (f.check_id, f.object_key, f.action_key) f.*
		FROM fresh f
		ORDER BY f.check_id, f.object_key, f.action_key, f.finding_id DESC
	),
	counted AS (
		SELECT
			f.check_id, f.object_key, f.action_key,
			bool_or(f.severity = 'critical') AS critical,
			count(DISTINCT coalesce(f.run_id, -f.finding_id)) FILTER (WHERE f.run_id IS DISTINCT FROM o.last_run OR f.run_id IS NULL) AS times,
			min(f.created_at) AS first_seen,
			max(f.created_at) AS last_seen,
			min(f.finding_id) AS first_finding
		FROM fresh f
		LEFT JOIN pgmaint.troubles o ON o.resolved_at IS NULL AND o.check_id = f.check_id
			AND coalesce(o.object, '') = f.object_key AND coalesce(o.action, '') = f.action_key
		GROUP BY f.check_id, f.object_key, f.action_key
	),
	noted AS (
		INSERT INTO pgmaint.troubles AS o (check_id, object, action, severity, message, occurrences, first_seen, last_seen,
			severe_since, first_finding, last_finding, last_run, target, command, relation, options, role)
		SELECT
			l.check_id, l.object, l.action, CASE WHEN c.critical THEN 'critical' ELSE 'warning' END, l.message, c.times,
			c.first_seen, c.last_seen, c.first_seen, c.first_finding, l.finding_id, l.run_id, l.target, l.command, l.relation, l.options, l.role
		FROM counted c
		JOIN latest l ON l.check_id = c.check_id AND l.object_key = c.object_key AND l.action_key = c.action_key
		ORDER BY c.critical DESC, c.first_finding
		ON CONFLICT (check_id, coalesce(object, ''), coalesce(action, '')) WHERE resolved_at IS NULL DO UPDATE SET
			severe_since = CASE WHEN o.severity <> 'critical' AND excluded.severity = 'critical' THEN excluded.last_seen ELSE o.severe_since END,
			severity = CASE WHEN o.severity = 'critical' THEN o.severity ELSE excluded.severity END,
			message = excluded.message,
			occurrences = o.occurrences + excluded.occurrences,
			last_seen = excluded.last_seen,
			last_finding = excluded.last_finding,
			last_run = excluded.last_run,
			target = excluded.target,
			command = excluded.command,
			relation = excluded.relation,
			options = excluded.options,
			role = excluded.role
		RETURNING o.escalation_id, o.check_id, coalesce(o.object, '') AS object_key, coalesce(o.action, '') AS action_key
	)
	UPDATE pgmaint.findings f SET escalation_id = n.escalation_id
	FROM fresh x
	JOIN noted n ON n.check_id = x.check_id AND n.object_key = x.object_key AND n.action_key = x.action_key
	WHERE f.finding_id = x.finding_id;
	UPDATE pgmaint.acknowledgements a SET escalation_id = f.escalation_id
	FROM pgmaint.findings f
	WHERE a.escalation_id IS NULL AND f.finding_id = a.finding_id AND f.escalation_id IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint.note_troubles() IS 'put findings that are new to the troubles that they are about';

-- Resolved is only what was looked at again, in the same way, and not found.
CREATE FUNCTION pgmaint.resolve_troubles()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	UPDATE pgmaint.troubles o SET resolved_at = clock_timestamp(), resolution = x.resolution
	FROM (
		SELECT t.escalation_id, CASE
			-- noticed by a task: the same task succeeded, and had nothing to say
			WHEN t.target IS NOT NULL THEN coalesce(
				(SELECT format('%s of %s succeeded in run %s', k.action, k.target, k.run_id)
				FROM pgmaint.tasks k
				JOIN pgmaint.runs r ON r.run_id = k.run_id
				WHERE k.action = t.action AND k.target = t.target AND k.state = 'succeeded' AND k.started_at > t.last_seen
					AND (t.check_id IN ('failed', 'skipped')
						OR coalesce(r.steps -> (k.step - 1) -> 'options', '{}') - 'settings' = coalesce(t.options, '{}') - 'settings'
						AND (k.action <> 'check_corruption' OR k.command = t.command))
				ORDER BY k.task_id
				LIMIT 1),
				CASE WHEN t.relation <> 0 AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.relation)
					THEN format('%s is there no more', t.target) END,
				(SELECT format('%s was removed', t.target)
				FROM pgmaint.backup_records b
				WHERE b.state = 'expired' AND t.action IN ('verify_backup', 'restore_backup') AND t.target = concat(b.storage, '/', b.key)))
			WHEN t.check_id = 'missed_schedule' THEN coalesce(
				(SELECT format('plan %s was run', t.object)
				FROM pgmaint.runs r WHERE r.plan = t.object AND r.requested_at > t.last_seen LIMIT 1),
				CASE WHEN NOT EXISTS (SELECT FROM pgmaint.plan_schedules s WHERE s.plan = t.object)
					THEN format('plan %s is not scheduled any more', t.object) END)
			WHEN t.check_id = 'delivery' THEN coalesce(
				(SELECT format('a message to %s was sent', t.object)
				FROM pgmaint.notifications n WHERE n.contact = t.object AND n.sent_at > t.last_seen LIMIT 1),
				CASE WHEN NOT EXISTS (SELECT FROM pgmaint.contacts c WHERE c.name = t.object)
					THEN format('contact %s is there no more', t.object) END)
			-- noticed when tasks were planned: the same was planned again to the end
			WHEN t.action IS NOT NULL THEN
				(SELECT format('%s in run %s did not notice it', t.action, r.run_id)
				FROM pgmaint.runs r
				CROSS JOIN LATERAL jsonb_array_elements(r.steps) WITH ORDINALITY AS s (definition, step)
				WHERE r.run_id > t.last_run AND r.role = t.role
					AND s.definition ->> 'action' = t.action
					AND (t.check_id = 'failed'
						OR coalesce(s.definition -> 'options', '{}') - 'settings' = coalesce(t.options, '{}') - 'settings')
					AND (r.current_step > s.step OR r.state = 'succeeded'
						OR r.finished_at IS NOT NULL AND EXISTS (SELECT FROM pgmaint.tasks k WHERE k.run_id = r.run_id AND k.step = s.step))
				ORDER BY r.run_id
				LIMIT 1)
			WHEN t.check_id IN ('failed', 'interrupted') THEN
				(SELECT format('run %s of plan %s came to its end', r.run_id, r.plan)
				FROM pgmaint.runs r
				WHERE r.run_id > t.last_run AND r.plan = t.object AND r.current_step > 0
					AND r.current_step = jsonb_array_length(r.steps) AND r.state NOT IN ('cancelled', 'interrupted')
				ORDER BY r.run_id
				LIMIT 1)
			END AS resolution
		FROM pgmaint.troubles t
		WHERE t.resolved_at IS NULL
			-- what came in since note_troubles() comes first
			AND NOT EXISTS (SELECT FROM pgmaint.findings f WHERE f.escalation_id IS NULL AND f.severity <> 'info' AND f.check_id = t.check_id)
	) x
	WHERE x.escalation_id = o.escalation_id AND x.resolution IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint.resolve_troubles() IS 'see which troubles are over';

CREATE FUNCTION pgmaint.weigh_troubles()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	UPDATE pgmaint.troubles o SET
		condition = x.condition,
		severe_since = CASE WHEN o.severity = 'critical' THEN o.severe_since ELSE clock_timestamp() END,
		severity = 'critical'
	FROM (
		SELECT t.escalation_id, pgmaint.escalation_condition(t.check_id, t.action, t.severity, t.occurrences, t.first_seen,
			EXISTS (SELECT FROM pgmaint.acknowledgements a WHERE a.escalation_id = t.escalation_id)) AS condition
		FROM pgmaint.troubles t
		WHERE t.resolved_at IS NULL AND t.condition IS NULL
	) x
	WHERE x.escalation_id = o.escalation_id AND x.condition IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint.weigh_troubles() IS 'see which troubles have become critical';

--
-- Messages
--

CREATE FUNCTION pgmaint.host_name()
RETURNS text
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'pgmaint_host_name';

COMMENT ON FUNCTION pgmaint.host_name() IS 'the name of the machine that the server runs on';

CREATE FUNCTION pgmaint.message_origin()
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT jsonb_build_object(
		'host', pgmaint.host_name(),
		'cluster', nullif(current_setting('cluster_name'), ''),
		'system_identifier', (SELECT c.system_identifier::text FROM pg_control_system() c),
		'database', current_database());
END;

COMMENT ON FUNCTION pgmaint.message_origin() IS 'what messages say about where they come from';

CREATE FUNCTION pgmaint.message_time(at timestamptz)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

COMMENT ON FUNCTION pgmaint.message_time(timestamptz) IS 'a time as messages have it: UTC, in ISO 8601';

-- One message to each contact, however many troubles there are; the first 50
-- are described.
CREATE FUNCTION pgmaint.queue_troubles()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH due AS MATERIALIZED (
		SELECT 'trouble' AS kind, s.contact, s.level AS contact_level, t.*
		FROM pgmaint.escalation_steps s
		JOIN pgmaint.troubles t ON t.escalation_id = s.escalation_id
		WHERE s.due <= clock_timestamp()
		UNION ALL
		SELECT DISTINCT 'resolved', n.contact, c.level, t.*
		FROM pgmaint.troubles t
		JOIN pgmaint.notified_troubles n ON n.escalation_id = t.escalation_id
		JOIN pgmaint.contacts c ON c.name = n.contact
		WHERE t.resolved_at IS NOT NULL
			AND NOT EXISTS (SELECT FROM pgmaint.notified_troubles d
				WHERE d.escalation_id = n.escalation_id AND d.contact = n.contact AND d.kind = 'resolved')
	),
	ranked AS (
		SELECT d.*,
			row_number() OVER (PARTITION BY d.contact, d.kind ORDER BY d.severity, d.first_seen, d.escalation_id) AS nth,
			-- names may have lines of their own, which must not look like ours
			regexp_replace(concat_ws(' ', d.check_id, left(d.object, 200)), '[\x01-\x1f\x7f]+', ' ', 'g') AS name,
			regexp_replace(left(d.message, 1000), '[\x01-\x1f\x7f]+', ' ', 'g') AS text
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
				upper(CASE r.kind WHEN 'resolved' THEN r.kind ELSE r.severity END), ' ', r.name, ' (' || r.condition || ')',
				E'\n    ', r.text,
				E'\n    ' || CASE WHEN r.kind = 'resolved' THEN r.resolution END,
				format(E'\n    noticed %s, first at %s, last at %s; finding %s', CASE r.occurrences WHEN 1 THEN 'once' ELSE r.occurrences || ' times' END,
					pgmaint.message_time(r.first_seen), pgmaint.message_time(r.last_seen), r.last_finding)),
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
				'first_seen', pgmaint.message_time(r.first_seen),
				'last_seen', pgmaint.message_time(r.last_seen),
				'resolution', r.resolution) ORDER BY r.nth) FILTER (WHERE r.nth <= 50) AS list
		FROM ranked r
		CROSS JOIN (SELECT pgmaint.message_origin() AS origin) o
		GROUP BY r.contact, r.kind, o.origin
	),
	worded AS MATERIALIZED (
		SELECT b.*, format('[pgmaint %s] %s', concat_ws(' ', b.origin ->> 'host', b.origin ->> 'database'),
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
				format(E'Database %s of cluster %s on %s:\n\n', w.origin ->> 'database',
					coalesce(w.origin ->> 'cluster', w.origin ->> 'system_identifier'), w.origin ->> 'host'),
				w.text,
				CASE WHEN w.troubles > 50 THEN format(E'\n\n... and %s more.', w.troubles - 50) END,
				CASE WHEN w.kind = 'trouble' THEN format(
					E'\n\nSELECT * FROM pgmaint.escalations shows all of it.\nSELECT pgmaint.acknowledge(%s) says that you see to it, and stops the escalation.',
					w.finding) END,
				E'\n'),
			w.origin || jsonb_build_object('id', w.message_id, 'kind', w.kind, 'severity', w.severity, 'subject', w.subject,
				'created_at', pgmaint.message_time(clock_timestamp()), 'troubles_count', w.troubles, 'troubles', w.list)
		FROM worded w
		RETURNING notification_id, contact, kind
	),
	told AS (
		INSERT INTO pgmaint.notified_troubles (escalation_id, contact, kind, severity, notification_id)
		SELECT d.escalation_id, d.contact, d.kind, d.severity, m.notification_id
		FROM due d
		JOIN messages m ON m.contact = d.contact AND m.kind = d.kind
	)
	UPDATE pgmaint.troubles o SET level = x.level
	FROM (SELECT d.escalation_id, max(d.contact_level) AS level FROM due d WHERE d.kind = 'trouble' GROUP BY d.escalation_id) x
	WHERE o.escalation_id = x.escalation_id AND o.level < x.level;
END;

COMMENT ON FUNCTION pgmaint.queue_troubles() IS 'write the messages about troubles that are due';

-- Before a window opens: which plans are to begin in it.
CREATE FUNCTION pgmaint.queue_windows()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH opening AS MATERIALIZED (
		SELECT c.name AS contact, h.name, h.opens, h.closes
		FROM (SELECT pgmaint.window_clock() AS now) n
		JOIN pgmaint.contacts c ON c.windows
		CROSS JOIN LATERAL pgmaint.window_hours(n.now, n.now + c.notice) h
		WHERE h.opens > n.now
			AND NOT EXISTS (SELECT FROM pgmaint.notifications x
				WHERE x.contact = c.name AND x.window_name = h.name AND x.window_opens = h.opens)
	),
	planned AS (
		SELECT o.contact, o.name, o.opens, o.closes, s.plan, b.begins,
			(SELECT array_agg(p.action ORDER BY p.step) FROM pgmaint.plans p WHERE p.plan = s.plan) AS actions
		FROM opening o
		JOIN pgmaint.plan_schedules s ON s.plan <> 'tick'
			AND s.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
		CROSS JOIN LATERAL (SELECT pgmaint.next_run(s.schedule, o.opens - interval '1 second') AS begins) b
		WHERE b.begins < o.closes
	),
	batches AS MATERIALIZED (
		SELECT
			p.contact, p.name, p.opens, p.closes, o.origin,
			gen_random_uuid() AS message_id,
			string_agg(format('    %s at %s: %s', p.plan, pgmaint.message_time(p.begins), array_to_string(p.actions, ', ')),
				E'\n' ORDER BY p.begins, p.plan) AS text,
			jsonb_agg(jsonb_build_object('plan', p.plan, 'begins', pgmaint.message_time(p.begins), 'actions', p.actions)
				ORDER BY p.begins, p.plan) AS list
		FROM planned p
		CROSS JOIN (SELECT pgmaint.message_origin() AS origin) o
		GROUP BY p.contact, p.name, p.opens, p.closes, o.origin
	),
	worded AS (
		SELECT b.*, format('[pgmaint %s] maintenance begins at %s', concat_ws(' ', b.origin ->> 'host', b.origin ->> 'database'),
			pgmaint.message_time(b.opens)) AS subject
		FROM batches b
	)
	INSERT INTO pgmaint.notifications (message_id, contact, kind, subject, body, payload, window_name, window_opens)
	SELECT w.message_id, w.contact, 'window', w.subject,
		format(E'Maintenance window %s of database %s of cluster %s on %s is open from %s to %s.\n\nWhat will run in it:\n\n%s\n\nTables may be locked and queries slower in these hours.\n',
			w.name, w.origin ->> 'database', coalesce(w.origin ->> 'cluster', w.origin ->> 'system_identifier'), w.origin ->> 'host',
			pgmaint.message_time(w.opens), pgmaint.message_time(w.closes), w.text),
		w.origin || jsonb_build_object('id', w.message_id, 'kind', 'window', 'subject', w.subject,
			'created_at', pgmaint.message_time(clock_timestamp()),
			'window', jsonb_build_object('name', w.name, 'opens', pgmaint.message_time(w.opens), 'closes', pgmaint.message_time(w.closes)),
			'plans', w.list),
		w.name, w.opens
	FROM worded w
	ON CONFLICT (contact, window_name, window_opens) DO NOTHING;
END;

COMMENT ON FUNCTION pgmaint.queue_windows() IS 'write the messages about maintenance windows that open soon';

CREATE FUNCTION pgmaint.give_up_dropped_contacts()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	UPDATE pgmaint.notifications n SET state = 'given up', error = 'the contact was dropped', next_attempt = NULL
	WHERE n.state IN ('pending', 'failed') AND NOT EXISTS (SELECT FROM pgmaint.contacts c WHERE c.name = n.contact);
END;

COMMENT ON FUNCTION pgmaint.give_up_dropped_contacts() IS 'messages to contacts that are no more are not sent';

CREATE FUNCTION pgmaint.escalation_due()
RETURNS boolean
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT EXISTS (SELECT FROM pgmaint.findings f WHERE f.escalation_id IS NULL AND f.severity <> 'info')
		OR EXISTS (SELECT FROM pgmaint.troubles t WHERE t.resolved_at IS NULL)
		OR EXISTS (SELECT FROM pgmaint.notifications n WHERE n.state IN ('pending', 'failed') AND n.next_attempt <= clock_timestamp())
		OR EXISTS (SELECT FROM pgmaint.contacts c WHERE c.windows) AND EXISTS (SELECT FROM pgmaint.maintenance_windows);
END;

COMMENT ON FUNCTION pgmaint.escalation_due() IS 'may there be somebody to be told something';

REVOKE ALL ON pgmaint.contacts, pgmaint.troubles, pgmaint.acknowledgements, pgmaint.notifications,
	pgmaint.notified_troubles, pgmaint.escalation_steps, pgmaint.escalations FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.relay_validator(text[], oid),
	pgmaint.add_contact(text, text, integer, text, interval, integer, boolean, name, interval),
	pgmaint.drop_contact(text),
	pgmaint.acknowledge(bigint),
	pgmaint.escalation_condition(text, text, text, integer, timestamptz, boolean),
	pgmaint.note_troubles(),
	pgmaint.resolve_troubles(),
	pgmaint.weigh_troubles(),
	pgmaint.host_name(),
	pgmaint.message_origin(),
	pgmaint.message_time(timestamptz),
	pgmaint.queue_troubles(),
	pgmaint.queue_windows(),
	pgmaint.give_up_dropped_contacts(),
	pgmaint.escalation_due()
FROM PUBLIC;
GRANT SELECT ON pgmaint.contacts, pgmaint.troubles, pgmaint.acknowledgements, pgmaint.notifications,
	pgmaint.notified_troubles, pgmaint.escalation_steps, pgmaint.escalations TO pg_monitor;
