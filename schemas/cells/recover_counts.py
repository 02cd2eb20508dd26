"""Whole counts out of values that were made of them: exactly, proved value by value, or not at all."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..counts.count_steps import INVERSES, find_steps
from ..counts.expression_kinds import ExpressionState
from ..counts.expression_state import detect_state
from ..counts.sample_cells import sample_cells
from ..errors import CountsError, Finding
from ..normalization import EXACT_IN_FLOAT32
from .cell_source import CellSource, RowChunk

MOST_RESIDUE = 0.1
"""Farthest that a value may be from a whole count: 32-bit logarithms of a count of 100,000 are off by as much."""

FEWEST_VALUES = 10
"""Non-zero values that a cell needs: with fewer, none may have been a single count."""

OTHER_TOTAL = 0.02
"""How far, relatively, a cell's total may be from the one that the cells were brought to."""

HAND_IN = "Provide the raw counts themselves: name the layer that holds them with --layer (layer= in Python)."


@dataclass(frozen=True, slots=True)
class RecoveredCounts:
    """`counts`: CSR, float32, cells x genes. `residue`: the farthest that any value was from a whole count, in counts.
    `state`: what the values were.
    """

    counts: sp.csr_matrix
    residue: float
    state: ExpressionState


def recover_counts(
    X: sp.csr_matrix | np.ndarray, *, state: ExpressionState | None = None, cell_ids: np.ndarray | None = None
) -> RecoveredCounts:
    """The counts behind counts per N, their logarithms and roots, or multiples of counts.

    `X`: cells x genes, never changed. `state`: what it is, when that is known of more cells than these. `cell_ids`: to
    name cells by. The smallest value of a cell is one count (or a few, when no gene has one), and every other value
    must be a whole number of them. Raises `CountsError` (`COUNTS_NOT_RECOVERABLE`): values of another state, cells
    with too few values, a value that is not whole.
    """
    cells = sp.csr_matrix(X, dtype=np.float64, copy=True)
    cells.sum_duplicates()
    cells.eliminate_zeros()
    if state is None:
        state = detect_state(cells[sample_cells(*cells.shape)])
    if state.name == "counts":
        return RecoveredCounts(cells.astype(np.float32), 0.0, state)
    _require_recoverable(state, "X")
    ids = np.arange(cells.shape[0]).astype(str) if cell_ids is None else cell_ids
    lengths = np.diff(cells.indptr)
    filled = np.flatnonzero(lengths)
    if len(filled) == 0:
        return RecoveredCounts(cells.astype(np.float32), 0.0, state)
    in_range = np.isfinite(cells.data) & (cells.data > 0) & (cells.data <= INVERSES[state.transform].largest)
    if not in_range.all():
        raise _not_recoverable("X", state, "values that are missing, infinite, negative or far too large", ())
    values = INVERSES[state.transform].undo(cells.data)
    if state.factor == 1:
        step = np.ones(len(filled))
    else:
        few = filled[lengths[filled] < FEWEST_VALUES]
        if len(few):
            what = f"{len(few)} cells with fewer than {FEWEST_VALUES} values, too few to tell one count from two"
            raise _not_recoverable("X", state, what, tuple(map(str, ids[few[:5]])))
        step = find_steps(values, np.concatenate([[0], np.cumsum(lengths[filled])])).step
    ratio = values / np.repeat(step, lengths[filled])
    counts = np.rint(ratio)
    off = np.maximum.reduceat(np.abs(ratio - counts), cells.indptr[filled])
    wrong = (off > MOST_RESIDUE) | (np.maximum.reduceat(counts, cells.indptr[filled]) > EXACT_IN_FLOAT32)
    if state.per is not None:
        wrong |= ~np.isclose(np.add.reduceat(values, cells.indptr[filled]), state.per, rtol=OTHER_TOTAL)
    if wrong.any():
        what = f"{int(wrong.sum())} cells that it does not hold for (values up to {off.max():.2g} from a whole count)"
        raise _not_recoverable("X", state, what, tuple(map(str, ids[filled[wrong][:5]])))
    found = sp.csr_matrix((counts.astype(np.float32), cells.indices, cells.indptr), shape=cells.shape)
    return RecoveredCounts(found, float(off.max()), state)


def recover_source(source: CellSource, *, asked: bool = True) -> CellSource:
    """The same cells with their counts recovered, chunk by chunk, and a note that says so (`asked`: the user did).

    Raises `CountsError` at once for values of another state, and while reading for a cell that cannot be recovered.
    """
    if source.n_obs == 0 or source.n_vars == 0:
        return source
    rows = sample_cells(source.n_obs, source.n_vars)
    sample = source.take(rows)
    state = detect_state(sample)
    if state.name == "counts":
        note = Finding(
            "COUNTS_RECOVERED",
            where=source.counts_from,
            expected="values to recover counts from",
            found="raw counts",
            remedy="They are used as they are: --recover-counts (recover_counts=True) can be omitted.",
            severity="info",
        )
        return RecoveredCells(source, None, note)
    _require_recoverable(state, source.counts_from)
    recovered = recover_counts(sample, state=state, cell_ids=source.cell_ids[rows])
    residue = max(recovered.residue, 1e-6)
    proof = f"in {len(rows)} sampled cells no value is farther than {residue:.1g} from a whole count"
    how = ", as asked" if asked else ""
    note = Finding(
        "COUNTS_RECOVERED",
        where=source.counts_from,
        expected="raw counts",
        found=state.text,
        remedy=f"Counts were recovered from it{how}; {proof}, and any cell beyond {MOST_RESIDUE} is refused.",
        severity="info",
    )
    return RecoveredCells(source, state, note)


@dataclass
class RecoveredCells(CellSource):
    """A source whose values are turned into counts as they are read; `state` None reads them as they are."""

    source: CellSource
    state: ExpressionState | None
    note: Finding

    def __post_init__(self) -> None:
        inner = self.source
        self.name, self.var_names, self.obs, self.var, self.uns = (
            inner.name,
            inner.var_names,
            inner.obs,
            inner.var,
            getattr(inner, "uns", {}),
        )
        self.counts_from = inner.counts_from if self.state is None else f"{inner.counts_from}, counts recovered"
        self.notes = (*inner.notes, self.note)
        self.others = inner.others
        self.lies_at(inner.first_row, inner.n_total)

    def chunks(self, n_rows: int) -> Iterator[RowChunk]:
        for chunk in self.source.chunks(n_rows):
            if self.state is None:
                yield chunk
                continue
            ids = self.cell_ids[chunk.start : chunk.start + chunk.X.shape[0]]
            yield RowChunk(chunk.start, recover_counts(chunk.X, state=self.state, cell_ids=ids).counts)

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        X = self.source.take(rows)
        return X if self.state is None else recover_counts(X, state=self.state, cell_ids=self.cell_ids[rows]).counts

    def close(self) -> None:
        self.source.close()


def _require_recoverable(state: ExpressionState, where: str) -> None:
    if not state.recoverable:
        raise _not_recoverable(where, state, "", ())


def _not_recoverable(where: str, state: ExpressionState, what: str, examples: tuple[str, ...]) -> CountsError:
    found = f"{state.text}; {what}" if what else state.text
    expected = "counts per N, their logarithm or root, or a multiple of counts, in every cell"
    return CountsError.of(
        "COUNTS_NOT_RECOVERABLE", where=where, expected=expected, found=found, remedy=HAND_IN, examples=examples
    )
