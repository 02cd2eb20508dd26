"""The cells that networks are fitted on."""

import numpy as np
import scipy.sparse as sp

from cellmark.training.network.fit_settings import FitData


def test_another_division_leaves_cells_and_labels_as_they_were() -> None:
    data = FitData(sp.csr_matrix(np.eye(6, dtype=np.float32)), np.arange(6) % 2, np.array([5, 0]), np.array([3]), 2)
    assert data.seen.tolist() == [0, 3, 5]
    other = data.divided(np.array([1]), np.array([2, 4]))
    assert other.seen.tolist() == [1, 2, 4]
    assert other.x is data.x
    assert data.seen.tolist() == [0, 3, 5]
