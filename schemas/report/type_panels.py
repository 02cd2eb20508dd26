"""What the report shows of each cell type when it is chosen."""

from typing import Any

import pandas as pd

from .evidence import TypeEvidence
from .facts import ReportFacts
from .tables import dot_chart, expression

SHOWN, DRAWN, NEGATIVE = 15, 8, 6
COLUMNS = (
    ("fraction_in", "% in", "cells of the type with a count"),
    ("fraction_out", "% out", "the same of all other cells"),
    ("log2_fold_change", "log2FC", "how much more the type has of it"),
    ("auc", "AUC", "how well it alone tells the type; 1 is perfect, 0.5 chance"),
    ("p_value_adj", "p adj", "permutation test, Benjamini-Hochberg"),
    ("donor_fraction", "donors", "share of donors in which it holds"),
    ("stability", "stable", "share of resamples that select it"),
)
PERCENTS = ("fraction_in", "fraction_out", "donor_fraction", "stability")


def type_panels(facts: ReportFacts, types: list[TypeEvidence]) -> list[dict[str, Any]]:
    """For each type: its markers as rows and as dots, what it lacks, and its minimal combination."""
    names = facts.manifest.cell_type_names
    panels = []
    for evidence in types:
        best = evidence.markers.head(SHOWN)
        columns = [column for column in COLUMNS if column[0] in best and best[column[0]].notna().any()]
        genes = [str(symbol) for symbol in best["gene_symbol"].head(DRAWN)]
        mean, fraction = expression(facts.markers, genes, names)
        panels.append(
            {
                "evidence": evidence,
                "columns": columns,
                "rows": [
                    [str(row["gene_symbol"]), *(_cell(name, row[name]) for name, _, _ in columns)]
                    for _, row in best.iterrows()
                ],
                "dots": dot_chart(mean, fraction, genes, names, own=[evidence.number - 1] * len(genes))
                if genes
                else None,
                "negative": [str(symbol) for symbol in evidence.negative["gene_symbol"].head(NEGATIVE)],
                "combination": combination(evidence.markers),
            }
        )
    return panels


def combination(markers: pd.DataFrame) -> dict[str, Any] | None:
    """Genes with thresholds, precision and recall of a type's minimal combination; None where none was sought."""
    if "in_minimal_combination" not in markers or "combination_threshold" not in markers:
        return None
    chosen = markers[markers["in_minimal_combination"].fillna(False).astype(bool)]
    if chosen.empty:
        return None
    first = chosen.iloc[0]
    genes = [(str(row["gene_symbol"]), f"{row['combination_threshold']:.2f}") for _, row in chosen.iterrows()]
    return {"genes": genes, "precision": first["combination_precision"], "recall": first["combination_recall"]}


def _cell(name: str, value: Any) -> str:
    if pd.isna(value):
        return "–"
    if name in PERCENTS:
        return f"{100 * value:.0f}"
    return f"{value:.1g}" if name == "p_value_adj" else f"{value:.2f}"
