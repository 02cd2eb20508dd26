"""Networks around one choice of settings, whose logits are averaged, and one network that answers as they do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from operator import attrgetter

import numpy as np
import scipy.sparse as sp
import torch

from .augmentation import Augmentation
from .classifier import Classifier
from .fit import predict_logits, shared, train_together
from .fit_settings import Epoch, FitData, FitResult, FitSettings, mean_epoch
from .linear_member import LINEAR, fit_linear

LEARNING_RATES = (1.0, 0.7, 1.3, 0.85, 1.15)
DROPOUTS = (1.0, 0.9, 1.1)
"""Factors around the settings chosen: the published grid (Zhang et al. 2026, bbag223), the middle first."""
MAX_DROPOUT = 0.95
MAX_WEIGHTS = 2**25
"""Parameters of members trained together: with gradients, moments and best epochs 0.7 GB."""


def mean_gate(classifiers: Sequence[Classifier]) -> np.ndarray | None:
    """Mean weight of each gene over members that learned a gate, [genes]; None where none did."""
    gates = [gate for classifier in classifiers if (gate := classifier.gate_values()) is not None]
    return np.mean(gates, axis=0) if gates else None


def variations(settings: FitSettings, *, n_members: int, linear: bool = False) -> tuple[FitSettings, ...]:
    """Settings of each member: 5 learning rates within 30 % and 3 dropouts within 10 % of those in `settings`.

    The first is `settings` itself. Learning rates and dropouts are both walked at each step, so that few members are
    spread well: 5 have all learning rates, 15 the whole grid. From the 16th on the grid comes again, which is another
    network by its seed alone. With `linear` one more comes last, logistic regression (`fit_linear`), which has nothing
    of `settings` but what is done to cells.
    """
    members = []
    for number in range(n_members):
        dropout = min(
            settings.shape.dropout * DROPOUTS[number % len(DROPOUTS)], max(MAX_DROPOUT, settings.shape.dropout)
        )
        rate = settings.learning_rate * LEARNING_RATES[number % len(LEARNING_RATES)]
        members.append(replace(settings, learning_rate=rate, shape=replace(settings.shape, dropout=dropout)))
    return (*members, replace(settings, shape=LINEAR)) if linear else tuple(members)


def first_members(members: Sequence[FitSettings], at_most: int) -> tuple[FitSettings, ...]:
    """As many networks, and logistic regression where it is one of `members`."""
    networks = [settings for settings in members if settings.shape != LINEAR][:at_most]
    return (*networks, *(settings for settings in members if settings.shape == LINEAR))


@dataclass(frozen=True)
class FittedEnsemble:
    """`results`: one for each member, in order. `epochs`: one for each epoch number, means over the members that were
    still training.
    """

    results: tuple[FitResult, ...]

    @property
    def classifiers(self) -> tuple[Classifier, ...]:
        return tuple(result.classifier for result in self.results)

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        every = sorted((epoch for result in self.results for epoch in result.epochs), key=attrgetter("number"))
        return tuple(mean_epoch(list(group)) for _, group in groupby(every, key=attrgetter("number")))

    @property
    def best_epoch(self) -> int:
        """Median of the best epochs of the members that have epochs."""
        return int(np.median([result.best_epoch for result in self.results if result.epochs] or [0]))


def fit_ensemble(
    data: FitData,
    *,
    members: Sequence[FitSettings],
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> FittedEnsemble:
    """Train one network for each of `members`; results in their order.

    Members that differ in no more than rates, dropout and when to stop are trained together, on the same
    batches with the same noise; others one lot after another. One member gets the weights that `fit` would give it.
    A member of the shape `LINEAR` is logistic regression of the training cells.
    Deterministic on the CPU for a given seed. `on_epoch` hears of each epoch of a lot: means over the members that are
    still training.
    """
    alike: dict[tuple[object, ...], list[int]] = {}
    results: dict[int, FitResult] = {}
    for number, settings in enumerate(members):
        if settings.shape == LINEAR:
            results[number] = FitResult(_linear(data, settings, seed=seed), (), 0)
        else:
            alike.setdefault(shared(settings), []).append(number)
    for numbers in (lot for like in alike.values() for lot in _lots(like, members, data.x.shape[1])):
        fitted = train_together(
            data,
            members=[members[number] for number in numbers],
            seed=seed + numbers[0],
            device=device,
            on_epoch=on_epoch,
        )
        results.update(zip(numbers, fitted, strict=True))
    return FittedEnsemble(tuple(results[number] for number in range(len(members))))


def _linear(data: FitData, settings: FitSettings, *, seed: int) -> Classifier:
    augmentation = Augmentation.of(settings)
    cells = data.learned(settings)
    return fit_linear(data.x, data.codes, cells, data.n_types, augmentation=augmentation, seed=seed)


def predict_probabilities(classifiers: Sequence[Classifier], x: sp.csr_matrix) -> np.ndarray:
    """Softmax of the mean of the networks' logits, float32, cells x types. `x`: CSR, ln(1 + counts per 10,000)."""
    logits = sum(predict_logits(classifier, x) for classifier in classifiers) / len(classifiers)
    probabilities: np.ndarray = torch.softmax(torch.as_tensor(logits), dim=1).numpy()
    return probabilities


def _lots(numbers: Sequence[int], members: Sequence[FitSettings], n_genes: int) -> list[Sequence[int]]:
    """Members of one shape in lots of at most `MAX_WEIGHTS`, or one by one."""
    widths = (n_genes, *members[numbers[0]].shape.hidden_units)
    size = max(1, MAX_WEIGHTS // sum(before * after for before, after in pairwise(widths)))
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


@dataclass(frozen=True)
class Agreement:
    """How near a network's answers are to an ensemble's.

    `same_call`: share of cells that both call the same; `mean_difference`: mean over cells of half the sum of absolute
    differences of probabilities, so the most by which any set of types differs; `largest_difference`: of any cell.
    """

    n_cells: int
    same_call: float
    mean_difference: float
    largest_difference: float


def distill(
    members: Sequence[Classifier],
    data: FitData,
    *,
    settings: FitSettings,
    seed: int,
    device: str = "cpu",
) -> Classifier:
    """Train one network towards the mean of the members' logits; in evaluation mode, on the CPU.

    `data.codes` balance the types and are not learned. The teacher sees cells as they are, the pupil with noise
    and as `settings` augment them. Where they watch the validation loss, it is that of the pupil against the teacher.
    """
    teacher = np.zeros((len(data.codes), data.n_types), dtype=np.float32)
    for cells in (data.train, data.validation):
        teacher[cells] = mean_logits(members, data.x, cells).numpy()
    (result,) = train_together(replace(data, teacher=teacher), members=[settings], seed=seed, device=device)
    return result.classifier


def agreement(pupil: Classifier, members: Sequence[Classifier], x: sp.csr_matrix, cells: np.ndarray) -> Agreement:
    """Compare a network with the ensemble on `cells`: numbers of rows of `x`, best ones that neither was fitted on."""
    ours, theirs = (mean_logits(of, x, cells).softmax(dim=1) for of in ([pupil], members))
    same = ours.argmax(dim=1) == theirs.argmax(dim=1)
    difference = (ours - theirs).abs().sum(dim=1) / 2
    return Agreement(len(cells), float(same.float().mean()), float(difference.mean()), float(difference.max()))


def mean_logits(members: Sequence[Classifier], x: sp.csr_matrix, cells: np.ndarray) -> torch.Tensor:
    """Mean over members, `cells` x types, on the CPU."""
    return torch.stack([predict_logits(member, x, cells) for member in members]).mean(dim=0)
