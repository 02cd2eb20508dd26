"""Library sizes of an input: given or to be summed, possible or not, like training's or far from them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..cells.cell_source import CellSource
from ..errors import Finding
from ..near_names import given_as
from ..normalization import row_sums, slice_rows
from .check_counts import N_EXAMPLES
from .likely_columns import columns_in_words, likely_totals

MIN_GENES_SHARE = 0.5
"""A library size may be summed over no fewer than this share of the genes that training measured."""
UNUSUAL_SHARE = 0.5
"""Share of the cells outside the range of training's library sizes from which on an input is said to be unusual."""


LOW_FRACTION, HIGH_REST = 0.6, 0.25
"""The panel's share of library sizes is far off below this part of training's, or where what is left beside the panel
is below this part of what training's cells had."""
FRACTION_CELLS = 256
"""Cells of each chunk whose share is looked at: the median of so many is off by less than the limits are wide."""


class PanelFractionWatch:
    """Compares library sizes with the panel's part of them, by what training knows. `expected`: None to compare
    nothing. `given`: by the user; ones summed over the input's genes are never too large for these. `totals`: columns
    of obs that may be given in their place.
    """

    def __init__(self, expected: float | None, *, given: bool = True, totals: Sequence[str] = ()) -> None:
        self._expected, self._given, self._totals = expected, given, totals
        self._fractions: list[np.ndarray] = []

    def see(self, counts: sp.csr_matrix, library_size: np.ndarray) -> None:
        """The next cells. `counts`: CSR, cells x panel genes. `library_size`: [cells]."""
        if self._expected is not None:
            some = slice_rows(counts, 0, min(FRACTION_CELLS, counts.shape[0]))
            self._fractions.append(row_sums(some) / library_size[: some.shape[0]])

    def findings(self) -> list[Finding]:
        """The warning of library sizes of which the panel's genes have far less, or far more, than in training."""
        if self._expected is None or not self._fractions:
            return []
        expected, found = self._expected, float(np.median(np.concatenate(self._fractions)))
        low = self._given and found < LOW_FRACTION * expected
        high = found > expected + 0.1 and 1 - found < HIGH_REST * (1 - expected)
        if not (low or high):
            return []
        part = "over a part of the genes alone, such as variable ones, or after genes were left out"
        cause = (
            "over more than genes (antibodies, spike-ins, unmapped reads), over more genes than the file has, or of "
            "other values than these counts"
        )
        how = "Omit --library-size where the file has all genes." if self._given else give_totals(self._totals)
        return [
            Finding(
                "LIBRARY_SIZE_DOUBTFUL",
                where="library_size",
                expected=f"the model's genes to carry about {expected:.0%} of library sizes",
                found=f"{found:.0%} in half of the cells or {'less' if low else 'more'}",
                remedy=f"{how} The library sizes were probably summed {cause if low else part}. "
                "Give each cell's total count over all genes measured and nothing else.",
                severity="warning",
            )
        ]


class LibrarySizeWatch:
    """Counts cells that are deeper or shallower than training's. `expected`: where those lie, None if unknown."""

    def __init__(self, expected: tuple[float, float] | None) -> None:
        self._expected = expected
        self._n_cells = self._n_shallow = self._n_deep = 0

    def see(self, library_size: np.ndarray) -> None:
        """The next cells. `library_size`: [cells]."""
        if self._expected is None:
            return
        low, high = self._expected
        self._n_cells += len(library_size)
        self._n_shallow += int((library_size < low).sum())
        self._n_deep += int((library_size > high).sum())

    def findings(self) -> list[Finding]:
        """The warning of an input most of whose cells are deeper, or shallower, than nearly all training cells."""
        number, word = max((self._n_shallow, "below"), (self._n_deep, "above"))
        if self._expected is None or number <= UNUSUAL_SHARE * self._n_cells:
            return []
        low, high = self._expected
        return [
            Finding(
                "LIBRARY_SIZE_UNUSUAL",
                where="library_size",
                expected=f"totals of {low:.0f} to {high:.0f}, as of training cells",
                found=f"{number} of {self._n_cells} cells {word} that",
                remedy="Check that these are the totals over all genes measured. "
                "Cells of another depth are called less reliably.",
                severity="warning",
            )
        ]


