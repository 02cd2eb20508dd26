"""Help in two levels, examples that can be pasted, and `--quiet`."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from cellmark.schemas.bundle import Bundle
from cellmark.serving.commands.cli import app
from cellmark.serving.commands.help_levels import LeveledHelp, split_examples

Cellmark = Callable[..., Any]
FLAG = re.compile(r"--[a-z][a-z-]*")


def commands() -> list[tuple[str, Any]]:
    """Every command without subcommands, by the words after `cellmark`."""
    found: list[tuple[str, Any]] = []

    def walk(group: TyperGroup, words: tuple[str, ...]) -> None:
        ctx = typer.Context(group, info_name=" ".join(words))
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            if isinstance(command, TyperGroup):
                walk(command, (*words, name))
            else:
                found.append((" ".join((*words, name)), command))

    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    walk(root, ())
    return found


def test_help_of_train_fits_sixty_lines_of_a_hundred_columns() -> None:
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "100"}).stdout.splitlines()
    assert any("--genes-of" in line for line in shown)
    assert len(shown) <= 60
    assert max(map(len, shown)) <= 100


@pytest.mark.parametrize("name", ["train", "annotate", "markers novel", "validate"])
def test_help_names_every_option_and_help_all_explains_it(cellmark: Cellmark, name: str) -> None:
    (command,) = (command for path, command in commands() if path == name)
    brief, whole = (cellmark(*name.split(), option).out for option in ("--help", "--help-all"))
    advanced = 0
    for option in command.params:
        flag, text = option.opts[0], (getattr(option, "help", None) or "").replace("`", "").split(".")[0][:45]
        if not flag.startswith("--"):
            continue
        assert flag in FLAG.findall(brief)
        assert text in whole
        if option.rich_help_panel:
            advanced += 1
            assert text not in brief
    assert advanced > 1
    assert "Advanced (" not in whole


def test_a_command_without_advanced_options_has_one_level(cellmark: Cellmark) -> None:
    assert "--help-all" not in cellmark("models", "list", "--help").out


def test_every_command_is_leveled_and_has_examples_that_name_options_it_has() -> None:
    for name, command in commands():
        assert isinstance(command, LeveledHelp), name
        assert command.examples, name
        flags = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)} | {"--help"}
        for example in command.examples:
            for line in example.commands:
                if line.startswith(f"cellmark {name} "):
                    assert set(FLAG.findall(line)) <= flags, line


def test_examples_are_paragraphs_that_begin_so() -> None:
    paragraphs = (
        "Does this.",
        "Example: `cellmark a b -o\nc.csv`, then `cellmark d`",
        "And that.",
        "Example, at night: `cellmark e`",
    )
    text = "\n\n".join(paragraphs)
    kept, examples = split_examples(text)
    assert kept == "Does this.\n\nAnd that."
    assert examples == (("", ("cellmark a b -o c.csv", "cellmark d")), ("at night", ("cellmark e",)))


def test_quiet_leaves_results_and_errors(
    cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    def annotate(name: str, *options: str) -> Any:
        return cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", tmp_path / name, *options)

    loud, quiet = annotate("a.csv"), annotate("b.csv", "--quiet")
    assert loud.err
    assert quiet.status == 0
    assert quiet.err == ""
    assert quiet.out == loud.out.replace("a.csv", "b.csv")
    refused = annotate("b.csv", "-q")
    assert refused.status == 1
    assert "[OUTPUT_EXISTS]" in refused.err
