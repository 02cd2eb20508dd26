"""What answers say of how far they can be trusted: unassigned cells, label sets, and models without such measures."""

import shutil
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ParameterError
from cellmark.schemas.manifest.manifest import MANIFEST_NAME, Manifest, seal
from cellmark.serving import Annotator
from cellmark.serving.scoring.call_rules import CallRules
from fixtures.places import ARCHIVES

ARCHIVED = ARCHIVES / "v1"


def with_manifest(bundle: Bundle, folder: Path, **changes: object) -> Path:
    """A copy of a bundle whose manifest says something else."""
    shutil.copytree(bundle.folder, folder)
    raw = bundle.manifest.model_dump(mode="json")
    (folder / MANIFEST_NAME).write_bytes(seal({**raw, **changes}))
    return folder


def novelty_with(bundle: Bundle, threshold: float) -> dict[str, object]:
    entry = bundle.manifest.novelty
    assert entry is not None
    return {**entry.model_dump(mode="json"), "threshold": threshold}


@pytest.mark.parametrize(("threshold", "share"), [(-1e6, 1.0), (1e6, 0.0)])
def test_cells_above_the_threshold_are_unassigned_and_keep_their_best_guess(
    tiny_bundle: Bundle, tiny_cells: ad.AnnData, tmp_path: Path, threshold: float, share: float
) -> None:
    folder = with_manifest(tiny_bundle, tmp_path / "bundle", novelty=novelty_with(tiny_bundle, threshold))
    frame = Annotator.load(folder).annotate(tiny_cells)
    assert (frame["cellmark_cell_type"] == "unassigned").mean() == share
    assert (frame["cellmark_best_cell_type"] == tiny_cells.obs["cell_type"].to_numpy()).mean() > 0.95
    assert ("unassigned" in frame["cellmark_cell_type"].cat.categories) == (share > 0)
    assert frame.attrs["cellmark"]["novelty_threshold"] == threshold


def test_cells_of_training_are_assigned_and_cells_of_noise_are_not(tiny_bundle: Bundle, tiny_cells: ad.AnnData) -> None:
    annotator = Annotator.load(tiny_bundle.folder)
    known = annotator.annotate(tiny_cells)
    assert (known["cellmark_cell_type"] == "unassigned").mean() < 0.1
    strange = tiny_cells.copy()
    generator = np.random.default_rng(0)
    strange.X = generator.poisson(2.0, strange.shape).astype(np.float32)
    noise = annotator.annotate(strange)
    assert (noise["cellmark_cell_type"] == "unassigned").mean() > 0.9
    assert noise["cellmark_novelty"].min() > known["cellmark_novelty"].median()


def test_label_sets_hold_the_best_type_and_what_reaches_its_threshold(
    tiny_bundle: Bundle, new_cells: ad.AnnData
) -> None:
    annotator = Annotator.load(tiny_bundle.folder)
    entry = tiny_bundle.manifest.label_sets
    assert entry is not None
    for level in entry.levels:
        frame = annotator.annotate(new_cells, probabilities=True, label_set_error=level.error_rate)
        assert frame.attrs["cellmark"]["label_set_error"] == level.error_rate
        for _, row in frame.iterrows():
            reach = [
                name
                for name, threshold in zip(annotator.cell_types, level.thresholds, strict=True)
                if row[f"probability:{name}"] >= np.float32(threshold) or name == row["cellmark_best_cell_type"]
            ]
            assert row["cellmark_label_set"] == " | ".join(reach)


def test_an_error_rate_that_was_not_calibrated_is_refused_before_the_cells_are_looked_at(tiny_bundle: Bundle) -> None:
    annotator = Annotator.load(tiny_bundle.folder)
    with pytest.raises(ParameterError, match=r"0\.01, 0\.05"):
        annotator.annotate(None, label_set_error=0.1)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="label sets"):
        Annotator.load(ARCHIVED).rules(0.01)


def test_a_model_without_measures_leaves_the_columns_empty_and_calls_every_cell(tmp_path: Path) -> None:
    annotator = Annotator.load(ARCHIVED)
    symbols = list(annotator.bundle.panel.symbols)
    generator = np.random.default_rng(0)
    cells = ad.AnnData(generator.poisson(3, (20, len(symbols))).astype(np.float32))
    cells.var_names = symbols
    frame = annotator.annotate(cells, library_size=np.full(20, 5000.0))
    for column in ("novelty", "label_set"):
        assert frame[f"cellmark_{column}"].isna().all()
    assert not frame.columns.str.contains("coarse").any()
    assert frame["cellmark_cell_type"].tolist() == frame["cellmark_best_cell_type"].tolist()
    assert frame.attrs["cellmark"]["novelty_threshold"] is None
    cells.obs[list(frame.columns)] = frame.to_numpy()
    frame.reset_index().to_parquet(tmp_path / "calls.parquet")
    assert pd.read_parquet(tmp_path / "calls.parquet")["cellmark_label_set"].isna().all()


def test_the_distilled_annotator_has_rules_of_its_own(tiny_bundle: Bundle) -> None:
    raw = tiny_bundle.manifest.model_dump(mode="json")
    assert CallRules.of(tiny_bundle.manifest, distilled=True) == CallRules()
    distilled = {"temperature": 1.0, "novelty": novelty_with(tiny_bundle, 9.0), "label_sets": None}
    manifest = Manifest.model_validate_json(seal({**raw, "distilled": distilled}))
    rules = CallRules.of(manifest, distilled=True)
    assert (rules.novelty_threshold, rules.set_thresholds) == (9.0, None)


def test_training_writes_every_measure(tiny_bundle: Bundle) -> None:
    manifest = tiny_bundle.manifest
    assert manifest.calibration is not None
    assert manifest.temperature == manifest.calibration.temperature > 0
    assert manifest.calibration.test_calibrated is not None
    assert manifest.novelty is not None
    assert manifest.novelty.test_refusal_rate is not None
    assert manifest.label_sets is not None
    assert [level.error_rate for level in manifest.label_sets.levels] == [0.01, 0.05]
