"""What `POST /map` says beside calls: where cells lie on a map, and their rows, to ask about some of them again."""

from typing import Any

import msgspec
import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import RowChunk
from cellmark.schemas.checks.checked_cells import CheckedCells, PreparedChunk
from cellmark.schemas.checks.likely_columns import possible_groups, possible_totals
from cellmark.schemas.normalization import row_sums

from ..outputs.copy_file import RemoteCells
from .score import Outputs

MOST_MAPPED = 100_000
"""Cells of an answer that may have a map: a browser draws no more."""
MOST_EMBEDDED = 20_000
"""Cells whose embedding is given, for a layout that the caller computes."""
MOST_VALUES = 3_000_000
"""Values of all rows together, about 25 MB of JSON."""
DECIMALS = 4
LONGEST = 200
OTHER_GENES = "all other genes"
"""Behind the model's genes of normalised cells, whose values must sum to 10,000: the rest."""


ENCODER = msgspec.json.Encoder()
BLOCK = 100_000


class CellMap:
    """Gathers them while the cells are scored. `symbols`: of the panel; `rows`: whether to give the cells' rows; `own`:
    whether to give the maps and groups that their file brings.
    """

    def __init__(self, symbols: np.ndarray, *, rows: bool, own: bool = False) -> None:
        self._symbols, self._own = symbols, own
        self._pieces: list[sp.csr_matrix] = []
        self._sizes: list[np.ndarray] = []
        self._n_left = MOST_VALUES if rows else -1
        self._embedding: list[np.ndarray] = []
        self._n_unmapped = MOST_MAPPED

    def observe(self, chunk: RowChunk, prepared: PreparedChunk) -> None:
        """Sees every chunk, in order, and keeps its rows as long as there are few enough."""
        if prepared.cells is None or self._n_left < 0:
            return
        self._n_left -= prepared.cells.counts.nnz
        if self._n_left < 0:
            self._pieces.clear()
            self._sizes.clear()
            return
        self._pieces.append(prepared.cells.counts)
        self._sizes.append(prepared.cells.library_size)

    def observe_outputs(self, outputs: Outputs) -> None:
        """Sees what the graph made of every chunk, in order, and keeps its embedding while there are few enough."""
        embedding = outputs.get("embedding")
        if embedding is None or self._n_unmapped < 0:
            return
        self._n_unmapped -= len(embedding)
        self._embedding.append(embedding)
        if self._n_unmapped < 0:
            self._embedding.clear()

    def members(self, checked: CheckedCells) -> dict[str, bytes]:
        """JSON of the members of the answer that `/annotate` does not have, when all cells were seen."""
        given = checked.given
        own = given.own_maps() if self._own and isinstance(given, RemoteCells) and given.n_obs <= MOST_MAPPED else {}
        maps = [{"name": _plain(name), "places": _rounded(places)} for name, places in own.items()]
        embedding = np.concatenate(self._embedding) if self._embedding else None
        return {
            "map": ENCODER.encode(map_of(embedding)),
            "rows": self._rows(checked) if self._pieces else b"null",
            "library_size_columns": ENCODER.encode(possible_totals(given.obs)),
            "own_maps": ENCODER.encode(maps),
            "own_groups": ENCODER.encode(groups_of(given.obs) if self._own else []),
        }

    def _rows(self, checked: CheckedCells) -> bytes:
        measured = np.flatnonzero(checked.match.measured)
        X = sp.csr_matrix(sp.vstack(self._pieces, format="csr")[:, measured])
        sizes = np.concatenate(self._sizes)
        genes = self._symbols[measured].tolist()
        if checked.normalised:
            genes.append(OTHER_GENES)
            X = sp.csr_matrix(sp.hstack([X, sp.csr_matrix(_others(X, sizes))], format="csr"))
            X = sp.csr_matrix((np.log1p(X.data), X.indices, X.indptr), shape=X.shape)
        members = {
            "genes": ENCODER.encode(genes),
            "indptr": numbers(X.indptr),
            "indices": numbers(X.indices),
            "data": numbers(X.data if checked.normalised else X.data.astype(np.int64)),
            "library_sizes": b"null" if checked.normalised else numbers(sizes),
        }
        return b"{" + b",".join(b'"%s":%s' % (name.encode(), value) for name, value in members.items()) + b"}"


def groups_of(obs: pd.DataFrame) -> list[dict[str, Any]]:
    """Columns that divide the cells into groups, as `possible_groups` finds them, with each cell's number of its group,
    -1 for none. Groups stand in the order of the column's categories, or in their own.
    """
    found = []
    for name in possible_groups(obs):
        column = obs.iloc[:, [str(other) for other in obs.columns].index(name)]
        kept = column.astype("category").cat.remove_unused_categories().cat
        groups = [_plain(str(group)) for group in kept.categories]
        found.append({"name": _plain(name), "groups": groups, "codes": kept.codes.tolist()})
    return found


def _plain(text: str) -> str:
    """Text of a file as it can be shown: not long, and nothing that UTF-8 cannot hold."""
    return text[:LONGEST].encode("utf-8", "replace").decode("utf-8")


def _rounded(places: np.ndarray) -> list[list[float]]:
    rounded: list[list[float]] = np.round(places.astype(np.float64), DECIMALS).tolist()
    return rounded


def numbers(values: np.ndarray) -> bytes:
    """A JSON list of many finite numbers, made block by block: so that no other thread waits for all of it."""
    starts = range(0, len(values), BLOCK)
    return b"[" + b",".join(ENCODER.encode(values[start : start + BLOCK].tolist())[1:-1] for start in starts) + b"]"


def _others(X: sp.csr_matrix, sizes: np.ndarray) -> np.ndarray:
    """What is left of each cell's total, [cells, 1]."""
    left: np.ndarray = (sizes.astype(np.float64) - row_sums(X)).clip(min=0)
    return left[:, None]


def map_of(embedding: np.ndarray | None) -> dict[str, Any] | None:
    """Places of cells. `embedding`: cells x dimensions. None without one, and for more cells than a map has."""
    if embedding is None or not 1 <= len(embedding) <= MOST_MAPPED:
        return None
    plane, explained = principal_plane(embedding)
    few = len(embedding) <= MOST_EMBEDDED
    return {
        "plane": np.round(plane, DECIMALS).tolist(),
        "explained": np.round(explained, DECIMALS).tolist(),
        "embedding": np.round(embedding.astype(np.float64), DECIMALS).tolist() if few else None,
    }


def principal_plane(embedding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first two principal components of cells x dimensions: float64, cells x 2, and the share of the variance that
    each has, [2]. Signs are fixed: the dimension that weighs most in a component does so positively.
    """
    X = np.asarray(embedding, dtype=np.float64)
    X = X - X.mean(axis=0)
    values, vectors = np.linalg.eigh(X.T @ X)
    order = np.argsort(values)[::-1][:2]
    axes, variances = np.zeros((X.shape[1], 2)), np.zeros(2)
    axes[:, : len(order)] = vectors[:, order]
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    total = values.clip(min=0).sum()
    if total > 0:
        variances[: len(order)] = values[order].clip(min=0) / total
    plane: np.ndarray = X @ axes
    return plane, variances
