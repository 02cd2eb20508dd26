"""The first page of Data Docs, which is ours and holds every expectation with what was found; and Great Expectations'
own pages, made to need no network.

No page loads anything: a security policy in each forbids it.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from .quality_report import NotMeasured, QualityCheck, QualityReport, TableName

POLICY = Markup(
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src 'self'\">"
    '<meta name="color-scheme" content="light dark">'
)
STYLE = """:root{color-scheme:light dark;--ink:#1b2733;--soft:#51606d;--line:#dde3e8;--paper:#fff;--panel:#f4f7f9;
--good:#00664a;--bad:#b34a00}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e6ebef;--soft:#a9b5c0;--line:#37434e;--paper:#14191e;
--panel:#1e262d;--good:#4fd0a5;--bad:#ff9a4d}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1040px;padding:28px 20px 48px;color:var(--ink);background:var(--paper);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;overflow-wrap:break-word}
h1{font-size:28px;line-height:1.2;margin:0 0 10px}h2{font-size:20px;margin:30px 0 6px}
a{color:inherit}
table{border-collapse:collapse;width:100%;font-size:14.5px}
td,th{padding:6px 12px 6px 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{white-space:nowrap}th,.soft{color:var(--soft)}
.n{text-align:right}
.good{color:var(--good)}.bad{color:var(--bad)}
.good,.bad{font-weight:650;white-space:nowrap}
"""
FIRST_PAGE = (
    STYLE
    + """.verdict{font-size:18px;border-left:5px solid var(--good);padding:10px 16px;background:var(--panel)}
.verdict.unmet{border-color:var(--bad)}
@media (max-width:760px){body{padding:18px 14px 32px}thead{display:none}
tr{display:block;padding:8px 0;border-bottom:1px solid var(--line)}
td{overflow-wrap:anywhere;display:inline-block;border:0;padding:0 10px 0 0;text-align:left}td:empty{display:none}
td.wide{display:block}td[data-is]::before{content:attr(data-is) " ";color:var(--soft)}}
"""
)
OWN_PAGES = (
    STYLE
    + """ul{padding-left:20px}.h6,h5,h6,strong{font-weight:650;font-size:inherit}h5{font-size:20px;margin:24px 0 4px}
.badge{background:var(--panel);border-radius:4px;padding:1px 5px}
.fa-check-circle::before{content:"\\2713";color:var(--good);font-weight:700}
.fa-times::before{content:"\\2717";color:var(--bad);font-weight:700}
.fa-exclamation-triangle::before,.fa-exclamation-circle::before{content:"!";color:var(--bad);font-weight:700}
i{font-style:normal}
.ge-breadcrumbs,.nav{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:2px 14px}
.btn,.btn-group,.card-header,.card-text,a[data-toggle],.top{display:none}
.table-responsive{overflow-x:auto}
"""
)
PAGE = Markup("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
{policy}<title>Quality: {name}</title><style>{style}</style></head><body>
<h1>Is the quality of these cells that of the training data?</h1>
<p class="verdict{unmet}">{verdict}</p>
<p class="soft">Expectations {name}, learned from the model's training cells and judged by Great Expectations.
They warn; no cell is refused for them. No value of a single cell is on this page.</p>
{tables}{not_measured}
<h2>Great Expectations' own pages</h2>
<ul>{links}</ul>
</body></html>
""")
TABLE = Markup("""<h2>{title}</h2>
<table>
<thead><tr><th></th><th>what</th><th>expected</th><th>found</th><th class="n">outside</th><th>why</th></tr></thead>
<tbody>
{rows}
</tbody></table>
""")
ROW = Markup(
    '<tr><td class="{kind}">{word}</td><td>{column}</td><td class="wide" data-is="expected">{expected}</td>'
    '<td class="wide" data-is="found">{observed}</td><td class="n" data-is="outside">{outside}</td>'
    '<td class="wide soft">{note}</td></tr>'
)
LINK = Markup('<li><a href="{href}">{text}</a></li>')
TITLES: dict[TableName, str] = {"cells": "Every cell", "sample": "The sample as a whole"}


def write_pages(site: Path, report: QualityReport) -> None:
    """Make Great Expectations' pages below `site` readable without a network, and put the first page before them."""
    pages = sorted(path for path in site.rglob("*.html") if path != site / "index.html")
    for path in pages:
        path.write_text(without_network(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
    places = [path.relative_to(site).as_posix() for path in pages]
    (site / "index.html").write_text(first_page(report, places), encoding="utf-8", newline="\n")


def first_page(report: QualityReport, places: Sequence[str]) -> str:
    """All that the report says. `places`: of Great Expectations' pages, relative to this one."""
    n_failed = len(report.failed)
    verdict = "Yes: every expectation is met."
    if n_failed:
        names = ", ".join(dict.fromkeys(check.where for check in report.failed))
        verdict = f"Not in everything: {n_failed} of {len(report.checks)} expectations are not met ({names})."
    tables = Markup("").join(
        TABLE.format(
            title=title, rows=Markup("\n").join(_row(check) for check in report.checks if check.table == table)
        )
        for table, title in TITLES.items()
        if any(check.table == table for check in report.checks)
    )
    return PAGE.format(
        policy=POLICY,
        style=Markup(FIRST_PAGE),  # noqa: S704  # our own text
        name=report.name,
        unmet=" unmet" if n_failed else "",
        verdict=verdict,
        tables=tables,
        not_measured=_not_measured(report.not_measured),
        links=Markup("").join(LINK.format(href=quote(place), text=_in_words(place)) for place in places),
    )


def _row(check: QualityCheck) -> Markup:
    percent = check.unexpected_percent
    return ROW.format(
        kind="good" if check.success else "bad",
        word="met" if check.success else "not met",
        column=check.column or "the whole table",
        expected=check.expected,
        observed=check.observed,
        outside="" if percent is None else f"{percent:.2g} %",
        note=check.note,
    )


def _not_measured(entries: Sequence[NotMeasured]) -> Markup:
    if not entries:
        return Markup("")
    by = {"training": "the training data", "input": "this input"}
    lines = [Markup("<li>{}.{}: not measured by {}</li>").format(one.table, one.column, by[one.by]) for one in entries]
    return Markup("<h2>Not looked at</h2><ul>{}</ul>").format(Markup("").join(lines))


def _in_words(place: str) -> str:
    kind, _, rest = place.partition("/")
    suite = rest.split("/")[0].removesuffix(".html")
    return f"{suite}: what was found" if kind == "validations" else f"{suite}: what is expected"


REMOVED = re.compile(
    r"<script\b.*?</script\s*>|<link\b[^>]*>|<footer\b.*?</footer\s*>|<img\b[^>]*>|\son\w+=\"[^\"]*\"",
    flags=re.DOTALL | re.IGNORECASE,
)
REMOTE = re.compile(r"url\(['\"]?https?:[^)]*\)")


def without_network(page: str) -> str:
    """A page of Great Expectations without scripts, styles and pictures of other servers, and with a style of ours."""
    bare = REMOTE.sub("none", REMOVED.sub("", page))
    return bare.replace("</head>", f"{POLICY}<style>{OWN_PAGES}</style></head>", 1)
