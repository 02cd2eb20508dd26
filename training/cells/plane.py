"""Cells of an embedding in a plane, for the eye alone: distances between clusters mean little there."""

import warnings
from contextlib import suppress
from functools import cache
from typing import Literal

import numpy as np

N_NEIGHBORS = 15
MIN_DIST = 0.3
N_EPOCHS = 200
FEWEST_CELLS = 10
"""Below which UMAP has no neighbourhoods to keep."""

PlaneMethod = Literal["umap", "pca"]


def plane(embedding: np.ndarray, *, method: PlaneMethod = "umap", seed: int) -> np.ndarray:
    """Coordinates of each cell, float32 [cells, 2]. The same embedding and seed give the same on one machine.

    `embedding`: [cells, d], axes in order of variance, finite. `umap`: McInnes et al. 2018, arXiv:1802.03426, with
    exact neighbours and begun from the first two axes, which keeps more of the whole's shape than a random start
    (Kobak and Linderman 2021, doi:10.1038/s41587-020-00809-z). `pca`: the first two axes themselves, at no cost; so are
    fewer than ten cells, and cells that are all alike.
    """
    values = np.ascontiguousarray(embedding, dtype=np.float32)
    first = np.zeros((len(values), 2), dtype=np.float32)
    first[:, : values.shape[1]] = values[:, :2]
    if method == "pca" or len(values) < FEWEST_CELLS or not np.ptp(values, axis=0).any():
        return first
    return _umap(values, first, seed)


def _umap(values: np.ndarray, first: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an index for new cells, of which there are none, and of TensorFlow
        from umap import UMAP

        _keep_compiled()
        n_neighbors = min(N_NEIGHBORS, len(values) - 1)
        neighbours = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(values)
        distances, indices = neighbours.kneighbors(values)
        # With neighbours given and a start of our own, little is left to compile: a third of the usual time.
        scale = max(float(np.std(first, axis=0).max()), 1e-9)
        generator = np.random.default_rng(seed)
        start = first / scale * 3 + generator.normal(0, 1e-2, first.shape)  # of equal cells each at its own place
        mapper = UMAP(
            n_neighbors=n_neighbors,
            min_dist=MIN_DIST,
            n_epochs=N_EPOCHS,
            init=start.astype(np.float32),
            precomputed_knn=(indices, distances),
            force_approximation_algorithm=True,
            random_state=seed,
            n_jobs=1,
        )
        found: np.ndarray = mapper.fit_transform(values)
    return found.astype(np.float32)


@cache
def _keep_compiled() -> None:
    """Have numba keep the machine code of UMAP on disk, as it keeps that of UMAP's search for neighbours: to compile it
    takes five seconds in each process, and to load it none.
    """
    from umap import distances, layouts, umap_, utils

    for module in (umap_, layouts, utils, distances):
        for function in vars(module).values():
            if hasattr(function, "enable_caching"):
                with suppress(RuntimeError):  # nowhere to write to
                    function.enable_caching()
