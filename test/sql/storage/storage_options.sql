--
-- What a storage may be, and what is said about what it may not be
--
SET client_min_messages = warning;
CREATE ROLE pgmaint_regress_storage LOGIN;

-- what comes with the extension
SELECT s.srvname, w.fdwname, s.srvoptions,
	(SELECT count(*) FROM aclexplode(s.srvacl) a WHERE a.grantee <> s.srvowner) AS others,
	(SELECT count(*) FROM aclexplode(w.fdwacl) a WHERE a.grantee <> w.fdwowner) AS others_of_wrapper FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
	WHERE w.fdwname = 'pgmaint_storage';

-- storages as they may be
CREATE SERVER regress_a FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bucket');
CREATE SERVER regress_b FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://my.bucket-1/a/prefix/', region 'eu-central-1', endpoint 'https://[::1]:9000',
	addressing 'virtual', ca_file '/etc/ssl/own.pem', encryption 'aws:kms', kms_key_id 'arn:aws:kms:eu-central-1:1234:key/5678', storage_class 'STANDARD_IA',
	profile 'a profile', part_size '16MB', parallel '8', connect_timeout '1min', stall_timeout '20', retries '0');
CREATE SERVER regress_c FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file:///var/backups/');
CREATE SERVER regress_d FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file:/var/backups/a b@c');
CREATE SERVER regress_e FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 'file:archives/here');
CREATE USER MAPPING FOR CURRENT_USER SERVER regress_a OPTIONS (access_key_id 'AKIA', secret_access_key 'not+for/everybody=');
CREATE USER MAPPING FOR PUBLIC SERVER regress_a OPTIONS (access_key_id 'AKIA', secret_access_key 'not+for/everybody=', session_token 'neither/this');
CREATE USER MAPPING FOR PUBLIC SERVER regress_b;

-- options that there are not
\set wrapper 'CREATE SERVER regress_x FOREIGN DATA WRAPPER pgmaint_storage OPTIONS'
:wrapper (url 's3://bucket', bucket 'bucket');
:wrapper (url 's3://bucket', end_point 'http://localhost');
:wrapper (url 's3://bucket', regions 'eu-central-1');
:wrapper (url 's3://bucket', access_key_id 'AKIASECRET');
CREATE USER MAPPING FOR PUBLIC SERVER regress_c OPTIONS (access_key 'AKIASECRET');
CREATE USER MAPPING FOR PUBLIC SERVER regress_c OPTIONS (region 'eu-central-1');
CREATE USER MAPPING FOR PUBLIC SERVER regress_c OPTIONS (password 'SECRET');
ALTER FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (url 's3://bucket');
CREATE FOREIGN TABLE regress_t (a int) SERVER regress_a OPTIONS (filename 'x');
ALTER SERVER regress_a OPTIONS (ADD retry '3');
ALTER SERVER regress_a OPTIONS (DROP url);

-- URLs
CREATE SERVER regress_x FOREIGN DATA WRAPPER pgmaint_storage;
:wrapper (url '');
:wrapper (url 'https://bucket.s3.amazonaws.com');
:wrapper (url 'S3://bucket');
:wrapper (url 's3:bucket');
:wrapper (url 's3://');
:wrapper (url 's3:///prefix');
:wrapper (url 's3://bu');
:wrapper (url 's3://bucket:9000/prefix');
:wrapper (url 's3://bucket/a//b');
:wrapper (url 's3://bucket/../b');
:wrapper (url 's3://AKIASECRET:SECRET@bucket/prefix');
:wrapper (url 'https://AKIASECRET:SECRET@bucket');
:wrapper (url 's3://bucket?secret_access_key=SECRET');
:wrapper (url 's3://bucket/prefix?secret_access_key=SECRET');
:wrapper (url 'file:');
:wrapper (url 'file:///');
:wrapper (url 'file://host/folder');
:wrapper (url 'file:../folder');
:wrapper (url 'file:///var/../etc');
:wrapper (url 'file:a/./b');
:wrapper (url E'file:a\nb');
:wrapper (url 'file:base');
:wrapper (url 'file:global/x');
:wrapper (url 'file:pg_wal/x');
SELECT 'file://' || current_setting('data_directory') AS data, 'file://' || current_setting('data_directory') || '/pg_wal' AS wal \gset
\set VERBOSITY sqlstate
:wrapper (url :'data');
:wrapper (url :'wal');
\set VERBOSITY default

