"""`docs/markers.md` says what the marker table, the commands and the lists really are."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.manifest.marker_table import COLUMNS
from cellmark.training.markers.gene_lists import BUILT_IN, SURFACE_GENES
from cellmark.training.markers.minimal_combination import N_CANDIDATES, TOLERANCE
from fixtures.places import ROOT

PAGE = (ROOT / "docs" / "markers.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^cellmark .+?(?:\s{2,}#.*)?$", PAGE, flags=re.MULTILINE)
Cellmark = Callable[..., Any]


def test_every_column_is_documented_in_order_with_its_type_and_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| .*\|$", PAGE, flags=re.MULTILINE)
    assert rows == [(name, column.dtype, column.meaning) for name, column in COLUMNS.items()]


def test_columns_that_the_guide_names_exist() -> None:
    guide = PAGE.split("## Which genes")[1].split("## How the default")[0]
    named = set(re.findall(r"`([a-z_0-9]+)`", guide))
    assert {"direction", "donor_fraction", "stability"} <= named <= set(COLUMNS)


@pytest.mark.parametrize("command", COMMANDS)
def test_options_of_the_examples_exist(cellmark: Cellmark, command: str) -> None:
    command = command.split("  #")[0]
    words = command.split()[1:]
    name = words[:2] if words[0] == "markers" and words[1] in ("novel", "rank", "compare") else words[:1]
    text = cellmark(*name, "--help").out
    for option in re.findall(r"(?<=\s)--?[a-z-]+", command):
        assert re.search(rf"(?<!\S){option}(?!\S)", text), option


def test_built_in_lists_are_documented() -> None:
    lists = PAGE.split("## Only some genes")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", lists, flags=re.MULTILINE)) == set(BUILT_IN)
    assert f"| {len(SURFACE_GENES)} genes whose protein has a CD number" in PAGE


def test_what_the_page_says_of_minimal_combinations_is_so() -> None:
    assert N_CANDIDATES == 10
    assert "first ten ranked genes" in " ".join(PAGE.split())
    assert f"within {TOLERANCE} of the best F-beta" in PAGE


def test_the_scanpy_example_runs(cellmark: Cellmark, full_markers: Bundle, new_file: Path, tmp_path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    calls, plot = tmp_path / "calls.h5ad", tmp_path / "plot.h5ad"
    assert cellmark("annotate", new_file, "--model", full_markers.folder, "-o", calls).status == 0
    assert cellmark("markers", "--model", full_markers.folder, "--into", calls, "-o", plot).status == 0
    (example,) = re.findall(r"```python\n(import scanpy.*?)```", PAGE, flags=re.DOTALL)
    with contextlib.chdir(tmp_path):
        exec(example, {})
    assert len(plt.get_fignums()) == 1
    plt.close("all")


def test_columns_and_verdicts_of_changes_are_described_as_they_are() -> None:
    from cellmark.training.markers.compare_conditions import COLUMNS as CHANGES
    from cellmark.training.markers.marker_changes import VERDICTS

    for name, column in CHANGES.items():
        assert f"| `{name}` | {column.meaning} |" in PAGE
    for verdict, meaning in VERDICTS.items():
        assert f"| {verdict} | {meaning} |" in PAGE


def test_columns_of_new_populations_are_described_as_they_are() -> None:
    from cellmark.schemas.calls.new_populations import MARKER_COLUMNS, POPULATION_COLUMNS

    section = PAGE.split("## New populations")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", section, flags=re.MULTILINE)
    columns = [*POPULATION_COLUMNS.items(), *MARKER_COLUMNS.items()]
    assert rows == [(name, column.meaning) for name, column in columns]
