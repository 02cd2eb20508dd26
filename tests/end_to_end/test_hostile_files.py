"""Files made to take all memory or time, or to show other files: each refused with its code, and nothing taken."""

import gzip
import io
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.check_hdf5 import check_hdf5
from cellmark.schemas.errors import CellmarkError
from cellmark.serving.http.settings import MIB, ServiceSettings
from cellmark.serving.reader.open_apart import open_apart, open_npz_apart
from cellmark.serving.reader.reader_process import ReaderBudget
from cellmark.serving.reader.reader_server import reader_server

RULES = ServiceSettings(read_seconds=2, reader_memory_bytes=512 * MIB, max_unpacked_bytes=64 * MIB).reading_rules
SECONDS = 2 * 4 + 20
MEMORY = 150 * MIB
"""What this process may take for any of these files."""

pytestmark = pytest.mark.timeout(180)


def sound(path: Path, n_obs: int = 20, n_vars: int = 30) -> Path:
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(0.7, (n_obs, n_vars)).astype(np.float32))
    ad.AnnData(counts).write_h5ad(path)
    return path


def edited(path: Path, edit: Callable[[h5py.File], None]) -> None:
    sound(path)
    with h5py.File(path, "r+") as file:
        edit(file)


def replaced(group: h5py.Group, name: str, **how: object) -> h5py.Dataset:
    attributes = dict(group[name].attrs)
    del group[name]
    dataset = group.create_dataset(name, **how)
    dataset.attrs.update(attributes)
    return dataset


# HDF5


def huge_dense_without_values(file: h5py.File) -> None:
    replaced(file, "X", shape=(20, 2**40), dtype="f4", chunks=(1, 2**20))
    file["X"].attrs["encoding-type"], file["X"].attrs["encoding-version"] = "array", "0.2.0"


def huge_sparse_without_values(file: h5py.File) -> None:
    for name in ("data", "indices"):
        replaced(file["X"], name, shape=(2**34,), dtype="i4", chunks=(2**16,))


def huge_compressed_zeros(file: h5py.File) -> None:
    # 400 million values in half a megabyte: as far as deflate goes.
    for name in ("data", "indices"):
        replaced(file["X"], name, data=np.zeros(10**8, dtype=np.int32), chunks=(10**6,), compression="gzip")
    file["X"]["indptr"][:] = 0
    file["X"]["indptr"][-1] = 10**8


def many_columns_of_zeros(file: h5py.File) -> None:
    # Each is below the size that is looked at; all together are 60 GB.
    names = [f"c{number}" for number in range(1000)]
    for name in names:
        dataset = file["obs"].create_dataset(name, shape=(15_000_000,), dtype="f4", chunks=(10**6,))
        dataset.attrs["encoding-type"], dataset.attrs["encoding-version"] = "array", "0.2.0"
    file["obs"].attrs["column-order"] = np.array(names, dtype=h5py.string_dtype())


def one_long_text_many_times(file: h5py.File) -> None:
    text = "x" * 10**6
    index = replaced(file["obs"], "_index", shape=(20,), dtype=h5py.string_dtype())
    index[:] = [text] * 20
    for number in range(40):
        column = file["obs"].create_dataset(f"c{number}", data=[text] * 20, dtype=h5py.string_dtype())
        column.attrs["encoding-type"], column.attrs["encoding-version"] = "string-array", "0.2.0"
    file["obs"].attrs["column-order"] = np.array([f"c{number}" for number in range(40)], dtype=h5py.string_dtype())


def deep_groups(file: h5py.File) -> None:
    group = file.create_group("uns/deep")
    for _ in range(300):
        group = group.create_group("g")


def circle_of_hard_links(file: h5py.File) -> None:
    file["obs"]["again"] = file["obs"]
    file["obs"].attrs["column-order"] = np.array(["again"], dtype=h5py.string_dtype())


def circle_of_soft_links(file: h5py.File) -> None:
    del file["X"]
    file["X"] = h5py.SoftLink("/layers/X")
    file["layers/X"] = h5py.SoftLink("/X")


def external_link(file: h5py.File) -> None:
    del file["X"]
    file["X"] = h5py.ExternalLink("/etc/passwd", "/X")


def external_values(file: h5py.File) -> None:
    replaced(file["X"], "data", shape=(10,), dtype="u1", external=[("/etc/passwd", 0, 10)])


