"""Silhouettes and published marker scores of many cells: `python benchmarks/silhouettes.py`.

Counts are drawn (gamma-Poisson), the candidates are 50 genes of each of 10 types. First all silhouettes and scores with
cellmark, then scikit-learn's quadratic silhouette on a few cells, one gene and type at a time, beside cellmark's on the
same cells: its time, the ratio, the largest difference. One process, processor seconds.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import silhouette_score

from cellmark.training.markers.published_ranking import marker_scores, silhouettes

N_TYPES, N_CANDIDATES = 10, 50
N_FEW, N_COMPARED = 2000, 5


def draw_counts(n_cells: int, n_genes: int, *, seed: int) -> tuple[sp.csr_matrix, np.ndarray]:
    """CSR, cells x genes, and the types; about a fifth of the values is not 0."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, N_TYPES, n_cells)
    rates = generator.gamma(0.25, 1.5, (N_TYPES, n_genes))
    pieces = [
        sp.csr_matrix(generator.poisson(rates[codes[start : start + 5000]]).astype(np.float32))
        for start in range(0, n_cells, 5000)
    ]
    return sp.vstack(pieces, format="csr"), codes


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts, codes = draw_counts(arguments.cells, arguments.genes, seed=arguments.seed)
    generator = np.random.default_rng(arguments.seed)
    own = generator.permutation(arguments.genes)[: N_TYPES * N_CANDIDATES].reshape(N_TYPES, -1)
    chosen = np.sort(own.ravel())
    print(
        f"{arguments.cells} cells x {arguments.genes} genes, {counts.nnz / np.prod(counts.shape):.0%} of values not 0; "
        f"{N_TYPES} types x {own.shape[1]} candidates"
    )
    columns = counts[:, chosen].tocsc()
    seconds, _ = timed(lambda: silhouettes(columns, codes, n_types=N_TYPES))
    print(f"silhouettes of {len(chosen)} genes for {N_TYPES} types each: {seconds:6.2f} s")
    seconds, _ = timed(lambda: marker_scores(counts, codes, n_types=N_TYPES, candidates=list(own)))
    print(f"silhouettes and marker scores:                  {seconds:6.2f} s")

    few, few_codes = counts[:N_FEW][:, chosen[:N_COMPARED]].toarray().astype(np.float64), codes[:N_FEW]
    ours_seconds, ours = timed(lambda: silhouettes(few, few_codes, n_types=N_TYPES))
    theirs_seconds, theirs = timed(
        lambda: [
            [silhouette_score(few[:, [gene]], few_codes == code) for gene in range(N_COMPARED)]
            for code in range(N_TYPES)
        ]
    )
    difference = np.abs(np.asarray(ours) - np.asarray(theirs)).max()
    print(f"{len(few)} cells, {N_COMPARED} genes x {N_TYPES} types:")
    print(
        f"  cellmark {ours_seconds * 1000:9.2f} ms\n  scikit-learn {theirs_seconds * 1000:6.0f} ms  "
        f"({theirs_seconds / max(ours_seconds, 1e-9):.0f} x)\n  largest difference {difference:.1e}"
    )


if __name__ == "__main__":
    main()
