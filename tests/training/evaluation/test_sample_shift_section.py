"""What training says of whole samples: quantiles of held-out cells, and a cap that donors or perturbation showed."""

import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.calls.sample_shift import FEWEST_OF_TYPE, LEVELS
from cellmark.schemas.manifest.manifest_trust import SampleShiftEntry
from cellmark.schemas.normalization import normalize
from cellmark.training.evaluation.novelty import fold_scores, novelty_of_folds, novelty_threshold, threshold_cells
from cellmark.training.evaluation.out_of_fold import OutOfFold, fit_out_of_fold, plan_folds
from cellmark.training.evaluation.sample_shift_section import perturb_genes, sample_shift_section
from cellmark.training.network.classifier import NetworkShape
from cellmark.training.network.fit_settings import FitData, FitSettings

SHORT = FitSettings(shape=NetworkShape((16,)), max_epochs=15, batch_size=32, learning_rate=5e-3)


@pytest.fixture(scope="module")
def cells() -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    """Normalised cells of three types, and two donors."""
    generator = np.random.default_rng(0)
    codes = np.repeat(np.arange(3), 120)
    rates = np.tile(generator.gamma(1.0, 1.0, 60), (3, 1))
    for code in range(3):
        rates[code, 12 * code : 12 * code + 12] += 8
    counts = sp.csr_matrix(generator.poisson(rates[codes]).astype(np.float32))
    donors = np.array(["a", "b"])[np.arange(360) % 2]
    return normalize(counts, np.asarray(counts.sum(axis=1)).ravel()), codes, donors


def held_out_of(x: sp.csr_matrix, codes: np.ndarray, donors: np.ndarray | None) -> OutOfFold:
    everyone = np.arange(len(codes))
    data = FitData(x, codes, everyone, everyone[:0], 3)
    return fit_out_of_fold(data, plan_folds(codes, donors, everyone, seed=0, most=2), members=[SHORT], seed=0)


@pytest.mark.parametrize("by_donor", [False, True])
def test_the_section_holds_quantiles_of_held_out_cells_and_a_cap(
    cells: tuple[sp.csr_matrix, np.ndarray, np.ndarray], by_donor: bool
) -> None:
    x, codes, donors = cells
    held_out = held_out_of(x, codes, donors if by_donor else None)
    scores = fold_scores(held_out, x, codes)
    novelty = novelty_of_folds(scores, x)
    rows = threshold_cells(held_out, codes)
    threshold = novelty_threshold(novelty[rows])
    section = sample_shift_section(held_out, scores, x, codes, novelty, threshold=threshold, seed=0)
    entry = SampleShiftEntry.model_validate(section)
    best = held_out.logits[rows].argmax(axis=1)
    for code in range(3):
        called = novelty[rows][best == code]
        assert len(called) >= FEWEST_OF_TYPE
        np.testing.assert_allclose(entry.quantiles_of_types[code], np.quantile(called, LEVELS), atol=0.1)
        assert (called > entry.tail_of_types[code]).mean() <= 0.02
    assert entry.cap > 0
    assert entry.perturbed is not None
    assert entry.perturbed.refused_as_sample <= entry.perturbed.refused
    assert section == sample_shift_section(held_out, scores, x, codes, novelty, threshold=threshold, seed=0)


def test_perturbation_multiplies_counts_by_a_factor_of_each_gene(
    cells: tuple[sp.csr_matrix, np.ndarray, np.ndarray],
) -> None:
    x, _, _ = cells
    factors = np.expm1(perturb_genes(x, spread=0.5, seed=3).toarray()) / np.where(
        x.toarray() > 0, np.expm1(x.toarray()), np.nan
    )
    of_gene = np.nanmedian(factors, axis=0)
    np.testing.assert_allclose(factors, np.where(np.isnan(factors), np.nan, of_gene), rtol=1e-4)
    assert np.log(of_gene).std() == pytest.approx(0.5, rel=0.25)
    np.testing.assert_array_equal(perturb_genes(x, spread=0.0, seed=3).toarray(), x.toarray())
