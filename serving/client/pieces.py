"""Cells as bodies of requests: a few thousand cells each, with all that the service's checks look at.

Names of genes alone go as `.npz` in the smallest types that hold the numbers. Where the checks would also look at
columns of `var` or at a stated organism, the piece is an `.h5ad` with these, so that the answer is the same as at hand.
"""

import io
import math
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.api.request_cells import LONGEST_NAME
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.errors import InputError, raise_if_refused
from cellmark.schemas.genes.declared_organism import declared_organism, organism_name
from cellmark.schemas.genes.feature_types import COLUMNS, OTHER_COLUMNS, features_by_type
from cellmark.schemas.genes.fit_genes import ID_COLUMNS, SYMBOL_COLUMNS

from .connection import Sent

NPZ = "application/x-npz"
HDF5 = "application/x-hdf5"
LIBRARY_SIZE = "cellmark_library_size"
"""The obs column of an `.h5ad` piece that holds library sizes."""
ORGANISM = ("organism", "organism_ontology_term_id")
MOST_VALUES = 20_000_000
"""Values in one piece, whatever its cells: 80 MB as they are sent."""


@dataclass(frozen=True)
class Piece:
    """Consecutive cells. `start`: number of the first; `query`: options that its form needs."""

    start: int
    n_cells: int
    sent: Sent
    query: dict[str, str]


@dataclass(frozen=True)
class Packing:
    """How cells of `source` become bodies. `library_size`: float [cells] or None. `panel`: the model's genes;
    `organism`: what its training data said.
    """

    source: CellSource
    library_size: np.ndarray | None
    panel: Collection[str]
    organism: str | None = None

    def pieces(self, cells_per_request: int) -> Iterator[Piece]:
        """All cells in order, in pieces of about equal size: one of a few cells would say little of itself."""
        n_obs = self.source.n_obs
        n_rows = math.ceil(n_obs / math.ceil(n_obs / cells_per_request)) if n_obs else 1
        plain, at = self._is_plain(), 0
        for X in _gathered(self.source, n_rows):
            yield self._piece(X, at, plain=plain)
            at += X.shape[0]
        if n_obs == 0:
            yield self._piece(sp.csr_matrix((0, self.source.n_vars), dtype=np.float32), 0, plain=plain)

    def _piece(self, X: sp.csr_matrix, start: int, *, plain: bool) -> Piece:
        rows = slice(start, start + X.shape[0])
        sizes = None if self.library_size is None else self.library_size[rows]
        if plain:
            body = npz_body(X, self.source.var_names, self.source.cell_ids[rows], sizes)
            return Piece(start, X.shape[0], Sent(NPZ, body), {})
        body = h5ad_body(X, self.source, rows, sizes)
        return Piece(start, X.shape[0], Sent(HDF5, body), {} if sizes is None else {"library_size": LIBRARY_SIZE})

    def _is_plain(self) -> bool:
        """Whether the names of the genes are all that the checks would look at."""
        source = self.source
        if source.n_vars == 0 or source.n_obs == 0:
            return False
        if self._longest_name() > LONGEST_NAME:
            return False
        all_there = set(self.panel) <= set(source.var_names.tolist())
        declared, model = declared_organism(source.uns, source.obs), organism_name(self.organism)
        # What a file says of its organism is held against the model's word, or else against the genes.
        if declared is not None and (not all_there if model is None else declared[0] != model):
            return False
        is_gene, others, errors = features_by_type(source.var)
        if others or errors or not is_gene.all():
            return False
        named = {str(column).lower() for column in source.var.columns} & {*SYMBOL_COLUMNS, *ID_COLUMNS}
        return all_there or not named

    def _longest_name(self) -> int:
        return max(map(len, (*self.source.var_names.tolist(), *self.source.cell_ids.tolist())), default=0)


