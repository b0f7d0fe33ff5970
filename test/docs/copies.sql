CREATE SERVER backups FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://my-bucket/copies');
SELECT pgmaint.run_action('backup', '{"storage": "backups"}');
