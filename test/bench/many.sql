-- One part of what many.sh maintains: small tables of schema s:part, or, for part
-- 10, those that become the partitions of public.audit: one for each day before
-- :newest, each with a row of its last second.
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
SET timezone = 'UTC';

SELECT :part < 10 AS small \gset
\if :small
SELECT format('CREATE SCHEMA s%s', :part) \gexec
SELECT format('CREATE TABLE %s (id int PRIMARY KEY, n int, name text);
	INSERT INTO %s SELECT g, g %% 7, md5(g::text) FROM generate_series(1, 50) g;
	CREATE INDEX ON %s (n);', name, name, name)
FROM generate_series(1, :tables) t, LATERAL (SELECT format('s%s.t%s', :part, t) AS name) x \gexec
\else
SELECT format('CREATE TABLE public.audit_%s (id bigint NOT NULL, at timestamptz NOT NULL, what text, PRIMARY KEY (id, at));
	INSERT INTO public.audit_%s VALUES (%s, %L, ''something'');', d, d, d, :'newest'::timestamptz - (d - 1) * interval '1 day' - interval '1 second')
FROM generate_series(1, :partitions) d \gexec
\endif
