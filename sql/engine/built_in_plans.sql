-- The plans that come with pgmaint.

CREATE FUNCTION pgmaint_internal.built_in_plans()
RETURNS TABLE (plan text, steps jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 5
BEGIN ATOMIC
	VALUES
		('daily'::text, '["backup", "expire_backups", "validate", "escalate"]'::jsonb),
		('weekly', '["bloat_report", "retention", "vacuum", {"action": "compact", "options": {"compact": false}}, "vacuum_full", "analyze", "validate", "escalate"]'),
		('monthly', '["retention", "reindex", "check_corruption", "verify_backup", "vacuum", "analyze", "validate", "escalate"]'),
		('quarterly', '["review_queries", "index_advice", "index_usage", "connection_review", "validate", "escalate"]');
END;

COMMENT ON FUNCTION pgmaint_internal.built_in_plans() IS 'the plans that come with pgmaint';

REVOKE ALL ON FUNCTION pgmaint_internal.built_in_plans() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.built_in_plans() TO pg_monitor;
