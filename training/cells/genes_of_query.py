"""Training on the genes that later cells have, so that a panel that they lack is never chosen."""

from dataclasses import replace

import numpy as np

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.checks.counts_of_genes import counts_of_genes
from cellmark.schemas.errors import Finding, InputError
from cellmark.schemas.genes.fit_genes import fit_genes
from cellmark.schemas.genes.gene_panel import GenePanel

from .labelled_cells import LabelledCells

SUMMED = "summed"
WHERE = "genes_of"


def on_genes_of(cells: LabelledCells, query: CellSource) -> tuple[LabelledCells, Finding]:
    """The cells as if only the genes that `query` has had been counted, and a note that says how many these are.

    Genes are matched as those of an input are to a model: by their names, by other columns of `var`, by aliases.
    Library sizes that were summed are summed over these genes, as those of the query will be; given ones stay. Nothing
    but the names of the query's genes decides. Raises `InputError` for genes of another organism, fewer than two
    shared genes, or a cell without a count in them.
    """
    genes = counts_of_genes(query)
    fit = fit_genes(GenePanel(cells.gene_symbols, cells.gene_ids, cells.organism), genes)
    if fit.refused:
        raise InputError(*fit.findings)
    columns = np.flatnonzero(fit.match.measured)
    n_genes, shared = len(cells.gene_symbols), f"{len(columns):,} of {len(cells.gene_symbols):,} genes"
    if len(columns) < 2:
        raise InputError.of(
            "NO_GENES_SHARED",
            where=WHERE,
            expected="genes of the training cells among those of the query",
            found=f"{shared} in {query.name}",
            remedy="Compare the names of genes in both files, or omit --genes-of (genes_of= in Python).",
            examples=tuple(map(str, genes.var_names[:3])),
        )
    counts = cells.counts[:, columns]
    summed = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    if len(empty := np.flatnonzero(summed == 0)):
        raise InputError.of(
            "CELL_EMPTY",
            where=WHERE,
            expected="counts in the genes that the query has",
            found=f"{len(empty):,} cells without any",
            remedy="Remove these cells, or omit --genes-of (genes_of= in Python).",
            examples=tuple(map(str, cells.cell_ids[empty[:3]])),
        )
    is_summed = cells.library_size_source == SUMMED
    kept = replace(
        cells,
        counts=counts,
        library_size=summed.astype(np.float32) if is_summed else cells.library_size,
        gene_symbols=tuple(cells.gene_symbols[column] for column in columns),
        gene_ids=tuple(cells.gene_ids[column] for column in columns),
        n_genes_measured=len(columns),
        genes_of=query.name,
    )
    lost = 1 - float(summed.sum()) / float(cells.counts.sum())
    note = Finding(
        "GENES_OF_QUERY",
        where=WHERE,
        expected="a model of genes that the query has",
        found=f"{shared} in {query.name}; the other {n_genes - len(columns):,} carry {lost:.1%} of the counts",
        remedy="Annotate these cells, or others with the same genes; more genes make a better model.",
        severity="info",
    )
    return kept, note
