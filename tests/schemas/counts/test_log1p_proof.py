"""Cells that sum to 10,000 once the logarithm is undone prove it; others do not. Normalised by scanpy."""

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp

from cellmark.schemas.counts.log1p_proof import HALF, Rounding, misfit, proves_log1p, undo_log1p
from fixtures import expression_cases as made


@pytest.fixture(scope="module")
def counts() -> sp.csr_matrix:
    generator = np.random.default_rng(3)
    rates = generator.gamma(0.4, 3, 3000) * generator.lognormal(0, 0.5, (80, 1))
    return sp.csr_matrix(generator.poisson(rates).astype(np.float32))


def by_scanpy(counts: sp.csr_matrix, *, target: float | None = 1e4, base: float | None = None) -> sp.csr_matrix:
    adata = ad.AnnData(counts.copy())
    sc.pp.normalize_total(adata, target_sum=target)
    sc.pp.log1p(adata, base=base)
    return sp.csr_matrix(adata.X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_scanpy_makes_is_proved_and_undone(counts: sp.csr_matrix, dtype: type) -> None:
    undone = undo_log1p(by_scanpy(counts.astype(dtype)), Rounding())
    assert not undone.fails.any()
    per_10_000 = counts.multiply(1e4 / counts.sum(axis=1)).toarray()
    np.testing.assert_allclose(undone.X.toarray(), per_10_000, rtol=3e-6)
    assert np.abs(undone.totals / 1e4 - 1).max() < 2e-6


@pytest.mark.parametrize("store", [
    lambda X: made.on_values(X, lambda v: v.astype(np.float16)), lambda X: made.on_values(X, lambda v: v.round(3)),
    lambda X: made.on_values(X.astype(np.float64), lambda v: v.round(4)),
    lambda X: made.on_values(X, lambda v: v.round(2)),
])  # fmt: skip
def test_digits_that_were_rounded_away_are_allowed_for_and_no_more(counts: sp.csr_matrix, store: object) -> None:
    stored = store(by_scanpy(counts))  # type: ignore[operator]
    assert proves_log1p(stored)
    exact = undo_log1p(stored, Rounding())
    assert exact.fails.any()
    # Without its strongest gene no cell sums to 10,000, whatever the digits.
    cut = stored.tolil()
    cut[:, int(counts.sum(axis=0).argmax())] = 0
    assert not proves_log1p(sp.csr_matrix(cut))


def test_how_values_are_stored_is_seen() -> None:
    values = np.log1p(np.random.default_rng(0).uniform(0.1, 50, 300))
    assert Rounding.of(values) == Rounding.of(values.astype(np.float32).astype(np.float64)) == Rounding()
    assert Rounding.of(values.astype(np.float16).astype(np.float64)) == Rounding(0, HALF)
    assert Rounding.of(values.round(3)).absolute == pytest.approx(5e-4)
    assert Rounding.of(values.round(3).astype(np.float32).astype(np.float64)).absolute == pytest.approx(5e-4)


@pytest.mark.parametrize("make", [
    lambda X: X, lambda X: by_scanpy(X, target=1e6), lambda X: by_scanpy(X, target=None),
    lambda X: by_scanpy(X, base=2), lambda X: by_scanpy(X)[:, :2000], made.scaled, made.counts_per,
    lambda X: made.on_values(by_scanpy(X), np.log1p), lambda X: made.on_values(by_scanpy(X), lambda v: v + 0.01),
    lambda X: made.on_values(X, np.log1p), lambda X: made.on_values(by_scanpy(X), np.negative),
    lambda X: made.on_values(by_scanpy(X), lambda v: np.where(np.arange(len(v)) == 7, np.nan, v)),
    lambda X: made.on_values(by_scanpy(X), lambda v: np.where(np.arange(len(v)) == 7, np.inf, v)),
    lambda X: sp.csr_matrix(X.shape, dtype=np.float32),
])  # fmt: skip
def test_other_values_prove_nothing(counts: sp.csr_matrix, make: object) -> None:
    assert not proves_log1p(sp.csr_matrix(make(counts)))  # type: ignore[operator]


def test_an_empty_cell_fails_nothing_and_parts_of_a_value_are_joined(counts: sp.csr_matrix) -> None:
    logged = by_scanpy(counts)
    with_empty = sp.vstack([logged[:3], sp.csr_matrix((1, logged.shape[1])), logged[3:]], format="csr")
    undone = undo_log1p(with_empty, Rounding())
    assert not undone.fails.any()
    assert undone.totals[3] == 0
    halves = sp.csr_matrix(
        (np.repeat(logged.data.astype(np.float64) / 2, 2), np.repeat(logged.indices, 2), 2 * logged.indptr),
        logged.shape,
    )
    assert not undo_log1p(halves, Rounding()).fails.any()
    assert halves.nnz == 2 * logged.nnz


def test_a_misfit_is_put_in_numbers(counts: sp.csr_matrix) -> None:
    per_million = by_scanpy(counts.astype(np.float64), target=1e6)
    assert "sums to 1,000,000.0 and not to 10,000 in 80 of 80 sampled cells" in misfit(per_million)
    logged = by_scanpy(counts.astype(np.float64))
    assert misfit(logged) == ""
    assert misfit(sp.csr_matrix(sp.vstack([logged, per_million[:2]]))).endswith("in 2 of 82 sampled cells")
