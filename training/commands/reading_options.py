"""Arguments and options of the commands that read labelled cells. Annotations alone: each command has its defaults."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.option_groups import takes

LabelledData = Annotated[
    Path,
    typer.Argument(help="Labelled cells: .h5ad, .zarr, .csv or .tsv (second column: the label) with raw counts."),
]
Label = Annotated[str, typer.Option("--label", help="Column of obs with the cell types.")]
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
GenesByCells = Annotated[
    bool, typer.Option("--genes-by-cells", help="Read a table with genes as rows and cells as columns.")
]
Input = Annotated[
    Literal["auto", "counts", "log1p"],
    typer.Option(
        "--input",
        help="What the values are: counts, or log1p for ln(1 + counts per 10,000). auto takes values as log1p where "
        "they prove it in every cell.",
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
MinCells = Annotated[int, typer.Option("--min-cells", help="Remove cell types with fewer cells than this.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an output that already exists.")]

READING = {"layer": Layer, "library_size": LibrarySize, "genes_by_cells": GenesByCells, "input": Input}
"""The option of each field of `ReadingOptions` that commands of training have: the one place of a new one."""

takes_reading = takes({"reading": (ReadingOptions, READING)})
"""A command whose parameter `reading` becomes the options of `READING`."""
