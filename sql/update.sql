-- complain if the script is sourced in psql rather than through ALTER EXTENSION
\echo Use "ALTER EXTENSION pgmaint UPDATE" to load this file. \quit

COMMENT ON FUNCTION pgmaint.may_maintain(oid, oid) IS
	'may the role VACUUM and ANALYZE the relation (owner, database owner, superuser; from PostgreSQL 17 also MAINTAIN; all but superusers with USAGE on its schema)';
