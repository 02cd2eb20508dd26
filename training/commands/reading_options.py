"""Arguments and options of the commands that read labelled cells. Annotations alone: each command has its defaults."""

from pathlib import Path
from typing import Annotated

import typer

from cellmark.schemas.cells.reading_options import InputKind, ReadingOptions
from cellmark.schemas.option_groups import shared, takes

LabelledData = Annotated[
    Path,
    typer.Argument(
        help="Labelled cells: .h5ad, .zarr, .loom, .csv or .tsv (second column: the label), with raw counts or "
        "ln(1 + counts per 10,000)."
    ),
]


def complete_obs(incomplete: str) -> list[str]:
    """Columns of obs of the cells that the command was given."""
    from cellmark.schemas.typed_columns import typed_columns

    return typed_columns(incomplete)


Label = Annotated[str, typer.Option("--label", autocompletion=complete_obs, help="Column of obs with the cell types.")]
Layer = Annotated[str | None, shared(typer.Option, "layer")]
LibrarySize = Annotated[str | None, shared(typer.Option, "library_size", autocompletion=complete_obs)]
GenesByCells = Annotated[bool, shared(typer.Option, "genes_by_cells")]
Input = Annotated[InputKind, shared(typer.Option, "input")]
MaxUnknownShare = Annotated[float | None, shared(typer.Option, "max_unknown_share")]
MinCells = Annotated[int, typer.Option("--min-cells", help="Remove cell types with fewer cells than this.")]
Force = Annotated[bool, shared(typer.Option, "force")]
Json = Annotated[bool, shared(typer.Option, "json_output")]

READING = {"layer": Layer, "library_size": LibrarySize, "genes_by_cells": GenesByCells, "input": Input}
"""The option of each field of `ReadingOptions` that commands of training have: the one place of a new one."""

takes_reading = takes({"reading": (ReadingOptions, READING)})
"""A command whose parameter `reading` becomes the options of `READING`."""