def virtual_values(file: h5py.File) -> None:
    attributes = dict(file["X/data"].attrs)
    layout = h5py.VirtualLayout(shape=(10,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "data", shape=(10,))
    del file["X/data"]
    file["X"].create_virtual_dataset("data", layout).attrs.update(attributes)


def shape_beyond_all(file: h5py.File) -> None:
    file["X"].attrs["shape"] = np.array([2**62, 2**62])


def shape_below_zero(file: h5py.File) -> None:
    file["X"].attrs["shape"] = np.array([-5, -5])


HDF5 = {
    huge_dense_without_values: {"FILE_UNREADABLE", "INPUT_TOO_LARGE"},
    huge_sparse_without_values: {"FILE_UNREADABLE", "INPUT_TOO_LARGE"},
    huge_compressed_zeros: {"FILE_UNREADABLE"},
    many_columns_of_zeros: {"FILE_UNREADABLE"},
    one_long_text_many_times: {"FILE_UNREADABLE"},
    deep_groups: {"FILE_UNREADABLE"},
    circle_of_hard_links: {"FILE_UNREADABLE"},
    circle_of_soft_links: {"FILE_UNREADABLE", "MATRIX_INVALID"},
    external_link: {"FILE_UNREADABLE"},
    external_values: {"FILE_UNREADABLE"},
    virtual_values: {"FILE_UNREADABLE"},
    shape_beyond_all: {"INPUT_TOO_LARGE", "FILE_UNREADABLE"},
    shape_below_zero: {"FILE_UNREADABLE"},
}


@pytest.mark.parametrize("edit", HDF5, ids=lambda edit: edit.__name__)
def test_hostile_hdf5_is_refused(tmp_path: Path, edit: Callable[[h5py.File], None]) -> None:
    edited(tmp_path / "cells.h5ad", edit)
    assert_refused(tmp_path / "cells.h5ad", HDF5[edit])


def test_more_objects_than_any_file_has_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "cells.h5ad", "w") as file:
        for number in range(50):
            file.create_group(str(number))
        check_hdf5(file, tmp_path, most_objects=50)
        with pytest.raises(ValueError, match="more than 49 objects"):
            check_hdf5(file, tmp_path, most_objects=49)


def test_a_tenx_file_that_declares_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells.h5"
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        for name in ("data", "indices"):
            matrix.create_dataset(name, shape=(2**33,), dtype="i4", chunks=(2**16,))
        matrix["indptr"] = np.array([0, 2**33])
        matrix["shape"] = np.array([2**33, 1])
        matrix["barcodes"] = np.array(["c"], dtype="S")
        matrix["features/id"] = matrix["features/name"] = np.array(["G"], dtype="S")
        matrix["features/feature_type"] = np.array(["Gene Expression"], dtype="S")
    assert_refused(path, {"FILE_UNREADABLE", "INPUT_TOO_LARGE"})


# archives


def npz_bytes(**arrays: np.ndarray) -> bytes:
    plain = {"genes": np.array(["A", "B"]), "cell_ids": np.array(["c"]), "indptr": np.array([0, 1]),
             "indices": np.array([0]), "data": np.array([1.0])}  # fmt: skip
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{**plain, **arrays})  # type: ignore[arg-type]
    return buffer.getvalue()


def with_members(content: bytes, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name.removesuffix(".npy") not in members:
                new.writestr(name, old.read(name))
        for name, value in members.items():
            new.writestr(f"{name}.npy", value)
    return buffer.getvalue()


def npy(header: str, body: bytes) -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


def npz_of_one_name_very_often() -> bytes:
    return npz_bytes(data=np.zeros(10**8, dtype=np.uint8))


NPZ = {
    "unpacks to 100 MB": (npz_of_one_name_very_often, {"REQUEST_TOO_LARGE"}),
    "objects": (lambda: npz_bytes(genes=np.array([{"a": 1}, print], dtype=object)), {"MATRIX_INVALID"}),
    "says it is huge": (
        lambda: with_members(
            npz_bytes(), data=npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,)}\n", b"1" * 8)
        ),
        {"FILE_UNREADABLE"},
    ),
    "a header that is a program": (
        lambda: with_members(npz_bytes(), data=npy("__import__('os').system('true')\n", b"")),
        {"FILE_UNREADABLE"},
    ),
    "a header of nested brackets": (
        lambda: with_members(npz_bytes(), data=npy("(" * 60_000 + "\n", b"")),
        {"FILE_UNREADABLE"},
    ),
    "a name that leads out": (lambda: with_members(npz_bytes(), **{"../../evil": b"x"}), {"MATRIX_INVALID"}),
    "cut": (lambda: npz_bytes()[:-30], {"FILE_UNREADABLE"}),
}


