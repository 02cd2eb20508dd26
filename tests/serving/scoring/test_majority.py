"""Majority voting over clusters: votes by hand, ties, cells of no cluster, and what is written."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ParameterError
from cellmark.serving import Annotator
from cellmark.serving.commands.cli import app
from cellmark.serving.scoring.majority import clusters_of, majority_columns


def calls(names: list[str], confidence: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"cellmark_cell_type": pd.Categorical(names, categories=["B", "T", "unassigned"]),
         "cellmark_confidence": np.array(confidence, dtype=np.float32)},
        index=[f"cell-{number}" for number in range(len(names))],
    )  # fmt: skip


def test_votes_ties_and_cells_of_no_cluster() -> None:
    frame = calls(["B", "B", "T", "T", "B", "unassigned", "unassigned", "T"], [0.9, 0.8, 0.99, 0.7, 0.8, 0.5, 0.6, 1.0])
    clusters = pd.Series(["x", "x", "x", "tie", "tie", "y", "y", None])
    found = majority_columns(frame, clusters)
    assert found["cellmark_majority_cell_type"].astype(object).where(
        found["cellmark_majority_cell_type"].notna(), None
    ).tolist() == ["B", "B", "B", "B", "B", "unassigned", "unassigned", None]  # fmt: skip
    np.testing.assert_allclose(found["cellmark_majority_share"], [2 / 3] * 3 + [0.5] * 2 + [1.0] * 2 + [np.nan])
    assert found.index.tolist() == frame.index.tolist()


def test_it_is_what_pandas_counts() -> None:
    generator = np.random.default_rng(0)
    frame = calls(generator.choice(["B", "T", "unassigned"], 500).tolist(), generator.random(500).tolist())
    clusters = pd.Series(generator.integers(0, 9, 500))
    found = majority_columns(frame, clusters)
    for cluster in range(9):
        inside = (clusters == cluster).to_numpy()
        counts = frame.loc[inside, "cellmark_cell_type"].value_counts()
        called = found.loc[inside, "cellmark_majority_cell_type"]
        assert (called == called.iloc[0]).all()
        assert counts[called.iloc[0]] == counts.max()
        np.testing.assert_allclose(found.loc[inside, "cellmark_majority_share"], counts.max() / inside.sum())


def test_clusters_that_do_not_fit_are_refused_before_anything_is_called() -> None:
    ids = np.array(["cell-0", "cell-1"])
    obs = pd.DataFrame({"leiden": [None, None]}, index=ids)
    for over, told in ((["x"], "2 cells"), ([None, None], "no value"), ("leiden", "no value"), ("other", "leiden")):
        with pytest.raises(ParameterError, match=told):
            clusters_of(obs, ids, over)


def test_a_series_is_read_by_cell_id_and_anything_else_in_order() -> None:
    ids = np.array(["cell-0", "cell-1", "cell-2"])
    obs = pd.DataFrame(index=ids)
    by_id = pd.Series(["c", "a", "b"], index=["cell-2", "cell-0", "cell-1"])
    assert clusters_of(obs, ids, by_id).tolist() == ["a", "b", "c"]
    assert clusters_of(obs, ids, by_id.reset_index(drop=True)).tolist() == ["c", "a", "b"]
    assert clusters_of(obs, ids, ["c", "a", "b"]).tolist() == ["c", "a", "b"]


def test_from_the_command_line_calls_stay_and_the_majority_is_beside_them(
    tiny_bundle: Bundle, tiny_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = tiny_cells.copy()
    cells.obs["leiden"] = pd.Categorical(cells.obs["cell_type"].astype(str).to_numpy())
    cells.write_h5ad(tmp_path / "cells.h5ad")
    expected = Annotator.load(tiny_bundle.folder).annotate(cells, over="leiden")
    given = ["annotate", str(tmp_path / "cells.h5ad"), "--model", str(tiny_bundle.folder), "--over"]
    for out in ("calls.h5ad", "calls.csv"):
        result = CliRunner().invoke(app, [*given, "leiden", "-o", str(tmp_path / out)])
        assert result.exit_code == 0, result.output
    written, table = ad.read_h5ad(tmp_path / "calls.h5ad").obs, pd.read_csv(tmp_path / "calls.csv")
    for column in ("cellmark_cell_type", "cellmark_majority_cell_type"):
        assert written[column].tolist() == table[column].tolist() == expected[column].tolist()
    assert written["cellmark_majority_cell_type"].tolist() == cells.obs["cell_type"].tolist()
    result = CliRunner().invoke(app, [*given, "louvain", "-o", str(tmp_path / "more.csv")])
    assert result.exit_code != 0
    assert not (tmp_path / "more.csv").exists()
