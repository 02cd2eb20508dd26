"""One table of exit statuses: what commands end with, and what the manual says."""

import ast
import re
from importlib.metadata import entry_points

from cellmark.serving.commands import exit_codes
from fixtures.places import ROOT

ENDS = re.compile(r"(?:sys\.exit|typer\.Exit|SystemExit)$")
CONSTANTS = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}


def test_the_manual_has_the_same_table() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    section = page.partition("## Exit statuses")[2].partition("## ")[0]
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", section, flags=re.MULTILINE))
    assert {int(status): meaning for status, meaning in rows.items()} == exit_codes.MEANINGS


def test_every_constant_has_a_meaning() -> None:
    assert set(exit_codes.MEANINGS) == CONSTANTS
    assert len(CONSTANTS) >= 6


def test_no_command_ends_with_a_number_of_its_own() -> None:
    seen = 0
    for path in sorted((ROOT / "serving" / "commands").glob("*.py")) + sorted(
        (ROOT / "training/commands").glob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ENDS.search(ast.unparse(node.func)) and node.args:
                seen += 1
                numbers = [one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)]
                assert not [number for number in numbers if number not in (None, 0)], f"{path.name}:{node.lineno}"
    assert seen > 8


def test_the_manual_names_every_command() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    table = page.partition("| to | commands |")[2].partition("## ")[0]
    listed = {words.split()[0] for words in re.findall(r"`([^`]+)`", table)}
    assert listed == {entry.name for entry in entry_points(group="cellmark.commands")}
