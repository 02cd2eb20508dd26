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
    str | None, typer.Option("--layer", help="Where the raw counts are: a layer's name, or raw. Default: X.")
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
        help="Compute the raw counts that normalised values were made of; refused where that is not exact.",
    ),
]
Trusted = Annotated[
    bool,
    typer.Option(
        "--trusted",
        help="Read the input in this process, without limits. By default another process reads it, which is ended when "
        "a damaged or hostile file takes too much time or memory. For files of your own only.",
    ),
]
GenesByCells = Annotated[bool, typer.Option("--genes-by-cells", help="The table has genes as rows.")]
MinPanelShare = Annotated[
    float | None,
    typer.Option(
        "--min-panel-share", help="Share of the model's genes that the input must have. Default: the model's."
    ),
]
MinAttributionShare = Annotated[
    float | None,
    typer.Option(
        "--min-attribution-share",
        help="Share of the model's attribution mass that the input's genes must carry; 0 for no floor. Default: the "
        "model's.",
    ),
]
Device = Annotated[str, typer.Option("--device", help="cpu or cuda. A cuda that cannot be used is an error.")]
Output = Annotated[Path, typer.Option("--out", "-o", help="Where to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]


def device_of(name: str) -> Literal["cpu", "cuda"]:
    """The device of that name. Raises `ParameterError` for another name."""
    from cellmark.schemas.errors import Finding, ParameterError

    if name == "cpu":
        return "cpu"
    if name == "cuda":
        return "cuda"
    raise ParameterError(Finding("PARAMETER_INVALID", "device", "cpu or cuda", repr(name), "Name one of them."))
