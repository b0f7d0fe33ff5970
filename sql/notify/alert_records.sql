-- The rows of alerts: findings of the same check about the same object are one
-- alert, which lasts until it is resolved, and which a role may acknowledge.

CREATE TABLE pgmaint_internal.alert_records (
	alert_id bigint PRIMARY KEY,
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
	role oid,
	told boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX alert_records_unresolved ON pgmaint_internal.alert_records (check_id, coalesce(object, ''), coalesce(action, '')) WHERE resolved_at IS NULL;
CREATE INDEX alert_records_untold ON pgmaint_internal.alert_records (alert_id) WHERE resolved_at IS NOT NULL AND NOT told;

COMMENT ON TABLE pgmaint_internal.alert_records IS 'one row for each alert, from its first finding until it is resolved: pgmaint.alerts shows them';
COMMENT ON COLUMN pgmaint_internal.alert_records.alert_id IS 'number of the first finding of the alert; alerts from before version 0.3 have other numbers';
COMMENT ON COLUMN pgmaint_internal.alert_records.condition IS 'the condition of escalation that made the alert critical';
COMMENT ON COLUMN pgmaint_internal.alert_records.occurrences IS 'number of runs that noticed the alert';
COMMENT ON COLUMN pgmaint_internal.alert_records.severe_since IS 'since when the alert has its severity';
COMMENT ON COLUMN pgmaint_internal.alert_records.level IS 'highest level of the contacts that were notified of the alert';
COMMENT ON COLUMN pgmaint_internal.alert_records.target IS 'target of the task that last noticed the alert; null: a plan or no action noticed it';
COMMENT ON COLUMN pgmaint_internal.alert_records.options IS 'options of the step that last noticed the alert';
COMMENT ON COLUMN pgmaint_internal.alert_records.told IS 'whether all contacts that were notified of the alert were notified that it is resolved';

CREATE TABLE pgmaint_internal.acknowledgements (
	finding_id bigint NOT NULL,
	alert_id bigint REFERENCES pgmaint_internal.alert_records ON DELETE CASCADE,
	severity text NOT NULL,
	acknowledged_by name NOT NULL,
	acknowledged_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	acknowledgement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

CREATE INDEX acknowledgements_alert ON pgmaint_internal.acknowledgements (alert_id);

-- For each open alert, later successes of the same task are looked up.  Targets may
-- be longer than an index row can be, so only their beginning is indexed.
CREATE INDEX tasks_succeeded ON pgmaint.tasks (action, (pg_catalog.left(target, 300)), started_at) WHERE state = 'succeeded';

-- An acknowledgement is a separate row: a session that acknowledges an alert and
-- then idles in its transaction holds no lock on the alert.
COMMENT ON TABLE pgmaint_internal.acknowledgements IS 'which role acknowledged which alert, and when';
COMMENT ON COLUMN pgmaint_internal.acknowledgements.finding_id IS 'the finding whose number was given, or the last finding of the alert whose number was given';
COMMENT ON COLUMN pgmaint_internal.acknowledgements.alert_id IS 'the alert; null: the finding does not belong to an alert yet';
COMMENT ON COLUMN pgmaint_internal.acknowledgements.severity IS 'severity of the alert when it was acknowledged: if the severity rises, contacts are notified again';

CREATE FUNCTION pgmaint.acknowledge(alert_id bigint)
RETURNS boolean
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'pgmaint_acknowledge';

COMMENT ON FUNCTION pgmaint.acknowledge(bigint) IS
	'Stops further notifications for an alert, unless a warning becomes critical. alert_id is the number of an alert or of one of its findings. '
	'Returns true if the alert is now acknowledged, and false if it is resolved. '
	'Raises an error for an unknown number, for a finding of severity info, for a number that may mean two alerts (the error names both), on a standby and in a read-only transaction.';

INSERT INTO pgmaint.thresholds (check_id, threshold, value, default_value, kind, description)
SELECT d.check_id, 'critical', d.value, d.value, d.kind, d.description
FROM (VALUES
	('repeated_backup_failure', '2', 'number', 'number of consecutive failed backups of the same database that makes an alert critical'),
	('repeated_failure', '3', 'number', 'number of consecutive failures of a task that makes an alert critical'),
	('lasting_warning', '7 days', 'interval', 'time after which a warning that is neither resolved nor acknowledged makes an alert critical')
) AS d (check_id, value, kind, description);

-- Findings of the same check and action about the same object are one alert until
-- the alert is resolved.  A new alert has the number of its first finding, so that a
-- number is either an alert or one of its findings.  It gets another number only if
-- findings are numbered from 1 again and the number is taken.  Findings that a
-- session has locked are left for the next call.
CREATE FUNCTION pgmaint_internal.note_alerts()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH fresh AS MATERIALIZED (
		SELECT
			f.finding_id, f.run_id, f.check_id, f.severity, f.created_at,
			coalesce(f.object, '') AS object_key,
			coalesce(r.steps -> (f.step - 1) ->> 'action', '') AS action_key
		FROM pgmaint.findings f
		LEFT JOIN pgmaint.runs r ON r.run_id = f.run_id
		WHERE f.alert_id IS NULL AND f.severity <> 'info'
			AND f.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i)
		FOR NO KEY UPDATE OF f SKIP LOCKED
	),
	numbered AS MATERIALIZED (
		SELECT f.*, dense_rank() OVER (ORDER BY f.check_id, f.object_key, f.action_key) AS nth,
			(SELECT o.last_run FROM pgmaint_internal.alert_records o WHERE o.resolved_at IS NULL AND o.check_id = f.check_id
				AND coalesce(o.object, '') = f.object_key AND coalesce(o.action, '') = f.action_key) AS last_run
		FROM fresh f
	),
	counted AS MATERIALIZED (
		SELECT
			f.check_id, f.object_key, f.action_key,
			bool_or(f.severity = 'critical') AS critical,
			count(DISTINCT coalesce(f.run_id, -f.finding_id)) FILTER (WHERE f.run_id IS DISTINCT FROM f.last_run OR f.run_id IS NULL) AS times,
			min(f.created_at) AS first_seen,
			max(f.created_at) AS last_seen,
			min(f.finding_id) AS first_finding,
			max(f.finding_id) AS last_finding
		FROM numbered f
		GROUP BY f.check_id, f.object_key, f.action_key
	),
	noted AS (
		INSERT INTO pgmaint_internal.alert_records AS o (alert_id, check_id, object, action, severity, message, occurrences, first_seen, last_seen,
			severe_since, first_finding, last_finding, last_run, target, command, relation, options, role)
		SELECT
			CASE WHEN (SELECT x.alert_id FROM pgmaint_internal.alert_records x WHERE x.alert_id = c.first_finding) IS NULL
				THEN c.first_finding ELSE h.alert_id + row_number() OVER () END,
			f.check_id, f.object, s.definition ->> 'action', CASE WHEN c.critical THEN 'critical' ELSE 'warning' END, f.message, c.times,
			c.first_seen, c.last_seen, c.first_seen, c.first_finding, f.finding_id, f.run_id, t.target, t.command, t.relation,
			s.definition -> 'options', r.role
		FROM counted c
		JOIN pgmaint.findings f ON f.finding_id = c.last_finding
		LEFT JOIN pgmaint.runs r ON r.run_id = f.run_id
		LEFT JOIN pgmaint.tasks t ON t.task_id = f.task_id
		CROSS JOIN (SELECT greatest((SELECT max(x.alert_id) FROM pgmaint_internal.alert_records x),
			(SELECT max(x.first_finding) FROM counted x)) AS alert_id) h
		CROSS JOIN LATERAL (SELECT r.steps -> (f.step - 1) AS definition) s
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
		RETURNING o.alert_id, o.check_id, coalesce(o.object, '') AS object_key, coalesce(o.action, '') AS action_key
	)
	-- by position: a join could compare each finding with each alert, since the
	-- planner does not know how many there are
	UPDATE pgmaint.findings f SET
		alert_id = (SELECT array_agg(n.alert_id ORDER BY n.check_id, n.object_key, n.action_key) FROM noted n)[x.nth]
	FROM numbered x
	WHERE f.finding_id = x.finding_id;
	UPDATE pgmaint_internal.acknowledgements a SET alert_id = f.alert_id
	FROM pgmaint.findings f
	WHERE a.alert_id IS NULL AND f.finding_id = a.finding_id AND f.alert_id IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint_internal.note_alerts() IS
	'Adds findings that belong to no alert yet to alerts: to the unresolved alert of the same check, object and action, or to a new one.';

-- An alert is resolved only after the same check was made again with the same options
-- and found nothing.  There may be many alerts: lookups for each alert use an index or
-- a small materialized set.  EXISTS on large tables is avoided, since the planner may
-- turn it into a scan of the whole table.
CREATE FUNCTION pgmaint_internal.resolve_alerts()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH begun AS MATERIALIZED (
		SELECT r.plan, max(r.requested_at) AS requested_at FROM pgmaint.runs r GROUP BY r.plan
	),
	ended AS MATERIALIZED (
		SELECT r.plan, max(r.run_id) AS run_id
		FROM pgmaint.runs r
		WHERE r.run_id > (SELECT min(t.last_run) FROM pgmaint_internal.alert_records t WHERE t.resolved_at IS NULL AND t.check_id IN ('failed', 'interrupted') AND t.action IS NULL)
			AND r.current_step > 0 AND r.current_step = jsonb_array_length(r.steps) AND r.state NOT IN ('cancelled', 'interrupted')
		GROUP BY r.plan
	),
	planned AS MATERIALIZED (
		SELECT r.role, s.definition ->> 'action' AS action, coalesce(s.definition -> 'options', '{}') - 'settings' AS options, max(r.run_id) AS run_id
		FROM pgmaint.runs r
		CROSS JOIN LATERAL jsonb_array_elements(r.steps) WITH ORDINALITY AS s (definition, step)
		WHERE r.run_id > (SELECT min(t.last_run) FROM pgmaint_internal.alert_records t
				WHERE t.resolved_at IS NULL AND t.target IS NULL AND t.action IS NOT NULL)
			AND (r.current_step > s.step OR r.state = 'succeeded'
				OR r.finished_at IS NOT NULL AND (SELECT k.step FROM pgmaint.tasks k WHERE k.run_id = r.run_id AND k.step = s.step LIMIT 1) IS NOT NULL)
		GROUP BY 1, 2, 3
	)
	UPDATE pgmaint_internal.alert_records o SET resolved_at = clock_timestamp(), resolution = x.resolution
	FROM (
		SELECT t.alert_id, CASE
			-- resolved by take_over() or stay_copy(), or by the next run that writes to the storage
			WHEN t.check_id = 'identity' AND t.object IS NULL THEN
				(SELECT 'this database is no longer suspected to be a copy' FROM pgmaint_internal.own_identities i
				WHERE i.state = 'current' AND i.doubt IS NULL AND NOT EXISTS (SELECT FROM pgmaint_internal.suspended_contacts))
			WHEN t.check_id = 'identity' THEN coalesce(
				(SELECT format('run %s found valid owner records in storage %I', r.run_id, t.object)
				FROM pgmaint_internal.owner_records r
				WHERE r.storage = t.object AND r.verdict = 'clear' AND r.written_at > t.last_seen
				ORDER BY r.written_at LIMIT 1),
				CASE WHEN NOT EXISTS (SELECT FROM pg_foreign_server s WHERE s.srvname = t.object)
					THEN format('storage %I no longer exists', t.object) END)
			-- noticed by a task: the same task succeeded without a finding
			WHEN t.target IS NOT NULL THEN coalesce(
				(SELECT format('%s of %s succeeded in run %s', k.action, k.target, k.run_id)
				FROM pgmaint.tasks k
				JOIN pgmaint.runs r ON r.run_id = k.run_id
				WHERE k.action = t.action AND left(k.target, 300) = left(t.target, 300) AND k.target = t.target
					AND k.state = 'succeeded' AND k.started_at > t.last_seen
					AND (t.check_id IN ('failed', 'skipped')
						OR coalesce(r.steps -> (k.step - 1) -> 'options', '{}') - 'settings' = coalesce(t.options, '{}') - 'settings'
						AND (k.action <> 'check_corruption' OR k.command = t.command))
				ORDER BY k.started_at, k.task_id
				LIMIT 1),
				CASE WHEN t.relation <> 0 AND (SELECT c.oid FROM pg_class c WHERE c.oid = t.relation) IS NULL
					THEN format('%s no longer exists', t.target) END,
				CASE WHEN t.action IN ('verify_backup', 'restore_backup')
						AND t.target IN (SELECT concat(b.storage, '/', b.key) FROM pgmaint_internal.backup_records b WHERE b.state = 'expired')
					THEN format('backup %s was removed', t.target) END)
			WHEN t.check_id = 'missed_schedule' THEN coalesce(
				(SELECT format('plan %s has run', t.object)
				FROM begun b WHERE b.plan = t.object AND b.requested_at > t.last_seen),
				CASE WHEN NOT EXISTS (SELECT FROM pgmaint_internal.plan_schedules s WHERE s.plan = t.object)
					THEN format('plan %s is no longer scheduled', t.object) END)
			WHEN t.check_id = 'delivery' THEN coalesce(
				(SELECT format('a message to contact %s was sent', t.object)
				FROM pgmaint.notifications n WHERE n.contact = t.object AND n.sent_at > t.last_seen LIMIT 1),
				CASE WHEN NOT EXISTS (SELECT FROM pgmaint.contacts c WHERE c.name = t.object)
					THEN format('contact %s no longer exists', t.object) END)
			-- noticed when tasks were planned: the same step was planned again completely
			WHEN t.action IS NOT NULL THEN
				(SELECT format('%s in run %s did not find the problem again', p.action, max(p.run_id))
				FROM planned p
				WHERE p.run_id > t.last_run AND p.role = t.role AND p.action = t.action
					AND (t.check_id = 'failed' OR p.options = coalesce(t.options, '{}') - 'settings')
				GROUP BY p.action)
			WHEN t.check_id IN ('failed', 'interrupted') THEN
				(SELECT format('run %s of plan %s has completed', e.run_id, e.plan)
				FROM ended e
				WHERE e.run_id > t.last_run AND e.plan = t.object)
			END AS resolution
		FROM pgmaint_internal.alert_records t
		WHERE t.resolved_at IS NULL
			-- findings that were added since note_alerts() are evaluated first
			AND t.check_id NOT IN (SELECT DISTINCT f.check_id FROM pgmaint.findings f
				WHERE f.alert_id IS NULL AND f.severity <> 'info'
					AND f.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i))
	) x
	WHERE x.alert_id = o.alert_id AND x.resolution IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint_internal.resolve_alerts() IS
	'Resolves alerts whose checks were repeated and found nothing, or whose object no longer exists, and records the reason.';

