"""A file judged as one sample, or by a column of samples; doors that judge cells one by one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.calls.sample_shift import FEWEST_OF_TYPE, STRANGE
from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, NOVELTY, UNASSIGNED
from cellmark.schemas.errors import ParameterError
from cellmark.serving import Annotator
from cellmark.serving.scoring import judge_as_sample
from cellmark.serving.scoring.call_options import CallOptions
from fixtures.shifted_model import SHIFT, shifted_model


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Annotator:
    return Annotator.load(shifted_model(tiny_bundle, tmp_path_factory.mktemp("shifted") / "bundle", new_cells))


def unassigned(annotator: Annotator, cells: ad.AnnData, **options: object) -> np.ndarray:
    frame = annotator.call(annotator.check(cells), CallOptions(**options))  # type: ignore[arg-type]
    return np.asarray(frame[CELL_TYPE] == UNASSIGNED)


def test_only_a_whole_sample_gets_thresholds_of_its_own(annotator: Annotator, new_cells: ad.AnnData) -> None:
    alone, together = unassigned(annotator, new_cells), unassigned(annotator, new_cells, as_sample=True)
    assert 0 < together.sum() < alone.sum()
    assert not (together & ~alone).any()
    few = new_cells[:90]
    np.testing.assert_array_equal(unassigned(annotator, few, as_sample=True), unassigned(annotator, few))
    assert annotator.annotate(new_cells).attrs["cellmark"].get("sample_shift") is None


def test_of_types_that_next_to_no_cell_is_like_only_typical_cells_are_called(
    tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    folder = shifted_model(tiny_bundle, tmp_path / "bundle", new_cells, shift=4.0, refused=0.8)
    annotator = Annotator.load(folder)
    frame = annotator.call(annotator.check(new_cells), CallOptions(as_sample=True))
    facts, best = frame.attrs["cellmark"]["sample_shift"], frame[BEST_CELL_TYPE].astype(str)
    fixed = frame[NOVELTY] > annotator.rules().novelty_threshold
    by_type = fixed.groupby(best)
    assert (facts["state"], facts["shift"]) == ("beyond", None)  # of such a sample half is enough
    most = by_type.mean()[lambda share: share > STRANGE][by_type.size() >= FEWEST_OF_TYPE]
    assert sorted(facts["foreign_types"]) == sorted(most.index)
    assert len(most) > 0
    limits = best.map(facts["thresholds"])
    np.testing.assert_array_equal(frame[CELL_TYPE] == UNASSIGNED, frame[NOVELTY] > limits.astype(np.float32))
    assert (frame[CELL_TYPE] == UNASSIGNED).sum() > fixed.sum()
    assert (limits[best.isin(most.index)] < annotator.rules().novelty_threshold).all()
    (note,) = (note for note in frame.attrs["cellmark"]["notes"] if note["code"] == "TYPES_FOREIGN_TO_SAMPLE")
    assert sorted(note["examples"]) == sorted(most.index)
    assert not {"foreign_types", "thresholds"} & set(annotator.annotate(new_cells).attrs["cellmark"])


def test_samples_of_a_column_are_judged_each_by_itself(annotator: Annotator, new_cells: ad.AnnData) -> None:
    doubled = ad.concat([new_cells, new_cells[:40]], index_unique="-", merge="same")
    doubled.obs["sample"] = np.repeat(["whole", "part"], [new_cells.n_obs, 40])
    found = unassigned(annotator, doubled, sample="sample")
    np.testing.assert_array_equal(found[: new_cells.n_obs], unassigned(annotator, new_cells, as_sample=True))
    np.testing.assert_array_equal(found[new_cells.n_obs :], unassigned(annotator, new_cells[:40]))
    frame = annotator.call(annotator.check(doubled), CallOptions(sample="sample"))
    facts = frame.attrs["cellmark"]["sample_shift"]
    assert facts["column"] == "sample"
    assert {name: one["state"] for name, one in facts["samples"].items()} == {"whole": "shifted", "part": "few"}
    assert facts["samples"]["whole"]["shift"] == pytest.approx(SHIFT)
    (note,) = (note for note in frame.attrs["cellmark"]["notes"] if note["code"] == "SAMPLE_SHIFTED")
    assert note["examples"] == ["whole"]
    with pytest.raises(ParameterError, match="one column of obs"):
        unassigned(annotator, doubled, sample="nowhere")


def test_a_column_of_cells_is_no_column_of_samples(
    annotator: Annotator, new_cells: ad.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge_as_sample, "MOST_SAMPLES", 100)
    each = new_cells.copy()
    each.obs["barcode"] = each.obs_names
    with pytest.raises(ParameterError, match="'barcode', which has 120 values"):
        unassigned(annotator, each, sample="barcode")


def test_annotate_judges_a_file_as_one_sample_unless_asked_for_the_fixed_threshold(
    annotator: Annotator, new_file: Path, new_cells: ad.AnnData, tmp_path: Path, cellmark: Callable[..., Any]
) -> None:
    model = annotator.bundle.folder
    ran = cellmark("annotate", new_file, "--model", model, "-o", tmp_path / "sample.csv")
    assert "this sample is shifted as a whole" in " ".join(ran.err.split())
    cellmark("annotate", new_file, "--model", model, "-o", tmp_path / "fixed.csv", "--fixed-threshold")
    cellmark("annotate", new_file, "--model", model, "-o", tmp_path / "donors.csv", "--sample", "donor")
    found = {
        name: pd.read_csv(tmp_path / f"{name}.csv")[CELL_TYPE] == UNASSIGNED for name in ("sample", "fixed", "donors")
    }
    np.testing.assert_array_equal(found["sample"], unassigned(annotator, new_cells, as_sample=True))
    np.testing.assert_array_equal(found["fixed"], unassigned(annotator, new_cells))
    np.testing.assert_array_equal(found["donors"], unassigned(annotator, new_cells, sample="donor"))
    assert json.loads((tmp_path / "sample.json").read_text())["sample_shift"]["state"] == "shifted"
    assert "sample_shift" not in json.loads((tmp_path / "fixed.json").read_text())
    cellmark("annotate", new_file, "--model", model, "-o", f"{tmp_path}/folder/", "--sample", "donor")
    folder = pd.read_parquet(tmp_path / "folder" / "new.parquet")[CELL_TYPE] == UNASSIGNED
    np.testing.assert_array_equal(folder, found["donors"])


def test_a_model_of_an_earlier_version_keeps_its_threshold(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    old = Annotator.load(tiny_bundle.folder)
    np.testing.assert_array_equal(unassigned(old, new_cells, as_sample=True), unassigned(old, new_cells))


def test_the_shift_is_kept_in_a_copy_of_the_cells(annotator: Annotator, new_file: Path, tmp_path: Path) -> None:
    from cellmark.serving.files.annotate_file import annotate_file

    annotate_file(annotator, new_file, tmp_path / "out.h5ad", calls=CallOptions(as_sample=True))
    assert '"state": "shifted"' in ad.read_h5ad(tmp_path / "out.h5ad").uns["cellmark"]["sample_shift"]
