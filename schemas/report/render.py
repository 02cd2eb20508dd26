"""The texts for people from a bundle's facts: `report.html`, `MODEL_CARD.md`, and the page of a drift report.

A page is one file and loads nothing; the same facts give the same bytes.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from ..drift.drift_report import DriftReport
from ..drift.drift_words import NAMES, donors_in_words, in_words, short_percent, size_in_words, verdict
from ..manifest.verdict import verdict as model_verdict
from ..reference_profile import FEWEST_CELLS
from .drift_pictures import composition_chart, plane_chart, spread_charts
from .evidence import best_scores, evidence_of
from .facts import ReportFacts, percent, score
from .headline import tiles, warnings
from .imported import imported_view
from .sections import trust_facts
from .view import commands, lede, make_view, score_rows

TEMPLATES = files("cellmark.schemas.report") / "templates"


@cache
def environment(*, html: bool) -> jinja2.Environment:
    """Templates of this package; in HTML all values are escaped, as names of types and genes are others' text."""
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(read_template),
        autoescape=html,  # noqa: S701  # Markdown has escapes of its own
        undefined=jinja2.StrictUndefined,
        trim_blocks=not html,
        lstrip_blocks=not html,
    )


def read_template(name: str) -> str:
    """The text of a template, style or script."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def render_report(facts: ReportFacts) -> str:
    """The page. The styles of its pictures stand alone in it, since a picture that is saved takes them along."""
    if facts.manifest.imported is not None:
        imported = {**imported_view(facts), "dark_style": _dark_style()}
        return render_page("imported.html", imported, styles=("report.css",), scripts=())
    view = {**make_view(facts), "figure_style": Markup(read_template("figure.css")), "dark_style": _dark_style()}  # noqa: S704
    scripts = ("report.js", "figures.js", "markers.js", "tip.js")
    return render_page("report.html", view, styles=("report.css",), scripts=scripts)


def _dark_style() -> Markup:
    """`dark.css` twice: where the system asks for a dark page, and where the reader does. Paper stays white."""
    rules = read_template("dark.css")
    by_system, by_reader = (
        rules.replace("@@", root) for root in (":root:not([data-theme=light])", ":root[data-theme=dark]")
    )
    return Markup(  # noqa: S704  # our own file
        f"@media screen and (prefers-color-scheme:dark){{{by_system}}}@media screen{{{by_reader}}}"
    )


def render_page(template: str, view: Mapping[str, Any], *, styles: Sequence[str], scripts: Sequence[str]) -> str:
    """A page of a template, with its styles and one script, which is named by its digest in the page's security policy,
    so no other one can run.
    """
    script = "".join(map(read_template, scripts))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment(html=True)
        .get_template(template)
        .render(
            **view,
            style=Markup("".join(map(read_template, styles))),  # noqa: S704  # our own files
            script=Markup(script),  # noqa: S704
            script_digest=Markup(f"sha256-{digest}"),  # noqa: S704
        )
    )


SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$!])")


def render_model_card(facts: ReportFacts) -> str:
    """The card, Markdown with tables."""
    if facts.manifest.imported is not None:
        card = environment(html=False).get_template("IMPORTED_CARD.md")
        return card.render(**imported_view(facts), md=markdown, quoted=quoted).rstrip() + "\n"
    types = evidence_of(facts)
    words, _, scores = best_scores(facts)
    results = [(name, scores[name]) for name in ("accuracy", "macro_f1") if scores.get(name) is not None]
    text = (
        environment(html=False)
        .get_template("MODEL_CARD.md")
        .render(
            facts=facts,
            manifest=facts.manifest,
            identity=facts.identity,
            types=types,
            lede=lede(facts),
            verdict=model_verdict(facts.manifest),
            tiles=tiles(facts),
            warnings=warnings(facts, types),
            commands=_safe_commands(facts),
            results=results,
            results_on=words,
            md=markdown,
            quoted=quoted,
            scores=score_rows(facts, types)["rows"],
            trust=trust_facts(facts),
            percent=percent,
            score=score,
        )
    )
    return text.rstrip() + "\n"


def markdown(text: object) -> str:
    """Others' text in a line of Markdown: nothing of it is markup, and it stays in its line."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def quoted(text: object) -> str:
    """A YAML scalar: JSON's strings are such."""
    return json.dumps(str(text), ensure_ascii=False)


def _safe_commands(facts: ReportFacts) -> dict[str, str]:
    """A name with a line break or back-ticks must not end the block of code."""
    return {key: text.replace("```", "'''") for key, text in commands(facts).items()}


def render_drift(report: DriftReport) -> str:
    """The page. All values are escaped: names of types, genes and files are others' text."""
    page = (
        environment(html=True)
        .get_template("drift.html")
        .render(
            report=report,
            verdict=verdict(report),
            words=in_words,
            names=NAMES,
            limits=report.limits,
            has_donors=any(limits.donors is not None for limits in report.limits.values()),
            donors=donors_in_words,
            size=size_in_words,
            percent=short_percent,
            spreads=spread_charts(report),
            composition=composition_chart(report) if report.cell_types else None,
            plane=None if report.in_plane is None else plane_chart(report.in_plane),
            has_refused=report.in_plane is not None and any(one.n_unassigned for one in report.in_plane.bins),
            fewest=FEWEST_CELLS,
            style=Markup(read_template("drift.css")),  # noqa: S704  # our own file
        )
    )
    # No line ends between a number and its sign.
    return page.replace(" %", "\u00a0%").replace("× ", "×\u00a0")
