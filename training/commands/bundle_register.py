"""`cellmark bundle register`: a bundle on this machine becomes a version in MLflow's registry."""

from pathlib import Path
from typing import Annotated

import typer

from cellmark.schemas.errors import Finding
from cellmark.schemas.short_message import message_lines


def register(
    folder: Annotated[Path, typer.Argument(help="Bundle folder.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Registered model. Default: the name that it was trained under.")
    ] = None,
) -> None:
    """Register a bundle as a new version, as `cellmark train` does at its end.

    For a model whose training could not reach MLflow, and for bundles that were carried here from another site. The
    version becomes challenger; the first of its name also becomes champion. `cellmark config show` says
    where the registry is.

    Example: `cellmark bundle register ./pbmc-bundle --name pbmc`
    """
    from rich.console import Console

    from ..tracking.register_kept import register_kept
    from .show_registered import where_to_look

    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def show(note: Finding) -> None:
        for line in message_lines(note):
            console.print(line, style="yellow", markup=False)

    made = register_kept(folder, name=name, on_step=lambda step: console.print(f"{step} …", style="dim"), on_note=show)
    version = made.version
    for note in version.notes:
        show(note)
    typer.echo(f"Registered {version.uri} ({', '.join(version.aliases)}), run {version.run_id}")
    for line in where_to_look(version, made.tracking_uri, made.pages):
        typer.echo(line)
