"""Cells that a model left unassigned, with all their genes, and the new populations found among them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..errors import Finding
from ..manifest.marker_table import MarkerColumn


@dataclass(frozen=True)
class CalledCells:
    """All unassigned cells of an input, and of each called type as many as were wanted.

    `counts`: CSR, float32, cells x genes, raw, of all genes of the input; `library_size`: float32 [cells];
    `gene_symbols`: unique; `gene_ids`: Ensembl ids where the input has them; `in_panel`: bool [genes], which of them
    the model looks at. `best`: int [cells], the most probable type, a number of `cell_types`; `unassigned`: bool
    [cells]; `novelty`: float [cells]; `threshold`: what the novelty of an unassigned cell exceeds, and `thresholds`,
    float [cells], where samples were judged as wholes, so that it had to exceed another. `donors`: str [cells], or
    None. `n_cells`: of the whole input; `n_called`: int [types], called cells of the whole input. `calls`: of every
    cell of the input, as `Annotator.annotate` gives them, cells by id. `normalised`: counts are counts per 10,000, and
    library sizes 10,000, whatever they were.
    """

    counts: sp.csr_matrix
    library_size: np.ndarray
    cell_ids: np.ndarray
    gene_symbols: tuple[str, ...]
    gene_ids: tuple[str | None, ...]
    in_panel: np.ndarray
    best: np.ndarray
    cell_types: tuple[str, ...]
    unassigned: np.ndarray
    novelty: np.ndarray
    threshold: float
    donors: np.ndarray | None
    n_cells: int
    n_called: np.ndarray
    calls: pd.DataFrame
    normalised: bool = False
    thresholds: np.ndarray | None = None

    @property
    def is_of_sample(self) -> bool:
        """Whether some cells have another threshold than `threshold`."""
        return self.thresholds is not None and bool((self.thresholds != np.float32(self.threshold)).any())


MARKER_COLUMNS: dict[str, MarkerColumn] = {
    "population": MarkerColumn("string", "the new population that the gene marks"),
    "rank": MarkerColumn("Int64", "place among the population's genes, 1 is best"),
    "gene_symbol": MarkerColumn("string", "the gene, named as in the file or by its current symbol"),
    "gene_id": MarkerColumn("string", "Ensembl id, where the file has it"),
    "in_panel": MarkerColumn("boolean", "whether the model looks at the gene"),
    "own": MarkerColumn("boolean", "whether it is surely above every called type, and at least twice as high"),
    "marker_score": MarkerColumn(
        "float64", "how far the population surely lies above every called type, in standard deviations"
    ),
    "negative_rank": MarkerColumn("Int64", "place among the genes that every called type has more of, 1 is best"),
    "mean_in": MarkerColumn("float64", "mean ln(1 + counts per 10,000) in the population's cells"),
    "fraction_in": MarkerColumn("float64", "fraction of the population's cells with at least one count"),
    "next_cell_type": MarkerColumn("string", "the called type with the largest mean of the gene"),
    "mean_next": MarkerColumn("float64", "mean_in of that type"),
    "fraction_next": MarkerColumn("float64", "fraction_in of that type"),
    "log2_fold_change_next": MarkerColumn(
        "float64", "log2 of (mean counts per 10,000 in the population + 1) over (the same in that type + 1)"
    ),
    "mean_out": MarkerColumn("float64", "mean_in of all called cells together"),
    "fraction_out": MarkerColumn("float64", "fraction_in of all called cells together"),
    "log2_fold_change": MarkerColumn("float64", "log2_fold_change_next against all called cells together"),
    "auc": MarkerColumn("float64", "area under the ROC curve of expression, population against all called cells"),
    "cohens_d": MarkerColumn("float64", "standardised difference of means, population against all called cells"),
    "donor_fraction": MarkerColumn(
        "float64", "fraction of donors in which the population has more than the called cells (or less, if it has less)"
    ),
}

POPULATION_COLUMNS: dict[str, MarkerColumn] = {
    "population": MarkerColumn("string", "its name: new-1 is the largest"),
    "n_cells": MarkerColumn("Int64", "its cells"),
    "share": MarkerColumn("float64", "their share of the whole file"),
    "best_cell_type": MarkerColumn("string", "the type that most of its cells resemble most"),
    "best_share": MarkerColumn("float64", "share of its cells for which that is so"),
    "best_cell_types": MarkerColumn("string", "all such types with their shares"),
    "novelty": MarkerColumn("float64", "median novelty of its cells"),
    "threshold": MarkerColumn(
        "float64", "the novelty above which cells stay unassigned; in a sample judged as one the median over its cells"
    ),
    "n_alike": MarkerColumn("Int64", "called cells of the file that lie among its cells"),
    "alike_cell_types": MarkerColumn("string", "what these were called, with shares; null where there are none"),
    "library_size": MarkerColumn("float64", "median library size of its cells"),
    "library_size_called": MarkerColumn("float64", "median over called types of their median library size"),
    "genes_detected": MarkerColumn("float64", "median number of genes with a count"),
    "genes_detected_called": MarkerColumn("float64", "the same of called types"),
    "mitochondrial_share": MarkerColumn("float64", "median share of counts from mitochondria; null where not measured"),
    "mitochondrial_share_called": MarkerColumn("float64", "the same of called types"),
    "n_donors": MarkerColumn("Int64", "donors that have cells of it; null without donors"),
    "donors": MarkerColumn("string", "donors with their shares of its cells; null without donors"),
    "n_markers": MarkerColumn("Int64", "genes surely above every called type and at least twice as high"),
    "n_markers_outside_panel": MarkerColumn("Int64", "those of them that the model does not look at"),
    "top_markers": MarkerColumn("string", "the first of these, best first"),
    "mixture_of": MarkerColumn(
        "string", "two called types of which it may be a mixture; null where it is not like one"
    ),
    "warnings": MarkerColumn("string", "what speaks against a new type; empty where nothing does"),
}


@dataclass(frozen=True)
class NewPopulations:
    """`populations`: a row each, largest first, with `POPULATION_COLUMNS`. `markers`: a row for each population and
    gene, best first, with `MARKER_COLUMNS`. `cells`: str or None for each unassigned cell, by cell id: its population.
    `codes`: int [kept cells], number of the population, -1 for all others. `findings`: what there is to say.
    `sample_shift`: as the calls' facts have it, None where each cell was judged by itself.
    """

    populations: pd.DataFrame
    markers: pd.DataFrame
    cells: pd.Series
    codes: np.ndarray
    findings: tuple[Finding, ...]
    sample_shift: Mapping[str, Any] | None = None

    def to_dict(self, *, top: int) -> dict[str, Any]:
        """As JSON has it: the populations, each with its first `top` markers."""
        populations = _records(self.populations)
        for row in populations:
            of = self.markers[(self.markers["population"] == row["population"]) & (self.markers["rank"] <= top)]
            row["markers"] = _records(of.drop(columns="population"))
        return {
            **({} if self.sample_shift is None else {"sample_shift": self.sample_shift}),
            "n_unassigned": len(self.cells),
            "n_grouped": int(self.cells.notna().sum()),
            "populations": populations,
            "notes": [finding.to_dict() for finding in self.findings],
        }


def table_of(rows: pd.DataFrame, columns: dict[str, MarkerColumn]) -> pd.DataFrame:
    """All columns in their order and dtypes; what `rows` lack is null."""
    return pd.DataFrame(
        {
            name: rows[name].astype(column.dtype)  # type: ignore[call-overload]
            if name in rows
            else pd.Series([pd.NA if column.dtype != "float64" else np.nan] * len(rows), dtype=column.dtype)
            for name, column in columns.items()
        }
    )


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    plain = table.astype(object)
    return [
        {str(name): value for name, value in row.items()} for row in plain.where(plain.notna(), None).to_dict("records")
    ]
