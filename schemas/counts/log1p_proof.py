"""Is this ln(1 + counts per 10,000)? A cell proves it: what `expm1` brings back sums to 10,000 over its genes."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp

from ..normalization import COUNTS_PER

SAME_TOTAL = 1e-5
"""How far a total may be from 10,000, relatively. Scaling, logarithm and storage in float32 leave 2e-6 at most, and a
total that is off by 1e-5 moves every expression value by 1e-5."""

HALF, SINGLE = 2.0**-11, 2.0**-24
"""Largest error of a value that is stored in 16 or in 32 bits, relatively."""

DECIMALS = (2, 3, 4, 5)
"""Digits after the point that tables are written with; more are as good as float32."""

FEW_VALUES = 200
LARGEST = 20.0
"""A value above it is no logarithm of counts; of 10,000 the largest is 9.2."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """The largest error of a stored value: `absolute` + `relative` x value."""

    absolute: float = 0.0
    relative: float = SINGLE

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """As the digits of a sample's values show: written with a few decimals, or in 16 bits, as people do to save
        space. `values`: float; those that are not positive and finite say nothing.
        """
        values = values[(values > 0) & (values < np.inf)]
        candidates = [cls(0.5 * 10.0**-decimals, SINGLE) for decimals in DECIMALS] + [cls(0.0, HALF)]
        # A few values rule most of them out.
        for some in (values[:FEW_VALUES], values):
            candidates = [rounding for rounding in candidates if rounding._holds(some)]
        return candidates[0] if candidates else cls()

    def _holds(self, values: np.ndarray) -> bool:
        if not self.absolute:
            with np.errstate(over="ignore"):
                return bool((values.astype(np.float16) == values).all())
        steps = values / (2 * self.absolute)
        return bool((np.abs(steps - np.rint(steps)) <= 1.2 * SINGLE * steps + 1e-6).all())


@dataclass(frozen=True, slots=True)
class PerTenThousand:
    """Cells with the logarithm undone. `X`: CSR, float64, cells x genes, counts per 10,000. `totals`: float64 [cells].
    `fails`: bool [cells], cells with values that do not sum to 10,000, or are negative, missing or too large.
    """

    X: sp.csr_matrix
    totals: np.ndarray
    fails: np.ndarray


def undo_log1p(X: sp.csr_matrix, rounding: Rounding) -> PerTenThousand:
    """`X`: CSR, cells x all genes of the input, never changed. A cell without values is none that fails."""
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    values = X.data
    # Written so that NaN is looked at.
    if not (values.min(initial=0) >= 0 and values.max(initial=0) <= LARGEST):
        values = np.where((values >= 0) & (values <= LARGEST), values, np.nan)
    undone = np.expm1(values, dtype=np.float64)
    totals = np.zeros(X.shape[0])
    filled = np.flatnonzero(np.diff(X.indptr))
    if len(filled):
        totals[filled] = np.add.reduceat(undone, X.indptr[filled])
    off = np.abs(totals - COUNTS_PER)
    # NaN is neither zero nor close.
    fails = ~(off <= SAME_TOTAL * COUNTS_PER) & (totals != 0)
    doubtful = np.flatnonzero(fails & np.isfinite(totals))
    if len(doubtful) and (rounding.absolute or rounding.relative > SINGLE):
        few = sp.csr_matrix((undone, X.indices, X.indptr), shape=X.shape)[doubtful]
        error = (1 + few.data) * (rounding.absolute + rounding.relative * np.log1p(few.data))
        # Genes of one count are rounded alike, so errors add up; a value is still off by no more than its digits.
        fails[doubtful] = off[doubtful] > SAME_TOTAL * COUNTS_PER + np.add.reduceat(error, few.indptr[:-1])
    return PerTenThousand(sp.csr_matrix((undone, X.indices, X.indptr), shape=X.shape), totals, fails)


def prove(sample: sp.csr_matrix) -> PerTenThousand:
    """As `undo_log1p`, with the rounding that the sample itself shows."""
    return undo_log1p(sample, Rounding.of(sample.data.astype(np.float64)))


def proves_log1p(sample: sp.csr_matrix) -> bool:
    """Whether all cells of a sample that have values prove it."""
    undone = prove(sample)
    return bool(undone.totals.any() and not undone.fails.any())


def misfit(sample: sp.csr_matrix) -> str:
    """In words, how far a sample of logarithms is from sums of 10,000; empty where it is not."""
    undone = prove(sample)
    totals = undone.totals[undone.fails & np.isfinite(undone.totals)]
    if not len(totals):
        return ""
    low, high = f"{totals.min():,.1f}", f"{totals.max():,.1f}"
    sums = low if low == high else f"{low} to {high}"
    return (
        f", whose expm1 sums to {sums} and not to 10,000 in {undone.fails.sum()} of {len(undone.fails)} sampled cells"
    )
