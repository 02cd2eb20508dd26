"""A command line that cannot be understood, in three lines: the problem, what was given, what to write instead."""

import re
import shlex
from collections.abc import Sequence
from typing import Any

from cellmark.schemas.near_names import near_names
from cellmark.schemas.short_message import INDENT, WIDTH, cut

ROOM = WIDTH - len(INDENT)
UNKNOWN_COMMAND = re.compile(r"No such command '(.*?)'")


def show_usage_error(error: Any, given: Sequence[str]) -> None:
    """`error`: typer's `UsageError`. `given`: the words behind `cellmark`."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    problem, *hints = usage_lines(error, given)
    console.print(Text.assemble(("error: ", "bold red"), problem))
    for line in hints[:-1]:
        console.print(INDENT + line, markup=False)
    console.print(INDENT + hints[-1], style="bold", markup=False)


def usage_lines(error: Any, given: Sequence[str]) -> list[str]:
    """What is wrong, what was written or meant, and what to write instead; the last may be pasted."""
    context = error.ctx
    path = "cellmark" if context is None else context.command_path
    for_help = f"{path} --help"
    if found := UNKNOWN_COMMAND.search(error.message):
        near = near_names(found[1], context.command.list_commands(context))
        return [f"{path} has no command {found[1]!r}", *_instead(given, found[1], near, for_help)]
    if type(error).__name__ == "NoSuchOption":
        near = near_names(error.option_name, _options(context.command))
        return [f"{path} has no option {error.option_name}", *_instead(given, error.option_name, near, for_help)]
    message = " ".join(error.format_message().split()).rstrip(".")
    problem = f"{path}: {message[0].lower()}{message[1:]}"
    parameter = getattr(error, "param", None)
    if type(error).__name__ == "MissingParameter" and parameter is not None and parameter.help:
        name = parameter.opts[0] if parameter.opts else parameter.name
        return [problem, _echo(given), cut(f"Add {name}. {parameter.help}", ROOM)]
    return [problem, _echo(given), f"How it is used: {for_help}"]


def _instead(given: Sequence[str], wrong: str, near: Sequence[str], for_help: str) -> list[str]:
    """The nearest names, and the line with the first of them in the wrong one's place."""
    place = next((place for place, word in enumerate(given) if word.partition("=")[0] == wrong), None)
    if not near or place is None:
        return [_echo(given), f"All of them: {for_help}"]
    value = given[place][len(wrong) :]
    line = _line([*given[:place], near[0] + value, *given[place + 1 :]])
    asked = f"did you mean {' or '.join(near)}? All of them: {for_help}"
    return [asked, line] if len(line) <= ROOM else [line]


def _echo(given: Sequence[str]) -> str:
    return cut(f"found {_line(given)}", ROOM)


def _options(command: Any) -> list[str]:
    return [name for one in command.params for name in (*one.opts, *one.secondary_opts) if name.startswith("--")]


def _line(words: Sequence[str]) -> str:
    return " ".join(["cellmark", *map(shlex.quote, words)])
