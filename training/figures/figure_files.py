"""Figures as files: PNG for screens, SVG and PDF for papers, with text as text."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmark.schemas.atomic_output import whole_folder

from .figure_style import DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
PAPER_DPI = 300
"""Resolution of what is drawn as pixels in a figure for papers: clouds of points, cells of heat maps."""
NO_DATES: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def png(figure: "Figure") -> bytes:
    """A figure as PNG; the same figure gives the same bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def file_of(figure: "Figure", suffix: str) -> bytes:
    """A figure as `.png`, `.svg` or `.pdf`."""
    from matplotlib import rc_context

    kind = suffix.removeprefix(".").lower()
    if kind == "png":
        return png(figure)
    buffer = BytesIO()
    # Letters stay letters: they can be edited, searched and set in a journal's font.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "cellmark", "pdf.fonttype": 42}):
        figure.savefig(buffer, format=kind, dpi=PAPER_DPI, metadata=NO_DATES[kind])
    return buffer.getvalue()


def save_figures(figures: "Mapping[str, Figure]", folder: Path, *, force: bool | None = None) -> None:
    """Write each figure as `<name>.png`, `<name>.svg` and `<name>.pdf` into a new folder: all of them, or nothing.

    Raises `OutputError` when `folder` exists (and `force` is not given) or cannot be written.
    """
    with whole_folder(folder, force=force) as draft:
        for name, figure in figures.items():
            for suffix in SUFFIXES:
                (draft / f"{name}{suffix}").write_bytes(file_of(figure, suffix))