def _gathered(source: CellSource, n_rows: int) -> Iterator[sp.csr_matrix]:
    """Matrices of `n_rows` cells, of fewer at the end or where they hold many values: a source may give less at a time
    than it was asked for.
    """
    waiting: list[sp.csr_matrix] = []
    n_waiting = n_values = 0
    for chunk in source.chunks(n_rows):
        X = chunk.X
        while X.shape[0]:
            room = n_rows - n_waiting
            if X.indptr[min(room, X.shape[0])] + n_values > MOST_VALUES:
                fitting = int(np.searchsorted(X.indptr, MOST_VALUES - n_values, "right")) - 1
                room = max(fitting, 0 if n_waiting else 1)
            taken, X = X[:room], X[room:]
            if taken.shape[0]:
                waiting.append(taken)
                n_waiting, n_values = n_waiting + taken.shape[0], n_values + taken.nnz
            if n_waiting == n_rows or X.shape[0]:
                yield waiting[0] if len(waiting) == 1 else sp.vstack(waiting, format="csr")
                waiting, n_waiting, n_values = [], 0, 0
    if waiting:
        yield waiting[0] if len(waiting) == 1 else sp.vstack(waiting, format="csr")


def smallest(values: np.ndarray) -> np.ndarray:
    """The same numbers as bytes or short integers where they all are such, else as they are."""
    for kind in (np.uint8, np.uint16, np.uint32):
        limit = np.iinfo(kind).max
        # NaN and infinities fail the comparison.
        if not len(values) or (values.min() >= 0 and values.max() <= limit):
            with np.errstate(invalid="ignore"):
                short = values.astype(kind)
            return short if np.array_equal(short, values) else values
    return values


def npz_body(X: sp.csr_matrix, genes: np.ndarray, cell_ids: np.ndarray, sizes: np.ndarray | None) -> bytes:
    """Cells in the service's form `.npz`. `X`: CSR, cells x genes, its values in any order and kind."""
    X = X.copy() if not X.has_canonical_format else X
    X.sum_duplicates()
    arrays = {
        "genes": np.asarray(genes, dtype=str),
        "cell_ids": np.asarray(cell_ids, dtype=str),
        "indptr": smallest(X.indptr),
        "indices": smallest(X.indices),
        "data": smallest(X.data.astype(np.float32) if X.data.dtype == bool else X.data),
    }
    if sizes is not None:
        arrays["library_sizes"] = np.asarray(sizes, dtype=np.float64)
    written = io.BytesIO()
    np.savez(written, allow_pickle=False, **arrays)
    return written.getvalue()


def h5ad_body(X: sp.csr_matrix, source: CellSource, rows: slice, sizes: np.ndarray | None) -> bytes:
    """Cells as an `.h5ad` with what the checks look at: names, kinds and other names of genes, organism."""
    from anndata import AnnData

    obs = pd.DataFrame(index=pd.Index(source.cell_ids[rows], dtype=object))
    for column in ORGANISM:
        if column in source.obs.columns:
            obs[column] = source.obs[column].iloc[rows].astype(str).to_numpy(dtype=object)
    if sizes is not None:
        obs[LIBRARY_SIZE] = np.asarray(sizes, dtype=np.float64)
    kept = [column for column in source.var.columns if looked_at(str(column))]
    var = source.var[kept].astype(object).where(source.var[kept].notna(), "").astype(str)
    var.index = pd.Index(source.var_names.tolist(), dtype=object)
    organism = {key: text for key in ORGANISM if isinstance(text := source.uns.get(key), str)}
    with tempfile.TemporaryDirectory(prefix="cellmark-") as folder:
        path = Path(folder) / "piece.h5ad"
        AnnData(X, obs=obs, var=var, uns=organism).write_h5ad(path)
        return path.read_bytes()


def looked_at(column: str) -> bool:
    """Whether a column of `var` may say what a feature is or how else it is called."""
    plain = "".join(letter for letter in column.lower() if letter.isalnum())
    return column.lower() in (*SYMBOL_COLUMNS, *ID_COLUMNS) or plain in COLUMNS or plain in OTHER_COLUMNS


def check_ids(source: CellSource) -> None:
    """Raise `InputError` for an id that two cells have, which no piece might show."""
    from cellmark.schemas.checks.sizes_and_ids import id_findings

    raise_if_refused(id_findings(source.cell_ids), InputError)
