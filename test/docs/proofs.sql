-- a storage with a backup, which has the number 17
CREATE SERVER backups FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://my-bucket/proofs');
CREATE EXTENSION amcheck;
SELECT setval('pgmaint_internal.backup_records_backup_id_seq', 16);
SELECT pgmaint.run_action('backup', '{"storage": "backups", "globals": false}');
