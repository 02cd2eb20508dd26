"""`cellmark bundle`: verify a bundle, and carry it to and from sites without a registry."""

from pathlib import Path
from typing import Annotated

import typer

from .cli import EntryPointCommands
from .help_levels import command_group
from .options import Force, Model


class BundleCommands(EntryPointCommands):
    """What can be done with a bundle; registering one belongs to training."""

    entry_points_of = "cellmark.bundle.commands"
    order = ("verify", "export", "import", "import-celltypist", "register")


bundle = command_group(
    cls=BundleCommands,
    help="Verify a bundle, register it, move it as one file to a site without a registry, or import another tool's "
    "model.",
)


@bundle.command()
def verify(
    model: Annotated[str, typer.Argument(help="Bundle folder or MLflow URI.")],
    run: Annotated[bool, typer.Option("--run/--no-run", help="Also run the self-test on the golden cells.")] = True,
) -> None:
    """Check the digest of every file, then run the model's self-test on its golden cells.

    Example: `cellmark bundle verify ./pbmc-bundle`
    """
    from ..models.model_source import open_model

    source = open_model(model)
    manifest = source.bundle.manifest
    typer.echo(f"{source.name}: {len(manifest.files) + 1} files match their digests, bundle {source.bundle.digest}")
    if run:
        from ..scoring.session import ModelSession

        ModelSession(source.bundle)
        typer.echo("The golden cells gave the numbers stored at export.")


@bundle.command("export")
def export_command(
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Output: a .tar file or a new folder.")],
    force: Force = False,
) -> None:
    """Write a bundle as one .tar file (or a folder) that can be carried anywhere.

    Example: `cellmark bundle export --model models:/pbmc@champion -o pbmc.tar`
    """
    from ..models.carry_bundle import export_bundle
    from ..models.model_source import open_model

    source = open_model(model)
    export_bundle(source.bundle, out, force=force)
    typer.echo(f"{source.name} ({source.bundle.digest}) written to {out}")


@bundle.command("import")
def import_command(
    archive: Annotated[Path, typer.Argument(help="A .tar file that `cellmark bundle export` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder for the bundle.")],
    force: Force = False,
) -> None:
    """Unpack an exported bundle and verify it. An archive that fails leaves nothing behind.

    Example: `cellmark bundle import pbmc.tar -o ./pbmc-bundle`
    """
    from ..models.carry_bundle import import_bundle

    imported = import_bundle(archive, out, force=force)
    typer.echo(f"{imported.manifest.name} ({imported.digest}) is in {out}")
