-- Plots for the page of report_html(), in SVG without a script.  Positions along the
-- time axis are in percent, so that a plot is as wide as its place and its text keeps
-- its size.

-- The end of a scale: the next round number, and its label.
CREATE FUNCTION pgmaint_internal.scale_end(value double precision, unit text, OUT top double precision, OUT label text)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT s.top, s.label
	FROM (
		SELECT m * 1024.0 ^ (u.nth - 1) AS top, m || ' ' || u.name AS label
		FROM unnest(ARRAY['bytes', 'kB', 'MB', 'GB', 'TB', 'PB']) WITH ORDINALITY AS u (name, nth)
		CROSS JOIN unnest(ARRAY[1, 2, 5, 10, 20, 50, 100, 200, 500]) AS m
		WHERE unit = 'bytes'
		UNION ALL
		SELECT m * f.seconds, m || ' ' || f.name
		FROM (VALUES (0.001, 'ms', 1000), (1, 's', 60), (60, 'min', 60), (3600, 'h', 48), (86400, 'd', 2000)) AS f (seconds, name, below)
		CROSS JOIN unnest(ARRAY[1, 2, 5, 10, 20, 30, 40, 50, 100, 200, 500, 1000]) AS m
		WHERE unit = 'seconds' AND m < f.below
	) s
	WHERE s.top >= value AND s.top > 0
	ORDER BY s.top
	LIMIT 1;
END;

COMMENT ON FUNCTION pgmaint_internal.scale_end(double precision, text) IS 'the end of a scale of bytes or of seconds that has room for a value';

CREATE FUNCTION pgmaint_internal.value_text(value double precision, unit text)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE unit WHEN 'bytes' THEN pg_size_pretty(value::bigint) ELSE pgmaint_internal.duration_text(value::numeric) END;
END;

COMMENT ON FUNCTION pgmaint_internal.value_text(double precision, text) IS 'a number of bytes or of seconds with a unit';

CREATE FUNCTION pgmaint_internal.svg_series(id text, title text, description text, unit text, names text[], lines jsonb)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH given AS (
		SELECT l.nth AS line, p.at, p.value
		FROM jsonb_array_elements(lines) WITH ORDINALITY AS l (points, nth)
		CROSS JOIN LATERAL jsonb_to_recordset(l.points) AS p (at double precision, value double precision)
		WHERE p.at IS NOT NULL AND p.value IS NOT NULL
	),
	frame AS (
		SELECT
			min(g.at) AS since,
			max(g.at) AS until,
			max(g.at) - min(g.at) AS span,
			max(g.value) AS highest
		FROM given g
	),
	placed AS (
		SELECT
			g.line,
			CASE WHEN f.span > 0 THEN (g.at - f.since) / f.span ELSE 0.5 END AS x,
			g.value / e.top AS y,
			to_timestamp(g.at) AS at,
			g.value
		FROM given g
		CROSS JOIN frame f
		CROSS JOIN LATERAL pgmaint_internal.scale_end(f.highest, unit) e
	),
	-- of points that hide each other, the highest is drawn
	drawn AS (
		SELECT DISTINCT ON (p.line, floor(p.x * 90)) p.*
		FROM placed p
		ORDER BY p.line, floor(p.x * 90), p.value DESC, p.at
	),
	paths AS (
		SELECT
			d.line,
			string_agg(format('%s,%s', round((d.x * 1000)::numeric), round((1000 - d.y * 1000)::numeric)), 'L' ORDER BY d.x) AS points,
			round((min(d.x) * 1000)::numeric) AS since,
			round((max(d.x) * 1000)::numeric) AS until
		FROM drawn d
		GROUP BY d.line
		HAVING count(*) > 1
	)
	SELECT format(
		E'<svg role="img" aria-labelledby="%1$s-t %1$s-d" height="124"><title id="%1$s-t">%2$s</title><desc id="%1$s-d">%3$s</desc>\n'
		'<line class="grid" x2="100%%" y1="20" y2="20"/><line class="grid" x2="100%%" y1="60" y2="60"/><line class="grid" x2="100%%" y1="100" y2="100"/><text x="0" y="15">%4$s</text>\n'
		'<svg x="2%%" y="20" width="96%%" height="80" viewBox="0 0 1000 1000" preserveAspectRatio="none">%5$s</svg>\n'
		'%6$s\n%7$s</svg>\n',
		id, pgmaint_internal.html_text(title), pgmaint_internal.html_text(description), e.label,
		(SELECT string_agg(concat(
			CASE WHEN p.line = 1 THEN format('<path class="area" d="M%sL%sV1000H%sZ"/>', p.points, p.until || ',1000', p.since) END,
			format('<path class="line s%s" d="M%s"/>', p.line, p.points)), '' ORDER BY p.line)
		FROM paths p),
		(SELECT string_agg(format('<circle class="d%s" cx="%s%%" cy="%s" r="3"><title>%s, %s: %s</title></circle>',
			d.line, round((2 + d.x * 96)::numeric, 2), round((100 - d.y * 80)::numeric, 1),
			names[d.line], to_char(d.at, 'YYYY-MM-DD HH24:MI TZH:TZM'), pgmaint_internal.value_text(d.value, unit)), '' ORDER BY d.line, d.x)
		FROM drawn d),
		CASE WHEN f.span > 0
			THEN format('<text x="0" y="118">%s</text><text x="100%%" y="118" text-anchor="end">%s</text>',
				to_char(to_timestamp(f.since), k.pattern), to_char(to_timestamp(f.until), k.pattern))
			ELSE format('<text x="50%%" y="118" text-anchor="middle">%s</text>', to_char(to_timestamp(f.since), k.pattern)) END)
	FROM frame f
	CROSS JOIN LATERAL pgmaint_internal.scale_end(f.highest, unit) e
	CROSS JOIN LATERAL (SELECT CASE WHEN f.span < 172800 THEN 'MM-DD HH24:MI TZH:TZM' ELSE 'YYYY-MM-DD' END AS pattern) k
	WHERE f.since IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint_internal.svg_series(text, text, text, text, text[], jsonb) IS
	'a plot of one or two lines over time: arrays of {"at": seconds since 1970, "value": bytes or seconds}; null without points';

