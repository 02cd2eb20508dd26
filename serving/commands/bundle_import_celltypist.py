"""`cellmark bundle import-celltypist`: a model of CellTypist's as a bundle."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Force


def import_celltypist(
    model_file: Annotated[Path, typer.Argument(metavar="FILE", help="Model of CellTypist: a .pkl file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder for the bundle.")],
    trust_pickle: Annotated[
        bool,
        typer.Option(
            "--trust-pickle",
            help="Read the file although it is a pickle. A separate process takes its arrays out and runs nothing.",
        ),
    ] = False,
    name: Annotated[str | None, typer.Option("--name", help="Name of the model. Default: the file's name.")] = None,
    organism: Annotated[
        str | None,
        typer.Option("--organism", help="Organism of its cells, such as human. Default: as its gene names tell."),
    ] = None,
    min_panel_share: Annotated[
        float, typer.Option("--min-panel-share", help="Share of the model's genes that cells to annotate must have.")
    ] = 0.5,
    force: Force = False,
) -> None:
    """Make a bundle of a CellTypist model: same calls, and with them explanations, the service and the registry.

    Not measured, since the file holds no cells: confidence is not calibrated, no cell stays unassigned, and there is no
    reference for `cellmark drift`. Every answer says so. Needs the training extra.

    Example: `cellmark bundle import-celltypist Immune_All_Low.pkl --trust-pickle -o ./immune-bundle`
    """
    from ..files.import_celltypist import import_celltypist as run
    from ..terminal.show import waiting

    with waiting(f"Reading {model_file.name}") as say:
        made = run(
            model_file,
            out,
            trust_pickle=trust_pickle,
            name=name,
            organism=organism,
            min_panel_share=min_panel_share,
            force=force,
            on_step=say,
        )
    manifest = made.manifest
    typer.echo(
        f"{manifest.name}: {len(manifest.cell_types)} cell types, {manifest.panel.n_genes:,} genes "
        f"({made.digest}) written to {out}"
    )
    typer.echo(f"Next: cellmark annotate cells.h5ad --model {out} -o calls.csv", err=True)
