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

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: orders; Type: TABLE; Schema: app; Owner: app_owner
--

CREATE TABLE app.orders (
    order_id bigint NOT NULL,
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
-- Name: maintenance; Type: VIEW; Schema: public; Owner: postgres
--

CREATE VIEW public.maintenance AS
 SELECT r.run_id,
    r.plan,
    t.command,
    t.reason,
    t.state
   FROM (pgmaint.runs r
     JOIN pgmaint.tasks t USING (run_id));


ALTER TABLE public.maintenance OWNER TO postgres;

--
-- Data for Name: orders; Type: TABLE DATA; Schema: app; Owner: app_owner
--

COPY app.orders (order_id, note) FROM stdin;
1	order 1
2	order 2
3	order 3
4	order 4
5	order 5
6	order 6
7	order 7
8	order 8
9	order 9
10	order 10
11	order 11
12	order 12
13	order 13
14	order 14
15	order 15
16	order 16
17	order 17
18	order 18
19	order 19
20	order 20
\.


--
-- Data for Name: plan_definitions; Type: TABLE DATA; Schema: pgmaint; Owner: postgres
--

COPY pgmaint.plan_definitions (plan, steps, defined_by, defined_at) FROM stdin;
nightly	[{"action": "vacuum"}, {"action": "analyze", "options": {"schemas": ["app"]}}]	postgres	2026-11-30 10:04:01.662468+00
weekly	[{"action": "analyze", "options": {"tables": ["app.orders"], "settings": {"vacuum_cost_delay": "1ms"}}}]	postgres	2026-11-30 10:04:01.662917+00
Quoted "plan" of Zoë	[{"action": "bloat_report"}]	postgres	2026-11-30 10:04:01.663178+00
\.


--
-- Name: orders_order_id_seq; Type: SEQUENCE SET; Schema: app; Owner: app_owner
--

SELECT pg_catalog.setval('app.orders_order_id_seq', 20, true);


--
-- Name: orders orders_pkey; Type: CONSTRAINT; Schema: app; Owner: app_owner
--

ALTER TABLE ONLY app.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (order_id);


--
-- Name: SCHEMA pgmaint; Type: ACL; Schema: -; Owner: postgres
--

GRANT USAGE ON SCHEMA pgmaint TO app_owner;


--
-- Name: FUNCTION cancel(run_id bigint); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON FUNCTION pgmaint.cancel(run_id bigint) TO app_owner;


--
-- Name: FUNCTION dry_run(plan text, options jsonb); Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT ALL ON FUNCTION pgmaint.dry_run(plan text, options jsonb) TO app_owner;


--
-- Name: TABLE findings; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.findings TO readers;


--
-- Name: TABLE runs; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.runs TO readers;


--
-- Name: TABLE tasks; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.tasks TO readers;


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
-- Name: TABLE progress; Type: ACL; Schema: pgmaint; Owner: postgres
--

GRANT SELECT ON TABLE pgmaint.progress TO readers;


--
-- PostgreSQL database dump complete
--


