"""Three disjoint parts: training fits, validation chooses, test is read once for the reported numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import LabelError

ENOUGH = 10
"""Cells of a type that are enough to train on, whatever share of them is held out."""


@dataclass(frozen=True)
class Split:
    """Cell numbers of each part, sorted, int [cells of the part]. `notes`: what people should know of the division."""

    strategy: Literal["donor", "stratified"]
    seed: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def unseen(self) -> tuple[Literal["test", "validation"], np.ndarray]:
        """The part that networks are judged on, by its name, and its cells: validation where there is no test part."""
        return ("test", self.test) if len(self.test) else ("validation", self.validation)


def split_cells(
    codes: np.ndarray,
    donors: np.ndarray | None,
    *,
    hold_out: Sequence[str] = (),
    test_share: float = 0.2,
    seed: int,
) -> Split:
    """By donors where they are given, stratified otherwise. `codes`: int [cells]; `donors`: str [cells] or None.

    `test_share`: of the cells, without donors; 0 for no test part at all, donors or not.
    """
    if donors is None:
        return split_stratified(codes, test_share=test_share, seed=seed)
    return split_by_donor(codes, donors, hold_out=hold_out, no_test=test_share == 0, seed=seed)


def split_stratified(codes: np.ndarray, *, seed: int, test_share: float = 0.2, validation_share: float = 0.1) -> Split:
    """Divide each type by chance. `codes`: int [cells].

    Every type with at least three cells is in all three parts. Raises `LabelError` (`SPLIT_IMPOSSIBLE`) when a type
    has fewer.
    """
    generator = np.random.default_rng(seed)
    test, validation = np.zeros(len(codes), dtype=bool), np.zeros(len(codes), dtype=bool)
    for code in np.unique(codes):
        cells = generator.permutation(np.flatnonzero(codes == code))
        _need_three(len(cells), f"cell type number {code}")
        n_test = max(1, round(test_share * len(cells))) if test_share > 0 else 0
        n_validation = max(1, round(validation_share * len(cells)))
        test[cells[:n_test]] = True
        validation[cells[n_test : n_test + n_validation]] = True
    return Split(
        "stratified",
        seed,
        np.flatnonzero(~test & ~validation),
        np.flatnonzero(validation),
        np.flatnonzero(test),
    )


def split_by_donor(
    codes: np.ndarray,
    donors: np.ndarray,
    *,
    hold_out: Sequence[str] = (),
    no_test: bool = False,
    seed: int,
    validation_share: float = 0.1,
) -> Split:
    """Whole donors go to test. `codes`: int [cells]; `donors`: str [cells].

    `hold_out` names the test donors. Without it, one donor is held out without which every type keeps half of its cells
    or ten of them (when there is none such, one that costs the fewest types); among these the one that has ten cells or
    more of the most types, so that scores rest on enough cells, by chance among equals. Of the remaining donors,
    with three or more, one whole donor is validation, drawn among those without which every type keeps two thirds of
    its training cells or ten of them; otherwise validation is a stratified tenth of their cells, and a note says so. A
    type that only held out donors have is left without training cells. With `no_test` no donor is held out. Raises
    `LabelError` on an unknown donor, on fewer than two donors, and when nothing is left to train or validate on.
    """
    names = np.unique(donors)
    unknown = [donor for donor in hold_out if donor not in names]
    if unknown:
        raise LabelError.of(
            "HOLD_OUT_UNKNOWN",
            where="hold_out",
            expected="donors of the data: " + ", ".join(map(str, names[:10])),
            found=", ".join(unknown),
            remedy="Name donors as they stand in the donor column.",
        )
    generator = np.random.default_rng(seed)
    notes: list[str] = []
    if no_test:
        hold_out = []
    elif not hold_out and len(names) > 1:
        covered = [int((np.bincount(codes[donors == name]) >= ENOUGH).sum()) for name in names]
        hold_out = [str(_draw_donor(names, codes, donors, generator, keep_share=1 / 2, worth=np.array(covered)))]
        of_types = f"{covered[names.tolist().index(hold_out[0])]} of {len(np.unique(codes))} types"
        notes.append(
            f"test donor {hold_out[0]} has {ENOUGH} cells or more of {of_types}, drawn by seed {seed} where "
            "several have as many; choose donors with --hold-out"
        )
    is_test = np.isin(donors, list(hold_out))
    rest = np.setdiff1d(names, list(hold_out))
    if len(rest) == 0 or (len(names) < 2 and not no_test):
        raise LabelError.of(
            "SPLIT_IMPOSSIBLE",
            where="donor",
            expected="at least two donors, one of them not held out",
            found=f"{len(names)} donors, {len(rest)} of them for training",
            remedy="Hold out fewer donors, or omit --donor to split by cells.",
        )
    is_validation = np.zeros(len(codes), dtype=bool)
    donor = None
    if len(rest) >= 3:
        donor = _draw_donor(rest, codes[~is_test], donors[~is_test], generator, keep_share=2 / 3, at_any_cost=False)
    if donor is not None:
        is_validation = donors == donor
    else:
        notes.append("validation is a stratified tenth of the training donors' cells: no whole donor could be spared")
        for code in np.unique(codes[~is_test]):
            cells = generator.permutation(np.flatnonzero((codes == code) & ~is_test))
            if len(cells) > 1:
                is_validation[cells[: max(1, round(validation_share * len(cells)))]] = True
        if not is_validation.any():
            raise LabelError.of(
                "SPLIT_IMPOSSIBLE",
                where="donor",
                expected="a type with two cells or more among the training donors",
                found=f"one cell each in {', '.join(map(str, rest[:10]))}",
                remedy="Hold out fewer donors, or other ones.",
            )
    return Split(
        "donor",
        seed,
        np.flatnonzero(~is_test & ~is_validation),
        np.flatnonzero(is_validation),
        np.flatnonzero(is_test),
        tuple(notes),
    )


def _draw_donor(
    names: np.ndarray,
    codes: np.ndarray,
    donors: np.ndarray,
    generator: np.random.Generator,
    *,
    keep_share: float,
    worth: np.ndarray | None = None,
    at_any_cost: bool = True,
) -> str | None:
    """A donor without whom every type keeps `keep_share` of its cells or `ENOUGH` of them.

    Where there is none such, one that costs the fewest types; None when it is not to be had `at_any_cost`. Among equals
    those of the largest `worth` ([names]) come first.
    """
    totals = np.bincount(codes)
    floor = np.minimum(np.maximum(keep_share * totals, 1), ENOUGH)
    costs = []
    for name in names:
        left = np.bincount(codes[donors != name], minlength=len(totals))
        costs.append(int((left < floor)[totals > 0].sum()))
    if min(costs) > 0 and not at_any_cost:
        return None
    cheap = np.array(costs) == min(costs)
    if worth is not None:
        cheap &= worth == worth[cheap].max()
    return str(generator.choice(names[cheap]))


def _need_three(n_cells: int, what: str) -> None:
    if n_cells < 3:
        raise LabelError.of(
            "SPLIT_IMPOSSIBLE",
            where="label",
            expected="at least three cells of every type",
            found=f"{n_cells} of {what}",
            remedy="Raise --min-cells to remove rare types, or provide more cells.",
        )
