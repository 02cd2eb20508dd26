"""The states that expression values are found in, and their words."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .count_steps import Transform

StateName = Literal[
    "counts",
    "counts_times",
    "counts_per",
    "counts_transformed",
    "transformed_counts_per",
    "total_per",
    "transformed_total_per",
    "scaled",
    "residuals",
    "min_max",
    "binary",
    "rounded",
    "rounded_log",
    "depth_corrected",
    "corrected",
    "imputed",
    "mixed",
    "unknown",
]
Confidence = Literal["certain", "likely", "unknown"]

SAME_TOTAL = 0.01
"""Totals are equal when nine in ten cells lie within this, relatively."""

FEWEST_TOTALS = 5
ROUND_TOTAL = 1e-4


@dataclass(frozen=True, slots=True)
class ExpressionState:
    """What values are. `text`: as in "X looks like ...". `confidence`: `certain` where the values themselves prove it,
    `likely` where their distribution speaks for it. `transform`: what was done last. `per`: the total that cells were
    brought to, None when it is unknown. `factor`: what counts were multiplied by. `part`: of a mixture, the state
    of the cells that are not counts.
    """

    name: StateName
    text: str
    confidence: Confidence
    transform: Transform = "none"
    per: float | None = None
    factor: float | None = None
    evidence: tuple[str, ...] = ()
    part: "ExpressionState | None" = None

    @property
    def recoverable(self) -> bool:
        """Whether whole counts can be read out of the values."""
        return self.name in ("counts_times", "counts_per", "counts_transformed", "transformed_counts_per")


def constant_total(values: np.ndarray, indptr: np.ndarray) -> float | None:
    """The total that the cells share, to four digits, or None. `values`: linear, of a CSR without empty rows."""
    totals = np.add.reduceat(values, indptr[:-1])
    if not np.isfinite(totals).all():
        return None
    low, middle, high = np.quantile(totals, [0.05, 0.5, 0.95])
    if not 0 < high <= low + SAME_TOTAL * middle:
        return None
    # A few totals may be equal by chance, but hardly a power of ten.
    is_round = abs(middle / 10.0 ** np.rint(np.log10(middle)) - 1) < ROUND_TOTAL
    return float(f"{middle:.4g}") if len(totals) >= FEWEST_TOTALS or is_round else None


def per_in_words(total: float | None, what: str = "counts") -> str:
    """`counts per 10,000`."""
    if total is None:
        return f"{what} per an unknown N"
    return f"{what} per {total:,.0f}" if total >= 10 else f"{what} per {total:g}"


def log_in_words(transform: Transform, what: str) -> str:
    """`ln(1 + counts per 10,000)`."""
    match transform:
        case "none":
            return what
        case "ln" | "log2" | "log10":
            return f"{transform}(1 + {what})"
        case "ln twice":
            return f"ln(1 + ln(1 + {what})), the logarithm taken twice"
        case "sqrt":
            return f"the square root of {what}"
