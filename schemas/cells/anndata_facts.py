"""What a published AnnData is asked for beside cells, genes and counts: `uns`, embeddings and how values are stored."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import scipy.sparse as sp

from .check_hdf5 import check_hdf5, require_filters, text_attribute

if TYPE_CHECKING:
    from anndata import AnnData

MOST_EMBEDDINGS = 200
MOST_KEYS = 10_000
LONGEST_TEXT = 2000
ROWS_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Embedding:
    """One entry of `obsm`. `kind`: NumPy's letter of its type, empty for a frame or a sparse matrix. `n_infinite`:
    values; `all_missing`: nothing but NaN.
    """

    name: str
    n_rows: int
    n_columns: int
    kind: str
    n_infinite: int = 0
    all_missing: bool = False


@dataclass(frozen=True, slots=True)
class StoredValues:
    """How one matrix is kept. `where`: `X`, `raw.X`. `layout`: `csr`, `csc` or `dense`."""

    where: str
    dtype: str
    layout: str


@dataclass(frozen=True, slots=True)
class AnndataFacts:
    """`uns`: its keys, with the value where that is text. `stored`: `X` and, where it is there, `raw.X`."""

    uns: dict[str, str | None]
    embeddings: tuple[Embedding, ...]
    stored: tuple[StoredValues, ...]

    @property
    def has_raw(self) -> bool:
        return any(values.where == "raw.X" for values in self.stored)


def facts_of_anndata(adata: "AnnData") -> AnndataFacts:
    """The facts of an AnnData in memory; it stays as it is."""
    from .read_anndata import RAW

    matrices = [("X", adata.X)] + (
        [("raw.X", adata.raw.X)] if adata.raw is not None and RAW not in adata.layers else []
    )
    return AnndataFacts(
        {str(key): value if isinstance(value, str) else None for key, value in adata.uns.items()},
        tuple(_embedding(str(name), value) for name, value in adata.obsm.items()),
        tuple(StoredValues(where, str(X.dtype), _layout(X)) for where, X in matrices if X is not None),
    )


def facts_of_h5ad(path: Path) -> AnndataFacts:
    """The facts of an `.h5ad`, read without its matrices."""
    with h5py.File(path, "r") as file:
        check_hdf5(file, path)
        uns, obsm = file.get("uns"), file.get("obsm")
        require_filters(path, uns, obsm)
        keys = list(uns)[:MOST_KEYS] if isinstance(uns, h5py.Group) else []
        names = list(obsm)[:MOST_EMBEDDINGS] if isinstance(obsm, h5py.Group) else []
        matrices = [("X", file.get("X")), ("raw.X", file.get("raw/X"))]
        return AnndataFacts(
            {key: _text(uns[key]) for key in keys},
            tuple(_embedding(name, obsm[name]) for name in names),
            tuple(
                StoredValues(
                    where,
                    str((element["data"] if isinstance(element, h5py.Group) else element).dtype),
                    _stored_layout(element),
                )
                for where, element in matrices
                if element is not None
            ),
        )


def _text(element: Any) -> str | None:
    if not isinstance(element, h5py.Dataset) or element.shape != ():
        return None
    value = element[()]
    return value.decode("utf-8", "replace")[:LONGEST_TEXT] if isinstance(value, bytes) else None


def _stored_layout(element: Any) -> str:
    if isinstance(element, h5py.Dataset):
        return "dense"
    return (text_attribute(element, "encoding-type") or "").removesuffix("_matrix")


def _layout(X: Any) -> str:
    form = getattr(X, "format", None)
    return str(form) if form is not None else "dense"


def _embedding(name: str, value: Any) -> Embedding:
    is_array = isinstance(value, np.ndarray | h5py.Dataset)
    if not is_array or len(value.shape) != 2:
        shape = getattr(value, "shape", (0, 0))
        rows, columns = (int(shape[0]), int(shape[1])) if len(shape) == 2 else (int(shape[0]) if shape else 0, 0)
        kind = value.dtype.kind if is_array and not sp.issparse(value) else ""
        return Embedding(name, rows, columns, kind)
    kind = value.dtype.kind
    n_infinite, n_missing = 0, 0
    for block in _blocks(value) if kind == "f" else ():
        n_infinite += int(np.isinf(block).sum())
        n_missing += int(np.isnan(block).sum())
    n_values = int(value.shape[0]) * int(value.shape[1])
    return Embedding(name, int(value.shape[0]), int(value.shape[1]), kind, n_infinite, 0 < n_values == n_missing)


def _blocks(value: Any) -> Iterable[np.ndarray]:
    step = max(1, ROWS_AT_ONCE // max(int(value.shape[1]), 1))
    return (np.asarray(value[start : start + step]) for start in range(0, int(value.shape[0]), step))
