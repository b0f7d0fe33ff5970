-- What several reports have of a run or of the ledger.

-- A function in SQL cannot raise an error by itself.
CREATE FUNCTION pgmaint_internal.refuse_unknown_run(run_id bigint)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION 'run % does not exist', run_id
		USING ERRCODE = 'undefined_object',
			HINT = 'To list the runs: SELECT run_id, plan, state, requested_at FROM pgmaint.runs.';
END
$$;

COMMENT ON FUNCTION pgmaint_internal.refuse_unknown_run(bigint) IS 'raises the error of a report on a run that does not exist';

-- Policies with their archives, and archives of policies that were dropped.  The rows
-- of an adopted archive are what its manifest says, so that a sum may be any number.
CREATE FUNCTION pgmaint_internal.archived_by_policy()
RETURNS TABLE (
	policy_id bigint,
	in_force boolean,
	relation text,
	keep interval,
	archive boolean,
	storages text[],
	objects bigint,
	rows numeric,
	bytes numeric,
	range_from timestamptz,
	range_to timestamptz
)
LANGUAGE sql STABLE ROWS 50
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT
		coalesce(p.policy_id, a.policy_id),
		p.policy_id IS NOT NULL,
		coalesce(p.relation::text, a.relation),
		p.keep,
		coalesce(p.archive, true),
		coalesce(a.storages, array_remove(ARRAY[p.storage::text], NULL)),
		a.objects,
		a.rows,
		a.bytes,
		a.range_from,
		a.range_to
	FROM pgmaint.retention_policies p
	FULL JOIN (
		SELECT
			x.policy_id,
			max(x.relation) AS relation,
			array_agg(DISTINCT x.storage::text) AS storages,
			count(*) AS objects,
			sum(x.rows) AS rows,
			sum(x.bytes) AS bytes,
			min(x.range_from) AS range_from,
			max(x.range_to) AS range_to
		FROM pgmaint.archives x
		GROUP BY x.policy_id
	) a ON a.policy_id = p.policy_id;
END;

COMMENT ON FUNCTION pgmaint_internal.archived_by_policy() IS 'each retention policy with the sums of its archives (null: none), and those of policies that were dropped';

REVOKE ALL ON FUNCTION pgmaint_internal.refuse_unknown_run(bigint), pgmaint_internal.archived_by_policy() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint_internal.refuse_unknown_run(bigint), pgmaint_internal.archived_by_policy() TO pg_monitor;