def give_totals(columns: Sequence[str]) -> str:
    """The sentence that asks for library sizes. `columns`: those of obs that may hold them."""
    if not columns:
        return (
            "Give each cell's total count over all genes: --library-size OBS_COLUMN (library_size= in Python and JSON)."
        )
    return f"Each cell's total count may be in obs: {given_as('--library-size', columns)}."


def summing_findings(source: CellSource, n_genes_trained: int, *, normalised: bool = False) -> tuple[Finding, ...]:
    """The error of an input with too few genes to sum a library size over. `normalised`: its counts are not known."""
    if source.n_vars >= MIN_GENES_SHARE * n_genes_trained:
        return ()
    return (
        Finding(
            "LIBRARY_SIZE_NEEDED",
            where="library_size",
            expected=f"library sizes, or at least {MIN_GENES_SHARE:.0%} of the {n_genes_trained} genes that "
            "training measured",
            found=f"{source.n_vars} genes and no library sizes",
            remedy="Provide all genes, normalised over all of them, or the counts with their library sizes."
            if normalised
            else give_totals(likely_totals(source.obs)),
        ),
    )


def unknown_totals(obs: pd.DataFrame, asked: str) -> Finding:
    """The error of a column of library sizes that is not there."""
    likely = likely_totals(obs, asked)
    return Finding(
        "LIBRARY_SIZE_COLUMN_UNKNOWN",
        where="library_size",
        expected="a column of obs",
        found=f"{asked!r}, where obs has {columns_in_words(obs)}",
        remedy=f"Did you mean {given_as('--library-size', likely)}?"
        if likely
        else "Omit --library-size to sum over the input's genes, or name the column of each cell's total.",
    )


def given_library_size(
    source: CellSource, library_size: str | np.ndarray | pd.Series | None
) -> tuple[np.ndarray | None, tuple[Finding, ...]]:
    """Library sizes that the user gave, float64 [cells], and what is wrong with them."""
    if library_size is None:
        return None, ()
    if isinstance(library_size, str):
        where = f"obs[{library_size!r}]"
        if library_size not in source.obs.columns:
            return None, (unknown_totals(source.obs, library_size),)
        column = source.obs[library_size]
        if isinstance(column, pd.DataFrame):
            return None, (
                Finding(
                    "LIBRARY_SIZE_INVALID",
                    where=where,
                    expected="one column of that name",
                    found=f"{column.shape[1]} columns",
                    remedy="Rename one of them, or pass the numbers themselves.",
                ),
            )
        values = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(dtype=np.float64)
    else:
        where = "library_size"
        if isinstance(library_size, pd.Series) and library_size.index.is_unique:
            # A series that knows the cells by id is read by id, so that another order does no harm.
            places = library_size.index.get_indexer(pd.Index(source.cell_ids))
            library_size = (library_size.iloc[places] if (places >= 0).all() else library_size).to_numpy()
        listed = np.asarray(library_size).ravel()
        if listed.dtype.kind in "fiu":
            values = listed.astype(np.float64)
        else:
            values = pd.to_numeric(pd.Series(listed, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
        if len(values) != source.n_obs:
            return None, (
                Finding(
                    "LIBRARY_SIZE_INVALID",
                    where=where,
                    expected=f"one value for each of the {source.n_obs} cells",
                    found=f"{len(values)} values",
                    remedy="Give the total count of every cell, in the order of the cells.",
                ),
            )
    # The graphs take float32: what it cannot hold would become infinite.
    wrong = ~((values > 0) & (values <= np.finfo(np.float32).max))
    if not wrong.any():
        return values, ()
    return None, (
        Finding(
            "LIBRARY_SIZE_INVALID",
            where=where,
            expected="positive, finite totals",
            found=f"{int(wrong.sum())} cells with a value that is missing, zero, negative or infinite",
            remedy="Give each cell's total count over all genes measured.",
            examples=tuple(map(str, source.cell_ids[wrong][:N_EXAMPLES])),
        ),
    )
