"""Help in two levels: `--help` explains what most people need and lists the rest, `--help-all` explains every option.

An option is advanced when it stands in a panel of its own. Examples are taken out of a command's docstring and shown
last, a line each, so that a mouse can copy them.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand

from cellmark.schemas.errors import CellmarkError
from cellmark.schemas.json_document import documents_alone, print_document
from cellmark.schemas.tracking.tracking_uri import hears_of_registry

EXAMPLE = re.compile(r"^Example(?:, (?P<remark>[^`]*?))?:\s(?P<commands>.*)$", flags=re.DOTALL)
CODE = re.compile(r"`([^`]*)`")
SHOWS_ALL = "cellmark.help_all"
QUIET = "cellmark.quiet"
AS_JSON = ("json_output", "as_json", "json")
"""Names of the parameter `--json` in commands."""


class Example(NamedTuple):
    """Commands to paste, and what they are for."""

    remark: str
    commands: tuple[str, ...]


ALWAYS_TALK = ("serve", "demo")
"""Commands whose standard error is what they are run for, such as a server's log."""


class LeveledHelp:
    """Mixed into a command or group of typer: `--quiet`, and `--help-all` where there are advanced options."""

    params: list[Any]
    name: str | None

    def __init__(self, *args: Any, help: str | None = None, **settings: Any) -> None:  # noqa: A002
        text, self.examples = split_examples(help or "")
        super().__init__(*args, help=text, **settings)  # type: ignore[call-arg]
        quiet, help_all = _own_options()
        if self.name not in ALWAYS_TALK and "quiet" not in {one.name for one in self.params}:
            self.params.append(quiet)
        if any(map(_panel, self.params)):
            self.params.append(help_all)

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        return params if ctx.meta.get(SHOWS_ALL, True) else [one for one in params if not _panel(one)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        shows_all = ctx.meta.setdefault(SHOWS_ALL, False)
        super().format_help(ctx, formatter)  # type: ignore[misc]
        if not shows_all:
            _list_advanced(self.params)
        if self.examples:
            _show_examples(self.examples)

    def invoke(self, ctx: Any) -> Any:
        quiet, as_json = ctx.meta.get(QUIET), any(ctx.params.get(name) for name in AS_JSON)
        with (
            saying_which_registry(),
            silence() if quiet else contextlib.nullcontext(),
            documents_alone() if as_json else contextlib.nullcontext(),
        ):
            try:
                return super().invoke(ctx)  # type: ignore[misc]
            except CellmarkError as error:
                if as_json:
                    print_document({"errors": [finding.to_dict() for finding in error.findings]})
                raise


class LeveledCommand(LeveledHelp, TyperCommand):
    """A command with both levels of help."""


def command_group(**settings: Any) -> typer.Typer:
    """A group of commands, each with both levels of help. `settings`: those of `typer.Typer`."""
    return _Group(**{"no_args_is_help": True, "add_completion": False, "rich_markup_mode": "markdown", **settings})


class _Group(typer.Typer):
    def command(self, name: str | None = None, **settings: Any) -> Any:
        return super().command(name, **{"cls": LeveledCommand, **settings})


def split_examples(text: str) -> tuple[str, tuple[Example, ...]]:
    """A docstring without its paragraphs of examples, and these: `Example: ...` or `Example, a remark: ...`, with all
    commands between backticks.
    """
    kept, examples = [], []
    for paragraph in text.split("\n\n"):
        found = EXAMPLE.match(paragraph.strip())
        if found is None:
            kept.append(paragraph)
            continue
        commands = tuple(" ".join(command.split()) for command in CODE.findall(found["commands"]))
        examples.append(Example(" ".join((found["remark"] or "").split()), commands))
    return "\n\n".join(kept), tuple(examples)


@contextlib.contextmanager
def saying_which_registry() -> Iterator[None]:
    """The first time that a registry is used, a line on standard error says which, and why."""
    said: list[Any] = []

    def say(registry: Any) -> None:
        if registry not in said:
            said.append(registry)
            typer.echo(str(registry), err=True)

    token = hears_of_registry.set(say)
    try:
        yield
    finally:
        hears_of_registry.reset(token)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Notes and progress go nowhere. Errors are printed by `main`, after the block."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def _be_quiet(ctx: typer.Context, asked: bool) -> None:
    if asked:
        ctx.meta[QUIET] = True


def _help_all(ctx: typer.Context, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        ctx.meta[SHOWS_ALL] = True
        typer.echo(ctx.get_help())
        raise typer.Exit


def _own_options() -> list[Any]:
    """The options of every command, as typer makes them."""
    holder = typer.Typer(add_completion=False)

    @holder.command()
    def options(
        quiet: Annotated[
            bool,
            typer.Option(
                "--quiet",
                "-q",
                callback=_be_quiet,
                expose_value=False,
                help="Print only results and errors.",
            ),
        ] = False,
        help_all: Annotated[
            bool,
            typer.Option(
                "--help-all",
                callback=_help_all,
                expose_value=False,
                is_eager=True,
                help="Explain every option and exit.",
            ),
        ] = False,
    ) -> None:
        pass

    return list(typer.main.get_command(holder).params)


def _panel(param: Any) -> str | None:
    panel: str | None = getattr(param, "rich_help_panel", None)
    return panel


def _list_advanced(params: list[Any]) -> None:
    """The flags of advanced options by their panels, without explanations."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    panels: dict[str, list[str]] = {}
    for one in params:
        if (panel := _panel(one)) and not getattr(one, "hidden", False):
            panels.setdefault(panel, []).append(one.opts[0])
    if not panels:
        return
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column()
    for panel, flags in panels.items():
        table.add_row(Text(panel), Text(" ".join(flags), style="bold cyan"))
    title = "Advanced (explained by --help-all)"
    Console(highlight=False).print(Panel(table, title=title, title_align="left", border_style="dim"))


def _show_examples(examples: tuple[Example, ...]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(" Examples")
    for example in examples:
        if example.remark:
            console.print(f"   # {example.remark}", markup=False, style="dim")
        for command in example.commands:
            console.print(f"   {command}", markup=False)
