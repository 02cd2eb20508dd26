"""Sound files of wrong content: each way once in the form where it is usual, the gravest ones in every form."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from corpus.broken import (
    SYMBOLS,
    Broken,
    broken,
    cells,
    dense,
    with_genes,
    with_values,
    write_cells_json,
    write_csc_h5ad,
    write_csr_json,
    write_csv,
    write_dense_h5ad,
    write_folder,
    write_h5ad,
    write_layer_h5ad,
    write_npz,
    write_raw_h5ad,
    write_tenx,
    write_zarr,
)

TURNED = ("MATRIX_TRANSPOSED",)
Change = Callable[[ad.AnnData], ad.AnnData]
Writer = Callable[[ad.AnnData, Path], Path]


def value_at(value: float, *, row: int = 5, column: int = 7) -> Change:
    """One wrong value among sound ones."""

    def change(adata: ad.AnnData) -> ad.AnnData:
        X = dense(adata).copy()
        X[row, column] = value
        return with_values(adata, sp.csr_matrix(X))

    return change


def of_values(how: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda adata: with_values(adata, sp.csr_matrix(how(dense(adata).astype(np.float64)).astype(np.float32)))


def per(total: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda X: X / X.sum(axis=1, keepdims=True) * total


def z_scores(X: np.ndarray) -> np.ndarray:
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1)


def of_genes(names: Callable[[list[str]], list[str]]) -> Change:
    return lambda adata: with_genes(adata, names(list(adata.var_names)))


def of_obs(**columns: Any) -> Change:
    def change(adata: ad.AnnData) -> ad.AnnData:
        changed = adata.copy()
        for name, values in columns.items():
            changed.obs[name] = values
        return changed

    return change


def taken(rows: Any, columns: Any) -> Change:
    return lambda adata: adata[rows, columns].copy()


def without_counts(row: int) -> Change:
    def change(adata: ad.AnnData) -> ad.AnnData:
        X = dense(adata).copy()
        X[row] = 0
        return with_values(adata, sp.csr_matrix(X))

    return change


def same_ids(adata: ad.AnnData) -> ad.AnnData:
    changed = adata.copy()
    changed.obs_names = [adata.obs_names[0], *adata.obs_names[:-1]]
    return changed


def mouse(adata: ad.AnnData) -> ad.AnnData:
    return with_genes(adata, [name.capitalize() if not name.startswith("MT-") else "mt-" + name[3:].capitalize()
                              for name in adata.var_names])  # fmt: skip


def transposed(adata: ad.AnnData) -> ad.AnnData:
    return ad.AnnData(sp.csr_matrix(adata.X.T), obs=pd.DataFrame(index=adata.var_names),
                      var=pd.DataFrame(index=adata.obs_names))  # fmt: skip


def declared(organism: str) -> Change:
    def change(adata: ad.AnnData) -> ad.AnnData:
        changed = adata.copy()
        changed.uns["organism"] = organism
        return changed

    return change


EVERY: tuple[tuple[str, Writer, dict[str, str]], ...] = (
    ("h5ad", write_h5ad, {}),
    ("dense h5ad", write_dense_h5ad, {}),
    ("csc h5ad", write_csc_h5ad, {}),
    ("layer of an h5ad", write_layer_h5ad, {"layer": "counts"}),
    ("raw of an h5ad", write_raw_h5ad, {"layer": "raw"}),
    ("10x h5", write_tenx, {}),
    ("10x folder", write_folder, {}),
    ("zarr", write_zarr, {}),
    ("csv", write_csv, {}),
    ("npz", write_npz, {}),
    ("json by cells", write_cells_json, {}),
    ("json by rows", write_csr_json, {}),
)
WIDE: tuple[tuple[str, Change, tuple[str, ...]], ...] = (
    ("a negative count", value_at(-3), ("COUNTS_NEGATIVE",)),
    ("a fraction among counts", value_at(2.5), ("COUNTS_NOT_WHOLE",)),
    ("log-normalised", of_values(lambda X: np.log1p(per(1e6)(X))), ("COUNTS_NOT_WHOLE",)),
    ("a cell without counts", without_counts(3), ("CELL_EMPTY",)),
    ("no gene of the model", of_genes(lambda names: [f"GENE-X{number}" for number in range(len(names))]),
     ("NO_GENES_SHARED",)),
    ("genes of the mouse", mouse, ("ORGANISM_MISMATCH",)),
    ("an id twice", same_ids, ("CELL_ID_DUPLICATE",)),
)  # fmt: skip
ONCE: tuple[tuple[str, Writer, Change, tuple[str, ...], dict[str, str]], ...] = (
    # single values
    ("NaN", write_h5ad, value_at(np.nan), ("COUNTS_NAN",), {}),
    ("NaN in a dense matrix", write_dense_h5ad, value_at(np.nan), ("COUNTS_NAN",), {}),
    ("NaN in a 10x file", write_tenx, value_at(np.nan), ("COUNTS_NAN",), {}),
    ("NaN in a zarr", write_zarr, value_at(np.nan), ("COUNTS_NAN",), {}),
    ("NaN in an npz", write_npz, value_at(np.nan), ("COUNTS_NAN",), {}),
    ("infinity", write_h5ad, value_at(np.inf), ("COUNTS_INFINITE",), {}),
    ("infinity in a layer", write_layer_h5ad, value_at(np.inf), ("COUNTS_INFINITE",), {"layer": "counts"}),
    ("infinity in an npz", write_npz, value_at(np.inf), ("COUNTS_INFINITE",), {}),
    ("minus infinity", write_dense_h5ad, value_at(-np.inf), ("COUNTS_INFINITE",), {}),
    ("a count beyond float32", write_h5ad, value_at(2.0**26), ("COUNTS_TOO_LARGE",), {}),
    ("a count beyond float32 in raw", write_raw_h5ad, value_at(2.0**27), ("COUNTS_TOO_LARGE",), {"layer": "raw"}),
    ("a count beyond float32 in JSON", write_csr_json, value_at(2.0**30), ("COUNTS_TOO_LARGE",), {}),
    ("a half count in the last cell", write_csc_h5ad, value_at(0.5, row=11, column=59), ("COUNTS_NOT_WHOLE",), {}),
    ("a tiny negative", write_h5ad, value_at(-1e-6), ("COUNTS_NEGATIVE", "COUNTS_NOT_WHOLE"), {}),
    ("four faults at once",
     write_h5ad, lambda adata: value_at(np.nan, row=0)(value_at(np.inf, row=1)(value_at(-1, row=2)(
        value_at(0.5, row=3)(adata)))), ("COUNTS_NAN", "COUNTS_INFINITE", "COUNTS_NEGATIVE", "COUNTS_NOT_WHOLE"), {}),
    # transformed values
    ("counts per million", write_h5ad, of_values(per(1e6)), ("COUNTS_NOT_WHOLE",), {}),
    ("binary logarithm", write_h5ad, of_values(lambda X: np.log2(per(1e4)(X) + 1)), ("COUNTS_NOT_WHOLE",), {}),
    ("decimal logarithm", write_csv, of_values(lambda X: np.log10(per(1e4)(X) + 1)), ("COUNTS_NOT_WHOLE",), {}),
    ("square roots", write_tenx, of_values(lambda X: np.sqrt(per(1e4)(X))), ("COUNTS_NOT_WHOLE",), {}),
    ("z-scores", write_dense_h5ad, of_values(z_scores), ("COUNTS_NEGATIVE", "COUNTS_NOT_WHOLE"), {}),
    ("z-scores cut at zero", write_dense_h5ad, of_values(lambda X: np.clip(z_scores(X), 0.01, None)),
     ("COUNTS_NOT_WHOLE",), {}),
    ("zero and one", write_h5ad, of_values(lambda X: (X > 0).astype(float)), ("COUNTS_NOT_RAW",), {}),
    ("tripled counts", write_h5ad, of_values(lambda X: 3 * X), ("COUNTS_NOT_RAW",), {}),
    ("a hundredth of counts", write_zarr, of_values(lambda X: X / 100), ("COUNTS_NOT_WHOLE",), {}),
    ("a constant added", write_dense_h5ad, of_values(lambda X: X + 0.25), ("COUNTS_NOT_WHOLE",), {}),
    ("counts with the sign turned", write_npz, of_values(lambda X: -X), ("COUNTS_NEGATIVE",), {}),
    ("no counts at all", write_h5ad, of_values(lambda X: 0 * X), ("CELL_EMPTY",), {}),
    ("no counts at all in a dense matrix", write_dense_h5ad, of_values(lambda X: 0 * X), ("CELL_EMPTY",), {}),
    ("recovery asked of z-scores", write_dense_h5ad, of_values(z_scores), ("COUNTS_NOT_RECOVERABLE",),
     {"recover_counts": "true"}),
    ("recovery asked of noise", write_h5ad, of_values(lambda X: X * np.random.default_rng(1).uniform(0.5, 1, X.shape)),
     ("COUNTS_NOT_RECOVERABLE",), {"recover_counts": "true"}),
    # cells and genes
    ("no cells", write_h5ad, taken(slice(0, 0), slice(None)), ("NO_CELLS",), {}),
    ("no cells in a 10x file", write_tenx, taken(slice(0, 0), slice(None)), ("NO_CELLS",), {}),
    ("no cells in an npz", write_npz, taken(slice(0, 0), slice(None)), ("NO_CELLS",), {}),
    ("no cells in JSON", write_cells_json, taken(slice(0, 0), slice(None)), ("NO_CELLS",), {}),
    ("no genes", write_h5ad, taken(slice(None), slice(0, 0)), ("NO_GENES",), {}),
    ("no genes in JSON", write_csr_json, taken(slice(None), slice(0, 0)), ("NO_GENES",), {}),
    ("neither cells nor genes", write_h5ad, taken(slice(0, 0), slice(0, 0)), ("NO_CELLS", "NO_GENES"), {}),
    ("a third of the genes",
     write_h5ad, taken(slice(None), slice(0, 20)), ("TOO_FEW_GENES", "LIBRARY_SIZE_NEEDED"), {}),
    ("a third of the genes in JSON", write_cells_json, taken(slice(None), slice(0, 20)),
     ("TOO_FEW_GENES", "LIBRARY_SIZE_NEEDED"), {}),
    ("a third of the genes and library sizes", write_h5ad, taken(slice(None), slice(0, 20)), ("TOO_FEW_GENES",),
     {"library_size": "total"}),
    ("one gene", write_tenx, taken(slice(None), slice(0, 1)), ("TOO_FEW_GENES", "LIBRARY_SIZE_NEEDED"), {}),
    ("all ids the same",
     write_h5ad, lambda adata: _with_ids(adata, ["cell"] * adata.n_obs), ("CELL_ID_DUPLICATE",), {}),
    # names of genes
    ("genes numbered", write_h5ad, of_genes(lambda names: [str(number) for number in range(len(names))]),
     ("NO_GENES_SHARED",), {}),
    ("genes without names", write_h5ad, of_genes(lambda names: [""] * len(names)), ("NO_GENES_SHARED",), {}),
    ("genes all named alike", write_tenx, of_genes(lambda names: ["CD4"] * len(names)), ("TOO_FEW_GENES",), {}),
    ("genes named by probes",
     write_csv, of_genes(lambda names: [f"{200000 + number}_s_at" for number in range(len(names))]),
     ("NO_GENES_SHARED",), {}),
    ("genes named with Cyrillic look-alikes",
     write_h5ad, of_genes(lambda names: [name.translate(LOOKALIKES) for name in names]),
     ("TOO_FEW_GENES",), {}),
    ("declared to be of the zebrafish", write_h5ad, declared("Danio rerio"), ("ORGANISM_MISMATCH",), {}),
    ("declared to be of the mouse", write_h5ad, declared("Mus musculus"), ("ORGANISM_MISMATCH",), {}),
    ("genes of mouse Ensembl",
     write_tenx, of_genes(lambda names: [f"ENSMUSG{number:011d}" for number in range(len(names))]),
     ("ORGANISM_MISMATCH",), {}),
    ("cells and genes exchanged", write_h5ad, transposed, TURNED, {}),
    ("cells and genes exchanged in a 10x file", write_tenx, transposed, TURNED, {}),
    ("cells and genes exchanged in JSON", write_csr_json, transposed, TURNED, {}),
    ("cells and genes exchanged in a csv", write_csv, transposed, ("TABLE_TRANSPOSED",), {}),
    # library sizes
    ("no such column of library sizes", write_h5ad, of_obs(), ("LIBRARY_SIZE_COLUMN_UNKNOWN",), {"library_size": "n"}),
    ("no such column in a 10x file", write_tenx, of_obs(), ("LIBRARY_SIZE_COLUMN_UNKNOWN",), {"library_size": "total"}),
    ("no such column in a zarr", write_zarr, of_obs(), ("LIBRARY_SIZE_COLUMN_UNKNOWN",), {"library_size": "n"}),
    ("library sizes of words", write_h5ad, of_obs(), ("LIBRARY_SIZE_INVALID",), {"library_size": "donor"}),
    ("library sizes below the counts", write_h5ad, of_obs(total=3.0), ("LIBRARY_SIZE_INVALID",),
     {"library_size": "total"}),
    ("library sizes of zero", write_h5ad, of_obs(total=0), ("LIBRARY_SIZE_INVALID",), {"library_size": "total"}),
    ("negative library sizes", write_zarr, of_obs(total=-500.0), ("LIBRARY_SIZE_INVALID",), {"library_size": "total"}),
    ("one library size is missing", write_h5ad, of_obs(total=[np.nan, *[9e3] * 11]), ("LIBRARY_SIZE_INVALID",),
     {"library_size": "total"}),
    ("an infinite library size", write_h5ad, of_obs(total=[np.inf, *[9e3] * 11]), ("LIBRARY_SIZE_INVALID",),
     {"library_size": "total"}),
    ("library sizes of logarithms", write_h5ad, of_obs(total=np.full(12, 7.3)), ("LIBRARY_SIZE_INVALID",),
     {"library_size": "total"}),
    ("library sizes that are true",
     write_h5ad, of_obs(total=True), ("LIBRARY_SIZE_INVALID",), {"library_size": "total"}),
    # layers
    ("no such layer", write_h5ad, of_obs(), ("LAYER_UNKNOWN",), {"layer": "counts"}),
    ("no raw", write_h5ad, of_obs(), ("LAYER_UNKNOWN",), {"layer": "raw"}),
    ("a layer's name in capitals", write_layer_h5ad, of_obs(), ("LAYER_UNKNOWN",), {"layer": "Counts"}),
    ("no such layer in a zarr", write_zarr, of_obs(), ("LAYER_UNKNOWN",), {"layer": "counts"}),
    ("a layer asked of a 10x file", write_tenx, of_obs(), ("PARAMETER_INVALID",), {"layer": "counts"}),
    ("a layer asked of JSON", write_cells_json, of_obs(), ("PARAMETER_INVALID",), {"layer": "counts"}),
    ("a column asked of an npz", write_npz, of_obs(), ("PARAMETER_INVALID",), {"library_size": "total"}),
)  # fmt: skip
LOOKALIKES = str.maketrans("ABCEHKMOPTX", "АВСЕНКМОРТХ")


def _with_ids(adata: ad.AnnData, names: list[str]) -> ad.AnnData:
    changed = adata.copy()
    changed.obs_names = names
    return changed


def _entry(name: str, write: Writer, change: Change, codes: tuple[str, ...], options: dict[str, str]) -> Broken:
    return broken(name, lambda folder: write(change(cells()), folder), *codes, **options)


def entries() -> list[Broken]:
    made = [_entry(*once) for once in ONCE]
    for name, change, codes in WIDE:
        for form, write, options in EVERY:
            made.append(_entry(f"{name} ({form})", write, change, codes, options))
    return made


assert len(SYMBOLS) == 60
