"""Arguments that several commands share, so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.option_groups import takes

from ..scoring.call_options import Floors

Model = Annotated[
    str, typer.Option("--model", "-m", help="Bundle folder or MLflow URI (models:/pbmc@champion, models:/pbmc/3).")
]
Data = Annotated[
    Path,
    typer.Argument(
        help="Cells: .h5ad, .zarr (also zipped), .loom, 10x .h5, a 10x matrix folder, .csv or .tsv (cells x genes)."
    ),
]
Layer = Annotated[
    str | None, typer.Option("--layer", help="Layer that holds the raw counts, or raw for adata.raw. Default: X.")
]
LibrarySize = Annotated[
    str | None,
    typer.Option(
        "--library-size",
        metavar="OBS_COLUMN",
        help="Column of obs with each cell's total count over all genes. Default: sum over the input's genes.",
    ),
]
RecoverCounts = Annotated[
    bool,
    typer.Option(
        "--recover-counts",
        help="Compute raw counts from normalised values. Refused where the result would not be exact.",
    ),
]
Input = Annotated[
    Literal["auto", "counts", "log1p"],
    typer.Option(
        "--input",
        help="What the values are: counts, or log1p for ln(1 + counts per 10,000). auto takes values as log1p where "
        "they prove it in every cell.",
    ),
]
Trusted = Annotated[
    bool,
    typer.Option(
        "--trusted",
        help="Read the input in this process, without limits. Only for your own files. By default a separate "
        "process reads it and is stopped when a file takes too much time or memory.",
    ),
]
GenesByCells = Annotated[
    bool, typer.Option("--genes-by-cells", help="Read a table with genes as rows and cells as columns.")
]
MinPanelShare = Annotated[
    float | None,
    typer.Option(
        "--min-panel-share",
        help="Smallest share (0 to 1) of the model's genes that the input must have. Default: the model's.",
    ),
]
MinAttributionShare = Annotated[
    float | None,
    typer.Option(
        "--min-attribution-share",
        help="Smallest share (0 to 1) of the model's attribution mass that the input's genes must carry. 0 turns "
        "the limit off. Default: the model's.",
    ),
]
MaxUnknownShare = Annotated[
    float | None,
    typer.Option(
        "--max-unknown-share",
        help="Largest share (0 to 1) of all counts that may be of names which no human or mouse gene table has. "
        "1 turns the limit off. Default: 0.25.",
    ),
]
Device = Annotated[
    Literal["cpu", "cuda"], typer.Option("--device", help="Device to compute on. An error if cuda cannot be used.")
]
Output = Annotated[Path, typer.Option("--out", "-o", help="Output file: .csv or .parquet.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an output that already exists.")]

Orthologs = Annotated[
    bool,
    typer.Option(
        "--orthologs",
        help="For mouse cells under a human model, or the reverse: name genes by their one-to-one orthologs. Every "
        "call is marked.",
    ),
]
OrthologTable = Annotated[
    Path | None,
    typer.Option(
        "--ortholog-table",
        metavar="FILE",
        help="As --orthologs, by the one-to-one pairs of this table (.csv or .tsv), also of other organisms. It has a "
        "column of genes for each organism, named after it.",
    ),
]

GROUPS: dict[str, tuple[type, dict[str, Any]]] = {
    "reading": (
        ReadingOptions,
        {
            "layer": Layer,
            "library_size": LibrarySize,
            "genes_by_cells": GenesByCells,
            "recover_counts": RecoverCounts,
            "input": Input,
            "orthologs": Orthologs,
            "ortholog_table": OrthologTable,
        },
    ),
    "floors": (
        Floors,
        {
            "min_panel_share": MinPanelShare,
            "min_attribution_share": MinAttributionShare,
            "max_unknown_share": MaxUnknownShare,
        },
    ),
}
"""What a command takes as one object, and the option of each of its fields: the one place of a new option."""

takes_groups = takes(GROUPS)
"""A command whose parameters `reading` and `floors` become one option for each field of `GROUPS`."""
