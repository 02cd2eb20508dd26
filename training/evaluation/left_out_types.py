"""What becomes of cells of a type that a model has never seen: each type left out in turn (`--evaluate full`), or a
few types of one fold together, which costs about as much as fitting the networks once.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import roc_auc_score

from cellmark.schemas.normalization import normalize

from ..cells.choose_panel import choose_panel
from ..network.ensemble import first_members, fit_ensemble, predict_probabilities
from ..network.fit_settings import FitData, FitSettings
from .novelty import fold_scores, novelty_of, novelty_of_folds, novelty_threshold, score_of, threshold_cells
from .out_of_fold import FEWEST_CELLS, MOST_FOLDS, MOST_MEMBERS, FoldPlan, fit_out_of_fold, plan_folds, with_validation

MIN_CELLS = 50
"""Types with fewer cells are not left out: what is found on a handful says little."""
MIN_UNKNOWN = 5
"""Cells of the type that a fold must have."""
MOST_TOGETHER = 3
"""Types that are left out together at most, and no more than a third of those that could be."""
FEW_FOLDS = 2
"""Folds that the quick protocol sets its threshold on."""


@dataclass(frozen=True)
class TypesOut:
    """What models without some types are made of.

    `counts`: CSR, all cells x all genes, raw; `library_size`: [cells]; `codes`: int [cells], numbers of `cell_types`;
    `donors`: str [cells] or None. `members`: as for `fit_ensemble`; `max_genes`: of the panel, None for all expressed.
    """

    counts: sp.csr_matrix
    library_size: np.ndarray
    codes: np.ndarray
    donors: np.ndarray | None
    cell_types: Sequence[str]
    members: Sequence[FitSettings]
    max_genes: int | None
    seed: int
    device: str = "cpu"


def left_out_types(
    given: TypesOut, plan: FoldPlan, *, on_step: Callable[[str], None] = lambda step: None
) -> list[dict[str, Any]]:
    """Rows of `NoveltyEntry.left_out`: for each fold and type, a model of the other folds without the type.

    Panel, networks, score and threshold all come from cells of other folds and other types; the threshold from folds
    among those. Unknown cells are the fold's cells of the type, known ones its cells of types that were learned. Of the
    members the first `MOST_MEMBERS` are fitted.
    """
    given = replace(given, members=first_members(given.members, MOST_MEMBERS))
    codes, cell_types = given.codes, given.cell_types
    sizes = np.bincount(codes[plan.cells], minlength=len(cell_types))
    rows = []
    for number, fold_name in enumerate(plan.names):
        inside = np.flatnonzero(plan.fold_of == number)
        for code in np.flatnonzero(sizes >= MIN_CELLS).tolist():
            if (codes[inside] == code).sum() < MIN_UNKNOWN:
                continue
            on_step(f"{cell_types[code]}, {fold_name}")
            others = plan.cells[(plan.fold_of[plan.cells] != number) & (codes[plan.cells] != code)]
            found = without_types(given, others, inside, [code]).get(code)
            if found is not None:
                rows.append({"cell_type": cell_types[code], "fold": fold_name, **found})
    return rows


def some_left_out(given: TypesOut, plan: FoldPlan) -> list[dict[str, Any]]:
    """Rows of the same form in a fraction of the time: one network, one fold, a few types drawn by the seed and left
    out together.

    The fold is the one that leaves most cells to learn from. No rows where fewer than two types would be left.
    """
    given = replace(given, members=first_members(given.members, 1))
    codes, cell_types = given.codes, given.cell_types
    sizes = np.bincount(codes[plan.cells], minlength=len(cell_types))
    for number in np.argsort(np.bincount(plan.fold_of[plan.cells], minlength=len(plan.names)), kind="stable").tolist():
        inside = np.flatnonzero(plan.fold_of == number)
        there = np.bincount(codes[inside], minlength=len(cell_types))
        possible = np.flatnonzero((sizes >= MIN_CELLS) & (there >= MIN_UNKNOWN))
        most = min(max(1, len(possible) // 3), MOST_TOGETHER, len(cell_types) - 2)
        if len(possible) == 0 or most < 1:
            continue
        drawn = np.sort(np.random.default_rng(given.seed).choice(possible, most, replace=False)).tolist()
        others = plan.cells[(plan.fold_of[plan.cells] != number) & ~np.isin(codes[plan.cells], drawn)]
        found = without_types(given, others, inside, drawn, most_folds=FEW_FOLDS)
        names = [cell_types[code] for code in drawn]
        if found:
            return [
                {
                    "cell_type": cell_types[code],
                    "fold": plan.names[number],
                    **row,
                    "together": [name for name in names if name != cell_types[code]],
                }
                for code, row in found.items()
            ]
    return []


def without_types(
    given: TypesOut,
    others: np.ndarray,
    inside: np.ndarray,
    left_out: Collection[int],
    *,
    most_folds: int = MOST_FOLDS,
) -> dict[int, dict[str, Any]]:
    """A row for each type of `left_out`: a model of the cells `others`, which has none of these types, asked about the
    cells `inside`. `most_folds`: on which the threshold is set.

    Nothing where fewer than two types can be learned, or no known cell is inside.
    """
    counts, library_size, codes, donors = given.counts, given.library_size, given.codes, given.donors
    n_types, seed, device = len(given.cell_types), given.seed, given.device
    learned = np.bincount(codes[others], minlength=n_types) >= FEWEST_CELLS
    others = others[learned[codes[others]]]
    unknown = {code: inside[codes[inside] == code] for code in left_out if (codes[inside] == code).any()}
    known = inside[learned[codes[inside]] & ~np.isin(codes[inside], list(left_out))]
    if learned.sum() < 2 or len(known) == 0 or not unknown:
        return {}
    train, validation = with_validation(others, codes, seed=seed)
    of_train = counts[train], library_size[train]
    columns = choose_panel(*of_train, normalize(*of_train), codes[train], max_genes=given.max_genes)
    panel = counts[:, columns]
    panel.sort_indices()
    x = normalize(panel, library_size)
    data = FitData(x, codes, train, validation, n_types)
    fitted = fit_ensemble(data, members=given.members, seed=seed, device=device)
    score, embedding = score_of(fitted.classifiers, x, codes, data.learned(given.members[0]))
    plan = plan_folds(codes, donors, data.seen, seed=seed, most=most_folds)
    folds = fit_out_of_fold(data, plan, members=given.members, seed=seed, device=device)
    calibration = novelty_of_folds(fold_scores(folds, x, codes), x)[threshold_cells(folds, codes)]
    if len(calibration) == 0:
        return {}
    threshold = novelty_threshold(calibration)

    def ask(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        doubt = 1 - predict_probabilities(fitted.classifiers, x[rows]).max(axis=1)
        return novelty_of(fitted.classifiers, x[rows], score, embedding), doubt

    of_known, doubt_of_known = ask(known)
    rows = {}
    for code, cells in unknown.items():
        of_unknown, doubt = ask(cells)
        is_unknown = np.arange(len(cells) + len(known)) < len(cells)
        rows[code] = {
            "n_unknown": len(cells),
            "n_known": len(known),
            "auroc": float(roc_auc_score(is_unknown, np.concatenate([of_unknown, of_known]))),
            "auroc_of_confidence": float(roc_auc_score(is_unknown, np.concatenate([doubt, doubt_of_known]))),
            "refused": float((of_unknown > threshold).mean()),
            "known_refused": float((of_known > threshold).mean()),
        }
    return rows
