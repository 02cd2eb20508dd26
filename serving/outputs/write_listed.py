"""A Parquet of cells with a row for each, its counts as lists: what engines of tables such as Spark and Ray read."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.read_arrow import CELL_ID, COUNTS, GENES, INDICES, LIBRARY_SIZE
from cellmark.schemas.checks.counts_of_genes import counts_of_genes
from cellmark.schemas.checks.library_size import given_library_size
from cellmark.schemas.checks.sizes_and_ids import id_findings, size_findings
from cellmark.schemas.errors import raise_if_refused
from cellmark.schemas.normalization import row_sums

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1024
"""Cells in one row group: a few megabytes, so that engines can divide the file anywhere."""


def write_listed(
    source: CellSource,
    path: Path,
    *,
    library_size: str | None = None,
    force: bool = False,
    on_progress: Callable[[int], None] = lambda n_cells: None,
) -> CellSource:
    """Write the cells of `source`, `ROWS` of them in memory at a time, and return them as they were written.

    Columns: `cell_id`, `indices` (int32, which count the genes), `counts` (as in the source) and `library_size`: the
    `obs` column of that name, or the sum over all genes. The schema's metadata holds the names of the genes as JSON
    under `genes`. Features that are no genes are left out, as `annotate` does. Raises `InputError` for ids that come
    twice, no cells or genes, and library sizes that are missing.
    """
    import pyarrow.parquet as pq

    genes = counts_of_genes(source)
    sizes, findings = given_library_size(genes, library_size)
    ids = genes.cell_ids
    raise_if_refused([*genes.notes, *size_findings(genes), *id_findings(ids), *findings])
    metadata = {GENES: json.dumps(list(map(str, genes.var_names)), ensure_ascii=False).encode()}
    with whole_file(path, force=force) as draft, ExitStack() as stack:
        writer = None
        for chunk in genes.chunks(ROWS):
            stop = chunk.start + chunk.X.shape[0]
            given = row_sums(chunk.X) if sizes is None else sizes[chunk.start : stop]
            table = _table(chunk.X, ids[chunk.start : stop], given).replace_schema_metadata(metadata)
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(draft, table.schema, compression="zstd"))
            writer.write_table(table)
            on_progress(chunk.X.shape[0])
    return genes


def _table(X: sp.csr_matrix, ids: np.ndarray, sizes: np.ndarray) -> "pa.Table":
    import pyarrow as pa

    offsets = pa.array(X.indptr.astype(np.int32))
    lists = (X.indices.astype(np.int32, copy=False), _signed(X.data))
    indices, counts = (pa.ListArray.from_arrays(offsets, pa.array(values)) for values in lists)
    columns = {
        CELL_ID: pa.array(ids.tolist(), pa.string()),
        INDICES: indices,
        COUNTS: counts,
        LIBRARY_SIZE: np.asarray(sizes, dtype=np.float64),
    }
    return pa.table(columns)


def _signed(values: np.ndarray) -> np.ndarray:
    """The same numbers in a type that every engine has: unsigned and half ones are Arrow's alone."""
    if values.dtype.kind in "ub":
        return values.astype(np.int32 if values.dtype.itemsize <= 2 else np.int64)
    return values.astype(np.float32) if values.dtype == np.float16 else values
