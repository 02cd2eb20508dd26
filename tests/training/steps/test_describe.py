"""What is told of the training data."""

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cellmark.schemas.manifest.manifest_section import sha256
from cellmark.training.steps import describe as module
from cellmark.training.steps.describe import (
    code_facts,
    describe_data,
    describe_part,
    environment_facts,
    frame_of_calls,
    now,
    quality_tables,
    split_frame,
)

if TYPE_CHECKING:
    from cellmark.training.run import TrainedModel


def test_a_part_is_told_by_numbers_and_a_digest_of_its_ids(trained: "TrainedModel") -> None:
    cells = trained.cells
    part = describe_part(cells, np.array([3, 0, 50]))
    ids = sorted(cells.cell_ids[[3, 0, 50]])
    assert part == {
        "n_cells": 3,
        "cells_per_type": {"B cell": 2, "NK cell": 1, "T cell": 0},
        "donors": None,
        "cell_ids_sha256": sha256("\n".join(ids).encode()),
    }


def test_no_cell_id_is_in_the_description(trained: "TrainedModel") -> None:
    text = str(describe_data(trained.cells, trained.split))
    assert not any(str(cell_id) in text for cell_id in trained.cells.cell_ids)


def test_the_split_frame_names_the_part_of_every_cell(trained: "TrainedModel") -> None:
    frame = split_frame(trained.cells, trained.split)
    assert frame["cell_id"].tolist() == trained.cells.cell_ids.tolist()
    for name in ("train", "validation", "test"):
        assert np.flatnonzero(frame["part"] == name).tolist() == getattr(trained.split, name).tolist()


def test_quality_tables_of_chunks_equal_plain_numpy(trained: "TrainedModel", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellmark.training.steps.describe.CHUNK", 7)
    cells, rows = trained.cells, np.arange(5, 45)
    columns = np.array([0, 3, 119])
    per_cell, per_sample = quality_tables(cells, rows, columns)
    dense = cells.counts[rows].toarray()
    assert per_cell["cell_id"].tolist() == cells.cell_ids[rows].tolist()
    np.testing.assert_allclose(per_cell["total_counts"], cells.library_size[rows])
    np.testing.assert_array_equal(per_cell["genes_detected"], (dense > 0).sum(axis=1))
    np.testing.assert_allclose(
        per_cell["panel_fraction"], dense[:, columns].sum(axis=1) / cells.library_size[rows], rtol=1e-5
    )
    mitochondrial = [number for number, name in enumerate(cells.gene_symbols) if name.startswith("MT-")]
    np.testing.assert_allclose(
        per_cell["mitochondrial_fraction"], dense[:, mitochondrial].sum(axis=1) / cells.library_size[rows], rtol=1e-5
    )
    assert per_sample["n_cells"].tolist() == [40]


def test_the_frame_of_calls_has_label_call_and_its_probability(trained: "TrainedModel") -> None:
    probabilities = np.tile([0.2, 0.5, 0.3], (trained.cells.n_obs, 1))
    probabilities[7] = [0.9, 0.1, 0.0]
    frame = frame_of_calls(trained.cells, np.array([7, 100]), probabilities)
    assert frame["call"].tolist() == ["B cell", "NK cell"]
    assert frame["label"].tolist() == ["B cell", "T cell"]
    assert frame["confidence"].tolist() == [0.9, 0.5]
    assert frame["cell_id"].tolist() == trained.cells.cell_ids[[7, 100]].tolist()


def test_code_facts_name_version_and_commit_of_the_checkout() -> None:
    facts = code_facts()
    assert facts["version"]
    checkout = Path(module.__file__).resolve().parents[2]
    if (checkout / ".git").exists():
        assert re.fullmatch("[0-9a-f]{40}", facts["commit"] or "")


@pytest.mark.parametrize("failure", [FileNotFoundError("git"), subprocess.TimeoutExpired("git", 10)])
def test_a_machine_without_git_names_no_commit(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        raise failure

    monkeypatch.setattr(module.subprocess, "run", fail)
    assert code_facts()["commit"] is None


def test_environment_facts_are_versions_without_hosts_or_paths() -> None:
    facts = environment_facts()
    assert {"python", "platform", "torch", "onnx", "numpy"} <= set(facts)
    assert not any("/" in value for value in facts.values())


def test_the_date_is_utc_to_the_second() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", now())
