"""`cellmark markers novel`: what the unassigned cells are."""

from pathlib import Path
from typing import Annotated

import typer

from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions

from ..scoring.call_options import NO_FLOORS, Floors
from . import options as cli_options
from .complete import complete_obs


@cli_options.takes_groups
def novel(
    data: cli_options.Data,
    model: cli_options.Model,
    donor: Annotated[
        str | None,
        typer.Option(
            "--donor",
            autocompletion=complete_obs,
            metavar="OBS_COLUMN",
            help="Column of obs with the donors or samples. Reports how each population spreads over them.",
        ),
    ] = None,
    above: Annotated[
        float | None,
        typer.Option(
            "--above",
            help="Group the cells with a novelty above this value. Default: the cells that the model leaves "
            "unassigned.",
            rich_help_panel="Populations",
        ),
    ] = None,
    min_cells: Annotated[
        int,
        typer.Option("--min-cells", help="Smallest number of cells in a population.", rich_help_panel="Populations"),
    ] = 10,
    resolution: Annotated[
        float,
        typer.Option(
            "--resolution",
            help="Resolution of the Leiden clustering. Clusters that differ in few genes are joined afterwards.",
            rich_help_panel="Populations",
        ),
    ] = 1.0,
    min_genes: Annotated[
        int | None,
        typer.Option(
            "--min-genes",
            help="Number of genes that must differ between two populations. A smaller number gives more populations.",
            show_default="a fifth of those between called types",
            rich_help_panel="Populations",
        ),
    ] = None,
    include_genes: Annotated[
        str | None,
        typer.Option(
            "--include-genes",
            metavar="GENES",
            help="Rank only these genes: names separated by commas, a file, or a built-in list (surface, ribosomal, "
            "mitochondrial, hemoglobin).",
            rich_help_panel="Markers",
        ),
    ] = None,
    exclude_genes: Annotated[
        str | None,
        typer.Option(
            "--exclude-genes",
            metavar="GENES",
            help="Genes to exclude from the ranking, given as for --include-genes.",
            rich_help_panel="Markers",
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", help="Number of markers shown per population.")] = 10,
    reading: ReadingOptions = AS_IT_IS,
    floors: Floors = NO_FLOORS,
    sample: cli_options.Sample = None,
    fixed_threshold: cli_options.FixedThreshold = False,
    trusted: cli_options.Trusted = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Output file: all markers as .csv or .parquet, or the populations as .json."),
    ] = None,
    cells_out: Annotated[
        Path | None,
        typer.Option(
            "--cells",
            metavar="CELLS",
            help="Output file with the call and the population of each cell: .csv, .parquet, or a copy of the input "
            "as .h5ad.",
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option("--figures", help="New folder for pictures of the markers: dot plot, heatmap, violin plot."),
    ] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print populations and markers as JSON to standard output.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Random seed.", rich_help_panel="Computing")] = 0,
    device: cli_options.Device = "cpu",
    force: cli_options.Force = False,
) -> None:
    """Group the cells that stay unassigned, and find the marker genes of each group.

    Cells are annotated first, a file as one sample. The unassigned ones are clustered by the expression of all genes,
    not by the network, which sees only what its own types differ in. A group is a *population* when it has at least
    --min-cells cells and differs from every other group in at least --min-genes genes. Its markers are higher than in
    *each* called type of the file, by more than two standard errors. *next* is the called type with the largest mean.
    Markers may lie outside the model's panel.

    A population may be a new type, a state, or no type at all: shallow or dying cells, doublets, or known cells that
    were not recognised. Warnings say what speaks for that. Finding no population is a valid result: exit status 0.

    Example: `cellmark markers novel new.h5ad -m models:/pbmc@champion --donor sample -o novel.csv --cells cells.csv`

    Example: `cellmark markers novel new.h5ad -m models:/pbmc@champion --above 1.5 --include-genes surface`
    """
    from cellmark.schemas.atomic_output import refuse_existing
    from cellmark.schemas.cells.read import require_input
    from cellmark.schemas.columns import UNS_KEY
    from cellmark.schemas.errors import Finding
    from cellmark.schemas.json_document import print_document

    from ..files.annotate_file import load_annotator, open_checked
    from ..files.fetch_inputs import fetch_input
    from ..outputs.write_calls import TABLES, check_format, check_not_input, check_output
    from ..outputs.write_markers import write_population_cells, write_populations
    from ..scoring.called_cells import gather_called_cells
    from ..scoring.training_steps import load_training_step
    from ..terminal.show import cell_progress, waiting
    from ..terminal.show_markers import show_populations
    from ..terminal.show_notes import show_notes

    search = load_training_step("new_populations")(
        min_cells=min_cells,
        resolution=resolution,
        min_genes=min_genes,
        include_genes=include_genes or (),
        exclude_genes=exclude_genes or (),
        seed=seed,
    )
    if top < 1:
        raise typer.BadParameter("at least 1.", param_hint="--top")
    options = cli_options.whole_samples(sample, fixed_threshold)
    data = fetch_input(data)
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
        model,
        device=device,
        trusted=trusted,
        floors=floors,
    )
    may_write = cells_out is not None and cells_out.suffix == ".h5ad"
    with open_checked(annotator, data, reading, trusted=trusted, may_write=may_write) as checked:
        with cell_progress("Annotating", checked.source.n_obs) as advance:
            called = gather_called_cells(
                annotator, checked, options, above=above, donor=donor, seed=seed, on_progress=advance
            )
        show_notes(Finding(**note) for note in called.calls.attrs[UNS_KEY]["notes"])
        with waiting("Looking at unassigned cells") as say:
            found = search.find(called, on_step=say)
        show_notes(found.findings)
        if cells_out is not None:
            write_population_cells(found, called, cells_out, source=checked.given, origin=data, force=force)
    if out is not None:
        write_populations(found, out, top=top, force=force)
    if figures is not None:
        search.draw(found, called, figures, force=force)
    if json_output:
        print_document(found.to_dict(top=top))
        return
    show_populations(found, called, top=top)
    for path in (out, cells_out, figures):
        if path is not None:
            typer.echo(f"Written to {path}")
