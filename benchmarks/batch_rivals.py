"""What batch scoring is compared with, one process each: `python benchmarks/batch_rivals.py KIND PATH ...`.

Prints JSON. Runs in an environment with CellTypist too, which has no cellmark.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROWS = 500
"""Rows that are read at a time, as many as cellmark scores at a time."""


def stream_h5py(path: str) -> None:
    import h5py
    import scipy.sparse as sp

    with h5py.File(path) as file:
        group, total = file["X"], 0.0
        indptr, (n_cells, n_genes) = group["indptr"][:], group.attrs["shape"]
        for start in range(0, n_cells, ROWS):
            rows = indptr[start : start + ROWS + 1]
            values = slice(rows[0], rows[-1])
            shape = (len(rows) - 1, n_genes)
            total += sp.csr_matrix((group["data"][values], group["indices"][values], rows - rows[0]), shape=shape).sum()
    print(json.dumps({"sum": float(total)}))


def stream_anndata(path: str) -> None:
    import anndata

    adata = anndata.read_h5ad(path, backed="r")
    total = sum(adata.X[start : start + ROWS].sum() for start in range(0, adata.n_obs, ROWS))
    print(json.dumps({"sum": float(total)}))


def annotate_in_memory(path: str, model: str, *flags: str) -> None:
    import anndata

    from cellmark.serving import Annotator

    annotator, adata = Annotator.load(model, distilled="--distilled" in flags), anndata.read_h5ad(path)
    start = time.perf_counter()
    frame = annotator.annotate(adata)
    seconds = time.perf_counter() - start
    agree = (frame["cellmark_best_cell_type"].astype(str).to_numpy() == adata.obs["cell_type"].to_numpy()).mean()
    print(json.dumps({"calls": seconds, "agree": float(agree)}))


def train_celltypist(source: str, target: str, kind: str) -> None:
    import celltypist
    import scanpy as sc

    adata = sc.read_h5ad(source)
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    # What a call costs depends on the number of genes alone, so few rounds of the faster training do.
    options = {"use_SGD": True, "max_iter": 10, "n_jobs": 2, "feature_selection": kind == "selected"}
    celltypist.train(adata, labels="cell_type", **options).write(target)


def run_celltypist(path: str, model: str) -> None:
    """As its tutorial does it; `calls`: without reading the file, its imports and writing."""
    import celltypist
    import scanpy as sc

    adata, loaded = sc.read_h5ad(path), celltypist.models.Model.load(model)
    start = time.perf_counter()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    labels = celltypist.annotate(adata, model=loaded).predicted_labels
    seconds = time.perf_counter() - start
    labels.to_csv(f"{path}.celltypist.csv")
    Path(f"{path}.celltypist.csv").unlink()
    agree = (labels["predicted_labels"].astype(str).to_numpy() == adata.obs["cell_type"].to_numpy()).mean()
    print(json.dumps({"calls": seconds, "agree": float(agree)}))


KINDS: dict[str, Callable[..., None]] = {
    "h5py": stream_h5py,
    "anndata": stream_anndata,
    "memory": annotate_in_memory,
    "celltypist-train": train_celltypist,
    "celltypist": run_celltypist,
}

if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
