"""`drift` and `markers novel` speak of the unassigned cells that `annotate` leaves, of whole samples too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import CELL_TYPE, UNASSIGNED
from cellmark.schemas.drift.drift_words import short_percent, verdict
from cellmark.serving import Annotator
from cellmark.serving.files.drift import drift_of_calls, drift_of_file
from cellmark.serving.scoring.call_options import AS_A_SAMPLE, CallOptions
from fixtures.shifted_model import SHIFT, shifted_model


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Annotator:
    return Annotator.load(shifted_model(tiny_bundle, tmp_path_factory.mktemp("shifted") / "bundle", new_cells))


def n_unassigned(annotator: Annotator, cells: ad.AnnData, **options: Any) -> int:
    return int((annotator.annotate(cells, **options)[CELL_TYPE] == UNASSIGNED).sum())


def test_drift_counts_as_annotate_and_compares_by_the_fixed_threshold(
    annotator: Annotator, new_file: Path, new_cells: ad.AnnData
) -> None:
    """The reference was refused by the fixed threshold, so that no verdict depends on how samples are judged."""
    fixed = drift_of_file(annotator, new_file, trusted=True)
    whole = drift_of_file(annotator, new_file, options=AS_A_SAMPLE, trusted=True)
    assert whole.facts["n_unassigned"] == n_unassigned(annotator, new_cells, as_sample=True)
    assert fixed.facts["n_unassigned"] == n_unassigned(annotator, new_cells) > whole.facts["n_unassigned"]
    assert whole.facts["sample_shift"]["shift"] == pytest.approx(SHIFT)
    assert "sample_shift" not in fixed.facts
    assert (whole.severity, whole.measures, whole.cell_types) == (fixed.severity, fixed.measures, fixed.cell_types)
    assert whole.measure("unassigned").observed == fixed.facts["n_unassigned"] / new_cells.n_obs
    share = short_percent(whole.facts["n_unassigned"] / new_cells.n_obs)
    assert f"Judged as one sample {share} are unassigned" in verdict(whole)
    assert "one sample" not in verdict(fixed)
    notes = " ".join(whole.notes)
    assert "shifted as a whole" in notes
    assert f"{whole.facts['n_unassigned']} of 120 cells are unassigned" in notes
    assert not any("whole" in note for note in fixed.notes)


def test_drift_of_calls_compares_as_drift_of_their_cells(annotator: Annotator, new_file: Path, tmp_path: Path) -> None:
    from cellmark.serving.files.annotate_file import annotate_file

    annotate_file(annotator, new_file, tmp_path / "calls.csv", calls=AS_A_SAMPLE, trusted=True)
    cells = drift_of_file(annotator, new_file, options=AS_A_SAMPLE, trusted=True)
    calls = drift_of_calls(annotator.source, tmp_path / "calls.csv", trusted=True)
    assert calls.measure("unassigned") == cells.measure("unassigned")
    assert calls.measure("novelty").effect == cells.measure("novelty").effect
    for name in ("n_unassigned", "novelty_threshold", "sample_shift"):
        assert calls.facts[name] == cells.facts[name]
    assert cells.notes[-1] in calls.notes


def test_the_commands_take_the_same_options(
    annotator: Annotator, new_file: Path, new_cells: ad.AnnData, cellmark: Callable[..., Any]
) -> None:
    asked = ("drift", new_file, "-m", annotator.bundle.folder, "--trusted", "--json")
    for options, expected in (
        ((), {"as_sample": True}),
        (("--sample", "donor"), {"sample": "donor"}),
        (("--fixed-threshold",), {}),
    ):
        report = json.loads(cellmark(*asked, *options).out)
        assert report["facts"]["n_unassigned"] == n_unassigned(annotator, new_cells, **expected)
    ran = cellmark(*asked, "--fixed-threshold", "--sample", "donor")
    assert (ran.status, "give only one of them" in ran.err) == (2, True)


def test_cells_to_look_into_are_those_that_annotate_leaves(
    annotator: Annotator, new_cells: ad.AnnData, new_file: Path, cellmark: Callable[..., Any]
) -> None:
    whole = annotator.called_cells(new_cells, as_sample=True)
    assert whole.unassigned.sum() == n_unassigned(annotator, new_cells, as_sample=True)
    assert annotator.called_cells(new_cells).unassigned.sum() == n_unassigned(annotator, new_cells)
    assert whole.thresholds is not None
    np.testing.assert_array_equal(whole.unassigned, ~(whole.novelty <= whole.thresholds))
    assert whole.is_of_sample
    above = annotator.called_cells(new_cells, as_sample=True, above=whole.threshold)
    assert above.unassigned.sum() == n_unassigned(annotator, new_cells)


def test_each_sample_of_a_column_has_its_thresholds(annotator: Annotator, new_cells: ad.AnnData) -> None:
    doubled = ad.concat([new_cells, new_cells[:40]], index_unique="-", merge="same")
    doubled.obs["sample"] = np.repeat(["whole", "part"], [new_cells.n_obs, 40])
    found = annotator.called_cells(doubled, sample="sample")
    assert found.unassigned.sum() == n_unassigned(annotator, doubled, sample="sample")
    assert found.thresholds is not None
    np.testing.assert_array_equal(found.unassigned, ~(found.novelty <= found.thresholds))


def test_populations_are_found_among_the_cells_that_annotate_leaves(
    annotator: Annotator, new_cells: ad.AnnData, new_file: Path, cellmark: Callable[..., Any]
) -> None:
    pytest.importorskip("torch")
    asked = ("markers", "novel", new_file, "-m", annotator.bundle.folder, "--trusted")
    found = json.loads(cellmark(*asked, "--json").out)
    assert found["n_unassigned"] == n_unassigned(annotator, new_cells, as_sample=True)
    assert found["sample_shift"]["state"] == "shifted"
    ran = cellmark(*asked, "--fixed-threshold")
    assert f"{n_unassigned(annotator, new_cells)} of 120 cells" in ran.out
    ran = cellmark(*asked)
    assert "above the thresholds of this sample's types" in " ".join(ran.out.split())
    assert "[SAMPLE_SHIFTED]" in ran.err


def test_an_old_model_says_what_it_said(tiny_bundle: Bundle, new_file: Path) -> None:
    old = Annotator.load(tiny_bundle.folder)
    whole = drift_of_file(old, new_file, options=AS_A_SAMPLE, trusted=True)
    fixed = drift_of_file(old, new_file, options=CallOptions(), trusted=True)
    assert whole == fixed
