"""One door for every format: the same cells come out of each; a wrong path or argument is refused with its remedy."""

import gzip
import pickle
import shutil
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import MemoryCells
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.errors import CellmarkError, ParameterError, ReadError


def write_tenx_h5(path: Path, cells: ad.AnnData) -> Path:
    X = cells.X.astype(np.int32)
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        matrix["data"], matrix["indices"], matrix["indptr"] = X.data, X.indices, X.indptr
        matrix["shape"] = np.array(X.shape[::-1])
        matrix["barcodes"] = np.array(cells.obs_names, dtype="S")
        for name, values in (("id", cells.var_names), ("name", cells.var_names)):
            matrix[f"features/{name}"] = np.array(values, dtype="S")
        matrix["features/feature_type"] = np.array(["Gene Expression"] * cells.n_vars, dtype="S")
    return path


def write_folder(folder: Path, cells: ad.AnnData) -> Path:
    folder.mkdir()
    scipy.io.mmwrite(folder / "matrix.mtx", sp.coo_matrix(cells.X.T.astype(int)))
    (folder / "barcodes.tsv").write_text("".join(f"{name}\n" for name in cells.obs_names))
    (folder / "genes.tsv").write_text("".join(f"{name}\t{name}\n" for name in cells.var_names))
    return folder


def write(kind: str, folder: Path, cells: ad.AnnData) -> Path:
    path = folder / f"cells{kind}"
    match kind:
        case ".h5ad":
            cells.write_h5ad(path)
        case ".zarr":
            cells.write_zarr(path)
        case ".h5":
            write_tenx_h5(path, cells)
        case "":
            write_folder(path, cells)
        case _:
            separator = "," if ".csv" in kind.lower() else "\t"
            cells.to_df().astype(int).to_csv(path, sep=separator)
    return path


