import warnings

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from cellmark.training.cells.plane import plane


def clusters() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    codes = np.repeat(np.arange(5), 40)
    return (generator.normal(0, 8, (5, 12))[codes] + generator.normal(0, 1, (200, 12))).astype(np.float32), codes


def test_clusters_stay_together_and_the_seed_decides() -> None:
    embedding, codes = clusters()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = (plane(embedding, seed=4) for _ in range(2))
    assert first.shape == (200, 2)
    np.testing.assert_array_equal(first, second)
    assert KNeighborsClassifier(5).fit(first[::2], codes[::2]).score(first[1::2], codes[1::2]) > 0.98
    assert not np.array_equal(first, plane(embedding, seed=5))


def test_the_machine_code_of_umap_is_kept_for_the_next_process() -> None:
    from umap import layouts, umap_

    plane(clusters()[0], seed=0)
    for function in (umap_.smooth_knn_dist, layouts._nb_optimize_layout_euclidean_single_epoch):
        assert function.stats.cache_path
        assert function.stats.cache_hits + function.stats.cache_misses


def test_pca_is_the_first_two_axes() -> None:
    embedding, _ = clusters()
    np.testing.assert_array_equal(plane(embedding, method="pca", seed=0), embedding[:, :2])


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (9, 4), (9, 1)])
def test_too_few_cells_for_neighbourhoods_lie_on_the_first_axes(shape: tuple[int, int]) -> None:
    embedding = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = plane(embedding, seed=0)
    assert found.shape == (shape[0], 2)
    np.testing.assert_array_equal(found[:, : shape[1]], embedding[:, :2])


@pytest.mark.parametrize("embedding", [np.ones((30, 3)), np.arange(12.0)[:, None], np.repeat(np.eye(3), 20, axis=0)])
def test_equal_cells_and_single_axes_have_a_place(embedding: np.ndarray) -> None:
    assert np.isfinite(plane(embedding, seed=0)).all()
