"""The novelty score: how unlike its training cells a cell is to a model, from three views that err differently.

1. the networks' doubt: entropy of the mean of their probabilities, which holds both the doubt of each and their
   disagreement;
2. the distance of the embedding from the nearest type's mean, and
3. that of the networks' mean logits, both Mahalanobis with the covariance that the types share (Lee et al. 2018,
   arXiv:1807.03888).

Members without hidden layers (logistic regression) have a part in the calls and none in the score: their logits grow
with each gene, so that a cell of another laboratory looks novel to them sooner than to networks.

Each is a logarithm, brought to mean 0 and standard deviation 1 on training cells; the score is their mean. Why these:
docs/methods/trust.md. All constants are kept as arrays, so that the graph computes it with ordinary operators.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import softmax

from cellmark.schemas.manifest.manifest_trust import NoveltyEntry

from ..network.classifier import Classifier
from ..network.folded_network import CHUNK, FoldedNetwork, fit_embedding, fold
from .out_of_fold import OutOfFold

NAME = "mean of doubt, distance in the embedding and distance of the logits"
LEAST_DISTANCE, LEAST_ENTROPY = 1e-3, 1e-4
"""Logarithms are taken of no less: what is nearer or surer than this is the same. Of a surer cell float32 has no digits
left for the entropy.
"""
SHRINKAGE = 0.1
"""Shrinkage of the shared covariance towards a sphere, so that directions with next to no variance do not rule."""
N_CELLS = 10_000


@dataclass(frozen=True)
class Whitened:
    """Squared distances from types' means in a space where the types' shared covariance is the identity.

    `matrix` [d, d] takes values there; `means` [types, d] lie there.
    """

    matrix: np.ndarray
    means: np.ndarray

    def nearest(self, values: np.ndarray) -> np.ndarray:
        """Squared distance from the nearest mean, [cells]. `values`: cells x d."""
        there = values @ self.matrix.T
        squares = (there**2).sum(axis=1)[:, None] - 2 * there @ self.means.T + (self.means**2).sum(axis=1)
        return np.asarray(squares.min(axis=1))


@dataclass(frozen=True)
class NoveltyScore:
    """Constants of the score. `means`, `scales`: of the three logarithms on training cells, [3]."""

    embedding: Whitened
    logits: Whitened
    means: np.ndarray
    scales: np.ndarray

    def of(self, outputs: "MemberOutputs") -> np.ndarray:
        """Novelty, larger is more novel, [cells]."""
        views = _views(self.embedding, self.logits, outputs)
        return np.asarray(((views - self.means) / self.scales).mean(axis=1))


@dataclass(frozen=True)
class MemberOutputs:
    """What members say of cells. `logits`: members x cells x types; `embedding`: cells x d; `networks`: whether a
    member has hidden layers, bool [members].
    """

    logits: np.ndarray
    embedding: np.ndarray
    networks: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """Number of the type that all members together call, int [cells]."""
        return np.asarray(self.logits.mean(axis=0).argmax(axis=1))

    @property
    def network_logits(self) -> np.ndarray:
        """What novelty is made of, networks x cells x types."""
        return np.asarray(self.logits[self.networks])


def member_outputs(
    members: Sequence[FoldedNetwork], x: sp.csr_matrix, embedding_mean: np.ndarray, embedding_components: np.ndarray
) -> MemberOutputs:
    """One pass over the cells. `x`: CSR, cells x genes, ln(1 + counts per 10,000); see `fit_embedding`."""
    n_cells = x.shape[0]
    logits = np.empty((len(members), n_cells, members[0].n_types), dtype=np.float32)
    embedding = np.empty((n_cells, len(embedding_components)), dtype=np.float32)
    for start in range(0, n_cells, CHUNK):
        rows = slice(start, start + CHUNK)
        values, hidden = x[rows].toarray(), []
        for number, member in enumerate(members):
            before, logits[number, rows] = member.forward(values)
            hidden += [np.maximum(z, 0) for z in before[-1:]]
        embedding[rows] = (np.hstack(hidden) - embedding_mean) @ embedding_components.T
    return MemberOutputs(logits, embedding, np.array([bool(member.hidden_units) for member in members]))


def fit_novelty(outputs: MemberOutputs, codes: np.ndarray) -> NoveltyScore:
    """The score's constants from training cells. `codes`: int [cells], their types.

    Types without cells have no mean.
    """
    mean_logits = outputs.network_logits.mean(axis=0)
    embedding, logits = _whiten(outputs.embedding, codes), _whiten(mean_logits, codes)
    views = _views(embedding, logits, outputs)
    return NoveltyScore(embedding, logits, views.mean(axis=0), np.maximum(views.std(axis=0), 1e-3))


def novelty_rows(train: np.ndarray) -> np.ndarray:
    """The training cells that the constants are fitted on: all, or `N_CELLS` evenly spaced."""
    places = np.unique(np.linspace(0, len(train) - 1, min(N_CELLS, len(train))).astype(int))
    return np.asarray(train[places])


def _views(embedding: Whitened, logits: Whitened, outputs: MemberOutputs) -> np.ndarray:
    """The three logarithms, cells x 3."""
    of_networks = outputs.network_logits
    probabilities = softmax(of_networks.astype(np.float64), axis=2).mean(axis=0)
    entropy = -(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(axis=1)
    distances = embedding.nearest(outputs.embedding), logits.nearest(of_networks.mean(axis=0))
    views = (np.maximum(entropy, LEAST_ENTROPY), *(np.maximum(values, LEAST_DISTANCE) for values in distances))
    return np.asarray(np.log(np.column_stack(views)))


def _whiten(values: np.ndarray, codes: np.ndarray) -> Whitened:
    values = values.astype(np.float64)
    present = np.unique(codes)
    means = np.array([values[codes == code].mean(axis=0) for code in present])
    residuals = values - means[np.searchsorted(present, codes)]
    d = values.shape[1]
    covariance = residuals.T @ residuals / max(len(values) - len(present), 1)
    spread = max(float(np.trace(covariance)) / d, 1e-12)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * spread * np.eye(d)
    matrix = np.linalg.inv(np.linalg.cholesky(covariance))
    return Whitened(matrix, means @ matrix.T)


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
    return score.of(member_outputs([fold(classifier) for classifier in classifiers], x, *embedding))


@dataclass(frozen=True)
class FoldScore:
    """What the networks of a fold score novelty with. `cells`: numbers of the fold's own; `score`, `embedding`: see
    `score_of`.
    """

    cells: np.ndarray
    classifiers: tuple[Classifier, ...]
    score: NoveltyScore
    embedding: tuple[np.ndarray, np.ndarray]

    def of(self, x: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        """Novelty and number of the best type of the cells of `x`, [cells] each."""
        outputs = member_outputs([fold(classifier) for classifier in self.classifiers], x, *self.embedding)
        return self.score.of(outputs), outputs.best


def fold_scores(held_out: OutOfFold, x: sp.csr_matrix, codes: np.ndarray) -> tuple[FoldScore, ...]:
    """One for each fold, from the cells that its networks were fitted on. `x`, `codes`: of all cells."""
    return tuple(
        FoldScore(
            np.flatnonzero(held_out.plan.fold_of == number),
            classifiers,
            *score_of(classifiers, x, codes, held_out.train[number]),
        )
        for number, classifiers in enumerate(held_out.classifiers)
    )


def novelty_of_folds(scores: Sequence[FoldScore], x: sp.csr_matrix) -> np.ndarray:
    """Novelty of each cell to the networks that did not see it, [cells]; NaN for cells that take no part."""
    found = np.full(x.shape[0], np.nan)
    for fold_score in scores:
        found[fold_score.cells], _ = fold_score.of(x[fold_score.cells])
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
    names, of_cell = held_out.plan.names, held_out.plan.fold_of[cells]
    unused = set(range(len(names))) - set(of_cell.tolist())
    section = {
        "score": NAME,
        "threshold": threshold,
        "false_refusal_rate": FALSE_REFUSAL_RATE,
        "folds": held_out.plan.folds,
        "n_cells": len(cells),
        "unused_folds": [names[number] for number in sorted(unused)],
        "refused_per_fold": {names[number]: rate for number, rate in _refused_of_folds(fold_novelty[cells], of_cell)},
        "test_refusal_rate": float((test_novelty > threshold).mean()) if len(test_novelty) else None,
    }
    return NoveltyEntry.model_validate(section).model_dump(mode="json")


def _refused_of_folds(novelty: np.ndarray, of_cell: np.ndarray) -> list[tuple[int, float]]:
    """Share of each fold's cells above the threshold of the others, by its number: what a new donor may expect."""
    numbers = np.unique(of_cell).tolist()
    return [
        (number, float((novelty[of_cell == number] > novelty_threshold(novelty[of_cell != number])).mean()))
        for number in (numbers if len(numbers) > 1 else [])
    ]