-- When tasks ran, with a lane for each worker of a step: every step has its own
-- workers.  Tasks that are too short to be seen are drawn together.
CREATE FUNCTION pgmaint_internal.svg_timeline(run_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH begun AS MATERIALIZED (
		SELECT t.task_id, t.step, t.action, t.state, t.worker, t.started_at, coalesce(t.finished_at, clock_timestamp()) AS finished_at
		FROM pgmaint.tasks t
		WHERE t.run_id = svg_timeline.run_id AND t.started_at IS NOT NULL AND t.worker IS NOT NULL
	),
	-- to number the few workers is cheaper than to sort tens of thousands of tasks
	workers AS MATERIALIZED (
		SELECT b.step, b.worker, row_number() OVER (PARTITION BY b.step ORDER BY b.worker) AS lane
		FROM begun b
		GROUP BY b.step, b.worker
	),
	work AS MATERIALIZED (
		SELECT b.task_id, b.step, b.action, b.state, b.started_at, b.finished_at, w.lane
		FROM begun b
		JOIN workers w ON w.step = b.step AND w.worker = b.worker
	),
	frame AS MATERIALIZED (
		SELECT
			extract(epoch FROM min(w.started_at)) AS since,
			greatest(extract(epoch FROM max(w.finished_at) - min(w.started_at)), 0.001) AS span,
			greatest(date_part('epoch', max(w.finished_at) - min(w.started_at)), 0.001) / 100 AS percent,
			min(w.started_at) AS first_start,
			max(w.finished_at) AS last_end,
			count(*) AS tasks,
			max(w.lane) AS lanes,
			-- the narrowest bar that is drawn by itself, in percent: it limits the size
			-- of the page for runs of thousands of tasks
			100.0::float8 / CASE WHEN count(*) <= 300 THEN greatest(900 / greatest(least(max(w.lane), 24), 1), 40)
				ELSE greatest(300 / greatest(least(max(w.lane), 24), 1), 20) END AS narrowest
		FROM work w
	),
	-- numbers and times only, since there may be tens of thousands of rows
	placed AS (
		SELECT
			w.task_id,
			w.lane,
			w.step,
			w.action,
			w.started_at,
			w.finished_at,
			date_part('epoch', w.started_at - f.first_start) / f.percent AS x,
			date_part('epoch', w.finished_at - w.started_at) / f.percent AS width,
			CASE WHEN w.state IN ('failed', 'cancelled', 'interrupted') THEN 2 WHEN w.state = 'skipped' THEN 1 ELSE 0 END AS fault,
			f.narrowest,
			f.percent
		FROM work w
		CROSS JOIN frame f
		WHERE w.lane <= 24
	),
	drawn AS MATERIALIZED (
		SELECT
			p.lane,
			p.step,
			min(p.action COLLATE "C") AS action,
			CASE p.fault WHEN 2 THEN 'fault' WHEN 1 THEN 'hollow' ELSE 'c' || (p.step - 1) % 8 + 1 END AS class,
			min(p.x) AS x,
			max(p.x + p.width) AS until,
			min(p.started_at) AS started_at,
			max(p.finished_at) AS finished_at,
			sum(p.width * p.percent) AS at_work,
			count(*) AS tasks,
			min(p.task_id) AS task_id
		FROM placed p
		GROUP BY p.lane, p.fault, p.step, CASE WHEN p.width < p.narrowest THEN floor(p.x / p.narrowest) END,
			CASE WHEN p.width >= p.narrowest THEN p.task_id END
	),
	bars AS MATERIALIZED (
		SELECT
			42 + (d.lane - 1) * 40 + 16 AS y,
			d.class,
			round(d.x::numeric, 2) AS x,
			round((least(d.until, 100) - d.x)::numeric, 2) AS width,
			CASE WHEN d.tasks = 1 THEN t.target ELSE d.tasks || ' tasks' END AS label,
			CASE WHEN d.tasks = 1 THEN format('%s: %s, %s from %s', t.what, t.state,
				pgmaint_internal.duration_text(extract(epoch FROM d.finished_at - d.started_at)), to_char(d.started_at, 'HH24:MI:SS TZH:TZM'))
				ELSE format('%s tasks of %s: %s in all, from %s', d.tasks, d.action,
				pgmaint_internal.duration_text(d.at_work::numeric), to_char(d.started_at, 'HH24:MI:SS TZH:TZM')) END AS title,
			d.tasks
		FROM drawn d
		-- looked up one by one: only bars of a single task need a name
		LEFT JOIN LATERAL (SELECT r.target, r.what, r.state FROM pgmaint.task_results r WHERE r.task_id = d.task_id AND d.tasks = 1 LIMIT 1) t ON true
		UNION ALL
		SELECT 16, 'c' || (d.step - 1) % 8 + 1, round(min(d.x)::numeric, 2), round((least(max(d.until), 100) - min(d.x))::numeric, 2),
			d.step || '. ' || min(d.action COLLATE "C"), format('step %s, %s: %s', d.step, min(d.action COLLATE "C"),
			pgmaint_internal.duration_text(extract(epoch FROM max(d.finished_at) - min(d.started_at)))), 1
		FROM drawn d
		GROUP BY d.step
	),
	-- a label is drawn if it fits the bar on a wide screen, or also on a narrow one
	shapes AS (
		SELECT
			b.y,
			b.x,
			format('<rect class="%s" x="%s%%" y="%s" width="%s%%" height="18"><title>%s</title></rect>', b.class, b.x, b.y, b.width, pgmaint_internal.html_text(b.title)) ||
			CASE WHEN b.class = 'fault' THEN format('<rect fill="url(#hatch)" x="%s%%" y="%s" width="%s%%" height="18"/>', b.x, b.y, b.width)
				WHEN b.class <> 'hollow' AND b.width * 7.5 >= k.needs THEN format('<svg class="bar" x="%s%%" y="%s" width="%s%%" height="18"><text%s x="4" y="13">%s</text></svg>',
				b.x, b.y, b.width, CASE WHEN b.width * 3 < k.needs THEN ' class="wide"' ELSE '' END, pgmaint_internal.html_text(b.label))
				ELSE '' END AS shape
		FROM bars b
		CROSS JOIN LATERAL (SELECT 8 + 7.2 * greatest(length(b.label), octet_length(b.label) / 2) AS needs) k
	),
	pace AS (
		SELECT min(s) AS seconds
		FROM unnest(ARRAY[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900,
			1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800]) AS s
		CROSS JOIN frame f
		WHERE f.span / s <= 6
	),
	-- times of day where the run was long enough for them, else seconds since it began
	ticks AS (
		SELECT
			round(100 * (k.at - f.since) / f.span, 2) AS x,
			CASE WHEN p.seconds >= 60 THEN to_char(to_timestamp(k.at), 'HH24:MI') ELSE trim_scale(k.at - f.since) || ' s' END AS label
		FROM frame f
		CROSS JOIN pace p
		CROSS JOIN LATERAL generate_series(0, 6) AS n
		CROSS JOIN LATERAL (SELECT CASE WHEN p.seconds >= 60 THEN (ceil(f.since / p.seconds) + n) * p.seconds ELSE f.since + n * p.seconds END AS at) k
		WHERE k.at <= f.since + f.span
	)
	SELECT concat(
		'<figure><figcaption>', t.description, CASE WHEN EXISTS (SELECT FROM bars b WHERE b.tasks > 1)
			THEN format('  Tasks that took less than %s are drawn together.', pgmaint_internal.duration_text(greatest((f.percent * f.narrowest)::numeric, 0.1))) END,
		CASE WHEN f.lanes > 24 THEN '  Tasks of more than 24 workers are left out.' END, E'</figcaption>\n',
		format(E'<svg role="img" aria-labelledby="timeline-t timeline-d" height="%s"><title id="timeline-t">Tasks by worker over time</title><desc id="timeline-d">%s</desc>\n',
			l.bottom + 22, t.description),
		'<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="hatch" d="M0,0V6"/></pattern></defs>',
		(SELECT string_agg(format('<line class="grid" x1="%s%%" x2="%s%%" y1="0" y2="%s"/>', k.x, k.x, l.bottom), '' ORDER BY k.x) FROM ticks k),
		'<text x="0" y="11">steps</text>',
		(SELECT string_agg(format('<text x="0" y="%s">worker %s</text>', 42 + (n - 1) * 40 + 11, n), '' ORDER BY n) FROM generate_series(1, least(f.lanes, 24)) n),
		E'\n', (SELECT string_agg(s.shape, E'\n' ORDER BY s.y, s.x) FROM shapes s), E'\n',
		(SELECT string_agg(format('<text x="%s%%" y="%s" text-anchor="%s">%s</text>', k.x, l.bottom + 16,
			CASE WHEN k.x < 8 THEN 'start' WHEN k.x > 92 THEN 'end' ELSE 'middle' END, k.label), '' ORDER BY k.x) FROM ticks k),
		E'</svg></figure>\n<ul class="legend">',
		(SELECT string_agg(format('<li><svg aria-hidden="true"><rect class="c%s" width="100%%" height="100%%"/></svg>%s. %s</li>',
			(s.step - 1) % 8 + 1, s.step, pgmaint_internal.html_text(s.action)), '' ORDER BY s.step) FROM (SELECT DISTINCT d.step, d.action FROM drawn d) s),
		CASE WHEN EXISTS (SELECT FROM drawn d WHERE d.class = 'fault') THEN
			'<li><svg aria-hidden="true"><rect class="fault" width="100%" height="100%"/><rect fill="url(#hatch)" width="100%" height="100%"/></svg>failed or stopped</li>' END,
		CASE WHEN EXISTS (SELECT FROM drawn d WHERE d.class = 'hollow') THEN
			'<li><svg aria-hidden="true"><rect class="hollow" width="100%" height="100%"/></svg>skipped</li>' END,
		E'</ul>\n')
	FROM frame f
	CROSS JOIN LATERAL (SELECT 42 + least(f.lanes, 24) * 40 + 2 AS bottom) l
	CROSS JOIN LATERAL (SELECT format('%s %s, %s at a time, from %s to %s.',
		pgmaint.count_text(f.tasks), CASE WHEN f.tasks = 1 THEN 'task' ELSE 'tasks' END,
		CASE WHEN f.lanes = 1 THEN 'one' ELSE 'up to ' || f.lanes END,
		to_char(f.first_start, 'YYYY-MM-DD HH24:MI:SS TZH:TZM'), to_char(f.last_end, 'YYYY-MM-DD HH24:MI:SS TZH:TZM')) AS description) t
	WHERE f.tasks > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.svg_timeline(bigint) IS 'a plot of the tasks of a run by worker over time; null if none began';

REVOKE ALL ON FUNCTION
	pgmaint_internal.scale_end(double precision, text),
	pgmaint_internal.value_text(double precision, text),
	pgmaint_internal.svg_series(text, text, text, text, text[], jsonb),
	pgmaint_internal.svg_timeline(bigint)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.scale_end(double precision, text),
	pgmaint_internal.value_text(double precision, text),
	pgmaint_internal.svg_series(text, text, text, text, text[], jsonb),
	pgmaint_internal.svg_timeline(bigint)
TO pg_monitor;
