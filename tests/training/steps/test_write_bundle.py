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
from cellmark.schemas.report.facts import read_spread, read_summary
from cellmark.training.run import TrainedModel
from cellmark.training.steps.write_bundle import CSV_RANKS, MARKERS_CSV, BundleParts, genes_frame
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
        spread=read_spread(bundle),
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


def test_genes_frame_has_a_row_per_gene_and_a_column_per_type() -> None:
    frame = genes_frame(
        gene_symbols=["A", "B"], gene_ids=["ENSG1", None], baselines=np.array([0.5, 1.0]),
        mean_expression=np.array([0.1, 0.2]), fraction_expressing=np.array([0.3, 0.4]),
        attribution_share=np.array([0.75, 0.25]), attribution_share_per_type=np.array([[0.6, 0.4], [0.9, 0.1]]),
        cell_types=["T", "NK"],
    )  # fmt: skip
    assert frame["gene_id"].isna().tolist() == [False, True]
    assert frame["baseline"].dtype == np.float32
    assert frame["attribution_share:NK"].tolist() == [0.9, 0.1]
    assert len(frame) == 2
