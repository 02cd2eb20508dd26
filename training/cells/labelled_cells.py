"""Labelled cells, checked: what training works on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.reading_options import NOT_KNOWN, InputKind, LibrarySizeSource
from cellmark.schemas.checks.check_labelled import labelled_findings, own_panel, value_errors
from cellmark.schemas.checks.check_levels import Level, read_levels
from cellmark.schemas.checks.check_matrix import subset_findings
from cellmark.schemas.checks.check_split import typed_cells
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.checks.log1p_input import genes_of
from cellmark.schemas.checks.orientation import transposed_findings
from cellmark.schemas.errors import Finding, InputError, LabelError
from cellmark.schemas.genes.gene_ids import ensembl_ids

from .name_genes import name_genes


@dataclass(frozen=True)
class LabelledCells:
    """Cells with a type each.

    `counts`: CSR, float32, cells x genes; `library_size`: float32 [cells]; `codes`: int [cells], numbers of
    `cell_types`; `donors`: str [cells] or None; `gene_symbols`: unique, as `name_genes` has them; `gene_ids`: Ensembl
    ids where the file has them; `n_genes_measured`: before duplicates were summed; `dropped`: types below the floor
    and their cells; `levels`: coarser names of the types, the coarsest first; `genes_of`: name of the query whose genes
    alone are here, see `on_genes_of`.
    """

    counts: sp.csr_matrix
    library_size: np.ndarray
    codes: np.ndarray
    cell_types: tuple[str, ...]
    donors: np.ndarray | None
    cell_ids: np.ndarray
    gene_symbols: tuple[str, ...]
    gene_ids: tuple[str | None, ...]
    n_genes_measured: int
    library_size_source: LibrarySizeSource
    counts_from: str
    organism: str | None
    dropped: dict[str, int]
    notes: tuple[Finding, ...]
    levels: tuple[Level, ...] = ()
    genes_of: str | None = None

    @property
    def normalised(self) -> bool:
        """Whether `counts` are counts per 10,000, since nobody knows others."""
        return self.library_size_source == NOT_KNOWN

    @property
    def n_obs(self) -> int:
        return len(self.codes)

    def digest(self) -> str:
        """SHA-256 over ids, genes, counts, library sizes, labels and donors, as they are used."""
        state = hashlib.sha256()
        counts = self.counts if self.counts.has_sorted_indices else self.counts.sorted_indices()
        for text in (self.cell_ids, self.gene_symbols, np.array(self.cell_types)[self.codes], self.donors):
            state.update("\n".join(text if text is not None else ()).encode() + b"\0")
        for values in (counts.indptr.astype(np.int64), counts.indices.astype(np.int64), counts.data, self.library_size):
            state.update(np.ascontiguousarray(values).tobytes())
        return state.hexdigest()

    def cells_per_type(self, cells: np.ndarray | None = None) -> dict[str, int]:
        """Number of cells of each type, among `cells` (numbers) or all."""
        codes = self.codes if cells is None else self.codes[cells]
        sizes = np.bincount(codes, minlength=len(self.cell_types))
        return {name: int(size) for name, size in zip(self.cell_types, sizes, strict=True)}


def read_labelled(
    source: CellSource,
    *,
    label: str,
    donor: str | None = None,
    library_size: str | np.ndarray | pd.Series | None = None,
    min_cells: int = 10,
    held_out: bool = False,
    max_unknown_share: float | None = None,
    without_depth: bool = False,
    input: InputKind = "auto",  # noqa: A002
    levels: Sequence[str] = (),
) -> LabelledCells:
    """Check a source and take its labels. `held_out`: whether whole donors will be, see `donor_findings`.
    `max_unknown_share`: see `unknown_findings`. `without_depth`: take ln(1 + counts per 10,000) as it is where its
    counts cannot be recovered; `normalised` says so. `input`: see `take_input`. `levels`: columns of coarser names.

    Raises `LabelError` or, when the labels are right, `InputError`, with all problems of labels and values at once.
    """
    found = labelled_findings(
        source.obs, label=label, donor=donor, min_cells=min_cells, held_out=held_out, levels=levels
    )
    source = name_genes(genes_of(source, input, depth="wanted" if without_depth else "needed"))
    panel = own_panel(source)
    if errors := tuple(finding for finding in found if finding.severity == "error"):
        raise LabelError(*errors, *value_errors(source, panel, library_size=library_size))
    if transposed_findings(source):
        raise InputError(*value_errors(source, panel, library_size=library_size))
    checked = CheckedCells(
        source,
        panel,
        library_size=library_size,
        min_share=0.0,
        to_train=True,
        max_unknown_share=max_unknown_share,
        input="counts",  # or what was made of it
    )
    cells = checked.load()
    # A file may store a value in parts, or zeros: a logarithm of the parts, or a digest of the zeros, would be wrong.
    cells.counts.sum_duplicates()
    cells.counts.eliminate_zeros()
    typed = typed_cells(source.obs[label], min_cells=min_cells)
    kept = typed.kept
    donors = source.obs[donor].astype(str).to_numpy(dtype=str) if donor else None
    organism = getattr(source, "uns", {}).get("organism")
    return LabelledCells(
        counts=cells.counts if kept.all() else cells.counts[kept],
        library_size=cells.library_size[kept],
        codes=typed.codes,
        cell_types=typed.names,
        donors=donors[kept] if donors is not None else None,
        cell_ids=checked.cell_ids[kept],
        gene_symbols=panel.symbols,
        gene_ids=ids_of(source, panel.symbols),
        n_genes_measured=source.n_vars,
        library_size_source=checked.library_size_source,
        counts_from=source.counts_from,
        organism=str(organism) if isinstance(organism, str) else None,
        dropped=typed.dropped,
        notes=(*checked.notes, *found, *(() if library_size else subset_findings(source))),
        levels=read_levels(source.obs, label, levels, min_cells=min_cells)[0],
    )


def ids_of(source: CellSource, symbols: Sequence[str]) -> tuple[str | None, ...]:
    """Ensembl ids of the symbols; of a symbol that occurs twice the first."""
    pairs = zip(map(str, source.var_names), ensembl_ids(source.var, source.var_names), strict=True)
    known = dict(reversed([(symbol, gene_id) for symbol, gene_id in pairs if gene_id is not None]))
    return tuple(known.get(symbol) for symbol in symbols)


def subset(cells: LabelledCells, rows: np.ndarray) -> LabelledCells:
    """The same with only some cells. `rows`: cell numbers."""
    return replace(
        cells,
        counts=cells.counts[rows],
        library_size=cells.library_size[rows],
        codes=cells.codes[rows],
        donors=cells.donors[rows] if cells.donors is not None else None,
        cell_ids=cells.cell_ids[rows],
    )
