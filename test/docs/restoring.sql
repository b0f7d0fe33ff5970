-- a storage with backups: 17 is that of the database, by itself, since dumps of one
-- run get their numbers in any order
CREATE SERVER backups FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://my-bucket/prod');
SELECT setval('pgmaint_internal.backup_records_backup_id_seq', 16);
SELECT pgmaint.run_action('backup', '{"storage": "backups", "globals": false}');
SELECT pgmaint.run_action('backup', '{"storage": "backups"}');
-- a database of which nothing but its backups is left
CREATE DATABASE crm;
\c crm
CREATE EXTENSION pgmaint;
CREATE SERVER crm_backups FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://my-bucket/crm');
CALL pgmaint.run_and_wait('daily', '{"storage": "crm_backups"}');
\c postgres
DROP DATABASE crm WITH (FORCE);
