-- The plans that come with pgmaint.

CREATE FUNCTION pgmaint.built_in_plans()
RETURNS TABLE (plan text, steps jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	VALUES
		('weekly'::text, '["bloat_report", "retention", "vacuum", "vacuum_full", "analyze"]'::jsonb),
		('monthly', '["retention", "reindex", "check_corruption", "vacuum", "analyze"]');
END;

COMMENT ON FUNCTION pgmaint.built_in_plans() IS 'the plans that come with pgmaint';

REVOKE ALL ON FUNCTION pgmaint.built_in_plans() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.built_in_plans() TO pg_monitor;
