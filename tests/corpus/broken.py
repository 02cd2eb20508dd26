"""What an entry of the corpus is, the sound cells that each one breaks, and the forms they are written in."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

N_CELLS = 12
SYMBOLS = [
    "MS4A1", "CD79A", "CD79B", "CD74", "HLA-DRA", "TCL1A", "BANK1", "CD19", "CD22", "IGHM", "GNLY", "NKG7", "GZMB",
    "PRF1", "KLRD1", "KLRF1", "FGFBP2", "GZMA", "GZMH", "CST7", "CD3D", "CD3E", "CD3G", "IL7R", "CD8A", "CD8B", "CD4",
    "LTB", "CCR7", "TRAC", "LYZ", "CST3", "S100A8", "S100A9", "CD14", "FCGR3A", "MS4A7", "FCN1", "VCAN", "CTSS",
    "PPBP", "PF4", "FCER1A", "CLEC10A", "IRF7", "ACTB", "B2M", "TMSB4X", "RPL3", "RPS6", "EEF1A1", "GAPDH", "MALAT1",
    "TMSB10", "FTL", "FTH1", "MT-CO1", "MT-ND1", "MT-ND2", "TPT1",
]  # fmt: skip
"""Sixty human genes; the corpus's model knows the first 52 of them."""
N_PANEL = 52


@dataclass(frozen=True)
class Broken:
    """One way of being broken. `build` writes the input below a folder and returns its path; a `.json` or `.npz` is a
    body of the service alone. `codes`: of its errors, exactly these. `options`: `layer`, `library_size` and
    `recover_counts`, as every door takes them. `apart_only`: a file that would loop when it is read directly.
    `at_http`: the codes at the service where they are others.
    """

    name: str
    build: Callable[[Path], Path]
    codes: frozenset[str]
    options: Mapping[str, str] = field(default_factory=dict)
    apart_only: bool = False
    at_http: frozenset[str] | None = None


def broken(
    name: str,
    build: Callable[[Path], Path],
    *codes: str,
    apart_only: bool = False,
    at_http: str | None = None,
    **options: str,
) -> Broken:
    served = None if at_http is None else frozenset({at_http})
    return Broken(name, build, frozenset(codes), options, apart_only, served)


def cells(n_cells: int = N_CELLS, *, seed: int = 0) -> ad.AnnData:
    """Sound counts of human cells, with library sizes in `obs["total"]`."""
    generator = np.random.default_rng(seed)
    counts = generator.poisson(generator.gamma(0.8, 4.0, len(SYMBOLS)), (n_cells, len(SYMBOLS))).astype(np.float32)
    counts[:, 0] += 1  # no cell is empty
    obs = pd.DataFrame(
        {"total": counts.sum(axis=1) + 100, "donor": generator.choice(["d1", "d2"], n_cells)},
        index=[f"AAAC{number:04d}-1" for number in range(n_cells)],
    )
    return ad.AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=SYMBOLS))


def with_values(adata: ad.AnnData, X: Any) -> ad.AnnData:
    return ad.AnnData(X, obs=adata.obs.copy(), var=adata.var.copy(), uns=dict(adata.uns))


def with_genes(adata: ad.AnnData, names: list[str]) -> ad.AnnData:
    changed = adata.copy()
    changed.var_names = names
    return changed


# writers


def write_h5ad(adata: ad.AnnData, folder: Path) -> Path:
    path = folder / "cells.h5ad"
    adata.write_h5ad(path)
    return path


def write_dense_h5ad(adata: ad.AnnData, folder: Path) -> Path:
    return write_h5ad(with_values(adata, dense(adata)), folder)


def write_csc_h5ad(adata: ad.AnnData, folder: Path) -> Path:
    return write_h5ad(with_values(adata, sp.csc_matrix(adata.X)), folder)


def write_layer_h5ad(adata: ad.AnnData, folder: Path) -> Path:
    """The cells in `layers["counts"]`; `X` is something else."""
    full = with_values(adata, sp.csr_matrix(dense(adata) > 0).astype(np.float32))
    full.layers["counts"] = adata.X
    return write_h5ad(full, folder)


