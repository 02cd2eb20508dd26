"""Labelled cells for the marker commands: read and checked as for training, normalised, silent genes left out."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.errors import ParameterError
from cellmark.schemas.normalization import normalize

from ..cells.choose_panel import choose_panel
from ..cells.labelled_cells import LabelledCells, read_labelled


@dataclass(frozen=True)
class MarkerCells:
    """`cells`: as read; `genes`: the numbers of their genes that have a count; `x`: CSR, cells x `genes`, ln(1 + counts
    per 10,000); `conditions`: str [cells], or None where none were asked for.
    """

    cells: LabelledCells
    genes: np.ndarray
    x: sp.csr_matrix
    conditions: np.ndarray | None = None

    @property
    def gene_symbols(self) -> list[str]:
        return [self.cells.gene_symbols[number] for number in self.genes]

    @property
    def gene_ids(self) -> list[str | None]:
        return [self.cells.gene_ids[number] for number in self.genes]


def read_for_markers(
    data: Path,
    *,
    label: str,
    donor: str | None,
    by: str | None = None,
    layer: str | None = None,
    library_size: str | None = None,
    genes_by_cells: bool = False,
    min_cells: int,
) -> MarkerCells:
    """Read and check as `read_labelled` does. `by`: a column of `obs` with a condition for every cell.

    Raises as `open_cells` and `read_labelled`, and `ParameterError` for `by` and `min_cells`.
    """
    if min_cells < 2:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="min_cells",
            expected="at least 2",
            found=str(min_cells),
            remedy="Raise --min-cells: one cell has no spread.",
        )
    with open_cells(data, ReadingOptions(layer=layer, genes_by_cells=genes_by_cells)) as source:
        conditions = None if by is None else _conditions(source.obs, by)
        cells = read_labelled(source, label=label, donor=donor, library_size=library_size, min_cells=min_cells)
        if conditions is not None:
            conditions = conditions[pd.Index(source.cell_ids).get_indexer(pd.Index(cells.cell_ids))]
    genes = np.flatnonzero(np.bincount(cells.counts.indices, minlength=cells.counts.shape[1]))
    return MarkerCells(cells, genes, normalize(cells.counts[:, genes], cells.library_size), conditions)


def panel_genes(found: MarkerCells, *, max_genes: int | None) -> np.ndarray:
    """The genes that training would choose from these cells, bool [genes]; see `choose_panel`."""
    if max_genes is not None and max_genes < 2:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="max_genes",
            expected="at least 2, or 0 for all that types express",
            found=str(max_genes),
            remedy="Correct --max-genes.",
        )
    counts = found.cells.counts[:, found.genes]
    columns = choose_panel(counts, found.cells.library_size, found.x, found.cells.codes, max_genes=max_genes)
    kept = np.zeros(len(found.genes), dtype=bool)
    kept[columns] = True
    return kept


def keep_genes(found: MarkerCells, kept: np.ndarray) -> MarkerCells:
    """The same with fewer genes. `kept`: bool [genes]."""
    return replace(found, genes=found.genes[kept], x=found.x[:, kept])


def _conditions(obs: pd.DataFrame, by: str) -> np.ndarray:
    if by not in obs.columns:
        columns = ", ".join(map(str, obs.columns)) or "no columns"
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="by",
            expected="a column of obs",
            found=f"{by!r}, where obs has {columns}",
            remedy="Name the column of conditions with --by.",
        )
    conditions = np.char.strip(obs[by].astype(object).where(obs[by].notna(), "").astype(str).to_numpy(dtype=str))
    empty = conditions == ""
    if empty.any():
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where=f"obs[{by!r}]",
            expected="a condition for every cell",
            found=f"{int(empty.sum())} cells without",
            remedy="Remove these cells first.",
            examples=tuple(map(str, obs.index[empty][:5])),
        )
    return conditions
