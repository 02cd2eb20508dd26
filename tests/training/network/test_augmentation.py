"""Cells made poorer: what is left of their counts, how they are scaled, and which genes they lose."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from cellmark.schemas.normalization import normalize, row_sums
from cellmark.training.network.augmentation import Augmentation, thin, without
from cellmark.training.network.batch_inputs import DenseCells, PoorerCells
from cellmark.training.network.fit_settings import FitSettings


def draw_counts(n_cells: int = 400, n_genes: int = 60, *, seed: int = 0) -> sp.csr_matrix:
    generator = np.random.default_rng(seed)
    rates = generator.gamma(0.5, 6.0, n_genes)
    return sp.csr_matrix(generator.poisson(rates, (n_cells, n_genes)).astype(np.float32))


def counts_of(x: sp.csr_matrix, library_size: np.ndarray) -> np.ndarray:
    return np.expm1(x.toarray().astype(np.float64)) * library_size[:, None] / 1e4


def test_thinned_counts_are_whole_at_most_the_counts_and_follow_the_binomial_law() -> None:
    # 20,000 copies of one cell of which the panel is a fortieth: its library size hardly varies after thinning.
    counts = sp.csr_matrix(np.tile([[1.0, 2.0, 7.0, 0.0, 40.0]], (20_000, 1)).astype(np.float32))
    x, depth = normalize(counts, np.full(20_000, 2_000.0)), 0.3
    thinned = thin(x, np.full(20_000, depth), np.random.default_rng(0))
    # What became of the one gene of a single count tells the scale of each cell in which it was kept.
    kept = thinned[:, 0].toarray().ravel() > 0
    library = 1e4 / np.expm1(thinned[kept, 0].toarray().ravel().astype(np.float64))
    found = counts_of(thinned[kept], library)
    np.testing.assert_allclose(found, np.rint(found), atol=1e-3)
    assert (found <= counts.toarray()[kept] + 1e-3).all()
    for gene, n in ((1, 2), (2, 7), (4, 40)):
        error = np.sqrt(n * depth * (1 - depth) / kept.sum())
        assert found[:, gene].mean() == pytest.approx(n * depth, abs=5 * error)
        assert found[:, gene].var() == pytest.approx(n * depth * (1 - depth), rel=0.1)
    assert not found[:, 3].any()
    assert kept.mean() == pytest.approx(depth, abs=0.02)
    # The library is thinned as a whole: of 2,000 counts 600 are left, and this one count is among them.
    assert library.mean() == pytest.approx(2_000 * depth, rel=0.01)
    assert library.var() == pytest.approx(2_000 * depth * (1 - depth), rel=0.1)


def test_a_thinned_cell_is_what_normalising_its_thinned_counts_gives() -> None:
    counts = draw_counts()
    library = row_sums(counts)  # the panel is all there is, so that a thinned library size can be summed
    thinned = thin(normalize(counts, library), np.full(len(library), 0.4), np.random.default_rng(1))
    sums = np.expm1(thinned.toarray().astype(np.float64)).sum(axis=1)
    np.testing.assert_allclose(sums, 1e4, rtol=1e-5)


def test_cells_of_full_depth_and_the_matrix_given_stay_as_they_are() -> None:
    counts = draw_counts(60)
    x = normalize(counts, row_sums(counts) * 3)
    before = x.copy()
    depths = np.where(np.arange(60) % 3 == 0, 0.2, 1.0)
    thinned = thin(x, depths, np.random.default_rng(0))
    assert (x != before).nnz == 0
    assert (thinned[depths == 1] != x[depths == 1]).nnz == 0
    assert all((thinned[row] != x[row]).nnz for row in np.flatnonzero(depths < 1))
    assert (thin(x, np.ones(60), np.random.default_rng(0)) != x).nnz == 0


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [1e-30, 3.0]], ids=["no entries", "stored zeros", "no counts"])
def test_rows_without_counts_are_no_trouble(values: list[float]) -> None:
    x = sp.csr_matrix((np.array(values, np.float32), np.arange(len(values)), [0, len(values), len(values)]), (2, 4))
    thinned = thin(x, np.array([0.3, 0.3]), np.random.default_rng(0))
    assert np.isfinite(thinned.toarray()).all()
    assert thinned.nnz <= x.nnz


def test_real_cells_have_a_gene_counted_once(shared_data: "object") -> None:
    import anndata as ad

    from cellmark.training.cells.choose_panel import choose_panel

    adata = ad.read_h5ad(f"{shared_data}/pbmc3k.h5ad")
    counts = sp.csr_matrix(adata.X)
    library = row_sums(counts)
    codes = adata.obs["cell_type"].cat.codes.to_numpy()
    panel = counts[:, choose_panel(counts, library, normalize(counts, library), codes, max_genes=2000)]
    assert np.array_equal(np.minimum.reduceat(panel.data, panel.indptr[:-1]), np.ones(adata.n_obs))


def test_the_shares_drawn_are_those_asked_for() -> None:
    augmentation = Augmentation(share=0.6, least_counts=0.1, most_missing=0.5)
    depths = augmentation.depths(50_000, np.random.default_rng(0))
    assert (depths < 1).mean() == pytest.approx(0.6, abs=0.01)
    assert depths.min() >= 0.1
    # Log-uniform: half of them above the geometric mean of the ends.
    assert (depths[depths < 1] > np.sqrt(0.1)).mean() == pytest.approx(0.5, abs=0.01)
    missing = augmentation.missing((2_000, 500), np.random.default_rng(0)).mean(axis=1)
    assert (missing > 0).mean() == pytest.approx(0.6, abs=0.04)
    assert missing.max() < 0.6
    assert missing[missing > 0].mean() == pytest.approx(0.25, abs=0.02)


def test_genes_that_are_lost_have_their_baseline_and_others_their_value() -> None:
    inputs, baseline = torch.arange(6.0).reshape(2, 3), torch.tensor([10.0, 20.0, 30.0])
    found = without(inputs.clone(), np.array([[True, False, False], [False, False, True]]), baseline)
    assert found.tolist() == [[10.0, 1.0, 2.0], [3.0, 4.0, 30.0]]


def batch_of(augmentation: Augmentation) -> tuple[torch.Tensor, torch.Tensor]:
    counts = draw_counts(40)
    x = normalize(counts, row_sums(counts))
    mean, scale = np.full(60, 0.5), np.full(60, 2.0)
    dense = DenseCells(x, mean, scale, torch.device("cpu"))
    poorer = PoorerCells(dense, augmentation, baseline=np.full(60, 4.5), seed=0)
    cells = np.array([3, 1, 20])
    return poorer[cells], torch.from_numpy((x[cells].toarray() - mean) / scale).float()


def test_without_augmentation_batches_are_standardised_and_nothing_else() -> None:
    found, expected = batch_of(Augmentation())
    torch.testing.assert_close(found, expected)


def test_a_lost_gene_is_the_baseline_on_the_networks_scale() -> None:
    found, expected = batch_of(Augmentation(share=1.0, least_counts=1.0, most_missing=0.9))
    lost = found != expected
    assert 0.1 < lost.float().mean() < 0.8
    torch.testing.assert_close(found[lost], torch.full((int(lost.sum()),), 2.0))  # (4.5 - 0.5) / 2


def test_augmentation_is_read_from_settings_and_off_in_the_published_ones() -> None:
    from cellmark.training.presets import preset

    settings = FitSettings(augmented=0.4, least_counts=0.2, most_missing=0.3)
    assert Augmentation.of(settings) == Augmentation(0.4, 0.2, 0.3)
    published = Augmentation.of(preset("published").fit)
    assert not published.thins
    assert not published.drops
