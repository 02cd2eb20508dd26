"""`cellmark batch explain`: what a job says of genes and cell types, without loading all of it."""

from pathlib import Path
from typing import Annotated

import typer

from . import options as cli_options

TOP = 10


def explain_job(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Folder of a job that was planned with --explain.")],
    gene: Annotated[
        str | None,
        typer.Option("--gene", help="Show this gene: in which types and samples it speaks for or against the call."),
    ] = None,
    cell_type: Annotated[
        str | None, typer.Option("--cell-type", help="Only cells called this type, or `unassigned`.")
    ] = None,
    sample: Annotated[str | None, typer.Option("--sample", help="Only this sample of the job.")] = None,
    top: Annotated[int, typer.Option("--top", min=0, help="Rows of each cell type. 0 shows all.")] = TOP,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Write instead a row for each cell and gene asked for, of all ranks: .csv or .parquet."
        ),
    ] = None,
    force: cli_options.Force = False,
) -> None:
    """List the genes that drove the calls of each type over all samples, or where one gene did.

    *a cell*: what the gene adds to the score of the type in a cell, zero where it is not among the cell's genes.
    *% listed*: share of cells among whose genes it is. *for*, *against*: cells in which it speaks for or against the
    call. *mean*: its attribution in these. *lowest %*: the lowest share of cells in a sample. Samples that are not
    finished count as far as they are scored.

    Example: `cellmark batch explain job --cell-type "CD8 T cells"`

    Example: `cellmark batch explain job --gene CD8A -o cd8a.parquet`
    """
    from ..batch.job_folder import JobFolder
    from ..batch.query_explanations import CELL_ROWS, CellsAsked, open_explanations
    from ..outputs.write_calls import TABLES, check_format
    from ..outputs.write_rows import write_rows
    from ..terminal.show_explanations import show_explanations

    if out is not None:
        check_format(out, TABLES)
    explanations = open_explanations(JobFolder(job))
    asked = explanations.check(CellsAsked(gene, cell_type, sample))
    if gene is not None and asked.gene != gene:
        typer.echo(f"{gene} is {asked.gene} in the model.", err=True)
    if out is not None:
        n_rows = write_rows(explanations.cells(asked), CELL_ROWS, out, force=force)
        typer.echo(f"{n_rows:,} rows written to {out}")
    elif asked.gene is None:
        rows = explanations.genes_of_types(asked, top=top or None)
        show_explanations(rows, f"Genes behind the calls of {job.name}", of_gene=False)
    else:
        rows = explanations.samples_of_gene(asked, top=top or None)
        show_explanations(rows, f"{asked.gene} behind the calls of {job.name}", of_gene=True)
