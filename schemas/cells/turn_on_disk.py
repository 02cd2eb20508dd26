"""A matrix stored by columns (CSC), turned into one by rows (CSR) on disk, within a fixed budget of memory.

Two passes over the columns: the first counts each row's values, the second puts values where the rows of a bucket
belong, a bucket being as many rows as fit the budget. Then each bucket is put in order by itself. On disk it takes 4
bytes and the size of a value for each of them, and 4 more until it is done.
"""

import errno
import fcntl
import hashlib
import json
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import scipy.sparse as sp

from ..errors import ReadError
from .read_limits import ReadLimits
from .stored_matrix import native

BUDGET_BYTES = 256 * 1024**2
"""Memory that turning takes, beside one number for each row."""
READ_BYTES, ORDER_BYTES = 128, 96
"""What a value takes while columns are divided among buckets, and while a bucket is put in order (measured)."""
MARGIN_BYTES = 64 * 1024**2
"""Room on the disk that is left for others."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
GROUP = "X"
MOST_LOADED = 50_000_000
"""Values up to which a matrix by columns is turned in memory."""
FEW = 8_000_000
"""The same, where what is turned on disk is kept, and read again for other rows."""


@dataclass(frozen=True)
class StoredColumns:
    """A matrix by columns, cells x genes. `data`, `indices`: datasets, of which slices can be read. `indptr`: int64
    [genes + 1].
    """

    data: Any
    indices: Any
    indptr: np.ndarray
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        """Raise `ValueError` for parts that do not fit together; values of `indices` are seen while they are read."""
        if self.data.dtype.kind not in "fiub" or self.indices.dtype.kind not in "iu":
            raise ValueError(f"sparse values of {self.data.dtype} with indices of {self.indices.dtype}")
        n_values = len(self.data)
        rises = len(self.indptr) == self.shape[1] + 1 and self.indptr[0] == 0 and (np.diff(self.indptr) >= 0).all()
        if not rises or not self.indptr[-1] == len(self.indices) == n_values:
            raise ValueError("column pointers of the sparse matrix that do not fit its values")

    @property
    def n_values(self) -> int:
        return int(self.indptr[-1])

    @property
    def turned_bytes(self) -> int:
        """What turning takes on the disk."""
        return self.n_values * (max(int(self.data.dtype.itemsize), 4) + 8) + 8 * self.shape[0]

    def rows(self, n_values: int) -> Iterator[tuple[int, np.ndarray]]:
        """Numbers of rows, `n_values` at a time, with the number of the first. Raises `ValueError` for wrong ones."""
        for start in range(0, self.n_values, n_values):
            rows = self.indices[start : min(start + n_values, self.n_values)]
            if rows.min() < 0 or rows.max() >= self.shape[0]:
                raise ValueError("row indices of the sparse matrix outside its cells")
            yield start, rows


def turn_columns(columns: StoredColumns, path: Path, stamp: dict[str, Any], limits: ReadLimits) -> h5py.File | None:
    """As `open_turned`, where `limits` allow it and it is worth it; None where the matrix is better loaded. `path`: the
    input; `stamp`: what names the matrix in it and, of a folder, its state.
    """
    n_bytes, few = columns.turned_bytes, MOST_LOADED if limits.turned is None else FEW
    if columns.n_values <= few or n_bytes > limits.max_scratch_bytes:
        return None
    turned = Path(limits.turned) if limits.turned else None
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if most != resource.RLIM_INFINITY and n_bytes > most:
        found = f"a process that may write no more than {most:,} bytes (ulimit -f)"
        raise no_room(turned or Path(tempfile.gettempdir()), str(path), found, n_bytes)
    status = path.stat()
    stamp = {"path": os.path.abspath(path), "bytes": status.st_size, "mtime_ns": status.st_mtime_ns, **stamp}
    return open_turned(columns, turned=turned, stamp=stamp, name=str(path))


def open_turned(columns: StoredColumns, *, turned: Path | None, stamp: dict[str, Any], name: str) -> h5py.File:
    """An open HDF5 file with the group `GROUP`: the matrix by rows, as `scipy.sparse.csc_matrix.tocsr` gives it.

    `turned`: a folder for such files, where one of the same `stamp` (what is known of the file and the matrix in it)
    is used again, also by other processes, and which its owner removes. None: a file without a name, which is gone once
    it is closed, whatever happens. `name`: what to call the input. Raises `ReadError` (`SCRATCH_FULL`) where the disk
    has no room, and `ValueError` for indices outside the matrix.
    """
    if turned is None:
        folder = Path(tempfile.gettempdir())
        with scratch_disk(folder, name):
            _require_room(columns, folder, name)
            scratch = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
            try:
                turn(columns, scratch, folder)
                return h5py.File(scratch, "r")
            except BaseException:
                scratch.close()
                raise
    written = json.dumps(stamp, sort_keys=True)
    place = turned / f"{hashlib.sha256(written.encode()).hexdigest()[:32]}.h5"
    with scratch_disk(turned, name):
        turned.mkdir(parents=True, exist_ok=True)
        if (file := _open_made(place, written)) is not None:
            return file
        with place.with_suffix(".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one process turns, the others wait for it
            if (file := _open_made(place, written)) is None:
                # What a killed process left under this name is overwritten.
                draft = place.with_suffix(".part")
                _require_room(columns, turned, name)
                try:
                    with draft.open("w+b", buffering=0) as scratch:
                        turn(columns, scratch, turned, written)
                    draft.replace(place)
                except BaseException:
                    draft.unlink(missing_ok=True)
                    raise
                file = _open_made(place, written)
    if file is None:
        raise ValueError(f"a matrix that was turned and cannot be read again: {place}")
    return file


def _open_made(place: Path, stamp: str) -> h5py.File | None:
    """A matrix that was turned before, None where there is none or it is not whole."""
    with suppress(OSError):
        file = h5py.File(place, "r", locking=False)
        if file.attrs.get("stamp") == stamp:
            return file
        file.close()
    return None


@contextmanager
def scratch_disk(folder: Path, name: str) -> Iterator[None]:
    """Turn what a full disk, or a folder that cannot be written, raises into `ReadError` (`SCRATCH_FULL`)."""
    try:
        yield
    except OSError as error:
        if error.errno in (*NO_ROOM, errno.EACCES, errno.EROFS, errno.EPERM):
            raise no_room(folder, name, error.strerror or str(error)) from error
        raise


def no_room(folder: Path, name: str, found: str, n_bytes: int = 0) -> ReadError:
    """The error of a disk that a temporary copy of the input `name` does not fit. `n_bytes`: what it takes."""
    size = f" for {n_bytes / 1024**3:,.1f} GiB" if n_bytes else ""
    return ReadError.of(
        "SCRATCH_FULL",
        where=name,
        expected=f"room{size} in {folder}, for a temporary copy of the matrix by rows: it is stored by columns",
        found=found,
        remedy="Name a folder of a larger disk: export TMPDIR=/path/to/folder. Or write the file by rows, where memory "
        "allows: adata.X = adata.X.tocsr().",
    )


def _require_room(columns: StoredColumns, folder: Path, name: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < columns.turned_bytes + MARGIN_BYTES:
        raise no_room(folder, name, f"{free / 1024**3:,.1f} GiB free", columns.turned_bytes)


def turn(
    columns: StoredColumns, scratch: IO[bytes], folder: Path, stamp: str = "", *, budget: int = BUDGET_BYTES
) -> None:
    """Write the matrix by rows into the open file `scratch`, HDF5. `folder`: for another temporary file. `budget`:
    bytes of memory.
    """
    dtype = native(np.empty(0, dtype=columns.data.dtype)).dtype
    block = max(budget // READ_BYTES, 1)
    indptr = np.zeros(columns.shape[0] + 1, dtype=np.int64)
    for _, rows in columns.rows(block):
        indptr[1:] += np.bincount(rows, minlength=columns.shape[0])
    np.cumsum(indptr, out=indptr)
    data, indices = _write_frame(scratch, indptr, columns, dtype, stamp)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as rows_file:
        parts = (
            _Values(rows_file, np.dtype(np.int32), 0),
            _Values(scratch, np.dtype(np.int32), indices),
            _Values(scratch, dtype, data),
        )
        edges = _buckets(indptr, max(budget // ORDER_BYTES, 1))
        _divide(columns, parts, edges, indptr, block)
        _put_in_order(parts, edges, indptr, columns.shape[1])
    scratch.flush()


def _write_frame(
    scratch: IO[bytes], indptr: np.ndarray, columns: StoredColumns, dtype: np.dtype[Any], stamp: str
) -> tuple[int, int]:
    """Write the HDF5 around the values; give the places where `data` and `indices` begin."""
    n_values = columns.n_values
    with h5py.File(scratch, "w") as file:
        group = file.create_group(GROUP)
        file.attrs["stamp"] = stamp
        group.attrs["shape"] = columns.shape
        group.attrs["encoding-type"] = "csr_matrix"
        group["indptr"] = indptr
        places = []
        for name, kind in (("data", dtype), ("indices", np.dtype(np.int32))):
            values = group.create_dataset(name, n_values, dtype=kind, fill_time="never")
            if n_values:
                values[-1:] = np.zeros(1, dtype=kind)  # only now it has a place
            places.append(values.id.get_offset() or 0)
        return places[0], places[1]


@dataclass(frozen=True)
class _Values:
    """Values one after another in an open file. `at`: where they begin. Read and written without a map of the file in
    memory, which would count as this process's.
    """

    file: IO[bytes]
    dtype: np.dtype[Any]
    at: int

    def write(self, start: int, values: np.ndarray) -> None:
        view, place = values.view(np.uint8).data, self.at + start * self.dtype.itemsize
        while view:
            written = os.pwrite(self.file.fileno(), view, place)
            view, place = view[written:], place + written

    def read(self, start: int, end: int) -> np.ndarray:
        values = np.empty(end - start, dtype=self.dtype)
        view, place = values.view(np.uint8).data, self.at + start * self.dtype.itemsize
        while view:
            n_read = os.preadv(self.file.fileno(), [view], place)
            if not n_read:
                raise OSError(errno.EIO, "a temporary file that became shorter")
            view, place = view[n_read:], place + n_read
        return values


def _buckets(indptr: np.ndarray, most: int) -> np.ndarray:
    """Where buckets of rows begin and end: each holds at most `most` values, or one row."""
    edges, n_rows = [0], len(indptr) - 1
    while edges[-1] < n_rows:
        end = int(np.searchsorted(indptr, indptr[edges[-1]] + most, side="right")) - 1
        edges.append(min(max(end, edges[-1] + 1), n_rows))
    return np.array(edges)


def _divide(
    columns: StoredColumns, parts: tuple[_Values, ...], edges: np.ndarray, indptr: np.ndarray, block: int
) -> None:
    """Write each value, its row and its column behind those that its bucket has already."""
    n_buckets = len(edges) - 1
    kind = np.uint16 if n_buckets < 2**16 else np.int64  # NumPy sorts the former by their digits
    bucket_of = np.repeat(np.arange(n_buckets, dtype=kind), np.diff(edges))
    ends = indptr[edges[:-1]]
    for start, rows in columns.rows(block):
        end = start + len(rows)
        values = native(columns.data[start:end])
        first, last = np.searchsorted(columns.indptr, [start, end - 1], side="right") - 1
        inside = np.clip(columns.indptr[first : last + 2], start, end)
        of_column = np.repeat(np.arange(first, last + 1, dtype=np.int32), np.diff(inside))
        buckets = bucket_of[rows]
        order = np.argsort(buckets, kind="stable")
        steps = np.concatenate([[0], np.cumsum(np.bincount(buckets, minlength=n_buckets))])
        for part, unordered in zip(parts, (rows.astype(np.int32, copy=False), of_column, values), strict=True):
            ordered = unordered[order]
            for bucket in np.flatnonzero(np.diff(steps)):
                part.write(int(ends[bucket]), ordered[steps[bucket] : steps[bucket + 1]])
        ends += np.diff(steps)


def _put_in_order(parts: tuple[_Values, ...], edges: np.ndarray, indptr: np.ndarray, n_columns: int) -> None:
    """Put the values of each bucket in the order of its rows; those of a row stay in that of their columns."""
    rows, indices, data = parts
    for first, last in pairwise(edges.tolist()):
        start, end = int(indptr[first]), int(indptr[last])
        pointers = np.concatenate([[0], np.cumsum(np.bincount(indices.read(start, end), minlength=n_columns))])
        kind = np.int32 if end - start < 2**31 else np.int64
        of_bucket = (data.read(start, end), rows.read(start, end) - np.int32(first), pointers.astype(kind))
        by_rows = sp.csc_matrix(of_bucket, shape=(last - first, n_columns), copy=False).tocsr()
        data.write(start, by_rows.data)
        indices.write(start, by_rows.indices.astype(np.int32, copy=False))
