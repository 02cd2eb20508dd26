"""An AnnData as a cell source; the caller's object is never changed, and what is not in memory is read by rows."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..errors import Finding, ReadError
from ..normalization import slice_rows
from .cell_source import CellSource, MemoryCells, OtherMatrix, RowChunk
from .reading import gene_features, rna_modality, unknown_layer
from .stored_matrix import BLOCK_VALUES, native

if TYPE_CHECKING:
    from anndata import AnnData

RAW = "raw"


def cells_from_anndata(adata: "AnnData", *, layer: str | None = None, name: str = "adata") -> CellSource:
    """The cells of an AnnData. `layer`: None for `X`, `raw` for `adata.raw`, else a layer.

    Views, dense arrays, CSR and CSC are taken; dask arrays, backed and lazy objects by rows, unless their values lie by
    columns. Of a view of a backed object its own values are loaded. Raises `ReadError`: something else than an AnnData,
    an unknown layer, no values.
    """
    _check_kind(adata)
    if layer is None:
        X, var, counts_from = adata.X, adata.var, "X"
    elif layer == RAW and RAW not in adata.layers:
        if adata.raw is None:
            raise unknown_layer(layer, _layer_names(adata))
        X, var, counts_from = adata.raw.X, adata.raw.var, "raw.X"
    elif layer in adata.layers:
        X, var, counts_from = adata.layers[layer], adata.var, f"layers[{layer!r}]"
    else:
        raise unknown_layer(layer, [*_layer_names(adata), *([RAW] if adata.raw is not None else [])])
    if X is None:
        raise ReadError.of(
            "MATRIX_INVALID",
            where=counts_from,
            expected="a matrix of counts",
            found="none",
            remedy="Name the layer that holds them.",
        )
    organism = adata.uns.get("organism")
    _check_structure(X, counts_from)
    obs, var = in_memory(adata.obs), in_memory(var)
    cells: CellSource
    if _by_rows(X):
        cells = LazyCells(X, _ends(X, len(obs), len(var)), obs, var, name, counts_from, organism)
    else:
        cells = memory_cells(X, obs, var, name=name, counts_from=counts_from, organism=organism)
    cells.others = _other_matrices(adata, counts_from)
    return cells


class LazyCells(CellSource):
    """Cells whose values are not in memory. `X`: gives rows of itself; `ends`: where the blocks end that are read at
    once.
    """

    def __init__(
        self,
        X: Any,
        ends: list[int],
        obs: pd.DataFrame,
        var: pd.DataFrame,
        name: str,
        counts_from: str,
        organism: object,
    ) -> None:
        is_gene, self.notes = gene_features(var)
        self._kept = None if is_gene is None else np.flatnonzero(is_gene)
        self._X, self._ends = X, ends
        self.obs, self.var = obs, var if is_gene is None else var[is_gene]
        self.var_names = self.var.index.to_numpy(dtype=object).astype(str)
        self.name, self.counts_from = name, counts_from
        self.uns = {"organism": organism} if isinstance(organism, str) else {}

    def chunks(self, n_rows: int) -> Iterator[RowChunk]:
        first = 0
        for end in self._ends:
            block = self.take(slice(first, end))
            for start in range(first, end, n_rows):
                yield RowChunk(start, slice_rows(block, start - first, min(start + n_rows, end) - first))
            first = end

    def take(self, rows: np.ndarray | slice) -> sp.csr_matrix:
        X = to_csr(self._X[rows], self.counts_from)
        return X if self._kept is None else X[:, self._kept]


def _by_rows(X: Any) -> bool:
    """Whether a matrix is not in memory and its rows can be read without all others."""
    if hasattr(X, "compute"):
        return len(getattr(X, "chunks", [()])[0]) > 1
    if hasattr(X, "attrs"):  # HDF5 and zarr
        return not hasattr(X, "keys") or "csr" in str(X.attrs.get("encoding-type"))
    return bool(getattr(X, "format", None) == "csr" and hasattr(X, "to_memory"))


def _ends(X: Any, n_obs: int, n_vars: int) -> list[int]:
    """Where blocks of rows end that are read at once: about `BLOCK_VALUES` values, and whole chunks of dask arrays."""
    step = max(BLOCK_VALUES // max(n_vars, 1), 1)
    if not hasattr(X, "compute"):
        stored = getattr(X, "group", X)
        values = stored["data"].shape[0] if hasattr(stored, "keys") else n_obs * n_vars
        step = max(BLOCK_VALUES * n_obs // max(values, 1), 1)
        return [*range(step, n_obs, step), n_obs] if n_obs else []
    ends, last = [], 0
    for end in np.cumsum(X.chunks[0]).tolist():
        if end - last >= step or end == n_obs:
            ends.append(end)
            last = end
    return ends


def in_memory(frame: Any) -> pd.DataFrame:
    """A frame of `obs` or `var`, read where it is a lazy one."""
    return frame if isinstance(frame, pd.DataFrame) else frame.to_memory()


def _layer_names(adata: "AnnData") -> list[str]:
    return [name for name in adata.layers if name is not None]  # from anndata 0.13 on, None is the key of `X`


def _check_kind(adata: object) -> None:
    """Raise `ReadError` for a MuData, of which one modality holds the RNA, and for anything else without `X`."""
    if hasattr(adata, "X") and hasattr(adata, "layers") and not hasattr(adata, "mod"):
        return
    kind, modalities = type(adata).__name__, list(getattr(adata, "mod", ()))
    raise ReadError(
        Finding(
            code="NOT_ANNDATA",
            where="adata",
            expected="an AnnData",
            found=f"a {kind} of {', '.join(map(repr, modalities))}" if modalities else f"a {kind}",
            remedy=f"Take the RNA modality out: adata = mdata.mod[{rna_modality(modalities)!r}]"
            if modalities
            else "Pass an AnnData, a data frame (cells x genes) or a path. Of an array: "
            "anndata.AnnData(X, var=pandas.DataFrame(index=genes)).",
        )
    )


def _other_matrices(adata: "AnnData", opened: str) -> tuple[OtherMatrix, ...]:
    there: list[tuple[str | None, str]] = [(None, "X")] if adata.isbacked or adata.X is not None else []
    there += [(name, f"layers[{name!r}]") for name in _layer_names(adata)]
    if adata.raw is not None and RAW not in adata.layers:
        there.append((RAW, "raw.X"))

    def rows_of(layer: str | None, where: str) -> Callable[[np.ndarray], sp.csr_matrix]:
        if where == "raw.X":
            return lambda rows: to_csr(adata.raw.X[rows], where)
        return lambda rows: to_csr(adata.X[rows] if layer is None else adata.layers[layer][rows], where)

    return tuple(OtherMatrix(layer, where, rows_of(layer, where)) for layer, where in there if where != opened)


def memory_cells(
    X: Any, obs: pd.DataFrame, var: pd.DataFrame, *, name: str, counts_from: str, organism: object = None
) -> MemoryCells:
    """A source of arrays as AnnData holds them: features that are not genes are left out, with a note."""
    is_gene, notes = gene_features(var)
    counts = to_csr(X, counts_from)
    if is_gene is not None:
        counts, var = counts[:, np.flatnonzero(is_gene)], var[is_gene]
    return MemoryCells(
        counts,
        var.index.to_numpy(dtype=object).astype(str),
        obs,
        name=name,
        counts_from=counts_from,
        notes=notes,
        uns={"organism": organism} if isinstance(organism, str) else {},
        var=var,
    )


def to_csr(X: Any, where: str) -> sp.csr_matrix:
    """CSR of any matrix that AnnData may hold; the values keep their dtype, or take one that SciPy knows.

    Raises `ReadError` for other things, and `ValueError` for a sparse matrix whose parts do not fit.
    """
    if hasattr(X, "to_memory"):
        X = X.to_memory()
    elif hasattr(X, "compute"):
        X = X.compute()
    values = X if sp.issparse(X) else np.asarray(X)
    if values.dtype.kind not in "fiub" or values.ndim != 2:
        raise ReadError.of(
            "MATRIX_INVALID",
            where=where,
            expected="a matrix of numbers, cells x genes",
            found=f"{values.dtype} {values.shape}",
            remedy=_mend_type(values.dtype, where),
        )
    if not sp.issparse(X):
        return sp.csr_matrix(native(values))
    if X.format in ("csr", "csc", "coo"):
        check_compressed(X)
    if X.data.dtype.kind == "f" and X.data.dtype.itemsize not in (4, 8):
        X = X.copy()
        X.data = native(X.data)
    return sp.csr_matrix(X)


def _mend_type(dtype: np.dtype[Any], where: str) -> str:
    if dtype.kind == "c":
        return "Provide the raw counts: complex numbers are not counts."
    if where == "raw.X":
        return "Convert it: adata = adata.raw.to_adata(); adata.X = adata.X.astype('float32')"
    return f"Convert it: adata.{where} = adata.{where}.astype('float32')"


def _check_structure(X: Any, where: str) -> None:
    """Raise `ReadError` for a sparse matrix in memory whose parts do not fit together."""
    if not (sp.issparse(X) and X.format in ("csr", "csc", "coo")):
        return
    try:
        check_compressed(X)
    except ValueError as error:
        raise ReadError.of(
            "MATRIX_INVALID",
            where=where,
            expected="a sparse matrix whose parts fit together",
            found=str(error),
            remedy="Build it again from its source. X.check_format() shows the fault.",
        ) from error


def check_compressed(X: Any) -> None:
    """Raise `ValueError` unless the parts of a CSR, CSC or COO matrix fit together.

    SciPy's compiled loops trust them: a wrong index reads or writes memory that is not the matrix's.
    """
    if X.format == "coo":
        for places, size in ((X.row, X.shape[0]), (X.col, X.shape[1])):
            if places.dtype.kind not in "iu" or len(places) != len(X.data):
                raise ValueError("coordinates of the sparse matrix that do not fit its values")
            if len(places) and (places.min() < 0 or places.max() >= size):
                raise ValueError("coordinates of the sparse matrix outside its shape")
        return
    if X.indptr.dtype.kind not in "iu" or X.indices.dtype.kind not in "iu":
        raise ValueError("indices or pointers of the sparse matrix that are no whole numbers")
    n_major, n_minor = X.shape if X.format == "csr" else X.shape[::-1]
    if len(X.indptr) != n_major + 1 or X.indptr[0] != 0 or (X.indptr[1:] < X.indptr[:-1]).any():
        raise ValueError("pointers of the sparse matrix that do not rise from 0")
    if not X.indptr[-1] == len(X.indices) == len(X.data):
        raise ValueError("pointers of the sparse matrix that do not fit its values")
    if len(X.indices) and (X.indices.min() < 0 or X.indices.max() >= n_minor):
        raise ValueError("indices of the sparse matrix outside its shape")
