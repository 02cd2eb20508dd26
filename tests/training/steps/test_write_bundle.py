"""A folder of finished files, sealed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle, read_optional_table
from cellmark.schemas.errors import OutputError
from cellmark.schemas.manifest.bundle_files import CELL_MAP
from cellmark.schemas.reference_profile import read_profile
from cellmark.schemas.report.facts import read_summary
from cellmark.training.run import TrainedModel
from cellmark.training.steps.write_bundle import CSV_RANKS, MARKERS_CSV, BundleParts
from cellmark.training.steps.write_bundle import write_bundle as write


def contents(bundle: Bundle) -> tuple[BundleParts, dict[str, Any]]:
    """What the bundle was written from, read back."""
    import onnx

    from cellmark.schemas.golden_cells import read_golden

    raw = json.loads(bundle.path("manifest.json").read_bytes())
    sealed = ("files", "bundle_digest", "manifest_digest")
    parts = BundleParts(
        annotator=onnx.load(bundle.path("annotator.onnx")),
        explainer=onnx.load(bundle.path("explainer.onnx")),
        genes=bundle.genes,
        markers=bundle.markers,
        expectations=bundle.expectations,
        golden=read_golden(bundle),
        cell_map=read_optional_table(bundle, CELL_MAP),
        training=read_summary(bundle),
        reference=read_profile(bundle),
    )
    return parts, {key: value for key, value in raw.items() if key not in sealed}


def test_a_bundle_written_again_from_its_contents_is_the_same_to_the_byte(
    trained: TrainedModel, tmp_path: Path
) -> None:
    bundle = trained.bundle
    manifest = write(tmp_path / "again", *contents(bundle))
    again = Bundle.open(tmp_path / "again")
    assert manifest == again.manifest == bundle.manifest
    for name in bundle.manifest.files:
        assert again.path(name).read_bytes() == bundle.path(name).read_bytes()


def test_a_folder_that_exists_is_refused_and_stays_as_it_was(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(OutputError, match="OUTPUT_EXISTS"):
        write(tmp_path, *contents(tiny_bundle))
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_failure_half_way_leaves_nothing(tiny_bundle: Bundle, tmp_path: Path) -> None:
    parts, manifest = contents(tiny_bundle)
    manifest["metrics"] = {"test": {"accuracy": float("nan")}}
    with pytest.raises(ValueError):
        write(tmp_path / "new", parts, manifest)
    assert list(tmp_path.iterdir()) == []


def test_the_table_for_people_has_the_first_ranks_and_no_empty_columns(trained: TrainedModel) -> None:
    bundle = trained.bundle
    table = pd.read_csv(bundle.path(MARKERS_CSV))
    markers = bundle.markers
    first = markers[markers["rank"] <= CSV_RANKS]
    assert table["gene_symbol"].tolist() == first["gene_symbol"].tolist()
    np.testing.assert_allclose(table["mean_contribution"], first["mean_contribution"], rtol=1e-5)
    assert not table.isna().all().any()
    assert {"gate", "fold_level"}.isdisjoint(table.columns)
