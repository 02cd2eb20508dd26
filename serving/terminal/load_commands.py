"""Commands found through entry points, so that each world adds its own and neither imports the other."""

from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from cellmark.schemas.errors import Finding, SetupError

TRAINING_MODULE = "cellmark.training."
TRAINING_STEPS = "cellmark.training_steps"
TRAINING_NEEDS = ("torch", "onnx", "sklearn", "mlflow")
CLUSTERS_NEED = ("scanpy", "igraph")
INSTALL_CLUSTERS = "pip install 'cellmark[clusters]'"
INSTALL_TRAINING = "pip install 'cellmark[train,cpu]'"


class EntryPointCommands(TyperGroup):
    """The commands of one entry-point group, loaded when they are run or listed.

    `entry_points_of`: name of the group. `order`: commands that are listed first; the others follow by name.
    """

    entry_points_of: ClassVar[str]
    order: ClassVar[tuple[str, ...]] = ()

    def list_commands(self, ctx: Any) -> list[str]:
        names = [entry.name for entry in entry_points(group=self.entry_points_of)]
        return sorted(names, key=lambda name: (self.order.index(name) if name in self.order else len(self.order), name))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = [entry for entry in entry_points(group=self.entry_points_of) if entry.name == cmd_name]
        if not found:
            return None
        entry = found[0]
        command = load_command(entry)
        if entry.value.startswith(TRAINING_MODULE) and missing_training():
            return _not_installed(entry.name, command)
        return command


def load_training_step(name: str) -> Any:
    """What training offers to a command of serving under that name (entry points `cellmark.training_steps`), which
    needs the training extra. Raises `SetupError` (`EXTRA_MISSING`) without it.
    """
    if missing_training():
        raise _needs_training(name)
    return _step(name)


def load_clusters_step() -> Any:
    """The step `clusters`: it needs scanpy and igraph, and neither torch nor anything else of the training extra.

    Raises `SetupError` (`EXTRA_MISSING`) without them.
    """
    missing = [package for package in CLUSTERS_NEED if find_spec(package) is None]
    if missing:
        raise SetupError(
            Finding("EXTRA_MISSING", "clusters", "the extra clusters", f"no {', '.join(missing)}",
                    f"Install it with: {INSTALL_CLUSTERS}")
        )  # fmt: skip
    return _step("clusters")


def _step(name: str) -> Any:
    (entry,) = entry_points(group=TRAINING_STEPS, name=name)
    return entry.load()


def missing_training() -> list[str]:
    """Packages of the extra `train` that are not installed."""
    return [name for name in TRAINING_NEEDS if find_spec(name) is None]


def load_command(entry: EntryPoint) -> Any:
    """The command of an entry point that names a function or a `typer.Typer`."""
    loaded = entry.load()
    if isinstance(loaded, typer.Typer):
        command = typer.main.get_command(loaded)
        command.name = entry.name
        return command
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
    single.command(name=entry.name)(loaded)
    return typer.main.get_command(single)


def _needs_training(name: str) -> SetupError:
    found = f"no {', '.join(missing_training())}" if missing_training() else "an installation without it"
    return SetupError(
        Finding("EXTRA_MISSING", name, "the training extra", found, f"Install it with: {INSTALL_TRAINING}")
    )


def _not_installed(name: str, command: Any) -> TyperCommand:
    """Stands in for a training command on a machine without the extra: listed, and answered with the remedy."""

    def explain(_arguments: list[str] = typer.Argument(None, metavar="...")) -> None:  # noqa: B008
        raise _needs_training(name)

    summary = (command.help or "").strip().split("\n\n")[0]
    explain.__doc__ = f"{summary} (needs the training extra: {INSTALL_TRAINING})"
    # As Markdown: Rich's own markup would take the extras' brackets for a style and leave them out.
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
    single.command(name=name, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(explain)
    stand_in: TyperCommand = typer.main.get_command(single)  # type: ignore[assignment]
    return stand_in
