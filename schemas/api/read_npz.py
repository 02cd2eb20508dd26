"""`.npz` files of the CSR form. Everything is checked from headers before an array is read; nothing is unpickled."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ..cells.file_kind import file_kind
from ..cells.read_limits import NO_LIMITS, ReadLimits
from ..cells.reading import reading
from ..errors import Finding, ReadError, RequestError
from .request_cells import LONGEST_NAME, RequestCells, csr_cells

EXPECTED = "an .npz with plain arrays genes, cell_ids, indptr, indices, data and, if given, library_sizes"
REQUIRED = ("genes", "cell_ids", "indptr", "indices", "data")
OPTIONAL = ("library_sizes",)
KINDS = {"genes": "U", "cell_ids": "U", "indptr": "iu", "indices": "iu", "data": "fiu", "library_sizes": "fiu"}
IN_WORDS = {"U": "strings (dtype=str)", "iu": "whole numbers", "fiu": "numbers"}
REMEDY = "Write it with numpy.savez_compressed(path, genes=..., cell_ids=..., indptr=..., indices=..., data=...)."


def read_npz(path: Path, *, name: str, limits: ReadLimits = NO_LIMITS) -> RequestCells:
    """The cells of an `.npz` with exactly the CSR form's keys. `name`: what to call the file in messages.

    Raises `ReadError`: not an `.npz`, other keys, kinds or shapes, a matrix that does not fit together, more cells,
    genes or values than `limits` allow; and `RequestError` for arrays that unpack to more than they allow.
    """
    with reading(Path(name), EXPECTED):
        if not zipfile.is_zipfile(path):
            raise _unreadable(name, f"{file_kind(path)}, not an .npz")
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, name, limits)
            _check_headers(archive, name, limits)
        with np.load(path, allow_pickle=False) as loaded:
            arrays: dict[str, Any] = {key: _native(loaded[key]) for key in loaded.files}
        _check_positions(arrays, name)
        return csr_cells(**arrays, name=name)


def _check_members(archive: zipfile.ZipFile, name: str, limits: ReadLimits) -> None:
    members = [info.filename for info in archive.infolist()]
    keys = [member.removesuffix(".npy") for member in members]
    missing = [key for key in REQUIRED if key not in keys]
    others = [key for key in keys if key not in (*REQUIRED, *OPTIONAL)]
    if missing or others or len(set(keys)) < len(keys) or not all(member.endswith(".npy") for member in members):
        lacks = f"no {', '.join(missing)}" if missing else f"{len(keys)} arrays, {len(others)} of them others"
        raise ReadError.of("MATRIX_INVALID", where=name, expected=EXPECTED, found=lacks, remedy=REMEDY)
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in archive.infolist()):
        raise _unreadable(name, "an array compressed in another way than NumPy's")
    unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > limits.max_unpacked_bytes:
        raise RequestError.of(
            "REQUEST_TOO_LARGE",
            where=name,
            expected=f"arrays of at most {limits.max_unpacked_bytes:,} bytes",
            found=f"{unpacked:,} bytes",
            remedy="Send the cells in several requests.",
        )


def _check_headers(archive: zipfile.ZipFile, name: str, limits: ReadLimits) -> None:
    """Shapes and types as the arrays declare them: NumPy would reserve whatever size a header claims."""
    findings = []
    lengths: dict[str, int] = {}
    for info in archive.infolist():
        key = info.filename.removesuffix(".npy")
        with archive.open(info) as member:
            version = npy.read_magic(member)
            if version not in ((1, 0), (2, 0)):
                raise _unreadable(name, f"{key} in .npy format {version[0]}.{version[1]}")
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(member)
            left = info.file_size - member.tell()
        kinds = KINDS[key]
        lengths[key] = math.prod(shape)
        if len(shape) != 1 or dtype.hasobject or dtype.kind not in kinds:
            expected = f"one dimension of {IN_WORDS[kinds]}"
            findings.append(
                Finding(
                    "MATRIX_INVALID", where=f"{name}: {key}", expected=expected, found=f"{dtype} {shape}", remedy=REMEDY
                )
            )
        elif math.prod(shape) * dtype.itemsize != left:
            raise _unreadable(name, f"{key} that declares {shape[0]} values of {dtype} and holds {left} bytes")
        elif kinds == "U" and dtype.itemsize > 4 * LONGEST_NAME:
            expected = f"names of at most {LONGEST_NAME} characters"
            findings.append(
                Finding(
                    "MATRIX_INVALID",
                    where=f"{name}: {key}",
                    expected=expected,
                    found=f"room for {dtype.itemsize // 4}",
                    remedy=REMEDY,
                )
            )
    if findings:
        raise ReadError(*findings)
    limits.check(name, cells=lengths["cell_ids"], genes=lengths["genes"], nonzeros=lengths["data"])


def _native(values: np.ndarray) -> np.ndarray:
    """The same numbers in a type that SciPy computes with: this machine's byte order, no half or long floats."""
    if values.dtype.kind == "f":
        return values.astype(np.float32 if values.dtype.itemsize <= 4 else np.float64, copy=False)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _check_positions(arrays: dict[str, Any], name: str) -> None:
    for key in ("indptr", "indices"):
        if arrays[key].dtype.kind == "u" and len(arrays[key]) and arrays[key].max() >= 2**63:
            raise ReadError.of(
                "MATRIX_INVALID",
                where=f"{name}: {key}",
                expected="numbers below 2^63",
                found="larger ones",
                remedy=REMEDY,
            )
        arrays[key] = arrays[key].astype(np.int64)


def _unreadable(name: str, found: str) -> ReadError:
    return ReadError.of("FILE_UNREADABLE", where=name, expected=EXPECTED, found=found, remedy=REMEDY)
