"""What networks are trained towards: labels, or the logits of a teacher."""

import numpy as np
import torch
from torch.nn import functional

TEMPERATURE = 2.0
"""Of teacher and pupil while the pupil learns: raises what the teacher says of the types that it does not call."""


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
