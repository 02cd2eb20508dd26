"""The cells that networks are fitted on, in one piece."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True)
class FitData:
    """`x`: CSR, float32, cells x panel genes, ln(1 + counts per 10,000). `codes`: int [cells], from 0. `train`,
    `validation`: cell numbers; `n_types`: types that are learned, whether they have cells there or not.

    `teacher`: logits, float32, cells x types, that are learned instead of the labels; None for the labels. Their rows
    matter where `train` and `validation` are.
    """

    x: sp.csr_matrix
    codes: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    n_types: int
    teacher: np.ndarray | None = None

    @property
    def seen(self) -> np.ndarray:
        """Numbers of the cells that fitting looks at, sorted."""
        return np.sort(np.concatenate([self.train, self.validation]))

    def divided(self, train: np.ndarray, validation: np.ndarray) -> Self:
        """The same cells, divided in another way. `train`, `validation`: cell numbers."""
        return replace(self, train=train, validation=validation)
