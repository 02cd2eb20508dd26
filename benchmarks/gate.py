"""What the gate costs: `python benchmarks/gate.py --model BUNDLE` (a model trained on `pancreas_baron_human`).

1,000 cells x 20,000 genes of `pancreas_baron_human`, CSR, float32, in memory, as a request holds them once it is read.
The gate is everything between that and the graphs but bringing the counts into the model's order: genes matched (or
their mapping remembered, by their names), floors, cell ids, library sizes, values, and the state that a
sample of cells is in. It is compared with one `X.sum(axis=1)` and `X.max()`, timed in turns with it (processor time of
the thread, since the machine may be busy), and with the whole of a request: the same cells as an `.npz` posted to
`/annotate` in this process. Medians and best of the rounds.
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from starlette.testclient import TestClient

from cellmark.schemas.cells.cell_source import MemoryCells
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.genes.gene_panel import GeneMatch
from cellmark.schemas.genes.gene_tables import ENSEMBL, load_gene_table
from cellmark.serving import Annotator
from cellmark.serving.app import make_app

N_CELLS, N_GENES = 1_000, 20_000


def cells_of(path: Path) -> tuple[sp.csr_matrix, np.ndarray]:
    """Counts, CSR, float32, 1,000 cells x 20,000 genes, and the genes' symbols."""
    adata = ad.read_h5ad(path)
    rows = np.linspace(0, adata.n_obs - 1, N_CELLS).astype(int)
    counts = sp.csr_matrix(adata.X, dtype=np.float32)[rows][:, :N_GENES]
    counts.sort_indices()
    return counts, adata.var_names[:N_GENES].to_numpy(dtype=object).astype(str)


def ensembl_of(symbols: np.ndarray) -> np.ndarray:
    """The Ensembl id of each symbol that has one."""
    table = load_gene_table("human")
    ids = np.flatnonzero((table.kind == ENSEMBL) & (table.gene >= 0))
    by_symbol = dict(zip(table.symbols[table.gene[ids]], table.names[ids], strict=True))
    return np.array([by_symbol.get(symbol, symbol) for symbol in symbols])


class Aligning:
    """Adds up what bringing counts into the model's order takes, so that it can be taken off."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._align = GeneMatch.align

    def __enter__(self) -> "Aligning":
        def align(match: GeneMatch, X: sp.csr_matrix) -> sp.csr_matrix:
            begun = time.thread_time()
            aligned = self._align(match, X)
            self.seconds += time.thread_time() - begun
            return aligned

        GeneMatch.align = align  # type: ignore[method-assign]
        return self

    def __exit__(self, *error: object) -> None:
        GeneMatch.align = self._align  # type: ignore[method-assign]


def gate(annotator: Annotator, X: sp.csr_matrix, names: np.ndarray, obs: pd.DataFrame) -> tuple[float, float]:
    """Processor seconds of the gate, and of the alignment in it, which is taken off."""
    source = MemoryCells(X, names.copy(), obs)
    with Aligning() as aligning:
        begun = time.thread_time()
        checked: CheckedCells = annotator.check(source)
        for chunk in checked.source.chunks(N_CELLS):
            checked.record(checked.prepare(chunk))
        checked.finish()
        seconds = time.thread_time() - begun
    return seconds - aligning.seconds, aligning.seconds


def timed(work: Callable[[], object]) -> float:
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--rounds", type=int, default=50)
    given = parser.parse_args()
    X, symbols = cells_of(given.shared / "pancreas_baron_human.h5ad")
    obs = pd.DataFrame(index=[f"cell{number}" for number in range(N_CELLS)])
    annotator = Annotator.load(given.model)
    names = {"symbols": symbols, "Ensembl ids": ensembl_of(symbols)}
    units, aligned, gates = [], [], {kind: [] for kind in names}
    for number in range(given.rounds + 2):
        unit = timed(lambda: (X.sum(axis=1), X.max()))
        for kind, of_kind in names.items():
            seconds, apart = gate(annotator, X, of_kind, obs)
            if number >= 2:
                gates[kind].append(seconds)
                aligned.append(apart)
        if number >= 2:
            units.append(unit)
    print(f"{X.nnz:,} counts; one sum and maximum {1e3 * np.median(units):.2f} ms (best {1e3 * min(units):.2f})")
    for kind, seconds in gates.items():
        ratios = np.median(seconds) / np.median(units), min(seconds) / min(units)
        print(
            f"gate, {kind}: {1e3 * np.median(seconds):.2f} ms (best {1e3 * min(seconds):.2f}), "
            f"{ratios[0]:.2f} (best {ratios[1]:.2f}) x sum and maximum"
        )
    print(f"counts in the model's order: {1e3 * np.median(aligned):.2f} ms (best {1e3 * min(aligned):.2f})")
    with TestClient(make_app(annotator)) as client:
        for kind, of_kind in names.items():
            file = io.BytesIO()
            np.savez(file, genes=of_kind, cell_ids=obs.index.to_numpy(dtype=str), indptr=X.indptr, indices=X.indices,
                     data=X.data)  # fmt: skip
            requests = []
            for number in range(12):
                headers = {"Content-Type": "application/x-npz"}
                begun = time.perf_counter()
                answer = client.post("/annotate", content=file.getvalue(), headers=headers)
                if number >= 2:
                    requests.append(time.perf_counter() - begun)
                assert answer.status_code == 200, answer.text[:500]
            print(f"request, {kind}: {1e3 * np.median(requests):.0f} ms (best {1e3 * min(requests):.0f}); the gate is "
                  f"{np.median(gates[kind]) / np.median(requests):.1%} of it")  # fmt: skip


if __name__ == "__main__":
    main()
