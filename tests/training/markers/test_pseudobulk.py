import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.normalization import normalize
from cellmark.training.markers.compare_conditions import pseudobulk


def test_means_and_fractions_are_those_of_a_grouped_frame() -> None:
    generator = np.random.default_rng(0)
    counts = sp.csr_matrix(generator.poisson(0.7, (90, 8)).astype(np.float32))
    library_size = generator.integers(800, 3000, 90)
    codes, samples = generator.integers(0, 3, 90), generator.integers(0, 4, 90)
    bulk = pseudobulk(normalize(counts, library_size), codes, samples, n_types=3, n_samples=4)
    dense = pd.DataFrame(counts.toarray() / library_size[:, None] * 1e4)
    expected = np.log2(dense.groupby([samples, codes]).mean().to_numpy().reshape(4, 3, 8) + 1)
    np.testing.assert_allclose(bulk.log2_means(slice(0, 8)), expected, rtol=1e-5)
    np.testing.assert_allclose(bulk.log2_means(slice(2, 5)), expected[..., 2:5], rtol=1e-5)
    fractions = (dense > 0).groupby([samples, codes]).mean().to_numpy().reshape(4, 3, 8)
    np.testing.assert_allclose(bulk.fractions(slice(0, 8)), fractions)
    np.testing.assert_array_equal(bulk.n_cells.ravel(), pd.Series(codes).groupby([samples, codes]).size())


def test_a_sample_without_cells_of_a_type_has_zeros() -> None:
    x = sp.csr_matrix(np.ones((3, 2), dtype=np.float32))
    bulk = pseudobulk(x, np.array([0, 1, 0]), np.array([0, 0, 1]), n_types=2, n_samples=2)
    np.testing.assert_array_equal(bulk.n_cells, [[1, 1], [1, 0]])
    assert (bulk.log2_means(slice(0, 2))[1, 1] == 0).all()


def test_depth_of_sequencing_does_not_move_the_mean() -> None:
    """A tenth of the molecules of the same cells: the mean of logarithms would fall from 2.3 to 1.1."""
    generator = np.random.default_rng(1)
    rates = np.full((4000, 20), 5.0)
    x = [normalize(sp.csr_matrix(generator.poisson(rates * share).astype(np.float32)), np.full(4000, 5000 * share))
         for share in (1.0, 0.1)]  # fmt: skip
    codes, samples = np.zeros(4000, dtype=int), np.zeros(4000, dtype=int)
    deep, shallow = (
        pseudobulk(values, codes, samples, n_types=1, n_samples=1).log2_means(slice(0, 20)) for values in x
    )
    np.testing.assert_allclose(deep, shallow, atol=0.12)
    assert abs(x[0].mean() - x[1].mean()) > 1
