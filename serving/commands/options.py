"""Arguments that several commands share, so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Model = Annotated[
    str, typer.Option("--model", "-m", help="Bundle folder or MLflow URI (models:/pbmc@champion, models:/pbmc/3).")
]
Data = Annotated[
    Path, typer.Argument(help="Cells: .h5ad, .zarr, 10x .h5, a 10x matrix folder, .csv or .tsv (cells x genes).")
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
Device = Annotated[
    Literal["cpu", "cuda"], typer.Option("--device", help="Device to compute on. An error if cuda cannot be used.")
]
Output = Annotated[Path, typer.Option("--out", "-o", help="Output file: .csv or .parquet.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an output that already exists.")]


def device_of(name: str) -> Literal["cpu", "cuda"]:
    """The device of that name. Raises `ParameterError` for another name."""
    from cellmark.schemas.errors import Finding, ParameterError

    if name == "cpu":
        return "cpu"
    if name == "cuda":
        return "cuda"
    raise ParameterError(Finding("PARAMETER_INVALID", "device", "cpu or cuda", repr(name), "Name one of them."))
