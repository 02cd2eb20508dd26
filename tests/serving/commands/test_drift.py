"""`cellmark drift` on cells, on calls, and on what it must refuse."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.manifest.bundle_files import REFERENCE_PLANE, REFERENCE_PROFILE, write_manifest
from cellmark.schemas.manifest.manifest import MANIFEST_NAME
from cellmark.schemas.quality.quality_table import find_mitochondrial
from cellmark.schemas.reference_profile import MIDDLE, read_profile
from fixtures.places import ARCHIVES

if TYPE_CHECKING:
    from cellmark.training.run import TrainedModel

ARCHIVE = ARCHIVES / "v1"


def report_of(ran: Any) -> dict[str, Any]:
    assert ran.status == 0, ran.err
    loaded: dict[str, Any] = json.loads(ran.out)
    return loaded


def measure(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in report["measures"] if one["name"] == name)
    return found


def test_training_writes_what_held_out_cells_look_like(trained: "TrainedModel", tiny_cells: ad.AnnData) -> None:
    """Every cell was held out once, in a fold or in the test part."""
    profile = read_profile(trained.bundle)
    X = tiny_cells.X.toarray()
    assert (profile.part, profile.overall.n_cells) == ("held_out", tiny_cells.n_obs)
    assert REFERENCE_PROFILE in trained.bundle.manifest.files
    assert profile.donors == {}
    medians = {
        "library_size": np.median(X.sum(axis=1)),
        "genes_detected": np.median((X > 0).sum(axis=1)),
        "mitochondrial_share": np.median(X[:, find_mitochondrial(tiny_cells.var_names)].sum(axis=1) / X.sum(axis=1)),
    }
    for name, expected in medians.items():
        quantiles = profile.overall.quantiles(name)
        assert quantiles is not None
        assert quantiles[MIDDLE] == pytest.approx(expected, rel=1e-6)
    refused = profile.overall.unassigned
    novelty = trained.manifest.novelty
    assert refused is not None
    assert novelty is not None
    # The threshold lets this share of the folds' cells go; those of the test part are few.
    assert refused == pytest.approx(novelty.false_refusal_rate, abs=0.02)
    text = trained.bundle.path(REFERENCE_PROFILE).read_text()
    assert not any(cell_id in text for cell_id in tiny_cells.obs_names)


def test_the_training_file_itself_does_not_drift(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, tiny_file: Path
) -> None:
    """What serving sees of the cells is what training wrote of them."""
    report = report_of(cellmark("drift", tiny_file, "-m", tiny_bundle.folder, "--json"))
    assert report["n_cells"] == report["n_reference"]
    for name in ("library_size", "genes_detected", "mitochondrial_share"):
        found = measure(report, name)
        assert found["observed"] == pytest.approx(found["expected"], rel=1e-4), name
    assert measure(report, "library_size")["effect"] == pytest.approx(1, abs=0.02)
    assert measure(report, "composition")["effect"] < 0.05
    assert measure(report, "panel_overlap")["severity"] == "ok"
    assert report["severity"] == "ok", report["verdict"]


def test_thinned_counts_are_told_with_their_share(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    thin = new_cells.copy()
    thin.X = sp.csr_matrix(np.random.default_rng(0).binomial(new_cells.X.toarray().astype(int), 0.5).astype(np.float32))
    thin.write_h5ad(tmp_path / "thin.h5ad")
    new_cells.write_h5ad(tmp_path / "whole.h5ad")
    whole, half = (
        measure(
            report_of(cellmark("drift", tmp_path / f"{name}.h5ad", "-m", tiny_bundle.folder, "--json")), "library_size"
        )
        for name in ("whole", "thin")
    )
    # Types are of one size, and what little noise there is of a call does not move a median far.
    labels = new_cells.obs["cell_type"].to_numpy()
    logarithms = [
        np.mean([np.log(np.median(cells.X.toarray().sum(axis=1)[labels == name])) for name in set(labels)])
        for cells in (new_cells, thin)
    ]
    assert half["effect"] / whole["effect"] == pytest.approx(np.exp(logarithms[1] - logarithms[0]), rel=0.03)
    assert half["effect"] / whole["effect"] == pytest.approx(0.5, rel=0.1)
    assert half["severity"] == "moved"
    ran = cellmark("drift", tmp_path / "thin.h5ad", "-m", tiny_bundle.folder)
    assert ran.status == 0
    assert "% lower within types" in ran.out


def test_a_type_left_out_changes_composition_and_is_no_fault_of_depth(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    new_cells[new_cells.obs["cell_type"] != "B cell"].copy().write_h5ad(tmp_path / "two.h5ad")
    report = report_of(cellmark("drift", tmp_path / "two.h5ad", "-m", tiny_bundle.folder, "--json"))
    assert measure(report, "composition")["severity"] in ("moved", "far")
    assert not measure(report, "composition")["is_fault"]
    assert measure(report, "library_size")["severity"] == "ok"
    (row,) = [one for one in report["cell_types"] if one["cell_type"] == "B cell"]
    assert row["share"] < 0.05 < row["expected_share"]


def test_unknown_cells_raise_the_unassigned_share(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    strange = new_cells.copy()
    counts = strange.X.toarray()
    strange.X = sp.csr_matrix(counts[:, np.random.default_rng(5).permutation(counts.shape[1])])
    strange.write_h5ad(tmp_path / "strange.h5ad")
    report = report_of(cellmark("drift", tmp_path / "strange.h5ad", "-m", tiny_bundle.folder, "--json"))
    assert measure(report, "unassigned")["severity"] == "far"
    assert report["severity"] == "far"
    assert report["genes"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".h5ad"])
def test_calls_are_compared_as_far_as_they_tell(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_file: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"calls{suffix}"
    assert cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", out).status == 0
    from_cells = report_of(cellmark("drift", new_file, "-m", tiny_bundle.folder, "--json"))
    flags = ["--calls"] if suffix == ".h5ad" else []
    report = report_of(cellmark("drift", out, "-m", tiny_bundle.folder, "--json", *flags))
    for name in ("confidence", "novelty", "unassigned", "composition"):
        for key in ("observed", "effect", "severity"):
            found, expected = measure(report, name)[key], measure(from_cells, name)[key]
            assert found == (pytest.approx(expected, rel=1e-5) if isinstance(expected, float) else expected)
    for name in ("library_size", "genes_detected", "mitochondrial_share", "panel_overlap", "detection"):
        assert measure(report, name)["effect"] is None
    assert "Only calls were read" in report["notes"][0]
    assert report["facts"]["compared"] == "calls"


def test_an_annotated_h5ad_is_compared_by_its_counts_without_calls(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "annotated.h5ad"
    assert cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", out).status == 0
    report = report_of(cellmark("drift", out, "-m", tiny_bundle.folder, "--json"))
    assert measure(report, "library_size")["effect"] is not None


def test_calls_of_another_model_are_refused(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "calls.csv"
    assert cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", out).status == 0
    facts = json.loads(out.with_suffix(".json").read_text())
    out.with_suffix(".json").write_text(json.dumps({**facts, "distilled": True}))
    ran = cellmark("drift", out, "-m", tiny_bundle.folder)  # which has no second annotator
    assert (ran.status, "[PROFILE_MISSING]" in ran.err) == (1, True)
    out.with_suffix(".json").write_text(json.dumps({**facts, "bundle_digest": "0" * 64}))
    ran = cellmark("drift", out, "-m", tiny_bundle.folder)
    assert (ran.status, "[CALLS_OF_ANOTHER_MODEL]" in ran.err) == (1, True)
    out.with_suffix(".json").unlink()
    text = out.read_text()
    out.write_text(text.replace("T cell", "Hepatocyte"))
    ran = cellmark("drift", out, "-m", tiny_bundle.folder)
    assert (ran.status, "Hepatocyte" in ran.err) == (1, True)


@pytest.mark.parametrize("content", [b"", b"PAR1 not really", b"cell_id,cellmark_cell_type,cellmark_confidence\n"])
def test_a_table_that_holds_no_calls_is_refused(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / ("calls.csv" if content.startswith(b"cell_id") else "calls.parquet")
    path.write_bytes(content)
    ran = cellmark("drift", path, "-m", tiny_bundle.folder)
    assert (ran.status, "[FILE_UNREADABLE]" in ran.err) == (1, True)


def test_a_bundle_of_an_earlier_version_is_refused_with_the_remedy(
    cellmark: Callable[..., Any], new_file: Path
) -> None:
    ran = cellmark("drift", new_file, "-m", ARCHIVE)
    assert ran.status == 1
    assert "[PROFILE_MISSING]" in ran.err
    assert "Train the model again" in ran.err


def test_a_damaged_profile_is_refused(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_bundle.folder, tmp_path / "bundle"))
    (folder / REFERENCE_PROFILE).write_text('{"format_version": 2}')
    raw = json.loads((folder / MANIFEST_NAME).read_text())
    write_manifest(folder, {name: value for name, value in raw.items() if name != "files"})
    ran = cellmark("drift", new_file, "-m", folder)
    assert (ran.status, "[BUNDLE_CONTENT_INVALID]" in ran.err) == (1, True)


def test_input_that_annotate_refuses_is_refused(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    logged = new_cells.copy()
    logged.X = logged.X.log1p()
    logged.write_h5ad(tmp_path / "logged.h5ad")
    ran = cellmark("drift", tmp_path / "logged.h5ad", "-m", tiny_bundle.folder, "-o", tmp_path / "drift.html")
    assert (ran.status, "[COUNTS_NOT_WHOLE]" in ran.err) == (1, True)
    assert not (tmp_path / "drift.html").exists()


def test_the_report_is_written_as_a_page_and_as_json(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    page, text = tmp_path / "drift.html", tmp_path / "drift.json"
    for out in (page, text):
        assert cellmark("drift", new_file, "-m", tiny_bundle.folder, "-o", out).status == 0
    report = json.loads(text.read_text())
    assert report["verdict"].split(" (")[0] in page.read_text().replace("\u00a0", " ")
    assert "http" not in page.read_text().replace('http-equiv="Content-Security-Policy"', "")
    ran = cellmark("drift", new_file, "-m", tiny_bundle.folder, "-o", page)
    assert "[OUTPUT_EXISTS]" in ran.err
    ran = cellmark("drift", new_file, "-m", tiny_bundle.folder, "-o", tmp_path / "drift.txt")
    assert "[OUTPUT_FORMAT_UNKNOWN]" in ran.err


@pytest.fixture(scope="module")
def with_plane(trained: "TrainedModel", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained bundle with a flat view of all its cells: its test part alone has too few."""
    import onnx

    from cellmark.schemas.checks.split import Split
    from cellmark.training.steps.describe_reference import describe_plane

    nobody, everyone = np.zeros(0, dtype=int), np.arange(trained.cells.n_obs)
    number = {symbol: column for column, symbol in enumerate(trained.cells.gene_symbols)}
    columns = np.array([number[symbol] for symbol in trained.bundle.panel.symbols])
    prepared: Any = SimpleNamespace(
        cells=trained.cells, split=Split("stratified", 0, nobody, nobody, everyone), columns=columns
    )
    plane = describe_plane(onnx.load(trained.bundle.path("annotator.onnx")), prepared, seed=0)
    assert plane is not None
    assert plane.inside > 0.9
    folder = shutil.copytree(trained.bundle.folder, tmp_path_factory.mktemp("plane") / "bundle")
    (folder / REFERENCE_PLANE).write_bytes(plane.to_bytes())
    raw = json.loads((folder / MANIFEST_NAME).read_bytes())
    write_manifest(folder, {name: value for name, value in raw.items() if name != "files"})
    return Path(folder)


