"""`cellmark export`: calls in the formats of others."""

from pathlib import Path
from typing import Annotated

import typer

from . import options as cli_options
from .help_levels import command_group

export = command_group(help="Calls in the formats of others: the Cell Annotation Schema.")
ABOUT = "About the annotations"


@export.callback()
def group() -> None:
    """Calls in the formats of others: the Cell Annotation Schema."""


@export.command()
def cas(
    calls: Annotated[
        list[Path],
        typer.Argument(
            help="Calls that `cellmark annotate` wrote: .parquet, .csv or .h5ad. Several become one document."
        ),
    ],
    model: cli_options.Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Output file: .json.")],
    author: Annotated[
        str,
        typer.Option("--author", metavar="'FIRST LAST'", rich_help_panel=ABOUT, help="Name of the primary author."),
    ],
    title: Annotated[
        str, typer.Option("--title", rich_help_panel=ABOUT, help="Title of the data set, at most 200 characters.")
    ],
    explanations: Annotated[
        Path | None,
        typer.Option(
            "--explanations",
            metavar="FILE",
            help="Table of `cellmark explain` about some of these cells: the genes behind their calls become evidence.",
        ),
    ] = None,
    clusters: Annotated[
        str | None,
        typer.Option(
            "--clusters",
            metavar="COLUMN",
            help="Also annotate the clusters in this column of CALLS, such as leiden of an annotated .h5ad.",
        ),
    ] = None,
    columns_prefix: Annotated[
        str | None,
        typer.Option(
            "--columns-prefix",
            metavar="PREFIX",
            help="What stands for cellmark in the names of columns. Default: what a table's facts say, else cellmark.",
        ),
    ] = None,
    symbol_column: Annotated[
        str | None,
        typer.Option(
            "--symbol-column",
            metavar="VAR_COLUMN",
            help="Column of var of an .h5ad that holds the gene symbols, as given to annotate.",
        ),
    ] = None,
    markers: Annotated[int, typer.Option("--markers", min=1, help="Markers that are named for each type.")] = 5,
    cell_ids: Annotated[
        bool, typer.Option("--cell-ids/--no-cell-ids", help="List the cells of each annotation.")
    ] = True,
    description: Annotated[
        str | None, typer.Option("--description", rich_help_panel=ABOUT, help="Description of the data set.")
    ] = None,
    contact: Annotated[
        str | None, typer.Option("--contact", rich_help_panel=ABOUT, help="Email address of the author.")
    ] = None,
    orcid: Annotated[str | None, typer.Option("--orcid", rich_help_panel=ABOUT, help="ORCID of the author.")] = None,
    matrix: Annotated[
        str | None,
        typer.Option(
            "--matrix",
            metavar="NAMESPACE:ACCESSION",
            rich_help_panel=ABOUT,
            help="Where the cells' matrix is, such as CellXGene_dataset:ACCESSION.",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            rich_help_panel=ABOUT,
            help="Lasting address of the annotations. The Cell Annotation Platform requires one.",
        ),
    ] = None,
    release: Annotated[
        str, typer.Option("--release", rich_help_panel=ABOUT, help="Version of the annotations.")
    ] = "1.0.0",
    algorithm_url: Annotated[
        str | None,
        typer.Option(
            "--algorithm-url", rich_help_panel=ABOUT, help="Address of cellmark's repository. Default: the package's."
        ),
    ] = None,
    trusted: cli_options.Trusted = False,
    force: cli_options.Force = False,
) -> None:
    """Write annotations in the Cell Annotation Schema, as the Cell Annotation Platform reads them.

    One annotation for each called type (and level, and cluster): its cells, its term of the Cell Ontology where the
    model has one, marker genes that these cells measured, and a rationale in words, made of the calls, the model's
    markers and, with --explanations, the genes behind the calls. Unassigned cells become `unknown`.

    Example: `cellmark export cas calls.parquet --model models:/pbmc@champion --author 'Ada Lovelace' --title PBMC
    -o calls.cas.json`
    """
    import json

    from cellmark.schemas.atomic_output import refuse_existing, whole_file

    from ..export.annotated_cells import read_annotated
    from ..export.cas import Cas
    from ..export.cas_options import CasAuthor
    from ..export.explained_calls import read_explanations
    from ..models.model_source import open_model
    from ..outputs.write_calls import check_format, check_not_input, facts_path

    about = CasAuthor(
        name=author,
        title=title,
        description=description,
        contact=contact,
        orcid=orcid,
        matrix=matrix,
        url=url,
        release=release,
        algorithm_url=algorithm_url,
    )
    check_format(out, (".json",))
    refuse_existing(out, force=force)
    # The facts beside a table have the name that comes to mind for this document too.
    check_not_input(out, [*calls, *map(facts_path, calls), *([explanations] if explanations is not None else [])])
    source = open_model(model)
    cells = read_annotated(
        calls, source, clusters=clusters, prefix=columns_prefix, symbol_column=symbol_column, trusted=trusted
    )
    why = None if explanations is None else read_explanations(explanations, trusted=trusted)
    document = Cas(source, cells, about, why, clusters, markers, cell_ids).document()
    with whole_file(out, force=force) as draft:
        draft.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    typer.echo(f"{len(document['annotations'])} annotations of {len(cells.calls):,} cells written to {out}")
