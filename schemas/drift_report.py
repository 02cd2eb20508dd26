"""What `cellmark drift` found: measures with their limits, cell types and genes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

Severity = Literal["ok", "moved", "far"]
ORDER: dict[Severity, int] = {"ok": 0, "moved": 1, "far": 2}


class Limits(NamedTuple):
    """Where a measure counts as `moved` and as `far`, and of which effect."""

    effect: str
    moved: float
    far: float


LIMITS = {
    "library_size": Limits("ratio of medians within types, either way", 1.5, 4.0),
    "genes_detected": Limits("ratio of medians within types, either way", 1.3, 2.5),
    "mitochondrial_share": Limits("difference of medians within types, either way", 0.03, 0.10),
    "confidence": Limits("share of cells less sure than 95 % of held-out cells of their type", 0.15, 0.30),
    "novelty": Limits("share of cells stranger than 95 % of held-out cells of their type", 0.15, 0.30),
    "unassigned": Limits("share of cells above what is expected", 0.03, 0.10),
    "panel_overlap": Limits("share of the panel's genes that were not measured", 0.10, 0.30),
    "detection": Limits("mean difference of detection rates, over genes of the panel", 0.05, 0.15),
    "composition": Limits("total variation between the shares of called types; no fault by itself", 0.10, 0.30),
}
"""Of each measure. The docs give the reasons."""


@dataclass(frozen=True)
class Measure:
    """One measure of all cells. `observed`, `expected`: medians or shares; `effect`: what `LIMITS` judge; `ks`: the
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


@dataclass(frozen=True)
class DriftReport:
    """`severity`: the worst of the measures that can be faults; None when nothing could be judged."""

    n_cells: int
    n_reference: int
    part: str
    severity: Severity | None
    measures: tuple[Measure, ...]
    cell_types: tuple[TypeDrift, ...]
    genes: tuple[GeneDrift, ...]
    attribution_share: float | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def measure(self, name: str) -> Measure:
        """The measure of that name."""
        return next(measure for measure in self.measures if measure.name == name)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, with the limits."""
        return {**asdict(self), "limits": {name: limits._asdict() for name, limits in LIMITS.items()}}


def severity_of(name: str, effect: float) -> Severity:
    """By the limits of a measure."""
    limits = LIMITS[name]
    return "far" if effect >= limits.far else "moved" if effect >= limits.moved else "ok"
