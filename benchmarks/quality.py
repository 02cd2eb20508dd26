"""What the quality tables and both expectation suites cost: CPU milliseconds, one thread.

OMP_NUM_THREADS=1 python benchmarks/quality.py
"""

import time

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.quality.expectations import make_expectations, run_expectations
from cellmark.schemas.quality.quality_table import QualityAccumulator, sample_quality

REPEATS = 5


def cells(n_cells: int, *, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "cell_id": [f"cell-{number}" for number in range(n_cells)],
            "total_counts": rng.lognormal(8, 0.5, n_cells).round(),
            "genes_detected": rng.integers(300, 3000, n_cells),
            "panel_fraction": rng.beta(50, 20, n_cells),
            "mitochondrial_fraction": rng.beta(2, 50, n_cells),
        }
    )


def main() -> None:
    rng = np.random.default_rng(0)
    X = sp.random(5_000, 20_000, 0.08, format="csr", random_state=rng, dtype=np.float32)
    X.data = rng.integers(1, 50, X.nnz).astype(np.float32)
    ids = np.array([f"cell-{number}" for number in range(X.shape[0])])
    library_size = np.asarray(X.sum(axis=1)).ravel()
    for _ in range(REPEATS):
        collected = QualityAccumulator(
            panel_columns=rng.random(X.shape[1]) < 0.1,
            mitochondrial_columns=rng.random(X.shape[1]) < 0.001,
            panel_overlap=1.0,
        )
        start = time.process_time()
        collected.add(X, cell_ids=ids, library_size=library_size)
        print(f"table of 5,000 cells x 20,000 genes, 8 % filled: {1e3 * (time.process_time() - start):.0f} ms")

    sample = sample_quality(n_cells=3_000, n_genes=20_000, panel_overlap=1.0, whole_numbers=True, finite=True)
    expectations = make_expectations(cells(3_000, seed=0), sample, name="benchmark")
    start = time.process_time()
    n_checks = len(run_expectations(expectations, cells(100, seed=1), sample).checks)
    print(f"first run, with the import: {time.process_time() - start:.1f} s for {n_checks} expectations")
    for n_cells in (700, 5_000, 50_000):
        table = cells(n_cells, seed=2)
        times = []
        for _ in range(REPEATS):
            start = time.process_time()
            run_expectations(expectations, table, sample)
            times.append(1e3 * (time.process_time() - start))
        print(f"{n_cells:>6,} cells: median {np.median(times):.0f} ms, {min(times):.0f} to {max(times):.0f}")


if __name__ == "__main__":
    main()
