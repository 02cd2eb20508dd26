"""`cellmark markers rank`: marker genes of labelled cells by established methods, without training a model."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions

from ..choices import Method
from .reading_options import Force, Label, LabelledData, MaxUnknownShare, MinCells, takes_reading


@takes_reading
def rank(
    data: LabelledData,
    method: Annotated[
        list[str] | None,  # typer has no lists of choices
        typer.Option(
            "--method",
            metavar="|".join(get_args(Method)),
            help="Ranking method. Repeat the option to compare methods.",
            show_default="wilcoxon",
        ),
    ] = None,
    label: Label = "cell_type",
    donor: Annotated[
        str | None,
        typer.Option(
            "--donor", help="Column of obs with the donors. Reports the share of donors in which each marker holds."
        ),
    ] = None,
    reading: ReadingOptions = AS_IT_IS,
    max_unknown_share: MaxUnknownShare = None,
    min_cells: MinCells = 10,
    include_genes: Annotated[
        str | None,
        typer.Option(
            "--include-genes",
            metavar="GENES",
            help="Rank only these genes: names separated by commas, a file, or a built-in list (surface, ribosomal, "
            "mitochondrial, hemoglobin).",
            rich_help_panel="Genes",
        ),
    ] = None,
    exclude_genes: Annotated[
        str | None,
        typer.Option(
            "--exclude-genes",
            metavar="GENES",
            help="Genes to exclude from the ranking, given as for --include-genes.",
            rich_help_panel="Genes",
        ),
    ] = None,
    max_genes: Annotated[
        int | None,
        typer.Option(
            "--max-genes",
            help="Rank only the genes that `cellmark train` would choose: at most this many, or 0 for all that pass "
            "its filter.",
            show_default="all genes with a count",
            rich_help_panel="Genes",
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", help="Number of markers shown per type.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Output file with all ranks and columns: .csv, .parquet, or .h5ad for scanpy's plots."
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Rank marker genes of labelled cells by established methods, in the layout of a model's own marker table.

    Each type is compared with all other cells. Wilcoxon rank sum, t-test and logistic regression are scanpy's with its
    defaults; COSG is its authors' package. *score*: the method's own. *p adj*: the method's own, over the genes of one
    type. With thousands of cells nearly all p-values are tiny, and cells of one donor are not independent. Rely on
    effects (log2FC, AUC, % in and out) and on donors instead. An .h5ad output has the ranking in
    `uns["rank_genes_groups"]`. A model's own ranking, by what its network uses, comes with `cellmark train`.

    Example: `cellmark markers rank pbmc.h5ad --method wilcoxon -o markers.csv`

    Example: `cellmark markers rank pbmc.h5ad --method wilcoxon --method cosg --donor batch --top 10`
    """
    import pandas as pd

    from cellmark.schemas.atomic_output import refuse_existing

    from ..markers.baseline_markers import baseline_markers, check_method
    from ..markers.gene_lists import gene_list, select
    from ..markers.marker_files import (
        TABLES,
        check_not_input,
        check_suffix,
        keep_genes,
        panel_genes,
        read_for_markers,
        write_h5ad,
        write_table,
    )
    from ..markers.marker_ranking import ranking_overlap
    from ..markers.marker_statistics import marker_statistics
    from ..setting_bounds import check_range
    from .show_markers import Steps, show_ranking, show_rankings

    methods = [check_method(name) for name in dict.fromkeys(method or ["wilcoxon"])]
    check_range("top", top, "at least 1", low=1)
    if out is not None:
        check_suffix(out, (*TABLES, ".h5ad"))
        check_not_input(out, data)
        refuse_existing(out, force=force)
    include = gene_list(include_genes) if include_genes is not None else ()
    exclude = gene_list(exclude_genes) if exclude_genes is not None else ()
    steps = Steps()
    with steps.step(f"Reading {data.name}"):
        found = read_for_markers(
            data,
            label=label,
            donor=donor,
            reading=reading,
            max_unknown_share=max_unknown_share,
            min_cells=min_cells,
        )
        if max_genes is not None:
            found = keep_genes(found, panel_genes(found, max_genes=max_genes or None))
        selection = select(found.gene_symbols, found.gene_ids, include=include, exclude=exclude)
        found = keep_genes(found, selection.allowed)
    steps.notes((*found.cells.notes, *selection.findings))
    cells = found.cells
    with steps.step("Measuring effects"):
        # The p-values of this table are the methods' own.
        statistics = marker_statistics(
            found.x, cells.codes, n_types=len(cells.cell_types), donors=cells.donors, n_permutations=0, seed=0
        )
    tables = []
    for name in methods:
        with steps.step(f"Ranking by {name}"):
            tables.append(
                baseline_markers(
                    found.x,
                    cells.codes,
                    cell_types=cells.cell_types,
                    gene_symbols=found.gene_symbols,
                    gene_ids=found.gene_ids,
                    method=name,
                    statistics=statistics,
                )
            )
    table = pd.concat(tables, ignore_index=True)
    keys: tuple[str, ...] = ()
    if out is not None and out.suffix == ".h5ad":
        keys = write_h5ad(table, data, out, label=label, force=force)
    elif out is not None:
        write_table(table, out, force=force)
    if len(methods) == 1:
        show_ranking(table, f"Markers by {methods[0]}: {cells.n_obs:,} cells, {len(found.genes):,} genes", top=top)
    else:
        show_rankings(table, ranking_overlap(table), top=top, overlap_top=10)
    if out is not None:
        typer.echo(f"Written to {out}" + (f", in uns: {', '.join(keys)}" if keys else ""))
