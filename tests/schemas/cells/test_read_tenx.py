"""10x files, against scanpy's own readers and against damage."""

import gzip
import shutil
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.read_matrix_folder import read_matrix_folder
from cellmark.schemas.cells.read_tenx import read_tenx_h5
from cellmark.schemas.errors import ReadError

SYMBOLS = ["MS4A1", "CD79A", "NA", "LYZ", "LYZ", "CD3_TotalSeqB", "guide-1"]
IDS = ["ENSG1", "ENSG2", "ENSG3", "ENSG4", "ENSG5", "CD3", "guide-1"]
TYPES = ["Gene Expression"] * 5 + ["Antibody Capture", "CRISPR Guide Capture"]
BARCODES = [f"AAACCTGAGAAACC{one}{two}-1" for one in "ACGT" for two in "AC"]


def drawn_counts(n_features: int = 7) -> sp.csr_matrix:
    """Cells x features."""
    return sp.csr_matrix(np.random.default_rng(0).poisson(0.8, (len(BARCODES), n_features)).astype(np.int32))


NNZ = drawn_counts().nnz


def write_matrix(group: h5py.Group, X: sp.csr_matrix) -> None:
    group["data"], group["indices"] = X.data, X.indices.astype(np.int64)
    group["indptr"], group["shape"] = X.indptr.astype(np.int64), np.array(X.shape[::-1], dtype=np.int32)
    group["barcodes"] = np.array(BARCODES, dtype="S")


def write_version_3(path: Path, types: list[str] = TYPES) -> Path:
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        write_matrix(matrix, drawn_counts())
        features = matrix.create_group("features")
        for name, values in (("id", IDS), ("name", SYMBOLS), ("feature_type", types), ("genome", ["GRCh38"] * 7)):
            features[name] = np.array(values, dtype="S")
        features["_all_tag_keys"] = np.array(["genome"], dtype="S")
    return path


def write_version_2(path: Path, genomes: tuple[str, ...] = ("hg19",)) -> Path:
    with h5py.File(path, "w") as file:
        for genome in genomes:
            group = file.create_group(genome)
            write_matrix(group, drawn_counts(5))
            group["genes"], group["gene_names"] = np.array(IDS[:5], dtype="S"), np.array(SYMBOLS[:5], dtype="S")
    return path


