"""AnnData in zarr folders, against what was written and against anndata; damage and pickles are refused."""

import gc
import json
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.read_limits import ReadLimits
from cellmark.schemas.cells.read_zarr import read_zarr
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.errors import ReadError


def drawn(matrix: Callable[[Any], Any] = sp.csr_matrix) -> ad.AnnData:
    """Seven cells x five genes, other counts in the layer, eight genes in raw."""
    generator = np.random.default_rng(0)
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical(list("TBTBTTB")), "n": np.arange(7), "note": [*"abcdef", None]},
        index=[f"c{number}" for number in range(7)],
    )
    wide = generator.poisson(1.5, (7, 8)).astype(np.float32)
    adata = ad.AnnData(sp.csr_matrix(wide), obs=obs, var=pd.DataFrame(index=[f"G{number}" for number in range(8)]))
    adata.raw = adata.copy()
    adata = adata[:, :5].copy()
    adata.X = matrix(np.log1p(wide[:, :5]))
    adata.layers["counts"] = matrix(wide[:, :5].astype(np.int32))
    adata.uns["organism"] = "human"
    return adata


@pytest.fixture(autouse=True)
def no_garbage_of_other_tests() -> Iterator[None]:
    """Collected here, and not by zarr's thread: h5py's lock may be held by what another test left."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def write(path: Path, adata: ad.AnnData, zarr_format: int = 3) -> Path:
    before = ad.settings.zarr_write_format
    ad.settings.zarr_write_format = zarr_format
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            adata.write_zarr(path)
    finally:
        ad.settings.zarr_write_format = before
    return path


def refused(path: Path, layer: str | None = None) -> ReadError:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ReadError) as raised:
            read_zarr(path, layer=layer)
    return raised.value


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("matrix", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_every_matrix_of_a_folder_is_read(zarr_format: int, matrix: Callable[[Any], Any], tmp_path: Path) -> None:
    adata = drawn(matrix)
    path = write(tmp_path / "cells.zarr", adata, zarr_format)
    for layer, X, var in (
        (None, adata.X, adata.var),
        ("counts", adata.layers["counts"], adata.var),
        ("raw", adata.raw.X, adata.raw.var),
    ):
        with open_cells(path, ReadingOptions(layer=layer)) as cells:
            dense = X.toarray() if sp.issparse(X) else X
            np.testing.assert_array_equal(cells.load().toarray(), dense)
            assert cells.load().dtype == dense.dtype
            assert list(cells.var_names) == list(var.index)
            pd.testing.assert_frame_equal(cells.obs, adata.obs)
            assert cells.uns == {"organism": "human"}


def test_real_cells_come_back(shared_data: Path, tmp_path: Path) -> None:
    adata = ad.read_h5ad(shared_data / "pbmc3k.h5ad", backed="r")[:200].to_memory()
    cells = open_cells(write(tmp_path / "cells.zarr", adata))
    assert (cells.load() != adata.X).nnz == 0
    pd.testing.assert_frame_equal(cells.obs, adata.obs)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_unknown_layer_is_refused_with_those_there_are(zarr_format: int, tmp_path: Path) -> None:
    adata = drawn()
    error = refused(write(tmp_path / "cells.zarr", adata, zarr_format), "spliced")
    assert error.code == "LAYER_UNKNOWN"
    assert "counts, raw" in error.findings[0].expected
    adata.raw = None
    error = refused(write(tmp_path / "no_raw.zarr", adata, zarr_format), "raw")
    assert error.code == "LAYER_UNKNOWN"
    assert "(there are: counts)" in error.findings[0].expected


def test_an_anndata_without_values_is_refused(tmp_path: Path) -> None:
    adata = ad.AnnData(obs=pd.DataFrame(index=["a"]), var=pd.DataFrame(index=["G"]))
    assert refused(write(tmp_path / "cells.zarr", adata)).code == "MATRIX_INVALID"


def test_antibodies_are_dropped_with_a_note(tmp_path: Path) -> None:
    adata = drawn()
    adata.var["feature_types"] = ["Gene Expression"] * 3 + ["Antibody Capture"] * 2
    cells = read_zarr(write(tmp_path / "cells.zarr", adata))
    assert list(cells.var_names) == ["G0", "G1", "G2"]
    assert [note.code for note in cells.notes] == ["FEATURES_DROPPED"]
    np.testing.assert_array_equal(cells.X.toarray(), adata.X.toarray()[:, :3])


def test_a_layout_from_before_anndata_0_7_is_read_as_anndata_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "old.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=2)
    root.create_array("X", data=np.arange(6, dtype=np.float32).reshape(2, 3))
    for name, ids in (("obs", ["c1", "c2"]), ("var", ["LYZ", "CD3D", "CD79A"])):
        values = np.array([(name_.encode(),) for name_ in ids], dtype=[("index", "S5")])
        root.create_array(name, data=values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ad.read_zarr(path)
        cells = read_zarr(path)
    np.testing.assert_array_equal(cells.X.toarray(), expected.X)
    assert list(cells.var_names) == ["LYZ", "CD3D", "CD79A"]
    assert list(cells.cell_ids) == list(expected.obs_names) == ["c1", "c2"]


def test_other_zarr_and_other_folders_are_refused(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "image.zarr", mode="w").create_array("pixels", data=np.zeros((2, 2)))
    error = refused(tmp_path / "image.zarr")
    assert error.code == "NOT_ANNDATA"
    assert "pixels" in error.findings[0].found
    zarr.create_array(tmp_path / "array.zarr", data=np.zeros((2, 2)))
    assert refused(tmp_path / "array.zarr").code in {"FILE_UNREADABLE", "NOT_ANNDATA"}
    (tmp_path / "empty.zarr").mkdir()
    error = refused(tmp_path / "empty.zarr")
    assert error.code == "FILE_UNREADABLE"
    assert "not a zarr group" in error.findings[0].found


@pytest.mark.parametrize("shards", [None, (4, 4)])
def test_blosc_and_shards_of_format_3_are_read(shards: tuple[int, int] | None, tmp_path: Path) -> None:
    adata = drawn(np.asarray)
    path = write(tmp_path / "cells.zarr", adata)
    root = zarr.open_group(path, mode="a", use_consolidated=False)
    attributes = dict(root["X"].attrs)
    X = root.create_array(
        "X", shape=(7, 5), chunks=(2, 2), shards=shards, dtype="f4", compressors=zarr.codecs.BloscCodec(),
        overwrite=True, attributes=attributes,
    )  # fmt: skip
    X[:] = adata.X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(root.store)
    np.testing.assert_array_equal(read_zarr(path).X.toarray(), adata.X)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("inside", ["", "run/cells.zarr"])
def test_a_zipped_folder_is_read(zarr_format: int, inside: str, tmp_path: Path) -> None:
    adata = drawn()
    write(tmp_path / "whole" / inside, adata, zarr_format)
    path = Path(shutil.make_archive(str(tmp_path / "cells.zarr"), "zip", tmp_path / "whole"))
    for layer, X in ((None, adata.X), ("counts", adata.layers["counts"]), ("raw", adata.raw.X)):
        cells = open_cells(path, ReadingOptions(layer=layer))
        np.testing.assert_array_equal(cells.load().toarray(), X.toarray())
        pd.testing.assert_frame_equal(cells.obs, adata.obs)
    with pytest.raises(ReadError) as raised:
        open_cells(path, limits=ReadLimits(max_unpacked_bytes=1000))
    assert raised.value.code == "INPUT_TOO_LARGE"


def test_a_folder_without_the_extension_and_the_table_of_a_spatialdata_are_read(tmp_path: Path) -> None:
    adata = drawn()
    path = tmp_path / "sample.zarr"
    zarr.open_group(path, mode="w", zarr_format=2).create_group("images")
    write(path / "tables" / "table", adata, zarr_format=2)
    table = path / "tables" / "table"
    zarr.open_group(path / "tables", mode="a", zarr_format=2)
    error = refused(path)
    assert error.code == "NOT_ANNDATA"
    assert error.findings[0].remedy.endswith(str(table))
    np.testing.assert_array_equal(open_cells(table).load().toarray(), adata.X.toarray())


def test_another_zip_archive_and_a_part_of_one_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "cells.zarr", drawn())
    archive = Path(shutil.make_archive(str(path), "zip", path))
    content = archive.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"PK\x05\x06" + bytes(18)):
        archive.write_bytes(damaged)
        with pytest.raises(ReadError) as raised:
            open_cells(archive)
        assert raised.value.code == "FILE_UNREADABLE"
    assert "python -m zipfile -e" in raised.value.findings[0].remedy


def test_shards_as_anndata_writes_them_are_read_and_may_not_be_missing(tmp_path: Path) -> None:
    adata = drawn()
    path = write(tmp_path / "cells.zarr", adata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = zarr.open_group(path, mode="a", use_consolidated=False)
        ad.io.write_elem(root, "X", adata.X, dataset_kwargs={"chunks": (2,), "shards": (10,)})
        zarr.consolidate_metadata(root.store)
    assert root["X/data"].shards == (10,)
    np.testing.assert_array_equal(read_zarr(path).X.toarray(), adata.X.toarray())
    (path / "X" / "data" / "c" / "1").unlink()
    assert refused(path).code == "FILE_UNREADABLE"


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_no_file_of_the_folder_may_be_missing(zarr_format: int, tmp_path: Path) -> None:
    """Missing chunks are zeros to zarr; here no chunk is all zeros, so each must be noticed or not be needed."""
    adata = drawn()
    whole = write(tmp_path / "cells.zarr", adata, zarr_format)
    chunks = [file for file in whole.rglob("*") if file.is_file() and file.name.isdigit()]
    needed = {"X/data", "X/indices", "X/indptr", "obs/_index", "var/_index"}
    seen = set()
    for file in chunks:
        part = next((name for name in needed if f"/{name}/" in file.as_posix()), None)
        if part is None or "/raw/" in file.as_posix():
            continue
        seen.add(part)
        broken = tmp_path / "broken.zarr"
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(whole, broken)
        (broken / file.relative_to(whole)).unlink()
        assert refused(broken).code == "FILE_UNREADABLE", part
    assert seen == needed


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_truncated_files_of_the_folder_are_refused_or_not_needed(zarr_format: int, tmp_path: Path) -> None:
    adata = drawn()
    whole = write(tmp_path / "cells.zarr", adata, zarr_format)
    n_refused = 0
    for file in sorted(file for file in whole.rglob("*") if file.is_file()):
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                cells = read_zarr(whole)
            except ReadError as error:
                assert error.code in {"FILE_UNREADABLE", "NOT_ANNDATA"}  # noqa: PT017
                n_refused += 1
            else:
                np.testing.assert_array_equal(cells.X.toarray(), adata.X.toarray())
                pd.testing.assert_frame_equal(cells.obs, adata.obs)
        file.write_bytes(content)
    assert n_refused >= 5


@pytest.mark.parametrize("name", ["obs/_index", "uns/organism"])
def test_text_in_more_pieces_than_there_can_be_is_refused_at_once(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "cells.zarr", drawn(), zarr_format=2)
    array = path / name
    if not (array / ".zarray").exists():
        array /= "values"  # anndata 0.13 writes an index that may lack names as a group
    meta = json.loads((array / ".zarray").read_text())
    (array / ".zarray").write_text(json.dumps(meta | {"compressor": None}))
    (path / ".zmetadata").unlink()
    (array / "0").write_bytes((2**32 - 1).to_bytes(4, "little") + b"human")
    error = refused(path)
    assert error.code == "FILE_UNREADABLE"
    assert "more text than it holds" in error.findings[0].found


class Payload:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.folder,)


@pytest.mark.parametrize("place", ["filters", "compressor"])
def test_pickled_values_are_refused_and_never_loaded(place: str, tmp_path: Path) -> None:
    path = write(tmp_path / "cells.zarr", drawn(np.asarray), zarr_format=2)
    meta = json.loads((path / "X" / ".zarray").read_text())
    codec = {"id": "pickle", "protocol": 2}
    meta |= {"filters": None, "compressor": None, place: [codec] if place == "filters" else codec, "dtype": "|O"}
    (path / "X" / ".zarray").write_text(json.dumps(meta))
    (path / ".zmetadata").unlink()
    chunk = next(file for file in (path / "X").iterdir() if not file.name.startswith("."))
    chunk.write_bytes(pickle.dumps(Payload(tmp_path / "pickle-was-loaded")))
    assert refused(path).code == "FILE_UNREADABLE"
    assert not (tmp_path / "pickle-was-loaded").exists()


def test_reading_changes_nothing_in_the_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "cells.zarr", drawn())
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    read_zarr(path, layer="raw")
    assert before == {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
