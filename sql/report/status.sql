-- Where things stand, on one screen, and what to do next.

-- The view reads the ledger and catalogs, so that it works on a standby and asks
-- pg_cron nothing.  Relations are read with the rights of its owner, but functions
-- are called with those of the reader: settings and sessions that the reader may not
-- see are not asked for.
CREATE VIEW pgmaint.status AS
WITH here AS MATERIALIZED (
	SELECT
		d.oid AS database,
		d.datname AS name,
		pg_catalog.clock_timestamp() AS now,
		pg_catalog.pg_is_in_recovery() AS standby,
		pg_catalog.current_setting('server_version_num')::integer / 10000 AS version,
		EXISTS (SELECT FROM pgmaint.runs) AS used,
		CASE WHEN pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')
			THEN pg_catalog.current_setting('shared_preload_libraries') ~ 'pg_cron' END AS with_cron
	FROM pg_catalog.pg_database d
	WHERE d.datname = pg_catalog.current_database()
),
own AS MATERIALIZED (
	SELECT o.identity, o.state, o.doubt FROM pgmaint_internal.own_identities o
),
limits AS MATERIALIZED (
	SELECT
		pg_catalog.max(t.value) FILTER (WHERE t.check_id = 'backup_recent' AND t.threshold = 'warning')::interval AS backup_old,
		pg_catalog.max(t.value) FILTER (WHERE t.check_id = 'backup_recent' AND t.threshold = 'critical')::interval AS backup_too_old,
		pg_catalog.max(t.value) FILTER (WHERE t.check_id = 'backup_verified' AND t.threshold = 'warning')::interval AS proof_old,
		pg_catalog.max(t.value) FILTER (WHERE t.check_id = 'bloat' AND t.threshold = 'warning')::numeric AS bloat_high,
		pg_catalog.max(t.value) FILTER (WHERE t.check_id = 'bloat' AND t.threshold = 'critical')::numeric AS bloat_too_high,
		pg_catalog.max(t.value) FILTER (WHERE t.check_id = 'bloat_measured' AND t.threshold = 'warning')::interval AS bloat_old,
		pg_catalog.max(t.value) FILTER (WHERE t.check_id = 'undelivered_messages' AND t.threshold = 'warning')::interval AS message_old
	FROM pgmaint.thresholds t
),
last_runs AS MATERIALIZED (
	SELECT l.*, pg_catalog.row_number() OVER (PARTITION BY l.is_plan ORDER BY l.bad DESC, l.run_id DESC) AS nth
	FROM (
		SELECT r.plan, r.run_id, r.state, r.started_at, r.finished_at, p.plan IS NOT NULL AS is_plan,
			-- an action by itself may never run again
			r.state IN ('failed', 'interrupted') AND (p.plan IS NOT NULL OR r.finished_at > h.now - '1 day'::interval) AS bad
		FROM (
			SELECT DISTINCT ON (x.plan) x.*
			FROM pgmaint.runs x
			WHERE x.finished_at IS NOT NULL
			ORDER BY x.plan, x.run_id DESC
		) r
		CROSS JOIN here h
		LEFT JOIN (
			SELECT d.plan FROM pgmaint.plan_definitions d
			UNION
			SELECT b.plan FROM pgmaint_internal.built_in_plans() b
		) p ON p.plan = r.plan
	) l
),
active AS MATERIALIZED (
	SELECT
		pg_catalog.count(*) FILTER (WHERE r.state = 'queued') AS queued,
		pg_catalog.min(r.requested_at) FILTER (WHERE r.state = 'queued') AS queued_since,
		pg_catalog.min(r.run_id) FILTER (WHERE r.state = 'running') AS run_id,
		-- the leaders of a primary are not seen on its standbys
		CASE WHEN h.standby OR NOT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') THEN true
			ELSE EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = h.database AND a.backend_type = 'pgmaint leader') END AS has_leader
	FROM here h
	LEFT JOIN pgmaint.runs r ON r.state IN ('queued', 'running')
	GROUP BY h.standby, h.database
),
schedules AS MATERIALIZED (
	SELECT
		s.plan,
		pgmaint.next_run(s.schedule) AS next,
		CASE WHEN s.plan <> 'tick' AND r.busy IS NOT TRUE THEN pgmaint.next_run(s.schedule, greatest(r.requested_at, s.scheduled_at)) END AS due
	FROM pgmaint_internal.plan_schedules s
	JOIN here h ON h.database = s.database
	-- runs have no index by plan: they are read once for all schedules
	LEFT JOIN (
		SELECT x.plan, pg_catalog.max(x.requested_at) AS requested_at, pg_catalog.bool_or(x.state IN ('queued', 'running')) AS busy
		FROM pgmaint.runs x
		GROUP BY x.plan
	) r ON r.plan = s.plan
),
scheduled AS MATERIALIZED (
	SELECT
		pg_catalog.count(DISTINCT s.plan) FILTER (WHERE s.plan <> 'tick') AS plans,
		pg_catalog.bool_or(s.plan = 'tick') AS tick,
		(pg_catalog.array_agg(pg_catalog."left"(s.plan, 60) ORDER BY s.next, s.plan) FILTER (WHERE s.plan <> 'tick'))[1] AS next_plan,
		pg_catalog.min(s.next) FILTER (WHERE s.plan <> 'tick') AS next,
		pg_catalog.string_agg(pg_catalog.format('%s since %s', pg_catalog."left"(s.plan, 60), pg_catalog.to_char(s.due AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC')), ', ' ORDER BY s.due)
			-- as for findings: pg_cron does one thing after the other
			FILTER (WHERE s.due < h.now - '10 minutes'::interval) AS late,
		(SELECT pg_catalog.string_agg(b.plan, ', ') FROM (
				SELECT x.plan FROM pgmaint_internal.built_in_plans() x UNION ALL SELECT 'tick') b
			WHERE b.plan NOT IN (SELECT y.plan FROM schedules y)) AS missing
	FROM here h
	LEFT JOIN schedules s ON true
),
alerts AS MATERIALIZED (
	SELECT a.severity, a.acknowledged, a.name,
		pg_catalog.row_number() OVER (PARTITION BY a.severity ORDER BY a.acknowledged, a.last_seen DESC, a.alert_id) AS nth
	FROM (
		SELECT t.alert_id, t.severity, t.last_seen, pg_catalog.concat_ws(' ', t.check_id, pg_catalog."left"(t.object, 60)) AS name,
			EXISTS (SELECT FROM pgmaint_internal.acknowledgements k
				WHERE k.alert_id = t.alert_id AND (k.severity = 'critical' OR t.severity = 'warning')) AS acknowledged
		FROM pgmaint_internal.alert_records t
		WHERE t.resolved_at IS NULL
	) a
),
contacts AS MATERIALIZED (
	SELECT
		(SELECT pg_catalog.count(*) FROM pgmaint.contacts c WHERE c.identity IN (SELECT o.identity FROM own o)) AS contacts,
		(SELECT pg_catalog.count(*) FROM pgmaint.notifications n JOIN pgmaint.contacts c ON c.name = n.contact
			WHERE n.state IN ('pending', 'failed') AND h.now - n.created_at > l.message_old) AS unsent,
		(SELECT pg_catalog.count(*) FROM pgmaint_internal.suspended_contacts s) AS suspended
	FROM here h
	CROSS JOIN limits l
),
backups AS MATERIALIZED (
	SELECT b.*
	FROM pgmaint_internal.backup_records b
	JOIN here h ON h.name = b.database
	WHERE b.kind = 'database' AND b.identity IN (SELECT o.identity FROM own o)
),
newest_backup AS MATERIALIZED (
	SELECT b.backup_id, b.storage, b.bytes, b.started_at, b.selection, c.kept, c.first_ever
	FROM backups b
	CROSS JOIN (
		SELECT pg_catalog.count(*) FILTER (WHERE x.state = 'succeeded') AS kept, pg_catalog.min(x.started_at) AS first_ever FROM backups x
	) c
	WHERE b.state = 'succeeded'
	-- what holds a part counts only where nothing holds all
	ORDER BY b.selection IS NOT NULL, b.started_at DESC
	LIMIT 1
),
failed_backup AS MATERIALIZED (
	SELECT b.started_at, b.error
	FROM backups b
	WHERE b.state = 'failed' AND b.started_at > coalesce((SELECT pg_catalog.max(x.started_at) FROM backups x WHERE x.state <> 'failed'), '-infinity')
	ORDER BY b.started_at DESC
	LIMIT 1
),
proof AS MATERIALIZED (
	SELECT
		pg_catalog.max(b.verified_at) AS verified_at,
		(pg_catalog.array_agg(b.backup_id ORDER BY b.verified_at DESC NULLS LAST))[1] AS backup_id,
		(pg_catalog.array_agg(b.restore_duration ORDER BY b.verified_at DESC NULLS LAST))[1] AS took,
		(pg_catalog.array_agg(b.backup_id ORDER BY b.started_at DESC) FILTER (WHERE b.state = 'succeeded' AND b.verification = 'not restorable'))[1] AS bad_backup,
		pg_catalog.max(b.started_at) FILTER (WHERE b.state = 'succeeded' AND b.verification = 'not restorable')
			> coalesce(pg_catalog.max(b.started_at) FILTER (WHERE b.state = 'succeeded' AND b.verification = 'restorable'), '-infinity') AS bad
	FROM backups b
),
storages AS MATERIALIZED (
	SELECT
		(SELECT pg_catalog.count(*) FROM pg_catalog.pg_foreign_server s
			JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'pgmaint_storage'
			WHERE s.srvname <> 'pgmaint_local') AS storages,
		(SELECT pg_catalog.string_agg(pg_catalog.format('%s: %s', pg_catalog.quote_ident(c.storage),
				CASE WHEN c.missing + c.differing > 0 THEN c.missing + c.differing || ' objects are missing or differ' ELSE 'not compared with the ledger' END), ', ' ORDER BY c.storage)
			FROM pgmaint.storage_checks c WHERE c.missing + c.differing > 0 OR c.error IS NOT NULL) AS faults,
		EXISTS (SELECT FROM pgmaint.storage_checks c WHERE c.missing + c.differing > 0) AS lost
),
archives AS MATERIALIZED (
	SELECT
		pg_catalog.count(*) AS archives,
		pg_catalog.sum(a.bytes) AS bytes,
		pg_catalog.max(a.created_at) AS newest,
		pg_catalog.count(*) FILTER (WHERE a.check_result = 'damaged') AS damaged
	FROM pgmaint.archives a
),
policies AS MATERIALIZED (
	SELECT
		pg_catalog.count(*) AS policies,
		pg_catalog.count(*) FILTER (WHERE x.suspended) AS suspended,
		pg_catalog.string_agg(pg_catalog.format('%s (%s)', x.policy_id, x.name), ', ' ORDER BY x.policy_id) FILTER (WHERE x.suspended AND x.nth_of_kind <= 3) AS named
	FROM (
		SELECT p.policy_id, p.suspended, p.name, pg_catalog.row_number() OVER (PARTITION BY p.suspended ORDER BY p.policy_id) AS nth_of_kind
		FROM (
			SELECT r.policy_id,
				c.oid IS NULL OR a.attname IS NULL OR o.rolname IS DISTINCT FROM r.owner AS suspended,
				CASE WHEN c.oid IS NULL THEN 'the table was dropped' ELSE pg_catalog.format('%I.%I', n.nspname, c.relname) END AS name
			FROM pgmaint.retention_policies r
			LEFT JOIN pg_catalog.pg_class c ON c.oid = r.relation
			LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			LEFT JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
			LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = r.time_column AND NOT a.attisdropped
		) p
	) x
),
bloat AS MATERIALIZED (
	SELECT
		pg_catalog.count(*) AS objects,
		pg_catalog.sum(m.bloat_bytes)::bigint AS bloat_bytes,
		pg_catalog.sum(m.total_bytes)::bigint AS total_bytes,
		pg_catalog.sum(m.bloat_bytes) / nullif(pg_catalog.sum(m.total_bytes), 0) AS ratio,
		pg_catalog.max(m.measured_at) AS measured_at,
		(pg_catalog.array_agg(m.relation ORDER BY m.bloat_bytes DESC, m.relation) FILTER (WHERE m.kind = 'table' AND m.bloat_bytes > 0))[1] AS worst,
		pg_catalog.max(m.bloat_bytes) FILTER (WHERE m.kind = 'table') AS worst_bytes,
		(pg_catalog.array_agg(m.total_bytes ORDER BY m.bloat_bytes DESC, m.relation) FILTER (WHERE m.kind = 'table'))[1] AS worst_total,
		-- the action leaves out what is small, so that a small database has no figures
		(SELECT pg_catalog.max(x.finished_at) FROM pgmaint.runs x
			WHERE x.state = 'succeeded' AND x.steps @> '[{"action": "bloat_report"}]') AS reported_at
	FROM pgmaint_internal.latest_bloat m
),
validation AS MATERIALIZED (
	SELECT
		pg_catalog.count(*) AS checks,
		pg_catalog.min(v.validated_at) AS validated_at,
		pg_catalog.count(*) FILTER (WHERE v.status = 'critical') AS critical,
		pg_catalog.count(*) FILTER (WHERE v.status = 'warning') AS warning,
		pg_catalog.string_agg(v.check_id, ', ' ORDER BY v.status, v.check_id) FILTER (WHERE v.status <> 'ok' AND v.nth <= 5) AS named
	FROM (
		SELECT l.*, pg_catalog.row_number() OVER (ORDER BY pg_catalog.array_position(ARRAY['critical', 'warning', 'ok'], l.status), l.check_id) AS nth
		FROM pgmaint_internal.last_validation l
		WHERE l.identity = (SELECT o.identity FROM own o WHERE o.state = 'current')
	) v
),
-- the first row of a database that was never maintained is the first to act on
items (part, nth, topic, item, status, detail, next_step, first_steps) AS (
	SELECT 0, 1::bigint, 'monitoring'::text, 'server'::text, 'info'::text,
		'this server is a standby: execute commands that change anything on its primary'::text, ''::text, NULL::integer
	FROM here h
	WHERE h.standby
	UNION ALL
	SELECT 1, 1, 'plans', 'runs', 'info', 'no plan has run in this database', 'SELECT pgmaint.run(''weekly'');', 1
	FROM here h
	WHERE NOT h.used
	UNION ALL
	SELECT 1, 1, 'plans', 'runs',
		CASE WHEN a.run_id IS NOT NULL AND NOT a.has_leader OR a.run_id IS NULL AND a.queued_since < h.now - '10 minutes'::interval THEN 'warning' ELSE 'ok' END,
		coalesce(nullif(pg_catalog.concat_ws('; ',
			(SELECT pg_catalog.format('run %s (%s) is running: step %s of %s', r.run_id, pg_catalog."left"(r.plan, 60), r.current_step, pg_catalog.jsonb_array_length(r.steps))
				|| CASE WHEN a.has_leader THEN '' ELSE ', but no leader is working on it' END
			FROM pgmaint.runs r WHERE r.run_id = a.run_id),
			CASE WHEN a.queued > 0 THEN pg_catalog.format('%s queued since %s', CASE WHEN a.queued = 1 THEN '1 run is' ELSE a.queued || ' runs are' END,
				pg_catalog.to_char(a.queued_since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC')) END), ''), 'no run is queued or running'),
		CASE
			WHEN a.run_id IS NOT NULL AND a.has_leader THEN 'SELECT * FROM pgmaint.progress;'
			WHEN a.run_id IS NOT NULL OR a.queued > 0 THEN 'SELECT pgmaint.tick();'
			ELSE '' END, NULL
	FROM active a
	CROSS JOIN here h
	WHERE h.used
	UNION ALL
	SELECT 1, 1 + r.nth, 'plans', r.plan,
		CASE WHEN r.bad THEN 'warning' WHEN r.state = 'succeeded' THEN 'ok' ELSE 'info' END,
		pg_catalog.concat(pg_catalog.format('run %s %s at %s', r.run_id,
				CASE r.state WHEN 'cancelled' THEN 'was cancelled' WHEN 'interrupted' THEN 'was interrupted' ELSE r.state END,
				pg_catalog.to_char(r.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC')),
			-- the difference has days, which HH24 leaves out
			' after ' || pg_catalog.to_char(pg_catalog.make_interval(secs => pg_catalog.date_part('epoch', r.finished_at - r.started_at)), 'HH24:MI:SS'),
			'; tasks: ' || nullif(pg_catalog.concat_ws(', ', nullif(t.succeeded, 0) || ' succeeded', nullif(t.failed, 0) || ' failed',
				nullif(t.stopped, 0) || ' stopped', nullif(t.skipped, 0) || ' skipped'), ''),
			'; findings: ' || nullif(pg_catalog.concat_ws(', ', nullif(f.critical, 0) || ' critical', nullif(f.warning, 0) || CASE f.warning WHEN 1 THEN ' warning' ELSE ' warnings' END,
				nullif(f.info, 0) || ' info'), '')),
		CASE WHEN r.bad OR f.critical > 0 THEN pg_catalog.format('SELECT pgmaint.report(%s);', r.run_id) ELSE '' END, NULL
	-- the limit tells the planner that these are few, or it would have the view compiled
	FROM (SELECT l.* FROM last_runs l WHERE l.is_plan AND l.nth <= 5 LIMIT 5) r
	CROSS JOIN LATERAL (
		SELECT
			pg_catalog.count(*) FILTER (WHERE x.state = 'succeeded') AS succeeded,
			pg_catalog.count(*) FILTER (WHERE x.state = 'failed') AS failed,
			pg_catalog.count(*) FILTER (WHERE x.state IN ('cancelled', 'interrupted')) AS stopped,
			pg_catalog.count(*) FILTER (WHERE x.state = 'skipped') AS skipped
		FROM pgmaint.tasks x
		WHERE x.run_id = r.run_id
	) t
	CROSS JOIN LATERAL (
		SELECT
			pg_catalog.count(*) FILTER (WHERE x.severity = 'critical') AS critical,
			pg_catalog.count(*) FILTER (WHERE x.severity = 'warning') AS warning,
			pg_catalog.count(*) FILTER (WHERE x.severity = 'info') AS info
		FROM pgmaint.findings x
		-- as in the report, whose tasks say what was not done
		WHERE x.run_id = r.run_id AND x.check_id NOT IN ('skipped', 'failed')
	) f
	UNION ALL
	SELECT 1, 9, 'plans', 'others', CASE WHEN pg_catalog.bool_or(r.bad) THEN 'warning' ELSE 'info' END,
		pg_catalog.format('last runs of %s: %s', pg_catalog.concat_ws(' and ',
				nullif(pg_catalog.count(*) FILTER (WHERE r.is_plan), 0) || ' other plans', nullif(pg_catalog.count(*) FILTER (WHERE NOT r.is_plan), 0) || ' single actions'),
			CASE WHEN pg_catalog.bool_or(r.bad) THEN pg_catalog.count(*) FILTER (WHERE r.bad) || ' did not succeed: '
				|| pg_catalog.string_agg(pg_catalog."left"(r.plan, 60), ', ' ORDER BY r.run_id DESC) FILTER (WHERE r.bad AND r.nth <= 8)
				ELSE 'none failed within a day' END),
		coalesce('SELECT pgmaint.report(' || pg_catalog.max(r.run_id) FILTER (WHERE r.bad) || ');', ''), NULL
	FROM last_runs r
	WHERE NOT r.is_plan OR r.nth > 5
	HAVING pg_catalog.count(*) > 0
	UNION ALL
	SELECT 2, 1, 'schedules', 'next', CASE WHEN s.plans = 0 OR NOT h.with_cron THEN 'warning' ELSE 'ok' END,
		pg_catalog.concat_ws('; ',
			CASE WHEN s.plans = 0 THEN 'no plan is scheduled'
				ELSE pg_catalog.concat(s.next_plan || ' at ' || pg_catalog.to_char(s.next AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC') || '; ',
					'scheduled: ', CASE s.plans WHEN 1 THEN '1 plan' ELSE s.plans || ' plans' END, CASE WHEN s.tick THEN ' and tick' END) END,
			CASE
				WHEN h.with_cron IS NULL THEN 'members of pg_read_all_settings see whether pg_cron is loaded'
				WHEN NOT h.with_cron THEN pg_catalog.format('pg_cron is not loaded; Debian''s package: postgresql-%s-cron', h.version)
			END),
		CASE WHEN s.plans = 0 THEN 'SELECT * FROM pgmaint.schedule_all();' ELSE '' END, 2
	FROM scheduled s
	CROSS JOIN here h
	UNION ALL
	SELECT 2, 2, 'schedules', 'late', 'warning', 'due but not begun: ' || s.late, 'SELECT * FROM pgmaint.schedules;', NULL
	FROM scheduled s
	WHERE s.late IS NOT NULL
	UNION ALL
	SELECT 2, 3, 'schedules', 'missing', 'info', 'not scheduled: ' || s.missing, 'SELECT * FROM pgmaint.schedule_all();', NULL
	FROM scheduled s
	WHERE s.plans > 0 AND s.missing IS NOT NULL
	UNION ALL
	SELECT 3, CASE a.severity WHEN 'critical' THEN 1 ELSE 2 END, 'alerts', a.severity, CASE WHEN pg_catalog.bool_and(a.acknowledged) THEN 'info' ELSE a.severity END,
		pg_catalog.concat(CASE pg_catalog.count(*) WHEN 1 THEN '1 alert' ELSE pg_catalog.count(*) || ' alerts' END,
			', of which ' || nullif(pg_catalog.count(*) FILTER (WHERE a.acknowledged), 0) || ' acknowledged',
			': ', pg_catalog.string_agg(a.name, '; ' ORDER BY a.nth) FILTER (WHERE a.nth <= 3), CASE WHEN pg_catalog.count(*) > 3 THEN '; ...' END),
		'SELECT * FROM pgmaint.alerts;', NULL
	FROM alerts a
	GROUP BY a.severity
	UNION ALL
	SELECT 3, 1, 'alerts', 'alerts', 'ok', 'no alert is unresolved', '', NULL
	WHERE NOT EXISTS (SELECT FROM alerts)
	UNION ALL
	SELECT 3, 3, 'alerts', 'contacts', CASE WHEN c.unsent > 0 THEN 'warning' WHEN c.contacts = 0 THEN 'info' ELSE 'ok' END,
		pg_catalog.concat_ws('; ', CASE c.contacts WHEN 0 THEN 'no contacts defined' WHEN 1 THEN '1 contact is notified of alerts' ELSE c.contacts || ' contacts are notified of alerts' END,
			'messages not delivered: ' || nullif(c.unsent, 0)),
		CASE WHEN c.unsent > 0 THEN 'SELECT * FROM pgmaint.notifications;' WHEN c.contacts = 0 THEN 'SELECT pgmaint.add_contact(''oncall'', ''notify:oncall'');' ELSE '' END, NULL
	FROM contacts c
	UNION ALL
	SELECT 4, 1, 'backups', 'newest',
		CASE
			WHEN b.backup_id IS NULL OR h.now - b.started_at > l.backup_too_old THEN 'critical'
			WHEN b.selection IS NOT NULL OR h.now - b.started_at > l.backup_old OR f.started_at IS NOT NULL THEN 'warning'
			ELSE 'ok' END,
		pg_catalog.concat_ws('; ',
			CASE WHEN b.backup_id IS NULL THEN 'there is no backup of this database'
				ELSE pg_catalog.format('backup %s of %s, %s, in storage %s; %s kept', b.backup_id, pg_catalog.to_char(b.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC'),
					pg_catalog.pg_size_pretty(b.bytes), pg_catalog.quote_ident(b.storage), b.kept) END,
			CASE WHEN b.selection IS NOT NULL THEN 'the backup has only a part of the database' END,
			'the last attempt failed: ' || pg_catalog."left"(f.error, 100)),
		CASE WHEN b.backup_id IS NULL OR b.selection IS NOT NULL OR f.started_at IS NOT NULL OR h.now - b.started_at > least(l.backup_old, l.backup_too_old)
			THEN 'SELECT pgmaint.run_action(''backup'');' ELSE '' END, 4
	FROM here h
	CROSS JOIN limits l
	LEFT JOIN newest_backup b ON true
	LEFT JOIN failed_backup f ON true
	UNION ALL
	SELECT 4, 2, 'backups', 'proven',
		CASE WHEN p.bad THEN 'critical' WHEN h.now - coalesce(p.verified_at, b.first_ever) > l.proof_old THEN 'warning' WHEN p.verified_at IS NULL THEN 'info' ELSE 'ok' END,
		CASE
			WHEN p.bad THEN pg_catalog.format('backup %s could not be restored', p.bad_backup)
			WHEN p.verified_at IS NULL THEN 'no backup of this database was restored to prove it'
			ELSE pg_catalog.format('backup %s was restored at %s', p.backup_id, pg_catalog.to_char(p.verified_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC'))
				|| coalesce(' in ' || pg_catalog.to_char(p.took, 'HH24:MI:SS'), '') END,
		CASE WHEN p.bad THEN 'SELECT * FROM pgmaint.backups;'
			WHEN p.verified_at IS NULL OR h.now - p.verified_at > l.proof_old THEN 'SELECT pgmaint.run_action(''verify_backup'');' ELSE '' END, 5
	FROM newest_backup b
	CROSS JOIN proof p
	CROSS JOIN limits l
	CROSS JOIN here h
	UNION ALL
	SELECT 4, 3, 'storage', 'storages',
		CASE WHEN s.lost THEN 'critical' WHEN s.faults IS NOT NULL THEN 'warning' WHEN s.storages = 0 THEN 'info' ELSE 'ok' END,
		coalesce(s.faults, CASE s.storages WHEN 0 THEN 'pgmaint_local, on the disk of this server, is the only storage'
			WHEN 1 THEN '1 storage, and pgmaint_local' ELSE s.storages || ' storages, and pgmaint_local' END),
		CASE WHEN s.faults IS NOT NULL THEN 'SELECT * FROM pgmaint.storage_checks;'
			WHEN s.storages = 0 THEN 'CREATE SERVER archives FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url ''file:///mnt/archives'');' ELSE '' END, 3
	FROM storages s
	UNION ALL
	SELECT 5, 1, 'retention', 'policies', CASE WHEN p.suspended > 0 THEN 'warning' WHEN p.policies = 0 THEN 'info' ELSE 'ok' END,
		pg_catalog.concat(CASE p.policies WHEN 0 THEN 'no retention policies' WHEN 1 THEN '1 policy' ELSE p.policies || ' policies' END,
			CASE WHEN p.suspended > 0 THEN pg_catalog.format('; %s suspended, because the table has changed: %s', p.suspended, p.named) END,
			CASE WHEN p.suspended > 3 THEN ', ...' END),
		CASE WHEN p.suspended > 0 THEN 'SELECT * FROM pgmaint.retention_policies;' ELSE '' END, NULL
	FROM policies p
	UNION ALL
	SELECT 5, 2, 'retention', 'archives', CASE WHEN a.damaged > 0 THEN 'critical' ELSE 'ok' END,
		pg_catalog.format('%s, %s, the newest of %s', CASE a.archives WHEN 1 THEN '1 archive' ELSE pgmaint.count_text(a.archives) || ' archives' END,
			pg_catalog.pg_size_pretty(a.bytes), pg_catalog.to_char(a.newest AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC'))
			|| CASE WHEN a.damaged > 0 THEN '; damaged: ' || a.damaged ELSE '' END,
		CASE WHEN a.damaged > 0 THEN 'SELECT * FROM pgmaint.archives WHERE check_result = ''damaged'';' ELSE '' END, NULL
	FROM archives a
	WHERE a.archives > 0
	UNION ALL
	SELECT 6, 1, 'bloat', 'bloat',
		CASE
			WHEN b.objects = 0 AND b.reported_at IS NULL THEN 'info'
			WHEN b.ratio >= l.bloat_too_high THEN 'critical'
			WHEN b.ratio >= l.bloat_high OR h.now - greatest(b.measured_at, b.reported_at) > l.bloat_old THEN 'warning'
			ELSE 'ok' END,
		CASE WHEN b.objects = 0 THEN 'no table or index was measured'
				|| coalesce('; bloat_report, which leaves out small ones, last ran at ' || pg_catalog.to_char(b.reported_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC'), '')
			ELSE pg_catalog.concat(pg_catalog.format('%s of %s (%s %%) at %s', pg_catalog.pg_size_pretty(b.bloat_bytes), pg_catalog.pg_size_pretty(b.total_bytes),
					pg_catalog.round(100 * b.ratio), pg_catalog.to_char(b.measured_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC')),
				(SELECT pg_catalog.format('; most in table %s: %s of %s', pg_catalog.format('%I.%I', n.nspname, c.relname),
					pg_catalog.pg_size_pretty(b.worst_bytes), pg_catalog.pg_size_pretty(b.worst_total))
				FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = b.worst)) END,
		CASE
			WHEN coalesce(h.now - greatest(b.measured_at, b.reported_at) > l.bloat_old, true) THEN 'SELECT pgmaint.run_action(''bloat_report'');'
			WHEN b.ratio >= least(l.bloat_high, l.bloat_too_high) THEN 'SELECT * FROM pgmaint.table_bloat();'
			ELSE '' END, NULL
	FROM bloat b
	CROSS JOIN limits l
	CROSS JOIN here h
	UNION ALL
	SELECT 7, 1, 'monitoring', 'validate',
		CASE WHEN v.checks = 0 THEN 'info' WHEN v.critical > 0 THEN 'critical' WHEN v.warning > 0 OR v.validated_at < h.now - '8 days'::interval THEN 'warning' ELSE 'ok' END,
		CASE WHEN v.checks = 0 THEN 'the action validate has not run'
			ELSE pg_catalog.concat(pg_catalog.format('%s checks at %s: ', v.checks, pg_catalog.to_char(v.validated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC')),
				pg_catalog.concat_ws(', ', nullif(v.critical, 0) || ' critical', nullif(v.warning, 0) || CASE v.warning WHEN 1 THEN ' warning' ELSE ' warnings' END,
					v.checks - v.critical - v.warning || ' ok'),
				': ' || v.named || CASE WHEN v.critical + v.warning > 5 THEN ', ...' ELSE '' END,
				CASE WHEN v.validated_at < h.now - '8 days'::interval THEN '; more than 8 days old' END) END,
		CASE WHEN v.checks = 0 OR v.validated_at < h.now - '8 days'::interval THEN 'SELECT pgmaint.run_action(''validate'');'
			WHEN v.critical + v.warning > 0 THEN 'SELECT * FROM pgmaint.validate();' ELSE '' END, NULL
	FROM validation v
	CROSS JOIN here h
	UNION ALL
	SELECT 7, 2, 'monitoring', 'identity', CASE WHEN o.doubt IS NULL AND c.suspended = 0 THEN 'ok' ELSE 'warning' END,
		CASE
			WHEN o.doubt IS NOT NULL THEN 'this database may be a copy: pgmaint.take_over() or pgmaint.stay_copy() decides'
			WHEN c.suspended > 0 THEN pg_catalog.format('%s of another database %s suspended: pgmaint.take_over() or pgmaint.stay_copy() decides',
				CASE c.suspended WHEN 1 THEN '1 contact' ELSE c.suspended || ' contacts' END, CASE c.suspended WHEN 1 THEN 'is' ELSE 'are' END)
			ELSE 'no sign of a copy' END,
		CASE WHEN o.doubt IS NULL AND c.suspended = 0 THEN '' ELSE 'SELECT * FROM pgmaint.identities;' END, NULL
	FROM contacts c
	LEFT JOIN own o ON o.state = 'current'
),
steps AS (
	SELECT s.next_step, s.status, s.reason, pg_catalog.row_number() OVER (ORDER BY s.pressing, s.part, s.nth) AS nth
	FROM (
		SELECT DISTINCT ON (i.next_step) i.next_step, i.status, pg_catalog.concat(i.topic, ', ' || nullif(pg_catalog."left"(i.item, 60), i.topic), ': ',
				CASE WHEN pg_catalog.length(i.detail) > 160 THEN pg_catalog."left"(i.detail, 160) || '...' ELSE i.detail END) AS reason, i.part, i.nth, p.pressing
		FROM items i
		CROSS JOIN here h
		CROSS JOIN LATERAL (
			SELECT CASE WHEN NOT h.used THEN i.first_steps END AS first
		) f
		CROSS JOIN LATERAL (
			-- a command that mends something comes before one that only lists what is wrong
			SELECT coalesce(f.first, CASE i.status WHEN 'critical' THEN 10 WHEN 'warning' THEN 20 ELSE 30 END
				+ CASE WHEN i.topic = 'alerts' OR i.item = 'validate' THEN 1 ELSE 0 END) AS pressing
		) p
		WHERE i.next_step <> '' AND (i.status <> 'ok')
		ORDER BY i.next_step, p.pressing, i.part, i.nth
	) s
)
-- names may hold lines of their own, and be as long as a page
SELECT r.topic, pgmaint.one_line(pg_catalog."left"(r.item, 60)) AS item, r.status,
	pgmaint.one_line(CASE WHEN pg_catalog.length(r.detail) > 1000 THEN pg_catalog."left"(r.detail, 1000) || '...' ELSE r.detail END) AS detail, r.next_step
FROM (
	SELECT i.part, i.nth, i.topic, i.item, i.status, i.detail, i.next_step
	FROM items i
	UNION ALL
	SELECT 9, s.nth, 'next', s.nth::text, s.status, s.reason, s.next_step
	FROM steps s
	WHERE s.nth <= 3
	UNION ALL
	SELECT 9, 1, 'next', '', 'ok', 'nothing to do', ''
	WHERE NOT EXISTS (SELECT FROM steps)
) r
ORDER BY r.part, r.nth;

COMMENT ON VIEW pgmaint.status IS
	'where this database stands, on one screen, and what to do next: last runs, schedules, alerts, backups, storages, retention, bloat, the last validation; times are UTC';
COMMENT ON COLUMN pgmaint.status.topic IS 'what the row is about, as a chapter of the documentation is named; next: what to do next, the most pressing first';
COMMENT ON COLUMN pgmaint.status.item IS 'the part of the topic, such as a plan or the newest backup; the number of the step where topic is next';
COMMENT ON COLUMN pgmaint.status.status IS 'ok, warning, critical, by the limits in pgmaint.thresholds; info: nothing to judge, or not configured';
COMMENT ON COLUMN pgmaint.status.detail IS 'what was found, in words';
COMMENT ON COLUMN pgmaint.status.next_step IS 'the command to type next; empty: none is needed';

REVOKE ALL ON pgmaint.status FROM PUBLIC;
GRANT SELECT ON pgmaint.status TO pg_monitor;