-- values
:wrapper (url 's3://bucket', region '');
:wrapper (url 's3://bucket', region 'eu central');
:wrapper (url 's3://bucket', endpoint 'localhost:9000');
:wrapper (url 's3://bucket', endpoint 'ftp://localhost');
:wrapper (url 's3://bucket', endpoint 'http://localhost/path');
:wrapper (url 's3://bucket', endpoint 'http://localhost:');
:wrapper (url 's3://bucket', endpoint 'http://localhost:99999');
:wrapper (url 's3://bucket', endpoint 'http://[::1');
:wrapper (url 's3://bucket', endpoint 'http://key:SECRET@localhost');
:wrapper (url 's3://bucket', endpoint 'http://localhost?key=SECRET');
:wrapper (url 's3://bucket', addressing 'host');
:wrapper (url 's3://bucket', ca_file 'ca.pem');
:wrapper (url 's3://bucket', encryption 'aes256');
:wrapper (url 's3://bucket', encryption 'aws:kms', kms_key_id 'a b');
:wrapper (url 's3://bucket', storage_class E'A\nx-header: b');
:wrapper (url 's3://bucket', profile E'a\nb');
:wrapper (url 's3://bucket', part_size '4MB');
:wrapper (url 's3://bucket', part_size '513MB');
:wrapper (url 's3://bucket', part_size '99999999TB');
:wrapper (url 's3://bucket', part_size 'much');
:wrapper (url 's3://bucket', parallel '0');
:wrapper (url 's3://bucket', parallel '17');
:wrapper (url 's3://bucket', connect_timeout '0');
:wrapper (url 's3://bucket', stall_timeout '1h');
:wrapper (url 's3://bucket', retries '-1');
CREATE USER MAPPING FOR PUBLIC SERVER regress_c OPTIONS (access_key_id '', secret_access_key 'SECRET');
CREATE USER MAPPING FOR PUBLIC SERVER regress_c OPTIONS (access_key_id 'AKIA', secret_access_key ' SECRET');
CREATE USER MAPPING FOR PUBLIC SERVER regress_c OPTIONS (access_key_id 'AKIA', secret_access_key E'SECRET\n');

-- what does not go together
:wrapper (url 'file:archives', region 'eu-central-1');
:wrapper (url 's3://bucket', kms_key_id 'key');
:wrapper (url 's3://bucket', encryption 'AES256', kms_key_id 'key');
CREATE USER MAPPING FOR PUBLIC SERVER regress_c OPTIONS (access_key_id 'AKIA');
CREATE USER MAPPING FOR PUBLIC SERVER regress_c OPTIONS (secret_access_key 'SECRET');
CREATE USER MAPPING FOR PUBLIC SERVER regress_c OPTIONS (session_token 'SECRET');
ALTER USER MAPPING FOR CURRENT_USER SERVER regress_a OPTIONS (DROP secret_access_key);

-- by default, no role may create or use a storage
SET ROLE pgmaint_regress_storage;
:wrapper (url 's3://bucket');
RESET ROLE;
GRANT USAGE ON SCHEMA pgmaint TO pgmaint_regress_storage;
SET ROLE pgmaint_regress_storage;
SELECT * FROM pgmaint.list_objects('pgmaint_local');
SELECT * FROM pgmaint.check_storage('pgmaint_local');
SELECT pgmaint_internal.storage_validator('{}', 0);
RESET ROLE;
GRANT EXECUTE ON FUNCTION pgmaint.list_objects, pgmaint.check_storage TO pgmaint_regress_storage;
SET ROLE pgmaint_regress_storage;
SELECT * FROM pgmaint.list_objects('pgmaint_local');
SELECT * FROM pgmaint.check_storage('pgmaint_local');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER pgmaint_local TO pgmaint_regress_storage;
SET ROLE pgmaint_regress_storage;
SELECT * FROM pgmaint.list_objects('pgmaint_local');
SELECT * FROM pgmaint.check_storage('pgmaint_local');
-- keys are for those who may see them
SELECT usename, umoptions FROM pg_user_mappings WHERE srvname LIKE 'regress%' ORDER BY 1, srvname;
RESET ROLE;

-- what is no storage
SELECT * FROM pgmaint.list_objects('regress_nothing');
CREATE FOREIGN DATA WRAPPER regress_wrapper;
CREATE SERVER regress_other FOREIGN DATA WRAPPER regress_wrapper;
SELECT * FROM pgmaint.list_objects('regress_other');
SELECT * FROM pgmaint.check_storage('regress_other');
SELECT * FROM pgmaint.list_objects('');
SELECT * FROM pgmaint.list_objects(NULL);
SELECT * FROM pgmaint.list_objects('pgmaint_local', NULL);
SELECT * FROM pgmaint.check_storage(NULL);

-- one that works
SELECT step, status, duration >= interval '0' AS timed, detail FROM pgmaint.check_storage('pgmaint_local');
SELECT * FROM pgmaint.list_objects('pgmaint_local', 'nothing like this');

DROP SERVER regress_a, regress_b, regress_c, regress_d, regress_e CASCADE;
DROP FOREIGN DATA WRAPPER regress_wrapper CASCADE;
REVOKE ALL ON FOREIGN SERVER pgmaint_local FROM pgmaint_regress_storage;
REVOKE ALL ON FUNCTION pgmaint.list_objects, pgmaint.check_storage FROM pgmaint_regress_storage;
REVOKE ALL ON SCHEMA pgmaint FROM pgmaint_regress_storage;
DROP ROLE pgmaint_regress_storage;
