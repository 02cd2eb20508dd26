"""Explanations of many cells in a terminal: the genes of a type, the types and samples of a gene."""

import pandas as pd

from cellmark.schemas.columns import UNASSIGNED

from .show_markers import Shown, show_markers

TYPE = Shown("of", "cell type", str)
COUNTS = (
    Shown("n_cells", "cells", "{:,}".format),
    Shown("share", "% listed", "{:.1%}".format),
    Shown("n_for", "for", "{:,}".format),
    Shown("n_against", "against", "{:,}".format),
    Shown("mean_attribution", "mean", "{:+.2f}".format),
)
GENES_OF_TYPES = (
    TYPE,
    Shown("gene", "gene", str),
    Shown("contribution", "a cell", "{:+.2f}".format),
    *COUNTS,
    Shown("n_samples", "samples", "{:,}".format),
    Shown("lowest_share", "lowest %", "{:.1%}".format),
)
SAMPLES_OF_GENE = (TYPE, Shown("sample", "sample", str), *COUNTS)


def show_explanations(rows: pd.DataFrame, title: str, *, of_gene: bool) -> None:
    """Rows of `genes_of_types`, or of `samples_of_gene` where they are of one gene."""
    unassigned = rows["cell_type"] == UNASSIGNED
    named = rows["best_cell_type"].where(~unassigned, UNASSIGNED + ", like " + rows["best_cell_type"])
    show_markers(rows.assign(of=named), title, columns=SAMPLES_OF_GENE if of_gene else GENES_OF_TYPES)
