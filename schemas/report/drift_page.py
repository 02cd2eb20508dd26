"""A drift report as a page: one file, nothing loaded, no script."""

from markupsafe import Markup

from cellmark.schemas.drift_report import DriftReport
from cellmark.schemas.drift_words import NAMES, in_words, percent, verdict

from .render import environment, read_template


def render_drift(report: DriftReport) -> str:
    """The page. All values are escaped: names of types, genes and files are others' text."""
    return (
        environment(html=True)
        .get_template("drift.html")
        .render(
            report=report,
            verdict=verdict(report),
            words=in_words,
            names=NAMES,
            limits=report.limits,
            percent=percent,
            style=Markup(read_template("drift.css")),  # noqa: S704  # our own file
        )
    )
