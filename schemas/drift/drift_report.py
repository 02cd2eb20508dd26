"""What `cellmark drift` found, and from which effect on a measure counts as moved and as far.

Limits are conventions, widened to what training donors differ by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ..reference_profile import RATIOS, ReferenceProfile

if TYPE_CHECKING:
    from .spreads import CellsInPlane, Spread

Severity = Literal["ok", "moved", "far"]
ORDER: dict[Severity, int] = {"ok": 0, "moved": 1, "far": 2}


@dataclass(frozen=True)
class Measure:
    """One measure of all cells. `observed`, `expected`: medians or shares; `effect`: what limits judge; `ks`: the
    Kolmogorov-Smirnov distance of the two distributions, at the profile's quantiles and so at most 0.05 too small.
    None: not measured. `severity` is None then, and for too few cells; `reason` says why.
    """

    name: str
    observed: float | None = None
    expected: float | None = None
    effect: float | None = None
    ks: float | None = None
    severity: Severity | None = None
    is_fault: bool = True
    reason: str | None = None


@dataclass(frozen=True)
class TypeDrift:
    """Cells whose most probable type is this one. `strange`, `unsure`: shares beyond what 95 % of held-out cells of the
    type reach; `library_size_ratio`: of medians. `outside`: the type's cells are outside the training range; None for
    too few cells.
    """

    cell_type: str
    n_cells: int
    share: float
    expected_share: float
    unassigned: float | None
    expected_unassigned: float | None
    strange: float | None
    unsure: float | None
    library_size_ratio: float | None
    outside: bool | None


@dataclass(frozen=True)
class GeneDrift:
    """Share of cells with at least one count of a gene. `expected`: of training cells, composed as these cells."""

    gene: str
    observed: float
    expected: float
    difference: float


@dataclass(frozen=True)
class PanelFacts:
    """`genes`: the panel's symbols; `observed`: share of cells that count each, NaN for a gene that was not measured;
    `expected`: of training cells, [genes] each. `attribution_share`: that the measured genes carry, where known.
    """

    genes: Sequence[str]
    observed: np.ndarray
    expected: np.ndarray
    attribution_share: float | None = None


class Limits(NamedTuple):
    """Where a measure counts as `moved` and as `far`, and of which effect. `donors`: the largest effect of any training
    donor beside the others, as it is judged; None where there were no donors.
    """

    effect: str
    moved: float
    far: float
    donors: float | None = None


LIMITS = {
    "library_size": Limits("ratio of medians within types, either way", 1.5, 4.0),
    "genes_detected": Limits("ratio of medians within types, either way", 1.3, 2.5),
    "mitochondrial_share": Limits("difference of medians within types, either way", 0.03, 0.10),
    "confidence": Limits("share of cells less confident than 95 % of held-out cells of their type", 0.15, 0.30),
    "novelty": Limits("share of cells more novel than 95 % of held-out cells of their type", 0.15, 0.30),
    "unassigned": Limits("share of cells above what is expected", 0.03, 0.10),
    "panel_overlap": Limits("share of the panel's genes that were not measured", 0.10, 0.30),
    "detection": Limits("mean difference of detection rates beyond chance, over genes of the panel", 0.05, 0.15),
    "composition": Limits("total variation between the shares of called types; no fault by itself", 0.10, 0.30),
}
"""Conventions. The docs give the reasons."""


@dataclass(frozen=True)
class DriftReport:
    """`severity`: the worst of the measures that can be faults; None when nothing could be judged. `n_reference`:
    held-out cells, of which `n_answers` tell confidence, novelty and unassigned cells; `part`: which these are (see
    `ReferenceProfile`). `limits`: that the measures were judged by. `spreads`: of each measure, for all cells and by
    type; `in_plane`: where the cells lie in the model's flat view, None where it has none or only calls are known.
    """

    n_cells: int
    n_reference: int
    n_answers: int
    part: str
    severity: Severity | None
    measures: tuple[Measure, ...]
    limits: Mapping[str, Limits]
    cell_types: tuple[TypeDrift, ...]
    genes: tuple[GeneDrift, ...]
    attribution_share: float | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    spreads: "tuple[Spread, ...]" = ()
    in_plane: "CellsInPlane | None" = None

    def measure(self, name: str) -> Measure:
        """The measure of that name."""
        return next(measure for measure in self.measures if measure.name == name)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, with the limits. Of the flat view: which share of the cells lies where held-out cells do."""
        plain = asdict(replace(self, in_plane=None))
        view = (
            None if self.in_plane is None else {"inside": self.in_plane.inside, "expected": self.in_plane.plane.inside}
        )
        return {**plain, "in_plane": view, "limits": {name: limits._asdict() for name, limits in self.limits.items()}}


def judged_size(name: str, effect: float) -> float:
    """An effect as limits judge it: ratios as how many times larger or smaller, differences without their sign."""
    if name in RATIOS:
        return max(effect, 1 / effect) if effect > 0 else float("inf")
    return abs(effect) if name == "mitochondrial_share" else effect


def limits_of(profile: ReferenceProfile) -> dict[str, Limits]:
    """The conventions, and where training donors differ by more: `moved` from the largest effect of any of them, `far`
    from twice it (of a ratio, its square).
    """
    found = {}
    for name, limits in LIMITS.items():
        sizes = [judged_size(name, donor.effects[name]) for donor in profile.donors.values() if name in donor.effects]
        if not sizes:
            found[name] = limits
            continue
        largest = max(sizes)
        twice = largest**2 if name in RATIOS else 2 * largest
        found[name] = Limits(
            limits.effect,
            max(limits.moved, largest),
            max(limits.far, twice) if largest > limits.moved else limits.far,
            largest,
        )
    return found


def severity_of(limits: Limits, size: float) -> Severity:
    """By the limits of a measure. `size`: see `judged_size`."""
    if size >= limits.far:
        return "far"
    # What a training donor showed is no drift.
    return "moved" if size >= limits.moved and (limits.donors is None or size > limits.donors) else "ok"
