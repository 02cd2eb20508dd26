"""`cellmark to-parquet`: cells as rows of a Parquet, for Spark, Ray and other engines of tables."""

from pathlib import Path
from typing import Annotated

import typer

from . import options as cli_options


def to_parquet(
    data: cli_options.Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Output file: .parquet.")],
    layer: cli_options.Layer = None,
    library_size: cli_options.LibrarySize = None,
    genes_by_cells: cli_options.GenesByCells = False,
    recover_counts: cli_options.RecoverCounts = False,
    trusted: cli_options.Trusted = False,
    force: cli_options.Force = False,
) -> None:
    """Write cells as a Parquet with one row for each, for a registered model in Spark or Ray.

    Columns: cell_id, indices and counts (lists of the genes' numbers and their counts) and library_size (over all
    genes, or the column named by --library-size). The names of the genes are in the file's metadata. Few cells are in
    memory at a time. docs/engines.md shows what follows.

    Example: `cellmark to-parquet cells.h5ad -o cells.parquet`
    """
    from cellmark.schemas.cells.read import require_input
    from cellmark.schemas.cells.reading_options import ReadingOptions

    from ..files.fetch_inputs import fetch_input
    from ..outputs.write_calls import check_not_input, check_output
    from ..outputs.write_listed import write_listed
    from ..reader.open_apart import open_source
    from ..terminal.show import cell_progress, cells_in_words
    from ..terminal.show_notes import show_notes

    data = fetch_input(data)
    require_input(data)
    check_output(out, force=force, formats=(".parquet",))
    check_not_input(out, [data])
    reading = ReadingOptions(layer=layer, genes_by_cells=genes_by_cells, recover_counts=recover_counts)
    with open_source(data, reading, trusted=trusted) as source:
        with cell_progress(data.name, source.n_obs) as advance:
            written = write_listed(source, out, library_size=library_size, force=force, on_progress=advance)
        show_notes(written.notes)
        typer.echo(f"{cells_in_words(written.n_obs)} x {written.n_vars:,} genes written to {out}")
