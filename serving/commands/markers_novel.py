"""`cellmark markers novel`: what the cells are that a model leaves unassigned."""

from pathlib import Path
from typing import Annotated

import typer

from . import options as cli_options


def novel(
    data: cli_options.Data,
    model: cli_options.Model,
    donor: Annotated[
        str | None,
        typer.Option("--donor", metavar="OBS_COLUMN", help="Donors or samples: where do the cells come from?"),
    ] = None,
    above: Annotated[
        float | None,
        typer.Option(
            "--above", help="Take the cells whose novelty is above this, in place of those that the model refuses."
        ),
    ] = None,
    min_cells: Annotated[int, typer.Option("--min-cells", help="Cells of the smallest population.")] = 10,
    resolution: Annotated[
        float, typer.Option("--resolution", help="Of Leiden; the groups are joined again where few genes differ.")
    ] = 1.0,
    min_genes: Annotated[
        int | None,
        typer.Option(
            "--min-genes",
            help="So many genes must tell two populations apart. Fewer: more populations.",
            show_default="a fifth of those between called types",
        ),
    ] = None,
    include_genes: Annotated[
        str | None,
        typer.Option(
            "--include-genes",
            metavar="GENES",
            help="Rank these only: genes between commas, a file, or surface, ribosomal, mitochondrial, hemoglobin.",
        ),
    ] = None,
    exclude_genes: Annotated[
        str | None, typer.Option("--exclude-genes", metavar="GENES", help="Leave these out, named the same way.")
    ] = None,
    top: Annotated[int, typer.Option("--top", help="Markers of each population that are shown.")] = 10,
    layer: cli_options.Layer = None,
    library_size: cli_options.LibrarySize = None,
    genes_by_cells: cli_options.GenesByCells = False,
    recover_counts: cli_options.RecoverCounts = False,
    min_panel_share: cli_options.MinPanelShare = None,
    min_attribution_share: cli_options.MinAttributionShare = None,
    trusted: cli_options.Trusted = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="All markers and columns, .csv or .parquet; or .json with the populations."),
    ] = None,
    cells_out: Annotated[
        Path | None,
        typer.Option(
            "--cells",
            metavar="CELLS",
            help="Calls and population of each cell: .csv or .parquet, or .h5ad (a copy with them in obs).",
        ),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="New folder for pictures of the markers: dots, heatmap, violins.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Populations and markers as JSON.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of everything that is drawn by chance.")] = 0,
    device: cli_options.Device = "cpu",
    force: cli_options.Force = False,
) -> None:
    """Group the cells that the model leaves unassigned, and find what tells each group from every type it knows.

    Cells are annotated, and the unassigned ones grouped by the expression of all their genes, not by the network, which
    sees what its own types differ in. A group is a *population* when it has --min-cells cells and --min-genes genes
    tell it from every other one. Its markers are genes that it surely has more of than *each* called type of the file:
    *next* is the called type with the largest mean. They need not be genes that the model looks at.

    A population may be a new type, a state, or no type at all: shallow or dying cells, doublets, or known cells that
    were refused. What speaks for that is said. None found is a good result: the exit status is 0.

    Example: `cellmark markers novel new.h5ad -m models:/pbmc@champion --donor sample -o novel.csv --cells cells.csv`

    Example: `cellmark markers novel new.h5ad -m models:/pbmc@champion --above 1.5 --include-genes surface`
    """
    import json

    from cellmark.schemas.atomic_output import refuse_existing
    from cellmark.schemas.cells.read import require_input

    from ..outputs.write_calls import TABLES, check_format, check_not_input, check_output
    from ..outputs.write_populations import write_population_cells, write_populations
    from ..reader.open_apart import open_source
    from ..scoring.called_cells import gather_called_cells
    from ..terminal.load_commands import load_training_step
    from ..terminal.progress import cell_progress, waiting
    from ..terminal.show import show_notes
    from ..terminal.show_populations import show_populations
    from .load_annotator import load_annotator

    search = load_training_step("new_populations")(
        min_cells=min_cells, resolution=resolution, min_genes=min_genes, include_genes=include_genes or (),
        exclude_genes=exclude_genes or (), seed=seed,
    )  # fmt: skip
    if top < 1:
        raise typer.BadParameter("at least 1.", param_hint="--top")
    require_input(data)
    if out is not None:
        check_format(out, (*TABLES, ".json"))
        refuse_existing(out, force=force)
        check_not_input(out, [data])
    if cells_out is not None:
        check_output(cells_out, force=force)
        check_not_input(cells_out, [data], origin=data)
    if figures is not None:
        refuse_existing(figures, force=force)
    annotator = load_annotator(
        model, device=device, trusted=trusted, min_panel_share=min_panel_share,
        min_attribution_share=min_attribution_share,
    )  # fmt: skip
    reading = {"layer": layer, "genes_by_cells": genes_by_cells, "recover_counts": recover_counts}
    may_write = cells_out is not None and cells_out.suffix == ".h5ad"
    with open_source(data, reading, trusted=trusted, may_write=may_write) as source:
        checked = annotator.check(source, library_size=library_size)
        with cell_progress("Annotating", source.n_obs) as advance:
            called = gather_called_cells(
                annotator, checked, above=above, donor=donor, seed=seed, on_progress=advance
            )  # fmt: skip
        show_notes(checked.notes)
        with waiting("Looking at unassigned cells") as say:
            found = search.find(called, on_step=say)
        show_notes(found.findings)
        if cells_out is not None:
            write_population_cells(found, called, cells_out, source=source, origin=data, force=force)
    if out is not None:
        write_populations(found, out, top=top, force=force)
    if figures is not None:
        search.draw(found, called, figures, force=force)
    if json_output:
        typer.echo(json.dumps(found.to_dict(top=top), indent=2, ensure_ascii=False, allow_nan=False))
        return
    show_populations(found, called, top=top)
    for path in (out, cells_out, figures):
        if path is not None:
            typer.echo(f"Written to {path}")
