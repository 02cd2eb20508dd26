"""Slips of the keyboard: what is wrong, and the line that was meant."""

from collections.abc import Callable
from typing import Any

import pytest

Cellmark = Callable[..., Any]


@pytest.mark.parametrize(
    ("given", "problem", "meant"),
    [
        ("anotate x.h5ad -o y.csv", "cellmark has no command 'anotate'", "cellmark annotate x.h5ad -o y.csv"),
        ("Train x.h5ad", "cellmark has no command 'Train'", "cellmark train x.h5ad"),
        ("markers nvel x.h5ad", "cellmark markers has no command 'nvel'", "cellmark markers novel x.h5ad"),
        ("annotate x.h5ad --libary-size n", "cellmark annotate has no option --libary-size",
         "cellmark annotate x.h5ad --library-size n"),
        ("annotate 'a b.h5ad' --modl=m", "cellmark annotate has no option --modl",
         "cellmark annotate 'a b.h5ad' --model=m"),
        ("train x.h5ad --epochs 3", "cellmark train has no option --epochs", "cellmark train x.h5ad --max-epochs 3"),
    ],
)  # fmt: skip
def test_the_line_that_was_meant_can_be_pasted(cellmark: Cellmark, given: str, problem: str, meant: str) -> None:
    import shlex

    ran = cellmark(*shlex.split(given))
    assert ran.status == 2
    first, second, third = ran.err.splitlines()
    assert first == f"error: {problem}"
    assert second.startswith("  did you mean ")
    assert third == f"  {meant}"


def test_something_else_is_named_with_the_help(cellmark: Cellmark) -> None:
    for given, path in (("zzzz", "cellmark"), ("annotate x --zzzz", "cellmark annotate")):
        ran = cellmark(*given.split())
        assert ran.status == 2
        assert ran.err.splitlines()[1:] == [f"  found cellmark {given}", f"  All of them: {path} --help"]


def test_a_missing_option_is_named_with_what_it_is(cellmark: Cellmark) -> None:
    first, second, third = cellmark("annotate", "x.h5ad", "-m", "m").err.splitlines()
    assert first == "error: cellmark annotate: missing option '--out' / '-o'"
    assert second == "  found cellmark annotate x.h5ad -m m"
    assert third.startswith("  Add --out. Output: a .h5ad, .csv or .parquet file")


def test_help_is_no_error(cellmark: Cellmark) -> None:
    ran = cellmark()
    assert "error" not in ran.err
    assert "Usage: cellmark" in ran.out


@pytest.mark.parametrize("place", ["before", "behind"])
def test_verbose_may_stand_anywhere(cellmark: Cellmark, tmp_path: Any, place: str) -> None:
    (tmp_path / "x.csv").write_text("")
    command = ["annotate", tmp_path / "x.csv", "-m", "m", "-o", tmp_path / "x.csv"]
    ran = cellmark("--verbose", *command) if place == "before" else cellmark(*command, "--verbose")
    assert ran.status == 1
    assert len(ran.err.splitlines()) > 3
    assert len(cellmark(*command).err.splitlines()) == 3
