"""Small inputs that are sound in every form that the service takes: what mutations start from."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

N_CELLS = 12
N_OTHER_GENES = 8
"""Genes beside the model's, so that a library size may be summed."""


class SoundInput(NamedTuple):
    """`kind`: h5ad, h5, npz or json. `name`: tells inputs of one kind apart. `options`: that the route needs."""

    kind: str
    name: str
    content: bytes
    options: dict[str, str]


def draw(genes: tuple[str, ...], *, seed: int = 0) -> ad.AnnData:
    """Counts of a few cells over `genes` and some others, with what AnnData files usually carry."""
    generator = np.random.default_rng(seed)
    names = [*genes, *(f"OTHER{number}" for number in range(N_OTHER_GENES))]
    counts = generator.poisson(generator.gamma(0.8, 2.0, len(names)), (N_CELLS, len(names))).astype(np.float32)
    counts[:, 0] += 1  # no cell is empty
    obs = pd.DataFrame(
        {
            "donor": pd.Categorical(generator.choice(["d1", "d2"], N_CELLS)),
            "total": counts.sum(axis=1),
            "note": [f"α{number}" for number in range(N_CELLS)],
        },
        index=[f"AAAC{number:04d}-1" for number in range(N_CELLS)],
    )
    var = pd.DataFrame({"mean": counts.mean(axis=0)}, index=names)
    return ad.AnnData(sp.csr_matrix(counts), obs=obs, var=var)


def sound_inputs(genes: tuple[str, ...], folder: Path) -> list[SoundInput]:
    """All of them. `genes`: the model's. `folder`: a place to write in."""
    adata = draw(genes)
    made = [SoundInput("h5ad", name, _h5ad(change(adata), folder), options) for name, change, options in _H5AD]
    made.append(SoundInput("h5", "10x", _tenx(adata, folder), {}))
    for name, method in (("deflated", zipfile.ZIP_DEFLATED), ("stored", zipfile.ZIP_STORED)):
        made.append(SoundInput("npz", name, _npz(_csr(adata), method), {}))
    sizes = adata.obs["total"].tolist()
    made.append(SoundInput("json", "csr", _json({**_csr(adata), "library_sizes": sizes}), {}))
    made.append(SoundInput("json", "cells", _json(_cells(adata, sizes)), {}))
    return made


def _with_more(adata: ad.AnnData) -> ad.AnnData:
    full = adata.copy()
    full.layers["counts"] = full.X.copy()
    full.raw = full
    full.X = full.X.log1p()
    full.uns["organism"] = "Homo sapiens"
    full.obsm["X_pca"] = np.zeros((full.n_obs, 3), dtype=np.float32)
    return full


def _as(kind: Callable[[sp.csr_matrix], object]) -> Callable[[ad.AnnData], ad.AnnData]:
    def change(adata: ad.AnnData) -> ad.AnnData:
        return ad.AnnData(kind(adata.X), obs=adata.obs.copy(), var=adata.var.copy())

    return change


_H5AD: list[tuple[str, Callable[[ad.AnnData], ad.AnnData], dict[str, str]]] = [
    ("csr", _as(sp.csr_matrix), {}),
    ("csc", _as(sp.csc_matrix), {"library_size": "total"}),
    ("dense", _as(lambda X: X.toarray()), {}),
    ("layers", _with_more, {"layer": "counts"}),
    ("raw", _with_more, {"layer": "raw", "library_size": "total"}),
]


def _h5ad(adata: ad.AnnData, folder: Path) -> bytes:
    path = folder / "sound.h5ad"
    adata.write_h5ad(path, compression="gzip" if adata.raw is not None else None)
    return path.read_bytes()


def _tenx(adata: ad.AnnData, folder: Path) -> bytes:
    path = folder / "sound.h5"
    X = sp.csr_matrix(adata.X)
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        for name, values in (("data", X.data.astype(np.int32)), ("indices", X.indices), ("indptr", X.indptr)):
            matrix.create_dataset(name, data=values, compression="gzip")
        matrix["shape"] = np.array([adata.n_vars, adata.n_obs])
        matrix["barcodes"] = np.array(adata.obs_names, dtype="S")
        names = np.array(adata.var_names, dtype="S")
        matrix["features/id"], matrix["features/name"] = names, names
        matrix["features/feature_type"] = np.array([b"Gene Expression"] * adata.n_vars)
        matrix["features/genome"] = np.array([b"GRCh38"] * adata.n_vars)
    return path.read_bytes()


def _npz(arrays: dict[str, list[object]], method: int) -> bytes:
    """As NumPy writes it, but for the date: the same bytes every time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.array(values))
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), method)
    return buffer.getvalue()


def _csr(adata: ad.AnnData) -> dict[str, list[object]]:
    X = adata.X
    return {"genes": adata.var_names.tolist(), "cell_ids": adata.obs_names.tolist(), "indptr": X.indptr.tolist(),
            "indices": X.indices.tolist(), "data": X.data.tolist()}  # fmt: skip


def _cells(adata: ad.AnnData, sizes: list[float]) -> dict[str, object]:
    cells = []
    for number, cell_id in enumerate(adata.obs_names):
        row = adata.X[number]
        counts = dict(zip(adata.var_names[row.indices], row.data.tolist(), strict=True))
        cells.append({"cell_id": cell_id, "counts": counts, "library_size": sizes[number]})
    return {"genes": adata.var_names.tolist(), "cells": cells}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
