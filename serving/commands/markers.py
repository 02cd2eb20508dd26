"""`cellmark markers`: the marker genes of a model. Ranking and comparing markers belong to training."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .cli import EntryPointCommands
from .complete import complete_cell_type, complete_model
from .help_levels import LeveledHelp, command_group
from .options import Force, Json, Trusted

TOP = 10


class MarkerCommands(LeveledHelp, EntryPointCommands):
    """Subcommands of `markers`."""

    entry_points_of = "cellmark.markers.commands"
    order = ("novel", "rank", "compare")


markers = command_group(cls=MarkerCommands, no_args_is_help=False)


@markers.callback(invoke_without_command=True)
def list_markers(
    ctx: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            autocompletion=complete_model,
            help="Bundle folder or MLflow URI (models:/pbmc@champion, models:/pbmc/3). Needed without a subcommand.",
        ),
    ] = None,
    cell_type: Annotated[
        str | None,
        typer.Option("--cell-type", autocompletion=complete_cell_type, help="Show the markers of this cell type only."),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top", help="Number of markers per cell type. 0 shows all.", show_default=f"{TOP}, and all with --into"
        ),
    ] = None,
    negative: Annotated[
        bool, typer.Option("--negative", help="List negative markers: genes whose absence marks a type.")
    ] = False,
    combination: Annotated[
        bool,
        typer.Option(
            "--combination",
            help="List each type's minimal marker set: the fewest genes that identify it together, with thresholds.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Output file with all columns: .csv or .parquet. With --into, an .h5ad."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            metavar="CELLS.h5ad",
            help="Cells (.h5ad) to copy to --out, with the markers added where scanpy's plots expect them.",
        ),
    ] = None,
    groupby: Annotated[
        str,
        typer.Option(
            "--groupby", metavar="OBS_COLUMN", help="Column of obs with the cell types of the cells given to --into."
        ),
    ] = "cellmark_cell_type",
    trusted: Trusted = False,
    force: Force = False,
    json_output: Json = False,
) -> None:
    """List a model's marker genes. Subcommands describe unassigned cells, rank markers, and compare conditions.

    *score*: genes are ranked by this. *% in*, *% out*: share of the type's cells, and of all others, with a count.
    *log2FC*: log2 fold change, type against others. *AUC*: how well the gene alone identifies the type (1 is perfect,
    0.5 is chance). *p adj*: adjusted p-value of a permutation test. *donors*: share of donors in which the marker
    holds. *stable*: how often the gene is in the first ranks when cells or donors are resampled. Columns that the
    model's table lacks are not shown. --out writes all columns.

    Example: `cellmark markers --model models:/pbmc@champion --cell-type "CD14+ Monocyte"`

    Example: `cellmark markers -m models:/pbmc@champion --combination`

    Example, for scanpy's plots of ranked genes: `cellmark markers -m models:/pbmc@champion --into calls.h5ad -o
    plot.h5ad`
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx)
        return
    if model is None:
        raise typer.BadParameter("name the model whose markers to list.", ctx=ctx, param_hint="--model")
    if negative and combination:
        raise typer.BadParameter("give only one of them.", ctx=ctx, param_hint="--negative, --combination")
    if into is not None:
        if negative or combination or out is None:
            raise typer.BadParameter(
                "it needs -o OUT.h5ad and cannot be used with --negative or --combination.",
                ctx=ctx,
                param_hint="--into",
            )
        _write_into(model, cell_type, top or None, into, out, groupby=groupby, trusted=trusted, force=force)
        return
    from cellmark.schemas.atomic_output import refuse_existing, whole_file
    from cellmark.schemas.json_document import print_document

    from ..models.model_source import open_model
    from ..outputs.write_calls import TABLES, check_format
    from ..scoring.markers import combinations_in_words, minimal_combinations, select_markers
    from ..terminal.documents import records
    from ..terminal.show_markers import COLUMNS, COMBINATION_COLUMNS, NEGATIVE_COLUMNS, show_markers

    if out is not None:
        check_format(out, TABLES)
        refuse_existing(out, force=force)
    source = open_model(model)
    bundle = source.bundle
    if combination:
        rows = minimal_combinations(bundle, cell_type)
    else:
        rows = select_markers(bundle, cell_type, top=TOP if top is None else top or None, negative=negative)
    if out is not None:
        with whole_file(out, force=force) as draft:
            rows.to_parquet(draft, index=False) if out.suffix == ".parquet" else rows.to_csv(draft, index=False)
        typer.echo(f"Written to {out}")
    elif combination:
        title = f"Minimal combinations of {model}: a cell that exceeds all of them is called the type"
        show_markers(combinations_in_words(rows), title, columns=COMBINATION_COLUMNS)
    elif negative:
        show_markers(rows, f"Negative markers of {model}: what the type lacks", columns=NEGATIVE_COLUMNS)
    else:
        show_markers(rows, f"Markers of {model}", columns=COLUMNS)
    if json_output:
        facts = {"model": source.name, "model_version": source.version, "bundle_digest": bundle.digest}
        kind = "combination" if combination else "negative" if negative else "positive"
        print_document({**facts, "kind": kind, "output": out, "markers": records(rows)})


def _refuse_options(ctx: Any) -> None:
    """Options of the listing say nothing to a command that follows them."""
    given = [name for name in ctx.params if ctx.get_parameter_source(name).name == "COMMANDLINE"]
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise typer.BadParameter(f"put options behind `{ctx.invoked_subcommand}`.", ctx=ctx, param_hint=names)


def _write_into(
    model: str,
    cell_type: str | None,
    top: int | None,
    cells: Path,
    out: Path,
    *,
    groupby: str,
    trusted: bool,
    force: bool,
) -> None:
    from ..outputs.write_calls import check_output
    from ..outputs.write_markers import check_cells, write_markers_into
    from ..reader.open_apart import open_source
    from ..scoring.markers import read_markers

    check_output(out, force=force, formats=(".h5ad",))
    check_cells(cells)
    table = read_markers(model, cell_type, top=top)
    with open_source(cells, trusted=trusted, may_write=True) as source:
        n_genes, n_types = write_markers_into(table, source, out, origin=cells, groupby=groupby, force=force)
    typer.echo(f"{n_genes} genes of each of {n_types} cell types written to {out}")
