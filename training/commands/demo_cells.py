"""The demo's cells, which scanpy ships: there is no download."""

import warnings
from importlib.util import find_spec
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.errors import SetupError

FILE = Path("datasets") / "10x_pbmc68k_reduced.h5ad"
MIN_CELLS = 30


def load_demo_cells() -> ad.AnnData:
    """PBMC cells x 765 genes: raw counts in `X`, `obs["cell_type"]`, `obs["n_counts"]` (true library size).

    scanpy's file holds ln(1 + counts per 10,000) of the true totals in `raw.X`, so whole counts come back exactly.
    Types with fewer than 30 cells are left out. Raises `SetupError` when scanpy does not have the file.
    """
    path = find_demo_file()
    # scanpy's file has an old layout, about which anndata warns at length; people cannot do anything about it.
    with warnings.catch_warnings(action="ignore"), open_cells(path, ReadingOptions(layer="raw")) as shipped:
        scaled = shipped.load().astype(np.float64)
    n_counts = shipped.obs["n_counts"].to_numpy(dtype=np.float64)
    scaled.data = np.rint(np.expm1(scaled.data) * np.repeat(n_counts, np.diff(scaled.indptr)) / 1e4)
    scaled.eliminate_zeros()
    labels = shipped.obs["bulk_labels"].astype(str)
    kept = labels.isin(labels.value_counts()[lambda sizes: sizes >= MIN_CELLS].index).to_numpy()
    obs = pd.DataFrame(
        {"cell_type": labels[kept].to_numpy(), "n_counts": n_counts[kept]}, index=shipped.obs.index[kept]
    )
    var = pd.DataFrame(index=shipped.var_names)
    cells = ad.AnnData(scaled[kept].astype(np.float32), obs=obs, var=var)
    cells.uns["organism"] = "Homo sapiens"
    cells.uns["source"] = "10x Genomics PBMC 68k (Zheng et al. 2017), as shipped with scanpy (BSD-3)"
    return cells


def find_demo_file() -> Path:
    """Scanpy's file, without importing scanpy, which takes seconds."""
    spec = find_spec("scanpy")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        if (Path(folder) / FILE).is_file():
            return Path(folder) / FILE
    raise SetupError.of(
        "EXTRA_MISSING",
        where="scanpy",
        expected=f"scanpy with {FILE.name}",
        found="none",
        remedy="Install the training extra: pip install 'cellmark[train,cpu]'",
    )
