"""How all figures look: canvas, colours, shapes, and names short enough for thirty of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cellmark.schemas.report.palette import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY, PALE = "#0072B2", "#D55E00", "#595959", "#E6E6E6"
"""The first two of the palette of Okabe and Ito."""
SHARES, EXPRESSION, CELLS, SIGNED = "Blues", "Blues", "magma_r", "RdBu_r"
"""Colour maps: lightness rises or falls throughout; of the last, to both sides of white in the middle."""
DPI = 130
LONGEST_LABEL = 32

SHAPES = ("o", "^", "s", "P", "v", "D", "X", "*")


class TypeStyle(NamedTuple):
    """Colour and shape of a cell type's points."""

    colour: str
    shape: str


def type_styles(n_types: int) -> list[TypeStyle]:
    """A style for each type, in order: twenty colours with one shape, then again with the next; 160 are different."""
    n_colours, n_shapes = len(COLOURS), len(SHAPES)
    return [TypeStyle(COLOURS[k % n_colours], SHAPES[k // n_colours % n_shapes]) for k in range(n_types)]


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches. It is nobody else's: pyplot would keep it, and choose a window system."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def label_axis(axis: Any, names: Sequence[str], *, rotation: int = 0) -> None:
    """One name at each whole number of an axis."""
    axis.set_ticks(range(len(names)), labels=names, rotation=rotation, fontsize=9 if len(names) <= 20 else 7)


def length(names: Sequence[str]) -> float:
    """Inches that the longest of these names takes, written as `label_axis` does."""
    return (0.078 if len(names) <= 20 else 0.061) * max(map(len, names), default=0)


def plain(axes: "Axes") -> None:
    """Without lines above and to the right."""
    axes.spines[["top", "right"]].set_visible(False)


def short(names: Sequence[str], *, longest: int = LONGEST_LABEL) -> list[str]:
    """Shortened in the middle, as names of subtypes differ at their end; a dollar sign is no start of a formula."""
    half = longest // 2
    names = [name if len(name) <= longest else f"{name[:half]}…{name[-half:]}" for name in map(str, names)]
    return [name.replace("$", r"\$") for name in names]
