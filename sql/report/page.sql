-- The elements of the page of report_html(): escaped text, tables, the style.  All of
-- it is well-formed XML, whatever characters the names of objects have.

CREATE FUNCTION pgmaint_internal.html_text(text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	-- control characters and these two others are not allowed in XML, not even as
	-- references
	SELECT regexp_replace(
		replace(replace(replace(replace(replace($1, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;'),
		E'[\\x01-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f\\ufffe\\uffff]', '&#65533;', 'g');
END;

COMMENT ON FUNCTION pgmaint_internal.html_text(text) IS 'a text, escaped for an element or an attribute of HTML';

-- psql writes a page in the encoding of its session
CREATE FUNCTION pgmaint_internal.html_charset()
RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT CASE
		WHEN e.name IN ('UTF8', 'SQL_ASCII') THEN 'utf-8'
		WHEN e.name LIKE 'LATIN%' THEN 'iso-8859-' || (ARRAY[1, 2, 3, 4, 9, 10, 13, 14, 15, 16])[substr(e.name, 6)::integer]
		ELSE replace(regexp_replace(lower(e.name), '^win', 'windows-'), '_', '-')
	END
	FROM (SELECT pg_client_encoding()::text AS name) e;
END;

COMMENT ON FUNCTION pgmaint_internal.html_charset() IS 'the name of the encoding of the session in HTML';

CREATE FUNCTION pgmaint_internal.html_time(at timestamptz)
RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT CASE WHEN isfinite(at) THEN format('<time datetime="%s"><span>%s</span> <span>%s</span></time>',
		to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
		to_char(at, 'YYYY-MM-DD'), to_char(at, 'HH24:MI:SS TZH:TZM')) END;
END;

COMMENT ON FUNCTION pgmaint_internal.html_time(timestamptz) IS 'a time with its zone, for people and for machines';

CREATE FUNCTION pgmaint_internal.duration_text(seconds numeric)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE
		WHEN round(seconds, 1) < 10 THEN round(seconds, 1) || ' s'
		WHEN round(seconds) < 60 THEN round(seconds) || ' s'
		WHEN round(seconds) < 3600 THEN div(round(seconds), 60) || ' min' ||
			CASE WHEN mod(round(seconds), 60) > 0 THEN ' ' || mod(round(seconds), 60) || ' s' ELSE '' END
		WHEN round(seconds) < 172800 THEN div(round(seconds), 3600) || ' h' ||
			CASE WHEN mod(div(round(seconds), 60), 60) > 0 THEN ' ' || mod(div(round(seconds), 60), 60) || ' min' ELSE '' END
		ELSE div(round(seconds), 86400) || ' d' ||
			CASE WHEN mod(div(round(seconds), 3600), 24) > 0 THEN ' ' || mod(div(round(seconds), 3600), 24) || ' h' ELSE '' END
	END;
END;

COMMENT ON FUNCTION pgmaint_internal.duration_text(numeric) IS 'a number of seconds in units that suit it';

-- A long name may be broken to fit its column, a short one is not.
CREATE FUNCTION pgmaint_internal.html_name(name text, element text DEFAULT 'code')
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT format('<%s%s>%s</%s>', element, CASE WHEN length(name) <= 24 THEN ' class="nowrap"' ELSE '' END, pgmaint_internal.html_text(pgmaint.one_line(name)), element);
END;

COMMENT ON FUNCTION pgmaint_internal.html_name(text, text) IS 'a name or a few words as the content of a cell';

-- The mark and the word have the same meaning as the colour.
CREATE FUNCTION pgmaint_internal.html_state(state text, words text DEFAULT NULL)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT format('<span class="state %s"><span aria-hidden="true">%s</span> %s</span>',
		CASE
			WHEN state IN ('succeeded', 'ok', 'restorable', 'acknowledged', 'resolved') THEN 'good'
			WHEN state IN ('failed', 'critical', 'not restorable') THEN 'bad'
			WHEN state IN ('warning', 'cancelled', 'interrupted', 'skipped', 'notified', 'escalated') THEN 'poor'
			ELSE 'plain' END,
		CASE
			WHEN state IN ('succeeded', 'ok', 'restorable', 'acknowledged', 'resolved') THEN '&#10003;'
			WHEN state IN ('failed', 'critical', 'not restorable') THEN '&#10007;'
			WHEN state IN ('warning', 'cancelled', 'interrupted', 'skipped', 'notified', 'escalated') THEN '&#9650;'
			WHEN state = 'running' THEN '&#9654;'
			ELSE '&#8226;' END,
		pgmaint_internal.html_text(coalesce(words, state)));
END;

COMMENT ON FUNCTION pgmaint_internal.html_state(text, text) IS 'a state or a severity as mark, word and colour';

CREATE FUNCTION pgmaint_internal.html_table(caption text, columns text[], cells text[])
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH heads AS (
		SELECT
			c.nth,
			pgmaint_internal.html_text(ltrim(c.name, '#')) AS name,
			CASE WHEN c.name LIKE '#%' THEN ' class="number"' ELSE '' END AS class
		FROM unnest(columns) WITH ORDINALITY AS c (name, nth)
	),
	numbered AS (
		SELECT
			(c.nth - 1) / cardinality(columns) AS line,
			(c.nth - 1) % cardinality(columns) + 1 AS nth,
			c.cell
		FROM unnest(cells) WITH ORDINALITY AS c (cell, nth)
	),
	lines AS (
		SELECT string_agg(CASE
			WHEN n.nth = 1 THEN format('<th scope="row"%s>%s</th>', h.class, n.cell)
			-- on a narrow screen a row is a list of names of columns and cells
			WHEN n.cell <> '' THEN format('<td%s data-label="%s">%s</td>', h.class, h.name, n.cell)
			ELSE format('<td%s></td>', h.class) END, '' ORDER BY n.nth) AS cells,
			n.line
		FROM numbered n
		JOIN heads h USING (nth)
		GROUP BY n.line
	)
	SELECT format(E'<table><caption>%s</caption>\n<thead><tr>%s</tr></thead>\n<tbody>\n%s\n</tbody></table>\n',
		pgmaint_internal.html_text(caption),
		(SELECT string_agg(format('<th scope="col"%s>%s</th>', h.class, h.name), '' ORDER BY h.nth) FROM heads h),
		string_agg('<tr>' || l.cells || '</tr>', E'\n' ORDER BY l.line))
	FROM lines l
	HAVING count(*) > 0;
END;

COMMENT ON FUNCTION pgmaint_internal.html_table(text, text[], text[]) IS
	'a table of cells that are HTML already, as many in a row as there are columns; a column is of numbers if its name begins with #; null without cells';

CREATE FUNCTION pgmaint_internal.html_section(id text, title text, content text)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT format(E'<section aria-labelledby="%s">\n<h2 id="%s">%s</h2>\n%s</section>\n', id, id, title, content);
END;

COMMENT ON FUNCTION pgmaint_internal.html_section(text, text, text) IS 'a part of the page; null if its content is';

-- Parts that are in order are folded into one line.
CREATE FUNCTION pgmaint_internal.html_fold(summary text, content text, open boolean DEFAULT false)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	-- an attribute of XML needs a value
	SELECT format(E'<details class="fold"%s><summary>%s</summary>\n%s</details>\n', CASE WHEN html_fold.open THEN ' open="open"' ELSE '' END, html_fold.summary, html_fold.content)
	WHERE html_fold.summary IS NOT NULL AND html_fold.content IS NOT NULL;
END;

COMMENT ON FUNCTION pgmaint_internal.html_fold(text, text, boolean) IS
	'content below a line that unfolds it, both HTML already; open: unfolded from the start; null without a line or without content';

-- Colours are named once for each theme; print is light.  On paper nothing can be
-- unfolded, and without a script nothing opens an element details: where the browser
-- knows ::details-content (Chrome 131, Firefox 143, Safari 18.4), its style shows what
-- is folded; others print the lines only.
CREATE FUNCTION pgmaint_internal.html_style()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT '
:root{color-scheme:light dark;--page:#fff;--panel:#f4f6f9;--text:#1a222c;--soft:#4e5967;--line:#d3dae2;--link:#0a55a5;
--good:#17663a;--bad:#ab1f17;--poor:#8a4b00;--on-bar:#fff;--area:#bcd3ef;
--c1:#2560a8;--c2:#0d6b63;--c3:#77499f;--c4:#86580a;--c5:#9c2f62;--c6:#47671b;--c7:#4a5a6c;--c8:#984012}
@media screen and (prefers-color-scheme:dark){:root{--page:#11161d;--panel:#1a212b;--text:#e4e9ef;--soft:#a5b0be;--line:#364250;--link:#82b7f5;
--good:#6fd09a;--bad:#ff938a;--poor:#f0b35c;--on-bar:#0e131a;--area:#28466a;
--c1:#7fb2f0;--c2:#5cc6ba;--c3:#c4a3e8;--c4:#deb35c;--c5:#f09cba;--c6:#a9cd70;--c7:#aab8c7;--c8:#f0a27e}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:1.5rem 1.25rem 3rem;max-width:68rem;background:var(--page);color:var(--text);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
h1{margin:0;font-size:1.75rem;line-height:1.25}
h2{margin:2.5rem 0 .5rem;padding-top:.75rem;border-top:2px solid var(--line);font-size:1.25rem}
h3{margin:1.5rem 0 .25rem;font-size:1.0625rem}
h4{margin:1rem 0 .25rem;font-size:1rem}
p{margin:.5rem 0;max-width:48rem}
a{color:var(--link)}
a:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem}
code,pre{font:.875em/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;unicode-bidi:isolate}
.soft,figcaption,caption,footer,dt{color:var(--soft)}
.kind{margin:0;color:var(--soft);font-size:.875rem}
.lead{font-size:1.125rem}
.error{padding:.5rem .75rem;border-left:4px solid var(--bad);background:var(--panel);max-width:none}
.state{font-weight:600;white-space:nowrap}
h1 .state{font-size:1.125rem;margin-left:.25rem}
.good{color:var(--good)}.bad{color:var(--bad)}.poor{color:var(--poor)}.plain{color:var(--soft)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.5rem 1.5rem;margin:1rem 0}
dd{margin:0}
dt{font-size:.875rem}
nav ul,.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:.5rem 0;padding:0;list-style:none}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.25rem,1fr));gap:.75rem;margin:1rem 0;padding:0;list-style:none}
.tiles li{padding:.5rem .75rem;border-radius:.375rem;background:var(--panel)}
.tiles b{display:block;white-space:nowrap;font-size:1.25rem;line-height:1.3}
.legend{font-size:.875rem}
.legend svg,.key{width:.875rem;height:.875rem;margin-right:.375rem;vertical-align:-.1em}
table{width:100%;margin:.75rem 0;border-collapse:collapse;font-size:.9375rem}
caption{padding:.25rem 0;text-align:left;font-size:.875rem}
th,td{padding:.375rem .75rem .375rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;font-weight:400}
thead th{color:var(--soft);font-size:.875rem;vertical-align:bottom}
.number{padding-right:0;padding-left:.75rem;text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.number+:not(.number){padding-left:1.25rem}
time span,.nowrap{white-space:nowrap}
ul.found{margin:.25rem 0;padding-left:1.25rem}
ul.found li{margin:.25rem 0}
pre{margin:.25rem 0;white-space:pre-wrap}
summary{color:var(--soft);font-size:.875rem;cursor:pointer}
summary:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.fold{margin:.75rem 0;padding:0 .75rem;border:1px solid var(--line);border-radius:.375rem}
.fold>summary{margin:0 -.75rem;padding:.5rem .75rem;color:var(--text);font-size:1rem}
.fold[open]>summary{margin-bottom:.5rem;border-bottom:1px solid var(--line)}
figure{margin:0;min-width:0}
figcaption{font-size:.875rem}
figcaption b{color:var(--text)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:1.25rem 2rem;margin:1rem 0}
svg{display:block;width:100%;overflow:hidden}
.legend svg,.key{display:inline-block}
svg text{fill:var(--soft);font-size:11px}
svg .bar text{fill:var(--on-bar)}
svg text.wide{display:none}
.grid{stroke:var(--line);stroke-width:1}
.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}.c4{fill:var(--c4)}.c5{fill:var(--c5)}.c6{fill:var(--c6)}.c7{fill:var(--c7)}.c8{fill:var(--c8)}
.fault{fill:var(--bad)}
.hollow{fill:var(--panel);stroke:var(--soft)}
.hatch{stroke:var(--on-bar);stroke-width:2}
.area{fill:var(--area)}
.line{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}
.s1{stroke:var(--c1)}.s2{stroke:var(--c4);stroke-dasharray:5 4}
.d1{fill:var(--c1)}.d2{fill:var(--page);stroke:var(--c4);stroke-width:2}
footer{margin-top:3rem;padding-top:.75rem;border-top:2px solid var(--line);font-size:.875rem}
@media (min-width:60rem){svg text.wide{display:inline}}
@media screen and (max-width:60rem){
body{padding:1rem .875rem 2rem}
.fold{padding:0 .5rem}
.fold>summary{margin:0 -.5rem;padding:.5rem}
.tiles{grid-template-columns:repeat(auto-fit,minmax(6.25rem,1fr));gap:.5rem;font-size:.875rem}
.tiles li{padding:.375rem .5rem}
.tiles b{white-space:normal;font-size:1.125rem}
table,tbody,tr,th,td,caption{display:block}
thead{display:none}
tbody tr{padding:.5rem 0;border-bottom:1px solid var(--line)}
th,td,.number{padding:.0625rem 0;border:0;text-align:left;white-space:normal}
.number+:not(.number){padding-left:0}
tbody th{font-weight:600}
dl{grid-template-columns:minmax(0,1fr);gap:.25rem}
dl div{display:flex;gap:.75rem}
dt{flex:0 0 6.5rem;padding-top:.125rem}
td:empty{display:none}
td::before{content:attr(data-label) ": ";color:var(--soft)}
}
@page{margin:15mm}
@media print{
body{max-width:none;padding:0;font-size:10pt}
table{font-size:8.5pt}
th,td{padding-right:.375rem}
.number{padding-left:.375rem}
nav,.skip{display:none}
h2,h3,h4{break-after:avoid}
tr,figure,.tiles li{break-inside:avoid}
a{color:inherit;text-decoration:none}
.tiles li,.error{border:1px solid var(--line)}
svg{print-color-adjust:exact;-webkit-print-color-adjust:exact}
details::details-content{content-visibility:visible;block-size:auto}
}
'::text;
END;

COMMENT ON FUNCTION pgmaint_internal.html_style() IS 'the style of the page: light or dark as the reader prefers, for wide and narrow screens and for paper';

REVOKE ALL ON FUNCTION
	pgmaint_internal.html_text(text),
	pgmaint_internal.html_charset(),
	pgmaint_internal.html_time(timestamptz),
	pgmaint_internal.duration_text(numeric),
	pgmaint_internal.html_name(text, text),
	pgmaint_internal.html_state(text, text),
	pgmaint_internal.html_table(text, text[], text[]),
	pgmaint_internal.html_section(text, text, text),
	pgmaint_internal.html_fold(text, text, boolean),
	pgmaint_internal.html_style()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	pgmaint_internal.html_text(text),
	pgmaint_internal.html_charset(),
	pgmaint_internal.html_time(timestamptz),
	pgmaint_internal.duration_text(numeric),
	pgmaint_internal.html_name(text, text),
	pgmaint_internal.html_state(text, text),
	pgmaint_internal.html_table(text, text[], text[]),
	pgmaint_internal.html_section(text, text, text),
	pgmaint_internal.html_fold(text, text, boolean),
	pgmaint_internal.html_style()
TO pg_monitor;
