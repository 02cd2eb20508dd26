"""The filter against NumPy's percentiles, and against the published panel."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.normalization import COUNTS_PER, normalize
from cellmark.training.cells.choose_panel import choose_panel, expressed_genes, type_separation


def filtered_the_slow_way(
    counts: np.ndarray, library_size: np.ndarray, codes: np.ndarray, *, threshold: float = 0.01, percentile: float = 80
) -> np.ndarray:
    scaled = counts * (COUNTS_PER / library_size)[:, None]
    kept = np.zeros(counts.shape[1], dtype=bool)
    for code in np.unique(codes):
        kept |= np.percentile(scaled[codes == code], percentile, axis=0) > threshold
    return kept & (scaled.max(axis=0) >= threshold)


@pytest.mark.parametrize("seed", range(8))
def test_the_filter_equals_percentiles_of_numpy(seed: int) -> None:
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 4, 90)
    counts = generator.poisson(generator.gamma(0.3, 0.6, 60), (90, 60)).astype(np.float64)
    library_size = np.maximum(counts.sum(axis=1), 1) * generator.uniform(1, 3, 90)
    ours = expressed_genes(sp.csr_matrix(counts), library_size, codes)
    expected = filtered_the_slow_way(counts, library_size, codes)
    np.testing.assert_array_equal(ours, expected)
    assert 0 < expected.sum() < 60


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=3),
    st.sampled_from([0.0, 50.0, 80.0, 90.0, 100.0]),
    st.data(),
)
def test_values_at_the_border_are_decided_as_numpy_does(
    sizes: list[int], percentile: float, data: st.DataObject
) -> None:
    codes = np.repeat(np.arange(len(sizes)), sizes)
    # Counts per 10,000 of 0, 1, 2 and 3 around a threshold of exactly 2.
    values = data.draw(st.lists(st.sampled_from([0, 1, 2, 3]), min_size=2 * len(codes), max_size=2 * len(codes)))
    counts = np.array(values, dtype=np.float64).reshape(len(codes), 2)
    library_size = np.full(len(codes), COUNTS_PER)
    ours = expressed_genes(sp.csr_matrix(counts), library_size, codes, threshold=2.0, percentile=percentile)
    expected = filtered_the_slow_way(counts, library_size, codes, threshold=2.0, percentile=percentile)
    np.testing.assert_array_equal(ours, expected)


def test_one_expressing_type_is_enough_and_a_tenth_of_its_cells_is_not() -> None:
    codes = np.repeat([0, 1], [10, 90])
    counts = np.zeros((100, 2))
    counts[:3, 0] = 1
    counts[:1, 1] = 1
    counts[10:20, 1] = 1
    kept = expressed_genes(sp.csr_matrix(counts), np.full(100, 1e4), codes)
    assert kept.tolist() == [True, False]


def test_a_gene_without_counts_is_never_kept() -> None:
    kept = expressed_genes(sp.csr_matrix((4, 3)), np.full(4, 100.0), np.array([0, 0, 1, 1]))
    assert not kept.any()


def test_the_filter_keeps_the_published_panel(reference_data: Path) -> None:
    table = pd.read_parquet(reference_data / "counts.parquet")
    genes = [column for column in table.columns if column not in ("cell_id", "cell_type")]
    counts = table[genes].to_numpy(dtype=np.float32)
    codes = table["cell_type"].astype("category").cat.codes.to_numpy()
    kept = expressed_genes(sp.csr_matrix(counts), counts.sum(axis=1), codes)
    published = (reference_data / "panel.txt").read_text().split()
    assert len(published) == 669
    assert set(np.array(genes)[kept]) == set(published)


def separation_the_slow_way(x: np.ndarray, codes: np.ndarray) -> np.ndarray:
    types = np.unique(codes)
    means = np.array([x[codes == code].mean(axis=0) for code in types])
    residual = x - means[np.searchsorted(types, codes)]
    pooled = np.sqrt((residual**2).sum(axis=0) / (len(codes) - len(types)))
    floor = 0.1 * np.median(pooled[pooled > 0])
    distances = [np.abs(means[k] - np.delete(means, k, axis=0).mean(axis=0)) for k in range(len(types))]
    return np.max(distances, axis=0) / (pooled + floor)


def test_separation_equals_its_formula() -> None:
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 3, 60)
    x = generator.exponential(1, (60, 12)) * (generator.random((60, 12)) < 0.4)
    x[:, 0] = 0
    x[codes == 1, 3] += 2
    ours = type_separation(sp.csr_matrix(x), codes)
    np.testing.assert_allclose(ours, separation_the_slow_way(x, codes), rtol=1e-9)
    assert ours.argmax() == 3


def test_separation_is_finite_when_a_type_number_has_no_cells() -> None:
    x = sp.csr_matrix(np.random.default_rng(0).exponential(1, (12, 5)))
    codes = np.repeat([0, 2], 6)
    ours = type_separation(x, codes)
    np.testing.assert_allclose(ours, separation_the_slow_way(x.toarray(), codes), rtol=1e-9)


def test_the_panel_is_all_expressed_genes_or_those_that_tell_types_apart() -> None:
    generator = np.random.default_rng(1)
    codes = np.repeat([0, 1], 40)
    counts = generator.poisson(2, (80, 30))
    for number, gene in enumerate((4, 11, 17, 25)):
        counts[codes == number % 2, gene] += 15
    counts[:, 7] = 0
    X = sp.csr_matrix(counts.astype(np.float32))
    size = counts.sum(axis=1).astype(np.float32)
    x = normalize(X, size)
    everything = choose_panel(X, size, x, codes)
    assert everything.tolist() == [number for number in range(30) if number != 7]
    assert choose_panel(X, size, x, codes, max_genes=29).tolist() == everything.tolist()
    assert choose_panel(X, size, x, codes, max_genes=4).tolist() == [4, 11, 17, 25]
