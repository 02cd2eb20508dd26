"""Whole numbers that are no counts: binary, rounded, multiplied, or with their depth taken out.

Counts have ones, vary at least as a Poisson variable does, and grow with depth in every gene alike.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse as sp

from ..normalization import row_sums

WholeKind = Literal["counts", "binary", "multiple", "rounded", "rounded_log", "depth_corrected"]

FEW_CELLS = 10
"""Below this many cells nothing is said of how genes vary."""

ENOUGH_CELLS = 50
ENOUGH_VALUES = 50
"""Non-zero values that a cell needs before the lack of ones says something."""

SMALLEST_TIED = 0.1
"""Share of a cell's genes that have its smallest value: what was one count before it was multiplied is common."""

FEWEST_MISSED = 10.0
"""Expected number of values above 1 from which their absence means that the values were made binary."""

FEWEST_DETECTED = 20
"""Rare genes that half of the cells must show before their number says how deep a cell is."""

N_TOP_GENES = 50
FEWEST_TOP_GENES = 10
TOP_MEAN = 1.0
RARE_MEAN = 0.3
EVENED = 0.7
"""Spread of totals over spread of detected rare genes: about 1 in counts, at most 0.5 where depth was taken out."""

ALL_ALIKE = 0.03

LARGEST_LOG = 64
"""A logarithm or root rounded to whole numbers is never larger; most samples of counts are, and need no closer look."""

USUAL_SPREAD = 0.3
"""Totals that vary more than this have their depth: the number of detected genes hardly ever varies twice as much."""

VALUES_FOR_VARIATION = 150_000
"""Values that a closer look takes in: a millisecond's work."""


@dataclass(frozen=True, slots=True)
class WholeNumbers:
    """What whole numbers are. `factor`: what counts were multiplied by. `evidence`: in words, empty for counts."""

    kind: WholeKind
    evidence: str = ""
    factor: int = 1


COUNTS = WholeNumbers("counts")


def judge_whole_numbers(X: sp.csr_matrix) -> WholeNumbers:
    """`X`: CSR, sampled cells x genes, whole numbers of at least 0, never changed. Cheap: a few passes over the values.

    What cannot be decided (few cells, few genes) passes as counts.
    """
    found = _judge(X)
    if found.kind == "counts" or X.has_canonical_format:
        return found
    # A file may store a count in parts, such as a one for every molecule.
    joined = X.copy()
    joined.sum_duplicates()
    return _judge(joined)


def _judge(X: sp.csr_matrix) -> WholeNumbers:
    data = X.data
    if len(data) == 0 or (largest := data.max()) == 0:
        return COUNTS
    filled = np.flatnonzero(np.diff(X.indptr))
    smallest = np.minimum.reduceat(data, X.indptr[filled])
    if smallest.min() == 0:
        X = X.copy()
        X.eliminate_zeros()
        return _judge(X)
    starts, lengths = X.indptr[filled], np.diff(X.indptr)[filled]
    if largest == 1:
        return _judge_ones(X, lengths)
    judged = lengths >= ENOUGH_VALUES
    if judged.any():
        without_ones = judged & (smallest > 1)
        if without_ones.sum() > judged.sum() / 2:
            found = _judge_without_ones(data, starts, smallest, without_ones)
            if found.kind != "counts":
                return found
    if largest > LARGEST_LOG and (len(filled) < ENOUGH_CELLS or _spread(row_sums(X)[filled]) >= USUAL_SPREAD):
        return COUNTS
    n_cells = max(ENOUGH_CELLS, VALUES_FOR_VARIATION * len(filled) // len(data))
    return _judge_variation(X[filled[:: max(len(filled) // n_cells, 1)]])


def _judge_ones(X: sp.csr_matrix, lengths: np.ndarray) -> WholeNumbers:
    """Poisson counts of a gene seen in a share p of cells have p + (1 - p) ln(1 - p) cells above 1 (more, if they vary
    more), so their absence tells binary values from very shallow counts.
    """
    n_cells = len(lengths)
    if n_cells < FEW_CELLS:
        is_binary = bool(np.median(lengths) >= 200)
    else:
        share = np.minimum(np.bincount(X.indices, minlength=X.shape[1]) / n_cells, 1 - 0.5 / n_cells)
        is_binary = float(n_cells * (share + (1 - share) * np.log1p(-share)).sum()) >= FEWEST_MISSED
    return WholeNumbers("binary", "no value is above 1 where counts this deep have many") if is_binary else COUNTS


def _judge_without_ones(
    data: np.ndarray, starts: np.ndarray, smallest: np.ndarray, without_ones: np.ndarray
) -> WholeNumbers:
    divisor = int(np.gcd.reduce(data.astype(np.int64)))
    if divisor > 1:
        return WholeNumbers("multiple", f"every value is a multiple of {divisor}", divisor)
    lengths = np.diff(np.append(starts, len(data)))
    tied = np.add.reduceat(data == np.repeat(smallest, lengths), starts, dtype=np.float64) / lengths
    if np.median(tied[without_ones]) < SMALLEST_TIED:
        # Deep cells of strong genes alone: the smallest of many different counts is not 1.
        return COUNTS
    return WholeNumbers("rounded", f"no gene has a count of 1 in {without_ones.mean():.0%} of the sampled cells")


def _judge_variation(X: sp.csr_matrix) -> WholeNumbers:
    n_cells, n_genes = X.shape
    starts = X.indptr[:-1]
    if n_cells < FEW_CELLS:
        return COUNTS
    genes, data = X.indices.astype(np.intp), X.data.astype(np.float64)
    mean = np.bincount(genes, weights=data, minlength=n_genes) / n_cells
    strong = np.flatnonzero(mean >= TOP_MEAN)
    strong = strong[np.argsort(-mean[strong])[:N_TOP_GENES]]
    if len(strong) >= FEWEST_TOP_GENES:
        is_strong = np.zeros(n_genes, dtype=bool)
        is_strong[strong] = True
        entries = np.flatnonzero(is_strong[genes])
        square = np.bincount(genes[entries], weights=data[entries] ** 2, minlength=n_genes)[strong] / n_cells
        dispersion = np.quantile((square - mean[strong] ** 2) / mean[strong], 0.1)
        # Sampling error of a variance: sqrt(2 / (n - 1)) of it.
        if dispersion < 0.8 - 2.2 * np.sqrt(2 / (n_cells - 1)):
            evidence = f"strong genes vary less than chance alone makes counts vary (variance {dispersion:.2f} x mean)"
            return WholeNumbers("rounded_log", evidence)
    if n_cells < ENOUGH_CELLS:
        return COUNTS
    totals = np.add.reduceat(data, starts)
    detected = np.add.reduceat((mean < RARE_MEAN)[genes], starts, dtype=np.float64)
    usual = float(np.median(detected))
    if usual < FEWEST_DETECTED or totals.min() == totals.max():
        # The same total for all is what downsampling leaves: those are counts.
        return COUNTS
    # Without what chance alone does to so small a number.
    by_total, by_detected = _spread(totals), np.sqrt(max(_spread(detected + 1) ** 2 - 1 / usual, 0.0))
    if by_detected < 0.1 or by_total >= EVENED * by_detected:
        return COUNTS
    evidence = f"totals vary by {by_total:.1%}, the number of rare genes seen by {by_detected:.0%}: depth was taken out"
    return WholeNumbers("rounded" if by_total < ALL_ALIKE else "depth_corrected", evidence)


def _spread(values: np.ndarray) -> float:
    """A robust standard deviation of the logarithm."""
    low, high = np.quantile(np.log(values), [0.16, 0.84])
    return float(high - low) / 2
