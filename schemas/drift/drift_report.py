"""What `cellmark drift` found: measures with their limits, cell types and genes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from .drift_limits import Limits

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


@dataclass(frozen=True)
class DriftReport:
    """`severity`: the worst of the measures that can be faults; None when nothing could be judged. `n_reference`:
    held-out cells, of which `n_answers` tell confidence, novelty and unassigned cells; `part`: which these are (see
    `ReferenceProfile`). `limits`: that the measures were judged by.
    """

    n_cells: int
    n_reference: int
    n_answers: int
    part: str
    severity: Severity | None
    measures: tuple[Measure, ...]
    limits: Mapping[str, "Limits"]
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
        return {**asdict(self), "limits": {name: limits._asdict() for name, limits in self.limits.items()}}
