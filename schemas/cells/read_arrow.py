"""Arrow IPC, stream or file: a row for each cell, with its counts as lists, or with a column for each gene.

- Sparse: `cell_id`, `indices` (list of whole numbers, which count the genes) and `counts` (list of numbers), with the
  names of the genes as JSON in the schema's metadata under `genes`.
- Dense: `cell_id` (or pandas' own index column) and a numeric column for each gene.

Both may have `library_size`, which becomes a column of `obs`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..errors import ReadError
from .cell_source import MemoryCells
from .read_limits import NO_LIMITS, ReadLimits
from .reading import reading

EXPECTED = "Arrow IPC with cell_id, indices and counts (lists; the names in the metadata `genes`), or a column per gene"
CELL_ID, INDICES, COUNTS, LIBRARY_SIZE = "cell_id", "indices", "counts", "library_size"
PANDAS_INDEX = "__index_level_0__"
GENES = b"genes"
FILE_MAGIC = b"ARROW1"
STREAM_START = b"\xff\xff\xff\xff"
REMEDY = "Write it with pyarrow.ipc.new_stream(path, table.schema) and write_table(table)."


def read_arrow(path: Path, *, limits: ReadLimits = NO_LIMITS) -> MemoryCells:
    """The cells of an Arrow IPC file or stream.

    Raises `ReadError`: not Arrow IPC, other columns, lists that do not fit together, missing values (null), more
    cells, genes or values than `limits` allow.
    """
    with reading(path, EXPECTED):
        schema, batches = _open(path)
        names = schema.names
        if len(set(names)) < len(names):
            raise _invalid(path, "each column once", "columns of the same name")
        identifier = CELL_ID if CELL_ID in names else PANDAS_INDEX
        if identifier not in names:
            raise _invalid(path, f"a column {CELL_ID}", "none")
        is_sparse = INDICES in names and COUNTS in names
        genes = _genes(path, schema) if is_sparse else [n for n in names if n not in (identifier, LIBRARY_SIZE)]
        limits.check(str(path), genes=len(genes))
        ids: list[str] = []
        sizes: list[np.ndarray] = []
        pieces = [sp.csr_matrix((0, len(genes)), dtype=np.float32)]
        n_values = 0
        for batch in batches:
            batch.validate(full=True)
            limits.check(str(path), cells=len(ids) + batch.num_rows)
            ids += map(str, _column(path, batch, identifier).to_pylist())
            if LIBRARY_SIZE in names:
                sizes.append(_numbers(path, batch, LIBRARY_SIZE))
            piece = _sparse(path, batch, len(genes)) if is_sparse else _dense(path, batch, genes)
            n_values += piece.nnz
            limits.check(str(path), cells=len(ids), nonzeros=n_values)
            pieces.append(piece)
        X = pieces[-1] if len(pieces) <= 2 else sp.csr_matrix(sp.vstack(pieces[1:], format="csr"))
        columns = {LIBRARY_SIZE: np.concatenate(sizes)} if sizes else {}
        obs = pd.DataFrame(columns, index=pd.Index(ids, dtype=object))
        var_names = np.array(genes, dtype=object).astype(str) if genes else np.empty(0, dtype=str)
        return MemoryCells(X, var_names, obs, name=path.name, counts_from=COUNTS)


def _open(path: Path) -> tuple[Any, Iterator[Any]]:
    """The schema and the record batches."""
    import pyarrow as pa

    source = pa.memory_map(str(path), "r")
    if source.size() >= len(FILE_MAGIC) and source.read_at(len(FILE_MAGIC), 0) == FILE_MAGIC:
        file = pa.ipc.open_file(source)
        return file.schema, (file.get_batch(number) for number in range(file.num_record_batches))
    stream = pa.ipc.open_stream(source)
    return stream.schema, iter(stream)


def _genes(path: Path, schema: Any) -> list[str]:
    try:
        genes = json.loads((schema.metadata or {})[GENES])
    except (KeyError, ValueError, RecursionError):
        raise _invalid(path, "the names of the genes as JSON in the metadata `genes`", "none") from None
    if not isinstance(genes, list) or not all(isinstance(name, str) for name in genes):
        raise _invalid(path, "a list of names in the metadata `genes`", "something else")
    return genes


def _column(path: Path, batch: Any, name: str) -> Any:
    column = batch.column(name)
    if column.null_count:
        raise _invalid(path, f"a value of {name} for every cell", f"{column.null_count} missing ones (null)")
    return column


def _numbers(path: Path, batch: Any, name: str) -> np.ndarray:
    import pyarrow as pa

    column = _column(path, batch, name)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise _invalid(path, f"numbers in {name}", str(column.type))
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values.astype(np.float64)


def _sparse(path: Path, batch: Any, n_genes: int) -> sp.csr_matrix:
    import pyarrow as pa

    lists = {}
    for name in (INDICES, COUNTS):
        column = _column(path, batch, name)
        if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
            raise _invalid(path, f"a list of numbers in {name}", str(column.type))
        ends = column.offsets.to_numpy().astype(np.int64)
        values = column.flatten()
        lists[name] = (ends - ends[0], values)
        is_number = pa.types.is_integer(values.type) or (name == COUNTS and pa.types.is_floating(values.type))
        if values.null_count or not is_number:
            raise _invalid(path, f"{'whole ' if name == INDICES else ''}numbers in {name}", f"{values.type}, or null")
    (ends, indices), (other_ends, counts) = lists[INDICES], lists[COUNTS]
    if not np.array_equal(ends, other_ends):
        raise _invalid(path, "as many counts as indices in every cell", "other numbers")
    columns = indices.to_numpy(zero_copy_only=False)
    if len(columns) and (columns.min() < 0 or columns.max() >= n_genes):
        raise _invalid(path, f"indices from 0 to {n_genes - 1}", f"{columns.min()} to {columns.max()}")
    # Copies: what is mapped from a file cannot be sorted in place.
    data = np.array(counts.to_numpy(zero_copy_only=False))
    X = sp.csr_matrix((data, columns.astype(np.int64), ends), shape=(batch.num_rows, n_genes))
    X.sort_indices()
    if not X.has_canonical_format:
        raise _invalid(path, "each gene at most once in a cell", "one that is there twice")
    return X


def _dense(path: Path, batch: Any, genes: list[str]) -> sp.csr_matrix:
    columns = [sp.csr_matrix(_numbers(path, batch, name).reshape(-1, 1)) for name in genes]
    return sp.csr_matrix(sp.hstack(columns, format="csr")) if columns else sp.csr_matrix((batch.num_rows, 0))


def _invalid(path: Path, expected: str, found: str) -> ReadError:
    return ReadError.of("MATRIX_INVALID", where=str(path), expected=expected, found=found, remedy=REMEDY)