CREATE FUNCTION pgmaint_internal.weigh_alerts()
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH limits AS MATERIALIZED (
		SELECT
			pgmaint_internal.threshold('repeated_backup_failure', 'critical')::numeric AS backup_failures,
			pgmaint_internal.threshold('repeated_failure', 'critical')::numeric AS failures,
			pgmaint_internal.threshold('lasting_warning', 'critical')::interval AS lasting
	)
	UPDATE pgmaint_internal.alert_records o SET
		condition = x.condition,
		severe_since = CASE WHEN o.severity = 'critical' THEN o.severe_since ELSE clock_timestamp() END,
		severity = 'critical'
	FROM (
		SELECT t.alert_id, CASE
				WHEN t.check_id = 'degradation' THEN 'degradation after maintenance'
				WHEN t.action = 'check_corruption' AND t.severity = 'critical' THEN 'corruption'
				WHEN t.action IN ('verify_backup', 'restore_backup') AND (t.severity = 'critical' OR t.check_id = 'failed') THEN 'a restore failed'
				WHEN t.action = 'backup' AND t.check_id IN ('backup', 'failed')
					AND (t.severity = 'critical' OR t.occurrences >= l.backup_failures) THEN 'backups fail repeatedly'
				WHEN t.check_id = 'failed' AND t.occurrences >= l.failures THEN 'repeated failure'
				WHEN t.severity = 'warning' AND t.first_seen < clock_timestamp() - l.lasting
					AND NOT EXISTS (SELECT FROM pgmaint_internal.acknowledgements a WHERE a.alert_id = t.alert_id) THEN 'lasting warning'
			END AS condition
		FROM pgmaint_internal.alert_records t
		CROSS JOIN limits l
		WHERE t.resolved_at IS NULL AND t.condition IS NULL
	) x
	WHERE x.alert_id = o.alert_id AND x.condition IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint_internal.weigh_alerts() IS
	'Makes unresolved alerts critical that meet a condition of escalation, and records the condition.';

REVOKE ALL ON pgmaint_internal.alert_records, pgmaint_internal.acknowledgements FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pgmaint.acknowledge(bigint),
	pgmaint_internal.note_alerts(),
	pgmaint_internal.resolve_alerts(),
	pgmaint_internal.weigh_alerts()
FROM PUBLIC;
GRANT SELECT ON pgmaint_internal.alert_records, pgmaint_internal.acknowledgements TO pg_monitor;
