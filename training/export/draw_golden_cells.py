"""Golden cells drawn from type means, so that no person's profile travels with a model."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from cellmark.schemas.golden_cells import GoldenCells
from cellmark.schemas.normalization import normalize

from ..network.contributions import multipliers
from ..network.folded_network import FoldedNetwork

CELLS_PER_TYPE = 2
KIND = "drawn"
"""The manifest's `golden_cells`: no cell of a person is among them."""


def draw_golden_counts(
    counts: sp.csr_matrix, library_size: np.ndarray, codes: np.ndarray, n_types: int, *, seed: int
) -> tuple[sp.csr_matrix, np.ndarray]:
    """Poisson draws around each type's mean profile at its median library size.

    `counts`: CSR, training cells x panel genes; `library_size`, `codes`: [cells]. Returns counts, CSR, float32, drawn
    cells x panel genes, and their library sizes, float32.
    """
    generator = np.random.default_rng(seed)
    rows, sizes = [], []
    for code in range(n_types):
        of_type = codes == code
        size = float(np.median(library_size[of_type]))
        share = np.asarray(counts[of_type].sum(axis=0)).ravel() / library_size[of_type].sum(dtype=np.float64)
        for _ in range(CELLS_PER_TYPE):
            drawn = generator.poisson(share * size).astype(np.float32)
            rows.append(drawn)
            # What is drawn for the panel alone may exceed the median total; a library is never smaller than that.
            sizes.append(max(round(size), drawn.sum(), 1.0))
    return sp.csr_matrix(np.array(rows)), np.array(sizes, dtype=np.float32)


def golden_cells(
    members: Sequence[FoldedNetwork],
    baselines: np.ndarray,
    counts: sp.csr_matrix,
    library_size: np.ndarray,
    *,
    temperature: float,
    cell_types: Sequence[str],
) -> GoldenCells:
    """Drawn cells with the outputs expected of them, computed from the folded networks and not from the graphs."""
    x = normalize(counts, library_size).toarray().astype(np.float64)
    logits = np.mean([member.forward(x)[1] for member in members], axis=0) / temperature
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    target = np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]
    mean = np.mean([multipliers(member, x, baselines, target) for member in members], axis=0)
    attributions = mean * (x - baselines)
    return GoldenCells(
        counts, library_size, probabilities.astype(np.float32), attributions.astype(np.float32), tuple(cell_types)
    )
