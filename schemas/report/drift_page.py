"""A drift report as a page: one file, nothing loaded, no script."""

from markupsafe import Markup

from ..drift.drift_report import DriftReport
from ..drift.drift_words import NAMES, donors_in_words, in_words, percent, size_in_words, verdict
from .render import environment, read_template


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
            percent=percent,
            style=Markup(read_template("drift.css")),  # noqa: S704  # our own file
        )
    )
    # No line ends between a number and its sign.
    return page.replace(" %", "\u00a0%").replace("× ", "×\u00a0")
