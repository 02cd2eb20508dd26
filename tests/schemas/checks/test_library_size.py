"""Given library sizes and the counts beside them."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import MemoryCells
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.genes.gene_panel import GenePanel
from cellmark.schemas.genes.panel_fraction import PanelFraction


def fraction_codes(
    library: float | None, *, median: float = 0.8, panel_part: float = 0.8, missing: int = 0
) -> list[str]:
    """What is found in cells whose panel genes hold `panel_part` of all counts, with `library` times all counts as
    library sizes, or None to sum them.
    """
    n_panel = 10
    counts = np.random.default_rng(0).poisson(10, size=(20, n_panel)) + 1
    totals = counts.sum(axis=1, keepdims=True) / panel_part
    rest = np.round(totals) - counts.sum(axis=1, keepdims=True)
    names = [*(f"p{number}" for number in range(n_panel)), "other"]
    X = sp.csr_matrix(np.hstack([counts, rest])[:, missing:].astype(np.float32))
    source = MemoryCells(X, np.array(names[missing:]), pd.DataFrame(index=[f"c{number}" for number in range(20)]))
    checked = CheckedCells(
        source,
        GenePanel(tuple(names[:n_panel])),
        library_size=None if library is None else np.ceil(library * totals.ravel()),
        panel_fraction=PanelFraction(median, np.ones(n_panel)),
    )
    checked.load()
    return [note.code for note in checked.notes]


def test_library_sizes_that_fit_the_counts_are_no_finding() -> None:
    assert fraction_codes(1.0) == fraction_codes(1.2) == fraction_codes(1.0, panel_part=0.9) == []
    assert fraction_codes(1.0, missing=3) == []  # what the missing genes would carry is not expected


@pytest.mark.parametrize("library", [2.0, 5.0])
def test_library_sizes_over_more_than_the_genes_are_doubtful(library: float) -> None:
    assert fraction_codes(library) == ["LIBRARY_SIZE_DOUBTFUL"]


def test_library_sizes_over_a_part_of_the_genes_are_doubtful() -> None:
    assert fraction_codes(1.0, panel_part=0.99) == ["LIBRARY_SIZE_DOUBTFUL"]
    assert fraction_codes(1.0, panel_part=0.99, median=0.97) == []


def test_sums_over_a_part_of_the_genes_are_doubtful_and_others_are_not() -> None:
    assert fraction_codes(None, panel_part=0.99) == ["LIBRARY_SIZE_DOUBTFUL"]
    assert fraction_codes(None) == fraction_codes(None, panel_part=0.9) == fraction_codes(None, missing=3) == []
    # A tissue whose cells express less of the panel has sums that are right.
    assert fraction_codes(None, panel_part=0.3) == []
