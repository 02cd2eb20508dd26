"""The cells of one request, whatever form they came in; and the form `.npz`.

Everything in an `.npz` is checked from headers before an array is read; nothing is unpickled.
"""

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.lib import format as npy

from ..cells.cell_source import CellSource, NamedCells
from ..cells.file_kind import file_kind
from ..cells.read_limits import NO_LIMITS, ReadLimits
from ..cells.reading import reading
from ..cells.reading_options import AS_IT_IS, ReadingOptions
from ..errors import Finding, ReadError, RequestError
from ..genes.name_list import NameList, remember_names

GenesSource = Literal["genes", "keys"]
N_EXAMPLES = 5
LONGEST_NAME = 256
"""Characters of a cell id or gene name in JSON and `.npz`."""


@dataclass(frozen=True)
class RequestCells:
    """Cells to be checked, and what the request says beside them.

    `library_size`: an array [cells], the name of an obs column, or None to sum. `genes_source`: `keys` where the genes
    measured are the union of the cells' keys, `genes` where the input names them. `findings`: errors that did not keep
    the cells from being read, to be reported with all others. `asked`: how the request says that they are to be read.
    """

    source: CellSource
    library_size: np.ndarray | str | None = None
    genes_source: GenesSource = "genes"
    findings: tuple[Finding, ...] = ()
    asked: ReadingOptions = AS_IT_IS

    @property
    def reading(self) -> ReadingOptions:
        """What is left to do of reading them."""
        return replace(self.asked.once_open(), library_size=self.library_size)


class GeneList:
    """Names of genes, Unicode text, with what is made of them once: requests often send the same ones again."""

    def __init__(self, names: list[str]) -> None:
        check_names({"genes": names})
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def array(self) -> np.ndarray:
        """Object [genes]."""
        return _objects(self.names)

    @cached_property
    def column(self) -> dict[str, int]:
        """The number of each name; of one that comes twice, the last."""
        return dict(zip(self.names, range(len(self.names)), strict=True))

    @cached_property
    def listed(self) -> NameList:
        """To recognise them by."""
        return NameList(self.array)

    @cached_property
    def n_colons(self) -> int:
        return "".join(self.names).count(":")


def csr_cells(
    *,
    genes: Sequence[str] | np.ndarray | GeneList,
    cell_ids: Sequence[str] | np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    library_sizes: np.ndarray | None = None,
    name: str,
) -> RequestCells:
    """Cells of the CSR form: `indptr` [cells + 1], `indices` and `data` [entries], CSR of cells x genes.

    Raises `ReadError` (`MATRIX_INVALID`) with all that does not fit together.
    """
    check_names({"cell_ids": cell_ids} if isinstance(genes, GeneList) else {"genes": genes, "cell_ids": cell_ids})
    n_obs, n_vars = len(cell_ids), len(genes)
    findings = list(_csr_findings(n_obs, n_vars, indptr, indices, data, name))
    if library_sizes is not None and len(library_sizes) != n_obs:
        findings.append(
            _misfit(
                f"{name}: library_sizes", f"one value for each of the {n_obs} cells", f"{len(library_sizes)} values"
            )
        )
    if findings:
        raise ReadError(*findings)
    X = sp.csr_matrix((data, indices.astype(np.int64), indptr.astype(np.int64)), shape=(n_obs, n_vars))
    X.sort_indices()
    if not X.has_canonical_format:
        raise ReadError(_misfit(f"{name}: indices", "each gene at most once in a cell", "one that is there twice"))
    return RequestCells(memory_source(X, genes, cell_ids, name=name, counts_from="data"), library_sizes)


def memory_source(
    X: sp.csr_matrix,
    genes: Sequence[str] | np.ndarray | GeneList,
    cell_ids: Sequence[str] | np.ndarray,
    *,
    name: str,
    counts_from: str,
) -> NamedCells:
    """A source without any annotation of cells or genes."""
    names = genes.array if isinstance(genes, GeneList) else _objects(genes)
    source = NamedCells(X, names, _objects(cell_ids), name=name, counts_from=counts_from)
    if isinstance(genes, GeneList):
        remember_names(source, genes.listed)
    return source


def _objects(names: Sequence[str] | np.ndarray) -> np.ndarray:
    return np.asarray(names, dtype=object) if len(names) else np.empty(0, dtype=object)


def check_names(names: dict[str, Sequence[str] | np.ndarray]) -> None:
    """Raise `RequestError` for names that are not Unicode text. `names`: by where they stand in the request."""
    findings = []
    for where, values in names.items():
        try:
            "".join(values).encode()
        except UnicodeEncodeError:
            findings.append(
                Finding(
                    "REQUEST_INVALID",
                    where=where,
                    expected="Unicode text",
                    found="half of a surrogate pair (\\ud800 to \\udfff)",
                    remedy="Write the names in UTF-8.",
                )
            )
    if findings:
        raise RequestError(*findings)


def _csr_findings(
    n_obs: int, n_vars: int, indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, name: str
) -> list[Finding]:
    findings = []
    if len(indptr) != n_obs + 1:
        findings.append(_misfit(f"{name}: indptr", f"{n_obs + 1} numbers, one more than cells", f"{len(indptr)}"))
    elif indptr[0] != 0 or (np.diff(indptr) < 0).any():
        findings.append(_misfit(f"{name}: indptr", "numbers that start at 0 and never fall", "others"))
    elif indptr[-1] != len(data):
        findings.append(_misfit(f"{name}: indptr", f"{len(data)} at its end, the length of data", f"{indptr[-1]}"))
    if len(indices) != len(data):
        findings.append(_misfit(f"{name}: indices", f"{len(data)} numbers, as many as data", f"{len(indices)}"))
    if len(indices) and (indices.min() < 0 or indices.max() >= n_vars):
        found = f"numbers from {indices.min()} to {indices.max()}"
        findings.append(_misfit(f"{name}: indices", f"numbers from 0 to {n_vars - 1}, which count the genes", found))
    return findings


def _misfit(where: str, expected: str, found: str) -> Finding:
    return Finding(
        "MATRIX_INVALID",
        where=where,
        expected=expected,
        found=found,
        remedy="Send indptr, indices and data of a CSR matrix, cells x genes, as SciPy holds it.",
    )


EXPECTED = "an .npz with plain arrays genes, cell_ids, indptr, indices, data and, if given, library_sizes"
REQUIRED = ("genes", "cell_ids", "indptr", "indices", "data")
OPTIONAL = ("library_sizes",)
KINDS = {"genes": "U", "cell_ids": "U", "indptr": "iu", "indices": "iu", "data": "fiu", "library_sizes": "fiu"}
IN_WORDS = {"U": "strings (dtype=str)", "iu": "whole numbers", "fiu": "numbers"}
REMEDY = "Write it with numpy.savez_compressed(path, genes=..., cell_ids=..., indptr=..., indices=..., data=...)."


def unpacked_bytes(path: Path) -> int | None:
    """Bytes of the arrays in an `.npz`, by its own table of contents; None for a file that is not an `.npz`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None


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
