"""ln(1 + counts per 10,000) as an input: proved cell by cell, and read as counts per 10,000 with depth unknown.

The graphs need no more: from counts per 10,000 and their sum they compute the same values as from counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy.sparse as sp

from ..cells.cell_source import CellSource, RowChunk
from ..cells.reading_options import NOT_KNOWN, InputKind
from ..cells.recover_counts import recover_source
from ..counts.count_steps import find_steps
from ..counts.expression_state import MOST_CLOSE, detect_state
from ..counts.log1p_proof import SAME_TOTAL, PerTenThousand, Rounding, misfit, undo_log1p
from ..counts.sample_cells import sample_cells
from ..errors import CountsError, Finding
from ..normalization import COUNTS_PER, SCALE_NAME
from .counts_elsewhere import opened_by, other_states
from .counts_of_genes import FEATURE_RULE, counts_of_genes

Depth = Literal["unneeded", "wanted", "needed"]
"""What depth is to the reader. Where it is wanted, counts are recovered if their steps show; where it is needed, values
without those stay as they are, and are refused."""
CELLS_FOR_STEPS = 32
NOT_THINNED = (
    "Check that counts of molecules were normalised. The counts cannot be recovered: training shows the model no "
    f"shallower cells (no thinning), and depth is {NOT_KNOWN}. Counts give a better model."
)
NORMALISE = "sc.pp.normalize_total(adata, target_sum=1e4); sc.pp.log1p(adata)"
ALIKE = f"Provide the counts of all cells, or normalise all of them alike, over all genes of the file: {NORMALISE}."


def genes_of(
    source: CellSource, kind: InputKind = "auto", *, rule: int | None = FEATURE_RULE, depth: Depth = "unneeded"
) -> CellSource:
    """The cells as counts, or counts per 10,000, of genes alone: `take_input` and `counts_of_genes`.

    Cells may have been normalised over all features, or their genes alone. Raises as `take_input`.
    """
    taken = take_input(source, "auto" if kind == "log1p" else kind, depth=depth)
    genes = counts_of_genes(taken, rule=rule)
    undecided = taken is source and (kind == "log1p" or genes is not source)
    return take_input(genes, kind, depth=depth) if undecided else genes


def take_input(source: CellSource, kind: InputKind, *, depth: Depth = "unneeded") -> CellSource:
    """The cells as counts. Where `kind` is `auto` and a sample proves ln(1 + counts per 10,000), or it is `log1p`, the
    logarithm is undone chunk by chunk: the source is a `Log1pCells`, or one of recovered counts (`depth`).

    Raises `CountsError` (`COUNTS_NOT_NORMALISED`) for `log1p` where the sample does not prove it, and while reading for
    a cell that does not.
    """
    if (
        source.normalised
        or kind == "counts"
        or source.n_obs == 0
        or source.n_vars == 0
        or (kind == "auto" and _whole_at_a_glance(source))
    ):
        return source
    rows = sample_cells(source.n_obs, source.n_vars)
    sample = source.take(rows)
    rounding = Rounding.of(sample.data.astype(np.float64))
    undone = undo_log1p(sample, rounding)
    if undone.fails.any() or not undone.totals.any():
        if kind == "auto":
            return source
        raise _not_log1p(source, sample)
    has_steps = _has_steps(undone)
    if depth != "unneeded" and has_steps:
        return recover_source(source, asked=False)
    if depth == "needed":
        return source
    note = _note(source, len(rows), rounding, has_steps=has_steps)
    return Log1pCells(source, rounding, replace(note, remedy=NOT_THINNED) if depth == "wanted" else note)


def _whole_at_a_glance(source: CellSource) -> bool:
    """Whether three cells hold whole numbers alone, as counts do and logarithms never: costs a request nothing."""
    values = source.take(np.array(sorted({0, source.n_obs // 2, source.n_obs - 1}))).data
    return bool(values.any()) and (values.dtype.kind in "iub" or np.array_equal(values, np.rint(values)))


def _has_steps(undone: PerTenThousand) -> bool:
    """Whether values are whole multiples of a count in each cell, as far as a few cells show."""
    filled = np.flatnonzero(undone.totals)
    few = undone.X[filled[:: max(len(filled) // CELLS_FOR_STEPS, 1)]]
    few.eliminate_zeros()
    return find_steps(few.data, few.indptr).share_close >= MOST_CLOSE


def _note(source: CellSource, n_sampled: int, rounding: Rounding, *, has_steps: bool) -> Finding:
    counts = next((other for other, state in other_states(source) if state.name == "counts"), None)
    if counts is not None:
        depth = f"Raw counts are in {counts.where}: {opened_by(counts)}."
    elif has_steps:
        depth = "--recover-counts (recover_counts=True) computes the counts, and with them the depth."
    else:
        depth = "For measures of depth provide the counts."
    # Digits that were rounded away hide the steps of counts, and prove less.
    exact = rounding == Rounding()
    if exact and not has_steps:
        what, use = (
            "values per 10,000 that are no multiples of a count in each cell",
            "Check that counts of molecules were normalised, and not TPM or corrected values.",
        )
    else:
        what, use = "counts per 10,000", "Calls are as from the counts."
    digits = "" if exact else ", as exactly as its rounded digits can"
    return Finding(
        "COUNTS_NORMALISED",
        where=source.counts_from,
        expected="raw counts",
        found=f"ln(1 + {what}): expm1 sums to 10,000 in each of {n_sampled} sampled cells{digits}",
        remedy=f"{use} Every cell is checked as it is read. Library sizes are {NOT_KNOWN}. {depth}",
        severity="warning" if exact and not has_steps else "info",
    )


def _not_log1p(source: CellSource, sample: sp.csr_matrix) -> CountsError:
    state = detect_state(sample)
    counts = state.name == "counts"
    return CountsError.of(
        "COUNTS_NOT_NORMALISED",
        where=source.counts_from,
        expected=f"{SCALE_NAME}, whose expm1 sums to 10,000 in every cell",
        found=f"values that look like {state.text}{misfit(sample) if state.transform == 'ln' else ''}",
        remedy="Omit --input log1p (input='log1p' in Python)." if counts else ALIKE,
    )


def library_size_given(source: CellSource) -> Finding:
    """The error of library sizes that come with cells whose counts are not there."""
    return Finding(
        "LIBRARY_SIZE_INVALID",
        where="library_size",
        expected="library sizes beside counts",
        found=f"library sizes beside {SCALE_NAME}, whose total is 10,000 in every cell",
        remedy="Omit --library-size (library_size; library_sizes in an .npz), or provide the counts.",
    )


@dataclass
class Log1pCells(CellSource):
    """A source whose logarithm is undone as it is read: float64 counts per 10,000, each cell proved."""

    source: CellSource
    rounding: Rounding
    note: Finding
    normalised = True

    def __post_init__(self) -> None:
        inner = self.source
        self.name, self.var_names, self.obs, self.var = inner.name, inner.var_names, inner.obs, inner.var
        self.uns, self.others = getattr(inner, "uns", {}), inner.others
        self.counts_from = f"{inner.counts_from}, logarithm undone"
        self.notes = (*inner.notes, self.note)
        self.lies_at(inner.first_row, inner.n_total)

    def chunks(self, n_rows: int) -> Iterator[RowChunk]:
        for chunk in self.source.chunks(n_rows):
            yield RowChunk(chunk.start, self._undone(chunk.X, np.arange(chunk.start, chunk.start + chunk.X.shape[0])))

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        return self._undone(self.source.take(rows), rows)

    def close(self) -> None:
        self.source.close()

    def _undone(self, X: sp.csr_matrix, rows: np.ndarray) -> sp.csr_matrix:
        undone = undo_log1p(X, self.rounding)
        if not undone.fails.any():
            return undone.X
        first = int(np.flatnonzero(undone.fails)[0])
        total, row = undone.totals[first], self.first_row + int(rows[first]) + 1
        impossible = "a value in it is missing, negative or too large for a logarithm"
        found = f"expm1 sums to {total:,.2f} in it" if np.isfinite(total) else impossible
        raise CountsError.of(
            "COUNTS_NOT_NORMALISED",
            where=self.source.counts_from,
            expected=f"{SCALE_NAME} in every cell, as in the sampled ones (sums of {COUNTS_PER:,.0f}, to a part in "
            f"{1 / SAME_TOTAL:,.0f})",
            found=f"cell {str(self.cell_ids[rows[first]])!r} (row {row} of {self.n_total}): {found}",
            remedy=ALIKE,
        )
