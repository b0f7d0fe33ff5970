-- The report of a run as one page that needs nothing else, for the reader of the
-- morning: what is not in order comes first, what is in order stands in one line.

CREATE FUNCTION pgmaint.report_html(run_id bigint DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
-- to compile its expressions would take longer than to evaluate them
SET jit = off
AS $$
DECLARE
	chosen bigint;
	style text;
	title text;
	head text;
	main text;
	contents text;
	tasks record;
	checks record;
BEGIN
	-- what is called by name here may be another role's, where a schema was renamed
	IF NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgmaint' AND e.extnamespace = to_regnamespace('pgmaint')
		WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_namespace'::regclass AND d.objid = to_regnamespace('pgmaint_internal')) THEN
		RAISE EXCEPTION 'schema "pgmaint" or "pgmaint_internal" of extension "pgmaint" was renamed'
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call the function tick() of the extension: its error message has the command that renames the schema back.';
	END IF;
	chosen := coalesce(report_html.run_id, (SELECT max(r.run_id) FROM pgmaint.runs r));
	style := pgmaint_internal.html_style();
	IF report_html.run_id IS NOT NULL AND NOT EXISTS (SELECT FROM pgmaint.runs r WHERE r.run_id = chosen) THEN
		PERFORM pgmaint_internal.refuse_unknown_run(chosen);
	END IF;
	SELECT c.* INTO checks FROM pgmaint_internal.html_check_results() c;
	head := coalesce(pgmaint_internal.html_lead(chosen, checks.checks, checks.critical, checks.warning) || pgmaint_internal.html_run(chosen), format(
		E'<header>\n<p class="kind">pgmaint</p>\n<h1>No run yet</h1>\n<p class="lead">There has been no run in database %s yet. '
		'<code>SELECT pgmaint.run(''weekly'')</code> begins one.</p>\n</header>\n', pgmaint_internal.html_text(current_database())));
	SELECT t.* INTO tasks FROM pgmaint_internal.html_tasks(chosen) t;
	main := concat(
		pgmaint_internal.html_findings(chosen),
		tasks.not_done,
		checks.section,
		pgmaint_internal.html_previous_runs(chosen),
		pgmaint_internal.html_steps(chosen),
		pgmaint_internal.html_queries(chosen),
		pgmaint_internal.html_advice(),
		pgmaint_internal.html_bloat(),
		pgmaint_internal.html_backups(),
		pgmaint_internal.html_retention(),
		tasks.done);
	SELECT format(E'<nav aria-label="Contents"><ul>%s</ul></nav>\n', string_agg(format('<li><a href="#%s">%s</a></li>', h.parts[1], h.parts[2]), '' ORDER BY h.nth))
	INTO contents
	FROM regexp_matches(main, '<h2 id="([a-z-]+)">([^<]*)</h2>', 'g') WITH ORDINALITY AS h (parts, nth);
	title := coalesce((SELECT format('%s %s: run %s, %s', r.plan, r.state, r.run_id, current_database()) FROM pgmaint.runs r WHERE r.run_id = chosen),
		format('No run yet, %s', current_database()));
	RETURN concat(
		E'<!DOCTYPE html>\n<html lang="en">\n<head>\n',
		-- that in which psql will write it
		format(E'<meta charset="%s"/>\n', pgmaint_internal.html_charset()),
		format(E'<meta http-equiv="Content-Security-Policy" content="default-src ''none''; img-src data:; style-src ''sha256-%s''"/>\n',
			encode(sha256(convert_to(style, 'UTF8')), 'base64')),
		E'<meta name="viewport" content="width=device-width, initial-scale=1"/>\n<meta name="color-scheme" content="light dark"/>\n',
		E'<link rel="icon" href="data:,"/>\n',
		format(E'<title>%s</title>\n', pgmaint_internal.html_text(pgmaint.one_line(title))),
		'<style>', style, E'</style>\n</head>\n<body>\n<a class="skip" href="#content">To the content</a>\n',
		head, contents, E'<main id="content">\n', main, E'</main>\n',
		format(E'<footer>Made by pgmaint %s at %s in database %s.</footer>\n</body>\n</html>\n',
			(SELECT e.extversion FROM pg_extension e WHERE e.extname = 'pgmaint'), pgmaint_internal.html_time(clock_timestamp()), pgmaint_internal.html_text(current_database())));
END
$$;

COMMENT ON FUNCTION pgmaint.report_html(bigint) IS
	'Returns the report of a run (null: the latest) as a complete page of HTML, in the encoding and time zone of the session. '
	'Findings that are warnings or critical, tasks that did not succeed and checks that are not ok come first; the rest is folded into one line each. '
	'It compares the run with up to five runs of the plan before it, and shows queries, index advice, bloat, backups and archives as they are now. '
	'At most 100 tasks and 100 findings are shown. The page has no scripts and loads nothing. '
	'It shows statements and sessions that the caller may see. Error: a run_id that does not exist.';

REVOKE ALL ON FUNCTION pgmaint.report_html(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgmaint.report_html(bigint) TO pg_monitor;
