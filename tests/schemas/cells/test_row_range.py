"""Some rows of a file: those of the whole, whatever the format, and nothing of the others."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.cells.row_range import RowRange
from cellmark.schemas.errors import ParameterError

N_CELLS, N_GENES = 61, 13
RANGES = [(0, 1), (0, 61), (60, 61), (7, 8), (5, 40), (16, 32), (15, 33), (48, 61)]
Matrix = Callable[[Any], Any]


def drawn(matrix: Matrix = sp.csr_matrix) -> ad.AnnData:
    """Cells with every kind of column that AnnData writes, empty cells among them."""
    generator = np.random.default_rng(5)
    X = generator.poisson(0.7, (N_CELLS, N_GENES)).astype(np.float32)
    X[[6, 40]] = 0
    numbers = np.arange(N_CELLS)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(generator.choice(["T", "B", "NK", None], N_CELLS)),
            "stage": pd.Categorical(generator.choice(["late", "early"], N_CELLS), ["early", "late"], ordered=True),
            "year": pd.Categorical(generator.choice([2001, 2002], N_CELLS)),
            "total": numbers,
            "share": np.linspace(0, 1, N_CELLS, dtype=np.float32),
            "kept": numbers % 3 == 0,
            "text": [f"α{number}\n" for number in numbers],
            "may_miss": pd.array([None if n % 4 else n for n in numbers], dtype="Int64"),
            "may_be": pd.array([None if n % 5 else bool(n % 2) for n in numbers], dtype="boolean"),
        },
        index=[f"cell{number}" for number in numbers],
    )
    adata = ad.AnnData(matrix(X), obs=obs, var=pd.DataFrame(index=[f"G{number}" for number in range(N_GENES)]))
    adata.var["gene_ids"] = [f"ENSG{number:011d}" for number in range(N_GENES)]
    adata.layers["doubled"] = matrix(X * 2)
    adata.raw = ad.AnnData(matrix(X[:, :5] * 3), obs=obs[[]], var=adata.var.iloc[:5])
    adata.uns["organism"] = "human"
    return adata


def in_storage_chunks(path: Path, shape: tuple[int, ...]) -> Path:
    """The dense matrices of a file in chunks of `shape`."""
    with h5py.File(path, "a") as file:
        for name in ("X", "layers/doubled"):
            stored = file[name]
            values, attributes = stored[()], dict(stored.attrs)
            del file[name]
            file.create_dataset(name, data=values, chunks=shape, compression="gzip")
            file[name].attrs.update(attributes)
    return path


def same(part: CellSource, whole: CellSource, start: int, stop: int) -> None:
    """`part` is rows `start` to `stop` of `whole`, in all that a source says."""
    expected = whole.load()[start:stop]
    assert (part.first_row, part.n_total, part.n_obs, part.n_vars) == (start, whole.n_obs, stop - start, whole.n_vars)
    for n_rows in (1, 4, 1000):
        chunks = list(part.chunks(n_rows))
        assert [chunk.start for chunk in chunks] == list(np.cumsum([0, *(c.X.shape[0] for c in chunks)])[:-1])
        assert all(0 < chunk.X.shape[0] <= n_rows for chunk in chunks)
        np.testing.assert_array_equal(np.vstack([chunk.X.toarray() for chunk in chunks]), expected.toarray())
    np.testing.assert_array_equal(part.load().toarray(), expected.toarray())
    assert part.load().dtype == expected.dtype
    some = np.arange(0, stop - start, 3)
    np.testing.assert_array_equal(part.take(some).toarray(), expected[some].toarray())
    assert list(part.cell_ids) == list(whole.cell_ids[start:stop])
    pd.testing.assert_frame_equal(part.obs, whole.obs.iloc[start:stop])
    pd.testing.assert_frame_equal(part.var, whole.var)
    assert (part.name, part.counts_from, part.uns, part.notes) == (
        whole.name,
        whole.counts_from,
        whole.uns,
        whole.notes,
    )
    assert [(o.layer, o.where) for o in part.others] == [(o.layer, o.where) for o in whole.others]
    for ours, theirs in zip(part.others, whole.others, strict=True):
        np.testing.assert_array_equal(ours.take(some).toarray(), theirs.take(some + start).toarray())


def write_h5ad(folder: Path, matrix: Matrix = sp.csr_matrix) -> Path:
    path = folder / "cells.h5ad"
    drawn(matrix).write_h5ad(path)
    return path


def write_dense(folder: Path) -> Path:
    return in_storage_chunks(write_h5ad(folder, np.asarray), (16, 5))


def write_old(folder: Path) -> Path:
    """As AnnData 0.7: the categories of a column lie beside it."""
    path = write_h5ad(folder)
    with h5py.File(path, "a") as file:
        obs = file["obs"]
        for name in ("may_miss", "may_be"):
            del obs[name]
        for name in ("cell_type", "stage", "year"):
            codes, categories = obs[name]["codes"][()], obs[name]["categories"][()]
            del obs[name]
            obs[f"__categories/{name}"] = categories
            obs[name] = codes
            obs[name].attrs["categories"] = obs[f"__categories/{name}"].ref
        obs["__categories/stage"].attrs["ordered"] = True
        obs.attrs["encoding-version"] = "0.1.0"
        obs.attrs["column-order"] = np.array(
            [name for name in obs.attrs["column-order"] if not name.startswith("may")], dtype=object
        )
    return path


def write_tenx(folder: Path) -> Path:
    cells, path = drawn(), folder / "cells.h5"
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        for name, values in (("data", cells.X.data), ("indices", cells.X.indices), ("indptr", cells.X.indptr)):
            matrix.create_dataset(name, data=values.astype(np.int32), chunks=(20,), compression="gzip")
        matrix["shape"] = np.array(cells.shape[::-1])
        matrix["barcodes"] = np.array(cells.obs_names, dtype="S")
        for name, values in (("id", cells.var["gene_ids"]), ("name", cells.var_names)):
            matrix[f"features/{name}"] = np.array(values, dtype="S")
        types = ["Gene Expression"] * (N_GENES - 2) + ["Antibody Capture"] * 2
        matrix["features/feature_type"] = np.array(types, dtype="S")
    return path


def write_loom(folder: Path) -> Path:
    cells, path = drawn(np.asarray), folder / "cells.loom"
    with h5py.File(path, "w") as file:
        file.create_dataset("matrix", data=cells.X.T, chunks=(4, 16))
        file.create_dataset("layers/spliced", data=cells.X.T * 2)
        file["row_attrs/Gene"] = np.array(cells.var_names, dtype="S")
        file["col_attrs/CellID"] = np.array(cells.obs_names, dtype="S")
        file["col_attrs/total"] = cells.obs["total"].to_numpy()
        file["col_attrs/two"] = np.zeros((N_CELLS, 2))
    return path


def write_zarr(folder: Path, matrix: Matrix, version: int) -> Path:
    path, cells = folder / "cells.zarr", drawn(matrix)
    with ad.settings.override(zarr_write_format=version, auto_shard_zarr_v3=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells.write_zarr(path, chunks=(16, 5) if matrix is np.asarray else None)
    return path


def write_csv(folder: Path) -> Path:
    path = folder / "cells.csv"
    drawn().to_df().astype(int).to_csv(path)
    return path


def write_matrix(folder: Path) -> Path:
    path, cells = folder / "cells", drawn()
    path.mkdir()
    scipy.io.mmwrite(path / "matrix.mtx", sp.coo_matrix(cells.X.T.astype(int)))
    (path / "barcodes.tsv").write_text("".join(f"{name}\n" for name in cells.obs_names))
    (path / "genes.tsv").write_text("".join(f"{name}\t{name}\n" for name in cells.var_names))
    return path


WRITERS: dict[str, Callable[[Path], Path]] = {
    "h5ad csr": write_h5ad,
    "h5ad csc": lambda folder: write_h5ad(folder, sp.csc_matrix),
    "h5ad dense": write_dense,
    "h5ad 0.7": write_old,
    "10x": write_tenx,
    "loom": write_loom,
    "zarr 2 csr": lambda folder: write_zarr(folder, sp.csr_matrix, 2),
    "zarr 2 dense": lambda folder: write_zarr(folder, np.asarray, 2),
    "zarr 3 csr": lambda folder: write_zarr(folder, sp.csr_matrix, 3),
    "zarr 3 dense": lambda folder: write_zarr(folder, np.asarray, 3),
    "zarr 3 csc": lambda folder: write_zarr(folder, sp.csc_matrix, 3),
    "csv": write_csv,
    "matrix market": write_matrix,
}


@pytest.fixture(scope="module", params=WRITERS)
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, CellSource]]:
    path = WRITERS[request.param](tmp_path_factory.mktemp("stored"))
    with open_cells(path) as whole:
        yield path, whole


@pytest.mark.parametrize(("start", "stop"), RANGES)
def test_a_range_is_the_slice_of_the_whole(stored: tuple[Path, CellSource], start: int, stop: int) -> None:
    path, whole = stored
    with open_cells(path, rows=RowRange(start, stop)) as part:
        same(part, whole, start, stop)


@pytest.mark.parametrize("layer", ["doubled", "raw"])
@pytest.mark.parametrize("kind", ["h5ad csr", "h5ad dense", "zarr 2 csr", "zarr 3 dense"])
def test_a_range_of_another_matrix(kind: str, layer: str, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path)
    reading = ReadingOptions(layer=layer)
    with open_cells(path, reading) as whole, open_cells(path, reading, rows=RowRange(11, 50)) as part:
        same(part, whole, 11, 50)


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (5, 5), (6, 5), (-1, 5)])
def test_a_range_without_cells_is_refused(start: int, stop: int) -> None:
    with pytest.raises(ParameterError, match=f"found {start} to {stop}"):
        RowRange(start, stop)


@pytest.mark.parametrize(("start", "stop"), [(0, 62), (61, 62), (500, 501), (0, 2**62)])
def test_a_range_beyond_the_end_is_refused(stored: tuple[Path, CellSource], start: int, stop: int) -> None:
    with pytest.raises(ParameterError, match="61 cells of the input"):
        open_cells(stored[0], rows=RowRange(start, stop))


def test_a_whole_file_begins_at_its_first_row(stored: tuple[Path, CellSource]) -> None:
    assert (stored[1].first_row, stored[1].n_total) == (0, N_CELLS)
