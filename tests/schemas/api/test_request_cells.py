"""Uploads as `.npz`: the CSR form's keys as plain arrays, and nothing else."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.api.request_cells import RequestCells, read_npz
from cellmark.schemas.cells.read_limits import ReadLimits
from cellmark.schemas.errors import CellmarkError, ReadError

COUNTS = sp.csr_matrix(np.array([[3, 0, 5], [0, 7, 0]], dtype=np.float32))


def arrays(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "genes": np.array(["A", "B", "C"]),
        "cell_ids": np.array(["c1", "c2"]),
        "indptr": COUNTS.indptr,
        "indices": COUNTS.indices,
        "data": COUNTS.data,
    }
    return {key: value for key, value in {**plain, **changes}.items() if value is not None}


def read(path: Path, limit: int = 10**6) -> RequestCells:
    return read_npz(path, name="cells.npz", limits=ReadLimits(max_unpacked_bytes=limit))


def refusal(path: Path, limit: int = 10**6) -> CellmarkError:
    with pytest.raises(CellmarkError) as refused:
        read(path, limit)
    return refused.value


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", ">f4", "uint8", "uint16", ">i8", "int64"])
def test_cells_come_back_whatever_the_type_of_the_numbers(tmp_path: Path, save: Any, dtype: str) -> None:
    path = tmp_path / "cells.npz"
    save(path, **arrays(data=COUNTS.data.astype(dtype), library_sizes=np.array([80, 90])))
    cells = read(path)
    np.testing.assert_array_equal(cells.source.load().toarray(), COUNTS.toarray())
    assert cells.source.var_names.tolist() == ["A", "B", "C"]
    assert cells.source.cell_ids.tolist() == ["c1", "c2"]
    np.testing.assert_array_equal(cells.library_size, [80, 90])


@pytest.mark.parametrize(
    "changes",
    [
        {"genes": None},
        {"data": None, "indptr": None},
        {"extra": np.zeros(3)},
        {"shape": np.array([2, 3])},
        {"genes": np.array([["A", "B", "C"]])},
        {"genes": np.array([1, 2, 3])},
        {"genes": np.array([b"A", b"B", b"C"])},
        {"genes": np.array(["A", "B", "C" * 300])},
        {"data": np.array([True, False, True])},
        {"data": np.array(["3", "5", "7"])},
        {"data": np.array([3, 5, 7], dtype=complex)},
        {"indices": np.array([0.0, 2.0, 1.0])},
        {"indices": np.array([0, 2, 2**63], dtype=np.uint64)},
        {"indptr": np.array([0, 3, 2])},
        {"indptr": np.array(3)},
        {"library_sizes": np.array(["a", "b"])},
        {"library_sizes": np.ones(3)},
    ],
)
def test_other_keys_kinds_or_shapes_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    np.savez(tmp_path / "cells.npz", **arrays(**changes))
    error = refusal(tmp_path / "cells.npz")
    assert isinstance(error, ReadError)
    assert error.code == "MATRIX_INVALID"


class Explodes:
    """Unpickling one would leave a file behind."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> Any:
        return Path.touch, (self.witness,)


def test_objects_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    np.savez(tmp_path / "cells.npz", **arrays(genes=np.array([Explodes(witness)] * 3, dtype=object)))
    assert refusal(tmp_path / "cells.npz").code == "MATRIX_INVALID"
    assert not witness.exists()


def test_a_zip_bomb_is_refused_from_its_headers(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "cells.npz", **arrays(data=np.zeros(20_000_000, dtype=np.uint8)))
    assert (tmp_path / "cells.npz").stat().st_size < 100_000
    error = refusal(tmp_path / "cells.npz")
    assert (error.code, error.status) == ("REQUEST_TOO_LARGE", 413)


def rewritten(path: Path, name: str, content: bytes) -> None:
    """The archive with one member's bytes replaced."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, old in members.items():
            archive.writestr(member, content if member == name else old)


def test_an_array_that_declares_more_than_it_holds_is_refused_before_memory_is_reserved(tmp_path: Path) -> None:
    path = tmp_path / "cells.npz"
    np.savez(path, **arrays())
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
    rewritten(path, "data.npy", header.getvalue() + b"\0" * 12)
    assert refusal(path).code == "FILE_UNREADABLE"


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{", b"hello" * 10])
def test_a_member_that_is_no_array_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cells.npz"
    np.savez(path, **arrays())
    rewritten(path, "indices.npy", content)
    assert refusal(path).code == "FILE_UNREADABLE"


def test_truncated_and_foreign_files_are_refused_by_the_name_that_the_user_knows(tmp_path: Path) -> None:
    path = tmp_path / "cells.npz"
    np.savez(path, **arrays())
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[: len(whole) // 2], b"not a zip" * 100):
        path.write_bytes(content)
        error = refusal(path)
        assert error.code == "FILE_UNREADABLE"
        assert str(tmp_path) not in str(error)


def test_a_member_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells.npz"
    np.savez(path, **arrays())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("data.npy", b"")
    assert refusal(path).code == "MATRIX_INVALID"


def test_flipped_bytes_never_raise_anything_but_our_errors(tmp_path: Path) -> None:
    path = tmp_path / "cells.npz"
    np.savez_compressed(path, **arrays())
    whole = bytearray(path.read_bytes())
    generator = np.random.default_rng(0)
    n_refused = 0
    for _ in range(500):
        flipped = whole.copy()
        for place in generator.integers(0, len(whole), size=generator.integers(1, 4)):
            flipped[place] ^= 1 << int(generator.integers(0, 8))
        path.write_bytes(flipped)
        try:
            read(path)
        except CellmarkError:
            n_refused += 1
    assert n_refused > 250
