-- What that database had besides when it was backed up: a view, and rights, on what
-- no user is to read from 0.3 on.

CREATE VIEW public.bloat AS SELECT m.relation, m.bloat_bytes FROM pgmaint.bloat_measurements m;
GRANT SELECT ON pgmaint.bloat_measurements, pgmaint.storage_names TO readers;
GRANT EXECUTE ON FUNCTION pgmaint.threshold(text, text) TO readers;
CREATE VIEW public.open_escalations AS SELECT * FROM pgmaint.escalations;

SELECT pgmaint.run_action('backup', '{"databases": "shop", "globals": false, "key": "backups/{time}", "compression_level": 9}') AS run \gset
CALL pgmaint.run_and_wait('weekly');
SELECT state FROM pgmaint.runs WHERE run_id = :run;
