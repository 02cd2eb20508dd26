"""How much of what a model's calls rest on an input's genes carry, overall and for each type."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..errors import Finding, ParameterError

if TYPE_CHECKING:
    from .gene_panel import GeneMatch

N_NAMED = 10
"""Missing genes that a refusal names."""
N_NAMED_OF_TYPE = 3


@dataclass(frozen=True, eq=False)
class PanelEvidence:
    """Shares of the attribution mass: of the mean absolute attribution to a cell's own type, in training.

    `shares`: float64 [panel genes], types weighing the same, summing to 1. `per_type`: float64 [types, panel genes],
    each type's own, summing to 1, or all 0 for a type of which no cell was called right. `cell_types`: [types].
    `min_mass`, `min_type_mass`: the floors of `OverlapEntry`, None for a model that was not measured.
    """

    shares: np.ndarray
    per_type: np.ndarray
    cell_types: Sequence[str]
    min_mass: float | None = None
    min_type_mass: float | None = None

    def mass(self, measured: np.ndarray) -> float:
        """Share of the mass that the measured genes carry. `measured`: bool [panel genes]."""
        return float(self.shares[measured].sum() / self.shares.sum())

    def type_masses(self, measured: np.ndarray) -> np.ndarray:
        """Share of each type's own mass, float64 [types]; 1 for a type without any."""
        totals = self.per_type.sum(axis=1)
        there = self.per_type[:, measured].sum(axis=1)
        return np.asarray(np.divide(there, totals, out=np.ones_like(totals), where=totals > 0))

    def most_important(self, measured: np.ndarray, *, cell_type: int | None = None, top: int = N_NAMED) -> np.ndarray:
        """Columns of the genes that are missing most, the most important first; of one type where it is named."""
        shares = self.shares if cell_type is None else self.per_type[cell_type]
        missing = np.flatnonzero(~measured & (shares > 0))
        return np.asarray(missing[np.argsort(-shares[missing], kind="stable")][:top])


def floored(share: float) -> float:
    """The share to two digits, not above it: a floor that it passes."""
    return math.floor(100 * share) / 100


@lru_cache(maxsize=8)
def evidence_findings(
    evidence: PanelEvidence, symbols: tuple[str, ...], match: "GeneMatch", *, min_mass: float | None = None
) -> tuple[Finding, ...]:
    """The error of an input whose genes carry too little, or the warning that names the types that they say little of.

    `symbols`: of the panel. `min_mass`: a floor in place of the model's own; 0 refuses nothing.

    Remembered for the last matches.
    """
    if not match.missing:
        return ()
    floor = evidence.min_mass if min_mass is None else min_mass
    mass = evidence.mass(match.measured)
    if floor is not None and mass < floor:
        missing = evidence.most_important(match.measured)
        return (
            Finding(
                "GENES_INSUFFICIENT",
                where="var_names",
                expected=f"genes that carry at least {floor:.1%} of the evidence that calls rest on (the "
                "attribution mass)",
                found=f"{mass:.1%}, carried by {match.n_matched} of the model's {len(symbols)} genes",
                remedy=f"Provide all genes measured. Or accept worse calls: --min-attribution-share {floored(mass)}. "
                "Most matter: "
                + ", ".join(symbols[column] for column in missing)
                + ". Genes without counts belong to those measured. A model trained on shared genes calls better.",
                examples=tuple(symbols[column] for column in missing[:5]),
            ),
        )
    if evidence.min_type_mass is None:
        return ()
    masses = evidence.type_masses(match.measured)
    thin = sorted(np.flatnonzero(masses < evidence.min_type_mass).tolist(), key=lambda number: masses[number])
    if not thin:
        return ()
    return (
        Finding(
            "GENES_THIN_FOR_TYPES",
            where="var_names",
            expected=f"genes that carry at least {evidence.min_type_mass:.1%} of the evidence for each type",
            found=f"less for {', '.join(evidence.cell_types[number] for number in thin)}",
            remedy="Provide the genes that are missing, if they were measured. Calls of these types are less certain "
            "than the model's measures say, and more of their cells are called otherwise.",
            severity="warning",
            examples=tuple(_lacking(evidence, symbols, match.measured, number, masses[number]) for number in thin[:5]),
        ),
    )


def _lacking(evidence: PanelEvidence, symbols: Sequence[str], measured: np.ndarray, cell_type: int, mass: float) -> str:
    genes = evidence.most_important(measured, cell_type=cell_type, top=N_NAMED_OF_TYPE)
    return f"{evidence.cell_types[cell_type]}: {mass:.0%}, without {', '.join(symbols[column] for column in genes)}"


def check_attribution_share(share: float | None, evidence: PanelEvidence | None) -> None:
    """Raise `ParameterError` on a floor out of its range, or for a model that does not know what its genes carry."""
    if share is None:
        return
    if not 0 <= share <= 1:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="min_attribution_share",
            expected="from 0 to 1",
            found=str(share),
            remedy="Give a share such as 0.6.",
        )
    if evidence is None:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="min_attribution_share",
            expected="a model that stores its genes' attribution shares",
            found="a model of an earlier version, or of another tool",
            remedy="Omit the floor, or train the model again.",
        )
