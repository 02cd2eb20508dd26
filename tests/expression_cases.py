"""Expression in every state that users hand in, made of real or drawn counts: the state detector is measured on it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import scipy.sparse as sp

SLICES = (
    ("pbmc_facs", "cell_type", "CD19+ B"),
    ("pbmc_facs", "cell_type", "CD34+"),
    ("pbmc_facs", "cell_type", "CD14+ Monocyte"),
    ("pancreas_baron_human", "batch", "human1"),
    ("pancreas_baron_human", "batch", "human2"),
    ("pancreas_baron_human", "batch", "human3"),
    ("pancreas_baron_human", "batch", "human4"),
    ("mix5cl_celseq2", "batch", "plate1"),
    ("mix5cl_celseq2", "batch", "plate2"),
    ("mix5cl_celseq2", "batch", "plate3"),
)
"""File, column, value: parts of which no threshold was chosen (those were chosen on pbmc3k and pbmc68k_reduced)."""


@dataclass(frozen=True)
class Case:
    """`make`: counts (CSR float32) and a generator to values. `states`: the right answers. `per`: the total that must
    be named, `None` when none can be, "any" when it is not asked for. `transform`: what must be named as done last.
    """

    name: str
    make: Callable[[sp.csr_matrix, np.random.Generator], sp.csr_matrix]
    states: tuple[str, ...]
    per: float | str | None = "any"
    transform: str = "none"


def take_slice(folder: Path, which: tuple[str, str, str], *, most: int = 300) -> sp.csr_matrix:
    """Raw counts of one slice, at most so many cells, genes that they have."""
    name, column, value = which
    adata = ad.read_h5ad(folder / f"{name}.h5ad")
    rows = np.flatnonzero((adata.obs[column] == value).to_numpy())
    rows = np.sort(np.random.default_rng(0).choice(rows, min(most, len(rows)), replace=False))
    X = sp.csr_matrix(adata.X)[rows]
    return X[:, np.flatnonzero(X.getnnz(axis=0))]


def on_values(X: sp.csr_matrix, change: Callable[[np.ndarray], np.ndarray]) -> sp.csr_matrix:
    changed = sp.csr_matrix((change(X.data).astype(np.float32), X.indices.copy(), X.indptr.copy()), shape=X.shape)
    changed.eliminate_zeros()
    return changed


def totals(X: sp.csr_matrix) -> np.ndarray:
    return np.asarray(X.sum(axis=1, dtype=np.float64)).ravel()


def counts_per(X: sp.csr_matrix, total: float | None = 1e4) -> sp.csr_matrix:
    sums = totals(X)
    factor = (np.median(sums) if total is None else total) / np.maximum(sums, 1)
    return on_values(X, lambda data: data * np.repeat(factor, np.diff(X.indptr)))


def log1p_norm(X: sp.csr_matrix) -> sp.csr_matrix:
    return on_values(counts_per(X), np.log1p)


def scaled(X: sp.csr_matrix) -> sp.csr_matrix:
    """As scanpy's `pp.scale(max_value=10)`."""
    values = log1p_norm(X).toarray()
    spread = values.std(axis=0, ddof=1)
    return sp.csr_matrix(np.clip((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1), -10, 10))


def expected_counts(X: sp.csr_matrix) -> np.ndarray:
    sums = totals(X)
    return np.outer(sums, np.asarray(X.sum(axis=0, dtype=np.float64)).ravel() / sums.sum())


def pearson_residuals(X: sp.csr_matrix, theta: float = 100) -> np.ndarray:
    """Lause, Berens and Kobak 2021 (analytic Pearson residuals), clipped at the root of the number of cells."""
    mu = expected_counts(X)
    residuals = (X.toarray() - mu) / np.sqrt(mu + mu**2 / theta)
    return np.clip(residuals, -np.sqrt(X.shape[0]), np.sqrt(X.shape[0]))


def depth_corrected(X: sp.csr_matrix, theta: float = 100) -> sp.csr_matrix:
    """As `correct_counts` of sctransform: residuals put back at the median depth, rounded, not below 0."""
    mu, sums = expected_counts(X), totals(X)
    residuals = (X.toarray() - mu) / np.sqrt(mu + mu**2 / theta)
    at_median = (mu / sums[:, None])[0] * np.median(sums)
    values = at_median + residuals * np.sqrt(at_median + at_median**2 / theta)
    return sp.csr_matrix(np.maximum(np.rint(values), 0).astype(np.float32))


def without_ambient(X: sp.csr_matrix, generator: np.random.Generator) -> sp.csr_matrix:
    """As SoupX before rounding: a share of each cell's total, spread as the pooled profile, is taken off."""
    share = generator.uniform(0.02, 0.15, X.shape[0])
    ambient = expected_counts(X) * share[:, None]
    return sp.csr_matrix(np.maximum(X.toarray() - ambient, 0).astype(np.float32) * (X.toarray() > 0))


def min_max(X: sp.csr_matrix) -> sp.csr_matrix:
    values = log1p_norm(X).toarray()
    low, high = values.min(axis=0), values.max(axis=0)
    return sp.csr_matrix((values - low) / np.where(high > low, high - low, 1))


def tpm(X: sp.csr_matrix, generator: np.random.Generator) -> sp.csr_matrix:
    by_length = X @ sp.diags(1 / generator.lognormal(0.5, 0.8, X.shape[1]))
    return counts_per(sp.csr_matrix(by_length), 1e6)


