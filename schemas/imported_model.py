"""A classifier that another tool made, as plain arrays: what the reader of its file hands to those who write graphs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Tool = Literal["CellTypist"]
CLIP = 10.0
"""Standard deviations above which CellTypist takes an expression for this many; there is no bound below."""


@dataclass(frozen=True, eq=False)
class ImportedModel:
    """Standardised expression, clipped from above, one linear layer, and a sigmoid for each type.

    `mean`, `scale`: float64 [genes], of ln(1 + counts per 10,000) in training cells; `centred`: whether the mean is
    subtracted before the scale divides. `weights`: float64 [types, genes]; `intercepts`: float64 [types]. `n_cells`:
    cells that the scaler saw, None: the file does not say. `classifier`: the class of the classifier; `description`:
    what its maker wrote of the model; `file_sha256`: of the file.
    """

    gene_symbols: tuple[str, ...]
    cell_types: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercepts: np.ndarray
    centred: bool = True
    n_cells: int | None = None
    classifier: str = ""
    description: Mapping[str, str] = field(default_factory=dict)
    file_sha256: str = ""
    tool: Tool = "CellTypist"

    @property
    def offset(self) -> np.ndarray:
        """What is subtracted from the expression, float64 [genes]."""
        return self.mean if self.centred else np.zeros_like(self.mean)

    def standardise(self, log1p_norm: np.ndarray) -> np.ndarray:
        """Float64, cells x genes. `log1p_norm`: the same, NaN for a gene that was not measured.

        Such a gene is 0 here, so that it adds nothing to any type: CellTypist leaves its coefficients out.
        """
        z = np.minimum((np.asarray(log1p_norm, dtype=np.float64) - self.offset) / self.scale, CLIP)
        return np.asarray(np.where(np.isnan(z), 0.0, z))

    def logits(self, log1p_norm: np.ndarray) -> np.ndarray:
        """Float64, cells x types: what CellTypist calls decision scores. `log1p_norm`: as in `standardise`."""
        return np.asarray(self.standardise(log1p_norm) @ self.weights.T + self.intercepts)

    def attributions(self, log1p_norm: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Float64, cells x genes: coefficient x (standardised, clipped expression - that of the mean cell).

        Their sum is the target's logit less that of the mean cell, with the same genes missing: the clip is part of
        both. `target`: cells x types, the weights of the logits to explain.
        """
        x = np.asarray(log1p_norm, dtype=np.float64)
        baseline = np.where(np.isnan(x), np.nan, self.mean)
        return np.asarray((target @ self.weights) * (self.standardise(x) - self.standardise(baseline)))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logits)), without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0, -logits)))
