"""A folder of finished files, sealed; facts of code and environment."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import CELL_MAP, Bundle, read_optional_table
from cellmark.schemas.errors import OutputError
from cellmark.schemas.reference_profile import read_profile
from cellmark.schemas.report.facts import read_summary
from cellmark.training.steps import write_bundle as module
from cellmark.training.steps.write_bundle import CSV_RANKS, MARKERS_CSV, code_facts, environment_facts, genes_frame, now
from cellmark.training.steps.write_bundle import write_bundle as write


def contents(bundle: Bundle) -> dict[str, object]:
    """What the bundle was written from, read back."""
    import onnx

    from cellmark.schemas.golden_cells import read_golden

    raw = json.loads(bundle.path("manifest.json").read_bytes())
    sealed = ("files", "bundle_digest", "manifest_digest")
    return {
        "annotator": onnx.load(bundle.path("annotator.onnx")),
        "explainer": onnx.load(bundle.path("explainer.onnx")),
        "genes": bundle.genes,
        "markers": bundle.markers,
        "expectations": bundle.expectations,
        "golden": read_golden(bundle),
        "cell_map": read_optional_table(bundle, CELL_MAP),
        "training": read_summary(bundle),
        "reference": read_profile(bundle),
        "manifest": {key: value for key, value in raw.items() if key not in sealed},
    }  # fmt: skip


def test_a_bundle_written_again_from_its_contents_is_the_same_to_the_byte(tiny_bundle: Bundle, tmp_path: Path) -> None:
    manifest = write(tmp_path / "again", **contents(tiny_bundle))  # type: ignore[arg-type]
    again = Bundle.open(tmp_path / "again")
    assert manifest == again.manifest == tiny_bundle.manifest
    for name in tiny_bundle.manifest.files:
        assert again.path(name).read_bytes() == tiny_bundle.path(name).read_bytes()


def test_a_folder_that_exists_is_refused_and_stays_as_it_was(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(OutputError, match="OUTPUT_EXISTS"):
        write(tmp_path, **contents(tiny_bundle))  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_failure_half_way_leaves_nothing(tiny_bundle: Bundle, tmp_path: Path) -> None:
    parts = contents(tiny_bundle)
    parts["manifest"]["metrics"] = {"test": {"accuracy": float("nan")}}  # type: ignore[index]
    with pytest.raises(ValueError):
        write(tmp_path / "new", **parts)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_the_table_for_people_has_the_first_ranks_and_no_empty_columns(tiny_bundle: Bundle) -> None:
    table = pd.read_csv(tiny_bundle.path(MARKERS_CSV))
    markers = tiny_bundle.markers
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
