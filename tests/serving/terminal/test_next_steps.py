"""Where many cells are unassigned the commands that come next are named, and they parse."""

import shlex
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
import typer.main

from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions
from cellmark.schemas.columns import CELL_TYPE, UNASSIGNED
from cellmark.serving.commands.cli import app
from cellmark.serving.scoring.call_options import Floors
from cellmark.serving.terminal.next_steps import flags_of, next_steps


def calls(n_unassigned: int, n_cells: int) -> pd.DataFrame:
    return pd.DataFrame({CELL_TYPE: [UNASSIGNED] * n_unassigned + ["B"] * (n_cells - n_unassigned)})


@pytest.mark.parametrize(("n_unassigned", "n_cells"), [(0, 100), (19, 30), (20, 401)])
def test_where_few_cells_are_unassigned_the_genes_come_next(
    n_unassigned: int, n_cells: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    floors = Floors(min_panel_share=0.0)
    found = next_steps(calls(n_unassigned, n_cells), Path("new.h5ad"), "models:/pbmc/1", AS_IT_IS, floors=floors)
    expected = "cellmark explain new.h5ad -m models:/pbmc/1 --min-panel-share 0.0 --against second -o why.csv"
    assert found.commands == (expected,)
    (tmp_path / "why.csv").touch()
    (tmp_path / "why-2.json").touch()
    again = next_steps(calls(n_unassigned, n_cells), Path("new.h5ad"), "models:/pbmc/1", AS_IT_IS, floors=floors)
    assert again.commands == (expected.replace("why.csv", "why-3.csv"),)


def test_the_commands_read_the_same_cells() -> None:
    reading = ReadingOptions(layer="raw counts", library_size="n_counts", recover_counts=True)
    drift, novel = next_steps(calls(20, 400), Path("my new.h5ad"), "models:/pbmc@champion", reading).commands
    asked = ["my new.h5ad", "-m", "models:/pbmc@champion", *flags_of(reading)]
    assert shlex.split(drift) == ["cellmark", "drift", *asked]
    assert shlex.split(novel) == ["cellmark", "markers", "novel", *asked, "-o", "novel.csv"]


@pytest.mark.parametrize("command", [["drift"], ["markers", "novel"], ["explain"]])
def test_the_options_are_those_of_the_commands(command: list[str]) -> None:
    found: Any = typer.main.get_command(app)
    for name in command:
        found = found.get_command(click.Context(found), name)
    every = ReadingOptions(
        layer="raw", library_size="n", genes_by_cells=True, recover_counts=True, orthologs=True, ortholog_table="t.csv"
    )
    flags = [*flags_of(every), *flags_of(ReadingOptions(input="log1p"))]
    known = {option for parameter in found.params for option in parameter.opts}
    assert {flag for flag in flags if flag.startswith("--")} <= known
