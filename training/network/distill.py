"""One network that answers as an ensemble does, at the cost of one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch

from .classifier import Classifier
from .fit import predict_logits
from .fit_data import FitData
from .fit_settings import FitSettings
from .train_together import train_together


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
