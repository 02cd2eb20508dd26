"""`cellmark ontology`: a map from labels to the Cell Ontology, to be looked through by people."""

from pathlib import Path
from typing import Annotated

import typer

from .reading_options import Force, Label, LabelledData


def ontology(
    data: LabelledData,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Output file of the map: a .csv with the columns label, ontology_id, name, match, candidates.",
        ),
    ],
    label: Label = "cell_type",
    force: Force = False,
) -> None:
    """Suggest a Cell Ontology term for every label, by name or synonym.

    Check the map, fill in or correct the ids, then train with it: `cellmark train DATA --ontology map.csv`. A label
    that several terms match gets no id; the column candidates lists them.

    Example: `cellmark ontology pbmc.h5ad --label cell_type -o map.csv`
    """
    import pandas as pd

    from cellmark.schemas.atomic_output import refuse_existing, whole_file
    from cellmark.schemas.cells.read import open_cells
    from cellmark.schemas.checks.check_labels import label_column_findings
    from cellmark.schemas.errors import LabelError, raise_if_refused

    from ..evaluation.cell_ontology import CellOntology, suggest_terms
    from .show import show_suggestions

    refuse_existing(out, force=force)
    terms = CellOntology()
    with open_cells(data) as source:
        raise_if_refused(label_column_findings(source.obs, label), LabelError)
        labels = sorted(source.obs[label].dropna().astype(str).unique())
    suggestions = suggest_terms(labels, terms)
    table = pd.DataFrame(
        {
            "label": [one.label for one in suggestions],
            "ontology_id": [one.ontology_id or "" for one in suggestions],
            "name": [one.name or "" for one in suggestions],
            "match": [one.match for one in suggestions],
            "candidates": ["; ".join(one.candidates) for one in suggestions],
        }
    )
    with whole_file(out, force=force) as draft:
        table.to_csv(draft, index=False)
    show_suggestions(suggestions, terms.version, out)
