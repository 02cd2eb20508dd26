"""What `cellmark annotate` gives to workflow engines."""

import csv
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
import pytest
import yaml

from cellmark.schemas.bundle import Bundle
from cellmark.serving.annotator import Annotator
from cellmark.serving.files.annotate_file import annotate_file
from cellmark.serving.reader.read_calls import holds_calls, read_calls

Cellmark = Callable[..., Any]
PER_CELL = "annotation:cellmark:tiny:per_cell"
TEMPLATE = "annotation:cellmark:{model}:per_cell"


@pytest.fixture
def expected(tiny_bundle: Bundle, new_cells: ad.AnnData) -> pd.DataFrame:
    return Annotator.load(tiny_bundle.folder).annotate(new_cells, as_sample=True)


def test_calls_join_obs_as_scdownstream_joins_them(
    cellmark: Cellmark,
    tiny_bundle: Bundle,
    new_file: Path,
    new_cells: ad.AnnData,
    expected: pd.DataFrame,
    tmp_path: Path,
) -> None:
    parquet, listed, versions = (tmp_path / name for name in ("x.parquet", "columns.csv", "versions.yml"))
    ran = cellmark(
        "annotate", new_file, "-m", tiny_bundle.folder, "-o", parquet, "--columns-prefix", TEMPLATE,
        "--annotation-columns", listed, "--versions", versions, "--versions-key", "PIPELINE:CELLTYPES_CELLMARK",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    joined = pd.concat([new_cells.obs, pd.read_parquet(parquet).reindex(new_cells.obs_names[::-1])], axis=1)
    for column, ours in (("", "cell_type"), (":confidence", "confidence"), (":novelty", "novelty")):
        assert list(joined[f"{PER_CELL}{column}"]) == list(expected[f"cellmark_{ours}"])
    rows = list(csv.DictReader(listed.open()))
    assert [row["obs_column"] for row in rows] == list(pd.read_parquet(parquet).columns)
    assert [row["obs_column"] for row in rows if row["aggregatable"] == "true"] == [PER_CELL]
    told = yaml.safe_load(versions.read_text())
    assert list(told) == ["PIPELINE:CELLTYPES_CELLMARK"]
    (told,) = told.values()
    assert told["cellmark"] == version("cellmark")
    assert (told["model"], told["model_digest"]) == ("tiny", tiny_bundle.digest)
    assert "model_version" not in told
    assert all(isinstance(value, str) for value in told.values())
    assert f"The best guess is in {PER_CELL}:best_cell_type." in ran.out
    assert json.loads(parquet.with_suffix(".json").read_text())["columns_prefix"] == PER_CELL


def test_a_copy_has_the_columns_and_the_colours_beside_older_ones(
    cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, expected: pd.DataFrame, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.h5ad", tmp_path / "second.h5ad"
    assert cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", first).status == 0
    ran = cellmark("annotate", first, "-m", tiny_bundle.folder, "-o", second, "--columns-prefix", TEMPLATE)
    assert ran.status == 0, ran.err
    cells = ad.read_h5ad(second)
    assert list(cells.obs[PER_CELL]) == list(cells.obs["cellmark_cell_type"]) == list(expected["cellmark_cell_type"])
    assert list(cells.uns[f"{PER_CELL}_colors"]) == list(cells.uns["cellmark_cell_type_colors"])
    assert cells.uns[PER_CELL]["bundle_digest"] == tiny_bundle.digest
    trusted = tmp_path / "trusted.h5ad"
    assert (
        cellmark(
            "annotate", first, "-m", tiny_bundle.folder, "-o", trusted, "--columns-prefix", TEMPLATE, "--trusted"
        ).status
        == 0
    )
    pd.testing.assert_frame_equal(ad.read_h5ad(trusted).obs, cells.obs)


def test_columns_of_an_older_call_do_not_stay_beside_the_new_ones(
    cellmark: Cellmark, tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = new_cells.copy()
    for column in ("query_level_1", "query_level_2_confidence", "query_coarse_cell_type", "query_level_up"):
        cells.obs[column] = "old"
    cells.write_h5ad(tmp_path / "cells.h5ad")
    out = tmp_path / "out.h5ad"
    cellmark("annotate", tmp_path / "cells.h5ad", "-m", tiny_bundle.folder, "-o", out, "--columns-prefix", "query")
    kept = set(ad.read_h5ad(out).obs) & set(cells.obs)
    assert kept == {*new_cells.obs, "query_level_up"}


def test_a_table_lists_its_probabilities_and_a_copy_does_not(
    cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    for suffix, n_more in ((".csv", 3), (".h5ad", 0)):
        listed = tmp_path / f"columns{suffix}.csv"
        ran = cellmark(
            "annotate", new_file, "-m", tiny_bundle.folder, "-o", tmp_path / f"out{suffix}", "--probabilities",
            "--annotation-columns", listed,
        )  # fmt: skip
        assert ran.status == 0, ran.err
        assert sum("probability:" in line for line in listed.read_text().splitlines()) == n_more


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--columns-prefix", "a/b"), "PARAMETER_INVALID"),
        (("--versions", "{there}"), "OUTPUT_EXISTS"),
        (("--annotation-columns", "{there}"), "OUTPUT_EXISTS"),
        (("--symbol-column", "symbols"), "GENE_COLUMN_UNKNOWN"),
    ],
)
def test_refusals_leave_nothing_behind(
    cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, tmp_path: Path, more: tuple[str, str], said: str
) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    out = tmp_path / "out.csv"
    asked = (more[0], more[1].format(there=there))
    ran = cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", out, *asked)
    assert (ran.status, out.exists(), there.read_text()) == (1, False, "mine")
    assert f"[{said}]" in ran.err


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_calls_under_other_names_are_calls_to_other_commands(
    tiny_bundle: Bundle, new_file: Path, tmp_path: Path, suffix: str
) -> None:
    annotator, tables = Annotator.load(tiny_bundle.folder), []
    for name, prefix in (("own", None), ("other", TEMPLATE)):
        tables.append(tmp_path / f"{name}{suffix}")
        annotate_file(annotator, new_file, tables[-1], trusted=True, columns_prefix=prefix)
    assert all(map(holds_calls, tables))
    (own, _), (other, facts) = (read_calls(table, trusted=True) for table in tables)
    pd.testing.assert_frame_equal(own, other, check_categorical=False, check_dtype=False)
    assert facts["columns_prefix"] == PER_CELL


def test_a_batch_is_refused(cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, tmp_path: Path) -> None:
    out = f"{tmp_path / 'calls'}/"
    ran = cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", out, "--versions", tmp_path / "versions.yml")
    assert ran.status == 2
    assert "one input and a file as OUT" in ran.err