@pytest.mark.parametrize("name", NPZ)
def test_hostile_archives_are_refused(tmp_path: Path, name: str) -> None:
    make, codes = NPZ[name]
    path = tmp_path / "cells.npz"
    path.write_bytes(make())
    assert_refused(path, codes)
    assert os.listdir(tmp_path) == ["cells.npz"]


# tables


def packed(path: Path, block: bytes, times: int, start: bytes = b"") -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(start)
        for _ in range(times):
            file.write(block)
    return path


def test_a_table_of_a_million_columns_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text("id," + ",".join(f"g{number}" for number in range(10**6)) + "\n" + "c" + ",0" * 10**6 + "\n")
    assert_refused(path, {"INPUT_TOO_LARGE"})


def test_one_line_without_end_is_refused(tmp_path: Path) -> None:
    assert_refused(packed(tmp_path / "cells.csv.gz", b"x" * 10**6, 100), {"INPUT_TOO_LARGE", "TABLE_INVALID"})


def test_rows_without_end_are_refused(tmp_path: Path) -> None:
    rows = b"".join(b"c%d,1,0\n" % number for number in range(10**5))
    assert_refused(packed(tmp_path / "cells.csv.gz", rows, 100, b"id,A,B\n"), {"INPUT_TOO_LARGE"})


@pytest.mark.parametrize(
    "content", [b"\0" * 10**6, b"id,A\0B,C\nc,1\0,2\n", b"id,A,B\nc,\0,1\n", b"\xff\xfe\0\0" * 100]
)
def test_zero_bytes_in_a_table_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cells.csv").write_bytes(content)
    assert_refused(tmp_path / "cells.csv", {"TABLE_INVALID"})


@pytest.mark.parametrize(
    "header",
    [
        b"%%MatrixMarket matrix coordinate integer general\n2 1 9000000000\n1 1 1\n",
        b"%%MatrixMarket matrix coordinate integer general\n9000000000 9000000000 1\n1 1 1\n",
        b"%%MatrixMarket matrix array integer general\n900000 900000\n1\n",
        b"%%MatrixMarket matrix coordinate integer general\n2 1 -1\n",
        b"%%MatrixMarket matrix coordinate integer general\n" + b"%\n" * 10**5,
    ],
)
def test_a_matrix_market_file_that_declares_too_much_is_refused(tmp_path: Path, header: bytes) -> None:
    for name, content in (("matrix.mtx", header), ("barcodes.tsv", b"c\n"), ("features.tsv", b"G1\tA\nG2\tB\n")):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    assert_refused(tmp_path, {"FILE_UNREADABLE", "INPUT_TOO_LARGE"})


def test_a_list_of_barcodes_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    mtx = b"%%MatrixMarket matrix coordinate integer general\n2 1 1\n1 1 1\n"
    (tmp_path / "matrix.mtx").write_bytes(mtx)
    (tmp_path / "features.tsv").write_bytes(b"G1\tA\nG2\tB\n")
    packed(tmp_path / "barcodes.tsv.gz", b"c" * 10**6, 300)
    assert_refused(tmp_path, {"INPUT_TOO_LARGE"})


def test_a_zarr_array_without_values_that_says_it_is_huge_is_refused(tmp_path: Path) -> None:
    import json

    store = tmp_path / "cells.zarr"
    ad.AnnData(np.ones((4, 3), dtype=np.float32)).write_zarr(store)
    (store / ".zmetadata").unlink()
    metadata = json.loads((store / "X" / ".zarray").read_text())
    for shape in ([4, 2**40], [400_000, 1000]):
        (store / "X" / ".zarray").write_text(json.dumps({**metadata, "shape": shape, "chunks": [1, 1000]}))
        assert_refused(store, {"FILE_UNREADABLE", "INPUT_TOO_LARGE"})


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def read_all(path: Path) -> None:
    is_npz = path.suffix == ".npz"
    with open_npz_apart(path, name=path.name, rules=RULES) if is_npz else open_apart(path, rules=RULES) as source:
        for _ in source.chunks(100):
            pass


def assert_refused(path: Path, codes: set[str]) -> None:
    reader_server().fork(ReaderBudget(), name="warm", n_bytes=0).close()
    before, start = resident(), time.monotonic()
    with pytest.raises(CellmarkError) as raised:
        read_all(path)
    assert {finding.code for finding in raised.value.findings} <= codes, raised.value
    assert all(finding.remedy for finding in raised.value.findings)
    assert time.monotonic() - start < SECONDS
    assert resident() - before < MEMORY
    assert reader_server().readers() == []