def write_folder(folder: Path, *, version: int = 3) -> Path:
    """What Cell Ranger writes: compressed with three columns, or plain with two."""
    folder.mkdir()
    rows = list(zip(IDS, SYMBOLS, TYPES, strict=True)) if version == 3 else list(zip(IDS[:5], SYMBOLS[:5], strict=True))
    names = ("features.tsv.gz", "barcodes.tsv.gz", "matrix.mtx.gz") if version == 3 else (
        "genes.tsv", "barcodes.tsv", "matrix.mtx"
    )  # fmt: skip
    scipy.io.mmwrite(folder / "matrix.mtx", sp.coo_matrix(drawn_counts(len(rows)).T))
    texts = ["".join("\t".join(row) + "\n" for row in rows), "".join(f"{barcode}\n" for barcode in BARCODES)]
    if version == 3:
        texts.append((folder / "matrix.mtx").read_text())
        (folder / "matrix.mtx").unlink()
    for name, text in zip(names, texts, strict=False):
        (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return folder


def same_as_scanpy(cells: Any, expected: ad.AnnData) -> None:
    assert (cells.X != expected.X).nnz == 0
    assert cells.X.shape == expected.shape
    assert list(cells.cell_ids) == list(expected.obs_names)
    assert list(cells.var_names) == list(expected.var_names)
    assert set(cells.var) == set(expected.var)
    for column in expected.var:
        assert list(cells.var[column]) == list(expected.var[column])


@pytest.mark.parametrize("write", [write_version_3, write_version_2])
def test_an_h5_of_either_version_is_read_as_scanpy_reads_it(write: Any, tmp_path: Path) -> None:
    scanpy = pytest.importorskip("scanpy")
    path = write(tmp_path / "cells.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = scanpy.read_10x_h5(path, gex_only=True)
    same_as_scanpy(open_cells(path), expected)


@pytest.mark.parametrize("version", [2, 3])
def test_cellbenders_output_without_feature_types_is_read(version: int, tmp_path: Path) -> None:
    """It keeps what its input had: of version 2, `genes` and `gene_names` beside the matrix."""
    expected = read_tenx_h5(write_version_3(tmp_path / "expected.h5", ["Gene Expression"] * 7))
    path = write_version_3(tmp_path / "cells_filtered.h5")
    with h5py.File(path, "a") as file:
        if version == 2:
            file["matrix/genes"], file["matrix/gene_names"] = file["matrix/features/id"], file["matrix/features/name"]
            del file["matrix/features"]
        else:
            del file["matrix/features/feature_type"], file["matrix/features/genome"]
        file["droplet_latents/cell_probability"] = np.ones(8)
    cells = open_cells(path)
    assert (cells.load() != expected.X).nnz == 0
    assert list(cells.var_names) == SYMBOLS
    assert list(cells.var["gene_ids"]) == IDS


@pytest.mark.parametrize("version", [2, 3])
def test_a_folder_of_either_version_is_read_as_scanpy_reads_it(version: int, tmp_path: Path) -> None:
    scanpy = pytest.importorskip("scanpy")
    folder = write_folder(tmp_path / "filtered", version=version)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = scanpy.read_10x_mtx(folder, make_unique=False, gex_only=True)
    cells = open_cells(folder)
    # scanpy takes a gene called NA for a missing name.
    assert cells.var_names[2] == "NA"
    expected.var_names = ["NA" if str(name) == "nan" else name for name in expected.var_names]
    same_as_scanpy(cells, expected)


def test_the_h5_and_the_folder_of_one_run_hold_the_same_cells(tmp_path: Path) -> None:
    h5, folder = (
        read_tenx_h5(write_version_3(tmp_path / "cells.h5")),
        read_matrix_folder(write_folder(tmp_path / "run")),
    )
    assert (h5.X != folder.X).nnz == 0
    assert list(h5.var_names) == list(folder.var_names)
    assert list(h5.cell_ids) == list(folder.cell_ids)


@pytest.mark.parametrize("kind", ["h5", "folder"])
def test_other_features_are_dropped_and_counted_in_a_note(kind: str, tmp_path: Path) -> None:
    cells = open_cells(write_version_3(tmp_path / "c.h5") if kind == "h5" else write_folder(tmp_path / "c"))
    (note,) = cells.notes
    assert (note.code, note.severity) == ("FEATURES_DROPPED", "info")
    assert "1 Antibody Capture" in note.found
    assert "1 CRISPR Guide Capture" in note.found
    assert cells.n_vars == 5


def test_a_file_without_gene_expression_has_no_genes(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="only Antibody Capture") as raised:
        read_tenx_h5(write_version_3(tmp_path / "c.h5", ["Antibody Capture"] * 7))
    assert raised.value.code == "NO_GENES"


def test_several_genomes_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="2 genomes: hg19, mm10") as raised:
        read_tenx_h5(write_version_2(tmp_path / "c.h5", ("hg19", "mm10")))
    assert raised.value.code == "FILE_UNREADABLE"


def test_an_anndata_called_h5_is_named_as_what_it_is(tiny_file: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_file, tmp_path / "cells.h5")
    with pytest.raises(ReadError, match=r"an AnnData.*Rename the file to \.h5ad"):
        open_cells(tmp_path / "cells.h5")


def test_other_hdf5_and_other_files_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(ReadError, match="weights") as raised:
        open_cells(tmp_path / "other.h5")
    assert raised.value.code == "NOT_ANNDATA"
    (tmp_path / "text.h5").write_text("gene,cell\n")
    with pytest.raises(ReadError, match="not HDF5") as raised:
        open_cells(tmp_path / "text.h5")
    assert raised.value.code == "FILE_UNREADABLE"


def change(path: Path, name: str, values: np.ndarray) -> None:
    with h5py.File(path, "a") as file:
        del file[name]
        file[name] = values


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("matrix/indices", np.full(NNZ, 7)),
        ("matrix/indices", np.full(NNZ, -1)),
        ("matrix/indptr", np.zeros(9, dtype=np.int64)),
        ("matrix/indptr", np.arange(4)),
        ("matrix/shape", np.array([6, 8])),
        ("matrix/shape", np.array([7, 9])),
        ("matrix/shape", np.array([2**31 - 1, 8])),
        ("matrix/barcodes", np.array(["A"], dtype="S")),
        ("matrix/barcodes", np.arange(8)),
        ("matrix/data", np.array(["text"] * NNZ, dtype="S")),
        ("matrix/data", np.float32(1)),
        ("matrix/features/name", np.array(["A"], dtype="S")),
        ("matrix/features/id", np.array(["A"], dtype="S")),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(name: str, values: np.ndarray, tmp_path: Path) -> None:
    path = write_version_3(tmp_path / "c.h5")
    change(path, name, values)
    with pytest.raises(ReadError) as raised:
        read_tenx_h5(path)
    assert raised.value.code == "FILE_UNREADABLE"


@pytest.mark.parametrize("name", ["data", "indices", "indptr", "shape", "barcodes", "features/name", "features/id"])
def test_a_missing_part_is_refused(name: str, tmp_path: Path) -> None:
    path = write_version_3(tmp_path / "c.h5")
    with h5py.File(path, "a") as file:
        del file[f"matrix/{name}"]
    with pytest.raises(ReadError) as raised:
        read_tenx_h5(path)
    assert raised.value.code == "FILE_UNREADABLE"


def test_a_list_far_longer_than_what_is_stored_is_not_allocated(tmp_path: Path) -> None:
    path = write_version_3(tmp_path / "c.h5")
    with h5py.File(path, "a") as file:
        del file["matrix/data"]
        file["matrix"].create_dataset("data", shape=(2**36,), chunks=(1024,), dtype="i4")
    with pytest.raises(ReadError, match="far more than are stored"):
        read_tenx_h5(path)


def test_values_that_lie_in_another_file_are_refused(tmp_path: Path) -> None:
    other = write_version_3(tmp_path / "other.h5")
    for link in (h5py.ExternalLink(other, "matrix/barcodes"), None):
        path = write_version_3(tmp_path / "c.h5")
        with h5py.File(path, "a") as file:
            del file["matrix/barcodes"]
            if link is not None:
                file["matrix/barcodes"] = link
            else:
                layout = h5py.VirtualLayout(shape=(8,), dtype="S16")
                layout[:] = h5py.VirtualSource(other, "matrix/barcodes", shape=(8,))
                file["matrix"].create_virtual_dataset("barcodes", layout)
        with pytest.raises(ReadError, match="links to other files"):
            read_tenx_h5(path)


@pytest.mark.parametrize("missing", ["matrix.mtx.gz", "features.tsv.gz", "barcodes.tsv.gz"])
def test_a_folder_with_a_file_missing_is_refused_naming_it(missing: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "run")
    (folder / missing).unlink()
    with pytest.raises(ReadError, match=missing.removesuffix(".gz")):
        read_matrix_folder(folder)


def test_a_folder_whose_files_are_of_different_runs_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "run", version=2)
    (folder / "barcodes.tsv").write_text("A-1\nC-1\n")
    with pytest.raises(ReadError, match=r"5 x 8 where genes.tsv has 5 lines and barcodes.tsv has 2"):
        read_matrix_folder(folder)


@pytest.mark.parametrize("version", [2, 3])
def test_a_truncated_matrix_of_a_folder_is_refused(version: int, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "run", version=version)
    file = folder / ("matrix.mtx" if version == 2 else "matrix.mtx.gz")
    whole = file.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 12):
        file.write_bytes(whole[:length])
        with pytest.raises(ReadError) as raised:
            read_matrix_folder(folder)
        assert raised.value.code == "FILE_UNREADABLE"
