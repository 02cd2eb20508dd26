"""What a whole sample's novelty will be compared with, and how far it may be shifted: from held-out cells, as they are
and as another protocol might give them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from cellmark.schemas.calls.sample_shift import LEVELS, TAIL, quantiles_of_types, sample_shift, type_shifts
from cellmark.schemas.manifest.manifest_trust import PerturbedCells, SampleShiftEntry

from .novelty import FoldScore, threshold_cells
from .out_of_fold import OutOfFold

SPREAD = 1.5
"""Standard deviation of the logarithm of genes' factors: more than blood of two laboratories differs by."""
N_DRAWS = 3
MOST_CELLS = 5000
"""Where there are more cells, this many at even distances are perturbed."""


def sample_shift_section(
    held_out: OutOfFold,
    scores: Sequence[FoldScore],
    x: sp.csr_matrix,
    codes: np.ndarray,
    fold_novelty: np.ndarray,
    *,
    threshold: float,
    seed: int,
) -> dict[str, Any]:
    """As `SampleShiftEntry`, of the cells that settled the threshold. `x`: CSR, ln(1 + counts per 10,000); `codes`: int
    [cells]; `fold_novelty`: see `novelty_of_folds`.

    The cap is the largest shift of a donor left out from the others, or of perturbed cells, whichever is larger:
    donors of one laboratory may hardly differ.
    """
    cells, n_types = threshold_cells(held_out, codes), held_out.learned.shape[1]
    best, novelty = held_out.logits[cells].argmax(axis=1), fold_novelty[cells]
    quantiles = quantiles_of_types(best, novelty, n_types, *LEVELS)
    tail = quantiles_of_types(best, novelty, n_types, TAIL)
    plan = held_out.plan
    donors = _largest(best, novelty, plan.fold_of[cells], n_types) if plan.folds == "donors" else 0.0
    drawn = cells[np.unique(np.linspace(0, len(cells) - 1, min(MOST_CELLS, len(cells))).astype(int))]
    draws = [_perturbed(scores, x, drawn, seed=[seed, number]) for number in range(N_DRAWS)]
    # No type is too strange here: these are known to be cells of the model's types.
    shifts = [type_shifts(*draw, threshold=np.inf, reference=quantiles).in_common for draw in draws]
    perturbation = max(0.0, *(0.0 if shift is None else shift for shift in shifts))
    entry = SampleShiftEntry(
        quantiles=[tuple(row) if np.isfinite(row).all() else None for row in quantiles.tolist()],
        tail=[value if np.isfinite(value) else None for (value,) in tail.tolist()],
        cap=max(donors, perturbation),
        cap_of="donors" if donors > perturbation else "perturbation",
    )
    judged = [
        sample_shift(called, values, n_cells=len(drawn), threshold=threshold, reference=entry)
        for called, values in draws
    ]
    entry = entry.model_copy(
        update={
            "perturbed": PerturbedCells(
                spread=SPREAD,
                n_cells=len(drawn),
                refused=float(np.mean([(values > threshold).mean() for _, values in draws])),
                refused_as_sample=float(
                    np.mean(
                        [
                            (values > one.thresholds[called]).mean()
                            for one, (called, values) in zip(judged, draws, strict=True)
                        ]
                    )
                ),
            )
        }
    )
    return entry.model_dump(mode="json")


def perturb_genes(x: sp.csr_matrix, *, spread: float, seed: int | Sequence[int]) -> sp.csr_matrix:
    """Each gene's counts times a log-normal factor of mean 1, in every cell the same. `x`: CSR, cells x genes,
    ln(1 + counts per 10,000); library sizes stay as they are.
    """
    factors = np.exp(np.random.default_rng(seed).normal(0, spread, x.shape[1]) - spread**2 / 2)
    found = x.copy()
    found.data = np.log1p(np.expm1(x.data) * factors[x.indices]).astype(x.dtype)
    return found


def _perturbed(
    scores: Sequence[FoldScore], x: sp.csr_matrix, cells: np.ndarray, *, seed: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Best types and novelty of perturbed cells to the networks that did not see them, fold by fold."""
    best, novelty = [], []
    for score in scores:
        inside = cells[np.isin(cells, score.cells)]
        if len(inside):
            values, called = score.of(perturb_genes(x[inside], spread=SPREAD, seed=seed))
            best.append(called)
            novelty.append(values)
    return np.concatenate(best), np.concatenate(novelty)


def _largest(best: np.ndarray, novelty: np.ndarray, fold_of: np.ndarray, n_types: int) -> float:
    """The largest shift of a fold from all others; 0 where there is none."""
    shifts = [0.0]
    for number in np.unique(fold_of):
        inside = fold_of == number
        others = quantiles_of_types(best[~inside], novelty[~inside], n_types, *LEVELS)
        found = type_shifts(best[inside], novelty[inside], threshold=np.inf, reference=others)
        shifts.append(found.in_common or 0.0)
    return max(shifts)