def write_raw_h5ad(adata: ad.AnnData, folder: Path) -> Path:
    """The cells in `raw`; `X` is something else, of fewer genes."""
    full = with_values(adata, adata.X)
    full.raw = adata
    return write_h5ad(full[:, : max(adata.n_vars // 2, 1)].copy(), folder)


def write_tenx(adata: ad.AnnData, folder: Path, *, dtype: Any = None) -> Path:
    """As Cell Ranger 3 and later write it."""
    path = folder / "cells.h5"
    X = sp.csr_matrix(adata.X)
    whole = bool((X.data == np.rint(X.data)).all()) if X.nnz else True
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        matrix["data"] = X.data.astype(dtype or (np.int32 if whole else np.float32))
        matrix["indices"], matrix["indptr"] = X.indices.astype(np.int64), X.indptr.astype(np.int64)
        matrix["shape"] = np.array([adata.n_vars, adata.n_obs], dtype=np.int32)
        matrix["barcodes"] = np.array(adata.obs_names, dtype="S")
        features = matrix.create_group("features")
        features["id"] = features["name"] = np.array([name.encode() for name in adata.var_names], dtype="S")
        features["feature_type"] = np.array([b"Gene Expression"] * adata.n_vars, dtype="S")
        features["genome"] = np.array([b"GRCh38"] * adata.n_vars, dtype="S")
    return path


def write_folder(adata: ad.AnnData, folder: Path) -> Path:
    """As Cell Ranger's `filtered_feature_bc_matrix`."""
    target = folder / "filtered_feature_bc_matrix"
    target.mkdir()
    X = sp.coo_matrix(adata.X)
    whole = bool((X.data == np.rint(X.data)).all())
    kind = "integer" if whole else "real"
    lines = [f"%%MatrixMarket matrix coordinate {kind} general", "%", f"{adata.n_vars} {adata.n_obs} {X.nnz}"]
    values = [f"{value:.0f}" if whole else f"{value!r}" for value in X.data.tolist()]
    lines += [f"{column + 1} {row + 1} {value}" for row, column, value in zip(X.row, X.col, values, strict=True)]
    features = [f"ENSG{number:011d}\t{name}\tGene Expression" for number, name in enumerate(adata.var_names)]
    files = {"matrix.mtx": lines, "barcodes.tsv": list(adata.obs_names), "features.tsv": features}
    for name, content in files.items():
        (target / f"{name}.gz").write_bytes(gzip.compress(("\n".join(content) + "\n").encode()))
    return target


def write_csv(adata: ad.AnnData, folder: Path) -> Path:
    path = folder / "cells.csv"
    pd.DataFrame(dense(adata), index=adata.obs_names, columns=adata.var_names).to_csv(path)
    return path


def write_zarr(adata: ad.AnnData, folder: Path) -> Path:
    path = folder / "cells.zarr"
    adata.write_zarr(path)
    return path


def csr_arrays(adata: ad.AnnData) -> dict[str, Any]:
    X = sp.csr_matrix(adata.X)
    return {"genes": list(adata.var_names), "cell_ids": list(adata.obs_names), "indptr": X.indptr.tolist(),
            "indices": X.indices.tolist(), "data": X.data.tolist()}  # fmt: skip


def write_npz(adata: ad.AnnData, folder: Path) -> Path:
    types = {"genes": str, "cell_ids": str, "data": np.float32}
    return npz_file({key: np.array(value, dtype=types.get(key, np.int64)) for key, value in csr_arrays(adata).items()})(
        folder
    )


def npz_file(arrays: Mapping[str, np.ndarray]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = folder / "cells.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, values in arrays.items():
                member = io.BytesIO()
                np.lib.format.write_array(member, np.asanyarray(values))
                archive.writestr(f"{name}.npy", member.getvalue())
        return path

    return build


def cells_json(adata: ad.AnnData) -> dict[str, Any]:
    X = sp.csr_matrix(adata.X)
    rows = []
    for number, cell_id in enumerate(adata.obs_names):
        row = X[number]
        counts = dict(zip([adata.var_names[column] for column in row.indices], row.data.tolist(), strict=True))
        rows.append({"cell_id": cell_id, "counts": counts})
    return {"genes": list(adata.var_names), "cells": rows}


def json_file(value: Any) -> Callable[[Path], Path]:
    """A body: JSON of a value, or the text or bytes themselves."""

    def build(folder: Path) -> Path:
        content = (
            value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()
        )
        path = folder / "cells.json"
        path.write_bytes(content)
        return path

    return build


def write_cells_json(adata: ad.AnnData, folder: Path) -> Path:
    return json_file(cells_json(adata))(folder)


def write_csr_json(adata: ad.AnnData, folder: Path) -> Path:
    return json_file(csr_arrays(adata))(folder)


def text_file(name: str, content: str | bytes) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return build


def dense(adata: ad.AnnData) -> np.ndarray:
    return adata.X.toarray() if sp.issparse(adata.X) else np.asarray(adata.X)
