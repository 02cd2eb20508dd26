"""Arguments that several commands share, so that they read the same everywhere."""

import contextlib
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cellmark.schemas.cells.reading_options import InputKind, ReadingOptions
from cellmark.schemas.errors import CellmarkError
from cellmark.schemas.option_groups import shared, takes

from ..outputs.pipeline_options import PipelineOptions
from ..scoring.call_options import CallOptions, Floors
from .complete import complete_model, complete_obs


def _meant(ctx: typer.Context, model: str | None) -> str | None:
    """The model that a name alone means, which is said."""
    if model is None or ctx.resilient_parsing or "/" in model:
        return model
    from ..models.bare_name import model_meant

    # What is wrong with the line comes first; a name that means nothing is refused when the model is opened.
    meant = model
    with contextlib.suppress(CellmarkError):
        meant = model_meant(model)
    if meant != model:
        typer.echo(f"Model {model}: {meant}", err=True)
    return meant


def each_meant(ctx: typer.Context, models: list[str] | None) -> list[str] | None:
    """As `_meant`, of several."""
    return models and [str(_meant(ctx, model)) for model in models]


Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        autocompletion=complete_model,
        callback=_meant,
        help="Bundle folder, name of a registered model (its champion) or MLflow URI (models:/pbmc/3).",
    ),
]
ModelOrService = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        autocompletion=complete_model,
        callback=_meant,
        help="Bundle folder, name of a registered model (its champion) or MLflow URI (models:/pbmc/3). Required "
        "without --service.",
    ),
]
Data = Annotated[
    Path,
    typer.Argument(
        help="Cells: .h5ad, .zarr (also zipped), .loom, 10x .h5, a 10x matrix folder, .csv or .tsv (cells x genes), "
        "or a URL of them (https://, s3://)."
    ),
]
Layer = Annotated[str | None, shared(typer.Option, "layer")]
LibrarySize = Annotated[str | None, shared(typer.Option, "library_size", autocompletion=complete_obs)]
RecoverCounts = Annotated[
    bool,
    typer.Option(
        "--recover-counts",
        help="Compute raw counts from normalised values. Refused where the result would not be exact.",
        rich_help_panel="Reading cells",
    ),
]
Input = Annotated[InputKind, shared(typer.Option, "input")]
Trusted = Annotated[
    bool,
    typer.Option(
        "--trusted",
        help="Read the input in this process, without limits. Only for your own files. By default a separate "
        "process reads it and is stopped when a file takes too much time or memory.",
        rich_help_panel="Computing",
    ),
]
GenesByCells = Annotated[bool, shared(typer.Option, "genes_by_cells")]
MinPanelShare = Annotated[
    float | None,
    typer.Option(
        "--min-panel-share",
        help="Smallest share (0 to 1) of the model's genes that the input must have. Default: the model's.",
        rich_help_panel="Genes",
    ),
]
MinAttributionShare = Annotated[
    float | None,
    typer.Option(
        "--min-attribution-share",
        help="Smallest share (0 to 1) of the model's attribution mass that the input's genes must carry. 0 turns "
        "the limit off. Default: the model's.",
        rich_help_panel="Genes",
    ),
]
MaxUnknownShare = Annotated[float | None, shared(typer.Option, "max_unknown_share")]
Device = Annotated[
    Literal["cpu", "cuda"],
    typer.Option(
        "--device", help="Device to compute on. An error if cuda cannot be used.", rich_help_panel="Computing"
    ),
]
FixedThreshold = Annotated[
    bool,
    typer.Option(
        "--fixed-threshold",
        help="Leave cells unassigned by the model's novelty threshold, however far a sample is shifted as a whole.",
        rich_help_panel="Calls",
    ),
]
Sample = Annotated[
    str | None,
    typer.Option(
        "--sample",
        autocompletion=complete_obs,
        metavar="OBS_COLUMN",
        help="Column of obs that names the sample of each cell, in a file of several. By default a file is one.",
    ),
]
Output = Annotated[Path, typer.Option("--out", "-o", help="Output file: .csv or .parquet.")]
Force = Annotated[bool, shared(typer.Option, "force")]
Json = Annotated[bool, shared(typer.Option, "json_output")]

Orthologs = Annotated[
    bool,
    typer.Option(
        "--orthologs",
        help="For mouse cells under a human model, or the reverse: name genes by their one-to-one orthologs. Every "
        "call is marked.",
        rich_help_panel="Genes",
    ),
]
OrthologTable = Annotated[
    Path | None,
    typer.Option(
        "--ortholog-table",
        metavar="FILE",
        help="As --orthologs, by the one-to-one pairs of this table (.csv or .tsv), also of other organisms. It has a "
        "column of genes for each organism, named after it.",
        rich_help_panel="Genes",
    ),
]
SymbolColumn = Annotated[
    str | None,
    typer.Option(
        "--symbol-column",
        metavar="VAR_COLUMN",
        help="Column of var that holds the gene symbols (index: the names of var). By default they are looked for.",
    ),
]

PIPELINES = "Pipelines"
ColumnsPrefix = Annotated[
    str | None,
    typer.Option(
        "--columns-prefix",
        metavar="PREFIX",
        rich_help_panel=PIPELINES,
        help="Name columns PREFIX_cell_type and so on, in place of cellmark_cell_type. A prefix with a colon names the "
        "call itself, and the others PREFIX:confidence and so on; {model} in it is the model's name.",
    ),
]
AnnotationColumns = Annotated[
    Path | None,
    typer.Option(
        "--annotation-columns",
        metavar="FILE",
        rich_help_panel=PIPELINES,
        help="Also write a .csv of the columns (obs_column,aggregatable), as nf-core/scdownstream reads it.",
    ),
]
Versions = Annotated[
    Path | None,
    typer.Option(
        "--versions",
        metavar="FILE",
        rich_help_panel=PIPELINES,
        help="Also write the versions of cellmark, onnxruntime and the model as YAML (versions.yml of nf-core).",
    ),
]
VersionsKey = Annotated[
    str,
    typer.Option(
        "--versions-key", metavar="TEXT", rich_help_panel=PIPELINES, help="Key of --versions: the name of the process."
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
            "symbol_column": SymbolColumn,
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
    "pipeline": (
        PipelineOptions,
        {
            "columns_prefix": ColumnsPrefix,
            "annotation_columns": AnnotationColumns,
            "versions": Versions,
            "versions_key": VersionsKey,
        },
    ),
}
"""What a command takes as one object, and the option of each of its fields: the one place of a new option."""

takes_groups = takes(GROUPS)
"""A command whose parameters `reading`, `floors` and `pipeline` become one option for each field of `GROUPS`."""


def whole_samples(sample: str | None, fixed_threshold: bool) -> CallOptions:
    """How a command judges the cells of a file, by its options `Sample` and `FixedThreshold`."""
    if sample is not None and fixed_threshold:
        raise typer.BadParameter("give only one of them.", param_hint="--sample, --fixed-threshold")
    return CallOptions(as_sample=not fixed_threshold, sample=sample)
