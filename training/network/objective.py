"""What networks are trained towards, labels or the logits of a teacher, and how much each type counts in it."""

import numpy as np
import torch
from torch.nn import functional

from .fit_settings import Balance

TEMPERATURE = 2.0
"""Softens teacher and pupil while the pupil learns: raises what the teacher says of the types that it does not call."""


PRIOR_CELLS = 10
"""Validation cells of a type with which it counts half in the validation loss (docs/benchmarks.md)."""

FULL_CELLS = 10
"""Training cells from which on a type counts as much as any other."""


def type_weights(codes: np.ndarray, *, n_types: int, balance: Balance) -> np.ndarray:
    """Weight of each type's cells in the loss they are judged by, mean 1, [types]. `codes`: of training cells.

    In inverse proportion to the type's size, also where cells are drawn (`upsample`): judged by other cells, a network
    is to be judged as it was trained. With `weights` a type of n < `FULL_CELLS` cells counts n / `FULL_CELLS`: two
    cells that weigh as much as a whole type would steer the network (docs/benchmarks.md). Types without cells count
    as if they had one.
    """
    if balance == "none":
        return np.ones(n_types)
    weights = 1 / np.maximum(np.bincount(codes, minlength=n_types), FULL_CELLS if balance == "weights" else 1)
    return np.asarray(weights / weights.mean())


def judging_weights(weights: np.ndarray, codes: np.ndarray, *, balance: Balance) -> np.ndarray:
    """Weight of each type's cells in the validation loss, [types]. `weights`: of `type_weights`; `codes`: of validation
    cells.

    A type with n cells counts n / (n + `PRIOR_CELLS`) of what balancing would give it: the mean loss of one or two
    cells says little, and with full weight in a loss that is to settle when to stop it is mostly noise.
    """
    if balance == "none":
        return weights
    sizes = np.bincount(codes, minlength=len(weights))
    return weights * sizes / (sizes + PRIOR_CELLS)


def upsampled(cells: np.ndarray, codes: np.ndarray, *, seed: int) -> np.ndarray:
    """`cells`, and of each type as many drawn with replacement as bring it to the size of the largest.

    `cells`: cell numbers; `codes`: int, type of each of them. Every cell stays in.
    """
    generator = np.random.default_rng(seed)
    largest = np.bincount(codes).max()
    drawn = [cells]
    for code in np.unique(codes):
        of_type = cells[codes == code]
        drawn.append(generator.choice(of_type, largest - len(of_type), replace=True))
    return np.concatenate(drawn)


class Objective:
    """Cross-entropy with what is wanted of each cell, weighted by the cell's type.

    `codes`: int [cells]; `type_weights`: [types]. `teacher`: logits, float32, cells x types; its probabilities are
    wanted, teacher and pupil at `TEMPERATURE` (Hinton et al. 2015, arXiv:1503.02531), and without one the labels.
    """

    def __init__(
        self, codes: np.ndarray, *, type_weights: np.ndarray, teacher: np.ndarray | None, device: torch.device
    ) -> None:
        self._weights = torch.as_tensor(type_weights[codes], dtype=torch.float32, device=device)
        self._temperature = 1.0 if teacher is None else TEMPERATURE
        if teacher is None:
            wanted = functional.one_hot(torch.as_tensor(codes, dtype=torch.long), len(type_weights)).float()
        else:
            wanted = torch.softmax(torch.as_tensor(teacher, dtype=torch.float32) / TEMPERATURE, dim=1)
        self._wanted = wanted.to(device)

    def losses(self, logits: torch.Tensor, cells: np.ndarray) -> torch.Tensor:
        """Mean over `cells` for each network, [members]. `logits`: members x cells x types, on the device."""
        rows = torch.as_tensor(cells, device=self._wanted.device)
        found = functional.log_softmax(logits / self._temperature, dim=2)
        weights = self._weights[rows]
        return -(self._wanted[rows] * found).sum(dim=2) @ (weights / weights.sum())
