"""What the genes of a panel have of a cell's library."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class PanelFraction:
    """Share of the library that the panel's genes carried in training. `median`: over cells; `weights`: [panel genes],
    what each of them has of it on average, in any unit.
    """

    median: float
    weights: np.ndarray

    def expected(self, measured: np.ndarray) -> float:
        """What is expected where an input measured only some genes. `measured`: bool [panel genes]."""
        return float(self.median * self.weights[measured].sum() / max(float(self.weights.sum()), 1e-12))
