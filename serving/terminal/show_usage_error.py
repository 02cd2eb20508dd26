"""A command line that cannot be understood, in three lines: the problem, what was given, what to write instead."""

import re
import shlex
from collections.abc import Sequence
from typing import Any

from cellmark.schemas.near_names import near_names
from cellmark.schemas.short_message import INDENT, WIDTH, cut

UNKNOWN_COMMAND = re.compile(r"No such command '(.*?)'")


def show_usage_error(error: Any, given: Sequence[str]) -> None:
    """`error`: typer's `UsageError`. `given`: the words behind `cellmark`."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    problem, remedy = _problem(error, given)
    room = WIDTH - len(INDENT)
    console.print(Text.assemble(("error: ", "bold red"), problem))
    console.print(INDENT + cut(f"found {_line(given)}", room), markup=False)
    console.print(INDENT + remedy, style="bold", markup=False)


def _problem(error: Any, given: Sequence[str]) -> tuple[str, str]:
    """What is wrong, and what to do."""
    context = error.ctx
    path = "cellmark" if context is None else context.command_path
    for_help = f"All of them: {path} --help"
    if found := UNKNOWN_COMMAND.search(error.message):
        near = near_names(found[1], context.command.list_commands(context))
        return f"{path} has no command {found[1]!r}", _instead(given, found[1], near, for_help)
    if (option := getattr(error, "option_name", None)) and type(error).__name__ == "NoSuchOption":
        near = near_names(option, _options(context.command))
        return f"{path} has no option {option}", _instead(given, option, near, for_help)
    message = " ".join(error.format_message().split()).rstrip(".")
    parameter = getattr(error, "param", None)
    if type(error).__name__ == "MissingParameter" and parameter is not None:
        name, what = (parameter.opts or [parameter.name])[0], (parameter.help or "").split(". ")[0].rstrip(".")
        return f"{path}: {message[0].lower()}{message[1:]}", _row(f"Add {name}: {what}") if what else for_help
    return f"{path}: {message[0].lower()}{message[1:]}", f"How it is used: {path} --help"


def _instead(given: Sequence[str], wrong: str, near: Sequence[str], for_help: str) -> str:
    """The line with the nearest name in the wrong one's place, where it fits; else the names alone."""
    if not near:
        return for_help
    place = next((place for place, word in enumerate(given) if word.partition("=")[0] == wrong), None)
    if place is not None:
        value = given[place][len(wrong) :]
        line = f"Did you mean: {_line([*given[:place], near[0] + value, *given[place + 1 :]])}"
        if len(INDENT + line) <= WIDTH:
            return line
    return f"Did you mean {' or '.join(near)}? {for_help}"


def _options(command: Any) -> list[str]:
    return [name for one in command.params for name in (*one.opts, *one.secondary_opts) if name.startswith("--")]


def _line(words: Sequence[str]) -> str:
    return " ".join(["cellmark", *map(shlex.quote, words)])


def _row(text: str) -> str:
    return cut(text, WIDTH - len(INDENT))
