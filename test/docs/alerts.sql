-- the first alert has the number 17
SELECT setval('pgmaint.findings_finding_id_seq', 16);
SELECT pgmaint.run_action('validate');