def test_cells_are_drawn_over_the_reference_and_strange_ones_beside_it(
    cellmark: Callable[..., Any], with_plane: Path, tiny_cells: ad.AnnData, tiny_file: Path, tmp_path: Path
) -> None:
    alike = report_of(cellmark("drift", tiny_file, "-m", with_plane, "--json", "-o", tmp_path / "alike.html"))
    assert alike["in_plane"]["inside"] == pytest.approx(alike["in_plane"]["expected"], abs=0.05)
    page = (tmp_path / "alike.html").read_text(encoding="utf-8")
    assert "Where the cells lie" in page
    squares = re.findall(r"<title>([\d,]+) cells(?:, [^<]*unassigned)?</title></rect>", page)
    assert sum(int(text.replace(",", "")) for text in squares) == tiny_cells.n_obs
    shuffled = tiny_cells.copy()
    shuffled.X = sp.csr_matrix(tiny_cells.X.toarray()[:, np.random.default_rng(5).permutation(tiny_cells.n_vars)])
    shuffled.write_h5ad(tmp_path / "shuffled.h5ad")
    strange = report_of(cellmark("drift", tmp_path / "shuffled.h5ad", "-m", with_plane, "--json"))
    assert strange["in_plane"]["inside"] < 0.5


def test_a_bundle_without_a_flat_view_has_the_other_pictures(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, tiny_file: Path, tmp_path: Path
) -> None:
    report = report_of(cellmark("drift", tiny_file, "-m", tiny_bundle.folder, "--json", "-o", tmp_path / "x.html"))
    assert report["in_plane"] is None
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "Where the cells lie" not in page
    assert {"Composition", "Distributions"} <= set(re.findall(r"<h2>([^<]+)</h2>", page))
    spreads = {(one["measure"], one["cell_type"]) for one in report["spreads"]}
    assert {("library_size", None), ("novelty", "B cell")} <= spreads
