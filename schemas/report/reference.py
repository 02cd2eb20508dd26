"""What held-out cells looked like, type by type: what `cellmark drift` compares new cells with."""

from collections.abc import Sequence
from typing import Any

from ..drift.drift_report import judged_size, limits_of
from ..drift.drift_words import NAMES, size_in_words
from ..reference_profile import FEWEST_CELLS, ReferenceProfile
from . import tables

SHOWN = (0, 4, 9, 14, 18)
"""Places of 5, 25, 50, 75 and 95 % among the profile's levels."""
MEASURES = (
    ("confidence", "Confidence", False),
    ("novelty", "Novelty", False),
    ("library_size", "Library size", True),
    ("genes_detected", "Genes detected", True),
    ("mitochondrial_share", "Mitochondrial share", False),
)
MOST_DONORS = 12


def reference_view(profile: ReferenceProfile | None, cell_types: Sequence[str]) -> dict[str, Any]:
    """What the section shows; empty for a model without a profile."""
    if profile is None:
        return {}
    charts = []
    for measure, title, log in MEASURES:
        spreads = {}
        for name in cell_types:
            quantiles = profile.cell_types[name].quantiles(measure) if name in profile.cell_types else None
            if quantiles is not None:
                spreads[name] = [float(quantiles[place]) for place in SHOWN]
        if spreads:
            chart = tables.spread_chart(spreads, list(cell_types), label=title.lower(), of="held-out", log=log)
            charts.append({"title": title, "chart": chart, "source": f"cell_types.*.{measure}"})
    return {
        "n": profile.overall.n_cells,
        "n_answers": profile.overall.n_answers,
        "part": profile.part,
        "unassigned": profile.overall.unassigned,
        "charts": charts,
        "fewest": FEWEST_CELLS,
        "donors": _donors(profile),
    }


def _donors(profile: ReferenceProfile) -> dict[str, Any]:
    """How each donor differs from the others, a row for each measure; the donors that differ most, where there are
    many.
    """
    if not profile.donors:
        return {}
    limits = limits_of(profile)
    names = sorted(
        profile.donors,
        key=lambda donor: (
            -max(
                (
                    judged_size(name, effect) / limits[name].moved
                    for name, effect in profile.donors[donor].effects.items()
                ),
                default=0.0,
            )
        ),
    )[:MOST_DONORS]
    names = sorted(names)
    rows = [
        {
            "measure": NAMES[measure],
            "effect": limit.effect,
            "moved": size_in_words(measure, limit.moved),
            "effects": [
                size_in_words(measure, profile.donors[donor].effects[measure])
                if measure in profile.donors[donor].effects
                else "–"
                for donor in names
            ],
        }
        for measure, limit in limits.items()
        if limit.donors is not None
    ]
    return {"names": names, "rows": rows, "n": len(profile.donors)}