@pytest.mark.parametrize(
    "kind", [".h5ad", ".zarr", ".h5", "", ".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".CSV"]
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_same_cells_come_out_of_every_format(kind: str, new_cells: ad.AnnData, tmp_path: Path) -> None:
    path = write(kind, tmp_path, new_cells)
    for given in (path, str(path)):
        with open_cells(given) as cells:
            np.testing.assert_array_equal(cells.load().toarray(), new_cells.X.toarray())
            assert list(cells.cell_ids) == list(new_cells.obs_names)
            assert list(cells.var_names) == list(new_cells.var_names)
            assert list(cells.var.index) == list(new_cells.var_names)
            assert cells.var_names.dtype.kind == cells.cell_ids.dtype.kind == "U"
            assert cells.name == path.name
            assert not cells.notes


def test_the_published_columns_of_a_table_and_of_an_anndata_agree(new_cells: ad.AnnData, tmp_path: Path) -> None:
    frame = new_cells.to_df().astype(int)
    frame.insert(0, "cell_type", new_cells.obs["cell_type"].astype(str))
    frame.to_csv(tmp_path / "cells.csv", index_label="cell_id")
    new_cells.write_h5ad(tmp_path / "cells.h5ad")
    with open_cells(tmp_path / "cells.csv") as table, open_cells(tmp_path / "cells.h5ad") as adata:
        assert list(table.obs["cell_type"]) == list(adata.obs["cell_type"])


def test_genes_by_cells_must_be_said(new_cells: ad.AnnData, tmp_path: Path) -> None:
    new_cells.to_df().astype(int).T.to_csv(tmp_path / "cells.csv", index_label="gene")
    with open_cells(tmp_path / "cells.csv", ReadingOptions(genes_by_cells=True)) as cells:
        np.testing.assert_array_equal(cells.load().toarray(), new_cells.X.toarray())
    with pytest.raises(ReadError, match="--genes-by-cells") as raised:
        open_cells(tmp_path / "cells.csv")
    assert raised.value.code == "TABLE_TRANSPOSED"


@pytest.mark.parametrize("name", ["missing.h5ad", "missing.csv", "missing", "folder/missing.h5"])
def test_a_missing_file_is_said_to_be_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        ReadError, match=f"no folder {tmp_path / 'folder'}" if "/" in name else "nothing there"
    ) as raised:
        open_cells(tmp_path / name)
    assert (raised.value.code, raised.value.status) == ("FILE_NOT_FOUND", 404)


@pytest.mark.parametrize("name", ["cells.7z", "cells.rds", "cells.xlsx", "cells", "cells.gz", "cells.h5ad.gz", "a.mtx"])
def test_an_unknown_extension_is_refused_with_those_that_are_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"cells"))
    with pytest.raises(ReadError) as raised:
        open_cells(tmp_path / name)
    assert raised.value.code == "FILE_FORMAT_UNKNOWN"
    for extension in (".h5ad", ".zarr", ".h5", "10x matrix folder", ".csv", ".tsv", ".txt", ".gz"):
        assert extension in raised.value.findings[0].expected
    assert ("Unpack" in raised.value.findings[0].remedy) == name.endswith(".gz")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.rds", """x=readRDS("{path}");"""),
        ("a.RData", """get(load("{path}")[1])"""),
        ("a.tar.gz", "tar -xf '{path}'"),
        ("a.tgz", "tar -xf '{path}'"),
        ("a.h5ad.gz", "gunzip -k '{path}'"),
    ],
)
def test_a_file_of_another_format_is_refused_with_the_line_that_converts_it(
    name: str, line: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"cells")
    with pytest.raises(ReadError) as raised:
        open_cells(tmp_path / name)
    assert raised.value.code == "FILE_FORMAT_UNKNOWN"
    assert line.replace("{path}", str(tmp_path / name)) in raised.value.findings[0].remedy


def test_a_folder_that_is_no_input_is_refused(tmp_path: Path) -> None:
    for name in ("run", "cells.h5ad", "cells.csv"):
        (tmp_path / name).mkdir()
        with pytest.raises(ReadError, match=r"without matrix\.mtx") as raised:
            open_cells(tmp_path / name)
        assert raised.value.code == "FILE_FORMAT_UNKNOWN"


def test_a_file_called_zarr_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cells.zarr").write_text("no folder")
    with pytest.raises(ReadError) as raised:
        open_cells(tmp_path / "cells.zarr")
    assert raised.value.code == "FILE_FORMAT_UNKNOWN"


def test_a_file_with_the_wrong_extension_is_named_as_what_it_is(new_cells: ad.AnnData, tmp_path: Path) -> None:
    shutil.copy(write_tenx_h5(tmp_path / "cells.h5", new_cells), tmp_path / "renamed.h5ad")
    with pytest.raises(ReadError, match="10x") as raised:
        open_cells(tmp_path / "renamed.h5ad")
    assert ".h5" in str(raised.value)
    new_cells.write_h5ad(tmp_path / "cells.h5ad")
    shutil.copy(tmp_path / "cells.h5ad", tmp_path / "renamed.h5")
    with pytest.raises(ReadError, match="AnnData") as raised:
        open_cells(tmp_path / "renamed.h5")
    assert ".h5ad" in str(raised.value)


@pytest.mark.parametrize("name", ["text.h5ad", "text.h5", "empty.h5ad", "empty.h5"])
def test_what_is_no_hdf5_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("" if "empty" in name else "cell_id,LYZ\nc1,3\n")
    with pytest.raises(ReadError, match="not HDF5") as raised:
        open_cells(tmp_path / name)
    assert raised.value.code == "FILE_UNREADABLE"


def test_an_argument_that_the_format_does_not_have_is_refused(new_cells: ad.AnnData, tmp_path: Path) -> None:
    for kind in (".h5", ".csv", ""):
        with pytest.raises(ParameterError, match="--layer"):
            open_cells(write(kind, tmp_path, new_cells), ReadingOptions(layer="counts"))
    for kind in (".h5ad", ".h5"):
        with pytest.raises(ParameterError, match="--genes-by-cells"):
            open_cells(write(kind, tmp_path, new_cells), ReadingOptions(genes_by_cells=True))


def test_an_address_is_said_to_be_no_file() -> None:
    with pytest.raises(ReadError, match="Download it first") as raised:
        open_cells("https://example.org/cells.h5ad")
    assert raised.value.code == "FILE_NOT_FOUND"


def test_errors_survive_the_way_between_processes(tmp_path: Path) -> None:
    with pytest.raises(CellmarkError) as raised:
        open_cells(tmp_path / "missing.h5ad")
    copy = pickle.loads(pickle.dumps(raised.value))
    assert type(copy) is ReadError
    assert copy.findings == raised.value.findings


@pytest.mark.parametrize("n_rows", [1, 2, 3, 4, 100])
def test_cells_in_memory_come_in_chunks_of_rows(n_rows: int) -> None:
    X = sp.random(4, 3, density=0.6, format="csr", random_state=0)
    cells = MemoryCells(X, np.array(["A", "B", "C"]), pd.DataFrame(index=list("wxyz")))
    pieces = list(cells.chunks(n_rows))
    assert [piece.start for piece in pieces] == list(range(0, 4, n_rows))
    np.testing.assert_array_equal(np.vstack([piece.X.toarray() for piece in pieces]), X.toarray())
    np.testing.assert_array_equal(cells.load().toarray(), X.toarray())
