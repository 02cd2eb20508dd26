"""What the networks are given, batch by batch: dense rows, standardised, with noise."""

import math

import numpy as np
import scipy.sparse as sp
import torch

from .augmentation import Augmentation, thin, without

NOISE_POOL = 2**20


MIN_SD = 0.1
"""Floor of a gene's standard deviation in standardising: rarer genes would be blown up otherwise."""


def standardization(x: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (at least `MIN_SD`) of each gene, [genes]. `x`: CSR, training cells x genes."""
    mean = np.asarray(x.mean(axis=0, dtype=np.float64)).ravel()
    mean_square = np.asarray(x.multiply(x).mean(axis=0, dtype=np.float64)).ravel()
    return mean, np.maximum(np.sqrt(np.maximum(mean_square - mean**2, 0)), MIN_SD)


def log2_scale(n_genes: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean 0 and scale ln 2 of each gene: ln(1 + counts per 10,000) becomes log2(1 + counts per 10,000)."""
    return np.zeros(n_genes), np.full(n_genes, math.log(2))


def batches(cells: np.ndarray, size: int, *, at_least: int = 2) -> list[np.ndarray]:
    batches = [cells[start : start + size] for start in range(0, len(cells), size)]
    if len(batches) > 1 and len(batches[-1]) < at_least:
        # BatchNorm has no variance for a batch of one cell.
        last = batches.pop()
        batches[-1] = np.concatenate([batches[-1], last])
    return batches


class DenseCells:
    """Rows of `x` as the networks take them: dense, standardised, on the device."""

    def __init__(self, x: sp.csr_matrix, mean: np.ndarray, scale: np.ndarray, device: torch.device) -> None:
        self._x = x
        self._device = device
        self._factor = torch.as_tensor(1 / scale, dtype=torch.float32, device=device)
        self._shift = torch.as_tensor(-mean / scale, dtype=torch.float32, device=device)

    def __getitem__(self, cells: np.ndarray) -> torch.Tensor:
        return self.standardized(self.rows(cells).toarray())

    def rows(self, cells: np.ndarray) -> sp.csr_matrix:
        return self._x[cells]

    def standardized(self, values: np.ndarray) -> torch.Tensor:
        """`values`: float32, cells x genes, or [genes]."""
        return torch.addcmul(self._shift, torch.from_numpy(values).to(self._device), self._factor)


class PoorerCells:
    """Rows as `DenseCells` gives them, of cells that are augmented; as they are, and nothing drawn, without that.

    `baseline`: what the graphs put in the place of a gene that was not measured, [genes], not standardised.
    """

    def __init__(self, dense: DenseCells, augmentation: Augmentation, *, baseline: np.ndarray, seed: int) -> None:
        self._dense = dense
        self._augmentation = augmentation
        self._baseline = dense.standardized(baseline.astype(np.float32))
        self._generator = np.random.default_rng([seed, 1])

    def __getitem__(self, cells: np.ndarray) -> torch.Tensor:
        rows = self._dense.rows(cells)
        if self._augmentation.thins:
            rows = thin(rows, self._augmentation.depths(len(cells), self._generator), self._generator)
        inputs = self._dense.standardized(rows.toarray())
        if self._augmentation.drops:
            inputs = without(inputs, self._augmentation.missing(rows.shape, self._generator), self._baseline)
        return inputs


class Noise:
    """Gaussian noise from a pool of normals, read from a place drawn anew for each batch.

    Drawing every batch's own normals, cells x genes, took a fifth of a fit's time. The pool is drawn anew for each
    epoch: with one pool for all of them, validation losses rose earlier.
    """

    def __init__(self, sd: float, *, batch_size: int, n_genes: int, n_cells: int, device: torch.device) -> None:
        # A batch may have one cell more than it should.
        size = max(min(NOISE_POOL, n_cells * n_genes), 2 * (batch_size + 1) * n_genes)
        self._sd = sd
        self._pool = torch.zeros(size if sd > 0 else 0, device=device)

    def draw(self, generator: torch.Generator) -> None:
        self._pool.normal_(0, self._sd, generator=generator)

    def added(self, inputs: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
        if not len(self._pool):
            return inputs
        start = generator.integers(len(self._pool) - inputs.numel())
        return inputs.add_(self._pool[start : start + inputs.numel()].view_as(inputs))
