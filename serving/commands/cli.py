"""The script `cellmark`: commands found through entry points and loaded when they are run.

So each world adds its own and neither imports the other. Nothing heavy is imported here: `cellmark --help` has to come
at once.
"""

import io
import os
import re
import signal
import sys
import warnings
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from cellmark.schemas.errors import CellmarkError, ParameterError
from cellmark.schemas.short_message import VERBOSE

from ..scoring.training_steps import INSTALL_TRAINING, missing_training, needs_training
from ..terminal.show_notes import show_notes
from ..terminal.show_usage_error import show_usage_error
from . import exit_codes
from .help_levels import command_group

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
    single = command_group(pretty_exceptions_enable=False, no_args_is_help=False)
    single.command(entry.name)(loaded)
    return typer.main.get_command(single)


def _not_installed(name: str, command: Any) -> TyperCommand:
    """Stands in for a training command on a machine without the extra: listed, and answered with the remedy."""

    def explain(_arguments: list[str] = typer.Argument(None, metavar="...", help="Anything.")) -> None:  # noqa: B008
        raise needs_training(name)

    summary = (command.help or "").strip().split("\n\n")[0]
    explain.__doc__ = f"{summary} (needs the training extra: {INSTALL_TRAINING})"
    # As Markdown: Rich's own markup would take the extras' brackets for a style and leave them out.
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
    single.command(name=name, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(explain)
    stand_in: TyperCommand = typer.main.get_command(single)  # type: ignore[assignment]
    return stand_in


USAGE_ERROR: Any = typer.BadParameter.__base__
"""A command line that cannot be understood: click's class, or that of typer's own copy of click."""
NOT_OFFERED = re.compile(r"('.*') is not one of (.*)\.")
"""What typer says of a value that an option does not offer."""


class Commands(EntryPointCommands):
    """Commands of all installed worlds."""

    entry_points_of = "cellmark.commands"
    order = (
        "demo",
        "train",
        "annotate",
        "explain",
        "markers",
        "validate",
        "report",
        "serve",
        "keys",
        "models",
        "bundle",
        "config",
    )

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # Here and not in main(): typer turns it into a silent exit.
            sys.stderr.write("\nInterrupted; nothing half-written was left behind.\n")
            raise typer.Exit(exit_codes.INTERRUPTED) from None
        except typer.BadParameter as error:
            if not (found := NOT_OFFERED.search(error.message)):
                raise
            where = (error.param and error.param.name) or "option"
            offered = found[2].replace("'", "").replace(", ", " or ")
            # Refused as Python refuses the same value, not as a slip of the keyboard.
            raise ParameterError.not_a_choice(where, choices=offered, found=found[1]) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def cellmark(
    show_version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    # Taken out of the words before they are parsed (`main`), so that it may stand anywhere: here it is only described.
    _verbose: bool = typer.Option(
        False, "--verbose", help="Say all of a message, also after a command: every remedy, and examples."
    ),
) -> None:
    """Cell-type models for single-cell RNA-seq: train, register, serve and explain them.

    Try it on real cells with `cellmark demo`. MODEL is a bundle folder or an MLflow URI such as
    `models:/pbmc@champion`. `cellmark config` says where the registry is.
    """
    if show_version:
        typer.echo(f"cellmark {version('cellmark')}")
        raise typer.Exit


def main() -> None:
    """Run the command line; refused input ends in three lines for each problem and exit status 1, never in a traceback.

    `--verbose` may stand anywhere, also behind a command: it is added when a message has left something out.
    """
    # A scheduler's SIGTERM ends the command as Ctrl-C does: temporary files go, and so does a service that was started.
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks must not end a command whose work is done.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given, verbose = _without_verbose(sys.argv[1:])
    VERBOSE.set(verbose)
    _heed_named_shell(given)
    try:
        with warnings.catch_warnings():
            # What users should know comes as findings; libraries' warnings on their own APIs are none of them.
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            status = app(given, prog_name="cellmark", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except CellmarkError as error:
        show_notes(error.findings)
        sys.exit(exit_codes.REFUSED)
    except USAGE_ERROR as error:
        # A command without words has shown its help by then.
        if type(error).__name__ != "NoArgsIsHelpError":
            show_usage_error(error, given)
        sys.exit(exit_codes.MISUSED)
    except BrokenPipeError:
        # The reader of a pipe (such as `head`) has what it wanted; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(exit_codes.REFUSED)


def _without_verbose(given: list[str]) -> tuple[list[str], bool]:
    """The words of a command line without `--verbose`, and whether it was there. What stands behind `--` is data."""
    end = given.index("--") if "--" in given else len(given)
    kept = [word for word in given[:end] if word != "--verbose"]
    return kept + given[end:], len(kept) < end


def _heed_named_shell(given: list[str]) -> None:
    """Let Typer take the name of a shell behind an option of completion.

    Without this it looks for the shell that runs, whatever was named, and fails where none does.
    """
    for option in ("--show-completion", "--install-completion"):
        if option in given[:-1]:
            os.environ["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"


def _terminate(_signal: int, _frame: Any) -> None:
    sys.exit(exit_codes.TERMINATED)


if __name__ == "__main__":
    main()
