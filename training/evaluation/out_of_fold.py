"""Networks fitted without some cells, in turn, so that every cell has answers of networks that never saw it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cellmark.schemas.checks.check_split import enough_cells

from ..network.classifier import Classifier
from ..network.ensemble import first_members, fit_ensemble
from ..network.fit import predict_logits
from ..network.fit_settings import FitData, FitSettings

Folds = Literal["donors", "cells"]
MOST_FOLDS = 5
"""More donors than this are held out in groups; cells without donors in so many parts."""
FEWEST_CELLS = 10
"""Cells of a type outside a fold, as for `--min-cells`, below which its networks do not learn it."""
MOST_MEMBERS = 5
"""Networks of a fold at most: an ensemble of more answers hardly differently (docs/benchmarks.md)."""
MOST_LEARNED = 0.95
"""Share of all cells that are of types which a fold's networks must have learned to resemble the registered ones."""


@dataclass(frozen=True)
class FoldPlan:
    """The folds of a cross-validation. `names`: donors, or numbers; `fold_of`: int [cells], number of the fold
    in which a cell is held out, -1 for a cell that takes no part.
    """

    folds: Folds
    names: tuple[str, ...]
    fold_of: np.ndarray

    @property
    def cells(self) -> np.ndarray:
        """Numbers of the cells that take part, sorted."""
        return np.flatnonzero(self.fold_of >= 0)


@dataclass(frozen=True)
class OutOfFold:
    """What networks say of cells that they never saw.

    `member_logits`: float32, members x cells x types; zeros for a cell that takes no part. `classifiers`: the networks
    of each fold, in evaluation mode, on the CPU; `train`: the cells that they were fitted on, numbers. `learned`: bool,
    folds x types, the types of which there were enough of these cells.
    """

    plan: FoldPlan
    member_logits: np.ndarray
    classifiers: tuple[tuple[Classifier, ...], ...]
    train: tuple[np.ndarray, ...]
    learned: np.ndarray

    @property
    def logits(self) -> np.ndarray:
        """Means over the members, as the registered model averages its own, cells x types."""
        return np.asarray(self.member_logits.mean(axis=0))

    def judged(self, codes: np.ndarray) -> np.ndarray:
        """Numbers of the cells whose type their fold's networks had learned, sorted. `codes`: int [cells].

        The registered model has learned all types, so that only these cells tell how it does.
        """
        cells = self.plan.cells
        return np.asarray(cells[self.learned[self.plan.fold_of[cells], codes[cells]]])

    def like_the_registered(self, codes: np.ndarray) -> np.ndarray:
        """Whether a fold's networks resemble the registered model, bool [folds]: they learned types that hold
        `MOST_LEARNED` of all cells. All of them where none did.

        A model that lacks types finds the other ones novel too: of a pancreatic donor without whom three of eleven
        types could not be learned, 18 % of the cells lay above a threshold that other donors set to 2 %.
        """
        there = np.bincount(codes[self.plan.cells], minlength=self.learned.shape[1])
        like = self.learned @ there >= MOST_LEARNED * there.sum()
        return like if like.any() else np.ones(len(like), dtype=bool)


def plan_folds(
    codes: np.ndarray, donors: np.ndarray | None, cells: np.ndarray, *, seed: int, most: int = MOST_FOLDS
) -> FoldPlan:
    """Whole donors where `cells` have two or more of them, and parts of each type otherwise.

    `codes`: int [cells], types of all cells; `donors`: str [cells] or None; `cells`: numbers of those that take part.
    With more than `most` donors groups of donors are held out, of about as many cells each.
    """
    fold_of = np.full(len(codes), -1)
    names, of_donor = np.unique(donors[cells], return_inverse=True) if donors is not None else (np.zeros(0), None)
    if of_donor is not None and len(names) > 1:
        groups = _groups(np.bincount(of_donor), min(most, len(names)))
        fold_of[cells] = groups[of_donor]
        return FoldPlan(
            "donors", tuple(" + ".join(names[groups == group]) for group in range(groups.max() + 1)), fold_of
        )
    generator = np.random.default_rng(seed)
    taken = 0
    for code in np.unique(codes[cells]):
        of_type = generator.permutation(cells[codes[cells] == code])
        # Each type goes on where the last one ended, so that folds of many rare types are of one size.
        fold_of[of_type] = (taken + np.arange(len(of_type))) % most
        taken += len(of_type)
    return FoldPlan("cells", tuple(str(number + 1) for number in range(most)), fold_of)


def fit_out_of_fold(
    data: FitData,
    plan: FoldPlan,
    *,
    members: Sequence[FitSettings],
    seed: int,
    device: str = "cpu",
    min_cells: int = FEWEST_CELLS,
    on_fold: Callable[[str], None] = lambda name: None,
) -> OutOfFold:
    """Fit the ensemble anew without each fold, and ask it about the cells of the fold.

    `plan` takes the place of the division in `data`. `members`: as for `fit_ensemble`, of which at most
    `MOST_MEMBERS` networks are fitted. Where cells settle when networks stop, a stratified tenth of a fold's training
    cells does. A type of which nearly all cells lie in a fold is not learned by that fold's networks: see `learnable`.
    `on_fold` is called after each.
    """
    members, codes, n_types = first_members(members, MOST_MEMBERS), data.codes, data.n_types
    learned = np.array([learnable(codes, plan, number, n_types, min_cells) for number in range(len(plan.names))])
    logits = np.zeros((len(members), len(codes), n_types), dtype=np.float32)
    classifiers, fitted_on = [], []
    for number, name in enumerate(plan.names):
        on_fold(name)
        others = plan.cells[plan.fold_of[plan.cells] != number]
        others = others[learned[number][codes[others]]]
        of_fold = data.divided(*with_validation(others, codes, seed=seed))
        fitted = fit_ensemble(of_fold, members=members, seed=seed, device=device)
        inside = np.flatnonzero(plan.fold_of == number)
        for member, classifier in enumerate(fitted.classifiers):
            logits[member, inside] = predict_logits(classifier, data.x, inside).numpy()
        classifiers.append(fitted.classifiers)
        fitted_on.append(of_fold.learned(members[0]))
    return OutOfFold(plan, logits, tuple(classifiers), tuple(fitted_on), learned)


def learnable(codes: np.ndarray, plan: FoldPlan, number: int, n_types: int, min_cells: int) -> np.ndarray:
    """Whether the networks of a fold can learn a type from the other folds, bool [types].

    As the registered model leaves out types of too few cells (`drop_untrainable`), so do the folds.
    """
    there = np.bincount(codes[plan.cells], minlength=n_types)
    inside = np.bincount(codes[plan.fold_of == number], minlength=n_types)
    return enough_cells(there - inside, there, min_cells=min_cells)


def _groups(sizes: np.ndarray, n_groups: int) -> np.ndarray:
    """A group for each donor, the largest first into the group that has the fewest cells. `sizes`: cells of each."""
    groups, filled = np.zeros(len(sizes), dtype=int), np.zeros(n_groups)
    for donor in np.argsort(-sizes, kind="stable"):
        groups[donor] = np.argmin(filled)
        filled[groups[donor]] += sizes[donor]
    return groups


def with_validation(cells: np.ndarray, codes: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A stratified tenth of `cells` beside the rest; of a type of one cell none."""
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(cells), dtype=bool)
    for code in np.unique(codes[cells]):
        of_type = generator.permutation(np.flatnonzero(codes[cells] == code))
        if len(of_type) > 1:
            chosen[of_type[: max(1, round(0.1 * len(of_type)))]] = True
    return cells[~chosen], cells[chosen]
