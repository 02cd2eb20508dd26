"""What is odd about a matrix without making it wrong: remarks, collected while it is read. NumPy alone.

Never part of a request for calls: `cellmark validate`, `POST /validate` and training look at it.
"""

import numpy as np
import pandas as pd

from ..cells.cell_source import CellSource, RowChunk
from ..errors import Finding
from ..normalization import row_sums
from ..quality.quality_table import find_mitochondrial
from .library_size import give_totals
from .likely_columns import likely_totals

ENOUGH_CELLS = 100
"""Cells below which a gene without counts says nothing."""
MOST_EMPTY = 0.5
MOST_MITOCHONDRIAL = 0.5
"""Share of a cell's counts from which on it is rather the rest of a cell."""
MANY_CELLS = 0.1
DEVIATIONS = 5
"""Median absolute deviations of ln(1 + total) above the median that make a cell an outlier, as in 'Single-cell best
practices' (sc-best-practices.org, quality control).
"""
FEW_GENES, MANY_GENES = 500, 6000
"""Between these a file of whole transcriptomes was cut to variable genes; fewer are a targeted panel."""
N_EXAMPLES = 5


class MatrixWatch:
    """Watches the chunks of one input; keeps 16 bytes a cell and 8 a gene."""

    def __init__(self, source: CellSource, symbols: np.ndarray | None = None, *, normalised: bool = False) -> None:
        """`symbols`: current symbols of the genes, where the input's own names are others. `normalised`: all totals are
        10,000, and say nothing.
        """
        self._source, self._normalised = source, normalised
        self._mitochondrial = find_mitochondrial(source.var_names if symbols is None else symbols)
        self._in_cells = np.zeros(source.n_vars, dtype=np.int64)
        self._totals: list[np.ndarray] = []
        self._shares: list[np.ndarray] = []
        self._n_repeated = 0

    def see(self, chunk: RowChunk) -> None:
        """The next cells."""
        X = chunk.X
        if not X.has_canonical_format:
            tidy = X.copy()
            tidy.sum_duplicates()
            self._n_repeated += X.nnz - tidy.nnz
            X = tidy
        self._in_cells += np.bincount(X.indices[X.data != 0], minlength=len(self._in_cells))
        totals = row_sums(X).astype(np.float64)
        self._totals.append(totals)
        if self._mitochondrial is not None:
            part = np.asarray(X @ self._mitochondrial.astype(np.float64))
            self._shares.append(np.divide(part, totals, out=np.zeros(len(totals)), where=totals > 0))

    def findings(self, *, summed: bool) -> tuple[Finding, ...]:
        """Warnings and notes. `summed`: whether library sizes are summed over these genes, and training summed over
        more.
        """
        return (
            *self._entries(),
            *self._genes(),
            *(subset_findings(self._source, normalised=self._normalised) if summed else ()),
            *self._cells(),
        )

    def _entries(self) -> list[Finding]:
        if not self._n_repeated:
            return []
        return [
            Finding(
                "ENTRIES_DUPLICATED",
                where=self._source.counts_from,
                expected="one value for each cell and gene",
                found=f"{self._n_repeated} values stored in several parts",
                remedy="The parts are summed, as SciPy does; adata.X.sum_duplicates() stores the sums.",
                severity="warning",
            )
        ]

    def _genes(self) -> list[Finding]:
        empty = self._in_cells == 0
        if self._source.n_obs < ENOUGH_CELLS or not empty.any() or empty.mean() < MOST_EMPTY:
            return []
        return [
            Finding(
                "GENES_EMPTY",
                where="var_names",
                expected="genes with a count in some cell",
                found=f"{int(empty.sum())} of {len(empty)} without any",
                remedy="Nothing needs to be done: zero counts are a measurement. Check how the file was joined if you "
                "expected others.",
                severity="info",
                examples=tuple(map(str, self._source.var_names[empty][:N_EXAMPLES])),
            )
        ]

    def _cells(self) -> list[Finding]:
        found = []
        n_cells = self._source.n_obs
        if n_cells == 1:
            found.append(
                Finding(
                    "CELL_ONE",
                    where=self._source.name,
                    expected="several cells",
                    found="one",
                    remedy="Nothing needs to be done. Whether values are counts was judged from this cell alone.",
                    severity="info",
                )
            )
        ids = self._source.cell_ids
        if self._shares:
            dying = np.concatenate(self._shares) > MOST_MITOCHONDRIAL
            if dying.sum() > MANY_CELLS * n_cells:
                found.append(
                    Finding(
                        "CELLS_MITOCHONDRIAL",
                        where=self._source.counts_from,
                        expected=f"few cells with over {MOST_MITOCHONDRIAL:.0%} of their counts from mitochondria",
                        found=f"{int(dying.sum())} of {n_cells}",
                        remedy="Remove dying cells: sc.pp.calculate_qc_metrics, then adata = adata[keep].",
                        severity="warning",
                        examples=tuple(map(str, ids[dying][:N_EXAMPLES])),
                    )
                )
        totals = np.concatenate(self._totals) if self._totals else np.zeros(0)
        outliers = (
            deep_outliers(totals) if n_cells >= ENOUGH_CELLS and not self._normalised else np.zeros(n_cells, dtype=bool)
        )
        if outliers.any():
            found.append(
                Finding(
                    "CELLS_LIKE_DOUBLETS",
                    where=self._source.counts_from,
                    expected="totals of single cells",
                    found=f"{int(outliers.sum())} of {n_cells} cells far above the others (over "
                    f"{totals[~outliers].max():.0f}; the median is {np.median(totals):.0f})",
                    remedy="They may be doublets, or large cells: look at them with a detector such as sc.pp.scrublet.",
                    severity="info",
                    examples=tuple(map(str, ids[outliers][:N_EXAMPLES])),
                )
            )
        return found


def deep_outliers(totals: np.ndarray) -> np.ndarray:
    """Bool [cells]: cells whose total lies far above those of the others. `totals`: [cells]."""
    logs = np.log1p(np.maximum(totals, 0))
    middle = np.median(logs)
    spread = np.median(np.abs(logs - middle))
    is_outlier: np.ndarray = logs > middle + DEVIATIONS * spread
    return is_outlier if spread > 0 else np.zeros(len(totals), dtype=bool)


def subset_findings(source: CellSource, *, normalised: bool = False) -> tuple[Finding, ...]:
    """The warning of a file whose genes are the variable ones alone, over which no library size can be summed, nor any
    cell be normalised (`normalised`).
    """
    marked = source.var["highly_variable"] if "highly_variable" in source.var.columns else None
    is_marked = isinstance(marked, pd.Series) and len(marked) > 0 and marked.dtype.kind == "b" and bool(marked.all())
    if not is_marked and not FEW_GENES <= source.n_vars < MANY_GENES:
        return ()
    why = "all marked highly_variable" if is_marked else "fewer than a whole transcriptome has"
    return (
        Finding(
            "GENES_SUBSET",
            where="var_names",
            expected="all genes that were measured",
            found=f"{source.n_vars} genes, {why}",
            remedy="Provide the file from before genes were taken out, normalised over all of them."
            if normalised
            else f"{give_totals(likely_totals(source.obs))} Or provide the file from before genes were taken out.",
            severity="warning",
        ),
    )
