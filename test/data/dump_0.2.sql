--
-- PostgreSQL database dump
--


-- Dumped from database version 15.20 (Debian 15.20-0+deb12u1)
-- Dumped by pg_dump version 15.20 (Debian 15.20-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: app; Type: SCHEMA; Schema: -; Owner: app_owner
--

CREATE SCHEMA app;


ALTER SCHEMA app OWNER TO app_owner;

--
-- Name: pgmaint; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA pgmaint;


ALTER SCHEMA pgmaint OWNER TO postgres;

--
-- Name: SCHEMA pgmaint; Type: COMMENT; Schema: -; Owner: postgres
--

COMMENT ON SCHEMA pgmaint IS 'database maintenance: plans, runs, tasks, findings';


--
-- Name: pgmaint; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS pgmaint WITH SCHEMA pgmaint;


--
-- Name: EXTENSION pgmaint; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION pgmaint IS 'a DBA runbook carried out from inside the server: bloat, VACUUM, ANALYZE, and what it did and why';


--
-- Name: orders_like(text); Type: FUNCTION; Schema: app; Owner: app_owner
--

CREATE FUNCTION app.orders_like(pattern text) RETURNS bigint
    LANGUAGE sql STABLE
    AS $$SELECT count(*) FROM app.orders WHERE note LIKE pattern$$;


ALTER FUNCTION app.orders_like(pattern text) OWNER TO app_owner;

--
-- Name: last_report(); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.last_report() RETURNS SETOF text
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT pgmaint.report(max(r.run_id)) AS report
    FROM pgmaint.runs r;
END;


ALTER FUNCTION public.last_report() OWNER TO postgres;

--
-- Name: mail; Type: SERVER; Schema: -; Owner: postgres
--

CREATE SERVER mail FOREIGN DATA WRAPPER pgmaint_relay OPTIONS (
    sender 'pgmaint@example.com',
    url 'smtp://mail.example.com'
);


ALTER SERVER mail OWNER TO postgres;

--
-- Name: offsite; Type: SERVER; Schema: -; Owner: postgres
--

CREATE SERVER offsite FOREIGN DATA WRAPPER pgmaint_storage OPTIONS (
    region 'eu-central-1',
    url 's3://example/shop'
);


ALTER SERVER offsite OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: events; Type: TABLE; Schema: app; Owner: app_owner
--

CREATE TABLE app.events (
    at timestamp with time zone,
    note text
);


ALTER TABLE app.events OWNER TO app_owner;

--
-- Name: orders; Type: TABLE; Schema: app; Owner: app_owner
--

CREATE TABLE app.orders (
    order_id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    note text
);


ALTER TABLE app.orders OWNER TO app_owner;

--
-- Name: orders_order_id_seq; Type: SEQUENCE; Schema: app; Owner: app_owner
--

ALTER TABLE app.orders ALTER COLUMN order_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME app.orders_order_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: archived; Type: VIEW; Schema: public; Owner: postgres
--

CREATE VIEW public.archived AS
 SELECT p.relation,
    p.keep,
    a.key,
    a.rows
   FROM (pgmaint.retention_policies p
     JOIN pgmaint.archives a USING (policy_id));


ALTER TABLE public.archived OWNER TO postgres;

--
-- Name: maintenance; Type: VIEW; Schema: public; Owner: postgres
--

CREATE VIEW public.maintenance AS
 SELECT r.run_id,
    r.plan,
    t.what,
    t.state
   FROM (pgmaint.runs r
     JOIN pgmaint.task_results t USING (run_id));


ALTER TABLE public.maintenance OWNER TO postgres;

--
-- Data for Name: events; Type: TABLE DATA; Schema: app; Owner: app_owner
--

COPY app.events (at, note) FROM stdin;
\.


--
-- Data for Name: orders; Type: TABLE DATA; Schema: app; Owner: app_owner
--

COPY app.orders (order_id, created_at, note) FROM stdin;
101	2999-01-01 00:00:00+00	order 101
102	2999-01-01 00:00:00+00	order 102
103	2999-01-01 00:00:00+00	order 103
104	2999-01-01 00:00:00+00	order 104
105	2999-01-01 00:00:00+00	order 105
106	2999-01-01 00:00:00+00	order 106
107	2999-01-01 00:00:00+00	order 107
108	2999-01-01 00:00:00+00	order 108
109	2999-01-01 00:00:00+00	order 109
110	2999-01-01 00:00:00+00	order 110
111	2999-01-01 00:00:00+00	order 111
112	2999-01-01 00:00:00+00	order 112
113	2999-01-01 00:00:00+00	order 113
114	2999-01-01 00:00:00+00	order 114
115	2999-01-01 00:00:00+00	order 115
116	2999-01-01 00:00:00+00	order 116
117	2999-01-01 00:00:00+00	order 117
118	2999-01-01 00:00:00+00	order 118
119	2999-01-01 00:00:00+00	order 119
120	2999-01-01 00:00:00+00	order 120
\.


--
-- Data for Name: archives; Type: TABLE DATA; Schema: pgmaint; Owner: postgres
--

COPY pgmaint.archives (archive_id, policy_id, run_id, relation, storage, key, rows, bytes, sha256, range_from, range_to, created_at, partition, content_bytes, content_sha256, compression, columns, verified_at, identity, adopted_at, checked_at, check_result, check_error) FROM stdin;
1	1	1	app.orders	pgmaint_local	archives/orders-2c83fd27/20200102T000000Z-1-2f5f3ac5.csv.gz	100	664	46d93606f1b9d572201d193a0d9f31ca3109382d97ab35e6e21d974bfd900d93	2020-01-02 00:00:00+00	2025-11-30 10:22:47.029544+00	2026-11-30 10:22:47.371954+00	\N	3509	dbfebca2610489b5ee2ae6c8526423cb260b50a8a44641877fcd3276d2334851	gzip	{order_id,created_at,note}	2026-11-30 10:22:47.785233+00	2f5f3ac55ceb68052d3669168317f985	\N	2026-11-30 10:22:47.785233+00	whole	\N
\.


--
-- Data for Name: contacts; Type: TABLE DATA; Schema: pgmaint; Owner: postgres
--

COPY pgmaint.contacts (name, level, address, server, severity, after, repeats, windows, notice, added_by, added_at, identity) FROM stdin;
dba	1	mailto:dba@example.com	mail	warning	00:00:00	\N	t	01:00:00	postgres	2026-11-30 10:22:46.381296+00	2f5f3ac55ceb68052d3669168317f985
screen	2	notify:maintenance	\N	critical	02:00:00	3	f	01:00:00	postgres	2026-11-30 10:22:46.382359+00	2f5f3ac55ceb68052d3669168317f985
\.


--
-- Data for Name: maintenance_windows; Type: TABLE DATA; Schema: pgmaint; Owner: postgres
--

COPY pgmaint.maintenance_windows (name, days, starts, duration, timezone, added_by, added_at) FROM stdin;
always	{0,1,2,3,4,5,6}	00:00:00	24:00:00	UTC	postgres	2026-11-30 10:22:46.373044+00
nights	{1,2,3,4,5}	23:30:00	02:00:00	Europe/Berlin	postgres	2026-11-30 10:22:46.375098+00
\.


--
-- Data for Name: plan_definitions; Type: TABLE DATA; Schema: pgmaint; Owner: postgres
--

COPY pgmaint.plan_definitions (plan, steps, defined_by, defined_at) FROM stdin;
nightly	[{"action": "retention"}, {"action": "vacuum", "options": {"schemas": ["app"]}}, {"action": "analyze", "options": {"scope": "all", "tables": ["app.orders"]}}]	postgres	2026-11-30 10:22:46.359669+00
weekly	[{"action": "validate"}]	postgres	2026-11-30 10:22:46.363418+00
Quoted "plan" of Zoë	[{"action": "bloat_report"}]	postgres	2026-11-30 10:22:46.370235+00
\.


--
-- Data for Name: retention_policies; Type: TABLE DATA; Schema: pgmaint; Owner: postgres
--

COPY pgmaint.retention_policies (policy_id, relation, time_column, keep, filter, archive, storage, compression, compression_level, slice, owner, added_by, added_at, timezone, pass_triggers) FROM stdin;
1	app.orders	created_at	1 year	note LIKE 'order %'	t	pgmaint_local	gzip	1	\N	app_owner	postgres	2026-11-30 10:22:46.60705+00	UTC	f
2	app.events	at	1 mon	\N	f	\N	\N	\N	\N	app_owner	postgres	2026-11-30 10:22:46.753388+00	UTC	f
\.


--
-- Data for Name: thresholds; Type: TABLE DATA; Schema: pgmaint; Owner: postgres
--

COPY pgmaint.thresholds (check_id, threshold, value, default_value, kind, description) FROM stdin;
backup_recent	warning	8 days	26 hours	interval	the newest backup of a database was begun longer ago than this
backup_recent	critical	\N	50 hours	interval	the newest backup of a database was begun longer ago than this
\.


--
-- Data for Name: verifications; Type: TABLE DATA; Schema: pgmaint; Owner: postgres
--

COPY pgmaint.verifications (verification_id, database, query, expected, time_limit, added_by, created_at) FROM stdin;
1	shop	SELECT count(*) = 20 FROM app.orders	true	00:05:00	postgres	2026-11-30 10:22:46.904772+00
2	shop	SELECT max(note) FROM app.orders	order 120	00:10:00	postgres	2026-11-30 10:22:46.921088+00
\.


--
-- Name: orders_order_id_seq; Type: SEQUENCE SET; Schema: app; Owner: app_owner
--

SELECT pg_catalog.setval('app.orders_order_id_seq', 120, true);


--
-- Name: archives_archive_id_seq; Type: SEQUENCE SET; Schema: pgmaint; Owner: postgres
--

SELECT pg_catalog.setval('pgmaint.archives_archive_id_seq', 1, true);


--
-- Name: retention_policies_policy_id_seq; Type: SEQUENCE SET; Schema: pgmaint; Owner: postgres
--

SELECT pg_catalog.setval('pgmaint.retention_policies_policy_id_seq', 3, true);


--
-- Name: verifications_verification_id_seq; Type: SEQUENCE SET; Schema: pgmaint; Owner: postgres
--

SELECT pg_catalog.setval('pgmaint.verifications_verification_id_seq', 3, true);


--
-- Name: orders orders_pkey; Type: CONSTRAINT; Schema: app; Owner: app_owner
--

ALTER TABLE ONLY app.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (order_id);


--
-- Name: orders_created_at; Type: INDEX; Schema: app; Owner: app_owner
--

CREATE INDEX orders_created_at ON app.orders USING btree (created_at);


--
-- Name: SCHEMA pgmaint; Type: ACL; Schema: -; Owner: postgres
--

GRANT USAGE ON SCHEMA pgmaint TO app_owner;
GRANT USAGE ON SCHEMA pgmaint TO readers;


--
-- Name: TABLE tasks; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.tasks TO app_owner;


--
-- Name: FUNCTION cancel(run_id bigint); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON FUNCTION pgmaint.cancel(run_id bigint) TO app_owner;


--
-- Name: FUNCTION count_text(bigint); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON FUNCTION pgmaint.count_text(bigint) TO app_owner;


--
-- Name: TABLE runs; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.runs TO app_owner;


--
-- Name: FUNCTION dry_run(plan text, options jsonb); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON FUNCTION pgmaint.dry_run(plan text, options jsonb) TO app_owner;


--
-- Name: TABLE findings; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.findings TO app_owner;


--
-- Name: COLUMN thresholds.value; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT UPDATE(value) ON TABLE pgmaint.thresholds TO readers;


--
-- Name: FUNCTION may_be_copied(command text); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON FUNCTION pgmaint.may_be_copied(command text) TO app_owner;


--
-- Name: FUNCTION one_line(text); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON FUNCTION pgmaint.one_line(text) TO app_owner;


--
-- Name: TABLE backups; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.backups TO readers;


--
-- Name: TABLE escalations; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.escalations TO readers;


--
-- Name: TABLE finding_results; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.finding_results TO app_owner;


--
-- Name: FUNCTION message_pattern(message text, name text); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON FUNCTION pgmaint.message_pattern(message text, name text) TO app_owner;


--
-- Name: FUNCTION shown_findings(run_id bigint); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON FUNCTION pgmaint.shown_findings(run_id bigint) TO app_owner;


--
-- Name: TABLE archives; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.archives TO readers;


--
-- Name: TABLE retention_policies; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.retention_policies TO readers;


--
-- Name: TABLE task_results; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.task_results TO app_owner;


--
-- Name: TABLE step_results; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.step_results TO app_owner;


--
-- Name: FUNCTION shown_tasks(run_id bigint); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON FUNCTION pgmaint.shown_tasks(run_id bigint) TO app_owner;


--
-- Name: TABLE plan_definitions; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.plan_definitions TO readers;


--
-- Name: FUNCTION report(run_id bigint); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON FUNCTION pgmaint.report(run_id bigint) TO app_owner;


--
-- Name: FUNCTION run(plan text, options jsonb); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON FUNCTION pgmaint.run(plan text, options jsonb) TO app_owner;


--
-- Name: FUNCTION run_action(action text, options jsonb); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON FUNCTION pgmaint.run_action(action text, options jsonb) TO app_owner;


--
-- Name: PROCEDURE run_and_wait(IN plan text, IN options jsonb, INOUT run_id bigint); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON PROCEDURE pgmaint.run_and_wait(IN plan text, IN options jsonb, INOUT run_id bigint) TO app_owner;


--
-- PostgreSQL database dump complete
--


