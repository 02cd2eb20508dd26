"""The donors that are compared with each other, and the design."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cellmark.schemas.errors import ParameterError

from .moderated_interval import MIN_DONORS, Design

ALL_OTHERS = "all others"
NO_DONORS = "no donors were named: cells of one donor are not independent, so no interval can be had from them"


@dataclass(frozen=True)
class Samples:
    """The cells of one donor in one condition are a sample; without donors, those of one condition.

    `numbers`: int [cells]. `conditions`, `donors`: of each sample; `donors` is None where none were given.
    """

    numbers: np.ndarray
    conditions: tuple[str, ...]
    donors: tuple[str, ...] | None


@dataclass(frozen=True)
class Contrast:
    """One comparison. `before`, `after`: of each donor in the reference and in the condition, its samples; in the
    design `paired` donor for donor the same. `design` is None where no interval can be had, and `reason` says why.
    """

    condition: str
    reference: str
    before: tuple[tuple[int, ...], ...]
    after: tuple[tuple[int, ...], ...]
    design: Design | None
    reason: str | None = None

    def samples(self, donors: tuple[tuple[int, ...], ...]) -> list[int]:
        """Numbers of all samples of one side (`before` or `after`)."""
        return [number for of in donors for number in of]


def take_samples(conditions: np.ndarray, donors: np.ndarray | None) -> Samples:
    """Samples in the order of their conditions' and donors' names. `conditions`, `donors`: str [cells]."""
    keys = [conditions] if donors is None else [conditions, donors]
    found, numbers = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)
    return Samples(
        numbers.ravel(),
        tuple(map(str, found[:, 0])),
        None if donors is None else tuple(map(str, found[:, 1])),
    )


def plan_contrasts(samples: Samples, *, reference: str | None) -> list[Contrast]:
    """Every condition against the reference; without one, each of three or more against all others together.

    Of two conditions without a reference, the first by name is it. Donors that are most of them in both sides are
    compared with themselves (`paired`), leaving out those in one side only. Where each condition is one donor
    (conditions are the donors), a donor is compared with the others as one that might be of their kind (`single`).

    Raises `ParameterError` for fewer than two conditions and an unknown reference.
    """
    names = list(dict.fromkeys(samples.conditions))
    if len(names) < 2:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="by",
            expected="a column with at least two conditions",
            found=f"only {', '.join(names)}",
            remedy="Name another column with --by.",
        )
    if reference is not None and reference not in names:
        raise ParameterError.not_a_choice("reference", choices=f"one of {', '.join(names)}", found=repr(reference))
    if reference is None and len(names) == 2:
        reference = names[0]
    return [_contrast(samples, name, reference) for name in names if name != reference]


def _contrast(samples: Samples, condition: str, reference: str | None) -> Contrast:
    after = [number for number, name in enumerate(samples.conditions) if name == condition]
    before = [
        number
        for number, name in enumerate(samples.conditions)
        if (name != condition if reference is None else name == reference)
    ]
    against = ALL_OTHERS if reference is None else reference
    if samples.donors is None:
        alone = tuple((number,) for number in before)
        return Contrast(condition, against, alone, ((after[0],),), None, NO_DONORS)
    of_before, of_after = _by_donor(samples.donors, before), _by_donor(samples.donors, after)
    both = [donor for donor in of_before if donor in of_after]
    if len(both) >= MIN_DONORS and 2 * len(both) > len(of_before.keys() | of_after.keys()):
        pairs = tuple(of_before[donor] for donor in both), tuple(of_after[donor] for donor in both)
        return Contrast(condition, against, *pairs, "paired")
    is_donor = samples.conditions == samples.donors
    design: Design = "single" if is_donor else "independent"
    return Contrast(condition, against, tuple(of_before.values()), tuple(of_after.values()), design)


def _by_donor(donors: Sequence[str], numbers: Sequence[int]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for number in numbers:
        found[donors[number]] = (*found.get(donors[number], ()), number)
    return found
