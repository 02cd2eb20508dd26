"""`cellmark markers compare`: which markers a condition gains or loses."""

from pathlib import Path
from typing import Annotated

import typer

from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions

from .reading_options import Force, Label, LabelledData, MaxUnknownShare, takes_reading


@takes_reading
def compare(
    data: LabelledData,
    by: Annotated[
        str,
        typer.Option(
            "--by", metavar="OBS_COLUMN", help="Column of obs with the conditions to compare, such as disease or stage."
        ),
    ],
    label: Label = "cell_type",
    donor: Annotated[
        str | None,
        typer.Option("--donor", help="Column of obs with the donors. Without it there are no intervals and no tests."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="CONDITION",
            help="Condition to compare with. Default: with two conditions the first by name; with more, all others "
            "together.",
        ),
    ] = None,
    markers: Annotated[
        Path | None,
        typer.Option(
            "--markers",
            help="Marker table (.csv, .parquet), such as a bundle's. Only its top genes are compared.",
            rich_help_panel="Thresholds",
        ),
    ] = None,
    ranks: Annotated[
        int,
        typer.Option(
            "--ranks", help="Number of top genes per type to take from --markers.", rich_help_panel="Thresholds"
        ),
    ] = 50,
    reading: ReadingOptions = AS_IT_IS,
    max_unknown_share: MaxUnknownShare = None,
    min_cells: Annotated[
        int,
        typer.Option(
            "--min-cells",
            help="Smallest number of cells of a type that a donor needs to count for it.",
            rich_help_panel="Thresholds",
        ),
    ] = 10,
    min_fold_change: Annotated[
        float,
        typer.Option(
            "--min-fold-change",
            help="Smallest fold change of a marker: expression in the type divided by that in the average other type.",
            rich_help_panel="Thresholds",
        ),
    ] = 2.0,
    min_fraction: Annotated[
        float,
        typer.Option(
            "--min-fraction",
            help="Smallest fraction of the type's cells that express a marker.",
            rich_help_panel="Thresholds",
        ),
    ] = 0.1,
    min_change: Annotated[
        float,
        typer.Option(
            "--min-change",
            help="Smallest fold change between conditions that counts as a change.",
            rich_help_panel="Thresholds",
        ),
    ] = 2.0,
    alpha: Annotated[
        float,
        typer.Option(
            "--alpha",
            help="Largest adjusted p-value of a change. Intervals have the level 1 - alpha.",
            rich_help_panel="Thresholds",
        ),
    ] = 0.05,
    top: Annotated[int, typer.Option("--top", help="Number of changes per type to show and draw.")] = 5,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Output file with all genes and columns: .csv or .parquet.")
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", help="Output file for a picture of the largest changes: .png, .svg or .pdf."),
    ] = None,
    force: Force = False,
) -> None:
    """Find the markers that a condition gains or loses, type by type, and by how much.

    A gene's effect is its log2 fold change, the type against the average other type, in each donor. The other types
    weigh the same, so a shift in composition is no change of markers. *change* is the condition's mean effect minus the
    reference's: -1 is half as specific. Intervals are over donors, not cells. They need --donor and at least two donors
    per condition; three or more to decide much.

    *gained*, *lost*: a marker on one side only. *stronger*, *weaker*: on both. All four need an adjusted p-value of at
    most --alpha and a change of at least --min-change. *kept*: a marker on both sides, and the whole interval is
    smaller than a change. *undecided*: none of these. The columns change_in_type and change_in_rest show whether the
    type or the other types changed. Donors in both conditions are compared with themselves. To compare donors with each
    other, name their column in --by and in --donor.

    Example: `cellmark markers compare lung.h5ad --by disease --reference normal --donor donor_id -o changes.csv`

    Example: `cellmark markers compare gut.h5ad --by stage --donor embryo --markers bundle/markers.parquet --figure
    changes.png`
    """
    import math

    from cellmark.schemas.atomic_output import refuse_existing, whole_file

    from ..markers.compare_conditions import compare_conditions
    from ..markers.marker_changes import ChangeRules
    from ..markers.marker_files import (
        TABLES,
        check_not_input,
        check_suffix,
        chosen_markers,
        read_for_markers,
        read_marker_file,
        write_table,
    )
    from ..setting_bounds import check_range
    from .show_markers import Steps, show_comparison

    for path, suffixes in ((out, TABLES), (figure, (".png", ".svg", ".pdf"))):
        if path is not None:
            check_suffix(path, suffixes)
            check_not_input(path, data)
            refuse_existing(path, force=force)
    check_range("min_fold_change", min_fold_change, "at least 1", low=1)
    check_range("min_change", min_change, "at least 1", low=1)
    check_range("min_fraction", min_fraction, "between 0 and 1", low=0, high=1)
    check_range("alpha", alpha, "above 0 and below 1", low=1e-300, high=1 - 1e-9)
    check_range("top", top, "at least 1", low=1)
    check_range("ranks", ranks, "at least 1", low=1)
    rules = ChangeRules(math.log2(min_fold_change), min_fraction, math.log2(min_change), alpha)
    given = None if markers is None else read_marker_file(markers)
    steps = Steps()
    with steps.step(f"Reading {data.name}"):
        found = read_for_markers(
            data,
            label=label,
            donor=donor,
            by=by,
            reading=reading,
            max_unknown_share=max_unknown_share,
            min_cells=min_cells,
        )
    assert found.conditions is not None  # noqa: S101
    steps.notes(found.cells.notes)
    names = {"cell_types": found.cells.cell_types, "gene_symbols": found.gene_symbols}
    chosen = None if given is None else chosen_markers(given, **names, ranks=ranks)
    with steps.step("Comparing", total=len(found.genes)) as advance:
        comparison = compare_conditions(
            found.x,
            found.cells.codes,
            found.conditions,
            donors=found.cells.donors,
            **names,
            gene_ids=found.gene_ids,
            reference=reference,
            chosen=chosen,
            min_cells=min_cells,
            rules=rules,
            on_progress=advance,
        )
    if out is not None:
        write_table(comparison.table, out, force=force)
    if figure is not None:
        from ..figures.compare_figure import compare_figure
        from ..figures.figure_files import file_of

        with whole_file(figure, force=force) as draft:
            draft.write_bytes(file_of(compare_figure(comparison.table, top=top), figure.suffix))
    show_comparison(comparison, top=top)
    for path in (out, figure):
        if path is not None:
            typer.echo(f"Written to {path}")
