"""Commands found through entry points, so that each world adds its own and neither imports the other."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from ..scoring.training_steps import INSTALL_TRAINING, missing_training, needs_training

TRAINING_MODULE = "cellmark.training."


class EntryPointCommands(TyperGroup):
    """A group's own commands and those of one entry-point group, which are loaded when they are run or listed.

    `entry_points_of`: name of the group. `order`: commands that are listed first; the others follow by name.
    """

    entry_points_of: ClassVar[str]
    order: ClassVar[tuple[str, ...]] = ()

    def list_commands(self, ctx: Any) -> list[str]:
        names = [*super().list_commands(ctx), *(entry.name for entry in entry_points(group=self.entry_points_of))]
        return sorted(names, key=lambda name: (self.order.index(name) if name in self.order else len(self.order), name))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        found = [entry for entry in entry_points(group=self.entry_points_of) if entry.name == cmd_name]
        if not found:
            return None
        entry = found[0]
        command = load_command(entry)
        if entry.value.startswith(TRAINING_MODULE) and missing_training():
            return _not_installed(entry.name, command)
        return command


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


def _not_installed(name: str, command: Any) -> TyperCommand:
    """Stands in for a training command on a machine without the extra: listed, and answered with the remedy."""

    def explain(_arguments: list[str] = typer.Argument(None, metavar="...")) -> None:  # noqa: B008
        raise needs_training(name)

    summary = (command.help or "").strip().split("\n\n")[0]
    explain.__doc__ = f"{summary} (needs the training extra: {INSTALL_TRAINING})"
    # As Markdown: Rich's own markup would take the extras' brackets for a style and leave them out.
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
    single.command(name=name, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(explain)
    stand_in: TyperCommand = typer.main.get_command(single)  # type: ignore[assignment]
    return stand_in
