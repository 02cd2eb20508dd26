"""`report.html` from a bundle's facts: one file, nothing loaded, the same bytes for the same facts."""

import base64
import hashlib
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup

from .facts import ReportFacts
from .view import make_view

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
    """The page. Its only script is named by its digest in the page's security policy, so no other one can run."""
    script = read_template("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment(html=True)
        .get_template("report.html")
        .render(
            **make_view(facts),
            style=Markup(read_template("report.css")),  # noqa: S704  # our own files
            script=Markup(script),  # noqa: S704
            script_digest=Markup(f"sha256-{digest}"),  # noqa: S704
        )
    )