def imputed(X: sp.csr_matrix) -> sp.csr_matrix:
    """Each cell the mean of the cells most like it, as MAGIC or kNN smoothing leave it; genes that most cells have."""
    values = log1p_norm(X).toarray()
    kept = values[:, np.argsort(-(values > 0).mean(axis=0))[:2000]]
    like = np.corrcoef(kept)
    weights = np.exp(like / 0.05)
    return sp.csr_matrix((weights / weights.sum(axis=1, keepdims=True) @ kept).astype(np.float32))


def variable_genes(X: sp.csr_matrix, n: int = 2000) -> np.ndarray:
    mean = np.asarray(X.mean(axis=0)).ravel()
    variance = np.asarray(X.multiply(X).mean(axis=0)).ravel() - mean**2
    return np.sort(np.argsort(-variance / np.maximum(mean, 1e-9))[:n])


def thinned(X: sp.csr_matrix, generator: np.random.Generator) -> sp.csr_matrix:
    drawn = on_values(X, lambda data: generator.binomial(data.astype(np.int64), 0.03))
    return drawn[np.flatnonzero(drawn.getnnz(axis=1))]


def some_rows(X: sp.csr_matrix, other: sp.csr_matrix, rows: np.ndarray) -> sp.csr_matrix:
    """`X` with the rows of `other` in some places."""
    is_other = np.zeros(X.shape[0], dtype=bool)
    is_other[rows] = True
    order = np.argsort(np.concatenate([np.flatnonzero(~is_other), np.flatnonzero(is_other)]))
    return sp.vstack([X[np.flatnonzero(~is_other)], other[np.flatnonzero(is_other)]], format="csr")[order]


def one_huge_cell(X: sp.csr_matrix) -> sp.csr_matrix:
    changed = X.copy()
    row = X.shape[0] // 2
    changed.data[changed.indptr[row] : changed.indptr[row + 1]] *= 997
    return changed


def zeros_first(X: sp.csr_matrix) -> sp.csr_matrix:
    return sp.vstack([sp.csr_matrix((50, X.shape[1]), dtype=X.dtype), X], format="csr")


def log1p_counts_per(X: sp.csr_matrix, total: float, base: float) -> sp.csr_matrix:
    return on_values(counts_per(X, total), lambda data: np.log1p(data) / np.log(base))


CASES = (
    Case("raw counts", lambda X, g: X, ("counts",)),
    Case("counts per 10,000", lambda X, g: counts_per(X), ("counts_per",), 1e4),
    Case("counts per million", lambda X, g: counts_per(X, 1e6), ("counts_per",), 1e6),
    Case("counts per median", lambda X, g: counts_per(X, None), ("counts_per",), "median"),
    Case("ln(1 + counts per 10,000)", lambda X, g: log1p_norm(X), ("transformed_counts_per",), 1e4, "ln"),
    Case("log2(1 + counts per million)", lambda X, g: log1p_counts_per(X, 1e6, 2), ("transformed_counts_per",), 1e6,
         "log2"),
    Case("ln(1 + counts)", lambda X, g: on_values(X, np.log1p), ("counts_transformed",), None, "ln"),
    Case("square root of counts", lambda X, g: on_values(X, np.sqrt), ("counts_transformed",), None, "sqrt"),
    Case("log1p then scaled", lambda X, g: scaled(X), ("scaled",)),
    Case("Pearson residuals", lambda X, g: sp.csr_matrix(pearson_residuals(X)), ("residuals",)),
    Case("ambient RNA taken off", without_ambient, ("corrected",)),
    Case("binary", lambda X, g: on_values(X, np.sign), ("binary",)),
    Case("one depth, whole", lambda X, g: depth_corrected(X), ("depth_corrected", "rounded")),
    Case("scaled to 0 to 1", lambda X, g: min_max(X), ("min_max",)),
    Case("TPM", tpm, ("total_per",), 1e6),
    Case("counts times 3", lambda X, g: on_values(X, lambda data: 3 * data), ("counts_times",)),
    Case("counts times 0.37", lambda X, g: on_values(X, lambda data: 0.37 * data), ("counts_times",)),
    Case("counts per 10,000, rounded", lambda X, g: on_values(counts_per(X), np.rint), ("rounded", "depth_corrected")),
    Case("five normalised cells among raw", lambda X, g: some_rows(X, log1p_norm(X), g.choice(X.shape[0], 5, False)),
         ("mixed",), 1e4, "ln"),
    Case("only the first 100 cells raw", lambda X, g: some_rows(log1p_norm(X), X, np.arange(100)), ("mixed",), 1e4,
         "ln"),
    Case("raw, the first 50 cells empty", lambda X, g: zeros_first(X), ("counts",)),
    Case("logarithms rounded", lambda X, g: on_values(log1p_norm(X), np.rint), ("rounded_log", "rounded")),
    Case("raw, very shallow", thinned, ("counts",)),
    Case("raw, one huge cell", lambda X, g: one_huge_cell(X), ("counts",)),
    Case("2,000 variable genes of log1p", lambda X, g: log1p_norm(X)[:, variable_genes(X)],
         ("transformed_counts_per",), None, "ln"),
    Case("raw, 2,000 variable genes", lambda X, g: X[:, variable_genes(X)], ("counts",)),
    Case("imputed", lambda X, g: imputed(X), ("imputed",)),
)  # fmt: skip
