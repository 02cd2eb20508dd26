"""What becomes of cells of a type that a model has never seen: each type left out in turn (`--evaluate full`)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import roc_auc_score

from cellmark.schemas.normalization import normalize

from .choose_panel import choose_panel
from .ensemble import fit_ensemble, predict_probabilities
from .fit_settings import FitSettings
from .novelty_of_cells import novelty_of, novelty_of_folds, novelty_threshold, score_of
from .out_of_fold import FEWEST_CELLS, MOST_MEMBERS, FoldPlan, fit_out_of_fold, plan_folds, with_validation

MIN_CELLS = 50
"""Types with fewer cells are not left out: what is found on a handful says little."""
MIN_UNKNOWN = 5
"""Cells of the type that a fold must have."""


def left_out_types(
    counts: sp.csr_matrix,
    library_size: np.ndarray,
    codes: np.ndarray,
    donors: np.ndarray | None,
    cell_types: Sequence[str],
    plan: FoldPlan,
    *,
    members: Sequence[FitSettings],
    max_genes: int | None,
    seed: int,
    device: str = "cpu",
    on_step: Callable[[str], None] = lambda step: None,
) -> list[dict[str, Any]]:
    """Rows of `NoveltyEntry.left_out`: for each fold and type, a model of the other folds without the type.

    `counts`: CSR, all cells x all genes, raw; `codes`: int [cells], numbers of `cell_types`. Panel, networks, score and
    threshold all come from cells of other folds and other types; the threshold from folds among those. Unknown cells
    are the fold's cells of the type, known ones its cells of types that were learned.
    """
    members = members[:MOST_MEMBERS]
    sizes = np.bincount(codes[plan.cells], minlength=len(cell_types))
    rows = []
    for number, fold_name in enumerate(plan.names):
        inside = np.flatnonzero(plan.fold_of == number)
        for code in np.flatnonzero(sizes >= MIN_CELLS).tolist():
            if (codes[inside] == code).sum() < MIN_UNKNOWN:
                continue
            on_step(f"{cell_types[code]}, {fold_name}")
            others = plan.cells[(plan.fold_of[plan.cells] != number) & (codes[plan.cells] != code)]
            found = without_type(
                counts, library_size, codes, donors, others, inside, code, n_types=len(cell_types),
                members=members, max_genes=max_genes, seed=seed, device=device,
            )  # fmt: skip
            if found is not None:
                rows.append({"cell_type": cell_types[code], "fold": fold_name, **found})
    return rows


def without_type(
    counts: sp.csr_matrix,
    library_size: np.ndarray,
    codes: np.ndarray,
    donors: np.ndarray | None,
    others: np.ndarray,
    inside: np.ndarray,
    code: int,
    *,
    n_types: int,
    members: Sequence[FitSettings],
    max_genes: int | None,
    seed: int,
    device: str = "cpu",
) -> dict[str, Any] | None:
    """One row: a model of the cells `others` asked about the cells `inside`, where those of type `code` are unknown.

    None where fewer than two types can be learned, or no known cell is inside.
    """
    learned = np.bincount(codes[others], minlength=n_types) >= FEWEST_CELLS
    others = others[learned[codes[others]]]
    unknown = inside[codes[inside] == code]
    known = inside[learned[codes[inside]] & (codes[inside] != code)]
    if learned.sum() < 2 or len(known) == 0 or len(unknown) == 0:
        return None
    train, validation = with_validation(others, codes, seed=seed)
    of_train = counts[train], library_size[train]
    columns = choose_panel(*of_train, normalize(*of_train), codes[train], max_genes=max_genes)
    panel = counts[:, columns]
    panel.sort_indices()
    x = normalize(panel, library_size)
    fitted = fit_ensemble(
        x, codes, train=train, validation=validation, n_types=n_types, members=members, seed=seed, device=device
    )
    score, embedding = score_of(fitted.classifiers, x, codes, train)
    folds = fit_out_of_fold(
        x, codes, plan_folds(codes, donors, others, seed=seed), n_types=n_types, members=members, seed=seed,
        device=device,
    )  # fmt: skip
    calibration = novelty_of_folds(folds, x, codes)[folds.judged(codes)]
    if len(calibration) == 0:
        return None
    threshold = novelty_threshold(calibration)
    of_unknown, of_known = (novelty_of(fitted.classifiers, x[rows], score, embedding) for rows in (unknown, known))
    doubt = 1 - predict_probabilities(fitted.classifiers, x[np.concatenate([unknown, known])]).max(axis=1)
    is_unknown = np.arange(len(unknown) + len(known)) < len(unknown)
    return {
        "n_unknown": len(unknown),
        "n_known": len(known),
        "auroc": float(roc_auc_score(is_unknown, np.concatenate([of_unknown, of_known]))),
        "auroc_of_confidence": float(roc_auc_score(is_unknown, doubt)),
        "refused": float((of_unknown > threshold).mean()),
        "known_refused": float((of_known > threshold).mean()),
    }
