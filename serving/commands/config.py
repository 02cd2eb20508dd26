"""`cellmark config`: what holds in every folder, above all which registry."""

from typing import Annotated

import typer

from .help_levels import command_group

config = command_group(help="Settings of this user, such as the registry of models, whatever the folder.")
Name = Annotated[str, typer.Argument(metavar="SETTING", help="Name of the setting. There is one: registry.")]


@config.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the settings, the file that holds them, and which registry is used in this folder, and why.

    In this order: `MLFLOW_TRACKING_URI`, the setting `registry`, a file `mlflow.db` in the working folder, and
    `mlflow.db` in the folder of this user, `CELLMARK_HOME` (default: `~/.cellmark`).

    Example: `cellmark config show`
    """
    from cellmark.schemas.json_document import print_document
    from cellmark.schemas.tracking.tracking_uri import find_registry, public_uri
    from cellmark.schemas.tracking.user_config import FILE, home_folder, read_config

    home = home_folder()
    settings = {name: public_uri(value) for name, value in read_config(home).items()}
    registry = find_registry()
    path = None if home is None else str(home / FILE)
    if as_json:
        used = {"uri": public_uri(registry.uri), "chosen_by": registry.chosen_by}
        print_document({"file": path, "settings": settings, "registry": used})
        return
    typer.echo(f"Settings: {path or 'none, since this user has no home folder'}")
    for name, value in settings.items():
        typer.echo(f"  {name} = {value}")
    typer.echo(str(registry))


@config.command("set")
def set_(
    name: Name,
    value: Annotated[
        str,
        typer.Argument(
            help="For registry: the address of a tracking server (http://...), a database (postgresql://..., "
            "sqlite:///FILE), or the path of a SQLite file."
        ),
    ],
) -> None:
    """Set what holds in every folder where `MLFLOW_TRACKING_URI` is not set.

    Example: `cellmark config set registry http://mlflow.lab.example:5000`

    Example, one database for all folders: `cellmark config set registry ~/models/mlflow.db`
    """
    from cellmark.schemas.tracking.tracking_uri import registry_uri
    from cellmark.schemas.tracking.user_config import check_setting, read_config, required_home, write_config

    check_setting(name)
    home = required_home()
    path = write_config(home, {**read_config(home), name: registry_uri(value)})
    typer.echo(f"Written to {path}")


@config.command()
def unset(name: Name) -> None:
    """Forget a setting.

    Example: `cellmark config unset registry`
    """
    from cellmark.schemas.tracking.user_config import check_setting, read_config, required_home, write_config

    check_setting(name)
    home = required_home()
    settings = read_config(home)
    if name not in settings:
        typer.echo(f"{name} is not set")
        return
    path = write_config(home, {key: value for key, value in settings.items() if key != name})
    typer.echo(f"Written to {path}")
