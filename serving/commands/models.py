"""`cellmark models`: what is registered, and which version serves."""

from typing import Annotated

import typer

from cellmark.schemas.errors import Finding

from .help_levels import command_group

models = command_group(help="Registered models: list them, show one, choose the version in use.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@models.command("list")
def list_(as_json: Json = False) -> None:
    """List registered models, with the champion of each and its scores on test cells.

    `cellmark config show` says which registry that is.

    Example: `cellmark models list`
    """
    from cellmark.schemas.json_document import print_document

    from ..models.list_models import list_models
    from ..terminal.show import waiting
    from ..terminal.show_models import print_models
    from ..terminal.show_notes import show_notes

    notes: list[Finding] = []
    with waiting("Asking MLflow"):
        found = list_models(on_note=notes.append)
    show_notes(notes)
    if as_json:
        print_document({"uri": found.uri, "models": [entry.to_dict() for entry in found.models]})
    else:
        print_models(found)


@models.command()
def show(
    model: Annotated[str, typer.Argument(help="Name of a registered model, MLflow URI or bundle folder.")],
    as_json: Json = False,
) -> None:
    """Show a registered model's versions, or the content of one version.

    A bare name lists versions with their aliases, measures and who promoted them. A URI or a folder opens that bundle
    and shows its cell types, data, measures and digests.

    Example: `cellmark models show pbmc`

    Example: `cellmark models show models:/pbmc@champion`
    """
    from pathlib import Path

    from cellmark.schemas.json_document import print_document

    from ..models.list_models import show_model
    from ..models.model_source import open_model
    from ..terminal.show import waiting
    from ..terminal.show_models import print_bundle, print_model
    from ..terminal.show_notes import show_notes

    if model.startswith(("models:/", "runs:/")) or Path(model).is_dir():
        with waiting(f"Opening {model}"):
            source = open_model(model)
        if as_json:
            manifest = source.bundle.manifest.model_dump(mode="json")
            print_document({"name": source.name, "version": source.version, "manifest": manifest})
        else:
            print_bundle(source)
        return
    notes: list[Finding] = []
    with waiting("Asking MLflow"):
        entry = show_model(model, on_note=notes.append)
    show_notes(notes)
    if as_json:
        print_document(entry.to_dict())
    else:
        print_model(entry)


@models.command()
def promote(
    name: Annotated[str, typer.Argument(help="Name of a registered model.")],
    version: Annotated[str | None, typer.Option("--version", help="Version number to promote.")] = None,
    alias: Annotated[
        str | None,
        typer.Option(
            "--alias",
            help="Alias of the version to promote, if no --version is given. Default: challenger, the newest version.",
        ),
    ] = None,
    to: Annotated[str, typer.Option("--to", help="Alias to give to the version.")] = "champion",
    as_json: Json = False,
) -> None:
    """Make a version the champion, the one that services and batch jobs use.

    The version is tagged with who promoted it, when, and from which version. To go back, promote the old version by its
    number.

    Example: `cellmark models promote pbmc`

    Example: `cellmark models promote pbmc --version 3`
    """
    from dataclasses import asdict

    from cellmark.schemas.json_document import print_document

    from ..models.promote import promote as move
    from ..terminal.show import waiting
    from ..terminal.show_models import print_promotion
    from ..terminal.show_notes import show_notes

    notes: list[Finding] = []
    with waiting("Asking MLflow"):
        promotion = move(name, version=version, alias=alias, to=to, on_note=notes.append)
    show_notes(notes)
    if as_json:
        print_document({**asdict(promotion), "moved": promotion.moved})
    else:
        print_promotion(promotion)
