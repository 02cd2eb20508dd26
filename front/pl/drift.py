"""How far cells are from those that a model was tested on."""

from typing import TYPE_CHECKING

import numpy as np

from cellmark.schemas.drift.drift_report import judged_size
from cellmark.schemas.drift.drift_words import NAMES

from ..said_in_python import speaks_python
from .canvas import axes_for, name_rows, rows_high

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..drift import Drift

COLORS = {"ok": "#4C9F70", "moved": "#E69F00", "far": "#B2182B"}
ZONES = (("ok", 0.0, 1.0), ("moved", 1.0, 2.0), ("far", 2.0, 3.0))
"""Each measure is drawn on a scale of its own limits: 1 is where it counts as moved, 2 as far."""


@speaks_python
def drift(found: "Drift", *, ax: "Axes | None" = None) -> "Axes":
    """Each measure between its limits: `ok`, `moved` or `far`; one that was not judged has no dot.

    `found`: what `model.drift` returned. What is beyond three halves of `far` is drawn at the edge.

    Examples
    --------
    >>> axes = cm.pl.drift(model.drift(adata))
    >>> axes.get_yticklabels()[0].get_text()
    'library size'
    """
    measures = found.report.measures
    axes = axes_for(ax, "drift", width=6.5, height=rows_high(len(measures)) + 0.2)
    for name, low, high in ZONES:
        axes.axvspan(low, high, color=COLORS[name], alpha=0.13, linewidth=0)
    for row, measure in enumerate(measures):
        if measure.effect is None or measure.severity is None:
            axes.text(0.06, row, measure.reason or "not judged", va="center", fontsize="small", color="0.4")
            continue
        limits = found.report.limits[measure.name]
        place = _place(judged_size(measure.name, measure.effect), limits.moved, limits.far)
        axes.plot([0, place], [row, row], color=COLORS[measure.severity], linewidth=2)
        axes.plot(place, row, "o", color=COLORS[measure.severity], markersize=8)
    name_rows(axes, [NAMES.get(measure.name, measure.name) for measure in measures])
    axes.set_xlim(0, 3)
    axes.set_xticks([0.5, 1.5, 2.5], labels=[name for name, _, _ in ZONES])
    axes.tick_params(axis="x", length=0)
    axes.set_title(f"Drift: {found.severity or 'not judged'}", fontsize="medium", loc="left")
    return axes


def _place(size: float, moved: float, far: float) -> float:
    """0 for nothing, 1 at `moved`, 2 at `far`, 3 from half beyond `far` on."""
    smallest = 1.0 if moved > 1 else 0.0  # ratios begin at 1
    return float(np.interp(size, [smallest, moved, far, far + (far - smallest) / 2], [0, 1, 2, 3]))
