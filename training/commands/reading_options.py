"""Arguments and options of the commands that read labelled cells. Annotations alone: each command has its defaults."""

from pathlib import Path
from typing import Annotated

import typer

LabelledData = Annotated[
    Path,
    typer.Argument(help="Labelled cells: .h5ad, .zarr, .csv or .tsv (second column: the label) with raw counts."),
]
Label = Annotated[str, typer.Option("--label", help="Column of obs with the cell types.")]
Layer = Annotated[str | None, typer.Option("--layer", help="Where the raw counts are: a layer, or raw.")]
LibrarySize = Annotated[
    str | None,
    typer.Option("--library-size", metavar="OBS_COLUMN", help="Each cell's total over all genes. Default: the sum."),
]
GenesByCells = Annotated[bool, typer.Option("--genes-by-cells", help="The table has genes as rows.")]
MinCells = Annotated[int, typer.Option("--min-cells", help="Types with fewer cells are left out.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
