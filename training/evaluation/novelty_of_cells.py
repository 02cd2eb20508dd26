"""Novelty of cells to networks, to the registered ones and to those of each fold that did not see them; the threshold
that follows, and the manifest's section `novelty`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from cellmark.schemas.manifest.manifest_trust import NoveltyEntry

from ..network.classifier import Classifier
from ..network.embedding import fit_embedding
from ..network.folded_network import fold
from .novelty_score import NAME, NoveltyScore, fit_novelty, member_outputs, novelty_rows
from .out_of_fold import OutOfFold

FALSE_REFUSAL_RATE = 0.02


def score_of(
    classifiers: Sequence[Classifier], x: sp.csr_matrix, codes: np.ndarray, train: np.ndarray
) -> tuple[NoveltyScore, tuple[np.ndarray, np.ndarray]]:
    """The score's constants and the embedding (mean, components) that they are of, from the cells `train`, numbers of
    rows of `x`: CSR, ln(1 + counts per 10,000).
    """
    members = [fold(classifier) for classifier in classifiers]
    embedding = fit_embedding(members, x[train])
    rows = novelty_rows(train)
    return fit_novelty(member_outputs(members, x[rows], *embedding), codes[rows]), embedding


def novelty_of(
    classifiers: Sequence[Classifier],
    x: sp.csr_matrix,
    score: NoveltyScore,
    embedding: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Novelty of the cells of `x`, [cells], as the graph gives it."""
    outputs = member_outputs([fold(classifier) for classifier in classifiers], x, *embedding)
    return score.of(outputs.logits, outputs.embedding)


def novelty_of_folds(held_out: OutOfFold, x: sp.csr_matrix, codes: np.ndarray) -> np.ndarray:
    """Novelty of each cell to the networks that did not see it, [cells]; NaN for cells that take no part."""
    found = np.full(len(codes), np.nan)
    for number, classifiers in enumerate(held_out.classifiers):
        inside = np.flatnonzero(held_out.plan.fold_of == number)
        score, embedding = score_of(classifiers, x, codes, held_out.train[number])
        found[inside] = novelty_of(classifiers, x[inside], score, embedding)
    return found


def threshold_cells(held_out: OutOfFold, codes: np.ndarray) -> np.ndarray:
    """Numbers of the held-out cells that settle the threshold: those that can be judged, of folds whose networks
    resemble the registered ones. `codes`: int [cells].
    """
    judged = held_out.judged(codes)
    like = held_out.like_the_registered(codes)[held_out.plan.fold_of[judged]]
    return np.asarray(judged[like] if like.any() else judged)


def novelty_threshold(novelty: np.ndarray, rate: float = FALSE_REFUSAL_RATE) -> float:
    """The least value above which no more than `rate` of `novelty` lies."""
    return float(np.quantile(novelty, 1 - rate, method="higher"))


def novelty_section(
    held_out: OutOfFold, fold_novelty: np.ndarray, codes: np.ndarray, *, test_novelty: np.ndarray
) -> dict[str, Any] | None:
    """As `NoveltyEntry`, without types left out; None where no fold could be judged.

    `fold_novelty`: [cells], see `novelty_of_folds`; `codes`: int [cells]. `test_novelty`: of the test cells to the
    registered model, [test cells].
    """
    cells = threshold_cells(held_out, codes)
    if len(cells) == 0:
        return None
    threshold = novelty_threshold(fold_novelty[cells])
    unused = set(range(len(held_out.plan.names))) - set(held_out.plan.fold_of[cells].tolist())
    section = {
        "score": NAME,
        "threshold": threshold,
        "false_refusal_rate": FALSE_REFUSAL_RATE,
        "folds": held_out.plan.folds,
        "n_cells": len(cells),
        "unused_folds": [held_out.plan.names[number] for number in sorted(unused)],
        "test_refusal_rate": float((test_novelty > threshold).mean()) if len(test_novelty) else None,
    }
    return NoveltyEntry.model_validate(section).model_dump(mode="json")
