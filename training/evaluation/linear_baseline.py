"""What a linear model makes of the same cells and genes: logistic regression beside the network."""

import warnings

import numpy as np
import scipy.sparse as sp

from ..cells.draw_cells import draw_cells
from ..network.batch_inputs import standardization

MAX_ITERATIONS = 300
MAX_CELLS = 20_000
"""Training cells of the baseline at most: dense rows of more would not fit beside the network's."""
RARE = 50
"""Cells of each type that are drawn before chance takes the rest."""
CHUNK = 4096


class LinearBaseline:
    """Logistic regression on a panel: multinomial, types balanced, scikit-learn's default penalty (C = 1)."""

    def __init__(self, x: sp.csr_matrix, codes: np.ndarray, cells: np.ndarray, *, seed: int) -> None:
        """Fit on `cells` (numbers of rows). `x`: CSR, cells x panel genes, normalised; `codes`: int [cells].

        Genes are standardised as for the network, with the mean and scale of these cells. Of more than `MAX_CELLS`
        cells as many are drawn. With cells of one type alone every call is that type.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        if len(cells) > MAX_CELLS:
            cells = np.sort(cells[draw_cells(codes[cells], at_most=MAX_CELLS, at_least=RARE, seed=seed)])
        self.n_cells = len(cells)
        self._only = int(codes[cells[0]]) if (codes[cells] == codes[cells[0]]).all() else None
        self._mean, self._scale = standardization(x[cells])
        self._regression = LogisticRegression(class_weight="balanced", max_iter=MAX_ITERATIONS)
        if self._only is not None:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # its calls are what counts
            self._regression.fit(self._inputs(x[cells]), codes[cells])

    def calls(self, x: sp.csr_matrix) -> np.ndarray:
        """Type numbers, int [cells]. `x`: CSR, cells x panel genes, normalised."""
        if self._only is not None:
            return np.full(x.shape[0], self._only)
        starts = range(0, x.shape[0], CHUNK)
        pieces = [self._regression.predict(self._inputs(x[start : start + CHUNK])) for start in starts]
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=int)

    def _inputs(self, x: sp.csr_matrix) -> np.ndarray:
        return np.asarray((x.toarray() - self._mean) / self._scale, dtype=np.float32)
