"""Commands that entry points name, with and without the world that they belong to."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer

from cellmark.serving.commands.cli import load_command
from cellmark.serving.scoring.training_steps import TRAINING_NEEDS, missing_training
from fixtures.places import ARCHIVES
from fixtures.without_training import WITHOUT_TRAINING

ARCHIVE = ARCHIVES / "v1"


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", WITHOUT_TRAINING, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_entry_point_is_a_function_or_a_group() -> None:
    single = load_command(EntryPoint("list", "cellmark.serving.commands.models:show", "any"))
    assert single.name == "list"
    group = load_command(EntryPoint("renamed", "cellmark.serving.commands.models:models", "any"))
    assert group.name == "renamed"
    assert {"list", "show", "promote"} <= set(group.list_commands(typer.Context(group)))


@pytest.mark.training
def test_nothing_is_missing_where_training_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_training() == []
    monkeypatch.setattr(
        "cellmark.serving.scoring.training_steps.find_spec", lambda name: None if name == "onnx" else object()
    )
    assert missing_training() == ["onnx"]
    assert "onnx" in TRAINING_NEEDS


def test_subcommands_of_training_are_listed_and_name_the_remedy_where_it_is_missing() -> None:
    listed = run("markers", "--help")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count("needs the training extra") == 2
    ran = run("markers", "rank", "cells.h5ad", "--method", "wilcoxon")
    assert ran.returncode == 1
    assert "pip install 'cellmark[train,cpu]'" in ran.stderr
    assert "[EXTRA_MISSING]" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_command_of_serving_that_asks_training_names_the_remedy_where_it_is_missing(tmp_path: Path) -> None:
    ran = run("markers", "novel", "cells.h5ad", "-m", ARCHIVE, "-o", tmp_path / "novel.csv")
    assert ran.returncode == 1
    assert "pip install 'cellmark[train,cpu]'" in ran.stderr
    assert "[EXTRA_MISSING]" in ran.stderr
    assert "Traceback" not in ran.stderr
    voted = run("annotate", "cells.h5ad", "-m", ARCHIVE, "-o", tmp_path / "calls.csv", "--over-computed")
    assert voted.returncode == 1
    assert "pip install 'cellmark[clusters]'" in voted.stderr


def test_markers_of_a_model_are_listed_without_training() -> None:
    ran = run("markers", "-m", ARCHIVE, "--top", 1)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("\nB cell") == 1
